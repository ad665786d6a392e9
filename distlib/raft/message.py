"""What Raft's servers say to each other and to the outside world. The paper's candidateId and leaderId: the sender."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from distlib.core.look import Look
from distlib.core.node import NodeId
from distlib.raft.log import Entry, Index, Term

# --- between servers (figure 2) -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RequestVote:
    """A candidate asks for a vote; its last entry tells whether its log is up to date (§5.2, §5.4.1)."""

    term: Term
    last_log_index: Index
    last_log_term: Term

    look = Look("vermillion", place=2)


@dataclass(frozen=True, slots=True)
class Vote:
    """The answer to ``RequestVote``."""

    term: Term
    granted: bool

    look = Look("vermillion", "dot", place=2)


@dataclass(frozen=True, slots=True)
class AppendEntries:
    """The leader replicates ``entries``, which follow the entry (``prev_log_index``, ``prev_log_term``) (§5.3).
    ``read_round`` counts its reads: an answer proves that it still led after a read arrived (§8)."""

    term: Term
    prev_log_index: Index
    prev_log_term: Term
    entries: tuple[Entry, ...]
    leader_commit: Index
    read_round: int | None = None

    @property
    def kind(self) -> str:
        """``Heartbeat`` when it carries nothing, as the paper calls it."""
        return "AppendEntries" if self.entries else "Heartbeat"

    @property
    def look(self) -> Look:
        """Heartbeats are pale."""
        return Look("blue", place=3) if self.entries else Look("mist", place=13)

    @property
    def routine(self) -> bool:
        """Whether figures may fold it away."""
        return not self.entries


@dataclass(frozen=True, slots=True)
class AppendReply:
    """The answer to ``AppendEntries``: on success, the logs agree up to ``match_index``. Else the leader should go on
    at ``conflict_index``: where ``conflict_term``, that of the entry which differs, begins, or a short log ends
    (§5.3)."""

    term: Term
    success: bool
    match_index: Index | None = None
    conflict_index: Index | None = None
    conflict_term: Term | None = None
    read_round: int | None = None
    heartbeat: bool = field(default=False, repr=False)

    look = Look("sky", "dot", place=3)

    @property
    def routine(self) -> bool:
        """Whether it answers a heartbeat with nothing but a nod."""
        return self.heartbeat and self.success


# --- to the outside world -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BecameLeader:
    """This server won the election of ``term``."""

    term: Term


@dataclass(frozen=True, slots=True)
class Applied:
    """This server applied the committed entry at ``index``; ``result`` is what its state machine returned."""

    index: Index
    term: Term
    command: Any
    result: Any


class RaftView(NamedTuple):
    """What an observer sees of a server: ``log`` after ``snapshot_index``; ``servers``, its configuration; of a leader
    also ``next_index`` and ``match_index`` as (server, index) pairs."""

    role: str
    term: Term
    voted_for: NodeId | None
    leader: NodeId | None
    commit_index: Index
    last_applied: Index
    snapshot_index: Index
    log: tuple[Entry, ...]
    next_index: tuple[tuple[NodeId, Index], ...]
    match_index: tuple[tuple[NodeId, Index], ...]
    servers: tuple[NodeId, ...]

    @staticmethod
    def role_looks() -> dict[str, Look]:
        """How figures colour a server's lane."""
        return {
            "follower": Look("pale slate"),
            "pre-candidate": Look("pale orange"),
            "candidate": Look("orange"),
            "leader": Look("blue"),
        }
