"""The Raft scenarios: what happens in each, what is counted, what is refused; and their files."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import pandas as pd
import pytest

from distlib.core.trace import PARTITIONED
from distlib.raft.client_scenarios import lossy_clients
from distlib.raft.exercises import break_it
from distlib.raft.message import Applied
from distlib.raft.raft import Raft
from distlib.raft.scenarios import (
    ElectionParams,
    PartitionParams,
    RaftParams,
    SplitVoteParams,
    election,
    partition,
    split_vote,
)
from distlib.raft.statistics import failovers, leaders, split_terms, statistics
from distlib.raft.throughput import (
    CLIENTS,
    DISKS_MS,
    ThroughputParams,
    measure,
    measured_beforehand,
    simulated,
    throughput,
)
from distlib.sim.latency import Constant, ExponentialLatency, LogNormalLatency, PerLink, Uniform
from distlib.sim.regions import one_way_ms


def test_an_election_a_crash_another_election_and_the_first_leader_follows() -> None:
    trace = election(ElectionParams())
    (_, first, one), (_, second, two) = leaders(trace)
    assert first != second and two > one and not trace.violations
    ((crash_ms, gap_ms),) = failovers(trace)
    assert crash_ms == 600 and gap_ms is not None and 100 < gap_ms < 400
    assert trace.view_at(first, trace.end_ms).leader == second


@pytest.mark.parametrize("servers", range(1, 10))
def test_any_size_elects_a_leader_and_commits(servers: int) -> None:
    trace = election(ElectionParams(servers=servers, crash_ms=15_000))
    assert len(leaders(trace)) == 1 and trace.outputs_of(Applied) and not trace.violations


def test_narrow_timers_split_the_vote_and_spread_timers_do_not() -> None:
    narrow, wide = split_vote(), split_vote(SplitVoteParams(election_timeout_ms=(150, 300)))
    assert len(split_terms(narrow)) >= 3 and not leaders(narrow)
    assert not split_terms(wide) and len(leaders(wide)) == 1


def test_a_partition_makes_logs_diverge_and_the_heal_repairs_them() -> None:
    params = PartitionParams()
    trace = partition(params)
    (_, old, _), (_, new, term) = leaders(trace)
    before, after = trace.view_at(old, params.heal_ms - 1), trace.view_at(old, trace.end_ms)
    assert [str(entry.command) for entry in before.log[-3:]] == ["x←old 1", "x←old 2", "x←old 3"]
    assert before.commit_index == 3 < trace.view_at(new, params.heal_ms - 1).commit_index
    assert after.log == trace.view_at(new, trace.end_ms).log and after.term == term
    assert not any("old" in str(one.event.command) for one in trace.outputs_of(Applied))
    assert PARTITIONED in set(trace.fates.values()) and not trace.violations


def test_statistics_count_what_the_trace_holds() -> None:
    table = dict(statistics(election(ElectionParams())).itertuples(index=False))
    assert table["elections won"].startswith("2 (terms 1, 2)")
    assert table["leader crashed at 600 ms"].startswith("replaced after")
    nothing = dict(statistics(split_vote()).itertuples(index=False))
    assert nothing["first leader after"] == "none in this run"


@pytest.mark.parametrize(
    ("values", "model"),
    [
        ({"latency": "constant", "latency_ms": 8.0}, Constant),
        ({"latency": "uniform", "latency_ms": 8.0}, Uniform),
        ({"latency": "exponential", "latency_ms": 8.0}, ExponentialLatency),
        ({"latency": "log-normal", "latency_ms": 8.0}, LogNormalLatency),
    ],
)
def test_each_latency_model_has_the_mean_that_was_asked_for(values: dict[str, Any], model: type) -> None:
    made = RaftParams(**values).latency_model()
    assert isinstance(made, model) and made.mean_ms() == pytest.approx(8.0, rel=1e-4)


def test_regions_give_half_of_the_measured_round_trips() -> None:
    model = RaftParams(latency="regions", servers=2, regions=("East US", "Japan East")).latency_model()
    assert isinstance(model, PerLink)
    assert {(a, b): ms for a, b, ms in model.links} == {
        ("S1", "S2"): one_way_ms("East US", "Japan East"),
        ("S2", "S1"): one_way_ms("Japan East", "East US"),
    }


@pytest.mark.parametrize(
    ("values", "remark"),
    [
        ({"latency": "regions"}, "below the broadcast time"),
        ({"heartbeat_ms": 160.0}, "healthy leaders will be deposed"),
        ({"servers": 2}, "stops at the first crash"),
        ({"servers": 4}, "survive no more crashes than 3"),
        ({"election_timeout_ms": (150, 150)}, "split votes may go on for ever"),
    ],
)
def test_unwise_values_are_allowed_with_a_warning(values: dict[str, Any], remark: str) -> None:
    assert any(remark in one for one in ElectionParams(**values).warnings())
    assert not ElectionParams().warnings()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RaftParams(election_timeout_ms=(300, 150)), "reversed"),
        (lambda: RaftParams(servers=0), "from 1 to 9"),
        (lambda: RaftParams(servers=10**30), "from 1 to 9"),
        (lambda: RaftParams(regions=("Atlantis",)), "holds 'Atlantis'"),
        (lambda: RaftParams(seed=-1), "RaftParams.seed is -1"),
        (lambda: PartitionParams(partition_ms=900.0, heal_ms=100.0), "before the partition"),
    ],
)
def test_impossible_values_are_refused(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_an_empty_seed_is_refused() -> None:
    with pytest.raises(TypeError, match="it takes a whole number"):
        RaftParams(seed=None)  # type: ignore[arg-type]


def test_a_broken_raft_breaks_and_the_correct_one_does_not() -> None:
    class Gullible(Raft):
        def is_up_to_date(self, last_index: int, last_term: int) -> bool:
            return True

    trace = break_it(Gullible)
    assert trace.violations and trace.end_ms == trace.violations[0].time_ms and trace.sent
    assert not break_it(Raft, seeds=30).violations


def test_repeated_requests_are_logged_twice_and_applied_once() -> None:
    run = lossy_clients(loss=0.3, seed=7)
    assert run.total == run.operations == run.answered == 36
    assert run.logged > run.operations and run.requests > run.logged and "36" in str(run)


def test_the_nearest_majority_sets_the_latency() -> None:
    """Latencies have at most 5 % of jitter, and messages of .1 ms hardly queue with one client."""
    params = ThroughputParams(clients=1, operations=20)
    *five, _ = measure(5, "the world", params)
    *seven, rate = measure(7, "the world", params)
    assert max(seven) < min(five)
    assert rate == pytest.approx(1000 / (sum(seven) / len(seven)), rel=0.05)


@pytest.mark.parametrize(("clients", "disk_ms"), [(1, 0.0), (24, 0.0), (4, 10.0)])
def test_what_is_measured_beforehand_is_what_a_simulation_finds(clients: int, disk_ms: float) -> None:
    params = ThroughputParams(clients, disk_ms=disk_ms)
    pd.testing.assert_frame_equal(throughput(params), simulated(params), check_exact=True)


def test_every_choice_is_measured_beforehand_and_nothing_else_is_taken_for_it() -> None:
    counts = measured_beforehand().groupby(["clients", "disk_ms"]).size()
    assert {*counts.index} == {*product(CLIENTS, DISKS_MS)} and set(counts) == {15}
    other = ThroughputParams(1, operations=20)
    assert not throughput(other).equals(throughput(ThroughputParams(1)))
