"""Searches that the bug museum adds to those of ``paxos_search``: two lives of one proposer, ballots that mix, loss.

No search knows which bug it is after; the shipped Paxos goes through all of these situations and stays right.
"""

from __future__ import annotations

from typing import Any

from distlib.check.cluster.world import Faults, World
from distlib.check.search import Leg, ProtocolSearch, staged
from distlib.core.fault import Crash, Partition
from distlib.core.node import NodeId
from distlib.paxos.message import Promise, Propose
from distlib.paxos.paxos import Paxos, Phase
from distlib.paxos.searches import NAMES, A, B, accepted, paxos_model
from distlib.raft.museum_searches import simulated
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network

LIMIT_MS = 5_000.0


def chosen_with_a_promise_under_way(world: World) -> bool:
    """S1 and S2 have accepted "a", and S2's empty promise has not reached S1 yet."""
    late = any(
        (one.sender, one.receiver) == ("S2", "S1") and isinstance(one.message, Promise) for one in world.messages()
    )
    return late and accepted("a", "a", None)(world)


def one_ahead(world: World) -> bool:
    """S1 has accepted its own first proposal, while S2 prepares its first ballot."""
    two = world.node("S2")
    first = two.phase is Phase.PREPARING and two.ballot.round == 1
    return first and accepted("a", None, None)(world)


def second_try(world: World) -> bool:
    """S1 prepares its second ballot."""
    one = world.node("S1")
    return one.phase is Phase.PREPARING and one.ballot.round > 1 and accepted("a", None, "b")(world)


def accepted_again(world: World) -> bool:
    """S1 and S2 have accepted "a" at different ballots, and S3 has "b" of a ballot in between."""
    one, two, three = (world.node(name) for name in NAMES)
    return accepted("a", "a", "b")(world) and one.accepted_ballot < three.accepted_ballot < two.accepted_ballot


def heard_twice(world: World) -> bool:
    """The learner S3 has heard of "a" from both S1 and S2."""
    three = world.node("S3")
    heard = {vote.acceptor for vote in three.votes if vote.value == "a"}
    return three.chosen == "a" or heard >= {"S1", "S2"}


def third_try(world: World) -> bool:
    """S2 prepares its second ballot, the highest of all."""
    two = world.node("S2")
    return two.phase is Phase.PREPARING and two.ballot > two.accepted_ballot and two.ballot.round > 1


def proposes_again(world: World) -> bool:
    """S2 is in phase 2 of that ballot, for "b"."""
    two = world.node("S2")
    return two.phase is Phase.PROPOSING and two.ballot.round > 2 and two.proposal == "b"


def lossy(kind: type[Paxos], seed: int) -> Cluster:
    """Three nodes, one of which proposes, over a network that loses three messages of ten."""
    nodes = [kind(name, NAMES, value="a" if name == "S1" else None) for name in NAMES]
    return Cluster(nodes, Network(Uniform(1, 5), loss=0.3), seed=seed)


def left_behind(kind: type[Paxos], seed: int) -> Cluster:
    """S1 is cut off while S2 begins a higher ballot and crashes for good; then S1 goes on, with S3."""
    wanted = {"S1": "a", "S2": "b"}
    nodes = [kind(name, NAMES, value=wanted.get(name)) for name in NAMES]
    faults = (Partition(0.0, (("S1",), ("S2", "S3")), 60.0), Crash(6.0, "S2"))
    return Cluster(nodes, Network(Uniform(1, 5)), seed=seed, faults=faults)


def undecided(cluster: Cluster) -> str:
    """Who is up and knows no value; empty when all do."""
    nodes: dict[NodeId, Any] = dict(cluster.nodes)
    waiting = [name for name, node in nodes.items() if cluster.is_up(name) and node.chosen is None]
    return f"after {LIMIT_MS:,.0f} ms, {', '.join(waiting)} has learnt no value" if waiting else ""


PAXOS_MUSEUM_SEARCHES: tuple[ProtocolSearch, ...] = (
    ProtocolSearch(
        "second life", "a proposer that crashes and comes back with another value",
        staged(
            paxos_model,
            Leg({"requests": [A]}, chosen_with_a_promise_under_way),
            Leg({"requests": [("S1", Propose("b"))], "faults": Faults(crashes={"S1": 1})}, max_states=30_000),
        ),
    ),
    ProtocolSearch(
        "first ballots", "two first ballots that are under way at the same time",
        staged(
            paxos_model, Leg({"requests": [A, B]}, one_ahead, max_states=60_000), Leg({}, max_states=30_000)
        ),
    ),
    ProtocolSearch(
        "four ballots", "acceptances of one value at several ballots",
        staged(
            paxos_model,
            Leg({"requests": [A]}, accepted("a", None, None)),
            Leg({"requests": [B]}, accepted("a", None, "b")),
            Leg({"timeouts": {"S1.backoff": 1}}, second_try),
            Leg({}, accepted_again),
            Leg({}, heard_twice),
            Leg({"timeouts": {"S2.backoff": 1}}, third_try),
            Leg({}, proposes_again),
            Leg({}, max_states=30_000),
            learners=("S3",),
        ),
    ),
    ProtocolSearch(
        "lossy network", "progress although messages are lost",
        simulated(lossy, LIMIT_MS, undecided, "simulated runs with 30 % loss", "liveness"), "liveness",
    ),
    ProtocolSearch(
        "left behind", "progress after a higher ballot that nobody finishes",
        simulated(left_behind, LIMIT_MS, undecided, "simulated runs with a dead rival", "liveness"), "liveness",
    ),
)  # fmt: skip
"""What the museum has on top of ``PAXOS_SEARCHES``; the shipped Paxos passes all of them."""
