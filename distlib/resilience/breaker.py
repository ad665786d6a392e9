"""Circuit breakers: stop calling who fails, and try again later.

    breaker = Breaker(CircuitBreaker(window=10, minimum_calls=10, open_s=5.0))
    if breaker.allow(now):                      # False: rejected at once, nothing is sent
        ...                                     # the call
        breaker.record(now, failed=True, took_s=0.2)

``closed`` lets calls through and counts them; at the threshold it turns ``open`` and rejects every call; after
``open_s`` the next call finds it ``half-open``, which lets a few calls through as probes and, once all of them have
ended, closes or opens again. The windows follow resilience4j (*CircuitBreaker*, documentation of version 2): a rate
counts from ``minimum_calls`` results on, a threshold is reached with ``>=``. Counting failures in a row instead is the
breaker of M. Nygard, *Release It!* (2007), and of pybreaker.

Where resilience4j's code (``CircuitBreakerMetrics``) and its documentation differ, the breaker follows the
documentation: half-open it waits for the results of all permitted calls, where the code judges from the smaller of
``minimumNumberOfCalls`` and the permitted calls on; and a window that is smaller than the minimum is refused, where the
code silently takes the window as the minimum. As there, a result counts in the state that it meets, also that of a call
that began in an earlier one (while open it counts nowhere), a call that is cancelled half-open gives its permit back,
and a half-open breaker waits for its probes for ever (resilience4j's ``maxWaitDurationInHalfOpenState`` is 0 unless
set): calls need a timeout.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from distlib.core import require
from distlib.core.draw import compiled, plain
from distlib.core.parameter import Parameters, parameter

CLOSED, OPEN, HALF_OPEN = range(3)
STATES = ("closed", "open", "half-open")
KINDS = NONE, CONSECUTIVE, COUNT, TIME = range(4)
COUNTING = ("none", "consecutive failures", "last calls", "last seconds")
"""What a breaker looks at, by ``BreakerRule.counting``."""
MOST_CALLS = 10_000
CELL = 3
"""Numbers in a cell of a window: results, failures, slow results."""


class BreakerRule(NamedTuple):
    """The constants of a breaker, as compiled functions take them."""

    counting: int
    failures: int
    window: int  # calls, or seconds
    minimum_calls: int
    failure_rate: float  # 0 to 1
    slow_rate: float
    slow_s: float
    open_s: float
    probes: int


@dataclass
class BreakerState:
    """What a breaker remembers; its window stands in a ring of ``CELL`` numbers a cell, from ``first`` on."""

    state: int = CLOSED
    since_s: float = -math.inf  # when it became so
    in_a_row: int = 0  # failures
    permits: int = 0  # probes that may still begin
    at: int = 0  # the cell that is written next; with a time window: the second it stands for
    calls: int = 0  # results in the window, and which of them were ...
    failed: int = 0
    slow: int = 0
    first: int = 0


@dataclass(frozen=True)
class CircuitBreaker(Parameters):
    """When a breaker opens, and how it closes again. The defaults are those of resilience4j."""

    counting: str = parameter("last calls", "counts", choices=COUNTING[1:],
        help="failures in a row, or rates over the last calls or the last seconds")  # fmt: skip
    failures: int = parameter(5, "failures in a row", low=1, high=1000, only_with=("counting", "consecutive failures"),
        help="as many open the breaker")  # fmt: skip
    window: int = parameter(100, "window", low=1, high=MOST_CALLS, scale="log",
        help="calls, or seconds, over which rates are counted")  # fmt: skip
    minimum_calls: int = parameter(100, "minimum calls", low=1, high=MOST_CALLS, scale="log",
        help="results that must be in the window before a rate counts")  # fmt: skip
    failure_rate: float = parameter(0.5, "failure rate", low=0.01, high=1.0,
        help="share of failures that opens the breaker")  # fmt: skip
    slow_rate: float = parameter(1.0, "slow-call rate", low=0.01, high=1.0,
        help="share of slow calls that opens the breaker")  # fmt: skip
    slow_s: float = parameter(60.0, "slow from", unit="s", low=0.001, high=1e6, scale="log",
        help="a call that takes longer is slow")  # fmt: skip
    open_s: float = parameter(60.0, "open", unit="s", low=0.001, high=1e6, scale="log",
        help="how long every call is rejected")  # fmt: skip
    probes: int = parameter(10, "probes", low=1, high=MOST_CALLS, scale="log",
        help="calls that a half-open breaker lets through to judge by")  # fmt: skip

    def check(self) -> None:
        """A window of calls can hold the minimum of calls that must be in it."""
        if self.counting == "last calls" and self.window < self.minimum_calls:
            raise ValueError(
                f"CircuitBreaker.window is {self.window} calls, minimum_calls is {self.minimum_calls}: so many never "
                f"fit into the window, and the breaker would never open; make minimum_calls {self.window} or less"
            )

    def rule(self) -> BreakerRule:
        """The constants for compiled functions."""
        return BreakerRule(
            COUNTING.index(self.counting), self.failures, self.window, self.minimum_calls, self.failure_rate,
            self.slow_rate, self.slow_s, self.open_s, self.probes,
        )  # fmt: skip


def cells_of(rule: BreakerRule) -> int:
    """Cells of the ring that a breaker needs."""
    return max(rule.window, rule.probes) if rule.counting > CONSECUTIVE else 0


@compiled
def turn(rule: BreakerRule, known: BreakerState, ring: Any, state: int, now: float) -> None:
    """Enter a state; all but the open one begin to count afresh."""
    known.state = state
    known.since_s = now
    known.permits = rule.probes
    if state != OPEN:
        known.in_a_row = 0
        known.at = 0
        known.calls = 0
        known.failed = 0
        known.slow = 0
        if rule.counting > CONSECUTIVE:
            for place in range(CELL * known.first, CELL * (known.first + max(rule.window, rule.probes))):
                ring[place] = 0


@compiled
def allows(rule: BreakerRule, known: BreakerState, ring: Any, now: float) -> bool:
    """Whether a call may begin. An open breaker whose time is over turns half-open here; each call that begins then is
    one of its probes, and beyond those it goes on rejecting until all of them have ended."""
    if rule.counting == NONE or known.state == CLOSED:
        return True
    if known.state == OPEN:
        if now < known.since_s + rule.open_s:
            return False
        turn(rule, known, ring, HALF_OPEN, now)
    if known.permits > 0:
        known.permits -= 1
        return True
    return False


@compiled
def give_back(known: BreakerState) -> None:
    """A call that was allowed ends without a result (somebody cancelled it): its probe may be taken again."""
    if known.state == HALF_OPEN:
        known.permits += 1


@compiled
def record(rule: BreakerRule, known: BreakerState, ring: Any, now: float, failed: bool, took_s: float) -> None:
    """The result of a call. One that comes while the breaker is open, of a call that began before, changes nothing."""
    if rule.counting == NONE or known.state == OPEN:
        return
    slow = took_s > rule.slow_s
    if rule.counting == CONSECUTIVE:
        known.in_a_row = known.in_a_row + 1 if failed else 0
        known.calls += 1
        if known.in_a_row >= (1 if known.state == HALF_OPEN else rule.failures):
            turn(rule, known, ring, OPEN, now)
        elif known.state == HALF_OPEN and known.calls >= rule.probes:
            turn(rule, known, ring, CLOSED, now)
        return
    if rule.counting == TIME and known.state == CLOSED:
        if int(now) > known.at:
            forget_seconds(rule, known, ring, int(now))
        cell = CELL * (known.first + known.at % rule.window)
    else:
        cell = CELL * (known.first + known.at)
        clear_cell(known, ring, cell)
        known.at += 1
        if known.at == (rule.probes if known.state == HALF_OPEN else rule.window):
            known.at = 0
    known.calls += 1
    ring[cell] += 1
    if failed:
        known.failed += 1
        ring[cell + 1] += 1
    if slow:
        known.slow += 1
        ring[cell + 2] += 1
    if known.calls >= (rule.probes if known.state == HALF_OPEN else rule.minimum_calls):
        judge(rule, known, ring, now)


@compiled
def judge(rule: BreakerRule, known: BreakerState, ring: Any, now: float) -> None:
    """Open, close or stay, by the rates in the window, which holds enough results."""
    # as a quotient: 7 of 100 is 0.07, and 0.07 · 100 is a little more than 7
    if known.failed / known.calls >= rule.failure_rate or known.slow / known.calls >= rule.slow_rate:
        turn(rule, known, ring, OPEN, now)
    elif known.state == HALF_OPEN:
        turn(rule, known, ring, CLOSED, now)


@compiled
def clear_cell(known: BreakerState, ring: Any, cell: int) -> None:
    """What is in this cell leaves the window."""
    if ring[cell] > 0:
        known.calls -= ring[cell]
        known.failed -= ring[cell + 1]
        known.slow -= ring[cell + 2]
        ring[cell] = 0
        ring[cell + 1] = 0
        ring[cell + 2] = 0


@compiled
def forget_seconds(rule: BreakerRule, known: BreakerState, ring: Any, second: int) -> None:
    """Bring a time window up to ``second``: it holds that one and as many before it as the window has."""
    for gone in range(max(known.at + 1, second - rule.window + 1), second + 1):
        clear_cell(known, ring, CELL * (known.first + gone % rule.window))
    known.at = second


class Breaker:
    """One circuit breaker at work; every method takes the time, in seconds on any clock that does not run backwards."""

    def __init__(self, params: CircuitBreaker) -> None:
        self.params = require.instance("params", params, CircuitBreaker, "a CircuitBreaker")
        self._rule = params.rule()
        self._known = BreakerState()
        self._ring = [0] * (CELL * cells_of(self._rule))

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half-open``; an open one stays so until a call asks after its time."""
        return STATES[self._known.state]

    def allow(self, now: float) -> bool:
        """Whether a call may begin; whoever gets True owes a ``record`` or a ``cancel``."""
        return plain_allows(self._rule, self._known, self._ring, now)

    def record(self, now: float, failed: bool, took_s: float = 0.0) -> None:
        """The result of a call that was allowed, and how long it took."""
        plain_record(self._rule, self._known, self._ring, now, failed, took_s)

    def cancel(self) -> None:
        """A call that was allowed ended without a result."""
        plain_give_back(self._known)


plain_allows, plain_record, plain_give_back = plain(allows), plain(record), plain(give_back)
