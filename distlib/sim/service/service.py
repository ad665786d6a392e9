"""A service behind load balancers: clients send requests, balancers choose, backends serve.

    result = simulate(ServiceParams(policy=LeastRequest(2), arrivals=Poisson(90.0), backends=Backends(100)))
    result.mean_s, result.percentile_s(99)

Arrivals, service times, clients and the assignment of requests to balancers depend on the seed and the request's
number alone (*common random numbers*), so two runs that differ in the policy differ in nothing else.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from distlib.core import stopping
from distlib.core.exact import rounded_down
from distlib.sim.service.balancer import new_balancer_state
from distlib.sim.service.balancer_state import BalancerState, PolicyConstants
from distlib.sim.service.events import Ejection, Outages, ServiceState, event_engine
from distlib.sim.service.params import DISCIPLINES, ServiceParams, workload
from distlib.sim.service.policy import Policy
from distlib.sim.service.recurrence import Stations, recurrence, run_central
from distlib.sim.service.result import ServiceResult
from distlib.sim.service.steps import simulate_step_by_step


def simulate(params: ServiceParams) -> ServiceResult:
    """Run the service and return what became of every request. First come, first served takes the event-free engine
    (tens of millions of requests a second); other disciplines, outages and slow starts take the event-driven one; a
    policy of the reader's own runs in plain Python."""
    stopping.check()
    if params.policy.compiled is None:
        return simulate_step_by_step(params)
    if params.backends.discipline == "fifo" and not params.backends.outages:
        return run_recurrence(params)
    return run_event_driven(params)


def run_recurrence(params: ServiceParams) -> ServiceResult:
    """The event-free engine."""
    policy, machine, waiting_room = params.policy, server_layout(params), waiting_room_of(params)
    track = waiting_room >= 0 or policy.reports_idle or policy.needs_load
    known = start_state(params, machine, ordered=machine.shape[1] == 1 or not track)
    stations = Stations(np.zeros(machine.shape), np.zeros(machine.shape), machine, params.backends.speed, waiting_room)
    if policy.central and not track:
        run_central(known, stations)
    else:
        recurrence(policy.compiled_alone or policy.compiled)(rule_of(params), known, stations, track)
    return result_of(params, known)


def run_event_driven(params: ServiceParams) -> ServiceResult:
    """The event-driven engine; with first come first served and no outages it repeats the other one exactly."""
    machine = server_layout(params)
    known = start_state(params, machine, ordered=machine.shape[1] == 1)
    world, outages, ejection = idle_service(params, machine), outages_of(params), nobody_ejected(params)
    event_engine(params.policy.compiled)(rule_of(params), known, world, outages, ejection)
    return result_of(params, known)


def server_layout(params: ServiceParams) -> NDArray[np.int32]:
    """Backend of every server, shape (stations, servers): one station a backend, or one for all."""
    backend = np.repeat(np.arange(params.backends.count, dtype=np.int32), params.backends.servers)
    return backend.reshape(1 if params.policy.central else params.backends.count, -1)


def waiting_room_of(params: ServiceParams) -> int:
    """Requests that may wait at a station (-1: no limit)."""
    limit = params.backends.queue_limit
    return limit * params.backends.count if params.policy.central and limit >= 0 else limit


def start_state(params: ServiceParams, machine: NDArray[np.int32], *, ordered: bool) -> BalancerState:
    """Balancers, backends and requests before the first request."""
    return new_balancer_state(
        params.policy, machine.shape[0], params.seed, balancers=params.balancers, clients=params.clients,
        servers=machine.shape[1], load=workload(params), ordered=ordered,
    )  # fmt: skip


def rule_of(params: ServiceParams) -> PolicyConstants:
    """The policy's constants, and how old its information is; a policy that looks at no load has no use for a board."""
    return params.policy.constants()._replace(
        delay_s=params.information_delay_s,
        refresh_s=params.refresh_interval_s if params.policy.needs_load else 0.0,
        ejects=params.ejection is not None,
    )


def idle_service(params: ServiceParams, machine: NDArray[np.int32]) -> ServiceState:
    """Idle stations, all up and warm."""
    backends, stations, jobs = params.backends, machine.shape[0], params.requests
    return ServiceState(
        discipline=DISCIPLINES.index(backends.discipline), waiting_room=waiting_room_of(params),
        slow_start_s=backends.slow_start_s, cold_speed=backends.cold_speed, speed=backends.speed,
        up=np.ones(stations, np.bool_), up_since=np.full(stations, -np.inf),
        machine=machine, serving=np.full(machine.shape, -1, np.int32),
        latest=np.tile(np.arange(-machine.shape[1], 0, dtype=np.int32), (stations, 1)),
        done_at=np.full(machine.shape, np.inf), done_rest=np.zeros(machine.shape),
        idle_since=np.zeros(machine.shape), due=np.full(stations, np.inf),
        first=np.full(stations, -1, np.int32), last=np.full(stations, -1, np.int32),
        listed=np.zeros(stations, np.int64), behind=np.empty(jobs, np.int32),
        finish=np.empty(jobs), virtual=np.zeros(stations), virtual_at=np.zeros(stations),
    )  # fmt: skip


def outages_of(params: ServiceParams) -> Outages:
    """Crashes and returns in order of time, a return before a crash at the same instant."""
    every = params.backends.outages
    changes = [(one.start_s, one.backend, False) for one in every] + [(one.end_s, one.backend, True) for one in every]
    changes.sort(key=lambda change: (change[0], not change[2]))
    at, station, up = zip(*changes, (math.inf, 0, True), strict=True)
    return Outages(np.array(at), np.array(station, np.int64), np.array(up, np.bool_))


def nobody_ejected(params: ServiceParams) -> Ejection:
    """The rule of ejection at the start; without one, nobody is ever ejected."""
    shape, one = (params.balancers, params.backends.count), params.ejection
    until, times = np.full(shape, np.inf), np.zeros(shape, np.int64)
    if one is None:
        return Ejection(0, 0.0, 0.0, 0, until, times)
    at_most = max(1, rounded_down(one.max_share, params.backends.count))
    return Ejection(one.consecutive_failures, one.base_s, one.longest_s, at_most, until, times)


def result_of(params: ServiceParams, known: BalancerState) -> ServiceResult:
    """The run as arrays in order of arrival."""
    departure = known.departure[: params.requests]
    return ServiceResult(params, known.arrival, known.service, known.start, departure, known.backend, known.status)


def compare(params: ServiceParams, policies: tuple[Policy, ...]) -> dict[str, ServiceResult]:
    """The same workload under several policies, by label; ``ValueError`` for two policies with one label."""
    labels = [policy.label for policy in policies]
    if len(set(labels)) < len(labels):
        raise ValueError(f"two policies have the same label: {', '.join(labels)}")
    return {policy.label: simulate(replace(params, policy=policy)) for policy in policies}
