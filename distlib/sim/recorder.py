"""Recorder: what a run leaves behind, gathered while it goes on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from distlib.core.invariant import Violation
from distlib.core.node import NodeId
from distlib.core.trace import IN_FLIGHT, Fired, Happened, Seen, Trace


class Recorder:
    """The growing form of a ``Trace``; with ``record=False`` it keeps no messages and no views."""

    def __init__(self, *, record: bool) -> None:
        self.record = record
        self.sent: list[tuple[Any, ...]] = []
        self.fates: dict[int, str] = {}
        self.late: dict[int, float] = {}
        self.duplicates: set[int] = set()
        self.states: list[Seen] = []
        self.faults: list[Happened] = []
        self.outputs: list[Happened] = []
        self.violations: list[Violation] = []
        self.timeouts: list[Fired] = []
        self.restarts: list[tuple[float, int, NodeId]] = []
        self._shown: dict[NodeId, Any] = {}

    def show(self, time_ms: float, node: NodeId, view: Any) -> None:
        """Note what ``node`` shows, if it is something new."""
        if view != self._shown.get(node, self):
            self._shown[node] = view
            self.states.append(Seen(time_ms, node, view))

    def broke(self, violation: Violation) -> None:
        """Keep the first witness of each invariant."""
        if all(violation.invariant != known.invariant for known in self.violations):
            self.violations.append(violation)

    def trace(self, under_way: Iterable[tuple[Any, ...]], **run: Any) -> Trace:
        """Everything so far, as constants. ``under_way`` are the events still waiting, some of them messages; ``run``
        says what the recorder does not know: nodes, seed, end_ms, stopped, events."""
        fates = self.fates | {event[1]: IN_FLIGHT for event in under_way if event[2] is not None}
        lists = ("sent", "states", "faults", "outputs", "violations", "timeouts", "restarts")
        kept: dict[str, Any] = {name: tuple(getattr(self, name)) for name in lists}
        return Trace(fates=fates, late=dict(self.late), duplicates=frozenset(self.duplicates), **kept, **run)
