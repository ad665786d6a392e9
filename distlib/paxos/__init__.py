"""Paxos and Multi-Paxos: the protocols, their mutants, what must hold, situations, exercises, charts and labs."""
