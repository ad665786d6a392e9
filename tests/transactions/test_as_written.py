"""The article's two phases, taken literally: what a checker finds, and what runs show."""

from __future__ import annotations

from distlib.check.explore.explore import explore
from distlib.transactions.as_written import CommitsBeforeItVotes
from distlib.transactions.bank import transfer
from distlib.transactions.message import Begin
from distlib.transactions.scenarios import AS_WRITTEN, NOBODY, TransactionParams, transaction
from distlib.transactions.searches import commit_model
from distlib.transactions.two_phase import TwoPhaseCommit
from distlib.workbench.judge import judge

TOO_MUCH = [("S1", Begin(transfer("S2", "S3", 11)))]


def test_a_commit_before_all_have_voted_is_found_in_two_steps() -> None:
    found = explore(commit_model(CommitsBeforeItVotes, requests=TOO_MUCH))
    assert found.verdict == "violated"
    assert len(found.path) - 1 == 2
    assert "S1.1.1 is committed at S3, and S2 has never been prepared for it" in str(found.violation.explanation)
    assert explore(commit_model(TwoPhaseCommit, requests=TOO_MUCH)).verdict == "holds"


def test_money_appears_when_one_of_three_refuses() -> None:
    params = TransactionParams(protocol=AS_WRITTEN, amount=8, victim=NOBODY)
    trace = transaction(params)
    assert "atomicity" in {one.invariant for one in trace.violations}
    balances = {one.node: one.event.record.commit for one in trace.outputs if hasattr(one.event, "record")
                and type(one.event.record).__name__ == "Finished"}  # fmt: skip
    assert balances["S3"] and balances["S4"], "they have their money"
    assert not balances["S2"], "which nobody has paid"


def test_while_all_can_commit_the_difference_does_not_show_in_the_end() -> None:
    """Only too early: the last node commits before the others have voted."""
    trace = transaction(TransactionParams(protocol=AS_WRITTEN, amount=1, victim=NOBODY))
    assert {one.invariant for one in trace.violations} <= {"commit validity", "effects"}


def test_the_judge_refuses_it() -> None:
    assert judge(CommitsBeforeItVotes, budget_s=60).status == "failed"
