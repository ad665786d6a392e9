"""Calls with policies: the machine, and the adapters around functions and coroutines, on a clock of the test's own."""

import asyncio
import re
import selectors
import threading

import pytest

from distlib.resilience.around import Caller, GaveUpError, RejectedError
from distlib.resilience.attempts import FIRST_TRY, HEDGE, RETRY, Over, Policies, Send, Wait
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
    probe.abandon()
    assert isinstance(policies.begin(6.2, lambda: 0.5).poll(6.2), Send)


def test_a_failure_that_no_retry_helps_against_ends_the_call():
    call = begin()
    call.poll(0.0)
    call.failed(1, 0.1, retryable=False, why="bad request")
    assert call.poll(0.1) == Over("bad request, and not to be retried")


def test_a_hedge_that_is_due_during_a_backoff_is_not_sent_and_nobody_waits_for_it():
    call = begin(hedge=Hedge("fixed", delay_s=0.1))
    call.poll(0.0)
    call.failed(1, 0.05)
    assert call.poll(0.05) == Wait(0.1) and call.poll(0.1) == Wait(1.05)
    assert call.poll(1.05).attempt.tried == RETRY and call.poll(1.05) == Wait(float("inf"))


def test_an_envoy_budget_counts_the_retries_that_wait():
    retry = Retry(attempts=2, backoff=CONSTANT, budget=RetryBudget("Envoy", ratio=0.2, minimum=3))
    policies = Policies(retry)
    calls = [policies.begin(0.0, lambda: 0.5) for _ in range(50)]
    for call in calls:
        call.poll(0.0)
    for call in calls:
        call.failed(1, 0.1)
    sent = [call for call in calls if isinstance(call.poll(1.1), Send)]
    assert len(sent) == 8  # the ninth found 41 attempts in flight, and a fifth of that waiting
    known = policies.budget._known
    assert (known.active, known.retrying, known.waiting) == (8, 8, 0)
    for call in sent:
        call.succeeded(2, 1.2)
    assert (known.active, known.retrying, known.waiting) == (0, 0, 0)


@pytest.mark.parametrize("ends", ["abandoned", "deadline", "refused"])
def test_a_retry_that_is_never_sent_does_not_burden_the_budget(ends):
    retry = Retry(attempts=2, deadline_s=3.0, backoff=CONSTANT, budget=RetryBudget("Envoy", ratio=0.0, minimum=1))
    limit = RateLimit(rate_per_s=0.001, burst=1.0) if ends == "refused" else None
    policies = Policies(retry, rate_limit=limit)
    call = policies.begin(0.0, lambda: 0.5)
    call.poll(0.0)
    call.failed(1, 0.1)
    assert policies.budget._known.waiting == 1 and not policies.budget.may_retry(0.1)
    if ends == "abandoned":
        call.abandon()
    said = call.poll(3.5 if ends == "deadline" else 1.2)
    assert said == Over({"abandoned": "abandoned", "deadline": "deadline over", "refused": "rate limit"}[ends])
    assert policies.budget._known.waiting == 0 and policies.budget.may_retry(3.5)


def test_a_grpc_budget_is_charged_for_what_could_be_retried_alone():
    policies = Policies(
        Retry(attempts=2, budget=RetryBudget("gRPC", ratio=0.5, most_tokens=10.0)), hedge=Hedge("fixed")
    )

    def tokens_after(*ends):
        policies.budget._known.tokens = 8.0
        call = policies.begin(0.0, lambda: 0.5)
        call.poll(0.0)
        call.poll(0.01)  # the hedge
        for end in ends:
            end(call)
        call.abandon()
        return policies.budget._known.tokens

    assert tokens_after() == 8.0  # both cancelled
    assert tokens_after(lambda call: call.failed(1, 0.1, retryable=False)) == 8.0
    assert tokens_after(lambda call: call.failed(1, 0.1)) == 7.0
    assert tokens_after(lambda call: call.failed(1, 0.1), lambda call: call.succeeded(2, 0.1)) == 7.5


def test_work_on_one_of_a_tied_pair_withdraws_the_other():
    call = begin(Retry(attempts=1), hedge=Hedge("fixed", delay_s=0.1, tied=True), bulkhead=5)
    call.poll(0.0)
    call.poll(0.1)
    assert sorted(call.live) == [1, 2] and call.policies.bulkhead.under_way == 2
    assert call.began(2, 0.2) and sorted(call.live) == [2] and call.policies.bulkhead.under_way == 1
    assert not call.began(1, 0.3) and call.began(2, 0.3)
    call.succeeded(1, 0.4)  # it did not listen
    assert call.poll(0.4) == Wait(float("inf"))
    call.succeeded(2, 0.5)
    assert call.poll(0.5) == Over("answered")


def test_what_is_worked_on_is_not_withdrawn_and_what_is_not_tied_is_not_either():
    tied, free = (begin(hedge=Hedge("fixed", delay_s=0.1, tied=one)) for one in (True, False))
    for call in (tied, free):
        call.poll(0.0)
        assert call.began(1, 0.05)
        call.poll(0.1)
        assert call.began(2, 0.15) and sorted(call.live) == [1, 2]
    other = begin(hedge=Hedge("fixed", delay_s=0.1))
    other.poll(0.0)
    other.poll(0.1)
    assert other.began(2, 0.2) and sorted(other.live) == [1, 2]


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


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"retry": 3}, "retry is 3; it takes a Retry"),
        ({"timeout": 0.5}, "timeout is 0.5; it takes a Timeout or None"),
        ({"hedge": 1}, "hedge is 1; it takes a Hedge or None"),
        ({"breaker": True}, "breaker is True; it takes a CircuitBreaker or None"),
        ({"rate_limit": 10}, "rate_limit is 10; it takes a RateLimit or None"),
        ({"throttle": 2.0}, "throttle is 2.0; it takes a Throttle or None"),
        ({"bulkhead": 2.5}, "most is 2.5"),
        ({"retry_on": ConnectionError}, "it takes a tuple of exceptions"),
        ({"retry_on": [KeyError]}, "it takes a tuple of exceptions"),
        ({"retry_on": (KeyboardInterrupt,)}, "it takes a tuple of exceptions"),
        ({"fallback": "yesterday's"}, "it takes a function without arguments"),
    ],
)
def test_what_is_no_policy_is_refused_when_the_caller_is_made(wrong, said):
    with pytest.raises(TypeError, match=re.escape(said)):
        Caller(**wrong)


def test_a_coroutine_function_is_for_acall():
    async def function(attempt):
        return attempt

    for wrong in (function, 3):
        with pytest.raises(TypeError, match="it takes a function of an attempt"):
            caller()[1].call(wrong)


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
    retry = Retry(attempts=100, backoff=Backoff("none"))  # a busy machine may be late with some of them
    one, release = Caller(retry, timeout=Timeout(timeout_s=0.2)), threading.Event()

    def slow_at_first(attempt):
        if attempt.number == 1:
            release.wait(30)
        return attempt.number

    try:
        assert one.call(slow_at_first) >= 2
    finally:
        release.set()


def test_an_error_of_an_attempt_whose_time_is_over_is_not_heard():
    retry = Retry(attempts=2, backoff=Backoff("none"))
    clock = Clock()
    one = Caller(retry, timeout=Timeout(timeout_s=5.0), clock=clock, retry_on=(ConnectionError,))
    first, second = threading.Event(), threading.Event()
    alone = one._poll

    def poll(call):
        """The first attempt's time is over as soon as it is under way; its error comes before the second's answer."""
        step = alone(call)
        if isinstance(step, Wait) and 1 in call.live:
            clock.now = 6.0
        return step

    def function(attempt):
        if attempt.number == 1:
            first.wait(30)
            second.set()
            raise KeyError("too late")
        first.set()
        second.wait(30)
        return attempt.number

    one._poll = poll
    assert one.call(function) == 2


def test_a_thread_that_wants_to_end_the_program_ends_the_call():
    def function(attempt):
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        Caller(hedge=Hedge("fixed", delay_s=60.0)).call(function)


def test_tied_threads_ask_before_they_work():
    one, waiting = Caller(hedge=Hedge("fixed", delay_s=0.0, tied=True)), threading.Event()
    worked, asked = [], []

    def function(attempt):
        if attempt.tried == FIRST_TRY:
            waiting.wait(30)  # in a queue, until the other one has begun
        asked.append((attempt.number, attempt.begins()))
        if asked[-1][1]:
            worked.append(attempt.number)
        waiting.set()
        return attempt.tried

    assert one.call(function) == HEDGE and worked == [2]


def test_a_backoff_with_a_hedge_costs_no_computing():
    one, polls = Caller(Retry(attempts=2, backoff=Backoff("constant", 0.3)), hedge=Hedge("fixed", delay_s=0.01)), []
    alone = one._poll
    one._poll = lambda call: polls.append(1) or alone(call)
    assert one.call(fails(1)[1]) == "answer 2"
    assert len(polls) < 20


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


# --- coroutines, on a loop whose time is made of its own waits ----------------------------------------------------


class Jump(selectors.DefaultSelector):
    """Does not wait for the time to pass, but lets it."""

    now = 0.0

    def select(self, timeout=None):
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


def run(main):
    """``main(loop)`` to its end; the tasks that it has left."""
    selector = Jump()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now
    loop._clock_resolution = 1e-9
    try:
        answer = loop.run_until_complete(main(loop))
        assert not asyncio.all_tasks(loop)
        return answer
    finally:
        loop.close()


def test_coroutines_are_cancelled_and_none_is_left():
    ended = []

    async def main(loop):
        retry = Retry(attempts=2, backoff=CONSTANT)
        one = Caller(retry, timeout=Timeout(timeout_s=5.0), clock=loop.time)

        async def stuck(attempt):
            try:
                await asyncio.sleep(60)
            finally:
                ended.append((attempt.number, loop.time()))

        with pytest.raises(GaveUpError, match=r"timed out, and no attempt is left \(after 2 attempts, 11 s\)"):
            await one.acall(stuck)

    run(main)
    assert ended == [(1, pytest.approx(5.0)), (2, pytest.approx(11.0))]


def test_a_hedged_coroutine_loses_and_is_cancelled():
    ended = []

    async def main(loop):
        one = Caller(hedge=Hedge("fixed", delay_s=0.25), clock=loop.time)

        async def slow_at_first(attempt):
            try:
                await asyncio.sleep(60 if attempt.number == 1 else 0.5)
                return attempt.tried
            finally:
                ended.append(attempt.number)

        assert await one.acall(slow_at_first) == HEDGE
        return loop.time()

    assert run(main) == pytest.approx(0.75) and sorted(ended) == [1, 2]


def test_work_on_one_of_two_tied_coroutines_cancels_the_other():
    cancelled = []

    async def main(loop):
        one = Caller(hedge=Hedge("fixed", delay_s=0.1, tied=True), clock=loop.time)

        async def function(attempt):
            try:
                await asyncio.sleep(3.0 if attempt.number == 1 else 1.0)  # in a queue
            except asyncio.CancelledError:
                cancelled.append((attempt.number, loop.time()))
                raise
            assert attempt.begins()
            await asyncio.sleep(10)
            return attempt.tried

        assert await one.acall(function) == HEDGE
        return loop.time()

    assert run(main) == pytest.approx(11.1) and cancelled == [(1, pytest.approx(1.1))]


def test_a_retry_does_not_wait_until_a_slow_loser_has_tidied_up():
    seen = []

    async def main(loop):
        retry = Retry(attempts=2, backoff=CONSTANT)
        one = Caller(retry, timeout=Timeout(timeout_s=1.0), clock=loop.time)

        async def function(attempt):
            seen.append((attempt.number, loop.time()))
            if attempt.number == 2:
                await asyncio.sleep(0.25)
                return "answer"
            try:
                return await asyncio.sleep(60)
            finally:
                await asyncio.sleep(7)  # it is cancelled once, and this is not
                seen.append(("tidied up", loop.time()))

        assert await one.acall(function) == "answer"

    run(main)
    assert seen == [(1, 0.0), (2, pytest.approx(2.0)), ("tidied up", pytest.approx(8.0))]


def test_a_call_that_is_cancelled_from_outside_leaves_nothing_and_gives_its_place_back():
    async def main(loop):
        one = Caller(bulkhead=1, clock=loop.time)

        async def stuck(attempt):
            await asyncio.sleep(60)

        task = asyncio.ensure_future(one.acall(stuck))
        await asyncio.sleep(0.01)
        with pytest.raises(RejectedError, match="bulkhead full"):
            await one.acall(stuck)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()} and one.bulkhead.under_way == 0

    run(main)


@pytest.mark.parametrize("at_s", [0.5, 1.0, 1.5, 2.5, 20.0])
def test_a_call_can_be_cancelled_from_outside_at_any_time(at_s):
    """Also while one of its attempts is being cancelled by itself, or in a backoff."""

    async def main(loop):
        retry = Retry(attempts=3, backoff=CONSTANT)
        one = Caller(retry, timeout=Timeout(timeout_s=1.0), bulkhead=3, clock=loop.time)

        async def stubborn(attempt):
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(30)

        task = asyncio.ensure_future(one.acall(stubborn))
        await asyncio.sleep(at_s)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()} and one.bulkhead.under_way == 0

    run(main)


def test_the_deadline_of_a_coroutine_bounds_the_whole_call():
    async def main(loop):
        retry = Retry(attempts=9, deadline_s=2.5, backoff=CONSTANT)
        one = Caller(retry, clock=loop.time)

        async def stuck(attempt):
            await asyncio.sleep(60)

        with pytest.raises(GaveUpError, match=r"deadline over \(after 1 attempt, 2.5 s\)"):
            await one.acall(stuck)

    run(main)


def test_a_coroutine_may_stand_in():
    async def main(loop):
        async def yesterdays():
            await asyncio.sleep(1)
            return "yesterday's"

        async def failing(attempt):
            raise ConnectionError

        one = Caller(fallback=yesterdays, clock=loop.time)
        assert await one.acall(failing) == "yesterday's"
        one.fallback = lambda: "the day before"
        assert await one.acall(failing) == "the day before"

    run(main)


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
