"""What a primary-backup class has to stand: ``PRIMARY_BACKUP_SEARCHES``."""

from __future__ import annotations

from typing import Any

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.world import Faults, World
from distlib.check.search import Leg, ProtocolSearch, breadth, staged, walks
from distlib.check.simulation import Simulation, simulated
from distlib.core.fault import Crash
from distlib.core.node import node_names
from distlib.replication.invariants import primary_backup_invariants
from distlib.replication.message import ClientRequest, Returned
from distlib.replication.primary_backup import PrimaryBackup, cluster
from distlib.replication.simulations import LOSSY, Service, happens
from distlib.replication.state_machine import Put
from distlib.sim.cluster import Cluster

NAMES = node_names(3)
WRITE = ("S1", ClientRequest(Put("x", 1)))
SERVICE = Service(cluster, primary_backup_invariants)
CALM_MS = 5_000.0


def primary_backup_model(node_class: type[PrimaryBackup], **options: Any) -> ClusterModel:
    """A monitor and three servers."""
    return ClusterModel(lambda: cluster(node_class, NAMES), invariants=primary_backup_invariants(), **options)


def first_view_is_complete(world: World) -> bool:
    """S1 is primary and S2 backup; the monitor knows that S2 has the log."""
    return bool(world.node("monitor").reported and world.node("S2").current.number == 1)


def is_applied(world: World) -> bool:
    """S1 has applied a request in the first view, and that is complete."""
    return world.node("S1").applied == 1 and first_view_is_complete(world)


def third_is_backup(world: World) -> bool:
    """S3 is the backup of the second view, the monitor has S1's report of it, and S1 is still primary."""
    monitor = world.node("monitor")
    return (monitor.current.number, monitor.current.backup, monitor.reported) == (2, "S3", True)


def crash_of_the_primary(node_class: type[PrimaryBackup], seed: int) -> Cluster:
    """Three servers and two clients; S1, the first primary, is down from 300 to 900 ms."""
    return Cluster(SERVICE.nodes(node_class, 3, 2, seed), LOSSY, seed=seed, faults=(Crash(300.0, "S1", 600.0),))


def unanswered(running: Cluster) -> str:
    """That not all operations of the clients came back."""

    def answered(now: Cluster) -> int:
        return sum(isinstance(one.event, Returned) for one in now.outputs)

    if happens(running, CALM_MS, lambda now: answered(now) == 24):
        return ""
    return f"after {CALM_MS:g} ms, {answered(running)} of the clients' 24 operations have come back"


PRIMARY_BACKUP_SEARCHES: tuple[ProtocolSearch, ...] = (
    staged("takeover", "what a backup that becomes primary must know", primary_backup_model,
           Leg({"timeouts": {"S1.report": 1}}, first_view_is_complete),
           Leg({"requests": [WRITE], "timeouts": {"silence": 1}}, max_states=25_000)),
    staged("two takeovers", "what a new backup must know before it may become primary", primary_backup_model,
           Leg({"timeouts": {"S1.report": 1}, "requests": [WRITE]}, is_applied),
           Leg({"timeouts": {"silence": 1, "S1.report": 2}}, third_is_backup),
           Leg({"timeouts": {"silence": 1}}, max_states=25_000)),
    breadth("first view", "every order of the first reports, and a request", primary_backup_model, 25_000,
            timeouts={"S1.report": 1, "silence": 1}, requests=[WRITE]),
    simulated("simulated faults", "real timers, clients; crashes, partitions, loss", SERVICE.faults()),
    simulated("client histories", "answers that no single server could have given", SERVICE.histories(),
              family="histories"),
    simulated("liveness", "a service that is safe because it does nothing",
              Simulation(crash_of_the_primary, unanswered, range(1, 13), "simulated runs with one crash", (0, 2_000),
                         "liveness"), family="liveness"),
    walks("random walks", "long mixtures of everything", primary_backup_model, 300, 80,
          timeouts={"report": 6, "silence": 3}, requests=[WRITE, ("S2", ClientRequest(Put("x", 2)))],
          faults=Faults(crashes=2, duplicates=2)),
)  # fmt: skip
"""Every search that a primary-backup class has to stand; the shipped ``PrimaryBackup`` passes all of them."""
