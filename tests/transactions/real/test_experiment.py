"""Transfers under load between two real databases, with SIGKILL, by two-phase commit and by the flexible ways."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from distlib.real.child import ChildError
from distlib.transactions.real.experiment import (
    DATABASES,
    PROTOCOLS,
    EveryWayParams,
    RealTransactions,
    RealTransactionsParams,
    databases,
    real_transactions,
)
from tests.processes import all_gone, children_of
from tests.transactions_real import campaign

FLEXIBLE = ("saga", "TCC", "AT", "outbox")


def broken(result: RealTransactions) -> list[str]:
    return [claim for claim, holds, _ in result.verdicts() if not holds]


def killed(result: RealTransactions) -> list[str]:
    return [event.what for event in result.events if event.who == result.params.victim]


# --- two-phase commit -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 100])
def test_ten_kills_on_sqlite(first: int) -> None:
    _, problems = campaign("SQLite", 10, first)
    assert problems == []


def test_five_kills_on_postgresql() -> None:
    _, problems = campaign("PostgreSQL", 5)
    assert problems == []


def test_what_is_in_doubt_is_reported_with_its_locks() -> None:
    result = real_transactions(RealTransactionsParams(step="decided", nth=4, clients=1, transfers=12, refused=0.0))
    assert killed(result) == ["recovered", "killed", "recovered", "ended"]
    assert not result.in_doubt.empty
    assert set(result.in_doubt["database"]) == {"A", "B"}  # decided, and nobody had been told
    assert all(one.startswith("x") for one in result.in_doubt["locked"])
    assert result.left == ()
    assert result.longest_doubt_s > 0.3  # the coordinator was away so long
    assert any(at_s - one.prepared_s > 0.3 for at_s, one in result.listed)
    assert broken(result) == []
    row = result.summary.iloc[0]
    assert row["committed"] + row["aborted"] + row["unanswered"] == 12
    assert row["unanswered"] == 1  # it is committed, and its client will never hear of it


def test_without_a_kill_everything_is_answered() -> None:
    result = real_transactions(RealTransactionsParams(victim="nobody", transfers=12, refused=0.5))
    assert broken(result) == [] and result.reported == ()
    assert len(result.answers) == 12
    assert 0 < len(result.acknowledged) < 12
    assert result.counts["refused"] > 0


# --- the flexible ways ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("victim", ["coordinator", "B"])
@pytest.mark.parametrize("protocol", FLEXIBLE)
def test_the_flexible_ways_lose_nothing_in_the_end(protocol: str, victim: str) -> None:
    params = RealTransactionsParams(
        protocol=protocol, victim=victim, step="worked", nth=8, transfers=24, refused=0.0, seed=3
    )
    result = real_transactions(params)
    assert "killed" in killed(result)
    assert broken(result) in ([], ["no reader saw a wrong sum"])
    assert len(result.acknowledged) > 0


def test_the_flexible_ways_on_postgresql() -> None:
    params = RealTransactionsParams(
        database="PostgreSQL", protocol="TCC", step="before the decision", nth=4, transfers=16
    )
    result = real_transactions(params)
    assert "killed" in killed(result)
    assert broken(result) in ([], ["no reader saw a wrong sum"])


def test_a_reader_sees_money_in_flight_where_steps_commit_one_by_one() -> None:
    """A saga is killed between debit and credit: until it is back, its money is nowhere."""
    result = real_transactions(RealTransactionsParams(protocol="saga", step="committed", nth=1, clients=1, transfers=4))
    assert broken(result) == ["no reader saw a wrong sum"]
    row = result.summary.iloc[0]
    assert 0 < row["wrong sums"] <= row["sums read"]
    assert 0 < row["most money missing"] <= 9
    assert row["in doubt after the kill"] == 0  # nothing is locked, and nobody waits
    assert row["steps that came again"] > 0


def test_tcc_keeps_what_is_tried_in_sight_and_cancels_what_it_never_tried() -> None:
    result = real_transactions(RealTransactionsParams(protocol="TCC", step="committed", nth=1, clients=1, transfers=1))
    assert broken(result) == []  # money that is set aside is still there
    row = result.summary.iloc[0]
    assert row["aborted"] == 1 and row["empty cancels"] == 1


def test_an_outbox_takes_back_what_it_has_promised() -> None:
    result = real_transactions(RealTransactionsParams(protocol="outbox", victim="nobody", transfers=8, refused=1.0))
    assert "every acknowledged commit is there" in broken(result)
    assert result.summary.iloc[0]["commits taken back"] == 8
    assert "the sum of money is what it was" not in broken(result)


def test_an_outbox_delivers_again_and_is_not_paid_twice() -> None:
    """Killed when the credit is there, and the outbox not yet emptied."""
    params = RealTransactionsParams(protocol="outbox", step="committed", nth=2, clients=1, transfers=1, refused=0.0)
    result = real_transactions(params)
    assert broken(result) in ([], ["no reader saw a wrong sum"])
    assert result.counts["again"] == 1


# --- what a person can get wrong, and what is left behind ---------------------------------------------------------


def test_steps_that_never_come_are_remarked() -> None:
    assert RealTransactionsParams(protocol="saga", step="prepared").warnings() == [
        "the step 'prepared' does not come in the protocol 'saga': nobody will be killed"
    ]
    assert RealTransactionsParams(protocol="outbox", step="decided").warnings()
    assert not RealTransactionsParams(protocol="AT", step="decided").warnings()
    assert not RealTransactionsParams().warnings()
    with pytest.raises(ValueError, match=r"victim is 'C'; choose one of 'nobody', 'coordinator', 'A', 'B'"):
        RealTransactionsParams(victim="C")


def test_a_way_is_run_once() -> None:
    with pytest.raises(ValueError, match="holds a way twice: saga, AT, saga; each is run once"):
        EveryWayParams(protocols=("saga", "AT", "saga"))


def test_several_ways_are_the_same_run_but_for_the_way() -> None:
    params = EveryWayParams(protocols=("saga", "outbox"), step="decided", nth=3, seed=5)
    assert params.warnings() == ["the step 'decided' does not come in the protocol 'outbox': nobody will be killed"]
    same = {"step": "decided", "nth": 3, "seed": 5}
    assert params.each == [RealTransactionsParams(protocol=one, **same) for one in ("saga", "outbox")]


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory for temporary files that is ours alone; a server that runs as nobody gets there."""
    with tempfile.TemporaryDirectory(prefix="left", dir="/tmp") as name:
        Path(name).chmod(0o711)
        monkeypatch.setattr(tempfile, "tempdir", name)
        monkeypatch.setenv("TMPDIR", name)
        yield Path(name)


@pytest.mark.parametrize("protocol", ["two-phase commit", "saga"])
@pytest.mark.parametrize("database", DATABASES)
def test_an_interrupt_leaves_neither_process_nor_file(database: str, protocol: str, temporary: Path) -> None:
    def interrupt(done: float, total: float) -> None:
        if done >= 5:
            seen.extend(children_of(os.getpid()))
            assert list(temporary.iterdir())
            raise KeyboardInterrupt

    seen: list[int] = []
    before = children_of(os.getpid())
    with pytest.raises(KeyboardInterrupt):
        real_transactions(RealTransactionsParams(database=database, protocol=protocol, transfers=1000), interrupt)
    ours = sorted(set(seen) - set(before))
    assert len(ours) == 3  # two keepers, and the coordinator
    assert all_gone(ours, 0)
    assert list(temporary.iterdir()) == []


def test_a_killed_parent_leaves_neither_process_nor_file(temporary: Path) -> None:
    script = (
        "import os, sys, time\n"
        "from distlib.transactions.real.experiment import RealTransactionsParams, real_transactions\n"
        "from tests.processes import children_of\n"
        "def progress(done, total):\n"
        "    if done == 5:\n"
        "        children = children_of(os.getpid())\n"
        "        print(*children, *[one for child in children for one in children_of(child)], flush=True)\n"
        "        time.sleep(60)\n"
        "real_transactions(RealTransactionsParams(database=sys.argv[1], transfers=1000), progress)\n"
    )
    root = str(Path(__file__).parents[3])
    for database in DATABASES:
        parent = subprocess.Popen(
            [sys.executable, "-c", script, database], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": root},
        )  # fmt: skip
        assert parent.stdout is not None
        with parent.stdout:
            pids = [int(one) for one in parent.stdout.readline().split()]
        assert len(pids) == 5
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
        assert all_gone(pids)
        assert list(temporary.iterdir()) == []


def test_one_database_that_does_not_start_takes_the_other_with_it(
    monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    def starts(name: str, *rest: object, **more: object) -> object:
        if name == "B":
            raise ChildError("it does not start")
        return both["SQLite"](name, *rest, **more)

    both = dict(DATABASES)
    monkeypatch.setitem(DATABASES, "SQLite", starts)
    before = children_of(os.getpid())
    with pytest.raises(ChildError, match="it does not start"), databases("SQLite"):
        pass
    assert children_of(os.getpid()) == before
    assert list(temporary.iterdir()) == []


def test_every_protocol_is_tried_here() -> None:
    assert set(PROTOCOLS) == {"two-phase commit", "presumed abort", "presumed commit", *FLEXIBLE}
