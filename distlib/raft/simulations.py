"""Simulated Raft clusters for the searches that need real timers: faults, clients' histories, liveness."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from distlib.check.simulation import Simulation, after, broken_invariant
from distlib.core.fault import Crash
from distlib.core.node import NodeId, node_names, with_peers
from distlib.core.trace import Happened
from distlib.raft.invariants import NoLostTerms, StableLeadership, raft_invariants
from distlib.raft.message import Applied, BecameLeader
from distlib.raft.raft import Raft
from distlib.raft.scenarios import isolate, leader_of
from distlib.replication.message import ClientRequest
from distlib.replication.simulations import FEW_SEEDS, LAN, RUN_MS, SEEDS, Service, happens
from distlib.replication.state_machine import Put
from distlib.sim.cluster import Cluster

CALM_MS = 5_000.0
SERVICE = Service(with_peers, raft_invariants, leader_of)

# ------------------------------------------------------------ liveness


def calm(node_class: type[Raft], seed: int) -> Cluster:
    """Three servers and a client, no faults: what liveness is about."""
    return Cluster(SERVICE.nodes(node_class, 3, 1, seed), LAN, seed=seed)


def stuck(cluster: Cluster) -> str:
    """What does not happen: a leader, entries applied everywhere, and both again after the leader's crash."""
    if not happens(cluster, CALM_MS, lambda now: leader_of(now) is not None):
        return f"no leader is elected in {CALM_MS:g} ms of a calm network"
    everybody = [name for name in cluster.nodes if name.startswith("S")]
    if not happens(cluster, 2 * CALM_MS, lambda now: applied(now.outputs, everybody, 3)):
        return f"there is a leader, but not every server applies three entries in {CALM_MS:g} ms of a calm network"
    leader = leader_of(cluster)
    if leader is None:
        return "the leader steps down in a calm network"
    before, elections = len(cluster.outputs), sum(isinstance(one.event, BecameLeader) for one in cluster.outputs)
    if elections > 3:
        return f"{elections} leaders in a row, though no node failed and no message was lost"
    cluster.schedule(Crash(cluster.now_ms + 1, leader))
    rest = [name for name in everybody if name != leader]
    if not happens(cluster, 3 * CALM_MS, lambda now: applied(now.outputs[before:], rest, 2)):
        return f"after the leader's crash, the others apply nothing new in {CALM_MS:g} ms"
    return ""


def applied(outputs: Sequence[Happened], servers: Iterable[NodeId], entries: int) -> bool:
    """Whether each of ``servers`` has applied so many entries."""
    counts = [sum(one.node == name and isinstance(one.event, Applied) for one in outputs) for name in servers]
    return all(count >= entries for count in counts)


def healthy(node_class: type[Raft], seed: int) -> Cluster:
    """Three servers in which nothing fails."""
    invariants = (StableLeadership(), NoLostTerms())
    return Cluster(with_peers(node_class, node_names(3)), LAN, seed=seed, invariants=invariants)


def partitioned(node_class: type[Raft], seed: int) -> Cluster:
    """Three servers, one of which is apart from 1,000 to 2,000 ms while all are asked to write: with odd seeds the
    leader; with even ones a follower, and the leader crashes meanwhile and comes back."""
    cluster = Cluster(with_peers(node_class, node_names(3)), LAN, seed=seed)
    cluster.run(1_000.0)
    names = tuple(cluster.nodes)
    leader = leader_of(cluster) or "S1"
    alone = leader if seed % 2 else next(name for name in names if name != leader)
    isolate(cluster, (alone,), 1_000.0)
    if alone != leader:
        cluster.schedule(Crash(1_400.0, leader, 50.0))
    for number in range(8):
        for name in names:
            cluster.post(1_100.0 + 100 * number, name, ClientRequest(Put("x", number)))
    return cluster


def unhealed(cluster: Cluster) -> str:
    """What is not as it should be long after the partition; empty when all is well."""
    servers: dict[NodeId, Any] = cluster.nodes
    leaders = [name for name, node in servers.items() if node.role.value == "leader"]
    if len(leaders) != 1:
        return f"3,000 ms after the partition, {' and '.join(leaders) or 'nobody'} leads"
    last = servers[leaders[0]].log.last_index
    behind = [name for name, node in servers.items() if node.last_applied < last]
    if behind:
        return f"3,000 ms after the partition, {', '.join(behind)} has not applied all {last} entries of {leaders[0]}"
    return ""


# ------------------------------------------------------------ situations with what is wrong in them

FAULTS = SERVICE.faults()
HISTORIES = SERVICE.histories()
LIVENESS = Simulation(calm, stuck, SEEDS, "simulated runs in a calm network", (0, RUN_MS), "liveness")
STALE_READS = SERVICE.stale_reads()
HEALTHY = Simulation(
    healthy, after(3_000.0, broken_invariant), FEW_SEEDS, "simulated runs without any fault", (0, 1_000), "liveness"
)
PARTITION = Simulation(
    partitioned, after(5_000.0, unhealed), FEW_SEEDS, "simulated runs with a partition that ends", (1_900, 5_000),
    "liveness",
)  # fmt: skip
