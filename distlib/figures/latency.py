"""Latency: the whole distribution, and the percentiles that people are paged for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from distlib.figures import theme

PERCENTILES = (50.0, 90.0, 99.0)
POINTS = 400
"""Points a curve: quantiles, denser towards the tail, as a million samples must not travel to the browser."""


def latency_cdf(
    samples: Mapping[str, Iterable[float]],
    *,
    percentiles: Sequence[float] = PERCENTILES,
    log_x: bool = False,
    unit: str = "ms",
    label: str = "latency",
    title: str = "",
    width: int = theme.WIDTH,
    height: int = 430,
) -> go.Figure:
    """Cumulative distribution of each of ``samples`` (name: latencies in ``unit``), with lines at ``percentiles``.

    Each curve carries a marker at each percentile, and its values in the legend. Names keep their order, so that
    the same names can be updated in place. Samples that are NaN or infinite (never delivered) count as slower than
    all others, so a curve may end below 100 %. Raises ``ValueError`` for no samples, an empty one, a negative
    value, values of 0 with ``log_x``, or a percentile outside (0, 100).
    """
    curves = _checked(samples, log_x)
    _check_percentiles(percentiles)
    figure = theme.figure(title=title, width=width, height=height)
    low, high = _range(curves.values(), log_x)
    figure.add_trace(_levels(percentiles, low, high))
    figure.add_traces([_curve(number, name, values, unit) for number, (name, values) in enumerate(curves.items())])
    figure.add_traces(
        [_marks(number, name, values, percentiles, unit) for number, (name, values) in enumerate(curves.items())]
    )
    figure.update_layout(
        legend={"orientation": "v", "x": 1.02, "xanchor": "left", "y": 1, "yanchor": "top", "tracegroupgap": 6},
        margin={"l": 72, "r": 24, "t": 46 if title else 20, "b": 58},
        hovermode="closest",
    )
    scale: dict[str, Any] = (
        {"type": "log", "range": [math.log10(low), math.log10(high)]} if log_x else {"range": [low, high]}
    )
    figure.update_xaxes(title_text=f"{label} ({unit}{', log scale' if log_x else ''})", showgrid=True, **scale)
    figure.update_yaxes(
        title_text="share of requests not slower",
        range=[0, 1.02],
        tickvals=[0, 0.25, 0.5, 0.75, 0.9, 1.0],
        tickformat=".0%",
    )
    return figure


def percentile_bars(
    samples: Mapping[str, Iterable[float]],
    *,
    percentiles: Sequence[float] = PERCENTILES,
    log_y: bool = False,
    unit: str = "ms",
    label: str = "latency",
    title: str = "",
    width: int = theme.WIDTH,
    height: int = 400,
) -> go.Figure:
    """Bars side by side: for each of ``samples`` its ``percentiles``, each bar with its value. Raises as
    ``latency_cdf``."""
    curves = _checked(samples, log_y)
    _check_percentiles(percentiles)
    figure = theme.figure(title=title, width=width, height=height)
    shades = ("#9fc6e8", "#4a94cb", "#0b4f7d", "#072f4a", "#000000")
    hatches = ("", "/", "x", ".", "+")
    for number, percentile in enumerate(percentiles):
        values = [quantile(curve, percentile) for curve in curves.values()]
        figure.add_trace(
            go.Bar(
                x=list(curves),
                y=[0.0 if math.isinf(one) else one for one in values],
                name=f"p{percentile:g}",
                text=[_short(one) for one in values],
                textposition="outside",
                cliponaxis=False,
                textfont={"size": 12},
                hovertemplate="%{x}<br>p" + f"{percentile:g}: %{{y:,.4g}} {unit}<extra></extra>",
                marker={
                    "color": shades[number % 5],
                    "line": {"width": 0.8, "color": theme.PAPER},
                    "pattern": {
                        "shape": hatches[number % 5],
                        "fgcolor": theme.PAPER,
                        "solidity": 0.12,
                        "size": 8,
                        "fillmode": "overlay",
                    },
                },
            )
        )
    figure.update_layout(
        barmode="group",
        bargap=0.28,
        bargroupgap=0.06,
        margin={"l": 72, "r": 24, "t": 76 if title else 44, "b": 44},
        legend={"y": 1.02, "yanchor": "bottom"},
        uniformtext={"minsize": 9, "mode": "hide"},
    )
    figure.update_yaxes(title_text=f"{label} ({unit})", rangemode="tozero", type="log" if log_y else "linear")
    figure.update_xaxes(ticks="", tickfont={"size": 13, "color": theme.INK})
    return figure


def quantile(ordered: np.ndarray, percentile: float) -> float:
    """The smallest value that at least ``percentile`` percent of the sorted ``ordered`` do not exceed (nearest
    rank)."""
    rank = max(1, math.ceil(round(percentile / 100 * len(ordered), 9)))
    return float(ordered[rank - 1])


def _checked(samples: Mapping[str, Iterable[float]], log_scale: bool) -> dict[str, np.ndarray]:
    if not isinstance(samples, Mapping) or not samples:
        raise ValueError(
            f"samples is {samples!r}; it takes names with latencies, for example {{'5 servers': [1.2, 3.4]}}"
        )
    curves = {}
    for name, values in samples.items():
        array = np.asarray(list(values) if not isinstance(values, np.ndarray) else values, dtype=float).ravel()
        if not len(array):
            raise ValueError(f"samples[{name!r}] is empty; there is nothing to draw")
        array = np.sort(np.where(np.isnan(array), np.inf, array))
        if array[0] < 0 or (log_scale and array[0] <= 0):
            wanted = "values above 0 on a log scale" if log_scale else "values of at least 0"
            raise ValueError(f"samples[{name!r}] holds {array[0]:g}; it takes {wanted}")
        curves[str(name)] = array
    return curves


def _check_percentiles(percentiles: Sequence[float]) -> None:
    wrong = [one for one in percentiles if isinstance(one, bool) or not 0 < one < 100]
    if wrong:
        raise ValueError(f"percentiles holds {wrong[0]!r}; each lies between 0 and 100")


def _range(curves: Iterable[np.ndarray], log_x: bool) -> tuple[float, float]:
    finite = [array[np.isfinite(array)] for array in curves]
    finite = [array for array in finite if len(array)] or [np.array([1.0])]
    low, high = min(array[0] for array in finite), max(array[-1] for array in finite)
    if log_x:
        return float(low) / 1.1, float(high) * 1.15
    if high > 2 * (tail := max(quantile(array, 99) for array in finite)):
        high = 1.6 * tail  # a few stragglers shall not squeeze the rest; panning still reaches them
    return 0.0, float(high) * 1.04 or 1.0


def _curve(number: int, name: str, values: np.ndarray, unit: str) -> go.Scatter:
    finite = values[np.isfinite(values)]
    ends = [(float(finite[rank - 1]), rank / len(values)) for rank in _ranks(len(finite))]
    style = theme.series_style(number)
    return go.Scatter(
        x=[round(value, 6) for value, _ in ends],
        y=[round(part, 6) for _, part in ends],
        mode="lines",
        name=name,
        line={"color": style.colour, "dash": style.dash, "width": 2.4, "shape": "hv"},
        legendgroup=name,
        showlegend=False,
        hovertemplate=f"<b>{name}</b><br>%{{y:.2%}} take at most %{{x:,.4g}} {unit}<extra></extra>",
    )


def _ranks(count: int) -> list[int]:
    """Which of ``count`` sorted values to draw: all, or evenly spread ones and, in the tail, ever denser ones."""
    if count <= POINTS:
        return list(range(1, count + 1))
    body = np.linspace(1, 0.98 * count, POINTS // 2)
    tail = count + 1 - np.geomspace(0.02 * count, 1, POINTS // 2)
    return sorted({round(float(one)) for one in (*body, *tail)})


def _marks(number: int, name: str, values: np.ndarray, percentiles: Sequence[float], unit: str) -> go.Scatter:
    points = [(quantile(values, one), one) for one in percentiles]
    points = [(value, one) for value, one in points if math.isfinite(value)]
    told = " · ".join(f"p{one:g} {_short(quantile(values, one), unit)}" for one in percentiles)
    style = theme.series_style(number)
    symbols = ("circle", "square", "diamond", "triangle-up", "cross")
    return go.Scatter(
        x=[value for value, _ in points],
        y=[one / 100 for _, one in points],
        mode="lines+markers",
        legendgroup=name,
        name=f"<b>{name}</b><br>{told}",
        showlegend=True,
        line={"color": style.colour, "dash": style.dash, "width": 0},
        marker={
            "symbol": symbols[number % 5],
            "size": 9,
            "color": style.colour,
            "line": {"color": theme.PAPER, "width": 1.2},
        },
        customdata=[one for _, one in points],
        hovertemplate=f"<b>{name}</b><br>p%{{customdata:g}}: %{{x:,.4g}} {unit}<extra></extra>",
    )


def _levels(percentiles: Sequence[float], low: float, high: float) -> go.Scatter:
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for one in percentiles:
        x += [high, low, None]
        y += [one / 100, one / 100, None]
        text += [f"p{one:g} ", "", ""]
    return go.Scatter(
        x=x,
        y=y,
        text=text,
        mode="lines+text",
        textposition="bottom left",
        hoverinfo="skip",
        showlegend=False,
        name="percentiles",
        line={"color": theme.FAINT, "width": 1, "dash": "dot"},
        textfont={"size": 11, "color": theme.SOFT},
    )


def _short(value: float, unit: str = "") -> str:
    if math.isinf(value):
        return "never"
    return f"{value:,.3g} {unit}".strip() if value < 1000 else f"{value:,.0f} {unit}".strip()
