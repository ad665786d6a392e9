"""Measured beside simulated: percentiles of the response time, and who got how many requests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from distlib.figures import theme

SIMULATED = "simulated"
COLUMNS = 4
"""Panels side by side; more policies go into further rows."""
PANEL_HEIGHT = 320


class SourceStyle(NamedTuple):
    """How the dots of one proxy look."""

    colour: str
    symbol: str


STYLES = {
    "own proxy": SourceStyle(theme.BLUE, "circle"),
    "nginx": SourceStyle(theme.GREEN, "square"),
    "HAProxy": SourceStyle(theme.VERMILLION, "diamond"),
}
OTHER = SourceStyle(theme.PURPLE, "triangle-up")


def measured_percentiles(
    percentiles: pd.DataFrame, chance: pd.DataFrame, *, coordinated_omission: bool = False
) -> go.Figure:
    """One panel a policy: the simulated percentiles as a line, the measured ones as dots, chance as a band.

    ``percentiles``: policy, source, percent, response_ms, since_sent_ms; source ``simulated`` is the line, every other
    one a kind of dots. ``chance``: policy, percent, low_ms, high_ms. ``coordinated_omission`` adds, as open signs, what
    a tool that counts from the actual sending would report. Raises ``ValueError`` for a frame without rows.
    """
    if percentiles.empty:
        raise ValueError("percentiles is empty; measure at least one policy first")
    policies = list(dict.fromkeys(percentiles["policy"]))
    percents = sorted(percentiles["percent"].unique())
    sources = [one for one in dict.fromkeys(percentiles["source"]) if one != SIMULATED]
    figure = _panels(policies)
    for number, policy in enumerate(policies):
        place = (number // COLUMNS + 1, number % COLUMNS + 1)
        rows = percentiles[percentiles["policy"] == policy]
        band = chance[chance["policy"] == policy].sort_values("percent")
        figure.add_trace(_band(band, percents, first=number == 0), *place)
        figure.add_trace(_line(rows[rows["source"] == SIMULATED], percents, first=number == 0), *place)
        for which, source in enumerate(sources):
            shift = 0.16 * (which - (len(sources) - 1) / 2)
            mine = rows[rows["source"] == source]
            figure.add_trace(_dots(mine, percents, source, "response_ms", shift, first=number == 0), *place)
            if coordinated_omission:
                figure.add_trace(_dots(mine, percents, source, "since_sent_ms", shift, first=number == 0), *place)
    _axes(figure, percentiles, chance, percents, policies)
    return figure


def _panels(policies: Sequence[str]) -> go.Figure:
    columns = min(COLUMNS, len(policies))
    rows = math.ceil(len(policies) / columns)
    figure = make_subplots(
        rows=rows, cols=columns, subplot_titles=[f"<b>{one}</b>" for one in policies], shared_yaxes=True,
        horizontal_spacing=0.02, vertical_spacing=0.16 / rows,
    )  # fmt: skip
    figure.update_layout(theme.figure(height=PANEL_HEIGHT * rows + 110).layout)
    figure.update_layout(
        margin={"l": 72, "r": 20, "t": 84, "b": 58},
        legend={"x": 0, "y": 1 + 46 / (PANEL_HEIGHT * rows), "yanchor": "bottom"},
    )
    figure.update_annotations(font_size=14)
    return figure


def _at(percents: Sequence[float], of: pd.Series, shift: float = 0.0) -> list[float]:
    """Places on the axis: percentiles stand side by side, as 99 and 99.9 would otherwise fall together."""
    return [percents.index(one) + shift for one in of]


def _band(rows: pd.DataFrame, percents: Sequence[float], *, first: bool) -> go.Scatter:
    places = _at(percents, rows["percent"])
    return go.Scatter(
        x=[*places, *places[::-1]], y=[*rows["high_ms"], *rows["low_ms"][::-1]], fill="toself", mode="lines",
        line={"width": 0}, fillcolor="rgba(82, 96, 109, 0.16)", hoverinfo="skip", legendgroup="chance",
        name="simulated, other random numbers (90 %)", showlegend=first,
    )  # fmt: skip


def _line(rows: pd.DataFrame, percents: Sequence[float], *, first: bool) -> go.Scatter:
    return go.Scatter(
        x=_at(percents, rows["percent"]), y=rows["response_ms"], customdata=rows["percent"], mode="lines",
        line={"color": theme.INK, "width": 2}, legendgroup=SIMULATED, name="simulated, the same requests",
        showlegend=first, hovertemplate="simulated p%{customdata:g}: %{y:.1f} ms<extra></extra>",
    )  # fmt: skip


def _dots(
    rows: pd.DataFrame, percents: Sequence[float], source: str, column: str, shift: float, *, first: bool
) -> go.Scatter:
    style = STYLES.get(source, OTHER)
    omits = column == "since_sent_ms"
    name = f"{source}, counted from the sending" if omits else f"measured: {source}"
    line = {"width": 2, "color": style.colour} if omits else {"width": 1, "color": theme.PAPER}
    return go.Scatter(
        x=_at(percents, rows["percent"], shift), y=rows[column], customdata=rows["percent"], mode="markers",
        marker={"symbol": style.symbol + ("-open" if omits else ""), "size": 9, "color": style.colour, "line": line},
        legendgroup=name, name=name, showlegend=first,
        hovertemplate=f"{name}<br>p%{{customdata:g}}: %{{y:.1f}} ms<extra></extra>",
    )  # fmt: skip


def _axes(
    figure: go.Figure,
    percentiles: pd.DataFrame,
    chance: pd.DataFrame,
    percents: Sequence[float],
    policies: Sequence[str],
) -> None:
    every = pd.concat([percentiles["response_ms"], percentiles["since_sent_ms"], chance["low_ms"], chance["high_ms"]])
    every = every[every > 0]
    low, high = math.log10(every.min() / 1.15), math.log10(every.max() * 1.15)
    ticks = [base * 10**power for power in range(-2, 6) for base in (1, 2, 5)]
    figure.update_yaxes(type="log", range=[low, high], tickvals=ticks, ticktext=[f"{one:g}" for one in ticks])
    figure.update_yaxes(title_text="response time (ms, log scale)", col=1)
    figure.update_xaxes(
        tickvals=list(range(len(percents))),
        ticktext=[f"{one:g}" for one in percents],
        range=[-0.5, len(percents) - 0.5],
    )
    figure.update_xaxes(title_text="percentile", row=math.ceil(len(policies) / COLUMNS))


def requests_by_backend(counts: pd.DataFrame) -> go.Figure:
    """Requests that each worker got, one panel a policy, bars side by side for the simulation and each proxy.

    ``counts``: policy, source, backend, requests. Raises ``ValueError`` for a frame without rows.
    """
    if counts.empty:
        raise ValueError("counts is empty; measure at least one policy first")
    policies = list(dict.fromkeys(counts["policy"]))
    figure = _panels(policies)
    hatches = {SIMULATED: "", "own proxy": "/", "nginx": "x", "HAProxy": "."}
    for number, policy in enumerate(policies):
        place = (number // COLUMNS + 1, number % COLUMNS + 1)
        for source in dict.fromkeys(counts["source"]):
            rows = counts[(counts["policy"] == policy) & (counts["source"] == source)]
            colour = theme.INK if source == SIMULATED else STYLES.get(source, OTHER).colour
            figure.add_trace(
                go.Bar(
                    x=rows["backend"], y=rows["requests"], name=source, legendgroup=source, showlegend=number == 0,
                    marker={"color": colour, "pattern": {"shape": hatches.get(source, "+"), "fgcolor": theme.PAPER,
                                                         "solidity": 0.2, "fillmode": "overlay"}},
                    hovertemplate=f"{source}, worker %{{x}}: %{{y:,}} requests<extra></extra>",
                ),
                *place,
            )  # fmt: skip
    figure.update_layout(barmode="group", bargap=0.25)
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title_text="requests", col=1)
    figure.update_xaxes(dtick=1)
    figure.update_xaxes(title_text="worker", row=math.ceil(len(policies) / COLUMNS))
    return figure
