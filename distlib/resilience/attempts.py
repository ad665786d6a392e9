"""One call with its attempts, without a clock, a thread or a socket: told what happens, it says what to do next.

    call = Policies(Retry(attempts=3), timeout=Timeout(timeout_s=1.0)).begin(now, random)
    step = call.poll(now)        # Send(attempt): begin it now; Wait(until_s); Over(reason)
    call.succeeded(attempt.number, now)      # or failed(...); an attempt that takes too long is ended by poll itself

``distlib.resilience.around`` drives it around real calls, in threads or with asyncio. The compiled engine in
``distlib.resilience.calls`` follows the same order: deadline, retry and its budget, bulkhead, breaker, rate limit,
throttle, hedge, timeout.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import uuid4

from distlib.core import require
from distlib.resilience.breaker import Breaker, CircuitBreaker
from distlib.resilience.budget import Budget
from distlib.resilience.hedge import Hedge, HedgePolicy
from distlib.resilience.limits import Bulkhead, Limiter, RateLimit
from distlib.resilience.percentile import RecentLatency
from distlib.resilience.retry import ONCE, Retry
from distlib.resilience.throttle import ClientThrottle, Throttle
from distlib.resilience.timeout import Timeout, TimeoutPolicy

FIRST_TRY, RETRY, HEDGE = "first try", "retry", "hedge"
Random = Callable[[], float]


@dataclass(frozen=True)
class Attempt:
    """One attempt, as the function that makes it sees it. ``key`` is the same in all attempts of a call, so that the
    callee can tell a repetition; ``deadline_s`` is when nobody will wait for the answer any more, on the caller's
    clock: the earlier of timeout and deadline, to be passed on."""

    number: int
    tried: str
    key: str
    sent_s: float
    deadline_s: float

    def left_s(self, now: float) -> float:
        """Time left until the deadline, s; infinite without one."""
        return max(0.0, self.deadline_s - now)


@dataclass(frozen=True)
class Send:
    """Begin this attempt now."""

    attempt: Attempt


@dataclass(frozen=True)
class Wait:
    """Nothing to do before ``until_s``, unless an attempt ends."""

    until_s: float


@dataclass(frozen=True)
class Over:
    """The call has ended: ``reason`` is "answered", or why it was given up. Attempts that still run are of no use."""

    reason: str


ANSWERED = "answered"
Step = Send | Wait | Over


class Policies:
    """The policies of one caller for one callee, shared by all of its calls. What is left out does nothing."""

    def __init__(
        self, retry: Retry = ONCE, *, timeout: Timeout | None = None, hedge: Hedge | None = None,
        breaker: CircuitBreaker | None = None, bulkhead: int | None = None, rate_limit: RateLimit | None = None,
        throttle: Throttle | None = None,
    ) -> None:  # fmt: skip
        self.retry = require.instance("retry", retry, Retry, "a Retry, such as Retry(attempts=3)")
        self.latency = RecentLatency()
        self.timeout = TimeoutPolicy(timeout or Timeout("none"), self.latency)
        self.hedge = HedgePolicy(hedge, self.latency) if hedge else None
        self.breaker = Breaker(breaker) if breaker else None
        self.budget = Budget(retry.budget) if retry.budget else None
        self.bulkhead = Bulkhead(bulkhead) if bulkhead is not None else None
        self.limiter = Limiter(rate_limit) if rate_limit else None
        self.throttle = ClientThrottle(throttle) if throttle else None

    def begin(self, now: float, random: Random) -> Call:
        """A new call that begins ``now``; ``random`` gives numbers between 0 and 1."""
        return Call(self, now, random)

    def refusal(self, now: float, random: Random) -> str:
        """Why an attempt may not be sent, or an empty string: then it is counted as sent."""
        if self.bulkhead is not None and not self.bulkhead.enter():
            return "bulkhead full"
        why = ""
        if self.breaker is not None and not self.breaker.allow(now):
            why = f"breaker {self.breaker.state}"
        elif self.limiter is not None and not self.limiter.allow(now):
            why = "rate limit"
        elif self.throttle is not None and not self.throttle.allow(now, random()):
            why = "throttled"
        if why and self.bulkhead is not None:
            self.bulkhead.leave()
        if why in ("rate limit", "throttled") and self.breaker is not None:
            self.breaker.cancel()
        return why

    def ended(self, now: float, took_s: float, *, retried: bool, failed: bool, accepted: bool) -> None:
        """An attempt has ended: with an answer, an error of the callee (``accepted``), or without either."""
        if self.bulkhead is not None:
            self.bulkhead.leave()
        if self.breaker is not None:
            self.breaker.record(now, failed, took_s)
        if self.budget is not None:
            self.budget.end(now, retried, failed)
        if self.throttle is not None and accepted:
            self.throttle.accept(now)
        if not failed:
            self.latency.observe(took_s)

    def cancelled(self, now: float, *, retried: bool) -> None:
        """An attempt is of no use any more."""
        if self.bulkhead is not None:
            self.bulkhead.leave()
        if self.breaker is not None:
            self.breaker.cancel()
        if self.budget is not None:
            self.budget.end(now, retried, False)


@dataclass
class Call:
    """One call under way."""

    policies: Policies
    begun_s: float
    random: Random
    key: str = field(default_factory=lambda: uuid4().hex)
    tries: int = 0  # first attempt and retries
    hedges: int = 0
    live: dict[int, Attempt] = field(default_factory=dict)
    reason: str = ""
    _try_at_s: float = -math.inf
    _hedge_at_s: float = math.inf
    _backoff_s: float = 0.0

    @property
    def deadline_s(self) -> float:
        """When the whole call is given up, on the caller's clock; infinite without a deadline."""
        limit = self.policies.retry.deadline_s
        return math.inf if limit is None else self.begun_s + limit

    @property
    def attempts(self) -> int:
        """Attempts so far, hedges included."""
        return self.tries + self.hedges

    def poll(self, now: float) -> Step:
        """What to do now. Attempts whose time is over are ended here."""
        if not self.reason and now >= self.deadline_s:
            for one in [*self.live.values()]:
                self._end(one, now, failed=True, accepted=False)
            self.reason = "deadline over"
        for one in [*self.live.values()]:
            if now >= one.deadline_s:
                self._failed(one, now, retryable=True, accepted=False, why="timed out")
        if not self.reason and now >= self._try_at_s:
            return self._try(now)
        if not self.reason and now >= self._hedge_at_s and self.live and (step := self._hedge(now)) is not None:
            return step
        if self.reason:
            return Over(self.reason)
        ends = (one.deadline_s for one in self.live.values())
        return Wait(min(self.deadline_s, self._try_at_s, self._hedge_at_s, *ends))

    def succeeded(self, number: int, now: float) -> None:
        """Attempt ``number`` has been answered; all others are of no use."""
        one = self.live.get(number)
        if one is None:  # ended before: timed out, or another was faster
            return
        self._end(one, now, failed=False, accepted=True)
        self.reason = ANSWERED
        self._give_up_others(now)

    def failed(
        self, number: int, now: float, *, retryable: bool = True, accepted: bool = True, why: str = "failed"
    ) -> None:
        """Attempt ``number`` has failed; ``retryable`` says whether another may help, ``accepted`` whether the callee
        took it on (an overloaded one that turns it away did not)."""
        if (one := self.live.get(number)) is not None:
            self._failed(one, now, retryable, accepted, why)

    def _failed(self, one: Attempt, now: float, retryable: bool, accepted: bool, why: str) -> None:
        self._end(one, now, failed=True, accepted=accepted)
        if not retryable:
            self.reason = f"{why}, and not to be retried"
            self._give_up_others(now)
        elif not self.live and self._try_at_s == math.inf:
            self._plan_retry(now, why)

    def _plan_retry(self, now: float, why: str) -> None:
        retry, budget = self.policies.retry, self.policies.budget
        if self.tries >= retry.attempts:
            self.reason = why if retry.attempts == 1 else f"{why}, and no attempt is left"
            return
        wait_s = retry.backoff.delay(self.tries, self._backoff_s, self.random())
        if now + wait_s >= self.deadline_s:
            self.reason = f"{why}, and no time is left before the deadline"
        elif budget is not None and not budget.may_retry(now):
            self.reason = f"{why}, and the retry budget is used up"
        else:
            self._backoff_s, self._try_at_s = wait_s, now + wait_s

    def _try(self, now: float) -> Step:
        self._try_at_s = math.inf
        if why := self.policies.refusal(now, self.random):
            self.reason = why
            return Over(why)
        self.tries += 1
        return self._send(FIRST_TRY if self.tries == 1 else RETRY, now)

    def _hedge(self, now: float) -> Step | None:
        self._hedge_at_s = math.inf
        budget = self.policies.budget
        if (budget is not None and not budget.may_retry(now)) or self.policies.refusal(now, self.random):
            return None
        self.hedges += 1
        return self._send(HEDGE, now)

    def _send(self, tried: str, now: float) -> Send:
        deadline_s = min(self.deadline_s, now + self.policies.timeout.current_s())
        attempt = Attempt(self.attempts, tried, self.key, now, deadline_s)
        self.live[attempt.number] = attempt
        if self.policies.budget is not None:
            self.policies.budget.begin(now, tried != FIRST_TRY)
        hedge = self.policies.hedge
        if hedge is not None and tried != RETRY and self.hedges < hedge.most:
            self._hedge_at_s = now + hedge.after_s()
        return Send(attempt)

    def _end(self, one: Attempt, now: float, *, failed: bool, accepted: bool) -> None:
        del self.live[one.number]
        retried = one.tried != FIRST_TRY
        self.policies.ended(now, now - one.sent_s, retried=retried, failed=failed, accepted=accepted)

    def _give_up_others(self, now: float) -> None:
        for one in self.live.values():
            self.policies.cancelled(now, retried=one.tried != FIRST_TRY)
        self.live.clear()

    def abandon(self, now: float) -> None:
        """Whoever made the call does not want it any more."""
        self.reason = self.reason or "abandoned"
        self._give_up_others(now)
