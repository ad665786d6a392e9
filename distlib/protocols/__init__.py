"""Protocols: sans-I/O nodes that read like their papers, for the simulator, the checker and real processes."""
