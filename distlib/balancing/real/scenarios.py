"""Chapter 03.3, the real check: the same requests simulated, and measured against real HTTP servers on loopback.

``real_balancing(RealBalancingParams(policies=("random", "two choices"), load=0.8)).percentiles``: every request arrives
at the same time and brings the same work in the simulation and in reality. What differs is real: sockets, proxies,
timers, and a machine that does other things too.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from distlib.balancing.real.experiment import Measurement, Workers, measure, percentiles_ms
from distlib.balancing.real.production_proxy import PROGRAMS, CannotMeasureError, ProductionProxy, find
from distlib.balancing.real.proxy import ProxyThread
from distlib.balancing.scenarios import LOAD_HELP, POLICIES, SERVICES, backends_of, service_times
from distlib.core.parameter import Parameters, parameter
from distlib.sim.service.params import Backends, ServiceParams, at_load, workload
from distlib.sim.service.policy import Policy
from distlib.sim.service.result import ServiceResult
from distlib.sim.service.service import simulate
from distlib.sim.workload import Floats, ServiceTimes

OWN = ProxyThread.name
FRONTS = (OWN, *PROGRAMS)
SIMULATED = "simulated"
MEASURABLE = tuple(name for name in POLICIES if name != "central queue")
PERCENTS = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)
OTHER_SEEDS = 40
HIGHEST_RATE_PER_S = 1500.0
LATE_MS = 5.0
"""A generator that is later than this with one request in a hundred had to share the processor with too much else."""

ProgressCallback = Callable[[float, float], object]


@dataclass(frozen=True)
class Stalled(ServiceTimes):
    """``inner``, but one request takes ``stall_s`` longer: a garbage collection, a lock, a disk that fills up."""

    inner: ServiceTimes = field(default_factory=ServiceTimes)
    request: int = 0
    stall_s: float = 0.0

    def sample(self, keys: tuple[int, int], count: int) -> Floats:
        times = self.inner.sample(keys, count)
        times[self.request] += self.stall_s
        return times

    @property
    def cv2(self) -> float:
        return self.inner.cv2

    @property
    def expected_s(self) -> float:
        """Of ``inner``; one request in a run changes no long-run mean."""
        return self.inner.expected_s


@dataclass(frozen=True)
class RealBalancingParams(Parameters):
    """One experiment; it takes ``duration_s`` real seconds for each policy and each proxy."""

    policies: tuple[str, ...] = parameter(("random", "round robin", "two choices", "least request"), "policies",
        choices=MEASURABLE, several=True, at_least=1, help="the same code as in the simulator")  # fmt: skip
    through: tuple[str, ...] = parameter((OWN,), "through", choices=FRONTS, several=True, at_least=1,
        help="which proxies to measure")  # fmt: skip
    workers: int = parameter(4, "workers", low=1, high=16, help="HTTP servers, one request at a time each")
    load: float = parameter(0.8, "load ρ", low=0.05, high=1.3, step=0.05, help=LOAD_HELP)
    service: str = parameter("exponential", "service times", choices=SERVICES, help="how different the requests are")
    mean_ms: float = parameter(20.0, "mean service time", unit="ms", low=2.0, high=500.0, scale="log",
        floor="shortest_ms", help="long, beside the millisecond that proxy and sockets cost")  # fmt: skip
    cv2: float = parameter(4.0, "c²", low=1.0, high=50.0, scale="log", help="of hyperexponential and log-normal")
    slow_speed: float = parameter(1.0, "speed of worker 0", low=0.1, high=1.0, step=0.05,
        help="the others have speed 1")  # fmt: skip
    stall_ms: float = parameter(0.0, "stall", unit="ms", low=0.0, high=5000.0, step=100.0,
        help="extra time of one request mid-run")  # fmt: skip
    connections: int = parameter(256, "connections", low=1, high=256, scale="log",
        help="that the load generator may open")  # fmt: skip
    duration_s: float = parameter(4.0, "duration", unit="s", low=0.5, high=60.0, step=0.5,
        help="real time, per policy and proxy")  # fmt: skip
    seed: int = parameter(4, "seed", low=0, high=2**31 - 1, help="same seed, same requests")

    @property
    def backends(self) -> Backends:
        """The workers, as the simulator names them."""
        return backends_of(self.workers, self.slow_speed)

    @property
    def shortest_ms(self) -> float:
        """The shortest mean service time at which one does not measure the proxy, in tenths of a ms."""
        return math.ceil(self.load * self.backends.capacity / HIGHEST_RATE_PER_S * 1e4) / 10

    @property
    def rate_per_s(self) -> float:
        """Requests a second."""
        return self.load * self.backends.capacity / (self.mean_ms / 1e3)

    @property
    def requests(self) -> int:
        """Requests of one run."""
        return max(10, round(self.rate_per_s * self.duration_s))

    def check(self) -> None:
        if self.rate_per_s > HIGHEST_RATE_PER_S:
            raise ValueError(
                f"load {self.load:g} on {self.workers} workers of {self.mean_ms:g} ms makes {self.rate_per_s:,.0f} "
                f"requests/s; beyond {HIGHEST_RATE_PER_S:,.0f} one would measure the proxy: raise mean_ms, or lower "
                "workers or load"
            )

    def warnings(self) -> list[str]:
        """What will surprise."""
        found = []
        if self.load >= 1:
            found.append("more work arrives than can be done, so queues grow until the run ends")
        if self.requests < 500:
            found.append(
                f"only {self.requests} requests a run: the 99th percentile rests on {math.ceil(self.requests / 100)}"
            )
        return found

    def service_params(self, policy: Policy, seed: int | None = None) -> ServiceParams:
        """The same experiment for the simulator."""
        service = dataclasses.replace(service_times(self.service, self.cv2), mean_s=self.mean_ms / 1e3)
        if self.stall_ms:
            service = Stalled(inner=service, request=self.requests // 2, stall_s=self.stall_ms / 1e3)
        return at_load(
            self.load, service, self.backends, policy=policy, requests=self.requests,
            seed=self.seed if seed is None else seed, allow_unstable=True,  # a run is finite, an overload worth seeing
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Run:
    """One policy through one proxy: measured, or the reason why not."""

    name: str
    policy: Policy
    through: str
    measured: Measurement | None
    why_not: str = ""


def measure_policy(
    params: RealBalancingParams, policy: Policy, through: str = OWN, progress: ProgressCallback = lambda *_: None
) -> Measurement:
    """Start workers and proxy, send the requests of ``params``, end everything. ``progress(done, total)`` may raise to
    stop. Raises ``CannotMeasureError`` where the proxy is a program that is not there or cannot balance like that."""
    run = params.service_params(policy)
    with ExitStack() as stack:
        workers = stack.enter_context(Workers(tuple(run.backends.speed), run.backends.servers))
        front: ProxyThread | ProductionProxy
        if through == OWN:
            front = ProxyThread(policy, workers.ports, seed=run.seed, clients=run.clients)
        else:
            front = ProductionProxy(through, policy, workers.ports)
        stack.enter_context(front)
        return measure(workload(run), front.port, connections=params.connections, progress=progress)


def runs(
    params: RealBalancingParams, own: Mapping[str, Policy] | None = None, progress: ProgressCallback = lambda *_: None
) -> Iterator[Run]:
    """One run after the other, so that a reader who stops keeps those that are done. ``own`` adds policies of the
    reader's by name. Raises ``ValueError`` for a name that is taken."""
    own = own or {}
    if taken := set(own) & set(params.policies):
        raise ValueError(f"there is a policy {min(taken)!r} already; give your own another name")
    policies = {name: POLICIES[name] for name in params.policies} | dict(own)
    total = len(policies) * len(params.through) * params.requests
    for number, (through, name) in enumerate(product(params.through, policies)):

        def tell(done: float, _: float, before: int = number * params.requests) -> None:
            progress(before + done, total)

        try:
            if through != OWN:
                find(through)
            yield Run(name, policies[name], through, measure_policy(params, policies[name], through, tell))
        except CannotMeasureError as reason:
            yield Run(name, policies[name], through, None, str(reason))


def real_balancing(
    params: RealBalancingParams = RealBalancingParams(),
    own: Mapping[str, Policy] | None = None,
    progress: ProgressCallback = lambda *_: None,
) -> RealBalancing:
    """Measure and simulate, see ``runs``; takes ``duration_s`` and about a second for every policy and proxy.
    ``progress(done, total)`` is called about ten times a second and may raise to stop; nothing keeps running then."""
    return RealBalancing(params, tuple(runs(params, own, progress)))


@dataclass(frozen=True, eq=False)
class RealBalancing:
    """What was measured, and the same simulated."""

    params: RealBalancingParams
    runs: tuple[Run, ...] = field(repr=False)

    @property
    def measured(self) -> dict[tuple[str, str], Measurement]:
        """By (policy, proxy)."""
        return {(run.name, run.through): run.measured for run in self.runs if run.measured is not None}

    @property
    def not_measured(self) -> dict[str, str]:
        """Reason by proxy, or by proxy and policy where it is about that policy."""
        return {
            (run.through if "not installed" in run.why_not else f"{run.through}, {run.name}"): run.why_not
            for run in self.runs
            if run.why_not
        }

    @property
    def policies(self) -> dict[str, Policy]:
        """The policies that were run, by name."""
        return {run.name: run.policy for run in self.runs}

    @cached_property
    def simulated(self) -> dict[str, ServiceResult]:
        """By policy."""
        return {name: simulate(self.params.service_params(one)) for name, one in self.policies.items()}

    @cached_property
    def percentiles(self) -> pd.DataFrame:
        """Columns policy, source (simulated, or the proxy), percent, response_ms (from the intended time),
        since_sent_ms (from the actual sending, as a tool with coordinated omission would; NaN when simulated)."""
        runs = [(policy, SIMULATED, one.observed_s, np.zeros(0)) for policy, one in self.simulated.items()]
        runs += [(*names, one.response_s, one.since_sent_s) for names, one in self.measured.items()]
        rows = [
            (policy, source, *row)
            for policy, source, *both in runs
            for row in zip(PERCENTS, *(percentiles_ms(one, PERCENTS) for one in both), strict=True)
        ]
        return pd.DataFrame(rows, columns=["policy", "source", "percent", "response_ms", "since_sent_ms"])

    @cached_property
    def chance(self) -> pd.DataFrame:
        """Columns policy, percent, low_ms, high_ms: 5 % to 95 % of simulations with other random numbers, to see how
        much a percentile of so few requests is worth."""
        rows = []
        for policy, one in self.policies.items():
            others = range(self.params.seed + 1, self.params.seed + 1 + OTHER_SEEDS)
            many = [simulate(self.params.service_params(one, seed)).observed_s * 1e3 for seed in others]
            for percent in PERCENTS:
                low, high = np.percentile([np.percentile(one, percent) for one in many], (5, 95))
                rows.append((policy, percent, float(low), float(high)))
        return pd.DataFrame(rows, columns=["policy", "percent", "low_ms", "high_ms"])

    @cached_property
    def counts(self) -> pd.DataFrame:
        """Columns policy, source, backend, requests."""
        every: dict[tuple[str, str], Any] = {(policy, SIMULATED): one.backend for policy, one in self.simulated.items()}
        every |= {names: one.backend[one.backend >= 0] for names, one in self.measured.items()}
        rows = [
            (policy, source, backend, requests)
            for (policy, source), chosen in every.items()
            for backend, requests in enumerate(np.bincount(chosen, minlength=self.params.workers))
        ]
        return pd.DataFrame(rows, columns=["policy", "source", "backend", "requests"])

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row a run: median and 99th percentile measured and simulated (ms), and what explains the difference."""
        rows = []
        for (policy, through), one in self.measured.items():
            p50, p99 = percentiles_ms(one.response_s, (50, 99))
            simulated_p50, simulated_p99 = percentiles_ms(self.simulated[policy].observed_s, (50, 99))
            row = {
                "policy": policy, "through": through, "requests": one.requests, "lost": one.lost,
                "p50_ms": p50, "simulated_p50_ms": simulated_p50, "p99_ms": p99, "simulated_p99_ms": simulated_p99,
                "overhead_p50_ms": percentiles_ms(one.overhead_s, (50,))[0],
                "late_p99_ms": percentiles_ms(one.late_s, (99,))[0],
            }  # fmt: skip
            rows.append(row)
        return pd.DataFrame(rows)

    def verdicts(self) -> list[tuple[str, bool | None, str]]:
        """What must hold in every run, with a witness where it does not; None where nothing could be measured."""
        claims = {"every request got exactly one answer": _unanswered,
                  f"99 % of the requests left within {LATE_MS:g} ms of their time": _late}  # fmt: skip
        found: list[tuple[str, bool | None, str]] = []
        for claim, fault in claims.items():
            said = {f"{policy} through {through}": fault(one) for (policy, through), one in self.measured.items()}
            holds = not any(said.values()) if said else None
            found.append((claim, holds, "; ".join(f"{run}: {why}" for run, why in said.items() if why)))
        return found + [(f"measured through {name}", None, why) for name, why in self.not_measured.items()]


def _unanswered(one: Measurement) -> str:
    wrong = int((one.answers != 1).sum()) or one.lost
    return f"{wrong} of {one.requests} did not" if wrong else ""


def _late(one: Measurement) -> str:
    late_ms = percentiles_ms(one.late_s, (99,))[0]
    busy = "the machine is busy, or the connections were all taken"
    return f"one in a hundred left {late_ms:.0f} ms late or more ({busy})" if late_ms > LATE_MS else ""
