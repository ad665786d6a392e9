"""Named searches of protocol classes: what a Raft or a Paxos class has to stand, each in seconds.

Every search takes a subclass and answers with an ``Outcome``. They differ in what they can see: breadth-first finds the
shortest counterexample near the start; random walks get deeper and miss what needs one exact order; a staged search is
led to the place where a rule matters; simulated runs have real timers and clients; only the liveness searches notice
that nothing happens. Their bounds are set so that the shipped Raft and Paxos pass each in seconds, and are stated in
the outcome.
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
from distlib.check.explore.explore import Bounds, BreadthFirst, RandomWalks, Result, Stage, explore, explore_staged
from distlib.core.node import Node

Kind = Literal["safety", "liveness"]

DANGEROUS = ("did not come back", "SystemExit", "MemoryError")
"""Failures of a handler that are not to be taken again and again, to make a path smaller."""


@dataclass(frozen=True)
class Outcome:
    """What one search found: ``failure`` says what went wrong, in words; empty when nothing did.

    ``invariant`` is the invariant that broke, ``example`` the minimal counterexample, None for a failure that is no
    path (a history, a run in which nothing happens). ``looked`` says how far the search looked, ``complete`` whether it
    ended by its own bounds rather than by the time it was given. ``seed`` is
    the seed of the simulated run that failed, ``steps`` the counterexample in words.
    """

    search: str
    failure: str
    looked: str
    complete: bool
    elapsed_s: float = 0.0
    distinct: int = 0
    invariant: str = ""
    example: Counterexample | None = None
    seed: int | None = None
    steps: tuple[str, ...] = ()

    @property
    def events(self) -> int:
        """Steps of the counterexample; 0 without one."""
        return len(self.steps)

    def __str__(self) -> str:
        verdict = f"FAILED: {self.failure}" if self.failure else "passed" if self.complete else "passed, cut short"
        return f"{self.search}: {verdict} ({self.looked}; {self.elapsed_s:.1f} s)"


Run = Callable[[type[Any], float], Outcome]
"""What searches a class, for at most so many seconds."""


@dataclass(frozen=True)
class ProtocolSearch:
    """A named search: ``search(kind)`` runs it on a protocol class, for at most ``max_seconds``."""

    name: str
    finds: str  # what it is good at, in a sentence
    run: Run
    kind: Kind = "safety"

    def __call__(self, node_class: type[Node], max_seconds: float = 60.0) -> Outcome:
        """Run the search on ``node_class``."""
        start = perf_counter()
        outcome = self.run(node_class, max_seconds)
        return replace(outcome, search=self.name, elapsed_s=perf_counter() - start)


def concluded(result: Result, model: ClusterModel) -> Outcome:
    """A search's result as an outcome, its counterexample made minimal and verified."""
    looked = f"{result.distinct:,} states, {'all there are' if result.exhausted else result.search}"
    if result.seed is not None:
        looked = f"{result.walks:,} walks, {result.distinct:,} states, seeds from {result.seed}"
    complete = not (result.stopped_by or "").startswith(("max_seconds", "max_bytes", "Ctrl-C"))
    if result.violation is None or not result.path:
        return Outcome("", "", looked, complete, result.elapsed_s, result.distinct)
    broken = result.path[-1].state.broken
    if broken.invariant == HANDLER and any(word in broken.witness for word in DANGEROUS):
        return Outcome(
            "", f"{broken.invariant}: {broken.witness}", looked, True, result.elapsed_s, result.distinct,
            broken.invariant, steps=tuple(map(str, actions_of(result.path))),
        )  # fmt: skip
    return exemplified(counterexample(model, shrink(model, result.path)), looked, result.distinct)


def exemplified(example: Counterexample, looked: str, distinct: int = 0, seed: int | None = None) -> Outcome:
    """A failure that has a counterexample."""
    broken = example.broken
    return Outcome(
        "", f"{broken.invariant}: {broken.witness}", looked, True, 0.0, distinct, broken.invariant, example, seed,
        tuple(map(str, example.actions)),
    )  # fmt: skip


# ------------------------------------------------------------ how to search


def breadth(make: Callable[..., ClusterModel], max_states: int, **options: Any) -> Run:
    """Breadth-first over the model that ``make`` makes of a class and ``options``."""

    def run(kind: type[Any], max_seconds: float) -> Outcome:
        model = make(kind, **options)
        return concluded(explore(model, max_states=max_states, max_seconds=max_seconds), model)

    return run


def often(action: Any) -> float:
    """Weights of a random walk: faults and timers are rare, deliveries common."""
    if isinstance(action, (CrashRestart, Duplicate, Drop)):
        return 1.0
    return 3.0 if isinstance(action, (Timeout, Request)) else 10.0


def walks(make: Callable[..., ClusterModel], max_walks: int, max_depth: int, **options: Any) -> Run:
    """Seeded random walks, with weights that keep faults rare."""

    def run(kind: type[Any], max_seconds: float) -> Outcome:
        model = make(kind, **options)
        search = RandomWalks(seed=1, max_walks=max_walks, weights=often)
        return concluded(explore(model, search=search, max_depth=max_depth, max_seconds=max_seconds), model)

    return run


@dataclass(frozen=True)
class Leg:
    """One stage: the steps that it allows, and the goal at which the next begins."""

    options: dict[str, Any]
    goal: Callable[[World], bool] | None = None
    max_states: int = 40_000


def staged(make: Callable[..., ClusterModel], *legs: Leg, **common: Any) -> Run:
    """Search in legs; a goal that a class never reaches ends the search there."""

    def run(kind: type[Any], max_seconds: float) -> Outcome:
        models = [make(kind, **common, **leg.options) for leg in legs]
        share = max_seconds / len(legs)
        stages = [
            Stage(model, leg.goal, search=BreadthFirst(), carry=model.carry if number else None,
                  bounds=Bounds(max_states=leg.max_states, max_seconds=share))
            for number, (model, leg) in enumerate(zip(models, legs, strict=True))
        ]  # fmt: skip
        result = explore_staged(stages)
        outcome = concluded(result, models[-1])
        reached = len(result.stages) if result.stages else 1
        return replace(outcome, looked=f"{outcome.looked}, {reached} of {len(legs)} stages")

    return run
