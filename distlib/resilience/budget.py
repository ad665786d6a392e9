"""Retry budgets: retries in proportion to what goes well or to what is asked, however much fails.

A limit of attempts bounds what one call does; a budget bounds what all calls of a caller do together, so that a dead
callee meets 1.2 times the load instead of four times.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

from distlib.core.draw import compiled, plain
from distlib.core.parameter import Parameters, parameter
from distlib.core.record import cells

NONE, ENVOY, FINAGLE, GRPC = range(4)
KINDS = ("none", "Envoy", "Finagle", "gRPC")
SLICES = 10
"""Finagle counts deposits in so many slices of its window."""


class BudgetRule(NamedTuple):
    """The constants of a budget."""

    kind: int
    ratio: float
    minimum: float
    window_s: float
    most_tokens: float


@dataclass
class BudgetState:
    """What a budget remembers."""

    active: int = 0  # Envoy: attempts in flight, those of them that are retries, and retries that wait to be sent
    retrying: int = 0
    waiting: int = 0
    tokens: float = 0.0  # gRPC
    slice: int = 0  # Finagle: the slice of time that is written now, counted from 0
    deposits: list[float] = cells(SLICES)  # and what was put in and taken out in each of the last slices
    withdrawals: list[float] = cells(SLICES)


@dataclass(frozen=True)
class RetryBudget(Parameters):
    """Which retries a caller may afford.

    *Envoy* (``RetryBudget`` of a cluster's circuit breakers, by default 20 % and 3): retries in flight or in their
    backoff are at most ``ratio`` of the attempts in flight, though ``minimum`` of them always may be. *Finagle*
    (``RetryBudget``, by default 20 %, 10 a second and 10 s): in ``window_s``, at most ``ratio`` retries a call, plus
    ``minimum`` a second. *gRPC* (proposal A6, retry throttling): each caller has ``most_tokens``; an attempt that fails
    so that it could be retried costs one, a good one gives ``ratio`` back, one that was cancelled or failed for good
    does neither, and with half of them or fewer nothing is retried.
    """

    kind: str = parameter("Envoy", "budget", choices=KINDS[1:], help="whose rule")
    ratio: float = parameter(0.2, "ratio", low=0.0, high=1.0, help="retries a call; for gRPC tokens a good answer")
    minimum: float = parameter(3.0, "minimum", low=0.0, high=1e6,
        help="Envoy: retries in flight, Finagle: retries a second, that are always allowed")  # fmt: skip
    window_s: float = parameter(10.0, "window", unit="s", low=0.01, high=1000.0, scale="log",
        only_with=("kind", "Finagle"), help="how long a call entitles to retries")  # fmt: skip
    most_tokens: float = parameter(10.0, "tokens", low=0.001, high=1000.0, scale="log", only_with=("kind", "gRPC"),
        help="tokens at the start, and the most there can be")  # fmt: skip

    def check(self) -> None:
        if self.kind == "gRPC" and self.ratio == 0.0:
            raise ValueError("RetryBudget.ratio is 0; gRPC takes a ratio above 0, or no token ever comes back")

    def rule(self) -> BudgetRule:
        """The constants for compiled functions."""
        return BudgetRule(KINDS.index(self.kind), self.ratio, self.minimum, self.window_s, self.most_tokens)


def unused(rule: BudgetRule) -> BudgetState:
    """A budget before the first call."""
    return BudgetState(tokens=rule.most_tokens)


@compiled
def begins(rule: BudgetRule, known: BudgetState, now: float, is_retry: bool) -> None:
    """An attempt begins; a first one entitles to retries."""
    known.active += 1
    known.retrying += is_retry
    if rule.kind == FINAGLE and not is_retry:
        forget_slices(rule, known, now)
        known.deposits[known.slice % SLICES] += 1.0


@compiled
def may_retry(rule: BudgetRule, known: BudgetState, now: float) -> bool:
    """Whether a retry (or a hedge) may follow; one that is allowed is paid for."""
    if rule.kind == ENVOY:
        limit = max(rule.minimum, math.floor(rule.ratio * known.active + 1e-9))
        return known.retrying + known.waiting < limit
    if rule.kind == GRPC:
        return known.tokens > 0.5 * rule.most_tokens
    if rule.kind == FINAGLE:
        forget_slices(rule, known, now)
        balance = rule.minimum * rule.window_s
        for k in range(SLICES):
            balance += rule.ratio * known.deposits[k] - known.withdrawals[k]
        if balance < 1.0 - 1e-9:
            return False
        known.withdrawals[known.slice % SLICES] += 1.0
    return True


@compiled
def waits(known: BudgetState) -> None:
    """A retry that may follow waits for its backoff; Envoy counts it from now on."""
    known.waiting += 1


@compiled
def waited(known: BudgetState) -> None:
    """The retry that waited begins now, or never will."""
    known.waiting -= 1


@compiled
def leaves(known: BudgetState, is_retry: bool) -> None:
    """An attempt has ended in a way that says nothing of the callee: it was cancelled, or asked for what cannot be."""
    known.active -= 1
    known.retrying -= is_retry


@compiled
def ends(rule: BudgetRule, known: BudgetState, now: float, is_retry: bool, failed: bool) -> None:
    """An attempt has ended with an answer, or so that it could be retried."""
    leaves(known, is_retry)
    if failed:
        known.tokens = max(0.0, known.tokens - 1.0)
    else:
        known.tokens = min(rule.most_tokens, known.tokens + rule.ratio)


@compiled
def forget_slices(rule: BudgetRule, known: BudgetState, now: float) -> None:
    """Bring Finagle's window up to ``now``: what is older no longer counts."""
    newest = int(now / rule.window_s * SLICES)
    for gone in range(max(known.slice + 1, newest - SLICES + 1), newest + 1):
        known.deposits[gone % SLICES] = 0.0
        known.withdrawals[gone % SLICES] = 0.0
    known.slice = max(known.slice, newest)


class Budget:
    """A retry budget at work, shared by all calls of one caller; ``now`` is in seconds on any clock."""

    def __init__(self, params: RetryBudget) -> None:
        self._rule = params.rule()
        self._known = unused(self._rule)

    def begin(self, now: float, is_retry: bool) -> None:
        """An attempt begins."""
        plain_begins(self._rule, self._known, now, is_retry)

    def may_retry(self, now: float) -> bool:
        """Whether a retry may follow; whoever gets True must begin one."""
        return bool(plain_may_retry(self._rule, self._known, now))

    def wait(self) -> None:
        """The retry that may follow waits for its backoff first."""
        plain_waits(self._known)

    def waited(self) -> None:
        """A retry that waited begins now, or never will."""
        plain_waited(self._known)

    def end(self, now: float, is_retry: bool, failed: bool) -> None:
        """An attempt has ended with an answer, or so that it could be retried."""
        plain_ends(self._rule, self._known, now, is_retry, failed)

    def leave(self, is_retry: bool) -> None:
        """An attempt was cancelled, or failed for a reason that no retry helps against."""
        plain_leaves(self._known, is_retry)


plain_begins, plain_may_retry, plain_ends = plain(begins), plain(may_retry), plain(ends)
plain_waits, plain_waited, plain_leaves = plain(waits), plain(waited), plain(leaves)
