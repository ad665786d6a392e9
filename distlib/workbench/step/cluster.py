"""A cluster that is moved by hand: whatever its nodes and its network may do next, and what comes of it.

Nodes, messages and invariants are those of the explorer's ``ClusterModel``, so each path made by hand is a path of the
model, and the explorer can go on from any state of it. Two things are added. A node may be down for a while, and a link
may be partitioned: neither changes the world, they only forbid steps. What is in flight over such a link, or to a node
that is down, waits there until the reader heals the link, restarts the node, or drops the message.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from random import Random
from typing import Any, NamedTuple

from distlib.check.cluster import world as model_steps
from distlib.check.cluster.handling import HANDLER, Handled, Start
from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.world import Deliver, Drop, Duplicate, Faults, Link, Request, Timeout, World
from distlib.core import require
from distlib.core.fault import Crash, Restart
from distlib.core.invariant import Broken
from distlib.core.node import Node, NodeId
from distlib.workbench.subjects import subject_of

ENOUGH = 10**9
"""A budget that no hand uses up."""
REPEATS = 50
"""How often a client may send the same request."""


@dataclass(frozen=True, slots=True)
class PartitionLinks:
    """The network delivers nothing over ``links`` (sender, receiver)."""

    links: tuple[Link, ...]

    def __str__(self) -> str:
        return f"partition {_links_text(self.links)}"


@dataclass(frozen=True, slots=True)
class HealLinks:
    """``links`` (sender, receiver) work again."""

    links: tuple[Link, ...]

    def __str__(self) -> str:
        return f"heal {_links_text(self.links)}"


Step = Deliver | Drop | Duplicate | Timeout | Request | Crash | Restart | PartitionLinks | HealLinks


class ClusterState(NamedTuple):
    """A state of the cluster: the explorer's world, who is down, which links (sender, receiver) carry nothing."""

    world: World
    down: frozenset[NodeId] = frozenset()
    partitioned: frozenset[Link] = frozenset()

    def holds_up(self, sender: NodeId, receiver: NodeId) -> str:
        """Why a message from ``sender`` cannot be delivered to ``receiver`` now; empty if it can."""
        if receiver in self.down:
            return f"{receiver} is down"
        return f"{sender} → {receiver} is partitioned" if (sender, receiver) in self.partitioned else ""


class Impossible(ValueError):
    """A step that the cluster does not allow now; the text says why."""


class StepCluster:
    """The cluster of ``model``, without its bounds."""

    def __init__(self, model: ClusterModel) -> None:
        requests = [pair for pair in model.requests for _ in range(REPEATS)]
        self.asked = model
        self.model = ClusterModel(
            model.make_nodes, invariants=model.invariants, requests=requests, timeouts=ENOUGH,
            faults=Faults(crashes=ENOUGH, losses=ENOUGH, duplicates=ENOUGH),
        )  # fmt: skip
        self.ids = self.model.ids
        (self.first,) = self.model.initial_states()

    def started(self) -> dict[NodeId, Handled]:
        """What each node did at its start."""
        pairs = zip(self.ids, self.model.initials, strict=True)
        return {name: self.model.handling.run(name, state, (), Start(name)) for name, state in pairs}

    def take(self, moment: ClusterState, step: Step) -> tuple[ClusterState, Handled | None]:
        """The moment after ``step``, and what the node that it concerns did (None: nobody did anything).

        Raises ``Impossible`` when ``moment`` does not allow it.
        """
        world, down, partitioned = moment
        action: Any = step
        if world.broken is not None:
            raise Impossible(f"{world.broken.invariant} is broken: this branch ends here; go back, or undo")
        match step:
            case Crash(node=node):
                self._check_up(moment, node)
                return moment._replace(down=down | {node}), None
            case Restart(node=node):
                if node not in down:
                    raise Impossible(f"{node} is not down, so it cannot restart")
                moment, action = moment._replace(down=down - {node}), model_steps.CrashRestart(node)
            case PartitionLinks(links):
                return moment._replace(partitioned=partitioned | set(self._known(links))), None
            case HealLinks(links):
                return moment._replace(partitioned=partitioned - set(self._known(links))), None
            case _:
                self._check_way(moment, step)
        if not self.model.allows(world, action):
            raise Impossible(f"'{step}' is not possible now")
        return moment._replace(world=self.model.next_state(world, action)), self.model.handled(world, action)

    def _check_up(self, moment: ClusterState, node: NodeId) -> None:
        if node not in self.ids:
            raise Impossible(f"there is no node {node!r}; there are {', '.join(self.ids)}")
        if node in moment.down:
            raise Impossible(f"{node} is down")

    def _check_way(self, moment: ClusterState, step: Step) -> None:
        if isinstance(step, Timeout | Request):
            self._check_up(moment, step.node)
        elif isinstance(step, Deliver) and (why := moment.holds_up(step.sender, step.receiver)):
            raise Impossible(f"'{step}' has to wait: {why}")

    def _known(self, links: Iterable[Link]) -> tuple[Link, ...]:
        known = tuple(links)
        for one, other in known:
            for node in (one, other):
                if node not in self.ids:
                    raise Impossible(f"there is no node {node!r}; there are {', '.join(self.ids)}")
            if one == other:
                raise Impossible(f"{one} → {one} is no link between two nodes")
        return known

    def timers(self, moment: ClusterState) -> list[Timeout]:
        """The running timers of the nodes that are up."""
        return [
            Timeout(local.id, name, key)
            for local in moment.world.nodes if local.id not in moment.down
            for name, key in local.timers
        ]  # fmt: skip

    def requests(self, moment: ClusterState, *, anew: bool = True) -> list[Request]:
        """What clients may ask, of whom; without ``anew`` only what has not been asked yet."""
        left = dict(zip(self.model.limits, moment.world.left, strict=True))
        most = 1 if anew else REPEATS
        return [
            Request(node, message)
            for number, (to, message) in enumerate(self.model.requests) if left[f"request {number}"] >= most
            for node in ((to,) if to else self.ids) if node not in moment.down
        ]  # fmt: skip

    def truths(self, before: World, after: World, changed: NodeId | None) -> list[tuple[str, bool, str]]:
        """Each invariant in ``after``: name, whether it holds, witness. ``before`` is the world one step earlier."""
        broken = after.broken
        failed = broken is not None and broken.invariant == HANDLER
        found = [(HANDLER, not failed, broken.witness if broken is not None and failed else "")]
        for invariant, ghost in zip(self.model.invariants, before.ghosts.value, strict=True):
            look = broken is not None and changed is not None and not failed
            witness = _witness(invariant, ghost, after, changed or "") if look else ""
            found.append((invariant.name, not witness, witness))
        return found


def _witness(invariant: Any, ghost: Any, after: World, changed: NodeId) -> str:
    try:
        invariant.after(ghost, after.all_nodes(), changed)
    except Broken as witness:
        return str(witness)
    return ""


def concerned(step: Step | None) -> NodeId | None:
    """The node whose handler a step runs."""
    match step:
        case Deliver(receiver=node) | Timeout(node=node) | Request(node=node) | Restart(node=node):
            return node
    return None


@lru_cache(maxsize=1 << 14)
def text_of(step: Any) -> str:
    """A step in words; the same words always mean the same step."""
    return str(step)


def _links_text(links: Sequence[Link]) -> str:
    return ", ".join(f"{one} → {other}" for one, other in links)


def links_of(text: str) -> tuple[Link, ...]:
    """The links that ``PartitionLinks`` and ``HealLinks`` name in words. Raises ``ValueError`` for other words."""
    pairs = [tuple(part.strip().split(" → ")) for part in text.split(",")]
    if not all(len(pair) == 2 for pair in pairs):
        raise ValueError(f"{text!r} names no links; it takes 'S1 → S2', with commas between several")
    return tuple((one, other) for one, other in pairs)


# --- which step next, at random ---------------------------------------------------------------------------


def drawn(
    cluster: StepCluster, moment: ClusterState, flying: Sequence[Deliver], random: Random, faults: bool
) -> Step | None:
    """A random next step; None if there is none. Messages come most often, then timers, requests and faults."""
    sorts: list[tuple[float, Sequence[Step]]] = [
        (8.0, [one for one in flying if not moment.holds_up(one.sender, one.receiver)]),
        (1.0, cluster.timers(moment)),
        (0.5, cluster.requests(moment, anew=False)),
    ]
    if faults:
        letters = list(dict.fromkeys(flying))
        sorts += [
            (0.3, [Drop(one.sender, one.receiver, one.message) for one in letters]),
            (0.2, [Duplicate(one.sender, one.receiver, one.message) for one in letters]),
            (0.15, [Crash(0.0, node) for node in cluster.ids if node not in moment.down]),
            (0.6, [Restart(0.0, node) for node in sorted(moment.down)]),
        ]
    possible = [one for one in sorts if one[1]]
    if not possible or moment.world.broken is not None:
        return None
    (steps,) = random.choices([steps for _, steps in possible], [weight for weight, _ in possible])
    return random.choice(steps)


# --- clusters by protocol ---------------------------------------------------------------------------------


def model_of(node_class: type[Node], servers: int) -> ClusterModel:
    """A cluster of ``servers`` nodes of ``node_class``, its invariants, and what clients may ask.

    Raises ``TypeError`` for a class that is of no subject: such a cluster is made by hand, as a ``ClusterModel``, and
    given to ``StepLab.on``.
    """
    require.whole("servers", servers, 1, 9)
    try:
        subject = subject_of(node_class)
    except TypeError as error:
        raise TypeError(f"{error}; of any other Node, make a ClusterModel and call StepLab.on(model)") from None
    return subject.model(node_class, servers)


def bounded(cluster: StepCluster, moment: ClusterState, timeouts: int, faults: Faults) -> tuple[ClusterModel, World]:
    """The model that a search from ``moment`` explores, and the world it starts in.

    Nodes that are down stay down, partitioned links stay so; clients may still ask what they have not asked yet.
    """
    down, partitioned = moment.down, set(moment.partitioned)
    partitioned |= {(sender, node) for node in down for sender in cluster.ids if sender != node}
    allowed = {"*": timeouts, **dict.fromkeys(down, 0)}
    spent = dict(zip(cluster.model.limits, moment.world.left, strict=True))
    requests: list[tuple[NodeId | None, Any]] = []
    for number, ((to, message), most) in enumerate(cluster.model.requests.items()):
        if spent[f"request {number}"] == most:
            requests += [(to, message)] if not down else [
                (node, message) for node in ((to,) if to else cluster.ids) if node not in down
            ]  # fmt: skip
    crashes = {name: 1 for name in cluster.ids if name not in down} | {"*": int(faults.crashes)}  # type: ignore[arg-type]
    crashes |= dict.fromkeys(down, 0)
    model = ClusterModel(
        cluster.model.make_nodes, invariants=cluster.model.invariants, requests=requests, timeouts=allowed,
        faults=replace(faults, crashes=crashes), partitioned=partitioned,
    )  # fmt: skip
    return model, model.carry(moment.world)
