"""Snapshots (§7): taken, installed after a long absence, survived by sessions; the core's log begins after them."""

from __future__ import annotations

from typing import Any

import pytest

from distlib.core.fault import Crash
from distlib.raft.log import Entry, Log
from distlib.raft.message import AppendEntries
from distlib.raft.raft import Raft
from distlib.raft.snapshot import InstallSnapshot, Snapshot, SnapshotInstalled, SnapshotReply, Snapshots, SnapshotTaken
from distlib.replication.client import Client
from distlib.replication.message import STALE, ClientReply, ClientRequest, Returned
from distlib.replication.state_machine import Add, Get, Put
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from tests.raft.clusters import cluster, elect, leader, names

SNAPSHOT = Snapshot(4, 2, (("x", 4),), (("C1", (4, None)),), ("S1", "S2", "S3"))


def follower(*terms: int) -> Snapshots:
    server = Snapshots("S2", ("S1", "S3"))
    server.start()
    server.log = server.log.append(*[Entry(term, Put("x", index)) for index, term in enumerate(terms, 1)])
    server.current_term = 3
    server.take_effects()
    return server


def answers(server: Raft) -> list[Any]:
    return [one.message for one in server.take_effects() if hasattr(one, "message")]


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (2.5, TypeError), (True, TypeError)])
def test_a_threshold_that_cannot_be_is_named(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"Snapshots.snapshot_after is"):
        Snapshots("S1", (), snapshot_after=value)


def test_a_server_that_was_away_for_long_gets_the_snapshot_and_catches_up() -> None:
    client = Client("C1", names(3), (*[Add("x")] * 60, Get("x")))
    faults = [Crash(400, "S3", 1_500)]
    world = cluster(
        3, Snapshots, clients=[client], network=Network(Uniform(1, 3)), faults=faults, snapshot_after=10, seed=4
    )
    trace = world.run(4_000)
    assert not trace.violations
    assert trace.outputs_of(Returned)[-1].event.result == 60
    assert [one.node for one in trace.outputs_of(SnapshotInstalled)] == ["S3"]
    assert {one.node for one in trace.outputs_of(SnapshotTaken)} == set(names(3))
    behind: Any = world.nodes["S3"]
    assert (behind.machine_state, behind.sessions["C1"]) == ((("x", 60),), (60, 60))
    assert behind.log.base_index > 0


def test_sessions_are_part_of_the_snapshot_so_a_repeated_request_is_not_applied_again() -> None:
    clients = [Client("C1", names(3))]
    world = cluster(3, Snapshots, clients=clients, snapshot_after=2, seed=3)
    first = elect(world)
    at = world.now_ms
    for serial in (1, 2, 3, 4, 5):
        world.post(at + serial * 20, first.id, ClientRequest(Add("x"), "C1", serial), sender="C1")
    world.run(at + 300)
    assert first.log.base_index >= 4
    for one in names(3):  # all restart from snapshot and what is left of the log
        world.schedule(Crash(world.now_ms + 1, one, 10))
    world.run(world.now_ms + 1_500)
    new = leader(world)
    for wait, serial in enumerate((5, 4), 1):
        world.post(world.now_ms + wait, new.id, ClientRequest(Add("x"), "C1", serial), sender="C1")
    trace = world.run(world.now_ms + 200)
    assert new.machine_state == (("x", 5),)
    late = [sent[4].result for sent in trace.sent if isinstance(sent[4], ClientReply) and sent[5] > at + 1_000]
    assert late == [5, STALE]


def test_a_restarted_server_goes_on_from_its_snapshot() -> None:
    server = follower(1, 2, 2, 2)
    server.receive("S1", InstallSnapshot(3, SNAPSHOT))
    server.take_effects()
    server.crash()
    server.start()
    assert (server.commit_index, server.last_applied, server.machine_state) == (4, 4, (("x", 4),))
    assert server.sessions == {"C1": (4, None)}


@pytest.mark.parametrize(
    ("held", "left"),
    [
        ((), 0),  # nothing there: the snapshot is the log
        ((1, 1, 1, 1, 1), 0),  # a conflicting log is discarded (rule 7)
        ((1, 2, 2, 2, 2, 3), 2),  # what follows the snapshot's last entry is kept (rule 6)
    ],
)
def test_installing_keeps_only_what_follows_the_snapshot(held: tuple[int, ...], left: int) -> None:
    server = follower(*held)
    server.receive("S1", InstallSnapshot(3, SNAPSHOT))
    assert answers(server) == [SnapshotReply(3, 4)]
    assert (server.log.base_index, server.log.base_term, len(server.log.entries)) == (4, 2, left)
    assert (server.commit_index, server.last_applied, server.machine_state) == (4, 4, (("x", 4),))


def test_a_snapshot_of_what_is_committed_already_changes_nothing() -> None:
    server = follower(1, 2, 2, 2, 3)
    server.receive("S1", AppendEntries(3, 5, 3, (), 5))
    before = server.state()
    server.take_effects()
    server.receive("S1", InstallSnapshot(3, SNAPSHOT))
    assert server.state() == before
    assert answers(server) == [SnapshotReply(3, 4)]


def test_a_snapshot_of_a_leader_of_the_past_is_refused() -> None:
    server = follower(1)
    server.receive("S1", InstallSnapshot(2, SNAPSHOT))
    assert answers(server) == [SnapshotReply(3)]
    assert server.log.base_index == 0


def test_entries_that_the_snapshot_covers_are_taken_for_equal() -> None:
    server = follower()
    server.receive("S1", InstallSnapshot(3, SNAPSHOT))
    server.take_effects()
    late = tuple(Entry(term, Put("x", index)) for index, term in enumerate((1, 2, 2, 2, 3), 1))
    server.receive("S1", AppendEntries(3, 0, 0, late, 0))
    assert server.log == Log((late[4],), 4, 2)
    assert answers(server)[0].match_index == 5


def test_servers_that_applied_alike_hold_alike_whatever_they_compacted() -> None:
    clients = [Client(f"C{one}", names(5), tuple(Add("xy"[one % 2]) for _ in range(30))) for one in range(3)]
    world = cluster(5, Snapshots, clients=clients, network=Network(Uniform(1, 9), loss=0.1), snapshot_after=7, seed=5)
    trace = world.run(6_000)
    assert not trace.violations
    assert len(trace.outputs_of(Returned)) == 90
    assert {node.machine_state for node in world.nodes.values() if isinstance(node, Snapshots)} == {
        (("x", 60), ("y", 30))
    }
