"""The Raft core: settings and their errors, small clusters, clients at most once, reads, redirects, determinism."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from distlib.core.fault import Crash, Heal, Nemesis, Partition
from distlib.core.node import Send
from distlib.core.trace import Trace
from distlib.raft.log import Entry, Index, Term
from distlib.raft.message import AppendEntries, AppendReply, Applied, BecameLeader, RequestVote, Vote
from distlib.raft.raft import Raft, Read, Role
from distlib.replication.client import Client
from distlib.replication.message import STALE, ClientReply, ClientRequest, Invoked, ReadRequest, Returned
from distlib.replication.state_machine import Add, Get, Put
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Constant, Uniform
from distlib.sim.network import Network
from tests.raft.clusters import cluster, elect, leader, names, server, servers

# --- settings --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"id": ""}, TypeError, "Raft.id is ''; it takes a name such as 'S1'"),
        ({"peers": ["S2"]}, TypeError, "Raft.peers is .*takes a tuple of names"),
        ({"peers": "S2"}, TypeError, "Raft.peers is 'S2'"),
        ({"peers": ("S1", "S2")}, ValueError, "names S1 itself"),
        ({"peers": ("S2", "S2")}, ValueError, "names S2 twice"),
        ({"election_timeout_ms": (300, 150)}, ValueError, r"is reversed: \(300, 150\); .* \(150, 300\)"),
        ({"election_timeout_ms": 150}, TypeError, "takes a pair"),
        ({"election_timeout_ms": (0, 150)}, ValueError, "election_timeout_ms is 0; it takes a number above 0 ms"),
        ({"election_timeout_ms": (1, float("inf"))}, ValueError, "is inf"),
        ({"heartbeat_ms": -1}, ValueError, "heartbeat_ms is -1; it takes a number above 0 ms"),
        ({"heartbeat_ms": "50"}, TypeError, "heartbeat_ms is '50'"),
        ({"batch": 0}, ValueError, "batch is 0; it takes a whole number of at least 1"),
        ({"batch": 1.5}, TypeError, "batch is 1.5; it takes a whole number"),
        ({"machine": None}, TypeError, "machine is None; it takes a state machine"),
    ],
)
def test_a_setting_that_cannot_be_is_named(settings: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Raft(**{"id": "S1", "peers": ("S2", "S3"), **settings})


# --- small clusters --------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7])
def test_a_cluster_of_any_size_elects_one_leader_and_commits(count: int) -> None:
    client = Client("C1", names(count), (Put("x", 1), Add("x", 2), Get("x")))
    world = cluster(count, clients=[client], network=Network(Uniform(1, 3)))
    trace = world.run(3_000)
    assert [one.event.result for one in trace.outputs_of(Returned)] == [None, 3, 3]
    assert [node.role for node in world.nodes.values() if isinstance(node, Raft)].count(Role.LEADER) == 1
    assert {node.machine_state for node in world.nodes.values() if isinstance(node, Raft)} == {(("x", 3),)}
    assert not trace.violations


def test_two_servers_need_each_other() -> None:
    world = cluster(2, faults=[Crash(0, "S2")])
    trace = world.run(3_000)
    assert not trace.outputs_of(BecameLeader)


def test_a_cluster_without_a_majority_elects_nobody_and_goes_on_when_it_heals() -> None:
    groups = (("S1", "S2"), ("S3", "S4"), ("S5",))
    world = cluster(5, faults=[Partition(0, groups), Heal(2_000)], network=Network(Uniform(1, 3)))
    assert not world.run(2_000).outputs_of(BecameLeader)
    assert world.run(4_000).outputs_of(BecameLeader)


# --- clients ---------------------------------------------------------------------------------------------


def test_a_follower_sends_the_client_to_the_leader() -> None:
    world = cluster(3, clients=[Client("C1", names(3))])
    first = elect(world)
    world.run(world.now_ms + 200)
    follower = next(one for one in world.nodes.values() if isinstance(one, Raft) and one is not first)
    follower.receive("C1", ClientRequest(Put("x", 1), "C1", 1))
    assert follower.take_effects()[-1].message == ClientReply(1, False, leader=first.id)  # type: ignore[union-attr]


def test_a_request_without_a_client_is_applied_and_answered_to_nobody() -> None:
    world = cluster(3)
    first = elect(world)
    world.post(world.now_ms + 1, first.id, ClientRequest(Put("x", 1)))
    trace = world.run(world.now_ms + 200)
    assert first.machine_state == (("x", 1),)
    assert all(sent[3].startswith("S") for sent in trace.sent)


def test_a_repeated_request_is_applied_once_and_answered_alike_each_time() -> None:
    world = cluster(3, clients=[Client("C1", names(3))])
    first = elect(world)
    for wait in (1, 2, 50):
        world.post(world.now_ms + wait, first.id, ClientRequest(Add("x", 1), "C1", 7), sender="C1")
    trace = world.run(world.now_ms + 300)
    answers = [sent[4] for sent in trace.sent if isinstance(sent[4], ClientReply)]
    assert answers == [ClientReply(7, True, 1, first.id)] * 3
    assert first.machine_state == (("x", 1),)
    assert [one.event.result for one in trace.outputs_of(Applied) if one.node == first.id] == [None, 1, 1, 1]


def test_a_candidates_own_vote_is_on_disk_before_it_asks_for_others() -> None:
    """Else it might crash, forget it, and vote for another in the term in which votes for itself are under way."""
    candidate = server()
    candidate.timeout("election")
    asked = [one for one in candidate.take_effects() if isinstance(one, Send)]
    assert len(asked) == 2 and all(one.after_sync and isinstance(one.message, RequestVote) for one in asked)


def test_what_a_leader_counts_itself_for_and_reads_is_on_its_own_disk() -> None:
    """Else a follower's answer commits an entry that the leader may lose in a crash, as one of two."""
    world = cluster(3)
    leader = elect(world)
    leader.take_effects()
    leader.receive("C1", ClientRequest(Add("x", 1), "C1", 1))
    sent = [one for one in leader.take_effects() if isinstance(one, Send)]
    assert len(sent) == 2 and all(one.after_sync and isinstance(one.message, AppendEntries) for one in sent)
    alone = cluster(1)
    first = elect(alone)
    first.take_effects()
    first.receive("C1", ReadRequest(Get("x"), "C1", 1))
    (answer,) = [one for one in first.take_effects() if isinstance(one, Send)]
    assert answer.after_sync and isinstance(answer.message, ClientReply)


def test_an_older_request_is_stale_and_gets_no_later_ones_result() -> None:
    world = cluster(3, clients=[Client("C1", names(3))])
    first = elect(world)
    for wait, serial in enumerate((1, 2, 1), 1):
        world.post(world.now_ms + wait, first.id, ClientRequest(Add("x", 1), "C1", serial), sender="C1")
    trace = world.run(world.now_ms + 300)
    answers = [sent[4] for sent in trace.sent if isinstance(sent[4], ClientReply)]
    assert [(one.ok, one.result) for one in answers] == [(True, 1), (True, 2), (False, STALE)]
    assert {node.machine_state for node in world.nodes.values() if isinstance(node, Raft)} == {(("x", 2),)}


def test_sessions_survive_a_change_of_leader() -> None:
    world = cluster(3, clients=[Client("C1", names(3))])
    old = elect(world)
    world.post(world.now_ms + 1, old.id, ClientRequest(Add("x", 1), "C1", 1), sender="C1")
    world.run(world.now_ms + 100)
    world.schedule(Crash(world.now_ms + 1, old.id))
    world.run(world.now_ms + 1_000)
    new = leader(world)
    assert new is not old
    world.post(world.now_ms + 1, new.id, ClientRequest(Add("x", 1), "C1", 1), sender="C1")
    trace = world.run(world.now_ms + 200)
    assert new.machine_state == (("x", 1),)
    assert trace.sent[-1][4] == ClientReply(1, True, 1, new.id) or any(
        sent[2] == new.id and sent[4] == ClientReply(1, True, 1, new.id) for sent in trace.sent
    )


def test_a_leader_that_steps_down_tells_its_open_clients_to_ask_again() -> None:
    server = lead(Raft("S1", ("S2", "S3")))
    server.receive("C1", ClientRequest(Add("x", 1), "C1", 1))
    server.receive("C2", ReadRequest(Get("x"), "C2", 4))
    server.take_effects()
    server.receive("S2", AppendReply(9, False))
    told = {effect.to: effect.message for effect in server.take_effects() if hasattr(effect, "to")}
    assert told == {"C1": ClientReply(1, False), "C2": ClientReply(4, False)}
    assert server.reads == ()


# --- reads -----------------------------------------------------------------------------------------------


def lead(server: Raft) -> Raft:
    """``server`` as leader of term 1 whose no-op is not committed yet; its effects are thrown away."""
    server.start()
    server.timeout("election")
    for peer in server.peers[: (len(server.peers) + 1) // 2]:
        server.receive(peer, Vote(1, True))
    assert server.role is Role.LEADER
    server.take_effects()
    return server


def replies(server: Raft) -> list[ClientReply]:
    return [one.message for one in server.take_effects() if isinstance(getattr(one, "message", None), ClientReply)]


def test_a_read_waits_for_a_commit_of_the_term_and_for_a_round_begun_after_it() -> None:
    server = lead(Raft("S1", ("S2", "S3")))
    server.receive("C1", ReadRequest(Get("x"), "C1", 1))
    assert replies(server) == []
    server.receive("S2", AppendReply(1, True, match_index=0, read_round=1))  # the round, but no commit
    assert replies(server) == []
    server.receive("S3", AppendReply(1, True, match_index=1))  # commits the no-op; together both conditions hold
    assert replies(server) == [ClientReply(1, True, None, "S1")]
    server.receive("C1", ReadRequest(Get("x"), "C1", 2))
    server.receive("S2", AppendReply(1, True, match_index=1, read_round=1))  # an answer to the round before it
    assert replies(server) == []
    server.receive("S3", AppendReply(1, True, match_index=1, read_round=2))
    assert replies(server) == [ClientReply(2, True, None, "S1")]


def test_reading_writes_nothing_to_the_log() -> None:
    client = Client("C1", names(3), (Put("x", 1), *[Get("x")] * 10))
    world = cluster(3, clients=[client])
    trace = world.run(3_000)
    assert [one.event.result for one in trace.outputs_of(Returned)] == [None] + [1] * 10
    assert leader(world).log.last_index == 2


def test_a_deposed_leader_in_a_minority_answers_no_read() -> None:
    client = Client("C1", ("S1",))
    world = cluster(3, clients=[client], seed=2)
    old = elect(world)
    others = tuple(one for one in names(3) if one != old.id)
    world.schedule(Partition(world.now_ms + 1, ((old.id, "C1"), others)))
    world.run(world.now_ms + 1_000)
    assert leader(world) is not old
    assert old.role is Role.LEADER
    world.post(world.now_ms + 1, old.id, ReadRequest(Get("x"), "C1", 1), sender="C1")
    trace = world.run(world.now_ms + 2_000)
    assert not any(isinstance(sent[4], ClientReply) and sent[4].ok for sent in trace.sent)


# --- replication's corners ---------------------------------------------------------------------------------


def entries(*terms: Term) -> tuple[Entry, ...]:
    return tuple(Entry(term, Put("x", index)) for index, term in enumerate(terms, 1))


def follower(*terms: Term, term: Term | None = None) -> Raft:
    server = Raft("S2", ("S1", "S3"))
    server.start()
    server.log = server.log.append(*entries(*terms))
    server.current_term = max(terms, default=0) if term is None else term
    server.take_effects()
    return server


def test_a_stale_append_entries_cuts_nothing_off() -> None:
    server = follower(1, 1, 1)
    server.receive("S1", AppendEntries(1, 0, 0, entries(1), 0))
    assert server.log.entries == entries(1, 1, 1)


def test_the_commit_index_stops_at_the_last_new_entry() -> None:
    server = follower(1, 1, 1)  # entries 2 and 3 may differ from the leader's
    server.receive("S1", AppendEntries(2, 1, 1, (), 3))
    assert server.commit_index == 1


@pytest.mark.parametrize(
    ("held", "prev", "hint"),
    [
        ((1, 1), (5, 3), (3, None)),  # too short: go on at its end
        ((1, 2, 2, 2), (4, 3), (2, 2)),  # another term there: before its first entry of that term
    ],
)
def test_a_refusal_says_where_to_go_on(
    held: tuple[Term, ...], prev: tuple[Index, Term], hint: tuple[Index, Term | None]
) -> None:
    server = follower(*held, term=3)
    server.receive("S1", AppendEntries(3, *prev, (), 0))
    reply = next(one.message for one in server.take_effects() if hasattr(one, "message"))
    assert (reply.success, reply.conflict_index, reply.conflict_term) == (False, *hint)


def test_a_refusal_of_an_earlier_terms_message_is_no_conflict() -> None:
    """Found by the nemesis: S2 refuses an old AppendEntries because it has granted us a vote in a newer term."""
    server = lead(Raft("S1", ("S2", "S3")))
    before = dict(server.next_index)
    server.receive("S2", AppendReply(1, False))
    assert server.next_index == before
    assert server.role is Role.LEADER


def test_an_old_refusal_brings_forth_no_message() -> None:
    """Else duplicated refusals would breed: each would call for another AppendEntries, and that for another answer."""
    server = lead(Raft("S1", ("S2", "S3")))
    server.receive("S2", AppendReply(1, True, match_index=1))
    server.take_effects()
    server.receive("S2", AppendReply(1, False, conflict_index=1))
    assert server.next_index["S2"] == 2
    assert server.take_effects() == []


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_a_long_missing_log_is_repaired_batch_by_batch(batch: int) -> None:
    world = cluster(3, faults=[Crash(500, "S3", 1_000)], batch=batch, seed=4)
    first = elect(world)
    assert first.id != "S3", "choose a seed whose first leader stays up"
    for number in range(40):
        world.post(600 + number * 10, first.id, ClientRequest(Put("x", number)))
    trace = world.run(1_700)
    assert world.nodes["S3"].last_applied == 41  # type: ignore[attr-defined]
    assert not trace.violations
    assert max(len(sent[4].entries) for sent in trace.sent if isinstance(sent[4], AppendEntries)) <= batch


def test_messages_under_load_stay_in_proportion() -> None:
    """Each request and each acknowledgement of something new brings forth one message a follower at the most."""
    world = cluster(3, batch=4, network=Network(Constant(5)))
    first = elect(world)
    began = len(world.run(world.now_ms).sent)
    at = world.now_ms
    for number in range(400):
        world.post(at + 1 + number * 0.5, first.id, ClientRequest(Put("x", number)))
    trace = world.run(at + 2_000)
    assert first.commit_index == 401
    assert len(trace.sent) - began < 400 * (1 + 2 * 2 * 2) + 400  # each with its answer, to two; 400 for heartbeats


# --- one method a rule --------------------------------------------------------------------------------------


@dataclass
class Yielding(Raft):
    """A subclass that overrides one rule, as exercises do."""

    def may_answer(self, read: Read) -> bool:
        return True


def test_a_subclass_overrides_one_rule() -> None:
    server = lead(Yielding("S1", ("S2", "S3")))
    server.receive("C1", ReadRequest(Get("x"), "C1", 1))
    assert replies(server) == [ClientReply(1, True, None, "S1")]


# --- determinism ----------------------------------------------------------------------------------------------


def storm() -> Cluster:
    clients = [Client(f"C{one}", names(5), tuple(Add("x") for _ in range(10))) for one in (1, 2)]
    faults = Nemesis(gap_ms=150).schedule(names(5), 11, 2_000)
    network = Network(Uniform(1, 5), loss=0.05, duplication=0.05, reordering=0.1, disk=Uniform(1, 5))
    return cluster(5, clients=clients, network=network, seed=11, faults=faults)


def test_the_same_seed_gives_the_same_bytes_in_other_processes_and_under_other_hash_seeds() -> None:
    here = storm().run(2_500)
    assert not here.violations
    assert here.outputs_of(BecameLeader)
    assert here.outputs_of(Invoked)
    command = "import runpy; print(runpy.run_path('tests/raft/test_raft.py')['storm']().run(2_500).digest)"
    for hash_seed in ("0", "12345"):
        done = subprocess.run(
            [sys.executable, "-c", command],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": "."},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == here.digest


def test_a_saved_state_runs_on_as_the_original_would() -> None:
    server = lead(Raft("S1", ("S2", "S3")))
    server.receive("C1", ClientRequest(Add("x", 1), "C1", 1))
    server.take_effects()
    twin = Raft("S1", ("S2", "S3"))
    twin.load(server.state())
    assert hash(server.state()) == hash(twin.state())
    for one in (server, twin):
        one.receive("S2", AppendReply(1, True, match_index=2))
    assert server.take_effects() == twin.take_effects()
    assert server.state() == twin.state()


def test_a_view_shows_what_figures_need() -> None:
    world = cluster(3)
    first = elect(world)
    trace: Trace = world.run(world.now_ms + 100)
    view = trace.view_at(first.id, world.now_ms)
    assert view._fields[:4] == ("role", "term", "voted_for", "leader")
    assert (view.role, view.term, view.commit_index, len(view.log)) == ("leader", first.current_term, 1, 1)
    assert dict(view.match_index) == dict.fromkeys(first.peers, 1)
    assert trace.messages["kind"].isin(["RequestVote", "Vote", "AppendEntries", "AppendReply", "Heartbeat"]).all()
    heartbeats = trace.messages[trace.messages["kind"] == "Heartbeat"]
    assert len(heartbeats) and heartbeats["routine"].all()


def test_a_server_of_one_leads_at_its_first_timeout() -> None:
    (alone,) = servers(1)
    alone.start()
    alone.timeout("election")
    assert (alone.role, alone.commit_index) == (Role.LEADER, 1)
