"""Atomic commitment in the papers: a test per sentence or table row, with the citation in its docstring.

Gray 1978 (*Notes on Data Base Operating Systems*); Skeen 1981 (*Nonblocking Commit Protocols*) and 1982 (*A
Quorum-Based Commit Protocol*); Mohan, Lindsay & Obermarck 1986 (*Transaction Management in the R\\* Distributed
Database Management System*; below: MLO); Bernstein, Hadzilacos & Goodman 1987 (*Concurrency Control and Recovery in
Database Systems*; below: BHG); Gray & Lamport 2006 (*Consensus on Transaction Commit*; below: GL). Sentences are
paraphrased.
"""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import pandas as pd
import pytest

from distlib.check.explore.explore import explore
from distlib.core.fault import Crash, OneWay, Partition
from distlib.core.node import node_names
from distlib.core.trace import Trace
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Constant
from distlib.sim.network import Network
from distlib.transactions import costs, theory
from distlib.transactions.bank import Add, Work, transfer
from distlib.transactions.intervals import intervals
from distlib.transactions.invariants import Atomicity, commit_invariants
from distlib.transactions.message import Acknowledge, Begin, Bundle, Finished, Inquire, Prepared, Told, Wrote
from distlib.transactions.paxos_commit import PaxosCommit
from distlib.transactions.presumptions import PresumedAbort, PresumedCommit
from distlib.transactions.quorum_commit import QuorumCommit, ThreePhaseCommit
from distlib.transactions.quorum_searches import blocked, survivors
from distlib.transactions.searches import REQUEST, REQUEST_OF_TWO, commit_model
from distlib.transactions.two_phase import TwoPhaseCommit, cluster

UP_TO_20 = range(2, 21)
TX = "S1.1.1"


@pytest.fixture(scope="module")
def measured() -> pd.DataFrame:
    """Every protocol, 2 to 20 participants, every situation: counted in simulated runs, beside the formulas."""
    return costs.costs(UP_TO_20)


# --- messages and forced writes: MLO ---------------------------------------------------------------------------


@pytest.mark.parametrize("situation", theory.SITUATIONS)
@pytest.mark.parametrize("protocol", theory.FORMULAS)
def test_counted_is_what_the_formulas_say_for_2_to_20_participants(
    measured: pd.DataFrame, protocol: str, situation: str
) -> None:
    """MLO §2 to §5; Skeen 1981: exactly, also where somebody refuses, only reads, is late, or crashes."""
    rows = measured[(measured["protocol"] == protocol) & (measured["situation"] == situation)]
    assert list(rows["participants"]) == list(UP_TO_20)
    assert list(rows["messages"]) == list(rows["messages_formula"])
    assert list(rows["forced"]) == list(rows["forced_formula"])


def by_role(protocol: type[TwoPhaseCommit], situation: str = theory.COMMIT) -> dict[str, tuple[int, int, int]]:
    """Records, forced records, and messages sent, of the coordinator and of one participant that voted yes."""
    trace = costs.run_of(protocol, 3, situation)
    written = trace.outputs_of(Wrote)
    found = {}
    for role, node in (("coordinator", "S1"), ("participant", "S2")):
        mine = [one.event.forced for one in written if one.node == node]
        found[role] = (len(mine), sum(mine), sum(1 for one in trace.sent if one[2] == node))
    return found


@pytest.mark.parametrize(
    ("protocol", "coordinator", "participant"),
    [
        (TwoPhaseCommit, (2, 1, 2), (2, 2, 2)),
        (PresumedAbort, (2, 1, 2), (2, 2, 2)),
        (PresumedCommit, (2, 2, 2), (2, 1, 1)),
    ],
)
def test_the_table_of_a_commit(protocol: Any, coordinator: tuple[int, ...], participant: tuple[int, ...]) -> None:
    """MLO §5, the table of log I/O and messages, the row of update transactions: records written, of them forced, and
    messages, at the coordinator (for each participant) and at a participant."""
    found = by_role(protocol)
    records, forced, sent = found["coordinator"]
    assert (records, forced, sent / 3) == coordinator
    assert found["participant"] == participant


@pytest.mark.parametrize(
    ("protocol", "coordinator", "participant"),
    [(TwoPhaseCommit, (2, 1), (2, 2, 2)), (PresumedAbort, (1, 0), (2, 1, 1)), (PresumedCommit, (3, 2), (2, 2, 2))],
)
def test_the_table_of_an_abort(protocol: Any, coordinator: tuple[int, ...], participant: tuple[int, ...]) -> None:
    """MLO §2 to §4: where one of three votes no; the participant is one that voted yes."""
    found = by_role(protocol, theory.ABORT)
    assert found["coordinator"][:2] == coordinator and found["participant"] == participant


def test_who_has_only_read_writes_nothing_and_hears_nothing_more() -> None:
    """MLO §3: in presumed abort and presumed commit a reader sends one message and writes no record."""
    for protocol in (PresumedAbort, PresumedCommit):
        trace = costs.run_of(protocol, 3, theory.ONE_READS)
        assert not [one for one in trace.outputs_of(Wrote) if one.node == "S4"]
        assert [(one[2], one[3]) for one in trace.sent if "S4" in one[2:4]] == [("S1", "S4"), ("S4", "S1")]


def test_an_all_reading_transaction_of_presumed_abort_writes_no_record_at_all() -> None:
    """MLO §3."""
    assert [costs.counted(costs.run_of(PresumedAbort, n, theory.ALL_READ)) for n in (2, 5)] == [(4, 0), (10, 0)]


def test_presumed_abort_never_costs_more_than_presuming_nothing(measured: pd.DataFrame) -> None:
    """MLO §3; and presumed commit does, for what is aborted."""
    table = measured.pivot(index=["participants", "situation"], columns="protocol", values=["messages", "forced"])
    for column in ("messages", "forced"):
        assert (table[column]["PresumedAbort"] <= table[column]["TwoPhaseCommit"]).all()
    late = table.xs(theory.LATE, level="situation")["forced"]
    assert (late["PresumedCommit"] == late["TwoPhaseCommit"] + 1).all()


def test_presumed_commit_saves_the_participants_commit_record_and_acknowledgement(measured: pd.DataFrame) -> None:
    """MLO §4: N messages and N - 1 forced writes less than presumed abort, for a commit of N participants."""
    rows = measured[measured["situation"] == theory.COMMIT].pivot(index="participants", columns="protocol")
    participants = rows.index.to_numpy()
    saved = rows["messages"]["PresumedAbort"] - rows["messages"]["PresumedCommit"]
    assert list(saved) == list(participants)
    assert list(rows["forced"]["PresumedAbort"] - rows["forced"]["PresumedCommit"]) == list(participants - 1)


# --- messages and delays: GL -----------------------------------------------------------------------------------


@pytest.mark.parametrize("participants", UP_TO_20)
def test_two_phase_commit_sends_3n_minus_1_messages_in_four_delays(participants: int) -> None:
    """GL §3.2, and the table of §5: until all participants know; 3N - 3 in three, where the coordinator is one."""
    n = participants
    assert costs.until_known(TwoPhaseCommit, n) == (3 * n - 1, 4)
    assert costs.until_known(TwoPhaseCommit, n, together=True) == (3 * n - 3, 3)
    assert (theory.until_known(n), theory.delays("TwoPhaseCommit")) == (3 * n - 1, 4)
    assert (theory.until_known(n, together=True), theory.delays("TwoPhaseCommit", together=True)) == (3 * n - 3, 3)


@pytest.mark.parametrize("together", [False, True])
def test_a_third_phase_costs_two_delays(together: bool) -> None:
    """Skeen 1981: one more round of messages to each participant, and back."""
    for n in (2, 3, 7):
        messages, delays = costs.until_known(QuorumCommit, n, together=together)
        assert delays == theory.delays("QuorumCommit", together=together)
        assert messages == theory.until_known(n, together=together) + 2 * (n - 1 if together else n)


def paxos_run(participants: int, names: tuple[str, ...], acceptors: tuple[str, ...], first: str) -> Trace:
    """One commit by Paxos Commit of the last ``participants`` of ``names``, led by the first; ``first`` begins."""
    patient: dict[str, Any] = {"vote_ms": None, "resend_ms": None, "inquire_ms": None}
    every = tuple(dict.fromkeys((*names, *acceptors)))
    nodes = cluster(PaxosCommit, every, coordinator="S1", acceptors=acceptors, **patient)
    made = Cluster(nodes, Network(Constant(10.0)), invariants=commit_invariants())
    made.post(0.0, first, Begin(tuple([(name, (Add("x", 1),)) for name in names[-participants:]])))
    return made.run(600.0)


def until_known(trace: Trace, participants: int) -> tuple[int, int, int]:
    """Messages between nodes, delays, and writes to stable storage that the outcome waits for."""
    learnt = [one for one in trace.outputs_of(Wrote) if isinstance(one.event.record, Finished)]
    assert len(learnt) == participants and all(one.event.record.commit for one in learnt)
    between = [one for one in trace.sent if one[2] != one[3] and one[2] in trace.nodes]
    assert not [one for one in between if isinstance(one[4], (Acknowledge, Inquire))]
    stable = [one for one in trace.outputs_of(Wrote) if isinstance(one.event.record, (Prepared, Bundle))]
    return len(between), round(max(one.time_ms for one in learnt) / 10.0), len(stable)


@pytest.mark.parametrize(("n", "f"), list(product(UP_TO_20, range(4))))
def test_paxos_commit_costs(n: int, f: int) -> None:
    """GL §5: N participants, 2F + 1 acceptors on nodes of their own: (N + 1)(F + 3) - 2 messages, five message delays,
    N + F + 1 writes to stable storage. Where the leader is an acceptor, two of the messages stay on its node."""
    names = node_names(n + 1)
    own = tuple(f"A{one}" for one in range(2 * f + 1))
    assert until_known(paxos_run(n, names, own, "S2"), n) == ((n + 1) * (f + 3) - 2, 5, n + f + 1)
    shared = ("S1", *own[1:])
    delays = 5 if f else 4
    assert until_known(paxos_run(n, names, shared, "S2"), n) == ((n + 1) * (f + 3) - 4, delays, n + f + 1)


@pytest.mark.parametrize("n", UP_TO_20)
def test_two_phase_commit_is_paxos_commit_that_tolerates_no_failure(n: int) -> None:
    """GL §5: with F = 0 and the acceptor at the leader, 3N - 1 messages, four delays, N + 1 writes."""
    messages, delays, stable = until_known(paxos_run(n, node_names(n + 1), ("S1",), "S2"), n)
    assert (messages, delays) == costs.until_known(TwoPhaseCommit, n) == (3 * n - 1, 4)
    assert stable == n + 1


@pytest.mark.parametrize(("n", "f"), [(2, 0), (8, 0), (3, 1), (8, 1), (8, 2), (20, 2), (20, 3)])
def test_paxos_commit_where_all_roles_share_nodes(n: int, f: int) -> None:
    """GL §5, the table, co-located: NF + 3N - 3 messages; four delays, or three as in two-phase commit where F = 0."""
    names = node_names(n)
    found = until_known(paxos_run(n, names, names[: 2 * f + 1], "S1"), n)
    assert found == (n * f + 3 * n - 3, 4 if f else 3, n + f + 1)


# --- who waits for whom: Gray, BHG -------------------------------------------------------------------------------


WORK: Work = (("S2", (Add("x", -2),)), ("S3", (Add("x", 1),)), ("S4", (Add("x", 1),)))


def transaction(protocol: type[Any], *faults: Any, work: Work = WORK, until_ms: float = 1_000.0) -> tuple[Any, Trace]:
    """S1 coordinates, S2 to S4 take part; every message takes 10 ms."""
    made = Cluster(
        cluster(protocol, node_names(4)), Network(Constant(10.0)), faults=faults, invariants=commit_invariants()
    )  # fmt: skip
    made.post(0.0, "S1", Begin(work))
    return made.nodes, made.run(until_ms)


def outcomes(nodes: Any) -> list[bool | None]:
    """What S2 to S4 have carried out."""
    return [next((commit for _, commit in nodes[name].outcomes), None) for name in ("S2", "S3", "S4")]


def test_ac1_to_ac5() -> None:
    """BHG §7.3: all reach the same decision; none reverses it; commit only if all voted yes; commit if all have and
    there are no failures; with failures that are repaired, all decide. (The first three are searched for elsewhere.)"""
    nodes, trace = transaction(TwoPhaseCommit)
    assert outcomes(nodes) == [True] * 3 and not trace.violations
    nodes, trace = transaction(TwoPhaseCommit, work=(*transfer("S2", "S3", 11), WORK[2]))
    assert outcomes(nodes) == [False] * 3 and not trace.violations
    for at_ms, victim in product((5, 15, 25, 35), node_names(4)):
        nodes, trace = transaction(TwoPhaseCommit, Crash(at_ms, victim, 100))
        assert len(set(outcomes(nodes)) - {None}) == 1 and not trace.violations
        assert not any(nodes[name].branches for name in nodes)


def test_who_is_uncertain_is_blocked_until_it_can_reach_one_that_is_not() -> None:
    """BHG §7.3, §7.4: the uncertainty period is from the yes to the decision; all others uncertain: blocked."""
    nodes, trace = transaction(TwoPhaseCommit, Crash(15, "S1"), until_ms=60_000)
    assert outcomes(nodes) == [None] * 3
    assert all(nodes[name].view().in_doubt == (TX,) for name in ("S2", "S3", "S4"))
    assert sum(isinstance(one[4], Inquire) for one in trace.sent) > 3_000, "it is not that they did not ask"


def test_with_the_cooperative_termination_protocol_one_that_is_certain_is_enough() -> None:
    """BHG §7.4: it has decided, or has not voted yet and decides to abort."""
    heard = OneWay(19, ("S1",), ("S3", "S4"), 4)
    nodes, _ = transaction(TwoPhaseCommit, heard, Crash(23, "S1"))
    assert outcomes(nodes) == [True] * 3
    unasked = OneWay(0, ("S1",), ("S4",), 4)
    nodes, _ = transaction(TwoPhaseCommit, unasked, Crash(15, "S1"))
    assert outcomes(nodes) == [False] * 3


def test_no_protocol_recovers_a_participant_in_doubt_by_itself() -> None:
    """BHG §7.3: who has voted yes and failed must ask others when it recovers (no independent recovery)."""
    nodes, trace = transaction(TwoPhaseCommit, Crash(15, "S1"), Crash(15, "S2", 30), until_ms=5_000)
    assert nodes["S2"].view().in_doubt == (TX,) and nodes["S2"].lives == 2
    assert any(isinstance(one[4], Inquire) and one[2] == "S2" for one in trace.sent)


def test_locks_are_held_while_in_doubt() -> None:
    """Gray 1978; BHG, chapter 7: what blocks is the data, for everybody else."""
    _, trace = transaction(TwoPhaseCommit, Crash(15, "S1", 500))
    locked, doubts = intervals(trace, "locked"), intervals(trace, "in_doubt")
    assert sorted(locked[["node", "start_ms", "end_ms"]].values.tolist()) == sorted(
        doubts[["node", "start_ms", "end_ms"]].values.tolist()
    )
    assert (doubts["end_ms"] - doubts["start_ms"]).min() > 500


def test_the_client_is_told_when_the_decision_is_on_disk_and_not_before_all_are_prepared() -> None:
    """Gray 1978: the commit point is the coordinator's record."""
    for protocol in (TwoPhaseCommit, PresumedAbort, PresumedCommit, QuorumCommit, ThreePhaseCommit, PaxosCommit):
        _, trace = transaction(protocol)
        names = [type(getattr(one.event, "record", one.event)).__name__ for one in trace.outputs]
        told = names.index("Told")
        assert names[:told].count("Prepared") == 3, protocol
        assert "Finished" not in names[:told]
        if protocol in (TwoPhaseCommit, PresumedAbort, PresumedCommit):
            assert names[told - 1] == "Decided" and trace.outputs[told - 1].event.forced


# --- the third phase: Skeen, GL -----------------------------------------------------------------------------------


def test_three_phase_commit_does_not_block_when_nodes_only_crash() -> None:
    """Skeen 1981: nonblocking; here coordinators that die for good while they send, some with a participant."""
    ended: Counter[bool] = Counter()
    for seed in range(1_000, 1_060):
        running = survivors(ThreePhaseCommit, seed)
        assert blocked(running) == "", seed
        ended[bool(running.trace().outputs_of(Told))] += 1
    assert min(ended.values()) > 5, "with the coordinator, and without it"


def test_three_phase_commit_is_not_safe_in_a_partition() -> None:
    """Skeen 1982; GL §1: it "does not guarantee" one outcome where a network delays messages: S4 takes silence for
    death."""
    nodes, trace = transaction(ThreePhaseCommit, Partition(25, (("S1", "S2", "S3"), ("S4",)), 300))
    assert outcomes(nodes) == [True, True, False]
    assert [one.invariant for one in trace.violations] == [Atomicity.name]
    nodes, trace = transaction(QuorumCommit, Partition(25, (("S1", "S2", "S3"), ("S4",)), 300))
    assert outcomes(nodes) == [True, True, True] and not trace.violations


def test_a_minority_of_a_quorum_commit_waits() -> None:
    """Skeen 1982: who is no quorum decides nothing until the partition heals."""
    nodes, _ = transaction(QuorumCommit, Partition(25, (("S1", "S2", "S3"), ("S4",)), 300), until_ms=320)
    assert outcomes(nodes) == [True, True, None]


def test_paxos_commit_does_not_block_where_two_phase_commit_does() -> None:
    """GL §4: the coordinator is dead, and F = 1 acceptor with it."""
    for at_ms in (5, 15, 25):
        nodes, trace = transaction(PaxosCommit, Crash(at_ms, "S1"))
        assert outcomes(nodes) == [True] * 3 and not trace.violations
    nodes, _ = transaction(TwoPhaseCommit, Crash(15, "S1"))
    assert outcomes(nodes) == [None] * 3


def test_a_transaction_is_committed_only_if_all_have_prepared_and_aborted_only_if_one_wanted_it_or_failed() -> None:
    """GL §2: non-triviality, for every protocol that is shipped."""
    for protocol in (TwoPhaseCommit, PresumedAbort, PresumedCommit, QuorumCommit, ThreePhaseCommit, PaxosCommit):
        nodes, trace = transaction(protocol)
        assert outcomes(nodes) == [True] * 3, "nobody failed, nobody wanted an abort"
        prepared = {one.node for one in trace.outputs_of(Wrote) if isinstance(one.event.record, Prepared)}
        assert prepared == {"S2", "S3", "S4"}


def test_every_order_of_messages_gives_one_outcome_without_failures() -> None:
    """GL §2: stability and consistency, in every state that three nodes can reach."""
    for protocol, distinct in ((TwoPhaseCommit, 54), (PresumedAbort, 54), (PresumedCommit, 35), (QuorumCommit, 115)):
        result = explore(commit_model(protocol, requests=[REQUEST]))
        assert result.verdict == "holds" and result.exhausted
        assert result.distinct == distinct, protocol.__name__


def test_the_explorer_refutes_three_phase_commit_and_exhausts_quorum_commit_in_the_same_model() -> None:
    """GL §1, Skeen 1982, by search: nobody crashes and nothing is lost; messages are late, and three timers run out
    meanwhile. The shortest way to a commit beside an abort has 15 steps."""
    timeouts = {"S3.inquire": 1, "S3.gather": 2, "S1.gather": 1}
    refuted = explore(commit_model(ThreePhaseCommit, requests=[REQUEST_OF_TWO], timeouts=timeouts))
    assert refuted.verdict == "violated" and len(refuted.path) - 1 == 15
    assert "is aborted at" in refuted.violation.explanation
    holds = explore(commit_model(QuorumCommit, requests=[REQUEST_OF_TWO], timeouts=timeouts))
    assert holds.verdict == "holds" and holds.exhausted and holds.distinct == 6_008
