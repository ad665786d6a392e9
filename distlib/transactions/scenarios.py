"""Transactions in situations: one, step by step; crashes of the coordinator; many at once; far apart; side by side."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from distlib.core import stopping
from distlib.core.fault import Crash, OneWay, Partition
from distlib.core.node import node_names
from distlib.core.parameter import Parameters, parameter
from distlib.core.seeds import Seeds
from distlib.core.trace import Trace
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Constant, PerLink, Uniform
from distlib.sim.network import Network
from distlib.sim.regions import one_way_ms
from distlib.transactions.as_written import CommitsBeforeItVotes
from distlib.transactions.bank import Add, Work
from distlib.transactions.intervals import intervals, longest_ms
from distlib.transactions.invariants import commit_invariants
from distlib.transactions.load import REFUSE, WAIT, WOUND_WAIT, Course, Load, run
from distlib.transactions.message import Begin, Decided, Finished, Told, Wrote
from distlib.transactions.paxos_commit import PaxosCommit
from distlib.transactions.presumptions import PresumedAbort, PresumedCommit
from distlib.transactions.quorum_commit import QuorumCommit, ThreePhaseCommit
from distlib.transactions.two_phase import TwoPhaseCommit, cluster

PROTOCOLS: dict[str, type[TwoPhaseCommit]] = {
    "two-phase commit": TwoPhaseCommit,
    "presumed abort": PresumedAbort,
    "presumed commit": PresumedCommit,
    "three-phase commit": ThreePhaseCommit,
    "quorum commit": QuorumCommit,
    "Paxos Commit": PaxosCommit,
}
TELLING = ("two-phase commit", "three-phase commit", "quorum commit", "Paxos Commit")
"""Those that differ in what happens without a coordinator: presumptions make no difference there."""
AS_WRITTEN = "as the article has it"
ALL_PROTOCOLS = {**PROTOCOLS, AS_WRITTEN: CommitsBeforeItVotes}

NOBODY, COORDINATOR, PARTICIPANT, ISOLATED = "nobody", "the coordinator", "a participant", "a participant's links"
SENDING = "the coordinator, while it sends"
VICTIMS = (NOBODY, COORDINATOR, SENDING, PARTICIPANT, ISOLATED)
INITIAL = 10


# ------------------------------------------------------------ one transaction


@dataclass(frozen=True)
class TransactionParams(Parameters):
    """One transaction, coordinated by S1, over S2 and others; and what goes wrong meanwhile."""

    protocol: str = parameter("two-phase commit", "protocol", choices=tuple(ALL_PROTOCOLS))
    participants: int = parameter(3, "participants", low=2, high=8, help="beside the coordinator S1")
    amount: int = parameter(
        2, "amount", low=1, high=20, help=f"S2 pays, the others get it; every account holds {INITIAL} at first"
    )
    victim: str = parameter(
        COORDINATOR, "what fails", choices=VICTIMS, help="while it sends: S2 gets what it sent last, the others do not"
    )
    fails_ms: float = parameter(
        16.0, "fails at", unit="ms", low=0, high=400, step=0.5, ceiling="duration_ms",
        help="the coordinator has all votes after two one-way latencies",
    )  # fmt: skip
    down_ms: float = parameter(120.0, "comes back after", unit="ms", low=1, high=1000, step=1)
    cooperative: bool = parameter(True, "ask each other", help="participants in doubt ask the other ones, too")
    latency_ms: tuple[float, float] = parameter(
        (8, 12), "one-way latency", unit="ms", low=1, high=100, help="uniform on this range"
    )
    disk_ms: float = parameter(0.0, "a forced write", unit="ms", low=0, high=50, step=1)
    duration_ms: float = parameter(
        300.0, "duration", unit="ms", low=50, high=3000, scale="log", help="virtual time shown"
    )
    seed: int = parameter(7, "seed", low=0, high=2**31, help="all chance comes from here; same seed, same run")

    def warnings(self) -> list[str]:
        needed = self.amount * (self.participants - 1)
        remarks = []
        if needed > INITIAL:
            remarks.append(f"S2 is to pay {needed} and has {INITIAL}: it votes no.")
        if self.protocol == "three-phase commit" and self.victim == ISOLATED:
            remarks.append("Three-phase commit counts on a network that delivers in time; here it doesn't.")
        return remarks

    def cluster(self, *, watched: bool = True) -> Cluster:
        """The nodes, under the invariants if ``watched``, what fails, and the client's request at 0 ms."""
        names = node_names(self.participants + 1)
        longest_ms = self.latency_ms[1] + self.disk_ms
        protocol = ALL_PROTOCOLS[self.protocol]
        settings = {"initial": (("x", INITIAL),), "cooperative": self.cooperative, **timers(protocol, longest_ms)}
        network = Network(Uniform(*self.latency_ms), disk=Constant(self.disk_ms) if self.disk_ms else None)
        nodes = cluster(protocol, names, **settings)
        faults: dict[str, Any] = {
            NOBODY: (),
            COORDINATOR: coordinator_dies(self.fails_ms, self.down_ms),
            SENDING: coordinator_dies(self.fails_ms, self.down_ms, names[2:], self.latency_ms[0] / 2),
            PARTICIPANT: (Crash(self.fails_ms, names[-1], self.down_ms),),
            ISOLATED: (Partition(self.fails_ms, (names[:-1], names[-1:]), self.down_ms),),
        }
        made = Cluster(
            nodes, network, seed=self.seed, invariants=commit_invariants() if watched else (),
            faults=faults[self.victim],
        )  # fmt: skip
        made.post(0.0, "S1", Begin(shared_out(names[1:], self.amount)))
        return made


def coordinator_dies(
    at_ms: float, down_ms: float, deaf: tuple[str, ...] = (), unsent_ms: float = 0.0
) -> tuple[Crash | OneWay, ...]:
    """S1 crashes; what it sent to the ``deaf`` in its last ``unsent_ms`` has not left it."""
    last_ms = min(at_ms, unsent_ms)
    unsent = (OneWay(at_ms - last_ms, ("S1",), deaf, last_ms),) if deaf and last_ms else ()
    return (*unsent, Crash(at_ms, "S1", down_ms))


def timers(protocol: type[TwoPhaseCommit], longest_ms: float) -> dict[str, Any]:
    """Timers that don't run out while messages of at most ``longest_ms`` are under way: for votes and answers two ways,
    for a participant in doubt as much and the other participants' answers."""
    found = {"vote_ms": 4 * longest_ms, "resend_ms": 4 * longest_ms, "inquire_ms": 5 * longest_ms}
    return {**found, "gather_ms": 2.5 * longest_ms} if issubclass(protocol, QuorumCommit) else found


def shared_out(names: tuple[str, ...], amount: int) -> Work:
    """The first pays ``amount`` to each of the others."""
    return tuple([
        (name, (Add("x", amount if name != names[0] else -amount * (len(names) - 1)),)) for name in names
    ])  # fmt: skip


def transaction(params: TransactionParams = TransactionParams()) -> Trace:
    """One transaction from a client's request to its end, or to the end of what is shown."""
    return params.cluster().run(params.duration_ms)


def client_told(trace: Trace, disk_ms: float) -> tuple[bool, float] | None:
    """What the client beside the coordinator hears, and when: a decision that is forced to disk is told when it is
    there, and a coordinator that crashes before tells nothing (None)."""
    told = trace.outputs_of(Told)
    if not told:
        return None
    decided, at_ms = told[0], told[0].time_ms
    if any(
        one.node == decided.node and one.time_ms == at_ms and one.event.forced and isinstance(one.event.record, Decided)
        for one in trace.outputs_of(Wrote)
    ):
        at_ms += disk_ms
    gone = any(one.node == decided.node and one.view is None and decided.time_ms < one.time_ms <= at_ms
               for one in trace.states)  # fmt: skip
    return None if gone or at_ms > trace.end_ms else (decided.event.commit, at_ms)


# ------------------------------------------------------------ a dead coordinator


@dataclass(frozen=True)
class BlockingParams(Parameters):
    """Crashes of the coordinator at random moments, and how long participants are then in doubt."""

    participants: int = parameter(3, "participants", low=2, high=8, help="beside the coordinator")
    down_ms: float = parameter(1000.0, "the coordinator is down for", unit="ms", low=50, high=20_000, scale="log")
    cooperative: bool = parameter(True, "ask each other", help="participants in doubt ask the other ones, too")
    latency_ms: tuple[float, float] = parameter(
        (8, 12), "one-way latency", unit="ms", low=4, high=100, help="uniform on this range"
    )
    deaf: float = parameter(
        0.5, "dies while sending", low=0, high=1, step=0.05,
        help="the chance of each participant not to get what was sent in the last moments",
    )  # fmt: skip
    trials: int = parameter(30, "crashes", low=10, high=80, scale="log", help="for each protocol, at random moments")
    seed: int = parameter(7, "seed", low=0, high=2**31, help="all chance comes from here; same seed, same run")


def blocking(params: BlockingParams = BlockingParams(), protocols: Iterable[str] = TELLING) -> pd.DataFrame:
    """One row a crash: protocol, trial, crash_ms, blocked_ms (the longest time that a participant that was up was in
    doubt, above what a transaction without a crash needs), committed. All protocols meet the same crashes."""
    rows = []
    for protocol in protocols:
        settings = TransactionParams(
            protocol=protocol, participants=params.participants, amount=1, victim=NOBODY,
            cooperative=params.cooperative, latency_ms=params.latency_ms,
        )  # fmt: skip
        normal_ms = longest_ms(intervals(settings.cluster().run(1e3), "in_doubt"))
        for trial in range(params.trials):
            stopping.check()
            rows.append((protocol, trial, *_crash(settings, params, trial, normal_ms)))
    return pd.DataFrame(rows, columns=["protocol", "trial", "crash_ms", "blocked_ms", "committed"])


def _crash(
    settings: TransactionParams, params: BlockingParams, trial: int, normal_ms: float
) -> tuple[float, float, bool]:
    random = Seeds(params.seed).stream("crash", trial)
    crash_ms = random.uniform(0.5, 6.0) * params.latency_ms[1]
    deaf = tuple([name for name in node_names(params.participants + 1)[1:] if random.random() < params.deaf])
    made = replace(settings, seed=(params.seed + trial) % 2**31).cluster(watched=False)
    for fault in coordinator_dies(crash_ms, params.down_ms, deaf, params.latency_ms[0] / 2):
        made.schedule(fault)
    trace = made.run(crash_ms + params.down_ms + 60 * params.latency_ms[1], until=_all_know)
    found = intervals(trace, "in_doubt")
    blocked_ms = longest_ms(found[found["node"] != "S1"])
    committed = any(one.event.commit for one in trace.outputs_of(Told))
    return crash_ms, max(0.0, blocked_ms - normal_ms), committed


def _all_know(running: Cluster) -> bool:
    """Whether all that are up have carried out a decision, and the coordinator is up again."""
    others = [node for name, node in running.nodes.items() if name != "S1"]
    return running.is_up("S1") and all(getattr(node, "outcomes", ()) for node in others)


# ------------------------------------------------------------ many at once

WAITS = {"wait, until the coordinator gives up": WAIT, "wound-wait": WOUND_WAIT, "refuse to wait": REFUSE}
PRESUMPTIONS = ("presumed nothing", "presumed abort", "presumed commit")
CLIENTS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class LoadParams(Parameters):
    """Clients that transfer money between the accounts of several nodes, one transaction after the other."""

    nodes: int = parameter(4, "nodes", low=2, high=10)
    participants: int = parameter(2, "participants", low=2, high=10, ceiling="nodes", help="of each transaction")
    accounts: int = parameter(50, "accounts a node", low=1, high=10_000, scale="log")
    hot: float = parameter(
        0.0, "to one account", low=0, high=1, step=0.05, help="share of operations on the first account of a node"
    )
    think_ms: float = parameter(20.0, "think time", unit="ms", low=0, high=1000, help="mean, exponential")
    latency_ms: float = parameter(
        5.0, "one-way latency", unit="ms", low=0.1, high=200, scale="log", help="mean of a link"
    )
    write_ms: float = parameter(2.0, "a forced write", unit="ms", low=0, high=50)
    patience_ms: float = parameter(
        200.0, "a coordinator waits", unit="ms", low=10, high=5000, scale="log", help="for votes, then it aborts"
    )
    presumption: str = parameter("presumed abort", "protocol", choices=PRESUMPTIONS)
    crashes: float = parameter(
        0.0, "coordinators crash", low=0, high=0.2, step=0.005,
        help="share of transactions whose coordinator crashes when it has all votes",
    )  # fmt: skip
    down_ms: float = parameter(500.0, "down for", unit="ms", low=1, high=10_000, scale="log")
    transactions: int = parameter(4000, "transactions", low=100, high=50_000, scale="log", help="at each point")
    seed: int = parameter(7, "seed", low=0, high=2**31, help="all chance comes from here; same seed, same run")

    def check(self) -> None:
        if self.participants > self.nodes:
            raise ValueError(
                f"participants is {self.participants}, but there are only {self.nodes} nodes; add nodes, or take "
                "fewer participants"
            )

    def load(self, clients: int, policy: int) -> Load:
        """What ``clients`` ask. The same seed gives every policy the same transactions."""
        random, turns = np.random.default_rng([self.seed, clients]), max(2, self.transactions // clients)
        shape = (clients, turns, self.participants)
        home = np.arange(clients) % self.nodes
        every = np.tile(np.arange(self.nodes), (clients * turns, 1))
        node = random.permuted(every, axis=1)[:, : self.participants].reshape(shape)
        account = np.where(random.random(shape) < self.hot, 0, random.integers(0, self.accounts, shape))
        outage = np.where(random.random(shape[:2]) < self.crashes, self.down_ms, 0.0)
        hop = random.uniform(0.5, 1.5, (self.nodes + clients,) * 2) * self.latency_ms
        np.fill_diagonal(hop, 0.0)
        hop[self.nodes + np.arange(clients), home] = hop[home, self.nodes + np.arange(clients)] = 0.0  # beside it
        first_ms = self.write_ms if self.presumption == "presumed commit" else 0.0
        abort_ms = 0.0 if self.presumption == "presumed abort" else self.write_ms
        think = random.exponential(self.think_ms, shape[:2]) if self.think_ms else np.zeros(shape[:2])
        return Load(
            home, think, node, node * self.accounts + account, outage, hop, policy, self.patience_ms, self.write_ms,
            first_ms, abort_ms,
        )  # fmt: skip


def summary(course: Course) -> dict[str, float]:
    """Commits per second, the share that was aborted, and latencies of those committed, ms."""
    last_ms = float(np.nanmax(course.told_ms))
    waits = (course.told_ms - course.asked_ms)[course.committed]
    median, tail = np.percentile(waits, [50, 99]) if len(waits) else (math.nan, math.nan)
    held = course.locked_ms[course.locked_ms > 0]
    return {
        "commits_per_s": 1e3 * float(course.committed.sum()) / last_ms,
        "aborted": 1.0 - float(course.committed.mean()),
        "median_ms": float(median),
        "p99_ms": float(tail),
        "locked_ms": float(held.mean()) if len(held) else math.nan,
    }


def contention(params: LoadParams = LoadParams(), clients: Iterable[int] = CLIENTS) -> pd.DataFrame:
    """One row for each way to wait and number of clients: see ``summary`` for its columns."""
    rows = []
    for words, policy in WAITS.items():
        for count in clients:
            stopping.check()
            rows.append({"waiting": words, "clients": count, **summary(run(params.load(count, policy)))})
    return pd.DataFrame(rows)


# ------------------------------------------------------------ far apart

PLACES = {
    "one region": ("East US",) * 4,
    "one continent": ("East US", "Central US", "West US 2", "Canada Central"),
    "two continents": ("East US", "West Europe", "UK South", "Central US"),
    "the world": ("East US", "West Europe", "Southeast Asia", "Japan East"),
}


@dataclass(frozen=True)
class GeographyParams(Parameters):
    """The machines that stand in ``PLACES``: the coordinator in the first region, a participant in each other one."""

    disk_ms: float = parameter(2.0, "a forced write", unit="ms", low=0, high=50)


def geography(params: GeographyParams = GeographyParams(), places: Iterable[str] = tuple(PLACES)) -> pd.DataFrame:
    """One row for each protocol and each of ``places``: told_ms, when the client beside the coordinator hears of the
    commit; known_ms, when the last participant does; locked_ms, how long a participant holds its locks at the most."""
    rows = []
    for place in places:
        for protocol, node_class in PROTOCOLS.items():
            rows.append((protocol, place, *_far_apart(node_class, PLACES[place], params.disk_ms)))
    return pd.DataFrame(rows, columns=["protocol", "places", "told_ms", "known_ms", "locked_ms"])


def _far_apart(protocol: type[TwoPhaseCommit], regions: tuple[str, ...], disk_ms: float) -> tuple[float, float, float]:
    names = node_names(len(regions))
    links = tuple([
        (one, other, one_way_ms(here, there))
        for one, here in zip(names, regions, strict=True) for other, there in zip(names, regions, strict=True)
        if one != other
    ])  # fmt: skip
    nodes = cluster(protocol, names, **timers(protocol, 1e3))
    made = Cluster(nodes, Network(PerLink(links, jitter=0.0), disk=Constant(disk_ms) if disk_ms else None))
    made.post(0.0, names[0], Begin(shared_out(names[1:], 1), client=None))
    trace = made.run(4e3)
    told = client_told(trace, disk_ms)
    assert told is not None, "nothing fails"
    known_ms = max(one.time_ms for one in trace.outputs_of(Wrote) if isinstance(one.event.record, Finished))
    return told[1], known_ms, longest_ms(intervals(trace, "locked"))
