"""The museum's pieces of Raft."""

from __future__ import annotations

from distlib.raft import broken
from distlib.workbench.museum import LIVENESS, MASKED, FieldReport, Piece

ELECTION, LOG, COMPLETE = "Election Safety", "Log Matching", "Leader Completeness"
SURVIVES, LINEAR, LIVE = "Committed Entries Survive", "linearizability", "liveness"


def _github(what: str, thread: str) -> FieldReport:
    return FieldReport(what, f"https://github.com/{thread}")


RAFT_PIECES: tuple[Piece, ...] = (
    Piece(
        broken.VotesTwice, "A server votes for at most one candidate in a term.", "§5.2", "elections", ELECTION,
        report=_github("Zeebe: a server voted for two candidates of one term", "camunda/camunda/issues/5356"),
    ),
    Piece(
        broken.ForgetsItsVote, "votedFor is on stable storage before the vote is answered.", "figure 2, §5.2",
        "elections with a crash", ELECTION,
        report=_github("HashiCorp Raft: term and vote are written one after the other", "hashicorp/raft/issues/661"),
    ),
    Piece(
        broken.ForgetsItsTerm, "currentTerm is on stable storage.", "figure 2, §5.1", "elections with a crash",
        ELECTION, report=_github("raft-java: a new term was not persisted", "wenweihu86/raft-java/issues/57"),
    ),
    Piece(
        broken.ForgetsItsLog, "Log entries are on stable storage before they are acknowledged.", "figure 2, §5.3",
        "after a commit", SURVIVES,
        report=_github("etcd: loss of data that was not yet synced to disk", "etcd-io/etcd/issues/14143"),
    ),
    Piece(
        broken.CountsOldVotes, "Only votes of the current term count.", "§5.1, §5.2", "three terms", ELECTION,
        report=_github("little-raft: votes of a lower term were counted", "andreev-io/little-raft/issues/44"),
    ),
    Piece(
        broken.HalfIsEnough, "A majority is more than half.", "§5.2", "four servers", SURVIVES,
        report=_github("rafter: wrong quorum with an even number of servers", "andrewjstone/rafter/issues/16"),
    ),
    Piece(
        broken.IgnoresLogs, "Vote only for a log that is at least as up to date as one's own.", "§5.4.1",
        "after a commit", COMPLETE,
        report=_github("jgroups-raft: votes without a look at the log", "jgroups-extras/jgroups-raft/issues/14"),
    ),
    Piece(
        broken.ComparesLengthsOnly, "The later last term is more up to date, whatever the length.", "§5.4.1",
        "divergent logs", COMPLETE, report=_github("noraft: compared indices alone", "sile/noraft/pull/22"),
    ),
    Piece(
        broken.ComparesTermsOnly, "With equal last terms, the longer log is more up to date.", "§5.4.1",
        "random walks", COMPLETE,
        report=_github("liferaft: the length was ignored within one term", "markwylde/liferaft/pull/6"),
    ),
    Piece(
        broken.FreesItsVote, "A vote is free again only in a higher term.", "§5.1, §5.2", "one behind", ELECTION,
        report=_github("CCF: a message of the same term cleared the vote", "microsoft/CCF/pull/8094"),
    ),
    Piece(
        broken.VotesInThePast, "A request of a lower term is refused.", "figure 2, RequestVote 1", "", "",
        MASKED, "the answer carries the voter's own, higher term, in which the old candidate counts no votes",
    ),
    Piece(
        broken.HeedsOldLeaders, "A message of a lower term is refused.", "figure 2, AppendEntries 1",
        "stale leader", SURVIVES,
    ),
    Piece(
        broken.SkipsConsistencyCheck, "Refuse entries if the one before them differs.", "figure 2, AppendEntries 2",
        "figure 8", LOG,
        report=_github("akka-raft: followers did not check consistency", "ktoso/akka-raft/issues/32"),
    ),
    Piece(
        broken.KeepsConflicts, "An entry that conflicts with the leader's is deleted.", "figure 2, AppendEntries 3",
        "stale leader", SURVIVES,
    ),
    Piece(
        broken.KeepsTheTail, "With a conflicting entry goes all that follows it.", "figure 2, AppendEntries 3",
        "second reign", LOG,
        report=_github("mofa: conflicting entries were replaced, the rest was kept", "mofa-org/mofa/issues/1150"),
    ),
    Piece(
        broken.TruncatesAlways, "Entries are deleted only if they conflict.", "figure 2, AppendEntries 3",
        "duplicates", SURVIVES,
        report=_github("Nebula: a follower rolled its log back on any conflict", "vesoft-inc/nebula/pull/2483"),
    ),
    Piece(
        broken.AcknowledgesItsWholeLog, "Only what is known to agree counts as replicated.", "figure 2, §5.3", "", "",
        MASKED, "here a heartbeat carries all that a follower lacks, so the first message that agrees also cuts off "
        "what differs; with the empty heartbeats of figure 2, it breaks",
        report=_github("adjoint-io: matchIndex was set too high", "adjoint-io/raft/pull/130"),
    ),
    Piece(
        broken.TrustsTheLeadersCommit, "Commit no further than the last new entry.", "figure 2, AppendEntries 5",
        "", "", MASKED, "as before: nothing that differs outlives the first message that agrees; with the empty "
        "heartbeats of figure 2, it breaks",
        report=_github("Copycat: followers committed inconsistent entries", "atomix/copycat/issues/265"),
    ),
    Piece(
        broken.HeedsOldReplies, "Answers of an earlier term are dropped.", "§5.1, §5.3", "second reign", SURVIVES,
        report=_github("willemt/raft: answers of an earlier term were not all filtered", "willemt/raft/pull/97"),
    ),
    Piece(
        broken.LetsMatchIndexFall, "matchIndex increases monotonically.", "figure 2, volatile state on leaders",
        "", "", MASKED, "a commit index never falls, so nothing that was counted is lost",
        report=_github("raft.tla: matchIndex can decrease", "ongardie/raft.tla/issues/18"),
    ),
    Piece(
        broken.CommitsOldTerms, "Only entries of the current term are committed by counting replicas.",
        "§5.4.2, figure 8", "figure 8", COMPLETE,
        report=_github("LogCabin: critical data corruption, by Raft's own author", "logcabin/logcabin/issues/44"),
    ),
    Piece(broken.CommitsAtOnce, "An entry is committed once a majority has it.", "§5.3", "elections", SURVIVES),
    Piece(
        broken.CommitsOnOneReply, "An entry is committed once a majority has it.", "§5.3", "four servers", SURVIVES,
        report=_github("async-raft: one server too few confirmed", "async-raft/async-raft/pull/143"),
    ),
    Piece(
        broken.CommitsOnRestart, "commitIndex is volatile: what is in the log need not be committed.", "figure 2",
        "random walks", SURVIVES,
    ),
    Piece(
        broken.CountsItsLogAsMatched, "matchIndex starts at 0.", "figure 2", "healed partition", LIVE, LIVENESS,
        "no promise of figure 3 breaks, for what it counts wrongly is of old terms, which §5.4.2 does not count; "
        "but who lacks entries never gets them",
    ),
    Piece(
        broken.KeepsItsTimerRunning, "Word from the leader restarts the election timer.", "§5.2",
        "healthy cluster", LIVE, LIVENESS,
    ),
    Piece(
        broken.WaitsEquallyLong, "Election timeouts are random.", "§5.2", "liveness", LIVE, LIVENESS,
        report=_github("goraft: no random timeout after a split vote", "goraft/raft/issues/13"),
    ),
    Piece(
        broken.BeatsOnce, "Heartbeats are repeated for as long as a leader leads.", "§5.2", "healthy cluster",
        LIVE, LIVENESS,
    ),
    Piece(
        broken.KeepsItsOldVote, "In a higher term, the vote is free.", "§5.1, §5.2", "liveness", LIVE, LIVENESS,
    ),
    Piece(
        broken.StandsOnce, "A candidate that does not win stands again.", "§5.2", "liveness", LIVE, LIVENESS,
    ),
    Piece(
        broken.NeverBacksOff, "After a refusal, nextIndex goes down.", "§5.3", "healed partition", LIVE, LIVENESS,
    ),
    Piece(
        broken.NeverStepsDown, "Who hears of a higher term becomes a follower.", "§5.1", "healed partition", LIVE,
        LIVENESS,
        report=_github("verdi-raft: a stale leader ignored a higher term", "uwplse/verdi-raft/issues/29"),
    ),
    Piece(
        broken.AppliesRepeats, "A repeated request is applied once.", "§8", "client histories", LINEAR,
        report=_github("Xline: commands needed deduplication", "xline-kv/Xline/issues/88"),
    ),
    Piece(
        broken.ReadsWithoutAsking, "A leader proves its leadership before it answers a read.", "§8", "stale reads",
        LINEAR, report=_github("Xline: reads without ReadIndex", "xline-kv/Xline/issues/870"),
    ),
    Piece(
        broken.ReadsBeforeItsNoOp, "A leader reads only after an entry of its own term is committed.", "§8",
        "client histories", LINEAR,
        report=_github("adjoint-io: stale reads after a new leader's election", "adjoint-io/raft/pull/54"),
    ),
    Piece(
        broken.ChangesTooEarly, "No change before an entry of the leader's own term is committed.",
        "Ongaro on raft-dev, 10 July 2015", "reconfiguration", COMPLETE,
        report=_github("Copycat: the bug of the thesis itself", "atomix/copycat/issues/23"),
    ),
    Piece(
        broken.ChangesAtWill, "One change at a time.", "thesis, §4.1", "three changes", COMPLETE,
    ),
)  # fmt: skip
"""Thirty-seven broken Rafts."""
