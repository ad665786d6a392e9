"""The beginning of a call; its attempts are the caller's business (``caller``)."""

from __future__ import annotations

from distlib.core.draw import compiled, compiled_apart
from distlib.resilience.calls.heap import at_once, plan
from distlib.resilience.calls.state import (
    CALL_OVER,
    CALLS,
    DEADLINE,
    DEADLINE_DUE,
    OK,
    TRY,
    World,
    count,
    new_stamp,
    random,
)


@compiled_apart
def begin_call(
    world: World, edge: int, parent: int, request: int, priority: int, now: float, deadline_s: float
) -> None:
    """Begin a call over ``edge`` for the attempt ``parent`` (-1: for a client outside), or find the answer cached."""
    calls, edges = world.calls, world.edges
    c = world.run[0].free_call
    world.run[0].free_call = calls[c].next_free
    world.run[0].free_calls -= 1
    stamp = new_stamp(world)
    calls[c].edge = edge
    calls[c].parent = parent
    calls[c].parent_stamp = world.attempts[parent].stamp if parent >= 0 else 0
    calls[c].request = request
    calls[c].priority = priority
    calls[c].stamp = stamp
    calls[c].attempts = 0
    calls[c].hedges = 0
    calls[c].live = 0
    calls[c].newest = -1
    calls[c].over = False
    calls[c].backoff_s = 0.0
    calls[c].begun_s = now
    calls[c].deadline_s = min(deadline_s, now + edges[edge].deadline_s)
    count(world, edge, CALLS, now, 1.0)
    if edges[edge].cache_keys > 0 and random(world) * edges[edge].cache_keys < edges[edge].cached:
        end_call(world, c, OK)
    elif calls[c].deadline_s <= now:
        end_call(world, c, DEADLINE)
    else:
        plan(world, calls[c].deadline_s, DEADLINE_DUE, c, stamp)
        at_once(world, TRY, c, stamp)


@compiled
def end_call(world: World, c: int, outcome: int) -> None:
    """The call is over with this outcome."""
    if not world.calls[c].over:
        world.calls[c].over = True
        world.calls[c].outcome = outcome
        at_once(world, CALL_OVER, c, world.calls[c].stamp)
