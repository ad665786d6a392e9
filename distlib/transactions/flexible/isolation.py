"""What others see while transfers are under way: two-phase commit beside the flexible transactions, same clients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from distlib.core.node import Node
from distlib.core.trace import Happened
from distlib.replication.message import Returned
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from distlib.transactions.bank import Operations, Read, Work
from distlib.transactions.client import Teller
from distlib.transactions.deadlocks import WoundWait
from distlib.transactions.flexible.message import Applied, Displayed, Ended, Summed
from distlib.transactions.flexible.scenarios import (
    HORIZON_EVENTS,
    HORIZON_MS,
    RICH,
    RUNNERS,
    AnomalyParams,
    Clients,
    Runner,
)
from distlib.transactions.message import Begin, Finished, Outcome, Prepared, Told, Wrote


def merged(work: Work) -> Work:
    """``work`` with one entry for each node: a transaction has one branch at a node."""
    parts: dict[str, Operations] = {}
    for node, operations in work:
        parts[node] = (*parts.get(node, ()), *operations)
    return tuple(parts.items())


@dataclass
class TwoPhaseClients(Clients):
    """The same clients, who ask for the same transfers, as transactions of two-phase commit."""

    def ask(self, cluster: Cluster, count: int) -> None:
        for _ in range(count):
            self.asked += 1
            at_ms = cluster.now_ms + self.think.expovariate(1 / self.params.think_ms)
            cluster.post(at_ms, "S1", Begin(merged(next(self.work))))

    def are_through(self, cluster: Cluster) -> bool:
        new = cluster.outputs[self.seen :]
        self.seen += len(new)
        told = sum(isinstance(one.event, Told) and one.node == "S1" for one in new)  # S2 coordinates the readings
        self.ended, self.readings = self.ended + told, self.readings + sum(map(_is_reading, new))
        self.ask(cluster, told)
        return self.ended >= self.params.transfers and self.readings >= self.params.readings


def run_two_phase(params: AnomalyParams, clients: int, *, read_only_votes: bool = False) -> Sequence[Happened]:
    """A runner as those of the flexible transactions: two-phase commit with wound-wait, where a reader's sum is a
    transaction of its own, whose locks keep the accounts still; with ``read_only_votes`` it gives them up too early."""
    rich = (("x", RICH), ("y", RICH))
    nodes: list[Node] = [
        WoundWait(name, rich, vote_ms=400.0, read_only_votes=read_only_votes) for name in ("S1", *params.names)
    ]
    sums: Work = tuple([(name, (Read("x"), Read("y"))) for name in params.names])
    commands = (Begin(sums),) * 10_000
    nodes += [
        Teller(f"R{number}", ("S2",), commands, think_ms=(0, 10), start_ms=(0, 10), timeout_ms=1e6)
        for number in range(1, params.readers + 1)
    ]
    cluster = Cluster(nodes, Network(Uniform(*params.latency_ms)), seed=params.seed, record=False)
    asking = TwoPhaseClients(params)
    asking.ask(cluster, clients)
    cluster.run(HORIZON_MS, max_events=HORIZON_EVENTS, until=asking.are_through)
    return list(translated(cluster.outputs))


def translated(outputs: Sequence[Happened]) -> Iterator[Happened]:
    """What nodes of two-phase commit tell, in the words of the flexible transactions: what a committed branch did is
    seen when it is carried out, what a reading saw was shown when its branch held the locks."""
    branches: dict[tuple[str | None, str], Operations] = {}
    for one in outputs:
        event = one.event
        if isinstance(event, Wrote) and isinstance(event.record, Prepared):
            branches[one.node, event.record.transaction] = event.record.operations
        elif isinstance(event, Wrote) and isinstance(event.record, Finished) and event.record.commit:
            operations = branches.get((one.node, event.record.transaction), ())
            yield Happened(one.time_ms, one.node, Applied(event.record.transaction, operations))
        elif isinstance(event, Told) and one.node == "S1":
            yield Happened(one.time_ms, one.node, Ended(event.transaction, event.commit))
        elif _is_reading(one):
            seen = tuple([(*account.split("."), balance) for account, balance in event.result.reads])
            for node, account, _ in seen:
                yield Happened(one.time_ms, node, Displayed(str(one.node), event.serial, account))
            yield Happened(one.time_ms, one.node, Summed(event.serial, seen))


def _is_reading(one: Happened) -> bool:
    return isinstance(one.event, Returned) and isinstance(one.event.result, Outcome) and one.event.result.commit


ALL_RUNNERS: Mapping[str, Runner] = {
    "two-phase commit": run_two_phase,
    "two-phase commit, readers leave early": partial(run_two_phase, read_only_votes=True),
    **RUNNERS,
}
"""For ``flexible.scenarios.anomalies``: two-phase commit first."""
