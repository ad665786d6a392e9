"""What the explorer searches, and what must hold of it: ``Model`` and ``Property``.

A ``Model`` says where a system may start and which steps each state allows; everything else (the order of the search,
the bounds) belongs to ``distlib.check.explore.explore``. A state is any immutable, hashable value. A model of mutable
objects overrides ``fingerprint`` and must return a new object from every step.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from distlib.core import require

State = TypeVar("State")
Action = TypeVar("Action")
Modality = Literal["always", "sometimes", "eventually"]


class ModelError(Exception):
    """A model or a property broke its contract; the message names the model, the action and the state."""


# ------------------------------------------------------------ properties


@dataclass(frozen=True)
class Property:
    """A named predicate on states and how it is to hold; made by ``always``, ``sometimes`` and ``eventually``."""

    modality: Modality
    name: str
    predicate: Callable[[Any], Any]
    within: int | None = None

    def __str__(self) -> str:
        bound = f" within {self.within} steps" if self.within is not None else ""
        return f"{self.modality} {self.name}{bound}"


def always(predicate: Callable[[Any], Any], name: str | None = None) -> Property:
    """An invariant: *predicate* returns True in every reachable state.

    Anything else that it returns is a violation: False, or (better) a witness, such as a sentence that says
    what is wrong. None is refused, because it is what a function returns that forgot its ``return``.
    """
    return _property("always", predicate, name)


def sometimes(predicate: Callable[[Any], bool], name: str | None = None) -> Property:
    """Reachability: *predicate* is true in at least one reachable state; breadth-first gives a shortest path to it.

    It guards against invariants that hold only because nothing happens.
    """
    return _property("sometimes", predicate, name)


def eventually(predicate: Callable[[Any], bool], within: int | None = None, name: str | None = None) -> Property:
    """Liveness: every maximal path from an initial state reaches a state where *predicate* is true.

    A path is maximal when it ends only where no step changes the state; steps that leave the state as it is are skipped
    (weak fairness of the next-state relation as a whole, and no other fairness). A counterexample is a path on which
    the predicate stays false and which (1) ends in such a state, or (2) returns to a state it has been in (a lasso: the
    path shown ends with that state), or (3) is *within* steps long, when that bound is given.

    "holds" is therefore a proof for the model as given, when the states short of the predicate were all
    explored. A network that may lose every message for ever has a lasso: put such limits into the model. With
    random walks, only the walks taken are checked, and nothing is proved.
    """
    if within is not None:
        require.whole("within", within, 0, unit="steps")
    return _property("eventually", predicate, name, within)


def _property(
    modality: Modality, predicate: Callable[[Any], Any], name: str | None, within: int | None = None
) -> Property:
    if not callable(predicate):
        raise TypeError(f"{modality}() needs a function of one state, not {type(predicate).__name__}")
    own = getattr(predicate, "__name__", type(predicate).__name__)
    return Property(modality, name or own.strip("_").replace("_", " "), predicate, within)


# ------------------------------------------------------------ models


class Model(Generic[State, Action]):
    """A state machine to explore.

    Write ``initial_states`` and either ``actions`` with ``next_state``, or ``successors`` alone (faster, one pass
    over a state). The order in which actions come must not depend on ``hash()`` (so don't iterate over a set of
    strings): seeded random walks and the choice among equally short counterexamples follow it.
    """

    def initial_states(self) -> Iterable[State]:
        """The states in which a run may start; at least one."""
        raise NotImplementedError

    def actions(self, state: State) -> Iterable[Action]:
        """The labels (plain data) of the steps that *state* allows; without any the system stops there."""
        for action, _ in self.successors(state):
            yield action

    def next_state(self, state: State, action: Action) -> State:
        """The state after *action*, as a new value. Two steps with the same label must lead to the same state."""
        for label, successor in self.successors(state):
            if label == action:
                return successor
        raise ValueError(f"{self!r} does not allow action {action!r} in state {shorten(state)}")

    def successors(self, state: State) -> Iterable[tuple[Action, State]]:
        """Every step out of *state* as (action, next state); one that changes nothing counts too, as in TLC."""
        for action in self.actions(state):
            yield action, self.next_state(state, action)

    def fingerprint(self, state: State) -> Hashable:
        """A hashable value, equal for two states exactly when the search may treat them as the same state."""
        return state

    def canonical(self, state: State) -> Hashable:
        """A hashable value shared by all renamings of *state* (symmetry reduction); see ``interchangeable``."""
        raise NotImplementedError

    def properties(self) -> tuple[Property, ...]:
        """What ``explore`` checks when it is given no property."""
        return ()

    def __repr__(self) -> str:
        return type(self).__name__


def overrides(model: Model[Any, Any], method: str) -> bool:
    """Whether the model's class (or the instance) supplies *method* itself."""
    return method in vars(model) or getattr(type(model), method) is not getattr(Model, method)


def shorten(value: object, limit: int = 300) -> str:
    """``repr(value)``, cut to *limit* characters, for messages; a repr that fails is named as such."""
    try:
        text = repr(value)
    except Exception as error:  # a learner's class may have a broken __repr__, and the message must still come out
        text = f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
    return text if len(text) <= limit else text[: limit - 1] + "…"


# ------------------------------------------------------------ symmetry


def interchangeable(*columns: Iterable[Any]) -> tuple[Any, ...]:
    """One row a node, ``(columns[0][i], columns[1][i], ...)``, sorted: equal however the nodes are numbered.

    Sorting finds the representative in O(n log n) when all that is known of a node is in its own row. When nodes name
    each other (votes, messages between nodes), take the least of all renamings instead: n! of them, for few nodes. The
    values of a column must be comparable.
    """
    return tuple(sorted(zip(*columns, strict=True)))
