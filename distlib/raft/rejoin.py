"""A follower that was cut off comes back: what that does to a leader who was well all the time (thesis §9.6)."""

from __future__ import annotations

from dataclasses import dataclass

from distlib.core.fault import Partition
from distlib.core.node import node_names
from distlib.core.parameter import parameter
from distlib.core.trace import Trace
from distlib.raft.raft import Raft
from distlib.raft.scenarios import RaftParams, leader_of
from distlib.replication.message import ClientRequest
from distlib.replication.state_machine import Put


@dataclass(frozen=True)
class RejoinParams(RaftParams):
    """A follower is cut off from all others while the leader goes on working, and comes back."""

    servers: int = parameter(5, "servers", low=3, high=9, help="all but one follower stay together")
    cut_ms: float = parameter(400, "follower cut off at", unit="ms", low=0, high=60_000, step=10)
    away_ms: float = parameter(700, "for", unit="ms", low=0, high=60_000, step=10, help="then it is back")
    duration_ms: float = parameter(
        2000, "duration", unit="ms", low=100, high=30_000, scale="log", help="virtual time shown"
    )


def rejoin(kind: type[Raft] = Raft, params: RejoinParams = RejoinParams()) -> Trace:
    """A cluster of ``kind`` that loses its first follower from the network for a while; nobody crashes.

    The leader commits one entry meanwhile, so that whoever was away cannot win an election (§5.4.1). With plain Raft
    it stands again and again while it is alone, and comes back with a higher term. Without a leader at ``cut_ms``
    nobody is cut off.
    """
    names, cluster = node_names(params.servers), params.cluster(kind=kind)
    cluster.run(params.cut_ms)
    leader = leader_of(cluster)
    if leader is not None:
        away = next(name for name in names if name != leader)
        rest = tuple(name for name in names if name != away)
        cluster.schedule(Partition(params.cut_ms, ((away,), rest), params.away_ms))
        cluster.post(params.cut_ms + params.away_ms / 2, leader, ClientRequest(Put("x", "meanwhile")))
    return cluster.run(params.duration_ms)
