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
from distlib.resilience.backoff import plain_delay
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


def _wanted() -> bool:
    """Whether work on an attempt that is alone is still wanted: yes."""
    return True


@dataclass(frozen=True)
class Attempt:
    """One attempt, as the function that makes it sees it. ``key`` is the same in all attempts of a call, so that the
    callee can tell a repetition; ``deadline_s`` is when nobody will wait for the answer any more, on the caller's
    clock: the earlier of timeout and deadline, to be passed on. Where attempts run side by side, ``begins`` tells the
    caller that work on this one begins, and says whether it is still wanted: it is not when its time is over, when
    another was faster, or when work on the other one of a tied pair has begun."""

    number: int
    tried: str
    key: str
    sent_s: float
    deadline_s: float
    begins: Callable[[], bool] = field(default=_wanted, repr=False, compare=False)

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
        for name, rule, kind in (
            ("timeout", timeout, Timeout), ("hedge", hedge, Hedge), ("breaker", breaker, CircuitBreaker),
            ("rate_limit", rate_limit, RateLimit), ("throttle", throttle, Throttle),
        ):  # fmt: skip
            require.instance(name, rule, (kind, type(None)), f"a {kind.__name__} or None")
        self.backoff_rule = retry.backoff.rule()
        self.latency = RecentLatency()
        self.timeout = TimeoutPolicy(timeout or Timeout("none"), self.latency)
        self.hedge = HedgePolicy(hedge, self.latency) if hedge else None
        self._watches_latency = self.timeout.adaptive or (self.hedge is not None and self.hedge.adaptive)
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

    def ended(
        self, now: float, took_s: float, *, retried: bool, failed: bool, retryable: bool = True, accepted: bool = True
    ) -> None:
        """An attempt has ended: with an answer, an error of the callee (``accepted``), or without either."""
        if self.bulkhead is not None:
            self.bulkhead.leave()
        if self.breaker is not None:
            self.breaker.record(now, failed, took_s)
        if self.budget is not None:
            if failed and not retryable:
                self.budget.leave(retried)
            else:
                self.budget.end(now, retried, failed)
        if self.throttle is not None and accepted:
            self.throttle.accept(now)
        if not failed and self._watches_latency:
            self.latency.observe(took_s)

    def cancelled(self, *, retried: bool) -> None:
        """An attempt is of no use any more."""
        if self.bulkhead is not None:
            self.bulkhead.leave()
        if self.breaker is not None:
            self.breaker.cancel()
        if self.budget is not None:
            self.budget.leave(retried)


@dataclass
class Call:
    """One call under way; ``deadline_s`` is when it is given up, on the caller's clock."""

    policies: Policies
    begun_s: float
    random: Random
    key: str = field(default_factory=lambda: uuid4().hex)
    tries: int = 0  # first attempt and retries
    hedges: int = 0
    live: dict[int, Attempt] = field(default_factory=dict)
    reason: str = ""
    deadline_s: float = math.inf
    _try_at_s: float = -math.inf
    _hedge_at_s: float = math.inf
    _backoff_s: float = 0.0
    _begun: set[int] = field(default_factory=set)  # attempts that are worked on, as far as is known

    def __post_init__(self) -> None:
        if (limit_s := self.policies.retry.deadline_s) is not None:
            self.deadline_s = self.begun_s + limit_s

    @property
    def attempts(self) -> int:
        """Attempts so far, hedges included."""
        return self.tries + self.hedges

    def poll(self, now: float) -> Step:
        """What to do now. Attempts whose time is over are ended here."""
        if not self.reason and now >= self.deadline_s:
            for one in [*self.live.values()]:
                self._end(one, now, failed=True, accepted=False)
            self._finish("deadline over")
        until_s = self.deadline_s
        for one in [*self.live.values()]:
            if now >= one.deadline_s:
                self._failed(one, now, retryable=True, accepted=False, why="timed out")
            else:
                until_s = min(until_s, one.deadline_s)
        if self.reason:
            return Over(self.reason)
        if now >= self._hedge_at_s and not self.live:
            self._hedge_at_s = math.inf  # due during a backoff: there is nothing to hedge
        if now >= self._try_at_s:
            return self._try(now)
        if now >= self._hedge_at_s and (step := self._hedge(now)) is not None:
            return step
        return Wait(min(until_s, self._try_at_s, self._hedge_at_s))

    def began(self, number: int, now: float) -> bool:
        """Work on attempt ``number`` begins; whether it is still wanted. Of tied attempts, those that are not worked on
        yet are withdrawn."""
        if number not in self.live:
            return False
        self._begun.add(number)
        if self.policies.hedge is not None and self.policies.hedge.tied:
            for other in [one for one in self.live.values() if one.number not in self._begun]:
                del self.live[other.number]
                self.policies.cancelled(retried=other.tried != FIRST_TRY)
        return True

    def succeeded(self, number: int, now: float) -> None:
        """Attempt ``number`` has been answered; all others are of no use."""
        one = self.live.get(number)
        if one is None:  # ended before: timed out, or another was faster
            return
        self._end(one, now, failed=False)
        self._finish(ANSWERED)

    def failed(
        self, number: int, now: float, *, retryable: bool = True, accepted: bool = True, why: str = "failed"
    ) -> None:
        """Attempt ``number`` has failed; ``retryable`` says whether another may help, ``accepted`` whether the callee
        took it on (an overloaded one that turns it away did not)."""
        if (one := self.live.get(number)) is not None:
            self._failed(one, now, retryable, accepted, why)

    def _failed(self, one: Attempt, now: float, retryable: bool, accepted: bool, why: str) -> None:
        self._end(one, now, failed=True, retryable=retryable, accepted=accepted)
        if not retryable:
            self._finish(f"{why}, and not to be retried")
        elif not self.live and self._try_at_s == math.inf:
            self._plan_retry(now, why)

    def _plan_retry(self, now: float, why: str) -> None:
        retry, budget = self.policies.retry, self.policies.budget
        if self.tries >= retry.attempts:
            self._finish(why if retry.attempts == 1 else f"{why}, and no attempt is left")
            return
        wait_s = plain_delay(self.policies.backoff_rule, self.tries, self._backoff_s, self.random())
        if now + wait_s >= self.deadline_s:
            self._finish(f"{why}, and no time is left before the deadline")
        elif budget is not None and not budget.may_retry(now):
            self._finish(f"{why}, and the retry budget is used up")
        else:
            self._backoff_s, self._try_at_s = wait_s, now + wait_s
            if budget is not None:
                budget.wait()

    def _try(self, now: float) -> Step:
        self._retry_waits_no_more()
        if why := self.policies.refusal(now, self.random):
            self._finish(why)
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
        number, deadline_s = self.tries + self.hedges, min(self.deadline_s, now + self.policies.timeout.current_s())
        self.live[number] = attempt = Attempt(number, tried, self.key, now, deadline_s)
        if self.policies.budget is not None:
            self.policies.budget.begin(now, tried != FIRST_TRY)
        hedge = self.policies.hedge
        if hedge is not None and tried != RETRY and self.hedges < hedge.most:
            self._hedge_at_s = now + hedge.after_s()
        return Send(attempt)

    def _end(self, one: Attempt, now: float, *, failed: bool, retryable: bool = True, accepted: bool = True) -> None:
        del self.live[one.number]
        self.policies.ended(
            now, now - one.sent_s, retried=one.tried != FIRST_TRY, failed=failed, retryable=retryable, accepted=accepted
        )

    def _finish(self, reason: str) -> None:
        """The call is over: attempts that still run are of no use, and a retry that waits is not sent."""
        self.reason = reason
        self._retry_waits_no_more()
        for one in self.live.values():
            self.policies.cancelled(retried=one.tried != FIRST_TRY)
        self.live.clear()

    def _retry_waits_no_more(self) -> None:
        if self.policies.budget is not None and self.tries and self._try_at_s < math.inf:
            self.policies.budget.waited()
        self._try_at_s = math.inf

    def abandon(self) -> None:
        """Whoever made the call does not want it any more."""
        self._finish(self.reason or "abandoned")
