"""Broken on purpose: Paxos Commit with one rule taken out, each a subclass that overrides exactly one method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from distlib.core.mutant import mutant, seen_in
from distlib.core.node import NodeId, Send
from distlib.paxos.message import Propose
from distlib.paxos.paxos import Paxos, Phase
from distlib.transactions.invariants import Atomicity, Validity
from distlib.transactions.message import Answer, Bundle
from distlib.transactions.paxos_commit import Key, PaxosCommit

GL = "Gray & Lamport 2006"


@mutant("Committed is what *all* have voted for.", f"{GL}, §4.2", Atomicity, "too little money")
class CommitsOnMostVotes(PaxosCommit):
    """Commits when most votes are chosen, and are yes."""

    def outcome(self, votes: list[Any]) -> bool | None:
        return True if 2 * votes.count(Answer.YES) >= len(votes) else None if None in votes else False


@mutant("A vote counts when F + 1 acceptors have accepted it.", f"{GL}, §4.2", Atomicity, "two leaders")
class TrustsTheFirstBundle(PaxosCommit):
    """Commits when one acceptor has reported all votes as yes."""

    def on_bundle(self, sender: NodeId, message: Bundle) -> None:
        votes = [report.value for _, report in message.reports]
        one = self.rounds.get(message.transaction)
        if one is not None and one.commit is None and all(vote is Answer.YES for vote in votes):
            self.decide(message.transaction, True)


@mutant("For a silent participant, one proposes no.", f"{GL}, §4.2", Validity, "simulated faults")
class ProposesYesForOthers(PaxosCommit):
    """Proposes yes for whoever has not voted."""

    def propose_no(self, node: Paxos) -> None:
        if node.wanted is None:
            node.on_propose(self.id, Propose(Answer.YES))


@mutant("At a higher ballot one asks first what has been accepted.", f"{GL}, §4.1; Lamport 2001, §2.2", Atomicity,
        "acceptors crash")  # fmt: skip
class ProposesWithoutAsking(PaxosCommit):
    """Sends its no straight to the acceptors, as a participant may with its vote at ballot 0."""

    def propose_no(self, node: Paxos) -> None:
        node.ballot, node.wanted = node.next_ballot(), Answer.NO
        node.phase, node.proposal = Phase.PROPOSING, Answer.NO
        node.ask(node.acceptors)


@seen_in(
    "CockroachDB: a coordinator that had given up could abort what was committed by its staged writes",
    "cockroachdb/cockroach/pull/75601",
)
@mutant("A leader that has waited too long asks Paxos.", f"{GL}, §4.2", Atomicity, "simulated faults")
class AbortsByItself(PaxosCommit):
    """Aborts when votes do not come in time, as the coordinator of two-phase commit may."""

    def on_vote_timeout(self, transaction: str) -> None:
        if transaction in self.rounds:
            self.decide(transaction, False)


@mutant("Each participant's vote is an instance of its own.", f"{GL}, §4.1", Atomicity, "simulated faults")
class MixesInstancesUp(PaxosCommit):
    """Takes any chosen vote of a transaction for that of each participant."""

    def chosen(self, key: Key) -> Any:
        found = [self.instance(other).chosen for other in self.instances if other[0] == key[0]]
        return next((vote for vote in found if vote is not None), None)


@mutant("An acceptor has on disk what it has accepted.", f"{GL}, §4.2; Lamport 2001, §2.5", Atomicity,
        "acceptors crash")  # fmt: skip
class AcceptsFromMemory(PaxosCommit):
    """Forgets in a crash what it has promised and accepted."""

    def paxos(self, key: Key, event: Callable[[Paxos], None]) -> list[tuple[NodeId, Any]]:
        node = self.instance(key)
        event(node)
        effects = node.take_effects()
        self.instances[key] = node.state()
        return [(one.to, one.message) for one in effects if isinstance(one, Send)]
