"""Hedged requests under fan-out: J. Dean & L. A. Barroso, *The Tail at Scale*, CACM 56(2), 2013.

The paper reports one benchmark: 1,000 keys read from a table on 100 servers; a hedge after 10 ms takes the 99.9th
percentile of the whole read from 1,800 ms to 74 ms with 2 % more requests. It does not publish how long one key takes.
Ours is log-normal and independent from key to key, its two constants fitted to two of the three numbers (2 % of the
keys take longer than 10 ms; 99.9 % of the reads end within 1,800 ms); the third is then a prediction: 78 ms.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from distlib.core import require
from distlib.core.parameter import Parameters, parameter
from distlib.resilience import theory

Floats = NDArray[np.float64]
PUBLISHED = {"keys": 1000, "hedge_ms": 10.0, "extra": 0.02, "p99.9_ms": 1800.0, "hedged_p99.9_ms": 74.0}
POINTS = 240


def fitted(slow: float, slow_ms: float, fan_out: int, quantile: float, root_ms: float) -> tuple[float, float]:
    """Median (ms) and σ of a log-normal leaf, of which a share ``slow`` takes longer than ``slow_ms``, and of whose
    slowest of ``fan_out`` the ``quantile`` is ``root_ms``."""
    near, far = ndtri(1.0 - slow), ndtri(theory.leaf_quantile(quantile, fan_out))
    sigma = math.log(root_ms / slow_ms) / (far - near)
    return float(slow_ms * math.exp(-sigma * near)), float(sigma)


MEDIAN_MS, SIGMA = fitted(
    PUBLISHED["extra"], PUBLISHED["hedge_ms"], int(PUBLISHED["keys"]), 0.999, PUBLISHED["p99.9_ms"]
)


@dataclass(frozen=True)
class TailParams(Parameters):
    """A read that is done when the slowest of its parts is, and a hedge for every part."""

    fan_out: int = parameter(
        1000, "parts", low=1, high=10_000, scale="log", help="the read waits for the slowest of them"
    )
    hedge_ms: float = parameter(10.0, "hedge after", unit="ms", low=0.1, high=10_000.0, scale="log",
        help="then the part is asked for a second time, elsewhere")  # fmt: skip
    median_ms: float = parameter(round(MEDIAN_MS, 4), "median", unit="ms", low=0.01, high=1000.0, scale="log",
        help="of one part")  # fmt: skip
    sigma: float = parameter(round(SIGMA, 4), "σ", low=0.05, high=3.0,
        help="spread of the logarithm: the larger, the longer the tail of one part")  # fmt: skip
    shared: float = parameter(0.0, "shared slowness", low=0.0, high=1.0,
        help="share of the hedges that meet the same slowness, so that they gain nothing")  # fmt: skip


@dataclass(frozen=True, eq=False)
class TailStudy:
    """``ccdf``: time_ms, and P(longer) of a part and of the read, without a hedge and with it, in the columns part,
    hedged_part, read, hedged_read. ``extra``: further requests a request."""

    params: TailParams
    ccdf: pd.DataFrame = field(repr=False)
    extra: float

    def percentile_ms(self, percent: float, *, hedged: bool) -> float:
        """The time that so many percent of the reads do not exceed, ms."""
        require.number("percent", percent, 0.001, 99.999)
        params = self.params
        wanted = 1.0 - theory.leaf_quantile(percent / 100, params.fan_out)

        def excess(log_ms: float) -> float:
            time_ms = np.array([math.exp(log_ms)])
            tail = hedged_part_tail(params, time_ms) if hedged else part_tail(params, time_ms)
            return math.log(max(1e-300, float(tail[0]))) - math.log(wanted)

        low, high = math.log(params.median_ms) - 8 * params.sigma, math.log(params.median_ms) + 8 * params.sigma
        return math.exp(brentq(excess, low, high))


def part_tail(params: TailParams, time_ms: Floats) -> Floats:
    """P(a part takes longer)."""
    with np.errstate(divide="ignore"):
        away = (np.log(np.maximum(time_ms, 0.0)) - math.log(params.median_ms)) / params.sigma
    return np.asarray(ndtr(-away), np.float64)


def hedged_part_tail(params: TailParams, time_ms: Floats) -> Floats:
    """P(a part with a hedge takes longer), of which a share gains nothing."""
    alone = part_tail(params, time_ms)
    hedged = theory.hedged_tail(lambda times: part_tail(params, times), params.hedge_ms)(time_ms)
    return params.shared * alone + (1.0 - params.shared) * hedged


def tail_at_scale(params: TailParams) -> TailStudy:
    """The read with and without hedges."""
    low, high = params.median_ms / 10, params.median_ms * math.exp(params.sigma * 5.2)
    times = np.unique(np.append(np.geomspace(low, high, POINTS), [params.hedge_ms]))
    part, hedged = part_tail(params, times), hedged_part_tail(params, times)
    ccdf = pd.DataFrame({
        "time_ms": times, "part": part, "hedged_part": hedged, "read": theory.any_of(part, params.fan_out),
        "hedged_read": theory.any_of(hedged, params.fan_out),
    })  # fmt: skip
    return TailStudy(params, ccdf, theory.hedge_cost(lambda times: part_tail(params, times), params.hedge_ms))
