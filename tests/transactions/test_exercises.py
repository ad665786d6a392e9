"""The graders of the chapters' exercises: right answers of several kinds, wrong and cheating ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distlib.transactions.deadlocks import WoundWait
from distlib.transactions.exercises import TRIP, grade_counts, grade_partition, grade_plan, grade_presumed_abort
from distlib.transactions.flexible.messaging import Outbox
from distlib.transactions.flexible.saga import Saga
from distlib.transactions.flexible.tcc import TCC
from distlib.transactions.message import Answer, Decided, Wound
from distlib.transactions.presumptions import PresumedAbort, PresumedCommit
from distlib.transactions.scenarios import COORDINATOR, ISOLATED, NOBODY, TransactionParams
from distlib.transactions.two_phase import TwoPhaseCommit
from distlib.workbench.judge import judge

# ------------------------------------------------------------ counting

RIGHT = {"a": 28, "b": 6, "c": 26, "d": 18}


@pytest.mark.parametrize("answers", [
    RIGHT, {letter: float(count) for letter, count in RIGHT.items()},
    {letter: np.int64(count) for letter, count in RIGHT.items()}, {**RIGHT, "e": "a remark"},
], ids=["whole", "floats", "numpy", "more"])  # fmt: skip
def test_the_right_counts_pass_whatever_their_type(answers: dict[str, Any]) -> None:
    assert grade_counts(answers)


@pytest.mark.parametrize("answers", [
    {}, None, 5, [28, 6, 26, 18], dict.fromkeys("abcd"), {**RIGHT, "a": 27}, {**RIGHT, "b": 15}, {**RIGHT, "c": 24},
    {**RIGHT, "d": 20}, {**RIGHT, "a": "seven"}, {**RIGHT, "a": True}, {**RIGHT, "d": float("nan")},
])  # fmt: skip
def test_wrong_counts_do_not(answers: Any) -> None:
    grade = grade_counts(answers)
    assert not grade and grade.remarks
    assert isinstance(answers, list) or not any(str(count) in one for one in grade.remarks for count in (28, 26, 18))


# ------------------------------------------------------------ presumed abort


class Forces(TwoPhaseCommit):
    def needs_acknowledgement(self, commit: bool) -> bool:
        return commit


class OneRule(Forces):
    def log_decision(self, transaction: str, commit: bool, receivers: tuple[str, ...]) -> None:
        (self.force if commit else self.write)(Decided(transaction, commit, receivers))

    def log_outcome(self, transaction: str, commit: bool) -> None:
        self.finish(transaction, commit, forced=commit)

    def log_refusal(self, transaction: str) -> None:
        self.finish(transaction, False, forced=False)


class WithBranches(OneRule):
    def log_decision(self, transaction: str, commit: bool, receivers: tuple[str, ...]) -> None:
        record = Decided(transaction, commit, receivers)
        if commit:
            self.force(record)
        else:
            self.write(record)

    def needs_acknowledgement(self, commit: bool) -> bool:
        return commit is True


class WritesNoAbort(OneRule):
    """An abort that nobody remembers need not even be written."""

    def log_decision(self, transaction: str, commit: bool, receivers: tuple[str, ...]) -> None:
        if commit:
            self.force(Decided(transaction, commit, receivers))


class ForcesNothing(OneRule):
    def log_decision(self, transaction: str, commit: bool, receivers: tuple[str, ...]) -> None:
        self.write(Decided(transaction, commit, receivers))


class AbortsAll(OneRule):
    def may_commit(self, one: Any) -> bool:
        return False


class Raises(OneRule):
    def log_refusal(self, transaction: str) -> None:
        raise RuntimeError("not yet")


class Loops(OneRule):
    def log_refusal(self, transaction: str) -> None:
        while True:
            pass


class Ours(PresumedAbort):
    pass


@pytest.mark.parametrize("node_class", [OneRule, WithBranches, WritesNoAbort])
def test_presumed_abort_written_otherwise_passes(node_class: type) -> None:
    assert grade_presumed_abort(node_class)


@pytest.mark.parametrize("node_class", [
    TwoPhaseCommit, Forces, ForcesNothing, AbortsAll, Raises, PresumedAbort, Ours, PresumedCommit, None, 3,
    OneRule("S1"),
])  # fmt: skip
def test_what_costs_otherwise_or_is_ours_does_not(node_class: Any) -> None:
    grade = grade_presumed_abort(node_class)
    assert not grade and grade.remarks


# ------------------------------------------------------------ partitions


@pytest.mark.parametrize("fails_ms", [22.0, 25.0, 30.0])
def test_a_cut_between_vote_and_pre_commit_passes(fails_ms: float) -> None:
    cut = TransactionParams(protocol="three-phase commit", victim=ISOLATED, fails_ms=fails_ms, down_ms=150)
    assert grade_partition(cut)


@pytest.mark.parametrize(("params", "said"), [
    (TransactionParams(protocol="three-phase commit", victim=ISOLATED, fails_ms=5, down_ms=20), "decide the same"),
    (TransactionParams(protocol="three-phase commit", victim=ISOLATED, fails_ms=60), "decide the same"),
    (TransactionParams(protocol="three-phase commit", victim=NOBODY), "something has to fail"),
    (TransactionParams(protocol="three-phase commit", victim=COORDINATOR), "no node may crash"),
    (TransactionParams(protocol="two-phase commit", victim=ISOLATED), "three-phase"),
    (None, "takes TransactionParams"), ({"fails_ms": 24}, "takes TransactionParams"),
])  # fmt: skip
def test_other_runs_do_not(params: Any, said: str) -> None:
    grade = grade_partition(params)
    assert not grade and said in grade.remarks[0]


# ------------------------------------------------------------ a plan

STEPS = list(TRIP)


@pytest.mark.parametrize("plan", [
    STEPS, tuple(STEPS), iter(STEPS), [STEPS[1], STEPS[0], STEPS[2], STEPS[4], STEPS[3]],
], ids=["list", "tuple", "iterator", "otherwise"])  # fmt: skip
def test_any_order_that_keeps_the_pivot_passes(plan: Any) -> None:
    assert grade_plan(plan)


@pytest.mark.parametrize("plan", [
    [], None, "reserve a seat", STEPS[::-1], STEPS[:-1], [*STEPS, STEPS[0]], [STEPS[2], *STEPS[:2], *STEPS[3:]],
    [*STEPS[:2], STEPS[3], STEPS[2], STEPS[4]], ["fly", *STEPS], [1, 2, 3, 4, 5],
])  # fmt: skip
def test_other_plans_do_not(plan: Any) -> None:
    grade = grade_plan(plan)
    assert not grade and grade.remarks


# ------------------------------------------------------------ what the judge is asked


class CountsSilent(TwoPhaseCommit):
    def may_commit(self, one: Any) -> bool:
        return not one.silent and not one.with_answer(Answer.NO)


class CountsYesAlone(TwoPhaseCommit):
    def may_commit(self, one: Any) -> bool:
        return len(one.with_answer(Answer.YES)) == len(one.participants)


class FirstYes(TwoPhaseCommit):
    def may_commit(self, one: Any) -> bool:
        return bool(one.with_answer(Answer.YES))


class Majority(TwoPhaseCommit):
    def may_commit(self, one: Any) -> bool:
        return len(one.with_answer(Answer.YES, Answer.READ)) > len(one.participants) / 2


class Never(TwoPhaseCommit):
    def may_commit(self, one: Any) -> bool:
        return False


class LeavesItToUs(TwoPhaseCommit):
    def may_commit(self, one: Any) -> bool:
        return super().may_commit(one)


class Forgets(TwoPhaseCommit):
    def may_commit(self, one: Any) -> None:
        one.with_answer(Answer.YES)


def test_a_rule_that_says_the_same_otherwise_passes_the_judge() -> None:
    assert judge(CountsSilent, exercise=["may_commit"]).passed


@pytest.mark.parametrize("node_class", [FirstYes, Majority, Never, LeavesItToUs, Forgets, CountsYesAlone])
def test_a_wrong_rule_does_not(node_class: type) -> None:
    assert not judge(node_class, exercise=["may_commit"]).passed


class WoundsAll(WoundWait):
    def on_blocked(self, transaction: str, blockers: list[str]) -> None:
        for one in map(self.waiter, blockers):
            self.send(one.coordinator, Wound(one.transaction))


class WoundsNobody(WoundWait):
    def on_blocked(self, transaction: str, blockers: list[str]) -> None:
        pass


def test_who_wounds_nobody_waits_for_ever() -> None:
    assert not judge(WoundsNobody, exercise=["on_blocked"], only=("liveness",)).passed


class AlwaysCommit(TwoPhaseCommit):
    def presumed(self, transaction: str) -> bool:
        return True


class AlwaysAbort(TwoPhaseCommit):
    def presumed(self, transaction: str) -> bool:
        return False


class MoreThanAsked(AlwaysCommit):
    def needs_acknowledgement(self, commit: bool) -> bool:
        return False


@pytest.mark.parametrize(("node_class", "passes"), [(AlwaysCommit, True), (AlwaysAbort, False), (MoreThanAsked, False)])
def test_the_wrong_presumption(node_class: type, passes: bool) -> None:
    found = judge(node_class, expected_failure="atomicity", may_override=["presumed"])
    assert found.passed is passes


class FirstFirst(Saga):
    def next_compensation(self, one: Any) -> int:
        return 0


class LooksAndLeaves(TCC):
    def shuts_out_try(self, key: Any) -> bool:
        return (*key, "try") not in self.barrier


class NeverEmpty(TCC):
    def shuts_out_try(self, key: Any) -> bool:
        return False


class InsertsTwice(TCC):
    def shuts_out_try(self, key: Any) -> bool:
        first = self.insert(key, "try", "cancel")
        return first or self.insert(key, "try", "cancel")


class EatsAll(Outbox):
    def is_consumed(self, key: Any) -> bool:
        return True


@pytest.mark.parametrize(("node_class", "method"), [
    (FirstFirst, "next_compensation"), (LooksAndLeaves, "shuts_out_try"), (NeverEmpty, "shuts_out_try"),
    (EatsAll, "is_consumed"),
])  # fmt: skip
def test_wrong_rules_of_flexible_transactions_are_killed(node_class: type, method: str) -> None:
    assert judge(node_class, exercise=[method]).status == "failed"


def test_a_barrier_that_inserts_more_than_once_is_as_good() -> None:
    assert judge(InsertsTwice, exercise=["shuts_out_try"]).passed
