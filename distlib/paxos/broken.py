"""Broken on purpose: single-decree Paxos with one rule taken out, each a subclass that overrides exactly one method.
Several need three ballots to show: with two, they pass for correct."""

from __future__ import annotations

from typing import Any

from distlib.core.mutant import LIVENESS, equivalent, mutant, seen_in
from distlib.core.node import NodeId
from distlib.paxos.invariants import Agreement, MonotonicPromise
from distlib.paxos.message import NO_BALLOT, Accepted, Ballot, Nack, Promise, Report, Value
from distlib.paxos.paxos import Paxos, Phase, Reports

# --- proposer (§2.2) ------------------------------------------------------------------------------------------


@mutant("Propose the value of the highest ballot reported.", "§2.2, P2c", Agreement, "after a choice")
class ProposesItsOwnValue(Paxos):
    """Proposes what it wants, whatever the promises report."""

    def choose_value(self, promises: Reports) -> Value | None:
        return self.wanted


@mutant("Propose the value of the highest ballot reported.", "§2.2, P2c", Agreement, "three ballots")
class TakesTheLowestBallot(Paxos):
    """Takes over the value of the lowest ballot reported; two ballots are not enough to see the difference."""

    def choose_value(self, promises: Reports) -> Value | None:
        reported = [report for report in promises if report.value is not None]
        return min(reported, key=lambda report: report.ballot).value if reported else self.wanted


@mutant("Propose the value of the highest ballot reported.", "§2.2, P2c", Agreement, "three ballots")
class TakesTheFirstReport(Paxos):
    """Takes over any value that was reported: that of the first acceptor in the list."""

    def choose_value(self, promises: Reports) -> Value | None:
        return next((report.value for report in promises if report.value is not None), self.wanted)


@mutant("Phase 2 begins when a majority has promised.", "§2.2, phase 2a", Agreement, "after a choice")
class HurriesToPhase2(Paxos):
    """Goes on to phase 2 with the first promise."""

    def is_phase1_quorum(self, promises: Reports) -> bool:
        return len(promises) >= 1


@seen_in("MyPaxos: stale answers to Prepare were counted", "luohaha/MyPaxos/issues/18")
@mutant("Only promises for the present ballot count.", "§2.2, phase 2a", Agreement, "random walks")
class CountsOldPromises(Paxos):
    """Counts promises that were made for an earlier ballot of its own."""

    def is_awaited(self, message: Promise) -> bool:
        return self.phase is Phase.PREPARING


@seen_in("booth: a learner's votes added up beyond the acceptors", "jjzhang/booth/pull/47")
@mutant("A majority of acceptors, not of answers.", "§2.2", Agreement, "random walks")
class CountsRepeats(Paxos):
    """Counts every answer, also the second one of the same acceptor."""

    def counted(self, reports: Reports, report: Report) -> Reports:
        return tuple(sorted((*reports, report), key=lambda one: one.acceptor))


@mutant("Proposers draw their numbers from disjoint sets.", "§2.5", Agreement, "first ballots")
class SharesBallots(Paxos):
    """Numbers its ballots 1, 2, 3, … as everybody else does."""

    def next_ballot(self) -> Ballot:
        return Ballot(max(self.ballot, self.highest_seen).round + 1, "")


@seen_in(
    "phxpaxos: asked about, and shown to be safe, because there the acceptor remembers", "Tencent/phxpaxos/issues/145"
)
@mutant("A proposer remembers its highest ballot on stable storage.", "§2.5", Agreement, "second life")
class ForgetsItsBallot(Paxos):
    """Keeps the number of its last ballot in memory only: after a crash it uses it again, for another value."""

    def start(self) -> None:
        self.ballot = NO_BALLOT
        super().start()


# --- acceptor (§2.2, §2.5) --------------------------------------------------------------------------------------


@mutant("A promise reports what was accepted.", "§2.2, phase 1b", Agreement, "after a choice")
class ReportsNothing(Paxos):
    """Promises without a word on what it has accepted."""

    def report(self, ballot: Ballot) -> Promise:
        return Promise(ballot)


@mutant("A promise reports the ballot at which the value was accepted.", "§2.2, phase 1b", Agreement, "three ballots")
class ReportsItsPromise(Paxos):
    """Reports the accepted value under the ballot that it has just promised, not under the one it accepted."""

    def report(self, ballot: Ballot) -> Promise:
        return Promise(ballot) if self.accepted_value is None else Promise(ballot, ballot, self.accepted_value)


@mutant("Accept nothing below the promise.", "§2.2, P1a", Agreement, "three ballots, none chosen")
class AcceptsAnything(Paxos):
    """Accepts proposals below its promise."""

    def may_accept(self, ballot: Ballot) -> bool:
        return True


@mutant("Promise nothing below the promise.", "§2.2, phase 1b", MonotonicPromise, "two ballots")
class PromisesAnything(Paxos):
    """Promises a ballot although it has promised a higher one, and so takes the higher promise back."""

    def may_promise(self, ballot: Ballot) -> bool:
        return True


@mutant("A promise binds.", "§2.2, P1a", Agreement, "three ballots, none chosen")
class PromisesNothing(Paxos):
    """Answers as if it promised, and remembers nothing of it."""

    def make_promise(self, ballot: Ballot) -> None:
        """Keeps nothing of what it promises."""


@seen_in("Cassandra: suspected and discussed, no bug there", "apache/cassandra/pull/1327")
@mutant("Who accepts a ballot also promises it.", "§2.2, phase 2b", MonotonicPromise, "two ballots")
class AcceptsWithoutPromise(Paxos):
    """Accepts a ballot that it has not promised, and can still promise and accept lower ones afterwards."""

    def promise_by_accepting(self, ballot: Ballot) -> None:
        """Accepting does not raise the promise."""


@mutant("A promise is on stable storage before it is made.", "§2.5", MonotonicPromise, "before a choice")
class ForgetsItsPromise(Paxos):
    """Keeps its promise in memory only."""

    def start(self) -> None:
        self.promised = NO_BALLOT
        super().start()


@mutant("What was accepted is on stable storage before it is told.", "§2.5", Agreement, "after a choice")
class ForgetsItsAcceptance(Paxos):
    """Keeps what it has accepted in memory only."""

    def start(self) -> None:
        self.accepted_ballot, self.accepted_value = NO_BALLOT, None
        super().start()


@mutant("An acceptor records its answer before it sends it.", "§2.5", Agreement, "slow disks")
class AnswersBeforeSync(Paxos):
    """Answers without waiting until its state is on disk."""

    def answer(self, to: NodeId, message: Any) -> None:
        self.send(to, message)


# --- learner (§2.3) ---------------------------------------------------------------------------------------------


@mutant("A value is chosen when a majority accepts one proposal, not one value.", "§2.2", Agreement, "four ballots")
class AddsUpBallots(Paxos):
    """Adds up the acceptances of a value over all ballots."""

    def supporters(self, ballot: Ballot, value: Value | None) -> Reports:
        return tuple([vote for vote in self.votes if vote.value == value])


@mutant("A value is chosen when a majority has accepted it.", "§2.1, §2.3", Agreement, "three ballots, none chosen")
class BelievesOneAcceptor(Paxos):
    """Takes a value for chosen when one acceptor has accepted it."""

    def is_phase2_quorum(self, votes: Reports) -> bool:
        return len(votes) >= 1


@equivalent(
    "A learner that knows the value need not listen any more.", "§2.3",
    "only one value is ever chosen, so learning again changes nothing",
)  # fmt: skip
class TakesBackItsDecision(Paxos):
    """Learns again: a later decision replaces an earlier one."""

    def on_accepted(self, sender: NodeId, message: Accepted) -> None:
        if sender in self.acceptors:
            so_far = self.supporters(message.ballot, message.value)
            now = self.counted(so_far, Report(sender, message.ballot, message.value))
            self.votes = (*[vote for vote in self.votes if vote not in so_far], *now)
            if self.is_phase2_quorum(now):
                self.learn(message.value)


# --- liveness (§2.4) --------------------------------------------------------------------------------------------


@mutant("Proposers leave the field to each other, for random times.", "§2.4", LIVENESS, "liveness")
class NeverPauses(Paxos):
    """Begins a higher ballot at once when it meets one: two of a kind overtake each other for ever."""

    def back_off(self) -> None:
        self.begin_ballot()


@mutant("Messages that may be lost are repeated.", "§2.4, §2.1 (messages can be lost)", LIVENESS, "lossy network")
class AsksOnce(Paxos):
    """Never asks again: a lost message is the end."""

    def on_retransmit_timeout(self) -> None:
        """The timer fires, and nothing happens."""


@seen_in("multi-paxos-example: stuck between promises and refusals", "cocagne/multi-paxos-example/issues/4")
@mutant("A proposer that is told of a higher ballot begins a higher one.", "§2.4, §2.5", LIVENESS, "left behind")
class IgnoresRefusals(Paxos):
    """Goes on asking with a ballot that is too low, and never begins a higher one."""

    def on_nack(self, sender: NodeId, message: Nack) -> None:
        """The refusal is thrown away."""
