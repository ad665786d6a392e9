"""Raft as the paper states it: a test for each rule, cited by section and figure.

Ongaro & Ousterhout, *In Search of an Understandable Consensus Algorithm (Extended Version)*, 2014.
"""

from __future__ import annotations

from typing import Any

import pytest

from distlib.core.fault import Crash, Partition
from distlib.core.node import SetTimer
from distlib.raft.log import Entry, Log
from distlib.raft.message import AppendEntries, AppendReply, Applied, BecameLeader, RequestVote, Vote
from distlib.raft.raft import Raft, Role
from distlib.replication.client import Client
from distlib.replication.message import ClientReply, ClientRequest, NoOp, ReadRequest, Returned
from distlib.replication.state_machine import Add, Get, Put
from distlib.sim.latency import Constant, Uniform
from distlib.sim.network import Network
from tests.raft.clusters import cluster, elect, entries, leader, leading, names, server


def sent(node: Raft) -> list[tuple[str, Any]]:
    return [(one.to, one.message) for one in node.take_effects() if hasattr(one, "to")]


def told(node: Raft) -> Any:
    """The one message just sent."""
    ((_to, message),) = sent(node)
    return message


# --- §5.1 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message", [RequestVote(9, 0, 0), Vote(9, False), AppendEntries(9, 0, 0, (), 0), AppendReply(9, False)]
)
@pytest.mark.parametrize("role", [Role.FOLLOWER, Role.CANDIDATE, Role.LEADER])
def test_5_1_a_server_that_sees_a_larger_term_adopts_it_and_becomes_a_follower(role: Role, message: Any) -> None:
    """§5.1: a candidate or leader that finds its term out of date reverts to follower; figure 2, all servers."""
    node = leading() if role is Role.LEADER else server()
    if role is Role.CANDIDATE:
        node.timeout("election")
    assert node.role is role
    node.receive("S2", message)
    assert (node.role, node.current_term) == (Role.FOLLOWER, 9)


def test_5_1_a_request_with_a_stale_term_is_rejected() -> None:
    """§5.1: a server rejects requests with a stale term number, and answers with its own."""
    node = server(term=5)
    node.receive("S2", AppendEntries(4, 0, 0, entries(4), 0))
    assert told(node) == AppendReply(5, False)
    node.receive("S2", RequestVote(4, 9, 4))
    assert told(node) == Vote(5, False)
    assert node.log.last_index == 0


def test_5_1_followers_are_passive() -> None:
    """§5.1: followers issue no requests on their own, they only answer."""
    node = server()
    node.receive("S2", AppendEntries(1, 0, 0, entries(1), 0))
    assert [type(message) for _to, message in sent(node)] == [AppendReply]


# --- §5.2 ------------------------------------------------------------------------------------------------


def test_5_2_servers_start_as_followers() -> None:
    """§5.2: when servers start up, they begin as followers."""
    assert server().role is Role.FOLLOWER


def test_5_2_a_follower_that_hears_nothing_stands_for_election() -> None:
    """§5.2: it increments its term, becomes a candidate, votes for itself and asks all others in parallel."""
    node = server(1, 1, peers=4)
    node.timeout("election")
    assert (node.role, node.current_term, node.voted_for) == (Role.CANDIDATE, 2, "S1")
    assert sent(node) == [(peer, RequestVote(2, 2, 1)) for peer in node.peers]


@pytest.mark.parametrize(("peers", "needed"), [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2), (6, 3)])
def test_5_2_votes_from_a_majority_of_the_full_cluster_win(peers: int, needed: int) -> None:
    """§5.2: a candidate wins with the votes of a majority, its own included, for the same term."""
    node = server(peers=peers)
    node.timeout("election")
    for number, peer in enumerate(node.peers, 1):
        assert (node.role is Role.LEADER) == (number > needed)
        node.receive(peer, Vote(1, True))
    assert node.role is Role.LEADER


def test_5_2_refusals_repetitions_and_old_votes_do_not_count() -> None:
    """§5.2: a majority of the servers, in the same term."""
    node = server(term=3, peers=4)
    node.timeout("election")
    node.receive("S2", Vote(4, True))
    node.receive("S2", Vote(4, True))
    node.receive("S3", Vote(3, True))
    node.receive("S4", Vote(4, False))
    assert node.role is Role.CANDIDATE


def test_5_2_each_server_votes_once_a_term_first_come_first_served() -> None:
    """§5.2: at most one candidate in a term; the same candidate may ask again (figure 2)."""
    node = server()
    for candidate, granted in (("S2", True), ("S3", False), ("S2", True)):
        node.receive(candidate, RequestVote(1, 0, 0))
        assert told(node) == Vote(1, granted)
    node.receive("S3", RequestVote(2, 0, 0))
    assert told(node) == Vote(2, True)


def test_5_2_a_vote_is_remembered_through_a_crash() -> None:
    """Figure 2: currentTerm, votedFor and log[] are on stable storage before an RPC is answered."""
    node = server(1)
    node.receive("S2", RequestVote(2, 1, 1))
    node.crash()
    node.start()
    node.take_effects()
    assert (node.current_term, node.voted_for, node.log.last_index) == (2, "S2", 1)
    assert (node.commit_index, node.last_applied, node.role) == (0, 0, Role.FOLLOWER)
    node.receive("S3", RequestVote(2, 1, 1))
    assert told(node) == Vote(2, False)


def test_5_2_answers_wait_for_the_disk_and_questions_do_not() -> None:
    """Figure 2: updated on stable storage before *responding*; thesis §10.2.1: the leader may write in parallel."""
    world = cluster(3, network=Network(Constant(1), disk=Constant(10)))
    trace = world.run(280)
    first = trace.outputs_of(BecameLeader)[0]
    asked = min(one[5] for one in trace.sent if isinstance(one[4], RequestVote))
    assert {one[5] for one in trace.sent if isinstance(one[4], RequestVote)} == {asked}
    assert {one[5] for one in trace.sent if isinstance(one[4], Vote)} == {asked + 1 + 10}
    assert first.time_ms == asked + 1 + 10 + 1


def test_5_2_a_new_leader_tells_everybody_at_once() -> None:
    """§5.2: it sends heartbeat messages to all others to establish its authority and prevent new elections."""
    node = server()
    node.timeout("election")
    node.take_effects()
    node.receive("S2", Vote(1, True))
    assert [(to, type(message)) for to, message in sent(node)] == [("S2", AppendEntries), ("S3", AppendEntries)]


@pytest.mark.parametrize(("term", "role"), [(3, Role.FOLLOWER), (4, Role.FOLLOWER), (2, Role.CANDIDATE)])
def test_5_2_a_candidate_recognises_a_leader_of_its_term_or_later_and_no_other(term: int, role: Role) -> None:
    """§5.2: with a smaller term the candidate rejects the RPC and continues."""
    node = server(term=2)
    node.timeout("election")
    node.receive("S2", AppendEntries(term, 0, 0, (), 0))
    assert node.role is role
    assert node.leader == ("S2" if role is Role.FOLLOWER else None)


def test_5_2_a_split_vote_ends_with_a_new_election_in_a_higher_term() -> None:
    """§5.2: each candidate times out and starts a new election by incrementing its term."""
    node = server(peers=3)
    node.timeout("election")
    node.receive("S2", Vote(1, False))
    node.take_effects()
    node.timeout("election")
    assert (node.role, node.current_term, node.votes) == (Role.CANDIDATE, 2, frozenset({"S1"}))
    assert len(sent(node)) == 3


def test_5_2_election_timeouts_are_chosen_at_random_from_a_fixed_interval() -> None:
    """§5.2 and §9.3: for example 150 to 300 ms, anew at the start of each election."""
    node = Raft("S1", ("S2", "S3"))
    node.start()
    assert node.take_effects() == [SetTimer("election", None, 150, 300)]
    node.timeout("election")
    assert SetTimer("election", None, 150, 300) in node.take_effects()


@pytest.mark.parametrize(
    ("message", "restarts"),
    [
        (RequestVote(3, 1, 1), True),  # granted
        (RequestVote(3, 0, 0), False),  # a stale log: no vote, no new timer
        (RequestVote(1, 1, 1), False),
        (AppendEntries(2, 1, 1, (), 0), True),  # from the current leader
        (AppendEntries(1, 1, 1, (), 0), False),  # from a leader of the past
    ],
)
def test_5_2_only_the_current_leader_and_a_granted_vote_restart_the_election_timer(
    message: Any, restarts: bool
) -> None:
    """Figure 2, followers: a timeout without AppendEntries from the current leader and without granting a vote."""
    node = server(1, term=2)
    node.receive("S2", message)
    assert any(isinstance(one, SetTimer) and one.name == "election" for one in node.take_effects()) == restarts


# --- §5.3 ------------------------------------------------------------------------------------------------


def test_5_3_the_leader_appends_a_command_and_sends_it_to_all_in_parallel() -> None:
    """§5.3: then it waits for a majority before it applies the entry and answers the client."""
    node = leading(peers=4)
    for peer in node.peers:
        node.receive(peer, AppendReply(1, True, match_index=1))
    node.take_effects()
    node.receive("C1", ClientRequest(Put("x", 7), "C1", 1))
    assert sent(node) == [(peer, AppendEntries(1, 1, 1, (Entry(1, Put("x", 7), "C1", 1),), 1)) for peer in node.peers]
    node.receive("S2", AppendReply(1, True, match_index=2))
    assert (node.commit_index, sent(node)) == (1, [])
    node.receive("S3", AppendReply(1, True, match_index=2))
    assert (node.commit_index, sent(node)) == (2, [("C1", ClientReply(1, True, None, "S1"))])


def test_5_3_the_leader_repeats_append_entries_until_all_have_stored_the_entry() -> None:
    """§5.3: indefinitely, even after it has responded to the client."""
    node = leading()
    node.receive("S2", AppendReply(1, True, match_index=1))
    node.take_effects()
    for _ in range(5):
        node.timeout("heartbeat")
        assert dict(sent(node))["S3"].entries == (Entry(1, NoOp()),)


def test_5_3_committing_an_entry_commits_all_before_it() -> None:
    """§5.3: including entries created by previous leaders."""
    node = leading(1, 1, 2)
    node.receive("S2", AppendReply(3, True, match_index=4))
    assert [one.event.index for one in node.take_effects() if hasattr(one, "event")] == [1, 2, 3, 4]


def test_5_3_followers_learn_of_commits_in_later_messages_and_apply_in_log_order() -> None:
    """§5.3: the leader includes the highest committed index in future AppendEntries, heartbeats included."""
    node = server()
    node.receive("S2", AppendEntries(1, 0, 0, entries(1, 1, 1), 0))
    assert node.last_applied == 0
    node.take_effects()
    node.receive("S2", AppendEntries(1, 3, 1, (), 2))
    assert [one.event for one in node.take_effects() if hasattr(one, "event")] == [
        Applied(1, 1, Put("x", 1), None),
        Applied(2, 1, Put("x", 2), None),
    ]


@pytest.mark.parametrize("prev", [(3, 2), (2, 3)])
def test_5_3_a_follower_without_the_entry_before_refuses_the_new_ones(prev: tuple[int, int]) -> None:
    """§5.3, the consistency check: same index and term, or the new entries are refused."""
    node = server(1, 2, term=3)
    node.receive("S2", AppendEntries(3, *prev, entries(3), 0))
    assert not told(node).success
    assert node.log.entries == entries(1, 2)


def test_5_3_a_leader_starts_next_index_after_its_last_entry() -> None:
    """§5.3 and figure 2: nextIndex to last log index + 1, matchIndex to 0."""
    node = server(1, 1, term=1)
    node.timeout("election")
    node.receive("S2", Vote(2, True))
    assert node.next_index == {"S2": 3, "S3": 3}
    assert node.match_index == {"S2": 0, "S3": 0}


FIGURE_7 = {
    "a": (1, 1, 1, 4, 4, 5, 5, 6, 6),
    "b": (1, 1, 1, 4),
    "c": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
    "d": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
    "e": (1, 1, 1, 4, 4, 4, 4),
    "f": (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
}


@pytest.mark.parametrize("case", FIGURE_7)
def test_5_3_figure_7_every_follower_log_becomes_the_leaders(case: str) -> None:
    """Figure 7: missing entries, extra uncommitted entries, or both; the leader of term 8 repairs each."""
    head = leading(1, 1, 1, 4, 4, 5, 5, 6, 6, 6, peers=2)
    head.current_term = 8
    head.log = head.log.truncated_from(11).append(Entry(8, NoOp()))
    other = Raft("S2", ("S1", "S3"))
    other.start()
    other.log, other.current_term = Log(entries(*FIGURE_7[case])), 7
    other.take_effects()
    head.replicate_to("S2")
    rounds = 0
    while messages := [message for to, message in sent(head) if to == "S2"]:
        for message in messages:
            rounds += 1
            other.receive("S1", message)
            for _to, reply in sent(other):
                head.receive("S2", reply)
    assert other.log == head.log
    assert head.match_index["S2"] == 11
    terms_in_conflict = len({term for term in FIGURE_7[case] if term not in head_terms(head)})
    assert rounds <= 2 + terms_in_conflict + 1


def head_terms(node: Raft) -> set[int]:
    return {entry.term for entry in node.log.entries}


def test_5_3_one_refusal_skips_a_whole_term() -> None:
    """§5.3: one AppendEntries is needed for each term with conflicting entries, not one for each entry."""
    node = leading(1, 1, 1, 5, 5, 5, 5, 5)
    node.receive("S2", AppendReply(6, False, conflict_index=4, conflict_term=2))
    assert node.next_index["S2"] == 4
    node.receive("S3", AppendReply(6, False, conflict_index=2, conflict_term=1))
    assert node.next_index["S3"] == 4  # we hold that term: after our last entry of it


def test_5_3_a_follower_deletes_what_conflicts_and_all_that_follows_it() -> None:
    """Figure 2, AppendEntries rule 3: same index, different term."""
    node = server(1, 2, 2, 2, term=3)
    node.receive("S2", AppendEntries(3, 1, 1, entries(3, first=2), 0))
    assert node.log.entries == (*entries(1), *entries(3, first=2))


def test_5_3_a_follower_keeps_what_matches_even_if_the_message_is_old() -> None:
    """Figure 2, rules 3 and 4: only conflicting entries are deleted, only new ones are appended."""
    node = server(1, 1, 1)
    node.receive("S2", AppendEntries(1, 0, 0, entries(1, 1), 0))
    assert node.log.entries == entries(1, 1, 1)


def test_5_3_a_leader_never_overwrites_its_own_log() -> None:
    """§5.3, Leader Append-Only (figure 3): also for what a follower answers."""
    node = leading(1, 1)
    before = node.log
    for message in (AppendReply(2, False, conflict_index=1), AppendReply(2, True, match_index=1), Vote(2, True)):
        node.receive("S2", message)
    assert node.log is before


# --- §5.4 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("voter", "last_index", "last_term", "granted"),
    [
        ((1, 2), 1, 3, True),  # a later last term wins, though shorter
        ((1, 2), 9, 1, False),  # an earlier last term loses, though longer
        ((1, 2), 2, 2, True),  # equal
        ((1, 2), 3, 2, True),  # same term, longer
        ((1, 2, 2), 2, 2, False),  # same term, shorter
        ((), 0, 0, True),
    ],
)
def test_5_4_1_a_voter_denies_its_vote_if_its_own_log_is_more_up_to_date(
    voter: tuple[int, ...], last_index: int, last_term: int, granted: bool
) -> None:
    """§5.4.1: later last term, or the longer log with equal last terms."""
    node = server(*voter)
    node.receive("S2", RequestVote(4, last_index, last_term))
    assert told(node) == Vote(4, granted)


def test_5_4_2_only_entries_of_the_current_term_are_committed_by_counting() -> None:
    """§5.4.2 (figure 8 is tests/raft/test_invariants.py): an old entry on a majority commits with a new one only."""
    node = leading(1, 2, peers=4)
    for peer in node.peers:
        node.receive(peer, AppendReply(3, True, match_index=2))
    assert node.commit_index == 0
    node.receive("S2", AppendReply(3, True, match_index=3))
    node.receive("S3", AppendReply(3, True, match_index=3))
    assert node.commit_index == 3


# --- §5.5, §5.6 --------------------------------------------------------------------------------------------


def test_5_5_messages_are_idempotent() -> None:
    """§5.5: a follower that gets entries it has already ignores them."""
    node = server()
    message = AppendEntries(1, 0, 0, entries(1, 1), 1)
    node.receive("S2", message)
    first, state = sent(node), node.state()
    node.receive("S2", message)
    assert (sent(node), node.state()) == (first, state)


def test_5_5_a_server_that_restarts_is_brought_up_to_date() -> None:
    """§5.5: the leader retries indefinitely; the crashed server's RPCs then complete."""
    client = Client("C1", names(3), tuple([Add("x")] * 20))
    world = cluster(3, clients=[client], faults=[Crash(300, "S2", 600)], network=Network(Uniform(1, 3)))
    trace = world.run(2_500)
    assert len(trace.outputs_of(Returned)) == 20
    assert world.nodes["S2"].machine_state == (("x", 20),)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("timeout_ms", "steady"), [((150, 300), True), ((8, 9), False)])
def test_5_6_the_election_timeout_must_be_well_above_the_broadcast_time(
    timeout_ms: tuple[float, float], steady: bool
) -> None:
    """§5.6: broadcastTime ≪ electionTimeout, or there is no steady leader. Here the broadcast takes 2 × 10 ms."""
    world = cluster(5, network=Network(Constant(10)), election_timeout_ms=timeout_ms, heartbeat_ms=4)
    trace = world.run(3_000)
    assert not trace.violations
    committed = max(node.commit_index for node in world.nodes.values())  # type: ignore[attr-defined]
    assert (committed > 0) == steady


# --- §8 ----------------------------------------------------------------------------------------------------


def test_8_a_leader_commits_a_blank_entry_at_the_start_of_its_term() -> None:
    """§8: so that it learns which entries are committed."""
    world = cluster(3)
    first = elect(world)
    assert first.log.entries == (Entry(first.current_term, NoOp()),)
    assert first.commit_index == 1


def test_8_clients_are_sent_to_the_leader() -> None:
    """§8: a server that is not the leader rejects the request and tells of the leader it has heard from last."""
    node = server()
    node.receive("S3", AppendEntries(1, 0, 0, (), 0))
    node.take_effects()
    node.receive("C1", ClientRequest(Put("x", 1), "C1", 1))
    assert sent(node) == [("C1", ClientReply(1, False, leader="S3"))]


def test_8_a_command_with_a_serial_number_already_executed_is_not_executed_again() -> None:
    """§8: the state machine tracks the latest serial number of each client, with the response."""
    node = leading()
    for _ in range(2):
        node.receive("C1", ClientRequest(Add("x", 5), "C1", 3))
    node.receive("S2", AppendReply(1, True, match_index=3))
    replies = [message for to, message in sent(node) if to == "C1"]
    assert replies == [ClientReply(3, True, 5, "S1")] * 2
    assert node.machine_state == (("x", 5),)


def test_8_a_leader_exchanges_heartbeats_with_a_majority_before_it_answers_a_read() -> None:
    """§8: it may have been deposed; a minority's word is not enough."""
    node = leading(peers=4)
    for peer in node.peers:
        node.receive(peer, AppendReply(1, True, match_index=1))
    node.take_effects()
    node.receive("C1", ReadRequest(Get("x"), "C1", 1))
    assert {message.kind for _to, message in sent(node)} == {"Heartbeat"}
    node.receive("S2", AppendReply(1, True, match_index=1, read_round=1))
    assert sent(node) == []
    node.receive("S3", AppendReply(1, True, match_index=1, read_round=1))
    assert sent(node) == [("C1", ClientReply(1, True, None, "S1"))]


def test_8_a_leader_deposed_without_knowing_gives_no_stale_read() -> None:
    """§8: linearizable semantics; the read waits until the partition heals, and then goes to the new leader."""
    clients = [Client("C1", names(3)), Client("C2", names(3), (Put("x", 1),), start_ms=(900, 900))]
    world = cluster(3, clients=clients)
    old = elect(world)
    others = tuple(one for one in names(3) if one != old.id)
    world.schedule(Partition(world.now_ms + 1, ((old.id, "C1"), (*others, "C2")), 2_000))
    world.run(1_900)
    assert leader(world).machine_state == (("x", 1),)
    world.post(1_901, old.id, ReadRequest(Get("x"), "C1", 1), sender="C1")
    trace = world.run(4_000)
    answers = [one[4] for one in trace.sent if isinstance(one[4], ClientReply) and one[3] == "C1"]
    assert answers == [ClientReply(1, False)]


# --- figure 3 ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_figure_3_holds_at_all_times(seed: int) -> None:
    """Figure 3: Raft guarantees that each of these properties is true at all times (the nemesis run has thousands)."""
    clients = [Client(f"C{one}", names(5), tuple([Add("x")] * 10)) for one in (1, 2)]
    faults = [Crash(300 + 400 * number, "@leader", 300) for number in range(5)]
    trace = cluster(5, clients=clients, faults=faults, seed=seed, network=Network(Uniform(1, 5), loss=0.05)).run(3_500)
    assert trace.violations == ()
    assert len(trace.outputs_of(BecameLeader)) >= 3
    assert trace.outputs_of(Returned)
