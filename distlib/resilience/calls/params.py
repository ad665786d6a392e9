"""What a graph of services is given: services, the calls between them with their policies, faults, and the clients.

graph = Graph(
    services=(Service("web", servers=10), Service("shop", service=Exponential(0.02))),
    calls=(Call(CLIENTS, "web", timeout=Timeout(timeout_s=1.0)), Call("web", "shop", retry=Retry(attempts=3))),
    faults=(Fault("slow", "shop", start_s=10, end_s=20, value=0.1),),
)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from distlib.core import require
from distlib.core.parameter import Parameters, parameter
from distlib.resilience.breaker import CircuitBreaker
from distlib.resilience.concurrency import ConcurrencyLimit
from distlib.resilience.hedge import Hedge
from distlib.resilience.limits import RateLimit
from distlib.resilience.outlier import OutlierDetection
from distlib.resilience.retry import Retry
from distlib.resilience.shedding import Shedding
from distlib.resilience.throttle import Throttle
from distlib.resilience.timeout import Timeout
from distlib.sim.workload import Arrivals, Exponential, Poisson, ServiceTimes

CLIENTS = "clients"
"""The caller outside the graph."""
BALANCING = ("round robin", "random", "least request")
FAULTS = {
    "down": "refuses every call, and loses what it holds",
    "paused": "accepts calls and does nothing",
    "slow": "works at `value` times its speed",
    "errors": "answers a share `value` of its calls with an error",
    "partition": "loses every message between `where` = 'caller → callee'",
    "cold cache": "empties the cache before `where` = 'caller → callee' at the start",
    "load": "`value` times as many requests from outside",
}
"""What can happen, and what it does."""
ARROW = " → "


@dataclass(frozen=True)
class Service(Parameters):
    """A service: alike instances, each with its own queue, and what they do with a request.

    Own work comes first, then the calls that the graph gives to this service; the answer goes back when all of them
    have ended. With ``holds_server`` a request keeps its server (a thread) while it waits for those it called.
    """

    name: str = parameter("service", "name", help="unique in the graph")
    instances: int = parameter(1, "instances", low=1, high=1000, help="alike, behind the callers' balancing")
    servers: int = parameter(1, "servers", low=1, high=1000, help="requests that an instance works on at a time")
    service: ServiceTimes = field(default_factory=lambda: Exponential(0.01))
    queue_limit: int = parameter(-1, "queue limit", low=-1, high=10**9,
        help="requests that may wait at an instance; further ones are rejected; -1: no limit")  # fmt: skip
    newest_first: bool = parameter(False, "newest first", help="last come, first served")
    holds_server: bool = parameter(False, "holds its server", help="while it waits for those it calls")
    parallel: bool = parameter(False, "calls all at once", help="instead of one after the other")
    concurrency: ConcurrencyLimit | None = None
    shedding: Shedding | None = None


@dataclass(frozen=True)
class Call(Parameters):
    """An edge of the graph: who calls whom, and the caller's policies.

    ``propagates`` passes the deadline of an attempt on to the callee, which then drops the request when the deadline
    is over by the time a server is free. ``cancels`` tells the callee to stop as soon as nobody waits any more. With
    ``optional`` a failed call is made up for (a fallback), and the caller's answer is a degraded one. ``cache_keys``
    puts a cache of so many equally popular keys before the call; a key is in it once a call for it has succeeded.
    """

    caller: str = parameter(CLIENTS, "caller", help="a service, or the clients outside")
    callee: str = parameter("service", "callee", help="a service")
    latency_s: float = parameter(0.0, "latency", unit="s", low=0.0, high=1e4, help="one way")
    timeout: Timeout | None = None
    retry: Retry = field(default_factory=lambda: Retry(attempts=1))
    hedge: Hedge | None = None
    breaker: CircuitBreaker | None = None
    throttle: Throttle | None = None
    rate_limit: RateLimit | None = None
    outlier: OutlierDetection | None = None
    bulkhead: int = parameter(0, "bulkhead", low=0, high=10**6, help="attempts that may be in flight at once; 0: any")
    balancing: str = parameter("round robin", "balancing", choices=BALANCING, help="which instance is next")
    propagates: bool = parameter(False, "propagates the deadline", help="callees drop what is too late")
    cancels: bool = parameter(False, "cancels", help="callees stop when nobody waits any more")
    optional: bool = parameter(False, "optional", help="a fallback stands in when the call fails")
    cache_keys: int = parameter(0, "cache keys", low=0, high=10**7, help="keys of the cache before it; 0: none")
    warm: bool = parameter(True, "warm cache", help="whether the cache is full at the start")

    @property
    def name(self) -> str:
        """``caller → callee``."""
        return f"{self.caller}{ARROW}{self.callee}"


@dataclass(frozen=True)
class Fault(Parameters):
    """Something that goes wrong for a while; ``where`` names a service, or a call as ``caller → callee``."""

    kind: str = parameter("down", "fault", choices=tuple(FAULTS), help="what happens")
    where: str = parameter("service", "where", help="a service, or a call")
    start_s: float = parameter(0.0, "start", unit="s", low=0.0, high=1e7, help="when it begins")
    end_s: float = parameter(10.0, "end", unit="s", low=0.0, high=1e7, help="when it is over")
    value: float = parameter(0.0, "value", low=0.0, high=1e6, help="speed, share of errors, or factor of the load")
    instance: int = parameter(-1, "instance", low=-1, high=999, help="which one it strikes; -1: all of them")

    def check(self) -> None:
        if self.end_s <= self.start_s:
            raise ValueError(f"Fault.end_s is {self.end_s!r}; it must come after start_s = {self.start_s!r}")
        if self.kind == "errors" and self.value > 1:
            raise ValueError(f"Fault.value is {self.value!r}; a share of errors is a number from 0 to 1")
        if self.kind in ("slow", "load") and self.value == 0:
            raise ValueError(f"Fault.value is 0; a fault of kind {self.kind!r} takes a factor above 0")


@dataclass(frozen=True)
class Graph(Parameters):
    """One run: services, calls, faults, and requests from outside for ``duration_s``."""

    services: tuple[Service, ...] = (Service(),)
    calls: tuple[Call, ...] = (Call(),)
    arrivals: Arrivals = field(default_factory=lambda: Poisson(80.0))
    faults: tuple[Fault, ...] = ()
    priorities: tuple[float, ...] = field(default=(0.0, 0.0, 1.0, 0.0))
    duration_s: float = parameter(60.0, "duration", unit="s", low=1e-3, high=1e7, scale="log",
        help="length of the run")  # fmt: skip
    slice_s: float = parameter(1.0, "slice", unit="s", low=1e-4, high=1e7, scale="log",
        help="counts are kept for every slice of this length")  # fmt: skip
    log: int = parameter(0, "logged attempts", low=0, high=10**7, help="attempts that are kept one by one")
    seed: int = parameter(1, "seed", low=0, high=2**63 - 1, help="same seed, same run")

    def check(self) -> None:
        """Names are known and unique, calls go one way without a circle, faults strike what is there."""
        names = require.names("Graph.services", tuple(one.name for one in self.services))
        require.names("Graph.calls", tuple(one.name for one in self.calls))
        if CLIENTS in names:
            raise ValueError(f"a service is called {CLIENTS!r}, which is the name of the callers outside")
        for one in self.calls:
            require.choice(f"the caller of {one.name!r}", one.caller, (CLIENTS, *names))
            require.choice(f"the callee of {one.name!r}", one.callee, names)
        entries = [one.name for one in self.calls if one.caller == CLIENTS]
        if len(entries) != 1:
            raise ValueError(f"{len(entries)} calls come from {CLIENTS!r}; a graph has one entry")
        self._check_order()
        if len(self.priorities) != 4 or abs(sum(self.priorities) - 1) > 1e-9 or min(self.priorities) < 0:
            raise ValueError(f"Graph.priorities is {self.priorities!r}; it takes four shares that add up to 1")
        self._check_faults(names)
        slices, requests = self.duration_s / self.slice_s, self.arrivals.mean_rate_per_s * self.duration_s
        if slices > 1e6 or requests > 1e8:
            raise ValueError(
                f"{slices:,.0f} slices and about {requests:,.0f} requests are too many; "
                "at most 1,000,000 and 100,000,000"
            )

    def _check_faults(self, names: tuple[str, ...]) -> None:
        calls = tuple(one.name for one in self.calls)
        for one in self.faults:
            if one.kind != "load":
                known = calls if one.kind in ("partition", "cold cache") else names
                require.choice(f"Fault.where of {one.kind!r}", one.where, known)
            if one.instance >= 0 and one.where in names:
                instances = self.service(one.where).instances
                if one.instance >= instances:
                    raise ValueError(
                        f"Fault.instance is {one.instance}; {one.where!r} has instances 0 to {instances - 1}"
                    )

    def service(self, name: str) -> Service:
        """The service of this name."""
        return next(one for one in self.services if one.name == name)

    def entry(self) -> Call:
        """The call by which requests come from outside."""
        return next(one for one in self.calls if one.caller == CLIENTS)

    def wired(self) -> tuple[Call, ...]:
        """The calls in the order of their callers: from the clients, then service by service."""
        callers = [CLIENTS, *(one.name for one in self.services)]
        return tuple(sorted(self.calls, key=lambda one: callers.index(one.caller)))

    def _check_order(self) -> None:
        left = {one.name: {call.caller for call in self.calls if call.callee == one.name} for one in self.services}
        known = {CLIENTS}
        while left:
            free = {name for name, callers in left.items() if callers <= known}
            if not free:
                raise ValueError(f"the calls go round in a circle through {', '.join(left)}; calls go one way")
            known |= free
            left = {name: callers for name, callers in left.items() if name not in free}

    def load_factor(self) -> tuple[list[float], list[float]]:
        """Times at which the rate of requests changes, and the factor from each on."""
        surges = [one for one in self.faults if one.kind == "load"]
        times = sorted({0.0, *(one.start_s for one in surges), *(one.end_s for one in surges)})
        return times, [math.prod(one.value for one in surges if one.start_s <= at < one.end_s) for at in times]
