"""The space-time diagram (Lamport 1978): one lane a node, time to the right, messages as slanted lines.

The figure's traces keep their number and order for the same ``kinds`` and ``roles``, so that a FigureWidget
can be updated in place (as ``distlib.labs.picture`` does). Everything is drawn as traces, nothing as
layout shapes. Messages lie on the axis y, lanes and marks on y2 above it, so that a message passes under the
lanes between (a ``zorder`` would do the same, but makes plotly's animations blink).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import plotly.graph_objects as go

from distlib.core.node import NodeId
from distlib.core.trace import Trace, kind_of
from distlib.figures import lanes, theme
from distlib.figures.lane_bars import bars, paused_bars
from distlib.figures.marks import fault_marks, happening_ticks, partition_bands, violation_lines
from distlib.figures.message_lines import (
    duplicate_marks,
    highlighted_lines,
    message_lines,
    routine_lines,
    undelivered_crosses,
)
from distlib.figures.diagram import BOTTOM, BOTTOM_PX, LANE_PX, LEFT_PX, RIGHT_PX, ROW_PX, TOP, Diagram, diagram_of


def spacetime(
    trace: Trace,
    *,
    start_ms: float | None = None,
    end_ms: float | None = None,
    nodes: Iterable[NodeId] | None = None,
    fold_routine: bool = True,
    max_messages: int = 400,
    kinds: Sequence[str] | None = None,
    roles: Sequence[str] | None = None,
    highlight: Collection[int] = (),
    title: str = "",
    width: int = theme.WIDTH,
) -> go.Figure:
    """Draw ``trace`` from ``start_ms`` to ``end_ms`` (default: all of it).

    At most ``max_messages`` messages are drawn; when there are more, the window ends earlier and says so. With
    ``fold_routine``, heartbeats and such are thin and grey, or one tick a round where they would not fit. ``kinds``
    and ``roles`` fix which traces exist and in which order (default: those of this run); what they leave out shares
    the trace *other*. ``highlight`` holds numbers of messages to draw bold. Raises ``ValueError`` for a reversed or
    empty window, an unknown node, or ``max_messages`` below 1.
    """
    picture = diagram_of(trace, nodes, lanes.window(trace, start_ms, end_ms), fold_routine, max_messages, width)
    kinds = _kinds(trace, fold_routine) if kinds is None else tuple(kinds)
    parts = lanes.segments(trace, picture.nodes)
    roles = theme.in_order({part.role for part in parts}, tuple(theme.ROLES)) if roles is None else tuple(roles)
    figure = theme.figure(title=title, width=width)
    figure.add_traces(
        [
            *partition_bands(picture),
            routine_lines(picture),
            *message_lines(picture, kinds),
            highlighted_lines(picture, set(highlight)),
            *bars(picture, parts, roles),
            paused_bars(picture),
            undelivered_crosses(picture),
            duplicate_marks(picture),
            happening_ticks(picture),
            fault_marks(picture),
            violation_lines(picture),
        ]
    )
    return _layout(figure, picture, bool(title))


def _kinds(trace: Trace, fold_routine: bool) -> tuple[str, ...]:
    messages = (copy[4] for copy in trace.sent)
    found = {kind_of(one) for one in messages if not (fold_routine and getattr(one, "routine", False))}
    return theme.in_order(found, tuple(theme.KINDS))


def _layout(figure: go.Figure, picture: Diagram, titled: bool) -> go.Figure:
    rows = theme.legend_rows(figure, "legend", picture.width - LEFT_PX - RIGHT_PX)
    below = theme.legend_rows(figure, "legend2", picture.width - LEFT_PX - RIGHT_PX)
    lanes_px = LANE_PX * (len(picture.nodes) - 1 + TOP + BOTTOM)
    top_px = (34 if titled else 10) + ROW_PX * (rows + below)
    figure.update_layout(
        height=round(top_px + lanes_px + BOTTOM_PX),
        margin={"t": top_px, "b": BOTTOM_PX, "l": LEFT_PX, "r": RIGHT_PX},
        barmode="overlay",
        uniformtext={"minsize": 10, "mode": "hide"},
        legend={"y": 1 + (ROW_PX * below + 2) / lanes_px},
        legend2={"orientation": "h", "x": 0, "xanchor": "left", "y": 1 + 2 / lanes_px, "yanchor": "bottom"},
        hovermode="closest",
    )
    figure.update_xaxes(range=[picture.start_ms, picture.end_ms], title_text=_time_title(picture), tickformat=",")
    figure.update_yaxes(
        range=[1 - len(picture.nodes) - BOTTOM, TOP],
        tickvals=[picture.y(node) for node in picture.nodes],
        ticktext=[f"<b>{lanes.plain(node)}</b>" for node in picture.nodes],
        tickfont={"size": 13, "color": theme.INK},
        fixedrange=True,
        showgrid=False,
        ticks="",
        showline=False,
    )
    figure.update_layout(
        yaxis2={
            "overlaying": "y",
            "range": [1 - len(picture.nodes) - BOTTOM, TOP],
            "visible": False,
            "fixedrange": True,
        }
    )
    return figure


def _time_title(picture: Diagram) -> str:
    drawn = len(picture.flights) + len(picture.routine)
    if drawn == picture.total:
        return "virtual time (ms)"
    window = f"window {picture.start_ms:,.0f}–{picture.end_ms:,.0f} ms"
    return f"virtual time (ms) · <b>showing {drawn:,} of {picture.total:,} messages: {window}</b>"
