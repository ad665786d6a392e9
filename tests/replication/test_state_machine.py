"""The replicated key-value store: pure, immutable, and clear about what it doesn't know."""

from __future__ import annotations

import pytest

from distlib.replication.state_machine import Add, CompareAndSet, Get, KeyValue, Put


def test_commands_do_what_they_say() -> None:
    store, state = KeyValue(), KeyValue().initial()
    results = []
    for command in (
        Get("x"),
        Put("x", 1),
        Add("x", 2),
        CompareAndSet("x", 3, 5),
        CompareAndSet("x", 3, 7),
        Get("x"),
        Add("y"),
    ):
        state, result = store.apply(state, command)
        results.append(result)
    assert results == [None, None, 3, True, False, 5, 1]
    assert state == (("x", 5), ("y", 1))


def test_the_old_state_stays_as_it_was() -> None:
    old, _ = KeyValue().apply((), Put("x", 1))
    KeyValue().apply(old, Put("x", 2))
    assert old == (("x", 1),)


def test_an_unknown_command_is_named() -> None:
    with pytest.raises(TypeError, match="KeyValue cannot apply 'x=1'; it takes Put, Get, Add or CompareAndSet"):
        KeyValue().apply((), "x=1")


def test_commands_read_well() -> None:
    assert [str(one) for one in (Put("x", 1), Get("x"), Add("x", 2), CompareAndSet("x", 1, 2))] == [
        "x←1",
        "x?",
        "x+2",
        "x:1→2",
    ]
