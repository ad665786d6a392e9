"""Machine: what a node runs on. Its clock, its disk, its timers, and the trouble it is in."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from distlib.core.node import Node
from distlib.core.seeds import Seeds
from distlib.sim.latency import Latency


class Machine:
    """The machine of one node; times are virtual milliseconds, and the cluster moves them on. ``waiting`` holds the
    events of a paused machine; ``incarnation`` counts its crashes: work begun before one is not finished after it."""

    def __init__(self, node: Node, seeds: Seeds, disk: Latency | None, write_cache: bool = False) -> None:
        self.node = node
        self.incarnation = 0
        self.down = False
        self.paused = False
        self.waiting: list[tuple[Any, ...]] = []
        self.extra_ms = 0.0  # how much longer a slow machine needs for a message
        self.busy_until_ms = 0.0
        self.timers: dict[tuple[str, Hashable], int] = {}
        self._draw = seeds.stream("timer", node.id).random
        self._write_ms = disk.sampler(seeds.stream("disk", node.id), node.id, node.id) if disk else None
        self._on_disk: tuple[Any, ...] | None = None
        self._disk_free_ms = 0.0
        self._write_cache = write_cache
        self._writes: list[tuple[float, tuple[Any, ...]]] = []  # of a write cache: when each is done; the last that is
        self._set_at_ms = self._set_to_ms = 0.0  # the clock, when its rate was last set
        self.clock_rate = 1.0

    @property
    def impaired(self) -> bool:
        """Whether an event for this machine needs a closer look before the node may have it."""
        slow = bool(self.extra_ms) or self.busy_until_ms > 0.0  # it may still have to read what came while it was
        return self.down or self.paused or slow or self.clock_rate != 1.0 or self._set_at_ms > 0.0

    def start(self) -> None:
        """The disk holds what the node holds: nothing is yet to be written."""
        if self._write_ms is not None:
            self._on_disk = self.node.durable_state()
            self._writes = [(0.0, self._on_disk)]
        self.node.start()

    def crash(self, now_ms: float) -> list[tuple[Any, ...]]:
        """Everything volatile is lost: timers, unread messages (returned), the node's own state; and with a write cache
        what is not on the disk by now."""
        self.down, self.paused = True, False
        self.incarnation += 1
        self.timers.clear()
        self.busy_until_ms = self._disk_free_ms = 0.0
        lost, self.waiting = self.waiting, []
        self.node.crash()
        if self._write_cache:
            self.node.load_durable([state for done_ms, state in self._writes if done_ms <= now_ms][-1])
        return lost

    def clock_ms(self, now_ms: float) -> float:
        """What this machine's clock shows at true time ``now_ms``."""
        return self._set_to_ms + (now_ms - self._set_at_ms) * self.clock_rate

    def set_clock_rate(self, now_ms: float, rate: float) -> None:
        """From now on the clock runs at ``rate``."""
        self._set_to_ms, self._set_at_ms = self.clock_ms(now_ms), now_ms
        self.clock_rate = rate

    def timer_ms(self, low_ms: float, high_ms: float) -> float:
        """The true length of a timer that this machine's clock draws from [low_ms, high_ms]."""
        own_ms = low_ms if low_ms == high_ms else low_ms + (high_ms - low_ms) * self._draw()
        return own_ms / self.clock_rate

    def begin_work(self, now_ms: float, work_ms: float) -> float:
        """Queue ``work_ms`` of work, one piece at a time; returns when it is done."""
        self.busy_until_ms = max(now_ms, self.busy_until_ms) + work_ms
        return self.busy_until_ms

    def synced_ms(self, now_ms: float) -> float:
        """When the disk has what the node now holds: one write at a time, none if nothing durable changed."""
        if self._write_ms is None:
            return now_ms
        start_ms = max(now_ms, self._disk_free_ms)
        state = self.node.durable_state()
        if state != self._on_disk:
            self._on_disk = state
            start_ms = self._disk_free_ms = start_ms + self._write_ms()
            done = [write for write in self._writes if write[0] <= now_ms][-1:]
            self._writes = [*done, *[write for write in self._writes if write[0] > now_ms], (start_ms, state)]
        return start_ms
