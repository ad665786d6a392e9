"""Closed forms against independent numerical solutions: truncated Markov chains, integrals, recursions."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import erlang, poisson

from distlib.theory import queueing as q


def birth_death_mean(birth, death, states):
    """Mean and distribution of a birth-death chain from its balance equations, by linear algebra."""
    generator = np.zeros((states, states))
    for n in range(states - 1):
        generator[n, n + 1], generator[n + 1, n] = birth(n), death(n + 1)
    np.fill_diagonal(generator, -generator.sum(axis=1))
    system = np.vstack([generator.T, np.ones(states)])
    right = np.zeros(states + 1)
    right[-1] = 1
    probability = np.linalg.lstsq(system, right, rcond=None)[0]
    return probability @ np.arange(states), probability


@pytest.mark.parametrize("load", [0.1, 0.5, 0.8])
def test_mm1_is_the_birth_death_chain(load):
    mean, probability = birth_death_mean(lambda n: load, lambda n: 1.0, 250)
    assert q.mm1_response(load) == pytest.approx(mean / load, abs=1e-6)
    tail = sum(p * erlang.sf(2.5, n + 1) for n, p in enumerate(probability))  # the arrival finds n ahead
    assert q.mm1_response_tail(2.5, load) == pytest.approx(tail, abs=1e-6)
    assert q.mm1_response_tail(q.mm1_response_quantile(0.99, load), load) == pytest.approx(0.01, abs=1e-12)


@pytest.mark.parametrize("servers", [1, 2, 5, 10])
@pytest.mark.parametrize("load", [0.3, 0.8])
def test_mmc_is_the_birth_death_chain(servers, load):
    rate = servers * load
    mean, probability = birth_death_mean(lambda n: rate, lambda n: float(min(n, servers)), 300)
    assert q.erlang_c(servers, load) == pytest.approx(probability[servers:].sum(), abs=1e-6)
    assert q.mmc_response(servers, load) == pytest.approx(mean / rate, abs=1e-6)
    whole = quad(lambda t: q.mmc_response_tail(t, servers, load), 0, 200, limit=500)[0]
    assert whole == pytest.approx(mean / rate, abs=1e-6)
    t = q.mmc_response_quantile(0.95, servers, load)
    assert q.mmc_response_tail(t, servers, load) == pytest.approx(0.05, abs=1e-9)


def test_the_tail_of_mmc_where_both_rates_coincide():
    assert q.mmc_response_tail(2.0, 2, 0.5) == pytest.approx(q.mmc_response_tail(2.0, 2, 0.5 + 1e-7), abs=1e-6)


@pytest.mark.parametrize(("servers", "offered"), [(1, 0.5), (10, 8.0), (10, 10.0), (3, 30.0)])
def test_erlang_b_is_the_loss_chain(servers, offered):
    terms = [offered**k / math.factorial(k) for k in range(servers + 1)]
    assert q.erlang_b(servers, offered) == pytest.approx(terms[-1] / sum(terms), abs=1e-12)


@pytest.mark.parametrize("load", [0.0, 0.5, 0.9, 1.0, 1.7])
def test_mm1k_is_the_bounded_chain(load):
    _, probability = birth_death_mean(lambda n: load, lambda n: 1.0, 11)
    assert q.mm1k_blocking(load, 10) == pytest.approx(probability[10], abs=1e-9)


def md1_chain_response(load):
    """M/D/1 from the embedded chain at departures (Kleinrock I, §5.3), independent of Pollaczek and Khinchine."""
    states = 400
    arrivals = poisson.pmf(np.arange(states), load)
    matrix = np.zeros((states, states))
    for n in range(states):
        first = max(n - 1, 0)
        matrix[n, first:] = arrivals[: states - first]
    matrix[:, -1] += 1 - matrix.sum(axis=1)
    system = np.vstack([matrix.T - np.eye(states), np.ones(states)])
    right = np.zeros(states + 1)
    right[-1] = 1
    return np.linalg.lstsq(system, right, rcond=None)[0] @ np.arange(states) / load


def test_pollaczek_khinchine():
    assert q.mg1_response(0.7, 0.0) == pytest.approx(md1_chain_response(0.7), abs=1e-6)
    assert q.mg1_response(0.7, 1.0) == pytest.approx(q.mm1_response(0.7), abs=1e-12)


@pytest.mark.parametrize("servers", [1, 2, 4])
def test_mdc_is_the_chain_of_one_service_time(servers):
    load, states = 0.8, 300
    arrivals = poisson.pmf(np.arange(states), servers * load)
    matrix = np.zeros((states, states))
    for n in range(states):
        left = max(n - servers, 0)
        matrix[n, left:] = arrivals[: states - left]
    matrix[:, -1] += 1 - matrix.sum(axis=1)
    system = np.vstack([matrix.T - np.eye(states), np.ones(states)])
    right = np.zeros(states + 1)
    right[-1] = 1
    mean = np.linalg.lstsq(system, right, rcond=None)[0] @ np.arange(states)
    assert q.mdc_response(servers, load) == pytest.approx(mean / (servers * load), abs=1e-6)


def gim1_response(transform, load):
    return 1 / (1 - q.gim1_sigma(transform, load))


def gim1_response_by_iteration(transform, steps=20_000):
    sigma = 0.5
    for _ in range(steps):
        sigma = transform(1 - sigma)
    return 1 / (1 - sigma)


@pytest.mark.parametrize("load", [0.2, 0.5, 0.9])
def test_gim1_by_fixed_point_iteration_and_numerical_transforms(load):
    def uniform(s):  # gaps from U(0, 2/ρ)
        return quad(lambda a: math.exp(-s * a) * load / 2, 0, 2 / load)[0]

    assert gim1_response(uniform, load) == pytest.approx(gim1_response_by_iteration(uniform, 400), abs=1e-6)
    for stages in (1, 2, 10):
        density = erlang(stages, scale=1 / (stages * load)).pdf

        def transform(s, pdf=density):
            return quad(lambda a: math.exp(-s * a) * pdf(a), 0, 60 / load, limit=300)[0]

        sigma = q.erlang_sigma(stages, load)
        assert transform(1 - sigma) == pytest.approx(sigma, abs=1e-7)
        assert q.round_robin_response(stages, load) == pytest.approx(1 / (1 - sigma), abs=1e-9)

    def constant(s):  # D/M/1, the limit of round robin over many servers
        return math.exp(-s / load)

    assert gim1_response(constant, load) == pytest.approx(gim1_response_by_iteration(constant), abs=1e-6)
    assert q.round_robin_response(1, load) == pytest.approx(q.mm1_response(load), abs=1e-9)


def test_times_scale_with_the_service_time():
    for one in (q.mm1_response, q.mg1_sharing_response):
        assert one(0.6, 0.02) == pytest.approx(0.02 * one(0.6))
    assert q.mmc_response(4, 0.6, 0.02) == pytest.approx(0.02 * q.mmc_response(4, 0.6))
    assert q.mdc_response(4, 0.6, 0.02) == pytest.approx(0.02 * q.mdc_response(4, 0.6))
    assert q.round_robin_response(4, 0.6, 0.02) == pytest.approx(0.02 * q.round_robin_response(4, 0.6))


def test_no_load_no_wait():
    assert q.mm1_response(0) == q.mmc_response(3, 0) == q.round_robin_response(3, 0) == 1
    assert q.mg1_response(0, 4) == q.mdc_response(3, 0) == q.mg1_sharing_response(0) == 1


FORMULAS = [
    q.mm1_response,
    q.mg1_sharing_response,
    lambda load: q.mm1_response_tail(1.0, load),
    lambda load: q.mm1_response_quantile(0.5, load),
    lambda load: q.erlang_c(3, load),
    lambda load: q.mmc_response(3, load),
    lambda load: q.mmc_response_tail(1.0, 3, load),
    lambda load: q.mg1_response(load, 1.0),
    lambda load: q.round_robin_response(3, load),
    lambda load: q.gim1_sigma(lambda s: math.exp(-s), load),
    lambda load: q.mdc_response(3, load),
]


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("load", [1.0, 1.2])
def test_an_overloaded_queue_has_no_mean(formula, load):
    with pytest.raises(ValueError, match="grows for ever and has no mean; the formula holds for a load below 1"):
        formula(load)


@pytest.mark.parametrize("formula", FORMULAS)
@pytest.mark.parametrize("load", [-0.1, math.nan, math.inf])
def test_an_absurd_load_is_named(formula, load):
    with pytest.raises(ValueError, match=r"load is .*at least 0 and below 1"):
        formula(load)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: q.erlang_b(0, 1.0), "servers is 0"),
        (lambda: q.erlang_b(2, -1.0), "offered is -1.0"),
        (lambda: q.mm1_response(0.5, 0), "service_s is 0"),
        (lambda: q.mm1_response_quantile(1.0, 0.5), "probability is 1.0"),
        (lambda: q.mg1_response(0.5, math.inf), "cv2 is inf; it takes a number of at least 0"),
        (lambda: q.mm1k_blocking(-1, 3), "load is -1"),
    ],
)
def test_other_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
