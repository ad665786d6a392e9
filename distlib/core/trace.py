"""Trace: everything that happened in one run, immutable, with pandas views; the only thing that figures see. Times are
virtual milliseconds. The views are built on first use and kept: copy them before editing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

from distlib.core.node import NodeId

DELIVERED, LOST, PARTITIONED, DOWN, IN_FLIGHT = "delivered", "lost", "partitioned", "receiver down", "in flight"
FATES = (DELIVERED, LOST, PARTITIONED, DOWN, IN_FLIGHT)
"""What became of a message: delivered; lost by the network; stopped by a partition; the receiver had crashed;
still under way when the run ended."""


class Sent(NamedTuple):
    """One copy of a message. ``due_ms`` is when the network would deliver it, whatever became of it then."""

    due_ms: float
    number: int
    sender: NodeId
    receiver: NodeId
    message: Any
    sent_ms: float


class Seen(NamedTuple):
    """From ``time_ms`` on, ``node`` showed ``view`` (a NamedTuple of the protocol; None while it is crashed)."""

    time_ms: float
    node: NodeId
    view: Any


class Happened(NamedTuple):
    """At ``time_ms``, a fault was applied (``node`` None for the network) or a node told ``event`` to the world."""

    time_ms: float
    node: NodeId | None
    event: Any


class Fired(NamedTuple):
    """The timer ``name``/``key`` of ``node`` fired; ``number`` orders it among the messages of that time."""

    time_ms: float
    number: int
    node: NodeId
    name: str
    key: Any


@dataclass(frozen=True)
class Trace:
    """One run: the messages, the states that nodes showed, the faults applied and the outputs.

    ``sent`` holds plain tuples in the form of ``Sent``; ``fates`` names the fate of every copy that was
    *not* delivered, by number; ``late`` the time at which a copy was handled, where the receiver was paused
    or busy when it came; ``duplicates`` the numbers of extra copies. ``violations`` are the invariants that
    broke, as found live. ``stopped`` says why the run ended. ``timeouts`` and ``restarts`` (time_ms, number,
    node) are what a run needs beside its messages to be taken again, step by step (``distlib.check.cluster.replay``).
    """

    nodes: tuple[NodeId, ...]
    seed: int
    end_ms: float
    sent: tuple[tuple[Any, ...], ...]
    fates: Mapping[int, str]
    late: Mapping[int, float]
    duplicates: frozenset[int]
    states: tuple[Seen, ...]
    faults: tuple[Happened, ...]
    outputs: tuple[Happened, ...]
    violations: tuple[Any, ...] = ()
    stopped: str = "time"
    events: int = 0
    timeouts: tuple[Fired, ...] = ()
    restarts: tuple[tuple[float, int, NodeId], ...] = ()

    @cached_property
    def messages(self) -> pd.DataFrame:
        """One row a copy of a message: number, sent_ms, delivered_ms (NaN if it was not), latency_ms, sender, receiver,
        link, kind, fate (one of ``FATES``), duplicate, routine (heartbeats and such), text, message."""
        import pandas as pd

        table = pd.DataFrame(self.sent, columns=["due_ms", "number", "sender", "receiver", "message", "sent_ms"])
        table["fate"] = [self._fate(number) for number in table["number"]]
        arrived = table["fate"] == DELIVERED
        handled = [self.late.get(number, due) for due, number in zip(table["due_ms"], table["number"], strict=True)]
        table["delivered_ms"] = pd.Series(handled, dtype=float).where(arrived)
        table["latency_ms"] = table["delivered_ms"] - table["sent_ms"]
        table["link"] = table["sender"] + " → " + table["receiver"]
        table["kind"] = [kind_of(message) for message in table["message"]]
        table["routine"] = [bool(getattr(message, "routine", False)) for message in table["message"]]
        table["duplicate"] = table["number"].isin(self.duplicates)
        table["text"] = [describe(message) for message in table["message"]]
        order = "number sent_ms delivered_ms due_ms latency_ms sender receiver link kind fate"
        return table[[*order.split(), "duplicate", "routine", "text", "message"]]

    @cached_property
    def views(self) -> pd.DataFrame:
        """One row a change of what a node shows: time_ms, node, up (not crashed), then the view's own fields."""
        import pandas as pd

        names: list[str] = []
        for seen in self.states:
            names += [name for name in getattr(seen.view, "_fields", ()) if name not in names]
        rows = [
            (seen.time_ms, seen.node, seen.view is not None, *(getattr(seen.view, name, None) for name in names))
            for seen in self.states
        ]
        return pd.DataFrame(rows, columns=["time_ms", "node", "up", *names])

    @cached_property
    def fault_table(self) -> pd.DataFrame:
        """One row a fault: time_ms, kind, node, text."""
        return _happenings(self.faults)

    @cached_property
    def output_table(self) -> pd.DataFrame:
        """One row an output: time_ms, node, kind, text, event."""
        return _happenings(self.outputs)

    def outputs_of(self, event_class: type) -> list[Happened]:
        """The outputs whose event is an ``event_class``, in order of time."""
        return [one for one in self.outputs if isinstance(one.event, event_class)]

    def view_at(self, node: NodeId, time_ms: float) -> Any:
        """What ``node`` showed at ``time_ms`` (after all events of that instant); None if crashed or not started."""
        before = (seen.view for seen in reversed(self.states) if seen.node == node and seen.time_ms <= time_ms)
        return next(before, None)

    def transcript(self, *, routine: bool = True) -> Iterator[str]:
        """The run as lines that people read: ``12.5 ms  S1 → S2 RequestVote term=1``, in order of delivery."""
        lines: list[tuple[float, int, str]] = []
        for due_ms, number, sender, receiver, message, _sent in self.sent:
            if routine or not getattr(message, "routine", False):
                note = f"  ({self.fates[number]})" if number in self.fates else ""
                at_ms = self.late.get(number, due_ms)
                lines.append((at_ms, number, f"{sender} → {receiver} {describe(message)}{note}"))
        lines += [(fault.time_ms, 0, describe(fault.event)) for fault in self.faults]
        lines += [(out.time_ms, 2**62, f"{out.node}: {describe(out.event)}") for out in self.outputs]
        for time_ms, _number, text in sorted(lines, key=lambda line: line[:2]):
            yield f"{time_ms:10.3f} ms  {text}"

    def _fate(self, number: int) -> str:
        return self.fates.get(number, DELIVERED)

    def to_bytes(self) -> bytes:
        """The whole trace as canonical JSON: equal runs give equal bytes, in any process."""
        data = {
            **{name: getattr(self, name) for name in ("nodes", "seed", "end_ms", "stopped")},
            "sent": [
                [repr(sent), repr(self.late.get(no, due)), no, sender, to, describe(message), self._fate(no)]
                for due, no, sender, to, message, sent in self.sent
            ],
            "states": [[repr(seen.time_ms), seen.node, describe(seen.view)] for seen in self.states],
            "faults": [[repr(one.time_ms), describe(one.event)] for one in self.faults],
            "outputs": [[repr(one.time_ms), one.node, describe(one.event)] for one in self.outputs],
            "violations": [str(one) for one in self.violations],
        }
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()

    @cached_property
    def digest(self) -> str:
        """SHA-256 of ``to_bytes``, in hexadecimal."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def kind_of(message: Any) -> str:
    """A message's kind as shown to people: its ``kind`` if it has one (a heartbeat, say), else its class's name."""
    return getattr(message, "kind", None) or type(message).__name__


def describe(value: Any) -> str:
    """A message, event or view on one line: ``RequestVote term=1 candidate=S1``; sets in order, None left out."""
    names: Iterable[str]
    if is_dataclass(value) and not isinstance(value, type):
        names = [item.name for item in fields(value) if item.repr]
    elif hasattr(value, "_fields"):
        names = value._fields
    else:
        return _text(value)
    shown = [f"{name}={_text(item)}" for name in names if (item := getattr(value, name)) is not None]
    return " ".join([kind_of(value), *shown])


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, float):
        return f"{value:g}" if abs(value - float(f"{value:g}")) < 1e-12 else repr(value)
    if isinstance(value, (frozenset, set)):
        return "{" + ", ".join(sorted(map(_text, value))) + "}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_text(key)}: {_text(item)}" for key, item in sorted(value.items())) + "}"
    if is_dataclass(value) and "__str__" in type(value).__dict__:
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return f"{type(value).__name__}({', '.join(_text(getattr(value, item.name)) for item in fields(value))})"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(_text, value)) + "]"
    return str(value)


def _happenings(rows: Iterable[Happened]) -> pd.DataFrame:
    import pandas as pd

    table = [(one.time_ms, kind_of(one.event), one.node, describe(one.event), one.event) for one in rows]
    return pd.DataFrame(table, columns=["time_ms", "kind", "node", "text", "event"])
