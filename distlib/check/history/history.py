"""Histories: what clients asked of a service, when, and what they were told.

A history is a set of operations, each with a call and (unless it never came back) a return (Herlihy & Wing 1990, §2.2).
One operation precedes another if it returned *before* the other was called; at equal times they count as concurrent,
unless one process did both: a process does one thing at a time, so its own operations keep the order in which they are
given.

Logs of events (``invoke``, then ``ok``, ``fail`` or ``info``) are turned into operations by ``from_events``:

- ``ok``: it took effect at some moment between its call and its return;
- ``fail``: it did not happen and is removed (or it saw something: see ``Meaning``);
- ``info``: nobody knows; it may take effect at any time after its call, or never. An operation that is still open at
  the end of the log is taken so too.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, NamedTuple

from distlib.core import require
from distlib.core.freeze import freeze


class Unknown:
    """The type of ``UNKNOWN``."""

    def __repr__(self) -> str:
        return "?"


UNKNOWN: Final = Unknown()
"""The result of an operation that nobody heard of. Any result agrees with it."""


@dataclass(frozen=True)
class Operation:
    """One call of one client, with its answer.

    Times are in any one unit; ``returned`` is infinity while nobody has heard of it. ``argument`` and
    ``result`` are frozen (a list becomes a hashable tuple), and a pending operation's result is
    ``UNKNOWN``. Values are compared as Python does, so True equals 1.

    Raises ``ValueError`` if it returned before its call or a time is not a number, ``TypeError`` for a
    value that cannot be frozen.
    """

    process: Hashable
    f: str
    argument: Any = None
    result: Any = None
    call: float = 0.0
    returned: float = math.inf
    key: Hashable = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.call):
            raise ValueError(f"call must be a finite time, got {self.call!r} ({self.f} of process {self.process!r})")
        if not self.returned >= self.call:  # so that NaN is refused too
            raise ValueError(
                f"{self.label} of process {self.process!r} returned at {self.returned!r}, "
                f"before its call at {self.call!r}"
            )
        for name in ("argument", "result", "key"):
            object.__setattr__(self, name, _constant(getattr(self, name), name))
        if self.pending and self.result is not UNKNOWN:
            object.__setattr__(self, "result", UNKNOWN)

    @property
    def pending(self) -> bool:
        """Whether it never returned, so that it may have taken effect or not."""
        return self.returned == math.inf

    @property
    def label(self) -> str:
        """What to write on the operation's bar: ``write 3``, ``read → 5``, ``cas 3→4 ✗``."""
        if self.f == "cas" and isinstance(self.argument, tuple) and len(self.argument) == 2:
            asked = f"cas {_short(self.argument[0])}→{_short(self.argument[1])}"
        else:
            asked = self.f if self.argument is None or self.f == "read" else f"{self.f} {_short(self.argument)}"
        if self.pending or self.result is UNKNOWN:
            return f"{asked} → ?"
        if isinstance(self.result, bool):
            return asked + (" ✓" if self.result else " ✗")
        silent = self.result is None and self.f not in ("read", "get", "dequeue")
        return asked if silent else f"{asked} → {_short(self.result)}"


def _constant(value: Any, name: str) -> Hashable:
    if isinstance(value, float) and math.isnan(value):
        raise ValueError(f"{name} must equal itself, and nan does not; write it as a string")
    constant: Hashable = value if value is UNKNOWN else freeze(value)
    hash(constant)
    return constant


def _short(value: Any) -> str:
    if value is None:
        return "nil"
    text = "[" + ", ".join(map(_short, value)) + "]" if isinstance(value, tuple) else str(value)
    text = '""' if text == "" else text
    return text if len(text) <= 24 else f"{text[:12]}…{text[-8:]}"


@dataclass(frozen=True)
class Fault:
    """Something done to the system meanwhile; only drawn, never checked. Times as in operations."""

    label: str
    start: float
    end: float


@dataclass(frozen=True)
class History:
    """Operations in the order of their calls (any iterable will do; at equal times, as given), and the faults around.

    A process whose operation never returned may call again: the old operation stays pending, and unordered
    with the rest. Raises ``ValueError`` if two operations of one process overlap.
    """

    operations: Sequence[Operation]
    faults: Sequence[Fault] = ()

    def __post_init__(self) -> None:
        ordered = sorted(self.operations, key=lambda operation: operation.call)
        object.__setattr__(self, "operations", tuple(ordered))
        object.__setattr__(self, "faults", tuple(self.faults))
        last: dict[Hashable, Operation] = {}
        for operation in ordered:
            before = last.get(operation.process)
            if before is not None and not before.pending and before.returned > operation.call:
                raise ValueError(
                    f"process {operation.process!r} called {operation.label} at {operation.call:g} while its "
                    f"{before.label} was still open (it returned at {before.returned:g}); "
                    "a process does one operation at a time"
                )
            last[operation.process] = operation

    def __len__(self) -> int:
        return len(self.operations)


@dataclass(frozen=True)
class Meaning:
    """What a log's writer meant, where the event vocabulary leaves it open. A reader of logs takes one explicitly.

    - ``failed_cas="never happened"``: a failed compare-and-set says nothing and is removed (Jepsen, Knossos).
      ``"compared unequal"``: it answered that the register held something else, which the checker holds it to
      (Porcupine's reading of the etcd logs). A failure without the ``[from to]`` pair never happened.
    - ``nil_read="unknown"``: a read that returned nil returned we don't know what, and agrees with everything
      (Knossos). ``"absent"``: it saw that nothing was ever written (Porcupine).

    Any other failed operation never happened, in both.
    """

    failed_cas: Literal["never happened", "compared unequal"]
    nil_read: Literal["unknown", "absent"]

    def __post_init__(self) -> None:
        require.choice("failed_cas", self.failed_cas, ("never happened", "compared unequal"))
        require.choice("nil_read", self.nil_read, ("unknown", "absent"))


KNOSSOS: Final = Meaning(failed_cas="never happened", nil_read="unknown")
"""How Jepsen's own checker reads a log."""
PORCUPINE: Final = Meaning(failed_cas="compared unequal", nil_read="absent")
"""How Porcupine reads the etcd logs."""

EVENT_TYPES: Final = ("invoke", "ok", "fail", "info")
_QUESTIONS = ("read", "get", "peek", "dequeue", "txn")  # operations whose completion brings a value


class Event(NamedTuple):
    """One line of a log; ``place`` names it in errors (``etcd.log:17``)."""

    place: str
    process: Hashable
    type: str
    f: str
    value: Any = None
    key: Hashable = None


def from_events(events: Sequence[Event], meaning: Meaning) -> History:
    """Pair calls with returns. An event's time is its position in the log, from 0.

    ``info`` from a process with nothing open (a nemesis) is a fault: a span from ``start…`` to the last ``stop…``,
    ``heal…`` or ``recover…``, else a mark. After ``info`` a process may call again: its old operation stays unknown.

    Raises ``ValueError``, naming the place, for a call while one is open or a completion of nothing.
    """
    open_calls: dict[Hashable, tuple[int, Event]] = {}
    operations: list[Operation] = []
    nemesis: list[tuple[int, str]] = []
    for position, event in enumerate(events):
        began, call = open_calls.pop(event.process, (0, None))
        if problem := _misplaced(event, call):
            raise ValueError(f"{event.place}: {problem}")
        if event.type == "invoke":
            open_calls[event.process] = (position, event)
        elif call is None:
            nemesis.append((position, event.f))
        else:
            operations += _completed(call, event, began, position, meaning)
    operations += (_pending(call, began) for began, call in open_calls.values())
    return History(operations, _faults(nemesis, len(events)))


def _misplaced(event: Event, call: Event | None) -> str:
    """Why ``event`` cannot come next in its process, whose open call is ``call``; empty when it can."""
    if event.type not in EVENT_TYPES:
        return f"field 'type' is {event.type!r}; it must be one of {', '.join(EVENT_TYPES)}"
    if event.type == "invoke":
        if call is not None:
            return f"process {event.process!r} invokes {event.f!r} while its {call.f!r} ({call.place}) is still open"
    elif event.type != "info":
        if call is None:
            return f"process {event.process!r} completes {event.f!r} ({event.type}) but has invoked nothing"
        if event.f != call.f:
            return f"process {event.process!r} completes {event.f!r}, but had invoked {call.f!r} ({call.place})"
    return ""


def _pending(invoked: Event, position: int) -> Operation:
    return Operation(invoked.process, invoked.f, invoked.value, UNKNOWN, float(position), math.inf, invoked.key)


def _completed(invoked: Event, event: Event, call: int, returned: int, meaning: Meaning) -> list[Operation]:
    """The operation that the two events tell of; none if it did not happen."""
    result: Any = None
    if event.type == "info":
        return [_pending(invoked, call)]
    if event.type == "fail":
        echoed = isinstance(event.value, (list, tuple)) and list(event.value) == list(invoked.value or ())
        if not (invoked.f == "cas" and meaning.failed_cas == "compared unequal" and echoed):
            return []
        result = False
    elif invoked.f == "cas":
        result = True
    elif invoked.f in _QUESTIONS:
        result = event.value
        if result is None and invoked.f in ("read", "get") and meaning.nil_read == "unknown":
            result = UNKNOWN
    return [Operation(invoked.process, invoked.f, invoked.value, result, float(call), float(returned), invoked.key)]


def _faults(nemesis: list[tuple[int, str]], end: int) -> list[Fault]:
    faults: list[Fault] = []
    started: Fault | None = None
    stopped = False  # a nemesis logs each step twice, when it begins and when it is done
    for position, f in nemesis:
        at = float(position)
        if f.startswith(("stop", "heal", "recover")) and (started or stopped):
            faults.append(replace(started or faults.pop(), end=at))
            started, stopped = None, True
        elif f.startswith("start"):
            label = f.removeprefix("start").strip("-_ ") or "fault"
            started, stopped = started or Fault(label, at, float(end)), False
        else:
            faults.append(Fault(f, at, at))
            stopped = False
    return [*faults, started] if started else faults
