"""What the experiments ask of a database, in the words of Python's DB-API (PEP 249) and its two-phase extension."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from distlib.core import require
from distlib.core.node import NodeId
from distlib.transactions.bank import Add, Balances, Operation, Read

TABLES = (
    """CREATE TABLE IF NOT EXISTS accounts (
        account TEXT PRIMARY KEY, balance BIGINT NOT NULL CONSTRAINT no_debts CHECK (balance >= 0))""",
    "CREATE TABLE IF NOT EXISTS committed (transaction_id TEXT PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS steps (transaction_id TEXT, step TEXT, PRIMARY KEY (transaction_id, step))",
    "CREATE TABLE IF NOT EXISTS reserved (transaction_id TEXT, account TEXT, amount BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS undo_log ("
    "transaction_id TEXT, account TEXT, balance_before BIGINT NOT NULL, balance_after BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS outbox (transaction_id TEXT PRIMARY KEY, work TEXT NOT NULL)",
)
"""Accounts, and which transactions have changed them, a row that is written in the same transaction. The rest is for
the flexible ways: steps that are done, money set aside, images of AT, messages to send."""

CHANGE = "UPDATE accounts SET balance = balance + %s WHERE account = %s RETURNING balance"
LOCK_TIMEOUT_S = 0.2
"""How long a transaction waits for a row: two that wait for each other at two databases would do so for ever, and
neither database could know."""
USED = "a transaction of this id was here before; an id is used once"
TWO_PHASE = ("xid", "tpc_begin", "tpc_prepare", "tpc_commit", "tpc_rollback", "tpc_recover")
"""PEP 249, "Optional Two-Phase Commit Extensions"."""


class DatabaseDownError(ConnectionError):
    """The database does not answer: what it has done of the last request is not known."""


class RefusedError(ValueError):
    """The database will not do it, and has done nothing: no such account, not enough money, a row that is locked."""


class LockedError(RefusedError):
    """Another transaction holds a row that is needed; later it may work."""


class NotPreparedError(LookupError):
    """The database has not prepared the transaction that is to be ended."""


class NoTwoPhaseError(TypeError):
    """The database, or the way it is set up, cannot prepare a transaction."""


@dataclass(frozen=True, slots=True)
class InDoubt:
    """A transaction that a database has prepared and has no decision for, as it reports it: since when (seconds since
    the epoch), and the accounts that nobody can change meanwhile."""

    database: NodeId
    transaction: str
    prepared_s: float
    locked: tuple[str, ...]


@dataclass(frozen=True)
class Database(ABC):
    """A database that runs, by ``name``, and how to reach it; written as JSON it can be reached from any process."""

    name: NodeId
    product: ClassVar[str]

    @abstractmethod
    def connect(self) -> Any:
        """A connection: ``execute(sql, parameters)``, ``commit``, ``rollback``, ``close`` and the two-phase methods. A
        transaction begins with the first statement. Raises ``DatabaseDownError``, ``NoTwoPhaseError``."""

    def check_two_phase(self, connection: Any) -> None:
        """``NoTwoPhaseError`` if the database, as it is set up and reached, cannot prepare a transaction."""
        require_two_phase(self.name, connection)

    @abstractmethod
    def read(self, error: Exception, connection: Any) -> Exception:
        """What an ``error`` of the driver means: one of this module's errors, or itself."""

    @abstractmethod
    def in_doubt(self, connection: Any) -> tuple[InDoubt, ...]:
        """Prepared transactions as the database itself lists them."""

    @abstractmethod
    def locked_balances(self, connection: Any) -> dict[str, int]:
        """All balances, read-locked in the transaction that this begins, without waiting. Raises ``LockedError``."""


def check_balances(balances: Balances) -> None:
    """``ValueError`` or ``TypeError`` for what an account cannot hold at first."""
    require.instance("balances", balances, Mapping, "a dict of accounts and what they hold")
    for account, balance in balances.items():
        require.whole(f"balances[{account!r}]", balance, 0, 2**63 - 1)


def require_two_phase(name: NodeId, connection: Any) -> None:
    """``NoTwoPhaseError`` for a connection without the DB-API's two-phase methods."""
    if lacking := [one for one in TWO_PHASE if not callable(getattr(connection, one, None))]:
        kind = f"{type(connection).__module__}.{type(connection).__name__}"
        raise NoTwoPhaseError(
            f"{name} is reached by a {kind}, which has no {', '.join(lacking)}: it cannot take part in a two-phase "
            "commit; take psycopg for PostgreSQL, or a participant process for SQLite"
        )


def carry_out(connection: Any, transaction: str, operations: Iterable[Operation]) -> tuple[tuple[str, int], ...]:
    """Do the operations in the connection's transaction, and note there that this one was here: another of the same id
    fails. A read locks its row as a write does, so that what was read stays true. Returns what was read, as (account,
    balance); raises ``RefusedError`` for an account that is not there."""
    connection.execute("INSERT INTO committed (transaction_id) VALUES (%s)", (transaction,))
    found = []
    for one in operations:
        amount = one.amount if isinstance(one, Add) else 0
        row = connection.execute(CHANGE, (amount, one.account)).fetchone()
        if row is None:
            raise RefusedError(f"there is no account {one.account}")
        if isinstance(one, Read):
            found.append((one.account, int(row[0])))
    return tuple(found)
