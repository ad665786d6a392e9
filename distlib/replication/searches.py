"""What a primary-backup class has to stand, its servers' or its monitor's: ``PRIMARY_BACKUP_SEARCHES``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.world import Faults, World
from distlib.check.search import Leg, ProtocolSearch, breadth, staged, walks
from distlib.check.simulation import Simulation, simulated
from distlib.core.fault import Crash, Fault
from distlib.core.node import NodeId, node_names
from distlib.replication.client import Client
from distlib.replication.invariants import primary_backup_invariants
from distlib.replication.message import ClientRequest, Returned
from distlib.replication.primary_backup import MONITOR, Announce, HandOver, PrimaryBackup, Stored, View, cluster
from distlib.replication.simulations import LOSSY, SEEDS, Service, happens
from distlib.replication.state_machine import Put
from distlib.sim.cluster import Cluster

Goal = Callable[[World], bool]
NAMES = node_names(3)
WRITE, OTHER = ("S1", ClientRequest(Put("x", 1))), ("S1", ClientRequest(Put("x", 2)))
REPEATED = ClientRequest(Put("x", 1), "C1", 1)
CALM_MS, OPERATIONS = 10_000.0, 40


def primary_backup_model(node_class: type[Any], **options: Any) -> ClusterModel:
    """A monitor and three servers."""
    return ClusterModel(lambda: cluster(node_class, NAMES), invariants=primary_backup_invariants(), **options)


def primary_of(running: Cluster) -> NodeId | None:
    """The up server that now believes to be primary, in the latest view if there are several."""
    up: list[Any] = [node for name, node in running.nodes.items() if running.is_up(name)]
    found = [node for node in up if isinstance(node, PrimaryBackup) and node.role() == "primary"]
    return max(found, key=lambda node: node.current.number).id if found else None


SERVICE = Service(cluster, primary_backup_invariants, primary_of)


# ------------------------------------------------------------ goals


def complete(number: int, primary: NodeId, backup: NodeId) -> Goal:
    """View ``number`` has these roles; the monitor has the primary's report of it, so its backup has the log."""

    def goal(world: World) -> bool:
        monitor = world.node(MONITOR)
        return bool(monitor.current == View(number, primary, backup) and monitor.reported)

    return goal


def applied(name: NodeId, count: int) -> Goal:
    """``name`` has applied so many requests."""
    return lambda world: bool(world.node(name).applied == count)


def confirmation_under_way(world: World) -> bool:
    """S2, as the backup of view 2, has the first request, and S1 has not heard of it yet."""
    return any(one.message == Stored(2, 1) for one in world.messages())


def second_term_begins(world: World) -> bool:
    """S2 is to be S1's backup again, in view 4, and has not got the log yet."""
    again = View(4, "S1", "S2")
    return world.node("S1").current == again and world.node("S2").copied < 4


def late_messages(world: World) -> bool:
    """The word of view 1, in which S1 is alone, and a copy of the log as it was are still under way."""
    kinds = [one.message for one in world.messages()]
    return Announce(View(1, "S1")) in kinds and HandOver(View(2, "S1", "S2"), ()) in kinds


def all_of(*goals: Goal) -> Goal:
    """All of ``goals`` at once."""
    return lambda world: all(goal(world) for goal in goals)


SAME_BACKUP_AGAIN = (
    Leg({"timeouts": {"S1.report": 2}}, complete(2, "S1", "S2")),
    Leg({"requests": [WRITE]}, confirmation_under_way),
    Leg({"timeouts": {"silence": 1, "S1.report": 2}}, all_of(complete(3, "S1", "S3"), confirmation_under_way)),
    Leg({"requests": [OTHER]}, all_of(applied("S1", 2), confirmation_under_way)),
    Leg({"timeouts": {"silence": 1, "S1.report": 1, "S2.report": 1}},
        all_of(second_term_begins, confirmation_under_way)),
    Leg({"timeouts": {"silence": 1, "S1.report": 1}}, max_states=25_000),
)  # fmt: skip
"""S2 is S1's backup, then S3 is, then S2 again; a confirmation of S2's first time is still under way."""


LATE_MESSAGES = (
    Leg({"timeouts": {"S1.report": 3}, "faults": Faults(duplicates=2)},
        all_of(complete(2, "S1", "S2"), late_messages)),
    Leg({"requests": [WRITE]}, all_of(applied("S1", 1), late_messages)),
    Leg({"requests": [OTHER], "timeouts": {"silence": 1}, "faults": Faults(crashes=1)}, max_states=25_000),
)  # fmt: skip
"""One server may crash, while messages from before are still under way: what must it remember?"""


# ------------------------------------------------------------ simulated runs

LOSSES: tuple[tuple[Fault, ...], ...] = (
    (Crash(300, "@primary", 600),),
    (Crash(300, "@primary"),),
    (Crash(300, "@backup"), Crash(1_000, "@backup")),
    (Crash(300, "@backup"), Crash(600, "@idle"), Crash(1_000, MONITOR, 30)),
    tuple(Crash(300, name, 100) for name in (*NAMES, MONITOR)),
    (*(Crash(200 + 300 * at, name, 100) for at, name in enumerate(NAMES)), Crash(1_300, "@primary"),
     Crash(1_900, "@primary")),
)  # fmt: skip
"""Losses that the service survives: one server is left that has the log, and the monitor."""


def losses(node_class: type[Any], seed: int) -> Cluster:
    """Three servers and two clients; servers crash one after the other, some for good, or the monitor does."""
    commands = tuple(Put("x", number) for number in range(OPERATIONS))
    clients = [Client(name, NAMES, commands, think_ms=(20, 80), timeout_ms=150) for name in ("C1", "C2")]
    members = [*cluster(node_class, NAMES), *clients]
    return Cluster(members, LOSSY, seed=seed, faults=LOSSES[seed % len(LOSSES)])


def unanswered(running: Cluster) -> str:
    """That not all operations of the clients came back."""

    def answered(now: Cluster) -> int:
        return sum(isinstance(one.event, Returned) for one in now.outputs)

    if happens(running, CALM_MS, lambda now: answered(now) == 2 * OPERATIONS):
        return ""
    return f"after {CALM_MS:,.0f} ms, {answered(running)} of the clients' {2 * OPERATIONS} operations have come back"


PRIMARY_BACKUP_SEARCHES: tuple[ProtocolSearch, ...] = (
    staged("takeover", "what a backup that becomes primary must know", primary_backup_model,
           Leg({"timeouts": {"S1.report": 2}}, complete(2, "S1", "S2")),
           Leg({"requests": [WRITE], "timeouts": {"silence": 1}}, max_states=25_000)),
    staged("two takeovers", "what a new backup must know before it may become primary", primary_backup_model,
           Leg({"timeouts": {"S1.report": 2}}, complete(2, "S1", "S2")),
           Leg({"requests": [WRITE]}, applied("S1", 1)),
           Leg({"timeouts": {"silence": 1, "S1.report": 2}}, complete(3, "S1", "S3")),
           Leg({"timeouts": {"silence": 1}}, max_states=25_000)),
    breadth("first views", "every order of the first reports, and a request", primary_backup_model, 60_000,
            timeouts={"S1.report": 2, "silence": 1}, requests=[WRITE]),
    staged("same backup again", "messages of a view in which the roles were the same", primary_backup_model,
           *SAME_BACKUP_AGAIN),
    staged("late messages", "what a server must remember through a crash", primary_backup_model, *LATE_MESSAGES),
    simulated("simulated faults", "real timers, clients; crashes, partitions, loss", SERVICE.faults()),
    simulated("client histories", "answers that no single server could have given", SERVICE.histories(),
              family="histories"),
    simulated("slow disks", "what is told before it is written", SERVICE.slow_disks(), family="histories"),
    simulated("stale reads", "answers of a primary that has been replaced and doesn't know", SERVICE.stale_reads(),
              family="histories"),
    simulated("liveness", "a service that is safe because it does nothing",
              Simulation(losses, unanswered, SEEDS, "simulated runs in which servers are lost", (0, 2_500), "liveness"),
              family="liveness"),
    walks("random walks", "long mixtures of everything", primary_backup_model, 400, 150,
          timeouts={"report": 20, "silence": 8}, faults=Faults(crashes=4, duplicates=6),
          requests=[*((name, REPEATED) for name in NAMES), ("S2", ClientRequest(Put("x", 2), "C2", 1))]),
)  # fmt: skip
"""Every search that a primary-backup class has to stand; the shipped ``PrimaryBackup`` passes all of them."""
