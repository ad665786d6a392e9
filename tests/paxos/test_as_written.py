"""The article's Paxos, taken literally: its failure in a scripted run, where the real protocol stands."""

import pytest

from distlib.check.cluster.model import ClusterModel
from distlib.check.explore.explore import explore
from distlib.core.fault import Crash
from distlib.paxos.as_written import OneRoundPaxos, OneVotePaxos
from distlib.paxos.invariants import LearnersAgree, paxos_invariants
from distlib.paxos.message import BallotStarted, Chosen, Propose
from distlib.paxos.paxos import Paxos
from distlib.replication.message import ClientRequest
from distlib.replication.state_machine import Put
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Constant
from distlib.sim.network import Network

THREE = ("S1", "S2", "S3")
PUT_1, PUT_2 = ClientRequest(Put("x", 1)), ClientRequest(Put("x", 2))


def paxos(cls, wants: dict, latency: float = 10, until_ms: float = 300, **settings):
    """Each of three nodes proposes at its time: {"S1": (at_ms, value)}."""
    nodes = [cls(name, THREE, **settings) for name in THREE]
    running = Cluster(nodes, Network(Constant(latency)), seed=1, invariants=paxos_invariants())
    for name, (at_ms, value) in wants.items():
        running.post(at_ms, name, Propose(value))
    return running.run(until_ms)


@pytest.mark.parametrize("start_ms", [5, 15, 30])
def test_one_round_of_votes_breaks_agreement(start_ms: float) -> None:
    """S1's a is accepted by all at 10 ms; S3, who is no learner, asks for votes for b, before that or after."""
    script = {"S1": (0, "a"), "S3": (start_ms, "b")}
    trace = paxos(OneRoundPaxos, script, learners=("S1",))
    assert [one.invariant for one in trace.violations] == ["agreement"]
    assert "two values are chosen" in trace.violations[0].witness
    right = paxos(Paxos, script, learners=("S1",))
    assert not right.violations
    assert len({one.event.value for one in right.outputs_of(Chosen)}) == 1


def test_one_vote_for_each_acceptor_blocks_for_good() -> None:
    """Three proposers, each votes for itself: safe, and stuck for ever, though all nodes are up."""
    wants = {"S1": (0, "a"), "S2": (0, "b"), "S3": (0, "c")}
    trace = paxos(OneVotePaxos, wants, until_ms=10_000)
    assert not trace.violations
    assert not trace.outputs_of(Chosen)
    assert len(trace.outputs_of(BallotStarted)) > 30  # they go on trying
    assert paxos(Paxos, wants, until_ms=10_000).outputs_of(Chosen)


def test_one_vote_decides_when_nobody_interferes() -> None:
    trace = paxos(OneVotePaxos, {"S1": (0, "a")})
    assert {one.event.value for one in trace.outputs_of(Chosen)} == {"a"}


def model(cls, learners: tuple[str, ...], names: tuple[str, ...] = THREE, **settings) -> ClusterModel:
    wants = {"S1": "A", "S2": "B"}
    return ClusterModel(
        lambda: [cls(name, names, value=wants.get(name), learners=learners, **settings) for name in names],
        invariants=(LearnersAgree(),),
    )


def test_two_learners_hear_enough_votes_for_two_values() -> None:
    """Judged by the article's own outcome, what its learners decide: eight deliveries suffice."""
    found = explore(model(OneRoundPaxos, ("S2", "S3")))
    assert found.verdict == "violated" and len(found.path) - 1 == 8
    assert "S2 decided on 'A', and S3 on 'B'" in found.violation.explanation
    assert explore(model(Paxos, ("S2", "S3")), max_states=20_000).verdict == "unknown"


def test_one_vote_each_is_safe_with_one_learner_and_unsafe_if_enough_is_no_majority() -> None:
    alone = explore(model(OneVotePaxos, ("S3",)))
    assert alone.verdict == "holds" and alone.exhausted
    half = explore(model(OneVotePaxos, ("S3", "S4"), (*THREE, "S4"), phase2_quorum=2, unsafe=True))
    assert half.verdict == "violated"


def test_the_one_learner_that_decides_takes_the_outcome_with_it() -> None:
    """The others have all voted for a; S3, the learner, is gone, and nobody else counts."""
    nodes = [OneRoundPaxos(name, THREE, learners=("S3",), catch_up_ms=None) for name in THREE]
    running = Cluster(nodes, Network(Constant(10)), seed=1, faults=(Crash(9, "S3"),))
    running.post(0, "S1", Propose("a"))
    trace = running.run(10_000)
    assert not trace.outputs_of(Chosen)
    assert [running.nodes[name].accepted_value for name in ("S1", "S2")] == ["a", "a"]
