"""The engine gives simpy's answer exactly, bit for bit, on the same random numbers."""

import numpy as np
import pytest
import simpy

from distlib.balancing.policies import LeastRequest, RoundRobin
from distlib.sim.service.params import Backends, ServiceParams
from distlib.sim.service.policy import CentralQueue
from distlib.sim.service.service import simulate
from distlib.sim.workload import Exponential, Hyperexponential, Poisson

REQUESTS = 3000


def simpy_responses(gaps, services, stations, servers, pick):
    """Departure minus arrival of each request; ``pick(resources)`` chooses the station at arrival."""
    env = simpy.Environment()
    resources = [simpy.Resource(env, servers) for _ in range(stations)]
    response = np.empty(len(gaps))
    chosen = np.empty(len(gaps), int)

    def request(job):
        arrived = env.now
        chosen[job] = pick(resources)
        with resources[chosen[job]].request() as turn:
            yield turn
            yield env.timeout(services[job])
        response[job] = env.now - arrived

    def source():
        for job, gap in enumerate(gaps):
            yield env.timeout(gap)
            env.process(request(job))

    env.process(source())
    env.run()
    return response, chosen


def gaps_of(result):
    """Gaps whose running sum is exactly the arrival times (found by nudging the last bit where needed)."""
    now, gaps = 0.0, []
    for arrival in result.arrival_s.tolist():
        gap = arrival - now
        while now + gap < arrival:
            gap = np.nextafter(gap, np.inf)
        while now + gap > arrival:
            gap = np.nextafter(gap, -np.inf)
        assert now + gap == arrival
        gaps.append(float(gap))
        now = arrival
    return gaps


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
    expected, _ = simpy_responses(gaps_of(result), result.service_s.tolist(), 1, servers, lambda resources: 0)
    assert (result.response_s == expected).all()


def test_round_robin():
    result = simulate(ServiceParams(policy=RoundRobin(start="first"), requests=REQUESTS))
    turn = iter(range(REQUESTS))
    expected, chosen = simpy_responses(
        gaps_of(result), result.service_s.tolist(), 10, 1, lambda resources: next(turn) % 10
    )
    assert (result.backend == chosen).all()
    assert (result.response_s == expected).all()


def test_least_request():
    result = simulate(ServiceParams(policy=LeastRequest(), requests=REQUESTS))
    ours = iter(result.backend.tolist())

    def pick(resources):
        """The same backend, after checking on simpy's own queues that it is one of the emptiest."""
        lengths = [one.count + len(one.queue) for one in resources]
        backend = next(ours)
        assert lengths[backend] == min(lengths)
        return backend

    expected, _ = simpy_responses(gaps_of(result), result.service_s.tolist(), 10, 1, pick)
    assert (result.response_s == expected).all()
