"""Raft's safety properties (Ongaro & Ousterhout 2014, figure 3), checked live after every event.

Each property looks only at the server that just moved, and remembers in its ghost what it must: who led, what was
committed. A server takes part by its fields alone (``current_term``, ``role``, ``log``, ``commit_index``). What a
snapshot covers counts as held: the paper discards only committed entries.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

from distlib.core.freeze import ByName
from distlib.core.invariant import Broken, Invariant
from distlib.core.node import Node, NodeId
from distlib.replication.invariants import ServerInvariant
from distlib.replication.message import NoOp

Nodes = Mapping[NodeId, Node]
Led = frozenset[tuple[int, NodeId]]
"""A ghost: who has led which term."""


class RaftInvariant(ServerInvariant):
    """A property of Raft's servers."""

    mark = "current_term"


def servers_in(nodes: Nodes) -> dict[NodeId, Any]:
    """The nodes that take part in Raft."""
    return {name: node for name, node in nodes.items() if hasattr(node, RaftInvariant.mark)}


def is_leader(node: Any) -> bool:
    """Whether ``node`` leads the term it is in."""
    return bool(node.role.value == "leader")


def holds(log: Any, index: int, entry: Any) -> bool:
    """Whether ``log`` holds ``entry`` at ``index``, or discarded it as committed."""
    if index <= log.base_index:
        return True
    return bool(index <= log.last_index and log.entry(index) == entry)


def shown(log: Any, index: int) -> str:
    """What ``log`` has at ``index``, for a witness."""
    return f"entry {log.entry(index)}" if log.base_index < index <= log.last_index else "no entry"


def _with(pairs: tuple[tuple[NodeId, Any], ...], node: NodeId, value: Any) -> ByName:
    """A small immutable mapping with ``node``'s value replaced (None: removed), in order of the names."""
    kept = [pair for pair in pairs if pair[0] != node]
    return ByName(sorted(kept if value is None else [*kept, (node, value)], key=lambda pair: pair[0]))


def _note_leader(ghost: Led, server: Any) -> Led:
    led = (server.current_term, server.id)
    return ghost | {led} if is_leader(server) and led not in ghost else ghost


class ElectionSafety(RaftInvariant):
    """At most one leader can be elected in a given term."""

    name = "Election Safety"
    paper = "Raft, figure 3 and §5.2"
    initial: Hashable = frozenset()

    def after_server(self, ghost: Led, nodes: Nodes, server: Any) -> Hashable:
        rivals = sorted(other for term, other in ghost if term == server.current_term and other != server.id)
        if rivals and is_leader(server):
            raise Broken(f"{server.id} leads term {server.current_term}, which {rivals[0]} has led already")
        return _note_leader(ghost, server)


class LeaderAppendOnly(RaftInvariant):
    """A leader never overwrites or deletes entries in its log, it only appends. The ghost: leaders' terms and logs."""

    name = "Leader Append-Only"
    paper = "Raft, figure 3 and §5.3"

    def after_server(self, ghost: Any, nodes: Nodes, server: Any) -> Hashable:
        known = dict(ghost).get(server.id)
        if not is_leader(server):
            return ghost if known is None else _with(ghost, server.id, None)
        if known is not None and known[0] == server.current_term:
            if known[1] is server.log:
                return ghost
            self._compare(server, known[1])
        return _with(ghost, server.id, (server.current_term, server.log))

    def _compare(self, server: Any, old: Any) -> None:
        log = server.log
        first = max(log.base_index, old.base_index) + 1
        kept = old.slice(first)
        if log.slice(first, len(kept)) == kept:
            return
        for index, entry in enumerate(kept, first):
            if not holds(log, index, entry):
                raise Broken(
                    f"{server.id}, leader of term {server.current_term}, had entry {entry} at index {index} "
                    f"and now has {shown(log, index)} there"
                )


class LogMatching(RaftInvariant):
    """Logs with an entry of the same index and term are identical up to there. The ghost: the logs as last compared."""

    name = "Log Matching"
    paper = "Raft, figure 3 and §5.3"

    def after_server(self, ghost: Any, nodes: Nodes, server: Any) -> Hashable:
        if dict(ghost).get(server.id) is server.log:
            return ghost
        for name, other in servers_in(nodes).items():
            if name != server.id:
                self._compare(server.id, server.log, name, other.log)
        return _with(ghost, server.id, server.log)

    def _compare(self, one: NodeId, log: Any, other: NodeId, theirs: Any) -> None:
        first = max(log.base_index, theirs.base_index) + 1
        last = min(log.last_index, theirs.last_index)
        while last >= first and log.term_at(last) != theirs.term_at(last):
            last -= 1
        count = last - first + 1
        if count <= 0 or log.slice(first, count) == theirs.slice(first, count):
            return
        for index in range(first, last + 1):
            if log.entry(index) != theirs.entry(index):
                raise Broken(
                    f"the logs of {one} and {other} both have term {log.term_at(last)} at index {last}, but at index "
                    f"{index} {one} has {shown(log, index)} and {other} has {shown(theirs, index)}"
                )


class LeaderCompleteness(RaftInvariant):
    """An entry committed in a term is in the log of every leader of a *greater* term.

    The ghost: the committed entries by index, each with the term in which it was committed, and the leaders checked.
    A leader of the same or a lower term may lack an entry: it was deposed and doesn't know it yet.
    """

    name = "Leader Completeness"
    paper = "Raft, figure 3 and §5.4"
    initial: Hashable = ((), frozenset())

    def after_server(self, ghost: Any, nodes: Nodes, server: Any) -> Hashable:
        committed, led = ghost
        if server.commit_index > len(committed):
            known = len(committed)
            committed = (*committed, *[(entry, server.current_term) for entry in _beyond(known, server)])
            for other in servers_in(nodes).values():
                if is_leader(other):
                    self._check(other, committed, known)
        noted = _note_leader(led, server)
        if noted is not led:
            self._check(server, committed, 0)
        return ghost if committed is ghost[0] and noted is led else (committed, noted)

    def _check(self, leader: Any, committed: tuple[Any, ...], known: int) -> None:
        for index in range(max(known, leader.log.base_index) + 1, len(committed) + 1):
            entry, term = committed[index - 1]
            if entry is not None and leader.current_term > term and not holds(leader.log, index, entry):
                raise Broken(
                    f"entry {entry} at index {index} was committed in term {term}, but {leader.id}, leader of term "
                    f"{leader.current_term}, has {shown(leader.log, index)} there"
                )


def _beyond(known: int, server: Any) -> list[Any]:
    """The entries after index ``known`` that ``server`` knows to be committed; None for one that its log lacks."""
    log, indices = server.log, range(known + 1, server.commit_index + 1)
    return [log.entry(index) if log.base_index < index <= log.last_index else None for index in indices]


class StateMachineSafety(RaftInvariant):
    """No two servers apply different entries at one index. The ghost: the entries applied, and how far each is."""

    name = "State Machine Safety"
    paper = "Raft, figure 3 and §5.4.3"
    initial = ((), ())

    def after_server(self, ghost: Any, nodes: Nodes, server: Any) -> Hashable:
        applied, progress = ghost
        known = dict(progress).get(server.id, 0)
        if known == server.last_applied:
            return ghost
        for index in range(max(known, server.log.base_index) + 1, server.last_applied + 1):
            applied = self._record(applied, index, server)
        return (applied, _with(progress, server.id, server.last_applied))

    def _record(self, applied: tuple[Any, ...], index: int, server: Any) -> tuple[Any, ...]:
        log = server.log
        entry = log.entry(index) if index <= log.last_index else None
        if index > len(applied):
            return (*applied, *(None,) * (index - len(applied) - 1), entry)
        before = applied[index - 1]
        if before is not None and before != entry:
            raise Broken(
                f"{server.id} applied {shown(log, index)} at index {index}, where entry {before} was applied before"
            )
        return applied


class CommittedSurvives(RaftInvariant):
    """What was committed stays on a majority of the servers that committed it: the first check to fire on many bugs.

    The ghost: the committed entries with the servers whose majority counted, and the logs as last seen.
    """

    name = "Committed Entries Survive"
    paper = "Raft, §5.3 and §5.4"
    initial = ((), ())

    def after_server(self, ghost: Any, nodes: Nodes, server: Any) -> Hashable:
        committed, logs = ghost
        old = dict(logs).get(server.id)
        if old is not server.log:
            if old is not None:
                self._check_lost(committed, old, server.log, nodes)
            logs = _with(logs, server.id, server.log)
        if server.commit_index > len(committed):
            voters = server.servers() if hasattr(server, "servers") else tuple(servers_in(nodes))
            new = [(entry, voters) for entry in _beyond(len(committed), server)]
            for index, record in enumerate(new, len(committed) + 1):
                self._count(index, record, nodes, f"{server.id} takes")
            committed = (*committed, *new)
        return ghost if committed is ghost[0] and logs is ghost[1] else (committed, logs)

    def _check_lost(self, committed: tuple[Any, ...], old: Any, log: Any, nodes: Nodes) -> None:
        last = min(old.last_index, len(committed))
        if log.last_index >= last and log.term_at(last) == old.term_at(last):
            return  # nothing committed was cut off, by Log Matching
        for index in range(max(old.base_index, log.base_index) + 1, last + 1):
            if not holds(log, index, committed[index - 1][0]):
                self._count(index, committed[index - 1], nodes, "the servers took")

    def _count(self, index: int, record: tuple[Any, tuple[NodeId, ...]], nodes: Nodes, who: str) -> None:
        entry, voters = record
        if entry is None:
            return
        having = [name for name in voters if name in nodes and holds(nodes[name].log, index, entry)]  # type: ignore[attr-defined]
        if 2 * len(having) <= len(voters):
            raise Broken(
                f"{who} entry {entry} at index {index} for committed, but of {', '.join(voters)} "
                f"only {', '.join(having) or 'none'} has it: no majority"
            )


class AppliedIsCommitted(RaftInvariant):
    """No server has applied more than it knows to be committed: its commit index does not fall while it is up."""

    name = "Applied Is Committed"
    paper = "Raft, figure 2: commitIndex and lastApplied increase monotonically; apply while commitIndex > lastApplied"

    def after_server(self, ghost: Any, nodes: Nodes, server: Any) -> Hashable:
        if server.last_applied > server.commit_index:
            known = f"knows only of {server.commit_index} committed entries"
            raise Broken(f"{server.id} has applied {server.last_applied} entries and {known}")
        return ghost


class Made(NamedTuple):
    """What the entries up to one index make: the term of the last, the state, each client's last serial, the latest
    configuration, and the sessions that the first server there had."""

    term: int
    state: Any
    serials: tuple[tuple[NodeId, int], ...]
    servers: frozenset[NodeId] | None
    sessions: Any = None


class StateFollowsLog(RaftInvariant):
    """A server's state is what the entries that it has applied make of it, a client's request once; so is a snapshot
    what the entries make that it stands for. The ghost: what the committed entries make, index by index."""

    name = "State Follows the Log"
    paper = "Raft, §7: a snapshot holds the state, the last entry's term and the latest configuration; §8: sessions"

    def after_server(self, ghost: Any, nodes: Nodes, server: Any) -> Hashable:
        if server.machine_state is None:
            return ghost  # it is down
        ghost = self._longer(ghost, server)
        if 0 < server.last_applied <= len(ghost):
            made = ghost[server.last_applied - 1]
            self._compare(f"{server.id} has", server.last_applied, "state", server.machine_state, made.state)
            sessions = tuple(sorted(server.sessions.items()))
            if made.sessions is None:
                made = made._replace(sessions=sessions)
                ghost = (*ghost[: server.last_applied - 1], made, *ghost[server.last_applied :])
            self._compare(f"{server.id} has", server.last_applied, "sessions", sessions, made.sessions)
        snapshot = getattr(server, "snapshot", None)
        if snapshot is not None and snapshot.last_index <= len(ghost):
            self._check(f"the snapshot of {server.id} has", snapshot, ghost[snapshot.last_index - 1])
        return ghost

    def _longer(self, ghost: tuple[Made, ...], server: Any) -> tuple[Made, ...]:
        """With what ``server`` has applied first, as far as its log still has it."""
        log = server.log
        new: list[Made] = []
        for index in range(len(ghost) + 1, min(server.last_applied, log.last_index) + 1):
            if index <= log.base_index:
                break
            before = (new or ghost)[-1] if new or ghost else Made(0, server.machine.initial(), (), None)
            new.append(_made(before, log.entry(index), server.machine))
        return (*ghost, *new) if new else ghost

    def _check(self, who: str, snapshot: Any, made: Made) -> None:
        index = snapshot.last_index
        self._compare(who, index, "term", snapshot.last_term, made.term)
        self._compare(who, index, "state", snapshot.machine_state, made.state)
        if made.sessions is not None:
            self._compare(who, index, "sessions", tuple(sorted(snapshot.sessions)), made.sessions)
        if made.servers is not None:
            self._compare(who, index, "servers", sorted(snapshot.servers), sorted(made.servers))

    def _compare(self, who: str, index: int, what: str, has: Any, right: Any) -> None:
        if has != right:
            raise Broken(f"{who} the {what} {has!r} at index {index}; the entries up to there make {right!r}")


def _made(before: Made, entry: Any, machine: Any) -> Made:
    """What ``entry`` makes of what was ``before``."""
    serials, name, serial = dict(before.serials), entry.client, entry.serial
    repeated = None not in (name, serial) and serial <= serials.get(name, 0)
    configures = hasattr(entry.command, "servers")
    state = before.state
    if not (repeated or configures or isinstance(entry.command, NoOp)):
        state, _ = machine.apply(state, entry.command)
    if None not in (name, serial) and not repeated:
        serials[name] = serial
    servers = frozenset(entry.command.servers) if configures else before.servers
    return Made(entry.term, state, tuple(sorted(serials.items())), servers)


def raft_invariants() -> tuple[Invariant, ...]:
    """The five properties of figure 3, the direct check that what is committed is never lost, and what servers make of
    their logs."""
    return (
        ElectionSafety(),
        LeaderAppendOnly(),
        LogMatching(),
        LeaderCompleteness(),
        StateMachineSafety(),
        CommittedSurvives(),
        AppliedIsCommitted(),
        StateFollowsLog(),
    )


# --- leader election in runs in which nothing fails ------------------------------------------------------

# Liveness itself can't be broken in finite time; these two can. They hold for Raft with random timeouts that are long
# against the network's latency (§5.2, §5.6); with faults they mean nothing.


class StableLeadership(RaftInvariant):
    """Once a leader has been elected, nobody begins a later term."""

    name = "stable leadership"
    paper = "Ongaro & Ousterhout 2014, §5.2: heartbeats maintain the leader's authority"
    initial: Hashable = frozenset()

    def after_server(self, ghost: Led, nodes: Nodes, server: Any) -> Hashable:
        term, leader = min(ghost, default=(server.current_term, ""))
        if server.current_term > term:
            began = f"{server.id} began term {server.current_term}"
            raise Broken(f"{began}, though {leader} leads term {term} and nothing has failed")
        return _note_leader(ghost, server)


class NoLostTerms(RaftInvariant):
    """No more than ``allowed`` terms in a row go by without a leader."""

    name = "no lost terms"
    paper = "Ongaro & Ousterhout 2014, §5.2: randomised timeouts make split votes rare, and resolve them quickly"
    initial: Hashable = frozenset()

    def __init__(self, allowed: int = 5) -> None:
        self.allowed = allowed

    def after_server(self, ghost: Led, nodes: Nodes, server: Any) -> Hashable:
        last = max((term for term, _ in ghost), default=0)
        lost = server.current_term - last - 1
        if lost > self.allowed:
            raise Broken(f"{server.id} begins term {server.current_term}; the {lost} terms before it had no leader")
        return _note_leader(ghost, server)
