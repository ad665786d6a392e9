"""The kill matrix as a picture: pieces down, families of searches across."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from distlib.figures import theme
from distlib.figures.queueing import check_columns

KINDS = {"correct": "✓", "safety": "", "liveness": "∞", "masked": "◐"}
"""The sign beside a row's name: correct protocols, liveness bugs, bugs that another rule masks."""

ROW_PX = 21


def kill_matrix(table: pd.DataFrame, *, title: str = "") -> go.Figure:
    """Which search kills which variant: time and steps of the counterexample where one was found, "–" where none was.

    ``table`` has one row a cell, with the columns variant, kind (correct, safety, liveness or masked), family, verdict
    ("found" or "not found"), elapsed_s, events and failure. A cell that was not run stays empty. Rows and columns stand
    in the table's order. Raises ``ValueError`` for an empty table or a missing column.
    """
    check_columns(table, "variant", "kind", "family", "verdict", "elapsed_s", "events", "failure")
    rows = table[["variant", "kind"]].drop_duplicates().itertuples(index=False)
    names = {row.variant: f"{KINDS.get(str(row.kind), '')} {row.variant}" for row in rows}
    families = list(dict.fromkeys(table["family"]))
    height = ROW_PX * len(names) + (130 if title else 96)
    figure = theme.figure(title=title, height=height)
    found = {(cell.variant, cell.family): cell for cell in table.itertuples(index=False)}
    grid = [[found.get((name, family)) for family in families] for name in names]
    figure.add_trace(
        go.Heatmap(
            x=families, y=list(names.values()), z=[[_shade(cell) for cell in row] for row in grid],
            text=[[_text(cell) for cell in row] for row in grid], texttemplate="%{text}", textfont={"size": 11},
            hovertext=[[_hover(cell) for cell in row] for row in grid], hoverinfo="text",
            colorscale=[[0, theme.PAPER], [0.34, "#eef1f4"], [0.67, theme.YELLOW], [1, theme.ALARM]],
            zmin=0, zmax=3, showscale=False, xgap=2, ygap=2,
        )
    )  # fmt: skip
    figure.update_xaxes(side="top", showgrid=False, ticks="", type="category", linecolor=theme.PAPER, fixedrange=True)
    figure.update_yaxes(
        autorange="reversed", showgrid=False, ticks="", type="category", linecolor=theme.PAPER, fixedrange=True
    )
    longest = max(len(name) for name in names.values())
    figure.update_layout(margin={"l": int(longest * theme.CHAR) + 24, "r": 14, "t": 84 if title else 50, "b": 44})
    figure.add_annotation(
        text="✓ correct   ∞ liveness   ◐ masked by another rule   – not found in the time given",
        xref="paper", yref="paper", x=0, y=0, yshift=-28, xanchor="left", showarrow=False,
        font={"size": 12, "color": theme.SOFT},
    )  # fmt: skip
    return figure


def _shade(cell: Any) -> int:
    """White: not run; grey: clean; yellow: a piece is killed; red: a correct protocol is, which must not be."""
    if cell is None:
        return 0
    if cell.verdict != "found":
        return 1
    return 3 if cell.kind in ("correct", "masked") else 2


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
    return f"<b>{cell.variant}</b>, {cell.family}<br>{said}"
