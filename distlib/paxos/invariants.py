"""What must always hold in Paxos and in Multi-Paxos: live in the simulator, in each state of the explorer.

A node takes part by its fields alone (``accepted_ballot``, ``promised``, ``chosen``, …; a server of Multi-Paxos by
``accepted``, ``log``, ``learnt``, …), so that a reader's own class, or a broken one, is judged in the same way.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

from distlib.core.freeze import ByName
from distlib.core.invariant import Broken, Invariant
from distlib.core.node import Node, NodeId
from distlib.paxos.message import Report
from distlib.replication.invariants import OneHistory, ServerInvariant
from distlib.replication.message import NoOp

Nodes = Mapping[NodeId, Node]


class Decided(NamedTuple):
    """The ghost of ``Agreement``: every acceptance there has been, and the value that was chosen first, with why."""

    votes: frozenset[Report] = frozenset()
    value: Any = None
    how: str = ""


class Agreement(Invariant):
    """At most one value is ever chosen: by a quorum of phase 2 that has accepted it at one ballot, even if nobody
    noticed, or as a learner believes."""

    name = "agreement"
    paper = "Lamport 2001, §2.1: only a single value is chosen (P2)"
    initial = Decided()

    def after(self, ghost: Decided, nodes: Nodes, changed: NodeId) -> Hashable:
        node: Any = nodes[changed]
        vote = Report(changed, node.accepted_ballot, node.accepted_value)
        if vote.value is not None and vote not in ghost.votes:
            ghost = ghost._replace(votes=ghost.votes | {vote})
            voters = sorted(one.acceptor for one in ghost.votes if one[1:] == vote[1:])
            if len(voters) >= node.phase2_quorum:
                how = f"{', '.join(voters)} accepted {vote.value!r} at ballot {vote.ballot}"
                ghost = self.decide(ghost, vote.value, how)
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


class LearnersAgree(Invariant):
    """No two nodes that believe to know the outcome believe in different values, whatever acceptors have accepted."""

    name = "learners agree"
    paper = "Lamport 2001, §2.1: only a single value is chosen, and no process learns another"
    initial: Hashable = None

    def after(self, ghost: Any, nodes: Nodes, changed: NodeId) -> Hashable:
        chosen = nodes[changed].chosen  # type: ignore[attr-defined]
        if ghost is None or chosen is None:
            return ghost if chosen is None else (changed, chosen)
        if chosen != ghost[1]:
            raise Broken(f"{ghost[0]} decided on {ghost[1]!r}, and {changed} on {chosen!r}")
        return ghost


class Validity(Invariant):
    """Only a value that has been proposed may be chosen (or accepted at all)."""

    name = "validity"
    paper = "Lamport 2001, §2.1: only a value that has been proposed may be chosen"

    def before(self, nodes: Nodes) -> Hashable:
        return frozenset(getattr(node, "value", None) for node in nodes.values()) - {None}

    def after(self, ghost: frozenset[Any], nodes: Nodes, changed: NodeId) -> Hashable:
        node: Any = nodes[changed]
        if node.wanted is not None and node.wanted not in ghost:
            ghost |= {node.wanted}
        for what, value in (("accepted", node.accepted_value), ("learnt", node.chosen)):
            if value is not None and value not in ghost:
                proposed = sorted(ghost, key=repr)
                raise Broken(f"{changed} has {what} {value!r}, which nobody proposed; proposed were {proposed}")
        return ghost


class StableDecision(Invariant):
    """A learner that has learnt a value never learns another one, nor forgets it while it is up."""

    name = "stable decision"
    paper = "Lamport 2001, §2.1: a process never learns that a value has been chosen unless it actually has been"

    def after(self, ghost: tuple[tuple[NodeId, Any], ...], nodes: Nodes, changed: NodeId) -> Hashable:
        chosen = nodes[changed].chosen  # type: ignore[attr-defined]
        known = dict(ghost).get(changed)
        if known is None:
            return ghost if chosen is None else tuple(sorted((*ghost, (changed, chosen))))
        if chosen not in (None, known):
            raise Broken(f"{changed} had learnt {known!r} and now says {chosen!r}")
        return ghost


class MonotonicPromise(Invariant):
    """What an acceptor is held to never falls, not even in a crash: the higher of its promise and what it accepted.

    Who never promised what it accepts may keep both in mind, instead of raising the promise.
    """

    name = "monotonic promise"
    paper = "Lamport 2001, §2.2 and §2.5: an acceptor remembers its highest prepare request, even if it fails"

    def before(self, nodes: Nodes) -> Hashable:
        return tuple((name, held_to(node)) for name, node in nodes.items())

    def after(self, ghost: tuple[tuple[NodeId, Any], ...], nodes: Nodes, changed: NodeId) -> Hashable:
        last, now = dict(ghost)[changed], held_to(nodes[changed])
        if now < last:
            raise Broken(f"{changed} was held to ballot {last}, by promise or acceptance, and now only to {now}")
        return ghost if now == last else tuple((name, now if name == changed else known) for name, known in ghost)


def held_to(node: Any) -> Any:
    """The ballot below which an acceptor must not accept any more."""
    return max(node.promised, node.accepted_ballot)


def paxos_invariants() -> tuple[Invariant, ...]:
    """All of single-decree Paxos's invariants."""
    return Agreement(), Validity(), StableDecision(), MonotonicPromise()


# --- Multi-Paxos ----------------------------------------------------------------------------------------


class Slots(NamedTuple):
    """The ghost of ``SlotAgreement``: acceptances (server, slot, ballot, request), (slot, request, how) chosen, and the
    servers' logs as last looked at."""

    votes: frozenset[tuple[NodeId, int, Any, Any]] = frozenset()
    chosen: tuple[tuple[int, Any, str], ...] = ()
    logs: ByName = ByName()


class SlotAgreement(ServerInvariant):
    """At most one value is ever chosen for a slot: by a quorum's acceptances at one ballot, or as a server believes."""

    name = "agreement per slot"
    paper = "Lamport 2001, §3: the i-th instance of Paxos chooses the i-th command"
    mark = "learnt"
    initial = Slots()

    def after_server(self, ghost: Slots, nodes: Nodes, server: Any) -> Hashable:
        log, votes, seen = server.log, self._new_votes(ghost, server), len(_known(ghost.logs, server))
        if not votes and not server.learnt and seen == len(log):
            return ghost
        chosen = {slot: (request, how) for slot, request, how in ghost.chosen}
        known = len(chosen)
        for _, slot, ballot, request in sorted(votes, key=lambda vote: vote[1]):
            same = [one[0] for one in (*ghost.votes, *votes) if one[1:] == (slot, ballot, request)]
            if len(same) >= server.phase2_quorum:
                _decide(chosen, slot, request, f"{', '.join(sorted(same))} accepted it at ballot {ballot}")
        for slot, request in (*enumerate(log[seen:], seen + 1), *server.learnt.items()):
            _decide(chosen, slot, request, f"{server.id} believes so")
        if not votes and len(chosen) == known and seen == len(log):
            return ghost
        ordered = tuple((slot, *chosen[slot]) for slot in sorted(chosen))
        return Slots(ghost.votes | votes, ordered, _with(ghost.logs, server, log))

    def _new_votes(self, ghost: Slots, server: Any) -> set[tuple[NodeId, int, Any, Any]]:
        return {(server.id, slot, *proposal) for slot, proposal in server.accepted.items()} - ghost.votes


def _known(logs: ByName, server: Any) -> Any:
    """What of the log of ``server`` was looked at before, and still stands there."""
    log = dict(logs).get(server.id, ())
    return log if server.log[: len(log)] == log else ()


def _with(pairs: ByName, server: Any, value: Any) -> ByName:
    return ByName(sorted({**dict(pairs), server.id: value}.items(), key=lambda pair: pair[0]))


def _decide(chosen: dict[int, tuple[Any, str]], slot: int, request: Any, how: str) -> None:
    known, why = chosen.setdefault(slot, (request, how))
    if known is not request and known != request:
        raise Broken(f"slot {slot} has two chosen values: {known.command} ({why}) and {request.command} ({how})")


class PrefixConsistency(OneHistory):
    """Of any two servers' applied commands, one sequence is a prefix of the other."""

    name = "prefix consistency"
    paper = "Lamport 2001, §3: all servers execute the same sequence of commands"
    mark, count = "learnt", "last_applied"


class AtMostOnce(ServerInvariant):
    """The state machine is what comes of the log, each client's requests applied once, in the order of their numbers.

    The ghost: by server, the requests that it had applied at the last look, the state that comes of them, and the
    clients' last numbers among them.
    """

    name = "at most once"
    paper = "Schneider 1990, §3.3; Ongaro & Ousterhout 2014, §8: a repeated request is not applied again"
    mark = "learnt"
    initial: Hashable = ByName()

    def after_server(self, ghost: ByName, nodes: Nodes, server: Any) -> Hashable:
        if server.machine_state is None:
            return ghost
        applied = server.log[: server.last_applied]
        before, state, numbers = dict(ghost).get(server.id, ((), None, ()))
        if not before or applied[: len(before)] != before:
            before, state, numbers = (), server.machine.initial(), ()
        last = dict(numbers)
        for request in applied[len(before) :]:
            state = self._applied(server.machine, state, last, request)
        if state != server.machine_state:
            has = f"{server.id} has the state {server.machine_state!r}"
            raise Broken(f"{has}; its log, each request once, gives {state!r}")
        if len(before) == len(applied):
            return ghost
        return _with(ghost, server, (applied, state, tuple(last.items())))

    @staticmethod
    def _applied(machine: Any, state: Any, last: dict[NodeId, int], request: Any) -> Any:
        """The state after ``request``; ``last``, the clients' numbers, is brought up to date."""
        if request.client is not None and request.serial is not None:
            if request.serial <= last.get(request.client, 0):
                return state  # repeated, or given up by its client before a later one
            last[request.client] = request.serial
        return state if isinstance(request.command, NoOp) else machine.apply(state, request.command)[0]


def multi_paxos_invariants() -> tuple[Invariant, ...]:
    """All of Multi-Paxos's invariants."""
    return SlotAgreement(), PrefixConsistency(), AtMostOnce()
