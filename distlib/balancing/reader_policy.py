"""Run a reader's policy with care: what it does wrong becomes a sentence, and an endless loop ends."""

from __future__ import annotations

import ctypes
import inspect
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import FrozenInstanceError, dataclass, field
from typing import Any

import numpy as np

from distlib.sim.service.balancer import Balancer
from distlib.sim.service.policy import Policy

CHOICE_LIMIT_S, RUN_LIMIT_S = 2.0, 60.0


class PolicyError(Exception):
    """What is wrong with a reader's policy, in words for the reader."""


class Interrupted(BaseException):
    """Raised in the reader's code when its time is up; no ``except Exception`` stops it."""


class Looked(Sequence[int]):
    """Requests in flight by backend; remembers at which backends somebody looked."""

    def __init__(self, values: list[int], seen: set[int]) -> None:
        self._values, self._seen = values, seen

    def __getitem__(self, at: Any) -> Any:
        self._seen.update(range(len(self._values))[at] if isinstance(at, slice) else [range(len(self._values))[at]])
        return self._values[at]

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        self._seen.update(range(len(self._values)))
        return repr(self._values)


class PolicyView:
    """What a policy sees of its balancer: ``available``, ``in_flight``, ``backends``, ``memory``, ``draw(size)``."""

    def __init__(self, balancer: Balancer) -> None:
        self.backends = balancer.backends
        self.available = balancer.available
        self.memory = balancer.memory
        self.draw = balancer.draw
        self.looked: set[int] = set()
        self.in_flight = Looked(balancer.in_flight, self.looked)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"`seen` has no {name!r}; it has available, in_flight, backends, memory and draw(size)")


@dataclass(frozen=True)
class Guarded(Policy):
    """A reader's ``choose`` as a policy. ``watch`` times its choices; ``most`` is how many backends it may look at."""

    choose_one: Callable[..., Any] = field(default=lambda seen, now, client: 0)
    watch: Any = None
    most: int = 0
    name: str = "your policy"

    @property
    def label(self) -> str:  # type: ignore[override]
        """Its name in tables."""
        return self.name

    def choose(self, seen: Balancer, now: float, client: int) -> int:
        """One choice, checked. Raises ``PolicyError``."""
        view = PolicyView(seen)
        self.watch.begin()
        try:
            backend = self.choose_one(view, now, client)
        except Interrupted:
            raise PolicyError(self.watch.reason) from None
        except Exception as error:
            raise PolicyError(explain(error)) from error
        finally:
            self.watch.end()
        check_choice(backend, seen.backends, view.available)
        if self.most and len(view.looked) > self.most:
            raise PolicyError(
                f"choose looked at the requests in flight of {len(view.looked)} backends; "
                f"in this exercise it may look at {self.most} for one request"
            )
        return int(backend)


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


class CallWatch:
    """Interrupts the thread that made it when one choice, or all of them together, take too long."""

    def __init__(self, choice_limit_s: float = CHOICE_LIMIT_S, run_limit_s: float = RUN_LIMIT_S) -> None:
        self.choice_limit_s, self.run_limit_s = choice_limit_s, run_limit_s
        self.thread = threading.get_ident()
        self.reason = ""
        self._began: float | None = None
        self._spent = 0.0
        self._lock = threading.Lock()
        self._over = threading.Event()

    def begin(self) -> None:
        """A choice begins."""
        self._began = time.monotonic()

    def end(self) -> None:
        """It has ended."""
        with self._lock:
            self._spent += time.monotonic() - (self._began or time.monotonic())
            self._began = None

    def guard(self) -> None:
        """Look again and again, until ``stop``."""
        while not self._over.wait(0.05):
            with self._lock:
                if self._began is None:
                    continue
                now = time.monotonic() - self._began
                if now > self.choice_limit_s:
                    self.reason = f"one choice took more than {self.choice_limit_s:g} s; is there an endless loop?"
                elif self._spent + now > self.run_limit_s:
                    self.reason = f"the choices together took more than {self.run_limit_s:g} s; make choose faster"
                else:
                    continue
                interrupt(self.thread)
            self._over.wait(0.5)  # once more later, should the code catch everything and go on

    def stop(self) -> None:
        """No more interruptions."""
        self._over.set()


def interrupt(thread: int) -> None:
    """Raise ``Interrupted`` in a thread that runs Python code."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(Interrupted))


@contextmanager
def watched(choice_limit_s: float = CHOICE_LIMIT_S, run_limit_s: float = RUN_LIMIT_S) -> Iterator[CallWatch]:
    """A ``CallWatch`` at work."""
    watch = CallWatch(choice_limit_s, run_limit_s)
    guard = threading.Thread(target=watch.guard, name="policy watch", daemon=True)
    guard.start()
    try:
        yield watch
    finally:
        watch.stop()
        guard.join()


def chooser(policy: Any) -> tuple[Callable[..., Any], str]:
    """The ``choose`` of a class, an instance or a function, and a name for it. Raises ``PolicyError``."""
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
    return choose, name
