"""Our policies beside the Python libraries: the same failures, equal settings, every decision compared."""

import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from unittest import mock

import limits
import limits.storage
import limits.strategies
import numpy as np
import pybreaker
import pytest
import stamina
import tenacity

from distlib.resilience import compared
from distlib.resilience.around import Caller, GaveUpError
from distlib.resilience.backoff import Backoff
from distlib.resilience.breaker import Breaker, CircuitBreaker
from distlib.resilience.limits import Limiter, RateLimit
from distlib.resilience.retry import Retry

WAITS = {
    "constant": tenacity.wait_fixed(0.1),
    "exponential": tenacity.wait_exponential(multiplier=0.1, max=3),
    "full": tenacity.wait_random_exponential(multiplier=0.1, max=3),
}


def ours(kind, attempts, fails, seed):
    """Sleeps, and how the call ended: our caller."""
    slept, rng, tries = [], random.Random(seed), [0]

    def function(_attempt):
        tries[0] += 1
        if tries[0] <= fails:
            raise ConnectionError
        return "answer"

    backoff = Backoff(kind, base_s=0.1, cap_s=3.0)
    caller = Caller(Retry(attempts=attempts, backoff=backoff), clock=lambda: 0.0, sleep=slept.append, random=rng.random)
    clock = [0.0]
    caller._clock = lambda: clock[0]

    def sleep(seconds):
        slept.append(seconds)
        clock[0] += seconds

    caller._sleep = sleep
    try:
        ended = caller.call(function)
    except GaveUpError:
        ended = "gave up"
    return slept, tries[0], ended


def theirs(kind, attempts, fails, seed):
    """The same with tenacity."""
    slept, tries = [], [0]

    def function():
        tries[0] += 1
        if tries[0] <= fails:
            raise ConnectionError
        return "answer"

    rng = random.Random(seed)
    with mock.patch("tenacity.wait.random.uniform", lambda low, high: low + rng.random() * (high - low)):
        retrying = tenacity.Retrying(stop=tenacity.stop_after_attempt(attempts), wait=WAITS[kind], sleep=slept.append)
        try:
            ended = retrying(function)
        except tenacity.RetryError:
            ended = "gave up"
    return slept, tries[0], ended


@pytest.mark.parametrize("kind", WAITS)
@pytest.mark.parametrize(("attempts", "fails"), [(1, 0), (1, 1), (3, 2), (3, 3), (10, 9), (10, 20)])
def test_tenacity_waits_and_stops_alike(kind, attempts, fails):
    (mine, my_tries, my_end), (other, their_tries, their_end) = (f(kind, attempts, fails, 5) for f in (ours, theirs))
    assert (my_tries, my_end) == (their_tries, their_end)
    assert mine == pytest.approx(other, rel=1e-9) and len(mine) == min(fails, attempts - 1)


def test_stamina_waits_alike():
    backoff = Backoff("exponential", base_s=0.1, cap_s=5.0)
    caller = stamina.RetryingCaller(attempts=12, wait_initial=0.1, wait_max=5.0, wait_jitter=0.0, timeout=None)
    slept = []
    with mock.patch("time.sleep", slept.append), pytest.raises(ConnectionError):
        caller(ConnectionError, mock.Mock(side_effect=ConnectionError))
    assert slept == pytest.approx([backoff.delay(n) for n in range(1, 12)]) and len(slept) == 11


class Clock(datetime):
    """pybreaker's datetime, on the test's clock."""

    at_s = 0.0

    @classmethod
    def now(cls, tz=None):
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=cls.at_s)


@pytest.mark.parametrize("failures", [1, 2, 5])
@pytest.mark.parametrize("seed", range(5))
def test_pybreaker_lets_the_same_calls_through(failures, seed):
    rng = np.random.default_rng(seed)
    ours = Breaker(CircuitBreaker(counting="consecutive failures", failures=failures, probes=1, open_s=5.0))
    said = []
    with mock.patch("pybreaker.datetime", Clock):
        theirs = pybreaker.CircuitBreaker(fail_max=failures, reset_timeout=5)
        for _ in range(3000):
            Clock.at_s = round(Clock.at_s + float(rng.exponential(0.7)), 6)
            fails, called = bool(rng.random() < 0.6), []

            def call(fails=fails, called=called):
                called.append(1)
                if fails:
                    raise ConnectionError

            with suppress(ConnectionError, pybreaker.CircuitBreakerError):
                theirs.call(call)
            allowed = ours.allow(Clock.at_s)
            if allowed:
                ours.record(Clock.at_s, fails)
            said.append((allowed, ours.state))
            assert allowed == bool(called) and ours.state == theirs.current_state
    assert {one for one, _ in said} == {True, False} and {state for _, state in said} >= {"closed", "open"}


@pytest.mark.parametrize("seed", range(5))
def test_limits_sliding_window_counter_decides_alike(seed):
    rng, at = np.random.default_rng(seed), [1_000.0]
    with mock.patch("limits.storage.memory.time.time", lambda: at[0]):
        item = limits.RateLimitItemPerSecond(7, 10)
        theirs = limits.strategies.SlidingWindowCounterRateLimiter(limits.storage.MemoryStorage())
        ours, said = Limiter(RateLimit("sliding window", rate_per_s=0.7, burst=7)), []
        for _ in range(2000):
            at[0] += float(rng.exponential(0.9))
            said.append((ours.allow(at[0]), theirs.hit(item, "key")))
    assert [a for a, _ in said] == [b for _, b in said] and 0.3 < np.mean([a for a, _ in said]) < 0.95


def test_every_row_that_claims_a_test_names_a_library_of_this_file():
    tested = {one.library for one in compared.ROWS if one.tested}
    assert tested == {"tenacity", "stamina", "pybreaker", "limits"}
    assert len(compared.table()) == len(compared.ROWS)
