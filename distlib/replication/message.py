"""What clients and the servers of a replicated service say to each other, whatever the protocol; frozen constants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distlib.core.look import Look
from distlib.core.node import NodeId


@dataclass(frozen=True, slots=True)
class NoOp:
    """A command that changes nothing: a leader's blank entry at the start of its term, the filling of a hole."""

    def __str__(self) -> str:
        return "no-op"


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A client asks to apply ``command``, its ``serial``-th request. Without ``client``, nobody is answered."""

    command: Any
    client: NodeId | None = None
    serial: int | None = None

    look = Look("slate", place=5)


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A client asks what the read-only ``command`` would return, without writing it to the log."""

    command: Any
    client: NodeId | None = None
    serial: int | None = None

    look = Look("green", "dash", place=12)


@dataclass(frozen=True, slots=True)
class Stale:
    """In place of a result: the client has had a later request applied, and of an older one nothing is kept."""

    def __str__(self) -> str:
        return "stale"


STALE = Stale()


@dataclass(frozen=True, slots=True)
class ClientReply:
    """``ok``: the ``result`` of request ``serial``. Else, unless the result is ``STALE``, nothing is known: ask again
    (the ``leader``, if named)."""

    serial: int | None
    ok: bool
    result: Any = None
    leader: NodeId | None = None

    look = Look("slate", "dot", place=5)

    @classmethod
    def of(cls, serial: int | None, result: Any, leader: NodeId | None = None) -> ClientReply:
        """The answer to a request that was applied, or is too old to be."""
        return cls(serial, result != STALE, result, leader)


# --- to the outside world -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Invoked:
    """The client called ``command``, its ``serial``-th operation."""

    client: NodeId
    serial: int
    command: Any


@dataclass(frozen=True, slots=True)
class Returned:
    """The operation came back with ``result``."""

    client: NodeId
    serial: int
    command: Any
    result: Any
