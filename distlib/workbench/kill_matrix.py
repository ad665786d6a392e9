"""The kill matrix: every mutant, and the shipped protocols, against every family of searches.

The searches of a cell's family run in turn, each for at most so many seconds, or ``KILLER_S`` for the mutant's killer,
until one finds something. "–" in a figure therefore means not found *in that time*, never that there is nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, wait
from dataclasses import astuple, dataclass, replace
from functools import partial
from time import perf_counter
from typing import Literal

import pandas as pd

from distlib.check.search import FAMILIES, Family
from distlib.core.data import data_file
from distlib.core.mutant import Sort
from distlib.core.node import Node
from distlib.core.parameter import Parameters, parameter
from distlib.sim.sweep import WAIT_S
from distlib.workbench.subjects import EXHIBITED, subject_named

KILLER_S = 30.0
KILLERS = "each mutant's killer"


@dataclass(frozen=True)
class KillMatrixParams(Parameters):
    """Which part of the matrix, and how long each search may take."""

    protocol: str = parameter("Paxos", "protocol", choices=tuple(one.name for one in EXHIBITED))
    searches: str = parameter(
        KILLERS, "searches", choices=(KILLERS, "all"), help="the killers take seconds, all searches many minutes"
    )
    seconds: float = parameter(
        1.0, "at most", unit="s", low=0.1, high=60, scale="log",
        help="for one search; a mutant's killer may always take 30 s",
    )  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A class of the matrix: a mutant, or a shipped protocol; ``killed_by`` names the mutant's killer, if any."""

    protocol: str
    node_class: type[Node]
    sort: Sort | Literal["correct"]
    killed_by: str = ""

    @property
    def name(self) -> str:
        """The class's name."""
        return self.node_class.__name__


@dataclass(frozen=True)
class Cell:
    """What came of one class and one family of searches; ``events`` are the minimal path's steps, 0 without one."""

    protocol: str
    mutant: str
    sort: str
    family: str
    verdict: Literal["found", "not found"]
    search: str = ""
    elapsed_s: float = 0.0
    events: int = 0
    states: int = 0
    failure: str = ""


def rows(protocol: str) -> list[Row]:
    """The classes of the matrix: the shipped protocols first."""
    subject = subject_named(protocol, EXHIBITED)
    correct = [Row(protocol, one, "correct") for one in subject.correct]
    return correct + [Row(protocol, one.node_class, one.sort, one.killed_by) for one in subject.mutants]


@dataclass(frozen=True)
class CellTask:
    """One cell to measure: a class, and a family of searches, of which each may take so many ``seconds``."""

    row: Row
    family: Family
    seconds: float
    killer_only: bool


def tasks(params: KillMatrixParams) -> list[CellTask]:
    """Every cell of the matrix, row by row; none where a family has no search for the class."""
    subject, killer_only = subject_named(params.protocol, EXHIBITED), params.searches != "all"
    made = []
    for row in rows(params.protocol):
        families: Sequence[Family] = FAMILIES
        if killer_only and row.killed_by:
            families = [subject.search(row.killed_by).family]
        served = {search.family for search in subject.searches if search.applies(row.node_class)}
        made += [CellTask(row, family, params.seconds, killer_only) for family in families if family in served]
    return made


def measure(task: CellTask) -> Cell:
    """Run one cell; a simulated run is not made minimal here, for that takes longer than to find it."""
    row = task.row
    cell = Cell(row.protocol, row.name, row.sort, task.family, "not found")
    start, states = perf_counter(), 0
    for search in subject_named(row.protocol).searches:
        killer = search.name == row.killed_by
        if search.family != task.family or not search.applies(row.node_class):
            continue
        if task.killer_only and row.killed_by and not killer:
            continue
        run = search if search.simulation is None else partial(search.simulation.run, minimal=False)
        outcome = run(row.node_class, KILLER_S if killer else task.seconds)
        states += outcome.distinct
        if outcome.failure:
            return replace(
                cell, verdict="found", search=search.name, elapsed_s=perf_counter() - start,
                events=outcome.events, states=states, failure=outcome.failure.splitlines()[0],
            )  # fmt: skip
    return replace(cell, elapsed_s=perf_counter() - start, states=states)


def cells(
    params: KillMatrixParams,
    executor: Executor | None = None,
    progress: Callable[[float, float, str], object] = lambda done, total, note: None,
) -> Iterator[Cell]:
    """All cells in order, on ``executor`` if there is one; ``progress(done, total, note)`` before each, and again and
    again while it is measured elsewhere; it may raise to stop."""
    todo = tasks(params)
    futures = [executor.submit(measure, task) for task in todo] if executor is not None else []
    for number, task in enumerate(todo):
        tell = partial(progress, number, len(todo), f"{task.row.name}: {task.family}")
        tell()
        while futures and wait(futures[number : number + 1], WAIT_S).not_done:
            tell()
        yield futures[number].result() if futures else measure(task)
    progress(len(todo), len(todo), "")


def table(found: Iterable[Cell]) -> pd.DataFrame:
    """Cells as a data frame, one row each, with the columns of ``Cell``."""
    return pd.DataFrame([astuple(cell) for cell in found], columns=[*Cell.__dataclass_fields__])


def stored() -> pd.DataFrame:
    """The whole matrix as measured once, from ``data/kill_matrix.csv``."""
    return pd.read_csv(data_file("kill_matrix.csv"), keep_default_na=False)
