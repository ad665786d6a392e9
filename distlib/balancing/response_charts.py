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
    """Mean response against load: a line is theory, a dot a simulation, a band its 95 % confidence.

    ``points`` has the columns policy, load, mean_s, low_s, high_s; ``theory`` policy, load, theory_s (NaN where
    there is no closed form). Raises ``ValueError`` for an empty table or a missing column.
    """
    check_columns(points, "policy", "load", "mean_s", "low_s", "high_s")
    figure = theme.figure(height=460)
    names = list(points["policy"].unique())
    for number, name in enumerate(names):
        style = policy_style(name, names)
        rows = points[points["policy"] == name]
        known = theory[theory["policy"] == name].dropna() if theory is not None else points.iloc[:0]
        figure.add_traces([
            _band(rows, style, name), _theory(known, name, style, rows), _dots(rows, name, style, SYMBOLS[number % 5])
        ])  # fmt: skip
    figure.update_layout(
        legend=theme.legend_beside(title={"text": KEY, "font": {"size": 11}}),
        margin={"l": 70, "r": 24, "t": 20, "b": 58},
    )
    top = float(points["high_s"].max())
    scale: dict[str, Any] = {"range": [0, 1.1 * top]}
    if log_y:
        ticks = [one for one in (1, 1.5, 2, 3, 5, 7, 10, 15, 20, 30, 50, 100, 200, 500, 1000) if one < 1.3 * top]
        scale = {"type": "log", "range": [np.log10(0.93), np.log10(1.15 * top)], "tickvals": ticks}
    figure.update_yaxes(title_text="mean response (mean service times)", **scale)
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


def _band(rows: pd.DataFrame, style: LineStyle, name: str) -> go.Scatter:
    """The confidence interval as a band."""
    x, low, high = (rows[column].to_numpy(float) for column in ("load", "low_s", "high_s"))
    low = np.maximum(low, 0.5 * rows["mean_s"].to_numpy(float))  # a logarithmic axis has no room below 0
    return go.Scatter(
        x=np.concatenate([x, x[::-1]]), y=np.concatenate([high, low[::-1]]), fill="toself", mode="lines",
        line={"width": 0, "color": style.colour}, fillcolor=theme.translucent(style.colour, 0.16), hoverinfo="skip",
        showlegend=False, legendgroup=name, name=f"{name}, 95 % confidence",
    )  # fmt: skip


def percentile_dots(summary: pd.DataFrame, *, log_x: bool = True) -> go.Figure:
    """Median, mean, 95, 99 and 99.9 percent of the response times: one row a policy, one sign a statistic.

    ``summary`` has the columns policy, p50_s, mean_s, p95_s, p99_s, p99.9_s, and may have theory_s (the mean by
    theory) and unstable (why, or empty). Raises ``ValueError`` for an empty table or a missing column.
    """
    check_columns(summary, "policy", *(column for column, _, _ in STATISTICS))
    names = list(summary["policy"])
    marks = summary["unstable"] if "unstable" in summary else [""] * len(names)
    rows = [f"{name}<br><b>unstable</b>" if mark else name for name, mark in zip(names, marks, strict=True)]
    figure = theme.figure(height=96 + 58 * len(names))
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
    figure.update_layout(margin={"l": 140, "r": 30, "t": 44, "b": 50}, legend={"y": 1.0, "itemsizing": "constant"})
    figure.update_yaxes(autorange="reversed", showgrid=False, tickfont={"size": 13, "color": theme.INK}, ticks="")
    figure.update_xaxes(title_text="response time (mean service times" + (", log scale)" if log_x else ")"))
    low, high = float(summary["p50_s"].min()), float(summary["p99.9_s"].max())
    shown = [np.log10(0.7 * low), np.log10(1.25 * high)] if log_x else [0, 1.05 * high]
    figure.update_xaxes(
        type="log" if log_x else "linear", range=shown, tickvals=theme.decades(-2, 7) if log_x else None
    )
    return figure


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

    ``ccdf`` and ``theory`` (thin lines) have the columns policy, response_s, tail. Raises ``ValueError`` for an
    empty table or a missing column.
    """
    check_columns(ccdf, "policy", "response_s", "tail")
    figure = theme.figure(height=440)
    names = list(ccdf["policy"].unique())
    top = 1.05 * float(ccdf.loc[ccdf["tail"] > 5e-5, "response_s"].max())
    for name in names:
        style, rows = policy_style(name, names), ccdf[(ccdf["policy"] == name) & (ccdf["tail"] > 0)]
        known = theory[theory["policy"] == name] if theory is not None else ccdf.iloc[:0]
        figure.add_traces([
            go.Scatter(
                x=rows["response_s"], y=rows["tail"], mode="lines", name=name,
                line={"color": style.colour, "width": 2.4, "dash": style.dash},
                hovertemplate=f"<b>{name}</b><br>%{{y:.3%}} take longer than %{{x:.2f}}<extra></extra>",
            ),
            go.Scatter(
                x=known["response_s"], y=known["tail"], mode="lines", showlegend=False, hoverinfo="skip",
                line={"color": theme.INK, "width": 1.1, "dash": "dot"}, name=f"{name}, theory",
            ),
        ])  # fmt: skip
    figure.update_layout(margin={"l": 118, "r": 24, "t": 20, "b": 56}, legend=theme.legend_beside())
    ticks = {
        1: "100 %",
        0.5: "50 %",
        0.1: "10 %",
        0.05: "5 %",
        0.01: "1 % (p99)",
        0.001: "0.1 % (p99.9)",
        1e-4: "0.01 %",
    }
    figure.update_yaxes(
        type="log", range=[np.log10(5e-5), 0.05], tickvals=list(ticks), ticktext=list(ticks.values()),
        title_text="share that takes longer",
    )  # fmt: skip
    figure.update_xaxes(title_text="response time t (mean service times)", range=[0, top])
    return figure
