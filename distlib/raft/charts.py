"""The charts of the Raft studies: figure 16's two panels, the split-vote formula, throughput against size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from distlib.figures import theme

STATISTICS = (5, 10, 25, 50, 75, 90, 95, 99)


def failover_panels(
    found: Mapping[str, Sequence[float]],
    published: Mapping[str, Mapping[str, float]],
    panels: Sequence[tuple[str, Sequence[str]]],
) -> go.Figure:
    """Cumulative distributions of the time without a leader: one panel a row, ours as lines, the published as dots.

    ``found`` holds times in ms by line; ``published`` the percentiles ``p5`` … ``p99`` by line; ``panels`` the title of
    each panel and the lines in it. A line without trials is drawn with its published dots alone.
    """
    base = theme.figure(height=640)
    figure = make_subplots(
        rows=len(panels), cols=1, subplot_titles=[title for title, _ in panels], vertical_spacing=0.16
    )
    for row, (_, lines) in enumerate(panels, 1):
        for number, line in enumerate(lines):
            style = theme.series_style(number)
            group = {"legendgroup": f"{row} {line}", "legend": "legend" if row == 1 else f"legend{row}"}
            times = np.sort(np.asarray(found.get(line, ())))
            figure.add_trace(
                go.Scatter(
                    x=times,
                    y=100 * (np.arange(len(times)) + 0.5) / max(len(times), 1),
                    mode="lines",
                    name=f"{line} ms",
                    line={"color": style.colour, "dash": style.dash, "width": 2.4, "shape": "hv"},
                    hovertemplate=f"{line} ms, ours: %{{y:.0f}} % within %{{x:.0f}} ms<extra></extra>",
                    **group,
                ),
                row,
                1,
            )
            known = published.get(line, {})
            figure.add_trace(
                go.Scatter(
                    x=[known[f"p{q}"] for q in STATISTICS if f"p{q}" in known],
                    y=[q for q in STATISTICS if known],
                    mode="markers",
                    showlegend=False,
                    marker={"color": style.colour, "size": 8, "symbol": "circle-open", "line": {"width": 2}},
                    hovertemplate=f"{line} ms, published: %{{y}} % within %{{x:.0f}} ms<extra></extra>",
                    **group,
                ),
                row,
                1,
            )
    figure.update_layout(base.layout)
    figure.update_layout(margin={"l": 64, "r": 130, "t": 56, "b": 56}, hovermode="closest")
    for row in range(1, len(panels) + 1):
        top = 1.0 if row == 1 else 1.0 - (row - 1) * (1.0 / len(panels)) - 0.06
        legend = {"x": 1.01, "y": top, "xanchor": "left", "yanchor": "top", "orientation": "v", "tracegroupgap": 0}
        figure.update_layout({"legend" if row == 1 else f"legend{row}": legend})
        figure.update_yaxes(title_text="trials, %", range=[0, 102], row=row, col=1)
    ticks = [20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000, 200_000]
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=[_duration(tick) for tick in ticks])
    figure.update_xaxes(title_text="time without a leader", row=len(panels), col=1)
    return figure


def _duration(ms: float) -> str:
    return f"{ms:g} ms" if ms < 1000 else f"{ms / 1000:g} s"


def split_vote_curve(curve: pd.DataFrame, simulated: pd.DataFrame, mark: float | None = None) -> go.Figure:
    """The split-vote formula as a line and simulations as points with three standard errors.

    ``curve``: latency, probability; ``simulated``: latency, share, standard_error. ``mark`` draws the reader's setting.
    """
    figure = theme.figure(height=380)
    blue, orange = theme.series_style(0), theme.series_style(1)
    spread = 300 * simulated["standard_error"]
    figure.add_trace(
        go.Scatter(
            x=curve["latency"],
            y=100 * curve["probability"],
            mode="lines",
            name="formula",
            line={"color": blue.colour, "width": 2.4},
            hovertemplate="formula: %{y:.2f} %<extra></extra>",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=simulated["latency"],
            y=100 * simulated["share"],
            mode="markers",
            name="simulated (± 3 standard errors)",
            marker={"color": orange.colour, "size": 9, "symbol": "diamond"},
            error_y={
                "array": spread,
                "arrayminus": np.minimum(spread, 100 * simulated["share"]),
                "symmetric": False,
                "thickness": 1.5,
                "color": orange.colour,
            },
            hovertemplate="simulated: %{y:.2f} %<extra></extra>",
        )
    )
    here = curve.iloc[[int((curve["latency"] - mark).abs().argmin())]] if mark is not None else curve.iloc[:0]
    figure.add_trace(
        go.Scatter(
            x=here["latency"],
            y=100 * here["probability"],
            mode="markers+text",
            showlegend=False,
            cliponaxis=False,
            text=[f"  your setting: {100 * p:.1f} %" for p in here["probability"]],
            textposition="middle right",
            marker={"size": 15, "symbol": "circle-open", "color": theme.INK, "line": {"width": 2}},
            hovertemplate="%{y:.2f} %<extra></extra>",
        )
    )
    figure.update_xaxes(title_text="one-way latency as a fraction of the timeout range", rangemode="tozero")
    figure.update_yaxes(title_text="elections whose first vote splits, %", rangemode="tozero")
    return figure


def throughput_chart(table: pd.DataFrame) -> go.Figure:
    """Commits a second and median commit latency against the number of servers, one line a placement.

    ``table``: placement, servers, commits_per_s, p50_ms, p99_ms. Both scales are logarithmic.
    """
    figure = make_subplots(
        rows=1, cols=2, subplot_titles=["commits a second", "commit latency, ms (line: median, dot: 99th percentile)"]
    )
    for number, (placement, rows) in enumerate(table.groupby("placement", sort=False)):
        style = theme.series_style(number)
        line = {"color": style.colour, "dash": style.dash, "width": 2.4}
        for column, values, unit in ((1, "commits_per_s", "commits/s"), (2, "p50_ms", "ms median")):
            figure.add_trace(
                go.Scatter(
                    x=rows["servers"],
                    y=rows[values],
                    mode="lines+markers",
                    name=placement,
                    line=line,
                    marker={"size": 8},
                    legendgroup=placement,
                    showlegend=column == 1,
                    hovertemplate=f"{placement}, %{{x}} servers: %{{y:,.0f}} {unit}<extra></extra>",
                ),
                1,
                column,
            )
        figure.add_trace(
            go.Scatter(
                x=rows["servers"],
                y=rows["p99_ms"],
                mode="markers",
                legendgroup=placement,
                showlegend=False,
                marker={"size": 8, "symbol": "circle-open", "color": style.colour, "line": {"width": 2}},
                hovertemplate=f"{placement}, %{{x}} servers: %{{y:,.0f}} ms at the 99th percentile<extra></extra>",
            ),
            1,
            2,
        )
    figure.update_layout(theme.figure(height=420).layout)
    figure.update_layout(margin={"l": 64, "r": 24, "t": 96, "b": 56}, legend={"y": 1.12})
    figure.update_annotations(font_size=14)
    figure.update_xaxes(title_text="servers", tickvals=sorted(table["servers"].unique()))
    figure.update_yaxes(type="log", dtick=1)
    return figure
