"""Checkers: invariants, the model checker, the shrinker, and linearizability of recorded histories."""
