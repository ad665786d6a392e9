"""Sequential specifications: what each data type answers when one operation happens at a time.

A specification is three things: the state at the start, the step that an operation takes from a state (or the
reason why it can't), and which operations only look. Write your own by subclassing ``Specification``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from distlib.check.history.history import UNKNOWN, Operation


@dataclass(frozen=True)
class Illegal:
    """The step is impossible from this state. ``why`` completes "it can't happen here: ..."."""

    why: str


class Specification(ABC):
    """A sequential data type. States must be hashable and never change; a step must be deterministic.

    ``operations`` names the ``f`` it knows. An operation whose result is ``UNKNOWN`` takes effect whatever it answered.
    """

    operations: tuple[str, ...] = ()

    @abstractmethod
    def initial(self) -> Hashable:
        """The state before the first operation."""

    @abstractmethod
    def step(self, state: Any, operation: Operation) -> Any:
        """The state after ``operation``, or ``Illegal`` if it can't have had this result here."""

    def only_looks(self, operation: Operation) -> bool:
        """Whether ``operation``, with the result it had, leaves *every* state as it is. Such operations are
        placed first.

        It is always safe to say False.
        """
        return False

    def describe(self, state: Any) -> str:
        """The state in words: ``holds 3``."""
        return f"is {state!r}"

    def validate(self, operation: Operation) -> None:
        """Raise ``ValueError`` if this type knows no such operation or its argument has the wrong shape."""
        if operation.f not in self.operations:
            raise ValueError(
                f"{type(self).__name__} knows {', '.join(self.operations)}, not {operation.f!r} "
                f"(process {operation.process!r}, called at {operation.call:g})"
            )


def _answers(operation: Operation, actual: Any, state: Any) -> Any:
    """``state`` if the operation answered ``actual``, else why not."""
    if operation.result is UNKNOWN or operation.result == actual:
        return state
    return Illegal(f"it answered {_show(operation.result)}, and should have answered {_show(actual)}")


def _show(value: Any) -> str:
    if value is None:
        return "nil"
    text = str(list(value)) if isinstance(value, tuple) else repr(value)
    return text if len(text) <= 60 else f"{text[:28]} … {text[-28:]}"


class Register(Specification):
    """A register: ``write v``, ``read → v``. ``initial`` is what a read sees before any write."""

    operations: tuple[str, ...] = ("read", "write")

    def __init__(self, initial: Hashable = None) -> None:
        self._initial = initial

    def initial(self) -> Hashable:
        """What a read sees before any write."""
        return self._initial

    def step(self, state: Any, operation: Operation) -> Any:
        """Writing always succeeds; a read must answer the last write."""
        if operation.f == "write":
            return operation.argument
        return _answers(operation, state, state)

    def only_looks(self, operation: Operation) -> bool:
        """Reads look."""
        return operation.f == "read"

    def describe(self, state: Any) -> str:
        """The value held."""
        return f"holds {_show(state)}"


class CasRegister(Register):
    """A register with ``cas [from, to]``, which answers True and sets, or False if the register held something else."""

    operations = ("read", "write", "cas")

    def step(self, state: Any, operation: Operation) -> Any:
        """As a register; ``cas`` answers whether it found ``from``, and sets if so."""
        if operation.f != "cas":
            return super().step(state, operation)
        old, new = operation.argument
        succeeds = state == old
        return _answers(operation, succeeds, new if succeeds else state)

    def only_looks(self, operation: Operation) -> bool:
        """Reads look, and so does a ``cas`` that failed."""
        return operation.f == "read" or (operation.f == "cas" and operation.result is False)

    def validate(self, operation: Operation) -> None:
        """A ``cas`` needs a pair as well."""
        super().validate(operation)
        if operation.f == "cas" and not (isinstance(operation.argument, tuple) and len(operation.argument) == 2):
            raise ValueError(
                f"cas needs the argument [from, to], got {operation.argument!r} "
                f"(process {operation.process!r}, called at {operation.call:g})"
            )


class KeyValueMap(Specification):
    """One key of a store of strings: ``put v``, ``append v``, ``get → v``; absent is ``""`` (MIT 6.5840's lab).

    The key stands in the operation's ``key``, and each key is checked for itself.
    """

    operations = ("get", "put", "append")

    def initial(self) -> Hashable:
        """The empty string: the key is absent."""
        return ""

    def step(self, state: Any, operation: Operation) -> Any:
        """``put`` replaces, ``append`` adds at the end, ``get`` must answer the whole string."""
        if operation.f == "put":
            return operation.argument
        if operation.f == "append":
            return str(state) + str(operation.argument)
        return _answers(operation, state, state)

    def only_looks(self, operation: Operation) -> bool:
        """``get`` looks."""
        return operation.f == "get"

    def describe(self, state: Any) -> str:
        """The string held."""
        return f"holds {_show(state)}"

    def validate(self, operation: Operation) -> None:
        """``put`` and ``append`` need strings as well."""
        super().validate(operation)
        if operation.f in ("put", "append") and not isinstance(operation.argument, str):
            raise ValueError(
                f"{operation.f} needs a string, got {operation.argument!r} "
                f"(process {operation.process!r}, called at {operation.call:g})"
            )


class Queue(Specification):
    """A first-in, first-out queue: ``enqueue v``, ``dequeue → v``, or ``dequeue → nil`` from an empty queue."""

    operations = ("enqueue", "dequeue")

    def initial(self) -> Hashable:
        """Empty."""
        return ()

    def step(self, state: Any, operation: Operation) -> Any:
        """``enqueue`` adds at the tail, ``dequeue`` must answer the head, or nil if there is none."""
        if operation.f == "enqueue":
            return (*state, operation.argument)
        return _answers(operation, state[0] if state else None, state[1:])

    def only_looks(self, operation: Operation) -> bool:
        """A ``dequeue`` that found the queue empty looked."""
        return operation.f == "dequeue" and operation.result is None

    def describe(self, state: Any) -> str:
        """The values waiting."""
        return f"holds {_show(state)}, oldest first" if state else "is empty"

    def validate(self, operation: Operation) -> None:
        """``enqueue`` needs a value as well."""
        super().validate(operation)
        if operation.f == "enqueue" and operation.argument is None:
            raise ValueError(
                "enqueue needs a value; nil is what dequeue answers when the queue is empty "
                f"(process {operation.process!r}, called at {operation.call:g})"
            )


class _Suffix:
    """A list that grows at its end and shares all else; equal lists from one root are the same object."""

    __slots__ = ("grown", "length", "shorter", "value")

    def __init__(self, shorter: _Suffix | None, value: Hashable) -> None:
        self.shorter = shorter
        self.value = value
        self.length: int = 0 if shorter is None else shorter.length + 1
        self.grown: dict[Hashable, _Suffix] = {}

    def append(self, value: Hashable) -> _Suffix:
        if value not in self.grown:
            self.grown[value] = _Suffix(self, value)
        return self.grown[value]

    def values(self) -> tuple[Any, ...]:
        backwards, link = [], self
        while link.shorter is not None:
            backwards.append(link.value)
            link = link.shorter
        return tuple(reversed(backwards))

    def holds(self, values: Any) -> bool:
        """Whether the list equals ``values``; compared from the end, where two logs differ first."""
        if not isinstance(values, tuple) or len(values) != self.length:
            return False
        link = self
        for value in reversed(values):
            if link.shorter is None or link.value != value:
                return False
            link = link.shorter
        return True


class AppendOnlyLog(Specification):
    """An append-only list: ``append v`` (→ nothing, or its index from 0), ``read → [v, ...]``, ``get i → v`` or nil."""

    operations = ("append", "read", "get")

    def initial(self) -> Hashable:
        """Empty."""
        return _Suffix(None, None)

    def step(self, state: Any, operation: Operation) -> Any:
        """``append`` adds at the end, ``read`` must answer all values, ``get`` the one at the index."""
        if operation.f == "append":
            longer = state.append(operation.argument)
            return longer if operation.result is None else _answers(operation, state.length, longer)
        if operation.f == "get":
            values = state.values()
            at = operation.argument
            return _answers(operation, values[at] if at < len(values) else None, state)
        if operation.result is UNKNOWN or state.holds(operation.result):
            return state
        return Illegal(f"it answered {_show(operation.result)}, and should have answered {_show(state.values())}")

    def only_looks(self, operation: Operation) -> bool:
        """``read`` and ``get`` look."""
        return operation.f in ("read", "get")

    def describe(self, state: Any) -> str:
        """The values, first to last."""
        return f"holds {_show(state.values())}"

    def validate(self, operation: Operation) -> None:
        """``get`` needs an index as well."""
        super().validate(operation)
        at = operation.argument
        if operation.f == "get" and (isinstance(at, bool) or not isinstance(at, int) or at < 0):
            raise ValueError(
                f"get needs an index from 0, got {at!r} (process {operation.process!r}, called at {operation.call:g})"
            )


class Mutex(Specification):
    """A lock: ``acquire`` and ``release``, each of which happens only when it can (Knossos's mutex)."""

    operations = ("acquire", "release")

    def initial(self) -> Hashable:
        """Free."""
        return False

    def step(self, state: Any, operation: Operation) -> Any:
        """Each operation is possible in one of the two states."""
        if state is (operation.f == "acquire"):
            return Illegal("the lock is already held" if state else "nobody holds the lock")
        return not state

    def describe(self, state: Any) -> str:
        """Held or free."""
        return "is held" if state else "is free"


class Transactions(Specification):
    """Registers by name, read and written together: ``txn [[f, name, value], ...]`` with f ``read`` or ``write``.

    The result has the same shape with the values that were read; a read of nil is unknown (Knossos's multi-register).
    """

    operations = ("txn",)

    def __init__(self, initial: Mapping[str, Hashable]) -> None:
        self._initial = frozenset(initial.items())

    def initial(self) -> Hashable:
        """The registers as given."""
        return self._initial

    def step(self, state: Any, operation: Operation) -> Any:
        """Every read must answer the registers as the reads and writes before it left them."""
        registers = dict(state)
        answered = operation.argument if operation.result is UNKNOWN else operation.result
        for f, name, value in answered:
            if f == "write":
                registers[name] = value
            elif value is not None and operation.result is not UNKNOWN and registers.get(name) != value:
                return Illegal(f"it read {_show(value)} from {name}, which holds {_show(registers.get(name))}")
        return frozenset(registers.items())

    def only_looks(self, operation: Operation) -> bool:
        """A transaction of reads looks."""
        return all(f == "read" for f, _, _ in operation.argument)

    def describe(self, state: Any) -> str:
        """Every register and its value."""
        return "holds " + ", ".join(f"{name} = {_show(value)}" for name, value in sorted(state, key=repr))

    def validate(self, operation: Operation) -> None:
        """``txn`` needs a list of triples as well."""
        super().validate(operation)
        for part in (operation.argument, () if operation.result is UNKNOWN else operation.result):
            if not isinstance(part, tuple) or any(
                not isinstance(item, tuple) or len(item) != 3 or item[0] not in ("read", "write") for item in part
            ):
                raise ValueError(
                    f"txn needs [[read or write, name, value], ...], got {part!r} "
                    f"(process {operation.process!r}, called at {operation.call:g})"
                )


class Together(Specification):
    """All keys as one object, each of which obeys ``part``: what checking costs without partitioning by key."""

    def __init__(self, part: Specification) -> None:
        self.part = part
        self.operations = part.operations
        self._empty = part.initial()

    def initial(self) -> Hashable:
        """No key has been touched."""
        return frozenset()

    def step(self, state: Any, operation: Operation) -> Any:
        """The step of the operation's own key."""
        states = dict(state)
        old = states.get(operation.key, self._empty)
        new = self.part.step(old, operation)
        return new if isinstance(new, Illegal) else frozenset((states | {operation.key: new}).items())

    def only_looks(self, operation: Operation) -> bool:
        """As the part says."""
        return self.part.only_looks(operation)

    def describe(self, state: Any) -> str:
        """Every key that was touched."""
        texts = (f"{key!r} {self.part.describe(value)}" for key, value in sorted(state, key=repr))
        return "; ".join(texts) or "holds nothing"

    def validate(self, operation: Operation) -> None:
        """As the part says."""
        self.part.validate(operation)
