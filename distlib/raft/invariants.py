"""Raft's safety properties (Ongaro & Ousterhout 2014, figure 3), checked live after every event.

Each property looks only at the server that just moved, and remembers in its ghost what it must: who led, what was
committed. A server is any node that shows ``current_term``, ``role``, ``log`` and ``commit_index``; clients and others
in the same cluster are passed over. What a snapshot covers counts as held: the paper discards only committed entries.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from distlib.core.invariant import Broken, Invariant
from distlib.core.node import Node, NodeId

Nodes = Mapping[NodeId, Node]


def is_server(node: Node) -> bool:
    """Whether ``node`` takes part in Raft."""
    return hasattr(node, "current_term")


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


def _with(pairs: tuple[tuple[NodeId, Any], ...], node: NodeId, value: Any) -> tuple[tuple[NodeId, Any], ...]:
    """A small immutable mapping with ``node``'s value replaced (None: removed), in order of the names."""
    kept = [pair for pair in pairs if pair[0] != node]
    return tuple(sorted(kept if value is None else [*kept, (node, value)], key=lambda pair: pair[0]))


def _get(pairs: tuple[tuple[NodeId, Any], ...], node: NodeId) -> Any:
    for name, value in pairs:
        if name == node:
            return value
    return None


class ElectionSafety(Invariant):
    """At most one leader can be elected in a given term. The ghost: every (term, leader) seen."""

    name = "Election Safety"
    paper = "Raft, figure 3 and §5.2"
    initial: Hashable = frozenset()

    def after(self, ghost: Any, nodes: Nodes, changed: NodeId) -> Hashable:
        server: Any = nodes[changed]
        if not is_server(server) or not is_leader(server):
            return ghost
        led = (server.current_term, changed)
        if led in ghost:
            return ghost
        rivals = sorted(other for term, other in ghost if term == server.current_term)
        if rivals:
            raise Broken(f"{changed} leads term {server.current_term}, which {rivals[0]} has led already")
        return ghost | {led}


class LeaderAppendOnly(Invariant):
    """A leader never overwrites or deletes entries in its log, it only appends. The ghost: leaders' terms and logs."""

    name = "Leader Append-Only"
    paper = "Raft, figure 3 and §5.3"

    def after(self, ghost: Any, nodes: Nodes, changed: NodeId) -> Hashable:
        server: Any = nodes[changed]
        if not is_server(server):
            return ghost
        known = _get(ghost, changed)
        if not is_leader(server):
            return ghost if known is None else _with(ghost, changed, None)
        if known is not None and known[0] == server.current_term:
            if known[1] is server.log:
                return ghost
            self._compare(changed, server, known[1])
        return _with(ghost, changed, (server.current_term, server.log))

    def _compare(self, name: NodeId, server: Any, old: Any) -> None:
        log = server.log
        first = max(log.base_index, old.base_index) + 1
        kept = old.slice(first)
        if log.slice(first, len(kept)) == kept:
            return
        for index, entry in enumerate(kept, first):
            if not holds(log, index, entry):
                raise Broken(
                    f"{name}, leader of term {server.current_term}, had entry {entry} at index {index} "
                    f"and now has {shown(log, index)} there"
                )


class LogMatching(Invariant):
    """Logs with an entry of the same index and term are identical up to there. The ghost: the logs as last compared."""

    name = "Log Matching"
    paper = "Raft, figure 3 and §5.3"

    def after(self, ghost: Any, nodes: Nodes, changed: NodeId) -> Hashable:
        server: Any = nodes[changed]
        if not is_server(server) or _get(ghost, changed) is server.log:
            return ghost
        for name, other in nodes.items():
            if name != changed and is_server(other):
                self._compare(changed, server.log, name, other.log)  # type: ignore[attr-defined]
        return _with(ghost, changed, server.log)

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


class LeaderCompleteness(Invariant):
    """An entry committed in a term is in the log of every leader of a *greater* term.

    The ghost: the committed entries by index, each with the term in which it was committed, and the leaders checked.
    A leader of the same or a lower term may lack an entry: it was deposed and doesn't know it yet.
    """

    name = "Leader Completeness"
    paper = "Raft, figure 3 and §5.4"
    initial: Hashable = ((), frozenset())

    def after(self, ghost: Any, nodes: Nodes, changed: NodeId) -> Hashable:
        server: Any = nodes[changed]
        if not is_server(server):
            return ghost
        committed, checked = ghost
        if server.commit_index > len(committed):
            known = len(committed)
            committed = _newly_committed(committed, server)
            for name, other in nodes.items():
                if is_server(other) and is_leader(other):
                    self._check(name, other, committed, known)
        if is_leader(server) and (changed, server.current_term) not in checked:
            self._check(changed, server, committed, 0)
            checked |= {(changed, server.current_term)}
        same = committed is ghost[0] and checked is ghost[1]
        return ghost if same else (committed, checked)

    def _check(self, name: NodeId, leader: Any, committed: tuple[Any, ...], known: int) -> None:
        for index in range(max(known, leader.log.base_index) + 1, len(committed) + 1):
            entry, term = committed[index - 1]
            if entry is not None and leader.current_term > term and not holds(leader.log, index, entry):
                raise Broken(
                    f"entry {entry} at index {index} was committed in term {term}, but {name}, leader of term "
                    f"{leader.current_term}, has {shown(leader.log, index)} there"
                )


def _newly_committed(committed: tuple[Any, ...], server: Any) -> tuple[Any, ...]:
    """``committed`` and what ``server`` knows beyond it as (entry, term in which it was committed)."""
    log, term = server.log, server.current_term
    new = [
        (log.entry(index) if log.base_index < index <= log.last_index else None, term)
        for index in range(len(committed) + 1, server.commit_index + 1)
    ]
    return (*committed, *new)


class StateMachineSafety(Invariant):
    """No two servers apply different entries at one index. The ghost: the entries applied, and how far each is."""

    name = "State Machine Safety"
    paper = "Raft, figure 3 and §5.4.3"
    initial = ((), ())

    def after(self, ghost: Any, nodes: Nodes, changed: NodeId) -> Hashable:
        server: Any = nodes[changed]
        if not is_server(server):
            return ghost
        applied, progress = ghost
        known = _get(progress, changed) or 0
        if known == server.last_applied:
            return ghost
        for index in range(max(known, server.log.base_index) + 1, server.last_applied + 1):
            applied = self._record(applied, index, changed, nodes)
        return (applied, _with(progress, changed, server.last_applied))

    def _record(self, applied: tuple[Any, ...], index: int, name: NodeId, nodes: Nodes) -> tuple[Any, ...]:
        log: Any = nodes[name].log  # type: ignore[attr-defined]
        entry = log.entry(index) if index <= log.last_index else None
        if index > len(applied):
            return (*applied, *(None,) * (index - len(applied) - 1), entry)
        before = applied[index - 1]
        if before is not None and before != entry:
            raise Broken(
                f"{name} applied {shown(log, index)} at index {index}, where entry {before} was applied before"
            )
        return applied


class CommittedSurvives(Invariant):
    """What was committed stays on a majority of the servers that committed it.

    The most direct check, and the first to fire on many bugs. The ghost: the committed entries with the servers whose
    majority counted, and the logs as last seen. Only a log that lost entries is looked into.
    """

    name = "Committed Entries Survive"
    paper = "Raft, §5.3 and §5.4"
    initial = ((), ())

    def after(self, ghost: Any, nodes: Nodes, changed: NodeId) -> Hashable:
        server: Any = nodes[changed]
        if not is_server(server):
            return ghost
        committed, logs = ghost
        old = _get(logs, changed)
        if old is not server.log:
            if old is not None:
                self._check_lost(committed, old, server.log, nodes)
            logs = _with(logs, changed, server.log)
        if server.commit_index > len(committed):
            known = len(committed)
            committed = self._commit(committed, server, nodes)
            for index in range(known + 1, len(committed) + 1):
                self._count(index, committed[index - 1], nodes, f"{changed} takes")
        same = committed is ghost[0] and logs is ghost[1]
        return ghost if same else (committed, logs)

    def _commit(self, committed: tuple[Any, ...], server: Any, nodes: Nodes) -> tuple[Any, ...]:
        everybody = tuple([name for name, node in nodes.items() if is_server(node)])
        voters = server.servers() if hasattr(server, "servers") else everybody
        known = len(committed)
        return (*committed, *[(entry, voters) for entry, _ in _newly_committed(committed, server)[known:]])

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


def raft_invariants() -> tuple[Invariant, ...]:
    """The five properties of figure 3, and the direct check that what is committed is never lost."""
    return (
        ElectionSafety(),
        LeaderAppendOnly(),
        LogMatching(),
        LeaderCompleteness(),
        StateMachineSafety(),
        CommittedSurvives(),
    )


# --- leader election in runs in which nothing fails ------------------------------------------------------

# Liveness itself can't be broken in finite time; these two can, and they hold for Raft with random timeouts that are
# long against the network's latency (Ongaro & Ousterhout 2014, §5.2, §5.6). With faults, or with other timing, they
# mean nothing.

Led = frozenset[tuple[int, NodeId]]
"""Ghost of the two below: who has led which term."""


def _note_leader(ghost: Led, node: Any, changed: NodeId) -> Led:
    role = getattr(node, "role", None)
    if role is not None and role.value == "leader" and (node.current_term, changed) not in ghost:
        return ghost | {(node.current_term, changed)}
    return ghost


class StableLeadership(Invariant):
    """Once a leader has been elected, nobody begins a later term."""

    name = "stable leadership"
    paper = "Ongaro & Ousterhout 2014, §5.2: heartbeats maintain the leader's authority"
    initial: Hashable = frozenset()

    def after(self, ghost: Led, nodes: Nodes, changed: NodeId) -> Hashable:
        node: Any = nodes[changed]
        known = min(ghost, default=None)
        if known is not None and getattr(node, "current_term", 0) > known[0]:
            raise Broken(
                f"{changed} began term {node.current_term}, though {known[1]} leads term {known[0]} "
                "and nothing has failed"
            )
        return _note_leader(ghost, node, changed)


class NoLostTerms(Invariant):
    """No more than ``allowed`` terms in a row go by without a leader."""

    name = "no lost terms"
    paper = "Ongaro & Ousterhout 2014, §5.2: randomised timeouts make split votes rare, and resolve them quickly"
    initial: Hashable = frozenset()

    def __init__(self, allowed: int = 5) -> None:
        self.allowed = allowed

    def after(self, ghost: Led, nodes: Nodes, changed: NodeId) -> Hashable:
        node: Any = nodes[changed]
        last = max((term for term, _ in ghost), default=0)
        lost = getattr(node, "current_term", 0) - last - 1
        if lost > self.allowed:
            raise Broken(f"{changed} begins term {node.current_term}; the {lost} terms before it had no leader")
        return _note_leader(ghost, node, changed)
