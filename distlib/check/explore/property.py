"""What must hold of a model: *always* (safety), *sometimes* (reachability) and *eventually* (bounded liveness)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from distlib.check.explore.model import Model, ModelError, shorten

Kind = Literal["always", "sometimes", "eventually"]


@dataclass(frozen=True)
class Property:
    """A named predicate on states and how it is to hold; made by ``always``, ``sometimes`` and ``eventually``."""

    kind: Kind
    name: str
    predicate: Callable[[Any], Any]
    within: int | None = None

    def __str__(self) -> str:
        bound = f" within {self.within} steps" if self.within is not None else ""
        return f"{self.kind} {self.name}{bound}"


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
    if within is not None and (isinstance(within, bool) or not isinstance(within, int) or within < 0):
        raise ValueError(f"within is a number of steps, 0 or more; got {within!r}")
    return _property("eventually", predicate, name, within)


def _property(kind: Kind, predicate: Callable[[Any], Any], name: str | None, within: int | None = None) -> Property:
    if not callable(predicate):
        raise TypeError(f"{kind}() needs a function of one state, not {type(predicate).__name__}")
    own = getattr(predicate, "__name__", type(predicate).__name__)
    return Property(kind, name or own.strip("_").replace("_", " "), predicate, within)


def violation(model: Model[Any, Any], prop: Property, state: Any) -> str | None:
    """None when the invariant holds in *state*, else what it says is wrong ("" when it says nothing)."""
    outcome = _call(model, prop, state)
    if outcome is True:
        return None
    if isinstance(outcome, str):
        return outcome
    if _is_bool(outcome):
        return None if outcome else ""
    return shorten(outcome)


def holds(model: Model[Any, Any], prop: Property, state: Any) -> bool:
    """Whether the predicate of a *sometimes* or *eventually* is true in *state*."""
    outcome = _call(model, prop, state)
    if outcome is True or outcome is False:
        return bool(outcome)
    if _is_bool(outcome):
        return bool(outcome)
    raise ModelError(
        f"{model!r}: property '{prop}' must return True or False, not {shorten(outcome)}, in {shorten(state)}"
    )


def _call(model: Model[Any, Any], prop: Property, state: Any) -> Any:
    try:
        outcome = prop.predicate(state)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        raise ModelError(f"{model!r}: property '{prop}' raised {text}, in state {shorten(state)}") from error
    if outcome is None:
        raise ModelError(
            f"{model!r}: property '{prop}' returned None in state {shorten(state)}: "
            "return True where it holds (is a return missing?)"
        )
    return outcome


def _is_bool(value: object) -> bool:
    return isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")  # numpy's as well, without importing it
