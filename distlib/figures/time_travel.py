"""The space-time diagram with a cursor that moves: what is in flight at that time, and what each node shows."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from distlib.core.node import NodeId
from distlib.core.trace import Trace
from distlib.figures import lanes, theme
from distlib.figures.message_lines import message_path
from distlib.figures.diagram import BOTTOM, TOP, Diagram, diagram_of
from distlib.figures.player import add_player, moments
from distlib.figures.spacetime import spacetime

SIDE_PX = 172
"""Room at the right for what each node shows at the cursor's time."""


class Views:
    """What every node shows at any time, found quickly."""

    def __init__(self, trace: Trace) -> None:
        self._times: dict[NodeId, list[float]] = {node: [] for node in trace.nodes}
        self._views: dict[NodeId, list[Any]] = {node: [] for node in trace.nodes}
        for seen in trace.states:
            self._times.setdefault(seen.node, []).append(seen.time_ms)
            self._views.setdefault(seen.node, []).append(seen.view)

    def shows(self, node: NodeId) -> bool:
        """Whether the node ever showed anything."""
        return bool(self._times[node])

    def at(self, node: NodeId, time_ms: float) -> Any:
        """What ``node`` showed at ``time_ms``; None if it was down or had not started."""
        number = bisect_right(self._times[node], time_ms)
        return self._views[node][number - 1] if number else None

    def alive(self, node: NodeId, time_ms: float) -> Any:
        """What ``node`` shows at ``time_ms`` or, while it is down, showed last; None if it never started."""
        number = bisect_right(self._times[node], time_ms)
        return next((view for view in reversed(self._views[node][:number]) if view is not None), None)


def time_travel(trace: Trace, *, frames: int = 60, **options: Any) -> go.Figure:
    """The diagram of ``spacetime``, whose ``options`` it takes, with a time cursor.

    The slider and the play button move through ``frames`` instants of the window; messages in flight are drawn bold
    with a dot where they are, and each node's role, term and commit index at that time stand at the right. All of
    it is in the figure, so it works in a static page. Raises ``ValueError`` as ``spacetime`` does, and for
    ``frames`` outside 2 to 400.
    """
    width = options.pop("width", theme.WIDTH)
    figure = spacetime(trace, width=width - SIDE_PX, **options)
    picture = diagram_of(
        trace,
        options.get("nodes"),
        lanes.window(trace, options.get("start_ms"), options.get("end_ms")),
        options.get("fold_routine", True),
        options.get("max_messages", 400),
        width - SIDE_PX,
    )
    times = moments(picture.start_ms, picture.end_ms, frames)
    views = Views(trace)
    first = len(figure.data)
    figure.add_traces(_moving(picture, views, times[0], styled=True))
    margin = figure.layout.margin.r + SIDE_PX
    figure.update_layout(
        width=width,
        margin_r=margin,
        xaxis2={"overlaying": "x", "range": [0, 1], "visible": False, "fixedrange": True},
        dragmode=False,
    )
    moving, kept = list(range(first, len(figure.data))), _kept(figure, first)
    same = [{"type": figure.data[number].type} for number in kept]
    drawn = [go.Frame(data=[*_moving(picture, views, time_ms), *same], traces=moving + kept) for time_ms in times]
    return add_player(figure, drawn, times, below_px=44)


def _kept(figure: go.Figure, first: int) -> list[int]:
    """Traces that each frame must name though they stay as they are: plotly clears the bars, and whole layers, that
    it does not."""
    bars = [number for number in range(first) if figure.data[number].type == "bar"]
    below = [
        n
        for n in range(first)
        if figure.data[n].type == "scatter" and figure.data[n].yaxis != "y2" and figure.data[n].x
    ]
    return bars + below[:1]


def _moving(picture: Diagram, views: Views, at_ms: float, styled: bool = False) -> list[go.Scatter]:
    """The traces that change from frame to frame; only the first ones carry their style. None is ever without a
    point: plotly would not redraw it."""
    low = 0.02 - BOTTOM - len(picture.nodes) + 1
    x, y, heads = _in_flight(picture, at_ms)
    cursor: dict[str, Any] = {"x": [at_ms, at_ms], "y": [low, TOP - 0.04]}
    flying: dict[str, Any] = {"x": x or [None], "y": y or [None]}
    dots: dict[str, Any] = {
        "x": [head[0] for head in heads] or [None],
        "y": [head[1] for head in heads] or [None],
        "hovertext": [head[2] for head in heads],
    }
    now: dict[str, Any] = {"text": [state_text(picture.trace, views, node, at_ms) for node in picture.nodes]}
    if styled:
        cursor |= {
            "mode": "lines",
            "name": "now",
            "line": {"color": theme.INK, "width": 1.5},
            "hoverinfo": "skip",
            "yaxis": "y2",
        }
        flying |= {"mode": "lines", "line": {"color": theme.INK, "width": 2.6}, "hoverinfo": "skip", "yaxis": "y2"}
        dots |= {
            "mode": "markers",
            "hoverinfo": "text",
            "yaxis": "y2",
            "marker": {"size": 9, "color": theme.YELLOW, "line": {"color": theme.INK, "width": 1.5}},
        }
        now |= {
            "x": [1.0] * len(picture.nodes),
            "y": [picture.y(node) for node in picture.nodes],
            "xaxis": "x2",
            "yaxis": "y2",
            "mode": "text",
            "textposition": "middle right",
            "cliponaxis": False,
            "hoverinfo": "skip",
            "textfont": {"size": 12, "color": theme.INK},
        }
    return [go.Scatter(**part, **({"showlegend": False} if styled else {})) for part in (cursor, flying, dots, now)]


def _in_flight(picture: Diagram, at_ms: float) -> tuple[list[Any], list[Any], list[tuple[float, float, str]]]:
    x: list[Any] = []
    y: list[Any] = []
    heads: list[tuple[float, float, str]] = []
    for flight in (*picture.flights, *picture.routine):
        if flight.start_ms > at_ms:
            continue
        path = message_path(picture, flight)
        if not path[0][0] <= at_ms <= path[-1][0] or path[0][0] == path[-1][0]:
            continue
        (start, low), (end, high) = path[0], path[-1]
        height = low + (high - low) * (at_ms - start) / (end - start)
        if not flight.routine:
            x += [round(start, 2), round(at_ms, 2), None]
            y += [round(low, 2), round(height, 3), None]
        heads.append((round(at_ms, 2), round(height, 3), lanes.flight_text(flight)))
    return x, y, heads


def state_text(trace: Trace, views: Views, node: NodeId, at_ms: float) -> str:
    """A node's state in two short lines: role, term and, if it has one, the commit index."""
    if not views.shows(node):
        return ""
    view = views.at(node, at_ms)
    label = f"\u2002<b>{lanes.plain(lanes.label_of(view))}</b>"
    commit = getattr(view, "commit_index", None)
    last = _last_index(view)
    if commit is None:
        return label
    more = "" if last is None else f" of {last}"
    return f"{label}<br>\u2002committed {commit}{more}"


def _last_index(view: Any) -> int | None:
    log: Sequence[Any] | None = getattr(view, "log", None)
    return None if log is None else len(log) + int(getattr(view, "snapshot_index", 0) or 0)
