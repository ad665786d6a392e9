"""Role timeline: who was what, in which term, and when nobody led."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import plotly.graph_objects as go

from distlib.core.node import NodeId
from distlib.core.trace import Trace
from distlib.figures import lanes, theme
from distlib.figures.lane_bars import bars
from distlib.figures.lanes import Segment
from distlib.figures.marks import fault_marks
from distlib.figures.diagram import LEFT_PX, RIGHT_PX, ROW_PX, Diagram

LANE_PX, BOTTOM_PX = 40, 56
LED = ("leader", "coordinator")


def role_timeline(
    trace: Trace,
    *,
    start_ms: float | None = None,
    end_ms: float | None = None,
    nodes: Iterable[NodeId] | None = None,
    roles: Sequence[str] | None = None,
    title: str = "",
    width: int = theme.WIDTH,
) -> go.Figure:
    """Each node's roles and terms in the window, and a row on top that marks the time without a leader.

    The row appears for protocols that have leaders. ``roles`` fixes which traces exist, for updates in place.
    Raises ``ValueError`` for a reversed or empty window and an unknown node.
    """
    start, end = lanes.window(trace, start_ms, end_ms)
    chosen = lanes.chosen_nodes(trace, nodes)
    picture = Diagram(trace, chosen, start, end, [], [], 0, width, [])
    parts = lanes.segments(trace, chosen)
    roles = theme.in_order({part.role for part in parts}, tuple(theme.ROLES)) if roles is None else tuple(roles)
    figure = theme.figure(title=title, width=width)
    gaps = leaderless(lanes.segments(trace, trace.nodes), trace.end_ms)
    figure.add_traces([_gaps(picture, gaps), *bars(picture, parts, roles, half=0.36), fault_marks(picture)])
    figure.update_traces(yaxis="y")
    return _layout(figure, picture, bool(title), gaps)


def leaderless(parts: Iterable[Segment], end_ms: float) -> list[tuple[float, float]] | None:
    """When no node led, as (start_ms, end_ms); None for a protocol in which nobody ever leads."""
    led = sorted((part.start_ms, part.end_ms) for part in parts if part.role in LED)
    if not led:
        return None
    gaps, free = [], 0.0
    for start, end in led:
        if start > free:
            gaps.append((free, start))
        free = max(free, end)
    return gaps + ([(free, end_ms)] if free < end_ms else [])


def _gaps(picture: Diagram, gaps: list[tuple[float, float]] | None) -> go.Bar:
    shown = [
        (max(start, picture.start_ms), min(end, picture.end_ms))
        for start, end in gaps or ()
        if start < picture.end_ms and end > picture.start_ms
    ]
    wide = [picture.px(end - start) for start, end in shown]
    return go.Bar(
        orientation="h",
        base=[start for start, _ in shown],
        x=[end - start for start, end in shown],
        y=[1.0] * len(shown),
        width=0.56,
        name="no leader",
        legend="legend2",
        showlegend=bool(shown),
        hoverinfo="text",
        text=[_gap_label(end - start, px) for (start, end), px in zip(shown, wide, strict=True)],
        hovertext=[
            f"<b>no leader</b> for {end - start:,.1f} ms<br>{start:,.2f} to {end:,.2f} ms" for start, end in shown
        ],
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        constraintext="none",
        textfont={"color": theme.INK},
        marker={
            "color": "#fbe3d6",
            "line": {"width": 1, "color": theme.VERMILLION},
            "pattern": {"shape": "x", "fgcolor": "#f3c3a9", "size": 6, "solidity": 0.15, "fillmode": "overlay"},
        },
    )


def _gap_label(length_ms: float, room_px: float) -> str:
    for label in (f"no leader for {length_ms:,.0f} ms", f"{length_ms:,.0f} ms", f"{length_ms:,.0f}"):
        if len(label) * theme.CHAR + 6 <= room_px:
            return label
    return ""


def _layout(figure: go.Figure, picture: Diagram, titled: bool, gaps: list[Any] | None) -> go.Figure:
    rows = theme.legend_rows(figure, "legend2", picture.width - LEFT_PX - RIGHT_PX)
    top = 1.5 if gaps is not None else 0.5
    lanes_px = LANE_PX * (len(picture.nodes) - 0.5 + top)
    top_px = (36 if titled else 10) + ROW_PX * rows + 4
    ticks = [picture.y(node) for node in picture.nodes] + ([1.0] if gaps is not None else [])
    names = [f"<b>{lanes.plain(node)}</b>" for node in picture.nodes] + (["leader?"] if gaps is not None else [])
    figure.update_layout(
        height=round(lanes_px + top_px + BOTTOM_PX),
        barmode="overlay",
        uniformtext={"minsize": 10, "mode": "hide"},
        margin={"l": LEFT_PX, "r": RIGHT_PX, "t": top_px, "b": BOTTOM_PX},
        legend2={"orientation": "h", "x": 0, "xanchor": "left", "y": 1 + 4 / lanes_px, "yanchor": "bottom"},
    )
    figure.update_xaxes(range=[picture.start_ms, picture.end_ms], title_text="virtual time (ms)", tickformat=",")
    figure.update_yaxes(
        range=[0.5 - len(picture.nodes), top],
        tickvals=ticks,
        ticktext=names,
        fixedrange=True,
        showgrid=False,
        ticks="",
        showline=False,
        tickfont={"size": 13, "color": theme.INK},
    )
    return figure
