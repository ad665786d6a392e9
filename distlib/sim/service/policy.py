"""What a balancing policy is to the service, and what it sees of its balancer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from distlib.core import require
from distlib.core.draw import compiled
from distlib.core.parameter import Parameters
from distlib.sim.service.balancer_state import BalancerState, Floats, PolicyConstants

WEIGHTS = 1e-6, 1e6  # the range of a weight


class BalancerView(Protocol):
    """What a policy sees of its balancer."""

    backends: int
    memory: dict[str, Any]  # what a policy remembers between two requests

    @property
    def available(self) -> Sequence[int]:
        """Backends that may be chosen, in order."""

    @property
    def in_flight(self) -> Sequence[int]:
        """Requests that this balancer sent to each backend and that are not answered yet."""

    def draw(self, size: int) -> int:
        """The next random whole number from 0 to ``size`` − 1 of this balancer's stream."""


@dataclass(frozen=True)
class Policy(Parameters):
    """A load-balancing policy. Subclass it and write ``choose`` to try one of your own, which runs step by step.

    One for the compiled engines states ``compiled``, a function ``(rule, known, me, now, client) -> backend`` of
    ``distlib.core.draw``; ``rule`` holds those of its fields that ``PolicyConstants`` names. ``compiled_alone`` may be
    the same for this policy only, where a loop with no other policy in the way pays its own compilation.
    """

    label: ClassVar[str] = "own policy"
    code: ClassVar[int] = 0
    compiled: ClassVar[Any] = None
    compiled_alone: ClassVar[Any] = None
    central: ClassVar[bool] = False  # one queue for all backends, so there is nothing to choose
    needs_load: ClassVar[bool] = True  # looks at requests in flight
    needs_client: ClassVar[bool] = True  # looks at whose request it is
    reports_idle: ClassVar[bool] = False  # idle backends report to a balancer

    def choose(self, seen: BalancerView, now: float, client: int) -> int:
        """The backend for one request: one of ``seen.available``. ``seen.in_flight[b]`` is the number of requests this
        balancer sent to ``b`` without an answer yet, ``seen.draw(size)`` a random whole number below ``size``; ``now``
        is in seconds."""
        raise NotImplementedError(f"{type(self).__name__} needs a method choose(self, seen, now, client)")

    def constants(self) -> PolicyConstants:
        """What the compiled functions know of the policy."""
        return PolicyConstants(**{name: getattr(self, name) for name in PolicyConstants._fields if hasattr(self, name)})

    def check(self) -> None:
        """Where a policy has weights, they are so even that no cost is lost by rounding."""
        for backend, weight in enumerate(getattr(self, "weights", ())):
            require.number(f"weights[{backend}]", weight, *WEIGHTS)

    def backend_weights(self, backends: int) -> Floats:
        """One weight a backend; ``ValueError`` when their number does not fit."""
        weights: tuple[float, ...] = getattr(self, "weights", ())
        if weights and len(weights) != backends:
            raise ValueError(f"weights has {len(weights)} values for {backends} backends; give one a backend")
        return np.array(weights or (1.0,) * backends, np.float64)

    def members(self, balancer: int, backends: int) -> NDArray[np.int64]:
        """Backends that balancer number ``balancer`` may use; all of them, unless the policy says otherwise."""
        return np.arange(backends)

    def begin(self, known: BalancerState, me: int, key: int) -> None:
        """What is drawn for balancer ``me`` before its first request, from the random stream ``key``; here nothing."""

    def preference(self, backends: int, clients: int) -> NDArray[np.int32] | None:
        """Order of backends for every client, shape (clients, backends), or None without key affinity."""
        return None

    def share(self, backends: int, clients: int, popularity: Floats) -> Floats | None:
        """Long-run share of requests of each backend where it is fixed in advance, else None."""
        weights = self.backend_weights(backends)
        return None if self.needs_load or self.central else weights / weights.sum()


@compiled
def only_station(rule: PolicyConstants, known: BalancerState, me: int, now: float, client: int) -> int:
    """The one queue that there is."""
    return 0


@dataclass(frozen=True)
class CentralQueue(Policy):
    """The yardstick: one queue before all servers, so no request ever waits while a server is idle."""

    label: ClassVar[str] = "central queue"
    compiled: ClassVar[Any] = staticmethod(only_station)
    central: ClassVar[bool] = True
    needs_load: ClassVar[bool] = False
    needs_client: ClassVar[bool] = False
