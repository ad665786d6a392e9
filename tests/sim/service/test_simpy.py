"""The engine gives simpy's answer on the same random numbers, bit for bit: simpy counts in exact fractions."""

from fractions import Fraction

import numpy as np
import pytest
import simpy

from distlib.balancing.policies import LeastRequest, RoundRobin
from distlib.sim.service.params import Backends, ServiceParams
from distlib.sim.service.policy import CentralQueue
from distlib.sim.service.service import simulate
from distlib.sim.workload import Exponential, Hyperexponential, Poisson

REQUESTS = 3000


def simpy_departures(result, stations, servers, pick):
    """Departure of each request, by simpy in exact fractions; ``pick(resources)`` chooses the station at arrival."""
    env = simpy.Environment()
    resources = [simpy.Resource(env, servers) for _ in range(stations)]
    departure = [None] * result.arrival_s.size
    chosen = np.empty(result.arrival_s.size, int)

    def request(job, work):
        chosen[job] = pick(resources)
        with resources[chosen[job]].request() as turn:
            yield turn
            yield env.timeout(work)
        departure[job] = float(env.now)

    def source():
        for job, (arrival, work) in enumerate(zip(result.arrival_s.tolist(), result.service_s.tolist(), strict=True)):
            yield env.timeout(Fraction(arrival) - env.now)
            env.process(request(job, Fraction(work)))

    env.process(source())
    env.run()
    return np.array(departure), chosen


@pytest.mark.parametrize("servers", [1, 2, 10])
@pytest.mark.parametrize("service", [Exponential(), Hyperexponential(variability=4.0)])
def test_central_queue(servers, service):
    result = simulate(
        ServiceParams(
            policy=CentralQueue(),
            arrivals=Poisson(0.9 * servers),
            service=service,
            backends=Backends(servers),
            requests=REQUESTS,
        )
    )
    expected, _ = simpy_departures(result, 1, servers, lambda resources: 0)
    assert (result.departure_s == expected).all()


def test_round_robin():
    result = simulate(ServiceParams(policy=RoundRobin(start="first"), requests=REQUESTS))
    turn = iter(range(REQUESTS))
    expected, chosen = simpy_departures(result, 10, 1, lambda resources: next(turn) % 10)
    assert (result.backend == chosen).all()
    assert (result.departure_s == expected).all()


def test_least_request():
    result = simulate(ServiceParams(policy=LeastRequest(), requests=REQUESTS))
    ours = iter(result.backend.tolist())

    def pick(resources):
        """The same backend, after checking on simpy's own queues that it is one of the emptiest."""
        lengths = [one.count + len(one.queue) for one in resources]
        backend = next(ours)
        assert lengths[backend] == min(lengths)
        return backend

    expected, _ = simpy_departures(result, 10, 1, pick)
    assert (result.departure_s == expected).all()
