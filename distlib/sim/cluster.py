"""Cluster: nodes, a network and faults in virtual time. Nothing else in the program knows the time.

The loop pops the earliest event, hands it to its node, collects what the node wants sent, set or told, and records it.
Same nodes, network, faults and seed: same :class:`~distlib.core.trace.Trace`, on any machine and in any process.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

from distlib.core.clock import EventQueue
from distlib.core.invariant import Broken, Invariant, Violation
from distlib.core.node import CancelTimer, Node, NodeId, Output, Send, SetTimer
from distlib.core.seeds import Seeds
from distlib.core.trace import CUT, DOWN, IN_FLIGHT, LOST, Happened, Seen, Trace
from distlib.sim.fault import (
    Bridge,
    Crash,
    Drift,
    Fault,
    Heal,
    OneWay,
    Partition,
    Pause,
    Restart,
    Resume,
    SlowLink,
    SlowNode,
    check_faults,
    cut_links,
)
from distlib.sim.latency import Network, Sampler

MAX_EVENTS = 5_000_000
"""A run stops here unless it is told otherwise: a protocol that sends without end shall not hang the reader."""


class NodeError(Exception):
    """A node's own exception: says which node, at which event and in which state; the original is its ``__cause__``."""


class _Links(dict[NodeId, Sampler]):
    """The latency samplers of the links out of one node, each with a random stream of its own, made on first use."""

    def __init__(self, cluster: Cluster, sender: NodeId) -> None:
        self.cluster, self.sender = cluster, sender

    def __missing__(self, receiver: NodeId) -> Sampler:
        cluster, sender = self.cluster, self.sender
        if receiver not in cluster.nodes:
            known = ", ".join(cluster.nodes)
            raise ValueError(f"{sender} sends to {receiver!r}, which is no node of this cluster ({known})")
        if sender == receiver:
            self[receiver] = lambda: 0.0
        else:
            stream = cluster.seeds.stream("latency", sender, receiver)
            self[receiver] = cluster.network.latency.sampler(stream, sender, receiver)
        return self[receiver]


class Cluster:
    """A simulated cluster.

    Parameters: ``nodes`` (made, not yet started), the ``network``, one ``seed`` for all randomness, ``faults`` to apply,
    ``invariants`` to check live after every event, ``record`` (False keeps no messages and no states: for
    statistics over many runs). Raises ``ValueError`` for no nodes, two nodes of one name, or a fault that cannot be.
    """

    def __init__(
        self,
        nodes: Iterable[Node],
        network: Network | None = None,
        *,
        seed: int = 0,
        faults: Sequence[Fault] = (),
        invariants: Sequence[Invariant] = (),
        record: bool = True,
    ) -> None:
        members = list(nodes)
        self.nodes: dict[NodeId, Node] = {node.id: node for node in members}
        if not members:
            raise ValueError("a cluster needs at least one node")
        if len(self.nodes) < len(members):
            raise ValueError(f"two nodes have the same id in {[node.id for node in members]}")
        self.network = network if network is not None else Network()
        self.seeds = Seeds(seed)
        self.faults = tuple(faults)
        check_faults(self.faults, tuple(self.nodes))
        self.invariants = tuple(invariants)
        self.record = record
        self.queue = EventQueue()
        self.events = 0
        self._reset_machines()
        self._reset_records()
        self._started = False

    # --- set-up ------------------------------------------------------------------------------------

    def _reset_machines(self) -> None:
        self._timers: dict[NodeId, dict[tuple[str, Hashable], int]] = {node: {} for node in self.nodes}
        self._timer_draws = {node: self.seeds.stream("timer", node).random for node in self.nodes}
        self._links: dict[NodeId, _Links] = {node: _Links(self, node) for node in self.nodes}
        self._disks: dict[NodeId, Sampler] = {}
        self._disk_free_ms: dict[NodeId, float] = {}
        self._durable: dict[NodeId, tuple[Any, ...]] = {}
        self._last_due: dict[tuple[NodeId, NodeId], float] = {}
        self._down: set[NodeId] = set()
        self._paused: dict[NodeId, list[tuple[Any, ...]]] = {}
        self._cuts: dict[int, frozenset[tuple[NodeId, NodeId]]] = {}
        self._cut: frozenset[tuple[NodeId, NodeId]] = frozenset()
        self._slow_link: dict[tuple[NodeId, NodeId], float] = {}
        self._slow_node: dict[NodeId, float] = {}
        self._busy_until: dict[NodeId, float] = {}
        self._clocks: dict[NodeId, tuple[float, float, float]] = {}  # true time, own time, rate
        self._epoch = dict.fromkeys(self.nodes, 0)
        self._chance = self.seeds.stream("network").random

    def _reset_records(self) -> None:
        self._sent: list[tuple[Any, ...]] = []
        self._fates: dict[int, str] = {}
        self._late: dict[int, float] = {}
        self._duplicates: set[int] = set()
        self._states: list[Seen] = []
        self._happened: list[Happened] = []
        self._outputs: list[Happened] = []
        self._views: dict[NodeId, Any] = {}
        self._violations: list[Violation] = []
        self._ghosts: list[Any] = []
        shows = {node: type(member).view is not Node.view for node, member in self.nodes.items()}
        self._shows = {node: shown and self.record for node, shown in shows.items()}

    def _start(self) -> None:
        self._started = True
        for fault in self.faults:
            self.queue.push(fault.at_ms, None, self._apply, fault, None)
        self._ghosts = [invariant.before(self.nodes) for invariant in self.invariants]
        for node in self.nodes:
            self._start_node(node)

    def _start_node(self, node: NodeId) -> None:
        self._guard(node, "start", self.nodes[node].start)
        self._after(node)

    # --- the outside world --------------------------------------------------------------------------

    @property
    def now_ms(self) -> float:
        """Virtual time."""
        return self.queue.now_ms

    @property
    def violations(self) -> Sequence[Violation]:
        """Invariants broken so far: the first witness of each."""
        return tuple(self._violations)

    @property
    def outputs(self) -> Sequence[Happened]:
        """What nodes have told the outside world so far."""
        return self._outputs

    def is_up(self, node: NodeId) -> bool:
        """Whether ``node`` is neither crashed nor paused."""
        return node not in self._down and node not in self._paused

    def post(self, at_ms: float, node: NodeId, message: Any, sender: NodeId = "outside") -> None:
        """Hand ``message`` to ``node`` at ``at_ms`` as if ``sender``, who is no node, had sent it over a perfect link."""
        self._check_node(node)
        event = self.queue.push(at_ms, sender, node, message, at_ms)
        if self.record:
            self._sent.append((float(at_ms), event, sender, node, message, float(at_ms)))

    def schedule(self, fault: Fault) -> None:
        """Add a fault while the run is under way."""
        check_faults((fault,), tuple(self.nodes))
        self.queue.push(fault.at_ms, None, self._apply, fault, None)

    def _check_node(self, node: NodeId) -> None:
        if node not in self.nodes:
            raise ValueError(f"there is no node {node!r}; this cluster has {', '.join(self.nodes)}")

    # --- the loop -----------------------------------------------------------------------------------

    def run(
        self,
        until_ms: float = math.inf,
        *,
        max_events: int = MAX_EVENTS,
        until: Callable[[Cluster], bool] | None = None,
    ) -> Trace:
        """Run to ``until_ms``, to ``max_events``, or until ``until(cluster)`` holds, whichever is first; return the trace.

        May be called again to go on. Raises ``ValueError`` for a time that has passed and :class:`NodeError` when a
        node raises.
        """
        if not until_ms >= self.now_ms:
            raise ValueError(f"until_ms is {until_ms!r}; virtual time is already {self.now_ms} ms")
        if until_ms == math.inf and until is None and max_events >= MAX_EVENTS:
            raise ValueError("say when to stop: until_ms=..., max_events=... or until=...")
        collecting = gc.isenabled()
        gc.disable()  # a run makes records, not cycles; the collector would scan all of them again and again
        try:
            if not self._started:
                self._start()
            stopped = self._loop(until_ms, self.events + max_events, until)
        finally:
            if collecting:
                gc.enable()
        if stopped == "time" and until_ms < math.inf:
            self.queue.now_ms = float(until_ms)
        return self.trace(stopped)

    def _loop(self, until_ms: float, last_event: int, until: Callable[[Cluster], bool] | None) -> str:
        heap = self.queue.heap
        if until is not None and until(self):
            return "condition"
        while heap:
            if heap[0][0] > until_ms:
                return "time"
            if self.events >= last_event:
                return "events"
            if until is None and self._calm():
                self._run_calm(until_ms, last_event)
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

    def _calm(self) -> bool:
        """Whether messages now travel over a perfect network between healthy nodes, the case that is worth a fast loop."""
        network = self.network
        impaired = (
            network.loss or network.duplication or network.reordering or network.fifo or network.processing_ms
        )
        troubled = (
            self._down or self._paused or self._cuts or self._slow_link or self._slow_node or self._clocks
        )
        return not (impaired or troubled)

    def _run_calm(self, until_ms: float, last_event: int) -> None:
        """The loop for calm weather: the same steps as :meth:`_step`, with everything looked up once. A test holds them equal."""
        queue, heap, record, keep = self.queue, self.queue.heap, self.record, self._sent.append
        watched = bool(self._ghosts)
        members = {
            name: (
                node,
                node.handlers,
                node.outbox,
                node.effects,
                self._links[name],
                watched or self._shows[name],
            )
            for name, node in self.nodes.items()
        }
        count, budget = queue.count, last_event - self.events
        now_ms = queue.now_ms
        while budget and heap and heap[0][0] <= until_ms:
            budget -= 1
            now_ms, _, sender, receiver, message, _ = heappop(heap)
            if sender is None:
                queue.count, queue.now_ms = count, now_ms
                receiver(message)
                count = queue.count
                if receiver == self._apply:
                    break
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

    def _arrive(self, event: tuple[Any, ...]) -> None:
        """A message reaches a node that may be cut off, down, paused or busy."""
        due_ms, number, sender, receiver, message, _sent = event
        if (sender, receiver) in self._cut:
            self._fates[number] = CUT
        elif receiver in self._down:
            self._fates[number] = DOWN
        elif receiver in self._paused:
            self._paused[receiver].append(event)
        else:
            work_ms = self.network.processing_ms + self._slow_node.get(receiver, 0.0)
            if work_ms:
                self._busy_until[receiver] = max(self.now_ms, self._busy_until.get(receiver, 0.0)) + work_ms
                self._at(self._busy_until[receiver], self._work, (event, self._epoch[receiver]))
            else:
                self._deliver(event)

    def _work(self, job: tuple[tuple[Any, ...], int]) -> None:
        """A busy node comes to a message that arrived earlier."""
        event, epoch = job
        receiver = event[3]
        if epoch != self._epoch[receiver]:
            self._fates[event[1]] = DOWN  # it crashed with the message still unread
        elif receiver in self._paused:
            self._paused[receiver].append((self.now_ms, event[1], None, self._work, job, None))
        else:
            self._deliver(event)

    def _deliver(self, event: tuple[Any, ...]) -> None:
        due_ms, number, sender, receiver, message, _sent = event
        if self.now_ms > due_ms:
            self._late[number] = self.now_ms
        node = self.nodes[receiver]
        node.now_ms = self._own_time(receiver)
        self._guard(receiver, f"{sender} → {receiver} {message!r}", node.receive, sender, message)
        self._after(receiver)

    def _guard(self, node: NodeId, what: str, call: Callable[..., None], *args: Any) -> None:
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

    def _after(self, node_id: NodeId) -> None:
        """A node has handled an event: carry out its effects, show its state, check the invariants."""
        node = self.nodes[node_id]
        if node.outbox:
            self._send_all(node_id, node.outbox)
        if node.effects:
            synced_ms = self._synced_ms(node_id) if self.network.disk is not None else self.now_ms
            for effect in tuple(node.effects):
                kind = type(effect)
                if kind is Send:
                    if synced_ms > self.now_ms:
                        self._at(synced_ms, self._send_synced, (node_id, self._epoch[node_id], effect))
                    else:
                        self._send_all(node_id, [(effect.to, effect.message)])  # type: ignore[union-attr]
                elif kind is SetTimer:
                    self._set_timer(node_id, effect)  # type: ignore[arg-type]
                elif kind is CancelTimer:
                    self._timers[node_id].pop((effect.name, effect.key), None)  # type: ignore[union-attr]
                elif kind is Output:
                    self._outputs.append(Happened(self.now_ms, node_id, effect.event))  # type: ignore[union-attr]
            node.effects.clear()
        if self._shows[node_id]:
            self._show(node_id, node.view())
        if self._ghosts:
            self._check(node_id)

    def _show(self, node: NodeId, view: Any) -> None:
        if view != self._views.get(node, self):
            self._views[node] = view
            self._states.append(Seen(self.now_ms, node, view))

    def _check(self, node: NodeId) -> None:
        broken = {violation.invariant for violation in self._violations}
        for number, invariant in enumerate(self.invariants):
            try:
                self._ghosts[number] = invariant.after(self._ghosts[number], self.nodes, node)
            except Broken as witness:
                if invariant.name not in broken:
                    self._violations.append(Violation(invariant.name, str(witness), self.now_ms))

    def _at(self, at_ms: float, method: Callable[[Any], None], argument: Any) -> int:
        queue = self.queue
        queue.count += 1
        heappush(queue.heap, (at_ms, queue.count, None, method, argument, None))
        return queue.count

    def _send_all(self, sender: NodeId, outbox: list[tuple[NodeId, Any]]) -> None:
        network, queue = self.network, self.queue
        heap, now_ms, links = queue.heap, queue.now_ms, self._links[sender]
        perfect = not (
            network.loss
            or network.duplication
            or network.reordering
            or network.fifo
            or self._slow_link
            or self._cut
        )
        for receiver, message in outbox:
            queue.count = number = queue.count + 1
            copy = (now_ms + links[receiver](), number, sender, receiver, message, now_ms)
            if not perfect and sender != receiver:
                self._send_over_bad_network(copy)
                continue
            if self.record:
                self._sent.append(copy)
            heappush(heap, copy)
        outbox.clear()

    def _send_over_bad_network(self, copy: tuple[Any, ...]) -> None:
        network = self.network
        due_ms, number, sender, receiver, message, sent_ms = copy
        link = (sender, receiver)
        due_ms += self._slow_link.get(link, 0.0)
        if network.reordering and self._chance() < network.reordering:
            due_ms += network.reorder_ms * self._chance()
        if network.fifo:
            due_ms = self._last_due[link] = max(due_ms, self._last_due.get(link, 0.0))
        copy = (due_ms, number, sender, receiver, message, sent_ms)
        if self.record:
            self._sent.append(copy)
        if link in self._cut:
            self._fates[number] = CUT
        elif network.loss and self._chance() < network.loss:
            self._fates[number] = LOST
        else:
            heappush(self.queue.heap, copy)
        if network.duplication and self._chance() < network.duplication:
            self._duplicate(copy)

    def _duplicate(self, copy: tuple[Any, ...]) -> None:
        _due, original, sender, receiver, message, sent_ms = copy
        if self._fates.get(original) == CUT:
            return
        self.queue.count = number = self.queue.count + 1
        due_ms = sent_ms + self._links[sender][receiver]() + self._slow_link.get((sender, receiver), 0.0)
        again = (
            max(due_ms, self._last_due.get((sender, receiver), 0.0)),
            number,
            sender,
            receiver,
            message,
            sent_ms,
        )
        self._duplicates.add(number)
        if self.record:
            self._sent.append(again)
        heappush(self.queue.heap, again)

    def _synced_ms(self, node: NodeId) -> float:
        """When the disk has what the event changed: one write at a time, none if nothing durable changed."""
        state = self.nodes[node].durable_state()
        if state == self._durable.get(node):
            return max(self.now_ms, self._disk_free_ms.get(node, 0.0))
        self._durable[node] = state
        if node not in self._disks and self.network.disk is not None:
            self._disks[node] = self.network.disk.sampler(self.seeds.stream("disk", node), node, node)
        start_ms = max(self.now_ms, self._disk_free_ms.get(node, 0.0))
        self._disk_free_ms[node] = start_ms + self._disks[node]()
        return self._disk_free_ms[node]

    def _send_synced(self, job: tuple[NodeId, int, Send]) -> None:
        node, epoch, effect = job
        if epoch == self._epoch[node]:
            self._send_all(node, [(effect.to, effect.message)])

    def _set_timer(self, node: NodeId, timer: SetTimer) -> None:
        name, key, low_ms, high_ms = timer
        length_ms = low_ms if low_ms == high_ms else low_ms + (high_ms - low_ms) * self._timer_draws[node]()
        if node in self._clocks:
            length_ms /= self._clocks[node][2]
        number = self._at(self.now_ms + length_ms, self._fire, (node, name, key, self.queue.count + 1))
        self._timers[node][name, key] = number

    def _fire(self, timer: tuple[NodeId, str, Hashable, int]) -> None:
        node, name, key, number = timer
        running = self._timers[node]
        if running.get((name, key)) != number:
            return  # cancelled, or set anew
        if node in self._paused:
            self._paused[node].append((self.now_ms, number, None, self._fire, timer, None))
            return
        del running[name, key]
        member = self.nodes[node]
        member.now_ms = self._own_time(node)
        self._guard(node, f"timer {name}", member.timeout, name, key)
        self._after(node)

    def _own_time(self, node: NodeId) -> float:
        if node not in self._clocks:
            return self.now_ms
        true_ms, own_ms, rate = self._clocks[node]
        return own_ms + (self.now_ms - true_ms) * rate

    # --- faults -------------------------------------------------------------------------------------

    def _apply(self, fault: Fault) -> None:
        node = self._target(fault)
        if node is None and hasattr(fault, "node"):
            return  # nobody shows that role now; nothing to break
        self._happened.append(Happened(self.now_ms, node, fault))
        end: Callable[[Any], None] | None = None
        what: Any = node
        match fault:
            case Crash():
                end = self._crash(node)  # type: ignore[arg-type]
            case Restart():
                self._restart((node, self._epoch[node]))  # type: ignore[index, arg-type]
            case Pause():
                self._paused.setdefault(node, [])  # type: ignore[arg-type]
                end = self._resume
            case Resume():
                self._resume(node)  # type: ignore[arg-type]
            case Partition() | OneWay() | Bridge():
                what = self.queue.count
                self._cuts[what] = cut_links(fault, tuple(self.nodes))
                end = self._uncut
            case Heal():
                self._cuts.clear()
            case SlowNode(extra_ms=extra_ms):
                self._slow_node[node] = extra_ms  # type: ignore[index]
                end = self._unslow_node
            case SlowLink(sender=sender, receiver=receiver, extra_ms=extra_ms):
                what = (sender, receiver)
                self._slow_link[what] = extra_ms
                end = self._unslow_link
            case Drift(rate=rate):
                self._clocks[node] = (self.now_ms, self._own_time(node), rate)  # type: ignore[index, arg-type]
        self._cut = frozenset().union(*self._cuts.values())
        for_ms = getattr(fault, "for_ms", None)
        if end is not None and for_ms is not None:
            argument = (node, self._epoch[node]) if isinstance(fault, Crash) else what  # type: ignore[index]
            self._at(self.now_ms + for_ms, end, argument)

    def _target(self, fault: Fault) -> NodeId | None:
        node: NodeId | None = getattr(fault, "node", None)
        if node is None or not node.startswith("@"):
            return node
        role = node[1:]
        shown = {one: member.view() for one, member in self.nodes.items() if self.is_up(one)}
        fits = [one for one, view in shown.items() if getattr(view, "role", None) == role]
        return max(fits, key=lambda one: getattr(shown[one], "term", 0), default=None)

    def _crash(self, node: NodeId) -> Callable[[Any], None] | None:
        if node in self._down:
            return None
        for event in self._paused.pop(node, []):
            if event[2] is not None:
                self._fates[event[1]] = DOWN
        self._down.add(node)
        self._epoch[node] += 1
        self._timers[node].clear()
        self._busy_until.pop(node, None)
        self._disk_free_ms.pop(node, None)
        self.nodes[node].crash()
        if self._shows[node]:
            self._show(node, None)
        if self._ghosts:
            self._check(node)
        return self._restart

    def _restart(self, crashed: tuple[NodeId, int]) -> None:
        node, epoch = crashed
        if node in self._down and epoch == self._epoch[node]:
            self._down.discard(node)
            self._start_node(node)

    def _resume(self, node: NodeId) -> None:
        for event in self._paused.pop(node, []):
            if event[2] is None:
                self._at(self.now_ms, event[3], event[4])
            else:
                self._late[event[1]] = self.now_ms
                heappush(self.queue.heap, (self.now_ms, *event[1:]))

    def _uncut(self, cut: int) -> None:
        self._cuts.pop(cut, None)
        self._cut = frozenset().union(*self._cuts.values())

    def _unslow_node(self, node: NodeId) -> None:
        self._slow_node.pop(node, None)

    def _unslow_link(self, link: tuple[NodeId, NodeId]) -> None:
        self._slow_link.pop(link, None)

    # --- the result ---------------------------------------------------------------------------------

    def trace(self, stopped: str = "running") -> Trace:
        """Everything that has happened so far."""
        fates = dict(self._fates)
        fates.update((event[1], IN_FLIGHT) for event in self.queue.heap if event[2] is not None)
        for waiting in self._paused.values():
            fates.update((event[1], IN_FLIGHT) for event in waiting if event[2] is not None)
        return Trace(
            nodes=tuple(self.nodes),
            seed=self.seeds.seed,
            end_ms=self.now_ms,
            sent=tuple(self._sent),
            fates=fates,
            late=dict(self._late),
            duplicates=frozenset(self._duplicates),
            states=tuple(self._states),
            faults=tuple(self._happened),
            outputs=tuple(self._outputs),
            violations=tuple(self._violations),
            stopped=stopped,
            events=self.events,
        )


def global_state(nodes: Mapping[NodeId, Node]) -> str:
    """Every node's state on lines of its own, for messages to people."""
    return "\n".join(
        f"{name}: " + ", ".join(f"{field}={getattr(node, field)!r}" for field in type(node).state_names())
        for name, node in nodes.items()
    )
