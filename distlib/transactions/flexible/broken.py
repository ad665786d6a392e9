"""Broken on purpose: flexible transactions with one rule taken out, each a subclass that overrides one method."""

from __future__ import annotations

from dataclasses import replace

from distlib.core.mutant import LIVENESS, equivalent, mutant, seen_in
from distlib.core.node import NodeId
from distlib.transactions.bank import Operations, undone
from distlib.transactions.flexible.at_mode import ATMode, Register, Row, Undo
from distlib.transactions.flexible.coordinator import Branch, Global, PhaseOneDone
from distlib.transactions.flexible.invariants import (
    AllOrCompensated,
    ConsumedOnce,
    ForwardAfterPivot,
    FrozenOnce,
    LocalOnce,
    NoDebt,
    NoDirtyWrite,
    NothingTwice,
    OneAtATime,
    OneDecision,
    ReverseOrder,
    SentIfCommitted,
)
from distlib.transactions.flexible.message import Ended
from distlib.transactions.flexible.messaging import BestEffort, CheckBack, Key, Outbox, TransactionalMessage
from distlib.transactions.flexible.saga import ChoreographedSaga, Progress, Saga
from distlib.transactions.flexible.saga_message import Compensate, Compensated
from distlib.transactions.flexible.tcc import TCC, TRY, Try
from distlib.transactions.invariants import Conservation

GMS, MP = "Garcia-Molina & Salem 1987", "Richardson 2018"

# --- sagas ------------------------------------------------------------------------------------------------


@mutant("Compensations run in the reverse order of the steps.", f"{GMS}, §1", ReverseOrder, "a step fails")
class CompensatesInOrder(Saga):
    """Takes back the first step first."""

    def next_compensation(self, one: Progress) -> int:
        return one.reached - one.done


@mutant("A step that may have been done is compensated, too.", f"{GMS}, §4", Conservation, "impatience")
class LeavesTheDoubtfulStep(Saga):
    """Gives up a step that nobody answered, and takes back only those before it."""

    def in_doubt(self, one: Progress) -> int:
        return one.done


@mutant("A repeated step has no effect (幂等).", "DTM and Seata: idempotence", NothingTwice, "a step fails")
class TakesStepsTwice(Saga):
    """Does a step again when the request comes again."""

    def is_repeated(self, saga: str, step: int, back: bool) -> bool:
        return back and (saga, step, back) in self.ledger


@mutant("A step is not done after its own compensation (悬挂).", "DTM and Seata: hanging", Conservation, "impatience")
class LetsLateStepsIn(Saga):
    """Does a step that comes after its compensation; nobody will take it back any more."""

    def is_shut_out(self, saga: str, step: int) -> bool:
        return False


@mutant(
    "What was not done is not taken back (空补偿).", "DTM and Seata: empty compensation", Conservation, "impatience"
)
class PaysForNothing(Saga):
    """Takes back a step that never came."""

    def was_done(self, saga: str, step: int) -> bool:
        return True


@mutant("After the pivot, a saga only goes forward.", f"{MP}, §4.3.2", ForwardAfterPivot, "pivot")
class TurnsBackAfterThePivot(Saga):
    """Turns back whenever a step is refused."""

    def may_turn_back(self, one: Progress) -> bool:
        return not one.back


@mutant("A step that is refused stays refused.", "DTM and Seata: idempotence", AllOrCompensated, "refused once")
class ForgetsRefusals(Saga):
    """Looks at a step anew when a copy of the request comes, though the saga has turned back on the first answer."""

    def take_step(self, saga: str, step: int, operations: Operations, why: str, retriable: bool) -> None:
        if not why:
            super().take_step(saga, step, operations, why, retriable)


@mutant("An account that an open saga has written is not for others.", f"{MP}, §4.3.2", OneAtATime, "semantic locks")
class IgnoresPending(Saga):
    """Writes accounts that are pending for another saga."""

    def is_pending(self, saga: str, operations: Operations) -> str:
        return ""


@mutant("After a crash, the saga log says where to go on.", f"{GMS}, §5", LIVENESS, "liveness")
class ForgetsToGoOn(Saga):
    """Leaves the sagas alone that were open when it crashed."""

    def recover(self, saga: str) -> None:
        """Do nothing."""


@mutant("An event is repeated until it is heard.", f"{MP}, §4.2.1", LIVENESS, "liveness")
class TellsOnce(ChoreographedSaga):
    """Sends its events once; if one is lost, the saga stands still."""

    def wait(self, gid: str) -> None:
        """Do nothing."""


@mutant("A compensation looks whether the money is still there.", f"{GMS}, §6", NoDebt, "pivot")
class CompensatesIntoDebt(Saga):
    """Takes a deposit back although it has been spent."""

    def on_compensate(self, sender: NodeId, message: Compensate) -> None:
        saga, step = message.saga, message.step
        if not self.is_repeated(saga, step, back=True):
            back = undone(message.operations) if self.was_done(saga, step) else ()
            self.ledger[saga, step, True] = back
            self.change(saga, back, back=True)
        self.send_after_sync(sender, Compensated(saga, step))


@mutant("After the pivot, a refusal is not for good.", f"{MP}, §4.3.2", LIVENESS, "late money")
class RefusesForGood(Saga):
    """Remembers the refusal of a retriable step, as of any other."""

    def take_step(self, saga: str, step: int, operations: Operations, why: str, retriable: bool) -> None:
        super().take_step(saga, step, operations, why, False)


# --- TCC: the three traps, then the coordinator -----------------------------------------------------------------

DTM = "DTM, 子事务屏障"


@seen_in(
    "Seata for Go: an empty cancel failed, and was repeated until the time was up",
    "apache/incubator-seata-go/issues/685",
)
@mutant("A cancel whose try has not come does nothing (空回滚).", DTM, FrozenOnce, "cancel overtakes try")
class PaysBackWhatWasNotFrozen(TCC):
    """Cancels what was never tried: it frees money that was not frozen."""

    def shuts_out_try(self, key: Branch) -> bool:
        return super().shuts_out_try(key) and False


@seen_in(
    "tcc-transaction: a try after its cancel was asked about, and is refused since 1.6",
    "changmingxie/tcc-transaction/issues/299",
)
@mutant("A try that comes after its cancel does nothing (悬挂).", DTM, FrozenOnce, "cancel overtakes try")
class LooksForTheTry(TCC):
    """Only looks whether the try has come, and inserts nothing in its place: money may be frozen for good."""

    def shuts_out_try(self, key: Branch) -> bool:
        return (*key, TRY) not in self.barrier


@mutant("A request that comes twice is done once (幂等).", DTM, FrozenOnce, "repeated requests")
class ConfirmsTwice(TCC):
    """Does its part each time that it is asked."""

    def is_first(self, key: Branch, op: str) -> bool:
        return super().is_first(key, op) or True


@mutant("The barrier's row goes with a try that is refused.", DTM, FrozenOnce, "too much")
class KeepsTheRowOfARefusal(TCC):
    """Leaves its insert in place when the try is refused: to the cancel, it looks as if money were frozen."""

    def on_try(self, sender: NodeId, message: Try) -> None:
        super().on_try(sender, message)
        self.barrier.setdefault((message.gid, message.branch, TRY), TRY)


@mutant("All branches must be tried before one is confirmed.", "Pardon & Pautasso 2014", FrozenOnce, "a try fails")
class ConfirmsWithTheFirst(TCC):
    """Decides to confirm when the first branch has reserved."""

    def may_commit(self, one: Global) -> bool:
        return one.done >= 1


@mutant("A decision is for good.", "DTM: a global transaction's log", OneDecision, "repeated requests")
class GivesUpDecided(TCC):
    """Cancels after too long a time, though it has told some to confirm."""

    def may_give_up(self, one: Global) -> bool:
        return not one.ended


@mutant("What was decided before a crash stays decided.", "DTM: a global transaction's log", OneDecision,
        "repeated requests")  # fmt: skip
class CancelsAfterACrash(TCC):
    """Cancels what was open when it crashed."""

    def recover(self, gid: str) -> None:
        super().recover(gid)
        if self.transactions[gid].done:
            self.decide(gid, False)


@mutant("A branch that was asked and has not answered is cancelled, too.", DTM, Conservation, "cancel overtakes try")
class CancelsTheAnsweredAlone(TCC):
    """Cancels the branches that have answered; a try whose answer was lost keeps its money frozen."""

    def concerned(self, one: Global, commit: bool) -> tuple[int, ...]:
        return tuple(range(one.done))


@mutant("A try looks whether the money is there.", "Pardon & Pautasso 2014", NoDebt, "too much")
class ReservesWhatIsNotThere(TCC):
    """Freezes whatever it is asked for."""

    def on_try(self, sender: NodeId, message: Try) -> None:
        key = (message.gid, message.branch)
        if self.passes(key, TRY):
            self.freeze(message.operations, 1)
        self.send_after_sync(sender, PhaseOneDone(*key))


@mutant("What is told of a transaction is what became of it.", "Pardon & Pautasso 2014", LIVENESS, "liveness")
class ReportsSuccess(TCC):
    """Reports every transaction as done when it is over."""

    def finish(self, gid: str) -> None:
        self.output(Ended(gid, True))


# --- AT mode ----------------------------------------------------------------------------------------------------

SEATA = "Seata, AT mode"


@seen_in(
    "Seata: a branch that was refused the lock lost its transaction's id, and committed at the second try",
    "apache/incubator-seata/issues/3518",
)
@mutant("A row has one global lock.", f"{SEATA}: 写隔离", NoDirtyWrite, "one row, two transactions")
class GrantsEveryLock(ATMode):
    """Gives a branch its global locks, whoever holds them."""

    def is_free(self, row: Row, gid: str) -> bool:
        return True


@mutant("A rollback keeps its global locks until all is restored.", f"{SEATA}: 写隔离", NoDirtyWrite,
        "one row, two transactions")  # fmt: skip
class UnlocksBeforeItRestores(ATMode):
    """Lets go of the global locks with the decision to roll back."""

    def keeps_locks(self, commit: bool) -> bool:
        return False


@mutant("Data and undo log are committed together.", f"{SEATA}: 一阶段", Conservation, "a branch fails")
class KeepsNoUndoLog(ATMode):
    """Commits the data alone: there is nothing to restore from."""

    def write_undo_log(self, key: Branch, operations: Operations) -> None:
        """Do nothing."""


@seen_in(
    "Seata: a slow branch committed after its global transaction had been rolled back",
    "apache/incubator-seata/issues/152",
)
@mutant("A branch that was rolled back does not commit later.", "Seata: undo_log.log_status 1", Conservation,
        "late branches")  # fmt: skip
class CommitsRolledBackBranches(ATMode):
    """Begins a branch although its rollback has been here, and been answered."""

    def is_shut_out(self, key: Branch) -> bool:
        return False


@mutant("A branch locks all rows that it has written.", f"{SEATA}: 写隔离", NoDirtyWrite, "one row, two transactions")
class LocksTheFirstRow(ATMode):
    """Asks for the global lock of the first row alone."""

    def on_register(self, sender: NodeId, message: Register) -> None:
        super().on_register(sender, replace(message, written=message.written[:1]))


@equivalent(
    "A rollback compares the row with its after image.",
    f"{SEATA}: 数据校验",
    "the global lock keeps other "
    "global transactions away; only one that writes past Seata, or with the lock's rule out, too, is wiped out",
)
class RestoresBlindly(ATMode):
    """Writes the before image back, whatever is there."""

    def is_dirty(self, undo: Undo) -> bool:
        return False


# --- messages ---------------------------------------------------------------------------------------------------

ROCKETMQ = "RocketMQ, transactional messages"


@mutant("A message that comes twice takes effect once.", "Pritchett 2008", ConsumedOnce, "repeated messages")
class ConsumesTwice(Outbox):
    """Does what a message asks for each time that it comes."""

    def is_consumed(self, key: Key) -> bool:
        return False


@seen_in(
    "MassTransit: a user saw messages go out while the transaction was being prepared",
    "MassTransit/MassTransit/issues/1627",
)
@mutant("A message goes out only if its local transaction commits.", "Pritchett 2008", SentIfCommitted, "a refusal")
class SendsWhatWasRefused(Outbox):
    """Writes the messages of a refused transaction into the table, too."""

    def is_to_be_sent(self, commit: bool) -> bool:
        return True


@mutant("A message stays in the table until it is consumed.", "Pritchett 2008", Conservation, "repeated messages")
class DeletesWhenSent(Outbox):
    """Takes a message for consumed when it has sent it."""

    def recover(self, gid: str) -> None:
        super().recover(gid)
        self.table = {key: row for key, row in self.table.items() if key[0] != gid}


@mutant("A half message is not delivered before the commit.", ROCKETMQ, SentIfCommitted, "half messages")
class DeliversHalfMessages(TransactionalMessage):
    """Delivers a message when nobody has said what became of its transaction."""

    def on_check_timeout(self, gid: str) -> None:
        self.settle(gid, True)


@mutant("A half message is not dropped before the rollback.", ROCKETMQ, Conservation, "half messages")
class DropsHalfMessages(TransactionalMessage):
    """Drops a message when nobody has said what became of its transaction, though that may have committed."""

    def on_check_timeout(self, gid: str) -> None:
        self.settle(gid, False)


@mutant("A transaction reported as rolled back is never committed.", "DTM: the check-back inserts the barrier's row",
        Conservation, "half messages")  # fmt: skip
class RulesNothingOut(TransactionalMessage):
    """Says that a transaction did not commit, and lets it commit later."""

    def rule_out(self, gid: str) -> None:
        """Do nothing."""


@mutant("A half message without a verdict is asked about.", ROCKETMQ, LIVENESS, "liveness")
class NeverAsksBack(TransactionalMessage):
    """Waits for the verdict."""

    def on_check_timeout(self, gid: str) -> None:
        """Do nothing."""


@mutant("A receiver that has heard nothing asks.", "Best-effort notification: 对账", LIVENESS, "liveness")
class WaitsForNotices(BestEffort):
    """Trusts that a notice will come."""

    def plan_to_ask(self, gid: str) -> None:
        """Do nothing."""


@mutant("The producer's local transaction runs once.", ROCKETMQ, LocalOnce, "asked again")
class RunsRefusedOnesAgain(Outbox):
    """Runs a local transaction that it has refused, when the request comes again."""

    def is_known(self, gid: str) -> bool:
        return self.local.get(gid, False)


@mutant("Each message is consumed once.", "Pritchett 2008", Conservation, "two to one")
class RemembersTheTransactionAlone(Outbox):
    """Takes a second message of the same transaction for a copy of the first one."""

    def is_consumed(self, key: Key) -> bool:
        return any(gid == key[0] for gid, _ in self.inbox)


@mutant("A question that may be lost is asked again.", ROCKETMQ, LIVENESS, "liveness")
class AsksBackOnce(TransactionalMessage):
    """Asks once what became of the local transaction."""

    def on_check_timeout(self, gid: str) -> None:
        if self.halves[gid].commit is None:
            self.send(self.halves[gid].producer, CheckBack(gid))
