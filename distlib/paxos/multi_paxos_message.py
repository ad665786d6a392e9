"""What Multi-Paxos's servers say to each other and to the outside world; a slot's value is a client's request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from distlib.core.look import Look
from distlib.core.node import NodeId
from distlib.paxos.message import Ballot
from distlib.replication.message import ClientRequest, NoOp

Slot = int
"""Number of an instance of Paxos: slot 1 decides the first command."""

NO_OP = ClientRequest(NoOp())
"""The value for a slot that nobody has a command for (§3): it changes nothing."""


class Proposal(NamedTuple):
    """What an acceptor has accepted in a slot."""

    ballot: Ballot
    request: ClientRequest


@dataclass(frozen=True, slots=True)
class Prepare:
    """Phase 1a for all slots from ``first`` on at once (§3)."""

    ballot: Ballot
    first: Slot

    look = Look("vermillion", place=6)


@dataclass(frozen=True, slots=True)
class Promise:
    """Phase 1b for all slots from ``first`` on: what this server knows to be chosen, and has accepted in the others."""

    ballot: Ballot
    first: Slot
    accepted: tuple[tuple[Slot, Proposal], ...] = ()
    chosen: tuple[tuple[Slot, ClientRequest], ...] = ()

    look = Look("vermillion", "dot", place=6)


@dataclass(frozen=True, slots=True)
class Accept:
    """Phase 2a of one slot; all slots up to ``chosen_up_to`` are chosen."""

    ballot: Ballot
    slot: Slot
    request: ClientRequest
    chosen_up_to: Slot

    look = Look("blue", place=7)


@dataclass(frozen=True, slots=True)
class Accepted:
    """Phase 2b of one slot, to the leader, who is the distinguished learner (§2.3)."""

    ballot: Ballot
    slot: Slot

    look = Look("sky", "dot", place=7)


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The leader of ``ballot`` is alive; all slots up to ``chosen_up_to`` are chosen."""

    ballot: Ballot
    chosen_up_to: Slot

    look = Look("mist", place=13)
    routine = True  # figures may fold it away


@dataclass(frozen=True, slots=True)
class CatchUp:
    """A server that has missed messages asks for what is chosen, from slot ``first`` on."""

    first: Slot


@dataclass(frozen=True, slots=True)
class ChosenEntries:
    """The answer to ``CatchUp``: the values chosen for the slots from ``first`` on."""

    first: Slot
    requests: tuple[ClientRequest, ...]


# --- to the outside world -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BecameLeader:
    """This server has the promises of a quorum for ``ballot``."""

    ballot: Ballot


@dataclass(frozen=True, slots=True)
class Applied:
    """This server applied the value chosen for ``slot``; ``result`` is what its state machine returned."""

    slot: Slot
    command: Any
    client: NodeId | None
    serial: int | None
    result: Any = None


class MultiPaxosView(NamedTuple):
    """What an observer sees of a server: ``log`` is the chosen prefix, ``learnt`` what is chosen after a hole,
    ``accepted`` the acceptor's open slots, ``term`` the round of the highest ballot that it has promised."""

    role: str
    term: int
    ballot: Ballot
    promised: Ballot
    leader: NodeId | None
    last_applied: Slot
    log: tuple[ClientRequest, ...]
    learnt: tuple[tuple[Slot, ClientRequest], ...]
    accepted: tuple[tuple[Slot, Proposal], ...]

    @staticmethod
    def role_looks() -> dict[str, Look]:
        """How figures colour a server's lane."""
        return {"follower": Look("pale slate"), "candidate": Look("orange"), "leader": Look("blue")}
