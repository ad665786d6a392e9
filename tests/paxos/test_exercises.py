"""The Paxos chapter's exercises: right answers pass, wrong ones hear why; ballots played by hand."""

import pytest

from distlib.paxos.exercises import Round, grade_quorum_system, grade_rounds, play
from distlib.paxos.paxos import Paxos
from distlib.paxos.subject import PAXOS
from distlib.workbench.judge import judge


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
    with pytest.raises(TypeError, match="promised_by is None; it takes the names of nodes"):
        Round("S1", "A", None)
    with pytest.raises(TypeError, match="a class of Paxos"):
        play(int, THREE)
    with pytest.raises(TypeError, match=r"Round\(\.\.\.\)"):
        play(Paxos, ["S1"])


@pytest.mark.parametrize(
    "rounds",
    [
        THREE,
        iter(THREE),
        (
            Round("S1", "D", ("S1", "S3"), "S1"),
            Round("S2", "E", ("S2", "S3"), ["S2", "S3"]),
            Round("S3", "F", ("S1", "S3"), ("S1", "S3")),
        ),
    ],
)
def test_right_rounds_pass(rounds) -> None:
    assert grade_rounds(rounds)


@pytest.mark.parametrize(
    ("rounds", "words"),
    [
        ([], "add a third"),
        (THREE[:2], "add a third"),
        ([THREE[0], Round("S2", "B", ("S1", "S2"), ("S1", "S2")), THREE[2]], "two different values"),
        ([THREE[0], THREE[0]], "proposes twice"),
        (["S1", "S2", "S3"], "Round(...) values"),
        (None, "a list of rounds"),
        ("S1S2S3", "a list of rounds"),
        (THREE[0], "a list of rounds"),
    ],
)
def test_wrong_rounds_hear_why(rounds, words: str) -> None:
    grade = grade_rounds(rounds)
    assert not grade and words in str(grade)


# --- 1 and 2: what the judge, and its searches, see of answers to them


class FirstOfTheRound(Paxos):
    """Compares rounds only; of two reports of one round it takes the first."""

    def choose_value(self, promises):
        reported = [report for report in promises if report.value is not None]
        return max(reported, key=lambda report: report.ballot.round).value if reported else self.wanted


class LastOfTheRound(Paxos):
    """The same, with the last."""

    def choose_value(self, promises):
        value, highest = self.wanted, 0
        for report in promises:
            if report.value is not None and report.ballot.round >= highest:
                value, highest = report.value, report.ballot.round
        return value


class LargestOfTheRound(Paxos):
    """The same, with the largest value."""

    def choose_value(self, promises):
        reported = [report for report in promises if report.value is not None]
        return max(reported, key=lambda report: (report.ballot.round, report.value)).value if reported else self.wanted


class SmallestServerOfTheRound(Paxos):
    """Breaks ties between ballots of one round the wrong way round."""

    def choose_value(self, promises):
        reported = sorted((report for report in promises if report.value is not None), key=lambda one: one.ballot)
        return max(reported, key=lambda report: report.ballot.round).value if reported else self.wanted


ONE_ROUND = ("one round", "one round, mirrored")


@pytest.mark.parametrize("node_class", [FirstOfTheRound, LastOfTheRound, LargestOfTheRound, SmallestServerOfTheRound])
def test_a_ballot_is_more_than_its_round(node_class) -> None:
    found = [PAXOS.search(name)(node_class) for name in ONE_ROUND]
    assert "agreement" in [outcome.invariant for outcome in found]


class KeepsBothInMind(Paxos):
    """Accepting does not raise the promise, and yet nothing below what was accepted is promised or accepted: safe."""

    def may_promise(self, ballot):
        return ballot >= max(self.promised, self.accepted_ballot)

    def may_accept(self, ballot):
        return ballot >= max(self.promised, self.accepted_ballot)

    def promise_by_accepting(self, ballot):
        pass


@pytest.mark.parametrize("name", ["after a choice", "two ballots", "three ballots, none chosen", *ONE_ROUND])
def test_an_acceptor_may_keep_its_promise_and_what_it_accepted_apart(name: str) -> None:
    outcome = PAXOS.search(name)(KeepsBothInMind)
    assert outcome.arrived and outcome.failure == ""


class MostFrequent(Paxos):
    def choose_value(self, promises):
        values = [report.value for report in promises if report.value is not None]
        return max(values, key=values.count) if values else self.wanted


class ItsOwnAcceptors(Paxos):
    """Asks the acceptor beside it, and nobody else."""

    def choose_value(self, promises):
        return self.accepted_value or self.wanted


class TheWholeReport(Paxos):
    def choose_value(self, promises):
        reported = [report for report in promises if report.value is not None]
        return max(reported, key=lambda report: report.ballot) if reported else self.wanted


class AnythingAtAll(Paxos):
    def choose_value(self, promises):
        return "x"


class IsOurs(Paxos):
    choose_value = Paxos.choose_value


@pytest.mark.parametrize(
    ("node_class", "words"),
    [
        (MostFrequent, "agreement: two values are chosen"),
        (ItsOwnAcceptors, "agreement: two values are chosen"),
        (TheWholeReport, "which nobody proposed"),
        (AnythingAtAll, "'x', which nobody proposed"),
        (IsOurs, "Paxos.choose_value is what the exercise asks you to write"),
    ],
)
def test_a_wrong_choice_of_the_value_is_found(node_class, words: str) -> None:
    verdict = judge(node_class, exercise=["choose_value"])
    assert verdict.status == "failed" and words in str(verdict)


class TheLastWhenSorted(Paxos):
    """No value has ballot 0, so it is first among the sorted reports."""

    def choose_value(self, promises):
        last = sorted(promises, key=lambda report: report.ballot)[-1]
        return self.wanted if last.value is None else last.value


def test_another_right_choice_of_the_value_passes() -> None:
    verdict = judge(TheLastWhenSorted, exercise=["choose_value"])
    assert verdict.passed, str(verdict)


ACCEPTOR = ["may_promise", "may_accept", "promise_by_accepting"]


class Strict(Paxos):
    """Does not promise twice what it has promised already: the proposer has its promise, or asks another one."""

    def may_promise(self, ballot):
        return ballot > self.promised

    def may_accept(self, ballot):
        return ballot >= self.promised

    def promise_by_accepting(self, ballot):
        if ballot > self.promised:
            self.make_promise(ballot)


class ForgetsToPromise(Strict):
    def promise_by_accepting(self, ballot):
        pass


class LooksAtWhatItAccepted(Strict):
    def may_accept(self, ballot):
        return ballot >= self.accepted_ballot


class PromisesAboveWhatItAccepted(Strict):
    def may_promise(self, ballot):
        return ballot > self.accepted_ballot


class ComparesRounds(Strict):
    def may_accept(self, ballot):
        return ballot.round >= self.promised.round


class NeverPromises(Strict):
    def may_promise(self, ballot):
        return False


class LeavesOneToUs(Paxos):
    def may_promise(self, ballot):
        return ballot >= self.promised

    def may_accept(self, ballot):
        return ballot >= self.promised


def test_another_right_acceptor_passes() -> None:
    verdict = judge(Strict, exercise=ACCEPTOR)
    assert verdict.passed, str(verdict)


@pytest.mark.parametrize(
    ("node_class", "words"),
    [
        (ForgetsToPromise, "monotonic promise"),
        (LooksAtWhatItAccepted, "two values are chosen"),
        (PromisesAboveWhatItAccepted, "monotonic promise"),
        (ComparesRounds, "two values are chosen"),
        (NeverPromises, "nobody has learnt a chosen value"),
        (LeavesOneToUs, "Paxos.promise_by_accepting is what the exercise asks you to write"),
    ],
)
def test_a_wrong_acceptor_is_found(node_class, words: str) -> None:
    verdict = judge(node_class, exercise=ACCEPTOR)
    assert verdict.status == "failed" and words in str(verdict)


# --- 4


@pytest.mark.parametrize(
    ("phase1", "phase2"),
    [
        (["ABC", "DEF"], ["AD", "BE", "CF"]),
        (["ACE", "BDF"], ["AB", "CD", "EF"]),
        ([x + y + z for x in "AB" for y in "CD" for z in "EF"], ["AB", "CD", "EF"]),
        ([{"A", "B", "C"}, ("D", "E", "F")], (pair for pair in ("A, D", "B, E", "C, F"))),
    ],
)
def test_right_quorum_systems_pass(phase1, phase2) -> None:
    assert grade_quorum_system(phase1, phase2)


@pytest.mark.parametrize(
    ("phase1", "phase2", "words"),
    [
        (["ABC", "DEF"], ["AB", "CD", "EF"], "share nobody"),
        (["ABCDE", "BCDEF"], ["AB", "EF", "CD"], "has 5 acceptors, and not 3"),
        (["ABC"], ["AD", "BE", "CF"], "no quorum is left when A crashes"),
        (["ABC", "DEF"], ["ADB", "BE", "CF"], "has 3 acceptors, and not 2"),
        (["AB", "BC", "AC"], ["AB", "BC", "AC"], "D, E, F in no quorum"),
        (["ABD", "BCE", "ACF"], ["AB", "BC", "AC"], "phase 2: D, E, F in no quorum"),
        ("ABC", ["AD"], "a list of quorums"),
        (None, ["AD"], "a list of quorums"),
        ([], ["AD"], "is empty"),
        (["ABC", ""], ["AD"], "has the quorum ''"),
        ([7], ["AD"], "has the quorum 7"),
        ([[["A"]]], ["AD"], "has the quorum [['A']]"),
        (["ABG"], ["AD"], "the acceptors are A, B"),
    ],
)
def test_a_wrong_quorum_system_hears_why(phase1, phase2, words: str) -> None:
    grade = grade_quorum_system(phase1, phase2)
    assert not grade and words in str(grade), str(grade)
