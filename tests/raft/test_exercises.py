"""The checkers of the Raft chapter: right answers pass, wrong ones are told why, broken ones do no harm."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from distlib.core.fault import Crash, Partition, SlowLink
from distlib.labs.grading import Grade
from distlib.raft.exercises import grade_committer, grade_deposition, grade_split_chance, grade_timeouts, grade_voter
from distlib.raft.raft import Raft
from distlib.raft.scenarios import ElectionParams
from distlib.raft.theory import split_vote_probability


class OldTerms(Raft):
    def may_commit(self, index: int) -> bool:
        return self.is_replicated(index)


class EndsTheProcess(Raft):
    def may_commit(self, index: int) -> bool:
        os._exit(0)


class Never(Raft):
    def may_commit(self, index: int) -> bool:
        return False


class Raises(Raft):
    def may_commit(self, index: int) -> bool:
        raise KeyError(index)

    def may_grant_vote(self, candidate: str, request: Any) -> bool:
        raise KeyError(candidate)


class Anybody(Raft):
    def may_grant_vote(self, candidate: str, request: Any) -> bool:
        return self.has_vote_for(candidate)


class Says(Raft):
    def may_grant_vote(self, candidate: str, request: Any) -> Any:
        return "yes"


CUT_OFF = Partition(600, (("S3",), ("S1", "S2", "S4", "S5")), 900)


@pytest.mark.parametrize(
    ("grade", "remark"),
    [
        (lambda: grade_committer(OldTerms), "figure 8 (c)"),
        (lambda: grade_committer(Never), "figure 8 (e)"),
        (lambda: grade_committer(Raises), "raised KeyError"),
        (lambda: grade_committer(EndsTheProcess), "the process ended"),
        (lambda: grade_committer(7), "not an instance of int"),  # type: ignore[arg-type]
        (lambda: grade_voter(Anybody), "§5.4.1"),
        (lambda: grade_voter(Raises), "raised KeyError"),
        (lambda: grade_voter(Says), "yours says 'yes'"),
        (lambda: grade_voter(int), "a subclass of Raft, not int"),  # type: ignore[arg-type]
        (lambda: grade_split_chance(8.15), "in per cent"),
        (lambda: grade_split_chance(split_vote_probability(7, 5, 0.05)), "the range's width"),
        (lambda: grade_split_chance(0.5), "look at the formula again"),
        (lambda: grade_split_chance("x"), "give a number"),  # type: ignore[arg-type]
        (lambda: grade_deposition([]), "never deposed"),
        (lambda: grade_deposition([Crash(600, "S3")]), "Crash is not allowed"),
        (lambda: grade_deposition([Partition(600, CUT_OFF.groups)]), "nothing in S3's log was overwritten"),
        (lambda: grade_deposition([Partition(0, (("S1",),))]), "no leader by 500 ms"),
        (lambda: grade_deposition([SlowLink(0, "S9", "S1", 5)]), "names the node 'S9'"),
        (lambda: grade_timeouts("fast"), "give an ElectionParams"),
        (lambda: grade_timeouts(ElectionParams()), "keep five servers in five regions"),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_told_why(grade: Callable[[], Grade], remark: str) -> None:
    answer = grade()
    assert not answer and any(remark in one for one in answer.remarks), str(answer)


@pytest.mark.parametrize(
    "grade",
    [
        lambda: grade_committer(Raft),
        lambda: grade_voter(Raft),
        lambda: grade_split_chance(0.0815),
        lambda: grade_deposition([CUT_OFF]),
        lambda: grade_timeouts(ElectionParams(latency="regions", election_timeout_ms=(600, 1200), heartbeat_ms=200.0)),
    ],
)
def test_a_right_answer_passes(grade: Callable[[], Grade]) -> None:
    answer = grade()
    assert answer and str(answer).startswith("✓ Passed.")
