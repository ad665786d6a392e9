"""Percentiles of recent latencies, kept up to date in constant room and time: a histogram that forgets.

Cells are spaced by factors of ``GROWTH``, and a percentile is given as the middle of its cell, which is wrong by
``ERROR`` = 2.5 % at most; every new value makes all earlier ones count a little less (exponential forgetting), by
weighing the new one more instead of touching every cell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from distlib.core import require
from distlib.core.draw import compiled, plain
from distlib.core.record import cells

GROWTH = 1.05
ERROR = math.sqrt(GROWTH) - 1.0
"""Relative error of a percentile, at most."""
LOWEST_S = 1e-5
CELLS = 425
"""From 10 µs to 10,000 s; what is beyond falls into the last cell."""
LOG_GROWTH = math.log(GROWTH)
HEAVIEST = 1e12


@dataclass
class Quantiles:
    """A histogram that forgets."""

    total: float = 0.0  # weight of all cells
    newest: float = 1.0  # what the next value weighs
    seen: int = 0  # values so far
    weight: list[float] = cells(CELLS)  # of each cell


@compiled
def observe(known: Quantiles, value_s: float, memory: float) -> None:
    """Count a latency; ``memory`` is how many values back the weight has fallen to 1/e."""
    cell = 0
    if value_s > LOWEST_S:
        cell = min(CELLS - 1, int(math.log(value_s / LOWEST_S) / LOG_GROWTH))
    known.newest *= 1.0 + 1.0 / memory
    known.weight[cell] += known.newest
    known.total += known.newest
    known.seen += 1
    if known.newest > HEAVIEST:
        for k in range(CELLS):
            known.weight[k] /= HEAVIEST
        known.total /= HEAVIEST
        known.newest /= HEAVIEST


@compiled
def quantile(known: Quantiles, share: float) -> float:
    """The latency that a share ``share`` of the recent ones does not exceed, s; 0 when none has been seen."""
    if known.total == 0.0:
        return 0.0
    left = min(max(share, 1e-9), 1.0 - 1e-9) * known.total  # within the cells, whose sum is the total but for rounding
    cell = 0
    while cell < CELLS - 1 and left > known.weight[cell]:
        left -= known.weight[cell]
        cell += 1
    return LOWEST_S * math.exp((cell + 0.5) * LOG_GROWTH)


MEMORY = 1000.0
"""Latencies that a caller remembers, roughly."""


class RecentLatency:
    """The recent latencies of one caller."""

    def __init__(self) -> None:
        self._known = Quantiles()

    @property
    def seen(self) -> int:
        """Latencies so far."""
        return int(self._known.seen)

    def observe(self, took_s: float) -> None:
        """Count a latency; ``ValueError`` for a negative one."""
        plain_observe(self._known, require.number("took_s", took_s, 0.0), MEMORY)

    def quantile_s(self, share: float) -> float:
        """The latency that a share of the recent ones does not exceed, s; 0 when none has been seen."""
        return float(plain_quantile(self._known, require.number("share", share, 0.0, 1.0)))


plain_observe, plain_quantile = plain(observe), plain(quantile)
