"""Single-decree Paxos: a set of nodes agrees on one value, though messages are lost and nodes crash.

Lamport, *Paxos Made Simple* (2001); section numbers are his. Each rule of the paper is a method of its own, so that a
subclass that overrides one method is Paxos without that rule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from distlib.core import require
from distlib.core.look import Look
from distlib.core.node import Node, NodeId, durable, setting, volatile
from distlib.paxos.message import (
    NO_BALLOT,
    Accept,
    Accepted,
    Ballot,
    BallotStarted,
    Chosen,
    Learned,
    Nack,
    Prepare,
    Promise,
    Propose,
    Query,
    Report,
    Value,
    quorum_sizes,
)

Reports = tuple[Report, ...]


class Phase(Enum):
    """What a proposer is doing."""

    IDLE = "idle"
    PREPARING = "phase 1"
    PROPOSING = "phase 2"
    BACKING_OFF = "backing off"


class PaxosView(NamedTuple):
    """What an observer sees of a node; ``ballot`` is the proposer's own, the rest the acceptor's and the learner's."""

    role: str
    phase: str
    ballot: Ballot | None
    promised: Ballot | None
    accepted_ballot: Ballot | None
    accepted_value: Value | None
    chosen: Value | None

    @staticmethod
    def role_looks() -> dict[str, Look]:
        """How figures colour a node's lane."""
        return {"acceptor": Look("pale slate"), "proposer": Look("orange"), "learner": Look("pale green")}


@dataclass
class Paxos(Node):
    """One node of single-decree Paxos (§2), which may be proposer, acceptor and learner at once.

    It accepts if it is one of ``acceptors``, learns if it is one of ``learners`` (None: all acceptors), and proposes
    ``value`` from its start on (None: it waits for ``Propose``). For the quorums see ``quorum_sizes``. Timers are drawn
    from ``retransmit_ms``, ``backoff_ms`` and ``catch_up_ms`` (None: no such timer); the backoff's range grows by
    ``backoff_growth`` with every ballot in a row that failed, up to 64 times.
    """

    acceptors: tuple[NodeId, ...]
    value: Value | None = setting(None)
    learners: tuple[NodeId, ...] = setting(None)
    phase1_quorum: int = setting(None)
    phase2_quorum: int = setting(None)
    unsafe: bool = setting(False)
    retransmit_ms: tuple[float, float] | None = setting((20.0, 30.0))
    backoff_ms: tuple[float, float] | None = setting((5.0, 15.0))
    backoff_growth: float = setting(2.0)
    catch_up_ms: tuple[float, float] | None = setting((40.0, 60.0))

    # acceptor (§2.2)
    promised: Ballot = durable(NO_BALLOT)  # it accepts nothing below this ballot
    accepted_ballot: Ballot = durable(NO_BALLOT)
    accepted_value: Value | None = durable(None)

    # proposer (§2.2)
    ballot: Ballot = durable(NO_BALLOT)  # the last one it used: it must never use it for anything else (§2.5)
    wanted: Value | None = volatile(None)  # the value it would like to be chosen
    phase: Phase = volatile(Phase.IDLE)
    highest_seen: Ballot = volatile(NO_BALLOT)
    promises: Reports = volatile(())  # answers to phase 1 of ``ballot``
    proposal: Value | None = volatile(None)  # the value of phase 2 of ``ballot``
    failures: int = volatile(0)  # ballots in a row that met a higher one

    # learner (§2.3)
    votes: Reports = volatile(())  # who accepted what, as far as this node has heard
    chosen: Value | None = durable(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        require.names("acceptors", self.acceptors)
        self.learners = self.acceptors if self.learners is None else self.learners
        require.names("learners", self.learners or self.acceptors)
        for name in ("retransmit_ms", "backoff_ms", "catch_up_ms"):
            if (timer := getattr(self, name)) is not None:
                require.pair(name, timer, 0, unit="ms")
        require.number("backoff_growth", self.backoff_growth, 1)
        self.phase1_quorum, self.phase2_quorum = quorum_sizes(
            len(self.acceptors), self.phase1_quorum, self.phase2_quorum, unsafe=self.unsafe
        )

    def start(self) -> None:
        """Propose the value of the settings, if there is one, unless it is known that one is chosen."""
        if self.is_learner and self.chosen is None:
            self.set_range("catch_up", self.catch_up_ms)
        if self.value is not None:
            self.on_propose(self.id, Propose(self.value))

    # --- proposer: phase 1 ----------------------------------------------------------------------------

    def on_propose(self, sender: NodeId, message: Propose) -> None:
        """Start the first ballot for a client's value; a proposer that has one already goes on with that."""
        if message.value is None:
            raise ValueError("a proposal's value is None; it takes any other hashable constant")
        if self.wanted is None and self.chosen is None:
            self.wanted = message.value
            self.begin_ballot()

    def begin_ballot(self) -> None:
        """Phase 1a: a new ballot, sent to all acceptors."""
        self.ballot = self.highest_seen = self.next_ballot()
        self.phase, self.promises, self.proposal = Phase.PREPARING, (), None
        self.output(BallotStarted(self.ballot))
        self.ask(self.acceptors)

    def next_ballot(self) -> Ballot:
        """§2.2, §2.5: a ballot of this proposer alone, higher than all that it has used or met."""
        return Ballot(max(self.ballot, self.highest_seen).round + 1, self.id)

    def ask(self, acceptors: Iterable[NodeId]) -> None:
        """Send the request of the current phase; the ballot's number must be on disk before (§2.5)."""
        request = Prepare(self.ballot) if self.phase is Phase.PREPARING else Accept(self.ballot, self.proposal)
        for acceptor in acceptors:
            self.send_after_sync(acceptor, request)
        self.set_range("retransmit", self.retransmit_ms)

    def on_promise(self, sender: NodeId, message: Promise) -> None:
        """Phase 1b's answers: once a quorum has promised, phase 2 begins."""
        if sender not in self.acceptors or not self.is_awaited(message):
            return
        report = Report(sender, message.accepted_ballot or NO_BALLOT, message.accepted_value)
        self.promises = self.counted(self.promises, report)
        if self.is_phase1_quorum(self.promises):
            self.begin_phase2()

    def is_awaited(self, message: Promise) -> bool:
        """Only promises for the current ballot count, and only in its phase 1: others are stale."""
        return self.phase is Phase.PREPARING and message.ballot == self.ballot

    def is_phase1_quorum(self, promises: Reports) -> bool:
        """Whether so many acceptors promised that any quorum of phase 2 holds one of them (§2.2, P2c)."""
        return len(promises) >= self.phase1_quorum

    # --- proposer: phase 2 ----------------------------------------------------------------------------

    def begin_phase2(self) -> None:
        """Phase 2a: ask all acceptors to accept the value that the promises allow."""
        self.phase, self.proposal = Phase.PROPOSING, self.choose_value(self.promises)
        self.ask(self.acceptors)

    def choose_value(self, promises: Reports) -> Value | None:
        """§2.2, P2c: the value of the highest-numbered proposal among the answers, or any if they report none."""
        reported = [report for report in promises if report.value is not None]
        if not reported:
            return self.wanted
        return max(reported, key=lambda report: report.ballot).value

    def on_nack(self, sender: NodeId, message: Nack) -> None:
        """An acceptor has promised a higher ballot."""
        self.meet(message.promised)

    def meet(self, ballot: Ballot) -> None:
        """§2.2: abandon a proposal once some process has begun trying to issue a higher-numbered one."""
        self.highest_seen = max(self.highest_seen, ballot)
        if self.phase in (Phase.PREPARING, Phase.PROPOSING) and ballot > self.ballot:
            self.back_off()

    def back_off(self) -> None:
        """Leave the field to the higher ballot for a random time, so that one of two rivals gets through (§2.4)."""
        self.phase, self.failures = Phase.BACKING_OFF, self.failures + 1
        self.cancel_timer("retransmit")
        if self.backoff_ms is not None:
            low_ms, high_ms = self.backoff_ms
            self.set_timer("backoff", low_ms, high_ms * min(self.backoff_growth ** (self.failures - 1), 64.0))

    def on_backoff_timeout(self) -> None:
        """The pause is over: try again with a higher ballot."""
        self.begin_ballot()

    def on_retransmit_timeout(self) -> None:
        """Ask those again who have not answered."""
        answers = self.promises if self.phase is Phase.PREPARING else self.supporters(self.ballot, self.proposal)
        answered = {report.acceptor for report in answers}
        self.ask(acceptor for acceptor in self.acceptors if acceptor not in answered)

    # --- acceptor -------------------------------------------------------------------------------------

    def on_prepare(self, sender: NodeId, message: Prepare) -> None:
        """Phase 1b: promise, and report what was accepted; or say that it is too late."""
        self.check_acceptor(sender, message)
        self.meet(message.ballot)
        if not self.may_promise(message.ballot):
            self.send_after_sync(sender, Nack(message.ballot, self.promised))
            return
        self.make_promise(message.ballot)
        self.answer(sender, self.report(message.ballot))

    def may_promise(self, ballot: Ballot) -> bool:
        """§2.2, phase 1b: only if the ballot is higher than any promised; the same one again is a repeated message."""
        return ballot >= self.promised

    def make_promise(self, ballot: Ballot) -> None:
        """From now on, accept nothing below ``ballot`` (§2.2, phase 1b)."""
        self.promised = ballot

    def report(self, ballot: Ballot) -> Promise:
        """§2.2, phase 1b: the promise carries the highest-numbered proposal that was accepted, if any."""
        if self.accepted_value is None:
            return Promise(ballot)
        return Promise(ballot, self.accepted_ballot, self.accepted_value)

    def on_accept(self, sender: NodeId, message: Accept) -> None:
        """Phase 2b: accept and tell the proposer and all learners, or say that it is too late."""
        self.check_acceptor(sender, message)
        self.meet(message.ballot)
        if not self.may_accept(message.ballot):
            self.send_after_sync(sender, Nack(message.ballot, self.promised))
            return
        self.promise_by_accepting(message.ballot)
        self.accept(message.ballot, message.value)
        for listener in dict.fromkeys((sender, *self.learners)):
            self.answer(listener, Accepted(message.ballot, message.value))

    def may_accept(self, ballot: Ballot) -> bool:
        """§2.2, P1a: an acceptor can accept a proposal iff it has not promised a higher one."""
        return ballot >= self.promised

    def promise_by_accepting(self, ballot: Ballot) -> None:
        """Who accepts a ballot, also promises it: a lower one that comes later must not replace what was accepted."""
        self.promised = max(self.promised, ballot)

    def accept(self, ballot: Ballot, value: Value) -> None:
        """Remember the accepted proposal of the highest ballot (§2.2, §2.5)."""
        self.accepted_ballot, self.accepted_value = ballot, value

    def answer(self, to: NodeId, message: Any) -> None:
        """§2.5: an acceptor records its intended response in stable storage before actually sending the response."""
        self.send_after_sync(to, message)

    def check_acceptor(self, sender: NodeId, message: Any) -> None:
        """Raises ``ValueError`` if this node is asked to accept, but is no acceptor."""
        if self.id not in self.acceptors:
            raise ValueError(
                f"{sender} sent {type(message).__name__} to {self.id}, which is no acceptor; "
                f"the acceptors are {', '.join(self.acceptors)}"
            )

    # --- learner --------------------------------------------------------------------------------------

    @property
    def is_learner(self) -> bool:
        """Whether this node is one of the learners."""
        return self.id in self.learners

    def on_accepted(self, sender: NodeId, message: Accepted) -> None:
        """§2.3: an acceptor accepted a proposal; once a quorum has accepted it, it is chosen."""
        if sender not in self.acceptors or self.chosen is not None:
            return
        so_far = self.supporters(message.ballot, message.value)
        now = self.counted(so_far, Report(sender, message.ballot, message.value))
        others = [vote for vote in self.votes if vote not in so_far]
        self.votes = tuple(sorted((*others, *now), key=lambda vote: (vote.ballot, vote.acceptor)))
        if self.is_phase2_quorum(now):
            self.learn(message.value)

    def supporters(self, ballot: Ballot, value: Value | None) -> Reports:
        """The votes for one proposal: acceptances of different ballots don't add up, not even for equal values."""
        return tuple([vote for vote in self.votes if vote.ballot == ballot and vote.value == value])

    def is_phase2_quorum(self, votes: Reports) -> bool:
        """Whether so many acceptors accepted the proposal that it is chosen (§2.2)."""
        return len(votes) >= self.phase2_quorum

    def learn(self, value: Value) -> None:
        """§2.3: ``value`` is chosen. That never changes, so this node need not listen, nor propose, any more."""
        self.chosen = value
        self.output(Chosen(value))
        self.phase, self.failures, self.promises, self.proposal, self.votes = Phase.IDLE, 0, (), None, ()
        for timer in ("retransmit", "backoff", "catch_up"):
            self.cancel_timer(timer)

    def on_catch_up_timeout(self) -> None:
        """This learner may have missed messages: ask those who may know (§2.3)."""
        for node in dict.fromkeys((*self.acceptors, *self.learners)):
            if node != self.id:
                self.send(node, Query())
        self.set_range("catch_up", self.catch_up_ms)

    def on_query(self, sender: NodeId, message: Query) -> None:
        """Tell a learner the chosen value, or else what this acceptor has accepted."""
        if self.chosen is not None:
            self.send_after_sync(sender, Learned(self.chosen))
        elif self.accepted_value is not None:
            self.answer(sender, Accepted(self.accepted_ballot, self.accepted_value))

    def on_learned(self, sender: NodeId, message: Learned) -> None:
        """Another node knows the chosen value; two learners never know two values."""
        if self.chosen is None:
            self.learn(message.value)

    # --- both -----------------------------------------------------------------------------------------

    def counted(self, reports: Reports, report: Report) -> Reports:
        """``reports`` with ``report``: an acceptor counts once in a quorum, however often it answers."""
        if any(known.acceptor == report.acceptor for known in reports):
            return reports
        return tuple(sorted((*reports, report), key=lambda one: one.acceptor))

    def set_range(self, name: str, range_ms: tuple[float, float] | None) -> None:
        """(Re)start a timer, unless it is switched off."""
        if range_ms is not None:
            self.set_timer(name, *range_ms)

    def view(self) -> PaxosView:
        accepts = self.id in self.acceptors
        idle = "acceptor" if accepts else "learner" if self.is_learner else "proposer"
        return PaxosView(
            role=idle if self.phase is Phase.IDLE else "proposer",
            phase=self.phase.value,
            ballot=None if self.phase is Phase.IDLE else self.ballot,
            promised=self.promised if self.promised != NO_BALLOT else None,
            accepted_ballot=self.accepted_ballot if self.accepted_ballot != NO_BALLOT else None,
            accepted_value=self.accepted_value,
            chosen=self.chosen,
        )
