"""What a transaction costs, measured: messages, forced log writes and message delays of simulated runs, counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from distlib.core.fault import Crash
from distlib.core.node import node_names
from distlib.core.parameter import Parameters, parameter
from distlib.core.trace import DELIVERED, Trace
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Constant
from distlib.sim.network import Network
from distlib.transactions import theory
from distlib.transactions.bank import Add, Read, Work
from distlib.transactions.message import Acknowledge, Begin, Finished, Told, Wrote
from distlib.transactions.presumptions import PresumedAbort, PresumedCommit
from distlib.transactions.quorum_commit import QuorumCommit
from distlib.transactions.theory import Cost
from distlib.transactions.two_phase import TwoPhaseCommit, cluster

HOP_MS = 10.0
PROTOCOLS: dict[str, type[TwoPhaseCommit]] = {
    one.__name__: one for one in (TwoPhaseCommit, PresumedAbort, PresumedCommit, QuorumCommit)
}


@dataclass(frozen=True)
class CostParams(Parameters):
    """What to count."""

    situation: str = parameter(theory.COMMIT, "what happens", choices=theory.SITUATIONS)
    most: int = parameter(10, "participants up to", low=2, high=20)


def run_of(protocol: type[TwoPhaseCommit], participants: int, situation: str) -> Trace:
    """One transaction, coordinated by S1, over S2 and as many more as it takes; every message takes ``HOP_MS``."""
    names = node_names(participants + 1)
    settings = {"vote_ms": 6 * HOP_MS, "resend_ms": 12 * HOP_MS, "inquire_ms": 30 * HOP_MS}
    readers_leave = protocol in (PresumedAbort, PresumedCommit)  # as in R*
    nodes = cluster(protocol, names, **settings, read_only_votes=readers_leave)
    faults = (Crash(0.5 * HOP_MS, names[-1], 4 * HOP_MS),) if situation == theory.LATE else ()
    made = Cluster(nodes, Network(Constant(HOP_MS)), faults=faults)
    made.post(0.0, "S1", Begin(_work(names[1:], situation)))
    if situation == theory.RESTART:  # when its decision is under way, until the acknowledgements have come in vain
        made.run(30 * HOP_MS, until=lambda now: any(isinstance(one.event, Told) for one in now.outputs))
        made.schedule(Crash(made.now_ms + 0.5 * HOP_MS, "S1", 2 * HOP_MS))
    return made.run(60 * HOP_MS)


def _work(names: Iterable[str], situation: str) -> Work:
    work: list[Any] = [(name, (Add("x", 1),)) for name in names]
    last = work[-1][0]
    if situation == theory.ABORT:
        work[-1] = (last, (Add("x", -1_000),))
    if situation == theory.ONE_READS:
        work[-1] = (last, (Read("x"),))
    if situation == theory.ALL_READ:
        work = [(name, (Read("x"),)) for name, _ in work]
    return tuple(work)


def counted(trace: Trace) -> Cost:
    """Messages between nodes, and forced records, of a run."""
    between = [one for one in trace.sent if one[2] in trace.nodes and one[2] != one[3]]
    forced = [one for one in trace.outputs_of(Wrote) if one.event.forced]
    return Cost(len(between), len(forced))


def costs(participants: Iterable[int] = range(2, 21), situations: Iterable[str] = theory.SITUATIONS) -> pd.DataFrame:
    """Measured beside formula: one row for each protocol, number of participants and situation."""
    rows = []
    for name, protocol in PROTOCOLS.items():
        for count in participants:
            for situation in situations:
                found, formula = counted(run_of(protocol, count, situation)), theory.cost(name, count, situation)
                rows.append((name, count, situation, *found, *formula))
    columns = ["protocol", "participants", "situation", "messages", "forced", "messages_formula", "forced_formula"]
    return pd.DataFrame(rows, columns=columns)


def until_known(protocol: type[TwoPhaseCommit], participants: int, *, together: bool = False) -> tuple[int, int]:
    """Messages and delays until all participants know of a commit, as Gray & Lamport (2006, §3.2) count them: the first
    message comes from the participant that began it, the coordinator is another node, or (``together``) that one."""
    names = node_names(participants + (0 if together else 1))
    taking_part, first = names[-participants:], names[-participants]
    patient: dict[str, Any] = {"vote_ms": None, "resend_ms": None, "inquire_ms": None}
    nodes = cluster(protocol, names, coordinator=None if together else names[0], **patient)
    made = Cluster(nodes, Network(Constant(HOP_MS)))
    made.post(0.0, first, Begin(_work(taking_part, theory.COMMIT)))
    trace = made.run(60 * HOP_MS)
    known_ms = max(one.time_ms for one in trace.outputs_of(Wrote) if isinstance(one.event.record, Finished))
    sent = [
        one for one in trace.sent
        if one[2] in trace.nodes and one[2] != one[3] and not isinstance(one[4], Acknowledge)
        and trace.fates.get(one[1], DELIVERED) == DELIVERED
    ]  # fmt: skip
    return len(sent), round(known_ms / HOP_MS)
