"""Raft with Pre-Vote and with leader leases (Ongaro's thesis, §9.6 and §6.4.1), each a few overridden rules.

Both rest on one more rule (thesis §4.2.3): who has heard from a leader within the minimum election timeout keeps to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from distlib.core.look import Look
from distlib.core.node import NodeId, setting, volatile
from distlib.raft.log import Index, Term
from distlib.raft.message import AppendEntries, RequestVote
from distlib.raft.raft import Raft, Read, Role


@dataclass
class LeaderStickiness(Raft):
    """Raft whose servers disregard requests for votes while they hear from a leader (thesis §4.2.3).

    Nobody sends a leader heartbeats. It counts as hearing from one while a majority answers it, as in etcd's
    CheckQuorum: else its own vote, and that of the one who asks, depose it in a cluster of three.
    """

    hears_leader: bool = volatile(False)
    answering: frozenset[NodeId] = volatile(frozenset())  # who has answered this leader within that time

    def start(self) -> None:
        """A restarted server may have heard from a leader just before it crashed."""
        super().start()
        self.hear_leader()

    def follow(self, leader: NodeId) -> None:
        """Word from the current leader."""
        super().follow(leader)
        self.hear_leader()

    def hear_leader(self) -> None:
        """Keep to it for the minimum election timeout."""
        self.hears_leader = True
        self.set_timer("loyalty", self.election_timeout_ms[0])

    def on_loyalty_timeout(self) -> None:
        """The leader has been silent for the minimum election timeout."""
        self.hears_leader = False

    def become_leader(self) -> None:
        """The votes are the first answers."""
        for voter in self.votes - {self.id}:
            self.hear_follower(voter)
        super().become_leader()

    def become_follower(self) -> None:
        """Who led no longer hears itself."""
        if self.role is Role.LEADER:
            self.hears_leader, self.answering = False, frozenset()
        super().become_follower()

    def hear_round(self, server: NodeId, number: int) -> None:
        """Leaders: an answer, whatever it says, of a server that follows us."""
        self.hear_follower(server)
        super().hear_round(server, number)

    def hear_follower(self, server: NodeId) -> None:
        """Leaders: count on ``server`` for the minimum election timeout."""
        self.answering |= {server}
        self.set_timer("silence", self.election_timeout_ms[0], key=server)

    def on_silence_timeout(self, server: NodeId) -> None:
        """``server`` has not answered for the minimum election timeout."""
        self.answering -= {server}

    def has_leader(self) -> bool:
        """Whether a leader was heard within the minimum election timeout; by a leader, whether a majority was."""
        return self.has_majority((self.id, *self.answering)) if self.role is Role.LEADER else self.hears_leader

    def on_request_vote(self, sender: NodeId, request: RequestVote) -> None:
        """Thesis §4.2.3: such a request neither gets a vote nor raises the term."""
        if not self.has_leader():
            super().on_request_vote(sender, request)


@dataclass(frozen=True, slots=True)
class RequestPreVote:
    """A server asks whether it could win an election in ``term``, before it disturbs anybody by starting one."""

    term: Term
    last_log_index: Index
    last_log_term: Term

    look = Look("orange", "dash", place=1)


@dataclass(frozen=True, slots=True)
class PreVoteReply:
    """The answer to ``RequestPreVote``: ``term`` is the term asked about if granted, else the answerer's own."""

    term: Term
    granted: bool

    look = Look("orange", "dot", place=1)


@dataclass
class PreVote(LeaderStickiness):
    """Raft with Pre-Vote (thesis §9.6): a server that was cut off cannot depose a working leader when it comes back."""

    def on_election_timeout(self) -> None:
        """Ask first; neither the term nor the vote changes."""
        self.role, self.leader, self.votes = Role.PRE_CANDIDATE, None, frozenset((self.id,))
        self.hears_leader = False
        self.restart_election_timer()
        request = RequestPreVote(self.current_term + 1, self.log.last_index, self.log.last_term)
        for server in self.others():
            self.send(server, request)
        self.count_votes()

    def count_votes(self) -> None:
        """A majority of pre-votes starts the election, a majority of votes wins it."""
        if self.role is not Role.PRE_CANDIDATE:
            super().count_votes()
        elif self.has_majority(self.votes):
            self.start_election()

    def on_request_pre_vote(self, sender: NodeId, request: RequestPreVote) -> None:
        """Promises nothing, so nothing need be on disk."""
        granted = self.may_grant_pre_vote(request)
        self.send(sender, PreVoteReply(request.term if granted else self.current_term, granted))

    def may_grant_pre_vote(self, request: RequestPreVote) -> bool:
        """Yes, if no leader is heard, the term would be new, and the log is up to date (§5.4.1)."""
        return (
            not self.has_leader()
            and request.term > self.current_term
            and self.is_up_to_date(request.last_log_index, request.last_log_term)
        )

    def on_pre_vote_reply(self, sender: NodeId, reply: PreVoteReply) -> None:
        """Collect pre-votes for the next term; a refusal may tell of a higher term."""
        if not reply.granted:
            self.step_down_if_behind(reply.term)
        elif self.role is Role.PRE_CANDIDATE and reply.term == self.current_term + 1:
            self.votes |= {sender}
            self.count_votes()


@dataclass
class LeaderLease(LeaderStickiness):
    """Raft whose leader answers reads at once while it holds a lease (thesis §6.4.1): a majority that answered a
    heartbeat elects nobody else for the minimum election timeout from when it was sent, by clocks whose rates stay
    within 1 ± ``clock_drift``."""

    clock_drift: float = setting(0.1)

    lease_until_ms: float = volatile(0.0)
    round_began_ms: dict[int, float] = volatile(dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.clock_drift < 1:
            raise ValueError(
                f"{type(self).__name__}.clock_drift is {self.clock_drift!r}; it takes a fraction from 0 to below 1"
            )

    def lease_ms(self) -> float:
        """The length of a lease on a clock that may be slow, while the followers' may be fast."""
        return self.election_timeout_ms[0] * (1 - self.clock_drift) / (1 + self.clock_drift)

    def become_leader(self) -> None:
        """A lease is earned in each term anew."""
        self.lease_until_ms, self.round_began_ms = 0.0, {}
        super().become_leader()

    def on_heartbeat_timeout(self) -> None:
        """Every heartbeat may extend the lease."""
        self.begin_round()
        super().on_heartbeat_timeout()

    def begin_round(self) -> int:
        """Remember when the round began."""
        number = super().begin_round()
        self.round_began_ms[number] = self.now_ms
        return number

    def hear_round(self, server: NodeId, number: int) -> None:
        """A majority's answers to one round extend the lease from that round's start."""
        for known, began_ms in sorted(self.round_began_ms.items(), reverse=True):
            answered = [one for one, heard in {**self.heard_round, server: number}.items() if heard >= known]
            if self.has_majority((self.id, *answered)):
                self.lease_until_ms = max(self.lease_until_ms, began_ms + self.lease_ms())
                self.round_began_ms = {later: ms for later, ms in self.round_began_ms.items() if later > known}
                break
        super().hear_round(server, number)

    def confirm_leadership(self) -> None:
        """No round of heartbeats while the lease lasts."""
        if not self.has_lease():
            super().confirm_leadership()

    def is_confirmed(self, read: Read) -> bool:
        """With a lease, nobody else can lead now."""
        return self.has_lease() or super().is_confirmed(read)

    def has_lease(self) -> bool:
        """Whether the lease lasts; the one place where a server reads its clock."""
        return self.now_ms < self.lease_until_ms


@dataclass
class WritesWhileItAsks(Raft):
    """A server whose requests leave while its own disk still writes what they speak of, as thesis §10.2.1 proposes.

    The published curves of figure 16 want it: where requests wait for the candidate's own vote, the narrow ranges split
    far more votes than was measured. A vote is counted before it is on disk, so it is safe only while nobody crashes.
    """

    def send_after_sync(self, to: NodeId, message: Any) -> None:
        """Answers are promises, and wait."""
        if isinstance(message, RequestVote | AppendEntries):
            self.send(to, message)
        else:
            super().send_after_sync(to, message)
