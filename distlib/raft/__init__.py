"""Raft: the protocol, its variants and mutants, what must hold, situations, exercises, charts and labs."""
