"""The coordinator of transactions in two phases (TCC, AT): branch after branch does its first phase, then all of them
hear the decision. Unlike in two-phase commit, the first phase is a local transaction that commits: no database is
locked while the decision is out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from distlib.core.look import Look
from distlib.core.node import NodeId, durable
from distlib.transactions.bank import Operations, Work
from distlib.transactions.flexible.message import Began, Begin, Ended
from distlib.transactions.flexible.service import Service, check_work

Branch = tuple[str, int]
"""A branch transaction (分支事务): the global one's name, and its number."""


@dataclass(frozen=True, slots=True)
class PhaseOneDone:
    """Branch ``branch`` has committed its first phase."""

    gid: str
    branch: int

    look = Look("blue", "dot", place=10)


@dataclass(frozen=True, slots=True)
class PhaseOneFailed:
    """Branch ``branch`` has done nothing; ``why`` in words."""

    gid: str
    branch: int
    why: str

    look = Look("vermillion", "dot", place=11)


@dataclass(frozen=True, slots=True)
class PhaseTwoDone:
    """Branch ``branch`` has done what was decided."""

    gid: str
    branch: int

    look = Look("green", "dot", place=13)


@dataclass(frozen=True, slots=True)
class Global:
    """A global transaction (全局事务) in its coordinator's log: ``done`` branches are through their first phase and the
    next one is under way; ``commit`` is the decision, and the ``waiting`` branches have yet to carry it out."""

    work: Work
    done: int = 0
    commit: bool | None = None
    waiting: tuple[int, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether all branches have carried out the decision."""
        return self.commit is not None and not self.waiting


@dataclass
class Coordinator(Service):
    """The coordinator's part of a node; what a branch does in its phases is its subclass's."""

    transactions: dict[str, Global] = durable(dict)  # the coordinator's log

    def open_here(self) -> tuple[str, ...]:
        return tuple([gid for gid, one in self.transactions.items() if not one.ended])

    def has_turned_back(self, gid: str) -> bool:
        return self.transactions[gid].commit is False

    def first_phase(self, gid: str, branch: int, operations: Operations) -> Any:
        """The request for the first phase of a branch."""
        raise NotImplementedError

    def second_phase(self, gid: str, branch: int, operations: Operations, commit: bool) -> Any:
        """The request to carry out the decision in a branch."""
        raise NotImplementedError

    def on_begin(self, sender: NodeId, message: Begin) -> None:
        """Write the transaction to the log, then ask its first branch."""
        check_work(message)
        if message.gid not in self.transactions:
            self.transactions[message.gid] = Global(message.work)
            self.output(Began(message.gid))
            self.recover(message.gid)

    def recover(self, gid: str) -> None:
        """Go on where the log says; nothing decided is decided anew."""
        self.go_on(gid)
        self.be_patient(gid)

    def go_on(self, gid: str) -> None:
        """Ask the branch whose turn it is, or all that have not carried out the decision."""
        one = self.transactions[gid]
        for branch in (one.done,) if one.commit is None else one.waiting:
            node, operations = one.work[branch]
            if one.commit is None:
                self.send_after_sync(node, self.first_phase(gid, branch, operations))
            else:
                self.send_after_sync(node, self.second_phase(gid, branch, operations, one.commit))
        self.wait(gid)

    def on_retry_timeout(self, gid: str) -> None:
        """No answer: ask again."""
        if not self.transactions[gid].ended:
            self.go_on(gid)

    def on_phase_one_done(self, sender: NodeId, message: PhaseOneDone) -> None:
        """The branch is through: the next one, or the decision."""
        if self.is_awaited(message.gid, message.branch):
            one = replace(self.transactions[message.gid], done=message.branch + 1)
            self.transactions[message.gid] = one
            if self.may_commit(one):
                self.decide(message.gid, True)
            else:
                self.go_on(message.gid)

    def on_phase_one_failed(self, sender: NodeId, message: PhaseOneFailed) -> None:
        """One branch cannot: so nobody shall."""
        if self.is_awaited(message.gid, message.branch):
            self.decide(message.gid, False)

    def is_awaited(self, gid: str, branch: int) -> bool:
        """Only the answer of the branch that was asked counts, and only before the decision."""
        one = self.transactions.get(gid)
        return one is not None and one.commit is None and branch == one.done

    def may_commit(self, one: Global) -> bool:
        """Only when *all* branches are through their first phase."""
        return one.done == len(one.work)

    def on_patience_timeout(self, gid: str) -> None:
        """It takes too long: nobody shall, unless it is decided already."""
        if self.may_give_up(self.transactions[gid]):
            self.decide(gid, False)

    def may_give_up(self, one: Global) -> bool:
        """A decision is for good."""
        return one.commit is None

    def decide(self, gid: str, commit: bool) -> None:
        """The decision: on disk before any branch hears of it."""
        one = self.transactions[gid]
        self.transactions[gid] = replace(one, commit=commit, waiting=self.concerned(one, commit))
        self.go_on(gid)

    def concerned(self, one: Global, commit: bool) -> tuple[int, ...]:
        """Which branches must hear of the decision: also one that was asked and has not answered, for it may be
        through, or the request may still come."""
        return tuple(range(min(one.done + 1, len(one.work))))

    def on_phase_two_done(self, sender: NodeId, message: PhaseTwoDone) -> None:
        """One branch less; without any, the transaction is over."""
        one = self.transactions[message.gid]
        if message.branch in one.waiting:
            one = replace(one, waiting=tuple([branch for branch in one.waiting if branch != message.branch]))
            self.transactions[message.gid] = one
            if one.ended:
                self.finish(message.gid)

    def finish(self, gid: str) -> None:
        """All have carried out the decision."""
        self.output(Ended(gid, bool(self.transactions[gid].commit)))
