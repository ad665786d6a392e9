"""Virtual time: one heap of events, ties broken by a counter, so that a run is a total order and repeats exactly."""

from __future__ import annotations

from heapq import heappush
from typing import Any


class EventQueue:
    """Events by virtual time in milliseconds; events of one time come out in the order they went in. An event is any
    tuple of arguments; (time, counter) stands in front, so two are never compared beyond their counter. Whoever
    takes an event from the heap sets ``now_ms`` to its time."""

    def __init__(self) -> None:
        self.heap: list[tuple[Any, ...]] = []
        self.now_ms = 0.0
        self.count = 0

    def push(self, at_ms: float, *event: Any) -> int:
        """Schedule ``event`` at ``at_ms``; returns its number. Raises ``ValueError`` for a time in the past."""
        if not at_ms >= self.now_ms:
            raise ValueError(f"an event at {at_ms!r} ms cannot be scheduled: virtual time is already {self.now_ms} ms")
        self.count += 1
        heappush(self.heap, (at_ms, self.count, *event))
        return self.count
