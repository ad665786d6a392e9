"""A client of a replicated service: one request at a time, repeated until it is answered (Ongaro & Ousterhout, §8)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from distlib.core import require
from distlib.core.node import Node, NodeId, durable, setting, volatile
from distlib.replication.message import ClientReply, ClientRequest, Invoked, ReadRequest, Returned
from distlib.replication.state_machine import Get


@dataclass
class Client(Node):
    """Calls ``commands`` one after the other, each ``think_ms`` (drawn from a range) after the last one came back.

    Its first call's time is drawn from ``start_ms``. After ``timeout_ms``, another server is asked. A ``Get`` goes as a
    ``ReadRequest``, which needs no entry in the log where a protocol can do without, unless ``reads_in_log``. What is
    under way in a crash is never heard of again.
    """

    servers: tuple[NodeId, ...]
    commands: tuple[Any, ...] = setting(())
    think_ms: tuple[float, float] = setting((0, 20))
    start_ms: tuple[float, float] = setting((0, 20))
    timeout_ms: float = setting(300)
    reads_in_log: bool = setting(False)

    serial: int = durable(0)  # of the operation under way, or of the last one
    waiting: bool = volatile(False)
    target: int = volatile(0)  # the position of the server asked last
    redirected: bool = volatile(False)

    def __post_init__(self) -> None:
        super().__post_init__()
        require.names("Client.servers", self.servers)
        require.above("Client.timeout_ms", self.timeout_ms, unit="ms")
        require.pair("Client.think_ms", self.think_ms, 0, unit="ms")
        require.pair("Client.start_ms", self.start_ms, 0, unit="ms")

    def start(self) -> None:
        """Wait, then call the first command, or after a restart the one after that under way."""
        self.set_timer("next", *self.start_ms)

    def on_next_timeout(self) -> None:
        """Call the next operation."""
        if self.serial < len(self.commands):
            self.serial += 1
            self.waiting, self.redirected = True, False
            self.output(Invoked(self.id, self.serial, self.command()))
            self.ask()

    def command(self) -> Any:
        """The operation under way."""
        return self.commands[self.serial - 1]

    def ask(self) -> None:
        """Send the request, and again if no answer comes in time."""
        self.send(self.servers[self.target], self.request())
        self.set_timer("attempt", self.timeout_ms)

    def request(self) -> Any:
        """The same serial number in each attempt, so that servers apply it once. A command that is a message of its
        protocol (it has a ``client`` and a ``serial``) is sent as it is."""
        command = self.command()
        if hasattr(command, "serial"):
            return replace(command, client=self.id, serial=self.serial)
        request = ReadRequest if isinstance(command, Get) and not self.reads_in_log else ClientRequest
        return request(command, self.id, self.serial)

    def on_attempt_timeout(self) -> None:
        """No answer, or nobody leads: try the next server."""
        self.target = (self.target + 1) % len(self.servers)
        self.redirected = False
        self.ask()

    def on_client_reply(self, sender: NodeId, reply: ClientReply) -> None:
        """A result ends the operation; a hint is followed once, then the client waits, lest it run in circles."""
        if not self.waiting or reply.serial != self.serial:
            return
        if reply.ok:
            self.waiting = False
            self.cancel_timer("attempt")
            self.output(Returned(self.id, self.serial, self.command(), reply.result))
            self.set_timer("next", *self.think_ms)
        elif reply.leader in self.servers and reply.leader != sender and not self.redirected:
            self.target = self.servers.index(reply.leader)
            self.redirected = True
            self.ask()
        else:
            self.set_timer("attempt", self.timeout_ms / 4)
