"""What all flexible transactions share: how one is begun, what is told of it, and how an outsider reads accounts."""

from __future__ import annotations

from dataclasses import dataclass

from distlib.core.look import Look
from distlib.transactions.bank import Operations, Work


@dataclass(frozen=True, slots=True)
class Begin:
    """A client asks for the transaction ``gid``, a name that it uses once; a second request of that name is none.

    ``work`` is done in order. ``pivot`` concerns sagas alone: the number (from 0) of the step after which there is no
    way back.
    """

    gid: str
    work: Work
    pivot: int | None = None

    look = Look("slate", place=5)


@dataclass(frozen=True, slots=True)
class ReadAccount:
    """A reader asks what ``account`` holds, in its round ``turn``."""

    account: str
    turn: int

    look = Look("mist", place=90)
    routine = True  # figures may fold it away


@dataclass(frozen=True, slots=True)
class Shown:
    """The answer: ``account`` holds ``balance``."""

    account: str
    turn: int
    balance: int

    look = Look("mist", "dot", place=90)
    routine = True


# --- to the outside world -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Began:
    """Transaction ``gid`` is under way."""

    gid: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Transaction ``gid`` is over: done as a whole, or not at all."""

    gid: str
    done: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """``operations`` of ``gid`` can be seen from now on; ``back`` if they take back what was seen before."""

    gid: str
    operations: Operations
    back: bool = False


@dataclass(frozen=True, slots=True)
class Displayed:
    """A service has shown ``account`` to ``reader`` in its round ``turn``."""

    reader: str
    turn: int
    account: str


@dataclass(frozen=True, slots=True)
class Summed:
    """A reader has seen these balances in its round ``turn``, and takes them for one moment's: (node, account,
    balance)."""

    turn: int
    seen: tuple[tuple[str, str, int], ...]
