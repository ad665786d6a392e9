"""The checkers of the Raft chapter: right answers pass, wrong ones are told why, broken ones do no harm."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from distlib.core.fault import Crash, Fault, OneWay, Partition, Pause, SlowLink
from distlib.labs.grading import Grade
from distlib.raft.exercises import grade_deposition, grade_split_chance, grade_timeouts, grade_voter
from distlib.raft.raft import Raft
from distlib.raft.scenarios import ElectionParams, PartitionParams
from distlib.raft.theory import split_vote_probability
from distlib.workbench.judge import judge

OTHERS = ("S1", "S2", "S4", "S5")
CUT_OFF = Partition(600, (("S3",), OTHERS), 900)


def world(low_ms: float, high_ms: float, heartbeat_ms: float, **more: Any) -> ElectionParams:
    timers = {"election_timeout_ms": (low_ms, high_ms), "heartbeat_ms": heartbeat_ms}
    return ElectionParams(latency="regions", **timers, **more)


class AsInThePaper(Raft):
    def may_grant_vote(self, candidate: str, request: Any) -> bool:
        free = self.voted_for is None or self.voted_for == candidate
        theirs = (request.last_log_term, request.last_log_index)
        return request.term == self.current_term and free and theirs >= (self.log.last_term, self.log.last_index)


class OneAfterTheOther(Raft):
    def may_grant_vote(self, candidate: str, request: Any) -> bool:
        if request.term < self.current_term or self.voted_for not in (None, candidate):
            return False
        if request.last_log_term != self.log.last_term:
            return bool(request.last_log_term > self.log.last_term)
        return bool(request.last_log_index >= self.log.last_index)


class WithNumpy(OneAfterTheOther):
    def may_grant_vote(self, candidate: str, request: Any) -> Any:
        return np.bool_(super().may_grant_vote(candidate, request))


class Empty(Raft):
    pass


class HandsInOurs(Raft):
    def may_grant_vote(self, candidate: str, request: Any) -> bool:
        return super().may_grant_vote(candidate, request)


class IsOurs(Raft):
    may_grant_vote = Raft.may_grant_vote


OURS = Raft.may_grant_vote


class KeptOurs(Raft):
    def may_grant_vote(self, candidate: str, request: Any) -> bool:
        return OURS(self, candidate, request)


class OnTheNamedCasesOnly(Raft):
    """Right on the cases that the checker names, from a table."""

    def may_grant_vote(self, candidate: str, request: Any) -> bool:
        asked = (request.term, request.last_log_index, request.last_log_term)
        return (self.voted_for, asked) in [(None, (3, 2, 2)), ("S2", (3, 2, 2)), (None, (3, 1, 3))]


class Anybody(Raft):
    def may_grant_vote(self, candidate: str, request: Any) -> bool:
        return self.has_vote_for(candidate)


class LongestLog(Raft):
    def may_grant_vote(self, candidate: str, request: Any) -> bool:
        theirs = request.last_log_index >= self.log.last_index
        return request.term == self.current_term and self.has_vote_for(candidate) and theirs


class OnceOnly(Raft):
    def may_grant_vote(self, candidate: str, request: Any) -> bool:
        latest = self.is_up_to_date(request.last_log_index, request.last_log_term)
        return request.term == self.current_term and self.voted_for is None and latest


class Never(Raft):
    def may_grant_vote(self, candidate: str, request: Any) -> bool:
        return False


class StepsUp(OneAfterTheOther):
    def may_grant_vote(self, candidate: str, request: Any) -> bool:
        self.current_term += 1
        return super().may_grant_vote(candidate, request)


class Raises(Raft):
    def may_grant_vote(self, candidate: str, request: Any) -> bool:
        raise KeyError(candidate)


class Says(Raft):
    def may_grant_vote(self, candidate: str, request: Any) -> Any:
        return "yes"


class EndsTheProcess(Raft):
    def may_grant_vote(self, candidate: str, request: Any) -> bool:
        os._exit(0)


def without_end() -> Iterator[Fault]:
    while True:
        yield CUT_OFF


@pytest.mark.parametrize(
    ("grade", "remark"),
    [
        (lambda: grade_voter(Empty), "Raft.may_grant_vote is what the exercise asks you to write"),
        (lambda: grade_voter(Raft), "Raft.may_grant_vote is what the exercise asks you to write"),
        (lambda: grade_voter(HandsInOurs), "Raft.may_grant_vote is what the exercise asks you to write"),
        (lambda: grade_voter(IsOurs), "Raft.may_grant_vote is what the exercise asks you to write"),
        (lambda: grade_voter(KeptOurs), "Raft.may_grant_vote is what the exercise asks you to write"),
        (lambda: grade_voter(OnTheNamedCasesOnly), "terms of our log ()"),
        (lambda: grade_voter(Anybody), "§5.4.1"),
        (lambda: grade_voter(LongestLog), "§5.4.1"),
        (lambda: grade_voter(OnceOnly), "its question may have been repeated"),
        (lambda: grade_voter(Never), "our vote still free: grant"),
        (lambda: grade_voter(StepsUp), "it changes the server"),
        (lambda: grade_voter(Raises), "raised KeyError"),
        (lambda: grade_voter(Says), "is 'yes'; it takes True or False"),
        (lambda: grade_voter(EndsTheProcess), "the process ended"),
        (lambda: grade_voter(int), "a subclass of Raft, not <class 'int'>"),
        (lambda: grade_voter(AsInThePaper("S1", ("S2",))), "a subclass of Raft, not AsInThePaper("),
        (lambda: grade_voter(None), "a subclass of Raft, not None"),
        (lambda: grade_split_chance(8.15), "in per cent"),
        (lambda: grade_split_chance(8), "in per cent"),
        (lambda: grade_split_chance(split_vote_probability(7, 5, 0.05)), "the range's width"),
        (lambda: grade_split_chance(0.5), "look at the formula again"),
        (lambda: grade_split_chance(0.1), "look at the formula again"),
        (lambda: grade_split_chance(float("nan")), "give a number"),
        (lambda: grade_split_chance("x"), "give a number"),
        (lambda: grade_split_chance(None), "give a number"),
        (lambda: grade_split_chance(10**400), "give a number"),
        (lambda: grade_deposition([]), "never deposed"),
        (lambda: grade_deposition(None), "give a list of faults"),
        (lambda: grade_deposition("Partition"), "give a list of faults"),
        (lambda: grade_deposition([CUT_OFF, 7]), "7 is none"),
        (lambda: grade_deposition([Partition("soon", CUT_OFF.groups)]), "Partition.at_ms is 'soon'"),  # type: ignore[arg-type]
        (lambda: grade_deposition([Crash(600, "S3")]), "Crash is not allowed"),
        (lambda: grade_deposition([CUT_OFF, Pause(600, "S3", 900)]), "Pause is not allowed"),
        (lambda: grade_deposition([Partition(600, CUT_OFF.groups)]), "nothing in S3's log was overwritten"),
        (lambda: grade_deposition([Partition(0, (("S1",),))]), "no leader by 500 ms"),
        (lambda: grade_deposition([SlowLink(0, "S9", "S1", 5)]), "names the node 'S9'"),
        (lambda: grade_timeouts("fast"), "give an ElectionParams"),
        (lambda: grade_timeouts(ElectionParams), "give an ElectionParams"),
        (lambda: grade_timeouts(PartitionParams(latency="regions")), "give an ElectionParams"),
        (lambda: grade_timeouts(ElectionParams()), "latency is 'uniform'; keep five servers in the five regions"),
        (lambda: grade_timeouts(world(600, 1200, 200, servers=3)), "servers is 3"),
        (lambda: grade_timeouts(world(150, 300, 50, regions=("East US", "West US 2") * 2)), "regions is ('East US'"),
        (lambda: grade_timeouts(world(150, 300, 50)), "healthy leaders were deposed"),
        (lambda: grade_timeouts(world(1500, 1500, 200)), "2,500 and 8,000 ms are wanted"),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_told_why(grade: Callable[[], Grade], remark: str) -> None:
    answer = grade()
    assert not answer and any(remark in one for one in answer.remarks), str(answer)


@pytest.mark.parametrize(
    "grade",
    [
        lambda: grade_voter(AsInThePaper),
        lambda: grade_voter(OneAfterTheOther),
        lambda: grade_voter(WithNumpy),
        lambda: grade_split_chance(split_vote_probability(7, 5, 0.1)),
        lambda: grade_split_chance(0.0815),
        lambda: grade_split_chance(0.08),
        lambda: grade_split_chance(Decimal("0.082")),
        lambda: grade_split_chance(np.float32(0.081)),
        lambda: grade_deposition([CUT_OFF]),
        lambda: grade_deposition(CUT_OFF),
        lambda: grade_deposition(iter([Partition(620, (("S3", "S1"),), 700)])),
        lambda: grade_deposition([OneWay(600, ("S3",), OTHERS, 900)]),
        lambda: grade_timeouts(world(600, 1200, 200)),
        lambda: grade_timeouts(world(500, 1000, 100, seed=9, duration_ms=900, crash_ms=0)),
        lambda: grade_timeouts(world(700, 1400, 150)),
    ],
)
def test_a_right_answer_passes(grade: Callable[[], Grade]) -> None:
    answer = grade()
    assert answer and str(answer).startswith("✓ Passed."), str(answer)


# --- exercise 3, which the judge grades -----------------------------------------------------------------------


class FigureEight(Raft):
    """Of its own term is the last entry, and not the one that it commits."""

    def may_commit(self, index: int) -> bool:
        return self.is_replicated(index) and self.log.last_term == self.current_term


class AnyTerm(Raft):
    def may_commit(self, index: int) -> bool:
        return self.is_replicated(index)


class AlwaysThree(Raft):
    """A majority of five, whatever the size of the cluster."""

    def may_commit(self, index: int) -> bool:
        holders = 1 + sum(match >= index for match in self.match_index.values())
        return self.log.term_at(index) == self.current_term and holders >= 3


class NoMajority(Raft):
    def may_commit(self, index: int) -> bool:
        return self.log.term_at(index) == self.current_term


class NeverCommits(Raft):
    def may_commit(self, index: int) -> bool:
        return False


class Leaves(Raft):
    def may_commit(self, index: int) -> bool:
        raise SystemExit


class CommitIsOurs(Raft):
    may_commit = Raft.may_commit


class CommitsAsWeDo(Raft):
    def may_commit(self, index: int) -> bool:
        return super().may_commit(index)


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (FigureEight, "Leader Completeness"),
        (AnyTerm, "Leader Completeness"),
        (AlwaysThree, "the others apply nothing new"),
        (NoMajority, "no majority"),
        (NeverCommits, "not every server applies"),
        (Leaves, "SystemExit"),
        (Empty, "there is nothing to judge"),
        (HandsInOurs, "Raft.may_commit is what the exercise asks you to write"),
        (CommitIsOurs, "Raft.may_commit is what the exercise asks you to write"),
        (CommitsAsWeDo, "Raft.may_commit is what the exercise asks you to write"),
    ],
)
def test_a_wrong_rule_of_commitment_is_found(candidate: type[Raft], words: str) -> None:
    verdict = judge(candidate, exercise=["may_commit"])
    assert not verdict.passed and words in str(verdict)


class OwnTerm(Raft):
    def may_commit(self, index: int) -> bool:
        return self.is_replicated(index) and self.log.term_at(index) == self.current_term


class SinceItLeads(Raft):
    """What it has appended since it leads is of its own term."""

    def may_commit(self, index: int) -> bool:
        return self.is_replicated(index) and index >= self.term_start


class Median(Raft):
    """As in the paper's proof: the index that a majority has reached."""

    def may_commit(self, index: int) -> bool:
        reached = sorted([self.log.last_index, *self.match_index.values()])
        return self.log.term_at(index) == self.current_term and reached[len(self.match_index) // 2] >= index


@pytest.mark.parametrize("candidate", [OwnTerm, SinceItLeads, Median])
def test_a_right_rule_of_commitment_stands_every_search(candidate: type[Raft]) -> None:
    verdict = judge(candidate, exercise=["may_commit"])
    assert verdict.passed, str(verdict)


def test_a_list_without_end_is_cut() -> None:
    assert grade_deposition(without_end())
