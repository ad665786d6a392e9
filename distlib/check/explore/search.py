"""Breadth-first search, and what it has in common with random walks: visited states, counts, and what was found."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable
from sys import getsizeof
from typing import Any

from distlib.check.explore.bound import Memory, SearchWatch
from distlib.check.explore.model import ModelError, Property, shorten
from distlib.check.explore.result import Finding, Path, SearchProgress, Step
from distlib.check.explore.task import SearchTask


class StateSearch:
    """The visited states, the counts, and what was found so far.

    States are numbered in the order of discovery: ``keys[i]`` is what is kept of state i, itself or its fingerprint.
    ``stopped_by`` says what ended the search early; None at its end means that the space was exhausted.
    """

    name: str
    seed: int | None = None
    walks: int | None = None

    def __init__(self, task: SearchTask, watch: SearchWatch) -> None:
        self.task = task
        self.watch = watch
        self.key_of = task.key_of
        self.successors = task.model.successors
        self.max_states = watch.bounds.max_states or float("inf")
        self.seen: set[Hashable] = set()
        self.keys: list[Hashable] = []
        self.generated = self.expanded = self.depth = 0
        self.stopped_by: str | None = None
        self.always = task.all_of("always")
        self.wanted = task.all_of("sometimes")
        self.found: dict[Property, Finding] = {}
        self._kept = Memory(task.model)

    def path_to(self, number: int) -> Path:
        """The path on which state *number*, which is being judged, was found."""
        raise NotImplementedError

    def judge(self, state: Any, number: int) -> None:
        """Check *always* and *sometimes* in a new state; may end the search."""
        try:
            for prop in self.always:
                if prop.predicate(state) is not True:
                    self._look_closer(prop, state, number)
            for prop in self.wanted:
                if prop.predicate(state) is not False:
                    self._look_closer(prop, state, number)
        except ModelError:
            raise
        except Exception:
            for prop in (*self.always, *self.wanted):  # again, slowly, to name the one that raised
                self._look_closer(prop, state, number)
            raise

    def _look_closer(self, prop: Property, state: Any, number: int) -> None:
        if prop.modality == "always":
            explanation = self.task.violation(prop, state)
            if explanation is not None and prop not in self.found:
                self.found[prop] = Finding(prop, "violated", explanation, self._real_path(prop, number))
                self.stopped_by = "the counterexample"
        elif self.task.holds(prop, state):
            path = self.path_to(number)
            self.found[prop] = Finding(prop, "holds", f"Reached by a path of {len(path):,} states.", path)
            self.wanted = [other for other in self.wanted if other is not prop]
            if prop is self.task.goal and self.stopped_by is None:
                self.stopped_by = "the goal"
            elif not self.wanted and not self.always and self.stopped_by is None:
                self.stopped_by = "every property being decided"

    def _real_path(self, prop: Property, number: int) -> Path:
        """The path to a violation; with symmetry it may end in a renaming of the state that was seen."""
        path = self.path_to(number)
        if self.task.symmetry and self.task.violation(prop, path[-1].state) is None:
            raise self.task.error(
                f"property '{prop}' tells apart states that canonical() takes for renamings "
                f"of each other, such as {shorten(path[-1].state)}: "
                "make it symmetric, or explore with symmetry=False"
            )
        return path

    def progress(self, elapsed_s: float) -> SearchProgress:
        """The live numbers."""
        waiting = max(0, len(self.keys) - self.expanded)
        return SearchProgress(len(self.seen), self.generated, self.depth, waiting, elapsed_s, self.memory())

    def memory(self) -> int:
        """Estimated bytes of everything the search holds."""
        return getsizeof(self.seen) + getsizeof(self.keys) + self._kept.of(self.keys)


class BreadthFirstSearch(StateSearch):
    """Visits states in order of their distance from the start, so that the first path to a state is a shortest one.

    ``parents[i]`` is the number of the state that state i was found from (-1 at the start): eight bytes. Actions
    are not stored: a path is found again by taking the model's steps along its keys.
    """

    name = "breadth-first"

    def __init__(self, task: SearchTask, watch: SearchWatch) -> None:
        super().__init__(task, watch)
        self.parents = array("q")
        self.frontier: list[Any] = []
        self._waiting = Memory(task.model)

    def run(self) -> None:
        """Search level by level."""
        self.depth = 1
        level = self._record(((None, state) for state in self.task.start), -1)
        self._judge_all(level)
        while level and not self.stopped_by:
            if self.depth == self.watch.bounds.max_depth:
                self.stopped_by = f"max_depth={self.depth:,}"
                return
            level = self._next_level(level)

    def _next_level(self, level: list[Any]) -> list[Any]:
        """Expand every state of one level. States are expanded in the order of their numbers."""
        following: list[Any] = []
        self.frontier = following
        for state in level:
            before = hash(state) if self.key_of is None else self.keys[self.expanded]
            try:
                fresh = self._record(self.successors(state), self.expanded)
                if (hash(state) if self.key_of is None else self.key_of(state)) != before:
                    raise self.task.changed_in_place(state)
            except Exception as error:
                self.task.diagnose(state, error)
            self.expanded += 1
            if fresh:
                if not following:
                    self.depth += 1
                self._judge_all(fresh)
                following += fresh
            self.stopped_by = self.stopped_by or self.watch.look(self.progress)
            if self.stopped_by:
                break
        return following

    def _record(self, steps: Iterable[tuple[Any, Any]], number: int) -> list[Any]:
        """The states that *steps* lead to and that were not seen before, recorded as children of state *number*.

        This is the inner loop: whatever can be checked afterwards, or only when something failed, is not checked here.
        """
        seen, key_of, keys, limit = self.seen, self.key_of, self.keys, self.max_states
        fresh: list[Any] = []
        generated = 0
        for _, successor in steps:
            generated += 1
            key = successor if key_of is None else key_of(successor)
            if key not in seen:
                if successor is None:
                    raise TypeError("a step leads to None")
                if len(seen) >= limit:
                    self.stopped_by = f"max_states={limit:,}"
                    break
                seen.add(key)
                keys.append(key)
                fresh.append(successor)
        self.parents.extend([number] * len(fresh))
        self.generated += generated
        return fresh

    def _judge_all(self, fresh: list[Any]) -> None:
        for number, state in enumerate(fresh, len(self.keys) - len(fresh)):
            self.judge(state, number)

    def memory(self) -> int:
        """As ``StateSearch``; without fingerprints the states that wait are the keys themselves."""
        waiting = 0 if self.key_of is None else self._waiting.of(self.frontier)
        return super().memory() + getsizeof(self.parents) + getsizeof(self.frontier) + waiting

    def path_to(self, number: int) -> Path:
        """The path on which state *number* was first found, by taking the model's steps again."""
        keys = []
        while number >= 0:
            keys.append(self.keys[number])
            number = self.parents[number]
        path: list[Step] = []
        for key in reversed(keys):
            steps: Iterable[tuple[Any, Any]] = (
                self.successors(path[-1].state) if path else ((None, state) for state in self.task.start)
            )
            step = next((Step(action, state) for action, state in steps if self.task.key(state) == key), None)
            if step is None:
                raise self.task.error(
                    "a path could not be replayed, so the model is not deterministic: "
                    "the same state must give the same successors every time"
                )
            path.append(step)
        return tuple(path)
