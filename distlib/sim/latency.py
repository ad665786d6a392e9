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


def check_ms(model: object, name: str, value: float, low: float = 0.0) -> None:
    """Raises ``ValueError`` unless ``value``, the field ``name`` of ``model``, is a number of at least ``low``."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < low:
        raise ValueError(f"{type(model).__name__}.{name} is {value!r}; it takes a number of at least {low:g}")


@dataclass(frozen=True)
class Constant:
    """Always ``ms``."""

    ms: float

    def __post_init__(self) -> None:
        check_ms(self, "ms", self.ms)

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
        check_ms(self, "low_ms", self.low_ms)
        check_ms(self, "high_ms", self.high_ms)
        if self.low_ms > self.high_ms:
            raise ValueError(f"Uniform({self.low_ms}, {self.high_ms}) is reversed; write the smaller end first")

    def sampler(self, random: Random, sender: NodeId, receiver: NodeId) -> Sampler:
        """A function that draws the next latency."""
        low, width, draw = float(self.low_ms), float(self.high_ms - self.low_ms), random.random
        return lambda: low + width * draw()

    def mean_ms(self) -> float:
        """The mean latency."""
        return (self.low_ms + self.high_ms) / 2


@dataclass(frozen=True)
class ExponentialLatency:
    """``floor_ms`` (the speed of light) plus an exponential tail of mean ``tail_ms``."""

    tail_ms: float
    floor_ms: float = 0.0

    def __post_init__(self) -> None:
        check_ms(self, "tail_ms", self.tail_ms)
        check_ms(self, "floor_ms", self.floor_ms)

    def sampler(self, random: Random, sender: NodeId, receiver: NodeId) -> Sampler:
        """A function that draws the next latency."""
        floor, tail, draw, log = float(self.floor_ms), float(self.tail_ms), random.random, math.log
        return lambda: floor - tail * log(1.0 - draw())

    def mean_ms(self) -> float:
        """The mean latency."""
        return self.floor_ms + self.tail_ms


@dataclass(frozen=True)
class LogNormalLatency:
    """Log-normal with median ``median_ms``; ``sigma`` is the standard deviation of the logarithm (0.5 is a long
    tail)."""

    median_ms: float
    sigma: float = 0.5

    def __post_init__(self) -> None:
        check_ms(self, "median_ms", self.median_ms)
        check_ms(self, "sigma", self.sigma)

    def sampler(self, random: Random, sender: NodeId, receiver: NodeId) -> Sampler:
        """A function that draws the next latency."""
        median, sigma, draw, exp = float(self.median_ms), float(self.sigma), random.gauss, math.exp
        return lambda: median * exp(sigma * draw(0.0, 1.0))

    def mean_ms(self) -> float:
        """The mean latency."""
        return self.median_ms * math.exp(self.sigma**2 / 2)


@dataclass(frozen=True)
class PerLink:
    """A matrix: ``links`` holds (sender, receiver, ms) for each direction; ``jitter`` adds up to that
    fraction, uniformly.

    Raises ``ValueError`` when a link is used that the matrix lacks.
    """

    links: tuple[tuple[NodeId, NodeId, float], ...]
    jitter: float = 0.05

    def __post_init__(self) -> None:
        check_ms(self, "jitter", self.jitter)
        for sender, receiver, ms in self.links:
            check_ms(self, f"links[{sender} → {receiver}]", ms)

    def sampler(self, random: Random, sender: NodeId, receiver: NodeId) -> Sampler:
        """A function that draws the next latency of this link."""
        known = {(one, other): ms for one, other, ms in self.links}
        if (sender, receiver) not in known:
            raise ValueError(f"PerLink has no latency for {sender} → {receiver}; add ({sender!r}, {receiver!r}, ms)")
        base, jitter, draw = float(known[sender, receiver]), float(self.jitter), random.random
        return lambda: base * (1.0 + jitter * draw())

    def mean_ms(self) -> float:
        """The mean latency over all links."""
        return sum(ms for _, _, ms in self.links) / max(1, len(self.links)) * (1 + self.jitter / 2)


Latency = Constant | Uniform | ExponentialLatency | LogNormalLatency | PerLink
