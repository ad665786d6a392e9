"""A cluster at one moment, as the explorer sees it: local states, messages in flight, budgets, ghosts; and the steps
that lead from one to the next."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from distlib.check.cluster.interning import Interned
from distlib.core.fault import Link
from distlib.core.invariant import Violation
from distlib.core.node import Node, NodeId
from distlib.core.trace import describe

OUTSIDE: NodeId = "outside"
"""Who sends a client's request, unless the message names its ``client``."""


# ------------------------------------------------------------ steps


@dataclass(frozen=True)
class NetworkStep:
    """What the network may do with ``message``, which is in flight from ``sender`` to ``receiver``."""

    sender: NodeId
    receiver: NodeId
    message: Any

    words: ClassVar[str] = ""

    def __str__(self) -> str:
        return f"{self.words}{self.sender} → {self.receiver} {describe(self.message)}"


class Deliver(NetworkStep):
    """The network hands the message to its receiver."""


class Duplicate(NetworkStep):
    """The network makes a second copy of the message, which stays in flight."""

    words = "duplicate "


class Drop(NetworkStep):
    """The network loses the message."""

    words = "lose "


@dataclass(frozen=True)
class Timeout:
    """The timer ``name``/``key`` of ``node`` fires."""

    node: NodeId
    name: str
    key: Hashable = None

    def __str__(self) -> str:
        return f"{self.node} {self.name} timeout" + ("" if self.key is None else f" {self.key}")


@dataclass(frozen=True)
class CrashRestart:
    """``node`` crashes, losing all that is not durable, and starts again."""

    node: NodeId

    def __str__(self) -> str:
        return f"{self.node} crashes and restarts"


@dataclass(frozen=True)
class Request:
    """A client hands ``message`` to ``node``."""

    node: NodeId
    message: Any

    @property
    def client(self) -> NodeId:
        """Who asks."""
        return getattr(self.message, "client", None) or OUTSIDE

    def __str__(self) -> str:
        return f"client → {self.node} {describe(self.message)}"


Action = Deliver | Duplicate | Drop | Timeout | CrashRestart | Request


def touched(action: Action) -> tuple[NodeId, ...]:
    """The nodes that take part in a step."""
    return (action.sender, action.receiver) if isinstance(action, NetworkStep) else (action.node,)


@dataclass(frozen=True)
class Faults:
    """How many faults a run may have. ``crashes`` may also be given for each node, as ``{"S1": 1}``.

    Every message may always be late, without bound and out of order (unless the network is FIFO). A message
    that is never delivered is as good as lost, so for safety ``losses`` only add something under FIFO, where
    a message that is not delivered holds up those behind it; for liveness, they tell lost from late.
    """

    crashes: int | Mapping[NodeId, int] = 0
    losses: int = 0
    duplicates: int = 0


# ------------------------------------------------------------ worlds


class Local(Interned):
    """One node's local state. Content: (node's id, its state, its running timers as (name, key) pairs)."""

    __slots__ = ()

    @property
    def id(self) -> NodeId:
        """Whose state it is."""
        return str(self.value[0])

    @property
    def node(self) -> Node:
        """A node in this state, to be read only: many worlds share it."""
        return self.table.loaded(self, *self.value[:2])

    @property
    def view(self) -> Any:
        """What an observer is shown of the node; None for a class that shows nothing."""
        return self.node.view()


class Envelope(Interned):
    """A message in flight. Content: (sender, receiver, message)."""

    __slots__ = ()

    @property
    def link(self) -> Link:
        """The sender and the receiver."""
        return self.value[0], self.value[1]


class Ghosts(Interned):
    """What the invariants remember, in their order."""

    __slots__ = ()


class World(NamedTuple):
    """The state of a cluster: what a ``ClusterModel`` explores.

    ``network`` is a multiset of messages (sorted; under FIFO in order of sending for each link), ``left`` the
    budgets that remain, ``broken`` the invariant that the last step broke.
    """

    nodes: tuple[Local, ...]
    network: tuple[Envelope, ...]
    left: tuple[int, ...]
    ghosts: Ghosts
    broken: Violation | None = None

    def local(self, name: NodeId) -> Local:
        """The local state of the node called ``name``. Raises KeyError when there is none."""
        for local in self.nodes:
            if local.id == name:
                return local
        raise KeyError(f"there is no node {name!r}; there are {', '.join(local.id for local in self.nodes)}")

    def node(self, name: NodeId) -> Any:
        """The node called ``name``, to be read only. Raises KeyError when there is none."""
        return self.local(name).node

    def all_nodes(self) -> dict[NodeId, Any]:
        """Every node by its name, to be read only."""
        return {local.id: local.node for local in self.nodes}

    def messages(self) -> list[Deliver]:
        """The messages in flight."""
        return [Deliver(*envelope.value) for envelope in self.network]

    def __str__(self) -> str:
        shown = [f"{one.id}: {describe(one.value[1] if one.view is None else one.view)}" for one in self.nodes]
        in_flight = ", ".join(map(str, self.messages())) or "nothing"
        broken = f"; BROKEN {self.broken.invariant}: {self.broken.witness}" if self.broken else ""
        return f"{'; '.join(shown)}; in flight: {in_flight}{broken}"
