"""Quorums drawn: who is in which, what two of them share, and availability against size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import networkx as nx
import pandas as pd
import plotly.graph_objects as go

from distlib.figures import theme

Places = dict[Any, Any]
MOST = 21
"""So many quorums of a phase are drawn at most; with more, the first ones, and the figure says so."""


def intersection_graph(
    phase1: Sequence[tuple[str, ...]], phase2: Sequence[tuple[str, ...]], *, width: int = theme.WIDTH
) -> go.Figure:
    """Quorums of phase 1 above, of phase 2 below, acceptors between; a line says that an acceptor is in a quorum.

    One quorum of phase 1 is chosen (the first that misses one of phase 2, if there is one, else the first): its
    members are bold, and each quorum of phase 2 is a green square (it shares a member) or a red cross (it does not).
    Raises ``ValueError`` when a phase has no quorum.
    """
    if not phase1 or not phase2:
        raise ValueError("intersection_graph takes at least one quorum of each phase")
    graph, place = _graph(phase1, phase2)
    chosen = next((one for one in phase1 if any(not set(one) & set(two) for two in phase2)), phase1[0])
    if chosen not in phase1[:MOST]:
        phase1 = [chosen, *phase1]
        graph, place = _graph(phase1, phase2)
    figure = theme.figure(height=400, width=width)
    marked = [edge for edge in graph.edges if (1, chosen) in edge]
    figure.add_traces([
        _edges([edge for edge in graph.edges if edge not in marked], place, theme.GRID, 1.2, "is in"),
        _edges(marked, place, theme.VERMILLION, 3.5, "is in the chosen quorum"),
    ])  # fmt: skip
    lower = phase2[:MOST]
    meets = [two for two in lower if set(two) & set(chosen)]
    misses = [two for two in lower if not set(two) & set(chosen)]
    figure.add_traces([
        _spots([(1, one) for one in phase1[:MOST] if one != chosen], place, "phase 1", theme.FAINT, "circle"),
        _spots([(1, chosen)], place, "chosen quorum of phase 1", theme.VERMILLION, "circle"),
        _spots([(2, two) for two in meets], place, "of phase 2: shares a member", theme.GREEN, "square"),
        _spots([(2, two) for two in misses], place, "of phase 2: shares nobody", theme.ALARM, "x"),
        _people(graph, place, chosen),
    ])  # fmt: skip
    hidden = len(phase1) + len(phase2) - min(len(phase1), MOST) - min(len(phase2), MOST)
    more = f"   ({hidden} quorums more are not drawn)" if hidden else ""
    figure.update_layout(margin={"l": 90, "r": 24, "t": 44, "b": 30}, legend={"y": 1.02})
    figure.update_xaxes(visible=False, range=[-0.04, 1.04])
    figure.update_yaxes(tickvals=[0, 1, 2], ticktext=["phase 2", "acceptors", "phase 1"], range=[-0.5, 2.3],
                        showgrid=False,                        showline=False, ticks="")  # fmt: skip
    figure.add_trace(go.Scatter(x=[0.5], y=[-0.42], mode="text", text=[more], textfont={"color": theme.SOFT},
                                showlegend=False, hoverinfo="skip"))  # fmt: skip
    return figure


def _graph(phase1: Sequence[tuple[str, ...]], phase2: Sequence[tuple[str, ...]]) -> tuple[nx.Graph, Places]:
    """The graph of membership and a place for each of its nodes: three layers, each in the given order."""
    people = list(dict.fromkeys(name for one in (*phase1, *phase2) for name in one))
    graph = nx.Graph()
    layers: list[list[Any]] = [[(2, two) for two in phase2[:MOST]], [(0, (name,)) for name in sorted(people)],
              [(1, one) for one in phase1[:MOST]]]  # fmt: skip
    for height, layer in enumerate(layers):
        graph.add_nodes_from(layer, height=height)
    for node in [*layers[0], *layers[2]]:
        graph.add_edges_from((node, (0, (name,))) for name in node[1])
    place = nx.multipartite_layout(graph, subset_key="height", align="horizontal")
    for height, layer in enumerate(layers):  # the layout centres each layer; here each has the whole width
        for number, node in enumerate(layer):
            place[node] = ((number + 0.5) / len(layer), height)
    return graph, place


def _edges(edges: list[Any], place: Places, colour: str, width: float, name: str) -> go.Scatter:
    return go.Scatter(
        x=[x for one, two in edges for x in (place[one][0], place[two][0], None)],
        y=[y for one, two in edges for y in (place[one][1], place[two][1], None)],
        mode="lines", line={"color": colour, "width": width}, name=name, showlegend=False, hoverinfo="skip",
    )  # fmt: skip


def _spots(nodes: list[Any], place: Places, name: str, colour: str, symbol: str) -> go.Scatter:
    words = [" ".join(node[1]) for node in nodes]
    few = len(nodes) <= 10
    return go.Scatter(
        x=[place[node][0] for node in nodes], y=[place[node][1] for node in nodes],
        mode="markers+text" if few else "markers", text=words,
        hovertext=[f"{{{', '.join(node[1])}}}" for node in nodes],
        hoverinfo="text", textposition="top center" if nodes and nodes[0][0] == 1 else "bottom center",
        textfont={"size": 11, "color": theme.SOFT}, name=name, showlegend=bool(nodes),
        marker={"size": 13, "color": colour, "symbol": symbol, "line": {"width": 1, "color": theme.PAPER}},
    )  # fmt: skip


def _people(graph: nx.Graph, place: Places, chosen: tuple[str, ...]) -> go.Scatter:
    nodes = [node for node in graph if node[0] == 0]
    inside = [node[1][0] in chosen for node in nodes]
    return go.Scatter(
        x=[place[node][0] for node in nodes], y=[place[node][1] for node in nodes], mode="markers+text",
        text=[f"<b>{node[1][0]}</b>" for node in nodes], hoverinfo="skip", showlegend=False, name="acceptors",
        textfont={"color": [theme.PAPER if one else theme.INK for one in inside]},
        marker={"size": 34, "color": [theme.VERMILLION if one else "#cfd8e0" for one in inside],
                "line": {"width": 1.5, "color": theme.PAPER}},
    )  # fmt: skip


def availability_by_size(sizes: pd.DataFrame, chosen: tuple[int, int], *, width: int = theme.WIDTH) -> go.Figure:
    """How often each phase is impossible, against the size of phase 2's quorum; the chosen pair is marked.

    ``sizes`` has the columns phase2, phase1, available1, available2, both (probabilities). Raises ``ValueError`` for
    a missing column.
    """
    missing = {"phase2", "phase1", "available1", "available2", "both"} - set(sizes.columns)
    if missing:
        raise ValueError(f"sizes lacks the column {', '.join(sorted(missing))}")
    figure = theme.figure(height=400, width=width)
    looks = {"available1": ("phase 1: no new leader can be elected", theme.VERMILLION, "dash", "square"),
             "available2": ("phase 2: nothing can be decided", theme.BLUE, "solid", "circle")}  # fmt: skip
    for column, (name, colour, dash, symbol) in looks.items():
        figure.add_trace(go.Scatter(
            x=sizes["phase2"], y=1 - sizes[column], mode="lines+markers", name=name,
            line={"color": colour, "dash": dash, "width": 2.4}, marker={"size": 9, "symbol": symbol},
            customdata=sizes[["phase1", column]],
            hovertemplate="phase 2: %{x}, phase 1: %{customdata[0]}<br>available %{customdata[1]:.6f}<extra></extra>",
        ))  # fmt: skip
    marks = sizes[(sizes["phase2"] == chosen[1]) & (sizes["phase1"] == chosen[0])]
    figure.add_trace(go.Scatter(
        x=[*marks["phase2"], *marks["phase2"]], y=[*(1 - marks["available1"]), *(1 - marks["available2"])],
        mode="markers", name="these quorums", showlegend=not marks.empty, hoverinfo="skip",
        marker={"size": 20, "symbol": "circle-open", "color": theme.INK, "line": {"width": 2}},
    ))  # fmt: skip
    ticks = [f"{two}<br>({one})" for two, one in zip(sizes["phase2"], sizes["phase1"], strict=True)]
    figure.update_xaxes(title_text="quorum of phase 2 (and the smallest of phase 1 that intersects it)",
                        tickvals=list(sizes["phase2"]), ticktext=ticks)  # fmt: skip
    figure.update_yaxes(type="log", title_text="probability that it is impossible", exponentformat="power")
    figure.update_layout(margin={"l": 74, "r": 24, "t": 40, "b": 74})
    return figure
