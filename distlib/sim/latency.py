"""Latency models as plain data: how long one message is on its way, or one disk write takes, in milliseconds."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from random import Random

from distlib.core import require
from distlib.core.node import NodeId

Sampler = Callable[[], float]


@dataclass(frozen=True)
class Latency(ABC):
    """A latency model. Raises ``TypeError`` or ``ValueError`` for numbers that are not of at least 0."""

    def __post_init__(self) -> None:
        for item in fields(self):
            if item.type == "float":
                require.number(f"{type(self).__name__}.{item.name}", getattr(self, item.name), 0)

    @abstractmethod
    def sampler(self, random: Random, sender: NodeId, receiver: NodeId) -> Sampler:
        """A function that draws the next latency of this link, ms."""

    @abstractmethod
    def mean_ms(self) -> float:
        """The mean latency; over all links, where they differ."""


@dataclass(frozen=True)
class Constant(Latency):
    """Always ``ms``."""

    ms: float

    def sampler(self, random: Random, sender: NodeId, receiver: NodeId) -> Sampler:
        ms = float(self.ms)
        return lambda: ms

    def mean_ms(self) -> float:
        return float(self.ms)


@dataclass(frozen=True)
class Uniform(Latency):
    """Uniform on [low_ms, high_ms]."""

    low_ms: float
    high_ms: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low_ms > self.high_ms:
            raise ValueError(f"Uniform({self.low_ms}, {self.high_ms}) is reversed; write the smaller end first")

    def sampler(self, random: Random, sender: NodeId, receiver: NodeId) -> Sampler:
        low, width, draw = float(self.low_ms), float(self.high_ms - self.low_ms), random.random
        return lambda: low + width * draw()

    def mean_ms(self) -> float:
        return (self.low_ms + self.high_ms) / 2


@dataclass(frozen=True)
class ExponentialLatency(Latency):
    """``floor_ms`` (the speed of light) plus an exponential tail of mean ``tail_ms``."""

    tail_ms: float
    floor_ms: float = 0.0

    def sampler(self, random: Random, sender: NodeId, receiver: NodeId) -> Sampler:
        floor, tail, draw, log = float(self.floor_ms), float(self.tail_ms), random.random, math.log
        return lambda: floor - tail * log(1.0 - draw())

    def mean_ms(self) -> float:
        return self.floor_ms + self.tail_ms


@dataclass(frozen=True)
class LogNormalLatency(Latency):
    """Log-normal with median ``median_ms``; ``sigma`` is the standard deviation of the logarithm (0.5: a long tail)."""

    median_ms: float
    sigma: float = 0.5

    def sampler(self, random: Random, sender: NodeId, receiver: NodeId) -> Sampler:
        median, sigma, draw, exp = float(self.median_ms), float(self.sigma), random.gauss, math.exp
        return lambda: median * exp(sigma * draw(0.0, 1.0))

    def mean_ms(self) -> float:
        return self.median_ms * math.exp(self.sigma**2 / 2)


@dataclass(frozen=True)
class PerLink(Latency):
    """A matrix: ``links`` holds (sender, receiver, ms) for each direction; ``jitter`` adds up to that fraction.
    ``sampler`` raises ``ValueError`` for a link that the matrix lacks."""

    links: tuple[tuple[NodeId, NodeId, float], ...]
    jitter: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        for sender, receiver, ms in self.links:
            require.number(f"PerLink.links[{sender} → {receiver}]", ms, 0)

    def sampler(self, random: Random, sender: NodeId, receiver: NodeId) -> Sampler:
        known = {(one, other): ms for one, other, ms in self.links}
        if (sender, receiver) not in known:
            raise ValueError(f"PerLink has no latency for {sender} → {receiver}; add ({sender!r}, {receiver!r}, ms)")
        base, jitter, draw = float(known[sender, receiver]), float(self.jitter), random.random
        return lambda: base * (1.0 + jitter * draw())

    def mean_ms(self) -> float:
        return sum(ms for _, _, ms in self.links) / max(1, len(self.links)) * (1 + self.jitter / 2)
