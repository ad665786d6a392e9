"""State counts published for the public TLA+ examples (github.com/tlaplus/Examples, specifications/*/manifest.json)."""

import pytest

from distlib.check.explore.explore import Model, always, explore
from distlib.principles.specifications import (
    BallotVote,
    Consensus,
    PaxosSpecification,
    TCommit,
    TwoPhase,
    Voting,
    VotingState,
)
from tests.papers.ring import EWD840, ChangRoberts


def counts(model: Model, **options) -> tuple[int, int, int]:
    result = explore(model, **options)
    assert result.exhausted
    assert result.verdict == "holds"
    return result.distinct, result.generated, result.depth


def test_two_phase_commit():
    """transaction_commit/TwoPhase.cfg: 3 resource managers, 288 distinct, 1,146 generated, depth 11."""
    assert counts(TwoPhase(3)) == (288, 1146, 11)


def test_transaction_commit():
    """transaction_commit/TCommit.cfg: 3 resource managers, 34 distinct, 94 generated, depth 7."""
    assert counts(TCommit(3)) == (34, 94, 7)


def test_paxos():
    """PaxosHowToWinATuringAward/MCPaxosTiny.cfg: 3 acceptors, 2 values, ballots 0..1: 3,921, 23,563, depth 17."""
    assert counts(PaxosSpecification(acceptors=3, values=2, ballots=2)) == (3921, 23563, 17)


def test_paxos_with_one_acceptor():
    """Paxos/MCPaxos.cfg: 1 acceptor, 1 value, ballots 0..1: 25, 82, depth 9."""
    assert counts(PaxosSpecification(acceptors=1, values=1, ballots=2)) == (25, 82, 9)


def test_voting():
    """PaxosHowToWinATuringAward/MCVoting.cfg: 3 acceptors, 2 values, 3 ballots: 6,752, 41,017, depth 16."""
    assert counts(Voting(acceptors=3, values=2, ballots=3)) == (6752, 41017, 16)


def test_voting_up_to_symmetry():
    """Paxos/MCVoting.cfg: ballots 0..1, SYMMETRY over acceptors and values: 77, 451, depth 11."""
    assert counts(Voting(acceptors=3, values=2, ballots=2), symmetry=True) == (77, 451, 11)


def test_consensus():
    """PaxosHowToWinATuringAward/MCConsensus.cfg: 3 values, 4 distinct, 4 generated, depth 2."""
    assert counts(Consensus(3)) == (4, 4, 2)


def test_leader_election_in_a_ring():
    """chang_roberts/MCChangRoberts.cfg: 3 nodes, 137 distinct, 227 generated, depth 10."""
    assert counts(ChangRoberts(3)) == (137, 227, 10)


def test_termination_detection_in_a_ring():
    """ewd840: EWD840.cfg, N = 3: 302 distinct, 2,001 generated; EWD840_json.cfg, N = 4: 1,566, 15,986, depth 12.

    For N = 3 the manifest gives depth 10; the greatest distance from an initial state is 9, which is asserted here.
    """
    assert counts(EWD840(3)) == (302, 2001, 9)
    assert counts(EWD840(4)) == (1566, 15986, 12)


@pytest.mark.parametrize("model", [TCommit(4), TwoPhase(4), Consensus(4), Voting(3, 2, 2)])
def test_symmetry_merges_states_and_keeps_the_verdict(model):
    full, reduced = explore(model), explore(model, symmetry=True)
    assert reduced.distinct < full.distinct
    assert (reduced.verdict, reduced.depth) == (full.verdict, full.depth)


def test_the_orbits_are_counted_exactly():
    """Each class of states under symmetry is visited once: as many as there are different canonical forms."""
    model = Voting(3, 2, 2)
    forms, waiting = set(), list(model.initial_states())
    seen = set(waiting)
    while waiting:
        state = waiting.pop()
        forms.add(model.canonical(state))
        fresh = {successor for _, successor in model.successors(state)} - seen
        seen |= fresh
        waiting += fresh
    assert explore(model, symmetry=True).distinct == len(forms)


def test_two_phase_commit_implements_transaction_commit():
    """Gray & Lamport 2006, §3: every step of TwoPhase is a step of TCommit or leaves rmState as it is."""
    two_phase, commit = TwoPhase(3), TCommit(3)

    def refines(state):
        allowed = {state.rm_state} | {successor for _, successor in commit.successors(state.rm_state)}
        return all(successor.rm_state in allowed for _, successor in two_phase.successors(state))

    assert explore(two_phase, always(refines)).verdict == "holds"


def test_paxos_implements_voting():
    """Paxos.tla: V!Spec holds, where votes are the 2b messages."""
    paxos, voting = PaxosSpecification(3, 2, 2), Voting(3, 2, 2)

    def abstract(state):
        votes = [frozenset(BallotVote(m[2], m[3]) for m in state.msgs if m[:2] == ("2b", a)) for a in range(3)]
        return VotingState(tuple(votes), state.max_bal)

    def refines(state):
        now = abstract(state)
        allowed = {now} | {successor for _, successor in voting.successors(now)}
        return all(abstract(successor) in allowed for _, successor in paxos.successors(state))

    assert explore(paxos, always(refines)).verdict == "holds"


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: TwoPhase(0), "managers"),
        (lambda: TCommit(2.5), "managers"),
        (lambda: PaxosSpecification(acceptors=-1), "acceptors"),
        (lambda: Voting(ballots=0), "ballots"),
        (lambda: Consensus(True), "values"),
        (lambda: EWD840(0), "nodes"),
        (lambda: ChangRoberts("3"), "nodes"),
    ],
)
def test_a_wrong_size_is_named(make, name):
    with pytest.raises((TypeError, ValueError), match=f"{name} is .*; it takes a whole number of at least 1"):
        make()
