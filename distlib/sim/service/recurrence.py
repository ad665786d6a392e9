"""The fast engine: first-come-first-served queues without an event list.

Where a backend serves in order of arrival, a request's departure is known when it arrives (Lindley's recurrence, Kiefer
and Wolfowitz's with several servers), so there is nothing to schedule. A policy that asks for a backend's load first
hears the answers that are due: constant time a request, because each answer is heard once.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distlib.core.draw import compiled, place
from distlib.sim.service.balancer_state import (
    REJECTED,
    UNAVAILABLE,
    BalancerState,
    Floats,
    PolicyConstants,
    enter,
    leave,
    list_answer,
    post_loads,
    send,
)
from distlib.sim.service.instant import after, by


class Stations(NamedTuple):
    """Queues with servers: one station a backend, or a single one with everybody's servers for a central queue."""

    free: Floats  # (stations, servers) when each server is free again, ascending in a row
    rest: Floats  # (stations, servers) what rounding left of it
    machine: NDArray[np.int32]  # (stations, servers) backend to which that server belongs
    speed: Floats  # (backends,)
    waiting_room: int  # requests that may wait at a station; -1 for any number


@lru_cache
def recurrence(choose: Any) -> Any:
    """The engine with a policy's compiled ``choose``; ``track``: loads matter, so that answers must be listed."""

    @compiled
    def run(rule: PolicyConstants, known: BalancerState, stations: Stations, track: bool) -> None:
        next_post = 0.0
        for job in range(known.arrival.size):
            now = known.arrival[job]
            me = known.sender[job] if known.sender.size > 1 else 0
            next_post = refresh_board(rule, known, now, next_post)
            station = choose(rule, known, me, now, known.client[job] if known.client.size > 1 else 0)
            deliver(rule, known, stations, me, station, job, now, track)

    return run


@compiled
def run_central(known: BalancerState, stations: Stations) -> None:
    """The same for one queue with room for everybody: nothing to choose, nothing to know."""
    for job in range(known.arrival.size):
        serve(known, stations, 0, job, known.arrival[job])


@compiled
def refresh_board(rule: PolicyConstants, known: BalancerState, now: float, next_post: float) -> float:
    """Post the loads of the last full interval when the time has come; the time of the next posting."""
    if rule.refresh_s == 0.0 or by(now) < next_post:
        return next_post
    intervals = math.floor(by(now) / rule.refresh_s)
    post_loads(rule, known, intervals * rule.refresh_s)
    return (intervals + 1) * rule.refresh_s


@compiled
def deliver(
    rule: PolicyConstants, known: BalancerState, stations: Stations, me: int, station: int, job: int, now: float,
    track: bool,
) -> None:  # fmt: skip
    """Let the chosen station take ``job``, or turn it away."""
    if station < 0:
        turn_away(known, job, -1, UNAVAILABLE)
        return
    if stations.waiting_room >= 0 or rule.reports_idle:
        leave(known, station, now)
        if 0 <= stations.waiting_room <= known.in_system[station] - known.servers[station]:
            turn_away(known, job, station, REJECTED)
            return
        enter(known, station)
    serve(known, stations, station, job, now)
    if track:
        send(known, me, station)
        list_answer(known, station, job)


@compiled
def turn_away(known: BalancerState, job: int, station: int, status: int) -> None:
    """End ``job`` at once, unserved."""
    known.status[job] = status
    known.departure[job] = known.arrival[job]
    known.start[job] = known.arrival[job]
    known.backend[job] = station


@compiled
def serve(known: BalancerState, stations: Stations, station: int, job: int, now: float) -> None:
    """Give ``job`` to the server that is free first, and keep the servers in order of when they are; of those that are
    free at one instant, the one whose last request came first is the first."""
    at_station = place(station)
    free, rest, machine = stations.free[at_station], stations.rest[at_station], stations.machine[at_station]
    start, start_rest = now, 0.0
    if free[0] > by(now):
        start, start_rest = free[0], rest[0]
    backend = machine[0]
    duration = known.service[place(job)]
    if stations.speed[place(backend)] != 1.0:  # most often there is nothing to divide
        duration /= stations.speed[place(backend)]
    departure, departure_rest = after(start, start_rest, duration)
    at = 1
    while at < free.size and free[at] <= by(departure):
        free[at - 1] = free[at]
        rest[at - 1] = rest[at]
        machine[at - 1] = machine[at]
        at += 1
    free[at - 1] = departure
    rest[at - 1] = departure_rest
    machine[at - 1] = backend
    known.departure[place(job)] = departure
    known.start[place(job)] = start
    known.backend[place(job)] = backend
