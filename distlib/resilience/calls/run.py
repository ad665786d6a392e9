"""From a graph to its run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distlib.core import stopping
from distlib.core.record import fill, in_records
from distlib.core.seeds import Seeds
from distlib.resilience import budget, limits
from distlib.resilience.breaker import CELL, BreakerState, cells_of
from distlib.resilience.calls.engine import FINISHED, MARGIN, NEEDS_ROOM, look, run
from distlib.resilience.calls.params import BALANCING, CLIENTS, Call, Fault, Graph, Service
from distlib.resilience.calls.result import GraphResult
from distlib.resilience.calls.state import (
    ATTEMPT,
    CALL,
    CHANGE,
    CUT,
    DETERMINISTIC,
    DOWN,
    EDGE,
    EDGE_COLUMNS,
    EMPTY_CACHE,
    ERROR_SHARE,
    EVENT,
    EXPONENTIAL,
    INSTANCE,
    LOG,
    PAUSED,
    PENDING,
    REQUEST,
    ROUTE,
    RUN,
    SAMPLED,
    SAMPLES,
    SERVICE,
    SERVICE_COLUMNS,
    SPEED,
    World,
)
from distlib.resilience.hedge import NO_HEDGE, PERCENTILE
from distlib.resilience.outlier import InstanceHealth
from distlib.resilience.percentile import Quantiles
from distlib.resilience.shedding import SheddingState
from distlib.resilience.throttle import ThrottleState
from distlib.resilience.timeout import ADAPTIVE, NO_TIMEOUT
from distlib.sim.workload import Deterministic, Exponential, uniforms

Progress = Callable[[float, float], object]
EVENTS_AT_A_TIME = 2_000_000
"""Events between two looks at whether somebody wants to stop."""
ROOM = 2 * MARGIN
SETS = {
    "down": (DOWN, 0.0), "paused": (PAUSED, 0.0), "slow": (SPEED, 1.0), "errors": (ERROR_SHARE, 0.0),
    "partition": (CUT, 0.0), "cold cache": (EMPTY_CACHE, 0.0),
}  # fmt: skip
"""What each kind of fault sets, and the value when it is over."""


def simulate(graph: Graph, progress: Progress | None = None) -> GraphResult:
    """Run the graph; ``progress(simulated seconds, all of them)`` is called now and then and may raise to stop."""
    stopping.check()
    world = world_of(graph)
    while (reason := run(world, EVENTS_AT_A_TIME)) != FINISHED:
        if reason == NEEDS_ROOM:
            world = grown(world)
        stopping.check()
        if progress is not None:
            progress(float(world.run[0]["now"]), graph.duration_s)
    if world.run[0]["next_slice"] <= world.slices:
        look(world, world.slices - 1)
    edges = world.edge_series.reshape(world.slices, -1, EDGE_COLUMNS)
    services = world.service_series.reshape(world.slices, -1, SERVICE_COLUMNS)
    log = world.log[: world.run[0]["logged"]]
    return GraphResult(graph, world.requests[:-1], edges, services, log, int(world.run[0]["happened"]))


def slices_of(graph: Graph) -> int:
    """Slices of the run, the last of which may be shorter."""
    return max(1, math.ceil(graph.duration_s / graph.slice_s - 1e-9))


def requests_of(graph: Graph) -> NDArray[Any]:
    """Requests from outside: arrivals of the given kind, in a time that runs faster while the load is higher. One at
    infinity, which never comes, is the last."""
    seeds, duration = Seeds(graph.seed), graph.duration_s
    starts, factors = graph.load_factor()
    turns = np.array([*(one for one in starts if one < duration), duration])
    passed = np.concatenate([[0.0], np.cumsum(np.diff(turns) * factors[: turns.size - 1])])
    expected = graph.arrivals.mean_rate_per_s * passed[-1]
    count = int(expected + 10 * math.sqrt(expected) + 20)
    times = graph.arrivals.times(seeds.number("arrival"), count)
    while times[-1] < passed[-1]:  # bursts may come on top of what is expected
        count *= 2
        times = graph.arrivals.times(seeds.number("arrival"), count)
    arrival = np.interp(times[times < passed[-1]], passed, turns)
    requests = np.zeros(arrival.size + 1, REQUEST)
    requests["arrival_s"] = np.append(arrival, np.inf)
    requests["done_s"], requests["outcome"] = np.nan, PENDING
    shares = np.cumsum(graph.priorities)
    requests["priority"] = np.searchsorted(shares, uniforms(seeds.number("priority"), requests.size)).clip(0, 3)
    return requests


def world_of(graph: Graph) -> World:
    """The graph before its first request."""
    slices, seeds, edges = slices_of(graph), Seeds(graph.seed), edges_of(graph)
    services, instances = services_of(graph)
    most_servers = max(one.servers for one in graph.services)
    most_instances = max(one.instances for one in graph.services)
    samples = [
        sampled(one, (seeds.number(f"service {one.name}"), seeds.number(f"kind {one.name}"))) for one in graph.services
    ]
    run = np.zeros(1, RUN)
    run["free_attempts"] = run["free_calls"] = ROOM
    run["next_slice"] = 1
    routes = np.zeros(edges.size * most_instances, ROUTE)
    routes["health"] = in_records([InstanceHealth()])
    return World(
        run=run, requests=requests_of(graph), attempts=chained(ATTEMPT, 0, ROOM), calls=chained(CALL, 0, ROOM),
        edges=edges, routes=routes, services=services, instances=instances,
        slots=np.full(instances.size * most_servers, -1), samples=np.concatenate(samples),
        breaker_cells=np.zeros(sum(cells_needed(graph)) * CELL + 1, np.int64), heap=np.zeros(4 * ROOM, EVENT),
        ring=np.zeros(4 * ROOM, EVENT), changes=changes_of(graph),
        edge_series=np.zeros(slices * edges.size * EDGE_COLUMNS),
        service_series=np.zeros(slices * services.size * SERVICE_COLUMNS), log=np.zeros(graph.log, LOG),
        most_servers=most_servers, most_instances=most_instances, slices=slices, slice_s=graph.slice_s,
        end_s=graph.duration_s, key=np.uint64(seeds.number("calls")),
    )  # fmt: skip


def chained(kind: np.dtype[Any], start: int, room: int) -> NDArray[Any]:
    """Free places, each naming the next one; numbers count from ``start``."""
    places = np.zeros(room, kind)
    places["next_free"] = np.arange(start + 1, start + room + 1)
    return places


def cells_needed(graph: Graph) -> list[int]:
    """Cells of the windows of all breakers."""
    return [cells_of(one.breaker.rule()) if one.breaker else 0 for one in graph.wired()]


def edges_of(graph: Graph) -> NDArray[Any]:
    """The calls, in the order in which the engine knows them."""
    names = [one.name for one in graph.services]
    edges = np.zeros(len(graph.calls), EDGE)
    for row, one in zip(edges, graph.wired(), strict=True):
        row["caller"] = -1 if one.caller == CLIENTS else names.index(one.caller)
        row["callee"] = names.index(one.callee)
        row["latency_s"], row["attempts"], row["bulkhead"] = one.latency_s, one.retry.attempts, one.bulkhead
        row["deadline_s"] = math.inf if one.retry.deadline_s is None else one.retry.deadline_s
        row["balancing"] = BALANCING.index(one.balancing)
        row["propagates"], row["cancels"], row["optional"] = one.propagates, one.cancels, one.optional
        row["cache_keys"], row["cached"] = one.cache_keys, one.cache_keys * one.warm
        give_policies(row, one, graph.service(one.callee).instances)
    edges["breaker"]["first"] = np.cumsum([0, *cells_needed(graph)[:-1]])
    return edges


def give_policies(row: Any, call: Call, instances: int) -> None:
    """The caller's policies, rules and states, where there are any; without one, its rule is 0 and does nothing."""
    fill(row["backoff_rule"], call.retry.backoff.rule())
    fill(row["timeout_rule"], call.timeout.rule() if call.timeout else NO_TIMEOUT)
    fill(row["hedge_rule"], call.hedge.rule() if call.hedge else NO_HEDGE)
    fill(row["latency"], Quantiles())
    fill(row["breaker"], BreakerState())
    fill(row["throttle"], ThrottleState())
    row["watches_latency"] = row["timeout_rule"]["kind"] == ADAPTIVE or row["hedge_rule"]["kind"] == PERCENTILE
    if call.retry.budget:
        fill(row["budget_rule"], call.retry.budget.rule())
        fill(row["budget"], budget.unused(call.retry.budget.rule()))
    if call.breaker:
        fill(row["breaker_rule"], call.breaker.rule())
    if call.rate_limit:
        fill(row["limit_rule"], call.rate_limit.rule())
        fill(row["limit"], limits.unused(call.rate_limit.rule()))
    if call.throttle:
        fill(row["throttle_rule"], call.throttle.rule())
    if call.outlier:
        fill(row["outlier_rule"], call.outlier.rule(instances))


def services_of(graph: Graph) -> tuple[NDArray[Any], NDArray[Any]]:
    """Services and their instances, idle."""
    callers = [one.caller for one in graph.wired()]
    services = np.zeros(len(graph.services), SERVICE)
    instances = np.zeros(sum(one.instances for one in graph.services), INSTANCE)
    instances["speed"], instances["oldest"], instances["newest"] = 1.0, -1, -1
    first = 0
    for number, (row, one) in enumerate(zip(services, graph.services, strict=True)):
        row["first_instance"], row["instances"], row["servers"] = first, one.instances, one.servers
        row["edges"] = callers.count(one.name)
        row["first_edge"] = callers.index(one.name) if one.name in callers else 0
        row["queue_limit"], row["newest_first"] = one.queue_limit, one.newest_first
        row["holds_server"], row["parallel"] = one.holds_server, one.parallel
        row["mean_s"], row["sampling"] = one.service.expected_s, sampling_of(one)
        instances["service"][first : first + one.instances] = number
        for instance in instances[first : first + one.instances]:
            fill(instance["shedding"], SheddingState())
            if one.shedding:
                fill(instance["shedding_rule"], one.shedding.rule())
            if one.concurrency:
                fill(instance["concurrency_rule"], one.concurrency.rule())
                instance["concurrency"]["limit"] = one.concurrency.start
        first += one.instances
    return services, instances


def sampling_of(service: Service) -> int:
    """How the engine draws this service's times."""
    known = {Exponential: EXPONENTIAL, Deterministic: DETERMINISTIC}
    return known.get(type(service.service), SAMPLED)


def sampled(service: Service, keys: tuple[int, int]) -> NDArray[np.float64]:
    """Service times to take in turn, for kinds that the engine does not draw by itself. Their mean is made exact: near
    saturation its sampling error would show in every queue."""
    if sampling_of(service) != SAMPLED:
        return np.zeros(SAMPLES)
    times = service.service.sample(keys, SAMPLES)
    return times * (service.service.expected_s / times.mean())


def changes_of(graph: Graph) -> NDArray[Any]:
    """Faults as changes in order of time, what ends before what begins; the last, at infinity, never happens."""
    rows: list[tuple[float, int, int, int, float]] = [(math.inf, 1, 0, 0, 0.0)]
    for one in graph.faults:
        if one.kind == "load":
            continue
        kind, back = SETS[one.kind]
        value = one.value if one.kind in ("slow", "errors") else 1.0
        for target in targets_of(graph, one):
            rows.append((one.start_s, 1, kind, target, value))
            if one.kind != "cold cache":
                rows.append((one.end_s, 0, kind, target, back))
    rows.sort(key=lambda row: row[:2])
    return np.array([(at, kind, target, value) for at, _, kind, target, value in rows], CHANGE)


def targets_of(graph: Graph, fault: Fault) -> list[int]:
    """The instances or the edge that a fault strikes."""
    if fault.kind in ("partition", "cold cache"):
        return [[one.name for one in graph.wired()].index(fault.where)]
    first = 0
    for one in graph.services:
        if one.name == fault.where:
            break
        first += one.instances
    every = range(first, first + graph.service(fault.where).instances)
    return [*every] if fault.instance < 0 else [every[fault.instance]]


def grown(world: World) -> World:
    """The same world with twice the room for attempts, calls and events."""
    run, old = world.run[0], world.attempts.size
    attempts, calls = (np.concatenate([one, chained(one.dtype, old, old)]) for one in (world.attempts, world.calls))
    for places, head, free in ((attempts, "free_attempt", "free_attempts"), (calls, "free_call", "free_calls")):
        places["next_free"][-1] = run[head]
        run[head] = old
        run[free] += old
    heap, ring = np.zeros(8 * old, EVENT), np.zeros(8 * old, EVENT)
    heap[: world.heap.size] = world.heap
    waiting = np.arange(run["ring_first"], run["ring_last"])
    ring[: waiting.size] = world.ring[waiting % world.ring.size]
    run["ring_first"], run["ring_last"] = 0, waiting.size
    return world._replace(attempts=attempts, calls=calls, heap=heap, ring=ring)
