"""Errors that a reader might make with a transaction, none of which the museum shows. In
``tests/workbench/test_judge_mutants.py`` each meets its own killer; ``python -m tests.judged`` puts them before the
judge as a reader calls it."""

from __future__ import annotations

from dataclasses import replace

from distlib.paxos.message import Accept, Accepted, Ballot, Promise, Propose
from distlib.transactions.bank import Read, applied, refusal, undone
from distlib.transactions.deadlocks import DetectsDeadlocks, WoundWait
from distlib.transactions.flexible.at_mode import ATMode
from distlib.transactions.flexible.coordinator import PhaseTwoDone
from distlib.transactions.flexible.message import Ended as SagaEnded
from distlib.transactions.flexible.messaging import BestEffort, Outbox, TransactionalMessage, Verdict
from distlib.transactions.flexible.saga import ChoreographedSaga, Progress, Saga
from distlib.transactions.flexible.saga_message import Compensated, Heard, Release
from distlib.transactions.flexible.service import nodes_of
from distlib.transactions.flexible.tcc import CANCEL, TCC, TRY
from distlib.transactions.message import (
    Answer,
    Bundle,
    Collecting,
    Decide,
    Decided,
    Ended,
    Finished,
    Inquire,
    Leaning,
    Prepared,
    StageReport,
    Waiter,
    Wound,
)
from distlib.transactions.paxos_commit import PaxosCommit, transaction_leader
from distlib.transactions.presumptions import PresumedAbort, PresumedCommit
from distlib.transactions.quorum_commit import QuorumCommit
from distlib.transactions.tree import TreeCommit
from distlib.transactions.two_phase import Branch, TwoPhaseCommit, in_conflict

# --- two-phase commit ------------------------------------------------------------------------------------------------


class CountsMessages(TwoPhaseCommit):
    def counted(self, one, sender, message):
        return (*one.votes, (sender, message.answer, message.reads))

    def may_commit(self, one):
        return len(one.votes) >= len(one.participants)


class LateYesFlips(TwoPhaseCommit):
    def on_vote_timeout(self, transaction):
        one = self.rounds.get(transaction)
        if one and one.commit is None:
            for node in one.with_answer(Answer.YES):
                self.send(node, Decide(transaction, False, False))
            self.start_timer("vote", self.vote_ms, transaction)


class GivesUpResending(TwoPhaseCommit):
    def on_resend_timeout(self, transaction):
        if transaction in self.rounds:
            self.announce(transaction, self.rounds[transaction].waiting)
            self.write(Ended(transaction))
            self.forget(transaction)


class DecidesAllOfThatCoordinator(TwoPhaseCommit):
    def on_decide(self, sender, message):
        for other, branch in list(self.branches.items()):
            if branch.prepared and branch.coordinator == sender and other != message.transaction:
                self.log_outcome(other, message.commit)
                self.let_go(other)
        super().on_decide(sender, message)


class AddsCommute(TwoPhaseCommit):
    def blockers(self, transaction):
        mine = self.branches[transaction].operations
        return [
            one
            for one in super().blockers(transaction)
            if any(isinstance(op, Read) for op in (*mine, *self.branches[one].operations))
        ]


class ReadersWaitForNobody(TwoPhaseCommit):
    def blockers(self, transaction):
        if all(isinstance(op, Read) for op in self.branches[transaction].operations):
            return []
        return super().blockers(transaction)


class TellsAbortAndGoesOn(TwoPhaseCommit):
    def on_vote_timeout(self, transaction):
        one = self.rounds.get(transaction)
        if one and one.commit is None:
            self.tell(transaction, one, False)


class PreparedOverWithDecided(TwoPhaseCommit):
    ENDS = {**TwoPhaseCommit.ENDS, Prepared: (Finished, Decided)}


class AnyFinishedEndsAllPrepared(TwoPhaseCommit):
    def is_over(self, record, records):
        return any(type(one) in self.ENDS[type(record)] for one in records)


class ReadsInitial(TwoPhaseCommit):
    def reads(self, operations):
        return tuple(
            (f"{self.id}.{one.account}", dict(self.initial)[one.account]) for one in operations if isinstance(one, Read)
        )


class ReadsTheDisk(TwoPhaseCommit):
    def reads(self, operations):
        return tuple(
            (f"{self.id}.{one.account}", dict(self.disk).get(one.account, 0))
            for one in operations
            if isinstance(one, Read)
        )


class NoVoteTimer(TwoPhaseCommit):
    def begin(self, transaction, one):
        super().begin(transaction, one)
        self.cancel_timer("vote", transaction)


class InquiresOnce(TwoPhaseCommit):
    def on_inquire_timeout(self, transaction):
        if transaction in self.branches:
            for node in self.whom_to_ask(self.branches[transaction]):
                self.send(node, Inquire(transaction, self.branches[transaction].coordinator))


class CountsAcks(TwoPhaseCommit):
    def on_acknowledge(self, sender, message):
        one = self.rounds.get(message.transaction)
        if one is None or not one.waiting:
            return
        one = replace(one, waiting=one.waiting[1:])
        self.rounds[message.transaction] = one
        if not one.waiting:
            self.write(Ended(message.transaction))
            self.forget(message.transaction)


class WaitsForThoseBehind(TwoPhaseCommit):
    def blockers(self, transaction):

        return [
            o
            for o, b in self.branches.items()
            if o != transaction and in_conflict(self.branches[transaction].operations, b.operations)
        ]


class RestartsFromTheInitial(TwoPhaseCommit):
    def start(self):
        super().start()
        self.balances = dict(self.initial)


class RefusesLast(TwoPhaseCommit):
    """Looks at the money of the first operation alone."""

    def reason_to_refuse(self, branch):
        return refusal(self.balances, branch.operations[-1:])


class ClientToldOtherReads(TwoPhaseCommit):
    """Tells the client only the first node's."""

    def tell(self, transaction, one, commit):
        super().tell(transaction, replace(one, votes=one.votes[:1]), commit)


class LetsWritersLeave(TwoPhaseCommit):
    def may_leave(self, transaction, branch):
        return (self.read_only_votes and any(isinstance(op, Read) for op in branch.operations)) or (
            self.read_only_votes and len(branch.operations) == 1
        )


class ReadersKeepLocks(TwoPhaseCommit):
    def vote(self, transaction):
        branch = self.branches[transaction]
        if not self.reason_to_refuse(branch) and self.may_leave(transaction, branch):
            self.queue = tuple(o for o in self.queue if o != transaction)
            self.send_vote(transaction, Answer.READ)
        else:
            super().vote(transaction)


class VotesReadAndPrepares(TwoPhaseCommit):
    def vote(self, transaction):
        branch = self.branches[transaction]
        if not self.reason_to_refuse(branch) and self.may_leave(transaction, branch):
            self.queue = tuple(o for o in self.queue if o != transaction)
            self.prepare(transaction)
            self.send_vote(transaction, Answer.READ)
        else:
            super().vote(transaction)


# --- presumptions ----------------------------------------------------------------------------------------------------


class PAForgetsAfterFirstAck(PresumedAbort):
    def on_acknowledge(self, sender, message):
        if message.transaction in self.rounds:
            self.write(Ended(message.transaction))
            self.forget(message.transaction)


class PCIgnoresCollecting(PresumedCommit):
    def recover(self, record):
        if not isinstance(record, Collecting):
            super().recover(record)


class PCCollectsLate(PresumedCommit):
    """The collecting record is written when the first vote comes."""

    def log_begin(self, transaction, one):
        pass

    def counted(self, one, sender, message):
        if not one.votes:
            self.force(Collecting(message.transaction, one.participants))
        return super().counted(one, sender, message)


class PCCollectingOverWithVotes(PresumedCommit):
    ENDS = {**PresumedCommit.ENDS, Collecting: (Ended, Decided, Prepared)}


class PCReadsTheDisk(PresumedCommit):
    def reads(self, operations):
        return tuple(
            (f"{self.id}.{one.account}", applied(dict(self.disk), operations[:at])[one.account])
            for at, one in enumerate(operations)
            if isinstance(one, Read)
        )


# --- locks -----------------------------------------------------------------------------------------------------------


class WrongWayRound(WoundWait):
    def on_blocked(self, transaction, blockers):
        for one in map(self.waiter, blockers):
            if one.older_than(self.waiter(transaction)):
                self.send(one.coordinator, Wound(one.transaction))


class WoundsOnlyTheFirst(WoundWait):
    def on_blocked(self, transaction, blockers):
        for one in map(self.waiter, blockers[:1]):
            if self.waiter(transaction).older_than(one):
                self.send(one.coordinator, Wound(one.transaction))


class ParticipantGivesWayAlone(WoundWait):
    def on_blocked(self, transaction, blockers):
        for one in map(self.waiter, blockers):
            if self.waiter(transaction).older_than(one):
                self.finish(one.transaction, False, forced=True)
                self.let_go(one.transaction)


class StarvesTheOld(WoundWait):
    """Age is when it came to this node."""

    def waiter(self, transaction):
        order = list(self.branches)
        branch = self.branches[transaction]
        return Waiter(float(order.index(transaction)), transaction, branch.coordinator)


class ChainOfTwoIsACircle(DetectsDeadlocks):
    def pass_on(self, search, chain, blockers):
        if len(chain) > 1:
            v = max(chain, key=lambda w: (w.begun_ms, w.transaction))
            self.send(v.coordinator, Wound(v.transaction))
        else:
            super().pass_on(search, chain, blockers)


class OnlyCirclesOfTwo(DetectsDeadlocks):
    def pass_on(self, search, chain, blockers):
        if len(chain) <= 2:
            super().pass_on(search, chain, blockers)


# --- trees -----------------------------------------------------------------------------------------------------------


class ForgetsBelow(TreeCommit):
    def force(self, record):
        TwoPhaseCommit.force(self, record)


class HandsOnCommitsOnly(TreeCommit):
    def on_decide(self, sender, message):
        passed = message.transaction in self.rounds and not self.knows(message.transaction)
        TwoPhaseCommit.on_decide(self, sender, message)
        if passed and message.commit:
            self.decide(message.transaction, True)


class RecoversAlone(TreeCommit):
    def recover(self, record):
        TwoPhaseCommit.recover(self, record)


class MiddleAbortsAloneAfterVoting(TreeCommit):
    """After its own yes, a vote timeout still aborts below and here."""

    def on_all_yes(self, transaction):
        if transaction not in self.parents:
            super().on_all_yes(transaction)
        elif transaction in self.own:
            begun_ms = self.rounds[transaction].begun_ms
            self.admit(transaction, Branch(self.own.pop(transaction), self.parents[transaction], (), begun_ms))


# --- quorum commit ---------------------------------------------------------------------------------------------------


class TakesTheFirstLeaning(QuorumCommit):
    def choose(self, poll):
        return bool(next((r.leaning for _, r in poll.reports if r.leaning is not None), False))


class HighestByItsBallot(QuorumCommit):
    def choose(self, poll):
        leaning = [r for _, r in poll.reports if r.leaning is not None]
        return bool(leaning and max(leaning, key=lambda r: r.ballot).leaning)


class CountsOldReports(QuorumCommit):
    def on_stage_report(self, sender, message):
        self.highest = max(self.highest, message.ballot.round)
        poll = self.polls.get(message.transaction)
        if poll is None or sender not in poll.voters:
            return
        reports = tuple(sorted({**dict(poll.reports), sender: message}.items(), key=lambda p: p[0]))
        self.polls[message.transaction] = replace(poll, reports=reports)
        self.go_on(message.transaction)


class ForgetsWhereItLeans(QuorumCommit):
    def recover(self, record):
        if not isinstance(record, Leaning):
            super().recover(record)


class OnlyHigherBallots(QuorumCommit):
    def may_lean(self, now, ballot):
        return ballot > now.ballot


class UnaskedSaysNothing(QuorumCommit):
    def on_stage_request(self, sender, message):
        if message.transaction in self.branches or self.knows(message.transaction):
            super().on_stage_request(sender, message)


class VotersAreTheUp(QuorumCommit):
    """After the gather timeout, those who are silent are no voters any more."""

    def on_gather_timeout(self, transaction):
        if (poll := self.polls.get(transaction)) is not None:
            self.polls[transaction] = replace(poll, up=poll.heard, voters=poll.heard)
            if not self.go_on(transaction):
                del self.polls[transaction]


class SinceIsTheLastBallot(QuorumCommit):
    """A promise moves ``since`` too."""

    def on_stage_request(self, sender, message):
        t, branch = message.transaction, self.branches.get(message.transaction)
        if branch is not None and branch.prepared:
            now = branch.leaning or Leaning(t)
            if message.ballot > now.ballot:
                now = self.stand(t, replace(now, ballot=message.ballot, since=message.ballot))
            self.send_after_sync(sender, StageReport(t, now.ballot, now.commit, now.since))
        else:
            super().on_stage_request(sender, message)


# --- Paxos Commit ----------------------------------------------------------------------------------------------------


class FirstAcceptorSuffices(PaxosCommit):
    def chosen(self, key):
        found = self.instance(key)
        return found.chosen or (
            found.accepted[1]
            if getattr(found, "accepted", None) and isinstance(found.accepted, tuple)
            else getattr(found, "accepted_value", None)
        )


class AlwaysProposesNo(PaxosCommit):
    """At a higher ballot proposes no whatever was promised."""

    def hear(self, key, sender, message):

        if isinstance(message, Promise):
            message = Promise(message.ballot)
        return super().hear(key, sender, message)


class AcceptsBelowItsPromise(PaxosCommit):
    """An acceptor that has promised more still reports votes of ballot 0."""

    def accept(self, transaction):
        reports = [(p, Accepted(Ballot(0, p), vote)) for p, vote in self.gathered.pop(transaction)]
        for p, vote in [(p, r.value) for p, r in reports]:
            self.hear((transaction, p), p, Accept(Ballot(0, p), vote))
        self.send_after_sync(transaction_leader(transaction, self.coordinator), Bundle(transaction, tuple(reports)))


class LeadsOnlyForItself(PaxosCommit):
    def take_the_lead(self, transaction, electorate):
        super().take_the_lead(transaction, (self.id,) if self.id in electorate else electorate)


class NeverLeads(PaxosCommit):
    def on_inquire_timeout(self, transaction):
        pass


class ProposesYesForItself(PaxosCommit):
    """In doubt, it proposes yes for all, for it has voted yes itself."""

    def propose_no(self, node):
        if node.wanted is None:
            node.on_propose(self.id, Propose(Answer.YES))
        else:
            super().propose_no(node)


# --- sagas -----------------------------------------------------------------------------------------------------------


class AnyAnswerCounts(Saga):
    def is_awaited(self, one, step, back):
        return not one.ended and one.back == back


class ForgetsBackAfterACrash(Saga):
    def recover(self, saga):
        self.sagas[saga] = replace(self.sagas[saga], back=False)
        self.go_on(saga)


class TellsDoneAlways(Saga):
    def finish(self, saga):
        one = self.sagas[saga]
        self.sagas[saga] = replace(one, ended=True, holders=nodes_of(one.work) if self.semantic_locks else ())
        self.output(SagaEnded(saga, True))
        self.release(saga)


class CompensationRefusedIsSkipped(Saga):
    def on_compensate(self, sender, message):
        saga, step = message.saga, message.step
        if not self.is_repeated(saga, step, back=True):
            back = undone(message.operations) if self.was_done(saga, step) else ()
            if not refusal(self.balances, back):
                self.ledger[saga, step, True] = back
                self.change(saga, back, back=True)
        self.send_after_sync(sender, Compensated(saga, step))


class ReleasesBeforeTheEnd(Saga):
    def log(self, saga, one):
        super().log(saga, one)
        if one.back:
            for n in nodes_of(one.work):
                self.send_after_sync(n, Release(saga))


class RefusedIsUndoneToo(Saga):
    def was_done(self, saga, step):
        return (saga, step, False) in self.ledger


class HeardClearsAll(ChoreographedSaga):
    def on_heard(self, sender, message):
        self.events = {k: (None if k[0] == message.saga else v) for k, v in self.events.items()}


class CompensatesAgain(ChoreographedSaga):
    def on_step_failed(self, sender, message):
        saga, step, work = message.saga, message.step, message.work
        back = undone(work[step][1])
        self.ledger[saga, step, True] = back
        self.change(saga, back, back=True)
        self.pass_back(saga, step, work)
        self.send_after_sync(sender, Heard(saga, step, back=True))


class EndsWithoutTheLast(ChoreographedSaga):
    def publish(self, work, event, step, back):
        super().publish(work, event, step, back)
        if not back and step == len(work) - 1:
            self.close(event.saga, Progress(work, event.pivot, done=len(work)))


# --- TCC -------------------------------------------------------------------------------------------------------------


class LateTry(TCC):
    def on_cancel(self, sender, message):
        key = (message.gid, message.branch)
        if (*key, TRY) in self.barrier and self.is_first(key, CANCEL):
            self.freeze(message.operations, -1)
        self.send_after_sync(sender, PhaseTwoDone(*key))


class MostTried(TCC):
    def may_commit(self, one):
        return 2 * one.done > len(one.work)


class AnyAckIsTheFirst(TCC):
    def on_phase_two_done(self, sender, message):
        one = self.transactions[message.gid]
        if one.waiting:
            super().on_phase_two_done(sender, replace(message, branch=one.waiting[0]))


class BarrierInMemory(TCC):
    def start(self):
        self.barrier = {}
        super().start()


class CancelAfterConfirm(TCC):
    def on_patience_timeout(self, gid):
        one = self.transactions[gid]
        if not one.ended:
            self.transactions[gid] = replace(one, commit=False, waiting=self.concerned(one, False))
            self.go_on(gid)


# --- AT mode ---------------------------------------------------------------------------------------------------------


class LocksFreedAtPhaseOne(ATMode):
    def on_phase_one_done(self, sender, message):
        super().on_phase_one_done(sender, message)
        self.release(message.gid)


class ShutsOutWithUndoOnly(ATMode):
    def close(self, key, commit):
        if key in self.undo or commit:
            super().close(key, commit)
        else:
            self.send_after_sync(self.coordinator, PhaseTwoDone(*key))


class UndoGoesWithPhaseOne(ATMode):
    def end_locally(self, key):
        super().end_locally(key)
        self.undo.pop(key, None)


class LocksOnlyInMemoryOfTheBranch(ATMode):
    def start(self):
        self.locks = {}
        super().start()


# --- messages --------------------------------------------------------------------------------------------------------


class ConsumedByThePart(Outbox):
    def is_consumed(self, key):
        return any(key[1] == p for _, p in self.inbox)


class ConsumesLast(Outbox):
    """Remembers only the last one."""

    def is_consumed(self, key):
        return bool(self.inbox) and list(self.inbox)[-1] == key


class ConsumedClearsTheTransaction(Outbox):
    def on_consumed(self, sender, message):
        super().on_consumed(sender, message)
        self.table = {k: v for k, v in self.table.items() if k[0] != message.gid}


class ConsumedClearsAll(Outbox):
    def on_consumed(self, sender, message):
        super().on_consumed(sender, message)
        self.table = {}


class InboxInMemory(Outbox):
    def start(self):
        self.inbox = {}
        super().start()


class CheckBackSaysNoWhileRunning(TransactionalMessage):
    def on_check_back(self, sender, message):
        self.send_after_sync(sender, Verdict(message.gid, self.local.get(message.gid, False)))


class NeverAsks(BestEffort):
    def on_ask_timeout(self, gid):
        pass


class TakesRefusedForDone(BestEffort):
    def on_notice(self, sender, message):
        super().on_notice(sender, replace(message, commit=True))


OTHERS = [
    (CountsMessages, "duplicates"), (LateYesFlips, "timeouts"), (GivesUpResending, "simulated faults"),
    (DecidesAllOfThatCoordinator, "two at once"), (AddsCommute, "two at once"),
    (ReadersWaitForNobody, "simulated faults"), (TellsAbortAndGoesOn, "timeouts"),
    (PreparedOverWithDecided, "lost decision"), (AnyFinishedEndsAllPrepared, "lost decision"),
    (ReadsInitial, "reads"), (ReadsTheDisk, "reads"), (NoVoteTimer, "ends"), (InquiresOnce, "ends"),
    (CountsAcks, "coordinator crashes"), (WaitsForThoseBehind, "crossing transfers"),
    (RestartsFromTheInitial, "participants crash"), (RefusesLast, "too little money"),
    (ClientToldOtherReads, "reads"), (LetsWritersLeave, "readers"), (ReadersKeepLocks, "undisturbed"),
    (VotesReadAndPrepares, "readers"), (PAForgetsAfterFirstAck, "timeouts"),
    (PCIgnoresCollecting, "coordinator crashes early"), (PCCollectsLate, "coordinator crashes early"),
    (PCCollectingOverWithVotes, "simulated faults"), (PCReadsTheDisk, "reads"), (WrongWayRound, "ages"),
    (WoundsOnlyTheFirst, "crossing transfers"), (ParticipantGivesWayAlone, "crossing transfers"),
    (StarvesTheOld, "crossing transfers"), (ChainOfTwoIsACircle, "no circle"),
    (OnlyCirclesOfTwo, "crossing transfers"), (ForgetsBelow, "tree"), (HandsOnCommitsOnly, "ends"),
    (RecoversAlone, "tree"), (MiddleAbortsAloneAfterVoting, "a tree of readers"),
    (TakesTheFirstLeaning, "three ballots"), (HighestByItsBallot, "three ballots"), (CountsOldReports, "two ballots"),
    (ForgetsWhereItLeans, "coordinator crashes"), (OnlyHigherBallots, "blocking"), (UnaskedSaysNothing, "blocking"),
    (VotersAreTheUp, "partition"), (SinceIsTheLastBallot, "three ballots"),
    (FirstAcceptorSuffices, "two leaders"), (AlwaysProposesNo, "acceptors crash"),
    (AcceptsBelowItsPromise, "simulated faults"), (LeadsOnlyForItself, "blocking"), (NeverLeads, "blocking"),
    (ProposesYesForItself, "simulated faults"), (AnyAnswerCounts, "a step fails"),
    (ForgetsBackAfterACrash, "impatience"), (TellsDoneAlways, "liveness"), (CompensationRefusedIsSkipped, "pivot"),
    (ReleasesBeforeTheEnd, "semantic locks"), (RefusedIsUndoneToo, "semantic locks"),
    (HeardClearsAll, "a step fails"), (CompensatesAgain, "a step fails"), (EndsWithoutTheLast, "a step fails"),
    (LateTry, "cancel overtakes try"), (MostTried, "a try fails"), (AnyAckIsTheFirst, "a try fails"),
    (BarrierInMemory, "repeated requests"), (CancelAfterConfirm, "cancel overtakes try"),
    (LocksFreedAtPhaseOne, "one row, two transactions"), (ShutsOutWithUndoOnly, "late branches"),
    (UndoGoesWithPhaseOne, "a branch fails"), (LocksOnlyInMemoryOfTheBranch, "simulated faults"),
    (ConsumedByThePart, "simulated faults"), (ConsumesLast, "two to one"),
    (ConsumedClearsTheTransaction, "two to one"), (ConsumedClearsAll, "two to one"),
    (InboxInMemory, "repeated messages"), (CheckBackSaysNoWhileRunning, "a refusal"), (NeverAsks, "liveness"),
    (TakesRefusedForDone, "a refusal"),
]  # fmt: skip
"""Each with the search that finds it soonest."""
