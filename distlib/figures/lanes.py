"""What the time-based figures read from a trace: lanes by role and term, partitions, cut links, where messages end.

Faults are known by the names of their classes and fields (``Crash.for_ms``, ``Partition.groups``), as figures never
import the simulator. A protocol takes part by its view: ``role`` colours a lane, ``term`` or ``ballot`` numbers it.
"""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from distlib.core.node import NodeId
from distlib.core.trace import DELIVERED, DOWN, IN_FLIGHT, LOST, PARTITIONED, Trace, describe, kind_of
from distlib.figures import theme

Link = tuple[NodeId, NodeId]


class Segment(NamedTuple):
    """From ``start_ms`` to ``end_ms``, ``node`` was in ``role`` and ``term`` (None where the protocol has none)."""

    node: NodeId
    start_ms: float
    end_ms: float
    role: str
    term: Any
    label: str


class Span(NamedTuple):
    """A fault that lasts: a partition, a pause, a slow node."""

    start_ms: float
    end_ms: float
    kind: str
    node: NodeId | None
    event: Any


class Flight(NamedTuple):
    """One copy of a message as it is drawn: where and when its line starts and ends, and what it says."""

    number: int
    kind: str
    sender: NodeId
    receiver: NodeId
    start_ms: float
    end_ms: float
    arrive_ms: float
    reached: float
    fate: str
    routine: bool
    duplicate: bool
    message: Any


STOPS = {DELIVERED: 1.0, DOWN: 1.0, LOST: 0.6, PARTITIONED: 0.45, IN_FLIGHT: 1.0}
"""How much of its way a message's line is drawn, by fate: a lost one ends early."""


def chosen_nodes(trace: Trace, nodes: Iterable[NodeId] | None) -> tuple[NodeId, ...]:
    """The lanes to draw, in order; raises ``ValueError`` for a node that the trace lacks or none at all."""
    if nodes is None:
        return trace.nodes
    chosen = tuple(nodes)
    unknown = [node for node in chosen if node not in trace.nodes]
    if unknown or not chosen:
        raise ValueError(f"nodes is {chosen!r}; choose one or more of {', '.join(trace.nodes)}")
    return chosen


def window(trace: Trace, start_ms: float | None, end_ms: float | None) -> tuple[float, float]:
    """The window's two ends; None means the run's own. Raises ``ValueError`` for a reversed or empty one."""
    last = max(trace.end_ms, 1e-6)
    start = theme.check_time("start_ms", start_ms, 0.0, math.inf)
    end = theme.check_time("end_ms", end_ms, 0.0, math.inf)
    start, end = 0.0 if start is None else start, last if end is None else min(end, max(last, start or 0.0))
    if not start < end:
        raise ValueError(
            f"the window from start_ms={start:g} to end_ms={end:g} is empty; the run lasts from 0 to "
            f"{trace.end_ms:g} ms"
        )
    return start, end


def role_of(view: Any) -> str:
    """The role a view shows, as text; ``crashed`` for None, ``up`` for a view without roles."""
    if view is None:
        return theme.CRASHED
    role = getattr(view, "role", None)
    return theme.UP if role is None else str(getattr(role, "value", role))


def term_of(view: Any) -> Any:
    """The view's ``term`` or else its ``ballot``; None if it has neither."""
    term = getattr(view, "term", None)
    return term if term is not None else getattr(view, "ballot", None)


def label_of(view: Any) -> str:
    """``leader · term 3``."""
    role, term = role_of(view), term_of(view)
    if term is None:
        return role
    return f"{role} · {'term' if hasattr(view, 'term') else 'ballot'} {term}"


def segments(trace: Trace, nodes: Sequence[NodeId]) -> list[Segment]:
    """Each node's life as segments of one role and term; nodes that show nothing are ``up`` or ``crashed``."""
    changes: dict[NodeId, list[tuple[float, Any]]] = {node: [] for node in nodes}
    for seen in trace.states:
        if seen.node in changes:
            changes[seen.node].append((seen.time_ms, seen.view))
    found: list[Segment] = []
    for node in nodes:
        if any(view is not None for _, view in changes[node]):
            found += _joined(node, changes[node], trace.end_ms)
        else:
            found += _without_view(trace, node)
    return found


def _joined(node: NodeId, changes: list[tuple[float, Any]], end_ms: float) -> list[Segment]:
    found: list[Segment] = []
    for number, (time_ms, view) in enumerate(changes):
        until = changes[number + 1][0] if number + 1 < len(changes) else end_ms
        last = found[-1] if found else None
        role, term, label = role_of(view), term_of(view), label_of(view)
        if last is not None and (last.role, last.term) == (role, term):
            found[-1] = last._replace(end_ms=until)
        elif until > time_ms or time_ms >= end_ms:
            found.append(Segment(node, time_ms, until, role, term, label))
    return found


def _without_view(trace: Trace, node: NodeId) -> list[Segment]:
    found, now = [], 0.0
    for span in spans(trace):
        if span.kind == "Crash" and span.node == node:
            if span.start_ms > now:
                found.append(Segment(node, now, span.start_ms, theme.UP, None, theme.UP))
            found.append(Segment(node, span.start_ms, span.end_ms, theme.CRASHED, None, theme.CRASHED))
            now = span.end_ms
    if now < trace.end_ms or not found:
        found.append(Segment(node, now, trace.end_ms, theme.UP, None, theme.UP))
    return found


ENDS = {"Crash": "Restart", "Pause": "Resume", "Partition": "Heal", "OneWay": "Heal", "Bridge": "Heal"}
CUTS = ("Partition", "OneWay", "Bridge")


def spans(trace: Trace) -> list[Span]:
    """The faults that last, each with its end: by its own ``for_ms``, by the fault that ends it, or by the run's
    end."""
    found = []
    for number, fault in enumerate(trace.faults):
        event, kind = fault.event, type(fault.event).__name__
        if not hasattr(event, "for_ms"):
            continue
        end = trace.end_ms if event.for_ms is None else min(trace.end_ms, fault.time_ms + event.for_ms)
        for later in trace.faults[number + 1 :]:
            ends_it = type(later.event).__name__ == ENDS.get(kind) and later.node in (None, fault.node)
            if ends_it and later.time_ms < end:
                end = later.time_ms
        found.append(Span(fault.time_ms, end, kind, fault.node, event))
    return found


def partition_text(event: Any) -> str:
    """A cut in words: ``S1 S2 ┃ S3 S4 S5``; ``S1 ↛ S2`` one way; ``S1 ┃ S3, both reach S2`` for a bridge."""
    if hasattr(event, "groups"):
        return " ┃ ".join(" ".join(group) for group in event.groups)
    if hasattr(event, "sources"):
        return f"{' '.join(event.sources)} ↛ {' '.join(event.targets)}"
    return f"{' '.join(event.left)} ┃ {' '.join(event.right)}, both reach {event.middle}"


def partitioned_links(trace: Trace, at_ms: float) -> frozenset[Link]:
    """The directed links that partitions cut at ``at_ms``."""
    cut: set[Link] = set()
    for span in spans(trace):
        if span.kind in CUTS and span.start_ms <= at_ms < span.end_ms:
            cut |= partitioned_by(span.event, trace.nodes)
    return frozenset(cut)


def partitioned_by(event: Any, nodes: Sequence[NodeId]) -> frozenset[Link]:
    """The directed links that a partition, a one-way cut or a bridge cuts."""
    if hasattr(event, "sources"):
        return frozenset((one, other) for one in event.sources for other in event.targets if one != other)
    if hasattr(event, "middle"):
        return frozenset(link for one in event.left for other in event.right for link in ((one, other), (other, one)))
    group_of = {node: number for number, group in enumerate(event.groups) for node in group}
    return frozenset(
        (one, other)
        for one in nodes
        for other in nodes
        if one != other and group_of.get(one, one) != group_of.get(other, other)
    )


def flights(trace: Trace, start_ms: float, end_ms: float, nodes: Sequence[NodeId]) -> list[Flight]:
    """The messages under way at some time in the window whose receiver is shown (and sender, if it is a node)."""
    shown, members = set(nodes), set(trace.nodes)
    found = []
    for due_ms, number, sender, receiver, message, sent_ms in trace.sent:
        if sent_ms > end_ms or receiver not in shown or (sender in members and sender not in shown):
            continue
        fate = trace.fates.get(number, DELIVERED)
        arrive = trace.late.get(number, due_ms) if fate == DELIVERED else due_ms
        reached = STOPS[fate]
        if fate == IN_FLIGHT and arrive > trace.end_ms:
            reached = (trace.end_ms - sent_ms) / (arrive - sent_ms)
        stop = sent_ms + reached * (arrive - sent_ms)
        if stop < start_ms:
            continue
        routine = bool(getattr(message, "routine", False))
        found.append(
            Flight(
                number,
                kind_of(message),
                sender,
                receiver,
                sent_ms,
                stop,
                arrive,
                reached,
                fate,
                routine,
                number in trace.duplicates,
                message,
            )
        )
    found.sort(key=lambda flight: (flight.start_ms, flight.number))
    return found


def plain(text: Any, width: int = 88) -> str:
    """``text`` for a hover label: markup escaped, long lines broken."""
    return "<br>".join(html.escape(line, quote=False) for line in textwrap.wrap(str(text), width) or [""])


def flight_text(flight: Flight) -> str:
    """The whole message for a hover label: kind, link, fields, times, fate."""
    name = kind_of(flight.message)
    said = describe(flight.message).removeprefix(name).strip()
    if flight.fate == DELIVERED:
        end = f"delivered {flight.arrive_ms:,.2f} ms (after {flight.arrive_ms - flight.start_ms:,.2f} ms)"
    elif flight.fate == IN_FLIGHT:
        end = f"still in flight at the end, due {flight.arrive_ms:,.2f} ms"
    else:
        end = f"not delivered: {flight.fate}"
    copy = " · a duplicate" if flight.duplicate else ""
    lines = [f"<b>{plain(name)}</b>  {plain(flight.sender)} → {plain(flight.receiver)}{copy}"]
    lines += [plain(said)] if said else []
    return "<br>".join([*lines, f"sent {flight.start_ms:,.2f} ms, {end}"])
