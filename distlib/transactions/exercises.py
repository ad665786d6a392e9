"""The checkers of the transactions chapter's exercises that the judge alone does not cover."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from distlib.core.node import Send
from distlib.core.trace import Trace
from distlib.labs.grading import Grade, grade_apart, hidden, listed, number_in, shown
from distlib.sim.cluster import NodeError
from distlib.transactions import theory
from distlib.transactions.costs import counted, run_of
from distlib.transactions.deadlocks import WoundWait
from distlib.transactions.invariants import Atomicity
from distlib.transactions.message import Wound
from distlib.transactions.presumptions import PresumedAbort
from distlib.transactions.scenarios import INITIAL, ISOLATED, NOBODY, TransactionParams, transaction
from distlib.transactions.two_phase import Branch, TwoPhaseCommit

NUMBERS = (2, 3, 5, 9)
TO_WRITE = ("log_decision", "needs_acknowledgement", "log_outcome", "log_refusal")
"""The methods of presumed abort."""


# ------------------------------------------------------------ what a presumption saves


def grade_presumed_abort(node_class: Any) -> Grade:
    """Whether ``node_class``, derived from ``TwoPhaseCommit``, costs what presumed abort costs, commits and aborts what
    it should, and neither derives from ours nor calls it. Its safety is the judge's affair."""
    if not isinstance(node_class, type) or not issubclass(node_class, TwoPhaseCommit):
        return Grade(False, (f"this takes your class, derived from TwoPhaseCommit, and got {shown(node_class)}",))
    if issubclass(node_class, PresumedAbort):
        return Grade(False, ("derive your class from TwoPhaseCommit: PresumedAbort is what you are asked to write",))

    def check() -> Grade:
        with ExitStack() as stack:
            for name in TO_WRITE:
                stack.enter_context(hidden(PresumedAbort, name))
            return _costs_as_presumed_abort(node_class)

    return grade_apart(check)


def _costs_as_presumed_abort(node_class: type[TwoPhaseCommit]) -> Grade:
    remarks = []
    for situation in (theory.COMMIT, theory.ABORT, theory.LATE, theory.RESTART):
        for count in NUMBERS:
            try:
                trace = run_of(node_class, count, situation)
            except (Exception, SystemExit) as error:  # whatever a reader's method raises
                why = (
                    f"{error}" if isinstance(error, NodeError) else f"your class raised {type(error).__name__}: {error}"
                )
                return Grade(False, (f"{situation}, {count} participants: {why}",))
            found, wanted = counted(trace), theory.cost("PresumedAbort", count, situation)
            ended = [{*decisions(trace, name)} for name in trace.nodes if name != "S1"]
            if situation in (theory.COMMIT, theory.RESTART) and any(one != {True} for one in ended):
                return Grade(False, (f"{situation}, {count} participants: not all of them have committed",))
            if situation in (theory.ABORT, theory.LATE) and any(True in one for one in ended):
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
        why = "something has to fail" if params.victim == NOBODY else "no node may crash"
        return Grade(False, (f"victim is {params.victim!r}: {why}; cut the links of a participant ({ISOLATED!r})",))
    trace = transaction(params)
    broken = [one for one in trace.violations if one.invariant == Atomicity.name]
    if not broken:
        return Grade(False, (f"cut at {params.fails_ms:g} ms for {params.down_ms:g} ms, {_why_whole(params, trace)}",))
    if transaction(replace(params, protocol="quorum commit")).violations:
        return Grade(False, ("quorum commit breaks in this run, too; that would be a bug of ours: please report it",))
    return Grade(True, (str(broken[0]), "quorum commit, in the same partition, waits for its majority"))


def _why_whole(params: TransactionParams, trace: Trace) -> str:
    """Why atomicity has not broken in this run, and what to look at."""
    if params.amount * (params.participants - 1) > INITIAL:
        return "all abort, whatever is cut: S2 has not the money, and votes no; take a smaller amount"
    undecided = [name for name in trace.nodes if name != "S1" and not decisions(trace, name)]
    if len(undecided) == params.participants:
        return f"nobody decides within {params.duration_ms:g} ms: take a longer duration_ms"
    if undecided:
        return (
            f"the others decide the same, and {', '.join(undecided)} nothing within {params.duration_ms:g} ms: has it "
            "voted when it is cut off, and is duration_ms long enough?"
        )
    return "all decide the same: look when the first participant leans, and when the last one would"


# ------------------------------------------------------------ who waits, and who is wounded

AGES_MS = {"S1.1.1": 5.0, "S2.1.1": 9.0, "S2.1.2": 5.0, "S3.1.1": 2.0, "S3.1.2": 7.0}
"""When transactions have begun; names tell nothing of it, but decide between equals."""


def grade_wound_wait(node_class: Any) -> Grade:
    """Whether ``node_class``, derived from ``WoundWait``, wounds those in the way that are younger, and nobody else.
    What comes of it is the judge's affair, who lets wait-die pass, too: it ends every deadlock as well."""
    if not isinstance(node_class, type) or not issubclass(node_class, WoundWait):
        return Grade(False, (f"this takes your class, derived from WoundWait, and got {shown(node_class)}",))

    def check() -> Grade:
        with hidden(WoundWait, "on_blocked"):
            return _wounds_the_younger(node_class)

    return grade_apart(check)


def _wounds_the_younger(node_class: type[WoundWait]) -> Grade:
    for mine, since_ms in AGES_MS.items():
        others = [one for one in AGES_MS if one != mine]
        for blockers in (others[:1], others[1:2], others[2:3], others[3:], others[:2], others[::-1]):
            node = node_class("S1")
            for name, begun_ms in AGES_MS.items():
                node.branches[name] = Branch((), name[:2], begun_ms=begun_ms)
            node.queue = (mine,)
            words = f"{_with_ages([mine])} waits for {_with_ages(blockers)}"
            try:
                node.on_blocked(mine, list(blockers))
            except (Exception, SystemExit) as error:  # whatever a reader's method raises
                return Grade(False, (f"{words}: your method raised {type(error).__name__}: {error}",))
            sent = {(one.to, one.message) for one in node.take_effects() if isinstance(one, Send)}
            younger = [one for one in blockers if (AGES_MS[one], one) > (since_ms, mine)]
            if sent != {(one[:2], Wound(one)) for one in younger}:
                right = f"Wound of {' and of '.join(younger)}, each to its coordinator" if younger else "nothing"
                given = ", ".join(f"{shown(message)} to {shown(to)}" for to, message in sorted(sent, key=str))
                return Grade(False, (f"{words}: to be sent is {right}; yours sends {given or 'nothing'}",))
    return Grade(True, ("those that are younger are wounded, and nobody else",))


def _with_ages(names: Sequence[str]) -> str:
    return ", ".join(f"{one} (begun at {AGES_MS[one]:g} ms)" for one in names)


# ------------------------------------------------------------ a plan for a saga

TRIP = {
    "charge the card": "pivot", "issue the ticket": "retriable", "reserve a room": "compensatable",
    "reserve a seat": "compensatable", "send the confirmation": "retriable",
}  # fmt: skip
"""The steps of a booking, by their letters and not as they may be done, and what they are: a reservation can be taken
back; the charge may be refused, and is not taken back; ticket and mail succeed in the end when they are tried often
enough, and cannot be taken back."""


def grade_plan(plan: Any) -> Grade:
    """Whether ``plan``, all steps of ``TRIP`` in some order, is a saga that always ends whole or not at all: before the
    pivot what can be taken back, after it what only needs repeating (Garcia-Molina & Salem 1987; Richardson 2018,
    §4.3)."""
    if isinstance(plan, (set, frozenset)):
        return Grade(False, (f"{shown(plan)} has no order; this takes a list of steps",))
    return grade_apart(lambda: _grade_plan(plan))


def _grade_plan(plan: Any) -> Grade:
    steps = listed(plan)
    if steps is None:
        return Grade(False, (f"this takes a list of steps, and got {shown(plan)}",))
    unknown = [step for step in steps if not isinstance(step, str) or step not in TRIP]
    if unknown:
        return Grade(False, (f"{shown(unknown[0])} is no step; there are {', '.join(TRIP)}",))
    missing = [step for step in TRIP if steps.count(step) != 1]
    if missing:
        times = "more than once" if steps.count(missing[0]) > 1 else "not at all"
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
