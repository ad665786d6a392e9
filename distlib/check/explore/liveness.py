"""Bounded *eventually*: does every path reach the goal? A depth-first search among the states that are short of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from sys import getsizeof
from typing import Any

from distlib.check.explore.bound import Memory, SearchWatch
from distlib.check.explore.model import diagnose, none_error
from distlib.check.explore.property import Property, holds
from distlib.check.explore.result import Finding, SearchProgress, Step
from distlib.check.explore.search import SearchTask

_ON_PATH = -1


@dataclass(slots=True)
class _Frame:
    step: Step
    key: Hashable
    steps: Iterator[tuple[Any, Any]]
    moved: bool = False  # some step changes the state
    worst: int = 0  # the most steps to the goal seen so far


class _Liveness:
    """Computes, for each state short of the goal, the most steps that a path from it may take to get there.

    ``worst[key]`` is that number, 0 where the goal holds, and _ON_PATH for the states of the current path: a step back
    to one of those closes a lasso. Only states reachable through states short of the goal are looked at.
    """

    def __init__(self, task: SearchTask, prop: Property, watch: SearchWatch) -> None:
        self.task, self.prop, self.watch = task, prop, watch
        self.key_of = task.key_of()
        self.worst: dict[Hashable, int] = {}
        self.keys: list[Hashable] = []
        self.stack: list[_Frame] = []
        self.generated = self.deepest = 0
        self.cut = False
        self.stopped_by: str | None = None
        self.memory = Memory([task.model])

    def run(self) -> Finding:
        longest = 0
        for state in self.task.start:
            failure = self._enter(Step(None, state))
            while self.stack and failure is None and not self.stopped_by:
                failure = self._advance(self.stack[-1])
                self.stopped_by = self.stopped_by or self.watch.look(self._progress)
            if failure is not None:
                return failure
            if self.stopped_by:
                break
            longest = max(longest, self.worst[self._key(state)])
        seen = f"{len(self.worst):,} states looked at"
        if self.stopped_by or self.cut:
            reason = self.stopped_by or f"max_depth={self.watch.bounds.max_depth:,}"
            return Finding(self.prop, "unknown", f"Not proved: stopped by {reason}, {seen}.")
        return Finding(self.prop, "holds", f"Every path gets there in at most {longest:,} steps; {seen}.")

    def _key(self, state: Any) -> Hashable:
        return state if self.key_of is None else self.key_of(state)

    def _enter(self, step: Step) -> Finding | None:
        """Go to a state not looked at before; a counterexample, when the path to it is one."""
        key = self._key(step.state)
        if key in self.worst:
            if self.worst[key] == _ON_PATH:
                return self._failure("A loop on which it stays false: the last state was met before.", step)
            return self._too_long(step, len(self.stack) + self.worst[key])
        bounds = self.watch.bounds
        if bounds.max_states is not None and len(self.worst) >= bounds.max_states:
            self.stopped_by = f"max_states={bounds.max_states:,}"
            return None
        self.keys.append(key)
        if holds(self.task.model, self.prop, step.state):
            self.worst[key] = 0
            return self._too_long(step, len(self.stack))
        if self.prop.within is not None and len(self.stack) >= self.prop.within:
            return self._failure(f"Still false after {self.prop.within} steps.", step)
        self.worst[key] = _ON_PATH
        self.deepest = max(self.deepest, len(self.stack) + 1)
        self.stack.append(_Frame(step, key, iter(self.task.model.successors(step.state))))
        if len(self.stack) == bounds.max_depth:
            self.cut = True
            self._leave()
        return None

    def _advance(self, frame: _Frame) -> Finding | None:
        try:
            pair = next(frame.steps, None)
            if pair is not None:
                action, state = pair
                if state is None:
                    raise none_error(self.task.model, action, frame.step.state)
                self.generated += 1
                key = self._key(state)
                if key == frame.key:
                    return None  # a step that changes nothing is no step
                frame.moved = True
                failure = self._enter(Step(action, state))
                if failure is None and self.worst.get(key, _ON_PATH) != _ON_PATH:
                    frame.worst = max(frame.worst, 1 + self.worst[key])
                return failure
        except Exception as error:
            raise diagnose(self.task.model, self.key_of, frame.step.state, error) from error
        if not frame.moved:
            return self._failure("False at the end, where no step changes the state.")
        self._leave()
        return None

    def _leave(self) -> None:
        frame = self.stack.pop()
        self.worst[frame.key] = frame.worst
        if self.stack:
            self.stack[-1].worst = max(self.stack[-1].worst, 1 + frame.worst)

    def _too_long(self, step: Step, steps: int) -> Finding | None:
        """A counterexample when the way on from a state that is already known makes the path too long."""
        within = self.prop.within
        if within is None or steps <= within:
            return None
        path = [frame.step for frame in self.stack] + [step]
        while len(path) <= within:
            path.append(self._slowest(path[-1].state))
        return Finding(self.prop, "violated", f"Still false after {within} steps.", tuple(path))

    def _slowest(self, state: Any) -> Step:
        """The step out of *state* after which the goal may be farthest away."""
        key = self._key(state)
        steps = [Step(*pair) for pair in self.task.model.successors(state) if self._key(pair[1]) != key]
        return max(steps, key=lambda step: self.worst[self._key(step.state)])

    def _failure(self, explanation: str, *last: Step) -> Finding:
        return Finding(self.prop, "violated", explanation, (*(frame.step for frame in self.stack), *last))

    def _progress(self, elapsed_s: float) -> SearchProgress:
        size = getsizeof(self.worst) + getsizeof(self.keys) + self.memory.of(self.keys)
        return SearchProgress(
            len(self.worst),
            self.generated,
            self.deepest,
            len(self.stack),
            elapsed_s,
            size,
            f"liveness of {self.prop.name}",
        )


def check_eventually(task: SearchTask, prop: Property, watch: SearchWatch) -> Finding:
    """Prove or refute that every path reaches the goal, as ``eventually`` defines it."""
    return _Liveness(task, prop, watch).run()
