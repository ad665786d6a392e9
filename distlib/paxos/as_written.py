"""The article's Paxos, taken literally: each misreading is a class that runs like the real protocol.

It says what the article says, what the protocol does, and what comes of the difference, which a checker shows.
"""

from __future__ import annotations

from dataclasses import dataclass

from distlib.paxos.message import NO_BALLOT, Ballot, BallotStarted
from distlib.paxos.paxos import Paxos, Phase


@dataclass
class OneRoundPaxos(Paxos):
    """Paxos without phase 1.

    *The article says*: a proposer sends a proposal with a number to all; the acceptors vote; if a majority agrees, the
    value is accepted. *The protocol does*: before it proposes a value, a proposer gets a majority's promises and takes
    over the value of the highest ballot that they report (Lamport 2001, §2.2, P2c). *What comes of it*: a later
    proposal gets a majority for another value, after the first one was chosen: agreement is broken.
    """

    def begin_ballot(self) -> None:
        """Ask for votes at once, for this proposer's own value, whatever may have been accepted before."""
        self.ballot = self.highest_seen = self.next_ballot()
        self.phase, self.promises, self.proposal = Phase.PROPOSING, (), self.wanted
        self.output(BallotStarted(self.ballot))
        self.ask(self.acceptors)


@dataclass
class OneVotePaxos(OneRoundPaxos):
    """One round of votes, in which an acceptor votes once and for all: the repair that comes to mind first.

    *The article says*: the acceptors vote on a proposal, and a majority decides. *The protocol does*: an acceptor may
    accept many proposals, with rising ballots (Lamport 2001, §2.2: "we must allow an acceptor to accept more than one
    proposal"). *What comes of it*: agreement holds, but votes that are split stay so: progress is lost for good.
    """

    def may_accept(self, ballot: Ballot) -> bool:
        """Vote for the first proposal that comes, and for that alone."""
        return self.accepted_ballot in (NO_BALLOT, ballot)
