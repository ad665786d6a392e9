"""Paxos in situations: one decision, a duel of two proposers, a leader's crash, and side by side with Raft."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from distlib.core.fault import Crash
from distlib.core.node import node_names, with_peers
from distlib.core.parameter import Parameters, parameter
from distlib.core.seeds import Seeds
from distlib.core.trace import Trace, kind_of
from distlib.paxos.invariants import multi_paxos_invariants, paxos_invariants
from distlib.paxos.message import BallotStarted, Chosen, Propose, quorum_sizes
from distlib.paxos.multi_paxos import MultiPaxos
from distlib.paxos.paxos import Paxos
from distlib.raft.raft import Raft
from distlib.replication.client import Client
from distlib.replication.message import Invoked, Returned
from distlib.replication.state_machine import Put
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Constant, Uniform
from distlib.sim.network import Network

WIDTHS_MS = (0, 5, 10, 20, 40, 80, 160, 320)
NAN = float("nan")
MOST_MESSAGES = 20_000
PATIENCE = 2_000
"""After so many events of a cluster, nobody waits for its next leader any more."""


@dataclass(frozen=True)
class SingleDecreeParams(Parameters):
    """One decision: who proposes, over which network, with which quorums."""

    acceptors: int = parameter(5, "acceptors", low=1, high=9, help="each of them learns, too")
    proposers: int = parameter(
        2, "proposers", low=1, high=9, ceiling="acceptors", help="the first so many nodes propose a value each"
    )
    stagger_ms: float = parameter(
        8.0, "a proposer starts every", unit="ms", low=0, high=100, step=1, help="after the one before it"
    )
    latency_ms: tuple[float, float] = parameter(
        (5, 15), "one-way latency", unit="ms", low=1, high=100, help="uniform on this range"
    )
    loss: float = parameter(0.0, "message loss", low=0, high=0.9, step=0.01, help="probability that a message is lost")
    phase1_quorum: int = parameter(
        0, "quorum of phase 1", low=0, high=9, ceiling="acceptors", help="0: a majority, or what intersects phase 2's"
    )
    phase2_quorum: int = parameter(
        0, "quorum of phase 2", low=0, high=9, ceiling="acceptors", help="0: a majority, or what intersects phase 1's"
    )
    backoff_ms: tuple[float, float] = parameter(
        (20, 60), "backoff", unit="ms", low=0, high=500, step=5, help="the pause after a ballot that met a higher one"
    )
    duration_ms: float = parameter(
        400.0, "duration", unit="ms", low=50, high=5000, scale="log", help="virtual time shown"
    )
    seed: int = parameter(7, "seed", low=0, high=2**31, help="all chance comes from here; same seed, same run")

    def check(self) -> None:
        if self.proposers > self.acceptors:
            raise ValueError(
                f"proposers is {self.proposers}, but there are only {self.acceptors} nodes to propose; "
                "add acceptors, or take fewer proposers"
            )
        self.quorums()

    def quorums(self) -> tuple[int, int]:
        """The sizes of the quorums of both phases."""
        return quorum_sizes(self.acceptors, self.phase1_quorum or None, self.phase2_quorum or None, unsafe=True)

    def warnings(self) -> list[str]:
        phase1, phase2 = self.quorums()
        remarks = []
        if phase1 + phase2 <= self.acceptors:
            remarks.append(
                f"A quorum of {phase1} and one of {phase2} need not share any of {self.acceptors} acceptors: "
                "two values may be chosen."
            )
        survives = self.acceptors - max(phase1, phase2)
        if survives < (self.acceptors - 1) // 2:
            remarks.append(f"With these quorums, a new proposer gets through only while at most {survives} are down.")
        return remarks

    def cluster(self, *, watched: bool = True) -> Cluster:
        """The nodes, under Paxos's invariants if ``watched``, and the clients' proposals under way to them."""
        names, (phase1, phase2) = node_names(self.acceptors), self.quorums()
        nodes = [
            Paxos(
                name, names, phase1_quorum=phase1, phase2_quorum=phase2, unsafe=phase1 + phase2 <= self.acceptors,
                retransmit_ms=(4 * self.latency_ms[1], 5 * self.latency_ms[1]),
                catch_up_ms=(8 * self.latency_ms[1], 10 * self.latency_ms[1]),
                backoff_ms=self.backoff_ms, backoff_growth=1.0,
            )
            for name in names
        ]  # fmt: skip
        network = Network(Uniform(*self.latency_ms), loss=self.loss)
        invariants = paxos_invariants() if watched else ()
        cluster = Cluster(nodes, network, seed=self.seed, invariants=invariants, record=watched)
        for number in range(self.proposers):
            value = "ABCDEFGHI"[number]
            cluster.post(number * self.stagger_ms, names[number], Propose(value), sender="client")
        return cluster


def single_decree(params: SingleDecreeParams = SingleDecreeParams()) -> Trace:
    """Clients hand values to some proposers, one after the other; all nodes learn one of them."""
    return params.cluster().run(params.duration_ms)


@dataclass(frozen=True)
class DuelParams(SingleDecreeParams):
    """Two proposers who keep overtaking each other, and the pause that ends it."""

    acceptors: int = parameter(3, "acceptors", low=2, high=9, help="the first two of them propose")
    stagger_ms: float = parameter(15.0, "the second starts after", unit="ms", low=0, high=100, step=1)
    latency_ms: tuple[float, float] = parameter(
        (10, 10), "one-way latency", unit="ms", low=1, high=100, help="constant: the livelock is perfect"
    )
    backoff_ms: tuple[float, float] = parameter(
        (0, 0), "backoff", unit="ms", low=0, high=500, step=5, help="no pause: livelock; a random one ends it"
    )


def duel(params: DuelParams = DuelParams()) -> Trace:
    """Two proposers: each one's phase 1 makes the other's phase 2 too late (§2.4)."""
    return params.cluster().run(params.duration_ms)


@dataclass(frozen=True)
class Decision:
    """How a duel ended: ballots begun by all proposers together, and when a learner first knew (None: not in time)."""

    rounds: int
    decided_ms: float | None


def decision(params: SingleDecreeParams, limit_ms: float = 2000.0) -> Decision:
    """Run until somebody has learnt the chosen value, at most ``limit_ms``."""
    cluster = params.cluster(watched=False)
    cluster.run(limit_ms, until=lambda running: any(getattr(node, "chosen", None) for node in running.nodes.values()))
    rounds = sum(isinstance(one.event, BallotStarted) for one in cluster.outputs)
    learnt = [one.time_ms for one in cluster.outputs if isinstance(one.event, Chosen)]
    return Decision(rounds, learnt[0] if learnt else None)


def backoff_study(
    params: DuelParams = DuelParams(), widths_ms: Sequence[float] = WIDTHS_MS, trials: int = 50, limit_ms: float = 2000
) -> pd.DataFrame:
    """Rounds to decision against backoff: one row a width, whose pauses are drawn from 0 to that many ms.

    Columns: backoff_ms, trials, decided (share, of those decided within ``limit_ms``), rounds and time_ms
    (means over the decided ones, NaN if there are none). Trial k has the seed ``params.seed`` + k.
    """
    rows = []
    for width in widths_ms:
        settings = replace(params, backoff_ms=(0, width))
        ends = [decision(replace(settings, seed=(params.seed + trial) % 2**31), limit_ms) for trial in range(trials)]
        done = [(end.rounds, end.decided_ms) for end in ends if end.decided_ms is not None]
        rounds, time_ms = map(fmean, zip(*done, strict=True)) if done else (NAN, NAN)
        rows.append((width, trials, len(done) / trials, rounds, time_ms))
    return pd.DataFrame(rows, columns=["backoff_ms", "trials", "decided", "rounds", "time_ms"])


# --- Multi-Paxos, and Raft beside it ----------------------------------------------------------------------

Replicated = type[MultiPaxos] | type[Raft]


def make_servers(
    protocol: Replicated, count: int, timeout_ms: tuple[float, float], heartbeat_ms: float
) -> list[MultiPaxos | Raft]:
    """``count`` servers that run ``protocol``; ``timeout_ms`` is when they suspect a silent leader."""
    timeout = "election_timeout_ms" if issubclass(protocol, Raft) else "suspect_ms"
    return with_peers(protocol, node_names(count), **{timeout: timeout_ms}, heartbeat_ms=heartbeat_ms)


@dataclass(frozen=True)
class LeaderChangeParams(Parameters):
    """A replicated log under clients; its leader crashes, and another takes over."""

    servers: int = parameter(5, "servers", low=1, high=9, help="size of the cluster")
    clients: int = parameter(2, "clients", low=0, high=9, help="each has one request under way")
    suspect_ms: tuple[float, float] = parameter(
        (150, 300), "suspicion", unit="ms", low=10, high=1500, step=1,
        help="a silent leader is suspected after a time drawn from here",
    )  # fmt: skip
    heartbeat_ms: float = parameter(
        50.0, "heartbeat", unit="ms", low=10, high=1000, step=1, help="how often a leader shows itself"
    )
    latency_ms: tuple[float, float] = parameter(
        (2, 8), "one-way latency", unit="ms", low=1, high=50, help="uniform on this range"
    )
    loss: float = parameter(0.0, "message loss", low=0, high=0.9, step=0.01, help="probability that a message is lost")
    crash_ms: float = parameter(
        700.0, "leader crashes at", unit="ms", low=0, high=60_000, step=10, ceiling="duration_ms"
    )
    down_ms: float = parameter(500.0, "and is down for", unit="ms", low=0, high=60_000, step=10, ceiling="duration_ms")
    duration_ms: float = parameter(
        1500.0,
        "duration",
        unit="ms",
        low=100,
        high=10_000,
        scale="log",
        ceiling="longest_ms",
        help="virtual time shown",
    )
    seed: int = parameter(7, "seed", low=0, high=2**31, help="all chance comes from here; same seed, same run")

    @property
    def longest_ms(self) -> float:
        """How long a run may be for a picture: about ``MOST_MESSAGES`` of heartbeats and clients, or one leader change
        after another."""
        others = 3 * max(1, self.servers - 1)
        served = self.clients / (4 * self.latency_ms[0]) + 1 / self.heartbeat_ms
        return MOST_MESSAGES / (others * max(served, self.servers / self.suspect_ms[0]))

    def warnings(self) -> list[str]:
        if self.suspect_ms[0] <= self.heartbeat_ms + self.latency_ms[1]:
            return [
                f"A leader is suspected after {self.suspect_ms[0]:g} ms, before its next heartbeat "
                f"(every {self.heartbeat_ms:g} ms) can arrive: healthy leaders will be overtaken."
            ]
        return []


def leader_change(params: LeaderChangeParams = LeaderChangeParams()) -> Trace:
    """Multi-Paxos: a leader is elected and serves its clients; it crashes; another takes over; the first comes back."""
    nodes: list[Any] = make_servers(MultiPaxos, params.servers, params.suspect_ms, params.heartbeat_ms)
    for number in range(1, params.clients + 1):
        writes = tuple(Put(f"x{number}", step) for step in range(1, 1001))
        nodes.append(Client(f"C{number}", node_names(params.servers), writes, timeout_ms=4 * params.heartbeat_ms))
    network = Network(Uniform(*params.latency_ms), loss=params.loss)
    crash = Crash(params.crash_ms, "@leader", params.down_ms)
    cluster = Cluster(nodes, network, seed=params.seed, faults=(crash,), invariants=multi_paxos_invariants())
    return cluster.run(params.duration_ms)


@dataclass(frozen=True)
class CompareParams(Parameters):
    """The same cluster, network and timers for Paxos, Multi-Paxos and Raft."""

    servers: int = parameter(5, "servers", low=3, high=9, help="size of the cluster; of two, none could lead alone")
    latency_ms: float = parameter(
        10.0, "one-way latency", unit="ms", low=1, high=200, step=1, help="constant, so that delays can be counted"
    )
    timeout_ms: tuple[float, float] = parameter(
        (150, 300), "election timeout", unit="ms", low=10, high=3000, step=10,
        help="suspicion in Multi-Paxos, election timeout in Raft",
    )  # fmt: skip
    heartbeat_ms: float = parameter(50.0, "heartbeat", unit="ms", low=10, high=1000, step=10)
    commands: int = parameter(20, "commands", low=1, high=200, help="written one after the other by one client")
    trials: int = parameter(30, "leader's crashes", low=2, high=100, help="each from a seed of its own")
    seed: int = parameter(7, "seed", low=0, high=2**31, help="all chance comes from here; same seed, same run")


def compare(params: CompareParams = CompareParams()) -> pd.DataFrame:
    """Paxos, Multi-Paxos and Raft side by side, measured, one row each.

    ``messages`` between servers for one command, without heartbeats and their answers; ``round_trips`` from when the
    proposer or leader has the command until it knows the outcome; ``leader_change_ms``, the mean time from a leader's
    crash to the next one's election, and ``standard_error_ms`` (NaN for Paxos, which has no leader);
    ``leaderless``, the crashes after which nobody was elected within ``PATIENCE`` events, which do not count there.
    """
    rows = [("Paxos", *paxos_cost(params), NAN, NAN, 0)]
    for name, protocol in (("Multi-Paxos", MultiPaxos), ("Raft", Raft)):
        trials = [leader_change_ms(params, protocol, trial) for trial in range(params.trials)]
        times = [time for time in trials if time is not None]
        mean = fmean(times) if times else NAN
        error = stdev(times) / len(times) ** 0.5 if len(times) > 1 else NAN
        rows.append((name, *log_cost(params, protocol), mean, error, len(trials) - len(times)))
    columns = ["protocol", "messages", "round_trips", "leader_change_ms", "standard_error_ms", "leaderless"]
    return pd.DataFrame(rows, columns=columns)


def paxos_cost(params: CompareParams) -> tuple[float, float]:
    """Messages and round trips of one decision of Paxos, undisturbed, with its proposer as the only learner."""
    names = node_names(params.servers)
    nodes = [Paxos(name, names, learners=(names[0],), retransmit_ms=None, catch_up_ms=None) for name in names]
    cluster = Cluster(nodes, Network(Constant(params.latency_ms)), seed=params.seed)
    cluster.post(0, names[0], Propose("A"), sender="client")
    trace = cluster.run(100 * params.latency_ms)
    between = [one for one in trace.sent if one[2] != one[3] and one[2] in names]
    return float(len(between)), trace.outputs_of(Chosen)[0].time_ms / (2 * params.latency_ms)


def log_cost(params: CompareParams, protocol: Replicated) -> tuple[float, float]:
    """Messages and round trips for one command under a stable leader, the client's own round trip taken off."""
    names = node_names(params.servers)
    servers = make_servers(protocol, params.servers, (2e5, 4e5), 1e5)  # no heartbeat repeats what is under way
    commands = tuple(Put("x", step) for step in range(params.commands + 1))
    client = Client("C1", names, commands, think_ms=(0, 0), timeout_ms=1e4)
    cluster = Cluster([*servers, client], Network(Constant(params.latency_ms)), seed=params.seed)
    trace = cluster.run(2e6, until=lambda running: client.serial > params.commands and not client.waiting)
    called, returned = trace.outputs_of(Invoked)[1:], trace.outputs_of(Returned)[1:]  # the first found the leader
    start_ms, end_ms = called[0].time_ms, returned[-1].time_ms
    between = [
        one for one in trace.sent
        if start_ms <= one[5] <= end_ms and one[2] != one[3] and one[2] in names and one[3] in names
        and not getattr(one[4], "routine", False)
    ]  # fmt: skip
    waits = [back.time_ms - call.time_ms for call, back in zip(called, returned, strict=True)]
    return len(between) / len(called), fmean(waits) / (2 * params.latency_ms) - 1


def leader_change_ms(params: CompareParams, protocol: Replicated, trial: int) -> float | None:
    """Time from the crash of an elected leader, at a random moment of its heartbeats, to the next one's election; None
    if there is none within ``PATIENCE`` events."""
    servers = make_servers(protocol, params.servers, params.timeout_ms, params.heartbeat_ms)
    network, seed = Network(Uniform(params.latency_ms, params.latency_ms)), params.seed + trial
    cluster = Cluster(servers, network, seed=seed, record=False)

    def elected(running: Cluster) -> bool:
        now = takewhile(lambda one: one.time_ms == running.now_ms, reversed(running.outputs))
        return any(kind_of(one.event) == "BecameLeader" for one in now)

    def run(**until: Any) -> bool:
        return cluster.run(**until, max_events=PATIENCE - cluster.events).stopped in ("condition", "time")

    if not run(until=elected):
        return None
    crash_ms = cluster.now_ms + Seeds(seed).stream("crash").uniform(1, 2) * params.heartbeat_ms
    cluster.schedule(Crash(crash_ms, "@leader"))
    return cluster.now_ms - crash_ms if run(until_ms=crash_ms) and run(until=elected) else None
