"""How long to wait before a retry: M. Brooker, *Exponential Backoff and Jitter*, AWS Architecture Blog (2015).

    Backoff("full", base_s=0.1, cap_s=10.0).delay(retry=3, u=random.random())

Without a random part, callers that failed together come back together, however long they wait.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from distlib.core import require
from distlib.core.draw import compiled, plain
from distlib.core.parameter import Parameters, parameter

NONE, CONSTANT, EXPONENTIAL, EQUAL, FULL, DECORRELATED = range(6)
KINDS = ("none", "constant", "exponential", "equal", "full", "decorrelated")


class BackoffRule(NamedTuple):
    """The constants of a backoff."""

    kind: int
    base_s: float
    cap_s: float
    factor: float


@dataclass(frozen=True)
class Backoff(Parameters):
    """How long to wait before retry number n = 1, 2, …, with e = min(cap, base · factorⁿ⁻¹):

    none 0; constant base; exponential e; equal jitter e/2 + U(0, e/2); full jitter U(0, e); decorrelated jitter
    min(cap, U(base, 3 · the wait before), at first 3 · base).
    """

    kind: str = parameter("full", "backoff", choices=KINDS, help="how the wait before a retry is found")
    base_s: float = parameter(0.1, "base", unit="s", low=1e-5, high=1e4, scale="log", help="first wait, or its bound")
    cap_s: float = parameter(10.0, "cap", unit="s", low=1e-5, high=1e5, scale="log", help="longest wait")
    factor: float = parameter(2.0, "factor", low=1.0, high=10.0, help="growth of the wait from one retry to the next")

    def check(self) -> None:
        if self.cap_s < self.base_s:
            raise ValueError(
                f"Backoff.cap_s is {self.cap_s:g} s, below base_s = {self.base_s:g} s; make it the larger one"
            )

    def rule(self) -> BackoffRule:
        """The constants for compiled functions."""
        return BackoffRule(KINDS.index(self.kind), self.base_s, self.cap_s, self.factor)

    @cached_property
    def _rule(self) -> BackoffRule:
        return self.rule()

    def delay(self, retry: int, previous_s: float = 0.0, u: float = 0.5) -> float:
        """The wait before retry number ``retry`` (1, 2, …), s, after a wait of ``previous_s`` before the last one (0:
        there was none); ``u`` is a random number between 0 and 1."""
        # One look at what is right nearly always; the checks by name cost more than the formula.
        plainly_right = type(retry) is int and retry >= 1 and type(u) is type(previous_s) is float
        if not (plainly_right and 0.0 <= u <= 1.0 and 0.0 <= previous_s < math.inf):
            require.whole("retry", retry, 1)
            require.number("previous_s", previous_s, 0.0)
            require.number("u", u, 0.0, 1.0)
        return plain_delay(self._rule, retry, previous_s, u)

    def delays(self, random: Callable[[], float]) -> Iterator[float]:
        """The waits before the first, second, … retry of one call, without end."""
        retry, wait_s = 1, 0.0
        while True:
            wait_s = plain_delay(self._rule, retry, wait_s, random())
            yield wait_s
            retry += 1


@compiled
def delay(rule: BackoffRule, retry: int, previous_s: float, u: float) -> float:
    """The wait before retry number ``retry`` = 1, 2, …, s."""
    if rule.kind == NONE:
        return 0.0
    if rule.kind == CONSTANT:
        return min(rule.cap_s, rule.base_s)
    if rule.kind == DECORRELATED:
        before_s = max(rule.base_s, previous_s)
        return min(rule.cap_s, rule.base_s + u * (3.0 * before_s - rule.base_s))
    bound_s = rule.base_s
    for _ in range(min(retry - 1, 1100)):  # beyond, the largest float is passed anyway
        bound_s = bound_s * rule.factor
        if bound_s >= rule.cap_s:
            break
    bound_s = min(rule.cap_s, bound_s)
    if rule.kind == EQUAL:
        return bound_s * (0.5 + 0.5 * u)
    if rule.kind == FULL:
        return bound_s * u
    return bound_s


plain_delay: Callable[[BackoffRule, int, float, float], float] = plain(delay)
