"""The exercises of the load-balancing chapter: a reader's policy against the field, on workloads not seen before.

``judge_policy(MyPolicy, "two choices")`` simulates it on the held-out workloads of that contest, beside the policies of
the library on the very same requests, and says who won, and whether the exercise is done.

The workloads' seeds are constant: an answer gets the same mark today, tomorrow and at the teacher's. With fresh ones it
would, too, if what is asked held over all seeds; and it should, or one lucky seed decides. So what is asked keeps its
distance from right answers and from wrong ones, and there are more requests where chance plays a greater part. Over 20
seeds (the mean over the best rival's, at the nearest workload): "two choices", among giants, with other draws 20 pass
(at most 1.02; 1.06 is asked), with two draws that may be the same none (at least 1.07). "Alike or not", among giants,
the right tie-break that does worst 20 (at most 1.07; 1.09 is asked), round robin past the busy none (at least 1.096).
"Open", best of three 24 of 24 (at most 0.89 of two choices; 0.95 is asked), two choices by another name none (0.976).
"Sticky", giving way at 2 requests more than the emptiest has, 20 (p99 at most 1.08 times; 1.12), at 3 none (1.16).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from distlib.balancing.policies import KeyAffinity, LeastRequest
from distlib.balancing.reader_policy import PolicyError, ReaderPolicy, chooser, watch_choices
from distlib.balancing.scenarios import POLICIES
from distlib.core import require
from distlib.labs.grading import Grade, grade_apart, number_in, shown
from distlib.sim.service.params import Backends, ServiceParams, at_load, workload
from distlib.sim.service.policy import Policy
from distlib.sim.service.result import ServiceResult
from distlib.sim.service.service import simulate
from distlib.sim.workload import Bursty, Deterministic, Exponential, Hyperexponential, ServiceTimes
from distlib.theory.queueing import mmc_response_quantile

Results = dict[str, dict[str, ServiceResult]]
"""By workload, then by policy."""
Asked = Callable[[Results], list[tuple[str, bool]]]
"""Results in; what is asked, and whether it is so."""
REQUESTS = 8000
RUN_LIMIT_S = 180.0
"""Of processor time for a whole contest and what must be compiled; the reader's choices have limits that say more."""


@dataclass(frozen=True)
class ContestGrade(Grade):
    """A grade with the whole field in a table: one row a policy, one column a workload (mean response)."""

    table: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)

    def __str__(self) -> str:
        said = super().__str__()
        return said if self.table.empty else f"{said}\n\n{self.table.to_string(float_format='{:.3f}'.format)}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        said = f"<pre style='white-space: pre-wrap'>{escape(super().__str__())}</pre>"
        return said + ("" if self.table.empty else self.table.to_html(float_format="{:.3f}".format, border=0))


@dataclass(frozen=True)
class Contest:
    """One exercise: workloads, who else runs, what is asked for, how many backends a choice may look at (0: all)."""

    workloads: dict[str, ServiceParams]
    field: dict[str, Policy]
    asked: Asked
    most: int = 0


YOURS = "your policy"
CLEARLY_BETTER = 0.95
GIANTS, FAST = Hyperexponential(variability=8.0), (4.0, 4.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)


def setting(
    service: ServiceTimes, load: float, seed: int, speeds: tuple[float, ...] = (), bursts: bool = False,
    requests: int = REQUESTS, **more: Any,
) -> ServiceParams:  # fmt: skip
    """A workload of ``load`` = ρ on ten backends."""
    backends = Backends(10, speeds=speeds)
    params = at_load(load, service, backends, requests=requests, seed=seed, allow_unstable=True, **more)
    bursty = Bursty(params.arrivals.rate_per_s, peak=3.0, burst_s=20.0, burst_share=0.2)
    return replace(params, arrivals=bursty) if bursts else params


def as_good_as(*rivals: str, at_most: float, where: Mapping[str, float] = MappingProxyType({})) -> Asked:
    """On each workload, the reader's mean response is at most so many times that of the best of the rivals; ``where``
    names the workloads on which another factor counts, because there chance plays a greater part."""

    def asked(results: Results) -> list[tuple[str, bool]]:
        said = []
        for name, by_policy in results.items():
            limit = where.get(name, at_most)
            best = min(rivals, key=lambda one: by_policy[one].mean_s)
            ratio = by_policy[YOURS].mean_s / by_policy[best].mean_s
            which = f"{ratio:.3f} times {best}, the better one here" if len(rivals) > 1 else f"{ratio:.2f} times {best}"
            said.append((f"{name}: {which}; at most {limit:g} is asked", ratio <= limit))
        return said

    return asked


def stickiness(result: ServiceResult) -> float:
    """Share of the requests that went to the backend that serves most of their client's requests."""
    client = workload(result.params).client
    pairs = np.zeros((result.params.clients, result.backends), np.int64)
    np.add.at(pairs, (client, result.backend), 1)
    return float(pairs.max(axis=1).sum() / client.size)


def asked_sticky(results: Results) -> list[tuple[str, bool]]:
    """Mostly the same backend for the same client, and yet no overload."""
    said = []
    for name, by_policy in results.items():
        sticks, mine = stickiness(by_policy[YOURS]), by_policy[YOURS].percentile_s(99)
        bounded = by_policy["hashing, bounded"].percentile_s(99)
        usual = f"{name}: {sticks:.0%} of the requests go to their client's usual backend; at least 65 % is asked"
        said.append((usual, sticks >= 0.65))
        p99 = f"{name}: p99 {mine:.2f}, {mine / bounded:.2f} times bounded hashing's; at most 1.12 is asked"
        said.append((p99, mine <= 1.12 * bounded))
    return said


def score(results: Results, policy: str) -> float:
    """Geometric mean over the workloads of (mean response over the central queue's)."""
    ratios = [by_policy[policy].mean_s / by_policy["central queue"].mean_s for by_policy in results.values()]
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def asked_open(results: Results) -> list[tuple[str, bool]]:
    """Better over all workloads than two choices, by more than chance makes: its own twin lies within 3 % of it."""
    ratio = score(results, YOURS) / score(results, "two choices")
    how = f"over all workloads {score(results, YOURS):.2f} times the central queue, {ratio:.3f} times two choices"
    return [(f"{how}; at most {CLEARLY_BETTER:g} is asked", ratio <= CLEARLY_BETTER)]


def _field(*names: str) -> dict[str, Policy]:
    return {name: POLICIES[name] for name in names}


CONTESTS: dict[str, Contest] = {
    "two choices": Contest(
        {
            "exponential, ρ = .9": setting(Exponential(), 0.9, 9001),
            "few giants, ρ = .7": setting(GIANTS, 0.7, 9002, requests=4 * REQUESTS),
            "bursts, ρ = .6": setting(Exponential(), 0.6, 9003, bursts=True),
        },
        _field("random", "round robin", "two choices", "central queue"),
        as_good_as("two choices", at_most=1.1, where={"few giants, ρ = .7": 1.06}),
        most=2,
    ),
    "alike or not": Contest(
        {
            "constant, ρ = .9": setting(Deterministic(), 0.9, 9011),
            "constant, ρ = .8": setting(Deterministic(), 0.8, 9012),
            "few giants, ρ = .8": setting(GIANTS, 0.8, 9013, requests=8 * REQUESTS),
        },
        _field("random", "round robin", "two choices", "least request", "central queue"),
        as_good_as("round robin", "least request", at_most=1.03, where={"few giants, ρ = .8": 1.09}),
    ),
    "fast and slow": Contest(
        {
            "exponential, ρ = .7": setting(Exponential(), 0.7, 9021, speeds=FAST),
            "few giants, ρ = .6": setting(GIANTS, 0.6, 9022, speeds=FAST),
            "quiet, ρ = .3": setting(Exponential(), 0.3, 9023, speeds=FAST),
        },
        _field("round robin", "two choices", "least request") | {"least request, weighted": LeastRequest(weights=FAST)},
        as_good_as("least request, weighted", at_most=1.15),
    ),
    "sticky": Contest(
        {
            "a few hot clients, ρ = .7": setting(Exponential(), 0.7, 9031, popularity=0.9, requests=4 * REQUESTS),
            "hotter still, ρ = .6": setting(Exponential(), 0.6, 9032, popularity=1.1, requests=4 * REQUESTS),
        },
        _field("least request") | {"hashing": KeyAffinity("ring"), "hashing, bounded": KeyAffinity("ring", bound=1.5)},
        asked_sticky,
    ),
    "open": Contest(
        {
            "exponential, ρ = .9": setting(Exponential(), 0.9, 9041),
            "constant, ρ = .85": setting(Deterministic(), 0.85, 9042),
            "few giants, ρ = .8": setting(GIANTS, 0.8, 9043),
            "bursts, ρ = .6": setting(Exponential(), 0.6, 9044, bursts=True),
            "a half-dead backend, ρ = .7": setting(Exponential(), 0.7, 9045, speeds=(0.25,)),
            "five balancers, ρ = .8": setting(Exponential(), 0.8, 9046, balancers=5),
        },
        _field("random", "round robin", "two choices", "least request", "join idle queue", "central queue"),
        asked_open,
    ),
}


def judge_policy(policy: Any, contest: str = "open") -> Grade:
    """Measure a policy of the reader's own (class, instance or function) against the field, in a process of its own.
    ``contest`` is one of ``CONTESTS``. A policy that fails (raises, returns no backend, loops for ever) is told what
    was wrong. Raises ``ValueError`` for an unknown contest."""
    one = CONTESTS[require.choice("contest", contest, CONTESTS)]
    return grade_apart(lambda: judge_here(policy, one), RUN_LIMIT_S)


def judge_here(policy: Any, contest: Contest) -> ContestGrade:
    """The same in this process, whose alarm clock it takes."""
    watch_choices()
    try:
        results = run_contest(contest, ReaderPolicy(choose_one=chooser(policy), most=contest.most))
    except PolicyError as error:
        return ContestGrade(False, (str(error),))
    asked = contest.asked(results)
    remarks = tuple(text if holds else f"{text}: not yet" for text, holds in asked)
    return ContestGrade(all(holds for _, holds in asked), remarks, standings(results))


def run_contest(contest: Contest, mine: ReaderPolicy) -> Results:
    """Everybody on every workload. Raises ``PolicyError``."""
    results: Results = {}
    for title, params in contest.workloads.items():
        try:
            results[title] = {YOURS: simulate(replace(params, policy=mine))}
        except PolicyError as error:
            raise PolicyError(f"on the workload “{title}”: {error}") from error
    for title, params in contest.workloads.items():
        results[title] |= {rival: simulate(replace(params, policy=one)) for rival, one in contest.field.items()}
    return results


def standings(results: Results) -> pd.DataFrame:
    """Mean responses, best policy first (by their product over the workloads)."""
    means = pd.DataFrame({title: {name: one.mean_s for name, one in by.items()} for title, by in results.items()})
    order = np.log(means).sum(axis=1).sort_values().index
    return means.loc[order].rename(index={YOURS: "→ your policy"})


def grade_capacity(backends: Any) -> Grade:
    """Exercise: fewest backends behind one central queue for 400 requests/s of 50 ms each with p99 at most 250 ms.
    Exponential gaps and service times, 20 erlangs. (A request that never waits has a p99 of 230 ms already.)"""
    given = number_in(backends)
    if given is None or not given.is_integer():
        return Grade(False, (f"give a whole number of backends, not {shown(backends)}",))
    if given <= 20:
        return Grade(False, (f"{given:g} backends at 20 erlangs have a load of {20 / max(given, 1):.3g}: unstable",))

    def p99_ms(count: int) -> float:
        return 1000 * mmc_response_quantile(0.99, count, 20 / count, 0.05)

    right = next(count for count in range(21, 100) if p99_ms(count) <= 250)
    if given < right:
        told = f"with {given:g} backends p99 is {p99_ms(int(given)):.0f} ms; at most 250 ms are asked"
        return Grade(False, (told,))
    if given > right:
        return Grade(False, (f"{given - 1:g} backends would do",))
    one_fewer = f"one fewer: {p99_ms(right - 1):.0f} ms" if right > 21 else "one fewer is unstable"
    return Grade(True, (f"p99 is {p99_ms(right):.0f} ms, at a load of {20 / right:.2f}; {one_fewer}",))
