"""Outlier detection: a caller stops using an instance that fails while others do not (Envoy's `outlier_detection`,
detection type *consecutive 5xx*).

An instance that fails ``consecutive`` times in a row is ejected at once, for ``base_s`` times a multiplier,
``longest_s`` at most. Each ejection raises the multiplier by one. Envoy looks at its hosts every ``interval_s``, here
at the whole multiples of that time: a host whose time is over is taken back then and not before, and the multiplier of
one that is in use goes down by one. No more than a share ``max_share`` of the instances are ejected at once, rounded
down: with 10 % and fewer than ten instances none is, unless ``always_one`` is set (`always_eject_one_host`, new in
Envoy 1.31 and off by default; before that one host was ejected whatever the share). Whoever may not be ejected is
counted from zero again.

Not here: ejection by success rate, and Envoy's panic threshold (with fewer than half of the hosts left it uses all;
ours uses all when none is left).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from distlib.core import require
from distlib.core.draw import compiled, plain
from distlib.core.parameter import Parameters, parameter

NONE, CONSECUTIVE = range(2)


class OutlierRule(NamedTuple):
    """The constants of outlier detection; ``at_most`` is how many instances may be ejected at once."""

    kind: int
    consecutive: int
    base_s: float
    longest_s: float
    interval_s: float
    at_most: int


@dataclass
class InstanceHealth:
    """What a caller remembers of one instance."""

    failures: int = 0  # in a row
    times: int = 0  # the multiplier, as of `sweep`
    until_s: float = math.inf  # when it is back; infinite where it is not ejected
    sweep: int = 0  # the number of the look at which it was taken back


@dataclass
class Ejected:
    """How many instances a caller has ejected now."""

    count: int = 0


@dataclass(frozen=True)
class OutlierDetection(Parameters):
    """When an instance is ejected. The defaults are Envoy's."""

    consecutive: int = parameter(5, "failures in a row", low=1, high=1000, help="as many eject an instance")
    base_s: float = parameter(30.0, "ejection", unit="s", low=0.001, high=1e6, scale="log",
        help="times its ejections in a row")  # fmt: skip
    longest_s: float = parameter(
        300.0, "longest ejection", unit="s", low=0.001, high=1e6, scale="log", help="upper bound"
    )
    interval_s: float = parameter(10.0, "interval", unit="s", low=0.001, high=1e6, scale="log",
        help="between two looks at the instances: who is back, and whose next ejection is shorter")  # fmt: skip
    max_share: float = parameter(0.1, "ejected at most", low=0.0, high=1.0, help="share of the instances")
    always_one: bool = parameter(False, "always one", help="one may be ejected whatever the share says")

    def check(self) -> None:
        if self.longest_s < self.base_s:
            raise ValueError(
                f"OutlierDetection.longest_s is {self.longest_s:g} s, below base_s = {self.base_s:g} s; "
                "make it the larger one"
            )

    def rule(self, instances: int) -> OutlierRule:
        """The constants for so many instances."""
        at_most = math.floor(self.max_share * require.whole("instances", instances, 1) + 1e-9)
        at_most = max(at_most, int(self.always_one))
        return OutlierRule(CONSECUTIVE, self.consecutive, self.base_s, self.longest_s, self.interval_s, at_most)


@compiled
def observe(rule: OutlierRule, known: InstanceHealth, ejected: Ejected, failed: bool, now: float) -> None:
    """How an attempt at an instance ended."""
    if rule.kind == NONE:
        return
    take_back(known, ejected, now)
    known.failures = known.failures + 1 if failed else 0
    if known.until_s < math.inf or known.failures < rule.consecutive:
        return
    known.failures = 0
    if ejected.count < rule.at_most:
        eject(rule, known, now)
        ejected.count += 1


@compiled
def eject(rule: OutlierRule, known: InstanceHealth, now: float) -> None:
    """Take an instance out of use until the first look after its time."""
    looks = int(now / rule.interval_s) - known.sweep
    known.times = max(0, known.times - max(0, looks))
    if known.times * rule.base_s < rule.longest_s + rule.base_s:
        known.times += 1
    over_s = now + min(rule.longest_s, rule.base_s * known.times)
    known.sweep = math.ceil(over_s / rule.interval_s)
    known.until_s = known.sweep * rule.interval_s


@compiled
def take_back(known: InstanceHealth, ejected: Ejected, now: float) -> None:
    """An instance whose ejection is over is in use again."""
    if now >= known.until_s:
        known.until_s = math.inf
        known.failures = 0
        ejected.count -= 1


@compiled
def available(rule: OutlierRule, known: InstanceHealth, ejected: Ejected, now: float) -> bool:
    """Whether an instance may be used. One whose ejection is over is taken back here, and is counted as ejected until
    somebody asks."""
    if rule.kind == NONE:
        return True
    take_back(known, ejected, now)
    return known.until_s == math.inf


class OutlierWatch:
    """Outlier detection of one caller over ``instances`` instances."""

    def __init__(self, params: OutlierDetection, instances: int) -> None:
        self._rule = params.rule(instances)
        self._known = [InstanceHealth() for _ in range(instances)]
        self._ejected = Ejected()
        self.instances = instances

    def observe(self, instance: int, failed: bool, now: float) -> None:
        """How an attempt at an instance (0, 1, …) ended."""
        require.whole("instance", instance, 0, self.instances - 1)
        if self._ejected.count > 0:
            self.ejected(now)  # those whose time is over leave room for others
        plain_observe(self._rule, self._known[instance], self._ejected, failed, now)

    def ejected(self, now: float) -> list[int]:
        """Instances that are out of use."""
        return [k for k, one in enumerate(self._known) if not plain_available(self._rule, one, self._ejected, now)]

    def available(self, now: float) -> list[int]:
        """Instances that may be used: those that are not ejected, or all of them when none is left."""
        out = set(self.ejected(now))
        return [k for k in range(self.instances) if k not in out] or [*range(self.instances)]


plain_observe, plain_available = plain(observe), plain(available)
