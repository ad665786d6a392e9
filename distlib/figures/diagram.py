"""What a space-time diagram shows: its window, its lanes, the messages that find room, and where they stand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from distlib.core import require
from distlib.core.fault import Link, partitioned_links
from distlib.core.node import NodeId
from distlib.core.trace import Trace
from distlib.figures import lanes, theme
from distlib.figures.lanes import Flight
from distlib.figures.shapes import plain

HALF = 0.17
"""Half the height of a lane's bar, where two lanes are 1 apart."""
LANE_PX, BOTTOM_PX, LEFT_PX, RIGHT_PX, ROW_PX = 66, 58, 64, 24, 22
"""Pixels: a lane, the time axis, the names of the nodes, the right margin, a row of the legend."""
TOP, BOTTOM = 0.52, 0.5
"""Room above the first lane and below the last, in lanes."""
NAMED_TOP = 0.82
"""Room above the first lane where the names of partitions stand there."""
OVER = {"yaxis": "y2", "legend": "legend2"}
"""What lies over the messages, and is named in the second row of the legend."""


class Diagram(NamedTuple):
    """What is drawn: the window, the lanes, and the messages that found room, out of ``total``."""

    trace: Trace
    nodes: tuple[NodeId, ...]
    start_ms: float
    end_ms: float
    width: int
    flights: Sequence[Flight] = ()
    routine: Sequence[Flight] = ()
    total: int = 0
    partitions: Sequence[tuple[float, float, frozenset[Link]]] = ()

    def y(self, node: NodeId | None) -> float:
        """The height of a lane's middle."""
        return -float(self.nodes.index(node or ""))

    @property
    def top(self) -> float:
        """The upper edge: there is room for the names of partitions where the run has any."""
        return NAMED_TOP if self.partitions else TOP

    def px(self, ms: float) -> float:
        """How wide a time is on the screen."""
        return ms * (self.width - LEFT_PX - RIGHT_PX) / (self.end_ms - self.start_ms)

    def shows(self, time_ms: float, node: NodeId | None = None) -> bool:
        """Whether the time, and the node if there is one, are in the picture."""
        return self.start_ms <= time_ms <= self.end_ms and (node is None or node in self.nodes)

    def clipped(self, start_ms: float, end_ms: float) -> tuple[float, float] | None:
        """What of a span of time is in the picture; None if nothing is."""
        start, end = max(start_ms, self.start_ms), min(end_ms, self.end_ms)
        return (start, end) if start < end else None


def diagram_of(
    trace: Trace, *, start_ms: float | None = None, end_ms: float | None = None, nodes: Iterable[NodeId] | None = None,
    fold_routine: bool = True, max_messages: int = 400, width: int = theme.WIDTH,
) -> Diagram:  # fmt: skip
    """Choose what fits: all messages of the window, or its first ``max_messages``; see ``spacetime`` for the rest."""
    require.whole("max_messages", max_messages, 1)
    chosen, (start, end) = lanes.chosen_nodes(trace, nodes), lanes.window(trace, start_ms, end_ms)
    found = lanes.flights(trace, start, end, chosen)
    telling = [one for one in found if not (fold_routine and one.routine)]
    if len(telling) > max_messages:
        end = max(telling[max_messages].start_ms, math.nextafter(start, math.inf))
        telling = telling[:max_messages]
    routine = [one for one in found if fold_routine and one.routine and one.start_ms <= end]
    partitions = [
        (one.start_ms, one.end_ms, partitioned_links(one.fault, trace.nodes)) for one in lanes.partitions(trace)
    ]
    return Diagram(trace, chosen, start, end, width, telling, routine, len(found), partitions)


def lay_out(figure: go.Figure, picture: Diagram) -> None:
    """Axes, margins and legends around the traces of a space-time diagram, which ``figure`` already has."""
    room_px, count = picture.width - LEFT_PX - RIGHT_PX, len(picture.nodes)
    below = theme.legend_rows(figure, "legend2", room_px)
    top_px = 10 + ROW_PX * (theme.legend_rows(figure, "legend", room_px) + below)
    lanes_px, height = LANE_PX * (count - 1 + picture.top + BOTTOM), [1 - count - BOTTOM, picture.top]
    figure.update_layout(
        legend={"y": 1 + (ROW_PX * below + 2) / lanes_px}, legend2=theme.legend_above(1 + 2 / lanes_px),
        hovermode="closest", yaxis2={"overlaying": "y", "range": height, "visible": False, "fixedrange": True},
    )  # fmt: skip
    lay_out_lanes(figure, picture, (top_px, lanes_px, BOTTOM_PX), range=height, **lane_names(picture))


def lay_out_lanes(figure: go.Figure, picture: Diagram, rows_px: tuple[float, float, float], **axis: Any) -> None:
    """The time axis under lanes, and the room above, of and below them in ``rows_px``; ``axis`` names the lanes."""
    margin = theme.margins(LEFT_PX, RIGHT_PX, rows_px[0], rows_px[2])
    figure.update_layout(height=round(sum(rows_px)), margin=margin, yaxis={**theme.ROWS, **axis})
    figure.update_layout(barmode="overlay", uniformtext={"minsize": 10, "mode": "hide"})
    figure.update_xaxes(range=[picture.start_ms, picture.end_ms], title_text=_time_title(picture), tickformat=",")


def lane_names(picture: Diagram) -> dict[str, list[Any]]:
    """The name of each node at its lane, as properties of an axis."""
    return {
        "tickvals": [picture.y(node) for node in picture.nodes],
        "ticktext": [f"<b>{plain(node)}</b>" for node in picture.nodes],
    }


def _time_title(picture: Diagram) -> str:
    drawn = len(picture.flights) + len(picture.routine)
    if drawn == picture.total:
        return "virtual time (ms)"
    window = f"window {picture.start_ms:,.0f}–{picture.end_ms:,.0f} ms"
    return f"virtual time (ms) · <b>showing {drawn:,} of {picture.total:,} messages: {window}</b>"
