"""Envoy's outlier detection: its documentation ("Outlier detection", "Ejection algorithm") and, where that is silent,
``source/common/upstream/outlier_detection_impl.cc``."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distlib.resilience.outlier import OutlierDetection, OutlierWatch


def fail(watch, instance, now, times=5):
    for _ in range(times):
        watch.observe(instance, True, now)


def back_at(watch, instance, now):
    """The first half second after ``now`` at which the instance is in use."""
    return next(t / 2 for t in range(int(now * 2) + 1, int(now * 2) + 1000) if instance not in watch.ejected(t / 2))


def test_the_defaults_are_those_of_the_configuration_reference():
    """`config.cluster.v3.OutlierDetection`: consecutive_5xx 5, interval 10 s, base_ejection_time 30 s,
    max_ejection_time 300 s, max_ejection_percent 10."""
    params = OutlierDetection()
    assert (params.consecutive, params.interval_s, params.base_s) == (5, 10.0, 30.0)
    assert (params.longest_s, params.max_share, params.always_one) == (300.0, 0.1, False)


def test_consecutive_failures_eject_at_once_and_one_success_starts_over():
    """`consecutive_5xx` runs inline, not at the interval."""
    watch = OutlierWatch(OutlierDetection(), 10)
    fail(watch, 2, 1.0, times=4)
    watch.observe(2, False, 1.0)
    fail(watch, 2, 1.0, times=4)
    assert 2 in watch.available(1.0)
    fail(watch, 2, 1.0, times=1)
    assert 2 not in watch.available(1.0)


@pytest.mark.parametrize(("ejected_s", "back_s"), [(0.0, 30.0), (0.5, 40.0), (9.9, 40.0), (10.0, 40.0), (10.1, 50.0)])
def test_a_host_returns_at_the_first_interval_after_its_time(ejected_s, back_s):
    """`checkHostForUneject` runs from the interval's timer alone."""
    watch = OutlierWatch(OutlierDetection(), 10)
    fail(watch, 0, ejected_s)
    assert back_at(watch, 0, ejected_s) == back_s


def test_the_ejection_time_grows_with_the_ejections_in_a_row_up_to_its_maximum():
    """ "This causes hosts to get ejected for longer and longer periods if they continue to fail"; not beyond
    `max_ejection_time`."""
    watch, now, lasted = OutlierWatch(OutlierDetection(longest_s=100.0), 10), 0.0, []
    for _ in range(6):
        fail(watch, 0, now)
        back = back_at(watch, 0, now)
        lasted.append(back - now)
        now = back
    assert lasted == [30.0, 60.0, 90.0, 100.0, 100.0, 100.0]


@pytest.mark.parametrize(
    ("intervals", "lasts_s"), [(0, 300), (2, 300), (3, 270), (5, 210), (10, 60), (11, 30), (30, 30)]
)
def test_the_multiplier_goes_down_by_one_an_interval_in_health(intervals, lasts_s):
    """The same: about max_ejection_time / base_ejection_time intervals bring it down, however often the host was
    ejected. In the code it stops rising one step above the maximum, at 11 with the defaults."""
    watch, now = OutlierWatch(OutlierDetection(), 10), 0.0
    for _ in range(20):
        fail(watch, 0, now)
        now = back_at(watch, 0, now)
    again = now + 10.0 * intervals
    fail(watch, 0, again)
    assert back_at(watch, 0, again) == again + lasts_s


@pytest.mark.parametrize(
    ("instances", "share", "always_one", "most"),
    [(1, 0.1, False, 0), (1, 0.1, True, 1), (9, 0.1, False, 0), (9, 0.1, True, 1), (10, 0.1, False, 1),
     (19, 0.1, False, 1), (20, 0.1, False, 2), (4, 0.5, False, 2), (3, 1.0, False, 3)],
)  # fmt: skip
def test_no_more_than_the_percentage_is_ejected(instances, share, always_one, most):
    """`max_ejection_percent` and `always_eject_one_host`, as they stand since version 1.31."""
    watch = OutlierWatch(OutlierDetection(max_share=share, always_one=always_one), instances)
    for k in range(instances):
        fail(watch, k, 0.0)
    assert watch.ejected(0.0) == list(range(most))


def test_who_may_not_be_ejected_is_counted_from_zero():
    """`onConsecutiveErrorWorker` resets the counter whether or not `ejectHost` has ejected."""
    watch = OutlierWatch(OutlierDetection(), 10)
    fail(watch, 0, 0.0)
    fail(watch, 1, 1.0)
    assert watch.ejected(1.0) == [0]
    fail(watch, 1, 30.0, times=4)
    assert watch.ejected(30.0) == []
    fail(watch, 1, 30.0, times=1)
    assert watch.ejected(30.0) == [1]


@dataclass
class Host:
    """What Envoy keeps of a host."""

    consecutive: int = 0
    multiplier: int = 0
    ejected_at: float | None = None


@dataclass
class Envoy:
    """The algorithm once more, with a timer."""

    params: OutlierDetection
    hosts: list[Host] = field(default_factory=list)
    timer: int = 1

    def until(self, now):
        while self.timer * self.params.interval_s <= now:
            at = self.timer * self.params.interval_s
            for host in self.hosts:
                if host.ejected_at is None:
                    host.multiplier = max(0, host.multiplier - 1)
                elif min(self.params.base_s * host.multiplier, self.params.longest_s) <= at - host.ejected_at:
                    host.ejected_at, host.consecutive = None, 0
            self.timer += 1

    def result(self, host, failed, now):
        host.consecutive = host.consecutive + 1 if failed else 0
        if host.consecutive != self.params.consecutive or host.ejected_at is not None:
            return
        active = sum(one.ejected_at is not None for one in self.hosts)
        percent = 100 * (active + 1) / len(self.hosts)
        if percent <= 100 * self.params.max_share or (self.params.always_one and active == 0):
            host.ejected_at = now
            if host.multiplier * self.params.base_s < self.params.longest_s + self.params.base_s:
                host.multiplier += 1
        host.consecutive = 0


PARAMS = st.builds(
    OutlierDetection, consecutive=st.integers(1, 3), base_s=st.sampled_from((5.0, 8.0)),
    longest_s=st.sampled_from((8.0, 20.0)), interval_s=st.sampled_from((2.0, 5.0)),
    max_share=st.sampled_from((0.0, 0.25, 0.5, 1.0)), always_one=st.booleans(),
)  # fmt: skip
STEPS = st.lists(st.tuples(st.sampled_from((0.0, 0.5, 1.0, 5.0, 60.0)), st.integers(0, 3), st.booleans()), max_size=120)


@settings(max_examples=400, deadline=None)
@given(PARAMS, STEPS)
def test_every_ejection_and_return_is_that_of_the_algorithm_with_a_timer(params, steps):
    """`DetectorImpl`: `onIntervalTimer`, `checkHostForUneject`, `onConsecutiveErrorWorker`, `ejectHost`."""
    watch, envoy, now = OutlierWatch(params, 4), Envoy(params, [Host() for _ in range(4)]), 0.0
    for gap, instance, failed in steps:
        now += gap
        envoy.until(now)
        envoy.result(envoy.hosts[instance], failed, now)
        watch.observe(instance, failed, now)
        assert watch.ejected(now) == [k for k, one in enumerate(envoy.hosts) if one.ejected_at is not None]
