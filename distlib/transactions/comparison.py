"""Every protocol of the topic side by side, each number measured in simulated runs of the same situations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import pandas as pd

from distlib.core import stopping
from distlib.core.parameter import Parameters, parameter
from distlib.transactions import scenarios
from distlib.transactions.costs import counted
from distlib.transactions.message import Told
from distlib.transactions.scenarios import PROTOCOLS, BlockingParams, TransactionParams

COLUMNS = {
    "messages": "messages, | one commit",
    "forced": "forced writes, | one commit",
    "delays": "delays until | the client knows",
    "blocked_ms": "in doubt, | coordinator dead (ms)",
    "violations": "of 100 partitions | break it",
}
Tell = Callable[[float, float, str], object]


@dataclass(frozen=True)
class ComparisonParams(Parameters):
    """One cluster, network and crash for all protocols."""

    participants: int = parameter(3, "participants", low=2, high=8, help="beside the coordinator")
    down_ms: float = parameter(1000.0, "the coordinator is down for", unit="ms", low=50, high=20_000, scale="log")
    trials: int = parameter(20, "crashes", low=10, high=200, scale="log", help="and partitions, for each protocol")
    seed: int = parameter(7, "seed", low=0, high=2**31, help="all chance comes from here; same seed, same run")


def compare(params: ComparisonParams = ComparisonParams(), progress: Tell | None = None) -> pd.DataFrame:
    """One row a protocol, with the columns of ``COLUMNS``: messages and forced writes of one commit; message delays
    from the request to the client's answer; the mean of the longest time in doubt in crashes of the coordinator, less
    what a commit needs anyway; of 100 runs with a partition, those that break an invariant."""
    rows = []
    for number, name in enumerate(PROTOCOLS):
        if progress is not None:
            progress(number, len(PROTOCOLS), name)
        rows.append((name, *_measured(params, name)))
    return pd.DataFrame(rows, columns=["protocol", *COLUMNS])


@lru_cache(maxsize=128)
def _measured(params: ComparisonParams, protocol: str) -> tuple[float, ...]:
    calm = TransactionParams(
        protocol=protocol, participants=params.participants, amount=1, victim=scenarios.NOBODY, latency_ms=(10.0, 10.0)
    )
    trace = scenarios.transaction(calm)
    messages, forced = counted(trace)
    delays = trace.outputs_of(Told)[0].time_ms / 10.0
    crashes = BlockingParams(
        participants=params.participants, down_ms=params.down_ms, trials=params.trials, seed=params.seed
    )
    blocked_ms = float(scenarios.blocking(crashes, (protocol,))["blocked_ms"].mean())
    return messages, forced, delays, blocked_ms, 100 * _broken_share(params, protocol)


def _broken_share(params: ComparisonParams, protocol: str) -> float:
    """The share of runs in which an invariant breaks, with one participant cut off at some moment."""
    broken = 0
    for trial in range(5 * params.trials):
        stopping.check()
        cut = TransactionParams(
            protocol=protocol, participants=params.participants, amount=1, victim=scenarios.ISOLATED,
            fails_ms=10.0 + 50.0 * trial / (5 * params.trials), seed=(params.seed + trial) % 2**31,
        )  # fmt: skip
        broken += bool(scenarios.transaction(cut).violations)
    return broken / (5 * params.trials)
