"""Single-decree Paxos: transcripts, many seeds under faults, and every mistake a person can make."""

from collections import Counter

import pytest

from distlib.core.fault import Crash, Nemesis, OneWay, Partition
from distlib.core.trace import Trace
from distlib.paxos.invariants import paxos_invariants
from distlib.paxos.message import (
    NO_BALLOT,
    Accept,
    Accepted,
    Ballot,
    BallotStarted,
    Chosen,
    Prepare,
    Promise,
    Propose,
    quorum_sizes,
)
from distlib.paxos.paxos import Paxos
from distlib.sim.cluster import Cluster, NodeError
from distlib.sim.latency import Constant
from distlib.sim.network import Network

THREE = ("S1", "S2", "S3")
FIVE = ("S1", "S2", "S3", "S4", "S5")


def cluster(names=THREE, values=("a",), network=None, seed=0, faults=(), cls=Paxos, **settings) -> Cluster:
    wants = [*values, *[None] * len(names)]
    nodes = [cls(name, names, value=value, **settings) for name, value in zip(names, wants, strict=False)]
    return Cluster(nodes, network or Network(Constant(10)), seed=seed, faults=faults, invariants=paxos_invariants())


def all_chosen(running: Cluster) -> bool:
    return all(node.chosen is not None for node in running.nodes.values())


def chosen(trace: Trace) -> set:
    return {one.event.value for one in trace.outputs_of(Chosen)}


# --- transcripts -----------------------------------------------------------------------------------------


def test_one_proposer_needs_two_round_trips() -> None:
    trace = cluster(learners=("S1",)).run(100)
    assert list(trace.transcript()) == [
        "     0.000 ms  S1 → S1 Prepare ballot=1.S1",
        "     0.000 ms  S1 → S1 Promise ballot=1.S1",
        "     0.000 ms  S1: BallotStarted ballot=1.S1",
        "    10.000 ms  S1 → S2 Prepare ballot=1.S1",
        "    10.000 ms  S1 → S3 Prepare ballot=1.S1",
        "    20.000 ms  S2 → S1 Promise ballot=1.S1",
        "    20.000 ms  S3 → S1 Promise ballot=1.S1",
        "    20.000 ms  S1 → S1 Accept ballot=1.S1 value=a",
        "    20.000 ms  S1 → S1 Accepted ballot=1.S1 value=a",
        "    30.000 ms  S1 → S2 Accept ballot=1.S1 value=a",
        "    30.000 ms  S1 → S3 Accept ballot=1.S1 value=a",
        "    40.000 ms  S2 → S1 Accepted ballot=1.S1 value=a",
        "    40.000 ms  S3 → S1 Accepted ballot=1.S1 value=a",
        "    40.000 ms  S1: Chosen value=a",
    ]


def test_a_later_proposer_takes_over_the_chosen_value() -> None:
    """S1 gets a chosen and crashes; S3, who is no learner, proposes c and finds that a is chosen."""
    running = cluster(learners=("S1",), catch_up_ms=None, faults=(Crash(100, "S1"),))
    running.post(200, "S3", Propose("c"))
    trace = running.run(500)
    assert [(one.node, one.event.value) for one in trace.outputs_of(Chosen)] == [("S1", "a"), ("S3", "a")]
    assert not trace.violations


def test_a_value_chosen_unnoticed_is_found_by_the_next_proposer() -> None:
    """S1 gets its value accepted by S2 and crashes before anybody has learnt it."""
    cut = OneWay(25, ("S1", "S2"), ("S3",), 40)
    running = cluster(faults=(cut, Crash(35, "S1")), learners=("S3",), catch_up_ms=None)
    running.run(70)
    assert running.nodes["S2"].accepted_value == "a"
    assert running.nodes["S3"].chosen is None
    running.post(80, "S3", Propose("c"))
    trace = running.run(500)
    assert chosen(trace) == {"a"}
    assert not trace.violations


# --- many seeds ------------------------------------------------------------------------------------------


def test_safety_and_progress_under_a_nemesis() -> None:
    """300 seeds of loss, duplicates, reordering, crashes, pauses and partitions; then everything heals."""
    seen: Counter[str] = Counter()
    for seed in range(300):
        network = Network(loss=0.1, duplication=0.2, reordering=0.2, disk=Constant(2.0) if seed % 2 else None)
        faults = Nemesis(gap_ms=60, length_ms=60).schedule(FIVE, seed, 400)
        running = cluster(FIVE, ("a", "b", "c"), network, seed, faults)
        running.run(400)
        trace = running.run(20_000, until=all_chosen)
        assert not trace.violations, (seed, trace.violations)
        assert all_chosen(running), seed
        assert len(chosen(trace)) == 1
        seen[chosen(trace).pop()] += 1
        seen["contested"] += max(node.ballot.round for node in running.nodes.values()) > 1
        seen["taken over"] += any(
            isinstance(message, Accept) and message.value != running.nodes[sender].value
            for _, _, sender, _, message, _ in trace.sent
        )
        seen["crashed"] += any(isinstance(one.event, Crash) for one in trace.faults)
        seen["caught up"] += "Learned" in set(trace.messages["kind"]) if seed < 20 else 0
    assert min(seen["a"], seen["b"], seen["c"]) > 0
    assert seen["contested"] > 50
    assert seen["taken over"] > 20
    assert seen["crashed"] > 100
    assert seen["caught up"] > 0


@pytest.mark.parametrize(("names", "survives"), [(("S1",), 0), (("S1", "S2"), 0), (("S1", "S2", "S3", "S4"), 1)])
def test_small_and_even_clusters(names: tuple, survives: int) -> None:
    """A cluster of one decides at once; an even one survives no more crashes than the odd one below it."""
    for down in (survives, survives + 1):
        if down >= len(names):
            continue
        faults = [Crash(0, name) for name in names[len(names) - down :]]
        trace = cluster(names, faults=faults).run(2000)
        assert bool(chosen(trace)) is (down <= survives)


def test_the_same_seed_gives_the_same_run() -> None:
    runs = [cluster(FIVE, ("a", "b"), Network(loss=0.2), seed=3).run(300).digest for _ in range(2)]
    assert runs[0] == runs[1]


# --- quorums ---------------------------------------------------------------------------------------------


def test_sizes_of_quorums() -> None:
    assert quorum_sizes(5, None, None, unsafe=False) == (3, 3)
    assert quorum_sizes(4, None, None, unsafe=False) == (3, 3)
    assert quorum_sizes(5, None, 2, unsafe=False) == (4, 2)
    assert quorum_sizes(5, 5, None, unsafe=False) == (5, 1)
    assert quorum_sizes(5, 2, 2, unsafe=True) == (2, 2)


def test_a_small_phase_2_survives_more_crashes_there() -> None:
    """With |Q2| = 2 of 5, three acceptors may crash after phase 1, and the value is still chosen."""
    faults = [Crash(25, name) for name in ("S3", "S4", "S5")]
    assert chosen(cluster(FIVE, faults=faults, phase2_quorum=2).run(1000)) == {"a"}
    assert chosen(cluster(FIVE, faults=faults).run(1000)) == set()


def test_quorums_that_do_not_intersect_break_agreement() -> None:
    halves = Partition(0, (("S1", "S2"), ("S3", "S4")), 300)
    names = ("S1", "S2", "S3", "S4")
    running = cluster(names, (), faults=(halves,), phase1_quorum=2, phase2_quorum=2, unsafe=True)
    running.post(1, "S1", Propose("a"))
    running.post(1, "S3", Propose("b"))
    assert [one.invariant for one in running.run(200).violations] == ["agreement"]


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"phase1_quorum": 1, "phase2_quorum": 2}, ValueError, "need not intersect.*at least 4.*unsafe=True"),
        ({"phase1_quorum": 0}, ValueError, "phase1_quorum is 0; it takes a whole number from 1 to 3"),
        ({"phase2_quorum": 4}, ValueError, "phase2_quorum is 4; it takes a whole number from 1 to 3"),
        ({"phase2_quorum": 2.0}, TypeError, "phase2_quorum is 2.0"),
        ({"acceptors": ()}, ValueError, "acceptors is empty"),
        ({"acceptors": ["S1"]}, TypeError, "takes a tuple"),
        ({"acceptors": ("S1", "S2", "S1")}, ValueError, "acceptors names S1 twice"),
        ({"learners": ("S1", "S1")}, ValueError, "learners names S1 twice"),
        ({"backoff_ms": (5, 1)}, ValueError, r"backoff_ms is reversed: \(5, 1\)"),
        ({"retransmit_ms": 5}, TypeError, "retransmit_ms is 5"),
        ({"backoff_growth": 0.5}, ValueError, "at least 1"),
    ],
)
def test_bad_settings_are_refused(settings: dict, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        Paxos("S1", **{"acceptors": THREE, **settings})


def test_two_nodes_of_one_id_are_refused() -> None:
    with pytest.raises(ValueError, match="same id"):
        Cluster([Paxos("S1", THREE), Paxos("S1", THREE)])


def test_an_acceptor_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="'S3', which is no node"):
        Cluster([Paxos("S1", THREE, value="a"), Paxos("S2", THREE)]).run(100)


def test_a_node_that_is_no_acceptor_says_so() -> None:
    nodes = [Paxos("S1", ("S2",)), Paxos("S2", ("S1", "S2"), value="b")]
    with pytest.raises(NodeError, match=r"S2 sent Prepare to S1, which is no acceptor; the acceptors are S2"):
        Cluster(nodes).run(100)


def test_a_proposal_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="value is None"):
        Paxos("S1", THREE).receive("client", Propose(None))


# --- single rules ----------------------------------------------------------------------------------------


def node(name: str = "S1", **settings) -> Paxos:
    return Paxos(name, THREE, **settings)


def test_strangers_and_stale_promises_do_not_count() -> None:
    one = node(value="a")
    one.start()
    one.receive("S9", Promise(one.ballot))
    one.receive("S2", Promise(Ballot(7, "S2")))
    assert one.promises == ()


def test_an_answer_counts_once() -> None:
    one = node(value="a")
    one.start()
    for _ in range(3):
        one.receive("S2", Promise(one.ballot))
    assert len(one.promises) == 1
    for _ in range(3):
        one.receive("S2", Accepted(Ballot(1, "S2"), "b"))
    assert one.chosen is None


def test_votes_of_different_ballots_do_not_add_up() -> None:
    one = node()
    one.receive("S1", Accepted(Ballot(1, "S1"), "a"))
    one.receive("S2", Accepted(Ballot(2, "S2"), "a"))
    assert one.chosen is None
    one.receive("S1", Accepted(Ballot(2, "S2"), "a"))
    assert one.chosen == "a"


def test_a_proposer_never_uses_a_ballot_twice_even_after_a_crash() -> None:
    one = node(value="a")
    used = []
    for _ in range(4):
        one.start()
        used += [
            effect.event.ballot
            for effect in one.take_effects()
            if isinstance(getattr(effect, "event", None), BallotStarted)
        ]
        one.crash()
    assert used == [Ballot(number, "S1") for number in (1, 2, 3, 4)]


def test_a_view_shows_the_roles() -> None:
    one = node(value="a")
    assert one.view().role == "acceptor"
    assert one.view().promised is None
    one.start()
    assert (one.view().role, one.view().phase, one.view().ballot) == ("proposer", "phase 1", Ballot(1, "S1"))
    one.receive("S2", Prepare(Ballot(3, "S2")))
    assert one.view().promised == Ballot(3, "S2")
    assert one.phase.value == "backing off"
    assert str(NO_BALLOT) == "0"
    assert str(Ballot(3, "S2")) == "3.S2"


def test_state_survives_freezing() -> None:
    running = cluster(FIVE, ("a", "b"), Network(loss=0.2), seed=3)
    running.run(30)
    for name, one in running.nodes.items():
        other = Paxos(name, FIVE)
        other.load(one.state())
        assert other.state() == one.state()
        hash(one.state())
