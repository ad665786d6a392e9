"""Checks of single values: what passes comes back, what does not is named with what would be right."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from distlib.core import require


def test_what_is_right_comes_back() -> None:
    assert require.whole("n", 3, 1, 9) == 3 and require.number("x", 0.5, 0, 1) == 0.5
    assert require.whole("n", 10**400) == 10**400
    assert require.above("x", 2) == 2.0 and require.flag("b", True) is True and require.text("t", "") == ""
    assert require.choice("c", "a", ("a", "b")) == "a" and require.pair("p", (1, 2.5), 0) == (1, 2.5)
    assert require.instance("d", {}, dict, "a mapping") == {}


@pytest.mark.parametrize(
    ("check", "error", "message"),
    [
        (lambda: require.whole("n", 2.0, 1, 9), TypeError, "n is 2.0; it takes a whole number from 1 to 9"),
        (lambda: require.whole("n", True), TypeError, "n is True; it takes a whole number"),
        (lambda: require.whole("n", 10**9, 1, 5_000_000), ValueError, "a whole number from 1 to 5,000,000"),
        (lambda: require.number("x", math.nan, 0.5), ValueError, "x is nan; it takes a number of at least 0.5"),
        (lambda: require.number("x", 3, high=2, unit="s"), ValueError, "x is 3; it takes a number of at most 2 s"),
        (lambda: require.number("x", None, unit="ms"), TypeError, "x is None; it takes a number (ms)"),
        (lambda: require.number("x", 10**400), ValueError, "it takes a number"),
        (lambda: require.above("x", 10**400), ValueError, "it takes a number above 0"),
        (lambda: require.above("x", 0, unit="s"), ValueError, "x is 0; it takes a number above 0 s"),
        (lambda: require.above("x", math.inf), ValueError, "x is inf; it takes a number above 0"),
        (lambda: require.flag("b", 1), TypeError, "b is 1; it takes True or False"),
        (lambda: require.text("t", None), TypeError, "t is None; it takes a string"),
        (lambda: require.choice("c", "z", ("a", "b")), ValueError, "c is 'z'; choose one of 'a', 'b'"),
        (lambda: require.pair("p", [1, 2]), TypeError, "p is [1, 2]; it takes a pair (low, high)"),
        (lambda: require.pair("p", (2, 1)), ValueError, "p is reversed: (2, 1); write the smaller end first, (1, 2)"),
        (lambda: require.pair("p", (0, 1), 1), ValueError, "p is 0; it takes a number of at least 1"),
        (lambda: require.instance("d", 3, dict, "a mapping"), TypeError, "d is 3; it takes a mapping"),
    ],
)
def test_what_is_wrong_is_named(check: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        check()
