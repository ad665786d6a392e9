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

    ``initial`` is the state before the first operation, ``operations`` names the ``f`` it knows, and ``looks`` those of
    them that leave every state as it is. An operation whose result is ``UNKNOWN`` takes effect whatever it answered.
    """

    initial: Hashable = None
    operations: tuple[str, ...] = ()
    looks: tuple[str, ...] = ()

    @abstractmethod
    def step(self, state: Any, operation: Operation) -> Any:
        """The state after ``operation``, or ``Illegal`` if it can't have had this result here."""

    def only_looks(self, operation: Operation) -> bool:
        """Whether ``operation``, with the result it had, leaves *every* state as it is, so that it is placed first.
        It is always safe to say False."""
        return operation.f in self.looks

    def describe(self, state: Any) -> str:
        """The state in words."""
        return f"holds {_show(state)}"

    def misshapen(self, operation: Operation) -> str:
        """What is wrong with the argument of an operation that this type knows; empty when nothing is."""
        return ""

    def validate(self, operation: Operation) -> None:
        """Raise ``ValueError`` if this type knows no such operation or its argument has the wrong shape."""
        if operation.f in self.operations:
            problem = self.misshapen(operation)
        else:
            problem = f"{type(self).__name__} knows {', '.join(self.operations)}, not {operation.f!r}"
        if problem:
            raise ValueError(f"{problem} (process {operation.process!r}, called at {operation.call:g})")


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
    looks = ("read",)

    def __init__(self, initial: Hashable = None) -> None:
        self.initial = initial

    def step(self, state: Any, operation: Operation) -> Any:
        if operation.f == "write":
            return operation.argument
        return _answers(operation, state, state)


class CasRegister(Register):
    """A register with ``cas [from, to]``, which answers True and sets, or False if the register held something else."""

    operations = ("read", "write", "cas")

    def step(self, state: Any, operation: Operation) -> Any:
        if operation.f != "cas":
            return super().step(state, operation)
        old, new = operation.argument
        succeeds = state == old
        return _answers(operation, succeeds, new if succeeds else state)

    def only_looks(self, operation: Operation) -> bool:
        """Reads look, and so does a ``cas`` that failed."""
        return super().only_looks(operation) or (operation.f == "cas" and operation.result is False)

    def misshapen(self, operation: Operation) -> str:
        if operation.f != "cas" or (isinstance(operation.argument, tuple) and len(operation.argument) == 2):
            return ""
        return f"cas needs the argument [from, to], got {operation.argument!r}"


class KeyValueMap(Specification):
    """One key of a store of strings: ``put v``, ``append v``, ``get → v``; absent is ``""`` (MIT 6.5840's lab).

    The key stands in the operation's ``key``, and each key is checked for itself.
    """

    initial = ""
    operations = ("get", "put", "append")
    looks = ("get",)

    def step(self, state: Any, operation: Operation) -> Any:
        if operation.f == "put":
            return operation.argument
        if operation.f == "append":
            return str(state) + str(operation.argument)
        return _answers(operation, state, state)

    def misshapen(self, operation: Operation) -> str:
        if operation.f == "get" or isinstance(operation.argument, str):
            return ""
        return f"{operation.f} needs a string, got {operation.argument!r}"


class Queue(Specification):
    """A first-in, first-out queue: ``enqueue v``, ``dequeue → v``, or ``dequeue → nil`` from an empty queue."""

    initial = ()
    operations = ("enqueue", "dequeue")

    def step(self, state: Any, operation: Operation) -> Any:
        if operation.f == "enqueue":
            return (*state, operation.argument)
        return _answers(operation, state[0] if state else None, state[1:])

    def only_looks(self, operation: Operation) -> bool:
        """A ``dequeue`` that found the queue empty looked."""
        return operation.f == "dequeue" and operation.result is None

    def describe(self, state: Any) -> str:
        return f"holds {_show(state)}, oldest first" if state else "is empty"

    def misshapen(self, operation: Operation) -> str:
        if operation.f == "dequeue" or operation.argument is not None:
            return ""
        return "enqueue needs a value; nil is what dequeue answers when the queue is empty"


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


class AppendOnlyLog(Specification):
    """An append-only list: ``append v`` (→ nothing, or its index from 0), ``read → [v, ...]``, ``get i → v`` or nil."""

    operations = ("append", "read", "get")
    looks = ("read", "get")

    def __init__(self) -> None:
        self.initial = _Suffix(None, None)

    def step(self, state: Any, operation: Operation) -> Any:
        if operation.f == "append":
            longer = state.append(operation.argument)
            return longer if operation.result is None else _answers(operation, state.length, longer)
        if operation.f == "read":
            return _answers(operation, state.values(), state)
        at = operation.argument
        return _answers(operation, state.values()[at] if at < state.length else None, state)

    def describe(self, state: Any) -> str:
        return f"holds {_show(state.values())}"

    def misshapen(self, operation: Operation) -> str:
        at = operation.argument
        if operation.f != "get" or (isinstance(at, int) and not isinstance(at, bool) and at >= 0):
            return ""
        return f"get needs an index from 0, got {at!r}"


class Mutex(Specification):
    """A lock: ``acquire`` and ``release``, each of which happens only when it can (Knossos's mutex)."""

    initial = False
    operations = ("acquire", "release")

    def step(self, state: Any, operation: Operation) -> Any:
        if state is (operation.f == "acquire"):
            return Illegal("the lock is already held" if state else "nobody holds the lock")
        return not state

    def describe(self, state: Any) -> str:
        return "is held" if state else "is free"


class Transactions(Specification):
    """Registers by name, read and written together: ``txn [[f, name, value], ...]`` with f ``read`` or ``write``.

    The result has the same shape with the values that were read; a read of nil is unknown (Knossos's multi-register).
    """

    operations = ("txn",)

    def __init__(self, initial: Mapping[str, Hashable]) -> None:
        self.initial = frozenset(initial.items())

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
        return all(f == "read" for f, _, _ in operation.argument)

    def describe(self, state: Any) -> str:
        return "holds " + ", ".join(f"{name} = {_show(value)}" for name, value in sorted(state, key=repr))

    def misshapen(self, operation: Operation) -> str:
        for part in (operation.argument, () if operation.result is UNKNOWN else operation.result):
            if not isinstance(part, tuple) or not all(
                isinstance(item, tuple) and len(item) == 3 and item[0] in ("read", "write") for item in part
            ):
                return f"txn needs [[read or write, name, value], ...], got {part!r}"
        return ""


class Together(Specification):
    """All keys as one object, each of which obeys ``part``: what checking costs without partitioning by key."""

    initial: Hashable = frozenset()

    def __init__(self, part: Specification) -> None:
        self.part = part

    def step(self, state: Any, operation: Operation) -> Any:
        states = dict(state)
        new = self.part.step(states.get(operation.key, self.part.initial), operation)
        return new if isinstance(new, Illegal) else frozenset((states | {operation.key: new}).items())

    def only_looks(self, operation: Operation) -> bool:
        return self.part.only_looks(operation)

    def describe(self, state: Any) -> str:
        texts = (f"{key!r} {self.part.describe(value)}" for key, value in sorted(state, key=repr))
        return "; ".join(texts) or "holds nothing"

    def validate(self, operation: Operation) -> None:
        self.part.validate(operation)
