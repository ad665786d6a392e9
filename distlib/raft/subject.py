"""Raft as the judge, the museum, the kill matrix and the Step lab see it."""

from __future__ import annotations

from distlib.check.subject import Subject
from distlib.core.mutant import mutants_in
from distlib.core.node import with_peers
from distlib.raft import broken
from distlib.raft.invariants import raft_invariants
from distlib.raft.membership import Membership
from distlib.raft.raft import Raft
from distlib.raft.searches import RAFT_SEARCHES
from distlib.raft.simulations import SERVICE
from distlib.raft.snapshot import Snapshots
from distlib.raft.variants import LeaderLease, PreVote
from distlib.replication.subject import writes

RAFT = Subject(
    Raft, with_peers, raft_invariants, writes, searches=RAFT_SEARCHES,
    correct=(Raft, Snapshots, PreVote, LeaderLease, Membership), mutants=mutants_in(broken),
    example=lambda node_class: SERVICE.under_nemesis(node_class, 1).run(1_000.0),
)  # fmt: skip
