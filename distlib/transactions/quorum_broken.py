"""Broken on purpose: quorum commit with one rule taken out. ``ThreePhaseCommit`` is one of them."""

from __future__ import annotations

from dataclasses import replace

from distlib.core.mutant import mutant
from distlib.core.node import NodeId
from distlib.transactions.invariants import Atomicity
from distlib.transactions.message import Finished, Leaning, Record, StageReport, StageRequest
from distlib.transactions.quorum_commit import Poll, QuorumCommit, ThreePhaseCommit

KD = "Keidar & Dolev 1998"

__all__ = ["ThreePhaseCommit"]


@mutant("Any two majorities have a voter in common.", KD, Atomicity, "two voters")
class TakesHalfForAMajority(QuorumCommit):
    """Lets half of the voters decide."""

    def are_enough(self, poll: Poll) -> bool:
        return 2 * len(poll.heard) >= len(poll.voters)


@mutant("Who may have been followed, is followed.", KD, Atomicity, "coordinator crashes")
class LeansToAbort(QuorumCommit):
    """Lets all lean towards an abort, whatever they report."""

    def choose(self, poll: Poll) -> bool:
        return False


@mutant("Of several leanings, that of the highest ballot counts.", KD, Atomicity, "three ballots")
class TakesAnyLeaning(QuorumCommit):
    """Goes for a commit if anybody leans that way, though others have leaned towards an abort later."""

    def choose(self, poll: Poll) -> bool:
        return any(report.leaning for _, report in poll.reports)


@mutant("Who has answered a higher ballot, does not follow a lower one.", KD, Atomicity, "two ballots")
class FollowsOldBallots(QuorumCommit):
    """Leans the way that it is told last."""

    def may_lean(self, now: Leaning, ballot: object) -> bool:
        return True


@mutant("Where it leans is on disk before it is told.", KD, Atomicity, "participants crash")
class LeansFromMemory(QuorumCommit):
    """Keeps in memory alone where it leans."""

    def stand(self, transaction: str, leaning: Leaning) -> Leaning:
        self.branches[transaction] = replace(self.branches[transaction], leaning=leaning)
        return leaning


@mutant("First all lean, then one decides.", "Skeen 1981", Atomicity, "coordinator crashes")
class DecidesOnTheVotes(QuorumCommit):
    """Decides as in two phases, and lets those in doubt end the transaction as in three."""

    def on_all_yes(self, transaction: str) -> None:
        self.decide(transaction, True)


@mutant("Decided is what a majority leans towards.", KD, Atomicity, "a lone voter")
class AbortsWithOneVoter(QuorumCommit):
    """Takes an abort for decided when the first voter leans that way."""

    def are_enough(self, poll: Poll) -> bool:
        return super().are_enough(poll) or (poll.leaning is False and bool(poll.heard))


@mutant("Who has asked in a higher ballot counts on the answer.", KD, Atomicity, "a lone voter")
class AnswersAndForgets(QuorumCommit):
    """Answers whoever asks where it leans, and does not remember that it was asked."""

    def on_stage_request(self, sender: NodeId, message: StageRequest) -> None:
        branch = self.branches.get(message.transaction)
        if branch is not None and branch.prepared:
            now = branch.leaning or Leaning(message.transaction)
            self.send_after_sync(sender, StageReport(message.transaction, message.ballot, now.commit, now.since))
        else:
            super().on_stage_request(sender, message)


@mutant("The leaning of the highest ballot counts, however few report it.", KD, Atomicity, "a lone voter")
class GoesWithTheMost(QuorumCommit):
    """Goes the way that most of the answers lean."""

    def choose(self, poll: Poll) -> bool:
        leanings = [report.leaning for _, report in poll.reports]
        return leanings.count(True) > leanings.count(False)


@mutant("To lean is to have done so at this ballot.", KD, Atomicity, "a late answer")
class TakesAnswersForLeanings(QuorumCommit):
    """Counts whoever answers at its ballot, also who has only said where it leant before."""

    def on_stage_report(self, sender: NodeId, message: StageReport) -> None:
        poll = self.polls.get(message.transaction)
        if poll is not None and sender in poll.voters and message.ballot == poll.ballot:
            reports = tuple(sorted({**dict(poll.reports), sender: message}.items(), key=lambda pair: pair[0]))
            self.polls[message.transaction] = replace(poll, reports=reports)
            self.go_on(message.transaction)


@mutant("Who has not voted, and says that it aborts, never votes yes.", "Skeen 1981", Atomicity, "not asked yet")
class AbortsForTheMoment(QuorumCommit):
    """Says that it aborts, as it has not been asked to vote, and votes yes when it is."""

    def abort_for_good(self, transaction: str) -> bool:
        return False


@mutant("An attempt has a higher ballot than all before it.", KD, Atomicity, "a lone voter")
class TriesWithTheSameBallot(QuorumCommit):
    """Begins each attempt in the first round."""

    def begin_poll(self, transaction: str, voters: tuple[NodeId, ...], coordinator: NodeId) -> None:
        self.highest = 0
        super().begin_poll(transaction, voters, coordinator)


@mutant("After a crash, the last leaning counts.", KD, Atomicity, "three ballots")
class RecoversItsFirstLeaning(QuorumCommit):
    """Keeps in its log where it leant first."""

    def is_over(self, record: Record, records: tuple[Record, ...]) -> bool:
        if isinstance(record, Leaning):
            same = [
                one for one in records if type(one) in (Leaning, Finished) and one.transaction == record.transaction
            ]
            return same[0] is not record or isinstance(same[-1], Finished)
        return super().is_over(record, records)
