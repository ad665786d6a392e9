"""Availability and intersection of quorums by size."""

from __future__ import annotations

from itertools import combinations, product

import pytest
from scipy.stats import binom

from distlib.paxos.quorums import availability_by_size
from distlib.paxos.theory import availability, intersect, missing_share


@pytest.mark.parametrize(("acceptors", "quorum", "up"), [(5, 3, 0.95), (9, 1, 0.5), (7, 7, 0.999), (4, 0, 0.2)])
def test_availability_is_the_binomial_upper_tail(acceptors: int, quorum: int, up: float) -> None:
    assert availability(acceptors, quorum, up) == pytest.approx(float(binom.sf(quorum - 1, acceptors, up)), rel=1e-12)


def test_availability_counts_every_pattern_of_failures() -> None:
    total = sum(
        0.9 ** sum(pattern) * 0.1 ** (5 - sum(pattern)) for pattern in product((0, 1), repeat=5) if sum(pattern) >= 3
    )
    assert availability(5, 3, 0.9) == pytest.approx(total, rel=1e-12)


def test_intersection_and_missing_share_agree_with_all_pairs() -> None:
    for acceptors in range(1, 7):
        for one, two in product(range(1, acceptors + 1), repeat=2):
            pairs = list(product(combinations(range(acceptors), one), combinations(range(acceptors), two)))
            apart = sum(not set(first) & set(second) for first, second in pairs)
            assert intersect(acceptors, one, two) is (apart == 0)
            assert missing_share(acceptors, one, two) == pytest.approx(apart / len(pairs))


def test_small_quorums_of_phase_2_trade_elections_for_decisions() -> None:
    sizes = availability_by_size(5, 0.95).set_index("phase2")
    majority, flexible = sizes.loc[3], sizes.loc[2]
    assert (majority["phase1"], flexible["phase1"]) == (3, 4)
    assert flexible["available2"] > majority["available2"]
    assert flexible["available1"] < majority["available1"]
    assert flexible["both"] == flexible["available1"]


@pytest.mark.parametrize(("arguments", "error", "said"), [
    ((5, 6, 0.9), ValueError, "quorum is 6"), ((0, 0, 0.9), ValueError, "acceptors is 0"),
    ((5, 3, 1.5), ValueError, "up is 1.5"), ((5, 2.5, 0.9), TypeError, "quorum is 2.5"),
    ((True, 1, 0.9), TypeError, "acceptors is True"),
])  # fmt: skip
def test_numbers_that_cannot_be_are_refused(arguments: tuple, error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        availability(*arguments)
