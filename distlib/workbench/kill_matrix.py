"""The kill matrix: every piece of the museum, and the shipped protocols, against every family of searches.

A cell is one class and one family. The searches of the family run in turn, each for at most so many seconds, until one
finds something; the search that is named as a piece's finder is given up to ``FINDER_S``. "–" in a figure therefore
means not found *in that time*, never that there is nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from distlib.check.search import Outcome, ProtocolSearch
from distlib.core.node import Node
from distlib.core.parameter import Parameters, parameter
from distlib.paxos import searches as paxos_search
from distlib.paxos.museum_searches import PAXOS_MUSEUM_SEARCHES
from distlib.paxos.paxos import Paxos
from distlib.paxos.searches import PAXOS_SEARCHES
from distlib.raft import runs as raft_run
from distlib.raft.membership import Membership
from distlib.raft.museum_searches import MUSEUM_SEARCHES
from distlib.raft.raft import Raft
from distlib.raft.searches import RAFT_SEARCHES
from distlib.raft.snapshot import Snapshots
from distlib.raft.variants import PreVote
from distlib.sim.cluster import NodeError
from distlib.workbench.museum import piece, pieces

if TYPE_CHECKING:
    import pandas as pd

FINDER_S = 30.0
DATA = Path(__file__).resolve().parents[2] / "data"
COUNTEREXAMPLES = DATA / "counterexamples"
STORED = DATA / "kill_matrix.csv"

SHIPPED: dict[str, tuple[type[Node], ...]] = {"Raft": (Raft, Snapshots, PreVote, Membership), "Paxos": (Paxos,)}
"""The correct protocols that stand in the matrix, too."""

SEARCHES: dict[str, dict[str, ProtocolSearch]] = {
    "Raft": {one.name: one for one in (*RAFT_SEARCHES, *MUSEUM_SEARCHES)},
    "Paxos": {one.name: one for one in (*PAXOS_SEARCHES, *PAXOS_MUSEUM_SEARCHES)},
}
"""Every search by protocol and name."""

BREADTH = ("elections", "elections with a crash", "duplicates", "three terms", "four servers", "two ballots")
HISTORIES = ("client histories", "stale reads")
FAMILIES = ("breadth-first", "staged", "random walks", "simulated faults", "histories", "liveness")


def family_of(search: ProtocolSearch) -> str:
    """The column of the matrix in which a search stands."""
    if search.kind == "liveness":
        return "liveness"
    if search.name in BREADTH:
        return "breadth-first"
    if search.name in HISTORIES:
        return "histories"
    return search.name if search.name in FAMILIES else "staged"


@dataclass(frozen=True)
class KillMatrixParams(Parameters):
    """Which part of the matrix, and how long each search may take."""

    protocol: str = parameter("Paxos", "protocol", choices=("Raft", "Paxos"))
    searches: str = parameter(
        "each piece's finder", "searches", choices=("each piece's finder", "all"),
        help="the finders take seconds, all searches many minutes",
    )  # fmt: skip
    seconds: float = parameter(
        1.0, "at most", unit="s", low=0.1, high=60, step=0.1,
        help="for one search; a piece's finder may always take 30 s",
    )  # fmt: skip


@dataclass(frozen=True)
class CellTask:
    """One cell: a class by its name, and a family of searches."""

    protocol: str
    variant: str
    family: str
    seconds: float
    finder_only: bool = False


@dataclass(frozen=True)
class Cell:
    """What came of a task. ``verdict`` is "found" or "not found"; ``events`` the minimal path's steps, 0 if none."""

    protocol: str
    variant: str
    kind: str
    family: str
    verdict: str
    search: str = ""
    elapsed_s: float = 0.0
    events: int = 0
    states: int = 0
    failure: str = ""


def class_named(protocol: str, variant: str) -> type[Node]:
    """A shipped class or a piece's, by name. Raises ValueError when there is none."""
    for one in SHIPPED[protocol]:
        if one.__name__ == variant:
            return one
    return piece(variant).variant


def kind_of(protocol: str, variant: str) -> str:
    """ "correct", or the piece's kind."""
    return "correct" if variant in [one.__name__ for one in SHIPPED[protocol]] else piece(variant).kind


def tasks(params: KillMatrixParams) -> list[CellTask]:
    """Every cell of the matrix, row by row: the shipped protocols first."""
    names = [one.__name__ for one in SHIPPED[params.protocol]]
    names += [one.name for one in pieces(params.protocol)]
    finder_only = params.searches != "all"
    made = []
    for name in names:
        families: Sequence[str] = FAMILIES
        if finder_only and kind_of(params.protocol, name) in ("safety", "liveness"):
            families = [family_of(SEARCHES[params.protocol][piece(name).finder])]
        made += [CellTask(params.protocol, name, family, params.seconds, finder_only) for family in families]
    return made


def measure(task: CellTask) -> Cell:
    """Run one cell; can be handed to another process."""
    kind = class_named(task.protocol, task.variant)
    what = kind_of(task.protocol, task.variant)
    finder = piece(task.variant).finder if what in ("safety", "liveness") else ""
    cell = Cell(task.protocol, task.variant, what, task.family, "not found")
    start, states = perf_counter(), 0
    for search in SEARCHES[task.protocol].values():
        named = search.name == finder
        if family_of(search) != task.family or (task.finder_only and finder and not named):
            continue
        outcome = searched(task.protocol, search, kind, FINDER_S if named else task.seconds)
        states += outcome.distinct
        if outcome.failure:
            return replace(
                cell, verdict="found", search=search.name, elapsed_s=perf_counter() - start,
                events=outcome.events, states=states, failure=outcome.failure.splitlines()[0],
            )  # fmt: skip
    return replace(cell, elapsed_s=perf_counter() - start, states=states)


def searched(protocol: str, search: ProtocolSearch, kind: type[Any], seconds: float) -> Outcome:
    """One search; a simulated run is not made minimal here, for that takes longer than to find it."""
    if search.name != "simulated faults":
        return search(kind, seconds)
    make, seeds = (raft_run.run, raft_run.SEEDS) if protocol == "Raft" else (paxos_search.run, paxos_search.SEEDS)
    start, tried = perf_counter(), 0
    for seed in seeds:
        if tried and perf_counter() - start > seconds:
            break
        tried += 1
        cluster = make(kind, seed)
        try:
            cluster.run(raft_run.RUN_MS, until=lambda now: bool(now.violations))
        except NodeError as error:
            return Outcome(search.name, str(error), "a simulated run", True, seed=seed)
        if cluster.violations:
            broken = cluster.violations[0]
            return Outcome(search.name, f"{broken.invariant}: {broken.witness}", "a simulated run", True, seed=seed)
    return Outcome(search.name, "", f"{tried} simulated runs", tried == len(seeds))


def cells(
    params: KillMatrixParams,
    executor: Executor | None = None,
    progress: Callable[[float, float, str], object] = lambda done, total, note: None,
) -> Iterator[Cell]:
    """All cells in order, on ``executor`` if there is one; ``progress(done, total, note)`` before each."""
    todo = tasks(params)
    results: Iterable[Cell] = map(measure, todo) if executor is None else executor.map(measure, todo)
    done = iter(results)
    for number, task in enumerate(todo):
        progress(number, len(todo), f"{task.variant}: {task.family}")
        yield next(done)
    progress(len(todo), len(todo), "")


def table(found: Iterable[Cell]) -> pd.DataFrame:
    """Cells as a data frame, one row each, with the columns of ``Cell``."""
    import pandas as pd

    names = [*Cell.__dataclass_fields__]
    return pd.DataFrame([astuple(cell) for cell in found], columns=names)


def stored() -> pd.DataFrame:
    """The whole matrix as measured once, from ``data/kill_matrix.csv``."""
    import pandas as pd

    return pd.read_csv(STORED, keep_default_na=False)
