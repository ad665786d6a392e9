"""What a transaction costs, by formula: messages, forced log writes, message delays; N participants, a coordinator.

Mohan, Lindsay & Obermarck, *Transaction Management in the R\\* Distributed Database Management System* (1986), §2 to §5
(below: MLO), count every message, acknowledgements too. Gray & Lamport, *Consensus on Transaction Commit* (2006), §3
and §5 (below: GL), count up to where all participants know the decision, and begin with the participant that asks the
coordinator to commit.
"""

from __future__ import annotations

from typing import NamedTuple

from distlib.core import require

COMMIT, ABORT, ONE_READS, ALL_READ = "commit", "one votes no", "one only reads", "all only read"
RESTART, LATE = "coordinator restarts", "a participant is late"
SITUATIONS = (COMMIT, ABORT, ONE_READS, ALL_READ, RESTART, LATE)
"""What may happen to a transaction: all vote yes; one votes no; one, or all, only read; the coordinator crashes when it
has sent its decision, and sends it again; one participant is down when it is asked, and comes back."""


class Cost(NamedTuple):
    """Messages between nodes, and records that are forced to disk."""

    messages: int
    forced: int


def _presumed_nothing(n: int, situation: str) -> Cost:
    """MLO §2. Each message is asked and answered; each participant forces two records, the coordinator one."""
    return {
        COMMIT: Cost(4 * n, 2 * n + 1),
        ABORT: Cost(4 * n - 2, 2 * n),
        ONE_READS: Cost(4 * n, 2 * n + 1),
        ALL_READ: Cost(4 * n, 2 * n + 1),
        RESTART: Cost(6 * n, 2 * n + 1),
        LATE: Cost(4 * n - 1, 2 * n),
    }[situation]


def _presumed_abort(n: int, situation: str) -> Cost:
    """MLO §3. A commit costs as much; an abort is neither forced nor acknowledged; readers leave with their vote."""
    return {
        COMMIT: Cost(4 * n, 2 * n + 1),
        ABORT: Cost(3 * n - 1, n - 1),
        ONE_READS: Cost(4 * n - 2, 2 * n - 1),
        ALL_READ: Cost(2 * n, 0),
        RESTART: Cost(6 * n, 2 * n + 1),
        LATE: Cost(3 * n - 1, n - 1),
    }[situation]


def _presumed_commit(n: int, situation: str) -> Cost:
    """MLO §4. One record more at the coordinator; a commit is neither forced by participants nor acknowledged."""
    return {
        COMMIT: Cost(3 * n, n + 2),
        ABORT: Cost(4 * n - 2, 2 * n),
        ONE_READS: Cost(3 * n - 1, n + 1),
        ALL_READ: Cost(2 * n, 1),
        RESTART: Cost(3 * n, n + 2),
        LATE: Cost(4 * n - 1, 2 * n + 1),
    }[situation]


def _three_phases(n: int, situation: str) -> Cost:
    """Skeen 1981: one round more, and one record more at each participant; the coordinator needs none, and nothing
    is acknowledged at the end."""
    return {
        COMMIT: Cost(5 * n, 3 * n),
        ABORT: Cost(3 * n - 1, 2 * n - 1),
        ONE_READS: Cost(5 * n, 3 * n),
        ALL_READ: Cost(5 * n, 3 * n),
        RESTART: Cost(5 * n, 3 * n),
        LATE: Cost(3 * n - 1, 2 * n - 1),
    }[situation]


FORMULAS = {
    "TwoPhaseCommit": _presumed_nothing,
    "PresumedAbort": _presumed_abort,
    "PresumedCommit": _presumed_commit,
    "QuorumCommit": _three_phases,
}


def cost(protocol: str, participants: int, situation: str = COMMIT) -> Cost:
    """What a transaction costs with ``protocol`` (a key of ``FORMULAS``), coordinated by a node that is none of the
    ``participants``, in a ``situation``. Raises ``ValueError`` or ``TypeError`` for what there is no formula for."""
    require.choice("protocol", protocol, FORMULAS)
    require.whole("participants", participants, 1)
    require.choice("situation", situation, SITUATIONS)
    return FORMULAS[protocol](participants, situation)


def until_known(participants: int, *, together: bool = False) -> int:
    """GL §3.2: messages of two-phase commit until all participants know of the commit: 3N - 1, of which the first comes
    from the participant that began it; 3N - 3 if the coordinator is that participant (``together``)."""
    require.whole("participants", participants, 1)
    return 3 * participants - (3 if together else 1)


def delays(protocol: str, *, together: bool = False) -> int:
    """GL §3.2 and §5: message delays until all participants know of the commit, from when the first is prepared: four
    with two phases (three if it coordinates), two more with three phases."""
    require.choice("protocol", protocol, FORMULAS)
    return (3 if together else 4) + (2 if protocol == "QuorumCommit" else 0)
