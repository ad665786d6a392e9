"""A run on real databases: which rows were locked by transactions in doubt, who was down, and where the money was."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from distlib.figures import theme
from distlib.figures.columns import check_columns

CLIENTS, COORDINATOR = "clients", "coordinator"
COLOURS = (theme.BLUE, theme.VERMILLION)
ROW_PX, TOP, SPACE, BOTTOM = 24, 80, 0.09, 60
SUM_PX = 130
READER = "what a reader of both databases, under locks, finds missing (no mark: it waits for a lock)"
PAUSE_S = 0.08
"""Where a reader has read nothing for so long, no line says what it would have seen."""


def doubt_timeline(
    locks: pd.DataFrame, down: pd.DataFrame, heard: pd.DataFrame, sums: pd.DataFrame, databases: Sequence[str],
    accounts: Sequence[str],
) -> go.Figure:  # fmt: skip
    """One row an account of each database, thick while a prepared transaction has it locked; above them the coordinator
    and what clients hear; below, how much money a reader of both databases misses.

    ``locks``: database, account, transaction, from_s, to_s. ``down``: who, from_s, to_s. ``heard``: at_s, transaction,
    commit. ``sums``: at_s, missing. Times are seconds since the start. Raises ``ValueError`` for a missing column.
    """
    check_columns(locks, "database", "account", "transaction", "from_s", "to_s", name="locks", may_be_empty=True)
    check_columns(down, "who", "from_s", "to_s", name="down", may_be_empty=True)
    check_columns(heard, "at_s", "transaction", "commit", name="heard", may_be_empty=True)
    check_columns(sums, "at_s", "missing", name="sums", may_be_empty=True)
    names = [CLIENTS, COORDINATOR, *[f"{one}: {account}" for one in databases for account in accounts]]
    places = {name: -number for number, name in enumerate(names)}
    lanes_px = ROW_PX * len(names)
    height = TOP + lanes_px + SUM_PX + BOTTOM + 40
    figure = theme.panels(
        2,
        1,
        height=height,
        shared_xaxes=True,
        vertical_spacing=SPACE,
        row_heights=[lanes_px, SUM_PX],
        subplot_titles=["", READER],
    )
    figure.add_trace(_down(down, places), 1, 1)
    for database, colour in zip(databases, COLOURS, strict=False):
        figure.add_trace(_locked(locks[locks["database"] == database], places, database, colour), 1, 1)
    figure.add_trace(_killed(down, places), 1, 1)
    for commit, sign, colour in ((True, "circle", theme.GREEN), (False, "x", theme.SOFT)):
        figure.add_trace(_answers(heard[heard["commit"] == commit], commit, sign, colour), 1, 1)
    figure.add_trace(_missing(sums), 2, 1)
    figure.update_yaxes(theme.ROWS, row=1)
    figure.update_yaxes(tickvals=list(places.values()), ticktext=names, range=[0.7 - len(names), 0.7], row=1)
    most = max([5.0, *sums["missing"]])
    figure.update_yaxes(title_text="money", range=[min([0.0, *sums["missing"]]) - 0.1 * most, 1.15 * most], row=2)
    figure.update_xaxes(rangemode="tozero").update_xaxes(title_text="time (s)", row=2)
    figure.update_annotations(font_size=13)
    return figure.update_layout(margin=theme.margins(104, 24, TOP, BOTTOM), legend={"y": 1.01})


def _lines(rows: pd.DataFrame, places: Sequence[float]) -> dict[str, list[float | None]]:
    x: list[float | None] = []
    for start, end in zip(rows["from_s"], rows["to_s"], strict=True):
        x += [start, end, None]
    return {"x": x, "y": [one for place in places for one in (place, place, None)]}


def _down(down: pd.DataFrame, places: dict[str, int]) -> go.Scatter:
    """Dead from the kill until it was back; a database with all its rows."""
    x: list[float | None] = []
    y: list[float | None] = []
    for who, start, end in zip(down["who"], down["from_s"], down["to_s"], strict=True):
        for place in _rows_of(who, places):
            x += [start, end, None]
            y += [place, place, None]
    line = {"width": 16, "color": theme.translucent(theme.SOFT, 0.25)}
    return go.Scatter(x=x, y=y, mode="lines", line=line, name="down", hoverinfo="skip")


def _rows_of(who: str, places: dict[str, int]) -> list[int]:
    return [place for name, place in places.items() if name == who or name.startswith(f"{who}: ")]


def _locked(locks: pd.DataFrame, places: dict[str, int], database: str, colour: str) -> go.Scatter:
    rows = [places[f"{database}: {account}"] for account in locks["account"]]
    said = [
        f"{transaction}: in doubt for {end - start:.3f} s"
        for transaction, start, end in zip(locks["transaction"], locks["from_s"], locks["to_s"], strict=True)
    ]
    return go.Scatter(
        **_lines(locks, rows), customdata=[one for text in said for one in (text, text, "")], mode="lines",
        line={"width": 8, "color": colour}, name=f"in doubt at {database}: row locked",
        hovertemplate="%{customdata}<extra></extra>",
    )  # fmt: skip


def _killed(down: pd.DataFrame, places: dict[str, int]) -> go.Scatter:
    rows = [(at_s, who, max(_rows_of(who, places))) for who, at_s in zip(down["who"], down["from_s"], strict=True)]
    return go.Scatter(
        x=[at_s for at_s, _, _ in rows], y=[place for _, _, place in rows], customdata=[who for _, who, _ in rows],
        mode="markers", marker={"symbol": "x-thin", "size": 12, "line": {"width": 3, "color": theme.INK}},
        name="SIGKILL", hovertemplate="%{customdata} is killed at %{x:.3f} s<extra></extra>",
    )  # fmt: skip


def _answers(heard: pd.DataFrame, commit: bool, sign: str, colour: str) -> go.Scatter:
    name = "committed" if commit else "aborted"
    return go.Scatter(
        x=heard["at_s"], y=[0] * len(heard), customdata=heard["transaction"], mode="markers", name=name,
        marker={"symbol": sign, "size": 7, "color": colour},
        hovertemplate=f"%{{customdata}} {name}, told at %{{x:.3f}} s<extra></extra>",
    )  # fmt: skip


def _missing(sums: pd.DataFrame) -> go.Scatter:
    x: list[float] = []
    y: list[float | None] = []
    for at_s, missing in zip(sums["at_s"], sums["missing"], strict=True):
        if x and at_s - x[-1] > PAUSE_S:
            x.append(at_s)
            y.append(None)
        x.append(at_s)
        y.append(missing)
    return go.Scatter(
        x=x, y=y, mode="lines+markers", name="missing", showlegend=False,
        line={"shape": "hv", "color": theme.PURPLE, "width": 1.5}, marker={"size": 4, "symbol": "diamond"},
        hovertemplate="read at %{x:.3f} s: %{y:,} missing<extra></extra>",
    )  # fmt: skip


PRICES = {
    "wrong sums (%)": ("sums that were wrong (%)", theme.PURPLE),
    "longest in doubt (s)": ("longest in doubt (s)", theme.BLUE),
    "commits taken back": ("commits taken back", theme.VERMILLION),
}
LEAST = {"wrong sums (%)": 1.0, "longest in doubt (s)": 0.1, "commits taken back": 1.0}
"""Where an axis ends when all is well."""


def what_each_way_costs(summary: pd.DataFrame) -> go.Figure:
    """Bars side by side: isolation, availability and truth, of each way. ``summary``: protocol, and the columns of
    ``PRICES``. Raises ``ValueError`` for a missing column, or no row."""
    check_columns(summary, "protocol", *PRICES, name="summary")
    height = 140 + 34 * len(summary)
    figure = theme.panels(
        1, len(PRICES), height=height, shared_yaxes=True, horizontal_spacing=0.04,
        subplot_titles=[title for title, _ in PRICES.values()],
    )  # fmt: skip
    for column, (name, (title, colour)) in enumerate(PRICES.items(), 1):
        values = summary[name]
        bar = go.Bar(
            x=values, y=summary["protocol"], orientation="h", marker_color=colour, showlegend=False, width=0.6,
            text=[f"{one:.3g}" for one in values], textposition="outside", cliponaxis=False,
            hovertemplate=f"%{{y}}: {title} %{{x:.3g}}<extra></extra>",
        )  # fmt: skip
        figure.add_trace(bar, 1, column)
        figure.update_xaxes(range=[0, 1.25 * max([LEAST[name], *values])], col=column)
    figure.update_annotations(font_size=13).update_yaxes(autorange="reversed", showgrid=False)
    return figure.update_layout(margin=theme.margins(140, 24, 60, 44))
