"""Calls with policies: the machine, and the adapters around functions and coroutines, on a clock of the test's own."""

import asyncio
import threading

import pytest

from distlib.resilience.around import Caller, GaveUpError, RejectedError
from distlib.resilience.attempts import Over, Policies, Send, Wait
from distlib.resilience.backoff import Backoff
from distlib.resilience.breaker import CircuitBreaker
from distlib.resilience.budget import RetryBudget
from distlib.resilience.hedge import Hedge
from distlib.resilience.limits import RateLimit
from distlib.resilience.retry import Retry
from distlib.resilience.timeout import Timeout

CONSTANT = Backoff("constant", base_s=1.0)


def begin(retry=None, **more):
    return Policies(retry or Retry(attempts=3, backoff=CONSTANT), **more).begin(0.0, lambda: 0.5)


def test_a_call_is_tried_again_after_its_backoff_and_given_up_after_its_attempts():
    call = begin()
    for now, number in ((0.0, 1), (1.5, 2), (3.0, 3)):
        step = call.poll(now)
        assert isinstance(step, Send) and step.attempt.number == number and step.attempt.key == call.key
        call.failed(number, now + 0.5)
        if number < 3:
            assert call.poll(now + 0.5) == Wait(now + 1.5)
    assert call.poll(3.5) == Over("failed, and no attempt is left")


def test_an_answer_ends_the_call():
    call = begin()
    call.poll(0.0)
    call.succeeded(1, 0.2)
    assert call.poll(0.2) == Over("answered")
    call.failed(1, 0.3)  # what is heard later changes nothing
    assert call.poll(0.3) == Over("answered")


def test_a_timeout_ends_an_attempt_and_the_deadline_the_call():
    retry = Retry(attempts=5, deadline_s=4.0, backoff=CONSTANT)
    call = begin(retry, timeout=Timeout(timeout_s=1.0))
    first = call.poll(0.0)
    assert isinstance(first, Send) and first.attempt.left_s(0.25) == 0.75
    assert call.poll(0.5) == Wait(1.0)
    assert call.poll(1.0) == Wait(2.0)
    second = call.poll(2.0)
    assert isinstance(second, Send) and second.attempt.deadline_s == 3.0
    assert call.poll(3.0) == Over("timed out, and no time is left before the deadline")


def test_the_deadline_is_passed_on_when_it_is_nearer_than_the_timeout():
    call = begin(Retry(attempts=1, deadline_s=2.0), timeout=Timeout(timeout_s=5.0))
    step = call.poll(0.5)
    assert isinstance(step, Send) and step.attempt.deadline_s == 2.0
    assert call.poll(2.0) == Over("deadline over")


def test_the_first_answer_of_a_hedged_pair_counts():
    call = begin(Retry(attempts=1), hedge=Hedge("fixed", delay_s=0.1), bulkhead=5)
    call.poll(0.0)
    assert call.poll(0.05) == Wait(0.1)
    step = call.poll(0.1)
    assert isinstance(step, Send) and step.attempt.tried == "hedge" and len(call.live) == 2
    call.failed(1, 0.15)
    assert call.poll(0.15) == Wait(float("inf"))  # the hedge is still out
    call.succeeded(2, 0.2)
    assert call.poll(0.2) == Over("answered") and call.policies.bulkhead.under_way == 0


def test_a_budget_shared_by_calls_stops_retries_of_all():
    policies = Policies(Retry(attempts=4, backoff=Backoff("none"), budget=RetryBudget("Envoy", ratio=0.0, minimum=1)))
    one, other = (policies.begin(0.0, lambda: 0.5) for _ in range(2))
    for call in (one, other):
        call.poll(0.0)
    one.failed(1, 0.1)
    assert isinstance(one.poll(0.1), Send)
    other.failed(1, 0.2)
    assert other.poll(0.2) == Over("failed, and the retry budget is used up")


def test_an_open_breaker_lets_nothing_through_and_a_cancelled_probe_is_given_back():
    breaker = CircuitBreaker(counting="consecutive failures", failures=1, probes=1, open_s=5.0)
    policies = Policies(Retry(attempts=1), breaker=breaker)
    call = policies.begin(0.0, lambda: 0.5)
    call.poll(0.0)
    call.failed(1, 0.0)
    assert policies.begin(1.0, lambda: 0.5).poll(1.0) == Over("breaker open")
    probe = policies.begin(6.0, lambda: 0.5)
    assert isinstance(probe.poll(6.0), Send)
    assert policies.begin(6.0, lambda: 0.5).poll(6.0) == Over("breaker half-open")
    probe.abandon(6.1)
    assert isinstance(policies.begin(6.2, lambda: 0.5).poll(6.2), Send)


def test_a_failure_that_no_retry_helps_against_ends_the_call():
    call = begin()
    call.poll(0.0)
    call.failed(1, 0.1, retryable=False, why="bad request")
    assert call.poll(0.1) == Over("bad request, and not to be retried")


class Clock:
    def __init__(self):
        self.now = 0.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def caller(retry=None, **more):
    clock = Clock()
    return clock, Caller(
        retry or Retry(attempts=3, backoff=CONSTANT), clock=clock, sleep=clock.sleep, random=lambda: 0.5, **more
    )


def fails(times, error=ConnectionError):
    seen = []

    def function(attempt):
        seen.append(attempt)
        if len(seen) <= times:
            raise error(f"number {len(seen)}")
        return f"answer {attempt.number}"

    return seen, function


def test_a_function_is_called_until_it_answers():
    clock, one = caller()
    seen, function = fails(2)
    assert one.call(function) == "answer 3" and clock.slept == [1.0, 1.0]
    assert len({attempt.key for attempt in seen}) == 1


def test_giving_up_names_the_reason_and_keeps_the_last_error():
    _, one = caller()
    with pytest.raises(GaveUpError, match=r"no attempt is left \(after 3 attempts, 2 s\)") as raised:
        one.call(fails(9)[1])
    assert raised.value.attempts == 3 and str(raised.value.__cause__) == "number 3"


def test_an_error_that_is_not_to_be_retried_is_raised_as_it_is():
    clock, one = caller(retry_on=(ConnectionError,))
    with pytest.raises(KeyError):
        one.call(fails(1, KeyError)[1])
    assert clock.slept == []


def test_nothing_sent_is_a_rejection_and_a_fallback_stands_in():
    _, one = caller(rate_limit=RateLimit(rate_per_s=1.0, burst=1.0))
    assert one.call(fails(0)[1]) == "answer 1"
    with pytest.raises(RejectedError, match=r"rate limit \(after 0 attempts"):
        one.call(fails(0)[1])
    one.fallback = lambda: "yesterday's"
    assert one.call(fails(0)[1]) == "yesterday's"


def test_as_a_decorator():
    _, one = caller()

    @one.wrap
    def add(attempt, a, b=0):
        """Add."""
        if attempt.number == 1:
            raise ConnectionError
        return a + b

    assert add(2, b=3) == 5 and add.__doc__ == "Add."


def test_a_thread_that_takes_too_long_is_not_waited_for():
    one, release = Caller(Retry(attempts=2, backoff=Backoff("none")), timeout=Timeout(timeout_s=0.2)), threading.Event()

    def slow_at_first(attempt):
        if attempt.number == 1:
            release.wait(30)
        return attempt.number

    try:
        assert one.call(slow_at_first) == 2
    finally:
        release.set()


def test_a_hedge_in_threads_wins_over_a_slow_first():
    one, release = Caller(hedge=Hedge("fixed", delay_s=0.05), timeout=Timeout(timeout_s=60.0)), threading.Event()

    def slow_at_first(attempt):
        if attempt.number == 1:
            release.wait(30)
        return attempt.tried

    try:
        assert one.call(slow_at_first) == "hedge"
    finally:
        release.set()


def test_coroutines_are_cancelled_and_none_is_left():
    one = Caller(Retry(attempts=2, backoff=Backoff("none")), timeout=Timeout(timeout_s=0.1))
    ended = []

    async def stuck(attempt):
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(attempt.number)

    async def main():
        with pytest.raises(GaveUpError, match="timed out, and no attempt is left"):
            await one.acall(stuck)
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert asyncio.run(main()) == [] and ended == [1, 2]


def test_a_hedged_coroutine_loses_and_is_cancelled():
    one, ended = Caller(hedge=Hedge("fixed", delay_s=0.01)), []

    async def slow_at_first(attempt):
        try:
            await asyncio.sleep(60 if attempt.number == 1 else 0)
            return attempt.tried
        finally:
            ended.append(attempt.number)

    assert asyncio.run(one.acall(slow_at_first)) == "hedge" and sorted(ended) == [1, 2]


def test_a_call_that_is_cancelled_from_outside_leaves_nothing_and_gives_its_place_back():
    one = Caller(bulkhead=1)

    async def stuck(attempt):
        await asyncio.sleep(60)

    async def main():
        task = asyncio.ensure_future(one.acall(stuck))
        await asyncio.sleep(0.01)
        with pytest.raises(RejectedError, match="bulkhead full"):
            await one.acall(stuck)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1 and one.bulkhead.under_way == 0


def test_one_caller_serves_many_threads():
    one = Caller(Retry(attempts=5, backoff=Backoff("none")), bulkhead=64, breaker=CircuitBreaker(failure_rate=1.0))
    answers = []

    def work(k):
        answers.append(one.call(fails(k % 3)[1]))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(answers) == 60 and one.bulkhead.under_way == 0
