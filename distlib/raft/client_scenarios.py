"""Raft with clients (§8): requests that are asked again, reads at a deposed leader, a server that is replaced."""

from __future__ import annotations

from dataclasses import dataclass

from distlib.check.history.history import Fault, History
from distlib.core.node import node_names, with_peers
from distlib.core.trace import Trace
from distlib.raft.invariants import raft_invariants
from distlib.raft.membership import AddServer, Membership, RemoveServer
from distlib.raft.raft import Raft
from distlib.raft.scenarios import isolate, leader_of
from distlib.replication.client import Client
from distlib.replication.history import history_of
from distlib.replication.message import ClientRequest, Returned
from distlib.replication.state_machine import Add, Get, Put
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network

# --- at most once ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LossyRun:
    """What became of the clients' additions: how often they were asked for, logged, answered, and applied."""

    trace: Trace
    operations: int
    requests: int
    logged: int
    answered: int
    total: int

    def __str__(self) -> str:
        return (
            f"additions of 1 that the clients wanted: {self.operations}\n"
            f"requests they sent, repeats included:   {self.requests}\n"
            f"entries these left in the leader's log: {self.logged}\n"
            f"operations answered:                    {self.answered}\n"
            f"the counter in the end:                 {self.total}"
        )

    __repr__ = __str__


def lossy_clients(loss: float = 0.3, seed: int = 7, additions: int = 12) -> LossyRun:
    """Three clients, each adding 1 to one counter ``additions`` times; a share ``loss`` of all messages is lost."""
    servers, clients = node_names(3), ("C1", "C2", "C3")
    commands = tuple([Add("counter")] * additions)
    nodes: list[Raft | Client] = with_peers(Raft, servers)
    nodes += [Client(name, servers, commands, start_ms=(400, 420), timeout_ms=60) for name in clients]
    cluster = Cluster(nodes, Network(Uniform(2, 8), loss=loss), seed=seed)
    operations = additions * len(clients)

    def answered() -> int:
        return sum(isinstance(one.event, Returned) for one in cluster.outputs)

    while answered() < operations and cluster.now_ms < 120_000:
        trace = cluster.run(cluster.now_ms + 100)
    leader = max((node for node in nodes if isinstance(node, Raft)), key=lambda node: node.commit_index)
    requests = sum(isinstance(copy[4], ClientRequest) for copy in trace.sent)
    logged = sum(entry.client is not None for entry in leader.log.slice(1, leader.commit_index))
    return LossyRun(trace, operations, requests, logged, answered(), dict(leader.machine_state)["counter"])


# --- reads at a leader that was deposed and does not know it (thesis §6.4) --------------------------------

APART_MS, HEAL_MS, END_MS = 520.0, 1200.0, 1700.0


def deposed_reads(node_class: type[Raft] = Raft, seed: int = 7) -> History:
    """What two clients saw of the key x, times in ms. A partition leaves the leader alone with the client *reader*; the
    client *writer* is with the other four servers, who elect a new leader and commit its writes.

    Raises ``ValueError`` for a seed with which nobody leads when the partition begins.
    """
    names = node_names(5)
    writes, reads = tuple(Put("x", value) for value in range(1, 7)), tuple([Get("x")] * 9)
    clients = [
        Client("writer", names, writes, think_ms=(60, 80), start_ms=(400, 400), timeout_ms=40),
        Client("reader", names, reads, think_ms=(70, 90), start_ms=(420, 420), timeout_ms=200),
    ]
    cluster = Cluster([*with_peers(node_class, names), *clients], Network(Uniform(2, 8)), seed=seed, record=False)
    cluster.run(APART_MS)
    leader = leader_of(cluster)
    if leader is None:
        raise ValueError(f"with seed {seed} nobody leads at {APART_MS:g} ms; choose another seed")
    isolate(cluster, (leader, "reader"), HEAL_MS - APART_MS)
    cluster.run(END_MS)
    return History(history_of(cluster.outputs).operations, (Fault("partition", APART_MS, HEAL_MS),))


# --- a snapshot (§7) and two membership changes (§6; thesis §4) -------------------------------------------


def replacement(snapshot_after: int = 8, seed: int = 7, node_class: type[Membership] = Membership) -> Trace:
    """S1 to S3 form the cluster and one client adds 1 again and again; then an administrator has S4 join, with an empty
    log, and S1 leave. ``snapshot_after`` applied entries are compacted into a snapshot."""
    names = node_names(4)
    servers = with_peers(node_class, names, snapshot_after=snapshot_after, initial_servers=names[:3])
    clients = [
        Client("client", names, tuple([Add("counter")] * 30), think_ms=(8, 12), start_ms=(300, 300), timeout_ms=80),
        Client(
            "admin", names, (AddServer("S4"), RemoveServer("S1")),
            think_ms=(200, 200), start_ms=(700, 700), timeout_ms=80,
        ),
    ]  # fmt: skip
    cluster = Cluster([*servers, *clients], Network(Uniform(2, 8)), seed=seed, invariants=raft_invariants())
    return cluster.run(1500)
