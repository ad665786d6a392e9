"""Transactions over several nodes: two-phase commit, what follows from its failures, and the flexible alternatives."""
