from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import pytest

from distlib.check.cluster.handling import HANDLER
from distlib.check.cluster.interning import encode
from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.world import CrashRestart, Deliver, Drop, Duplicate, Faults, Request, Timeout
from distlib.check.explore.explore import RandomWalks, explore, sometimes
from distlib.core.invariant import Broken, Invariant
from distlib.core.node import Node, NodeId
from distlib.paxos.invariants import paxos_invariants
from distlib.raft.invariants import ElectionSafety, raft_invariants
from distlib.raft.message import RequestVote, Vote
from distlib.raft.searches import leads
from distlib.replication.message import ClientRequest
from distlib.replication.state_machine import Put
from distlib.sim.cluster import Cluster
from tests.check.cluster.toys import (
    NAMES,
    ForgetsItsVote,
    Ping,
    Player,
    Pong,
    TakesAnyValue,
    TwoVotes,
    paxi,
    players,
    rafts,
)


def follow(model: ClusterModel, *actions: Any) -> Any:
    (world,) = model.initial_states()
    for action in actions:
        world = model.next_state(world, action)
    return world


def explored(model: ClusterModel, **options: Any) -> tuple[str, int, int, int]:
    result = explore(model, **options)
    return result.verdict, result.distinct, result.generated, result.depth


# --- the steps ------------------------------------------------------------------------------------


def test_the_real_handlers_run_and_the_network_is_a_multiset():
    model = ClusterModel(players(), timeouts={"S1": 1})
    world = follow(model, Timeout("S1", "serve"))
    assert world.messages() == [Deliver("S1", "S2", Ping(1))]
    world = follow(model, Timeout("S1", "serve"), Deliver("S1", "S2", Ping(1)))
    assert world.node("S2").pings == 1
    assert world.messages() == [Deliver("S2", "S1", Pong(1))]
    world = model.next_state(world, Deliver("S2", "S1", Pong(1)))
    assert world.node("S1").heard == ["S2"]
    assert list(model.actions(world)) == []


def test_counts_by_hand():
    """One serve to one peer: start, served, pinged, ponged: four worlds in a row."""
    assert explored(ClusterModel(players(), timeouts={"S1": 1})) == ("holds", 4, 4, 4)


def test_two_independent_pings_make_a_grid():
    """Each of two pings is waiting, answered or done: 3 × 3 worlds, but the order of two pongs is remembered."""
    result = explore(ClusterModel(players(count=3), timeouts={"S1": 1}))
    assert result.distinct == 1 + 3 * 3 + 1


@pytest.mark.parametrize(
    ("timeouts", "fired"),
    [(0, 0), (2, 2), ({"*": 1}, 1), ({"serve": 2}, 2), ({"S2": 1}, 1), ({"S1.serve": 1, "serve": 5}, 3)],
)
def test_timers_fire_as_often_as_their_budgets_allow(timeouts, fired):
    @dataclass
    class Ticker(Player):
        def on_serve_timeout(self) -> None:
            self.served += 1
            if self.served < 2:
                self.set_timer("serve", 1)

    worlds = [world for _, world in reachable(ClusterModel(players(Ticker), timeouts=timeouts))]
    assert max(sum(node.served for node in world.all_nodes().values()) for world in worlds) == fired


def test_a_budget_of_a_timer_that_no_node_has_is_named():
    with pytest.raises(ValueError, match=r"timeouts names 'S1.x', but no class of Player has a method on_x_timeout"):
        ClusterModel(players(), timeouts={"S1.x": 1})


def test_a_view_that_is_no_named_tuple_is_named():
    class Shows(Player):
        def view(self):
            return {"role": "leader"}

    for make in (ClusterModel, lambda nodes: Cluster(nodes())):
        with pytest.raises(TypeError, match=r"Shows.view\(\) returned {'role': 'leader'}; it takes a NamedTuple"):
            make(players(Shows))


def reachable(model: ClusterModel) -> list[tuple[Any, Any]]:
    waiting = [(None, world) for world in model.initial_states()]
    seen = {waiting[0][1]}
    for _, world in waiting:
        for action, successor in model.successors(world):
            if successor not in seen:
                seen.add(successor)
                waiting.append((action, successor))
    return waiting


def test_faults_are_bounded():
    serve, ping = Timeout("S1", "serve"), ("S1", "S2", Ping(1))
    model = ClusterModel(players(), timeouts={"S1": 1}, faults=Faults(crashes=1, losses=1, duplicates=1))
    assert follow(model, serve, Drop(*ping)).messages() == []
    twice = follow(model, serve, Duplicate(*ping))
    assert twice.messages() == [Deliver(*ping)] * 2
    assert Duplicate(*ping) not in list(model.actions(twice))
    world = follow(model, serve, Deliver(*ping), CrashRestart("S2"))
    assert world.node("S2").pings == 0
    world = follow(model, serve, CrashRestart("S1"))
    assert world.node("S1").served == 1, "durable"
    assert CrashRestart("S1") not in list(model.actions(world))


def test_crashes_may_be_given_for_each_node():
    model = ClusterModel(players(), faults=Faults(crashes={"S2": 1}))
    (world,) = model.initial_states()
    assert list(model.actions(world)) == [CrashRestart("S2")]


def test_fifo_delivers_in_order():
    @dataclass
    class Twice(Player):
        def on_serve_timeout(self) -> None:
            self.send("S2", Ping(2))
            self.send("S2", Ping(1))

    serve = Timeout("S1", "serve")
    for fifo, count in ((True, 1), (False, 2)):
        model = ClusterModel(players(Twice), timeouts={"S1": 1}, fifo=fifo)
        steps = list(model.actions(follow(model, serve)))
        assert len(steps) == count
        assert not fifo or steps == [Deliver("S1", "S2", Ping(2))]


def test_partitioned_links_lose_what_is_sent_and_hold_what_is_in_flight():
    serve, ping = Timeout("S1", "serve"), Deliver("S1", "S2", Ping(1))
    whole = ClusterModel(players(), timeouts={"S1": 1})
    cut = ClusterModel(players(), timeouts={"S1": 1}, partitioned=[("S1", "S2")])
    assert follow(cut, serve).messages() == []
    carried = cut.carry(follow(whole, serve))
    assert carried.messages() == [ping]
    assert ping not in list(cut.actions(carried))


def test_requests_come_once_to_the_node_named_or_to_any():
    model = ClusterModel(players(), requests=[("S1", Ping(7)), (None, Ping(8))])
    (world,) = model.initial_states()
    assert [str(action) for action in model.actions(world)] == [
        "client → S1 Ping number=7", "client → S1 Ping number=8", "client → S2 Ping number=8",
    ]  # fmt: skip
    after = model.next_state(world, Request("S1", Ping(7)))
    assert after.node("S1").pings == 1
    assert after.messages() == [], "the answer to a client leaves the cluster"
    assert Request("S1", Ping(7)) not in list(model.actions(after))


@pytest.mark.parametrize("fifo", [False, True])
def test_next_state_agrees_with_successors(fifo):
    options = {"timeouts": {"election": 2}, "faults": Faults(1, 1, 1), "fifo": fifo}
    model = ClusterModel(rafts(), invariants=raft_invariants(), **options)
    for _, world in zip(range(300), (world for _, world in reachable_some(model)), strict=False):
        for action, successor in model.successors(world):
            assert model.next_state(world, action) == successor


def reachable_some(model: ClusterModel) -> Any:
    waiting = [(None, world) for world in model.initial_states()]
    for action, world in waiting:
        yield action, world
        waiting += list(model.successors(world))[:3]


def test_a_step_that_is_not_allowed_is_refused():
    model = ClusterModel(players(), timeouts={"S1": 1})
    with pytest.raises(ValueError, match="does not allow 'S2 serve timeout'"):
        follow(model, Timeout("S2", "serve"))


def test_worlds_and_actions_read_like_sentences():
    model = ClusterModel(rafts(), timeouts={"election": 1})
    world = follow(model, Timeout("S1", "election"))
    assert "S1: RaftView role=candidate term=1" in str(world)
    assert "S1 → S2 RequestVote term=1" in str(world)
    assert [str(Timeout("S1", "election")), str(CrashRestart("S1"))] == [
        "S1 election timeout",
        "S1 crashes and restarts",
    ]
    assert repr(model) == "ClusterModel(3 × Raft; timeouts election ≤ 1)"
    with pytest.raises(KeyError, match="no node 'S9'"):
        world.node("S9")


# --- the same space in every way of searching ------------------------------------------------------


def small() -> ClusterModel:
    return ClusterModel(rafts(), invariants=raft_invariants(), timeouts={"S1": 1}, faults=Faults(crashes=1))


def test_forgetting_gives_the_same_counts():
    whole = explored(small())
    assert whole[0] == "holds"
    forgetful = ClusterModel(
        rafts(), invariants=raft_invariants(), timeouts={"S1": 1}, faults=Faults(crashes=1), cache_entries=50
    )
    assert explored(forgetful) == whole


def test_symmetry_counts_renamings_once():
    """The servers of Raft are interchangeable: nearly all worlds come in six renamings."""

    def model() -> ClusterModel:
        return ClusterModel(rafts(), invariants=raft_invariants(), timeouts={"election": 1}, interchangeable=NAMES)

    whole, reduced = explore(model()), explore(model(), symmetry=True)
    assert whole.verdict == reduced.verdict == "holds"
    assert whole.distinct / 6 <= reduced.distinct < whole.distinct / 2


def test_symmetry_finds_the_same_bug():
    model = ClusterModel(
        rafts(TwoVotes), invariants=[ElectionSafety()], timeouts={"election": 2}, interchangeable=NAMES
    )
    plain, reduced = explore(model), explore(model, symmetry=True)
    assert plain.verdict == reduced.verdict == "violated"
    assert len(plain.path) == len(reduced.path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"interchangeable": ("S1", "S9")}, "names 'S9'"),
        ({"interchangeable": NAMES, "timeouts": {"S1.election": 1}}, "names it"),
        ({"interchangeable": NAMES, "requests": [("S1", Ping(1))]}, "named by a request"),
    ],
)
def test_nodes_that_can_be_told_apart_are_not_interchangeable(arguments, message):
    with pytest.raises(ValueError, match=message):
        ClusterModel(rafts(), **arguments)


def test_proposers_with_different_values_are_not_interchangeable():
    with pytest.raises(ValueError, match="settings differ"):
        ClusterModel(paxi(), interchangeable=("S1", "S2"))


def test_random_walks_repeat():
    model = ClusterModel(rafts(TwoVotes), invariants=raft_invariants(), timeouts={"election": 3})
    first = explore(model, search=RandomWalks(seed=3, max_walks=500), max_depth=30)
    again = explore(
        ClusterModel(rafts(TwoVotes), invariants=raft_invariants(), timeouts={"election": 3}),
        search=RandomWalks(seed=first.seed, max_walks=1), max_depth=30,
    )  # fmt: skip
    assert first.verdict == "violated"
    assert [step.action for step in first.path] == [step.action for step in again.path]


# --- verdicts ---------------------------------------------------------------------------------------


def test_raft_holds_and_something_happened():
    model = ClusterModel(rafts(), invariants=raft_invariants(), timeouts={"S1": 1, "S2": 1})
    assert explore(model, max_states=20_000).violation is None
    assert explore(model, sometimes(leads("S2", 1)), sometimes(leads("S1", 2))).verdict == "holds"


def test_paxos_holds_and_a_broken_one_does_not():
    assert explore(ClusterModel(paxi(), invariants=paxos_invariants()), max_states=20_000).violation is None
    result = explore(ClusterModel(paxi(TakesAnyValue), invariants=paxos_invariants()), max_states=100_000)
    assert result.verdict == "violated"
    assert "two values are chosen" in result.violation.explanation


def test_a_vote_that_is_not_durable_needs_a_crash():
    def found(crashes: int) -> Any:
        model = ClusterModel(
            rafts(ForgetsItsVote), invariants=[ElectionSafety()],
            timeouts={"S1.election": 1, "S2.election": 1}, faults=Faults(crashes=crashes),
        )  # fmt: skip
        return explore(model, max_states=60_000)

    assert found(0).verdict == "holds"
    assert found(1).verdict == "violated"
    assert CrashRestart("S3") in [step.action for step in found(1).path]


def test_the_world_after_a_violation_has_no_successors():
    model = ClusterModel(rafts(TwoVotes), invariants=[ElectionSafety()], timeouts={"election": 2})
    assert list(model.successors(explore(model).path[-1].state)) == []


# --- a learner's mistakes: each becomes a counterexample that names it -------------------------------


class Raises(Player):
    def on_ping(self, sender, message):
        return 1 // 0


class Changes(Player):
    def on_ping(self, sender, message):
        object.__setattr__(message, "number", 99)


class Assigns(Player):
    def on_ping(self, sender, message):
        message.number = 99


class SendsToNobody(Player):
    def on_ping(self, sender, message):
        self.send("S9", message)


class SendsList(Player):
    def on_ping(self, sender, message):
        self.send(sender, [1, 2])


class SendsText(Player):
    def on_ping(self, sender, message):
        self.send(sender, "hello")


class SendsNone(Player):
    def on_ping(self, sender, message):
        self.send(sender, Pong(None))


class KeepsElsewhere(Player):
    def on_ping(self, sender, message):
        self.total = 1


class KeepsGenerator(Player):
    def on_ping(self, sender, message):
        self.pings = (one for one in ())


class ChangesSetting(Player):
    def on_ping(self, sender, message):
        self.peers = ()


class BadTimer(Player):
    def on_ping(self, sender, message):
        self.set_timer("serve", 10, 5)


class UnknownTimer(Player):
    def on_serve_timeout(self):
        self.set_timer("nap", 1)


@dataclass(frozen=True)
class Many:
    numbers: Any = field(default_factory=list)


class SendsHiddenList(Player):
    def on_ping(self, sender, message):
        self.send(sender, Many())

    def on_many(self, sender, message):
        pass


class FailsAtStart(Player):
    def start(self):
        raise RuntimeError("cold")


@pytest.mark.parametrize(
    ("kind", "witness"),
    [
        (Raises, "S2 raised ZeroDivisionError: integer.*in on_ping, line.*Ping.number=1. from S1.*pings=0"),
        (Changes, r"S2 changed a message that it received, which is now Ping\(number=99\)"),
        (Assigns, "S2 tried to change a constant"),
        (SendsToNobody, "S2 sent .* to 'S9', which is no node; there are S1, S2"),
        (SendsList, r"S2 sent \[1, 2\], which can be changed after it was sent"),
        (SendsText, "S2 sent 'hello' to S1, which has no handler for it"),
        (SendsNone, r"number is None; it takes a whole number \(is a return missing\?\)"),
        (KeepsElsewhere, "keeps 'total', which is no field of KeepsElsewhere"),
        (KeepsGenerator, "cannot be saved and compared"),
        (ChangesSetting, "changed its setting 'peers'"),
        (BadTimer, r"set the timer 'serve' to \(10, 5\) ms"),
        (UnknownTimer, "S1 raised TypeError: .*nap.*has no method on_nap_timeout"),
        (SendsHiddenList, "which is no constant .*use tuples"),
        (FailsAtStart, "S1 raised RuntimeError: cold"),
    ],
)
def test_mistakes_are_named(kind, witness):
    result = explore(ClusterModel(players(kind), timeouts={"S1": 2}))
    assert result.violation is not None
    assert result.violation.explanation.startswith(HANDLER)
    assert re.search(witness, result.violation.explanation)


def test_a_mistake_leaves_no_trace_in_other_states():
    model = ClusterModel(players(ChangesSetting), timeouts={"S1": 1})
    first, second = explore(model), explore(model)
    assert first.violation.explanation == second.violation.explanation
    assert model.made["S2"].peers == ("S1",)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"timeouts": -1}, "timeouts is -1"),
        ({"timeouts": {"election": 1.5}}, r"timeouts\['election'\] is 1.5"),
        ({"timeouts": "many"}, "timeouts is 'many'"),
        ({"faults": Faults(crashes={"S9": 1})}, "crashes names 'S9'"),
        ({"faults": Faults(losses=-2)}, "losses is -2"),
        ({"requests": [("S9", Ping(1))]}, r"requests\[0\]"),
        ({"requests": [Ping(1)]}, r"requests\[0\]"),
        ({"partitioned": [("S1", "S9")]}, "partitioned holds"),
    ],
)
def test_arguments_that_cannot_be(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        ClusterModel(players(), **arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [([], "make_nodes is"), (lambda: [1], "returned is 1; it takes a node"), (list, "at least one"),
     (lambda: [*players()(), *players()()], "id of its own")],
)  # fmt: skip
def test_nodes_that_cannot_be(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        ClusterModel(make)


# --- encoding ---------------------------------------------------------------------------------------


def test_encodings_tell_types_and_contents_apart():
    values = [None, True, 1, 1.0, "1", b"1", (), (1,), ((1,),), (1, 2), (12,), frozenset(), frozenset({1}), "i1;",
              ("a", "b"), ("ab",), Ping(1), Pong(1), Vote(1, True), RequestVote(1, 0, 0), Ping, int,
              ClientRequest(Put("x", 1))]  # fmt: skip
    assert len({encode(value) for value in values}) == len(values)
    assert encode(frozenset({"a", "b", "c"})) == encode(frozenset({"c", "b", "a"}))
    with pytest.raises(TypeError, match="is no constant"):
        encode(object())


def test_an_invariant_is_asked_only_when_a_node_changed():
    calls = []

    class Counting:
        name, paper = "count", ""

        def before(self, nodes):
            return 0

        def after(self, ghost, nodes, changed):
            calls.append((changed, sorted(nodes)))
            if nodes[changed].pings:
                raise Broken("pinged")
            return ghost

    result = explore(ClusterModel(players(), invariants=[Counting()], timeouts={"S1": 1}))
    assert result.violation.explanation == "count: pinged"
    assert [changed for changed, _ in calls] == ["S1", "S2", "S1", "S2"]


# --- a queue is no mapping ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ask:
    what: str


@dataclass(frozen=True)
class Forward:
    what: str


@dataclass
class Usher(Node):
    """Sends who asks to the desk."""

    def on_ask(self, sender: NodeId, message: Ask) -> None:
        self.send("desk", Forward(message.what))


@dataclass
class Desk(Node):
    """Serves in the order of arrival."""

    queue: tuple[tuple[NodeId, str], ...] = ()

    def on_ask(self, sender: NodeId, message: Ask) -> None:
        """Nobody is served who comes by himself."""

    def on_forward(self, sender: NodeId, message: Forward) -> None:
        self.queue += ((sender, message.what),)


class LowFirst(Invariant):
    """What was low stands first; it has no name but its class's."""

    def after(self, ghost, nodes, changed):
        queue = nodes["desk"].queue
        if len({name for name, _ in queue}) == 2 and queue[0][1] == "high":
            raise Broken(f"{queue[0][0]} stands first with 'high'")
        return ghost


def test_symmetry_keeps_the_order_of_a_queue():
    """Two ushers may be renamed; which of the two requests came first is no matter of names."""
    for symmetry in (False, True):
        model = ClusterModel(
            lambda: [Usher("S1"), Usher("S2"), Desk("desk")], invariants=[LowFirst()], fifo=True,
            requests=[(None, Ask("low")), (None, Ask("high"))], interchangeable=("S1", "S2"),
        )  # fmt: skip
        found = explore(model, symmetry=symmetry)
        assert found.verdict == "violated"
        assert found.path[-1].state.broken.invariant == "LowFirst"
