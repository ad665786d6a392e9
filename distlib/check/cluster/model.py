"""Any cluster of ``Node``s, with a bounded network, as a ``Model`` for the explorer.

    model = ClusterModel(
        lambda: [Server(name, peers) for name, peers in ...],
        invariants=[OneLeader()], timeouts={"election": 2, "heartbeat": 1}, faults=Faults(crashes=1),
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
from functools import cached_property
from operator import attrgetter
from typing import Any

from distlib.check.cluster.handling import Event, Handled, Handling, Start
from distlib.check.cluster.interning import Parts
from distlib.check.cluster.setting import budget_of, check_links, check_requests, check_timers, made_nodes
from distlib.check.cluster.symmetry import Renaming, check_interchangeable
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
    Local,
    NetworkStep,
    Request,
    Timeout,
    World,
)
from distlib.check.explore.model import Model, Property, always, shorten
from distlib.core.fault import Link
from distlib.core.invariant import Broken, Invariant, Violation
from distlib.core.node import Node, NodeId

Left = tuple[int, ...]
Choice = tuple[Any, int | None, Any, tuple[Envelope, ...], Left]
"""A step before it is taken: action, position of the node that handles an event (None: nobody), the event,
the network and the budgets left by the step itself."""

_new_world = tuple.__new__
NO_FAULTS = Faults()


class ClusterModel(Model[World, Action]):
    """A cluster to explore. ``make_nodes`` returns its nodes, not yet started.

    ``invariants`` are checked after every step that changes a node. ``requests`` are what clients ask, each once, at
    any moment: pairs of a node (None: any node) and a message. ``timeouts`` bounds the firing of timers: a number for
    all together, or a mapping from a timer's name ("election"), a node ("S1"), both ("S1.election") or all ("*") to a
    number; a firing counts against every entry that names it, and a timer that no entry names never fires.
    ``partitioned`` are links (sender, receiver): what is sent over them is lost, what is in flight waits.
    ``interchangeable`` names nodes that may be renamed into each other, for ``explore(symmetry=True)``.

    ``cache_entries`` bounds the remembered steps (about 250 bytes each): at the bound they are forgotten and
    computed anew. Distinct local states are kept for good; there are few of them.

    Raises TypeError or ValueError for an argument that cannot be.
    """

    def __init__(
        self, make_nodes: Callable[[], Iterable[Node]], *, invariants: Sequence[Invariant] = (),
        requests: Sequence[tuple[NodeId | None, Any]] = (), faults: Faults = NO_FAULTS,
        timeouts: int | Mapping[str, int] = 0, fifo: bool = False, partitioned: Iterable[Link] = (),
        interchangeable: Sequence[NodeId] = (), cache_entries: int = 2**20,
    ) -> None:  # fmt: skip
        self.make_nodes = make_nodes
        self.made = made_nodes(make_nodes)
        self.ids = tuple(self.made)
        self.invariants = tuple(invariants)
        self.requests = check_requests(requests, self.ids)
        self.faults, self.fifo, self.cache_entries = faults, fifo, cache_entries
        self.partitioned = check_links(partitioned, self.ids)
        firings = budget_of("timeouts", timeouts, None)
        check_timers(firings, self.made)
        budgets = self._budgets(firings)
        self.limits, self.full = tuple(budgets), tuple(budgets.values())
        self.initials = [node.state() for node in self.made.values()]
        asked = [[Request(node, message) for node in ([to] if to else self.ids)] for to, message in self.requests]
        clients = {request.client for requests in asked for request in requests} - set(self.ids)
        self.handling = Handling(self.made, frozenset(clients | {OUTSIDE}))
        self.parts = Parts(self.made, cache_entries // 16)
        self._order = attrgetter("link") if fifo else None
        self._routes: dict[Envelope, tuple[int, Deliver, Link]] = {}
        self._steps: dict[tuple[Local, Any], tuple[Local, tuple[Envelope, ...], Violation | None]] = {}
        self._views: dict[tuple[Ghosts, tuple[Local, ...], int], tuple[Ghosts, Violation | None]] = {}
        self._firings: dict[Local, list[tuple[Timeout, tuple[int, ...]]]] = {}
        self._asked = [
            (self.limits.index(f"request {number}"),
             [(one, self.ids.index(one.node), self._envelope(one.client, one.node, one.message)) for one in requests])
            for number, requests in enumerate(asked)
        ]  # fmt: skip
        crashes = [(CrashRestart(name), self._places("crashes *", f"crashes {name}")) for name in self.ids]
        self._crashes = [(where, *crash) for where, crash in enumerate(crashes) if crash[1]]
        self.renaming = self._renaming(interchangeable) if interchangeable else None

    def _budgets(self, timeouts: Mapping[str, int]) -> dict[str, int]:
        """What a run may spend, by name: losses, duplicates, timers, crashes, requests."""
        budgets = {
            name: budget_of(name, getattr(self.faults, name), ()).get("*", 0) for name in ("losses", "duplicates")
        }
        budgets |= {f"timeout {key}": most for key, most in timeouts.items()}
        crashes = budget_of("crashes", self.faults.crashes, self.ids)
        budgets |= {f"crashes {key}": most for key, most in crashes.items()}
        return budgets | {f"request {number}": most for number, most in enumerate(self.requests.values())}

    def _places(self, *names: str) -> tuple[int, ...]:
        """Where those of the named budgets stand that there are."""
        return tuple(self.limits.index(name) for name in names if name in self.limits)

    def _renaming(self, members: Sequence[NodeId]) -> Renaming:
        settings = {
            name: (type(node), {field: value for field, (value, _) in self.handling.settings[name].items()})
            for name, node in self.made.items()
        }
        named = {to for to, _ in self.requests if to}.union(*self.partitioned)
        check_interchangeable(members, settings, self.limits, frozenset(named))
        return Renaming(self.parts, members, self._order, self.cache_entries)

    def __repr__(self) -> str:
        classes = dict.fromkeys(type(node).__name__ for node in self.made.values())
        return f"ClusterModel({len(self.ids)} × {'/'.join(classes)}; {self.bounds_text() or 'no timers, no faults'})"

    def bounds_text(self) -> str:
        """The budgets in words."""
        given = [f"{name.replace('timeout', 'timeouts').replace(' *', '')} ≤ {most}"
                 for name, most in zip(self.limits, self.full, strict=True)
                 if most and not name.startswith("request")]  # fmt: skip
        given += [f"{len(self.requests)} requests"] if self.requests else []
        given += ["FIFO"] if self.fifo else []
        given += [f"{len(self.partitioned)} links partitioned"] if self.partitioned else []
        return ", ".join(given)

    # --- the model ------------------------------------------------------------------------------------

    @cached_property
    def first(self) -> World:
        """All nodes have started, one after the other; nothing was delivered yet."""
        pairs = zip(self.ids, self.initials, strict=True)
        nodes = tuple(self.parts.part(Local, (name, state, ())) for name, state in pairs)
        unstarted = World(nodes, (), self.full, self.parts.part(Ghosts, ()))
        ghosts = tuple(invariant.before(unstarted.all_nodes()) for invariant in self.invariants)
        world = unstarted._replace(ghosts=self.parts.part(Ghosts, ghosts))
        for where, name in enumerate(self.ids):
            world = self._move(world, where, Start(name), world.network, world.left)
            if world.broken:
                break
        return world

    def initial_states(self) -> Iterable[World]:
        """The world in which all nodes have started."""
        return (self.first,)

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
        following = self.after(world, action)
        if following is None:
            raise ValueError(f"{self!r} does not allow '{action}' in {shorten(str(world))}")
        return following

    def after(self, world: World, action: Action) -> World | None:
        """The world after ``action``; None when ``world`` does not allow it."""
        choice = self._choice(world, action)
        return None if choice is None else self._move(world, *choice[1:])

    def handled(self, world: World, action: Action) -> dict[NodeId, Handled]:
        """What the node that ``action`` concerns does, sends and tells; nothing where no node handles anything."""
        choice = self._choice(world, action)
        if choice is None or choice[1] is None:
            return {}
        name, state, timers = world.nodes[choice[1]].value
        return {name: self.handling.run(name, state, timers, self._event(choice[2]))}

    def started(self) -> dict[NodeId, Handled]:
        """What each node does at its start."""
        pairs = zip(self.ids, self.initials, strict=True)
        return {name: self.handling.run(name, state, (), Start(name)) for name, state in pairs}

    def allowing(self, actions: Sequence[Action]) -> ClusterModel:
        """The same cluster with just the budgets that ``actions`` need, and no link partitioned, for a path."""
        kinds = [type(action) for action in actions]
        faults = Faults(kinds.count(CrashRestart), kinds.count(Drop), kinds.count(Duplicate))
        requests = [(action.node, action.message) for action in actions if isinstance(action, Request)]
        return ClusterModel(
            self.make_nodes, invariants=self.invariants, requests=requests, faults=faults,
            timeouts=kinds.count(Timeout), fifo=self.fifo, cache_entries=self.cache_entries,
        )  # fmt: skip

    def carry(self, world: World) -> World:
        """A world of another model with the same nodes and invariants, as one of this model with full
        budgets: what ``Stage`` needs to go on under other faults."""
        nodes = tuple(self.parts.part(Local, local.value) for local in world.nodes)
        network = self._sent((), tuple(self._envelope(*one.value) for one in world.network))
        return World(nodes, network, self.full, self.parts.part(Ghosts, world.ghosts.value), world.broken)

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
        if broken is None:
            yield from self._network_choices(network, left, range(len(network)))
            yield from self._node_choices(nodes, network, left)

    def _choice(self, world: World, action: Action) -> Choice | None:
        """``action`` as a choice in ``world``; None if it is not allowed there."""
        nodes, network, left, _, broken = world
        if broken is not None:
            return None
        if isinstance(action, NetworkStep):
            link, content = (action.sender, action.receiver), (action.sender, action.receiver, action.message)
            fitting = [
                at for at, one in enumerate(network)
                if (one.link == link if self.fifo else one.value == content)
            ]  # fmt: skip
            choices = self._network_choices(network, left, fitting[:1])
        else:
            choices = self._node_choices(nodes, network, left)
        return next((choice for choice in choices if choice[0] == action), None)

    def _network_choices(self, network: tuple[Envelope, ...], left: Left, places: Iterable[int]) -> Iterator[Choice]:
        """What may become of the messages at ``places``; equal ones, and under FIFO those of one link, count once."""
        fifo, partitioned, routes = self.fifo, self.partitioned, self._routes
        losses, doubles = left[:2]
        last: Any = None
        for at in places:
            envelope = network[at]
            where, delivery, link = routes[envelope]
            if link == last if fifo else envelope is last:
                continue
            last = link if fifo else envelope
            rest = network[:at] + network[at + 1 :]
            if link not in partitioned:
                yield delivery, where, envelope, rest, left
            if losses:
                yield Drop(*envelope.value), None, None, rest, _spent(left, 0)
            if doubles:
                yield Duplicate(*envelope.value), None, None, self._sent(network, (envelope,)), _spent(left, 1)

    def _node_choices(self, nodes: tuple[Local, ...], network: tuple[Envelope, ...], left: Left) -> Iterator[Choice]:
        """Timers, clients' requests, crashes."""
        for where, local in enumerate(nodes):
            for firing, budgets in self._timers(local):
                if all(left[budget] for budget in budgets):
                    yield firing, where, firing, network, _spent(left, *budgets)
        for budget, requests in self._asked:
            if left[budget]:
                spent = _spent(left, budget)
                for request, where, envelope in requests:
                    yield request, where, envelope, network, spent
        for where, restart, budgets in self._crashes:
            if all(left[budget] for budget in budgets):
                yield restart, where, restart, network, _spent(left, *budgets)

    def _timers(self, local: Local) -> list[tuple[Timeout, tuple[int, ...]]]:
        """The timers of ``local`` that may fire at all, with the budgets that each firing takes from."""
        found = self._firings.get(local)
        if found is None:
            found = self._firings[local] = []
            for timer, key in local.value[2]:
                names = ("*", timer, local.id, f"{local.id}.{timer}")
                budgets = self._places(*[f"timeout {name}" for name in names])
                if budgets:
                    found.append((Timeout(local.id, timer, key), budgets))
        return found

    # --- taking a step --------------------------------------------------------------------------------

    def _move(self, world: World, where: int | None, event: Any, network: tuple[Envelope, ...], left: Left) -> World:
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
            self._envelope(name, to, message)
            for to, message in handled.sends if (name, to) not in self.partitioned
        )  # fmt: skip
        after = self.parts.part(Local, (name, handled.state, handled.timers))
        step = self._steps[local, event] = (after, sends, handled.failure)
        return step

    def _look(self, key: tuple[Ghosts, tuple[Local, ...], int]) -> tuple[Ghosts, Violation | None]:
        """Ask the invariants about a step that changed a node, for the first time with these local states."""
        if len(self._views) >= self.cache_entries:
            self._views.clear()
        ghosts, nodes, where = key
        mapping, changed = {local.id: local.node for local in nodes}, self.ids[where]
        remembered, broken = [], None
        for invariant, ghost in zip(self.invariants, ghosts.value, strict=True):
            try:
                remembered.append(invariant.after(ghost, mapping, changed))
            except Broken as witness:
                broken = broken or Violation(invariant.name, str(witness))
                remembered.append(ghost)
        found = self._views[key] = (self.parts.part(Ghosts, tuple(remembered)), broken)
        return found

    def _sent(self, network: tuple[Envelope, ...], sends: tuple[Envelope, ...]) -> tuple[Envelope, ...]:
        return tuple(sorted(network + sends, key=self._order))

    def _envelope(self, sender: NodeId, receiver: NodeId, message: Any) -> Envelope:
        envelope = self.parts.part(Envelope, (sender, receiver, message))
        if envelope not in self._routes:
            delivery = Deliver(sender, receiver, message)
            self._routes[envelope] = (self.ids.index(receiver), delivery, (sender, receiver))
        return envelope

    def _event(self, event: Any) -> Event:
        return self._routes[event][1] if isinstance(event, Envelope) else event


def unbroken(world: World) -> Any:
    """True while no invariant is broken, else the witness."""
    return True if world.broken is None else f"{world.broken.invariant}: {world.broken.witness}"


def _spent(left: Left, *budgets: int) -> Left:
    spent = list(left)
    for budget in budgets:
        spent[budget] -= 1
    return tuple(spent)
