"""The subjects: every protocol that the tools which span protocols know, a line each."""

from __future__ import annotations

from typing import Any

from distlib.check.subject import Subject
from distlib.paxos.subject import MULTI_PAXOS, PAXOS
from distlib.raft.subject import RAFT
from distlib.replication.subject import PRIMARY_BACKUP
from distlib.transactions.flexible.subject import AT_MODE, OUTBOX, SAGA, TCC_SUBJECT
from distlib.transactions.subject import PAXOS_COMMIT, QUORUM_COMMIT, TWO_PHASE

SUBJECTS: tuple[Subject, ...] = (
    RAFT, PAXOS, MULTI_PAXOS, PRIMARY_BACKUP, PAXOS_COMMIT, QUORUM_COMMIT, TWO_PHASE, SAGA, TCC_SUBJECT, AT_MODE,
    OUTBOX,
)  # fmt: skip

JUDGED = tuple(one for one in SUBJECTS if one.searches)
"""Those that have searches: what the judge judges."""
EXHIBITED = tuple(one for one in SUBJECTS if one.mutants)
"""Those that have mutants: what hangs in the museum and stands in the kill matrix."""


def check_names(subjects: tuple[Subject, ...]) -> None:
    """Raises ``ValueError`` for two mutants of one name: menus, files and commands go by it."""
    names = [one.name for subject in subjects for one in subject.mutants]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"two mutants are called {twice[0]}; each takes a name of its own, over all protocols")


check_names(SUBJECTS)


def subject_of(node_class: Any, among: tuple[Subject, ...] = SUBJECTS) -> Subject:
    """The subject that ``node_class`` is, or derives from. Raises ``TypeError`` for anything else."""
    for one in among:
        if isinstance(node_class, type) and one.base_of(node_class) is not None:
            return one
    known = ", ".join(one.name for one in among)
    if any(isinstance(node_class, one.node_class) for one in among):
        name = type(node_class).__name__
        raise TypeError(f"this takes the class itself, not a node made of it: write {name}, not {name}(…)")
    raise TypeError(f"this takes a class derived from one of {known}, and got {node_class!r}")


def subject_named(name: str, among: tuple[Subject, ...] = SUBJECTS) -> Subject:
    """The subject called ``name``. Raises ``ValueError`` when there is none."""
    for one in among:
        if one.name == name:
            return one
    raise ValueError(f"there is no protocol {name!r}; there are {', '.join(one.name for one in among)}")
