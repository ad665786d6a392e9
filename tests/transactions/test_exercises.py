"""The graders of the chapters' exercises: right answers of several kinds, wrong and cheating ones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import repeat
from typing import Any

import numpy as np
import pytest

from distlib.labs import grading
from distlib.transactions import exercises
from distlib.transactions.deadlocks import WoundWait
from distlib.transactions.exercises import (
    TRIP,
    grade_counts,
    grade_partition,
    grade_plan,
    grade_presumed_abort,
    grade_wound_wait,
)
from distlib.transactions.flexible.messaging import Outbox
from distlib.transactions.flexible.saga import Saga
from distlib.transactions.flexible.tcc import TCC
from distlib.transactions.message import Answer, Decided, Wound
from distlib.transactions.presumptions import PresumedAbort, PresumedCommit
from distlib.transactions.scenarios import COORDINATOR, ISOLATED, NOBODY, PARTICIPANT, TransactionParams
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


class RaisesWithoutAWord(OneRule):
    def log_refusal(self, transaction: str) -> None:
        raise AssertionError


class Leaves(OneRule):
    def log_refusal(self, transaction: str) -> None:
        raise SystemExit(3)


class OneCommits(OneRule):
    """As many messages and forced writes; only the first participant carries the commit out."""

    def log_outcome(self, transaction: str, commit: bool) -> None:
        self.finish(transaction, commit and self.id == "S2", forced=commit)


class Ours(PresumedAbort):
    pass


class Borrows(OneRule):
    log_decision = PresumedAbort.log_decision


class Calls(OneRule):
    def log_outcome(self, transaction: str, commit: bool) -> None:
        PresumedAbort.log_outcome(self, transaction, commit)  # type: ignore[arg-type]


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


@pytest.mark.parametrize(("node_class", "said"), [
    (RaisesWithoutAWord, "AssertionError"), (Leaves, "one votes no, 2 participants: your class raised SystemExit: 3"),
    (OneCommits, "not all of them have committed"), (Borrows, "PresumedAbort.log_decision is what"),
    (Calls, "PresumedAbort.log_outcome is what"), (PresumedAbort, "is what you are asked to write"),
    (None, "got None"),
])  # fmt: skip
def test_it_is_said_what_is_wrong(node_class: Any, said: str) -> None:
    grade = grade_presumed_abort(node_class)
    assert not grade and said in grade.remarks[0]


def test_a_loop_without_end_is_no_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exercises, "grade_apart", partial(grading.grade_apart, seconds=1.0))
    grade = grade_presumed_abort(Loops)
    assert not grade and "a loop without end?" in grade.remarks[0]


def test_ours_is_there_again_after_a_grade() -> None:
    assert grade_presumed_abort(OneRule)
    assert PresumedAbort("S1").needs_acknowledgement(True)


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
    (TransactionParams(protocol="three-phase commit", victim=PARTICIPANT), "no node may crash"),
    (TransactionParams(protocol="three-phase commit", victim=ISOLATED, fails_ms=24, duration_ms=50), "longer duration"),
    (TransactionParams(protocol="three-phase commit", victim=ISOLATED, fails_ms=24, amount=20), "a smaller amount"),
    (TransactionParams(protocol="three-phase commit", victim=ISOLATED, fails_ms=24, duration_ms=100), "and S4 nothing"),
    (TransactionParams(protocol="two-phase commit", victim=ISOLATED), "three-phase"),
    (None, "takes TransactionParams"), ({"fails_ms": 24}, "takes TransactionParams"),
])  # fmt: skip
def test_other_runs_do_not(params: Any, said: str) -> None:
    grade = grade_partition(params)
    assert not grade and said in grade.remarks[0]


# ------------------------------------------------------------ a plan

STEPS = ["reserve a seat", "reserve a room", "charge the card", "issue the ticket", "send the confirmation"]


def breaks_off() -> Iterator[str]:
    yield STEPS[0]
    raise LookupError("no more steps")


@pytest.mark.parametrize("plan", [
    STEPS, tuple(STEPS), iter(STEPS), [STEPS[1], STEPS[0], STEPS[2], STEPS[4], STEPS[3]], np.array(STEPS),
    dict.fromkeys(STEPS),
], ids=["list", "tuple", "iterator", "otherwise", "numpy", "keys"])  # fmt: skip
def test_any_order_that_keeps_the_pivot_passes(plan: Any) -> None:
    assert grade_plan(plan)


@pytest.mark.parametrize("plan", [
    [], None, "reserve a seat", STEPS[::-1], STEPS[:-1], [*STEPS, STEPS[0]], [STEPS[2], *STEPS[:2], *STEPS[3:]],
    [*STEPS[:2], STEPS[3], STEPS[2], STEPS[4]], ["fly", *STEPS], [1, 2, 3, 4, 5], TRIP,
])  # fmt: skip
def test_other_plans_do_not(plan: Any) -> None:
    grade = grade_plan(plan)
    assert not grade and grade.remarks
    assert ", ".join(STEPS) not in grade.remarks[0], "the answer is given away"


@pytest.mark.parametrize(("plan", "said"), [
    (set(STEPS), "has no order"), (frozenset(STEPS), "has no order"), (breaks_off(), "LookupError: no more steps"),
    (repeat(STEPS[2]), "more than once"), (STEPS[:-1], "not at all"), (list, "takes a list"),
])  # fmt: skip
def test_what_is_no_plan_is_named(plan: Any, said: str) -> None:
    grade = grade_plan(plan)
    assert not grade and said in grade.remarks[0]


# ------------------------------------------------------------ who wounds whom


class Compares(WoundWait):
    def on_blocked(self, transaction: str, blockers: list[str]) -> None:
        mine = self.branches[transaction].begun_ms, transaction
        for one in blockers:
            branch = self.branches[one]
            if (branch.begun_ms, one) > mine:
                self.send_after_sync(branch.coordinator, Wound(one))


class WoundsTwice(WoundWait):
    def on_blocked(self, transaction: str, blockers: list[str]) -> None:
        me = self.waiter(transaction)
        for one in [*map(self.waiter, blockers)] * 2:
            if not one.older_than(me):
                self.send(one.coordinator, Wound(one.transaction))


class InALambda(WoundWait):
    on_blocked = lambda self, transaction, blockers: [  # type: ignore[assignment]  # noqa: E731
        self.send(one.coordinator, Wound(one.transaction)) for one in (self.waiter(other) for other in blockers)
        if self.waiter(transaction).older_than(one)
    ]  # fmt: skip


class WoundsAll(WoundWait):
    def on_blocked(self, transaction: str, blockers: list[str]) -> None:
        for one in map(self.waiter, blockers):
            self.send(one.coordinator, Wound(one.transaction))


class WoundsTheOlder(WoundWait):
    def on_blocked(self, transaction: str, blockers: list[str]) -> None:
        for one in map(self.waiter, blockers):
            if one.older_than(self.waiter(transaction)):
                self.send(one.coordinator, Wound(one.transaction))


class GivesUp(WoundWait):
    """Wait-die, and more: whoever is in a line dies."""

    def on_blocked(self, transaction: str, blockers: list[str]) -> None:
        self.send(self.waiter(transaction).coordinator, Wound(transaction))


class WoundsTheFirst(WoundWait):
    def on_blocked(self, transaction: str, blockers: list[str]) -> None:
        first = self.waiter(blockers[0])
        if self.waiter(transaction).older_than(first):
            self.send(first.coordinator, Wound(first.transaction))


class ByName(WoundWait):
    def on_blocked(self, transaction: str, blockers: list[str]) -> None:
        for one in blockers:
            if transaction < one:
                self.send(self.waiter(one).coordinator, Wound(one))


class WoundsNobody(WoundWait):
    def on_blocked(self, transaction: str, blockers: list[str]) -> None:
        pass


class OursToo(WoundWait):
    on_blocked = WoundWait.on_blocked


class TooFew(WoundWait):
    def on_blocked(self, transaction: str) -> None:  # type: ignore[override]
        pass


@pytest.mark.parametrize("node_class", [Compares, WoundsTwice, InALambda])
def test_wound_wait_written_otherwise_passes(node_class: type) -> None:
    assert grade_wound_wait(node_class)


@pytest.mark.parametrize(("node_class", "said"), [
    (WoundsAll, "to be sent is nothing; yours sends Wound"), (WoundsTheOlder, "yours sends nothing"),
    (GivesUp, "yours sends Wound(transaction='S1.1.1') to 'S1'"), (WoundsTheFirst, "and of"), (ByName, "is nothing"),
    (WoundsNobody, "yours sends nothing"), (OursToo, "is what the exercise asks"), (TooFew, "TypeError"),
    (WoundWait, "is what the exercise asks"), (None, "got None"), (WoundWait("S1"), "takes your class"),
    (TwoPhaseCommit, "derived from WoundWait"),
])  # fmt: skip
def test_another_rule_does_not(node_class: Any, said: str) -> None:
    """The judge finds nothing in four of them: no transaction waits for ever there, either."""
    grade = grade_wound_wait(node_class)
    assert not grade and said in grade.remarks[0]


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


class WithNumpy(TwoPhaseCommit):
    def may_commit(self, one: Any) -> Any:
        return np.all([node in one.with_answer(Answer.YES, Answer.READ) for node in one.participants])


class NeedsNoSelf(TwoPhaseCommit):
    @staticmethod
    def may_commit(one: Any) -> bool:  # type: ignore[override]
        return not one.silent


@pytest.mark.parametrize("node_class", [CountsSilent, WithNumpy, NeedsNoSelf])
def test_a_rule_that_says_the_same_otherwise_passes_the_judge(node_class: type) -> None:
    assert judge(node_class, exercise=["may_commit"]).passed


@pytest.mark.parametrize("node_class", [FirstYes, Majority, Never, LeavesItToUs, Forgets, CountsYesAlone])
def test_a_wrong_rule_does_not(node_class: type) -> None:
    assert not judge(node_class, exercise=["may_commit"]).passed


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


class TheMiddle(Saga):
    """Right for one step and for two."""

    def next_compensation(self, one: Any) -> int:
        return int(one.done) // 2


class LastOfThem(Saga):
    """Asks only where there is one."""

    def next_compensation(self, one: Any) -> Any:
        return np.arange(one.done).max()


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


class ByTransaction(Outbox):
    """One message of a transaction is as good as another."""

    def is_consumed(self, key: Any) -> bool:
        return key[0] in {gid for gid, _ in self.inbox}


class EatsAll(Outbox):
    def is_consumed(self, key: Any) -> bool:
        return True


@pytest.mark.parametrize(("node_class", "method"), [
    (FirstFirst, "next_compensation"), (LooksAndLeaves, "shuts_out_try"), (NeverEmpty, "shuts_out_try"),
    (EatsAll, "is_consumed"), (TheMiddle, "next_compensation"), (ByTransaction, "is_consumed"),
])  # fmt: skip
def test_wrong_rules_of_flexible_transactions_are_killed(node_class: type, method: str) -> None:
    assert judge(node_class, exercise=[method]).status == "failed"


@pytest.mark.parametrize(("node_class", "method"), [(InsertsTwice, "shuts_out_try"), (LastOfThem, "next_compensation")])
def test_right_rules_of_another_form_pass(node_class: type, method: str) -> None:
    assert judge(node_class, exercise=[method]).passed
