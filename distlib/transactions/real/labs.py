"""The labs of the real check: a process is killed between two databases, and the flexible ways beside it."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from distlib.labs.lab import Lab
from distlib.labs.markup import LabVerdict
from distlib.labs.work import Progress, Stopped
from distlib.transactions.real import charts
from distlib.transactions.real.experiment import (
    ACCOUNTS,
    NAMES,
    NOBODY,
    EveryWayParams,
    RealTransactions,
    RealTransactionsParams,
    every_way,
    real_transactions,
)


class RealTransactionsLab(Lab):
    """Transfers between two real databases, and SIGKILL at a chosen step."""

    title = "Two-phase commit for real: a process is killed between two databases"
    question = "Which rows stay locked while the victim is away, and what becomes of the transactions in doubt?"
    near = ("database", "protocol", "victim", "step")
    params = RealTransactionsParams
    figures = {
        "in doubt": lambda result: charts.doubt_timeline(
            result.locks, result.down, result.heard, result.sums, NAMES, [f"x{number}" for number in range(ACCOUNTS)]
        )
    }
    presets = {
        "The decision is made, and nobody knows": {"step": "decided", "nth": 6},
        "A database dies prepared": {"victim": "B", "step": "prepared", "nth": 9},
        "A saga, half done": {"protocol": "saga", "step": "committed", "nth": 5, "clients": 1},
        "On PostgreSQL": {"database": "PostgreSQL", "step": "before commit"},
    }
    long = True

    def run(self, params: RealTransactionsParams, progress: Progress) -> RealTransactions:
        """Two databases are started, used, killed, recovered and removed: two to ten seconds."""
        return real_transactions(params, progress)

    def table(self, result: RealTransactions) -> pd.DataFrame:
        """What the databases report as in doubt after the kill."""
        return result.in_doubt.round(3)

    def verdicts(self, result: RealTransactions) -> Sequence[LabVerdict]:
        return [*result.verdicts(), *never_killed(result)]

    def data(self, result: RealTransactions) -> dict[str, pd.DataFrame]:
        tables = {"in doubt": result.in_doubt, "locks": result.locks, "down": result.down, "heard": result.heard}
        return {**tables, "sums": result.sums, "statistics": result.summary}


class EveryWayLab(Lab):
    """Two-phase commit beside saga, TCC, AT and outbox on the same real databases."""

    title = "What each way costs, counted on real databases"
    question = "Who shows readers half of a transfer, who makes others wait, and who takes back what it has promised?"
    near = ("protocols", "database", "victim", "step")
    params = EveryWayParams
    figures = {"costs": lambda result: charts.what_each_way_costs(costs(result))}
    long = True

    def run(self, params: EveryWayParams, progress: Progress) -> tuple[RealTransactions, ...]:
        """One way after the other; those that are done when the reader stops are kept."""
        done: list[RealTransactions] = []
        try:
            for one in every_way(params, progress):
                done.append(one)
        except Stopped:
            if not done:
                raise
        return tuple(done)

    def table(self, result: tuple[RealTransactions, ...]) -> pd.DataFrame:
        """What the figure has no room for."""
        return costs(result).drop(columns=["database", "longest in doubt (s)", "wrong sums (%)", "commits taken back"])

    def data(self, result: tuple[RealTransactions, ...]) -> dict[str, pd.DataFrame]:
        return {"ways": costs(result)}

    def verdicts(self, result: tuple[RealTransactions, ...]) -> Sequence[LabVerdict]:
        return [
            (f"{one.params.protocol}: {claim}", holds, witness)
            for one in result for claim, holds, witness in (*one.verdicts()[:3], *never_killed(one))
        ]  # fmt: skip


def never_killed(result: RealTransactions) -> list[LabVerdict]:
    """A run in which the step did not come often enough has tried nothing: that is said."""
    params = result.params
    if params.victim == NOBODY or any(one.what == "killed" for one in result.events):
        return []
    return [(f"{params.victim} is killed", None, f"{params.step!r} came less than {params.nth} times")]


def costs(result: Sequence[RealTransactions]) -> pd.DataFrame:
    """One row a way."""
    table = pd.concat([one.summary for one in result], ignore_index=True)
    share = 100 * table["wrong sums"] / table["sums read"].clip(lower=1)
    table.insert(list(table).index("wrong sums") + 1, "wrong sums (%)", share.round(1))
    return table
