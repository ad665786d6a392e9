"""What stands in for a fresh answer: a cache that may serve stale, and asks once for many.

A cache turns many requests into one, until a popular entry runs out and all of them go to the origin together (a
*thundering herd*, or cache stampede). Three remedies: one request fetches while the others wait (single flight),
entries run out at different times (jitter), and when the origin fails, a stale answer is better than none (RFC 5861,
stale-if-error).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from distlib.core import require
from distlib.core.parameter import Parameters, parameter


@dataclass(frozen=True)
class CacheRule(Parameters):
    """How long an answer is fresh, and how long it may stand in for one."""

    fresh_s: float = parameter(60.0, "fresh", unit="s", low=0.001, high=1e7, scale="log", help="time to live")
    jitter: float = parameter(0.1, "jitter", low=0.0, high=0.99, help="share of it by which entries differ, at random")
    stale_s: float = parameter(600.0, "stale", unit="s", low=0.0, high=1e7,
        help="how much longer an answer may be given when there is no better one")  # fmt: skip
    most: int = parameter(10_000, "entries", low=1, high=10**7, scale="log", help="answers that are kept at most")


@dataclass(frozen=True)
class Hit:
    """An answer: a fresh one, or a stale one where the origin has failed."""

    answer: Any


@dataclass(frozen=True)
class Fetch:
    """No fresh answer: this caller is the one to ask the origin, and owes a ``fetched`` or a ``failed``."""


@dataclass(frozen=True)
class Join:
    """No fresh answer, and somebody is asking already: wait for that one; ``stale`` is an old answer, if there is one
    (``has_stale``)."""

    has_stale: bool
    stale: Any = None


@dataclass
class _Entry:
    fresh_until_s: float = -1.0
    stale_until_s: float = -1.0
    answer: Any = None
    asking: bool = False


class StaleCache:
    """A cache, without clock and sockets: told the time, it says who asks the origin. Where there is no room, the
    answer that was fetched longest ago goes."""

    def __init__(self, rule: CacheRule) -> None:
        self.rule = require.instance("rule", rule, CacheRule, "a CacheRule")
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def look(self, key: str, now: float) -> Hit | Fetch | Join:
        """What a caller does that wants the answer for ``key``."""
        entry = self._entries.setdefault(key, _Entry())
        if now < entry.fresh_until_s:
            return Hit(entry.answer)
        if entry.asking:
            usable = now < entry.stale_until_s
            return Join(usable, entry.answer if usable else None)
        entry.asking = True
        return Fetch()

    def fetched(self, key: str, answer: Any, now: float, u: float) -> None:
        """The origin has answered; ``u`` is a random number between 0 and 1."""
        entry = self._entries.setdefault(key, _Entry())
        lasts_s = self.rule.fresh_s * (1.0 - self.rule.jitter * u)
        entry.answer, entry.asking = answer, False
        entry.fresh_until_s, entry.stale_until_s = now + lasts_s, now + lasts_s + self.rule.stale_s
        self._entries.move_to_end(key)
        if len(self._entries) > self.rule.most:
            oldest = next(name for name, one in self._entries.items() if not one.asking)  # at the latest, this one
            del self._entries[oldest]

    def failed(self, key: str, now: float) -> Hit | None:
        """The origin has failed: the stale answer to give instead, or None when there is none that is young enough. The
        next caller asks again."""
        entry = self._entries.get(key, _Entry())
        entry.asking = False
        if now < entry.stale_until_s:
            return Hit(entry.answer)
        self._entries.pop(key, None)
        return None

    def clear(self) -> None:
        """The cache is lost, as after a restart; whoever is asking still answers into it."""
        asking = [key for key, one in self._entries.items() if one.asking]
        self._entries = OrderedDict((key, _Entry(asking=True)) for key in asking)
