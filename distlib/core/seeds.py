"""Named random streams from one seed, so that a change in one place of a model leaves the draws of all others alone."""

from __future__ import annotations

import hashlib
from random import Random

from distlib.core import require


def check_seed(seed: int) -> int:
    """The seed itself; ``TypeError`` when it is empty or not a whole number, ``ValueError`` when it is out of range."""
    return require.whole("seed", seed, 0, 2**63 - 1)


class Seeds:
    """Independent random streams, by name: ``Seeds(7).stream("latency", "S1", "S2")``. Same seed and name, same stream,
    in any process and under any ``PYTHONHASHSEED``; asking for one stream never moves another."""

    def __init__(self, seed: int) -> None:
        self.seed = check_seed(seed)

    def number(self, *name: str | int) -> int:
        """A 64-bit seed of its own for ``name``, for generators that are not Python's."""
        text = "\x1f".join((str(self.seed), *map(str, name)))
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")

    def stream(self, *name: str | int) -> Random:
        """A fresh generator for ``name``, at its start."""
        return Random(self.number(*name))
