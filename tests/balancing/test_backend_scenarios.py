"""What backends are like: processor sharing against first come, first served; a dead backend."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from distlib.balancing.backend_charts import by_variability, outage_course
from distlib.balancing.backend_scenarios import (
    TURNS,
    DisciplineParams,
    OutageParams,
    by_window,
    disciplines,
    outage,
    sharing_theory_s,
)
from distlib.balancing.labs import DisciplineLab, OutageLab
from distlib.balancing.policies import JoinIdleQueue, LeastRequest, Random, RoundRobin
from distlib.sim.service.params import Backends, Outage, at_load
from distlib.sim.service.policy import CentralQueue
from distlib.sim.service.service import simulate
from distlib.sim.workload import Deterministic, Exponential, Pareto
from distlib.theory.queueing import mg1_response, mmc_response

RUN = disciplines(DisciplineParams(requests=150_000, seed=1, cv2s=(0.0, 1.0, 4.0, 10.0)))
MEANS = RUN.set_index(["discipline", "policy", "cv2"])


def mean_s(discipline: str, policy: str, cv2: float) -> float:
    return float(MEANS.loc[(discipline, policy, cv2), "mean_s"])


def test_sharing_is_insensitive() -> None:
    """Kleinrock II, §4.4: under processor sharing a random split takes 1/(1 − ρ), whatever the distribution."""
    assert sharing_theory_s(Random(), 10, 0.9, Pareto(shape=1.5)) == pytest.approx(10.0)
    assert sharing_theory_s(CentralQueue(), 10, 0.9, Deterministic()) == mmc_response(10, 0.9)
    for policy in ("random", "central queue"):
        rows = RUN[(RUN["discipline"] == "sharing") & (RUN["policy"] == policy)]
        apart = (rows["mean_s"] - rows["theory_s"]).abs() / ((rows["high_s"] - rows["mean_s"]) / 1.96)
        assert len(rows) == 4
        assert (apart < 5).all(), "150,000 requests a point, at ρ = .9 strongly correlated: five standard errors"


def test_first_come_first_served_is_not() -> None:
    """Pollaczek–Khinchine: at c² = 10 the wait is 5.5 times that of exponential service."""
    assert mg1_response(0.9, 10.0) == pytest.approx(50.5)
    assert mean_s("fifo", "random", 10.0) > 3 * mean_s("sharing", "random", 10.0)


def test_sharing_does_not_make_random_good_enough() -> None:
    """At ρ = .9 random takes 10, least request 2, however many requests a backend works on."""
    for cv2 in (0.0, 1.0, 4.0, 10.0):
        assert mean_s("sharing", "random", cv2) > 4 * mean_s("sharing", "least request", cv2)


def test_means_of_exponential_requests_do_not_depend_on_the_discipline() -> None:
    """The number present evolves alike, and Little's law does the rest; not so the 99th percentile."""
    for policy in ("random", "round robin", "two choices", "least request"):
        assert mean_s("sharing", policy, 1.0) == pytest.approx(mean_s("fifo", policy, 1.0), rel=0.02)
        rows = MEANS.xs((policy, 1.0), level=("policy", "cv2"))["p99_s"]
        assert rows["sharing"] > 1.2 * rows["fifo"]


def test_round_robin_flips() -> None:
    """Where all requests are alike it is as good as a pool, under both; where they are not, it is near random."""
    assert mean_s("sharing", "round robin", 0.0) == pytest.approx(mean_s("sharing", "central queue", 0.0), rel=0.05)
    assert mean_s("sharing", "round robin", 0.0) < mean_s("sharing", "least request", 0.0)
    assert mean_s("sharing", "round robin", 10.0) > 3 * mean_s("sharing", "least request", 10.0)


def test_theory_says_nothing_where_there_is_none() -> None:
    assert math.isnan(sharing_theory_s(RoundRobin(), 10, 0.9, Deterministic()))
    assert math.isnan(sharing_theory_s(JoinIdleQueue(), 10, 0.9, Exponential()))
    assert math.isnan(sharing_theory_s(Random(), 10, 1.0, Exponential()))
    assert sharing_theory_s(LeastRequest(2), 10, 0.9, Exponential()) == pytest.approx(2.614, abs=0.001)


def test_a_dead_backend_that_refuses_at_once_draws_the_requests() -> None:
    """To least request it looks idle, so it gets more than its share; outlier ejection ends that."""
    alone, ejected = (
        outage(OutageParams(ejection=ejects, runs=20)).summary.set_index("policy") for ejects in (False, True)
    )
    error = alone["failed_error"]
    assert abs(alone.loc["random", "failed"] - 0.1) < 4 * error["random"]
    assert abs(alone.loc["round robin", "failed"] - 0.1) < 0.005
    assert alone.loc["two choices", "failed"] > 0.1 + 4 * error["two choices"]
    assert alone.loc["least request", "failed"] > 0.2
    assert (ejected["failed"] < 0.03).all()


def test_a_cold_backend_hurts_who_does_not_look() -> None:
    warm, cold = (outage(OutageParams(warm_up_s=one, runs=20)).summary.set_index("policy") for one in (0.0, 100.0))
    slower = cold["after_s"] - warm["after_s"]
    assert slower["round robin"] > 4 * cold.loc["round robin", "after_error_s"]
    assert slower["least request"] < 0.2 * slower["round robin"]


def test_windows_count_every_request_once() -> None:
    backends = Backends(10, outages=(Outage(0, 100.0, 200.0),))
    run = simulate(at_load(0.7, Exponential(), backends, policy=Random(), requests=1000))
    asked, failed, response = by_window(run, 400.0)
    assert asked.sum() == (run.arrival_s < 400.0).sum() == 1000
    assert failed.sum() == run.failed > 0
    assert response.sum() == pytest.approx(float(run.response_s[run.status == 0].sum()))
    assert failed[:16].sum() == 0, "until 20 s before the crash"


class Enough(Exception):
    """Raised by a reader who presses Stop."""


@pytest.mark.parametrize(
    "scenario", [lambda progress: disciplines(progress=progress), lambda progress: outage(progress=progress)]
)
def test_a_run_can_be_stopped(scenario) -> None:
    def stop(done: float, total: float) -> None:
        assert total > 0
        if done >= 2:
            raise Enough

    with pytest.raises(Enough):
        scenario(stop)


def test_labs_show_both_panels_and_say_who_is_overrun() -> None:
    figure = by_variability(RUN, TURNS)
    assert {trace.name for trace in figure.data} == {"theory", *RUN["policy"]}
    assert len({trace.xaxis for trace in figure.data}) == 2
    lab = OutageLab(runs=5)
    lab.wait()
    said = {name.split(":")[0]: holds for name, holds, _ in lab.verdicts(lab.result)}
    assert said == {"random": True, "round robin": True, "two choices": False, "least request": False}
    assert len(lab.table(lab.result)) == 4
    one = DisciplineLab(requests=1000, backends=1)
    one.wait()
    assert list(one.table(one.result).columns[2:]) == [
        f"{what}, c² = {c2}" for c2 in (0, 1, 10) for what in ("mean", "99 %")
    ]
    assert outage_course(lab.result.course, 100.0, 200.0).data


def test_empty_tables_and_unknown_loads_are_told() -> None:
    with pytest.raises(ValueError, match="empty"):
        outage_course(pd.DataFrame({"policy": [], "time_s": [], "failed": [], "mean_s": []}), 1.0, 2.0)
    with pytest.raises(ValueError, match="cv2s"):
        DisciplineParams(cv2s=())
    with pytest.raises(ValueError, match="backends"):
        OutageParams(backends=2)
