"""What a Multi-Paxos class has to stand: ``MULTI_PAXOS_SEARCHES``, from a slot behind a hole to clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.world import Faults, World
from distlib.check.search import Leg, ProtocolSearch, breadth, staged, walks
from distlib.check.simulation import Simulation, simulated
from distlib.core.fault import Crash
from distlib.core.mutant import LIVENESS
from distlib.core.node import NodeId, node_names, with_peers
from distlib.paxos.invariants import multi_paxos_invariants
from distlib.paxos.message import Nack
from distlib.paxos.multi_paxos import MultiPaxos
from distlib.paxos.multi_paxos_message import Promise
from distlib.replication.message import ClientRequest
from distlib.replication.simulations import LAN, RUN_MS, SEEDS, Service, all_returned, happens
from distlib.replication.state_machine import Put
from distlib.sim.cluster import Cluster

Goal = Callable[[World], bool]
NAMES = node_names(3)
WRITES = [("S1", ClientRequest(Put("x", number))) for number in (1, 2)]
OTHER = [("S2", ClientRequest(Put("x", 3)))]
OTHERS = [("S3", ClientRequest(Put("x", number))) for number in (4, 5)]
"""What clients ask of S1, of S2 and of S3."""
CALM_MS = 10_000.0


def multi_paxos_model(node_class: type[MultiPaxos], servers: int = 3, **options: Any) -> ClusterModel:
    """So many servers under all of Multi-Paxos's invariants."""
    return ClusterModel(
        lambda: with_peers(node_class, node_names(servers)), invariants=multi_paxos_invariants(), **options
    )


def leader_of(cluster: Cluster) -> NodeId | None:
    """The up server that now believes to lead, the one of the highest ballot if there are several."""
    up = [node for name, node in cluster.nodes.items() if cluster.is_up(name)]
    leaders = [node for node in up if isinstance(node, MultiPaxos) and node.role.value == "leader"]
    return max(leaders, key=lambda node: node.ballot).id if leaders else None


SERVICE = Service(with_peers, multi_paxos_invariants, leader_of)


# ------------------------------------------------------------ goals


def leads(name: NodeId) -> Goal:
    """``name`` is the leader."""
    return lambda world: bool(world.node(name).role.value == "leader")


def proposes_both(world: World) -> bool:
    """S1 has proposed both requests, and no acceptor has them."""
    return len(world.node("S1").proposals) == 2 and not any(world.node(name).accepted for name in NAMES)


def chosen_behind_a_hole(world: World) -> bool:
    """S1 knows what is chosen for slot 2, S2 alone has accepted that as well, and nobody has anything in slot 1."""
    one, two, three = (world.node(name) for name in NAMES)
    return set(one.learnt) == {2} and set(two.accepted) == {2} and not (one.accepted or three.accepted)


def accepted_by(*names: NodeId) -> Goal:
    """Just these servers hold something for slot 1; nobody knows that anything is chosen."""

    def goal(world: World) -> bool:
        held = [name for name in NAMES if 1 in world.node(name).accepted]
        return held == [*names] and not any(world.node(name).log for name in NAMES)

    return goal


def both_stand(world: World) -> bool:
    """S1 stands at a ballot above that of slot 1's value and below the one that S3 stands at."""
    one, three = world.node("S1"), world.node("S3")
    candidates = one.role.value == three.role.value == "candidate"
    return bool(candidates and three.accepted[1].ballot < one.ballot < three.ballot == three.promised)


def nack_under_way(world: World) -> bool:
    """S1 has promised itself what S3 has refused it."""
    one = world.node("S1")
    nacks = [letter for letter in world.messages() if isinstance(letter.message, Nack) and letter.sender == "S3"]
    return set(one.promises) == {"S1"} and any(letter.message.ballot == one.ballot for letter in nacks)


def promise_under_way(world: World) -> bool:
    """S2's promise for S1's ballot has not reached S1."""
    return any((one.sender, one.receiver) == ("S2", "S1") and isinstance(one.message, Promise) and
               one.message.ballot == world.node("S1").ballot for one in world.messages())  # fmt: skip


def both(*goals: Goal) -> Goal:
    """All of ``goals`` at once."""
    return lambda world: all(goal(world) for goal in goals)


def apart(name: NodeId) -> list[tuple[NodeId, NodeId]]:
    """All links from and to ``name``."""
    return [pair for other in NAMES if other != name for pair in ((name, other), (other, name))]


# ------------------------------------------------------------ simulated runs


def calm(node_class: type[MultiPaxos], seed: int) -> Cluster:
    """Three servers and a client; the leader crashes for good with odd seeds."""
    faults = (Crash(600.0, "@leader"),) if seed % 2 else ()
    return Cluster(SERVICE.nodes(node_class, 3, 1, seed), LAN, seed=seed, faults=faults)


def unanswered(cluster: Cluster) -> str:
    """That not all that the client asked came back."""
    if happens(cluster, CALM_MS, all_returned):
        return ""
    return f"not all that the client asked has come back after {CALM_MS:,.0f} ms of a calm network"


LIVENESS_RUNS = Simulation(
    calm, unanswered, SEEDS, "simulated runs in a calm network, half of them with a crash", (0, RUN_MS), LIVENESS
)

MULTI_PAXOS_SEARCHES: tuple[ProtocolSearch, ...] = (
    staged("behind a hole", "what a new leader must hear of slots behind a hole", multi_paxos_model,
           Leg({"timeouts": {"S1.suspicion": 1}}, leads("S1")),
           Leg({"requests": WRITES}, proposes_both),
           Leg({"partitioned": apart("S3")}, chosen_behind_a_hole),
           Leg({"timeouts": {"S3.suspicion": 1}, "partitioned": apart("S2")}, leads("S3")),
           Leg({"requests": OTHERS}, max_states=25_000)),
    staged("a chosen slot", "a proposal for a slot that is chosen already", multi_paxos_model,
           Leg({"timeouts": {"S1.suspicion": 1}}, leads("S1")),
           Leg({"requests": WRITES[:1]}, accepted_by("S1", "S2")),
           Leg({"timeouts": {"S3.suspicion": 1}}, leads("S3")),
           Leg({"faults": Faults(crashes=1)}, max_states=25_000)),
    staged("refused", "a refusal by one who promised more, beside a chosen value", multi_paxos_model,
           Leg({"timeouts": {"S2.suspicion": 1}, "partitioned": apart("S1")}, leads("S2")),
           Leg({"requests": OTHER, "partitioned": apart("S1")}, accepted_by("S2", "S3")),
           Leg({"timeouts": {"S1.suspicion": 2, "S3.suspicion": 1}}, both_stand),
           Leg({"partitioned": [("S2", "S3"), ("S3", "S2")]}, nack_under_way),
           Leg({"requests": WRITES[:1]}, max_states=25_000)),
    staged("one has it", "a value that one acceptor has, and another leader", multi_paxos_model,
           Leg({"timeouts": {"S1.suspicion": 1}}, leads("S1")),
           Leg({"requests": WRITES[:1]}, accepted_by("S1")),
           Leg({"timeouts": {"S2.suspicion": 1}, "requests": OTHER, "faults": Faults(crashes=1)}, max_states=30_000)),
    staged("three ballots", "the choice of a slot's value, when acceptors report different ones", multi_paxos_model,
           Leg({"timeouts": {"S1.suspicion": 1}}, leads("S1")),
           Leg({"requests": WRITES[:1]}, accepted_by("S1")),
           Leg({"timeouts": {"S2.suspicion": 1}, "partitioned": apart("S1")}, leads("S2")),
           Leg({"requests": OTHER, "partitioned": apart("S1")}, accepted_by("S1", "S2", "S3")),
           Leg({"timeouts": {"S3.suspicion": 1}, "partitioned": apart("S2")}, max_states=25_000)),
    staged("stale promises", "answers to a ballot that was given up", multi_paxos_model,
           Leg({"timeouts": {"S1.suspicion": 1, "S3.suspicion": 1}}, both(leads("S3"), promise_under_way)),
           Leg({"requests": OTHERS[:1]}, both(accepted_by("S2", "S3"), promise_under_way)),
           Leg({"timeouts": {"S1.suspicion": 1}, "requests": WRITES[:1], "partitioned": apart("S3")},
               max_states=25_000)),
    breadth("two leaders", "two candidates and two requests", multi_paxos_model, 30_000,
            timeouts={"S1.suspicion": 1, "S2.suspicion": 1}, requests=[*WRITES[:1], *OTHER]),
    breadth("four servers", "quorums: half of an even number is none", multi_paxos_model, 10_000,
            servers=4, timeouts={"S1.suspicion": 1, "S2.suspicion": 1}, requests=[*WRITES[:1], *OTHER]),
    simulated("simulated faults", "real timers, clients; crashes, partitions, loss", SERVICE.faults()),
    simulated("client histories", "answers that no single server could have given", SERVICE.histories(),
              family="histories"),
    simulated("slow disks", "what is told before it is written", SERVICE.slow_disks(), family="histories"),
    simulated("stale reads", "answers of a leader that has been deposed and doesn't know", SERVICE.stale_reads(),
              family="histories"),
    simulated("liveness", "a service that is safe because it does nothing", LIVENESS_RUNS, family="liveness"),
    walks("random walks", "long mixtures of everything", multi_paxos_model, 200, 80,
          timeouts={"suspicion": 4, "heartbeat": 3}, faults=Faults(crashes=2, duplicates=2),
          requests=[(None, request) for _, request in (*WRITES, *OTHER)]),
)  # fmt: skip
"""Every search that a Multi-Paxos class has to stand; the shipped ``MultiPaxos`` passes all of them."""
