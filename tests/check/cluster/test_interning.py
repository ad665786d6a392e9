"""The encoding of a world's parts: equal for what is equal down to its types, and for nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass, make_dataclass
from enum import Enum, Flag, IntEnum
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distlib.check.cluster.interning import encode


class Colour(Enum):
    RED = 1
    A_B = "a>b"


class Number(IntEnum):
    ONE = 1


class Bits(Flag):
    A = 1
    B = 2


class Pair(NamedTuple):
    one: Any
    other: Any


@dataclass(frozen=True)
class Record:
    one: Any
    other: Any


class Silent(int):
    def __repr__(self) -> str:
        return "…"


ATOMS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers()
    | st.text(st.characters(categories=["Cs"]), min_size=1) | st.sampled_from([*Colour, *Number, *Bits, Bits(0), int])
    | st.integers().map(Silent) | st.sampled_from([-1, 2**64 - 1, 0.0, -0.0, 1, 1.0, True, Number.ONE, "1", b"1"])
)  # fmt: skip
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3)
    | st.builds(Pair, inner, inner) | st.builds(Record, inner, inner),
    max_leaves=6,
)  # fmt: skip


def same(one: Any, other: Any) -> bool:
    """Equal down to the types, the sign of zero included; a NaN is the same as another."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return repr(one) == repr(other)
    if isinstance(one, complex):
        return repr(one) == repr(other)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, frozenset):
        return len(one) == len(other) and all(any(same(item, it) for it in other) for item in one)
    if isinstance(one, Record):
        return same(one.one, other.one) and same(one.other, other.other)
    return bool(one == other)


@given(VALUES, VALUES)
def test_encodings_are_equal_for_the_same_alone(one, other):
    assert (encode(one) == encode(other)) == same(one, other)


@given(VALUES)
def test_an_encoding_follows_from_the_value(value):
    assert encode(value) == encode((value,))[1:-1]


@pytest.mark.parametrize(
    ("one", "other"),
    [(-1, 2**64 - 1), (1, True), (1, 1.0), (0.0, -0.0), ("1", 1), (Silent(1), Silent(2)), (1, Number.ONE),
     ((), frozenset()), (("a", "b"), ("ab",)), (Pair(1, 2), (1, 2)), (Pair(1, 2), Record(1, 2)), (Bits(0), Bits.A)],
)  # fmt: skip
def test_what_differs_in_type_or_value_is_told_apart(one, other):
    assert encode(one) != encode(other)


def test_classes_of_one_name_are_told_apart():
    """Two enumerations of one name in two modules; two records of one name in one, as when a cell is run again."""
    here, there = Enum("Mode", ["ON"], module="one"), Enum("Mode", ["ON"], module="two")
    assert encode(here.ON) != encode(there.ON)
    again = Enum("Mode", ["ON"], module="one")
    assert encode(here.ON) != encode(again.ON)
    old, new = (make_dataclass("Note", ["text"], frozen=True) for _ in range(2))
    assert encode(old("a")) != encode(new("a"))
    assert encode(old("a")) == encode(old("a"))


def test_frozen_sets_have_no_order_and_nan_is_itself():
    assert encode(frozenset("abc")) == encode(frozenset("cba"))
    assert encode(math.nan) == encode(float("nan"))
