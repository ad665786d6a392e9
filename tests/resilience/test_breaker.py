"""Circuit breakers: resilience4j's documented semantics, an independent model, and compiled = plain."""

from collections import deque
from dataclasses import replace

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distlib.core.record import in_records
from distlib.resilience.breaker import CELL, STATES, Breaker, BreakerState, CircuitBreaker, allows, cells_of, record

COUNT = CircuitBreaker(window=10, minimum_calls=4, failure_rate=0.5, open_s=10.0, probes=3)


def play(params, steps):
    """Decisions and states for steps (time, result or None for only asking, duration)."""
    breaker, said = Breaker(params), []
    for now, failed, took_s in steps:
        allowed = breaker.allow(now)
        if allowed and failed is not None:
            breaker.record(now, failed, took_s)
        said.append((allowed, breaker.state))
    return said


def results(*failed, start=0.0, took_s=0.1):
    return [(start + 0.1 * k, one, took_s) for k, one in enumerate(failed)]


def test_a_rate_counts_from_the_minimum_of_calls_on():
    assert [state for _, state in play(COUNT, results(True, True, True))] == ["closed"] * 3
    assert play(COUNT, results(True, True, True, True))[-1] == (True, "open")


def test_the_threshold_is_reached_with_equality():
    assert play(COUNT, results(True, False, True, False))[-1] == (True, "open")
    assert play(COUNT, results(True, False, False, False))[-1] == (True, "closed")


@pytest.mark.parametrize("failures", range(1, 101))
def test_every_whole_rate_of_a_hundred_calls_is_reached_exactly(failures):
    params = CircuitBreaker(failure_rate=failures / 100)
    breaker = Breaker(params)
    for k in range(99):
        breaker.record(0.0, k < failures - 1)
    assert breaker.state == "closed"
    breaker.record(0.0, True)
    assert breaker.state == "open"


def test_the_defaults_of_resilience4j_need_a_hundred_calls():
    breaker = Breaker(CircuitBreaker())
    for _ in range(99):
        breaker.record(0.0, True)
    assert breaker.state == "closed"
    breaker.record(0.0, True)
    assert breaker.state == "open" and not breaker.allow(59.9) and breaker.allow(60.0)


def test_an_old_result_leaves_the_window_of_calls():
    steps = results(True, *[False] * 9, True, True, True, True)  # 4 of the last 10; 5 of all 14
    assert play(COUNT, steps)[-1][1] == "closed"
    assert play(COUNT, [*steps, *results(True, start=3.0)])[-1][1] == "open"


def test_open_rejects_until_its_time_is_over_and_half_open_lets_the_probes_through():
    breaker = Breaker(COUNT)
    for _ in range(4):
        breaker.record(0.0, True)
    assert [breaker.allow(t) for t in (0.0, 5.0, 9.99)] == [False] * 3 and breaker.state == "open"
    assert [breaker.allow(10.0) for _ in range(5)] == [True, True, True, False, False]
    assert breaker.state == "half-open"


def half_open():
    breaker = Breaker(COUNT)
    for _ in range(4):
        breaker.record(0.0, True)
    for _ in range(3):
        assert breaker.allow(10.0)
    return breaker


def test_all_probes_have_to_end_before_a_half_open_breaker_decides():
    breaker = half_open()
    breaker.record(10.1, True)
    breaker.record(10.1, True)
    assert breaker.state == "half-open"
    breaker.record(10.2, False)
    assert breaker.state == "open" and not breaker.allow(20.1) and breaker.allow(20.2)


def test_good_probes_close_it_and_it_counts_afresh():
    breaker = half_open()
    for failed in (False, False, True):
        breaker.record(10.1, failed)
    assert breaker.state == "closed"
    for _ in range(3):
        breaker.record(10.2, True)
    assert breaker.state == "closed"
    breaker.record(10.2, True)
    assert breaker.state == "open"


def test_a_cancelled_probe_may_be_taken_again():
    breaker = half_open()
    assert not breaker.allow(10.5)
    breaker.cancel()
    assert breaker.allow(10.5) and not breaker.allow(10.5)


def test_slow_calls_open_it_as_failures_do():
    params = replace(COUNT, slow_rate=0.5, slow_s=1.0)
    assert play(params, results(*[False] * 4, took_s=1.0))[-1][1] == "closed"  # slow is longer than the threshold
    assert play(params, results(*[False] * 4, took_s=1.1))[-1][1] == "open"


def test_a_late_result_changes_nothing_while_it_is_open():
    breaker = Breaker(COUNT)
    for _ in range(4):
        breaker.record(0.0, True)
    for _ in range(20):
        breaker.record(1.0, False)
    assert breaker.state == "open" and breaker.allow(10.0) and breaker.state == "half-open"


def test_a_time_window_forgets_whole_seconds():
    params = CircuitBreaker(counting="last seconds", window=3, minimum_calls=2, failure_rate=1.0)
    assert play(params, [(0.9, True, 0), (3.0, True, 0)])[-1][1] == "closed"  # second 0 is out at second 3
    assert play(params, [(1.0, True, 0), (3.9, True, 0)])[-1][1] == "open"
    assert play(params, [(0.0, True, 0), (100.0, True, 0)])[-1][1] == "closed"


def test_failures_in_a_row_are_interrupted_by_one_success():
    params = CircuitBreaker(counting="consecutive failures", failures=3, probes=1, open_s=5.0)
    assert play(params, results(True, True, False, True, True))[-1][1] == "closed"
    assert play(params, results(True, True, True))[-1][1] == "open"
    after = play(params, [*results(True, True, True), (5.2, True, 0), (9.0, False, 0), (10.2, False, 0)])
    assert after[-3:] == [(True, "open"), (False, "open"), (True, "closed")]


class Model:
    """The same written down once more, with lists of results and their times."""

    def __init__(self, params):
        self.params, self.state, self.since, self.permits = params, "closed", 0.0, 0
        self.seen = deque()

    def allow(self, now):
        if self.state == "open" and now >= self.since + self.params.open_s:
            self.state, self.permits, self.seen = "half-open", self.params.probes, deque()
        if self.state == "half-open":
            self.permits -= 1
            return self.permits >= 0
        return self.state == "closed"

    def record(self, now, failed, took_s):
        if self.state == "open":
            return
        self.seen.append((now, failed, took_s > self.params.slow_s))
        p, probing = self.params, self.state == "half-open"
        if p.counting == "consecutive failures":
            needed = 1 if probing else p.failures
            row = [one for _, one, _ in self.seen][-needed:]
            opens = len(row) == needed and all(row)
            closes = probing and len(self.seen) >= p.probes
        else:
            recent = [one for one in self.seen if int(one[0]) > int(now) - p.window]
            if probing or p.counting == "last calls":
                recent = [*self.seen][-(p.probes if probing else p.window) :]
            enough = len(recent) >= (p.probes if probing else p.minimum_calls)
            share = [sum(one[k] for one in recent) / len(recent) for k in (1, 2)]
            opens = enough and (share[0] >= p.failure_rate or share[1] >= p.slow_rate)
            closes = enough and probing and not opens
        if opens:
            self.state, self.since = "open", now
        elif closes:
            self.state, self.seen = "closed", deque()


PARAMS = st.builds(
    CircuitBreaker, counting=st.sampled_from(("consecutive failures", "last calls", "last seconds")),
    failures=st.integers(1, 4), window=st.integers(4, 12), minimum_calls=st.integers(1, 4),
    failure_rate=st.sampled_from((0.2, 0.5, 1.0)), slow_rate=st.sampled_from((0.3, 1.0)), slow_s=st.just(1.0),
    open_s=st.sampled_from((0.5, 3.0)), probes=st.integers(1, 4),
)  # fmt: skip
STEPS = st.lists(
    st.tuples(st.sampled_from((0.0, 0.1, 0.7, 2.0, 30.0)), st.booleans(), st.sampled_from((0.5, 2.0))), max_size=80
)


@settings(max_examples=400, deadline=None)
@given(PARAMS, STEPS)
def test_every_decision_is_that_of_a_model_with_lists(params, steps):
    breaker, model, now = Breaker(params), Model(params), 0.0
    for gap, failed, took_s in steps:
        now += gap
        allowed = breaker.allow(now)
        assert allowed == model.allow(now)
        if allowed:
            breaker.record(now, failed, took_s)
            model.record(now, failed, took_s)
        assert breaker.state == model.state


@numba.njit
def drive(rules, known, ring, failed, took_s, gaps, said):
    now = 0.0
    for k in range(failed.size):
        now += gaps[k]
        said[k, 0] = allows(rules[0], known[0], ring, now)
        if said[k, 0]:
            record(rules[0], known[0], ring, now, failed[k], took_s[k])
        said[k, 1] = known[0].state


@pytest.mark.parametrize("counting", ["consecutive failures", "last calls", "last seconds"])
def test_compiled_and_plain_are_one_source(counting):
    params = CircuitBreaker(
        counting=counting, window=9, minimum_calls=5, failures=3, probes=3, open_s=2.0, slow_s=1.5, slow_rate=0.7
    )
    rng, size = np.random.default_rng(7), 20_000
    failed, took_s, gaps = rng.random(size) < 0.4, 2 * rng.random(size), rng.exponential(0.4, size)
    said = np.zeros((size, 2), np.int64)
    rule = params.rule()
    ring = np.zeros(CELL * cells_of(rule) + 1, np.int64)
    drive(in_records([rule]), in_records([BreakerState()]), ring, failed, took_s, gaps, said)
    breaker, now, same = Breaker(params), 0.0, []
    for k in range(size):
        now += float(gaps[k])
        allowed = breaker.allow(now)
        if allowed:
            breaker.record(now, bool(failed[k]), float(took_s[k]))
        same.append((allowed, STATES.index(breaker.state)))
    assert same == [(bool(a), s) for a, s in said.tolist()]
    assert {state for _, state in same} == {0, 1, 2}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"window": 10}, "minimum_calls"),
        ({"failure_rate": 1.01}, "failure_rate is 1.01"),
        ({"failure_rate": 0.0}, "failure_rate is 0"),
        ({"slow_rate": 2}, "slow_rate is 2"),
        ({"open_s": -1.0}, "open_s is -1"),
        ({"probes": 0}, "probes is 0"),
        ({"failures": 0}, "failures is 0"),
        ({"counting": "calls"}, "choose one of"),
    ],
)
def test_senseless_settings_are_refused_with_the_reason(wrong, said):
    with pytest.raises(ValueError, match=said):
        CircuitBreaker(**wrong)
