"""What must always hold in primary-backup replication, and the base of what must hold among a service's servers.

``applied`` is how much of its log a server takes for safe and has applied: what clients may be told of.
"""

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
    paper = "Budhiraja et al. 1993, Pb1: at most one server is the primary; two that serve make two histories"
    mark = "applied"
    count = "applied"
    """The field that says how much of its ``log`` a server has applied."""

    def after_server(self, ghost: Requests, nodes: Nodes, server: Any) -> Requests:
        mine = server.log[: getattr(server, self.count)]
        shared = min(len(mine), len(ghost))
        if mine[:shared] != ghost[:shared]:
            at = next(at for at in range(shared) if mine[at] != ghost[at])
            raise Broken(
                f"{server.id} has applied {mine[at].command} at {at + 1}, where {ghost[at].command} was applied"
            )
        return mine if len(mine) > len(ghost) else ghost


class AnsweredSurvives(Invariant):
    """Whom the monitor has named primary holds all that was ever applied, and so every request that was answered.

    The ghost: the longest sequence that was applied.
    """

    name = "answered requests survive"
    paper = "Alsberg & Day 1976: a request is answered when it is resilient to the loss of any one host"

    def after(self, ghost: Requests, nodes: Mapping[NodeId, Any], changed: NodeId) -> Requests:
        moved, longest = nodes[changed], ghost
        if hasattr(moved, "applied") and moved.applied > len(ghost):
            longest = moved.log[: moved.applied]
        for node in nodes.values():
            primary = nodes.get(node.current.primary) if hasattr(node, "alive") else None  # it is the monitor
            if primary is not None and primary.log[: len(longest)] != longest:
                held = sum(one == other for one, other in zip(primary.log, longest, strict=False))
                raise Broken(
                    f"{primary.id} is primary of view {node.current.number} with {held} of the {len(longest)} requests "
                    f"that were applied; {longest[held].command} is lost"
                )
        return longest


class AppliedOnce(ServerInvariant):
    """No request of a client is applied twice, however often it is sent: its serial numbers increase.

    The ghost: how many requests have been looked at.
    """

    name = "applied once"
    paper = "Ongaro & Ousterhout 2014, §8: a serial number for each request, so that a repeated one is not applied anew"
    mark = "applied"
    initial = 0

    def after_server(self, ghost: int, nodes: Nodes, server: Any) -> int:
        for at in range(ghost, server.applied):
            request = server.log[at]
            own = (one.serial for one in reversed(server.log[:at]) if one.client == request.client)
            before = next(own, None)
            if request.serial is not None and before is not None and request.serial <= before:
                which = f"request {request.serial} of {request.client}, {request.command}"
                raise Broken(f"{server.id} applies {which}, at {at + 1}, after its request {before}")
        return max(ghost, server.applied)


def primary_backup_invariants() -> tuple[Invariant, ...]:
    """All of them, new."""
    return (OneHistory(), AnsweredSurvives(), AppliedOnce())
