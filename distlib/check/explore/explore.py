"""The model checker: search every state that a model can reach, or as many as the bounds allow.

    >>> explore(TwoPhase(3))  # breadth-first, the model's own properties
    >>> explore(TwoPhase(5), always(lambda state: ...), max_states=10_000)
    >>> explore(model, search=RandomWalks(seed=7, max_walks=1000), max_depth=50)

Write a model by subclassing ``Model``. The result says what was found *and how far the search looked*.

What a verdict means: "holds" is a proof by enumeration for this model with these parameters, and for nothing
larger. "violated" comes with a path that anyone can replay. "unknown" means that nothing was found before a
bound was reached. Whole states are kept, so the search is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

from distlib.check.explore.bound import DEFAULT_MAX_BYTES, Bounds, OnProgress, SearchWatch, Stop
from distlib.check.explore.liveness import LivenessSearch
from distlib.check.explore.model import Model, ModelError, Property, always, eventually, interchangeable, sometimes
from distlib.check.explore.result import Finding, Path, Result, SearchProgress, Step
from distlib.check.explore.search import BreadthFirstSearch, StateSearch
from distlib.check.explore.task import SearchTask
from distlib.check.explore.walk import RandomWalks, RandomWalkSearch
from distlib.core import require

__all__ = [
    "Bounds", "BreadthFirst", "Finding", "Model", "ModelError", "Path", "Property", "RandomWalks", "Result",
    "SearchProgress", "Stage", "Step", "always", "eventually", "explore", "explore_staged",
    "interchangeable", "sometimes",
]  # fmt: skip

DEFAULT_WALK_DEPTH = 100


@dataclass(frozen=True)
class BreadthFirst:
    """Level by level: the counterexample is a shortest one."""


Strategy = BreadthFirst | RandomWalks


def explore(
    model: Model[Any, Any],
    *properties: Property,
    search: Strategy = BreadthFirst(),
    start: Iterable[Any] | None = None,
    until: Callable[[Any], bool] | None = None,
    symmetry: bool = False,
    max_states: int | None = None,
    max_depth: int | None = None,
    max_seconds: float | None = None,
    max_bytes: int | None = DEFAULT_MAX_BYTES,
    stop: Stop | None = None,
    on_progress: OnProgress | None = None,
) -> Result:
    """Search the states of *model* and check *properties* (the model's own ``properties()`` when none are given).

    A search ends at the first violation of an *always*, when *until* is reached, when only *sometimes* were
    asked for and all are reached, at a bound, at a stop, or when nothing is left. What was found by then is
    kept, after Ctrl-C as well.

    - *search* is ``BreadthFirst()`` or ``RandomWalks(...)``.
    - *start* has states to start from instead of the model's own, such as one that was reached by hand.
    - *until* is a predicate: the search ends at a state that satisfies it, and the path to it is in the result.
    - *symmetry* counts renamings of a state once; the model must define ``canonical``.
    - *max_states* bounds the distinct states visited, *max_depth* the states on a path (the initial one included),
      *max_seconds* the time, *max_bytes* the estimated memory (2 GiB unless given, None for no bound).
    - *stop* is a function without arguments; the search ends soon after it returns True.
    - *on_progress* is a function of a ``SearchProgress``, called about ten times a second.

    Raises TypeError or ValueError for a wrong argument, ``ModelError`` when the model or a property breaks its
    contract.
    """
    require.instance("search", search, (BreadthFirst, RandomWalks), "BreadthFirst() or RandomWalks()")
    task = SearchTask(model, properties, start, until, symmetry)
    if max_depth is None and isinstance(search, RandomWalks):
        max_depth = DEFAULT_WALK_DEPTH
    watch = SearchWatch(Bounds(max_states, max_depth, max_seconds, max_bytes), stop, on_progress)
    engine: RandomWalkSearch | BreadthFirstSearch = (
        RandomWalkSearch(task, watch, search) if isinstance(search, RandomWalks) else BreadthFirstSearch(task, watch)
    )
    try:
        engine.run()
    except KeyboardInterrupt:
        engine.stopped_by = "Ctrl-C"
    findings = tuple(_finding(prop, engine) for prop in task.properties)
    return _result(engine, findings, {"max_walks": search.max_walks} if isinstance(search, RandomWalks) else {})


def _finding(prop: Property, engine: StateSearch) -> Finding:
    """The verdict on one property; an *eventually* is only searched for now, when nothing is violated yet."""
    if prop in engine.found:
        return engine.found[prop]
    is_goal, seen = prop.modality == "sometimes", len(engine.seen)
    nothing = "Not reached" if is_goal else "No violation"
    if engine.walks is not None:
        return Finding(prop, "unknown", f"{nothing} on {engine.walks:,} random walks, which prove nothing.")
    if prop.modality == "eventually":
        if engine.stopped_by and not engine.stopped_by.startswith(("max_states", "max_depth")):
            return Finding(prop, "unknown", f"Not checked: the search was stopped by {engine.stopped_by}.")
        return LivenessSearch(engine.task, prop, engine.watch).run()
    if engine.stopped_by:
        return Finding(prop, "unknown", f"{nothing} in {seen:,} states, but the search was not exhaustive.")
    if is_goal:
        return Finding(prop, "violated", f"True in none of the {seen:,} reachable states.")
    return Finding(prop, "holds", f"True in all {seen:,} reachable states.")


def _result(engine: StateSearch, findings: tuple[Finding, ...], more_bounds: dict[str, Any]) -> Result:
    watch = engine.watch
    last = engine.progress(perf_counter() - watch.start)
    if watch.on_progress is not None:
        watch.on_progress(last)
    return Result(
        model=repr(engine.task.model),
        search=engine.name,
        findings=findings,
        distinct=last.distinct,
        generated=last.generated,
        depth=last.depth,
        exhausted=engine.stopped_by is None,
        stopped_by=engine.stopped_by,
        bounds=watch.bounds.given() | more_bounds,
        elapsed_s=last.elapsed_s,
        memory_bytes=max(watch.memory_bytes, last.memory_bytes),
        symmetry=engine.task.symmetry,
        seed=engine.seed,
        walks=engine.walks,
    )


# ------------------------------------------------------------ stages


@dataclass(frozen=True)
class Stage:
    """One leg of a staged search, breadth first: a model (other faults, say), what is checked, and the goal at
    which the next leg begins.

    *goal* is a predicate on states; every stage but the last needs one. *carry* turns the state that the
    stage before reached into one of this model, for example to allow a crash that was not allowed before.
    *bounds* hold for this stage alone; checked are the model's own properties.
    """

    model: Model[Any, Any]
    goal: Callable[[Any], bool] | None = None
    carry: Callable[[Any], Any] | None = None
    bounds: Bounds = Bounds()  # noqa: RUF009 (frozen)


def explore_staged(stages: Sequence[Stage], max_seconds: float | None = None) -> Result:
    """Search in legs: reach a goal, change the model, search on from there. It goes deeper than one search can.

    The path of the result is the concatenation; a step ("stage", i) stands where *carry* changed the state (i
    counts from 1). Each stage starts from the one state in which the stage before met its goal, so apart from
    a violation nothing is proved about other ways to the goal: the verdict is then "unknown". ``result.stages``
    has the result of each leg. ``max_seconds`` bounds the whole: the last leg has what the others leave.

    Raises ValueError for a list without stages, or a stage before the last that has no goal; otherwise as ``explore``.
    """
    if not stages:
        raise ValueError("explore_staged needs at least one Stage")
    for number, stage in enumerate(stages[:-1], 1):
        if stage.goal is None:
            raise ValueError(f"stage {number} of {len(stages)} has no goal: only the last stage may do without one")
    results: list[Result] = []
    path: Path = ()
    deadline = None if max_seconds is None else perf_counter() + max_seconds
    for number, stage in enumerate(stages, 1):
        if path and stage.carry is not None:
            path = (*path, Step(("stage", number), stage.carry(path[-1].state)))
        start = (path[-1].state,) if path else None
        result = explore(stage.model, start=start, until=stage.goal, **vars(_within(stage.bounds, deadline)))
        results.append(result)
        path += result.path[1:] if path else result.path
        if result.violation is not None or result.stopped_by != "the goal":
            break
    return _joined(stages, results, path)


def _within(bounds: Bounds, deadline: float | None) -> Bounds:
    """``bounds`` with no more time than there is to ``deadline``."""
    if deadline is None:
        return bounds
    left = max(deadline - perf_counter(), 0.001)
    return replace(bounds, max_seconds=left if bounds.max_seconds is None else min(left, bounds.max_seconds))


def _joined(stages: Sequence[Stage], results: list[Result], path: Path) -> Result:
    """One result for the whole: the last leg's findings, with the path from the very start."""
    last = results[-1]
    return replace(
        last,
        model=" then ".join(dict.fromkeys(result.model for result in results)),
        search=f"staged search, stage {len(results)} of {len(stages)}",
        findings=last.findings if len(stages) == 1 else tuple(_of_the_whole(one, last, path) for one in last.findings),
        distinct=sum(result.distinct for result in results),
        generated=sum(result.generated for result in results),
        depth=sum(result.depth for result in results) - len(results) + 1,
        exhausted=last.exhausted and len(stages) == 1,
        elapsed_s=sum(result.elapsed_s for result in results),
        memory_bytes=max(result.memory_bytes for result in results),
        stages=tuple(results),
    )


def _of_the_whole(finding: Finding, last: Result, path: Path) -> Finding:
    """What a leg's finding means for the whole: only what has a path stands."""
    if not finding.path:
        return replace(finding, verdict="unknown")
    return replace(finding, path=path) if finding.path == last.path else finding
