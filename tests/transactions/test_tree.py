"""Two-phase commit down a tree: a chain, a bushy one, a node in the middle that refuses, and one that crashes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from distlib.check.cluster.model import ClusterModel
from distlib.check.cluster.world import Faults
from distlib.check.explore.explore import explore
from distlib.core.fault import Crash
from distlib.core.node import node_names
from distlib.sim.cluster import Cluster, NodeError
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from distlib.transactions.bank import Add, Read, Work
from distlib.transactions.invariants import commit_invariants
from distlib.transactions.message import Begin, Prepared, Wrote
from distlib.transactions.searches import REQUEST_OF_TWO, tree_model
from distlib.transactions.tree import TreeCommit
from distlib.transactions.two_phase import cluster
from tests.transactions.clusters import FOUR, THREE, TWO, TX, bank, busy, decisions, flow, money, told

CHAIN = (("S3", "S2"), ("S4", "S3"))
SEVEN = node_names(7)
BUSHY = (("S4", "S2"), ("S5", "S2"), ("S6", "S3"), ("S7", "S3"))
PATIENT = {"vote_ms": 500.0, "inquire_ms": 500.0}


def shared(names: tuple[str, ...], poor: str = "") -> Work:
    """The first of ``names`` pays 1 to each of the others; ``poor`` shall pay more than it has."""
    return tuple([
        (name, (Add("x", -20 if name == poor else 1 if name != names[0] else 1 - len(names)),)) for name in names
    ])  # fmt: skip


def tree(
    names: tuple[str, ...], above: tuple[tuple[str, str], ...], work: Work | None = None, **options: Any
) -> Cluster:
    return bank(TreeCommit, names, shared(names[1:]) if work is None else work, above=above, **options)


def test_a_chain_is_walked_down_and_up_twice() -> None:
    """S1 → S2 → S3 → S4. Who is in the middle acknowledges the decision when it has handed it on."""
    running = tree(FOUR, CHAIN, **PATIENT)
    trace = running.run(300)
    assert flow(trace) == [
        "10 S1 → S2 Prepare", "20 S2 → S3 Prepare", "30 S3 → S4 Prepare",
        "40 S4 → S3 Vote yes", "50 S3 → S2 Vote yes", "60 S2 → S1 Vote yes",
        "70 S1 → S2 Commit", "80 S2 → S1 Acknowledge", "80 S2 → S3 Commit", "90 S3 → S2 Acknowledge",
        "90 S3 → S4 Commit", "100 S4 → S3 Acknowledge",
    ]  # fmt: skip
    assert told(trace) == [("S1", 60.0, True)], "the root alone has a client"
    assert decisions(running) == {"S1": None, "S2": True, "S3": True, "S4": True} and not busy(running)
    prepared = [(one.time_ms, one.node) for one in trace.outputs_of(Wrote) if isinstance(one.event.record, Prepared)]
    assert prepared == [(30, "S4"), (40, "S3"), (50, "S2")], "each one when all below it are prepared"


def test_a_bushy_tree_takes_the_time_of_its_height() -> None:
    """S1 over S2 and S3, each over two more: six participants, four message delays until the decision, not two."""
    running = tree(SEVEN, BUSHY)
    trace = running.run(300)
    assert told(trace) == [("S1", 40.0, True)]
    assert len(flow(trace)) == 4 * 6, "four a participant, as without a tree"
    assert [line for line in flow(trace) if line.endswith("Prepare")] == [
        "10 S1 → S2 Prepare", "10 S1 → S3 Prepare", "20 S2 → S4 Prepare", "20 S2 → S5 Prepare",
        "20 S3 → S6 Prepare", "20 S3 → S7 Prepare",
    ]  # fmt: skip
    assert set(decisions(running).values()) == {None, True} and not busy(running) and money(running) == 70
    assert not trace.violations


@pytest.mark.parametrize(("poor", "votes"), [
    ("S4", ["40 S4 → S3 Vote no", "50 S3 → S2 Vote no", "60 S2 → S1 Vote no"]),
    ("S3", ["40 S4 → S3 Vote yes", "50 S3 → S2 Vote no", "60 S2 → S1 Vote no"]),
    ("S2", ["40 S4 → S3 Vote yes", "50 S3 → S2 Vote yes", "60 S2 → S1 Vote no"]),
])  # fmt: skip
def test_a_no_anywhere_in_a_chain_is_a_no_above_it_and_an_abort_below_it(poor: str, votes: list[str]) -> None:
    running = tree(FOUR, CHAIN, shared(FOUR[1:], poor), **PATIENT)
    trace = running.run(800)
    assert [line for line in flow(trace) if "Vote" in line] == votes
    aborts = {line.split(" ")[3] for line in flow(trace) if line.endswith("Abort")}
    assert aborts == {name for name in FOUR if name > poor}, "who voted no knows"
    assert decisions(running) == {"S1": None, "S2": False, "S3": False, "S4": False}
    assert told(trace) == [("S1", 60.0, False)] and not busy(running) and not trace.violations


@pytest.mark.parametrize(
    ("at_ms", "commit", "doubt"),
    [
        pytest.param(5, False, False, id="before it is asked"),
        pytest.param(15, False, False, id="it has asked below"),
        pytest.param(25, False, False, id="the vote from below is under way"),
        pytest.param(35, True, True, id="it has voted"),
        pytest.param(45, True, True, id="the decision is under way"),
        pytest.param(55, True, False, id="it has handed the decision on"),
        pytest.param(65, True, False, id="the acknowledgement from below is under way"),
        pytest.param(75, True, False, id="over"),
    ],
)
def test_a_node_in_the_middle_that_crashes_in_each_step(at_ms: float, commit: bool, doubt: bool) -> None:
    """S1 → S2 → S3, and S2 is down for 100 ms; S3 waits for it, and S2 itself may be in doubt when it comes back."""
    running = tree(THREE, CHAIN[:1], TWO, faults=(Crash(at_ms, "S2", 100),))
    trace = running.run(1_000)
    assert [one for _, _, one in told(trace)] == [commit]
    assert decisions(running)["S2"] is commit
    assert decisions(running)["S3"] in ((commit,) if at_ms > 10 else (None,)), "S3 was asked, or never heard of it"
    assert not busy(running) and money(running) == 30 and not trace.violations
    back = trace.view_at("S2", at_ms + 100)
    assert (back.in_doubt == (TX,)) is doubt
    assert (back.coordinating == (TX,)) is (doubt or at_ms in (55, 65, 75)), "whom to tell is on disk with the vote"


def test_a_vote_that_does_not_come_up_in_time_is_a_no() -> None:
    """S4 is down: S3's patience ends, and its no goes up. What was never prepared needs no locks freed."""
    running = tree(FOUR, CHAIN, faults=(Crash(5, "S4"),), vote_ms=60.0)
    trace = running.run(200)
    assert "80 S3 → S2 Vote no" not in flow(trace)
    assert [one for _, _, one in told(trace)] == [False]
    assert decisions(running) == {"S1": None, "S2": False, "S3": False, "S4": None}
    assert not trace.violations


def test_who_has_only_read_in_the_middle_stays_until_those_below_have_been_told() -> None:
    """S2 and S4 only read. S4 leaves with its vote; S2 left S3 in doubt for ever when it did."""
    work: Work = (("S2", (Read("x"),)), ("S3", (Add("x", 1),)), ("S4", (Read("x"),)))
    running = tree(FOUR, (("S3", "S2"), ("S4", "S2")), work, read_only_votes=True)
    trace = running.run(300)
    assert flow(trace) == [
        "10 S1 → S2 Prepare", "20 S2 → S3 Prepare", "20 S2 → S4 Prepare", "30 S3 → S2 Vote yes",
        "30 S4 → S2 Vote read-only", "40 S2 → S1 Vote yes", "50 S1 → S2 Commit", "60 S2 → S1 Acknowledge",
        "60 S2 → S3 Commit", "70 S3 → S2 Acknowledge",
    ]  # fmt: skip
    assert decisions(running) == {"S1": None, "S2": True, "S3": True, "S4": None} and not busy(running)


def test_a_node_that_is_reached_through_one_without_a_part_is_refused() -> None:
    running = bank(TreeCommit, FOUR, shared(("S2", "S4")), above=CHAIN)
    with pytest.raises(NodeError, match="S4 is reached through S3, which has no part in the work; give it one"):
        running.run(10)


def test_without_a_tree_it_is_two_phase_commit() -> None:
    assert flow(bank(TreeCommit).run(100)) == flow(bank().run(100))


@pytest.mark.parametrize(
    ("crashes", "timeouts", "counts"),
    [(1, {}, (100, 13)), (2, {"inquire": 1}, (3_034, 18)), (1, {"vote": 2, "inquire": 1, "resend": 1}, (31_650, 20))],
)
def test_a_chain_of_three_with_crashes_of_any_node_is_exhausted(
    crashes: int, timeouts: dict[str, int], counts: tuple[int, int]
) -> None:
    """Distinct states and depth, as measured."""
    faults = Faults(crashes=crashes)
    result = explore(tree_model(TreeCommit, requests=[REQUEST_OF_TWO], faults=faults, timeouts=timeouts))
    assert result.verdict == "holds" and result.exhausted
    assert (result.distinct, result.depth) == counts


def test_a_chain_of_four_without_failures_is_exhausted() -> None:
    model = ClusterModel(
        lambda: cluster(TreeCommit, FOUR, above=CHAIN), invariants=commit_invariants(),
        requests=[("S1", Begin(shared(FOUR[1:])))], timeouts={"vote": 1},
    )  # fmt: skip
    result = explore(model)
    assert result.verdict == "holds" and result.exhausted


@given(
    crashes=st.lists(st.tuples(st.floats(0, 200), st.sampled_from(SEVEN), st.floats(1, 150)), min_size=1, max_size=4),
    poor=st.sampled_from(["", "", *SEVEN[1:]]),
    seed=st.integers(0, 2**16),
    loss=st.sampled_from([0.0, 0.1, 0.3]),
)
@bounded(max_examples=60, deadline=None)
def test_whatever_crashes_in_a_bushy_tree_all_end_alike(crashes: list[Any], poor: str, seed: int, loss: float) -> None:
    faults = [Crash(at_ms, name, down_ms) for at_ms, name, down_ms in crashes]
    network = Network(Uniform(1, 15), loss=loss, duplication=0.1, reordering=0.1)
    running = tree(SEVEN, BUSHY, shared(SEVEN[1:], poor), faults=faults, network=network, seed=seed, vote_ms=150.0)
    trace = running.run(30_000, until=lambda now: now.now_ms > 400 and not busy(now))
    assert not trace.violations and not busy(running)
    found = set(decisions(running).values()) - {None}
    assert len(found) <= 1 and (not poor or True not in found)
    assert money(running) == 70
