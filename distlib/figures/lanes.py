"""What the time-based figures read from a trace: lanes by role and term, partitions, broken links, where messages end.
A protocol takes part by its view: ``role`` colours a lane, ``term``, ``view`` or ``ballot`` numbers it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from distlib.core import require
from distlib.core.fault import Bridge, Crash, Heal, Link, OneWay, Partition, Pause, Restart, Resume, partitioned_links
from distlib.core.look import NUMBERS, term_of
from distlib.core.node import NodeId
from distlib.core.trace import DELIVERED, DOWN, IN_FLIGHT, LOST, PARTITIONED, Trace, describe, kind_of
from distlib.figures import theme
from distlib.figures.shapes import plain


class Segment(NamedTuple):
    """From ``start_ms`` to ``end_ms``, ``node`` was in ``role`` and ``term`` (None where the protocol has none)."""

    node: NodeId
    start_ms: float
    end_ms: float
    role: str
    term: Any
    label: str


class Span(NamedTuple):
    """A fault that lasts: a crash, a partition, a pause, a slow node."""

    start_ms: float
    end_ms: float
    node: NodeId | None
    fault: Any


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
    if not chosen or not set(chosen) <= set(trace.nodes):
        raise ValueError(f"nodes is {chosen!r}; choose one or more of {', '.join(trace.nodes)}")
    return chosen


def window(trace: Trace, start_ms: float | None, end_ms: float | None) -> tuple[float, float]:
    """The window's two ends; None means the run's own. Raises ``ValueError`` for a reversed or empty one."""
    last = max(trace.end_ms, 1e-6)
    start = 0.0 if start_ms is None else float(require.number("start_ms", start_ms, 0, unit="ms"))
    end = last if end_ms is None else min(float(require.number("end_ms", end_ms, 0, unit="ms")), max(last, start))
    if not start < end:
        raise ValueError(
            f"the window from start_ms={start:g} to end_ms={end:g} is empty; "
            f"the run lasts from 0 to {trace.end_ms:g} ms"
        )
    return start, end


def role_of(view: Any) -> str:
    """The role a view shows, as text; ``crashed`` for None, ``up`` for a view without roles."""
    if view is None:
        return theme.CRASHED
    role = getattr(view, "role", None)
    return theme.UP if role is None else str(getattr(role, "value", role))


def label_of(view: Any) -> str:
    """``leader · term 3``."""
    role, term = role_of(view), term_of(view)
    if term is None:
        return role
    return f"{role} · {next(name for name in NUMBERS if hasattr(view, name))} {term}"


def shown_at(trace: Trace, at_ms: float, *, down: bool = True) -> dict[NodeId, Any]:
    """What each node that has shown anything shows at ``at_ms``; while down: None, or (``down=False``) what it
    showed."""
    return {seen.node: seen.view for seen in trace.states if seen.time_ms <= at_ms and (down or seen.view is not None)}


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
    ends = [*(time_ms for time_ms, _ in changes[1:]), end_ms]
    for (time_ms, view), until in zip(changes, ends, strict=True):
        role, term = role_of(view), term_of(view)
        if found and (found[-1].role, found[-1].term) == (role, term):
            found[-1] = found[-1]._replace(end_ms=until)
        elif until > time_ms or time_ms >= end_ms:
            found.append(Segment(node, time_ms, until, role, term, label_of(view)))
    return found


def _without_view(trace: Trace, node: NodeId) -> list[Segment]:
    parts, now = [], 0.0
    for crash in (one for one in spans(trace, Crash) if one.node == node):
        if crash.start_ms > now:
            parts.append((now, crash.start_ms, theme.UP))
        parts.append((crash.start_ms, crash.end_ms, theme.CRASHED))
        now = crash.end_ms
    if now < trace.end_ms or not parts:
        parts.append((now, trace.end_ms, theme.UP))
    return [Segment(node, start_ms, end_ms, role, None, role) for start_ms, end_ms, role in parts]


ENDS = {Crash: Restart, Pause: Resume, Partition: Heal, OneWay: Heal, Bridge: Heal}


def spans(trace: Trace, *which: type) -> list[Span]:
    """The faults of these classes that last, each until its ``for_ms`` is over, a fault ends it, or the run ends."""
    found = []
    for number, (start_ms, node, fault) in enumerate(trace.faults):
        if type(fault) in which:
            end = trace.end_ms if fault.for_ms is None else min(trace.end_ms, start_ms + fault.for_ms)
            ending = ENDS[type(fault)]
            for later in trace.faults[number + 1 :]:
                if isinstance(later.event, ending) and later.node in (None, node):
                    end = min(end, later.time_ms)
            found.append(Span(start_ms, end, node, fault))
    return found


def partitions(trace: Trace) -> list[Span]:
    """The faults that partition links, each with its end."""
    return spans(trace, Partition, OneWay, Bridge)


def partition_text(fault: Partition | OneWay | Bridge) -> str:
    """A partition in words: ``S1 S2 ┃ S3 S4 S5``; ``S1 ↛ S2`` one way; ``S1 ┃ S3, both reach S2`` for a bridge."""
    match fault:
        case OneWay(sources=sources, targets=targets):
            return f"{' '.join(sources)} ↛ {' '.join(targets)}"
        case Bridge(left=left, middle=middle, right=right):
            return f"{' '.join(left)} ┃ {' '.join(right)}, both reach {middle}"
    return " ┃ ".join(" ".join(group) for group in fault.groups)


def partitioned_at(trace: Trace, at_ms: float) -> frozenset[Link]:
    """The directed links that carry nothing at ``at_ms``."""
    now = [partitioned_links(one.fault, trace.nodes) for one in partitions(trace) if one.start_ms <= at_ms < one.end_ms]
    return frozenset[Link]().union(*now)


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
        if stop >= start_ms:
            routine, again = bool(getattr(message, "routine", False)), number in trace.duplicates
            found.append(
                Flight(number, kind_of(message), sender, receiver, sent_ms, stop, arrive, reached, fate, routine, again,
                       message)
            )  # fmt: skip
    found.sort(key=lambda flight: (flight.start_ms, flight.number))
    return found


def flight_text(flight: Flight) -> str:
    """The whole message for a hover label: kind, link, fields, times, fate."""
    said = describe(flight.message).removeprefix(flight.kind).strip()
    if flight.fate == DELIVERED:
        end = f"delivered {flight.arrive_ms:,.2f} ms (after {flight.arrive_ms - flight.start_ms:,.2f} ms)"
    elif flight.fate == IN_FLIGHT:
        end = f"still in flight at the end, due {flight.arrive_ms:,.2f} ms"
    else:
        end = f"not delivered: {flight.fate}"
    copy = " · a duplicate" if flight.duplicate else ""
    lines = [f"<b>{plain(flight.kind)}</b>  {plain(flight.sender)} → {plain(flight.receiver)}{copy}"]
    lines += [plain(said)] if said else []
    return "<br>".join([*lines, f"sent {flight.start_ms:,.2f} ms, {end}"])
