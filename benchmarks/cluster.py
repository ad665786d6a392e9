"""Messages a second of the simulated cluster, recording a trace, beside simpy and a bare heap loop; memory a message.

The same ping-pong in all three: two nodes, one message under way, latency uniform on 1 to 3 ms, every message
recorded with its times and both ends. The simpy program is the one of its own documentation ("event
latency"): a cable process holds each message back and puts it into the receiver's store.
"""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable, Generator
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random
from typing import Any

import simpy

from distlib.core.node import Node, NodeId
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network

MESSAGES = 200_000
ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Ping:
    """One message of the game."""

    number: int


@dataclass
class Player(Node):
    """Answers every ping with the next."""

    peer: NodeId
    serves: bool

    def start(self) -> None:
        if self.serves:
            self.send(self.peer, Ping(0))

    def on_ping(self, sender: NodeId, ping: Ping) -> None:
        self.send(sender, Ping(ping.number + 1))


def with_cluster(messages: int) -> int:
    """Our simulator; returns the number of recorded messages."""
    cluster = Cluster([Player("A", "B", True), Player("B", "A", False)], Network(Uniform(1, 3)))
    return len(cluster.run(max_events=messages).sent)


def with_simpy(messages: int) -> int:
    """The same in simpy 4."""
    env = simpy.Environment()
    done = env.event()
    random = Random(1)
    trace: list[tuple[Any, ...]] = []
    inboxes = {"A": simpy.Store(env), "B": simpy.Store(env)}

    def carry(sender: str, receiver: str, ping: Ping) -> Generator[Any, Any, None]:
        sent_ms = env.now
        yield env.timeout(random.uniform(1, 3))
        trace.append((env.now, len(trace), sender, receiver, ping, sent_ms))
        inboxes[receiver].put(ping)

    def player(name: str, peer: str, serves: bool) -> Generator[Any, Any, None]:
        if serves:
            env.process(carry(name, peer, Ping(0)))
        while True:
            ping = yield inboxes[name].get()
            if ping.number >= messages:
                done.succeed()
                return
            env.process(carry(name, peer, Ping(ping.number + 1)))

    env.process(player("A", "B", True))
    env.process(player("B", "A", False))
    env.run(done)
    return len(trace)


def with_heap(messages: int) -> int:
    """The least that any simulator in Python must do: a heap, a latency, a record."""
    heap: list[tuple[Any, ...]] = [(0.0, 0, "A", "B", Ping(0), 0.0)]
    draw = Random(1).random
    trace: list[tuple[Any, ...]] = []
    for count in range(1, messages + 1):
        now_ms, _number, sender, receiver, ping, _sent_ms = heappop(heap)
        copy = (now_ms + 1 + 2 * draw(), count, receiver, sender, Ping(ping.number + 1), now_ms)
        trace.append(copy)
        heappush(heap, copy)
    return len(trace)


def _rate(run: Callable[[int], int]) -> float:
    gc.collect()
    start = time.perf_counter()
    run(MESSAGES)
    return MESSAGES / (time.perf_counter() - start)


def main() -> None:
    """Print the rates, their ratios (median of rounds that alternate between the three) and the memory."""
    rounds = [(_rate(with_cluster), _rate(with_simpy), _rate(with_heap)) for _ in range(ROUNDS)]
    ours, theirs, bare = (statistics.median(column) for column in zip(*rounds, strict=True))
    over_simpy = statistics.median(a / b for a, b, _ in rounds)
    over_heap = statistics.median(a / c for a, _, c in rounds)
    print(f"cluster   {ours:>10,.0f} messages/s, recording a trace")
    print(f"simpy 4   {theirs:>10,.0f} messages/s   cluster is {over_simpy:.1f} times as fast")
    print(f"bare heap {bare:>10,.0f} messages/s   cluster is {over_heap:.2f} times as fast")
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    cluster = Cluster([Player("A", "B", True), Player("B", "A", False)], Network(Uniform(1, 3)))
    trace = cluster.run(max_events=MESSAGES)
    each = (tracemalloc.get_traced_memory()[0] - before) / len(trace.sent)
    tracemalloc.stop()
    print(f"memory  {each:>12,.0f} bytes a recorded message, {each * 1e6 / 2**20:,.0f} MiB a million")


if __name__ == "__main__":
    main()
