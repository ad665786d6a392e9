"""The labs of the load-balancing chapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from distlib.balancing import backend_charts, backend_scenarios, charts, hashing_charts, response_charts, scenarios
from distlib.balancing.backend_scenarios import CRASH_S, TURNS, DisciplineParams, OutageCourse, OutageParams
from distlib.balancing.hashing_scenarios import RingParams, RingView, ring_view
from distlib.balancing.scenarios import (
    MOMENTS,
    Comparison,
    ComparisonParams,
    LiveQueues,
    LoadCurveParams,
    StaleParams,
    wasted,
)  # fmt: skip
from distlib.core.parameter import Parameters, parameter
from distlib.labs.lab import Lab
from distlib.labs.work import Progress

Verdicts = Sequence[tuple[str, bool | None, str]]


class LiveQueuesLab(Lab):
    """Queues as bars that grow and shrink: press play."""

    title = "Live queues"
    question = "How many requests wait while some backend is idle?"
    near = ("policy", "load", "backends", "slow_speed")
    params = scenarios.LiveQueuesParams
    scenario = staticmethod(scenarios.live_queues)
    figures = {"queues": lambda found: charts.live_queues(found.lengths, found.waiting, unstable=found.unstable)}
    presets = {
        "Random": {"policy": "random"},
        "Round robin": {"policy": "round robin"},
        "Two choices": {"policy": "two choices"},
        "A slow backend": {"policy": "round robin", "slow_speed": 0.5, "load": 0.7},
        "A herd": {"policy": "least request", "refresh_interval_s": 5.0, "load": 0.9},
    }

    def table(self, result: LiveQueues) -> pd.DataFrame:
        lengths, waiting, _ = arrays_of(result)
        rows = {
            "requests waiting, mean": waiting.mean(),
            "longest queue at a backend": int(lengths.max()),
            "backends idle, mean": (lengths == 0).sum(axis=1).mean(),
            "moments with a request waiting while a backend is idle": f"{wasted(lengths, waiting).mean():.0%}",
        }
        return pd.DataFrame({"over the film": list(rows), "value": list(rows.values())})

    def verdicts(self, result: LiveQueues) -> Verdicts:
        lengths, waiting, times = arrays_of(result)
        lost = wasted(lengths, waiting)
        when = f"not at t = {times[lost.argmax()]:g}, for one" if lost.any() else ""
        return [
            ("Queues stay finite", not result.unstable, result.unstable),
            ("No request waits while a backend is idle", not lost.any(), when),
        ]

    def data(self, result: LiveQueues) -> dict[str, pd.DataFrame]:
        return {"queues": result.lengths, "waiting": result.waiting}


def arrays_of(film: LiveQueues) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Requests by moment and backend, requests that wait by moment, and the moments."""
    lengths = film.lengths.pivot(index="time_s", columns="backend", values="requests").to_numpy()
    return lengths, film.waiting["waiting"].to_numpy(), film.waiting["time_s"].to_numpy()


@dataclass(frozen=True)
class ScaleView(Parameters):
    """How the times are scaled."""

    log_scale: bool = parameter(True, "logarithmic", help="equal steps are equal factors")


def draw_tail(found: Comparison) -> Any:
    """How many take longer than t; theory as thin dots."""
    theory = scenarios.theory_tails(found.params, float(found.ccdf["response_s"].max()))
    return response_charts.response_tail(found.ccdf, theory)


class LoadBalancingLab(Lab):
    """The same requests under several policies: a million of them, 200,000 for each of five."""

    title = "The same requests under five policies"
    question = "Which policies keep the slowest one in a thousand fast, and when does their order change?"
    near = ("load", "backends", "cv2", "slow_speed")
    params = ComparisonParams
    scenario = staticmethod(scenarios.policy_comparison)
    view = ScaleView
    figures = {
        "percentiles": lambda found, log_scale: response_charts.percentile_dots(found.summary, log_x=log_scale),
        "tail": draw_tail,
        "requests per backend": lambda found: charts.backend_shares(found.counts),
    }
    presets = {
        "Quiet": {"load": 0.5},
        "Busy": {"load": 0.9},
        "All requests alike": {"service": "deterministic", "load": 0.9},
        "Few giants": {"service": "hyperexponential", "cv2": 10.0, "load": 0.9},
        "A slow backend": {"slow_speed": 0.5, "load": 0.8},
    }

    def table(self, result: Comparison) -> pd.DataFrame:
        names = {
            "policy": "policy", "mean_s": "mean", "standard_error_s": "± (1 SE)", "theory_s": "theory",
            "p50_s": "median", "p99_s": "99 %", "p99.9_s": "99.9 %",
        }  # fmt: skip
        return result.summary[list(names)].rename(columns=names)

    def verdicts(self, result: Comparison) -> Verdicts:
        """By policy: whether a request ever waits while a backend is idle, and whether queues stay finite."""
        found: list[tuple[str, bool | None, str]] = []
        for name, why, share in result.summary[["policy", "unstable", "wasted"]].itertuples(index=False):
            if why:
                found.append((f"{name}: queues stay finite", False, why))
                continue
            seen = f"at {share:.0%} of {MOMENTS} moments looked at" if share else ""
            found.append((f"{name}: no request waits while a backend is idle", not share, seen))
        return found

    def data(self, result: Comparison) -> dict[str, pd.DataFrame]:
        return {"summary": result.summary, "tail": result.ccdf, "counts": result.counts}


def stability(points: pd.DataFrame) -> Verdicts:
    """By policy whose queues grow for ever somewhere: where that begins, and why."""
    lost = points[points["unstable"] != ""].drop_duplicates("policy")
    return [
        (f"{name}: queues stay finite", False, why) for name, why in zip(lost["policy"], lost["unstable"], strict=True)
    ]


def draw_load_curve(found: tuple[LoadCurveParams, pd.DataFrame], log_scale: bool) -> Any:
    """Response against load, theory through the points."""
    params, points = found
    theory = [
        # the exact chain of two queues takes a second near saturation, so its points must do
        points.loc[points["policy"] == name, ["policy", "load", "theory_s"]]
        if params.backends == 2 and name == "least request"
        else scenarios.theory_curve(name, params.backends, params.service, params.cv2).assign(policy=name)
        for name in params.policies
    ]
    return response_charts.response_against_load(points, pd.concat(theory), log_y=log_scale)


class LoadCurveLab(Lab):
    """Mean response against load: theory, and simulations with their confidence."""

    title = "Response against load"
    question = "From which load on does the choice of a policy matter?"
    near = ("backends", "service", "cv2")
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
        return params, scenarios.load_curve(params)

    def table(self, result: tuple[LoadCurveParams, pd.DataFrame]) -> pd.DataFrame:
        params, points = result
        rows = points[points["load"].isin((0.5, 0.8, 0.9, 0.95))]
        wide = rows.pivot(index="policy", columns="load", values="mean_s").reindex(list(params.policies))
        return wide.rename(columns=lambda load: f"ρ = {load:g}").reset_index()

    def verdicts(self, result: tuple[LoadCurveParams, pd.DataFrame]) -> Verdicts:
        return stability(result[1])

    def data(self, result: tuple[LoadCurveParams, pd.DataFrame]) -> dict[str, pd.DataFrame]:
        return {"load curve": result[1]}


class StaleLab(Lab):
    """What becomes of least request when everybody reads the same old numbers."""

    title = "Stale information, and the herd"
    question = "How old may information be before knowing less is better?"
    near = ("load", "backends")
    params = StaleParams
    scenario = staticmethod(scenarios.stale_information)
    figures = {"age of information": charts.herd_curve}
    presets = {"Ten backends": {"backends": 10}, "A hundred": {"backends": 100}, "Half the load": {"load": 0.5}}

    def table(self, result: pd.DataFrame) -> pd.DataFrame:
        wide = result.pivot(index="policy", columns="interval_s", values="mean_s")
        wide = wide.reindex(list(dict.fromkeys(result["policy"])))
        return wide.rename(columns=lambda s: "live" if s == 0 else f"every {s:g}").reset_index()

    def verdicts(self, result: pd.DataFrame) -> Verdicts:
        """Whether looking at everybody pays, with the oldest information; and whose queues grow for ever."""
        lost = stability(result)
        oldest = result[result["interval_s"] == result["interval_s"].max()].set_index("policy")["mean_s"]
        if not {"random", "least request"} <= set(oldest.index):
            return lost
        every = f"refreshed every {result['interval_s'].max():g}"
        said = f"{oldest['least request']:.3g} against {oldest['random']:.3g}, {every}"
        holds = bool(oldest["least request"] < oldest["random"])
        return [("Least request beats random even with the oldest information", holds, said), *lost]


class DisciplineLab(Lab):
    """The same policies before backends that serve in turn, and before backends that serve all at once."""

    title = "In turn, or all at once"
    question = "Does a policy still matter when a backend works on all its requests at once?"
    near = ("load", "backends")
    params = DisciplineParams
    figures = {"mean response": lambda found: backend_charts.by_variability(found, TURNS)}
    presets = {"Busy": {"load": 0.9}, "Half the load": {"load": 0.5}, "One backend": {"backends": 1}}

    def run(self, params: DisciplineParams, progress: Progress) -> pd.DataFrame:
        return backend_scenarios.disciplines(params, progress)

    def table(self, result: pd.DataFrame) -> pd.DataFrame:
        """Means and 99th percentiles."""
        wide = result.set_index(["discipline", "policy"])[["cv2", "mean_s", "p99_s"]]
        columns: dict[str, pd.Series] = {}
        for cv2 in sorted(result["cv2"].unique()):
            rows = wide[wide["cv2"] == cv2]
            columns |= {f"mean, c² = {cv2:g}": rows["mean_s"], f"99 %, c² = {cv2:g}": rows["p99_s"]}
        return pd.DataFrame(columns).reset_index()

    def verdicts(self, result: pd.DataFrame) -> Verdicts:
        return stability(result)

    def data(self, result: pd.DataFrame) -> dict[str, pd.DataFrame]:
        return {"disciplines": result}


class OutageLab(Lab):
    """A backend dies, refuses at once, and comes back."""

    title = "A backend dies"
    question = "Which policies send requests to a backend that is dead, and what stops them?"
    near = ("load", "outage_s", "ejection", "warm_up_s")
    params = OutageParams
    figures = {
        "before, during, after": lambda found: backend_charts.outage_course(
            found.course, CRASH_S, CRASH_S + found.params.outage_s
        )
    }
    presets = {
        "Nobody notices": {"ejection": False},
        "Outlier ejection": {"ejection": True},
        "Cold when it comes back": {"ejection": True, "warm_up_s": 100.0},
    }

    def run(self, params: OutageParams, progress: Progress) -> OutageCourse:
        return backend_scenarios.outage(params, progress)

    def table(self, result: OutageCourse) -> pd.DataFrame:
        names = {
            "policy": "policy", "failed": "fail while it is down", "failed_error": "± (1 SE)",
            "after_s": "mean response just after", "after_error_s": "±",
        }  # fmt: skip
        return result.summary[list(names)].rename(columns=names)

    def verdicts(self, result: OutageCourse) -> Verdicts:
        """Whether the dead backend fails no more requests than its share of them."""
        share, found = 1 / result.params.backends, zip(result.summary["policy"], result.summary["failed"], strict=True)
        said = f"at most {share:.0%} fail, the dead backend's share"
        return [(f"{name}: {said}", failed <= 1.1 * share, f"{failed:.1%} fail") for name, failed in found]

    def data(self, result: OutageCourse) -> dict[str, pd.DataFrame]:
        return {"course": result.course, "summary": result.summary}


@dataclass(frozen=True, eq=False)
class RingSteps:
    """A ring, the same with one node more, and with one node fewer."""

    now: RingView
    more: RingView
    fewer: RingView


class HashRingLab(Lab):
    """A consistent hash ring: virtual nodes, shares, and what moves when a node comes or goes."""

    title = "A consistent hash ring"
    question = "Which keys move when a node joins, and how unequal are the shares?"
    near = ("nodes", "virtual_nodes", "keys", "bound")
    params = RingParams
    figures = {
        "ring": lambda steps: hashing_charts.ring(steps.now.arcs, steps.now.shares, steps.now.expected_deviation),
        "a node joins": lambda steps: hashing_charts.ring_change(steps.now.arcs, steps.more.arcs),
        "the last node leaves": lambda steps: hashing_charts.ring_change(steps.now.arcs, steps.fewer.arcs),
    }
    presets = {
        "One point a node": {"virtual_nodes": 1},
        "100 points a node": {"virtual_nodes": 100},
        "Bounded loads": {"virtual_nodes": 10, "bound": 1.1},
    }

    def run(self, params: RingParams, progress: Progress) -> RingSteps:
        return RingSteps(ring_view(params), ring_view(params, 1), ring_view(params, -1))

    def table(self, result: RingSteps) -> pd.DataFrame:
        """Evenness, measured and expected; what moves."""
        shares, now = result.now.shares, result.now
        moved = hashing_charts.changed_arcs(now.arcs, result.more.arcs)
        rows = {
            "standard deviation of a share over its mean, this ring": now.deviation,
            "the same, by theory √((n − 1)/(nv + 1))": now.expected_deviation,
            "largest share over the mean": float(shares["share"].max() * len(shares)),
            "most keys on a node over the mean": float(shares["keys"].max() / shares["keys"].mean()),
            "keys that move when a node joins": hashing_charts.share_of(moved),
            "… of which the least possible": 1 / (len(shares) + 1),
        }
        return pd.DataFrame({"ring": list(rows), "value": list(rows.values())})

    def data(self, result: RingSteps) -> dict[str, pd.DataFrame]:
        return {"arcs": result.now.arcs, "shares": result.now.shares}
