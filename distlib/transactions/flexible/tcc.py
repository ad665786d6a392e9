"""TCC: Try reserves, Confirm uses what is reserved, Cancel lets it go; each is a local transaction of its service.

After Pardon & Pautasso, *Atomic Distributed Transactions: a RESTful Design* (2014), and as DTM and Seata have it. What
makes it hard is a network in which requests are repeated, late and overtaken, the three traps: 空回滚, a cancel whose
try never came; 悬挂, a try that comes after its cancel; 幂等, a request that comes twice. DTM's *barrier* (子事务屏障,
https://en.dtm.pub/exception/barrier) cures all three by inserts into one table, in the same local transaction.
"""

from __future__ import annotations

from dataclasses import dataclass

from distlib.core.look import Look
from distlib.core.node import NodeId, durable
from distlib.transactions.bank import Add, Operations, Read, refusal
from distlib.transactions.flexible.coordinator import Branch, Coordinator, PhaseOneDone, PhaseOneFailed, PhaseTwoDone
from distlib.transactions.flexible.message import Applied

TRY, CONFIRM, CANCEL = "try", "confirm", "cancel"


@dataclass(frozen=True, slots=True)
class Try:
    """Check and reserve."""

    gid: str
    branch: int
    operations: Operations

    look = Look("blue", place=10)


@dataclass(frozen=True, slots=True)
class Confirm:
    """Use what is reserved: it must succeed."""

    gid: str
    branch: int
    operations: Operations

    look = Look("green", place=13)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Let go of what is reserved, if anything is: it must succeed."""

    gid: str
    branch: int
    operations: Operations

    look = Look("orange", place=13)


@dataclass
class TCC(Coordinator):
    """One node, which may be coordinator of some transactions and a service in the same or others."""

    frozen: dict[str, int] = durable(dict)  # money that a try has taken out of the balance, by account
    barrier: dict[tuple[str, int, str], str] = durable(dict)  # the table; unique key: gid, branch, op. Value: by whom

    def held(self) -> tuple[str, ...]:
        return tuple([f"{amount} of {account} frozen" for account, amount in self.frozen.items() if amount])

    def first_phase(self, gid: str, branch: int, operations: Operations) -> Try:
        return Try(gid, branch, operations)

    def second_phase(self, gid: str, branch: int, operations: Operations, commit: bool) -> Confirm | Cancel:
        return (Confirm if commit else Cancel)(gid, branch, operations)

    # --- the service's three operations ---------------------------------------------------------------------

    def on_try(self, sender: NodeId, message: Try) -> None:
        """Freeze what goes out; what comes in waits for the confirm. A refusal rolls the barrier's insert back, too."""
        key, why = (message.gid, message.branch), ""
        if self.passes(key, TRY):
            why = refusal(self.balances, message.operations)
            if why:
                del self.barrier[*key, TRY]
            else:
                self.freeze(message.operations, 1)
                if read := tuple([one for one in message.operations if isinstance(one, Read)]):
                    self.output(Applied(message.gid, read))
        answer = PhaseOneFailed(*key, why) if why else PhaseOneDone(*key)
        self.send_after_sync(sender, answer)

    def on_confirm(self, sender: NodeId, message: Confirm) -> None:
        """What was frozen is gone, what comes in is there: now others see it."""
        key = (message.gid, message.branch)
        if self.passes(key, CONFIRM):
            self.freeze(message.operations, -1)
            self.change(message.gid, tuple([one for one in message.operations if isinstance(one, Add)]))
        self.send_after_sync(sender, PhaseTwoDone(*key))

    def on_cancel(self, sender: NodeId, message: Cancel) -> None:
        """What was frozen is free again."""
        key = (message.gid, message.branch)
        if self.passes(key, CANCEL):
            self.freeze(message.operations, -1)
        self.send_after_sync(sender, PhaseTwoDone(*key))

    def freeze(self, operations: Operations, sign: int) -> None:
        """Take what ``operations`` pay out of the balance and freeze it (``sign`` 1), or put it back (-1)."""
        for one in operations:
            if isinstance(one, Add) and one.amount < 0:
                self.frozen[one.account] = self.frozen.get(one.account, 0) - sign * one.amount
                self.balances[one.account] += sign * one.amount

    def visible(self, account: str) -> int:
        return self.balances.get(account, 0) + self.frozen.get(account, 0)

    # --- the barrier (DTM) ------------------------------------------------------------------------------------

    def passes(self, key: Branch, op: str) -> bool:
        """Whether the business part of ``op`` is to be done: decided by inserts alone."""
        empty = op == CANCEL and self.shuts_out_try(key)
        return self.is_first(key, op) and not empty

    def shuts_out_try(self, key: Branch) -> bool:
        """A cancel inserts ``try`` first. If that succeeds, the try has not come: there is nothing to cancel (空回滚),
        and a try that comes now finds its key taken (悬挂)."""
        return self.insert(key, TRY, CANCEL)

    def is_first(self, key: Branch, op: str) -> bool:
        """The insert of ``op`` itself succeeds once (幂等)."""
        return self.insert(key, op, op)

    def insert(self, key: Branch, op: str, by: str) -> bool:
        """``INSERT IGNORE``: whether there was no such row yet."""
        new = (*key, op) not in self.barrier
        self.barrier.setdefault((*key, op), by)
        return new
