"""Broken on purpose: quorum commit with one rule taken out. ``ThreePhaseCommit`` is one of them."""

from __future__ import annotations

from dataclasses import replace

from distlib.core.mutant import mutant
from distlib.transactions.invariants import Atomicity
from distlib.transactions.message import Leaning
from distlib.transactions.quorum_commit import Poll, QuorumCommit, ThreePhaseCommit

KD = "Keidar & Dolev 1998, §5"

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


@mutant("First all lean, then one decides.", "Skeen 1981, §5", Atomicity, "coordinator crashes")
class DecidesOnTheVotes(QuorumCommit):
    """Decides as in two phases, and lets those in doubt end the transaction as in three."""

    def on_all_yes(self, transaction: str) -> None:
        self.decide(transaction, True)
