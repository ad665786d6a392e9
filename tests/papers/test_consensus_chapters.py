"""What the chapters on Paxos and on principles state, and their pictures show."""

from __future__ import annotations

from distlib.check.cluster.model import ClusterModel
from distlib.check.explore.explore import explore
from distlib.core.trace import kind_of
from distlib.paxos.as_written import OneRoundPaxos
from distlib.paxos.invariants import paxos_invariants
from distlib.paxos.multi_paxos_message import Applied
from distlib.paxos.scenarios import LeaderChangeParams, leader_change
from distlib.principles.specifications import BallotVote, Voting

NAMES = ("S1", "S2", "S3")


def test_four_deliveries_break_the_articles_paxos() -> None:
    """Lamport 2001, §2.2: without P2c, a later proposal gets a majority for another value."""

    def nodes() -> list[OneRoundPaxos]:
        wants = {"S1": "A", "S2": "B"}
        return [OneRoundPaxos(name, NAMES, value=wants.get(name), learners=("S3",)) for name in NAMES]

    found = explore(ClusterModel(nodes, invariants=paxos_invariants()))
    assert found.verdict == "violated"
    assert len(found.path) - 1 == 4


class LowestFirst(Voting):
    """Takes over the vote of the lowest ballot."""

    def shows_safe_at(self, state, quorum, b, v):
        if any(state.max_bal[a] < b for a in quorum):
            return 0
        earlier = [vote for a in quorum for vote in state.votes[a] if vote.ballot < b]
        return earlier.count(BallotVote(min(earlier).ballot, v)) if earlier else 1


def test_two_ballots_are_not_enough() -> None:
    """An exhaustive search of two ballots calls the lowest ballot's value right; a third ballot refutes it."""
    two, three = explore(LowestFirst(ballots=2)), explore(LowestFirst(ballots=3))
    assert two.verdict == "holds" and two.exhausted
    assert three.verdict == "violated"


def test_a_hole_is_filled_with_a_no_op() -> None:
    """Lamport 2001, §3: the new leader proposes a no-op where nothing was chosen, and the commands after it follow."""
    lossy = LeaderChangeParams(loss=0.4, clients=9, latency_ms=(2, 20), crash_ms=500, duration_ms=1100, seed=11)
    trace = leader_change(lossy)
    assert not trace.violations
    first = [happened.event for happened in trace.outputs_of(Applied)[:4]]
    assert [event.slot for event in first] == [1, 2, 3, 4]
    assert [kind_of(event.command) for event in first] == ["NoOp", "Put", "Put", "Put"]
