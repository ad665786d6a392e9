"""State machines to replicate: pure functions from (state, command) to (next state, result).

States and commands are immutable and hashable, so that a server's state can be saved, compared and explored.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class StateMachine(Protocol):
    """What a protocol replicates. Deterministic: the same commands in the same order do the same everywhere."""

    def initial(self) -> Hashable:
        """The state before any command."""

    def apply(self, state: Any, command: Any) -> tuple[Hashable, Any]:
        """The state after ``command``, and the client's result. Raises ``TypeError`` for an unknown command."""


@dataclass(frozen=True, slots=True)
class Put:
    """Write ``value`` under ``key``; returns nothing."""

    key: Hashable
    value: Hashable

    def __str__(self) -> str:
        return f"{self.key}←{self.value}"


@dataclass(frozen=True, slots=True)
class Get:
    """Returns the value of ``key``, None if it has none; changes nothing."""

    key: Hashable

    def __str__(self) -> str:
        return f"{self.key}?"


@dataclass(frozen=True, slots=True)
class Add:
    """Add ``amount`` to the number under ``key`` (0 if none); returns the sum. Shows if it is applied twice."""

    key: Hashable
    amount: int = 1

    def __str__(self) -> str:
        return f"{self.key}+{self.amount}"


@dataclass(frozen=True, slots=True)
class CompareAndSet:
    """Write ``new`` under ``key`` if its value is ``old``; returns whether it was."""

    key: Hashable
    old: Hashable
    new: Hashable

    def __str__(self) -> str:
        return f"{self.key}:{self.old}→{self.new}"


Pairs = tuple[tuple[Hashable, Hashable], ...]
"""The store's contents as (key, value) pairs in order of the keys' text."""


@dataclass(frozen=True)
class KeyValue:
    """A key-value store for ``Put``, ``Get``, ``Add`` and ``CompareAndSet``."""

    def initial(self) -> Pairs:
        """The empty store."""
        return ()

    def apply(self, state: Pairs, command: Any) -> tuple[Pairs, Any]:
        """See ``StateMachine``."""
        stored: dict[Any, Any] = dict(state)
        match command:
            case Put(key, value):
                return _pairs({**stored, key: value}), None
            case Get(key):
                return state, stored.get(key)
            case Add(key, amount):
                total = (stored.get(key) or 0) + amount
                return _pairs({**stored, key: total}), total
            case CompareAndSet(key, old, new):
                right = stored.get(key) == old
                return (_pairs({**stored, key: new}) if right else state), right
        raise TypeError(f"KeyValue cannot apply {command!r}; it takes Put, Get, Add or CompareAndSet")


def _pairs(stored: dict[Any, Any]) -> Pairs:
    return tuple(sorted(stored.items(), key=lambda pair: repr(pair[0])))
