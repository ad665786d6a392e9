"""The cluster as a graph at one instant: who is what, what is under way, which links carry nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import networkx as nx
import plotly.graph_objects as go

from distlib.core import require
from distlib.core.node import NodeId
from distlib.core.trace import LOST, Trace
from distlib.figures import lanes, theme
from distlib.figures.lanes import STOPS, Flight, Segment, flight_text
from distlib.figures.looks import RoleStyle, message_styles, role_styles
from distlib.figures.shapes import Path, lines, plain, signs, words
from distlib.figures.theme import LineStyle

WIDTH, HEIGHT, RADIUS_PX = 720, 560, 30
UNIT_PX = (HEIGHT - 100) / 2.64
"""A length of 1 on the axes, in pixels."""
LINGER_MS = 12.0
"""How long the cross of a message that got lost stays, at least."""


class Map(NamedTuple):
    """Where the nodes stand, in a square from -1 to 1, what they are at ``at_ms``, and what they send each other."""

    trace: Trace
    at_ms: float
    place: dict[NodeId, tuple[float, float]]
    state: dict[NodeId, Segment]
    flights: list[Flight]


def topology(
    trace: Trace, at_ms: float, *, kinds: Sequence[str] | None = None, roles: Sequence[str] | None = None
) -> go.Figure:
    """The cluster at ``at_ms``: nodes by role and term, messages where they are on their way, partitioned links.
    ``kinds`` and ``roles`` fix which traces exist, so that zoom stays. ``ValueError`` for a time outside the run."""
    require.number("at_ms", at_ms, 0, max(trace.end_ms, 0.0), unit="ms")
    parts = lanes.segments(trace, trace.nodes)
    state = {part.node: part for part in parts if part.start_ms <= at_ms}  # the last one holds
    earlier = max(0.0, at_ms - 5 * LINGER_MS)  # to show the crosses of messages that were lost just before
    flights = [one for one in lanes.flights(trace, earlier, at_ms, trace.nodes) if one.sender in trace.nodes]
    drawn = Map(trace, at_ms, _places(trace.nodes), state, [one for one in flights if one.sender != one.receiver])
    used = [one for one in drawn.flights if one.end_ms >= at_ms]
    looks = [one.message for one in used] if kinds is None else [copy[4] for copy in trace.sent]
    figure = theme.figure(width=WIDTH, height=HEIGHT)
    figure.add_traces([
        *_links(drawn), *_tracks(drawn, message_styles(looks, kinds), {one.kind for one in used}), _lost(drawn),
        *_discs(drawn, role_styles([seen.view for seen in trace.states], [part.role for part in parts], roles)),
        _states(drawn),
    ])  # fmt: skip
    _lay_out(figure)
    return figure


def _places(nodes: Sequence[NodeId]) -> dict[NodeId, tuple[float, float]]:
    """Where each node stands, on a circle; the first at the top."""
    if len(nodes) == 1:
        return {nodes[0]: (0.0, 0.0)}
    raw = nx.circular_layout(nx.complete_graph(list(nodes)))
    return {node: (round(float(raw[node][1]), 4), round(float(raw[node][0]), 4)) for node in nodes}


def _links(drawn: Map) -> list[go.Scatter]:
    """Links that work, links that are partitioned in one way or both, and a cross on each of those."""
    partitioned = lanes.partitioned_at(drawn.trace, drawn.at_ms)
    whole: list[Path] = []
    broken: list[Path] = []
    crosses = []
    nodes = drawn.trace.nodes
    for one, other in ((one, other) for number, one in enumerate(nodes) for other in nodes[number + 1 :]):
        ways = [link for link in ((one, other), (other, one)) if link in partitioned]
        (x0, y0), (x1, y1) = drawn.place[one], drawn.place[other]
        (broken if ways else whole).append([(x0, y0), (x1, y1)])
        if ways:
            text, share = f"{one} ⇹ {other} partitioned", 0.5
            if len(ways) == 1:
                text = f"{ways[0][0]} ↛ {ways[0][1]} partitioned, one way"
                share = 0.62 if ways[0] == (one, other) else 0.38
            crosses.append((x0 + share * (x1 - x0), y0 + share * (y1 - y0), plain(text)))
    cross = {"symbol": "x-thin", "size": 11, "line": {"color": theme.PURPLE, "width": 2.5}}
    return [
        lines(whole, line={"color": theme.GRID, "width": 2}, showlegend=False),
        lines(broken, line={"color": theme.PURPLE, "width": 1.5, "dash": "dash"}, showlegend=False),
        signs(crosses, marker=cross, showlegend=False),
    ]


def _where(drawn: Map, flight: Flight, share: float) -> tuple[float, float]:
    """The point at ``share`` of the way between two discs, a little to the right, as two lanes of a road."""
    (x0, y0), (x1, y1) = drawn.place[flight.sender], drawn.place[flight.receiver]
    length = math.hypot(x1 - x0, y1 - y0)
    inset, side = min((RADIUS_PX - 6) / UNIT_PX / length, 0.4), 6 / UNIT_PX
    along = inset + share * (1 - 2 * inset)
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    return round(x0 + along * (x1 - x0) + side * dy, 3), round(y0 + along * (y1 - y0) - side * dx, 3)


def _tracks(drawn: Map, styles: Mapping[str, LineStyle], used: set[str]) -> list[go.Scatter]:
    """One trace a kind: the way so far as a line, the message itself as an arrowhead."""
    flying: dict[str, list[tuple[Flight, float]]] = {kind: [] for kind in styles}
    for flight in drawn.flights:
        way_ms = flight.arrive_ms - flight.start_ms
        if flight.start_ms <= drawn.at_ms < flight.start_ms + STOPS[flight.fate] * way_ms:
            share = (drawn.at_ms - flight.start_ms) / way_ms
            flying[flight.kind if flight.kind in styles else theme.OTHER].append((flight, share))
    listed = {kind if kind in styles else theme.OTHER for kind in used}
    return [_track(drawn, kind, flying[kind], style, kind in listed) for kind, style in styles.items()]


def _track(drawn: Map, kind: str, found: list[tuple[Flight, float]], style: LineStyle, listed: bool) -> go.Scatter:
    angles = []
    for flight, _ in found:
        (ax, ay), (bx, by) = drawn.place[flight.sender], drawn.place[flight.receiver]
        angles += [0.0, round(math.degrees(math.atan2(bx - ax, by - ay)), 1), 0.0]
    paths = [[_where(drawn, flight, 0.0), _where(drawn, flight, share)] for flight, share in found]
    said = [flight_text(flight) for flight, _ in found]
    head = {"symbol": "arrow", "color": style.colour, "line": {"width": 0}, "opacity": 1}
    track = lines(paths, said, name=kind, showlegend=listed, line=style.line(2), marker=head)
    track.update(mode="lines+markers", marker={"size": [0, 13, 0] * len(found), "angle": angles})
    if not found:  # a trace without a point would not stand in the legend
        track.update(x=[None], y=[None], hovertext=[""], marker={"size": [0], "angle": [0.0]})
    return track


def _lost(drawn: Map) -> go.Scatter:
    """Crosses where messages were just lost; those that a partition stops have the cross of the link."""
    lost, points = [one for one in drawn.flights if one.fate == LOST], []
    for one in lost:
        stays_ms = max(LINGER_MS, 0.4 * (one.arrive_ms - one.start_ms))
        if one.end_ms <= drawn.at_ms < one.end_ms + stays_ms:
            points.append((*_where(drawn, one, STOPS[LOST]), flight_text(one)))
    cross = {"symbol": "x-thin", "size": 12, "line": {"color": theme.INK, "width": 2.5}}
    return _in_legend(signs(points, name="lost", showlegend=bool(lost), marker=cross))


def _in_legend(part: go.Scatter) -> go.Scatter:
    """``part`` with a point that is nowhere if it has none: else it would not stand in the legend."""
    return part if part.x else part.update(x=[None], y=[None])


def _discs(drawn: Map, styles: Mapping[str, RoleStyle]) -> list[go.Scatter]:
    views = lanes.shown_at(drawn.trace, drawn.at_ms)
    by_role: dict[str, list[NodeId]] = {role: [] for role in styles}
    for node, part in drawn.state.items():
        by_role[part.role if part.role in by_role else theme.OTHER].append(node)
    discs = []
    for role, style in styles.items():
        line = {"color": theme.VERMILLION if role == theme.CRASHED else theme.PAPER, "width": 2}
        disc = signs(
            [(*drawn.place[node], _hover(drawn.state[node], views.get(node))) for node in by_role[role]],
            text=[f"<b>{plain(node)}</b>" for node in by_role[role]], name=role, legend="legend2",
            showlegend=role != theme.OTHER, textfont={"color": style.text, "size": 15},
            marker={"size": 2 * RADIUS_PX, "color": style.fill, "symbol": "circle", "line": line},
        )  # fmt: skip
        discs.append(_in_legend(disc).update(mode="markers+text"))
    return discs


def _hover(part: Segment, view: Any) -> str:
    said = [f"<b>{plain(part.node)}</b>  {plain(part.label)}"]
    for name in getattr(view, "_fields", ()):
        value = getattr(view, name)
        if name not in ("role", "term", "log") and value not in (None, ()):
            said.append(plain(f"{name} {value}"))
    return "<br>".join(said)


def _states(drawn: Map) -> go.Scatter:
    """Role and term beside each disc, on the side away from the middle."""
    points, positions = [], []
    for node, part in drawn.state.items():
        x, y = drawn.place[node]
        beside = len(drawn.place) > 1 and abs(y) <= 0.6 and abs(x) > 0.3
        positions.append("middle center" if not beside else "middle right" if x > 0 else "middle left")
        away_x = math.copysign((RADIUS_PX + 4) / UNIT_PX, x) if beside else 0.0
        away_y = 0.0 if beside else math.copysign((RADIUS_PX + 12) / UNIT_PX, y or -1)
        points.append((x + away_x, y + away_y, plain(part.label)))
    return words(points, textposition=positions, textfont={"size": 13, "color": theme.INK}, cliponaxis=False)


def _lay_out(figure: go.Figure) -> None:
    top = 8 + 24 * (theme.legend_rows(figure, "legend", WIDTH - 32) + 1)
    axes_px = HEIGHT - top - 12
    figure.update_layout(
        margin={"l": 16, "r": 16, "t": top, "b": 12}, dragmode=False, legend={"y": 1 + 26 / axes_px},
        legend2={**theme.legend_above(1 + 2 / axes_px), "itemsizing": "constant"},
    )  # fmt: skip
    figure.update_xaxes(visible=False, range=[-1.6, 1.6], fixedrange=True)
    figure.update_yaxes(visible=False, range=[-1.32, 1.32], fixedrange=True, scaleanchor="x")
