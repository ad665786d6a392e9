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
from typing import Any, ClassVar, NamedTuple

from distlib.check.cluster.handling import HANDLER, Handled
from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.world import CrashRestart, Deliver, Drop, Duplicate, Faults, Request, Timeout, World
from distlib.core.fault import Crash, Fault, Heal, Link, OneWay, Partition, Restart
from distlib.core.invariant import Broken
from distlib.core.node import Node, NodeId
from distlib.paxos.invariants import paxos_invariants
from distlib.paxos.message import Propose
from distlib.paxos.multi_paxos import MultiPaxos
from distlib.paxos.multi_paxos_invariants import multi_paxos_invariants
from distlib.paxos.paxos import Paxos
from distlib.raft.invariants import raft_invariants
from distlib.raft.message import ClientRequest
from distlib.raft.raft import Raft
from distlib.replication.state_machine import Put

ENOUGH = 10**9
"""A budget that no hand uses up."""
REPEATS = 50
"""How often a client may send the same request."""


@dataclass(frozen=True, slots=True)
class LinksStep:
    """What happens to ``links`` (sender, receiver); in words, and read from words."""

    links: tuple[Link, ...]

    words: ClassVar[str] = ""

    def __str__(self) -> str:
        return self.words + ", ".join(f"{one} → {other}" for one, other in self.links)

    @classmethod
    def called(cls, text: str) -> LinksStep:
        """The step that reads like this. Raises ``ValueError`` for other words."""
        links = [tuple(link.strip().split(" → ")) for link in text.removeprefix(cls.words).split(",")]
        if not all(len(link) == 2 for link in links):
            raise ValueError(f"{text!r} names no links; it takes '{cls.words}S1 → S2', with commas between several")
        return cls(tuple((one, other) for one, other in links))


class PartitionLinks(LinksStep):
    """The network delivers nothing over ``links``."""

    __slots__ = ()
    words = "partition "


class HealLinks(LinksStep):
    """``links`` work again."""

    __slots__ = ()
    words = "heal "


Step = Deliver | Drop | Duplicate | Timeout | Request | Crash | Restart | LinksStep


@lru_cache(maxsize=1 << 14)
def text_of(step: Any) -> str:
    """A step in words; the same words always mean the same step."""
    return str(step)


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

    def take(self, here: ClusterState, step: Step) -> tuple[ClusterState, dict[NodeId, Handled]]:
        """The state after ``step``, and what the node that it concerns did.

        Raises ``Impossible`` when the cluster does not allow it ``here``.
        """
        world, down, partitioned = here
        action: Any = step
        if world.broken is not None:
            raise Impossible(f"{world.broken.invariant} is broken: this branch ends here; go back, or undo")
        match step:
            case Crash(node=node):
                self._check_up(here, node)
                return here._replace(down=down | {node}), {}
            case Restart(node=node):
                if node not in down:
                    raise Impossible(f"{node} is not down, so it cannot restart")
                here, action = here._replace(down=down - {node}), CrashRestart(node)
            case LinksStep(links):
                self._check_links(links)
                cut = partitioned | set(links) if isinstance(step, PartitionLinks) else partitioned - set(links)
                return here._replace(partitioned=cut), {}
            case Timeout(node=node) | Request(node=node):
                self._check_up(here, node)
            case Deliver(sender, receiver) if why := here.holds_up(sender, receiver):
                raise Impossible(f"'{step}' has to wait: {why}")
        after = self.model.after(world, action)
        if after is None:
            raise Impossible(f"'{step}' is not possible now")
        return here._replace(world=after), self.model.handled(world, action)

    def _check_up(self, here: ClusterState, node: NodeId) -> None:
        self._check_node(node)
        if node in here.down:
            raise Impossible(f"{node} is down")

    def _check_node(self, node: NodeId) -> None:
        if node not in self.ids:
            raise Impossible(f"there is no node {node!r}; there are {', '.join(self.ids)}")

    def _check_links(self, links: Iterable[Link]) -> None:
        for one, other in links:
            self._check_node(one)
            self._check_node(other)
            if one == other:
                raise Impossible(f"{one} → {one} is no link between two nodes")

    def timers(self, here: ClusterState) -> list[Timeout]:
        """The running timers of the nodes that are up."""
        up = [local for local in here.world.nodes if local.id not in here.down]
        return [Timeout(local.id, name, key) for local in up for name, key in local.timers]

    def requests(self, here: ClusterState, *, anew: bool = True) -> list[Request]:
        """What clients may ask, of whom; without ``anew`` only what has not been asked yet."""
        return [
            Request(node, message)
            for to, message in self._open(here, 1 if anew else REPEATS)
            for node in ((to,) if to else self.ids) if node not in here.down
        ]  # fmt: skip

    def _open(self, here: ClusterState, times: int) -> list[tuple[NodeId | None, Any]]:
        """The requests that may come at least so many times more."""
        left = dict(zip(self.model.limits, here.world.left, strict=True))
        return [pair for number, pair in enumerate(self.model.requests) if left[f"request {number}"] >= times]

    def verdicts(self, before: World, after: World, moved: Sequence[NodeId]) -> list[tuple[str, bool, str]]:
        """Each invariant in ``after``: name, whether it holds, witness. ``before`` is the world one step earlier, and
        ``moved`` are the nodes that moved in that step."""
        broken = after.broken
        failed = broken is not None and broken.invariant == HANDLER
        found = [(HANDLER, not failed, broken.witness if broken is not None and failed else "")]
        for invariant, ghost in zip(self.model.invariants, before.ghosts.value, strict=True):
            witness = ""
            try:
                if broken is not None and moved and not failed:
                    invariant.after(ghost, after.all_nodes(), moved[0])
            except Broken as error:
                witness = str(error)
            found.append((invariant.name, not witness, witness))
        return found

    def bounded(self, here: ClusterState, timeouts: int, crashes: int, faults: Faults) -> tuple[ClusterModel, World]:
        """The model that a search from ``here`` explores, and the world it starts in.

        Nodes that are down stay down, partitioned links stay so; clients may still ask what they have not asked yet.
        """
        down = here.down
        to_down = {(sender, node) for node in down for sender in self.ids if sender != node}
        requests = self._open(here, REPEATS)
        if down:
            requests = [(one.node, one.message) for one in self.requests(here, anew=False)]
        by_node = {name: int(name not in down) for name in self.ids} | {"*": crashes}
        model = ClusterModel(
            self.model.make_nodes, invariants=self.model.invariants, requests=requests,
            timeouts={"*": timeouts, **dict.fromkeys(down, 0)}, faults=replace(faults, crashes=by_node),
            partitioned=here.partitioned | to_down,
        )  # fmt: skip
        return model, model.carry(here.world)


def faults_of(nodes: Sequence[NodeId], step: Step | None, here: ClusterState) -> tuple[Fault, ...]:
    """The faults that strike in ``step``, as a simulated run tells them; their times don't count."""
    if isinstance(step, Crash | Restart):
        return (step,)
    return (Heal(0.0), *_partitions(here.partitioned, nodes)) if isinstance(step, LinksStep) else ()


def _partitions(links: frozenset[Link], nodes: Sequence[NodeId]) -> list[Fault]:
    """The links that carry nothing as one partition if they are one, else one way by sender; until the next heal."""
    if not links:
        return []
    reached = {one: tuple(other for other in nodes if other == one or (one, other) not in links) for one in nodes}
    if all(reached[other] == group for group in reached.values() for other in group):
        return [Partition(0.0, tuple(dict.fromkeys(reached.values())))]
    targets = {one: tuple(other for other in nodes if (one, other) in links) for one in nodes}
    return [OneWay(0.0, (one,), others) for one, others in targets.items() if others]


def drawn(
    cluster: StepCluster, here: ClusterState, in_flight: Sequence[Deliver], random: Random, faults: bool
) -> Step | None:
    """A random next step; None if there is none. Messages come most often, then timers, requests and faults."""
    sorts: list[tuple[float, Sequence[Step]]] = [
        (8.0, [one for one in in_flight if not here.holds_up(one.sender, one.receiver)]),
        (1.0, cluster.timers(here)),
        (0.5, cluster.requests(here, anew=False)),
    ]
    if faults:
        letters = list(dict.fromkeys(in_flight))
        sorts += [
            (0.3, [Drop(one.sender, one.receiver, one.message) for one in letters]),
            (0.2, [Duplicate(one.sender, one.receiver, one.message) for one in letters]),
            (0.15, [Crash(0.0, node) for node in cluster.ids if node not in here.down]),
            (0.6, [Restart(0.0, node) for node in sorted(here.down)]),
        ]
    possible = [one for one in sorts if one[1]]
    if not possible or here.world.broken is not None:
        return None
    (steps,) = random.choices([steps for _, steps in possible], [weight for weight, _ in possible])
    return random.choice(steps)


# --- clusters by protocol ---------------------------------------------------------------------------------


def model_of(protocol: type[Node], servers: int) -> ClusterModel:
    """A cluster of ``servers`` nodes of ``protocol``, its invariants, and what clients may ask.

    Raises ``TypeError`` for a class that is no Raft, Paxos or Multi-Paxos: such a cluster is made by hand, as a
    ``ClusterModel``, and given to ``StepLab.on``.
    """
    if not isinstance(servers, int) or isinstance(servers, bool) or not 1 <= servers <= 9:
        raise ValueError(f"servers is {servers!r}; it takes a whole number from 1 to 9")
    names = tuple(f"S{number}" for number in range(1, servers + 1))

    def with_peers() -> list[Node]:
        return [protocol(name, tuple(peer for peer in names if peer != name)) for name in names]  # type: ignore[call-arg]

    def with_acceptors() -> list[Node]:
        return [protocol(name, names) for name in names]  # type: ignore[call-arg]

    writes = [(None, ClientRequest(Put("x", number), "C1", number)) for number in (1, 2)]
    if isinstance(protocol, type) and issubclass(protocol, Raft):
        return ClusterModel(with_peers, invariants=raft_invariants(), requests=writes)
    if isinstance(protocol, type) and issubclass(protocol, MultiPaxos):
        return ClusterModel(with_peers, invariants=multi_paxos_invariants(), requests=writes)
    if isinstance(protocol, type) and issubclass(protocol, Paxos):
        proposals = [(name, Propose(value)) for name, value in zip(names, "ABC", strict=False)]
        return ClusterModel(with_acceptors, invariants=paxos_invariants(), requests=proposals)
    raise TypeError(
        f"StepLab makes clusters of Raft, Paxos, MultiPaxos and their subclasses, and got {protocol!r}; "
        "for any other Node, make a ClusterModel of it and call StepLab.on(model)"
    )
