"""Hashing as one sees it: a ring of arcs, the keys that move when a node joins or leaves, a Maglev table filling up.

Each function raises ``ValueError`` for an empty table, a missing column, or more than can be read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from distlib.balancing.charts import words_above
from distlib.balancing.hashing_scenarios import MOST_POINTS
from distlib.figures import theme
from distlib.figures.columns import check_columns
from distlib.figures.player import add_player
from distlib.figures.shapes import lines

OUTER, BEFORE, AFTER = 1.0, 0.74, 1.0
MOST_NAMES = 14
"""So many names stand side by side under the bars."""


def ring(arcs: pd.DataFrame, shares: pd.DataFrame, expected_deviation: float) -> go.Figure:
    """A consistent hash ring: every virtual node owns the arc that ends at it; at the right what each node owns.

    ``arcs`` has the columns start, end (turns of the circle), node; ``shares`` node, share, keys.
    ``expected_deviation`` (standard deviation of a share over its mean, by theory) is drawn as a band.
    """
    _check_arcs(arcs)
    check_columns(shares, "node", "share", "keys")
    figure = theme.panels(1, 2, height=460, column_widths=[0.46, 0.54], horizontal_spacing=0.08)
    for node in shares["node"]:
        figure.add_trace(_arc_trace(arcs[arcs["node"] == node], int(node), OUTER, 16), 1, 1)
    figure.add_trace(_points(arcs), 1, 1)
    figure.add_trace(_names(arcs, shares), 1, 1)
    figure.add_traces(_share_bars(shares, expected_deviation), rows=1, cols=2)
    figure.update_layout(margin=theme.margins(8, 24, 44, 56), legend={"y": 1.02})
    figure.update_layout(bargap=0.25, barmode="overlay")
    _round_axes(figure)
    places = list(range(0, len(shares), -(-len(shares) // MOST_NAMES)))  # every other name, or fewer, where all collide
    names = [f"N{shares['node'].iloc[place]}" for place in places]
    figure.update_xaxes(row=1, col=2, tickvals=places, ticktext=names, title_text="node", ticks="")
    top = 1.2 * max(float(shares["share"].max()), float((shares["keys"] / max(shares["keys"].sum(), 1)).max()))
    return figure.update_yaxes(row=1, col=2, title_text="share", tickformat=".0%", range=[0, top])


def _check_arcs(arcs: pd.DataFrame) -> None:
    check_columns(arcs, "start", "end", "node")
    if len(arcs) > MOST_POINTS:
        most = f"a ring that one can still read has at most {MOST_POINTS:,}: take fewer nodes or fewer virtual nodes"
        raise ValueError(f"there are {len(arcs):,} arcs; {most}")


def _arc_trace(arcs: pd.DataFrame, node: int, radius: float, width: float) -> go.Scatter:
    style = theme.series_style(node)
    return lines(
        [arc(span, radius) for span in arcs[["start", "end"]].to_numpy(float)], hoverinfo=None,
        line={"color": style.colour, "width": width, "simplify": False}, name=f"N{node}", showlegend=False,
        opacity=0.9 if style.dash == "solid" else 0.55, hovertemplate=f"owned by <b>N{node}</b><extra></extra>",
    )  # fmt: skip


def arc(span: Iterable[float], radius: float) -> list[tuple[float, float]]:
    """The points of an arc; ``span`` is (start, end) in turns from noon, clockwise: start > end where it passes 0."""
    start, end = span
    length = (end - start) % 1.0 or 1.0
    turns = 2 * np.pi * (start + np.linspace(0.0, length, max(2, math.ceil(360 * length) + 1)))
    x, y = (np.round(radius * values, 4).tolist() for values in (np.sin(turns), np.cos(turns)))
    return list(zip(x, y, strict=True))


def _points(arcs: pd.DataFrame) -> go.Scatter:
    """The virtual nodes themselves, as ticks across the ring."""
    turns, few = 2 * np.pi * arcs["end"].to_numpy(float), len(arcs) <= 300
    ends = zip(np.sin(turns), np.cos(turns), strict=True)
    line = {"color": theme.INK, "width": 1.2 if few else 0.4}
    ticks = [[(0.95 * x, 0.95 * y), (1.05 * x, 1.05 * y)] for x, y in ends]
    return lines(ticks, name="virtual node (end of its arc)", line=line, showlegend=few)


def _names(arcs: pd.DataFrame, shares: pd.DataFrame) -> go.Scatter:
    """Each node's name beside its longest arc, so that colour does not stand alone."""
    few = arcs if len(shares) <= 24 else arcs.iloc[:0]
    length = (few["end"] - few["start"]) % 1.0
    longest = few.loc[length.groupby(few["node"]).idxmax()] if len(few) > 1 else few
    middle = 2 * np.pi * (longest["start"] + ((longest["end"] - longest["start"]) % 1.0) / 2).to_numpy(float)
    return go.Scatter(
        x=1.17 * np.sin(middle), y=1.17 * np.cos(middle), mode="text", text=[f"N{node}" for node in longest["node"]],
        textfont={"size": 13, "color": theme.INK}, hoverinfo="skip", showlegend=False,
    )  # fmt: skip


def _share_bars(shares: pd.DataFrame, deviation: float) -> list[Any]:
    """Arc by node as bars, keys as dots, an even share as a line and what theory expects of its spread as a band."""
    n, positions = len(shares), list(range(len(shares)))
    mean, spread = 1.0 / n, deviation / n
    keys = shares["keys"] / max(int(shares["keys"].sum()), 1)
    ends = [-0.5, n - 0.5, n - 0.5, -0.5]
    low, high = max(mean - spread, 0.0), mean + spread
    colours = [theme.series_style(int(node)).colour for node in shares["node"]]
    return [
        go.Scatter(x=ends, y=[low, low, high, high], fill="toself", mode="lines", line={"width": 0}, hoverinfo="skip",
                   fillcolor="rgba(31,41,51,0.10)", name="even share ± 1 standard deviation, by theory"),
        go.Bar(x=positions, y=shares["share"], marker={"color": colours}, name="share of the circle", showlegend=False,
               hovertemplate="N%{x}: %{y:.2%} of the circle<extra></extra>", opacity=0.85),
        go.Scatter(x=positions, y=keys, mode="markers", name="share of the keys", customdata=shares["keys"],
                   marker={"symbol": "diamond", "size": 9 if n <= 40 else 4, "color": theme.INK,
                           "line": {"color": theme.PAPER, "width": 1}},
                   hovertemplate="N%{x}: %{customdata:,} keys, %{y:.2%}<extra></extra>"),
        go.Scatter(x=[-0.5, n - 0.5], y=[mean, mean], mode="lines",
                   line={"color": theme.INK, "width": 1, "dash": "dash"},
                   hoverinfo="skip", showlegend=False),
    ]  # fmt: skip


def ring_change(before: pd.DataFrame, after: pd.DataFrame) -> go.Figure:
    """Two rings, before (inside) and after (outside) a node joined or left; what changes hands is filled in between.
    Both have the columns start, end (turns of the circle), node. In the middle stands how much changes hands."""
    _check_arcs(before)
    _check_arcs(after)
    moved = changed_arcs(before, after)
    share = share_of(moved)
    figure = theme.figure(height=520, width=620, margin=(8, 8, 44, 8), legend={"y": 1.0})
    figure.add_trace(_wedges(moved, share))
    nodes = sorted({*before["node"], *after["node"]})
    for node in nodes:
        figure.add_trace(_arc_trace(before[before["node"] == node], int(node), BEFORE, 12))
        figure.add_trace(_arc_trace(after[after["node"] == node], int(node), AFTER, 14))
    now = after if len(nodes) <= 24 else after.iloc[:0]
    figure.add_trace(_names(now, pd.DataFrame({"node": sorted(set(after["node"]))})))
    figure.add_scatter(
        x=[0, 0], y=[0.05, -0.09], mode="text", hoverinfo="skip", showlegend=False,
        text=[f"<b>{share:.1%}</b> of the keys move", "inside before, outside after"],
        textfont={"size": [16, 12], "color": [theme.INK, theme.SOFT]},
    )  # fmt: skip
    _round_axes(figure)
    return figure


def changed_arcs(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """The parts of the circle whose owner differs: columns start, end, old, new."""
    cuts = np.unique(np.concatenate([before["end"], after["end"]]))
    old, new = owner_at(before, cuts), owner_at(after, cuts)
    pieces = pd.DataFrame({"start": np.roll(cuts, 1), "end": cuts, "old": old, "new": new})
    return pieces[pieces["old"] != pieces["new"]].reset_index(drop=True)


def share_of(arcs: pd.DataFrame) -> float:
    """What part of the circle these arcs are together."""
    return float(((arcs["end"] - arcs["start"]) % 1.0).sum())


def owner_at(arcs: pd.DataFrame, turns: np.ndarray) -> np.ndarray:
    """Who owns each of these positions: the first virtual node at or after it, clockwise."""
    ordered = arcs.sort_values("end")
    place = np.searchsorted(ordered["end"].to_numpy(float), turns) % len(ordered)
    return ordered["node"].to_numpy()[place]


def _wedges(moved: pd.DataFrame, share: float) -> go.Scatter:
    wedges = []
    for span in moved[["start", "end"]].to_numpy(float):
        outer, inner = arc(span, AFTER - 0.03), arc(span, BEFORE + 0.03)
        wedges.append([*outer, *reversed(inner), outer[0]])
    line, fill = {"color": theme.INK, "width": 0.6}, "rgba(230,159,0,0.45)"
    return lines(wedges, fill="toself", line=line, fillcolor=fill, name="changes hands", showlegend=share > 0)


def _round_axes(figure: go.Figure) -> None:
    hidden = {"visible": False, "range": [-1.28, 1.28], "fixedrange": True}
    subplot = {"row": 1, "col": 1} if figure._grid_ref is not None else {}
    figure.update_xaxes(**hidden, **subplot)
    figure.update_yaxes(**hidden, scaleanchor="x", **subplot)


def key_movement(table: pd.DataFrame) -> go.Figure:
    """Share of the keys that move when one node joins or leaves, by method; needless moves are hatched. ``table`` has
    the columns method, moved, needless, least (what must move)."""
    check_columns(table, "method", "moved", "needless", "least")
    figure = theme.figure(height=100 + 56 * len(table), margin=(104, 60, 44, 52), barmode="stack", bargap=0.45)
    names = [{"modulo": "hash mod n"}.get(name, name) + "  " for name in table["method"]]
    hatch = {"shape": "/", "fgcolor": theme.PAPER, "bgcolor": theme.VERMILLION, "size": 7, "solidity": 0.2}
    figure.add_bar(
        y=names, x=table["moved"] - table["needless"], orientation="h", marker={"color": theme.BLUE},
        name="to the new node, or from the one that left", hovertemplate="%{y}: %{x:.2%}<extra></extra>",
    )  # fmt: skip
    figure.add_bar(
        y=names, x=table["needless"], orientation="h", name="needlessly, between nodes that stayed",
        marker={"color": theme.VERMILLION, "pattern": hatch}, text=[f"{one:.1%}" for one in table["moved"]],
        textposition="outside", textfont={"size": 13, "color": theme.INK}, cliponaxis=False,
        hovertemplate="%{y}: %{x:.2%} needlessly<extra></extra>",
    )  # fmt: skip
    least = float(table["least"].iloc[0])
    figure.add_scatter(
        x=[least, least], y=[names[0], names[-1]], mode="lines", name=f"the least possible, {least:.1%}",
        line={"color": theme.INK, "width": 1.4, "dash": "dash"}, hoverinfo="skip",
    )  # fmt: skip
    figure.update_layout(legend={"y": 1.0, "traceorder": "normal"})
    figure.update_yaxes(autorange="reversed", showgrid=False, ticks="", tickfont={"size": 13, "color": theme.INK})
    figure.update_xaxes(title_text="share of all keys that move", tickformat=".0%", rangemode="tozero")
    return figure


def maglev_table(claims: pd.DataFrame) -> go.Figure:
    """A Maglev lookup table as it fills up: node after node claims its next free slot, in turn. At most 100 slots.
    ``claims`` has the columns turn, node, slot, in order. Play button and slider work in a static page too."""
    check_columns(claims, "turn", "node", "slot")
    size = len(claims)
    if size > 100:
        raise ValueError(f"the table has {size:,} slots; one that can be drawn has at most 100, for example 13 or 31")
    nodes = sorted(set(claims["node"]), key=str)
    figure = theme.figure(height=190, margin=(24, 24, 52, 48), bargap=0.08, barmode="overlay", showlegend=False)
    for number, (node, part) in enumerate(zip(nodes, _slots(claims, nodes, size), strict=True)):
        figure.add_bar(
            name=str(node), marker={"color": theme.series_style(number).colour}, textposition="inside", textangle=0,
            insidetextanchor="middle", textfont={"color": "#ffffff", "size": 15}, width=0.92,
            hovertemplate=f"slot %{{x}} belongs to <b>{node}</b><extra></extra>", **part,
        )  # fmt: skip
    figure.update_layout(annotations=_turn(claims, size), uniformtext={"minsize": 8, "mode": "show"})
    slots = {"dtick": 1 if size <= 31 else 10, "range": [-0.6, size - 0.4]}
    figure.update_xaxes(title_text="slot of the table", ticks="", **slots).update_yaxes(visible=False, range=[0, 1])
    moving = list(range(len(nodes)))
    frames = []
    for filled in range(size + 1):
        data = [go.Bar(**part) for part in _slots(claims, nodes, filled)]
        frames.append({"data": data, "traces": moving, "layout": {"annotations": _turn(claims, filled)}})
    drawn = add_player(figure, frames, list(range(size + 1)), active=size, below_px=44, redraw=True)
    drawn.layout.sliders[0].currentvalue.update(prefix="slots filled: ", suffix="")
    return drawn


def _slots(claims: pd.DataFrame, nodes: list[Any], filled: int) -> list[dict[str, Any]]:
    """One trace a node: its slots after so many turns."""
    slots = [claims["slot"][:filled][claims["node"][:filled] == node].tolist() for node in nodes]
    return [
        {"x": taken, "y": [1] * len(taken), "text": [str(node)] * len(taken)}
        for node, taken in zip(nodes, slots, strict=True)
    ]


def _turn(claims: pd.DataFrame, filled: int) -> list[dict[str, Any]]:
    """In words: what the last turn did, and what everybody has."""
    counts = claims["node"][:filled].value_counts()
    has = ", ".join(f"{node} has {counts.get(node, 0)}" for node in sorted(set(claims["node"]), key=str))
    last = claims.iloc[max(filled - 1, 0)]
    text = f"turn {filled}: <b>{last['node']}</b> claims slot <b>{last['slot']}</b> · {has}" if filled else "empty"
    return [words_above(text, 1.04, 14)]
