"""Seeded random walks: cheap, deep, and proof of nothing; they find what lies deeper than breadth-first can reach."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from distlib.check.explore.bound import SearchWatch
from distlib.check.explore.model import ModelError, diagnose, none_error, overrides, unusable
from distlib.check.explore.property import Property, holds
from distlib.check.explore.result import Path, Step
from distlib.check.explore.search import SearchTask, StateSearch
from distlib.core.seeds import Seeds

Weights = Callable[[Any], float]


@dataclass
class PendingProperty:
    """An *eventually* property along one walk: false so far, after so many steps that changed the state."""

    prop: Property
    steps: int = 0
    seen: set[Hashable] = field(default_factory=set)


class RandomWalkSearch(StateSearch):
    """Walks from a random initial state by random steps, each walk with a seed of its own: first_seed,
    first_seed + 1, …"""

    def __init__(
        self, task: SearchTask, watch: SearchWatch, first_seed: int, max_walks: int, weights: Weights | None
    ) -> None:
        super().__init__(task, watch)
        self.seed = first_seed
        self.max_walks = max_walks
        self.weights = weights
        self.walks = 0
        self.max_depth = watch.bounds.max_depth or 1
        self.one_by_one = overrides(task.model, "next_state")  # no need to compute the steps that are not taken

    def run(self) -> None:
        """Walk until a walk fails, everything asked for was found, or a bound is reached."""
        first = self.seed
        for state in self.task.start:
            problem = unusable(self.key_of, state)
            if problem:
                raise ModelError(f"{self.model!r}: an initial state {problem}")
        for seed in range(first, first + self.max_walks):
            self.seed = seed
            self.walks += 1
            self._walk(Seeds(seed).stream("walk"))
            if self.stopped_by:
                break
        else:
            self.stopped_by = f"max_walks={self.max_walks:,}"
        if not any(prop.kind != "sometimes" for prop in self.witnesses):
            self.seed = first

    def _walk(self, random: Random) -> None:
        path = [Step(None, random.choice(self.task.start))]
        hopes = [PendingProperty(prop) for prop in self.task.of_kind("eventually")]
        self.generated += 1
        while True:
            self._visit(path)
            hopes = [hope for hope in hopes if self._still_false(hope, path)]
            self.stopped_by = self.stopped_by or self.watch.look(self.progress)
            if self.stopped_by:
                return
            step = self._choose(path[-1].state, random) if len(path) < self.max_depth else None
            if step is None:
                break
            self.generated += 1
            path.append(step)
        self._end(hopes, tuple(path))

    def _visit(self, path: list[Step]) -> None:
        """Count the state and check it, when it is new to all walks."""
        state = path[-1].state
        self.depth = max(self.depth, len(path))
        key = self.key(state)
        if key in self.seen:
            return
        if len(self.seen) >= self.max_states:
            self.stopped_by = self._full()
            return
        self.seen.add(key)
        self.keys.append(key)
        self.expanded += 1
        self.judge(state, lambda: tuple(path))

    def _choose(self, state: Any, random: Random) -> Step | None:
        """A random step out of *state*; None when there is none."""
        before = hash(self.key(state))
        step: Step | None = None
        try:
            if self.one_by_one:
                actions = list(self.model.actions(state))
                if actions:
                    action = actions[self._draw(actions, random)]
                    step = Step(action, self.model.next_state(state, action))
            else:
                steps = list(self.successors(state))
                if steps:
                    step = Step(*steps[self._draw([action for action, _ in steps], random)])
            if step is not None:
                if step.state is None:
                    raise none_error(self.model, step.action, state)
                hash(self.key(step.state))
            if hash(self.key(state)) != before:
                raise self.changed_in_place(state)
        except _WeightError as error:
            raise ModelError(f"{self.model!r}: {error}") from error.__cause__
        except Exception as error:
            raise diagnose(self.model, self.key_of, state, error) from error
        return step

    def _draw(self, actions: list[Any], random: Random) -> int:
        """The position of a random action, each with its weight."""
        if self.weights is None:
            return random.randrange(len(actions))
        shares = [self._weight(action) for action in actions]
        if not any(shares):
            return random.randrange(len(actions))
        return random.choices(range(len(actions)), shares)[0]

    def _weight(self, action: Any) -> float:
        assert self.weights is not None
        try:
            weight = self.weights(action)
            if 0 <= weight < float("inf"):
                return weight
        except Exception as error:
            raise _WeightError(f"weights({action!r}) raised {type(error).__name__}: {error}") from error
        raise _WeightError(f"weights({action!r}) must be a finite number of at least 0, not {weight!r}")

    # -------------------------------------------------------- liveness

    def _still_false(self, hope: PendingProperty, path: list[Step]) -> bool:
        """Follow an *eventually* property by one state; a counterexample ends the search."""
        state = path[-1].state
        key = self.key(state)
        if len(path) > 1:
            if key == self.key(path[-2].state):
                return True  # a step that changes nothing is no step
            hope.steps += 1
        if holds(self.model, hope.prop, state):
            return False
        within = hope.prop.within
        if key in hope.seen:
            self._fail(hope, "a loop on which it stays false", tuple(path))
        elif within is not None and hope.steps >= within:
            self._fail(hope, f"false for {within} steps", tuple(path))
        hope.seen.add(key)
        return True

    def _end(self, hopes: list[PendingProperty], path: Path) -> None:
        """The walk is over: where no step changes the state, what is false stays false."""
        if not hopes:
            return
        last = path[-1].state
        key = self.key(last)
        try:
            stuck = all(self.key(successor) == key for _, successor in self.successors(last))
        except Exception as error:
            raise diagnose(self.model, self.key_of, last, error) from error
        if stuck:
            self._fail(hopes[0], "false at the end, where no step changes the state", path)

    def _fail(self, hope: PendingProperty, explanation: str, path: Path) -> None:
        self.witnesses[hope.prop] = (explanation, path)
        self.stopped_by = "the counterexample"


class _WeightError(Exception):
    """The learner's weights function failed."""
