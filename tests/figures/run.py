"""Hand-made runs for the figures' tests: no simulator, so that every number in them is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from distlib.core.fault import Crash, Partition
from distlib.core.invariant import Violation
from distlib.core.trace import DOWN, LOST, PARTITIONED, Happened, Seen, Trace


class Entry(NamedTuple):
    term: int
    command: str


class View(NamedTuple):
    role: str
    term: int
    commit_index: int = 0
    last_applied: int = 0
    snapshot_index: int = 0
    log: tuple[Entry, ...] = ()
    next_index: tuple[tuple[str, int], ...] = ()
    match_index: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class RequestVote:
    term: int
    note: str = "<b>bold</b> & more"


@dataclass(frozen=True)
class Vote:
    term: int


@dataclass(frozen=True)
class Beat:
    routine: bool = True
    kind: str = "Heartbeat"


@dataclass(frozen=True)
class Applied:
    index: int


def sent(number: int, at: float, due: float, sender: str, receiver: str, message: Any) -> tuple[Any, ...]:
    return (due, number, sender, receiver, message, at)


def trace(**changes: Any) -> Trace:
    """Three servers for 100 ms: S1 leads from 30 ms, crashes at 60, restarts at 80; S3 is cut off from 40 to 50."""
    parts: dict[str, Any] = {
        "nodes": ("S1", "S2", "S3"),
        "seed": 1,
        "end_ms": 100.0,
        "sent": (
            sent(1, 10, 20, "S1", "S2", RequestVote(1)),
            sent(2, 10, 20, "S1", "S3", RequestVote(1)),
            sent(3, 20, 30, "S2", "S1", Vote(1)),
            sent(4, 20, 28, "S3", "S1", Vote(1)),
            sent(5, 35, 39, "S1", "S2", Beat()),
            sent(6, 35, 39, "S1", "S3", Beat()),
            sent(7, 42, 46, "S1", "S3", RequestVote(2)),
            sent(8, 62, 66, "S2", "S1", Vote(2)),
            sent(9, 20, 33, "S2", "S1", Vote(1)),
        ),
        "fates": {4: LOST, 7: PARTITIONED, 8: DOWN},
        "late": {},
        "duplicates": frozenset({9}),
        "states": (
            Seen(0.0, "S1", View("follower", 0)),
            Seen(0.0, "S2", View("follower", 0)),
            Seen(0.0, "S3", View("follower", 0)),
            Seen(10.0, "S1", View("candidate", 1)),
            Seen(20.0, "S2", View("follower", 1)),
            Seen(30.0, "S1", View("leader", 1)),
            Seen(45.0, "S1", View("leader", 1, commit_index=2)),
            Seen(60.0, "S1", None),
            Seen(80.0, "S1", View("follower", 1)),
        ),
        "faults": (
            Happened(40.0, None, Partition(40.0, (("S1", "S2"), ("S3",)), 10.0)),
            Happened(60.0, "S1", Crash(60.0, "S1", 20.0)),
        ),
        "outputs": (Happened(45.0, "S1", Applied(1)), Happened(45.0, "S1", Applied(2))),
    }
    return Trace(**{**parts, **changes})


def empty(*nodes: str, end_ms: float = 0.0) -> Trace:
    """A run in which nothing happened."""
    return Trace(nodes or ("S1",), 0, end_ms, (), {}, {}, frozenset(), (), (), ())


def long(messages: int) -> Trace:
    """Two nodes that talk all the time: one message a millisecond."""
    copies = tuple(sent(n, float(n), n + 2.0, "AB"[n % 2], "BA"[n % 2], Vote(n)) for n in range(messages))
    return Trace(("A", "B"), 0, messages + 2.0, copies, {}, {}, frozenset(), (), (), ())


BROKEN = Violation("Log Matching", "S1 and S2 differ at index 3", 70.0)
