"""The callee's side of an attempt: the door, the queue, the work, the calls to others, the answer."""

from __future__ import annotations

import math

from distlib.core.draw import compiled, compiled_apart
from distlib.resilience import concurrency, shedding
from distlib.resilience.calls.call import begin_call
from distlib.resilience.calls.heap import at_once, plan
from distlib.resilience.calls.state import (
    ARRIVED,
    CALL_NEXT,
    CALLING,
    DEGRADED,
    ERROR,
    EXPIRED,
    EXPONENTIAL,
    GONE,
    LATE_ANSWERS,
    NO_STAMP,
    OK,
    REFUSED,
    REPLIES,
    SAMPLED,
    SAMPLES,
    SERVED,
    SHED,
    TAKE_NEXT,
    TIE,
    UNDER_WAY,
    USEFUL,
    USEFUL_WORK,
    WAITING,
    WASTED,
    WASTED_WORK,
    WORK_DONE,
    World,
    count,
    count_service,
    free_attempt,
    new_stamp,
    random,
)


@compiled
def arrive(world: World, a: int, now: float) -> None:
    """An attempt reaches its instance: it is refused, shed, served or queued; or it is lost on the way."""
    attempts, edges = world.attempts, world.edges
    i = attempts[a].instance
    s = world.instances[i].service
    if attempts[a].place != UNDER_WAY:
        return
    if edges[attempts[a].edge].cut:
        vanish(world, a)
        return
    count_service(world, s, ARRIVED, now, 1.0)
    attempts[a].arrived_s = now
    attempts[a].crashes = world.instances[i].crashes
    if world.instances[i].down:
        leave(world, a, REFUSED, now)
        return
    if not is_let_in(world, a, s, i, now):
        leave(world, a, SHED, now)
        return
    concurrency.begins(world.instances[i].concurrency)
    join_queue(world, a, i)
    at_once(world, TAKE_NEXT, i, NO_STAMP)


@compiled
def is_let_in(world: World, a: int, s: int, i: int, now: float) -> bool:
    """Whether the instance takes the attempt in: its queue, its limit of requests at once, and its shedding."""
    servers, waiting = world.services[s].servers, world.instances[i].waiting
    limit = world.services[s].queue_limit
    if limit >= 0 and world.instances[i].busy >= servers and waiting >= limit:
        return False
    known = world.instances[i].concurrency
    limited = world.instances[i].concurrency_rule.kind > 0
    if limited and known.in_flight >= concurrency.limit_of(known):
        return False
    if world.instances[i].shedding_rule.kind == 0:
        return True
    u = random(world)
    priority = world.attempts[a].priority
    return shedding.admits(world.instances[i].shedding_rule, world.instances[i].shedding, now, waiting, priority, u)


@compiled
def join_queue(world: World, a: int, i: int) -> None:
    """Wait at the young end of the queue."""
    attempts, instance = world.attempts, world.instances[i]
    attempts[a].place = WAITING
    attempts[a].behind = -1
    attempts[a].ahead = instance.newest
    if instance.newest >= 0:
        attempts[instance.newest].behind = a
    else:
        instance.oldest = a
    instance.newest = a
    instance.waiting += 1


@compiled
def leave_queue(world: World, a: int, i: int) -> None:
    """Out of the queue, from wherever it stands."""
    attempts, instance = world.attempts, world.instances[i]
    ahead, behind = attempts[a].ahead, attempts[a].behind
    if ahead >= 0:
        attempts[ahead].behind = behind
    else:
        instance.oldest = behind
    if behind >= 0:
        attempts[behind].ahead = ahead
    else:
        instance.newest = ahead
    instance.waiting -= 1


@compiled
def take_next(world: World, i: int, now: float) -> None:
    """Free servers take requests from the queue; what is too late, or what the shedding gives up, is dropped."""
    attempts, instance = world.attempts, world.instances[i]
    s = instance.service
    while instance.waiting > 0 and instance.busy < world.services[s].servers and not instance.down:
        rule, known = world.instances[i].shedding_rule, world.instances[i].shedding
        newest = world.services[s].newest_first
        if rule.kind > 0:
            newest = newest or shedding.newest_first(rule, known, now)
        a = instance.newest if newest else instance.oldest
        leave_queue(world, a, i)
        if now >= attempts[a].deadline_s:
            count_service(world, s, EXPIRED, now, 1.0)
            finish(world, a, SHED, now)
        elif rule.kind > 0 and shedding.drops(rule, known, now, now - attempts[a].arrived_s, instance.waiting):
            finish(world, a, SHED, now)
        else:
            serve(world, a, s, i, now)
            if world.edges[attempts[a].edge].hedge_rule.tied:
                at_once(world, TIE, a, attempts[a].stamp)


@compiled
def serve(world: World, a: int, s: int, i: int, now: float) -> None:
    """A server begins to work on the attempt."""
    attempts, instance = world.attempts, world.instances[i]
    world.slots[i * world.most_servers + instance.busy] = a
    attempts[a].slot = instance.busy
    instance.busy += 1
    attempts[a].place = SERVED
    attempts[a].begun_s = now
    attempts[a].rest_s = work_of(world, s)
    attempts[a].since_s = now
    plan_work(world, a, i, now)
    if attempts[a].log >= 0:
        world.log[attempts[a].log].begun_s = now


@compiled
def work_of(world: World, s: int) -> float:
    """The service time of the next request at this service."""
    service = world.services[s]
    if service.sampling == EXPONENTIAL:
        return -service.mean_s * math.log(random(world))
    if service.sampling == SAMPLED:
        service.drawn = (service.drawn + 1) % SAMPLES
        return world.samples[s * SAMPLES + service.drawn]
    return service.mean_s


@compiled
def plan_work(world: World, a: int, i: int, now: float) -> None:
    """When the work on the attempt will be done if nothing else happens; never, while the instance is paused."""
    stamp = new_stamp(world)
    world.attempts[a].work_stamp = stamp
    if not world.instances[i].paused:
        plan(world, now + world.attempts[a].rest_s / world.instances[i].speed, WORK_DONE, a, stamp)


@compiled
def advance_work(world: World, a: int, i: int, now: float) -> None:
    """Count the work done on the attempt until now."""
    attempts = world.attempts
    if not world.instances[i].paused:
        done = (now - attempts[a].since_s) * world.instances[i].speed
        attempts[a].rest_s = max(0.0, attempts[a].rest_s - done)
        attempts[a].worked_s += now - attempts[a].since_s
    attempts[a].since_s = now


@compiled_apart
def free_server(world: World, a: int, i: int) -> None:
    """The attempt's server is free again."""
    attempts, instance = world.attempts, world.instances[i]
    instance.busy -= 1
    last = world.slots[i * world.most_servers + instance.busy]
    world.slots[i * world.most_servers + attempts[a].slot] = last
    attempts[last].slot = attempts[a].slot
    attempts[a].slot = -1
    if instance.waiting > 0:
        at_once(world, TAKE_NEXT, i, NO_STAMP)


@compiled
def work_done(world: World, a: int, now: float) -> None:
    """The instance's own work on the attempt is done: it calls others, or answers."""
    attempts = world.attempts
    i = attempts[a].instance
    advance_work(world, a, i, now)
    s = world.instances[i].service
    share = world.instances[i].error_share
    wrong = share > 0 and random(world) < share
    if wrong or world.services[s].edges == 0:
        finish(world, a, ERROR if wrong else OK, now)
        return
    attempts[a].place = CALLING
    attempts[a].next_edge = world.services[s].first_edge
    attempts[a].outcome = OK
    if not world.services[s].holds_server:
        free_server(world, a, i)
    at_once(world, CALL_NEXT, a, attempts[a].stamp)


@compiled
def call_next(world: World, a: int, now: float) -> None:
    """Begin the next call to another service, or all of them at once."""
    attempts = world.attempts
    s = world.instances[attempts[a].instance].service
    end = world.services[s].first_edge + world.services[s].edges
    while attempts[a].next_edge < end:
        deadline_s = attempts[a].deadline_s
        begin_call(world, attempts[a].next_edge, a, attempts[a].request, attempts[a].priority, now, deadline_s)
        attempts[a].next_edge += 1
        attempts[a].pending += 1
        if not world.services[s].parallel:
            break


@compiled
def called(world: World, a: int, edge: int, outcome: int, now: float) -> None:
    """A call to another service is over; the answer follows when none is left, or at the first failure in a row."""
    attempts = world.attempts
    if attempts[a].place != CALLING:  # the instance has crashed, or the caller has cancelled it
        return
    attempts[a].pending -= 1
    if outcome > DEGRADED:
        outcome = DEGRADED if world.edges[edge].optional else ERROR
    attempts[a].outcome = max(attempts[a].outcome, outcome)
    if attempts[a].pending > 0:
        return
    service = world.services[world.instances[attempts[a].instance].service]
    if attempts[a].outcome <= DEGRADED and attempts[a].next_edge < service.first_edge + service.edges:
        at_once(world, CALL_NEXT, a, attempts[a].stamp)
    else:
        finish(world, a, attempts[a].outcome, now)


@compiled_apart
def finish(world: World, a: int, outcome: int, now: float) -> None:
    """The instance has done with an attempt that it took in: the server is free, and the answer leaves."""
    attempts = world.attempts
    i = attempts[a].instance
    if attempts[a].slot >= 0:
        free_server(world, a, i)
    if attempts[a].crashes != world.instances[i].crashes:
        outcome = REFUSED
    took_s = now - attempts[a].arrived_s
    concurrency.ends(world.instances[i].concurrency_rule, world.instances[i].concurrency, took_s, outcome == SHED)
    leave(world, a, outcome, now)


@compiled_apart
def leave(world: World, a: int, outcome: int, now: float) -> None:
    """The answer leaves the instance, if anybody waits for it."""
    attempts = world.attempts
    e, s = attempts[a].edge, world.instances[attempts[a].instance].service
    if attempts[a].worked_s > 0:
        waited_for = attempts[a].waited_for
        count_service(world, s, USEFUL_WORK if waited_for else WASTED_WORK, now, attempts[a].worked_s)
        count_service(world, s, USEFUL if waited_for else WASTED, now, 1.0)
    if attempts[a].log >= 0:
        world.log[attempts[a].log].done_s = now
    attempts[a].outcome = outcome
    if attempts[a].waited_for:
        attempts[a].place = GONE
        attempts[a].at_callee = False
        if world.edges[e].latency_s > 0:
            plan(world, now + world.edges[e].latency_s, REPLIES, a, attempts[a].stamp)
        else:
            at_once(world, REPLIES, a, attempts[a].stamp)
        return
    count(world, e, LATE_ANSWERS, now, 1.0)
    vanish(world, a)


@compiled
def vanish(world: World, a: int) -> None:
    """The callee knows the attempt no more."""
    world.attempts[a].place = GONE
    world.attempts[a].at_callee = False
    if world.attempts[a].call < 0:
        free_attempt(world, a)


@compiled_apart
def stop_work(world: World, a: int, now: float) -> None:
    """The caller has cancelled the attempt: the callee drops it, wherever it is. What it called goes on by itself."""
    attempts = world.attempts
    i, place = attempts[a].instance, attempts[a].place
    if not attempts[a].at_callee:
        return
    if place == WAITING:
        leave_queue(world, a, i)
    if place == SERVED:
        advance_work(world, a, i, now)
        attempts[a].work_stamp = new_stamp(world)
    if attempts[a].slot >= 0:
        free_server(world, a, i)
    if attempts[a].worked_s > 0:
        count_service(world, world.instances[i].service, WASTED_WORK, now, attempts[a].worked_s)
        count_service(world, world.instances[i].service, WASTED, now, 1.0)
    if place != UNDER_WAY:
        concurrency.withdraws(world.instances[i].concurrency)
    vanish(world, a)
