"""The vocabulary that every other room speaks: nodes and effects, virtual time, seeds, traces, parameters."""
