"""Small clusters for the tests of the explorer's adapter, the shrinker and the judge; some of them broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from distlib.core.node import Node, NodeId, durable, volatile
from distlib.paxos.paxos import Paxos
from distlib.raft.raft import Raft

NAMES = ("S1", "S2", "S3")


def rafts(kind: type[Raft] = Raft, names: tuple[NodeId, ...] = NAMES) -> Callable[[], list[Raft]]:
    return lambda: [kind(name, tuple(peer for peer in names if peer != name)) for name in names]


def paxi(kind: type[Paxos] = Paxos, values: dict[str, str] | None = None) -> Callable[[], list[Paxos]]:
    wanted = {"S1": "a", "S2": "b"} if values is None else values
    return lambda: [kind(name, NAMES, value=wanted.get(name), learners=()) for name in NAMES]


@dataclass(frozen=True)
class Ping:
    number: int


@dataclass(frozen=True)
class Pong:
    number: int


@dataclass
class Player(Node):
    """Sends pings to all peers when its timer fires, answers with pongs, counts both."""

    peers: tuple[NodeId, ...]
    served: int = durable(0)
    pings: int = 0
    heard: list[NodeId] = volatile(list)

    def start(self) -> None:
        self.set_timer("serve", 10)

    def on_serve_timeout(self) -> None:
        self.served += 1
        for peer in self.peers:
            self.send(peer, Ping(self.served))

    def on_ping(self, sender: NodeId, message: Ping) -> None:
        self.pings += 1
        self.send(sender, Pong(message.number))

    def on_pong(self, sender: NodeId, message: Pong) -> None:
        self.heard.append(sender)


def players(kind: type[Player] = Player, count: int = 2) -> Callable[[], list[Player]]:
    names = NAMES[:count]
    return lambda: [kind(name, tuple(peer for peer in names if peer != name)) for name in names]


class TwoVotes(Raft):
    """Votes as often as it is asked."""

    def has_vote_for(self, candidate: NodeId) -> bool:
        return True


@dataclass
class ForgetsItsVote(Raft):
    """The vote is lost in a crash."""

    voted_for: NodeId | None = volatile(None)


class CommitsOldTerms(Raft):
    """Counts replicas of entries of earlier terms (figure 8)."""

    def may_commit(self, index: int) -> bool:
        return self.is_replicated(index)


class TakesAnyValue(Paxos):
    """Never mind what the promises report."""

    def choose_value(self, promises: Any) -> Any:
        return self.wanted


class TakesLowestBallot(Paxos):
    """Takes the value of the lowest ballot reported: two ballots are not enough to see it fail."""

    def choose_value(self, promises: Any) -> Any:
        reported = [report for report in promises if report.value is not None]
        return min(reported, key=lambda report: report.ballot).value if reported else self.wanted
