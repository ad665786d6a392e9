"""Flexible transactions in a situation: one of them, step by step; and what others see while many are under way."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from distlib.core.fault import Crash
from distlib.core.node import Node, NodeId, node_names
from distlib.core.parameter import Parameters, parameter
from distlib.core.seeds import Seeds
from distlib.core.trace import Happened, Trace
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from distlib.transactions.bank import Add, Operations, Read, Work
from distlib.transactions.flexible.at_mode import ATMode
from distlib.transactions.flexible.invariants import (
    at_invariants,
    messaging_invariants,
    saga_invariants,
    tcc_invariants,
)
from distlib.transactions.flexible.message import Applied, Begin, Displayed, Ended, Summed
from distlib.transactions.flexible.messaging import BestEffort, Outbox, TransactionalMessage
from distlib.transactions.flexible.saga import ChoreographedSaga, Saga
from distlib.transactions.flexible.service import UNPAYABLE, Reader
from distlib.transactions.flexible.tcc import TCC

if TYPE_CHECKING:
    import pandas as pd


class Kind(NamedTuple):
    """A protocol of a menu: the class of its nodes, their settings, what must hold, and of how many parts its work is
    at the most."""

    node_class: type[Any]
    invariants: Callable[[], Sequence[Any]]
    settings: Mapping[str, Any] = {}
    parts: int = 9


PROTOCOLS: dict[str, Kind] = {
    "saga": Kind(Saga, saga_invariants),
    "saga with semantic locks": Kind(Saga, saga_invariants, {"semantic_locks": True}),
    "choreographed saga": Kind(ChoreographedSaga, saga_invariants),
    "TCC": Kind(TCC, tcc_invariants),
    "AT": Kind(ATMode, at_invariants),
    "AT, SELECT FOR UPDATE": Kind(ATMode, at_invariants, {"for_update": True}),
    "message table": Kind(Outbox, messaging_invariants),
    "transactional message": Kind(TransactionalMessage, messaging_invariants),
    "best-effort notification": Kind(BestEffort, messaging_invariants, parts=2),
}


# ------------------------------------------------------------ one transaction


@dataclass(frozen=True)
class FlowParams(Parameters):
    """One payment over three services: S1 pays, S2 and S3 get it; what goes wrong, and who looks on."""

    protocol: str = parameter("saga", "protocol", choices=tuple(PROTOCOLS))
    amount: int = parameter(4, "amount", low=2, high=10, help="S1 pays it; S3 gets one of it, S2 the rest")
    refused: int = parameter(0, "step refused", low=0, high=3, help="by its service, whenever asked; 0: none")
    pivot: int = parameter(0, "pivot", low=0, high=3, help="sagas: the step that ends the way back; 0: there is none")
    readers: int = parameter(0, "readers", low=0, high=3, help="who read S2's account all the time")
    crashed: str = parameter("nobody", "crashes", choices=("nobody", "S1", "S2", "S3"))
    crash_ms: float = parameter(12.0, "crashes at", unit="ms", low=0, high=5_000, step=1, ceiling="duration_ms")
    down_ms: float = parameter(60.0, "down for", unit="ms", low=1, high=5_000, step=1, ceiling="duration_ms")
    latency_ms: tuple[float, float] = parameter((2, 6), "one-way latency", unit="ms", low=1, high=40)
    loss: float = parameter(0.0, "message loss", low=0, high=0.9, step=0.01)
    duplication: float = parameter(0.0, "duplicated", low=0, high=0.9, step=0.01)
    duration_ms: float = parameter(400.0, "duration", unit="ms", low=50, high=5_000, scale="log")
    seed: int = parameter(7, "seed", low=0, high=2**31, help="all chance comes from here; same seed, same run")

    @property
    def work(self) -> Work:
        """What is asked for."""
        kind = PROTOCOLS[self.protocol]
        amounts = (-self.amount, self.amount - 1, 1) if kind.parts > 2 else (-self.amount, self.amount)
        steps = [(node, (Add("x", one),)) for node, one in zip(node_names(len(amounts)), amounts, strict=True)]
        if 0 < self.refused <= len(steps):
            steps[self.refused - 1] = (steps[self.refused - 1][0], (UNPAYABLE,))
        return tuple(steps)

    def warnings(self) -> list[str]:
        remarks = []
        if self.refused > self.pivot > 0 and "saga" in self.protocol:
            remarks.append(f"Step {self.refused} comes after the pivot: it is tried for ever, and refused for ever.")
        if self.refused > 1 and PROTOCOLS[self.protocol].invariants is messaging_invariants:
            remarks.append("A consumer must succeed in the end: a message that it refuses comes again and again.")
        if self.refused > len(self.work):
            remarks.append(f"There are {len(self.work)} steps, so that nothing is refused.")
        return remarks


def flow(params: FlowParams = FlowParams(), node_class: type[Any] | None = None) -> Trace:
    """One transaction, as a run: forward, and back where a step is refused. ``node_class`` runs in the protocol's
    place, if given."""
    kind, work = PROTOCOLS[params.protocol], params.work
    nodes: list[Node] = [(node_class or kind.node_class)(name, **kind.settings) for name in node_names(3)]
    nodes += [Reader(f"R{number}", (("S2", "x"),)) for number in range(1, params.readers + 1)]
    network = Network(Uniform(*params.latency_ms), loss=params.loss, duplication=params.duplication)
    faults = [] if params.crashed == "nobody" else [Crash(params.crash_ms, params.crashed, params.down_ms)]
    cluster = Cluster(nodes, network, seed=params.seed, faults=faults, invariants=kind.invariants())
    pivot = min(params.pivot, len(work)) - 1 if params.pivot else None
    cluster.post(1.0, "S1", Begin("t1", work, pivot))
    return cluster.run(params.duration_ms)


# ------------------------------------------------------------ what others see


COUNTS = (1, 2, 4, 8, 16, 32)
ISOLATING = ("saga", "saga with semantic locks", "TCC", "AT", "AT, SELECT FOR UPDATE")


@dataclass(frozen=True)
class AnomalyParams(Parameters):
    """Clients that transfer money, one transfer after the other each, and readers that sum up all accounts, until there
    were ``transfers`` and ``readings``. S1 coordinates all transfers and holds no account of theirs."""

    clients: tuple[int, ...] = parameter((1, 4, 16), "clients", choices=COUNTS, several=True, at_least=1)
    transfers: int = parameter(100, "transfers", low=10, high=10_000, scale="log", help="for each point, at least")
    readings: int = parameter(100, "readings", low=10, high=10_000, scale="log", help="for each point, at least")
    services: int = parameter(4, "services", low=3, high=9, help="with two accounts each")
    readers: int = parameter(4, "readers", low=1, high=16)
    failing: float = parameter(0.2, "failing", low=0, high=1, step=0.05, help="the last step is refused")
    latency_ms: tuple[float, float] = parameter((1, 4), "one-way latency", unit="ms", low=0.1, high=40)
    think_ms: float = parameter(20.0, "think time", unit="ms", low=1, high=500, help="mean, between two transfers")
    seed: int = parameter(7, "seed", low=0, high=2**31, help="all chance comes from here; same seed, same run")

    def check(self) -> None:
        if len(set(self.clients)) < len(self.clients):
            raise ValueError(f"clients holds a number twice: {', '.join(map(str, self.clients))}; each is one point")

    @property
    def names(self) -> tuple[NodeId, ...]:
        """The services whose accounts are used."""
        return node_names(self.services + 1)[1:]

    @property
    def accounts(self) -> tuple[tuple[NodeId, str], ...]:
        """Every account that is used."""
        return tuple([(node, account) for node in self.names for account in ("x", "y")])

    @property
    def total(self) -> int:
        """All the money there is in them."""
        return RICH * len(self.accounts)


RICH = 100_000
"""What an account holds at first: so much that nobody is refused for want of money."""
HORIZON_MS, HORIZON_EVENTS = 6_000.0, 400_000
"""A point ends here, even if readers or writers have not come through: behind semantic locks, near clients are refused
without end while a reader waits."""

Runner = Callable[[AnomalyParams, int], Sequence[Happened]]
"""Runs so many clients under a protocol and returns what nodes told: ``Applied``, ``Displayed``, ``Summed``, ``Ended``,
in the order of time."""


def transfers(params: AnomalyParams) -> Iterator[Work]:
    """Each looks at an account, takes money out of it in a second step, and brings it to another service; where it
    fails, a third service refuses in the end."""
    random = Seeds(params.seed).stream("transfers")
    while True:
        source, target, third = random.sample(params.names, 3)
        one, other, amount = random.choice("xy"), random.choice("xy"), random.randint(1, 9)
        steps: list[tuple[NodeId, Operations]] = [(source, (Read(one),)), (source, (Add(one, -amount),))]
        steps.append((target, (Add(other, amount),)))
        if random.random() < params.failing:
            steps.append((third, (UNPAYABLE,)))
        yield tuple(steps)


@dataclass
class Clients:
    """What clients do in a run: each asks for its next transfer a while after its last one has ended."""

    params: AnomalyParams
    seen: int = 0
    ended: int = 0
    readings: int = 0
    asked: int = 0

    def __post_init__(self) -> None:
        self.work, self.think = transfers(self.params), Seeds(self.params.seed).stream("think")

    def ask(self, cluster: Cluster, count: int) -> None:
        """So many clients ask for their next transfer."""
        for _ in range(count):
            self.asked += 1
            at_ms = cluster.now_ms + self.think.expovariate(1 / self.params.think_ms)
            cluster.post(at_ms, "S1", Begin(f"t{self.asked}", next(self.work)))

    def are_through(self, cluster: Cluster) -> bool:
        """Whether there were transfers and readings enough; called after each event."""
        new = [one.event for one in cluster.outputs[self.seen :]]
        self.seen += len(new)
        over = sum(isinstance(one, Ended) for one in new)
        self.ended, self.readings = self.ended + over, self.readings + sum(isinstance(one, Summed) for one in new)
        self.ask(cluster, over)
        return self.ended >= self.params.transfers and self.readings >= self.params.readings


def run_clients(protocol: str, params: AnomalyParams, clients: int) -> Sequence[Happened]:
    """The runner of a protocol of ``PROTOCOLS``."""
    kind, rich = PROTOCOLS[protocol], (("x", RICH), ("y", RICH))
    nodes: list[Node] = [
        kind.node_class(name, rich, patience_ms=None, **kind.settings) for name in ("S1", *params.names)
    ]
    nodes += [Reader(f"R{number}", params.accounts) for number in range(1, params.readers + 1)]
    cluster = Cluster(nodes, Network(Uniform(*params.latency_ms)), seed=params.seed, record=False)
    asking = Clients(params)
    asking.ask(cluster, clients)
    cluster.run(HORIZON_MS, max_events=HORIZON_EVENTS, until=asking.are_through)
    return cluster.outputs


RUNNERS: dict[str, Runner] = {protocol: partial(run_clients, protocol) for protocol in ISOLATING}


def anomalies(params: AnomalyParams = AnomalyParams(), runners: Mapping[str, Runner] = RUNNERS) -> pd.DataFrame:
    """One row a protocol and number of clients: ``protocol``, ``clients``, ``done`` and ``failed`` transfers,
    ``readings``, ``per_s`` (transfers done, a second); of a thousand readings, ``dirty_reads`` and ``read_skew``; of a
    thousand transfers done, ``lost_updates``. See ``count`` for what is one. Of no readings, or of no transfers done,
    there is no share (NaN)."""
    import pandas as pd

    rows = []
    for protocol, runner in runners.items():
        for clients in params.clients:
            rows.append({"protocol": protocol, "clients": clients, **count(runner(params, clients), params.total)})
    return pd.DataFrame(rows)


def count(outputs: Sequence[Happened], total: int) -> dict[str, float]:
    """What readers and writers have met.

    A *dirty read*: a reading saw an account while a transfer had written it that was taken back later. *Read skew*: the
    balances of a reading do not sum up to ``total``. A *lost update*: a transfer had looked at an account, another one
    changed it, then the first one wrote; had it written what it made of its look, the other's change would be gone.
    """
    done = {one.event.gid: one.event.done for one in outputs if isinstance(one.event, Ended)}
    readings = [one.event for one in outputs if isinstance(one.event, Summed)]
    skewed = sum(sum(balance for _, _, balance in one.seen) != total for one in readings)
    finished = {(one.node, one.event.turn) for one in outputs if isinstance(one.event, Summed)}
    good, span_ms = sum(done.values()), max((one.time_ms for one in outputs), default=0.0)
    return {
        "done": good, "failed": len(done) - good, "readings": len(readings),
        "per_s": 1_000 * good / span_ms if span_ms else 0.0,
        "dirty_reads": per_thousand(len(dirty_readings(outputs, done) & finished), len(readings)),
        "read_skew": per_thousand(skewed, len(readings)),
        "lost_updates": per_thousand(lost_updates(outputs, done), good),
    }  # fmt: skip


def per_thousand(cases: int, among: int) -> float:
    """How many of a thousand; of none, that is no number (NaN)."""
    return 1_000 * cases / among if among else math.nan


def dirty_readings(outputs: Sequence[Happened], done: Mapping[str, bool]) -> set[tuple[str, int]]:
    """The readings (reader and round) that saw what a failed transfer had written and not yet taken back."""
    written: dict[tuple[NodeId | None, str], set[str]] = defaultdict(set)
    found = set()
    for one in outputs:
        event = one.event
        if isinstance(event, Applied) and not done.get(event.gid, True):
            for operation in event.operations:
                if isinstance(operation, Add):
                    row = written[one.node, operation.account]
                    row.discard(event.gid) if event.back else row.add(event.gid)
        elif isinstance(event, Displayed) and written[one.node, event.account]:
            found.add((event.reader, event.turn))
    return found


def lost_updates(outputs: Sequence[Happened], done: Mapping[str, bool]) -> int:
    """How many transfers wrote an account that had been changed since they looked at it; failed ones do not count."""
    changes: dict[tuple[NodeId | None, str], int] = defaultdict(int)
    looked: dict[tuple[str, NodeId | None, str], int] = {}
    lost = set()
    for one in outputs:
        if isinstance(one.event, Applied) and done.get(one.event.gid):
            for operation in one.event.operations:
                row = (one.node, operation.account)
                if isinstance(operation, Read):
                    looked[one.event.gid, *row] = changes[row]
                else:
                    if looked.get((one.event.gid, *row), changes[row]) != changes[row]:
                        lost.add(one.event.gid)
                    changes[row] += 1
    return len(lost)
