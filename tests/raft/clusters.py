"""Small Raft clusters for tests, and their clients' histories for the linearizability checker."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from distlib.check.history.history import UNKNOWN, History, Operation
from distlib.check.history.sequential import CasRegister as CompareAndSetRegister
from distlib.core.node import Node
from distlib.core.trace import Happened
from distlib.raft.invariants import raft_invariants
from distlib.raft.log import Entry, Log
from distlib.raft.message import Vote
from distlib.raft.raft import Raft, Role
from distlib.replication.client import Client
from distlib.replication.message import Invoked, Returned
from distlib.replication.state_machine import Add, CompareAndSet, Get, Put
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Constant
from distlib.sim.network import Network


def names(count: int) -> tuple[str, ...]:
    """S1, S2, ..."""
    return tuple(f"S{number}" for number in range(1, count + 1))


def servers(count: int, kind: type[Raft] = Raft, **settings: Any) -> list[Raft]:
    """A cluster's servers, each with all others as peers."""
    all_names = names(count)
    return [kind(one, tuple(other for other in all_names if other != one), **settings) for one in all_names]


def cluster(
    count: int,
    kind: type[Raft] = Raft,
    *,
    clients: Sequence[Client] = (),
    network: Network | None = None,
    seed: int = 1,
    faults: Sequence[Any] = (),
    record: bool = True,
    **settings: Any,
) -> Cluster:
    """A cluster with all of Raft's invariants watched live; one-way latency 1 ms unless a network is given."""
    nodes: list[Node] = [*servers(count, kind, **settings), *clients]
    return Cluster(
        nodes,
        network if network is not None else Network(Constant(1)),
        seed=seed,
        faults=faults,
        invariants=raft_invariants(),
        record=record,
    )


def leader(world: Cluster) -> Any:
    """The leader of the highest term; fails if nobody leads."""
    leaders = [node for node in world.nodes.values() if getattr(getattr(node, "role", None), "value", "") == "leader"]
    assert leaders, "nobody leads"
    return max(leaders, key=lambda node: node.current_term)  # type: ignore[attr-defined]


def elect(world: Cluster, until_ms: float = 5_000) -> Any:
    """Runs until there is a leader whose first entry is committed, and returns it."""

    def settled(now: Cluster) -> bool:
        return any(
            getattr(getattr(node, "role", None), "value", "") == "leader" and node.commit_index >= node.term_start  # type: ignore[attr-defined]
            for node in now.nodes.values()
        )

    trace = world.run(until_ms, until=settled)
    assert trace.stopped == "condition", trace.stopped
    return leader(world)


class Counter(CompareAndSetRegister):
    """A register that can also be added to; absent counts as 0."""

    operations = ("read", "write", "cas", "add")

    def step(self, state: Any, operation: Operation) -> Any:
        if operation.f != "add":
            return super().step(state, operation)
        total = (state or 0) + operation.argument
        right = operation.result is UNKNOWN or operation.result == total
        return total if right else super().step(state, Operation(operation.process, "read", None, operation.result))


def history(outputs: Iterable[Happened]) -> History:
    """The clients' operations; those that never came back are pending. A client that crashed is a new process."""
    calls: dict[tuple[str, int], tuple[float, Any]] = {}
    done: dict[tuple[str, int], tuple[float, Any]] = {}
    for one in outputs:
        if isinstance(one.event, Invoked):
            calls[one.event.client, one.event.serial] = (one.time_ms, one.event.command)
        elif isinstance(one.event, Returned):
            done[one.event.client, one.event.serial] = (one.time_ms, one.event.result)
    operations = []
    for (client, serial), (called_ms, command) in calls.items():
        f, argument = _operation(command)
        if f is None:
            continue
        ended: dict[str, Any] = {}
        if (client, serial) in done:
            returned_ms, result = done[client, serial]
            ended = {"returned": returned_ms, "result": result}
        operations.append(Operation(client, f, argument, call=called_ms, key=getattr(command, "key", None), **ended))
    return History(operations)


def _operation(command: Any) -> tuple[str | None, Any]:
    match command:
        case Put(value=value):
            return "write", value
        case Get():
            return "read", None
        case CompareAndSet(old=old, new=new):
            return "cas", (old, new)
        case Add(amount=amount):
            return "add", amount
    return None, None


def entries(*terms: int, first: int = 1) -> tuple[Entry, ...]:
    return tuple(Entry(term, Put("x", index)) for index, term in enumerate(terms, first))


def server(*terms: int, term: int | None = None, peers: int = 2) -> Raft:
    """S1 as a follower that holds entries of these terms."""
    made = Raft("S1", names(peers + 1)[1:])
    made.start()
    made.log = Log(entries(*terms))
    made.current_term = max(terms, default=0) if term is None else term
    made.take_effects()
    return made


def leading(*terms: int, peers: int = 2) -> Raft:
    """S1 as the leader of the next term, with entries of these terms and its no-op."""
    made = server(*terms, peers=peers)
    made.timeout("election")
    for peer in made.peers[: (peers + 1) // 2]:
        made.receive(peer, Vote(made.current_term, True))
    assert made.role is Role.LEADER
    made.take_effects()
    return made
