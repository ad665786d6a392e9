"""The policies around real calls: of functions, and of coroutines.

    caller = Caller(Retry(attempts=3), timeout=Timeout(timeout_s=0.5), breaker=CircuitBreaker())
    answer = caller.call(fetch)                  # fetch(attempt) -> answer, or it raises
    answer = await caller.acall(fetch_async)     # the same with asyncio

The function is given an ``Attempt``: its number, the key that all attempts of the call share, and how long anybody
waits for it. With tied requests (``Hedge(tied=True)``) it calls ``attempt.begins()`` when work begins, and goes on only
if that says True. At work, take a well-kept library instead (``compared``); this one has the same objects as the
simulator.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
import queue
import random
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

from distlib.resilience.attempts import ANSWERED, Attempt, Call, Over, Policies, Random, Send, Step

Answer = TypeVar("Answer")
Tasks = dict["asyncio.Task[Any]", Attempt]


class GaveUpError(Exception):
    """A call has no answer: ``reason`` says why, ``attempts`` how many were made, ``elapsed_s`` how long that took. Its
    cause is what the last attempt raised, if one raised."""

    def __init__(self, reason: str, attempts: int, elapsed_s: float) -> None:
        self.reason, self.attempts, self.elapsed_s = reason, attempts, elapsed_s
        times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        super().__init__(f"{reason} (after {times}, {elapsed_s:.3g} s)")


class RejectedError(GaveUpError):
    """Nothing was sent: a policy of the caller said no."""


class Caller(Policies):
    """Policies with a clock, a source of randomness, and functions to call.

    ``retry_on`` are the exceptions that another attempt may help against; any other one ends the call and is raised
    as it is. ``fallback``, a function without arguments (for ``acall`` a coroutine function, too), stands in when the
    call is given up. ``clock`` and ``random`` may be replaced, and ``sleep`` for calls without timeout and hedge. What
    else it takes is what ``Policies`` takes.
    """

    def __init__(
        self, *args: Any, retry_on: tuple[type[Exception], ...] = (Exception,),
        fallback: Callable[[], Any] | None = None, clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep, random: Random = random.random, **policies: Any,
    ) -> None:  # fmt: skip
        super().__init__(*args, **policies)
        if not (isinstance(retry_on, tuple) and all(_is_exception(one) for one in retry_on)):
            raise TypeError(f"retry_on is {retry_on!r}; it takes a tuple of exceptions such as (ConnectionError,)")
        if not (fallback is None or callable(fallback)):
            raise TypeError(f"fallback is {fallback!r}; it takes a function without arguments, or None")
        self.retry_on, self.fallback = retry_on, fallback
        self._clock, self._sleep, self._random = clock, sleep, random
        self._lock = threading.Lock()

    def wrap(self, function: Callable[..., Answer]) -> Callable[..., Answer]:
        """``function`` behind these policies, as a decorator: its own arguments come after the attempt."""
        if asyncio.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **more: Any) -> Any:
                return await self.acall(lambda attempt: function(attempt, *args, **more))

            return awaited  # type: ignore[return-value]

        @functools.wraps(function)
        def called(*args: Any, **more: Any) -> Answer:
            return self.call(lambda attempt: function(attempt, *args, **more))

        return called

    # --- functions ------------------------------------------------------------------------------------------

    def call(self, function: Callable[[Attempt], Answer]) -> Answer:
        """``function(attempt)`` until it answers or is given up. With a timeout or a hedge every attempt runs in a
        thread of its own; a thread cannot be stopped, so what is given up there goes on unheard: work that is wasted,
        as on a server. Without them it is called directly, and the deadline is looked at between attempts only. Raises
        ``GaveUpError``, or ``RejectedError`` when nothing was sent, unless there is a fallback."""
        if not callable(function) or inspect.iscoroutinefunction(function):
            raise TypeError(f"function is {function!r}; it takes a function of an attempt (acall a coroutine function)")
        call = self._begin()
        run = self._in_turn if self.hedge is None and math.isinf(self.timeout.current_s()) else self._in_threads
        try:
            return run(call, function)
        except GaveUpError:
            if self.fallback is None:
                raise
            return self.fallback()
        finally:
            with self._lock:
                call.abandon()

    def _in_turn(self, call: Call, function: Callable[[Attempt], Answer]) -> Answer:
        last: Exception | None = None
        while not isinstance(step := self._poll(call), Over):
            if not isinstance(step, Send):
                self._sleep(max(0.0, step.until_s - self._clock()))
                continue
            try:
                answer = function(step.attempt)
            except Exception as error:
                last = self._heard(call, step.attempt, error)
            else:
                self._answered(call, step.attempt)
                return answer
        raise self._error(call, step) from last

    def _in_threads(self, call: Call, function: Callable[[Attempt], Answer]) -> Answer:
        ended: queue.SimpleQueue[tuple[Attempt, Any, BaseException | None]] = queue.SimpleQueue()
        last: Exception | None = None

        def begins(number: int) -> bool:
            with self._lock:
                return call.began(number, self._clock())

        def run(attempt: Attempt) -> None:
            try:
                ended.put((attempt, function(attempt), None))
            except BaseException as error:  # SystemExit would end the thread alone, and nobody would hear of it
                ended.put((attempt, None, error))

        while not isinstance(step := self._poll(call), Over):
            if isinstance(step, Send):
                attempt = replace(step.attempt, begins=functools.partial(begins, step.attempt.number))
                threading.Thread(target=run, args=(attempt,), name="attempt", daemon=True).start()
                continue
            left_s = step.until_s - self._clock()
            try:
                attempt, answer, error = ended.get(timeout=None if math.isinf(left_s) else max(0.0, left_s))
            except queue.Empty:
                continue
            if error is not None:
                last = self._heard(call, attempt, error) or last
            elif self._answered(call, attempt):
                return answer
        raise self._error(call, step) from last

    # --- coroutines -----------------------------------------------------------------------------------------

    async def acall(self, function: Callable[[Attempt], Awaitable[Answer]]) -> Answer:
        """The same for a coroutine function. Attempts that are given up are cancelled, and none is left running: the
        call does not end before they have."""
        call = self._begin()
        running: Tasks = {}
        stopped: Tasks = {}
        try:
            return await self._in_tasks(call, function, running, stopped)
        except GaveUpError:
            if self.fallback is None:
                raise
            answer = self.fallback()
            return await answer if inspect.isawaitable(answer) else answer
        finally:
            with self._lock:
                call.abandon()
            _stop_unwanted(call, running, stopped)
            await asyncio.gather(*stopped, return_exceptions=True)

    async def _in_tasks(
        self, call: Call, function: Callable[[Attempt], Awaitable[Answer]], running: Tasks, stopped: Tasks
    ) -> Answer:
        last: Exception | None = None

        def begins(number: int) -> bool:
            with self._lock:
                wanted = call.began(number, self._clock())
            _stop_unwanted(call, running, stopped)
            return wanted

        async def run(attempt: Attempt) -> Answer:
            return await function(attempt)

        while not isinstance(step := self._poll(call), Over):
            if isinstance(step, Send):
                attempt = replace(step.attempt, begins=functools.partial(begins, step.attempt.number))
                running[asyncio.ensure_future(run(attempt))] = attempt
                continue
            _stop_unwanted(call, running, stopped)
            left_s = None if math.isinf(step.until_s) else max(0.0, step.until_s - self._clock())
            if not running:
                await asyncio.sleep(left_s or 0.0)
                continue
            done, _ = await asyncio.wait([*running], timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            for task in [one for one in running if one in done]:  # in the order in which they were sent
                attempt = running.pop(task)
                if (error := task.exception()) is not None:
                    last = self._heard(call, attempt, error) or last
                elif self._answered(call, attempt):
                    return task.result()
        raise self._error(call, step) from last

    # --- what both share ------------------------------------------------------------------------------------

    def _begin(self) -> Call:
        return self.begin(self._clock(), self._random)

    def _poll(self, call: Call) -> Step:
        with self._lock:
            return call.poll(self._clock())

    def _answered(self, call: Call, attempt: Attempt) -> bool:
        """Tell the call that an attempt has been answered; whether that is the call's answer."""
        with self._lock:
            call.succeeded(attempt.number, self._clock())
        return call.reason == ANSWERED

    def _heard(self, call: Call, attempt: Attempt, error: BaseException) -> Exception | None:
        """Tell the call that an attempt raised, and return the exception; None when nobody waited for that attempt any
        more. An exception that no other attempt helps against is raised at once."""
        with self._lock:
            if attempt.number not in call.live:
                return None
            retryable = isinstance(error, self.retry_on)
            call.failed(attempt.number, self._clock(), retryable=retryable, why=type(error).__name__)
        if retryable and isinstance(error, Exception):
            return error
        raise error

    def _error(self, call: Call, step: Over) -> GaveUpError:
        kind = GaveUpError if call.attempts else RejectedError
        return kind(step.reason, call.attempts, self._clock() - call.begun_s)


def _is_exception(one: Any) -> bool:
    return isinstance(one, type) and issubclass(one, Exception)


def _stop_unwanted(call: Call, running: Tasks, stopped: Tasks) -> None:
    """Cancel, once, the tasks of attempts that nobody waits for any more."""
    for task in [one for one, attempt in running.items() if attempt.number not in call.live]:
        stopped[task] = running.pop(task)
        task.cancel()
