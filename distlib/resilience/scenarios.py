"""Situations of one caller and one callee, and of three tiers: attempts one by one, a breaker at work, what retries
multiply. Storms and overload are in ``storm``."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from distlib.core.parameter import Parameters, parameter
from distlib.resilience import theory
from distlib.resilience.backoff import KINDS, Backoff
from distlib.resilience.breaker import COUNTING, CircuitBreaker
from distlib.resilience.calls.params import CLIENTS, Call, Fault, Graph, Service
from distlib.resilience.calls.run import simulate
from distlib.resilience.calls.state import OUTCOMES
from distlib.resilience.hedge import Hedge
from distlib.resilience.retry import Retry
from distlib.resilience.timeout import Timeout
from distlib.sim.workload import Deterministic, LogNormal, Poisson

SERVER = "server"
ENTRY = f"{CLIENTS} → {SERVER}"


# --- attempts one by one -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AttemptsParams(Parameters):
    """A few calls to a service that fails now and then, and is slow now and then."""

    errors: float = parameter(
        0.3, "errors", low=0.0, high=1.0, help="share of attempts that are answered with an error"
    )
    variability: float = parameter(2.0, "c² of the service", low=0.01, high=50.0, scale="log",
        help="how much service times differ; their mean is 100 ms")  # fmt: skip
    timeout_ms: float = parameter(300.0, "timeout", unit="ms", low=10.0, high=5000.0, scale="log",
        help="how long an attempt is waited for")  # fmt: skip
    attempts: int = parameter(3, "attempts", low=1, high=8, help="of one call, the first included; hedges come on top")
    backoff: str = parameter("full", "backoff", choices=KINDS, help="how the wait before a retry is found")
    base_ms: float = parameter(100.0, "base", unit="ms", low=1.0, high=2000.0, scale="log", help="of the backoff")
    hedge_ms: float = parameter(0.0, "hedge after", unit="ms", low=0.0, high=1000.0,
        help="then another instance is asked as well; 0: never")  # fmt: skip
    deadline_ms: float = parameter(2000.0, "deadline", unit="ms", low=50.0, high=20_000.0, scale="log",
        help="of the whole call, waits included")  # fmt: skip
    calls: int = parameter(14, "calls", low=1, high=30, help="drawn below each other")
    seed: int = parameter(4, "seed", low=0, high=10**6, help="same seed, same chance")


@dataclass(frozen=True, eq=False)
class AttemptsRun:
    """``attempts``: call (0, 1, …), number, try, outcome, and sent_ms, ended_ms, done_ms (when the server was done with
    it; NaN when it never began) since the call began. ``calls``: call, outcome, took_ms, attempts."""

    params: AttemptsParams
    attempts: pd.DataFrame = field(repr=False)
    calls: pd.DataFrame = field(repr=False)


def attempts_one_by_one(params: AttemptsParams) -> AttemptsRun:
    """Calls far enough apart not to meet each other."""
    retry = Retry(
        params.attempts, params.deadline_ms / 1e3,
        Backoff(params.backoff, params.base_ms / 1e3, max(2.0, params.base_ms / 1e3)),
    )  # fmt: skip
    hedge = Hedge("fixed", delay_s=params.hedge_ms / 1e3) if params.hedge_ms else None
    call = Call(
        CLIENTS, SERVER, latency_s=0.005, timeout=Timeout(timeout_s=params.timeout_ms / 1e3), retry=retry, hedge=hedge
    )
    faults = (Fault("errors", SERVER, 0.0, 1e6, value=params.errors),) if params.errors else ()
    apart_s = 4 * params.deadline_ms / 1e3
    service = Service(SERVER, instances=8, servers=8, service=LogNormal(0.1, params.variability))
    graph = Graph(
        (service,), (call,), Poisson(1 / apart_s), faults, duration_s=(params.calls + 8) * 3 * apart_s, slice_s=apart_s,
        log=400, seed=params.seed,
    )  # fmt: skip
    result = simulate(graph)
    first = result.attempts[result.attempts["request"] < params.calls]
    arrived = result.requests["arrival_s"][first["request"]]
    attempts = pd.DataFrame(
        {"call": first["request"], "number": first["number"], "try": first["try"], "outcome": first["outcome"]}
    )
    for name in ("sent", "ended", "done"):
        attempts[f"{name}_ms"] = 1e3 * (first[f"{name}_s"] - arrived)
    attempts.loc[first["begun_s"].isna(), "done_ms"] = np.nan
    own = result.requests[: params.calls]
    calls = pd.DataFrame({
        "call": np.arange(len(own)), "outcome": [OUTCOMES[one] for one in own["outcome"].tolist()],
        "took_ms": 1e3 * (own["done_s"] - own["arrival_s"]), "attempts": own["attempts"],
    })  # fmt: skip
    return AttemptsRun(params, attempts.reset_index(drop=True), calls)


# --- a breaker at work ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BreakerParams(Parameters):
    """A service that fails more often for a while, and the breaker before it."""

    counting: str = parameter("last calls", "counts", choices=COUNTING[1:], help="what the breaker looks at")
    failures: int = parameter(5, "failures in a row", low=1, high=50, only_with=("counting", "consecutive failures"),
        help="as many open it")  # fmt: skip
    window: int = parameter(
        20, "window", low=1, high=200, scale="log", help="calls, or seconds, over which rates are counted"
    )
    minimum_calls: int = parameter(10, "minimum calls", low=1, high=200, scale="log", ceiling="most_calls",
        help="results before a rate counts")  # fmt: skip
    failure_rate: float = parameter(0.5, "failure rate", low=0.05, high=1.0, help="share of failures that opens it")
    open_s: float = parameter(
        5.0, "open", unit="s", low=0.5, high=60.0, scale="log", help="how long everything is rejected"
    )
    probes: int = parameter(3, "probes", low=1, high=20, help="calls by which a half-open breaker judges")
    rate_per_s: float = parameter(
        20.0, "calls", unit="/s", low=1.0, high=200.0, scale="log", help="that want to be made"
    )
    normally: float = parameter(0.02, "failures normally", low=0.0, high=1.0, help="share of failures before and after")
    in_outage: float = parameter(0.8, "failures in the outage", low=0.0, high=1.0, help="from 20 s to 50 s")
    seed: int = parameter(1, "seed", low=0, high=10**6, help="same seed, same chance")

    @property
    def most_calls(self) -> int:
        """The largest minimum that fits into the window."""
        return self.window if self.counting == "last calls" else 200

    def breaker(self) -> CircuitBreaker:
        """The breaker of these parameters."""
        return CircuitBreaker(
            counting=self.counting, failures=self.failures, window=self.window, minimum_calls=self.minimum_calls,
            failure_rate=self.failure_rate, open_s=self.open_s, probes=self.probes,
        )  # fmt: skip

    def check(self) -> None:
        self.breaker()


OUTAGE_S = 20.0, 50.0
BREAKER_END_S, BREAKER_SLICE_S = 80.0, 0.5


@dataclass(frozen=True, eq=False)
class BreakerRun:
    """``course``: time_s, and by slice of half a second sent, failed and rejected calls and the breaker's state at the
    end."""

    params: BreakerParams
    course: pd.DataFrame = field(repr=False)

    def share(self, state: str, start_s: float, end_s: float) -> float:
        """Share of a span of time that the breaker spent in a state."""
        rows = self.course[(self.course["time_s"] >= start_s) & (self.course["time_s"] < end_s)]
        return float((rows["breaker"] == state).mean())


def breaker_at_work(params: BreakerParams) -> BreakerRun:
    """One outage of errors, seen through a breaker."""
    start, end = OUTAGE_S
    spans = ((0.0, start, params.normally), (start, end, params.in_outage), (end, BREAKER_END_S, params.normally))
    faults = tuple(Fault("errors", SERVER, a, b, value=share) for a, b, share in spans if share)
    service = Service(SERVER, servers=1000, service=Deterministic(0.02))
    graph = Graph(
        (service,), (Call(CLIENTS, SERVER, breaker=params.breaker()),), Poisson(params.rate_per_s), faults,
        duration_s=BREAKER_END_S, slice_s=BREAKER_SLICE_S, seed=params.seed,
    )  # fmt: skip
    edge = simulate(graph).edge(ENTRY)
    course = pd.DataFrame({
        "time_s": edge["time_s"], "sent": edge["first tries"], "failed": edge["errors"], "rejected": edge["not sent"],
        "breaker": edge["breaker"],
    })  # fmt: skip
    return BreakerRun(params, course)


# --- three tiers ---------------------------------------------------------------------------------------------

TIERS = ("web", "shop", "database")
WHERE = ("at every tier", "at the top only", "at the bottom only", "nowhere")


@dataclass(frozen=True)
class TiersParams(Parameters):
    """Clients call a web server, which calls a shop, which calls a database that fails."""

    attempts: int = parameter(4, "attempts", low=1, high=6, help="that a caller who retries makes, the first included")
    where: str = parameter("at every tier", "retries", choices=WHERE, help="which callers retry")
    failing: float = parameter(1.0, "database fails", low=0.0, high=1.0, help="share of its calls")
    rate_per_s: float = parameter(
        20.0, "requests", unit="/s", low=1.0, high=100.0, help="of clients, half a minute long"
    )
    seed: int = parameter(1, "seed", low=0, high=10**6, help="same seed, same chance")

    def attempts_at(self, tier: int) -> int:
        """Attempts of the caller of tier 0, 1, 2."""
        retries = {WHERE[0]: True, WHERE[1]: tier == 0, WHERE[2]: tier == 2, WHERE[3]: False}[self.where]
        return self.attempts if retries else 1


@dataclass(frozen=True, eq=False)
class TiersRun:
    """``flows``: call (caller → callee), and first_tries, retries, failed per request of a client. ``success``: share
    of requests answered."""

    params: TiersParams
    flows: pd.DataFrame = field(repr=False)
    success: float

    @property
    def at_the_bottom(self) -> float:
        """Attempts at the database per request."""
        return float(self.flows[["first_tries", "retries"]].iloc[-1].sum())


def three_tiers(params: TiersParams) -> TiersRun:
    """What one request becomes further down."""
    callers = (CLIENTS, *TIERS[:-1])
    calls = tuple(
        Call(caller, tier, retry=Retry(params.attempts_at(k), backoff=Backoff("none")))
        for k, (caller, tier) in enumerate(zip(callers, TIERS, strict=True))
    )
    services = tuple(Service(one, servers=1000, service=Deterministic(0.001)) for one in TIERS)
    faults = (Fault("errors", TIERS[-1], 0.0, 1e6, value=params.failing),) if params.failing else ()
    result = simulate(Graph(services, calls, Poisson(params.rate_per_s), faults, duration_s=30.0, seed=params.seed))
    requests = max(1, len(result.requests))
    sums = result.edges.groupby("call", sort=False).sum(numeric_only=True) / requests
    flows = pd.DataFrame({
        "call": sums.index, "first_tries": sums["first tries"].to_numpy(), "retries": sums["retries"].to_numpy(),
        "failed": sums["failed"].to_numpy(),
    })  # fmt: skip
    return TiersRun(params, flows, result.success)


def tiers_by_theory(params: TiersParams) -> float:
    """Attempts at the database per request, from the amplification of each tier (the lowest one's failures first)."""
    failing, attempts = params.failing, 1.0
    for tier in (2, 1, 0):
        retries = params.attempts_at(tier) - 1
        attempts *= theory.amplification(failing, retries)
        failing = failing ** (retries + 1)
    return attempts
