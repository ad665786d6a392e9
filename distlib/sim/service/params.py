"""What a service is given: backends, outages, ejection, who balances; and the random input that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from distlib.core import require
from distlib.core.parameter import Parameters, parameter
from distlib.core.seeds import Seeds
from distlib.sim.service.policy import CentralQueue, Policy
from distlib.sim.workload import Arrivals, Exponential, Floats, Poisson, ServiceTimes, Workload, uniforms

SPEEDS = 1e-6, 1e6  # the range of a backend's speed
DISCIPLINES = ("fifo", "lifo", "sharing")


@dataclass(frozen=True)
class Outage(Parameters):
    """A backend is down for a while: what it holds fails, and what reaches it fails at once (connection refused)."""

    backend: int = parameter(0, "backend", low=0, high=100_000, help="which one, counted from 0")
    start_s: float = parameter(0.0, "start", unit="s", low=0.0, high=1e12, help="when it crashes")
    end_s: float = parameter(60.0, "end", unit="s", low=0.0, high=1e12, help="when it is back")

    def check(self) -> None:
        if self.end_s <= self.start_s:
            raise ValueError(f"Outage.end_s is {self.end_s!r}; it must come after start_s = {self.start_s!r}")


@dataclass(frozen=True)
class OutlierEjection(Parameters):
    """A balancer stops using a backend that failed several times in a row (defaults: Envoy's outlier detection)."""

    consecutive_failures: int = parameter(5, "failures in a row", low=1, high=1000, help="as many eject the backend")
    base_s: float = parameter(30.0, "ejection time", unit="s", low=0.001, high=1e6, scale="log",
        help="times the number of ejections so far")  # fmt: skip
    longest_s: float = parameter(300.0, "longest ejection", unit="s", low=0.001, high=1e6, scale="log",
        help="upper limit")  # fmt: skip
    max_share: float = parameter(0.1, "ejected at most", low=0.0, high=1.0,
        help="share of the backends; one may always be ejected")  # fmt: skip


@dataclass(frozen=True)
class Backends(Parameters):
    """The backends: how many, and how each of them serves."""

    count: int = parameter(10, "backends", low=1, high=10_000, scale="log", help="machines behind the balancer")
    servers: int = parameter(1, "servers per backend", low=1, high=1000,
        help="requests that one backend serves at a time")  # fmt: skip
    discipline: str = parameter("fifo", "discipline", choices=DISCIPLINES,
        help="first come first served, last come first served, processor sharing")  # fmt: skip
    queue_limit: int = parameter(-1, "queue limit", low=-1, high=10**9,
        help="requests that may wait at one backend; further ones are rejected; -1: no limit")  # fmt: skip
    slow_start_s: float = parameter(0.0, "slow start", unit="s", low=0.0, high=1e6,
        help="time after a return in which the speed rises to the full one")  # fmt: skip
    cold_speed: float = parameter(0.1, "cold speed", low=0.001, high=1.0,
        help="speed right after a return, share of the full one")  # fmt: skip
    speeds: tuple[float, ...] = field(default=(), metadata={
        "help": "work done a second by each backend; empty: 1 for all; given short, the rest have 1"})  # fmt: skip
    outages: tuple[Outage, ...] = field(default=(), metadata={"help": "when which backend is down"})

    def check(self) -> None:
        """Speeds are in range and belong to backends; outages too, and those of one backend do not overlap."""
        if len(self.speeds) > self.count:
            raise ValueError(f"Backends.speeds has {len(self.speeds)} values for {self.count} backends")
        for backend, speed in enumerate(self.speeds):
            require.number(f"Backends.speeds[{backend}]", speed, *SPEEDS)
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

    policy: Policy = field(default_factory=CentralQueue)
    arrivals: Arrivals = field(default_factory=lambda: Poisson(9.0))
    service: ServiceTimes = field(default_factory=Exponential)
    backends: Backends = field(default_factory=Backends)
    ejection: OutlierEjection | None = None
    balancers: int = parameter(1, "balancers", low=1, high=1000, help="each knows its own traffic only")
    clients: int = parameter(1000, "clients", low=1, high=1_000_000, scale="log",
        help="different keys, for key affinity")  # fmt: skip
    popularity: float = parameter(0.0, "popularity", low=0.0, high=5.0,
        help="Zipf exponent of the clients' activity; 0: all alike")  # fmt: skip
    information_delay_s: float = parameter(0.0, "information delay", unit="s", low=0.0, high=1e6,
        help="time until a balancer hears of an answer")  # fmt: skip
    refresh_interval_s: float = parameter(0.0, "refresh interval", unit="s", low=0.0, high=1e6,
        help="loads are read from a board that is refreshed so often; 0: live")  # fmt: skip
    requests: int = parameter(100_000, "requests", low=1, high=10**9, scale="log", help="length of the run")
    seed: int = parameter(1, "seed", low=0, high=2**63 - 1, help="same seed, same run")
    allow_unstable: bool = parameter(False, "allow unstable",
        help="simulate even when more work arrives than can be done; the queue then grows for ever")  # fmt: skip

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
        policy, backends = self.policy, self.backends
        policy.backend_weights(backends.count)
        policy.members(0, backends.count)
        special = bool(backends.outages or self.ejection or backends.slow_start_s)
        if policy.central and special:
            raise ValueError(
                "a central queue is a yardstick without a balancer; give it no outages, ejection or slow start"
            )
        if policy.central and backends.discipline == "sharing" and len(set(backends.speed)) > 1:
            raise ValueError("a central queue with processor sharing needs backends of equal speed")
        late = self.information_delay_s or self.refresh_interval_s
        if policy.compiled is None and (special or late or backends.discipline != "fifo"):
            raise ValueError(
                f"{type(policy).__name__} runs step by step, which knows first come first served only: "
                "no outages, ejection, slow start, information delay or refresh interval"
            )
        if not self.allow_unstable and (reason := self.unstable()):
            raise ValueError(f"{reason}; lower the rate, add backends, set a queue limit, or pass allow_unstable=True")


def at_load(load: float, service: ServiceTimes, backends: Backends, **more: Any) -> ServiceParams:
    """A Poisson stream that gives ``load`` = ρ on these backends; ``more`` are further fields of ``ServiceParams``."""
    require.number("load", load)
    require.instance("service", service, ServiceTimes, "a ServiceTimes, such as Exponential()")
    require.instance("backends", backends, Backends, "a Backends, such as Backends(10)")
    rate_per_s = load * backends.capacity / service.expected_s
    return ServiceParams(arrivals=Poisson(rate_per_s), service=service, backends=backends, **more)


def workload(params: ServiceParams) -> Workload:
    """Arrivals, service times, balancers and clients of all requests."""
    seeds, count = Seeds(params.seed), params.requests
    sender = client = np.zeros(1, np.int32)
    if params.balancers > 1:
        sender = (uniforms(seeds.number("balancer"), count) * params.balancers).astype(np.int32)
    if params.policy.needs_client and params.clients > 1:
        cumulative = np.cumsum(params.client_popularity())
        drawn = np.searchsorted(cumulative, uniforms(seeds.number("client"), count))
        client = np.minimum(drawn, params.clients - 1).astype(np.int32)
    return Workload(
        params.arrivals.times(seeds.number("arrival"), count),
        params.service.sample((seeds.number("service"), seeds.number("kind of service")), count),
        sender,
        client,
    )
