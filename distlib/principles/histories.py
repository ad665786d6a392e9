"""Histories to look at: recorded in simulated clusters, correct and broken, and small shapes from the literature."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isinf
from typing import Any

from distlib.check.history import sequential
from distlib.check.history.history import UNKNOWN, Fault, History
from distlib.check.history.readers import parse_jsonl
from distlib.core.fault import Partition
from distlib.core.node import node_names, with_peers
from distlib.core.trace import Trace
from distlib.paxos.multi_paxos import MultiPaxos
from distlib.raft.broken import ReadsWithoutAsking
from distlib.raft.raft import Raft
from distlib.replication.client import Client
from distlib.replication.history import history_of
from distlib.replication.state_machine import Get, Put
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network

SPECIFICATIONS: dict[str, Callable[[], sequential.Specification]] = {
    "register": sequential.Register, "compare-and-set": sequential.CasRegister, "key-value": sequential.KeyValueMap,
    "queue": sequential.Queue, "log": sequential.AppendOnlyLog, "lock": sequential.Mutex,
}  # fmt: skip
APART_MS, HEAL_MS, END_MS = 300.0, 900.0, 1300.0
OWN = "my own lines"


def recorded_history(trace: Trace) -> History:
    """What the clients of a run asked and were told of its one register, with its partitions; times in ms."""
    operations = [
        replace(one, key=None, call=round(one.call, 1), returned=round(one.returned, 1))
        for one in history_of(trace.outputs).operations
    ]
    partitions = [Fault("partition", one.time_ms, one.time_ms + (one.event.for_ms or trace.end_ms))
                  for one in trace.faults if isinstance(one.event, Partition)]  # fmt: skip
    return History(tuple(operations), tuple(partitions))


def recorded(protocol: type[Raft] | type[MultiPaxos], seed: int = 7) -> Trace:
    """Three clients at a cluster whose leader is cut off from the majority, together with one client that reads."""
    names = node_names(5)
    timeout = "election_timeout_ms" if issubclass(protocol, Raft) else "suspect_ms"
    nodes = with_peers(protocol, names, heartbeat_ms=40)
    setattr(nodes[0], timeout, (40, 50))  # so that S1 leads when it is cut off; the others wait 150 to 300 ms
    reads = (Get("x"),) * 8
    writes = tuple(Put("x", number) for number in range(1, 7))
    clients = [
        Client("reader", names[:2], reads, start_ms=(150, 160), think_ms=(90, 130), timeout_ms=150),
        Client("writer", names[2:], writes, start_ms=(120, 130), think_ms=(70, 110), timeout_ms=60),
        Client("both", names[2:], (Get("x"), Put("x", 100), Get("x"), Put("x", 200), Get("x")),
                   start_ms=(170, 180), think_ms=(80, 140), timeout_ms=60),
    ]  # fmt: skip
    cut = Partition(APART_MS, (("S1", "S2", "reader"), ("S3", "S4", "S5", "writer", "both")), HEAL_MS - APART_MS)
    return Cluster([*nodes, *clients], Network(Uniform(2, 8)), seed=seed, faults=(cut,)).run(END_MS)


@dataclass(frozen=True)
class Shape:
    """A small history as JSON lines (see ``distlib.check.history.readers``), the type it is of, and what it shows."""

    lines: str
    specification: str
    about: str
    linearizable: bool


def _rows(*rows: tuple[Any, ...]) -> str:
    keys = ("process", "f", "argument", "result", "call", "return")
    return "\n".join(json.dumps(dict(zip(keys, row, strict=True))) for row in rows)


SHAPES: Mapping[str, Shape] = {
    "overlapping: either order will do": Shape(
        _rows(("A", "write", 1, None, 0, 4), ("B", "write", 2, None, 1, 5), ("C", "read", None, 1, 6, 8)), "register",
        "Two writes overlap, so B's may come first, and the read is right.", True,
    ),
    "a stale read": Shape(
        _rows(("A", "write", 1, None, 0, 2), ("A", "write", 2, None, 3, 5), ("B", "read", None, 1, 6, 8)), "register",
        "The second write had returned before the read was called.", False,
    ),
    "new, then old again": Shape(
        _rows(("W", "write", 1, None, 0, 1), ("W", "write", 2, None, 2, 10), ("A", "read", None, 2, 3, 5),
              ("B", "read", None, 1, 6, 8)), "register",
        "Both reads overlap the write of 2, but the first saw it: regular, not atomic (Lamport 1986).", False,
    ),
    "nobody heard of the write": Shape(
        _rows(("A", "write", 1, None, 0, 2), ("B", "write", 2, None, 3, None), ("C", "read", None, 1, 4, 6),
              ("C", "read", None, 2, 7, 9)), "register",
        "B's write never returned; it may take effect late.", True,
    ),
    "a queue that overtakes": Shape(
        _rows(("A", "enqueue", "x", None, 0, 2), ("B", "enqueue", "y", None, 3, 5), ("B", "dequeue", None, "y", 6, 8)),
        "queue", "x was in before y, and y comes out first (after Herlihy & Wing 1990, figure 1).", False,
    ),
    "two hold the lock": Shape(
        _rows(("A", "acquire", None, None, 0, 1), ("B", "acquire", None, None, 2, 4),
              ("A", "release", None, None, 5, 6)),
        "lock", "B was given the lock before A had let go of it.", False,
    ),
}  # fmt: skip
RECORDED: Mapping[str, type[Raft] | type[MultiPaxos]] = {
    "recorded: Raft, leader cut off": Raft,
    "recorded: Multi-Paxos, leader cut off": MultiPaxos,
    "recorded: a leader that reads without asking": ReadsWithoutAsking,
}
NAMES = (*RECORDED, *SHAPES, OWN)


def to_jsonl(history: History) -> str:
    """``history`` as JSON lines that ``distlib.check.history.readers.parse_jsonl`` reads; faults come last."""
    lines = []
    for one in history.operations:
        record = {"process": one.process, "f": one.f, "argument": one.argument, "result": one.result, "key": one.key,
                  "call": one.call, "return": None if isinf(one.returned) else one.returned}  # fmt: skip
        left_out = (None, UNKNOWN)
        kept = {name: value for name, value in record.items() if name == "return" or value not in left_out}
        lines.append(json.dumps(kept, ensure_ascii=False))
    lines += [json.dumps({"fault": one.label, "start": one.start, "end": one.end}) for one in history.faults]
    return "\n".join(lines)


def history_called(name: str, seed: int = 7, lines: str = "") -> History:
    """One of ``NAMES``; ``seed`` matters for those recorded here, ``lines`` for the reader's own. Raises ``ValueError``
    for an unknown name, and, naming line and field, for lines that cannot be read."""
    if name in RECORDED:
        return recorded_history(recorded(RECORDED[name], seed))
    if name in SHAPES:
        return parse_jsonl(SHAPES[name].lines, source=name)
    if name != OWN:
        raise ValueError(f"there is no history {name!r}; there are {', '.join(map(repr, NAMES))}")
    if not lines.strip():
        raise ValueError("there are no lines of your own yet: write one operation a line into the box, as JSON")
    return parse_jsonl(lines, source="line")


def specification_of(name: str) -> str:
    """The type that a history is of: a name of ``SPECIFICATIONS``."""
    return SHAPES[name].specification if name in SHAPES else "register"
