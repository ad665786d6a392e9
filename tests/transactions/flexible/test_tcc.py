"""TCC with DTM's barrier: the three operations, the three traps, and what happens sometimes."""

from __future__ import annotations

from collections import Counter

import pytest

from distlib.core.node import node_names
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from distlib.transactions.bank import Add
from distlib.transactions.flexible.coordinator import PhaseOneDone, PhaseOneFailed, PhaseTwoDone
from distlib.transactions.flexible.message import Applied, Begin, Ended, ReadAccount, Shown
from distlib.transactions.flexible.searches import CALM_MS, TCCS, still_open, work
from distlib.transactions.flexible.service import UNPAYABLE
from distlib.transactions.flexible.tcc import CANCEL, CONFIRM, TCC, TRY, Cancel, Confirm, Try

NAMES = node_names(3)
PAYS = (Add("x", -3),)


def service():
    node = TCC("S1")
    node.start()
    return node


def answers(node, message):
    node.receive("S2", message)
    return [effect.message for effect in node.take_effects() if hasattr(effect, "to")]


def run(begin):
    cluster = Cluster([TCC(name) for name in NAMES], Network(Uniform(1, 3)), seed=1, invariants=TCCS.invariants())
    cluster.post(0, "S3", begin)
    return cluster, cluster.run(1_000.0)


def test_try_reserves_confirm_uses_cancel_frees():
    node = service()
    assert answers(node, Try("a", 0, PAYS)) == [PhaseOneDone("a", 0)]
    assert (node.balances, node.frozen) == ({"x": 7}, {"x": 3})
    assert answers(node, Confirm("a", 0, PAYS)) == [PhaseTwoDone("a", 0)]
    assert (node.balances, node.frozen) == ({"x": 7}, {"x": 0})
    answers(node, Try("b", 0, PAYS))
    answers(node, Cancel("b", 0, PAYS))
    assert (node.balances, node.frozen) == ({"x": 7}, {"x": 0})


def test_an_empty_cancel_does_nothing_and_leaves_its_mark():
    """空回滚. DTM: the cancel inserts ``try`` first; where that succeeds, the business part is left out."""
    node = service()
    assert answers(node, Cancel("a", 0, PAYS)) == [PhaseTwoDone("a", 0)]
    assert (node.balances, node.frozen) == ({"x": 10}, {})
    assert node.barrier == {("a", 0, TRY): CANCEL, ("a", 0, CANCEL): CANCEL}


def test_a_try_that_comes_after_its_cancel_does_nothing():
    """悬挂. DTM: its insert finds the row that the cancel has left."""
    node = service()
    answers(node, Cancel("a", 0, PAYS))
    answers(node, Try("a", 0, PAYS))
    assert (node.balances, node.frozen) == ({"x": 10}, {})


@pytest.mark.parametrize("second", [Confirm, Cancel])
def test_what_comes_twice_is_done_once_and_answered_twice(second):
    """幂等. DTM: the second insert of the same operation fails, and the answer is success."""
    node = service()
    for message in (Try("a", 0, PAYS), Try("a", 0, PAYS), second("a", 0, PAYS), second("a", 0, PAYS)):
        assert len(answers(node, message)) == 1
    assert sum(node.balances.values()) == (7 if second is Confirm else 10)
    assert node.frozen == {"x": 0}


def test_a_refused_try_leaves_no_row():
    """DTM: the insert is part of the local transaction, which rolls back; the cancel that follows is an empty one."""
    node = service()
    (answer,) = answers(node, Try("a", 0, (Add("x", -11),)))
    assert isinstance(answer, PhaseOneFailed) and answer.why == "x-11 leaves -1"
    assert node.barrier == {}
    answers(node, Cancel("a", 0, (Add("x", -11),)))
    assert node.balances == {"x": 10}


def test_nothing_is_read_that_may_be_cancelled():
    """What is frozen is still there for a reader; what comes in is not yet: TCC has no dirty read."""
    node = service()
    answers(node, Try("a", 0, PAYS))
    answers(node, Try("b", 0, (Add("x", 5),)))
    assert answers(node, ReadAccount("x", 1)) == [Shown("x", 1, 10)]
    answers(node, Confirm("b", 0, (Add("x", 5),)))
    assert answers(node, ReadAccount("x", 2)) == [Shown("x", 2, 15)]


def test_all_confirm_or_all_cancel():
    cluster, trace = run(Begin("a", work(("S1", -2), ("S2", 2))))
    assert [node.balances["x"] for node in cluster.nodes.values()] == [8, 12, 10]
    assert len(trace.messages) - 1 == 8, "four a branch, beside the client's request"
    cluster, trace = run(Begin("f", (*work(("S1", -2), ("S2", 2)), ("S3", (UNPAYABLE,)))))
    assert [node.balances["x"] for node in cluster.nodes.values()] == [10, 10, 10]
    assert not [one for one in trace.outputs if isinstance(one.event, Applied)], "nobody saw anything"
    assert [one.event.done for one in trace.outputs if isinstance(one.event, Ended)] == [False]


@pytest.mark.parametrize("start", range(1, 301, 100))
def test_money_is_conserved_under_faults_and_every_trap_is_met(start):
    """300 seeded runs: nothing breaks; empty cancels, late tries and repeated requests all come."""
    met = Counter()
    for seed in range(start, start + 100):
        cluster = TCCS.under_nemesis(TCC, seed)
        trace = cluster.run(CALM_MS)
        assert trace.violations == () and not still_open(cluster), seed
        assert sum(node.balances["x"] for node in cluster.nodes.values()) == 30
        assert all(not any(node.frozen.values()) for node in cluster.nodes.values())
        done: Counter = Counter()
        arrived = trace.messages.dropna(subset="delivered_ms").sort_values(["delivered_ms", "number"])
        for row in arrived.itertuples():
            if isinstance(row.message, (Try, Confirm, Cancel)):
                key = (row.message.gid, row.message.branch)
                met["twice"] += done[key, type(row.message)] > 0
                met["late"] += isinstance(row.message, Try) and done[key, Cancel] > 0 and not done[key, Try]
                met["empty"] += isinstance(row.message, Cancel) and not done[key, Try] and not done[key, Cancel]
                done[key, type(row.message)] += 1
        met.update(f"{type(one.event).__name__} {getattr(one.event, 'done', '')}" for one in trace.outputs)
    assert min(met[what] for what in ("twice", "late", "empty", "Ended True", "Ended False")) >= 5, met


def test_barrier_keys_are_global_id_branch_and_operation():
    """DTM: the unique key keeps branches of one transaction apart."""
    node = service()
    answers(node, Try("a", 0, PAYS))
    answers(node, Try("a", 1, PAYS))
    answers(node, Confirm("a", 0, PAYS))
    assert set(node.barrier) == {("a", 0, TRY), ("a", 1, TRY), ("a", 0, CONFIRM)}
    assert (node.balances, node.frozen) == ({"x": 4}, {"x": 3})
