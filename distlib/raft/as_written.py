"""The article's Raft, taken literally: each misreading is a class that runs like Raft, as in ``paxos.as_written``."""

from __future__ import annotations

from dataclasses import dataclass

from distlib.raft.log import Entry, Index, Term
from distlib.raft.raft import Raft


@dataclass
class EverybodyStands(Raft):
    """Raft in which every server stands for election at the start.

    *The article says* (``raft-start``): "When the system starts, all nodes try to become the leader." *The protocol
    does*: servers start as followers, and one stands only when its election timeout, drawn at random, has run out
    (Ongaro & Ousterhout 2014, §5.2). *What comes of it*: each server has given its vote of term 1 to itself before the
    others ask, so nobody leads in it. What ends this are the random timeouts, of which the article does not speak; with
    equal ones, each further vote is split as well.
    """

    def start(self) -> None:
        super().start()
        self.start_election()


@dataclass
class RecordsMessages(Raft):
    """Raft whose followers' logs are records of what was said to them.

    *The article says* (``raft-log``): "The log is a record of the communication between the nodes." *The protocol
    does*: the log is the list of commands that servers are going to apply, each at its index; an entry is taken only
    behind the one that the leader names, once, and one that differs from the leader's is overwritten (§5.3). *What
    comes of it*: what is said twice stands there twice, what is said late stands late, and the logs differ.
    """

    def has_entry(self, index: Index, term: Term) -> bool:
        """A record has no place for refusals."""
        return True

    def merge(self, prev_index: Index, entries: tuple[Entry, ...]) -> None:
        """Write down what was said, in the order in which it was heard; strike out nothing."""
        self.log = self.log.append(*entries)


@dataclass
class AppliesOnReceipt(Raft):
    """Raft whose followers apply an entry as soon as they have it.

    *The article says* (``raft-applies``): "When the other nodes have received the log, they apply it to their local
    storage." *The protocol does*: a follower only stores what it receives, and applies an entry when the leader says
    that it is committed, which it is when a majority holds it (§5.3). *What comes of it*: an entry that only a minority
    holds is overwritten by the next leader, as it must be, but these servers have applied it: State Machine Safety is
    broken, and a client may have read what never was.
    """

    def learn_commit_index(self, leader_commit: Index, last_new: Index) -> None:
        """What has been received is applied, whatever the leader says of it."""
        self.commit(last_new)


@dataclass
class LeaderStops(Raft):
    """Raft in which the leader falls silent when it believes that the others have applied its log.

    *The article says* (``raft-stops``): "When the leader finds that the other nodes have applied the log, it stops
    sending it." *The protocol does*: a leader sends heartbeats for as long as it leads (§5.2), and it is from these
    that followers learn what is committed, and may be applied (§5.3). *What comes of it*: an acknowledgement says that
    an entry is in a follower's log, not that it was applied, so the followers never apply the last entry under this
    leader; and as they hear nothing, they take it for dead and elect another, again and again, in a cluster in which
    nothing has failed.
    """

    def on_heartbeat_timeout(self) -> None:
        """Go on only while somebody's log is behind."""
        if not self.is_done():
            super().on_heartbeat_timeout()
        else:
            self.set_timer("heartbeat", self.heartbeat_ms)

    def is_done(self) -> bool:
        """What the leader takes for *all have applied it*: everybody has acknowledged all its entries."""
        return all(index >= self.log.last_index for index in self.match_index.values())


@dataclass
class AnybodyLeads(Raft):
    """Raft in which any server may win an election, and then the others' logs are made equal to its own.

    *The article says* (``raft-fails``): "When the leader fails, the other nodes try to become the new leader."
    (``raft-sends``): "When a node becomes the leader, it sends the log to the other nodes." Whose log may win, it does
    not say. *The protocol does*: only a server whose log is at least as up to date as that of a majority can win
    (§5.4.1), so that a leader holds all that is committed. *What comes of it*: a server that missed committed entries
    wins, and overwrites them everywhere.
    """

    def is_up_to_date(self, last_index: Index, last_term: Term) -> bool:
        """Nobody's log is looked at."""
        return True
