"""Paxos and Multi-Paxos as the judge, the museum, the kill matrix and the Step lab see them."""

from __future__ import annotations

from distlib.check.subject import Requests, Subject
from distlib.core.mutant import mutants_in
from distlib.core.node import NodeId, with_peers
from distlib.core.trace import Trace
from distlib.paxos import broken
from distlib.paxos.invariants import paxos_invariants
from distlib.paxos.message import Propose
from distlib.paxos.multi_paxos import MultiPaxos
from distlib.paxos.multi_paxos_invariants import multi_paxos_invariants
from distlib.paxos.paxos import Paxos
from distlib.paxos.searches import PAXOS_SEARCHES, under_nemesis
from distlib.replication.message import ClientRequest
from distlib.replication.state_machine import Put


def acceptors(node_class: type[Paxos], names: tuple[NodeId, ...]) -> list[Paxos]:
    """Nodes each of which is proposer, acceptor and learner."""
    return [node_class(name, names) for name in names]


def proposals(names: tuple[NodeId, ...]) -> Requests:
    """A value for each of the first three nodes to propose."""
    return [(name, Propose(value)) for name, value in zip(names, "ABC", strict=False)]


def writes(names: tuple[NodeId, ...]) -> Requests:
    """Two writes of one client, which it may send to any server."""
    return [(None, ClientRequest(Put("x", number), "C1", number)) for number in (1, 2)]


def run_under_faults(node_class: type[Paxos]) -> Trace:
    """A second under a nemesis."""
    return under_nemesis(node_class, 1).run(1_000.0)


PAXOS = Subject(
    Paxos, acceptors, paxos_invariants, proposals, searches=PAXOS_SEARCHES, correct=(Paxos,),
    mutants=mutants_in(broken), example=run_under_faults,
)  # fmt: skip
MULTI_PAXOS = Subject(MultiPaxos, with_peers, multi_paxos_invariants, writes)
