"""Commit in three phases: with quorums, or, where silence is taken for death, without blocking.

Skeen, *Nonblocking Commit Protocols* (1981) and *A Quorum-Based Commit Protocol* (1982); Keidar & Dolev, *Increasing
the Resilience of Distributed and Replicated Database Systems* (1998; below: KD), who number the attempts to end a
transaction, so that a quorum always can. Between the votes and the decision there is one more phase: participants lean
towards the decision first. So nobody has committed while another one that is up does not know that all voted yes, and
those who are left can end the transaction without its coordinator: ``QuorumCommit`` if they are a majority,
``ThreePhaseCommit`` whoever has answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from distlib.core.mutant import mutant
from distlib.core.node import NodeId, setting, volatile
from distlib.paxos.message import Ballot
from distlib.transactions.invariants import Atomicity
from distlib.transactions.message import Decide, Finished, Leaning, PreDecide, Record, StageReport, StageRequest
from distlib.transactions.patience import TriesAgain


@dataclass(frozen=True, slots=True)
class Poll:
    """An attempt to end a transaction: its ballot, who is thought to be up, what they have answered, and, in its second
    part, towards what they shall lean."""

    ballot: Ballot
    voters: tuple[NodeId, ...]
    up: tuple[NodeId, ...]
    reports: tuple[tuple[NodeId, StageReport], ...] = ()
    leaning: bool | None = None

    @property
    def heard(self) -> tuple[NodeId, ...]:
        """Who has answered."""
        return tuple([node for node, _ in self.reports])


@dataclass
class QuorumCommit(TriesAgain):
    """A transaction is decided when a majority of its voters leans that way at one ballot. Whoever has waited
    ``inquire_ms`` in doubt begins a ballot of its own: it asks all voters where they lean, and lets them lean the same
    way, or towards an abort. After ``gather_ms`` it goes on with those who have answered, if they are a majority."""

    ENDS: ClassVar[Mapping[type, tuple[type, ...]]] = {**TriesAgain.ENDS, Leaning: (Finished, Leaning)}

    gather_ms: float = setting(25.0)

    polls: dict[str, Poll] = volatile(dict)
    highest: int = volatile(0)  # the highest round that it has met

    # --- an attempt to decide: by the coordinator, or by whoever is in doubt --------------------------------

    def on_all_yes(self, transaction: str) -> None:
        """Skeen 1981: not the decision yet; first they all shall know that all have voted yes. The coordinator's
        first ballot is the lowest, so there is nothing to ask before."""
        voters = self.voters(self.rounds[transaction].work)
        if not voters:
            self.decide(transaction, True)
        elif transaction not in self.polls:
            self.cancel_timer("vote", transaction)
            self.lean(transaction, Poll(Ballot(0, self.id), voters, voters), True)

    def on_inquire_timeout(self, transaction: str) -> None:
        """In doubt for long: try to end it (Skeen 1981: the termination protocol)."""
        if (branch := self.branches.get(transaction)) is not None:
            self.begin_poll(transaction, branch.voters, branch.coordinator)
            self.wait_longer("inquire", self.inquire_ms, transaction)

    def on_vote_timeout(self, transaction: str) -> None:
        """Before all have voted yes, the coordinator may abort; after that, it is no better than others."""
        one = self.rounds.get(transaction)
        if one is None or one.commit is not None or not self.may_commit(one):
            super().on_vote_timeout(transaction)
        elif transaction not in self.polls:
            self.begin_poll(transaction, self.voters(one.work), self.id)

    def begin_poll(self, transaction: str, voters: tuple[NodeId, ...], coordinator: NodeId) -> None:
        """A ballot of this node's own, higher than all that it has met, and on disk, lest it use that again after a
        crash, for the other decision. What was tried in vain is tried with more patience."""
        self.highest += 1
        self.tried[transaction] = self.tried.get(transaction, 0) + 1
        ballot, branch = Ballot(self.highest, self.id), self.branches.get(transaction)
        if branch is not None and branch.prepared:
            self.stand(transaction, replace(branch.leaning or Leaning(transaction), ballot=ballot))
        self.polls[transaction] = Poll(ballot, voters, voters)
        for node in dict.fromkeys((*voters, coordinator)):
            self.send_after_sync(node, StageRequest(transaction, voters, ballot))
        self.gather(transaction)

    def gather(self, transaction: str) -> None:
        """Wait for answers."""
        self.set_timer("gather", self.gather_ms * self.times(transaction), key=transaction)

    def on_stage_report(self, sender: NodeId, message: StageReport) -> None:
        """One more answer; a higher ballot than the own one is another's turn."""
        self.highest = max(self.highest, message.ballot.round)
        poll = self.polls.get(message.transaction)
        if poll is None or sender not in poll.voters or message.ballot != poll.ballot:
            return
        if poll.leaning is not None and message.since != poll.ballot:
            return
        reports = tuple(sorted({**dict(poll.reports), sender: message}.items(), key=lambda pair: pair[0]))
        self.polls[message.transaction] = replace(poll, reports=reports)
        self.go_on(message.transaction)

    def on_gather_timeout(self, transaction: str) -> None:
        """Go on with those who have answered: the others are silent, which may mean that they are dead."""
        if (poll := self.polls.get(transaction)) is None:
            return
        self.polls[transaction] = replace(poll, up=poll.heard)
        if not self.go_on(transaction):
            del self.polls[transaction]
            if transaction in self.rounds:
                self.start_timer("vote", self.vote_ms, transaction)

    def go_on(self, transaction: str) -> bool:
        """Whether enough have answered: then they shall lean, and when enough do, that is the decision."""
        poll = self.polls[transaction]
        if not poll.heard or not self.are_enough(poll):
            return False
        if poll.leaning is None:
            self.lean(transaction, poll, self.choose(poll))
        else:
            self.end(transaction, poll.leaning)
        return True

    def choose(self, poll: Poll) -> bool:
        """KD: the leaning of the highest ballot that is reported; where there is none, nobody has committed."""
        leaning = [report for _, report in poll.reports if report.leaning is not None]
        return bool(leaning and max(leaning, key=lambda report: report.since).leaning)

    def are_enough(self, poll: Poll) -> bool:
        """KD: a majority of all voters, the silent ones counted, too. Any two majorities have one in common."""
        return len(poll.heard) > len(poll.voters) // 2

    def lean(self, transaction: str, poll: Poll, commit: bool) -> None:
        """Ask all to lean towards ``commit``."""
        self.polls[transaction] = replace(poll, leaning=commit, reports=())
        for node in poll.up:
            self.send_after_sync(node, PreDecide(transaction, commit, poll.ballot))
        self.gather(transaction)

    def end(self, transaction: str, commit: bool) -> None:
        """The decision: of the coordinator, or in its place."""
        poll = self.polls.pop(transaction)
        self.cancel_timer("gather", transaction)
        if transaction in self.rounds:
            self.decide(transaction, commit)
        else:
            for node in poll.voters:
                self.send(node, Decide(transaction, commit, False))

    def log_decision(self, transaction: str, commit: bool, receivers: tuple[NodeId, ...]) -> None:
        """A majority of the voters has it on disk already."""

    def needs_acknowledgement(self, commit: bool) -> bool:
        """Those in doubt ask each other: nobody has to keep the decision for them."""
        return False

    # --- a participant ----------------------------------------------------------------------------------------

    def on_stage_request(self, sender: NodeId, message: StageRequest) -> None:
        """Answer, and none of a lower ballot from now on. Who should vote and has not, aborts; a coordinator without a
        vote, that has not decided, has nothing to say, unless all have only read and it has never heard of that."""
        transaction, branch = message.transaction, self.branches.get(message.transaction)
        if branch is not None and branch.prepared:
            now = branch.leaning or Leaning(transaction)
            if message.ballot > now.ballot:
                now = self.stand(transaction, replace(now, ballot=message.ballot))
            self.send_after_sync(sender, StageReport(transaction, now.ballot, now.commit, now.since))
        elif self.knows(transaction):
            self.send_after_sync(sender, Decide(transaction, (transaction, True) in self.outcomes, False))
        elif self.id in message.voters or not (message.voters or transaction in self.rounds):
            self.send_after_sync(sender, Decide(transaction, self.abort_for_good(transaction), False))

    def on_pre_decide(self, sender: NodeId, message: PreDecide) -> None:
        """Lean that way, unless it has answered a higher ballot since (KD)."""
        transaction, branch = message.transaction, self.branches.get(message.transaction)
        if branch is not None and branch.prepared:
            now = branch.leaning or Leaning(transaction)
            if self.may_lean(now, message.ballot):
                now = self.stand(transaction, Leaning(transaction, message.ballot, message.commit, message.ballot))
            self.send_after_sync(sender, StageReport(transaction, now.ballot, now.commit, now.since))
        elif self.knows(transaction):
            self.send_after_sync(sender, Decide(transaction, (transaction, True) in self.outcomes, False))

    def may_lean(self, now: Leaning, ballot: Ballot) -> bool:
        """KD: not after it has answered a higher ballot, whose asker counts on what it was told."""
        return ballot >= now.ballot

    def stand(self, transaction: str, leaning: Leaning) -> Leaning:
        """On disk before it is told."""
        self.force(leaning)
        self.branches[transaction] = replace(self.branches[transaction], leaning=leaning)
        self.highest = max(self.highest, leaning.ballot.round)
        return leaning

    def on_decide(self, sender: NodeId, message: Decide) -> None:
        """Somebody has ended it: a coordinator that has not decided yet, has now."""
        if self.polls.pop(message.transaction, None) is not None:
            self.cancel_timer("gather", message.transaction)
        one = self.rounds.get(message.transaction)
        if one is not None and one.commit is None:
            self.decide(message.transaction, message.commit)
        if message.transaction in self.branches or not message.transaction.startswith(f"{self.id}."):
            super().on_decide(sender, message)

    def is_over(self, record: Record, records: tuple[Record, ...]) -> bool:
        """Of several leanings, the last one counts."""
        if isinstance(record, Leaning):
            same = [
                one for one in records if type(one) in (Leaning, Finished) and one.transaction == record.transaction
            ]
            return same[-1] is not record
        return super().is_over(record, records)

    def recover(self, record: Record) -> None:
        """Also where it leans."""
        if isinstance(record, Leaning):
            branch = self.branches[record.transaction]
            self.branches[record.transaction] = replace(branch, leaning=record)
            self.highest = max(self.highest, record.ballot.round)
        else:
            super().recover(record)


@mutant(
    "Silence is no proof of death: decide only with a majority.", "Keidar & Dolev 1998; Skeen 1982", Atomicity,
    "partition", "Where the network delivers in time and nodes only crash, it is safe and never blocks (Skeen 1981).",
)  # fmt: skip
class ThreePhaseCommit(QuorumCommit):
    """Three-phase commit (Skeen 1981): whoever answers, ends the transaction, however few they are."""

    def are_enough(self, poll: Poll) -> bool:
        return set(poll.heard) >= set(poll.up)
