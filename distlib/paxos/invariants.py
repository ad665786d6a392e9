"""What must always hold in Paxos: live in the simulator, in each state of the explorer.

Single-decree Paxos: ``Agreement``, ``Validity``, ``StableDecision``, ``MonotonicPromise``. A node takes part by its
fields alone (``accepted_ballot``, ``accepted_value``, ``promised``, ``chosen``, ``wanted``, ``phase2_quorum``), so that
a reader's own class, or a broken one, is judged in the same way.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

from distlib.core.invariant import Broken, Invariant
from distlib.core.node import Node, NodeId

Nodes = Mapping[NodeId, Node]


class AcceptorVote(NamedTuple):
    """Once, ``acceptor`` accepted ``value`` at ``ballot``."""

    acceptor: NodeId
    ballot: Any
    value: Any


class Decided(NamedTuple):
    """The ghost of ``Agreement``: every acceptance there has been, and the value that was chosen first, with why."""

    votes: frozenset[AcceptorVote] = frozenset()
    value: Any = None
    how: str = ""


class Agreement(Invariant):
    """At most one value is ever chosen.

    A value counts as chosen as soon as a quorum of phase 2 has accepted it at one ballot, even if nobody
    noticed, and when a learner believes so.
    """

    name = "agreement"
    paper = "Lamport 2001, §2.1: only a single value is chosen (P2)"
    initial = Decided()

    def after(self, ghost: Decided, nodes: Nodes, changed: NodeId) -> Hashable:
        node: Any = nodes[changed]
        vote = AcceptorVote(changed, node.accepted_ballot, node.accepted_value)
        if vote.value is not None and vote not in ghost.votes:
            ghost = ghost._replace(votes=ghost.votes | {vote})
            voters = sorted(one.acceptor for one in ghost.votes if one[1:] == vote[1:])
            if len(voters) >= node.phase2_quorum:
                ghost = self.decide(
                    ghost, vote.value, f"{', '.join(voters)} accepted {vote.value!r} at ballot {vote.ballot}"
                )
        if node.chosen is not None:
            ghost = self.decide(ghost, node.chosen, f"{changed} learnt {node.chosen!r}")
        return ghost

    def decide(self, ghost: Decided, value: Any, how: str) -> Decided:
        """Note that ``value`` is chosen; raises ``Broken`` if another one is already."""
        if ghost.value is None:
            return ghost._replace(value=value, how=how)
        if ghost.value != value:
            raise Broken(f"two values are chosen: {ghost.how}, and {how}")
        return ghost


class Validity(Invariant):
    """Only a value that has been proposed may be chosen (or accepted at all)."""

    name = "validity"
    paper = "Lamport 2001, §2.1: only a value that has been proposed may be chosen"

    def before(self, nodes: Nodes) -> Hashable:
        return frozenset(value for node in nodes.values() if (value := _setting(node)) is not None)

    def after(self, ghost: frozenset[Any], nodes: Nodes, changed: NodeId) -> Hashable:
        node: Any = nodes[changed]
        if node.wanted is not None and node.wanted not in ghost:
            ghost |= {node.wanted}
        for what, value in (("accepted", node.accepted_value), ("learnt", node.chosen)):
            if value is not None and value not in ghost:
                raise Broken(
                    f"{changed} has {what} {value!r}, which nobody proposed; proposed were {sorted(ghost, key=repr)}"
                )
        return ghost


def _setting(node: Any) -> Any:
    return getattr(node, "value", None)


class StableDecision(Invariant):
    """A learner that has learnt a value never learns another one, nor forgets it while it is up."""

    name = "stable decision"
    paper = "Lamport 2001, §2.1: a process never learns that a value has been chosen unless it actually has been"

    def after(self, ghost: tuple[tuple[NodeId, Any], ...], nodes: Nodes, changed: NodeId) -> Hashable:
        chosen = nodes[changed].chosen  # type: ignore[attr-defined]
        for learner, known in ghost:
            if learner == changed:
                if chosen not in (None, known):
                    raise Broken(f"{changed} had learnt {known!r} and now says {chosen!r}")
                return ghost
        return ghost if chosen is None else tuple(sorted((*ghost, (changed, chosen)), key=lambda one: one[0]))


class MonotonicPromise(Invariant):
    """An acceptor's promise never falls, not even in a crash, and it never accepts above what it has promised."""

    name = "monotonic promise"
    paper = "Lamport 2001, §2.2 and §2.5: an acceptor remembers its highest prepare request, even if it fails"

    def before(self, nodes: Nodes) -> Hashable:
        return tuple((name, node.promised) for name, node in nodes.items())  # type: ignore[attr-defined]

    def after(self, ghost: tuple[tuple[NodeId, Any], ...], nodes: Nodes, changed: NodeId) -> Hashable:
        node: Any = nodes[changed]
        last = dict(ghost)[changed]
        if node.promised < last:
            raise Broken(f"{changed} had promised {last} and now only {node.promised}")
        if node.accepted_ballot > node.promised:
            raise Broken(f"{changed} accepted at {node.accepted_ballot} but has promised only {node.promised}")
        if node.promised == last:
            return ghost
        return tuple((name, node.promised if name == changed else known) for name, known in ghost)


def paxos_invariants() -> tuple[Invariant, ...]:
    """All of single-decree Paxos's invariants."""
    return Agreement(), Validity(), StableDecision(), MonotonicPromise()
