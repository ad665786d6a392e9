"""Latency: the whole distribution, and the percentiles that people are paged for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import plotly.graph_objects as go

from distlib.core.exact import rounded_up
from distlib.figures import theme
from distlib.figures.shapes import lines
from distlib.figures.theme import SYMBOLS, LineStyle

PERCENTILES = (50, 90, 99)
POINTS = 400
"""Points a curve: quantiles, denser towards the tail, as a million samples must not travel to the browser."""


def latency_cdf(samples: Mapping[str, Iterable[float]], *, log_x: bool = False, label: str = "latency") -> go.Figure:
    """Cumulative distribution of each of ``samples`` (name: latencies in ms), with lines at 50, 90 and 99 percent.

    Each curve has a marker at each percentile, and its values in the legend. Names keep their order, so that the same
    names keep their zoom. NaN and infinity (never delivered) count as slower than all others, so a curve may
    end below 100 %. Raises ``ValueError`` for no samples, an empty one, a negative value, or values of 0 with
    ``log_x``.
    """
    curves = _checked(samples, log_x)
    legend = theme.legend_beside(xanchor="left", tracegroupgap=6)
    figure = theme.figure(height=430, margin=(72, 24, 20, 58), legend=legend, hovermode="closest")
    low, high = _range(curves.values(), log_x)
    styled = [(name, values, theme.series_style(number)) for number, (name, values) in enumerate(curves.items())]
    figure.add_trace(_levels(low, high))
    figure.add_traces([_curve(*one) for one in styled])
    figure.add_traces([_marks(*one, SYMBOLS[number % 5]) for number, one in enumerate(styled)])
    scale = {"type": "log", "range": [math.log10(low), math.log10(high)]} if log_x else {"range": [low, high]}
    figure.update_xaxes(title_text=f"{label} (ms{', log scale' if log_x else ''})", showgrid=True, **scale)
    figure.update_yaxes(
        title_text="share of requests not slower", range=[0, 1.02], tickvals=[0, 0.25, 0.5, 0.75, 0.9, 1.0],
        tickformat=".0%",
    )  # fmt: skip
    return figure


def quantile(ordered: np.ndarray, percentile: float) -> float:
    """The smallest value that at least ``percentile`` percent of the sorted ``ordered`` do not exceed."""
    rank = max(1, rounded_up(percentile, len(ordered), 100))
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


def _range(curves: Iterable[np.ndarray], log_x: bool) -> tuple[float, float]:
    finite = [array[np.isfinite(array)] for array in curves]
    finite = [array for array in finite if len(array)] or [np.array([1.0])]
    low, high = min(array[0] for array in finite), max(array[-1] for array in finite)
    if log_x:
        return float(low) / 1.1, float(high) * 1.15
    if high > 2 * (tail := max(quantile(array, 99) for array in finite)):
        high = 1.6 * tail  # a few stragglers shall not squeeze the rest; panning still reaches them
    return 0.0, float(high) * 1.04 or 1.0


def _curve(name: str, values: np.ndarray, style: LineStyle) -> go.Scatter:
    finite = values[np.isfinite(values)]
    ends = [(float(finite[rank - 1]), rank / len(values)) for rank in _ranks(len(finite))]
    return go.Scatter(
        x=[round(value, 6) for value, _ in ends], y=[round(part, 6) for _, part in ends],
        mode="lines", name=name, legendgroup=name, showlegend=False,
        line={**style.line(2.4), "shape": "hv"},
        hovertemplate=f"<b>{name}</b><br>%{{y:.2%}} take at most %{{x:,.4g}} ms<extra></extra>",
    )  # fmt: skip


def _ranks(count: int) -> list[int]:
    """Which of ``count`` sorted values to draw: all, or evenly spread ones and, in the tail, ever denser ones."""
    if count <= POINTS:
        return list(range(1, count + 1))
    body = np.linspace(1, 0.98 * count, POINTS // 2)
    tail = count + 1 - np.geomspace(0.02 * count, 1, POINTS // 2)
    return sorted({round(float(one)) for one in (*body, *tail)})


def _marks(name: str, values: np.ndarray, style: LineStyle, symbol: str) -> go.Scatter:
    percentiles = {one: quantile(values, one) for one in PERCENTILES}
    told = " · ".join(f"p{one} {_short(value)}" for one, value in percentiles.items())
    finite = {one: value for one, value in percentiles.items() if math.isfinite(value)}
    return go.Scatter(
        x=list(finite.values()), y=[one / 100 for one in finite], customdata=list(finite),
        mode="lines+markers", name=f"<b>{name}</b><br>{told}", legendgroup=name, showlegend=True,
        line=style.line(0),
        marker={"symbol": symbol, "size": 9, "color": style.colour, "line": {"color": theme.PAPER, "width": 1.2}},
        hovertemplate=f"<b>{name}</b><br>p%{{customdata:g}}: %{{x:,.4g}} ms<extra></extra>",
    )  # fmt: skip


def _levels(low: float, high: float) -> go.Scatter:
    levels = lines(
        [[(high, one / 100), (low, one / 100)] for one in PERCENTILES], showlegend=False, name="percentiles",
        line={"color": theme.FAINT, "width": 1, "dash": "dot"}, textfont={"size": 11, "color": theme.SOFT},
    )  # fmt: skip
    named = [text for one in PERCENTILES for text in (f"p{one} ", "", "")]
    return levels.update(mode="lines+text", text=named, textposition="bottom left")


def _short(value: float) -> str:
    if math.isinf(value):
        return "never"
    return f"{value:,.3g} ms" if value < 1000 else f"{value:,.0f} ms"
