"""Workloads: when requests arrive, and how much work each of them brings.

Request number ``i`` has the same arrival and the same work in every run with the same seed, whatever policy looks
after it, because both are functions of (seed, stream name, i): *common random numbers*. Times are in seconds;
``mean_s`` is a mean service time on a backend of speed 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from distlib.core.draw import compiled, compiled_allocating, fill_uniform, uniform
from distlib.core.parameter import Parameters, parameter

Floats = NDArray[np.float64]
BLOCK = 65_536  # numbers generated at a time: they stay in the processor's cache


def unit_exponentials(key: int, start: int, out: Floats) -> None:
    """Fill ``out`` with exponential numbers of mean 1, by inversion of draws ``start``, ``start`` + 1, ..."""
    for low in range(0, out.size, BLOCK):
        block = out[low : low + BLOCK]
        fill_uniform(np.uint64(key), start + low, block)
        np.log(block, out=block)
        np.negative(block, out=block)


@compiled
def running_sum(gaps: Floats, scale: float, now: float) -> float:
    """Turn gaps (times ``scale``) into arrival times after ``now``, in place, in order, as a clock would add them."""
    for i in range(gaps.size):
        now += gaps[i] * scale
        gaps[i] = now
    return now


def poisson_times(key: int, count: int, rate_per_s: float) -> Floats:
    """The first ``count`` arrivals of a Poisson process, block by block while each is in the cache."""
    times, now = np.empty(count), 0.0
    for low in range(0, count, BLOCK):
        block = times[low : low + BLOCK]
        unit_exponentials(key, low, block)
        now = running_sum(block, 1.0 / rate_per_s, now)
    return times


@dataclass(frozen=True)
class Arrivals(Parameters):
    """When requests arrive. ``rate_per_s`` is the long-run mean rate."""

    rate_per_s: float = parameter(9.0, "arrival rate", unit="1/s", low=1e-9, high=1e9, scale="log",
        help="mean number of requests a second")  # fmt: skip

    def times(self, key: int, count: int) -> Floats:
        """The first ``count`` arrival times in seconds, never decreasing."""
        raise NotImplementedError

    @property
    def mean_rate_per_s(self) -> float:
        """Long-run mean rate."""
        return self.rate_per_s


@dataclass(frozen=True)
class Poisson(Arrivals):
    """Independent users: exponential gaps."""

    def times(self, key: int, count: int) -> Floats:
        return poisson_times(key, count, self.rate_per_s)


@dataclass(frozen=True)
class Regular(Arrivals):
    """Deterministic: one request every 1/rate seconds."""

    def times(self, key: int, count: int) -> Floats:
        return np.arange(1, count + 1) / self.rate_per_s


@dataclass(frozen=True)
class Bursty(Arrivals):
    """Markov-modulated Poisson process with two states: calm, and a burst in which the rate is ``peak`` times as high.
    A share ``burst_share`` of the time is burst, in stretches of exponential length with mean ``burst_s``."""

    peak: float = parameter(5.0, "burst over calm", low=1.0, high=1000.0, scale="log",
        help="rate in a burst over rate in calm")  # fmt: skip
    burst_s: float = parameter(10.0, "mean burst", unit="s", low=1e-6, high=1e6, scale="log",
        help="mean length of a burst")  # fmt: skip
    burst_share: float = parameter(0.1, "share of bursts", low=0.001, high=0.999,
        help="share of the time spent in bursts")  # fmt: skip

    def times(self, key: int, count: int) -> Floats:
        calm_rate = self.rate_per_s / (1.0 - self.burst_share + self.peak * self.burst_share)
        calm_s = self.burst_s * (1.0 - self.burst_share) / self.burst_share
        rates, stays_s = np.array([calm_rate, calm_rate * self.peak]), np.array([calm_s, self.burst_s])
        return modulated_poisson(np.uint64(key), count, rates, stays_s)


@compiled_allocating
def modulated_poisson(key: np.uint64, count: int, rates: Floats, stays_s: Floats) -> Floats:
    """Arrival times of a two-state MMPP: whichever comes first, the next arrival or the next change of state."""
    times = np.empty(count)
    draw, state, now = 1, 0, 0.0
    if uniform(key, 0) < stays_s[1] / (stays_s[0] + stays_s[1]):
        state = 1  # start in the long-run distribution
    change = -stays_s[state] * math.log(uniform(key, draw))
    draw += 1
    i = 0
    while i < count:
        gap = -math.log(uniform(key, draw)) / rates[state]
        draw += 1
        if now + gap < change:
            now += gap
            times[i] = now
            i += 1
        else:  # an exponential gap has no memory, so it is drawn afresh in the new state
            now = change
            state = 1 - state
            change = now - stays_s[state] * math.log(uniform(key, draw))
            draw += 1
    return times


@dataclass(frozen=True)
class Diurnal(Arrivals):
    """Poisson with rate(t) = rate · (1 + swing · sin(2πt / period))."""

    swing: float = parameter(0.5, "swing", low=0.0, high=1.0, help="how far the rate swings around its mean")
    period_s: float = parameter(86_400.0, "period", unit="s", low=1e-3, high=1e9, scale="log", help="length of a day")

    def times(self, key: int, count: int) -> Floats:
        """Unit Poisson times, mapped through the inverse of the expected number of arrivals."""
        return invert_diurnal(poisson_times(key, count, 1.0), self.rate_per_s, self.swing, self.period_s)


@compiled_allocating
def invert_diurnal(expected: Floats, rate: float, swing: float, period_s: float) -> Floats:
    """t with rate·(t + swing·period/2π·(1 − cos(2πt/period))) = expected, by bisection on its known bracket."""
    times = np.empty(expected.size)
    lag = swing * period_s / math.pi  # the mean rate's time is at most this much later
    for i in range(expected.size):
        high = expected[i] / rate
        low = max(0.0, high - lag)
        for _ in range(200):
            middle = 0.5 * (low + high)
            if middle <= low or middle >= high:
                break
            swung = swing * period_s / (2.0 * math.pi) * (1.0 - math.cos(2.0 * math.pi * middle / period_s))
            if rate * (middle + swung) < expected[i]:
                low = middle
            else:
                high = middle
        times[i] = high
    return times


@dataclass(frozen=True)
class Replay(Arrivals):
    """A recorded series of arrival times (seconds, never decreasing), repeated end to end when more are asked for."""

    recorded_s: tuple[float, ...] = field(default=(), repr=False)
    rate_per_s: float = field(default=0.0, init=False)

    def check(self) -> None:
        if len(self.recorded_s) < 2:
            raise ValueError(f"recorded_s has {len(self.recorded_s)} times; a series needs at least two")
        times = np.asarray(self.recorded_s, np.float64)
        if not np.isfinite(times).all() or (np.diff(times) < 0).any() or times[0] == times[-1]:
            raise ValueError("recorded_s takes finite arrival times in seconds that never decrease and span some time")

    @property
    def mean_rate_per_s(self) -> float:
        return (len(self.recorded_s) - 1) / (self.recorded_s[-1] - self.recorded_s[0])

    def times(self, key: int, count: int) -> Floats:
        since_first = np.asarray(self.recorded_s[1:], np.float64) - self.recorded_s[0]
        rounds, at = np.divmod(np.arange(count), since_first.size)
        return since_first[at] + rounds * since_first[-1]


@dataclass(frozen=True)
class ServiceTimes(Parameters):
    """How much work a request brings, as time on a backend of speed 1."""

    mean_s: float = parameter(1.0, "mean service time", unit="s", low=1e-9, high=1e9, scale="log",
        help="on a backend of speed 1")  # fmt: skip

    def sample(self, keys: tuple[int, int], count: int) -> Floats:
        """Service times of the first ``count`` requests, from two random streams."""
        raise NotImplementedError

    @property
    def cv2(self) -> float:
        """Squared coefficient of variation: variance over squared mean."""
        raise NotImplementedError

    @property
    def expected_s(self) -> float:
        """Mean service time."""
        return self.mean_s


def uniforms(key: int, count: int) -> Floats:
    """The first ``count`` uniform draws of a stream."""
    out = np.empty(count)
    fill_uniform(np.uint64(key), 0, out)
    return out


@dataclass(frozen=True)
class Exponential(ServiceTimes):
    """Memoryless; c² = 1."""

    cv2: ClassVar[float] = 1.0

    def sample(self, keys: tuple[int, int], count: int) -> Floats:
        times = np.empty(count)
        unit_exponentials(keys[0], 0, times)
        if self.mean_s != 1.0:
            times *= self.mean_s
        return times


@dataclass(frozen=True)
class Deterministic(ServiceTimes):
    """Every request brings the same work; c² = 0."""

    cv2: ClassVar[float] = 0.0

    def sample(self, keys: tuple[int, int], count: int) -> Floats:
        return np.full(count, self.mean_s)


@dataclass(frozen=True)
class Hyperexponential(ServiceTimes):
    """Two kinds of requests, short and long, both exponential, with balanced means (each kind is half of the work)."""

    variability: float = parameter(4.0, "c²", low=1.0, high=1000.0, scale="log",
        help="squared coefficient of variation; 1 is exponential")  # fmt: skip

    @property
    def cv2(self) -> float:
        return self.variability

    @property
    def short_share(self) -> float:
        """p = (1 + √((c² − 1)/(c² + 1)))/2; short requests have mean mean/(2p), long ones mean/(2(1 − p))."""
        return 0.5 * (1.0 + math.sqrt((self.variability - 1.0) / (self.variability + 1.0)))

    def sample(self, keys: tuple[int, int], count: int) -> Floats:
        p = self.short_share
        short = uniforms(keys[1], count) < p
        times = np.empty(count)
        unit_exponentials(keys[0], 0, times)
        times *= np.where(short, self.mean_s / (2.0 * p), self.mean_s / (2.0 * (1.0 - p)))
        return times


@dataclass(frozen=True)
class LogNormal(ServiceTimes):
    """exp of a normal number, as measured latencies often look."""

    variability: float = parameter(4.0, "c²", low=0.001, high=1000.0, scale="log",
        help="squared coefficient of variation")  # fmt: skip

    @property
    def cv2(self) -> float:
        return self.variability

    def sample(self, keys: tuple[int, int], count: int) -> Floats:
        """By inversion: exp(μ + σ Φ⁻¹(u)), σ² = ln(1 + c²), μ = ln mean − σ²/2."""
        variance = math.log1p(self.variability)
        return np.exp(math.log(self.mean_s) - 0.5 * variance + math.sqrt(variance) * ndtri(uniforms(keys[0], count)))


@dataclass(frozen=True)
class Pareto(ServiceTimes):
    """Heavy tail: P(S > x) = (x_min/x)^shape; infinite variance for a shape of 2 or less."""

    shape: float = parameter(2.5, "shape", low=1.01, high=100.0, scale="log",
        help="the smaller, the heavier the tail; variance is infinite up to 2")  # fmt: skip

    @property
    def cv2(self) -> float:
        """1/(shape(shape − 2)), infinite for a shape of 2 or less."""
        return 1.0 / (self.shape * (self.shape - 2.0)) if self.shape > 2.0 else math.inf

    def sample(self, keys: tuple[int, int], count: int) -> Floats:
        """x_min · u^(−1/shape) with x_min = mean (shape − 1)/shape."""
        x_min = self.mean_s * (self.shape - 1.0) / self.shape
        return x_min * uniforms(keys[0], count) ** (-1.0 / self.shape)


@dataclass(frozen=True)
class Empirical(ServiceTimes):
    """Drawn again, each with the same chance, from measured values (seconds)."""

    values_s: tuple[float, ...] = field(default=(), repr=False)
    mean_s: float = field(default=0.0, init=False)

    def check(self) -> None:
        values = np.asarray(self.values_s, np.float64)
        if values.size == 0 or not np.isfinite(values).all() or (values < 0).any() or values.sum() == 0:
            raise ValueError("values_s takes measured service times in seconds: at least one, none negative, not all 0")

    @property
    def expected_s(self) -> float:
        return float(np.mean(self.values_s))

    @property
    def cv2(self) -> float:
        return float(np.var(self.values_s)) / self.expected_s**2

    def sample(self, keys: tuple[int, int], count: int) -> Floats:
        values = np.asarray(self.values_s, np.float64)
        return values[(uniforms(keys[0], count) * values.size).astype(np.int64)]


@dataclass(frozen=True)
class Workload:
    """The random input of a run; the same for every policy."""

    arrival_s: Floats
    service_s: Floats
    sender: NDArray[np.int32]  # balancer of each request; one entry when there is one balancer
    client: NDArray[np.int32]  # client of each request; one entry when keys do not matter
