"""What happens to lanes: faults, partitions, outputs, commits and broken invariants, as traces over the lanes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import plotly.graph_objects as go

from distlib.core.fault import Crash, Drift, Fault, Partition, SlowLink, SlowNode
from distlib.core.node import NodeId
from distlib.core.trace import Trace, describe
from distlib.figures import lanes, theme
from distlib.figures.diagram import BOTTOM, HALF, OVER, Diagram
from distlib.figures.shapes import box, lines, plain, words


def happening_ticks(picture: Diagram) -> go.Scatter:
    """Outputs and advances of the commit index: ticks under the lane, one a node and instant."""
    said: dict[tuple[float, NodeId], list[str]] = {}
    for time_ms, node, before, after in commits(picture.trace):
        if picture.shows(time_ms, node):
            said.setdefault((time_ms, node), []).append(f"commit index {before} → {after}")
    for out in picture.trace.outputs:
        if out.node is not None and picture.shows(out.time_ms, out.node):
            said.setdefault((out.time_ms, out.node), []).append(plain(describe(out.event)))
    paths, texts = [], []
    for (time_ms, node), told in sorted(said.items()):
        foot, x = picture.y(node) - HALF, round(time_ms, 3)
        more = [f"… and {len(told) - 8} more"] if len(told) > 8 else []
        paths.append([(x, foot - 0.02), (x, foot - 0.16)])
        texts.append("<br>".join([f"<b>{plain(node)}</b>  {time_ms:,.2f} ms", *told[:8], *more]))
    line = {"color": theme.GREEN, "width": 3.5}
    return lines(paths, texts, name="commit, output", showlegend=bool(said), line=line, **OVER)


def commits(trace: Trace) -> Iterator[tuple[float, NodeId, int, int]]:
    """(time_ms, node, before, after) of each advance of a ``commit_index``."""
    known: dict[NodeId, int] = {}
    for seen in trace.states:
        now = getattr(seen.view, "commit_index", None)
        if now is not None:
            before = known.get(seen.node, 0)
            if now > before:
                yield seen.time_ms, seen.node, before, now
            known[seen.node] = now


def fault_marks(picture: Diagram) -> go.Scatter:
    """Crashes and restarts as signs on the lane; slow nodes, slow links and drifting clocks in words above it."""
    marks: list[tuple[float, float, str, str]] = []
    for crash in lanes.spans(picture.trace, Crash):
        if crash.node in picture.nodes:
            y, name = picture.y(crash.node), plain(crash.node)
            marks.append((crash.start_ms, y, "✕", f"<b>{name}</b> crashes at {crash.start_ms:,.2f} ms"))
            if crash.end_ms < picture.trace.end_ms:
                marks.append((crash.end_ms, y, "↻", f"<b>{name}</b> restarts at {crash.end_ms:,.2f} ms"))
    for time_ms, node, fault in picture.trace.faults:
        node, sign = fault.sender if isinstance(fault, SlowLink) else node, _sign(fault)
        if sign and node in picture.nodes:
            said = f"{plain(describe(fault))}<br>{time_ms:,.2f} ms"
            marks.append((time_ms, picture.y(node) + HALF + 0.13, sign, said))
    marks = [mark for mark in marks if picture.shows(mark[0])]
    return words(
        [(x, y, f"<b>{sign}</b>") for x, y, sign, _ in marks], hovertext=[said for _, _, _, said in marks],
        hoverinfo="text", name="fault", yaxis="y2",
        textposition=["middle left" if sign == "↻" else "middle right" for _, _, sign, _ in marks],
        textfont={"color": theme.VERMILLION, "size": [17 if len(sign) == 1 else 12 for _, _, sign, _ in marks]},
    )  # fmt: skip


def _sign(fault: Fault) -> str:
    match fault:
        case SlowNode():
            return f"slow +{fault.extra_ms:g} ms"
        case SlowLink():
            return f"slow → {fault.receiver} +{fault.extra_ms:g} ms"
        case Drift():
            return f"clock ×{fault.rate:g}"
    return ""


def violation_lines(picture: Diagram) -> go.Scatter:
    """A line down the whole figure where an invariant broke, with the witness as its text."""
    found = [one for one in picture.trace.violations if picture.shows(one.time_ms)]
    between = [picture.y(node) - 0.5 for node in reversed(picture.nodes[:-1])]
    heights = [0.1 - BOTTOM - len(picture.nodes) + 1, *between, picture.top - 0.05]
    paths = [[(one.time_ms, y) for y in heights] for one in found]
    said = [
        f"<b>{plain(one.invariant)} is broken</b> at {one.time_ms:,.2f} ms<br>{plain(one.witness)}" for one in found
    ]
    line, font = {"color": theme.ALARM, "width": 2.5}, {"color": theme.ALARM, "size": 13}
    drawn = lines(paths, said, name="invariant broken", showlegend=bool(found), line=line, textfont=font, **OVER)
    late = bool(found) and picture.px(max(one.time_ms for one in found) - picture.start_ms) > picture.width - 320
    named = [text for one in found for text in (f"<b>✗ {plain(one.invariant)}</b>", *[""] * len(heights))]
    return drawn.update(mode="lines+text", text=named, textposition="middle left" if late else "middle right")


def partition_bands(picture: Diagram) -> list[go.Scatter]:
    """Bands for the time that a partition lasts, walls between lanes it separates, and its groups by name."""
    bands, walls, labels = [], [], []
    low, high, free_from = 0.02 - BOTTOM - len(picture.nodes) + 1, picture.top - 0.04, [-math.inf, -math.inf]
    ms_a_px = 1 / picture.px(1.0)
    for one in lanes.partitions(picture.trace):
        seen = picture.clipped(one.start_ms, one.end_ms)
        if seen is None:
            continue
        bands.append(box(*seen, low, high))
        walls += [[(seen[0], y), (seen[1], y)] for y in _walls(picture, one.fault)]
        text = f"partition: {lanes.partition_text(one.fault)}"
        row = 0 if free_from[0] <= seen[0] else 1
        free_from[row] = seen[0] + (len(text) * theme.CHAR + 10) * ms_a_px
        labels.append((seen[0] + 4 * ms_a_px, picture.top - 0.16 - 0.22 * row, plain(text)))
    named: dict[str, Any] = {"name": "partition", "showlegend": False}
    font = {"color": theme.PURPLE, "size": 12}
    return [
        lines(bands, fill="toself", fillcolor="rgba(169,86,138,0.10)", line={"width": 0}, **named),
        lines(walls, line={"color": theme.PURPLE, "width": 2, "dash": "dash"}, **named),
        words(labels, textposition="middle right", textfont=font, yaxis="y2", **named),
    ]


def _walls(picture: Diagram, fault: Fault) -> list[float]:
    """Heights of the walls; none where the groups are not neighbours, as a wall would tell less than the truth."""
    if not isinstance(fault, Partition):
        return []
    group_of = {node: number for number, group in enumerate(fault.groups) for node in group}
    order = [group_of.get(node, node) for node in picture.nodes]
    edges = [number for number in range(1, len(order)) if order[number] != order[number - 1]]
    return [0.5 - number for number in edges] if len(edges) + 1 == len(set(order)) else []
