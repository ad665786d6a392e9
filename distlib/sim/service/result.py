"""What became of the requests of one run, and summaries of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from distlib.core import require
from distlib.core.exact import rounded_down
from distlib.sim.service.balancer_state import FAILED, OK, REJECTED, UNAVAILABLE, Floats
from distlib.sim.service.instant import LATEST, tally
from distlib.sim.service.params import ServiceParams

WARM_UP = 0.1  # share of the requests that statistics leave out, because the service starts empty
BATCHES = 40  # batch means: enough for a stable error estimate, and to see how far neighbours resemble each other


@dataclass(frozen=True)
class Estimate:
    """A mean and its standard error, in the unit of the observations."""

    mean: float
    standard_error: float

    def interval(self) -> tuple[float, float]:
        """95 % confidence: the mean minus and plus 1.96 standard errors."""
        return self.mean - 1.96 * self.standard_error, self.mean + 1.96 * self.standard_error


def batch_means(values: Floats) -> Estimate:
    """Mean and standard error of a correlated series; NaN as error when there are fewer than two values a batch.

    Batch means (Law & Kelton, *Simulation Modeling*), whose own covariances are added in pairs of lags as long as a
    pair is positive, no pair counting more than the one before it (Geyer, *Statistical Science* 7, 1992: the initial
    monotone sequence): near saturation a busy spell is longer than a batch. Where it is as long as the run, the error
    is still taken for too small.
    """
    if values.size == 0:
        return Estimate(math.nan, math.nan)
    length = values.size // BATCHES
    if length < 2:
        return Estimate(float(values.mean()), math.nan)
    off = values[: length * BATCHES].reshape(BATCHES, length).mean(axis=1)
    off -= off.mean()
    covariances = np.correlate(off, off, "full")[BATCHES - 1 :] / (BATCHES - 1)
    pairs = covariances[::2] + covariances[1::2]
    positive = pairs[: np.append(pairs <= 0, True).argmax()]
    variance = max(covariances[0], 2 * np.minimum.accumulate(positive).sum() - covariances[0])
    return Estimate(float(values.mean()), math.sqrt(variance / BATCHES))


def happened_by(times_s: Floats, at_s: Floats, group: NDArray[np.int32], groups: int) -> NDArray[np.int64]:
    """How many of each group have happened by the end of each of these instants, shape (times, groups)."""
    times, place = np.unique(np.multiply(times_s, LATEST), return_inverse=True)
    counts = np.zeros((times.size + 1, groups), np.int64)
    tally(times, at_s, group, counts)
    return np.asarray(counts[:-1].cumsum(axis=0)[place])


def _ended(status: int, meaning: str) -> Any:
    """How many requests ended with ``status``, as a property."""
    return property(lambda result: int((result.status == status).sum()), doc=meaning)


@dataclass(frozen=True, eq=False)
class ServiceResult:
    """One run, as arrays with one entry a request in order of arrival; times in seconds. ``status`` is 0 answered, 1
    rejected (queue full), 2 failed (backend down), 3 unavailable (no backend left). Statistics leave out the first
    tenth of the requests, because the service starts empty, and count response times of answered requests only."""

    params: ServiceParams = field(repr=False)
    arrival_s: Floats = field(repr=False)
    service_s: Floats = field(repr=False)
    start_s: Floats = field(repr=False)
    departure_s: Floats = field(repr=False)
    backend: NDArray[np.int32] = field(repr=False)
    status: NDArray[np.int8] = field(repr=False)

    @property
    def backends(self) -> int:
        """Number of backends."""
        return self.params.backends.count

    @cached_property
    def unstable(self) -> str:
        """Why queues grow for ever, or an empty string."""
        return self.params.unstable()

    @property
    def label(self) -> str:
        """The policy's name, marked when the system is unstable."""
        return self.params.policy.label + (" (unstable)" if self.unstable else "")

    def _answered(self, values: Floats) -> Floats:
        if self.status.any():
            values[self.status != OK] = np.nan
        return values

    @cached_property
    def response_s(self) -> Floats:
        """Time from arrival to departure; NaN for requests that were not answered."""
        return self._answered(self.departure_s - self.arrival_s)

    @cached_property
    def wait_s(self) -> Floats:
        """Time from arrival to the begin of service; NaN for requests that were not answered."""
        return self._answered(self.start_s - self.arrival_s)

    def warmed_up(self, values: NDArray[Any]) -> NDArray[Any]:
        """What is left of one value a request after the warm-up."""
        return values[rounded_down(WARM_UP, values.size) :]

    @cached_property
    def observed_s(self) -> Floats:
        """Response times of the answered requests after the warm-up, in order of arrival."""
        response = self.warmed_up(self.response_s)
        return response[~np.isnan(response)] if self.status.any() else response

    @cached_property
    def _ordered_s(self) -> Floats:
        return np.sort(self.observed_s)

    @cached_property
    def response(self) -> Estimate:
        """Mean response time with the standard error of batch means."""
        return batch_means(self.observed_s)

    @property
    def mean_s(self) -> float:
        """Mean response time."""
        return self.response.mean

    def percentile_s(self, percent: float) -> float:
        """Response time that ``percent`` % of the answered requests do not exceed; NaN when there are none."""
        require.number("percent", percent, 0, 100)
        size = self.observed_s.size
        if size == 0:
            return math.nan
        at = percent / 100.0 * (size - 1)
        low = math.floor(at)  # between two observations the quantile goes in a straight line
        high = min(low + 1, size - 1)
        known = "_ordered_s" in self.__dict__  # to put two into their places takes a fifth of the time of sorting all
        ordered = self._ordered_s if known else np.partition(self.observed_s, (low, high))
        return float(ordered[low] + (at - low) * (ordered[high] - ordered[low]))

    def ccdf(self) -> tuple[Floats, Floats]:
        """(t, P(response > t)) at 200 response times, spaced so that the far tail is seen."""
        ordered = self._ordered_s
        if ordered.size == 0:
            return np.zeros(0), np.zeros(0)
        tail = np.geomspace(1.0, 1.0 / ordered.size, 200)
        rank = np.clip(np.ceil((1.0 - tail) * ordered.size).astype(np.int64) - 1, 0, ordered.size - 1)
        return ordered[rank], 1.0 - (rank + 1) / ordered.size

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Requests sent to each backend."""
        return np.bincount(self.backend[self.backend >= 0], minlength=self.backends)

    rejected = _ended(REJECTED, "Requests that found the queue full.")
    failed = _ended(FAILED, "Requests lost to a backend that was down.")
    unavailable = _ended(UNAVAILABLE, "Requests that found every backend ejected.")

    @cached_property
    def _present(self) -> NDArray[np.bool_]:
        return (self.status == OK) | (self.status == FAILED)

    def queue_lengths(self, times_s: Sequence[float] | Floats) -> NDArray[np.int64]:
        """Requests at each backend at the given times, shape (times, backends); for bars that live. With a central
        queue a request belongs to a backend from the begin of its service on; see ``waiting``."""
        entered = self.start_s if self.params.policy.central else self.arrival_s
        return self._between(times_s, entered, self.departure_s, self.backend, self.backends)

    def waiting(self, times_s: Sequence[float] | Floats) -> NDArray[np.int64]:
        """Requests that wait for a server anywhere at the given times."""
        return self._between(times_s, self.arrival_s, self.start_s, np.zeros_like(self.backend), 1)[:, 0]

    def _between(
        self, times_s: Sequence[float] | Floats, came_s: Floats, went_s: Floats, group: NDArray[np.int32], groups: int
    ) -> NDArray[np.int64]:
        """How many of each group have come and not gone at the given times."""
        times = np.asarray(times_s, np.float64)
        here: Any = slice(None) if self._present.all() else self._present
        came = happened_by(times, came_s[here], group[here], groups)
        return came - happened_by(times, went_s[here], group[here], groups)

    def summary(self) -> pd.DataFrame:
        """One row: the numbers that a table under a figure shows."""
        row = {
            "policy": self.label, "requests": self.status.size,
            "mean_s": self.mean_s, "standard_error_s": self.response.standard_error,
            **{f"p{percent:g}_s": self.percentile_s(percent) for percent in (50, 95, 99, 99.9)},
            "rejected": self.rejected, "failed": self.failed, "unavailable": self.unavailable,
            "unstable": self.unstable,
        }  # fmt: skip
        return pd.DataFrame([row])
