"""What a class of Paxos Commit has to stand: ``PAXOS_COMMIT_SEARCHES``."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from distlib.check.cluster.world import Faults, World
from distlib.check.search import Leg, ProtocolSearch, breadth, staged, walks
from distlib.check.simulation import Simulation, simulated
from distlib.core.mutant import LIVENESS
from distlib.core.node import node_names
from distlib.transactions.message import Bundle
from distlib.transactions.quorum_searches import apart, blocked, survivors
from distlib.transactions.searches import (
    ENDS,
    FAULTS,
    OPPOSITE,
    REQUEST_OF_TWO,
    SLOW_DISKS,
    TOO_MUCH,
    TX,
    UNDISTURBED,
    commit_model,
    in_doubt,
    under_way,
    undisturbed,
)

SEEDS = range(1, 16)


def committed_and_unheard(world: World) -> bool:
    """S1 has told its client of a commit, and S2 and S3 are in doubt."""
    return world.node("S1").told == (TX, True) and in_doubt("S2", "S3")(world)


def reported(world: World) -> bool:
    """An acceptor's report of all votes is under way, and nobody has decided."""
    return under_way(Bundle)(world) and in_doubt("S2", "S3")(world) and world.node("S1").told is None


BLOCKED = Simulation(
    partial(survivors, acceptors=node_names(5)), blocked, SEEDS, "simulated runs whose leader dies", (0, 300), LIVENESS
)

NOTHING_FAILS = replace(UNDISTURBED, cluster=partial(undisturbed, readers_leave=False))

PAXOS_COMMIT_SEARCHES: tuple[ProtocolSearch, ...] = (
    breadth("too little money", "a participant that cannot commit", commit_model, 5_000, requests=[TOO_MUCH]),
    breadth("votes", "the decision, while votes come in", commit_model, 10_000, requests=[REQUEST_OF_TWO]),
    staged("slow votes", "what becomes of a vote that the leader has not waited for", commit_model,
           Leg({"requests": [REQUEST_OF_TWO]}, in_doubt("S2")),
           Leg({"timeouts": {"S1.vote": 1}}, max_states=12_000)),
    staged("two leaders", "a participant that takes the lead beside the leader", commit_model,
           Leg({"requests": [REQUEST_OF_TWO]}, reported),
           Leg({"partitioned": apart(("S1",), ("S2", "S3")), "timeouts": {"S3.inquire": 1}}, max_states=12_000)),
    staged("acceptors crash", "what an acceptor must know after a crash", commit_model,
           Leg({"requests": [REQUEST_OF_TWO]}, committed_and_unheard),
           Leg({"faults": Faults(crashes={"S1": 1, "S2": 1})}, lambda world: all(
               world.node(name).lives == 2 for name in ("S1", "S2")) and in_doubt("S2", "S3")(world)),
           Leg({"timeouts": {"S3.inquire": 1}}, max_states=12_000)),
    simulated("simulated faults", "real timers, clients; crashes, partitions, loss", replace(FAULTS, seeds=SEEDS)),
    simulated("slow disks", "what is told before it is written", replace(SLOW_DISKS, seeds=SEEDS), family="histories"),
    simulated("blocking", "whether a dead leader leaves others in doubt", BLOCKED, family="liveness"),
    simulated("ends", "a protocol that is safe because it does nothing", replace(ENDS, seeds=SEEDS),
              family="liveness"),
    simulated("undisturbed", "that transactions are committed where nothing fails", NOTHING_FAILS, family="liveness"),
    walks("random walks", "long mixtures of everything", commit_model, 40, 80, requests=[REQUEST_OF_TWO, OPPOSITE],
          timeouts={"vote": 1, "inquire": 2}, faults=Faults(crashes=2, duplicates=1)),
)  # fmt: skip
"""Every search that a class of Paxos Commit has to stand; ``PaxosCommit`` passes all of them."""
