"""Two-phase commit: transcripts, each crash in each step, locks, single rules, and every mistake a person can make."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distlib.check.cluster.world import Faults
from distlib.check.explore.explore import explore
from distlib.core.fault import Crash, OneWay, Partition
from distlib.core.node import node_names
from distlib.replication.message import ClientReply
from distlib.sim.cluster import Cluster, NodeError
from distlib.sim.latency import Constant, Uniform
from distlib.sim.network import Network
from distlib.transactions.bank import Add, Read, applied, refusal, transfer, undone, writes
from distlib.transactions.client import Teller
from distlib.transactions.intervals import intervals
from distlib.transactions.message import (
    Acknowledge,
    Answer,
    Begin,
    BeginCommit,
    Decide,
    Decided,
    Inquire,
    Outcome,
    Prepare,
    Prepared,
    Refused,
    Told,
    Vote,
)
from distlib.transactions.presumptions import PresumedAbort, PresumedCommit
from distlib.transactions.searches import REQUEST, commit_model, under_nemesis
from distlib.transactions.two_phase import CommitView, TwoPhaseCommit, cluster, records_of
from tests.transactions.clusters import THREE, TWO, TX, bank, busy, decisions, flow, money, sent, started, told

TOO_MUCH = transfer("S2", "S3", 11)

# --- transcripts -----------------------------------------------------------------------------------------


def test_a_commit() -> None:
    """Gray 1978; what is forced to disk comes before what speaks of it."""
    assert list(bank().run(100).transcript()) == [
        "     0.000 ms  outside → S1 Begin work=[[S2, [x-1]], [S3, [x+1]]]",
        "     0.000 ms  S1: Begun transaction=S1.1.1",
        "    10.000 ms  S1 → S2 Prepare transaction=S1.1.1 operations=[x-1] voters=[S2, S3] begun_ms=0 below=[]",
        "    10.000 ms  S1 → S3 Prepare transaction=S1.1.1 operations=[x+1] voters=[S2, S3] begun_ms=0 below=[]",
        "    10.000 ms  S2: Wrote record=Prepared(S1.1.1, [x-1], S1, [S2, S3], []) forced=True",
        "    10.000 ms  S3: Wrote record=Prepared(S1.1.1, [x+1], S1, [S2, S3], []) forced=True",
        "    20.000 ms  S2 → S1 Vote transaction=S1.1.1 answer=yes reads=[]",
        "    20.000 ms  S3 → S1 Vote transaction=S1.1.1 answer=yes reads=[]",
        "    20.000 ms  S1: Wrote record=Decided(S1.1.1, True, [S2, S3]) forced=True",
        "    20.000 ms  S1: Told transaction=S1.1.1 commit=True",
        "    30.000 ms  S1 → S2 Commit transaction=S1.1.1 commit=True acknowledge=True",
        "    30.000 ms  S1 → S3 Commit transaction=S1.1.1 commit=True acknowledge=True",
        "    30.000 ms  S2: Wrote record=Finished(S1.1.1, True) forced=True",
        "    30.000 ms  S3: Wrote record=Finished(S1.1.1, True) forced=True",
        "    40.000 ms  S2 → S1 Acknowledge transaction=S1.1.1",
        "    40.000 ms  S3 → S1 Acknowledge transaction=S1.1.1",
        "    40.000 ms  S1: Wrote record=Ended(S1.1.1) forced=False",
    ]


def test_a_refusal_aborts_whoever_voted_yes() -> None:
    """S2 cannot pay: who voted no hears nothing more, S3 takes back what it prepared."""
    running = bank(work=TOO_MUCH)
    trace = running.run(100)
    assert flow(trace) == [
        "10 S1 → S2 Prepare",
        "10 S1 → S3 Prepare",
        "20 S2 → S1 Vote no",
        "20 S3 → S1 Vote yes",
        "30 S1 → S3 Abort",
        "40 S3 → S1 Acknowledge",
    ]
    assert [one.event for one in trace.outputs_of(Refused)] == [Refused(TX, "x-11 leaves -1")]
    assert told(trace) == [("S1", 20.0, False)]
    assert [running.nodes[name].balances for name in THREE] == [{"x": 10}] * 3
    assert not trace.violations and not busy(running)


def test_a_participant_that_does_not_vote_is_waited_for_no_longer_than_vote_ms() -> None:
    """S3 is down when it is asked. S2 asks when it has been in doubt for 50 ms, in the same moment as it is told."""
    running = bank(faults=(Crash(5, "S3", 95),))
    trace = running.run(300)
    assert flow(trace) == [
        "10 S1 → S2 Prepare",
        "10 S1 → S3 Prepare (receiver down)",
        "20 S2 → S1 Vote yes",
        "70 S1 → S2 Abort",
        "70 S1 → S3 Abort (receiver down)",
        "70 S2 → S1 Inquire",
        "70 S2 → S3 Inquire (receiver down)",
        "80 S2 → S1 Acknowledge",
        "80 S1 → S2 Abort",
        "110 S1 → S3 Abort",
        "120 S3 → S1 Acknowledge",
    ]
    assert told(trace) == [("S1", 60.0, False)]
    assert decisions(running) == {"S1": None, "S2": False, "S3": False} and not busy(running)


# --- in doubt --------------------------------------------------------------------------------------------


def doubts(trace: Any) -> dict[str, tuple[float, float]]:
    """When each node was in doubt."""
    return {node: (start_ms, end_ms) for node, _, start_ms, end_ms, _ in intervals(trace, "in_doubt").values}


@pytest.mark.parametrize("cooperative", [True, False])
def test_all_who_have_voted_yes_wait_for_a_dead_coordinator_with_their_locks(cooperative: bool) -> None:
    """BHG §7.4: S1 dies with both votes under way. To ask each other does not help: all are in doubt."""
    running = bank(faults=(Crash(15, "S1", 600),), cooperative=cooperative)
    trace = running.run(1_000)
    assert doubts(trace) == dict.fromkeys(("S2", "S3"), (10.0, 630.0))
    view = trace.view_at("S2", 500)
    assert view == CommitView("in doubt", (), (TX,), (), ("x",))
    asked = Counter(line.split(" ", 1)[1] for line in flow(trace) if "Inquire" in line)
    assert asked["S2 → S1 Inquire (receiver down)"] == 11
    assert asked["S2 → S3 Inquire"] == (12 if cooperative else 0)
    assert decisions(running) == {"S1": None, "S2": False, "S3": False}
    assert not trace.violations and not busy(running)


@pytest.mark.parametrize("cooperative", [True, False])
def test_one_that_knows_tells_the_others(cooperative: bool) -> None:
    """The commit reaches S2 alone, then S1 dies: S3 hears it from S2, or else when S1 is back and repeats it."""
    faults = (OneWay(20, ("S1",), ("S3",), 5), Crash(25, "S1", 600))
    running = bank(faults=faults, cooperative=cooperative)
    trace = running.run(1_000)
    assert doubts(trace)["S2"] == (10.0, 30.0)
    assert doubts(trace)["S3"] == (10.0, 80.0 if cooperative else 635.0)
    assert decisions(running) == {"S1": None, "S2": True, "S3": True}
    assert not trace.violations and not busy(running)


def test_one_that_has_not_voted_lets_the_others_abort() -> None:
    """S3 is asked for its vote too late: by then it has told S2 that it aborts, and stands by that."""
    running = bank(faults=(OneWay(0, ("S1",), ("S3",), 5), Crash(15, "S1")), vote_ms=None)
    running.post(200, "S3", Prepare(TX, (Add("x", 1),), ("S2", "S3")), sender="S1")
    trace = running.run(400)
    assert "70 S2 → S3 Inquire" in flow(trace) and "80 S3 → S2 Abort" in flow(trace)
    assert "210 S3 → S1 Vote no (receiver down)" in flow(trace)
    assert decisions(running) == {"S1": None, "S2": False, "S3": False}
    assert running.nodes["S3"].ended == {(TX, False)}, "on disk before S2 relied on it"
    assert not trace.violations


# --- a crash in each step ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at_ms", "commit"),
    [
        pytest.param(5, False, id="asked for votes"),
        pytest.param(15, False, id="votes under way"),
        pytest.param(25, True, id="decided"),
        pytest.param(35, True, id="acknowledgements under way"),
        pytest.param(45, True, id="over"),
    ],
)
def test_a_coordinator_that_crashes_in_each_step(at_ms: float, commit: bool) -> None:
    running = bank(faults=(Crash(at_ms, "S1", 70),))
    trace = running.run(600)
    assert decisions(running) == {"S1": None, "S2": commit, "S3": commit}
    assert [running.nodes[name].balances["x"] for name in THREE] == ([10, 9, 11] if commit else [10, 10, 10])
    assert running.nodes["S1"].lives == 2
    assert [commit for _, _, commit in told(trace)] == ([True] if commit else [])
    assert not trace.violations and not busy(running)


@pytest.mark.parametrize(
    ("at_ms", "commit"),
    [
        pytest.param(5, False, id="not asked yet"),
        pytest.param(15, True, id="voted"),
        pytest.param(25, True, id="the decision is under way"),
        pytest.param(35, True, id="acknowledged"),
    ],
)
def test_a_participant_that_crashes_in_each_step(at_ms: float, commit: bool) -> None:
    running = bank(faults=(Crash(at_ms, "S3", 100),))
    trace = running.run(600)
    assert decisions(running) == {"S1": None, "S2": commit, "S3": commit}
    assert [dict(running.nodes[name].disk)["x"] for name in THREE] == ([10, 9, 11] if commit else [10, 10, 10])
    assert not trace.violations and not busy(running)


def test_what_a_crash_leaves_is_in_the_log_and_nothing_else() -> None:
    node = started(name="S2")
    node.receive("S1", Prepare(TX, (Add("x", -1),), ("S2", "S3")))
    assert sent(node) == [("S1", Vote(TX, Answer.YES))]
    assert list(records_of(node)) == [Prepared(TX, (Add("x", -1),), "S1", ("S2", "S3"))]
    node.crash()
    node.start()
    assert node.view() == CommitView("in doubt", (), (TX,), (), ("x",))
    assert node.balances == {"x": 10}, "prepared is not done"
    node.receive("S1", Decide(TX, True))
    assert (node.balances, node.log, node.ended) == ({"x": 9}, (), {(TX, True)})
    node.crash()
    node.start()
    assert node.balances == {"x": 9}
    node.take_effects()
    node.receive("S1", Decide(TX, True))
    assert sent(node) == [("S1", Acknowledge(TX))] and node.balances == {"x": 9}


def test_a_coordinator_recovers_its_decision_and_repeats_it_until_all_have_acknowledged() -> None:
    node = started()
    node.log = (Decided(TX, True, ("S2", "S3")),)
    node.crash()
    node.start()
    again = [("S2", Decide(TX, True)), ("S3", Decide(TX, True))]
    assert sent(node) == again
    node.receive("S3", Acknowledge(TX))
    node.timeout("resend", TX)
    assert sent(node) == again[:1]
    node.receive("S2", Acknowledge(TX))
    assert not node.rounds and [type(one).__name__ for one in node.tail] == ["Ended"]


@given(
    crashes=st.lists(st.tuples(st.floats(0, 120), st.sampled_from(THREE), st.floats(1, 150)), min_size=1, max_size=3),
    amount=st.integers(1, 12),
    seed=st.integers(0, 2**16),
    loss=st.sampled_from([0.0, 0.1, 0.3]),
)
@settings(max_examples=80, deadline=None)
def test_whatever_crashes_all_end_alike(crashes: list[Any], amount: int, seed: int, loss: float) -> None:
    """AC1 to AC5 (BHG §7.3): one decision, no money lost or made, and an end once failures are repaired."""
    faults = [Crash(at_ms, name, down_ms) for at_ms, name, down_ms in crashes]
    network = Network(Uniform(1, 15), loss=loss, duplication=0.1, reordering=0.1)
    running = bank(work=transfer("S2", "S3", amount), faults=faults, network=network, seed=seed)
    trace = running.run(20_000, until=lambda now: now.now_ms > 300 and not busy(now))
    assert not trace.violations
    assert not busy(running)
    found = decisions(running)
    assert found["S2"] == found["S3"] or {found["S2"], found["S3"]} == {None, False}
    assert money(running) == 30
    assert amount <= 10 or found["S2"] is not True


# --- locks -----------------------------------------------------------------------------------------------


def test_locks_are_granted_in_the_order_in_which_they_were_asked_for() -> None:
    """Three transfers from the one account of S2: each waits until all before it are over."""
    running = bank(work=None, vote_ms=None)
    for at_ms, node in ((0, "S1"), (1, "S3"), (2, "S1")):
        running.post(at_ms, node, Begin((("S2", (Add("x", -1),)),)))
    running.run(12.5)
    assert running.nodes["S2"].view() == CommitView("in doubt", (), (TX,), ("S3.1.1", "S1.1.2"), ("x",))
    trace = running.run(200)
    prepared = [
        (one.time_ms, one.event.record.transaction) for one in trace.outputs
        if one.node == "S2" and isinstance(getattr(one.event, "record", None), Prepared)
    ]  # fmt: skip
    assert prepared == [(10, TX), (30, "S3.1.1"), (50, "S1.1.2")]
    assert running.nodes["S2"].balances == {"x": 7} and not busy(running)


def test_readers_share_a_lock_and_do_not_overtake_a_writer_that_waits() -> None:
    """Two reads at once; a write waits for both; a third read waits for the write, or the write might wait for ever."""
    node = started(name="S2", inquire_ms=None)
    work = {"A": (Read("x"),), "B": (Read("x"),), "C": (Add("x", 1),), "D": (Read("x"),), "E": (Read("y"),)}
    node.disk = node.initial = (("x", 10), ("y", 0))
    node.balances = dict(node.initial)
    for transaction, operations in work.items():
        node.receive("S1", Prepare(transaction, operations, ("S2",)))
    assert [message.transaction for _, message in sent(node)] == ["A", "B", "E"]
    assert node.queue == ("C", "D")
    node.receive("S1", Decide("A", True))
    assert node.queue == ("C", "D")
    node.receive("S1", Decide("B", False))
    assert node.queue == ("D",)
    node.take_effects()
    node.receive("S1", Decide("C", True))
    assert set(sent(node)) == {("S1", Acknowledge("C")), ("S1", Vote("D", Answer.YES, (("S2.x", 11),)))}
    assert node.queue == ()


def test_who_waits_for_a_lock_when_its_coordinator_gives_up_votes_no_more() -> None:
    """S2 is locked by a transaction that S3 does not end; S1's gives up after its 60 ms, and its place is free."""
    running = bank(work=None, inquire_ms=None)
    running.post(0, "S2", Prepare("S3.9.9", (Add("x", -1),), ("S2",)), sender="S3")
    running.post(5, "S1", Begin(TWO))
    running.run(74)
    assert running.nodes["S2"].queue == (TX,) and told(running.trace()) == [("S1", 65.0, False)]
    trace = running.run(90)
    assert running.nodes["S2"].queue == ()
    assert "20 S2 → S1 Vote yes" not in flow(trace) and "85 S2 → S1 Acknowledge" in flow(trace)
    assert [line for line in flow(trace) if "S2 → S1 Vote" in line] == []


def test_a_deadlock_over_two_nodes_ends_when_a_coordinator_gives_up() -> None:
    """S1 asks S1, then S2; S2 asks S2, then S1: each holds what the other waits for."""
    running = bank(names=("S1", "S2"), work=None)
    for name, other in (("S1", "S2"), ("S2", "S1")):
        running.post(0, name, Begin(transfer(name, other)))
    trace = running.run(50)
    assert [running.nodes[name].queue for name in ("S1", "S2")] == [("S2.1.1",), ("S1.1.1",)]
    trace = running.run(300)
    assert [commit for _, _, commit in told(trace)] == [False, False]
    assert not busy(running) and not trace.violations


# --- read-only votes ----------------------------------------------------------------------------------------


LOOK_AND_PAY = (("S2", (Read("x"),)), ("S3", (Add("x", 1), Read("x"))))


def test_who_has_only_read_leaves_with_its_vote() -> None:
    running = bank(work=LOOK_AND_PAY, read_only_votes=True)
    trace = running.run(100)
    assert flow(trace) == [
        "10 S1 → S2 Prepare",
        "10 S1 → S3 Prepare",
        "20 S2 → S1 Vote read-only",
        "20 S3 → S1 Vote yes",
        "30 S1 → S3 Commit",
        "40 S3 → S1 Acknowledge",
    ]
    assert trace.view_at("S2", 15).locked == ()
    assert trace.view_at("S3", 15).locked == ("x",)
    prepared = [one.event.record for one in trace.outputs if isinstance(getattr(one.event, "record", None), Prepared)]
    assert prepared == [Prepared(TX, LOOK_AND_PAY[1][1], "S1", ("S3",))], "S2 must not be asked later"


def test_without_it_who_has_only_read_is_a_participant_like_all_others() -> None:
    trace = bank(work=LOOK_AND_PAY).run(100)
    assert Counter(line.split(" ", 4)[4] for line in flow(trace)) == {
        "Prepare": 2, "Vote yes": 2, "Commit": 2, "Acknowledge": 2
    }  # fmt: skip


@pytest.mark.parametrize("read_only_votes", [True, False])
def test_what_was_read_is_told_with_a_commit(read_only_votes: bool) -> None:
    node = started(read_only_votes=read_only_votes)
    node.receive("C1", Begin(LOOK_AND_PAY, "C1", 1))
    node.receive("S3", Vote(TX, Answer.YES, (("S3.x", 11),)))
    node.receive("S2", Vote(TX, Answer.READ if read_only_votes else Answer.YES, (("S2.x", 10),)))
    reply = [message for to, message in sent(node) if to == "C1"]
    assert reply == [ClientReply(1, True, Outcome(TX, True, (("S2.x", 10), ("S3.x", 11))))]


def test_reads_see_what_the_transaction_has_done_before_them() -> None:
    node = started(name="S3")
    assert node.reads((Read("x"), Add("x", 5), Read("x"), Add("x", -7), Read("x"))) == (
        ("S3.x", 10), ("S3.x", 15), ("S3.x", 8)
    )  # fmt: skip


# --- duplicated, late and foreign messages -------------------------------------------------------------------


def collecting(**settings: Any) -> TwoPhaseCommit:
    node = started(**settings)
    node.receive("outside", Begin(TWO))
    node.take_effects()
    return node


def test_a_vote_counts_once_and_for_its_transaction_alone() -> None:
    node = collecting()
    for _ in range(3):
        node.receive("S2", Vote(TX, Answer.YES))
    node.receive("S9", Vote(TX, Answer.YES))
    node.receive("S3", Vote("S1.1.2", Answer.YES))
    assert node.rounds[TX].commit is None and node.rounds[TX].silent == ("S3",)
    node.receive("S3", Vote(TX, Answer.YES))
    assert node.rounds[TX].commit is True


def test_a_vote_after_the_decision_changes_nothing() -> None:
    node = collecting()
    node.receive("S2", Vote(TX, Answer.YES))
    node.timeout("vote", TX)
    node.take_effects()
    node.receive("S3", Vote(TX, Answer.YES))
    assert node.rounds[TX].commit is False and node.told == (TX, False)
    assert sent(node) == []
    node.receive("S2", Vote(TX, Answer.NO))
    node.timeout("vote", TX)
    assert node.told == (TX, False)


def test_a_request_to_prepare_that_comes_again_gets_the_same_answer() -> None:
    node, ask = started(name="S2"), Prepare(TX, (Add("x", -1),), ("S2", "S3"))
    for _ in range(2):
        node.receive("S1", ask)
    assert sent(node) == [("S1", Vote(TX, Answer.YES))] * 2
    assert len(node.log) == 1
    node.receive("S1", Decide(TX, True))
    node.receive("S1", ask)
    assert sent(node) == [("S1", Acknowledge(TX)), ("S1", Vote(TX, Answer.YES))]
    assert node.balances == {"x": 9} and not node.branches


def test_an_abort_that_overtakes_the_request_to_prepare_stays() -> None:
    node = started(name="S2")
    node.receive("S1", Decide(TX, False))
    node.receive("S1", Prepare(TX, (Add("x", -1),), ("S2", "S3")))
    assert sent(node) == [("S1", Acknowledge(TX)), ("S1", Vote(TX, Answer.NO))]
    assert not node.branches


def test_acknowledgements_of_strangers_and_of_what_is_over_are_passed_over() -> None:
    node = collecting()
    node.receive("S2", Acknowledge(TX))
    for name in ("S2", "S3"):
        node.receive(name, Vote(TX, Answer.YES))
    node.receive("S9", Acknowledge(TX))
    node.receive("S2", Acknowledge(TX))
    node.receive("S2", Acknowledge(TX))
    assert node.rounds[TX].waiting == ("S3",)
    node.receive("S3", Acknowledge(TX))
    node.receive("S3", Acknowledge(TX))
    assert not node.rounds


@pytest.mark.parametrize(
    ("who", "answer"),
    [("the coordinator, collecting", None), ("a participant in doubt", None), ("one that never heard of it", False),
     ("one that has committed", True), ("the coordinator, after a crash", False)],
)  # fmt: skip
def test_what_is_answered_to_an_inquiry(who: str, answer: bool | None) -> None:
    """BHG §7.4; and without a record, the coordinator had not decided, and must not wait any more."""
    node = collecting() if who == "the coordinator, collecting" else started(name="S1" if "crash" in who else "S2")
    if "doubt" in who or "committed" in who:
        node.receive("S1", Prepare(TX, (Add("x", -1),), ("S2", "S3")))
    if "committed" in who:
        node.receive("S1", Decide(TX, True))
    node.take_effects()
    node.receive("S3", Inquire(TX, "S1"))
    assert sent(node) == ([] if answer is None else [("S3", Decide(TX, answer, False))])


def test_a_client_that_asks_twice_begins_one_transaction() -> None:
    node = started()
    for _ in range(2):
        node.receive("C1", Begin(TWO, "C1", 1))
    assert list(node.rounds) == [TX]
    node.receive("C1", Begin(TWO, "C1", 2))
    for _ in range(2):
        node.receive("outside", Begin(TWO))
    assert len(node.rounds) == 4, "without a client, nobody can tell them apart"


@pytest.mark.parametrize("cls", [TwoPhaseCommit, PresumedAbort, PresumedCommit])
def test_a_late_copy_of_a_request_begins_no_second_transaction(cls: type[Any]) -> None:
    """The first one is over and forgotten, and the client has asked for other things since. A crash forgets it, too."""
    request = Begin((("S1", (Add("x", -1),)),), "C1", 1)
    nodes = [*cluster(cls, THREE), Teller("C1", THREE, ())]
    running = Cluster(nodes, Network(Constant(10)), faults=[Crash(1_210, "S1", 40.0)])
    for at_ms, one in ((0, request), (300, replace(request, serial=2)), (600, request), (1_300, request)):
        running.post(at_ms, "S1", one, sender="C1")
    running.run(1_200)
    assert not busy(running) and money(running) == 30 - 2
    running.run(2_000)
    assert not busy(running) and money(running) == 30 - 3


def test_requests_of_a_client_may_come_out_of_order() -> None:
    """So may those of several that share a name, as at the real coordinator."""
    node = started()
    for serial in (3, 1, 2, 1):
        node.receive("C1", Begin(TWO, "C1", serial))
    assert [one.serial for one in node.rounds.values()] == [3, 1, 2]


# --- a participant that begins -------------------------------------------------------------------------------


def test_a_participant_that_begins_sends_its_vote_with_the_request() -> None:
    """Gray & Lamport 2006, §3.1."""
    running = bank(work=TWO, at="S2", coordinator="S1")
    trace = running.run(100)
    assert flow(trace) == [
        "10 S2 → S1 BeginCommit",
        "20 S1 → S3 Prepare",
        "30 S3 → S1 Vote yes",
        "40 S1 → S2 Commit",
        "40 S1 → S3 Commit",
        "50 S2 → S1 Acknowledge",
        "50 S3 → S1 Acknowledge",
    ]
    assert told(trace) == [("S1", 30.0, True)]
    assert decisions(running, "S2.1.1") == {"S1": True, "S2": True, "S3": True}


def test_a_participant_that_begins_and_cannot_asks_nobody() -> None:
    trace = bank(work=TOO_MUCH, at="S2", coordinator="S1").run(100)
    assert flow(trace) == []
    assert told(trace) == [("S2", 0.0, False)]


def test_what_was_handed_over_and_got_lost_is_asked_for() -> None:
    """S1 never hears of it. It says so for good: a request that comes later is answered with the abort."""
    faults = (OneWay(0, ("S2",), ("S1",), 5),)
    running = bank(work=TWO, at="S2", coordinator="S1", faults=faults)
    running.post(150, "S1", BeginCommit("S2.1.1", TWO, 0.0), sender="S2")
    trace = running.run(300)
    assert "70 S1 → S2 Abort" in flow(trace) and "160 S1 → S2 Abort" in flow(trace)
    assert decisions(running, "S2.1.1") == {"S1": False, "S2": False, "S3": False}
    assert not trace.violations and not busy(running)


def test_a_request_that_is_handed_over_twice_is_one() -> None:
    request = BeginCommit("S2.1.1", TWO, 0.0, "C1", 1)
    node = started(coordinator="S1")
    for _ in range(2):
        node.receive("S2", request)
    assert [to for to, _ in sent(node)] == ["S3"]
    node.receive("S3", Vote("S2.1.1", Answer.YES))
    for name in ("S2", "S3"):
        node.receive(name, Acknowledge("S2.1.1"))
    node.take_effects()
    node.receive("S2", request)
    assert sent(node) == [("S2", Decide("S2.1.1", True, False))] and not node.rounds


# --- bad input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("work", "error", "words"),
    [
        ("S1", TypeError, r"work is 'S1'; it takes pairs of a node and its operations, such as \(\('S1', \(Add"),
        ((("S1",),), TypeError, r"work is \(\('S1',\),\); it takes pairs"),
        ([("S1", (Add("x", 1),))], TypeError, "it takes pairs of a node"),
        ((), ValueError, "the nodes of work is empty; it takes the name of at least one node"),
        ((("S1", ()), ("S1", ())), ValueError, "the nodes of work names S1 twice"),
        (((1, ()),), TypeError, r"the nodes of work is \(1,\)"),
        ((("S1", Add("x", 1)),), TypeError, r"work\['S1'\] is Add.*; it takes a tuple of Add\(…\) and Read\(…\)"),
        ((("S1", ("x",)),), TypeError, r"work\['S1'\] is \('x',\)"),
    ],
)
def test_what_is_no_work_is_refused(work: Any, error: type[Exception], words: str) -> None:
    node = started()
    with pytest.raises(error, match=words):
        node.receive("outside", Begin(work))
    assert not node.rounds


@pytest.mark.parametrize(
    ("given_settings", "error", "words"),
    [
        ({"initial": (("x", -1),)}, ValueError, r"initial\['x'\] is -1; it takes a whole number of at least 0"),
        ({"initial": (("x", 1.5),)}, TypeError, r"initial\['x'\] is 1.5"),
        ({"vote_ms": 0}, ValueError, "vote_ms is 0; it takes a number above 0 ms"),
        ({"resend_ms": -1}, ValueError, "resend_ms is -1; it takes a number above 0 ms"),
        ({"inquire_ms": "50"}, TypeError, "inquire_ms is '50'"),
    ],
)
def test_bad_settings_are_refused(given_settings: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        TwoPhaseCommit("S1", **given_settings)


def test_who_has_no_part_in_a_transaction_cannot_hand_it_over() -> None:
    running = bank(work=TWO, at="S1", coordinator="S2")
    with pytest.raises(NodeError, match=r"S1 is asked for work in which it has no part, and S2 coordinates"):
        running.run(10)


def test_an_account_that_does_not_exist_is_a_reason_to_refuse() -> None:
    trace = bank(work=(("S2", (Add("z", 1),)), ("S3", (Read("q"),)))).run(100)
    reasons = [one.event.reason for one in trace.outputs_of(Refused)]
    assert reasons == ["there is no account z", "there is no account q"]


def test_what_operations_do() -> None:
    work = (Add("x", -3), Read("x"), Add("y", 2))
    assert applied({"x": 3, "y": 0}, work) == {"x": 0, "y": 2}
    assert applied(applied({"x": 3, "y": 0}, work), undone(work)) == {"x": 3, "y": 0}
    assert refusal({"x": 2, "y": 0}, work) == "x-3 leaves -1"
    assert refusal({"x": 3, "y": 0}, work) == ""
    assert refusal({"x": 3}, (Add("x", -4), Add("x", 5))) == "x-4 leaves -1", "in no moment below zero"
    assert [writes(work), writes((Read("x"),))] == [True, False]
    for amount in (0, -1, 1.5):
        with pytest.raises((TypeError, ValueError), match="amount is"):
            transfer("S1", "S2", amount)  # type: ignore[arg-type]


# --- the whole -----------------------------------------------------------------------------------------------


def test_a_partition_blocks_who_is_in_doubt_and_nobody_else() -> None:
    """S3 is cut off when it has voted: S2 commits, S3 waits with its locks until the partition heals."""
    running = bank(faults=(Partition(22, (("S1", "S2"), ("S3",)), 400),))
    trace = running.run(1_000)
    found = doubts(trace)
    assert found["S2"] == (10, 30)
    assert 422 < found["S3"][1] < 500
    assert set(decisions(running).values()) == {None, True} and not trace.violations


def test_a_saved_state_runs_on_as_the_original_would() -> None:
    node, twin = collecting(), TwoPhaseCommit("S1")
    twin.load(node.state())
    assert hash(node.state()) == hash(twin.state())
    for one in (node, twin):
        one.receive("S2", Vote(TX, Answer.YES))
        one.receive("S3", Vote(TX, Answer.YES))
    assert node.take_effects() == twin.take_effects()
    assert node.state() == twin.state()


def test_the_same_seed_gives_the_same_bytes_in_other_processes_and_under_other_hash_seeds() -> None:
    here = under_nemesis(TwoPhaseCommit, 5).run(1_000)
    assert not here.violations
    assert {one.event.commit for one in here.outputs_of(Told)} == {True, False}
    command = (
        "from distlib.transactions.searches import under_nemesis, TwoPhaseCommit;"
        "print(under_nemesis(TwoPhaseCommit, 5).run(1_000).digest)"
    )
    for hash_seed in ("0", "12345"):
        done = subprocess.run(
            [sys.executable, "-c", command], env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": "."},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.strip() == here.digest


FOUR_PARTS = (("S2", (Add("x", -2),)), ("S3", (Add("x", 1),)), ("S4", (Add("x", 1),)))
ONE_CRASH = {"faults": Faults(crashes=1), "timeouts": {"vote": 1}}


@pytest.mark.parametrize(
    ("model", "counts"),
    [
        pytest.param(lambda: commit_model(TwoPhaseCommit, requests=[REQUEST], **ONE_CRASH), (76_479, 355_986, 22),
                     id="the coordinator takes part"),
        pytest.param(lambda: commit_model(
            TwoPhaseCommit, node_names(4), requests=[("S1", Begin(FOUR_PARTS))], **ONE_CRASH
        ), (75_576, 351_005, 22), id="the coordinator is a fourth node"),
    ],
)  # fmt: skip
def test_three_participants_one_crash_and_a_vote_timeout_are_exhausted(
    model: Any, counts: tuple[int, int, int]
) -> None:
    """Every order of messages, a crash of any node at any moment, the coordinator's patience at an end at any moment:
    distinct states, generated states, depth, as measured."""
    result = explore(model())
    assert result.verdict == "holds" and result.exhausted
    assert (result.distinct, result.generated, result.depth) == counts


def test_the_exhausted_model_has_commits_and_aborts_and_somebody_in_doubt() -> None:
    """Sometimes beside always: what has been searched is no desert."""
    model = commit_model(TwoPhaseCommit, requests=[REQUEST], faults=Faults(crashes=1))
    seen, waiting = set(model.initial_states()), list(model.initial_states())
    found: Counter[str] = Counter()
    while waiting:
        world = waiting.pop()
        nodes = [world.node(name) for name in THREE]
        found["committed by all"] += all((TX, True) in node.outcomes for node in nodes)
        found["aborted"] += any((TX, False) in node.outcomes for node in nodes)
        found["all in doubt"] += all(TX in node.branches and node.branches[TX].prepared for node in nodes)
        found["crashed"] += any(node.lives == 2 for node in nodes)
        fresh = {successor for _, successor in model.successors(world)} - seen
        seen |= fresh
        waiting += fresh
    assert len(seen) == 755
    assert all(found[what] > 0 for what in ("committed by all", "all in doubt", "crashed")), found
    assert found["aborted"] == 0, "nobody gives up, and nobody asks"
