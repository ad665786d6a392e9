"""Membership changes, one server at a time (Ongaro, *Consensus: Bridging Theory and Practice*, 2014, chapter 4).

A configuration is an entry of the log, in force from the moment it is appended, committed or not (§4.1). Any majority
of the old configuration and any majority of the new share a server, because they differ by one. The bug in the
thesis's version is fixed: a leader changes nothing before it has committed an entry of its own term (Ongaro on the
raft-dev list, 10 July 2015). The thesis's rounds of catching up (§4.2.1) are left out: who joins counts at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from distlib.core.node import NodeId, setting
from distlib.raft.log import Entry, Index
from distlib.raft.raft import Role
from distlib.raft.snapshot import Snapshots
from distlib.replication.message import ClientReply


@dataclass(frozen=True, slots=True)
class Configuration:
    """The command of an entry that says which servers form the cluster from here on."""

    servers: tuple[NodeId, ...]

    def __str__(self) -> str:
        return f"{{{', '.join(self.servers)}}}"


@dataclass(frozen=True, slots=True)
class AddServer:
    """A client (an administrator) asks that ``server`` joins; the answer is the configuration then in force."""

    server: NodeId
    client: NodeId | None = None
    serial: int | None = None


@dataclass(frozen=True, slots=True)
class RemoveServer:
    """A client (an administrator) asks that ``server`` leaves; the answer is the configuration then in force."""

    server: NodeId
    client: NodeId | None = None
    serial: int | None = None


@dataclass(frozen=True, slots=True)
class ConfigurationCommitted:
    """This server applied the configuration at ``index``: no older one can come back."""

    index: Index
    servers: tuple[NodeId, ...]


@dataclass
class Membership(Snapshots):
    """Raft whose servers change. ``initial_servers`` form the first configuration (None: this server and its peers)."""

    initial_servers: tuple[NodeId, ...] | None = setting(None)

    computed: ClassVar[tuple[str, ...]] = ("found",)  # kept only to save time: it follows from the log

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.initial_servers is not None:
            given, known = self.initial_servers, (self.id, *self.peers)
            if not given or len({*given} & {*known}) < len(given):
                name = f"{type(self).__name__}.initial_servers"
                raise ValueError(f"{name} is {given!r}; it takes at least one of {', '.join(known)}, each once")
        self.__dict__["found"] = (None, 0, ())  # for which log, at which index, the configuration: computed, not state

    # --- the configuration in force (thesis §4.1) --------------------------------------------------------

    def servers(self) -> tuple[NodeId, ...]:
        """The latest configuration in the log, committed or not."""
        return self.configuration()[1]

    def others(self) -> tuple[NodeId, ...]:
        """All servers of it but this one."""
        return tuple([server for server in self.servers() if server != self.id])

    def configuration(self) -> tuple[Index, tuple[NodeId, ...]]:
        """Index and servers of the latest configuration in the log."""
        log, index, servers = self.__dict__["found"]
        if log is not self.log:
            index, servers = self.configuration_at(self.log.last_index)
            self.__dict__["found"] = (self.log, index, servers)
        return index, servers

    def configuration_at(self, last: Index) -> tuple[Index, tuple[NodeId, ...]]:
        """The latest configuration at or before ``last``; that of the snapshot or the first one if the log has none."""
        for index in range(last, self.log.base_index, -1):
            command = self.log.entry(index).command
            if isinstance(command, Configuration):
                return index, command.servers
        if self.snapshot is not None:
            return self.log.base_index, self.snapshot.servers
        return 0, (self.id, *self.peers) if self.initial_servers is None else self.initial_servers

    def servers_at(self, index: Index) -> tuple[NodeId, ...]:
        return self.configuration_at(index)[1]

    # --- changes (thesis §4.1) ---------------------------------------------------------------------------

    def on_add_server(self, sender: NodeId, request: AddServer) -> None:
        """AddServer RPC (thesis, figure 4.1)."""
        added = () if request.server in self.servers() else (request.server,)
        self.change(request, (*self.servers(), *added))

    def on_remove_server(self, sender: NodeId, request: RemoveServer) -> None:
        """RemoveServer RPC (thesis, figure 4.1). The last server stays."""
        left = tuple([server for server in self.servers() if server != request.server])
        self.change(request, left or self.servers())

    def change(self, request: AddServer | RemoveServer, servers: tuple[NodeId, ...]) -> None:
        """Leaders append the new configuration, unless it must wait; the client then asks again. It is in force before
        it is applied, so a repeated request is known by its session here already."""
        entry = Entry(self.current_term, Configuration(servers), request.client, request.serial)
        if self.role is not Role.LEADER or not self.may_change():
            reply = ClientReply(request.serial, False, leader=self.leader)
        elif self.was_applied(entry):
            reply = ClientReply.of(request.serial, self.apply(entry), self.id)
        else:
            self.track(servers)
            self.append(entry)
            return
        if request.client is not None:
            self.send(request.client, reply)

    def may_change(self) -> bool:
        """One change at a time, and none before an entry of the leader's own term is committed (the fix)."""
        return self.configuration()[0] <= self.commit_index and self.commit_index >= self.term_start

    def track(self, servers: tuple[NodeId, ...]) -> None:
        """Leaders keep nextIndex and matchIndex for the servers of the new configuration."""
        others = [server for server in servers if server != self.id]
        self.next_index = {one: self.next_index.get(one, self.log.last_index + 1) for one in others}
        self.match_index = {one: self.match_index.get(one, 0) for one in others}

    def execute(self, command: Any) -> Any:
        """A committed configuration changes no state machine; it is only told."""
        if not isinstance(command, Configuration):
            return super().execute(command)
        self.output(ConfigurationCommitted(self.last_applied, command.servers))
        return command.servers

    # --- servers outside the configuration (thesis §4.2.2) -----------------------------------------------

    def apply_committed(self) -> None:
        """A leader that is not in the new configuration steps down once that is committed."""
        super().apply_committed()
        if self.role is Role.LEADER and self.is_outside():
            self.become_follower()

    def on_election_timeout(self) -> None:
        """Who is outside for good (or not yet in) doesn't stand; while it may come back, it must."""
        if self.is_outside():
            self.restart_election_timer()
        else:
            super().on_election_timeout()

    def is_outside(self) -> bool:
        """Whether a committed configuration, the latest, lacks this server."""
        index, servers = self.configuration()
        return self.id not in servers and index <= self.commit_index
