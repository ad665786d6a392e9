"""What must always hold in primary-backup replication, and the base of what must hold among a service's servers."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, ClassVar

from distlib.core.invariant import Broken, Invariant
from distlib.core.node import Node, NodeId

Nodes = Mapping[NodeId, Node]
Requests = tuple[Any, ...]


class ServerInvariant(Invariant):
    """A property of servers, the nodes that have the field ``mark``; clients and other nodes are passed over."""

    mark: ClassVar[str]

    def after(self, ghost: Any, nodes: Nodes, changed: NodeId) -> Any:
        server = nodes[changed]
        return self.after_server(ghost, nodes, server) if hasattr(server, self.mark) else ghost

    def after_server(self, ghost: Any, nodes: Nodes, server: Any) -> Hashable:
        """The ghost after ``server`` moved; raises ``Broken``."""
        raise NotImplementedError


class OneHistory(ServerInvariant):
    """All servers apply the same requests in the same order. The ghost: the longest sequence that was applied."""

    name = "one history"
    paper = "Budhiraja et al. 1993: at any time, there is at most one server that is the primary"
    mark = "applied"

    def after_server(self, ghost: Requests, nodes: Nodes, server: Any) -> Requests:
        mine = server.log[: server.applied]
        for index, (one, other) in enumerate(zip(mine, ghost, strict=False), 1):
            if one != other:
                raise Broken(f"{server.id} has applied {one.command} at {index}, where {other.command} was applied")
        return mine if len(mine) > len(ghost) else ghost


class AnsweredSurvives(OneHistory):
    """Whom the monitor has named primary holds all that was ever applied, and so every request that was answered."""

    name = "answered requests survive"
    paper = "Alsberg & Day 1976: a request is answered when it is resilient to the loss of any one host"

    def after(self, ghost: Requests, nodes: Mapping[NodeId, Any], changed: NodeId) -> Requests:
        longest: Requests = super().after(ghost, nodes, changed)
        for node in nodes.values():
            primary = nodes.get(node.current.primary) if hasattr(node, "alive") else None  # it is the monitor
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
