"""The state of a run as arrays, and what the engine counts."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from distlib.core.draw import compiled, uniform
from distlib.core.record import record_dtype
from distlib.resilience.backoff import BackoffRule
from distlib.resilience.breaker import BreakerRule, BreakerState
from distlib.resilience.budget import BudgetRule, BudgetState
from distlib.resilience.concurrency import ConcurrencyRule, ConcurrencyState
from distlib.resilience.hedge import HedgeRule
from distlib.resilience.limits import LimitRule, LimitState
from distlib.resilience.outlier import Ejected, InstanceHealth, OutlierRule
from distlib.resilience.percentile import Quantiles
from distlib.resilience.shedding import SheddingRule, SheddingState
from distlib.resilience.throttle import ThrottleRule, ThrottleState
from distlib.resilience.timeout import TimeoutRule


def codes(count: int) -> list[int]:
    """0, 1, 2, … as numpy's numbers: for every ``int`` of Python numba would compile a function once more."""
    return [*np.arange(count)]


# Outcomes of attempts, calls and requests.
OK, DEGRADED, ERROR, REFUSED, SHED, TIMED_OUT, LIMITED, DEADLINE, PENDING, CANCELLED = codes(10)
OUTCOMES = (
    "ok", "degraded", "error", "refused", "shed", "timed out", "not sent", "gave up", "pending", "cancelled",
)  # fmt: skip
"""``refused``: the instance is down; ``shed``: it has too much to do; ``not sent``: a policy of the caller said no;
``gave up``: the call's deadline is over; ``cancelled``: another attempt was faster."""
FIRST_TRY, RETRY, HEDGE = codes(3)
TRIES = ("first try", "retry", "hedge")

# Where an attempt is, as its callee sees it.
UNDER_WAY, WAITING, SERVED, CALLING, GONE = codes(5)

# What happens.
ARRIVES, WORK_DONE, REPLIES, TIME_OUT, TRY, HEDGE_DUE, DEADLINE_DUE, CALL_OVER, CALL_NEXT, TAKE_NEXT, TIE = codes(11)


def records(*fields: tuple[str, Any]) -> np.dtype[Any]:
    """A record type: ``i`` is a whole number, ``f`` a number, ``b`` a flag; a policy's rule or state is its class."""
    kinds = {"i": np.int64, "f": np.float64, "b": np.bool_}
    items: list[Any] = []
    for names, kind in fields:
        of = kinds[kind] if isinstance(kind, str) else record_dtype(kind)
        items += [(name, of) for name in names.split()]
    return np.dtype(items, align=True)


REQUEST = records(("arrival_s done_s", "f"), ("outcome priority attempts", "i"))
"""A request from outside and what becomes of it; ``attempts`` over the whole graph."""
ATTEMPT = records(
    ("call request edge instance place stamp work_stamp number tried priority ahead behind slot pending", "i"),
    ("next_edge outcome log sibling crashes next_free", "i"), ("waited_for at_callee", "b"),
    ("sent_s arrived_s begun_s since_s rest_s worked_s deadline_s", "f"),
)  # fmt: skip
"""An attempt: what its caller knows of it (``waited_for``: it still wants the answer), and what its callee does."""
CALL = records(
    ("edge parent parent_stamp request stamp attempts hedges live newest outcome priority next_free", "i"),
    ("over", "b"), ("begun_s deadline_s backoff_s", "f"),
)  # fmt: skip
"""A call: all attempts of one request of a caller."""
EDGE = records(
    ("caller callee attempts bulkhead balancing in_flight turn", "i"), ("latency_s deadline_s cache_keys cached", "f"),
    ("propagates cancels optional cut watches_latency", "b"),
    ("backoff_rule", BackoffRule), ("timeout_rule", TimeoutRule), ("hedge_rule", HedgeRule), ("latency", Quantiles),
    ("budget_rule", BudgetRule), ("budget", BudgetState), ("breaker_rule", BreakerRule), ("breaker", BreakerState),
    ("limit_rule", LimitRule), ("limit", LimitState), ("throttle_rule", ThrottleRule), ("throttle", ThrottleState),
    ("outlier_rule", OutlierRule), ("ejected", Ejected),
)  # fmt: skip
"""A call of the graph, with the caller's policies: rules and states."""
ROUTE = records(("in_flight", "i"), ("health", InstanceHealth))
"""What the caller of an edge knows of one instance."""
SERVICE = records(
    ("first_instance instances servers first_edge edges queue_limit sampling drawn", "i"), ("mean_s", "f"),
    ("newest_first holds_server parallel", "b"),
)  # fmt: skip
INSTANCE = records(
    ("service busy waiting oldest newest crashes", "i"), ("speed error_share", "f"), ("paused down", "b"),
    ("concurrency_rule", ConcurrencyRule), ("concurrency", ConcurrencyState), ("shedding_rule", SheddingRule),
    ("shedding", SheddingState),
)  # fmt: skip
RUN = records(
    ("stamps draws happened logged next_request next_change next_slice", "i"),
    ("free_attempt free_attempts free_call free_calls events planned ring_first ring_last", "i"), ("now", "f"),
)  # fmt: skip
"""The run: what has been given out and counted, the heads of the lists of free places, the ends of heap and ring."""
EVENT = records(("time", "f"), ("order what number stamp", "i"))
EXPONENTIAL, DETERMINISTIC, SAMPLED = codes(3)

EDGE_COUNTS = (
    "calls", "answered", "degraded", "failed", "first tries", "retries", "hedges", "attempts answered", "errors",
    "refused", "shed", "timed out", "not sent", "late answers", "latency",
)  # fmt: skip
"""What is counted for every edge and slice; ``latency`` is the sum over answered calls, s."""
(
    CALLS, ANSWERED, DEGRADED_CALLS, FAILED, FIRST_TRIES, RETRIES, HEDGES, ATTEMPTS_ANSWERED, ERRORS, REFUSALS,
    SHEDDINGS, TIMEOUTS, NOT_SENT, LATE_ANSWERS, LATENCY,
) = codes(len(EDGE_COUNTS))  # fmt: skip
EDGE_SAMPLES = ("in flight", "breaker", "cached", "timeout")
EDGE_COUNTED = len(EDGE_COUNTS)
EDGE_COLUMNS = EDGE_COUNTED + len(EDGE_SAMPLES)
SERVICE_COUNTS = ("arrived", "useful work", "wasted work", "useful", "wasted", "expired")
"""What is counted for every service and slice: requests that arrive; seconds of work, and requests worked on, whose
caller still waited or no longer waited at the end; requests dropped unserved because nobody waited any more."""
ARRIVED, USEFUL_WORK, WASTED_WORK, USEFUL, WASTED, EXPIRED = codes(len(SERVICE_COUNTS))
SERVICE_SAMPLES = ("waiting", "busy", "limit")
SERVICE_COUNTED = len(SERVICE_COUNTS)
SERVICE_COLUMNS = SERVICE_COUNTED + len(SERVICE_SAMPLES)

LOG = records(
    ("request call edge number tried instance outcome", "i"), ("sent_s ended_s begun_s done_s", "f")
)  # fmt: skip
CHANGE = records(("at_s", "f"), ("kind target", "i"), ("value", "f"))
DOWN, PAUSED, SPEED, ERROR_SHARE, CUT, EMPTY_CACHE = codes(6)
"""What a change of ``World.changes`` sets; the target is an instance or an edge."""
SAMPLES = 1 << 16
NO_STAMP = ENTRY = codes(1)[0]
OUTSIDE: Any = np.int64(-1)
YES: Any = np.bool_(True)


class World(NamedTuple):
    """Everything that a run is made of: arrays of records, few enough to be handed around."""

    run: NDArray[Any]  # one record
    requests: NDArray[Any]
    attempts: NDArray[Any]
    calls: NDArray[Any]
    edges: NDArray[Any]
    routes: NDArray[Any]  # (edges * most instances)
    services: NDArray[Any]
    instances: NDArray[Any]
    slots: NDArray[np.int64]  # (instances * most servers) the attempt that each busy server works on
    samples: NDArray[np.float64]  # (services * SAMPLES) service times, where they are drawn beforehand
    breaker_cells: NDArray[np.int64]  # the windows of all breakers
    heap: NDArray[Any]
    ring: NDArray[Any]
    changes: NDArray[Any]
    edge_series: NDArray[np.float64]  # (slices * edges * EDGE_COLUMNS)
    service_series: NDArray[np.float64]  # (slices * services * SERVICE_COLUMNS)
    log: NDArray[Any]
    most_servers: int
    most_instances: int
    slices: int
    slice_s: float
    end_s: float
    key: np.uint64


@compiled
def random(world: World) -> float:
    """The next number of the run's stream, between 0 and 1."""
    world.run[0].draws += 1
    return uniform(world.key, world.run[0].draws)


@compiled
def new_stamp(world: World) -> int:
    """A stamp that nothing had before."""
    world.run[0].stamps += 1
    return world.run[0].stamps


@compiled
def take_attempt(world: World) -> int:
    """A free place for an attempt."""
    a = world.run[0].free_attempt
    world.run[0].free_attempt = world.attempts[a].next_free
    world.run[0].free_attempts -= 1
    return a


@compiled
def free_attempt(world: World, a: int) -> None:
    """Nobody needs the attempt any more: its place may be taken again, and events that name it are void."""
    world.attempts[a].stamp = 0
    world.attempts[a].work_stamp = 0
    world.attempts[a].next_free = world.run[0].free_attempt
    world.run[0].free_attempt = a
    world.run[0].free_attempts += 1


@compiled
def slice_of(world: World, now: float) -> int:
    """The slice that ``now`` belongs to."""
    return min(int(now / world.slice_s), world.slices - 1)


@compiled
def count(world: World, edge: int, what: int, now: float, amount: float) -> None:
    """Add to what is counted for an edge."""
    world.edge_series[(slice_of(world, now) * world.edges.size + edge) * EDGE_COLUMNS + what] += amount


@compiled
def count_service(world: World, service: int, what: int, now: float, amount: float) -> None:
    """Add to what is counted for a service."""
    place = (slice_of(world, now) * world.services.size + service) * SERVICE_COLUMNS + what
    world.service_series[place] += amount
