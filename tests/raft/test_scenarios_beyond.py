"""Raft beyond figure 2 in situations: a follower that comes back, reads at a deposed leader, a server replaced."""

from __future__ import annotations

import re

import pytest

from distlib.check.history.history import Operation
from distlib.check.history.linearizability import Verdict, check
from distlib.check.history.sequential import Register
from distlib.core.trace import Trace
from distlib.raft.client_scenarios import APART_MS, HEAL_MS, deposed_reads, replacement
from distlib.raft.membership import ConfigurationCommitted
from distlib.raft.raft import Raft
from distlib.raft.scenarios import RejoinParams, rejoin
from distlib.raft.snapshot import SnapshotInstalled
from distlib.raft.statistics import commit_times, leaders
from distlib.raft.variants import LeaderLease, PreVote

SEEDS = range(10)


class Hasty(Raft):
    """Answers reads without asking whether it still leads."""

    def is_confirmed(self, read: object) -> bool:
        return True


def terms(trace: Trace, time_ms: float) -> list[int]:
    return [trace.view_at(name, time_ms).term for name in trace.nodes]


@pytest.mark.parametrize("seed", SEEDS)
def test_who_comes_back_deposes_a_healthy_leader_and_cannot_win_itself(seed: int) -> None:
    trace = rejoin(Raft, RejoinParams(seed=seed))
    (_, first, old), (second_ms, second, new) = leaders(trace)
    away = next(name for name in trace.nodes if name != first)
    assert second_ms > 1100 and new > old and second != away and not trace.violations
    assert trace.view_at(away, 1099).term > trace.view_at(first, 1099).term == old
    assert len(set(terms(trace, trace.end_ms))) == 1


@pytest.mark.parametrize("seed", SEEDS)
def test_with_pre_vote_it_comes_back_in_the_leaders_term(seed: int) -> None:
    trace = rejoin(PreVote, RejoinParams(seed=seed))
    ((_, leader, term),) = leaders(trace)
    assert terms(trace, 1099) == terms(trace, trace.end_ms) == [term] * 5
    assert all(trace.view_at(name, trace.end_ms).leader == leader for name in trace.nodes)
    assert len(commit_times(trace)) == 2 and not trace.violations


IDLE = {"servers": 3, "commands": 0}


def test_an_idle_clusters_leader_is_deposed_by_who_lacks_nothing_unless_it_hears_itself() -> None:
    """Its own vote and the leader's are a majority of three, and both logs are equally good."""

    class GrantsAtOnce(PreVote):
        def has_leader(self) -> bool:
            return self.hears_leader

    deposed = dict.fromkeys((Raft, GrantsAtOnce, PreVote), 0)
    for kind in deposed:
        for seed in range(40):
            trace = rejoin(kind, RejoinParams(seed=seed, **IDLE))
            deposed[kind] += len(leaders(trace)) > 1
            assert not trace.violations and len(trace.faults) == 1
    assert deposed[Raft] == 40 and deposed[GrantsAtOnce] > 0 and deposed[PreVote] == 0


def test_nobody_is_cut_off_while_nobody_leads() -> None:
    assert not rejoin(Raft, RejoinParams(partition_ms=100)).faults


def reads(kind: type[Raft], seed: int) -> list[Operation]:
    return [one for one in deposed_reads(kind, seed).operations if one.process == "reader"]


@pytest.mark.parametrize("kind", [Raft, PreVote, LeaderLease])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_leader_that_asks_first_never_reads_the_past(kind: type[Raft], seed: int) -> None:
    history = deposed_reads(kind, seed)
    assert check(history, Register()).verdict is Verdict.LINEARIZABLE
    answered = [one for one in reads(kind, seed) if not one.pending]
    waited = max(answered, key=lambda one: one.returned - one.call)
    assert waited.call < HEAL_MS < waited.returned and waited.returned - waited.call > 50 and waited.result >= 3


@pytest.mark.parametrize("seed", SEEDS)
def test_a_leader_that_does_not_ask_reads_the_past(seed: int) -> None:
    result = check(deposed_reads(Hasty, seed), Register())
    assert result.verdict is Verdict.NOT_LINEARIZABLE
    late = [one for one in reads(Hasty, seed) if one.call > APART_MS and one.returned < HEAL_MS]
    assert len(late) >= 4 and not result.timeline()["faults"].empty


def test_a_seed_without_a_leader_at_the_cut_is_refused() -> None:
    class Silent(Raft):
        def start_election(self) -> None:
            self.restart_election_timer()

    with pytest.raises(ValueError, match=re.escape("with seed 3 nobody leads at 520 ms")):
        deposed_reads(Silent, seed=3)


def test_an_empty_server_gets_a_snapshot_joins_and_the_old_one_leaves() -> None:
    trace = replacement()
    installed = [one for one in trace.outputs_of(SnapshotInstalled) if one.node == "S4"]
    configurations = [one.event.servers for one in trace.outputs_of(ConfigurationCommitted) if one.node == "S3"]
    assert installed and configurations == [("S1", "S2", "S3", "S4"), ("S2", "S3", "S4")]
    assert not trace.violations and len(commit_times(trace)) > 30


def test_the_removed_server_is_not_told_and_disturbs_the_others() -> None:
    """Thesis §4.2.3, disruptive servers."""
    trace = replacement()
    assert trace.view_at("S1", 1100).servers == ("S1", "S2", "S3", "S4")
    assert trace.view_at("S1", trace.end_ms).role == "candidate" and len(leaders(trace)) == 2
    assert leaders(trace)[1][1] != "S1"
