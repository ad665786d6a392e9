"""The same work without a common commit, on the same databases in plain SQL: saga, TCC, AT and outbox.

Each step is a local transaction, and notes itself in a table with a unique key in that same transaction: a step that
comes again changes nothing (幂等 idempotence). What undoes a step notes that step first; if it could, the step had
never been done, there is nothing to undo (空回滚 empty cancel), and the step can never come later (悬挂 hanging): the
*barrier* of DTM (dtm.pub, "Sub-transaction barrier"). So whoever finds work that is not over carries it on by doing all
of it again.

Run as ``python -m distlib.transactions.real.flexible``, with the tasks of ``coordinator.py``.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from distlib.core.codec import from_data, to_data
from distlib.core.node import NodeId
from distlib.real.child import Closed, Tell, run_child
from distlib.transactions.bank import Add, Operations, Work, undone
from distlib.transactions.real.coordinator import (
    DOWN_AGAIN_S,
    LOCKED_AGAIN_S,
    Databases,
    Executioner,
    Kill,
    databases_of,
    ticking,
)
from distlib.transactions.real.database import CHANGE, LOCK_TIMEOUT_S, DatabaseDownError, LockedError, RefusedError

Statement = tuple[str, tuple[Any, ...]]
HERE = "INSERT INTO committed (transaction_id) VALUES (%s)"
GONE = "DELETE FROM committed WHERE transaction_id = %s"
NOTE = "INSERT INTO steps (transaction_id, step) VALUES (%s, %s) ON CONFLICT DO NOTHING"


class Journal(Closed):
    """What the coordinator of sagas, TCC and AT knows, in a file of its own: transactions with their work and state,
    and AT's global locks."""

    def __init__(self, path: Path, room: int | None = None) -> None:
        self._file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._one_at_a_time = threading.Lock()
        self._file.executescript(
            "PRAGMA synchronous = FULL;"
            "CREATE TABLE IF NOT EXISTS work (id TEXT PRIMARY KEY, work TEXT NOT NULL, state TEXT NOT NULL);"
            "CREATE TABLE IF NOT EXISTS locks (place TEXT, account TEXT, id TEXT, PRIMARY KEY (place, account));"
        )
        if room is not None:
            self._file.execute(f"PRAGMA max_page_count = {max(1, room // 4096)}")

    def run(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        """One statement, on disk when it returns."""
        with self._one_at_a_time:
            return self._file.execute(sql, parameters).fetchall()

    def open(self) -> Iterator[tuple[str, Work, str]]:
        """What is not over."""
        for transaction, work, state in self.run("SELECT id, work, state FROM work WHERE state != 'over'", ()):
            yield transaction, from_data(Work, json.loads(work)), state

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Flexible:
    """A way to do a transaction's work at several databases, one local transaction after the other."""

    def __init__(self, databases: Databases, journal: Journal, tell: Tell, patience_s: float) -> None:
        self.databases, self.journal, self.tell, self.patience_s = databases, journal, tell, patience_s
        self.stopping = False

    def run(self, transaction: str, work: Work, state: str) -> None:
        """Carry it on from ``state`` (at first: begun) to its end."""
        raise NotImplementedError

    def recover(self) -> None:
        """After a crash: carry on all that is not over."""
        for transaction, work, state in self.journal.open():
            self.run(transaction, work, "begun again" if state == "begun" else state)

    def begin(self, transaction: str, work: Work) -> None:
        """Write down what is to be done, and do it."""
        self.journal.run("INSERT INTO work VALUES (?, ?, 'begun')", (transaction, json.dumps(to_data(work))))
        self.run(transaction, work, "begun")

    def write(self, transaction: str, state: str) -> str:
        """The coordinator's decision, on disk."""
        self.databases.step("before the decision", "")
        self.journal.run("UPDATE work SET state = ? WHERE id = ?", (state, transaction))
        self.databases.step("decided", "")
        return state

    def answer(self, transaction: str, commit: bool) -> None:
        """Tell the client."""
        told = {"number": int(transaction[1:]), "transaction": transaction, "commit": commit}
        self.tell({"answered": told, "at_s": time.time()})

    def end(self, transaction: str, commit: bool) -> None:
        """Nothing is left to do."""
        self.write(transaction, "over")
        self.answer(transaction, commit)

    def local(
        self, at: NodeId, transaction: str, step: str, statements: Iterable[Statement], *, undoes: str = "",
        insist: bool = False,
    ) -> None:  # fmt: skip
        """One local transaction: ``step``, once. A database that is down is waited for; a row that is locked for a
        moment or, if we ``insist``, for as long as it takes. Raises ``RefusedError``: nothing was done."""
        statements, began_s = tuple(statements), time.monotonic()

        def work(connection: Any) -> None:
            never_done = undoes and connection.execute(NOTE, (transaction, undoes)).rowcount == 1
            if connection.execute(NOTE, (transaction, step)).rowcount != 1:
                self.tell({"again": step, "transaction": transaction, "by": at})
            elif never_done:
                self.tell({"empty": step, "transaction": transaction, "by": at})
            else:
                for sql, parameters in statements:
                    if connection.execute(sql, parameters).rowcount != 1:
                        raise RefusedError(f"{at}: {step} finds no row for {', '.join(map(str, parameters))}")
            self.databases.step("worked", at)
            connection.commit()

        self.databases.step("before commit", at)
        while True:
            waited_s = time.monotonic() - began_s
            try:
                self.databases.use(self.databases.by_name[at], work)
                break
            except LockedError:
                if self.stopping or waited_s > (self.patience_s if insist else LOCK_TIMEOUT_S):
                    raise
                time.sleep(LOCKED_AGAIN_S)
            except DatabaseDownError:
                if self.stopping or waited_s > self.patience_s:
                    raise
                time.sleep(DOWN_AGAIN_S)
        self.databases.step("committed", at)


def changes(operations: Operations) -> list[Statement]:
    """The operations in SQL."""
    return [(CHANGE, (one.amount, one.account)) for one in operations if isinstance(one, Add)]


class Saga(Flexible):
    """Garcia-Molina & Salem 1987: do the steps one after the other, where all can see each; if one is refused, undo
    those before it in reverse. After a crash it goes forward again."""

    def run(self, transaction: str, work: Work, state: str) -> None:
        try:
            if state != "compensating":
                for at, operations in work:
                    self.local(at, transaction, "do", [(HERE, (transaction,)), *changes(operations)])
                return self.end(transaction, True)
        except RefusedError:
            self.write(transaction, "compensating")
        for at, operations in reversed(work):
            taken_back = [*changes(undone(operations)), (GONE, (transaction,))]
            self.local(at, transaction, "undo", taken_back, undoes="do", insist=True)
        return self.end(transaction, False)


class TCC(Flexible):
    """Try, confirm, cancel: money to be taken is set aside, and all confirm or all cancel. After a crash before the
    decision it cancels."""

    def run(self, transaction: str, work: Work, state: str) -> None:
        if state == "begun":
            try:
                for at, operations in work:
                    self.local(at, transaction, "try", self.tried(transaction, operations))
                state = self.write(transaction, "confirming")
            except RefusedError:
                state = "refused"
        if state != "confirming" and state != "cancelling":
            state = self.write(transaction, "cancelling")
        for at, operations in work:
            if state == "confirming":
                self.local(at, transaction, "confirm", self.confirmed(transaction, operations), insist=True)
            else:
                taken_back = self.cancelled(transaction, operations)
                self.local(at, transaction, "cancel", taken_back, undoes="try", insist=True)
        self.end(transaction, state == "confirming")

    def tried(self, transaction: str, operations: Operations) -> Iterator[Statement]:
        """Set aside what is to be taken, and see that there is an account for what is to be given."""
        for _, (amount, account) in changes(operations):
            yield CHANGE, (min(0, amount), account)
            sql = "INSERT INTO reserved (transaction_id, account, amount) VALUES (%s, %s, %s)"
            yield sql, (transaction, account, max(0, -amount))

    def confirmed(self, transaction: str, operations: Operations) -> Iterator[Statement]:
        """Give what is to be given; what was set aside is gone."""
        yield HERE, (transaction,)
        for _, (amount, account) in changes(operations):
            yield from self.freed(transaction, account, max(0, amount))

    def cancelled(self, transaction: str, operations: Operations) -> Iterator[Statement]:
        """Give back what was set aside."""
        for _, (amount, account) in changes(operations):
            yield from self.freed(transaction, account, max(0, -amount))

    def freed(self, transaction: str, account: str, amount: int) -> Iterator[Statement]:
        """``amount`` to the account, and nothing is set aside any more."""
        yield CHANGE, (amount, account)
        yield "DELETE FROM reserved WHERE transaction_id = %s AND account = %s", (transaction, account)


class AT(Flexible):
    """Seata's automatic mode: each branch commits by itself, with an undo log, under a global lock that keeps other AT
    transactions (and nobody else) from its rows until the end. Whoever reads meanwhile reads what may be undone."""

    def run(self, transaction: str, work: Work, state: str) -> None:
        if state == "begun":
            try:
                for at, operations in work:
                    self.lock(at, transaction, operations)
                    self.local(at, transaction, "do", self.done(transaction, operations))
                state = self.write(transaction, "committed")
            except RefusedError:
                pass
        if state not in ("committed", "rolling back"):
            state = self.write(transaction, "rolling back")
        for at, operations in reversed(work):
            if state == "committed":
                log = "DELETE FROM undo_log WHERE transaction_id = %s AND account = %s"
                forgotten = [(log, (transaction, account)) for _, (_, account) in changes(operations)]
                self.local(at, transaction, "forget", forgotten, insist=True)
            else:
                self.local(at, transaction, "undo", self.undone(transaction, operations), undoes="do", insist=True)
        self.journal.run("DELETE FROM locks WHERE id = ?", (transaction,))
        self.end(transaction, state == "committed")

    def lock(self, at: NodeId, transaction: str, operations: Operations) -> None:
        """The global locks, which the coordinator holds. Raises ``LockedError``."""
        end_s = time.monotonic() + LOCK_TIMEOUT_S
        sql = "INSERT INTO locks VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET id = id RETURNING id"
        for _, (_, account) in changes(operations):
            while (holder := self.journal.run(sql, (at, account, transaction))[0][0]) != transaction:
                if time.monotonic() > end_s:
                    raise LockedError(f"{at}: {account} is under the global lock of {holder}")
                time.sleep(LOCKED_AGAIN_S)

    def done(self, transaction: str, operations: Operations) -> Iterator[Statement]:
        """The changes, with the images before and after."""
        yield HERE, (transaction,)
        for sql, (amount, account) in changes(operations):
            yield sql, (amount, account)
            image = (
                "INSERT INTO undo_log (transaction_id, account, balance_before, balance_after)"
                " SELECT %s, account, balance - %s, balance FROM accounts WHERE account = %s"
            )
            yield image, (transaction, amount, account)

    def undone(self, transaction: str, operations: Operations) -> Iterator[Statement]:
        """The images before take the place of those after; where somebody has written since, no row is found."""
        yield GONE, (transaction,)
        for _, (_, account) in changes(undone(operations)):
            image = "(SELECT balance_{} FROM undo_log WHERE transaction_id = %s AND account = %s)"
            before, after = image.format("before"), image.format("after")
            sql = f"UPDATE accounts SET balance = {before} WHERE account = %s AND balance = {after}"
            yield sql, (transaction, account, account, transaction, account)
            yield "DELETE FROM undo_log WHERE transaction_id = %s AND account = %s", (transaction, account)


class Outbox(Flexible):
    """Local message table: the first branch and the message to the others are one local transaction, after which the
    client has its answer; the message is delivered until it is there. A refusal then comes too late: it is taken
    back."""

    def run(self, transaction: str, work: Work, state: str) -> None:
        (at, operations), *others = work
        if state == "begun":
            sent = (
                "INSERT INTO outbox (transaction_id, work) VALUES (%s, %s)",
                (transaction, json.dumps(to_data(work))),
            )
            try:
                self.local(at, transaction, "do", [(HERE, (transaction,)), *changes(operations), sent])
            except RefusedError:
                return self.answer(transaction, False)
            self.answer(transaction, True)
        received = ("DELETE FROM outbox WHERE transaction_id = %s", (transaction,))
        try:
            for to, theirs in others:
                self.local(to, transaction, "do", [(HERE, (transaction,)), *changes(theirs)], insist=True)
            self.local(at, transaction, "sent", [received], insist=True)
        except RefusedError:
            taken_back = [*changes(undone(operations)), (GONE, (transaction,)), received]
            self.local(at, transaction, "undo", taken_back, insist=True)
        return None

    def begin(self, transaction: str, work: Work) -> None:
        """There is no coordinator, and so no journal."""
        self.run(transaction, work, "begun")

    def recover(self) -> None:
        """Deliver what stands in the outboxes."""
        for database in self.databases.by_name.values():
            for transaction, work in self.databases.use(database, _outbox):
                self.run(transaction, from_data(Work, json.loads(work)), "sent")


def _outbox(connection: Any) -> list[Any]:
    found: list[Any] = connection.execute("SELECT transaction_id, work FROM outbox").fetchall()
    connection.rollback()
    return found


PROTOCOLS = {one.__name__: one for one in (Saga, TCC, AT, Outbox)}


async def work(task: Mapping[str, Any], tell: Tell) -> None:
    """Carry on what is not over, then do what ``task`` asks for, each client in a thread of its own."""
    kill = None if task["kill"] is None else Kill(**task["kill"])
    step = Executioner(kill, task["name"], task["pids"], tell)
    databases = Databases(databases_of(task), step)
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(len(task["clients"]) + 1))
    try:
        with Journal(Path(task["log"]), task["room"]) as journal:
            protocol = PROTOCOLS[task["protocol"]](databases, journal, tell, task["patience_s"])
            tick = asyncio.ensure_future(ticking(tell))
            await asyncio.to_thread(protocol.recover)
            tell({"recovered_s": time.time()})

            def client(requests: Iterable[tuple[int, Any]]) -> None:
                for number, one in requests:
                    time.sleep(task["think_s"])
                    if protocol.stopping:
                        break
                    protocol.begin(f"R{number}", from_data(Work, one))

            try:
                await asyncio.gather(*[asyncio.to_thread(client, requests) for requests in task["clients"]])
            finally:
                protocol.stopping = True
                tick.cancel()
            tell({"ended_s": time.time()})
    except (OSError, ValueError, sqlite3.Error) as error:
        with suppress(BrokenPipeError):
            tell({"failed": type(error).__name__, "says": str(error)})
    finally:
        databases.close()


if __name__ == "__main__":
    run_child(work)
