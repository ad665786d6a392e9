"""Figures 7 and 8 of the Raft paper (Ongaro & Ousterhout 2014, §5.3 and §5.4.2), played by the class itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.world import CrashRestart, Faults, Timeout
from distlib.core.node import NodeId, node_names, with_peers
from distlib.raft.invariants import raft_invariants
from distlib.raft.log import Entry, Log, Term
from distlib.raft.message import AppendEntries, AppendReply, RequestVote, Vote
from distlib.raft.raft import Raft, Role
from distlib.replication.message import NoOp

Terms = tuple[Term, ...]
"""A log as the paper draws it: the term of each entry."""


class Moment(NamedTuple):
    """All logs at one moment: what the picture is called, each server's log, and who leads."""

    title: str
    logs: Mapping[NodeId, Terms]
    leader: NodeId = ""


FIGURE_7 = Moment(
    "when the leader of term 8 is elected",
    {
        "leader": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6),
        "a": (1, 1, 1, 4, 4, 5, 5, 6, 6),
        "b": (1, 1, 1, 4),
        "c": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
        "d": (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
        "e": (1, 1, 1, 4, 4, 4, 4),
        "f": (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
    },
    "leader",
)


def log_of(terms: Terms) -> Log:
    """A log of these terms."""
    return Log(tuple(Entry(term, NoOp()) for term in terms))


def terms_of(log: Log) -> Terms:
    """The terms of a log."""
    return tuple(entry.term for entry in log.entries)


def repair(follower: str, node_class: type[Raft] = Raft) -> pd.DataFrame:
    """Figure 7's leader, just elected, and one of its followers ``a`` to ``f``, until their logs agree.

    One row a message of the leader: the index and term of the entry before those that it carries, how many it carries,
    and the answer. ``node_class`` is the leader's class.
    """
    leader, other = with_peers(node_class, ("leader", follower))
    leader.start()
    other.start()
    leader.log, other.log = log_of(FIGURE_7.logs["leader"]), log_of(FIGURE_7.logs[follower])
    leader.current_term = other.current_term = 7
    leader.start_election()
    leader.receive(follower, Vote(8, True))
    asked = _appends(leader)[:1]  # the first is sent before the no-op is there; the second would repeat it
    rows: list[tuple[int, Term, int, str]] = []
    while asked:
        other.receive("leader", asked[0])
        (reply,) = [one.message for one in other.take_effects() if isinstance(getattr(one, "message", 0), AppendReply)]
        said = f"agrees up to {reply.match_index}" if reply.success else f"refuses; try {reply.conflict_index}"
        rows.append((asked[0].prev_log_index, asked[0].prev_log_term, len(asked[0].entries), said))
        leader.receive(follower, reply)
        asked = _appends(leader)[:1]
    return pd.DataFrame(rows, columns=["previous index", "its term", "entries", "the follower"])


def _appends(leader: Raft) -> list[AppendEntries]:
    sent = [getattr(one, "message", None) for one in leader.take_effects()]
    return [one for one in sent if isinstance(one, AppendEntries)]


# --- figure 8 -------------------------------------------------------------------------------------------------


class _Script:
    """Five servers, moved step by step: whose timer fires, which message arrives, who crashes and restarts."""

    def __init__(self, node_class: type[Raft]) -> None:
        names = node_names(5)
        self.model = ClusterModel(
            lambda: with_peers(node_class, names, batch=1), invariants=raft_invariants(), timeouts=20,
            faults=Faults(crashes=20),
        )  # fmt: skip
        self.world = self.model.first

    def take(self, action: Any) -> None:
        """One step."""
        self.world = self.model.next_state(self.world, action)

    def deliver(self, kind: type[Any], sender: NodeId, *receivers: NodeId) -> None:
        """The newest message of this ``kind`` from ``sender`` arrives at each of ``receivers``."""
        for receiver in receivers:
            found = [
                one for one in self.world.messages()
                if (one.sender, one.receiver) == (sender, receiver) and isinstance(one.message, kind)
            ]  # fmt: skip
            self.take(max(found, key=lambda one: one.message.term))

    def stands(self, candidate: NodeId, *voters: NodeId, deaf_terms: int = 0) -> None:
        """``candidate`` restarts, stands, ``deaf_terms`` times without being heard; then ``voters`` answer it."""
        self.take(CrashRestart(candidate))
        for _ in range(1 + deaf_terms):
            self.take(Timeout(candidate, "election"))
        self.deliver(RequestVote, candidate, *voters)
        for voter in voters:
            if self.world.node(candidate).role is Role.CANDIDATE:
                self.deliver(Vote, voter, candidate)

    def moment(self, title: str) -> Moment:
        """The logs now."""
        servers: dict[NodeId, Any] = self.world.all_nodes()
        leading = [name for name, server in servers.items() if server.role is Role.LEADER]
        newest = max(leading, key=lambda name: servers[name].current_term, default="")
        return Moment(title, {name: terms_of(server.log) for name, server in servers.items()}, newest)


def figure_8(node_class: type[Raft] = Raft) -> list[Moment]:
    """The paper's figure 8, (a) to (e), with the same terms: every log is what ``node_class`` came to by itself.

    The entries are the no-ops with which leaders begin. (d) and (e) both follow (c).
    """
    found = []
    for ending in "de":
        script = _Script(node_class)
        script.stands("S1", "S2", "S3")
        script.deliver(AppendEntries, "S1", "S2", "S3", "S4", "S5")
        script.stands("S1", "S2", "S3", "S5")
        script.deliver(AppendEntries, "S1", "S2")
        moments = [script.moment("(a) S1 leads term 2")]
        script.take(CrashRestart("S1"))
        script.stands("S5", "S3", "S4")
        moments.append(script.moment("(b) S5 leads term 3"))
        script.take(CrashRestart("S5"))
        script.stands("S1", "S2", "S3", deaf_terms=1)
        script.deliver(AppendEntries, "S1", "S3")
        script.deliver(AppendReply, "S3", "S1")
        script.deliver(AppendEntries, "S1", "S3")
        moments.append(script.moment("(c) S1 leads term 4"))
        if ending == "d":
            _overwrites(script)
            found = [*moments, script.moment("(d) S5 leads term 5")]
        else:
            _commits(script)
            found.append(script.moment("(e) or S1 commits first"))
    return found


def _overwrites(script: _Script) -> None:
    """S1 crashes; S5 wins with the votes of S2, S3 and S4, and its entry of term 3 goes to all."""
    script.take(CrashRestart("S1"))
    script.stands("S5", "S2", "S3", "S4", deaf_terms=1)
    for other in ("S1", "S2", "S3", "S4"):
        script.deliver(AppendEntries, "S5", other)
        script.deliver(AppendReply, other, "S5")
        script.deliver(AppendEntries, "S5", other)


def _commits(script: _Script) -> None:
    """S1's own entry of term 4 reaches a majority; then it crashes, and S5 stands in vain."""
    script.deliver(AppendReply, "S3", "S1")
    script.deliver(AppendEntries, "S1", "S2", "S3")
    script.deliver(AppendReply, "S2", "S1")
    script.deliver(AppendReply, "S3", "S1")
    script.take(CrashRestart("S1"))
    script.stands("S5", "S2", "S3", "S4", deaf_terms=1)
