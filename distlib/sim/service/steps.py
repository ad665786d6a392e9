"""The service step by step in plain Python: what the compiled engines do, one request after the other.

For policies of the reader's own, and to read. It serves first come first served, with any number of servers,
balancers and a queue limit; a test holds it equal, to the last bit, to the compiled engines.
"""

from __future__ import annotations

import heapq

import numpy as np

from distlib.core import stopping
from distlib.sim.service.balancer import Balancer
from distlib.sim.service.balancer_state import REJECTED
from distlib.sim.service.instant import after, by
from distlib.sim.service.params import ServiceParams, workload
from distlib.sim.service.result import ServiceResult


def simulate_step_by_step(params: ServiceParams) -> ServiceResult:
    """Run with ``Balancer`` objects (about ten thousand requests a second)."""
    load, count, servers = workload(params), params.backends.count, params.backends.servers
    balancers = [
        Balancer(params.policy, count, params.seed, number=me, clients=params.clients, servers=servers)
        for me in range(params.balancers)
    ]
    speed = params.backends.speed
    free = [[(0.0, 0.0)] * servers for _ in speed]  # when each server is free again, and what rounding left of that
    in_system = [0] * count
    under_way: list[tuple[float, int]] = []  # (departure, request)
    start, departure = np.empty(params.requests), np.empty(params.requests)
    backend, status = np.empty(params.requests, np.int32), np.zeros(params.requests, np.int8)

    for job in range(params.requests):
        if job % 1000 == 0:
            stopping.check()
        now = float(load.arrival_s[job])
        while under_way and under_way[0][0] <= by(now):
            gone_at, gone = heapq.heappop(under_way)
            in_system[backend[gone]] -= 1
            sender = balancers[load.sender[gone % load.sender.size]]
            sender.answer(int(backend[gone]), gone_at - load.arrival_s[gone], gone_at)
        me = balancers[load.sender[job % load.sender.size]]
        chosen = me.choose(now, int(load.client[job % load.client.size]))
        backend[job], start[job], departure[job] = chosen, now, now
        if 0 <= params.backends.queue_limit <= in_system[chosen] - servers:
            status[job] = REJECTED
            me.answer(chosen, 0.0, now)
            continue
        first, rest = free[chosen].pop(0)
        start[job], rest = (first, rest) if first > by(now) else (now, 0.0)
        departure[job], rest = after(start[job], rest, load.service_s[job] / speed[chosen])
        earlier = sum(one <= by(departure[job]) for one, _ in free[chosen])
        free[chosen].insert(earlier, (float(departure[job]), rest))
        heapq.heappush(under_way, (float(departure[job]), job))
        in_system[chosen] += 1

    return ServiceResult(params, load.arrival_s, load.service_s, start, departure, backend, status)
