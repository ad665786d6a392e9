"""Pre-Vote (thesis §9.6), loyalty to a leader that is heard (§4.2.3) and leader leases (§6.4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from distlib.core.fault import Drift, Partition
from distlib.core.node import with_peers
from distlib.raft.membership import Membership
from distlib.raft.message import AppendEntries, AppendReply, RequestVote, Vote
from distlib.raft.raft import Raft, Role
from distlib.raft.snapshot import SnapshotReply
from distlib.raft.variants import LeaderLease, LeaderStickiness, PreVote, PreVoteReply, RequestPreVote
from distlib.replication.client import Client
from distlib.replication.message import ClientReply, ClientRequest, ReadRequest, Returned
from distlib.replication.state_machine import Get, Put
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from tests.raft.clusters import cluster, elect, leader, names


def started(kind: type[Raft], **settings: Any) -> Any:
    server = kind("S1", ("S2", "S3"), **settings)
    server.start()
    server.take_effects()
    return server


def messages(server: Raft) -> list[Any]:
    return [one.message for one in server.take_effects() if hasattr(one, "message")]


def elected(kind: type[Raft]) -> Any:
    """S1 as the leader of term 1, by the vote of S2."""
    server = started(kind)
    server.timeout("election")
    if kind is PreVote:
        server.receive("S2", PreVoteReply(1, True))
    server.receive("S2", Vote(1, True))
    server.take_effects()
    assert server.role is Role.LEADER
    return server


@dataclass
class SteadyMembership(Membership, LeaderStickiness):
    """Servers that come and go, and keep to their leader."""


def returning(kind: type[Raft]) -> tuple[int, int]:
    """Terms before and after a follower comes back from being cut off for a second."""
    world = cluster(3, kind, network=Network(Uniform(1, 3)), seed=6)
    first = elect(world)
    lonely = next(one for one in names(3) if one != first.id)
    before = first.current_term
    rest = tuple(one for one in names(3) if one != lonely)
    world.schedule(Partition(world.now_ms + 1, (rest, (lonely,)), 1_000))
    trace = world.run(world.now_ms + 2_000)
    assert not trace.violations
    return before, leader(world).current_term


def test_without_pre_vote_a_returning_server_deposes_the_leader_and_with_it_it_does_not() -> None:
    """Thesis §9.6: a partitioned server's term grows, and forces a working leader to step down when it returns."""
    before, after = returning(Raft)
    assert after > before
    before, after = returning(PreVote)
    assert after == before


def test_a_pre_vote_changes_neither_term_nor_vote() -> None:
    server = started(PreVote)
    server.timeout("election")
    assert (server.role, server.current_term, server.voted_for) == (Role.PRE_CANDIDATE, 0, None)
    assert messages(server) == [RequestPreVote(1, 0, 0)] * 2


def test_a_majority_of_pre_votes_starts_the_election() -> None:
    server = started(PreVote)
    server.timeout("election")
    server.take_effects()
    server.receive("S2", PreVoteReply(1, True))
    assert (server.role, server.current_term, server.voted_for) == (Role.CANDIDATE, 1, "S1")
    assert RequestVote(1, 0, 0) in messages(server)
    server.receive("S3", PreVoteReply(1, True))  # late: it is no vote
    assert server.role is Role.CANDIDATE
    server.receive("S2", Vote(1, True))
    assert server.role is Role.LEADER


def test_a_refused_pre_vote_tells_of_a_higher_term() -> None:
    server = started(PreVote)
    server.timeout("election")
    server.receive("S2", PreVoteReply(8, False))
    assert (server.role, server.current_term) == (Role.FOLLOWER, 8)


def test_who_hears_a_leader_grants_no_pre_vote_and_no_vote() -> None:
    server = started(PreVote)
    server.receive("S2", AppendEntries(1, 0, 0, (), 0))
    server.take_effects()
    server.receive("S3", RequestPreVote(2, 0, 0))
    assert messages(server) == [PreVoteReply(1, False)]
    server.receive("S3", RequestVote(2, 0, 0))
    assert (server.current_term, messages(server)) == (1, [])
    server.timeout("loyalty")  # the minimum election timeout has passed
    server.receive("S3", RequestPreVote(2, 0, 0))
    assert messages(server) == [PreVoteReply(2, True)]
    server.receive("S3", RequestVote(2, 0, 0))
    assert messages(server) == [Vote(2, True)]


VARIANTS = [LeaderStickiness, PreVote, LeaderLease]


@pytest.mark.parametrize("kind", VARIANTS)
def test_a_leader_that_hears_a_majority_hears_a_leader(kind: type[Raft]) -> None:
    """Else its own vote and that of the one who asks make a majority of three."""
    server = elected(kind)
    server.timeout("silence", "S2")  # whose vote was the last word of it
    server.receive("S2", AppendReply(1, False, conflict_index=1))  # whatever it answers, it follows
    server.take_effects()
    server.receive("S3", RequestVote(2, 9, 9))
    assert (server.role, server.current_term, messages(server)) == (Role.LEADER, 1, [])
    server.timeout("silence", "S2")  # the minimum election timeout has passed
    server.receive("S3", RequestVote(2, 9, 9))
    assert (server.role, server.current_term, messages(server)) == (Role.FOLLOWER, 2, [Vote(2, True)])


def test_a_leader_that_hears_a_majority_grants_no_pre_vote() -> None:
    server = elected(PreVote)
    for server_heard, granted in ((True, False), (False, True)):
        if not server_heard:
            server.timeout("silence", "S2")
        server.receive("S3", RequestPreVote(2, 9, 9))
        assert messages(server) == [PreVoteReply(2 if granted else 1, granted)]
    assert server.role is Role.LEADER


def test_a_leader_needs_a_majority_of_its_own_configuration() -> None:
    """Who only learns (S4) counts for nothing; a leader that is alone is its own majority."""
    alone, *_ = with_peers(SteadyMembership, names(4), initial_servers=("S1",))
    alone.start()
    alone.timeout("election")
    assert alone.role is Role.LEADER and alone.has_leader()
    server, *_ = with_peers(SteadyMembership, names(4), initial_servers=names(3))
    server.start()
    server.timeout("election")
    server.receive("S2", Vote(1, True))
    server.timeout("silence", "S2")
    server.hear_round("S4", 0)
    assert not server.has_leader()
    server.hear_round("S3", 0)
    assert server.has_leader()


def test_a_snapshot_that_arrived_is_word_from_a_follower() -> None:
    server, *_ = with_peers(SteadyMembership, names(3))
    server.start()
    server.timeout("election")
    server.receive("S2", Vote(1, True))
    server.timeout("silence", "S2")
    assert not server.has_leader()
    server.receive("S3", SnapshotReply(1, 1))
    assert server.has_leader()


def test_who_led_does_not_hear_itself() -> None:
    server = elected(LeaderStickiness)
    server.receive("S2", AppendReply(5, False))
    assert server.role is Role.FOLLOWER and not server.has_leader()
    server.take_effects()
    server.receive("S3", RequestVote(6, 9, 9))
    assert messages(server) == [Vote(6, True)]


def test_a_returning_follower_deposes_no_idle_leader() -> None:
    """Nothing is committed meanwhile, so its log is as good as any: 200 seeds, of which 34 deposed it once."""
    deposed = 0
    for seed in range(200):
        world = cluster(3, PreVote, network=Network(Uniform(1, 5)), seed=seed, record=False)
        first = elect(world)
        term, lonely = first.current_term, next(one for one in names(3) if one != first.id)
        world.schedule(Partition(world.now_ms, ((lonely,), tuple(one for one in names(3) if one != lonely)), 700))
        world.run(world.now_ms + 1_500)
        deposed += (first.role, first.current_term) != (Role.LEADER, term)
    assert deposed == 0


def test_a_pre_vote_needs_an_up_to_date_log_and_a_new_term() -> None:
    server = started(PreVote)
    server.receive("S2", AppendEntries(3, 0, 0, (), 0))
    server.timeout("loyalty")
    server.take_effects()
    server.receive("S3", RequestPreVote(3, 0, 0))
    assert messages(server) == [PreVoteReply(3, False)]


def test_a_restarted_server_may_have_heard_a_leader() -> None:
    server = started(LeaderStickiness)
    server.receive("S3", RequestVote(2, 0, 0))
    assert messages(server) == []


def leased(**settings: Any) -> Any:
    """A leader whose heartbeat, sent at 1,000 ms on its clock, a majority has answered at 1,004 ms."""
    server = started(LeaderLease, **settings)
    server.timeout("election")
    server.receive("S2", Vote(1, True))
    server.receive("S2", AppendReply(1, True, match_index=1))
    server.now_ms = 1_000.0
    server.timeout("heartbeat")
    server.now_ms = 1_004.0
    server.receive("S2", AppendReply(1, True, match_index=1, read_round=1))
    server.take_effects()
    return server


def test_a_leader_with_a_lease_answers_a_read_at_once_and_without_it_asks_first() -> None:
    server = leased()
    server.receive("C1", ReadRequest(Get("x"), "C1", 1))
    assert messages(server) == [ClientReply(1, True, None, "S1")]
    server.now_ms = server.lease_until_ms
    server.receive("C1", ReadRequest(Get("x"), "C1", 2))
    assert {type(one) for one in messages(server)} == {AppendEntries}


def test_the_lease_runs_from_the_heartbeats_start_and_allows_for_drift() -> None:
    """Thesis §6.4.1: start + election timeout / clock drift bound; here for clocks within 1 ± drift on both sides."""
    assert leased(clock_drift=0.0).lease_until_ms == 1_150.0
    assert leased(clock_drift=0.1).lease_until_ms == pytest.approx(1_000 + 150 * 0.9 / 1.1)


def test_a_new_term_earns_its_lease_anew() -> None:
    server = leased()
    server.receive("S3", AppendReply(5, False))
    server.timeout("election")
    server.receive("S2", Vote(6, True))
    assert server.role is Role.LEADER
    assert not server.has_lease()


@pytest.mark.parametrize("drift", [-0.1, 1.0])
def test_a_drift_that_cannot_be_is_named(drift: float) -> None:
    with pytest.raises(ValueError, match=r"LeaderLease.clock_drift is .*from 0 to below 1"):
        LeaderLease("S1", (), clock_drift=drift)


def test_leases_save_messages() -> None:
    def reading(kind: type[Raft]) -> int:
        client = Client("C1", names(3), (Put("x", 1), *[Get("x")] * 50), start_ms=(800, 800))
        world = cluster(3, kind, clients=[client], network=Network(Uniform(1, 3)))
        trace = world.run(3_000)
        assert [one.event.result for one in trace.outputs_of(Returned)] == [None] + [1] * 50
        return len(trace.sent)

    assert reading(LeaderLease) < 0.7 * reading(Raft)


@pytest.mark.parametrize(("rate", "stale"), [(0.4, True), (0.95, False)])
def test_a_lease_is_only_as_good_as_the_bound_on_the_clocks(rate: float, stale: bool) -> None:
    """Thesis §6.4.1: with a clock slower than the bound allows, a deposed leader answers from the past."""
    world = cluster(3, LeaderLease, clients=[Client("C1", names(3))], election_timeout_ms=(150, 200))
    old = elect(world)
    world.schedule(Drift(world.now_ms + 1, old.id, rate))
    world.run(world.now_ms + 300)
    lease_ms = old.lease_until_ms
    world.run(world.now_ms + 300, until=lambda _now: old.lease_until_ms > lease_ms)
    others = tuple(one for one in names(3) if one != old.id)
    world.schedule(Partition(world.now_ms, ((old.id, "C1"), others)))
    world.run(world.now_ms + 250, until=lambda _now: leader(world) is not old)
    new = leader(world)
    assert new is not old
    world.post(world.now_ms + 1, new.id, ClientRequest(Put("x", 1)))
    world.run(world.now_ms + 5)
    assert new.machine_state == (("x", 1),)
    world.post(world.now_ms + 1, old.id, ReadRequest(Get("x"), "C1", 1), sender="C1")
    trace = world.run(world.now_ms + 5)
    assert any(one[4] == ClientReply(1, True, None, old.id) for one in trace.sent) == stale
