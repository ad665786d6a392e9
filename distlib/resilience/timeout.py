"""How long to wait for an answer: a fixed time, or one that follows the recent latencies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from distlib.core.draw import compiled, plain
from distlib.core.parameter import Parameters, parameter
from distlib.resilience.percentile import Quantiles, RecentLatency, quantile

NONE, FIXED, ADAPTIVE = range(3)
KINDS = ("none", "fixed", "adaptive")


class TimeoutRule(NamedTuple):
    """The constants of a timeout."""

    kind: int
    timeout_s: float
    share: float
    factor: float
    low_s: float
    high_s: float
    warm_up: int


@dataclass(frozen=True)
class Timeout(Parameters):
    """When a caller stops waiting. The adaptive kind waits ``factor`` times a percentile of the latencies of recent
    good answers, between two bounds, and ``timeout_s`` until it has seen enough of them. (Its own timeouts cut the
    latencies that it sees: without ``low_s`` and a factor above 1 it would creep downward.)"""

    kind: str = parameter("fixed", "timeout", choices=KINDS, help="for ever, a fixed time, or by recent latencies")
    timeout_s: float = parameter(1.0, "timeout", unit="s", low=1e-4, high=1e4, scale="log", help="how long to wait")
    percentile: float = parameter(99.0, "percentile", unit="%", low=1.0, high=99.99, only_with=("kind", "adaptive"),
        help="of the recent latencies")  # fmt: skip
    factor: float = parameter(2.0, "factor", low=1.0, high=100.0, scale="log", only_with=("kind", "adaptive"),
        help="so many times the percentile")  # fmt: skip
    low_s: float = parameter(0.01, "at least", unit="s", low=1e-4, high=1e4, scale="log",
        only_with=("kind", "adaptive"), help="lower bound of the adaptive timeout")  # fmt: skip
    high_s: float = parameter(60.0, "at most", unit="s", low=1e-4, high=1e4, scale="log",
        only_with=("kind", "adaptive"), help="upper bound of the adaptive timeout")  # fmt: skip
    warm_up: int = parameter(100, "warm-up", low=1, high=100_000, scale="log", only_with=("kind", "adaptive"),
        help="answers before the percentile counts")  # fmt: skip

    def check(self) -> None:
        if self.kind == "adaptive" and self.low_s > self.high_s:
            raise ValueError(
                f"Timeout.low_s is {self.low_s:g} s, above high_s = {self.high_s:g} s; make it the smaller one"
            )

    def rule(self) -> TimeoutRule:
        """The constants for compiled functions."""
        return TimeoutRule(
            KINDS.index(self.kind), self.timeout_s, self.percentile / 100, self.factor, self.low_s, self.high_s,
            self.warm_up,
        )  # fmt: skip


NO_TIMEOUT = TimeoutRule(NONE, math.inf, 0.0, 0.0, 0.0, 0.0, 0)


@compiled
def timeout_of(rule: TimeoutRule, known: Quantiles) -> float:
    """How long to wait for the answer to an attempt that begins now, s."""
    if rule.kind == NONE:
        return math.inf
    if rule.kind == FIXED or known.seen < rule.warm_up:
        return rule.timeout_s
    return min(rule.high_s, max(rule.low_s, rule.factor * quantile(known, rule.share)))


class TimeoutPolicy:
    """A timeout at work: tell it how long good answers took, ask it how long to wait."""

    def __init__(self, params: Timeout, latency: RecentLatency | None = None) -> None:
        self._rule = params.rule()
        self.latency = RecentLatency() if latency is None else latency

    def current_s(self) -> float:
        """How long to wait for an attempt that begins now, s; infinite for no timeout."""
        return float(plain_timeout_of(self._rule, self.latency._known))

    @property
    def adaptive(self) -> bool:
        """Whether it looks at the latencies."""
        return self._rule.kind == ADAPTIVE

    def observe(self, took_s: float) -> None:
        """A good answer took so long."""
        if self.adaptive:
            self.latency.observe(took_s)


plain_timeout_of = plain(timeout_of)
