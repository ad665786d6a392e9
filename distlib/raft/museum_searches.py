"""Searches that the bug museum adds to those of ``raft_search``: into situations that few bugs need.

No search knows which bug it is after. Each leads the shipped class, too, into a legal situation in which bugs of a kind
show: an even number of servers, three terms, logs that differ, a leader's second reign, a change of the membership.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.world import Faults, World
from distlib.check.history.linearizability import Verdict, check
from distlib.check.history.sequential import CasRegister as Register
from distlib.check.search import Leg, Outcome, ProtocolSearch, breadth, staged
from distlib.core.fault import Crash, Link, Partition
from distlib.core.node import Node, NodeId
from distlib.raft.invariants import raft_invariants
from distlib.raft.leadership import NoLostTerms, StableLeadership
from distlib.raft.membership import AddServer, Membership, RemoveServer
from distlib.raft.raft import ClientRequest, Raft
from distlib.raft.runs import history
from distlib.raft.searches import leads
from distlib.replication.client import RaftClient
from distlib.replication.state_machine import Get, Put
from distlib.sim.cluster import Cluster, NodeError
from distlib.sim.latency import Uniform
from distlib.sim.network import Network

Goal = Callable[[World], bool]
S1, S2, S3, S4, S5 = "S1", "S2", "S3", "S4", "S5"
SEEDS = range(1, 13)


def write(number: int) -> ClientRequest:
    """A client's request."""
    return ClientRequest(Put("x", number))


WRITES = [(S1, write(1)), (S1, write(2))]


def servers(count: int) -> tuple[NodeId, ...]:
    """S1, S2, …"""
    return (S1, S2, S3, S4, S5)[:count]


def raft_cluster(kind: type[Raft], count: int = 3, batch: int = 64, **options: Any) -> ClusterModel:
    """``count`` servers under all of Raft's invariants."""
    names = servers(count)

    def made() -> list[Raft]:
        return [kind(name, tuple(peer for peer in names if peer != name), batch=batch) for name in names]

    return ClusterModel(made, invariants=raft_invariants(), **options)


def membership_cluster(kind: type[Raft], **options: Any) -> ClusterModel:
    """Four servers and one that may join; a class without membership changes gets them."""
    changing = kind if issubclass(kind, Membership) else Membership
    names = servers(5)

    def made() -> list[Membership]:
        return [
            changing(name, tuple(peer for peer in names if peer != name), initial_servers=names[:4]) for name in names
        ]

    return ClusterModel(made, invariants=raft_invariants(), **options)


def cut(*alone: NodeId, count: int = 3) -> list[Link]:
    """All links from and to the servers in ``alone``."""
    names = servers(count)
    return [(one, other) for one in names for other in names if one != other and (one in alone or other in alone)]


# ------------------------------------------------------------ goals


def both(*goals: Goal) -> Goal:
    """All of ``goals`` at once."""
    return lambda world: all(goal(world) for goal in goals)


def has_entries(name: NodeId, count: int) -> Goal:
    """The log of ``name`` holds so many entries."""
    return lambda world: bool(world.node(name).log.last_index == count)


def has_committed(name: NodeId, index: int) -> Goal:
    """``name`` knows that so much is committed."""
    return lambda world: bool(world.node(name).commit_index >= index)


def knows_copy(leader: NodeId, follower: NodeId, index: int) -> Goal:
    """``leader`` knows that ``follower`` has its entries up to ``index``."""
    return lambda world: bool(world.node(leader).match_index.get(follower, 0) >= index)


def configured(name: NodeId, *members: NodeId) -> Goal:
    """``name`` takes ``members`` for the cluster."""
    return lambda world: set(world.node(name).servers()) == set(members)


def configuration_committed(name: NodeId, *members: NodeId) -> Goal:
    """``name`` takes ``members`` for the cluster, and knows that this is committed."""

    def committed(world: World) -> bool:
        server = world.node(name)
        return bool(server.configuration()[0] <= server.commit_index)

    return both(configured(name, *members), committed)


def all_asked(world: World) -> bool:
    """The clients have asked all that they want."""
    return not any(world.left[-2:])


# ------------------------------------------------------------ situations

DIVERGENT_LOGS = (
    Leg({"timeouts": {"S1.election": 1}, "requests": WRITES}, both(leads(S1, 1), has_entries(S1, 3))),
    Leg({"timeouts": {"S2.election": 2}, "partitioned": cut(S1)}, leads(S2, 2)),
    Leg({"partitioned": cut(S1)}, knows_copy(S2, S3, 1)),
    Leg({"timeouts": {"S1.election": 2, "S2.heartbeat": 1}, "faults": Faults(crashes={S1: 1})}, max_states=30_000),
)  # fmt: skip
"""S1 leads term 1 and writes what nobody hears of; S2 leads term 2 and commits with S3; then all are together."""

ONE_BEHIND = (
    Leg({"timeouts": {"S1.election": 1}, "partitioned": cut(S3)}, both(leads(S1, 1), has_entries(S2, 1))),
    Leg({"timeouts": {"S1.election": 1, "S2.election": 1, "S1.heartbeat": 1}, "faults": Faults(crashes={S1: 1})},
        max_states=30_000),
)  # fmt: skip
"""S1 leads term 1, and S2 has its entry; S3, which was cut off, has none; then S1 and S2 may stand again."""

SECOND_REIGN = (
    Leg({"timeouts": {"S1.election": 1}, "partitioned": cut(S4, S5, count=5)}, leads(S1, 1)),
    Leg({"requests": WRITES[:1], "partitioned": cut(S2, S4, S5, count=5)}, has_entries(S3, 2)),
    Leg({"timeouts": {"S2.election": 2}, "partitioned": cut(S1, S3, count=5)}, leads(S2, 2)),
    Leg({"timeouts": {"S2.heartbeat": 1}, "partitioned": cut(S3, S5, count=5)}, knows_copy(S2, S1, 1)),
    Leg({"timeouts": {"S1.election": 1}, "partitioned": cut(S2, S3, count=5)}, leads(S1, 3)),
    Leg({"partitioned": cut(S2, S5, count=5)}, max_states=30_000),
)
"""Five servers: S1 leads term 1, S3's answer is under way; S2 leads term 2 and undoes the entry; S1 leads term 3."""

STALE_SUFFIX = (
    Leg({"timeouts": {"S1.election": 1}}, both(*[has_entries(name, 1) for name in servers(3)])),
    Leg({"requests": WRITES, "partitioned": cut(S1)}, has_entries(S1, 3)),
    Leg({"timeouts": {"S2.election": 1}, "partitioned": cut(S1)}, leads(S2, 2)),
    Leg({"partitioned": cut(S1)}, has_committed(S2, 2)),
    Leg({"timeouts": {"S2.heartbeat": 1}, "requests": [(S2, write(3))], "partitioned": cut(S3)}, max_states=30_000),
)
"""Behind an entry that all have, S1 writes what nobody hears of; S2 leads term 2 and commits with S3."""

RECONFIGURATION = (
    Leg({"timeouts": {"S1.election": 1}, "requests": [(S1, AddServer(S5))], "partitioned": cut(S4, count=5)},
        both(leads(S1, 1), configured(S1, *servers(5)), configured(S5, *servers(5)), has_entries(S4, 0))),
    Leg({"timeouts": {"S2.election": 2}, "partitioned": cut(S1, S5, count=5)}, leads(S2, 2)),
    Leg({"requests": [(S2, RemoveServer(S1))], "partitioned": cut(S1, S5, count=5)},
        both(configured(S3, S2, S3, S4), configuration_committed(S2, S2, S3, S4))),
    Leg({"timeouts": {"S1.election": 2}, "partitioned": cut(S2, S3, count=5), "faults": Faults(crashes={S1: 1})}),
)  # fmt: skip
"""S1 adds S5, and tells only it; S2, whom the others elect, removes S1; then S1 stands again, with S5 and S4."""

TWO_SIDES = cut(S1, S5, count=5)
THREE_CHANGES = (
    Leg({"timeouts": {"S1.election": 1}}, both(leads(S1, 1), has_committed(S1, 1))),
    Leg({"requests": [(S1, AddServer(S5))], "partitioned": cut(S2, S3, S4, count=5)}, has_entries(S5, 2)),
    Leg({"requests": [(S1, RemoveServer(S2)), (S1, RemoveServer(S3))],
         "partitioned": cut(S2, S3, S4, count=5)}, all_asked),
    Leg({"timeouts": {"S2.election": 1},
         "partitioned": [link for link in TWO_SIDES if {*link} != {S1, S5}]}, max_states=30_000),
)  # fmt: skip
"""S1 adds S5 and is asked to remove S2 and S3 at once; then S1 and S5 stand apart from the others, who elect S2."""


# ------------------------------------------------------------ simulated runs


def simulated(
    make: Callable[[type[Any], int], Cluster],
    until_ms: float,
    problem: Callable[[Cluster], str],
    looked: str,
    invariant: str,
) -> Callable[[type[Any], float], Outcome]:
    """A search over ``SEEDS``: make a cluster, run it, look what is wrong with it."""

    def run(kind: type[Any], max_seconds: float) -> Outcome:
        start, tried = perf_counter(), 0
        for seed in SEEDS:
            if tried and perf_counter() - start > max_seconds:
                break
            tried += 1
            try:
                cluster = make(kind, seed)
                cluster.run(until_ms)
                failure = problem(cluster)
            except NodeError as error:
                failure = str(error)
            if failure:
                return Outcome("", f"{failure} (seed {seed})", looked, True, seed=seed, invariant=invariant)
        return Outcome("", "", f"{tried} {looked}", tried == len(SEEDS))

    return run


def three(kind: type[Raft]) -> list[Node]:
    """Three servers."""
    names = servers(3)
    return [kind(name, tuple(peer for peer in names if peer != name)) for name in names]


def healthy(kind: type[Raft], seed: int) -> Cluster:
    """Three servers in which nothing fails."""
    invariants = (StableLeadership(), NoLostTerms())
    return Cluster(three(kind), Network(Uniform(1, 5)), seed=seed, invariants=invariants)


def unhealthy(cluster: Cluster) -> str:
    """The invariant of a healthy cluster that broke."""
    return f"{cluster.violations[0].invariant}: {cluster.violations[0].witness}" if cluster.violations else ""


def partitioned(kind: type[Raft], seed: int) -> Cluster:
    """Three servers, one of which is cut off from 1,000 to 2,000 ms while all are asked to write.

    With odd seeds it is the leader; with even ones a follower, and the leader crashes meanwhile and comes back.
    """
    cluster = Cluster(three(kind), Network(Uniform(1, 5)), seed=seed)
    cluster.run(1_000.0)
    nodes: dict[NodeId, Any] = dict(cluster.nodes)
    leader = next((name for name in nodes if nodes[name].role.value == "leader"), S1)
    alone = leader if seed % 2 else next(name for name in nodes if name != leader)
    rest = tuple(name for name in nodes if name != alone)
    cluster.schedule(Partition(1_000.0, ((alone,), rest), 1_000.0))
    if alone != leader:
        cluster.schedule(Crash(1_400.0, leader, 50.0))
    for number in range(8):
        for name in nodes:
            cluster.post(1_100.0 + 100 * number, name, write(number))
    return cluster


def unhealed(cluster: Cluster) -> str:
    """What is not as it should be long after the partition; empty when all is well."""
    nodes: dict[NodeId, Any] = dict(cluster.nodes)
    leaders = [name for name, node in nodes.items() if node.role.value == "leader"]
    if len(leaders) != 1:
        return f"3,000 ms after the partition, {' and '.join(leaders) or 'nobody'} leads"
    last = nodes[leaders[0]].log.last_index
    behind = [name for name, node in nodes.items() if node.last_applied < last]
    if behind:
        return f"3,000 ms after the partition, {', '.join(behind)} has not applied all {last} entries of {leaders[0]}"
    return ""


def two_sides(kind: type[Raft], seed: int) -> Cluster:
    """The leader is cut off together with a client that reads, while another client writes on the other side."""
    names = servers(3)
    reads = tuple(Get("x") for _ in range(60))
    writes = tuple(Put("x", number) for number in range(60))
    clients: list[Node] = [
        RaftClient("C1", names, reads, think_ms=(10, 30), timeout_ms=120),
        RaftClient("C2", names, writes, think_ms=(10, 30), timeout_ms=120),
    ]
    cluster = Cluster([*three(kind), *clients], Network(Uniform(1, 5)), seed=seed)
    cluster.run(1_000.0)
    nodes: dict[NodeId, Any] = dict(cluster.nodes)
    leader = next((name for name in names if nodes[name].role.value == "leader"), S1)
    others = tuple(name for name in names if name != leader)
    cluster.schedule(Partition(1_000.0, ((leader, "C1"), (*others, "C2")), 1_500.0))
    return cluster


def unreal(cluster: Cluster) -> str:
    """Why the clients' history is not linearizable; empty when it is."""
    result = check(history(cluster.outputs), Register(), configuration_limit=200_000)
    return result.explain() if result.verdict is Verdict.NOT_LINEARIZABLE else ""


MUSEUM_SEARCHES: tuple[ProtocolSearch, ...] = (
    ProtocolSearch(
        "three terms", "two candidates that stand thrice: votes and terms that are mixed up",
        breadth(raft_cluster, 40_000, timeouts={"S1.election": 2, "S3.election": 1}),
    ),
    ProtocolSearch(
        "four servers", "majorities: half of an even number is none",
        breadth(raft_cluster, 20_000, count=4, timeouts={"S1.election": 1, "S2.election": 1}),
    ),
    ProtocolSearch(
        "divergent logs", "entries that only a deposed leader has, and its candidacy with them",
        staged(raft_cluster, *DIVERGENT_LOGS),
    ),
    ProtocolSearch(
        "one behind", "a follower without an entry that the others have", staged(raft_cluster, *ONE_BEHIND)
    ),
    ProtocolSearch(
        "second reign", "answers of a term in which the same server led before",
        staged(raft_cluster, *SECOND_REIGN, count=5),
    ),
    ProtocolSearch("stale suffix", "entries behind those that agree", staged(raft_cluster, *STALE_SUFFIX, batch=1)),
    ProtocolSearch(
        "reconfiguration", "two majorities of two memberships", staged(membership_cluster, *RECONFIGURATION)
    ),
    ProtocolSearch(
        "three changes", "a membership that changes faster than it is committed",
        staged(membership_cluster, *THREE_CHANGES),
    ),
    ProtocolSearch(
        "stale reads", "answers of a leader that has been deposed and doesn't know",
        simulated(two_sides, 2_800.0, unreal, "simulated histories of reads on one side and writes on the other",
                  "linearizability"),
    ),
    ProtocolSearch(
        "healthy cluster", "elections where nothing has failed",
        simulated(healthy, 3_000.0, unhealthy, "simulated runs without any fault", "liveness"), "liveness",
    ),
    ProtocolSearch(
        "healed partition", "who does not catch up, or step down, after a partition",
        simulated(partitioned, 5_000.0, unhealed, "simulated runs with a partition that ends", "liveness"),
        "liveness",
    ),
)  # fmt: skip
"""What the museum has on top of ``RAFT_SEARCHES``; the shipped Raft passes all of them."""
