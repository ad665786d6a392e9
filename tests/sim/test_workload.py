"""Arrivals and service times have the moments that they promise, and request i is the same in every run."""

import math

import numpy as np
import pytest

from distlib.sim.workload import (
    Bursty,
    Deterministic,
    Diurnal,
    Empirical,
    Exponential,
    Hyperexponential,
    LogNormal,
    Pareto,
    Poisson,
    Regular,
    Replay,
)

COUNT = 400_000
SERVICES = [
    Exponential(2.0),
    Deterministic(2.0),
    Hyperexponential(2.0, 10.0),
    LogNormal(2.0, 4.0),
    LogNormal(2.0, 0.5),
    Pareto(2.0, 6.0),
    Empirical((1.0, 2.0, 3.0, 10.0)),
]


@pytest.mark.parametrize("service", SERVICES, ids=lambda one: type(one).__name__)
def test_moments(service):
    times = service.sample((1, 2), COUNT)
    assert (times > 0).all()
    error = times.std() / math.sqrt(COUNT)
    assert abs(times.mean() - service.expected_s) <= 4 * error + 1e-12
    assert times.var() / times.mean() ** 2 == pytest.approx(service.cv2, rel=0.1, abs=1e-12)


def test_a_heavy_pareto_has_its_tail_and_no_variance():
    service = Pareto(1.0, 1.5)
    assert service.cv2 == math.inf
    times = service.sample((1, 2), COUNT)
    assert times.min() >= 1 / 3
    assert (times > 10 / 3).mean() == pytest.approx(10**-1.5, rel=0.05)


ARRIVALS = [
    Poisson(5.0),
    Regular(5.0),
    Bursty(5.0),
    Diurnal(5.0, period_s=100.0),
    Diurnal(5.0, swing=1.0, period_s=7.0),
    Replay((0.0, 0.1, 0.5, 0.6, 1.0)),
]


@pytest.mark.parametrize("arrivals", ARRIVALS, ids=lambda one: type(one).__name__)
def test_mean_rates(arrivals):
    times = arrivals.times(7, COUNT)
    assert (np.diff(times) >= 0).all()
    assert COUNT / times[-1] == pytest.approx(arrivals.mean_rate_per_s, rel=0.02)


def test_gaps_of_poisson_arrivals_are_exponential_and_independent():
    gaps = np.diff(Poisson(5.0).times(7, COUNT), prepend=0.0)
    assert gaps.var() / gaps.mean() ** 2 == pytest.approx(1.0, abs=0.02)
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 4 / math.sqrt(COUNT)


def test_bursts_are_bursty():
    times = Bursty(5.0, peak=10.0, burst_s=10.0, burst_share=0.1).times(7, COUNT)
    counts = np.bincount((times / 5.0).astype(int))
    assert counts.var() / counts.mean() > 5  # 1 for Poisson


def test_days_swing_as_stated():
    times = Diurnal(50.0, swing=0.8, period_s=100.0).times(7, COUNT)
    phase = np.floor(times % 100.0 / 10.0).astype(int)
    whole = times < times[-1] // 100 * 100
    seen = np.bincount(phase[whole], minlength=10) / whole.sum() * 10
    edges = 2 * np.pi * np.arange(11) / 10
    expected = 1 - 0.8 * np.diff(np.cos(edges)) / (2 * np.pi / 10)
    assert seen == pytest.approx(expected, abs=0.03)


def test_a_replay_repeats_the_recorded_gaps():
    assert Replay((10.0, 11.0, 13.0)).times(0, 5) == pytest.approx([1.0, 3.0, 4.0, 6.0, 7.0])


@pytest.mark.parametrize("arrivals", ARRIVALS[:5], ids=lambda one: type(one).__name__)
def test_a_longer_run_begins_with_the_shorter_one(arrivals):
    assert (arrivals.times(7, 200_000)[:1000] == arrivals.times(7, 1000)).all()


@pytest.mark.parametrize("service", SERVICES, ids=lambda one: type(one).__name__)
def test_a_longer_sample_begins_with_the_shorter_one(service):
    assert service.sample((1, 2), 200_000)[:1000] == pytest.approx(service.sample((1, 2), 1000), rel=1e-14)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Hyperexponential(variability=0.5), "variability is 0.5"),
        (lambda: Pareto(shape=1.0), "shape is 1.0"),
        (lambda: LogNormal(variability=-1.0), "variability is -1.0"),
        (lambda: Empirical(()), "at least one"),
        (lambda: Empirical((1.0, -1.0)), "none negative"),
        (lambda: Bursty(peak=0.5), "peak is 0.5"),
        (lambda: Bursty(burst_share=0.0), "burst_share is 0.0"),
        (lambda: Diurnal(swing=1.5), "swing is 1.5"),
        (lambda: Replay((1.0, math.nan)), "finite arrival times"),
        (lambda: Replay((1.0, 1.0)), "span some time"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()
