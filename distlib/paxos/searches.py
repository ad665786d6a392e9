"""What a Paxos class has to stand: ``PAXOS_SEARCHES``, from two ballots in every order to three in the worst one."""

from __future__ import annotations

from typing import Any

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.world import Faults, World
from distlib.check.search import Leg, ProtocolSearch, breadth, staged, walks
from distlib.check.simulation import Simulation, after, simulated, watched
from distlib.core.fault import Crash, Fault, Nemesis, Partition
from distlib.core.node import node_names
from distlib.paxos.invariants import Agreement, paxos_invariants
from distlib.paxos.message import Chosen, Promise, Propose
from distlib.paxos.paxos import Paxos, Phase
from distlib.replication.simulations import happens
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network

NAMES = node_names(3)
A, B, C = ("S1", Propose("a")), ("S2", Propose("b")), ("S3", Propose("c"))
A_OF_S3, C_OF_S1 = ("S3", Propose("a")), ("S1", Propose("c"))
SEEDS, FEW_SEEDS = range(1, 41), range(1, 13)
CALM_MS = 5_000.0
LAN = Network(Uniform(1, 5))


def paxos_model(node_class: type[Paxos], learners: tuple[str, ...] = (), **options: Any) -> ClusterModel:
    """Three acceptors, each of which may propose. Without learners, only the invariants see what is chosen."""
    return ClusterModel(
        lambda: [node_class(name, NAMES, learners=learners) for name in NAMES], invariants=paxos_invariants(), **options
    )


# ------------------------------------------------------------ goals


def accepted(*values: str | None) -> Any:
    """A goal: what S1, S2 and S3 have accepted, in turn."""

    def goal(world: World) -> bool:
        return tuple(world.node(name).accepted_value for name in NAMES) == values

    goal.__name__ = f"accepted {values}"
    return goal


def of_round_1(*values: str | None) -> Any:
    """A goal: S1, S2 and S3 have accepted that, all of it at ballots of round 1."""

    def goal(world: World) -> bool:
        return accepted(*values)(world) and {world.node(name).accepted_ballot.round for name in NAMES} == {1}

    goal.__name__ = f"of round 1: {values}"
    return goal


def backs_off(world: World) -> bool:
    """S1's first ballot met a higher one, and promises for it are still under way."""
    one, messages = world.node("S1"), [letter.message for letter in world.messages()]
    late = any(isinstance(message, Promise) and message.ballot == one.ballot for message in messages)
    return late and one.phase is Phase.BACKING_OFF


def rivals_prepare(world: World) -> bool:
    """S1 and S3 have accepted "a"; S3 has promised a ballot of its own, and S2 prepares a lower one."""
    two, three = world.node("S2"), world.node("S3")
    own = three.promised.proposer == "S3" and two.phase is Phase.PREPARING and two.ballot < three.promised
    return own and accepted("a", None, "a")(world)


def chosen_with_a_promise_under_way(world: World) -> bool:
    """S1 and S2 have accepted "a", and S2's empty promise has not reached S1 yet."""
    late = any(
        (one.sender, one.receiver) == ("S2", "S1") and isinstance(one.message, Promise) for one in world.messages()
    )
    return late and accepted("a", "a", None)(world)


def ahead(first: str, second: str) -> Any:
    """A goal: ``first`` alone has accepted its own first proposal, while ``second`` prepares its first ballot."""

    def goal(world: World) -> bool:
        one, other = world.node(first), world.node(second)
        own = one.accepted_ballot == one.ballot and one.ballot.round == 1
        alone = sum(world.node(name).accepted_value is not None for name in NAMES) == 1
        return own and alone and other.phase is Phase.PREPARING and other.ballot.round == 1

    goal.__name__ = f"{first} is ahead of {second}"
    return goal


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


# ------------------------------------------------------------ simulated runs


def nodes(node_class: type[Paxos], names: tuple[str, ...], values: dict[str, str]) -> list[Paxos]:
    """Acceptors called ``names``, of which some propose ``values``."""
    return [node_class(name, names, value=values.get(name)) for name in names]


def five(node_class: type[Paxos], seed: int) -> list[Paxos]:
    """Five acceptors, of which two or three propose."""
    names = node_names(5)
    return nodes(node_class, names, dict(zip(names[seed % 3 :], "abc"[: 2 + seed % 2], strict=False)))


def under_nemesis(node_class: type[Paxos], seed: int) -> Cluster:
    """Five acceptors under a nemesis."""
    nemesis = Nemesis(("crash", "crash", "partition", "one_way"), gap_ms=8, length_ms=20)
    network = Network(Uniform(1, 10), loss=0.1, duplication=0.1, reordering=0.2)
    faults = nemesis.schedule(node_names(5), seed, 400)
    return Cluster(five(node_class, seed), network, seed=seed, faults=faults, invariants=paxos_invariants())


def model_of_run(node_class: type[Paxos], seed: int) -> ClusterModel:
    """The explorer's model of the same cluster."""
    return ClusterModel(lambda: five(node_class, seed), invariants=paxos_invariants())


def calm(node_class: type[Paxos], seed: int) -> Cluster:
    """No faults but, in every other run, a crash of a minority and some loss that ends: what liveness is about."""
    faults: list[Fault] = [Crash(float(seed), "S5"), Crash(2.0 + seed, "S4")] if seed % 2 else []
    network = Network(Uniform(1, 5), loss=0.1 if seed % 4 > 1 else 0.0)
    return Cluster(five(node_class, seed), network, seed=seed, faults=faults)


def stuck(cluster: Cluster) -> str:
    """That not all nodes that are up learn a chosen value in a calm network."""
    if happens(cluster, CALM_MS, lambda now: not waiting(now)):
        return ""
    knowing = [name for name, node in cluster.nodes.items() if getattr(node, "chosen", None) is not None]
    who = ", ".join(knowing) or "nobody"
    return f"after {CALM_MS:g} ms in a calm network, {who} has learnt a chosen value; all nodes that are up should have"


def waiting(cluster: Cluster) -> list[str]:
    """Who is up and knows no value."""
    up = [(name, node) for name, node in cluster.nodes.items() if cluster.is_up(name)]
    return [name for name, node in up if getattr(node, "chosen", None) is None]


def lossy(node_class: type[Paxos], seed: int) -> Cluster:
    """Three nodes, one of which proposes, over a network that loses three messages of ten."""
    return Cluster(nodes(node_class, NAMES, {"S1": "a"}), Network(Uniform(1, 5), loss=0.3), seed=seed)


def left_behind(node_class: type[Paxos], seed: int) -> Cluster:
    """S1 is apart while S2 begins a higher ballot and crashes for good; then S1 goes on, with S3."""
    faults = (Partition(0.0, (("S1",), ("S2", "S3")), 60.0), Crash(6.0, "S2"))
    return Cluster(nodes(node_class, NAMES, {"S1": "a", "S2": "b"}), LAN, seed=seed, faults=faults)


def on_slow_disks(node_class: type[Paxos], seed: int) -> Cluster:
    """Five acceptors whose crashes lose what is not written yet; the network loses nothing."""
    faults = Nemesis(("crash",), gap_ms=5, length_ms=10).schedule(node_names(5), seed, 300)
    network = Network(Uniform(1, 10), disk=Uniform(5, 30), write_cache=True)
    return Cluster(five(node_class, seed), network, seed=seed, faults=faults)


def told_apart(cluster: Cluster) -> str:
    """That learners were told different values: what acceptors have in memory alone, nobody counts."""
    told = {str(one.event.value): one for one in cluster.outputs if isinstance(one.event, Chosen)}
    learnt = [f"{one.node} learnt {value!r} at {one.time_ms:,.0f} ms" for value, one in told.items()]
    return f"{learnt[0]}, and {learnt[1]}" if len(learnt) > 1 else ""


def undecided(cluster: Cluster) -> str:
    """Who is up and knows no value, in words; empty when all do."""
    names = waiting(cluster)
    return f"after {CALM_MS:,.0f} ms, {', '.join(names)} has learnt no value" if names else ""


FAULTS = Simulation(
    under_nemesis, watched(1_000.0), SEEDS, "simulated runs of 1,000 ms", (0, 1_000), model=model_of_run
)
LIVENESS = Simulation(calm, stuck, SEEDS, "simulated runs in a calm network", (0, 1_000), "liveness")
LOSSY = Simulation(lossy, after(CALM_MS, undecided), FEW_SEEDS, "simulated runs with 30 % loss", (0, 5_000), "liveness")
SLOW_DISKS = Simulation(
    on_slow_disks, after(1_500.0, told_apart), range(1, 61), "simulated runs on slow disks with a write cache",
    (0, 1_500), Agreement.name,
)  # fmt: skip
LEFT_BEHIND = Simulation(
    left_behind, after(CALM_MS, undecided), FEW_SEEDS, "simulated runs with a dead rival", (0, 5_000), "liveness"
)


# ------------------------------------------------------------ the searches

PAXOS_SEARCHES: tuple[ProtocolSearch, ...] = (
    staged("before a choice", "a promise must survive a crash, and bind", paxos_model,
           Leg({"requests": [A, B]}, accepted("a", None, None)),
           Leg({"faults": Faults(crashes=1)}, max_states=25_000)),
    breadth("duplicates", "answers that are counted twice", paxos_model, 20_000,
            requests=[A], faults=Faults(duplicates=2), learners=("S3",)),
    staged("stale promises", "answers to a ballot that was given up", paxos_model,
           Leg({"requests": [A, B]}, backs_off, max_states=60_000),
           Leg({"timeouts": {"S1.backoff": 1}}, max_states=25_000)),
    staged("three ballots, none chosen", "different reports, where the second ballot got stuck", paxos_model,
           Leg({"requests": [A]}, accepted("a", None, None)),
           Leg({"requests": [B]}, accepted("a", "b", None)),
           Leg({"requests": [C]}, max_states=25_000)),
    staged("three ballots", "the choice of the value, when acceptors report different ones", paxos_model,
           Leg({"requests": [A]}, accepted("a", None, None)),
           Leg({"requests": [B]}, accepted("a", "b", "b")),
           Leg({"requests": [C]}, max_states=25_000)),
    staged("one round", "the choice between values of one round: there, the proposer's name decides", paxos_model,
           Leg({"requests": [A, B]}, ahead("S1", "S2")),
           Leg({}, of_round_1("a", "b", "b")),
           Leg({"requests": [C]}, max_states=25_000)),
    staged("one round, mirrored", "the same, where another acceptor reports the higher ballot", paxos_model,
           Leg({"requests": [B, A_OF_S3]}, ahead("S2", "S3")),
           Leg({}, of_round_1("a", "b", "a")),
           Leg({"requests": [C_OF_S1]}, max_states=25_000)),
    staged("after a choice", "what a chosen value survives: another ballot, a crash of an acceptor", paxos_model,
           Leg({"requests": [A]}, accepted("a", "a", None)),
           Leg({"requests": [B], "faults": Faults(crashes=1)}, max_states=20_000)),
    staged("refused", "a refusal by one who promised more, beside a chosen value", paxos_model,
           Leg({"requests": [A]}, accepted("a", None, "a")),
           Leg({"requests": [B, C]}, rivals_prepare),
           Leg({}, max_states=25_000)),
    staged("second life", "a proposer that crashes and comes back with another value", paxos_model,
           Leg({"requests": [A]}, chosen_with_a_promise_under_way),
           Leg({"requests": [("S1", Propose("b"))], "faults": Faults(crashes={"S1": 1})}, max_states=30_000)),
    staged("first ballots", "two first ballots that are under way at the same time", paxos_model,
           Leg({"requests": [A, B]}, ahead("S1", "S2"), max_states=60_000), Leg({}, max_states=30_000)),
    staged("four ballots", "acceptances of one value at several ballots", paxos_model,
           Leg({"requests": [A]}, accepted("a", None, None)),
           Leg({"requests": [B]}, accepted("a", None, "b")),
           Leg({"timeouts": {"S1.backoff": 1}}, second_try),
           Leg({}, accepted_again),
           Leg({}, heard_twice),
           Leg({"timeouts": {"S2.backoff": 1}}, third_try),
           Leg({}, proposes_again),
           Leg({}, max_states=30_000), learners=("S3",)),
    staged("learners", "what learners believe, while acceptances of two ballots mix", paxos_model,
           Leg({"requests": [A]}, accepted("a", None, None)),
           Leg({"requests": [B]}, max_states=25_000), learners=("S3",)),
    breadth("two ballots", "two proposers and nothing else", paxos_model, 40_000, requests=[A, B]),
    simulated("simulated faults", "real timers; crashes, partitions, loss", FAULTS),
    simulated("slow disks", "answers that leave before what they promise is written", SLOW_DISKS),
    simulated("liveness", "a protocol that is safe because it does nothing", LIVENESS, family="liveness"),
    simulated("lossy network", "progress although messages are lost", LOSSY, family="liveness"),
    simulated("left behind", "progress after a higher ballot that nobody finishes", LEFT_BEHIND, family="liveness"),
    walks("random walks", "long mixtures of everything", paxos_model, 300, 80,
          requests=[A, B, C], timeouts={"backoff": 4, "retransmit": 2, "catch_up": 1},
          faults=Faults(crashes=2, duplicates=2), learners=("S3",)),
)  # fmt: skip
"""Every search that a Paxos class has to stand; the shipped ``Paxos`` passes all of them."""
