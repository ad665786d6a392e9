"""The checkers of the exercises on principles: counting states, invariants, and the order of a history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from random import Random
from typing import Any

import pandas as pd

from distlib.check.cluster.model import ClusterModel
from distlib.check.explore.explore import BreadthFirst, ModelError, RandomWalks, always, explore
from distlib.check.history.history import Operation
from distlib.check.history.sequential import Illegal, Register
from distlib.core.node import NodeId, node_names
from distlib.labs.grading import LIMIT_S, Grade, grade_apart, listed, number_in, shown, truth_in
from distlib.paxos.broken import AcceptsWithoutPromise
from distlib.paxos.message import Propose
from distlib.paxos.paxos import Paxos
from distlib.principles.induction import agreement, every_state, induction, votes_are_safe
from distlib.principles.induction import shown as described
from distlib.principles.specifications import TCommit, Voting, VotingState

NAMES = node_names(3)
Predicate = Callable[[Mapping[str, Any]], bool]


# ------------------------------------------------------------ states


def grade_state_count(count: Any) -> Grade:
    """Exercise: how many states can transaction commit with two resource managers reach?"""
    given = number_in(count)
    if given is None or not given.is_integer():
        return Grade(False, (f"give a whole number, not {shown(count)}",))
    right = explore(TCommit(2)).distinct
    hint = "write down the 16 combinations, and cross out those that the two rules forbid"
    said = {
        right: f"{right} of the 4 × 4 = 16 combinations can be reached",
        16: "16 counts every combination; which ones can never come about?",
        14: "committed beside aborted is not all that is out of reach: "
        "can one have committed while the other is still working?",
    }.get(int(given), f"{given:g} is too {'few' if given < right else 'many'}: {hint}")
    return Grade(given == right, (said,))


# ------------------------------------------------------------ invariants


class _NoTruth(Exception):
    """A reader's function answers neither True nor False."""


def _failed(error: BaseException) -> str:
    """What a reader's function did, in words."""
    return str(error) if isinstance(error, _NoTruth) else f"your function raised {type(error).__name__}: {error}"


class _Asked:
    """A reader's condition, asked of one thing after the other; what it answered is asked again in the end.

    It gets ``fresh`` copies, so that it may do with them what it likes.
    """

    def __init__(self, condition: Callable[[Any], Any], fresh: Callable[[Any], Any] = lambda of: of) -> None:
        self.condition, self.fresh = condition, fresh
        self.answers: list[tuple[Any, bool]] = []

    def __call__(self, of: Any) -> bool:
        given = self.condition(self.fresh(of))
        try:
            answer = truth_in(given, "what your function answered")
        except TypeError as error:
            raise _NoTruth(error) from None
        self.answers.append((of, answer))
        return answer

    def is_steady(self, sample: int = 2_000) -> bool:
        """Whether it answers the same again: a function of what it is given, and of nothing else."""
        refused = [one for one in self.answers if not one[1]]
        again = refused[:sample] + Random().sample(self.answers, min(sample, len(self.answers)))
        return all(self(of) == answer for of, answer in again)


UNSTEADY = "it answers the same question differently the second time: it may look at what it is given, and nothing else"


def grade_invariant(predicate: Predicate, max_states: int = 8_000, limit_s: float = LIMIT_S) -> Grade:
    """Exercise: a condition on the nodes that always holds in Paxos, and that ``AcceptsWithoutPromise`` breaks with one
    ballot. The nodes it is asked about are ``Paxos`` in either case, so it must look at what is in them."""
    return _graded_apart(lambda: _grade_invariant(predicate, max_states), predicate, "the nodes", limit_s)


def _graded_apart(grade: Callable[[], Grade], predicate: Any, of_what: str, limit_s: float) -> Grade:
    if not callable(predicate) or isinstance(predicate, type):
        return Grade(False, (f"give a function of {of_what}, not {shown(predicate)}",))
    return grade_apart(grade, limit_s)


def _grade_invariant(predicate: Predicate, max_states: int) -> Grade:
    asked = _Asked(predicate, _as_paxos)
    rule, one_ballot = always(lambda world: asked(world.all_nodes()), "your invariant"), TWO_BALLOTS[:1]
    try:
        wrong = explore(_cluster(AcceptsWithoutPromise, one_ballot), rule, max_states=max_states)
        looked = 0
        for search in (BreadthFirst(), RandomWalks(seed=1, max_walks=150)):
            right = explore(_cluster(Paxos, TWO_BALLOTS), rule, search=search, max_states=max_states, max_depth=60)
            if right.verdict == "violated":
                last = right.path[-1]
                nodes = [f"{name}: {_acceptor(node)}" for name, node in last.state.all_nodes().items()]
                said = "it fails in correct Paxos, so it is no invariant:"
                when = "at the start" if last.action is None else f"after '{last.action}'"
                return Grade(False, (said, when, *nodes))
            looked = looked or right.distinct
        if not asked.is_steady():
            return Grade(False, (UNSTEADY,))
    except ModelError as error:
        return Grade(False, (_failed(error.__cause__ or error),))
    seen = f"it holds in the first {looked:,} states of correct Paxos, and in random walks beyond them"
    if wrong.verdict != "violated":
        harmless = f"but so it does in the {wrong.distinct:,} states of AcceptsWithoutPromise with one ballot"
        return Grade(False, (seen, f"{harmless}: ask for more"))
    steps = len(wrong.path) - 1
    return Grade(True, (seen, f"AcceptsWithoutPromise breaks it after {steps} steps: {wrong.path[-1].action}"))


TWO_BALLOTS = [("S1", Propose("A")), ("S2", Propose("B"))]


def _cluster(node_class: type[Paxos], requests: Sequence[tuple[NodeId, Propose]]) -> ClusterModel:
    return ClusterModel(lambda: [node_class(name, NAMES, learners=("S3",)) for name in NAMES], requests=requests)


def _as_paxos(nodes: Mapping[NodeId, Paxos]) -> dict[NodeId, Paxos]:
    """Copies of the nodes, whose class tells nothing."""
    plain = {name: copy(node) for name, node in nodes.items()}
    for node in plain.values():
        node.__class__ = Paxos
    return plain


def _acceptor(node: Any) -> str:
    accepted = "nothing" if node.accepted_value is None else f"{node.accepted_value}@{node.accepted_ballot}"
    return f"promised {node.promised}, accepted {accepted}, own ballot {node.ballot}"


SIZES = (Voting(), Voting(2, 3, 2), Voting(4, 2, 1))
"""The model of the chapter first; the others hold what was fitted to that one against it."""


def grade_conjunct(predicate: Callable[[Any], bool], limit_s: float = LIMIT_S) -> Grade:
    """Exercise: what to add to *votes are safe*, so that together they are inductive in ``Voting`` and imply that at
    most one value is chosen; for any number of acceptors, values and ballots."""
    return _graded_apart(lambda: _grade_conjunct(predicate), predicate, "a state", limit_s)


def _grade_conjunct(predicate: Callable[[Any], bool]) -> Grade:
    yours, remarks = _Asked(predicate), []

    def your_condition(state: VotingState) -> bool:
        return yours(state)

    def splits(state: VotingState) -> bool:
        return yours(state) and not agreement(state) and votes_are_safe(state)

    for model in SIZES:
        size = f"in {model!r}"
        try:
            found = induction(model, your_condition, votes_are_safe)
            split = next(filter(splits, every_state(model)), None) if found.inductive else None
        except Exception as error:  # whatever the reader's function raises
            return Grade(False, (f"{size}: {_failed(error)}",))
        if split is not None:
            both = f"{size}: two values are chosen in a state that satisfies both"
            return Grade(False, (both, described(split)))
        remarks += [f"{size}:", *str(found).splitlines()]
        if not found.inductive:
            return Grade(False, tuple(remarks))
    return Grade(True, tuple(remarks)) if yours.is_steady() else Grade(False, (UNSTEADY,))


# ------------------------------------------------------------ linearization

ANSWERS = {
    "a": Operation("C1", "write", 1, None, 0, 4),
    "b": Operation("C2", "write", 2, None, 1, 9),
    "c": Operation("C3", "read", None, 2, 2, 5),
    "d": Operation("C1", "read", None, 1, 6, 8),
    "e": Operation("C3", "write", 3, None, 6.5, 12),
    "f": Operation("C1", "read", None, 3, 9, 11),
    "g": Operation("C2", "read", None, 3, 10, 13),
}
"""A history of one register that three clients use, each operation with a letter."""


def puzzle() -> dict[str, Any]:
    """The history as ``history_timeline`` draws it, with letters and without an order."""
    rows = [(one.process, f"{letter}: {one.label}", one.call, one.returned) for letter, one in ANSWERS.items()]
    operations = pd.DataFrame(rows, columns=["process", "label", "call", "returned"])
    operations = operations.assign(order=0, fate="not placed", why="")
    return {"operations": operations, "headline": "Your turn: in which order did they happen?"}


def grade_order(order: Any) -> Grade:
    """Exercise: an order of the operations that real time and the register both allow, such as "abc…"."""
    given = [one for one in order if one.isalpha()] if isinstance(order, str) else listed(order) or []
    letters = [one.lower() if isinstance(one, str) else shown(one) for one in given]
    if sorted(letters) != sorted(ANSWERS):
        missing = sorted(set(ANSWERS) - set(letters))
        names, lacks = "".join(ANSWERS), f"; {', '.join(missing)} is missing" if missing else ""
        return Grade(False, (f"give each of the letters {names} once, as a string{lacks}",))
    for place, later in enumerate(letters):
        for earlier in letters[:place]:
            first, second = ANSWERS[later], ANSWERS[earlier]
            if first.returned < second.call:
                before = f"{later} returned at {first.returned:g}, before {earlier} was called at {second.call:g}"
                return Grade(False, (f"{before}: it must come first",))
    register, state = Register(), Register().initial
    for letter in letters:
        after = register.step(state, ANSWERS[letter])
        if isinstance(after, Illegal):
            at = f"at {letter} ({ANSWERS[letter].label}) the register {register.describe(state)}"
            return Grade(False, (f"{at}: {after.why}",))
        state = after
    return Grade(True, (f"{' '.join(letters)} agrees with real time, and every read answers the last write",))
