"""The searches behind ``explore``: breadth-first and depth-first. What they share is the ``StateSearch``: visited
states, counts, properties, and the way back from a state to the start."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator, MutableSequence, Sequence
from dataclasses import dataclass
from sys import getsizeof
from typing import Any, Literal

from distlib.check.explore.bound import Memory, SearchWatch
from distlib.check.explore.model import Model, ModelError, diagnose, digest, none_error, overrides, shorten, unusable
from distlib.check.explore.property import Property, holds, violation
from distlib.check.explore.result import Path, SearchProgress, Step

Store = Literal["states", "hashes"]


@dataclass(frozen=True)
class SearchTask:
    """What to search: a model, the states to start from, how states are told apart, and the properties."""

    model: Model[Any, Any]
    start: tuple[Any, ...]
    properties: tuple[Property, ...]
    store: Store = "states"
    symmetry: bool = False
    goal: Property | None = None  # one of the properties, a *sometimes*: the search ends when it is reached

    def key_of(self) -> Callable[[Any], Hashable] | None:
        """The function from a state to what is kept of it; None when the state itself is kept."""
        model = self.model
        own: Callable[[Any], Hashable] | None = None
        if self.symmetry:
            own = model.canonical
        elif overrides(model, "fingerprint"):
            own = model.fingerprint
        if self.store == "states":
            return own
        if own is None:
            return digest
        fingerprint = own
        return lambda state: digest(fingerprint(state))

    def of_kind(self, kind: str) -> list[Property]:
        """The properties of one kind, in the order given."""
        return [prop for prop in self.properties if prop.kind == kind]


class StateSearch:
    """Visited states with their parents, the counts, and what was found so far.

    Visited states are numbered in the order of discovery. ``keys[i]`` is what is kept of state i (itself, its
    fingerprint or a 64-bit hash), ``parents[i]`` the number of the state it was found from (-1 at the start):
    eight bytes. Actions are not stored: a path is found again by replaying the model along its keys.
    """

    def __init__(self, task: SearchTask, watch: SearchWatch) -> None:
        self.task = task
        self.model = task.model
        self.successors = task.model.successors
        self.watch = watch
        self.key_of = task.key_of()
        self.max_states = watch.bounds.max_states or float("inf")
        self.seen: set[Hashable] = set()
        self.keys: MutableSequence[Any] = array("Q") if task.store == "hashes" else []
        self.parents = array("q")
        self.generated = self.expanded = self.depth = 0
        self.stopped_by: str | None = None
        self.always = task.of_kind("always")
        self.wanted = task.of_kind("sometimes")
        self.witnesses: dict[Property, tuple[str, Any]] = {}  # explanation, and where it was seen
        self.frontier: Sequence[Any] = ()
        self._kept, self._waiting = Memory([task.model]), Memory([task.model])

    def key(self, state: Any) -> Hashable:
        """What is kept of *state*."""
        return state if self.key_of is None else self.key_of(state)

    def begin(self) -> list[Any]:
        """Record the initial states and return the distinct ones."""
        fresh = []
        for state in self.task.start:
            problem = unusable(self.key_of, state)
            if problem:
                raise ModelError(f"{self.model!r}: an initial state {problem}")
            self.generated += 1
            if (key := self.key(state)) not in self.seen:
                if len(self.seen) >= self.max_states:
                    self.stopped_by = self._full()
                    break
                self.seen.add(key)
                self.keys.append(key)
                fresh.append(state)
        self.parents.extend([-1] * len(fresh))
        return fresh

    def expand(self, state: Any, number: int) -> list[Any]:
        """The successors of state *number* that were not seen before; they are recorded as its children.

        This is the inner loop: whatever can be checked afterwards, or only when something failed, is not checked here.
        """
        seen, key_of, keys, limit = self.seen, self.key_of, self.keys, self.max_states
        fresh: list[Any] = []
        generated = 0
        before = hash(state) if key_of is None else keys[number]
        for action, successor in self.successors(state):
            generated += 1
            key = successor if key_of is None else key_of(successor)
            if key not in seen:
                if successor is None:
                    raise none_error(self.model, action, state)
                if len(seen) >= limit:
                    self.stopped_by = self._full()
                    break
                seen.add(key)
                keys.append(key)
                fresh.append(successor)
        if (hash(state) if key_of is None else key_of(state)) != before:
            raise self.changed_in_place(state)
        self.parents.extend([number] * len(fresh))
        self.generated += generated
        self.expanded += 1
        return fresh

    def judge(self, state: Any, where: Any) -> None:
        """Check *always* and *sometimes* in a new state; may end the search.

        *where* is the state's number, or a function that gives the path to it.
        """
        try:
            for prop in self.always:
                if prop.predicate(state) is not True:
                    self._look_closer(prop, state, where)
            for prop in self.wanted:
                if prop.predicate(state) is not False:
                    self._look_closer(prop, state, where)
        except ModelError:
            raise
        except Exception:
            for prop in (*self.always, *self.wanted):  # again, slowly, to name the one that raised
                self._look_closer(prop, state, where)
            raise

    def _look_closer(self, prop: Property, state: Any, where: Any) -> None:
        if prop.kind == "always":
            explanation = violation(self.model, prop, state)
            if explanation is not None and prop not in self.witnesses:
                self.witnesses[prop] = (explanation, where() if callable(where) else where)
                self.stopped_by = "the counterexample"
        elif holds(self.model, prop, state):
            self.witnesses[prop] = ("", where() if callable(where) else where)
            self.wanted = [other for other in self.wanted if other is not prop]
            if prop is self.task.goal and self.stopped_by is None:
                self.stopped_by = "the goal"
            elif not self.wanted and not self.always and self.stopped_by is None:
                self.stopped_by = "every property being decided"

    def changed_in_place(self, state: Any) -> ModelError:
        """The error for a model that changed a state it was given."""
        return ModelError(
            f"{self.model!r}: a state was changed in place while its successors were computed. "
            "next_state must return a new state and leave the given one as it is. "
            f"It is now {shorten(state)}{self._culprit(state)}"
        )

    def _culprit(self, state: Any) -> str:
        if overrides(self.model, "successors"):
            return ""
        try:
            for action in self.model.actions(state):
                before = hash(self.key(state))
                self.model.next_state(state, action)
                if hash(self.key(state)) != before:
                    return f"; action {action!r} changes it"
        except Exception:
            return ""
        return ""

    def progress(self, elapsed_s: float) -> SearchProgress:
        """The live numbers."""
        waiting = max(0, len(self.keys) - self.expanded)
        return SearchProgress(len(self.seen), self.generated, self.depth, waiting, elapsed_s, self.memory())

    def memory(self) -> int:
        """Estimated bytes of everything the search holds."""
        tables = getsizeof(self.seen) + getsizeof(self.keys) + getsizeof(self.parents) + getsizeof(self.frontier)
        kept = 36 * len(self.keys) if isinstance(self.keys, array) else self._kept.of(self.keys)  # an int has 36 bytes
        waiting = (
            0 if self.key_of is None else self._waiting.of(self.frontier)
        )  # else the frontier's states are the keys
        return tables + kept + waiting

    def path_to(self, number: int) -> Path:
        """The path on which state *number* was first found."""
        chain = []
        while number >= 0:
            chain.append(self.keys[number])
            number = self.parents[number]
        return replay(self.task, self.key_of, chain[::-1])

    def _full(self) -> str:
        return f"max_states={self.max_states:,}"


def replay(task: SearchTask, key_of: Callable[[Any], Hashable] | None, keys: Sequence[Hashable]) -> Path:
    """The path through *keys*, found again by taking the model's steps."""

    def matching(steps: Iterable[tuple[Any, Any]], key: Hashable) -> Step:
        for action, state in steps:
            if (state if key_of is None else key_of(state)) == key:
                return Step(action, state)
        raise ModelError(
            f"{task.model!r}: a path could not be replayed, so the model is not deterministic: "
            "the same state must give the same successors every time"
        )

    path = [matching(((None, state) for state in task.start), keys[0])]
    for key in keys[1:]:
        path.append(matching(task.model.successors(path[-1].state), key))
    return tuple(path)


def breadth_first(search: StateSearch) -> bool:
    """Visit states in order of their distance from the start; returns whether the space was exhausted.

    The first path found to any state is a shortest one.
    """
    level = search.begin()
    search.depth = 1
    for number, state in enumerate(level):
        search.judge(state, number)
    first = 0
    while level and not search.stopped_by:
        if search.depth == search.watch.bounds.max_depth:
            search.stopped_by = f"max_depth={search.depth:,}"
            break
        following = _next_level(search, level, first)
        first += len(level)
        level = following
    return search.stopped_by is None


def _next_level(search: StateSearch, level: list[Any], first: int) -> list[Any]:
    """Expand every state of one level; *first* is the number of its first state."""
    following: list[Any] = []
    search.frontier = following
    for number, state in enumerate(level, first):
        try:
            fresh = search.expand(state, number)
        except Exception as error:
            raise diagnose(search.model, search.key_of, state, error) from error
        if fresh:
            if not following:
                search.depth += 1
            for child, successor in enumerate(fresh, len(search.keys) - len(fresh)):
                search.judge(successor, child)
            following += fresh
        search.stopped_by = search.stopped_by or search.watch.look(search.progress)
        if search.stopped_by:
            break
    return following


@dataclass(slots=True)
class _Frame:
    """A state on the current path of the depth-first search."""

    step: Step
    mark: int  # the hash of the state's key when it was entered
    steps: Iterator[tuple[Any, Any]]


class DepthFirstSearch(StateSearch):
    """Follows one path as far as it goes, then backs up to the nearest step not yet taken.

    With a depth bound, a state that was cut off at the bound is expanded after all when a shorter path to it
    turns up: every state within max_depth is visited, as a plain visited set would not guarantee.
    """

    def __init__(self, task: SearchTask, watch: SearchWatch) -> None:
        super().__init__(task, watch)
        self.max_depth = watch.bounds.max_depth
        self.depth_of: dict[Hashable, int] = {}
        self.cut: set[Hashable] = set()
        self.stack: list[_Frame] = []

    def run(self) -> bool:
        """Search; returns whether the space was exhausted."""
        for state in self.task.start:
            problem = unusable(self.key_of, state)
            if problem:
                raise ModelError(f"{self.model!r}: an initial state {problem}")
            self.generated += 1
            self._enter(Step(None, state))
            while self.stack and not self.stopped_by:
                self._advance(self.stack[-1])
                self.stopped_by = self.stopped_by or self.watch.look(self.progress)
            if self.stopped_by:
                return False
        if self.cut:
            self.stopped_by = f"max_depth={self.max_depth:,}"
        return not self.cut

    def _enter(self, step: Step) -> None:
        """Go down to a state, unless it was explored from this depth or a smaller one."""
        key = self.key(step.state)
        depth = len(self.stack) + 1
        known = self.depth_of.get(key)
        if known is not None and (self.max_depth is None or known <= depth):
            return
        if known is None:
            if len(self.seen) >= self.max_states:
                self.stopped_by = self._full()
                return
            self.seen.add(key)
            self.keys.append(key)
            self.judge(step.state, lambda: (*(frame.step for frame in self.stack), step))
        self.depth_of[key] = depth
        self.depth = max(self.depth, depth)
        if depth == self.max_depth:
            self.cut.add(key)
            return
        self.cut.discard(key)
        self.stack.append(_Frame(step, hash(key), iter(self.successors(step.state))))

    def _advance(self, frame: _Frame) -> None:
        """Take the next step out of the deepest state of the path, or leave it when there is none."""
        try:
            pair = next(frame.steps, None)
            if pair is None:
                self.stack.pop()
                self.expanded += 1
                if hash(self.key(frame.step.state)) != frame.mark:
                    raise self.changed_in_place(frame.step.state)
                return
            action, state = pair
            if state is None:
                raise none_error(self.model, action, frame.step.state)
            self.generated += 1
            self._enter(Step(action, state))
        except Exception as error:
            raise diagnose(self.model, self.key_of, frame.step.state, error) from error

    def memory(self) -> int:
        """Estimated bytes of everything the search holds."""
        return super().memory() + getsizeof(self.depth_of) + getsizeof(self.cut) + 200 * len(self.stack)
