"""Clients that ask again because messages are lost, and a state machine that applies each request once (§8)."""

from __future__ import annotations

from dataclasses import dataclass

from distlib.core.node import node_names
from distlib.core.trace import Trace
from distlib.raft.raft import Raft
from distlib.replication.client import Client
from distlib.replication.message import ClientRequest, Returned
from distlib.replication.state_machine import Add
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network


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
        return "\n".join(
            (
                f"additions of 1 that the clients wanted: {self.operations}",
                f"requests they sent, repeats included:   {self.requests}",
                f"entries these left in the leader's log: {self.logged}",
                f"operations answered:                    {self.answered}",
                f"the counter in the end:                 {self.total}",
            )
        )

    __repr__ = __str__


def lossy_clients(loss: float = 0.3, seed: int = 7, additions: int = 12) -> LossyRun:
    """Three clients, each adding 1 to one counter ``additions`` times, over a network that loses messages.

    ``loss`` is the probability that a message is lost, any message of clients and servers.
    """
    servers, clients = node_names(3), ("C1", "C2", "C3")
    commands = tuple([Add("counter")] * additions)
    nodes: list[Raft | Client] = [Raft(name, tuple(peer for peer in servers if peer != name)) for name in servers]
    nodes += [Client(name, servers, commands, start_ms=(400, 420), timeout_ms=60) for name in clients]
    cluster = Cluster(nodes, Network(Uniform(2, 8), loss=loss), seed=seed)
    operations = additions * len(clients)

    def all_answered(now: Cluster) -> bool:
        return sum(isinstance(one.event, Returned) for one in now.outputs) == operations

    while not all_answered(cluster) and cluster.now_ms < 120_000:
        trace = cluster.run(cluster.now_ms + 100)
    leader = max(
        (node for node in cluster.nodes.values() if isinstance(node, Raft)), key=lambda node: node.commit_index
    )
    return LossyRun(
        trace,
        operations,
        requests=sum(isinstance(copy[4], ClientRequest) for copy in trace.sent),
        logged=sum(entry.client is not None for entry in leader.log.slice(1, leader.commit_index)),
        answered=sum(isinstance(one.event, Returned) for one in trace.outputs),
        total=dict(leader.machine_state)["counter"],
    )
