"""The labs of the transactions chapter."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import pandas as pd

from distlib.core.trace import Trace
from distlib.figures import theme
from distlib.labs.lab import Lab
from distlib.labs.markup import LabVerdict
from distlib.labs.trace_lab import TraceLab, draw_roles, draw_spacetime
from distlib.labs.work import Progress
from distlib.transactions import charts, comparison, costs, scenarios, theory
from distlib.transactions.intervals import intervals, longest_ms
from distlib.transactions.invariants import commit_invariants
from distlib.transactions.message import Wrote

KINDS = (
    "Begin", "Prepare", "Vote", "Commit", "Abort", "Acknowledge", "Inquire", "PreCommit", "PreAbort", "StageRequest",
    "StageReport", "Accept", "Bundle",
)  # fmt: skip
ROLES = ("idle", "collecting votes", "decided", "in doubt", theme.CRASHED)


class TransactionLab(TraceLab):
    """One transaction, step by step, with whatever goes wrong."""

    title = "One transaction: who is in doubt, and for how long?"
    question = "From where to where is each participant in doubt, and what would let it out sooner?"
    near = ("protocol", "victim", "fails_ms", "cooperative", "seed")
    params = scenarios.TransactionParams
    figures = {
        "space-time": partial(draw_spacetime, kinds=KINDS, roles=ROLES),
        "in doubt and locked": charts.doubt_bars,
        "states": charts.state_chart,
        "roles": partial(draw_roles, roles=ROLES),
    }
    presets = {
        "Nothing fails": {"victim": scenarios.NOBODY},
        "Too little money": {"amount": 8, "victim": scenarios.NOBODY},
        "The coordinator dies": {"figure": "in doubt and locked"},
        "It dies while it sends": {"victim": scenarios.SENDING, "fails_ms": 24.0, "figure": "in doubt and locked"},
        "Three phases, a dead coordinator": {"protocol": "three-phase commit", "figure": "in doubt and locked"},
        "Three phases, a partition": {
            "protocol": "three-phase commit", "victim": scenarios.ISOLATED, "fails_ms": 25.0,
        },
        "The article's": {"protocol": scenarios.AS_WRITTEN, "amount": 8, "victim": scenarios.NOBODY},
    }  # fmt: skip
    scenario = staticmethod(scenarios.transaction)
    invariants = staticmethod(commit_invariants)

    def table(self, result: Any) -> pd.DataFrame:
        trace: Trace = result
        told = scenarios.client_told(trace, self.params.disk_ms)
        doubts, locks = intervals(trace, "in_doubt"), intervals(trace, "locked")
        forced = sum(one.event.forced for one in trace.outputs_of(Wrote))
        between = [one for one in trace.sent if one[2] != one[3] and one[2] in trace.nodes]
        outcome = "it was told nothing"
        if told is not None:
            outcome = f"{'committed' if told[0] else 'aborted'}, at {told[1]:,.0f} ms"
        rows = {
            "the client": outcome,
            "longest in doubt": _longest(doubts),
            "longest with a lock": _longest(locks),
            "messages between nodes": f"{len(between)}",
            "forced writes": f"{forced}",
        }
        return pd.DataFrame(rows.items(), columns=["in this run", "value"])


def _longest(found: pd.DataFrame) -> str:
    """The longest of these intervals; "and on" where the run has ended before it."""
    longest = longest_ms(found)
    open_ = (~found["ended"].astype(bool) & (found["end_ms"] - found["start_ms"] == longest)).any()
    return f"{longest:,.0f} ms{' and on' if open_ else ''}"


class BlockingLab(Lab):
    """A coordinator that dies at a random moment: how often, and how long, does that leave somebody in doubt?"""

    title = "A dead coordinator"
    question = "Which of the protocols leave somebody in doubt until the coordinator is back?"
    near = ("down_ms", "cooperative", "deaf", "participants")
    params = scenarios.BlockingParams
    figures = {"blocked for longer than": charts.blocking_curve}
    presets = {
        "Nobody else knows": {"cooperative": False},
        "Down for long": {"down_ms": 10_000.0},
        "Many participants": {"participants": 8, "trials": 30},
    }

    def run(self, params: scenarios.BlockingParams, progress: Progress) -> pd.DataFrame:
        parts = []
        for number, name in enumerate(scenarios.TELLING):
            progress(number, len(scenarios.TELLING), name)
            parts.append(_blocking(params, name))
        return pd.concat(parts, ignore_index=True)

    def table(self, result: pd.DataFrame) -> pd.DataFrame:
        found = result.groupby("protocol", sort=False)["blocked_ms"]
        half_down = self.params.down_ms / 2
        rows = {
            "mean (ms)": found.mean().round(0),
            "longest (ms)": found.max().round(0),
            "crashes that block half the time": found.agg(lambda blocked: f"{(blocked > half_down).mean():.0%}"),
        }
        return pd.DataFrame(rows).reset_index()

    def data(self, result: pd.DataFrame) -> dict[str, pd.DataFrame]:
        return {"crashes": result}


@lru_cache(maxsize=64)
def _blocking(params: scenarios.BlockingParams, protocol: str) -> pd.DataFrame:
    return scenarios.blocking(params, (protocol,))


@lru_cache(maxsize=32)
def _costs(most: int, situation: str) -> pd.DataFrame:
    return costs.costs(range(2, most + 1), (situation,))


class CostLab(Lab):
    """Messages and forced writes, counted in simulated runs beside the published formulas."""

    title = "What a transaction costs"
    question = "What does each presumption save, and when?"
    params = costs.CostParams
    figures = {"costs": charts.cost_lines}
    presets = {
        "One votes no": {"situation": theory.ABORT},
        "All only read": {"situation": theory.ALL_READ},
        "The coordinator restarts": {"situation": theory.RESTART},
    }

    def run(self, params: costs.CostParams, progress: Progress) -> pd.DataFrame:
        return _costs(params.most, params.situation)

    def verdicts(self, result: pd.DataFrame) -> Sequence[LabVerdict]:
        """Whether what is counted is what the formulas say."""
        wrong = result[
            (result["messages"] != result["messages_formula"]) | (result["forced"] != result["forced_formula"])
        ]
        first = "" if wrong.empty else f"{wrong.iloc[0]['protocol']}, {wrong.iloc[0]['participants']} participants"
        return [("Counted is what the formulas say", wrong.empty, first)]

    def table(self, result: pd.DataFrame) -> pd.DataFrame:
        rows = result[result["participants"] == result["participants"].max()]
        return rows[["protocol", "participants", "messages", "forced"]]

    def data(self, result: pd.DataFrame) -> dict[str, pd.DataFrame]:
        return {"costs": result}


class ContentionLab(Lab):
    """Many clients and few accounts: what waiting costs, and what giving way costs."""

    title = "Many transactions at once"
    question = "Where does throughput stop growing, and which way to wait serves whom?"
    near = ("accounts", "participants", "latency_ms", "crashes")
    params = scenarios.LoadParams
    figures = {"against clients": charts.contention_curves}
    presets = {
        "Few accounts": {"accounts": 4},
        "One hot account": {"hot": 0.3},
        "Far apart": {"latency_ms": 60.0, "patience_ms": 1500.0},
        "Coordinators that crash": {"crashes": 0.01, "down_ms": 1000.0, "accounts": 200},
    }

    def run(self, params: scenarios.LoadParams, progress: Progress) -> pd.DataFrame:
        return scenarios.contention(params)

    def verdicts(self, result: pd.DataFrame) -> Sequence[LabVerdict]:
        """Where nothing is committed there is no latency of a commit."""
        none = result[result["commits_per_s"] == 0]
        first = "" if none.empty else f"{none.iloc[0]['waiting']}, {none.iloc[0]['clients']} clients: nothing is"
        return [("Something is committed at every point", none.empty, first)]

    def table(self, result: pd.DataFrame) -> pd.DataFrame:
        most = result[result["clients"] == result["clients"].max()]
        shown = most[["waiting", "commits_per_s", "median_ms", "p99_ms", "aborted", "locked_ms"]]
        return shown.round({"commits_per_s": 0, "median_ms": 0, "p99_ms": 0, "aborted": 3, "locked_ms": 1})

    def data(self, result: pd.DataFrame) -> dict[str, pd.DataFrame]:
        return {"load": result}


class GeographyLab(Lab):
    """The same transaction in one region and around the world."""

    title = "Far apart"
    question = "What does a third phase, or a majority, cost between continents?"
    params = scenarios.GeographyParams
    figures = {"in milliseconds": charts.geography_bars}
    presets = {"No disk": {"disk_ms": 0.0}, "A slow disk": {"disk_ms": 20.0}}

    def run(self, params: scenarios.GeographyParams, progress: Progress) -> pd.DataFrame:
        return _geography(params)

    def table(self, result: pd.DataFrame) -> pd.DataFrame:
        table = result.pivot(index="protocol", columns="places", values="locked_ms").round(0)
        table = table.loc[list(scenarios.PROTOCOLS), list(scenarios.PLACES)]
        return table.rename_axis("locked for, in ms").reset_index()

    def data(self, result: pd.DataFrame) -> dict[str, pd.DataFrame]:
        return {"places": result}


@lru_cache(maxsize=32)
def _geography(params: scenarios.GeographyParams) -> pd.DataFrame:
    return scenarios.geography(params)


class SideBySideLab(Lab):
    """All protocols in one table, measured."""

    title = "All of them side by side"
    long = True
    question = "What does each one buy, and what does it cost?"
    params = comparison.ComparisonParams
    figures = {"side by side": lambda table: charts.side_by_side(table, comparison.COLUMNS)}
    presets = {"Eight participants": {"participants": 8}, "Down for long": {"down_ms": 10_000.0}}

    def run(self, params: comparison.ComparisonParams, progress: Progress) -> pd.DataFrame:
        return comparison.compare(params, progress)

    def table(self, result: pd.DataFrame) -> pd.DataFrame:
        return result.round(1)
