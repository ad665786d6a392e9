"""Sagas: what Garcia-Molina & Salem (1987) and Richardson (2018) say of them, and what happens sometimes."""

from __future__ import annotations

from collections import Counter

import pytest

from distlib.core.node import node_names
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from distlib.transactions.bank import Add, Read
from distlib.transactions.flexible.message import Applied, Began, Begin, Ended
from distlib.transactions.flexible.saga import ChoreographedSaga, Saga
from distlib.transactions.flexible.saga_message import Compensate, Do, Done, Refused
from distlib.transactions.flexible.searches import CALM_MS, SAGAS, still_open, work
from distlib.transactions.flexible.service import UNPAYABLE

NAMES = node_names(3)
BOTH = pytest.mark.parametrize("node_class", [Saga, ChoreographedSaga])


def run(*asked, node_class=Saga, until_ms=2_000.0, network=None, **settings):
    nodes = [node_class(name, **settings) for name in NAMES]
    cluster = Cluster(nodes, network or Network(Uniform(1, 3)), seed=1, invariants=SAGAS.invariants())
    for at_ms, node, begin in asked:
        cluster.post(at_ms, node, begin)
    trace = cluster.run(until_ms)
    assert trace.violations == ()
    return cluster, trace


def seen(trace, kind):
    return [(one.node, one.event) for one in trace.outputs if isinstance(one.event, kind)]


def balances(cluster):
    return [node.balances["x"] for node in cluster.nodes.values()]


@BOTH
def test_either_all_steps_are_done(node_class):
    """GMS §1: T1, T2, …, Tn."""
    cluster, trace = run((0, "S1", Begin("a", work(("S1", -2), ("S2", 1), ("S3", 1)))), node_class=node_class)
    assert balances(cluster) == [8, 11, 11]
    assert [one.done for _, one in seen(trace, Ended)] == [True]
    assert [where for where, _ in seen(trace, Applied)] == ["S1", "S2", "S3"]


@BOTH
def test_or_the_done_steps_are_compensated_in_reverse_order(node_class):
    """GMS §1: T1, …, Tj, Cj, …, C1."""
    steps = (*work(("S1", -2), ("S2", 2)), ("S3", (UNPAYABLE,)))
    cluster, trace = run((0, "S1", Begin("f", steps)), node_class=node_class)
    assert balances(cluster) == [10, 10, 10]
    assert [(where, one.back) for where, one in seen(trace, Applied)] == [
        ("S1", False), ("S2", False), ("S2", True), ("S1", True)
    ]  # fmt: skip
    assert [one.done for _, one in seen(trace, Ended)] == [False]


def test_others_see_what_is_between():
    """GMS §1: a saga's transactions are interleaved with others; so one reads money that will be gone."""
    steps = (*work(("S1", -2), ("S2", 2)), ("S3", (UNPAYABLE,)))
    spends = Begin("g", work(("S2", -12), ("S1", 12)))
    assert run((0, "S2", spends))[1].outputs[-1].event == Ended("g", False), "S2 has but ten"
    cluster, trace = run((0, "S3", Begin("f", steps)), (6, "S3", spends), until_ms=300)
    order = [(where, one.gid, one.back) for where, one in seen(trace, Applied)]
    assert ("S2", "g", False) in order, "it spends what the saga f only seemed to pay"
    assert "f" in cluster.nodes["S3"].open_here(), "whose compensation cannot take it back now"


def test_semantic_locks_keep_others_out_until_the_saga_is_over():
    """MP §4.3.2: others must consider the flag; here they are refused."""
    steps = (*work(("S1", -2), ("S2", 2)), ("S3", (UNPAYABLE,)))
    asked = (0, "S3", Begin("f", steps)), (6, "S3", Begin("g", work(("S2", -12), ("S1", 12))))
    cluster, trace = run(*asked, semantic_locks=True)
    refusals = [one.message.why for one in map_sent(trace, Refused)]
    assert "x is pending for f" in refusals
    assert balances(cluster) == [10, 10, 10]
    assert not any(node.pending for node in cluster.nodes.values())


def map_sent(trace, kind):
    return [row for row in trace.messages.itertuples() if isinstance(row.message, kind)]


@BOTH
def test_after_the_pivot_a_saga_only_goes_forward(node_class):
    """MP §4.3.2: retriable steps follow the pivot and are tried until they succeed."""
    begin = Begin("p", work(("S1", -1), ("S2", -11), ("S3", 12)), pivot=0)
    later = Begin("d", work(("S3", -1), ("S2", 1)))
    cluster, trace = run((0, "S1", begin), (500, "S3", later), node_class=node_class)
    assert balances(cluster) == [9, 0, 21]
    assert {one.gid: one.done for _, one in seen(trace, Ended)} == {"p": True, "d": True}
    assert trace.outputs[-1].time_ms > 500, "it waited for the money"


def test_a_retransmitted_step_is_answered_and_not_repeated():
    network = Network(Uniform(1, 3), duplication=0.9)
    cluster, trace = run((0, "S1", Begin("a", work(("S1", -2), ("S2", 2)))), network=network)
    assert balances(cluster) == [8, 12, 10]
    counts = Counter(type(row.message) for row in map_sent(trace, (Do, Done)) if row.receiver != row.sender)
    assert counts[Do] > 1


def test_messages_of_a_saga_count_two_a_step():
    _, trace = run((0, "S3", Begin("a", work(("S1", -2), ("S2", 2)))))
    assert len(trace.messages) - 1 == 4, "two steps, a question and an answer each, beside the client's request"
    _, trace = run((0, "S1", Begin("a", work(("S1", -2), ("S2", 2)))), node_class=ChoreographedSaga)
    assert len(trace.messages[trace.messages["sender"] != trace.messages["receiver"]]) - 1 == 2, "an event, heard"


def test_an_answer_to_no_question_changes_nothing():
    node = Saga("S1")
    node.start()
    node.on_begin("outside", Begin("a", work(("S2", -1), ("S3", 1))))
    node.receive("S3", Done("a", 1))
    node.receive("S3", Done("other", 0))
    assert node.sagas["a"].done == 0
    node.receive("S2", Done("a", 0))
    node.receive("S2", Done("a", 0))
    assert node.sagas["a"].done == 1


def test_bad_requests_are_named():
    node = Saga("S1")
    with pytest.raises(ValueError, match="transaction 'a' has no work; it takes pairs"):
        node.on_begin("outside", Begin("a", ()))
    with pytest.raises(ValueError, match="pivot is 5; it takes a whole number from 0 to 1"):
        node.on_begin("outside", Begin("a", work(("S1", -1), ("S2", 1)), pivot=5))
    with pytest.raises(TypeError, match="semantic_locks is 1"):
        Saga("S1", semantic_locks=1)
    with pytest.raises(ValueError, match=r"initial\['x'\] is -1"):
        Saga("S1", (("x", -1),))


def test_a_reader_is_shown_no_account_that_is_pending():
    node = Saga("S1", semantic_locks=True)
    node.start()
    node.receive("S2", Do("a", 0, (Read("x"), Add("x", -1))))
    assert not node.may_show("x")
    node.receive("S2", Compensate("a", 0, (Read("x"), Add("x", -1))))
    assert not node.may_show("x"), "the saga is not over"
    assert node.balances == {"x": 10}


@BOTH
@pytest.mark.parametrize("start", range(1, 201, 50))
def test_money_is_conserved_under_faults(node_class, start):
    """200 seeded runs of each class: nothing breaks, and all that can happen does."""
    happened = Counter()
    for seed in range(start, start + 50):
        cluster = SAGAS.under_nemesis(node_class, seed)
        trace = cluster.run(CALM_MS)
        assert trace.violations == () and not still_open(cluster), seed
        assert sum(balances(cluster)) == 30
        happened.update(f"{type(one.event).__name__} {getattr(one.event, 'done', '')}" for one in trace.outputs)
        happened["crash"] += len(trace.restarts)
    assert min(happened[what] for what in ("Ended True", "Ended False", "crash")) > 50, happened
    assert len(happened) >= 4 and happened[f"{Began.__name__} "]


@BOTH
def test_the_same_seed_is_the_same_run(node_class):
    runs = [SAGAS.under_nemesis(node_class, 3).run(1_000.0) for _ in range(2)]
    assert runs[0].sent == runs[1].sent and runs[0].outputs == runs[1].outputs
