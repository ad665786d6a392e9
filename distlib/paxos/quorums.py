"""Flexible quorums in numbers: which pairs intersect, and how availability depends on size."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from distlib.core import require
from distlib.core.node import node_names
from distlib.core.parameter import Parameters, parameter
from distlib.paxos.theory import availability, intersect


@dataclass(frozen=True)
class QuorumParams(Parameters):
    """Acceptors, the sizes of the quorums of both phases, and how often an acceptor is up."""

    acceptors: int = parameter(5, "acceptors", low=1, high=9, help="how many there are")
    phase1: int = parameter(
        3, "quorum of phase 1", low=1, high=9, ceiling="acceptors", help="promises that a leader needs"
    )
    phase2: int = parameter(
        3, "quorum of phase 2", low=1, high=9, ceiling="acceptors", help="acceptances that decide a value"
    )
    up: float = parameter(
        0.95, "an acceptor is up with", low=0.5, high=0.999, step=0.001, help="independently of the others"
    )

    def check(self) -> None:
        for name in ("phase1", "phase2"):
            require.whole(name, getattr(self, name), 1, self.acceptors, "acceptors")

    def warnings(self) -> list[str]:
        if intersect(self.acceptors, self.phase1, self.phase2):
            return []
        return [
            f"{self.phase1} + {self.phase2} is not above {self.acceptors}: a new leader may hear nothing of what was "
            "chosen, and choose something else."
        ]


@dataclass(frozen=True)
class Quorums:
    """What there is to see: ``pairs`` of quorums of phase 1 and 2 (tuples of acceptors) with what they share, and what
    ``availability_by_size`` says of all ``sizes``."""

    params: QuorumParams
    pairs: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...]
    sizes: pd.DataFrame

    @property
    def apart(self) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
        """The pairs that share nobody."""
        return [(one, two) for one, two, shared in self.pairs if not shared]


def quorums(params: QuorumParams = QuorumParams()) -> Quorums:
    """All pairs of quorums, and all sensible pairs of sizes."""
    names = node_names(params.acceptors)
    pairs = tuple(
        (one, two, tuple(name for name in one if name in two))
        for one in combinations(names, params.phase1)
        for two in combinations(names, params.phase2)
    )
    return Quorums(params, pairs, availability_by_size(params.acceptors, params.up))


def availability_by_size(acceptors: int, up: float) -> pd.DataFrame:
    """One row a size of phase 2: phase2, phase1 (the smallest that intersects it), available1, available2, and both:
    how often each phase is possible, and both are, which is when the larger quorum is."""
    sizes = pd.DataFrame({"phase2": range(1, acceptors + 1), "phase1": range(acceptors, 0, -1)})
    for phase in (1, 2):
        sizes[f"available{phase}"] = [availability(acceptors, size, up) for size in sizes[f"phase{phase}"].tolist()]
    return sizes.assign(both=sizes[["available1", "available2"]].min(axis=1))
