"""Single-server membership changes (thesis, chapter 4)."""

from __future__ import annotations

from typing import Any

import pytest

from distlib.raft.log import Entry
from distlib.raft.membership import AddServer, Configuration, ConfigurationCommitted, Membership, RemoveServer
from distlib.raft.message import AppendEntries, AppendReply, Vote
from distlib.raft.raft import Role
from distlib.raft.snapshot import SnapshotInstalled
from distlib.replication.client import Client
from distlib.replication.message import STALE, ClientReply, NoOp, Returned
from distlib.replication.state_machine import Add
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from tests.raft.clusters import cluster, elect, leader, names


def lead(initial: tuple[str, ...] = ("S1", "S2", "S3"), commit: bool = True) -> Membership:
    """S1 of at most four servers as leader of term 1, its no-op committed or not."""
    server = Membership("S1", ("S2", "S3", "S4"), initial_servers=initial)
    server.start()
    server.timeout("election")
    for answer in (Vote(1, True), AppendReply(1, True, match_index=1))[: 1 + commit]:
        for peer in initial[1 : 1 + len(initial) // 2]:
            server.receive(peer, answer)
    assert server.role is Role.LEADER
    server.take_effects()
    return server


def answers(server: Membership) -> list[Any]:
    return [one.message for one in server.take_effects() if isinstance(getattr(one, "message", None), ClientReply)]


def changing(commands: tuple[Any, ...], seed: int = 1, **settings: Any) -> tuple[Cluster, Any]:
    clients = [
        Client("Admin", names(5), commands, think_ms=(100, 150), start_ms=(500, 500)),
        Client("C1", names(5), tuple(Add("x") for _ in range(60))),
    ]
    world = cluster(5, Membership, clients=clients, network=Network(Uniform(1, 3)), seed=seed, **settings)
    return world, world.run(5_000)


@pytest.mark.parametrize("initial", [(), ("S1", "S1"), ("S1", "S9")])
def test_an_initial_configuration_that_cannot_be_is_named(initial: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"initial_servers is .*at least one of S1, S2, each once"):
        Membership("S1", ("S2",), initial_servers=initial)


def test_servers_join_one_by_one_and_take_part() -> None:
    world, trace = changing((AddServer("S4"), AddServer("S5")), initial_servers=("S1", "S2", "S3"))
    assert not trace.violations
    admin = [one.event.result for one in trace.outputs_of(Returned) if one.node == "Admin"]
    assert admin == [("S1", "S2", "S3", "S4"), names(5)]
    assert {node.machine_state for node in world.nodes.values() if isinstance(node, Membership)} == {(("x", 60),)}
    assert {one.node for one in trace.outputs_of(ConfigurationCommitted)} == set(names(5))


def test_a_server_that_joins_late_gets_the_snapshot() -> None:
    _world, trace = changing((AddServer("S4"),), initial_servers=("S1", "S2", "S3"), snapshot_after=5)
    assert "S4" in {one.node for one in trace.outputs_of(SnapshotInstalled)}
    assert not trace.violations


def test_servers_outside_the_configuration_start_no_election() -> None:
    world, _trace = changing((), initial_servers=("S1",))
    assert all(world.nodes[one].current_term == 0 for one in names(5)[1:])  # type: ignore[attr-defined]
    assert leader(world).id == "S1"


def test_a_leader_that_is_removed_steps_down_once_that_is_committed_and_another_takes_over() -> None:
    world = cluster(3, Membership, clients=[Client("Admin", names(3))], network=Network(Uniform(1, 3)))
    old = elect(world)
    world.post(world.now_ms + 1, old.id, RemoveServer(old.id, "Admin", 1), sender="Admin")
    trace = world.run(world.now_ms + 1_500)
    assert not trace.violations
    assert old.role is not Role.LEADER
    assert leader(world).id != old.id
    assert old.id not in leader(world).servers()
    told = [sent[4] for sent in trace.sent if isinstance(sent[4], ClientReply)]
    assert told[0] == ClientReply(1, True, leader(world).servers(), old.id)
    assert {(one.ok, one.result) for one in told} == {(True, leader(world).servers())}


def test_a_configuration_counts_from_the_moment_it_is_appended() -> None:
    server = lead()
    server.receive("Admin", AddServer("S4", "Admin", 1))
    assert server.servers() == ("S1", "S2", "S3", "S4")
    assert server.commit_index == 1
    server.receive("S2", AppendReply(1, True, match_index=2))
    assert server.commit_index == 1  # two of four are no majority
    server.receive("S4", AppendReply(1, True, match_index=2))
    assert server.commit_index == 2


def test_a_configuration_that_is_cut_off_the_log_counts_no_more() -> None:
    server = Membership("S2", ("S1", "S3", "S4"), initial_servers=("S1", "S2", "S3"))
    server.start()
    server.receive("S1", AppendEntries(1, 0, 0, (Entry(1, NoOp()), Entry(1, Configuration(names(4)))), 0))
    assert server.servers() == names(4)
    server.receive("S3", AppendEntries(2, 1, 1, (Entry(2, NoOp()),), 0))
    assert server.servers() == names(3)


def test_one_change_at_a_time() -> None:
    server = lead()
    server.receive("Admin", AddServer("S4", "Admin", 1))
    server.take_effects()
    server.receive("Admin", RemoveServer("S2", "Admin", 2))
    assert answers(server) == [ClientReply(2, False, leader="S1")]
    assert server.servers() == names(4)


def test_no_change_before_the_leader_has_committed_an_entry_of_its_own_term() -> None:
    """The bug in the thesis's algorithm, and its fix (Ongaro, raft-dev mailing list, 10 July 2015)."""
    server = lead(commit=False)
    server.receive("Admin", AddServer("S4", "Admin", 1))
    assert answers(server) == [ClientReply(1, False, leader="S1")]
    server.receive("S2", AppendReply(1, True, match_index=1))
    server.receive("Admin", AddServer("S4", "Admin", 1))
    assert server.servers() == names(4)


def committed(server: Membership, message: AddServer | RemoveServer) -> list[Any]:
    """The answers to ``message`` once S2 and S3 have all that the leader has."""
    server.receive("Admin", message)
    for peer in ("S2", "S3"):
        server.receive(peer, AppendReply(1, True, match_index=server.log.last_index))
    return answers(server)


def test_a_change_to_what_is_in_force_is_remembered_too() -> None:
    """Another administrator may make it a change, and a late copy must not: so it goes through the log."""
    server = lead()
    remove = RemoveServer("S4", "Admin", 1)
    assert committed(server, remove) == [ClientReply(1, True, names(3), "S1")]
    committed(server, AddServer("S4", "Other", 1))
    assert committed(server, remove) == [ClientReply(1, True, names(3), "S1")]
    assert server.servers() == names(4)


def test_a_change_is_made_once_though_a_configuration_is_in_force_before_it_is_applied() -> None:
    server = lead()
    add = AddServer("S4", "Admin", 1)
    assert committed(server, add) == [ClientReply(1, True, names(4), "S1")]
    assert committed(server, RemoveServer("S4", "Admin", 2)) == [ClientReply(2, True, names(3), "S1")]
    assert committed(server, add) == [ClientReply(1, False, STALE, "S1")]
    assert server.servers() == names(3)


def test_the_last_server_stays() -> None:
    server = lead(("S1",))
    server.receive("Admin", RemoveServer("S1", "Admin", 1))
    assert answers(server) == [ClientReply(1, True, ("S1",), "S1")]


def test_a_follower_names_the_leader() -> None:
    server = Membership("S2", ("S1", "S3"))
    server.start()
    server.receive("S1", AppendEntries(1, 0, 0, (), 0))
    server.take_effects()
    server.receive("Admin", AddServer("S4", "Admin", 1))
    assert answers(server) == [ClientReply(1, False, leader="S1")]


def test_a_removed_server_still_stands_until_its_removal_is_committed() -> None:
    """Thesis §4.2.2 and figure 4.6: it may be the only one that can win."""
    server = lead(("S1", "S2"))
    server.receive("Admin", RemoveServer("S1"))
    server.crash()
    server.start()
    server.timeout("election")
    assert server.role is Role.CANDIDATE
    server.receive("S2", Vote(2, True))
    assert server.role is Role.LEADER  # elected by S2 alone, whose vote is the majority of {S2}
    server.receive("S2", AppendReply(2, True, match_index=3))
    assert server.role is Role.FOLLOWER
    server.timeout("election")
    assert server.role is Role.FOLLOWER


def test_a_vote_of_a_server_outside_does_not_count() -> None:
    server = Membership("S1", ("S2", "S3", "S4"), initial_servers=("S1", "S2", "S3"))
    server.start()
    server.timeout("election")
    server.receive("S4", Vote(1, True))
    assert server.role is Role.CANDIDATE
    server.receive("S3", Vote(1, True))
    assert server.role is Role.LEADER


def test_what_a_removed_server_acknowledges_is_ignored() -> None:
    server = lead(names(4))
    server.receive("Admin", RemoveServer("S4"))
    server.receive("S4", AppendReply(1, True, match_index=2))
    assert "S4" not in server.match_index
    assert server.commit_index == 1
