"""Presumed abort and presumed commit: what is left out, and what is said of a transaction that nobody remembers."""

from __future__ import annotations

from typing import Any

import pytest

from distlib.check.cluster.world import Faults
from distlib.check.explore.explore import explore
from distlib.core.fault import Crash, OneWay
from distlib.transactions.bank import Add, Read, transfer
from distlib.transactions.message import Begin, Collecting, Decide, Inquire, Prepare, Told, Wrote
from distlib.transactions.presumptions import PresumedAbort, PresumedCommit
from distlib.transactions.searches import REQUEST_OF_TWO, TOO_MUCH, commit_model, under_nemesis
from distlib.transactions.two_phase import TwoPhaseCommit
from tests.transactions.clusters import THREE, TX, bank, busy, decisions, flow, money, sent, started, told

REFUSED = transfer("S2", "S3", 11)
CLASSES = (TwoPhaseCommit, PresumedAbort, PresumedCommit)


def records(trace: Any) -> list[str]:
    """What was written: ``S1 Decided!``, with an exclamation mark where it was forced to disk."""
    return [
        f"{one.node} {type(one.event.record).__name__}{'!' if one.event.forced else ''}"
        for one in trace.outputs_of(Wrote)
    ]


# --- what is left out --------------------------------------------------------------------------------------


def test_presumed_abort_neither_forces_nor_acknowledges_an_abort() -> None:
    """MLO §3. Of the two votes, the no and its record need not be on disk."""
    trace = bank(PresumedAbort, work=REFUSED).run(100)
    assert flow(trace) == [
        "10 S1 → S2 Prepare", "10 S1 → S3 Prepare", "20 S2 → S1 Vote no", "20 S3 → S1 Vote yes", "30 S1 → S3 Abort",
    ]  # fmt: skip
    assert records(trace) == ["S2 Finished", "S3 Prepared!", "S1 Decided", "S3 Finished"]


def test_presumed_abort_commits_like_basic_two_phase_commit() -> None:
    """MLO §3."""
    assert list(bank(PresumedAbort).run(100).transcript()) == list(bank().run(100).transcript())


def test_presumed_commit_neither_forces_nor_acknowledges_a_commit_and_pays_at_the_beginning() -> None:
    """MLO §4: the names of the participants are on disk before anybody is asked."""
    trace = bank(PresumedCommit).run(100)
    assert flow(trace) == [
        "10 S1 → S2 Prepare", "10 S1 → S3 Prepare", "20 S2 → S1 Vote yes", "20 S3 → S1 Vote yes",
        "30 S1 → S2 Commit", "30 S1 → S3 Commit",
    ]  # fmt: skip
    assert records(trace) == [
        "S1 Collecting!", "S2 Prepared!", "S3 Prepared!", "S1 Decided!", "S2 Finished", "S3 Finished"
    ]  # fmt: skip
    assert trace.outputs_of(Wrote)[0].event.record == Collecting(TX, ("S2", "S3"))


def test_presumed_commit_aborts_like_basic_two_phase_commit() -> None:
    """MLO §4."""
    trace = bank(PresumedCommit, work=REFUSED).run(100)
    assert flow(trace) == flow(bank(work=REFUSED).run(100))
    assert records(trace) == [
        "S1 Collecting!", "S2 Finished", "S3 Prepared!", "S1 Decided!", "S3 Finished!", "S1 Ended"
    ]  # fmt: skip


@pytest.mark.parametrize(("cls", "written"), [(PresumedAbort, []), (PresumedCommit, ["S1 Collecting!", "S1 Decided"])])
def test_where_all_have_only_read_nothing_follows_the_votes(cls: type[Any], written: list[str]) -> None:
    """MLO §3, §4."""
    work = (("S2", (Read("x"),)), ("S3", (Read("x"),)))
    running = bank(cls, work=work, read_only_votes=True)
    trace = running.run(100)
    assert [line.split(" ", 4)[4] for line in flow(trace)] == ["Prepare", "Prepare", *["Vote read-only"] * 2]
    assert records(trace) == written
    assert told(trace) == [("S1", 20.0, True)] and not busy(running)


# --- what is presumed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cls", "presumed"), [(TwoPhaseCommit, False), (PresumedAbort, False), (PresumedCommit, True)])
def test_what_a_coordinator_says_of_a_transaction_that_it_does_not_remember(cls: type[Any], presumed: bool) -> None:
    node = started(cls)
    node.receive("S3", Inquire("S1.7.7", "S1"))
    assert sent(node) == [("S3", Decide("S1.7.7", presumed, False))]


def test_a_participant_that_forgets_an_abort_is_told_the_same_again() -> None:
    """MLO §3: S3 has not forced the abort. After its crash it is in doubt again, and asks who has forgotten."""
    running = bank(PresumedAbort, work=REFUSED, faults=(Crash(35, "S3", 10),))
    trace = running.run(300)
    assert trace.view_at("S3", 50).in_doubt == (TX,)
    assert "105 S3 → S1 Inquire" in flow(trace) and "115 S1 → S3 Abort" in flow(trace)
    assert decisions(running) == {"S1": None, "S2": False, "S3": False} and not trace.violations


def test_a_participant_that_forgets_a_commit_is_told_the_same_again() -> None:
    """MLO §4: the same, the other way round; S2 may not have it on disk either, so S3 must not ask S2 alone."""
    running = bank(PresumedCommit, faults=(Crash(35, "S3", 10), Crash(35, "S2", 10)))
    trace = running.run(300)
    assert [trace.view_at(name, 50).in_doubt for name in ("S2", "S3")] == [(TX,), (TX,)]
    assert "115 S1 → S3 Commit" in flow(trace)
    assert decisions(running) == {"S1": None, "S2": True, "S3": True}
    assert [node.balances["x"] for node in running.nodes.values()] == [10, 9, 11], "done once"
    assert not trace.violations and not busy(running)


def test_who_presumes_commit_and_was_collecting_votes_aborts_when_it_comes_back() -> None:
    """MLO §4: without the record of the beginning it would presume that its own transaction was committed."""
    running = bank(PresumedCommit, faults=(Crash(15, "S1", 30),))
    trace = running.run(300)
    assert flow(trace)[-4:] == [
        "55 S1 → S2 Abort",
        "55 S1 → S3 Abort",
        "65 S2 → S1 Acknowledge",
        "65 S3 → S1 Acknowledge",
    ]
    assert decisions(running) == {"S1": None, "S2": False, "S3": False}
    assert not trace.violations and not busy(running)
    assert [type(one).__name__ for one in running.nodes["S1"].tail] == ["Ended"]


def test_who_presumes_abort_and_was_collecting_votes_has_nothing_to_do() -> None:
    """MLO §3: S1 comes back knowing nothing; those in doubt ask, and hear what is presumed."""
    running = bank(PresumedAbort, faults=(Crash(15, "S1", 30),))
    trace = running.run(300)
    assert told(trace) == [] and decisions(running) == {"S1": None, "S2": False, "S3": False}
    assert "80 S1 → S2 Abort" in flow(trace)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("at_ms", [5, 15, 25, 35, 45])
@pytest.mark.parametrize("victim", THREE)
@pytest.mark.parametrize("work", [transfer("S2", "S3"), REFUSED])
def test_a_crash_in_each_step_of_each_presumption(cls: type[Any], at_ms: float, victim: str, work: Any) -> None:
    running = bank(cls, work=work, faults=(Crash(at_ms, victim, 70),))
    trace = running.run(800)
    assert not trace.violations and not busy(running)
    found = set(decisions(running).values()) - {None}
    assert len(found) <= 1 and money(running) == 30
    if at_ms >= 25:
        assert found == {work is not REFUSED}, "it was decided at 20 ms"


@pytest.mark.parametrize("cls", CLASSES)
def test_a_decision_that_got_lost_is_remembered_by_who_must(cls: type[Any]) -> None:
    """Nobody hears of the decision before S1 has crashed and come back."""
    faults = (OneWay(19, ("S1",), ("S2", "S3"), 10), Crash(25, "S1", 60))
    running = bank(cls, faults=faults)
    trace = running.run(400)
    assert decisions(running) == {"S1": None, "S2": True, "S3": True} and not trace.violations
    assert told(trace) == [("S1", 20.0, True)]


def test_who_presumes_commit_coordinates_what_it_begins() -> None:
    with pytest.raises(ValueError, match=r"coordinator is 'S2'; with presumed commit, S1 coordinates what it begins"):
        PresumedCommit("S1", coordinator="S2")
    assert PresumedCommit("S1", coordinator="S1").coordinator == "S1"


# --- everything together -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cls", "request_", "counts"),
    [
        (PresumedAbort, REQUEST_OF_TWO, (2_693, 18)),
        (PresumedAbort, TOO_MUCH, (593, 12)),
        (PresumedCommit, REQUEST_OF_TWO, (3_873, 15)),
        (PresumedCommit, TOO_MUCH, (2_272, 15)),
    ],
    ids=["abort, yes", "abort, no", "commit, yes", "commit, no"],
)
def test_a_crash_of_any_node_is_exhausted(cls: type[Any], request_: Any, counts: tuple[int, int]) -> None:
    """Any node, at any moment, once; those in doubt ask once. States and depth as measured."""
    options = {"faults": Faults(crashes=1), "timeouts": {"inquire": 1}}
    result = explore(commit_model(cls, requests=[request_], **options))
    assert result.verdict == "holds" and result.exhausted
    assert (result.distinct, result.depth) == counts


@pytest.mark.parametrize("cls", CLASSES)
def test_load_under_crashes_and_partitions(cls: type[Any]) -> None:
    happened = {True: 0, False: 0, "crashes": 0}
    for seed in range(101, 111):
        trace = under_nemesis(cls, seed).run(1_500)
        assert not trace.violations, (seed, trace.violations)
        for one in trace.outputs_of(Told):
            happened[one.event.commit] += 1
        happened["crashes"] += sum(isinstance(one.event, Crash) for one in trace.faults)
    assert min(happened.values()) > 10, happened


def test_a_prepare_of_a_transaction_that_was_begun_in_an_earlier_life_is_another_one() -> None:
    """Names hold the life in which they were given, so none is given twice."""
    node = started()
    asked = []
    for _ in range(2):
        node.receive("outside", Begin((("S2", (Add("x", 1),)),)))
        asked += [message.transaction for _, message in sent(node) if isinstance(message, Prepare)]
        node.crash()
        node.start()
    assert asked == ["S1.1.1", "S1.2.1"]
