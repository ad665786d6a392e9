"""Nodes: effects out, handlers by name, what a crash takes away, state as data."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import pytest

from distlib.core.node import CancelTimer, Node, NodeId, Output, Send, SetTimer, durable, setting, volatile


@dataclass(frozen=True)
class Add:
    amount: int


@dataclass(frozen=True)
class ReadLog:
    pass


@dataclass
class Counter(Node):
    peers: tuple[NodeId, ...]
    step: int = setting(1)
    total: int = durable(0)
    log: list[int] = durable(list)
    seen: dict[NodeId, int] = volatile(dict)
    busy: bool = False

    def on_add(self, sender: NodeId, message: Add) -> None:
        self.total += message.amount * self.step
        self.log.append(message.amount)
        self.seen[sender] = self.seen.get(sender, 0) + 1
        self.busy = True
        self.send(self.peers[0], message)
        self.send_after_sync(sender, "ok")
        self.set_timer("rest", 10, 20)
        self.output(self.total)

    def on_rest_timeout(self) -> None:
        self.busy = False
        self.cancel_timer("other", key=3)


class Doubler(Counter):
    def on_add(self, sender: NodeId, message: Add) -> None:
        super().on_add(sender, Add(message.amount * 2))


def test_a_message_goes_to_the_handler_named_after_it_and_effects_come_out() -> None:
    node = Counter("A", peers=("B",))
    node.receive("C", Add(5))
    assert node.take_effects() == [
        Send("B", Add(5)),
        Send("C", "ok", after_sync=True),
        SetTimer("rest", None, 10, 20),
        Output(5),
    ]
    assert node.take_effects() == []
    node.timeout("rest")
    assert node.take_effects() == [CancelTimer("other", 3)]


def test_a_subclass_that_overrides_one_method_is_enough() -> None:
    node, plain = Doubler("A", ("B",)), Counter("A", ("B",))
    for one in (plain, node):
        one.receive("C", Add(5))
    assert (plain.total, node.total) == (5, 10)


def test_a_crash_keeps_durable_fields_and_settings_and_loses_the_rest() -> None:
    node = Counter("A", peers=("B",), step=2)
    node.receive("C", Add(5))
    node.crash()
    assert (node.total, node.log, node.step, node.peers) == (10, [5], 2, ("B",))
    assert (node.seen, node.busy, node.take_effects()) == ({}, False, [])


def test_state_is_a_hashable_value_that_can_be_loaded_into_another_node() -> None:
    node, twin = Counter("A", ("B",)), Counter("A", ("B",))
    node.receive("C", Add(5))
    assert Counter.state_names() == ("total", "log", "seen", "busy")
    assert Counter.durable_names() == ("total", "log")
    state = node.state()
    hash(state)
    twin.load(state)
    assert twin.state() == state and twin.seen == {"C": 1}
    twin.log.append(7)
    assert node.log == [5], "a loaded node shares nothing with the one it was taken from"
    assert node.durable_state() == state[:2]


def test_a_message_without_handler_is_named_with_what_the_class_has() -> None:
    with pytest.raises(TypeError, match=re.escape("Counter received a ReadLog but has no on_read_log(")):
        Counter("A", ("B",)).receive("C", ReadLog())


def test_a_timer_without_handler_is_named() -> None:
    with pytest.raises(TypeError, match="set a timer 'nap' but has no method on_nap_timeout"):
        Counter("A", ("B",)).timeout("nap")


def test_state_that_cannot_be_saved_is_named() -> None:
    node = Counter("A", ("B",))
    node.seen = {"C": (n for n in ())}  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="generator, which cannot be saved and compared"):
        node.state()


def test_a_class_with_fields_and_no_dataclass_is_named() -> None:
    class Forgets(Node):
        total: int = durable(0)

    class Unannotated(Node):
        total = durable(0)

    class Bare(Node):
        """Adds no field, so needs nothing."""

        limit: ClassVar[int] = 3

    for node_class in (Forgets, Unannotated):
        with pytest.raises(TypeError, match=f"{node_class.__name__} declares the field total without @dataclass"):
            node_class("A")
    assert Bare("A").id == "A"


def test_a_callable_default_is_a_factory() -> None:
    @dataclass
    class Keeps(Node):
        seen: dict[str, int] = durable(lambda: {"C": 0})
        busy: list[int] = volatile(partial(list, (1, 2)))

    node, twin = Keeps("A"), Keeps("B")
    assert node.seen == {"C": 0} and node.seen is not twin.seen
    node.busy.clear()
    node.crash()
    assert node.busy == [1, 2]


def test_a_field_that_would_hide_what_every_node_has_is_refused() -> None:
    """An outbox table, say: else the first ``send`` would find it in the place of the list of messages."""
    with pytest.raises(TypeError, match="Producer declares 'outbox', which every node has for what it sends; rename"):

        @dataclass
        class Producer(Node):
            outbox: dict[str, int] = durable(dict)
