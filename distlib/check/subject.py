"""Subject: everything that the tools which span protocols need to know of one.

A protocol's folder makes one ``Subject``; the judge, the museum, the kill matrix and the Step lab work on subjects.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from distlib.check.cluster.model import ClusterModel
from distlib.check.search import ProtocolSearch
from distlib.core.invariant import Invariant
from distlib.core.mutant import Mutant
from distlib.core.node import Node, NodeId, node_names
from distlib.core.trace import Trace

Requests = Sequence[tuple[NodeId | None, Any]]
"""What clients may ask: pairs of a node (None: any node) and a message."""


@dataclass(frozen=True)
class Subject:
    """A protocol: ``node_class`` and whatever derives from it, and the classes of its ``others`` (a monitor).

    ``nodes`` makes the nodes of a cluster with these names, not yet started; ``invariants`` what must always hold;
    ``requests`` what the clients of such a cluster may ask. ``searches`` are all there are: those of variants first,
    those of the explorer, whose counterexamples are short, cheapest first, simulated runs, random walks. ``correct``
    are the shipped classes that must pass them; ``mutants`` those that must not. ``example`` is a run that shows a
    class at work where nothing goes wrong: equivalent mutants need one, else ``ValueError`` is raised.
    """

    node_class: type[Node]
    nodes: Callable[[type[Any], tuple[NodeId, ...]], list[Any]]
    invariants: Callable[[], Sequence[Invariant]]
    requests: Callable[[tuple[NodeId, ...]], Requests]
    searches: tuple[ProtocolSearch, ...] = ()
    correct: tuple[type[Node], ...] = ()
    mutants: tuple[Mutant, ...] = ()
    example: Callable[[type[Any]], Trace] | None = None
    others: tuple[type[Node], ...] = ()

    def __post_init__(self) -> None:
        lost = [one.name for one in self.mutants if one.sort == "equivalent" and self.example is None]
        if lost:
            raise ValueError(f"{self.name} has the equivalent mutant {lost[0]}, and no example of a run to show it in")
        known = [one.name for one in self.searches]
        for one in self.mutants:
            if one.killed_by and one.killed_by not in known:
                raise ValueError(f"{one.name} is killed by {one.killed_by!r}; {self.name} has {', '.join(known)}")

    def base_of(self, node_class: Any) -> type[Node] | None:
        """The class of this protocol that ``node_class`` is, or derives from; None for a class of another one."""
        bases = [one for one in (self.node_class, *self.others) if issubclass(node_class, one)]
        return bases[0] if bases else None

    def reference_of(self, node_class: type[Node]) -> type[Node]:
        """The shipped, correct class that ``node_class`` is, or derives from: the nearest one."""
        shipped = (*self.correct, self.node_class, *self.others)
        return next(one for one in node_class.__mro__ if one in shipped)

    @property
    def name(self) -> str:
        """The class's name."""
        return self.node_class.__name__

    def model(self, node_class: type[Node], servers: int) -> ClusterModel:
        """A cluster of ``servers`` nodes of ``node_class``, its invariants, and what clients may ask."""
        names = node_names(servers)
        return ClusterModel(
            lambda: self.nodes(node_class, names), invariants=self.invariants(), requests=self.requests(names)
        )

    def search(self, name: str) -> ProtocolSearch:
        """The search called ``name``. Raises ``KeyError`` when there is none."""
        for one in self.searches:
            if one.name == name:
                return one
        raise KeyError(f"{self.name} has no search {name!r}; it has {', '.join(one.name for one in self.searches)}")
