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

from distlib.core import require


def availability(acceptors: int, quorum: int, up: float) -> float:
    """The probability that at least ``quorum`` of ``acceptors`` are up, each with probability ``up``.

    Exact up to the last rounding: the sum is taken in fractions. Raises ``TypeError`` or ``ValueError`` for numbers
    that cannot be.
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
