"""The Paxos chapter's exercises: right answers pass, wrong ones hear why; ballots played by hand."""

import pytest

from distlib.paxos.exercises import Round, grade_quorum_system, grade_rounds, play
from distlib.paxos.paxos import Paxos


class LowestBallot(Paxos):
    """Takes over the value of the lowest ballot reported."""

    def choose_value(self, promises):
        reported = [report for report in promises if report.value is not None]
        return min(reported, key=lambda report: report.ballot).value if reported else self.wanted


THREE = [
    Round("S1", "A", ("S1", "S2"), ("S1",)),
    Round("S2", "B", ("S2", "S3"), ("S2", "S3")),
    Round("S3", "C", ("S1", "S2"), ("S1", "S2")),
]


def test_three_ballots_break_what_two_do_not() -> None:
    """The lowest ballot's value is that of the highest as long as only one was accepted."""
    assert play(LowestBallot, THREE[:2]).broken is None
    broken = play(LowestBallot, THREE).broken
    assert broken is not None and broken.invariant == "agreement"
    assert play(Paxos, THREE).broken is None


def test_the_story_of_the_rounds_reads_like_the_paper() -> None:
    told = str(play(Paxos, THREE)).splitlines()
    assert "  S1 promises, and reports A@1.S1" in told
    assert "  S3 asks all to accept B" in told
    assert told[-1] == "no invariant is broken"


def test_a_late_ballot_is_refused() -> None:
    """S2 met ballot 1.S1 before it chose its own, so it is higher; S3 did not, and S3's 1.S3 is below 2.S2."""
    rounds = [THREE[0], Round("S2", "B", ("S2",)), Round("S3", "C", ("S2", "S3"))]
    played = play(Paxos, rounds)
    assert played.refused
    assert "  S2 refuses S3's ballot 1.S3: it has promised 2.S2" in played.said
    assert "  S3 has no quorum of promises, so there is no phase 2" in played.said


def test_the_rounds_become_a_trace() -> None:
    trace = play(LowestBallot, THREE).trace
    assert trace.nodes == ("S1", "S2", "S3")
    assert [one.invariant for one in trace.violations] == ["agreement"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Round("S4", "A", ("S1",)), "the nodes are S1, S2, S3"),
        (lambda: play(Paxos, [THREE[0], THREE[0]]), "S1 proposes twice"),
        (lambda: play(Paxos, [Round("S1", "AB", ("S1",))]), "letters A to J"),
    ],
)
def test_impossible_rounds_are_named(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_wrong_types_are_named() -> None:
    with pytest.raises(TypeError, match="a class of Paxos"):
        play(int, THREE)
    with pytest.raises(TypeError, match=r"Round\(\.\.\.\)"):
        play(Paxos, ["S1"])


def test_grading_the_rounds() -> None:
    assert grade_rounds(THREE, LowestBallot)
    two = grade_rounds(THREE[:2], LowestBallot)
    assert not two and "add a third" in two.remarks[-1]
    harmless = grade_rounds([THREE[0], Round("S2", "B", ("S1", "S2"), ("S1", "S2")), THREE[2]], LowestBallot)
    assert not harmless and "two different values" in harmless.remarks[-1]
    assert "proposes twice" in str(grade_rounds([THREE[0], THREE[0]], LowestBallot))


def test_grading_a_quorum_system() -> None:
    assert grade_quorum_system(["ABC", "DEF"], ["AD", "BE", "CF"])
    for phase1, phase2, words in (
        (["ABC", "DEF"], ["AB"], "share nobody"),
        (["ABCDE", "BCDEF"], ["AB", "EF", "CD"], "more than 3"),
        (["ABC"], ["AD", "BE", "CF"], "no quorum is left when A crashes"),
        (["ABC", "DEF"], ["ADB", "BE", "CF"], "more than 2"),
        ("ABC", ["AD"], "a list of quorums"),
        ([], ["AD"], "is empty"),
        (["ABG"], ["AD"], "the acceptors are A, B"),
    ):
        grade = grade_quorum_system(phase1, phase2)
        assert not grade and words in str(grade)
