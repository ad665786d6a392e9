"""Broken on purpose: flexible transactions with one rule taken out, each a subclass that overrides one method."""

from __future__ import annotations

from distlib.core.mutant import LIVENESS, mutant
from distlib.transactions.bank import Operations
from distlib.transactions.flexible.invariants import (
    AllOrCompensated,
    Conservation,
    ForwardAfterPivot,
    NothingTwice,
    OneAtATime,
    ReverseOrder,
)
from distlib.transactions.flexible.saga import ChoreographedSaga, Progress, Saga

GMS, MP = "Garcia-Molina & Salem 1987", "Richardson 2018"

# --- sagas ------------------------------------------------------------------------------------------------


@mutant("Compensations run in the reverse order of the steps.", f"{GMS}, §2", ReverseOrder, "a step fails")
class CompensatesInOrder(Saga):
    """Takes back the first step first."""

    def next_compensation(self, one: Progress) -> int:
        return one.reached - one.done


@mutant("A step that may have been done is compensated, too.", f"{GMS}, §2", Conservation, "impatience")
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


@mutant("After the pivot, a saga only goes forward.", f"{MP}, §4.3.1", ForwardAfterPivot, "pivot")
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
