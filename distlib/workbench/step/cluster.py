"""A cluster that is moved by hand, and the tree of the states that it was in.

Nodes, messages and invariants are those of the explorer's ``ClusterModel``, so each path made by hand is a path of the
model, and the explorer can go on from any state of it. Two things are added. A node may be down for a while, and a link
may be partitioned: they only forbid steps; what is in flight over such a link, or to such a node, waits there until it
is dropped or may be delivered again. Going back and choosing differently makes a branch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Literal

from distlib.check.cluster.handling import HANDLER, Handled
from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.replay import Copy, Traffic, trace_of_steps
from distlib.check.cluster.world import CrashRestart, Deliver, Drop, Duplicate, Faults, Request, Timeout, World
from distlib.core import require
from distlib.core.codec import TYPE, from_data, library_class, parse, to_data
from distlib.core.fault import Crash, Fault, Heal, Link, OneWay, Partition, Restart
from distlib.core.invariant import Broken, Violation
from distlib.core.node import Node, NodeId
from distlib.core.trace import Trace
from distlib.workbench.subjects import subject_of

ENOUGH = 10**9
"""A budget that no hand uses up."""
REPEATS = 50
"""How often a client may send the same request."""
MOST_STEPS = 1000
"""How many random steps may be taken at once: nothing else is heard for the two seconds they take."""


# --- steps ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LinksStep:
    """What happens to ``links`` (sender, receiver); in words, and read from words."""

    links: tuple[Link, ...]

    words: ClassVar[str] = ""

    def __str__(self) -> str:
        return self.words + ", ".join(f"{one} → {other}" for one, other in self.links)

    @classmethod
    def called(cls, text: str) -> LinksStep:
        """The step that reads like this. Raises ``ValueError`` for other words."""
        links = [tuple(link.strip().split(" → ")) for link in text.removeprefix(cls.words).split(",")]
        if not all(len(link) == 2 for link in links):
            raise ValueError(f"{text!r} names no links; it takes '{cls.words}S1 → S2', with commas between several")
        return cls(tuple((one, other) for one, other in links))


class PartitionLinks(LinksStep):
    """The network delivers nothing over ``links``."""

    words = "partition "


class HealLinks(LinksStep):
    """``links`` work again."""

    words = "heal "


Step = Deliver | Drop | Duplicate | Timeout | Request | Crash | Restart | LinksStep


@lru_cache(maxsize=1 << 14)
def text_of(step: Any) -> str:
    """A step in words; the same words always mean the same step."""
    return str(step)


class Impossible(ValueError):
    """A step that the cluster does not allow now; the text says why."""


# --- states -----------------------------------------------------------------------------------------------


@dataclass(eq=False)
class ClusterState:
    """A state of the cluster, and the step that led there from its ``parent`` (None at the start). ``world`` is what
    the explorer sees, ``traffic`` what the step did to the messages; nodes may be ``down``, links ``partitioned``."""

    number: int
    parent: ClusterState | None
    step: Step | None
    world: World
    traffic: Traffic
    down: frozenset[NodeId] = frozenset()
    partitioned: frozenset[Link] = frozenset()
    children: list[ClusterState] = field(default_factory=list, repr=False)

    def __repr__(self) -> str:
        return f"state {self.number}: step {self.depth}, {self.text}"

    @property
    def text(self) -> str:
        """The step that led here, in words."""
        return "start" if self.step is None else text_of(self.step)

    @property
    def depth(self) -> int:
        """The number of steps from the start."""
        return self.traffic.number

    @property
    def broken(self) -> Violation | None:
        """The violation that this state shows, None if none."""
        return self.world.broken

    @property
    def in_flight(self) -> tuple[Copy, ...]:
        """The messages in flight, in order of sending."""
        return self.traffic.in_flight

    def holds_up(self, sender: NodeId, receiver: NodeId) -> str:
        """Why a message from ``sender`` cannot be delivered to ``receiver`` now; empty if it can."""
        if receiver in self.down:
            return f"{receiver} is down"
        return f"{sender} → {receiver} is partitioned" if (sender, receiver) in self.partitioned else ""

    def path(self) -> list[ClusterState]:
        """The states from the start to this one."""
        states: list[ClusterState] = [self]
        while states[-1].parent is not None:
            states.append(states[-1].parent)
        return states[::-1]


class Tree:
    """The cluster of ``asked``, without its bounds, and the states in which it was, by number: 0 is the start, ``next``
    the number of the next new one."""

    def __init__(self, asked: ClusterModel) -> None:
        requests = [pair for pair in asked.requests for _ in range(REPEATS)]
        self.asked = asked
        self.model = ClusterModel(
            asked.make_nodes, invariants=asked.invariants, requests=requests, timeouts=ENOUGH,
            faults=Faults(crashes=ENOUGH, losses=ENOUGH, duplicates=ENOUGH),
        )  # fmt: skip
        self.ids = asked.ids
        self.root = ClusterState(0, None, None, self.model.first, Traffic.at_start(self.model.started()))
        self.states: dict[int, ClusterState] = {0: self.root}
        self.next = 1

    def __len__(self) -> int:
        return len(self.states)

    def __iter__(self) -> Iterator[ClusterState]:
        return iter(self.states.values())

    # what may happen next

    def timers(self, at: ClusterState) -> list[Timeout]:
        """The running timers of the nodes that are up."""
        up = [local for local in at.world.nodes if local.id not in at.down]
        return [Timeout(local.id, name, key) for local in up for name, key in local.value[2]]

    def requests(self, at: ClusterState, *, anew: bool = True) -> list[Request]:
        """What clients may ask, of whom; without ``anew`` only what has not been asked yet."""
        return [
            Request(node, message)
            for to, message in self._open(at, 1 if anew else REPEATS)
            for node in ((to,) if to else self.ids) if node not in at.down
        ]  # fmt: skip

    def _open(self, at: ClusterState, times: int) -> list[tuple[NodeId | None, Any]]:
        """The requests that may come at least so many times more."""
        left = dict(zip(self.model.limits, at.world.left, strict=True))
        return [pair for number, pair in enumerate(self.model.requests) if left[f"request {number}"] >= times]

    def called(self, at: ClusterState, text: str) -> Step:
        """The step out of ``at`` that reads like ``text``. Raises ``Impossible`` when there is none."""
        for links_step in (PartitionLinks, HealLinks):
            if text.startswith(links_step.words):
                return links_step.called(text)
        steps: list[Step] = [fault(0.0, node) for fault in (Crash, Restart) for node in self.ids]
        for copy in at.in_flight:
            steps += [copy.delivery, Drop(*copy[1:4]), Duplicate(*copy[1:4])]
        for step in (*steps, *self.timers(at), *self.requests(at)):
            if text_of(step) == text:
                return step
        raise Impossible(f"{text!r} is not possible after step {at.depth}, '{at.text}'")

    def drawn(self, at: ClusterState, random: Random, faults: bool) -> Step | None:
        """A random next step; None if there is none. Messages come most often, then timers, requests and faults."""
        letters = [copy.delivery for copy in at.in_flight]
        sorts: list[tuple[float, Sequence[Step]]] = [
            (8.0, [one for one in letters if not at.holds_up(one.sender, one.receiver)]),
            (1.0, self.timers(at)),
            (0.5, self.requests(at, anew=False)),
        ]
        if faults:
            letters = list(dict.fromkeys(letters))
            sorts += [
                (0.3, [Drop(one.sender, one.receiver, one.message) for one in letters]),
                (0.2, [Duplicate(one.sender, one.receiver, one.message) for one in letters]),
                (0.15, [Crash(0.0, node) for node in self.ids if node not in at.down]),
                (0.6, [Restart(0.0, node) for node in sorted(at.down)]),
            ]
        possible = [one for one in sorts if one[1]]
        if not possible or at.broken is not None:
            return None
        (steps,) = random.choices([steps for _, steps in possible], [weight for weight, _ in possible])
        return random.choice(steps)

    # growing

    def grow(self, at: ClusterState, step: Step, copy: Copy | None = None) -> ClusterState:
        """The state after ``step``; the same step again leads to the state that is there. ``copy`` says which of
        several equal copies is meant (default: the oldest). Raises ``Impossible`` for a step that is not allowed."""
        for child in at.children:
            ended = child.traffic.ended
            if child.step == step and (copy is None or ended is None or ended[0] == copy.number):
                return child
        world, down, partitioned, handled = self._after(at, step)
        traffic = at.traffic.after(step, handled, copy)
        state = self.states[self.next] = ClusterState(self.next, at, step, world, traffic, down, partitioned)
        at.children.append(state)
        self.next += 1
        return state

    def _after(
        self, at: ClusterState, step: Step
    ) -> tuple[World, frozenset[NodeId], frozenset[Link], dict[NodeId, Handled]]:
        """World, nodes down and links partitioned after ``step``, and what the node that it concerns did."""
        world, down, partitioned = at.world, at.down, at.partitioned
        action: Any = step
        if world.broken is not None:
            raise Impossible(f"{world.broken.invariant} is broken: this branch ends here; go back, or undo")
        match step:
            case Crash(node=node):
                self._check_up(at, node)
                return world, down | {node}, partitioned, {}
            case Restart(node=node):
                if node not in down:
                    raise Impossible(f"{node} is not down, so it cannot restart")
                down, action = down - {node}, CrashRestart(node)
            case LinksStep(links):
                for one, other in links:
                    self.check_node(one)
                    self.check_node(other)
                    if one == other:
                        raise Impossible(f"{one} → {one} is no link between two nodes")
                struck = set(links)
                partitioned = partitioned | struck if isinstance(step, PartitionLinks) else partitioned - struck
                return world, down, partitioned, {}
            case Timeout(node=node) | Request(node=node):
                self._check_up(at, node)
            case Deliver(sender, receiver) if why := at.holds_up(sender, receiver):
                raise Impossible(f"'{step}' has to wait: {why}")
        after = self.model.after(world, action)
        if after is None:
            raise Impossible(f"'{step}' is not possible now")
        return after, down, partitioned, self.model.handled(world, action)

    def _check_up(self, at: ClusterState, node: NodeId) -> None:
        self.check_node(node)
        if node in at.down:
            raise Impossible(f"{node} is down")

    def check_node(self, node: NodeId) -> None:
        """Raises ``Impossible`` for a name that no node has."""
        if node not in self.ids:
            raise Impossible(f"there is no node {node!r}; there are {', '.join(self.ids)}")

    def regrow(self, steps: Sequence[tuple[int, str]], where: str) -> list[ClusterState]:
        """The start and the states after ``steps``, each the place in this list of the state before and the step in
        words. Raises ``ValueError`` naming what cannot be, as in ``<where>[2]``."""
        states = [self.root]
        for number, (before, text) in enumerate(steps):
            try:
                states.append(self.grow(states[before], self.called(states[before], text)))
            except ValueError as error:
                raise ValueError(f"{where}[{number}]: {error}") from error
        return states

    def prune(self, number: int) -> None:
        """Take the states from ``number`` on, which are the latest, out of the tree."""
        for state in [one for one in self if one.number >= number]:
            del self.states[state.number]
            if state.parent is not None:
                state.parent.children.remove(state)

    # looking at it

    def ends(self) -> list[ClusterState]:
        """The last state of each branch, in order of making."""
        return [state for state in self if not state.children]

    def verdicts(self, state: ClusterState) -> list[tuple[str, bool, str]]:
        """Each invariant in ``state``: name, whether it holds, witness."""
        broken, before = state.broken, state.parent
        failed = broken is not None and broken.invariant == HANDLER
        found = [(HANDLER, not failed, broken.witness if broken is not None and failed else "")]
        ghosts = (before or state).world.ghosts.value
        for invariant, ghost in zip(self.model.invariants, ghosts, strict=True):
            witness = ""
            try:
                if broken is not None and before is not None and not failed:
                    invariant.after(ghost, state.world.all_nodes(), state.traffic.moved[0])
            except Broken as error:
                witness = str(error)
            found.append((invariant.name, not witness, witness))
        return found

    def trace(self, state: ClusterState, end: float) -> Trace:
        """The branch from the start to ``state`` as a trace that lasts until ``end``, in which step k happens at time
        k; what is in flight at its end is left out."""
        path = [(one.traffic, one.world, self._faults(one)) for one in state.path()]
        return trace_of_steps(self.ids, path, 1.0, end, by_hand=True)

    def _faults(self, state: ClusterState) -> tuple[Fault, ...]:
        """The faults that strike in the step to ``state``, as a simulated run tells them; their times don't count."""
        if isinstance(state.step, Crash | Restart):
            return (state.step,)
        return (Heal(0.0), *self._partitions(state.partitioned)) if isinstance(state.step, LinksStep) else ()

    def _partitions(self, links: frozenset[Link]) -> list[Fault]:
        """The links that carry nothing, as one partition if they are one, else one way by sender."""
        ids = self.ids
        reached = {one: tuple(other for other in ids if other == one or (one, other) not in links) for one in ids}
        if links and all(reached[other] == group for group in reached.values() for other in group):
            return [Partition(0.0, tuple(dict.fromkeys(reached.values())))]
        targets = {one: tuple(other for other in ids if (one, other) in links) for one in ids}
        return [OneWay(0.0, (one,), others) for one, others in targets.items() if others]

    def bounded(self, at: ClusterState, timeouts: int, crashes: int, faults: Faults) -> tuple[ClusterModel, World]:
        """The model that a search from ``at`` explores, and the world it starts in. Nodes that are down stay down,
        partitioned links stay so; clients may still ask what they have not asked yet."""
        down = at.down
        to_down = {(sender, node) for node in down for sender in self.ids if sender != node}
        requests = self._open(at, REPEATS)
        if down:
            requests = [(one.node, one.message) for one in self.requests(at, anew=False)]
        by_node = {name: int(name not in down) for name in self.ids} | {"*": crashes}
        model = ClusterModel(
            self.model.make_nodes, invariants=self.model.invariants, requests=requests,
            timeouts={"*": timeouts, **dict.fromkeys(down, 0)}, faults=replace(faults, crashes=by_node),
            partitioned=at.partitioned | to_down,
        )  # fmt: skip
        return model, model.carry(at.world)


# --- as a file --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StepFile:
    """What a Step lab exports. ``protocol`` is the node class, None for a cluster made by hand; ``here`` the number of
    the state where the reader stands; ``states`` all but the start, number 0: the number before, and the step in
    words."""

    lab: Literal["StepLab"]
    protocol: str | None
    servers: int
    shown: int
    here: int
    broken: str | None
    states: tuple[tuple[int, str], ...]

    def __post_init__(self) -> None:
        for number, state in enumerate(self.states):
            if not 0 <= state[0] <= number:
                raise ValueError(f"states[{number}] is {state!r}; it takes (number of an earlier state, step in words)")
        if not 0 <= self.here <= len(self.states):
            raise ValueError(f"here is {self.here}; it takes the number of a state, 0 to {len(self.states)}")

    @classmethod
    def of(cls, tree: Tree, here: ClusterState, node_class: type[Node] | None, servers: int, shown: int) -> StepFile:
        """The whole tree, and where the reader stands."""
        order = {state.number: place for place, state in enumerate(tree)}
        broken = None if here.broken is None else f"{here.broken.invariant}: {here.broken.witness}"
        states = tuple((order[state.parent.number], state.text) for state in tree if state.parent is not None)
        name = None if node_class is None else f"{node_class.__module__}.{node_class.__qualname__}"
        return cls("StepLab", name, servers, shown, order[here.number], broken, states)

    @classmethod
    def read(cls, path: Path) -> StepFile:
        """What is in a file. Raises ``ValueError`` naming the field that is wrong."""
        found: StepFile = from_data(cls, parse(path.read_bytes(), path.name), path.name)
        return found

    def text(self) -> str:
        """The file's text."""
        data = {name: value for name, value in to_data(self).items() if name != TYPE}
        return json.dumps(data, indent=1, ensure_ascii=False) + "\n"

    def node_class(self, where: str) -> type[Node]:
        """The library's class of nodes that the file names. Raises ``ValueError`` for a class of the reader's own."""
        name = ":".join(str(self.protocol).rsplit(".", 1))
        found: type[Node] = library_class(name, Node, where, "give it, as in StepLab.load(path, MyRaft)")
        return found


# --- clusters by protocol ---------------------------------------------------------------------------------


def model_of(node_class: type[Node], servers: int) -> ClusterModel:
    """A cluster of ``servers`` nodes of ``node_class``, its invariants, and what clients may ask. Raises ``TypeError``
    for a class that is of no subject."""
    require.whole("servers", servers, 1, 9)
    try:
        subject = subject_of(node_class)
    except TypeError as error:
        raise TypeError(f"{error}; of any other Node, make a ClusterModel and call StepLab.on(model)") from None
    return subject.model(node_class, servers)
