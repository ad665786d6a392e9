"""The labs of flexible transactions: one of them, forward and back; and what others see of many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from distlib.core.invariant import Invariant
from distlib.core.trace import Trace
from distlib.labs.lab import Lab
from distlib.labs.markup import LabVerdict
from distlib.labs.trace_lab import TraceLab, draw_roles, draw_spacetime
from distlib.labs.work import Progress, Stopped
from distlib.transactions.flexible import charts, scenarios
from distlib.transactions.flexible.invariants import saga_invariants
from distlib.transactions.flexible.isolation import ALL_RUNNERS
from distlib.transactions.flexible.message import Applied, Ended


class FlowLab(TraceLab):
    """One payment over three services, forward and, where a step is refused, back."""

    title = "One flexible transaction, forward and back"
    question = "What can others see before it is over, and what takes it back?"
    near = ("protocol", "refused", "crashed", "duplication")
    params = scenarios.FlowParams
    figures = {"forward and back": charts.flow_chart, "space-time": draw_spacetime, "roles": draw_roles}
    presets = {
        "The last step is refused": {"refused": 3},
        "After the pivot, only forward": {"pivot": 2, "crashed": "S3", "crash_ms": 8.0, "down_ms": 300.0},
        "The orchestrator crashes": {"crashed": "S1", "crash_ms": 8.0, "refused": 3},
        "TCC: try, then cancel": {"protocol": "TCC", "refused": 3, "figure": "space-time"},
        "AT: rolled back by undo log": {"protocol": "AT", "refused": 3},
        "Message table": {
            "protocol": "message table", "loss": 0.3, "duplication": 0.3, "seed": 4, "figure": "space-time",
        },
        "Half message and check-back": {
            "protocol": "transactional message", "crashed": "S1", "crash_ms": 8.0, "figure": "space-time",
        },
    }  # fmt: skip
    scenario = staticmethod(scenarios.flow)
    invariants = staticmethod(saga_invariants)

    def checked(self) -> Sequence[Invariant]:
        """The invariants of the protocol that is shown."""
        return scenarios.PROTOCOLS[self.params.protocol].invariants()

    def verdicts(self, result: Any) -> Sequence[LabVerdict]:
        broken = {one.invariant: str(one) for one in result.violations}
        return [(one.name, one.name not in broken, broken.get(one.name, "")) for one in self.checked()]

    def table(self, result: Any) -> pd.DataFrame:
        trace: Trace = result
        steps, over = trace.outputs_of(Applied), trace.outputs_of(Ended)
        between = [one for one in trace.sent if one[2] != one[3] and one[2] in trace.nodes]
        half_ms = (over[0].time_ms if over else trace.end_ms) - steps[0].time_ms if steps else 0.0
        ended = (
            f"{'done' if over[0].event.done else 'not done'}, at {over[0].time_ms:,.0f} ms" if over else "still open"
        )
        rows = {
            "the transaction": ended,
            "others see it half done for": f"{half_ms:,.0f} ms{'' if over or not steps else ' and on'}",
            "changes seen": f"{sum(not one.event.back for one in steps)}",
            "taken back": f"{sum(one.event.back for one in steps)}",
            "messages between nodes": f"{len(between)}",
        }
        return pd.DataFrame(rows.items(), columns=["in this run", "value"])


class AnomalyLab(Lab):
    """Transfers and readers at once: who sees what is not there?"""

    title = "What others see"
    question = "Which way to move money lets a reader see a sum that never was, and what does it cost to prevent that?"
    near = ("clients", "failing", "latency_ms", "seed")
    params = scenarios.AnomalyParams
    figures = {"anomalies": charts.anomaly_curves}
    presets = {"Nothing is refused": {"failing": 0.0}, "Half is refused": {"failing": 0.5}}
    long = True

    def run(self, params: scenarios.AnomalyParams, progress: Progress) -> pd.DataFrame:
        parts: list[pd.DataFrame] = []
        jobs = [(name, count) for name in ALL_RUNNERS for count in params.clients]
        try:
            for number, (name, count) in enumerate(jobs):
                progress(number, len(jobs), f"{name}, {count} clients")
                one = replace(params, clients=(count,))
                parts.append(scenarios.anomalies(one, {name: ALL_RUNNERS[name]}))
        except Stopped:
            if not parts:
                raise
        return pd.concat(parts, ignore_index=True)

    def verdicts(self, result: pd.DataFrame) -> Sequence[LabVerdict]:
        """Where nothing is read, or nothing is done, there is no share of it."""
        none = result[(result["readings"] == 0) | (result["done"] == 0)]
        first = "" if none.empty else f"{none.iloc[0]['protocol']}, {none.iloc[0]['clients']} clients"
        return [("Something is read, and something done, at every point", none.empty, first)]

    def table(self, result: pd.DataFrame) -> pd.DataFrame:
        most = result[result["clients"] == result["clients"].max()]
        shown = most[["protocol", "done", "failed", "readings", "read_skew", "dirty_reads", "lost_updates", "per_s"]]
        rounded = shown.round({"read_skew": 0, "dirty_reads": 0, "lost_updates": 0, "per_s": 0})
        return rounded.rename(columns={"per_s": "done a second"})

    def data(self, result: pd.DataFrame) -> dict[str, pd.DataFrame]:
        return {"anomalies": result}
