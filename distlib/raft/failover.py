"""How long a crashed leader is missed: figure 16 of the Raft paper (§9.3; thesis §9.4), with the real protocol class.

The experiment of the thesis: five servers; a heartbeat has just restarted all followers' timers together; the
leader crashes at a random moment within the next heartbeat interval (half the minimum timeout); two of the four
survivors have shorter logs and cannot win. The clock runs from the crash until all others have heard the new leader.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from types import MappingProxyType

import numpy as np
import pandas as pd

from distlib.core.data import data_file
from distlib.core.fault import Crash, Drift
from distlib.core.node import node_names, with_peers
from distlib.core.parameter import Parameters, parameter
from distlib.core.seeds import Seeds
from distlib.raft.log import Entry, Log
from distlib.raft.raft import Raft, Role
from distlib.raft.variants import WritesWhileItAsks
from distlib.replication.message import NoOp
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Constant, Uniform
from distlib.sim.network import Network
from distlib.sim.sweep import ProgressCallback, sweep

Range = tuple[float, float]

RANDOMNESS: tuple[Range, ...] = ((150, 150), (150, 151), (150, 155), (150, 175), (150, 200), (150, 300))
"""Timeout ranges of the upper panel, ms: how much randomness is needed."""

SCALE: tuple[Range, ...] = ((12, 24), (25, 50), (50, 100), (100, 200), (150, 300))
"""Timeout ranges of the lower panel, ms: how short timeouts may be."""

LAN = Network(Uniform(0.6, 3.7), disk=Uniform(4.0, 7.0))
"""One setting for every line: one-way latency and disk write, ms. The thesis gives only their sum, "roughly 15"."""

CLOCK_DRIFT = 15e-6
"""Standard deviation of a server's clock rate: ordinary quartz. It is all that ends an election of 150–150."""

CAP_MS = 200_000.0
"""A trial is given up after this much virtual time and counted as that long."""

BATCH = 4
"""Trials a process takes at a time: one of 150–150 takes a second, and whoever presses Stop does not want to wait."""

PERCENTILES = (5, 10, 25, 50, 75, 90, 95, 99)


@dataclass(frozen=True)
class FailoverParams(Parameters):
    """How many trials a line, and from which seed."""

    trials: int = parameter(
        30, "trials a line", low=2, high=1000, scale="log", help="the paper has 1,000, and 100 for 150–150"
    )
    seed: int = parameter(16, "seed", low=0, high=2**31, help="all chance comes from here")


@dataclass(frozen=True)
class Trial:
    """One crash: the election timeout range, and the seed of all chance."""

    timeout_ms: Range
    seed: int


def label(timeout_ms: Range) -> str:
    """``150–300``, as in the paper's legend."""
    return f"{timeout_ms[0]:g}–{timeout_ms[1]:g}"


def trials_of(timeout_ms: Range, params: FailoverParams) -> list[Trial]:
    """The trials of one line; a tenth of them where there is no randomness, as in the paper."""
    count = params.trials if timeout_ms[0] < timeout_ms[1] else max(2, params.trials // 10)
    seeds = Seeds(params.seed)
    return [Trial(timeout_ms, seeds.number("trial", label(timeout_ms), number) >> 1) for number in range(count)]


def downtime_ms(trial: Trial) -> float:
    """Run one trial; milliseconds from the crash until the last survivor has heard the new leader, at most CAP_MS."""
    random = Seeds(trial.seed).stream("failover")
    crash_ms = random.uniform(0.0, trial.timeout_ms[0] / 2)
    long, short = Log(tuple([Entry(1, NoOp())] * 2)), Log((Entry(1, NoOp()),))
    names = node_names(5)
    heartbeat_ms = trial.timeout_ms[0] / 2
    servers = with_peers(WritesWhileItAsks, names, election_timeout_ms=trial.timeout_ms, heartbeat_ms=heartbeat_ms)
    for server, log in zip(servers, (long, long, short, short, long), strict=True):
        server.current_term, server.log = 1, log
    faults = [Crash(0.0, "S5")]  # the old leader: its last heartbeat is the start of all timers, at time 0
    faults += [Drift(0.0, name, 1.0 + random.gauss(0.0, CLOCK_DRIFT)) for name in names[:4]]  # type: ignore[misc]
    cluster = Cluster(servers, LAN, seed=trial.seed, faults=faults, record=False)
    survivors = servers[:4]
    cluster.run(crash_ms + CAP_MS, until=lambda _: _all_follow(survivors))
    return cluster.now_ms - crash_ms


def _all_follow(servers: Sequence[Raft]) -> bool:
    """Whether one of the servers leads and all others have heard it in its term."""
    for server in servers:
        if server.role is Role.LEADER:
            return all(one.leader == server.id and one.current_term == server.current_term for one in servers)
    return False


def study(
    params: FailoverParams, lines: Sequence[Range], *, executor: Executor | None = None,
    progress: ProgressCallback | None = None, stops: tuple[type[BaseException], ...] = (),
) -> dict[str, list[float]]:  # fmt: skip
    """Downtimes in ms of every trial, by line. See ``distlib.sim.sweep.sweep`` for ``executor`` and
    ``progress``; when ``progress`` raises one of ``stops``, the study ends early with the trials it has."""
    columns = [trials_of(line, params) for line in dict.fromkeys(lines)]
    trials = [trial for row in zip_longest(*columns) for trial in row if trial is not None]  # all lines advance
    times: dict[int, float] = {}
    with suppress(*stops):
        sweep(downtime_ms, trials, executor=executor, batch=BATCH, progress=progress, found=times)
    found: dict[str, list[float]] = {label(line): [] for line in lines}
    for position in sorted(times):
        found[label(trials[position].timeout_ms)].append(times[position])
    return found


@cache
def published() -> Mapping[str, Mapping[str, float]]:
    """The published curves by line, read off the vector picture of the thesis (``data/README.md`` says how): ``p5`` …
    ``p99``, ``min``, ``max`` and ``mean``, ms, and ``trials``."""
    with data_file("raft_figure_16.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return MappingProxyType(
        {row["line"]: {name: float(value) for name, value in row.items() if name != "line"} for row in rows}
    )


def comparison(found: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """One row a line and statistic: line, statistic, published_ms, ours_ms, ratio."""
    rows = []
    for line, times in found.items():
        if not times:
            continue  # a study that was stopped early
        ours = {f"p{q}": float(np.percentile(times, q)) for q in PERCENTILES}
        ours |= {"mean": float(np.mean(times)), "max": max(times)}
        known = published()[line]
        rows += [(line, name, known[name], value, value / known[name]) for name, value in ours.items()]
    return pd.DataFrame(rows, columns=["line", "statistic", "published_ms", "ours_ms", "ratio"])


# --- split votes (thesis §9.2) ----------------------------------------------------------------------------


def first_term_splits(case: tuple[float, int, int, int]) -> bool:
    """Whether the first term of one election ends without a leader; ``case`` is (latency, servers, alive, seed), the
    latency as in ``distlib.raft.theory.split_vote_probability``."""
    latency, count, alive, seed = case
    width_ms = 1000.0
    shortest_ms = 4 * latency * width_ms + 1  # long enough that a voter's restarted timer cannot interfere
    names = node_names(count)
    timeout_ms = (shortest_ms, shortest_ms + width_ms)
    servers = with_peers(WritesWhileItAsks, names, election_timeout_ms=timeout_ms, heartbeat_ms=shortest_ms)
    faults = [Crash(0.0, name) for name in names[alive:]]
    cluster = Cluster(servers, Network(Constant(latency * width_ms)), seed=seed, faults=faults, record=False)
    cluster.run(until=lambda _: any(one.role is Role.LEADER or one.current_term > 1 for one in servers))
    return not any(one.role is Role.LEADER and one.current_term == 1 for one in servers)


def split_share(latency: float, servers: int, alive: int, elections: int, seed: int) -> float:
    """The share of ``elections`` whose first term splits the vote, in this process."""
    seeds = Seeds(seed)
    cases = [(latency, servers, alive, seeds.number("election", n) >> 1) for n in range(elections)]
    return sum(map(first_term_splits, cases)) / elections
