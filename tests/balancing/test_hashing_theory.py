"""Closed forms of hashing against counting and against the ring itself."""

import math

import numpy as np
import pytest

from distlib.balancing import hashing_theory as h
from distlib.balancing.hashing import Ring


def test_the_share_of_a_ring_is_beta():
    share = h.ring_share(50, 4)
    assert share.mean() == pytest.approx(1 / 50)
    assert share.std() * 50 == pytest.approx(h.ring_share_deviation(50, 4))
    drawn = np.concatenate([Ring(range(50), 4, seed=seed).shares() for seed in range(200)])
    for quantile in (0.1, 0.5, 0.9):  # 10,000 weakly dependent shares: four standard deviations of a binomial
        assert (drawn <= share.ppf(quantile)).mean() == pytest.approx(
            quantile, abs=4 * math.sqrt(quantile * (1 - quantile) / 10_000)
        )


@pytest.mark.parametrize(("before", "after"), [(1, 2), (10, 11), (11, 10), (4, 6), (3, 9)])
def test_movement_by_counting_residues(before, after):
    numbers = np.arange(math.lcm(before, after))
    assert h.moved_modulo(before, after) == pytest.approx((numbers % before != numbers % after).mean())
    assert h.moved_consistent(before, after) == pytest.approx(abs(1 - min(before, after) / max(before, after)))


def test_small_facts():
    assert h.maglev_entries(10) == (6553, 6554)
    assert h.bounded_capacity(1000, 10, 1.25) == 125


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: h.ring_share(1, 4), "at least 2 nodes"),
        (lambda: h.ring_share_deviation(0), "nodes is 0"),
        (lambda: h.ring_share_deviation(3, 0), "virtual_nodes is 0"),
        (lambda: h.moved_modulo(0, 1), "before is 0"),
        (lambda: h.bounded_capacity(10, 2, 1.0), "above 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
