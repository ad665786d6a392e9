"""Mutants that the museum does not have, each killed by a search of its subject; and right classes, not accused."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from distlib.core.node import NodeId, volatile
from distlib.transactions.bank import Operations
from distlib.transactions.flexible.at_mode import ATMode, Register, Registered
from distlib.transactions.flexible.coordinator import Branch, Global, PhaseOneDone, PhaseTwoDone
from distlib.transactions.flexible.messaging import (
    BestEffort,
    CheckBack,
    Event,
    HalfMessage,
    HalfStored,
    Notice,
    Outbox,
    TransactionalMessage,
    Verdict,
)
from distlib.transactions.flexible.saga import ChoreographedSaga, Progress, Saga
from distlib.transactions.flexible.saga_message import Compensate, Do, Done, Heard, Release, StepDone
from distlib.transactions.flexible.subject import AT_MODE, OUTBOX, SAGA, TCC_SUBJECT
from distlib.transactions.flexible.tcc import TCC, Cancel, Confirm, Try

# --- sagas --------------------------------------------------------------------------------------------------------


class HeedsAnyAnswer(Saga):
    def is_awaited(self, one: Progress, step: int, back: bool) -> bool:
        return not one.ended and one.back == back


class CompensatesTwice(Saga):
    def is_repeated(self, saga: str, step: int, back: bool) -> bool:
        return not back and (saga, step, False) in self.ledger


class NeverRepeats(Saga):
    def wait(self, gid: str) -> None:
        """Do nothing."""


class KnowsNoRetriableStep(Saga):
    def is_retriable(self, one: Progress, step: int) -> bool:
        return False


class GivesUpThePivot(Saga):
    def on_patience_timeout(self, saga: str) -> None:
        one = self.sagas[saga]
        if not one.ended and self.may_turn_back(one):
            self.turn_back(saga, self.in_doubt(one))


@dataclass
class LogInMemory(Saga):
    sagas: dict[str, Progress] = volatile(dict)


@dataclass
class LedgerInMemory(Saga):
    ledger: dict = volatile(dict)


class SaysDoneWhenRefused(Saga):
    def on_do(self, sender: NodeId, message: Do) -> None:
        super().on_do(sender, message)
        if self.ledger.get((message.saga, message.step, False), ()) is None:
            self.send_after_sync(sender, Done(message.saga, message.step))


class KeepsItsLocks(Saga):
    def on_release(self, sender: NodeId, message: Release) -> None:
        locked = dict(self.pending)
        super().on_release(sender, message)
        self.pending = locked


class CompensatesTheOtherWay(Saga):
    def on_compensate(self, sender: NodeId, message: Compensate) -> None:
        key = (message.saga, message.step)
        if not self.is_repeated(*key, back=True) and self.was_done(*key):
            self.balances = dict(self.initial)  # as it was at first: what others did since is gone
            self.ledger[*key, True] = ()
        super().on_compensate(sender, message)


class HearsBeforeItActs(ChoreographedSaga):
    def on_step_done(self, sender: NodeId, message: StepDone) -> None:
        self.send_after_sync(sender, Heard(message.saga, message.step, back=False))
        if not self.objection(message.saga, message.work[message.step][1], False):
            super().on_step_done(sender, message)


@dataclass
class EventsInMemory(ChoreographedSaga):
    events: dict = volatile(dict)


# --- TCC ----------------------------------------------------------------------------------------------------------


@dataclass
class BarrierInMemory(TCC):
    barrier: dict = volatile(dict)


@dataclass
class CoordinatesFromMemory(TCC):
    transactions: dict[str, Global] = volatile(dict)


class EndsWithTheFirst(TCC):
    def on_phase_two_done(self, sender: NodeId, message: PhaseTwoDone) -> None:
        one = self.transactions[message.gid]
        if one.waiting:
            self.transactions[message.gid] = replace(one, waiting=())
            self.finish(message.gid)


class PaysInAtTry(TCC):
    def on_try(self, sender: NodeId, message: Try) -> None:
        known = (message.gid, message.branch, "try") in self.barrier
        super().on_try(sender, message)
        if not known and (message.gid, message.branch, "try") in self.barrier:
            self.change(message.gid, tuple([one for one in message.operations if one.amount > 0]))


class SaysItIsTried(TCC):
    def on_try(self, sender: NodeId, message: Try) -> None:
        self.send_after_sync(sender, PhaseOneDone(message.gid, message.branch))
        super().on_try(sender, message)


class CancelsByConfirming(TCC):
    def on_cancel(self, sender: NodeId, message: Cancel) -> None:
        self.on_confirm(sender, Confirm(message.gid, message.branch, message.operations))


class TriesOnce(TCC):
    def on_retry_timeout(self, gid: str) -> None:
        """Do nothing."""


# --- AT -----------------------------------------------------------------------------------------------------------


@dataclass
class UndoLogInMemory(ATMode):
    undo: dict = volatile(dict)


@dataclass
class LocksInMemory(ATMode):
    locks: dict = volatile(dict)


class RestoresTheAfterImage(ATMode):
    def restore(self, key: Branch) -> None:
        """Leave it."""


class CommitsWithoutAsking(ATMode):
    def ask_for_locks(self, key: Branch) -> None:
        super().ask_for_locks(key)
        self.on_registered(self.id, Registered(*key))


class RegistersTheDecided(ATMode):
    def may_register(self, gid: str) -> bool:
        return True


class NeverUnlocks(ATMode):
    def release(self, gid: str) -> None:
        """Do nothing."""


class LocksTheWrongRow(ATMode):
    def on_register(self, sender: NodeId, message: Register) -> None:
        super().on_register("S1", replace(message, written=()))
        if self.may_register(message.gid):
            self.send_after_sync(sender, Registered(message.gid, message.branch))


class RecordsTheImageLate(ATMode):
    def write_undo_log(self, key: Branch, operations: Operations) -> None:
        super().write_undo_log(key, operations)
        self.undo[key] = replace(self.undo[key], before=self.undo[key].after)


# --- messages -------------------------------------------------------------------------------------------------------


@dataclass
class TableInMemory(Outbox):
    table: dict = volatile(dict)


@dataclass
class InboxInMemory(Outbox):
    inbox: dict = volatile(dict)


class ConfirmsBeforeItConsumes(Outbox):
    def on_event(self, sender: NodeId, message: Event) -> None:
        super().on_event(sender, message)
        self.inbox.setdefault((message.gid, message.part), ())


class SendsOnce(Outbox):
    def on_retry_timeout(self, gid: str) -> None:
        """Do nothing."""


@dataclass
class HalvesInMemory(TransactionalMessage):
    halves: dict = volatile(dict)


class DeliversAtOnce(TransactionalMessage):
    def on_half_message(self, sender: NodeId, message: HalfMessage) -> None:
        super().on_half_message(sender, message)
        self.settle(message.gid, True)


class TakesUnknownForYes(TransactionalMessage):
    def on_check_back(self, sender: NodeId, message: CheckBack) -> None:
        self.send_after_sync(sender, Verdict(message.gid, self.local.get(message.gid, True)))


class TakesUnknownForNo(TransactionalMessage):
    def on_check_back(self, sender: NodeId, message: CheckBack) -> None:
        self.send_after_sync(sender, Verdict(message.gid, self.local.get(message.gid, False)))


class HeedsTheLastWord(TransactionalMessage):
    def on_half_stored(self, sender: NodeId, message: HalfStored) -> None:
        self.sending.pop(message.gid, None)
        self.run_locally(message.gid, message.work)
        self.send_after_sync(sender, Verdict(message.gid, self.local[message.gid]))


class ConsumesEveryNotice(BestEffort):
    def on_notice(self, sender: NodeId, message: Notice) -> None:
        expected = dict(self.expected)
        super().on_notice(sender, message)
        self.expected = expected


@dataclass
class ForgetsItsResults(BestEffort):
    local: dict = volatile(dict)


EVERY = {
    SAGA: (HeedsAnyAnswer, CompensatesTwice, NeverRepeats, KnowsNoRetriableStep, GivesUpThePivot, LogInMemory,
           LedgerInMemory, SaysDoneWhenRefused, KeepsItsLocks, CompensatesTheOtherWay, HearsBeforeItActs,
           EventsInMemory),
    TCC_SUBJECT: (BarrierInMemory, CoordinatesFromMemory, EndsWithTheFirst, PaysInAtTry,
                  SaysItIsTried, CancelsByConfirming, TriesOnce),
    AT_MODE: (UndoLogInMemory, LocksInMemory, RestoresTheAfterImage, CommitsWithoutAsking, RegistersTheDecided,
              NeverUnlocks, LocksTheWrongRow, RecordsTheImageLate),
    OUTBOX: (TableInMemory, InboxInMemory, ConfirmsBeforeItConsumes, SendsOnce, HalvesInMemory, DeliversAtOnce,
             TakesUnknownForYes, TakesUnknownForNo, HeedsTheLastWord, ConsumesEveryNotice, ForgetsItsResults),
}  # fmt: skip


@pytest.mark.parametrize(
    ("subject", "node_class"), [(subject, one) for subject, several in EVERY.items() for one in several]
)
def test_some_search_kills_it(subject, node_class):
    found = next((one for one in (search(node_class, 20.0) for search in subject.searches) if one.failure), None)
    assert found is not None
    assert found.invariant and "no handler fails" not in found.invariant, found
