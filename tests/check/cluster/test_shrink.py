from __future__ import annotations

from typing import Any

import pytest

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.replay import STEP_MS, actions_of, path_of, replay, story, trace_of
from distlib.check.cluster.shrink import shrink, shrink_run
from distlib.check.cluster.world import CrashRestart, Deliver, Drop, Duplicate, Faults, Request, Timeout, touched
from distlib.check.explore.explore import RandomWalks, explore
from distlib.core.fault import Crash
from distlib.core.trace import DELIVERED, IN_FLIGHT, LOST, Trace
from distlib.raft.invariants import ElectionSafety, raft_invariants
from distlib.replication.message import ClientRequest
from distlib.replication.state_machine import Put
from distlib.sim.cluster import Cluster
from distlib.sim.network import Network
from tests.check.cluster.toys import ForgetsItsVote, Ping, Pong, TwoVotes, players, rafts

SERVE, PING, PONG = Timeout("S1", "serve"), Deliver("S1", "S2", Ping(1)), Deliver("S2", "S1", Pong(1))


def two_votes(**options: Any) -> ClusterModel:
    options = {"timeouts": {"election": 3}, "invariants": [ElectionSafety()], **options}
    return ClusterModel(rafts(TwoVotes), **options)


# --- a path as a trace ------------------------------------------------------------------------------


def test_a_path_becomes_a_trace_in_logical_time():
    model = ClusterModel(players(), timeouts={"S1": 1})
    trace = trace_of(model, [SERVE, PING, PONG])
    assert trace.sent == (
        (2 * STEP_MS, 1, "S1", "S2", Ping(1), STEP_MS),
        (3 * STEP_MS, 2, "S2", "S1", Pong(1), 2 * STEP_MS),
    )
    assert (trace.nodes, trace.end_ms, trace.events, dict(trace.fates)) == (("S1", "S2"), 4 * STEP_MS, 3, {})
    assert len(trace.messages) == 2


def test_faults_requests_and_fates_are_in_the_trace():
    model = ClusterModel(players())
    ping = ("S1", "S2", Ping(1))
    trace = trace_of(
        model, [SERVE, Duplicate(*ping), Drop(*ping), CrashRestart("S2"), Request("S2", Ping(5)), Deliver(*ping)]
    )
    fates = {number: trace.fates.get(number, DELIVERED) for _, number, *_ in trace.sent}
    assert list(fates.values()) == [LOST, DELIVERED, DELIVERED, IN_FLIGHT]
    assert trace.duplicates == {2}
    assert [type(fault.event).__name__ for fault in trace.faults] == ["Crash"]
    assert trace.sent[2][2:5] == ("outside", "S2", Ping(5))


def test_the_trace_of_a_counterexample_ends_with_its_violation():
    result = explore(two_votes())
    trace = trace_of(two_votes(), result.path)
    assert isinstance(trace, Trace)
    assert [one.invariant for one in trace.violations] == ["Election Safety"]
    assert trace.violations[0].time_ms == trace.end_ms - STEP_MS
    assert trace.view_at("S1", 0.0).role == "follower"
    assert trace.to_bytes() == trace_of(two_votes(), actions_of(result.path)).to_bytes()


def test_a_counterexample_is_drawn_by_the_same_figure():
    spacetime = pytest.importorskip("distlib.figures.spacetime").spacetime
    figure = spacetime(trace_of(two_votes(), explore(two_votes()).path))
    assert len(figure.data) > 3


def test_a_story_names_steps_changes_and_the_end():
    lines = story(two_votes(), explore(two_votes()).path)
    assert lines[0].strip() == "1  S1 election timeout"
    assert "role follower → candidate, term 0 → 1" in lines[1]
    assert lines[-1].startswith("  ✗  Election Safety: S")


def test_steps_that_are_not_possible_are_refused():
    with pytest.raises(ValueError, match="does not allow 'S1 → S2 Ping number=1'"):
        replay(ClusterModel(players()), [PING])
    with pytest.raises(ValueError, match="breaks no invariant"):
        shrink(ClusterModel(players()), [SERVE])


# --- shrinking --------------------------------------------------------------------------------------


def test_a_long_walk_shrinks_to_the_shortest_counterexample():
    shortest = explore(two_votes()).path
    walk = explore(
        two_votes(faults=Faults(crashes=2, duplicates=2, losses=2)), search=RandomWalks(seed=1, max_walks=3000)
    )
    assert walk.verdict == "violated"
    small = shrink(two_votes(), walk.path)
    assert len(actions_of(walk.path)) > len(small) == len(shortest) - 1
    assert replay(two_votes(), small)[-1].broken.invariant == "Election Safety"
    assert not any(isinstance(action, CrashRestart | Duplicate | Drop) for action in small)
    assert shrink(two_votes(), walk.path) == small, "deterministic"
    assert shrink(two_votes(), small) == small, "minimal"


def test_a_path_from_a_world_in_the_middle_shrinks_from_there():
    model = two_votes(faults=Faults(crashes=2))
    start = model.next_state(model.first, Timeout("S2", "election"))
    walk = explore(model, start=[start], search=RandomWalks(seed=1, max_walks=3000))
    small = shrink(model, walk.path, start=start)
    assert len(small) == len(explore(model, start=[start]).path) - 1 < len(walk.path) - 1
    assert replay(model, [Timeout("S2", "election"), *small])[-1].broken.invariant == "Election Safety"


def test_needed_faults_stay():
    model = ClusterModel(
        rafts(ForgetsItsVote), invariants=raft_invariants(), timeouts={"election": 2}, faults=Faults(crashes=2)
    )
    walk = explore(model, search=RandomWalks(seed=1, max_walks=20_000), max_depth=30, max_seconds=60)
    small = shrink(model, walk.path)
    assert [type(action) for action in small].count(CrashRestart) == 1


def test_a_stopped_shrinker_returns_the_best_so_far():
    walk = explore(two_votes(faults=Faults(crashes=2)), search=RandomWalks(seed=1, max_walks=3000))
    assert shrink(two_votes(), walk.path, stop=lambda: True) == tuple(actions_of(walk.path))


def test_nodes_touched():
    assert touched(PING) == ("S1", "S2")
    assert touched(CrashRestart("S1")) == ("S1",)


# --- simulated runs ---------------------------------------------------------------------------------


def test_a_simulated_run_is_a_path_through_the_same_states():
    cluster = Cluster(
        rafts()(), Network(loss=0.05, duplication=0.1, reordering=0.1), seed=5, invariants=raft_invariants(),
        faults=[Crash(400.0, "S2", 300.0)],
    )  # fmt: skip
    cluster.post(350.0, "S1", ClientRequest(Put("x", 1)))
    trace = cluster.run(1500.0)
    assert trace.restarts
    assert trace.timeouts
    assert trace.duplicates
    model = ClusterModel(rafts(), invariants=raft_invariants())
    last = replay(model, path_of(trace))[-1]
    assert last.broken is None
    assert {name: node.state() for name, node in last.all_nodes().items()} == {
        name: node.state() for name, node in cluster.nodes.items()
    }


def test_a_failing_run_shrinks_to_a_path():
    def impatient() -> list[TwoVotes]:
        return [TwoVotes(one.id, one.peers, election_timeout_ms=(150, 155)) for one in rafts()()]

    cluster = Cluster(
        impatient(), Network(loss=0.1), seed=2, invariants=[ElectionSafety()], faults=[Crash(200.0, "S1", 50.0)]
    )
    trace = cluster.run(20_000.0, until=lambda world: bool(world.violations))
    assert trace.violations
    small = shrink_run(ClusterModel(impatient, invariants=[ElectionSafety()]), trace)
    assert len(small) == len(explore(two_votes()).path) - 1


def test_a_run_without_messages_or_without_failure_is_refused():
    silent = Cluster(players()(), record=False, seed=1)
    with pytest.raises(ValueError, match="record=True"):
        path_of(silent.run(100.0))
    fine = Cluster(players()(), seed=1)
    with pytest.raises(ValueError, match="break no invariant"):
        shrink_run(ClusterModel(players()), fine.run(100.0))
