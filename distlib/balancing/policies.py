"""Load-balancing policies: which backend gets the next request.

Each is one small function, written once: numba compiles it into the engines of ``distlib.sim.service``, and
``Balancer`` calls the very same step by step. ``distlib.sim.service.balancer_state`` says what it may look at. A frozen
parameter class names it (``LeastRequest(choices=2)``). A reader's own policy is a subclass of ``Policy`` with a method
``choose``; one of this file has a code, and a branch in ``choose_with_care``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from distlib.balancing import hashing
from distlib.core import require
from distlib.core.draw import below, compiled, compiled_apart, place
from distlib.core.exact import as_written
from distlib.core.parameter import parameter
from distlib.sim.service.balancer_state import (
    BalancerState,
    Floats,
    Ints,
    PolicyConstants,
    draw_below,
    leave,
    observe_latency,
    requests_in_flight,
)
from distlib.sim.service.policy import Policy

CODES = range(8)
RANDOM, ROUND_ROBIN, WEIGHTED_ROUND_ROBIN, SMOOTH, LEAST_REQUEST, RESPONSE_TIME, IDLE_QUEUE, AFFINITY = CODES
UNKNOWN_LATENCY = 1e9  # cost of a busy backend that has never answered (Finagle calls it the penalty)
LONGEST_START = 10_000  # turns among which a smooth round robin's first one is drawn, where its period is longer


@compiled
def random_backend(known: BalancerState, me: int) -> int:
    """Each backend with the same probability."""
    return known.members[place(me), place(draw_below(known, me, known.size[place(me)]))]


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


@compiled_apart
def smooth_turns(known: BalancerState, me: int, turns: int) -> None:
    """So many choices whose requests nobody sends."""
    for _ in range(turns):
        smooth_weighted_round_robin(known, me)


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
    pick = place(k + draw_below(known, me, known.size[place(me)] - k))
    backend = known.members[place(me), pick]
    known.members[place(me), pick] = known.members[place(me), place(k)]
    known.members[place(me), place(k)] = backend
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
    if rule.code != RESPONSE_TIME:
        return (in_flight + 1) * known.share[place(backend)]
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
    capacity = 0
    if rule.bound_over > 0:  # Mirrokni, Thorup & Zadimoghaddam 2018: at most bound times the mean load, rounded up
        total = 1
        for i in range(known.size[me]):
            total += requests_in_flight(rule, known, me, known.members[me, i], now)
        capacity = -(-rule.bound_over * total // (rule.bound_under * known.size[me]))
    order = known.preference[client]
    for backend in order:
        if known.available[me, backend] and (
            rule.bound_over == 0 or requests_in_flight(rule, known, me, backend, now) + 1 <= capacity
        ):
            return backend
    return random_backend(known, me)


@compiled
def choose(rule: PolicyConstants, known: BalancerState, me: int, now: float, client: int) -> int:
    """The backend for one request, by whichever of these policies it is; -1 when this balancer has none left."""
    if known.size[me] == 0:
        return -1
    if rule.code == RANDOM:
        return random_backend(known, me)
    if rule.code == ROUND_ROBIN:
        return round_robin(known, me)
    return choose_with_care(rule, known, me, now, client)


@compiled_apart
def choose_with_care(rule: PolicyConstants, known: BalancerState, me: int, now: float, client: int) -> int:
    """The policies that look at something first."""
    if rule.code == LEAST_REQUEST or rule.code == RESPONSE_TIME:
        return least_request(rule, known, me, now)
    if rule.code == SMOOTH:
        return smooth_weighted_round_robin(known, me)
    if rule.code == WEIGHTED_ROUND_ROBIN:
        return weighted_round_robin(known, me)
    if rule.code == IDLE_QUEUE:
        return join_idle_queue(known, me, now)
    return key_affinity(rule, known, me, now, client)


@compiled
def choose_least_request(rule: PolicyConstants, known: BalancerState, me: int, now: float, client: int) -> int:
    """``choose`` for the policy that deserves a loop of its own: with no other in the way it runs twice as fast."""
    plain = PolicyConstants(
        LEAST_REQUEST, rule.choices, rule.with_replacement, 0.0, 0, 1, False, rule.delay_s, rule.refresh_s, False
    )  # what the compiler knows, it leaves out: latencies, and failures, of which the fast engine has none
    return least_request(plain, known, me, now)


@compiled
def choose_response_time(rule: PolicyConstants, known: BalancerState, me: int, now: float, client: int) -> int:
    """The same for peak EWMA."""
    return least_request(rule, known, me, now)


@dataclass(frozen=True)
class CompiledPolicy(Policy):
    """A policy of this file; ``code`` says which."""

    compiled: ClassVar[Any] = staticmethod(choose)
    needs_client: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        if getattr(cls, "code", None) not in CODES:
            raise TypeError(
                f"{cls.__name__}.code is {getattr(cls, 'code', None)!r}, and choose() has branches for "
                f"{CODES[0]} to {CODES[-1]}; a policy without one derives from Policy and has a method choose"
            )


@dataclass(frozen=True)
class Random(CompiledPolicy):
    """Each backend with the same probability."""

    code: ClassVar[int] = RANDOM
    label: ClassVar[str] = "random"
    needs_load: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class InTurn(CompiledPolicy):
    """A policy that goes through the backends in turn. Balancers that all began at the first would go on in step, and
    every backend would get their requests in bursts (Envoy and gRPC begin at random for this reason)."""

    start: str = parameter("random", "first turn", choices=("random", "first"),
        help="where a balancer begins: anywhere in its period, or, like all others, at the first backend")  # fmt: skip
    name: ClassVar[str]
    needs_load: ClassVar[bool] = False

    @property
    def label(self) -> str:  # type: ignore[override]
        return self.name + (", all from the first" if self.start == "first" else "")

    def begin(self, known: BalancerState, me: int, key: int) -> None:
        if self.start == "random":
            self.skip(known, me, known.members[me, : known.size[me]], np.uint64(key))

    def skip(self, known: BalancerState, me: int, members: Ints, key: np.uint64) -> None:
        """Leave out as many turns as a draw of the stream ``key`` says, less than a period."""
        raise NotImplementedError


@dataclass(frozen=True)
class RoundRobin(InTurn):
    """The backends in turn."""

    code: ClassVar[int] = ROUND_ROBIN
    name: ClassVar[str] = "round robin"

    def skip(self, known: BalancerState, me: int, members: Ints, key: np.uint64) -> None:
        known.cursor[me] = below(key, 0, members.size) - 1


@dataclass(frozen=True)
class WeightedRoundRobin(InTurn):
    """Each backend as many times in a row as its weight says."""

    weights: tuple[float, ...] = field(default=())
    code: ClassVar[int] = WEIGHTED_ROUND_ROBIN
    name: ClassVar[str] = "weighted round robin"

    def skip(self, known: BalancerState, me: int, members: Ints, key: np.uint64) -> None:
        ends = known.weight[members].cumsum().astype(np.int64)
        turn = below(key, 0, int(ends[-1]))
        known.cursor[me] = at = int(np.searchsorted(ends, turn, side="right"))
        known.credit[me, members[at]] = ends[at] - turn

    def check(self) -> None:
        super().check()
        for backend, weight in enumerate(self.weights):
            if weight != int(weight):
                raise ValueError(f"weights[{backend}] is {weight!r}; turns are counted, so it takes a whole number")


@dataclass(frozen=True)
class SmoothWeightedRoundRobin(InTurn):
    """The same shares, spread evenly over time (nginx)."""

    weights: tuple[float, ...] = field(default=())
    code: ClassVar[int] = SMOOTH
    name: ClassVar[str] = "smooth weighted round robin"

    def skip(self, known: BalancerState, me: int, members: Ints, key: np.uint64) -> None:
        values, times = np.unique(known.weight[members], return_counts=True)
        weights = [as_written(value) for value in values]
        unit = Fraction(math.gcd(*(one.numerator for one in weights)), math.lcm(*(one.denominator for one in weights)))
        period = sum(weight * int(count) for weight, count in zip(weights, times, strict=True)) / unit
        smooth_turns(known, me, below(key, 0, min(int(period), LONGEST_START)))


@dataclass(frozen=True)
class LeastRequest(CompiledPolicy):
    """The backend with the fewest requests in flight, of all or of a few taken at random."""

    choices: int = parameter(0, "choices d", low=0, high=1000, help="backends compared per request; 0 compares all")
    with_replacement: bool = parameter(False, "with replacement",
        help="whether the same backend may be drawn twice for one request")  # fmt: skip
    weights: tuple[float, ...] = field(default=())
    code: ClassVar[int] = LEAST_REQUEST
    compiled_alone: ClassVar[Any] = staticmethod(choose_least_request)

    @property
    def label(self) -> str:  # type: ignore[override]
        again = ", with replacement" if self.with_replacement else ""
        return f"least request of {self.choices}{again}" if self.choices else "least request"


@dataclass(frozen=True)
class LeastResponseTime(CompiledPolicy):
    """The lowest product of recent response time (peak EWMA) and requests in flight, as in Finagle."""

    choices: int = parameter(2, "choices d", low=0, high=1000, help="backends compared per request; 0 compares all")
    decay_s: float = parameter(10.0, "decay", unit="s", low=1e-6, high=1e6, scale="log",
        help="how long a slow answer is held against a backend")  # fmt: skip
    code: ClassVar[int] = RESPONSE_TIME
    compiled_alone: ClassVar[Any] = staticmethod(choose_response_time)
    label: ClassVar[str] = "least response time (peak EWMA)"


@dataclass(frozen=True)
class JoinIdleQueue(CompiledPolicy):
    """Idle backends report to a balancer; it sends to one of them, or at random when it knows of none."""

    code: ClassVar[int] = IDLE_QUEUE
    label: ClassVar[str] = "join idle queue"
    reports_idle: ClassVar[bool] = True


@dataclass(frozen=True)
class KeyAffinity(CompiledPolicy):
    """The same client to the same backend, by hashing."""

    method: str = parameter("ring", "hashing", choices=hashing.METHODS, help="how a key finds its backend")
    bound: float = parameter(0.0, "load bound", low=0.0, high=100.0,
        help="highest load over mean load (1.25: at most 25 % above); 0 for none")  # fmt: skip
    virtual_nodes: int = parameter(100, "virtual nodes", low=1, high=10_000, scale="log",
        help="points a backend on the ring")  # fmt: skip
    code: ClassVar[int] = AFFINITY
    needs_client: ClassVar[bool] = True

    def constants(self) -> PolicyConstants:
        bound = as_written(self.bound).limit_denominator(10**9)  # small enough to multiply by a number of requests
        return super().constants()._replace(bound_over=bound.numerator, bound_under=bound.denominator)

    @property
    def label(self) -> str:  # type: ignore[override]
        return f"{self.method} hashing" + (f", loads bounded at {self.bound:g}" if self.bound else "")

    @property
    def needs_load(self) -> bool:  # type: ignore[override]
        return self.bound > 0

    def check(self) -> None:
        if self.bound:
            require.above("KeyAffinity.bound (0 for no bound)", self.bound, 1)

    def preference(self, backends: int, clients: int) -> NDArray[np.int32]:
        return hashing.preference_order(self.method, backends, clients, virtual_nodes=self.virtual_nodes)

    def share(self, backends: int, clients: int, popularity: Floats) -> Floats | None:
        """Sum of the popularity of the keys that each backend owns."""
        if self.bound > 0:
            return None
        order = self.preference(backends, clients)
        return np.bincount(order[:, 0], weights=popularity, minlength=backends).astype(np.float64)


@dataclass(frozen=True)
class Subset(Policy):
    """Each balancer uses only some backends, chosen so that all backends serve equally many balancers. Deterministic
    subsetting of *Site Reliability Engineering* (2016), chapter 20. In all else as the policy ``inner``."""

    size: int = parameter(10, "subset size", low=1, high=10_000, help="backends that one balancer may use")
    inner: Policy = field(default_factory=lambda: LeastRequest(2))

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("compiled", "compiled_alone", "needs_load", "needs_client", "reports_idle", "constants", "begin"):
            object.__setattr__(self, name, getattr(self.inner, name))

    @property
    def label(self) -> str:  # type: ignore[override]
        return f"{self.inner.label} in subsets of {self.size}"

    def check(self) -> None:
        """A subset of a central queue, of keys or of a subset has no meaning."""
        if self.inner.compiled is None or self.inner.central or isinstance(self.inner, (KeyAffinity, Subset)):
            raise ValueError(f"Subset.inner is {self.inner!r}; it takes a policy that chooses among its members")

    def backend_weights(self, backends: int) -> Floats:
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
        return None
