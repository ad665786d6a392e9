"""Side-by-side measurements against peers; no test depends on them.

``python -m benchmarks`` runs every module of this package, ``python -m benchmarks NAME`` only the named one.
A module measures both sides in one run and prints the ratio. Its docstring says what it measures; and
its function ``main() -> None`` does it.
"""
