"""Load balancing: policies, hashing, situations, exercises, charts and labs, simulated and for real."""
