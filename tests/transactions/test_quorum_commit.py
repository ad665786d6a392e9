"""Three phases: with quorums, which a majority never waits in; and Skeen's, which needs a network that tells dead from
silent."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from distlib.check.cluster.world import Faults
from distlib.check.explore.explore import explore
from distlib.core.fault import Crash, OneWay, Partition
from distlib.paxos.message import NO_BALLOT, Ballot
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from distlib.transactions.bank import Add, Read, Work, transfer
from distlib.transactions.intervals import intervals, longest_ms
from distlib.transactions.message import (
    Answer,
    Begin,
    Decide,
    Leaning,
    PreDecide,
    Prepare,
    StageReport,
    StageRequest,
    Told,
    Vote,
)
from distlib.transactions.quorum_commit import Poll, QuorumCommit, ThreePhaseCommit
from distlib.transactions.quorum_searches import blocked, survivors
from distlib.transactions.searches import REQUEST, REQUEST_OF_TWO, commit_model
from tests.transactions.clusters import FOUR, TX, bank, busy, decisions, flow, money, sent, started, told

THREE_VOTERS: Work = (("S2", (Add("x", -2),)), ("S3", (Add("x", 1),)), ("S4", (Add("x", 1),)))
BOTH = (QuorumCommit, ThreePhaseCommit)
B0, B1, B2, B3 = Ballot(0, "S1"), Ballot(1, "S2"), Ballot(2, "S3"), Ballot(3, "S4")


# --- the normal case -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", BOTH)
def test_a_commit_has_one_phase_more(cls: type[Any]) -> None:
    """Skeen 1981: between the votes and the decision all learn that all have voted yes."""
    running = bank(cls)
    trace = running.run(200)
    assert flow(trace) == [
        "10 S1 → S2 Prepare", "10 S1 → S3 Prepare", "20 S2 → S1 Vote yes", "20 S3 → S1 Vote yes",
        "30 S1 → S2 PreCommit", "30 S1 → S3 PreCommit", "40 S2 → S1 StageReport", "40 S3 → S1 StageReport",
        "50 S1 → S2 Commit", "50 S1 → S3 Commit",
    ]  # fmt: skip
    assert told(trace) == [("S1", 40.0, True)] and not busy(running) and not trace.violations


def test_quorum_commit_decides_with_a_majority_and_three_phase_commit_waits_for_all_that_are_up() -> None:
    """S4's report never arrives: two of three voters are enough for the one, the other's patience must end first."""
    deaf = OneWay(29, ("S4",), ("S1",), 10)
    times = {}
    for cls in BOTH:
        trace = bank(cls, FOUR, THREE_VOTERS, faults=(deaf,), gather_ms=45.0).run(300)
        times[cls] = told(trace)
    assert times == {QuorumCommit: [("S1", 40.0, True)], ThreePhaseCommit: [("S1", 65.0, True)]}


@pytest.mark.parametrize("cls", BOTH)
def test_a_refusal_has_no_third_phase(cls: type[Any]) -> None:
    trace = bank(cls, work=transfer("S2", "S3", 11)).run(200)
    assert flow(trace) == [
        "10 S1 → S2 Prepare", "10 S1 → S3 Prepare", "20 S2 → S1 Vote no", "20 S3 → S1 Vote yes", "30 S1 → S3 Abort",
    ]  # fmt: skip


@pytest.mark.parametrize("cls", BOTH)
def test_where_nobody_changes_anything_there_is_nobody_to_lean(cls: type[Any]) -> None:
    trace = bank(cls, work=(("S2", (Read("x"),)), ("S3", (Read("x"),))), read_only_votes=True).run(200)
    assert told(trace) == [("S1", 20.0, True)]


# --- a dead coordinator ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", BOTH)
@pytest.mark.parametrize(
    ("at_ms", "commit"),
    [
        pytest.param(5, None, id="asked"),
        pytest.param(15, False, id="all prepared, none leans"),
        pytest.param(25, True, id="the third phase is under way"),
        pytest.param(35, True, id="all lean"),
        pytest.param(45, True, id="decided"),
    ],
)
def test_the_others_end_it_without_the_coordinator(cls: type[Any], at_ms: float, commit: bool | None) -> None:
    """S1 never comes back. At 5 ms, the requests are under way; they are answered, and nobody leans: abort."""
    running = bank(cls, FOUR, THREE_VOTERS, faults=(Crash(at_ms, "S1"),))
    trace = running.run(600)
    others = {name: decisions(running)[name] for name in FOUR[1:]}
    assert others == dict.fromkeys(FOUR[1:], bool(commit))
    assert all(not running.nodes[name].branches for name in FOUR[1:]) and not trace.violations
    assert longest_ms(intervals(trace, "in_doubt")) < 150


@pytest.mark.parametrize("cls", BOTH)
def test_one_that_leans_and_is_alone_in_that_is_followed(cls: type[Any]) -> None:
    """Keidar & Dolev 1998: S2 alone has heard PreCommit, so somebody may have committed."""
    faults = (OneWay(19, ("S1",), ("S3", "S4"), 6), Crash(25, "S1"))
    running = bank(cls, FOUR, THREE_VOTERS, faults=faults)
    trace = running.run(600)
    assert "30 S1 → S2 PreCommit" in flow(trace) and "30 S1 → S3 PreCommit (partitioned)" in flow(trace)
    assert [decisions(running)[name] for name in FOUR[1:]] == [True] * 3 and not trace.violations


def test_two_of_three_voters_go_on_and_one_waits() -> None:
    """S1 and S2 die: a majority of the voters is left. When S3 dies, too, S4 waits until it is back; Skeen's does
    not."""
    two_dead = (Crash(25, "S1"), Crash(25, "S2"))
    running = bank(QuorumCommit, FOUR, THREE_VOTERS, faults=two_dead)
    trace = running.run(600)
    assert [decisions(running)[name] for name in ("S3", "S4")] == [True, True] and not trace.violations

    running = bank(QuorumCommit, FOUR, THREE_VOTERS, faults=(*two_dead, Crash(25, "S3", 1_000)))
    running.run(1_000)
    assert decisions(running)["S4"] is None and running.nodes["S4"].view().locked == ("x",)
    trace = running.run(1_500)
    assert [decisions(running)[name] for name in ("S3", "S4")] in ([True, True], [False, False])
    assert not trace.violations

    running = bank(ThreePhaseCommit, FOUR, THREE_VOTERS, faults=(*two_dead, Crash(25, "S3", 1_000)))
    running.run(300)
    assert decisions(running)["S4"] is not None


@pytest.mark.parametrize("cls", BOTH)
def test_when_all_die_and_come_back_they_end_it(cls: type[Any]) -> None:
    faults = tuple([Crash(33 + at, name, 60 + 5 * at) for at, name in enumerate(FOUR)])
    running = bank(cls, FOUR, THREE_VOTERS, faults=faults)
    trace = running.run(2_000)
    assert [decisions(running)[name] for name in FOUR[1:]] == [True] * 3
    assert not busy(running) and money(running) == 40 and not trace.violations


def crash_only(cls: type[Any], seeds: range) -> Counter[str]:
    """What came of runs whose coordinator dies in the middle of what it sends, in a network that delivers in 5 ms."""
    found: Counter[str] = Counter()
    for seed in seeds:
        running = survivors(cls, seed)
        problem = blocked(running)
        trace = running.trace()
        found["blocked"] += "in doubt" in problem
        found["unsafe"] += bool(trace.violations)
        found["two crashes"] += len([one for one in trace.faults if isinstance(one.event, Crash)]) == 2
        found["ended without the coordinator"] += not told(trace)
        for name, node in running.nodes.items():
            for _, commit in node.ended if name == "S6" else ():  # type: ignore[attr-defined]
                found["committed" if commit else "aborted"] += 1
    return found


def test_three_phase_commit_is_safe_and_never_blocks_where_nodes_only_crash() -> None:
    """Skeen 1981: 200 seeds."""
    found = crash_only(ThreePhaseCommit, range(200))
    assert found["blocked"] == found["unsafe"] == 0
    for what in ("two crashes", "ended without the coordinator", "committed", "aborted"):
        assert found[what] >= 20, (what, found)


def test_quorum_commit_never_blocks_with_a_majority_either() -> None:
    found = crash_only(QuorumCommit, range(100))
    assert found["blocked"] == found["unsafe"] == 0
    assert min(found["two crashes"], found["committed"], found["aborted"]) >= 10


# --- a partition -----------------------------------------------------------------------------------------------


def cut_off(cls: type[Any], at_ms: float) -> Any:
    """S4 is cut off for 300 ms."""
    running = bank(cls, FOUR, THREE_VOTERS, faults=(Partition(at_ms, (FOUR[:3], FOUR[3:]), 300),))
    return running, running.run(1_000)


def test_three_phase_commit_commits_on_one_side_of_a_partition_and_aborts_on_the_other() -> None:
    """Skeen 1982: S4 has voted and not heard PreCommit. It hears nothing, takes the others for dead, and aborts."""
    running, trace = cut_off(ThreePhaseCommit, 25)
    assert decisions(running) == {"S1": None, "S2": True, "S3": True, "S4": False}
    assert [one.invariant for one in trace.violations] == ["atomicity"]
    assert trace.violations[0].witness == f"{TX} is committed at the client of S1, and is aborted at S4"
    assert money(running) == 39, "what S4 should have got is gone"


@pytest.mark.parametrize("at_ms", range(0, 62, 4))
def test_quorum_commit_stands_every_partition(at_ms: float) -> None:
    running, trace = cut_off(QuorumCommit, at_ms)
    assert not trace.violations and not busy(running) and money(running) == 40
    assert len(set(decisions(running).values()) - {None}) == 1


def test_three_phase_commit_is_not_always_unsafe() -> None:
    broken = {at_ms for at_ms in range(0, 62, 4) if cut_off(ThreePhaseCommit, at_ms)[1].violations}
    assert broken and broken < set(range(16, 40)), "only while the third phase is under way"


# --- single rules ------------------------------------------------------------------------------------------------


def prepared(cls: type[Any] = QuorumCommit) -> Any:
    node = started(cls, "S2")
    node.receive("S1", Prepare(TX, (Add("x", -2),), ("S2", "S3", "S4")))
    node.take_effects()
    return node


def test_who_has_answered_a_ballot_answers_none_below_and_follows_none() -> None:
    """Keidar & Dolev 1998."""
    node, voters = prepared(), ("S2", "S3", "S4")
    node.receive("S3", StageRequest(TX, voters, B2))
    assert sent(node) == [("S3", StageReport(TX, B2))]
    node.receive("S2", StageRequest(TX, voters, B1))
    assert sent(node) == [("S2", StageReport(TX, B2))], "the higher one: the asker must try again"
    node.receive("S1", PreDecide(TX, True, B0))
    assert sent(node) == [("S1", StageReport(TX, B2))] and node.branches[TX].leaning.commit is None
    node.receive("S3", PreDecide(TX, False, B2))
    assert sent(node) == [("S3", StageReport(TX, B2, False, B2))]
    node.receive("S4", StageRequest(TX, voters, B3))
    assert sent(node) == [("S4", StageReport(TX, B3, False, B2))]


def test_where_it_leans_survives_a_crash() -> None:
    node = prepared()
    node.receive("S1", PreDecide(TX, True, B0))
    node.receive("S3", StageRequest(TX, ("S2", "S3", "S4"), B2))
    node.crash()
    node.start()
    assert node.branches[TX].leaning == Leaning(TX, B2, True, B0)
    assert node.highest == 2, "its own next ballot is higher"
    assert [type(one).__name__ for one in node.log] == ["Prepared", "Leaning"], "of several leanings the last one"
    node.receive("S1", Decide(TX, True))
    assert node.log == () and node.balances == {"x": 8}


def test_a_ballot_is_used_once_even_by_who_crashes_right_after_it_has_asked() -> None:
    """Keidar & Dolev 1998: the number of an attempt is on disk before anybody hears of it. Else the same ballot
    might ask some to lean towards an abort, and after the crash others towards a commit."""
    node, used = prepared(), []
    for _ in range(3):
        node.timeout("inquire", TX)
        used += [message.ballot for to, message in sent(node) if to == "S3"]
        node.crash()
        node.start()
        node.take_effects()
    assert used == [Ballot(1, "S2"), Ballot(2, "S2"), Ballot(3, "S2")]


def test_what_was_tried_in_vain_is_tried_with_more_patience() -> None:
    """Else a ballot undoes the one before while its answers, or the disk, are still on the way."""
    node, ranges = prepared(), []
    for _ in range(4):
        node.timeout("inquire", TX)
        timers = {one.name: (one.low_ms, one.high_ms) for one in node.take_effects() if hasattr(one, "low_ms")}
        ranges.append((timers["inquire"], timers["gather"]))
    assert ranges == [
        ((50, 50), (25, 25)), ((50, 100), (50, 50)), ((50, 150), (75, 75)), ((50, 200), (100, 100))
    ]  # fmt: skip
    node.receive("S1", Decide(TX, True))
    assert node.tried == {}


def test_where_all_have_only_read_the_coordinator_answers_for_what_it_has_never_heard_of() -> None:
    """Who began it is in doubt, and no voter; its request was lost. It asked for ever, as nobody had a say."""
    running = bank(
        QuorumCommit, work=(("S2", (Read("x"),)), ("S3", (Read("x"),))), at="S2", coordinator="S1",
        read_only_votes=True, faults=(OneWay(0, ("S2",), ("S1",), 5),),
    )  # fmt: skip
    trace = running.run(300)
    assert decisions(running, "S2.1.1") == {"S1": False, "S2": False, "S3": None}
    assert not busy(running) and not trace.violations


@pytest.mark.parametrize(
    ("reports", "commit"),
    [
        ({"S2": (None, NO_BALLOT), "S3": (None, NO_BALLOT)}, False),
        ({"S2": (True, B0), "S3": (None, NO_BALLOT)}, True),
        ({"S2": (True, B0), "S3": (False, B1)}, False),
        ({"S2": (False, B1), "S3": (True, B2), "S4": (False, B1)}, True),
    ],
)
def test_of_what_is_reported_the_highest_ballot_counts(reports: dict[str, Any], commit: bool) -> None:
    """Keidar & Dolev 1998."""
    answers = tuple([(name, StageReport(TX, B3, leans, since)) for name, (leans, since) in reports.items()])
    node = QuorumCommit("S4")
    assert node.choose(Poll(B3, FOUR[1:], FOUR[1:], answers)) is commit


@pytest.mark.parametrize(("cls", "enough"), [(QuorumCommit, [2, 3]), (ThreePhaseCommit, [1, 2, 3])])
def test_how_many_are_enough(cls: type[Any], enough: list[int]) -> None:
    """Of three voters; for three-phase commit, all of those that are thought to be up."""
    node = cls("S2")
    found = []
    for count in (1, 2, 3):
        heard = FOUR[1 : 1 + count]
        poll = Poll(B3, FOUR[1:], heard, tuple([(name, StageReport(TX, B3)) for name in heard]))
        found += [count] if node.are_enough(poll) else []
    assert found == enough


def test_who_has_not_voted_ends_it_by_an_abort_and_stands_by_that() -> None:
    node = started(QuorumCommit, "S2")
    node.receive("S3", StageRequest(TX, ("S2", "S3", "S4"), B2))
    assert sent(node) == [("S3", Decide(TX, False, False))]
    node.receive("S1", Prepare(TX, (Add("x", 1),), ("S2", "S3", "S4")))
    assert sent(node) == [("S1", Vote(TX, Answer.NO))]


def test_a_coordinator_without_a_part_has_nothing_to_say_before_it_has_decided() -> None:
    node = started(QuorumCommit)
    node.receive("outside", Begin(THREE_VOTERS))
    node.take_effects()
    node.receive("S3", StageRequest(TX, FOUR[1:], B2))
    assert sent(node) == []
    node.receive("S3", Decide(TX, True, False))
    assert node.told == (TX, True) and not node.rounds, "somebody else has ended it"


def test_reports_of_strangers_and_of_other_ballots_do_not_count() -> None:
    node = prepared()
    node.timeout("inquire", TX)
    node.take_effects()
    ballot = node.polls[TX].ballot
    node.receive("S9", StageReport(TX, ballot))
    node.receive("S3", StageReport(TX, B0))
    assert node.polls[TX].heard == ()
    node.receive("S3", StageReport(TX, Ballot(7, "S3")))
    assert node.highest == 7
    for name in ("S3", "S3", "S2"):
        node.receive(name, StageReport(TX, ballot))
    assert node.polls[TX].leaning is False, "two of three, and nobody leans"


# --- everything together -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "timeouts", "counts"),
    [(REQUEST, {}, (582, 18)), (REQUEST_OF_TWO, {"S3.inquire": 1}, (13_520, 25))],
    ids=["three voters", "two voters, of whom one tries to end it"],
)
def test_a_crash_of_any_node_is_exhausted(asked: Any, timeouts: dict[str, int], counts: tuple[int, int]) -> None:
    """Distinct states and depth, as measured."""
    result = explore(commit_model(QuorumCommit, requests=[asked], faults=Faults(crashes=1), timeouts=timeouts))
    assert result.verdict == "holds" and result.exhausted
    assert (result.distinct, result.depth) == counts


@given(
    crashes=st.lists(st.tuples(st.floats(0, 150), st.sampled_from(FOUR), st.floats(1, 150)), min_size=1, max_size=3),
    cut=st.tuples(st.floats(0, 100), st.integers(1, 3)),
    seed=st.integers(0, 2**16),
    loss=st.sampled_from([0.0, 0.1, 0.3]),
)
@bounded(max_examples=60, deadline=None)
def test_whatever_crashes_or_is_cut_off_all_end_alike(crashes: list[Any], cut: Any, seed: int, loss: float) -> None:
    faults: list[Any] = [Crash(at_ms, name, down_ms) for at_ms, name, down_ms in crashes]
    faults.append(Partition(cut[0], (FOUR[: cut[1]], FOUR[cut[1] :]), 120))
    network = Network(Uniform(1, 15), loss=loss, duplication=0.1, reordering=0.1)
    running = bank(QuorumCommit, FOUR, THREE_VOTERS, faults=faults, network=network, seed=seed)

    def over(now: Any) -> bool:
        return now.now_ms > 400 and not any(node.branches for node in now.nodes.values())

    trace = running.run(30_000, until=over)
    assert not trace.violations and over(running)
    assert len({found for found in decisions(running).values() if found is not None}) <= 1
    assert money(running) == 40 and len(trace.outputs_of(Told)) <= 2
