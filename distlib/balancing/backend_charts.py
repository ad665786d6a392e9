"""What backends do to policies, as pictures: in turn against all at once, and a crash with what follows it.

Each function raises ``ValueError`` for an empty table or a missing column.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from distlib.balancing.response_charts import RESPONSE, policy_style
from distlib.figures import theme
from distlib.figures.columns import check_columns
from distlib.figures.theme import SYMBOLS


def by_variability(table: pd.DataFrame, titles: Mapping[str, str]) -> go.Figure:
    """Mean response against the variability of the service times, a panel a discipline, a sign a simulation, a line
    theory. ``table`` has the columns discipline, policy, cv2, mean_s, low_s, high_s, theory_s (NaN where there is no
    closed form); ``titles`` names the disciplines."""
    check_columns(table, "discipline", "policy", "cv2", "mean_s", "low_s", "high_s", "theory_s")
    figure = theme.panels(
        1, len(titles), height=440, subplot_titles=list(titles.values()), shared_yaxes=True, horizontal_spacing=0.04
    )
    names = list(table["policy"].unique())
    places = {cv2: place for place, cv2 in enumerate(sorted(table["cv2"].unique()))}
    groups = table.assign(place=table["cv2"].map(places)).groupby(["discipline", "policy"])
    traces: list[go.Scatter] = []
    columns: list[int] = []
    for column, discipline in enumerate(titles, 1):
        for number, name in enumerate(names):
            rows = {str(key): one.to_numpy() for key, one in groups.get_group((discipline, name)).items()}
            style, known = policy_style(name, names), ~np.isnan(rows["theory_s"])
            traces.append(_simulated(rows, name, style.colour, SYMBOLS[number % 5], showlegend=column == 1))
            if known.any():
                traces.append(_closed_form({key: one[known] for key, one in rows.items()}, name, style.colour))
            columns += [column] * (len(traces) - len(columns))
    figure.add_traces(traces, rows=[1] * len(traces), cols=columns)  # one by one, each takes plotly a millisecond more
    top = float(table["high_s"].max())
    figure.update_layout(
        margin=theme.margins(70, 24, 84, 58),
        legend={"y": 1.12, "title": {"text": "sign: simulated, ring: theory   ", "font": {"size": 11}}},
    )
    ticks = [one for one in (1, 2, 3, 5, 10, 20, 30, 50, 100, 200) if one < 1.3 * top]
    figure.update_yaxes(**theme.log_axis(0.9, 1.2 * top), tickvals=ticks)
    figure.update_yaxes(title_text=RESPONSE, col=1)
    named = [f"{cv2:g}" + {0.0: "<br>constant", 1.0: "<br>exponential"}.get(cv2, "") for cv2 in places]
    return figure.update_xaxes(
        title_text="c² of the service times",
        tickvals=list(places.values()),
        ticktext=named,
        range=[-0.3, len(places) - 0.7],
    )


def _simulated(rows: Mapping[str, Any], name: str, colour: str, symbol: str, **options: Any) -> go.Scatter:
    return go.Scatter(
        x=rows["place"], y=rows["mean_s"], mode="lines+markers", name=name, legendgroup=name, **options,
        line={"color": colour, "width": 1, "dash": "dot"}, marker={"color": colour, "size": 9, "symbol": symbol},
        error_y={"array": rows["high_s"] - rows["mean_s"], "thickness": 1.2, "width": 3}, customdata=rows["cv2"],
        hovertemplate=f"<b>{name}</b>, c² = %{{customdata:g}}<br>simulated %{{y:.2f}}<extra></extra>",
    )  # fmt: skip


def _closed_form(rows: Mapping[str, Any], name: str, colour: str) -> go.Scatter:
    return go.Scatter(
        x=rows["place"], y=rows["theory_s"], mode="lines+markers", name="theory", showlegend=False, legendgroup=name,
        line={"color": colour, "width": 2.2},
        marker={"symbol": "circle-open", "size": 16, "color": theme.INK, "line": {"width": 1.4}},
        hovertemplate=f"<b>{name}</b><br>theory %{{y:.3f}}<extra></extra>",
    )  # fmt: skip


def outage_course(course: pd.DataFrame, crash_s: float, back_s: float) -> go.Figure:
    """Share of requests that fail, and the mean response of the others, before, in and after an outage. ``course`` has
    the columns policy, time_s, failed, mean_s."""
    check_columns(course, "policy", "time_s", "failed", "mean_s")
    figure = theme.panels(2, 1, height=520, shared_xaxes=True, vertical_spacing=0.08)
    names = list(course["policy"].unique())
    for name in names:
        style, rows = policy_style(name, names), course[course["policy"] == name]
        common = {"x": rows["time_s"], "mode": "lines", "name": name, "legendgroup": name, "line": style.line(2)}
        figure.add_scatter(
            y=rows["failed"], row=1, col=1, **common,
            hovertemplate=f"<b>{name}</b>, t = %{{x:g}}<br>%{{y:.1%}} of the requests fail<extra></extra>",
        )  # fmt: skip
        figure.add_scatter(
            y=rows["mean_s"], row=2, col=1, showlegend=False, **common,
            hovertemplate=f"<b>{name}</b>, t = %{{x:g}}<br>mean response %{{y:.2f}} s<extra></extra>",
        )  # fmt: skip
    tops = float(course["failed"].max()) or 0.1, float(course["mean_s"].max())
    for row, top in enumerate(tops, 1):
        edge = {"x": [crash_s, crash_s, back_s, back_s], "y": [0, 1.1 * top, 1.1 * top, 0]}
        figure.add_scatter(
            **edge, mode="lines", line={"width": 1, "dash": "dot", "color": theme.SOFT}, fill="tozeroy",
            fillcolor=theme.translucent(theme.SOFT, 0.08), name="backend 0 is down", legendgroup="down",
            showlegend=row == 1, hoverinfo="skip", row=row, col=1,
        )  # fmt: skip
        figure.update_yaxes(range=[0, 1.1 * top], row=row, col=1)
    figure.update_yaxes(title_text="share that fails", tickformat=".0%", row=1, col=1)
    figure.update_yaxes(title_text="mean response (s)", row=2, col=1)
    figure.update_xaxes(title_text="time (s; a mean service takes 1 s)", row=2, col=1)
    return figure.update_layout(margin=theme.margins(70, 24, 44, 56))
