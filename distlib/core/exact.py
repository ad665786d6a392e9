"""Shares of a count, rounded without an error of the binary fractions: .29 of 100 are 29, though ``.29 * 100`` is less.

A share means the number that a person wrote, the shortest decimal of its float: 1.1 is 11/10.
"""

from __future__ import annotations

from fractions import Fraction


def as_written(number: float) -> Fraction:
    """``number`` as the fraction that its shortest decimal says."""
    return Fraction(repr(float(number)))


def rounded_down(share: float, count: int, parts: int = 1) -> int:
    """``share`` · ``count`` / ``parts``, rounded down."""
    return as_written(share) * int(count) // int(parts)


def rounded_up(share: float, count: int, parts: int = 1) -> int:
    """``share`` · ``count`` / ``parts``, rounded up."""
    return -rounded_down(-share, count, parts)
