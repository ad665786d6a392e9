"""What the explorer searches: a state machine behind a small interface.

A ``Model`` says where a system may start and which steps each state allows; everything else (the order of the
search, the bounds, the properties) belongs to ``distlib.check.explore.explore``. A state is any immutable, hashable
value. A model of mutable objects overrides ``fingerprint`` and must return a new object from every step.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import lru_cache
from hashlib import blake2b
from itertools import permutations
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from distlib.check.explore.property import Property

State = TypeVar("State")
Action = TypeVar("Action")


class ModelError(Exception):
    """A model or a property broke its contract; the message names the model, the action and the state."""


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
        """Every step out of *state* as (action, next state). Steps that change nothing count as generated, as in
        TLC."""
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


def check_model(model: object) -> None:
    """Raise TypeError when *model* lacks a part of the interface."""
    if isinstance(model, type):
        raise TypeError(f"explore needs a model, not its class: write {model.__name__}(...) with its parameters")
    if not isinstance(model, Model):
        raise TypeError(f"explore needs a Model (distlib.check.explore.explore.Model), not {type(model).__name__}")
    if not overrides(model, "initial_states"):
        raise TypeError(f"{model!r} does not define initial_states(), the states in which a run may start")
    if not overrides(model, "successors"):
        for method in ("actions", "next_state"):
            if not overrides(model, method):
                raise TypeError(
                    f"{model!r} does not define {method}(): a model needs actions() with next_state(), or successors()"
                )


def interchangeable(*columns: Iterable[Any]) -> tuple[Any, ...]:
    """One row a node, ``(columns[0][i], columns[1][i], ...)``, sorted: equal however the nodes are numbered.

    Sorting finds the representative in O(n log n) when all that is known of a node is in its own row. When nodes name
    each other (votes, messages between nodes), use ``least_renaming``. The values of a column must be comparable.
    """
    return tuple(sorted(zip(*columns, strict=True)))


def least_renaming(count: int, renamed: Callable[[tuple[int, ...]], Any]) -> Any:
    """The least of ``renamed(p)`` over every permutation *p* of range(count), where node i is renamed to p[i].

    ``renamed`` returns the whole state so renamed, as a comparable and hashable value (a frozenset sorted into a tuple,
    for ``<`` on sets is inclusion). The cost is count! calls for each state, so it pays up to about five nodes.
    """
    return min(map(renamed, permutations(range(count))))


def shorten(value: object, limit: int = 300) -> str:
    """``repr(value)``, cut to *limit* characters, for messages; a repr that fails is named as such."""
    try:
        text = repr(value)
    except Exception as error:  # a learner's class may have a broken __repr__, and the message must still come out
        text = f"<{type(value).__name__} whose repr raised {type(error).__name__}>"
    return text if len(text) <= limit else text[: limit - 1] + "…"


# ------------------------------------------------------------ hashing


def digest(value: Hashable) -> int:
    """A 64-bit hash of plain data that is the same in every process (BLAKE2b of a canonical encoding).

    Python's own ``hash`` won't do: hash(-1) == hash(-2), so that two states of Paxos could always collide, and
    strings are salted. Equal values have equal digests; different ones collide with probability 2**-64.

    Raises TypeError for anything but None, numbers, strings, bytes, enums, tuples, frozensets and frozen dataclasses.
    """
    return int.from_bytes(blake2b(_encode(value), digest_size=8).digest(), "little")


def collision_probability(states: int) -> float:
    """An upper bound on the probability that any two of *states* digests of 64 bits collide (the birthday bound)."""
    return min(1.0, states * (states - 1) / 2**65)


def _encode(value: Any) -> bytes:
    """An unambiguous encoding: equal values, and only those, have equal bytes."""
    if value is None:
        return b"n"
    if isinstance(value, str) and not isinstance(value, Enum):
        text = value.encode()
        return b"s%d:%b" % (len(text), text)
    if isinstance(value, int) and not isinstance(value, Enum):
        return b"i%d;" % value  # True == 1, so both are encoded alike
    if isinstance(value, tuple):
        return b"(%b)" % b"".join(map(_encode_part, value))
    if isinstance(value, frozenset):
        return b"{%b}" % b"".join(sorted(map(_encode_part, value)))
    return _encode_rare(value)


_encode_part = lru_cache(maxsize=2**16)(_encode)  # parts recur from state to state, whole states don't


def _encode_rare(value: Any) -> bytes:
    if isinstance(value, Enum):
        # an IntEnum or StrEnum equals its value, another Enum only itself
        return _encode(value.value) if isinstance(value, int | str) else _encode((type(value).__qualname__, value.name))
    if isinstance(value, float):
        return _encode(int(value)) if value.is_integer() else b"f%b;" % value.hex().encode()
    if isinstance(value, bytes):
        return b"b%d:%b" % (len(value), value)
    if isinstance(value, type):
        return b"t%b" % _encode((value.__module__, value.__qualname__))
    if is_dataclass(value):
        parts = (getattr(value, field.name) for field in fields(value) if field.compare)
        return b"d%b" % _encode((type(value).__qualname__, *parts))
    raise TypeError(
        f'store="hashes" cannot encode a {type(value).__name__}: override fingerprint() to return plain data '
        "(numbers, strings, tuples, frozensets, frozen dataclasses)"
    )


# ------------------------------------------------------------ diagnosis


def diagnose(
    model: Model[Any, Any], key_of: Callable[[Any], Hashable] | None, state: Any, error: Exception
) -> ModelError:
    """Say which step out of *state* raised *error*.

    The search itself runs without checks, for speed; when something fails, the steps of that one state are taken again.
    """
    if isinstance(error, ModelError):
        return error
    where = f"in state {shorten(state)}"
    action: Any = None
    try:
        for action, successor in _steps(model, state):
            if successor is None:
                return none_error(model, action, state)
            problem = unusable(key_of, successor)
            if problem:
                return ModelError(f"{model!r}: the next state after action {action!r} {problem}; {where}")
    except _StepError as step:
        return ModelError(f"{model!r}: {step} {where}")
    after = "" if action is None else f" after action {action!r}"
    return ModelError(f"{model!r}: {_name(error)}{after}, {where}")


def unusable(key_of: Callable[[Any], Hashable] | None, state: Any) -> str:
    """What keeps *state* from being looked up, as the end of a sentence; empty when nothing does."""
    if state is None:
        return "is None"
    key = state
    if key_of is not None:
        try:
            key = key_of(state)
        except Exception as error:
            return f"has no fingerprint: {_name(error)}, for {shorten(state)}"
    try:
        hash(key)
    except TypeError as error:
        what = "is not hashable" if key_of is None else "has a fingerprint that is not hashable"
        remedy = "use tuples, frozensets or frozen dataclasses, or override fingerprint()"
        return f"{what} ({error}): {remedy}; {shorten(key)}"
    return ""


def none_error(model: Model[Any, Any], action: Any, state: Any) -> ModelError:
    """The error for a step that leads to None."""
    return ModelError(
        f"{model!r}: the next state after action {action!r} is None in state {shorten(state)}: "
        "next_state must return a state, and actions() only the actions that the state allows"
    )


class _StepError(Exception):
    """A part of the model raised, or gave something other than a pair."""


def _steps(model: Model[Any, Any], state: Any) -> Iterator[tuple[Any, Any]]:
    if overrides(model, "successors"):
        yield from _pairs(model, state)
        return
    try:
        actions = list(model.actions(state))
    except Exception as error:
        raise _StepError(f"actions(state) raised {_name(error)}") from error
    for action in actions:
        try:
            successor = model.next_state(state, action)
        except Exception as error:
            raise _StepError(f"next_state(state, {action!r}) raised {_name(error)}") from error
        yield action, successor


def _pairs(model: Model[Any, Any], state: Any) -> Iterator[tuple[Any, Any]]:
    after = ""
    iterator: Iterator[Any] | None = None
    while True:
        try:
            if iterator is None:
                iterator = iter(model.successors(state))
            pair = next(iterator)
        except StopIteration:
            return
        except Exception as error:
            raise _StepError(f"successors(state) raised {_name(error)}{after}") from error
        if not (isinstance(pair, tuple) and len(pair) == 2):
            raise _StepError(f"successors(state) must yield (action, state) pairs, not {shorten(pair)},")
        after = f" after action {pair[0]!r}"
        yield pair


def _name(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
