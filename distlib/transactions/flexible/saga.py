"""Saga: a long transaction as a sequence of local ones, each with a compensation that takes it back.

Garcia-Molina & Salem, *Sagas* (SIGMOD 1987; below: GMS): either all of T1 … Tn are done, or T1 … Tj and then Cj … C1.
Others see what is between: a saga gives up isolation. Richardson, *Microservices Patterns* (2018), ch. 4 (below: MP):
steps before the *pivot* are compensatable, those after it retriable; a *semantic lock* marks what an open saga has
written. Two ways of driving one: an orchestrator with a log of its own (``Saga``), and services that react to each
other's events (``ChoreographedSaga``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from distlib.core import require
from distlib.core.node import NodeId, durable, setting
from distlib.transactions.bank import Operations, Work, refusal, undone
from distlib.transactions.flexible.message import Began, Begin, Ended
from distlib.transactions.flexible.saga_message import (
    Compensate,
    Compensated,
    Do,
    Done,
    Heard,
    Refused,
    Release,
    Released,
    StepDone,
    StepFailed,
)
from distlib.transactions.flexible.service import Service, check_work, nodes_of

Step = tuple[str, int]
Event = tuple[str, int, bool]
"""The saga, the step, and whether it is the compensation: what makes a repeated message known (GMS §4: the log)."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The saga log's content for one saga: how many steps are done and not taken back (``done``, from the first), how
    many may have been done when it turned back (``reached``), and who has not let go of its locks (``holders``)."""

    work: Work
    pivot: int | None = None
    done: int = 0
    back: bool = False
    reached: int = 0
    ended: bool = False
    holders: tuple[NodeId, ...] = ()


@dataclass
class Saga(Service):
    """One node, which may be orchestrator of some sagas and a service in the same or others.

    With ``semantic_locks``, an account that a compensatable step of an open saga has written refuses such steps of
    others, and readers wait (MP §4.3.2).
    """

    semantic_locks: bool = setting(False)

    # orchestrator
    sagas: dict[str, Progress] = durable(dict)  # the saga log

    # service
    ledger: dict[Event, Operations | None] = durable(dict)  # what was done for it; None: refused
    pending: dict[str, str] = durable(dict)  # semantic locks: the saga, by account

    def __post_init__(self) -> None:
        super().__post_init__()
        require.flag("semantic_locks", self.semantic_locks)

    def held(self) -> tuple[str, ...]:
        return tuple([f"{account} for {saga}" for account, saga in self.pending.items()])

    # --- orchestrator -----------------------------------------------------------------------------------

    def open_here(self) -> tuple[str, ...]:
        return tuple([saga for saga, one in self.sagas.items() if not one.ended or one.holders])

    def has_turned_back(self, saga: str) -> bool:
        return self.sagas[saga].back

    def on_begin(self, sender: NodeId, message: Begin) -> None:
        """Write the saga to the log and begin with its first step (GMS §4)."""
        check_work(message)
        if message.gid not in self.sagas:
            self.sagas[message.gid] = Progress(message.work, message.pivot)
            self.output(Began(message.gid))
            self.go_on(message.gid)

    def go_on(self, saga: str, again: bool = False) -> None:
        """Ask for the next step, or the next compensation; without one, the saga is over. Who asks ``again`` has no
        more patience with a step than before."""
        one = self.sagas[saga]
        if one.ended:
            self.release(saga)
        elif one.done == (0 if one.back else len(one.work)):
            self.finish(saga)
        else:
            step = self.next_compensation(one) if one.back else one.done
            node, operations = one.work[step]
            request = Compensate if one.back else Do
            more = () if one.back else (self.is_retriable(one, step),)
            self.send_after_sync(node, request(saga, step, operations, *more))
            self.wait(saga)
            if not (one.back or again):
                self.be_patient(saga)

    def next_compensation(self, one: Progress) -> int:
        """Compensations run in the reverse order of the steps: Cj, …, C1 (GMS §1)."""
        return one.done - 1

    def is_retriable(self, one: Progress, step: int) -> bool:
        """After the pivot, a step is tried until it succeeds (MP §4.3.2)."""
        return one.pivot is not None and step > one.pivot

    def may_turn_back(self, one: Progress) -> bool:
        """Once the pivot is done, a saga only goes forward (MP §4.3.2)."""
        return not one.back and (one.pivot is None or one.done <= one.pivot)

    def on_done(self, sender: NodeId, message: Done) -> None:
        """The step that was asked for is done: note it in the log, go on."""
        one = self.sagas.get(message.saga)
        if one is not None and self.is_awaited(one, message.step, back=False):
            self.log(message.saga, replace(one, done=one.done + 1))

    def on_compensated(self, sender: NodeId, message: Compensated) -> None:
        """The compensation that was asked for is done."""
        one = self.sagas.get(message.saga)
        if one is not None and self.is_awaited(one, message.step, back=True):
            self.log(message.saga, replace(one, done=one.done - 1))

    def is_awaited(self, one: Progress, step: int, back: bool) -> bool:
        """Only the answer to the last question counts: others are repeated."""
        if one.ended or one.back != back:
            return False
        return step == (self.next_compensation(one) if back else one.done)

    def on_refused(self, sender: NodeId, message: Refused) -> None:
        """The step cannot be done: turn back where that is possible, else try again later."""
        one = self.sagas.get(message.saga)
        if one is not None and self.is_awaited(one, message.step, back=False) and self.may_turn_back(one):
            self.turn_back(message.saga, one.done)

    def on_patience_timeout(self, saga: str) -> None:
        """Nobody answers: turn back, unless the step under way is the pivot, which may be done, and is for good."""
        one = self.sagas[saga]
        if not one.ended and self.may_turn_back(one) and one.done != one.pivot:
            self.turn_back(saga, self.in_doubt(one))

    def in_doubt(self, one: Progress) -> int:
        """How many steps may have been done: the one under way is among them."""
        return one.done + 1

    def turn_back(self, saga: str, reached: int) -> None:
        """Compensate the first ``reached`` steps (GMS §4: backward recovery)."""
        self.log(saga, replace(self.sagas[saga], back=True, done=reached, reached=reached))

    def log(self, saga: str, one: Progress) -> None:
        """Note ``one`` in the saga log, and go on from there."""
        self.sagas[saga] = one
        self.cancel_timer("patience", saga)
        self.go_on(saga)

    def on_retry_timeout(self, saga: str) -> None:
        """No answer: ask again. Services know a repeated request."""
        if saga in self.open_here():
            self.go_on(saga, again=True)

    def recover(self, saga: str) -> None:
        """After a crash, the saga log says where to go on (GMS §5); what was under way is asked again."""
        self.go_on(saga)

    def finish(self, saga: str) -> None:
        """Nothing is left to do, or to take back."""
        one = self.sagas[saga]
        self.sagas[saga] = replace(one, ended=True, holders=nodes_of(one.work) if self.semantic_locks else ())
        self.output(Ended(saga, not one.back))
        self.release(saga)

    def release(self, saga: str) -> None:
        """Tell those who hold semantic locks for the saga that it is over."""
        for node in self.sagas[saga].holders:
            self.send_after_sync(node, Release(saga))
            self.wait(saga)

    def on_released(self, sender: NodeId, message: Released) -> None:
        """One holder less."""
        one = self.sagas[message.saga]
        self.sagas[message.saga] = replace(one, holders=tuple([node for node in one.holders if node != sender]))

    # --- service ------------------------------------------------------------------------------------------

    def on_do(self, sender: NodeId, message: Do) -> None:
        """Do the step in one local transaction with its record, unless it was done, refused or shut out before."""
        saga, step = message.saga, message.step
        if self.is_shut_out(saga, step):
            return
        why = ""
        if not self.is_repeated(saga, step, back=False):
            why = self.objection(saga, message.operations, message.retriable)
            self.take_step(saga, step, message.operations, why, message.retriable)
        if why or self.ledger[saga, step, False] is None:
            self.send_after_sync(sender, Refused(saga, step, why or "refused before"))
        else:
            self.send_after_sync(sender, Done(saga, step))

    def objection(self, saga: str, operations: Operations, retriable: bool) -> str:
        """Why the step cannot be done now, in words; empty when it can."""
        if not retriable and (held := self.is_pending(saga, operations)):
            return held
        return refusal(self.balances, operations)

    def is_pending(self, saga: str, operations: Operations) -> str:
        """MP §4.3.2: what an open saga has written is not for others; a retriable step is let through."""
        held = [one.account for one in operations if self.pending.get(one.account, saga) != saga]
        return f"{held[0]} is pending for {self.pending[held[0]]}" if held else ""

    def take_step(self, saga: str, step: int, operations: Operations, why: str, retriable: bool) -> None:
        """Do the step, or remember that it was refused: a copy that comes later must get the same answer."""
        if why:
            if not retriable:
                self.ledger[saga, step, False] = None
            return
        self.ledger[saga, step, False] = operations
        if self.semantic_locks and not retriable:
            self.pending |= {one.account: saga for one in operations}
        self.change(saga, operations)

    def is_repeated(self, saga: str, step: int, back: bool) -> bool:
        """Each step and each compensation takes effect once (MP §3.3.6; DTM and Seata: 幂等)."""
        return (saga, step, back) in self.ledger

    def is_shut_out(self, saga: str, step: int) -> bool:
        """A step that comes after its own compensation is never done (悬挂)."""
        return (saga, step, True) in self.ledger

    def on_compensate(self, sender: NodeId, message: Compensate) -> None:
        """Take the step back in one local transaction with its record. One that cannot succeed now is not answered, so
        that it is asked again: a compensation must succeed in the end (GMS §6)."""
        saga, step = message.saga, message.step
        if not self.is_repeated(saga, step, back=True):
            back = undone(message.operations) if self.was_done(saga, step) else ()
            if refusal(self.balances, back):
                return
            self.ledger[saga, step, True] = back
            self.change(saga, back, back=True)
        self.send_after_sync(sender, Compensated(saga, step))

    def was_done(self, saga: str, step: int) -> bool:
        """A step that never came, or was refused, has nothing to take back (空补偿)."""
        return self.ledger.get((saga, step, False)) is not None

    def on_release(self, sender: NodeId, message: Release) -> None:
        """The saga is over, whichever way."""
        self.pending = {account: saga for account, saga in self.pending.items() if saga != message.saga}
        self.send_after_sync(sender, Released(message.saga))

    def may_show(self, account: str) -> bool:
        return account not in self.pending


@dataclass
class ChoreographedSaga(Saga):
    """A saga without an orchestrator: a service that has done its step tells the service of the next one, and one that
    cannot do it tells the service of the step before, which compensates and passes that on (MP §4.2.1: choreography).

    An event is repeated until it is heard; it is written in the same local transaction as the step, so no crash comes
    between. Nobody gives up: while a service is down, its sagas wait for it.
    """

    events: dict[Event, tuple[NodeId, StepDone | StepFailed] | None] = durable(dict)  # to send; None: heard

    def open_here(self) -> tuple[str, ...]:
        unheard = [saga for (saga, _, _), event in self.events.items() if event is not None]
        return tuple(dict.fromkeys((*super().open_here(), *unheard)))

    def has_turned_back(self, saga: str) -> bool:
        return any(name == saga and back for name, _, back in self.events)

    def on_begin(self, sender: NodeId, message: Begin) -> None:
        check_work(message)
        if (message.gid, 0, False) not in self.events:
            self.output(Began(message.gid))
            self.publish(message.work, StepDone(message.gid, 0, message.work, message.pivot), 0, back=False)

    def publish(self, work: Work, event: StepDone | StepFailed, step: int, back: bool) -> None:
        """Write the event down for the service of ``step``, and send it."""
        self.events[event.saga, step, back] = (work[step][0], event)
        self.go_on(event.saga)

    def go_on(self, saga: str, again: bool = False) -> None:
        """Send what is not heard, perhaps again."""
        for (name, _, _), event in self.events.items():
            if name == saga and event is not None:
                self.send_after_sync(*event)
        if saga in self.sagas:
            self.release(saga)
        self.wait(saga)

    def on_heard(self, sender: NodeId, message: Heard) -> None:
        """The event need not be sent again."""
        self.events[message.saga, message.step, message.back] = None

    def on_step_done(self, sender: NodeId, message: StepDone) -> None:
        """It is this service's turn: do the step, and tell the next one, or the one before."""
        saga, step, work = message.saga, message.step, message.work
        if not self.is_repeated(saga, step, back=False):
            retriable = message.pivot is not None and step > message.pivot
            why = self.objection(saga, work[step][1], retriable)
            if why and retriable:
                return  # the event will come again
            self.take_step(saga, step, work[step][1], why, retriable)
            if why:
                self.pass_back(saga, step, work)
            elif step + 1 < len(work):
                self.publish(work, StepDone(saga, step + 1, work, message.pivot), step + 1, back=False)
            else:
                self.close(saga, Progress(work, message.pivot, done=len(work)))
        self.send_after_sync(sender, Heard(saga, step, back=False))

    def on_step_failed(self, sender: NodeId, message: StepFailed) -> None:
        """The steps above are out: compensate this one, and tell the one before."""
        saga, step, work = message.saga, message.step, message.work
        if not self.is_repeated(saga, step, back=True):
            back = undone(work[step][1])
            if refusal(self.balances, back):
                return  # the event will come again
            self.ledger[saga, step, True] = back
            self.change(saga, back, back=True)
            self.pass_back(saga, step, work)
        self.send_after_sync(sender, Heard(saga, step, back=True))

    def pass_back(self, saga: str, step: int, work: Work) -> None:
        """Tell the service of the step before ``step``; before the first one, the saga is over."""
        if step > 0:
            self.publish(work, StepFailed(saga, step - 1, work), step - 1, back=True)
        else:
            self.close(saga, Progress(work, back=True))

    def close(self, saga: str, one: Progress) -> None:
        """Who does the last step, or takes back the first one, knows that the saga is over."""
        self.sagas[saga] = one
        self.finish(saga)
