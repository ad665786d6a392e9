"""Simulated Raft clusters for the searches that need real timers: faults, clients' histories, liveness."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from distlib.check.simulation import Simulation, after, broken_invariant
from distlib.core.fault import Crash
from distlib.core.node import NodeId, node_names, with_peers
from distlib.core.trace import Happened
from distlib.raft.invariants import NoLostTerms, StableLeadership, raft_invariants
from distlib.raft.membership import AddServer, Membership, RemoveServer
from distlib.raft.message import Applied, BecameLeader
from distlib.raft.raft import Raft
from distlib.raft.scenarios import isolate, leader_of
from distlib.replication.client import Client
from distlib.replication.message import ClientRequest
from distlib.replication.simulations import FEW_SEEDS, LAN, RUN_MS, SEEDS, Service, all_returned, happens
from distlib.replication.state_machine import Put
from distlib.sim.cluster import Cluster

CALM_MS = 5_000.0
SERVICE = Service(with_peers, raft_invariants, leader_of)
COMPACT = Service(partial(with_peers, snapshot_after=3, batch=2), raft_invariants, leader_of)
"""Snapshots all the time: whoever lags a little gets one."""


def changing(node_class: type[Membership], names: tuple[NodeId, ...]) -> list[Any]:
    """Servers of which one joins later, and an administrator who takes them out and in again."""
    servers = with_peers(node_class, names, snapshot_after=3, batch=2, initial_servers=names[:-1])
    first, second, last = names[0], names[1], names[-1]
    changes = (AddServer(last), RemoveServer(first), RemoveServer(second), AddServer(first), AddServer(second)) * 3
    return [*servers, Client("Admin", names, changes, think_ms=(0, 150), timeout_ms=150)]


CHANGING = Service(changing, raft_invariants, leader_of)
LEASED = Service(partial(with_peers, election_timeout_ms=(800.0, 830.0)), raft_invariants, leader_of, drift=0.1)
"""Election timeouts long against the latency, and nearly equal, so that others lead as soon as they may."""

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
    if not happens(cluster, 5 * CALM_MS, all_returned):
        return f"not all that the client asked has come back {2 * CALM_MS:g} ms after that"
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


def comes_back(node_class: type[Raft], seed: int) -> Cluster:
    """Three idle servers; a follower is apart from 1,000 to 2,000 ms."""
    cluster = Cluster(with_peers(node_class, node_names(3)), LAN, seed=seed)
    cluster.run(1_000.0)
    follower = next(name for name in node_names(3) if name != leader_of(cluster))
    isolate(cluster, (follower,), 1_000.0)
    return cluster


def deposed(cluster: Cluster) -> str:
    """Whether the leader was deposed by the follower's return; empty when it still leads."""
    led = [(one.time_ms, one.node, one.event.term) for one in cluster.outputs if isinstance(one.event, BecameLeader)]
    late = [f"{name} became leader of term {term} at {at_ms:,.0f} ms" for at_ms, name, term in led if at_ms > 1_000.0]
    return f"{late[0]}, though a majority heard the leader all the time" if late else ""


# ------------------------------------------------------------ situations with what is wrong in them

FAULTS = SERVICE.faults()
HISTORIES = SERVICE.histories()
LIVENESS = Simulation(calm, stuck, SEEDS, "simulated runs in a calm network", (0, RUN_MS), "liveness")
STALE_READS = SERVICE.stale_reads()
SLOW_DISKS = SERVICE.slow_disks()
HEALTHY = Simulation(
    healthy, after(3_000.0, broken_invariant), FEW_SEEDS, "simulated runs without any fault", (0, 1_000), "liveness"
)
PARTITION = Simulation(
    partitioned, after(5_000.0, unhealed), FEW_SEEDS, "simulated runs with a partition that ends", (1_900, 5_000),
    "liveness",
)  # fmt: skip
SNAPSHOT_FAULTS, SNAPSHOT_HISTORIES = COMPACT.faults(), COMPACT.histories()
MEMBERSHIP_FAULTS, MEMBERSHIP_HISTORIES = CHANGING.faults(), CHANGING.histories()
LEASES = LEASED.stale_reads()
COMES_BACK = Simulation(
    comes_back, after(4_000.0, deposed), range(1, 61), "simulated runs in which a follower is cut off and comes back",
    (900, 3_000), "liveness",
)  # fmt: skip
