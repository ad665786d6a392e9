"""Broken on purpose: Raft with one rule taken out, each a subclass that overrides exactly one method: a mistake that
real implementations have made, or that a careful reader might make."""

from __future__ import annotations

from collections.abc import Collection

from distlib.core.mutant import LINEARIZABILITY, LIVENESS, equivalent, mutant, seen_in
from distlib.core.node import NodeId
from distlib.raft.invariants import CommittedSurvives, ElectionSafety, LeaderCompleteness, LogMatching
from distlib.raft.log import Entry, Index, Log, Term
from distlib.raft.membership import Membership
from distlib.raft.message import AppendEntries, AppendReply, RequestVote, Vote
from distlib.raft.raft import Raft, Read, Role

# --- elections (§5.2, §5.4.1) ---------------------------------------------------------------------------------


@seen_in("Zeebe: a server voted for two candidates of one term", "camunda/camunda/issues/5356")
@mutant("A server votes for at most one candidate in a term.", "§5.2", ElectionSafety, "elections")
class VotesTwice(Raft):
    """Votes for whoever asks, as often as it is asked."""

    def has_vote_for(self, candidate: NodeId) -> bool:
        return True


@seen_in("HashiCorp Raft: term and vote are written one after the other", "hashicorp/raft/issues/661")
@mutant(
    "votedFor is on stable storage before the vote is answered.", "figure 2, §5.2", ElectionSafety,
    "elections with a crash",
)  # fmt: skip
class ForgetsItsVote(Raft):
    """Keeps its vote in memory only: a crash loses it, and the same term gets a second one."""

    def start(self) -> None:
        self.voted_for = None
        super().start()


@seen_in("raft-java: a new term was not persisted", "wenweihu86/raft-java/issues/57")
@mutant("currentTerm is on stable storage.", "figure 2, §5.1", ElectionSafety, "elections with a crash")
class ForgetsItsTerm(Raft):
    """Keeps its term in memory only: after a crash it can vote in terms in which it has voted already."""

    def start(self) -> None:
        self.current_term = 0
        super().start()


@seen_in("etcd: loss of data that was not yet synced to disk", "etcd-io/etcd/issues/14143")
@mutant(
    "Log entries are on stable storage before they are acknowledged.", "figure 2, §5.3", CommittedSurvives,
    "after a commit",
)  # fmt: skip
class ForgetsItsLog(Raft):
    """Keeps its log in memory only: what it has acknowledged is gone after a crash."""

    def start(self) -> None:
        self.log = Log()
        super().start()


@seen_in("little-raft: votes of a lower term were counted", "andreev-io/little-raft/issues/44")
@mutant("Only votes of the current term count.", "§5.1, §5.2", ElectionSafety, "three terms")
class CountsOldVotes(Raft):
    """Counts votes that were given to it in an earlier term."""

    def on_vote(self, sender: NodeId, vote: Vote) -> None:
        self.step_down_if_behind(vote.term)
        if self.role is Role.CANDIDATE and vote.granted:
            self.votes |= {sender}
            self.count_votes()


@seen_in("rafter: wrong quorum with an even number of servers", "andrewjstone/rafter/issues/16")
@mutant("A majority is more than half.", "§5.2", CommittedSurvives, "four servers")
class HalfIsEnough(Raft):
    """Takes half of the servers for a majority: with an even number, two halves share nobody."""

    def has_majority(self, who: Collection[NodeId]) -> bool:
        servers = self.servers()
        return 2 * sum(server in who for server in servers) >= len(servers)


@seen_in("jgroups-raft: votes without a look at the log", "jgroups-extras/jgroups-raft/issues/14")
@mutant(
    "Vote only for a log that is at least as up to date as one's own.", "§5.4.1", LeaderCompleteness, "after a commit"
)
class IgnoresLogs(Raft):
    """Votes without a look at the candidate's log."""

    def is_up_to_date(self, last_index: Index, last_term: Term) -> bool:
        return True


@seen_in("noraft: compared indices alone", "sile/noraft/pull/22")
@mutant("The later last term is more up to date, whatever the length.", "§5.4.1", LeaderCompleteness, "divergent logs")
class ComparesLengthsOnly(Raft):
    """Takes the longer log for the more up-to-date one, whatever the terms of its entries."""

    def is_up_to_date(self, last_index: Index, last_term: Term) -> bool:
        return last_index >= self.log.last_index


@seen_in("liferaft: the length was ignored within one term", "markwylde/liferaft/pull/6")
@mutant("With equal last terms, the longer log is more up to date.", "§5.4.1", LeaderCompleteness, "random walks")
class ComparesTermsOnly(Raft):
    """Takes a log with the same last term for as good as its own, though it may be shorter."""

    def is_up_to_date(self, last_index: Index, last_term: Term) -> bool:
        return last_term >= self.log.last_term


@seen_in("CCF: a message of the same term cleared the vote", "microsoft/CCF/pull/8094")
@mutant("A vote is free again only in a higher term.", "§5.1, §5.2", ElectionSafety, "one behind")
class FreesItsVote(Raft):
    """Forgets whom it voted for when a leader's message comes, though that is of the same term."""

    def follow(self, leader: NodeId) -> None:
        super().follow(leader)
        self.voted_for = None


@equivalent(
    "A request of a lower term is refused.", "figure 2, RequestVote 1",
    "the answer carries the voter's own, higher term, in which the old candidate counts no votes",
)  # fmt: skip
class VotesInThePast(Raft):
    """Grants votes to candidates of earlier terms; the answer carries the present term."""

    def may_grant_vote(self, candidate: NodeId, request: RequestVote) -> bool:
        return self.has_vote_for(candidate) and self.is_up_to_date(request.last_log_index, request.last_log_term)


# --- replication (§5.3) ---------------------------------------------------------------------------------------


@mutant("A message of a lower term is refused.", "figure 2, AppendEntries 1", CommittedSurvives, "stale leader")
class HeedsOldLeaders(Raft):
    """Takes entries from a leader of an earlier term, as if it still led."""

    def on_append_entries(self, sender: NodeId, request: AppendEntries) -> None:
        self.step_down_if_behind(request.term)
        self.follow(sender)
        if not self.has_entry(request.prev_log_index, request.prev_log_term):
            self.send_after_sync(sender, self.conflict(request))
            return
        self.merge(request.prev_log_index, request.entries)
        last_new = request.prev_log_index + len(request.entries)
        self.learn_commit_index(request.leader_commit, last_new)
        self.send_after_sync(sender, self.agreement(request, last_new))


@seen_in("akka-raft: followers did not check consistency", "ktoso/akka-raft/issues/32")
@mutant("Refuse entries if the one before them differs.", "figure 2, AppendEntries 2", LogMatching, "figure 8")
class SkipsConsistencyCheck(Raft):
    """Appends wherever its log is long enough, without comparing the entry before."""

    def has_entry(self, index: Index, term: Term) -> bool:
        return index <= self.log.last_index


@mutant(
    "An entry that conflicts with the leader's is deleted.", "figure 2, AppendEntries 3", CommittedSurvives,
    "stale leader",
)  # fmt: skip
class KeepsConflicts(Raft):
    """Keeps its own entry where the leader's differs, and acknowledges all the same."""

    def conflicts(self, index: Index, entry: Entry) -> bool:
        return False


@seen_in("mofa: conflicting entries were replaced, the rest was kept", "mofa-org/mofa/issues/1150")
@mutant("With a conflicting entry goes all that follows it.", "figure 2, AppendEntries 3", LogMatching, "second reign")
class KeepsTheTail(Raft):
    """Replaces a conflicting entry in its place, and keeps what follows it."""

    def merge(self, prev_index: Index, entries: tuple[Entry, ...]) -> None:
        tail = self.log.slice(prev_index + 1 + len(entries))
        self.log = self.log.truncated_from(prev_index + 1).append(*entries, *tail)


@seen_in("Nebula: a follower rolled its log back on any conflict", "vesoft-inc/nebula/pull/2483")
@mutant("Entries are deleted only if they conflict.", "figure 2, AppendEntries 3", CommittedSurvives, "duplicates")
class TruncatesAlways(Raft):
    """Cuts its log behind the entries of every message, also of one that was long overtaken."""

    def merge(self, prev_index: Index, entries: tuple[Entry, ...]) -> None:
        self.log = self.log.truncated_from(prev_index + 1).append(*entries)


@seen_in("adjoint-io: matchIndex was set too high", "adjoint-io/raft/pull/130")
@equivalent(
    "Only what is known to agree counts as replicated.", "figure 2, §5.3",
    "here a heartbeat carries all that a follower lacks, so the first message that agrees also cuts off "
    "what differs; with the empty heartbeats of figure 2, it breaks",
)  # fmt: skip
class AcknowledgesItsWholeLog(Raft):
    """Acknowledges all that its log holds, not only what the message has shown to agree."""

    def agreement(self, request: AppendEntries, last_new: Index) -> AppendReply:
        return super().agreement(request, self.log.last_index)


@seen_in("Copycat: followers committed inconsistent entries", "atomix/copycat/issues/265")
@equivalent(
    "Commit no further than the last new entry.", "figure 2, AppendEntries 5",
    "as before: nothing that differs outlives the first message that agrees; with the empty heartbeats of"
    " figure 2, it breaks",
)  # fmt: skip
class TrustsTheLeadersCommit(Raft):
    """Commits as far as the leader has, also where its own log may differ from the leader's."""

    def learn_commit_index(self, leader_commit: Index, last_new: Index) -> None:
        self.commit(min(leader_commit, self.log.last_index))


@equivalent(
    "A heartbeat, too, is refused if the entry before it differs.", "figure 2, AppendEntries 2",
    "here a message is empty only for a follower that has acknowledged all; with the empty heartbeats of"
    " figure 2, it breaks",
)  # fmt: skip
class TrustsHeartbeats(Raft):
    """Takes an empty message for proof that its log agrees up to there, without a look at the entry."""

    def on_append_entries(self, sender: NodeId, request: AppendEntries) -> None:
        if request.entries or request.term < self.current_term:
            super().on_append_entries(sender, request)
            return
        self.step_down_if_behind(request.term)
        self.follow(sender)
        self.learn_commit_index(request.leader_commit, request.prev_log_index)
        self.send_after_sync(sender, self.agreement(request, request.prev_log_index))


@seen_in("willemt/raft: answers of an earlier term were not all filtered", "willemt/raft/pull/97")
@mutant("Answers of an earlier term are dropped.", "§5.1, §5.3", CommittedSurvives, "second reign")
class HeedsOldReplies(Raft):
    """Counts acknowledgements that were given to it in an earlier term of its leadership."""

    def on_append_reply(self, sender: NodeId, reply: AppendReply) -> None:
        self.step_down_if_behind(reply.term)
        if self.role is not Role.LEADER or sender not in self.next_index:
            return
        if reply.match_index is not None:
            self.acknowledge(sender, reply.match_index)
        elif reply.conflict_index is not None:
            self.next_index[sender] = self.back_off(sender, reply.conflict_index, reply.conflict_term)
            self.replicate_to(sender)
        self.hear_round(sender, reply.read_round or 0)


@seen_in("raft.tla: matchIndex can decrease", "ongardie/raft.tla/issues/18")
@equivalent(
    "matchIndex increases monotonically.", "figure 2, volatile state on leaders",
    "a commit index never falls, so nothing that was counted is lost",
)  # fmt: skip
class LetsMatchIndexFall(Raft):
    """Takes the latest acknowledgement for the truth, also when it was sent before a higher one."""

    def acknowledge(self, server: NodeId, index: Index) -> None:
        self.match_index[server] = index
        self.next_index[server] = max(self.next_index[server], index + 1)
        self.advance_commit_index()


# --- commitment (§5.3, §5.4.2) and the state machine -----------------------------------------------------------


@seen_in("LogCabin: critical data corruption, by Raft's own author", "logcabin/logcabin/issues/44")
@mutant(
    "Only entries of the current term are committed by counting replicas.", "§5.4.2, figure 8", LeaderCompleteness,
    "figure 8",
)  # fmt: skip
class CommitsOldTerms(Raft):
    """Counts the replicas of entries of earlier terms, too: figure 8."""

    def may_commit(self, index: Index) -> bool:
        return self.is_replicated(index)


@mutant("An entry is committed once a majority has it.", "§5.3", CommittedSurvives, "elections")
class CommitsAtOnce(Raft):
    """Takes an entry for committed as soon as it is in the leader's own log."""

    def is_replicated(self, index: Index) -> bool:
        return True


@seen_in("async-raft: one server too few confirmed", "async-raft/async-raft/pull/143")
@mutant("An entry is committed once a majority has it.", "§5.3", CommittedSurvives, "four servers")
class CommitsOnOneReply(Raft):
    """Commits when one other server has the entry, however many servers there are."""

    def is_replicated(self, index: Index) -> bool:
        return any(match >= index for match in self.match_index.values())


@mutant(
    "commitIndex is volatile: what is in the log need not be committed.", "figure 2", CommittedSurvives, "random walks"
)
class CommitsOnRestart(Raft):
    """Takes all that is in its log for committed when it restarts."""

    def restore(self) -> None:
        super().restore()
        self.commit(self.log.last_index)


@mutant(
    "matchIndex starts at 0.", "figure 2", LIVENESS, "healed partition",
    because="no promise of figure 3 breaks, for what it counts wrongly is of old terms, which §5.4.2 does"
    " not count; but who lacks entries never gets them",
)  # fmt: skip
class CountsItsLogAsMatched(Raft):
    """Starts with all the others' logs taken to agree with its own, as far as that goes."""

    def begin_term(self) -> None:
        self.match_index = dict.fromkeys(self.others(), self.log.last_index)
        super().begin_term()


# --- liveness (§5.2, §5.3, §5.6) -------------------------------------------------------------------------------


@mutant("Word from the leader restarts the election timer.", "§5.2", LIVENESS, "healthy cluster")
class KeepsItsTimerRunning(Raft):
    """Goes on waiting for its election timeout although the leader is heard."""

    def follow(self, leader: NodeId) -> None:
        if self.role is not Role.FOLLOWER:
            self.become_follower()
        self.leader = leader


@seen_in("goraft: no random timeout after a split vote", "goraft/raft/issues/13")
@mutant("Election timeouts are random.", "§5.2", LIVENESS, "liveness")
class WaitsEquallyLong(Raft):
    """Waits the same time for every election."""

    def restart_election_timer(self) -> None:
        self.set_timer("election", self.election_timeout_ms[0])


@mutant("Heartbeats are repeated for as long as a leader leads.", "§5.2", LIVENESS, "healthy cluster")
class BeatsOnce(Raft):
    """Sends heartbeats once after its election, then falls silent."""

    def on_heartbeat_timeout(self) -> None:
        self.replicate()


@mutant("In a higher term, the vote is free.", "§5.1, §5.2", LIVENESS, "liveness")
class KeepsItsOldVote(Raft):
    """Takes over a higher term, but not that its vote in it is free."""

    def step_down_if_behind(self, term: Term) -> None:
        if term > self.current_term:
            self.current_term, self.leader = term, None
            self.become_follower()


@mutant("A candidate that does not win stands again.", "§5.2", LIVENESS, "liveness")
class StandsOnce(Raft):
    """A candidate that has not won goes on waiting for votes, without a timer."""

    def on_election_timeout(self) -> None:
        self.start_election()
        if self.role is Role.CANDIDATE:
            self.cancel_timer("election")


@mutant("After a refusal, nextIndex goes down.", "§5.3", LIVENESS, "healed partition")
class NeverBacksOff(Raft):
    """Sends the same entries again after a follower has refused them, in place of earlier ones."""

    def back_off(self, server: NodeId, conflict_index: Index, conflict_term: Term | None) -> Index:
        return self.next_index[server]


@seen_in("verdi-raft: a stale leader ignored a higher term", "uwplse/verdi-raft/issues/29")
@mutant("Who hears of a higher term becomes a follower.", "§5.1", LIVENESS, "healed partition")
class NeverStepsDown(Raft):
    """A leader that hears of a higher term leads on in its own, and so does a candidate stand on."""

    def step_down_if_behind(self, term: Term) -> None:
        if self.role is Role.FOLLOWER:
            super().step_down_if_behind(term)


# --- clients (§8) ----------------------------------------------------------------------------------------------


@seen_in("Xline: commands needed deduplication", "xline-kv/Xline/issues/88")
@mutant("A repeated request is applied once.", "§8", LINEARIZABILITY, "client histories")
class AppliesRepeats(Raft):
    """Applies a repeated request again."""

    def was_applied(self, entry: Entry) -> bool:
        return False


@seen_in("Xline: reads without ReadIndex", "xline-kv/Xline/issues/870")
@mutant("A leader proves its leadership before it answers a read.", "§8", LINEARIZABILITY, "stale reads")
class ReadsWithoutAsking(Raft):
    """Answers reads at once, though another may lead by now."""

    def is_confirmed(self, read: Read) -> bool:
        return True


@seen_in("adjoint-io: stale reads after a new leader's election", "adjoint-io/raft/pull/54")
@mutant("A leader reads only after an entry of its own term is committed.", "§8", LINEARIZABILITY, "client histories")
class ReadsBeforeItsNoOp(Raft):
    """Takes its commit index for up to date from the first moment of its term."""

    def read_index(self) -> Index:
        return self.commit_index


# --- membership (thesis, chapter 4) ------------------------------------------------------------------------------


@seen_in("Copycat: the bug of the thesis itself", "atomix/copycat/issues/23")
@mutant(
    "No change before an entry of the leader's own term is committed.", "Ongaro on raft-dev, 10 July 2015",
    LeaderCompleteness, "reconfiguration",
)  # fmt: skip
class ChangesTooEarly(Membership):
    """Changes the membership before it has committed an entry of its own term: the thesis's version."""

    def may_change(self) -> bool:
        return self.configuration()[0] <= self.commit_index


@mutant("One change at a time.", "thesis, §4.1", LeaderCompleteness, "three changes")
class ChangesAtWill(Membership):
    """Begins the next change before the last one is committed."""

    def may_change(self) -> bool:
        return self.commit_index >= self.term_start
