"""One transaction in a situation; and what others see: the anomalies of each protocol, from none to many clients."""

from __future__ import annotations

import pytest

from distlib.core.trace import Happened
from distlib.transactions.bank import Add, Read
from distlib.transactions.flexible import scenarios
from distlib.transactions.flexible.broken import CompensatesInOrder
from distlib.transactions.flexible.message import Applied, Displayed, Ended, Summed
from distlib.transactions.flexible.scenarios import (
    ISOLATING,
    PROTOCOLS,
    RUNNERS,
    AnomalyParams,
    FlowParams,
    anomalies,
    count,
    flow,
    run_clients,
)
from tests.every_control import counted


def ends(trace):
    return [one.event.done for one in trace.outputs if isinstance(one.event, Ended)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_goes_forward_and_back(protocol):
    trace = flow(FlowParams(protocol=protocol))
    assert (trace.violations, ends(trace)) == ((), [True])
    refused = 1 if "message" in protocol or "notification" in protocol else 3
    trace = flow(FlowParams(protocol=protocol, refused=refused))
    assert (trace.violations, ends(trace)) == ((), [False])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_gets_over_a_crash_on_a_bad_network(protocol):
    params = FlowParams(protocol=protocol, crashed="S1", loss=0.2, duplication=0.3, duration_ms=3_000)
    trace = flow(params)
    assert trace.violations == () and len(trace.restarts) == 1 and len(ends(trace)) == 1


def test_the_same_parameters_are_the_same_run():
    params = FlowParams(protocol="TCC", loss=0.3, readers=2)
    assert flow(params).sent == flow(params).sent


def test_a_broken_class_runs_in_the_place_of_the_right_one():
    assert flow(FlowParams(refused=3), CompensatesInOrder).violations


def test_what_can_never_end_is_said_before():
    assert FlowParams(refused=3, pivot=2).warnings() == [
        "Step 3 comes after the pivot: it is tried for ever, and refused for ever."
    ]
    assert "comes again and again" in FlowParams(protocol="message table", refused=2).warnings()[0]
    assert FlowParams(protocol="best-effort notification", refused=3).warnings()[-1].startswith("There are 2 steps")
    assert FlowParams().warnings() == []


# --- anomalies ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found():
    table = anomalies(AnomalyParams(clients=(1, 8), transfers=150, readings=100))
    return table.set_index(["protocol", "clients"])


def test_there_is_a_row_for_each_protocol_and_number_of_clients(found):
    assert list(RUNNERS) == list(ISOLATING)
    assert len(found) == 2 * len(ISOLATING)
    assert (found["done"] > 20).all() and (found["failed"] > 10).all() and (found["readings"] > 30).all()


def test_a_saga_and_at_show_what_is_taken_back(found):
    """GMS §1; Seata, 读隔离: read uncommitted by default."""
    for protocol in ("saga", "AT"):
        rates = found.loc[protocol, "dirty_reads"]
        assert 0 < rates[1] < rates[8], "more with more clients"


def test_semantic_locks_tcc_and_select_for_update_have_no_dirty_read(found):
    """MP §4.3.2; TCC's reserve is no change yet; Seata: ``SELECT FOR UPDATE`` waits for the global lock."""
    for protocol in ("saga with semantic locks", "TCC", "AT, SELECT FOR UPDATE"):
        assert (found.loc[protocol, "dirty_reads"] == 0).all()


def test_none_of_them_reads_several_services_at_one_moment(found):
    """Read skew: locks and reserves are per account, and a reading takes them one after the other."""
    assert (found["read_skew"] > 0).all()


def test_only_semantic_locks_keep_an_account_from_look_to_write(found):
    assert (found.loc["saga with semantic locks", "lost_updates"] == 0).all()
    for protocol in set(ISOLATING) - {"saga with semantic locks"}:
        assert found.loc[(protocol, 8), "lost_updates"] > found.loc[(protocol, 1), "lost_updates"] == 0, protocol


def test_isolation_costs_throughput(found):
    """Sagas with semantic locks refuse, AT waits; the plain saga and TCC do neither."""
    done = found["per_s"].unstack().loc[:, 8]
    assert max(done["saga with semantic locks"], done["AT"]) < 0.7 * min(done["saga"], done["TCC"])


def test_the_same_seed_gives_the_same_table():
    params = AnomalyParams(clients=(2,), transfers=20, readings=10)
    assert anomalies(params).equals(anomalies(params))


def test_another_protocol_comes_in_as_a_runner():
    def serial(params, clients):
        return [Happened(1.0, "S2", Applied("a", (Add("x", 1),))), Happened(2.0, "S2", Ended("a", True))]

    table = anomalies(AnomalyParams(clients=(4,)), {"serial": serial})
    assert table.drop(columns=["dirty_reads", "read_skew"]).to_dict("records") == [
        {"protocol": "serial", "clients": 4, "done": 1, "failed": 0, "readings": 0, "per_s": 500.0, "lost_updates": 0.0}
    ]
    assert table[["dirty_reads", "read_skew"]].isna().all(axis=None), "of no readings there is no share"


def test_a_point_ends_although_readers_starve(monkeypatch):
    """Behind semantic locks near clients are refused without end, and a reader waits: that was minutes for a point."""
    monkeypatch.setattr(scenarios, "HORIZON_EVENTS", 20_000)
    params = AnomalyParams(clients=(32,), readers=1, latency_ms=(0.1, 0.1), think_ms=1.0, failing=1.0)
    with counted() as cost:
        table = anomalies(params, {"saga with semantic locks": RUNNERS["saga with semantic locks"]})
    assert cost.events == 20_000 and table["done"].sum() == 0 and table["lost_updates"].isna().all()


def test_a_number_of_clients_is_one_point():
    with pytest.raises(ValueError, match="clients holds a number twice: 4, 4; each is one point"):
        AnomalyParams(clients=(4, 4))


def test_what_counts_as_which_anomaly():
    """By hand: ``a`` looks and is overtaken by ``b``; ``c`` is taken back after R1 has seen it, before R2 looks."""
    x, take = (Read("x"),), (Add("x", -1),)
    events = [
        ("S2", Applied("a", x)), ("S2", Applied("b", take)), ("S2", Applied("a", take)), ("S3", Applied("c", take)),
        ("S3", Displayed("R1", 1, "x")), ("R1", Summed(1, (("S2", "x", 8), ("S3", "x", 9)))),
        ("S3", Applied("c", (Add("x", 1),), True)), ("S3", Displayed("R2", 1, "x")),
        ("R2", Summed(1, (("S2", "x", 10), ("S3", "x", 10)))),
        ("S2", Ended("a", True)), ("S2", Ended("b", True)), ("S3", Ended("c", False)),
    ]  # fmt: skip
    told = count([Happened(float(at), *one) for at, one in enumerate(events)], total=20)
    assert told["dirty_reads"] == told["read_skew"] == 500.0 and told["lost_updates"] == 500.0
    assert (told["done"], told["failed"], told["readings"]) == (2, 1, 2)


def test_money_is_still_there_after_many_clients():
    """The readers' sums are wrong, the accounts are not: every reading of a lone reader at rest is right."""
    params = AnomalyParams(clients=(1,), transfers=30, readings=10, failing=0.5, think_ms=400.0)
    readings = [one.event for one in run_clients("saga", params, 1) if isinstance(one.event, Summed)]
    right = sum(sum(balance for _, _, balance in one.seen) == params.total for one in readings)
    assert right > len(readings) / 2
