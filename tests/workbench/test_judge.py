from __future__ import annotations

import os
import re
import sys
import time
from dataclasses import dataclass
from typing import ClassVar
from unittest.mock import Mock

import pytest

from distlib.check.cluster.counterexample import load
from distlib.check.search import Outcome, ProtocolSearch
from distlib.core.node import NodeId, setting, volatile
from distlib.paxos.broken import AcceptsAnything
from distlib.paxos.paxos import Paxos
from distlib.paxos.subject import PAXOS
from distlib.raft.membership import Membership
from distlib.raft.raft import Raft
from distlib.raft.subject import RAFT
from distlib.raft.variants import PreVote
from distlib.replication.primary_backup import PrimaryBackup
from distlib.replication.state_machine import KeyValue, StateMachine
from distlib.workbench import judge as judging
from distlib.workbench.judge import judge
from distlib.workbench.subjects import JUDGED
from tests.check.cluster.toys import CommitsOldTerms, ForgetsItsVote, TakesLowestBallot, TwoVotes

SEARCHES = [
    pytest.param(next(filter(one.applies, (subject.node_class, *subject.correct))), one,
                 id=f"{subject.name}: {one.name}")
    for subject in JUDGED for one in subject.searches
]  # fmt: skip

# --- the searches -----------------------------------------------------------------------------------


def test_figure_8_is_found_in_stages_and_not_by_walks():
    """Ongaro & Ousterhout 2014, §5.4.2 and figure 8: 18 steps that random walks miss."""
    found = RAFT.search("figure 8")(CommitsOldTerms)
    assert found.invariant == "Leader Completeness"
    assert found.events == 18
    assert not RAFT.search("random walks")(CommitsOldTerms).failure


def test_three_ballots_are_needed():
    found = PAXOS.search("three ballots")(TakesLowestBallot)
    assert found.invariant == "agreement"
    assert found.events == 20
    assert not PAXOS.search("two ballots")(TakesLowestBallot).failure


@pytest.mark.parametrize(("node_class", "one"), SEARCHES)
def test_each_protocol_passes_each_search_of_the_judge_to_its_end(node_class, one):
    outcome = one(node_class)
    assert (outcome.failure, outcome.complete) == ("", True)
    assert outcome.arrived


# --- verdicts ---------------------------------------------------------------------------------------


def test_a_broken_class_fails_with_its_minimal_counterexample():
    found = judge(TwoVotes)
    assert found.status == "failed"
    assert not found.passed
    assert found.failure.invariant == "Election Safety"
    assert found.failure.events in (6, 7)
    assert found.trace.violations[0].invariant == "Election Safety"
    assert found.story[0].endswith("election timeout")
    assert "Election Safety" in str(found)
    assert load(found.example.save(), classes=(TwoVotes,)).broken == found.example.broken


def test_a_correct_class_passes():
    found = judge(Paxos, only=("liveness",))
    assert found.passed
    assert "proves nothing beyond" in str(found)
    assert (found.trace, found.story) == (None, [])


def test_a_class_may_be_expected_to_fail():
    assert judge(ForgetsItsVote, expected_failure="Election Safety").passed
    assert judge(ForgetsItsVote, expected_failure="Log Matching").status == "failed"
    assert judge(Paxos, only=("liveness",), expected_failure="agreement").status == "failed"


class AlwaysAMajority(Raft):
    def has_majority(self, who):
        return True


def test_what_breaks_first_does_not_hide_what_is_expected():
    assert judge(AlwaysAMajority).failure.invariant == "Committed Entries Survive"
    found = judge(AlwaysAMajority, expected_failure="Election Safety")
    assert found.passed and found.example.broken.invariant == "Election Safety"
    assert "has led already" in found.story[-1] and found.trace.violations


class Sleepy(Raft):
    def on_election_timeout(self) -> None:
        self.restart_election_timer()


def test_liveness_is_looked_at():
    found = judge(Sleepy, only=("liveness",))
    assert found.failure.invariant == "liveness"
    assert "no leader is elected" in str(found)
    assert found.trace is not None


# --- what nobody ran, nobody has judged ------------------------------------------------------------------


class Empty(Raft):
    """Nothing of its own."""


class Misspelt(Raft):
    def on_votes(self, sender, vote):
        raise AssertionError


class OfAnotherClass(Raft):
    def take_snapshot(self):
        raise AssertionError


class Unused(Paxos):
    def on_nack(self, sender, message):
        super().on_nack(sender, message)

    def never(self):
        raise AssertionError


@pytest.mark.parametrize(
    ("candidate", "unexercised", "text"),
    [
        (Empty, (), "Empty is Raft under another name: it overrides no method"),
        (Misspelt, ("on_votes",), "Raft has no method on_votes, and nothing that ran calls it. Do you mean on_vote"),
        (OfAnotherClass, ("take_snapshot",), "Raft has no method take_snapshot; Snapshots has, so derive your class"),
        (Unused, ("never",), "Unused.never never ran"),
    ],
)
def test_what_never_ran_has_not_passed(candidate, unexercised, text):
    found = judge(candidate, only=("liveness",))
    assert (found.status, found.passed, found.unexercised) == ("not exercised", False, unexercised)
    assert text in str(found)


@dataclass
class OneField(Raft):
    voted_for: NodeId | None = volatile(None)


def test_a_class_may_consist_of_a_field():
    assert judge(OneField).failure.invariant == "Election Safety"


def test_a_stop_keeps_what_was_found_by_then(monkeypatch):
    monkeypatch.setattr(judging, "_with_example", stopped := Mock(side_effect=KeyboardInterrupt))
    found = judge(Raft, only=("liveness",))
    assert stopped.called
    assert found.status == "undecided"
    assert "Stopped by hand in the search 'liveness'" in str(found)


def test_the_searches_of_a_variant_are_run_for_what_derives_from_it():
    class Both(Membership, PreVote):
        pass

    names = {one.name for one in RAFT.searches if one.applies(Both)}
    for variant in (Membership, PreVote):
        assert {one.name for one in RAFT.searches if one.applies(variant)} <= names
    assert "reconfiguration" in names - {one.name for one in RAFT.searches if one.applies(Raft)}


# --- what readers write ------------------------------------------------------------------------------


class Loops(Raft):
    def on_vote(self, sender, vote):
        while True:
            try:  # noqa: SIM105
                pass
            except Exception:
                pass


class Hog(Raft):
    def on_vote(self, sender, vote):
        eaten = []
        while True:
            eaten.append(bytearray(10**8))


class Exits(Raft):
    def on_vote(self, sender, vote):
        sys.exit(3)


class Vanishes(Raft):
    def on_vote(self, sender, vote):
        os._exit(3)


@dataclass(frozen=True)
class Store(KeyValue):
    pass


@dataclass
class OwnStore(PrimaryBackup):
    machine: StateMachine = setting(Store())

    def stored_everywhere(self):
        return len(self.log)


def test_a_counterexample_may_hold_a_state_machine_of_the_readers_own():
    found = judge(OwnStore)
    assert found.failure.invariant == "answered requests survive"
    assert {type(node.machine) for node in found.example.model.made.values() if node.id != "monitor"} == {Store}


class CountsInItsClass(PrimaryBackup):
    calls = 0

    def on_stored(self, sender, message):
        CountsInItsClass.calls += 1
        if CountsInItsClass.calls > 300:
            raise RuntimeError("too many")
        super().on_stored(sender, message)


class LearnsInItsClass(Raft):
    seen: ClassVar[list] = []

    def may_grant_vote(self, candidate, request):
        self.seen.append(candidate)
        if len(self.seen) > 40:
            raise IndexError(candidate)
        return super().may_grant_vote(candidate, request)


@pytest.mark.parametrize("node_class", [CountsInItsClass, LearnsInItsClass])
def test_a_class_that_keeps_something_outside_its_fields_is_told_so(node_class):
    found = judge(node_class)
    assert found.status == "failed"
    assert f"{node_class.__name__} does not do the same each time" in found.failure.failure


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"budget_s": 1e9}, "budget_s is 1000000000.0; it takes a number above 0 s, 86,400 at most"),
        ({"only": 5}, "only is 5; it takes"),
        ({"expected_failure": ""}, "expected_failure is ''; Raft has Election Safety, .*, liveness, linearizability"),
        ({"exercise": ["may_comit"]}, "exercise names 'may_comit', and Raft has no such method"),
        ({"may_override": ["may_comit"]}, "may_override names 'may_comit', and Raft has no such method"),
        ({"expected_failure": "e"}, "expected_failure is 'e'; Raft has Election Safety, "),
    ],
)
def test_arguments_that_cannot_be_are_named(arguments, said):
    with pytest.raises(ValueError, match=said):
        judge(Raft, **arguments)


class ForgetsReturn(Raft):
    def may_grant_vote(self, candidate, request):
        request.term == self.current_term  # noqa: B015


class ReturnsNumber(Raft):
    def has_vote_for(self, candidate: NodeId):
        return 1


class NoSuper(Raft):
    def __init__(self, id, peers):
        self.peers = peers


class NoArguments(Raft):
    def __init__(self):
        pass


class Raises(Paxos):
    def choose_value(self, promises):
        return promises[99].value


class NoBallot(Paxos):
    def next_ballot(self):
        self.ballot  # noqa: B018


class Mutates(Paxos):
    def on_prepare(self, sender, message):
        message.ballot = 3


class Recurses(Raft):
    def has_majority(self, who):
        return self.has_majority(who)


@pytest.mark.parametrize(
    ("candidate", "status", "text"),
    [
        (Loops, "failed", "did not come back from on_vote within 2 s"),
        (Hog, "failed", "MemoryError|did not come back from on_vote"),
        (Exits, "failed", "SystemExit: 3"),
        (Vanishes, "undecided", "exit code 3"),
        (ForgetsReturn, "failed", "ForgetsReturn.may_grant_vote returned None; it must return True or False"),
        (ReturnsNumber, "failed", "ReturnsNumber.has_vote_for returned 1; it must return True or False"),
        (NoSuper, "failed", r"leave out __init__, or call super\(\).__init__"),
        (NoArguments, "failed", r"leave out __init__, or call super\(\).__init__"),
        (Raises, "failed", "raised IndexError: tuple index out of range .in choose_value"),
        (NoBallot, "failed", "NoBallot.next_ballot returned None; it must return a Ballot"),
        (Mutates, "failed", "tried to change a constant"),
        (Recurses, "failed", "RecursionError"),
    ],
)
def test_whatever_a_class_does_ends_in_a_sentence(candidate, status, text):
    found = judge(candidate)
    assert found.status == status
    assert re.search(text, str(found)), str(found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((Raft("S1", ("S2",)),), "write Raft, not Raft"),
        ((int,), "derived from one of Raft, Paxos"),
        (("Raft",), "derived from one of Raft, Paxos"),
    ],
)
def test_what_is_no_protocol_class_is_refused(arguments, message):
    with pytest.raises(TypeError, match=message):
        judge(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"only": "safety"}, "only is 'safety'"), ({"only": ("speed",)}, "only is"), ({"budget_s": 0}, "budget_s is 0")],
)
def test_arguments_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        judge(Raft, **options)


def test_a_budget_that_ends_too_early_is_said():
    found = judge(Raft, budget_s=0.01)
    assert found.status == "undecided"
    assert "The budget of 0.01 s ended before" in str(found)


FOUND = Outcome("validity: …", "something", True, "one round", invariant="validity")
CUT_SHORT = Outcome("", "something", False, "three ballots")


@pytest.mark.parametrize(
    ("outcomes", "expected_failure", "said"),
    [
        ((CUT_SHORT,), None, "Time cut short: three ballots. A larger budget_s"),
        ((CUT_SHORT,), "agreement", "Time cut short: three ballots."),
        ((FOUND, CUT_SHORT), "agreement", "It breaks validity, and should break 'agreement'. Time cut short"),
    ],
)
def test_what_was_cut_short_is_said_and_decides_nothing(outcomes, expected_failure, said):
    """A slow class is not called right, nor called one that breaks nothing, for what nobody had the time to look at."""
    status, remark = judging._status(outcomes, [], "", expected_failure, ["Slow.learn never ran."])
    assert status == "undecided" and said in remark and remark.endswith("Slow.learn never ran.")
    assert judging._status((FOUND, CUT_SHORT), [], "", "validity", [])[0] == "passed", "what was found, is"
    assert judging._status((FOUND, CUT_SHORT), [], "", None, [])[0] == "failed"


def test_a_search_that_could_not_tell_decides_nothing():
    unsure = Outcome("", "12 simulated histories", True, "reads", undecided=2)
    assert "nothing found, 2 runs undecided" in str(unsure)
    status, remark = judging._status((unsure,), [], "", None, [])
    assert (status, remark) == ("undecided", "The checker of histories gave up: reads (2 of 12 simulated histories).")
    assert judging._status((FOUND, unsure), [], "", None, [])[0] == "failed", "what was found, is"


class Hesitates(Paxos):
    def on_promise(self, sender, message):
        time.sleep(0.05)
        super().on_promise(sender, message)


def test_a_class_too_slow_for_its_budget_has_not_passed():
    found = judge(Hesitates, only=("liveness",), budget_s=0.8)
    assert found.status == "undecided"
    assert any("cut short" in line and "nothing found" in line for line in str(found).splitlines())


def test_searches_that_take_all_they_are_given_leave_none_without_a_turn(monkeypatch):
    now, given = [0.0], []
    monkeypatch.setattr(judging, "monotonic", lambda: now[0])

    def run(node_class, max_seconds):
        given.append(max_seconds)
        now[0] += max_seconds
        return Outcome("", "something", False)

    slow = [ProtocolSearch(f"search {number}", "", "staged", run) for number in range(20)]
    told = []
    assert judging._Court(Paxos, PAXOS, slow, 100.0, None, ())._search(told.append, Paxos) == ""
    assert len(given) == 20 and sum(given) == pytest.approx(100)
    assert given[0] == pytest.approx(15) and min(given) == pytest.approx(100 / 20 / judging.SHARE)


# --- what an exercise leaves as it is -------------------------------------------------------------------

LEARNER = ("on_accepted", "supporters", "is_phase2_quorum", "learn", "on_learned", "on_catch_up_timeout")
"""As in exercise 5 of the Paxos chapter."""


class BelievesTheFirst(Paxos):
    def is_phase2_quorum(self, votes):
        return len(votes) >= 1


class HasOneOfItsOwn(Paxos):
    def on_accepted(self, sender, message):
        if self.is_good_enough(sender):
            self.learn(message.value)

    def is_good_enough(self, sender):
        return self.chosen is None


@dataclass
class Remembers(Paxos):
    heard: tuple = volatile(())

    def supporters(self, ballot, value):
        self.heard = (*self.heard[-2:], value)
        return tuple(vote for vote in self.votes if vote.value == value or value in self.heard)


@pytest.mark.parametrize("candidate", [BelievesTheFirst, HasOneOfItsOwn, Remembers])
def test_whoever_overrides_what_may_be_overridden_is_judged(candidate):
    found = judge(candidate, expected_failure="agreement", may_override=LEARNER)
    assert found.passed, str(found)


class VotesTwice(BelievesTheFirst):
    def may_accept(self, ballot):
        return True


class DerivesFromABug(AcceptsAnything):
    def learn(self, value):
        super().learn(value)


@dataclass
class AnotherQuorum(Paxos):
    phase2_quorum: int = setting(1)


class Tampers(Paxos):
    def __setattr__(self, name, value):
        object.__setattr__(self, name, 1 if name == "phase2_quorum" else value)


class CountsTwice(Paxos):
    def counted(self, reports, report):
        return (*reports, report)


@pytest.mark.parametrize(
    ("candidate", "named"),
    [
        (VotesTwice, "Paxos.may_accept"),
        (DerivesFromABug, "Paxos.may_accept"),
        (AnotherQuorum, "Paxos.phase2_quorum"),
        (Tampers, "Paxos.__setattr__"),
        (CountsTwice, "Paxos.counted"),
    ],
)
def test_whoever_overrides_something_else_is_told_what(candidate, named):
    found = judge(candidate, expected_failure="agreement", may_override=LEARNER)
    assert found.status == "failed" and found.outcomes == ()
    assert f"{candidate.__name__} overrides {named}; this exercise leaves that as it is" in str(found)
    assert "What it may override: on_accepted, supporters" in str(found)


class Careful(Paxos):
    def learn(self, value):
        super().learn(value)


def test_a_learner_that_breaks_nothing_is_no_answer():
    found = judge(Careful, only=("liveness",), expected_failure="agreement", may_override=LEARNER)
    assert found.status == "failed" and "no search found anything" in str(found)
    assert judge(Empty, may_override=["may_commit"]).status == "not exercised"
