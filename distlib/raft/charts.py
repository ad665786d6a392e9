"""The charts of the Raft studies: figure 16's two panels, the split-vote formula, throughput against size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from distlib.figures import theme
from distlib.figures.log_view import TERMS
from distlib.figures.shapes import framed, labelled_bars, plain
from distlib.raft.paper_figures import Moment


def failover_panels(
    found: Mapping[str, Sequence[float]],
    published: Mapping[str, Mapping[str, float]],
    panels: Mapping[str, Sequence[str]],
) -> go.Figure:
    """Cumulative distributions of the time without a leader: one panel a row, ours as lines, the published as dots.

    By line, ``found`` holds times in ms, and ``published`` the percentiles ``p5`` … ``p99``; ``panels`` the lines of
    each panel, by title. A line without trials is drawn with its published dots alone.
    """
    figure = theme.panels(len(panels), 1, height=640, subplot_titles=[*panels], vertical_spacing=0.16)
    figure.update_layout(margin={"l": 64, "r": 130, "t": 56, "b": 56}, hovermode="closest")
    for row, names in enumerate(panels.values(), 1):
        legend, top = ("legend", 1.0) if row == 1 else (f"legend{row}", 1.0 - (row - 1) / len(panels) - 0.06)
        figure.update_layout({legend: theme.legend_beside(x=1.01, y=top, xanchor="left", tracegroupgap=0)})
        figure.update_yaxes(title_text="trials, %", range=[0, 102], row=row, col=1)
        for number, line in enumerate(names):
            pair = _failovers(line, found.get(line, ()), published.get(line, {}), theme.series_style(number))
            for part in pair:
                figure.add_trace(part.update(legendgroup=f"{row} {line}", legend=legend), row, 1)
    ticks = [20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000, 200_000]
    names = [f"{ms} ms" if ms < 1000 else f"{ms / 1000:g} s" for ms in ticks]
    figure.update_xaxes(type="log", tickvals=ticks, ticktext=names)
    figure.update_xaxes(title_text="time without a leader", row=len(panels), col=1)
    return figure


def _failovers(
    line: str, found: Sequence[float], known: Mapping[str, float], style: theme.LineStyle
) -> tuple[go.Scatter, go.Scatter]:
    times = np.sort(np.asarray(found))
    ours = go.Scatter(
        x=times, y=100 * (np.arange(len(times)) + 0.5) / max(len(times), 1), mode="lines", name=f"{line} ms",
        line={"color": style.colour, "dash": style.dash, "width": 2.4, "shape": "hv"},
        hovertemplate=f"{line} ms, ours: %{{y:.0f}} % within %{{x:.0f}} ms<extra></extra>",
    )  # fmt: skip
    percentiles = [name for name in known if name.startswith("p")]
    theirs = go.Scatter(
        x=[known[name] for name in percentiles], y=[int(name[1:]) for name in percentiles], mode="markers",
        marker={"color": style.colour, "size": 8, "symbol": "circle-open", "line": {"width": 2}}, showlegend=False,
        hovertemplate=f"{line} ms, published: %{{y}} % within %{{x:.0f}} ms<extra></extra>",
    )  # fmt: skip
    return ours, theirs


def split_vote_curve(curve: pd.DataFrame, simulated: pd.DataFrame, mark: float) -> go.Figure:
    """The split-vote formula as a line and simulations as points with three standard errors; ``mark`` is the reader's
    latency. ``curve``: latency, probability; ``simulated``: latency, share, standard_error."""
    figure = theme.figure(height=360, margin=(64, 24, 40, 56))
    blue, orange = theme.series_style(0).colour, theme.series_style(1).colour
    share, spread = 100 * simulated["share"], 300 * simulated["standard_error"]
    here = curve.iloc[[int((curve["latency"] - mark).abs().argmin())]]
    figure.add_traces([
        go.Scatter(
            x=curve["latency"], y=100 * curve["probability"], mode="lines", name="formula",
            line={"color": blue, "width": 2.4}, hovertemplate="formula: %{y:.2f} %<extra></extra>",
        ),
        go.Scatter(
            x=simulated["latency"], y=share, mode="markers", name="simulated (± 3 standard errors)",
            marker={"color": orange, "size": 9, "symbol": "diamond"},
            error_y={"array": spread, "arrayminus": np.minimum(spread, share), "symmetric": False, "thickness": 1.5,
                     "color": orange},
            hovertemplate="simulated: %{y:.2f} %<extra></extra>",
        ),
        go.Scatter(
            x=here["latency"], y=100 * here["probability"], mode="markers+text", showlegend=False, cliponaxis=False,
            text=[f"  your setting: {100 * p:.1f} %" for p in here["probability"]], textposition="middle right",
            marker={"size": 15, "symbol": "circle-open", "color": theme.INK, "line": {"width": 2}},
            hovertemplate="%{y:.2f} %<extra></extra>",
        ),
    ])  # fmt: skip
    figure.update_xaxes(title_text="one-way latency as a fraction of the timeout range", rangemode="tozero")
    figure.update_yaxes(title_text="elections whose first vote splits, %", rangemode="tozero")
    return figure


def throughput_chart(table: pd.DataFrame) -> go.Figure:
    """Commits a second and commit latency against the number of servers, one line a placement, on logarithmic scales.
    ``table``: placement, servers, commits_per_s, p50_ms, p99_ms."""
    titles = ["commits a second", "commit latency, ms (line: median, ring: 99th percentile)"]
    figure = theme.panels(1, 2, height=420, subplot_titles=titles)
    for number, (placement, rows) in enumerate(table.groupby("placement", sort=False)):
        style = theme.series_style(number)
        looks = {
            "mode": "lines+markers", "name": placement, "showlegend": True, "marker": {"size": 8},
            "line": {"color": style.colour, "dash": style.dash, "width": 2.4},
        }  # fmt: skip
        dot = {"size": 8, "symbol": "circle-open", "color": style.colour, "line": {"width": 2}}
        parts = (
            (1, "commits_per_s", "commits/s", looks),
            (2, "p50_ms", "ms median", {**looks, "showlegend": False}),
            (2, "p99_ms", "ms at the 99th percentile", {"mode": "markers", "marker": dot, "showlegend": False}),
        )
        for column, values, unit, look in parts:
            hover = f"{placement}, %{{x}} servers: %{{y:,.0f}} {unit}<extra></extra>"
            part = go.Scatter(x=rows["servers"], y=rows[values], legendgroup=placement, hovertemplate=hover, **look)
            figure.add_trace(part, 1, column)
    figure.update_layout(margin={"l": 64, "r": 24, "t": 68, "b": 56}, legend={"y": 1.1})
    figure.update_annotations(font_size=14)
    figure.update_xaxes(title_text="servers", tickvals=sorted(table["servers"].unique()))
    figure.update_yaxes(type="log", dtick=1, tickformat=",")
    return figure


def log_panels(moments: Sequence[Moment]) -> go.Figure:
    """Logs as the paper's figures 7 and 8 draw them: a panel a moment, a row a server, a box an entry. ♛ leads."""
    names = list(moments[0].logs)
    longest = max(len(log) for moment in moments for log in moment.logs.values())
    figure = theme.panels(1, len(moments), height=90 + 34 * len(names), subplot_titles=[one.title for one in moments])
    for column, moment in enumerate(moments, 1):
        boxes = [
            (index - 0.46, 0.92, -names.index(name), f"<b>{term}</b>", f"{name}, index {index}: term {term}", term)
            for name, log in moment.logs.items()
            for index, term in enumerate(log, 1)
        ]
        colours = [TERMS[(one[-1] - 1) % len(TERMS)] for one in boxes]
        figure.add_trace(labelled_bars(
            [one[:-1] for one in boxes], width=0.72, showlegend=False, marker=framed(colours, theme.PAPER, 1),
            insidetextfont={"color": theme.INK, "size": 13},
        ), 1, column)  # fmt: skip
        labels = [f"♛ <b>{plain(name)}</b>" if name == moment.leader else plain(name) for name in names]
        figure.update_yaxes(
            **theme.ROWS, range=[0.5 - len(names), 0.5], tickvals=[-row for row in range(len(names))], ticktext=labels,
            row=1, col=column,
        )  # fmt: skip
    figure.update_xaxes(range=[0.4, longest + 0.6], dtick=1, showgrid=False, ticks="", title_text="log index")
    figure.update_layout(barmode="overlay", margin={"l": 74, "r": 20, "t": 40, "b": 46}, dragmode=False)
    return figure.update_annotations(font_size=14)
