"""Closed forms against simulation and against each other."""

import math

import numpy as np
import pytest
from scipy import stats

from distlib.resilience import theory
from distlib.resilience.breaker import Breaker, CircuitBreaker
from distlib.resilience.tail import TailParams, hedged_part_tail, part_tail, tail_at_scale


@pytest.mark.parametrize("failure", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("retries", [0, 1, 3])
def test_amplification_and_success_are_the_sums(failure, retries):
    assert theory.amplification(failure, retries) == pytest.approx(sum(failure**k for k in range(retries + 1)))
    assert theory.success(failure, retries) == pytest.approx(1 - failure ** (retries + 1))


@pytest.mark.parametrize(
    ("failure", "in_a_row", "open_calls", "probes"), [(0.3, 3, 10, 1), (0.5, 2, 7, 3), (0.1, 1, 20, 2)]
)
def test_the_chain_of_a_breaker_is_what_a_breaker_does(failure, in_a_row, open_calls, probes):
    params = CircuitBreaker(counting="consecutive failures", failures=in_a_row, probes=probes, open_s=float(open_calls))
    breaker, rng, calls = Breaker(params), np.random.default_rng(6), 400_000
    rejected, failed = 0, rng.random(calls) < failure
    for k in range(calls):
        if breaker.allow(float(k)):
            breaker.record(float(k), bool(failed[k]))
        else:
            rejected += 1
    # a breaker that opens with call k rejects calls k + 1 ... k + open - 1
    expected = theory.breaker_shares(failure, in_a_row, open_calls - 1, probes)
    assert rejected / calls == pytest.approx(expected.rejected, rel=0.02)
    assert expected.closed + expected.open + expected.half_open == pytest.approx(1.0)


def test_calls_until_a_breaker_opens_by_mistake():
    rng, lengths = np.random.default_rng(1), []
    for _ in range(4000):
        row = calls = 0
        while row < 3:
            calls += 1
            row = row + 1 if rng.random() < 0.2 else 0
        lengths.append(calls)
    expected = theory.calls_until_open(0.2, 3)
    assert expected == pytest.approx(155.0) and np.mean(lengths) == pytest.approx(expected, rel=3 / math.sqrt(4000))


def test_a_window_of_a_hundred_hardly_trips_by_mistake_and_one_of_ten_does():
    assert theory.false_trip(0.3, 100, 0.5) == pytest.approx(float(stats.binom.sf(49, 100, 0.3)))
    assert theory.false_trip(0.3, 100, 0.5) < 1e-4 < 0.1 < theory.false_trip(0.3, 10, 0.5)


def test_where_a_storm_can_rest():
    for rate, expected in ((140, 1), (200, 3), (280, 3), (295, 1)):
        found = theory.storm_load(rate, 300, 1, 1.0)
        assert len(found) == expected, (rate, found)
    good, unstable, bad = theory.storm_load(280, 300, 1, 1.0)
    assert good == pytest.approx(280, abs=0.01) and 290 < unstable < 300 and bad == 560


def test_hedging_in_closed_form_is_hedging_by_drawing():
    params, rng, size = (
        TailParams(fan_out=20, hedge_ms=3.0, median_ms=1.0, sigma=1.2, shared=0.3),
        np.random.default_rng(3),
        40_000,
    )
    first, second = (np.exp(1.2 * rng.standard_normal((size, 20))) for _ in range(2))
    second = np.where(rng.random((size, 20)) < 0.3, math.inf, 3.0 + second)
    parts = np.where(first <= 3.0, first, np.minimum(first, second))
    study = tail_at_scale(params)
    for percent, values, hedged in ((50, first, False), (99, first, False), (50, parts, True), (99, parts, True)):
        drawn = np.percentile(values.max(axis=1), percent)
        assert study.percentile_ms(percent, hedged=hedged) == pytest.approx(drawn, rel=0.05 if percent == 99 else 0.01)
    assert study.extra == pytest.approx((first > 3.0).mean(), abs=0.003)
    assert (np.diff(study.ccdf["hedged_read"]) <= 1e-12).all()


def test_tails_of_fan_out_are_exact_for_rare_events():
    assert theory.any_of(np.array([1e-12]), 1000)[0] == pytest.approx(1e-9)
    params = TailParams()
    assert hedged_part_tail(params, np.array([5.0]))[0] == part_tail(params, np.array([5.0]))[0]
    tail = theory.hedged_tail(lambda t: part_tail(params, t), params.hedge_ms)
    assert tail(np.array([50.0]))[0] == pytest.approx(hedged_part_tail(params, np.array([50.0]))[0])
    assert theory.hedge_cost(lambda t: part_tail(params, t), 10.0) == pytest.approx(0.02, rel=1e-3)


def test_availability():
    assert theory.in_series(0.99, 0.99, 0.99) == pytest.approx(0.970299)
    assert theory.in_parallel(0.99, 0.99) == pytest.approx(0.9999)
    assert theory.k_of_n(0.9, 2, 3) == pytest.approx(3 * 0.81 * 0.1 + 0.729)
    assert theory.k_of_n(0.9, 1, 2) == pytest.approx(theory.in_parallel(0.9, 0.9))
    assert theory.with_common_cause(0.99, 50, 0.1) == pytest.approx(1 - 0.001, abs=1e-6)
    assert theory.downtime_h(0.999) == pytest.approx(8.766)


def test_bulkheads():
    assert theory.bulkhead_loss(10, 80.0, 0.1) == pytest.approx(0.12166, abs=1e-5)
    most = theory.bulkhead_for(0.01, 100.0, 0.1)
    assert theory.bulkhead_loss(most, 100.0, 0.1) <= 0.01 < theory.bulkhead_loss(most - 1, 100.0, 0.1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: theory.amplification(1.1, 2), "failure is 1.1"),
        (lambda: theory.amplification(0.1, -1), "retries is -1"),
        (lambda: theory.recovery_s(0.0, 300, 1, 1, 1), "rate_per_s is 0"),
        (lambda: theory.layered_amplification(0, 3), "attempts is 0"),
        (lambda: theory.k_of_n(0.9, 4, 3), "needed is 4"),
        (lambda: theory.bulkhead_for(0.0, 1, 1), "loss is 0"),
        (lambda: theory.calls_until_open(0.0, 3), "failure is 0"),
        (lambda: TailParams(fan_out=0), "fan_out is 0"),
        (lambda: tail_at_scale(TailParams()).percentile_ms(100.0, hedged=True), "percent is 100"),
    ],
)
def test_bad_values_are_refused_with_the_reason(make, said):
    with pytest.raises(ValueError, match=said):
        make()
