"""Bounded *eventually*: does every path reach the goal? A depth-first search among the states that are short of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from sys import getsizeof
from typing import Any

from distlib.check.explore.bound import Memory, SearchWatch
from distlib.check.explore.model import Property
from distlib.check.explore.result import Finding, SearchProgress, Step
from distlib.check.explore.task import SearchTask

_ON_PATH = -1


@dataclass(slots=True)
class _Frame:
    step: Step
    key: Hashable
    steps: Iterator[tuple[Any, Any]]
    moved: bool = False  # some step changes the state
    worst: int = 0  # the most steps to the goal seen so far


class LivenessSearch:
    """Proves or refutes that every path reaches the goal, as ``eventually`` defines it.

    ``worst[key]`` is the most steps that a path from a state short of the goal may take to get there, 0 where the
    goal holds, and _ON_PATH for the states of the current path: a step back to one of those closes a lasso. Only states
    reachable through states short of the goal are looked at.
    """

    def __init__(self, task: SearchTask, prop: Property, watch: SearchWatch) -> None:
        self.task, self.prop, self.watch = task, prop, watch
        self.worst: dict[Hashable, int] = {}
        self.keys: list[Hashable] = []
        self.stack: list[_Frame] = []
        self.generated = self.deepest = 0
        self.counterexample: Finding | None = None
        self.stopped_by: str | None = None
        self.cut = False  # at max_depth, somewhere
        self.memory = Memory(task.model)

    def run(self) -> Finding:
        """Search; what was found about the property."""
        longest = 0
        for state in self.task.start:
            self._enter(Step(None, state))
            while self.stack and self.counterexample is None and not self.stopped_by:
                self._advance(self.stack[-1])
                self.stopped_by = self.stopped_by or self.watch.look(self._progress)
            if self.counterexample is not None:
                return self.counterexample
            if self.stopped_by:
                break
            longest = max(longest, self.worst[self.task.key(state)])
        seen = f"{len(self.worst):,} states looked at"
        if self.stopped_by or self.cut:
            reason = self.stopped_by or f"max_depth={self.watch.bounds.max_depth:,}"
            return Finding(self.prop, "unknown", f"Not proved: stopped by {reason}, {seen}.")
        return Finding(self.prop, "holds", f"Every path gets there in at most {longest:,} steps; {seen}.")

    def _enter(self, step: Step) -> None:
        """Go to a state, unless it was looked at before."""
        key, bounds, within = self.task.key(step.state), self.watch.bounds, self.prop.within
        if self.worst.get(key) == _ON_PATH:
            self._fail("A loop on which it stays false: the last state was met before.", step)
        elif key in self.worst:
            self._meet(step, self.worst[key])
        elif bounds.max_states is not None and len(self.worst) >= bounds.max_states:
            self.stopped_by = f"max_states={bounds.max_states:,}"
        else:
            self.keys.append(key)
            if self.task.holds(self.prop, step.state):
                self.worst[key] = 0
                self._meet(step, 0)
            elif within is not None and len(self.stack) >= within:
                self._fail(f"Still false after {within} steps.", step)
            else:
                self.worst[key] = _ON_PATH
                self.deepest = max(self.deepest, len(self.stack) + 1)
                self.stack.append(_Frame(step, key, iter(self.task.model.successors(step.state))))
                if len(self.stack) == bounds.max_depth:
                    self.cut = True
                    self._leave()

    def _advance(self, frame: _Frame) -> None:
        """Take the next step out of the last state of the path, or leave it when there is none."""
        try:
            pair = next(frame.steps, None)
            if pair is not None:
                step = Step(*pair)
                if step.state is None:
                    raise TypeError("a step leads to None")
                self.generated += 1
                if self.task.key(step.state) != frame.key:  # a step that changes nothing is no step
                    frame.moved = True
                    self._enter(step)
                return
        except Exception as error:
            self.task.diagnose(frame.step.state, error)
        if frame.moved:
            self._leave()
        else:
            self._fail("False at the end, where no step changes the state.")

    def _leave(self) -> None:
        frame = self.stack.pop()
        self.worst[frame.key] = frame.worst
        self._step_back(frame.worst)

    def _step_back(self, further: int) -> None:
        """The last state of the path has a step to a state from where *further* steps may be needed."""
        if self.stack:
            self.stack[-1].worst = max(self.stack[-1].worst, 1 + further)

    def _meet(self, step: Step, further: int) -> None:
        """Come to a state that is known already, *further* steps from the goal: with them, is the path too long?"""
        self._step_back(further)
        within = self.prop.within
        if within is None or len(self.stack) + further <= within:
            return
        path = [frame.step for frame in self.stack] + [step]
        while len(path) <= within:
            path.append(self._slowest(path[-1].state))
        self.counterexample = Finding(self.prop, "violated", f"Still false after {within} steps.", tuple(path))

    def _slowest(self, state: Any) -> Step:
        """The step out of *state* after which the goal may be farthest away."""
        key = self.task.key(state)
        steps = [Step(*pair) for pair in self.task.model.successors(state) if self.task.key(pair[1]) != key]
        return max(steps, key=lambda step: self.worst[self.task.key(step.state)])

    def _fail(self, explanation: str, *last: Step) -> None:
        path = (*(frame.step for frame in self.stack), *last)
        self.counterexample = Finding(self.prop, "violated", explanation, path)

    def _progress(self, elapsed_s: float) -> SearchProgress:
        size = getsizeof(self.worst) + getsizeof(self.keys) + self.memory.of(self.keys)
        return SearchProgress(len(self.worst), self.generated, self.deepest, len(self.stack), elapsed_s, size)
