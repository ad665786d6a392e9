"""Closed forms of fault tolerance: what retries multiply, when a storm ends, what breakers, hedges and replicas gain.

Failures are independent here unless a formula says otherwise; in a real outage they are not, and that is where the
promises of these formulas end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import binom

from distlib.core import require
from distlib.theory.queueing import erlang_b

Floats = NDArray[np.float64]
HOURS_A_YEAR = 8766.0


def _probability(name: str, value: float) -> float:
    return require.number(name, value, 0.0, 1.0)


# --- retries -------------------------------------------------------------------------------------------------


def amplification(failure: float, retries: int) -> float:
    """Attempts a call on average, at failure probability ``failure`` an attempt with at most ``retries`` retries:
    1 + p + … + pᴺ = (1 - pᴺ⁺¹)/(1 - p), which is N + 1 when everything fails."""
    require.whole("retries", retries, 0)
    p = _probability("failure", failure)
    return float(retries + 1) if p == 1.0 else (1.0 - p ** (retries + 1)) / (1.0 - p)


def success(failure: float, retries: int) -> float:
    """Probability that a call succeeds: 1 - pᴺ⁺¹."""
    require.whole("retries", retries, 0)
    return 1.0 - _probability("failure", failure) ** (retries + 1)


def layered_amplification(attempts: int, layers: int) -> int:
    """Attempts at the lowest of ``layers`` callers that each make up to ``attempts`` attempts while it is down:
    attempts^layers, so 64 for three layers of four."""
    return int(require.whole("attempts", attempts, 1) ** require.whole("layers", layers, 1))


def stability(rate_per_s: float, capacity_per_s: float, retries: float) -> str:
    """The state of a service with retries on timeouts and no other protection (N. Bronson et al., *Metastable Failures
    in Distributed Systems*, HotOS 2021, §2): ``stable`` while even λ(1 + r) < μ, ``vulnerable`` while only λ < μ: a
    trigger that makes everything time out leaves λ(1 + r) ≥ μ behind, which keeps everything timing out; else
    ``overloaded``."""
    rate, capacity = require.above("rate_per_s", rate_per_s), require.above("capacity_per_s", capacity_per_s)
    require.number("retries", retries, 0.0)
    if rate >= capacity:
        return "overloaded"
    return "stable" if rate * (1.0 + retries) < capacity else "vulnerable"


def recovery_s(rate_per_s: float, capacity_per_s: float, retries: float, timeout_s: float, outage_s: float) -> float:
    """How long after an outage requests are answered in time again; infinite when never. Fluid model of one queue,
    first come first served, in which callers retry at once when ``timeout_s`` is over and the server also works on what
    nobody waits for any more.

    At the end of the outage λt + rλ(t - T) wait (retries begin one timeout late). While the wait exceeds T every
    attempt times out, so λ(1 + r) arrive and the queue falls by μ - λ(1 + r) a second, until no more than μT wait.
    """
    rate, capacity = require.above("rate_per_s", rate_per_s), require.above("capacity_per_s", capacity_per_s)
    require.number("retries", retries, 0.0)
    timeout, outage = require.above("timeout_s", timeout_s), require.number("outage_s", outage_s, 0.0)
    backlog = rate * outage + retries * rate * max(0.0, outage - timeout)
    excess = backlog - capacity * timeout
    if excess <= 0.0:
        return 0.0
    drain = capacity - rate * (1.0 + retries)
    return excess / drain if drain > 0.0 else math.inf


def longest_harmless_outage_s(rate_per_s: float, capacity_per_s: float, retries: float, timeout_s: float) -> float:
    """The longest outage after which nothing has to be made up for: the backlog of ``recovery_s`` just fits into one
    timeout. At 280 a second of 300 and a timeout of 1 s it is 1.04 s."""
    rate, capacity = require.above("rate_per_s", rate_per_s), require.above("capacity_per_s", capacity_per_s)
    timeout = require.above("timeout_s", timeout_s)
    alone = capacity * timeout / rate
    return (
        alone
        if alone <= timeout
        else (capacity / rate + require.number("retries", retries, 0.0)) * timeout / (1.0 + retries)
    )


def budget_that_recovers(rate_per_s: float, capacity_per_s: float) -> float:
    """The retry budget (retries a call) below which the queue still drains while everything fails: λ(1 + b) < μ gives
    μ/λ - 1, so 7.1 % at 280 a second of 300; a budget of 20 % is too large there."""
    rate, capacity = require.above("rate_per_s", rate_per_s), require.above("capacity_per_s", capacity_per_s)
    return max(0.0, capacity / rate - 1.0)


def load_that_recovers(capacity_per_s: float, budget: float) -> float:
    """The load below which a retry budget lets the queue drain: μ/(1 + b), so 250 a second of 300 with 20 %."""
    return require.above("capacity_per_s", capacity_per_s) / (1.0 + require.number("budget", budget, 0.0))


def throttle_threshold(ratio: float) -> float:
    """Failure probability at which gRPC's retry throttle switches retries off in the long run (proposal A6): tokens
    fall by p and rise by (1 - p)·r an attempt, so they drift down above p = r/(1 + r), 1/11 for r = 0.1."""
    r = require.above("ratio", ratio)
    return r / (1.0 + r)


# --- breakers ------------------------------------------------------------------------------------------------


def calls_until_open(failure: float, in_a_row: int) -> float:
    """Calls until ``in_a_row`` failures come one after another: (p⁻ᵏ - 1)/(1 - p) (W. Feller, *An Introduction to
    Probability Theory*, volume 1, XIII.7). Even at 5 % failures a threshold of 3 opens after 8,420 calls on average."""
    p, k = require.above("failure", failure, most=1.0), require.whole("in_a_row", in_a_row, 1)
    return float(k) if p == 1.0 else (p**-k - 1.0) / (1.0 - p)


def false_trip(failure: float, window: int, rate: float) -> float:
    """Probability that a full window of ``window`` calls shows a failure rate of at least ``rate`` though the true one
    is ``failure``: the upper tail of the binomial distribution."""
    needed = math.ceil(require.number("rate", rate, 0.0, 1.0) * require.whole("window", window, 1) - 1e-9)
    return float(binom.sf(needed - 1, window, _probability("failure", failure)))


@dataclass(frozen=True)
class BreakerShares:
    """Long-run shares of time of a breaker's states, and of calls that it rejects."""

    closed: float
    open: float
    half_open: float

    @property
    def rejected(self) -> float:
        """Share of calls that are rejected; they come evenly over time, and probes are not rejected."""
        return self.open


def breaker_shares(failure: float, in_a_row: int, open_calls: float, probes: int = 1) -> BreakerShares:
    """A breaker of consecutive failures as a Markov chain whose steps are calls: closed with 0 … k - 1 failures in a
    row, open for ``open_calls`` calls, half-open with 0 … n - 1 good probes; stationary distribution by solving πP = π.
    Each call fails with probability ``failure``, whatever the breaker does; results come before the next call."""
    p, k, n = (
        _probability("failure", failure),
        require.whole("in_a_row", in_a_row, 1),
        require.whole("probes", probes, 1),
    )
    stay = require.number("open_calls", open_calls, 0.0)
    states = k + 1 + n  # the open state is visited once, and weighed by how long it lasts
    step = np.zeros((states, states))
    for j in range(k):
        step[j, 0] += 1.0 - p
        step[j, j + 1] += p  # after k - 1 comes state k: open
    step[k, k + 1] = 1.0
    for j in range(n):
        step[k + 1 + j, k] += p
        step[k + 1 + j, 0 if j == n - 1 else k + 2 + j] += 1.0 - p
    system = np.vstack([step.T - np.eye(states), np.ones(states)])
    share = np.linalg.lstsq(system, np.append(np.zeros(states), 1.0), rcond=None)[0]
    share[k] *= stay
    share = np.clip(share, 0.0, None) / share.sum()
    return BreakerShares(float(share[:k].sum()), float(share[k]), float(share[k + 1 :].sum()))


# --- hedging and fan-out -------------------------------------------------------------------------------------


def any_slow(slow: float, fan_out: int) -> float:
    """Probability that at least one of ``fan_out`` leaves is slow: 1 - (1 - p)ⁿ, so 63.4 % for one in a hundred and a
    hundred leaves (J. Dean & L. A. Barroso, *The Tail at Scale*, CACM 56(2), 2013)."""
    return float(any_of(np.array([_probability("slow", slow)]), require.whole("fan_out", fan_out, 1))[0])


def any_of(tail: Floats, fan_out: int) -> Floats:
    """The same for an array of probabilities, exact for small ones too."""
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(fan_out * np.log1p(-tail)), np.float64)


def leaf_quantile(quantile: float, fan_out: int) -> float:
    """Which quantile of one leaf is the ``quantile`` of the slowest of ``fan_out``: q^(1/n). The median of 100 is the
    99.3rd percentile of one."""
    return float(_probability("quantile", quantile) ** (1.0 / require.whole("fan_out", fan_out, 1)))


def hedged_tail(tail: Callable[[Floats], Floats], delay_s: float) -> Callable[[Floats], Floats]:
    """P(latency > t) with one hedge after ``delay_s``: S(t) before, S(t)·S(t - d) after, for two independent draws from
    the latency whose tail is ``tail``. A queue that both share makes them dependent, and the gain smaller."""
    delay = require.number("delay_s", delay_s, 0.0)

    def hedged(time_s: Floats) -> Floats:
        times = np.asarray(time_s, np.float64)
        return np.where(times < delay, tail(times), tail(times) * tail(np.maximum(times - delay, 0.0)))

    return hedged


def hedge_cost(tail: Callable[[Floats], Floats], delay_s: float) -> float:
    """Further requests a request: S(d), so 5 % for a hedge at the 95th percentile."""
    return float(tail(np.array([require.number("delay_s", delay_s, 0.0)]))[0])


# --- availability --------------------------------------------------------------------------------------------


def in_series(*availability: float) -> float:
    """All are needed: the product."""
    return math.prod(_probability("availability", one) for one in availability)


def in_parallel(*availability: float) -> float:
    """One is enough: 1 - Π(1 - a)."""
    return 1.0 - math.prod(1.0 - _probability("availability", one) for one in availability)


def k_of_n(availability: float, needed: int, replicas: int) -> float:
    """``needed`` of ``replicas`` alike ones are enough: the upper tail of the binomial distribution."""
    require.whole("replicas", replicas, 1)
    require.whole("needed", needed, 1, replicas)
    return float(binom.sf(needed - 1, replicas, _probability("availability", availability)))


def with_common_cause(availability: float, replicas: int, common: float) -> float:
    """One of ``replicas`` is enough, but a share ``common`` of each one's unavailability strikes all at once
    (beta-factor model, K. N. Fleming, 1975): (1 - βu)·(1 - ((1 - β)u)ⁿ), nearly. More replicas never help against
    βu."""
    u, beta = 1.0 - _probability("availability", availability), _probability("common", common)
    return (1.0 - beta * u) * (1.0 - ((1.0 - beta) * u) ** require.whole("replicas", replicas, 1))


def downtime_h(availability: float) -> float:
    """Hours of downtime a year; 8.8 for three nines."""
    return (1.0 - _probability("availability", availability)) * HOURS_A_YEAR


# --- bulkheads -----------------------------------------------------------------------------------------------


def bulkhead_loss(most: int, rate_per_s: float, service_s: float) -> float:
    """Share of calls that a bulkhead of ``most`` rejects while Poisson calls take ``service_s`` on average: Erlang's
    loss formula, whatever the distribution of their times."""
    load = require.number("rate_per_s", rate_per_s, 0.0) * require.above("service_s", service_s)
    return erlang_b(require.whole("most", most, 1), load)


def bulkhead_for(loss: float, rate_per_s: float, service_s: float) -> int:
    """The smallest bulkhead that rejects a share ``loss`` at most."""
    wanted = require.above("loss", loss, most=1.0)
    load = require.number("rate_per_s", rate_per_s, 0.0) * require.above("service_s", service_s)
    most, rejected = 0, 1.0
    while rejected > wanted:  # Erlang's recursion
        most += 1
        rejected = load * rejected / (most + load * rejected)
    return max(1, most)


def storm_load(rate_per_s: float, capacity_per_s: float, retries: int, timeout_s: float) -> list[float]:
    """Attempts a second at which a retrying M/M/1 service can rest: λ' = λ·(1 + p + … + pᴺ) with p = P(response >
    timeout) at load λ'/μ, and p = 1 from λ' ≥ μ on. One solution when it is stable; when it is vulnerable there are
    three: the good one, the bad one at λ(1 + N), and an unstable one between them, which a trigger has to push it
    over."""
    rate, capacity = require.above("rate_per_s", rate_per_s), require.above("capacity_per_s", capacity_per_s)
    timeout = require.above("timeout_s", timeout_s)

    def excess(attempts_per_s: float) -> float:
        late = 1.0 if attempts_per_s >= capacity else math.exp(-(capacity - attempts_per_s) * timeout)
        return rate * amplification(late, retries) - attempts_per_s

    grid = np.linspace(rate * (1.0 - 1e-6), rate * (1 + retries), 4001)
    values = [excess(one) for one in grid]
    found = [
        float(brentq(excess, low, high))
        for low, high, a, b in zip(grid, grid[1:], values, values[1:], strict=False)
        if a > 0 >= b or a <= 0 < b
    ]
    worst = rate * (1 + retries)
    return found if any(abs(one - worst) < 1e-6 * worst for one in found) or worst < capacity else [*found, worst]
