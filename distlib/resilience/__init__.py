"""Fault tolerance: retries, timeouts, circuit breakers and their relatives, and how they bring a system down.

A policy is written once, as small functions of ``distlib.core.draw`` over its *rule* (constants) and its *state*
(arrays with one entry an edge of a service graph). The engine of ``distlib.resilience.calls`` compiles them; the class
of the same policy (``Breaker``, ``RetryBudget``, ...) runs the very same source in plain Python, for one caller, with
time and randomness as arguments; ``distlib.resilience.around`` puts these objects around real calls.
"""
