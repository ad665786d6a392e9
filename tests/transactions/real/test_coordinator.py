"""The simulator's coordinator before real databases: killed at every step, and wronged in every way."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from distlib.core.codec import to_data
from distlib.real.child import Child, ChildError
from distlib.transactions.bank import Add, Read, Work, transfer
from distlib.transactions.message import Acknowledge, Answer, Decide, Decided, Ended, Prepare, Vote
from distlib.transactions.presumptions import PresumedAbort
from distlib.transactions.real.coordinator import STEPS, Databases, LostError
from distlib.transactions.real.experiment import DATABASES, in_doubt
from distlib.transactions.real.log import Log, LogError, LogFullError
from distlib.transactions.real.postgres import PostgresServer
from distlib.transactions.real.sqlite_participant import SQLiteParticipant
from distlib.transactions.two_phase import TwoPhaseCommit

MODULE, CLASS = "distlib.transactions.real.coordinator", "distlib.transactions.two_phase:TwoPhaseCommit"
BALANCES = {"x": 100, "y": 100}
Servers = Mapping[str, Any]
Told = list[dict[str, Any]]


@pytest.fixture(scope="module", params=list(DATABASES))
def servers(request: pytest.FixtureRequest) -> Iterator[Servers]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(DATABASES[request.param](name, BALANCES)) for name in "AB"}


@pytest.fixture
def pair() -> Iterator[Servers]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(SQLiteParticipant(name, BALANCES)) for name in "AB"}


def life(servers: Servers, log: Path, *requests: Work, **changes: Any) -> Told:
    """One life of a coordinator, and all that it tells; a kill ends what is heard."""
    task = {
        "name": "C", "log": str(log), "room": None, "patience_s": 5.0, "think_s": 0.0, "kill": None, "protocol": CLASS,
        "databases": [to_data(one.database) for one in servers.values()],
        "pids": {name: one.program for name, one in servers.items()},
        "clients": [[(number, to_data(work)) for number, work in enumerate(requests)]], **changes,
    }  # fmt: skip
    told = []
    with Child(MODULE, task) as child:
        try:
            while not told or not {"ended_s", "failed"} & told[-1].keys():
                told.append(child.hear())
        except ChildError:
            assert task["kill"], "nobody asked for that"
    return told


def answers(told: Told) -> list[bool]:
    return [one["answered"]["commit"] for one in told if "answered" in one]


def failure(told: Told) -> str:
    return f"{told[-1]['failed']}: {told[-1]['says']}"


def doubts(servers: Servers) -> list[tuple[str, str]]:
    return [(one.database, one.transaction) for one in in_doubt(servers)]


def money(servers: Servers) -> dict[str, int]:
    found = {}
    for name, server in servers.items():
        connection = server.database.connect()
        found[name] = server.database.locked_balances(connection)["x"]
        connection.close()
    return found


# --- killed at every step --------------------------------------------------------------------------------------

IN_DOUBT = {
    ("before prepare", "A"): ("", False),
    ("worked", "A"): ("", False),
    ("prepared", "A"): ("A", False),
    ("before prepare", "B"): ("A", False),
    ("worked", "B"): ("A", False),
    ("prepared", "B"): ("AB", False),
    ("before the decision", ""): ("AB", False),
    ("decided", ""): ("AB", True),
    ("before commit", "A"): ("AB", True),
    ("committed", "A"): ("B", True),
    ("before commit", "B"): ("B", True),
    ("committed", "B"): ("", True),
}
"""Where the coordinator is killed in a transfer from A to B: who is in doubt then, and whether recovery commits."""


def test_every_step_is_tried() -> None:
    assert {step for step, _ in IN_DOUBT} == set(STEPS)


@pytest.mark.parametrize(("step", "at"), IN_DOUBT)
def test_who_is_in_doubt_after_a_kill_and_what_becomes_of_it(
    step: str, at: str, servers: Servers, tmp_path: Path
) -> None:
    name = "C" + f"{step}{at}".replace(" ", "")
    who, commits = IN_DOUBT[step, at]
    before = money(servers)
    kill = {"victim": name, "step": step, "at": at}
    told = life(servers, tmp_path / "log", transfer("A", "B", 3), name=name, kill=kill)
    assert told[-1]["killed"] == name and told[-1]["step"] == step
    assert doubts(servers) == [(one, f"{name}.1.1") for one in who]

    told = life(servers, tmp_path / "log", transfer("B", "A", 1), name=name)
    assert answers(told) == [True], "\n".join(map(str, told))  # no lock is left
    found = {one["by"]: one["in_doubt"] for one in told if "in_doubt" in one}
    listed = {one: [f"{name}.1.1"] if one in who else [] for one in "AB"}
    assert found == listed or commits  # what is decided may have been sent before the list was asked for
    assert doubts(servers) == []
    moved = 2 if commits else -1
    assert money(servers) == {"A": before["A"] - moved, "B": before["B"] + moved}


def test_a_participant_that_dies_in_doubt_is_told_when_it_is_back(servers: Servers, tmp_path: Path) -> None:
    before, where = money(servers), {"name": "P", "kill": {"victim": "B", "step": "prepared", "at": "B"}}
    told = life(servers, tmp_path / "log", transfer("A", "B", 3), **where)
    servers["B"].wait_until_back()
    assert answers(told) == [True]  # its vote was heard
    assert doubts(servers) == []
    assert money(servers) == {"A": before["A"] - 3, "B": before["B"] + 3}
    assert [one["in_doubt"] for one in told if one.get("by") == "B"] in ([[], ["P.1.1"]], [[], []])


# --- what goes wrong -------------------------------------------------------------------------------------------


def test_what_is_refused_is_refused_at_both(pair: Servers, tmp_path: Path) -> None:
    told = life(pair, tmp_path / "log", transfer("A", "B", 101), (*transfer("A", "B", 3)[:1], ("B", (Add("z", 3),))))
    assert answers(told) == [False, False]
    assert [one["refused"] for one in told if "refused" in one] == [
        "A: CHECK constraint failed: no_debts", "there is no account z",
    ]  # fmt: skip
    assert money(pair) == {"A": 100, "B": 100}


def test_a_database_that_stays_down_ends_the_coordinator_and_nothing_is_lost(tmp_path: Path) -> None:
    with ExitStack() as stack:
        both = {one: stack.enter_context(SQLiteParticipant(one, BALANCES, pause_s=3.0)) for one in "AB"}
        kill = {"victim": "B", "step": "before commit", "at": "B"}
        told = life(both, tmp_path / "log", transfer("A", "B", 3), kill=kill, patience_s=0.2)
        assert answers(told) == [True]  # the client was told: it is decided
        assert failure(told).startswith("DatabaseDownError: B is down: ")
        both["B"].wait_until_back()
        assert doubts(both) == [("B", "C.1.1")]
        assert life(both, tmp_path / "log")[-1].keys() == {"ended_s"}
        assert doubts(both) == [] and money(both) == {"A": 97, "B": 103}


def test_prepared_transactions_that_are_switched_off_are_named_before_anything_begins(tmp_path: Path) -> None:
    with SQLiteParticipant("A", BALANCES) as good, PostgresServer("B", BALANCES, prepared=0) as off:
        told = life({"A": good, "B": off}, tmp_path / "log", transfer("A", "B", 3))
        assert "NoTwoPhaseError: prepared transactions are switched off at B" in failure(told)
        assert answers(told) == []
        assert money({"A": good, "B": off}) == {"A": 100, "B": 100}


def test_sqlite_and_postgresql_in_one_transaction(tmp_path: Path) -> None:
    with SQLiteParticipant("A", BALANCES) as one, PostgresServer("B", BALANCES) as other:
        both = {"A": one, "B": other}
        assert answers(life(both, tmp_path / "log", transfer("A", "B", 3), transfer("B", "A", 1))) == [True, True]
        assert money(both) == {"A": 98, "B": 102}


def test_an_id_that_comes_again_is_refused(pair: Servers, tmp_path: Path) -> None:
    """A coordinator that has lost its log counts from one again."""
    assert answers(life(pair, tmp_path / "log", transfer("A", "B", 3))) == [True]
    told = life(pair, tmp_path / "new", transfer("A", "B", 3), transfer("B", "A", 1))
    assert answers(told) == [False, True]
    assert next(one["refused"] for one in told if "refused" in one).endswith("an id is used once")
    assert money(pair) == {"A": 98, "B": 102}


def test_a_decision_that_somebody_has_forestalled_is_named(pair: Servers, tmp_path: Path) -> None:
    """A heuristic decision: a person ends what is in doubt by hand, and errs."""
    life(pair, tmp_path / "log", transfer("A", "B", 3), kill={"victim": "C", "step": "decided"})
    connection = pair["B"].database.connect()
    connection.tpc_rollback(connection.xid(1, "C.1.1", "B"))
    told = life(pair, tmp_path / "log")
    assert failure(told).startswith("LostError: B has C.1.1 neither prepared nor committed, and the decision is commit")


def test_a_decision_may_come_many_times_and_an_answer_too_late(pair: Servers) -> None:
    both = Databases([one.database for one in pair.values()])
    work = Prepare("T", (Add("x", 3), Read("y")), ("A",))
    assert both.carry_out("A", work) == Vote("T", Answer.YES, (("A.y", 100),))
    assert [both.carry_out("A", Decide("T", True)) for _ in range(3)] == [Acknowledge("T")] * 3
    assert both.carry_out("A", Decide("T", False, acknowledge=False)) is None  # who presumes abort is asked too late
    with pytest.raises(LostError, match="A has T committed, and the decision is abort"):
        both.carry_out("A", Decide("T", False))
    assert both.carry_out("B", Decide("T", False)) == Acknowledge("T")  # it has never heard of it
    both.close()
    assert money(pair) == {"A": 103, "B": 100}


def test_a_disk_that_is_full_loses_nothing(pair: Servers, tmp_path: Path) -> None:
    """The log has room for ever fewer bytes; where it ends, nobody is told what it does not hold."""
    left, ended, before = 0, 0, 200
    for room in range(150, 900, 50):
        log = tmp_path / f"log {room}"
        told = life(pair, log, *[transfer("A", "B", 1)] * 2, room=room, name=f"C{room}")
        if "failed" in told[-1]:
            assert f"{log} takes no further record (No space left on device)" in failure(told)
            left += len(doubts(pair))
        else:
            ended += 1
        acknowledged = sum(answers(told))
        if log.exists():
            life(pair, log, name=f"C{room}")
        assert doubts(pair) == []
        assert sum(money(pair).values()) == before
        assert pair["A"].database.connect().execute(
            "SELECT COUNT(*) FROM committed WHERE transaction_id LIKE %s", (f"C{room}.%",)
        ).fetchone() >= [acknowledged]  # fmt: skip
    assert left > 0 and ended > 0


# --- the log ---------------------------------------------------------------------------------------------------


def node(name: str = "C", cls: type[TwoPhaseCommit] = TwoPhaseCommit) -> TwoPhaseCommit:
    return cls(name, initial=())


def written(path: Path, records: Sequence[Any] = (Decided("C.1.1", True, ("A", "B")),)) -> TwoPhaseCommit:
    one = node()
    one.start()
    with Log(path, one) as log:
        for record in records:
            one.force(record)
            assert log.is_due()
            log.save()
            assert not log.is_due()
    return one


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    one = written(tmp_path / "log")
    one.ended = frozenset({("T", True)})
    with Log(tmp_path / "log", again := node()) as log:
        assert again.log == (Decided("C.1.1", True, ("A", "B")),) and again.lives == 1
        again.ended = one.ended
        again.force(Ended("C.1.1"))
        log.save()
    with Log(tmp_path / "log", third := node()):
        assert third.log == () and third.ended == one.ended
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_a_line_without_an_end_was_never_written(tmp_path: Path) -> None:
    path = tmp_path / "log"
    written(path)
    whole = path.read_bytes()
    for cut in range(len(whole) - 1, whole[:-1].rfind(b"\n"), -7):
        path.write_bytes(whole[:cut])
        with Log(path, again := node()):
            assert again.log == ()


def change(path: Path, line: int, old: bytes, new: bytes) -> None:
    lines = path.read_bytes().split(b"\n")
    assert old in lines[line]
    lines[line] = lines[line].replace(old, new)
    path.write_bytes(b"\n".join(lines))


@pytest.mark.parametrize(("line", "old", "new"), [(0, b"C", b"D"), (1, b"[1,", b"[2,"), (2, b"true", b"false")])
def test_a_record_that_is_damaged_is_refused(line: int, old: bytes, new: bytes, tmp_path: Path) -> None:
    written(path := tmp_path / "log")
    change(path, line, old, new)
    with pytest.raises(LogError, match=f"log, line {line + 1} is damaged, or is no line of this log"):
        Log(path, node())


def test_a_record_of_another_log_is_refused(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    written(mine)
    written(other)
    mine.write_bytes(mine.read_bytes() + other.read_bytes().split(b"\n")[2] + b"\n")
    with pytest.raises(LogError, match="line 4 is damaged, or is no line of this log"):
        Log(mine, node())


def test_a_log_of_another_node_or_protocol_or_of_nobody_is_refused(pair: Servers, tmp_path: Path) -> None:
    written(path := tmp_path / "log")
    with pytest.raises(LogError, match="is the log of another one: its node is 'C', and 'D' is due"):
        Log(path, node("D"))
    with pytest.raises(LogError, match=r"its class is '.*:TwoPhaseCommit', and '.*:PresumedAbort' is due"):
        Log(path, node("C", PresumedAbort))
    (tmp_path / "empty").touch()
    with pytest.raises(LogError, match="is empty; a log begins with a line that says whose it is"):
        Log(tmp_path / "empty", node())
    (tmp_path / "text").write_text("Dear diary,\n")
    with pytest.raises(LogError, match="line 1 is damaged"):
        Log(tmp_path / "text", node())
    told = life(pair, tmp_path / "text", transfer("A", "B", 3))
    assert failure(told).startswith("LogError: ") and (tmp_path / "text").read_text() == "Dear diary,\n"


def test_where_no_log_can_be_is_named(tmp_path: Path) -> None:
    node, file = TwoPhaseCommit("C"), tmp_path / "file"
    file.write_text("no directory")
    for path, said in (
        (tmp_path / "nowhere" / "log", f"no log can be kept at {tmp_path}/nowhere/log: No such file or directory"),
        (file / "log", f"no log can be kept at {file}/log: Not a directory"),
        (tmp_path, f"{tmp_path} cannot be read as a log: Is a directory"),
    ):
        with pytest.raises(LogError, match=re.escape(said)):
            Log(path, node)


def test_a_full_disk_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    one = node()
    one.start()
    with Log(tmp_path / "log", one, room=300) as log:
        one.force(Decided("C.1.1", True, ("A", "B")))
        size = (tmp_path / "log").stat().st_size
        with pytest.raises(LogFullError, match=r"takes no further record .* make room, and start"):
            log.save()
        assert (tmp_path / "log").stat().st_size == size
    with Log(tmp_path / "log", again := node()):
        assert again.log == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": "os:system"}, "protocol names 'os:system', which is no class of the library"),
        ({"protocol": "distlib.transactions.bank:Add"}, "where a TwoPhaseCommit is due"),
        ({"databases": [{"type": "Oracle"}]}, "it takes one of SQLite, Postgres"),
    ],
)
def test_a_bad_task_is_named(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    assert message in failure(life({}, tmp_path / "log", **changes))


def test_a_node_that_is_no_database_is_named(pair: Servers, tmp_path: Path) -> None:
    assert "C sends" in (said := failure(life(pair, tmp_path / "log", transfer("A", "Z", 3))))
    assert "there is no such database" in said
