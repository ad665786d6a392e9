"""Simulated clusters of a replicated service with clients: faults and histories, whatever the protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from distlib.check.cluster.model import ClusterModel
from distlib.check.history.sequential import CasRegister
from distlib.check.simulation import Simulation, after, not_explained, watched
from distlib.core.fault import Drift, Nemesis, OneWay, Partition, SlowLink
from distlib.core.invariant import Invariant
from distlib.core.mutant import LINEARIZABILITY
from distlib.core.node import Node, NodeId, node_names
from distlib.replication.client import Client
from distlib.replication.history import history_of
from distlib.replication.state_machine import CompareAndSet, Get, Put
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network

SEEDS, FEW_SEEDS, MANY_SEEDS = range(1, 25), range(1, 13), range(1, 41)
RUN_MS, FAULTS_UNTIL_MS = 4_000.0, 3_000.0
LAN = Network(Uniform(1, 5))
RUNS = f"simulated runs of {RUN_MS:g} ms"
LOSSY = Network(Uniform(1, 8), loss=0.05, duplication=0.05, reordering=0.1)


@dataclass(frozen=True)
class Service:
    """A replicated service: how to make its nodes for servers of these names, what must always hold, and who leads now.

    Nodes beside the servers (a monitor) are subject to faults, too. With ``drift``, the clock of a leader that is cut
    off is slower by that, the others' are faster, and it hears their answers for a while after they have lost it.
    """

    servers: Callable[[type[Any], tuple[NodeId, ...]], list[Any]]
    invariants: Callable[[], Sequence[Invariant]]
    leader_of: Callable[[Cluster], NodeId | None]
    drift: float = 0.0

    def nodes(self, node_class: type[Any], servers: int, clients: int, seed: int) -> list[Node]:
        """Servers S1, …, and clients C1, … that write, read and compare-and-set one key."""
        names = node_names(servers)
        made: list[Node] = self.servers(node_class, names)
        for number in range(1, clients + 1):
            commands: list[Any] = []
            for turn in range(12):
                value = 100 * number + turn
                choices = (Put("x", value), Get("x"), CompareAndSet("x", value - 2, value))
                commands.append(choices[(turn + number + seed) % 3])
            made.append(Client(f"C{number}", names, tuple(commands), think_ms=(0, 60), timeout_ms=150))
        return made

    def under_nemesis(self, node_class: type[Any], seed: int) -> Cluster:
        """Servers and two clients under a nemesis; the same seed makes the same run."""
        nemesis = Nemesis(("crash", "crash", "partition", "one_way", "pause"), gap_ms=150, length_ms=200)
        members = self.nodes(node_class, _size(seed), 2, seed)
        faults = nemesis.schedule(tuple(one.id for one in members[:-2]), seed, FAULTS_UNTIL_MS)
        return Cluster(members, LOSSY, seed=seed, faults=faults, invariants=self.invariants())

    def on_slow_disks(self, node_class: type[Any], seed: int) -> Cluster:
        """Servers and two clients; crashes, now and then of all at once, lose what is not written yet."""
        members = self.nodes(node_class, 3, 2, seed)
        names = [one.id for one in members[:-2]]
        faults = [*Nemesis(("crash", "partition"), gap_ms=100, length_ms=60).schedule(names, seed, FAULTS_UNTIL_MS)]
        network = Network(Uniform(1, 4), disk=Uniform(5, 40), write_cache=True)
        return Cluster(members, network, seed=seed, faults=faults)

    def two_sides(self, node_class: type[Any], seed: int) -> Cluster:
        """The leader is apart with a client that reads, while another client writes on the other side. With odd seeds
        the client reads all the time, with even ones now and then: then its read is the first since the cut."""
        members, names = self.servers(node_class, node_names(3)), node_names(3)
        reads, writes = (Get("x"),) * 60, tuple(Put("x", number) for number in range(60))
        clients = [
            Client("C1", names, reads, think_ms=(10, 30) if seed % 2 else (300, 600), timeout_ms=120),
            Client("C2", names, writes, think_ms=(10, 30), timeout_ms=120),
        ]
        cluster = Cluster([*members, *clients], LAN, seed=seed)
        cluster.run(1_000.0)
        leader = self.leader_of(cluster) or "S1"
        others = tuple(one.id for one in members if one.id != leader)
        cut_ms = 1_600.0 if self.drift else 1_000.0
        if self.drift:
            cluster.schedule(Drift(1_000.0, leader, 1 - self.drift))
            cluster.schedule(OneWay(cut_ms - 150.0, (leader,), others, 150.0))
            for one in others:
                cluster.schedule(Drift(1_000.0, one, 1 + self.drift))
                cluster.schedule(SlowLink(1_000.0, one, leader, 150.0))
        cluster.schedule(Partition(cut_ms, ((leader, "C1"), (*others, "C2")), 1_500.0))
        return cluster

    def model_of_run(self, node_class: type[Any], seed: int) -> ClusterModel:
        """The explorer's model of the same cluster."""
        return ClusterModel(lambda: self.nodes(node_class, _size(seed), 2, seed), invariants=self.invariants())

    def faults(self) -> Simulation:
        """Every invariant, watched after every event under a nemesis."""
        return Simulation(self.under_nemesis, watched(RUN_MS), SEEDS, RUNS, (0, RUN_MS), model=self.model_of_run)

    def histories(self) -> Simulation:
        """The clients' histories under a nemesis."""
        problem = after(RUN_MS, not_linearizable)
        return Simulation(self.under_nemesis, problem, SEEDS, RUNS, (0, RUN_MS), LINEARIZABILITY)

    def slow_disks(self) -> Simulation:
        """The clients' histories where a crash loses what is not written yet. What servers have in memory alone is no
        matter: no invariant is watched, for nobody was told."""
        problem, looked = after(RUN_MS, not_linearizable), "simulated histories on slow disks with a write cache"
        return Simulation(self.on_slow_disks, problem, MANY_SEEDS, looked, (0, RUN_MS), LINEARIZABILITY)

    def stale_reads(self) -> Simulation:
        """The clients' histories where a leader is deposed and doesn't know."""
        looked = "simulated histories of reads on one side and writes on the other"
        problem = after(2_800.0, not_linearizable)
        return Simulation(self.two_sides, problem, FEW_SEEDS, looked, (1_000, 2_800), LINEARIZABILITY)


def _size(seed: int) -> int:
    """Five servers with odd seeds, three with even ones."""
    return 5 if seed % 2 else 3


def happens(cluster: Cluster, until_ms: float, condition: Callable[[Cluster], bool]) -> bool:
    """Run to ``until_ms``, or until ``condition`` holds: whether it does."""
    return cluster.run(until_ms, until=condition).stopped == "condition"


def all_returned(cluster: Cluster) -> bool:
    """Whether the clients have nothing left to ask, and no question open."""
    clients = [node for node in cluster.nodes.values() if isinstance(node, Client)]
    return all(client.serial == len(client.commands) and not client.waiting for client in clients)


def not_linearizable(cluster: Cluster) -> str:
    """Why the clients' history is not linearizable; empty when it is. Raises ``UndecidedError``."""
    return not_explained(history_of(cluster.outputs), CasRegister())
