"""Liveness of leader election, as invariants of runs *in which nothing fails*: what a healthy cluster never does.

Liveness itself can't be broken in finite time; these two can, and they hold for Raft with random timeouts
that are long against the network's latency (Ongaro & Ousterhout 2014, §5.2, §5.6). With faults, or with
other timing, they mean nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from distlib.core.invariant import Broken
from distlib.core.node import Node, NodeId

Nodes = Mapping[NodeId, Node]
Led = frozenset[tuple[int, NodeId]]


def _note_leader(ghost: Led, node: Any, changed: NodeId) -> Led:
    role = getattr(node, "role", None)
    if role is not None and role.value == "leader" and (node.current_term, changed) not in ghost:
        return ghost | {(node.current_term, changed)}
    return ghost


class StableLeadership:
    """Once a leader has been elected, nobody begins a later term."""

    name = "stable leadership"
    paper = "Ongaro & Ousterhout 2014, §5.2: heartbeats maintain the leader's authority"

    def before(self, nodes: Nodes) -> Hashable:
        """Nobody has led."""
        return frozenset()

    def after(self, ghost: Led, nodes: Nodes, changed: NodeId) -> Hashable:
        """Compares the term of ``changed`` with those that had a leader."""
        node: Any = nodes[changed]
        known = min(ghost, default=None)
        if known is not None and getattr(node, "current_term", 0) > known[0]:
            raise Broken(
                f"{changed} began term {node.current_term}, though {known[1]} leads term {known[0]} "
                "and nothing has failed"
            )
        return _note_leader(ghost, node, changed)


class NoLostTerms:
    """No more than ``allowed`` terms in a row go by without a leader."""

    name = "no lost terms"
    paper = "Ongaro & Ousterhout 2014, §5.2: randomised timeouts make split votes rare, and resolve them quickly"

    def __init__(self, allowed: int = 5) -> None:
        self.allowed = allowed

    def before(self, nodes: Nodes) -> Hashable:
        """Nobody has led."""
        return frozenset()

    def after(self, ghost: Led, nodes: Nodes, changed: NodeId) -> Hashable:
        """Counts the terms since the last one that had a leader."""
        node: Any = nodes[changed]
        last = max((term for term, _ in ghost), default=0)
        lost = getattr(node, "current_term", 0) - last - 1
        if lost > self.allowed:
            raise Broken(f"{changed} begins term {node.current_term}; the {lost} terms before it had no leader")
        return _note_leader(ghost, node, changed)
