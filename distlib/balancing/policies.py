"""Load-balancing policies: which backend gets the next request.

Each policy is one small function, written once. Numba compiles it for the engines of ``distlib.sim.service.service``;
``Balancer`` calls the very same source step by step. What a policy may look at is
described in ``distlib.sim.service.balancer_state``.

A policy is named by a frozen parameter class (``LeastRequest(choices=2)``); a new one is a subclass of
``Policy`` with a ``choose`` method.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from distlib.balancing import hashing
from distlib.core.draw import compiled, compiled_apart
from distlib.core.parameter import Parameters, parameter
from distlib.sim.service.balancer_state import (
    UNKNOWN_LATENCY,
    BalancerState,
    Floats,
    PolicyConstants,
    draw_below,
    leave,
    observe_latency,
    requests_in_flight,
)

if TYPE_CHECKING:
    from distlib.sim.service.balancer import Balancer

RANDOM, ROUND_ROBIN, WEIGHTED_ROUND_ROBIN, SMOOTH, LEAST_REQUEST, RESPONSE_TIME, IDLE_QUEUE, AFFINITY = range(8)
OWN, CENTRAL = -1, -2  # a policy written by the reader; one queue for all, so there is nothing to choose


@compiled
def random_backend(known: BalancerState, me: int) -> int:
    """Each backend with the same probability."""
    return known.members[me, draw_below(known, me, known.size[me])]


@compiled
def round_robin(known: BalancerState, me: int) -> int:
    """The backends in turn."""
    known.cursor[me] = (known.cursor[me] + 1) % known.size[me]
    return known.members[me, known.cursor[me]]


@compiled
def weighted_round_robin(known: BalancerState, me: int) -> int:
    """Each backend ``weight`` times in a row, then the next: weights 5, 1, 1 give a a a a a b c."""
    backend = known.members[me, max(known.cursor[me], 0) % known.size[me]]
    if known.cursor[me] < 0 or known.credit[me, backend] < 1.0:
        known.cursor[me] = (known.cursor[me] + 1) % known.size[me]
        backend = known.members[me, known.cursor[me]]
        known.credit[me, backend] = known.weight[backend]
    known.credit[me, backend] -= 1.0
    return backend


@compiled
def smooth_weighted_round_robin(known: BalancerState, me: int) -> int:
    """Nginx's rule since 1.3.1: everybody gains its weight, the richest is chosen and pays the sum of all weights."""
    total = 0.0
    richest = known.members[me, 0]
    for i in range(known.size[me]):
        backend = known.members[me, i]
        known.credit[me, backend] += known.weight[backend]
        total += known.weight[backend]
        if known.credit[me, backend] > known.credit[me, richest]:
            richest = backend
    known.credit[me, richest] -= total
    return richest


@compiled
def least_request(rule: PolicyConstants, known: BalancerState, me: int, now: float) -> int:
    """The cheapest of ``choices`` backends taken at random (Mitzenmacher 2001), or of all; ties at random."""
    if rule.choices == 0 or (rule.choices >= known.size[me] and not rule.with_replacement):
        return cheapest_of_all(rule, known, me, now)
    best, best_cost = -1, np.inf
    for k in range(rule.choices):
        backend = sample(rule, known, me, k)
        backend_cost = cost(rule, known, me, backend, now)
        if backend_cost < best_cost:
            best, best_cost = backend, backend_cost
    return best


@compiled
def sample(rule: PolicyConstants, known: BalancerState, me: int, k: int) -> int:
    """The ``k``-th backend of a random sample; without replacement it is the ``k``-th card of a fresh shuffle."""
    if rule.with_replacement:
        return random_backend(known, me)
    pick = k + draw_below(known, me, known.size[me] - k)
    backend = known.members[me, pick]
    known.members[me, pick] = known.members[me, k]
    known.members[me, k] = backend
    return backend


@compiled
def cheapest_of_all(rule: PolicyConstants, known: BalancerState, me: int, now: float) -> int:
    """Full scan; among equally cheap backends each has the same chance."""
    best, best_cost, ties = -1, np.inf, 0
    for i in range(known.size[me]):
        backend = known.members[me, i]
        backend_cost = cost(rule, known, me, backend, now)
        if backend_cost < best_cost:
            best, best_cost, ties = backend, backend_cost, 1
        elif backend_cost == best_cost:
            ties += 1
            if draw_below(known, me, ties) == 0:
                best = backend
    return best


@compiled
def cost(rule: PolicyConstants, known: BalancerState, me: int, backend: int, now: float) -> float:
    """Requests in flight per unit of weight, this one included; with peak EWMA, that times the response time."""
    in_flight = requests_in_flight(rule, known, me, backend, now)
    if rule.kind != RESPONSE_TIME:
        return (in_flight + 1) * known.share[backend]
    observe_latency(rule, known, me, backend, 0.0, now)  # time alone forgives a slow answer
    latency = known.latency[me, backend]
    if latency == 0.0 and in_flight > 0:
        return UNKNOWN_LATENCY + in_flight
    return latency * (in_flight + 1)


@compiled
def join_idle_queue(known: BalancerState, me: int, now: float) -> int:
    """A backend from this balancer's idle queue, else any at random (Lu et al., Performance Evaluation 2011)."""
    chosen, idle = -1, 0
    for i in range(known.size[me]):
        backend = known.members[me, i]
        leave(known, backend, now)
        if known.token[backend] == me:
            idle += 1
            if draw_below(known, me, idle) == 0:
                chosen = backend
    return chosen if idle > 0 else random_backend(known, me)


@compiled
def key_affinity(rule: PolicyConstants, known: BalancerState, me: int, now: float, client: int) -> int:
    """The client's own backend; past the load bound, or with that one away, the next in the client's order."""
    capacity = np.inf
    if rule.bound > 0.0:  # Mirrokni, Thorup & Zadimoghaddam 2018: at most bound times the mean load, rounded up
        total = 1
        for i in range(known.size[me]):
            total += requests_in_flight(rule, known, me, known.members[me, i], now)
        capacity = math.ceil(rule.bound * total / known.size[me])
    order = known.preference[client]
    for backend in order:
        if known.available[me, backend] and (
            rule.bound == 0.0 or requests_in_flight(rule, known, me, backend, now) + 1 <= capacity
        ):
            return backend
    return random_backend(known, me)


@compiled
def choose(rule: PolicyConstants, known: BalancerState, me: int, now: float, client: int) -> int:
    """The backend for one request, or -1 when this balancer has none left."""
    if known.size[me] == 0:
        return -1
    if rule.kind == RANDOM:
        return random_backend(known, me)
    if rule.kind == ROUND_ROBIN:
        return round_robin(known, me)
    return choose_with_care(rule, known, me, now, client)


@compiled_apart
def choose_with_care(rule: PolicyConstants, known: BalancerState, me: int, now: float, client: int) -> int:
    """The policies that look at something first."""
    if rule.kind == LEAST_REQUEST or rule.kind == RESPONSE_TIME:
        return least_request(rule, known, me, now)
    if rule.kind == SMOOTH:
        return smooth_weighted_round_robin(known, me)
    if rule.kind == WEIGHTED_ROUND_ROBIN:
        return weighted_round_robin(known, me)
    if rule.kind == IDLE_QUEUE:
        return join_idle_queue(known, me, now)
    return key_affinity(rule, known, me, now, client)


@dataclass(frozen=True)
class Policy(Parameters):
    """A load-balancing policy. Subclass it and write ``choose`` to try one of your own."""

    kind: ClassVar[int] = OWN
    label: ClassVar[str] = "own policy"
    needs_load: ClassVar[bool] = True  # looks at requests in flight

    def choose(self, seen: Balancer, now: float, client: int) -> int:
        """The backend for one request: one of ``seen.available``.

        ``seen.in_flight[b]`` is the number of requests this balancer sent to ``b`` without an answer yet, and
        ``seen.draw(size)`` a random whole number below ``size``. ``now`` is in seconds.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method choose(self, seen, now, client)")

    def rule(self, delay_s: float = 0.0, refresh_s: float = 0.0) -> PolicyConstants:
        """The policy's constants for the compiled functions."""
        return PolicyConstants(self.kind, 0, False, 0.0, 0.0, delay_s, refresh_s)

    def backend_weights(self, backends: int) -> Floats:
        """One weight a backend; ``ValueError`` when their number does not fit."""
        weights: tuple[float, ...] = getattr(self, "weights", ())
        if weights and len(weights) != backends:
            raise ValueError(f"weights has {len(weights)} values for {backends} backends; give one a backend")
        return np.array(weights or (1.0,) * backends, np.float64)

    def members(self, balancer: int, backends: int) -> NDArray[np.int64]:
        """Backends that balancer number ``balancer`` may use; all of them, unless the policy says otherwise."""
        return np.arange(backends)

    def preference(self, backends: int, clients: int) -> NDArray[np.int32] | None:
        """Order of backends for every client, shape (clients, backends), or None without key affinity."""
        return None

    def share(self, backends: int, clients: int, popularity: Floats) -> Floats | None:
        """Long-run share of requests of each backend where it is fixed in advance, else None."""
        return None if self.needs_load else np.full(backends, 1.0 / backends)


@dataclass(frozen=True)
class Random(Policy):
    """Each backend with the same probability."""

    kind: ClassVar[int] = RANDOM
    label: ClassVar[str] = "random"
    needs_load: ClassVar[bool] = False


@dataclass(frozen=True)
class RoundRobin(Policy):
    """The backends in turn."""

    kind: ClassVar[int] = ROUND_ROBIN
    label: ClassVar[str] = "round robin"
    needs_load: ClassVar[bool] = False


def check_weights(weights: tuple[float, ...], *, whole: bool = False) -> None:
    """``ValueError`` for a weight that is zero, negative, infinite or, where turns are counted, not whole."""
    for backend, weight in enumerate(weights):
        if not (math.isfinite(weight) and weight > 0):
            raise ValueError(
                f"weights[{backend}] is {weight!r}; it takes a positive number (leave a backend out to send it nothing)"
            )
        if whole and weight != int(weight):
            raise ValueError(f"weights[{backend}] is {weight!r}; turns are counted, so it takes a whole number")


@dataclass(frozen=True)
class WeightedRoundRobin(Policy):
    """Each backend as many times in a row as its weight says."""

    weights: tuple[float, ...] = field(default=())
    kind: ClassVar[int] = WEIGHTED_ROUND_ROBIN
    label: ClassVar[str] = "weighted round robin"
    needs_load: ClassVar[bool] = False

    def check(self) -> None:
        """Weights are positive whole numbers."""
        check_weights(self.weights, whole=True)

    def share(self, backends: int, clients: int, popularity: Floats) -> Floats | None:
        """In proportion to the weights."""
        weights = self.backend_weights(backends)
        return weights / weights.sum()


@dataclass(frozen=True)
class SmoothWeightedRoundRobin(WeightedRoundRobin):
    """The same shares, spread evenly over time (nginx)."""

    kind: ClassVar[int] = SMOOTH
    label: ClassVar[str] = "smooth weighted round robin"

    def check(self) -> None:
        """Weights are positive numbers."""
        check_weights(self.weights)


@dataclass(frozen=True)
class LeastRequest(Policy):
    """The backend with the fewest requests in flight, of all or of a few taken at random."""

    choices: int = parameter(0, "choices d", low=0, high=1000, help="backends compared per request; 0 compares all")
    with_replacement: bool = parameter(
        False, "with replacement", help="whether the same backend may be drawn twice for one request"
    )
    weights: tuple[float, ...] = field(default=())
    kind: ClassVar[int] = LEAST_REQUEST

    @property
    def label(self) -> str:  # type: ignore[override]
        """Name in a legend."""
        again = ", with replacement" if self.with_replacement else ""
        return f"least request of {self.choices}{again}" if self.choices else "least request"

    def check(self) -> None:
        """Weights are positive numbers."""
        check_weights(self.weights)

    def rule(self, delay_s: float = 0.0, refresh_s: float = 0.0) -> PolicyConstants:
        """The policy's constants for the compiled functions."""
        return PolicyConstants(self.kind, self.choices, self.with_replacement, 0.0, 0.0, delay_s, refresh_s)


@dataclass(frozen=True)
class LeastResponseTime(Policy):
    """The lowest product of recent response time (peak EWMA) and requests in flight, as in Finagle."""

    choices: int = parameter(2, "choices d", low=0, high=1000, help="backends compared per request; 0 compares all")
    decay_s: float = parameter(
        10.0,
        "decay",
        unit="s",
        low=1e-6,
        high=1e6,
        scale="log",
        help="how long a slow answer is held against a backend",
    )
    kind: ClassVar[int] = RESPONSE_TIME
    label: ClassVar[str] = "least response time (peak EWMA)"

    def rule(self, delay_s: float = 0.0, refresh_s: float = 0.0) -> PolicyConstants:
        """The policy's constants for the compiled functions."""
        return PolicyConstants(self.kind, self.choices, False, self.decay_s, 0.0, delay_s, refresh_s)


@dataclass(frozen=True)
class JoinIdleQueue(Policy):
    """Idle backends report to a balancer; it sends to one of them, or at random when it knows of none."""

    kind: ClassVar[int] = IDLE_QUEUE
    label: ClassVar[str] = "join idle queue"


@dataclass(frozen=True)
class CentralQueue(Policy):
    """The yardstick: one queue before all servers, so no request ever waits while a server is idle."""

    kind: ClassVar[int] = CENTRAL
    label: ClassVar[str] = "central queue"
    needs_load: ClassVar[bool] = False

    def share(self, backends: int, clients: int, popularity: Floats) -> Floats | None:
        """Nobody's share is fixed."""
        return None


@dataclass(frozen=True)
class KeyAffinity(Policy):
    """The same client to the same backend, by hashing."""

    method: str = parameter("ring", "hashing", choices=hashing.METHODS, help="how a key finds its backend")
    bound: float = parameter(
        0.0,
        "load bound",
        low=0.0,
        high=100.0,
        help="highest load over mean load (1.25: at most 25 % above); 0 for none",
    )
    virtual_nodes: int = parameter(
        100, "virtual nodes", low=1, high=10_000, scale="log", help="points a backend on the ring"
    )
    kind: ClassVar[int] = AFFINITY

    @property
    def label(self) -> str:  # type: ignore[override]
        """Name in a legend."""
        return f"{self.method} hashing" + (f", loads bounded at {self.bound:g}" if self.bound else "")

    @property
    def needs_load(self) -> bool:  # type: ignore[override]
        """Only with a bound."""
        return self.bound > 0

    def check(self) -> None:
        """A bound of 1 or less could never be kept."""
        if 0 < self.bound <= 1:
            raise ValueError(f"KeyAffinity.bound is {self.bound!r}; it takes a number above 1, or 0 for no bound")

    def rule(self, delay_s: float = 0.0, refresh_s: float = 0.0) -> PolicyConstants:
        """The policy's constants for the compiled functions."""
        return PolicyConstants(self.kind, 0, False, 0.0, self.bound, delay_s, refresh_s)

    def preference(self, backends: int, clients: int) -> NDArray[np.int32] | None:
        """Every client's backends in the order in which it would use them."""
        return hashing.preference_order(self.method, backends, clients, virtual_nodes=self.virtual_nodes)

    def share(self, backends: int, clients: int, popularity: Floats) -> Floats | None:
        """Sum of the popularity of the keys that each backend owns."""
        order = self.preference(backends, clients)
        if self.bound > 0 or order is None:
            return None
        return np.bincount(order[:, 0], weights=popularity, minlength=backends).astype(np.float64)


@dataclass(frozen=True)
class Subset(Policy):
    """Each balancer uses only some backends, chosen so that all backends serve equally many balancers.

    Deterministic subsetting of *Site Reliability Engineering* (2016), chapter 20.
    """

    size: int = parameter(10, "subset size", low=1, high=10_000, help="backends that one balancer may use")
    inner: Policy = field(default_factory=lambda: LeastRequest(2))

    @property
    def kind(self) -> int:  # type: ignore[override]
        """The policy used inside the subset."""
        return self.inner.kind

    @property
    def label(self) -> str:  # type: ignore[override]
        """Name in a legend."""
        return f"{self.inner.label} in subsets of {self.size}"

    @property
    def needs_load(self) -> bool:  # type: ignore[override]
        """As the inner policy."""
        return self.inner.needs_load

    def check(self) -> None:
        """A subset of a central queue, of keys or of a subset has no meaning."""
        if self.inner.kind in (CENTRAL, AFFINITY, OWN) or isinstance(self.inner, Subset):
            raise ValueError(f"Subset.inner is {self.inner!r}; it takes a policy that chooses among its members")

    def rule(self, delay_s: float = 0.0, refresh_s: float = 0.0) -> PolicyConstants:
        """The inner policy's constants."""
        return self.inner.rule(delay_s, refresh_s)

    def backend_weights(self, backends: int) -> Floats:
        """The inner policy's weights."""
        return self.inner.backend_weights(backends)

    def members(self, balancer: int, backends: int) -> NDArray[np.int64]:
        """Round r of balancers shares out one shuffle of the backends, so that each backend occurs once a round."""
        if self.size > backends:
            raise ValueError(f"Subset.size is {self.size}; there are only {backends} backends")
        per_round = backends // self.size
        shuffled = np.random.default_rng(balancer // per_round).permutation(backends)
        start = balancer % per_round * self.size
        return np.sort(shuffled[start : start + self.size])

    def share(self, backends: int, clients: int, popularity: Floats) -> Floats | None:
        """Depends on the balancers; left to the run."""
        return None
