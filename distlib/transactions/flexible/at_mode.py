"""AT (automatic transaction) mode of Seata: the framework itself writes down how to take back what SQL has done.

https://seata.apache.org/docs/dev/mode/at-mode (below: Seata). Phase one commits business data and *undo log* in one
local transaction; before that it takes the *global lock* (全局锁) of each row at the transaction coordinator. Phase two
deletes the undo log, or restores from it. Writers are kept apart by the global lock: no dirty write (脏写). Readers are
not: globally, reads are *read uncommitted*, unless ``SELECT FOR UPDATE`` asks whether the global lock is free.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from distlib.core import require
from distlib.core.look import Look
from distlib.core.node import NodeId, durable, setting, volatile
from distlib.transactions.bank import Add, Operations, Read, applied, refusal, undone
from distlib.transactions.flexible.coordinator import Branch, Coordinator, PhaseOneDone, PhaseOneFailed, PhaseTwoDone
from distlib.transactions.flexible.message import Begin, ReadAccount
from distlib.transactions.flexible.service import Pairs

Row = tuple[NodeId, str]
"""A row, as the global lock names it: the node and the account."""


@dataclass(frozen=True, slots=True)
class Execute:
    """Phase one: run the branch's SQL."""

    gid: str
    branch: int
    operations: Operations

    look = Look("blue", place=10)


@dataclass(frozen=True, slots=True)
class Register:
    """A branch asks for the global locks of what it has written, before it commits locally; of what it has read with
    ``SELECT FOR UPDATE``, only whether nobody else holds them (Seata, SelectForUpdateExecutor: it checks them)."""

    gid: str
    branch: int
    written: tuple[str, ...]
    read: tuple[str, ...] = ()

    look = Look("purple", place=14)


@dataclass(frozen=True, slots=True)
class Registered:
    """The branch has the global locks: it may commit."""

    gid: str
    branch: int

    look = Look("purple", "dot", place=14)


@dataclass(frozen=True, slots=True)
class LockConflict:
    """Another transaction holds one of the global locks: ask again."""

    gid: str
    branch: int

    look = Look("vermillion", "dot", place=15)


@dataclass(frozen=True, slots=True)
class CommitBranch:
    """Phase two, the good end: the undo log can go."""

    gid: str
    branch: int

    look = Look("green", place=13)


@dataclass(frozen=True, slots=True)
class RollBackBranch:
    """Phase two, the bad end: restore what was there before."""

    gid: str
    branch: int

    look = Look("orange", place=13)


@dataclass(frozen=True, slots=True)
class CheckLock:
    """May ``reader``, who asks with ``SELECT FOR UPDATE``, see the account?"""

    reader: NodeId
    question: ReadAccount

    look = Look("mist", place=91)
    routine = True


@dataclass(frozen=True, slots=True)
class LockFree:
    """Nobody holds the global lock of the account; a reader that is not told so asks again."""

    reader: NodeId
    question: ReadAccount

    look = Look("mist", "dot", place=91)
    routine = True


@dataclass(frozen=True, slots=True)
class Undo:
    """A row of the undo log: the balances before (前镜像) and after (后镜像), and what was done."""

    before: Pairs
    after: Pairs
    operations: Operations


@dataclass(frozen=True, slots=True)
class Local:
    """A local transaction that has not committed; it has asked ``asked`` times for its locks."""

    operations: Operations
    asked: int = 0


@dataclass
class ATMode(Coordinator):
    """One node: a resource manager with its accounts, and, if it is ``coordinator``, the transaction coordinator.

    A branch asks ``lock_tries`` times for its locks, every ``lock_retry_ms`` (Seata's defaults: 30 times, every 10 ms),
    then gives up. Between two attempts it lets go of its local locks, unless it ``keeps_local_locks`` (Seata: a local
    transaction of several statements, or client.rm.lock.retry-policy-branch-rollback-on-conflict switched off). With
    ``for_update``, reads are ``SELECT FOR UPDATE``.
    """

    coordinator: NodeId = setting("S1")
    for_update: bool = setting(False)
    keeps_local_locks: bool = setting(False)
    patience_ms: float | None = setting(500.0)
    lock_retry_ms: float = setting(10.0)
    lock_tries: int = setting(30)

    # transaction coordinator
    locks: dict[Row, str] = durable(dict)  # global locks: the transaction, by row

    # resource manager
    undo: dict[Branch, Undo] = durable(dict)  # the undo log
    closed: dict[Branch, bool] = durable(dict)  # branches through phase two, and whether they were committed
    local: dict[str, Branch] = volatile(dict)  # local locks: the branch, by account
    running: dict[Branch, Local] = volatile(dict)  # local transactions that have not committed

    def __post_init__(self) -> None:
        super().__post_init__()
        require.flag("for_update", self.for_update)
        require.flag("keeps_local_locks", self.keeps_local_locks)
        require.above("lock_retry_ms", self.lock_retry_ms, unit="ms")
        require.whole("lock_tries", self.lock_tries, 1)

    def held(self) -> tuple[str, ...]:
        undo = [f"undo {gid}.{branch}" for gid, branch in self.undo]
        local = [f"{account} locked here" for account in self.local]
        return (*undo, *local, *(f"{account}@{node} for {gid}" for (node, account), gid in self.locks.items()))

    def first_phase(self, gid: str, branch: int, operations: Operations) -> Execute:
        return Execute(gid, branch, operations)

    def second_phase(self, gid: str, branch: int, operations: Operations, commit: bool) -> Any:
        return (CommitBranch if commit else RollBackBranch)(gid, branch)

    # --- transaction coordinator ------------------------------------------------------------------------------

    def on_begin(self, sender: NodeId, message: Begin) -> None:
        """Only the coordinator begins transactions; another node passes the request on."""
        if self.id == self.coordinator:
            super().on_begin(sender, message)
        else:
            self.send(self.coordinator, message)

    def on_register(self, sender: NodeId, message: Register) -> None:
        """Give the branch its global locks, all or none."""
        rows = [(sender, account) for account in message.written]
        read = [(sender, account) for account in message.read]
        if self.may_register(message.gid) and all(self.is_free(row, message.gid) for row in (*rows, *read)):
            self.locks |= dict.fromkeys(rows, message.gid)
            self.send_after_sync(sender, Registered(message.gid, message.branch))
        else:
            self.send(sender, LockConflict(message.gid, message.branch))

    def may_register(self, gid: str) -> bool:
        """Only while the transaction is not decided."""
        return gid in self.transactions and self.transactions[gid].commit is None

    def is_free(self, row: Row, gid: str) -> bool:
        """A row has one global lock, and no other transaction may hold it (Seata: 写隔离)."""
        return self.locks.get(row, gid) == gid

    def decide(self, gid: str, commit: bool) -> None:
        """With a commit the global locks go at once; with a rollback they stay until all is restored (Seata)."""
        if not self.keeps_locks(commit):
            self.release(gid)
        super().decide(gid, commit)

    def keeps_locks(self, commit: bool) -> bool:
        """Whether the global locks are held through phase two: who rolls back must find its own after image."""
        return not commit

    def finish(self, gid: str) -> None:
        self.release(gid)
        super().finish(gid)

    def release(self, gid: str) -> None:
        """The global locks of the transaction go."""
        self.locks = {row: holder for row, holder in self.locks.items() if holder != gid}

    # --- resource manager: phase one ----------------------------------------------------------------------------

    def on_execute(self, sender: NodeId, message: Execute) -> None:
        """Begin the local transaction, unless it runs, has committed, or is not wanted any more."""
        key = (message.gid, message.branch)
        if key in self.undo:
            self.send_after_sync(sender, PhaseOneDone(*key))
        elif key not in self.running and not self.is_shut_out(key):
            self.running[key] = Local(message.operations)
            self.ask_for_locks(key)

    def ask_for_locks(self, key: Branch) -> None:
        """Take the local locks as the SQL runs, then ask for the global ones; wait where either is taken."""
        operations = self.running[key].operations
        self.running[key] = replace(self.running[key], asked=self.running[key].asked + 1)
        if why := refusal(self.balances, operations):
            self.give_up(key, why)
            return
        if not self.is_locked_by_another(operations, key):
            self.local |= dict.fromkeys(written(operations), key)
            read = tuple([one.account for one in operations if isinstance(one, Read)]) if self.for_update else ()
            self.send(self.coordinator, Register(*key, written(operations), read))
        self.set_timer("lock", self.lock_retry_ms, key=key)

    def is_locked_by_another(self, operations: Operations, key: Branch) -> bool:
        """Whether a local transaction that runs has written one of the accounts."""
        return any(self.local.get(account, key) != key for account in written(operations))

    def on_lock_conflict(self, sender: NodeId, message: LockConflict) -> None:
        """Let go of the local locks, which the rollback of the one that holds the global lock may need."""
        if not self.keeps_local_locks:
            self.unlock((message.gid, message.branch))

    def on_lock_timeout(self, key: Branch) -> None:
        """No locks yet: ask again, for a while. A rollback that needs the local locks of one who keeps them while it
        waits succeeds as the wait is bounded (Seata: 写隔离)."""
        if key not in self.running:
            return
        if self.running[key].asked < self.lock_tries:
            self.ask_for_locks(key)
        else:
            self.give_up(key, "a row is locked")

    def give_up(self, key: Branch, why: str) -> None:
        """Roll the local transaction back: nothing was written yet."""
        self.end_locally(key)
        self.send_after_sync(self.coordinator, PhaseOneFailed(*key, why))

    def end_locally(self, key: Branch) -> None:
        """The local transaction is over, its locks are free."""
        self.running.pop(key, None)
        self.unlock(key)
        self.cancel_timer("lock", key)

    def unlock(self, key: Branch) -> None:
        """The branch's local locks are free."""
        self.local = {account: holder for account, holder in self.local.items() if holder != key}

    def on_registered(self, sender: NodeId, message: Registered) -> None:
        """The global locks are there: commit data and undo log in one local transaction."""
        key = (message.gid, message.branch)
        if key not in self.running or self.is_locked_by_another(self.running[key].operations, key):
            return
        operations = self.running[key].operations
        if why := refusal(self.balances, operations):  # changed since, while it had no local lock
            self.give_up(key, why)
            return
        self.write_undo_log(key, operations)
        self.change(key[0], operations)
        self.end_locally(key)
        self.send_after_sync(sender, PhaseOneDone(*key))

    def write_undo_log(self, key: Branch, operations: Operations) -> None:
        """The images before and after, under the unique key of transaction and branch."""
        accounts = written(operations)
        after = applied(self.balances, operations)
        before = tuple([(account, self.balances[account]) for account in accounts])
        self.undo[key] = Undo(before, tuple([(account, after[account]) for account in accounts]), operations)

    # --- resource manager: phase two ----------------------------------------------------------------------------

    def on_commit_branch(self, sender: NodeId, message: CommitBranch) -> None:
        """The undo log is not needed any more."""
        self.close((message.gid, message.branch), True)

    def on_roll_back_branch(self, sender: NodeId, message: RollBackBranch) -> None:
        """Restore what the undo log says. Where that is not possible now, there is no answer, and the coordinator asks
        again: another local transaction holds the row, or it is no more as this branch has left it."""
        key = (message.gid, message.branch)
        self.end_locally(key)
        if key in self.undo:
            if self.is_locked_by_another(self.undo[key].operations, key) or self.is_dirty(self.undo[key]):
                return
            self.restore(key)
        self.close(key, False)

    def is_dirty(self, undo: Undo) -> bool:
        """Whether somebody else has written since: then the row differs from the after image, and restoring the before
        image would wipe that out (Seata: 数据校验)."""
        return any(self.balances[account] != balance for account, balance in undo.after)

    def restore(self, key: Branch) -> None:
        """Write the before image back."""
        undo = self.undo[key]
        back = tuple([Add(account, balance - self.balances[account]) for account, balance in undo.before])
        self.change(key[0], back or undone(undo.operations), back=True)

    def close(self, key: Branch, commit: bool) -> None:
        """The branch is through; its undo log goes."""
        self.undo.pop(key, None)
        self.shut_out(key, commit)
        self.send_after_sync(self.coordinator, PhaseTwoDone(*key))

    def shut_out(self, key: Branch, commit: bool) -> None:
        """A branch that has not committed must not do so later: the row that Seata leaves in the undo log for that
        (``log_status`` 1), on which the insert of a late branch fails."""
        self.closed.setdefault(key, commit)

    def is_shut_out(self, key: Branch) -> bool:
        """Whether the branch comes too late."""
        return key in self.closed

    # --- readers ------------------------------------------------------------------------------------------------

    def on_read_account(self, sender: NodeId, message: ReadAccount) -> None:
        """A plain ``SELECT`` sees what is committed locally; ``SELECT FOR UPDATE`` asks for the global lock first."""
        if self.for_update:
            self.send(self.coordinator, CheckLock(sender, message))
        else:
            self.show(sender, message)

    def on_check_lock(self, sender: NodeId, message: CheckLock) -> None:
        """Answer when the row is free."""
        if (sender, message.question.account) not in self.locks:
            self.send(sender, LockFree(message.reader, message.question))

    def on_lock_free(self, sender: NodeId, message: LockFree) -> None:
        """What is committed locally was committed globally when the coordinator looked. Seata holds the row's local
        lock meanwhile; here a branch that has come between is known by its undo log, and the reader asks again."""
        account = message.question.account
        if not any(account == one for undo in self.undo.values() for one, _ in undo.after):
            self.show(message.reader, message.question)


def written(operations: Operations) -> tuple[str, ...]:
    """The accounts that ``operations`` change."""
    return tuple(dict.fromkeys(one.account for one in operations if isinstance(one, Add)))
