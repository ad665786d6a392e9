"""The client's own throttle: who is rejected much asks less (B. Beyer et al., *Site Reliability Engineering*, 2016,
chapter 21 "Handling Overload", "Client-Side Throttling")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from distlib.core.draw import compiled, plain
from distlib.core.parameter import Parameters, parameter
from distlib.core.record import cells

NONE, ADAPTIVE = range(2)
SLICES = 24


class ThrottleRule(NamedTuple):
    """The constants of a throttle."""

    kind: int
    multiplier: float
    window_s: float


@dataclass
class ThrottleState:
    """What a throttle remembers, the window in slices."""

    slice: int = 0
    requests: float = 0.0
    accepts: float = 0.0
    slice_requests: list[float] = cells(SLICES)
    slice_accepts: list[float] = cells(SLICES)


@dataclass(frozen=True)
class Throttle(Parameters):
    """Reject a request locally with probability max(0, (requests - K · accepts)/(requests + 1)), counted over the last
    ``window_s`` (two minutes in the book). Requests that are rejected here count as requests, too: the more the
    application tries, the more is rejected. An answer counts as accepted, an error of the application included; a
    rejection or no answer at all does not."""

    multiplier: float = parameter(2.0, "K", low=1.0, high=100.0, scale="log",
        help="requests per accepted one that are still let through")  # fmt: skip
    window_s: float = parameter(120.0, "window", unit="s", low=0.1, high=10_000.0, scale="log",
        help="how long a request counts")  # fmt: skip

    def rule(self) -> ThrottleRule:
        """The constants for compiled functions."""
        return ThrottleRule(ADAPTIVE, self.multiplier, self.window_s)


@compiled
def rejection(rule: ThrottleRule, known: ThrottleState) -> float:
    """The probability that the next request is rejected here."""
    requests, accepts = known.requests, known.accepts
    return max(0.0, (requests - rule.multiplier * accepts) / (requests + 1.0))


@compiled
def admits(rule: ThrottleRule, known: ThrottleState, now: float, u: float) -> bool:
    """Whether a request is sent; it is counted in any case. ``u`` is a random number between 0 and 1."""
    if rule.kind == NONE:
        return True
    forget_slices(rule, known, now)
    sent = u >= rejection(rule, known)
    known.requests += 1.0
    known.slice_requests[known.slice % SLICES] += 1.0
    return sent


@compiled
def accepted(rule: ThrottleRule, known: ThrottleState, now: float) -> None:
    """The callee has accepted a request."""
    if rule.kind == NONE:
        return
    forget_slices(rule, known, now)
    known.accepts += 1.0
    known.slice_accepts[known.slice % SLICES] += 1.0


@compiled
def forget_slices(rule: ThrottleRule, known: ThrottleState, now: float) -> None:
    """Bring the window up to ``now``."""
    newest = int(now / rule.window_s * SLICES)
    for gone in range(max(known.slice + 1, newest - SLICES + 1), newest + 1):
        cell = gone % SLICES
        known.requests -= known.slice_requests[cell]
        known.accepts -= known.slice_accepts[cell]
        known.slice_requests[cell] = 0.0
        known.slice_accepts[cell] = 0.0
    known.slice = max(known.slice, newest)


class ClientThrottle:
    """A throttle at work."""

    def __init__(self, params: Throttle) -> None:
        self._rule = params.rule()
        self._known = ThrottleState()

    @property
    def rejection(self) -> float:
        """The probability that the next request is rejected here, as far as is known."""
        return float(plain_rejection(self._rule, self._known))

    def allow(self, now: float, u: float) -> bool:
        """Whether a request is sent; ``u`` is a random number between 0 and 1."""
        return bool(plain_admits(self._rule, self._known, now, u))

    def accept(self, now: float) -> None:
        """The callee has accepted a request."""
        plain_accepted(self._rule, self._known, now)


plain_rejection, plain_admits, plain_accepted = plain(rejection), plain(admits), plain(accepted)
