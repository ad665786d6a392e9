"""What must always hold in primary-backup replication.

A server takes part by its fields ``log`` and ``applied``: how much of its log it takes for safe and has applied, which
is what clients may be told of. The monitor takes part by ``alive``; clients are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distlib.core.invariant import Broken, Invariant
from distlib.core.node import Node, NodeId

Nodes = Mapping[NodeId, Node]
Requests = tuple[Any, ...]


def extended(longest: Requests, name: NodeId, server: Any) -> Requests:
    """The longest sequence that was applied, now that ``server`` has moved. Raises ``Broken`` for another sequence."""
    mine = server.log[: server.applied]
    shared = min(len(mine), len(longest))
    if mine[:shared] != longest[:shared]:
        at = next(at for at in range(shared) if mine[at] != longest[at])
        raise Broken(f"{name} has applied {mine[at].command} at {at + 1}, where {longest[at].command} was applied")
    return mine if len(mine) > len(longest) else longest


class OneHistory(Invariant):
    """All servers apply the same requests in the same order. The ghost: the longest sequence that was applied."""

    name = "one history"
    paper = "Budhiraja et al. 1993, Pb1: at most one server is the primary; two that serve make two histories"

    def after(self, ghost: Requests, nodes: Nodes, changed: NodeId) -> Requests:
        server: Any = nodes[changed]
        return extended(ghost, changed, server) if hasattr(server, "applied") and hasattr(server, "log") else ghost


class AnsweredSurvives(Invariant):
    """Whom the monitor has named primary holds all that was ever applied, and so every request that was answered.

    The ghost: the longest sequence that was applied.
    """

    name = "answered requests survive"
    paper = "Alsberg & Day 1976: a request is answered when it is resilient to the loss of any one host"

    def after(self, ghost: Requests, nodes: Nodes, changed: NodeId) -> Requests:
        members: Mapping[NodeId, Any] = nodes
        moved, longest = members[changed], ghost
        if hasattr(moved, "applied") and hasattr(moved, "log") and moved.applied > len(ghost):
            longest = moved.log[: moved.applied]
        for node in members.values():
            primary = members.get(node.current.primary) if hasattr(node, "alive") else None
            if primary is not None and primary.log[: len(longest)] != longest:
                held = sum(one == other for one, other in zip(primary.log, longest, strict=False))
                raise Broken(
                    f"{primary.id} is primary of view {node.current.number} with {held} of the {len(longest)} requests "
                    f"that were applied; {longest[held].command} is lost"
                )
        return longest


class AppliedOnce(Invariant):
    """No request of a client is applied twice, however often it is sent: its serial numbers increase.

    The ghost: how many requests have been looked at.
    """

    name = "applied once"
    paper = "Ongaro & Ousterhout 2014, §8: a serial number for each request, so that a repeated one is not applied anew"
    initial = 0

    def after(self, ghost: int, nodes: Nodes, changed: NodeId) -> int:
        server: Any = nodes[changed]
        if not hasattr(server, "applied") or not hasattr(server, "log"):
            return ghost
        for at in range(ghost, server.applied):
            request = server.log[at]
            own = (one.serial for one in reversed(server.log[:at]) if one.client == request.client)
            before = next(own, None)
            if request.serial is not None and before is not None and request.serial <= before:
                raise Broken(
                    f"{changed} applies request {request.serial} of {request.client}, {request.command}, at {at + 1}, "
                    f"after its request {before}"
                )
        return max(ghost, server.applied)


def primary_backup_invariants() -> tuple[Invariant, ...]:
    """All of them, new."""
    return (OneHistory(), AnsweredSurvives(), AppliedOnce())
