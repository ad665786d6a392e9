"""nginx and HAProxy in the proxy's place; and the clear word where they are not installed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from distlib.balancing.policies import KeyAffinity, LeastRequest, Random, RoundRobin
from distlib.balancing.real import production_proxy
from distlib.balancing.real.experiment import Workers, measure
from distlib.balancing.real.production_proxy import (
    METHODS,
    CannotMeasureError,
    ProductionProxy,
    find,
    haproxy_configuration,
    nginx_configuration,
)
from distlib.real.child import ChildError
from distlib.sim.service.policy import Policy
from tests.balancing.real.test_experiment import alive, all_gone, schedule


def installed(name: str) -> bool:
    try:
        return bool(find(name))
    except CannotMeasureError:
        return False


@pytest.mark.parametrize("name", ["nginx", "HAProxy"])
def test_the_same_load_through_it(name: str) -> None:
    if not installed(name):
        pytest.skip(f"{name} is not installed; test_an_absent_program_is_named holds what happens then")
    load = schedule(80)
    with Workers((1.0, 1.0, 1.0, 1.0)) as workers:
        with ProductionProxy(name, RoundRobin(), workers.ports) as front:
            turns = measure(load, front.port)
        with ProductionProxy(name, LeastRequest(2), workers.ports) as second:
            two = measure(load, second.port)
            assert alive(second.pid)
    for measured in (turns, two):
        assert measured.lost == 0 and (measured.answers == 1).all()
        np.testing.assert_allclose(measured.work_s, load.service_s, atol=1e-6)
    assert turns.counts.tolist() == [20, 20, 20, 20]
    assert all_gone([front.pid, second.pid])
    assert not Path(front._home.name).exists()


@pytest.mark.parametrize("name", ["nginx", "HAProxy"])
def test_an_absent_program_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(production_proxy.shutil, "which", lambda *_, **__: None)
    with pytest.raises(CannotMeasureError, match=f"{name} is not installed, so nothing was measured through it"):
        ProductionProxy(name, RoundRobin(), [1])


def test_an_unknown_program_is_named() -> None:
    with pytest.raises(ValueError, match="proxy is 'apache'; choose one of 'nginx', 'HAProxy'"):
        find("apache")


def test_a_policy_that_they_do_not_have_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(production_proxy.shutil, "which", lambda *_, **__: "/bin/true")
    with pytest.raises(CannotMeasureError, match="nginx has no policy like 'ring hashing' here"):
        ProductionProxy("nginx", KeyAffinity(), [1])


def test_a_program_that_will_not_start_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(production_proxy.shutil, "which", lambda *_, **__: "/bin/false")
    with pytest.raises(ChildError, match="foreign ended with code 1"):
        ProductionProxy("nginx", RoundRobin(), [1])


@pytest.mark.parametrize(
    ("policy", "nginx", "haproxy"),
    [
        (Random(), "random;", "balance random(1)"),
        (RoundRobin(), "upstream", "balance roundrobin"),
        (LeastRequest(), "least_conn;", "balance leastconn"),
        (LeastRequest(2), "random two least_conn;", "balance random(2)"),
    ],
)
def test_each_policy_has_its_line(policy: Policy, nginx: str, haproxy: str) -> None:
    for method, configuration, line in zip(
        METHODS[policy], (nginx_configuration, haproxy_configuration), (nginx, haproxy), strict=True
    ):
        text = configuration(method, [5001, 5002], 4000, Path("home"))
        assert line in text
        for port in (4000, 5001, 5002):
            assert f"127.0.0.1:{port}" in text


@pytest.mark.parametrize(
    "policy", [LeastRequest(3), LeastRequest(2, with_replacement=True), LeastRequest(weights=(1.0, 2.0)), KeyAffinity()]
)
def test_no_line_stands_for_something_else(policy: Policy) -> None:
    assert policy not in METHODS


def test_a_watching_child_that_is_told_to_end_takes_its_program_along() -> None:
    if not installed("nginx"):
        pytest.skip("nginx is not installed; test_an_absent_program_is_named holds what happens then")
    with ProductionProxy("nginx", RoundRobin(), [1]) as front:
        assert front._child is not None
        os.kill(front._child.pid, signal.SIGTERM)
        assert all_gone([front.pid])


def test_a_port_that_somebody_else_took_is_not_mistaken_for_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program listens on the first port that we try; the next attempt takes another one."""
    if not installed("HAProxy"):  # nginx would do as well, but waits for such a port for seconds
        pytest.skip("HAProxy is not installed; test_an_absent_program_is_named holds what happens then")
    with Workers((1.0,)) as workers:
        ports = iter((workers.ports[0], production_proxy.free_port()))
        monkeypatch.setattr(production_proxy, "free_port", lambda: next(ports))
        with ProductionProxy("HAProxy", RoundRobin(), workers.ports) as front:
            assert front.port != workers.ports[0]
            assert measure(schedule(5), front.port).lost == 0
