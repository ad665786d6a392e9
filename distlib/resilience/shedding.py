"""Load shedding: which requests a busy server does not serve, so that it can serve the others in time.

At the door: a random share, or the least important (the SRE book's criticality, chapter 21). In the queue: what has
waited too long for its answer to be of use (CoDel), or the youngest first, who may still be waited for (adaptive LIFO).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from distlib.core import require
from distlib.core.draw import compiled, plain
from distlib.core.parameter import Parameters, parameter

NONE, RANDOM, PRIORITY, CODEL, ADAPTIVE_LIFO = range(5)
KINDS = ("none", "random", "priority", "CoDel", "adaptive LIFO")
PRIORITIES = ("sheddable", "sheddable plus", "critical", "critical plus")
"""Criticality of a request, least important first (SRE book, chapter 21)."""


class SheddingRule(NamedTuple):
    """The constants of a shedding rule."""

    kind: int
    low: float
    high: float
    target_s: float
    interval_s: float


@dataclass
class SheddingState:
    """What the rule remembers of a queue."""

    above_since_s: float = math.inf  # CoDel: since when requests have waited longer than the target
    dropping: bool = False
    next_drop_s: float = 0.0
    drops: int = 0  # in this spell of dropping, and what the last one began with
    first_drops: int = 0
    empty_at_s: float = 0.0  # adaptive LIFO: when the queue was last seen empty


@dataclass(frozen=True)
class Shedding(Parameters):
    """What is shed.

    *Random*: nothing while ``low`` or fewer wait, everything from ``high`` on, in between a share that rises in a
    straight line (random early detection, Floyd & Jacobson 1993, without its averaging). *Priority*: the same room,
    parted by importance: critical-plus requests are let in while fewer than ``high`` wait, each level below while fewer
    than a quarter of ``high`` - ``low`` less do. *CoDel* (K. Nichols & V. Jacobson, *Controlling Queue Delay*, ACM
    Queue 2012; here as in RFC 8289): when every request has waited ``target_s`` or longer for ``interval_s``, one is
    dropped, others follow after interval, interval/√2, interval/√3, … until a wait is short or nobody waits; a spell
    that comes within 16 intervals begins at the rate that the last one had reached. *Adaptive LIFO* (B. Maurer, *Fail
    at Scale*, ACM Queue 2015, with its variant of CoDel): while the queue has been empty within ``interval_s``, first
    come first served; else the newest first, and whoever has waited longer than ``target_s`` is dropped when its turn
    comes. (In the paper the longest wait, 5 or 100 ms, is fixed when a request arrives.)
    """

    kind: str = parameter("CoDel", "shedding", choices=KINDS[1:], help="which requests are not served")
    low: int = parameter(
        10, "from", low=0, high=1_000_000, scale="linear", help="waiting requests from which on some are shed"
    )
    high: int = parameter(
        100, "all from", low=1, high=1_000_000, scale="log", help="waiting requests from which on all are shed"
    )
    target_s: float = parameter(
        0.005, "target", unit="s", low=1e-5, high=1e3, scale="log", help="wait that is short enough"
    )
    interval_s: float = parameter(0.1, "interval", unit="s", low=1e-4, high=1e3, scale="log",
        help="how long the wait may be longer before anything is dropped")  # fmt: skip

    def check(self) -> None:
        if self.kind in ("random", "priority") and self.low >= self.high:
            raise ValueError(f"Shedding.low is {self.low}; it takes a number below high = {self.high}")
        if self.kind == "CoDel" and self.target_s >= self.interval_s:
            raise ValueError(
                f"Shedding.target_s is {self.target_s:g} s; it takes a time below interval_s = {self.interval_s:g} s"
            )

    def rule(self) -> SheddingRule:
        """The constants for compiled functions."""
        return SheddingRule(KINDS.index(self.kind), float(self.low), float(self.high), self.target_s, self.interval_s)


@compiled
def admits(rule: SheddingRule, known: SheddingState, now: float, waiting: int, priority: int, u: float) -> bool:
    """Whether a request is let in while so many wait; ``u`` is a random number between 0 and 1."""
    if rule.kind == RANDOM:
        return waiting <= rule.low + u * (rule.high - rule.low)
    if rule.kind == PRIORITY:
        return waiting < rule.high - (3 - priority) * 0.25 * (rule.high - rule.low)
    if rule.kind == ADAPTIVE_LIFO and waiting == 0:
        known.empty_at_s = now
    return True


@compiled
def newest_first(rule: SheddingRule, known: SheddingState, now: float) -> bool:
    """Whether the next request is taken from the young end of the queue."""
    return rule.kind == ADAPTIVE_LIFO and now - known.empty_at_s > rule.interval_s


@compiled
def drops(rule: SheddingRule, known: SheddingState, now: float, waited_s: float, waiting: int) -> bool:
    """Whether a request that has waited so long is dropped now that its turn has come; ``waiting`` stay behind it."""
    if rule.kind == ADAPTIVE_LIFO:
        return waited_s > rule.target_s and newest_first(rule, known, now)
    if rule.kind != CODEL:
        return False
    if waited_s < rule.target_s or waiting == 0:
        known.above_since_s = math.inf
        known.dropping = False
        return False
    if known.above_since_s == math.inf:
        known.above_since_s = now
    if known.dropping:
        if now < known.next_drop_s:
            return False
        known.drops += 1
        known.next_drop_s += rule.interval_s / math.sqrt(known.drops)
        return True
    if now < known.above_since_s + rule.interval_s:
        return False
    known.dropping = True
    more = known.drops - known.first_drops
    known.drops = more if more > 1 and now - known.next_drop_s < 16.0 * rule.interval_s else 1
    known.first_drops = known.drops
    known.next_drop_s = now + rule.interval_s / math.sqrt(known.drops)
    return True


class Shedder:
    """A shedding rule at work, for one queue."""

    def __init__(self, params: Shedding) -> None:
        self._rule = params.rule()
        self._known = SheddingState()

    def admit(self, now: float, waiting: int, priority: int = 2, u: float = 0.5) -> bool:
        """Whether a request is let in while so many wait; ``priority`` from 0 (sheddable) to 3 (critical plus)."""
        require.whole("priority", priority, 0, 3)
        return bool(plain_admits(self._rule, self._known, now, waiting, priority, u))

    def newest_first(self, now: float) -> bool:
        """Whether the next request is taken from the young end of the queue."""
        return bool(plain_newest_first(self._rule, self._known, now))

    def drop(self, now: float, waited_s: float, waiting: int) -> bool:
        """Whether a request that has waited so long is dropped now that its turn has come; ``waiting`` stay behind."""
        return bool(plain_drops(self._rule, self._known, now, waited_s, waiting))


plain_admits, plain_drops, plain_newest_first = plain(admits), plain(drops), plain(newest_first)
