"""What coordinators and participants of a transaction say to each other, write to their logs, and tell the world."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from distlib.core.look import Look
from distlib.core.node import NodeId
from distlib.paxos.message import NO_BALLOT, Accept, Accepted, Ballot, Nack, Promise
from distlib.paxos.message import Prepare as PaxosPrepare
from distlib.transactions.bank import Operations, Work

Reads = tuple[tuple[str, int], ...]
"""Balances that a transaction has read, as (account, balance) pairs."""


class Answer(Enum):
    """What a participant votes."""

    YES = "yes"
    NO = "no"
    READ = "read-only"


# --- to and from clients ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begin:
    """A client asks the node to carry out ``work`` as one transaction; without ``client``, nobody is answered."""

    work: Work
    client: NodeId | None = None
    serial: int | None = None

    look = Look("slate", place=4)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a client's request: committed, with what it read, or aborted."""

    transaction: str
    commit: bool
    reads: Reads = ()

    def __str__(self) -> str:
        return f"{self.transaction} {'committed' if self.commit else 'aborted'}"


# --- the first phase (Gray 1978; Mohan, Lindsay & Obermarck 1986, §2) --------------------------------


@dataclass(frozen=True, slots=True)
class BeginCommit:
    """A participant that began a transaction, and is prepared, asks the coordinator to commit it: its vote is in here
    (Gray & Lamport 2006, §3.1)."""

    transaction: str
    work: Work
    begun_ms: float
    client: NodeId | None = None
    serial: int | None = None
    reads: Reads = ()

    look = Look("blue", "dash", place=5)


@dataclass(frozen=True, slots=True)
class Prepare:
    """Do the operations so that they can be both committed and undone, then vote. ``voters`` are all who may be in
    doubt later: whom to ask where the coordinator is silent. ``begun_ms`` is the transaction's age; ``below`` what the
    receiver shall ask of others, in a tree."""

    transaction: str
    operations: Operations
    voters: tuple[NodeId, ...]
    begun_ms: float = 0.0
    below: Work = ()

    look = Look("blue", place=6)


@dataclass(frozen=True, slots=True)
class Vote:
    """Yes: whatever comes, I can commit, and can abort. No: I have aborted. Read-only: it is all the same to me."""

    transaction: str
    answer: Answer
    reads: Reads = ()

    look = Look("sky", "dot", place=6)


# --- the second phase -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Decide:
    """The decision; ``acknowledge``: the coordinator keeps it until all have said that they know it."""

    transaction: str
    commit: bool
    acknowledge: bool = True

    @property
    def kind(self) -> str:
        """Commit or Abort."""
        return "Commit" if self.commit else "Abort"

    @property
    def look(self) -> Look:
        """As its kind."""
        return Look("green", place=7) if self.commit else Look("vermillion", place=8)


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """This participant knows the decision, and will after a crash."""

    transaction: str

    look = Look("green", "dot", place=7)


@dataclass(frozen=True, slots=True)
class Inquire:
    """A participant in doubt asks the ``coordinator`` of the transaction, or those who may know, for the decision."""

    transaction: str
    coordinator: NodeId

    look = Look("purple", "dash", place=9)


# --- deadlocks ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Waiter:
    """A transaction in a chain of those that wait for each other: its age, and where it is coordinated."""

    begun_ms: float
    transaction: str
    coordinator: NodeId

    def older_than(self, other: Waiter) -> bool:
        """Whether it began before ``other``; its name decides between equals."""
        return (self.begun_ms, self.transaction) < (other.begun_ms, other.transaction)


@dataclass(frozen=True, slots=True)
class Wound:
    """To the coordinator of ``transaction``: abort it, unless it is decided; an older one waits for it."""

    transaction: str

    look = Look("orange", place=10)


@dataclass(frozen=True, slots=True)
class Probe:
    """Each of ``chain`` waits for the next one; if the last waits for the first, that is a deadlock (Chandy, Misra &
    Haas 1983, §3). It goes to the last one's coordinator, which hands it down to those who have not voted. ``search``
    names all the probes that come of one that a waiting node began."""

    search: str
    chain: tuple[Waiter, ...]
    handed_down: bool = False

    look = Look("yellow", place=10)


# --- three phases -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PreDecide:
    """Lean towards this decision, so that others can make it without the coordinator; the ``ballot`` says whose turn it
    is (Skeen 1981; Keidar & Dolev 1998)."""

    transaction: str
    commit: bool
    ballot: Ballot

    @property
    def kind(self) -> str:
        """PreCommit or PreAbort."""
        return "PreCommit" if self.commit else "PreAbort"

    @property
    def look(self) -> Look:
        """As its kind."""
        return Look("green", "dash", place=11) if self.commit else Look("vermillion", "dash", place=11)


@dataclass(frozen=True, slots=True)
class StageRequest:
    """How far are you? Somebody wants to end the transaction of these voters (Skeen 1981)."""

    transaction: str
    voters: tuple[NodeId, ...]
    ballot: Ballot

    look = Look("purple", place=12)


@dataclass(frozen=True, slots=True)
class StageReport:
    """Prepared, and leaning towards ``leaning`` since the ballot ``since``, if at all; ``ballot`` is the highest
    that it has answered."""

    transaction: str
    ballot: Ballot
    leaning: bool | None = None
    since: Ballot = NO_BALLOT

    look = Look("purple", "dot", place=12)


# --- Paxos Commit ---------------------------------------------------------------------------------------------

PaxosMessage = PaxosPrepare | Promise | Accept | Accepted | Nack


@dataclass(frozen=True, slots=True)
class Instance:
    """A message of Paxos, in the instance that agrees on the vote of ``participant``; the ``electorate`` are all whose
    votes make up the transaction."""

    transaction: str
    participant: NodeId
    electorate: tuple[NodeId, ...]
    message: PaxosMessage

    @property
    def kind(self) -> str:
        """That of the message in it."""
        return type(self.message).__name__

    @property
    def look(self) -> Look:
        """That of the message in it."""
        return self.message.look


@dataclass(frozen=True, slots=True)
class Bundle:
    """An acceptor has accepted the votes of all participants."""

    transaction: str
    reports: tuple[tuple[NodeId, Accepted], ...]

    look = Look("sky", "dot", place=13)


# --- the log --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Collecting:
    """Coordinator: these are asked to prepare (presumed commit alone needs it)."""

    transaction: str
    participants: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class Decided:
    """Coordinator: the decision, and who must hear of it."""

    transaction: str
    commit: bool
    receivers: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class Ended:
    """Coordinator: everybody knows; the transaction may be forgotten."""

    transaction: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """Participant: what it has promised to be able to do, and to undo, whom to ask, and whom to tell in a tree."""

    transaction: str
    operations: Operations
    coordinator: NodeId
    voters: tuple[NodeId, ...] = ()
    below: tuple[NodeId, ...] = ()


@dataclass(frozen=True, slots=True)
class Leaning:
    """Participant of three-phase commit: the highest ballot that it has answered, where it leans, and since when."""

    transaction: str
    ballot: Ballot = NO_BALLOT
    commit: bool | None = None
    since: Ballot = NO_BALLOT


@dataclass(frozen=True, slots=True)
class Finished:
    """Participant: the decision as it was carried out here."""

    transaction: str
    commit: bool


Record = Any
"""One of those above, or of a protocol that derives from two-phase commit."""


# --- to the outside world ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wrote:
    """A record was written to the log; ``forced``: the node waited until it was on disk."""

    record: Record
    forced: bool


@dataclass(frozen=True, slots=True)
class Begun:
    """A coordinator began the transaction."""

    transaction: str


@dataclass(frozen=True, slots=True)
class Told:
    """A coordinator told its client what became of the transaction."""

    transaction: str
    commit: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """A participant voted no, and why."""

    transaction: str
    reason: str
