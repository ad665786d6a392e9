"""A reader's policy in the simulator: what it may look at, and what it does wrong said in a sentence."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Sequence
from dataclasses import FrozenInstanceError, dataclass, field
from time import monotonic
from typing import Any, ClassVar

import numpy as np

from distlib.core.node import Endless
from distlib.labs.sandbox import watch_calls
from distlib.sim.service.policy import BalancerView, Policy

CHOICE_LIMIT_S, RUN_LIMIT_S = 2.0, 60.0


class PolicyError(Exception):
    """What is wrong with a reader's policy, in words for the reader."""


class Looked(Sequence[int]):
    """Requests in flight by backend; ``seen`` gets the numbers of those at which somebody looked. There is no way to
    the values but by ``look``."""

    def __init__(self, values: Sequence[int], seen: set[int]) -> None:
        def look(at: Any) -> Any:
            places = range(len(values))[at]
            seen.update(places if isinstance(at, slice) else [places])
            return values[at]

        self._look, self._size = look, len(values)

    def __getitem__(self, at: Any) -> Any:
        return self._look(at)

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return repr(self._look(slice(None)))


class PolicyView:
    """What a policy sees of its balancer: ``available``, ``in_flight``, ``backends``, ``memory``, ``draw(size)``."""

    def __init__(self, balancer: BalancerView) -> None:
        self.backends = balancer.backends
        self.available = balancer.available
        self.memory = balancer.memory

        def draw(size: int) -> int:  # the method itself would lead to the balancer
            return balancer.draw(size)

        self.draw = draw
        self.looked: set[int] = set()
        self.in_flight = Looked(balancer.in_flight, self.looked)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"`seen` has no {name!r}; it has available, in_flight, backends, memory and draw(size)")


@dataclass(frozen=True)
class ReaderPolicy(Policy):
    """A reader's ``choose`` as a policy; ``most`` is how many backends it may look at for one request (0: all).
    ``spent_s[0]`` is how long all choices together took so far."""

    choose_one: Callable[..., Any] = field(kw_only=True)
    most: int = 0
    spent_s: list[float] = field(default_factory=lambda: [0.0])
    label: ClassVar[str] = "your policy"

    def choose(self, seen: BalancerView, now: float, client: int) -> int:
        """One choice, checked. Raises ``PolicyError``."""
        view, begun_s = PolicyView(seen), monotonic()
        try:
            backend = self.choose_one(view, now, client)
        except Endless as error:
            raise PolicyError(str(error)) from None
        except Exception as error:
            raise PolicyError(explain(error)) from error
        self.spent_s[0] += monotonic() - begun_s
        if self.spent_s[0] > RUN_LIMIT_S:
            raise PolicyError(f"the choices together took more than {RUN_LIMIT_S:g} s; make choose faster")
        check_choice(backend, seen.backends, view.available)
        if self.most and len(view.looked) > self.most:
            raise PolicyError(
                f"choose looked at the requests in flight of {len(view.looked)} backends; "
                f"in this exercise it may look at {self.most} for one request"
            )
        return int(backend)


def watch_choices() -> None:
    """From now on, a choice that does not come back is ended; in the main thread of a process of its own."""
    watch_calls(
        CHOICE_LIMIT_S,
        lambda frame: frame.f_code is ReaderPolicy.choose.__code__,
        lambda _call, _now: f"one choice took more than {CHOICE_LIMIT_S:g} s; is there an endless loop?",
    )


def check_choice(backend: Any, backends: int, available: Sequence[int]) -> None:
    """``PolicyError`` unless ``backend`` is one of those that may be chosen."""
    if backend is None:
        raise PolicyError("choose returned None; is a `return` missing on some path?")
    if isinstance(backend, (bool, np.bool_)) or not isinstance(backend, (int, np.integer)):
        raise PolicyError(
            f"choose returned {backend!r}, a {type(backend).__name__}; it returns the number of a backend, "
            f"a whole number from 0 to {backends - 1}"
        )
    if not 0 <= backend < backends:
        raise PolicyError(f"choose returned {backend}; there are backends 0 to {backends - 1}")
    if backend not in available:
        raise PolicyError(f"choose returned {backend}, which is not available; choose one of {list(available)}")


def explain(error: Exception) -> str:
    """An exception of the reader's code: what, where, and for two common slips what to do."""
    inside = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    where = f" in line {inside[-1].lineno} of {inside[-1].name}" if inside else ""
    line = f" ({inside[-1].line})" if inside and inside[-1].line else ""
    text = f"choose raised {type(error).__name__}{where}{line}: {error}"
    if isinstance(error, FrozenInstanceError):
        text += ". A policy is frozen: keep what must be remembered in seen.memory, for example seen.memory['next'] = 3"
    if isinstance(error, RecursionError):
        text = f"choose calls itself without end{where}"
    return text


def chooser(policy: Any) -> Callable[..., Any]:
    """The ``choose`` of a class, an instance or a function. Raises ``PolicyError``."""
    if isinstance(policy, type):
        if not hasattr(policy, "choose"):
            raise PolicyError(f"{policy.__name__} has no method choose(self, seen, now, client)")
        try:
            policy = policy()
        except Exception as error:
            raise PolicyError(f"{policy.__name__}() failed: {type(error).__name__}: {error}") from error
    name = policy.__name__ if inspect.isfunction(policy) else type(policy).__name__
    choose = policy if inspect.isfunction(policy) else getattr(policy, "choose", None)
    if not callable(choose):
        raise PolicyError(f"give the class of a policy, with a method choose(self, seen, now, client), not {policy!r}")
    if getattr(choose, "__func__", choose) is Policy.choose:
        raise PolicyError(f"{name} has no choose of its own; write choose(self, seen, now, client)")
    try:
        inspect.signature(choose).bind(None, 0.0, 0)
    except TypeError as error:
        wanted = "(seen, now, client)" if inspect.isfunction(policy) else "(self, seen, now, client)"
        raise PolicyError(f"choose takes {inspect.signature(choose)}; write choose{wanted} ({error})") from error
    return choose
