"""Latency models: how long one message is on its way, or one disk write takes, in milliseconds.

Each model is plain data; ``sampler`` gives a function that draws the next value from the random stream it is handed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from distlib.core.node import NodeId

Sampler = Callable[[], float]


def _check(model: object, name: str, value: float, low: float = 0.0) -> None:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
        or value < low
    ):
        raise ValueError(f"{type(model).__name__}.{name} is {value!r}; it takes a number of at least {low:g}")


@dataclass(frozen=True)
class Constant:
    """Always ``ms``."""

    ms: float

    def __post_init__(self) -> None:
        _check(self, "ms", self.ms)

    def sampler(self, random: Random, sender: NodeId, receiver: NodeId) -> Sampler:
        """A function that draws the next latency."""
        ms = float(self.ms)
        return lambda: ms

    def mean_ms(self) -> float:
        """The mean latency."""
        return float(self.ms)


@dataclass(frozen=True)
class Uniform:
    """Uniform on [low_ms, high_ms]."""

    low_ms: float
    high_ms: float

    def __post_init__(self) -> None:
        _check(self, "low_ms", self.low_ms)
        _check(self, "high_ms", self.high_ms)
        if self.low_ms > self.high_ms:
            raise ValueError(
                f"Uniform({self.low_ms}, {self.high_ms}) is reversed; write the smaller end first"
            )

    def sampler(self, random: Random, sender: NodeId, receiver: NodeId) -> Sampler:
        """A function that draws the next latency."""
        low, width, draw = float(self.low_ms), float(self.high_ms - self.low_ms), random.random
        return lambda: low + width * draw()

    def mean_ms(self) -> float:
        """The mean latency."""
        return (self.low_ms + self.high_ms) / 2


@dataclass(frozen=True)
class Exponential:
    """``floor_ms`` (the speed of light) plus an exponential tail of mean ``tail_ms``."""

    tail_ms: float
    floor_ms: float = 0.0

    def __post_init__(self) -> None:
        _check(self, "tail_ms", self.tail_ms)
        _check(self, "floor_ms", self.floor_ms)

    def sampler(self, random: Random, sender: NodeId, receiver: NodeId) -> Sampler:
        """A function that draws the next latency."""
        floor, tail, draw, log = float(self.floor_ms), float(self.tail_ms), random.random, math.log
        return lambda: floor - tail * log(1.0 - draw())

    def mean_ms(self) -> float:
        """The mean latency."""
        return self.floor_ms + self.tail_ms


@dataclass(frozen=True)
class LogNormal:
    """Log-normal with median ``median_ms``; ``sigma`` is the standard deviation of the logarithm (0.5 is a long tail)."""

    median_ms: float
    sigma: float = 0.5

    def __post_init__(self) -> None:
        _check(self, "median_ms", self.median_ms)
        _check(self, "sigma", self.sigma)

    def sampler(self, random: Random, sender: NodeId, receiver: NodeId) -> Sampler:
        """A function that draws the next latency."""
        median, sigma, draw, exp = float(self.median_ms), float(self.sigma), random.gauss, math.exp
        return lambda: median * exp(sigma * draw(0.0, 1.0))

    def mean_ms(self) -> float:
        """The mean latency."""
        return self.median_ms * math.exp(self.sigma**2 / 2)


@dataclass(frozen=True)
class PerLink:
    """A matrix: ``links`` holds (sender, receiver, ms) for each direction; ``jitter`` adds up to that fraction, uniformly.

    Raises ``ValueError`` when a link is used that the matrix lacks.
    """

    links: tuple[tuple[NodeId, NodeId, float], ...]
    jitter: float = 0.05

    def __post_init__(self) -> None:
        _check(self, "jitter", self.jitter)
        for sender, receiver, ms in self.links:
            _check(self, f"links[{sender} → {receiver}]", ms)

    def sampler(self, random: Random, sender: NodeId, receiver: NodeId) -> Sampler:
        """A function that draws the next latency of this link."""
        known = {(one, other): ms for one, other, ms in self.links}
        if (sender, receiver) not in known:
            raise ValueError(
                f"PerLink has no latency for {sender} → {receiver}; add ({sender!r}, {receiver!r}, ms)"
            )
        base, jitter, draw = float(known[sender, receiver]), float(self.jitter), random.random
        return lambda: base * (1.0 + jitter * draw())

    def mean_ms(self) -> float:
        """The mean latency over all links."""
        return sum(ms for _, _, ms in self.links) / max(1, len(self.links)) * (1 + self.jitter / 2)


Latency = Constant | Uniform | Exponential | LogNormal | PerLink


@dataclass(frozen=True)
class Network:
    """The network and the machines of a cluster.

    ``loss``, ``duplication`` and ``reordering`` are probabilities for each message; a reordered one is held back by up
    to ``reorder_ms``. ``fifo`` keeps each link in order (then nothing overtakes). ``processing_ms`` is the time a node
    needs for one message, one at a time. ``disk`` is the length of a disk write; where it is set, what a node sends with
    ``send_after_sync`` leaves after the write, if the event changed anything durable.
    """

    latency: Latency = Uniform(1.0, 3.0)
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    reorder_ms: float = 10.0
    fifo: bool = False
    processing_ms: float = 0.0
    disk: Constant | Uniform | Exponential | LogNormal | None = None

    def __post_init__(self) -> None:
        for name in ("loss", "duplication", "reordering"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
                raise ValueError(f"Network.{name} is {value!r}; it takes a probability from 0 to 1")
        _check(self, "processing_ms", self.processing_ms)
        _check(self, "reorder_ms", self.reorder_ms)
        if self.fifo and self.reordering:
            raise ValueError(
                "Network has fifo=True and reordering > 0; a link that keeps order cannot reorder"
            )
