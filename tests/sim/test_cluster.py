"""The cluster: determinism, the network's and the machines' troubles, where a run ends, and what is told when it
fails."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from distlib.core.fault import (
    KINDS,
    Bridge,
    Crash,
    Drift,
    Fault,
    Heal,
    Nemesis,
    OneWay,
    Partition,
    Pause,
    Restart,
    Resume,
    SlowLink,
    SlowNode,
    check_faults,
)
from distlib.core.invariant import Broken
from distlib.core.node import Node, NodeId, durable, setting
from distlib.core.trace import DELIVERED, DOWN, FATES, IN_FLIGHT, LOST, PARTITIONED, Trace
from distlib.sim import cluster as cluster_module
from distlib.sim.cluster import Cluster, NodeError
from distlib.sim.latency import Constant, ExponentialLatency, LogNormalLatency, PerLink, Uniform
from distlib.sim.network import Network


@dataclass(frozen=True)
class Ping:
    number: int


@dataclass(frozen=True)
class Told:
    number: int
    at_ms: float


class Shown(NamedTuple):
    role: str
    count: int


@dataclass
class Beacon(Node):
    """Sends a numbered ping to every peer at each beat of its own clock, and tells what it gets."""

    peers: tuple[NodeId, ...]
    beat_ms: float = 10.0
    written: int = durable(0)
    count: int = 0

    def start(self) -> None:
        self.set_timer("beat", self.beat_ms)

    def on_beat_timeout(self) -> None:
        self.count += 1
        self.written += 1
        for peer in self.peers:
            self.send(peer, Ping(self.count))
        self.set_timer("beat", self.beat_ms)

    def on_ping(self, sender: NodeId, message: Ping) -> None:
        self.output(Told(message.number, self.now_ms))

    def view(self) -> Shown:
        return Shown("leader" if self.id == "A" else "follower", self.count)


def pair(network: Network | None = None, **options: Any) -> Cluster:
    """A sends to B every 10 ms; B only listens."""
    return Cluster([Beacon("A", ("B",)), Beacon("B", (), beat_ms=1e6)], network or Network(Constant(1)), **options)


def told(trace: Trace) -> list[int]:
    return [one.event.number for one in trace.outputs if one.node == "B"]


def fates(trace: Trace) -> list[str]:
    return [trace.fates.get(number, DELIVERED) for _, number, *_ in trace.sent]


def mesh(seed: int, network: Network, faults: tuple[Fault, ...] = (), until_ms: float = 400) -> Trace:
    names = ("A", "B", "C", "D")
    nodes = [Beacon(name, tuple(n for n in names if n != name), 7.0) for name in names]
    return Cluster(nodes, network, seed=seed, faults=faults).run(until_ms)


ROUGH = Network(LogNormalLatency(3, 0.8), loss=0.1, duplication=0.1, reordering=0.2)


def test_the_same_seed_gives_the_same_trace_and_another_seed_another() -> None:
    faults = Nemesis().schedule("ABCD", 3, 400)
    assert mesh(3, ROUGH, faults).to_bytes() == mesh(3, ROUGH, faults).to_bytes()
    assert mesh(3, ROUGH).digest != mesh(4, ROUGH).digest


def test_the_same_trace_in_another_process_under_another_hash_seed() -> None:
    program = (
        "import sys; sys.path.insert(0, 'tests/sim')\n"
        "from test_cluster import mesh, ROUGH, Nemesis\n"
        "print(mesh(3, ROUGH, Nemesis().schedule('ABCD', 3, 400)).digest)"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("0", "12345")
    }  # fmt: skip
    assert digests == {mesh(3, ROUGH, Nemesis().schedule("ABCD", 3, 400)).digest}


@pytest.mark.parametrize("latency", [Constant(2), Uniform(1, 3), ExponentialLatency(2, 1), LogNormalLatency(2, 0.5)])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_fast_loop_and_the_careful_loop_are_the_same(latency: Any, seed: int) -> None:
    """``until`` makes the cluster take the careful steps; without trouble both loops must agree to the byte."""
    names = ("A", "B", "C")

    def run(**how: Any) -> Trace:
        nodes = [Beacon(name, tuple(n for n in names if n != name), 7.0) for name in names]
        return Cluster(nodes, Network(latency), seed=seed).run(300, **how)

    fast, careful = run(), run(until=lambda cluster: False)
    assert fast.to_bytes() == careful.to_bytes() and len(fast.sent) > 200 and fast.events == careful.events


def test_a_run_in_pieces_is_the_run_in_one() -> None:
    pieces = pair(ROUGH, seed=5)
    for until_ms in (33.3, 120, 400):
        trace = pieces.run(until_ms)
    assert trace.to_bytes() == pair(ROUGH, seed=5).run(400).to_bytes()


def test_messages_take_their_latency_and_states_are_recorded_when_they_change() -> None:
    trace = pair().run(45)
    assert told(trace) == [1, 2, 3, 4]
    table = trace.messages
    assert list(table["latency_ms"]) == [1.0] * 4 and list(table["sent_ms"]) == [10, 20, 30, 40]
    assert list(table["fate"]) == [DELIVERED] * 4 and set(table["kind"]) == {"Ping"}
    shown = trace.views[trace.views.node == "A"]
    assert list(shown["count"]) == [0, 1, 2, 3, 4] and list(shown.time_ms) == [0, 10, 20, 30, 40]
    assert trace.view_at("A", 25.0) == Shown("leader", 2)
    assert next(iter(trace.transcript())) == "    11.000 ms  A → B Ping number=1"


def test_a_message_under_way_at_the_end_is_in_flight() -> None:
    trace = pair().run(10.5)
    assert fates(trace) == [IN_FLIGHT] and trace.messages["delivered_ms"].isna().all()


@pytest.mark.parametrize(
    ("faults", "expected"),
    [
        ((Crash(15, "B", 20),), [1, 4, 5]),
        ((Crash(15, "B"), Restart(25, "B")), [1, 3, 4, 5]),
        ((Partition(15, (("A",), ("B",)), 20),), [1, 4, 5]),
        ((Partition(15, (("A",),)), Heal(25)), [1, 3, 4, 5]),
        ((OneWay(15, ("A",), ("B",), 20),), [1, 4, 5]),
        ((OneWay(15, ("B",), ("A",), 20),), [1, 2, 3, 4, 5]),
        ((OneWay(15, ("A",), ("B",)), OneWay(15, ("B",), ("A",))), [1]),
        ((OneWay(15, ("A",), ("B",)), OneWay(15.5, ("B",), ("A",))), [1]),
        ((Crash(15, "@leader", 20),), [1, 1]),  # A forgets its count and beats again from 35 on
        ((Crash(15, "@candidate"),), [1, 2, 3, 4, 5]),  # nobody shows that role
    ],
)
def test_faults_stop_what_they_should_and_no_more(faults: tuple[Fault, ...], expected: list[int]) -> None:
    trace = pair(faults=faults).run(55)
    assert told(trace) == expected
    lost = set(fates(trace)) - {DELIVERED, IN_FLIGHT}
    assert lost <= {PARTITIONED, DOWN}


@pytest.mark.parametrize("count", ["term", "view", "ballot"])
def test_of_two_that_show_a_role_the_newer_is_struck(count: str) -> None:
    shown = namedtuple("shown", ["role", count])

    @dataclass
    class Leads(Node):
        number: int = setting(0)

        def view(self) -> tuple[object, ...]:
            return shown("leader", (self.number, self.id))

    run = Cluster([Leads("A", 1), Leads("B", 2)], faults=(Crash(5, "@leader"),))
    run.run(10)
    assert [one for one in run.nodes if run.is_up(one)] == ["A"]


def test_a_crash_keeps_what_is_durable() -> None:
    run = pair(faults=(Crash(35, "A", 5),))
    run.run(100)
    node = run.nodes["A"]
    assert isinstance(node, Beacon)
    assert (node.written, node.count) == (3 + 6, 6)
    assert run.trace().view_at("A", 37) is None


def test_a_paused_node_reads_its_messages_late_and_in_order() -> None:
    trace = pair(faults=(Pause(15, "B", 20),)).run(55)
    assert told(trace) == [1, 2, 3, 4, 5]
    assert list(trace.messages["delivered_ms"]) == [11, 35, 35, 41, 51]
    assert told(pair(faults=(Pause(15, "B"), Resume(25, "B"))).run(55)) == [1, 2, 3, 4, 5]


def test_a_paused_node_that_crashes_loses_what_it_had_not_read() -> None:
    trace = pair(faults=(Pause(15, "B", 100), Crash(35, "B", 1))).run(55)
    assert told(trace) == [1, 4, 5] and fates(trace)[1:3] == [DOWN, DOWN]


def test_a_bridge_leaves_the_middle_reachable() -> None:
    names = ("A", "B", "C", "D", "E")
    nodes = [Beacon(name, tuple(n for n in names if n != name)) for name in names]
    bridge = Bridge(0, ("A", "B"), "C", ("D", "E"))
    table = Cluster(nodes, Network(Constant(1)), faults=(bridge,)).run(25).messages
    across = {("A", "D"), ("A", "E"), ("B", "D"), ("B", "E")}
    cut = {tuple(sorted(link)) for link in table[table.fate == PARTITIONED][["sender", "receiver"]].to_numpy()}
    assert cut == across and len(table[table.fate == DELIVERED]) == len(table) - 2 * 8


def test_slow_nodes_and_slow_links_delay_and_processing_takes_turns() -> None:
    slow = pair(faults=(SlowNode(0, "B", 4, 25),)).run(55)
    assert list(slow.messages["delivered_ms"]) == [15, 25, 31, 41, 51]
    link = pair(faults=(SlowLink(15, "A", "B", 6, 20),)).run(59)
    assert list(link.messages["delivered_ms"]) == [11, 27, 37, 41, 51]
    nodes = [Beacon("A", ("C",)), Beacon("B", ("C",)), Beacon("C", (), 1e6)]
    busy = Cluster(nodes, Network(Constant(1), processing_ms=3)).run(19)
    assert sorted(busy.messages["delivered_ms"]) == [14, 17]


@pytest.mark.parametrize(
    "fault", [SlowNode(12, "B", 8, 20), Pause(12, "B", 20), Crash(12, "B", 20), Drift(0, "A", 2.0)]
)
def test_the_fast_loop_takes_over_after_a_fault_only_when_all_is_as_before(fault: Fault) -> None:
    """``until`` makes the cluster take the careful steps; both ways must agree to the byte after a fault, too."""

    def run(**how: Any) -> Trace:
        nodes = [Beacon("A", ("B",), 3.0), Beacon("B", ("A",), 5.0)]
        return Cluster(nodes, Network(Uniform(1, 2)), seed=3, faults=(fault,)).run(150, **how)

    assert run().to_bytes() == run(until=lambda cluster: False).to_bytes()


def test_a_slow_node_that_pauses_and_crashes_loses_what_it_had_not_read() -> None:
    faults = (SlowNode(0, "B", 15), Pause(12, "B"), Crash(40, "B", 1))
    trace = pair(faults=faults).run(45)
    assert fates(trace) == [DOWN, DOWN, DOWN, IN_FLIGHT] and not told(trace)


def test_a_fast_clock_beats_faster_and_the_node_sees_its_own_time() -> None:
    trace = pair(faults=(Drift(0, "A", 2.0), Drift(0, "B", 0.5))).run(60)
    beats = list(trace.messages["sent_ms"])
    assert beats == [10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60], "the first timer was set before the drift"
    assert trace.outputs[-1].event.at_ms == pytest.approx(trace.outputs[-1].time_ms / 2)


@pytest.mark.parametrize(
    ("network", "fate", "share"),
    [(Network(Constant(1), loss=0.3), LOST, 0.3), (Network(Constant(1), loss=1.0), LOST, 1.0)],
)
def test_loss_is_as_likely_as_asked(network: Network, fate: str, share: float) -> None:
    """4,000 messages: three standard errors of a share of .3 are .022."""
    lost = fates(pair(network, seed=1).run(40_001)).count(fate) / 4000
    assert lost == pytest.approx(share, abs=0.022)


def test_duplicates_arrive_twice_and_are_marked() -> None:
    """4,000 messages at .25: three standard errors are .021."""
    trace = pair(Network(Uniform(1, 2), duplication=0.25), seed=1).run(40_009)
    assert len(trace.duplicates) / 4000 == pytest.approx(0.25, abs=0.021)
    assert len(told(trace)) == 4000 + len(trace.duplicates) == trace.messages["duplicate"].sum() + 4000


def test_reordering_overtakes_and_fifo_never_does() -> None:
    wild = Network(Uniform(1, 2), reordering=0.5, reorder_ms=40)
    numbers = told(pair(wild, seed=1).run(2000))
    assert numbers != sorted(numbers)
    tame = Network(ExponentialLatency(30), fifo=True)
    numbers = told(pair(tame, seed=1).run(2000))
    assert numbers == sorted(numbers) and len(numbers) > 150


def test_a_disk_write_holds_back_only_what_speaks_of_it() -> None:
    @dataclass
    class Voter(Node):
        vote: int = durable(0)

        def on_ping(self, sender: NodeId, message: Ping) -> None:
            self.vote = max(self.vote, message.number)
            self.send("B", Ping(-1))
            self.send_after_sync("B", Ping(self.vote))

        def on_told(self, sender: NodeId, message: Told) -> None:
            pass

    cluster = Cluster([Voter("A"), Beacon("B", (), 1e6)], Network(Constant(1), disk=Constant(5)))
    for at_ms, number in ((10, 1), (11, 2), (30, 2)):
        cluster.post(at_ms, "A", Ping(number))
    table = cluster.run(100).messages
    from_a = table[table.sender == "A"]
    assert [(row.sent_ms, row.message.number) for row in from_a.itertuples()] == [
        (10, -1), (11, -1), (15, 1), (20, 2), (30, -1), (30, 2),
    ]  # fmt: skip


def test_per_link_latency_and_its_missing_link() -> None:
    matrix = PerLink((("A", "B", 40.0), ("B", "A", 60.0)), jitter=0.0)
    assert list(pair(Network(matrix)).run(60).messages["latency_ms"].dropna()) == [40.0, 40.0]
    with pytest.raises(ValueError, match=re.escape("PerLink has no latency for A → B")):
        pair(Network(PerLink((("B", "A", 1.0),)))).run(60)


@pytest.mark.parametrize("latency", [Uniform(1, 3), ExponentialLatency(4, 1), LogNormalLatency(5, 0.3), Constant(2)])
def test_the_mean_of_a_latency_model_is_what_it_says(latency: Any) -> None:
    """20,000 draws; the largest coefficient of variation is .8, so three standard errors are below 2 %."""
    from distlib.core.seeds import Seeds

    draw = latency.sampler(Seeds(1).stream("x"), "A", "B")
    assert sum(draw() for _ in range(20_000)) / 20_000 == pytest.approx(latency.mean_ms(), rel=0.02)


def test_runs_end_at_a_time_an_event_count_or_a_condition() -> None:
    assert pair().run(45).stopped == "time"
    assert pair().run(max_events=3).events == 3
    cluster = pair()
    trace = cluster.run(until=lambda now: len(now.outputs) == 2)
    assert (trace.stopped, trace.end_ms) == ("condition", 21)
    with pytest.raises(ValueError, match="say when to stop"):
        pair().run()
    with pytest.raises(ValueError, match=r"virtual time is already 21\.0 ms"):
        cluster.run(20)


def test_a_protocol_that_sends_without_end_stops_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Storm(Node):
        def start(self) -> None:
            self.send(self.id, Ping(0))

        def on_ping(self, sender: NodeId, message: Ping) -> None:
            self.send(self.id, message)

    trace = Cluster([Storm("A")]).run(1.0, max_events=1000)
    assert (trace.stopped, trace.end_ms) == ("events", 0.0)
    assert cluster_module.MAX_EVENTS > 1000


@pytest.mark.parametrize("how", [{}, {"until": lambda cluster: False}])
def test_a_nodes_own_exception_names_node_event_and_state(how: dict[str, Callable[[Cluster], bool]]) -> None:
    @dataclass
    class Fragile(Beacon):
        def on_ping(self, sender: NodeId, message: Ping) -> None:
            raise ZeroDivisionError("oh")

    cluster = Cluster([Beacon("A", ("B",)), Fragile("B", (), 1e6)], Network(Constant(1)))
    with pytest.raises(NodeError) as caught:
        cluster.run(50, **how)
    text = str(caught.value)
    for part in (
        "B (Fragile)", "11 ms", "A → B Ping(number=1)", "ZeroDivisionError: oh", "written=0, count=0",
    ):  # fmt: skip
        assert part in text
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


class NeverThree:
    """An invariant for the test: nobody has counted to three."""

    name, paper = "never three", "this test"

    def before(self, nodes: Any) -> int:
        return 0

    def after(self, ghost: int, nodes: Any, changed: NodeId) -> int:
        if nodes[changed].count == 3:
            raise Broken(f"{changed} counted to 3 after {ghost} events")
        return ghost + 1


def test_invariants_are_checked_live_and_the_first_witness_is_kept() -> None:
    trace = pair(invariants=(NeverThree(),)).run(100)
    assert [str(one) for one in trace.violations] == ["never three broken at 30 ms: A counted to 3 after 6 events"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cluster([]), "at least one node"),
        (lambda: Cluster([Beacon("A", ()), Beacon("A", ())]), "two nodes have the same id"),
        (lambda: pair(faults=(Crash(1, "Z"),)), "faults[0] (Crash) names the node 'Z'; this cluster has A, B"),
        (lambda: pair(faults=(Crash(-1, "A"),)), "Crash.at_ms is -1"),
        (lambda: pair(faults=(Pause(1, "A", float("inf")),)), "Pause.for_ms is inf"),
        (lambda: pair(faults=(Partition(1, (("A", "B"), ("A",))),)), "has A in two groups"),
        (lambda: pair(faults=(Drift(1, "A", 0.0),)), "rate is 0.0; it takes a number above 0"),
        (lambda: pair(faults=(SlowNode(1, "A", -5),)), "extra_ms is -5; it takes a number of at least 0 ms"),
        (lambda: pair(faults=(OneWay(1, ("A",), ("@leader",)),)), "names the node '@leader'"),
        (lambda: Network(loss=1.5), "Network.loss is 1.5; it takes a number from 0 to 1"),
        (lambda: Network(fifo=True, reordering=0.1), "a link that keeps order cannot reorder"),
        (lambda: Uniform(3, 1), "Uniform(3, 1) is reversed"),
        (lambda: Constant(-1), "Constant.ms is -1; it takes a number of at least 0"),
        (lambda: Constant(float("nan")), "Constant.ms is nan"),
        (lambda: Nemesis(kinds=("crash", "fire")), "choose from crash, pause"),
        (lambda: Nemesis(gap_ms=0), "Nemesis.gap_ms is 0"),
        (lambda: pair().post(1, "Z", Ping(1)), "there is no node 'Z'; this cluster has A, B"),
    ],
)
def test_bad_input_is_told_in_clear_words(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_a_message_to_nobody_is_told() -> None:
    with pytest.raises(ValueError, match="A sends to 'Z', which is no node of this cluster"):
        Cluster([Beacon("A", ("Z",))]).run(20)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_every_nemesis_makes_faults_that_the_cluster_accepts(kind: str, size: int) -> None:
    nodes = "ABCDE"[:size]
    made = Nemesis(kinds=(kind,), gap_ms=20).schedule(nodes, 7, 1000)
    check_faults(made, tuple(nodes))
    assert made or size == 1
    assert made == Nemesis(kinds=(kind,), gap_ms=20).schedule(nodes, 7, 1000)


@settings(max_examples=60, deadline=None)
@example(161)  # a slow machine that was paused and crashed
@given(st.integers(0, 10**6))
def test_under_any_nemesis_every_copy_has_one_fate_and_none_travels_back_in_time(seed: int) -> None:
    faults = Nemesis(gap_ms=30, length_ms=25).schedule("ABCD", seed, 300)
    trace = mesh(seed, ROUGH, faults, until_ms=300)
    table = trace.messages
    assert set(table.fate) <= set(FATES) and table.number.is_unique
    assert (table.latency_ms.dropna() >= 0).all() and (table.delivered_ms.dropna() <= 300).all()
    assert len(trace.outputs) == (table.fate == DELIVERED).sum()
    assert len(trace.faults) >= len(faults)


# --- a disk with a write cache -----------------------------------------------------------------------------------


@dataclass
class Notes(Node):
    """Writes down what it is told, and says so when that is on disk."""

    written: tuple[int, ...] = durable(())

    def on_note(self, sender: NodeId, note: Note) -> None:
        self.written += (note.number,)
        self.send_after_sync("reader", note)


@dataclass(frozen=True)
class Note:
    number: int


@dataclass
class Reader(Node):
    heard: tuple[int, ...] = ()

    def on_note(self, sender: NodeId, note: Note) -> None:
        self.heard += (note.number,)


@pytest.mark.parametrize(("write_cache", "kept"), [(True, (1,)), (False, (1, 2, 3))])
def test_a_crash_loses_what_a_write_cache_has_not_written(write_cache, kept):
    """Three notes at 0, 4 and 5 ms; a write takes 10 ms; the crash at 15 ms comes after the first write."""
    network = Network(Constant(1), disk=Constant(10), write_cache=write_cache)
    world = Cluster([Notes("notes"), Reader("reader")], network, faults=[Crash(15, "notes", 10)])
    for number, at_ms in enumerate((0, 4, 5), 1):
        world.post(at_ms, "notes", Note(number))
    world.run(100)
    assert world.nodes["notes"].written == kept
    assert world.nodes["reader"].heard == (1,), "what is told has been written"


def test_a_write_cache_needs_a_disk():
    with pytest.raises(ValueError, match="write_cache=True and no disk; give disk="):
        Network(write_cache=True)
