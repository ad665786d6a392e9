"""Hedged requests: ask a second instance when the first one takes long (J. Dean & L. A. Barroso, *The Tail at Scale*,
CACM 56(2), 2013, "Within-request short-term adaptations")."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from distlib.core.draw import compiled, plain
from distlib.core.parameter import Parameters, parameter
from distlib.resilience.percentile import Quantiles, RecentLatency, quantile

NONE, FIXED, PERCENTILE = range(3)
KINDS = ("none", "fixed", "percentile")


class HedgeRule(NamedTuple):
    """The constants of a hedge."""

    kind: int
    delay_s: float
    share: float
    most: int
    tied: bool
    warm_up: int


@dataclass(frozen=True)
class Hedge(Parameters):
    """When another instance is asked as well; the first answer counts. ``tied`` requests know of each other: as soon as
    work on one begins, the other is withdrawn from its queue."""

    kind: str = parameter("percentile", "hedge", choices=KINDS[1:], help="after a fixed time, or a percentile")
    delay_s: float = parameter(0.01, "after", unit="s", low=0.0, high=1e4, only_with=("kind", "fixed"),
        help="how long to wait for the first one")  # fmt: skip
    percentile: float = parameter(95.0, "percentile", unit="%", low=1.0, high=99.99, only_with=("kind", "percentile"),
        help="of the recent latencies")  # fmt: skip
    most: int = parameter(1, "hedges", low=1, high=10, help="further instances at most")
    tied: bool = parameter(False, "tied", help="work on one withdraws the other")
    warm_up: int = parameter(100, "warm-up", low=1, high=100_000, scale="log", only_with=("kind", "percentile"),
        help="answers before the percentile counts; until then nothing is hedged")  # fmt: skip

    def rule(self) -> HedgeRule:
        """The constants for compiled functions."""
        return HedgeRule(
            KINDS.index(self.kind), self.delay_s, self.percentile / 100, self.most, self.tied, self.warm_up
        )


NO_HEDGE = HedgeRule(NONE, math.inf, 0.0, 0, False, 0)


@compiled
def hedge_after(rule: HedgeRule, known: Quantiles) -> float:
    """How long after an attempt the next hedge follows, s; infinite for never."""
    if rule.kind == FIXED:
        return rule.delay_s
    if rule.kind == NONE or known.seen < rule.warm_up:
        return math.inf
    return quantile(known, rule.share)


class HedgePolicy:
    """A hedge at work."""

    def __init__(self, params: Hedge, latency: RecentLatency | None = None) -> None:
        self._rule = params.rule()
        self.latency = RecentLatency() if latency is None else latency

    @property
    def most(self) -> int:
        """Further attempts at most."""
        return self._rule.most

    @property
    def tied(self) -> bool:
        """Whether work on one attempt withdraws the others."""
        return self._rule.tied

    def after_s(self) -> float:
        """How long after an attempt that begins now the next one follows, s; infinite for never."""
        return float(plain_hedge_after(self._rule, self.latency._known))

    @property
    def adaptive(self) -> bool:
        """Whether it looks at the latencies."""
        return self._rule.kind == PERCENTILE

    def observe(self, took_s: float) -> None:
        """A good answer took so long."""
        if self.adaptive:
            self.latency.observe(took_s)


plain_hedge_after = plain(hedge_after)
