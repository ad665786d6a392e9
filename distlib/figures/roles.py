"""Role timeline: who was what, in which term, and when nobody led."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import plotly.graph_objects as go

from distlib.core.trace import Trace
from distlib.figures import lanes, theme
from distlib.figures.diagram import LEFT_PX, RIGHT_PX, ROW_PX, Diagram, lane_names, lay_out_lanes
from distlib.figures.lane_bars import role_bars
from distlib.figures.lanes import Segment
from distlib.figures.looks import role_styles
from distlib.figures.marks import fault_marks
from distlib.figures.shapes import framed, hatch, labelled_bars, longest

LANE_PX, BOTTOM_PX = 40, 56
LED = ("leader", "coordinator")


def role_timeline(
    trace: Trace, *, start_ms: float | None = None, end_ms: float | None = None, roles: Sequence[str] | None = None
) -> go.Figure:
    """Each node's roles and terms in the window; above, for protocols that have leaders, the time without one.
    ``roles`` fixes which traces exist, so that zoom stays. Raises ``ValueError`` for a reversed or empty window."""
    picture = Diagram(trace, trace.nodes, *lanes.window(trace, start_ms, end_ms), theme.WIDTH)
    parts = lanes.segments(trace, trace.nodes)
    styles = role_styles([seen.view for seen in trace.states], [part.role for part in parts], roles)
    gaps = leaderless(parts, trace.end_ms)
    figure = theme.figure()
    figure.add_traces([_gaps(picture, gaps or []), *role_bars(picture, parts, styles, half=0.36), fault_marks(picture)])
    figure.update_traces(yaxis="y")
    _lay_out(figure, picture, gaps is not None)
    return figure


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


def _gaps(picture: Diagram, gaps: Iterable[tuple[float, float]]) -> go.Bar:
    shown = []
    for start, end in (seen for gap in gaps if (seen := picture.clipped(*gap))):
        ms = end - start
        labels = (f"no leader for {ms:,.0f} ms", f"{ms:,.0f} ms", f"{ms:,.0f}")
        said = f"<b>no leader</b> for {ms:,.1f} ms<br>{start:,.2f} to {end:,.2f} ms"
        shown.append((start, ms, 1.0, longest(labels, picture.px(ms) - 6), said))
    look = framed("#fbe3d6", theme.VERMILLION, 1, hatch("x", "#f3c3a9", 6, 0.15))
    font = {"color": theme.INK}
    return labelled_bars(shown, width=0.56, name="no leader", legend="legend2", textfont=font, marker=look)


def _lay_out(figure: go.Figure, picture: Diagram, led: bool) -> None:
    top, named = 1.5 if led else 0.5, lane_names(picture)
    if led:
        named["tickvals"].append(1.0)
        named["ticktext"].append("leader?")
    lanes_px = LANE_PX * (len(picture.nodes) - 0.5 + top)
    top_px = 14 + ROW_PX * theme.legend_rows(figure, "legend2", picture.width - LEFT_PX - RIGHT_PX)
    figure.update_layout(legend2=theme.legend_above(1 + 4 / lanes_px))
    heights = [0.5 - len(picture.nodes), top]
    lay_out_lanes(figure, picture, (top_px, lanes_px, BOTTOM_PX), range=heights, **named)
