"""Named searches of protocol classes: what a class of a protocol has to stand, each in seconds.

Every search takes a class and answers with an ``Outcome``. They differ in what they can see: breadth-first finds the
shortest counterexample near the start; random walks get deeper and miss what needs one exact order; a staged search is
led to the place where a rule matters; simulated runs have real timers and clients; only the liveness searches notice
that nothing happens. Their bounds are set so that the shipped protocols pass each in seconds, and are stated in the
outcome.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, Literal

from distlib.check.cluster.counterexample import Counterexample, counterexample
from distlib.check.cluster.handling import HANDLER
from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.replay import actions_of
from distlib.check.cluster.shrink import shrink
from distlib.check.cluster.world import CrashRestart, Drop, Duplicate, Request, Timeout, World
from distlib.check.explore.explore import Bounds, RandomWalks, Result, Stage, explore, explore_staged
from distlib.core.node import Node

Family = Literal["breadth-first", "staged", "random walks", "simulated faults", "histories", "liveness"]
Promise = Literal["safety", "liveness"]

FAMILIES: tuple[Family, ...] = (
    "breadth-first", "staged", "random walks", "simulated faults", "histories", "liveness"
)  # fmt: skip

DANGEROUS = ("did not come back", "SystemExit", "MemoryError")
"""Failures of a handler that are not to be taken again and again, to make a path smaller."""

ModelMaker = Callable[..., ClusterModel]
"""Makes the model of a cluster of a class, as in ``make(node_class, timeouts={"election": 2})``."""


@dataclass(frozen=True)
class Outcome:
    """What one search found: ``failure`` says what went wrong, in words; empty when nothing did.

    ``invariant`` is the invariant that broke, ``example`` the minimal counterexample, None for a failure that is no
    path (a history, a run in which nothing happens). ``looked`` says how far the search looked, ``complete`` whether it
    ended by its own bounds rather than by the time it was given, ``arrived`` whether a staged search got to the place
    that it leads to. ``seed`` is the seed of the simulated run that failed, ``steps`` the counterexample in words, and
    ``undecided`` the number of simulated runs of which nobody can tell whether they were right.
    """

    failure: str
    looked: str
    complete: bool
    search: str = ""
    elapsed_s: float = 0.0
    distinct: int = 0
    invariant: str = ""
    example: Counterexample | None = None
    seed: int | None = None
    steps: tuple[str, ...] = ()
    arrived: bool = True
    undecided: int = 0

    @property
    def events(self) -> int:
        """Steps of the counterexample; 0 without one."""
        return len(self.steps)

    def __str__(self) -> str:
        found = "nothing found" if self.arrived else "did not get to its situation"
        found += f", {self.undecided} runs undecided" if self.undecided else ""
        verdict = f"FAILED: {self.failure}" if self.failure else found if self.complete else f"{found}, cut short"
        return f"{self.search}: {verdict} ({self.looked}; {self.elapsed_s:.1f} s)"


@dataclass(frozen=True)
class ProtocolSearch:
    """A named search: ``search(node_class)`` runs it on a protocol class, for at most ``max_seconds``.

    ``finds`` is what it is good at, in a sentence. ``applies_to`` is what a class must derive from for the search to
    mean anything (None: any class of its protocol). ``simulation`` is what a search over simulated runs simulates: it
    has ``cluster(node_class, seed)``, ``trace(node_class, seed)`` and ``run(node_class, max_seconds, minimal)``.
    """

    name: str
    finds: str
    family: Family
    run: Callable[[type[Any], float], Outcome]
    applies_to: type[Node] | None = None
    simulation: Any = None

    @property
    def promise(self) -> Promise:
        """What it looks at: that nothing bad happens, or that something good does."""
        return "liveness" if self.family == "liveness" else "safety"

    def applies(self, node_class: type[Node]) -> bool:
        """Whether the search can tell anything about ``node_class``."""
        return self.applies_to is None or issubclass(node_class, self.applies_to)

    def __call__(self, node_class: type[Node], max_seconds: float = 60.0) -> Outcome:
        """Run the search on ``node_class``."""
        start = perf_counter()
        outcome = self.run(node_class, max_seconds)
        return replace(outcome, search=self.name, elapsed_s=perf_counter() - start)


def concluded(result: Result, model: ClusterModel) -> Outcome:
    """A search's result as an outcome, its counterexample made minimal and verified."""
    how = "all there are" if result.exhausted else f"{result.search}, not exhausted: {result.stopped_by}"
    if result.stages and result.stopped_by is None:
        how = f"{result.search}, all from there"
    looked = f"{result.distinct:,} states, {how}"
    if result.seed is not None:
        looked = f"{result.walks:,} walks, {result.distinct:,} states, seeds from {result.seed}"
    complete = not (result.stopped_by or "").startswith(("max_seconds", "max_bytes", "Ctrl-C"))
    if result.violation is None or not result.path:
        return Outcome("", looked, complete, distinct=result.distinct)
    broken = result.path[-1].state.broken
    if broken.invariant == HANDLER and any(word in broken.witness for word in DANGEROUS):
        steps = tuple(map(str, actions_of(result.path)))
        failure = f"{broken.invariant}: {broken.witness}"
        return Outcome(failure, looked, True, distinct=result.distinct, invariant=broken.invariant, steps=steps)
    found = exemplified(counterexample(model, shrink(model, result.path)), looked)
    return replace(found, distinct=result.distinct)


def exemplified(example: Counterexample, looked: str) -> Outcome:
    """A failure that has a counterexample."""
    broken, steps = example.broken, tuple(map(str, example.actions))
    failure = f"{broken.invariant}: {broken.witness}"
    return Outcome(failure, looked, True, invariant=broken.invariant, example=example, steps=steps)


# ------------------------------------------------------------ searches by the explorer


def breadth(name: str, finds: str, make: ModelMaker, max_states: int, **options: Any) -> ProtocolSearch:
    """Breadth-first over the model that ``make`` makes of a class and ``options``."""

    def run(node_class: type[Any], max_seconds: float) -> Outcome:
        model = make(node_class, **options)
        return concluded(explore(model, max_states=max_states, max_seconds=max_seconds), model)

    return ProtocolSearch(name, finds, "breadth-first", run)


def often(action: Any) -> float:
    """Weights of a random walk: faults and timers are rare, deliveries common."""
    if isinstance(action, (CrashRestart, Duplicate, Drop)):
        return 1.0
    return 3.0 if isinstance(action, (Timeout, Request)) else 10.0


def walks(name: str, finds: str, make: ModelMaker, max_walks: int, max_depth: int, **options: Any) -> ProtocolSearch:
    """Seeded random walks, with weights that keep faults rare."""

    def run(node_class: type[Any], max_seconds: float) -> Outcome:
        model = make(node_class, **options)
        search = RandomWalks(seed=1, max_walks=max_walks, weights=often)
        return concluded(explore(model, search=search, max_depth=max_depth, max_seconds=max_seconds), model)

    return ProtocolSearch(name, finds, "random walks", run)


@dataclass(frozen=True)
class Leg:
    """One stage: the steps that it allows, and the goal at which the next begins."""

    options: dict[str, Any]
    goal: Callable[[World], bool] | None = None
    max_states: int = 40_000


def staged(
    name: str, finds: str, make: ModelMaker, *legs: Leg, applies_to: type[Node] | None = None, **common: Any
) -> ProtocolSearch:  # fmt: skip
    """Search in legs; a goal that a class never reaches ends the search there, and the outcome says so."""

    def run(node_class: type[Any], max_seconds: float) -> Outcome:
        models = [make(node_class, **common, **leg.options) for leg in legs]
        stages = [
            Stage(model, leg.goal, model.carry if number else None, Bounds(max_states=leg.max_states))
            for number, (model, leg) in enumerate(zip(models, legs, strict=True))
        ]
        result = explore_staged(stages, max_seconds)
        reached = len(result.stages) if result.stages else 1
        return replace(concluded(result, models[-1]), arrived=reached == len(legs))

    return ProtocolSearch(name, finds, "staged", run, applies_to)
