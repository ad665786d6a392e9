"""The labs on hashing keys to nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from distlib.balancing import hashing_charts as hashing
from distlib.balancing.hashing_scenarios import RingParams, RingView, ring_view
from distlib.labs.lab import Lab
from distlib.labs.work import Progress


@dataclass(frozen=True, eq=False)
class RingSteps:
    """A ring, the same with one node more, and with one node fewer (None where it has only one)."""

    now: RingView
    more: RingView
    fewer: RingView | None


def draw_ring(steps: RingSteps) -> Any:
    """Arcs and shares."""
    return hashing.ring(steps.now.arcs, steps.now.shares, expected_deviation=steps.now.expected_deviation)


def draw_join(steps: RingSteps) -> Any:
    """What moves when a node joins."""
    return hashing.ring_change(steps.now.arcs, steps.more.arcs)


def draw_leave(steps: RingSteps) -> Any:
    """What moves when the last node leaves."""
    if steps.fewer is None:
        raise ValueError("nodes is 1; the only node cannot leave, take at least 2")
    return hashing.ring_change(steps.now.arcs, steps.fewer.arcs)


class HashRingLab(Lab):
    """A consistent hash ring: virtual nodes, shares, and what moves when a node comes or goes."""

    title = "A consistent hash ring"
    params = RingParams
    figures = {"ring": draw_ring, "a node joins": draw_join, "the last node leaves": draw_leave}
    presets = {
        "One point a node": {"virtual_nodes": 1},
        "100 points a node": {"virtual_nodes": 100},
        "Bounded loads": {"virtual_nodes": 10, "bound": 1.1},
    }

    def run(self, params: RingParams, progress: Progress) -> RingSteps:
        """Three rings."""
        fewer = ring_view(_with_nodes(params, params.nodes - 1)) if params.nodes > 1 else None
        return RingSteps(ring_view(params), ring_view(_with_nodes(params, params.nodes + 1)), fewer)

    def table(self, result: RingSteps) -> pd.DataFrame:
        """Evenness, measured and expected; what moves."""
        shares, now = result.now.shares, result.now
        rows = {
            "standard deviation of a share over its mean, this ring": now.deviation,
            "the same, by theory √((n − 1)/(nv + 1))": now.expected_deviation,
            "largest share over the mean": float(shares["share"].max() * len(shares)),
            "most keys on a node over the mean": float(shares["keys"].max() / shares["keys"].mean()),
            "keys that move when a node joins": _moved(now, result.more),
            "… of which the least possible": 1 / (len(shares) + 1),
        }
        return pd.DataFrame({"ring": list(rows), "value": list(rows.values())})

    def data(self, result: RingSteps) -> dict[str, pd.DataFrame]:
        """Arcs and shares."""
        return {"arcs": result.now.arcs, "shares": result.now.shares}


def _with_nodes(params: RingParams, nodes: int) -> RingParams:
    weights = (params.weights + (1.0,) * nodes)[:nodes] if params.weights else ()
    return replace(params, nodes=nodes, weights=weights)


def _moved(before: RingView, after: RingView) -> float:
    moved = hashing.changed_arcs(before.arcs, after.arcs)
    return float(((moved["end"] - moved["start"]) % 1.0).sum())
