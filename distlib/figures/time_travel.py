"""The space-time diagram with a cursor that moves: what is in flight at that time, and what each node shows."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from distlib.core.trace import Trace
from distlib.figures import lanes, theme
from distlib.figures.diagram import BOTTOM, Diagram, diagram_of
from distlib.figures.message_lines import message_path
from distlib.figures.player import add_player, moments
from distlib.figures.shapes import plain, transposed
from distlib.figures.spacetime import draw

SIDE_PX = 172
"""Room at the right for what each node shows at the cursor's time."""


def time_travel(trace: Trace, *, frames: int = 60, fold_routine: bool = True, **options: Any) -> go.Figure:
    """The diagram of ``spacetime`` (``options``: its ``start_ms``, ``end_ms``, ``nodes``, ``max_messages``) with a
    cursor.

    Slider and play button move through ``frames`` instants of the window; messages in flight are bold with a dot where
    they are, and each node's role, term and commit index at that time stand at the right. All of it is in the figure,
    so it works in a static page. Raises ``ValueError`` as ``spacetime`` does, and for ``frames`` outside 2 to 400.
    """
    picture = diagram_of(trace, fold_routine=fold_routine, width=theme.WIDTH - SIDE_PX, **options)
    times = moments(picture.start_ms, picture.end_ms, frames)
    figure = draw(picture, fold_routine)
    first = len(figure.data)
    kept = _kept(figure)
    same = [{"type": figure.data[number].type} for number in kept]
    figure.add_traces(_moving(picture, times[0], styled=True))
    figure.update_layout(
        width=theme.WIDTH, margin_r=figure.layout.margin.r + SIDE_PX,
        xaxis2={"overlaying": "x", "range": [0, 1], "visible": False, "fixedrange": True}, dragmode=False,
    )  # fmt: skip
    changed = [*range(first, len(figure.data)), *kept]
    drawn = [{"data": [*_moving(picture, time_ms), *same], "traces": changed} for time_ms in times]
    return add_player(figure, drawn, times, below_px=44)


def _kept(figure: go.Figure) -> list[int]:
    """Traces that each frame must name though they stay: plotly clears the bars, and whole layers, that it does not."""
    bars = [number for number, part in enumerate(figure.data) if part.type == "bar"]
    below = [n for n, part in enumerate(figure.data) if part.type == "scatter" and part.yaxis != "y2" and part.x]
    return bars + below[:1]


def _moving(picture: Diagram, at_ms: float, styled: bool = False) -> list[go.Scatter]:
    """The traces that change from frame to frame; only the first ones carry their style. Each has a point at least, as
    plotly would not redraw it without one."""
    views = lanes.shown_at(picture.trace, at_ms)
    flying, heads = _in_flight(picture, at_ms)
    (x, y), (head_x, head_y, said) = transposed(flying, 2), transposed(heads, 3)
    parts: list[dict[str, Any]] = [
        {"x": [at_ms, at_ms], "y": [0.02 - BOTTOM - len(picture.nodes) + 1, picture.top - 0.04]},
        {"x": x or [None], "y": y or [None]},
        {"x": head_x or [None], "y": head_y or [None], "hovertext": said},
        {"text": [state_text(views[node]) if node in views else "" for node in picture.nodes]},
    ]
    styles = _moving_styles(picture) if styled else [{}] * len(parts)
    return [go.Scatter(**part, **style) for part, style in zip(parts, styles, strict=True)]


def _moving_styles(picture: Diagram) -> list[dict[str, Any]]:
    """Cursor, messages in flight, their heads, and what the nodes show."""
    over = {"yaxis": "y2", "showlegend": False}
    line = {"mode": "lines", "hoverinfo": "skip", **over}
    return [
        {"name": "now", "line": {"color": theme.INK, "width": 1.5}, **line},
        {"line": {"color": theme.INK, "width": 2.6}, **line},
        {
            "mode": "markers", "hoverinfo": "text", **over,
            "marker": {"size": 9, "color": theme.YELLOW, "line": {"color": theme.INK, "width": 1.5}},
        },
        {
            "x": [1.0] * len(picture.nodes), "y": [picture.y(node) for node in picture.nodes], "xaxis": "x2",
            "mode": "text", "textposition": "middle right", "textfont": {"size": 12, "color": theme.INK},
            "cliponaxis": False, "hoverinfo": "skip", **over,
        },
    ]  # fmt: skip


def _in_flight(picture: Diagram, at_ms: float) -> tuple[list[tuple[Any, Any]], list[tuple[float, float, str]]]:
    """The way so far of each message under way, with gaps between, and the places and words of their heads."""
    line: list[tuple[Any, Any]] = []
    heads = []
    for flight in (*picture.flights, *picture.routine):
        if flight.start_ms > at_ms:
            continue
        (start, low), *_, (end, high) = message_path(picture, flight)
        if not start <= at_ms <= end or start == end:
            continue
        now, height = round(at_ms, 2), round(low + (high - low) * (at_ms - start) / (end - start), 3)
        if not flight.routine:
            line += [(round(start, 2), round(low, 2)), (now, height), (None, None)]
        heads.append((now, height, lanes.flight_text(flight)))
    return line, heads


def state_text(view: Any) -> str:
    """A node's state in two short lines: role, term and, if it has one, the commit index."""
    label = f"\u2002<b>{plain(lanes.label_of(view))}</b>"
    commit, log = getattr(view, "commit_index", None), getattr(view, "log", None)
    if commit is None:
        return label
    more = "" if log is None else f" of {len(log) + int(getattr(view, 'snapshot_index', 0) or 0)}"
    return f"{label}<br>\u2002committed {commit}{more}"
