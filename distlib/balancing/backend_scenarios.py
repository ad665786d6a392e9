"""Chapter 03.3, what the backends are like: whether they take turns or share themselves, and what a dead one does to
each policy. Units as in ``scenarios``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from distlib.balancing.policies import Random
from distlib.balancing.scenarios import (
    FIVE,
    LOAD_HELP,
    POLICIES,
    SEED_HELP,
    TYPICAL,
    check_each,
    measured,
    service_of_cv2,
    theory_s,
)
from distlib.core.parameter import Parameters, parameter
from distlib.sim.service.balancer_state import OK
from distlib.sim.service.params import Backends, Outage, OutlierEjection, at_load
from distlib.sim.service.policy import CentralQueue, Policy
from distlib.sim.service.result import ServiceResult
from distlib.sim.service.service import simulate
from distlib.sim.sweep import in_threads
from distlib.sim.workload import Exponential, ServiceTimes
from distlib.theory import queueing

OnProgress = Callable[[float, float], object]

# ------------------------------------------------------------ in turn, or all at once

TURNS = {"fifo": "first come, first served", "sharing": "processor sharing"}


def sharing_theory_s(policy: Policy, backends: int, load: float, service: ServiceTimes) -> float:
    """Mean response that theory gives for backends of speed 1 that share themselves (M/G/1-PS), or NaN.

    It does not depend on the distribution of the service times for a random split, nor for one pool that all share
    (Kleinrock, *Queueing Systems* II, §4.4). For exponential ones the number of requests present evolves as under
    first come, first served, whatever the policy, so every mean is the same.
    """
    if not 0 <= load < 1:
        return math.nan
    if backends == 1 or isinstance(policy, Random):
        return queueing.mg1_sharing_response(load, service.expected_s)
    if isinstance(policy, CentralQueue):
        return queueing.mmc_response(backends, load, service.expected_s)
    return theory_s(policy, backends, load, service) if isinstance(service, Exponential) else math.nan


@dataclass(frozen=True)
class DisciplineParams(Parameters):
    """The same policies before backends that serve one request after the other, or all that are there at once."""

    load: float = parameter(0.9, "load ρ", low=0.05, high=0.95, step=0.05, help=LOAD_HELP)
    backends: int = parameter(10, "backends", low=1, high=50, help="machines behind the balancer, one server each")
    cv2s: tuple[float, ...] = field(
        default=(0.0, 1.0, 10.0), metadata={"help": "c² of the service times; 0 is constant"}
    )
    policies: tuple[str, ...] = parameter(FIVE, "policies", choices=tuple(POLICIES), several=True, at_least=1,
        help="who takes part")  # fmt: skip
    requests: int = parameter(20_000, "requests", low=1000, high=400_000, scale="log", help="per point")
    seed: int = parameter(TYPICAL, "seed", low=0, high=2**31 - 1, help=SEED_HELP)

    def check(self) -> None:
        check_each("cv2s", self.cv2s, 0)


def disciplines(params: DisciplineParams = DisciplineParams(), progress: OnProgress = lambda *_: None) -> pd.DataFrame:
    """Columns discipline, policy, cv2, mean_s, low_s, high_s, p99_s, unstable (as in ``measured``), theory_s.
    ``progress(done, total)`` may raise to stop."""
    common = {"requests": params.requests, "seed": params.seed, "allow_unstable": True}
    theory = {"fifo": theory_s, "sharing": sharing_theory_s}
    cases = list(product(TURNS, params.policies, params.cv2s))
    runs = [
        at_load(
            params.load, service_of_cv2(cv2), Backends(params.backends, discipline=discipline), policy=POLICIES[name],
            **common,
        )
        for discipline, name, cv2 in cases
    ]  # fmt: skip
    rows = [
        (*case, *found, theory[case[0]](POLICIES[case[1]], params.backends, params.load, service_of_cv2(case[2])))
        for case, found in zip(cases, in_threads(measured, runs, progress), strict=True)
    ]
    columns = ["discipline", "policy", "cv2", "mean_s", "low_s", "high_s", "p99_s", "unstable", "theory_s"]
    return pd.DataFrame(rows, columns=columns)


# ------------------------------------------------------------ a backend that dies, and comes back

CRASH_S, WINDOW_S, AFTER_S = 100.0, 5.0, 200.0
"""When backend 0 crashes, the stretches of time over which the figure averages, how long it is watched afterwards."""
JUST_BACK_S = 50.0
"""The time after the return over which the summary averages."""


@dataclass(frozen=True)
class OutageParams(Parameters):
    """A backend crashes, refuses every connection at once, and comes back."""

    load: float = parameter(0.7, "load ρ", low=0.05, high=0.85, step=0.05, help="of all backends, while all are up")
    backends: int = parameter(10, "backends", low=3, high=50, help="machines behind the balancer, one server each")
    outage_s: float = parameter(100.0, "outage", unit="s", low=5.0, high=500.0, step=5.0, help="how long it is down")
    policies: tuple[str, ...] = parameter(FIVE[:-1], "policies", choices=FIVE[:-1], several=True, at_least=1,
        help="who takes part")  # fmt: skip
    ejection: bool = parameter(False, "outlier ejection",
        help="five failures in a row: not used for 30 s, the next time 60 s, …")  # fmt: skip
    warm_up_s: float = parameter(0.0, "warm-up", unit="s", low=0.0, high=200.0, step=10.0,
        help="from a tenth to the full speed after the return: caches fill, code compiles")  # fmt: skip
    runs: int = parameter(20, "runs", low=2, high=100, help="the figure shows the mean of so many")
    seed: int = parameter(1, "seed", low=0, high=2**31 - 1, help="of the first run")


@dataclass(frozen=True, eq=False)
class OutageCourse:
    """``course`` has the columns policy, time_s (the middle of a window), failed (share of its requests), mean_s (of
    those that were answered); ``summary`` policy, failed (share of the requests during the outage) and after_s (mean
    response in the first ``JUST_BACK_S`` after the return), each with its standard error over the runs."""

    params: OutageParams
    course: pd.DataFrame
    summary: pd.DataFrame


def outage(params: OutageParams = OutageParams(), progress: OnProgress = lambda *_: None) -> OutageCourse:
    """What a dead backend does to each policy, and a cold one. ``progress(done, total)`` may raise to stop."""
    back_s = CRASH_S + params.outage_s
    end_s = back_s + AFTER_S
    backends = Backends(
        params.backends, outages=(Outage(0, CRASH_S, back_s),), slow_start_s=params.warm_up_s, cold_speed=0.1
    )
    common = {
        "requests": math.ceil(params.load * params.backends * end_s),
        "ejection": OutlierEjection() if params.ejection else None,
    }

    def runs_of(name: str) -> tuple[NDArray[np.float64], list[tuple[float, ...]]]:
        """Requests, failed ones and response times by window, over all runs; of each, what the summary counts."""
        sums = np.zeros((3, round(end_s / WINDOW_S)))
        counts: list[tuple[float, ...]] = []
        for run in range(params.runs):
            seed = (params.seed + run) % 2**31
            found = simulate(at_load(params.load, Exponential(), backends, policy=POLICIES[name], seed=seed, **common))
            sums += by_window(found, end_s)
            counts.append((*_counted(found, CRASH_S, back_s), *_counted(found, back_s, back_s + JUST_BACK_S)))
        return sums, counts

    courses, summaries = [], []
    for number, name in enumerate(params.policies):  # short runs, mostly Python: two threads would wait for each other
        progress(number, len(params.policies))
        ((sums, counts),) = in_threads(runs_of, [name])
        asked, failed, response = sums
        time_s = WINDOW_S * (np.arange(asked.size) + 0.5)
        table = {
            "policy": name,
            "time_s": time_s,
            "failed": _over(failed, asked),
            "mean_s": _over(response, asked - failed),
        }
        courses.append(pd.DataFrame(table))
        down, lost, _, after, lost_after, response_after = np.transpose(counts)
        summaries.append((name, *ratio(lost, down), *ratio(response_after, after - lost_after)))
    columns = ["policy", "failed", "failed_error", "after_s", "after_error_s"]
    return OutageCourse(params, pd.concat(courses, ignore_index=True), pd.DataFrame(summaries, columns=columns))


def _counted(found: ServiceResult, from_s: float, to_s: float) -> tuple[float, float, float]:
    """Requests that arrive between two times, those of them that fail, and the sum of the others' response times."""
    here = slice(*np.searchsorted(found.arrival_s, (from_s, to_s)))
    answered = found.status[here] == OK
    return answered.size, answered.size - answered.sum(), found.response_s[here][answered].sum()


def _over(parts: NDArray[np.float64], wholes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quotients, NaN where there is nothing to divide by."""
    return np.divide(parts, wholes, out=np.full(parts.size, np.nan), where=wholes > 0)


def ratio(parts: NDArray[np.float64], wholes: NDArray[np.float64]) -> tuple[float, float]:
    """The sum of ``parts`` over that of ``wholes``, one of each a run, and the standard error of that estimate
    (Cochran, *Sampling Techniques*, §6.3); NaN where there is nothing to divide by."""
    total, runs = wholes.sum(), wholes.size
    if total == 0:
        return math.nan, math.nan
    mean = parts.sum() / total
    return float(mean), float(math.sqrt(((parts - mean * wholes) ** 2).sum() * runs / (runs - 1)) / total)


def by_window(found: ServiceResult, end_s: float) -> NDArray[np.float64]:
    """Requests, failed ones and the sum of the response times, by the window of their arrival; shape (3, windows)."""
    count = round(end_s / WINDOW_S)
    window = (found.arrival_s / WINDOW_S).astype(np.int64)
    kept, answered = window < count, found.status == OK
    lost, shown = kept & ~answered, kept & answered
    response = np.bincount(window[shown], found.response_s[shown], count)
    return np.array([np.bincount(window[kept], None, count), np.bincount(window[lost], None, count), response])
