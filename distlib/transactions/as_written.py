"""The article's two-phase commit, taken literally: it runs like the real protocol.

It says what the article says (by its id in ``data/article_claims.csv``), what the protocol does, and what comes of the
difference, which a checker shows.
"""

from __future__ import annotations

from dataclasses import dataclass

from distlib.transactions.message import Answer
from distlib.transactions.two_phase import TwoPhaseCommit


@dataclass
class CommitsBeforeItVotes(TwoPhaseCommit):
    """The article's two phases: commit locally, report that; if all have, the transaction is committed.

    *The article says* (``commit-prepare``): "In this phase the participants of the transaction send a prepare message
    to the coordinator, which says that they have completed the commit of their local transactions."
    (``commit-commit``): "If all participants have completed the commit of their local transactions, the coordinator
    sends them a commit message, which says that the transaction is committed." What happens if not all have, it does
    not say; here the coordinator then sends an abort, as it does in the protocol, and a participant has nothing that it
    could take back. *The protocol does*: before it votes, a participant makes sure that it can both commit and abort,
    and changes nothing that others see (Gray 1978; Bernstein, Hadzilacos & Goodman 1987, §7.3). *What comes of it*:
    when one participant cannot commit, the others have.
    """

    def vote(self, transaction: str) -> None:
        """Commit at once, if the operations can be done, and report it; the decision will find nothing left to do."""
        branch = self.branches[transaction]
        if self.reason_to_refuse(branch):
            super().vote(transaction)
            return
        self.queue = tuple([one for one in self.queue if one != transaction])
        self.prepare(transaction)
        self.finish(transaction, True, forced=True)
        self.send_vote(transaction, Answer.YES)
        self.let_go(transaction)
