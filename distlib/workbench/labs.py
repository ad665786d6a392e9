"""The labs of the bug museum: one piece at a time, and the kill matrix."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pandas as pd

from distlib.figures.spacetime import spacetime
from distlib.labs.lab import Lab
from distlib.labs.work import Progress, Stopped
from distlib.workbench.charts import kill_matrix, two_sources
from distlib.workbench.exhibit import Exhibit, ExhibitParams, exhibit
from distlib.workbench.kill_matrix import Cell, KillMatrixParams, cells, stored, table


def draw_counterexample(result: Exhibit) -> Any:
    """What goes wrong, as a space-time diagram."""
    return spacetime(result.trace, start_ms=result.start_ms)


def draw_sources(result: Exhibit) -> Any:
    """The right method and the broken one."""
    one = result.piece
    names = (f"{one.right.__name__}.{one.method}", f"{one.name}.{one.method}")
    return two_sources(*one.sources(), names=names)


class MuseumLab(Lab):
    """A broken protocol: the rule it lacks, its one method beside the right one, its shortest counterexample."""

    title = "The bug museum"
    params = ExhibitParams
    figures = {"counterexample": draw_counterexample, "the two methods": draw_sources}
    presets = {
        "Figure 8": {"piece": "CommitsOldTerms"},
        "Three ballots": {"piece": "TakesTheLowestBallot"},
        "A crash": {"piece": "ForgetsItsVote"},
        "Nothing happens": {"piece": "WaitsEquallyLong"},
        "Masked": {"piece": "TrustsTheLeadersCommit"},
    }

    def run(self, params: ExhibitParams, progress: Progress) -> Exhibit:
        """Take the stored counterexample again."""
        return exhibit(params)

    def table(self, result: Exhibit) -> pd.DataFrame:
        """The label beside the piece."""
        one = result.piece
        rows = [
            ("what it does", one.title), ("the rule", one.rule), ("the paper", one.paper),
            ("kind", f"masked: {one.masked_by}" if one.kind == "masked" else one.kind),
            ("found by", one.finder or "no search"),
        ]  # fmt: skip
        if one.masked_by and one.kind != "masked":
            rows.append(("and yet", one.masked_by))
        if one.report is not None:
            rows.append(("in real life", f"{one.report.what} ({one.report.url})"))
        if result.steps:
            rows.append(("steps", str(result.trace.events)))
        return pd.DataFrame(rows, columns=["", one.name])

    def verdicts(self, result: Exhibit) -> Sequence[tuple[str, bool | None, str]]:
        """What breaks."""
        if not result.failure:
            return [("nothing breaks", True, result.piece.masked_by)]
        return [(result.piece.invariant, False, result.failure)]

    def data(self, result: Exhibit) -> dict[str, pd.DataFrame]:
        """The label, and the steps in words."""
        return {"piece": self.table(result), "steps": pd.DataFrame({"step": result.steps})}


def draw_matrix(result: pd.DataFrame) -> Any:
    """Pieces down, families of searches across."""
    return kill_matrix(result)


class KillMatrixLab(Lab):
    """Every variant against every family of searches; the shipped protocols stand among them and stay clean."""

    title = "The kill matrix"
    params = KillMatrixParams
    figures = {"kill matrix": draw_matrix}
    presets = {"Raft": {"protocol": "Raft"}, "Paxos, all searches": {"searches": "all"}}
    long = True

    def start(self) -> None:
        """Show what was measured once; the first press on Run measures anew."""
        self.fresh = hasattr(self, "fresh")
        super().start()

    def run(self, params: KillMatrixParams, progress: Progress) -> pd.DataFrame:
        """Run all cells on both cores; what is done when the reader stops is kept."""
        if not self.fresh:
            measured = stored()
            return measured[measured["protocol"] == params.protocol]
        done: list[Cell] = []
        with ProcessPoolExecutor(2) as executor:
            try:
                for cell in cells(params, executor, progress):
                    done.append(cell)
            except Stopped:
                executor.shutdown(wait=False, cancel_futures=True)
                if not done:
                    raise
        return table(done)

    def table(self, result: pd.DataFrame) -> pd.DataFrame:
        """How many of each kind were found, and how long the slowest took."""
        rows = []
        for kind, group in result.groupby("kind", sort=False):
            found = group[group["verdict"] == "found"]
            best = found.groupby("variant")["elapsed_s"].min()
            rows.append((kind, group["variant"].nunique(), len(best), best.max() if len(best) else float("nan")))
        return pd.DataFrame(rows, columns=["kind", "variants", "found", "slowest, s"]).round(1)

    def verdicts(self, result: pd.DataFrame) -> Sequence[tuple[str, bool | None, str]]:
        """Every bug is found; nothing that is right is accused."""
        killed = set(result.loc[result["verdict"] == "found", "variant"])
        bugs = dict.fromkeys(result.loc[result["kind"].isin(("safety", "liveness")), "variant"])
        clean = dict.fromkeys(result.loc[result["kind"].isin(("correct", "masked")), "variant"])
        missed, accused = [one for one in bugs if one not in killed], [one for one in clean if one in killed]
        return [
            ("every bug is found", not missed, ", ".join(missed)),
            ("what is correct, or masked, stays clean", not accused, ", ".join(accused)),
        ]

    def data(self, result: pd.DataFrame) -> dict[str, pd.DataFrame]:
        """Every cell."""
        return {"kill matrix": result}
