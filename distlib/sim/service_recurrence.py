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

from distlib.policies.balancing import CENTRAL, IDLE_QUEUE, choose
from distlib.policies.draw import compiled
from distlib.policies.knowledge import REJECTED, UNAVAILABLE, Known, Rule, leave, list_answer, post_loads, send

Floats = NDArray[np.float64]


class Stations(NamedTuple):
    """Queues with servers: one station a backend, or a single one with everybody's servers for a central queue."""

    free: Floats  # (stations, servers) when each server is free again, ascending in a row
    machine: NDArray[np.int32]  # (stations, servers) backend to which that server belongs
    speed: Floats  # (backends,)
    waiting_room: int  # requests that may wait at a station; -1 for any number


class Outcome(NamedTuple):
    """What became of each request; ``departure`` and ``status`` are kept in :class:`Known`."""

    start: Floats  # (jobs,) begin of service in seconds
    backend: NDArray[np.int32]  # (jobs,) -1 where none was left


@compiled
def run_fifo(
    rule: Rule,
    known: Known,
    stations: Stations,
    service: Floats,
    client: NDArray[np.int32],
    outcome: Outcome,
    refresh_s: float,
    track: bool,
) -> None:
    """Serve all requests; ``track`` says that loads matter, so that answers must be listed."""
    watch_system = stations.waiting_room >= 0 or rule.kind == IDLE_QUEUE
    next_post = 0.0
    for job in range(known.arrival.size):
        now = known.arrival[job]
        me = known.sender[job] if known.sender.size > 1 else 0
        if rule.board and now >= next_post:
            posted_at = math.floor(now / refresh_s) * refresh_s
            post_loads(rule, known, posted_at)
            next_post = posted_at + refresh_s
        station = 0
        if rule.kind != CENTRAL:
            station = choose(rule, known, me, now, client[job] if client.size > 1 else 0)
        if station < 0:
            turn_away(known, outcome, job, -1, UNAVAILABLE)
            continue
        if watch_system:
            leave(known, station, now)
            if 0 <= stations.waiting_room <= known.in_system[station] - known.servers[station]:
                turn_away(known, outcome, job, station, REJECTED)
                continue
        serve(known, stations, service, outcome, station, job, now)
        if track:
            send(known, me, station)
            list_answer(known, station, job)


@compiled
def turn_away(known: Known, outcome: Outcome, job: int, station: int, status: int) -> None:
    """End ``job`` at once, unserved."""
    known.status[job] = status
    known.departure[job] = known.arrival[job]
    outcome.start[job] = known.arrival[job]
    outcome.backend[job] = station


@compiled
def serve(
    known: Known, stations: Stations, service: Floats, outcome: Outcome, station: int, job: int, now: float
) -> None:
    """Give ``job`` to the server that is free first, and keep the servers in order of when they are."""
    free, machine = stations.free[station], stations.machine[station]
    start = max(now, free[0])
    backend = machine[0]
    departure = start + service[job] / stations.speed[backend]
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
