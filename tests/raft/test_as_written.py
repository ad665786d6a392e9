"""The article's Raft, taken literally: its failure in a scripted run, where the real protocol stands."""

from distlib.core.fault import Crash, Partition
from distlib.paxos.as_written import OneRoundPaxos
from distlib.raft.as_written import AnybodyLeads, EverybodyStands, LeaderStops
from distlib.raft.invariants import NoLostTerms, StableLeadership, raft_invariants
from distlib.raft.message import BecameLeader
from distlib.raft.raft import Raft
from distlib.replication.message import ClientRequest
from distlib.replication.state_machine import Put
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Constant
from distlib.sim.network import Network

THREE = ("S1", "S2", "S3")
PUT_1, PUT_2 = ClientRequest(Put("x", 1)), ClientRequest(Put("x", 2))


def raft(cls, until_ms: float, faults=(), invariants=(), **settings) -> tuple[Cluster, object]:
    nodes = [cls(name, tuple(peer for peer in THREE if peer != name), **settings) for name in THREE]
    running = Cluster(nodes, Network(Constant(5)), seed=4, faults=faults, invariants=invariants or raft_invariants())
    return running, running.run(until_ms)


def test_when_everybody_stands_the_vote_is_split_for_ever() -> None:
    running, trace = raft(EverybodyStands, 10_000, invariants=(NoLostTerms(),))
    assert [one.invariant for one in trace.violations] == ["no lost terms"]
    assert not trace.outputs_of(BecameLeader)
    assert min(node.current_term for node in running.nodes.values()) > 50


def test_a_leader_that_stops_is_replaced_again_and_again() -> None:
    _, trace = raft(LeaderStops, 5000, invariants=(StableLeadership(),))
    assert [one.invariant for one in trace.violations] == ["stable leadership"]
    assert len(trace.outputs_of(BecameLeader)) > 10


def test_a_leader_that_stops_leaves_the_last_entry_unapplied_by_its_followers() -> None:
    """Raft's heartbeats tell the followers within one interval; silence tells them nothing for as long as it lasts."""
    lags = {}
    for cls in (Raft, LeaderStops):
        nodes = [cls(name, tuple(p for p in THREE if p != name)) for name in THREE]
        running = Cluster(nodes, Network(Constant(5)), seed=4)
        running.run(1000, until=lambda now: any(node.role.value == "leader" for node in now.nodes.values()))
        lead = next(name for name, node in running.nodes.items() if node.role.value == "leader")
        running.post(running.now_ms + 20, lead, PUT_1)
        running.run(running.now_ms + 20 + 60)  # a round trip, and a heartbeat's interval and latency
        lags[cls] = [node.last_applied < node.log.last_index for name, node in running.nodes.items() if name != lead]
    assert lags == {Raft: [False, False], LeaderStops: [True, True]}


def test_raft_is_stable_where_nothing_fails() -> None:
    for seed in range(20):
        nodes = [Raft(name, tuple(peer for peer in THREE if peer != name)) for name in THREE]
        trace = Cluster(nodes, Network(Constant(5)), seed=seed, invariants=(StableLeadership(), NoLostTerms())).run(
            3000
        )
        assert not trace.violations
        assert trace.outputs_of(BecameLeader)


def anybody(cls) -> tuple[Cluster, object]:
    """S1 leads and commits x←1 without S3; S1 crashes; S3, whose log is empty, stands first."""
    timeouts = {"S1": (100, 100), "S2": (900, 900), "S3": (300, 300)}
    nodes = [cls(n, tuple(p for p in THREE if p != n), election_timeout_ms=timeouts[n]) for n in THREE]
    faults = (Partition(105, (("S1", "S2"), ("S3",)), 200), Crash(250, "S1"))
    running = Cluster(nodes, Network(Constant(5)), seed=1, faults=faults, invariants=raft_invariants())
    running.post(150, "S1", PUT_1)
    running.post(600, "S3", PUT_2)
    return running, running.run(3000)


def test_when_anybody_may_lead_a_committed_entry_is_lost() -> None:
    _, trace = anybody(AnybodyLeads)
    broken = {one.invariant for one in trace.violations}
    assert broken, "nothing was violated"
    assert any("ompleteness" in name or "ommitted" in name or "achine" in name for name in broken)


def test_raft_keeps_the_entry_in_the_same_script() -> None:
    running, trace = anybody(Raft)
    assert not trace.violations
    assert "x←1" in str(running.nodes["S2"].log)
    assert "x←1" in str(running.nodes["S3"].log)


def test_each_misreading_says_what_the_article_says_and_what_the_protocol_does() -> None:
    for cls in (OneRoundPaxos, EverybodyStands, LeaderStops, AnybodyLeads):
        text = " ".join((cls.__doc__ or "").split())
        for phrase in ("*The article says*", "*The protocol does*", "*What comes of it*", "§"):
            assert phrase in text, (cls.__name__, phrase)
