"""Load balancing with real HTTP servers on this machine, measured beside the simulation of the same requests."""
