"""Backoff, budgets, timeouts, hedges, percentiles."""

import math
from collections import deque

import numba
import numpy as np
import pytest

from distlib.core.record import in_records
from distlib.resilience import backoff, budget, hedge, percentile, timeout
from distlib.resilience.backoff import KINDS, Backoff
from distlib.resilience.budget import Budget, BudgetRule, RetryBudget
from distlib.resilience.hedge import Hedge, HedgePolicy
from distlib.resilience.percentile import ERROR, GROWTH, MEMORY, Quantiles, RecentLatency
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


def test_envoy_counts_a_retry_from_the_beginning_of_its_backoff():
    """As Envoy's RetryStateImpl::shouldRetry does: it adds to the cluster's retries before it sets the timer."""
    budget = Budget(RetryBudget("Envoy", ratio=0.2, minimum=3))
    for allowed in (True, True, True, False):
        assert budget.may_retry(0.0) == allowed
        if allowed:
            budget.wait()
    budget.waited()
    budget.begin(0.1, True)  # one of the three is in flight now: still three
    assert not budget.may_retry(0.1)
    budget.end(0.2, True, False)
    assert budget.may_retry(0.2)
    budget.waited()  # and one is given up in its backoff
    budget.wait()
    assert budget.may_retry(0.2)


def test_finagle_decides_as_a_ledger_in_slices():
    """An independent model of Finagle's RetryBudget: what was put in and taken out in the ten newest slices."""
    budget, rng = Budget(RetryBudget("Finagle", ratio=0.25, minimum=0.5, window_s=5.0)), np.random.default_rng(4)
    ledger, now, said = deque(), 0.0, []
    for _ in range(5000):
        now += float(rng.exponential(0.05 if rng.random() < 0.9 else 2.0))
        newest = math.floor(now / 0.5 + 1e-12)
        while ledger and ledger[0][0] <= newest - 10:
            ledger.popleft()
        if rng.random() < 0.6:
            budget.begin(now, False)
            ledger.append((newest, 0.25))
            continue
        balance = 0.5 * 5.0 + sum(amount for _, amount in ledger)
        said.append((budget.may_retry(now), balance >= 1.0 - 1e-9))
        if said[-1][1]:
            ledger.append((newest, -1.0))
    assert [one for one, _ in said] == [other for _, other in said] and 0.1 < np.mean([one for one, _ in said]) < 0.9


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


def test_grpc_decides_as_its_own_test_table():
    """The cases of gRPC's retry_throttle_test.cc ("Basic"): 4 tokens, 1.6 for a success; True, False: whether a retry
    may follow this failure; None: a success."""
    rule = BudgetRule(budget.GRPC, ratio=1.6, minimum=0.0, window_s=1.0, most_tokens=4.0)
    known, said = budget.unused(rule), []
    table = [True, None, True, False, False, False, False, None, None, True, False, None, False, None, True]
    for one in table:
        budget.plain_begins(rule, known, 0.0, False)
        budget.plain_ends(rule, known, 0.0, False, one is not None)
        said.append(None if one is None else budget.plain_may_retry(rule, known, 0.0))
    assert said == table


def test_grpc_counts_neither_what_was_cancelled_nor_what_failed_for_good():
    """gRPC proposal A6: only failures with a retryable status count, "to avoid conflating server failure with
    responses to malformed requests"; a success alone gives tokens back."""
    budget = Budget(RetryBudget("gRPC", ratio=1.0, most_tokens=4.0))
    for _ in range(2):
        budget.begin(0.0, False)
        budget.end(0.0, False, True)
    for _ in range(10):
        budget.begin(0.0, False)
        budget.leave(False)
    assert not budget.may_retry(0.0)  # 2 of 4, as before
    budget.end(0.0, False, False)
    assert budget.may_retry(0.0)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.95, 0.99, 1.0])
def test_percentiles_are_right_to_half_a_cell(share):
    """Against the exact percentile of all values, each with its weight."""
    latency, values = RecentLatency(), np.random.default_rng(2).lognormal(-3, 1, 5000)
    for one in values:
        latency.observe(float(one))
    order, weight = np.argsort(values), (1 + 1 / MEMORY) ** np.arange(values.size)
    sums = np.cumsum(weight[order])
    exact = values[order][min(np.searchsorted(sums, share * sums[-1]), values.size - 1)]
    assert latency.quantile_s(share) == pytest.approx(exact, rel=ERROR + 1e-9)


@pytest.mark.parametrize("took_s", [0.0, 1e-9, 1e-5, 3e-3, 9999.0, 1e6])
def test_one_latency_is_every_percentile(took_s):
    latency = RecentLatency()
    assert latency.quantile_s(0.5) == 0.0
    for _ in range(300):
        latency.observe(took_s)
    within = min(max(took_s, percentile.LOWEST_S), percentile.LOWEST_S * GROWTH ** (percentile.CELLS - 0.5))
    for share in (0.0, 0.5, 0.99, 1.0):
        assert latency.quantile_s(share) == pytest.approx(within, rel=ERROR + 1e-9)


def test_old_latencies_are_forgotten():
    latency = RecentLatency()
    for _ in range(5000):
        latency.observe(1.0)
    for _ in range(5000):
        latency.observe(0.01)
    assert latency.quantile_s(0.99) == pytest.approx(1.0, rel=ERROR) or latency.quantile_s(0.99) < 0.011
    assert latency.quantile_s(0.9) == pytest.approx(0.01, rel=ERROR)
    for _ in range(200_000):  # weights stay finite
        latency.observe(0.01)
    assert latency.quantile_s(1.0) == pytest.approx(0.01, rel=ERROR)  # the older ones have gone


def test_an_adaptive_timeout_follows_the_latency_between_its_bounds():
    policy = TimeoutPolicy(
        Timeout("adaptive", timeout_s=1.0, percentile=99, factor=2.0, low_s=0.05, high_s=0.5, warm_up=50)
    )
    assert policy.current_s() == 1.0
    for _ in range(60):
        policy.observe(0.1)
    assert policy.current_s() == pytest.approx(0.2, rel=ERROR)
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
    assert hedge.after_s() == pytest.approx(0.01, rel=ERROR)
    assert HedgePolicy(Hedge("fixed", delay_s=0.25)).after_s() == 0.25


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Backoff(base_s=-1.0), "base_s is -1"),
        (lambda: Backoff(base_s=2.0, cap_s=1.0), "cap_s is 1"),
        (lambda: Backoff().delay(0), "retry is 0"),
        (lambda: Backoff().delay(1, u=1.5), "u is 1.5"),
        (lambda: Backoff().delay(1, previous_s=-1.0), "previous_s is -1"),
        (lambda: Backoff().delay(1, u=math.nan), "u is nan"),
        (lambda: Timeout(timeout_s=-0.5), "timeout_s is -0.5"),
        (lambda: Timeout("adaptive", low_s=2.0, high_s=1.0), "low_s is 2"),
        (lambda: Timeout(percentile=101), "percentile is 101"),
        (lambda: Hedge(most=0), "most is 0"),
        (lambda: Retry(attempts=0), "attempts is 0"),
        (lambda: Retry(deadline_s=-1.0), "deadline_s is -1"),
        (lambda: Retry(deadline_s=0), "deadline_s is 0; it takes a number above 0 s"),
        (lambda: RetryBudget(ratio=1.2), "ratio is 1.2"),
        (lambda: RetryBudget("gRPC", ratio=0.0), "ratio is 0"),
        (lambda: RecentLatency().observe(-1.0), "took_s is -1"),
    ],
)
def test_bad_values_are_refused_with_the_reason(make, said):
    with pytest.raises(ValueError, match=said):
        make()


def test_whole_seconds_and_numpy_numbers_are_numbers_too():
    assert Retry(deadline_s=45).deadline_s == 45
    assert Backoff("decorrelated", 1.0, 9.0).delay(2, 2, np.float64(0.5)) == 3.5
    with pytest.raises(TypeError, match=r"retry is 1\.0"):
        Backoff().delay(1.0)


# --- compiled and plain ------------------------------------------------------------------------------------------


@numba.njit
def drive_budget(rules, known, gaps, kinds, said):
    now, rule, state = 0.0, rules[0], known[0]
    for k in range(gaps.size):
        now += gaps[k]
        kind = kinds[k]
        if kind == 0:
            budget.begins(rule, state, now, False)
        elif kind == 1:
            said[k] = budget.may_retry(rule, state, now)
            if said[k]:
                budget.waits(state)
        elif kind == 2 and state.waiting > 0:
            budget.waited(state)
            budget.begins(rule, state, now, True)
        elif kind == 3 and state.active > state.retrying:
            budget.ends(rule, state, now, False, gaps[k] > 0.02)
        elif kind == 4 and state.retrying > 0:
            budget.leaves(state, True)


@pytest.mark.parametrize("kind", budget.KINDS[1:])
def test_compiled_and_plain_budgets_are_one_source(kind):
    rng, size = np.random.default_rng(6), 20_000
    gaps, kinds, said = rng.exponential(0.02, size), rng.integers(0, 5, size), np.zeros(size, np.bool_)
    rule = RetryBudget(kind, ratio=0.3, minimum=2.0, window_s=1.0).rule()
    drive_budget(in_records([rule]), in_records([budget.unused(rule)]), gaps, kinds, said)
    live, now, same = Budget(RetryBudget(kind, ratio=0.3, minimum=2.0, window_s=1.0)), 0.0, []
    for gap, what in zip(gaps.tolist(), kinds.tolist(), strict=True):
        now += gap
        state, allowed = live._known, False
        if what == 0:
            live.begin(now, False)
        elif what == 1:
            allowed = live.may_retry(now)
            if allowed:
                live.wait()
        elif what == 2 and state.waiting > 0:
            live.waited()
            live.begin(now, True)
        elif what == 3 and state.active > state.retrying:
            live.end(now, False, gap > 0.02)
        elif what == 4 and state.retrying > 0:
            live.leave(True)
        same.append(allowed)
    assert same == said.tolist() and 0 < sum(same) < (kinds == 1).sum()


@numba.njit
def drive_latency(timeouts, hedges, known, values, said):
    for k in range(values.size):
        percentile.observe(known[0], values[k], MEMORY)
        said[k, 0] = timeout.timeout_of(timeouts[0], known[0])
        said[k, 1] = hedge.hedge_after(hedges[0], known[0])


def test_compiled_and_plain_timeouts_and_hedges_are_one_source():
    wait, again = Timeout("adaptive", percentile=90.0, factor=1.5, low_s=0.02, high_s=0.3), Hedge(percentile=80.0)
    values, said = np.random.default_rng(8).lognormal(-3, 1, 3000) * np.linspace(0.05, 3, 3000), np.zeros((3000, 2))
    drive_latency(in_records([wait.rule()]), in_records([again.rule()]), in_records([Quantiles()]), values, said)
    latency, same = RecentLatency(), []
    patience, hedging = TimeoutPolicy(wait, latency), HedgePolicy(again, latency)
    for one in values.tolist():
        latency.observe(one)
        same.append([patience.current_s(), hedging.after_s()])
    assert same == said.tolist() and len({one for one, _ in same}) > 10


@numba.njit
def drive_backoff(rules, u, said):
    wait_s = 0.0
    for k in range(u.size):
        wait_s = backoff.delay(rules[0], 1 + k % 40, wait_s, u[k])
        said[k] = wait_s


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_and_plain_backoffs_are_one_source(kind):
    one, u, said = Backoff(kind, 0.1, 30.0, 1.7), np.random.default_rng(9).random(400), np.zeros(400)
    drive_backoff(in_records([one.rule()]), u, said)
    wait_s, same = 0.0, []
    for k, number in enumerate(u.tolist()):
        wait_s = one.delay(1 + k % 40, wait_s, number)
        same.append(wait_s)
    assert same == said.tolist()
