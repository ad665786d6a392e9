"""Cluster: nodes, a network and faults in virtual time. Nothing else in the program knows the time.

The loop pops the earliest event, hands it to its node, collects what the node wants sent, set or told, and records it.
Same nodes, network, faults and seed: same ``Trace``, on any machine and in any process.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from typing import Any

from distlib.core import stopping
from distlib.core.clock import EventQueue
from distlib.core.fault import (
    Bridge,
    Crash,
    Drift,
    Fault,
    Heal,
    Link,
    OneWay,
    Partition,
    Pause,
    Restart,
    Resume,
    SlowLink,
    SlowNode,
    check_faults,
    partitioned_links,
)
from distlib.core.invariant import Broken, Invariant, Violation
from distlib.core.look import term_of
from distlib.core.node import CancelTimer, Node, NodeId, Output, Send, SetTimer, check_view
from distlib.core.seeds import Seeds
from distlib.core.trace import DOWN, PARTITIONED, Fired, Happened, Trace
from distlib.sim.machine import Machine
from distlib.sim.network import Network, Wire
from distlib.sim.recorder import Recorder

EVENTS_A_TURN = 5_000
"""After so many events a run asks whether it is still wanted."""

MAX_EVENTS = 5_000_000
"""A run stops here unless told otherwise: a protocol that sends without end shall not hang the reader."""


class NodeError(Exception):
    """A node's own exception: says which node, at which event, in which state; ``__cause__`` is the original."""


class Cluster:
    """A simulated cluster.

    Parameters: ``nodes`` (made, not yet started), the ``network``, one ``seed`` for all randomness, ``faults`` to
    apply, ``invariants`` to check live after every event, ``record`` (False keeps no messages and no views: for
    statistics over many runs). Raises ``ValueError`` for no nodes, two nodes of one name, or an impossible fault.
    """

    def __init__(
        self, nodes: Iterable[Node], network: Network | None = None, *, seed: int = 0, faults: Sequence[Fault] = (),
        invariants: Sequence[Invariant] = (), record: bool = True,
    ) -> None:  # fmt: skip
        members = list(nodes)
        self.nodes: dict[NodeId, Node] = {node.id: node for node in members}
        if not members:
            raise ValueError("a cluster needs at least one node")
        if len(self.nodes) < len(members):
            raise ValueError(f"two nodes have the same id in {[node.id for node in members]}")
        check_faults(faults, tuple(self.nodes))
        self.network = network if network is not None else Network()
        self.seeds = Seeds(seed)
        self.invariants = tuple(invariants)
        self.queue = EventQueue()
        self.recorder = Recorder(record=record)
        self.wire = Wire(self.network, self.nodes, self.queue, self.seeds, self.recorder)
        self.machines = {
            node.id: Machine(node, self.seeds, self.network.disk, self.network.write_cache) for node in members
        }
        self.events = 0
        if record:
            for node in members:
                check_view(node)
        self._shows = {node.id: record and type(node).view is not Node.view for node in members}
        self._partitions: dict[object, frozenset[Link]] = {}
        self._ghosts: list[Any] = []
        self._started = False
        self._fast_path = False
        for fault in faults:
            self._at(fault.at_ms, self._apply, fault)

    # --- the outside world --------------------------------------------------------------------------

    @property
    def now_ms(self) -> float:
        """Virtual time."""
        return self.queue.now_ms

    @property
    def violations(self) -> Sequence[Violation]:
        """Invariants broken so far: the first witness of each."""
        return tuple(self.recorder.violations)

    @property
    def outputs(self) -> Sequence[Happened]:
        """What nodes have told the outside world so far."""
        return self.recorder.outputs

    def is_up(self, node: NodeId) -> bool:
        """Whether ``node`` is neither crashed nor paused."""
        machine = self.machines[node]
        return not (machine.down or machine.paused)

    def post(self, at_ms: float, node: NodeId, message: Any, sender: NodeId = "outside") -> None:
        """Hand ``message`` to ``node`` at ``at_ms`` as if ``sender``, who is no node, had sent it over a
        perfect link. Raises ``ValueError`` for an unknown node or a time that has passed."""
        if node not in self.nodes:
            raise ValueError(f"there is no node {node!r}; this cluster has {', '.join(self.nodes)}")
        at_ms = float(at_ms)
        number = self.queue.push(at_ms, sender, node, message, at_ms)
        if self.recorder.record:
            self.recorder.sent.append((at_ms, number, sender, node, message, at_ms))

    def schedule(self, fault: Fault) -> None:
        """Add a fault while the run is under way."""
        check_faults((fault,), tuple(self.nodes))
        if fault.at_ms < self.now_ms:
            raise ValueError(f"{fault} is in the past: virtual time is already {self.now_ms} ms")
        self._at(fault.at_ms, self._apply, fault)

    def trace(self, stopped: str = "running") -> Trace:
        """Everything that has happened so far."""
        waiting = [event for machine in self.machines.values() for event in machine.waiting]
        under_way = map(self._unread, (*self.queue.heap, *waiting))
        run = {"nodes": tuple(self.nodes), "seed": self.seeds.seed, "end_ms": self.now_ms}
        return self.recorder.trace(under_way, stopped=stopped, events=self.events, **run)

    # --- the loop -----------------------------------------------------------------------------------

    def run(
        self,
        until_ms: float = math.inf,
        *,
        max_events: int = MAX_EVENTS,
        until: Callable[[Cluster], bool] | None = None,
    ) -> Trace:
        """Run to ``until_ms``, to ``max_events``, or until ``until(cluster)`` holds, whichever is first; may be called
        again to go on. Returns the trace. Raises ``ValueError`` for a time that has passed or when nothing says where
        to stop, and ``NodeError`` when a node raises."""
        if not until_ms >= self.now_ms:
            raise ValueError(f"until_ms is {until_ms!r}; virtual time is already {self.now_ms} ms")
        if until_ms == math.inf and until is None and max_events >= MAX_EVENTS:
            raise ValueError("say when to stop: until_ms=..., max_events=... or until=...")
        collecting = gc.isenabled()
        gc.disable()  # a run makes records, not cycles; the collector would scan all of them again and again
        try:
            self._start()
            stopped, last = "events", self.events + max_events
            while stopped == "events" and self.events < last:
                stopping.check()
                stopped = self._loop(until_ms, min(last, self.events + EVENTS_A_TURN), until)
        finally:
            if collecting:
                gc.enable()
        if stopped in ("time", "idle") and until_ms < math.inf:
            self.queue.now_ms = float(until_ms)
        return self.trace(stopped)

    def _start(self) -> None:
        if not self._started:
            self._started = True
            self._ghosts = [invariant.before(self.nodes) for invariant in self.invariants]
            for node in self.nodes:
                self._start_node(node)
            self._choose_path()

    def _start_node(self, node: NodeId) -> None:
        self._call(node, "start", self.machines[node].start)
        self._after(node)

    def _loop(self, until_ms: float, last_event: int, until: Callable[[Cluster], bool] | None) -> str:
        heap = self.queue.heap
        if until is not None and until(self):
            return "condition"
        while heap:
            if heap[0][0] > until_ms:
                return "time"
            if self.events >= last_event:
                return "events"
            if until is None and self._fast_path:
                self._run_fast_path(until_ms, last_event)
                continue
            self._step(heappop(heap))
            if until is not None and until(self):
                return "condition"
        return "idle"

    def _step(self, event: tuple[Any, ...]) -> None:
        self.queue.now_ms = event[0]
        self.events += 1
        if event[2] is None:  # not a message: a method of this class and its argument
            event[3](event[4])
        else:
            self._arrive(event)

    def _run_fast_path(self, until_ms: float, last_event: int) -> None:
        """While no machine is impaired and all links are perfect: the same steps as ``_step``, looked up once. Most
        runs spend their time in it; a test holds the two equal, event by event."""
        queue, heap, record, keep = (self.queue, self.queue.heap, self.recorder.record, self.recorder.sent.append)
        watched = bool(self._ghosts)
        members = {
            name: (node, node.handlers, node.outbox, node.effects, links, watched or self._shows[name])
            for (name, node), links in zip(self.nodes.items(), self.wire.links.values(), strict=True)
        }
        count, budget, now_ms = queue.count, last_event - self.events, queue.now_ms
        while self._fast_path and budget and heap and heap[0][0] <= until_ms:
            budget -= 1
            now_ms, _, sender, receiver, message, _ = heappop(heap)
            if sender is None:
                queue.count, queue.now_ms = count, now_ms
                receiver(message)
                count = queue.count
                continue
            node, handlers, outbox, effects, links, shown = members[receiver]
            node.now_ms = now_ms
            try:
                handlers[message.__class__](node, sender, message)
            except Exception as error:
                queue.now_ms = now_ms
                raise self._error(receiver, f"{sender} → {receiver} {message!r}", error) from error
            if effects or shown:
                queue.count, queue.now_ms = count, now_ms
                self._after(receiver)
                count = queue.count
                continue
            for to, reply in outbox:
                count += 1
                copy = (now_ms + links[to](), count, receiver, to, reply, now_ms)
                heappush(heap, copy)
                if record:
                    keep(copy)
            outbox.clear()
        queue.count, queue.now_ms, self.events = count, now_ms, last_event - budget

    def _choose_path(self) -> None:
        """Note which links carry nothing now, and whether all nodes are healthy and all links perfect: the case that is
        worth a fast loop."""
        self.wire.partitioned = frozenset[Link]().union(*self._partitions.values())
        links_fine = self.network.perfect and not (self._partitions or self.wire.slow)
        impaired = any(machine.impaired for machine in self.machines.values())
        self._fast_path = links_fine and not self.network.processing_ms and not impaired

    def _arrive(self, event: tuple[Any, ...]) -> None:
        """A message reaches a machine that may be cut off, down, paused or busy."""
        _due, number, sender, receiver, _message, _sent = event
        machine = self.machines[receiver]
        if (sender, receiver) in self.wire.partitioned:
            self.recorder.fates[number] = PARTITIONED
        elif machine.down:
            self.recorder.fates[number] = DOWN
        elif machine.paused:
            machine.waiting.append(event)
        elif work_ms := self.network.processing_ms + machine.extra_ms:
            self._at(machine.begin_work(self.now_ms, work_ms), self._work, (event, machine.incarnation))
        elif machine.busy_until_ms > self.now_ms:  # it was slow until now and still has older messages to read
            self._at(machine.busy_until_ms, self._work, (event, machine.incarnation))
        else:
            self._deliver(event)

    def _unread(self, event: tuple[Any, ...]) -> tuple[Any, ...]:
        """The message that a busy machine has yet to read, where ``event`` is its coming to it; else ``event``."""
        return event[4][0] if event[3] == self._work else event

    def _work(self, job: tuple[tuple[Any, ...], int]) -> None:
        """A machine is done with a message that arrived earlier."""
        event, incarnation = job
        machine = self.machines[event[3]]
        if incarnation != machine.incarnation:
            self.recorder.fates[event[1]] = DOWN  # it crashed with the message still unread
        elif machine.paused:
            machine.waiting.append((self.now_ms, event[1], None, self._work, job, None))
        else:
            self._deliver(event)

    def _deliver(self, event: tuple[Any, ...]) -> None:
        due_ms, number, sender, receiver, message, _sent = event
        if self.now_ms > due_ms:
            self.recorder.late[number] = self.now_ms
        node = self.nodes[receiver]
        node.now_ms = self.machines[receiver].clock_ms(self.now_ms)
        self._call(receiver, f"{sender} → {receiver} {message!r}", node.receive, sender, message)
        self._after(receiver)

    def _call(self, node: NodeId, what: str, call: Callable[..., None], *args: Any) -> None:
        try:
            call(*args)
        except Exception as error:
            raise self._error(node, what, error) from error

    def _error(self, node: NodeId, what: str, error: Exception) -> NodeError:
        member = self.nodes[node]
        state = ", ".join(f"{name}={getattr(member, name)!r}" for name in type(member).state_names())
        return NodeError(
            f"{node} ({type(member).__name__}) failed at {self.now_ms:g} ms on {what}: "
            f"{type(error).__name__}: {error}. Its state: {state}"
        )

    # --- effects ------------------------------------------------------------------------------------

    def _at(self, at_ms: float, method: Callable[[Any], None], argument: Any) -> int:
        queue = self.queue
        queue.count += 1
        heappush(queue.heap, (float(at_ms), queue.count, None, method, argument, None))
        return queue.count

    def _after(self, name: NodeId) -> None:
        """A node has handled an event: carry out its effects, show its state, check the invariants."""
        node = self.nodes[name]
        if node.outbox:
            self.wire.send(name, node.outbox)
        if node.effects:
            self._carry_out(name)
        if self._shows[name]:
            self.recorder.show(self.now_ms, name, node.view())
        if self._ghosts:
            self._check(name)

    def _carry_out(self, name: NodeId) -> None:
        machine = self.machines[name]
        synced_ms = machine.synced_ms(self.now_ms)
        for effect in machine.node.effects:
            match effect:
                case Send(to, message):
                    if synced_ms > self.now_ms:
                        self._at(synced_ms, self._send_synced, (machine, machine.incarnation, to, message))
                    else:
                        self.wire.send(name, [(to, message)])
                case SetTimer(timer, key, low_ms, high_ms):
                    due_ms = self.now_ms + machine.timer_ms(low_ms, high_ms)
                    number = self.queue.count + 1
                    machine.timers[timer, key] = number
                    self._at(due_ms, self._fire, (machine, timer, key, number))
                case CancelTimer(timer, key):
                    machine.timers.pop((timer, key), None)
                case Output(event):
                    self.recorder.outputs.append(Happened(self.now_ms, name, event))
        machine.node.effects.clear()

    def _send_synced(self, job: tuple[Machine, int, NodeId, Any]) -> None:
        machine, incarnation, to, message = job
        if incarnation == machine.incarnation:
            self.wire.send(machine.node.id, [(to, message)])

    def _fire(self, timer: tuple[Machine, str, Any, int]) -> None:
        machine, name, key, number = timer
        if machine.timers.get((name, key)) != number:
            return  # cancelled, or set anew
        if machine.paused:
            machine.waiting.append((self.now_ms, number, None, self._fire, timer, None))
            return
        del machine.timers[name, key]
        node = machine.node
        node.now_ms = machine.clock_ms(self.now_ms)
        if self.recorder.record:
            self.recorder.timeouts.append(Fired(self.now_ms, number, node.id, name, key))
        self._call(node.id, f"timer {name}", node.timeout, name, key)
        self._after(node.id)

    def _check(self, changed: NodeId) -> None:
        for number, invariant in enumerate(self.invariants):
            try:
                self._ghosts[number] = invariant.after(self._ghosts[number], self.nodes, changed)
            except Broken as witness:
                self.recorder.broke(Violation(invariant.name, str(witness), self.now_ms))

    # --- faults -------------------------------------------------------------------------------------

    def _apply(self, fault: Fault) -> None:
        name = self._target(fault)
        if hasattr(fault, "node") and name is None:
            return  # nobody shows that role now; nothing to break
        self.recorder.faults.append(Happened(self.now_ms, name, fault))
        ending = self._strike_links(fault) if name is None else self._strike_node(fault, self.machines[name])
        for_ms = getattr(fault, "for_ms", None)
        if ending is not None and for_ms is not None:
            self._at(self.now_ms + for_ms, self._end, ending)
        self._choose_path()

    def _target(self, fault: Fault) -> NodeId | None:
        """The node that the fault names, or that now shows the role which it names as ``@role``."""
        name: NodeId | None = getattr(fault, "node", None)
        if name is None or not name.startswith("@"):
            return name
        shown = {one: node.view() for one, node in self.nodes.items() if self.is_up(one)}
        fits = [one for one, view in shown.items() if getattr(view, "role", None) == name[1:]]
        return max(fits, key=lambda one: term_of(shown[one]) or 0, default=None)

    def _strike_links(self, fault: Fault) -> Callable[[], object] | None:
        """Apply a fault of the network; returns what ends it."""
        match fault:
            case Partition() | OneWay() | Bridge():
                key = object()  # faults of one moment, and equal ones, are told apart
                self._partitions[key] = partitioned_links(fault, tuple(self.nodes))
                return lambda: self._partitions.pop(key, None)
            case SlowLink(sender=sender, receiver=receiver, extra_ms=extra_ms):
                self.wire.slow[sender, receiver] = extra_ms
                return lambda: self.wire.slow.pop((sender, receiver), None)
            case Heal():
                self._partitions.clear()
        return None

    def _strike_node(self, fault: Fault, machine: Machine) -> Callable[[], object] | None:
        """Apply a fault of one machine; returns what ends it."""
        match fault:
            case Crash() if not machine.down:
                self._crash(machine)
                incarnation = machine.incarnation
                return lambda: self._restart(machine, incarnation)
            case Restart():
                self._restart(machine, machine.incarnation)
            case Pause() if not machine.down:
                machine.paused = True
                return lambda: self._resume(machine)
            case Resume():
                self._resume(machine)
            case SlowNode(extra_ms=extra_ms):
                machine.extra_ms = extra_ms
                return lambda: setattr(machine, "extra_ms", 0.0)
            case Drift(rate=rate):
                machine.set_clock_rate(self.now_ms, rate)
        return None

    def _end(self, ending: Callable[[], object]) -> None:
        ending()
        self._choose_path()

    def _crash(self, machine: Machine) -> None:
        for event in map(self._unread, machine.crash(self.now_ms)):
            if event[2] is not None:
                self.recorder.fates[event[1]] = DOWN
        name = machine.node.id
        if self._shows[name]:
            self.recorder.show(self.now_ms, name, None)
        if self._ghosts:
            self._check(name)

    def _restart(self, machine: Machine, incarnation: int) -> None:
        if machine.down and incarnation == machine.incarnation:
            machine.down = False
            if self.recorder.record:
                self.recorder.restarts.append((self.now_ms, self.queue.count, machine.node.id))
            self._start_node(machine.node.id)

    def _resume(self, machine: Machine) -> None:
        machine.paused = False
        waiting, machine.waiting = machine.waiting, []
        for event in waiting:
            if event[2] is None:
                self._at(self.now_ms, event[3], event[4])
            else:
                self.recorder.late[event[1]] = self.now_ms
                heappush(self.queue.heap, (self.now_ms, *event[1:]))
