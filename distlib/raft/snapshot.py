"""Snapshots (Raft §7, figure 13): a log begins after ``base_index`` where the state machine's state stands for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distlib.core import require
from distlib.core.look import Look
from distlib.core.node import NodeId, durable, setting
from distlib.raft.log import Index, Log, Term
from distlib.raft.raft import Raft, Role


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that the entries up to ``last_index`` made: the state machine's state, the clients' sessions, the servers."""

    last_index: Index
    last_term: Term
    machine_state: Any
    sessions: tuple[tuple[NodeId, tuple[int, Any]], ...]
    servers: tuple[NodeId, ...]

    def __str__(self) -> str:
        return f"…{self.last_index} (term {self.last_term})"


@dataclass(frozen=True, slots=True)
class InstallSnapshot:
    """The leader has discarded what a follower lacks, and sends its snapshot, here in one piece (figure 13)."""

    term: Term
    snapshot: Snapshot

    look = Look("purple", place=4)


@dataclass(frozen=True, slots=True)
class SnapshotReply:
    """The answer to ``InstallSnapshot``: the logs agree up to ``match_index``; None for a leader of the past."""

    term: Term
    match_index: Index | None = None

    look = Look("purple", "dot", place=4)


@dataclass(frozen=True, slots=True)
class SnapshotTaken:
    """This server's snapshot now covers the entries up to ``index``."""

    index: Index


@dataclass(frozen=True, slots=True)
class SnapshotInstalled:
    """This server took over the leader's snapshot, which covers the entries up to ``index``."""

    index: Index


@dataclass
class Snapshots(Raft):
    """Raft with log compaction: a snapshot as soon as ``snapshot_after`` applied entries stand in the log."""

    snapshot_after: int = setting(64)

    snapshot: Snapshot | None = durable(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        require.whole(f"{type(self).__name__}.snapshot_after", self.snapshot_after, 1, unit="entries")

    def restore(self) -> None:
        """A restarted server goes on from its snapshot; what that covers is committed and applied."""
        super().restore()
        if self.snapshot is not None:
            self.load_snapshot(self.snapshot)

    def load_snapshot(self, snapshot: Snapshot) -> None:
        """Figure 13, rule 8: the state machine takes over the snapshot's state."""
        self.machine_state, self.sessions = snapshot.machine_state, dict(snapshot.sessions)
        self.last_applied = snapshot.last_index
        self.commit_index = max(self.commit_index, snapshot.last_index)

    def apply_committed(self) -> None:
        """§7: each server takes snapshots on its own, of what it has applied so far."""
        if self.is_log_long():
            self.take_snapshot()
        super().apply_committed()

    def is_log_long(self) -> bool:
        """§7: a fixed size is a simple rule."""
        return self.last_applied - self.log.base_index >= self.snapshot_after

    def take_snapshot(self) -> None:
        """§7: write the state, then discard the entries that it stands for."""
        self.snapshot = self.make_snapshot(self.last_applied)
        self.log = self.log.compacted(self.last_applied)
        self.output(SnapshotTaken(self.last_applied))

    def make_snapshot(self, index: Index) -> Snapshot:
        """The applied state, with the clients' sessions, lest a repeated request be applied again."""
        term = self.log.term_at(index)
        assert term is not None
        sessions = tuple(sorted(self.sessions.items()))
        return Snapshot(index, term, self.machine_state, sessions, self.servers_at(index))

    def servers_at(self, index: Index) -> tuple[NodeId, ...]:
        """§7: the snapshot holds the latest configuration as of its last entry."""
        return self.servers()

    def replicate_to(self, server: NodeId) -> None:
        """§7: who lacks entries that we have discarded, gets the snapshot."""
        if self.snapshot is not None and self.next_index[server] <= self.log.base_index:
            self.send(server, InstallSnapshot(self.current_term, self.snapshot))
        else:
            super().replicate_to(server)

    def on_install_snapshot(self, sender: NodeId, request: InstallSnapshot) -> None:
        """InstallSnapshot RPC, receiver (figure 13)."""
        self.step_down_if_behind(request.term)
        if request.term < self.current_term:
            self.send_after_sync(sender, SnapshotReply(self.current_term))
            return
        self.follow(sender)
        if request.snapshot.last_index > self.commit_index:  # else we know all of it
            self.install(request.snapshot)
        self.send_after_sync(sender, SnapshotReply(self.current_term, request.snapshot.last_index))

    def install(self, snapshot: Snapshot) -> None:
        """Figure 13, rules 5 to 8: save the snapshot, keep what follows it in the log, take over its state."""
        if self.log.term_at(snapshot.last_index) == snapshot.last_term:
            self.log = self.log.compacted(snapshot.last_index)
        else:
            self.log = Log((), snapshot.last_index, snapshot.last_term)
        self.snapshot = snapshot
        self.load_snapshot(snapshot)
        self.output(SnapshotInstalled(snapshot.last_index))

    def on_snapshot_reply(self, sender: NodeId, reply: SnapshotReply) -> None:
        """Leaders: go on after the snapshot."""
        self.step_down_if_behind(reply.term)
        current = self.role is Role.LEADER and reply.term == self.current_term
        if current and reply.match_index is not None and sender in self.next_index:
            self.acknowledge(sender, reply.match_index)
            self.hear_round(sender, 0)
            if self.role is Role.LEADER and self.next_index[sender] <= self.log.last_index:
                self.replicate_to(sender)
