"""Chapter 03.3, load balancing: frozen parameters in, data frames out.

Every scenario is one call, for example ``policy_comparison(ComparisonParams(load=0.8)).summary``. All policies of one
scenario meet the same arrivals and the same service times. Times are in units of the mean service time (``mean_s`` is
1 s by default), loads are ρ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from distlib.balancing import theory as choice_theory
from distlib.balancing.policies import JoinIdleQueue, KeyAffinity, LeastRequest, LeastResponseTime, Random, RoundRobin
from distlib.core.parameter import Parameters, parameter
from distlib.sim.service.params import Backends, ServiceParams
from distlib.sim.service.policy import CentralQueue, Policy
from distlib.sim.service.result import ServiceResult
from distlib.sim.service.service import simulate
from distlib.sim.workload import Deterministic, Exponential, Hyperexponential, LogNormal, Pareto, Poisson, ServiceTimes
from distlib.theory import queueing

POLICIES: dict[str, Policy] = {
    "random": Random(),
    "round robin": RoundRobin(),
    "two choices": LeastRequest(2),
    "three choices": LeastRequest(3),
    "least request": LeastRequest(),
    "join idle queue": JoinIdleQueue(),
    "least response time": LeastResponseTime(),
    "key affinity": KeyAffinity("ring"),
    "key affinity, bounded": KeyAffinity("ring", bound=1.25),
    "central queue": CentralQueue(),
}
FIVE = ("random", "round robin", "two choices", "least request", "central queue")
SERVICES = ("deterministic", "exponential", "hyperexponential", "log-normal", "pareto")
LOADS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)


def service_times(name: str, cv2: float = 4.0) -> ServiceTimes:
    """Service times of mean 1 by name; ``cv2`` is c² of the hyperexponential and the log-normal."""
    if name == "hyperexponential":
        return Hyperexponential(variability=cv2)
    if name == "log-normal":
        return LogNormal(variability=cv2)
    plain: dict[str, ServiceTimes] = {
        "deterministic": Deterministic(),
        "exponential": Exponential(),
        "pareto": Pareto(),
    }
    if name not in plain:
        raise ValueError(f"service is {name!r}; choose one of {', '.join(map(repr, SERVICES))}")
    return plain[name]


def service_of_cv2(cv2: float) -> ServiceTimes:
    """Service times of mean 1 with this c²: constant, log-normal below 1, exponential, hyperexponential above."""
    if cv2 == 0:
        return Deterministic()
    if cv2 == 1:
        return Exponential()
    return LogNormal(variability=cv2) if cv2 < 1 else Hyperexponential(variability=cv2)


def theory_s(policy: Policy, backends: int, load: float, service: ServiceTimes) -> float:
    """Mean response that theory gives for FIFO backends of speed 1, or NaN where there is no closed form.

    For d choices it is the limit of many backends, which a finite number always exceeds.
    """
    if not 0 <= load < 1 or not math.isfinite(service.cv2):
        return math.nan
    unit = service.expected_s
    memoryless, constant = isinstance(service, Exponential), isinstance(service, Deterministic)
    if backends == 1 or isinstance(policy, Random):
        return queueing.mg1_response(load, service.cv2, unit)
    if constant and isinstance(policy, (RoundRobin, CentralQueue)):
        return queueing.mdc_response(backends, load, unit)
    if not memoryless:
        return math.nan
    if isinstance(policy, RoundRobin):
        return queueing.round_robin_response(backends, load, unit)
    if isinstance(policy, CentralQueue):
        return queueing.mmc_response(backends, load, unit)
    if isinstance(policy, LeastRequest) and policy.choices == 0 and backends == 2:
        return choice_theory.shorter_of_two_response(load, unit)
    if isinstance(policy, LeastRequest) and policy.choices >= 1:
        return choice_theory.supermarket_response(load, policy.choices, unit)
    return math.nan


def service_params(
    policy: Policy,
    load: float,
    backends: Backends,
    service: ServiceTimes,
    requests: int,
    seed: int,
    unstable: bool = False,
) -> ServiceParams:
    """A Poisson stream that gives ``load`` = ρ on these backends."""
    rate = load * backends.capacity / service.expected_s
    return ServiceParams(
        policy=policy,
        arrivals=Poisson(rate),
        service=service,
        backends=backends,
        requests=requests,
        seed=seed,
        allow_unstable=unstable,
    )


@dataclass(frozen=True)
class ComparisonParams(Parameters):
    """Several policies at one load."""

    load: float = parameter(
        0.9, "load ρ", low=0.01, high=1.5, step=0.01, help="work that arrives over work that can be done"
    )
    backends: int = parameter(10, "backends", low=1, high=200, help="machines behind the balancer, one server each")
    service: str = parameter("exponential", "service times", choices=SERVICES, help="how different the requests are")
    cv2: float = parameter(
        4.0,
        "c²",
        low=1.0,
        high=50.0,
        scale="log",
        help="squared coefficient of variation of hyperexponential and log-normal",
    )
    slow_speed: float = parameter(
        1.0, "speed of backend 0", low=0.05, high=1.0, step=0.05, help="the others have speed 1"
    )
    policies: tuple[str, ...] = parameter(
        FIVE, "policies", choices=tuple(POLICIES), several=True, at_least=1, help="who takes part"
    )
    requests: int = parameter(40_000, "requests", low=1000, high=5_000_000, scale="log", help="per policy")
    allow_unstable: bool = parameter(
        False, "allow unstable", help="also show queues that grow for ever, marked as such"
    )
    seed: int = parameter(1, "seed", low=0, high=2**31 - 1, help="same seed, same arrivals and service times")


@dataclass(frozen=True, eq=False)
class Comparison:
    """Results by policy name, and the same as tables for a figure.

    ``summary`` has one row a policy (``ServiceResult.summary``, and ``theory_s``, NaN where there is none);
    ``ccdf`` the columns policy, response_s, tail; ``counts`` the columns policy, backend, requests.
    """

    results: dict[str, ServiceResult] = field(repr=False)
    summary: pd.DataFrame
    ccdf: pd.DataFrame = field(repr=False)
    counts: pd.DataFrame = field(repr=False)


def policy_comparison(params: ComparisonParams = ComparisonParams()) -> Comparison:
    """The same requests under every policy.

    Raises ``ValueError`` when a policy would be unstable, unless ``allow_unstable`` is set.
    """
    service = service_times(params.service, params.cv2)
    backends = Backends(params.backends, speeds=(params.slow_speed,) if params.slow_speed != 1 else ())
    results = {}
    for name in params.policies:
        run = service_params(
            POLICIES[name], params.load, backends, service, params.requests, params.seed, params.allow_unstable
        )
        results[name] = simulate(run)
    rows, tails, counts = [], [], []
    for name, result in results.items():
        even = params.slow_speed == 1
        expected = theory_s(POLICIES[name], params.backends, params.load, service) if even else math.nan
        rows.append(result.summary().assign(policy=name, theory_s=expected))
        time_s, tail = result.ccdf()
        tails.append(pd.DataFrame({"policy": name, "response_s": time_s, "tail": tail}))
        counts.append(pd.DataFrame({"policy": name, "backend": range(params.backends), "requests": result.counts}))
    return Comparison(
        results,
        pd.concat(rows, ignore_index=True),
        pd.concat(tails, ignore_index=True),
        pd.concat(counts, ignore_index=True),
    )


@dataclass(frozen=True)
class LoadCurveParams(Parameters):
    """Mean response against load, for several policies."""

    loads: tuple[float, ...] = field(default=LOADS, metadata={"help": "loads ρ, each at least 0.01 and below 1"})
    backends: int = parameter(10, "backends", low=1, high=200, help="machines behind the balancer, one server each")
    service: str = parameter("exponential", "service times", choices=SERVICES, help="how different the requests are")
    cv2: float = parameter(4.0, "c²", low=1.0, high=50.0, scale="log", help="of hyperexponential and log-normal")
    policies: tuple[str, ...] = parameter(FIVE, "policies", choices=tuple(POLICIES), several=True, at_least=1)
    requests: int = parameter(40_000, "requests", low=1000, high=50_000_000, scale="log", help="per point")
    seed: int = parameter(1, "seed", low=0, high=2**31 - 1, help="same seed, same arrivals and service times")

    def check(self) -> None:
        """Loads within the stable range."""
        check_loads(self.loads)


def check_loads(loads: tuple[float, ...]) -> None:
    """``ValueError`` unless there are loads, each from .01 to below 1."""
    if not loads:
        raise ValueError("loads is empty; give at least one load, for example (0.5, 0.9)")
    for load in loads:
        if not 0.01 <= load < 1:
            raise ValueError(
                f"loads holds {load!r}; each takes a number from 0.01 to below 1, where queues stay finite"
            )


def load_curve(params: LoadCurveParams = LoadCurveParams()) -> pd.DataFrame:
    """Columns policy, load, mean_s, low_s, high_s (95 % confidence by batch means), p99_s, theory_s."""
    service, backends = service_times(params.service, params.cv2), Backends(params.backends)
    rows = []
    for name in params.policies:
        policy = POLICIES[name]
        for load in params.loads:
            result = simulate(service_params(policy, load, backends, service, params.requests, params.seed))
            rows.append(
                {
                    "policy": name,
                    "load": load,
                    **estimate_columns(result),
                    "p99_s": result.percentile_s(99),
                    "theory_s": theory_s(policy, params.backends, load, service),
                }
            )
    return pd.DataFrame(rows)


def estimate_columns(result: ServiceResult) -> dict[str, float]:
    """Mean response, and its 95 % confidence interval."""
    low, high = result.response.interval()
    return {"mean_s": result.mean_s, "low_s": low, "high_s": high}


def theory_curve(
    name: str, backends: int, service: str = "exponential", cv2: float = 4.0, points: int = 100
) -> pd.DataFrame:
    """Columns load and theory_s on a fine grid of loads up to .99, to draw through the simulated points."""
    loads = np.linspace(0.01, 0.99, points)
    times = service_times(service, cv2)
    return pd.DataFrame({"load": loads, "theory_s": [theory_s(POLICIES[name], backends, x, times) for x in loads]})


@dataclass(frozen=True)
class HeatMapParams(Parameters):
    """Policy × service variability × load."""

    policies: tuple[str, ...] = parameter(FIVE[:-1], "policies", choices=tuple(POLICIES), several=True, at_least=1)
    cv2s: tuple[float, ...] = field(
        default=(0.0, 0.5, 1.0, 4.0, 10.0), metadata={"help": "c² of the service times; 0 is constant"}
    )
    loads: tuple[float, ...] = field(default=(0.5, 0.7, 0.8, 0.9, 0.95), metadata={"help": "loads ρ below 1"})
    backends: int = parameter(10, "backends", low=1, high=200, help="machines behind the balancer, one server each")
    requests: int = parameter(20_000, "requests", low=1000, high=10_000_000, scale="log", help="per cell")
    seed: int = parameter(1, "seed", low=0, high=2**31 - 1, help="same seed, same arrivals and service times")

    def check(self) -> None:
        """Loads within the stable range, c² of at least 0."""
        check_loads(self.loads)
        for cv2 in self.cv2s:
            if not 0 <= cv2 <= 1000:
                raise ValueError(f"cv2s holds {cv2!r}; each takes a number from 0 (constant) to 1000")


def heat_map(params: HeatMapParams = HeatMapParams()) -> pd.DataFrame:
    """Columns policy, cv2, load, mean_s and slowdown (mean response over that of the central queue)."""
    backends = Backends(params.backends)
    rows = []
    for cv2 in params.cv2s:
        service = service_of_cv2(cv2)
        for load in params.loads:
            means = {}
            for name in ("central queue", *params.policies):
                run = service_params(POLICIES[name], load, backends, service, params.requests, params.seed)
                means[name] = simulate(run).mean_s
            for name in params.policies:
                slowdown = means[name] / means["central queue"]
                rows.append({"policy": name, "cv2": cv2, "load": load, "mean_s": means[name], "slowdown": slowdown})
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class StaleParams(Parameters):
    """Balancers that read loads from a board refreshed now and then (Mitzenmacher 2000, periodic updates)."""

    intervals_s: tuple[float, ...] = field(
        default=(0.0, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
        metadata={"help": "refresh intervals in mean service times; 0 is live"},
    )
    load: float = parameter(
        0.9, "load ρ", low=0.01, high=0.99, step=0.01, help="work that arrives over work that can be done"
    )
    backends: int = parameter(100, "backends", low=2, high=500, help="machines behind the balancer, one server each")
    policies: tuple[str, ...] = parameter(
        ("random", "two choices", "three choices", "least request"),
        "policies",
        choices=tuple(POLICIES),
        several=True,
        at_least=1,
    )
    requests: int = parameter(40_000, "requests", low=1000, high=10_000_000, scale="log", help="per point")
    seed: int = parameter(1, "seed", low=0, high=2**31 - 1, help="same seed, same arrivals and service times")

    def check(self) -> None:
        """Intervals of at least 0."""
        for interval in self.intervals_s:
            if not (math.isfinite(interval) and interval >= 0):
                raise ValueError(f"intervals_s holds {interval!r}; each takes a number of seconds of at least 0")


def stale_information(params: StaleParams = StaleParams()) -> pd.DataFrame:
    """Columns policy, interval_s, mean_s, low_s, high_s: everybody runs to the backend that *was* idle."""
    rows = []
    for name in params.policies:
        for interval in params.intervals_s:
            result = simulate(
                ServiceParams(
                    policy=POLICIES[name],
                    arrivals=Poisson(params.load * params.backends),
                    backends=Backends(params.backends),
                    refresh_interval_s=interval,
                    requests=params.requests,
                    seed=params.seed,
                )
            )
            rows.append({"policy": name, "interval_s": interval, **estimate_columns(result)})
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class LiveQueuesParams(Parameters):
    """Queues as they grow and shrink, for animated bars."""

    policy: str = parameter("random", "policy", choices=tuple(POLICIES), help="who chooses")
    load: float = parameter(
        0.9, "load ρ", low=0.01, high=2.0, step=0.01, help="1 and above: unstable, queues grow for ever"
    )
    backends: int = parameter(10, "backends", low=1, high=100, help="machines behind the balancer, one server each")
    service: str = parameter("exponential", "service times", choices=SERVICES, help="how different the requests are")
    slow_speed: float = parameter(
        1.0, "speed of backend 0", low=0.05, high=1.0, step=0.05, help="the others have speed 1"
    )
    refresh_interval_s: float = parameter(
        0.0, "refresh interval", unit="s", low=0.0, high=100.0, help="age of information; 0: live"
    )
    start_s: float = parameter(
        100.0, "first frame", unit="s", low=0.0, high=10_000.0, help="time for queues to fill up"
    )
    frame_s: float = parameter(0.5, "time between frames", unit="s", low=0.01, high=100.0, help="virtual time")
    frames: int = parameter(60, "frames", low=1, high=1000, help="length of the film")
    seed: int = parameter(1, "seed", low=0, high=2**31 - 1, help="same seed, same film")


@dataclass(frozen=True, eq=False)
class LiveQueues:
    """``lengths`` has the columns time_s, backend, requests; ``waiting`` has time_s, waiting.

    ``unstable`` says why queues grow for ever, and is empty when they do not.
    """

    lengths: pd.DataFrame
    waiting: pd.DataFrame
    unstable: str


def live_queues(params: LiveQueuesParams = LiveQueuesParams()) -> LiveQueues:
    """Requests at every backend, frame by frame."""
    times = params.start_s + params.frame_s * np.arange(params.frames, dtype=np.float64)
    backends = Backends(params.backends, speeds=(params.slow_speed,) if params.slow_speed != 1 else ())
    rate = params.load * backends.capacity
    result = simulate(
        ServiceParams(
            policy=POLICIES[params.policy],
            arrivals=Poisson(rate),
            service=service_times(params.service),
            backends=backends,
            refresh_interval_s=params.refresh_interval_s,
            requests=math.ceil(rate * times[-1] + 10 * math.sqrt(rate * times[-1]) + 10),
            seed=params.seed,
            allow_unstable=True,
        )
    )
    lengths = result.queue_lengths(times)
    table = pd.DataFrame(
        {
            "time_s": np.repeat(times, params.backends),
            "backend": np.tile(np.arange(params.backends), params.frames),
            "requests": lengths.ravel(),
        }
    )
    return LiveQueues(table, pd.DataFrame({"time_s": times, "waiting": result.waiting(times)}), result.unstable)
