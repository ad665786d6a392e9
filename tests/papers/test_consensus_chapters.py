"""What the chapters on Paxos, Raft and principles state, and their pictures show."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from distlib.check.cluster.model import ClusterModel
from distlib.check.explore.explore import explore
from distlib.core.trace import kind_of
from distlib.paxos.as_written import OneRoundPaxos
from distlib.paxos.exercises import Round, play
from distlib.paxos.invariants import paxos_invariants
from distlib.paxos.labs import LeaderChangeLab
from distlib.paxos.multi_paxos_message import Applied, BecameLeader
from distlib.paxos.paxos import Paxos
from distlib.paxos.scenarios import CompareParams, LeaderChangeParams, backoff_study, compare, leader_change
from distlib.principles.specifications import BallotVote, Voting
from distlib.raft.labs import RaftElectionLab
from distlib.raft.scenarios import ElectionParams, election
from distlib.raft.statistics import leaders
from distlib.replication.message import Returned

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


def test_random_pauses_end_a_duel_once_they_are_longer_than_a_messages_way() -> None:
    """Lamport 2001, §2.4; the latency is 10 ms. Two to five ballots, the two first ones included."""
    study = backoff_study(trials=10).set_index("backoff_ms")
    assert (study.loc[:10, "decided"] == 0).all()
    assert (study.loc[20:, "decided"] == 1).all()
    assert study.loc[20:, "rounds"].between(2, 5).all()


def test_impatient_followers_do_better_under_clients_and_worse_without() -> None:
    """Ten seeds, as in the chapter: commands keep a leader in office as heartbeats do."""

    def elected_and_done(clients: int, **more: Any) -> tuple[float, float]:
        runs = [leader_change(LeaderChangeParams(clients=clients, seed=seed, **more)) for seed in range(1, 11)]
        elected = fmean(len(run.outputs_of(BecameLeader)) for run in runs)
        return elected, fmean(len(run.outputs_of(Returned)) for run in runs)

    impatient = LeaderChangeLab.presets["Impatient"]
    assert elected_and_done(2, **impatient)[1] > elected_and_done(2)[1]
    assert elected_and_done(0, **impatient)[0] > 2 * elected_and_done(0)[0]


def test_who_reads_finishes_what_it_finds_or_rules_it_out() -> None:
    """Lamport 2001, §2.3: to learn whether a value is chosen, have a proposer issue a proposal."""
    half = Round("S1", "A", promised_by=("S1", "S2"), accepted_by=("S1",))
    finds = play(Paxos, [half, Round("S3", "B", promised_by=("S1", "S3"), accepted_by=("S1", "S3"))])
    assert "S3 asks all to accept A" in str(finds) and finds.broken is None
    rules_out = play(Paxos, [half, Round("S3", "B", promised_by=("S2", "S3"), accepted_by=("S2", "S3"))])
    assert "S3 asks all to accept B" in str(rules_out) and rules_out.broken is None


def test_raft_and_multi_paxos_cost_the_same_where_nothing_fails() -> None:
    found = compare(CompareParams(trials=5)).set_index("protocol")
    assert found.loc["Raft", ["messages", "round_trips"]].tolist() == [8.0, 1.0]
    assert found.loc["Multi-Paxos", ["messages", "round_trips"]].tolist() == [8.0, 1.0]
    assert found.loc["Paxos", "round_trips"] == 2.0


def test_with_timeouts_below_the_broadcast_time_somebody_still_wins_mostly() -> None:
    """The Raft chapter's preset *Too impatient*: neither nobody ever, nor everybody."""
    impatient = RaftElectionLab.presets["Too impatient"]
    won = [len(leaders(election(ElectionParams(**impatient, seed=seed)))) for seed in range(1, 31)]
    assert 15 < sum(map(bool, won)) < 30
    assert max(won) > 1
