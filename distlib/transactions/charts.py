"""The charts of the transactions chapter: who was in doubt when, the states of both roles, what it all costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from distlib.core.trace import Trace
from distlib.figures import lanes, theme
from distlib.figures.columns import check_columns
from distlib.figures.shapes import framed, hatch, labelled_bars, plain, signs
from distlib.transactions.intervals import COLUMNS, intervals, transitions

LANE_PX = 58
DECISION = {True: ("committed", theme.GREEN, "circle"), False: ("aborted", theme.VERMILLION, "x")}


# ------------------------------------------------------------ one transaction


def doubt_bars(trace: Trace) -> go.Figure:
    """A lane a node: when it was in doubt, what it held locked, when it was down; and when it learnt the decision."""
    rows = {node: float(-at) for at, node in enumerate(trace.nodes)}
    figure = theme.figure(height=110 + LANE_PX * len(rows), margin=(64, 24, 44, 56), barmode="overlay")
    down = [part for part in lanes.segments(trace, trace.nodes) if part.role == theme.CRASHED]
    gone = pd.DataFrame([(one.node, "", one.start_ms, one.end_ms, True) for one in down], columns=COLUMNS)
    looks = {
        "down": (gone, (0.0, 0.8), framed("#f4f5f7", theme.FAINT, 0.8, hatch("x", theme.FAINT, 6, 0.2))),
        "in doubt": (intervals(trace, "in_doubt"), (0.17, 0.36), framed(theme.ORANGE, theme.PAPER, 0.8)),
        "waits for locks": (intervals(trace, "waiting"), (0.17, 0.36), framed(theme.YELLOW, theme.SOFT, 0.8)),
        "accounts locked": (
            intervals(trace, "locked"), (-0.18, 0.2),
            framed("#e4d3df", theme.PURPLE, 0.8, hatch("/", theme.PURPLE, 5, 0.25)),
        ),
    }  # fmt: skip
    figure.add_traces([_stretches(name, found, rows, place, look) for name, (found, place, look) in looks.items()])
    for commit, (name, colour, symbol) in DECISION.items():
        learnt = [(at_ms, rows[node]) for node, at_ms, decision in outcomes(trace) if decision is commit]
        points = [(at_ms, y + 0.17, f"{name} at {at_ms:,.1f} ms") for at_ms, y in learnt]
        look = {"symbol": symbol, "size": 13, "color": colour, "line": {"width": 1.5, "color": theme.PAPER}}
        figure.add_trace(signs(points, name=name, showlegend=True, marker=look))
    figure.update_xaxes(range=[0, trace.end_ms], title_text="virtual time (ms)", tickformat=",")
    figure.update_yaxes(
        **theme.ROWS, range=[-len(rows) + 0.5, 0.6], tickvals=list(rows.values()),
        ticktext=[f"<b>{plain(node)}</b>" for node in rows],
    )  # fmt: skip
    return figure


def _stretches(
    name: str, found: pd.DataFrame, rows: Mapping[str, float], place: tuple[float, float], look: dict[str, Any]
) -> go.Bar:
    """Bars for the intervals of ``found`` in their lanes, ``place`` = (above the lane's middle, height)."""
    shown = []
    for node, what, start_ms, end_ms, ended in found.itertuples(index=False):
        length = end_ms - start_ms
        label = f"{length:,.0f} ms{'' if ended else ' and on'}" if name == "in doubt" else ""
        said = f"<b>{plain(node)}</b> {name} {plain(what)}<br>{start_ms:,.1f} to {end_ms:,.1f} ms"
        shown.append((start_ms, length, rows[node] + place[0], label, said))
    font = {"color": theme.INK, "size": 12}
    return labelled_bars(shown, width=place[1], name=name, marker=look, showlegend=True, textfont=font)


def outcomes(trace: Trace) -> list[tuple[str, float, bool]]:
    """Node, time and decision: when participants carried one out."""
    found = [one for one in trace.outputs if type(one.event).__name__ == "Wrote"]
    return [
        (one.node or "", one.time_ms, one.event.record.commit) for one in found
        if type(one.event.record).__name__ == "Finished"
    ]  # fmt: skip


STATES = {
    "coordinator": {
        "idle": (0.0, 0.0), "collecting votes": (1.0, 0.0), "decided": (2.0, 0.0), "forgotten": (3.0, 0.0),
    },
    "participant": {
        "not asked": (0.0, -2.0), "waits for locks": (0.5, -1.35), "in doubt": (1.0, -2.0), "leaning": (1.6, -1.35),
        "committed": (3.0, -1.55), "aborted": (3.0, -2.45),
    },
}  # fmt: skip
POSSIBLE = (
    ("idle", "collecting votes"), ("collecting votes", "decided"), ("decided", "forgotten"),
    ("not asked", "waits for locks"), ("not asked", "in doubt"), ("not asked", "aborted"),
    ("waits for locks", "in doubt"), ("in doubt", "committed"), ("in doubt", "aborted"), ("in doubt", "leaning"),
    ("leaning", "committed"), ("leaning", "aborted"),
)  # fmt: skip


def state_chart(trace: Trace) -> go.Figure:
    """The states of both roles; what this run has gone through is drawn over it, with how often."""
    places = {name: place for states in STATES.values() for name, place in states.items()}
    taken = transitions(trace)
    figure = theme.figure(height=430, margin=(24, 24, 24, 24), showlegend=False)
    for one, other in POSSIBLE:
        count = taken.get((one, other), 0)
        colour, width = (theme.BLUE, 3.2) if count else (theme.FAINT, 1.2)
        (x0, y0), (x1, y1) = _between(places[one], places[other])
        figure.add_annotation(
            x=x1, y=y1, ax=x0, ay=y0, xref="x", yref="y", axref="x", ayref="y", showarrow=True, arrowhead=2,
            arrowsize=1.1, arrowwidth=width, arrowcolor=colour, text="",
        )  # fmt: skip
        figure.add_scatter(
            x=[(x0 + x1) / 2], y=[(y0 + y1) / 2 + 0.13], mode="text", text=[f"<b>{count}×</b>" if count else ""],
            textfont={"color": theme.BLUE, "size": 13}, hoverinfo="skip",
        )  # fmt: skip
    visited = {name for pair in taken for name in pair}
    fills = {"in doubt": theme.ORANGE, "committed": theme.GREEN, "aborted": theme.VERMILLION, "leaning": theme.YELLOW}
    above = ("waits for locks", "leaning")
    figure.add_scatter(
        x=[x for x, _ in places.values()], y=[y for _, y in places.values()], mode="markers+text", text=list(places),
        textposition=["top center" if name in above else "bottom center" for name in places], hoverinfo="skip",
        textfont={"color": [theme.INK if name in visited else theme.SOFT for name in places], "size": 13},
        marker={
            "size": 26, "color": [fills.get(name, "#dfe6ec") if name in visited else theme.PAPER for name in places],
            "line": {"width": 2, "color": [theme.INK if name in visited else theme.FAINT for name in places]},
        },
    )  # fmt: skip
    for name, y in (("coordinator", 0.45), ("participant", -0.95)):
        figure.add_annotation(x=-0.35, y=y, text=f"<b>{name}</b>", showarrow=False, xanchor="left", font={"size": 15})
    figure.update_xaxes(visible=False, range=[-0.4, 3.4])
    figure.update_yaxes(visible=False, range=[-3.0, 0.7])
    return figure


def _between(one: tuple[float, float], other: tuple[float, float]) -> tuple[tuple[float, float], tuple[float, float]]:
    """The ends of an arrow from ``one`` to ``other`` that leaves their circles free."""
    dx, dy = other[0] - one[0], other[1] - one[1]
    length = math.hypot(dx, dy)
    gap = 0.13 / length
    return (one[0] + gap * dx, one[1] + gap * dy), (other[0] - gap * dx, other[1] - gap * dy)


# ------------------------------------------------------------ a dead coordinator


def blocking_curve(table: pd.DataFrame) -> go.Figure:
    """In which share of crashes somebody is blocked for longer than so many ms; columns protocol, blocked_ms."""
    check_columns(table, "protocol", "blocked_ms", name="the crashes")
    names = list(dict.fromkeys(table["protocol"]))
    top_ms = max(100.0, 1.15 * float(table["blocked_ms"].max()))
    figure = theme.figure(height=420, margin=(70, 24, 64, 56))
    for number, name in enumerate(names):
        blocked = np.sort(table.loc[table["protocol"] == name, "blocked_ms"].to_numpy())
        x = np.concatenate([[1.0], np.maximum(blocked, 1.0), [top_ms]])
        y = np.concatenate([[1.0], 1 - np.arange(1, len(blocked) + 1) / len(blocked), [0.0]])
        style = theme.series_style(number)
        figure.add_scatter(
            x=x, y=y, mode="lines", name=name, line={**style.line(2.6), "shape": "hv"},
            hovertemplate=f"<b>{name}</b>: more than %{{x:,.0f}} ms in %{{y:.0%}} of crashes<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="somebody is in doubt for longer than (ms)", **theme.log_axis(1.0, top_ms))
    figure.update_yaxes(title_text="share of crashes", tickformat=".0%", range=[0, 1.02])
    return figure


# ------------------------------------------------------------ costs


def cost_lines(table: pd.DataFrame) -> go.Figure:
    """Messages and forced writes against participants: formulas as lines, measurements as signs. Columns protocol,
    participants, messages, forced, messages_formula, forced_formula."""
    check_columns(
        table, "protocol", "participants", "messages", "forced", "messages_formula", "forced_formula", name="costs"
    )
    figure = theme.panels(1, 2, height=400, subplot_titles=["messages", "forced log writes"], horizontal_spacing=0.09)
    names = list(dict.fromkeys(table["protocol"]))
    for number, name in enumerate(names):
        rows, style = table[table["protocol"] == name], theme.series_style(number)
        for place, column in enumerate(("messages", "forced"), 1):
            figure.add_trace(go.Scatter(
                x=rows["participants"], y=rows[f"{column}_formula"], mode="lines", name=name, legendgroup=name,
                showlegend=place == 1, line=style.line((6, 3, 2)[min(number, 2)]), hoverinfo="skip",
            ), 1, place)  # fmt: skip
            figure.add_trace(go.Scatter(
                x=rows["participants"], y=rows[column], mode="markers", name=name, legendgroup=name, showlegend=False,
                marker={"symbol": theme.SYMBOLS[number % 5], "size": 8, "color": style.colour},
                hovertemplate=f"<b>{name}</b>, %{{x}} participants: %{{y}} {column} counted<extra></extra>",
            ), 1, place)  # fmt: skip
    figure.update_xaxes(title_text="participants", tickformat="d")
    figure.update_yaxes(rangemode="tozero")
    figure.update_layout(margin={"l": 56, "r": 24, "t": 72, "b": 56}, legend={"y": 1.1})
    return figure


# ------------------------------------------------------------ many at once


def contention_curves(table: pd.DataFrame) -> go.Figure:
    """Throughput, latency and aborts against clients, for each way to wait. Columns waiting, clients, commits_per_s,
    median_ms, p99_ms, aborted."""
    panels = {"commits_per_s": "commits per second", "p99_ms": "latency, p99 (ms)", "aborted": "aborted"}
    check_columns(table, "waiting", "clients", *panels, name="the load")
    figure = theme.panels(1, 3, height=390, subplot_titles=list(panels.values()), horizontal_spacing=0.08)
    for number, name in enumerate(dict.fromkeys(table["waiting"])):
        rows, style = table[table["waiting"] == name], theme.series_style(number)
        for place, column in enumerate(panels, 1):
            figure.add_trace(go.Scatter(
                x=rows["clients"], y=rows[column], mode="lines+markers", name=name, legendgroup=name,
                showlegend=place == 1, line=style.line(2.2),
                marker={"symbol": theme.SYMBOLS[number % 5], "size": 8, "color": style.colour},
                hovertemplate=f"<b>{name}</b>, %{{x}} clients: %{{y:,.3g}}<extra></extra>",
            ), 1, place)  # fmt: skip
    counts = sorted(set(table["clients"]))
    figure.update_xaxes(title_text="clients", type="log", tickvals=counts, ticktext=[f"{one}" for one in counts])
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(tickformat=".0%", col=3)
    figure.update_layout(margin={"l": 60, "r": 24, "t": 76, "b": 56}, legend={"y": 1.12})
    return figure


def geography_bars(table: pd.DataFrame) -> go.Figure:
    """When the client hears of the commit, and when the last participant does, for protocols and places. Columns
    protocol, places, told_ms, known_ms."""
    check_columns(table, "protocol", "places", "told_ms", "known_ms", name="the places")
    places = list(dict.fromkeys(table["places"]))
    figure = theme.panels(1, len(places), height=360, subplot_titles=places, horizontal_spacing=0.03, shared_yaxes=True)
    looks = {
        "known_ms": ("the last participant knows", "#cfd8e0", 0.74), "told_ms": ("the client knows", theme.BLUE, 0.4),
    }  # fmt: skip
    for place, name in enumerate(places, 1):
        rows = table[table["places"] == name][::-1]
        for column, (words, colour, width) in looks.items():
            last = column == "known_ms"
            figure.add_trace(go.Bar(
                y=rows["protocol"], x=rows[column], width=width, name=words, legendgroup=words, orientation="h",
                showlegend=place == 1, marker={"color": colour}, text=[f"{one:,.0f}" for one in rows[column]],
                textposition="outside" if last else "inside", insidetextanchor="start", textangle=0, cliponaxis=False,
                constraintext="none", textfont={"size": 12, "color": theme.INK if last else theme.PAPER},
                hovertemplate=f"%{{y}}: {words} after %{{x:,.1f}} ms<extra></extra>",
            ), 1, place)  # fmt: skip
        figure.update_xaxes(range=[0, 1.3 * float(rows["known_ms"].max())], title_text="ms", row=1, col=place)
    figure.update_layout(barmode="overlay", margin={"l": 150, "r": 16, "t": 72, "b": 56}, legend={"y": 1.1})
    figure.update_yaxes(showgrid=False, ticks="", tickfont={"size": 13, "color": theme.INK})
    return figure


# ------------------------------------------------------------ side by side


def side_by_side(table: pd.DataFrame, columns: Mapping[str, str]) -> go.Figure:
    """Rows of ``table`` (column protocol) as bars, a panel for each of ``columns`` (name → words). NaN is not known, or
    does not apply: a dash."""
    check_columns(table, "protocol", *columns, name="the comparison")
    names: Sequence[str] = list(table["protocol"])[::-1]
    titles = [words.replace(" | ", "<br>") for words in columns.values()]
    figure = theme.panels(
        1,
        len(columns),
        height=110 + 34 * len(names),
        subplot_titles=titles,
        shared_yaxes=True,
        horizontal_spacing=0.025,
    )
    for place, column in enumerate(columns, 1):
        values = table[column].to_numpy(float)[::-1]
        top = max(float(np.nanmax(values)) if np.isfinite(values).any() else 1.0, 1e-9)
        figure.add_trace(go.Bar(
            x=np.nan_to_num(values), y=names, orientation="h", showlegend=False, width=0.62, cliponaxis=False,
            marker={"color": theme.series_style(place - 1).colour}, textposition="outside",
            text=["–" if math.isnan(one) else f"{one:,.0f}" if one >= 10 else f"{one:.3g}" for one in values],
            hovertemplate=f"<b>%{{y}}</b>: %{{x:,.3g}} {columns[column].replace(' | ', ' ')}<extra></extra>",
        ), 1, place)  # fmt: skip
        figure.update_xaxes(range=[0, 1.5 * top], showticklabels=False, ticks="", showgrid=False, row=1, col=place)
    figure.update_annotations(font_size=13)
    figure.update_layout(margin={"l": 190, "r": 16, "t": 64, "b": 16})
    figure.update_yaxes(showgrid=False, ticks="", tickfont={"size": 13, "color": theme.INK})
    return figure
