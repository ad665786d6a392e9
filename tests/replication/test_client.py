"""The client: serial numbers, retries, redirects, and the history that it leaves."""

from __future__ import annotations

from typing import Any

import pytest

from distlib.check.history.linearizability import Verdict, check
from distlib.core.fault import Crash
from distlib.raft.raft import Raft
from distlib.replication.client import Client
from distlib.replication.message import ClientReply, ClientRequest, Invoked, ReadRequest, Returned
from distlib.replication.state_machine import Add, CompareAndSet, Get, Put
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from tests.raft.clusters import Counter, cluster, history, names


def calling(*commands: Any, **settings: Any) -> Client:
    client = Client("C1", names(3), commands, **settings)
    client.start()
    client.timeout("next")
    return client


def asked(client: Client) -> list[tuple[str, Any]]:
    return [(one.to, one.message) for one in client.take_effects() if hasattr(one, "to")]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"servers": ()}, "servers is empty; it takes the name of at least one node"),
        ({"think_ms": (5, 1)}, r"think_ms is reversed: \(5, 1\)"),
        ({"start_ms": (-1, 1)}, "start_ms is"),
        ({"timeout_ms": 0}, "timeout_ms is 0"),
    ],
)
def test_a_setting_that_cannot_be_is_named(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Client("C1", **{"servers": ("S1",), **settings})


def test_a_request_keeps_its_serial_number_through_all_attempts() -> None:
    client = calling(Add("x"), Add("x"))
    client.timeout("attempt")
    client.timeout("attempt")
    assert asked(client) == [(server, ClientRequest(Add("x"), "C1", 1)) for server in names(3)]


def test_a_hint_is_followed_once_and_then_the_client_waits() -> None:
    client = calling(Put("x", 1))
    client.take_effects()
    client.receive("S1", ClientReply(1, False, leader="S3"))
    assert asked(client) == [("S3", ClientRequest(Put("x", 1), "C1", 1))]
    client.receive("S3", ClientReply(1, False, leader="S1"))
    assert asked(client) == []
    client.timeout("attempt")
    assert asked(client) == [("S1", ClientRequest(Put("x", 1), "C1", 1))]


def test_each_operation_follows_its_first_hint() -> None:
    client = calling(Put("x", 1), Put("x", 2))
    for message in (ClientReply(1, False, leader="S3"), ClientReply(1, True)):
        client.receive("S3" if message.ok else "S1", message)
    client.timeout("next")
    client.take_effects()
    client.receive("S3", ClientReply(2, False, leader="S2"))
    assert asked(client) == [("S2", ClientRequest(Put("x", 2), "C1", 2))]


def test_answers_to_other_requests_are_ignored() -> None:
    client = calling(Put("x", 1), Put("x", 2))
    client.take_effects()
    client.receive("S1", ClientReply(1, True))
    client.timeout("next")
    client.take_effects()
    client.receive("S1", ClientReply(1, True))
    assert client.take_effects() == []
    assert client.waiting


def test_reads_go_through_read_index_unless_told_otherwise() -> None:
    assert asked(calling(Get("x"))) == [("S1", ReadRequest(Get("x"), "C1", 1))]
    assert asked(calling(Get("x"), reads_in_log=True)) == [("S1", ClientRequest(Get("x"), "C1", 1))]


def test_a_client_that_crashes_goes_on_with_a_new_serial_number() -> None:
    client = calling(Put("x", 1), Put("x", 2))
    client.crash()
    client.start()
    client.timeout("next")
    assert client.serial == 2


def test_the_history_is_linearizable_although_the_leader_crashes() -> None:
    mixed = (Put("x", 1), Get("x"), Add("x"), CompareAndSet("x", 2, 9), Get("x"), Add("y"), Get("y")) * 4
    clients = [Client(f"C{one}", names(3), mixed, timeout_ms=150) for one in range(4)]
    faults = [Crash(400, "@leader", 300), Crash(1_200, "@leader", 300), Crash(1_500, "C2", 100)]
    world = cluster(3, clients=clients, network=Network(Uniform(1, 3), loss=0.05), faults=faults)
    trace = world.run(6_000)
    assert not trace.violations
    calls, returns = trace.outputs_of(Invoked), trace.outputs_of(Returned)
    assert len(calls) == 4 * len(mixed)
    assert len(calls) - 1 <= len(returns) <= len(calls)
    assert check(history(trace.outputs), Counter()).verdict is Verdict.LINEARIZABLE


def test_a_server_that_answers_from_its_own_state_is_caught_by_the_history() -> None:
    """The checker can fail: a follower learns of a commit with the next message only."""

    class StaleReads(Raft):
        def on_read_request(self, sender: str, request: ReadRequest) -> None:
            _, value = self.machine.apply(self.machine_state, request.command)
            self.send(sender, ClientReply(request.serial, True, value, self.id))

    writer = Client("C1", names(3), tuple(Put("x", number) for number in range(40)), start_ms=(600, 600))
    reader = Client("C2", ("S1",), tuple([Get("x")] * 40), start_ms=(600, 600))
    trace = cluster(3, StaleReads, clients=[writer, reader]).run(3_000)
    assert check(history(trace.outputs), Counter()).verdict is Verdict.NOT_LINEARIZABLE
