"""Lanes: a bar for each stretch of time that a node spends in one role and term, with the words on it."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from distlib.figures import lanes, theme
from distlib.figures.lanes import Segment
from distlib.figures.diagram import HALF, Diagram


def initial(role: str) -> str:
    """The letter that stands for a role where its name finds no room."""
    return "✕" if role == theme.CRASHED else role[:1].upper()


def fitting(part: Segment, room_px: float) -> str:
    """The longest label of a segment that fits: ``leader · term 3``, ``leader 3``, ``L3``, or none."""
    term = "" if part.term is None else part.term
    if part.role == theme.CRASHED:
        return next((one for one in ("\u2003\u2003crashed", "") if len(one) * theme.CHAR + 24 <= room_px), "")
    for label in (part.label, f"{part.role} {term}".strip(), f"{initial(part.role)}{term}"):
        if len(label) * theme.CHAR + 8 <= room_px:
            return label
    return ""


def bars(picture: Diagram, parts: list[Segment], roles: Sequence[str], half: float = HALF) -> list[go.Bar]:
    """One trace for each role: the time that nodes spend in it, labelled with role and term."""
    by_role: dict[str, list[Segment]] = {role: [] for role in (*roles, theme.OTHER)}
    for part in parts:
        start, end = max(part.start_ms, picture.start_ms), min(part.end_ms, picture.end_ms)
        if start < end:
            by_role[part.role if part.role in by_role else theme.OTHER].append(part)
    return [_bar(picture, role, found, half) for role, found in by_role.items()]


def _bar(picture: Diagram, role: str, parts: list[Segment], half: float) -> go.Bar:
    style = theme.role_style(role)
    starts = [max(part.start_ms, picture.start_ms) for part in parts]
    lengths = [min(part.end_ms, picture.end_ms) - start for part, start in zip(parts, starts, strict=True)]
    named = any(part.label != part.role for part in parts)
    return go.Bar(
        orientation="h",
        base=starts,
        x=lengths,
        y=[picture.y(part.node) for part in parts],
        width=2 * half,
        text=[fitting(part, picture.px(length)) for part, length in zip(parts, lengths, strict=True)],
        hovertext=[
            f"<b>{lanes.plain(part.node)}</b>  {lanes.plain(part.label)}<br>"
            f"{part.start_ms:,.2f} to {part.end_ms:,.2f} ms"
            for part in parts
        ],
        hoverinfo="text",
        textposition="inside",
        insidetextanchor="start",
        textangle=0,
        constraintext="none",
        textfont={"color": style.text, "size": 12},
        insidetextfont={"color": style.text},
        cliponaxis=True,
        yaxis="y2",
        name=f"{role} ({initial(role)})" if named and role != theme.OTHER else role,
        showlegend=bool(parts),
        legend="legend2",
        marker={
            "color": style.fill,
            "line": {"width": 0.8, "color": theme.PAPER if not style.hatch else theme.FAINT},
            "pattern": {
                "shape": style.hatch,
                "fgcolor": theme.FAINT,
                "size": 6,
                "solidity": 0.25,
                "fillmode": "overlay",
            },
        },
    )


def paused_bars(picture: Diagram) -> go.Bar:
    """Hatched bars over the lanes of nodes that stand still."""
    found = [span for span in lanes.spans(picture.trace) if span.kind == "Pause" and span.node in picture.nodes]
    found = [span for span in found if span.start_ms < picture.end_ms and span.end_ms > picture.start_ms]
    starts = [max(span.start_ms, picture.start_ms) for span in found]
    return go.Bar(
        orientation="h",
        base=starts,
        width=2 * HALF,
        y=[picture.y(span.node or "") for span in found],
        yaxis="y2",
        x=[min(span.end_ms, picture.end_ms) - start for span, start in zip(found, starts, strict=True)],
        text=[
            "paused" if picture.px(min(span.end_ms, picture.end_ms) - start) > 58 else "‖"
            for span, start in zip(found, starts, strict=True)
        ],
        textposition="inside",
        insidetextanchor="middle",
        textangle=0,
        constraintext="none",
        textfont={"color": theme.INK},
        hovertext=[f"<b>{span.node}</b> paused<br>{span.start_ms:,.2f} to {span.end_ms:,.2f} ms" for span in found],
        hoverinfo="text",
        name="paused",
        showlegend=bool(found),
        legend="legend2",
        marker={
            "color": "rgba(255,255,255,0.72)",
            "line": {"width": 1, "color": theme.SOFT},
            "pattern": {"shape": "|", "fgcolor": theme.FAINT, "size": 6, "solidity": 0.2, "fillmode": "overlay"},
        },
    )
