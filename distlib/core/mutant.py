"""Mutants: protocol classes with one rule taken out, with what is known of each.

    @seen_in("Zeebe: a server voted for two candidates of one term", "camunda/camunda/issues/5356")
    @mutant("A server votes for at most one candidate in a term.", "§5.2", ElectionSafety, "elections")
    class VotesTwice(Raft):
        ...

A mutant is *killed* by a search that finds what it does wrong. One that breaks a rule, and no promise with it, because
another rule stands in for the missing one, is an *equivalent mutant*: no search kills it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Literal, TypeVar

from distlib.core.invariant import Invariant
from distlib.core.node import Node

AnyNode = TypeVar("AnyNode", bound=type[Node])
Sort = Literal["safety", "liveness", "equivalent"]

LIVENESS = "liveness"
"""What a mutant breaks that is safe because it does nothing, or not enough."""
LINEARIZABILITY = "linearizability"
"""What a mutant breaks whose clients see a history that no single server could have given."""


@dataclass(frozen=True)
class FieldReport:
    """A real system that had the bug: its name and what was said, and the address of the public thread. It says that
    the same rule was missing or wrong there, not that the code was the same."""

    what: str
    url: str


@dataclass(frozen=True)
class Mutant:
    """``rule`` is what the paper demands, ``paper`` where; ``breaks`` the invariant's name, ``LIVENESS`` or
    ``LINEARIZABILITY``; ``killed_by`` the name of a search that finds it from a cold start. Both are empty for an
    equivalent mutant. ``because`` says why an equivalent mutant breaks nothing, or why one breaks less than one thinks.
    ``report`` names a real system that had the bug, None where we know of none."""

    node_class: type[Node]
    rule: str
    paper: str
    breaks: str = ""
    killed_by: str = ""
    because: str = ""
    report: FieldReport | None = None

    @property
    def name(self) -> str:
        """The class's name."""
        return self.node_class.__name__

    @property
    def sort(self) -> Sort:
        """Whether some invariant or history breaks, nothing good happens any more, or nothing is lost at all."""
        if not self.breaks:
            return "equivalent"
        return "liveness" if self.breaks == LIVENESS else "safety"

    @property
    def title(self) -> str:
        """What the class does, in its own words."""
        return (inspect.getdoc(self.node_class) or "").split("\n\n")[0]

    @property
    def original(self) -> type[Node]:
        """The class that it is derived from, which has the rule."""
        base = self.node_class.__mro__[1]
        assert issubclass(base, Node)
        return base

    @property
    def method(self) -> str:
        """The one method that it overrides."""
        (name,) = [name for name, item in vars(self.node_class).items() if inspect.isfunction(item)]
        return name

    def sources(self) -> tuple[str, str]:
        """The original method's source and the mutant's."""
        own = vars(self.node_class)[self.method]
        return inspect.getsource(getattr(self.original, self.method)), inspect.getsource(own)


def mutant(
    rule: str, paper: str, breaks: type[Invariant] | str, killed_by: str, because: str = ""
) -> Callable[[AnyNode], AnyNode]:
    """Mark a class as a mutant: its record becomes the class's attribute ``mutant``. Arguments as in ``Mutant``.

    Raises ``TypeError`` for a class that does not override exactly one method.
    """
    promise = breaks if isinstance(breaks, str) else breaks.name

    def mark(node_class: AnyNode) -> AnyNode:
        return _marked(node_class, Mutant(node_class, rule, paper, promise, killed_by, because))

    return mark


def equivalent(rule: str, paper: str, because: str) -> Callable[[AnyNode], AnyNode]:
    """Mark a class as an equivalent mutant, which breaks ``rule`` and nothing else, ``because`` …"""
    return mutant(rule, paper, "", "", because)


def seen_in(what: str, thread: str) -> Callable[[AnyNode], AnyNode]:
    """Add to a mutant where a real system had the bug; ``thread`` is one on GitHub: ``"etcd-io/etcd/issues/14143"``."""

    def mark(node_class: AnyNode) -> AnyNode:
        if "mutant" not in vars(node_class):
            raise TypeError(f"@seen_in stands above @mutant or @equivalent; {node_class.__name__} is not marked yet")
        report = FieldReport(what, f"https://github.com/{thread}")
        return _marked(node_class, replace(vars(node_class)["mutant"], report=report))

    return mark


def _marked(node_class: AnyNode, record: Mutant) -> AnyNode:
    own = [name for name, item in vars(node_class).items() if inspect.isfunction(item)]
    if len(own) != 1:
        raise TypeError(
            f"{node_class.__name__} overrides {', '.join(own) or 'no method'}; a mutant overrides just one method "
            "(no property, no field)"
        )
    setattr(node_class, "mutant", record)  # noqa: B010 (a class of nodes declares no such attribute)
    return node_class


def mutants_in(module: ModuleType) -> tuple[Mutant, ...]:
    """The mutants that ``module`` defines, in the order in which they stand there."""
    classes = [item for item in vars(module).values() if isinstance(item, type) and "mutant" in vars(item)]
    return tuple(vars(item)["mutant"] for item in classes)
