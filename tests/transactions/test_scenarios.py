"""The situations of the chapter: one transaction, a dead coordinator, distance, all side by side."""

from __future__ import annotations

from dataclasses import replace

import pytest

from distlib.transactions.comparison import COLUMNS, ComparisonParams, compare
from distlib.transactions.intervals import intervals, longest_ms, transitions
from distlib.transactions.message import Told
from distlib.transactions.scenarios import (
    ALL_PROTOCOLS,
    COORDINATOR,
    ISOLATED,
    NOBODY,
    PARTICIPANT,
    PROTOCOLS,
    TELLING,
    BlockingParams,
    GeographyParams,
    LoadParams,
    TransactionParams,
    blocking,
    contention,
    geography,
    transaction,
)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_without_a_failure_every_protocol_commits_and_all_let_go(protocol: str) -> None:
    trace = transaction(TransactionParams(protocol=protocol, victim=NOBODY))
    assert [one.event.commit for one in trace.outputs_of(Told)] == [True]
    assert not trace.violations
    assert intervals(trace, "locked")["ended"].all()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("victim", [COORDINATOR, PARTICIPANT])
def test_a_crash_breaks_no_promise_and_ends(protocol: str, victim: str) -> None:
    for fails_ms in (5.0, 16.0, 24.0, 40.0):
        trace = transaction(TransactionParams(protocol=protocol, victim=victim, fails_ms=fails_ms, duration_ms=1500))
        assert not trace.violations
        assert intervals(trace, "in_doubt")["ended"].all(), (protocol, victim, fails_ms)


def test_in_two_phases_doubt_lasts_until_the_coordinator_is_back_and_in_three_it_does_not() -> None:
    short, long = (TransactionParams(down_ms=down_ms, duration_ms=1500) for down_ms in (100.0, 800.0))
    doubt = [longest_ms(intervals(transaction(one), "in_doubt")) for one in (short, long)]
    assert doubt[0] > 100 and doubt[1] > 800
    three = [longest_ms(intervals(transaction(replace(one, protocol="three-phase commit")), "in_doubt"))
             for one in (short, long)]  # fmt: skip
    assert three[0] == three[1] < 200


def test_a_partition_divides_three_phase_commit_and_no_other() -> None:
    def broken(protocol: str) -> int:
        cut = TransactionParams(protocol=protocol, victim=ISOLATED, amount=1)
        runs = [transaction(replace(cut, fails_ms=float(at), seed=at)) for at in range(10, 60, 2)]
        return sum(bool(one.violations) for one in runs)

    found = {protocol: broken(protocol) for protocol in PROTOCOLS}
    assert found.pop("three-phase commit") > 0
    assert set(found.values()) == {0}


def test_blocking_meets_every_protocol_with_the_same_crashes() -> None:
    table = blocking(BlockingParams(trials=20))
    crashes = table.groupby("protocol")["crash_ms"].apply(tuple)
    assert len(set(crashes)) == 1 and set(table["protocol"]) == set(TELLING)
    longest = table.groupby("protocol")["blocked_ms"].max()
    assert longest["two-phase commit"] > 900
    assert (longest.drop("two-phase commit") < 150).all()
    assert table["committed"].any() and not table["committed"].all(), "some crashes come before the decision"


def test_far_apart_a_phase_more_costs_a_round_trip_more() -> None:
    table = geography(GeographyParams(disk_ms=0.0)).set_index(["places", "protocol"])["told_ms"]
    for place in ("one region", "the world"):
        assert table[place, "three-phase commit"] == pytest.approx(2 * table[place, "two-phase commit"])
    assert table["the world", "two-phase commit"] > 100 * table["one region", "two-phase commit"] / 4


def test_under_load_who_refuses_aborts_most_and_nobody_aborts_alone() -> None:
    table = contention(LoadParams(transactions=2000), clients=(1, 32)).set_index(["waiting", "clients"])
    assert (table.xs(1, level="clients")["aborted"] == 0).all()
    aborted = table.xs(32, level="clients")["aborted"]
    assert aborted["refuse to wait"] > aborted["wound-wait"] > 0


def test_side_by_side_has_a_number_for_every_cell() -> None:
    table = compare(ComparisonParams(trials=10))
    assert list(table["protocol"]) == list(PROTOCOLS)
    assert table[list(COLUMNS)].notna().all().all()
    by = table.set_index("protocol")
    assert by.loc["two-phase commit", ["messages", "forced", "delays"]].tolist() == [12, 7, 2]
    assert by["violations"].drop("three-phase commit").eq(0).all() and by.loc["three-phase commit", "violations"] > 0


def test_a_runs_transitions_are_counted() -> None:
    calm = transitions(transaction(TransactionParams(victim=NOBODY)))
    assert calm["in doubt", "committed"] == 3 and calm["collecting votes", "decided"] == 1
    refused = transitions(transaction(TransactionParams(victim=NOBODY, amount=8)))
    assert refused["not asked", "aborted"] == 1 and refused["in doubt", "aborted"] == 2
    three = transitions(transaction(TransactionParams(victim=NOBODY, protocol="three-phase commit")))
    assert three["in doubt", "leaning"] == three["leaning", "committed"] == 3


def test_what_surprises_is_said_before() -> None:
    assert "votes no" in TransactionParams(amount=8).warnings()[0]
    assert "in time" in TransactionParams(protocol="three-phase commit", victim=ISOLATED).warnings()[0]
    with pytest.raises(ValueError, match="participants is 5, but there are only 4 nodes"):
        LoadParams(participants=5, nodes=4)
    with pytest.raises(ValueError, match="protocol"):
        TransactionParams(protocol="four-phase commit")
    assert set(PROTOCOLS) < set(ALL_PROTOCOLS)
