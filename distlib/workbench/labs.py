"""The labs of the museum of mutants: one mutant at a time, and the kill matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from distlib.figures.spacetime import spacetime
from distlib.labs.lab import Lab
from distlib.labs.work import Progress, Stopped
from distlib.sim.sweep import processes
from distlib.workbench.charts import kill_matrix, two_sources
from distlib.workbench.kill_matrix import Cell, KillMatrixParams, cells, stored, table
from distlib.workbench.museum import Exhibit, ExhibitParams, exhibit


def draw_counterexample(result: Exhibit) -> Any:
    """What goes wrong, as a space-time diagram."""
    return spacetime(result.trace, start_ms=result.start_ms)


def draw_sources(result: Exhibit) -> Any:
    """The original method and the mutant's."""
    one = result.mutant
    names = (f"{one.original.__name__}.{one.method}", f"{one.name}.{one.method}")
    return two_sources(*one.sources(), names=names)


class MuseumLab(Lab):
    """A broken protocol: the rule it lacks, its one method beside the right one, its shortest counterexample."""

    title = "The museum of mutants"
    question = "Which rule is missing, and what is the shortest way to the damage?"
    params = ExhibitParams
    figures = {"counterexample": draw_counterexample, "the two methods": draw_sources}
    presets = {
        "Figure 8": {"mutant": "CommitsOldTerms"},
        "Three ballots": {"mutant": "TakesTheLowestBallot"},
        "A crash": {"mutant": "ForgetsItsVote"},
        "Nothing happens": {"mutant": "WaitsEquallyLong"},
        "Equivalent": {"mutant": "TrustsTheLeadersCommit"},
    }

    def run(self, params: ExhibitParams, progress: Progress) -> Exhibit:
        return exhibit(params)

    def table(self, result: Exhibit) -> pd.DataFrame:
        one = result.mutant
        rows = {
            "what it does": one.title, "the rule": one.rule, "the paper": one.paper, "breaks": one.sort,
            "killed by": one.killed_by or "no search",
        }  # fmt: skip
        if one.sort == "equivalent":
            rows["breaks"] = f"nothing, an equivalent mutant: {one.because}"
        elif one.because:
            rows["and yet"] = one.because
        if one.report is not None:
            rows["in real life"] = f"{one.report.what} ({one.report.url})"
        if result.steps:
            rows["steps"] = str(result.trace.events)
        return pd.DataFrame(rows.items(), columns=["", one.name])

    def verdicts(self, result: Exhibit) -> Sequence[tuple[str, bool | None, str]]:
        if not result.failure:
            return [("nothing breaks", True, result.mutant.because)]
        return [(result.mutant.breaks, False, result.failure)]

    def data(self, result: Exhibit) -> dict[str, pd.DataFrame]:
        return {"mutant": self.table(result), "steps": pd.DataFrame({"step": result.steps})}


class KillMatrixLab(Lab):
    """Every mutant against every family of searches; the shipped protocols stand among them and stay clean."""

    title = "The kill matrix"
    question = "Which search finds which bug, and does any accuse a correct protocol?"
    params = KillMatrixParams
    figures = {"kill matrix": kill_matrix}
    presets = {"Raft": {"protocol": "Raft"}, "Paxos, all searches": {"searches": "all"}}
    long = True

    def start(self) -> None:
        """Show what was measured once; the first press on Run measures anew."""
        self.fresh = hasattr(self, "fresh")
        super().start()

    def run(self, params: KillMatrixParams, progress: Progress) -> pd.DataFrame:
        """Run all cells on all cores; what is done when the reader stops is kept."""
        if not self.fresh:
            measured = stored()
            return measured[measured["protocol"] == params.protocol]
        done: list[Cell] = []
        try:
            with processes() as executor:
                for cell in cells(params, executor, progress):
                    done.append(cell)
        except Stopped:
            if not done:
                raise
        return table(done)

    def table(self, result: pd.DataFrame) -> pd.DataFrame:
        rows = []
        for sort, group in result.groupby("sort", sort=False):
            found = group[group["verdict"] == "found"]
            best = found.groupby("mutant")["elapsed_s"].min()
            rows.append((sort, group["mutant"].nunique(), len(best), best.max() if len(best) else float("nan")))
        return pd.DataFrame(rows, columns=["sort", "classes", "killed", "slowest, s"]).round(1)

    def verdicts(self, result: pd.DataFrame) -> Sequence[tuple[str, bool | None, str]]:
        killed = set(result.loc[result["verdict"] == "found", "mutant"])
        bugs = dict.fromkeys(result.loc[result["sort"].isin(("safety", "liveness")), "mutant"])
        clean = dict.fromkeys(result.loc[result["sort"].isin(("correct", "equivalent")), "mutant"])
        missed, accused = [one for one in bugs if one not in killed], [one for one in clean if one in killed]
        return [
            ("every mutant is killed", not missed, ", ".join(missed)),
            ("what is correct, or equivalent, stays clean", not accused, ", ".join(accused)),
        ]

    def data(self, result: pd.DataFrame) -> dict[str, pd.DataFrame]:
        return {"kill matrix": result}
