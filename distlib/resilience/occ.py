"""Clients that compete for one register, and back off: the study behind "Exponential Backoff And Jitter" (M. Brooker,
AWS Architecture Blog, 2015), after its public simulator aws-arch-backoff-simulator.

N clients start at once. Each reads the register's version, then writes on condition that it still is the same
(optimistic concurrency control); one whose write comes too late backs off and begins again. Every hop takes |N(10, 2)|
ms, a cycle has four. *Calls* are the writes; *time* is when the last answer arrives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from distlib.core.draw import compiled, compiled_allocating, uniform
from distlib.core.parameter import Parameters, parameter
from distlib.core.seeds import Seeds
from distlib.resilience.backoff import KINDS, Backoff, BackoffRule, delay
from distlib.resilience.calls.heap import drop_first, push
from distlib.resilience.calls.state import EVENT, NO_STAMP, RUN, codes

STRATEGIES = ("none", "exponential", "equal", "full", "decorrelated")
"""In the order of the study's table."""
READ, WRITE = codes(2)
MOST_CALLS = 1 << 16


@dataclass(frozen=True)
class OccParams(Parameters):
    """One setting of the study."""

    clients: int = parameter(100, "clients", low=1, high=500, help="they all start at once")
    strategies: tuple[str, ...] = parameter(STRATEGIES, "backoff", choices=KINDS, several=True, at_least=1,
        help="how a client that was too late waits")  # fmt: skip
    base_ms: float = parameter(5.0, "base", unit="ms", low=0.1, high=1000.0, scale="log", help="of every backoff")
    cap_ms: float = parameter(2000.0, "cap", unit="ms", low=1.0, high=100_000.0, scale="log", help="longest backoff")
    hop_ms: float = parameter(10.0, "hop", unit="ms", low=0.1, high=1000.0, scale="log", help="mean time of a message")
    spread_ms: float = parameter(2.0, "spread", unit="ms", low=0.0, high=100.0, help="its standard deviation")
    repetitions: int = parameter(20, "repetitions", low=1, high=1000, scale="log", help="runs that are averaged")
    seed: int = parameter(1, "seed", low=0, high=2**63 - 1, help="same seed, same runs")

    def check(self) -> None:
        if self.cap_ms < self.base_ms:
            raise ValueError(
                f"OccParams.cap_ms is {self.cap_ms:g}, below base_ms = {self.base_ms:g}; make it the larger one"
            )


@dataclass(frozen=True, eq=False)
class OccStudy:
    """``summary``: strategy, time_ms and calls (means over the repetitions), and their standard errors time_error_ms
    and calls_error. ``writes_ms``: by strategy, when the writes of the first repetition reached the register."""

    params: OccParams
    summary: pd.DataFrame = field(repr=False)
    writes_ms: dict[str, NDArray[np.float64]] = field(repr=False)


@compiled
def hop(key: np.uint64, count: int, mean_s: float, spread_s: float) -> float:
    """The time of message number ``count``: |N(mean, spread²)|, by Box and Muller's transform."""
    radius = math.sqrt(-2.0 * math.log(uniform(key, 2 * count)))
    return abs(mean_s + spread_s * radius * math.cos(2.0 * math.pi * uniform(key, 2 * count + 1)))


@compiled_allocating
def compete(
    rule: BackoffRule, clients: int, mean_s: float, spread_s: float, hops: np.uint64, waits: np.uint64,
    heap: NDArray[np.void], run: NDArray[np.void], writes_s: NDArray[np.float64],
) -> tuple[int, float]:  # fmt: skip
    """One repetition: the number of writes, and when the last client is done, s. The times of the first writes are
    put into ``writes_s``."""
    version, calls, messages, done_s = 0, 0, 0, 0.0
    seen, tries, waited_s = np.zeros(clients, np.int64), np.zeros(clients, np.int64), np.zeros(clients)
    for client in range(clients):
        push(heap, run, hop(hops, messages, mean_s, spread_s), READ, client, NO_STAMP)
        messages += 1
    while run[0].events > 0:
        now, what, client = heap[0].time, heap[0].what, heap[0].number
        drop_first(heap, run)
        answered_s = now + hop(hops, messages, mean_s, spread_s)
        done_s = max(done_s, answered_s)
        messages += 1
        if what == READ:
            seen[client] = version
            push(heap, run, answered_s + hop(hops, messages, mean_s, spread_s), WRITE, client, NO_STAMP)
            messages += 1
            continue
        if calls < writes_s.size:
            writes_s[calls] = now
        calls += 1
        if seen[client] == version:
            version += 1
            continue
        tries[client] += 1  # the study's first backoff is base * 2, hence retry number 2
        wait_s = delay(rule, tries[client] + 1, waited_s[client], uniform(waits, calls))
        waited_s[client] = wait_s
        push(heap, run, answered_s + wait_s + hop(hops, messages, mean_s, spread_s), READ, client, NO_STAMP)
        messages += 1
    return calls, done_s


def backoff_study(params: OccParams) -> OccStudy:
    """Run every strategy so many times."""
    rows, writes = [], {}
    for strategy in params.strategies:
        rule = Backoff(strategy, params.base_ms / 1e3, params.cap_ms / 1e3).rule()
        found = np.empty((params.repetitions, 2))
        for repetition in range(params.repetitions):
            seeds = Seeds(params.seed + repetition)
            heap, run, times = np.zeros(params.clients + 1, EVENT), np.zeros(1, RUN), np.full(MOST_CALLS, np.nan)
            hops, waits = np.uint64(seeds.number("hops")), np.uint64(seeds.number("backoff"))
            found[repetition] = compete(
                rule, params.clients, params.hop_ms / 1e3, params.spread_ms / 1e3, hops, waits, heap, run,
                times if repetition == 0 else times[:0],
            )  # fmt: skip
            if repetition == 0:
                writes[strategy] = 1e3 * times[np.isfinite(times)]
        calls, time_s = found.mean(axis=0)
        error = found.std(axis=0, ddof=1) / math.sqrt(params.repetitions) if params.repetitions > 1 else (math.nan,) * 2
        rows.append((strategy, 1e3 * time_s, calls, 1e3 * error[1], error[0]))
    columns = ["strategy", "time_ms", "calls", "time_error_ms", "calls_error"]
    return OccStudy(params, pd.DataFrame(rows, columns=columns), writes)


def by_clients(params: OccParams, clients: tuple[int, ...]) -> pd.DataFrame:
    """The summary for several numbers of clients, with a column ``clients``."""
    tables = [backoff_study(replace(params, clients=one)).summary.assign(clients=one) for one in clients]
    return pd.concat(tables, ignore_index=True)
