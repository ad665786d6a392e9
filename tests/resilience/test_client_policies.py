"""Backoff, budgets, timeouts, hedges, percentiles."""

import math

import numpy as np
import pytest

from distlib.resilience.backoff import KINDS, Backoff
from distlib.resilience.budget import Budget, RetryBudget
from distlib.resilience.hedge import Hedge, HedgePolicy
from distlib.resilience.percentile import GROWTH, RecentLatency
from distlib.resilience.retry import Retry
from distlib.resilience.timeout import Timeout, TimeoutPolicy


def test_backoffs_by_hand():
    def three(kind, u, previous=0.0):
        one, waits = Backoff(kind, base_s=1.0, cap_s=5.0), []
        for retry in (1, 2, 3, 4):
            previous = one.delay(retry, previous, u)
            waits.append(previous)
        return waits

    assert three("none", 0.3) == [0, 0, 0, 0]
    assert three("constant", 0.3) == [1, 1, 1, 1]
    assert three("exponential", 0.3) == [1, 2, 4, 5]
    assert three("equal", 0.5) == [0.75, 1.5, 3.0, 3.75]
    assert three("full", 0.5) == [0.5, 1.0, 2.0, 2.5]
    assert three("decorrelated", 0.5) == [2.0, 3.5, 5.0, 5.0]  # 1 + u (3 · before - 1), before at first 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_backoff_stays_within_its_bounds_however_often_it_is_asked(kind):
    one, rng = Backoff(kind, base_s=0.1, cap_s=7.0), np.random.default_rng(3)
    waits = [wait for wait, _ in zip(one.delays(rng.random), range(3000), strict=False)]
    assert max(waits) <= 7.0 and min(waits) >= 0.0
    assert kind in ("none", "full") or min(waits) >= 0.05
    if kind in ("equal", "full", "decorrelated"):
        assert len(set(waits)) > 2000  # the decorrelated one is often at its cap


def test_a_very_late_retry_does_not_overflow():
    assert Backoff("exponential", base_s=1.0, cap_s=1e5, factor=10.0).delay(10**9) == 1e5
    assert Backoff("exponential", base_s=1.0, cap_s=1e5, factor=1.0).delay(10**9) == 1.0


def test_envoy_allows_a_share_of_what_is_in_flight_and_a_minimum():
    budget = Budget(RetryBudget("Envoy", ratio=0.2, minimum=3))
    budget.begin(0.0, False)
    for allowed in (True, True, True, False):
        assert budget.may_retry(0.0) == allowed
        if allowed:
            budget.begin(0.0, True)
    for _ in range(16):  # 20 in flight: four retries, one more than now
        budget.begin(0.0, False)
    assert budget.may_retry(0.0)
    budget.begin(0.0, True)
    assert not budget.may_retry(0.0)
    budget.end(0.0, True, True)
    assert budget.may_retry(0.0)


def test_finagle_allows_retries_by_calls_in_its_window_and_a_minimum():
    budget = Budget(RetryBudget("Finagle", ratio=0.2, minimum=0.0, window_s=10.0))
    for k in range(10):
        budget.begin(0.1 * k, False)
    assert [budget.may_retry(1.0) for _ in range(3)] == [True, True, False]
    for k in range(10):
        budget.begin(5.0 + 0.1 * k, False)
    assert budget.may_retry(6.0) and budget.may_retry(6.0) and not budget.may_retry(6.0)
    assert not budget.may_retry(30.0)
    least = Budget(RetryBudget("Finagle", ratio=0.0, minimum=1.0, window_s=10.0))
    assert sum(least.may_retry(0.0) for _ in range(20)) == 10


@pytest.mark.parametrize(("failure", "switched_off"), [(0.05, False), (0.08, False), (0.11, True), (0.2, True)])
def test_grpc_switches_off_near_one_in_eleven(failure, switched_off):
    """gRPC proposal A6: with tokenRatio 0.1 tokens drift down above p = 0.1/1.1."""
    budget, rng = Budget(RetryBudget("gRPC", ratio=0.1, most_tokens=10.0)), np.random.default_rng(5)
    off = 0
    for failed in rng.random(60_000) < failure:
        budget.begin(0.0, False)
        budget.end(0.0, False, bool(failed))
        off += not budget.may_retry(0.0)
    assert (off / 60_000 > 0.5) == switched_off


def test_grpc_tokens_by_hand():
    budget = Budget(RetryBudget("gRPC", ratio=0.5, most_tokens=4.0))
    budget.end(0.0, False, True)
    assert budget.may_retry(0.0)  # 3 of 4
    budget.end(0.0, False, True)
    assert not budget.may_retry(0.0)  # 2 is half
    budget.end(0.0, False, False)
    assert budget.may_retry(0.0)  # 2.5


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95, 0.99])
def test_percentiles_are_right_to_the_width_of_a_cell(share):
    latency, values = RecentLatency(), np.random.default_rng(2).lognormal(-3, 1, 20_000)
    for one in values:
        latency.observe(float(one))
    last = np.quantile(values[-4000:], share)  # recent ones count; statistics of 1,000 remembered values
    assert latency.quantile_s(share) == pytest.approx(last, rel=0.05 + GROWTH - 1 + 0.1 * (share > 0.9))


def test_old_latencies_are_forgotten():
    latency = RecentLatency()
    for _ in range(5000):
        latency.observe(1.0)
    for _ in range(5000):
        latency.observe(0.01)
    assert latency.quantile_s(0.99) == pytest.approx(1.0, rel=GROWTH - 1) or latency.quantile_s(0.99) < 0.011
    assert latency.quantile_s(0.9) == pytest.approx(0.01, rel=GROWTH - 1)
    for _ in range(200_000):  # weights stay finite
        latency.observe(0.01)
    assert latency.quantile_s(1.0) < 1e4 and math.isfinite(latency.quantile_s(0.5))


def test_an_adaptive_timeout_follows_the_latency_between_its_bounds():
    policy = TimeoutPolicy(
        Timeout("adaptive", timeout_s=1.0, percentile=99, factor=2.0, low_s=0.05, high_s=0.5, warm_up=50)
    )
    assert policy.current_s() == 1.0
    for _ in range(60):
        policy.observe(0.1)
    assert policy.current_s() == pytest.approx(0.2, rel=GROWTH - 1)
    for _ in range(5000):
        policy.observe(0.001)
    assert policy.current_s() == 0.05
    for _ in range(9000):
        policy.observe(3.0)
    assert policy.current_s() == 0.5
    assert TimeoutPolicy(Timeout("none")).current_s() == math.inf


def test_a_hedge_waits_for_its_percentile_and_for_enough_answers():
    hedge = HedgePolicy(Hedge(percentile=90, warm_up=10))
    assert hedge.after_s() == math.inf
    for k in range(100):
        hedge.observe(0.01 if k % 10 else 1.0)
    assert hedge.after_s() == pytest.approx(0.01, rel=GROWTH - 1)
    assert HedgePolicy(Hedge("fixed", delay_s=0.25)).after_s() == 0.25


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Backoff(base_s=-1.0), "base_s is -1"),
        (lambda: Backoff(base_s=2.0, cap_s=1.0), "cap_s is 1"),
        (lambda: Backoff().delay(0), "retry is 0"),
        (lambda: Timeout(timeout_s=-0.5), "timeout_s is -0.5"),
        (lambda: Timeout("adaptive", low_s=2.0, high_s=1.0), "low_s is 2"),
        (lambda: Timeout(percentile=101), "percentile is 101"),
        (lambda: Hedge(most=0), "most is 0"),
        (lambda: Retry(attempts=0), "attempts is 0"),
        (lambda: Retry(deadline_s=-1.0), "deadline_s is -1"),
        (lambda: RetryBudget(ratio=1.2), "ratio is 1.2"),
        (lambda: RetryBudget("gRPC", ratio=0.0), "ratio is 0"),
        (lambda: RecentLatency().observe(-1.0), "took_s is -1"),
    ],
)
def test_bad_values_are_refused_with_the_reason(make, said):
    with pytest.raises(ValueError, match=said):
        make()
