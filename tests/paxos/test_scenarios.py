"""Paxos's situations: what they show, side by side with Raft, and the settings they refuse."""

from dataclasses import replace

import pytest

from distlib.core.trace import kind_of
from distlib.paxos.message import Chosen
from distlib.paxos.scenarios import (
    CompareParams,
    Decision,
    DuelParams,
    LeaderChangeParams,
    SingleDecreeParams,
    backoff_study,
    compare,
    decision,
    leader_change,
    single_decree,
)


def test_a_single_decree_is_learnt_by_all() -> None:
    trace = single_decree()
    assert {one.node for one in trace.outputs_of(Chosen)} == {"S1", "S2", "S3", "S4", "S5"}
    assert len({one.event.value for one in trace.outputs_of(Chosen)}) == 1
    assert not trace.violations


def test_unsafe_quorums_can_break_agreement() -> None:
    """|Q1| = |Q2| = 2 of 5: of 40 seeds about nine."""
    params = SingleDecreeParams(phase1_quorum=2, phase2_quorum=2, stagger_ms=15.0)
    broken = [seed for seed in range(40) if single_decree(replace(params, seed=seed)).violations]
    assert len(broken) >= 3
    assert "two values may be chosen" in params.warnings()[0]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"acceptors": 3, "proposers": 4}, "proposers is 4, but there are only 3"),
        ({"acceptors": 3, "phase1_quorum": 4}, "phase1_quorum is 4"),
        ({"loss": 2}, "loss"),
    ],
)
def test_impossible_settings_are_refused(values: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SingleDecreeParams(**values)


def test_a_livelock_is_reported_as_undecided() -> None:
    assert decision(DuelParams(), limit_ms=500).decided_ms is None
    assert decision(SingleDecreeParams(proposers=1, latency_ms=(10, 10))) == Decision(1, 40.0)


def test_the_study_has_a_row_for_each_width() -> None:
    table = backoff_study(widths_ms=(0, 80), trials=5, limit_ms=500)
    assert list(table["backoff_ms"]) == [0, 80]
    assert list(table["decided"]) == [0.0, 1.0]


def test_a_leader_crashes_and_another_takes_over() -> None:
    trace = leader_change()
    leaders = [one for one in trace.outputs if kind_of(one.event) == "BecameLeader"]
    assert len(leaders) == 2
    assert leaders[0].node != leaders[1].node
    assert leaders[1].time_ms > 700
    assert not trace.violations
    assert LeaderChangeParams(suspect_ms=(20, 40)).warnings()


def test_messages_and_round_trips_side_by_side() -> None:
    """Lamport 2001, §2.2, §3; Ongaro & Ousterhout 2014, §5.3: 4(n−1) messages in two round trips, 2(n−1) in one."""
    for servers in (3, 5):
        table = compare(CompareParams(servers=servers, commands=5, trials=2)).set_index("protocol")
        others = servers - 1
        assert table["messages"].to_dict() == {"Paxos": 4 * others, "Multi-Paxos": 2 * others, "Raft": 2 * others}
        trips = table["round_trips"].round(9).to_dict()
        assert trips == {"Paxos": 2, "Multi-Paxos": 1, "Raft": 1}


def test_leader_changes_take_about_as_long_in_multi_paxos_as_in_raft() -> None:
    """Both wait for the first of four timers drawn from 150 to 300 ms: 30 crashes each, within four standard errors."""
    table = compare(CompareParams(commands=1, trials=30)).set_index("protocol")
    multi, raft = table.loc["Multi-Paxos"], table.loc["Raft"]
    error = (multi["standard_error_ms"] ** 2 + raft["standard_error_ms"] ** 2) ** 0.5
    assert abs(multi["leader_change_ms"] - raft["leader_change_ms"]) < 4 * error
    assert 100 < multi["leader_change_ms"] < 300
