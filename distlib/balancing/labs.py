"""The labs of the load-balancing chapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from distlib.balancing import charts as balancing
from distlib.balancing.scenarios import (
    Comparison,
    ComparisonParams,
    LiveQueues,
    LiveQueuesParams,
    LoadCurveParams,
    StaleParams,
    live_queues,
    load_curve,
    policy_comparison,
    stale_information,
    theory_curve,
)
from distlib.core.parameter import Parameters, parameter
from distlib.figures import queueing
from distlib.formulas.scenarios import theory_tails
from distlib.labs.lab import Lab
from distlib.labs.work import Progress
from distlib.sim.service.result import ServiceResult

MOMENTS = 200
"""Instants at which a run is looked at for requests that wait while a backend is idle."""


def wasted(lengths: np.ndarray, waiting: np.ndarray) -> np.ndarray:
    """At which moments a request waits although a backend is idle; ``lengths`` has the shape (moments, backends)."""
    return np.asarray((waiting > 0) & (lengths == 0).any(axis=1))


def wasted_share(run: ServiceResult) -> float:
    """Share of ``MOMENTS`` instants at which a request waits although a backend (of one server) is idle."""
    times = np.linspace(0.1, 0.95, MOMENTS) * run.arrival_s[-1]
    came, began, went = (np.searchsorted(times, one) for one in (run.arrival_s, run.start_s, run.departure_s))
    size, shape = (MOMENTS + 1) * run.backends, (MOMENTS + 1, run.backends)
    cells = [np.bincount(one * run.backends + run.backend, minlength=size).reshape(shape) for one in (began, went)]
    busy = (cells[0] - cells[1]).cumsum(axis=0)[:MOMENTS]
    changes = np.bincount(came, minlength=MOMENTS + 1) - np.bincount(began, minlength=MOMENTS + 1)
    return float(wasted(busy, changes.cumsum()[:MOMENTS]).mean())


class LiveQueuesLab(Lab):
    """Queues as bars that grow and shrink: press play."""

    title = "Live queues"
    params = LiveQueuesParams
    figures = {"queues": lambda found: balancing.live_queues(found.lengths, found.waiting, unstable=found.unstable)}
    presets = {
        "Random": {"policy": "random"},
        "Round robin": {"policy": "round robin"},
        "Two choices": {"policy": "two choices"},
        "A slow backend": {"policy": "round robin", "slow_speed": 0.5, "load": 0.7},
        "A herd": {"policy": "least request", "refresh_interval_s": 5.0, "load": 0.9},
    }

    def run(self, params: LiveQueuesParams, progress: Progress) -> LiveQueues:
        """One run, looked at frame by frame."""
        return live_queues(params)

    def table(self, result: LiveQueues) -> pd.DataFrame:
        """Averages over the film."""
        lengths = result.lengths.pivot(index="time_s", columns="backend", values="requests").to_numpy()
        waiting = result.waiting["waiting"].to_numpy()
        rows = {
            "requests waiting, mean": waiting.mean(),
            "longest queue at a backend": int(lengths.max()),
            "backends idle, mean": (lengths == 0).sum(axis=1).mean(),
            "moments with a request waiting while a backend is idle": f"{wasted(lengths, waiting).mean():.0%}",
        }
        return pd.DataFrame({"over the film": list(rows), "value": list(rows.values())})

    def verdicts(self, result: LiveQueues) -> Sequence[tuple[str, bool | None, str]]:
        """Whether queues stay finite, and whether work is left lying."""
        lengths = result.lengths.pivot(index="time_s", columns="backend", values="requests").to_numpy()
        lost = wasted(lengths, result.waiting["waiting"].to_numpy())
        when = f"not at t = {result.waiting['time_s'].to_numpy()[lost.argmax()]:g}, for one" if lost.any() else ""
        return [
            ("Queues stay finite", not result.unstable, result.unstable),
            ("No request waits while a backend is idle", not lost.any(), when),
        ]

    def data(self, result: LiveQueues) -> dict[str, pd.DataFrame]:
        """Every queue at every moment."""
        return {"queues": result.lengths, "waiting": result.waiting}


@dataclass(frozen=True)
class ScaleView(Parameters):
    """How the times are scaled."""

    log_scale: bool = parameter(True, "logarithmic", help="equal steps are equal factors")


def draw_percentiles(found: tuple[ComparisonParams, Comparison], log_scale: bool) -> Any:
    """Median, mean, 95, 99 and 99.9 percent of each policy."""
    return queueing.percentile_dots(found[1].summary, log_x=log_scale)


def draw_tail(found: tuple[ComparisonParams, Comparison]) -> Any:
    """How many take longer than t; theory as thin dots."""
    params, comparison = found
    ccdf = comparison.ccdf
    return queueing.response_tail(ccdf, theory_tails(params, float(ccdf["response_s"].max())))


def draw_shares(found: tuple[ComparisonParams, Comparison]) -> Any:
    """Who got how many requests."""
    return balancing.backend_shares(found[1].counts)


class LoadBalancingLab(Lab):
    """The same requests under several policies: 200,000 of them, 40,000 for each of five."""

    title = "The same requests under five policies"
    params = ComparisonParams
    view = ScaleView
    figures = {"percentiles": draw_percentiles, "tail": draw_tail, "requests per backend": draw_shares}
    presets = {
        "Quiet": {"load": 0.5},
        "Busy": {"load": 0.9},
        "All requests alike": {"service": "deterministic", "load": 0.9},
        "Few giants": {"service": "hyperexponential", "cv2": 10.0, "load": 0.9},
        "A slow backend": {"slow_speed": 0.5, "load": 0.8, "allow_unstable": True},
    }

    def run(self, params: ComparisonParams, progress: Progress) -> tuple[ComparisonParams, Comparison]:
        """One run a policy."""
        return params, policy_comparison(params)

    def table(self, result: tuple[ComparisonParams, Comparison]) -> pd.DataFrame:
        """Means with their errors, theory, percentiles."""
        summary = result[1].summary
        names = {
            "policy": "policy", "mean_s": "mean", "standard_error_s": "± (1 SE)", "theory_s": "theory",
            "p50_s": "median", "p99_s": "99 %", "p99.9_s": "99.9 %",
        }  # fmt: skip
        return summary[list(names)].rename(columns=names)

    def verdicts(self, result: tuple[ComparisonParams, Comparison]) -> Sequence[tuple[str, bool | None, str]]:
        """By policy: whether a request ever waits while a backend is idle, and whether queues stay finite."""
        found: list[tuple[str, bool | None, str]] = []
        for name, one in result[1].results.items():
            if one.unstable:
                found.append((f"{name}: queues stay finite", False, one.unstable))
                continue
            share = wasted_share(one)
            seen = f"at {share:.0%} of {MOMENTS} moments looked at" if share else ""
            found.append((f"{name}: no request waits while a backend is idle", not share, seen))
        return found

    def data(self, result: tuple[ComparisonParams, Comparison]) -> dict[str, pd.DataFrame]:
        """Summary, tails and counts."""
        return {"summary": result[1].summary, "tail": result[1].ccdf, "counts": result[1].counts}


def draw_load_curve(found: tuple[LoadCurveParams, pd.DataFrame], log_scale: bool) -> Any:
    """Response against load, theory through the points."""
    params, points = found
    theory = [
        # the exact chain of two queues takes a second near saturation, so its points must do
        points.loc[points["policy"] == name, ["policy", "load", "theory_s"]]
        if params.backends == 2 and name == "least request"
        else theory_curve(name, params.backends, params.service, params.cv2).assign(policy=name)
        for name in params.policies
    ]
    return queueing.response_against_load(points, pd.concat(theory), log_y=log_scale)


class LoadCurveLab(Lab):
    """Mean response against load: theory, and simulations with their confidence."""

    title = "Response against load"
    params = LoadCurveParams
    view = ScaleView
    figures = {"mean response": draw_load_curve}
    presets = {
        "Exponential": {"service": "exponential"},
        "All requests alike": {"service": "deterministic"},
        "Few giants": {"service": "hyperexponential", "cv2": 10.0},
        "Two backends": {"backends": 2, "service": "exponential"},
        "All policies": {
            "policies": ("random", "round robin", "two choices", "three choices", "least request", "join idle queue",
                         "least response time", "key affinity, bounded", "central queue"),
        },
    }  # fmt: skip

    def run(self, params: LoadCurveParams, progress: Progress) -> tuple[LoadCurveParams, pd.DataFrame]:
        """One run a policy and load."""
        return params, load_curve(params)

    def table(self, result: tuple[LoadCurveParams, pd.DataFrame]) -> pd.DataFrame:
        """Mean response by load and policy."""
        points = result[1]
        rows = points[points["load"].isin((0.5, 0.8, 0.9, 0.95))]
        wide = rows.pivot(index="policy", columns="load", values="mean_s").reindex(list(result[0].policies))
        return wide.rename(columns=lambda load: f"ρ = {load:g}").reset_index()

    def data(self, result: tuple[LoadCurveParams, pd.DataFrame]) -> dict[str, pd.DataFrame]:
        """Every point."""
        return {"load curve": result[1]}


def draw_herd(found: pd.DataFrame) -> Any:
    """Response against the age of the information."""
    return balancing.herd_curve(found)


class StaleLab(Lab):
    """What becomes of least request when everybody reads the same old numbers."""

    title = "Stale information, and the herd"
    params = StaleParams
    figures = {"age of information": draw_herd}
    presets = {"Ten backends": {"backends": 10}, "A hundred": {"backends": 100}, "Half the load": {"load": 0.5}}

    def run(self, params: StaleParams, progress: Progress) -> pd.DataFrame:
        """One run a policy and refresh interval."""
        return stale_information(params)

    def table(self, result: pd.DataFrame) -> pd.DataFrame:
        """Mean response by policy and interval."""
        wide = result.pivot(index="policy", columns="interval_s", values="mean_s")
        wide = wide.reindex(list(dict.fromkeys(result["policy"])))
        return wide.rename(columns=lambda s: "live" if s == 0 else f"every {s:g}").reset_index()

    def verdicts(self, result: pd.DataFrame) -> Sequence[tuple[str, bool | None, str]]:
        """Whether looking at everybody pays, with the oldest information."""
        oldest = result[result["interval_s"] == result["interval_s"].max()].set_index("policy")["mean_s"]
        if not {"random", "least request"} <= set(oldest.index):
            return []
        every = f"refreshed every {result['interval_s'].max():g}"
        said = f"{oldest['least request']:.3g} against {oldest['random']:.3g}, {every}"
        holds = bool(oldest["least request"] < oldest["random"])
        return [("Least request beats random even with the oldest information", holds, said)]
