"""The museum in pictures: the kill matrix, and a mutant's method beside the original."""

from __future__ import annotations

import difflib
from html import escape
from textwrap import dedent, wrap
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from distlib.figures import theme
from distlib.figures.columns import check_columns

SIGNS = {"correct": "✓", "safety": "", "liveness": "∞", "equivalent": "◐"}
"""The sign beside a row's name: correct protocols, mutants that break liveness, equivalent mutants."""

ROW_PX, LINE_PX = 21, 18
ROOM = int((theme.WIDTH / 2 - 36) / theme.CHAR) - 2
"""Letters of code that fit into a column beside its mark."""


def kill_matrix(table: pd.DataFrame) -> go.Figure:
    """Which search kills which mutant: time and steps of the counterexample where one was found, "–" where none was.

    ``table`` has one row a cell, with the columns mutant, sort (correct, safety, liveness, equivalent), family, verdict
    ("found" or "not found"), elapsed_s, events and failure. A cell that was not run stays empty. Rows and columns stand
    in the table's order. Raises ``ValueError`` for an empty table or a missing column.
    """
    check_columns(table, "mutant", "sort", "family", "verdict", "elapsed_s", "events", "failure")
    rows = table[["mutant", "sort"]].drop_duplicates().itertuples(index=False)
    names = {row.mutant: f"{SIGNS.get(str(row.sort), '')} {row.mutant}" for row in rows}
    families = list(dict.fromkeys(table["family"]))
    found = {(cell.mutant, cell.family): cell for cell in table.itertuples(index=False)}
    grid = [[found.get((name, family)) for family in families] for name in names]
    figure = theme.figure(height=ROW_PX * len(names) + 96)
    figure.add_trace(
        go.Heatmap(
            x=families, y=list(names.values()), z=[[_shade(cell) for cell in row] for row in grid],
            text=[[_text(cell) for cell in row] for row in grid], texttemplate="%{text}", textfont={"size": 11},
            hovertext=[[_hover(cell) for cell in row] for row in grid], hoverinfo="text",
            colorscale=[[0, theme.PAPER], [0.34, "#eef1f4"], [0.67, theme.YELLOW], [1, theme.ALARM]],
            zmin=0, zmax=3, showscale=False, xgap=2, ygap=2,
        )
    )  # fmt: skip
    plain = {"showgrid": False, "ticks": "", "type": "category", "linecolor": theme.PAPER, "fixedrange": True}
    figure.update_xaxes(side="top", **plain)
    figure.update_yaxes(autorange="reversed", **plain)
    longest = max(len(name) for name in names.values())
    figure.update_layout(margin={"l": int(longest * theme.CHAR) + 24, "r": 14, "t": 50, "b": 44})
    figure.add_annotation(
        text="✓ correct   ∞ liveness   ◐ equivalent, another rule stands in   – not found in the time given",
        xref="paper", yref="paper", x=0, y=0, yshift=-28, xanchor="left", showarrow=False,
        font={"size": 12, "color": theme.SOFT},
    )  # fmt: skip
    return figure


def _shade(cell: Any) -> int:
    """White: not run; grey: clean; yellow: a mutant is killed; red: a correct protocol is, which must not be."""
    if cell is None:
        return 0
    if cell.verdict != "found":
        return 1
    return 3 if cell.sort in ("correct", "equivalent") else 2


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if cell.verdict != "found":
        return "–"
    time = f"{cell.elapsed_s:.1f} s" if cell.elapsed_s >= 0.05 else "< .1 s"
    return f"{time} · {cell.events} steps" if cell.events else time


def _hover(cell: Any) -> str:
    if cell is None:
        return "not run"
    said = cell.failure or f"nothing found in {cell.elapsed_s:.1f} s"
    return f"<b>{cell.mutant}</b>, {cell.family}<br>{said}"


def two_sources(right: str, broken: str, *, names: tuple[str, str]) -> go.Figure:
    """``right`` and ``broken``, both Python source, in two columns under ``names``; − and + mark lines that differ.
    Lines that are too long for a column are wrapped, the rest of them indented."""
    left, other = (dedent(source.rstrip()).splitlines() for source in (right, broken))
    same = difflib.SequenceMatcher(None, left, other, autojunk=False).get_matching_blocks()
    columns = [
        _column(left, {block.a + step for block in same for step in range(block.size)}, "−"),
        _column(other, {block.b + step for block in same for step in range(block.size)}, "+"),
    ]
    height = max(map(len, columns))
    figure = theme.figure(height=LINE_PX * (height + 2) + 40)
    figure.update_xaxes(visible=False, range=[0, 1], fixedrange=True)
    figure.update_yaxes(visible=False, range=[height + 1, -1], fixedrange=True)
    figure.update_layout(margin={"l": 12, "r": 12, "t": 12, "b": 12})
    for number, (name, lines) in enumerate(zip(names, columns, strict=True)):
        place = {"x": 0.5 * number, "showarrow": False, "xanchor": "left", "align": "left", "font_color": theme.INK}
        title = {"text": f"<b>{escape(name)}</b>", "font_family": theme.FONT, "font_size": 13}
        figure.add_annotation(y=-0.6, **title, **place)
        for row, line in enumerate(lines):
            shown = escape(line, quote=False).replace(" ", "\u00a0")
            shown = f"<b>{shown}</b>" if line[0] in "−+" else shown
            figure.add_annotation(y=row + 0.5, text=shown, font_family=theme.MONO, font_size=11, **place)
    figure.add_trace(go.Scatter(x=[], y=[], showlegend=False))
    return figure


def _column(lines: list[str], same: set[int], sign: str) -> list[str]:
    """The lines with a mark before those that are not the ``same``, wrapped."""
    made = []
    for number, line in enumerate(lines):
        mark, indent = " " if number in same else sign, " " * (len(line) - len(line.lstrip()) + 8)
        fits = len(line) <= ROOM
        parts = [line] if fits else wrap(line, ROOM - 1, subsequent_indent=indent, break_on_hyphens=False)
        made += [f"{mark} {part}" for part in parts]
    return made
