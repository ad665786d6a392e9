"""Reads at a leader that was deposed and does not know it: the clients' history, for a checker (thesis §6.4)."""

from __future__ import annotations

from distlib.check.history.history import Fault, History, Operation
from distlib.core.fault import Partition
from distlib.core.node import node_names
from distlib.raft.raft import Raft
from distlib.raft.scenarios import leader_of
from distlib.replication.client import Client
from distlib.replication.message import Invoked, Returned
from distlib.replication.state_machine import Get, Put
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network

CUT_MS, HEAL_MS, END_MS = 520.0, 1200.0, 1700.0


def deposed_reads(kind: type[Raft] = Raft, seed: int = 7) -> History:
    """What two clients saw of the key x, times in ms. A partition leaves the leader alone with the client *reader*; the
    client *writer* is with the other four servers, who elect a new leader and commit its writes.

    Check it with ``distlib.check.history.linearizability.check`` and a ``Register``. Raises ``ValueError`` for a seed
    with which nobody leads when the partition begins.
    """
    names = node_names(5)
    servers = [kind(name, tuple(peer for peer in names if peer != name)) for name in names]
    writes, reads = tuple(Put("x", value) for value in range(1, 7)), tuple([Get("x")] * 9)
    clients = [
        Client("writer", names, writes, think_ms=(60, 80), start_ms=(400, 400), timeout_ms=40),
        Client("reader", names, reads, think_ms=(70, 90), start_ms=(420, 420), timeout_ms=200),
    ]
    cluster = Cluster([*servers, *clients], Network(Uniform(2, 8)), seed=seed, record=False)
    cluster.run(CUT_MS)
    leader = leader_of(cluster)
    if leader is None:
        raise ValueError(f"with seed {seed} nobody leads at {CUT_MS:g} ms; choose another seed")
    rest = tuple(name for name in names if name != leader)
    cluster.schedule(Partition(CUT_MS, ((leader, "reader"), (*rest, "writer")), HEAL_MS - CUT_MS))
    cluster.run(END_MS)
    return History(_operations(cluster), (Fault("partition", CUT_MS, HEAL_MS),))


def _operations(cluster: Cluster) -> list[Operation]:
    returned = {
        (one.event.client, one.event.serial): {"returned": one.time_ms, "result": one.event.result}
        for one in cluster.outputs
        if isinstance(one.event, Returned)
    }
    found = []
    for one in cluster.outputs:
        if isinstance(one.event, Invoked):
            command, answer = one.event.command, returned.get((one.event.client, one.event.serial), {})
            f, argument = ("write", command.value) if isinstance(command, Put) else ("read", None)
            found.append(Operation(one.event.client, f, argument, call=one.time_ms, key=command.key, **answer))
    return found
