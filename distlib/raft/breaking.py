"""Random faults against a reader's Raft until one of figure 3's promises breaks."""

from __future__ import annotations

from distlib.core.fault import Nemesis
from distlib.core.node import node_names
from distlib.core.trace import Trace
from distlib.raft.invariants import raft_invariants
from distlib.raft.raft import Raft
from distlib.replication.message import ClientRequest
from distlib.replication.state_machine import Put
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network

LENGTH_MS = 2500.0


def break_it(candidate: type[Raft], *, servers: int = 3, seeds: int = 400) -> Trace:
    """The run of the first seed that breaks an invariant, up to that moment; of the last seed if none does.

    ``trace.seed`` is the seed and ``trace.violations`` the witness, empty when ``candidate`` survived all ``seeds``.
    Raises ``NodeError`` when the candidate itself raises.
    """
    for seed in range(seeds):
        cluster = _attacked(candidate, servers, seed, record=False)
        cluster.run(LENGTH_MS)
        if cluster.violations:
            break
    shown = _attacked(candidate, servers, seed, record=True)
    return shown.run(LENGTH_MS, until=lambda cluster: bool(cluster.violations))


def _attacked(candidate: type[Raft], count: int, seed: int, *, record: bool) -> Cluster:
    names = node_names(count)
    members = [candidate(name, tuple(peer for peer in names if peer != name)) for name in names]
    nemesis = Nemesis(kinds=("crash", "partition"), gap_ms=250, length_ms=250, start_ms=200)
    cluster = Cluster(
        members,
        Network(Uniform(2, 12)),
        seed=seed,
        faults=nemesis.schedule(names, seed, LENGTH_MS),
        invariants=raft_invariants(),
        record=record,
    )
    for number, at_ms in enumerate(range(250, int(LENGTH_MS), 60)):
        cluster.post(at_ms, names[number % count], ClientRequest(Put("x", number)))
    return cluster
