"""Ballots, and what proposers, acceptors and learners say to each other (Lamport, *Paxos Made Simple*, 2001)."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, NamedTuple

from distlib.core import require
from distlib.core.look import Look
from distlib.core.node import NodeId

Value = Hashable
"""What is to be agreed on: any hashable constant but None, which stands for *no value*."""


@dataclass(frozen=True, slots=True, order=True)
class Ballot:
    """A proposal number, as the paper calls it: round, then proposer, so that no two proposers share one (§2.2)."""

    round: int = 0
    proposer: NodeId = ""

    def __str__(self) -> str:
        return f"{self.round}.{self.proposer}" if self.round else "0"


NO_BALLOT = Ballot()
"""Below every ballot that a proposer uses: nothing promised, nothing accepted."""


class Report(NamedTuple):
    """What one acceptor said it had accepted (in a promise), or that it has accepted (to a learner)."""

    acceptor: NodeId
    ballot: Ballot
    value: Value | None

    def __str__(self) -> str:
        return f"{self.acceptor}:{self.value}@{self.ballot}"


# --- between proposers and acceptors (§2.2) -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Propose:
    """A client asks a proposer to get ``value`` chosen."""

    value: Value

    look = Look("slate", place=8)


@dataclass(frozen=True, slots=True)
class Prepare:
    """Phase 1a: promise not to accept below ``ballot``, and say what you have accepted."""

    ballot: Ballot

    look = Look("vermillion", place=6)


@dataclass(frozen=True, slots=True)
class Promise:
    """Phase 1b: the promise for ``ballot``, with the accepted proposal of the highest ballot, if there is one."""

    ballot: Ballot
    accepted_ballot: Ballot | None = None
    accepted_value: Value | None = None

    look = Look("vermillion", "dot", place=6)


@dataclass(frozen=True, slots=True)
class Accept:
    """Phase 2a: accept ``value`` at ``ballot``."""

    ballot: Ballot
    value: Value

    look = Look("blue", place=7)


@dataclass(frozen=True, slots=True)
class Accepted:
    """Phase 2b, to the proposer and to the learners: this acceptor accepted ``value`` at ``ballot``."""

    ballot: Ballot
    value: Value

    look = Look("sky", "dot", place=7)


@dataclass(frozen=True, slots=True)
class Nack:
    """``ballot`` comes too late, for the higher ballot ``promised`` has been promised (end of §2.2)."""

    ballot: Ballot
    promised: Ballot

    look = Look("purple", "dot", place=9)


# --- between learners and those who know (§2.3) ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Query:
    """A learner that has missed messages asks what has been accepted."""

    look = Look("mist", "dash", place=10)
    routine = True  # figures may fold it away


@dataclass(frozen=True, slots=True)
class Learned:
    """The answer to ``Query`` of a node that knows the chosen value."""

    value: Value

    look = Look("green", "dot", place=11)


# --- to the outside world -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BallotStarted:
    """A proposer began phase 1 with ``ballot``."""

    ballot: Ballot


@dataclass(frozen=True, slots=True)
class Chosen:
    """This node learnt that ``value`` is chosen."""

    value: Value


# --- quorums --------------------------------------------------------------------------------------------


def quorum_sizes(acceptors: int, phase1: Any, phase2: Any, *, unsafe: bool) -> tuple[int, int]:
    """How many of ``acceptors`` make a quorum of phase 1 and of phase 2.

    Two majorities if neither is given; if one is given, the other is the smallest that still intersects it. Raises
    ``ValueError`` for a size out of range and, unless ``unsafe``, for quorums of the two phases that need not
    intersect: the only requirement (Howard, Malkhi & Spiegelman, *Flexible Paxos*, 2016, §3).
    """
    for name, size in (("phase1_quorum", phase1), ("phase2_quorum", phase2)):
        if size is not None:
            require.whole(name, size, 1, acceptors)
    if phase1 is None and phase2 is None:
        phase1 = phase2 = acceptors // 2 + 1
    elif phase1 is None:
        phase1 = acceptors + 1 - phase2
    elif phase2 is None:
        phase2 = acceptors + 1 - phase1
    if phase1 + phase2 <= acceptors and not unsafe:
        raise ValueError(
            f"phase1_quorum={phase1} and phase2_quorum={phase2} need not intersect among {acceptors} acceptors; their "
            f"sum must be at least {acceptors + 1}. To see what goes wrong, say unsafe=True"
        )
    return phase1, phase2
