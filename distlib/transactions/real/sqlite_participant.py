"""SQLite as a participant: one process a database file, with the two-phase methods that SQLite itself has not.

SQLite commits a transaction at once or not at all; between the two phases nothing of it would survive a crash. So a
prepared transaction is a *committed* row of a table: its statements, and the accounts they change, which triggers of
the file lock against everybody. The commit carries the statements out and removes the row in one transaction of
SQLite's. What makes it right: the locked accounts are as they were when the statements were tried, so they cannot fail
now.

Run as ``python -m distlib.transactions.real.sqlite_participant``: connections come over loopback, in lines of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import socketserver
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from distlib.core.node import NodeId
from distlib.real.child import Closed, Tell, run_child
from distlib.real.http_connection import HOST
from distlib.real.keeper import Kept, new_home
from distlib.transactions.bank import Balances
from distlib.transactions.real.database import (
    TABLES,
    USED,
    Database,
    DatabaseDownError,
    InDoubt,
    LockedError,
    NotPreparedError,
    RefusedError,
    check_balances,
)

LOCKED = "the row is locked by a prepared transaction"
SCHEMA = f"""
PRAGMA journal_mode = WAL;
{";".join(TABLES)};
CREATE TABLE IF NOT EXISTS prepared (
    transaction_id TEXT PRIMARY KEY, statements TEXT NOT NULL, prepared_s REAL NOT NULL);
CREATE TABLE IF NOT EXISTS locks (account TEXT PRIMARY KEY, transaction_id TEXT NOT NULL);
CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON accounts
    WHEN OLD.account IN (SELECT account FROM locks) BEGIN SELECT RAISE(ABORT, '{LOCKED}'); END;
CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON accounts
    WHEN OLD.account IN (SELECT account FROM locks) BEGIN SELECT RAISE(ABORT, '{LOCKED}'); END;
CREATE TRIGGER IF NOT EXISTS no_second BEFORE INSERT ON committed
    WHEN NEW.transaction_id IN (SELECT transaction_id FROM prepared) BEGIN SELECT RAISE(ABORT, '{LOCKED}'); END;
"""
TOUCHED = """
CREATE TEMP TABLE touched (account TEXT PRIMARY KEY);
CREATE TEMP TRIGGER touch AFTER UPDATE ON main.accounts BEGIN INSERT OR IGNORE INTO touched VALUES (OLD.account); END;
"""
CAN_BE_PREPARED = ("update accounts set balance", "insert into committed", "select")
"""Beginnings of the statements whose rows can be locked, so that they can be promised."""
TIMEOUT_S = 5.0


class Xid(NamedTuple):
    """A transaction's id, as PEP 249 has it."""

    format_id: int
    gtrid: str
    bqual: str


class Result(NamedTuple):
    """What a statement gave: as much of a cursor as is needed."""

    rows: list[Any]
    rowcount: int

    def fetchone(self) -> Any:
        """The first row, or None."""
        return self.rows[0] if self.rows else None

    def fetchall(self) -> list[Any]:
        """All rows."""
        return self.rows


class TwoPhaseSQLite(sqlite3.Connection):
    """A connection to a file of accounts that can prepare a transaction. ``execute`` begins one where none is open."""

    def __init__(self, path: Path, pages: int | None = None) -> None:
        super().__init__(path, timeout=TIMEOUT_S, isolation_level=None)
        self.executescript(SCHEMA + TOUCHED)
        super().execute("PRAGMA synchronous = FULL")  # on disk when a commit returns, which WAL alone does not promise
        if pages is not None:
            super().execute(f"PRAGMA max_page_count = {int(pages)}")  # a small disk, simulated by SQLite itself
        self.begun: str | None = None  # the id of the two-phase transaction that is open and not prepared
        self.statements: list[tuple[str, list[Any]]] = []

    def run(self, sql: str, parameters: Iterable[Any] = ()) -> Result:
        """One statement, in the open transaction or, with the write lock of the file, in a new one."""
        parameters = list(parameters)
        if self.begun is not None:
            if not " ".join(sql.lower().split()).startswith(CAN_BE_PREPARED):
                raise sqlite3.NotSupportedError(
                    f"{sql[:60]!r} cannot be prepared: only changed balances and ids can be locked until the decision"
                )
            self.statements.append((sql, parameters))
        elif not self.in_transaction:
            self.execute("BEGIN IMMEDIATE")
        cursor = self.execute(sql.replace("%s", "?"), parameters)
        return Result(cursor.fetchall(), cursor.rowcount)

    def tpc_begin(self, transaction: str) -> None:
        """Begin a transaction that is to be prepared."""
        if self.in_transaction:
            raise sqlite3.ProgrammingError(f"{transaction} cannot begin: another transaction is open here")
        self.execute("BEGIN IMMEDIATE")
        self.execute("DELETE FROM touched")
        self.execute("SAVEPOINT tried")
        self.begun, self.statements = transaction, []

    def tpc_prepare(self) -> None:
        """Take back what was tried; write down how to do it again, and lock it. When this returns it is on disk."""
        if self.begun is None:
            raise sqlite3.ProgrammingError("tpc_prepare comes after tpc_begin")
        touched = self.execute("SELECT account FROM touched").fetchall()
        self.execute("ROLLBACK TO tried")
        record = (self.begun, json.dumps(self.statements), time.time())
        try:
            self.execute("INSERT INTO prepared VALUES (?, ?, ?)", record)
        except sqlite3.IntegrityError:
            raise sqlite3.IntegrityError(f"the transaction id {self.begun} is in use: it is prepared here") from None
        self.executemany("INSERT INTO locks VALUES (?, ?)", [(account, self.begun) for (account,) in touched])
        self.commit()
        self.begun = None

    def tpc_commit(self, transaction: str) -> None:
        """Carry out what was prepared. ``DataError`` if nothing was."""
        self.execute("BEGIN IMMEDIATE")
        try:
            statements = self._forget(transaction)
            for sql, parameters in json.loads(statements):
                self.execute(sql.replace("%s", "?"), parameters)
            self.commit()
        except BaseException:
            self.rollback()
            raise

    def tpc_rollback(self, transaction: str) -> None:
        """Forget what was prepared. ``DataError`` if nothing was."""
        self.execute("BEGIN IMMEDIATE")
        try:
            self._forget(transaction)
        finally:
            self.commit()

    def rollback(self) -> None:
        """Undo what is not prepared."""
        self.begun = None
        super().rollback()

    def _forget(self, transaction: str) -> str:
        self.execute("DELETE FROM locks WHERE transaction_id = ?", (transaction,))
        found = self.execute("DELETE FROM prepared WHERE transaction_id = ? RETURNING statements", (transaction,))
        row = found.fetchone()
        if row is None:
            raise sqlite3.DataError(f"{transaction} is not prepared here")
        return str(row[0])

    def tpc_recover(self) -> list[Any]:
        """Transactions that are prepared: id, seconds since the epoch, accounts locked."""
        rows = self.execute(
            "SELECT transaction_id, prepared_s, json_group_array(account) FILTER (WHERE account IS NOT NULL)"
            " FROM prepared LEFT JOIN locks USING (transaction_id) GROUP BY 1 ORDER BY 2"
        )
        return [(transaction, prepared_s, json.loads(locked)) for transaction, prepared_s, locked in rows]


# --- the process ---------------------------------------------------------------------------------------------

CALLS: dict[str, Callable[..., Any]] = {
    "execute": TwoPhaseSQLite.run, "commit": TwoPhaseSQLite.commit, "rollback": TwoPhaseSQLite.rollback,
    "tpc_begin": TwoPhaseSQLite.tpc_begin, "tpc_prepare": TwoPhaseSQLite.tpc_prepare,
    "tpc_commit": TwoPhaseSQLite.tpc_commit, "tpc_rollback": TwoPhaseSQLite.tpc_rollback,
    "tpc_recover": TwoPhaseSQLite.tpc_recover,
}  # fmt: skip


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads = True, True

    def __init__(self, task: Mapping[str, Any]) -> None:
        self.task, port = task, _port_in(Path(task["ready"]))
        try:
            super().__init__((HOST, port), _Conversation)
        except OSError as error:
            where = f"port {port}, where it listened before it died" if port else "any port"
            raise SystemExit(f"the participant cannot listen at {where}: {error.strerror}") from error


class _Conversation(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: _Server

    def handle(self) -> None:
        """Answer the calls of one client, until it leaves; then what is not prepared is undone."""
        task = self.server.task
        if not secrets.compare_digest(self.rfile.readline().strip(), task["token"].encode()):
            return
        with suppress(ConnectionError), closing(TwoPhaseSQLite(Path(task["path"]), task["pages"])) as connection:
            for line in self.rfile:
                call, arguments = json.loads(line)
                self.wfile.write(json.dumps(_answer(connection, call, arguments)).encode() + b"\n")


def _answer(connection: TwoPhaseSQLite, call: str, arguments: list[Any]) -> dict[str, Any]:
    try:
        return {"answer": CALLS[call](connection, *arguments)}
    except sqlite3.Error as error:
        return {"error": type(error).__name__, "says": str(error)}


async def work(task: Mapping[str, Any], tell: Tell) -> None:
    """Serve the file until nobody wants it any more."""
    TwoPhaseSQLite(Path(task["path"])).close()
    with _Server(task) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        ready = Path(task["ready"])
        new = ready.with_suffix(".new")  # a kill in between leaves the old file
        new.write_text(f"{os.getpid()}\nready\n{server.server_address[1]}\n")
        new.replace(ready)
        await asyncio.Event().wait()


# --- seen from outside ----------------------------------------------------------------------------------------


class RemoteConnection(Closed):
    """A connection to a participant process, with the DB-API's names; its errors are those of ``sqlite3``."""

    def __init__(self, port: int, token: str) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=4 * TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rwb")
        self._file.write(token.encode() + b"\n")
        self.closed = False
        self._open: tuple[str, bool] | None = None  # the two-phase transaction begun here, and whether it is prepared

    def _call(self, call: str, *arguments: Any) -> Any:
        if self.closed:
            raise ConnectionResetError("the connection is closed")
        try:
            self._file.write(json.dumps([call, arguments]).encode() + b"\n")
            self._file.flush()
            line = self._file.readline()
            if not line:
                raise ConnectionResetError("the participant hung up")
        except OSError:
            self.close()
            raise
        told = json.loads(line)
        if "error" in told:
            raise getattr(sqlite3, told["error"])(told["says"])
        return told["answer"]

    def close(self) -> None:
        """Hang up: what is not prepared is undone."""
        self.closed = True
        with suppress(OSError):
            self._file.close()
        self._socket.close()

    def execute(self, sql: str, parameters: Iterable[Any] = ()) -> Result:
        """One statement, with ``%s`` for each parameter."""
        return Result(*self._call("execute", sql, list(parameters)))

    def commit(self) -> None:
        """End the transaction: it is on disk when this returns."""
        self._call("commit")

    def rollback(self) -> None:
        """Undo the transaction."""
        self._call("rollback")

    def xid(self, format_id: int, gtrid: str, bqual: str) -> Xid:
        """A transaction's id; ``gtrid`` alone tells transactions apart."""
        return Xid(format_id, gtrid, bqual)

    def tpc_begin(self, xid: Xid) -> None:
        """Begin a transaction that is to be prepared."""
        self._call("tpc_begin", xid.gtrid)
        self._open = (xid.gtrid, False)

    def tpc_prepare(self) -> None:
        """The first phase: when this returns, commit and abort are both possible, whatever dies."""
        assert self._open is not None, "tpc_prepare comes after tpc_begin"
        self._call("tpc_prepare")
        self._open = (self._open[0], True)

    def tpc_commit(self, xid: Xid | None = None) -> None:
        """The second phase, of the transaction that this connection has begun, or of ``xid``."""
        self._finish("commit", xid)

    def tpc_rollback(self, xid: Xid | None = None) -> None:
        """The other second phase."""
        self._finish("rollback", xid)

    def _finish(self, how: str, xid: Xid | None) -> None:
        transaction, prepared = (xid.gtrid, True) if xid is not None else self._open or ("", False)
        if xid is None:
            self._open = None
        self._call(*((f"tpc_{how}", transaction) if prepared else (how,)))

    def tpc_recover(self) -> list[Xid]:
        """The transactions that are prepared."""
        return [Xid(1, transaction, "") for transaction, _, _ in self._call("tpc_recover")]

    def in_doubt(self) -> list[Any]:
        """The same, with the time and the locked accounts."""
        return list(self._call("tpc_recover"))


@dataclass(frozen=True)
class SQLite(Database):
    """A file of accounts behind its participant process."""

    port: int
    token: str
    product: ClassVar[str] = "SQLite"

    def connect(self) -> RemoteConnection:
        try:
            return RemoteConnection(self.port, self.token)
        except OSError as error:
            raise DatabaseDownError(f"{self.name} is down: nobody listens at port {self.port} ({error})") from error

    def read(self, error: Exception, connection: Any) -> Exception:
        if isinstance(error, OSError):
            return DatabaseDownError(f"{self.name} is down: {error}")
        if isinstance(error, sqlite3.DataError):
            return NotPreparedError(f"{self.name}: {error}")
        if not isinstance(error, sqlite3.Error) or isinstance(error, sqlite3.ProgrammingError):
            return error
        if str(error) in (LOCKED, "database is locked"):
            return LockedError(f"{self.name}: {error}")
        return RefusedError(f"{self.name}: {USED if 'committed' in str(error) else error}")

    def in_doubt(self, connection: Any) -> tuple[InDoubt, ...]:
        return tuple([InDoubt(self.name, one, since, tuple(locked)) for one, since, locked in connection.in_doubt()])

    def locked_balances(self, connection: Any) -> dict[str, int]:
        rows = connection.execute("SELECT account, balance FROM accounts").fetchall()
        if connection.execute("SELECT 1 FROM locks").fetchall():
            raise LockedError(f"{self.name}: {LOCKED}")
        return {account: int(balance) for account, balance in rows}


class SQLiteParticipant(Kept):
    """A participant process with a file of its own in a temporary directory, started again whenever it is killed. Its
    file can have at most ``pages`` pages of 4,096 bytes (None: as many as the disk has)."""

    def __init__(self, name: NodeId, balances: Balances, *, pages: int | None = None, pause_s: float = 0.0) -> None:
        check_balances(balances)
        with new_home("sqlite") as home:
            path, ready, token = home / "accounts.db", home / "ready", secrets.token_hex(16)
            with closing(TwoPhaseSQLite(path)) as file:
                file.executemany("INSERT INTO accounts VALUES (?, ?)", balances.items())
            task = {"path": str(path), "ready": str(ready), "token": token, "pages": pages}
            super().__init__({
                "home": str(home), "ready": str(ready), "first": [], "input": json.dumps(task), "user": None,
                "command": [sys.executable, "-P", "-m", __name__], "end": int(signal.SIGTERM), "pause_s": pause_s,
            })  # fmt: skip
        self.database = SQLite(name, _port_in(ready), token)


def _port_in(ready: Path) -> int:
    """The port at which a participant listens: also where it did before it died."""
    return int(ready.read_text().split()[2]) if ready.exists() else 0


if __name__ == "__main__":
    run_child(work)
