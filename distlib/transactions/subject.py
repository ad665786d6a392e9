"""Atomic commitment as the judge, the museum, the kill matrix and the Step lab see it."""

from __future__ import annotations

from distlib.check.subject import Requests, Subject
from distlib.core.mutant import mutants_in
from distlib.core.node import NodeId
from distlib.transactions import broken, paxos_commit_broken, quorum_broken
from distlib.transactions.bank import transfer
from distlib.transactions.deadlocks import DetectsDeadlocks, WoundWait
from distlib.transactions.invariants import commit_invariants
from distlib.transactions.message import Begin
from distlib.transactions.paxos_commit import PaxosCommit
from distlib.transactions.paxos_commit_searches import PAXOS_COMMIT_SEARCHES
from distlib.transactions.presumptions import PresumedAbort, PresumedCommit
from distlib.transactions.quorum_commit import QuorumCommit
from distlib.transactions.quorum_searches import QUORUM_SEARCHES
from distlib.transactions.searches import COMMIT_SEARCHES
from distlib.transactions.tree import TreeCommit
from distlib.transactions.two_phase import TwoPhaseCommit, cluster


def transfers(names: tuple[NodeId, ...]) -> Requests:
    """The first node is asked for a transfer between the last two, and the second for one back."""
    return [(names[0], Begin(transfer(names[-2], names[-1]))), (names[-2], Begin(transfer(names[-1], names[-2])))]


TWO_PHASE = Subject(
    TwoPhaseCommit, cluster, commit_invariants, transfers, searches=COMMIT_SEARCHES,
    correct=(TwoPhaseCommit, PresumedAbort, PresumedCommit, WoundWait, DetectsDeadlocks, TreeCommit),
    mutants=mutants_in(broken),
)  # fmt: skip
QUORUM_COMMIT = Subject(
    QuorumCommit,
    cluster,
    commit_invariants,
    transfers,
    searches=QUORUM_SEARCHES,
    correct=(QuorumCommit,),
    mutants=mutants_in(quorum_broken),
)
PAXOS_COMMIT = Subject(
    PaxosCommit,
    cluster,
    commit_invariants,
    transfers,
    searches=PAXOS_COMMIT_SEARCHES,
    correct=(PaxosCommit,),
    mutants=mutants_in(paxos_commit_broken),
)
