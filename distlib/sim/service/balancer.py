"""A balancer to drive by hand: choose, wait, tell it the answer. For lessons, for real proxies and for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distlib.core import require
from distlib.core.draw import below, bits
from distlib.core.seeds import Seeds
from distlib.sim.service.balancer_state import BalancerState, answered, draw_below, enter, send, set_available
from distlib.sim.service.policy import Policy
from distlib.sim.workload import Workload

NO_REQUESTS = Workload(np.zeros(0), np.zeros(0), np.zeros(1, np.int32), np.zeros(1, np.int32))


class NoBackendError(RuntimeError):
    """Every backend is ejected, so there is nowhere to send a request."""


class Balancer:
    """One balancer over ``backends`` backends, step by step.

        balancer = Balancer(LeastRequest(2), backends=3, seed=7)
        backend = balancer.choose(now=0.0)
        ...
        balancer.answer(backend, response_s=0.12, now=0.12)

    ``servers`` is the number of requests that a backend serves at a time (who waits for idle ones must know), and
    ``number`` tells balancers in front of the same backends apart. The same seed and number make the same choices as
    the compiled engine does. ``memory`` is what a policy of the reader's own remembers between two requests.
    """

    def __init__(
        self, policy: Policy, backends: int, seed: int = 0, *, number: int = 0, clients: int = 1, servers: int = 1
    ) -> None:
        require.instance("policy", policy, Policy, "a balancing policy, such as LeastRequest(2)")
        if require.whole("backends", backends) < 1:
            raise ValueError(f"backends is {backends}; a balancer needs at least one")
        for name, value in (("clients", clients), ("servers", servers)):
            require.whole(name, value, 1)
        if policy.central:
            raise ValueError("a central queue makes no choice, so there is no balancer for it; simulate it instead")
        self.policy = policy
        self.backends = backends
        self.rule = policy.constants()
        self.memory: dict[str, Any] = {}
        self.known = new_balancer_state(policy, backends, seed, first=number, clients=clients, servers=servers)

    @property
    def in_flight(self) -> list[int]:
        """Requests sent to each backend and not answered yet."""
        return self.known.in_flight[0].tolist()

    @property
    def available(self) -> list[int]:
        """Backends that may be chosen, in order."""
        return np.flatnonzero(self.known.available[0]).tolist()

    def draw(self, size: int) -> int:
        """The next random whole number from 0 to ``size`` − 1 of this balancer's stream."""
        return int(draw_below(self.known, 0, size))

    def choose(self, now: float = 0.0, client: int = 0) -> int:
        """Choose a backend for one request of ``client`` at time ``now`` (seconds) and count it as in flight. Raises
        ``NoBackendError`` when all backends are ejected."""
        require.number("now", now)
        if self.policy.needs_client and self.policy.compiled is not None:
            require.whole("client", client, 0, self.known.preference.shape[0] - 1)
        if self.known.size[0] == 0:
            raise NoBackendError(f"all {self.backends} backends are ejected; take one back with readmit(backend)")
        if self.policy.compiled is not None:
            backend = int(self.policy.compiled(self.rule, self.known, 0, now, client))
        else:
            backend = self._own_choice(now, client)
        send(self.known, 0, backend)
        enter(self.known, backend)
        return backend

    def _own_choice(self, now: float, client: int) -> int:
        backend = self.policy.choose(self, now, client)
        if not (isinstance(backend, (int, np.integer)) and 0 <= backend < self.backends):
            name = type(self.policy).__name__
            raise ValueError(f"{name}.choose returned {backend!r}; choose one of {self.available}")
        return int(backend)

    def answer(self, backend: int, response_s: float, now: float, *, failed: bool = False) -> None:
        """Tell that a request to ``backend`` came back at ``now`` after ``response_s`` seconds."""
        if not 0 <= backend < self.backends or self.known.in_flight[0, backend] == 0:
            raise ValueError(f"backend {backend} has no request in flight to answer")
        require.number("response_s", response_s, 0)
        require.number("now", now)
        answered(self.rule, self.known, 0, backend, response_s, now, failed)
        self.known.in_system[backend] -= 1
        if self.known.in_system[backend] == self.known.servers[backend] - 1:
            self.known.token[backend] = 0

    def eject(self, backend: int) -> None:
        """Send nothing more to ``backend``."""
        set_available(self.known, 0, require.whole("backend", backend, 0, self.backends - 1), False)

    def readmit(self, backend: int) -> None:
        """Take ``backend`` back."""
        set_available(self.known, 0, require.whole("backend", backend, 0, self.backends - 1), True)


def choice_keys(seed: int, first: int, balancers: int) -> NDArray[np.uint64]:
    """Keys of the balancers' choice streams, apart from those of arrivals and service times."""
    seeds = Seeds(seed)
    return np.array([seeds.number("choice", first + i) for i in range(balancers)], np.uint64)


def new_balancer_state(
    policy: Policy, backends: int, seed: int, *, first: int = 0, balancers: int = 1, clients: int = 1, servers: int = 1,
    load: Workload = NO_REQUESTS, ordered: bool = True,
) -> BalancerState:  # fmt: skip
    """State before the first request: all backends of a balancer's members idle, available and unknown.

    The balancers are numbers ``first``, ``first`` + 1, ... The engines, which list answers, give the requests, and
    ``ordered`` says that every backend answers in order of arrival; a balancer that is told its answers needs neither.
    """
    m, n, jobs = balancers, backends, load.arrival_s.size
    weights, members = policy.backend_weights(n), [policy.members(first + me, n) for me in range(m)]
    first_report = np.uint64(Seeds(seed).number("idle queue"))
    token_key = np.array([bits(first_report, backend) for backend in range(n)], np.uint64)
    user, users = users_of(members if policy.reports_idle else [], n)
    preference = policy.preference(n, clients)
    departure = np.empty(jobs + n)
    departure[jobs:] = -np.inf
    following = np.empty(jobs + n, np.int32)
    following[jobs:] = -1
    heads = np.arange(jobs, jobs + n)
    known = BalancerState(
        key=choice_keys(seed, first, m), draws=np.zeros(m, np.int64),
        members=np.tile(np.arange(n), (m, 1)), size=np.full(m, n), available=np.ones((m, n), np.bool_),
        weight=weights, share=1.0 / weights,
        in_flight=np.zeros((m, n), np.int64), posted=np.zeros(n, np.int64),
        credit=np.zeros((m, n)), cursor=np.full(m, -1), latency=np.zeros((m, n)), latency_at=np.zeros((m, n)),
        failures=np.zeros((m, n), np.int64),
        token=np.full(n, -1), token_key=token_key, reports=np.zeros(n, np.int64), user=user, users=users,
        preference=np.zeros((1, n), np.int32) if preference is None else preference,
        servers=np.full(n, servers), in_system=np.zeros(n, np.int64),
        heard=heads.copy(), next_answer=np.full(n, np.inf), left=heads.copy(), last=heads.copy(),
        arrival=load.arrival_s, service=load.service_s, sender=load.sender, client=load.client,
        start=np.empty(jobs), departure=departure, backend=np.empty(jobs, np.int32), status=np.zeros(jobs, np.int8),
        following=following, preceding=np.full(1 if ordered else jobs + n, -1, np.int32),
    )  # fmt: skip
    for me in range(m):
        if members[me].size < n:
            for left_out in np.setdiff1d(np.arange(n), members[me]):
                set_available(known, me, left_out, False)
        policy.begin(known, me, Seeds(seed).number("first turn", first + me))
    for backend in np.flatnonzero(users):  # they are idle, and in somebody's queue
        known.token[backend] = user[backend, below(token_key[backend], 0, int(users[backend]))]
        known.reports[backend] = 1
    return known


def users_of(members: list[NDArray[np.int64]], backends: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """For every backend, the numbers of the balancers that have it among their ``members``, and how many they are."""
    backend = np.concatenate(members) if members else np.zeros(0, np.int64)
    balancer = np.repeat(np.arange(len(members), dtype=np.int32), np.array([one.size for one in members], np.int64))
    users = np.bincount(backend, minlength=backends)
    table = np.zeros((backends, max(1, int(users.max()))), np.int32)
    order = np.argsort(backend, kind="stable")
    place = np.arange(order.size) - np.repeat(users.cumsum() - users, users)
    table[backend[order], place] = balancer[order]
    return table, users
