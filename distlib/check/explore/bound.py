"""Bounds of a search, and the watch over them: states, depth, bytes, seconds, and a stop handle."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from sys import getsizeof
from time import perf_counter
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from distlib.check.explore.result import SearchProgress
from distlib.core import require

DEFAULT_MAX_BYTES = 2 * 2**30
TICK_S = 0.1
_RUN = 100  # states in a run of the sample
_SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, MethodType)

Stop = Callable[[], bool]
OnProgress = Callable[[SearchProgress], None]


@dataclass(frozen=True)
class Bounds:
    """How far a search may go; None is no bound. See ``explore`` for the meaning of each."""

    max_states: int | None = None
    max_depth: int | None = None
    max_seconds: float | None = None
    max_bytes: int | None = DEFAULT_MAX_BYTES

    def __post_init__(self) -> None:
        for name, value in self.given().items():
            if name == "max_seconds":
                require.above(name, value)
            else:
                require.whole(name, value, 1)

    def given(self) -> dict[str, Any]:
        """The bounds that are set, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


class SearchWatch:
    """Looks at the clock, the memory and the stop handle about ten times a second, and reports progress."""

    def __init__(self, bounds: Bounds, stop: Stop | None, on_progress: OnProgress | None) -> None:
        for name, value in (("stop", stop), ("on_progress", on_progress)):
            if value is not None and not callable(value):
                raise TypeError(f"{name} is {value!r}; it takes a function")
        self.bounds = bounds
        self.stop = stop
        self.on_progress = on_progress
        self.start = perf_counter()
        self.due = self.start  # so that the first look is at once
        self.memory_bytes = 0

    def look(self, progress: Callable[[float], SearchProgress]) -> str | None:
        """What ends the search now, if anything; cheap between ticks."""
        now = perf_counter()
        if now < self.due:
            return None
        self.due = now + TICK_S
        report = progress(now - self.start)
        self.memory_bytes = max(self.memory_bytes, report.memory_bytes)
        if self.on_progress is not None:
            self.on_progress(report)
        if self.stop is not None and self.stop():
            return "the stop handle"
        bounds = self.bounds
        if bounds.max_seconds is not None and report.elapsed_s >= bounds.max_seconds:
            return f"max_seconds={bounds.max_seconds:g}"
        if bounds.max_bytes is not None and report.memory_bytes >= bounds.max_bytes:
            return f"max_bytes={bounds.max_bytes:,} ({report.distinct:,} states kept)"
        return None


class Memory:
    """Estimates the bytes held by a growing collection of states, from a sample taken anew as it grows.

    The sample is five runs of consecutive states: neighbours share parts (a step changes one node of many),
    and within a run each shared part is counted once. What runs share among each other is counted five times,
    so the estimate errs high.
    """

    def __init__(self, excluded: object = None) -> None:
        self.excluded = id(excluded)
        self.sampled_at = 0
        self.bytes_per_state = 0.0

    def of(self, states: Sequence[Any]) -> int:
        """Bytes of the states themselves, without the collection that holds them."""
        count = len(states)
        if count > 1.25 * self.sampled_at or count < self.sampled_at:
            self.sampled_at = count
            starts = [round(i * max(0, count - _RUN) / 4) for i in range(5)] if count > 5 * _RUN else [0]
            length = _RUN if count > 5 * _RUN else count
            runs = [self._deep_size(states[start : start + length]) for start in starts]
            self.bytes_per_state = sum(runs) / max(1, len(starts) * length)
        return round(self.bytes_per_state * count)

    def _deep_size(self, roots: Sequence[Any]) -> int:
        """Bytes of everything reachable from *roots*, each object once, without classes, functions and *excluded*."""
        seen = {self.excluded}
        total = 0
        stack = list(roots)
        while stack:
            thing = stack.pop()
            if id(thing) in seen or isinstance(thing, _SHARED):
                continue
            seen.add(id(thing))
            total += getsizeof(thing)
            stack += gc.get_referents(thing)
        return total
