"""The loop: whatever comes first, an event, a fault, a request from outside or the end of a slice."""

from __future__ import annotations

import numpy as np

from distlib.core.draw import compiled, compiled_apart
from distlib.resilience import concurrency
from distlib.resilience.calls.call import begin_call
from distlib.resilience.calls.callee import (
    advance_work,
    arrive,
    call_next,
    finish,
    leave_queue,
    plan_work,
    take_next,
    work_done,
)
from distlib.resilience.calls.caller import call_over, deadline_due, end_attempt, replies, tie, try_call
from distlib.resilience.calls.heap import drop_first
from distlib.resilience.calls.state import (
    ARRIVES,
    CALL_NEXT,
    CALL_OVER,
    CUT,
    DEADLINE_DUE,
    DOWN,
    EDGE_COLUMNS,
    EDGE_COUNTED,
    EMPTY_CACHE,
    ENTRY,
    ERROR_SHARE,
    HEDGE_DUE,
    OUTSIDE,
    PAUSED,
    REFUSED,
    REPLIES,
    SERVED,
    SERVICE_COLUMNS,
    SERVICE_COUNTED,
    SPEED,
    TAKE_NEXT,
    TIE,
    TIME_OUT,
    TIMED_OUT,
    TRY,
    WORK_DONE,
    World,
)
from distlib.resilience.timeout import timeout_of

FINISHED, NEEDS_ROOM, PAUSING = range(3)
"""Why the loop returned: the run is over; it needs larger arrays; it has done as many events as it was asked for."""
MARGIN = 2048
"""Attempts, calls and events that one event may begin at most, so many places are kept free."""


@compiled_apart
def run(world: World, most_events: int) -> int:
    """Go on until the end, until room is needed, or for so many events."""
    run, heap = world.run[0], world.heap
    stop_at = run.happened + most_events
    while True:
        if is_full(world):
            return NEEDS_ROOM
        if run.happened >= stop_at:
            return PAUSING
        run.happened += 1
        if run.ring_last > run.ring_first:
            one = world.ring[run.ring_first % world.ring.size]
            run.ring_first += 1
            happen(world, one.what, one.number, one.stamp, run.now)
            continue
        event_s = heap[0].time if run.events > 0 else np.inf
        change_s = world.changes[run.next_change].at_s
        slice_s = run.next_slice * world.slice_s
        now = min(event_s, world.requests[run.next_request].arrival_s, change_s, slice_s)
        if now > world.end_s:
            return FINISHED
        run.now = now
        if change_s == now:
            change(world, run.next_change, now)
            run.next_change += 1
        elif slice_s == now:
            look(world, run.next_slice - 1)
            run.next_slice += 1
        elif event_s == now:
            what, number, stamp = heap[0].what, heap[0].number, heap[0].stamp
            drop_first(heap, world.run)
            happen(world, what, number, stamp, now)
        else:
            one = run.next_request
            run.next_request += 1
            begin_call(world, ENTRY, OUTSIDE, one, world.requests[one].priority, now, np.inf)


@compiled
def is_full(world: World) -> bool:
    """Whether one more event might find no place for what it begins."""
    run = world.run[0]
    spare = min(world.heap.size - run.events, world.ring.size - (run.ring_last - run.ring_first))
    return min(run.free_attempts, run.free_calls) < MARGIN or spare < world.attempts.size + MARGIN


@compiled_apart
def happen(world: World, what: int, number: int, stamp: int, now: float) -> None:
    """Let one event happen, unless what it is about is not there any more."""
    attempts, calls = world.attempts, world.calls
    if what == TAKE_NEXT:
        take_next(world, number, now)
    elif what == WORK_DONE:
        if attempts[number].work_stamp == stamp and attempts[number].place == SERVED:
            work_done(world, number, now)
    elif what in (TRY, HEDGE_DUE):
        if calls[number].stamp == stamp:
            try_call(world, number, what == HEDGE_DUE, now)
    elif what == DEADLINE_DUE:
        if calls[number].stamp == stamp and not calls[number].over:
            deadline_due(world, number, now)
    elif what == CALL_OVER:
        if calls[number].stamp == stamp:
            call_over(world, number, now)
    elif attempts[number].stamp == stamp:
        about_attempt(world, what, number, now)


@compiled
def about_attempt(world: World, what: int, a: int, now: float) -> None:
    """What can happen to an attempt beside the work on it."""
    if what == ARRIVES:
        arrive(world, a, now)
    elif what == REPLIES:
        replies(world, a, now)
    elif what == TIME_OUT:
        if world.attempts[a].waited_for:
            end_attempt(world, a, TIMED_OUT, now)
    elif what == CALL_NEXT:
        call_next(world, a, now)
    elif what == TIE:
        tie(world, a, now)


@compiled_apart
def change(world: World, number: int, now: float) -> None:
    """A fault begins or is over."""
    one = world.changes[number]
    target, value = one.target, one.value
    if one.kind == CUT:
        world.edges[target].cut = value > 0
    elif one.kind == EMPTY_CACHE:
        world.edges[target].cached = 0.0
    elif one.kind == ERROR_SHARE:
        world.instances[target].error_share = value
    elif one.kind == DOWN:
        world.instances[target].down = value > 0
        if value > 0:
            crash(world, target, now)
    else:
        set_speed(world, target, one.kind, value, now)


@compiled
def crash(world: World, i: int, now: float) -> None:
    """The instance loses all that it holds; whoever waits hears of it at once (connection reset)."""
    world.instances[i].crashes += 1
    while world.instances[i].busy > 0:
        a = world.slots[i * world.most_servers]
        if world.attempts[a].place == SERVED:
            advance_work(world, a, i, now)
        world.attempts[a].work_stamp = 0
        world.attempts[a].pending = 0
        finish(world, a, REFUSED, now)
    while world.instances[i].waiting > 0:
        a = world.instances[i].oldest
        leave_queue(world, a, i)
        finish(world, a, REFUSED, now)


@compiled
def set_speed(world: World, i: int, kind: int, value: float, now: float) -> None:
    """Another speed, or none: what is under way there will be done at another time."""
    held = world.instances[i].busy
    for k in range(held):
        a = world.slots[i * world.most_servers + k]
        if world.attempts[a].place == SERVED:
            advance_work(world, a, i, now)
    if kind == SPEED:
        world.instances[i].speed = value
    elif kind == PAUSED:
        world.instances[i].paused = value > 0
    for k in range(held):
        a = world.slots[i * world.most_servers + k]
        if world.attempts[a].place == SERVED:
            plan_work(world, a, i, now)


@compiled_apart
def look(world: World, number: int) -> None:
    """Write down how things stand at the end of a slice."""
    edges, services = world.edges, world.services
    for e in range(edges.size):
        place = (number * edges.size + e) * EDGE_COLUMNS + EDGE_COUNTED
        world.edge_series[place] = edges[e].in_flight
        world.edge_series[place + 1] = edges[e].breaker.state
        world.edge_series[place + 2] = edges[e].cached
        world.edge_series[place + 3] = timeout_of(edges[e].timeout_rule, edges[e].latency)
    for s in range(services.size):
        place = (number * services.size + s) * SERVICE_COLUMNS + SERVICE_COUNTED
        for i in range(services[s].first_instance, services[s].first_instance + services[s].instances):
            one = world.instances[i]
            world.service_series[place] += one.waiting
            world.service_series[place + 1] += one.busy
            if one.concurrency_rule.kind > 0:
                world.service_series[place + 2] += concurrency.limit_of(one.concurrency)
