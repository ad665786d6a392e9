"""The engine of the service graph: queueing formulas, conservation, and one situation after another by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from distlib.resilience.backoff import Backoff
from distlib.resilience.breaker import CircuitBreaker
from distlib.resilience.budget import RetryBudget
from distlib.resilience.calls.params import CLIENTS, Call, Fault, Graph, Service
from distlib.resilience.calls.run import simulate
from distlib.resilience.concurrency import ConcurrencyLimit
from distlib.resilience.hedge import Hedge
from distlib.resilience.limits import RateLimit
from distlib.resilience.outlier import OutlierDetection
from distlib.resilience.retry import Retry
from distlib.resilience.shedding import Shedding
from distlib.resilience.throttle import Throttle
from distlib.resilience.timeout import Timeout
from distlib.sim.workload import Deterministic, Exponential, LogNormal, Poisson, Replay
from distlib.theory.queueing import erlang_b, mg1_response, mm1k_blocking, mmc_response


def one_service(arrivals, call=None, faults=(), duration_s=100.0, log=0, seed=1, slice_s=1.0, **service):
    service = Service("server", **{"service": Deterministic(1.0), **service})
    return Graph(
        (service,), (call or Call(CLIENTS, "server"),), arrivals=arrivals, faults=faults, duration_s=duration_s,
        slice_s=slice_s, log=log, seed=seed,
    )  # fmt: skip


def at(*times):
    """Requests at exactly these moments, the first after 0."""
    return Replay((0.0, *times, 1e6))


def played(times, **more):
    result = simulate(one_service(at(*times), log=100, **more))
    rows = result.attempts[["try", "outcome", "sent_s", "begun_s", "done_s", "ended_s"]]
    return [
        tuple(None if one != one else round(one, 6) if isinstance(one, float) else one for one in row)
        for row in rows.to_numpy()
    ]


def retry(attempts, kind="constant", base_s=0.5, **more):
    return Retry(attempts=attempts, backoff=Backoff(kind, base_s=base_s, cap_s=100.0), **more)


def long_run(rate, seed, requests=600_000, **service):
    result = simulate(
        one_service(Poisson(rate), duration_s=requests / rate, slice_s=requests / rate, seed=seed, **service)
    )
    return result, {name: count / len(result.requests) for name, count in result.outcomes().items()}


def over_seeds(measure, seeds=range(11, 15)):
    found = np.array([measure(seed) for seed in seeds])
    return found.mean(), 3 * found.std(ddof=1) / math.sqrt(found.size)


def test_mm1_mg1_and_mmc_responses():
    for theory, load, service in (
        (mmc_response(1, 0.8), 0.8, {"service": Exponential(1.0)}),
        (mg1_response(0.7, 4.0), 0.7, {"service": LogNormal(1.0, 4.0)}),
        (mmc_response(4, 0.8), 3.2, {"service": Exponential(1.0), "servers": 4}),
    ):
        mean, error = over_seeds(
            lambda seed, load=load, service=service: long_run(load, seed, **service)[0].response_s.mean()
        )
        assert mean == pytest.approx(theory, abs=error + 0.015 * theory)


@pytest.mark.parametrize(
    ("servers", "load", "limit", "lost"), [(10, 8.0, 0, 0.12166), (10, 10.0, 0, 0.21458), (1, 0.9, 9, 0.05081)]
)
def test_a_bulkhead_is_erlang_b_and_a_bounded_queue_mm1k(servers, load, limit, lost):
    theory = erlang_b(servers, load) if limit == 0 else mm1k_blocking(load, limit + servers)
    assert theory == pytest.approx(lost, abs=1e-5)
    service = {"service": Exponential(1.0), "servers": servers, "queue_limit": limit}
    share, error = over_seeds(lambda seed: long_run(load, seed, 1_200_000, **service)[1]["shed"])
    assert share == pytest.approx(lost, rel=0.02) and error < 0.04 * lost


def test_requests_are_served_in_turn_or_newest_first():
    times = (1.0, 1.1, 1.2, 1.3)
    assert [row[3] for row in played(times)] == [1.0, 2.0, 3.0, 4.0]
    assert [row[3] for row in played(times, newest_first=True)] == [1.0, 4.0, 3.0, 2.0]


def test_latency_is_paid_on_both_ways():
    assert played((1.0,), call=Call(CLIENTS, "server", latency_s=0.25)) == [("first try", "ok", 1.0, 1.25, 2.25, 2.5)]


def test_a_timeout_leaves_the_server_working_for_nobody():
    call = Call(CLIENTS, "server", timeout=Timeout(timeout_s=0.4), retry=retry(2))
    graph = one_service(at(1.0), call, log=10)
    result = simulate(graph)
    assert result.outcomes().to_dict() == {"timed out": 1}
    # first try 1.0 – 2.0, given up at 1.4; retry sent at 1.9, served 2.0 – 3.0, given up at 2.3
    assert result.attempts[["sent_s", "begun_s", "done_s", "ended_s"]].round(6).to_numpy().tolist() == [
        [1.0, 1.0, 2.0, 1.4], [1.9, 2.0, 3.0, 2.3],
    ]  # fmt: skip
    server = result.service("server")
    assert server["wasted work"].sum() == pytest.approx(2.0) and server["useful work"].sum() == 0.0
    assert result.edge("clients → server")["late answers"].sum() == 2


def test_cancelling_frees_the_server():
    call = Call(CLIENTS, "server", timeout=Timeout(timeout_s=0.4), cancels=True)
    assert [row[3:] for row in played((1.0, 1.1), call=call)] == [(1.0, None, 1.4), (1.4, None, 1.5)]


def test_a_propagated_deadline_drops_what_is_too_late():
    call = Call(CLIENTS, "server", timeout=Timeout(timeout_s=0.4), propagates=True)
    result = simulate(one_service(at(1.0, 1.1), call, log=10))
    assert np.isnan(result.attempts["begun_s"][1]) and result.service("server")["expired"].sum() == 1


def test_a_deadline_bounds_attempts_and_waits():
    call = Call(CLIENTS, "server", timeout=Timeout(timeout_s=0.4), retry=retry(9, base_s=1.0, deadline_s=2.0))
    rows = played((1.0,), call=call)
    assert [row[2] for row in rows] == [1.0, 2.4] and simulate(one_service(at(1.0), call)).outcomes()["timed out"] == 1
    call = Call(CLIENTS, "server", retry=Retry(attempts=1, deadline_s=0.5))
    result = simulate(one_service(at(1.0), call))
    assert result.outcomes().to_dict() == {"gave up": 1} and result.requests["done_s"][0] == 1.5


def test_a_crash_fails_what_it_holds_at_once_and_refuses_until_it_is_over():
    down = (Fault("down", "server", 1.5, 3.0),)
    rows = played((1.0, 1.1, 2.0, 3.5), faults=down)
    assert [(row[1], row[5]) for row in rows] == [("refused", 1.5), ("refused", 1.5), ("refused", 2.0), ("ok", 4.5)]


def test_a_pause_stretches_the_work():
    assert played((1.0, 1.2), faults=(Fault("paused", "server", 1.5, 4.0),)) == [
        ("first try", "ok", 1.0, 1.0, 4.5, 4.5), ("first try", "ok", 1.2, 4.5, 5.5, 5.5),
    ]  # fmt: skip


def test_a_slow_server_works_at_its_speed():
    slow = (Fault("slow", "server", 1.5, 100.0, value=0.5),)
    assert [row[4] for row in played((1.0, 5.0), faults=slow)] == [2.5, 7.0]


def test_a_partition_loses_messages_both_ways():
    call = Call(CLIENTS, "server", latency_s=0.1, timeout=Timeout(timeout_s=2.0))
    cut = (Fault("partition", call.name, 1.5, 2.6),)
    rows = played((1.0, 2.0, 3.0), call=call, faults=cut)
    assert [(row[1], row[3]) for row in rows] == [("timed out", 1.1), ("timed out", None), ("ok", 3.1)]


def test_errors_come_at_their_rate_and_retries_help_as_the_formula_says():
    call = Call(CLIENTS, "server", retry=retry(3, "none"))
    faults = (Fault("errors", "server", 0.0, 1e5, value=0.4),)
    graph = one_service(Poisson(10.0), call, faults, 20_000.0, service=Deterministic(0.001), servers=100)
    result = simulate(graph)
    n = len(result.requests)
    assert 1 - result.success == pytest.approx(0.4**3, abs=3 * math.sqrt(0.064 * 0.936 / n))
    assert result.requests["attempts"].mean() == pytest.approx(1 + 0.4 + 0.16, abs=3 * 0.8 / math.sqrt(n))


def test_a_hedge_goes_out_after_its_delay_and_the_first_answer_counts():
    call = Call(CLIENTS, "server", hedge=Hedge("fixed", delay_s=0.3), cancels=True)
    slow = (Fault("slow", "server", 0.0, 100.0, value=0.1, instance=0),)
    result = simulate(one_service(at(1.0), call, slow, instances=2, log=10))
    assert result.attempts[["try", "outcome", "instance", "ended_s"]].to_numpy().tolist() == [
        ["first try", "cancelled", 0, 2.3], ["hedge", "ok", 1, 2.3],
    ]  # fmt: skip


def test_tied_requests_withdraw_each_other():
    def wasted(tied):
        call = Call(CLIENTS, "server", hedge=Hedge("fixed", delay_s=0.5, tied=tied))
        result = simulate(one_service(Poisson(0.9), call, duration_s=5000.0, instances=2, service=Exponential(1.0)))
        return result.service("server")["wasted"].sum()

    assert 0 < wasted(True) < 0.6 * wasted(False)


def test_a_cancelled_request_says_nothing_about_the_limit_of_its_callee():
    """Every request is cancelled long after it counts as slow; as an answer it would halve the limit each time."""
    call = Call(CLIENTS, "server", timeout=Timeout(timeout_s=0.5), cancels=True)
    limit = ConcurrencyLimit("AIMD", start=16, slow_s=0.1, backoff=0.5)
    result = simulate(one_service(at(*[1.0 + k for k in range(20)]), call, concurrency=limit, duration_s=30.0))
    assert result.outcomes().to_dict() == {"timed out": 20} and (result.service("server")["limit"] == 16).all()


def test_a_withdrawn_hedge_gives_its_probe_back():
    """A half-open breaker lets two probes through, and the request at 10.2 takes both: itself and its hedge, which is
    withdrawn unserved at 11, when work on the other begins. So the request at 13 finds a probe."""
    breaker = CircuitBreaker(counting="consecutive failures", failures=1, probes=2, open_s=2.0)
    hedge = Hedge("fixed", delay_s=0.5, tied=True)
    call = Call(CLIENTS, "server", timeout=Timeout(timeout_s=2.0), breaker=breaker, hedge=hedge, propagates=True)
    stalled = (Fault("paused", "server", 0.5, 10.0),)
    result = simulate(one_service(at(1.0, 1.1, 10.2, 13.0), call, stalled, instances=2, log=20))
    assert result.outcomes().to_dict() == {"ok": 2, "timed out": 2}
    third = result.attempts[result.attempts["request"] == 2]
    assert third[["try", "outcome"]].to_numpy().tolist() == [["first try", "ok"], ["hedge", "cancelled"]]


def test_an_open_breaker_sends_nothing():
    breaker = CircuitBreaker(counting="consecutive failures", failures=2, probes=1, open_s=5.0)
    call = Call(CLIENTS, "server", breaker=breaker)
    down = (Fault("down", "server", 0.5, 4.0),)
    rows = simulate(one_service(at(1.0, 2.0, 3.0, 6.9, 7.1, 9.0), call, down, log=10))
    assert rows.attempts["sent_s"].tolist() == [1.0, 2.0, 7.1, 9.0]
    assert rows.outcomes().to_dict() == {"ok": 2, "refused": 2, "not sent": 2}
    assert rows.edge(call.name)["breaker"][[0, 1, 2, 5, 9]].tolist() == ["closed", "closed", "open", "open", "closed"]


def test_limits_of_the_caller():
    burst = (1.0, 1.01, 1.02, 1.03)
    for call in (
        Call(CLIENTS, "server", bulkhead=2),
        Call(CLIENTS, "server", rate_limit=RateLimit(rate_per_s=1.0, burst=2.0)),
    ):
        result = simulate(one_service(at(*burst), call, servers=10))
        assert result.outcomes().to_dict() == {"ok": 2, "not sent": 2}


def test_limits_of_the_callee():
    burst = tuple(1.0 + 0.01 * k for k in range(10))
    for service in (
        {"queue_limit": 3}, {"concurrency": ConcurrencyLimit("fixed", start=4)},
        {"shedding": Shedding("priority", low=0, high=4)},
    ):  # fmt: skip
        result = simulate(one_service(at(*burst), **service))
        assert result.outcomes()["ok"] == 4, service


def test_an_ejected_instance_gets_nothing():
    call = Call(CLIENTS, "server", outlier=OutlierDetection(max_share=0.5, consecutive=2))
    wrong = (Fault("errors", "server", 0.0, 1e5, value=1.0, instance=1),)
    result = simulate(one_service(Poisson(1.0), call, wrong, 400.0, instances=2, log=1000, service=Deterministic(0.01)))
    attempts = result.attempts
    mine = attempts[attempts["instance"] == 1]["sent_s"].to_numpy()
    assert len(mine) > 4 and (np.diff(mine) >= 30.0).sum() == (len(mine) - 1) // 2
    assert (attempts["outcome"] == "error").sum() == len(mine)


def three(faults=(), **more):
    calls = (
        Call(CLIENTS, "web"), Call("web", "shop", **more.pop("shop", {})), Call("web", "ads", **more.pop("ads", {})),
    )  # fmt: skip
    services = tuple(
        Service(name, service=Deterministic(1.0), **more.get("web", {}) if name == "web" else {})
        for name in ("web", "shop", "ads")
    )
    return Graph(services, calls, at(1.0), faults, duration_s=20.0, log=10)


def test_calls_one_after_the_other_or_all_at_once():
    assert simulate(three()).requests["done_s"][0] == 4.0
    assert simulate(three(web={"parallel": True})).requests["done_s"][0] == 3.0


def test_a_failed_call_fails_its_caller_unless_it_is_optional():
    down = (Fault("down", "ads", 0.0, 20.0),)
    assert simulate(three(down)).outcomes().to_dict() == {"error": 1}
    result = simulate(three(down, ads={"optional": True}))
    assert result.outcomes().to_dict() == {"degraded": 1} and result.success == 1.0


def test_a_held_server_is_busy_while_its_request_waits_for_others():
    graph = replace(three(web={"holds_server": True}), arrivals=at(1.0, 1.1))
    free = replace(three(), arrivals=at(1.0, 1.1))
    web = [
        r[r["edge"] == "clients → web"]["begun_s"].tolist() for r in (simulate(graph).attempts, simulate(free).attempts)
    ]
    assert web == [[1.0, 4.0], [1.0, 2.0]]


def test_a_cache_spares_calls_until_it_is_lost():
    call = Call("web", "db", cache_keys=50)
    services = (Service("web", service=Deterministic(0.001)), Service("db", service=Deterministic(0.001)))
    lost = (Fault("cold cache", call.name, 100.0, 101.0),)
    result = simulate(Graph(services, (Call(CLIENTS, "web"), call), Poisson(20.0), lost, duration_s=200.0))
    sent = result.edge(call.name)["first tries"]
    assert sent[:100].sum() == 0 and sent[100:102].sum() > 20 and sent[190:].sum() < 5
    assert result.edge(call.name)["cached"].iloc[-1] > 49


def test_more_load_for_a_while():
    surge = (Fault("load", "", 10.0, 20.0, value=5.0),)
    course = simulate(one_service(Poisson(100.0), faults=surge, duration_s=30.0, service=Deterministic(0.001))).course
    parts = [course["offered_per_s"][a : a + 10].mean() for a in (0, 10, 20)]
    assert parts == pytest.approx([100, 500, 100], rel=0.12)


def test_an_envoy_budget_counts_retries_from_the_beginning_of_their_backoff():
    """Twice fifty calls time out together: of each fifty, the ninth finds 41 in flight and a fifth of that waiting."""
    budget = RetryBudget("Envoy", ratio=0.2, minimum=3)
    call = Call(CLIENTS, "server", timeout=Timeout(timeout_s=0.5), retry=retry(2, base_s=1.0, budget=budget))
    stalled = (Fault("paused", "server", 0.5, 60.0),)
    result = simulate(one_service(at(*[1.0] * 50, *[10.0] * 50), call=call, faults=stalled, duration_s=60.0))
    retries = result.edge(call.name)["retries"]
    assert retries[:9].sum() == 8 and retries.sum() == 16


def test_a_retry_that_is_not_sent_after_its_backoff_leaves_the_budget():
    """Both calls are granted the only retry there is, and both times the rate limit does not let it leave."""
    budget = RetryBudget("Envoy", ratio=0.0, minimum=1)
    limit = RateLimit(rate_per_s=0.2, burst=1.0)
    call = Call(CLIENTS, "server", retry=retry(2, budget=budget), rate_limit=limit)
    down = (Fault("down", "server", 0.5, 60.0),)
    result = simulate(one_service(at(1.0, 10.0), call=call, faults=down, duration_s=60.0))
    assert result.outcomes().to_dict() == {"not sent": 2}


def test_a_grpc_budget_gains_nothing_from_a_hedge_that_was_cancelled():
    """Two failures leave 2 of 4 tokens; six answers, five of them with a hedge that is cancelled, make it 2.6, and a
    failure 1.6: too few for the last hedge."""
    budget = RetryBudget("gRPC", ratio=0.1, most_tokens=4.0)
    call = Call(CLIENTS, "server", retry=retry(1, budget=budget), hedge=Hedge("fixed", delay_s=0.5))
    down = (Fault("down", "server", 0.5, 1.5), Fault("down", "server", 69.5, 71.5))
    times = (0.6, 0.7, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0)
    graph = one_service(at(*times), call=call, faults=down, duration_s=100.0, servers=2)
    assert simulate(graph).edge(call.name)["hedges"].sum() == 5


EVERYTHING = Call(
    CLIENTS, "web", latency_s=0.002, timeout=Timeout("adaptive", timeout_s=0.3), hedge=Hedge(percentile=90),
    retry=Retry(attempts=4, deadline_s=2.0, backoff=Backoff("decorrelated", 0.05, 1.0), budget=RetryBudget("Finagle")),
    breaker=CircuitBreaker(counting="last seconds", window=5, minimum_calls=20, open_s=2.0), throttle=Throttle(),
    rate_limit=RateLimit(rate_per_s=300.0, burst=50.0), outlier=OutlierDetection(max_share=0.5), bulkhead=200,
    balancing="least request", propagates=True, cancels=True,
)  # fmt: skip


def busy(seed):
    leaf = replace(
        EVERYTHING,
        caller="web",
        callee="leaf",
        optional=True,
        cache_keys=100,
        hedge=Hedge("fixed", delay_s=0.05, tied=True),
    )
    services = (
        Service("web", instances=4, servers=5, service=LogNormal(0.02, 4.0), holds_server=True, queue_limit=100,
                concurrency=ConcurrencyLimit("gradient"), shedding=Shedding("adaptive LIFO")),
        Service("leaf", instances=3, servers=2, service=Exponential(0.02), shedding=Shedding("CoDel"),
                concurrency=ConcurrencyLimit("AIMD")),
        Service("other", service=Exponential(0.004), queue_limit=1, shedding=Shedding("random")),
    )  # fmt: skip
    faults = (
        Fault("down", "leaf", 5, 8, instance=1), Fault("paused", "web", 10, 12, instance=0),
        Fault("slow", "leaf", 14, 18, value=0.2),
        Fault("errors", "web", 20, 24, value=0.5),
        Fault("partition", "web → leaf", 26, 28), Fault("load", "", 30, 34, value=3.0),
        Fault("cold cache", "web → leaf", 36, 37),
    )  # fmt: skip
    calls = (EVERYTHING, leaf, Call("web", "other", retry=retry(2, "none"), timeout=Timeout(timeout_s=0.1)))
    return Graph(services, calls, Poisson(150.0), faults, (0.2, 0.3, 0.3, 0.2), duration_s=45.0, log=100_000, seed=seed)


@pytest.mark.parametrize("seed", range(1, 6))
def test_with_everything_on_nothing_is_lost_or_counted_twice(seed):
    result = simulate(busy(seed))
    requests, attempts = result.requests, result.attempts
    assert result.outcomes().sum() == len(requests) > 6000 and result.outcomes().get("pending", 0) < 60
    edges = result.edges.groupby("call").sum(numeric_only=True)
    ends = edges[["answered", "degraded", "failed"]].sum(axis=1)
    assert (edges["calls"] - ends).between(0, 60).all()
    sent = edges[["first tries", "retries", "hedges"]].sum(axis=1)
    assert sent.sum() == len(attempts) == requests["attempts"].sum()
    by_try = attempts.groupby(["edge", "try"]).size()
    assert by_try["clients → web"].to_dict() == {"first try": edges["first tries"]["clients → web"],
        "retry": edges["retries"]["clients → web"], "hedge": edges["hedges"]["clients → web"]}  # fmt: skip
    ended = attempts[attempts["ended_s"].notna()]
    assert (ended["ended_s"] >= ended["sent_s"]).all() and len(attempts) - len(ended) < 60
    begun = attempts.dropna(subset=["begun_s"])
    assert (begun["begun_s"] >= begun["sent_s"]).all()
    assert {"ok", "error", "timed out", "cancelled", "shed"} <= set(attempts["outcome"])
    last = result.services.groupby("service").last()
    assert (last["busy"] <= [6, 1, 20]).all()  # leaf, other, web


def test_the_same_seed_gives_the_same_run_and_another_one_another():
    one, again, other = (simulate(busy(seed)) for seed in (3, 3, 4))
    assert one.requests.tobytes() == again.requests.tobytes() and one.edges.equals(again.edges)
    assert one.requests.tobytes() != other.requests.tobytes()


def test_a_long_queue_makes_the_arrays_grow():
    result = simulate(one_service(Poisson(3000.0), duration_s=20.0, service=Deterministic(0.01)))
    assert result.outcomes().to_dict() == {"ok": pytest.approx(2000, abs=3), "pending": pytest.approx(58_000, abs=1000)}
    assert result.service("server")["waiting"].iloc[-1] == pytest.approx(58_000, abs=1000)


def test_progress_is_told_and_may_stop_a_run():
    class Enough(Exception):
        pass

    told = []

    def progress(done, total):
        told.append((done, total))
        if len(told) == 2:
            raise Enough

    with pytest.raises(Enough):
        simulate(one_service(Poisson(1000.0), duration_s=3000.0, service=Deterministic(0.0001)), progress)
    assert 0 < told[0][0] < told[1][0] < told[1][1] == 3000.0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Graph(calls=(Call(CLIENTS, "nobody"),)), "'nobody'; choose one of 'service'"),
        (lambda: Graph(calls=()), "empty"),
        (lambda: Graph(calls=(Call("service", "service"),)), "0 calls come from 'clients'"),
        (
            lambda: Graph((Service("a"), Service("b")), (Call(CLIENTS, "a"), Call("a", "b"), Call("b", "a"))),
            "in a circle through a, b",
        ),
        (lambda: Graph((Service("a"), Service("a"))), "names a twice"),
        (lambda: Graph(faults=(Fault("down", "web"),)), "choose one of 'service'"),
        (lambda: Graph(faults=(Fault("down", "service", instance=1),)), "instances 0 to 0"),
        (lambda: Fault(start_s=5, end_s=5), "end_s is 5"),
        (lambda: Fault("errors", value=1.5), "value is 1.5"),
        (lambda: Fault("slow", value=0.0), "takes a factor above 0"),
        (lambda: Graph(priorities=(0.5, 0.5, 0.5, 0.0)), "priorities"),
        (lambda: Graph(duration_s=1e6, slice_s=1e-4), "are too many"),
        (lambda: simulate(Graph(duration_s=5.0)).goodput_per_s(4.0, 9.0), "not within the run"),
        (lambda: simulate(Graph(duration_s=5.0)).edge("a"), "choose one of 'clients → service'"),
    ],
)
def test_what_has_no_meaning_is_refused_with_the_reason(make, said):
    with pytest.raises(ValueError, match=said):
        make()
