"""The checkers of the exercises on principles: counting states, invariants, and the order of a history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from distlib.check.cluster.model import ClusterModel
from distlib.check.explore.explore import ModelError, always, explore
from distlib.check.history.history import Operation
from distlib.check.history.sequential import Illegal, Register
from distlib.core import require
from distlib.core.node import node_names
from distlib.labs.grading import LIMIT_S, Grade, grade_apart
from distlib.paxos.message import Propose
from distlib.paxos.paxos import Paxos
from distlib.principles.induction import induction, votes_are_safe
from distlib.principles.specifications import TCommit, Voting

NAMES = node_names(3)
Predicate = Callable[[Mapping[str, Any]], bool]


# ------------------------------------------------------------ states


def grade_state_count(count: int) -> Grade:
    """Exercise: how many states can transaction commit with two resource managers reach?"""
    if isinstance(count, bool) or not isinstance(count, int):
        return Grade(False, (f"give a whole number, not {count!r}",))
    right = explore(TCommit(2)).distinct
    few = "few" if count < right else "many"
    said = {
        right: f"{right} of the 4 × 4 = 16 combinations can be reached",
        16: "16 counts every combination; which ones can never come about?",
        14: "committed beside aborted is not all that is out of reach: "
        "can one have committed while the other is still working?",
    }.get(count, f"{count} is too {few}: write down the 16 combinations, and cross out those that the two rules forbid")
    return Grade(count == right, (said,))


# ------------------------------------------------------------ invariants


def grade_invariant(
    predicate: Predicate, broken: type[Paxos], max_states: int = 8_000, limit_s: float = LIMIT_S
) -> Grade:
    """Exercise: a condition on the nodes that holds in Paxos always, and fails in ``broken`` within two ballots."""
    return _graded_apart(lambda: _grade_invariant(predicate, broken, max_states), predicate, "the nodes", limit_s)


def _graded_apart(grade: Callable[[], Grade], predicate: Any, of_what: str, limit_s: float) -> Grade:
    if not callable(predicate) or isinstance(predicate, type):
        return Grade(False, (f"give a function of {of_what}, not {predicate!r}",))
    return grade_apart(grade, limit_s)


def _grade_invariant(predicate: Predicate, broken: type[Paxos], max_states: int) -> Grade:
    def holds(world: Any) -> bool:
        return require.flag("what your condition answered", predicate(world.all_nodes()))

    try:
        right = explore(_cluster(Paxos), always(holds, "your invariant"), max_states=max_states)
        if right.verdict == "violated":
            last = right.path[-1]
            nodes = [f"{name}: {_acceptor(node)}" for name, node in last.state.all_nodes().items()]
            return Grade(False, ("it fails in correct Paxos, so it is no invariant:", f"after '{last.action}'", *nodes))
        wrong = explore(_cluster(broken), always(holds, "your invariant"), max_states=max_states)
    except ModelError as error:
        return Grade(False, (str(error.__cause__ or error),))
    seen = f"it holds in the first {right.distinct:,} states of correct Paxos"
    if wrong.verdict != "violated":
        return Grade(False, (seen, f"but so it does in {wrong.distinct:,} states of {broken.__name__}: ask for more"))
    steps = len(wrong.path) - 1
    return Grade(True, (seen, f"{broken.__name__} breaks it after {steps} steps: {wrong.path[-1].action}"))


def _cluster(node_class: type[Paxos]) -> ClusterModel:
    requests = [("S1", Propose("A")), ("S2", Propose("B"))]
    return ClusterModel(lambda: [node_class(name, NAMES, learners=("S3",)) for name in NAMES], requests=requests)


def _acceptor(node: Any) -> str:
    accepted = "nothing" if node.accepted_value is None else f"{node.accepted_value}@{node.accepted_ballot}"
    return f"promised {node.promised}, accepted {accepted}, own ballot {node.ballot}"


def grade_conjunct(predicate: Callable[[Any], bool], limit_s: float = LIMIT_S) -> Grade:
    """Exercise: what to add to *votes are safe*, so that together they are inductive in ``Voting``."""
    return _graded_apart(lambda: _grade_conjunct(predicate), predicate, "a state", limit_s)


def _grade_conjunct(predicate: Callable[[Any], bool]) -> Grade:
    try:
        found = induction(Voting(), predicate, votes_are_safe)
    except Exception as error:  # whatever the reader's function raises
        return Grade(False, (f"your function raised {type(error).__name__}: {error}",))
    if not found.starts:
        return Grade(False, ("it does not even hold at the start, when nobody has voted",))
    if found.escape is not None:
        return Grade(False, tuple(str(found).splitlines()))
    if explore(Voting(), always(predicate, "yours")).verdict != "holds":
        return Grade(False, ("it fails in a state that can be reached",))
    return Grade(True, (str(found),))


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


def grade_order(order: str | Sequence[str]) -> Grade:
    """Exercise: an order of the operations that real time and the register both allow, such as "abc…"."""
    letters = list(order) if isinstance(order, (str, list, tuple)) else []
    missing = sorted(set(ANSWERS) - set(letters))
    if missing or len(letters) != len(ANSWERS):
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
