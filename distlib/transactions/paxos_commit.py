"""Paxos Commit: each participant's vote is agreed on by Paxos, so no single node's crash leaves the others in doubt.

Gray & Lamport, *Consensus on Transaction Commit* (2006); section numbers are theirs. For each participant there is one
instance of Paxos, run here by the very class of chapter 3.1, ``distlib.paxos.paxos.Paxos``. A participant proposes its
own vote, at the lowest ballot, so without asking; somebody who has waited too long proposes *no* for it, at a higher
one. A transaction is committed when the votes of all have been chosen, and are yes. With one acceptor, at the
coordinator, this is two-phase commit (§5).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from distlib.core import require
from distlib.core.node import NodeId, Send, durable, setting, volatile
from distlib.paxos.message import Accept, Accepted, Ballot, Propose
from distlib.paxos.paxos import Paxos, Phase
from distlib.transactions.message import Answer, BeginCommit, Bundle, Decide, Instance, PaxosMessage, Wrote
from distlib.transactions.patience import TriesAgain

Key = tuple[str, NodeId]
"""An instance of Paxos: a transaction and the participant whose vote is to be agreed on."""


@dataclass
class PaxosCommit(TriesAgain):
    """A node, which may be participant, leader (the paper's word for the coordinator) and acceptor at once.

    Of the 2F + 1 ``acceptors``, F may be down. Participants send their votes to the first F + 1 of them alone (§4.3),
    which answer when they have the votes of all, in one message; whoever is in doubt for ``inquire_ms`` takes the lead.
    What participants have read is no part of their votes: the client is told of the decision alone.
    """

    acceptors: tuple[NodeId, ...] = setting(("S1", "S2", "S3"))

    accepted: dict[Key, Any] = durable(dict)  # acceptor: what Paxos keeps on disk, for each instance
    instances: dict[Key, Any] = volatile(dict)  # the state of Paxos, for each instance
    gathered: dict[str, tuple[tuple[NodeId, Any], ...]] = volatile(dict)  # acceptor: votes, until they are all there
    electorates: dict[str, tuple[NodeId, ...]] = volatile(dict)  # whose votes make up a transaction

    def __post_init__(self) -> None:
        super().__post_init__()
        require.names("acceptors", self.acceptors)
        if self.read_only_votes:
            raise ValueError(
                "read_only_votes is True; Paxos Commit agrees on the votes of all who take part, and lets nobody out "
                "before: leave it False"
            )

    @property
    def fast_acceptors(self) -> tuple[NodeId, ...]:
        """§4.3: F + 1 are enough where nothing fails."""
        return self.acceptors[: len(self.acceptors) // 2 + 1]

    # --- instances of Paxos -----------------------------------------------------------------------------------

    def paxos(self, key: Key, event: Callable[[Paxos], None]) -> list[tuple[NodeId, Any]]:
        """What Paxos does in the instance ``key`` when ``event`` happens to it, and what it wants sent."""
        node = self.instance(key)
        event(node)
        if node.durable_state() != self.accepted.get(key):
            self.accepted[key] = node.durable_state()
        effects = node.take_effects()
        self.instances[key] = node.state()
        return [(one.to, one.message) for one in effects if isinstance(one, Send)]

    def instance(self, key: Key) -> Paxos:
        """Paxos in the instance ``key``, as it stands."""
        node = Paxos(self.id, self.acceptors, learners=(), retransmit_ms=None, backoff_ms=None, catch_up_ms=None)
        if key in self.instances:
            node.load(self.instances[key])
        elif key in self.accepted:
            node.load_durable(self.accepted[key])
        return node

    def hear(self, key: Key, sender: NodeId, message: PaxosMessage) -> list[tuple[NodeId, Any]]:
        """What Paxos says to a message."""

        def event(node: Paxos) -> None:
            node.receive(sender, message)

        return self.paxos(key, event)

    def chosen(self, key: Key) -> Any:
        """The vote that this node knows to be agreed on; None while it knows none."""
        return self.instance(key).chosen

    def pass_on(self, key: Key, messages: Iterable[tuple[NodeId, Any]]) -> None:
        """Send what Paxos wants sent, in its instance's envelope."""
        for node, message in messages:
            self.send_after_sync(node, Instance(key[0], key[1], self.electorates.get(key[0], ()), message))

    def on_instance(self, sender: NodeId, message: Instance) -> None:
        """A message of one instance."""
        key, inner = (message.transaction, message.participant), message.message
        if message.electorate:
            self.electorates[message.transaction] = message.electorate
        if isinstance(inner, Accept) and not inner.ballot.round:
            self.gather(sender, message.transaction, inner.value)
        else:
            self.pass_on(key, self.hear(key, sender, inner))
            self.conclude(message.transaction)

    # --- participants -----------------------------------------------------------------------------------------

    def send_vote(self, transaction: str, answer: Answer) -> None:
        """§4.2: the vote is proposed at the lowest ballot, straight to the acceptors."""
        branch = self.branches[transaction]
        electorate = branch.voters
        self.electorates[transaction] = electorate
        if branch.begun is not None:
            super().send_vote(transaction, answer)
            if answer is Answer.NO:
                return
        for acceptor in self.fast_acceptors:
            if branch.begun is None or acceptor != branch.coordinator:
                vote = Instance(transaction, self.id, electorate, Accept(self.own_ballot, answer))
                self.send_after_sync(acceptor, vote)

    @property
    def own_ballot(self) -> Ballot:
        """§4.2: ballot 0 of a participant's instance is the participant's own."""
        return Ballot(0, self.id)

    # --- acceptors ----------------------------------------------------------------------------------------------

    def gather(self, participant: NodeId, transaction: str, vote: Any) -> None:
        """§4.3: wait for the votes of all, then accept them in one write, and report them in one message."""
        known = dict(self.gathered.get(transaction, ()))
        self.gathered[transaction] = tuple(sorted({participant: vote, **known}.items()))
        if {node for node, _ in self.gathered[transaction]} == set(self.electorates[transaction]):
            self.accept(transaction)

    def accept(self, transaction: str) -> None:
        """Accept all votes that Paxos lets this node accept, and report them to the leader."""
        reports: list[tuple[NodeId, Accepted]] = []
        for participant, vote in self.gathered.pop(transaction):
            said = self.hear((transaction, participant), participant, Accept(Ballot(0, participant), vote))
            reports += [(participant, one) for _, one in said if isinstance(one, Accepted)]
        if reports:
            bundle = Bundle(transaction, tuple(reports))
            self.output(Wrote(bundle, True))
            self.send_after_sync(transaction_leader(transaction, self.coordinator), bundle)

    # --- the leader -----------------------------------------------------------------------------------------------

    def on_begin_commit(self, sender: NodeId, message: BeginCommit) -> None:
        """The first participant's vote; as an acceptor, the leader takes it for one."""
        super().on_begin_commit(sender, message)
        if message.transaction in self.rounds and self.id in self.fast_acceptors:
            self.electorates[message.transaction] = self.voters(message.work)
            self.gather(sender, message.transaction, Answer.YES)

    def on_bundle(self, sender: NodeId, message: Bundle) -> None:
        """An acceptor has all votes."""
        for participant, report in message.reports:
            self.hear((message.transaction, participant), sender, report)
        self.conclude(message.transaction)

    def conclude(self, transaction: str) -> None:
        """End the transaction, if enough votes are chosen for that."""
        if transaction not in self.rounds and transaction not in self.branches:
            return
        electorate = self.electorate(transaction)
        votes = [self.chosen((transaction, participant)) for participant in electorate]
        if (commit := self.outcome(votes)) is not None:
            self.end(transaction, electorate, commit)

    def outcome(self, votes: list[Any]) -> bool | None:
        """§4.2: committed iff the votes of all are chosen, and are yes; one chosen no is enough to abort."""
        if Answer.NO in votes:
            return False
        return None if None in votes else True

    def electorate(self, transaction: str) -> tuple[NodeId, ...]:
        """Whose votes make up the transaction, which this node leads or takes part in."""
        if transaction in self.rounds:
            return self.voters(self.rounds[transaction].work)
        return self.branches[transaction].voters

    def end(self, transaction: str, electorate: tuple[NodeId, ...], commit: bool) -> None:
        """Tell all what the votes say: the leader, or whoever has taken the lead."""
        if transaction not in self.rounds:
            for node in dict.fromkeys((*electorate, transaction_leader(transaction, self.coordinator))):
                self.send(node, Decide(transaction, commit, False))
        elif self.rounds[transaction].commit is None:
            self.decide(transaction, commit)

    def receivers(self, one: Any, commit: bool) -> tuple[NodeId, ...]:
        """All participants: their votes went elsewhere."""
        return tuple(one.participants)

    def log_decision(self, transaction: str, commit: bool, receivers: tuple[NodeId, ...]) -> None:
        """§4.2: the acceptors have it on disk already."""

    def needs_acknowledgement(self, commit: bool) -> bool:
        """Who does not hear of it can find out."""
        return False

    def decide_if_ready(self, transaction: str) -> None:
        """Votes reach the leader by way of the acceptors."""

    def on_decide(self, sender: NodeId, message: Decide) -> None:
        """A leader that has not decided yet, has now."""
        one = self.rounds.get(message.transaction)
        if one is not None and one.commit is None:
            self.decide(message.transaction, message.commit)
        if message.transaction in self.branches or one is None:
            super().on_decide(sender, message)

    # --- taking the lead ------------------------------------------------------------------------------------------

    def on_vote_timeout(self, transaction: str) -> None:
        """§4.2: a vote that does not come is taken for a no, if Paxos agrees."""
        if transaction in self.rounds and self.rounds[transaction].commit is None:
            self.take_the_lead(transaction, self.voters(self.rounds[transaction].work))
            self.wait_longer("vote", self.vote_ms, transaction)

    def on_inquire_timeout(self, transaction: str) -> None:
        """In doubt: find out what has been chosen, and get the rest chosen."""
        branch = self.branches.get(transaction)
        if branch is not None:
            self.take_the_lead(transaction, branch.voters)
            self.wait_longer("inquire", self.inquire_ms, transaction)

    def take_the_lead(self, transaction: str, electorate: tuple[NodeId, ...]) -> None:
        """A higher ballot in each instance that is still open."""
        self.electorates[transaction] = electorate
        self.tried[transaction] = self.tried.get(transaction, 0) + 1
        for participant in electorate:
            key = (transaction, participant)
            if self.chosen(key) is None:
                self.pass_on(key, self.paxos(key, self.propose_no))
        self.conclude(transaction)

    def propose_no(self, node: Paxos) -> None:
        """§4.2: at a higher ballot one proposes *no*, unless a promise reports another vote, as Paxos demands. While
        nobody is known to be ahead, those are asked again who have not answered."""
        if node.wanted is None:
            node.on_propose(self.id, Propose(Answer.NO))
        elif node.phase in (Phase.PREPARING, Phase.PROPOSING):
            node.on_retransmit_timeout()
        else:
            node.phase = Phase.IDLE
            node.begin_ballot()


def transaction_leader(transaction: str, coordinator: NodeId | None) -> NodeId:
    """Who leads a transaction at first: the ``coordinator``, or who began it."""
    return coordinator or transaction.partition(".")[0]
