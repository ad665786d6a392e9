"""Node: one process of a protocol, sans I/O. Events go in, effects come out.

A node knows no clock, socket, thread or random generator. A runtime (the simulator, the explorer, a real
process) calls ``Node.start``, ``Node.receive`` and ``Node.timeout``, then takes the effects that
the node asked for: messages to send, timers to set or cancel, and outputs to tell the outside world. The same
class therefore runs unchanged in all of them, and given the same events it always does the same.

A protocol is a dataclass that derives from ``Node``:

    @dataclass
    class Counter(Node):
        peers: tuple[NodeId, ...]                 # no default: a setting, given when the node is made
        total: int = durable(0)                   # survives a crash
        pending: int = 0                          # lost in a crash

        def on_add(self, sender, message):        # handles messages of class Add
            self.total += message.amount
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import cache
from typing import Any, ClassVar, NamedTuple, Self

from distlib.core import require
from distlib.core.freeze import freeze, thaw

_SETTING, _DURABLE = "setting", "durable"

NodeId = str
"""A node's name, unique in its cluster, for example ``"S1"``."""


class Send(NamedTuple):
    """Send ``message`` to node ``to``. With ``after_sync`` it leaves only once the state it speaks of is on disk."""

    to: NodeId
    message: Any
    after_sync: bool = False


class SetTimer(NamedTuple):
    """(Re)start the timer ``name``/``key`` for a time that the runtime draws uniformly from [low_ms, high_ms]."""

    name: str
    key: Hashable
    low_ms: float
    high_ms: float


class CancelTimer(NamedTuple):
    """Stop the timer ``name``/``key`` if it is running."""

    name: str
    key: Hashable


class Output(NamedTuple):
    """Tell the outside world ``event``, a frozen dataclass: an entry applied, a value chosen, an operation returned."""

    event: Any


Effect = Send | SetTimer | CancelTimer | Output


def durable(default: Any) -> Any:
    """A field that survives a crash: on disk before any message that speaks of it leaves. A callable is a factory."""
    return _state_field(default, {_DURABLE: True})


def volatile(default: Any) -> Any:
    """A field that a crash resets to ``default``; only needed for one made by a factory (``volatile(dict)``)."""
    return _state_field(default, {})


def setting(default: Any) -> Any:
    """A field that is configuration, not state: given when the node is made, never changed."""
    return field(default=default, metadata={_SETTING: True})


def _state_field(default: Any, metadata: dict[str, bool]) -> Any:
    if callable(default):
        return field(default_factory=default, init=False, metadata=metadata)
    return field(default=default, init=False, metadata=metadata)


def _is_setting(item: Field[Any]) -> bool:
    has_default = item.default is not MISSING or item.default_factory is not MISSING
    return _SETTING in item.metadata or not has_default


class Endless(BaseException):
    """Raised from outside into a handler that does not come back; no ``except Exception`` of its own stops it."""


class _Handlers(dict[type, Callable[[Any, NodeId, Any], None]]):
    """Message class to handler of one node class, found by name on first use."""

    def __init__(self, owner: type) -> None:
        self.owner = owner

    def __missing__(self, kind: type) -> Callable[[Any, NodeId, Any], None]:
        name = "on_" + re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", kind.__name__).lower()
        handler: Callable[[Any, NodeId, Any], None] | None = getattr(self.owner, name, None)
        if handler is None:
            known = ", ".join(one for one in dir(self.owner) if one.startswith("on_") and not one.endswith("_timeout"))
            raise TypeError(
                f"{self.owner.__name__} received a {kind.__name__} but has no {name}(sender, message); "
                f"it has {known or 'no handlers'}"
            )
        self[kind] = handler
        return handler


@dataclass
class Node:
    """Base of every protocol's process; the module's text shows a subclass. Handlers are found by name:
    ``on_request_vote(sender, message)`` for messages of class ``RequestVote``, ``on_election_timeout()`` for the timer
    ``"election"`` (with the timer's key as argument if it has one)."""

    id: NodeId

    now_ms: float = field(default=0.0, init=False, repr=False, compare=False, metadata={_SETTING: True})
    """This node's own clock, set by the runtime before each event. Clocks drift; the explorer's stands still."""

    outbox: ClassVar[list[tuple[NodeId, Any]]]
    effects: ClassVar[list[Effect]]
    handlers: ClassVar[_Handlers]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = {"outbox", "effects", "handlers"}.intersection(vars(cls).get("__annotations__", ()))
        if own:
            raise TypeError(f"{cls.__name__} declares {min(own)!r}, which every node has for what it sends; rename it")
        cls.handlers = _Handlers(cls)  # each class finds its own, so that overriding one method is enough

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Gives each node its own outbox and effects, before any ``__init__`` or ``__post_init__`` of a subclass."""
        require.dataclass_fields(cls)
        node = super().__new__(cls)
        node.__dict__["outbox"] = []  # plain sends apart from the rest, because most events only send
        node.__dict__["effects"] = []
        for item in fields(cls):
            if not item.init and item.default is not MISSING:
                node.__dict__[item.name] = item.default  # dataclass leaves these on the class
        return node

    def __post_init__(self) -> None:
        """Called when all settings are in place; subclasses check theirs here, and call this one."""
        if not isinstance(self.id, str) or not self.id:
            raise TypeError(f"{type(self).__name__}.id is {self.id!r}; it takes a name such as 'S1'")

    # --- events, called by a runtime -------------------------------------------------------------

    def start(self) -> None:
        """Called once when the process starts, and again after each restart. The default does nothing."""

    def receive(self, sender: NodeId, message: Any) -> None:
        """Handle one message. Raises ``TypeError`` when the class has no handler for it."""
        self.handlers[type(message)](self, sender, message)

    def timeout(self, name: str, key: Hashable = None) -> None:
        """Handle the firing of the timer ``name``/``key``."""
        handler = getattr(self, f"on_{name}_timeout", None)
        if handler is None:
            raise TypeError(f"{type(self).__name__} set a timer {name!r} but has no method on_{name}_timeout")
        if key is None:
            handler()
        else:
            handler(key)

    # --- effects, called by the protocol -----------------------------------------------------------

    def send(self, to: NodeId, message: Any) -> None:
        """Send ``message`` to the node ``to``."""
        self.outbox.append((to, message))

    def send_after_sync(self, to: NodeId, message: Any) -> None:
        """Send ``message`` once this event's durable changes are on disk: for promises, votes, acknowledgements."""
        self.effects.append(Send(to, message, True))

    def set_timer(self, name: str, low_ms: float, high_ms: float | None = None, key: Hashable = None) -> None:
        """(Re)start a timer for a time that the runtime draws uniformly from [low_ms, high_ms] (default: low_ms)."""
        self.effects.append(SetTimer(name, key, low_ms, low_ms if high_ms is None else high_ms))

    def cancel_timer(self, name: str, key: Hashable = None) -> None:
        """Stop a timer; nothing happens if it is not running."""
        self.effects.append(CancelTimer(name, key))

    def output(self, event: Any) -> None:
        """Tell the outside world that ``event`` happened."""
        self.effects.append(Output(event))

    def take_effects(self) -> list[Effect]:
        """The effects asked for since the last call, plain sends first; the node's lists are emptied."""
        taken: list[Effect] = [Send(to, message) for to, message in self.outbox]
        taken += self.effects
        self.outbox.clear()
        self.effects.clear()
        return taken

    # --- state as data, for runtimes and checkers ----------------------------------------------------

    @classmethod
    @cache
    def state_names(cls) -> tuple[str, ...]:
        """Names of the state fields, durable and volatile, in the order of declaration."""
        return tuple(item.name for item in fields(cls) if not _is_setting(item))

    @classmethod
    @cache
    def durable_names(cls) -> tuple[str, ...]:
        """Names of the fields that survive a crash."""
        return tuple(item.name for item in fields(cls) if _DURABLE in item.metadata)

    def state(self) -> tuple[Any, ...]:
        """All state fields as one hashable tuple, in the order of ``state_names``."""
        mine = self.__dict__
        return tuple([freeze(mine[name]) for name in type(self).state_names()])

    def load(self, state: tuple[Any, ...]) -> None:
        """Set all state fields from a tuple made by ``state`` of a node of the same class."""
        mine = self.__dict__
        for name, value in zip(type(self).state_names(), state, strict=True):
            mine[name] = thaw(value)

    def durable_state(self) -> tuple[Any, ...]:
        """The durable fields as one hashable tuple, in the order of ``durable_names``."""
        return tuple([freeze(getattr(self, name)) for name in type(self).durable_names()])

    def load_durable(self, state: tuple[Any, ...]) -> None:
        """Set the durable fields from a tuple made by ``durable_state`` of a node of the same class."""
        for name, value in zip(type(self).durable_names(), state, strict=True):
            setattr(self, name, thaw(value))

    def crash(self) -> None:
        """Lose everything that is not durable. The runtime drops the node's timers and calls ``start`` on restart."""
        self.take_effects()
        for item in fields(self):
            if _DURABLE in item.metadata or _is_setting(item):
                continue
            made = item.default_factory() if item.default_factory is not MISSING else item.default
            setattr(self, item.name, made)

    def view(self) -> tuple[Any, ...] | None:
        """What an observer is shown of this node, as a ``NamedTuple`` of constants; None (the default) shows nothing. A
        field ``role`` (str) colours the node's lane in figures; ``term`` labels it."""
        return None


def check_view(node: Node) -> None:
    """Raises ``TypeError`` when what ``node`` shows of itself is neither a NamedTuple nor None."""
    shown = node.view()
    if shown is not None and not hasattr(shown, "_fields"):
        raise TypeError(f"{type(node).__name__}.view() returned {shown!r}; it takes a NamedTuple, or None")


def node_names(count: int) -> tuple[NodeId, ...]:
    """S1, S2, …"""
    return tuple(f"S{number}" for number in range(1, count + 1))


def with_peers(node_class: type[Any], names: Iterable[NodeId], **settings: Any) -> list[Any]:
    """A node of ``node_class`` for each name, which knows all the others as its ``peers``; not yet started."""
    members = tuple(names)
    return [node_class(name, tuple(one for one in members if one != name), **settings) for name in members]
