"""Searches over simulated runs: a cluster in some situation, once a seed, until a run shows something wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from distlib.check.cluster.counterexample import counterexample
from distlib.check.cluster.handling import HANDLER
from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.shrink import shrink_run
from distlib.check.history.history import History
from distlib.check.history.linearizability import Verdict, check
from distlib.check.history.sequential import Specification
from distlib.check.search import DANGEROUS, Family, Outcome, ProtocolSearch, exemplified
from distlib.core.node import Node
from distlib.core.trace import Trace
from distlib.sim.cluster import Cluster, NodeError

Problem = Callable[[Cluster], str]
"""Runs a cluster to its end and says what is wrong with it; empty when nothing is. It raises ``UndecidedError`` where
it cannot tell."""

CONFIGURATIONS = 200_000
"""How many the checker of histories looks at before it gives up."""


class UndecidedError(Exception):
    """Nobody can tell whether a run was right: the search for an answer was given up."""


@dataclass(frozen=True)
class Tried:
    """What came of running a situation seed by seed: the last cluster, its seed and failure, how many were run, of how
    many nobody can tell whether they were right, and whether the failure is that a node raised."""

    cluster: Cluster
    seed: int
    failure: str
    runs: int
    undecided: int = 0
    raised: bool = False


def try_seeds(
    seeds: Iterable[int], make: Callable[[int], Cluster], problem: Problem, max_seconds: float = float("inf")
) -> Tried:
    """Run one cluster a seed until one has a problem or the time is over; at least one is run.

    A node that raises is a problem, too. Raises ``ValueError`` without seeds.
    """
    start, tried, undecided = perf_counter(), None, 0
    for number, seed in enumerate(seeds, 1):
        if tried is not None and perf_counter() - start > max_seconds:
            break
        cluster, failure, raised = make(seed), "", False
        try:
            failure = problem(cluster)
        except UndecidedError:
            undecided += 1
        except NodeError as error:
            failure, raised = str(error), True
        tried = Tried(cluster, seed, failure, number, undecided, raised)
        if failure:
            break
    if tried is None:
        raise ValueError("seeds is empty; it takes at least one seed to run")
    return tried


def after(until_ms: float, problem: Problem) -> Problem:
    """Run until ``until_ms``, then look for a problem."""

    def run(cluster: Cluster) -> str:
        cluster.run(until_ms)
        return problem(cluster)

    return run


def watched(until_ms: float) -> Problem:
    """Run until ``until_ms`` or until one of the cluster's invariants breaks: that is the problem."""

    def run(cluster: Cluster) -> str:
        cluster.run(until_ms, until=lambda now: bool(now.violations))
        return broken_invariant(cluster)

    return run


def not_explained(history: History, specification: Specification) -> str:
    """Why no order of the operations explains the history; empty when one does. Raises ``UndecidedError`` when the
    checker gives up after ``CONFIGURATIONS``."""
    result = check(history, specification, configuration_limit=CONFIGURATIONS)
    if result.verdict is Verdict.UNKNOWN:
        raise UndecidedError(result.explain())
    return result.explain() if result.verdict is Verdict.NOT_LINEARIZABLE else ""


def broken_invariant(cluster: Cluster) -> str:
    """The first invariant that broke, with its witness."""
    return f"{cluster.violations[0].invariant}: {cluster.violations[0].witness}" if cluster.violations else ""


@dataclass(frozen=True)
class Simulation:
    """A situation to run a class in, seed by seed.

    ``cluster`` makes it, not yet run (or run up to where the situation begins); ``problem`` runs it and says what is
    wrong. ``looked`` says what is run, in words; ``breaks`` what a failure breaks, where the problem names none.
    With ``model``, the explorer's model of the same nodes and invariants, a failure is made a minimal path. A figure
    shows a run from ``shown_ms[0]`` to ``shown_ms[1]``.
    """

    cluster: Callable[[type[Any], int], Cluster]
    problem: Problem
    seeds: range
    looked: str
    shown_ms: tuple[float, float]
    breaks: str = ""
    model: Callable[[type[Any], int], ClusterModel] | None = None

    def run(self, node_class: type[Any], max_seconds: float, minimal: bool = True) -> Outcome:
        """Run seed after seed; ``minimal`` makes a failure's path as short as it can be, which may take longer."""
        tried = try_seeds(self.seeds, lambda seed: self.cluster(node_class, seed), self.problem, max_seconds)
        if not tried.failure:
            complete = tried.runs == len(self.seeds)
            return Outcome("", f"{tried.runs} {self.looked}", complete, undecided=tried.undecided)
        example = self._example(node_class, tried) if minimal else None
        if example is not None:
            return example
        looked, failure = f"a simulated run with seed {tried.seed}", tried.failure
        if tried.raised:
            return Outcome(f"{HANDLER}: {failure}", looked, True, invariant=HANDLER, seed=tried.seed)
        if self.breaks:
            looked, failure = self.looked, f"{failure} (seed {tried.seed})"
        return Outcome(failure, looked, True, invariant=self.breaks, seed=tried.seed)

    def _example(self, node_class: type[Any], tried: Tried) -> Outcome | None:
        """The failure with its minimal path, where there is a model and the explorer can take the run's steps."""
        if self.model is None or any(word in tried.failure for word in DANGEROUS):
            return None
        model = self.model(node_class, tried.seed)
        try:
            example = counterexample(model, shrink_run(model, tried.cluster.trace()))
        except ValueError:
            return None
        return exemplified(example, f"a simulated run with seed {tried.seed}")

    def trace(self, node_class: type[Any], seed: int) -> Trace:
        """The run of ``seed`` up to the end of what is shown, for a figure."""
        cluster = self.cluster(node_class, seed)
        try:
            return cluster.run(self.shown_ms[1])
        except NodeError:
            return cluster.trace("an error")


def simulated(
    name: str, finds: str, simulation: Simulation, *, family: Family = "simulated faults",
    applies_to: type[Node] | None = None,
) -> ProtocolSearch:  # fmt: skip
    """A search over simulated runs."""
    return ProtocolSearch(name, finds, family, simulation.run, applies_to, simulation)
