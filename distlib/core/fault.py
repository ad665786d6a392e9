"""Faults as plain data: what goes wrong, where, when and for how long; and a seeded nemesis that makes them up.

A node may be named, or chosen when the fault strikes: ``"@leader"`` is the node that then shows the role *leader* (the
one of the highest term if there are several), ``"@follower"`` the first that shows *follower*, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from distlib.core import require
from distlib.core.node import NodeId
from distlib.core.seeds import Seeds

Link = tuple[NodeId, NodeId]


@dataclass(frozen=True)
class Crash:
    """``node`` stops and loses everything that is not durable; it restarts after ``for_ms`` (never, if None)."""

    at_ms: float
    node: NodeId
    for_ms: float | None = None

    def __str__(self) -> str:
        return f"{self.node} crashes"


@dataclass(frozen=True)
class Restart:
    """``node``, if it is down, starts again from its durable state."""

    at_ms: float
    node: NodeId

    def __str__(self) -> str:
        return f"{self.node} restarts"


@dataclass(frozen=True)
class Pause:
    """``node`` stands still, as in a garbage collection: messages and timers wait until it goes on after ``for_ms``."""

    at_ms: float
    node: NodeId
    for_ms: float | None = None


@dataclass(frozen=True)
class Resume:
    """``node``, if it is paused, goes on and works off what has come in meanwhile."""

    at_ms: float
    node: NodeId


@dataclass(frozen=True)
class Partition:
    """Only nodes of one group can talk; a node in no group is alone. It heals after ``for_ms`` (never, if None)."""

    at_ms: float
    groups: tuple[tuple[NodeId, ...], ...]
    for_ms: float | None = None


@dataclass(frozen=True)
class OneWay:
    """Messages from ``sources`` to ``targets`` are lost; the other direction works."""

    at_ms: float
    sources: tuple[NodeId, ...]
    targets: tuple[NodeId, ...]
    for_ms: float | None = None


@dataclass(frozen=True)
class Bridge:
    """``left`` and ``right`` cannot talk to each other, but both can talk to ``middle``."""

    at_ms: float
    left: tuple[NodeId, ...]
    middle: NodeId
    right: tuple[NodeId, ...]
    for_ms: float | None = None


@dataclass(frozen=True)
class Heal:
    """All partitions end."""

    at_ms: float


@dataclass(frozen=True)
class SlowNode:
    """``node`` needs ``extra_ms`` longer for each message."""

    at_ms: float
    node: NodeId
    extra_ms: float
    for_ms: float | None = None


@dataclass(frozen=True)
class SlowLink:
    """Messages from ``sender`` to ``receiver`` take ``extra_ms`` longer."""

    at_ms: float
    sender: NodeId
    receiver: NodeId
    extra_ms: float
    for_ms: float | None = None


@dataclass(frozen=True)
class Drift:
    """The clock of ``node`` runs at ``rate`` seconds a second from now on (1.0 is right, 1.1 is fast)."""

    at_ms: float
    node: NodeId
    rate: float


Fault = Crash | Restart | Pause | Resume | Partition | OneWay | Bridge | Heal | SlowNode | SlowLink | Drift


def nodes_of(fault: Fault) -> tuple[NodeId, ...]:
    """Every node that the fault names."""
    match fault:
        case Partition(groups=groups):
            return tuple(node for group in groups for node in group)
        case OneWay(sources=sources, targets=targets):
            return (*sources, *targets)
        case Bridge(left=left, middle=middle, right=right):
            return (*left, middle, *right)
        case SlowLink(sender=sender, receiver=receiver):
            return (sender, receiver)
        case Heal():
            return ()
    return (fault.node,)


def partitioned_links(fault: Partition | OneWay | Bridge, nodes: Sequence[NodeId]) -> frozenset[Link]:
    """The directed links that the fault partitions in a cluster of ``nodes``."""
    match fault:
        case OneWay(sources=sources, targets=targets):
            return frozenset((one, other) for one in sources for other in targets if one != other)
        case Bridge(left=left, right=right):
            across = [(one, other) for one in left for other in right]
            return frozenset(across + [(other, one) for one, other in across])
    group_of = {node: number for number, group in enumerate(fault.groups) for node in group}
    return frozenset(
        (one, other)
        for one in nodes
        for other in nodes
        if one != other and group_of.get(one, one) != group_of.get(other, other)
    )


def check_faults(faults: Sequence[Fault], nodes: Sequence[NodeId]) -> None:
    """Raises ``ValueError`` for a time, rate or node name that cannot be, naming the fault and what would be right."""
    for number, fault in enumerate(faults):
        where = f"faults[{number}] ({type(fault).__name__})"
        for name in ("at_ms", "for_ms"):
            if (time := getattr(fault, name, None)) is not None:
                require.number(f"{type(fault).__name__}.{name}", time, 0, unit="ms")
        for node in nodes_of(fault):
            if node not in nodes and not (node.startswith("@") and hasattr(fault, "node")):
                raise ValueError(f"{where} names the node {node!r}; this cluster has {', '.join(nodes)}")
        if isinstance(fault, Partition):
            named = nodes_of(fault)
            twice = sorted({node for node in named if named.count(node) > 1})
            if twice:
                raise ValueError(f"{where} has {twice[0]} in two groups; each node stands in one group at the most")
        if isinstance(fault, Drift):
            require.above(f"{where}.rate", fault.rate)  # 1 is a right clock
        if isinstance(fault, (SlowNode, SlowLink)):
            require.number(f"{where}.extra_ms", fault.extra_ms, 0, unit="ms")


KINDS = ("crash", "pause", "partition", "one_way", "bridge", "slow_node", "slow_link", "drift")


@dataclass(frozen=True)
class Nemesis:
    """A random fault schedule: a fault about every ``gap_ms``, each for about ``length_ms`` (both exponential)."""

    kinds: tuple[str, ...] = KINDS
    gap_ms: float = 400.0
    length_ms: float = 300.0
    start_ms: float = 0.0
    drift: float = 0.1
    extra_ms: float = 50.0
    stream: str = field(default="nemesis", repr=False)

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            raise ValueError(f"Nemesis.kinds is {self.kinds!r}; choose from {', '.join(KINDS)}")
        require.above("Nemesis.gap_ms", self.gap_ms, unit="ms")
        require.above("Nemesis.length_ms", self.length_ms, unit="ms")

    def schedule(self, nodes: Sequence[NodeId], seed: int, until_ms: float) -> tuple[Fault, ...]:
        """Faults for ``nodes`` up to ``until_ms``; the same arguments always give the same faults."""
        random = Seeds(seed).stream(self.stream)
        faults: list[Fault] = []
        now = self.start_ms + random.expovariate(1.0 / self.gap_ms)
        while now < until_ms:
            at, length = round(now, 3), round(random.expovariate(1.0 / self.length_ms), 3)
            kind = random.choice(self.kinds)
            shuffled = random.sample(list(nodes), len(nodes))
            one = shuffled[0]
            if kind == "crash":
                faults.append(Crash(at, one, length))
            elif kind == "pause":
                faults.append(Pause(at, one, length))
            elif kind == "slow_node":
                faults.append(SlowNode(at, one, round(random.uniform(0, self.extra_ms), 3), length))
            elif kind == "drift":
                faults.append(Drift(at, one, round(random.uniform(1 - self.drift, 1 + self.drift), 4)))
            elif len(nodes) > 1:
                faults.append(self._link_fault(kind, at, length, shuffled, random.randrange(1, len(nodes))))
            now += random.expovariate(1.0 / self.gap_ms)
        return tuple(faults)

    def _link_fault(self, kind: str, at: float, length: float, nodes: list[NodeId], split: int) -> Fault:
        one, other = tuple(nodes[:split]), tuple(nodes[split:])
        if kind == "one_way":
            return OneWay(at, one, other, length)
        if kind == "bridge" and len(nodes) > 2:
            middle, rest = nodes[0], nodes[1:]
            half = min(split, len(rest) - 1)
            return Bridge(at, tuple(rest[:half]), middle, tuple(rest[half:]), length)
        if kind == "slow_link":
            return SlowLink(at, nodes[0], nodes[-1], self.extra_ms, length)
        return Partition(at, (one, other), length)
