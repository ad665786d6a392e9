"""The supermarket model, two queues, balls into bins, rings and moved keys, against independent solutions."""

import math

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.stats import beta

from distlib.balancing import theory as c
from distlib.balancing.hashing import Ring
from distlib.theory.queueing import mm1_response


@pytest.mark.parametrize("choices", [2, 3, 5])
@pytest.mark.parametrize("load", [0.5, 0.9])
def test_the_supermarket_is_the_fixed_point_of_its_differential_equation(load, choices):
    def flow(_, s):
        s = np.concatenate([[1.0], s, [0.0]])
        return load * (s[:-2] ** choices - s[1:-1] ** choices) - (s[1:-1] - s[2:])

    s = solve_ivp(flow, (0, 4000), np.zeros(40), method="LSODA", rtol=1e-11, atol=1e-13).y[:, -1]
    assert [c.supermarket_tail(k, load, choices) for k in range(1, 6)] == pytest.approx(s[:5].tolist(), abs=1e-7)
    assert c.supermarket_response(load, choices) == pytest.approx(s.sum() / load, abs=1e-6)  # Little's law


@pytest.mark.parametrize("choices", [1, 2, 5])
def test_the_published_sum_and_the_integral_of_the_tail(choices):
    load = 0.9
    if choices > 1:
        terms = [load ** ((choices**i - choices) / (choices - 1)) for i in range(1, 12)]
        assert c.supermarket_response(load, choices) == pytest.approx(sum(terms), abs=1e-9)
    area = quad(lambda t: c.supermarket_response_tail(t, load, choices), 0, 200, limit=300)[0]
    assert area == pytest.approx(c.supermarket_response(load, choices), abs=1e-5)


def test_one_choice_is_mm1():
    assert c.supermarket_response(0.8, 1) == pytest.approx(mm1_response(0.8))
    assert c.supermarket_tail(3, 0.8, 1) == pytest.approx(0.8**3)
    assert c.supermarket_response_tail(2.0, 0.8, 1) == pytest.approx(math.exp(-0.4), abs=1e-9)


def test_the_shorter_of_two_by_iterating_another_chain():
    """Uniformised chain on (x, y), iterated to its stationary distribution; no state merging, no sparse solver."""
    load, size = 0.5, 40
    p = np.zeros((size, size))
    p[0, 0] = 1
    x, y = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    to_x = np.where(x < y, 1.0, np.where(x == y, 0.5, 0.0))
    for _ in range(3000):
        new = p * (1 - (2 * load + 2) / 3)
        arrive_x, arrive_y = p * to_x * 2 * load / 3, p * (1 - to_x) * 2 * load / 3
        new[1:, :] += arrive_x[:-1, :]
        new[:, 1:] += arrive_y[:, :-1]
        new[:-1, :] += p[1:, :] / 3
        new[0, :] += p[0, :] / 3
        new[:, :-1] += p[:, 1:] / 3
        new[:, 0] += p[:, 0] / 3
        p = new
    assert c.shorter_of_two_response(load) == pytest.approx((p * (x + y)).sum() / (2 * load), abs=1e-6)


def test_the_shorter_of_two_lies_between_one_fast_queue_and_two_random_ones():
    for load in (0.0, 0.01, 0.3, 0.7, 0.95):
        pooled = 1 / (1 - load**2)  # M/M/2
        assert pooled - 1e-12 <= c.shorter_of_two_response(load) <= mm1_response(load) + 1e-12


def test_bins():
    one = c.bins_with_at_least(1.0, 1)
    assert one[:3] == pytest.approx([1, 1 - math.exp(-1), 1 - 2 * math.exp(-1)])
    assert c.bins_with_at_least(1.0, 2)[1:].sum() == pytest.approx(1.0, abs=1e-7)  # the mean load
    assert c.bins_with_at_least(2.0, 3)[1:].sum() == pytest.approx(2.0, abs=1e-7)


def test_the_share_of_a_ring_is_beta():
    """nv points at random cut the circle; a node owns v of the arcs, which are jointly Dirichlet(1, ..., 1)."""
    share = beta(4, 49 * 4)
    assert share.std() * 50 == pytest.approx(c.ring_share_deviation(50, 4))
    drawn = np.concatenate([Ring(range(50), 4, seed=seed).shares() for seed in range(200)])
    for quantile in (0.1, 0.5, 0.9):  # 10,000 weakly dependent shares: four standard deviations of a binomial
        assert (drawn <= share.ppf(quantile)).mean() == pytest.approx(
            quantile, abs=4 * math.sqrt(quantile * (1 - quantile) / 10_000)
        )


@pytest.mark.parametrize(("before", "after"), [(1, 2), (10, 11), (11, 10), (4, 6), (3, 9)])
def test_movement_by_counting_residues(before, after):
    numbers = np.arange(math.lcm(before, after))
    assert c.moved_modulo(before, after) == pytest.approx((numbers % before != numbers % after).mean())
    assert c.moved_consistent(before, after) == pytest.approx(abs(1 - min(before, after) / max(before, after)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: c.supermarket_response(1.0, 2), "grows for ever"),
        (lambda: c.supermarket_tail(2, 1.5, 2), "grows for ever"),
        (lambda: c.supermarket_response(0.5, 0), "choices is 0"),
        (lambda: c.shorter_of_two_response(1.0), "grows for ever"),
        (lambda: c.shorter_of_two_response(0.999), "up to .995"),
        (lambda: c.bins_with_at_least(-1, 2), "balls_per_bin is -1"),
        (lambda: c.ring_share_deviation(0), "nodes is 0"),
        (lambda: c.ring_share_deviation(3, 0), "virtual_nodes is 0"),
        (lambda: c.moved_modulo(0, 1), "before is 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
