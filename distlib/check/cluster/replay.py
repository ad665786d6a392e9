"""A path of the explorer as a trace that figures draw, and a simulated run as a path that can be made smaller.

In a path only the order of the steps counts. As a trace, step k happens at k times ``STEP_MS``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from distlib.check.cluster.handling import Handled, Start
from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.world import (
    OUTSIDE,
    Action,
    CrashRestart,
    Deliver,
    Drop,
    Duplicate,
    Request,
    Timeout,
    World,
    encode,
)
from distlib.core.fault import Crash
from distlib.core.invariant import Violation
from distlib.core.node import NodeId
from distlib.core.trace import DELIVERED, IN_FLIGHT, LOST, Happened, Seen, Trace, describe

STEP_MS = 10.0
"""Logical time: how far apart two steps of a path are drawn."""


def actions_of(path: Iterable[Any]) -> list[Action]:
    """The actions of a search's path (``Result.path``), of any stages; a list of actions is returned as it is."""
    actions = [step.action if hasattr(step, "action") else step for step in path]
    return [action for action in actions if action is not None and not isinstance(action, tuple)]


def replay(model: ClusterModel, path: Iterable[Any]) -> list[World]:
    """The worlds along ``path``, the initial one first; ends at the first violation.

    The model's budgets and cut links don't count. Raises ValueError when a step is not possible.
    """
    actions = actions_of(path)
    roomy = model.allowing(actions)
    (world,) = roomy.initial_states()
    worlds = [world]
    for action in actions:
        if world.broken is not None:
            break
        world = roomy.next_state(world, action)
        worlds.append(world)
    return worlds


def violation_of(model: ClusterModel, path: Iterable[Any]) -> Violation | None:
    """What ``path`` breaks, None if nothing. Raises ValueError when a step is not possible."""
    return replay(model, path)[-1].broken


# ------------------------------------------------------------ path to trace


class _Telling:
    """The growing trace of a path."""

    def __init__(self, nodes: tuple[NodeId, ...]) -> None:
        self.nodes = nodes
        self.count = 0
        self.open: dict[bytes, list[int]] = {}  # copies in flight, by sender, receiver and message
        self.sent: dict[int, tuple[Any, ...]] = {}
        self.fates: dict[int, str] = {}
        self.duplicates: set[int] = set()
        self.states: list[Seen] = []
        self.faults: list[Happened] = []
        self.outputs: list[Happened] = []

    def send(self, now_ms: float, sender: NodeId, receiver: NodeId, message: Any) -> int:
        self.count += 1
        self.sent[self.count] = (now_ms, self.count, sender, receiver, message, now_ms)
        self.open.setdefault(encode((sender, receiver, message)), []).append(self.count)
        return self.count

    def end(self, now_ms: float, action: Deliver | Drop, fate: str) -> None:
        """The oldest copy of the action's message reaches its end."""
        number = self.open[encode((action.sender, action.receiver, action.message))].pop(0)
        self.sent[number] = (now_ms, *self.sent[number][1:])
        if fate != DELIVERED:
            self.fates[number] = fate

    def twin(self, action: Duplicate) -> None:
        copies = self.open[encode((action.sender, action.receiver, action.message))]
        sent_ms = self.sent[copies[0]][5]
        self.duplicates.add(self.send(sent_ms, action.sender, action.receiver, action.message))

    def did(self, now_ms: float, name: NodeId, handled: Handled) -> None:
        """What a node sent and told."""
        for receiver, message in handled.sends:
            self.send(now_ms, name, receiver, message)
        self.outputs += [Happened(now_ms, name, event) for event in handled.outputs]

    def show(self, now_ms: float, name: NodeId, world: World) -> None:
        view = world.node(name).view()
        last = next((seen.view for seen in reversed(self.states) if seen.node == name), None)
        if view is not None and view != last:
            self.states.append(Seen(now_ms, name, view))

    def trace(self, end_ms: float, broken: Violation | None, at_ms: float, events: int) -> Trace:
        for numbers in self.open.values():
            for number in numbers:
                self.fates[number] = IN_FLIGHT
                self.sent[number] = (end_ms + STEP_MS, *self.sent[number][1:])
        violations = (Violation(broken.invariant, broken.witness, at_ms),) if broken else ()
        return Trace(
            nodes=self.nodes, seed=0, end_ms=end_ms, sent=tuple(sorted(self.sent.values(), key=lambda one: one[1])),
            fates=self.fates, late={}, duplicates=frozenset(self.duplicates), states=tuple(self.states),
            faults=tuple(self.faults), outputs=tuple(self.outputs), violations=violations,
            stopped="violation" if broken else "end of the path", events=events,
        )  # fmt: skip


def trace_of(model: ClusterModel, path: Iterable[Any]) -> Trace:
    """``path`` as a trace in logical time, with the violation at its end.

    Raises ValueError when a step is not possible.
    """
    actions = actions_of(path)
    roomy = model.allowing(actions)
    telling = _Telling(model.ids)
    (world,) = roomy.initial_states()
    for name, state in zip(roomy.ids, roomy.initials, strict=True):
        telling.did(0.0, name, roomy.handling.run(name, state, (), Start(name)))
        telling.show(0.0, name, world)
    now_ms = 0.0
    for number, action in enumerate(actions, 1):
        if world.broken is not None:
            break
        now_ms = number * STEP_MS
        following = roomy.next_state(world, action)
        _tell(telling, now_ms, action, roomy.handled(world, action), following)
        world = following
    return telling.trace(now_ms + STEP_MS, world.broken, now_ms, len(actions))


def _tell(telling: _Telling, now_ms: float, action: Action, handled: Handled | None, after: World) -> None:
    """One step."""
    match action:
        case Deliver(receiver=name):
            telling.end(now_ms, action, DELIVERED)
        case Drop():
            telling.end(now_ms, action, LOST)
        case Duplicate():
            telling.twin(action)
        case Request(name, message):
            client = getattr(message, "client", None) or OUTSIDE
            telling.send(now_ms, client, name, message)
            telling.end(now_ms, Deliver(client, name, message), DELIVERED)
        case CrashRestart(name):
            telling.faults.append(Happened(now_ms, name, Crash(now_ms, name, STEP_MS / 2)))
            telling.states.append(Seen(now_ms, name, None))
            now_ms += STEP_MS / 2
        case Timeout(name):
            pass
    if handled is not None:
        telling.did(now_ms, name, handled)
        telling.show(now_ms, name, after)


def story(model: ClusterModel, path: Iterable[Any]) -> list[str]:
    """``path`` in lines that people read: each step, what it changed in the node's view, and what it broke."""
    actions = actions_of(path)
    worlds = replay(model, actions)
    lines = []
    for number, (action, before, after) in enumerate(zip(actions, worlds, worlds[1:], strict=False), 1):
        lines.append(f"{number:>3}  {action}")
        for old, new in zip(before.nodes, after.nodes, strict=True):
            change = _change(old.node, new.node) if old != new else ""
            if change:
                lines.append(f"       {new.id}: {change}")
    broken = worlds[-1].broken
    return [*lines, f"  ✗  {broken.invariant}: {broken.witness}"] if broken else lines


def _change(old: Any, new: Any) -> str:
    before, after = old.view(), new.view()
    if before is None or after is None:
        return ""
    fields = [name for name in after._fields if getattr(before, name) != getattr(after, name)]
    return ", ".join(f"{name} {_shown(getattr(before, name))} → {_shown(getattr(after, name))}" for name in fields)


def _shown(value: Any) -> str:
    return "–" if value is None else describe((value,))[1:-1] or "''"  # as a part, so that ballots stay short


# ------------------------------------------------------------ trace to path


def path_of(trace: Trace) -> list[Action]:
    """A simulated run as actions in the order in which they happened; its times are left behind.

    A crash stands where the node restarts: until then it did nothing. What was lost, cut or still in flight is
    simply never delivered. The path leads through the same states as the run did, unless a protocol reads the
    clock, which stands still in the explorer; ``shrink`` looks whether it still fails. Raises ValueError for a
    trace without recorded messages (``record=False``).
    """
    if not trace.sent and trace.events:
        raise ValueError("the trace holds no messages: run the cluster with record=True to take its run again")
    nodes = set(trace.nodes)
    steps: list[tuple[float, int, Action]] = []
    for due_ms, number, sender, receiver, message, sent_ms in trace.sent:
        if number in trace.fates:
            continue
        at_ms = trace.late.get(number, due_ms)
        if sender not in nodes:
            steps.append((at_ms, number, Request(receiver, message)))
            continue
        if number in trace.duplicates:
            steps.append((sent_ms, number, Duplicate(sender, receiver, message)))
        steps.append((at_ms, number, Deliver(sender, receiver, message)))
    steps += [(one.time_ms, one.number, Timeout(one.node, one.name, one.key)) for one in trace.timeouts]
    steps += [(time_ms, number, CrashRestart(node)) for time_ms, number, node in trace.restarts]
    return [action for _, _, action in sorted(steps, key=lambda step: step[:2])]


def taken(model: ClusterModel, actions: Sequence[Action]) -> list[Action]:
    """Those of ``actions`` that are possible, one after the other, up to the first violation; the others are left out.

    A delivery whose message is not in flight may stand for one of the same kind on the same link: where earlier
    steps were left out, terms and ballots differ.
    """
    roomy = model.allowing(actions)
    (world,) = roomy.initial_states()
    done: list[Action] = []
    for action in actions:
        if world.broken is not None:
            break
        possible = action if roomy.allows(world, action) else _like(world, action)
        if possible is not None and roomy.allows(world, possible):
            world = roomy.next_state(world, possible)
            done.append(possible)
    return done if world.broken is not None else []


def _like(world: World, action: Action) -> Action | None:
    if not isinstance(action, Deliver):
        return None
    link, kind = (action.sender, action.receiver), type(action.message)
    for message in world.messages():
        if (message.sender, message.receiver) == link and type(message.message) is kind:
            return message
    return None
