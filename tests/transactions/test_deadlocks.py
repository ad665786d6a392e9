"""Transactions that wait for each other: how circles are prevented, found, or left to the coordinator's patience."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from distlib.core.fault import OneWay
from distlib.core.node import node_names
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from distlib.transactions.bank import Add, Read, transfer
from distlib.transactions.deadlocks import DetectsDeadlocks, RefusesToWait, WoundWait
from distlib.transactions.message import Acknowledge, Answer, Begin, Prepare, Probe, Refused, Told, Vote, Waiter, Wound
from distlib.transactions.searches import crossing
from distlib.transactions.two_phase import TwoPhaseCommit
from tests.transactions.clusters import THREE, TX, bank, busy, flow, money, sent, started, told

CURES = (WoundWait, DetectsDeadlocks, RefusesToWait)
FOREVER: dict[str, Any] = {"vote_ms": None, "inquire_ms": None}


def circle(cls: type[Any], size: int, **settings: Any) -> Cluster:
    """Each of ``size`` nodes moves money to the next one, S1 first: all hold their own account, and want the next."""
    names = node_names(size)
    running = bank(cls, names, None, **FOREVER, **settings)
    for number, name in enumerate(names):
        running.post(float(number), name, Begin(transfer(name, names[(number + 1) % size])))
    return running


@pytest.mark.parametrize("size", [2, 3, 5])
def test_without_a_cure_and_without_patience_a_circle_waits_for_ever(size: int) -> None:
    running = circle(TwoPhaseCommit, size)
    trace = running.run(10_000)
    assert told(trace) == [] and len(busy(running)) == size
    assert [len(node.queue) for node in running.nodes.values()] == [1] * size  # type: ignore[attr-defined]


@pytest.mark.parametrize("cls", [TwoPhaseCommit, *CURES])
def test_what_chapter_3_2_says_of_crossing_transfers(cls: type[Any]) -> None:
    """Two clients each way: the very first ones stop each other for ever, unless there is a cure."""
    running = crossing(cls, seed=2)
    heard = [one.event.commit for one in running.run(1_000).outputs_of(Told)]
    if cls is TwoPhaseCommit:
        assert heard == [] and busy(running)
    else:
        assert len(heard) == 24 and any(heard) and not busy(running)


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("cls", CURES)
def test_every_cure_ends_a_circle(cls: type[Any], size: int) -> None:
    running = circle(cls, size)
    trace = running.run(1_000)
    assert len(told(trace)) == size and not busy(running)
    assert not trace.violations and money(running) == 10 * size


@pytest.mark.parametrize("size", [2, 3, 5])
def test_detection_sacrifices_the_youngest_alone(size: int) -> None:
    """Chandy, Misra & Haas 1983; one victim is enough."""
    trace = circle(DetectsDeadlocks, size).run(1_000)
    outcomes = {node: commit for node, _, commit in told(trace)}
    assert outcomes == {name: name != node_names(size)[-1] for name in node_names(size)}
    longest = max(len(one[4].chain) for one in trace.sent if isinstance(one[4], Probe))
    assert longest == size, "a probe has gone all the way round"


def test_wound_wait_lets_the_oldest_through() -> None:
    """Rosenkrantz, Stearns & Lewis 1978: S1's is the oldest; it wounds S2's, and S2's, before that, S3's."""
    trace = circle(WoundWait, 3).run(1_000)
    wounds = [line for line in flow(trace) if line.endswith("Wound")]
    assert wounds == ["10 S2 → S2 Wound", "11 S3 → S3 Wound"]
    assert told(trace) == [("S2", 10.0, False), ("S3", 11.0, False), ("S1", 20.0, True)]


def test_the_younger_waits_for_the_older() -> None:
    """The same lock, asked for in the order of age: nobody is wounded."""
    running = bank(WoundWait, work=None, **FOREVER)
    for at_ms, name in ((0, "S1"), (1, "S3"), (2, "S1")):
        running.post(at_ms, name, Begin((("S2", (Add("x", -1),)),)))
    trace = running.run(300)
    assert [(node, commit) for node, _, commit in told(trace)] == [("S1", True), ("S3", True), ("S1", True)]
    assert not [line for line in flow(trace) if "Wound" in line]

    node = started(WoundWait, "S2")
    node.receive("S1", Prepare("S1.1.1", (Add("x", 1),), ("S2",), 5.0))
    node.take_effects()
    node.receive("S3", Prepare("S3.1.1", (Add("x", 1),), ("S2",), 6.0))
    assert sent(node) == [] and node.queue == ("S3.1.1",)
    node.receive("S3", Prepare("S3.1.2", (Add("x", 1),), ("S2",), 4.0))
    assert sent(node) == [("S1", Wound("S1.1.1")), ("S3", Wound("S3.1.1"))], "who waits in front is in the way, too"


def test_of_two_that_began_in_the_same_moment_the_name_decides() -> None:
    one, other = Waiter(5.0, "S1.1.1", "S1"), Waiter(5.0, "S2.1.1", "S2")
    assert one.older_than(other) and not other.older_than(one)
    assert Waiter(4.9, "S9.1.1", "S9").older_than(one)


def test_what_is_decided_cannot_be_wounded() -> None:
    node = started(WoundWait)
    node.receive("outside", Begin((("S2", (Add("x", 1),)),)))
    node.receive("S2", Vote(TX, Answer.YES))
    node.take_effects()
    node.receive("S2", Wound(TX))
    node.receive("S2", Wound("S1.9.9"))
    assert sent(node) == [] and node.rounds[TX].commit is True and node.told == (TX, True)


def test_who_refuses_to_wait_says_for_whom() -> None:
    """Aguilera et al. 2007: both of two crossing transfers may be refused; nobody has waited."""
    running = circle(RefusesToWait, 2)
    trace = running.run(300)
    assert [one.event for one in trace.outputs_of(Refused)] == [
        Refused("S1.1.1", "S2.1.1 in the way"), Refused("S2.1.1", "S1.1.1 in the way")
    ]  # fmt: skip
    assert [commit for _, _, commit in told(trace)] == [False, False]
    assert not [seen for seen in trace.states if seen.view and seen.view.waiting]


def test_readers_are_in_nobody_s_way() -> None:
    for cls in CURES:
        node = started(cls, "S2")
        for name in ("S1", "S3"):
            node.receive(name, Prepare(f"{name}.1.1", (Read("x"),), ("S2",)))
        assert [type(message) for _, message in sent(node)] == [Vote, Vote] and node.queue == ()


# --- probes ------------------------------------------------------------------------------------------------


def waiter(name: str, begun_ms: float) -> Waiter:
    return Waiter(begun_ms, f"{name}.1.1", name)


def test_a_probe_goes_to_the_coordinator_and_from_there_to_who_has_not_voted() -> None:
    node = started(DetectsDeadlocks)
    node.receive("outside", Begin(transfer("S2", "S3")))
    node.receive("S2", Vote(TX, Answer.YES))
    node.take_effects()
    chain = (waiter("S2", 1.0), Waiter(0.0, TX, "S1"))
    node.receive("S3", Probe("s", chain))
    assert sent(node) == [("S3", Probe("s", chain, handed_down=True))]
    node.receive("S2", Probe("s", (waiter("S2", 1.0), waiter("S3", 2.0), Waiter(0.0, TX, "S1"))))
    assert sent(node) == [], "of all ways of one search to a transaction, one is enough"
    node.receive("S3", Probe("later", chain))
    assert sent(node) == [("S3", Probe("later", chain, handed_down=True))]
    node.receive("S3", Vote(TX, Answer.NO))
    node.receive("S2", Acknowledge(TX))
    assert not node.rounds and node.passed == frozenset()


def test_a_probe_ends_where_nobody_waits() -> None:
    node = started(DetectsDeadlocks, "S3")
    node.receive("S1", Prepare(TX, (Add("x", 1),), ("S3",)))
    node.take_effects()
    node.receive("S1", Probe("s", (waiter("S2", 1.0), Waiter(0.0, TX, "S1")), handed_down=True))
    node.receive("S1", Probe("s", (waiter("S2", 1.0), waiter("S4", 0.0)), handed_down=True))
    assert sent(node) == []


def test_a_probe_does_not_go_round_a_circle_to_which_its_first_does_not_belong() -> None:
    """A waits for B, B for C, C for B: the probe of A must end; that of B or C finds the circle."""
    node = started(DetectsDeadlocks, "S1")
    b, c = waiter("B", 1.0), waiter("C", 2.0)
    node.receive("B", Prepare(b.transaction, (Add("x", 1),), ("S1",), b.begun_ms))
    node.receive("C", Prepare(c.transaction, (Add("x", 1),), ("S1",), c.begun_ms))
    node.take_effects()
    node.receive("C", Probe("s", (waiter("A", 0.0), b, c), handed_down=True))
    assert sent(node) == []
    node.receive("C", Probe("s", (b, c), handed_down=True))
    assert sent(node) == [("C", Wound("C.1.1"))]


def test_a_circle_is_found_though_a_search_came_by_one_that_has_given_way() -> None:
    """S4's transaction waits with S1's two in two circles, and gives way. The probe that has found the circle of the
    other two came by it, so it wounded the one that was gone; that search was over, and they waited for ever."""
    names = node_names(4)
    for probe_ms, ended in ((None, False), (30.0, True)):
        running = bank(
            DetectsDeadlocks, names, None, network=Network(Uniform(1, 8)), seed=3, probe_ms=probe_ms, **FOREVER
        )  # fmt: skip
        for one, other in (("S1", "S4"), ("S1", "S4"), ("S4", "S1")):
            running.post(0.0, one, Begin(transfer(one, other)))
        trace = running.run(20_000)
        assert (not busy(running)) is ended
        assert [commit for node, _, commit in told(trace) if node == "S1"] == ([False, True] if ended else [])


def test_a_lost_probe_is_made_good() -> None:
    """Nothing arrives at S3 while the probes are under way; then a new search finds the circle."""
    cut = OneWay(13, ("S1", "S2"), ("S3",), 25)
    found = {}
    for probe_ms in (None, 30.0):
        running = circle(DetectsDeadlocks, 3, probe_ms=probe_ms, faults=(cut,))
        found[probe_ms] = [commit for _, _, commit in told(running.run(1_000))]
    assert found == {None: [], 30.0: [False, True, True]}


def test_searches_begin_anew_for_none_but_those_who_wait() -> None:
    node = started(DetectsDeadlocks, "S2")
    node.receive("S1", Prepare(TX, (Add("x", 1),), ("S2",)))
    node.receive("S3", Prepare("S3.1.1", (Add("x", 1),), ("S2",)))
    node.take_effects()
    node.timeout("probe", "S3.1.1")
    assert [(to, type(message), message.search) for to, message in sent(node)] == [("S1", Probe, "S2.1.2")]
    node.timeout("probe", TX)
    assert sent(node) == []
    with pytest.raises(ValueError, match="probe_ms is 0; it takes a number above 0 ms"):
        DetectsDeadlocks("S1", probe_ms=0)


def test_waiting_without_a_circle_wounds_nobody() -> None:
    """Ten transactions in line for one account: detection looks, and finds nothing."""
    running = bank(DetectsDeadlocks, work=None, **FOREVER)
    for number in range(10):
        running.post(float(number), THREE[number % 3], Begin((("S2", (Add("x", 1),)),)))
    trace = running.run(2_000)
    assert [commit for _, _, commit in told(trace)] == [True] * 10
    assert any(isinstance(one[4], Probe) for one in trace.sent)
    assert not any(isinstance(one[4], Wound) for one in trace.sent)


# --- any circles ---------------------------------------------------------------------------------------------

MOVES = st.lists(
    st.tuples(st.floats(0, 30), st.integers(0, 3), st.integers(1, 3)), min_size=2, max_size=9
)  # when, from which node, how much further


@pytest.mark.parametrize("cls", CURES)
@given(moves=MOVES, seed=st.integers(0, 2**16))
@bounded(max_examples=40, deadline=None)
def test_whoever_waits_for_whom_all_end(cls: type[Any], moves: list[Any], seed: int) -> None:
    names = node_names(4)
    running = bank(cls, names, None, network=Network(Uniform(1, 8)), seed=seed, **FOREVER)
    for at_ms, place, further in moves:
        running.post(at_ms, names[place], Begin(transfer(names[place], names[(place + further) % 4])))
    trace = running.run(20_000)
    assert len(told(trace)) == len(moves) and not busy(running)
    assert not trace.violations and money(running) == 40


def test_such_moves_would_deadlock_without_a_cure() -> None:
    """Sometimes beside always: of 40 such runs, more than half never end."""
    stuck = 0
    for seed in range(40):
        names = node_names(4)
        running = bank(names=names, work=None, network=Network(Uniform(1, 8)), seed=seed, **FOREVER)
        for place in range(4):
            running.post(0.0, names[place], Begin(transfer(names[place], names[(place + 1) % 4])))
        running.run(2_000)
        stuck += bool(busy(running))
    assert stuck > 20
