"""A service behind load balancers: clients send requests, balancers choose, backends serve.

    result = simulate(ServiceParams(policy=LeastRequest(2), arrivals=Poisson(90.0), backends=Backends(100)))
    result.mean_s, result.percentile_s(99)

Arrivals, service times, clients and the assignment of requests to balancers depend on the seed and the request's
number alone (*common random numbers*), so two runs that differ in the policy differ in nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from distlib.balancing.policies import (
    AFFINITY,
    CENTRAL,
    IDLE_QUEUE,
    LEAST_REQUEST,
    OWN,
    RESPONSE_TIME,
    Policy,
    RoundRobin,
    Subset,
)
from distlib.core.parameter import Parameters, parameter
from distlib.core.seeds import Seeds
from distlib.sim.service.balancer import choice_keys
from distlib.sim.service.balancer_state import BalancerState, PolicyConstants, new_balancer_state, set_available
from distlib.sim.service.events import Ejection, Outages, ServiceState, run_events
from distlib.sim.service.recurrence import RequestOutcomes, Stations, run_any, run_central, run_least_request
from distlib.sim.service.result import ServiceResult
from distlib.sim.workload import Arrivals, Exponential, Floats, Poisson, ServiceTimes, uniforms

DISCIPLINES = ("fifo", "lifo", "sharing")


@dataclass(frozen=True)
class Outage(Parameters):
    """A backend is down for a while: what it holds fails, and what reaches it fails at once (connection refused)."""

    backend: int = parameter(0, "backend", low=0, high=100_000, help="which one, counted from 0")
    start_s: float = parameter(0.0, "start", unit="s", low=0.0, high=1e12, help="when it crashes")
    end_s: float = parameter(60.0, "end", unit="s", low=0.0, high=1e12, help="when it is back")

    def check(self) -> None:
        """An outage ends after it began."""
        if self.end_s <= self.start_s:
            raise ValueError(f"Outage.end_s is {self.end_s!r}; it must come after start_s = {self.start_s!r}")


@dataclass(frozen=True)
class OutlierEjection(Parameters):
    """A balancer stops using a backend that failed several times in a row (defaults: Envoy's outlier detection)."""

    consecutive_failures: int = parameter(5, "failures in a row", low=1, high=1000, help="as many eject the backend")
    base_s: float = parameter(
        30.0, "ejection time", unit="s", low=0.001, high=1e6, scale="log", help="times the number of ejections so far"
    )
    longest_s: float = parameter(
        300.0, "longest ejection", unit="s", low=0.001, high=1e6, scale="log", help="upper limit"
    )
    max_share: float = parameter(
        0.1, "ejected at most", low=0.0, high=1.0, help="share of the backends; one may always be ejected"
    )


@dataclass(frozen=True)
class Backends(Parameters):
    """The backends: how many, and how each of them serves."""

    count: int = parameter(10, "backends", low=1, high=10_000, scale="log", help="machines behind the balancer")
    servers: int = parameter(
        1, "servers per backend", low=1, high=1000, help="requests that one backend serves at a time"
    )
    discipline: str = parameter(
        "fifo",
        "discipline",
        choices=DISCIPLINES,
        help="first come first served, last come first served, processor sharing",
    )
    queue_limit: int = parameter(
        -1,
        "queue limit",
        low=-1,
        high=10**9,
        help="requests that may wait at one backend; further ones are rejected; -1: no limit",
    )
    slow_start_s: float = parameter(
        0.0,
        "slow start",
        unit="s",
        low=0.0,
        high=1e6,
        help="time after a return in which the speed rises to the full one",
    )
    cold_speed: float = parameter(
        0.1, "cold speed", low=0.001, high=1.0, help="speed right after a return, share of the full one"
    )
    speeds: tuple[float, ...] = field(
        default=(),
        metadata={"help": "work done a second by each backend; empty: 1 for all; given short, the rest have 1"},
    )
    outages: tuple[Outage, ...] = field(default=(), metadata={"help": "when which backend is down"})

    def check(self) -> None:
        """Speeds are positive and belong to backends; outages too, and those of one backend do not overlap."""
        if len(self.speeds) > self.count:
            raise ValueError(f"Backends.speeds has {len(self.speeds)} values for {self.count} backends")
        for backend, speed in enumerate(self.speeds):
            if not (math.isfinite(speed) and speed > 0):
                raise ValueError(f"Backends.speeds[{backend}] is {speed!r}; it takes a positive number (1 is normal)")
        free_from: dict[int, float] = {}
        for outage in sorted(self.outages, key=lambda one: one.start_s):
            if outage.backend >= self.count:
                raise ValueError(f"an outage names backend {outage.backend}; there are backends 0 to {self.count - 1}")
            if outage.start_s < free_from.get(outage.backend, 0.0):
                raise ValueError(f"two outages of backend {outage.backend} overlap at {outage.start_s:g} s; merge them")
            free_from[outage.backend] = outage.end_s

    @property
    def speed(self) -> Floats:
        """One speed a backend."""
        return np.array(self.speeds + (1.0,) * (self.count - len(self.speeds)), np.float64)

    @property
    def capacity(self) -> float:
        """Work that all servers together do in a second."""
        return float(self.speed.sum() * self.servers)


@dataclass(frozen=True)
class ServiceParams(Parameters):
    """One run of the service."""

    policy: Policy = field(default_factory=RoundRobin)
    arrivals: Arrivals = field(default_factory=lambda: Poisson(9.0))
    service: ServiceTimes = field(default_factory=Exponential)
    backends: Backends = field(default_factory=Backends)
    ejection: OutlierEjection | None = None
    balancers: int = parameter(1, "balancers", low=1, high=1000, help="each knows its own traffic only")
    clients: int = parameter(
        1000, "clients", low=1, high=1_000_000, scale="log", help="different keys, for key affinity"
    )
    popularity: float = parameter(
        0.0, "popularity", low=0.0, high=5.0, help="Zipf exponent of the clients' activity; 0: all alike"
    )
    information_delay_s: float = parameter(
        0.0, "information delay", unit="s", low=0.0, high=1e6, help="time until a balancer hears of an answer"
    )
    refresh_interval_s: float = parameter(
        0.0,
        "refresh interval",
        unit="s",
        low=0.0,
        high=1e6,
        help="loads are read from a board that is refreshed so often; 0: live",
    )
    requests: int = parameter(100_000, "requests", low=1, high=10**9, scale="log", help="length of the run")
    seed: int = parameter(1, "seed", low=0, high=2**63 - 1, help="same seed, same run")
    allow_unstable: bool = parameter(
        False,
        "allow unstable",
        help="simulate even when more work arrives than can be done; the queue then grows for ever",
    )

    @property
    def load(self) -> float:
        """ρ: work that arrives in a second over the work that all servers can do."""
        return self.arrivals.mean_rate_per_s * self.service.expected_s / self.backends.capacity

    def busiest(self) -> float:
        """Highest utilisation of a backend where the policy fixes the shares in advance, else ρ."""
        share = self.policy.share(self.backends.count, self.clients, self.client_popularity())
        if share is None:
            return self.load
        work = self.arrivals.mean_rate_per_s * self.service.expected_s
        return float((share * work / (self.backends.speed * self.backends.servers)).max())

    def client_popularity(self) -> Floats:
        """Share of requests of each client; sums to 1."""
        weights = np.arange(1, self.clients + 1, dtype=np.float64) ** -self.popularity
        return weights / weights.sum()

    def unstable(self) -> str:
        """Why queues would grow for ever, or an empty string."""
        if self.backends.queue_limit >= 0:
            return ""
        if self.load >= 1:
            return (
                f"load is {self.load:.4g}: {self.arrivals.mean_rate_per_s:g} requests/s of "
                f"{self.service.expected_s:g} s each for servers that do {self.backends.capacity:g} s of work "
                "a second, so the queue grows for ever"
            )
        if (busiest := self.busiest()) >= 1:
            return (
                f"the busiest backend has load {busiest:.4g} under {self.policy.label} (all together {self.load:.4g}), "
                "so its queue grows for ever"
            )
        return ""

    def check(self) -> None:
        """Combinations that have no meaning, and unstable systems unless they are asked for."""
        self.policy.backend_weights(self.backends.count)
        if isinstance(self.policy, Subset):
            self.policy.members(0, self.backends.count)
        special = self.backends.outages or self.ejection or self.backends.slow_start_s
        if self.policy.kind == CENTRAL and special:
            raise ValueError(
                "a central queue is a yardstick without a balancer; give it no outages, ejection or slow start"
            )
        if self.policy.kind == CENTRAL and self.backends.discipline == "sharing" and len(set(self.backends.speed)) > 1:
            raise ValueError("a central queue with processor sharing needs backends of equal speed")
        if self.policy.kind == OWN:
            self._check_own_policy(bool(special))
        if not self.allow_unstable and (reason := self.unstable()):
            raise ValueError(f"{reason}; lower the rate, add backends, set a queue limit, or pass allow_unstable=True")

    def _check_own_policy(self, special: bool) -> None:
        if special or self.backends.discipline != "fifo" or self.information_delay_s or self.refresh_interval_s:
            raise ValueError(
                f"{type(self.policy).__name__} runs step by step, which knows first come first served only: "
                "no outages, ejection, slow start, information delay or refresh interval"
            )


def simulate(params: ServiceParams) -> ServiceResult:
    """Run the service and return what became of every request.

    A first-come-first-served service takes the event-free engine (tens of millions of requests a second); other
    disciplines, outages and slow starts take the event-driven one; a policy of the reader's own runs in plain Python.
    """
    if params.policy.kind == OWN:
        from distlib.sim.service.steps import simulate_step_by_step

        return simulate_step_by_step(params)
    if params.backends.discipline == "fifo" and not params.backends.outages:
        return run_recurrence(params)
    return run_event_driven(params)


@dataclass(frozen=True)
class Workload:
    """The random input of a run; the same for every policy."""

    arrival_s: Floats
    service_s: Floats
    sender: NDArray[np.int32]  # balancer of each request; one entry when there is one balancer
    client: NDArray[np.int32]  # client of each request; one entry when keys do not matter


def workload(params: ServiceParams) -> Workload:
    """Arrivals, service times, balancers and clients of all requests."""
    seeds, count = Seeds(params.seed), params.requests
    sender = client = np.zeros(1, np.int32)
    if params.balancers > 1:
        sender = (uniforms(seeds.number("balancer"), count) * params.balancers).astype(np.int32)
    if params.policy.kind in (AFFINITY, OWN) and params.clients > 1:
        cumulative = np.cumsum(params.client_popularity())
        drawn = np.searchsorted(cumulative, uniforms(seeds.number("client"), count))
        client = np.minimum(drawn, params.clients - 1).astype(np.int32)
    return Workload(
        params.arrivals.times(seeds.number("arrival"), count),
        params.service.sample((seeds.number("service"), seeds.number("kind of service")), count),
        sender,
        client,
    )


def start_knowledge(params: ServiceParams, load: Workload, *, ordered: bool) -> BalancerState:
    """What the balancers know before the first request."""
    count, central = params.backends.count, params.policy.kind == CENTRAL
    stations = 1 if central else count
    known = new_balancer_state(
        stations,
        balancers=params.balancers,
        keys=choice_keys(params.seed, 0, params.balancers),
        token_key=Seeds(params.seed).number("idle queue"),
        weights=np.ones(1) if central else params.policy.backend_weights(count),
        preference=None if central else params.policy.preference(count, params.clients),
        servers=params.backends.servers * count if central else params.backends.servers,
        arrival=load.arrival_s,
        sender=load.sender,
        ordered=ordered,
    )
    if isinstance(params.policy, Subset):
        for me in range(params.balancers):
            for backend in set(range(count)) - set(params.policy.members(me, count).tolist()):
                set_available(known, me, backend, False)
    return known


def server_layout(params: ServiceParams) -> tuple[NDArray[np.int32], int]:
    """Backend of every server, shape (stations, servers), and the waiting room of a station (-1: no limit)."""
    count, servers, limit = params.backends.count, params.backends.servers, params.backends.queue_limit
    backend = np.repeat(np.arange(count, dtype=np.int32), servers)
    if params.policy.kind == CENTRAL:
        return backend.reshape(1, -1), limit * count if limit >= 0 else -1
    return backend.reshape(count, servers), limit


def run_recurrence(params: ServiceParams) -> ServiceResult:
    """The event-free engine."""
    load = workload(params)
    machine, waiting_room = server_layout(params)
    kind = params.policy.kind
    track = waiting_room >= 0 or kind == IDLE_QUEUE or params.policy.needs_load
    known = start_knowledge(params, load, ordered=machine.shape[1] == 1 or not track)
    stations = Stations(np.zeros(machine.shape), machine, params.backends.speed, waiting_room)
    outcome = new_outcome(params.requests)
    rule = rule_of(params)
    if kind == CENTRAL and not track:
        run_central(known, stations, load.service_s, outcome)
    elif kind in (LEAST_REQUEST, RESPONSE_TIME):
        run_least_request(rule, known, stations, load.service_s, outcome)
    else:
        run_any(rule, known, stations, load.service_s, load.client, outcome, track)
    return result_of(params, load, known, outcome)


def run_event_driven(params: ServiceParams) -> ServiceResult:
    """The event-driven engine; with first come first served and no outages it repeats the other one exactly."""
    load = workload(params)
    machine, waiting_room = server_layout(params)
    known = start_knowledge(params, load, ordered=True)
    outcome = new_outcome(params.requests)
    world = new_world(params, machine, waiting_room)
    run_events(
        rule_of(params),
        known,
        world,
        outage_schedule(params.backends.outages),
        new_ejection(params),
        load.service_s,
        load.client,
        outcome,
    )
    return result_of(params, load, known, outcome)


def rule_of(params: ServiceParams) -> PolicyConstants:
    """The policy's constants, and how old its information is; a policy that looks at no load has no use for a board."""
    refresh_s = params.refresh_interval_s if params.policy.needs_load else 0.0
    rule = params.policy.rule(params.information_delay_s, refresh_s)
    return rule._replace(ejects=params.ejection is not None)


def new_outcome(requests: int) -> RequestOutcomes:
    """Room for the answers."""
    return RequestOutcomes(np.empty(requests), np.empty(requests, np.int32))


def new_world(params: ServiceParams, machine: NDArray[np.int32], waiting_room: int) -> ServiceState:
    """Idle stations, all up and warm."""
    stations, jobs = machine.shape[0], params.requests
    return ServiceState(
        discipline=DISCIPLINES.index(params.backends.discipline),
        waiting_room=waiting_room,
        slow_start_s=params.backends.slow_start_s,
        cold_speed=params.backends.cold_speed,
        speed=params.backends.speed,
        up=np.ones(stations, np.bool_),
        up_since=np.full(stations, -np.inf),
        machine=machine,
        serving=np.full(machine.shape, -1, np.int32),
        done_at=np.full(machine.shape, np.inf),
        idle_since=np.zeros(machine.shape),
        due=np.full(stations, np.inf),
        first=np.full(stations, -1, np.int32),
        last=np.full(stations, -1, np.int32),
        listed=np.zeros(stations, np.int64),
        behind=np.empty(jobs, np.int32),
        finish=np.empty(jobs),
        virtual=np.zeros(stations),
        virtual_at=np.zeros(stations),
    )


def outage_schedule(outages: tuple[Outage, ...]) -> Outages:
    """Crashes and returns in order of time, a return before a crash at the same instant."""
    changes = [(one.start_s, one.backend, False) for one in outages] + [
        (one.end_s, one.backend, True) for one in outages
    ]
    changes.sort(key=lambda change: (change[0], not change[2]))
    changes.append((math.inf, 0, True))
    at, station, up = zip(*changes, strict=True)
    return Outages(np.array(at), np.array(station, np.int64), np.array(up, np.bool_))


def new_ejection(params: ServiceParams) -> Ejection:
    """Nobody ejected yet."""
    shape = (params.balancers, params.backends.count)
    until, times = np.full(shape, np.inf), np.zeros(shape, np.int64)
    if params.ejection is None:
        return Ejection(0, 0.0, 0.0, 0, until, times)
    one = params.ejection
    at_most = max(1, math.floor(one.max_share * params.backends.count))
    return Ejection(one.consecutive_failures, one.base_s, one.longest_s, at_most, until, times)


def result_of(params: ServiceParams, load: Workload, known: BalancerState, outcome: RequestOutcomes) -> ServiceResult:
    """The run as arrays in order of arrival."""
    return ServiceResult(
        params=params,
        arrival_s=load.arrival_s,
        service_s=load.service_s,
        start_s=outcome.start,
        departure_s=known.departure[: params.requests],
        backend=outcome.backend,
        status=known.status,
        unstable=params.unstable(),
        central=params.policy.kind == CENTRAL,
        backends=params.backends.count,
        warm_up=0.1,
    )


def compare(params: ServiceParams, policies: tuple[Policy, ...]) -> dict[str, ServiceResult]:
    """The same workload under several policies, by label.

    Raises ``ValueError`` for two policies with one label.
    """
    labels = [policy.label for policy in policies]
    if len(set(labels)) < len(labels):
        raise ValueError(f"two policies have the same label: {', '.join(labels)}")
    values: dict[str, Any] = {item.name: getattr(params, item.name) for item in fields(params) if item.init}
    return {policy.label: simulate(ServiceParams(**{**values, "policy": policy})) for policy in policies}
