"""The general engine: an event-driven simulation of everything that the recurrence cannot do.

Last come first served, processor sharing, backends that crash and come back slowly, and balancers that eject them.
Three kinds of events move the clock: a departure, a change of an outage, an arrival; at one instant they happen in this
order. The balancers' knowledge and policies are those of the fast engine.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distlib.core.draw import compiled, compiled_apart
from distlib.sim.service.balancer_state import (
    FAILED,
    REJECTED,
    UNAVAILABLE,
    BalancerState,
    Floats,
    Ints,
    PolicyConstants,
    enter,
    hear,
    leave,
    list_answer,
    send,
    set_available,
)
from distlib.sim.service.instant import after, by, precedes
from distlib.sim.service.recurrence import refresh_board, turn_away

FIFO, LIFO, SHARING = 0, 1, 2


class ServiceState(NamedTuple):
    """State of the stations. A list of waiting (or, when sharing, of served) requests runs through ``behind``."""

    discipline: int
    waiting_room: int  # -1 for any number
    slow_start_s: float
    cold_speed: float  # speed right after a return, as a share of the full one
    speed: Floats  # (backends,)
    up: NDArray[np.bool_]  # (stations,)
    up_since: Floats  # (stations,)
    machine: NDArray[np.int32]  # (stations, servers) backend of each server
    serving: NDArray[np.int32]  # (stations, servers) request in service, -1 for none
    latest: NDArray[np.int32]  # (stations, servers) the last request whose service began there
    done_at: Floats  # (stations, servers) when it is finished
    done_rest: Floats  # (stations, servers) what rounding left of it
    idle_since: Floats  # (stations, servers)
    due: Floats  # (stations,) next departure
    first: NDArray[np.int32]  # (stations,) head of the list, -1 when empty
    last: NDArray[np.int32]  # (stations,)
    listed: Ints  # (stations,) its length
    behind: NDArray[np.int32]  # (jobs,)
    finish: Floats  # (jobs,) sharing: virtual time at which the request is finished
    virtual: Floats  # (stations,) sharing: work done for each request present since the start
    virtual_at: Floats  # (stations,) when ``virtual`` was last brought up to date


class Outages(NamedTuple):
    """Crashes and returns in order of time; the last entry, at infinity, never happens."""

    at: Floats
    station: Ints
    up: NDArray[np.bool_]


class Ejection(NamedTuple):
    """Outlier ejection; ``after`` = 0 switches it off."""

    after: int  # consecutive failures
    base_s: float
    longest_s: float
    at_most: int  # backends ejected at once by one balancer
    until: Floats  # (m, n) infinite where not ejected
    times: Ints  # (m, n) how often so far


@lru_cache
def event_engine(choose: Any) -> Any:
    """The engine with a policy's compiled ``choose`` in its loop; it runs until every request has left."""

    @compiled
    def run(
        rule: PolicyConstants, known: BalancerState, world: ServiceState, outages: Outages, ejection: Ejection
    ) -> None:
        job, change, next_post = wide(0), 0, 0.0
        jobs = known.arrival.size
        while True:
            station = earliest(world.due)
            arrival = known.arrival[job] if job < jobs else np.inf
            if world.due[station] <= by(min(outages.at[change], arrival)):
                if world.due[station] == np.inf:
                    return
                depart(known, world, station, world.due[station])
            elif outages.at[change] <= by(arrival):
                if job == jobs and world.due[station] == np.inf:
                    return
                set_up(known, world, outages.station[change], outages.up[change], outages.at[change])
                change += 1
            else:
                next_post = refresh_board(rule, known, arrival, next_post)
                me = known.sender[job] if known.sender.size > 1 else 0
                if ejection.after > 0:
                    review_members(rule, known, ejection, me, arrival)
                station = choose(rule, known, me, arrival, known.client[job] if known.client.size > 1 else 0)
                admit(known, world, me, station, job)
                job += 1

    return run


@compiled
def earliest(due: Floats) -> int:
    """Station of the next departure."""
    best = 0
    for i in range(1, due.size):
        if due[i] < due[best]:
            best = i
    return best


@compiled
def first_server(time: Floats, latest: NDArray[np.int32]) -> int:
    """The server with the earliest ``time``; at one instant the one whose last request came first."""
    best = 0
    for k in range(1, time.size):
        if precedes(time[k], latest[k], time[best], latest[best]):
            best = k
    return best


@compiled
def wide(job: Any) -> Any:
    """``job`` as an int64: a literal 0 or an int32 would have all that takes it compiled once more."""
    return np.int64(job)


@compiled_apart
def admit(known: BalancerState, world: ServiceState, me: int, station: int, job: int) -> None:
    """An arrival reaches its station: served, queued, turned away, or failed because the backend is down."""
    now = known.arrival[job]
    if station < 0:
        turn_away(known, job, -1, UNAVAILABLE)
        return
    if 0 <= world.waiting_room <= known.in_system[station] - known.servers[station]:
        turn_away(known, job, station, REJECTED)
        return
    send(known, me, station)
    enter(known, station)
    known.backend[job] = station
    known.start[job] = now
    if not world.up[station]:
        finish_job(known, station, job, now, True)
    elif world.discipline == SHARING:
        advance_sharing(known, world, station, now)
        share(known, world, station, job)
        plan_sharing(known, world, station, now)
    else:
        slot = free_slot(world, station)
        if slot >= 0:
            start_service(known, world, station, slot, job, now, 0.0)
        elif world.discipline == LIFO or world.listed[station] == 0:
            insert(world, station, job, -1)
        else:
            insert(world, station, job, world.last[station])


@compiled_apart
def finish_job(known: BalancerState, station: int, job: int, now: float, failed: bool) -> None:
    """``job`` leaves the station."""
    if failed:
        known.status[job] = FAILED
    known.departure[job] = now
    list_answer(known, station, job)
    leave(known, station, now)


@compiled_apart
def depart(known: BalancerState, world: ServiceState, station: int, now: float) -> None:
    """The station's next request is finished; a waiting one takes its server."""
    if world.discipline == SHARING:
        job = pop(world, station)
        world.virtual[station] = world.finish[job] if world.listed[station] > 0 else 0.0
        world.virtual_at[station] = now
        finish_job(known, station, job, now, False)
        plan_sharing(known, world, station, now)
        return
    slot = first_server(world.done_at[station], world.latest[station])
    finish_job(known, station, wide(world.serving[station, slot]), now, False)
    world.serving[station, slot] = -1
    world.done_at[station, slot] = np.inf
    world.idle_since[station, slot] = now
    if world.listed[station] > 0:
        start_service(known, world, station, slot, pop(world, station), now, world.done_rest[station, slot])
    world.due[station] = world.done_at[station, first_server(world.done_at[station], world.latest[station])]


@compiled
def free_slot(world: ServiceState, station: int) -> int:
    """The server that has been idle longest, or -1."""
    since, latest = world.idle_since[station], world.latest[station]
    best = -1
    for k in range(since.size):
        if world.serving[station, k] < 0 and (best < 0 or precedes(since[k], latest[k], since[best], latest[best])):
            best = k
    return best


@compiled_apart
def start_service(
    known: BalancerState, world: ServiceState, station: int, slot: int, job: int, now: float, rest: float
) -> None:
    """Serve ``job`` on one server from ``now`` on (``rest`` is what rounding left of that)."""
    backend = world.machine[station, slot]
    done_at, done_rest = after(now, rest, time_for(world, station, known.service[job] / world.speed[backend], now))
    world.serving[station, slot] = job
    world.latest[station, slot] = job
    world.done_at[station, slot] = done_at
    world.done_rest[station, slot] = done_rest
    world.due[station] = min(world.due[station], done_at)
    known.start[job] = now
    known.backend[job] = backend


@compiled
def work_done(world: ServiceState, station: int, since: float, now: float) -> float:
    """Work done between two moments, as time at full speed. After a return the speed rises along a straight line."""
    cold = world.slow_start_s - (since - world.up_since[station])  # how much longer it is not warm
    if world.slow_start_s == 0.0 or cold <= 0.0:
        return now - since
    rising = min(cold, now - since)
    slope = (1.0 - world.cold_speed) / world.slow_start_s
    return (1.0 - slope * (cold - 0.5 * rising)) * rising + (now - since - rising)


@compiled
def time_for(world: ServiceState, station: int, work: float, now: float) -> float:
    """How long ``work`` takes from ``now`` on: the inverse of ``work_done``."""
    cold = world.slow_start_s - (now - world.up_since[station])
    if world.slow_start_s == 0.0 or cold <= 0.0:
        return work
    slope = (1.0 - world.cold_speed) / world.slow_start_s
    speed = 1.0 - slope * cold
    until_warm = (1.0 - 0.5 * slope * cold) * cold
    if work >= until_warm:
        return cold + (work - until_warm)
    return 2.0 * work / (speed + math.sqrt(speed * speed + 2.0 * slope * work))


@compiled
def insert(world: ServiceState, station: int, job: int, ahead: int) -> None:
    """Put ``job`` into the station's list right behind ``ahead``, or at its head (-1)."""
    after = world.first[station] if ahead < 0 else world.behind[ahead]
    world.behind[job] = after
    if ahead < 0:
        world.first[station] = job
    else:
        world.behind[ahead] = job
    if after < 0:
        world.last[station] = job
    world.listed[station] += 1


@compiled
def pop(world: ServiceState, station: int) -> int:
    """Take the head of the list."""
    job = world.first[station]
    world.first[station] = world.behind[job]
    world.listed[station] -= 1
    return wide(job)


@compiled
def share(known: BalancerState, world: ServiceState, station: int, job: int) -> None:
    """Insert ``job`` among the requests that share the station, in order of their virtual finish."""
    finish = world.virtual[station] + known.service[job]
    world.finish[job] = finish
    ahead, after = -1, world.first[station]
    while after >= 0 and world.finish[after] <= finish:
        ahead, after = after, world.behind[after]
    insert(world, station, job, ahead)


@compiled
def sharing_rate(known: BalancerState, world: ServiceState, station: int) -> float:
    """Work done a second for each request present, when warm: c servers for k requests, at most one server each."""
    crowd = world.listed[station] / known.servers[station]
    return world.speed[world.machine[station, 0]] / max(1.0, crowd)


@compiled
def advance_sharing(known: BalancerState, world: ServiceState, station: int, now: float) -> None:
    """Bring the station's virtual time up to ``now``."""
    if world.listed[station] > 0:
        done = work_done(world, station, world.virtual_at[station], now)
        world.virtual[station] += done * sharing_rate(known, world, station)
    world.virtual_at[station] = now


@compiled
def plan_sharing(known: BalancerState, world: ServiceState, station: int, now: float) -> None:
    """When the first of the sharing requests will be finished if nothing else happens."""
    if world.listed[station] == 0:
        world.due[station] = np.inf
        return
    left = world.finish[world.first[station]] - world.virtual[station]
    world.due[station] = now + time_for(world, station, max(0.0, left) / sharing_rate(known, world, station), now)


@compiled_apart
def set_up(known: BalancerState, world: ServiceState, station: int, up: bool, now: float) -> None:
    """A backend crashes, and with it every request that it holds; or it comes back, cold."""
    world.up[station] = up
    if up:
        world.up_since[station] = now
        return
    for slot in range(world.serving.shape[1]):
        if world.serving[station, slot] >= 0:
            finish_job(known, station, world.serving[station, slot], now, True)
            world.serving[station, slot] = -1
            world.done_at[station, slot] = np.inf
    while world.listed[station] > 0:
        finish_job(known, station, pop(world, station), now, True)
    world.virtual[station] = 0.0
    world.due[station] = np.inf


@compiled_apart
def review_members(rule: PolicyConstants, known: BalancerState, ejection: Ejection, me: int, now: float) -> None:
    """Take back whose time is over, then eject who failed too often in a row, for longer every time (Envoy)."""
    ejected = 0
    for backend in range(known.weight.size):
        hear(rule, known, backend, now)
        if ejection.until[me, backend] <= by(now):
            ejection.until[me, backend] = np.inf
            known.failures[me, backend] = 0
            set_available(known, me, backend, True)
    for backend in range(known.weight.size):
        ejected += np.isfinite(ejection.until[me, backend])
    for backend in range(known.weight.size):
        suspicious = known.failures[me, backend] >= ejection.after
        if suspicious and known.available[me, backend] and ejected < ejection.at_most:
            ejected += 1
            ejection.times[me, backend] += 1
            stay = min(ejection.base_s * ejection.times[me, backend], ejection.longest_s)
            ejection.until[me, backend] = now + stay
            set_available(known, me, backend, False)
