"""The real check: the same requests measured and simulated. Agreement is asserted where it must be exact."""

from __future__ import annotations

import numpy as np
import pytest

from distlib.balancing.real import production_proxy
from distlib.balancing.real.scenarios import (
    OWN,
    PERCENTS,
    RealBalancing,
    RealBalancingParams,
    Stalled,
    real_balancing,
    runs,
)
from distlib.sim.service.balancer import Balancer
from distlib.sim.service.params import workload
from distlib.sim.service.policy import Policy
from distlib.sim.workload import Exponential


class First(Policy):
    def choose(self, seen: Balancer, now: float, client: int) -> int:
        return seen.available[0]


SHORT = RealBalancingParams(
    policies=("random", "key affinity"), mean_ms=5.0, load=0.4, workers=3, duration_s=0.6, seed=7
)
"""144 requests a run."""


@pytest.fixture(scope="module")
def result() -> RealBalancing:
    told: list[tuple[float, float]] = []
    found = real_balancing(SHORT, own={"always the first": First()}, progress=lambda *one: told.append(one))
    assert told[0] == (0, 3 * SHORT.requests) and told[-1] == (3 * SHORT.requests,) * 2
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    return found


def test_blind_policies_choose_in_reality_as_in_the_simulation(result: RealBalancing) -> None:
    """Same seed, same stream of choices: the same number of requests each; with keys, the same backend for each."""
    assert SHORT.requests == 144
    random = result.measured["random", OWN]
    np.testing.assert_array_equal(random.counts, result.simulated["random"].counts)
    affinity = result.measured["key affinity", OWN]
    np.testing.assert_array_equal(affinity.backend, result.simulated["key affinity"].backend)
    assert result.measured["always the first", OWN].counts.tolist() == [144]


def test_requests_bring_the_simulators_times_and_work(result: RealBalancing) -> None:
    for policy, simulated in result.simulated.items():
        measured = result.measured[policy, OWN]
        assert measured.lost == 0
        np.testing.assert_array_equal(measured.load.arrival_s, simulated.arrival_s)
        np.testing.assert_allclose(measured.work_s, simulated.service_s, atol=1e-6)


def test_what_cannot_wait_less_in_reality_does_not(result: RealBalancing) -> None:
    """Always the same worker: real arrivals are never early, so by Lindley nobody leaves before its simulated time.

    Requests may overtake each other between two sockets, which moves single ones; the last departure cannot move ahead.
    """
    measured, simulated = result.measured["always the first", OWN], result.simulated["always the first"]
    assert measured.answered_s.max() >= simulated.departure_s.max() - 1e-6


def test_tables_hold_every_policy_and_source(result: RealBalancing) -> None:
    policies = {"random", "key affinity", "always the first"}
    percentiles = result.percentiles
    assert set(percentiles["policy"]) == policies
    assert set(percentiles["source"]) == {"simulated", OWN}
    assert len(percentiles) == 3 * 2 * len(PERCENTS)
    for _, rows in percentiles.groupby(["policy", "source"]):
        assert rows.sort_values("percent")["response_ms"].is_monotonic_increasing
    assert (result.chance["low_ms"] <= result.chance["high_ms"]).all()
    assert result.counts.groupby(["policy", "source"])["requests"].sum().unique().tolist() == [144]
    assert set(result.summary["policy"]) == policies
    answered, on_time = result.verdicts()
    assert answered == ("every request got exactly one answer", True, "")
    assert isinstance(on_time[1], bool)  # a busy machine may be late, and then says so
    assert on_time[1] or "late or more" in on_time[2]


def test_a_program_that_is_not_installed_is_reported_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(production_proxy.shutil, "which", lambda *_, **__: None)
    params = RealBalancingParams(policies=("random", "two choices"), through=("nginx", "HAProxy"))
    absent = real_balancing(params)
    assert absent.measured == {}
    assert set(absent.not_measured) == {"nginx", "HAProxy"}
    assert "nginx is not installed" in absent.not_measured["nginx"]
    assert [one[1] for one in absent.verdicts()] == [None] * 4
    assert absent.summary.empty and set(absent.percentiles["source"]) == {"simulated"}


def test_a_policy_that_a_program_lacks_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(production_proxy.shutil, "which", lambda *_, **__: "/bin/true")
    params = RealBalancingParams(policies=("key affinity",), through=("nginx",), load=0.05, duration_s=0.5)
    found = real_balancing(params)
    assert list(found.not_measured) == ["nginx, key affinity"]
    assert "no policy like 'ring hashing'" in found.not_measured["nginx, key affinity"]


def test_stopping_keeps_what_is_done() -> None:
    params = RealBalancingParams(policies=("random", "round robin"), mean_ms=5.0, load=0.2, workers=1, duration_s=0.5)

    def stop(done: float, total: float) -> None:
        if done > params.requests:
            raise InterruptedError

    done = []
    with pytest.raises(InterruptedError):
        for one in runs(params, progress=stop):
            done.append(one)
    assert [one.name for one in done] == ["random"]
    assert list(RealBalancing(params, tuple(done)).simulated) == ["random"]


def test_a_stall_is_one_request_that_takes_longer() -> None:
    calm = RealBalancingParams(stall_ms=0.0)
    stalled = RealBalancingParams(stall_ms=900.0)
    policy = First()
    longer = workload(stalled.service_params(policy)).service_s - workload(calm.service_params(policy)).service_s
    assert np.flatnonzero(longer).tolist() == [calm.requests // 2]
    assert longer.max() == pytest.approx(0.9)
    assert Stalled(inner=Exponential(2.0), request=0, stall_s=1.0).expected_s == 2.0
    assert stalled.service_params(policy).load == calm.service_params(policy).load == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"workers": 0}, "RealBalancingParams.workers is 0; it takes a whole number from 1 to 16"),
        ({"load": 0.0}, "RealBalancingParams.load is 0.0; it takes a number from 0.05 to 1.3"),
        ({"duration_s": 1e6}, "RealBalancingParams.duration_s is 1000000.0; it takes a number from 0.5 to 60 s"),
        ({"policies": ()}, "policies has 0 values; it takes at least 1"),
        ({"policies": ("central queue",)}, "holds 'central queue'; choose from"),
        ({"through": ("apache",)}, "holds 'apache'; choose from 'own proxy', 'nginx', 'HAProxy'"),
        ({"workers": 16, "mean_ms": 2.0}, "makes 6,400 requests/s; beyond 1,500 one would measure the proxy"),
    ],
)
def test_bad_parameters_are_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RealBalancingParams(**values)  # type: ignore[arg-type]


def test_surprises_are_announced() -> None:
    assert RealBalancingParams().warnings() == []
    assert any("queues grow" in one for one in RealBalancingParams(load=1.2).warnings())
    assert any("rests on 1" in one for one in RealBalancingParams(duration_s=0.5).warnings())


def test_a_policy_of_ones_own_needs_a_name_of_its_own() -> None:
    with pytest.raises(ValueError, match="there is a policy 'random' already"):
        real_balancing(SHORT, own={"random": First()})
