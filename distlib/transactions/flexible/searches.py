"""What a class of a flexible transaction has to stand: ``SAGA_SEARCHES`` and its like, and the bank that they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.world import Faults
from distlib.check.search import ProtocolSearch, breadth, walks
from distlib.check.simulation import Simulation, after, simulated, watched
from distlib.core.fault import Crash, Fault, Nemesis
from distlib.core.invariant import Invariant
from distlib.core.node import NodeId, node_names
from distlib.core.seeds import Seeds
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from distlib.transactions.bank import Add, Work
from distlib.transactions.flexible.invariants import (
    at_invariants,
    messaging_invariants,
    saga_invariants,
    tcc_invariants,
)
from distlib.transactions.flexible.message import Begin, Ended
from distlib.transactions.flexible.messaging import BestEffort
from distlib.transactions.flexible.service import UNPAYABLE

NAMES = node_names(3)
SEEDS, FEW_SEEDS = range(1, 31), range(1, 16)
TRANSACTIONS, FAULTS_UNTIL_MS, CALM_MS, RUN_MS = 12, 2_000.0, 8_000.0, 3_000.0
LOSSY = Network(Uniform(1, 8), loss=0.05, duplication=0.1, reordering=0.2, reorder_ms=60)
VERY_LOSSY = Network(Uniform(1, 8), loss=0.3, duplication=0.1)
SLOW_DISKS = Network(Uniform(1, 4), disk=Uniform(5, 40), write_cache=True)


def work(*parts: tuple[NodeId, int]) -> Work:
    """A step for each pair of a node and an amount."""
    return tuple([(node, (Add("x", amount),)) for node, amount in parts])


@dataclass(frozen=True)
class Bank:
    """Services under many transactions at once. ``settings`` are those of the nodes, of which each run takes one."""

    invariants: Callable[[], Sequence[Invariant]]
    settings: tuple[dict[str, Any], ...] = ({},)
    failing: float = 0.3
    parts: int = 3
    fails_at: int = 1

    def nodes(self, node_class: type[Any], seed: int) -> list[Any]:
        """Three services with ten each."""
        return [node_class(name, **self.settings[seed % len(self.settings)]) for name in NAMES]

    def transactions(self, seed: int, failing: float, until_ms: float) -> list[tuple[float, NodeId, Begin]]:
        """When which node is asked for what. Withdrawals come first and deposits last, so that no compensation has to
        take back money that is spent (MP §4.3.2: the pessimistic view)."""
        random, asked = Seeds(seed).stream("transactions"), []
        for number in range(TRANSACTIONS):
            source, target, third = random.sample(NAMES, 3)
            amount = random.randint(2, 4)
            amounts = (-amount, amount - 1, 1) if self.parts == 3 else (-amount, amount)
            parts = [*work(*zip((source, target, third), amounts, strict=False))]
            pivot = random.choice((None, 0))
            if random.random() < failing:
                parts[self.fails_at], pivot = (parts[self.fails_at][0], (UNPAYABLE,)), None
            begin = Begin(f"t{number + 1}", tuple(parts), pivot)
            asked.append((random.uniform(0, until_ms), random.choice(NAMES), begin))
        return asked

    def cluster(self, node_class: type[Any], seed: int, network: Network, faults: Sequence[Fault] = (),
                failing: float | None = None, until_ms: float = 1_500.0) -> Cluster:  # fmt: skip
        """The services, and what they are asked."""
        members = self.nodes(node_class, seed)
        cluster = Cluster(members, network, seed=seed, faults=faults, invariants=self.invariants())
        for at_ms, node, begin in self.transactions(seed, self.failing if failing is None else failing, until_ms):
            cluster.post(at_ms, node, begin)
        return cluster

    def under_nemesis(self, node_class: type[Any], seed: int) -> Cluster:
        """Crashes, partitions, loss, copies that come late."""
        nemesis = Nemesis(("crash", "crash", "partition", "one_way", "pause"), gap_ms=120, length_ms=150)
        return self.cluster(node_class, seed, LOSSY, nemesis.schedule(NAMES, seed, FAULTS_UNTIL_MS))

    def on_slow_disks(self, node_class: type[Any], seed: int) -> Cluster:
        """Crashes lose what is not written yet."""
        nemesis = Nemesis(("crash", "partition"), gap_ms=100, length_ms=60)
        return self.cluster(node_class, seed, SLOW_DISKS, nemesis.schedule(NAMES, seed, FAULTS_UNTIL_MS))

    def with_crashes(self, node_class: type[Any], seed: int) -> Cluster:
        """Each service crashes, then nothing goes wrong any more; with odd seeds nothing is refused either."""
        faults = [Crash(200.0 + 400.0 * at, name, 150.0) for at, name in enumerate(NAMES)]
        return self.cluster(node_class, seed, VERY_LOSSY, faults, 0.0 if seed % 2 else None, 4_000.0)

    def model(self, node_class: type[Any], setting: int = 0, **options: Any) -> ClusterModel:
        """The explorer's model of three services."""
        return ClusterModel(lambda: self.nodes(node_class, setting), invariants=self.invariants(), **options)

    def faults(self) -> Simulation:
        """Every invariant, watched under a nemesis."""
        return Simulation(self.under_nemesis, watched(RUN_MS), SEEDS, f"simulated runs of {RUN_MS:g} ms", (0, RUN_MS),
                          model=self.model)  # fmt: skip

    def slow_disks(self) -> Simulation:
        """What comes out in the end, where a crash loses what is not written."""
        return Simulation(self.on_slow_disks, after(CALM_MS, unsound), FEW_SEEDS, "runs on slow disks", (0, RUN_MS))

    def liveness(self) -> Simulation:
        """Everything ends, and something is done."""
        return Simulation(self.with_crashes, after(CALM_MS, unfinished), FEW_SEEDS, "runs in which all crash once",
                          (0, RUN_MS), "liveness")  # fmt: skip

    def simulated_searches(self) -> tuple[ProtocolSearch, ...]:
        """The searches over simulated runs."""
        return (
            simulated("simulated faults", "real timers; crashes, partitions, loss", self.faults()),
            simulated("slow disks", "what is told before it is written", self.slow_disks()),
            simulated("liveness", "what is safe because it does nothing", self.liveness(), family="liveness"),
        )  # fmt: skip


def unsound(cluster: Cluster) -> str:
    """What an invariant says of the state in which the run has ended; what was seen before may have been unwritten."""
    for invariant in cluster.invariants:
        ghost = invariant.before(cluster.nodes)
        for name in cluster.nodes:
            try:
                invariant.after(ghost, cluster.nodes, name)
            except Exception as witness:
                return f"{invariant.name}: {witness}"
    return ""


def still_open(cluster: Cluster) -> str:
    """The transactions that have not ended, in words; empty when there are none."""
    nodes: dict[str, Any] = cluster.nodes
    left = [f"{gid} at {name}" for name, node in nodes.items() for gid in node.open_here()]
    return f"after {cluster.now_ms:,.0f} ms, these are still open: {', '.join(left)}" if left else ""


def misreported(cluster: Cluster) -> str:
    """A transaction that was reported done, or not, and is the other."""
    ends: dict[str, bool] = {}
    for node in cluster.nodes.values():
        ends |= {gid: not one.back for gid, one in getattr(node, "sagas", {}).items()}
        ends |= {gid: bool(one.commit) for gid, one in getattr(node, "transactions", {}).items()}
        ends |= {gid: done for gid, done in getattr(node, "local", {}).items() if isinstance(done, bool)}
    for one in cluster.outputs:
        if isinstance(one.event, Ended) and ends.get(one.event.gid) is not one.event.done:
            told, is_so = ("done", "not") if one.event.done else ("not done", "done")
            return f"{one.event.gid} was reported {told} by {one.node}, and it is {is_so}"
    return ""


def unfinished(cluster: Cluster) -> str:
    """Transactions that are still open, or were misreported; or that not one was done."""
    if left := still_open(cluster) or misreported(cluster):
        return left
    done = sum(isinstance(one.event, Ended) and one.event.done for one in cluster.outputs)
    return "" if done else "not one transaction was done"


# ------------------------------------------------------------ sagas

SAGAS = Bank(saga_invariants, ({}, {"semantic_locks": True}))
PAY = ("S3", Begin("a", work(("S1", -1), ("S2", 1))))
BACK = ("S3", Begin("b", work(("S2", -1), ("S1", 1))))
FAILS = ("S1", Begin("f", (*work(("S1", -1), ("S2", 1)), ("S3", (UNPAYABLE,)))))
FOURTH_FAILS = ("S1", Begin("g", (*work(("S1", -1), ("S2", -1), ("S3", 2)), ("S1", (UNPAYABLE,)))))
TOO_MUCH = ("S3", Begin("m", work(("S2", -11), ("S3", 11))))
DRAWS = ("S1", Begin("d", (*work(("S1", -1)), ("S2", (Add("x", -11), Add("x", 12))))))
WITH_PIVOT = ("S3", Begin("p", work(("S3", -1), ("S1", -11), ("S2", 12)), pivot=1))
BRINGS = ("S3", Begin("a", work(("S3", -1), ("S2", 1))))
PIVOT_FIRST = ("S1", Begin("p", work(("S1", -1), ("S2", -11), ("S3", 12)), pivot=0))


def poor(node_class: type[Any], seed: int) -> Cluster:
    """A saga whose pivot is done, and whose next step wants money that another one brings later."""
    cluster = Cluster(SAGAS.nodes(node_class, seed), Network(Uniform(1, 8)), seed=seed, invariants=saga_invariants())
    for at_ms, (node, begin) in ((0.0, PIVOT_FIRST), (300.0, BRINGS)):
        cluster.post(at_ms, node, begin)
    return cluster


POOR = Simulation(poor, after(CALM_MS, unfinished), range(1, 3), "runs in which money comes late", (0, 500), "liveness")

SAGA_SEARCHES: tuple[ProtocolSearch, ...] = (
    breadth("a step fails", "the way back", SAGAS.model, 20_000, requests=[FAILS],
            faults=Faults(crashes=1, duplicates=1), timeouts={"retry": 1}),
    breadth("a late step fails", "the way back from far", SAGAS.model, 20_000, requests=[FOURTH_FAILS],
            faults=Faults(duplicates=1)),
    breadth("impatience", "steps given up that may be done, or come late", SAGAS.model, 20_000,
            requests=[PAY], timeouts={"patience": 1, "retry": 1}, faults=Faults(crashes=1)),
    breadth("pivot", "steps that must succeed", SAGAS.model, 20_000, requests=[PIVOT_FIRST, PAY],
            timeouts={"patience": 1, "retry": 1}),
    breadth("refused once", "a copy of a step that was refused", SAGAS.model, 20_000, requests=[TOO_MUCH, PAY],
            faults=Faults(duplicates=1)),
    breadth("semantic locks", "two open sagas on the same accounts", SAGAS.model, 20_000, setting=1,
            requests=[PAY, BACK], timeouts={"patience": 1}),
    *SAGAS.simulated_searches(),
    simulated("late money", "a step after the pivot that is refused at first", POOR, family="liveness"),
    walks("random walks", "long mixtures of everything", SAGAS.model, 150, 80, requests=[PAY, FAILS, WITH_PIVOT],
          timeouts={"retry": 6, "patience": 2}, faults=Faults(crashes=2, duplicates=3)),
)  # fmt: skip
"""Every search that a saga has to stand; the shipped classes pass all of them."""

# ------------------------------------------------------------ TCC

TCCS = Bank(tcc_invariants)

TCC_SEARCHES: tuple[ProtocolSearch, ...] = (
    breadth("a try fails", "the way back", TCCS.model, 20_000, requests=[FAILS], faults=Faults(duplicates=1)),
    breadth("too much", "a try without the money for it", TCCS.model, 20_000, requests=[TOO_MUCH],
            faults=Faults(duplicates=1)),
    breadth("cancel overtakes try", "requests that are late, lost or overtaken", TCCS.model, 20_000,
            requests=[PAY], timeouts={"patience": 1}),
    breadth("repeated requests", "what is repeated, after a crash too", TCCS.model, 20_000, requests=[PAY],
            timeouts={"retry": 1, "patience": 1}, faults=Faults(crashes=1, duplicates=1)),
    *TCCS.simulated_searches(),
    walks("random walks", "long mixtures of everything", TCCS.model, 150, 80, requests=[PAY, FAILS, BACK],
          timeouts={"retry": 6, "patience": 2}, faults=Faults(crashes=2, duplicates=3)),
)  # fmt: skip
"""Every search that a TCC class has to stand; the shipped ``TCC`` passes all of them."""

# ------------------------------------------------------------ AT mode

TWO_ROWS = {"initial": (("x", 10), ("y", 10))}
AT = Bank(at_invariants, (TWO_ROWS, {**TWO_ROWS, "for_update": True}))
FAILS_AT_ONCE = ("S1", Begin("g", (*work(("S2", -1)), ("S1", (UNPAYABLE,)))))
TAKES = ("S1", Begin("t", (("S2", (Add("y", 1), Add("x", -2))), *work(("S3", 1)))))

AT_SEARCHES: tuple[ProtocolSearch, ...] = (
    breadth("a branch fails", "the way back", AT.model, 20_000, requests=[FAILS_AT_ONCE], timeouts={"lock": 1},
            faults=Faults(crashes=1)),
    breadth("one row, two transactions", "writers of one row", AT.model, 30_000, requests=[FAILS_AT_ONCE, TAKES],
            timeouts={"S2.lock": 1, "S1.retry": 1}),
    breadth("late branches", "branches given up that come late", AT.model, 30_000, requests=[TAKES],
            timeouts={"patience": 1, "lock": 1}, faults=Faults(duplicates=1)),
    *AT.simulated_searches(),
    walks("random walks", "long mixtures of everything", AT.model, 150, 100, requests=[PAY, FAILS, TAKES],
          timeouts={"retry": 6, "patience": 2, "lock": 6}, faults=Faults(crashes=2, duplicates=3)),
)  # fmt: skip
"""Every search that an AT class has to stand; the shipped ``ATMode`` passes all of them."""

# ------------------------------------------------------------ messages

MESSAGES = Bank(messaging_invariants, parts=2, fails_at=0)
REFUSED = ("S2", Begin("r", work(("S2", -11), ("S1", 11))))
TWO_TO_ONE = ("S1", Begin("w", work(("S1", -2), ("S2", 1), ("S2", 1))))


def two_to_one(node_class: type[Any], **options: Any) -> ClusterModel:
    """Two messages of a transaction go to the same consumer; of a best-effort notification there is only one."""
    request = PAY if issubclass(node_class, BestEffort) else TWO_TO_ONE
    return MESSAGES.model(node_class, requests=[request], **options)


MESSAGING_SEARCHES: tuple[ProtocolSearch, ...] = (
    breadth("a refusal", "messages that must not go out, or cannot be consumed yet", MESSAGES.model, 20_000,
            requests=[REFUSED, DRAWS], timeouts=2),
    breadth("two to one", "two messages of a transaction for the same consumer", two_to_one, 20_000,
            timeouts=1, faults=Faults(duplicates=1)),
    breadth("repeated messages", "what is sent or lost twice", MESSAGES.model, 20_000, requests=[PAY],
            timeouts=1, faults=Faults(crashes=1, duplicates=1)),
    breadth("half messages", "what a broker may believe", MESSAGES.model, 20_000, requests=[PAY],
            timeouts=2, faults=Faults(crashes={"S1": 1})),
    breadth("asked again", "a request that was refused, and comes once more", MESSAGES.model, 20_000,
            requests=[REFUSED, PAY, REFUSED]),
    *MESSAGES.simulated_searches(),
    walks("random walks", "long mixtures of everything", MESSAGES.model, 150, 80, requests=[PAY, BACK, REFUSED],
          timeouts=8, faults=Faults(crashes=2, duplicates=3)),
)  # fmt: skip
"""Every search that a class of reliable messages has to stand; the shipped classes pass all of them."""
