"""One piece of the museum on show: its stored counterexample taken again, or its failing run simulated again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distlib.check.cluster.counterexample import load
from distlib.core.parameter import Parameters, parameter
from distlib.core.trace import Trace
from distlib.paxos import museum_searches as museum_paxos_search
from distlib.paxos import searches as paxos_search
from distlib.raft import museum_searches as museum_search
from distlib.raft import runs as raft_run
from distlib.raft.raft import Raft
from distlib.sim.cluster import Cluster
from distlib.workbench.kill_matrix import COUNTEREXAMPLES, SEARCHES
from distlib.workbench.museum import Piece, piece, pieces

NAMES = tuple(one.name for one in pieces())

RUNS: dict[str, tuple[Callable[[type[Any], int], Cluster], Callable[[Cluster], str], float, float]] = {
    "healthy cluster": (museum_search.healthy, museum_search.unhealthy, 0.0, 1_000.0),
    "healed partition": (museum_search.partitioned, museum_search.unhealed, 1_900.0, 5_000.0),
    "stale reads": (museum_search.two_sides, museum_search.unreal, 1_000.0, 2_800.0),
    "client histories": (raft_run.run, museum_search.unreal, 0.0, raft_run.RUN_MS),
    "lossy network": (museum_paxos_search.lossy, museum_paxos_search.undecided, 0.0, 5_000.0),
    "left behind": (museum_paxos_search.left_behind, museum_paxos_search.undecided, 0.0, 5_000.0),
}
"""Simulated searches: how to make the run again, what is wrong with it, and the part of it to show and to run."""


@dataclass(frozen=True)
class ExhibitParams(Parameters):
    """Which piece."""

    piece: str = parameter("VotesTwice", "piece", choices=NAMES, help="a class of broken_raft or broken_paxos")


@dataclass(frozen=True)
class Exhibit:
    """A piece with what it does wrong: ``trace`` to draw from ``start_ms`` on, ``failure`` in words, the path's
    ``steps`` in lines (none for a simulated run)."""

    piece: Piece
    trace: Trace
    failure: str
    start_ms: float = 0.0
    steps: tuple[str, ...] = ()


def exhibit(params: ExhibitParams = ExhibitParams()) -> Exhibit:
    """The piece's counterexample, taken again in the real classes; a masked piece is shown in a run that stays right.

    Raises ValueError when a stored path no longer breaks what it broke.
    """
    chosen = piece(params.piece)
    if chosen.kind == "masked":
        run = raft_run.run if issubclass(chosen.variant, Raft) else paxos_search.run
        return Exhibit(chosen, run(chosen.variant, 1).run(1_000.0), "")  # type: ignore[arg-type]
    text = (COUNTEREXAMPLES / f"{chosen.name}.json").read_text(encoding="utf-8")
    data = json.loads(text)
    if "seed" in data:
        return _simulated(chosen, data["search"], data["seed"])
    found = load(text)
    return Exhibit(chosen, found.trace, str(found.broken.witness), steps=tuple(found.story))


def _simulated(chosen: Piece, search: str, seed: int) -> Exhibit:
    kind: Any = chosen.variant
    if search == "liveness":
        module: Any = raft_run if issubclass(kind, Raft) else paxos_search
        failure = SEARCHES[chosen.protocol][search](kind).failure
        _insist(chosen, seed, failure)
        return Exhibit(chosen, module.failed_run(kind, search, seed), failure)
    make, problem, start_ms, until_ms = RUNS[search]
    cluster = make(kind, seed)
    trace = cluster.run(until_ms)
    failure = problem(cluster)
    _insist(chosen, seed, failure)
    return Exhibit(chosen, trace, failure, start_ms)


def _insist(chosen: Piece, seed: int, failure: str) -> None:
    if not failure:
        raise ValueError(f"the run of {chosen.name} with seed {seed} shows nothing wrong any more")
