"""Lanes: a bar for each stretch of time that a node spends in one role and term, with the words on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from distlib.core.fault import Pause
from distlib.figures import lanes, theme
from distlib.figures.diagram import HALF, OVER, Diagram
from distlib.figures.lanes import Segment
from distlib.figures.looks import RoleStyle
from distlib.figures.shapes import framed, hatch, labelled_bars, longest, plain


def initial(role: str) -> str:
    """The letter that stands for a role where its name finds no room."""
    return "✕" if role == theme.CRASHED else role[:1].upper()


def fitting(part: Segment, room_px: float) -> str:
    """The longest label of a segment that fits: ``leader · term 3``, ``leader 3``, ``L3``, or none."""
    term = "" if part.term is None else part.term
    if part.role == theme.CRASHED:
        return longest(("\u2003\u2003crashed",), room_px - 24)
    if clear := longest((f"\u2003{part.label}",), room_px - 2):  # of the messages that began the role
        return clear
    short = (part.label, f"{part.role} {term}".strip(), f"{initial(part.role)}{term}")
    return longest(short, room_px - 8)


def role_bars(
    picture: Diagram, parts: Sequence[Segment], styles: Mapping[str, RoleStyle], half: float = HALF
) -> list[go.Bar]:
    """One trace for each role of ``styles``: the time that nodes spend in it, labelled with role and term."""
    by_role: dict[str, list[Segment]] = {role: [] for role in styles}
    for part in parts:
        if picture.clipped(part.start_ms, part.end_ms):
            by_role[part.role if part.role in by_role else theme.OTHER].append(part)
    return [_role_bars(picture, role, styles[role], found, half) for role, found in by_role.items()]


def _role_bars(picture: Diagram, role: str, style: RoleStyle, parts: list[Segment], half: float) -> go.Bar:
    named = role != theme.OTHER and any(part.label != part.role for part in parts)
    frame, pattern = theme.FAINT if style.hatch else theme.PAPER, hatch(style.hatch, theme.FAINT, 6, 0.25)
    return _bars(
        picture, [(part, f"  {plain(part.label)}") for part in parts], fitting,
        width=2 * half, insidetextanchor="start", cliponaxis=True, name=f"{role} ({initial(role)})" if named else role,
        textfont={"color": style.text, "size": 12}, insidetextfont={"color": style.text},
        marker=framed(style.fill, frame, 0.8, pattern),
    )  # fmt: skip


def paused_bars(picture: Diagram) -> go.Bar:
    """Hatched bars over the lanes of nodes that stand still."""
    paused = [(span, " paused") for span in lanes.spans(picture.trace, Pause) if span.node in picture.nodes]
    look = framed("rgba(255,255,255,0.72)", theme.SOFT, 1, hatch("|", theme.FAINT, 6, 0.2))
    style = {"width": 2 * HALF, "textfont": {"color": theme.INK}, "name": "paused", "marker": look}
    return _bars(picture, paused, lambda _, room_px: "paused" if room_px > 58 else "‖", **style)


def _bars(
    picture: Diagram, parts: Iterable[tuple[Any, str]], label: Callable[[Any, float], str], **style: Any
) -> go.Bar:
    """What of the segments or spans is in the picture, each with what its hover text says beside node and times."""
    found = []
    for part, said in parts:
        if seen := picture.clipped(part.start_ms, part.end_ms):
            length = seen[1] - seen[0]
            hover = f"<b>{plain(part.node)}</b>{said}<br>{part.start_ms:,.2f} to {part.end_ms:,.2f} ms"
            found.append((seen[0], length, picture.y(part.node), label(part, picture.px(length)), hover))
    return labelled_bars(found, **style, **OVER)
