"""Load balancing as one sees it: queues that live, who got how much, which policy where, herds, balls in bins.

Each function raises ``ValueError`` for an empty table or a missing column.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from distlib.balancing.response_charts import RESPONSE, confidence_band, policy_style
from distlib.figures import theme
from distlib.figures.columns import check_columns
from distlib.figures.player import add_player
from distlib.figures.theme import SYMBOLS, LineStyle

MOST_ROWS = 40
"""Bars get no taller than this many requests; a longer queue shows its number and an arrow."""
IN_SERVICE: dict[str, Any] = {
    "name": "in service", "marker": {"color": theme.BLUE}, "textposition": "outside",
    "textfont": {"color": theme.ALARM, "size": 12}, "cliponaxis": False,
    "hovertemplate": "%{x}: %{y} in service<extra></extra>",
}  # fmt: skip
HATCH = {"shape": "/", "fgcolor": theme.PAPER, "bgcolor": theme.ORANGE, "size": 7, "solidity": 0.2}
WAITING: dict[str, Any] = {
    "name": "waiting",
    "marker": {"color": theme.ORANGE, "pattern": HATCH, "line": {"color": theme.ORANGE, "width": 1}},
    "textposition": "outside", "textfont": {"color": theme.SOFT, "size": 12}, "cliponaxis": False,
    "hovertemplate": "%{x}: %{y} waiting<extra></extra>",
}  # fmt: skip
SHADES = [[0.0, "#ffffff"], [0.25, "#d6e6f2"], [0.5, "#8fbfe0"], [0.75, "#2f83bd"], [1.0, "#08324f"]]


def live_queues(lengths: pd.DataFrame, waiting: pd.DataFrame, *, unstable: str = "") -> go.Figure:
    """Every backend's queue as a bar that grows and shrinks: one request in service, the others waiting.

    ``lengths`` has the columns time_s, backend, requests; ``waiting`` time_s, waiting. Requests that wait in front
    of all backends (a central queue) get a bar of their own. Play button and slider are in the figure, so it lives
    in a static page too. ``unstable`` says why queues grow for ever. At most 400 moments.
    """
    check_columns(lengths, "time_s", "backend", "requests")
    check_columns(waiting, "time_s", "waiting")
    table = lengths.pivot(index="time_s", columns="backend", values="requests")
    if len(table) > 400:
        raise ValueError(f"there are {len(table)} moments; a figure takes at most 400")
    counts, times = table.to_numpy(int), [float(time) for time in table.index]
    in_front = waiting["waiting"].to_numpy(int) - np.maximum(counts - 1, 0).sum(axis=1)
    names, shared = [f"B{backend}" for backend in table.columns], bool(in_front.any())
    if shared:
        names, counts = ["queue", *names], np.column_stack([in_front, counts])
    top = int(min(MOST_ROWS, max(4, counts.max())))
    figure = theme.figure(height=430, margin=(64, 24, 64, 48), barmode="stack", bargap=0.25)
    bars = zip(_bars(counts[0], shared, top), (IN_SERVICE, WAITING), strict=True)
    figure.add_traces([go.Bar(x=names, **part, **look) for part, look in bars])
    legend = {"y": 1.0, "x": 1, "xanchor": "right", "traceorder": "normal"}
    figure.update_layout(legend=legend, annotations=_says(counts[0], shared, unstable))
    figure.update_xaxes(title_text="", ticks="", tickfont={"color": theme.INK})
    figure.update_yaxes(title_text="requests at the backend", range=[0, top * 1.09], tickformat="d", nticks=9)
    frames = []
    for row in counts:
        data, said = [{"type": "bar", **part} for part in _bars(row, shared, top)], _says(row, shared, unstable)
        frames.append({"data": data, "traces": [0, 1], "layout": {"annotations": said}})
    drawn = add_player(figure, frames, times, below_px=28, redraw=True)
    drawn.layout.sliders[0].currentvalue.suffix = " mean service times"
    return drawn


def _bars(row: np.ndarray, shared: bool, top: int) -> list[dict[str, Any]]:
    """Heights and words of the bars for requests in service and for those that wait."""
    busy = np.minimum(row, 1)
    if shared:
        busy[0] = 0
    idle = ["idle" if one == 0 and not (shared and at == 0) else "" for at, one in enumerate(row)]
    tall = [
        f"{one}{' ↑' if one > top else ''}" if one > 1 or (shared and at == 0) else "" for at, one in enumerate(row)
    ]
    return [{"y": busy, "text": idle}, {"y": np.minimum(row - busy, top - busy), "text": tall}]


def _says(row: np.ndarray, shared: bool, unstable: str) -> list[dict[str, Any]]:
    """What to see at this moment, in words."""
    backends = row[1:] if shared else row
    waiting = int(np.maximum(backends - 1, 0).sum() + (row[0] if shared else 0))
    idle = int((backends == 0).sum())
    text = f"<b>{waiting}</b> waiting, <b>{idle}</b> of {backends.size} backends idle"
    if unstable:
        text += " · <b>unstable</b>: the queues grow for ever"
    return [words_above(text, 1.02, 15)]


def words_above(text: str, y: float, size: int) -> dict[str, Any]:
    """An annotation over the left end of the axes."""
    return {"text": text, "x": 0, "xref": "paper", "xanchor": "left", "y": y, "yref": "paper", "yanchor": "bottom",
            "showarrow": False, "font": {"size": size, "color": theme.INK}}  # fmt: skip


def backend_shares(counts: pd.DataFrame) -> go.Figure:
    """Requests of each backend under each policy (columns policy, backend, requests), against an even share."""
    check_columns(counts, "policy", "backend", "requests")
    names = list(counts["policy"].unique())
    figure = theme.figure(height=400, margin=(70, 24, 44, 56))
    for name in names:
        style, rows = policy_style(name, names), counts[counts["policy"] == name]
        figure.add_scatter(
            x=rows["backend"], y=rows["requests"] / rows["requests"].mean(), mode="lines+markers", name=name,
            line=style.line(1.2), marker=_sign(style, name, names), customdata=rows["requests"],
            hovertemplate=f"<b>{name}</b>, backend %{{x}}<br>%{{customdata:,}} requests, "
            "%{y:.3f} of an even share<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="backend", tickformat="d", nticks=20)
    figure.update_yaxes(title_text="requests, as a multiple of an even share", rangemode="tozero")
    return figure


def _sign(style: LineStyle, name: str, names: list[str]) -> dict[str, Any]:
    return {"color": style.colour, "symbol": SYMBOLS[names.index(name) % 5], "size": 9}


def policy_heat_map(table: pd.DataFrame) -> go.Figure:
    """Policy × service variability × load: how many times the central queue's response each policy takes. The columns
    are policy, cv2, load, slowdown. Darker is slower; the best policy of each cell is in bold and marked ★."""
    check_columns(table, "policy", "cv2", "load", "slowdown")
    names = list(table["policy"].unique())
    best = table.loc[table.groupby(["cv2", "load"])["slowdown"].idxmin()].set_index(["cv2", "load"])["policy"]
    figure = theme.panels(
        -(-len(names) // 4), min(4, len(names)), height=330 if len(names) <= 4 else 560, subplot_titles=names,
        horizontal_spacing=0.035, vertical_spacing=0.2, shared_yaxes=True,
    )  # fmt: skip
    for number, name in enumerate(names):
        grid = table[table["policy"] == name].pivot(index="cv2", columns="load", values="slowdown")
        text = [[_cell(value, best[cv2, load] == name) for load, value in row.items()] for cv2, row in grid.iterrows()]
        figure.add_heatmap(
            x=[f"{load:g}" for load in grid.columns], y=[_variability(cv2) for cv2 in grid.index],
            z=np.log10(grid.to_numpy()), text=text, texttemplate="%{text}", textfont={"size": 12}, zmin=0, zmax=1.3,
            colorscale=SHADES, xgap=1, ygap=1, showscale=number == 0,
            colorbar={"tickvals": [0, 0.301, 0.699, 1, 1.3], "ticktext": ["1×", "2×", "5×", "10×", "20×"],
                      "outlinewidth": 0, "thickness": 12, "len": 1, "title": {"text": ""}},
            hovertemplate=f"<b>{name}</b><br>c² %{{y}}, ρ = %{{x}}: %{{text}} times the central queue<extra></extra>",
            row=number // 4 + 1, col=number % 4 + 1,
        )  # fmt: skip
    figure.update_layout(margin=theme.margins(110, 70, 44, 52))
    figure.update_xaxes(title_text="load ρ", showgrid=False, ticks="", type="category", linecolor=theme.PAPER)
    figure.update_yaxes(showgrid=False, ticks="", type="category", linecolor=theme.PAPER)
    return figure


def _cell(value: float, best: bool) -> str:
    short = f"{value:.2f}" if value < 9.95 else f"{value:.0f}"
    return f"<b>{short}</b><br>★" if best else short


def _variability(cv2: float) -> str:
    names = {0.0: "constant", 1.0: "exponential"}
    return f"c² = {cv2:g}" if cv2 not in names else f"{names[cv2]} ({cv2:g})"


BANDS = {"title": {"text": "band: 95 % confidence<br>", "font": {"size": 11}}}
"""The legend's words about the bands round the lines."""


def herd_curve(table: pd.DataFrame) -> go.Figure:
    """Mean response against the age of the load information: everybody runs to the backend that *was* idle. ``table``
    has the columns policy, interval_s (0: live), mean_s, low_s, high_s."""
    check_columns(table, "policy", "interval_s", "mean_s", "low_s", "high_s")
    figure = theme.figure(height=430, margin=(70, 24, 20, 58), legend=theme.legend_beside(**BANDS))
    names = list(table["policy"].unique())
    given = sorted(table["interval_s"].unique())
    positive = [one for one in given if one > 0]
    live = min(positive) / 3 if positive else 1.0  # a logarithmic axis has no 0
    for name in names:
        style, rows = policy_style(name, names), table[table["policy"] == name]
        x = rows["interval_s"].where(rows["interval_s"] > 0, live)
        band = {"line": {"width": 0}, "fillcolor": theme.translucent(style.colour, 0.15), "legendgroup": name}
        figure.add_trace(confidence_band(x, rows, **band))
        figure.add_scatter(
            x=x, y=rows["mean_s"], mode="lines+markers", name=name, legendgroup=name,
            line=style.line(2.2), marker=_sign(style, name, names),
            hovertemplate=f"<b>{name}</b><br>refreshed every %{{text}}: mean response %{{y:.2f}}<extra></extra>",
            text=["always" if one == 0 else f"{one:g}" for one in rows["interval_s"]],
        )  # fmt: skip
    figure.update_xaxes(
        type="log", title_text="time between two refreshes of the load information (mean service times)",
        tickvals=[one or live for one in given], ticktext=[f"{one:g}" if one else "live" for one in given],
    )  # fmt: skip
    return figure.update_yaxes(type="log", title_text=RESPONSE, tickvals=[1, 2, 5, 10, 20, 50, 100, 200, 500, 1000])


def fullest_bins(table: pd.DataFrame) -> go.Figure:
    """Balls into bins: the share of bins with at least k balls, by the number of choices; lines are theory. ``table``
    has the columns choices, balls, share, theory."""
    check_columns(table, "choices", "balls", "share", "theory")
    figure = theme.figure(height=400, margin=(84, 24, 20, 56), legend=theme.legend_beside())
    for number, (choices, rows) in enumerate(table[table["share"] > 0].groupby("choices")):
        style = theme.series_style(number)
        name = f"{choices} choice{'' if choices == 1 else 's'}, fullest bin {int(rows['balls'].max())}"
        figure.add_scatter(
            x=rows["balls"], y=rows["theory"], mode="lines", line={"color": style.colour, "width": 2}, name=name,
            legendgroup=name, showlegend=False, hoverinfo="skip",
        )  # fmt: skip
        figure.add_scatter(
            x=rows["balls"], y=rows["share"], mode="markers", name=name, legendgroup=name,
            marker={"color": style.colour, "size": 10, "symbol": SYMBOLS[number % 5]},
            hovertemplate=f"{choices} choices: %{{y:.4%}} of the bins have at least %{{x}}<extra></extra>",
        )  # fmt: skip
    ticks = [1, 0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6]
    names = [f"{100 * tick:g} %" for tick in ticks]
    figure.update_yaxes(type="log", range=[-6.3, 0.2], title_text="share of bins", tickvals=ticks, ticktext=names)
    figure.update_xaxes(title_text="at least so many balls", dtick=1)
    return figure
