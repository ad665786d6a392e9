"""Chapter 03.6: every closed form, listed in ``FORMULAS``, as a curve, and simulations that put it to the test:
``formula_data("M/M/c")`` is what ``distlib.formulas.charts.formula_curve`` draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from distlib.balancing import theory
from distlib.balancing.balls import balls_into_bins
from distlib.balancing.hashing import Ring, hash_keys, owners
from distlib.balancing.policies import LeastRequest, Random, RoundRobin
from distlib.balancing.scenarios import service_of_cv2
from distlib.core.parameter import Parameters, parameter
from distlib.core.seeds import Seeds
from distlib.paxos.theory import availability
from distlib.raft.theory import split_vote_probability
from distlib.sim.service.balancer_state import REJECTED
from distlib.sim.service.params import Backends, at_load
from distlib.sim.service.policy import CentralQueue, Policy
from distlib.sim.service.result import Estimate, ServiceResult, batch_means
from distlib.sim.service.service import simulate
from distlib.sim.sweep import in_threads
from distlib.sim.workload import Deterministic, Exponential, Floats, Pareto, ServiceTimes, uniforms
from distlib.theory import queueing

LOADS = tuple(float(x) for x in np.round(1.0 - np.geomspace(0.98, 0.04, 60), 4))  # dense where curves are steep
POINTS = (0.2, 0.4, 0.6, 0.75, 0.9)
STATISTICS: dict[str, float] = {"median": 0.5, "p90": 0.9, "p99": 0.99}
EXPONENTIAL = Exponential()
SHARED: dict[str, ServiceTimes] = {
    "constant": Deterministic(),
    "exponential": EXPONENTIAL,
    "c² = 4": service_of_cv2(4.0),
    "Pareto 2.5": Pareto(shape=2.5),
}
LONG_BATCHES = 12  # a far quantile needs long batches
RING_SAMPLES = 40
"""Rings per point: the spread of shares differs from ring to ring."""


RESPONSE = "mean response (mean service times)"
TURNED_AWAY = "share of requests turned away"
SERVERS = (1, 2, 5, 10, 50)
BALLS = tuple(float(k) for k in range(7))


@dataclass(frozen=True)
class Formula:
    """A closed form: over which values it is drawn, and how it is simulated. ``value(setting, x)`` is the formula,
    ``simulated(setting, x, requests, seed)`` its estimate with a standard error."""

    setting: str
    settings: tuple[Any, ...]
    value: Callable[[Any, float], float]
    simulated: Callable[[Any, float, int, int], Estimate]
    y: str = RESPONSE
    x: str = "load ρ"
    grid: tuple[float, ...] = LOADS
    at: tuple[float, ...] = POINTS

    @property
    def log_y(self) -> bool:
        """Times of 1 and more look best on a logarithmic scale."""
        return self.y.endswith("(mean service times)")


def run(
    policy: Policy, backends: Backends, load: float, requests: int, seed: int, service: ServiceTimes = EXPONENTIAL
) -> ServiceResult:
    """A Poisson stream of ``load`` = ρ at these backends (any load, where the queue is bounded). Many backends share
    the requests among them, so up to four times as many are simulated."""
    requests *= max(1, min(4, backends.count // 5))
    return simulate(at_load(load, service, backends, policy=policy, requests=requests, seed=seed))


def quantile_estimate(result: ServiceResult, probability: float) -> Estimate:
    """A quantile of the response with its standard error, from quantiles of batches."""
    observed = result.observed_s
    length = observed.size // LONG_BATCHES
    batches = np.quantile(observed[: length * LONG_BATCHES].reshape(LONG_BATCHES, length), probability, axis=1)
    return Estimate(float(np.quantile(observed, probability)), float(batches.std(ddof=1) / math.sqrt(LONG_BATCHES)))


def single_value(statistic: str, load: float) -> float:
    """M/M/1: mean or quantile."""
    if statistic == "mean":
        return queueing.mm1_response(load)
    return queueing.mm1_response_quantile(STATISTICS[statistic], load)


def single_simulated(statistic: str, load: float, requests: int, seed: int) -> Estimate:
    """M/M/1: one backend."""
    result = run(Random(), Backends(1), load, requests, seed)
    return result.response if statistic == "mean" else quantile_estimate(result, STATISTICS[statistic])


def waiting_share(servers: int, load: float, requests: int, seed: int) -> Estimate:
    """Share of requests of M/M/c that must wait."""
    result = run(CentralQueue(), Backends(servers), load, requests, seed)
    return batch_means((result.warmed_up(result.wait_s) > 0.0).astype(np.float64))


def rejected_share(backends: Backends, load: float, requests: int, seed: int) -> Estimate:
    """Share of requests that find no room."""
    result = run(CentralQueue(), backends, load, requests, seed)
    return batch_means((result.warmed_up(result.status) == REJECTED).astype(np.float64))


TWO: dict[str, tuple[Policy, Callable[[float], float]]] = {
    "random": (Random(), queueing.mm1_response),
    "round robin": (RoundRobin(), lambda load: queueing.round_robin_response(2, load)),
    "shorter queue": (LeastRequest(), theory.shorter_of_two_response),
    "central queue": (CentralQueue(), lambda load: queueing.mmc_response(2, load)),
}
"""Four ways to share two servers."""


def ring_deviation(nodes: int, virtual_nodes: float, requests: int, seed: int) -> Estimate:
    """Root mean square deviation of the shares of many rings, over the mean share."""
    rings = [
        Ring(range(nodes), round(virtual_nodes), seed=seed * RING_SAMPLES + number).shares()
        for number in range(RING_SAMPLES)
    ]
    variances = np.array([float(((shares * nodes - 1.0) ** 2).mean()) for shares in rings])
    deviation = math.sqrt(variances.mean())
    error = float(variances.std(ddof=1)) / math.sqrt(RING_SAMPLES) / (2.0 * deviation)
    return Estimate(deviation, error)


@cache
def bins(choices: int) -> Floats:
    """Shares of bins with at least 0, 1, … balls, for one ball a bin: solving the equations takes milliseconds."""
    return theory.bins_with_at_least(1.0, choices)


def filled_bins(choice: int, balls: float, requests: int, seed: int) -> Estimate:
    """Share of bins with at least so many balls."""
    share = float((balls_into_bins(requests, choice, seed=seed) >= balls).mean())
    return Estimate(share, math.sqrt(share * (1.0 - share) / requests))


def moved_keys(method: str, nodes: float, requests: int, seed: int) -> Estimate:
    """Share of keys that move when one node joins ``nodes``."""
    hashes = hash_keys(range(requests), seed)
    before, after = (owners(method, range(n), hashes) for n in (round(nodes), round(nodes) + 1))
    share = float((before != after).mean())
    variance = share * (1.0 - share) / requests
    if method == "ring":  # what the new node's virtual nodes happen to cut off
        variance += (share * theory.ring_share_deviation(round(nodes) + 1, 100)) ** 2
    return Estimate(share, math.sqrt(variance))


MOVED = {"modulo": theory.moved_modulo, **dict.fromkeys(("ring", "rendezvous", "jump"), theory.moved_consistent)}
"""What moves under ``hash mod n``; what must move, and does by the others."""


def up_together(nodes: int, needed: int, up: float, requests: int, seed: int) -> Estimate:
    """How often at least ``needed`` of the nodes are up, each with probability ``up``."""
    return share_of(draws(seed, requests, nodes) < up, needed)


def share_of(happened: NDArray[np.bool_], needed: int) -> Estimate:
    """In which share of the rows at least ``needed`` things happened."""
    share = float((happened.sum(axis=1) >= needed).mean())
    return Estimate(share, math.sqrt(share * (1.0 - share) / len(happened)))


def draws(seed: int, rows: int, columns: int) -> Floats:
    """Uniform numbers, a row a trial, from a stream of their own."""
    return uniforms(Seeds(seed).number("trial"), rows * columns).reshape(rows, columns)


def split_votes(servers: int, latency: float, requests: int, seed: int) -> Estimate:
    """How often nobody gets a majority: whoever times out within one latency of the first votes for itself."""
    timeouts = draws(seed, requests, servers)
    rivals = timeouts - timeouts.min(axis=1, keepdims=True) < latency  # the first one among them
    return share_of(rivals, servers - servers // 2 + 1)


def attempts(failure: float, retries: int) -> float:
    """Mean number of attempts, each of which fails with this probability, with up to so many retries."""
    return sum(failure**k for k in range(retries + 1))


def counted_attempts(retries: int, failure: float, requests: int, seed: int) -> Estimate:
    """The same, counted: every attempt before was a failure."""
    failed = draws(seed, requests, retries) < failure if retries else np.ones((requests, 0), np.bool_)
    made = 1 + np.logical_and.accumulate(failed, axis=1).sum(axis=1) if retries else np.ones(requests)
    return Estimate(float(made.mean()), float(made.std()) / math.sqrt(requests))


CHANCES = tuple(np.round(np.linspace(0.0, 1.0, 51), 3).tolist())

FORMULAS: dict[str, Formula] = {
    "a majority is up": Formula(
        "nodes n", (1, 3, 5, 7, 9), lambda n, up: availability(n, n // 2 + 1, up),
        lambda n, up, trials, seed: up_together(n, n // 2 + 1, up, trials, seed),
        "probability that a majority is up", "probability that a node is up", CHANCES, (0.2, 0.5, 0.8, 0.95),
    ),
    "split vote": Formula(
        "servers n", (3, 5, 7, 9), lambda n, latency: split_vote_probability(n, n, latency), split_votes,
        "probability that a term ends without a leader", "one-way latency over the width of the timeout range",
        CHANCES[:26], (0.05, 0.1, 0.2, 0.3, 0.4),
    ),
    "all are up": Formula(
        "participants n", (1, 2, 3, 5, 10), lambda n, up: availability(n, n, up),
        lambda n, up, trials, seed: up_together(n, n, up, trials, seed),
        "probability that all are up", "probability that a participant is up", CHANCES, (0.5, 0.8, 0.9, 0.95, 0.99),
    ),
    "M/M/1": Formula(
        "statistic", ("median", "mean", "p90", "p99"), single_value, single_simulated, "response (mean service times)",
    ),
    "M/M/c": Formula(
        "servers c", SERVERS, queueing.mmc_response,
        lambda c, load, n, seed: run(CentralQueue(), Backends(c), load, n, seed).response,
    ),
    "Erlang C": Formula("servers c", SERVERS, queueing.erlang_c, waiting_share, "share of requests that wait"),
    "Erlang B": Formula(
        "servers c", SERVERS, lambda c, x: queueing.erlang_b(c, c * x),
        lambda c, x, n, seed: rejected_share(Backends(c, queue_limit=0), x, n, seed),
        TURNED_AWAY, "offered traffic per server, a / c",
        tuple(np.round(np.linspace(0.02, 1.6, 60), 3).tolist()), (0.3, 0.6, 0.8, 1.0, 1.5),
    ),
    "M/M/1/K": Formula(
        "room K", (1, 2, 5, 10, 20), lambda k, load: queueing.mm1k_blocking(load, k),
        lambda k, load, n, seed: rejected_share(Backends(1, queue_limit=k - 1), load, n, seed),
        TURNED_AWAY, grid=tuple(np.round(np.linspace(0.02, 2.0, 60), 3).tolist()), at=(0.3, 0.6, 0.9, 1.2, 1.8),
    ),
    "M/G/1": Formula(
        "c²", (0.0, 0.5, 1.0, 4.0, 10.0), lambda cv2, load: queueing.mg1_response(load, cv2),
        lambda cv2, load, n, seed: run(Random(), Backends(1), load, n, seed, service_of_cv2(cv2)).response,
    ),
    "M/G/1, processor sharing": Formula(
        "service times", tuple(SHARED), lambda name, load: queueing.mg1_sharing_response(load),
        lambda name, load, n, seed: run(
            Random(), Backends(1, discipline="sharing"), load, n, seed, SHARED[name]
        ).response,
    ),
    "round robin": Formula(
        "backends n", (1, 2, 5, 10, 100), queueing.round_robin_response,
        lambda n, load, count, seed: run(RoundRobin(), Backends(n), load, count, seed).response,
    ),
    "round robin, constant service": Formula(
        "backends c", SERVERS, queueing.mdc_response,
        lambda c, load, n, seed: run(RoundRobin(), Backends(c), load, n, seed, Deterministic()).response,
        grid=LOADS[::3],
    ),
    "two backends": Formula(
        "policy", tuple(TWO), lambda name, load: TWO[name][1](load),
        lambda name, load, n, seed: run(TWO[name][0], Backends(2), load, n, seed).response, grid=LOADS[::5],
    ),
    "d choices": Formula(
        "choices d", (1, 2, 3, 5), lambda d, load: theory.supermarket_response(load, d),
        lambda d, load, n, seed: run(LeastRequest(d), Backends(200), load, n, seed).response,
    ),
    "balls into bins": Formula(
        "choices d", (1, 2, 3), lambda d, balls: float(bins(d)[round(balls)]), filled_bins,
        "share of bins with at least so many", "balls", BALLS, BALLS,
    ),
    "share of a ring": Formula(
        "nodes n", (2, 5, 10, 100), lambda n, v: theory.ring_share_deviation(n, round(v)), ring_deviation,
        "standard deviation of a share over its mean", "virtual nodes per node",
        tuple(float(v) for v in range(1, 101)), (1.0, 5.0, 10.0, 25.0, 50.0, 100.0),
    ),
    "keys that move": Formula(
        "method", tuple(MOVED), lambda method, n: MOVED[method](round(n), round(n) + 1), moved_keys,
        "share of keys that move", "nodes before one more joins",
        tuple(float(n) for n in range(1, 31)), (2.0, 4.0, 7.0, 10.0, 20.0, 30.0),
    ),
    "retries": Formula(
        "retries at most", (0, 1, 2, 3, 5), lambda retries, failure: attempts(failure, retries), counted_attempts,
        "attempts per request", "probability that an attempt fails", CHANCES, (0.1, 0.3, 0.5, 0.8, 0.95),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class FormulaParams(Parameters):
    """A formula put to the test."""

    formula: str = parameter("M/M/c", "formula", choices=tuple(FORMULAS), help="which closed form")
    requests: int = parameter(50_000, "requests", low=2000, high=1_000_000, scale="log",
        help="simulated per point (or bins, or keys)")  # fmt: skip
    seed: int = parameter(1, "seed", low=0, high=2**31 - 1, help="another seed, other samples")


@dataclass(frozen=True, eq=False)
class FormulaData:
    """``curve`` has the columns setting, x, value; ``points`` also error, three standard errors."""

    formula: Formula
    curve: pd.DataFrame
    points: pd.DataFrame

    def table(self) -> pd.DataFrame:
        """One row a point: formula, simulated, and the difference in standard errors."""
        pairs = zip(self.points["setting"], self.points["x"].astype(float), strict=True)
        values = [self.formula.value(one, x) for one, x in pairs]
        errors = self.points["error"] / 3.0
        apart = ((self.points["value"] - values) / errors.where(errors > 1e-9)).round(1)
        found = {"formula": values, "simulated": self.points["value"], "standard errors apart": apart}
        return pd.DataFrame({self.formula.setting: self.points["setting"], self.formula.x: self.points["x"], **found})


@cache
def _curve(name: str) -> list[tuple[Any, float, float]]:
    """The formula alone; the exact ones take up to half a second, once."""
    formula = FORMULAS[name]
    return [(one, x, formula.value(one, x)) for one in formula.settings for x in formula.grid]


def formula_data(params: FormulaParams | str = FormulaParams()) -> FormulaData:
    """Curve and simulated points of one formula, for each of its settings. A name stands for its default parameters."""
    params = FormulaParams(formula=params) if isinstance(params, str) else params
    formula = FORMULAS[params.formula]
    places = list(product(formula.settings, formula.at))

    def simulated(number: int) -> Estimate:
        return formula.simulated(*places[number], params.requests, 1000 * params.seed + number)  # samples of their own

    points = [
        (one, x, found.mean, 3.0 * found.standard_error)
        for (one, x), found in zip(places, in_threads(simulated, range(len(places))), strict=True)
    ]
    return FormulaData(
        formula,
        pd.DataFrame(_curve(params.formula), columns=["setting", "x", "value"]),
        pd.DataFrame(points, columns=["setting", "x", "value", "error"]),
    )
