"""The exercises on principles, and the inductive argument by enumeration."""

import os
import sys
from fractions import Fraction
from functools import cache, partial
from itertools import permutations

import numpy as np
import pytest

from distlib.check.explore.explore import always, explore
from distlib.check.history.history import History
from distlib.check.history.linearizability import Verdict, check
from distlib.check.history.sequential import Register
from distlib.figures.history import history_timeline
from distlib.labs.grading import Grade
from distlib.principles.exercises import (
    ANSWERS,
    grade_conjunct,
    grade_invariant,
    grade_order,
    grade_state_count,
    puzzle,
)
from distlib.principles.induction import agreement, every_state, induction, votes_are_safe
from distlib.principles.specifications import Voting


def one_value_per_ballot(state):
    """OneValuePerBallot of Voting.tla: all votes of one ballot are for the same value."""
    values = {}
    return all(values.setdefault(vote.ballot, vote.value) == vote.value for votes in state.votes for vote in votes)


# --- induction ------------------------------------------------------------------------------------------


def test_agreement_is_true_and_yet_not_inductive() -> None:
    """Lamport, *The Paxos algorithm, or how to win a Turing award*: the invariant must say why the votes are safe."""
    assert explore(Voting(), always(agreement)).verdict == "holds"
    found = induction(Voting(), agreement)
    assert not found.inductive
    before, action, after = found.escape
    assert agreement(before) and not agreement(after)
    assert after in [state for label, state in Voting().successors(before) if label == action]


def test_lamports_invariant_is_inductive_and_implies_agreement() -> None:
    """Voting.tla: VotesSafe and OneValuePerBallot, over all states of three acceptors, two ballots."""
    found = induction(Voting(), one_value_per_ballot, votes_are_safe)
    assert found.inductive and found.states == 110_592
    assert (found.holding, found.steps) == (2_771, 12_177)
    satisfying = [one for one in every_state(Voting()) if one_value_per_ballot(one) and votes_are_safe(one)]
    assert len(satisfying) == 2_771
    assert all(map(agreement, satisfying))


def test_every_state_is_listed_once() -> None:
    states = list(every_state(Voting(2, 1, 2)))
    assert len(states) == len(set(states)) == (3 * 2**2) ** 2


def test_induction_says_what_it_cannot_do() -> None:
    with pytest.raises(ValueError, match="at least one invariant"):
        induction(Voting())
    with pytest.raises(ValueError, match="a million at most"):
        induction(Voting(3, 2, 3), agreement)


def test_what_fails_at_the_start_is_not_inductive() -> None:
    found = induction(Voting(2, 1, 1), lambda state: bool(state.votes[0]))
    assert not found.inductive and "at the start" in str(found)


# --- exercises ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [12, 12.0, np.int64(12), Fraction(12)])
def test_the_right_count_passes_whatever_its_type(count) -> None:
    assert grade_state_count(count)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (16, "every combination"),
        (14, "still working"),
        (9, "too few"),
        (13, "too many"),
        (10**400, "a whole number"),
        ("12", "a whole number, not '12'"),
        (12.5, "a whole number"),
        (True, "a whole number"),
        (None, "a whole number, not None"),
        (float("nan"), "a whole number"),
        ([12], "a whole number"),
    ],
)
def test_a_wrong_count_hears_why(count, words: str) -> None:
    grade = grade_state_count(count)
    assert not grade and words in str(grade)


def never_above_the_promise(nodes):
    return all(node.accepted_ballot <= node.promised for node in nodes.values())


def with_numpy(nodes):
    return np.all([node.promised.round >= node.accepted_ballot.round for node in nodes.values()])


def tampers(nodes):
    holds = never_above_the_promise(nodes)
    for node in nodes.values():
        node.accepted_value = node.accepted_ballot = node.promised = None
    return holds


@pytest.mark.parametrize("predicate", [never_above_the_promise, with_numpy, partial(tampers)])
def test_an_invariant_that_catches_what_agreement_needs_three_ballots_for(predicate) -> None:
    good = grade_invariant(predicate, max_states=3_000)
    assert good and "breaks it after 6 steps" in str(good)


def never_accepts(nodes):
    return all(node.accepted_value is None for node in nodes.values())


def promised_just_that(nodes):
    """Holds until a second ballot begins."""
    return all(node.accepted_value is None or node.accepted_ballot == node.promised for node in nodes.values())


def one_value(nodes):
    """Agreement's cousin, which two ballots of this variant do not break, and which correct Paxos does."""
    return len({node.accepted_value for node in nodes.values()} - {None}) <= 1


def strictly_above(nodes):
    return all(node.accepted_ballot < node.promised for node in nodes.values())


def the_highest_promise(nodes):
    """True, and kept by this variant: some quorum has promised what anybody accepts."""
    return max(node.accepted_ballot for node in nodes.values()) <= max(node.promised for node in nodes.values())


class Counts:
    """Answers by the clock of the search: no look at the nodes."""

    def __init__(self, wrong_at):
        self.asked, self.wrong_at = 0, wrong_at

    def __call__(self, nodes):
        self.asked += 1
        return self.asked != self.wrong_at


def patches_the_grader(nodes):
    from distlib.principles import exercises

    exercises.Grade = lambda passed, remarks: Grade(True, ("patched",))
    return True


def ends_the_process(_anything):
    os._exit(0)


def leaves(_anything):
    sys.exit()


@pytest.mark.parametrize(
    ("predicate", "words"),
    [
        (lambda nodes: True, "ask for more"),
        (lambda nodes: type(nodes["S1"]).__name__ == "Paxos", "ask for more"),
        (lambda nodes: None, "is a `return` missing"),
        (lambda nodes: 1, "True or False"),
        (lambda nodes: nodes["S9"], "S9"),
        (never_accepts, "it fails in correct Paxos"),
        (strictly_above, "at the start"),
        (the_highest_promise, "ask for more"),
        (lambda nodes: str(nodes)[:3], '· what your function answered is "{\'S"; it takes True or False'),
        (promised_just_that, "it fails in correct Paxos"),
        (one_value, "it fails in correct Paxos"),
        (Counts(1), "differently the second time"),
        (Counts(9), "differently the second time"),
        (patches_the_grader, "your code changes distlib.principles.exercises.Grade"),
        (ends_the_process, "the process ended"),
        (leaves, "SystemExit"),
        (lambda: True, "TypeError"),
        (7, "a function of the nodes"),
        (None, "a function of the nodes"),
    ],
)
def test_a_wrong_invariant_hears_why(predicate, words: str) -> None:
    grade = grade_invariant(predicate, max_states=3_000)
    assert not grade and words in str(grade), str(grade)


def one_value_by_pairs(state):
    votes = [vote for votes in state.votes for vote in votes]
    return not any(a.ballot == b.ballot and a.value != b.value for a in votes for b in votes)


def once_for_each_acceptor(state):
    """No acceptor votes twice in one ballot; two may still vote for different values in it."""
    return all(len({vote.ballot for vote in votes}) == len(votes) for votes in state.votes)


def one_value_at_all(state):
    return len({vote.value for votes in state.votes for vote in votes}) <= 1


def one_value_and_agreement(state):
    """Stronger than it need be, and right."""
    return one_value_per_ballot(state) and agreement(state)


@pytest.mark.parametrize("predicate", [one_value_per_ballot, partial(one_value_by_pairs), one_value_and_agreement])
def test_the_missing_conjunct(predicate) -> None:
    assert grade_conjunct(predicate)


@cache
def reachable():
    states = set()
    explore(Voting(), always(lambda state: states.add(state) is None, "note"))
    return states


@pytest.mark.parametrize(
    ("predicate", "words"),
    [
        (lambda state: True, "A2 votes x@1"),
        (agreement, "not inductive"),
        (once_for_each_acceptor, "not inductive"),
        (one_value_at_all, "not inductive"),
        (lambda state: not any(state.votes), "not inductive"),
        (lambda state: 1 / 0, "ZeroDivisionError"),
        (lambda state: False, "at the start"),
        (lambda state: state in reachable(), "in Voting(acceptors=2"),
        (lambda state: None, "is a `return` missing"),
        (lambda state: "yes", "True or False"),
        (ends_the_process, "the process ended"),
        (True, "a function of a state"),
    ],
)
def test_a_wrong_conjunct_hears_why(predicate, words: str) -> None:
    grade = grade_conjunct(predicate)
    assert not grade and words in str(grade), str(grade)


def endless(_anything):
    while True:
        pass


def test_a_function_that_never_comes_back_is_named() -> None:
    words = "did not come back within 0.5 s"
    assert words in str(grade_invariant(endless, limit_s=0.5))
    assert words in str(grade_conjunct(endless, limit_s=0.5))


def test_only_the_linearizations_pass() -> None:
    """Two of 5,040 orders: the write that was called first comes third."""
    passing = ["".join(order) for order in permutations(ANSWERS) if grade_order(order)]
    assert passing == ["bcadefg", "bcadegf"]
    assert check(History(tuple(ANSWERS.values())), Register()).verdict is Verdict.LINEARIZABLE


@pytest.mark.parametrize("order", ["b, c, a, d, e, f, g", "BCADEGF", list("bcadefg"), iter("bcadegf")])
def test_a_right_order_passes_however_it_is_written(order) -> None:
    assert grade_order(order)


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("abcdefg", "the register holds 2"),
        ("dabcefg", "must come first"),
        ("bca", "d, e, f, g is missing"),
        ("", "is missing"),
        ("bcadefgg", "once, as a string"),
        (None, "once, as a string"),
        (7, "once, as a string"),
        ([[1], {}, "b"], "once, as a string"),
        ([None] * 7, "once, as a string"),
    ],
)
def test_a_wrong_order_hears_why(order, words: str) -> None:
    grade = grade_order(order)
    assert not grade and words in str(grade)


def test_the_puzzle_can_be_drawn() -> None:
    assert "b: write 2" in str(history_timeline(**puzzle()).to_dict())
