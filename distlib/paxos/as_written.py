"""The article's Paxos, taken literally: each misreading is a class that runs like the real protocol.

Each says what the article says (by its id in ``data/article_claims.csv``), what the protocol does, and what comes of
the difference, which a checker shows.
"""

from __future__ import annotations

from dataclasses import dataclass

from distlib.core.node import NodeId
from distlib.paxos.message import NO_BALLOT, Accepted, Ballot, BallotStarted, Learned, Value
from distlib.paxos.paxos import Paxos, Phase


@dataclass
class OneRoundPaxos(Paxos):
    """The article's four steps: propose, vote, count, tell. The ballot only tells proposals apart.

    *The article says* (``paxos-suitable``): "If the acceptor finds the proposer's value suitable, it sends a vote to
    the learners." (``paxos-enough``): "When the learner has received enough votes, it decides which proposer's value is
    the one finally agreed on." What is suitable and what is enough, it does not say; here every value is suitable, and
    a majority of the acceptors is enough. *The protocol does*: before it proposes a value, a proposer gets a majority's
    promises and takes over the value of the highest ballot that they report (Lamport 2001, §2.2, P2c); then a majority
    of acceptors chooses, and learners only find out. *What comes of it*: two learners hear enough votes for two values.
    """

    def begin_ballot(self) -> None:
        """Step 1: ask for votes at once, for this proposer's own value, whatever may have been accepted before."""
        self.ballot = self.highest_seen = self.next_ballot()
        self.phase, self.promises, self.proposal = Phase.PROPOSING, (), self.wanted
        self.output(BallotStarted(self.ballot))
        self.ask(self.acceptors)

    def may_accept(self, ballot: Ballot) -> bool:
        """Step 2: every value is suitable."""
        return True

    def on_accepted(self, sender: NodeId, message: Accepted) -> None:
        """Step 3: learners count, and nobody else does."""
        if self.is_learner:
            super().on_accepted(sender, message)

    def learn(self, value: Value) -> None:
        """Step 4: a learner that has decided tells the other nodes to use the value."""
        super().learn(value)
        others = dict.fromkeys((*self.acceptors, *self.learners)) if self.is_learner else ()
        for node in others:
            if node != self.id:
                self.send_after_sync(node, Learned(value))


@dataclass
class OneVotePaxos(OneRoundPaxos):
    """The same, where only the first proposal that an acceptor receives is suitable: the repair that comes to mind.

    *The article says* (``paxos-vote``): "When an acceptor receives the proposal, it votes on it." *The protocol does*:
    an acceptor may accept many proposals, with rising ballots (Lamport 2001, §2.2: "we must allow an acceptor to accept
    more than one proposal"). *What comes of it*: agreement holds if enough is a majority, but votes that are split stay
    so, and progress is lost for good.
    """

    def may_accept(self, ballot: Ballot) -> bool:
        """Vote for the first proposal that comes, and for that alone."""
        return self.accepted_ballot in (NO_BALLOT, ballot)
