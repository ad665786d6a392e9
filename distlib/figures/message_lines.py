"""Messages of a space-time diagram: slanted lines by kind, routine ones thin, lost ones ending early."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from distlib.core.fault import Link
from distlib.core.node import NodeId
from distlib.core.trace import DOWN, LOST, PARTITIONED
from distlib.figures import theme
from distlib.figures.diagram import HALF, OVER, Diagram
from distlib.figures.lanes import Flight, flight_text
from distlib.figures.shapes import lines, plain, signs
from distlib.figures.theme import LineStyle

MOST_ROUTINE = 400
"""More routine messages than these become ticks."""


def message_path(picture: Diagram, flight: Flight) -> list[tuple[float, float]]:
    """The points of a message's line, from bar edge to bar edge, with one in each gap so that hovering finds it."""
    to = picture.y(flight.receiver)
    if flight.sender not in picture.nodes:
        return [(flight.start_ms, to + HALF + 0.26), (flight.end_ms, to + HALF)]
    if flight.sender == flight.receiver:
        middle = (flight.start_ms + flight.end_ms) / 2
        return [(flight.start_ms, to + HALF), (middle, to + HALF + 0.2), (flight.end_ms, to + HALF)]
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
    """The gap, counted from the sender, where a partition stops the message: before the first lane it cannot reach."""
    partitioned: set[Link] = set()
    for start_ms, end_ms, links in picture.partitions:
        if start_ms <= flight.arrive_ms and flight.start_ms < end_ms:
            partitioned |= links
    here, there = picture.nodes.index(flight.sender), picture.nodes.index(flight.receiver)
    way = range(here, there, 1 if here < there else -1)
    on_the_way = [picture.nodes[number + way.step] for number in way]
    return next((gap for gap, node in enumerate(on_the_way) if (flight.sender, node) in partitioned), 0)


def _rounded(points: Iterable[Sequence[float]]) -> list[tuple[float, float]]:
    return [(round(x, 3), round(y, 3)) for x, y in points]


def _lines(picture: Diagram, flights: Sequence[Flight], **style: Any) -> go.Scatter:
    paths = [_rounded(message_path(picture, flight)) for flight in flights]
    return lines(paths, [flight_text(flight) for flight in flights], showlegend=bool(flights), **style)


def message_lines(picture: Diagram, styles: Mapping[str, LineStyle]) -> list[go.Scatter]:
    """One trace for each kind of ``styles``, in this order, empty for kinds that are absent; over the lanes, so that a
    message is seen to pass those between."""
    by_kind: dict[str, list[Flight]] = {kind: [] for kind in styles}
    for flight in picture.flights:
        by_kind[flight.kind if flight.kind in by_kind else theme.OTHER].append(flight)
    return [
        _lines(picture, by_kind[kind], name=kind, line=style.line(1.6), yaxis="y2") for kind, style in styles.items()
    ]


def routine_lines(picture: Diagram) -> go.Scatter:
    """Heartbeats: thin lines while they are few, else one tick on the sender's lane for each round."""
    flights = picture.routine
    only = sorted({flight.kind for flight in flights} - {flight.kind for flight in picture.flights})
    name = ", ".join([*only, f"routine ×{len(flights):,}"])
    line = {"color": theme.ROUTINE, "width": 1}
    if len(flights) <= MOST_ROUTINE:
        return _lines(picture, flights, name=name, line=line)
    rounds: dict[tuple[NodeId, float, str], list[NodeId]] = {}
    for flight in flights:
        if flight.sender in picture.nodes:
            rounds.setdefault((flight.sender, flight.start_ms, flight.kind), []).append(flight.receiver)
    ticks, said = [], []
    for (sender, sent_ms, kind), receivers in rounds.items():
        foot = picture.y(sender) - HALF
        ticks.append([(sent_ms, foot), (sent_ms, foot - 0.12)])
        said.append(f"<b>{plain(kind)}</b>  {plain(sender)} → {plain(' '.join(receivers))}<br>sent {sent_ms:,.2f} ms")
    return lines(ticks, said, name=f"{name}, a tick a round", showlegend=True, line=line)


def undelivered_crosses(picture: Diagram) -> go.Scatter:
    """A cross where each message ended that was not delivered; its text says why."""
    lost = [one for one in (*picture.flights, *picture.routine) if one.fate in (LOST, PARTITIONED, DOWN)]
    if len(lost) > 2 * len(picture.flights):
        lost = [one for one in lost if not one.routine]
    cross = {"symbol": "x-thin", "size": 8, "color": theme.INK, "line": {"width": 1.8, "color": theme.INK}}
    return _signs([(one, message_path(picture, one)[-1]) for one in lost], name="not delivered", marker=cross)


def duplicate_marks(picture: Diagram) -> go.Scatter:
    """A diamond in the middle of each extra copy of a message."""
    again = []
    for one in picture.flights:
        if one.duplicate:
            (start, low), *_, (end, high) = message_path(picture, one)
            again.append((one, ((start + end) / 2, (low + high) / 2)))
    diamond = {"symbol": "diamond", "size": 8, "color": theme.PAPER, "line": {"width": 1.5, "color": theme.INK}}
    return _signs(again, name="duplicate", marker=diamond)


def _signs(found: list[tuple[Flight, tuple[float, float]]], **style: Any) -> go.Scatter:
    points = _rounded(point for _, point in found)
    said = [(x, y, flight_text(flight)) for (x, y), (flight, _) in zip(points, found, strict=True)]
    return signs(said, showlegend=bool(found), **style, **OVER)
