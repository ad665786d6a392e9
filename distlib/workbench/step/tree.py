"""The tree of states that a reader of the Step lab makes: going back and choosing differently makes a branch.

It can be written to a JSON file and read again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from distlib.check.cluster.replay import Copy, PathStep, Traffic, trace_of_steps
from distlib.check.cluster.world import Drop, Duplicate
from distlib.core.codec import TYPE, from_data, library_class, to_data
from distlib.core.fault import Crash, Restart
from distlib.core.invariant import Violation
from distlib.core.node import Node
from distlib.core.trace import Trace
from distlib.workbench.step.cluster import (
    ClusterState,
    HealLinks,
    Impossible,
    PartitionLinks,
    Step,
    StepCluster,
    faults_of,
    text_of,
)


@dataclass(eq=False)
class State:
    """A state in the tree, and the step that led there from its ``parent`` (None at the root).

    ``here`` is the cluster in this state, ``traffic`` what the step did to the messages, ``depth`` the number of steps
    from the root.
    """

    number: int
    parent: State | None
    step: Step | None
    here: ClusterState
    traffic: Traffic
    depth: int = 0
    children: list[State] = field(default_factory=list, repr=False)

    def __repr__(self) -> str:
        return f"State {self.number}: step {self.depth}, {self.text}"

    @property
    def text(self) -> str:
        """The step that led here, in words."""
        return "start" if self.step is None else text_of(self.step)

    @property
    def broken(self) -> Violation | None:
        """The violation that this state shows, None if none."""
        return self.here.world.broken

    @property
    def in_flight(self) -> tuple[Copy, ...]:
        """The messages in flight, in order of sending."""
        return self.traffic.in_flight

    def path(self) -> list[State]:
        """The states from the root to this one."""
        states: list[State] = [self]
        while states[-1].parent is not None:
            states.append(states[-1].parent)
        return states[::-1]


class Tree:
    """All states that were visited, by number; number 0 is the root."""

    def __init__(self, cluster: StepCluster) -> None:
        self.cluster = cluster
        model = cluster.model
        self.root = State(0, None, None, ClusterState(model.first), Traffic().after(0, None, model.started()))
        self.states: dict[int, State] = {0: self.root}
        self._next = 1

    def __len__(self) -> int:
        return len(self.states)

    def __iter__(self) -> Iterator[State]:
        return iter(self.states.values())

    def grow(self, at: State, step: Step, copy: Copy | None = None) -> tuple[State, bool]:
        """The state after ``step``, and whether it is new; the same step again leads to the state that is there.

        ``copy`` says which of several equal copies is meant (default: the oldest). Raises
        ``distlib.workbench.step.cluster.Impossible`` for a step that is not possible.
        """
        for child in at.children:
            ended = child.traffic.ended
            if child.step == step and (copy is None or ended is None or ended[0] == copy.number):
                return child, False
        here, handled = self.cluster.take(at.here, step)
        depth = at.depth + 1
        state = State(self._next, at, step, here, at.traffic.after(depth, step, handled, copy), depth)
        at.children.append(state)
        self.states[state.number] = state
        self._next += 1
        return state, True

    def follow(self, at: State, steps: Sequence[Step]) -> tuple[State, list[State]]:
        """The state after ``steps``, and those states on the way that are new."""
        made = []
        for step in steps:
            at, new = self.grow(at, step)
            made += [at] if new else []
        return at, made

    def called(self, at: State, text: str) -> Step:
        """The step out of ``at`` that reads like ``text``. Raises ``Impossible`` when there is none."""
        for links_step in (PartitionLinks, HealLinks):
            if text.startswith(links_step.words):
                return links_step.called(text)
        steps: list[Step] = [kind(0.0, node) for kind in (Crash, Restart) for node in self.cluster.ids]
        for copy in at.in_flight:
            steps += [copy.delivery, Drop(*copy[1:4]), Duplicate(*copy[1:4])]
        steps += [*self.cluster.timers(at.here), *self.cluster.requests(at.here)]
        for step in steps:
            if text_of(step) == text:
                return step
        raise Impossible(f"{text!r} is not possible after step {at.depth}, '{at.text}'")

    def walk(self, steps: Sequence[str]) -> State:
        """The state that ``steps``, in words, lead to from the root. Raises ``ValueError`` naming what cannot be."""
        state = self.root
        for number, text in enumerate(steps):
            try:
                state, _ = self.grow(state, self.called(state, text))
            except ValueError as error:
                raise ValueError(f"steps[{number}]: {error}") from error
        return state

    def regrow(self, file: StepFile, where: str) -> State:
        """Make the states of a file again; the one where the reader stood. Raises ``ValueError`` naming the state."""
        states = [self.root]
        for number, (parent, text) in enumerate(file.states):
            try:
                state, _ = self.grow(states[parent], self.called(states[parent], text))
            except ValueError as error:
                raise ValueError(f"{where}: states[{number}]: {error}") from error
            states.append(state)
        return states[file.here]

    def prune(self, state: State) -> None:
        """Take ``state``, and all that follows it, out of the tree."""
        if state.parent is not None:
            state.parent.children.remove(state)
        doomed = [state]
        while doomed:
            one = doomed.pop()
            del self.states[one.number]
            doomed += one.children

    def ends(self) -> list[State]:
        """The last state of each branch, in order of making."""
        return [state for state in self if not state.children]

    def trace(self, state: State, end: float) -> Trace:
        """The branch from the root to ``state`` as a trace that lasts until ``end``, in which step k happens at time k;
        what is in flight at its end is left out."""
        ids = self.cluster.ids
        path = [PathStep(one.depth, one.traffic, one.here.world, faults_of(ids, one.step, one.here))
                for one in state.path()]  # fmt: skip
        return trace_of_steps(ids, path, 1.0, end, by_hand=True)

    def verdicts(self, state: State) -> list[tuple[str, bool, str]]:
        """Each invariant in ``state``: name, whether it holds, witness."""
        before = state.parent or state
        moved = () if state.parent is None else state.traffic.moved
        return self.cluster.verdicts(before.here.world, state.here.world, moved)


# --- as a file --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class StepFile:
    """What a Step lab exports.

    ``protocol`` is the node class, None for a cluster made by hand; ``here`` the number of the state where the reader
    stands. ``states`` are all states but the start, number 0: the number of the one before, and the step in words.
    """

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
    def of(cls, tree: Tree, here: State, node_class: type[Node] | None, servers: int, shown: int) -> StepFile:
        """The whole tree, and where the reader stands."""
        order = {state.number: place for place, state in enumerate(tree)}
        broken = None if here.broken is None else f"{here.broken.invariant}: {here.broken.witness}"
        states = tuple((order[state.parent.number], state.text) for state in tree if state.parent is not None)
        name = None if node_class is None else f"{node_class.__module__}.{node_class.__qualname__}"
        return cls("StepLab", name, servers, shown, order[here.number], broken, states)

    @classmethod
    def read(cls, path: Path) -> StepFile:
        """What is in a file. Raises ``ValueError`` naming the field that is wrong."""
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path.name} is not JSON: {error}") from error
        found: StepFile = from_data(cls, data, path.name)
        return found

    def text(self) -> str:
        """The file's text."""
        data = to_data(self)
        del data[TYPE]
        return json.dumps(data, indent=1, ensure_ascii=False) + "\n"

    def node_class(self, where: str) -> type[Node]:
        """The library's class of nodes that the file names. Raises ``ValueError`` for a class of the reader's own."""
        name = ":".join(str(self.protocol).rsplit(".", 1))
        found: type[Node] = library_class(name, Node, where, "give it, as in StepLab.load(path, MyRaft)")
        return found
