"""Quorums by their size: do they intersect, and how often is one available?

With n acceptors of which each is up with probability p, independently of the others, a quorum of q is available with
the upper tail of the binomial distribution,

    A(n, q, p) = Σ_{k=q..n} C(n, k) p^k (1 - p)^(n - k).

Flexible Paxos (Howard, Malkhi & Spiegelman, *Flexible Paxos: Quorum Intersection Revisited*, 2016, §3) asks no more
than that each quorum of phase 1 (size q1) shares an acceptor with each of phase 2 (size q2), which sizes guarantee
exactly when q1 + q2 > n.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import comb


def availability(acceptors: int, quorum: int, up: float) -> float:
    """The probability that at least ``quorum`` of ``acceptors`` are up, each with probability ``up``.

    Exact up to the last rounding: the sum is taken in fractions. Raises ``TypeError`` or ``ValueError`` for numbers
    that cannot be.
    """
    _check_count("acceptors", acceptors, 1, 1000)
    _check_count("quorum", quorum, 0, acceptors)
    if isinstance(up, bool) or not isinstance(up, (int, float)) or not 0 <= up <= 1:
        raise ValueError(f"up is {up!r}; it takes a probability from 0 to 1")
    p = Fraction(up)
    return float(sum(comb(acceptors, k) * p**k * (1 - p) ** (acceptors - k) for k in range(quorum, acceptors + 1)))


def intersect(acceptors: int, phase1: int, phase2: int) -> bool:
    """Whether every quorum of ``phase1`` of ``acceptors`` shares one with every quorum of ``phase2``."""
    _check_count("acceptors", acceptors, 1, 1000)
    _check_count("phase1", phase1, 1, acceptors)
    _check_count("phase2", phase2, 1, acceptors)
    return phase1 + phase2 > acceptors


@dataclass(frozen=True)
class Chances:
    """How often each phase is possible: ``phase1`` to elect a leader, ``phase2`` to decide under one, ``both``."""

    phase1: float
    phase2: float
    both: float


def phases(acceptors: int, phase1: int, phase2: int, up: float) -> Chances:
    """The availability of both phases; both are possible when the larger quorum is.

    Raises as ``availability``.
    """
    one, two = availability(acceptors, phase1, up), availability(acceptors, phase2, up)
    return Chances(one, two, min(one, two))


def missing_share(acceptors: int, phase1: int, phase2: int) -> float:
    """The share of pairs of a phase-1 and a phase-2 quorum that have no acceptor in common.

    For a given quorum of phase 1, C(n - q1, q2) of the C(n, q2) quorums of phase 2 miss it.
    """
    intersect(acceptors, phase1, phase2)
    return comb(acceptors - phase1, phase2) / comb(acceptors, phase2)


def _check_count(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}; it takes a whole number from {low} to {high}")
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; it takes a whole number from {low} to {high}")
