"""Shares of a count, rounded as a person would on paper."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from distlib.core.exact import as_written, rounded_down, rounded_up


@pytest.mark.parametrize(
    ("share", "count", "parts", "down", "up"),
    [(0.29, 100, 1, 29, 29), (1.1, 100, 11, 10, 10), (99.9, 1000, 100, 999, 999), (0.1, 30, 1, 3, 3),
     (1 / 3, 2, 1, 0, 1), (0.0, 7, 1, 0, 0), (1, 7, 1, 7, 7)],
)  # fmt: skip
def test_by_hand(share, count, parts, down, up):
    assert (rounded_down(share, count, parts), rounded_up(share, count, parts)) == (down, up)


@given(st.integers(0, 10**6), st.integers(0, 5), st.integers(0, 10**6), st.integers(1, 1000))
def test_any_decimal(digits, places, count, parts):
    exact = Fraction(digits, 10**places)
    assert as_written(digits / 10**places) == exact
    assert rounded_down(digits / 10**places, np.int64(count), parts) == exact * count // parts
    assert rounded_up(digits / 10**places, count, np.int64(parts)) == -(-exact * count // parts)
