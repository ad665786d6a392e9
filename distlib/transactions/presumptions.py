"""What a coordinator may forget, and what it then says: presumed abort and presumed commit.

Mohan, Lindsay & Obermarck, *Transaction Management in the R\\* Distributed Database Management System* (1986), §3 and
§4; below: MLO. Both save log writes and messages of ``TwoPhaseCommit``; in R\\* both also let out participants that
have only read: see ``read_only_votes`` there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distlib.core.node import NodeId
from distlib.transactions.message import Collecting, Decided, Record
from distlib.transactions.two_phase import Round, TwoPhaseCommit


@dataclass
class PresumedAbort(TwoPhaseCommit):
    """An aborted transaction is forgotten at once: who asks for one that nobody knows, is told that it was aborted."""

    def log_decision(self, transaction: str, commit: bool, receivers: tuple[NodeId, ...]) -> None:
        """MLO §3: only a commit is forced; where all have only read, there is nothing to write."""
        if not commit:
            self.write(Decided(transaction, commit, receivers))
        elif receivers:
            self.force(Decided(transaction, commit, receivers))

    def needs_acknowledgement(self, commit: bool) -> bool:
        """MLO §3: an abort is not acknowledged."""
        return commit

    def log_outcome(self, transaction: str, commit: bool) -> None:
        """MLO §3: nor is it forced; a participant that forgets it asks, and is told the same again."""
        self.finish(transaction, commit, forced=commit)

    def log_refusal(self, transaction: str) -> None:
        """MLO §3: whose vote was no, forgets the transaction."""
        self.finish(transaction, False, forced=False)


@dataclass
class PresumedCommit(TwoPhaseCommit):
    """A committed transaction is forgotten at once: who asks for one that nobody knows, is told that it was committed.

    So before anybody can be in doubt, it must be on disk that there is such a transaction. Who begins a transaction
    coordinates it: of one that another node began, "unknown" could also mean "not heard of yet".
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.coordinator not in (None, self.id):
            raise ValueError(
                f"coordinator is {self.coordinator!r}; with presumed commit, {self.id} coordinates what it begins: "
                "leave coordinator out"
            )

    def log_begin(self, transaction: str, one: Round) -> None:
        """MLO §4: the names of the participants are forced to disk before they are asked."""
        self.force(Collecting(transaction, one.participants))

    def log_decision(self, transaction: str, commit: bool, receivers: tuple[NodeId, ...]) -> None:
        """MLO §4: either decision is forced; where all have only read, the commit need not be."""
        (self.force if receivers else self.write)(Decided(transaction, commit, receivers))

    def needs_acknowledgement(self, commit: bool) -> bool:
        """MLO §4: a commit is not acknowledged, an abort is."""
        return not commit

    def log_outcome(self, transaction: str, commit: bool) -> None:
        """MLO §4: a commit is not forced; a participant that forgets it asks, and is told the same again."""
        self.finish(transaction, commit, forced=not commit)

    def log_refusal(self, transaction: str) -> None:
        """MLO §4: whose vote was no, is not asked again."""
        self.finish(transaction, False, forced=False)

    def presumed(self, transaction: str) -> bool:
        """MLO §4: in the absence of information, commit."""
        return True

    def recover(self, record: Record) -> None:
        """MLO §4: who was collecting votes and has no decision, aborts."""
        if isinstance(record, Collecting):
            known: tuple[Any, ...] = tuple([(node, ()) for node in record.participants])
            self.rounds[record.transaction] = Round(known)
            self.decide(record.transaction, False)
        else:
            super().recover(record)
