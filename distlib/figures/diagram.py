"""What a space-time diagram shows: its window, its lanes, the messages that find room, and where they stand."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from distlib.core.node import NodeId
from distlib.core.trace import Trace
from distlib.figures import lanes
from distlib.figures.lanes import Flight

HALF = 0.17
"""Half the height of a lane's bar, where two lanes are 1 apart."""
LANE_PX, BOTTOM_PX, LEFT_PX, RIGHT_PX, ROW_PX = 66, 58, 64, 24, 22
"""Pixels: a lane, the time axis, the names of the nodes, the right margin, a row of the legend."""
TOP, BOTTOM = 0.82, 0.5
"""Room above the first lane (for the names of partitions) and below the last, in lanes."""


class Diagram(NamedTuple):
    """What is drawn: the window, the lanes, and the messages that found room."""

    trace: Trace
    nodes: tuple[NodeId, ...]
    start_ms: float
    end_ms: float
    flights: list[Flight]
    routine: list[Flight]
    total: int
    width: int
    partitions: list[tuple[float, float, frozenset[lanes.Link]]]

    def y(self, node: NodeId) -> float:
        """The height of a lane's middle."""
        return -float(self.nodes.index(node))

    def px(self, ms: float) -> float:
        """How wide a time is on the screen."""
        return ms * (self.width - LEFT_PX - RIGHT_PX) / (self.end_ms - self.start_ms)

    def shows(self, time_ms: float, node: NodeId | None = None) -> bool:
        """Whether the time, and the node if there is one, are in the picture."""
        return self.start_ms <= time_ms <= self.end_ms and (node is None or node in self.nodes)


def diagram_of(
    trace: Trace,
    nodes: Iterable[NodeId] | None,
    window: tuple[float, float],
    fold_routine: bool,
    max_messages: int,
    width: int,
) -> Diagram:
    """Choose what fits: all messages of the window, or its first ``max_messages``."""
    if isinstance(max_messages, bool) or not isinstance(max_messages, int) or max_messages < 1:
        raise ValueError(f"max_messages is {max_messages!r}; it takes a whole number of at least 1")
    chosen, (start, end) = lanes.chosen_nodes(trace, nodes), window
    found = lanes.flights(trace, start, end, chosen)
    telling = [one for one in found if not (fold_routine and one.routine)]
    if len(telling) > max_messages:
        end = max(telling[max_messages].start_ms, math.nextafter(start, math.inf))
        telling = telling[:max_messages]
    routine = [one for one in found if fold_routine and one.routine and one.start_ms <= end]
    cuts = [
        (span.start_ms, span.end_ms, lanes.partitioned_by(span.event, trace.nodes))
        for span in lanes.spans(trace)
        if span.kind in lanes.CUTS
    ]
    return Diagram(trace, chosen, start, end, telling, routine, len(found), width, cuts)
