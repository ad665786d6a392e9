"""What happens to lanes: faults, partitions, outputs, commits and broken invariants, as traces over the lanes."""

from __future__ import annotations

import math
from typing import Any

import plotly.graph_objects as go

from distlib.core.node import NodeId
from distlib.core.trace import Trace, describe
from distlib.figures import lanes, theme
from distlib.figures.diagram import BOTTOM, HALF, TOP, Diagram


def happening_ticks(picture: Diagram) -> go.Scatter:
    """Outputs and advances of the commit index: ticks under the lane, one a node and instant."""
    said: dict[tuple[float, NodeId], list[str]] = {}
    for time_ms, node, before, after in commits(picture.trace):
        if picture.shows(time_ms, node):
            said.setdefault((time_ms, node), []).append(f"commit index {before} → {after}")
    for out in picture.trace.outputs:
        if out.node is not None and picture.shows(out.time_ms, out.node):
            said.setdefault((out.time_ms, out.node), []).append(lanes.plain(describe(out.event)))
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for (time_ms, node), lines in sorted(said.items()):
        more = [f"… and {len(lines) - 8} more"] if len(lines) > 8 else []
        label = "<br>".join([f"<b>{lanes.plain(node)}</b>  {time_ms:,.2f} ms", *lines[:8], *more])
        x += [round(time_ms, 3), round(time_ms, 3), None]
        y += [picture.y(node) - HALF - 0.02, picture.y(node) - HALF - 0.16, None]
        text += [label, label, ""]
    return go.Scatter(
        x=x,
        y=y,
        hovertext=text,
        hoverinfo="text",
        mode="lines",
        name="commit, output",
        yaxis="y2",
        showlegend=bool(said),
        legend="legend2",
        line={"color": theme.GREEN, "width": 3.5},
    )


def commits(trace: Trace) -> list[tuple[float, NodeId, int, int]]:
    """(time_ms, node, before, after) of each advance of a ``commit_index``."""
    known: dict[NodeId, int] = {}
    found = []
    for seen in trace.states:
        now = getattr(seen.view, "commit_index", None)
        if now is not None:
            before = known.get(seen.node, 0)
            if now > before:
                found.append((seen.time_ms, seen.node, before, now))
            known[seen.node] = now
    return found


def fault_marks(picture: Diagram) -> go.Scatter:
    """Crashes and restarts as signs on the lane; slow nodes, slow links and drifting clocks in words above it."""
    marks: list[tuple[float, float, str, str]] = []
    for span in lanes.spans(picture.trace):
        if span.node in picture.nodes and span.kind == "Crash":
            y, node = picture.y(span.node or ""), lanes.plain(span.node)
            marks.append((span.start_ms, y, "✕", f"<b>{node}</b> crashes at {span.start_ms:,.2f} ms"))
            if span.end_ms < picture.trace.end_ms:
                marks.append((span.end_ms, y, "↻", f"<b>{node}</b> restarts at {span.end_ms:,.2f} ms"))
    for fault in picture.trace.faults:
        where, sign = fault.node or str(getattr(fault.event, "sender", "")), _sign(fault.event)
        if sign and where in picture.nodes:
            text = f"{lanes.plain(describe(fault.event))}<br>{fault.time_ms:,.2f} ms"
            marks.append((fault.time_ms, picture.y(where) + HALF + 0.13, sign, text))
    marks = [mark for mark in marks if picture.shows(mark[0])]
    return go.Scatter(
        x=[mark[0] for mark in marks],
        y=[mark[1] for mark in marks],
        text=[f"<b>{mark[2]}</b>" for mark in marks],
        hovertext=[mark[3] for mark in marks],
        hoverinfo="text",
        mode="text",
        name="fault",
        showlegend=False,
        yaxis="y2",
        textposition=["middle left" if mark[2] == "↻" else "middle right" for mark in marks],
        textfont={"color": theme.VERMILLION, "size": [17 if len(mark[2]) == 1 else 12 for mark in marks]},
    )


def _sign(event: Any) -> str:
    kind = type(event).__name__
    if kind == "SlowNode":
        return f"slow +{event.extra_ms:g} ms"
    if kind == "SlowLink":
        return f"slow → {event.receiver} +{event.extra_ms:g} ms"
    return f"clock ×{event.rate:g}" if kind == "Drift" else ""


def violation_lines(picture: Diagram) -> go.Scatter:
    """A line down the whole figure where an invariant broke, with the witness as its text."""
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    hover: list[str] = []
    found = [one for one in picture.trace.violations if picture.shows(one.time_ms)]
    for one in found:
        foot = 0.1 - BOTTOM - len(picture.nodes) + 1
        heights = [foot, *(picture.y(node) - 0.5 for node in reversed(picture.nodes[:-1])), TOP - 0.05]
        said = f"<b>{lanes.plain(one.invariant)} is broken</b> at {one.time_ms:,.2f} ms<br>{lanes.plain(one.witness)}"
        x += [one.time_ms] * len(heights) + [None]
        y += [*heights, None]
        text += [f"<b>✗ {lanes.plain(one.invariant)}</b>"] + [""] * len(heights)
        hover += [said] * len(heights) + [""]
    late = bool(found) and picture.px(max(one.time_ms for one in found) - picture.start_ms) > picture.width - 320
    return go.Scatter(
        x=x,
        y=y,
        text=text,
        hovertext=hover,
        hoverinfo="text",
        mode="lines+text",
        name="invariant broken",
        yaxis="y2",
        textposition="middle left" if late else "middle right",
        textfont={"color": theme.ALARM, "size": 13},
        line={"color": theme.ALARM, "width": 2.5},
        showlegend=bool(found),
        legend="legend2",
    )


def partition_bands(picture: Diagram) -> list[go.Scatter]:
    """Bands for the time that a cut lasts, walls between lanes it separates, and its groups by name."""
    cuts = [
        span
        for span in lanes.spans(picture.trace)
        if span.kind in lanes.CUTS and span.start_ms < picture.end_ms and span.end_ms > picture.start_ms
    ]
    band: tuple[list[Any], list[Any]] = ([], [])
    wall: tuple[list[Any], list[Any]] = ([], [])
    label: list[tuple[float, float, str]] = []
    low, free_from = 0.02 - BOTTOM - len(picture.nodes) + 1, [-math.inf, -math.inf]
    for span in cuts:
        start, end = max(span.start_ms, picture.start_ms), min(span.end_ms, picture.end_ms)
        band[0].extend([start, end, end, start, start, None])
        band[1].extend([low, low, TOP - 0.04, TOP - 0.04, low, None])
        for y in _walls(picture, span.event):
            wall[0].extend([start, end, None])
            wall[1].extend([y, y, None])
        text = f"{'partition' if span.kind == 'Partition' else 'cut'}: {lanes.partition_text(span.event)}"
        row = 0 if free_from[0] <= start else 1
        ms_a_px = 1 / picture.px(1.0)
        free_from[row] = start + (len(text) * theme.CHAR + 10) * ms_a_px
        label.append((start + 4 * ms_a_px, TOP - 0.16 - 0.22 * row, lanes.plain(text)))
    return [
        go.Scatter(
            x=band[0],
            y=band[1],
            mode="lines",
            fill="toself",
            fillcolor="rgba(169,86,138,0.10)",
            line={"width": 0},
            hoverinfo="skip",
            name="partition",
            showlegend=False,
        ),
        go.Scatter(
            x=wall[0],
            y=wall[1],
            mode="lines",
            line={"color": theme.PURPLE, "width": 2, "dash": "dash"},
            hoverinfo="skip",
            name="partition",
            showlegend=False,
        ),
        go.Scatter(
            x=[one[0] for one in label],
            y=[one[1] for one in label],
            text=[one[2] for one in label],
            mode="text",
            textposition="middle right",
            textfont={"color": theme.PURPLE, "size": 12},
            hoverinfo="skip",
            name="partition",
            showlegend=False,
            yaxis="y2",
        ),
    ]


def _walls(picture: Diagram, event: Any) -> list[float]:
    """Heights of the walls; none where the groups are not neighbours, as a wall would tell less than the truth."""
    if not hasattr(event, "groups"):
        return []
    group_of = {node: number for number, group in enumerate(event.groups) for node in group}
    order = [group_of.get(node, node) for node in picture.nodes]
    edges = [number for number in range(1, len(order)) if order[number] != order[number - 1]]
    return [0.5 - number for number in edges] if len(edges) + 1 == len(set(order)) else []
