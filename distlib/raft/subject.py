"""Raft as the judge, the museum, the kill matrix and the Step lab see it."""

from __future__ import annotations

from distlib.check.subject import Requests, Subject
from distlib.core.mutant import mutants_in
from distlib.core.node import NodeId, with_peers
from distlib.core.trace import Trace
from distlib.raft import broken
from distlib.raft.invariants import raft_invariants
from distlib.raft.membership import Membership
from distlib.raft.raft import Raft
from distlib.raft.searches import RAFT_SEARCHES
from distlib.raft.simulations import SERVICE
from distlib.raft.snapshot import Snapshots
from distlib.raft.variants import PreVote
from distlib.replication.message import ClientRequest
from distlib.replication.state_machine import Put


def writes(names: tuple[NodeId, ...]) -> Requests:
    """Two writes of one client, which it may send to any server."""
    return [(None, ClientRequest(Put("x", number), "C1", number)) for number in (1, 2)]


def run_under_faults(node_class: type[Raft]) -> Trace:
    """A second under a nemesis."""
    return SERVICE.under_nemesis(node_class, 1).run(1_000.0)


RAFT = Subject(
    Raft, with_peers, raft_invariants, writes, searches=RAFT_SEARCHES,
    correct=(Raft, Snapshots, PreVote, Membership), mutants=mutants_in(broken), example=run_under_faults,
)  # fmt: skip
