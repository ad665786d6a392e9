"""Freezing: any value a node may hold, as a hashable constant, and back.

The simulator, the explorer and the durable storage all need a node's state as data: comparable, hashable, and
never aliased with the running node. Lists, dicts, sets and plain dataclasses are frozen; everything already
immutable (numbers, strings, enums, frozen dataclasses, tuples of such) is passed through untouched.
"""

from __future__ import annotations

from collections import deque
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, NamedTuple

_ATOMS = frozenset({type(None), bool, int, float, str, bytes, complex})


class FrozenList(tuple[Any, ...]):
    """A list (or deque), frozen."""

    __slots__ = ()


class FrozenDict(tuple[Any, ...]):
    """A dict, frozen as (key, value) pairs in order of the keys' text."""

    __slots__ = ()


class FrozenSet(frozenset[Any]):
    """A mutable set, frozen."""

    __slots__ = ()


class FrozenRecord(NamedTuple):
    """An instance of a mutable dataclass, frozen: its class and its fields' values."""

    cls: type
    values: tuple[Any, ...]


class ByName(tuple[tuple[str, Any], ...]):
    """A small mapping from nodes to constants, as (name, value) pairs in order of the names: it is told apart from a
    sequence of such pairs, whose order means something."""

    __slots__ = ()


def freeze(value: Any) -> Any:
    """``value`` as a hashable constant that ``thaw`` turns back into an equal, independent value. Raises ``TypeError``
    for a type that holds state in a way that cannot be seen (an open file, a lock, a generator)."""
    value_class = type(value)
    if value_class in _ATOMS or isinstance(value, (Enum, frozenset)) or value_class is type:
        return value
    if value_class is tuple:
        return _unchanged(value, tuple([freeze(item) for item in value]))
    if value_class is list or value_class is deque:
        return FrozenList([freeze(item) for item in value])
    if isinstance(value, dict):
        return FrozenDict([(key, freeze(value[key])) for key in sorted(value, key=repr)])
    if value_class is set:
        return FrozenSet(value)
    if isinstance(value, tuple):  # a NamedTuple, or something frozen already
        if hasattr(value, "_make"):
            return _unchanged(value, type(value)._make([freeze(item) for item in value]))
        return value
    if is_dataclass(value):
        if getattr(value_class, "__dataclass_params__").frozen:  # noqa: B009
            hash(value)  # a frozen dataclass with a list inside says so here, in Python's own words
            return value
        return FrozenRecord(value_class, tuple(freeze(getattr(value, item.name)) for item in fields(value)))
    raise TypeError(
        f"a node's state holds {value!r} of type {value_class.__name__}, which cannot be saved and compared; "
        "use numbers, strings, tuples, lists, dicts, sets or dataclasses"
    )


def thaw(value: Any) -> Any:
    """The value that ``freeze`` was given, built anew."""
    value_class = type(value)
    if value_class is FrozenList:
        return [thaw(item) for item in value]
    if value_class is FrozenDict:
        return {key: thaw(item) for key, item in value}
    if value_class is FrozenSet:
        return set(value)
    if value_class is FrozenRecord:
        record = object.__new__(value.cls)
        for item, frozen in zip(fields(value.cls), value.values, strict=True):
            object.__setattr__(record, item.name, thaw(frozen))
        return record
    if value_class is tuple:
        return _unchanged(value, tuple([thaw(item) for item in value]))
    return value


def _unchanged(old: tuple[Any, ...], new: tuple[Any, ...]) -> tuple[Any, ...]:
    """``old`` itself if nothing in it had to be rebuilt, so that long immutable logs are shared, not copied."""
    for one, other in zip(old, new, strict=True):
        if one is not other:
            return new
    return old
