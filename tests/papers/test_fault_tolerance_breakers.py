"""resilience4j's CircuitBreaker: its documentation (resilience4j.readme.io, "CircuitBreaker") row by row, and a second
writing of it with calls that overlap."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distlib.resilience.breaker import Breaker, CircuitBreaker

SMALL = CircuitBreaker(window=10, minimum_calls=10, failure_rate=0.5, slow_rate=0.5, slow_s=2.0, open_s=60.0, probes=3)


def after(params, results, took_s=0.1):
    """A breaker that has seen these results at time 0: F for a failure, S for a success."""
    breaker = Breaker(params)
    for one in results:
        assert breaker.allow(0.0)
        breaker.record(0.0, one == "F", took_s)
    return breaker


def test_the_defaults_are_those_of_the_table():
    """ "Create and configure a CircuitBreaker": failureRateThreshold 50, slowCallRateThreshold 100,
    slowCallDurationThreshold 60000 ms, permittedNumberOfCallsInHalfOpenState 10, slidingWindowType COUNT_BASED,
    slidingWindowSize 100, minimumNumberOfCalls 100, waitDurationInOpenState 60000 ms."""
    params = CircuitBreaker()
    assert (params.failure_rate, params.slow_rate, params.slow_s, params.probes) == (0.5, 1.0, 60.0, 10)
    assert (params.counting, params.window, params.minimum_calls, params.open_s) == ("last calls", 100, 100, 60.0)


@pytest.mark.parametrize(
    ("results", "state"),
    [
        ("FFFFFFFFF", "closed"),  # nine failures of a minimum of ten calls
        ("FFFFFFFFFF", "open"),
        ("SSSSSFFFFF", "open"),  # a rate equal to the threshold opens it
        ("SSSSSSFFFF", "closed"),
        ("FFFFSSSSSSF", "closed"),  # the oldest of the last ten is evicted: FFF SSSSSS F
        ("SSSSSSFFFFF", "open"),
        ("FFFFSSSSSS" + "SSSSSFFFF" + "F", "open"),
    ],
)  # fmt: skip
def test_the_rate_over_the_last_calls(results, state):
    """ "Failure rate and slow call rate thresholds", "Count-based sliding window"."""
    assert after(SMALL, results).state == state


@pytest.mark.parametrize(
    ("slow", "took_s", "state"), [(5, 2.01, "open"), (4, 2.01, "closed"), (10, 2.0, "closed"), (10, 1.0, "closed")]
)
def test_slow_calls_open_it_without_a_failure(slow, took_s, state):
    """The same: as many slow calls as the threshold says, or more; slow is what takes longer than
    slowCallDurationThreshold."""
    breaker = Breaker(SMALL)
    for k in range(10):
        breaker.record(0.0, False, took_s if k < slow else 0.1)
    assert breaker.state == state


def test_open_rejects_and_half_open_permits_a_number_of_calls():
    """ "After a wait time duration has elapsed, the CircuitBreaker state changes from OPEN to HALF_OPEN and permits a
    configurable number of calls"; "further calls are rejected [...] until all permitted calls have completed"."""
    breaker = after(SMALL, "FFFFFFFFFF")
    assert not breaker.allow(0.0) and not breaker.allow(59.9) and breaker.state == "open"
    assert [breaker.allow(60.0) for _ in range(5)] == [True, True, True, False, False]
    breaker.record(61.0, False)
    breaker.record(61.0, False)
    assert not breaker.allow(1e6) and breaker.state == "half-open"
    breaker.record(61.0, False)
    assert breaker.state == "closed" and breaker.allow(61.0)


@pytest.mark.parametrize(
    ("probes", "took_s", "state"),
    [("SSS", 0.1, "closed"), ("SSF", 0.1, "closed"), ("SFF", 0.1, "open"), ("FFF", 0.1, "open"), ("SSS", 3.0, "open")],
)
def test_the_probes_decide_by_the_same_thresholds(probes, took_s, state):
    """ "If the failure rate or slow call rate is then equal or greater than the configured threshold, the state changes
    back to OPEN"; below both it changes back to CLOSED."""
    breaker = after(SMALL, "FFFFFFFFFF")
    for _ in probes:
        assert breaker.allow(60.0)
    for one in probes:
        breaker.record(61.0, one == "F", took_s)
    assert breaker.state == state
    assert breaker.allow(61.0) is (state == "closed") and breaker.allow(121.0)


def test_half_open_waits_for_all_permitted_calls_also_where_the_minimum_is_smaller():
    """The documentation's rule; ``CircuitBreakerMetrics.forHalfOpen`` judges from min(minimumNumberOfCalls, permitted)
    results on, here from the first one."""
    breaker = after(replace(SMALL, minimum_calls=1, probes=5), "F")
    for _ in range(5):
        assert breaker.allow(60.0)
    for _ in range(4):
        breaker.record(60.0, True)
    assert breaker.state == "half-open"
    breaker.record(60.0, True)
    assert breaker.state == "open"


@pytest.mark.parametrize(("late", "state"), [(9.99, "open"), (10.0, "closed"), (25.0, "closed")])
def test_a_time_window_holds_the_epoch_seconds_of_its_size(late, state):
    """ "Time-based sliding window": ten buckets of an epoch second each, the present one among them; the oldest is
    subtracted from the total when its second is evicted."""
    breaker = Breaker(replace(SMALL, counting="last seconds", minimum_calls=2))
    breaker.record(0.5, True)
    breaker.record(late, True)
    assert breaker.state == state


def test_a_time_window_judges_when_a_result_comes():
    """A success that brings the number of results to the minimum opens it as well as a failure does."""
    breaker = Breaker(replace(SMALL, counting="last seconds", minimum_calls=2))
    breaker.record(0.0, True)
    assert breaker.allow(5.0)
    breaker.record(5.0, False)
    assert breaker.state == "open"


def test_a_window_smaller_than_the_minimum_is_refused():
    """resilience4j takes the window as the minimum there, silently."""
    with pytest.raises(ValueError, match="minimum_calls 10 or less"):
        CircuitBreaker(window=10)


@dataclass
class Documented:
    """The documentation once more, with lists."""

    params: CircuitBreaker
    state: str = "closed"
    opened_s: float = 0.0
    permits: int = 0
    seen: list[tuple[float, bool, bool]] = field(default_factory=list)

    def allow(self, now):
        if self.state == "open" and now - self.opened_s >= self.params.open_s:
            self.state, self.seen, self.permits = "half-open", [], self.params.probes
        if self.state == "half-open" and self.permits > 0:
            self.permits -= 1
            return True
        return self.state == "closed"

    def cancel(self):
        self.permits += 1

    def record(self, now, failed, took_s):
        if self.state == "open":
            return
        self.seen.append((now, failed, took_s > self.params.slow_s))
        if self.state == "half-open":
            window, enough = self.seen, self.params.probes
        elif self.params.counting == "last calls":
            window, enough = self.seen[-self.params.window :], self.params.minimum_calls
        else:
            window = [one for one in self.seen if now // 1 - one[0] // 1 < self.params.window]
            enough = self.params.minimum_calls
        if len(window) < enough:
            return
        if any(
            sum(one[what] for one in window) / len(window) >= threshold
            for what, threshold in ((1, self.params.failure_rate), (2, self.params.slow_rate))
        ):
            self.state, self.opened_s = "open", now
        elif self.state == "half-open":
            self.state, self.seen = "closed", []


PARAMS = st.builds(
    CircuitBreaker, counting=st.sampled_from(("last calls", "last seconds")), window=st.integers(4, 9),
    minimum_calls=st.integers(1, 4), failure_rate=st.sampled_from((0.25, 0.5, 1.0)),
    slow_rate=st.sampled_from((0.4, 1.0)), slow_s=st.just(1.0), open_s=st.sampled_from((0.5, 4.0)),
    probes=st.integers(1, 5),
)  # fmt: skip
STEPS = st.lists(
    st.tuples(
        st.sampled_from((0.0, 0.25, 1.0, 3.5)), st.sampled_from(("begin", "begin", "end", "end", "cancel")),
        st.booleans(), st.sampled_from((0.5, 2.0)),
    ),
    max_size=120,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(PARAMS, STEPS)
def test_every_decision_with_calls_that_overlap(params, steps):
    """Calls end in another order than they began, in later states, or are cancelled (``releasePermission``)."""
    breaker, documented, now, under_way = Breaker(params), Documented(params), 0.0, 0
    for gap, what, failed, took_s in steps:
        now += gap
        if what == "begin":
            allowed = breaker.allow(now)
            assert allowed == documented.allow(now)
            under_way += allowed
        elif under_way > 0:
            under_way -= 1
            if what == "end":
                breaker.record(now, failed, took_s)
                documented.record(now, failed, took_s)
            else:
                breaker.cancel()
                documented.cancel()
        assert breaker.state == documented.state
