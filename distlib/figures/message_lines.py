"""Messages of a space-time diagram: slanted lines by kind, routine ones thin, lost ones ending early."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import plotly.graph_objects as go

from distlib.core.node import NodeId
from distlib.core.trace import DOWN, LOST, PARTITIONED
from distlib.figures import lanes, theme
from distlib.figures.lanes import Flight
from distlib.figures.diagram import HALF, Diagram


def message_path(picture: Diagram, flight: Flight) -> list[tuple[float, float]]:
    """The points of a message's line, from bar edge to bar edge, with one in each gap so that hovering finds it."""
    to = picture.y(flight.receiver)
    if flight.sender not in picture.nodes:
        return [(flight.start_ms, to + HALF + 0.26), (flight.end_ms, to + HALF)]
    if flight.sender == flight.receiver:
        return [
            (flight.start_ms, to + HALF),
            ((flight.start_ms + flight.end_ms) / 2, to + HALF + 0.2),
            (flight.end_ms, to + HALF),
        ]
    origin = picture.y(flight.sender)
    down = 1.0 if to < origin else -1.0
    first, last = origin - down * HALF, to + down * HALF
    gaps = [origin - down * (step + 0.5) for step in range(round(abs(to - origin)))]
    stop = first + (last - first) * flight.reached
    if flight.fate == PARTITIONED:
        stop = gaps[_wall(picture, flight)]
    elif flight.fate == LOST:
        stop = min(gaps, key=lambda y: abs(y - stop))  # between two lanes, where it is seen
    heights = [first, *(y for y in gaps if (y - stop) * down > 0), stop]
    slope = (flight.arrive_ms - flight.start_ms) / (last - first)
    return [(flight.start_ms + (y - first) * slope, y) for y in heights]


def _wall(picture: Diagram, flight: Flight) -> int:
    """The gap, counted from the sender, in which a partition stops the message: before the first lane it cannot
    reach."""
    cut: set[lanes.Link] = set()
    for start_ms, end_ms, links in picture.partitions:
        if start_ms <= flight.arrive_ms and flight.start_ms < end_ms:
            cut |= links
    here, there = picture.nodes.index(flight.sender), picture.nodes.index(flight.receiver)
    way = range(here, there, 1 if here < there else -1)
    on_the_way = [picture.nodes[number + way.step] for number in way]
    return next((gap for gap, node in enumerate(on_the_way) if (flight.sender, node) in cut), 0)


def _lines(picture: Diagram, flights: Iterable[Flight]) -> dict[str, list[Any]]:
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for flight in flights:
        said = lanes.flight_text(flight)
        for time_ms, height in message_path(picture, flight):
            x.append(round(time_ms, 3))
            y.append(round(height, 3))
            text.append(said)
        x.append(None)
        y.append(None)
        text.append("")
    return {"x": x, "y": y, "hovertext": text}


def message_lines(picture: Diagram, kinds: Sequence[str]) -> list[go.Scatter]:
    """One trace a kind, in this order, empty for kinds that are absent; then one for all others."""
    by_kind: dict[str, list[Flight]] = {kind: [] for kind in (*kinds, theme.OTHER)}
    for flight in picture.flights:
        by_kind[flight.kind if flight.kind in by_kind else theme.OTHER].append(flight)
    styles = theme.kind_styles((*kinds, theme.OTHER))
    return [
        go.Scatter(
            **_lines(picture, flights),
            mode="lines",
            name=kind,
            hoverinfo="text",
            showlegend=bool(flights),
            line={"color": styles[kind].colour, "dash": styles[kind].dash, "width": 1.6},
        )
        for kind, flights in by_kind.items()
    ]


def highlighted_lines(picture: Diagram, numbers: Collection[int]) -> go.Scatter:
    """The messages with these numbers, bold, over the rest."""
    chosen = [one for one in (*picture.flights, *picture.routine) if one.number in numbers]
    return go.Scatter(
        **_lines(picture, chosen),
        mode="lines",
        name="highlighted",
        hoverinfo="text",
        showlegend=bool(chosen),
        line={"color": theme.INK, "width": 4},
    )


def routine_lines(picture: Diagram) -> go.Scatter:
    """Heartbeats: thin lines while they are few, else one tick on the sender's lane for each round."""
    flights, room = picture.routine, 400
    only = sorted({flight.kind for flight in flights} - {flight.kind for flight in picture.flights})
    name = ", ".join([*only, f"routine ×{len(flights):,}"])
    line = {"color": theme.ROUTINE.colour, "width": 1}
    if len(flights) <= room:
        return go.Scatter(
            **_lines(picture, flights), mode="lines", name=name, hoverinfo="text", showlegend=bool(flights), line=line
        )
    rounds: dict[tuple[NodeId, float, str], list[NodeId]] = {}
    for flight in flights:
        if flight.sender in picture.nodes:
            rounds.setdefault((flight.sender, flight.start_ms, flight.kind), []).append(flight.receiver)
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for (sender, sent_ms, kind), receivers in rounds.items():
        foot = picture.y(sender) - HALF
        link = f"{lanes.plain(sender)} → {lanes.plain(' '.join(receivers))}"
        said = f"<b>{lanes.plain(kind)}</b>  {link}<br>sent {sent_ms:,.2f} ms"
        x += [sent_ms, sent_ms, None]
        y += [foot, foot - 0.12, None]
        text += [said, said, ""]
    return go.Scatter(
        x=x,
        y=y,
        hovertext=text,
        mode="lines",
        name=f"{name}, a tick a round",
        hoverinfo="text",
        showlegend=True,
        line=line,
    )


def undelivered_crosses(picture: Diagram) -> go.Scatter:
    """A cross where each message ended that was not delivered; its text says why."""
    lost = [one for one in (*picture.flights, *picture.routine) if one.fate in (LOST, PARTITIONED, DOWN)]
    if len(lost) > 2 * len(picture.flights):
        lost = [one for one in lost if not one.routine]
    ends = [message_path(picture, flight)[-1] for flight in lost]
    return go.Scatter(
        x=[round(x, 3) for x, _ in ends],
        y=[round(y, 3) for _, y in ends],
        mode="markers",
        name="not delivered",
        hovertext=[lanes.flight_text(flight) for flight in lost],
        hoverinfo="text",
        showlegend=bool(lost),
        yaxis="y2",
        legend="legend2",
        marker={"symbol": "x-thin", "size": 8, "color": theme.INK, "line": {"width": 1.8, "color": theme.INK}},
    )


def duplicate_marks(picture: Diagram) -> go.Scatter:
    """A diamond in the middle of each extra copy of a message."""
    again = [one for one in picture.flights if one.duplicate]
    middles = [
        [sum(part) / 2 for part in zip(*(message_path(picture, one)[i] for i in (0, -1)), strict=True)] for one in again
    ]
    return go.Scatter(
        x=[round(x, 3) for x, _ in middles],
        y=[round(y, 3) for _, y in middles],
        mode="markers",
        name="duplicate",
        hovertext=[lanes.flight_text(flight) for flight in again],
        hoverinfo="text",
        showlegend=bool(again),
        yaxis="y2",
        legend="legend2",
        marker={"symbol": "diamond", "size": 8, "color": theme.PAPER, "line": {"width": 1.5, "color": theme.INK}},
    )
