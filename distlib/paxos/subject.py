"""Paxos and Multi-Paxos as the judge, the museum, the kill matrix and the Step lab see them."""

from __future__ import annotations

from distlib.check.subject import Requests, Subject
from distlib.core.mutant import mutants_in
from distlib.core.node import NodeId, with_peers
from distlib.paxos import broken, multi_paxos_broken
from distlib.paxos.invariants import multi_paxos_invariants, paxos_invariants
from distlib.paxos.message import Propose
from distlib.paxos.multi_paxos import MultiPaxos
from distlib.paxos.multi_paxos_searches import MULTI_PAXOS_SEARCHES, SERVICE
from distlib.paxos.paxos import Paxos
from distlib.paxos.searches import PAXOS_SEARCHES, under_nemesis
from distlib.replication.subject import writes


def acceptors(node_class: type[Paxos], names: tuple[NodeId, ...]) -> list[Paxos]:
    """Nodes each of which is proposer, acceptor and learner."""
    return [node_class(name, names) for name in names]


def proposals(names: tuple[NodeId, ...]) -> Requests:
    """A value for each of the first three nodes to propose."""
    return [(name, Propose(value)) for name, value in zip(names, "ABC", strict=False)]


PAXOS = Subject(
    Paxos, acceptors, paxos_invariants, proposals, searches=PAXOS_SEARCHES, correct=(Paxos,),
    mutants=mutants_in(broken), example=lambda node_class: under_nemesis(node_class, 1).run(1_000.0),
)  # fmt: skip
MULTI_PAXOS = Subject(
    MultiPaxos, with_peers, multi_paxos_invariants, writes, searches=MULTI_PAXOS_SEARCHES, correct=(MultiPaxos,),
    mutants=mutants_in(multi_paxos_broken),
    example=lambda node_class: SERVICE.under_nemesis(node_class, 1).run(1_000.0),
)  # fmt: skip
