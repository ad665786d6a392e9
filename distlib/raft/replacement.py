"""An old server is replaced by an empty one while clients go on: a snapshot (§7) and two membership changes (§6; thesis
§4), in one run."""

from __future__ import annotations

from distlib.core.node import node_names
from distlib.core.trace import Trace
from distlib.raft.invariants import raft_invariants
from distlib.raft.membership import AddServer, Membership, RemoveServer
from distlib.replication.client import Client
from distlib.replication.state_machine import Add
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network

LENGTH_MS = 1500.0


def replacement(snapshot_after: int = 8, seed: int = 7) -> Trace:
    """S1 to S3 form the cluster and one client adds 1 again and again; then an administrator has S4 join, with an empty
    log, and S1 leave. ``snapshot_after`` applied entries are compacted into a snapshot."""
    names = node_names(4)
    servers = [
        Membership(
            name,
            tuple(peer for peer in names if peer != name),
            snapshot_after=snapshot_after,
            initial_servers=names[:3],
        )
        for name in names
    ]
    clients = [
        Client("client", names, tuple([Add("counter")] * 30), think_ms=(8, 12), start_ms=(300, 300), timeout_ms=80),
        Client(
            "admin", names, (AddServer("S4"), RemoveServer("S1")),
            think_ms=(200, 200), start_ms=(700, 700), timeout_ms=80,
        ),
    ]  # fmt: skip
    cluster = Cluster([*servers, *clients], Network(Uniform(2, 8)), seed=seed, invariants=raft_invariants())
    return cluster.run(LENGTH_MS)
