"""The article's Raft, taken literally: its failure in a scripted run, where the real protocol stands."""

import pytest

from distlib.check.cluster.world import World
from distlib.check.explore.explore import explore, sometimes
from distlib.core.fault import Crash, Partition
from distlib.raft.as_written import AnybodyLeads, AppliesOnReceipt, EverybodyStands, LeaderStops, RecordsMessages
from distlib.raft.invariants import NoLostTerms, StableLeadership, raft_invariants
from distlib.raft.message import BecameLeader
from distlib.raft.raft import Raft
from distlib.raft.scenarios import PartitionParams, partition
from distlib.raft.searches import RAFT_SEARCHES, raft_model
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


def test_when_everybody_stands_nobody_leads_term_1_and_random_timeouts_end_it() -> None:
    _, trace = raft(EverybodyStands, 10_000, invariants=(NoLostTerms(0),))
    assert [one.invariant for one in trace.violations] == ["no lost terms"]
    assert min(one.event.term for one in trace.outputs_of(BecameLeader)) > 1


def test_when_everybody_stands_and_waits_equally_long_the_vote_is_split_for_ever() -> None:
    running, trace = raft(EverybodyStands, 10_000, invariants=(NoLostTerms(),), election_timeout_ms=(150, 150))
    assert [one.invariant for one in trace.violations] == ["no lost terms"]
    assert not trace.outputs_of(BecameLeader)
    assert min(node.current_term for node in running.nodes.values()) > 50


def leads(world: World) -> bool:
    return any(node.role.value == "leader" for node in world.all_nodes().values())


def test_no_order_of_messages_elects_a_leader_when_everybody_stands() -> None:
    """The checker tries them all; where servers start as followers, one that times out can win."""
    everybody = explore(raft_model(EverybodyStands), sometimes(leads))
    assert everybody.exhausted and everybody.verdict == "violated"
    assert explore(raft_model(Raft, timeouts={"S1.election": 1}), sometimes(leads)).verdict == "holds"


def test_logs_that_record_what_was_said_differ() -> None:
    """The second message repeats the entry of the first, as its acknowledgement is under way: it stands there twice."""
    options = {"timeouts": {"S1.election": 1}, "requests": [("S1", PUT_1)]}
    found = explore(raft_model(RecordsMessages, **options))
    assert found.verdict == "violated" and "Log Matching" in found.violation.explanation
    assert len(found.path) - 1 == 6
    assert explore(raft_model(Raft, **options)).verdict == "holds"


@pytest.mark.parametrize("misreading", [RecordsMessages, AppliesOnReceipt, AnybodyLeads])
def test_a_search_finds_what_a_misreading_breaks_and_passes_raft(misreading: type[Raft]) -> None:
    (search,) = [one for one in RAFT_SEARCHES if one.name == "figure 8"]
    assert search(misreading).steps
    assert not search(Raft).failure


def test_entries_that_are_applied_on_receipt_are_undone_by_the_next_leader() -> None:
    """The old leader's commands reach one follower, which applies them; the other three elect another leader."""
    broken = {one.invariant for one in partition(PartitionParams(), AppliesOnReceipt).violations}
    assert "State Machine Safety" in broken
    assert not partition(PartitionParams(), Raft).violations


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
