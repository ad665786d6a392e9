"""What a Paxos class has to stand: ``PAXOS_SEARCHES``, from two ballots in every order to three in the worst one."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from distlib.check.cluster.counterexample import counterexample
from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.shrink import shrink_run
from distlib.check.cluster.world import Faults, World
from distlib.check.search import DANGEROUS, Leg, Outcome, ProtocolSearch, breadth, exemplified, staged, walks
from distlib.core.fault import Crash, Fault, Nemesis
from distlib.core.trace import Trace
from distlib.paxos.invariants import paxos_invariants
from distlib.paxos.message import Promise, Propose
from distlib.paxos.paxos import Paxos, Phase
from distlib.sim.cluster import Cluster, NodeError
from distlib.sim.latency import Uniform
from distlib.sim.network import Network

NAMES = ("S1", "S2", "S3")
A, B, C = ("S1", Propose("a")), ("S2", Propose("b")), ("S3", Propose("c"))
SEEDS = range(1, 41)
CALM_MS = 5_000.0


def paxos_model(kind: type[Paxos], learners: tuple[str, ...] = (), **options: Any) -> ClusterModel:
    """Three acceptors, each of which may propose. Without learners, only the invariants see what is chosen."""

    def made() -> list[Paxos]:
        return [kind(name, NAMES, learners=learners) for name in NAMES]

    return ClusterModel(made, invariants=paxos_invariants(), **options)


def accepted(*values: str | None) -> Any:
    """A goal: what S1, S2 and S3 have accepted, in turn."""

    def goal(world: World) -> bool:
        return tuple(world.node(name).accepted_value for name in NAMES) == values

    goal.__name__ = f"accepted {values}"
    return goal


def backs_off(world: World) -> bool:
    """S1's first ballot met a higher one, and promises for it are still under way."""
    one = world.node("S1")
    late = [letter.message for letter in world.messages() if isinstance(letter.message, Promise)]
    return one.phase is Phase.BACKING_OFF and any(promise.ballot == one.ballot for promise in late)


# ------------------------------------------------------------ simulated runs


def nodes(kind: type[Paxos], seed: int) -> list[Paxos]:
    """Five acceptors, of which two or three propose."""
    names = tuple(f"S{number}" for number in range(1, 6))
    wanted = dict(zip(names[seed % 3 :], "abc"[: 2 + seed % 2], strict=False))
    return [kind(name, names, value=wanted.get(name)) for name in names]


def run(kind: type[Paxos], seed: int) -> Cluster:
    """One cluster under a nemesis, not yet run."""
    names = tuple(f"S{number}" for number in range(1, 6))
    nemesis = Nemesis(("crash", "crash", "partition", "one_way"), gap_ms=8, length_ms=20)
    network = Network(Uniform(1, 10), loss=0.1, duplication=0.1, reordering=0.2)
    return Cluster(nodes(kind, seed), network, seed=seed, faults=nemesis.schedule(names, seed, 400),
                   invariants=paxos_invariants())  # fmt: skip


def calm(kind: type[Paxos], seed: int) -> Cluster:
    """No faults but, in every other run, a crash of a minority and some loss that ends: what liveness is about."""
    faults: list[Fault] = [Crash(float(seed), "S5"), Crash(2.0 + seed, "S4")] if seed % 2 else []
    network = Network(Uniform(1, 5), loss=0.1 if seed % 4 > 1 else 0.0)
    return Cluster(nodes(kind, seed), network, seed=seed, faults=faults)


def nemesis_runs(kind: type[Paxos], max_seconds: float) -> Outcome:
    """Runs under a nemesis, each with all invariants watched after every event."""
    start, tried = perf_counter(), 0
    for seed in SEEDS:
        if tried and perf_counter() - start > max_seconds:
            break
        tried += 1
        cluster = run(kind, seed)
        failure = ""
        try:
            cluster.run(1_000.0, until=lambda now: bool(now.violations))
        except NodeError as error:
            failure = str(error)
        if cluster.violations:
            failure = f"{cluster.violations[0].invariant}: {cluster.violations[0].witness}"
        if failure:
            return _failed(kind, seed, cluster, failure)
    return Outcome("", "", f"{tried} simulated runs of 1,000 ms", tried == len(SEEDS))


def _failed(kind: type[Paxos], seed: int, cluster: Cluster, failure: str) -> Outcome:
    model = ClusterModel(lambda: nodes(kind, seed), invariants=paxos_invariants())
    looked = f"a simulated run with seed {seed}"
    if any(word in failure for word in DANGEROUS):
        return Outcome("", failure, looked, True, seed=seed)
    try:
        example = counterexample(model, shrink_run(model, cluster.trace()))
    except ValueError:
        return Outcome("", failure, looked, True, seed=seed)
    return exemplified(example, looked, seed=seed)


def live_nodes(kind: type[Paxos], max_seconds: float) -> Outcome:
    """In a calm network, every node that is up learns a chosen value."""
    start, tried = perf_counter(), 0
    for seed in SEEDS:
        if tried and perf_counter() - start > max_seconds:
            break
        tried += 1
        cluster = calm(kind, seed)
        failure = ""
        try:
            if cluster.run(CALM_MS, until=_all_know).stopped != "condition":
                knowing = [name for name, node in cluster.nodes.items() if getattr(node, "chosen", None) is not None]
                failure = (f"after {CALM_MS:g} ms in a calm network, {', '.join(knowing) or 'nobody'} has learnt "
                           "a chosen value; all nodes that are up should have")  # fmt: skip
        except NodeError as error:
            failure = str(error)
        if failure:
            return Outcome("", f"{failure} (seed {seed})", "simulated runs in a calm network", True, seed=seed,
                           invariant="liveness")  # fmt: skip
    return Outcome("", "", f"{tried} simulated runs in a calm network", tried == len(SEEDS))


def _all_know(cluster: Cluster) -> bool:
    return all(getattr(node, "chosen", None) is not None for name, node in cluster.nodes.items() if cluster.is_up(name))


def failed_run(kind: type[Any], search: str, seed: int) -> Trace:
    """The run that failed, again, for a figure."""
    cluster = calm(kind, seed) if search == "liveness" else run(kind, seed)
    try:
        return cluster.run(1_000.0)
    except NodeError:
        return cluster.trace("an error")


# ------------------------------------------------------------ the searches

PAXOS_SEARCHES: tuple[ProtocolSearch, ...] = (
    ProtocolSearch(
        "three ballots", "the choice of the value, when acceptors report different ones",
        staged(
            paxos_model,
            Leg({"requests": [A]}, accepted("a", None, None)),
            Leg({"requests": [B]}, accepted("a", "b", "b")),
            Leg({"requests": [C]}, max_states=25_000),
        ),
    ),
    ProtocolSearch(
        "three ballots, none chosen", "the same where the second ballot got stuck",
        staged(
            paxos_model,
            Leg({"requests": [A]}, accepted("a", None, None)),
            Leg({"requests": [B]}, accepted("a", "b", None)),
            Leg({"requests": [C]}, max_states=25_000),
        ),
    ),
    ProtocolSearch(
        "before a choice", "a promise must survive a crash, and bind",
        staged(
            paxos_model,
            Leg({"requests": [A, B]}, accepted("a", None, None)),
            Leg({"faults": Faults(crashes=1)}, max_states=25_000),
        ),
    ),
    ProtocolSearch(
        "after a choice", "what a chosen value survives: another ballot, a crash of an acceptor",
        staged(
            paxos_model,
            Leg({"requests": [A]}, accepted("a", "a", None)),
            Leg({"requests": [B], "faults": Faults(crashes=1)}, max_states=20_000),
        ),
    ),
    ProtocolSearch(
        "stale promises", "answers to a ballot that was given up",
        staged(
            paxos_model,
            Leg({"requests": [A, B]}, backs_off, max_states=60_000),
            Leg({"timeouts": {"S1.backoff": 1}}, max_states=25_000),
        ),
    ),
    ProtocolSearch("simulated faults", "real timers; crashes, partitions, loss", nemesis_runs),
    ProtocolSearch(
        "liveness", "a protocol that is safe because it does nothing", live_nodes, "liveness"
    ),
    ProtocolSearch(
        "learners", "what learners believe, while acceptances of two ballots mix",
        staged(
            paxos_model,
            Leg({"requests": [A]}, accepted("a", None, None)),
            Leg({"requests": [B]}, max_states=25_000),
            learners=("S3",),
        ),
    ),
    ProtocolSearch(
        "duplicates", "answers that are counted twice",
        breadth(paxos_model, 20_000, requests=[A], faults=Faults(duplicates=2), learners=("S3",)),
    ),
    ProtocolSearch("two ballots", "two proposers and nothing else", breadth(paxos_model, 40_000, requests=[A, B])),
    ProtocolSearch(
        "random walks", "long mixtures of everything",
        walks(paxos_model, 300, 80, requests=[A, B, C], timeouts={"backoff": 4, "retransmit": 2, "catch_up": 1},
              faults=Faults(crashes=2, duplicates=2), learners=("S3",)),
    ),
)  # fmt: skip
"""Every search that a Paxos class has to stand; the shipped ``Paxos`` passes all of them."""
