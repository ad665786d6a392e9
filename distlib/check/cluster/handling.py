"""One event for one node, as data: the real handler runs on a scratch node, and what it did is looked over.

Whatever a learner's class does wrong (it raises, changes a message, sends to nobody, keeps state in a place
where nobody looks for it) comes back as a ``Violation`` that names the node, the event and the state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, is_dataclass
from functools import cache
from inspect import getattr_static
from types import UnionType
from typing import Any, NamedTuple, get_args, get_type_hints

import numpy as np

from distlib.check.cluster.interning import encode
from distlib.check.cluster.world import CrashRestart, Deliver, Timeout
from distlib.check.explore.model import shorten
from distlib.core.freeze import freeze
from distlib.core.invariant import Violation
from distlib.core.node import CancelTimer, Endless, Node, NodeId, Output, Send, SetTimer

HANDLER = "no handler fails"
"""The invariant that a node's own code breaks by raising, or by a deed that no runtime can carry out."""

Timers = tuple[tuple[str, Any], ...]


class Start(NamedTuple):
    """The first event of each node."""

    node: NodeId

    def __str__(self) -> str:
        return f"start of {self.node}"


Event = Start | Deliver | Timeout | CrashRestart


class Handled(NamedTuple):
    """What an event did: the node's state and running timers after it, messages sent, outputs; or a failure."""

    state: tuple[Any, ...]
    timers: Timers
    sends: tuple[tuple[NodeId, Any], ...] = ()
    outputs: tuple[Any, ...] = ()
    failure: Violation | None = None


class InvalidEffect(Exception):
    """The node did something that no runtime can carry out; the text says what, in words."""


class Handling:
    """Runs events on scratch nodes. ``outside`` are the names of clients: what is sent to them leaves the cluster."""

    def __init__(self, nodes: Mapping[NodeId, Node], outside: frozenset[NodeId]) -> None:
        self.nodes = nodes
        self.outside = outside
        self.known = {name: frozenset(vars(node)) for name, node in nodes.items()}
        self.settings = {name: _settings(node) for name, node in nodes.items()}

    def run(self, name: NodeId, state: tuple[Any, ...], timers: Timers, event: Event) -> Handled:
        """What ``event`` does to the node ``name`` in ``state`` with the running ``timers``."""
        node = self.nodes[name]
        node.load(state)
        try:
            self._handle(node, event)
            effects = node.take_effects()
            return self._carried_out(self._state(node, name), timers, event, effects)
        except (Exception, SystemExit, Endless) as error:
            self._tidy(node, name)
            return Handled(state, timers, failure=Violation(HANDLER, _blame(name, event, state, node, error)))

    def _handle(self, node: Node, event: Event) -> None:
        match event:
            case Deliver(sender, _, message):
                before = encode(message)
                node.receive(sender, message)
                if encode(message) != before:
                    raise InvalidEffect(f"changed a message that it received, which is now {message!r}: a message is "
                                 "a constant, for the sender and others may hold it as well")  # fmt: skip
            case Timeout(_, timer, key):
                node.timeout(timer, key)
            case CrashRestart():
                node.crash()
                node.start()
            case Start():
                node.start()

    def _state(self, node: Node, name: NodeId) -> tuple[Any, ...]:
        state = node.state()
        if len(vars(node)) != len(self.known[name]):
            extra = sorted(set(vars(node)) - self.known[name])
            raise InvalidEffect(
                f"keeps {', '.join(map(repr, extra))}, which is no field of {type(node).__name__}: declare it in "
                "the body of a @dataclass class, as in `count: int = 0`, or it is lost between two events"
            )
        for field, (value, text) in self.settings[name].items():
            if getattr(node, field) is not value or repr(value) != text:
                raise InvalidEffect(f"changed its setting {field!r}, which is configuration and no state")
        return state

    def _carried_out(self, state: tuple[Any, ...], timers: Timers, event: Event, effects: list[Any]) -> Handled:
        running = set() if isinstance(event, (CrashRestart, Start)) else set(timers)
        if isinstance(event, Timeout):
            running.discard((event.name, event.key))
        sends, outputs = [], []
        for effect in effects:
            match effect:
                case Send(to, message):
                    if to not in self.outside:
                        self._check_message(to, message)
                        sends.append((to, message))
                case SetTimer(timer, key, low_ms, high_ms):
                    _check_timer(timer, low_ms, high_ms)
                    running.add((timer, key))
                case CancelTimer(timer, key):
                    running.discard((timer, key))
                case Output(told):
                    outputs.append(told)
                case _:
                    raise InvalidEffect(f"left {effect!r} among its effects, which is no effect")
        return Handled(state, tuple(sorted(running, key=repr)), tuple(sends), tuple(outputs))

    def _check_message(self, to: Any, message: Any) -> None:
        if not isinstance(to, str) or to not in self.nodes:
            raise InvalidEffect(f"sent {message!r} to {to!r}, which is no node; there are {', '.join(self.nodes)}")
        try:
            constant = freeze(message)
        except TypeError as error:
            raise InvalidEffect(f"sent {message!r}, which is no constant ({error}): use tuples for lists") from error
        if constant is not message:
            raise InvalidEffect(
                f"sent {message!r}, which can be changed after it was sent: make its class a @dataclass(frozen=True)"
            )
        try:
            self.nodes[to].handlers[type(message)]
        except TypeError as error:
            raise InvalidEffect(f"sent {message!r} to {to}, which has no handler for it: {error}") from error
        _check_types(message)

    def _tidy(self, node: Node, name: NodeId) -> None:
        """Whatever the failed handler left behind is not to be found by the next one."""
        node.__dict__["outbox"], node.__dict__["effects"] = [], []
        for extra in set(vars(node)) - self.known[name]:
            delattr(node, extra)
        for field, (value, _) in self.settings[name].items():
            setattr(node, field, value)


def _settings(node: Node) -> dict[str, tuple[Any, str]]:
    computed = getattr(type(node), "computed", ())  # what a class keeps that follows from its state
    states = {*type(node).state_names(), *computed, "outbox", "effects", "now_ms"}
    return {name: (value, repr(value)) for name, value in vars(node).items() if name not in states}


def _blame(name: NodeId, event: Event, state: tuple[Any, ...], node: Node, error: BaseException) -> str:
    if isinstance(error, InvalidEffect):
        what = str(error)
    elif isinstance(error, Endless):
        what = str(error).removeprefix(f"{name} ")
    elif isinstance(error, FrozenInstanceError):
        what = f"tried to change a constant ({error}): messages and log entries are never changed, only made anew"
    else:
        what = f"raised {type(error).__name__}: {error}{_line_of(error)}"
    fields = zip(type(node).state_names(), state, strict=True)
    held = ", ".join(f"{field}={shorten(value, 80)}" for field, value in fields)
    at = f"{event.message!r} from {event.sender}" if isinstance(event, Deliver) else event
    return f"{name} {what}; at: {at}; its state was: {held}"


def _line_of(error: BaseException) -> str:
    """Where in the node's class it was raised, as ``(in on_vote, line 12)``."""
    trace, place = error.__traceback__, ""
    while trace is not None:
        code = trace.tb_frame.f_code
        if "self" in trace.tb_frame.f_locals and isinstance(trace.tb_frame.f_locals["self"], Node):
            place = f" (in {code.co_name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return place


def _check_timer(name: Any, low_ms: Any, high_ms: Any) -> None:
    try:
        right = 0 <= low_ms <= high_ms < float("inf") and isinstance(name, str)
    except TypeError:
        right = False
    if not right:
        raise InvalidEffect(
            f"set the timer {name!r} to ({low_ms!r}, {high_ms!r}) ms; it takes a name and 0 ≤ low ≤ high"
        )


# ------------------------------------------------------------ messages of the right types

_WORDS: dict[Any, str] = {bool: "True or False", int: "a whole number", str: "a string", type(None): "None"}


@cache
def _plain_fields(cls: type) -> tuple[tuple[str, tuple[type, ...]], ...]:
    """The fields of a message class whose types are easily told, and those types."""
    try:
        hints = get_type_hints(cls)
    except Exception:  # a learner's annotation that cannot be resolved says nothing about the value
        return ()
    options = {name: get_args(hint) if isinstance(hint, UnionType) else (hint,) for name, hint in hints.items()}
    return tuple((name, types) for name, types in options.items() if all(one in list(_WORDS) for one in types))


def _check_types(message: Any) -> None:
    if not is_dataclass(message):
        return
    for field, types in _plain_fields(message.__class__):
        value = getattr(message, field)
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            wanted = " or ".join(_WORDS[one] for one in types)
            raise InvalidEffect(
                f"sent {message!r}, where {field} is {value!r}; it takes {wanted} (is a return missing?)"
            )


# ------------------------------------------------------------ results of the right types


def checked(candidate: type[Node], base: type[Node]) -> type[Node]:
    """``candidate`` with every method that it overrides made to keep what ``base`` promises of its result.

    A method that forgets its ``return`` answers None, which Python takes for "no": the protocol then fails
    somewhere else. Here the method itself raises a TypeError that names it. numpy's truths and whole numbers become
    Python's.
    """
    body: dict[str, Any] = {}
    for name in dir(base):
        own, promised = getattr(candidate, name, None), getattr(base, name)
        if own is promised or not callable(own) or isinstance(own, type) or name.startswith("__"):
            continue
        returns = getattr(promised, "__annotations__", {}).get("return")
        if isinstance(returns, str) and "None" not in returns and returns != "Value" and not returns.startswith("Any"):
            keeping = _keeping(own, f"{candidate.__name__}.{name}", returns)
            body[name] = keeping if _takes_self(candidate, name) else staticmethod(keeping)
    if not body:
        return candidate
    body |= {"__module__": candidate.__module__, "__qualname__": candidate.__qualname__}
    return type(candidate.__name__, (candidate,), body)


def _takes_self(candidate: type[Node], name: str) -> bool:
    """Whether Python hands the node to it: not to a static method, one of the class, or a ``functools.partial``."""
    item = getattr_static(candidate, name)
    return hasattr(item, "__get__") and not isinstance(item, (staticmethod, classmethod))


def _keeping(method: Callable[..., Any], name: str, returns: str) -> Callable[..., Any]:
    wanted = {"bool": "True or False", "int": "a whole number"}.get(returns, f"a {returns}")

    def kept(*args: Any, **kwargs: Any) -> Any:
        result = method(*args, **kwargs)
        if isinstance(result, (np.bool_, np.integer)):
            result = result.item()
        truth, whole = isinstance(result, bool), isinstance(result, int)
        if result is None or (returns == "bool" and not truth) or (returns == "int" and (truth or not whole)):
            raise TypeError(f"{name} returned {shorten(result, 80)}; it must return {wanted} (is a return missing?)")
        return result

    return kept
