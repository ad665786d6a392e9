"""Limits of rate and of number: token bucket, leaky bucket, sliding window, bulkhead.

A rate limit says how many calls may begin in a time; a bulkhead how many may be under way at once (M. Nygard, *Release
It!*, 2007), which also bounds what a callee that has become slow can tie up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from distlib.core import require
from distlib.core.draw import compiled, plain
from distlib.core.parameter import Parameters, parameter

NONE, TOKEN_BUCKET, LEAKY_BUCKET, SLIDING_WINDOW = range(4)
KINDS = ("none", "token bucket", "leaky bucket", "sliding window")


class LimitRule(NamedTuple):
    """The constants of a rate limit."""

    kind: int
    rate_per_s: float
    burst: float


@dataclass
class LimitState:
    """What a rate limit remembers. ``level``: tokens left, or how full the bucket is, or calls in this window."""

    level: float = 0.0
    at_s: float = 0.0  # when ``level`` was brought up to date, or the number of the window
    before: float = 0.0  # calls in the window before


@dataclass(frozen=True)
class RateLimit(Parameters):
    """How many calls may begin.

    *Token bucket*: tokens come at ``rate_per_s`` up to ``burst``, a call takes one. *Leaky bucket* as a meter (ITU-T
    I.371's generic cell rate algorithm), without a queue: a call pours one in, ``rate_per_s`` leak out, and there is
    room for ``burst``; the two decide alike, seen from the full and from the empty side. *Sliding window*, a counter
    and no log: at most ``burst`` calls in the last ``burst / rate_per_s`` seconds, estimated from the counts of this
    fixed window and the one before, which is weighed by how much of it still overlaps (as in the `limits` package's
    sliding window counter). It takes the calls of the window before as spread evenly: if they came at its end, twice
    as many get through in so many seconds.
    """

    kind: str = parameter("token bucket", "rate limit", choices=KINDS[1:], help="how calls are counted")
    rate_per_s: float = parameter(100.0, "rate", unit="/s", low=1e-3, high=1e6, scale="log", help="calls a second")
    burst: float = parameter(10.0, "burst", low=1.0, high=1e6, scale="log", help="calls at once, or in a window")

    def rule(self) -> LimitRule:
        """The constants for compiled functions."""
        return LimitRule(KINDS.index(self.kind), self.rate_per_s, self.burst)


def unused(rule: LimitRule) -> LimitState:
    """A rate limit before the first call."""
    return LimitState(rule.burst if rule.kind == TOKEN_BUCKET else 0.0)


@compiled
def admits(rule: LimitRule, known: LimitState, now: float) -> bool:
    """Whether a call may begin; one that may is counted."""
    if rule.kind == TOKEN_BUCKET:
        known.level = min(rule.burst, known.level + (now - known.at_s) * rule.rate_per_s)
        known.at_s = now
        if known.level < 1.0 - 1e-9:  # a token that has come but for rounding
            return False
        known.level -= 1.0
        return True
    if rule.kind == LEAKY_BUCKET:
        known.level = max(0.0, known.level - (now - known.at_s) * rule.rate_per_s)
        known.at_s = now
        if known.level + 1.0 > rule.burst + 1e-9:
            return False
        known.level += 1.0
        return True
    if rule.kind == SLIDING_WINDOW:
        return window_admits(rule, known, now)
    return True


@compiled
def window_admits(rule: LimitRule, known: LimitState, now: float) -> bool:
    """The same for the sliding window."""
    windows = now * rule.rate_per_s / rule.burst
    number = math.floor(windows)
    if number > known.at_s:
        known.before = known.level if number == known.at_s + 1 else 0.0
        known.level = 0.0
        known.at_s = number
    overlap = 1.0 - (windows - number)
    if math.floor(known.before * overlap + known.level) + 1.0 > rule.burst:
        return False
    known.level += 1.0
    return True


class Limiter:
    """A rate limit at work; ``now`` is in seconds on any clock that does not run backwards."""

    def __init__(self, params: RateLimit) -> None:
        self._rule = params.rule()
        self._known = unused(self._rule)

    def allow(self, now: float) -> bool:
        """Whether a call may begin; one that may is counted."""
        return bool(plain_admits(self._rule, self._known, now))


plain_admits = plain(admits)


class Bulkhead:
    """At most ``most`` calls at once."""

    def __init__(self, most: int) -> None:
        self.most = require.whole("most", most, 1)
        self.under_way = 0

    def enter(self) -> bool:
        """Whether a call may begin; whoever gets True must ``leave``."""
        if self.under_way >= self.most:
            return False
        self.under_way += 1
        return True

    def leave(self) -> None:
        """A call has ended. ``RuntimeError`` when none was under way."""
        if self.under_way == 0:
            raise RuntimeError(
                "a call left the bulkhead, and none was in it: leave once for every enter that said True"
            )
        self.under_way -= 1
