"""Seeded random walks: cheap, deep, and proof of nothing; they find what lies deeper than breadth-first can reach."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from math import inf
from random import Random
from typing import Any

from distlib.check.explore.bound import SearchWatch
from distlib.check.explore.model import Property, overrides
from distlib.check.explore.result import Finding, Path, Step
from distlib.check.explore.search import StateSearch
from distlib.check.explore.task import SearchTask
from distlib.core import require
from distlib.core.seeds import Seeds, check_seed


@dataclass(frozen=True)
class RandomWalks:
    """Random paths from the start, each of at most max_depth states (100 unless given to ``explore``).

    Walk i has the seed ``seed + i``. The seed of the failing walk is in the result: ``RandomWalks(seed=that,
    max_walks=1)`` walks it again, in any process, if the model yields its actions in an order of its own.
    *weights* maps an action to its relative frequency (0 or more; when all are 0 they are equal).
    """

    seed: int = 1
    max_walks: int = 1000
    weights: Callable[[Any], float] | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed)
        require.whole("max_walks", self.max_walks, 1)
        if self.weights is not None and not callable(self.weights):
            raise TypeError(f"weights is {self.weights!r}; it takes a function from an action to a number")


class RandomWalkSearch(StateSearch):
    """Walks from a random initial state by random steps."""

    name = "random walks"

    def __init__(self, task: SearchTask, watch: SearchWatch, walks: RandomWalks) -> None:
        super().__init__(task, watch)
        self.asked = walks
        self.seed, self.walks = walks.seed, 0
        self.path: list[Step] = []
        self.met: set[Hashable] = set()  # the keys of the path, while an *eventually* is false
        self.one_by_one = overrides(task.model, "next_state")  # no need to compute the steps that are not taken

    def run(self) -> None:
        """Walk until a walk fails, everything asked for was found, or a bound is reached."""
        first = self.asked.seed
        for walks in range(self.asked.max_walks):
            self.seed, self.walks = first + walks, walks + 1
            self._walk(Seeds(self.seed).stream("walk"))
            if self.stopped_by:
                break
        else:
            self.stopped_by = f"max_walks={self.asked.max_walks:,}"
        if all(finding.verdict == "holds" for finding in self.found.values()):
            self.seed = first

    def _walk(self, random: Random) -> None:
        step: Step | None = Step(None, random.choice(self.task.start))
        self.path, self.met = [], set()
        pending = self.task.all_of("eventually")  # false so far on this walk
        while step is not None:
            self.generated += 1
            self.path.append(step)
            self._visit(step.state)
            if pending:
                pending = self._still_false(pending)
            self.stopped_by = self.stopped_by or self.watch.look(self.progress)
            if self.stopped_by:
                return
            step = self._choose(step.state, random) if len(self.path) != self.watch.bounds.max_depth else None
        if pending:
            self._end(pending[0])

    def _visit(self, state: Any) -> None:
        """Count the state and check it, when it is new to all walks."""
        self.depth = max(self.depth, len(self.path))
        key = self.task.key(state)
        if key in self.seen:
            return
        if len(self.seen) >= self.max_states:
            self.stopped_by = f"max_states={self.max_states:,}"
            return
        self.seen.add(key)
        self.keys.append(key)
        self.judge(state, self.expanded)
        self.expanded += 1

    def path_to(self, number: int) -> Path:
        """The present walk: a state is judged when a walk meets it first."""
        return tuple(self.path)

    def _choose(self, state: Any, random: Random) -> Step | None:
        """A random step out of *state*; None when there is none."""
        model, key = self.task.model, self.task.key
        before = hash(key(state))
        step: Step | None = None
        try:
            if self.one_by_one:
                actions = list(model.actions(state))
                if actions:
                    action = actions[self._draw(actions, random)]
                    step = Step(action, model.next_state(state, action))
            else:
                steps = list(self.successors(state))
                if steps:
                    step = Step(*steps[self._draw([action for action, _ in steps], random)])
            if step is not None:
                if step.state is None:
                    raise TypeError("a step leads to None")
                hash(key(step.state))
            if hash(key(state)) != before:
                raise self.task.changed_in_place(state)
        except Exception as error:
            self.task.diagnose(state, error)
        return step

    def _draw(self, actions: list[Any], random: Random) -> int:
        """The position of a random action, each with its weight."""
        weights = self.asked.weights
        shares = [] if weights is None else [self._weight(weights, action) for action in actions]
        if not any(shares):
            return random.randrange(len(actions))
        return random.choices(range(len(actions)), shares)[0]

    def _weight(self, weights: Callable[[Any], float], action: Any) -> float:
        try:
            weight = weights(action)
            if 0 <= weight < inf:
                return weight
        except Exception as error:
            raise self.task.error(f"weights({action!r}) raised {type(error).__name__}: {error}") from error
        raise self.task.error(f"weights({action!r}) must be a finite number of at least 0, not {weight!r}")

    def _still_false(self, pending: list[Property]) -> list[Property]:
        """Which of the *eventually* properties are false in the last state too; a counterexample ends the search."""
        state = self.path[-1].state
        key = self.task.key(state)
        if len(self.path) > 1 and key == self.task.key(self.path[-2].state):
            return pending  # a step that changes nothing is no step
        pending = [prop for prop in pending if not self.task.holds(prop, state)]
        for prop in pending:
            if key in self.met:
                self._fail(prop, "a loop on which it stays false")
            elif prop.within == len(self.met):
                self._fail(prop, f"false for {prop.within} steps")
        self.met.add(key)
        return pending

    def _end(self, prop: Property) -> None:
        """The walk is over: where no step changes the state, what is false stays false."""
        last = self.path[-1].state
        key = self.task.key(last)
        try:
            stuck = all(self.task.key(successor) == key for _, successor in self.successors(last))
        except Exception as error:
            self.task.diagnose(last, error)
        if stuck:
            self._fail(prop, "false at the end, where no step changes the state")

    def _fail(self, prop: Property, explanation: str) -> None:
        self.found[prop] = Finding(prop, "violated", explanation, tuple(self.path))
        self.stopped_by = "the counterexample"
