"""Minimal counterexamples: leave out steps of a failing path while it still breaks the same invariant.

Delta debugging (Zeller & Hildebrandt, *Simplifying and Isolating Failure-Inducing Input*, 2002, algorithm ddmin),
with one thing added: a step that is no longer possible, because what it needs was left out, is left out too. So one
removal takes all its consequences along.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.replay import NotRepeatedError, actions_of, path_of, possible, taken
from distlib.check.cluster.world import Action, CrashRestart, Drop, Duplicate, World, touched
from distlib.core.trace import Trace


class _Shrinker:
    """The best path so far, and the attempts to beat it."""

    def __init__(
        self, model: ClusterModel, path: list[Action], start: World | None, stopped: Callable[[], bool]
    ) -> None:
        self.roomy = model.allowing(path)
        self.start = self.roomy.first if start is None else self.roomy.carry(start)
        self.best = path
        world = self.start
        for action in path:
            if world.broken is None:
                world = self.roomy.next_state(world, action)
        if world.broken is None:
            raise NotRepeatedError("the path breaks no invariant of the model, so there is nothing to shrink")
        self.invariant = world.broken.invariant
        self.stopped = stopped

    def attempt(self, candidate: list[Action]) -> bool:
        """Keep ``candidate``, or what is possible of it, if it breaks the same invariant with fewer steps."""
        if self.stopped() or len(candidate) >= len(self.best):
            return False
        smaller, broken = possible(self.roomy, self.start, candidate)
        if broken is None or broken.invariant != self.invariant:
            return False
        self.best = smaller
        return True

    def chunks(self) -> None:
        """ddmin: leave out halves, quarters, … as long as it helps."""
        size = len(self.best) // 2
        while size > 1 and not self.stopped():
            start = 0
            while start < len(self.best):
                if not self.attempt(self.best[:start] + self.best[start + size :]):
                    start += size
            size //= 2

    def singles(self) -> bool:
        """Leave out each step for itself, the last ones first; whether any could go."""
        before = len(self.best)
        number = len(self.best) - 1
        while number >= 0:
            self.attempt(self.best[:number] + self.best[number + 1 :])
            number = min(number, len(self.best)) - 1
        return len(self.best) < before

    def pairs(self) -> bool:
        """Leave out two steps together (a message sent and what sent it), for short paths; whether any could go."""
        before = len(self.best)
        for first in range(before - 1):
            for second in range(first + 1, len(self.best)):
                rest = [one for number, one in enumerate(self.best) if number not in (first, second)]
                if self.attempt(rest):
                    return True
        return False


def shrink(
    model: ClusterModel, path: Iterable[Any], start: World | None = None, stop: Callable[[], bool] = lambda: False
) -> tuple[Action, ...]:
    """A minimal path that breaks the same invariant as ``path``: no step of it, nor two, can be left out.

    Faults go first, then whole nodes, then steps. ``path`` is a search's path or a list of actions, from ``start`` on
    (default: the model's first world); the model's budgets and partitioned links don't count (every step that is
    possible in the cluster may be taken). The same path always shrinks to the same; once ``stop`` is true, the best
    so far is returned.

    Raises ValueError when ``path`` is not possible in the model, or breaks nothing.
    """
    shrinker = _Shrinker(model, actions_of(path), start, stop)
    for fault in (CrashRestart, Duplicate, Drop):
        shrinker.attempt([action for action in shrinker.best if not isinstance(action, fault)])
    for name in model.ids:
        shrinker.attempt([action for action in shrinker.best if name not in touched(action)])
    shrinker.chunks()
    while shrinker.singles() or (len(shrinker.best) <= 40 and shrinker.pairs()):
        pass
    return tuple(shrinker.best)


def shrink_run(model: ClusterModel, trace: Trace) -> tuple[Action, ...]:
    """A minimal path out of a simulated run that failed; ``model`` has the run's nodes and invariants.

    Raises ValueError when the run's steps, taken in the explorer, break nothing: a protocol
    that reads the clock, or a violation that only exists while a node is down.
    """
    actions = taken(model, path_of(trace))
    if not actions:
        raise ValueError(
            "the run's steps break no invariant when the explorer takes them: the violation depends on the clock, or "
            "the model has other nodes or invariants than the run"
        )
    return shrink(model, actions)
