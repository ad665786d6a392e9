"""The caller's side: attempts, timeouts, retries and hedges of a call, and the policies that it asks."""

from __future__ import annotations

import numpy as np

from distlib.core.draw import compiled, compiled_apart
from distlib.resilience import backoff, breaker, budget, hedge, limits, outlier, percentile, throttle, timeout
from distlib.resilience.calls.call import end_call
from distlib.resilience.calls.callee import called, stop_work
from distlib.resilience.calls.heap import at_once, plan
from distlib.resilience.calls.state import (
    ANSWERED,
    ARRIVES,
    ATTEMPTS_ANSWERED,
    CANCELLED,
    DEADLINE,
    DEGRADED,
    DEGRADED_CALLS,
    ERROR,
    ERRORS,
    FAILED,
    FIRST_TRIES,
    FIRST_TRY,
    HEDGE,
    HEDGE_DUE,
    LATENCY,
    LIMITED,
    NOT_SENT,
    OK,
    REFUSALS,
    REFUSED,
    RETRY,
    SHED,
    SHEDDINGS,
    TIME_OUT,
    TIMED_OUT,
    TIMEOUTS,
    TRY,
    UNDER_WAY,
    WAITING,
    YES,
    World,
    count,
    free_attempt,
    new_stamp,
    random,
    take_attempt,
)

RANDOM, LEAST = 1, 2


@compiled
def try_call(world: World, c: int, hedging: bool, now: float) -> None:
    """Send the next attempt of a call, if the caller's policies let it; a call whose attempt is not sent has failed."""
    calls = world.calls
    e = calls[c].edge
    if not hedging and calls[c].attempts > 0:
        budget.waited(world.edges[e].budget)
    if calls[c].over:
        return
    if hedging:
        allowed = calls[c].live > 0 and budget.may_retry(world.edges[e].budget_rule, world.edges[e].budget, now)
        if allowed and is_sent(world, e, now):
            calls[c].hedges += 1
            send(world, c, HEDGE, now)
    elif is_sent(world, e, now):
        calls[c].attempts += 1
        send(world, c, FIRST_TRY if calls[c].attempts == 1 else RETRY, now)
    elif calls[c].live == 0:
        end_call(world, c, LIMITED)


@compiled_apart
def is_sent(world: World, e: int, now: float) -> bool:
    """Whether the caller's own policies let an attempt leave: bulkhead, breaker, rate limit and throttle."""
    full = 0 < world.edges[e].bulkhead <= world.edges[e].in_flight
    allowed = not full and breaker.allows(world.edges[e].breaker_rule, world.edges[e].breaker, world.breaker_cells, now)
    if allowed:
        allowed = limits.admits(world.edges[e].limit_rule, world.edges[e].limit, now)
        if allowed and world.edges[e].throttle_rule.kind > 0:
            allowed = throttle.admits(world.edges[e].throttle_rule, world.edges[e].throttle, now, random(world))
        if not allowed:
            breaker.give_back(world.edges[e].breaker)
    if not allowed:
        count(world, e, NOT_SENT, now, 1.0)
    return allowed


@compiled_apart
def send(world: World, c: int, tried: int, now: float) -> None:
    """An attempt leaves the caller."""
    attempts, calls, edges = world.attempts, world.calls, world.edges
    e = calls[c].edge
    a = take_attempt(world)
    stamp = new_stamp(world)
    i = pick(world, e, now)
    attempts[a].call = c
    attempts[a].request = calls[c].request
    attempts[a].edge = e
    attempts[a].instance = i
    attempts[a].stamp = stamp
    attempts[a].place = UNDER_WAY
    attempts[a].number = calls[c].attempts + calls[c].hedges
    attempts[a].tried = tried
    attempts[a].priority = calls[c].priority
    attempts[a].slot = -1
    attempts[a].pending = 0
    attempts[a].outcome = OK
    attempts[a].waited_for = True
    attempts[a].at_callee = True
    attempts[a].sent_s = now
    attempts[a].worked_s = 0.0
    timeout_s = timeout.timeout_of(world.edges[e].timeout_rule, world.edges[e].latency)
    attempts[a].deadline_s = min(calls[c].deadline_s, now + timeout_s) if edges[e].propagates else np.inf
    attempts[a].sibling = calls[c].newest
    calls[c].newest = a
    calls[c].live += 1
    edges[e].in_flight += 1
    world.routes[route_of(world, a)].in_flight += 1
    budget.begins(world.edges[e].budget_rule, world.edges[e].budget, now, tried != FIRST_TRY)
    count(world, e, FIRST_TRIES + tried, now, 1.0)
    if calls[c].request >= 0:
        world.requests[calls[c].request].attempts += 1
    log_attempt(world, a, c, now)
    if edges[e].latency_s > 0:
        plan(world, now + edges[e].latency_s, ARRIVES, a, stamp)
    else:
        at_once(world, ARRIVES, a, stamp)
    plan(world, now + timeout_s, TIME_OUT, a, stamp)
    if tried != RETRY and calls[c].hedges < world.edges[e].hedge_rule.most:
        after_s = hedge.hedge_after(world.edges[e].hedge_rule, world.edges[e].latency)
        plan(world, now + after_s, HEDGE_DUE, c, calls[c].stamp)


@compiled
def route_of(world: World, a: int) -> int:
    """Where the caller keeps what it knows of the attempt's instance."""
    e = world.attempts[a].edge
    first = world.services[world.edges[e].callee].first_instance
    return e * world.most_instances + world.attempts[a].instance - first


@compiled
def pick(world: World, e: int, now: float) -> int:
    """The instance for an attempt, among those that outlier detection leaves (all, when it leaves none)."""
    edges = world.edges
    service = world.services[edges[e].callee]
    size = service.instances
    if size == 1:
        return service.first_instance
    start = edges[e].turn % size
    if edges[e].balancing == RANDOM:
        start = min(int(random(world) * size), size - 1)
    best, fewest = -1, 0
    for k in range(size):
        one = (start + k) % size
        if not outlier.available(
            edges[e].outlier_rule, world.routes[e * world.most_instances + one].health, edges[e].ejected, now
        ):
            continue
        load = world.routes[e * world.most_instances + one].in_flight
        if best < 0 or load < fewest:
            best, fewest = one, load
        if edges[e].balancing != LEAST:
            break
    if best < 0:
        best = start
    edges[e].turn = best + 1
    return service.first_instance + best


@compiled
def log_attempt(world: World, a: int, c: int, now: float) -> None:
    """Write the attempt down, while there is room."""
    attempts, place = world.attempts, world.run[0].logged
    attempts[a].log = -1
    if place >= world.log.size:
        return
    world.run[0].logged += 1
    attempts[a].log = place
    line = world.log[place]
    line.request = attempts[a].request
    line.call = world.calls[c].stamp
    line.edge = attempts[a].edge
    line.number = attempts[a].number
    line.tried = attempts[a].tried
    line.instance = attempts[a].instance
    line.outcome = -1
    line.sent_s = now
    line.ended_s = np.nan
    line.begun_s = np.nan
    line.done_s = np.nan


@compiled
def replies(world: World, a: int, now: float) -> None:
    """The answer to an attempt reaches the caller, unless the way is cut."""
    if world.edges[world.attempts[a].edge].cut:
        return
    if world.attempts[a].waited_for:
        end_attempt(world, a, world.attempts[a].outcome, now)


@compiled
def end_attempt(world: World, a: int, outcome: int, now: float) -> None:
    """The caller knows how an attempt ended, and what that means for the call."""
    attempts, calls = world.attempts, world.calls
    c, e = attempts[a].call, attempts[a].edge
    let_go(world, a, outcome, now)
    took_s, failed = now - attempts[a].sent_s, outcome > DEGRADED
    breaker.record(world.edges[e].breaker_rule, world.edges[e].breaker, world.breaker_cells, now, failed, took_s)
    route = world.routes[route_of(world, a)]
    outlier.observe(world.edges[e].outlier_rule, route.health, world.edges[e].ejected, failed, now)
    if outcome <= ERROR and world.edges[e].throttle_rule.kind > 0:
        throttle.accepted(world.edges[e].throttle_rule, world.edges[e].throttle, now)
    if failed:
        what = SHEDDINGS if outcome == SHED else TIMEOUTS if outcome == TIMED_OUT else ERRORS
        count(world, e, REFUSALS if outcome == REFUSED else what, now, 1.0)
        if calls[c].live == 0:
            retry_or_fail(world, c, outcome, now)
        return
    count(world, e, ATTEMPTS_ANSWERED, now, 1.0)
    if world.edges[e].watches_latency:
        percentile.observe(world.edges[e].latency, took_s, percentile.MEMORY)
    end_call(world, c, outcome)


@compiled_apart
def let_go(world: World, a: int, outcome: int, now: float) -> None:
    """The caller waits for the attempt no more; a callee that can be told to stop is told."""
    attempts = world.attempts
    e = attempts[a].edge
    attempts[a].waited_for = False
    world.calls[attempts[a].call].live -= 1
    world.edges[e].in_flight -= 1
    world.routes[route_of(world, a)].in_flight -= 1
    retried = attempts[a].tried != FIRST_TRY
    if outcome == CANCELLED:
        budget.leaves(world.edges[e].budget, retried)
        breaker.give_back(world.edges[e].breaker)
    else:
        budget.ends(world.edges[e].budget_rule, world.edges[e].budget, now, retried, outcome > DEGRADED)
    if attempts[a].log >= 0:
        world.log[attempts[a].log].outcome = outcome
        world.log[attempts[a].log].ended_s = now
    if world.edges[e].cancels and attempts[a].at_callee:
        stop_work(world, a, now)


@compiled
def retry_or_fail(world: World, c: int, outcome: int, now: float) -> None:
    """After the last live attempt of a call has failed: another one after a while, or none."""
    calls = world.calls
    e = calls[c].edge
    if calls[c].attempts >= world.edges[e].attempts:
        end_call(world, c, outcome)
        return
    delay_s = backoff.delay(world.edges[e].backoff_rule, calls[c].attempts, calls[c].backoff_s, random(world))
    in_time = now + delay_s < calls[c].deadline_s
    if in_time and budget.may_retry(world.edges[e].budget_rule, world.edges[e].budget, now):
        calls[c].backoff_s = delay_s
        budget.waits(world.edges[e].budget)
        if delay_s > 0:
            plan(world, now + delay_s, TRY, c, calls[c].stamp)
        else:
            at_once(world, TRY, c, calls[c].stamp)
    else:
        end_call(world, c, outcome)


@compiled
def deadline_due(world: World, c: int, now: float) -> None:
    """The caller gives the call up: attempts that it still waits for count as timed out."""
    a = world.calls[c].newest
    while a >= 0:
        if world.attempts[a].waited_for:
            let_go(world, a, TIMED_OUT, now)
            e = world.attempts[a].edge
            took_s = now - world.attempts[a].sent_s
            breaker.record(world.edges[e].breaker_rule, world.edges[e].breaker, world.breaker_cells, now, YES, took_s)
            count(world, e, TIMEOUTS, now, 1.0)
        a = world.attempts[a].sibling
    end_call(world, c, DEADLINE)


@compiled
def call_over(world: World, c: int, now: float) -> None:
    """A call has ended: its other attempts are cancelled, and whoever made it hears of it."""
    attempts, calls, edges = world.attempts, world.calls, world.edges
    e, outcome = calls[c].edge, calls[c].outcome
    a = calls[c].newest
    while a >= 0:
        following = attempts[a].sibling
        if attempts[a].waited_for:
            let_go(world, a, CANCELLED, now)
        attempts[a].call = -1
        if not attempts[a].at_callee:
            free_attempt(world, a)
        a = following
    if outcome <= DEGRADED:
        count(world, e, ANSWERED if outcome == OK else DEGRADED_CALLS, now, 1.0)
        count(world, e, LATENCY, now, now - calls[c].begun_s)
        if edges[e].cache_keys > 0 and calls[c].attempts > 0:
            edges[e].cached = min(edges[e].cache_keys, edges[e].cached + 1.0)  # the key that was missing
    else:
        count(world, e, FAILED, now, 1.0)
    parent, request = calls[c].parent, calls[c].request
    parent_stamp = calls[c].parent_stamp
    calls[c].stamp = 0
    calls[c].next_free = world.run[0].free_call
    world.run[0].free_call = c
    world.run[0].free_calls += 1
    if parent < 0:
        world.requests[request].done_s = now
        world.requests[request].outcome = outcome
    elif world.attempts[parent].stamp == parent_stamp:
        called(world, parent, e, outcome, now)


@compiled
def tie(world: World, a: int, now: float) -> None:
    """Work on an attempt of a tied pair begins: the other one, still in a queue, is withdrawn."""
    attempts = world.attempts
    one = world.calls[attempts[a].call].newest if attempts[a].call >= 0 else -1
    while one >= 0:
        if one != a and attempts[one].waited_for and attempts[one].place == WAITING:
            let_go(world, one, CANCELLED, now)
            stop_work(world, one, now)
        one = attempts[one].sibling
