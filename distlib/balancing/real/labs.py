"""The lab of the real check: the load-balancing policies before HTTP servers on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from distlib.balancing.real import charts
from distlib.balancing.real.scenarios import FRONTS, RealBalancing, RealBalancingParams, Run, runs
from distlib.core.parameter import Parameters, parameter
from distlib.labs.lab import Lab
from distlib.labs.work import Progress, Stopped


@dataclass(frozen=True)
class RealBalancingView(Parameters):
    """How to look at a measurement."""

    coordinated_omission: bool = parameter(False, "coordinated omission",
        help="also show what a tool reports that counts from the actual sending, not from the intended time"
    )  # fmt: skip


class RealBalancingLab(Lab):
    """Real HTTP requests through a real proxy to real servers, beside the simulation of the same requests."""

    title = "Load balancing for real: measured and simulated"
    question = "Do real processes behave as the simulator says?"
    near = ("policies", "load", "slow_speed", "stall_ms")
    params = RealBalancingParams
    view = RealBalancingView
    figures = {
        "percentiles": lambda result, coordinated_omission: charts.measured_percentiles(
            result.percentiles, result.chance, coordinated_omission=coordinated_omission
        ),
        "requests per worker": lambda result: charts.requests_by_backend(result.counts),
    }
    presets = {
        "A slow worker": {"slow_speed": 0.4, "load": 0.6},
        "A stall, eight connections": {
            "policies": ("round robin", "two choices"), "load": 0.5, "stall_ms": 1500.0, "connections": 8,
            "coordinated_omission": True,
        },
        "Through nginx and HAProxy too": {"through": FRONTS},
    }  # fmt: skip
    long = True

    def run(self, params: RealBalancingParams, progress: Progress) -> RealBalancing:
        """Every policy through every proxy; what is done when the reader stops is kept."""
        done: list[Run] = []
        try:
            for one in runs(params, progress=progress):
                done.append(one)
        except Stopped:
            if not any(one.measured for one in done):
                raise
        if not any(one.measured for one in done):
            raise ValueError("; ".join(dict.fromkeys(one.why_not for one in done)))
        return RealBalancing(params, tuple(done))

    def table(self, result: RealBalancing) -> pd.DataFrame:
        return result.summary.round(1)

    def verdicts(self, result: RealBalancing) -> Sequence[tuple[str, bool | None, str]]:
        return result.verdicts()

    def data(self, result: RealBalancing) -> dict[str, pd.DataFrame]:
        tables = {"percentiles": result.percentiles, "chance": result.chance, "counts": result.counts}
        return {**tables, "statistics": result.summary}
