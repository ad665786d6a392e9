"""Raft in situations: an election, a split vote, a partition, a server that comes back. Parameters in, trace out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from distlib.core.fault import Crash, Fault, Partition
from distlib.core.node import NodeId, node_names, with_peers
from distlib.core.parameter import Parameters, parameter
from distlib.core.trace import Trace
from distlib.raft.invariants import raft_invariants
from distlib.raft.raft import Raft
from distlib.replication.message import ClientRequest
from distlib.replication.state_machine import Put
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Constant, ExponentialLatency, Latency, LogNormalLatency, PerLink, Uniform
from distlib.sim.network import Network
from distlib.sim.regions import REGIONS, one_way_ms

LATENCY_MODELS = ("uniform", "constant", "exponential", "log-normal", "regions")
MOST_MESSAGES = 20_000
FIVE_REGIONS = ("East US", "West US 2", "West Europe", "Southeast Asia", "Japan East")


@dataclass(frozen=True)
class RaftParams(Parameters):
    """What every Raft scenario lets a reader choose: the cluster, its timers, its network, and chance itself."""

    servers: int = parameter(5, "servers", low=1, high=9, help="size of the cluster")
    election_timeout_ms: tuple[float, float] = parameter(
        (150, 300), "election timeout", unit="ms", low=10, high=1500, step=1,
        help="each server draws its timeout uniformly from this range, anew each time (§5.2)",
    )  # fmt: skip
    heartbeat_ms: float = parameter(
        50, "heartbeat", unit="ms", low=10, high=1000, step=1, help="how often a leader reports to all others"
    )
    latency: str = parameter("uniform", "latency model", choices=LATENCY_MODELS, help="how one-way latencies vary")
    latency_ms: float = parameter(
        5, "mean one-way latency", unit="ms", low=0.1, high=500, scale="log",
        help="of the latency model; with regions, measured round trips are used instead",
    )  # fmt: skip
    regions: tuple[str, ...] = parameter(
        FIVE_REGIONS, "regions", choices=tuple(REGIONS), several=True, at_least=1,
        only_with=("latency", "regions"), help="where the servers stand, in turn, when the latency model is 'regions'",
    )  # fmt: skip
    loss: float = parameter(0.0, "message loss", low=0, high=0.9, step=0.01, help="probability that a message is lost")
    duration_ms: float = parameter(
        1500, "duration", unit="ms", low=100, high=30_000, scale="log", ceiling="longest_ms", help="virtual time shown"
    )
    seed: int = parameter(7, "seed", low=0, high=2**31, help="all chance comes from here; same seed, same run")

    @property
    def longest_ms(self) -> float:
        """How long a run may be for a picture: about ``MOST_MESSAGES``, be it heartbeats or one election after
        another."""
        others = 2 * max(1, self.servers - 1)
        return MOST_MESSAGES / max(others / self.heartbeat_ms, self.servers * others / self.election_timeout_ms[0])

    def warnings(self) -> list[str]:
        (low_ms, high_ms), broadcast_ms = self.election_timeout_ms, self.broadcast_ms()
        remarks = []
        if low_ms < broadcast_ms:
            remarks.append(
                f"The shortest election timeout, {low_ms:g} ms, is below the broadcast time of about "
                f"{broadcast_ms:.0f} ms: servers stand for election before a leader's word can reach them (§5.6)."
            )
        if low_ms <= self.heartbeat_ms:
            remarks.append(
                f"The heartbeat interval, {self.heartbeat_ms:g} ms, is not shorter than the shortest election "
                f"timeout, {low_ms:g} ms: healthy leaders will be deposed."
            )
        if self.servers <= 2:
            remarks.append(f"A cluster of {self.servers} stops at the first crash: no majority is left without it.")
        elif self.servers % 2 == 0:
            remarks.append(
                f"{self.servers} servers survive no more crashes than {self.servers - 1}: "
                f"a majority is {self.servers // 2 + 1}."
            )
        if high_ms - low_ms < 1:
            remarks.append("With (nearly) equal timeouts, split votes may go on for ever.")
        return remarks

    def latency_model(self) -> Latency:
        """The latency model that the parameters describe."""
        mean = self.latency_ms
        match self.latency:
            case "constant":
                return Constant(mean)
            case "exponential":
                return ExponentialLatency(mean / 2, floor_ms=mean / 2)
            case "log-normal":
                return LogNormalLatency(mean * 0.8825, sigma=0.5)  # exp(-sigma²/2): so that the mean is right
            case "regions":
                return region_latency(node_names(self.servers), in_turn(self.regions, self.servers))
        return Uniform(mean * 0.5, mean * 1.5)

    def broadcast_ms(self) -> float:
        """A round trip to the slowest other server, on average: what §5.6 compares the timeouts with."""
        model = self.latency_model()
        if isinstance(model, PerLink):
            return 2 * max((ms for _, _, ms in model.links), default=0.0)
        return 2 * model.mean_ms()

    def cluster(self, faults: Sequence[Fault] = (), node_class: type[Raft] = Raft) -> Cluster:
        """A new cluster of Raft servers, or of a variant of Raft, under the invariants of figure 3."""
        timers = {"election_timeout_ms": self.election_timeout_ms, "heartbeat_ms": self.heartbeat_ms}
        nodes = with_peers(node_class, node_names(self.servers), **timers)
        network = Network(self.latency_model(), loss=self.loss)
        return Cluster(nodes, network, seed=self.seed, faults=faults, invariants=raft_invariants())


def in_turn(regions: Sequence[str], count: int) -> tuple[str, ...]:
    """The regions of ``count`` servers, used in turn."""
    return tuple(islice(cycle(regions), count))


def region_latency(names: Sequence[NodeId], places: Sequence[str]) -> PerLink:
    """One-way latencies between servers in cloud regions: half of the measured round trips, and up to 5 % of jitter."""
    where = dict(zip(names, places, strict=True))
    return PerLink(tuple((a, b, one_way_ms(where[a], where[b])) for a in names for b in names if a != b), jitter=0.05)


@dataclass(frozen=True)
class ElectionParams(RaftParams):
    """A first election, the leader's crash, the next election."""

    crash_ms: float = parameter(
        600,
        "leader crashes at",
        unit="ms",
        low=0,
        high=60_000,
        step=10,
        ceiling="duration_ms",
        help="at the end, or beyond: it never does",
    )
    down_ms: float = parameter(
        500,
        "and is down for",
        unit="ms",
        low=0,
        high=60_000,
        step=10,
        ceiling="duration_ms",
        help="then it restarts from its durable state",
    )


def election(params: ElectionParams = ElectionParams(), node_class: type[Raft] = Raft) -> Trace:
    """Servers start as followers; one is elected; the leader crashes; another takes over; the first one
    comes back. ``node_class`` may be a variant of Raft."""
    crash = Crash(params.crash_ms, "@leader", params.down_ms)
    return params.cluster((crash,), node_class).run(params.duration_ms)


@dataclass(frozen=True)
class SplitVoteParams(RaftParams):
    """Timers that start together, drawn from a narrow range: several candidates at once."""

    servers: int = parameter(4, "servers", low=2, high=9, help="an even number splits most easily")
    election_timeout_ms: tuple[float, float] = parameter(
        (150, 152), "election timeout", unit="ms", low=10, high=1500, step=1,
        help="narrow: split votes; spread it, and they vanish",
    )  # fmt: skip
    duration_ms: float = parameter(
        1000, "duration", unit="ms", low=100, high=30_000, scale="log", ceiling="longest_ms", help="virtual time shown"
    )


def split_vote(params: SplitVoteParams = SplitVoteParams()) -> Trace:
    """All servers start at the same instant, so their election timers differ only by what they draw."""
    return params.cluster().run(params.duration_ms)


@dataclass(frozen=True)
class PartitionParams(RaftParams):
    """A leader cut off with a minority, while both sides are asked to do work."""

    servers: int = parameter(5, "servers", low=3, high=9, help="the leader and one other are cut off from the rest")
    partition_ms: float = parameter(
        600,
        "partition at",
        unit="ms",
        low=0,
        high=60_000,
        step=10,
        ceiling="duration_ms",
        help="leader and one follower here, the rest there",
    )
    heal_ms: float = parameter(
        1400,
        "heals at",
        unit="ms",
        low=0,
        high=60_000,
        step=10,
        floor="partition_ms",
        ceiling="duration_ms",
        help="then the logs are repaired",
    )
    commands: int = parameter(
        3, "commands on each side", low=0, high=20, help="asked of the old leader and of the new one"
    )
    duration_ms: float = parameter(
        2200, "duration", unit="ms", low=100, high=30_000, scale="log", ceiling="longest_ms", help="virtual time shown"
    )

    def check(self) -> None:
        if self.heal_ms < self.partition_ms:
            raise ValueError(
                f"heal_ms is {self.heal_ms:g}, before the partition at partition_ms = {self.partition_ms:g}"
            )


def partition(params: PartitionParams = PartitionParams(), node_class: type[Raft] = Raft) -> Trace:
    """Two entries before the partition; then the old leader takes commands that it can never commit, and the new one
    commits its own, which replace the old one's after the heal (§5.3)."""
    cluster, cut_ms = params.cluster(node_class=node_class), min(params.partition_ms, params.duration_ms)
    cluster.run(cut_ms / 2)
    _ask(cluster, leader_of(cluster), 2, "before")
    cluster.run(cut_ms)
    old = leader_of(cluster)
    if old is not None and params.partition_ms < params.duration_ms:
        others = [name for name in cluster.nodes if name != old]
        minority = (old, *others[: (params.servers - 1) // 2 - 1])
        majority = isolate(cluster, minority, params.heal_ms - params.partition_ms)
        _ask(cluster, old, params.commands, "old")
        cluster.run(min((params.partition_ms + params.heal_ms) / 2, params.duration_ms))
        _ask(cluster, leader_of(cluster, among=majority), params.commands, "new")
    return cluster.run(params.duration_ms)


@dataclass(frozen=True)
class RejoinParams(RaftParams):
    """A follower is cut off from all others while the leader goes on working, and comes back."""

    servers: int = parameter(5, "servers", low=3, high=9, help="all but one follower stay together")
    partition_ms: float = parameter(
        400, "follower cut off at", unit="ms", low=0, high=60_000, step=10, ceiling="duration_ms"
    )
    away_ms: float = parameter(
        700, "for", unit="ms", low=0, high=60_000, step=10, ceiling="duration_ms", help="then it is back"
    )
    commands: int = parameter(
        1, "commands meanwhile", low=0, high=20, help="0: it lacks nothing, and its log is as good as any (§5.4.1)"
    )
    duration_ms: float = parameter(
        2000, "duration", unit="ms", low=100, high=30_000, scale="log", ceiling="longest_ms", help="virtual time shown"
    )


def rejoin(node_class: type[Raft] = Raft, params: RejoinParams = RejoinParams()) -> Trace:
    """A cluster of ``node_class`` that loses its first follower from the network for a while; nobody crashes.

    Meanwhile the leader commits entries, so that the follower cannot win an election (§5.4.1), or none, so that it can;
    with plain Raft, it comes back with a higher term in either case.
    """
    cluster = params.cluster(node_class=node_class)
    cluster.run(min(params.partition_ms, params.duration_ms))
    leader = leader_of(cluster)
    if leader is not None and params.partition_ms < params.duration_ms:
        isolate(cluster, (next(name for name in cluster.nodes if name != leader),), params.away_ms)
        for number in range(1, params.commands + 1):
            share = number / (params.commands + 1)
            word = "meanwhile" if number == 1 else f"meanwhile {number}"
            cluster.post(params.partition_ms + share * params.away_ms, leader, ClientRequest(Put("x", word)))
    return cluster.run(params.duration_ms)


def leader_of(cluster: Cluster, among: Sequence[NodeId] | None = None) -> NodeId | None:
    """The up server that now believes to lead, the one of the highest term if there are several."""
    up = [node for name, node in cluster.nodes.items() if cluster.is_up(name) and name in (among or cluster.nodes)]
    leaders = [node for node in up if isinstance(node, Raft) and node.role.value == "leader"]
    return max(leaders, key=lambda node: node.current_term).id if leaders else None


def isolate(cluster: Cluster, alone: tuple[NodeId, ...], for_ms: float) -> tuple[NodeId, ...]:
    """From now on for so long, a partition keeps the nodes ``alone`` apart from all others; these are returned."""
    others = tuple(name for name in cluster.nodes if name not in alone)
    cluster.schedule(Partition(cluster.now_ms, (alone, others), for_ms))
    return others


def _ask(cluster: Cluster, leader: NodeId | None, count: int, word: str) -> None:
    """From now on every 40 ms, ask ``leader``, if there is one, to write."""
    for number in range(1, count + 1):
        if leader is not None:
            cluster.post(cluster.now_ms + 40 * number, leader, ClientRequest(Put("x", f"{word} {number}")))
