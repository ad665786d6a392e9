"""The judge against mutants that the museum does not show: each meets its own killer. ``python -m tests.judged`` puts
them, the museum's and all right classes before the judge as a reader calls it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from distlib.core.node import NodeId, Send
from distlib.paxos.broken import ForgetsItsPromise
from distlib.paxos.message import Nack as PaxosNack
from distlib.paxos.message import Promise as PaxosPromise
from distlib.paxos.multi_paxos import MultiPaxos
from distlib.paxos.multi_paxos_broken import LeavesOutTheLearnt
from distlib.paxos.multi_paxos_message import Promise, Slot
from distlib.paxos.paxos import Paxos
from distlib.raft.broken import IgnoresLogs
from distlib.raft.log import Index, Log
from distlib.raft.membership import Membership
from distlib.raft.raft import Raft, Read
from distlib.raft.snapshot import InstallSnapshot, Snapshot, SnapshotReply, Snapshots
from distlib.raft.variants import LeaderLease, PreVote, RequestPreVote
from distlib.replication.broken import AnswersAtOnce
from distlib.replication.message import ClientRequest
from distlib.replication.primary_backup import Forward, PrimaryBackup
from distlib.workbench.judge import judge
from distlib.workbench.subjects import subject_of
from tests.transactions.judge_mutants import OTHERS as OF_TRANSACTIONS

# --- snapshots (Raft §7) ---------------------------------------------------------------------------------------


class ForgetsSessions(Snapshots):
    def make_snapshot(self, index: Index) -> Snapshot:
        made = super().make_snapshot(index)
        return Snapshot(made.last_index, made.last_term, made.machine_state, (), made.servers)


class CarriesItsOwnTerm(Snapshots):
    def make_snapshot(self, index: Index) -> Snapshot:
        made = super().make_snapshot(index)
        return Snapshot(index, self.current_term, made.machine_state, made.sessions, made.servers)


class ForgetsTheConfiguration(Membership):
    def servers_at(self, index: Index) -> tuple[NodeId, ...]:
        return (self.id, *self.peers)


class SnapshotsTheLatestConfiguration(Membership):
    def servers_at(self, index: Index) -> tuple[NodeId, ...]:
        return self.servers()


class DropsTheLongerLog(Snapshots):
    def install(self, snapshot: Snapshot) -> None:
        self.log = Log((), snapshot.last_index, snapshot.last_term)
        super().install(snapshot)


class InstallsOlderOnes(Snapshots):
    def on_install_snapshot(self, sender: NodeId, request: InstallSnapshot) -> None:
        self.step_down_if_behind(request.term)
        if request.term < self.current_term:
            return self.send_after_sync(sender, SnapshotReply(self.current_term))
        self.follow(sender)
        self.install(request.snapshot)
        return self.send_after_sync(sender, SnapshotReply(self.current_term, request.snapshot.last_index))


class RestartsWithoutItsSnapshot(Snapshots):
    def restore(self) -> None:
        self.machine_state = self.machine.initial()
        self.last_applied = self.commit_index = self.log.base_index


class AcknowledgesMoreThanTheSnapshot(Snapshots):
    def on_install_snapshot(self, sender: NodeId, request: InstallSnapshot) -> None:
        super().on_install_snapshot(sender, request)
        if request.term == self.current_term:
            self.send_after_sync(sender, SnapshotReply(self.current_term, self.log.last_index + 1))


# --- match indexes ---------------------------------------------------------------------------------------------


@dataclass
class MatchesOfTheLastReign(Raft):
    last: tuple[tuple[NodeId, Index], ...] = ()

    def acknowledge(self, server: NodeId, index: Index) -> None:
        super().acknowledge(server, index)
        self.last = tuple(sorted(self.match_index.items()))

    def begin_term(self) -> None:
        self.match_index |= dict(self.last)
        super().begin_term()


class CountsTheRemoved(Membership):
    def track(self, servers: tuple[NodeId, ...]) -> None:
        kept = dict(self.match_index)
        super().track(servers)
        self.match_index = {**kept, **self.match_index}

    def is_replicated(self, index: Index) -> bool:
        holders = [server for server, match in self.match_index.items() if match >= index]
        return 2 * (1 + len(holders)) > len(self.servers())


# --- reads (§8) ------------------------------------------------------------------------------------------------


class OneRoundForAll(Raft):
    def begin_round(self) -> int:
        self.read_round = 1
        return 1


class ConfirmedByTheRoundBefore(Raft):
    def is_confirmed(self, read: Read) -> bool:
        loyal = [server for server, heard in self.heard_round.items() if heard >= read.round - 1]
        return self.has_majority((self.id, *loyal))


class NeverBeginsARound(Raft):
    def begin_round(self) -> int:
        return self.read_round + 1


class NoMarginForDrift(LeaderLease):
    def lease_ms(self) -> float:
        return self.election_timeout_ms[0]


class LeaseFromTheAnswer(LeaderLease):
    def hear_round(self, server: NodeId, number: int) -> None:
        self.round_began_ms = dict.fromkeys(self.round_began_ms, self.now_ms)
        super().hear_round(server, number)


class LeaseForEver(LeaderLease):
    def has_lease(self) -> bool:
        return self.lease_until_ms > 0


# --- replication -----------------------------------------------------------------------------------------------


class CommitIndexFalls(Raft):
    def learn_commit_index(self, leader_commit: Index, last_new: Index) -> None:
        self.commit_index = min(leader_commit, last_new)
        self.apply_committed()


# --- Pre-Vote --------------------------------------------------------------------------------------------------


class LeaderGrants(PreVote):
    def may_grant_pre_vote(self, request: RequestPreVote) -> bool:
        up_to_date = self.is_up_to_date(request.last_log_index, request.last_log_term)
        return request.term > self.current_term and up_to_date


# --- answers that leave before the disk has what they say ------------------------------------------------------


class RaftBeforeSync(Raft):
    def send_after_sync(self, to: NodeId, message: Any) -> None:
        self.send(to, message)


class MultiPaxosBeforeSync(MultiPaxos):
    def answer(self, to: NodeId, message: Any) -> None:
        self.send(to, message)


class PrimaryBackupBeforeSync(PrimaryBackup):
    def on_forward(self, sender: NodeId, message: Forward) -> None:
        super().on_forward(sender, message)
        for effect in [one for one in self.effects if isinstance(one, Send)]:
            self.effects.remove(effect)
            self.send(effect.to, effect.message)


# --- Paxos -----------------------------------------------------------------------------------------------------


class NackIsAPromise(Paxos):
    def on_nack(self, sender: NodeId, message: PaxosNack) -> None:
        self.on_promise(sender, PaxosPromise(message.ballot))


# --- Multi-Paxos (§3) ------------------------------------------------------------------------------------------


class TakesTheFirstReportOfASlot(MultiPaxos):
    def choose_value(self, slot: Slot, promises: Mapping[NodeId, Promise]) -> ClientRequest:
        reports = [proposal for promise in promises.values() for number, proposal in promise.accepted if number == slot]
        return reports[0].request if reports else self.fill_hole(slot)


class NumbersSlotsFromItsLog(MultiPaxos):
    def first_free_slot(self, promises: Mapping[NodeId, Promise]) -> Slot:
        return len(self.log) + 1


class CountsOldPromisesForAllSlots(MultiPaxos):
    def is_awaited(self, message: Promise) -> bool:
        return self.role.value == "candidate"


OTHERS = [
    (CountsOldPromisesForAllSlots, "stale promises"),
    (TakesTheFirstReportOfASlot, "three ballots"), (NumbersSlotsFromItsLog, "refused"),
    (ForgetsSessions, "snapshots under faults"), (CarriesItsOwnTerm, "snapshot and crash"),
    (ForgetsTheConfiguration, "changes under faults"), (SnapshotsTheLatestConfiguration, "changes under faults"),
    (DropsTheLongerLog, "snapshot of less"), (InstallsOlderOnes, "late snapshot"),
    (RestartsWithoutItsSnapshot, "snapshot and crash"), (AcknowledgesMoreThanTheSnapshot, "snapshots under faults"),
    (MatchesOfTheLastReign, "second reign, answers heard"), (CountsTheRemoved, "changes under faults"),
    (OneRoundForAll, "stale reads"), (ConfirmedByTheRoundBefore, "stale reads"), (NeverBeginsARound, "liveness"),
    (NoMarginForDrift, "leases on bad clocks"), (LeaseFromTheAnswer, "leases on bad clocks"),
    (LeaseForEver, "leases on bad clocks"), (CommitIndexFalls, "duplicates"), (LeaderGrants, "comes back"),
    (NackIsAPromise, "refused"), (RaftBeforeSync, "slow disks"), (MultiPaxosBeforeSync, "slow disks"),
    (PrimaryBackupBeforeSync, "slow disks"),
]  # fmt: skip
"""Each with the search that finds it soonest."""

SOON = [IgnoresLogs, ForgetsItsPromise, LeavesOutTheLearnt, AnswersAtOnce]
"""One of each protocol that the judge kills in its first searches."""


def name_of(node_class: type[Any]) -> str:
    return getattr(node_class, "__name__", "")


@pytest.mark.parametrize(("node_class", "killer"), [*OTHERS, *OF_TRANSACTIONS], ids=name_of)
def test_each_mutant_meets_its_killer(node_class: type[Any], killer: str) -> None:
    outcome = subject_of(node_class).search(killer)(node_class)
    assert outcome.failure, str(outcome)
    assert "no handler fails" not in outcome.invariant


@pytest.mark.parametrize("node_class", SOON, ids=name_of)
def test_the_judge_ends_with_the_first_search_that_finds_something(node_class: type[Any]) -> None:
    found = judge(node_class)
    assert found.status == "failed", str(found)
    assert [bool(one.failure) for one in found.outcomes] == [False] * (len(found.outcomes) - 1) + [True]
