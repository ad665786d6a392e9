"""Measured beside simulated: percentiles of the response time, and who got how many requests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from distlib.figures import theme

SIMULATED = "simulated"
COLUMNS = 4
"""Panels side by side; more policies go into further rows."""
PANEL_HEIGHT = 320
STYLES = {
    SIMULATED: (theme.INK, "", ""),
    "own proxy": (theme.BLUE, "circle", "/"),
    "nginx": (theme.GREEN, "square", "x"),
    "HAProxy": (theme.VERMILLION, "diamond", "."),
}
"""Colour, sign and hatch of each source."""
OTHER = (theme.PURPLE, "triangle-up", "+")


def measured_percentiles(
    percentiles: pd.DataFrame, chance: pd.DataFrame, *, coordinated_omission: bool = False
) -> go.Figure:
    """One panel a policy: the simulated percentiles as a line, the measured ones as dots, chance as a band.

    ``percentiles``: policy, source, percent, response_ms, since_sent_ms; source ``simulated`` is the line, every other
    one a kind of dots. ``chance``: policy, percent, low_ms, high_ms. ``coordinated_omission`` adds, as open signs, what
    a tool that counts from the actual sending would report. Raises ``ValueError`` for a frame without rows.
    """
    _check_measured("percentiles", percentiles)
    percents = sorted(percentiles["percent"].unique())
    sources = [one for one in dict.fromkeys(percentiles["source"]) if one != SIMULATED]
    figure, panels = _panels(list(dict.fromkeys(percentiles["policy"])))
    for policy, place in panels.items():
        rows, band = percentiles[percentiles["policy"] == policy], chance[chance["policy"] == policy]
        line = rows[rows["source"] == SIMULATED]
        traces = [_band(band.sort_values("percent"), percents), _line(line, percents)]
        for which, source in enumerate(sources):
            shift = 0.16 * (which - (len(sources) - 1) / 2)
            mine = rows[rows["source"] == source]
            traces.append(_dots(mine, percents, source, "response_ms", shift))
            if coordinated_omission:
                traces.append(_dots(mine, percents, source, "since_sent_ms", shift))
        for trace in traces:
            figure.add_trace(trace.update(showlegend=place == (1, 1)), *place)
    every = pd.concat([percentiles["response_ms"], percentiles["since_sent_ms"], chance["low_ms"], chance["high_ms"]])
    every = every[every > 0]
    low, high = math.log10(every.min() / 1.15), math.log10(every.max() * 1.15)
    ticks = theme.decades(-2, 6)
    figure.update_yaxes(type="log", range=[low, high], tickvals=ticks, ticktext=[f"{one:g}" for one in ticks])
    figure.update_yaxes(title_text="response time (ms, log scale)", col=1)
    names = [f"{one:g}" for one in percents]
    figure.update_xaxes(tickvals=list(range(len(names))), ticktext=names, range=[-0.5, len(names) - 0.5])
    figure.update_xaxes(title_text="percentile", row=math.ceil(len(panels) / COLUMNS))
    return figure


def _check_measured(name: str, table: pd.DataFrame) -> None:
    if table.empty:
        raise ValueError(f"{name} is empty; measure at least one policy first")


def _panels(policies: Sequence[str]) -> tuple[go.Figure, dict[str, tuple[int, int]]]:
    """A figure with one panel a policy, and the row and column of each."""
    columns = min(COLUMNS, len(policies))
    rows = math.ceil(len(policies) / columns)
    figure = theme.panels(
        rows, columns, height=PANEL_HEIGHT * rows + 110, subplot_titles=[f"<b>{one}</b>" for one in policies],
        shared_yaxes=True, horizontal_spacing=0.02, vertical_spacing=0.16 / rows,
    )  # fmt: skip
    legend = {"x": 0, "y": 1 + 46 / (PANEL_HEIGHT * rows), "yanchor": "bottom"}
    figure.update_layout(margin=theme.margins(72, 20, 84, 58), legend=legend).update_annotations(font_size=14)
    return figure, {one: (at // COLUMNS + 1, at % COLUMNS + 1) for at, one in enumerate(policies)}


def _at(percents: Sequence[float], of: pd.Series, shift: float = 0.0) -> list[float]:
    """Places on the axis: percentiles stand side by side, as 99 and 99.9 would otherwise fall together."""
    return [percents.index(one) + shift for one in of]


def _band(rows: pd.DataFrame, percents: Sequence[float]) -> go.Scatter:
    places = _at(percents, rows["percent"])
    return go.Scatter(
        x=[*places, *places[::-1]], y=[*rows["high_ms"], *rows["low_ms"][::-1]], fill="toself", mode="lines",
        line={"width": 0}, fillcolor="rgba(82, 96, 109, 0.16)", hoverinfo="skip", legendgroup="chance",
        name="simulated, other random numbers (90 %)",
    )  # fmt: skip


def _line(rows: pd.DataFrame, percents: Sequence[float]) -> go.Scatter:
    return go.Scatter(
        x=_at(percents, rows["percent"]), y=rows["response_ms"], customdata=rows["percent"], mode="lines",
        line={"color": theme.INK, "width": 2}, legendgroup=SIMULATED, name="simulated, the same requests",
        hovertemplate="simulated p%{customdata:g}: %{y:.1f} ms<extra></extra>",
    )  # fmt: skip


def _dots(rows: pd.DataFrame, percents: Sequence[float], source: str, column: str, shift: float) -> go.Scatter:
    colour, sign, _ = STYLES.get(source, OTHER)
    marker: dict[str, Any] = {"symbol": sign, "size": 9, "color": colour, "line": {"width": 1, "color": theme.PAPER}}
    name = f"measured: {source}"
    if column == "since_sent_ms":
        marker |= {"symbol": f"{sign}-open", "line": {"width": 2, "color": colour}}
        name = f"{source}, counted from the sending"
    return go.Scatter(
        x=_at(percents, rows["percent"], shift), y=rows[column], customdata=rows["percent"], mode="markers",
        marker=marker, legendgroup=name, name=name,
        hovertemplate=f"{name}<br>p%{{customdata:g}}: %{{y:.1f}} ms<extra></extra>",
    )  # fmt: skip


def requests_by_backend(counts: pd.DataFrame) -> go.Figure:
    """Requests that each worker got, one panel a policy, bars side by side for the simulation and each proxy.
    ``counts``: policy, source, backend, requests. Raises ``ValueError`` for a frame without rows."""
    _check_measured("counts", counts)
    figure, panels = _panels(list(dict.fromkeys(counts["policy"])))
    for policy, (row, column) in panels.items():
        for source in dict.fromkeys(counts["source"]):
            rows = counts[(counts["policy"] == policy) & (counts["source"] == source)]
            colour, _, hatch = STYLES.get(source, OTHER)
            pattern = {"shape": hatch, "fgcolor": theme.PAPER, "solidity": 0.2, "fillmode": "overlay"}
            figure.add_bar(
                x=rows["backend"], y=rows["requests"], name=source, legendgroup=source, row=row, col=column,
                marker={"color": colour, "pattern": pattern}, showlegend=(row, column) == (1, 1),
                hovertemplate=f"{source}, worker %{{x}}: %{{y:,}} requests<extra></extra>",
            )  # fmt: skip
    figure.update_layout(barmode="group", bargap=0.25)
    figure.update_yaxes(rangemode="tozero").update_yaxes(title_text="requests", col=1)
    return figure.update_xaxes(dtick=1).update_xaxes(title_text="worker", row=math.ceil(len(panels) / COLUMNS))
