"""Rate limits, bulkheads, throttles, outlier detection, concurrency limits, shedding, idempotency, caches."""

from typing import NamedTuple

import numba
import numpy as np
import pytest

from distlib.core.draw import plain
from distlib.core.record import in_records
from distlib.resilience.concurrency import (
    ConcurrencyLimit,
    ConcurrencyLimiter,
    ConcurrencyState,
    begins,
    ends,
    limit_of,
    withdraws,
)
from distlib.resilience.fallback import CacheRule, Fetch, Hit, Join, StaleCache
from distlib.resilience.idempotency import Fresh, IdempotencyStore, InProgress, Mismatch, Replay
from distlib.resilience.limits import Bulkhead, Limiter, LimitRule, RateLimit, unused
from distlib.resilience.limits import admits as limit_admits
from distlib.resilience.outlier import (
    Ejected,
    InstanceHealth,
    OutlierDetection,
    OutlierRule,
    OutlierWatch,
    available,
    observe,
)
from distlib.resilience.shedding import Shedder, Shedding, SheddingRule, SheddingState, drops, newest_first
from distlib.resilience.shedding import admits as shedding_admits
from distlib.resilience.throttle import ClientThrottle, Throttle, ThrottleRule, ThrottleState, accepted
from distlib.resilience.throttle import admits as throttle_admits


def off(kind):
    """A rule as the engine has it where there is no such policy: zeros."""
    return kind(*[0] * len(kind._fields))


def admitted(kind, times, rate=2.0, burst=3.0):
    limiter = Limiter(RateLimit(kind, rate, burst))
    return [limiter.allow(t) for t in times]


@pytest.mark.parametrize("kind", ["token bucket", "leaky bucket"])
def test_buckets_let_a_burst_through_and_then_the_rate(kind):
    assert admitted(kind, [0, 0, 0, 0, 0.4, 0.5, 0.6, 1.0]) == [True, True, True, False, False, True, False, True]
    assert admitted(kind, [0, 0, 0, 100, 100, 100, 100]) == [True] * 6 + [False]


def test_token_and_leaky_bucket_decide_alike():
    times = np.cumsum(np.random.default_rng(4).exponential(0.4, 5000)).tolist()
    said = admitted("token bucket", times)
    assert said == admitted("leaky bucket", times) and 1000 < sum(said) < 5000


def test_a_sliding_window_weighs_the_window_before():
    # 3 calls in 1.5 s; at 2.0 a third of the window is over, so 2/3 of the 3 calls before still count,
    # rounded down
    assert admitted("sliding window", [0.1, 0.2, 0.3, 0.4]) == [True, True, True, False]
    assert admitted("sliding window", [0.1, 0.2, 0.3, 2.0, 2.01, 2.02]) == [True] * 5 + [False]
    assert admitted("sliding window", [0.1, 0.2, 0.3, 9.0, 9.0, 9.0, 9.0]) == [True] * 6 + [False]


@pytest.mark.parametrize("kind", ["token bucket", "leaky bucket", "sliding window"])
def test_a_limit_is_kept_in_the_long_run(kind):
    times = np.cumsum(np.random.default_rng(9).exponential(0.1, 20_000)).tolist()
    assert sum(admitted(kind, times)) / times[-1] == pytest.approx(2.0, rel=0.02)


def test_a_bulkhead_holds_its_number():
    bulkhead = Bulkhead(2)
    assert [bulkhead.enter() for _ in range(3)] == [True, True, False]
    bulkhead.leave()
    assert bulkhead.enter() and bulkhead.under_way == 2
    bulkhead.leave()
    bulkhead.leave()
    with pytest.raises(RuntimeError, match="none was in it"):
        bulkhead.leave()


def test_the_throttle_follows_the_formula_of_the_sre_book():
    throttle = ClientThrottle(Throttle(multiplier=2.0))
    for k in range(10):
        throttle.allow(0.0, 1.0)
        if k < 3:
            throttle.accept(0.0)
    assert throttle.rejection == pytest.approx((10 - 2 * 3) / (10 + 1))
    assert throttle.allow(0.0, 0.37) and not throttle.allow(0.0, 0.3)


def test_a_throttled_client_still_sends_about_k_requests_per_accepted_one():
    throttle, rng, sent = ClientThrottle(Throttle(multiplier=2.0, window_s=10.0)), np.random.default_rng(8), 0
    for k in range(40_000):  # 100 a second, of which the server accepts 10
        if throttle.allow(k / 100, rng.random()):
            sent += 1
            if rng.random() < 10 / (100 * max(0.01, 1 - throttle.rejection)):
                throttle.accept(k / 100)
    assert sent / 400 == pytest.approx(20, rel=0.15)


def test_a_throttle_forgets():
    throttle = ClientThrottle(Throttle(window_s=120.0))
    for _ in range(50):
        throttle.allow(0.0, 0.99)
    assert throttle.rejection > 0.9
    assert throttle.allow(126.0, 0.0) and throttle.rejection == pytest.approx(1 / 2)


def fail(watch, instance, times, now):
    for _ in range(times):
        watch.observe(instance, True, now)


def test_five_failures_in_a_row_eject_an_instance_for_thirty_seconds():
    watch = OutlierWatch(OutlierDetection(), 10)
    fail(watch, 3, 4, 0.0)
    watch.observe(3, False, 0.0)
    fail(watch, 3, 4, 1.0)
    assert 3 in watch.available(1.0)
    watch.observe(3, True, 2.0)
    assert 3 not in watch.available(39.9) and 3 in watch.available(40.0)  # 30 s, and on to the next look


def test_the_second_ejection_is_twice_as_long_and_good_times_are_remembered():
    watch = OutlierWatch(OutlierDetection(longest_s=70.0), 10)
    fail(watch, 0, 5, 0.0)
    assert 0 in watch.available(30.0)
    fail(watch, 0, 5, 30.0)
    assert 0 not in watch.available(89.0) and 0 in watch.available(90.0)
    fail(watch, 0, 5, 90.0)
    assert 0 not in watch.available(159.0) and 0 in watch.available(160.0)  # 90 s would be beyond the longest
    fail(watch, 0, 5, 200.0)  # well for four intervals: as good as never ejected
    assert 0 not in watch.available(229.0) and 0 in watch.available(230.0)


def test_a_detection_that_is_switched_off_ejects_nobody():
    known, ejected = InstanceHealth(), Ejected()
    for k in range(20):
        plain(observe)(off(OutlierRule), known, ejected, True, float(k))
    assert plain(available)(off(OutlierRule), known, ejected, 20.0) and ejected.count == 0


def test_an_unknown_instance_is_refused():
    with pytest.raises(ValueError, match="instance is 3"):
        OutlierWatch(OutlierDetection(), 3).observe(3, True, 0.0)


@pytest.mark.parametrize(
    ("instances", "share", "one", "most"),
    [(10, 0.1, False, 1), (9, 0.1, False, 0), (9, 0.1, True, 1), (10, 0.3, False, 3)],
)
def test_no_more_than_a_share_is_ejected(instances, share, one, most):
    watch = OutlierWatch(OutlierDetection(max_share=share, always_one=one), instances)
    for k in range(instances):
        fail(watch, k, 5, 0.0)
    assert instances - len(watch.available(1.0)) == most


def test_when_all_are_ejected_all_are_used():
    watch = OutlierWatch(OutlierDetection(max_share=1.0), 2)
    fail(watch, 0, 5, 0.0)
    fail(watch, 1, 5, 0.0)
    assert watch.available(1.0) == [0, 1]


def test_aimd_rises_by_one_and_falls_by_a_tenth():
    limiter = ConcurrencyLimiter(ConcurrencyLimit("AIMD", start=10, slow_s=0.5))
    for _ in range(10):
        assert limiter.enter()
    assert not limiter.enter()
    limiter.leave(0.1)
    assert limiter.limit == 11
    limiter.leave(0.6)
    assert limiter.limit == 9
    limiter.leave(0.1, dropped=True)
    assert limiter.limit == 8
    for _ in range(7):
        limiter.leave(0.1)
    assert limiter.limit == 11 and limiter.in_flight == 0  # idle limits do not grow: less than half was in use then


def test_a_cancelled_request_says_nothing_about_the_limit():
    limiter = ConcurrencyLimiter(ConcurrencyLimit("AIMD", start=2))
    assert limiter.enter() and limiter.enter() and not limiter.enter()
    limiter.cancel()
    assert (limiter.limit, limiter.in_flight) == (2, 1) and limiter.enter()
    limiter.cancel()
    limiter.cancel()
    for leave in (limiter.cancel, lambda: limiter.leave(0.1)):
        with pytest.raises(RuntimeError, match="none was in flight"):
            leave()


def test_a_fixed_limit_stays():
    limiter = ConcurrencyLimiter(ConcurrencyLimit("fixed", start=3))
    for took_s in (0.1, 100.0, 0.1):
        while limiter.enter():
            pass
        assert limiter.in_flight == 3
        limiter.leave(took_s, dropped=True)
    assert limiter.limit == 3


def gradient2(params, samples):
    """Limits after each sample (latency, in use) by the formulas of ``Gradient2Limit`` and ``ExpAvgMeasurement``."""
    limit, long_s, limits = float(params.start), 0.0, []
    for k, (took_s, in_use) in enumerate(samples):
        long_s = np.mean([one for one, _ in samples[: k + 1]]) if k < 10 else long_s * 599 / 601 + took_s * 2 / 601
        average, long_s = long_s, long_s * 0.95 if long_s / took_s > 2 else long_s
        if in_use >= limit / 2:
            new = limit * max(0.5, min(1.0, params.tolerance * average / took_s)) + params.queue
            limit = max(params.low, min(params.high, limit * (1 - params.smoothing) + new * params.smoothing))
        limits.append(limit)
    return limits


def test_the_gradient_is_that_of_gradient2limit():
    params, rng = ConcurrencyLimit("gradient", start=20, low=4, high=60), np.random.default_rng(2)
    limiter, samples, seen = ConcurrencyLimiter(params), [], []
    for k in range(3000):
        while limiter.in_flight < limiter.limit * (0.3 if 2000 < k < 2200 else 1.0) and limiter.enter():
            pass
        samples.append((float(rng.gamma(4.0) * (0.4 if 600 < k < 900 else 0.05)), limiter.in_flight))
        limiter.leave(samples[-1][0])
        seen.append(limiter.limit)
    expected = gradient2(params, samples)
    assert seen == [int(one) for one in expected] and len({*seen}) > 20 and min(seen) < 10 and max(seen) == 60


def test_the_gradient_shrinks_when_latency_grows_and_comes_back():
    limiter = ConcurrencyLimiter(ConcurrencyLimit("gradient", start=50, low=5, high=200))

    def served(took_s, times):
        for _ in range(times):
            while limiter.enter():
                pass
            limiter.leave(took_s)
        return limiter.limit

    assert served(0.1, 300) == 200  # grows by the queue allowance while latency stays
    assert served(1.0, 50) < 30
    assert served(0.1, 300) == 200


def test_random_shedding_rises_in_a_straight_line():
    shedder, rng = Shedder(Shedding("random", low=10, high=30)), np.random.default_rng(1)
    share = {w: np.mean([shedder.admit(0.0, w, u=float(u)) for u in rng.random(4000)]) for w in (0, 10, 20, 30, 40)}
    assert share[0] == share[10] == 1.0 and share[40] == 0.0
    assert share[20] == pytest.approx(0.5, abs=0.03) and share[30] < 0.01


def test_the_least_important_are_shed_first():
    shedder = Shedder(Shedding("priority", low=0, high=100))
    assert [[shedder.admit(0.0, w, p) for p in range(4)] for w in (0, 25, 50, 75, 100)] == [
        [True] * 4, [False, True, True, True], [False, False, True, True], [False, False, False, True], [False] * 4,
    ]  # fmt: skip


def test_codel_lets_a_short_burst_pass_and_drops_faster_and_faster_after_an_interval():
    shedder = Shedder(Shedding("CoDel", target_s=0.005, interval_s=0.1))
    dropped = [k for k in range(500) if shedder.drop(0.001 * k, 0.05, 100)]
    assert dropped[0] == 100
    gaps = np.diff(dropped)
    assert gaps[0] == pytest.approx(100, abs=1) and gaps[1] == pytest.approx(100 / 2**0.5, abs=1)
    assert (np.diff(gaps) <= 1).all()
    assert not shedder.drop(0.6, 0.001, 100) and not shedder.drop(0.601, 0.05, 100)


def codel(queue, target_s=0.005, interval_s=0.1):
    """Which of the requests (taken at, waited, left behind) are dropped, by the pseudocode of RFC 8289, section 5."""
    first_above, dropping, drop_next, count, lastcount, dropped = 0.0, False, 0.0, 0, 0, []
    for now, waited_s, behind in queue:
        ok_to_drop = False
        if waited_s < target_s or behind == 0:
            first_above = 0.0
        elif first_above == 0.0:
            first_above = now + interval_s
        else:
            ok_to_drop = now >= first_above
        drop = ok_to_drop and (not dropping or now >= drop_next)
        if not ok_to_drop:
            dropping = False
        elif not dropping:
            dropping, delta = True, count - lastcount
            count = lastcount = delta if delta > 1 and now - drop_next < 16 * interval_s else 1
            drop_next = now + interval_s / count**0.5
        elif drop:
            count += 1
            drop_next += interval_s / count**0.5
        dropped.append(drop)
    return dropped


@pytest.mark.parametrize("seed", range(6))
def test_codel_drops_what_the_pseudocode_of_the_rfc_drops(seed):
    rng = np.random.default_rng(seed)
    now, long, queue, calm_s = 1.0, False, [], (0.05, 0.4, 6.0)[seed % 3]
    for _ in range(20_000):
        now += float(rng.exponential(0.002))
        if rng.random() < 0.002 / (calm_s if not long else 0.8):
            long = not long
        queue.append((now, 0.05 if long else 0.001, int(rng.integers(0, 400) if long else 3)))
    shedder = Shedder(Shedding("CoDel", target_s=0.005, interval_s=0.1))
    said = [shedder.drop(*one) for one in queue]
    assert said == codel(queue) and sum(said) > 20


def test_adaptive_lifo_turns_around_when_the_queue_has_not_been_empty():
    shedder = Shedder(Shedding("adaptive LIFO", target_s=0.005, interval_s=0.1))
    assert shedder.admit(1.0, 0) and not shedder.newest_first(1.05)
    assert shedder.newest_first(1.2) and shedder.drop(1.2, 0.01, 3) and not shedder.drop(1.2, 0.004, 3)
    assert not shedder.drop(1.05, 0.01, 3)


def test_a_repetition_is_answered_and_not_executed():
    store = IdempotencyStore(keep_s=10.0)
    assert store.begin("k", 0.0, "pay 5") == Fresh()
    assert store.begin("k", 0.1, "pay 5") == InProgress()
    store.finish("k", "paid", 1.0)
    assert store.begin("k", 2.0, "pay 5") == Replay("paid")
    assert store.begin("k", 2.0, "pay 6") == Mismatch()
    assert store.begin("k", 11.0, "pay 5") == Fresh()  # kept for 10 s after the answer: executed a second time


def test_a_full_store_forgets_the_oldest_answer_but_nothing_under_way():
    store = IdempotencyStore(most=2)
    store.begin("a", 0.0)
    store.begin("b", 0.0)
    with pytest.raises(OverflowError, match="2 requests are being executed"):
        store.begin("c", 0.0)
    store.finish("b", 1, 1.0)
    store.finish("a", 1, 2.0)
    assert store.begin("c", 3.0) == Fresh() and store.begin("a", 3.0) == Replay(1)
    store.forget("c")
    assert len(store) == 1


def test_many_wait_for_one_and_a_stale_answer_is_better_than_none():
    cache = StaleCache(CacheRule(fresh_s=10.0, jitter=0.0, stale_s=5.0))
    assert cache.look("k", 0.0) == Fetch() and cache.look("k", 0.0) == Join(False)
    cache.fetched("k", "old", 1.0, 0.5)
    assert cache.look("k", 10.9) == Hit("old")
    assert cache.look("k", 11.0) == Fetch() and cache.look("k", 11.0) == Join(True, "old")
    assert cache.failed("k", 12.0) == Hit("old") and cache.look("k", 12.0) == Fetch()
    assert cache.failed("k", 16.0) is None
    cache.fetched("k", "new", 17.0, 0.5)
    cache.clear()
    assert cache.look("k", 17.5) == Fetch() and cache.failed("k", 17.5) is None


def test_jitter_spreads_the_end_of_entries():
    cache = StaleCache(CacheRule(fresh_s=10.0, jitter=0.5))
    for k, u in enumerate((0.0, 0.5, 1.0)):
        cache.look(str(k), 0.0)
        cache.fetched(str(k), k, 0.0, u)
    assert [isinstance(cache.look(str(k), 6.0), Hit) for k in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: RateLimit(rate_per_s=0.0), "rate_per_s is 0"),
        (lambda: RateLimit(burst=0.5), "burst is 0.5"),
        (lambda: Bulkhead(0), "most is 0"),
        (lambda: Throttle(multiplier=0.5), "multiplier is 0.5"),
        (lambda: OutlierDetection(max_share=1.1), "max_share is 1.1"),
        (lambda: OutlierDetection(base_s=400.0), "longest_s is 300"),
        (lambda: ConcurrencyLimit(start=5, low=10), "start is 5"),
        (lambda: Shedding("random", low=100, high=100), "low is 100"),
        (lambda: Shedding("CoDel", target_s=1.0), "target_s is 1"),
        (lambda: Shedder(Shedding()).admit(0.0, 0, priority=4), "priority is 4"),
        (lambda: IdempotencyStore(keep_s=0.0), "keep_s is 0"),
        (lambda: CacheRule(jitter=1.0), "jitter is 1"),
    ],
)
def test_bad_values_are_refused_with_the_reason(make, said):
    with pytest.raises(ValueError, match=said):
        make()


# --- compiled and plain are one source: the same decisions on random streams, and the same state at the end ---


@numba.njit
def drive_limit(rules, known, rows, said):
    for k in range(len(rows)):
        said[k] = limit_admits(rules[0], known[0], rows[k, 0])


@numba.njit
def drive_throttle(rules, known, rows, said):
    for k in range(len(rows)):
        said[k] = throttle_admits(rules[0], known[0], rows[k, 0], rows[k, 1])
        if rows[k, 2] < 0.3:
            accepted(rules[0], known[0], rows[k, 0])


@numba.njit
def drive_outlier(rules, known, rows, said):
    for k in range(len(rows)):
        said[k] = available(rules[0], known[0].health, known[0].ejected, rows[k, 0])
        observe(rules[0], known[0].health, known[0].ejected, rows[k, 1] < 0.5, rows[k, 0])


@numba.njit
def drive_concurrency(rules, known, rows, said):
    for k in range(len(rows)):
        if known[0].in_flight < limit_of(known[0]):
            begins(known[0])
        if rows[k, 1] < 0.1 and known[0].in_flight > 0:
            withdraws(known[0])
        elif rows[k, 1] < 0.9 and known[0].in_flight > 0:
            ends(rules[0], known[0], rows[k, 2], rows[k, 1] < 0.13)
        said[k] = known[0].limit


@numba.njit
def drive_shedding(rules, known, rows, said):
    for k in range(len(rows)):
        now, waiting = rows[k, 0], int(rows[k, 1] * 12)
        said[k] = (
            shedding_admits(rules[0], known[0], now, waiting, int(rows[k, 2] * 4), rows[k, 3])
            + 2 * newest_first(rules[0], known[0], now)
            + 4 * drops(rules[0], known[0], now, 0.1 * rows[k, 2], waiting)
        )


class Watched(NamedTuple):
    """One instance, and how many are ejected."""

    health: InstanceHealth
    ejected: Ejected


class One:
    """``records[0]`` as the plain object, for the same source in plain Python."""

    def __init__(self, one):
        self.one = one

    def __getitem__(self, place):
        return self.one


LIMITS = [RateLimit(kind, 2.0, 3.0).rule() for kind in ("token bucket", "leaky bucket", "sliding window")]
CONCURRENCY = [ConcurrencyLimit(kind, start=8, high=40).rule() for kind in ("fixed", "AIMD", "gradient")]
SHEDDING = [
    Shedding(kind, low=2, high=10, target_s=0.03, interval_s=1.0).rule()
    for kind in ("random", "priority", "CoDel", "adaptive LIFO")
]
CASES = [
    *((drive_limit, rule, lambda rule=rule: unused(rule)) for rule in (off(LimitRule), *LIMITS)),
    *((drive_throttle, r, ThrottleState) for r in (off(ThrottleRule), Throttle(window_s=9.0).rule())),
    *(
        (drive_outlier, rule, lambda: Watched(InstanceHealth(), Ejected()))
        for rule in (
            off(OutlierRule),
            OutlierDetection(consecutive=3, base_s=2.0, interval_s=3.0, max_share=1.0).rule(1),
        )
    ),
    *((drive_concurrency, rule, lambda: ConcurrencyState(8.0)) for rule in CONCURRENCY),
    *((drive_shedding, rule, SheddingState) for rule in (off(SheddingRule), *SHEDDING)),
]


@pytest.mark.parametrize(("drive", "rule", "state"), CASES)
def test_compiled_and_plain_are_one_source(drive, rule, state):
    rng, size = np.random.default_rng(11), 4000
    rows, plainly, compiled = rng.random((size, 4)), np.zeros(size), np.zeros(size)
    rows[:, 0] = np.cumsum(rng.exponential(0.3, size))
    one, records = state(), in_records([state()])
    plain(drive)(One(rule), One(one), rows, plainly)
    drive(in_records([rule]), records, rows, compiled)
    assert (plainly == compiled).all() and records[0] == in_records([one])[0]
    if rule.kind > 0 and rule is not CONCURRENCY[0]:
        assert len({*plainly}) > 1
