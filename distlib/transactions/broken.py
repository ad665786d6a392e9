"""Broken on purpose: two-phase commit and its variants with one rule taken out, each a subclass that overrides exactly
one method."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from distlib.core.mutant import LINEARIZABILITY, LIVENESS, mutant, seen_in
from distlib.core.node import NodeId
from distlib.replication.message import ClientReply
from distlib.transactions.bank import Operations, Read, applied, refusal
from distlib.transactions.deadlocks import DetectsDeadlocks, WoundWait
from distlib.transactions.invariants import Atomicity, Conservation, Effects, Isolation, Validity
from distlib.transactions.message import (
    Acknowledge,
    Answer,
    Decided,
    Inquire,
    Outcome,
    Prepare,
    Prepared,
    Probe,
    Reads,
    Record,
    Told,
    Vote,
    Waiter,
    Wound,
)
from distlib.transactions.presumptions import PresumedAbort, PresumedCommit
from distlib.transactions.tree import TreeCommit
from distlib.transactions.two_phase import Branch, Round, TwoPhaseCommit

MLO = "Mohan, Lindsay & Obermarck 1986"
BHG = "Bernstein, Hadzilacos & Goodman 1987"

# --- the coordinator ------------------------------------------------------------------------------------------


@mutant("Commit only when all have voted yes.", f"{BHG}, §7.3, AC3", Validity, "one short")
class CommitsWithAMajority(TwoPhaseCommit):
    """Commits when more than half of the participants have voted yes, as if it were Paxos."""

    def may_commit(self, one: Round) -> bool:
        return 2 * len(one.with_answer(Answer.YES, Answer.READ)) > len(one.participants)


@mutant("Who is silent may have aborted.", f"{BHG}, §7.4", Validity, "timeouts")
class TakesSilenceForYes(TwoPhaseCommit):
    """Takes a vote that does not come for a yes."""

    def on_vote_timeout(self, transaction: str) -> None:
        if transaction in self.rounds and self.rounds[transaction].commit is None:
            self.decide(transaction, True)


@mutant("Each participant has one vote.", f"{BHG}, §7.3", Validity, "duplicates")
class CountsVotesTwice(TwoPhaseCommit):
    """Counts a vote again when the message comes twice."""

    def counted(self, one: Round, sender: NodeId, message: Vote) -> tuple[tuple[NodeId, Answer, Reads], ...]:
        return (*one.votes, (sender, message.answer, message.reads))


@mutant("A decision is never changed.", f"{BHG}, §7.3, AC2", Atomicity, "timeouts")
class HearsLateVotes(TwoPhaseCommit):
    """Counts votes that come after it has given up waiting, and changes its mind."""

    def is_awaited(self, one: Round, sender: NodeId, message: Vote) -> bool:
        return sender in one.participants


@mutant("A vote is for one transaction.", f"{BHG}, §7.3", Validity, "two at once")
class MixesVotesUp(TwoPhaseCommit):
    """Counts a vote for whichever transaction it is collecting votes for."""

    def on_vote(self, sender: NodeId, message: Vote) -> None:
        collecting = sorted(name for name, one in self.rounds.items() if one.commit is None and sender in one.silent)
        if collecting:
            super().on_vote(sender, replace(message, transaction=collecting[0]))


@mutant("The decision is on disk before anybody hears of it.", f"{MLO}, §2", Atomicity, "coordinator crashes")
class ForgetsItsDecision(TwoPhaseCommit):
    """Keeps its decision in memory only."""

    def log_decision(self, transaction: str, commit: bool, receivers: tuple[NodeId, ...]) -> None:
        pass


@seen_in(
    "horizontal-scaling-convex: decisions were kept for an hour, and no longer",
    "MartinKalema/horizontal-scaling-convex/issues/151",
)
@mutant("A commit is remembered until all know it.", f"{MLO}, §2", Atomicity, "lost decision")
class PresumesTooEarly(TwoPhaseCommit):
    """Forgets a commit as soon as it is sent; who has not heard it and asks, is told of an abort."""

    def needs_acknowledgement(self, commit: bool) -> bool:
        return False


@mutant("A commit is remembered until *all* know it.", f"{MLO}, §2", Atomicity, "lost decision")
class HeedsOneAcknowledgement(TwoPhaseCommit):
    """Forgets a decision when the first participant has acknowledged it."""

    def on_acknowledge(self, sender: NodeId, message: Acknowledge) -> None:
        if message.transaction in self.rounds and sender in self.rounds[message.transaction].waiting:
            self.rounds[message.transaction] = replace(self.rounds[message.transaction], waiting=(sender,))
        super().on_acknowledge(sender, message)


@mutant("After a crash, the coordinator goes on with what it has decided.", f"{MLO}, §2", Atomicity,
        "coordinator crashes")  # fmt: skip
class ForgetsAfterACrash(TwoPhaseCommit):
    """Does not look for its decisions in the log when it comes back."""

    def recover(self, record: Record) -> None:
        if not isinstance(record, Decided):
            super().recover(record)


@mutant("The client hears of a commit when it is certain.", f"{BHG}, §7.3, AC3", Validity, "one short")
class TellsTheClientAtOnce(TwoPhaseCommit):
    """Tells the client that the transaction is committed when the first vote is a yes."""

    def counted(self, one: Round, sender: NodeId, message: Vote) -> tuple[tuple[NodeId, Answer, Reads], ...]:
        if message.answer is Answer.YES:
            self.told = (message.transaction, True)
            self.output(Told(message.transaction, True))
        return super().counted(one, sender, message)


@mutant("The decision is on disk before anybody hears of it.", f"{MLO}, §2", LINEARIZABILITY, "slow disks")
class TellsTheClientBeforeTheDisk(TwoPhaseCommit):
    """Tells the client while the decision is still being written."""

    def tell(self, transaction: str, one: Round, commit: bool) -> None:
        self.told = (transaction, commit)
        self.output(Told(transaction, commit))
        if one.client is not None:
            self.send(one.client, ClientReply(one.serial, True, Outcome(transaction, commit)))


@mutant("The decision is repeated until all have acknowledged it.", f"{MLO}, §2", LIVENESS, "ends")
class NeverRepeatsItself(TwoPhaseCommit):
    """Sends its decision once."""

    def on_resend_timeout(self, transaction: str) -> None:
        pass


# --- the participant --------------------------------------------------------------------------------------------


@seen_in("Citus: recovery could roll back what was prepared and not decided yet", "citusdata/citus/issues/1030")
@mutant("Who has voted yes waits for the decision.", f"{BHG}, §7.4", Atomicity, "timeouts")
class TimesOutToAbort(TwoPhaseCommit):
    """Aborts when it has been in doubt for too long."""

    def on_inquire_timeout(self, transaction: str) -> None:
        if transaction in self.branches:
            self.finish(transaction, False, forced=True)
            self.let_go(transaction)


@seen_in(
    "horizontal-scaling-convex: prepared transactions were kept in memory",
    "MartinKalema/horizontal-scaling-convex/issues/101",
)
@mutant("A yes is on disk before it is sent.", f"{MLO}, §2", Validity, "participants crash")
class VotesFromMemory(TwoPhaseCommit):
    """Votes yes without forcing its prepare record."""

    def prepare(self, transaction: str) -> None:
        branch = self.branches[transaction]
        self.write(Prepared(transaction, branch.operations, branch.coordinator, branch.voters))
        self.branches[transaction] = replace(branch, prepared=True)
        self.start_timer("inquire", self.inquire_ms, transaction)


@mutant("Locks are held until the decision.", f"{BHG}, chapter 3", Isolation, "two at once")
class FreesLocksAtPrepare(TwoPhaseCommit):
    """Lets others at its accounts as soon as it has voted."""

    def holds_locks(self, branch: Branch) -> bool:
        return not branch.prepared


@seen_in("CUBRID: a lock on rows in doubt did not survive a restart", "CUBRID/cubrid/pull/7554")
@mutant("Prepared transactions are locked again after a crash.", f"{MLO}, §2", Effects, "participants crash")
class ForgetsWhatItPromised(TwoPhaseCommit):
    """Comes back from a crash without its prepared transactions."""

    def recover(self, record: Record) -> None:
        if not isinstance(record, Prepared):
            super().recover(record)


@mutant("Who votes yes can commit.", f"{BHG}, §7.3", Effects, "too little money")
class VotesWithoutLooking(TwoPhaseCommit):
    """Votes yes to whatever it is asked."""

    def reason_to_refuse(self, branch: Branch) -> str:
        return ""


@mutant("Who is in doubt itself, cannot tell others.", f"{BHG}, §7.4", Atomicity, "timeouts")
class GuessesForOthers(TwoPhaseCommit):
    """Tells a participant in doubt to abort, where it does not know the decision either."""

    def decision(self, message: Inquire) -> bool | None:
        found = super().decision(message)
        return False if found is None else found


@mutant("Who tells another one to abort, never votes yes any more.", f"{BHG}, §7.4", Atomicity, "timeouts")
class AbortsInPassing(TwoPhaseCommit):
    """Answers that it will abort, and does not note it: then the request to prepare arrives."""

    def abort_for_good(self, transaction: str) -> bool:
        return False


@mutant("What was aborted, stays so.", f"{BHG}, §7.3, AC2", Atomicity, "timeouts")
class PreparesAgain(TwoPhaseCommit):
    """Votes on a transaction that it has aborted before."""

    def on_prepare(self, sender: NodeId, message: Prepare) -> None:
        self.outcomes -= {(message.transaction, False)}
        super().on_prepare(sender, message)


@seen_in(
    "Greenplum: recovery looked once, and what was prepared afterwards stayed in doubt", "greenplum-db/gpdb/pull/10393"
)
@mutant("Who is in doubt, asks.", f"{BHG}, §7.4", LIVENESS, "ends")
class AsksNobody(TwoPhaseCommit):
    """Waits for a decision that may have been lost, and asks nobody for it."""

    def whom_to_ask(self, branch: Branch) -> tuple[NodeId, ...]:
        return ()


@mutant("Transactions come through.", f"{BHG}, §7.3, AC4", LIVENESS, "ends")
class AlwaysRefuses(TwoPhaseCommit):
    """Votes no to everything: perfectly safe."""

    def reason_to_refuse(self, branch: Branch) -> str:
        return "no"


@mutant("Freed locks go to those who wait.", f"{BHG}, chapter 3", LIVENESS, "in line")
class LetsThemWait(TwoPhaseCommit):
    """Does not look who waits for the locks that it frees."""

    def let_go(self, transaction: str) -> None:
        self.branches.pop(transaction, None)
        self.queue = tuple([one for one in self.queue if one != transaction])


@mutant("A transaction reads what is committed, and what it has written itself by then.", f"{BHG}, chapter 1",
        LINEARIZABILITY, "reads")  # fmt: skip
class ReadsAhead(TwoPhaseCommit):
    """Reads the balances as they will be when all of the transaction is done."""

    def reads(self, operations: Operations) -> Reads:
        after = applied(self.balances, operations)
        return tuple([(f"{self.id}.{one.account}", after[one.account]) for one in operations if isinstance(one, Read)])


@mutant("Money that a transaction has taken out is gone for the next one.", f"{BHG}, chapter 1", Effects,
        "two at once")  # fmt: skip
class LooksAtTheFirstBalances(TwoPhaseCommit):
    """Asks whether there was enough money at first."""

    def reason_to_refuse(self, branch: Branch) -> str:
        return refusal(dict(self.initial), branch.operations)


# --- presumptions -----------------------------------------------------------------------------------------------


@mutant("Presumed abort: a commit is remembered until all know it.", f"{MLO}, §3", Atomicity, "lost decision")
class ForgetsCommitsToo(PresumedAbort):
    """Presumes abort, and forgets commits at once, as presumed commit may."""

    def needs_acknowledgement(self, commit: bool) -> bool:
        return False


@mutant("Presumed abort: a participant's commit is on disk before it is acknowledged.", f"{MLO}, §3", Atomicity,
        "participants crash")  # fmt: skip
class AcknowledgesFromMemory(PresumedAbort):
    """Acknowledges a commit that a crash makes it forget; then nobody else remembers it."""

    def log_outcome(self, transaction: str, commit: bool) -> None:
        self.finish(transaction, commit, forced=False)


@mutant("Presumed commit: who takes part is on disk before anybody is asked.", f"{MLO}, §4", Validity,
        "coordinator crashes early")  # fmt: skip
class CollectsFromMemory(PresumedCommit):
    """Presumes commit, also of a transaction for which it had not collected the votes when it crashed."""

    def log_begin(self, transaction: str, one: Round) -> None:
        pass


@mutant("Presumed commit: an abort is remembered until all know it.", f"{MLO}, §4", Atomicity, "lost abort")
class ForgetsAborts(PresumedCommit):
    """Presumes commit, and forgets aborts at once, as presumed abort may."""

    def needs_acknowledgement(self, commit: bool) -> bool:
        return False


@mutant("Presumed commit: a commit is on disk before anybody hears of it.", f"{MLO}, §4", Atomicity,
        "coordinator crashes")  # fmt: skip
class WritesCommitsLazily(PresumedCommit):
    """Does not force its commits: until one is on disk, a crash makes it abort what it has committed."""

    def log_decision(self, transaction: str, commit: bool, receivers: tuple[NodeId, ...]) -> None:
        (self.write if commit else self.force)(Decided(transaction, commit, receivers))


# --- locks ------------------------------------------------------------------------------------------------------


@mutant("What is decided, cannot be wounded.", "Rosenkrantz, Stearns & Lewis 1978", Atomicity, "deadlock")
class WoundsTheDecided(WoundWait):
    """Aborts a transaction for an older one, even after it has decided to commit."""

    def on_wound(self, sender: NodeId, message: Wound) -> None:
        if message.transaction in self.rounds:
            self.decide(message.transaction, False)


@mutant("The older does not wait for the younger.", "Rosenkrantz, Stearns & Lewis 1978", LIVENESS,
        "crossing transfers")  # fmt: skip
class NeverWounds(WoundWait):
    """Waits for everybody."""

    def on_blocked(self, transaction: str, blockers: list[str]) -> None:
        pass


@mutant("Probes follow every edge.", "Chandy, Misra & Haas 1983", LIVENESS, "crossing transfers")
class DropsProbes(DetectsDeadlocks):
    """Looks for circles of one."""

    def on_probe(self, sender: NodeId, message: Probe) -> None:
        pass


@mutant("Only the younger is wounded.", "Rosenkrantz, Stearns & Lewis 1978", LIVENESS, "ages")
class WoundsEverybody(WoundWait):
    """Wounds whoever is in its way, older or younger: everybody may be aborted again and again."""

    def on_blocked(self, transaction: str, blockers: list[str]) -> None:
        for one in map(self.waiter, blockers):
            self.send(one.coordinator, Wound(one.transaction))


@mutant("A deadlock is a circle.", "Chandy, Misra & Haas 1983", LIVENESS, "no circle")
class TakesWaitingForADeadlock(DetectsDeadlocks):
    """Lets the youngest give way wherever somebody waits."""

    def pass_on(self, search: str, chain: tuple[Waiter, ...], blockers: list[str]) -> None:
        youngest = max((*chain, *map(self.waiter, blockers)), key=lambda waiter: (waiter.begun_ms, waiter.transaction))
        self.send(youngest.coordinator, Wound(youngest.transaction))


# --- trees ------------------------------------------------------------------------------------------------------


@mutant("A node in the middle votes when those below have.", f"{MLO}, §2", Validity, "tree")
class VotesForItselfAlone(TreeCommit):
    """Votes yes before it has asked those below."""

    def on_prepare(self, sender: NodeId, message: Prepare) -> None:
        super().on_prepare(sender, message)
        if message.below and message.transaction in self.own:
            self.on_all_yes(message.transaction)


@mutant("Who passes the decision on, hears it.", f"{MLO}, §3", Atomicity, "a tree of readers")
class LeavesThoseBelow(TreeCommit):
    """Has only read, and leaves with its vote, though others wait below."""

    def may_leave(self, transaction: str, branch: Branch) -> bool:
        return TwoPhaseCommit.may_leave(self, transaction, branch)


@mutant("All who take part are asked.", f"{MLO}, §2", Conservation, "tree")
class AsksThoseRightBelow(TreeCommit):
    """Asks the nodes right below it, and tells them of nobody below them."""

    def requests(self, transaction: str, one: Round) -> Iterator[tuple[NodeId, Prepare]]:
        for node, request in super().requests(transaction, one):
            yield node, replace(request, below=())
