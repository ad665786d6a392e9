"""Two versions of a method side by side, with what differs marked by signs and not by colour alone."""

from __future__ import annotations

import difflib
from html import escape

import plotly.graph_objects as go

from distlib.figures import theme

LINE_PX, CODE_CHAR = 18, 6.7
ROOM = int((theme.WIDTH / 2 - 36) / CODE_CHAR)


def two_sources(right: str, broken: str, *, names: tuple[str, str], title: str = "") -> go.Figure:
    """``right`` and ``broken``, both Python source, in two columns under ``names``; − and + mark lines that differ.

    Lines that are too long for a column are wrapped, the rest of them indented.
    """
    left, other = _marked(right, broken)
    lines = max(len(left), len(other))
    figure = theme.figure(title=title, height=LINE_PX * (lines + 2) + (84 if title else 40))
    figure.update_xaxes(visible=False, range=[0, 1], fixedrange=True)
    figure.update_yaxes(visible=False, range=[lines + 1, -1], fixedrange=True)
    figure.update_layout(margin={"l": 12, "r": 12, "t": 64 if title else 12, "b": 12})
    for column, (name, text) in enumerate(zip(names, (left, other), strict=True)):
        figure.add_annotation(_words(0.5 * column, -0.6, f"<b>{escape(name)}</b>", theme.FONT))
        for number, line in enumerate(text):
            changed = line[:1] in "−+"
            shown = escape(line, quote=False).replace(" ", "\u00a0")
            figure.add_annotation(
                _words(0.5 * column, number + 0.5, f"<b>{shown}</b>" if changed else shown, theme.MONO)
            )
    figure.add_trace(go.Scatter(x=[], y=[], showlegend=False))
    return figure


def _words(x: float, y: float, text: str, font: str) -> dict[str, object]:
    return {
        "x": x, "y": y, "text": text, "showarrow": False, "xanchor": "left", "align": "left",
        "font": {"family": font, "size": 11 if font == theme.MONO else 13, "color": theme.INK},
    }  # fmt: skip


def _marked(right: str, broken: str) -> tuple[list[str], list[str]]:
    left, other = _dedented(right), _dedented(broken)
    same = difflib.SequenceMatcher(None, left, other, autojunk=False).get_matching_blocks()
    kept = {block.a + step for block in same for step in range(block.size)}
    held = {block.b + step for block in same for step in range(block.size)}
    return _column(left, kept, "−"), _column(other, held, "+")


def _dedented(source: str) -> list[str]:
    lines = source.rstrip().splitlines()
    indent = len(lines[0]) - len(lines[0].lstrip())
    return [line[indent:] for line in lines]


def _column(lines: list[str], same: set[int], sign: str) -> list[str]:
    made = []
    for number, line in enumerate(lines):
        mark = " " if number in same else sign
        rest, indent = line, " " * (len(line) - len(line.lstrip()) + 8)
        while len(rest) > ROOM - 2:
            cut = rest.rfind(" ", len(indent) + 1, ROOM - 2)
            cut = ROOM - 2 if cut <= 0 else cut
            made.append(f"{mark} {rest[:cut]}")
            rest = indent + rest[cut:].lstrip()
        made.append(f"{mark} {rest}")
    return made
