"""The labs of the Raft chapter."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pandas as pd

from distlib.core.parameter import Parameters, parameter
from distlib.core.trace import Trace
from distlib.labs.lab import Lab
from distlib.labs.trace_lab import TraceLab, TraceView, draw_logs, draw_map, draw_roles, draw_spacetime
from distlib.labs.work import Progress, Stopped
from distlib.raft import scenarios
from distlib.raft.charts import failover_panels, split_vote_curve, throughput_chart
from distlib.raft.failover import RANDOMNESS, SCALE, FailoverParams, comparison, label, published, split_share, study
from distlib.raft.invariants import raft_invariants
from distlib.raft.statistics import statistics
from distlib.raft.theory import split_vote_probability
from distlib.raft.throughput import ThroughputParams, throughput

KINDS = ("RequestVote", "Vote", "AppendEntries", "AppendReply", "ClientRequest")
ROLES = ("follower", "candidate", "leader", "crashed")


class RaftLab(TraceLab):
    """What all labs on one run of a cluster share."""

    title = "Raft"
    params = scenarios.RaftParams
    view = TraceView
    figures = {
        "space-time": partial(draw_spacetime, kinds=KINDS, roles=ROLES),
        "roles": partial(draw_roles, roles=ROLES),
        "logs": draw_logs,
        "map": partial(draw_map, kinds=KINDS, roles=ROLES),
    }
    invariants = staticmethod(raft_invariants)

    def table(self, result: Trace) -> pd.DataFrame:
        return statistics(result)


class RaftElectionLab(RaftLab):
    """Elect a leader, crash it, watch the next election."""

    title = "Raft: electing a leader, and the next one"
    question = "Who leads, since when, and how long is nobody in charge after the leader has crashed?"
    near = ("servers", "election_timeout_ms", "loss", "seed")
    params = scenarios.ElectionParams
    presets = {
        "Across the world": {
            "latency": "regions", "election_timeout_ms": (600, 1200), "heartbeat_ms": 200,
            "crash_ms": 3000, "down_ms": 2000, "duration_ms": 7000,
        },
        "Too impatient": {"latency_ms": 60, "election_timeout_ms": (100, 150), "heartbeat_ms": 50},
        "Lossy network": {"loss": 0.3},
    }  # fmt: skip
    scenario = staticmethod(scenarios.election)


class SplitVoteLab(RaftLab):
    """Make a split vote with one click, and cure it with another."""

    title = "Raft: a split vote, and its cure"
    question = "Why does nobody win the first election, and what ends the tie?"
    near = ("servers", "election_timeout_ms", "seed")
    params = scenarios.SplitVoteParams
    presets = {
        "Split the vote": {"election_timeout_ms": (150, 152)},
        "Spread the timers": {"election_timeout_ms": (150, 300)},
    }
    scenario = staticmethod(scenarios.split_vote)


class RaftPartitionLab(RaftLab):
    """Cut the leader off, let both sides work, heal, and see the logs repaired."""

    title = "Raft: a partition, divergent logs, repair"
    question = "What becomes of the entries that the cut-off leader took, once the partition heals?"
    near = ("partition_ms", "heal_ms", "commands", "seed")
    params = scenarios.PartitionParams
    presets = {
        "Look at the logs before the heal": {"figure": "logs", "moment": 0.6},
        "… and after it": {"figure": "logs", "moment": 0.8},
    }
    scenario = staticmethod(scenarios.partition)


class ThroughputLab(Lab):
    """Commits a second and commit latency against cluster size and geography."""

    title = "Raft: what more servers, and distance, cost"
    question = "What do two more servers, or an ocean between them, cost in throughput and in latency?"
    near = ("clients", "disk_ms")
    params = ThroughputParams
    figures = {"throughput and latency": throughput_chart}
    presets = {"One client": {"clients": 1}, "Slow disks": {"disk_ms": 10.0}}

    def run(self, params: ThroughputParams, progress: Progress) -> pd.DataFrame:
        return throughput(params, progress)

    def table(self, result: pd.DataFrame) -> pd.DataFrame:
        return result.round({"commits_per_s": 0, "p50_ms": 1, "p99_ms": 1})


def draw_failover(found: dict[str, list[float]]) -> Any:
    """Figure 16: ours as lines, the published curves as open dots."""
    panels = {
        "How much randomness is needed? (minimum timeout 150 ms)": RANDOMNESS,
        "How short may timeouts be?": SCALE,
    }
    return failover_panels(found, published(), {title: [*map(label, lines)] for title, lines in panels.items()})


class FailoverStudyLab(Lab):
    """The paper's figure 16: all lines of both panels, as many trials as wanted."""

    title = "Figure 16 of the Raft paper, reproduced"
    question = "How far must election timeouts be spread before a new leader is found quickly?"
    params = FailoverParams
    figures = {"figure 16": draw_failover}
    presets = {"The paper's 1,000 trials": {"trials": 1000}, "A quick look": {"trials": 30}}
    long = True

    def run(self, params: FailoverParams, progress: Progress) -> dict[str, list[float]]:
        return study(params, (*RANDOMNESS, *SCALE), progress=progress, stops=(Stopped,))

    def table(self, result: dict[str, list[float]]) -> pd.DataFrame:
        table = comparison(result)
        table = table[table["statistic"] == "p50"].drop(columns="statistic")
        table["trials"] = [len(result[line]) for line in table["line"]]
        return table.round({"published_ms": 0, "ours_ms": 0, "ratio": 2})

    def data(self, result: dict[str, list[float]]) -> dict[str, pd.DataFrame]:
        """Every trial, and all percentiles beside the published ones."""
        trials = [(line, time) for line, times in result.items() for time in times]
        return {"trials": pd.DataFrame(trials, columns=["line", "downtime_ms"]), "comparison": comparison(result)}


_split_share = lru_cache(maxsize=512)(split_share)  # moving the mark on the curve shall not run the elections anew


@dataclass(frozen=True)
class SplitChanceParams(Parameters):
    """An election in which all timers start together."""

    servers: int = parameter(5, "servers", low=3, high=9, help="size of the cluster")
    crashed: int = parameter(1, "of them crashed", low=0, high=4, ceiling="minority", help="a majority must be left")
    latency: float = parameter(
        0.1, "latency / timeout range", low=0.01, high=0.3, step=0.01, help="one-way, constant; 0.1 is 15 ms of 150 ms"
    )
    elections: int = parameter(100, "elections a point", low=20, high=500, scale="log")
    seed: int = parameter(7, "seed", low=0, high=2**31, help="all chance comes from here")

    @property
    def minority(self) -> int:
        """How many may crash."""
        return (self.servers - 1) // 2

    def check(self) -> None:
        if self.crashed > self.minority:
            raise ValueError(f"crashed is {self.crashed} of {self.servers}: no majority is left, nobody can win")


class SplitChanceLab(Lab):
    """The split-vote formula, and the protocol class put to the test."""

    title = "How often does the first vote split?"
    question = "How does the chance of a split vote fall as the range of timeouts grows?"
    near = ("servers", "crashed", "latency")
    params = SplitChanceParams
    figures = {"chance of a split vote": lambda result: split_vote_curve(*result)}

    def run(self, params: SplitChanceParams, progress: Progress) -> tuple[pd.DataFrame, pd.DataFrame, float]:
        alive = params.servers - params.crashed
        chance_at = partial(split_vote_probability, params.servers, alive)
        grid = np.linspace(0, 0.32, 65)
        rows = []
        for number, latency in enumerate((0.05, 0.1, 0.15, 0.2, 0.25, 0.3), 1):
            share = _split_share(latency, params.servers, alive, params.elections, params.seed)
            chance = chance_at(latency)
            error = (chance * (1 - chance) / params.elections) ** 0.5
            rows.append((latency, share, chance, error, (share - chance) / error))
            progress(number, 6)
        simulated = pd.DataFrame(rows, columns=["latency", "share", "formula", "standard_error", "z"])
        curve = pd.DataFrame({"latency": grid, "probability": [*map(chance_at, grid)]})
        return curve, simulated, params.latency

    def table(self, result: tuple[pd.DataFrame, pd.DataFrame, float]) -> pd.DataFrame:
        """Simulated share, formula, and how many standard errors lie between them."""
        return result[1].round(3)
