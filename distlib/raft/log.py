"""Raft's log: an immutable sequence of entries, indexed from 1, that may start after a snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distlib.core.node import NodeId

Term = int
"""Logical time: at most one leader in each term (§5.1)."""

Index = int
"""Position in the log; the first entry has index 1."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A command and the term in which a leader received it; ``client`` and ``serial`` name the request (§8)."""

    term: Term
    command: Any
    client: NodeId | None = None
    serial: int | None = None

    def __str__(self) -> str:
        return f"{self.term}:{self.command}"


@dataclass(frozen=True, slots=True)
class Log:
    """The entries after ``base_index``, the last that a snapshot covers (0: none); ``base_term`` is its term (§7)."""

    entries: tuple[Entry, ...] = ()
    base_index: Index = 0
    base_term: Term = 0

    def __hash__(self) -> int:
        # Cheap on purpose, for a log is hashed often: length and last entry nearly say it all (Log Matching).
        return hash((self.base_index, len(self.entries), self.entries[-1] if self.entries else self.base_term))

    def __str__(self) -> str:
        snapshot = f"…{self.base_index} " if self.base_index else ""
        return f"{snapshot}[{', '.join(map(str, self.entries))}]"

    @property
    def last_index(self) -> Index:
        """Index of the last entry, 0 for an empty log."""
        return self.base_index + len(self.entries)

    @property
    def last_term(self) -> Term:
        """Term of the last entry, 0 for an empty log."""
        return self.entries[-1].term if self.entries else self.base_term

    def term_at(self, index: Index) -> Term | None:
        """Term of the entry at ``index``; 0 at index 0; None where no entry is, or only the snapshot has it."""
        position = index - self.base_index
        if position == 0:
            return self.base_term
        return self.entries[position - 1].term if 0 < position <= len(self.entries) else None

    def entry(self, index: Index) -> Entry:
        """The entry at ``index``. Raises ``IndexError`` where there is none, or only the snapshot has it."""
        if not self.base_index < index <= self.last_index:
            raise IndexError(f"no entry {index} in the log: it holds {self.base_index + 1} to {self.last_index}")
        return self.entries[index - self.base_index - 1]

    def slice(self, first: Index, limit: int | None = None) -> tuple[Entry, ...]:
        """The entries from index ``first`` on, at most ``limit`` of them."""
        start = max(first - self.base_index - 1, 0)
        return self.entries[start:] if limit is None else self.entries[start : start + limit]

    def append(self, *entries: Entry) -> Log:
        """This log with ``entries`` at its end."""
        return Log(self.entries + entries, self.base_index, self.base_term)

    def truncated_from(self, index: Index) -> Log:
        """This log without the entry at ``index`` and all that follow it."""
        return Log(self.entries[: max(index - self.base_index - 1, 0)], self.base_index, self.base_term)

    def compacted(self, index: Index) -> Log:
        """This log without the entries up to and including ``index``, which a snapshot now covers (§7)."""
        term = self.term_at(index)
        if term is None:
            raise IndexError(f"cannot compact to {index}: the log holds {self.base_index + 1} to {self.last_index}")
        return Log(self.slice(index + 1), index, term)

    def first_index_of(self, index: Index) -> Index:
        """The first index whose entry, and all up to ``index``, have the same term as ``index``."""
        term = self.term_at(index)
        while self.term_at(index - 1) == term and index - 1 > self.base_index:
            index -= 1
        return index

    def last_index_of(self, term: Term | None, before: Index) -> Index:
        """The last index below ``before`` whose entry has ``term``; 0: none."""
        indices = range(min(before - 1, self.last_index), self.base_index, -1)
        return next((index for index in indices if self.term_at(index) == term), 0)
