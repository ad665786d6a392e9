"""Reliable messages: the message table, RocketMQ's half messages, best-effort notices; and what happens sometimes."""

from __future__ import annotations

from collections import Counter

import pytest

from distlib.core.fault import Crash, OneWay
from distlib.core.node import node_names
from distlib.sim.cluster import Cluster
from distlib.sim.latency import Uniform
from distlib.sim.network import Network
from distlib.transactions.flexible.message import Applied, Begin, Ended
from distlib.transactions.flexible.messaging import (
    BestEffort,
    CheckBack,
    Consumed,
    Event,
    HalfMessage,
    HalfStored,
    Notice,
    NoticeHeard,
    Order,
    Outbox,
    TransactionalMessage,
    Verdict,
)
from distlib.transactions.flexible.searches import CALM_MS, MESSAGES, still_open, work

NAMES = node_names(3)
ALL = pytest.mark.parametrize("node_class", [Outbox, TransactionalMessage, BestEffort])
PAY = Begin("a", work(("S1", -2), ("S2", 2)))
TOO_MUCH = Begin("r", work(("S1", -11), ("S2", 11)))


def run(node_class, *asked, faults=(), until_ms=3_000.0, loss=0.0, **settings):
    nodes = [node_class(name, **settings) for name in NAMES]
    network = Network(Uniform(1, 3), loss=loss)
    cluster = Cluster(nodes, network, seed=1, faults=faults, invariants=MESSAGES.invariants())
    for at_ms, node, begin in asked:
        cluster.post(at_ms, node, begin)
    trace = cluster.run(until_ms)
    assert trace.violations == ()
    return cluster, trace


def balances(cluster):
    return [node.balances["x"] for node in cluster.nodes.values()]


def kinds(trace):
    return [type(row.message) for row in trace.messages.itertuples()]


@ALL
def test_the_message_follows_the_local_transaction(node_class):
    cluster, trace = run(node_class, (0, "S3", PAY))
    assert balances(cluster) == [8, 12, 10]
    assert [one.node for one in trace.outputs if isinstance(one.event, Applied)] == ["S1", "S2"]
    assert [one.event.done for one in trace.outputs if isinstance(one.event, Ended)] == [True]


@ALL
def test_without_the_local_transaction_there_is_no_message(node_class):
    cluster, trace = run(node_class, (0, "S3", TOO_MUCH))
    assert balances(cluster) == [10, 10, 10]
    assert Event not in kinds(trace)
    assert not still_open(cluster)


@ALL
def test_the_producer_crashes_and_nothing_is_lost(node_class):
    cluster, trace = run(node_class, (0, "S1", PAY), faults=[Crash(1.5, "S1", 100)], loss=0.2)
    assert balances(cluster) in ([8, 12, 10], [10, 10, 10]) and not still_open(cluster)
    assert len(trace.restarts) == 1


def test_the_relay_sends_until_it_is_confirmed():
    """Pritchett 2008: the queue is drained again until it is done; the consumer keeps track of what it has applied."""
    cluster, trace = run(Outbox, (0, "S1", PAY), faults=[OneWay(0, ("S2",), ("S1",), 200)])
    assert balances(cluster) == [8, 12, 10]
    assert kinds(trace).count(Event) == kinds(trace).count(Consumed) > 3
    assert cluster.nodes["S1"].table == {}


# --- RocketMQ -----------------------------------------------------------------------------------------------------


def test_half_message_local_transaction_commit_delivery():
    """RocketMQ: the half message is stored, then the local transaction runs, then its verdict makes it deliverable."""
    _, trace = run(TransactionalMessage, (0, "S1", PAY))
    assert kinds(trace)[1:] == [HalfMessage, HalfStored, Verdict, Event, Consumed]


def test_a_half_message_without_a_verdict_is_asked_about():
    """RocketMQ: if the second acknowledgement is lost, the broker finds the message half for a long time, and asks."""
    cluster, trace = run(TransactionalMessage, (0, "S1", PAY), faults=[OneWay(3.5, ("S1",), ("S3",), 100)])
    assert kinds(trace).count(CheckBack) >= 1
    assert balances(cluster) == [8, 12, 10]


def test_the_answer_unknown_is_no_answer_and_the_broker_asks_again():
    node = TransactionalMessage("S1")
    node.start()
    node.on_begin("outside", PAY)
    node.take_effects()
    node.receive("S3", CheckBack("a"))
    assert node.take_effects() == []
    node.receive("S3", HalfStored("a", PAY.work))
    node.take_effects()
    node.receive("S3", CheckBack("a"))
    assert [effect.message for effect in node.take_effects()] == [Verdict("a", True)]


def test_a_transaction_that_is_said_not_to_have_committed_never_will():
    """DTM: the query inserts the barrier's row, so that a local transaction that is late finds it taken."""
    node = TransactionalMessage("S1")
    node.start()
    node.receive("S3", CheckBack("a"))
    node.receive("S3", HalfStored("a", PAY.work))
    assert [e.message for e in node.take_effects() if hasattr(e, "to")] == [Verdict("a", False)] * 2
    assert node.balances == {"x": 10}


# --- best effort --------------------------------------------------------------------------------------------------


def test_notices_are_bounded_and_their_intervals_grow():
    cluster, trace = run(BestEffort, (0, "S2", PAY), faults=[OneWay(2.5, ("S1",), ("S2",), 280)], ask_ms=5_000)
    told = trace.messages[[isinstance(one, Notice) for one in trace.messages["message"]]]
    gaps = told["sent_ms"].diff().dropna().tolist()
    assert len(told) == cluster.nodes["S1"].notices == 4
    assert [round(gap) for gap in gaps] == [15, 30, 60]


def test_a_receiver_that_has_heard_nothing_asks():
    cluster, trace = run(BestEffort, (0, "S2", PAY), faults=[OneWay(0, ("S1",), ("S2",), 250)])
    asked = [one for one in trace.messages["message"] if isinstance(one, Order)]
    assert [one.again for one in asked] == [False, True]
    assert balances(cluster) == [8, 12, 10]
    assert kinds(trace)[-1] is NoticeHeard


def test_bad_settings_and_work_are_named():
    with pytest.raises(ValueError, match=r"check_ms is 0; it takes a number above 0 ms"):
        TransactionalMessage("S1", check_ms=0)
    with pytest.raises(ValueError, match="notices is 0; it takes a whole number of at least 1"):
        BestEffort("S1", notices=0)
    with pytest.raises(ValueError, match="a best-effort notification has 1 parts; it takes two"):
        BestEffort("S1").on_begin("outside", Begin("a", work(("S1", 1))))


@ALL
def test_money_is_conserved_under_faults(node_class):
    """150 seeded runs of each class."""
    happened = Counter()
    for seed in range(1, 151):
        cluster = MESSAGES.under_nemesis(node_class, seed)
        trace = cluster.run(CALM_MS)
        assert trace.violations == () and not still_open(cluster), seed
        assert sum(balances(cluster)) == 30
        happened.update(f"{type(one.event).__name__} {getattr(one.event, 'done', '')}" for one in trace.outputs)
        happened.update(kind.__name__ for kind in kinds(trace))
        happened["crash"] += len(trace.restarts)
    every = {Outbox: ("Event",), TransactionalMessage: ("CheckBack", "Event"), BestEffort: ("Notice",)}[node_class]
    assert min(happened[what] for what in ("Ended True", "Ended False", "crash", *every)) > 20, happened
