"""The events to come: a binary heap for those in the future, and a ring for those that happen at once.

Events of one instant happen in the order in which they were planned. An event names a thing by its number and the
``stamp`` which that thing had then: whoever cancels gives the thing another stamp, and the event is skipped.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distlib.core.draw import compiled, compiled_apart
from distlib.resilience.calls.state import World


@compiled
def at_once(world: World, what: int, number: int, stamp: int) -> None:
    """Plan an event for this very instant, behind all others of this instant."""
    run = world.run[0]
    one = world.ring[run.ring_last % world.ring.size]
    one.what = what
    one.number = number
    one.stamp = stamp
    run.ring_last += 1


@compiled
def plan(world: World, time: float, what: int, number: int, stamp: int) -> None:
    """Plan an event for later; one that never comes (at infinity) is dropped."""
    if time < np.inf:
        push(world.heap, world.run, time, what, number, stamp)


@compiled_apart
def push(heap: NDArray[Any], run: NDArray[Any], time: float, what: int, number: int, stamp: int) -> None:
    """Put an event into the heap."""
    hole = run[0].events
    run[0].events += 1
    run[0].planned += 1
    while hole > 0:
        above = (hole - 1) >> 1
        if heap[above].time <= time:
            break
        move(heap, above, hole)
        hole = above
    one = heap[hole]
    one.time = time
    one.order = run[0].planned
    one.what = what
    one.number = number
    one.stamp = stamp


@compiled
def move(heap: NDArray[Any], source: int, target: int) -> None:
    """Copy an entry of the heap."""
    there, here = heap[target], heap[source]
    there.time = here.time
    there.order = here.order
    there.what = here.what
    there.number = here.number
    there.stamp = here.stamp


@compiled
def earlier(heap: NDArray[Any], one: int, other: int) -> bool:
    """Whether entry ``one`` of the heap comes before entry ``other``."""
    if heap[one].time != heap[other].time:
        return heap[one].time < heap[other].time
    return heap[one].order < heap[other].order


@compiled_apart
def drop_first(heap: NDArray[Any], run: NDArray[Any]) -> None:
    """Take the earliest event off the heap."""
    run[0].events -= 1
    last, hole = run[0].events, 0
    while True:
        below = 2 * hole + 1
        if below >= last:
            break
        if below + 1 < last and earlier(heap, below + 1, below):
            below += 1
        if earlier(heap, last, below):
            break
        move(heap, below, hole)
        hole = below
    move(heap, last, hole)
