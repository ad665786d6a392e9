"""The service: three engines that agree, sensible results, clear refusals."""

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from distlib.balancing.policies import (
    JoinIdleQueue,
    KeyAffinity,
    LeastRequest,
    LeastResponseTime,
    Random,
    RoundRobin,
    SmoothWeightedRoundRobin,
    Subset,
    WeightedRoundRobin,
)
from distlib.sim.service.balancer import Balancer, new_balancer_state
from distlib.sim.service.params import Backends, Outage, OutlierEjection, ServiceParams, at_load
from distlib.sim.service.policy import CentralQueue, Policy
from distlib.sim.service.service import compare, nobody_ejected, run_event_driven, run_recurrence, simulate
from distlib.sim.service.steps import simulate_step_by_step
from distlib.sim.workload import Deterministic, Exponential, Hyperexponential, Pareto, Poisson, Regular, Replay
from tests.sim.service.plain import uncompiled

ROOT = Path(__file__).parents[3]
POLICIES = [
    CentralQueue(),
    Random(),
    RoundRobin(),
    WeightedRoundRobin((3, 2, 1, 1)),
    SmoothWeightedRoundRobin((3, 2, 1, 1)),
    LeastRequest(),
    LeastRequest(2),
    LeastRequest(3, with_replacement=True),
    LeastResponseTime(),
    JoinIdleQueue(),
    KeyAffinity("ring"),
    KeyAffinity("ring", bound=1.25),
    Subset(2, LeastRequest(2)),
]
BACKENDS = [
    Backends(4),
    Backends(4, queue_limit=2),
    Backends(4, servers=3, speeds=(2.0, 0.5)),
    Backends(4, servers=2, queue_limit=1),
]


def same(one, other):
    """Equal to the last bit, request by request."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("arrival_s", "start_s", "departure_s", "backend", "status")
    )


def params(policy, backends, requests=2000, **more):
    return ServiceParams(
        policy=policy,
        arrivals=Poisson(0.8 * backends.capacity),
        backends=backends,
        requests=requests,
        clients=20,
        allow_unstable=True,
        **more,
    )


@pytest.mark.parametrize("backends", BACKENDS, ids=range(len(BACKENDS)))
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.label)
def test_the_recurrence_equals_the_event_engine(policy, backends):
    for more in ({}, {"balancers": 3}, {"balancers": 2, "refresh_interval_s": 3.0}, {"information_delay_s": 0.7}):
        run = params(policy, backends, **more)
        assert same(run_recurrence(run), run_event_driven(run))


@pytest.mark.parametrize("backends", BACKENDS, ids=range(len(BACKENDS)))
@pytest.mark.parametrize("policy", POLICIES[1:], ids=lambda policy: policy.label)
def test_the_compiled_engine_equals_plain_python_step_by_step(policy, backends):
    # A report of idleness goes to one balancer of several, of which the others know nothing.
    for balancers in (1,) if isinstance(policy, JoinIdleQueue) else (1, 3):
        run = params(policy, backends, requests=400, balancers=balancers)
        assert same(simulate(run), simulate_step_by_step(run))
    assert same(simulate(run), simulate_step_by_step(replace(run, policy=uncompiled(policy))))


def test_an_engine_that_was_compiled_once_is_found_again_by_the_next_process():
    """Its machine code holds a policy's choice, which is another object in every process."""
    simulate(params(RoundRobin(), Backends(4)))
    program = """
from distlib.balancing.policies import RoundRobin
from distlib.sim.service.params import ServiceParams
from distlib.sim.service.recurrence import recurrence
from distlib.sim.service.service import simulate
simulate(ServiceParams(RoundRobin(), requests=10))
found = recurrence(RoundRobin().compiled).stats
print(sum(found.cache_hits.values()), sum(found.cache_misses.values()))
"""
    run = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["1", "0"]


def test_all_policies_meet_the_same_requests():
    runs = compare(params(Random(), Backends(4)), tuple(POLICIES))
    first = next(iter(runs.values()))
    for result in runs.values():
        assert (result.arrival_s == first.arrival_s).all()
        assert (result.service_s == first.service_s).all()
    assert len({result.mean_s for result in runs.values()}) > 8


def test_the_same_seed_repeats_and_another_does_not():
    run = params(LeastRequest(2), Backends(4))
    assert same(simulate(run), simulate(run))
    assert not same(simulate(run), simulate(params(LeastRequest(2), Backends(4), seed=2)))


def test_round_robin_equals_the_central_queue_for_constant_service():
    common = {"service": Deterministic(), "arrivals": Poisson(9.0), "requests": 50_000}
    turn = simulate(ServiceParams(policy=RoundRobin(), **common))
    central = simulate(ServiceParams(policy=CentralQueue(), **common))
    assert np.allclose(turn.departure_s, central.departure_s, rtol=1e-12, atol=0)


def test_work_is_conserved():
    for discipline in ("fifo", "lifo", "sharing"):
        result = simulate(params(LeastRequest(2), Backends(4, discipline=discipline)))
        assert (result.departure_s - result.arrival_s >= result.service_s * (1 - 1e-9)).all()
        assert (result.start_s >= result.arrival_s).all()
        for backend in range(4):
            here = result.backend == backend
            busy = result.departure_s[here].max()
            assert result.service_s[here].sum() <= busy * (1 + 1e-9)


def test_disciplines_by_hand():
    # Backend of speed 1; arrivals at 1, 2, 3 and work 4, 2, 1.
    class Given(Exponential):
        def sample(self, keys, count):
            return np.array([4.0, 2.0, 1.0])

    def departures(discipline):
        run = ServiceParams(
            policy=Random(),
            arrivals=Regular(1.0),
            service=Given(),
            backends=Backends(1, discipline=discipline),
            requests=3,
            allow_unstable=True,
        )
        return simulate(run).departure_s.tolist()

    assert departures("fifo") == [5.0, 7.0, 8.0]
    assert departures("lifo") == [5.0, 8.0, 6.0]
    # Sharing: the first alone in [1, 2]; two in [2, 3], then three until the last is done at 6; then two, then one.
    assert departures("sharing") == pytest.approx([8.0, 7.0, 6.0])


def test_a_crash_loses_what_the_backend_holds_and_refuses_what_comes():
    backends = Backends(2, outages=(Outage(0, 100.0, 200.0),))
    result = simulate(ServiceParams(policy=RoundRobin(), arrivals=Poisson(1.6), backends=backends, requests=2000))
    failed = result.status == 2
    assert failed.any()
    assert set(result.backend[failed]) == {0}
    assert (result.departure_s[failed] >= 100.0).all()
    assert (result.departure_s[failed] < 200.0).all()
    assert np.isnan(result.response_s[failed]).all()


def test_least_request_runs_into_the_black_hole_and_ejection_saves_it():
    backends = Backends(10, outages=(Outage(0, 100.0, 1000.0),))
    common = {"policy": LeastRequest(2), "arrivals": Poisson(7.0), "backends": backends, "requests": 8000}
    without, saved = (simulate(ServiceParams(**common)), simulate(ServiceParams(ejection=OutlierEjection(), **common)))
    assert without.failed > 1000  # an empty-looking backend attracts more than its tenth
    assert 5 <= saved.failed < 100


def test_a_cold_backend_is_slow_at_first():
    outage = (Outage(0, 50.0, 60.0),)
    quick = simulate(
        ServiceParams(policy=Random(), arrivals=Poisson(0.5), backends=Backends(1, outages=outage), requests=500)
    )
    cold = Backends(1, outages=outage, slow_start_s=100.0)
    slow = simulate(ServiceParams(policy=Random(), arrivals=Poisson(0.5), backends=cold, requests=500))
    after = (quick.arrival_s > 60) & (quick.arrival_s < 100)
    assert slow.response_s[after].mean() > 2 * quick.response_s[after].mean()


def test_all_backends_ejected_is_a_status_of_its_own():
    outages = tuple(Outage(backend, 10.0, 500.0) for backend in range(3))
    run = ServiceParams(
        policy=RoundRobin(),
        arrivals=Poisson(2.0),
        backends=Backends(3, outages=outages),
        ejection=OutlierEjection(max_share=1.0),
        requests=1500,
    )
    result = simulate(run)
    assert result.unavailable > 100
    assert set(result.backend[result.status == 3]) == {-1}
    assert result.summary().unavailable[0] == result.unavailable


def test_a_policy_of_ones_own_is_simulated():
    class Shortest(Policy):
        label = "shortest, own"

        def choose(self, seen, now, client):
            return min(seen.available, key=lambda backend: seen.in_flight[backend])

    own = simulate(params(Shortest(), Backends(4)))
    assert own.mean_s < simulate(params(Random(), Backends(4))).mean_s
    with pytest.raises(ValueError, match="Shortest runs step by step"):
        ServiceParams(policy=Shortest(), arrivals=Poisson(1.0), backends=Backends(4, discipline="lifo"))


def test_an_unstable_system_is_refused_unless_asked_for_and_labelled():
    with pytest.raises(ValueError, match=r"load is 1.2: .*grows for ever; lower the rate.*allow_unstable=True"):
        ServiceParams(arrivals=Poisson(12.0))
    result = simulate(ServiceParams(policy=RoundRobin(), arrivals=Poisson(12.0), requests=1000, allow_unstable=True))
    assert "grows for ever" in result.unstable
    assert result.label == "round robin (unstable)"
    assert simulate(ServiceParams(requests=10)).unstable == ""
    ServiceParams(arrivals=Poisson(12.0), backends=Backends(10, queue_limit=5))  # a bounded queue cannot grow


def test_one_slow_backend_is_unstable_under_fixed_shares_only():
    slow = Backends(10, speeds=(0.5,))
    with pytest.raises(ValueError, match=r"the busiest backend has load [0-9.]+ under random"):
        ServiceParams(policy=Random(), arrivals=Poisson(8.0), backends=slow)
    assert (
        simulate(ServiceParams(policy=LeastRequest(), arrivals=Poisson(8.0), backends=slow, requests=1000)).unstable
        == ""
    )
    ServiceParams(policy=SmoothWeightedRoundRobin((1,) + (2,) * 9), arrivals=Poisson(8.0), backends=slow)


def test_one_popular_client_overloads_its_backend():
    with pytest.raises(ValueError, match=r"the busiest backend has load"):
        ServiceParams(policy=KeyAffinity("ring"), arrivals=Poisson(8.0), clients=100, popularity=1.5)
    bounded = ServiceParams(policy=KeyAffinity("ring", bound=1.25), arrivals=Poisson(8.0), clients=100, popularity=1.5)
    assert simulate(bounded).mean_s < 5


def test_queue_lengths_add_up():
    result = simulate(params(LeastRequest(2), Backends(4)))
    times = np.linspace(0, result.arrival_s[-1], 50)
    lengths = result.queue_lengths(times)
    assert lengths.shape == (50, 4)
    by_hand = [((result.arrival_s <= t) & (result.departure_s > t)).sum() for t in times]
    assert lengths.sum(axis=1).tolist() == by_hand
    assert (lengths >= 0).all()
    central = simulate(params(CentralQueue(), Backends(4)))
    assert (central.queue_lengths(times) <= 1).all()
    held = [((central.arrival_s <= t) & (central.departure_s > t)).sum() for t in times]
    assert (central.queue_lengths(times).sum(axis=1) + central.waiting(times)).tolist() == held


def test_summaries():
    result = simulate(params(Random(), Backends(4, queue_limit=2)))
    observed = result.observed_s
    assert result.mean_s == pytest.approx(observed.mean())
    assert result.percentile_s(99) == pytest.approx(np.percentile(observed, 99))
    before = [result.percentile_s(percent) for percent in (0, 12.3, 50, 99.9, 100)]
    result.ccdf()  # puts all in order, after which the quantiles are looked up
    assert before == [result.percentile_s(percent) for percent in (0, 12.3, 50, 99.9, 100)]
    assert result.rejected == (result.status == 1).sum() > 0
    assert result.counts.sum() == 2000
    time_s, tail = result.ccdf()
    for t, share in list(zip(time_s, tail, strict=True))[::20]:
        assert share == pytest.approx((observed > t).mean(), abs=1 / observed.size)
    with pytest.raises(ValueError, match="percent is 101"):
        result.percentile_s(101)


def test_batch_means_cover_the_truth():
    inside = 0
    for seed in range(40):
        run = ServiceParams(policy=Random(), arrivals=Poisson(5.0), backends=Backends(10), requests=40_000, seed=seed)
        low, high = simulate(run).response.interval()
        inside += low <= 2.0 <= high
    assert inside >= 33  # 95 % of 40 is 38; three standard deviations below is 33.9


def test_batch_means_know_that_busy_spells_outlast_a_batch():
    """At ρ = .9 and 40,000 requests, batches that count as independent cover the truth 63 times of a hundred."""
    run = ServiceParams(policy=Random(), arrivals=Poisson(9.0), backends=Backends(10), requests=40_000)
    intervals = [simulate(replace(run, seed=seed)).response.interval() for seed in range(60)]
    assert sum(low <= 10.0 <= high for low, high in intervals) >= 44  # 87 % of 60 is 52, less three standard deviations


def test_staler_loads_herd():
    means = [
        simulate(
            ServiceParams(policy=LeastRequest(), arrivals=Poisson(9.0), refresh_interval_s=interval, requests=40_000)
        ).mean_s
        for interval in (0.0, 1.0, 10.0)
    ]
    assert means[0] < means[1] < means[2]


@pytest.mark.parametrize("turn", [RoundRobin, WeightedRoundRobin, SmoothWeightedRoundRobin])
def test_balancers_that_begin_anywhere_are_no_herd(turn):
    """A hundred balancers that all begin at the first backend send their bursts on together."""
    common = {"arrivals": Poisson(90.0), "backends": Backends(100), "requests": 300_000, "balancers": 100}
    together, apart = (
        simulate(ServiceParams(policy=turn(start=start), **common)).response for start in ("first", "random")
    )
    assert together.mean > 9.0
    assert apart.mean == pytest.approx(7.8, abs=3 * apart.standard_error + 0.2)


def test_a_thousand_balancers_in_step_and_not():
    common = {"arrivals": Poisson(90.0), "backends": Backends(100), "requests": 300_000, "balancers": 1000}
    together, apart = (
        simulate(ServiceParams(policy=RoundRobin(start=start), **common)).mean_s for start in ("first", "random")
    )
    assert together > 10 * apart
    assert apart < 10  # a random stream's mean


def test_idle_queues_inside_subsets_are_systems_of_their_own():
    """Ten balancers that share no backend behave as ten services with one balancer each."""
    subsets = ServiceParams(
        policy=Subset(10, JoinIdleQueue()),
        arrivals=Poisson(90.0),
        backends=Backends(100),
        balancers=10,
        requests=300_000,
    )
    alone = simulate(ServiceParams(policy=JoinIdleQueue(), arrivals=Poisson(9.0), requests=300_000)).response
    inside = simulate(subsets).response
    assert alone.mean == pytest.approx(2.5, abs=0.1)
    assert abs(inside.mean - alone.mean) < 3 * math.hypot(inside.standard_error, alone.standard_error)


def test_reports_of_idleness_go_to_those_who_use_the_backend():
    policy = Subset(3, JoinIdleQueue())
    known = new_balancer_state(policy, 12, 7, balancers=6)
    for backend in range(12):
        users = [me for me in range(6) if backend in policy.members(me, 12)]
        assert known.user[backend, : known.users[backend]].tolist() == users
        assert known.token[backend] in users


def test_at_most_a_share_of_the_backends_is_ejected_as_written():
    run = ServiceParams(policy=Random(), backends=Backends(100), ejection=OutlierEjection(max_share=0.29))
    assert nobody_ejected(run).at_most == 29  # .29 * 100 is 28.999999999999996


def test_several_balancers_know_less():
    def mean(balancers):
        return simulate(ServiceParams(policy=LeastRequest(), balancers=balancers, requests=100_000)).mean_s

    assert mean(1) < mean(4) < mean(40)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Backends(0), "Backends.count is 0; it takes a whole number from 1"),
        (lambda: Backends(-3), "Backends.count is -3"),
        (lambda: Poisson(-1.0), "Poisson.rate_per_s is -1.0"),
        (lambda: Poisson(0.0), "Poisson.rate_per_s is 0.0"),
        (lambda: Poisson(math.inf), "Poisson.rate_per_s is inf"),
        (lambda: Poisson(math.nan), "Poisson.rate_per_s is nan"),
        (lambda: Poisson(1e30), "rate_per_s is 1e"),
        (lambda: Exponential(0.0), "Exponential.mean_s is 0.0"),
        (lambda: Backends(2, speeds=(1.0, 0.0)), r"speeds\[1\] is 0.0; it takes a number from 1e-06 to 1e\+06"),
        (lambda: Backends(2, speeds=(1.0, 1e-308)), r"speeds\[1\] is 1e-308"),
        (lambda: Backends(2, speeds=(math.nan,)), r"speeds\[0\] is nan"),
        (lambda: Backends(2, speeds=(1.0,) * 3), "3 values for 2 backends"),
        (lambda: Backends(2, discipline="lifo2"), "choose one of 'fifo'"),
        (lambda: Backends(2, outages=(Outage(2, 1.0, 2.0),)), "there are backends 0 to 1"),
        (lambda: Outage(0, 5.0, 5.0), "must come after start_s"),
        (lambda: Backends(1, outages=(Outage(0, 1.0, 5.0), Outage(0, 3.0, 8.0))), "overlap at 3 s"),
        (lambda: ServiceParams(requests=0), "requests is 0"),
        (lambda: ServiceParams(policy=CentralQueue(), ejection=OutlierEjection()), "without a balancer"),
        (lambda: ServiceParams(policy=WeightedRoundRobin((1, 2))), "weights has 2 values for 10 backends"),
        (lambda: ServiceParams(policy=Subset(20)), "there are only 10 backends"),
        (lambda: Replay((1.0,)), "needs at least two"),
        (lambda: Replay((2.0, 1.0)), "never decrease"),
        (lambda: compare(ServiceParams(requests=10), (Random(), Random())), "same label"),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("wrong", [5, "random", None, Random, object()])
@pytest.mark.parametrize("name", ["policy", "arrivals", "service", "backends", "ejection"])
def test_a_part_of_another_class_is_named(name, wrong):
    if name == "ejection" and wrong is None:
        return
    with pytest.raises(TypeError, match=rf"^ServiceParams.{name} is .*; it takes "):
        ServiceParams(**{name: wrong})


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Backends(2, outages=Outage()), r"Backends.outages is Outage\(.*; it takes a tuple"),
        (lambda: Backends(2, outages=(0,)), r"Backends.outages\[0\] is 0; it takes an Outage"),
        (lambda: Backends(2, speeds=1.0), "Backends.speeds is 1.0; it takes a tuple"),
        (lambda: Backends(2, speeds=("fast",)), r"Backends.speeds\[0\] is 'fast'"),
        (lambda: Subset(2, 5), "Subset.inner is 5; it takes a Policy"),
        (lambda: LeastRequest(weights=3.0), "LeastRequest.weights is 3.0; it takes a tuple"),
        (lambda: Balancer("random", 3), "policy is 'random'; it takes a balancing policy"),
        (lambda: at_load(0.5, 1.0, Backends(3)), "service is 1.0; it takes a ServiceTimes"),
        (lambda: at_load(0.5, Exponential(), 3), "backends is 3; it takes a Backends"),
        (lambda: at_load("half", Exponential(), Backends(3)), "load is 'half'; it takes a number"),
        (lambda: Replay(5), "Replay.recorded_s is 5; it takes a tuple"),
    ],
)
def test_another_type_is_named(build, message):
    with pytest.raises(TypeError, match=message):
        build()


def test_parameters_describe_themselves():
    for kind in (ServiceParams, Backends, Outage, OutlierEjection, Poisson, Hyperexponential, Pareto):
        for name, spec in kind.specs().items():
            assert spec.label, name
            assert spec.help, name
