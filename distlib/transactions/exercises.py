"""The checkers of the transactions chapter's exercises that the judge alone does not cover."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from distlib.labs.grading import Grade, grade_apart, listed, number_in, shown
from distlib.transactions import theory
from distlib.transactions.costs import counted, run_of
from distlib.transactions.invariants import Atomicity
from distlib.transactions.presumptions import PresumedAbort
from distlib.transactions.scenarios import COORDINATOR, ISOLATED, TransactionParams, transaction
from distlib.transactions.two_phase import TwoPhaseCommit

NUMBERS = (2, 3, 5, 9)


# ------------------------------------------------------------ what a presumption saves


def grade_presumed_abort(node_class: Any) -> Grade:
    """Whether ``node_class``, derived from ``TwoPhaseCommit``, costs what presumed abort costs, commits and aborts what
    it should, and is not derived from ours. Its safety is the judge's affair."""
    if not isinstance(node_class, type) or not issubclass(node_class, TwoPhaseCommit):
        return Grade(False, (f"this takes your class, derived from TwoPhaseCommit, and got {shown(node_class)}",))
    if issubclass(node_class, PresumedAbort):
        return Grade(False, ("derive your class from TwoPhaseCommit: PresumedAbort is what you are asked to write",))
    return grade_apart(lambda: _costs_as_presumed_abort(node_class))


def _costs_as_presumed_abort(node_class: type[TwoPhaseCommit]) -> Grade:
    remarks = []
    for situation in (theory.COMMIT, theory.ABORT, theory.LATE, theory.RESTART):
        for count in NUMBERS:
            try:
                trace = run_of(node_class, count, situation)
            except Exception as error:  # whatever a reader's method raises
                return Grade(False, (f"{situation}, {count} participants: your class raised {error}",))
            found, wanted = counted(trace), theory.cost("PresumedAbort", count, situation)
            ended = {commit for name in trace.nodes if name != "S1" for commit in decisions(trace, name)}
            if situation in (theory.COMMIT, theory.RESTART) and ended != {True}:
                return Grade(False, (f"{situation}, {count} participants: not all of them have committed",))
            if situation in (theory.ABORT, theory.LATE) and True in ended:
                return Grade(False, (f"{situation}, {count} participants: somebody has committed",))
            if found != wanted:
                remarks.append(
                    f"{situation}, {count} participants: {found.messages} messages and {found.forced} forced writes; "
                    f"presumed abort needs {wanted.messages} and {wanted.forced}"
                )
                break
    return Grade(not remarks, tuple(remarks) or ("messages and forced writes are those of presumed abort",))


def decisions(trace: Any, node: str) -> list[bool]:
    """The decisions that ``node`` carried out in a run."""
    return [
        one.event.record.commit for one in trace.outputs
        if one.node == node and type(one.event).__name__ == "Wrote" and type(one.event.record).__name__ == "Finished"
    ]  # fmt: skip


# ------------------------------------------------------------ counting


QUESTIONS: Mapping[str, Callable[[], float]] = {
    "a": lambda: counted(run_of(TwoPhaseCommit, 7, theory.COMMIT)).messages,
    "b": lambda: counted(run_of(PresumedAbort, 7, theory.ABORT)).forced,
    "c": lambda: counted(run_of(PresumedAbort, 7, theory.ONE_READS)).messages,
    "d": lambda: theory.until_known(7, together=True),
}
"""What exercise 2 asks, by its letters; each answer is counted in a run, or comes from the paper's formula."""


def grade_counts(answers: Any) -> Grade:
    """``answers`` maps each letter of ``QUESTIONS`` to a number."""
    if not isinstance(answers, Mapping):
        return Grade(False, (f"this takes a dict such as {{'a': 1, 'b': 2, …}}, and got {shown(answers)}",))
    wrong = []
    for letter, ask in QUESTIONS.items():
        given = number_in(answers.get(letter))
        if given is None:
            wrong.append(f"{letter}: {shown(answers.get(letter))} is no number yet")
        elif given != ask():
            wrong.append(f"{letter}: it is not {given:g}")
    return Grade(not wrong, tuple(wrong) or ("counted in runs, they are the same",))


# ------------------------------------------------------------ silence is no proof of death


def grade_partition(params: Any) -> Grade:
    """Whether ``params`` is a run in which three-phase commit breaks atomicity although no node crashes, and quorum
    commit, in the same situation, does not."""
    if not isinstance(params, TransactionParams):
        return Grade(False, (f"this takes TransactionParams(…), and got {shown(params)}",))
    if params.protocol != "three-phase commit":
        return Grade(False, (f"protocol is {params.protocol!r}; the exercise is about 'three-phase commit'",))
    if params.victim != ISOLATED:
        why = "no node may crash" if params.victim == COORDINATOR else "something has to fail"
        return Grade(False, (f"victim is {params.victim!r}: {why}; cut the links of a participant ({ISOLATED!r})",))
    broken = [one for one in transaction(params).violations if one.invariant == Atomicity.name]
    if not broken:
        return Grade(False, (
            f"cut at {params.fails_ms:g} ms for {params.down_ms:g} ms, all decide the same: look when the first "
            "participant leans, and when the last one would",
        ))  # fmt: skip
    if transaction(replace(params, protocol="quorum commit")).violations:
        return Grade(False, ("quorum commit breaks in this run, too; that would be a bug of ours: please report it",))
    return Grade(True, (str(broken[0]), "quorum commit, in the same partition, waits for its majority"))


# ------------------------------------------------------------ a plan for a saga

TRIP = {
    "reserve a seat": "compensatable", "reserve a room": "compensatable", "charge the card": "pivot",
    "issue the ticket": "retriable", "send the confirmation": "retriable",
}  # fmt: skip
"""The steps of a booking and what they are: a reservation can be taken back; the charge may be refused, and is not
taken back; ticket and mail succeed in the end when they are tried often enough, and cannot be taken back."""


def grade_plan(plan: Any) -> Grade:
    """Whether ``plan``, all steps of ``TRIP`` in some order, is a saga that always ends whole or not at all: before the
    pivot what can be taken back, after it what only needs repeating (Garcia-Molina & Salem 1987; Richardson 2018,
    §4.3)."""
    steps = listed(plan)
    if steps is None:
        return Grade(False, (f"this takes a list of steps, and got {shown(plan)}",))
    unknown = [step for step in steps if not isinstance(step, str) or step not in TRIP]
    if unknown:
        return Grade(False, (f"{shown(unknown[0])} is no step; there are {', '.join(TRIP)}",))
    missing = [step for step in TRIP if steps.count(step) != 1]
    if missing:
        times = "twice" if steps.count(missing[0]) > 1 else "not at all"
        return Grade(False, (f"{missing[0]!r} is in your plan {times}; each step is done once",))
    pivot = steps.index("charge the card")
    for at, step in enumerate(steps):
        if TRIP[step] == "compensatable" and at > pivot:
            return Grade(
                False, (f"{step!r} may fail when the card is charged already, and a charge is not taken back",)
            )
        if TRIP[step] == "retriable" and at < pivot:
            return Grade(False, (f"{step!r} cannot be taken back, and the card may still be refused",))
    return Grade(True, ("before the pivot all can be taken back, after it all succeeds in the end",))
