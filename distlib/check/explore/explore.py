"""The model checker: search every state that a model can reach, or as many as the bounds allow.

    >>> explore(TwoPhase(3))  # breadth-first, the model's own properties
    >>> explore(TwoPhase(5), always(lambda state: ...), search=BreadthFirst(workers=2))
    >>> explore(model, search=RandomWalks(seed=7, max_walks=1000), max_depth=50)

Write a model by subclassing ``Model``. The result says what was found *and how far the search looked*.

What a verdict means: "holds" is a proof by enumeration for this model with these parameters, and for nothing
larger. "violated" comes with a path that anyone can replay. "unknown" means that nothing was found before a
bound was reached. Whole states are kept by default, so the search is exact. With store="hashes" only 64 bits
of each state are kept, and two of n states are taken for one with a probability below n²/2⁶⁵ (3·10⁻⁸ for a
million states), which the result states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

from distlib.check.explore.bound import DEFAULT_MAX_BYTES, Bounds, SearchWatch, Stop
from distlib.check.explore.liveness import check_eventually
from distlib.check.explore.model import (
    Model,
    ModelError,
    check_model,
    interchangeable,
    least_renaming,
    overrides,
    shorten,
)
from distlib.check.explore.parallel import ParallelSearch, check_workers
from distlib.check.explore.property import Property, always, eventually, sometimes, violation
from distlib.check.explore.result import Finding, Path, Result, SearchProgress, Step, Verdict
from distlib.check.explore.search import DepthFirstSearch, SearchTask, StateSearch, Store, breadth_first
from distlib.check.explore.walk import RandomWalkSearch, Weights
from distlib.core.seeds import check_seed

__all__ = [
    "Bounds", "BreadthFirst", "DepthFirst", "Finding", "Model", "ModelError", "Path", "Property",
    "RandomWalks", "Result", "SearchProgress", "Stage", "Step", "Verdict", "always", "eventually", "explore",
    "explore_staged",
    "interchangeable", "least_renaming", "sometimes",
]  # fmt: skip

DEFAULT_WALK_DEPTH = 100


@dataclass(frozen=True)
class BreadthFirst:
    """Level by level: the counterexample is a shortest one.

    With *workers* above 1 the states are shared among that many forked processes. The counts are the same for
    an exhausted space; with a violation the level is finished first, and max_states is looked at
    ten times a second rather than exactly, and max_bytes after each level.
    """

    workers: int = 1

    def __post_init__(self) -> None:
        check_workers(self.workers)


@dataclass(frozen=True)
class DepthFirst:
    """One path as far as it goes, then back: reaches deep states early; its paths are not the shortest."""


@dataclass(frozen=True)
class RandomWalks:
    """Random paths from the start, each of at most max_depth states (100 unless given to ``explore``).

    Walk i has the seed ``seed + i``. The seed of the failing walk is in the result: ``RandomWalks(seed=that,
    max_walks=1)`` walks it again, in any process, if the model yields its actions in an order of its own.
    *weights* maps an action to its relative frequency (0 or more; when all are 0 they are equal).
    """

    seed: int = 1
    max_walks: int = 1000
    weights: Weights | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if isinstance(self.max_walks, bool) or not isinstance(self.max_walks, int) or self.max_walks < 1:
            raise ValueError(f"max_walks must be a whole number of at least 1; got {self.max_walks!r}")
        if self.weights is not None and not callable(self.weights):
            raise TypeError(f"weights must be a function from an action to a number, not {type(self.weights).__name__}")


Strategy = BreadthFirst | DepthFirst | RandomWalks


def explore(
    model: Model[Any, Any],
    *properties: Property,
    search: Strategy = BreadthFirst(),
    start: Iterable[Any] | None = None,
    until: Callable[[Any], bool] | None = None,
    store: Store = "states",
    symmetry: bool = False,
    max_states: int | None = None,
    max_depth: int | None = None,
    max_seconds: float | None = None,
    max_bytes: int | None = DEFAULT_MAX_BYTES,
    stop: Stop | None = None,
    on_progress: Callable[[SearchProgress], None] | None = None,
) -> Result:
    """Search the states of *model* and check *properties* (the model's own ``properties()`` when none are given).

    A search ends at the first violation of an *always*, when *until* is reached, when only *sometimes* were
    asked for and all are reached, at a bound, at a stop, or when nothing is left. What was found by then is
    kept, after Ctrl-C as well.

    Parameters
    ----------
    search:
        ``BreadthFirst`` (the default), ``DepthFirst`` or ``RandomWalks``.
    start:
        states to start from instead of ``model.initial_states()``, such as one that a learner has reached by hand.
    until:
        end the search when a state satisfies this predicate; the path to it is in the result.
    store:
        "states" keeps whole states and is exact; "hashes" keeps 64 bits of each, and less memory.
    symmetry:
        count states that are renamings of each other once; the model must define ``canonical``.
    max_states, max_depth, max_seconds, max_bytes:
        bounds: distinct states to visit; states on a path, the initial one included; seconds of search; estimated
        bytes held (2 GiB unless given, None for no bound).
    stop:
        a ``threading.Event`` or a function without arguments; the search ends soon after it is set or returns True.
    on_progress:
        called about ten times a second with a ``SearchProgress``, in the thread that called ``explore``.

    Raises TypeError or ValueError for a wrong argument, ``ModelError`` when the model or a property breaks its
    contract.
    """
    check_model(model)
    task = _task(model, properties, start, until, store, symmetry, search)
    bounds = Bounds(max_states, max_depth, max_seconds, max_bytes)
    if isinstance(search, RandomWalks) and max_depth is None:
        bounds = replace(bounds, max_depth=DEFAULT_WALK_DEPTH)
    _check_handles(stop, on_progress)
    watch = SearchWatch(bounds, stop, on_progress)
    engine = _engine(search, task, watch)
    exhausted = False
    try:
        exhausted = bool(breadth_first(engine) if type(engine) is StateSearch else engine.run())  # type: ignore[attr-defined]
    except KeyboardInterrupt:
        engine.stopped_by = "Ctrl-C"
    findings = tuple(_finding(prop, task, engine, exhausted, watch) for prop in task.properties)
    return _result(search, task, engine, watch, findings, exhausted)


def _task(
    model: Model[Any, Any],
    properties: Sequence[Property],
    start: Iterable[Any] | None,
    until: Callable[[Any], bool] | None,
    store: Store,
    symmetry: bool,
    search: Strategy,
) -> SearchTask:
    if not isinstance(search, BreadthFirst | DepthFirst | RandomWalks):
        raise TypeError(f"search must be BreadthFirst(), DepthFirst() or RandomWalks(); got {search!r}")
    if store not in ("states", "hashes"):
        raise ValueError(f'store must be "states" or "hashes"; got {store!r}')
    chosen = list(properties or model.properties())
    for prop in chosen:
        if not isinstance(prop, Property):
            raise TypeError(f"{prop!r} is not a property: wrap the predicate, as in always(predicate)")
    names = [prop.name for prop in chosen]
    if len(set(names)) < len(names):
        raise ValueError(f"two properties have the same name: {names}; give each its own, as in always(f, name='...')")
    if symmetry and not overrides(model, "canonical"):
        raise ValueError(f"{model!r} defines no canonical(state), so symmetry=True has nothing to reduce by")
    if symmetry and any(prop.kind == "eventually" for prop in chosen):
        raise ValueError(
            "eventually cannot be checked with symmetry=True: its loops would only be loops up to renaming"
        )
    goal = sometimes(until) if until is not None else None
    if goal is not None:
        goal = replace(goal, name=f"goal: {goal.name}")
        chosen.append(goal)
    return SearchTask(model, _start(model, start), tuple(chosen), store, symmetry, goal)


def _start(model: Model[Any, Any], start: Iterable[Any] | None) -> tuple[Any, ...]:
    if start is not None:
        states = tuple(start)
        what = "start"
    else:
        what = "initial_states()"
        try:
            states = tuple(model.initial_states())
        except Exception as error:
            raise ModelError(f"{model!r}: initial_states() raised {type(error).__name__}: {error}") from error
    if not states:
        raise ModelError(f"{model!r}: {what} has no state, so there is nothing to explore")
    return states


def _check_handles(stop: object, on_progress: object) -> None:
    if stop is not None and not isinstance(stop, Event) and not callable(stop):
        raise TypeError(f"stop must be a threading.Event or a function without arguments, not {type(stop).__name__}")
    if on_progress is not None and not callable(on_progress):
        raise TypeError(f"on_progress must be a function of one Progress, not {type(on_progress).__name__}")


def _engine(search: Strategy, task: SearchTask, watch: SearchWatch) -> StateSearch:
    if isinstance(search, RandomWalks):
        return RandomWalkSearch(task, watch, search.seed, search.max_walks, search.weights)
    if isinstance(search, DepthFirst):
        return DepthFirstSearch(task, watch)
    return ParallelSearch(task, watch, search.workers) if search.workers > 1 else StateSearch(task, watch)


def _finding(prop: Property, task: SearchTask, engine: StateSearch, exhausted: bool, watch: SearchWatch) -> Finding:
    """The verdict on one property; an *eventually* is only searched for now, when nothing is violated yet."""
    seen = engine.progress(0.0).distinct
    if prop in engine.witnesses:
        explanation, where = engine.witnesses[prop]
        path = where if isinstance(where, tuple) else engine.path_to(where)
        if prop.kind == "sometimes":
            return Finding(prop, "holds", f"Reached by a path of {len(path):,} states.", path)
        if task.symmetry and prop.kind == "always" and violation(task.model, prop, path[-1].state) is None:
            raise ModelError(
                f"{task.model!r}: property '{prop}' tells apart states that canonical() takes for renamings "
                f"of each other, such as {shorten(path[-1].state)}: "
                "make it symmetric, or explore with symmetry=False"
            )
        return Finding(prop, "violated", explanation, path)
    if prop.kind == "eventually" and not isinstance(engine, RandomWalkSearch):
        if (engine.stopped_by or "max_states").startswith(("max_states", "max_depth")):
            watch.phase = f"liveness of {prop.name}"
            return check_eventually(task, prop, watch)
        return Finding(prop, "unknown", f"Not checked: the search was stopped by {engine.stopped_by}.")
    if isinstance(engine, RandomWalkSearch):
        return Finding(prop, "unknown", f"{_nothing(prop)} on {engine.walks:,} random walks, which prove nothing.")
    if not exhausted:
        return Finding(prop, "unknown", f"{_nothing(prop)} in {seen:,} states, but the search was not exhaustive.")
    if prop.kind == "sometimes":
        return Finding(prop, "violated", f"True in none of the {seen:,} reachable states.")
    return Finding(prop, "holds", f"True in all {seen:,} reachable states.")


def _nothing(prop: Property) -> str:
    return "Not reached" if prop.kind == "sometimes" else "No violation"


def _result(
    search: Strategy,
    task: SearchTask,
    engine: StateSearch,
    watch: SearchWatch,
    findings: tuple[Finding, ...],
    exhausted: bool,
) -> Result:
    elapsed_s = watch.elapsed_s
    last = engine.progress(elapsed_s)
    if watch.on_progress is not None:
        watch.on_progress(last)
    walks = isinstance(engine, RandomWalkSearch)
    bounds = watch.bounds.given()
    if isinstance(search, RandomWalks):
        bounds["max_walks"] = search.max_walks
    return Result(
        model=repr(task.model),
        search={BreadthFirst: "breadth-first", DepthFirst: "depth-first", RandomWalks: "random walks"}[type(search)],
        findings=findings,
        distinct=last.distinct,
        generated=last.generated,
        depth=last.depth,
        exhausted=exhausted and not walks,
        stopped_by=engine.stopped_by,
        bounds=bounds,
        elapsed_s=elapsed_s,
        memory_bytes=max(watch.memory_bytes, last.memory_bytes),
        store=task.store,
        symmetry=task.symmetry,
        workers=search.workers if isinstance(search, BreadthFirst) else 1,
        seed=engine.seed if isinstance(engine, RandomWalkSearch) else None,
        walks=engine.walks if isinstance(engine, RandomWalkSearch) else None,
    )


# ------------------------------------------------------------ stages


@dataclass(frozen=True)
class Stage:
    """One leg of a staged search: a model (other faults, say), what is checked, and the goal at which the
    next leg begins.

    *goal* is a predicate on states; every stage but the last needs one. *carry* turns the state that the
    stage before reached into one of this model, for example to allow a crash that was not allowed before.
    *properties* are the model's own unless given. *bounds* hold for this stage alone.
    """

    model: Model[Any, Any]
    goal: Callable[[Any], bool] | None = None
    properties: tuple[Property, ...] | None = None
    search: Strategy = BreadthFirst()
    carry: Callable[[Any], Any] | None = None
    bounds: Bounds = Bounds()  # noqa: RUF009 (frozen)


def explore_staged(
    stages: Sequence[Stage], *, stop: Stop | None = None, on_progress: Callable[[SearchProgress], None] | None = None
) -> Result:
    """Search in legs: reach a goal, change the model, search on from there. It goes deeper than one search can.

    The path of the result is the concatenation; a step ("stage", i) stands where *carry* changed the state (i
    counts from 1). Each stage starts from the one state in which the stage before met its goal, so apart from
    a violation nothing is proved about other ways to the goal: the verdict is then "unknown". ``result.stages``
    has the result of each leg.

    Raises ValueError for a list without stages, or a stage before the last that has no goal; otherwise as ``explore``.
    """
    if not stages:
        raise ValueError("explore_staged needs at least one Stage")
    for number, stage in enumerate(stages[:-1], 1):
        if stage.goal is None:
            raise ValueError(f"stage {number} of {len(stages)} has no goal: only the last stage may do without one")
    results: list[Result] = []
    path: Path = ()
    for number, stage in enumerate(stages, 1):
        start: tuple[Any, ...] | None = None
        if path:
            state = path[-1].state if stage.carry is None else stage.carry(path[-1].state)
            if stage.carry is not None:
                path = (*path, Step(("stage", number), state))
            start = (state,)
        properties = stage.model.properties() if stage.properties is None else stage.properties
        result = explore(
            stage.model,
            *properties,
            search=stage.search,
            start=start,
            until=stage.goal,
            stop=stop,
            on_progress=on_progress,
            **vars(stage.bounds),
        )
        results.append(result)
        path += result.path[1:] if path else result.path
        if result.violation is not None or result.stopped_by != "the goal":
            break
    return _joined(stages, results, path)


def _joined(stages: Sequence[Stage], results: list[Result], path: Path) -> Result:
    """One result for the whole: the last leg's findings, with the path from the very start."""
    last = results[-1]
    findings = tuple(_restated(finding, last, path) for finding in last.findings)
    if len(stages) > 1:
        findings = tuple(replace(finding, verdict=_tempered(finding)) for finding in findings)
    return replace(
        last,
        model=" then ".join(dict.fromkeys(result.model for result in results)),
        search=f"staged search, stage {len(results)} of {len(stages)}",
        findings=findings,
        distinct=sum(result.distinct for result in results),
        generated=sum(result.generated for result in results),
        depth=sum(result.depth for result in results) - len(results) + 1,
        exhausted=last.exhausted and len(stages) == 1,
        elapsed_s=sum(result.elapsed_s for result in results),
        memory_bytes=max(result.memory_bytes for result in results),
        stages=tuple(results),
    )


def _restated(finding: Finding, last: Result, path: Path) -> Finding:
    return replace(finding, path=path) if finding.path and finding.path == last.path else finding


def _tempered(finding: Finding) -> Verdict:
    """What a leg's verdict means for the whole: only what has a path stands."""
    return finding.verdict if finding.path else "unknown"
