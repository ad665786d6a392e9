"""AT mode: what Seata says of it (https://seata.apache.org/docs/dev/mode/at-mode), and what happens sometimes."""

from __future__ import annotations

from collections import Counter

import pytest

from distlib.core.node import node_names
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from distlib.transactions.bank import Add, Read
from distlib.transactions.flexible.at_mode import ATMode, Execute, Register, Registered, RollBackBranch, Undo
from distlib.transactions.flexible.broken import GrantsEveryLock, RestoresBlindly
from distlib.transactions.flexible.coordinator import PhaseOneDone, PhaseOneFailed, PhaseTwoDone
from distlib.transactions.flexible.message import Applied, Begin, Ended, Summed
from distlib.transactions.flexible.searches import AT, CALM_MS, still_open, work
from distlib.transactions.flexible.service import UNPAYABLE, Reader

NAMES = node_names(3)
FAILS = Begin("f", (*work(("S2", -3)), *[("S3", (Read("x"),))] * 3, ("S1", (UNPAYABLE,))))
"""It writes, reads for a while, and fails."""
TAKES = (Add("x", -3),)


def run(*asked, node_class=ATMode, readers=(), until_ms=2_000.0, **settings):
    nodes = [node_class(name, **settings) for name in NAMES] + [Reader(name, (("S2", "x"),)) for name in readers]
    cluster = Cluster(nodes, Network(Uniform(1, 3)), seed=1, invariants=AT.invariants())
    for at_ms, begin in asked:
        cluster.post(at_ms, "S1", begin)
    return cluster, cluster.run(until_ms)


def seen_by_readers(trace):
    return {one.event.seen[0][2] for one in trace.outputs if isinstance(one.event, Summed)}


def manager():
    node = ATMode("S2")
    node.start()
    return node


def answers(node, message, sender="S1"):
    node.receive(sender, message)
    return [effect.message for effect in node.take_effects() if hasattr(effect, "to")]


def balances(cluster):
    return [cluster.nodes[name].balances["x"] for name in NAMES]


# --- one branch -------------------------------------------------------------------------------------------------


def test_no_global_lock_no_local_commit():
    """写隔离: the local transaction does not commit before it has the global lock."""
    node = manager()
    assert answers(node, Execute("a", 0, TAKES)) == [Register("a", 0, ("x",))]
    assert (node.balances, node.undo, node.local) == ({"x": 10}, {}, {"x": ("a", 0)})
    assert answers(node, Registered("a", 0)) == [PhaseOneDone("a", 0)]
    assert (node.balances, node.local) == ({"x": 7}, {}), "committed, and the local lock released"
    assert node.undo == {("a", 0): Undo((("x", 10),), (("x", 7),), TAKES)}, "before and after image"


def test_a_rollback_restores_the_before_image_and_drops_the_undo_log():
    node = manager()
    answers(node, Execute("a", 0, TAKES))
    answers(node, Registered("a", 0))
    assert answers(node, RollBackBranch("a", 0)) == [PhaseTwoDone("a", 0)]
    assert (node.balances, node.undo) == ({"x": 10}, {})


def test_a_row_that_somebody_has_changed_meanwhile_is_not_restored():
    """数据校验: the after image differs from the present data, so the rollback does not go on by itself."""
    node = manager()
    answers(node, Execute("a", 0, TAKES))
    answers(node, Registered("a", 0))
    node.balances["x"] = 100  # by one who writes past Seata
    assert answers(node, RollBackBranch("a", 0)) == []
    assert node.balances == {"x": 100} and node.undo


def test_a_rollback_that_overtakes_its_branch_shuts_it_out():
    """The row with ``log_status`` 1, under the unique key of transaction and branch."""
    node = manager()
    assert answers(node, RollBackBranch("a", 0)) == [PhaseTwoDone("a", 0)]
    assert answers(node, Execute("a", 0, TAKES)) == []


def test_the_wait_for_the_global_lock_is_bounded():
    """写隔离: the attempts are limited; then the local transaction is rolled back, and its local lock released."""
    node = manager()
    answers(node, Execute("a", 0, TAKES))
    failed = []
    for _ in range(node.lock_tries):
        node.timeout("lock", ("a", 0))
        failed += [effect.message for effect in node.take_effects() if hasattr(effect, "to")]
    assert failed.count(Register("a", 0, ("x",))) == 29, "thirty with the first"
    assert failed[-1] == PhaseOneFailed("a", 0, "a row is locked")
    assert node.local == {} and node.lock_tries * node.lock_retry_ms == 300


# --- transactions -------------------------------------------------------------------------------------------------


def test_messages_of_a_transaction():
    cluster, trace = run((0, Begin("a", work(("S2", -3), ("S3", 3)))))
    assert balances(cluster) == [10, 7, 13]
    assert len(trace.messages) - 1 == 12, "six a branch: execute, register, commit, and their answers"
    assert not any(node.undo or node.locks for node in cluster.nodes.values())


def test_reads_are_uncommitted_globally():
    """读隔离: by default a reader sees what may be rolled back."""
    cluster, trace = run((20, FAILS), readers=("R1", "R2", "R3"))
    assert balances(cluster) == [10, 10, 10]
    assert seen_by_readers(trace) == {10, 7}


def test_select_for_update_reads_what_is_committed_globally():
    """读隔离: the query is held up until the global lock is free."""
    _, trace = run((20, FAILS), readers=("R1", "R2", "R3"), for_update=True)
    assert seen_by_readers(trace) == {10}
    _, trace = run((20, Begin("a", work(("S2", -3), ("S3", 3)))), readers=("R1",), for_update=True)
    assert seen_by_readers(trace) == {10, 7}, "it was not held up for ever"


def test_a_second_writer_waits_for_the_first_ones_decision():
    """写隔离, commit: tx2 retries until tx1's global commit has released the lock."""
    first = Begin("a", FAILS.work[:-1])
    cluster, trace = run((0, first), (12, Begin("t", work(("S2", -1), ("S3", 1)))))
    times = {(one.node, one.event.gid): one.time_ms for one in trace.outputs if isinstance(one.event, Applied)}
    assert times["S2", "t"] > max(ms for (_, gid), ms in times.items() if gid == "a")
    asked = [row for row in trace.messages["message"] if isinstance(row, Register) and row.gid == "t"]
    assert len(asked) > 2, "one a branch, and the attempts in vain"
    assert balances(cluster) == [10, 6, 11]


def test_who_waits_for_the_global_lock_blocks_the_rollback_until_it_gives_up():
    """写隔离: tx2 holds the local lock that tx1's rollback needs; tx2 times out, then the rollback succeeds."""
    cluster, _ = run(
        (0, FAILS), (12, Begin("t", work(("S2", -1), ("S3", 1)))), lock_tries=100, keeps_local_locks=True, until_ms=450
    )
    assert "f" in cluster.nodes["S1"].open_here(), "the rollback meets a local lock, again and again"
    cluster.run(3_000.0)
    assert {one.event.gid: one.event.done for one in cluster.outputs if isinstance(one.event, Ended)} == {
        "f": False, "t": False
    }  # fmt: skip
    assert balances(cluster) == [10, 10, 10]


def test_who_lets_go_of_its_local_lock_lets_the_rollback_through():
    """Seata's default for single statements: the local transaction is rolled back between two attempts."""
    cluster, trace = run((0, FAILS), (12, Begin("t", work(("S2", -1), ("S3", 1)))))
    ends = {one.event.gid: (one.time_ms, one.event.done) for one in trace.outputs if isinstance(one.event, Ended)}
    assert not ends["f"][1] and ends["t"][1] and ends["t"][0] < 150
    assert balances(cluster) == [10, 9, 11]


class LosesUpdates(GrantsEveryLock, RestoresBlindly):
    """Without the global lock and without the comparison."""


@pytest.mark.parametrize(("node_class", "stuck"), [(GrantsEveryLock, True), (LosesUpdates, False)])
def test_without_the_global_lock_a_rollback_wipes_out_others_or_needs_a_person(node_class, stuck):
    """The equivalent mutant ``RestoresBlindly`` shows what the comparison is good for."""
    asked = (0, FAILS), (12, Begin("t", work(("S2", -1), ("S3", 1))))
    cluster, trace = run(*asked, node_class=node_class)
    assert trace.violations[0].invariant == "no dirty write"
    assert bool(still_open(cluster)) == stuck
    if not stuck:
        assert balances(cluster) == [10, 10, 11], "one was made of nothing: S2's withdrawal is lost"


@pytest.mark.parametrize("start", range(1, 201, 100))
def test_money_is_conserved_under_faults(start):
    happened = Counter()
    for seed in range(start, start + 100):
        cluster = AT.under_nemesis(ATMode, seed)
        trace = cluster.run(CALM_MS)
        assert trace.violations == () and not still_open(cluster), seed
        assert sum(balances(cluster)) == 30
        happened.update(f"{type(one.event).__name__} {getattr(one.event, 'done', '')}" for one in trace.outputs)
        happened.update(f"back {one.event.back}" for one in trace.outputs if isinstance(one.event, Applied))
        happened.update(m.why for m in trace.messages["message"] if isinstance(m, PhaseOneFailed))
    assert min(happened[what] for what in ("Ended True", "Ended False", "back True", "a row is locked")) > 5, happened
