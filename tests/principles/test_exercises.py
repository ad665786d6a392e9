"""The exercises on principles, and the inductive argument by enumeration."""

from itertools import permutations

import pytest

from distlib.check.explore.explore import always, explore
from distlib.check.history.history import History
from distlib.check.history.linearizability import Verdict, check
from distlib.check.history.sequential import Register
from distlib.figures.history import history_timeline
from distlib.paxos.paxos import Paxos
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


def test_counting_states() -> None:
    assert grade_state_count(12)
    for count, words in ((16, "every combination"), (14, "still working"), (9, "too few"), (13, "too many"),
                         ("12", "whole number")):  # fmt: skip
        assert words in str(grade_state_count(count))


class AcceptsWithoutPromise(Paxos):
    """Accepting does not raise the promise."""

    def promise_by_accepting(self, ballot):
        pass


def test_an_invariant_that_catches_what_agreement_needs_three_ballots_for() -> None:
    good = grade_invariant(
        lambda nodes: all(node.accepted_ballot <= node.promised for node in nodes.values()), AcceptsWithoutPromise
    )
    assert good and "after 6 steps" in str(good)


def never_accepts(nodes):
    return all(node.accepted_value is None for node in nodes.values())


@pytest.mark.parametrize(
    ("predicate", "words"),
    [
        (lambda nodes: True, "ask for more"),
        (lambda nodes: 1, "True or False"),
        (lambda nodes: nodes["S9"], "S9"),
        (never_accepts, "it fails in correct Paxos"),
        (7, "a function of the nodes"),
    ],
)
def test_a_wrong_invariant_hears_why(predicate, words: str) -> None:
    grade = grade_invariant(predicate, AcceptsWithoutPromise, max_states=3_000)
    assert not grade and words in str(grade)


def test_the_missing_conjunct() -> None:
    assert grade_conjunct(one_value_per_ballot)
    assert "A2 votes x@1" in str(grade_conjunct(lambda state: True))
    assert "ZeroDivisionError" in str(grade_conjunct(lambda state: 1 / 0))
    assert "at the start" in str(grade_conjunct(lambda state: False))
    assert "a function of a state" in str(grade_conjunct(True))


def endless(_anything):
    while True:
        pass


def test_a_function_that_never_comes_back_is_named() -> None:
    words = "did not come back within 0.5 s"
    assert words in str(grade_invariant(endless, AcceptsWithoutPromise, limit_s=0.5))
    assert words in str(grade_conjunct(endless, limit_s=0.5))


def test_only_the_linearizations_pass() -> None:
    """Two of 5,040 orders: the write that was called first comes third."""
    passing = ["".join(order) for order in permutations(ANSWERS) if grade_order(order)]
    assert passing == ["bcadefg", "bcadegf"]
    assert check(History(tuple(ANSWERS.values())), Register()).verdict is Verdict.LINEARIZABLE


def test_a_wrong_order_hears_why() -> None:
    assert "the register holds 2" in str(grade_order("abcdefg"))
    assert "must come first" in str(grade_order("dabcefg"))
    assert "d, e, f, g is missing" in str(grade_order("bca"))
    assert "once, as a string" in str(grade_order(None))


def test_the_puzzle_can_be_drawn() -> None:
    assert "b: write 2" in str(history_timeline(**puzzle()).to_dict())
