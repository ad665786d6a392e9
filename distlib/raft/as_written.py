"""The article's Raft, taken literally: each misreading is a class that runs like Raft, as in ``paxos.as_written``."""

from __future__ import annotations

from dataclasses import dataclass

from distlib.raft.log import Index, Term
from distlib.raft.raft import Raft


@dataclass
class EverybodyStands(Raft):
    """Raft in which every server stands for election at the start, and again whenever nobody has won.

    *The article says*: at the start all nodes try to become leader. *The protocol does*: servers start as followers,
    and one stands only when its election timeout, drawn anew at random each time, runs out first (Ongaro & Ousterhout
    2014, §5.2). *What comes of it*: each server has given its vote of the term to itself before the others ask, the
    vote is split, and with equal waits it is split in every term: nobody ever leads.
    """

    def start(self) -> None:
        super().start()
        self.start_election()

    def restart_election_timer(self) -> None:
        """The article has no random timeouts: all wait equally long."""
        self.set_timer("election", self.election_timeout_ms[0])


@dataclass
class LeaderStops(Raft):
    """Raft in which the leader falls silent when it believes that the others have applied its log.

    *The article says*: the leader sends its log to all others, and once all have applied it, it stops. *The protocol
    does*: a leader sends heartbeats for as long as it leads (§5.2), and it is from these that followers learn what is
    committed, and may be applied (§5.3). *What comes of it*: an acknowledgement says that an entry is in a follower's
    log, not that it was applied, so the followers never apply the last entry under this leader; and as they hear
    nothing, they take it for dead and elect another, again and again, in a cluster in which nothing has failed.
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

    *The article says*: all try to become leader; the leader sends its log to all others. *The protocol does*: only a
    server whose log is at least as up to date as that of a majority can win (§5.4.1), so that a leader holds all that
    is committed. *What comes of it*: a server that missed committed entries wins, and overwrites them everywhere.
    """

    def is_up_to_date(self, last_index: Index, last_term: Term) -> bool:
        """Nobody's log is looked at."""
        return True
