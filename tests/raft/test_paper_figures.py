"""Figures 7 and 8 of the paper come out of the class, and the grader of figure 7 knows right from wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from distlib.raft.charts import log_panels
from distlib.raft.exercises import grade_figure_7
from distlib.raft.paper_figures import FIGURE_7, figure_8, repair
from distlib.raft.raft import Raft


def test_figure_8_has_the_papers_logs() -> None:
    """§5.4.2, figure 8; in (d) the new leader has begun term 5 besides."""
    a, b, c, d, e = ([*moment.logs.values()] for moment in figure_8())
    assert a == [(1, 2), (1, 2), (1,), (1,), (1,)]
    assert b == [(1, 2), (1, 2), (1,), (1,), (1, 3)]
    assert c == [(1, 2, 4), (1, 2), (1, 2), (1,), (1, 3)]
    assert d == [(1, 3), (1, 3), (1, 3), (1, 3), (1, 3, 5)]
    assert e == [(1, 2, 4), (1, 2, 4), (1, 2, 4), (1,), (1, 3)]
    assert [moment.leader for moment in figure_8()] == ["S1", "S5", "S1", "S5", ""]


class OneByOne(Raft):
    """The paper's first rule: after a refusal, nextIndex goes down by one."""

    def back_off(self, server: str, conflict_index: int, conflict_term: int | None) -> int:
        return self.next_index[server] - 1


@pytest.mark.parametrize("follower", "abcdef")
def test_one_refusal_costs_a_term_at_most_instead_of_an_entry(follower: str) -> None:
    """§5.3: with the optimisation, one AppendEntries for each conflicting term, rather than one for each entry."""
    quick, slow = repair(follower), repair(follower, OneByOne)
    assert quick["the follower"].iloc[-1] == slow["the follower"].iloc[-1] == "agrees up to 11"
    assert len(quick) <= len(slow)
    assert (len(quick), len(slow)) == {"e": (3, 6), "f": (3, 8)}.get(follower, (len(quick), len(slow)))


AGREES = {"a": 9, "b": 4, "c": 10, "d": 10, "e": 5, "f": 3}


@pytest.mark.parametrize("voters", ["abef", "feba", {"a", "b", "e", "f"}, ["a", "b", "e", "f"], ("f", "a", "e", "b")])
def test_right_answers_to_figure_7_pass(voters: Any) -> None:
    assert grade_figure_7(AGREES, voters)
    assert grade_figure_7({name: np.int64(index) for name, index in AGREES.items()}, iter([*voters]))


def test_the_voters_may_be_written_as_the_paper_writes_them() -> None:
    assert grade_figure_7({name: float(index) for name, index in AGREES.items()}, "A, B, E, F")


@pytest.mark.parametrize(
    ("agrees", "voters", "told"),
    [
        (AGREES, "abcdef", "c: compare the last terms"),
        (AGREES, "", "a: compare the last terms"),
        (AGREES, "abe", "f: compare the last terms"),
        (AGREES | {"e": 4}, "abef", "e: 4 is not"),
        (AGREES | {"d": 12}, "abef", "d: 12 is not"),
        (AGREES | {"c": 11}, "abef", "c: 11 is not"),
        (AGREES | {"e": "5"}, "abef", "e: give the index, a number, not '5'"),
        (AGREES | {"f": None}, "abef", "f: give the index, a number, not None"),
        ({}, "abef", "agrees has an index for each"),
        (list(AGREES.values()), "abef", "agrees has an index for each"),
        (AGREES, [np.array([1, 2])], "voters are some of"),
        (AGREES, 4, "voters are some of"),
        (AGREES, "abefz", "voters are some of"),
        (None, None, "agrees has an index"),
    ],
)
def test_wrong_answers_to_figure_7_are_told(agrees: Any, voters: Any, told: str) -> None:
    grade = grade_figure_7(agrees, voters)
    assert not grade and told in str(grade)


def test_the_logs_of_a_figure_are_drawn_each_entry_once() -> None:
    figure = log_panels([FIGURE_7])
    assert sum(len(trace.x) for trace in figure.data) == sum(map(len, FIGURE_7.logs.values()))
    assert len(log_panels(figure_8()).data) == 5
