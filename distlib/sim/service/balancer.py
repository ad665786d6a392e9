"""A balancer to drive by hand: choose, wait, tell it the answer. For lessons, for real proxies and for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from distlib.balancing import policies as balancing
from distlib.balancing.policies import CENTRAL, OWN, Policy
from distlib.core.seeds import Seeds
from distlib.sim.service.balancer_state import answered, draw_below, enter, new_balancer_state, send, set_available

PLAIN: dict[int, Any] = {  # each policy's own source, for a debugger or a reader
    balancing.RANDOM: lambda rule, known, now, client: plain(balancing.random_backend)(known, 0),
    balancing.ROUND_ROBIN: lambda rule, known, now, client: plain(balancing.round_robin)(known, 0),
    balancing.WEIGHTED_ROUND_ROBIN: lambda rule, known, now, client: plain(balancing.weighted_round_robin)(known, 0),
    balancing.SMOOTH: lambda rule, known, now, client: plain(balancing.smooth_weighted_round_robin)(known, 0),
    balancing.LEAST_REQUEST: lambda rule, known, now, client: plain(balancing.least_request)(rule, known, 0, now),
    balancing.RESPONSE_TIME: lambda rule, known, now, client: plain(balancing.least_request)(rule, known, 0, now),
    balancing.IDLE_QUEUE: lambda rule, known, now, client: plain(balancing.join_idle_queue)(known, 0, now),
    balancing.AFFINITY: lambda rule, known, now, client: plain(balancing.key_affinity)(rule, known, 0, now, client),
}


def plain(function: Any) -> Any:
    """The uncompiled source of a compiled function."""
    return function.py_func


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
    the compiled engine does. With ``compiled=False`` the policy's own source runs, line by line.
    """

    def __init__(
        self,
        policy: Policy,
        backends: int,
        seed: int = 0,
        *,
        number: int = 0,
        clients: int = 1,
        servers: int = 1,
        compiled: bool = True,
    ) -> None:
        if backends < 1:
            raise ValueError(f"backends is {backends}; a balancer needs at least one")
        if policy.kind == CENTRAL:
            raise ValueError("a central queue makes no choice, so there is no balancer for it; simulate it instead")
        self.policy = policy
        self.backends = backends
        self.compiled = compiled
        self.rule = policy.rule()
        self.memory: dict[str, Any] = {}  # what a policy of the reader's own remembers between two requests
        self.known = new_balancer_state(
            backends,
            keys=choice_keys(seed, number, 1),
            weights=policy.backend_weights(backends),
            preference=policy.preference(backends, clients),
            servers=servers,
        )
        member_set = set(policy.members(number, backends).tolist())
        for backend in set(range(backends)) - member_set:
            set_available(self.known, 0, backend, False)

    @property
    def in_flight(self) -> list[int]:
        """Requests sent to each backend and not answered yet."""
        return self.known.in_flight[0].tolist()

    @property
    def available(self) -> list[int]:
        """Backends that may be chosen, in order."""
        return np.flatnonzero(self.known.available[0]).tolist()

    @property
    def latency_s(self) -> list[float]:
        """Peak EWMA of each backend's response time, as of its last answer or look (0 where none is kept)."""
        return self.known.latency[0].tolist()

    def draw(self, size: int) -> int:
        """The next random whole number from 0 to ``size`` − 1 of this balancer's stream."""
        return int(draw_below(self.known, 0, size))

    def choose(self, now: float = 0.0, client: int = 0) -> int:
        """Choose a backend for one request of ``client`` at time ``now`` (seconds) and count it as in flight.

        Raises ``NoBackendError`` when all backends are ejected.
        """
        if self.known.size[0] == 0:
            raise NoBackendError(f"all {self.backends} backends are ejected; take one back with readmit(backend)")
        backend = self._choice(now, client)
        send(self.known, 0, backend)
        enter(self.known, backend)
        return backend

    def _choice(self, now: float, client: int) -> int:
        if self.policy.kind == OWN:
            backend = self.policy.choose(self, now, client)
            if not (isinstance(backend, (int, np.integer)) and 0 <= backend < self.backends):
                raise ValueError(
                    f"{type(self.policy).__name__}.choose returned {backend!r}; choose one of {self.available}"
                )
            return int(backend)
        if self.compiled:
            return int(balancing.choose(self.rule, self.known, 0, now, client))
        return int(PLAIN[self.policy.kind](self.rule, self.known, now, client))

    def answer(self, backend: int, response_s: float, now: float, *, failed: bool = False) -> None:
        """Tell that a request to ``backend`` came back at ``now`` after ``response_s`` seconds."""
        if not 0 <= backend < self.backends or self.known.in_flight[0, backend] == 0:
            raise ValueError(f"backend {backend} has no request in flight to answer")
        answered(self.rule, self.known, 0, backend, response_s, now, failed)
        self.known.in_system[backend] -= 1
        if self.known.in_system[backend] == self.known.servers[backend] - 1:
            self.known.token[backend] = 0

    def eject(self, backend: int) -> None:
        """Send nothing more to ``backend``."""
        self._set_available(backend, False)

    def readmit(self, backend: int) -> None:
        """Take ``backend`` back."""
        self._set_available(backend, True)

    def _set_available(self, backend: int, available: bool) -> None:
        if not 0 <= backend < self.backends:
            raise ValueError(f"backend is {backend}; it takes a whole number from 0 to {self.backends - 1}")
        set_available(self.known, 0, backend, available)


def choice_keys(seed: int, first: int, balancers: int) -> NDArray[np.uint64]:
    """Keys of the balancers' choice streams, apart from those of arrivals and service times."""
    seeds = Seeds(seed)
    return np.array([seeds.number("choice", first + i) for i in range(balancers)], np.uint64)
