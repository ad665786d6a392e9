"""Limits of concurrency that find themselves: how many requests an instance works on or keeps waiting at once.

As in TCP, the limit rises while all is well and falls at signs of a queue (Netflix, *Performance Under Load*, 2018, and
its library concurrency-limits). By Little's law, limit = throughput × latency: at the right limit nothing waits long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from distlib.core.draw import compiled, plain
from distlib.core.parameter import Parameters, parameter

NONE, FIXED, AIMD, GRADIENT = range(4)
KINDS = ("none", "fixed", "AIMD", "gradient")
FIRST, LONG = 10, 600
"""The gradient's long-time latency is the mean of the first ten requests, then an exponential average over 600."""


class ConcurrencyRule(NamedTuple):
    """The constants of a concurrency limit."""

    kind: int
    start: float
    low: float
    high: float
    slow_s: float
    backoff: float
    tolerance: float
    queue: float
    smoothing: float


@dataclass
class ConcurrencyState:
    """What a limit remembers."""

    limit: float = 0.0
    in_flight: int = 0
    long_s: float = 0.0  # long-time mean latency
    seen: int = 0  # requests in it, up to FIRST


@dataclass(frozen=True)
class ConcurrencyLimit(Parameters):
    """How the limit is found.

    *AIMD* (``AIMDLimit``): a request that is dropped or takes longer than ``slow_s`` multiplies the limit by
    ``backoff``, rounded down; any other one adds 1 while at least half of the limit is in use. *Gradient*
    (``Gradient2Limit``): with g = tolerance · long-time latency / this latency, kept from ½ to 1, the limit moves by a
    share ``smoothing`` toward limit · g + queue, while at least half of it is in use. The long-time latency shrinks by
    5 % at every request that takes less than half of it, so that an overload is soon forgotten. *Fixed*: it stays at
    ``start``.

    What is in use is counted when the request ends, itself included; the library counts it when the request begins.
    Its defaults for ``AIMDLimit`` are a limit of 20 to 200 from 20 on, and 5 s.
    """

    kind: str = parameter("AIMD", "concurrency limit", choices=KINDS[1:], help="how the limit is found")
    start: int = parameter(20, "at first", low=1, high=100_000, scale="log", help="limit at the start")
    low: int = parameter(1, "at least", low=1, high=100_000, scale="log", help="lower bound of the limit")
    high: int = parameter(1000, "at most", low=1, high=100_000, scale="log", help="upper bound of the limit")
    slow_s: float = parameter(0.5, "slow from", unit="s", low=1e-4, high=1e4, scale="log", only_with=("kind", "AIMD"),
        help="a request that takes longer counts like a dropped one")  # fmt: skip
    backoff: float = parameter(0.9, "backoff", low=0.1, high=0.999, only_with=("kind", "AIMD"),
        help="the limit is multiplied by it")  # fmt: skip
    tolerance: float = parameter(1.5, "tolerance", low=1.0, high=10.0, only_with=("kind", "gradient"),
        help="growth of the latency that changes nothing")  # fmt: skip
    queue: int = parameter(4, "queue", low=0, high=1000, only_with=("kind", "gradient"), help="requests that may wait")
    smoothing: float = parameter(0.2, "smoothing", low=0.001, high=1.0, only_with=("kind", "gradient"),
        help="share of the way that one request moves the limit")  # fmt: skip

    def check(self) -> None:
        if not self.low <= self.start <= self.high:
            raise ValueError(
                f"ConcurrencyLimit.start is {self.start}; it takes a number from low = {self.low} to high = {self.high}"
            )

    def rule(self) -> ConcurrencyRule:
        """The constants for compiled functions."""
        return ConcurrencyRule(
            KINDS.index(self.kind), float(self.start), float(self.low), float(self.high), self.slow_s, self.backoff,
            self.tolerance, float(self.queue), self.smoothing,
        )  # fmt: skip


@compiled
def limit_of(known: ConcurrencyState) -> int:
    """Requests that may be in flight now."""
    return int(known.limit)


@compiled
def begins(known: ConcurrencyState) -> None:
    """A request is let in."""
    known.in_flight += 1


@compiled
def withdraws(known: ConcurrencyState) -> None:
    """A request that was let in is given up by its caller: it says nothing about the limit."""
    known.in_flight -= 1


@compiled
def ends(rule: ConcurrencyRule, known: ConcurrencyState, took_s: float, dropped: bool) -> None:
    """A request has ended, or was ``dropped`` after it had been let in."""
    half_used = 2 * known.in_flight >= known.limit
    known.in_flight -= 1
    if rule.kind == AIMD:
        if dropped or took_s > rule.slow_s:
            known.limit = max(rule.low, math.floor(known.limit * rule.backoff))
        elif half_used:
            known.limit = min(rule.high, known.limit + 1.0)
    elif rule.kind == GRADIENT and took_s > 0.0:
        follow_gradient(rule, known, took_s, half_used)


@compiled
def follow_gradient(rule: ConcurrencyRule, known: ConcurrencyState, took_s: float, half_used: bool) -> None:
    """Move the limit by the ratio of long-time to present latency."""
    known.seen = min(known.seen + 1, FIRST + 1)
    weight = 1.0 / known.seen if known.seen <= FIRST else 2.0 / (LONG + 1)
    known.long_s += (took_s - known.long_s) * weight
    long_s = known.long_s
    if long_s > 2.0 * took_s:
        known.long_s *= 0.95
    if not half_used:
        return
    gradient = max(0.5, min(1.0, rule.tolerance * long_s / took_s))
    wanted = known.limit * gradient + rule.queue
    moved = known.limit * (1.0 - rule.smoothing) + wanted * rule.smoothing
    known.limit = max(rule.low, min(rule.high, moved))


class ConcurrencyLimiter:
    """A concurrency limit at work."""

    def __init__(self, params: ConcurrencyLimit) -> None:
        self._rule = params.rule()
        self._known = ConcurrencyState(self._rule.start)

    @property
    def limit(self) -> int:
        """Requests that may be in flight now."""
        return int(plain_limit_of(self._known))

    @property
    def in_flight(self) -> int:
        """Requests in flight."""
        return int(self._known.in_flight)

    def enter(self) -> bool:
        """Whether a request is let in; whoever gets True owes a ``leave`` or a ``cancel``."""
        if self.in_flight >= self.limit:
            return False
        plain_begins(self._known)
        return True

    def leave(self, took_s: float, dropped: bool = False) -> None:
        """A request has ended after so long. ``RuntimeError`` when none is in flight."""
        self._check()
        plain_ends(self._rule, self._known, took_s, dropped)

    def cancel(self) -> None:
        """A request was given up by its caller, which says nothing about the limit. ``RuntimeError`` when none is in
        flight."""
        self._check()
        plain_withdraws(self._known)

    def _check(self) -> None:
        if self.in_flight == 0:
            raise RuntimeError("a request left, and none was in flight: leave once for every enter that said True")


plain_limit_of, plain_begins = plain(limit_of), plain(begins)
plain_ends, plain_withdraws = plain(ends), plain(withdraws)
