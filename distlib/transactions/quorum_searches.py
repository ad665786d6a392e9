"""What a class of quorum commit has to stand: ``QUORUM_SEARCHES``."""

from __future__ import annotations

from typing import Any

from distlib.check.cluster.world import Faults, World
from distlib.check.search import Leg, ProtocolSearch, breadth, staged, walks
from distlib.check.simulation import Simulation, simulated
from distlib.core.fault import Crash, OneWay
from distlib.core.mutant import LIVENESS
from distlib.core.node import NodeId, node_names
from distlib.core.seeds import Seeds
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from distlib.transactions.bank import Add
from distlib.transactions.invariants import commit_invariants
from distlib.transactions.message import Begin, StageReport
from distlib.transactions.searches import (
    ENDS,
    FAULTS,
    READS,
    REQUEST,
    REQUEST_OF_TWO,
    SLOW_DISKS,
    TOO_MUCH,
    TX,
    UNDISTURBED,
    Goal,
    commit_model,
    not_asked_yet,
)
from distlib.transactions.two_phase import cluster

SURVIVORS = range(1, 61)
SURVIVED_MS = 1_500.0
ALONE = {"S3.inquire": 1, "S3.gather": 2}


def leans(**leanings: bool | None) -> Goal:
    """These lean so: towards a commit, an abort, or not at all; all are prepared."""

    def goal(world: World) -> bool:
        for name, commit in leanings.items():
            branch = world.node(name).branches.get(TX)
            if branch is None or not branch.prepared:
                return False
            if (branch.leaning.commit if branch.leaning else None) is not commit:
                return False
        return True

    return goal


def decided(*names: NodeId) -> Goal:
    """One of these has committed, and another one of the three leans and has not heard of it."""

    def goal(world: World) -> bool:
        over = [name for name in ("S1", "S2", "S3") if (TX, True) in world.node(name).outcomes]
        return bool(over) and set(over) <= set(names) and world.node("S1").told == (TX, True)

    return goal


def aborted_by_s3(world: World) -> bool:
    """S3 has aborted with S2, which has not heard of that; S1 still leans towards a commit."""
    return (TX, False) in world.node("S3").outcomes and leans(S1=True, S2=False)(world)


def committed_by_s2(world: World) -> bool:
    """S2 has committed with S1, which has not heard of that and leans that way; S3 still leans towards an abort."""
    return (TX, True) in world.node("S2").outcomes and leans(S1=True, S3=False)(world)


def answer_to_s3(sender: NodeId, **leanings: bool | None) -> Goal:
    """S3 has asked in a ballot of its own, and the answer of ``sender`` is under way to it; all lean as given."""

    def goal(world: World) -> bool:
        return leans(**leanings)(world) and any(
            (one.sender, one.receiver) == (sender, "S3") and isinstance(one.message, StageReport)
            for one in world.messages()
        )  # fmt: skip

    return goal


ASKED = Leg({"requests": [REQUEST], "timeouts": {"S3.inquire": 1}}, answer_to_s3("S2", S1=None, S2=None, S3=None),
            max_states=80_000)  # fmt: skip


def apart(*groups: tuple[NodeId, ...]) -> frozenset[tuple[NodeId, NodeId]]:
    """The links between ``groups``."""
    return frozenset(
        (one, other) for here in groups for there in groups if here != there for one in here for other in there
    )


def survivors(node_class: type[Any], seed: int, **settings: Any) -> Cluster:
    """Six nodes: a coordinator that crashes for good in the middle of what it sends, perhaps a participant as well. The
    network is what three-phase commit assumes: all that is sent arrives in 5 ms."""
    names, random = node_names(6), Seeds(seed).stream("survivors")
    faults: list[Any] = []
    for victim, at_ms in (("S1", random.uniform(10, 60)), (random.choice(names[1:]), random.uniform(40, 200))):
        if victim != "S1" and random.random() < 0.4:
            continue
        deaf = tuple(random.sample([one for one in names if one != victim], random.randrange(1, 5)))
        faults += [OneWay(at_ms - 8.0, (victim,), deaf, 8.0), Crash(at_ms, victim)]
    nodes = cluster(node_class, names, vote_ms=30, inquire_ms=40, resend_ms=30, **settings)
    made = Cluster(nodes, Network(Uniform(1, 5)), seed=seed, faults=faults, invariants=commit_invariants())
    work = tuple([(name, (Add("x", -4 if name == "S2" else 1),)) for name in names[1:]])
    made.post(5.0, "S1", Begin(work))
    return made


def blocked(running: Cluster) -> str:
    """That somebody who is up stays in doubt, or that two have decided differently."""

    running.run(SURVIVED_MS)
    if running.violations:
        return str(running.violations[0])
    up: list[Any] = [node for name, node in running.nodes.items() if running.is_up(name)]
    left = ", ".join(node.id for node in up if node.branches)
    words = f"after {SURVIVED_MS:,.0f} ms, the coordinator dead, {left} is still in doubt and holds its locks"
    return words if left else ""


BLOCKED = Simulation(survivors, blocked, SURVIVORS, "simulated runs whose coordinator dies", (0, 300), LIVENESS)

QUORUM_SEARCHES: tuple[ProtocolSearch, ...] = (
    breadth("too little money", "a participant that cannot commit", commit_model, 20_000,
            requests=[TOO_MUCH], faults=Faults(crashes=1)),
    breadth("duplicates", "messages that come twice", commit_model, 30_000, requests=[REQUEST_OF_TWO],
            faults=Faults(duplicates=2)),
    breadth("timeouts", "every timer at every moment", commit_model, 40_000, requests=[REQUEST_OF_TWO],
            timeouts={"vote": 1, "inquire": 2, "gather": 2}),
    staged("partition", "what those decide who hear nothing from the others", commit_model,
           Leg({"requests": [REQUEST]}, leans(S1=None, S2=True, S3=None)),
           Leg({"partitioned": apart(("S1", "S2"), ("S3",)), "timeouts": {**ALONE, "S1.gather": 1}},
               max_states=40_000)),
    staged("two voters", "what one of two may decide", commit_model,
           Leg({"requests": [REQUEST_OF_TWO]}, leans(S2=True, S3=None)),
           Leg({"partitioned": apart(("S1", "S2"), ("S3",)), "timeouts": {**ALONE, "S1.gather": 1}},
               max_states=40_000)),
    staged("coordinator crashes", "what the others must find out", commit_model,
           Leg({"requests": [REQUEST]}, decided("S2")),
           Leg({"faults": Faults(crashes={"S1": 1}), "timeouts": ALONE},
               max_states=40_000)),
    staged("participants crash", "what a participant must know after a crash", commit_model,
           Leg({"requests": [REQUEST]}, decided("S1")),
           Leg({"faults": Faults(crashes={"S2": 1, "S3": 1}), "timeouts": ALONE},
               max_states=40_000)),
    staged("two ballots", "whom to follow, when the coordinator and another one try to end it", commit_model,
           ASKED,
           Leg({}, leans(S2=False, S3=False)),
           Leg({}, max_states=30_000)),
    staged("three ballots", "whom to follow, when voters lean different ways", commit_model,
           ASKED,
           Leg({}, leans(S1=True, S2=False, S3=False)),
           Leg({}, aborted_by_s3),
           Leg({"partitioned": apart(("S1", "S2"), ("S3",)), "timeouts": {"S2.inquire": 1, "S2.gather": 1},
                "faults": Faults(crashes={"S2": 1})}, max_states=30_000)),
    staged("a lone voter", "what one may decide that leans alone, and what others must tell it", commit_model,
           ASKED,
           Leg({}, leans(S1=True, S2=None, S3=False)),
           Leg({"partitioned": apart(("S1", "S2"), ("S3",)), "timeouts": {"S2.inquire": 1, "S2.gather": 1}},
               leans(S1=True, S2=True, S3=False), max_states=60_000),
           Leg({"partitioned": apart(("S1", "S2"), ("S3",))}, committed_by_s2),
           Leg({"partitioned": apart(("S2",), ("S1", "S3")), "timeouts": {"S3.inquire": 1, "S3.gather": 1}},
               max_states=30_000)),
    staged("a late answer", "which answers count, and what they promise", commit_model,
           ASKED,
           Leg({}, answer_to_s3("S1", S1=True, S2=None, S3=False)),
           Leg({"partitioned": frozenset({("S3", "S1"), ("S3", "S2"), ("S2", "S3")}),
                "timeouts": {"S2.inquire": 1, "S2.gather": 1}}, max_states=40_000)),
    staged("not asked yet", "what somebody says who has not been asked for a vote", commit_model,
           Leg({"requests": [REQUEST]}, not_asked_yet),
           Leg({"timeouts": {"S2.inquire": 1}}, max_states=40_000)),
    simulated("simulated faults", "real timers, clients; crashes, partitions, loss", FAULTS),
    simulated("slow disks", "what is told before it is written", SLOW_DISKS, family="histories"),
    simulated("reads", "what clients are told of the balances", READS, family="histories"),
    simulated("blocking", "whether a dead coordinator leaves others in doubt", BLOCKED, family="liveness"),
    simulated("ends", "a protocol that is safe because it does nothing", ENDS, family="liveness"),
    simulated("undisturbed", "that transactions are committed where nothing fails", UNDISTURBED, family="liveness"),
    walks("random walks", "long mixtures of everything", commit_model, 200, 100,
          requests=[REQUEST, REQUEST_OF_TWO], timeouts={"vote": 2, "inquire": 4, "gather": 6},
          faults=Faults(crashes=2, duplicates=2)),
)  # fmt: skip
"""Every search that a class of quorum commit has to stand; ``QuorumCommit`` passes all of them."""
