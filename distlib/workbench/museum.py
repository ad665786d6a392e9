"""The bug museum: variants of Raft and Paxos that lack one rule, each with the rule, the paper, and who shipped it.

    >>> piece("CommitsOldTerms").rule

A piece is *safety* (some invariant breaks), *liveness* (nothing bad happens, and nothing good either) or *masked*:
a rule is broken, and no promise with it, because another rule stands in for it. ``finder`` names a search that finds
the piece from a cold start. Reports were read in the public threads named; a report says that the same rule was
missing or wrong there, not that the code was the same.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Literal

from distlib.core.node import Node
from distlib.paxos.paxos import Paxos
from distlib.raft.raft import Raft

Kind = Literal["safety", "liveness", "masked"]
SAFETY: Kind = "safety"
LIVENESS: Kind = "liveness"
MASKED: Kind = "masked"


@dataclass(frozen=True)
class FieldReport:
    """Where a real system had this bug: which one and what was said of it, and the address of the thread."""

    what: str
    url: str


@dataclass(frozen=True)
class Piece:
    """One exhibit.

    ``variant`` is the broken class; ``rule`` what the paper demands, ``paper`` where; ``finder`` the name of a search
    that finds it ("" for a masked one); ``invariant`` what breaks; ``masked_by`` why a masked one breaks nothing;
    ``report`` a real system that had it, None where we know of none.
    """

    variant: type[Node]
    rule: str
    paper: str
    finder: str
    invariant: str
    kind: Kind = SAFETY
    masked_by: str = ""
    report: FieldReport | None = None

    @property
    def name(self) -> str:
        """The broken class's name."""
        return self.variant.__name__

    @property
    def title(self) -> str:
        """What the broken class does, in its own words."""
        return (inspect.getdoc(self.variant) or "").split("\n\n")[0]

    @property
    def protocol(self) -> str:
        """Raft or Paxos."""
        return "Raft" if issubclass(self.variant, Raft) else "Paxos"

    @property
    def right(self) -> type[Node]:
        """The class that it is derived from, which has the rule."""
        base = self.variant.__mro__[1]
        assert issubclass(base, Node)
        return base

    @property
    def method(self) -> str:
        """The one method that it overrides."""
        (name,) = [name for name, item in vars(self.variant).items() if inspect.isfunction(item)]
        return name

    def sources(self) -> tuple[str, str]:
        """The right method's source and the broken one's."""
        return (inspect.getsource(getattr(self.right, self.method)), inspect.getsource(vars(self.variant)[self.method]))


def pieces(protocol: str | None = None) -> tuple[Piece, ...]:
    """All pieces, or those of "Raft" or "Paxos". Raises ValueError for another protocol."""
    from distlib.paxos.museum import PAXOS_PIECES
    from distlib.raft.museum import RAFT_PIECES

    shown = {None: (*RAFT_PIECES, *PAXOS_PIECES), Raft.__name__: RAFT_PIECES, Paxos.__name__: PAXOS_PIECES}
    if protocol not in shown:
        raise ValueError(f"protocol is {protocol!r}; the museum has Raft and Paxos")
    return shown[protocol]


def piece(name: str) -> Piece:
    """The piece called ``name``. Raises ValueError when there is none."""
    for one in pieces():
        if one.name == name:
            return one
    raise ValueError(f"the museum has no piece {name!r}; it has {', '.join(one.name for one in pieces())}")
