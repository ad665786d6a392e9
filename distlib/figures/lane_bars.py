"""Lanes: a bar for each stretch of time that a node spends in one role and term, with the words on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from distlib.core.fault import Pause
from distlib.figures import lanes, theme
from distlib.figures.diagram import HALF, OVER, Diagram
from distlib.figures.lanes import Segment
from distlib.figures.looks import RoleStyle
from distlib.figures.shapes import bars, hatch, plain


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


def role_bars(
    picture: Diagram, parts: Sequence[Segment], styles: Mapping[str, RoleStyle], half: float = HALF
) -> list[go.Bar]:
    """One trace for each role of ``styles``: the time that nodes spend in it, labelled with role and term."""
    by_role: dict[str, list[tuple[Segment, float, float]]] = {role: [] for role in styles}
    for part in parts:
        seen = picture.clipped(part.start_ms, part.end_ms)
        if seen is not None:
            by_role[part.role if part.role in by_role else theme.OTHER].append((part, seen[0], seen[1] - seen[0]))
    return [_role_bars(picture, role, styles[role], found, half) for role, found in by_role.items()]


def _role_bars(
    picture: Diagram, role: str, style: RoleStyle, found: list[tuple[Segment, float, float]], half: float
) -> go.Bar:
    parts = [part for part, _, _ in found]
    named = role != theme.OTHER and any(part.label != part.role for part in parts)
    return bars(
        [start for _, start, _ in found], [length for _, _, length in found], [picture.y(part.node) for part in parts],
        width=2 * half,
        text=[fitting(part, picture.px(length)) for part, _, length in found],
        insidetextanchor="start", textfont={"color": style.text, "size": 12}, insidetextfont={"color": style.text},
        hovertext=[
            f"<b>{plain(part.node)}</b>  {plain(part.label)}<br>{part.start_ms:,.2f} to {part.end_ms:,.2f} ms"
            for part in parts
        ],
        hoverinfo="text",
        cliponaxis=True,
        name=f"{role} ({initial(role)})" if named else role,
        showlegend=bool(parts),
        marker={
            "color": style.fill,
            "line": {"width": 0.8, "color": theme.FAINT if style.hatch else theme.PAPER},
            "pattern": hatch(style.hatch, theme.FAINT, 6, 0.25),
        },
        **OVER,
    )  # fmt: skip


def paused_bars(picture: Diagram) -> go.Bar:
    """Hatched bars over the lanes of nodes that stand still."""
    found = [
        (span, seen[0], seen[1] - seen[0])
        for span in lanes.spans(picture.trace, Pause)
        if span.node in picture.nodes and (seen := picture.clipped(span.start_ms, span.end_ms))
    ]
    return bars(
        [start for _, start, _ in found],
        [length for _, _, length in found],
        [picture.y(span.node) for span, _, _ in found],
        width=2 * HALF,
        text=["paused" if picture.px(length) > 58 else "‖" for _, _, length in found],
        insidetextanchor="middle",
        textfont={"color": theme.INK},
        hovertext=[f"<b>{one.node}</b> paused<br>{one.start_ms:,.2f} to {one.end_ms:,.2f} ms" for one, _, _ in found],
        hoverinfo="text",
        name="paused",
        showlegend=bool(found),
        marker={
            "color": "rgba(255,255,255,0.72)",
            "line": {"width": 1, "color": theme.SOFT},
            "pattern": hatch("|", theme.FAINT, 6, 0.2),
        },
        **OVER,
    )
