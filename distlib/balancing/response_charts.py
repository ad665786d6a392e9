"""Response times by policy: against load, as percentiles, as a tail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from distlib.figures import theme
from distlib.figures.columns import check_columns
from distlib.figures.shapes import lines
from distlib.figures.theme import SYMBOLS, LineStyle

KNOWN = (
    "random", "round robin", "two choices", "least request", "central queue", "three choices", "join idle queue",
    "least response time", "key affinity", "key affinity, bounded",
)  # fmt: skip
"""A policy looks the same in every figure of the course: its colour and dash come from its place here."""
KEY = "line: theory (dashed: limit<br>of many backends)<br>sign: simulated<br>band: 95 % confidence<br>"
RESPONSE = "mean response (mean service times)"
STATISTICS = (
    ("p50_s", "median", "line-ns"),
    ("mean_s", "mean", "circle"),
    ("p95_s", "95 %", "square"),
    ("p99_s", "99 %", "diamond"),
    ("p99.9_s", "99.9 %", "triangle-right"),
)


def policy_style(name: str, names: Sequence[str] = ()) -> LineStyle:
    """Colour and dash of a policy; one that is not in ``KNOWN`` comes after those, by its place in ``names``."""
    place = KNOWN.index(name) if name in KNOWN else len(KNOWN) + list(names).index(name) if name in names else 0
    return theme.series_style(place)


def response_against_load(points: pd.DataFrame, theory: pd.DataFrame | None = None, *, log_y: bool = True) -> go.Figure:
    """Mean response against load: a line is theory, a dot a simulation, a band its 95 % confidence. ``points`` has the
    columns policy, load, mean_s, low_s, high_s; ``theory`` policy, load, theory_s (NaN where there is no closed form).
    Raises ``ValueError`` for an empty table or a missing column."""
    check_columns(points, "policy", "load", "mean_s", "low_s", "high_s")
    legend = theme.legend_beside(title={"text": KEY, "font": {"size": 11}})
    figure = theme.figure(height=460, margin=(70, 24, 20, 58), legend=legend)
    names = list(points["policy"].unique())
    for number, name in enumerate(names):
        style = policy_style(name, names)
        rows = points[points["policy"] == name]
        known = theory[theory["policy"] == name].dropna() if theory is not None else points.iloc[:0]
        band = {"line": {"width": 0, "color": style.colour}, "fillcolor": theme.translucent(style.colour, 0.16)}
        figure.add_trace(confidence_band(rows["load"], rows, name=f"{name}, 95 % confidence", legendgroup=name, **band))
        figure.add_traces([_theory(known, name, style, rows), _dots(rows, name, style, SYMBOLS[number % 5])])
    top = float(points["high_s"].max())
    scale: dict[str, Any] = {"range": [0, 1.1 * top]}
    if log_y:
        ticks = [one for one in (1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100, 200, 500, 1000) if one < 1.3 * top]
        scale = {**theme.log_axis(0.93, 1.15 * top), "tickvals": ticks}
    figure.update_yaxes(title_text=RESPONSE, **scale)
    figure.update_xaxes(title_text="load ρ", range=[0, 1], dtick=0.1)
    return figure


def _dots(rows: pd.DataFrame, name: str, style: LineStyle, symbol: str) -> go.Scatter:
    return go.Scatter(
        x=rows["load"], y=rows["mean_s"], mode="markers", name=name, legendgroup=name,
        marker={"color": style.colour, "size": 8, "symbol": symbol, "line": {"color": theme.PAPER, "width": 1}},
        customdata=rows[["low_s", "high_s"]],
        hovertemplate=f"<b>{name}</b>, ρ = %{{x:g}}<br>simulated %{{y:.3f}}"
        "<br>95 %% confidence %{customdata[0]:.3f} to %{customdata[1]:.3f}<extra></extra>".replace("%%", "%"),
    )  # fmt: skip


def _theory(known: pd.DataFrame, name: str, style: LineStyle, rows: pd.DataFrame) -> go.Scatter:
    """The closed form; where there is none, thin dots from simulation to simulation."""
    exact = not known.empty
    values = known["theory_s"] if exact else rows["mean_s"]
    dash = "dot" if not exact else "dash" if name.endswith("choices") else "solid"
    return go.Scatter(
        x=known["load"] if exact else rows["load"], y=values, mode="lines", showlegend=False, legendgroup=name,
        line={"color": style.colour, "width": 2.2 if exact else 1, "dash": dash},
        hovertemplate=f"<b>{name}</b>, ρ = %{{x:.2f}}<br>theory %{{y:.4f}}<extra></extra>" if exact else None,
        hoverinfo=None if exact else "skip",
    )  # fmt: skip


def confidence_band(x: pd.Series, rows: pd.DataFrame, **style: Any) -> go.Scatter:
    """The confidence interval, columns low_s and high_s, as a band over ``x``."""
    low = np.maximum(rows["low_s"], 0.5 * rows["mean_s"])  # a logarithmic axis has no room below 0
    edges = {"x": np.concatenate([x, x[::-1]]), "y": np.concatenate([rows["high_s"], low[::-1]])}
    return go.Scatter(**edges, fill="toself", mode="lines", hoverinfo="skip", showlegend=False, **style)


def percentile_dots(summary: pd.DataFrame, *, log_x: bool = True) -> go.Figure:
    """Median, mean, 95, 99 and 99.9 percent of the response times: one row a policy, one sign a statistic. ``summary``
    has the columns policy, p50_s, mean_s, p95_s, p99_s, p99.9_s, and may have theory_s (the mean by theory) and
    unstable (why, or empty). Raises ``ValueError`` for an empty table or a missing column."""
    check_columns(summary, "policy", *(column for column, _, _ in STATISTICS))
    names = list(summary["policy"])
    marks = summary["unstable"] if "unstable" in summary else [""] * len(names)
    rows = [f"{name}<br><b>unstable</b>" if mark else name for name, mark in zip(names, marks, strict=True)]
    legend = {"y": 1.0, "itemsizing": "constant"}
    figure = theme.figure(height=96 + 58 * len(names), margin=(140, 30, 44, 50), legend=legend)
    colours = [policy_style(name, names).colour for name in names]
    ends = zip(rows, summary["p50_s"], summary["p99.9_s"], strict=True)
    spans = [[(low, row), (high, row)] for row, low, high in ends]
    figure.add_trace(lines(spans, line={"color": theme.FAINT, "width": 2}, showlegend=False))
    figure.add_traces([_statistic(summary, rows, colours, *one) for one in STATISTICS])
    figure.add_trace(go.Scatter(
        x=summary["theory_s"] if "theory_s" in summary else np.full(len(names), np.nan), y=rows, mode="markers",
        name="mean, by theory", hovertemplate="theory: %{x:.4f}<extra></extra>",
        marker={"symbol": "circle-open", "size": 17, "color": theme.INK, "line": {"width": 1.8}},
    ))  # fmt: skip
    figure.update_yaxes(autorange="reversed", showgrid=False, tickfont={"size": 13, "color": theme.INK}, ticks="")
    low, high = float(summary["p50_s"].min()), float(summary["p99.9_s"].max())
    scale: dict[str, Any] = {"type": "linear", "range": [0, 1.05 * high]}
    if log_x:
        scale = {**theme.log_axis(0.7 * low, 1.25 * high), "tickvals": theme.decades(-2, 7)}
    return figure.update_xaxes(
        title_text="response time (mean service times" + (", log scale)" if log_x else ")"), **scale
    )


def _statistic(
    summary: pd.DataFrame, rows: Sequence[str], colours: Sequence[str], column: str, label: str, symbol: str
) -> go.Scatter:
    bar = symbol == "line-ns"
    return go.Scatter(
        x=summary[column], y=rows, mode="markers+text", name=label, cliponaxis=False,
        marker={"symbol": symbol, "size": 15 if bar else 10, "color": colours,
                "line": {"color": colours, "width": 3 if bar else 1}},
        text=[f"{value:.3g}" for value in summary[column]], textfont={"size": 11, "color": theme.SOFT},
        textposition="bottom center" if column in ("mean_s", "p99_s") else "top center",
        hovertemplate=f"<b>%{{y}}</b><br>{label}: %{{x:.3f}}<extra></extra>",
    )  # fmt: skip


def response_tail(ccdf: pd.DataFrame, theory: pd.DataFrame | None = None) -> go.Figure:
    """P(response > t): how many requests take longer than t, on a logarithmic scale where an exponential is straight.
    ``ccdf`` and ``theory`` (thin lines) have the columns policy, response_s, tail. Raises ``ValueError`` for an empty
    table or a missing column."""
    check_columns(ccdf, "policy", "response_s", "tail")
    key = {} if theory is None else {"title": {"text": "dotted: theory<br>", "font": {"size": 11}}}
    figure = theme.figure(height=440, margin=(118, 24, 20, 56), legend=theme.legend_beside(**key))
    names = list(ccdf["policy"].unique())
    top = 1.05 * float(ccdf.loc[ccdf["tail"] > 5e-5, "response_s"].max())
    for name in names:
        style, rows = policy_style(name, names), ccdf[(ccdf["policy"] == name) & (ccdf["tail"] > 0)]
        known = theory[theory["policy"] == name] if theory is not None else ccdf.iloc[:0]
        said = f"<b>{name}</b><br>%{{y:.3%}} take longer than %{{x:.2f}}<extra></extra>"
        figure.add_scatter(
            x=rows["response_s"], y=rows["tail"], mode="lines", name=name, line=style.line(2.4), hovertemplate=said
        )
        figure.add_scatter(
            x=known["response_s"], y=known["tail"], mode="lines", showlegend=False, hoverinfo="skip",
            line={"color": theme.INK, "width": 1.1, "dash": "dot"}, name=f"{name}, theory",
        )  # fmt: skip
    ticks = (1, 0.5, 0.1, 0.05, 0.01, 0.001, 1e-4)
    words = ("100 %", "50 %", "10 %", "5 %", "1 % (p99)", "0.1 % (p99.9)", "0.01 %")
    scale = {"type": "log", "range": [np.log10(5e-5), 0.05], "tickvals": ticks, "ticktext": words}
    figure.update_yaxes(title_text="share that takes longer", **scale)
    figure.update_xaxes(title_text="response time t (mean service times)", range=[0, top])
    return figure
