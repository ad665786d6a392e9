"""A service behind load balancers, in virtual time: what balancers see, the engines, what became of requests."""
