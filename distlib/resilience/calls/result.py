"""What became of a run: every request from outside, counts by slice of time, and attempts one by one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from distlib.core import require
from distlib.resilience.breaker import STATES
from distlib.resilience.calls.params import Graph
from distlib.resilience.calls.state import (
    DEGRADED,
    EDGE_COUNTS,
    EDGE_SAMPLES,
    OUTCOMES,
    SERVICE_COUNTS,
    SERVICE_SAMPLES,
    TRIES,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class GraphResult:
    """One run of a graph. Times are in seconds since its beginning."""

    graph: Graph
    requests: NDArray[Any] = field(repr=False)  # records: arrival_s, done_s, outcome, priority, attempts
    edge_series: Floats = field(repr=False)  # (slices, calls, EDGE_COUNTS and EDGE_SAMPLES)
    service_series: Floats = field(repr=False)
    log: NDArray[Any] = field(repr=False)
    happened: int = 0  # events

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Which requests were answered, degraded answers included."""
        return self.requests["outcome"] <= DEGRADED

    @property
    def response_s(self) -> Floats:
        """Response times of the requests that were answered."""
        times: Any = (self.requests["done_s"] - self.requests["arrival_s"])[self.answered]
        return np.asarray(times, np.float64)

    @property
    def success(self) -> float:
        """Share of the requests that were answered; NaN without requests."""
        return float(self.answered.mean()) if self.answered.size else math.nan

    def percentile_s(self, percent: float) -> float:
        """Response time that so many percent of the answered requests do not exceed; NaN without any."""
        require.number("percent", percent, 0, 100)
        times = self.response_s
        return float(np.percentile(times, percent)) if times.size else math.nan

    def outcomes(self) -> pd.Series:
        """Number of requests by outcome, those that occur."""
        counts = np.bincount(self.requests["outcome"], minlength=len(OUTCOMES))
        return pd.Series({name: int(one) for name, one in zip(OUTCOMES, counts, strict=True) if one})

    @cached_property
    def slices_s(self) -> Floats:
        """Where each slice begins."""
        return np.arange(len(self.edge_series), dtype=np.float64) * self.graph.slice_s

    def goodput_per_s(self, start_s: float = 0.0, end_s: float | None = None) -> float:
        """Requests answered a second, of those that arrived from ``start_s`` on and before ``end_s``."""
        end_s = self.graph.duration_s if end_s is None else end_s
        if not 0 <= start_s < end_s <= self.graph.duration_s:
            raise ValueError(
                f"the span from {start_s:g} to {end_s:g} s is not within the run of {self.graph.duration_s:g} s"
            )
        arrived = self.requests["arrival_s"]
        return float((self.answered & (arrived >= start_s) & (arrived < end_s)).sum() / (end_s - start_s))

    @cached_property
    def course(self) -> pd.DataFrame:
        """By slice: requests from outside that arrived, and how many of *those* were answered in the end, as rates;
        columns time_s, offered_per_s, goodput_per_s, success, mean_s (response of the answered ones)."""
        slices = len(self.edge_series)
        place = np.minimum((self.requests["arrival_s"] / self.graph.slice_s).astype(np.int64), slices - 1)
        width = np.full(slices, self.graph.slice_s)
        width[-1] = self.graph.duration_s - (slices - 1) * self.graph.slice_s
        offered = np.bincount(place, minlength=slices)
        good = np.bincount(place[self.answered], minlength=slices)
        spent = np.bincount(place[self.answered], weights=self.response_s, minlength=slices)
        with np.errstate(invalid="ignore"):
            return pd.DataFrame({
                "time_s": self.slices_s, "offered_per_s": offered / width, "goodput_per_s": good / width,
                "success": good / offered, "mean_s": spent / good,
            })  # fmt: skip

    @cached_property
    def edges(self) -> pd.DataFrame:
        """By call and slice: time_s, call, what was counted (``EDGE_COUNTS``) and how things stood at the slice's end
        (``EDGE_SAMPLES``; breaker as a word)."""
        names = [one.name for one in self.graph.wired()]
        table = _long(self.slices_s, "call", names, self.edge_series, (*EDGE_COUNTS, *EDGE_SAMPLES))
        table["breaker"] = np.array(STATES)[table["breaker"].astype(int)]
        return table

    @cached_property
    def services(self) -> pd.DataFrame:
        """By service and slice: time_s, service, what was counted (``SERVICE_COUNTS``) and how things stood at the
        slice's end (``SERVICE_SAMPLES``)."""
        names = [one.name for one in self.graph.services]
        return _long(self.slices_s, "service", names, self.service_series, (*SERVICE_COUNTS, *SERVICE_SAMPLES))

    def edge(self, name: str) -> pd.DataFrame:
        """The rows of ``edges`` of one call, ``caller → callee``."""
        require.choice("the call", name, [one.name for one in self.graph.wired()])
        return self.edges[self.edges["call"] == name].reset_index(drop=True)

    def service(self, name: str) -> pd.DataFrame:
        """The rows of ``services`` of one service."""
        require.choice("the service", name, [one.name for one in self.graph.services])
        return self.services[self.services["service"] == name].reset_index(drop=True)

    @cached_property
    def attempts(self) -> pd.DataFrame:
        """The logged attempts: request, call (a number), edge (its name), number within the call, try (first try,
        retry, hedge), instance, outcome, and the times sent_s, begun_s and done_s (work, NaN where there was none),
        ended_s (when the caller knew; NaN when the run ended before)."""
        log, names = self.log, np.array([one.name for one in self.graph.wired()])
        words = np.array([*OUTCOMES, "pending"])
        return pd.DataFrame({
            "request": log["request"], "call": log["call"], "edge": names[log["edge"]], "number": log["number"],
            "try": np.array(TRIES)[log["tried"]], "instance": log["instance"], "outcome": words[log["outcome"]],
            "sent_s": log["sent_s"], "begun_s": log["begun_s"], "done_s": log["done_s"], "ended_s": log["ended_s"],
        })  # fmt: skip


def _long(times_s: Floats, column: str, names: list[str], series: Floats, columns: tuple[str, ...]) -> pd.DataFrame:
    table = pd.DataFrame({"time_s": np.repeat(times_s, len(names)), column: np.tile(names, len(times_s))})
    for k, name in enumerate(columns):
        table[name] = series[:, :, k].ravel()
    return table
