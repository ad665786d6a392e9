"""A service behind load balancers, in virtual time: what balancers see, the engines, and what became of the
requests."""
