"""What must always hold in primary-backup replication.

A server takes part by its fields (``log``, ``applied``), the monitor by ``alive``; clients are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distlib.core.invariant import Broken, Invariant
from distlib.core.node import Node, NodeId

Nodes = Mapping[NodeId, Node]
Requests = tuple[Any, ...]


class OneHistory(Invariant):
    """All servers apply the same requests in the same order. The ghost: the longest sequence that was applied."""

    name = "one history"
    paper = "Budhiraja et al. 1993: at any time, there is at most one server that is the primary"

    def after(self, ghost: Requests, nodes: Nodes, changed: NodeId) -> Requests:
        server: Any = nodes[changed]
        if not hasattr(server, "applied") or not hasattr(server, "log"):
            return ghost
        mine = server.log[: server.applied]
        for index, (one, other) in enumerate(zip(mine, ghost, strict=False), 1):
            if one != other:
                raise Broken(f"{changed} has applied {one.command} at {index}, where {other.command} was applied")
        return mine if len(mine) > len(ghost) else ghost


class AnsweredSurvives(OneHistory):
    """Whom the monitor has named primary holds all that was ever applied, and so every request that was answered."""

    name = "answered requests survive"
    paper = "Alsberg & Day 1976: a request is answered when it is resilient to the loss of any one host"

    def after(self, ghost: Requests, nodes: Nodes, changed: NodeId) -> Requests:
        longest = super().after(ghost, nodes, changed)
        members: Mapping[NodeId, Any] = nodes
        for node in members.values():
            primary = members.get(node.current.primary) if hasattr(node, "alive") else None
            if primary is not None and primary.log[: len(longest)] != longest:
                held = sum(one == other for one, other in zip(primary.log, longest, strict=False))
                raise Broken(
                    f"{primary.id} is primary of view {node.current.number} with {held} of the {len(longest)} requests "
                    f"that were applied; {longest[held].command} is lost"
                )
        return longest


def primary_backup_invariants() -> tuple[Invariant, ...]:
    """All of them, new."""
    return (OneHistory(), AnsweredSurvives())
