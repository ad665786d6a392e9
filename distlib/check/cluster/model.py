"""Any cluster of ``Node``s, with a bounded network, as a ``Model`` for the explorer.

    model = ClusterModel(
        lambda: [Raft(name, peers) for name, peers in ...],
        invariants=raft_invariants(), timeouts={"election": 2, "heartbeat": 1}, faults=Faults(crashes=1),
    )
    explore(model)

The nodes are the real protocol classes: their handlers run. A handler is a function of a local state and an
event, so it runs once for each such pair and its result is looked up from then on; so are the invariants, once
for each combination of local states.

What the network may do: every message in flight may be delivered at any time and in any order (``fifo``: in order on
each link), or never; it may be duplicated or lost as often as ``faults`` allows. Timers are free choices: each running
timer may fire at any moment, as often as its budget allows; real time plays no part. A crash and the restart after it
are one step: for safety, a node that is down does no more than one to which nothing is delivered, and its volatile
state is as well lost late as early. Outputs of nodes are not part of a state: an invariant sees the nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any
from weakref import WeakValueDictionary

from distlib.check.cluster import world as parts
from distlib.check.cluster.handling import Event, Handled, Handling, Received, Start
from distlib.check.cluster.setting import budget_of, check_links, check_requests, made_nodes
from distlib.check.cluster.symmetry import Renaming
from distlib.check.cluster.world import (
    OUTSIDE,
    Action,
    CrashRestart,
    Deliver,
    Drop,
    Duplicate,
    Envelope,
    Faults,
    Ghosts,
    Interned,
    Link,
    Local,
    Request,
    Timeout,
    World,
    encode,
)
from distlib.check.explore.model import Model, Property, always, shorten
from distlib.core.invariant import Broken, Invariant, Violation
from distlib.core.node import Node, NodeId

Choice = tuple[Any, int | None, Any, tuple[Envelope, ...], tuple[int, ...]]
"""A step before it is taken: action, position of the node that handles an event (None: nobody), the event,
the network and the budgets left by the step itself."""

_new_world = tuple.__new__
_numbers = count()
NO_FAULTS = Faults()
parts.homes = WeakValueDictionary()  # type: ignore[assignment]


class ClusterModel(Model[World, Action]):
    """A cluster to explore. ``make_nodes`` returns its nodes, not yet started.

    ``invariants`` are checked after every step that changes a node. ``requests`` are what clients ask, each once, at
    any moment: pairs of a node (None: any node) and a message. ``timeouts`` bounds the firing of timers: a number for
    all together, or a mapping from a timer's name ("election"), a node ("S1"), both ("S1.election") or all ("*") to a
    number; a firing counts against every entry that names it, and a timer that no entry names never fires.
    ``partitioned`` are links (sender, receiver) that are cut: what is sent over them is lost, what is in flight waits.
    ``interchangeable`` names nodes that may be renamed into each other, for ``explore(symmetry=True)``.

    ``cache_entries`` bounds the remembered steps (about 250 bytes each): at the bound they are forgotten and
    computed anew. Distinct local states are kept for good; there are few of them.

    Raises TypeError or ValueError for an argument that cannot be.
    """

    def __init__(
        self,
        make_nodes: Callable[[], Iterable[Node]],
        *,
        invariants: Sequence[Invariant] = (),
        requests: Sequence[tuple[NodeId | None, Any]] = (),
        faults: Faults = NO_FAULTS,
        timeouts: int | Mapping[str, int] = 0,
        fifo: bool = False,
        partitioned: Iterable[Link] = (),
        interchangeable: Sequence[NodeId] = (),
        cache_entries: int = 2**20,
    ) -> None:
        self.make_nodes = make_nodes
        self.made = made_nodes(make_nodes)
        self.ids = tuple(self.made)
        self.invariants = tuple(invariants)
        self.requests = check_requests(requests, self.ids)
        self.faults, self.fifo, self.cache_entries = faults, fifo, cache_entries
        self.partitioned = check_links(partitioned, self.ids)
        self.timeouts = budget_of("timeouts", timeouts, None)
        self.limits, self.full = self._budgets()
        self.initials = [node.state() for node in self.made.values()]
        clients = {_client(message) for _, message in self.requests} - set(self.ids)
        self.handling = Handling(self.made, frozenset(clients | {OUTSIDE}))
        self.number = next(_numbers)
        parts.homes[self.number] = self
        self._kinds = {kind.__name__: type(kind.__name__, (kind,), {"__slots__": (), "home": self})
                       for kind in (Local, Envelope, Ghosts)}  # fmt: skip
        self.content: dict[Interned, Any] = {}
        self._known: dict[tuple[str, bytes], Interned] = {}
        self._steps: dict[tuple[Local, Any], tuple[Local, tuple[Envelope, ...], Violation | None]] = {}
        self._views: dict[tuple[Ghosts, tuple[Local, ...], int], tuple[Ghosts, Violation | None]] = {}
        self._nodes: dict[Local, Node] = {}
        self._routes: dict[Envelope, tuple[int, Deliver, Link]] = {}
        self._firings: dict[tuple[NodeId, str], tuple[int, ...]] = {}
        self._asked = [
            [self._letter(_client(message), node, message) for node in ([to] if to else self.ids)]
            for to, message in self.requests
        ]
        self._restarts = [CrashRestart(name) for name in self.ids]
        self.renaming = Renaming(self, interchangeable) if interchangeable else None

    def __repr__(self) -> str:
        kinds = dict.fromkeys(type(node).__name__ for node in self.made.values())
        return f"ClusterModel({len(self.ids)} × {'/'.join(kinds)}; {self.bounds_text() or 'no timers, no faults'})"

    def bounds_text(self) -> str:
        """The budgets in words."""
        given = [f"{name.replace('timeout', 'timeouts').replace(' *', '')} ≤ {most}"
                 for name, most in zip(self.limits, self.full, strict=True)
                 if most and not name.startswith("request")]  # fmt: skip
        given += [f"{len(self.requests)} requests"] if self.requests else []
        given += ["FIFO"] if self.fifo else []
        given += [f"{len(self.partitioned)} links cut"] if self.partitioned else []
        return ", ".join(given)

    # --- the model ------------------------------------------------------------------------------------

    def initial_states(self) -> Iterable[World]:
        """All nodes have started, one after the other; nothing was delivered yet."""
        nodes = tuple(self.local(name, state, ()) for name, state in zip(self.ids, self.initials, strict=True))
        ghosts = tuple(invariant.before(self._mapping(nodes)) for invariant in self.invariants)
        world = World(nodes, (), self.full, self._ghosts(ghosts))
        for where, name in enumerate(self.ids):
            world = self._move(world, where, Start(name), world.network, world.left)
            if world.broken:
                break
        return (world,)

    def successors(self, world: World) -> Iterator[tuple[Action, World]]:
        """Every step: deliveries first, then timers, requests and faults. None from a broken world."""
        move = self._move
        for action, where, event, network, left in self._choices(world):
            yield action, move(world, where, event, network, left)

    def actions(self, world: World) -> Iterator[Action]:
        """The steps that ``world`` allows."""
        for choice in self._choices(world):
            yield choice[0]

    def next_state(self, world: World, action: Action) -> World:
        """The world after ``action``. Raises ValueError when ``world`` does not allow it."""
        choice = self._choice(world, action)
        if choice is None:
            raise ValueError(f"{self!r} does not allow '{action}' in {shorten(str(world))}")
        return self._move(world, *choice[1:])

    def allows(self, world: World, action: Action) -> bool:
        """Whether ``action`` is a step out of ``world``."""
        return self._choice(world, action) is not None

    def handled(self, world: World, action: Action) -> Handled | None:
        """What the node that ``action`` concerns does, sends and tells; None where no node handles anything."""
        choice = self._choice(world, action)
        if choice is None or choice[1] is None:
            return None
        name, state, timers = world.nodes[choice[1]].value
        return self.handling.run(name, state, timers, self._event(choice[2]))

    def allowing(self, actions: Sequence[Action]) -> ClusterModel:
        """The same cluster with just the budgets that ``actions`` need, and no link cut: to take a path again."""
        kinds = [type(action) for action in actions]
        faults = Faults(kinds.count(CrashRestart), kinds.count(Drop), kinds.count(Duplicate))
        requests = [(action.node, action.message) for action in actions if isinstance(action, Request)]
        return ClusterModel(
            self.make_nodes, invariants=self.invariants, requests=requests, faults=faults,
            timeouts=kinds.count(Timeout), fifo=self.fifo, cache_entries=self.cache_entries,
        )  # fmt: skip

    def canonical(self, world: World) -> Hashable:
        """The least of all renamings of ``world`` by the interchangeable nodes."""
        if self.renaming is None:
            raise ValueError("this model was made without interchangeable=(...): name the nodes that may be renamed")
        return self.renaming.canonical(world)

    def properties(self) -> tuple[Property, ...]:
        """That no invariant is ever broken; the explanation is the witness."""
        return (always(unbroken, "no invariant broken"),)

    # --- the choices ----------------------------------------------------------------------------------

    def _choices(self, world: World) -> Iterator[Choice]:
        nodes, network, left, _, broken = world
        if broken is not None:
            return
        routes, partitioned = self._routes, self.partitioned
        last: Any = None
        losses, doubles = left[0], left[1]
        for at, envelope in enumerate(network):
            where, action, link = routes[envelope]
            if link == last if self.fifo else envelope is last:
                continue
            last = link if self.fifo else envelope
            rest = network[:at] + network[at + 1 :]
            if link not in partitioned:
                yield action, where, envelope, rest, left
            if losses:
                yield self._variant(Drop, action), None, None, rest, _spent(left, 0)
            if doubles:
                more = self._sent(network, (envelope,))
                yield self._variant(Duplicate, action), None, None, more, _spent(left, 1)
        yield from self._rare_choices(nodes, network, left)

    def _choice(self, world: World, action: Action) -> Choice | None:
        """``action`` as a choice in ``world``; None if it is not allowed there."""
        if isinstance(action, (Timeout, Request, CrashRestart)):
            rare = self._rare_choices(world.nodes, world.network, world.left) if world.broken is None else iter(())
            return next((choice for choice in rare if choice[0] == action), None)
        if world.broken is not None or action.receiver not in self.ids:
            return None
        envelope = self._letter(action.sender, action.receiver, action.message)
        if envelope not in world.network:
            return None
        first = envelope
        if self.fifo:
            link = self._link(envelope)
            first = next(one for one in world.network if self._link(one) == link)
        alone = world._replace(network=(first,))
        found = next((choice for choice in self._choices(alone) if choice[0] == action), None)
        if found is None:
            return None
        at, extra = world.network.index(envelope), found[3]
        network = world.network[:at] + world.network[at + 1 :]
        return (*found[:3], self._sent(network, extra), found[4])

    @staticmethod
    def _variant(kind: type[Drop] | type[Duplicate], action: Deliver) -> Drop | Duplicate:
        return kind(action.sender, action.receiver, action.message)

    def _rare_choices(
        self, nodes: tuple[Local, ...], network: tuple[Envelope, ...], left: tuple[int, ...]
    ) -> Iterator[Choice]:
        for where, local in enumerate(nodes):
            for firing, budgets in self._timers(local):
                if all(left[budget] for budget in budgets):
                    yield firing, where, firing, network, _spent(left, *budgets)
        for number, letters in enumerate(self._asked, self._first_request):
            if left[number]:
                spent = _spent(left, number)
                for letter in letters:
                    where, action, _ = self._routes[letter]
                    yield Request(action.receiver, action.message), where, letter, network, spent
        for where, budgets in self._crash_budgets:
            if all(left[budget] for budget in budgets):
                restart = self._restarts[where]
                yield restart, where, restart, network, _spent(left, *budgets)

    def _timers(self, local: Local) -> tuple[tuple[Timeout, tuple[int, ...]], ...]:
        """The timers of ``local`` that may fire at all, with the budgets that each firing takes from."""
        found: tuple[tuple[Timeout, tuple[int, ...]], ...] | None = self._alarms.get(local)
        if found is None:
            name = local.id
            firings = [(Timeout(name, timer, key), self._budgets_of(name, timer)) for timer, key in local.timers]
            found = self._alarms[local] = tuple([one for one in firings if one[1]])
        return found

    def _budgets_of(self, node: NodeId, timer: str) -> tuple[int, ...]:
        names = [f"timeout {key}" for key in ("*", timer, node, f"{node}.{timer}") if key in self.timeouts]
        return tuple(self.limits.index(name) for name in names)

    def _budgets(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """The budgets' names, and what a run starts with: losses, duplicates, timers, crashes, requests."""
        crashes = budget_of("crashes", self.faults.crashes, self.ids)
        budgets = {
            "losses": budget_of("losses", self.faults.losses, ()).get("*", 0),
            "duplicates": budget_of("duplicates", self.faults.duplicates, ()).get("*", 0),
        }
        budgets |= {f"timeout {key}": most for key, most in self.timeouts.items()}
        budgets |= {f"crashes {key}": most for key, most in crashes.items()}
        names = tuple(budgets)
        limited = [[names.index(f"crashes {key}") for key in ("*", name) if key in crashes] for name in self.ids]
        self._crash_budgets = [(where, tuple(taken)) for where, taken in enumerate(limited) if taken]
        self._first_request = len(names)
        self._alarms: dict[Local, tuple[tuple[Timeout, tuple[int, ...]], ...]] = {}
        names += tuple(f"request {number}" for number in range(len(self.requests)))
        return names, (*budgets.values(), *self.requests.values())

    # --- taking a step --------------------------------------------------------------------------------

    def _move(
        self, world: World, where: int | None, event: Any, network: tuple[Envelope, ...], left: tuple[int, ...]
    ) -> World:
        nodes, _, _, ghosts, _ = world
        if where is None:
            return _new_world(World, (nodes, network, left, ghosts, None))
        local = nodes[where]
        after, sends, broken = self._steps.get((local, event)) or self._handle(local, event)
        if sends:
            network = self._sent(network, sends)
        if after is not local:
            nodes = (*nodes[:where], after, *nodes[where + 1 :])
            key = (ghosts, nodes, where)
            ghosts, broken = self._views.get(key) or self._look(key)
        return _new_world(World, (nodes, network, left, ghosts, broken))

    def _handle(self, local: Local, event: Any) -> tuple[Local, tuple[Envelope, ...], Violation | None]:
        """Run the handler, for the first time in this state."""
        if len(self._steps) >= self.cache_entries:
            self._steps.clear()
        name, state, timers = local.value
        handled = self.handling.run(name, state, timers, self._event(event))
        sends = tuple(
            self._letter(name, to, message)
            for to, message in handled.sends if (name, to) not in self.partitioned
        )  # fmt: skip
        step = (self.local(name, handled.state, handled.timers), sends, handled.failure)
        self._steps[local, event] = step
        return step

    def _event(self, event: Any) -> Event:
        if isinstance(event, Envelope):
            sender, _, message = event.value
            return Received(sender, message)
        known: Event = event
        return known

    def _look(self, key: tuple[Ghosts, tuple[Local, ...], int]) -> tuple[Ghosts, Violation | None]:
        """Ask the invariants about a step that changed a node, for the first time with these local states."""
        if len(self._views) >= self.cache_entries:
            self._views.clear()
        ghosts, nodes, where = key
        mapping, changed = self._mapping(nodes), self.ids[where]
        remembered, broken = [], None
        for invariant, ghost in zip(self.invariants, ghosts.value, strict=True):
            try:
                remembered.append(invariant.after(ghost, mapping, changed))
            except Broken as witness:
                broken = broken or Violation(invariant.name, str(witness))
                remembered.append(ghost)
        found = (self._ghosts(tuple(remembered)), broken)
        self._views[key] = found
        return found

    def _sent(self, network: tuple[Envelope, ...], sends: tuple[Envelope, ...]) -> tuple[Envelope, ...]:
        if self.fifo:
            return tuple(sorted(network + sends, key=self._link))
        return tuple(sorted(network + sends))

    def _link(self, envelope: Envelope) -> Link:
        return self._routes[envelope][2]

    # --- parts ----------------------------------------------------------------------------------------

    def part(self, kind: str, value: Any) -> Any:
        """The one part of this kind and content."""
        code = encode(value)
        part = self._known.get((kind, code))
        if part is None:
            part = self._known[kind, code] = self._kinds[kind](code)
            self.content[part] = value
            if isinstance(part, Envelope):
                sender, receiver, message = value
                where = self.ids.index(receiver)
                self._routes[part] = (where, Deliver(sender, receiver, message), (sender, receiver))
        return part

    def local(self, name: NodeId, state: tuple[Any, ...], timers: tuple[tuple[str, Any], ...]) -> Local:
        """The local state of node ``name`` with this state and these running timers."""
        found: Local = self.part("Local", (name, state, timers))
        return found

    def _letter(self, sender: NodeId, receiver: NodeId, message: Any) -> Envelope:
        found: Envelope = self.part("Envelope", (sender, receiver, message))
        return found

    def _ghosts(self, values: tuple[Any, ...]) -> Ghosts:
        found: Ghosts = self.part("Ghosts", values)
        return found

    def loaded(self, local: Local) -> Node:
        """A node in the state ``local``, to be read only."""
        node = self._nodes.get(local)
        if node is None:
            if len(self._nodes) >= self.cache_entries // 16:
                self._nodes.clear()
            name, state, _ = local.value
            made = self.made[name]
            node = object.__new__(type(made))
            node.__dict__.update(made.__dict__, outbox=[], effects=[])
            node.load(state)
            self._nodes[local] = node
        return node

    def _mapping(self, nodes: tuple[Local, ...]) -> dict[NodeId, Node]:
        return dict(zip(self.ids, map(self.loaded, nodes), strict=True))

    def carry(self, world: World) -> World:
        """A world of another model with the same nodes and invariants, as one of this model with full
        budgets: what ``Stage`` needs to go on under other faults."""
        nodes = tuple(self.local(*local.value) for local in world.nodes)
        network = self._sent((), tuple(self._letter(*letter.value) for letter in world.network))
        return World(nodes, network, self.full, self._ghosts(world.ghosts.value), world.broken)


def unbroken(world: World) -> Any:
    """True while no invariant is broken, else the witness."""
    return True if world.broken is None else f"{world.broken.invariant}: {world.broken.witness}"


def leads(name: NodeId, term: int | None = None) -> Callable[[World], bool]:
    """A goal for a stage of Raft: ``name`` is leader (of ``term``)."""

    def leads_now(world: World) -> bool:
        server = world.node(name)
        return server.role.value == "leader" and term in (None, server.current_term)

    leads_now.__name__ = f"{name} leads" + ("" if term is None else f" term {term}")
    return leads_now


def leader_in_term(world: World) -> dict[int, NodeId]:
    """Who leads now, by term."""
    return {node.current_term: name for name, node in world.all_nodes().items()
            if getattr(getattr(node, "role", None), "value", "") == "leader"}  # fmt: skip


def _spent(left: tuple[int, ...], *budgets: int) -> tuple[int, ...]:
    spent = list(left)
    for budget in budgets:
        spent[budget] -= 1
    return tuple(spent)


def _client(message: Any) -> NodeId:
    return getattr(message, "client", None) or OUTSIDE
