"""The fast engine: first-come-first-served queues without an event list.

Where a backend serves in order of arrival, a request's departure is known when it arrives (Lindley's recurrence,
Kiefer and Wolfowitz's with several servers): it starts when it is there and a server is free. So there is nothing to
schedule. A policy that asks for a backend's load first hears the answers that are due, which costs constant time a
request, because each answer is heard once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from distlib.balancing.policies import CENTRAL, IDLE_QUEUE, choose, least_request
from distlib.core.draw import compiled
from distlib.sim.service.balancer_state import (
    REJECTED,
    UNAVAILABLE,
    BalancerState,
    PolicyConstants,
    enter,
    leave,
    list_answer,
    post_loads,
    send,
)

Floats = NDArray[np.float64]


class Stations(NamedTuple):
    """Queues with servers: one station a backend, or a single one with everybody's servers for a central queue."""

    free: Floats  # (stations, servers) when each server is free again, ascending in a row
    machine: NDArray[np.int32]  # (stations, servers) backend to which that server belongs
    speed: Floats  # (backends,)
    waiting_room: int  # requests that may wait at a station; -1 for any number


class RequestOutcomes(NamedTuple):
    """What became of each request; ``departure`` and ``status`` are kept in ``BalancerState``."""

    start: Floats  # (jobs,) begin of service in seconds
    backend: NDArray[np.int32]  # (jobs,) -1 where none was left


@compiled
def run_any(
    rule: PolicyConstants,
    known: BalancerState,
    stations: Stations,
    service: Floats,
    client: NDArray[np.int32],
    outcome: RequestOutcomes,
    track: bool,
) -> None:
    """Serve all requests; ``track`` says that loads matter, so that answers must be listed."""
    next_post = 0.0
    for job in range(known.arrival.size):
        now = known.arrival[job]
        me = known.sender[job] if known.sender.size > 1 else 0
        next_post = refresh_board(rule, known, now, next_post)
        station = 0
        if rule.kind != CENTRAL:
            station = choose(rule, known, me, now, client[job] if client.size > 1 else 0)
        place(rule, known, stations, service, outcome, me, station, job, now, track)


@compiled
def run_least_request(
    rule: PolicyConstants, known: BalancerState, stations: Stations, service: Floats, outcome: RequestOutcomes
) -> None:
    """The same for the policy that deserves a loop of its own: with no other in the way it runs twice as fast."""
    next_post = 0.0
    for job in range(known.arrival.size):
        now = known.arrival[job]
        me = known.sender[job] if known.sender.size > 1 else 0
        next_post = refresh_board(rule, known, now, next_post)
        station = least_request(rule, known, me, now)
        place(rule, known, stations, service, outcome, me, station, job, now, True)


@compiled
def run_central(known: BalancerState, stations: Stations, service: Floats, outcome: RequestOutcomes) -> None:
    """The same for one queue with room for everybody: nothing to choose, nothing to know."""
    for job in range(known.arrival.size):
        serve(known, stations, service, outcome, 0, job, known.arrival[job])


@compiled
def refresh_board(rule: PolicyConstants, known: BalancerState, now: float, next_post: float) -> float:
    """Post the loads of the last full interval when the time has come; the time of the next posting."""
    if rule.refresh_s == 0.0 or now < next_post:
        return next_post
    posted_at = math.floor(now / rule.refresh_s) * rule.refresh_s
    post_loads(rule, known, posted_at)
    return posted_at + rule.refresh_s


@compiled
def place(
    rule: PolicyConstants,
    known: BalancerState,
    stations: Stations,
    service: Floats,
    outcome: RequestOutcomes,
    me: int,
    station: int,
    job: int,
    now: float,
    track: bool,
) -> None:
    """Let the chosen station take ``job``, or turn it away."""
    if station < 0:
        turn_away(known, outcome, job, -1, UNAVAILABLE)
        return
    if stations.waiting_room >= 0 or rule.kind == IDLE_QUEUE:
        leave(known, station, now)
        if 0 <= stations.waiting_room <= known.in_system[station] - known.servers[station]:
            turn_away(known, outcome, job, station, REJECTED)
            return
        enter(known, station)
    serve(known, stations, service, outcome, station, job, now)
    if track:
        send(known, me, station)
        list_answer(known, station, job)


@compiled
def turn_away(known: BalancerState, outcome: RequestOutcomes, job: int, station: int, status: int) -> None:
    """End ``job`` at once, unserved."""
    known.status[job] = status
    known.departure[job] = known.arrival[job]
    outcome.start[job] = known.arrival[job]
    outcome.backend[job] = station


@compiled
def serve(
    known: BalancerState,
    stations: Stations,
    service: Floats,
    outcome: RequestOutcomes,
    station: int,
    job: int,
    now: float,
) -> None:
    """Give ``job`` to the server that is free first, and keep the servers in order of when they are."""
    free, machine = stations.free[station], stations.machine[station]
    start = max(now, free[0])
    backend = machine[0]
    duration = service[job]
    if stations.speed[backend] != 1.0:  # most often there is nothing to divide
        duration /= stations.speed[backend]
    departure = start + duration
    at = 1
    while at < free.size and free[at] < departure:
        free[at - 1] = free[at]
        machine[at - 1] = machine[at]
        at += 1
    free[at - 1] = departure
    machine[at - 1] = backend
    known.departure[job] = departure
    outcome.start[job] = start
    outcome.backend[job] = backend
