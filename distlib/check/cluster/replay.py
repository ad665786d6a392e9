"""A path as worlds, as a trace and as a story; a simulated run as a path.

In a path only the order of the steps counts. As a trace, step k happens at k times a step's length. The explorer's
paths and those that readers make by hand in the Step lab become traces in this one way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from distlib.check.cluster.handling import Handled
from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.world import Action, CrashRestart, Deliver, Duplicate, NetworkStep, Request, Timeout, World
from distlib.core.fault import Crash, Fault
from distlib.core.invariant import Violation
from distlib.core.node import NodeId
from distlib.core.trace import DELIVERED, IN_FLIGHT, LOST, Happened, Seen, Trace, describe

STEP_MS = 10.0
"""Logical time: how far apart two steps of a path are drawn."""
CLIENT_LEAD = 0.6
"""How many steps before a request arrives its line begins, in a path that is made by hand."""


class NotRepeatedError(ValueError):
    """Steps that break nothing, though they broke an invariant before: the nodes don't do the same each time."""


def actions_of(path: Iterable[Any]) -> list[Action]:
    """The actions of a search's path (``Result.path``), of any stages; a list of actions is returned as it is."""
    actions = [step.action if hasattr(step, "action") else step for step in path]
    return [action for action in actions if action is not None and not isinstance(action, tuple)]


def replay(model: ClusterModel, path: Iterable[Any]) -> list[World]:
    """The worlds along ``path``, the initial one first; ends at the first violation.

    The model's budgets and partitioned links don't count. Raises ValueError when a step is not possible.
    """
    actions = actions_of(path)
    roomy = model.allowing(actions)
    worlds = [roomy.first]
    for action in actions:
        if worlds[-1].broken is not None:
            break
        worlds.append(roomy.next_state(worlds[-1], action))
    return worlds


# ------------------------------------------------------------ path to trace


class Copy(NamedTuple):
    """One copy of a message; its number is unique on its path. ``sent_at`` is the step that sent it, ``copy_of`` the
    number of the copy that the network duplicated (0: none)."""

    number: int
    sender: NodeId
    receiver: NodeId
    message: Any
    sent_at: int
    copy_of: int = 0

    @property
    def delivery(self) -> Deliver:
        """Its delivery as a step."""
        return Deliver(self.sender, self.receiver, self.message)


class Traffic(NamedTuple):
    """The messages of a path after the step ``number`` (0: the start).

    ``copies`` were made so far; ``in_flight`` are in flight, in order of sending; ``begun`` are those that the step
    sent, ``ended`` is the number of the copy that ended in it, and its fate. ``moved`` are the nodes that handled an
    event, ``outputs`` what they told the world.
    """

    number: int = 0
    copies: int = 0
    in_flight: tuple[Copy, ...] = ()
    begun: tuple[Copy, ...] = ()
    ended: tuple[int, str] | None = None
    moved: tuple[NodeId, ...] = ()
    outputs: tuple[tuple[NodeId, Any], ...] = ()

    @classmethod
    def at_start(cls, started: Mapping[NodeId, Handled]) -> Traffic:
        """When nodes have ``started``."""
        return cls(-1).after(None, started)

    def after(self, step: Any, handled: Mapping[NodeId, Handled], meant: Copy | None = None) -> Traffic:
        """The same after one more step, in which nodes did what ``handled`` says.

        ``meant`` says which of several equal copies the step is about (default: the oldest).
        """
        number = self.number + 1
        letters: list[tuple[Any, ...]] = []
        in_flight, ended = self.in_flight, None
        if isinstance(step, NetworkStep):
            copy = meant or next(one for one in in_flight if one[1:4] == (step.sender, step.receiver, step.message))
            if isinstance(step, Duplicate):
                letters.append((*copy[1:4], number, copy.number))
            else:
                in_flight = tuple(one for one in in_flight if one.number != copy.number)
                ended = (copy.number, DELIVERED if isinstance(step, Deliver) else LOST)
        elif isinstance(step, Request):
            letters.append((step.client, step.node, step.message, number))
            ended = (self.copies + 1, DELIVERED)
        letters += [(name, *send, number) for name, did in handled.items() for send in did.sends]
        begun = tuple(Copy(one, *letter) for one, letter in enumerate(letters, self.copies + 1))
        in_flight += begun[1:] if isinstance(step, Request) else begun  # a request arrives in the step that sends it
        outputs = tuple((name, event) for name, did in handled.items() for event in did.outputs)
        return Traffic(number, self.copies + len(begun), in_flight, begun, ended, tuple(handled), outputs)


PathStep = tuple[Traffic, World, tuple[Fault, ...]]
"""A step of a path: what it did to the messages, the world after it, and the faults that strike in it."""


def trace_of_steps(
    nodes: Sequence[NodeId], path: Sequence[PathStep], step_ms: float, end_ms: float, *, by_hand: bool = False
) -> Trace:
    """``path``, from its start, as a trace that ends at ``end_ms``, with the violation that its last step shows.

    A crash that ends within its step says so by ``for_ms``; other times of the faults don't count.

    Where the path was made ``by_hand``, step by step, the picture has other needs: messages in flight at its end are
    left out, a copy leaves when it is made (not with its original), and requests come from outside the picture.
    """
    sent: dict[int, tuple[Any, ...]] = {}
    fates: dict[int, str] = {}
    duplicates: set[int] = set()
    states: list[Seen] = []
    faults: list[Happened] = []
    outputs: list[Happened] = []
    shown: dict[NodeId, Any] = {}
    for traffic, world, struck in path:
        now = traffic.number * step_ms
        for fault in struck:
            faults.append(Happened(now, getattr(fault, "node", None), replace(fault, at_ms=now)))
            if isinstance(fault, Crash):
                states.append(Seen(now, fault.node, None))
                shown[fault.node] = None
                now += fault.for_ms or 0.0
        for copy in traffic.begun:
            began = sent[copy.copy_of][5] if copy.copy_of and not by_hand else now
            if by_hand and copy.sender not in nodes:
                began -= CLIENT_LEAD * step_ms
            sent[copy.number] = (end_ms + step_ms, *copy[:4], began)
            fates[copy.number] = IN_FLIGHT
            duplicates |= {copy.number} if copy.copy_of else set()
        if traffic.ended is not None:
            done, fates[done] = traffic.ended
            sent[done] = (now, *sent[done][1:])
        for name in traffic.moved:
            view = world.local(name).view
            if view is not None and view != shown.get(name):
                states.append(Seen(now, name, view))
                shown[name] = view
        outputs += [Happened(now, name, event) for name, event in traffic.outputs]
    last, broken = path[-1][0].number, path[-1][1].broken
    told = {number: fate for number, fate in fates.items() if not (by_hand and fate == IN_FLIGHT)}
    return Trace(
        nodes=tuple(nodes), seed=0, end_ms=end_ms, sent=tuple(sent[number] for number in told),
        fates={number: fate for number, fate in told.items() if fate != DELIVERED}, late={},
        duplicates=frozenset(duplicates), states=tuple(states), faults=tuple(faults), outputs=tuple(outputs),
        violations=(Violation(broken.invariant, broken.witness, last * step_ms),) if broken else (),
        stopped="violation" if broken else "by hand" if by_hand else "end of the path", events=last,
    )  # fmt: skip


def trace_of(model: ClusterModel, path: Iterable[Any]) -> Trace:
    """``path`` as a trace in logical time, with the violation at its end.

    Raises ValueError when a step is not possible.
    """
    actions = actions_of(path)
    roomy = model.allowing(actions)
    world = roomy.first
    steps: list[PathStep] = [(Traffic.at_start(roomy.started()), world, ())]
    for action in actions:
        if world.broken is not None:
            break
        handled = roomy.handled(world, action)
        world = roomy.next_state(world, action)
        faults = (Crash(0.0, action.node, STEP_MS / 2),) if isinstance(action, CrashRestart) else ()
        steps.append((steps[-1][0].after(action, handled), world, faults))
    return trace_of_steps(model.ids, steps, STEP_MS, len(steps) * STEP_MS)


def story(model: ClusterModel, path: Iterable[Any]) -> list[str]:
    """``path`` in lines that people read: each step, what it changed in the node's view, and what it broke."""
    actions = actions_of(path)
    worlds = replay(model, actions)
    lines = []
    for number, (action, before, after) in enumerate(zip(actions, worlds, worlds[1:], strict=False), 1):
        lines.append(f"{number:>3}  {action}")
        for old, new in zip(before.nodes, after.nodes, strict=True):
            if change := _change(old.view, new.view):
                lines.append(f"       {new.id}: {change}")
    broken = worlds[-1].broken
    return [*lines, f"  ✗  {broken.invariant}: {broken.witness}"] if broken else lines


def _change(before: Any, after: Any) -> str:
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

    None of them if nothing breaks. A delivery whose message is not in flight may stand for one of the same kind on the
    same link: where earlier steps were left out, terms and ballots differ.
    """
    roomy = model.allowing(actions)
    return possible(roomy, roomy.first, actions)[0]


def possible(roomy: ClusterModel, start: World, actions: Iterable[Action]) -> tuple[list[Action], Violation | None]:
    """As ``taken``, from ``start``, in a model whose budgets allow all ``actions``; and what they break."""
    world, done = start, []
    for action in actions:
        following = roomy.after(world, action)
        if following is None and (like := _like(world, action)) is not None:
            action, following = like, roomy.after(world, like)
        if following is not None:
            world = following
            done.append(action)
        if world.broken is not None:
            return done, world.broken
    return [], None


def _like(world: World, action: Action) -> Deliver | None:
    if not isinstance(action, Deliver):
        return None
    link, message_class = (action.sender, action.receiver), type(action.message)
    fitting = (one for one in world.messages() if (one.sender, one.receiver) == link)
    return next((one for one in fitting if type(one.message) is message_class), None)
