"""Breakers and rate limits beside pybreaker and `limits`, the same calls at the same times, the edges of
windows, and how far a counter of windows is from an exact one."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from unittest import mock

import limits
import limits.storage
import limits.strategies
import numpy as np
import pybreaker
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distlib.resilience.breaker import Breaker, CircuitBreaker
from distlib.resilience.limits import Limiter, RateLimit


class Clock(datetime):
    """pybreaker's datetime, on the test's clock."""

    at_s = 0.0

    @classmethod
    def now(cls, tz=None):
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=cls.at_s)


def asked_alike(theirs, ours, fails):
    """One call through both, which must decide alike; whether it was let through."""
    called = []

    def call():
        called.append(1)
        if fails:
            raise ConnectionError

    with suppress(ConnectionError, pybreaker.CircuitBreakerError):
        theirs.call(call)
    allowed = ours.allow(Clock.at_s)
    if allowed:
        ours.record(Clock.at_s, fails)
    assert allowed == bool(called) and ours.state == theirs.current_state
    return allowed


@pytest.mark.parametrize("failures", [1, 2, 5])
@pytest.mark.parametrize("seed", range(5))
def test_pybreaker_lets_the_same_calls_through(failures, seed):
    rng, said = np.random.default_rng(seed), []
    ours = Breaker(CircuitBreaker(counting="consecutive failures", failures=failures, probes=1, open_s=5.0))
    with mock.patch("pybreaker.datetime", Clock):
        theirs = pybreaker.CircuitBreaker(fail_max=failures, reset_timeout=5)
        for _ in range(3000):
            Clock.at_s = round(Clock.at_s + float(rng.exponential(0.7)), 6)
            said.append((asked_alike(theirs, ours, bool(rng.random() < 0.6)), ours.state))
    assert {one for one, _ in said} == {True, False} and {state for _, state in said} >= {"closed", "open"}


PLAYS = st.lists(st.tuples(st.sampled_from((0.0, 1.0, 4.75, 5.0, 5.25)), st.booleans()), max_size=60)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), PLAYS)
def test_pybreaker_with_several_successes_to_close(failures, probes, play):
    """fail_max and success_threshold; calls one after the other, times on both sides of reset_timeout."""
    ours = Breaker(CircuitBreaker(counting="consecutive failures", failures=failures, probes=probes, open_s=5.0))
    Clock.at_s = 0.0
    with mock.patch("pybreaker.datetime", Clock):
        theirs = pybreaker.CircuitBreaker(fail_max=failures, reset_timeout=5, success_threshold=probes)
        for gap, fails in play:
            Clock.at_s += gap
            asked_alike(theirs, ours, fails)


def play(strategy, times, amount, seconds):
    """What a strategy of `limits` says at these times."""
    at = [0.0]
    with mock.patch("limits.storage.memory.time.time", lambda: at[0]):
        limiter, item = strategy(limits.storage.MemoryStorage()), limits.RateLimitItemPerSecond(amount, seconds)
        said = []
        for at[0] in times:
            said.append(limiter.hit(item, "key"))
    return said


def ours(times, amount, seconds):
    limiter = Limiter(RateLimit("sliding window", rate_per_s=amount / seconds, burst=amount))
    return [limiter.allow(at) for at in times]


@pytest.mark.parametrize("seed", range(5))
def test_limits_sliding_window_counter_decides_alike(seed):
    times = (1000.0 + np.cumsum(np.random.default_rng(seed).exponential(0.9, 2000))).tolist()
    mine = ours(times, 7, 10)
    assert mine == play(limits.strategies.SlidingWindowCounterRateLimiter, times, 7, 10)
    assert 0.3 < np.mean(mine) < 0.95


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(((1, 1), (2, 4), (5, 8), (16, 2))),
    st.lists(st.sampled_from((0.0, 0.0, 0.125, 0.5, 1.75, 4.0, 9.0)), min_size=1, max_size=80),
)
def test_limits_sliding_window_counter_at_the_edges_of_windows(setting, gaps):
    """Times on a grid that meets the edges: of this window, of the one before, and beyond both."""
    times = (1024.0 + np.cumsum(gaps)).tolist()
    assert ours(times, *setting) == play(limits.strategies.SlidingWindowCounterRateLimiter, times, *setting)


def test_limits_moving_window_and_the_counter_let_about_as_many_through():
    """Where calls come evenly, as the counter supposes; the moving window is exact, and keeps every call's time."""
    times = (1000.0 + np.cumsum(np.random.default_rng(6).exponential(0.05, 20_000))).tolist()
    exact = sum(play(limits.strategies.MovingWindowRateLimiter, times, 100, 10))
    assert exact == pytest.approx(10 * (times[-1] - times[0]), rel=0.02)
    assert sum(ours(times, 100, 10)) == pytest.approx(exact, rel=0.05)


def test_at_worst_the_counter_lets_twice_as_many_through_as_a_fixed_window_does():
    """Nineteen of a window's twenty calls at its end; a moving window has room for one more until they are ten seconds
    old. (In `limits` a fixed window begins with its first call.)"""
    before = [1000.0] + [1009.9] * 19
    times = before + [round(1010.0 + 0.1 * k, 1) for k in range(98)]
    strategies = limits.strategies
    through = {
        "moving": play(strategies.MovingWindowRateLimiter, times, 20, 10),
        "counter": ours(times, 20, 10),
        "fixed": play(strategies.FixedWindowRateLimiter, times, 20, 10),
    }
    assert {name: sum(said[20:]) for name, said in through.items()} == {"moving": 1, "counter": 20, "fixed": 20}
