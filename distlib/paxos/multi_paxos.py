"""Multi-Paxos: a replicated log, one instance of Paxos a slot, under a leader that runs phase 1 once for all of them.

Lamport, *Paxos Made Simple* (2001), §3; what he leaves to the implementor (suspicion of the leader, catching up,
sessions of clients) is in sections of its own below. Clients and state machines are those of Raft.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from distlib.core import require
from distlib.core.node import Node, NodeId, durable, setting, volatile
from distlib.paxos.message import NO_BALLOT, Ballot, BallotStarted, Nack, quorum_sizes
from distlib.paxos.multi_paxos_message import (
    NO_OP,
    Accept,
    Accepted,
    Applied,
    BecameLeader,
    CatchUp,
    ChosenEntries,
    Heartbeat,
    MultiPaxosView,
    Prepare,
    Promise,
    Proposal,
    Slot,
)
from distlib.replication.message import STALE, ClientReply, ClientRequest, NoOp, ReadRequest
from distlib.replication.state_machine import KeyValue, StateMachine


class Role(Enum):
    """What a server does; every server is acceptor and learner throughout."""

    FOLLOWER = "follower"
    CANDIDATE = "candidate"  # in phase 1
    LEADER = "leader"  # the distinguished proposer (§2.4)


@dataclass
class MultiPaxos(Node):
    """One server of a replicated state machine (§3). ``peers`` are the other servers.

    A follower suspects the leader, and a candidate itself, after a time drawn from ``suspect_ms``; the leader shows
    itself every ``heartbeat_ms``. For the quorums see ``quorum_sizes``. ``batch`` bounds one ``ChosenEntries``.
    """

    peers: tuple[NodeId, ...]
    suspect_ms: tuple[float, float] = setting((150.0, 300.0))
    heartbeat_ms: float = setting(50.0)
    phase1_quorum: int = setting(None)
    phase2_quorum: int = setting(None)
    unsafe: bool = setting(False)
    batch: int = setting(64)
    machine: StateMachine = setting(KeyValue())

    # acceptor (§2.2, for all slots)
    promised: Ballot = durable(NO_BALLOT)  # one promise for all slots
    accepted: dict[Slot, Proposal] = durable(dict)  # of slots of which this server doesn't know what is chosen

    # learner (§2.3)
    log: tuple[ClientRequest, ...] = durable(())  # log[i] is what was chosen for slot i + 1
    learnt: dict[Slot, ClientRequest] = durable(dict)  # chosen, but after a hole

    # proposer
    ballot: Ballot = durable(NO_BALLOT)  # the last one it used
    role: Role = volatile(Role.FOLLOWER)
    leader: NodeId | None = volatile(None)  # whom it believes to lead; clients are sent there
    highest_seen: Ballot = volatile(NO_BALLOT)
    promises: dict[NodeId, Promise] = volatile(dict)
    first: Slot = volatile(1)  # its phase 1 covers the slots from here on
    next_slot: Slot = volatile(1)
    proposals: dict[Slot, ClientRequest] = volatile(dict)  # in phase 2 now
    votes: dict[Slot, frozenset[NodeId]] = volatile(dict)

    # the replicated state machine
    last_applied: Slot = volatile(0)
    machine_state: Any = volatile(None)
    sessions: dict[NodeId, tuple[int, Any]] = volatile(dict)  # each client's last serial and its result

    def __post_init__(self) -> None:
        super().__post_init__()
        require.names("peers", self.peers, own=self.id)
        require.pair("suspect_ms", self.suspect_ms, unit="ms")
        require.above("suspect_ms", self.suspect_ms[0], unit="ms")
        require.above("heartbeat_ms", self.heartbeat_ms, unit="ms")
        require.whole("batch", self.batch, 1)
        self.phase1_quorum, self.phase2_quorum = quorum_sizes(
            len(self.servers()), self.phase1_quorum, self.phase2_quorum, unsafe=self.unsafe
        )

    def start(self) -> None:
        """(Re)start as a follower that applies its log from the beginning."""
        self.machine_state = self.machine.initial()
        self.apply_chosen()
        self.restart_suspicion()

    def servers(self) -> tuple[NodeId, ...]:
        """All servers; each is an acceptor."""
        return (self.id, *self.peers)

    # --- becoming leader: phase 1, once for all slots (§3) ----------------------------------------------

    def restart_suspicion(self) -> None:
        """A new random time, so that two servers rarely stand at once (§2.4)."""
        self.set_timer("suspicion", *self.suspect_ms)

    def on_suspicion_timeout(self) -> None:
        """No word from a leader, or phase 1 got no quorum in time."""
        if self.role is not Role.LEADER:
            self.begin_ballot()

    def begin_ballot(self) -> None:
        """Phase 1a for every slot that this server doesn't know to be chosen."""
        self.ballot = self.next_ballot()
        self.role, self.leader, self.promises, self.first = Role.CANDIDATE, None, {}, len(self.log) + 1
        self.restart_suspicion()
        self.output(BallotStarted(self.ballot))
        for server in self.servers():
            self.send_after_sync(server, Prepare(self.ballot, self.first))

    def next_ballot(self) -> Ballot:
        """§2.5: a ballot of this server alone, higher than all that it has used, promised or met."""
        return Ballot(max(self.ballot, self.promised, self.highest_seen).round + 1, self.id)

    def on_promise(self, sender: NodeId, message: Promise) -> None:
        """Learn what the acceptor knows to be chosen; with a quorum of promises, lead."""
        for slot, request in message.chosen:
            self.learn(slot, request)
        if sender in self.servers() and self.is_awaited(message):
            self.promises[sender] = message
            if self.is_phase1_quorum(self.promises):
                self.become_leader()

    def is_awaited(self, message: Promise) -> bool:
        """Only promises for the current ballot count, and only in its phase 1."""
        return self.role is Role.CANDIDATE and message.ballot == self.ballot

    def is_phase1_quorum(self, who: Collection[NodeId]) -> bool:
        """Whether any quorum of phase 2 holds one of ``who``."""
        return len(who) >= self.phase1_quorum

    def become_leader(self) -> None:
        """§3: propose anew what may have been chosen, fill the holes, and show itself."""
        self.role, self.leader = Role.LEADER, self.id
        self.proposals, self.votes = {}, {}
        self.output(BecameLeader(self.ballot))
        self.cancel_timer("suspicion")
        self.next_slot = self.first_free_slot(self.promises)
        for slot in range(len(self.log) + 1, self.next_slot):
            if slot not in self.learnt:
                self.propose(slot, self.choose_value(slot, self.promises))
        self.show_leadership()

    def first_free_slot(self, promises: Mapping[NodeId, Promise]) -> Slot:
        """The first slot after all that the promises or this server say anything about."""
        reported = [slot for promise in promises.values() for slot, _ in promise.accepted]
        return max(len(self.log), *self.learnt, *reported, 0) + 1

    def choose_value(self, slot: Slot, promises: Mapping[NodeId, Promise]) -> ClientRequest:
        """§2.2, P2c for one slot: the value of the highest ballot among the reports; a slot without one is a hole."""
        reports = [proposal for promise in promises.values() for number, proposal in promise.accepted if number == slot]
        if not reports:
            return self.fill_hole(slot)
        return max(reports, key=lambda proposal: proposal.ballot).request

    def fill_hole(self, slot: Slot) -> ClientRequest:
        """§3: nothing was chosen there, so a no-op may be, which lets the commands after it be applied at once."""
        return NO_OP

    # --- leading: phase 2 --------------------------------------------------------------------------------

    def propose(self, slot: Slot, request: ClientRequest) -> None:
        """Phase 2a of one slot."""
        self.proposals[slot], self.votes[slot] = request, frozenset()
        self.ask(slot)

    def ask(self, slot: Slot) -> None:
        """Send the slot's proposal to the acceptors that have not answered."""
        message = Accept(self.ballot, slot, self.proposals[slot], len(self.log))
        for server in self.servers():
            if server not in self.votes[slot]:
                self.send_after_sync(server, message)

    def on_accepted(self, sender: NodeId, message: Accepted) -> None:
        """Phase 2b's answers: once a quorum has accepted, the slot's value is chosen."""
        if self.role is not Role.LEADER or message.ballot != self.ballot or message.slot not in self.proposals:
            return
        self.votes[message.slot] |= {sender}
        if self.is_phase2_quorum(self.votes[message.slot]):
            self.learn(message.slot, self.proposals[message.slot])

    def is_phase2_quorum(self, who: Collection[NodeId]) -> bool:
        """Whether so many acceptors accepted the proposal that it is chosen."""
        return len(who) >= self.phase2_quorum

    def on_heartbeat_timeout(self) -> None:
        """Show itself, and ask those again who have not answered."""
        if self.role is Role.LEADER:
            for slot in sorted(self.proposals):
                self.ask(slot)
            self.show_leadership()

    def show_leadership(self) -> None:
        """Heartbeats, so that nobody else stands."""
        for peer in self.peers:
            self.send(peer, Heartbeat(self.ballot, len(self.log)))
        self.set_timer("heartbeat", self.heartbeat_ms)

    def on_nack(self, sender: NodeId, message: Nack) -> None:
        """A higher ballot is about: give way, and stand again only when its owner is silent (§2.4)."""
        self.highest_seen = max(self.highest_seen, message.promised)
        if message.ballot == self.ballot and self.role is not Role.FOLLOWER:
            self.step_down()

    def step_down(self) -> None:
        """Back to follower. What was under way may or may not be chosen, so its clients shall ask again."""
        self.role, self.leader = Role.FOLLOWER, None
        dismissed, self.proposals, self.votes, self.promises = self.proposals, {}, {}, {}
        for request in dismissed.values():
            self.redirect(request)
        self.cancel_timer("heartbeat")
        self.restart_suspicion()

    # --- acceptor ----------------------------------------------------------------------------------------

    def on_prepare(self, sender: NodeId, message: Prepare) -> None:
        """Phase 1b for all slots: promise, and report; or say that it is too late."""
        if not self.may_promise(message.ballot):
            self.send_after_sync(sender, Nack(message.ballot, self.promised))
            return
        if self.role is not Role.FOLLOWER and sender != self.id:
            self.step_down()
        if sender != self.leader:
            self.leader = None
        self.make_promise(message.ballot)
        self.restart_suspicion()
        self.answer(sender, self.report(message.ballot, message.first))

    def may_promise(self, ballot: Ballot) -> bool:
        """§2.2, phase 1b: only if no higher ballot was promised."""
        return ballot >= self.promised

    def make_promise(self, ballot: Ballot) -> None:
        """From now on, accept nothing below ``ballot``, in no slot."""
        self.promised = ballot

    def report(self, ballot: Ballot, first: Slot) -> Promise:
        """§3: the promise tells of every slot from ``first`` on, before a hole and after it, what was accepted there or
        is known to be chosen."""
        accepted = tuple([(slot, self.accepted[slot]) for slot in sorted(self.accepted) if slot >= first])
        learnt = [(slot, self.learnt[slot]) for slot in sorted(self.learnt) if slot >= first]
        return Promise(ballot, first, accepted, (*enumerate(self.log[first - 1 :], first), *learnt))

    def on_accept(self, sender: NodeId, message: Accept) -> None:
        """Phase 2b of one slot: accept and tell the leader, or say that it is too late, or what is chosen instead."""
        if not self.may_accept(message.ballot):
            self.send_after_sync(sender, Nack(message.ballot, self.promised))
            return
        self.follow(sender, message.ballot)
        self.promise_by_accepting(message.ballot)
        chosen = self.chosen_for(message.slot)
        if chosen is None:
            self.accept(message.slot, message.ballot, message.request)
        if chosen in (None, message.request):
            self.answer(sender, Accepted(message.ballot, message.slot))
        else:
            self.answer(sender, ChosenEntries(message.slot, (chosen,)))
        self.learn_chosen_up_to(message.chosen_up_to, message.ballot)

    def may_accept(self, ballot: Ballot) -> bool:
        """§2.2, P1a: only if no higher ballot was promised."""
        return ballot >= self.promised

    def promise_by_accepting(self, ballot: Ballot) -> None:
        """Who accepts a ballot, also promises it."""
        self.promised = max(self.promised, ballot)

    def accept(self, slot: Slot, ballot: Ballot, request: ClientRequest) -> None:
        """Remember the accepted proposal of the slot's highest ballot."""
        self.accepted[slot] = Proposal(ballot, request)

    def answer(self, to: NodeId, message: Any) -> None:
        """§2.5: the response leaves once what it says is in stable storage."""
        self.send_after_sync(to, message)

    # --- followers -----------------------------------------------------------------------------------------

    def on_heartbeat(self, sender: NodeId, message: Heartbeat) -> None:
        """The leader is alive, unless a higher ballot was promised: then it should know."""
        if not self.may_accept(message.ballot):
            self.send(sender, Nack(message.ballot, self.promised))
            return
        self.follow(sender, message.ballot)
        self.learn_chosen_up_to(message.chosen_up_to, message.ballot)
        if message.chosen_up_to > len(self.log):
            self.send(sender, CatchUp(len(self.log) + 1))

    def follow(self, leader: NodeId, ballot: Ballot) -> None:
        """Whoever works at a ballot that is not too late, leads; don't stand against it."""
        self.highest_seen = max(self.highest_seen, ballot)
        if leader == self.id:
            return
        if self.role is not Role.FOLLOWER:
            self.step_down()
        self.leader = leader
        self.restart_suspicion()

    # --- learner -------------------------------------------------------------------------------------------

    def learn_chosen_up_to(self, slot: Slot, ballot: Ballot) -> None:
        """The leader of ``ballot`` says which slots are chosen; what this acceptor accepted there may be it."""
        for number in sorted(self.accepted):
            if number <= slot and self.may_learn(self.accepted[number], ballot):
                self.learn(number, self.accepted[number].request)

    def may_learn(self, proposal: Proposal, ballot: Ballot) -> bool:
        """Only what was accepted at the leader's own ballot is surely what the leader means."""
        return proposal.ballot == ballot

    def learn(self, slot: Slot, request: ClientRequest) -> None:
        """``request`` is chosen for ``slot``; apply what has no hole before it. A leader that proposes something else
        there was overtaken: were it to lead on, its word that the slot is chosen would be taken for its proposal."""
        if self.chosen_for(slot) is not None:
            return
        if self.proposals.get(slot, request) != request:
            self.step_down()
        self.learnt[slot] = request
        self.accepted.pop(slot, None)
        self.proposals.pop(slot, None)
        self.votes.pop(slot, None)
        while len(self.log) + 1 in self.learnt:
            self.log += (self.learnt.pop(len(self.log) + 1),)
        self.apply_chosen()

    def chosen_for(self, slot: Slot) -> ClientRequest | None:
        """What this server knows to be chosen for ``slot``."""
        return self.log[slot - 1] if slot <= len(self.log) else self.learnt.get(slot)

    def on_catch_up(self, sender: NodeId, message: CatchUp) -> None:
        """Tell a server that lags what is chosen."""
        requests = self.log[message.first - 1 : message.first - 1 + self.batch]
        if requests:
            self.send_after_sync(sender, ChosenEntries(message.first, requests))

    def on_chosen_entries(self, sender: NodeId, message: ChosenEntries) -> None:
        """Learn what was missed; ask for more if there was as much as one message holds."""
        self.learn_entries(message.first, message.requests)
        if len(message.requests) == self.batch:
            self.send(sender, CatchUp(len(self.log) + 1))

    def learn_entries(self, first: Slot, requests: tuple[ClientRequest, ...]) -> None:
        """Learn the values chosen for the slots from ``first`` on."""
        for slot, request in enumerate(requests, first):
            self.learn(slot, request)

    # --- the replicated state machine, with sessions of clients ----------

    def apply_chosen(self) -> None:
        """Apply the log in the order of its slots; a leader answers its clients."""
        while self.last_applied < len(self.log):
            request = self.log[self.last_applied]
            self.last_applied += 1
            result = self.apply(request)
            self.output(Applied(self.last_applied, request.command, request.client, request.serial, result))
            if self.role is Role.LEADER and request.client is not None:
                self.send(request.client, ClientReply.of(request.serial, result, self.id))

    def apply(self, request: ClientRequest) -> Any:
        """Apply a client's request once, however often it was chosen; a repeated one gets the first one's result, one
        older than the last one applied gets none."""
        if self.was_applied(request):
            last, result = self.sessions[request.client or ""]
            return result if last == request.serial else STALE
        result = self.execute(request.command)
        if request.client is not None and request.serial is not None:
            self.sessions[request.client] = (request.serial, result)
        return result

    def was_applied(self, request: ClientRequest) -> bool:
        """Whether the session of its client says so: a client has one request at a time, numbered upwards."""
        session = self.sessions.get(request.client or "")
        return session is not None and request.serial is not None and request.serial <= session[0]

    def execute(self, command: Any) -> Any:
        """Apply one command to the state machine; a no-op changes nothing."""
        if isinstance(command, NoOp):
            return None
        self.machine_state, result = self.machine.apply(self.machine_state, command)
        return result

    def on_client_request(self, sender: NodeId, request: ClientRequest) -> None:
        """The leader proposes the command for the next free slot; others name the leader."""
        if self.role is not Role.LEADER:
            self.redirect(request)
        elif request.client is not None and self.was_applied(request):
            self.send(request.client, ClientReply.of(request.serial, self.apply(request), self.id))
        elif not self.is_under_way(request):
            slot, self.next_slot = self.next_slot, self.next_slot + 1
            self.propose(slot, request)

    def on_read_request(self, sender: NodeId, request: ReadRequest) -> None:
        """Reads go through the log as well: whoever answers then surely led when it was chosen."""
        self.on_client_request(sender, ClientRequest(request.command, request.client, request.serial))

    def is_under_way(self, request: ClientRequest) -> bool:
        """Whether the same request of the same client is in phase 2 already."""
        return request.client is not None and request in self.proposals.values()

    def redirect(self, request: ClientRequest) -> None:
        """A client that asks another server is told who leads, as far as known."""
        if request.client is not None:
            self.send(request.client, ClientReply(request.serial, False, leader=self.leader))

    # --- for observers ----------

    def view(self) -> MultiPaxosView:
        return MultiPaxosView(
            self.role.value, self.promised.round, self.ballot, self.promised, self.leader, self.last_applied,
            self.log, tuple(sorted(self.learnt.items())), tuple(sorted(self.accepted.items())),
        )  # fmt: skip
