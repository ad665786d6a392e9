"""Every closed form at the ends of its domain, against sums and roots in decimals of 60 digits."""

import math
from decimal import Decimal, getcontext

import numpy as np
import pytest

from distlib.balancing import theory as c
from distlib.theory import queueing as q

getcontext().prec = 60
LOADS = [1e-12, 1e-3, 0.5, 0.9, 0.999999, 1 - 1e-12]


def log(value):
    return Decimal(value).ln()


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("stages", [1, 2, 10, 1000, 10**6, 10**9])
def test_round_robin(stages, load):
    """By bisection of the fixed point of E_n/M/1."""
    n, rho = Decimal(stages), Decimal(load)
    low, high = (1 - rho) / 2, Decimal(1)
    for _ in range(150):
        x = (low + high) / 2
        below_the_root = 1 - (-n * (1 + x / (n * rho)).ln()).exp() > x
        low, high = (x, high) if below_the_root else (low, x)
    assert q.round_robin_response(stages, load) == pytest.approx(float(1 / low), rel=1e-12)


def test_round_robin_over_a_million():
    assert q.round_robin_response(10**6, 0.9) == pytest.approx(5.1787, abs=5e-5)
    assert q.round_robin_response(10**6, 1e-300) == 1.0


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("servers", [1, 10, 1000])
def test_erlang(servers, load):
    offered, inverse = servers * Decimal(load), Decimal(1)  # 1/B(k) = 1 + k/(a B(k − 1))
    for k in range(1, servers + 1):
        inverse = 1 + k * inverse / offered
    b, rho = 1 / inverse, Decimal(load)
    delay = b / (1 - rho * (1 - b))
    assert q.erlang_b(servers, servers * load) == pytest.approx(float(b), rel=1e-10, abs=1e-300)
    assert q.erlang_c(servers, load) == pytest.approx(float(delay), rel=1e-10, abs=1e-300)
    wait = delay / (servers * (1 - rho))
    assert q.mmc_wait(servers, load) == pytest.approx(float(wait), rel=1e-10, abs=1e-300)
    for t in (0.1, 20.0, 1000.0):
        spare = servers * (1 - rho) - 1
        tail = (1 + delay * Decimal(t)) if spare == 0 else 1 - delay * ((-spare * Decimal(t)).exp() - 1) / spare
        expected = float(tail * Decimal(-t).exp())
        assert q.mmc_response_tail(t, servers, load) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("service_s", [1e-12, 1.0, 1e12])
def test_a_quantile_has_its_digits_in_any_unit(service_s):
    t = q.mmc_response_quantile(0.99, 21, 20 / 21, service_s)
    assert q.mmc_response_tail(t, 21, 20 / 21, service_s) == pytest.approx(0.01, rel=1e-9)


@pytest.mark.parametrize("load", [1e-300, 1e-5, 0.9, 1 - 1e-12, 1.0, 1 + 1e-12, 1.7, 1e6])
@pytest.mark.parametrize("capacity", [1, 5, 10_000, 10**7])
def test_a_bounded_queue(load, capacity):
    rho, k = Decimal(load), Decimal(capacity)
    if rho > 1:
        expected = (1 - 1 / rho) / (1 - (-(k + 1) * log(load)).exp())
    else:
        expected = 1 / (k + 1) if rho == 1 else (1 - rho) * (k * log(load)).exp() / (1 - ((k + 1) * log(load)).exp())
    assert q.mm1k_blocking(load, capacity) == pytest.approx(float(expected), rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("load", LOADS)
def test_one_server_of_constant_service(load):
    assert q.mdc_wait(1, load) == pytest.approx(load / (2 * (1 - load)), rel=1e-9)


@pytest.mark.parametrize(("servers", "load"), [(20, 0.3), (100, 0.5), (1000, 0.8), (1000, 0.5)])
def test_many_servers_of_constant_service(servers, load):
    """Where hardly anybody waits: two terms of Spitzer's sum, from Poisson probabilities in decimals."""
    queue = Decimal(0)
    for k in (1, 2):
        offered, room = k * servers * Decimal(load), k * servers
        chance = (-offered).exp()
        for j in range(1, room + 1):
            chance *= offered / j
        excess, more = Decimal(0), 0
        while more < 2 * servers:
            more += 1
            chance *= offered / (room + more)
            excess += more * chance
        queue += excess / k
    assert q.mdc_wait(servers, load) == pytest.approx(float(queue / (servers * Decimal(load))), rel=1e-6)


@pytest.mark.parametrize("servers", [1, 3, 30])
def test_both_sums_of_constant_service_meet(servers, monkeypatch):
    by_terms = q.mdc_wait(servers, 0.9)
    monkeypatch.setattr(q, "MOST_TERMS", 1)
    assert q.mdc_wait(servers, 0.9) == pytest.approx(by_terms, rel=1e-9)


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("choices", [1, 2, 5, 10**6])
def test_the_supermarket(load, choices):
    d, total, k = Decimal(choices), Decimal(0), 1
    while choices > 1 and (term := ((d**k - d) / (d - 1) * log(load)).exp()) > Decimal("1e-40"):
        total, k = total + term, k + 1
    expected = float(total) if choices > 1 else 1 / (1 - load)
    assert c.supermarket_response(load, choices) == pytest.approx(expected, rel=1e-11)
    assert 0.0 <= c.supermarket_tail(60, load, choices) <= c.supermarket_tail(1, load, choices) == pytest.approx(load)
    assert c.supermarket_response_tail(0.0, load, choices) == pytest.approx(1.0)
    assert 0.0 <= c.supermarket_response_tail(1e4, load, choices) <= 1.0


@pytest.mark.parametrize("load", [1e-300, 1e-9, 1e-7, 1e-3, 0.995])
def test_the_shorter_of_two(load):
    assert 1 / (1 - load**2) - 1e-9 <= c.shorter_of_two_response(load) <= 1 / (1 - load)


@pytest.mark.parametrize(
    ("choices", "balls"),
    [(1, 0.0), (2, 1e-6), (10**6, 1e-6), (1, 1.0), (2, 1.0), (10**6, 1.0), (1, 50.0), (2, 50.0), (10**6, 3.0)],
)
def test_bins(choices, balls):
    share = c.bins_with_at_least(balls, choices, most=100)
    assert np.isfinite(share).all()
    assert (np.diff(share) <= 1e-9).all()
    assert share[1:].sum() == pytest.approx(balls, rel=1e-4, abs=1e-9)


def test_a_poisson_tail_keeps_its_digits():
    many = sum(Decimal(-1).exp() / math.factorial(k) for k in range(20, 60))
    assert c.bins_with_at_least(1.0, 1)[20] == pytest.approx(float(many), rel=1e-9)
