"""Primary-backup replication: one server serves, another one keeps a copy, and a monitor says which is which.

Two copies, so that a request survives the loss of one host: Alsberg & Day, *A Principle for Resilient Sharing of
Distributed Resources* (ICSE 1976). What such a service owes its clients: Budhiraja, Marzullo, Schneider & Toueg, *The
Primary-Backup Approach* (in *Distributed Systems*, 2nd ed., 1993). Roles change in numbered *views*, which a monitor
makes, as in the view service of MIT's course 6.824.

What keeps an answered request from being lost, each a rule of its own below: the primary answers only what its backup
has (``stored_everywhere``); only the backup of one view may be the primary of the next (``Monitor.next_view``); the
monitor takes the primary's role away only after the primary has reported the view (``Monitor.may_change``), and a
primary reports a view only when the new backup has its whole log (``has_handed_over``); messages of other views are not
heeded (``is_from``). A primary that was replaced may not know it for a while; it can complete nothing then.

What it costs: the monitor sees reports alone. While it is down, the roles stay as they are. A link between primary and
backup that is cut, while both report, stops the service until it heals; and a primary that dies before it has reported
its view stops it for good, as nobody else is known to have the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from distlib.core import require
from distlib.core.look import Look
from distlib.core.node import Node, NodeId, durable, setting, volatile
from distlib.replication.message import STALE, ClientReply, ClientRequest, ReadRequest
from distlib.replication.state_machine import KeyValue, StateMachine

MONITOR: NodeId = "monitor"


@dataclass(frozen=True, slots=True)
class View:
    """Who is primary and who is backup, by the monitor's count; nobody, in the view before the first."""

    number: int = 0
    primary: NodeId | None = None
    backup: NodeId | None = None

    def __str__(self) -> str:
        return f"{self.number}: {self.primary or '–'}, {self.backup or '–'}"


# --- messages --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Report:
    """A server is alive and in ``view``; a primary says so only when its backup has the log, and 0 until then."""

    view: int

    look = Look("mist", place=30)
    routine = True  # figures may fold it away


@dataclass(frozen=True, slots=True)
class Announce:
    """The monitor's answer to a report: the view that counts now."""

    view: View

    look = Look("mist", "dot", place=30)
    routine = True  # figures may fold it away


@dataclass(frozen=True, slots=True)
class HandOver:
    """The primary of ``view`` gives its new backup the whole log."""

    view: View
    log: tuple[ClientRequest, ...]

    look = Look("orange", place=20)


@dataclass(frozen=True, slots=True)
class Forward:
    """The primary of ``view`` gives its backup the request at ``index`` (from 1)."""

    view: int
    index: int
    request: ClientRequest

    look = Look("blue", place=10)


@dataclass(frozen=True, slots=True)
class Stored:
    """The backup of ``view`` has the log up to ``index``."""

    view: int
    index: int

    look = Look("blue", "dot", place=10)


# --- to the outside world --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ViewStarted:
    """The monitor began ``view``."""

    view: View


@dataclass(frozen=True, slots=True)
class Applied:
    """The primary applied the request at ``index``; ``result`` is what its state machine returned."""

    index: int
    command: Any
    result: Any


class ServerView(NamedTuple):
    """What an observer sees of a server; ``view`` is the number of the view it is in."""

    role: str
    view: int
    primary: NodeId | None
    backup: NodeId | None
    applied: int
    log: tuple[ClientRequest, ...]

    @staticmethod
    def role_looks() -> dict[str, Look]:
        """How the roles look, in the order of the legend."""
        return {"primary": Look("blue"), "backup": Look("pale green"), "idle": Look("pale slate")}


class MonitorView(NamedTuple):
    """What an observer sees of the monitor."""

    role: str
    view: int
    primary: NodeId | None
    backup: NodeId | None
    reported: bool
    alive: tuple[NodeId, ...]

    @staticmethod
    def role_looks() -> dict[str, Look]:
        """How the role looks."""
        return {"monitor": Look("pale orange")}


# --- the monitor -----------------------------------------------------------------------------------------


@dataclass
class Monitor(Node):
    """The one who decides on views. A server that is silent for ``silence_ms`` is taken for dead, rightly or not."""

    servers: tuple[NodeId, ...]
    silence_ms: float = setting(120)

    current: View = durable(View())
    reported: bool = durable(False)  # whether the primary has said that its backup in this view has the log
    alive: frozenset[NodeId] = volatile(frozenset())

    def __post_init__(self) -> None:
        super().__post_init__()
        require.names("Monitor.servers", self.servers)
        require.names("Monitor.servers", self.servers, own=self.id)
        require.above("Monitor.silence_ms", self.silence_ms, unit="ms")

    def start(self) -> None:
        """Take those who have a role for alive until they are silent for too long; others must be heard first."""
        for server in (self.current.primary, self.current.backup):
            if server is not None:
                self.hear(server)

    def hear(self, server: NodeId) -> None:
        """``server`` is alive."""
        self.alive |= {server}
        self.set_timer("silence", self.silence_ms, key=server)

    def on_report(self, sender: NodeId, report: Report) -> None:
        """A server is alive, and perhaps through with the view."""
        self.hear(sender)
        if sender == self.current.primary and report.view == self.current.number:
            self.reported = True
        self.change_view()
        self.send_after_sync(sender, Announce(self.current))

    def on_silence_timeout(self, server: NodeId) -> None:
        """``server`` has not been heard for long."""
        self.alive -= {server}
        self.change_view()

    def change_view(self) -> None:
        """Go on to the next view if there is one to go to."""
        view = self.next_view()
        if view != self.current and self.may_change(view):
            self.current, self.reported = view, False
            self.output(ViewStarted(view))

    def may_change(self, view: View) -> bool:
        """A new primary only after the present one has reported its view: else the backup might lack the log."""
        return self.reported or view.primary == self.current.primary or self.current.number == 0

    def next_view(self) -> View:
        """The view that those who are alive call for: the backup succeeds the primary, and nobody else does."""
        number, primary, backup = self.current.number + 1, self.current.primary, self.current.backup
        idle = [name for name in self.servers if name in self.alive and name not in (primary, backup)]
        if primary is None:
            return View(number, *idle[:2]) if idle else self.current
        if primary not in self.alive:
            return View(number, backup, *idle[:1]) if backup in self.alive else self.current
        if backup not in self.alive and (idle or backup is not None):
            return View(number, primary, *idle[:1])
        return self.current

    def view(self) -> MonitorView:
        view, alive = self.current, tuple(sorted(self.alive))
        return MonitorView("monitor", view.number, view.primary, view.backup, self.reported, alive)


# --- the servers -----------------------------------------------------------------------------------------


@dataclass
class PrimaryBackup(Node):
    """One server: primary, backup or idle, as ``monitor`` says; it reports there every ``report_ms``."""

    monitor: NodeId = setting(MONITOR)
    report_ms: float = setting(40)
    machine: StateMachine = setting(KeyValue())

    current: View = durable(View())
    log: tuple[ClientRequest, ...] = durable(())
    copied: int = durable(0)  # the last view in which it was handed the log, as the backup

    # what the primary knows of its backup in this view
    handed_over: bool = volatile(False)
    stored: int = volatile(0)  # how far the backup has the log

    applied: int = volatile(0)
    machine_state: Any = volatile(None)
    sessions: dict[NodeId, tuple[int, Any]] = volatile(dict)  # each client's last serial and its result
    waiting: frozenset[tuple[NodeId, int]] = volatile(frozenset())  # who has asked here and is not answered yet

    def __post_init__(self) -> None:
        super().__post_init__()
        require.names("PrimaryBackup.monitor", (require.text("PrimaryBackup.monitor", self.monitor),), own=self.id)
        require.above("PrimaryBackup.report_ms", self.report_ms, unit="ms")
        require.instance("PrimaryBackup.machine", self.machine, StateMachine, "a state machine, such as KeyValue()")

    def start(self) -> None:
        """(Re)start with the log and the view that are on disk; report at once."""
        self.machine_state = self.machine.initial()
        self.on_report_timeout()

    def role(self) -> str:
        """What it is in its view."""
        return {self.current.primary: "primary", self.current.backup: "backup"}.get(self.id, "idle")

    # --- views -------------------------------------------------------------------------------------------

    def on_report_timeout(self) -> None:
        """Report to the monitor, and tell the backup again what it has not confirmed."""
        through = self.role() != "primary" or self.has_handed_over()
        self.send(self.monitor, Report(self.current.number if through else 0))
        if self.role() == "primary":
            self.supply()
        self.set_timer("report", self.report_ms)

    def has_handed_over(self) -> bool:
        """Whether the backup of this view, if there is one, has the log as it was when the view began."""
        return self.handed_over or self.current.backup is None

    def on_announce(self, sender: NodeId, message: Announce) -> None:
        """The monitor's word on who is who."""
        self.learn(message.view)

    def learn(self, view: View) -> None:
        """Take one's role in a later view."""
        if view.number > self.current.number:
            self.current, self.handed_over, self.stored = view, False, 0
            if self.role() == "primary":
                self.supply()
                self.answer()

    def is_from(self, role: NodeId | None, sender: NodeId, view: int) -> bool:
        """Whether a message comes from this view, and from who has ``role`` in it."""
        return sender == role and view == self.current.number

    # --- from the primary to the backup ------------------------------------------------------------------

    def supply(self) -> None:
        """Give the backup the log, or what it has not confirmed of it."""
        backup, number = self.current.backup, self.current.number
        if backup is not None and not self.handed_over:
            self.send_after_sync(backup, HandOver(self.current, self.log))
        elif backup is not None:
            for index in range(self.stored + 1, len(self.log) + 1):
                self.send_after_sync(backup, Forward(number, index, self.log[index - 1]))

    def on_hand_over(self, sender: NodeId, message: HandOver) -> None:
        """Take the primary's log for one's own, once a view: a late copy must not undo what was forwarded since."""
        self.learn(message.view)
        if not self.is_from(self.current.primary, sender, message.view.number):
            return
        if self.copied < message.view.number:
            self.log, self.copied = message.log, message.view.number
        self.send_after_sync(sender, Stored(self.current.number, len(self.log)))

    def on_forward(self, sender: NodeId, message: Forward) -> None:
        """Append the next request; confirm what there is."""
        if not self.is_from(self.current.primary, sender, message.view) or self.copied != message.view:
            return
        if message.index == len(self.log) + 1:
            self.log += (message.request,)
        self.send_after_sync(sender, Stored(self.current.number, len(self.log)))

    def on_stored(self, sender: NodeId, message: Stored) -> None:
        """The backup has the log up to some index."""
        if not self.is_from(self.current.backup, sender, message.view):
            return
        first = not self.handed_over
        self.handed_over, self.stored = True, max(self.stored, message.index)
        if first:
            self.supply()
        self.answer()

    def stored_everywhere(self) -> int:
        """How far the log is safe: the backup has it too, or there is none, and nobody else can become primary."""
        return self.stored if self.current.backup is not None else len(self.log)

    # --- clients -----------------------------------------------------------------------------------------

    def on_client_request(self, sender: NodeId, request: ClientRequest) -> None:
        """The primary takes a request into its log, once; another server names the primary."""
        client, serial = request.client, request.serial
        if self.role() != "primary":
            if client is not None:
                self.send(client, ClientReply(serial, False, leader=self.current.primary))
            return
        if client is not None and serial is not None:
            done, result = self.sessions.get(client, (0, None))
            if serial <= done or serial < self.latest(client):
                self.send_after_sync(client, ClientReply.of(serial, result if serial == done else STALE))
                return
            self.waiting |= {(client, serial)}
        if client is None or serial is None or serial != self.latest(client):
            self.log += (request,)
            if self.handed_over and self.current.backup is not None:
                index = len(self.log)
                self.send_after_sync(self.current.backup, Forward(self.current.number, index, request))
        self.answer()

    def latest(self, client: NodeId) -> int:
        """The client's last serial in what is not applied of the log; what is applied, its session knows."""
        own = [one.serial for one in self.log[self.applied :] if one.client == client and one.serial is not None]
        return max(own, default=0)

    def on_read_request(self, sender: NodeId, request: ReadRequest) -> None:
        """A read goes through the log, too: a primary that was replaced without knowing must not answer it."""
        self.on_client_request(sender, ClientRequest(request.command, request.client, request.serial))

    def answer(self) -> None:
        """Apply what is safe, and answer those who wait for it."""
        while self.applied < self.stored_everywhere():
            request = self.log[self.applied]
            self.applied += 1
            self.machine_state, result = self.machine.apply(self.machine_state, request.command)
            self.output(Applied(self.applied, request.command, result))
            if request.client is None or request.serial is None:
                continue
            self.sessions[request.client] = (request.serial, result)
            if (request.client, request.serial) in self.waiting:
                self.waiting -= {(request.client, request.serial)}
                self.send_after_sync(request.client, ClientReply(request.serial, True, result))

    def view(self) -> ServerView:
        view = self.current
        return ServerView(self.role(), view.number, view.primary, view.backup, self.applied, self.log)


def cluster(node_class: type[PrimaryBackup] | type[Monitor], names: tuple[NodeId, ...]) -> list[Node]:
    """A monitor and servers with these names, not yet started; ``node_class`` is that of the one or of the others."""
    if issubclass(node_class, Monitor):
        return [node_class(MONITOR, names), *map(PrimaryBackup, names)]
    return [Monitor(MONITOR, names), *map(node_class, names)]
