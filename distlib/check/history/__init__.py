"""Recorded histories: readers, sequential specifications, and the check for linearizability."""
