"""What a safety property is, for every room that checks one: the simulator live, the explorer in each state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from distlib.core.node import Node, NodeId


@dataclass(frozen=True)
class Violation:
    """An invariant that broke: its name, the witness (who, what, where, in words) and the time it was seen."""

    invariant: str
    witness: str
    time_ms: float = 0.0

    def __str__(self) -> str:
        return f"{self.invariant} broken at {self.time_ms:g} ms: {self.witness}"


class Invariant(Protocol):
    """A property of the global state and of what has been seen so far.

    What must be remembered (who led which term, what was committed) is the *ghost*: a hashable constant, so that the
    explorer can make it part of a state. ``after`` is called when ``changed`` has handled an event, crashed or
    restarted; it returns the ghost (the same object when nothing new was learnt) or raises ``Broken`` with the witness.
    """

    name: str
    """The class's name, unless it says another."""
    paper: str = ""
    initial: Hashable = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not isinstance(getattr(cls, "name", None), str):
            cls.name = cls.__name__

    def before(self, nodes: Mapping[NodeId, Node]) -> Hashable:
        """The ghost at the start of a run: ``initial``, unless it depends on ``nodes``."""
        return self.initial

    @abstractmethod
    def after(self, ghost: Any, nodes: Mapping[NodeId, Node], changed: NodeId) -> Hashable:
        """The ghost after ``changed`` moved; raises ``Broken``."""


class Broken(Exception):
    """Raised by ``Invariant.after``; its text is the witness."""
