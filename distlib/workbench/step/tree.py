"""The tree of states that a reader of the Step lab makes: going back and choosing differently makes a branch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from distlib.check.cluster.handling import Handled
from distlib.check.cluster.world import OUTSIDE, Deliver, Drop, Duplicate, Request
from distlib.core.node import NodeId
from distlib.core.trace import DELIVERED, LOST
from distlib.figures.branches import InFlight, TreeNode
from distlib.workbench.step.cluster import ClusterState, Step, StepCluster, text_of


class Copy(NamedTuple):
    """One copy of a message on a branch; its number is unique there. ``sent_at`` is the step that sent it."""

    number: int
    sender: NodeId
    receiver: NodeId
    message: Any
    sent_at: int
    duplicate: bool = False

    @property
    def delivery(self) -> Deliver:
        """Its delivery as a step."""
        return Deliver(self.sender, self.receiver, self.message)


@dataclass(eq=False)
class State:
    """A state in the tree, and the step that led there from its ``parent`` (None at the root).

    ``flying`` are the copies in flight, in order of sending; ``begun`` those that this step sent; ``ended`` the number
    of the copy that ended in it, and its fate; ``outputs`` what nodes told the world.
    """

    number: int
    parent: State | None
    step: Step | None
    moment: ClusterState
    depth: int = 0
    copies: int = 0
    flying: tuple[Copy, ...] = ()
    begun: tuple[Copy, ...] = ()
    ended: tuple[int, str] | None = None
    outputs: tuple[tuple[NodeId, Any], ...] = ()
    children: list[State] = field(default_factory=list, repr=False)

    def __repr__(self) -> str:
        return f"State {self.number}: step {self.depth}, {self.text}"

    @property
    def text(self) -> str:
        """The step that led here, in words."""
        return "start" if self.step is None else text_of(self.step)

    @property
    def broken(self) -> Any:
        """The violation that this state shows, None if none."""
        return self.moment.world.broken

    def stubs(self) -> list[InFlight]:
        """What is in flight, for the diagram."""
        return [
            InFlight(one.sender, one.receiver, one.sent_at, text_of(one.delivery),
                 bool(self.moment.holds_up(one.sender, one.receiver)))
            for one in self.flying
        ]  # fmt: skip

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
        started = cluster.started()
        letters = [(name, to, message) for name, did in started.items() for to, message in did.sends]
        copies = tuple(Copy(number, *letter, 0) for number, letter in enumerate(letters, 1))
        told = tuple((name, event) for name, did in started.items() for event in did.outputs)
        self.root = State(
            0, None, None, ClusterState(cluster.first), copies=len(copies), flying=copies, begun=copies, outputs=told
        )
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
            if child.step == step and (copy is None or child.ended is None or child.ended[0] == copy.number):
                return child, False
        moment, handled = self.cluster.take(at.moment, step)
        state = State(self._next, at, step, moment, at.depth + 1, at.copies, at.flying)
        self._account(state, step, handled, copy)
        at.children.append(state)
        self.states[state.number] = state
        self._next += 1
        return state, True

    def _account(self, state: State, step: Step, handled: Handled | None, copy: Copy | None) -> None:
        """Note which copies of messages begin and end with ``step``."""
        now = state.depth
        if isinstance(step, Deliver | Drop | Duplicate):
            meant = copy or next(one for one in state.flying if one[1:4] == (step.sender, step.receiver, step.message))
            if isinstance(step, Duplicate):
                self._send(state, meant.sender, meant.receiver, meant.message, True)
            else:
                state.ended = (meant.number, DELIVERED if isinstance(step, Deliver) else LOST)
                state.flying = tuple(one for one in state.flying if one.number != meant.number)
        elif isinstance(step, Request):
            client = getattr(step.message, "client", None) or OUTSIDE
            state.copies += 1
            state.begun += (Copy(state.copies, client, step.node, step.message, now),)
            state.ended = (state.copies, DELIVERED)
        if handled is not None:
            name = step.receiver if isinstance(step, Deliver) else getattr(step, "node", "")
            for to, message in handled.sends:
                self._send(state, name, to, message, False)
            state.outputs = tuple((name, event) for event in handled.outputs)

    @staticmethod
    def _send(state: State, sender: NodeId, receiver: NodeId, message: Any, again: bool) -> None:
        state.copies += 1
        copy = Copy(state.copies, sender, receiver, message, state.depth, again)
        state.begun += (copy,)
        state.flying += (copy,)

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


def tree_nodes_of(tree: Tree) -> list[TreeNode]:
    """The tree as the diagram draws it, parents before children."""
    return [
        TreeNode(one.number, None if one.parent is None else one.parent.number, one.depth, one.text, bool(one.broken))
        for one in tree
    ]
