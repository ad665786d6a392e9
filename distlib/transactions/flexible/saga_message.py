"""What the orchestrator of a saga and its services say to each other."""

from __future__ import annotations

from dataclasses import dataclass

from distlib.core.look import Look
from distlib.transactions.bank import Operations, Work


@dataclass(frozen=True, slots=True)
class Do:
    """Do step ``step`` of ``saga``; a ``retriable`` one, after the pivot, is asked for until it succeeds."""

    saga: str
    step: int
    operations: Operations
    retriable: bool = False

    look = Look("blue", place=10)


@dataclass(frozen=True, slots=True)
class Done:
    """Step ``step`` is done, its local transaction committed."""

    saga: str
    step: int

    look = Look("blue", "dot", place=10)


@dataclass(frozen=True, slots=True)
class Refused:
    """Step ``step`` cannot be done; ``why`` in words."""

    saga: str
    step: int
    why: str

    look = Look("vermillion", "dot", place=11)


@dataclass(frozen=True, slots=True)
class Compensate:
    """Take back step ``step``, whether or not it has been done."""

    saga: str
    step: int
    operations: Operations

    look = Look("orange", place=12)


@dataclass(frozen=True, slots=True)
class Compensated:
    """Step ``step`` is taken back, and will never be done."""

    saga: str
    step: int

    look = Look("orange", "dot", place=12)


@dataclass(frozen=True, slots=True)
class Release:
    """``saga`` is over: its semantic locks go."""

    saga: str

    look = Look("green", place=13)


@dataclass(frozen=True, slots=True)
class Released:
    """The locks of ``saga`` are gone here."""

    saga: str

    look = Look("green", "dot", place=13)


# --- without an orchestrator ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StepDone:
    """An event: of ``saga``, the steps below ``step`` are done. It goes to the service of ``step``, with all the work,
    as nobody else knows it."""

    saga: str
    step: int
    work: Work
    pivot: int | None = None

    look = Look("blue", place=10)


@dataclass(frozen=True, slots=True)
class StepFailed:
    """An event: of ``saga``, all steps above ``step`` are out. It goes to the service of ``step``."""

    saga: str
    step: int
    work: Work

    look = Look("orange", place=12)


@dataclass(frozen=True, slots=True)
class Heard:
    """The event (of step ``step``, ``back`` or not) has been taken in, and need not be sent again."""

    saga: str
    step: int
    back: bool

    look = Look("mist", "dot", place=14)
    routine = True
