"""Retry storms: a service that a short outage leaves overloaded for ever, and what brings it back.

The model is that of N. Bronson, A. Aghayev, A. Charapko and T. Zhu, *Metastable Failures in Distributed Systems* (HotOS
2021), §2: a server that can do 300 a second, callers that wait for one second and then try once more, an outage of ten
seconds. The server does not know who still waits, so it also works on what nobody wants any more.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from distlib.core.parameter import Parameters, parameter
from distlib.resilience import theory
from distlib.resilience.backoff import KINDS, Backoff
from distlib.resilience.breaker import CircuitBreaker
from distlib.resilience.budget import KINDS as BUDGETS
from distlib.resilience.budget import RetryBudget
from distlib.resilience.calls.params import CLIENTS, Call, Fault, Graph, Service
from distlib.resilience.calls.result import GraphResult
from distlib.resilience.calls.run import Progress, simulate
from distlib.resilience.concurrency import ConcurrencyLimit
from distlib.resilience.retry import Retry
from distlib.resilience.shedding import Shedding
from distlib.resilience.throttle import Throttle
from distlib.resilience.timeout import Timeout
from distlib.sim.sweep import in_threads
from distlib.sim.workload import Deterministic, Poisson

DATABASE = "database"
START_S = 20.0
"""When the outage begins."""
REMEDIES = (
    "none", "newest first", "bounded queue", "random shedding", "CoDel", "adaptive LIFO", "concurrency limit",
    "deadline passed on", "cancelling", "circuit breaker", "client throttle",
)  # fmt: skip
"""What the server, or its callers, may do against a storm."""
GOOD = 0.9
"""A second is good when such a share of its requests is answered in time."""


@dataclass(frozen=True)
class StormParams(Parameters):
    """A service, its load, its callers' retries, and an outage."""

    rate_per_s: float = parameter(280.0, "load", unit="/s", low=10.0, high=400.0, help="requests of clients")
    attempts: int = parameter(2, "attempts", low=1, high=6, help="of one call, the first included")
    outage_s: float = parameter(
        10.0, "outage", unit="s", low=0.0, high=60.0, help="from 20 s on; the server stands still"
    )
    remedy: str = parameter("none", "remedy", choices=REMEDIES, help="what is done against the storm")
    budget: str = parameter("none", "retry budget", choices=BUDGETS, help="of the callers together")
    budget_ratio: float = parameter(0.2, "budget's ratio", low=0.001, high=1.0, scale="log",
        help="retries a call; for gRPC tokens a good answer")  # fmt: skip
    timeout_s: float = parameter(
        1.0, "timeout", unit="s", low=0.05, high=10.0, scale="log", help="how long callers wait"
    )
    backoff: str = parameter("none", "backoff", choices=KINDS, help="before a retry")
    base_s: float = parameter(1.0, "base", unit="s", low=0.01, high=10.0, scale="log", help="of the backoff")
    capacity_per_s: float = parameter(300.0, "capacity", unit="/s", low=50.0, high=500.0, help="what the server can do")
    duration_s: float = parameter(200.0, "duration", unit="s", low=60.0, high=900.0, help="length of the run")
    seed: int = parameter(1, "seed", low=0, high=10**6, help="same seed, same arrivals")

    def check(self) -> None:
        if START_S + self.outage_s >= self.duration_s:
            raise ValueError(
                f"StormParams.duration_s is {self.duration_s:g} s; it takes more than the outage's end, "
                f"{START_S + self.outage_s:g} s"
            )

    @property
    def end_s(self) -> float:
        """When the outage is over."""
        return START_S + self.outage_s


def storm_graph(params: StormParams) -> Graph:
    """The service and its callers as a graph."""
    budget = None
    if params.budget != "none":
        minimum = 0.0 if params.budget == "Finagle" else 1.0
        budget = RetryBudget(params.budget, ratio=params.budget_ratio, minimum=minimum)
    backoff = Backoff(params.backoff, params.base_s, max(30.0, params.base_s))
    service = Service(DATABASE, service=Deterministic(1.0 / params.capacity_per_s))
    call = Call(
        CLIENTS,
        DATABASE,
        timeout=Timeout(timeout_s=params.timeout_s),
        retry=Retry(params.attempts, None, backoff, budget),
    )
    service, call = with_remedy(service, call, params)
    faults = (Fault("paused", DATABASE, START_S, params.end_s),) if params.outage_s else ()
    return Graph(
        (service,), (call,), Poisson(params.rate_per_s), faults, duration_s=params.duration_s, seed=params.seed
    )


def with_remedy(service: Service, call: Call, params: StormParams) -> tuple[Service, Call]:
    """The same with what is done against the storm. What is served within half the timeout is still waited for."""
    timely = max(1, round(params.capacity_per_s * params.timeout_s / 2))
    half_s = params.timeout_s / 2
    breaker = CircuitBreaker(counting="last seconds", window=5, minimum_calls=20, open_s=5.0, probes=5)
    of_service: dict[str, dict[str, Any]] = {
        "newest first": {"newest_first": True},
        "bounded queue": {"queue_limit": timely},
        "random shedding": {"shedding": Shedding("random", low=timely // 2, high=timely + 1)},
        "CoDel": {"shedding": Shedding("CoDel", target_s=0.1 * half_s, interval_s=half_s)},
        "adaptive LIFO": {"shedding": Shedding("adaptive LIFO", target_s=half_s, interval_s=half_s)},
        "concurrency limit": {"concurrency": ConcurrencyLimit("AIMD", start=20, slow_s=half_s)},
    }
    of_call: dict[str, dict[str, Any]] = {
        "deadline passed on": {"propagates": True},
        "cancelling": {"cancels": True},
        "circuit breaker": {"breaker": breaker},
        "client throttle": {"throttle": Throttle(multiplier=2.0, window_s=30.0)},
    }
    return replace(service, **of_service.get(params.remedy, {})), replace(call, **of_call.get(params.remedy, {}))


@dataclass(frozen=True, eq=False)
class StormRun:
    """``course``, by second: time_s, offered_per_s and goodput_per_s (requests that arrived then, and those of them
    that were answered in the end), attempts_per_s, wasted (share of the server's work for nobody), wait_s (how long the
    queue would take)."""

    params: StormParams
    course: pd.DataFrame = field(repr=False)
    recovery_s: float
    """From the end of the outage until 90 % of a second's requests are answered and stay so; infinite: not in this
    run."""
    goodput_per_s: float
    """Over the last fifth of the run."""
    theory_s: float
    """What the fluid model says of the recovery; NaN with a remedy, a budget or a backoff, which it does not know."""


def storm(params: StormParams, progress: Progress | None = None) -> StormRun:
    """One run through the outage."""
    result = simulate(storm_graph(params), progress)
    edge, server = result.edge(f"{CLIENTS} → {DATABASE}"), result.service(DATABASE)
    course = result.course[["time_s", "offered_per_s", "goodput_per_s", "success"]].copy()
    course["attempts_per_s"] = edge["first tries"] + edge["retries"]
    work = server["useful work"] + server["wasted work"]
    course["wasted"] = (server["wasted work"] / work.where(work > 0)).fillna(0.0)
    course["wait_s"] = server["waiting"] / params.capacity_per_s
    return StormRun(params, course, recovery_of(params, course), goodput_at_the_end(result), fluid_recovery_s(params))


def goodput_at_the_end(result: GraphResult) -> float:
    """Requests answered a second, of those that arrived in the last fifth of the run but for the last seconds."""
    length = result.graph.duration_s
    wait_s = result.graph.entry().timeout
    end = length - min(0.1 * length, 2.0 * (wait_s.timeout_s if wait_s else 0.0))
    return result.goodput_per_s(0.8 * length, end)


def recovery_of(params: StormParams, course: pd.DataFrame) -> float:
    """From the end of the outage until nine of ten requests are answered and stay so; the last seconds, whose requests
    are still under way, do not count."""
    last_s = params.duration_s - 1.0 - 2.0 * params.timeout_s
    rows = course[(course["time_s"] >= params.end_s) & (course["time_s"] < last_s)]
    bad = rows[rows["success"].fillna(1.0) < GOOD]
    if bad.empty:
        return 0.0
    since_s = float(bad["time_s"].iloc[-1]) + 1.0
    if since_s >= float(rows["time_s"].iloc[-1]) - 2.0:
        return math.inf
    return since_s - params.end_s


def fluid_recovery_s(params: StormParams) -> float:
    """The fluid model's recovery, where it knows the situation."""
    if params.remedy != "none" or params.budget != "none" or params.backoff != "none":
        return math.nan
    if params.rate_per_s >= params.capacity_per_s:
        return math.inf
    return theory.recovery_s(
        params.rate_per_s, params.capacity_per_s, params.attempts - 1, params.timeout_s, params.outage_s
    )


# --- goodput against load ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GoodputParams(Parameters):
    """The same service at many loads, left alone and after an outage."""

    attempts: int = parameter(2, "attempts", low=1, high=4, help="of one call, the first included")
    remedy: str = parameter("none", "remedy", choices=REMEDIES, help="what is done against a storm")
    outage_s: float = parameter(10.0, "outage", unit="s", low=0.5, high=30.0, help="the trigger")
    budget: str = parameter("none", "retry budget", choices=BUDGETS, help="of the callers together")
    budget_ratio: float = parameter(0.2, "budget's ratio", low=0.001, high=1.0, scale="log", help="retries a call")
    capacity_per_s: float = parameter(300.0, "capacity", unit="/s", low=50.0, high=300.0, help="what the server can do")
    timeout_s: float = parameter(1.0, "timeout", unit="s", low=0.1, high=5.0, scale="log", help="how long callers wait")
    seed: int = parameter(1, "seed", low=0, high=10**6, help="same seed, same arrivals")

    def storm(self, load: float, outage_s: float) -> StormParams:
        """One run, at ``load`` times the capacity."""
        return StormParams(
            rate_per_s=max(10.0, min(400.0, load * self.capacity_per_s)), attempts=self.attempts, outage_s=outage_s,
            remedy=self.remedy, budget=self.budget, budget_ratio=self.budget_ratio, timeout_s=self.timeout_s,
            capacity_per_s=self.capacity_per_s, duration_s=SETTLED_S + (outage_s + 120.0) * (outage_s > 0),
            seed=self.seed,
        )  # fmt: skip


LOADS = (0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8, 0.85, 0.9, 0.94, 0.97, 1.0, 1.04, 1.1, 1.2, 1.3)
SETTLED_S = 60.0


@dataclass(frozen=True, eq=False)
class GoodputCurve:
    """``points``: load (λ/μ), offered_per_s, alone_per_s and after_per_s (goodput without and long after the
    outage)."""

    params: GoodputParams
    points: pd.DataFrame = field(repr=False)

    @property
    def vulnerable(self) -> tuple[float, float]:
        """From which load to which an outage can leave a storm behind, by λ(1 + r) > μ > λ."""
        retries = self.params.attempts - 1
        if self.params.budget in ("Envoy", "Finagle"):
            return 1.0 / (1.0 + min(retries, self.params.budget_ratio)), 1.0
        return 1.0 / (1.0 + retries), 1.0


def goodput_curve(params: GoodputParams, progress: Callable[[int, int], object] | None = None) -> GoodputCurve:
    """Two runs at each load."""
    runs = [params.storm(load, outage_s) for load in LOADS for outage_s in (0.0, params.outage_s)]
    found = in_threads(run_goodput, runs, progress)
    rates = [one.rate_per_s for one in runs[::2]]
    points = pd.DataFrame({
        "load": [one / params.capacity_per_s for one in rates], "offered_per_s": rates, "alone_per_s": found[::2],
        "after_per_s": found[1::2],
    })  # fmt: skip
    return GoodputCurve(params, points)


def run_goodput(params: StormParams) -> float:
    """Goodput over the last fifth of a run."""
    return goodput_at_the_end(simulate(storm_graph(params)))
