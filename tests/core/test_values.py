"""Freezing, seeds, the event queue, parameters and the JSON codec."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import deque
from dataclasses import dataclass, field
from heapq import heappop
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distlib.core.clock import EventQueue
from distlib.core.codec import from_data, to_data
from distlib.core.freeze import freeze, thaw
from distlib.core.parameter import Parameters, parameter
from distlib.core.seeds import Seeds

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(PLAIN)
def test_thaw_undoes_freeze(value: Any) -> None:
    frozen = freeze(value)
    hash(frozen)
    assert thaw(frozen) == value
    assert freeze(thaw(frozen)) == frozen


@dataclass
class Open:
    items: list[int]


def test_freezing_shares_what_is_immutable_and_copies_what_is_not() -> None:
    log = (1, (2, 3), "x")
    assert freeze(log) is log
    record = Open([1, 2])
    frozen = freeze(record)
    record.items.append(3)
    assert thaw(frozen) == Open([1, 2])
    assert thaw(freeze({3, 1})) == {1, 3}
    assert thaw(freeze(deque([1, 2]))) == [1, 2]


@given(st.dictionaries(st.text(max_size=3), st.integers(), min_size=2, max_size=5))
def test_the_order_of_insertion_does_not_change_a_frozen_dict(value: dict[str, int]) -> None:
    assert freeze(value) == freeze(dict(reversed(value.items())))


def test_streams_are_named_repeatable_and_independent() -> None:
    one = Seeds(7)
    first = [one.stream("latency", "A").random() for _ in range(2)]
    assert first[0] == first[1]
    names = [("latency", "A"), ("latency", "B"), ("timer", "A"), ("latencyA",)]
    assert len({one.stream(*name).random() for name in names} | {Seeds(8).stream("latency", "A").random()}) == 5


def test_streams_do_not_depend_on_the_process_or_its_hash_seed() -> None:
    program = "from distlib.core.seeds import Seeds; print(Seeds(7).stream('a', 'S1').random())"
    answers = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "1", "2")
    }  # fmt: skip
    assert answers == {f"{Seeds(7).stream('a', 'S1').random()}\n"}


@pytest.mark.parametrize("seed", [None, "", "7", 7.0, True])
def test_an_empty_or_odd_seed_is_refused(seed: Any) -> None:
    with pytest.raises(TypeError, match="it takes a whole number from 0 to"):
        Seeds(seed)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="from 0 to"):
        Seeds(seed)


@given(st.lists(st.floats(0, 100), min_size=1))
def test_events_come_out_by_time_and_ties_in_order_of_entry(times: list[float]) -> None:
    queue = EventQueue()
    for number, time in enumerate(times):
        queue.push(time, number)
    out = [heappop(queue.heap) for _ in times]
    assert [(event[0], event[2]) for event in out] == sorted((time, n) for n, time in enumerate(times))


@pytest.mark.parametrize("time", [4.9, float("nan")])
def test_an_event_in_the_past_is_refused(time: float) -> None:
    queue = EventQueue()
    queue.now_ms = 5.0
    with pytest.raises(ValueError, match=r"virtual time is already 5\.0 ms"):
        queue.push(time, "y")


@dataclass(frozen=True)
class Params(Parameters):
    """A class with one parameter of each kind."""

    servers: int = parameter(5, "servers", low=1, high=9)
    timeout_ms: tuple[float, float] = parameter((150, 300), "timeout", unit="ms", low=1, high=5000)
    loss: float = parameter(0.0, "loss", low=0, high=1)
    model: str = parameter("uniform", "model", choices=("uniform", "constant"))
    regions: tuple[str, ...] = parameter(("a", "b"), "regions", choices=("a", "b", "c"), several=True, at_least=1)
    fifo: bool = parameter(False, "fifo")
    note: str = parameter("", "note")

    def check(self) -> None:
        if self.servers == 7:
            raise ValueError("seven is right out")

    def warnings(self) -> list[str]:
        return ["a cluster of one survives nothing"] if self.servers == 1 else []


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"servers": 0}, ValueError, "Params.servers is 0; it takes a whole number from 1 to 9"),
        ({"servers": 10**40}, ValueError, "it takes a whole number from 1 to 9"),
        ({"servers": 2.5}, TypeError, "Params.servers is 2.5; it takes a whole number"),
        ({"servers": True}, TypeError, "it takes a whole number"),
        ({"timeout_ms": (300, 150)}, ValueError, "reversed: (300, 150); write the smaller end first, (150, 300)"),
        ({"timeout_ms": 150}, TypeError, "it takes a pair (low, high) from 1 to 5,000 ms"),
        ({"timeout_ms": (0, 10)}, ValueError, "Params.timeout_ms is 0"),
        ({"loss": float("nan")}, ValueError, "Params.loss is nan; it takes a number from 0 to 1"),
        ({"model": "gamma"}, ValueError, "choose one of 'uniform', 'constant'"),
        ({"regions": ("z",)}, ValueError, "Params.regions holds 'z'; choose from 'a', 'b', 'c'"),
        ({"regions": ()}, ValueError, "has 0 values; it takes at least 1"),
        ({"regions": "a"}, TypeError, "it takes a tuple of names"),
        ({"fifo": 1}, TypeError, "it takes True or False"),
        ({"note": None}, TypeError, "it takes a string"),
        ({"servers": 7}, ValueError, "seven is right out"),
    ],
)  # fmt: skip
def test_a_bad_parameter_is_named_with_what_would_be_right(
    wrong: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        Params(**wrong)


def test_parameters_know_their_specs_their_changes_and_their_warnings() -> None:
    assert list(Params.specs()) == ["servers", "timeout_ms", "loss", "model", "regions", "fifo", "note"]
    changed = Params(servers=1, model="constant")
    assert changed.call() == "Params(servers=1, model='constant')"
    assert eval(changed.call()) == changed
    assert changed.warnings() and not Params().warnings()


@dataclass(frozen=True)
class Round:
    radius: float


@dataclass(frozen=True)
class Flat:
    width: int
    mode: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Sheet:
    shape: Round | Flat
    names: tuple[str, ...] = ()
    pair: tuple[float, float] = (0, 1)
    maybe: float | None = None


@pytest.mark.parametrize(
    "sheet", [Sheet(Round(2)), Sheet(Flat(3, "b"), ("x", "y"), (1, 2.5), 4.0), Sheet(Flat(1), maybe=None)]
)
def test_json_and_back(sheet: Sheet) -> None:
    assert from_data(Sheet, json.loads(json.dumps(to_data(sheet)))) == sheet


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": {"type": "Square"}}, "file.shape.type is 'Square'; it takes one of Round, Flat"),
        ({"shape": {"type": "Round"}}, "file.shape lacks the field 'radius' of Round"),
        ({"shape": {"type": "Round", "radius": "x"}}, "file.shape.radius is 'x'; it takes a number"),
        ({"shape": {"type": "Flat", "width": 1.5}}, "file.shape.width is 1.5; it takes a whole number"),
        ({"shape": {"type": "Flat", "width": 1, "mode": "c"}}, "file.shape.mode is 'c'; it takes 'a' or 'b'"),
        ({"names": ["x", 3]}, "file.names[1] is 3; it takes a string"),
        ({"names": "x"}, "file.names is 'x'; it takes a list"),
        ({"pair": [1]}, "file.pair is [1]; it takes a list of 2"),
        ({"colour": 1}, "file has an unknown field 'colour'; Sheet has shape, names, pair, maybe"),
        ({"maybe": "x"}, "file.maybe is 'x'; it takes float, NoneType"),
    ],
)
def test_a_malformed_file_is_told_by_its_field(change: dict[str, Any], message: str) -> None:
    data = {**to_data(Sheet(Round(1.0))), **change}
    with pytest.raises(ValueError, match=re.escape(message)):
        from_data(Sheet, data)


@dataclass(frozen=True)
class Inner(Parameters):
    size: int = parameter(1, "size", low=0, high=9)


@dataclass(frozen=True)
class Outer(Parameters):
    inner: Inner = field(default_factory=Inner)
    maybe: Inner | None = None
    many: tuple[Inner, ...] = ()
    loads: tuple[float, ...] = (0.5,)
    names: tuple[int | str, ...] = ()
    anything: Any = None
    text: str = ""


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"inner": "random"}, "Outer.inner is 'random'; it takes an Inner"),
        ({"inner": Inner}, r"Outer.inner is <class .*>; it takes an Inner"),
        ({"inner": Outer()}, r"Outer.inner is Outer\(.*; it takes an Inner"),
        ({"maybe": 3}, "Outer.maybe is 3; it takes an Inner or None"),
        ({"many": Inner()}, r"Outer.many is Inner\(size=1\); it takes a tuple"),
        ({"many": (Inner(), 2)}, r"Outer.many\[1\] is 2; it takes an Inner"),
        ({"loads": 0.5}, "Outer.loads is 0.5; it takes a tuple"),
        ({"loads": (0.5, "a")}, r"Outer.loads\[1\] is 'a'; it takes a number"),
        ({"names": (1, "a", 1.5)}, r"Outer.names\[2\] is 1.5; it takes an int or a str"),
        ({"text": 5}, "Outer.text is 5; it takes a str"),
    ],
)
def test_a_parameter_of_the_wrong_class_is_named(values: dict[str, Any], message: str) -> None:
    """It was an AttributeError of whatever name was asked of it first."""
    with pytest.raises(TypeError, match=message):
        Outer(**values)
    right = Outer(maybe=Inner(2), many=(Inner(3),), loads=(1, 0.5), names=(1, "a"), anything=object(), text="x")
    assert right.many[0].size == 3
