"""Quorums by their size: do they intersect, and how often is one available?

Flexible Paxos (Howard, Malkhi & Spiegelman, *Flexible Paxos: Quorum Intersection Revisited*, 2016, §3) asks no more
than that each quorum of phase 1 (size q1) shares an acceptor with each of phase 2 (size q2), which sizes guarantee
exactly when q1 + q2 > n.
"""

from __future__ import annotations

from fractions import Fraction
from math import comb

from distlib.core import require


def availability(acceptors: int, quorum: int, up: float) -> float:
    """The probability that at least ``quorum`` (q) of n ``acceptors`` are up, each with probability ``up`` (p).

    The upper tail of the binomial distribution, Σ_{k=q..n} C(n, k) p^k (1 - p)^(n - k), exact up to the last rounding.
    Raises ``TypeError`` or ``ValueError`` for numbers that cannot be.
    """
    require.whole("acceptors", acceptors, 1, 1000)
    require.whole("quorum", quorum, 0, acceptors)
    p = Fraction(require.number("up", up, 0, 1))
    return float(sum(comb(acceptors, k) * p**k * (1 - p) ** (acceptors - k) for k in range(quorum, acceptors + 1)))


def intersect(acceptors: int, phase1: int, phase2: int) -> bool:
    """Whether every quorum of ``phase1`` of ``acceptors`` shares one with every quorum of ``phase2``."""
    require.whole("acceptors", acceptors, 1, 1000)
    require.whole("phase1", phase1, 1, acceptors)
    require.whole("phase2", phase2, 1, acceptors)
    return phase1 + phase2 > acceptors


def missing_share(acceptors: int, phase1: int, phase2: int) -> float:
    """The share of pairs of a phase-1 and a phase-2 quorum that have no acceptor in common: for a given quorum of phase
    1, C(n - q1, q2) of the C(n, q2) quorums of phase 2 miss it."""
    intersect(acceptors, phase1, phase2)
    return comb(acceptors - phase1, phase2) / comb(acceptors, phase2)
