"""The cluster as a graph at one instant, or as it moves: who is what, what is under way, which links are cut."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import networkx as nx
import plotly.graph_objects as go

from distlib.core.node import NodeId
from distlib.core.trace import IN_FLIGHT, LOST, PARTITIONED, Trace
from distlib.figures import lanes, theme
from distlib.figures.lanes import STOPS, Flight
from distlib.figures.player import add_player, moments
from distlib.figures.time_travel import Views

RADIUS_PX = 30
LAYOUTS = ("circle", "star")
PLAYER_BELOW_PX = 8


class Map(NamedTuple):
    """Where the nodes stand, and everything needed to draw one instant."""

    trace: Trace
    nodes: tuple[NodeId, ...]
    place: dict[NodeId, tuple[float, float]]
    views: Views
    kinds: tuple[str, ...]
    roles: tuple[str, ...]
    used: frozenset[str]
    flights: list[Flight]
    unit_px: float

    def units(self, px: float) -> float:
        """A length on the screen in the units of the axes."""
        return px / self.unit_px


def topology(
    trace: Trace,
    at_ms: float,
    *,
    nodes: Iterable[NodeId] | None = None,
    layout: str = "circle",
    kinds: Iterable[str] | None = None,
    roles: Iterable[str] | None = None,
    title: str = "",
    width: int = 720,
    height: int = 560,
) -> go.Figure:
    """The cluster at ``at_ms``: nodes by role and term, messages where they are on their way, links that are cut.

    ``layout`` is ``circle`` (networkx's circular layout, the first node on top) or ``star`` (the first node in the
    middle). ``kinds`` and ``roles`` fix which traces exist, for updates in place. Raises ``ValueError`` for a time
    outside the run, an unknown node or layout.
    """
    theme.check_time("at_ms", at_ms, 0.0, max(trace.end_ms, 0.0))
    drawn = _map(trace, nodes, layout, kinds, roles, (at_ms, at_ms), height)
    figure = theme.figure(title=title, width=width, height=height)
    figure.add_traces([go.Scatter(**part) for part in _parts(drawn, at_ms, styled=True)])
    return _layout(figure, drawn, bool(title))


def topology_animation(
    trace: Trace,
    *,
    start_ms: float | None = None,
    end_ms: float | None = None,
    frames: int = 80,
    nodes: Iterable[NodeId] | None = None,
    layout: str = "circle",
    title: str = "",
    width: int = 720,
    height: int = 520,
) -> go.Figure:
    """``topology`` at ``frames`` instants of the window, with a play button and a slider that work in a static page.

    Raises ``ValueError`` as ``topology`` and ``spacetime`` do, and for ``frames`` outside 2 to 400.
    """
    window = lanes.window(trace, start_ms, end_ms)
    times = moments(*window, frames)
    drawn = _map(trace, nodes, layout, None, None, window, height)
    figure = theme.figure(title=title, width=width, height=height)
    figure.add_traces([go.Scatter(**part) for part in _parts(drawn, times[0], styled=True)])
    _layout(figure, drawn, bool(title))
    drawings = [_parts(drawn, time_ms) for time_ms in times]
    moving = [number for number, part in enumerate(drawings[0]) if any(one[number] != part for one in drawings)]
    steps = [
        go.Frame(data=[{"type": "scatter", **one[number]} for number in moving], traces=moving) for one in drawings
    ]
    return add_player(figure, steps, times, below_px=PLAYER_BELOW_PX)


def _map(
    trace: Trace,
    nodes: Iterable[NodeId] | None,
    layout: str,
    kinds: Iterable[str] | None,
    roles: Iterable[str] | None,
    window: tuple[float, float],
    height: int,
) -> Map:
    chosen = lanes.chosen_nodes(trace, nodes)
    earlier = max(0.0, window[0] - 5 * LINGER_MS)  # to show the crosses of messages that were lost just before
    flights = [one for one in lanes.flights(trace, earlier, window[1], chosen) if one.sender in chosen]
    flights = [one for one in flights if one.sender != one.receiver]
    used = frozenset(one.kind for one in flights if one.end_ms >= window[0])
    parts = lanes.segments(trace, chosen)
    found_kinds = theme.in_order(used, tuple(theme.KINDS)) if kinds is None else tuple(kinds)
    found_roles = theme.in_order({one.role for one in parts}, tuple(theme.ROLES)) if roles is None else tuple(roles)
    return Map(
        trace,
        chosen,
        _places(chosen, layout),
        Views(trace),
        found_kinds,
        found_roles,
        used,
        flights,
        (height - 100) / 2.64,
    )


def _places(nodes: tuple[NodeId, ...], layout: str) -> dict[NodeId, tuple[float, float]]:
    """Where each node stands, in a square from -1 to 1; the first at the top, or in the middle of a star."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}; choose from {', '.join(LAYOUTS)}")
    if len(nodes) == 1:
        return {nodes[0]: (0.0, 0.0)}
    graph = nx.complete_graph(list(nodes))
    if layout == "circle":
        raw = nx.circular_layout(graph)
    else:
        raw = nx.shell_layout(graph, nlist=[[nodes[0]], list(nodes[1:])])
    return {node: (round(float(raw[node][1]), 4), round(float(raw[node][0]), 4)) for node in nodes}


def _parts(drawn: Map, at_ms: float, styled: bool = False) -> list[dict[str, Any]]:
    """All traces at ``at_ms``, always the same ones; only the first of an animation carry their style."""
    return [
        *_links(drawn, at_ms, styled),
        *_tracks(drawn, at_ms, styled),
        _stopped(drawn, at_ms, styled),
        *_discs(drawn, at_ms, styled),
        _states(drawn, at_ms, styled),
    ]


def _links(drawn: Map, at_ms: float, styled: bool) -> list[dict[str, Any]]:
    cut = lanes.partitioned_links(drawn.trace, at_ms)
    whole: tuple[list[Any], list[Any]] = ([], [])
    broken: tuple[list[Any], list[Any]] = ([], [])
    crosses: list[tuple[float, float, str]] = []
    for number, one in enumerate(drawn.nodes):
        for other in drawn.nodes[number + 1 :]:
            ways = [link for link in ((one, other), (other, one)) if link in cut]
            (x0, y0), (x1, y1) = drawn.place[one], drawn.place[other]
            line = broken if ways else whole
            line[0].extend([x0, x1, None])
            line[1].extend([y0, y1, None])
            if ways:
                text = f"{one} ⇹ {other} cut" if len(ways) == 2 else f"{ways[0][0]} ↛ {ways[0][1]} cut, one way"
                share = 0.5 if len(ways) == 2 else (0.62 if ways[0] == (one, other) else 0.38)
                crosses.append((x0 + share * (x1 - x0), y0 + share * (y1 - y0), lanes.plain(text)))
    parts: list[dict[str, Any]] = [
        {"x": whole[0] or [None], "y": whole[1] or [None]},
        {"x": broken[0] or [None], "y": broken[1] or [None]},
        {
            "x": [one[0] for one in crosses] or [None],
            "y": [one[1] for one in crosses] or [None],
            "hovertext": [one[2] for one in crosses],
        },
    ]
    if styled:
        parts[0] |= {
            "mode": "lines",
            "hoverinfo": "skip",
            "line": {"color": theme.GRID, "width": 2},
            "showlegend": False,
        }
        parts[1] |= {
            "mode": "lines",
            "hoverinfo": "skip",
            "line": {"color": theme.PURPLE, "width": 1.5, "dash": "dash"},
            "showlegend": False,
        }
        parts[2] |= {
            "mode": "markers",
            "hoverinfo": "text",
            "showlegend": False,
            "marker": {"symbol": "x-thin", "size": 11, "line": {"color": theme.PURPLE, "width": 2.5}},
        }
    return parts


def _where(drawn: Map, flight: Flight, share: float) -> tuple[float, float]:
    """The point at ``share`` of the way between two discs, a little to the right, as two lanes of a road."""
    (x0, y0), (x1, y1) = drawn.place[flight.sender], drawn.place[flight.receiver]
    length = math.hypot(x1 - x0, y1 - y0)
    inset, side = min(drawn.units(RADIUS_PX - 6) / length, 0.4), drawn.units(6)
    along = inset + share * (1 - 2 * inset)
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    return round(x0 + along * (x1 - x0) + side * dy, 3), round(y0 + along * (y1 - y0) - side * dx, 3)


def _progress(flight: Flight, at_ms: float) -> float | None:
    """Which share of its way the message has gone; None when it is not under way."""
    stops = flight.start_ms + STOPS[flight.fate] * (flight.arrive_ms - flight.start_ms)
    if not flight.start_ms <= at_ms < stops:
        return None
    return (at_ms - flight.start_ms) / (flight.arrive_ms - flight.start_ms)


def _tracks(drawn: Map, at_ms: float, styled: bool) -> list[dict[str, Any]]:
    """One trace a kind: the way so far as a line, the message itself as an arrowhead."""
    flying: dict[str, list[tuple[Flight, float]]] = {kind: [] for kind in (*drawn.kinds, theme.OTHER)}
    listed = drawn.used | ({theme.OTHER} if drawn.used.difference(drawn.kinds) else set())
    for flight in drawn.flights:
        share = _progress(flight, at_ms)
        if share is not None:
            flying[flight.kind if flight.kind in flying else theme.OTHER].append((flight, share))
    styles = theme.kind_styles((*drawn.kinds, theme.OTHER))
    return [_track(drawn, kind, found, styles[kind], kind in listed, styled) for kind, found in flying.items()]


def _track(
    drawn: Map, kind: str, found: list[tuple[Flight, float]], style: theme.KindStyle, listed: bool, styled: bool
) -> dict[str, Any]:
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    size: list[int] = []
    angle: list[float] = []
    for flight, share in found:
        (x0, y0), (x1, y1) = _where(drawn, flight, 0.0), _where(drawn, flight, share)
        (ax, ay), (bx, by) = drawn.place[flight.sender], drawn.place[flight.receiver]
        x += [x0, x1, None]
        y += [y0, y1, None]
        said = lanes.flight_text(flight)
        text += [said, said, ""]
        size += [0, 13, 0]
        angle += [0.0, round(math.degrees(math.atan2(bx - ax, by - ay)), 1), 0.0]
    if not found:  # a trace without points would not be redrawn, nor stand in the legend
        x, y, text, size, angle = [None], [None], [""], [0], [0.0]
    part: dict[str, Any] = {"x": x, "y": y, "hovertext": text, "marker": {"size": size, "angle": angle}}
    if styled:
        part |= {
            "mode": "lines+markers",
            "name": kind,
            "hoverinfo": "text",
            "showlegend": listed,
            "line": {"color": style.colour, "dash": style.dash, "width": 2},
        }
        part["marker"] |= {"symbol": "arrow", "color": style.colour, "line": {"width": 0}, "opacity": 1}
    return part


LINGER_MS = 12.0
"""How long the cross of a message that got lost stays, at least; a frame may be longer than its flight."""


def _stopped(drawn: Map, at_ms: float, styled: bool) -> dict[str, Any]:
    """Crosses where messages were just lost; those that a partition stops have the cross of the link."""
    found = []
    for flight in drawn.flights:
        if flight.fate in (PARTITIONED, IN_FLIGHT) or flight.fate not in STOPS or flight.end_ms > at_ms:
            continue
        linger = max(LINGER_MS, 0.4 * (flight.arrive_ms - flight.start_ms))
        if flight.fate == LOST and at_ms < flight.end_ms + linger:
            found.append((*_where(drawn, flight, STOPS[LOST]), lanes.flight_text(flight)))
    part: dict[str, Any] = {
        "x": [one[0] for one in found] or [None],
        "y": [one[1] for one in found] or [None],
        "hovertext": [one[2] for one in found],
    }
    if styled:
        part |= {
            "mode": "markers",
            "name": "lost",
            "hoverinfo": "text",
            "showlegend": any(flight.fate == LOST for flight in drawn.flights),
            "marker": {"symbol": "x-thin", "size": 12, "line": {"color": theme.INK, "width": 2.5}},
        }
    return part


def _discs(drawn: Map, at_ms: float, styled: bool) -> list[dict[str, Any]]:
    by_role: dict[str, list[NodeId]] = {role: [] for role in (*drawn.roles, theme.OTHER)}
    for node in drawn.nodes:
        role = _role(drawn, node, at_ms)
        by_role[role if role in by_role else theme.OTHER].append(node)
    discs = []
    for role, nodes in by_role.items():
        style = theme.role_style(role)
        part: dict[str, Any] = {
            "x": [drawn.place[node][0] for node in nodes] or [None],
            "y": [drawn.place[node][1] for node in nodes] or [None],
            "text": [f"<b>{lanes.plain(node)}</b>" for node in nodes],
            "hovertext": [_hover(drawn, node, at_ms) for node in nodes],
        }
        if styled:
            hollow = role == theme.CRASHED
            part |= {
                "mode": "markers+text",
                "name": role,
                "hoverinfo": "text",
                "legend": "legend2",
                "showlegend": role != theme.OTHER,
                "textfont": {"color": style.text, "size": 15},
                "marker": {
                    "size": 2 * RADIUS_PX,
                    "color": style.fill,
                    "symbol": "circle",
                    "line": {"color": theme.VERMILLION if hollow else theme.PAPER, "width": 2},
                },
            }
        discs.append(part)
    return discs


def _role(drawn: Map, node: NodeId, at_ms: float) -> str:
    if drawn.views.shows(node):
        return lanes.role_of(drawn.views.at(node, at_ms))
    here = [one for one in lanes.segments(drawn.trace, (node,)) if one.start_ms <= at_ms <= one.end_ms]
    return here[-1].role if here else theme.UP


def _hover(drawn: Map, node: NodeId, at_ms: float) -> str:
    view = drawn.views.at(node, at_ms) if drawn.views.shows(node) else None
    lines = [f"<b>{lanes.plain(node)}</b>  {lanes.plain(_label(drawn, node, at_ms))}"]
    for name in getattr(view, "_fields", ()):
        value = getattr(view, name)
        if name not in ("role", "term", "log") and value not in (None, ()):
            lines.append(lanes.plain(f"{name} {value}"))
    return "<br>".join(lines)


def _label(drawn: Map, node: NodeId, at_ms: float) -> str:
    if drawn.views.shows(node):
        return lanes.label_of(drawn.views.at(node, at_ms))
    return _role(drawn, node, at_ms)


def _states(drawn: Map, at_ms: float, styled: bool) -> dict[str, Any]:
    """Role and term beside each disc, on the side away from the middle."""
    part: dict[str, Any] = {"text": [lanes.plain(_label(drawn, node, at_ms)) for node in drawn.nodes]}
    if styled:
        places = [drawn.place[node] for node in drawn.nodes]
        beside = [len(places) > 1 and abs(y) <= 0.6 and abs(x) > 0.3 for x, y in places]
        part |= {
            "x": [
                x + math.copysign(drawn.units(RADIUS_PX + 4), x) * side
                for (x, _), side in zip(places, beside, strict=True)
            ],
            "y": [
                y + (0.0 if side else math.copysign(drawn.units(RADIUS_PX + 12), y or -1))
                for (_, y), side in zip(places, beside, strict=True)
            ],
            "textposition": [
                "middle center" if not side else "middle right" if x > 0 else "middle left"
                for (x, _), side in zip(places, beside, strict=True)
            ],
            "mode": "text",
            "textfont": {"size": 13, "color": theme.INK},
            "hoverinfo": "skip",
            "showlegend": False,
            "cliponaxis": False,
        }
    return part


def _layout(figure: go.Figure, drawn: Map, titled: bool) -> go.Figure:
    rows = theme.legend_rows(figure, "legend", figure.layout.width - 32)
    top = (36 if titled else 8) + 24 * (rows + 1)
    axes_px = figure.layout.height - top - 12
    figure.update_layout(
        margin={"l": 16, "r": 16, "t": top, "b": 12},
        dragmode=False,
        legend={"y": 1 + 26 / axes_px},
        legend2={
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1 + 2 / axes_px,
            "yanchor": "bottom",
            "itemsizing": "constant",
        },
    )
    figure.update_xaxes(visible=False, range=[-1.6, 1.6], fixedrange=True)
    figure.update_yaxes(visible=False, range=[-1.32, 1.32], fixedrange=True, scaleanchor="x")
    return figure
