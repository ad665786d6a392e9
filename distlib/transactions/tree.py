"""Two-phase commit down a tree: a participant that has participants of its own (Mohan, Lindsay & Obermarck 1986, §2).

To the node above it is one participant, to those below it is the coordinator: it votes yes when they all have, and
hands on the decision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from distlib.core.node import NodeId, setting, volatile
from distlib.transactions.bank import Operations, Work
from distlib.transactions.message import Answer, Decide, Prepare, Prepared, Reads, Record, Vote
from distlib.transactions.two_phase import Branch, Round, TwoPhaseCommit


@dataclass
class TreeCommit(TwoPhaseCommit):
    """A node of the tree; ``above`` says through whom a node is reached, for those not reached directly."""

    above: tuple[tuple[NodeId, NodeId], ...] = setting(())

    parents: dict[str, NodeId] = volatile(dict)  # who asked this node to prepare, and waits for the vote
    own: dict[str, Operations] = volatile(dict)  # what it has to do itself, once those below have voted yes

    def requests(self, transaction: str, one: Round) -> Iterator[tuple[NodeId, Prepare]]:
        """Ask those reached directly, and let them ask the others."""
        for node, operations in one.work:
            if self.through(node) == self.id:
                below = tuple([part for part in one.work if part[0] != node and self.leads(node, part[0])])
                yield node, Prepare(transaction, operations, (), one.begun_ms, below)

    def through(self, node: NodeId) -> NodeId:
        """Through whom ``node`` is reached: this node, unless ``above`` says another."""
        return dict(self.above).get(node, self.id)

    def leads(self, first: NodeId, last: NodeId) -> bool:
        """Whether the way to ``last`` goes through ``first``."""
        above = dict(self.above).get(last)
        return above == first or (above is not None and self.leads(first, above))

    def begin(self, transaction: str, one: Round) -> None:
        """The votes to wait for are those of the nodes right below."""
        self.check_tree(one.work)
        super().begin(transaction, one)
        if (now := self.rounds.get(transaction)) is not None:
            self.rounds[transaction] = replace(now, work=self.direct(one.work))
            self.decide_if_ready(transaction)

    def direct(self, work: Work) -> Work:
        """The part of ``work`` for the nodes right below this one."""
        return tuple([part for part in work if self.through(part[0]) == self.id])

    def check_tree(self, work: Work) -> None:
        """Raises ``ValueError`` for a node that is reached through one that takes no part."""
        nodes = {self.id, *(node for node, _ in work)}
        for node, _ in work:
            if (above := self.through(node)) not in nodes:
                raise ValueError(f"{node} is reached through {above}, which has no part in the work; give it one")

    # --- a node in the middle -----------------------------------------------------------------------------

    def on_prepare(self, sender: NodeId, message: Prepare) -> None:
        """First those below are asked."""
        transaction = message.transaction
        if not message.below or self.knows(transaction) or transaction in self.branches:
            super().on_prepare(sender, message)
        elif transaction not in self.rounds:
            self.parents[transaction], self.own[transaction] = sender, message.operations
            self.begin(transaction, Round(message.below, message.begun_ms))

    def on_all_yes(self, transaction: str) -> None:
        """At the root, that is the decision; in the middle it is time to prepare oneself, and to vote."""
        if transaction not in self.parents:
            super().on_all_yes(transaction)
        elif transaction in self.own:
            self.cancel_timer("vote", transaction)
            begun_ms = self.rounds[transaction].begun_ms
            self.admit(transaction, Branch(self.own.pop(transaction), self.parents[transaction], (), begun_ms))

    def may_leave(self, transaction: str, branch: Branch) -> bool:
        """Who has others below stays, to tell them."""
        return super().may_leave(transaction, branch) and transaction not in self.rounds

    def reads_for(self, transaction: str) -> Reads:
        """In the middle, also what those below have read."""
        below = self.rounds[transaction].reads if transaction in self.parents else ()
        return (*super().reads_for(transaction), *below)

    def send_vote(self, transaction: str, answer: Answer) -> None:
        """Who votes no in the middle, aborts below."""
        super().send_vote(transaction, answer)
        if answer is Answer.NO and transaction in self.rounds:
            self.decide(transaction, False)

    def decide(self, transaction: str, commit: bool) -> None:
        """In the middle, an abort before the own vote is a no to the node above."""
        if transaction in self.own:
            del self.own[transaction]
            self.finish(transaction, False, forced=False)
            self.send_after_sync(self.parents[transaction], Vote(transaction, Answer.NO))
        super().decide(transaction, commit)
        self.parents.pop(transaction, None)

    def tell(self, transaction: str, one: Round, commit: bool) -> None:
        """Only the root has a client."""
        if transaction not in self.parents:
            super().tell(transaction, one, commit)

    def on_decide(self, sender: NodeId, message: Decide) -> None:
        """Carry it out, and hand it on."""
        passed_on = message.transaction in self.rounds and not self.knows(message.transaction)
        super().on_decide(sender, message)
        if passed_on:
            self.decide(message.transaction, message.commit)

    def log_outcome(self, transaction: str, commit: bool) -> None:
        """In the middle, the decision that is handed on is forced right after, and both with it."""
        self.finish(transaction, commit, forced=transaction not in self.rounds)

    def force(self, record: Record) -> None:
        """With ``Prepared``, whom to tell of the decision."""
        if isinstance(record, Prepared) and record.transaction in self.parents:
            record = replace(record, below=self.rounds[record.transaction].participants)
        super().force(record)

    def recover(self, record: Record) -> None:
        """In doubt in the middle: those below have voted, and wait with this node."""
        super().recover(record)
        if isinstance(record, Prepared) and record.below:
            self.parents[record.transaction] = record.coordinator
            votes = tuple([(node, Answer.YES, ()) for node in record.below])
            self.rounds[record.transaction] = Round(tuple([(node, ()) for node in record.below]), votes=votes)
