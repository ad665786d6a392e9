"""A cluster at one moment, as the explorer sees it: local states, messages in flight, budgets, ghosts.

A search looks up millions of such worlds, but they are put together from few parts: a node has some thousand
local states, and each is met in a great many worlds. So each part is made once and known by its canonical
encoding, a ``bytes`` object: hashing, comparing and sorting whole worlds happens without a line of Python.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from distlib.core.invariant import Violation
from distlib.core.node import Node, NodeId
from distlib.core.trace import describe

if TYPE_CHECKING:
    from distlib.check.cluster.model import ClusterModel

Link = tuple[NodeId, NodeId]

OUTSIDE: NodeId = "outside"
"""Who sends a client's request, unless the message names its ``client``."""


# ------------------------------------------------------------ actions


@dataclass(frozen=True, slots=True)
class Deliver:
    """The network hands ``message`` to ``receiver``."""

    sender: NodeId
    receiver: NodeId
    message: Any

    def __str__(self) -> str:
        return f"{self.sender} → {self.receiver} {describe(self.message)}"


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The network makes a second copy of ``message``, which stays in flight."""

    sender: NodeId
    receiver: NodeId
    message: Any

    def __str__(self) -> str:
        return f"duplicate {self.sender} → {self.receiver} {describe(self.message)}"


@dataclass(frozen=True, slots=True)
class Drop:
    """The network loses ``message``."""

    sender: NodeId
    receiver: NodeId
    message: Any

    def __str__(self) -> str:
        return f"lose {self.sender} → {self.receiver} {describe(self.message)}"


@dataclass(frozen=True, slots=True)
class Timeout:
    """The timer ``name``/``key`` of ``node`` fires."""

    node: NodeId
    name: str
    key: Hashable = None

    def __str__(self) -> str:
        return f"{self.node} {self.name} timeout" + ("" if self.key is None else f" {self.key}")


@dataclass(frozen=True, slots=True)
class CrashRestart:
    """``node`` crashes, losing all that is not durable, and starts again."""

    node: NodeId

    def __str__(self) -> str:
        return f"{self.node} crashes and restarts"


@dataclass(frozen=True, slots=True)
class Request:
    """A client hands ``message`` to ``node``."""

    node: NodeId
    message: Any

    def __str__(self) -> str:
        return f"client → {self.node} {describe(self.message)}"


Action = Deliver | Duplicate | Drop | Timeout | CrashRestart | Request


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


# ------------------------------------------------------------ parts


class Interned(bytes):
    """A constant known by its canonical encoding. Each model has subclasses of its own, whose ``home`` it is.

    Equal encodings mean equal contents, down to the types; the hash is computed once.
    """

    __slots__ = ()
    home: ClassVar[ClusterModel]

    @property
    def value(self) -> Any:
        """The content."""
        return self.home.content[self]

    def __reduce__(self) -> Any:
        return recall, (self.home.number, type(self).__mro__[1].__name__, self.value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.value!r}"


class Local(Interned):
    """One node's local state. Content: (node's id, its state, its running timers as (name, key) pairs)."""

    __slots__ = ()

    @property
    def id(self) -> NodeId:
        """Whose state it is."""
        return str(self.value[0])

    @property
    def timers(self) -> tuple[tuple[str, Hashable], ...]:
        """The running timers."""
        timers: tuple[tuple[str, Hashable], ...] = self.value[2]
        return timers

    @property
    def node(self) -> Node:
        """A node in this state, to be read only: many worlds share it."""
        return self.home.loaded(self)


class Envelope(Interned):
    """A message in flight. Content: (sender, receiver, message)."""

    __slots__ = ()


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

    def node(self, name: NodeId) -> Any:
        """The node called ``name``, to be read only. Raises KeyError when there is none."""
        for local in self.nodes:
            if local.id == name:
                return local.node
        raise KeyError(f"there is no node {name!r}; there are {', '.join(local.id for local in self.nodes)}")

    def all_nodes(self) -> dict[NodeId, Any]:
        """Every node by its name, to be read only."""
        return {local.id: local.node for local in self.nodes}

    def messages(self) -> list[Deliver]:
        """The messages in flight."""
        return [Deliver(*envelope.value) for envelope in self.network]

    def __str__(self) -> str:
        shown = [f"{local.id}: {describe(_seen(local))}" for local in self.nodes]
        flying = ", ".join(map(str, self.messages())) or "nothing"
        broken = f"; BROKEN {self.broken.invariant}: {self.broken.witness}" if self.broken else ""
        return f"{'; '.join(shown)}; in flight: {flying}{broken}"


def _seen(local: Local) -> Any:
    view = local.node.view()
    return local.value[1] if view is None else view


def recall(number: int, kind: str, value: Any) -> Interned:
    """A part that came from another process, as the part of that content here."""
    return homes[number].part(kind, value)


homes: dict[int, ClusterModel] = {}
"""The models of this process whose states may travel to another, by number (see ``ClusterModel``)."""


# ------------------------------------------------------------ encoding


def encode(value: Any) -> bytes:
    """Bytes that are equal for equal constants of equal types only. Raises TypeError for what is not constant."""
    kind = type(value)
    if kind is str:
        text = value.encode()
        return b"s%d:%b" % (len(text), text)
    if kind is int:
        return b"i%d;" % value
    if value is None:
        return b"n"
    if kind is tuple:
        return b"(%b)" % b"".join([encode(item) for item in value])
    if kind is bool:
        return b"T" if value else b"F"
    return b"<%b%b>" % (_tag(value.__class__), _encode_object(value, kind))


def _encode_object(value: Any, kind: type) -> bytes:
    if isinstance(value, Enum):
        return value.name.encode()
    if isinstance(value, tuple):
        return b"".join([encode(item) for item in value])
    if isinstance(value, frozenset):
        return b"".join(sorted([encode(item) for item in value]))
    if kind is type:
        return _tag(value)
    if is_dataclass(kind):
        return b"".join([encode(getattr(value, name)) for name in _fields(kind)])
    if isinstance(value, float | complex | bytes | int | str):
        text = repr(value).encode()
        return b"%d:%b" % (len(text), text)
    raise TypeError(f"{value!r} of type {kind.__name__} is no constant; use numbers, strings, tuples, frozen "
                    "sets and frozen dataclasses")  # fmt: skip


@cache
def _tag(kind: type) -> bytes:
    return f"{kind.__module__}.{kind.__qualname__} ".encode()


@cache
def _fields(kind: type) -> tuple[str, ...]:
    return tuple(item.name for item in fields(kind))
