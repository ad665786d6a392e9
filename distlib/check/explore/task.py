"""What is searched, and what to say when the model or a property breaks its contract.

A search runs without checks, for speed. When something fails, ``SearchTask`` takes the steps of that one state again,
slowly, and names the action at fault.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NoReturn

from distlib.check.explore.model import Modality, Model, ModelError, Property, overrides, shorten, sometimes


class SearchTask:
    """A model, the states to start from, the properties, and how states are told apart; see ``explore``.

    ``goal`` is the property, a *sometimes*, that *until* stands for: the search ends when it is reached. ``key_of`` is
    the function from a state to what it is told apart by; None when that is the state itself.
    """

    def __init__(
        self, model: Model[Any, Any], properties: tuple[Property, ...], start: Iterable[Any] | None,
        until: Callable[[Any], bool] | None, symmetry: bool,
    ) -> None:  # fmt: skip
        _check_model(model)
        self.model, self.symmetry = model, symmetry
        self.goal = None
        self.properties = properties or model.properties()
        if until is not None:
            self.goal = Property("sometimes", f"goal: {sometimes(until).name}", until)
            self.properties = (*self.properties, self.goal)
        self._check_properties()
        self.key_of: Callable[[Any], Hashable] | None = None
        if symmetry or overrides(model, "fingerprint"):
            self.key_of = model.canonical if symmetry else model.fingerprint
        source = "initial_states()" if start is None else "start"
        try:
            self.start = tuple(model.initial_states() if start is None else start)
        except Exception as error:
            raise self.error(f"{source} raised {_name(error)}") from error
        if not self.start:
            raise self.error(f"{source} has no state, so there is nothing to explore")
        for state in self.start:
            if problem := self.unusable(state):
                raise self.error(f"an initial state {problem}")

    def _check_properties(self) -> None:
        for prop in self.properties:
            if not isinstance(prop, Property):
                raise TypeError(f"{prop!r} is not a property: wrap the predicate, as in always(predicate)")
        names = [prop.name for prop in self.properties]
        if len(set(names)) < len(names):
            raise ValueError(f"two properties have the same name: {names}; give each its own: always(f, name='...')")
        if self.symmetry and not overrides(self.model, "canonical"):
            raise ValueError(f"{self.model!r} defines no canonical(state), so symmetry=True has nothing to reduce by")
        if self.symmetry and self.all_of("eventually"):
            raise ValueError(
                "eventually cannot be checked with symmetry=True: its loops would only be loops up to renaming"
            )

    def key(self, state: Any) -> Hashable:
        """What *state* is told apart by."""
        return state if self.key_of is None else self.key_of(state)

    def all_of(self, modality: Modality) -> list[Property]:
        """The properties of one modality, in the order given."""
        return [prop for prop in self.properties if prop.modality == modality]

    # -------------------------------------------------------- what a property says of a state

    def violation(self, prop: Property, state: Any) -> str | None:
        """None when the invariant holds in *state*, else what it says is wrong ("" when it says nothing)."""
        outcome = self._outcome(prop, state)
        if isinstance(outcome, bool):
            return None if outcome else ""
        return outcome if isinstance(outcome, str) else shorten(outcome)

    def holds(self, prop: Property, state: Any) -> bool:
        """Whether the predicate of a *sometimes* or *eventually* is true in *state*."""
        outcome = self._outcome(prop, state)
        if isinstance(outcome, bool):
            return outcome
        raise self.error(f"property '{prop}' must return True or False, not {shorten(outcome)}, in {shorten(state)}")

    def _outcome(self, prop: Property, state: Any) -> Any:
        try:
            outcome = prop.predicate(state)
        except Exception as error:
            raise self.error(f"property '{prop}' raised {_name(error)}, in state {shorten(state)}") from error
        if outcome is None:
            raise self.error(
                f"property '{prop}' returned None in state {shorten(state)}: "
                "return True where it holds (is a return missing?)"
            )
        is_numpy = type(outcome).__name__ in ("bool_", "bool")  # its truth values are no bool; not worth an import
        return bool(outcome) if is_numpy else outcome

    # -------------------------------------------------------- what is wrong with a step

    def error(self, text: str) -> ModelError:
        """An error that names the model."""
        return ModelError(f"{self.model!r}: {text}")

    def changed_in_place(self, state: Any) -> ModelError:
        """The error for a model that changed a state it was given."""
        culprit = ""
        with suppress(Exception):  # the state is no longer what it was, so its steps may fail
            for action in () if overrides(self.model, "successors") else self.model.actions(state):
                before = hash(self.key(state))
                self.model.next_state(state, action)
                if hash(self.key(state)) != before:
                    culprit = f"; action {action!r} changes it"
                    break
        return self.error(
            "a state was changed in place while its successors were computed. "
            "next_state must return a new state and leave the given one as it is. "
            f"It is now {shorten(state)}{culprit}"
        )

    def unusable(self, state: Any) -> str:
        """What keeps *state* from being looked up, as the end of a sentence; empty when nothing does."""
        if state is None:
            return "is None"
        try:
            key = self.key(state)
        except Exception as error:
            return f"has no fingerprint: {_name(error)}, for {shorten(state)}"
        try:
            hash(key)
        except TypeError as error:
            what = "is not hashable" if self.key_of is None else "has a fingerprint that is not hashable"
            remedy = "use tuples, frozensets or frozen dataclasses, or override fingerprint()"
            return f"{what} ({error}): {remedy}; {shorten(key)}"
        return ""

    def diagnose(self, state: Any, error: Exception) -> NoReturn:
        """Raise a ``ModelError`` that says which step out of *state* raised *error*."""
        if isinstance(error, ModelError):
            raise error
        where = f"in state {shorten(state)}"
        after = ""
        for action, successor in self._steps(state, where):
            after = f" after action {action!r}"
            if successor is None:
                raise self.error(
                    f"the next state{after} is None {where}: "
                    "next_state must return a state, and actions() only the actions that the state allows"
                )
            if problem := self.unusable(successor):
                raise self.error(f"the next state{after} {problem}; {where}")
        raise self.error(f"{_name(error)}{after}, {where}") from error

    def _steps(self, state: Any, where: str) -> Iterator[tuple[Any, Any]]:
        """The steps out of *state*; the part of the model that raises is named."""
        part, after = "actions(state)", ""
        try:
            if overrides(self.model, "successors"):
                part = "successors(state)"
                for pair in self.model.successors(state):
                    if not (isinstance(pair, tuple) and len(pair) == 2):
                        raise self.error(f"{part} must yield (action, state) pairs, not {shorten(pair)}, {where}")
                    after = f" after action {pair[0]!r}"
                    yield pair
            else:
                for action in list(self.model.actions(state)):
                    part = f"next_state(state, {action!r})"
                    yield action, self.model.next_state(state, action)
        except ModelError:
            raise
        except Exception as error:
            raise self.error(f"{part} raised {_name(error)}{after} {where}") from error


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _check_model(model: object) -> None:
    """Raise TypeError when *model* lacks a part of the interface."""
    if isinstance(model, type):
        raise TypeError(f"explore needs a model, not its class: write {model.__name__}(...) with its parameters")
    if not isinstance(model, Model):
        raise TypeError(f"explore needs a Model (distlib.check.explore.explore.Model), not {type(model).__name__}")
    if not overrides(model, "initial_states"):
        raise TypeError(f"{model!r} does not define initial_states(), the states in which a run may start")
    missing = [method for method in ("actions", "next_state") if not overrides(model, method)]
    if missing and not overrides(model, "successors"):
        raise TypeError(
            f"{model!r} does not define {missing[0]}(): a model needs actions() with next_state(), or successors()"
        )
