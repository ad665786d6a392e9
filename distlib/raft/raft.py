"""Raft: figure 2 of *In Search of an Understandable Consensus Algorithm* (Ongaro, Ousterhout 2014).

Read it beside the figure. Each rule is a method of its own, with its section (§) in the extended version, so that an
exercise, or a bug to demonstrate, overrides one method. Snapshots, membership, Pre-Vote and leases are subclasses.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Any

from distlib.core import require
from distlib.core.node import Node, NodeId, durable, setting, volatile
from distlib.raft.log import Entry, Index, Log, Term
from distlib.raft.message import AppendEntries, AppendReply, Applied, BecameLeader, RaftView, RequestVote, Vote
from distlib.replication.message import STALE, ClientReply, ClientRequest, NoOp, ReadRequest
from distlib.replication.state_machine import KeyValue, StateMachine


class Role(Enum):
    """What a server does in its term (§5.1)."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"  # with Pre-Vote only
    CANDIDATE = "candidate"
    LEADER = "leader"


@dataclass(frozen=True, slots=True)
class Read:
    """A read that waits: for its round to be confirmed, and for the entry at ``index`` to be applied (§8)."""

    request: ReadRequest
    index: Index
    round: int


@dataclass
class Raft(Node):
    """One server. ``peers`` are the other servers; timeouts are drawn uniformly from ``election_timeout_ms``."""

    peers: tuple[NodeId, ...]
    election_timeout_ms: tuple[float, float] = setting((150, 300))
    heartbeat_ms: float = setting(50)
    batch: int = setting(64)  # most entries in one AppendEntries
    machine: StateMachine = setting(KeyValue())

    # Persistent state on all servers
    current_term: Term = durable(0)  # latest term this server has seen
    voted_for: NodeId | None = durable(None)  # the candidate that received our vote in current_term
    log: Log = durable(Log())

    # Volatile state on all servers
    role: Role = volatile(Role.FOLLOWER)
    leader: NodeId | None = volatile(None)  # whom we believe to lead current_term; clients are sent there
    commit_index: Index = volatile(0)  # highest entry known to be committed
    last_applied: Index = volatile(0)  # highest entry applied to the state machine
    machine_state: Any = volatile(None)
    sessions: dict[NodeId, tuple[int, Any]] = volatile(dict)  # each client's last serial and its result (§8)

    # Volatile state on candidates
    votes: frozenset[NodeId] = volatile(frozenset())

    # Volatile state on leaders
    next_index: dict[NodeId, Index] = volatile(dict)  # the next entry to send to each server
    match_index: dict[NodeId, Index] = volatile(dict)  # the highest entry known to be replicated there
    term_start: Index = volatile(0)  # where our own no-op stands
    reads: tuple[Read, ...] = volatile(())
    read_round: int = volatile(0)
    heard_round: dict[NodeId, int] = volatile(dict)  # the last round in which each server still followed us

    def __post_init__(self) -> None:
        super().__post_init__()
        name = type(self).__name__
        require.names(f"{name}.peers", self.peers, own=self.id)
        require.pair(f"{name}.election_timeout_ms", self.election_timeout_ms, unit="ms")
        require.above(f"{name}.election_timeout_ms", self.election_timeout_ms[0], unit="ms")
        require.above(f"{name}.heartbeat_ms", self.heartbeat_ms, unit="ms")
        require.whole(f"{name}.batch", self.batch, 1, unit="entries")
        require.instance(f"{name}.machine", self.machine, StateMachine, "a state machine, for example KeyValue()")

    def start(self) -> None:
        """(Re)start as a follower (§5.2) that applies its log from the beginning."""
        self.restore()
        self.restart_election_timer()

    def restore(self) -> None:
        """The state machine before any entry."""
        self.machine_state = self.machine.initial()

    # --- the cluster ---------------------------------------------------------------------------------

    def servers(self) -> tuple[NodeId, ...]:
        """The servers whose majority decides."""
        return (self.id, *self.peers)

    def others(self) -> tuple[NodeId, ...]:
        """The servers to send to."""
        return self.peers

    def has_majority(self, who: Collection[NodeId]) -> bool:
        """Whether ``who`` holds a majority of the servers: any two majorities share a server."""
        servers = self.servers()
        return 2 * sum(server in who for server in servers) > len(servers)

    # --- leader election (§5.2) ------------------------------------------------------------------------

    def restart_election_timer(self) -> None:
        """§5.2: a new random timeout each time, so that split votes are rare."""
        self.set_timer("election", *self.election_timeout_ms)

    def on_election_timeout(self) -> None:
        """Followers: no word from a leader, no vote granted. Candidates: nobody won."""
        self.start_election()

    def start_election(self) -> None:
        """Candidates: increment the term, vote for oneself, restart the timer, ask all others. The own vote is a
        promise, too: it is on disk before anybody hears of it, lest it be given away again after a crash."""
        self.current_term += 1
        self.voted_for = self.id
        self.role, self.leader, self.votes = Role.CANDIDATE, None, frozenset((self.id,))
        self.restart_election_timer()
        request = RequestVote(self.current_term, self.log.last_index, self.log.last_term)
        for server in self.others():
            self.send_after_sync(server, request)
        self.count_votes()

    def on_request_vote(self, sender: NodeId, request: RequestVote) -> None:
        """RequestVote RPC, receiver. The answer is a promise: it leaves when the vote is on disk."""
        self.step_down_if_behind(request.term)
        granted = self.may_grant_vote(sender, request)
        if granted:
            self.voted_for = sender
            self.restart_election_timer()
        self.send_after_sync(sender, Vote(self.current_term, granted))

    def may_grant_vote(self, candidate: NodeId, request: RequestVote) -> bool:
        """§5.2: one vote a term, first come, first served; §5.4.1: only for a log as up to date as ours."""
        return (
            request.term == self.current_term
            and self.has_vote_for(candidate)
            and self.is_up_to_date(request.last_log_index, request.last_log_term)
        )

    def has_vote_for(self, candidate: NodeId) -> bool:
        """Whether our vote of this term is free, or was given to this very candidate."""
        return self.voted_for in (None, candidate)

    def is_up_to_date(self, last_index: Index, last_term: Term) -> bool:
        """§5.4.1: the later last term is more up to date; with equal terms, the longer log is."""
        return (last_term, last_index) >= (self.log.last_term, self.log.last_index)

    def on_vote(self, sender: NodeId, vote: Vote) -> None:
        """Candidates: collect votes of the current term."""
        self.step_down_if_behind(vote.term)
        if self.role is Role.CANDIDATE and vote.term == self.current_term and vote.granted:
            self.votes |= {sender}
            self.count_votes()

    def count_votes(self) -> None:
        """§5.2: votes from a majority make a leader."""
        if self.has_majority(self.votes):
            self.become_leader()

    def become_leader(self) -> None:
        """Leaders: set nextIndex and matchIndex anew, append a no-op (§8), tell everybody at once (§5.2)."""
        self.role, self.leader = Role.LEADER, self.id
        self.cancel_timer("election")
        self.next_index = dict.fromkeys(self.others(), self.log.last_index + 1)
        self.match_index = dict.fromkeys(self.others(), 0)
        self.reads, self.read_round, self.heard_round = (), 0, {}
        self.term_start = self.log.last_index + 1
        self.output(BecameLeader(self.current_term))
        self.begin_term()
        self.set_timer("heartbeat", self.heartbeat_ms)

    def begin_term(self) -> None:
        """§8: a blank entry, so that the leader can learn at once which entries are committed."""
        self.append(Entry(self.current_term, NoOp()))

    # --- all servers (§5.1) ------------------------------------------------------------------------------

    def step_down_if_behind(self, term: Term) -> None:
        """Any message with a higher term: adopt it and become a follower; our vote in it is still free."""
        if term > self.current_term:
            self.current_term, self.voted_for, self.leader = term, None, None
            self.become_follower()

    def become_follower(self) -> None:
        """A leader's unfinished business ends here; a candidate's election timer goes on."""
        was_leader, self.role = self.role is Role.LEADER, Role.FOLLOWER
        if was_leader:
            self.cancel_timer("heartbeat")
            self.restart_election_timer()
            self.dismiss_clients()

    def follow(self, leader: NodeId) -> None:
        """§5.2: a message from the current leader; candidates give up, the election timer starts anew."""
        if self.role is not Role.FOLLOWER:
            self.become_follower()
        self.leader = leader
        self.restart_election_timer()

    # --- log replication (§5.3) --------------------------------------------------------------------------

    def append(self, entry: Entry) -> None:
        """Leaders: append to the own log, then replicate. A leader never changes what its log holds."""
        self.log = self.log.append(entry)
        self.replicate()
        self.advance_commit_index()

    def on_heartbeat_timeout(self) -> None:
        """Leaders: heartbeats prevent elections (§5.2), and repeat what was not acknowledged."""
        self.replicate()
        self.set_timer("heartbeat", self.heartbeat_ms)

    def replicate(self) -> None:
        """Leaders: send to each other server what it lacks, or a heartbeat."""
        for server in self.others():
            self.replicate_to(server)

    def replicate_to(self, server: NodeId) -> None:
        """AppendEntries RPC, sender: the entries from nextIndex on, and the entry before them. It leaves when they are
        on our own disk, too: ``is_replicated`` counts us. (Thesis §10.2.1 writes meanwhile, and counts us later.)"""
        first = self.next_index[server]
        previous = self.log.term_at(first - 1)
        assert previous is not None, f"{self.id} no longer has entry {first - 1}, which {server} lacks"
        entries = self.log.slice(first, self.batch)
        number = self.read_round or None
        request = AppendEntries(self.current_term, first - 1, previous, entries, self.commit_index, number)
        self.send_after_sync(server, request)

    def on_append_entries(self, sender: NodeId, request: AppendEntries) -> None:
        """AppendEntries RPC, receiver: rules 1 to 5. The answer, a promise, leaves when the entries are on disk."""
        self.step_down_if_behind(request.term)
        if request.term < self.current_term:
            self.send_after_sync(sender, AppendReply(self.current_term, False))  # 1
            return
        self.follow(sender)
        if not self.has_entry(request.prev_log_index, request.prev_log_term):
            self.send_after_sync(sender, self.conflict(request))  # 2
            return
        self.merge(request.prev_log_index, request.entries)  # 3, 4
        last_new = request.prev_log_index + len(request.entries)
        self.learn_commit_index(request.leader_commit, last_new)  # 5
        self.send_after_sync(sender, self.agreement(request, last_new))

    def has_entry(self, index: Index, term: Term) -> bool:
        """Rule 2, the consistency check: we hold that very entry. What a snapshot covers is committed, so equal."""
        return index < self.log.base_index or self.log.term_at(index) == term

    def merge(self, prev_index: Index, entries: tuple[Entry, ...]) -> None:
        """Rules 3, 4: delete a conflicting entry and all that follow, append what is new; keep what matches."""
        for position, entry in enumerate(entries):
            index = prev_index + 1 + position
            if index <= self.log.base_index:
                continue
            if index <= self.log.last_index and self.conflicts(index, entry):
                self.log = self.log.truncated_from(index)
            if index > self.log.last_index:
                self.log = self.log.append(*entries[position:])
                return

    def conflicts(self, index: Index, entry: Entry) -> bool:
        """Rule 3: same index, different terms."""
        return self.log.term_at(index) != entry.term

    def learn_commit_index(self, leader_commit: Index, last_new: Index) -> None:
        """Rule 5: min(leaderCommit, index of last new entry); beyond it our log may differ from the leader's."""
        self.commit(min(leader_commit, last_new))

    def agreement(self, request: AppendEntries, last_new: Index) -> AppendReply:
        """Acknowledge the entries up to the last new one."""
        return self.reply(request, True, match_index=last_new)

    def conflict(self, request: AppendEntries) -> AppendReply:
        """§5.3: refuse, and say where our entries of the conflicting term begin, to save a round for each entry."""
        index, term = request.prev_log_index, self.log.term_at(request.prev_log_index)
        first = self.log.last_index + 1 if term is None else self.log.first_index_of(index)
        return self.reply(request, False, conflict_index=first, conflict_term=term)

    def reply(self, request: AppendEntries, success: bool, **found: Any) -> AppendReply:
        """The answer to ``request`` with what was ``found``."""
        heartbeat = not request.entries
        return AppendReply(self.current_term, success, read_round=request.read_round, heartbeat=heartbeat, **found)

    def on_append_reply(self, sender: NodeId, reply: AppendReply) -> None:
        """Leaders: on success advance, after a conflict go back and try again."""
        self.step_down_if_behind(reply.term)
        if self.role is not Role.LEADER or reply.term != self.current_term or sender not in self.next_index:
            return
        if reply.match_index is not None:
            self.acknowledge(sender, reply.match_index)
        elif reply.conflict_index is not None:  # else it refused what we sent in an earlier term
            first = self.back_off(sender, reply.conflict_index, reply.conflict_term)
            if first < self.next_index[sender]:  # else the refusal is old news
                self.next_index[sender] = first
                self.replicate_to(sender)
        self.hear_round(sender, reply.read_round or 0)

    def acknowledge(self, server: NodeId, index: Index) -> None:
        """Leaders: the logs agree up to ``index``; go on at once if one batch was too little. Old news: no change."""
        if index <= self.match_index[server]:
            return
        sent_all = self.next_index[server] + self.batch > self.log.last_index
        self.match_index[server] = index
        self.next_index[server] = max(self.next_index[server], index + 1)
        self.advance_commit_index()
        if not sent_all and self.role is Role.LEADER:
            self.replicate_to(server)

    def back_off(self, server: NodeId, conflict_index: Index, conflict_term: Term | None) -> Index:
        """§5.3: the next entry to try: after our last of the conflicting term, else before all of that term."""
        ours = self.log.last_index_of(conflict_term, before=self.next_index[server])
        hint = max(conflict_index, ours + 1)
        return max(self.match_index[server] + 1, hint)

    # --- commitment (§5.3, §5.4.2) -----------------------------------------------------------------------

    def advance_commit_index(self) -> None:
        """Leaders: commit the highest entry that may be; all before it go with it (Log Matching)."""
        for index in range(self.log.last_index, self.commit_index, -1):
            if self.may_commit(index):
                self.commit(index)
                return

    def may_commit(self, index: Index) -> bool:
        """§5.4.2: only entries of the leader's own term are committed by counting replicas."""
        return self.log.term_at(index) == self.current_term and self.is_replicated(index)

    def is_replicated(self, index: Index) -> bool:
        """§5.3: whether a majority is known to hold the entry."""
        holders = [server for server, match in self.match_index.items() if match >= index]
        return self.has_majority((self.id, *holders))

    def commit(self, index: Index) -> None:
        """A commit index never falls."""
        if index > self.commit_index:
            self.commit_index = index
            self.apply_committed()

    def apply_committed(self) -> None:
        """All servers: while commitIndex > lastApplied, apply the next entry. The leader answers the client (§5.3)."""
        while self.last_applied < self.commit_index:
            self.last_applied += 1
            entry = self.log.entry(self.last_applied)
            result = self.apply(entry)
            self.output(Applied(self.last_applied, entry.term, entry.command, result))
            if entry.client is not None and self.role is Role.LEADER:
                self.send_after_sync(entry.client, ClientReply.of(entry.serial, result, self.id))
        self.answer_reads()

    def apply(self, entry: Entry) -> Any:
        """§8: apply a request once; a repeated one gets the result of the first time, an older one none."""
        if self.was_applied(entry):
            last, result = self.sessions[entry.client]  # type: ignore[index]
            return result if last == entry.serial else STALE
        result = self.execute(entry.command)
        if entry.client is not None and entry.serial is not None:
            self.sessions = {**self.sessions, entry.client: (entry.serial, result)}
        return result

    def was_applied(self, entry: Entry) -> bool:
        """§8: whether the client's session has seen this serial number, or a later one."""
        session = self.sessions.get(entry.client)  # type: ignore[arg-type]
        return session is not None and entry.serial is not None and entry.serial <= session[0]

    def execute(self, command: Any) -> Any:
        """Run one command on the state machine."""
        if isinstance(command, NoOp):
            return None
        self.machine_state, result = self.machine.apply(self.machine_state, command)
        return result

    # --- clients (§8) ----------------------------------------------------------------------------------

    def on_client_request(self, sender: NodeId, request: ClientRequest) -> None:
        """Leaders append the command and answer once it is applied; others name the leader."""
        if self.role is Role.LEADER:
            self.append(Entry(self.current_term, request.command, request.client, request.serial))
        else:
            self.redirect(request)

    def redirect(self, request: ClientRequest | ReadRequest) -> None:
        """§8: a client that asks another server is told who leads, as far as known."""
        if request.client is not None:
            self.send(request.client, ClientReply(request.serial, False, leader=self.leader))

    def dismiss_clients(self) -> None:
        """A leader that steps down cannot know what becomes of open requests: the clients shall ask again."""
        for entry in self.log.slice(self.commit_index + 1):
            if entry.client is not None:
                self.send(entry.client, ClientReply(entry.serial, False, leader=self.leader))
        waiting, self.reads = self.reads, ()
        for read in waiting:
            self.redirect(read.request)

    # --- linearizable reads without writing to the log (§8; thesis §6.4, ReadIndex) ----------------------

    def on_read_request(self, sender: NodeId, request: ReadRequest) -> None:
        """Leaders: note what is committed, prove the leadership to themselves by a round of heartbeats, then answer."""
        if self.role is not Role.LEADER:
            self.redirect(request)
            return
        self.reads += (Read(request, self.read_index(), self.begin_round()),)
        self.confirm_leadership()
        self.answer_reads()

    def read_index(self) -> Index:
        """What a read must reflect: all that is committed now, which a leader knows only from its own no-op on."""
        return max(self.commit_index, self.term_start)

    def begin_round(self) -> int:
        """The number of the heartbeats sent from now on; their answers prove that we still led now."""
        self.read_round += 1
        return self.read_round

    def confirm_leadership(self) -> None:
        """A round of heartbeats, sent after the read arrived."""
        self.replicate()

    def hear_round(self, server: NodeId, number: int) -> None:
        """``server`` still followed us when it answered round ``number``."""
        if number > self.heard_round.get(server, 0):
            self.heard_round[server] = number
            self.answer_reads()

    def answer_reads(self) -> None:
        """Answer every read whose conditions hold."""
        ready = [read for read in self.reads if self.may_answer(read)]
        if ready:
            self.reads = tuple([read for read in self.reads if read not in ready])
        for read in ready:
            _, result = self.machine.apply(self.machine_state, read.request.command)
            if read.request.client is not None:
                self.send_after_sync(read.request.client, ClientReply(read.request.serial, True, result, self.id))

    def may_answer(self, read: Read) -> bool:
        """The state machine is recent enough, and nobody else led when the read arrived."""
        return self.last_applied >= read.index and self.is_confirmed(read)

    def is_confirmed(self, read: Read) -> bool:
        """Whether a majority has answered a round that began after the read arrived."""
        loyal = [server for server, heard in self.heard_round.items() if heard >= read.round]
        return self.has_majority((self.id, *loyal))

    # --- for observers -----------------------------------------------------------------------------------

    def view(self) -> RaftView:
        leads, log = self.role is Role.LEADER, self.log
        election = (self.role.value, self.current_term, self.voted_for, self.leader)
        sent = tuple(self.next_index.items()) if leads else ()
        held = tuple(self.match_index.items()) if leads else ()
        known = (self.commit_index, self.last_applied, log.base_index, log.entries)
        return RaftView(*election, *known, sent, held, self.servers())
