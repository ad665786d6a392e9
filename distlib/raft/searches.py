"""What a Raft class has to stand: ``RAFT_SEARCHES``, from a search of two candidates to simulated runs with clients.

No search knows which bug it is after: each leads the shipped class, too, into a legal situation in which bugs of a kind
show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.world import Faults, World
from distlib.check.search import Leg, ProtocolSearch, breadth, staged, walks
from distlib.check.simulation import simulated
from distlib.core.fault import Link
from distlib.core.node import NodeId, node_names, with_peers
from distlib.raft import simulations
from distlib.raft.invariants import raft_invariants
from distlib.raft.membership import AddServer, Membership, RemoveServer
from distlib.raft.raft import Raft
from distlib.raft.snapshot import InstallSnapshot, Snapshots
from distlib.raft.variants import LeaderLease, LeaderStickiness, PreVote
from distlib.replication.message import ClientRequest
from distlib.replication.state_machine import Put

Goal = Callable[[World], bool]
S1, S2, S3, S4, S5 = node_names(5)


def raft_model(node_class: type[Raft], servers: int = 3, batch: int = 64, **options: Any) -> ClusterModel:
    """So many servers under all of Raft's invariants."""
    return model_of(node_class, node_names(servers), {"batch": batch}, **options)


def model_of(
    node_class: type[Raft], names: tuple[NodeId, ...], settings: dict[str, Any], *,
    timeouts: Mapping[str, int] | None = None, **options: Any,
) -> ClusterModel:  # fmt: skip
    """Servers with these settings. Where servers keep to a leader, so often as one may stand, each may let go of it."""
    firings = dict(timeouts or {})
    stands = sum(most for name, most in firings.items() if name.endswith("election"))
    if issubclass(node_class, LeaderStickiness) and stands:
        firings |= {f"{name}.loyalty": stands for name in names}
    return ClusterModel(
        lambda: with_peers(node_class, names, **settings), invariants=raft_invariants(), timeouts=firings, **options
    )


def membership_model(node_class: type[Membership], **options: Any) -> ClusterModel:
    """Four servers and one that may join."""
    names = node_names(5)
    return model_of(node_class, names, {"initial_servers": names[:4]}, **options)


def snapshot_model(node_class: type[Snapshots], **options: Any) -> ClusterModel:
    """Three servers that take a snapshot of each entry."""
    return model_of(node_class, node_names(3), {"snapshot_after": 1}, **options)


def write(number: int) -> ClientRequest:
    """A client's request."""
    return ClientRequest(Put("x", number))


WRITES = [(S1, write(1)), (S1, write(2))]


def apart(*alone: NodeId, count: int = 3) -> list[Link]:
    """All links from and to the servers in ``alone``."""
    names = node_names(count)
    return [(one, other) for one in names for other in names if one != other and (one in alone or other in alone)]


# ------------------------------------------------------------ goals


def at(name: NodeId, role: str | None = None, term: int | None = None, log: tuple[int, ...] | None = None) -> Goal:
    """``name`` is in this ``role`` and ``term``, and its ``log`` holds entries of these terms (None: whatever)."""

    def is_there(world: World) -> bool:
        server = world.node(name)
        found = (server.role.value, server.current_term, tuple([entry.term for entry in server.log.entries]))
        return all(wanted in (None, one) for wanted, one in zip((role, term, log), found, strict=True))

    is_there.__name__ = f"{name}: {role or ''} {term or ''} {log or ''}"
    return is_there


def leads(name: NodeId, term: int) -> Goal:
    """``name`` is leader of ``term``."""
    return at(name, "leader", term)


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


def compacted(name: NodeId, index: int) -> Goal:
    """The log of ``name`` begins after ``index``."""
    return lambda world: bool(world.node(name).log.base_index == index)


def late(world: World, index: int) -> bool:
    """A snapshot of the entries up to ``index`` is under way."""
    sent = [one.message for one in world.messages() if isinstance(one.message, InstallSnapshot)]
    return any(message.snapshot.last_index == index for message in sent)


def all_asked(world: World) -> bool:
    """The clients have asked all that they want."""
    return not any(world.left[-2:])


def stale_leader(world: World) -> bool:
    """S2 leads term 2, while S1 still believes to lead term 1 and its messages are under way."""
    return leads(S1, 1)(world) and leads(S2, 2)(world) and any(
        one.sender == "S1" and getattr(one.message, "entries", ()) for one in world.messages()
    )  # fmt: skip


# ------------------------------------------------------------ situations

FIGURE_8 = (
    Leg({"timeouts": {"S1.election": 1}}, both(leads(S1, 1), at(S2, log=()), at(S3, term=1, log=()))),
    Leg({"timeouts": {"S3.election": 1}},
        both(at(S1, "follower", 2, log=(1,)), at(S2, log=()), leads(S3, 2), has_entries(S3, 1))),
    Leg({"timeouts": {"S1.election": 1}},
        both(at(S1, "leader", 3, log=(1, 3)), at(S2, log=()), at(S3, term=3, log=(2,)))),
    Leg({}, both(knows_copy(S1, S2, 1), at(S2, log=(1,)))),
    Leg({"timeouts": {"S3.election": 1}}, max_states=15_000),
)  # fmt: skip
"""The paper's figure 8, with three servers: S1 leads term 1, and nobody has its entry; S3 leads term 2 with an entry of
its own; S1 leads again (c), and brings its old entry to S2: it stands on a majority; is it committed?"""

STALE_LEADER = (
    Leg({"timeouts": {"S1.election": 1}, "requests": WRITES[:1]},
        both(leads(S1, 1), has_entries(S1, 2), at(S2, log=()), at(S3, log=()))),
    Leg({"timeouts": {"S2.election": 1}}, stale_leader),
    Leg({"timeouts": {"S1.heartbeat": 1}}, max_states=40_000),
)  # fmt: skip
"""S1's entry is under way when S2 is elected."""

AFTER_A_COMMIT = (
    Leg({"timeouts": {"S1.election": 1}}, both(leads(S1, 1), has_committed(S1, 1))),
    Leg({"timeouts": {"S2.election": 1, "S3.election": 1}, "faults": Faults(crashes=1)}, max_states=25_000),
)
"""An entry is committed; then one server may crash, and two may stand."""

DIVERGENT_LOGS = (
    Leg({"timeouts": {"S1.election": 1}, "requests": WRITES}, both(leads(S1, 1), has_entries(S1, 3))),
    Leg({"timeouts": {"S2.election": 2}, "partitioned": apart(S1)}, leads(S2, 2)),
    Leg({"partitioned": apart(S1)}, knows_copy(S2, S3, 1)),
    Leg({"timeouts": {"S1.election": 2, "S2.heartbeat": 1}, "faults": Faults(crashes={S1: 1})}, max_states=30_000),
)
"""S1 leads term 1 and writes what nobody hears of; S2 leads term 2 and commits with S3; then all are together."""

ONE_BEHIND = (
    Leg({"timeouts": {"S1.election": 1}, "partitioned": apart(S3)}, both(leads(S1, 1), has_entries(S2, 1))),
    Leg({"timeouts": {"S1.election": 1, "S2.election": 1, "S1.heartbeat": 1}, "faults": Faults(crashes={S1: 1})},
        max_states=30_000),
)  # fmt: skip
"""S1 leads term 1, and S2 has its entry; S3, which was cut off, has none; then S1 and S2 may stand again."""

SECOND_REIGN = (
    Leg({"timeouts": {"S1.election": 1}, "partitioned": apart(S4, S5, count=5)}, leads(S1, 1)),
    Leg({"requests": WRITES[:1], "partitioned": apart(S2, S4, S5, count=5)}, has_entries(S3, 2)),
    Leg({"timeouts": {"S2.election": 2}, "partitioned": apart(S1, S3, count=5)}, leads(S2, 2)),
    Leg({"timeouts": {"S2.heartbeat": 1}, "partitioned": apart(S3, S5, count=5)}, knows_copy(S2, S1, 1)),
    Leg({"timeouts": {"S1.election": 1}, "partitioned": apart(S2, S3, count=5)}, leads(S1, 3)),
    Leg({"partitioned": apart(S2, S5, count=5)}, max_states=30_000),
)
"""Five servers: S1 leads term 1, S3's answer is under way; S2 leads term 2 and undoes the entry; S1 leads term 3."""

SECOND_REIGN_HEARD = (
    SECOND_REIGN[0],
    Leg(SECOND_REIGN[1].options, both(has_entries(S3, 2), knows_copy(S1, S3, 2))),
    *SECOND_REIGN[2:],
)
"""The same; S1 has heard S3's answer in its first reign."""

STALE_SUFFIX = (
    Leg({"timeouts": {"S1.election": 1}}, both(*[has_entries(name, 1) for name in node_names(3)])),
    Leg({"requests": WRITES, "partitioned": apart(S1)}, has_entries(S1, 3)),
    Leg({"timeouts": {"S2.election": 1}, "partitioned": apart(S1)}, leads(S2, 2)),
    Leg({"partitioned": apart(S1)}, has_committed(S2, 2)),
    Leg({"timeouts": {"S2.heartbeat": 1}, "requests": [(S2, write(3))], "partitioned": apart(S3)}, max_states=30_000),
)
"""Behind an entry that all have, S1 writes what nobody hears of; S2 leads term 2 and commits with S3."""

RECONFIGURATION = (
    Leg({"timeouts": {"S1.election": 1}, "requests": [(S1, AddServer(S5))], "partitioned": apart(S4, count=5)},
        both(leads(S1, 1), configured(S1, *node_names(5)), configured(S5, *node_names(5)), has_entries(S4, 0))),
    Leg({"timeouts": {"S2.election": 2}, "partitioned": apart(S1, S5, count=5)}, leads(S2, 2)),
    Leg({"requests": [(S2, RemoveServer(S1))], "partitioned": apart(S1, S5, count=5)},
        both(configured(S3, S2, S3, S4), configuration_committed(S2, S2, S3, S4))),
    Leg({"timeouts": {"S1.election": 2}, "partitioned": apart(S2, S3, count=5), "faults": Faults(crashes={S1: 1})}),
)  # fmt: skip
"""S1 adds S5, and tells only it; S2, whom the others elect, removes S1; then S1 stands again, with S5 and S4."""

THREE_CHANGES = (
    Leg({"timeouts": {"S1.election": 1}}, both(leads(S1, 1), has_committed(S1, 1))),
    Leg({"requests": [(S1, AddServer(S5))], "partitioned": apart(S2, S3, S4, count=5)}, has_entries(S5, 2)),
    Leg({"requests": [(S1, RemoveServer(S2)), (S1, RemoveServer(S3))],
         "partitioned": apart(S2, S3, S4, count=5)}, all_asked),
    Leg({"timeouts": {"S2.election": 1},
         "partitioned": [link for link in apart(S1, S5, count=5) if {*link} != {S1, S5}]}, max_states=30_000),
)  # fmt: skip
"""S1 adds S5 and is asked to remove S2 and S3 at once; then S1 and S5 stand apart from the others, who elect S2."""

SNAPSHOT_OF_LESS = (
    Leg({"timeouts": {"S1.election": 1}, "requests": WRITES},
        both(leads(S1, 1), has_entries(S1, 3), has_entries(S2, 0), has_entries(S3, 0))),
    Leg({}, both(compacted(S1, 1), has_entries(S2, 2), has_entries(S3, 3), at(S3, log=(1, 1, 1)),
                 lambda world: world.node(S3).commit_index == 0)),
    Leg({"timeouts": {"S1.heartbeat": 2}, "faults": Faults(duplicates=1)}, max_states=30_000),
)  # fmt: skip
"""S3 has all entries, but its answers are under way: S1 sends it a snapshot of less."""

LATE_SNAPSHOT = (
    *SNAPSHOT_OF_LESS[:2],
    Leg({"timeouts": {"S1.heartbeat": 1}, "partitioned": apart(S2)}, both(knows_copy(S1, S3, 3), lambda w: late(w, 1))),
    Leg({"timeouts": {"S1.heartbeat": 2}, "requests": [(S1, write(3))], "partitioned": apart(S2)},
        both(compacted(S3, 3), has_entries(S3, 4), lambda w: late(w, 1))),
    Leg({"partitioned": apart(S2)}),
)  # fmt: skip
"""The same snapshot is under way until S3 has gone far beyond it, and has one of its own."""

SNAPSHOT_AND_CRASH = (
    Leg({"timeouts": {"S1.election": 1}, "requests": WRITES, "partitioned": apart(S3)},
        both(leads(S1, 1), compacted(S1, 2), has_entries(S3, 0))),
    Leg({"timeouts": {"S1.heartbeat": 1, "S3.election": 1}, "faults": Faults(crashes=1)}, max_states=30_000),
)  # fmt: skip
"""S3 was cut off while S1 and S2 went on to a snapshot, and gets it; one server may crash."""

RAFT_SEARCHES: tuple[ProtocolSearch, ...] = (
    staged("reconfiguration", "two majorities of two memberships", membership_model,
           *RECONFIGURATION, applies_to=Membership),
    staged("three changes", "a membership that changes faster than it is committed", membership_model,
           *THREE_CHANGES, applies_to=Membership),
    staged("snapshot of less", "a snapshot for a server that has more", snapshot_model,
           *SNAPSHOT_OF_LESS, applies_to=Snapshots),
    staged("late snapshot", "a snapshot that is older than what its receiver has", snapshot_model,
           *LATE_SNAPSHOT, applies_to=Snapshots),
    staged("snapshot and crash", "what a snapshot must hold, on the way and on disk", snapshot_model,
           *SNAPSHOT_AND_CRASH, applies_to=Snapshots),
    simulated("snapshots under faults", "snapshots all the time, under faults", simulations.SNAPSHOT_FAULTS,
              applies_to=Snapshots),
    simulated("snapshot histories", "answers after a snapshot that a server alone would not give",
              simulations.SNAPSHOT_HISTORIES, family="histories", applies_to=Snapshots),
    simulated("changes under faults", "servers join and leave, under faults", simulations.MEMBERSHIP_FAULTS,
              applies_to=Membership),
    simulated("histories with changes", "answers while servers join and leave", simulations.MEMBERSHIP_HISTORIES,
              family="histories", applies_to=Membership),
    simulated("leases on bad clocks", "reads under a lease that others do not know to be over", simulations.LEASES,
              family="histories", applies_to=LeaderLease),
    simulated("comes back", "a follower that was cut off and disturbs the others", simulations.COMES_BACK,
              family="liveness", applies_to=PreVote),
    staged("second reign", "answers of a term in which the same server led before", raft_model,
           *SECOND_REIGN, servers=5),
    staged("second reign, answers heard", "what a server knew of others when it led before", raft_model,
           *SECOND_REIGN_HEARD, servers=5),
    staged("stale suffix", "entries behind those that agree", raft_model, *STALE_SUFFIX, batch=1),
    staged("figure 8", "commitment of entries of earlier terms (§5.4.2)", raft_model, *FIGURE_8, batch=1),
    staged("stale leader", "messages of a leader that was deposed, before and after the new one's", raft_model,
           *STALE_LEADER),
    breadth("duplicates", "messages that are counted twice", raft_model, 25_000,
            timeouts={"S1.election": 1}, faults=Faults(duplicates=2), requests=WRITES[:1]),
    staged("divergent logs", "entries that only a deposed leader has, and its candidacy with them", raft_model,
           *DIVERGENT_LOGS),
    staged("after a commit", "what a committed entry survives: crashes, restarts, another leader", raft_model,
           *AFTER_A_COMMIT),
    staged("one behind", "a follower without an entry that the others have", raft_model, *ONE_BEHIND),
    breadth("elections with a crash", "what must be durable in an election", raft_model, 30_000,
            timeouts={"S1.election": 1, "S2.election": 1}, faults=Faults(crashes=1)),
    breadth("elections", "two candidates and nothing else: every order of their messages", raft_model, 60_000,
            timeouts={"S1.election": 1, "S2.election": 1}),
    breadth("four servers", "majorities: half of an even number is none", raft_model, 20_000,
            servers=4, timeouts={"S1.election": 1, "S2.election": 1}),
    breadth("three terms", "two candidates that stand thrice: votes and terms that are mixed up", raft_model, 40_000,
            timeouts={"S1.election": 2, "S3.election": 1}),
    simulated("simulated faults", "real timers, five servers, clients; crashes, partitions, loss", simulations.FAULTS),
    simulated("client histories", "answers that no single server could have given", simulations.HISTORIES,
              family="histories"),
    simulated("liveness", "a protocol that is safe because it does nothing", simulations.LIVENESS, family="liveness"),
    simulated("slow disks", "what is told before it is written", simulations.SLOW_DISKS, family="histories"),
    simulated("stale reads", "answers of a leader that has been deposed and doesn't know", simulations.STALE_READS,
              family="histories"),
    simulated("healthy cluster", "elections where nothing has failed", simulations.HEALTHY, family="liveness"),
    simulated("healed partition", "who does not catch up, or step down, after a partition", simulations.PARTITION,
              family="liveness"),
    walks("random walks", "long mixtures of everything", raft_model, 300, 80, faults=Faults(crashes=2, duplicates=2),
          timeouts={"election": 5, "heartbeat": 3}, requests=[(None, write(1)), (None, write(2))]),
)  # fmt: skip
"""Every search that a Raft class has to stand; the shipped ``Raft`` passes all of them."""
