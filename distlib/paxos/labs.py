"""The labs of the Paxos chapter: one decision, the duel and its cure, flexible quorums, a leader's crash, three side by
side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from distlib.core.invariant import Invariant
from distlib.core.parameter import Parameters, parameter
from distlib.core.trace import Trace
from distlib.figures import theme
from distlib.figures.roles import role_timeline
from distlib.figures.spacetime import spacetime
from distlib.labs.lab import Lab
from distlib.labs.work import Progress, Stopped
from distlib.paxos.charts import availability_by_size, intersection_graph, protocol_bars, rounds_against_backoff
from distlib.paxos.invariants import paxos_invariants
from distlib.paxos.message import BallotStarted, Chosen
from distlib.paxos.multi_paxos_invariants import multi_paxos_invariants
from distlib.paxos.quorums import QuorumParams, Quorums, quorums, share_apart
from distlib.paxos.scenarios import (
    CompareParams,
    DuelParams,
    LeaderChangeParams,
    SingleDecreeParams,
    backoff_study,
    compare,
    duel,
    leader_change,
    single_decree,
)

SINGLE_KINDS = ("Propose", "Prepare", "Promise", "Accept", "Accepted", "Nack", "Query", "Learned")
SINGLE_ROLES = ("acceptor", "proposer", "learner", theme.CRASHED)


@dataclass(frozen=True)
class PaxosView(Parameters):
    """What part of the run is shown."""

    window: str = parameter(
        "whole run", "show", choices=("whole run", "first third", "second third", "last third"),
        help="fewer messages are easier to read",
    )  # fmt: skip


def _window(trace: Trace, window: str) -> dict[str, Any]:
    third = trace.end_ms / 3
    start = {"second third": third, "last third": 2 * third}.get(window, 0.0)
    return {"start_ms": start, "end_ms": trace.end_ms if window in ("whole run", "last third") else start + third}


def draw_spacetime(trace: Trace, window: str) -> Any:
    """The run as a space-time diagram, with the same traces in every run of single-decree Paxos."""
    return spacetime(trace, kinds=SINGLE_KINDS, roles=SINGLE_ROLES, **_window(trace, window))


def draw_log_spacetime(trace: Trace, window: str) -> Any:
    """The run of Multi-Paxos as a space-time diagram."""
    return spacetime(trace, **_window(trace, window))


def draw_roles(trace: Trace, window: str) -> Any:
    """Who was what, when."""
    return role_timeline(trace, **_window(trace, window))


def _broken(trace: Trace, invariants: Sequence[Invariant]) -> list[tuple[str, bool | None, str]]:
    broken = {one.invariant: str(one) for one in trace.violations}
    return [(one.name, one.name not in broken, broken.get(one.name, "")) for one in invariants]


class _PaxosLab(Lab):
    """What the labs on one run of single-decree Paxos share."""

    title = "Paxos"
    params = SingleDecreeParams
    view = PaxosView
    figures = {"space-time": draw_spacetime, "roles": draw_roles}

    def table(self, result: Any) -> pd.DataFrame:
        """Ballots, the first to know, messages."""
        learnt = result.outputs_of(Chosen)
        rows = {
            "ballots begun": str(len(result.outputs_of(BallotStarted))),
            "chosen value": str(learnt[0].event.value) if learnt else "none yet",
            "first known": f"{learnt[0].time_ms:,.0f} ms, by {learnt[0].node}" if learnt else "nobody knows one",
            "nodes that know it": str(len(learnt)),
            "messages": f"{len(result.sent):,}",
        }
        return pd.DataFrame({"in this run": list(rows), "value": list(rows.values())})

    def verdicts(self, result: Any) -> Sequence[tuple[str, bool | None, str]]:
        """Paxos's invariants, as they were checked live."""
        return _broken(result, paxos_invariants())

    def data(self, result: Any) -> dict[str, pd.DataFrame]:
        """Messages, states and outputs of the run."""
        return {
            "messages": result.messages.drop(columns="message"), "states": result.views,
            "outputs": result.output_table.drop(columns="event"),
        }  # fmt: skip


class SingleDecreeLab(_PaxosLab):
    """One decision among rival proposers, with quorums of any size."""

    title = "Paxos: one decision"
    presets = {
        "One proposer": {"proposers": 1},
        "Rivals": {"proposers": 3, "stagger_ms": 4.0},
        "Lossy network": {"loss": 0.3, "duration_ms": 800.0},
        "Small quorums of phase 2": {"phase1_quorum": 4, "phase2_quorum": 2},
        "Quorums that don't intersect": {
            "phase1_quorum": 2,
            "phase2_quorum": 2,
            "unsafe": True,
            "stagger_ms": 14.0,
            "seed": 2,
        },
    }

    def run(self, params: Any, progress: Progress) -> Trace:
        """Everybody learns one value."""
        return single_decree(params)


def draw_duel(found: tuple[Trace, pd.DataFrame], window: str) -> Any:
    """The duel as a space-time diagram."""
    return draw_spacetime(found[0], window)


class DuelLab(_PaxosLab):
    """Two proposers who overtake each other for ever, and the random pause that ends it."""

    title = "Paxos: a duel of two proposers, and its cure"
    params = DuelParams
    figures = {"space-time": draw_duel, "rounds against backoff": lambda found: rounds_against_backoff(found[1])}
    presets = {
        "Livelock": {"backoff_ms": (0, 0), "figure": "space-time"},
        "A random pause ends it": {"backoff_ms": (0, 80), "figure": "space-time"},
        "How long a pause?": {"figure": "rounds against backoff"},
    }
    widths_ms = (0, 5, 10, 20, 40, 80, 160, 320)
    trials = 10

    def run(self, params: Any, progress: Progress) -> tuple[Trace, pd.DataFrame]:
        """The duel, and duels like it with pauses of other lengths."""
        trace, parts = duel(params), []
        try:
            for number, width in enumerate(self.widths_ms):
                progress(number, len(self.widths_ms), f"duels with pauses up to {width} ms")
                parts.append(_study(replace(params, backoff_ms=(0, 0)), float(width), self.trials))
        except Stopped:
            if not parts:
                raise
        return trace, pd.concat(parts, ignore_index=True)

    def table(self, result: Any) -> pd.DataFrame:
        """Of the duel shown."""
        return super().table(result[0])

    def verdicts(self, result: Any) -> Sequence[tuple[str, bool | None, str]]:
        """Safety holds in a livelock too; what fails is progress."""
        trace, _ = result
        known = bool(trace.outputs_of(Chosen))
        ballots = len(trace.outputs_of(BallotStarted))
        late = "" if known else f"{ballots} ballots in {trace.end_ms:,.0f} ms, and nobody has learnt a value"
        return [*super().verdicts(trace), ("Progress within this run", known, late)]

    def data(self, result: Any) -> dict[str, pd.DataFrame]:
        """The duel's messages, and the study."""
        return {**super().data(result[0]), "backoff": result[1]}


_known: dict[tuple[DuelParams, float, int], pd.DataFrame] = {}


def _study(params: DuelParams, width_ms: float, trials: int) -> pd.DataFrame:
    """One row of the study, remembered: a change of the backoff shown changes nothing of it."""
    key = (params, width_ms, trials)
    if key not in _known:
        if len(_known) > 256:
            _known.clear()
        _known[key] = backoff_study(params, widths_ms=(width_ms,), trials=trials, limit_ms=1500.0)
    return _known[key]


def draw_intersection(found: Quorums) -> Any:
    """Quorums of both phases and what they share."""
    firsts = list(dict.fromkeys(one for one, _, _ in found.pairs))
    seconds = list(dict.fromkeys(two for _, two, _ in found.pairs))
    return intersection_graph(firsts, seconds)


class QuorumLab(Lab):
    """Flexible quorums: when any two intersect, and what size costs in availability."""

    title = "Flexible quorums: intersection and availability"
    params = QuorumParams
    figures = {
        "intersection": draw_intersection,
        "availability": lambda found: availability_by_size(found.sizes, (found.params.phase1, found.params.phase2)),
    }
    presets = {
        "Majorities": {"acceptors": 5, "phase1": 3, "phase2": 3},
        "Quick decisions": {"acceptors": 5, "phase1": 4, "phase2": 2},
        "All and one": {"acceptors": 5, "phase1": 5, "phase2": 1},
        "Too small": {"acceptors": 5, "phase1": 2, "phase2": 3},
    }

    def run(self, params: Any, progress: Progress) -> Quorums:
        """All pairs of quorums."""
        return quorums(params)

    def table(self, result: Quorums) -> pd.DataFrame:
        """How many pairs share somebody, and how often each phase is possible."""
        from distlib.paxos.theory import phases

        params = result.params
        chances = phases(params.acceptors, params.phase1, params.phase2, params.up)
        rows = {
            "pairs of quorums": f"{len(result.pairs):,}",
            "that share nobody": f"{len(result.apart):,} ({share_apart(params):.1%})",
            "phase 1 possible": f"{chances.phase1:.6f}, with up to {params.acceptors - params.phase1} down",
            "phase 2 possible": f"{chances.phase2:.6f}, with up to {params.acceptors - params.phase2} down",
        }
        return pd.DataFrame({"quorums": list(rows), "value": list(rows.values())})

    def verdicts(self, result: Quorums) -> Sequence[tuple[str, bool | None, str]]:
        """The only requirement of Flexible Paxos."""
        apart = result.apart
        witness = f"{{{', '.join(apart[0][0])}}} and {{{', '.join(apart[0][1])}}} share nobody" if apart else ""
        return [("Every quorum of phase 1 meets every quorum of phase 2", not apart, witness)]

    def data(self, result: Quorums) -> dict[str, pd.DataFrame]:
        """Pairs and availability."""
        rows = [(" ".join(one), " ".join(two), " ".join(shared)) for one, two, shared in result.pairs]
        return {"pairs": pd.DataFrame(rows, columns=["phase1", "phase2", "shared"]), "availability": result.sizes}


class LeaderChangeLab(Lab):
    """Multi-Paxos under clients: its leader crashes, and another takes over."""

    title = "Multi-Paxos: a leader crashes, another takes over"
    params = LeaderChangeParams
    view = PaxosView
    figures = {"space-time": draw_log_spacetime, "roles": draw_roles}
    presets = {"Impatient": {"suspect_ms": (60, 70), "heartbeat_ms": 60.0}, "Lossy network": {"loss": 0.2}}

    def run(self, params: Any, progress: Progress) -> Trace:
        """A leader, a crash, the next leader."""
        return leader_change(params)

    def table(self, result: Trace) -> pd.DataFrame:
        """Leaders, operations, messages."""
        from distlib.paxos.multi_paxos_message import BecameLeader
        from distlib.replication.message import Returned

        elected = result.outputs_of(BecameLeader)
        rows = {
            "leaders elected": ", ".join(f"{one.node} at {one.time_ms:,.0f} ms" for one in elected) or "none",
            "client operations done": f"{len(result.outputs_of(Returned)):,}",
            "messages": f"{len(result.sent):,}",
        }
        return pd.DataFrame({"in this run": list(rows), "value": list(rows.values())})

    def verdicts(self, result: Trace) -> Sequence[tuple[str, bool | None, str]]:
        """Multi-Paxos's invariants, as they were checked live."""
        return _broken(result, multi_paxos_invariants())

    def data(self, result: Trace) -> dict[str, pd.DataFrame]:
        """Messages, states and outputs of the run."""
        return {
            "messages": result.messages.drop(columns="message"), "states": result.views,
            "outputs": result.output_table.drop(columns="event"),
        }  # fmt: skip


def _draw_bars(comparison: pd.DataFrame) -> Any:
    return protocol_bars(comparison)


class ComparisonLab(Lab):
    """Paxos, Multi-Paxos and Raft side by side: messages, round trips, leader change."""

    title = "Paxos, Multi-Paxos and Raft side by side"
    params = CompareParams
    figures = {"side by side": _draw_bars}
    presets = {"Three servers": {"servers": 3}, "Far apart": {"latency_ms": 75.0, "timeout_ms": (600, 1200)}}

    def run(self, params: Any, progress: Progress) -> pd.DataFrame:
        """One command after the other, and leaders that crash."""
        return compare(params)

    def table(self, result: pd.DataFrame) -> pd.DataFrame:
        """The chart's numbers."""
        return result.round({"messages": 1, "round_trips": 2, "leader_change_ms": 0, "standard_error_ms": 1})
