"""The checkers of the Raft chapter: right answers pass, wrong ones are told why, broken ones do no harm."""

from __future__ import annotations

from typing import Any

import pytest

from distlib.protocols.raft import Raft
from distlib.scenarios.raft import ElectionParams
from distlib.scenarios.raft_exercise import (
    grade_committer,
    grade_deposition,
    grade_split_chance,
    grade_timeouts,
    grade_voter,
)
from distlib.sim.fault import Crash, Partition, SlowLink
from distlib.theory.election import split_vote_probability


class OldTerms(Raft):
    def may_commit(self, index: int) -> bool:
        return self.is_replicated(index)


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
        (grade_committer(OldTerms), "figure 8 (c)"),
        (grade_committer(Never), "figure 8 (e)"),
        (grade_committer(Raises), "raised KeyError"),
        (grade_committer(7), "not an instance of int"),  # type: ignore[arg-type]
        (grade_voter(Anybody), "§5.4.1"),
        (grade_voter(Raises), "raised KeyError"),
        (grade_voter(Says), "yours says 'yes'"),
        (grade_voter(int), "a subclass of Raft, not int"),  # type: ignore[arg-type]
        (grade_split_chance(8.15), "in per cent"),
        (grade_split_chance(split_vote_probability(7, 5, 0.05)), "the range's width"),
        (grade_split_chance(0.5), "look at the formula again"),
        (grade_split_chance("x"), "give a number"),  # type: ignore[arg-type]
        (grade_deposition([]), "never deposed"),
        (grade_deposition([Crash(600, "S3")]), "Crash is not allowed"),
        (grade_deposition([Partition(600, CUT_OFF.groups)]), "nothing in S3's log was overwritten"),
        (grade_deposition([Partition(0, (("S1",),))]), "no leader by 500 ms"),
        (grade_deposition([SlowLink(0, "S9", "S1", 5)]), "names the node 'S9'"),
        (grade_timeouts("fast"), "give an ElectionParams"),
        (grade_timeouts(ElectionParams()), "keep five servers in five regions"),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_told_why(grade: Any, remark: str) -> None:
    assert not grade and any(remark in one for one in grade.remarks), str(grade)


@pytest.mark.parametrize(
    "grade",
    [
        grade_committer(Raft),
        grade_voter(Raft),
        grade_split_chance(0.0815),
        grade_deposition([CUT_OFF]),
        grade_timeouts(
            ElectionParams(latency="regions", election_timeout_ms=(600, 1200), heartbeat_ms=200.0)
        ),
    ],
)
def test_a_right_answer_passes(grade: Any) -> None:
    assert grade and str(grade).startswith("✓ Passed.")
