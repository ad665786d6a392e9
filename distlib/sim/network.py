"""The network of a cluster: its settings as data, and the wire that carries messages through it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from heapq import heappush
from typing import Any

from distlib.core import require
from distlib.core.clock import EventQueue
from distlib.core.fault import Link
from distlib.core.node import NodeId
from distlib.core.seeds import Seeds
from distlib.core.trace import LOST, PARTITIONED
from distlib.sim.latency import Latency, Sampler, Uniform
from distlib.sim.recorder import Recorder


@dataclass(frozen=True)
class Network:
    """The network and the machines of a cluster.

    ``loss``, ``duplication`` and ``reordering`` are probabilities for each message; a reordered one is held back by up
    to ``reorder_ms``. ``fifo`` keeps each link in order (then nothing overtakes). ``processing_ms`` is the time a node
    needs for one message, one at a time. ``disk`` is the length of a disk write; where it is set, what a node sends
    with ``send_after_sync`` leaves after the write, if the event changed anything durable. With ``write_cache``, a
    crash loses what is not written by then; nobody was told of it, if what should be is told after the write.
    """

    latency: Latency = Uniform(1.0, 3.0)
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    reorder_ms: float = 10.0
    fifo: bool = False
    processing_ms: float = 0.0
    disk: Latency | None = None
    write_cache: bool = False

    def __post_init__(self) -> None:
        if self.write_cache and self.disk is None:
            raise ValueError("Network has write_cache=True and no disk; give disk=Uniform(1, 5), say: a write's time")
        for name in ("loss", "duplication", "reordering"):
            require.number(f"Network.{name}", getattr(self, name), 0, 1)
        require.number("Network.processing_ms", self.processing_ms, 0)
        require.number("Network.reorder_ms", self.reorder_ms, 0)
        if self.fifo and self.reordering:
            raise ValueError("Network has fifo=True and reordering > 0; a link that keeps order cannot reorder")

    @property
    def perfect(self) -> bool:
        """Whether every message arrives once, in the order of its latency alone."""
        return not (self.loss or self.duplication or self.reordering or self.fifo)


class Wire:
    """Carries messages: draws their latency, loses, duplicates and reorders them, and puts them on the event queue. The
    cluster's faults keep ``partitioned`` (links that carry nothing now) and ``slow`` up to date."""

    def __init__(
        self, network: Network, nodes: Collection[NodeId], queue: EventQueue, seeds: Seeds, recorder: Recorder
    ) -> None:
        self.network, self.nodes, self.queue, self.seeds, self.recorder = network, nodes, queue, seeds, recorder
        self.links = {node: _Links(self, node) for node in nodes}
        self.partitioned: frozenset[Link] = frozenset()
        self.slow: dict[Link, float] = {}
        self._last_due: dict[Link, float] = {}
        self._chance = seeds.stream("network").random

    def send(self, sender: NodeId, outbox: list[tuple[NodeId, Any]]) -> None:
        """Put all messages of ``outbox`` on their way, and empty it."""
        queue, recorder = self.queue, self.recorder
        now_ms, links = queue.now_ms, self.links[sender]
        perfect = self.network.perfect and not (self.slow or self.partitioned)
        for receiver, message in outbox:
            queue.count = number = queue.count + 1
            copy = (now_ms + links[receiver](), number, sender, receiver, message, now_ms)
            if perfect or sender == receiver:
                if recorder.record:
                    recorder.sent.append(copy)
                heappush(queue.heap, copy)
            else:
                self._send_imperfectly(copy)
        outbox.clear()

    def _send_imperfectly(self, copy: tuple[Any, ...]) -> None:
        network, chance = self.network, self._chance
        due_ms, number, sender, receiver, message, sent_ms = copy
        link = (sender, receiver)
        due_ms += self.slow.get(link, 0.0)
        if network.reordering and chance() < network.reordering:
            due_ms += network.reorder_ms * chance()
        fate = None
        if link in self.partitioned:
            fate = PARTITIONED
        elif network.loss and chance() < network.loss:
            fate = LOST
        self._put((self._in_order(link, due_ms), number, sender, receiver, message, sent_ms), fate)
        if fate != PARTITIONED and network.duplication and chance() < network.duplication:
            self.queue.count = twin = self.queue.count + 1
            self.recorder.duplicates.add(twin)
            due_ms = sent_ms + self.links[sender][receiver]() + self.slow.get(link, 0.0)
            self._put((self._in_order(link, due_ms), twin, sender, receiver, message, sent_ms), None)

    def _in_order(self, link: Link, due_ms: float) -> float:
        if self.network.fifo:
            due_ms = self._last_due[link] = max(due_ms, self._last_due.get(link, 0.0))
        return due_ms

    def _put(self, copy: tuple[Any, ...], fate: str | None) -> None:
        if self.recorder.record:
            self.recorder.sent.append(copy)
            if fate is not None:
                self.recorder.fates[copy[1]] = fate
        if fate is None:
            heappush(self.queue.heap, copy)


class _Links(dict[NodeId, Sampler]):
    """The latency samplers of the links out of one node, each with its own random stream, made on first use."""

    def __init__(self, wire: Wire, sender: NodeId) -> None:
        self.wire, self.sender = wire, sender

    def __missing__(self, receiver: NodeId) -> Sampler:
        wire, sender = self.wire, self.sender
        if receiver not in wire.nodes:
            known = ", ".join(wire.nodes)
            raise ValueError(f"{sender} sends to {receiver!r}, which is no node of this cluster ({known})")
        if sender == receiver:
            self[receiver] = lambda: 0.0
        else:
            stream = wire.seeds.stream("latency", sender, receiver)
            self[receiver] = wire.network.latency.sampler(stream, sender, receiver)
        return self[receiver]
