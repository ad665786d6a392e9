"""Raft's invariants can fail: each broken rule is caught, by the right property, with a witness of what happened.

And they don't cry wolf: the correct protocol passes the same scripts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from distlib.core.fault import Nemesis
from distlib.core.invariant import Broken
from distlib.raft.invariants import (
    CommittedSurvives,
    ElectionSafety,
    LeaderAppendOnly,
    LeaderCompleteness,
    LogMatching,
    StateMachineSafety,
    raft_invariants,
)
from distlib.raft.log import Entry, Index, Log
from distlib.raft.message import AppendEntries, AppendReply, RequestVote, Vote
from distlib.raft.raft import Raft, Role
from distlib.replication.client import Client
from distlib.replication.message import NoOp
from distlib.replication.state_machine import Add, Put
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from tests.raft.clusters import cluster, names, servers


class Watch:
    """Servers moved by hand, with every property checked after every event, as a runtime would."""

    def __init__(self, members: Sequence[Raft]) -> None:
        self.nodes: dict[str, Any] = {server.id: server for server in members}
        self.invariants = raft_invariants()
        self.ghosts: list[Any] = [invariant.before(self.nodes) for invariant in self.invariants]
        self.broken: dict[str, str] = {}
        for server in members:
            server.start()
            self.see(server.id)

    def see(self, name: str) -> None:
        for number, invariant in enumerate(self.invariants):
            try:
                self.ghosts[number] = invariant.after(self.ghosts[number], self.nodes, name)
                hash(self.ghosts[number])
            except Broken as witness:
                self.broken.setdefault(invariant.name, str(witness))

    def timeout(self, name: str, timer: str = "election") -> None:
        self.nodes[name].timeout(timer)
        self.see(name)

    def tell(self, sender: str, to: str, message: Any) -> None:
        self.nodes[to].receive(sender, message)
        self.see(to)

    def crash(self, name: str) -> None:
        self.nodes[name].crash()
        self.see(name)
        self.nodes[name].start()
        self.see(name)

    def exchange(self, *among: str) -> None:
        """Delivers everything that is sent among these servers, until all is quiet; the rest is lost."""
        quiet = False
        while not quiet:
            quiet = True
            for sender in among:
                for effect in self.nodes[sender].take_effects():
                    if getattr(effect, "to", None) in among:
                        quiet = False
                        self.tell(sender, effect.to, effect.message)
        for node in self.nodes.values():
            node.take_effects()


# --- each property by hand -----------------------------------------------------------------------------------


def with_log(server: Raft, *terms: int) -> Raft:
    server.log = Log().append(*[Entry(term, f"c{index}.{term}") for index, term in enumerate(terms, 1)])
    server.current_term = max(terms, default=0)
    return server


def nodes(count: int = 3) -> dict[str, Any]:
    return {server.id: server for server in servers(count)}


def test_election_safety_names_both_leaders() -> None:
    members = nodes()
    ghost = ElectionSafety().before(members)
    members["S1"].role, members["S1"].current_term = Role.LEADER, 4
    ghost = ElectionSafety().after(ghost, members, "S1")
    assert ElectionSafety().after(ghost, members, "S1") is ghost
    members["S1"].role = Role.FOLLOWER
    members["S2"].role, members["S2"].current_term = Role.LEADER, 4
    with pytest.raises(Broken, match=r"S2 leads term 4, which S1 has led already"):
        ElectionSafety().after(ghost, members, "S2")
    members["S2"].current_term = 5
    assert ElectionSafety().after(ghost, members, "S2") is not ghost


def test_leader_append_only_names_the_entry_that_changed() -> None:
    members, check = nodes(), LeaderAppendOnly()
    first = with_log(members["S1"], 1, 1)
    first.role = Role.LEADER
    ghost = check.after(check.before(members), members, "S1")
    first.log = first.log.append(Entry(1, "more")).compacted(1)
    ghost = check.after(ghost, members, "S1")
    assert check.after(ghost, members, "S1") is ghost
    first.log = first.log.truncated_from(3)
    with pytest.raises(Broken, match=r"S1, leader of term 1, had entry 1:more at index 3 and now has no entry there"):
        check.after(ghost, members, "S1")
    first.role = Role.FOLLOWER  # a follower may
    check.after(ghost, members, "S1")


def test_log_matching_names_where_the_logs_part() -> None:
    members, check = nodes(), LogMatching()
    with_log(members["S1"], 1, 1, 3)
    with_log(members["S2"], 1, 2)
    ghost = check.before(members)
    for name in names(3):
        ghost = check.after(ghost, members, name)
    assert check.after(ghost, members, "S1") is ghost
    with_log(members["S2"], 1, 2, 3, 3)
    with pytest.raises(
        Broken,
        match=r"S2 and S1 both have term 3 at index 3, but at index 2 S2 has entry 2:c2.2 and S1 has entry 1:c2.1",
    ):
        check.after(ghost, members, "S2")


def test_leader_completeness_asks_only_leaders_of_greater_terms() -> None:
    members, check = nodes(), LeaderCompleteness()
    with_log(members["S1"], 2, 2)
    members["S1"].commit_index = 2
    members["S3"].role, members["S3"].current_term = Role.LEADER, 1  # deposed, but doesn't know it yet
    ghost = check.before(members)
    ghost = check.after(ghost, members, "S3")
    ghost = check.after(ghost, members, "S1")
    assert check.after(ghost, members, "S3") is ghost
    members["S3"].current_term = 3
    with pytest.raises(
        Broken, match=r"entry 2:c1.2 at index 1 was committed in term 2, but S3, leader of term 3, has no entry there"
    ):
        check.after(ghost, members, "S3")


def test_leader_completeness_also_looks_at_leaders_elected_before_the_commit() -> None:
    members, check = nodes(), LeaderCompleteness()
    members["S3"].role, members["S3"].current_term = Role.LEADER, 3
    ghost = check.after(check.before(members), members, "S3")
    with_log(members["S1"], 2)
    members["S1"].commit_index = 1
    with pytest.raises(Broken, match="S3, leader of term 3, has no entry there"):
        check.after(ghost, members, "S1")


def test_state_machine_safety_names_both_entries() -> None:
    members, check = nodes(), StateMachineSafety()
    with_log(members["S1"], 1, 2).last_applied = 2
    ghost = check.after(check.before(members), members, "S1")
    assert check.after(ghost, members, "S1") is ghost
    members["S1"].last_applied = 0  # a restart applies all again
    ghost = check.after(ghost, members, "S1")
    members["S1"].last_applied = 2
    ghost = check.after(ghost, members, "S1")
    with_log(members["S2"], 1, 3).last_applied = 2
    with pytest.raises(Broken, match=r"S2 applied entry 3:c2.3 at index 2, where entry 2:c2.2 was applied before"):
        check.after(ghost, members, "S2")


def test_committed_survives_counts_holders_when_something_is_committed_and_when_a_log_loses_entries() -> None:
    members, check = nodes(), CommittedSurvives()
    for name in ("S1", "S2"):
        with_log(members[name], 1, 1)
    ghost = check.before(members)
    for name in names(3):
        ghost = check.after(ghost, members, name)
    members["S1"].commit_index = 2
    ghost = check.after(ghost, members, "S1")
    assert check.after(ghost, members, "S1") is ghost
    with_log(members["S2"], 1)
    with pytest.raises(
        Broken, match=r"entry 1:c2.1 at index 2 for committed, but of S1, S2, S3 only S1 has it: no majority"
    ):
        check.after(ghost, members, "S2")


def test_clients_in_the_same_cluster_are_passed_over() -> None:
    members: dict[str, Any] = {**nodes(), "C1": Client("C1", ("S1",))}
    for invariant in raft_invariants():
        ghost = invariant.before(members)
        assert invariant.after(ghost, members, "C1") is ghost
        for name in names(3):
            ghost = invariant.after(ghost, members, name)


def test_every_property_says_where_it_comes_from() -> None:
    assert len({one.name for one in raft_invariants()}) == 8
    assert all(one.paper.startswith("Raft, ") for one in raft_invariants())


# --- broken protocols ------------------------------------------------------------------------------------------


@dataclass
class VotesTwice(Raft):
    """Forgets that its vote is given."""

    def has_vote_for(self, candidate: str) -> bool:
        return True


@dataclass
class CountsOldTerms(Raft):
    """Commits by counting whatever the term (figure 8)."""

    def may_commit(self, index: Index) -> bool:
        return self.is_replicated(index)


@dataclass
class VotesForAnyLog(Raft):
    """Leaves out the election restriction (§5.4.1)."""

    def is_up_to_date(self, last_index: Index, last_term: int) -> bool:
        return True


@dataclass
class NeverChecksConsistency(Raft):
    """Accepts entries whatever stands before them (rule 2)."""

    def has_entry(self, index: Index, term: int) -> bool:
        return index <= self.log.last_index


@dataclass
class CommitsAlone(Raft):
    """Takes one server for a majority when it counts replicas."""

    def is_replicated(self, index: Index) -> bool:
        return True


@dataclass
class TruncatesAsLeader(Raft):
    """Throws its unreplicated entries away when it starts to lead."""

    def begin_term(self) -> None:
        self.log = self.log.truncated_from(self.commit_index + 1)
        super().begin_term()


@dataclass
class KeepsConflicts(Raft):
    """Leaves out rule 3: a conflicting entry stays."""

    def conflicts(self, index: Index, entry: Entry) -> bool:
        return False


def storm(kind: type[Raft], seed: int) -> Cluster:
    clients = [Client(f"C{one}", names(5), tuple(Add("x") for _ in range(40)), timeout_ms=100) for one in (1, 2)]
    return cluster(
        5,
        kind,
        clients=clients,
        network=Network(Uniform(1, 8), loss=0.1, duplication=0.1, reordering=0.2, reorder_ms=60),
        seed=seed,
        faults=Nemesis(gap_ms=60, length_ms=250).schedule(names(5), seed, 3_000),
        record=False,
        election_timeout_ms=(60, 120),
        heartbeat_ms=20,
    )


CAUGHT = {
    VotesTwice: "Election Safety",
    VotesForAnyLog: "Leader Completeness",
    NeverChecksConsistency: "Log Matching",
    CommitsAlone: "Committed Entries Survive",
    KeepsConflicts: "State Machine Safety",
}
SEEDS = range(12)


@pytest.mark.parametrize("kind", CAUGHT, ids=lambda kind: kind.__name__)
def test_a_broken_rule_is_caught_within_twelve_seeds(kind: type[Raft]) -> None:
    found: dict[str, str] = {}
    for seed in SEEDS:
        for violation in storm(kind, seed).run(3_000).violations:
            found.setdefault(violation.invariant, violation.witness)
        if CAUGHT[kind] in found:
            break
    assert CAUGHT[kind] in found, found


def test_the_correct_protocol_passes_the_same_seeds() -> None:
    leaders = committed = 0
    for seed in SEEDS:
        world = storm(Raft, seed)
        trace = world.run(3_000)
        assert trace.violations == ()
        leaders += sum(type(one.event).__name__ == "BecameLeader" for one in trace.outputs)
        committed += max(node.commit_index for node in world.nodes.values() if isinstance(node, Raft))
    assert leaders > len(SEEDS)
    assert committed > 100


def test_a_leader_that_cuts_its_log_is_caught() -> None:
    watch = Watch(servers(3, TruncatesAsLeader))
    watch.timeout("S1")
    watch.tell("S2", "S1", Vote(1, True))
    watch.nodes["S1"].log = watch.nodes["S1"].log.append(Entry(1, Put("x", 1)))
    watch.see("S1")
    watch.nodes["S1"].begin_term()
    watch.see("S1")
    assert "S1, leader of term 1, had entry 1:x←1 at index 2" in watch.broken["Leader Append-Only"]


def figure_8(kind: type[Raft]) -> Watch:
    """Figure 8 of the paper, (a) to (d), with entries of terms 2 and 3 at index 2. The terms are one lower here."""
    watch = Watch(servers(5, kind, batch=1))
    first, fifth = "S1", "S5"
    watch.timeout(first)
    watch.exchange(first, "S2", "S3", "S4", fifth)  # term 1: the no-op at index 1 is everywhere
    watch.nodes[first].log = watch.nodes[first].log.append(Entry(1, Put("x", 2)))
    watch.see(first)
    watch.timeout(first, "heartbeat")
    watch.exchange(first, "S2")  # (a) S1 leads term 1 and replicates index 2 to S2 only, then crashes
    watch.crash(first)
    watch.timeout(fifth)  # (b) S5 wins term 2 with the votes of S3 and S4, and appends another entry at index 2
    votes = [(fifth, voter) for voter in ("S3", "S4")]
    for candidate, voter in votes:
        watch.tell(candidate, voter, RequestVote(2, 1, 1))
        watch.tell(voter, candidate, Vote(2, True))
    watch.crash(fifth)
    for node in watch.nodes.values():
        node.take_effects()
    watch.timeout(first)  # (c) S1 is elected anew, and replicates its old entry to S3
    watch.timeout(first)
    for voter in ("S2", "S3", "S4"):
        watch.tell(first, voter, RequestVote(3, 2, 1))
        watch.tell(voter, first, Vote(3, True))
    assert watch.nodes[first].role is Role.LEADER
    old = watch.nodes[first].log.slice(2, 1)
    for follower in ("S2", "S3"):
        watch.tell(first, follower, AppendEntries(3, 1, 1, old, 1))
        watch.tell(follower, first, AppendReply(3, True, match_index=2))
    watch.crash(first)
    for node in watch.nodes.values():
        node.take_effects()
    watch.timeout(fifth)  # (d) S5 is elected by S3 and S4 (its last term, 2, is later) and overwrites index 2
    watch.timeout(fifth)
    for voter in ("S2", "S3", "S4"):
        watch.tell(fifth, voter, RequestVote(4, 2, 2))
        watch.tell(voter, fifth, Vote(4, True))
    assert watch.nodes[fifth].role is Role.LEADER
    watch.exchange(fifth, "S2", "S3", "S4")
    assert watch.nodes["S3"].log.term_at(2) == 2
    return watch


def test_figure_8_breaks_commitment_by_counting_and_not_raft() -> None:
    """Figure 8: an entry of an old term on a majority can still be overwritten."""
    broken = figure_8(CountsOldTerms).broken
    assert {"Committed Entries Survive", "Leader Completeness", "State Machine Safety"} <= set(broken)
    assert (
        "entry 1:x←2 at index 2 was committed in term 3, but S5, leader of term 4, has entry 2:no-op"
        in broken["Leader Completeness"]
    )
    assert figure_8(Raft).broken == {}


def test_a_blank_entry_is_compared_too() -> None:
    assert Entry(1, NoOp()) == Entry(1, NoOp()) != Entry(2, NoOp())
