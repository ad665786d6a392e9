"""The article's Paxos, taken literally: its failure in a scripted run, where the real protocol stands."""

import pytest

from distlib.paxos.as_written import OneRoundPaxos, OneVotePaxos
from distlib.paxos.invariants import paxos_invariants
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
