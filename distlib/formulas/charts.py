"""A formula put to the test: its curve, and simulations through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from distlib.figures import theme
from distlib.figures.columns import check_columns
from distlib.figures.player import slider


def formula_curve(
    curve: pd.DataFrame, points: pd.DataFrame, *, x: str, y: str, setting: str, log_y: bool = False
) -> go.Figure:
    """A formula as a curve with simulations through it, and a slider over one of its parameters.

    ``curve`` has the columns setting, x, value; ``points`` setting, x, value, error (three standard errors). ``x``
    and ``y`` are the titles of the axes, ``setting`` the name of the parameter on the slider. The slider is part of
    the figure, so it works in a static page too. Raises ``ValueError`` for an empty table or a missing column.
    """
    check_columns(curve, "setting", "x", "value")
    check_columns(points, "setting", "x", "value", "error")
    settings = list(dict.fromkeys(curve["setting"]))
    first = len(settings) // 2
    several = len(settings) > 1
    figure = theme.figure(height=490 if several else 420, margin=(70, 24, 40, 130 if several else 56))
    for one in settings:  # the whole family stays in the background
        rows = curve[curve["setting"] == one]
        line = {"color": theme.GRID, "width": 1.4}
        figure.add_scatter(x=rows["x"], y=rows["value"], mode="lines", line=line, showlegend=False, hoverinfo="skip")
    figure.add_traces(_formula_traces(curve, points, settings[first], styled=True))
    moving = [len(settings), len(settings) + 1]
    figure.frames = [
        go.Frame(name=str(one), data=_formula_traces(curve, points, one), traces=moving) for one in settings
    ]
    if several:
        figure.update_layout(sliders=[_setting_slider(settings, first, setting)])
    seen = pd.concat([points["value"] + points["error"], curve["value"]])
    top = 1.08 * float(min(seen.max(), 2.2 * max(points["value"].max(), 1e-12)))
    scale: dict[str, Any] = {"range": [0, top]}
    if log_y:
        low = float(curve["value"][curve["value"] > 0].min())
        scale = {**theme.log_axis(0.85 * low, 1.15 * top), "tickvals": theme.decades(-2, 5)}
    return figure.update_yaxes(title_text=y, **scale).update_xaxes(title_text=x)


def _formula_traces(curve: pd.DataFrame, points: pd.DataFrame, one: object, styled: bool = False) -> list[go.Scatter]:
    line, dots = curve[curve["setting"] == one], points[points["setting"] == one]
    formula = go.Scatter(x=line["x"], y=line["value"])
    simulated = go.Scatter(x=dots["x"], y=dots["value"], error_y={"array": dots["error"]})
    if styled:
        blue, orange = theme.series_style(0).colour, theme.series_style(1).colour
        said, look = "formula: %{y:.5g}<extra></extra>", {"color": blue, "width": 2.6}
        formula.update(mode="lines", name="formula", line=look, hovertemplate=said)
        simulated.update(
            mode="markers", name="simulated, ± 3 standard errors",
            marker={"color": orange, "size": 8, "symbol": "diamond"}, error_y={"thickness": 1.4, "color": orange},
            hovertemplate="simulated: %{y:.5g}<extra></extra>",
        )  # fmt: skip
    return [formula, simulated]


def _setting_slider(settings: Sequence[object], active: int, name: str) -> dict[str, Any]:
    labels = [f"{one:g}" if isinstance(one, float) else str(one) for one in settings]
    return slider(
        [str(one) for one in settings], labels,
        active=active, x=0, len=1, y=0, pad={"t": 52}, ticklen=4, tickcolor=theme.FAINT,
        currentvalue={"prefix": f"{name} = ", "font": {"size": 13, "color": theme.INK}},
        font={"size": 11, "color": theme.SOFT},
    )  # fmt: skip
