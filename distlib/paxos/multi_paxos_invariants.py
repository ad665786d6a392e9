"""What must always hold in Multi-Paxos: agreement per slot, one log, each client's request at most once.

A server takes part by its fields alone (``accepted``, ``log``, ``learnt``, ``machine_state``, ``last_applied``).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

from distlib.core.invariant import Broken, Invariant
from distlib.core.node import Node, NodeId

Nodes = Mapping[NodeId, Node]


def _servers(nodes: Nodes) -> dict[NodeId, Any]:
    """The servers among the nodes: a cluster may hold clients too."""
    return {name: node for name, node in nodes.items() if hasattr(node, "accepted") and hasattr(node, "log")}


class Slots(NamedTuple):
    """The ghost of ``SlotAgreement``: acceptances (server, slot, ballot, request), and (slot, request, how) chosen."""

    votes: frozenset[tuple[NodeId, int, Any, Any]] = frozenset()
    chosen: tuple[tuple[int, Any, str], ...] = ()


class SlotAgreement(Invariant):
    """At most one value is ever chosen for a slot: by a quorum's acceptances at one ballot, or as a server believes."""

    name = "agreement per slot"
    paper = "Lamport 2001, §3: the i-th instance of Paxos chooses the i-th command"
    initial = Slots()

    def after(self, ghost: Slots, nodes: Nodes, changed: NodeId) -> Hashable:
        server = _servers(nodes).get(changed)
        if server is None:
            return ghost
        chosen = {slot: (request, how) for slot, request, how in ghost.chosen}
        known = len(chosen)
        votes = {(changed, slot, *proposal) for slot, proposal in server.accepted.items()} - ghost.votes
        for _, slot, ballot, request in sorted(votes, key=lambda vote: vote[1]):
            same = [one[0] for one in (*ghost.votes, *votes) if one[1:] == (slot, ballot, request)]
            if len(same) >= server.phase2_quorum:
                how = f"{', '.join(sorted(same))} accepted it at ballot {ballot}"
                _decide(chosen, slot, request, how)
        for slot, request in (*enumerate(server.log, 1), *server.learnt.items()):
            _decide(chosen, slot, request, f"{changed} believes so")
        if not votes and len(chosen) == known:
            return ghost
        return Slots(ghost.votes | votes, tuple((slot, *chosen[slot]) for slot in sorted(chosen)))


def _decide(chosen: dict[int, tuple[Any, str]], slot: int, request: Any, how: str) -> None:
    known = chosen.setdefault(slot, (request, how))
    if known[0] != request:
        raise Broken(
            f"slot {slot} has two chosen values: {known[0].command} ({known[1]}) and {request.command} ({how})"
        )


class PrefixConsistency(Invariant):
    """Of any two servers' applied commands, one sequence is a prefix of the other."""

    name = "prefix consistency"
    paper = "Lamport 2001, §3: all servers execute the same sequence of commands"

    def after(self, ghost: tuple[Any, ...], nodes: Nodes, changed: NodeId) -> Hashable:
        server = _servers(nodes).get(changed)
        if server is None:
            return ghost
        applied = server.log[: server.last_applied]
        common = min(len(applied), len(ghost))
        if applied[:common] != ghost[:common]:
            slot = next(number for number in range(common) if applied[number] != ghost[number])
            raise Broken(
                f"{changed} applied {applied[slot].command} as command {slot + 1}, another server {ghost[slot].command}"
            )
        return applied if len(applied) > len(ghost) else ghost


class AtMostOnce(Invariant):
    """The state machine is what comes of each client's requests applied once, in the order of the log."""

    name = "at most once"
    paper = "Schneider 1990, §3.3; Ongaro & Ousterhout 2014, §8: a repeated request is not applied again"

    def after(self, ghost: tuple[()], nodes: Nodes, changed: NodeId) -> Hashable:
        server = _servers(nodes).get(changed)
        if server is None or server.machine_state is None:
            return ghost
        state, seen = server.machine.initial(), set()
        for request in server.log[: server.last_applied]:
            name = (request.client, request.serial)
            repeated = None not in name and name in seen
            if not repeated and type(request.command).__name__ != "NoOp":
                state, _ = server.machine.apply(state, request.command)
            seen.add(name)
        if state != server.machine_state:
            raise Broken(
                f"{changed} has the state {server.machine_state!r}; its log, each request once, gives {state!r}"
            )
        return ghost


def multi_paxos_invariants() -> tuple[Invariant, ...]:
    """All of Multi-Paxos's invariants."""
    return SlotAgreement(), PrefixConsistency(), AtMostOnce()
