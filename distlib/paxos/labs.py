"""The labs of the Paxos chapter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import pandas as pd

from distlib.core.parameter import parameter
from distlib.core.trace import Trace
from distlib.figures import theme
from distlib.labs.lab import Lab
from distlib.labs.markup import LabVerdict
from distlib.labs.trace_lab import THIRDS, TraceLab, WindowView, draw_roles, draw_spacetime
from distlib.labs.work import Progress, Stopped
from distlib.paxos import scenarios
from distlib.paxos.charts import availability_by_size, intersection_graph, protocol_bars, rounds_against_backoff
from distlib.paxos.invariants import multi_paxos_invariants, paxos_invariants
from distlib.paxos.message import BallotStarted, Chosen
from distlib.paxos.multi_paxos_message import BecameLeader
from distlib.paxos.quorums import QuorumParams, Quorums, quorums
from distlib.paxos.theory import availability, missing_share
from distlib.replication.message import Returned

KINDS = ("Propose", "Prepare", "Promise", "Accept", "Accepted", "Nack", "Query", "Learned")
ROLES = ("acceptor", "proposer", "learner", theme.CRASHED)
draw_single_decree = partial(draw_spacetime, kinds=KINDS, roles=ROLES)


@dataclass(frozen=True)
class SingleDecreeView(WindowView):
    """What part of a run is shown: first the one in which it is decided; nothing happens after that."""

    window: str = parameter(
        "first third", "show", choices=("whole run", *THIRDS), help="the decision falls in the first"
    )


class SingleDecreeLab(TraceLab):
    """One decision among rival proposers, with quorums of any size."""

    title = "Paxos: one decision"
    question = "When is a value chosen, and what do later ballots propose?"
    near = ("acceptors", "proposers", "loss", "seed")
    params = scenarios.SingleDecreeParams
    view: Any = SingleDecreeView
    figures = {"space-time": draw_single_decree, "roles": draw_roles}
    presets = {
        "One proposer": {"proposers": 1},
        "Rivals": {"proposers": 3, "stagger_ms": 4.0},
        "Lossy network": {"loss": 0.3, "duration_ms": 800.0},
        "Small quorums of phase 2": {"phase1_quorum": 4, "phase2_quorum": 2},
        "Quorums that don't intersect": {
            "phase1_quorum": 2, "phase2_quorum": 2, "stagger_ms": 14.0, "seed": 2,
        },
    }  # fmt: skip
    scenario = staticmethod(scenarios.single_decree)
    invariants = staticmethod(paxos_invariants)

    def table(self, result: Any) -> pd.DataFrame:
        trace = self.trace_of(result)
        learnt = trace.outputs_of(Chosen)
        rows = {
            "ballots begun": str(len(trace.outputs_of(BallotStarted))),
            "chosen value": str(learnt[0].event.value) if learnt else "none yet",
            "first known": f"{learnt[0].time_ms:,.0f} ms, by {learnt[0].node}" if learnt else "nobody knows one",
            "nodes that know it": str(len(learnt)),
            "messages": f"{len(trace.sent):,}",
        }
        return pd.DataFrame(rows.items(), columns=["in this run", "value"])


class DuelLab(SingleDecreeLab):
    """Two proposers who overtake each other for ever, and the random pause that ends it."""

    title = "Paxos: a duel of two proposers, and its cure"
    question = "Each proposer undoes the other's promises: what lets one of them win?"
    near = ("proposers", "backoff_ms", "stagger_ms", "seed")
    params = scenarios.DuelParams
    view = WindowView
    figures = {
        "space-time": lambda found, window: draw_single_decree(found[0], window),
        "rounds against backoff": lambda found: rounds_against_backoff(found[1]),
    }
    presets = {
        "Livelock": {"backoff_ms": (0, 0), "figure": "space-time"},
        "A random pause ends it": {"backoff_ms": (0, 80), "figure": "space-time"},
        "How long a pause?": {"figure": "rounds against backoff"},
    }
    widths_ms = scenarios.WIDTHS_MS
    trials = 10

    def run(self, params: scenarios.DuelParams, progress: Progress) -> tuple[Trace, pd.DataFrame]:
        trace, parts = scenarios.duel(params), []
        try:
            for number, width in enumerate(self.widths_ms):
                progress(number, len(self.widths_ms), f"duels with pauses up to {width} ms")
                parts.append(_study(replace(params, backoff_ms=(0, 0)), float(width), self.trials))
        except Stopped:
            if not parts:
                raise
        return trace, pd.concat(parts, ignore_index=True)

    def trace_of(self, result: tuple[Trace, pd.DataFrame]) -> Trace:
        return result[0]

    def verdicts(self, result: Any) -> Sequence[LabVerdict]:
        """Safety holds in a livelock too; what fails is progress."""
        trace = self.trace_of(result)
        known = bool(trace.outputs_of(Chosen))
        ballots = len(trace.outputs_of(BallotStarted))
        late = "" if known else f"{ballots} ballots in {trace.end_ms:,.0f} ms, and nobody has learnt a value"
        return [*super().verdicts(result), ("Progress within this run", known, late)]

    def data(self, result: Any) -> dict[str, pd.DataFrame]:
        return {**super().data(result), "backoff": result[1]}


@lru_cache(maxsize=256)
def _study(params: scenarios.DuelParams, width_ms: float, trials: int) -> pd.DataFrame:
    """One row of the study, remembered: a change of the backoff shown changes nothing of it."""
    return scenarios.backoff_study(params, widths_ms=(width_ms,), trials=trials, limit_ms=1500.0)


def draw_intersection(found: Quorums) -> Any:
    """Quorums of both phases and what they share."""
    firsts = list(dict.fromkeys(one for one, _, _ in found.pairs))
    seconds = list(dict.fromkeys(two for _, two, _ in found.pairs))
    return intersection_graph(firsts, seconds)


class QuorumLab(Lab):
    """Flexible quorums: when any two intersect, and what size costs in availability."""

    title = "Flexible quorums: intersection and availability"
    question = "Which quorums always meet, and what does a smaller one buy?"
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

    def run(self, params: QuorumParams, progress: Progress) -> Quorums:
        return quorums(params)

    def table(self, result: Quorums) -> pd.DataFrame:
        acceptors, sizes = result.params.acceptors, (result.params.phase1, result.params.phase2)
        rows = {
            "pairs of quorums": f"{len(result.pairs):,}",
            "that share nobody": f"{len(result.apart):,} ({missing_share(acceptors, *sizes):.1%})",
        }
        for phase, size in enumerate(sizes, 1):
            possible = availability(acceptors, size, result.params.up)
            rows[f"phase {phase} possible"] = f"{possible:.6f}, with up to {acceptors - size} down"
        return pd.DataFrame(rows.items(), columns=["quorums", "value"])

    def verdicts(self, result: Quorums) -> Sequence[LabVerdict]:
        """The only requirement of Flexible Paxos."""
        apart = result.apart
        witness = f"{{{', '.join(apart[0][0])}}} and {{{', '.join(apart[0][1])}}} share nobody" if apart else ""
        return [("Every quorum of phase 1 meets every quorum of phase 2", not apart, witness)]

    def data(self, result: Quorums) -> dict[str, pd.DataFrame]:
        rows = [(" ".join(one), " ".join(two), " ".join(shared)) for one, two, shared in result.pairs]
        return {"pairs": pd.DataFrame(rows, columns=["phase1", "phase2", "shared"]), "availability": result.sizes}


@dataclass(frozen=True)
class LeaderChangeView(WindowView):
    """What part of a run is shown: first the one in which the leader crashes, for the clients' messages fill a run."""

    window: str = parameter(
        "second third", "show", choices=("whole run", *THIRDS), help="the leader crashes in the second"
    )


class LeaderChangeLab(TraceLab):
    """Multi-Paxos under clients: its leader crashes, and another takes over."""

    title = "Multi-Paxos: a leader crashes, another takes over"
    question = "Which slots were open when the leader crashed, and who closes them?"
    near = ("suspect_ms", "heartbeat_ms", "loss", "crash_ms", "seed")
    params = scenarios.LeaderChangeParams
    view = LeaderChangeView
    presets = {"Impatient": {"suspect_ms": (60, 70), "heartbeat_ms": 60.0}, "Lossy network": {"loss": 0.2}}
    scenario = staticmethod(scenarios.leader_change)
    invariants = staticmethod(multi_paxos_invariants)

    def table(self, result: Trace) -> pd.DataFrame:
        elected = result.outputs_of(BecameLeader)
        rows = {
            "leaders elected": ", ".join(f"{one.node} at {one.time_ms:,.0f} ms" for one in elected) or "none",
            "client operations done": f"{len(result.outputs_of(Returned)):,}",
            "messages": f"{len(result.sent):,}",
        }
        return pd.DataFrame(rows.items(), columns=["in this run", "value"])


class ComparisonLab(Lab):
    """Paxos, Multi-Paxos and Raft side by side: messages, round trips, leader change."""

    title = "Paxos, Multi-Paxos and Raft side by side"
    question = "How many messages and round trips does one command cost, with each protocol?"
    near = ("servers", "latency_ms", "timeout_ms", "seed")
    params = scenarios.CompareParams
    figures = {"side by side": protocol_bars}
    presets = {"Three servers": {"servers": 3}, "Far apart": {"latency_ms": 75.0, "timeout_ms": (600, 1200)}}

    def run(self, params: scenarios.CompareParams, progress: Progress) -> pd.DataFrame:
        return scenarios.compare(params)

    def verdicts(self, result: pd.DataFrame) -> Sequence[LabVerdict]:
        """Whether a new leader was found after every crash; the mean is over those only."""
        led = result[result["protocol"] != "Paxos"]
        said = f"{{}} crashes after which there was none within {scenarios.PATIENCE:,} events"
        return [
            (f"{name}: a new leader after every crash", not without, said.format(without) if without else "")
            for name, without in zip(led["protocol"], led["leaderless"], strict=True)
        ]

    def table(self, result: pd.DataFrame) -> pd.DataFrame:
        return result.round({"messages": 1, "round_trips": 2, "leader_change_ms": 0, "standard_error_ms": 1})
