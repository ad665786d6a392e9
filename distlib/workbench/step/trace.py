"""A branch as a trace in logical time, where step k happens at time k: what the space-time diagram draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from distlib.check.cluster.world import Link
from distlib.core.fault import Crash, Heal, OneWay, Partition, Restart
from distlib.core.invariant import Violation
from distlib.core.node import NodeId
from distlib.core.trace import IN_FLIGHT, Happened, Seen, Trace
from distlib.workbench.step.cluster import HealLinks, PartitionLinks, concerned
from distlib.workbench.step.tree import State


def trace_of(nodes: Sequence[NodeId], path: Sequence[State], end: float) -> Trace:
    """``path`` (from the root) as a trace that lasts until ``end``. Messages in flight at its end are left out."""
    sent: dict[int, tuple[Any, ...]] = {}
    fates: dict[int, str] = {}
    duplicates: set[int] = set()
    seen: list[Seen] = []
    faults: list[Happened] = []
    outputs: list[Happened] = []
    for state in path:
        now = float(state.depth)
        for copy in state.begun:
            sender_ms = float(copy.sent_at) - (0.6 if copy.sender not in nodes else 0.0)
            sent[copy.number] = (end + 1, copy.number, *copy[1:4], sender_ms)
            fates[copy.number] = IN_FLIGHT
            if copy.duplicate:
                duplicates.add(copy.number)
        if state.ended is not None:
            number, fate = state.ended
            sent[number] = (now, *sent[number][1:])
            fates[number] = fate
        outputs += [Happened(now, name, event) for name, event in state.outputs]
        seen += _shown(state, now)
        faults += _faults(nodes, state, now)
    broken = path[-1].broken
    kept = [row for number, row in sent.items() if fates[number] != IN_FLIGHT]
    return Trace(
        nodes=tuple(nodes), seed=0, end_ms=end, sent=tuple(kept),
        fates={number: fate for number, fate in fates.items() if fate not in (IN_FLIGHT, "delivered")},
        late={}, duplicates=frozenset(duplicates), states=tuple(seen), faults=tuple(faults), outputs=tuple(outputs),
        violations=(Violation(broken.invariant, broken.witness, float(path[-1].depth)),) if broken else (),
        stopped="violation" if broken else "by hand", events=len(path) - 1,
    )  # fmt: skip


def _shown(state: State, now: float) -> Iterable[Seen]:
    """What nodes show from this step on, where that has changed."""
    world, step = state.moment.world, state.step
    if isinstance(step, Crash):
        return [Seen(now, step.node, None)]
    if state.parent is None:
        return [Seen(0.0, local.id, local.node.view()) for local in world.nodes]
    name = concerned(step)
    if name is None:
        return []
    before = next(local for local in state.parent.moment.world.nodes if local.id == name)
    after = next(local for local in world.nodes if local.id == name)
    if before == after and not isinstance(step, Restart):
        return []
    return [Seen(now, name, after.node.view())]


def _faults(nodes: Sequence[NodeId], state: State, now: float) -> list[Happened]:
    match state.step:
        case Crash(node=node) | Restart(node=node):
            return [Happened(now, node, replace(state.step, at_ms=now))]
        case PartitionLinks() | HealLinks():
            events = (Heal(now), *partition_events(state.moment.partitioned, nodes, now))
            return [Happened(now, None, event) for event in events]
    return []


def partition_events(links: frozenset[Link], nodes: Sequence[NodeId], now: float) -> list[Partition | OneWay]:
    """The links that carry nothing as one partition if they are one, else one way by sender; until the next heal."""
    if not links:
        return []
    whole = {(one, other) for one in nodes for other in nodes if one != other}
    groups: dict[NodeId, frozenset[NodeId]] = {
        node: frozenset({node} | {other for other in nodes if (node, other) in whole - links}) for node in nodes
    }
    apart = all(groups[other] == group for group in groups.values() for other in group)
    if apart:
        ordered = dict.fromkeys(tuple(node for node in nodes if node in groups[one]) for one in nodes)
        return [Partition(now, tuple(ordered))]
    senders = dict.fromkeys(one for one in nodes for other in nodes if (one, other) in links)
    return [OneWay(now, (one,), tuple(other for other in nodes if (one, other) in links)) for one in senders]
