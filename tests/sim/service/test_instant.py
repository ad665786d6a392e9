"""What happens at one instant is decided by rule, not by rounding; a cold backend's speed is integrated."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

from distlib.balancing.policies import JoinIdleQueue, LeastRequest, LeastResponseTime, Random, RoundRobin
from distlib.sim.service.instant import after, by
from distlib.sim.service.params import DISCIPLINES, Backends, Outage, OutlierEjection, ServiceParams
from distlib.sim.service.policy import CentralQueue
from distlib.sim.service.service import run_event_driven, run_recurrence, simulate
from distlib.sim.service.steps import simulate_step_by_step
from distlib.sim.workload import Deterministic, Empirical, Regular, Replay
from tests.sim.service.test_service import same

GAPS = (0.1, 0.3, 0.7, 1 / 3, 2 / 3, 1e-3, 1.1, 7.0, 1e-6, 12345.678)


def constant(gap, requests=10_000, **more):
    """Regular arrivals as fast as the backends serve."""
    backends = more.pop("backends", Backends(1, queue_limit=0))
    arrivals = Regular(backends.count * backends.servers / gap)
    common = {"arrivals": arrivals, "service": Deterministic(gap), "backends": backends, "requests": requests}
    common["allow_unstable"] = True  # a load of 1, and yet no queue
    return ServiceParams(**{"policy": Random(), **common, **more})


@pytest.mark.parametrize("gap", GAPS)
@pytest.mark.parametrize("discipline", DISCIPLINES)
def test_a_request_that_comes_when_the_last_one_leaves_finds_the_server_free(gap, discipline):
    run = constant(gap, backends=Backends(1, queue_limit=0, discipline=discipline))
    assert run_event_driven(run).rejected == 0
    if discipline == "fifo":
        assert run_recurrence(run).rejected == 0
        assert same(run_recurrence(run), run_event_driven(run))
        assert same(run_recurrence(run), simulate_step_by_step(run))


@pytest.mark.parametrize("backends", [Backends(3, queue_limit=0), Backends(1, servers=3, queue_limit=0)])
@pytest.mark.parametrize(
    "policy", [CentralQueue(), RoundRobin(), LeastRequest(), JoinIdleQueue(), LeastResponseTime(0)]
)
def test_several_servers_likewise(backends, policy):
    for gap in (0.1, 1 / 3, 0.7):
        run = constant(gap, 2000, backends=backends, policy=policy)
        fast, events = run_recurrence(run), run_event_driven(run)
        assert same(fast, events)
        if not isinstance(policy, LeastResponseTime):  # that one may prefer a busy backend that was quick
            assert fast.rejected == 0
        if not policy.central:
            assert same(fast, simulate_step_by_step(run))


def test_a_full_queue_that_never_empties_stays_exact():
    """Two requests every .2 s, each of .1 s: the server never rests, and rounding would add up over 20,000 services."""
    recorded = (0.0, 0.2, 0.2)
    common = {"policy": Random(), "arrivals": Replay(recorded), "service": Deterministic(0.1)}
    for limit, rejected in ((1, 0), (0, 10_000)):
        run = ServiceParams(**common, backends=Backends(1, queue_limit=limit), requests=20_000, allow_unstable=True)
        fast = run_recurrence(run)
        assert fast.rejected == run_event_driven(run).rejected == simulate_step_by_step(run).rejected == rejected
        assert same(fast, run_event_driven(run))


def test_a_long_sum_keeps_what_rounding_takes():
    at, rest = 0.0, 0.0
    for _ in range(100_000):
        at, rest = after(at, rest, 0.1)
    assert at == float(100_000 * Fraction(0.1))
    assert sum([0.1] * 100_000) > by(at) or sum([0.1] * 100_000) * (1 + 2**-46) < at  # without: another instant


@pytest.mark.parametrize("engine", [run_recurrence, run_event_driven, simulate_step_by_step])
def test_servers_of_other_speeds_that_are_free_at_one_instant(engine):
    """Speeds 1 and 2, work .1 and .2 … : who is free at one instant serves in order of the last request."""
    backends = Backends(2, servers=2, speeds=(1.0, 2.0))
    run = constant(0.1, 2000, policy=RoundRobin(start="first"), backends=backends)
    assert same(engine(run), run_event_driven(run))


def test_the_edges_of_an_outage():
    """What is finished at the crash is answered, what comes at the crash fails, what comes at the return is served."""
    for gap in (0.1, 0.3, 0.7):
        begin, end = 30 * gap, 60 * gap
        for discipline in DISCIPLINES:
            backends = Backends(1, queue_limit=0, discipline=discipline, outages=(Outage(0, begin, end),))
            result = simulate(constant(gap, 100, backends=backends))  # request k comes at (k + 1) · gap
            assert np.flatnonzero(result.status == 2).tolist() == list(range(29, 59))
            assert result.rejected == 0


def test_the_board_is_refreshed_before_the_requests_of_its_instant():
    """Every request comes at a refresh: least request then sees all that were sent before, as with live loads."""
    for gap in (0.1, 0.3, 0.7):
        more = {"backends": Backends(3, queue_limit=5), "policy": LeastRequest()}
        arrivals, service = Regular(1 / gap), Deterministic(gap * 2.5)
        stale = constant(gap, 500, **more, refresh_interval_s=gap)
        stale = ServiceParams(**{**vars(stale), "arrivals": arrivals, "service": service})
        live = ServiceParams(**{**vars(stale), "refresh_interval_s": 0.0})
        assert same(run_recurrence(stale), run_event_driven(stale))
        assert same(simulate(stale), simulate(live))


def test_an_ejection_ends_at_its_instant():
    """One failure ejects for 3 · .1 s; the request that comes .3 s later may go there again."""
    backends = Backends(1, outages=(Outage(0, 0.05, 0.15),))
    ejection = OutlierEjection(consecutive_failures=1, base_s=0.1 + 0.2)
    result = simulate(constant(0.1, 20, backends=backends, ejection=ejection, policy=RoundRobin()))
    assert np.flatnonzero(result.status == 3).tolist() == [1, 2, 3]


def test_an_answer_is_heard_at_its_instant():
    result = simulate(constant(0.1, 1000, backends=Backends(2), policy=LeastRequest(), information_delay_s=0.1 + 0.2))
    assert same(result, run_event_driven(result.params))
    heard = constant(0.1, 1000, backends=Backends(2), policy=LeastRequest(), information_delay_s=0.3)
    assert same(result, simulate(heard))


def test_lengths_of_queues_at_the_instant_of_a_departure():
    result = simulate(constant(0.1, 1000))
    lengths = result.queue_lengths(np.arange(1, 1000) / 10)
    assert (lengths == 1).all()  # one leaves, one comes


def speed(t, slow_s, cold):
    return cold + (1 - cold) * min(t / slow_s, 1.0)


def time_of(work, begin, slow_s, cold):
    """How long ``work`` takes for one who begins so long after the return: by quadrature."""

    def missing(end):
        edges = [slow_s] if begin < slow_s < end else None
        return quad(speed, begin, end, args=(slow_s, cold), points=edges)[0] - work

    return brentq(missing, begin, begin + work / cold, xtol=1e-12) - begin


@pytest.mark.parametrize("discipline", DISCIPLINES)
@pytest.mark.parametrize(("work", "begin"), [(1.0, 1.0), (1.0, 0.0), (20.0, 3.0), (0.5, 9.9), (2.0, 30.0)])
def test_a_cold_backend_gets_warm_while_it_serves(discipline, work, begin):
    backends = Backends(1, discipline=discipline, outages=(Outage(0, 1.0, 2.0),), slow_start_s=10.0)
    common = {"policy": Random(), "service": Deterministic(work), "backends": backends, "allow_unstable": True}
    result = simulate(ServiceParams(arrivals=Replay((0.0, 2.0 + begin, 1000.0)), requests=1, **common))
    assert result.response_s[0] == pytest.approx(time_of(work, begin, 10.0, 0.1), rel=1e-9)


def test_who_shares_a_cold_backend_makes_nobody_faster():
    """A second request used to make the first one quicker: its arrival made the speed be looked at again."""
    backends = Backends(1, discipline="sharing", outages=(Outage(0, 1.0, 2.0),), slow_start_s=10.0)
    common = {"policy": Random(), "backends": backends, "allow_unstable": True, "requests": 2}
    arrivals = Replay((0.0, 3.0, 5.0))
    alone = simulate(ServiceParams(arrivals=arrivals, service=Empirical((1.0,)), **{**common, "requests": 1}))
    both = simulate(ServiceParams(arrivals=arrivals, service=Deterministic(1.0), **common))
    assert both.response_s[0] > alone.response_s[0] == pytest.approx(3.0541, abs=1e-3)
    assert both.departure_s[1] == pytest.approx(3.0 + time_of(2.0, 1.0, 10.0, 0.1), rel=1e-9)  # the work of both


def test_recorded_times_do_not_add_up_rounding():
    times = Replay(tuple(k / 10 for k in range(11))).times(1, 100_000)
    assert abs(times - np.arange(1, 100_001) / 10).max() <= 4 * math.ulp(10_000.0)
