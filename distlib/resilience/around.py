"""The policies around real calls: of functions, and of coroutines.

    caller = Caller(Retry(attempts=3), timeout=Timeout(timeout_s=0.5), breaker=CircuitBreaker())
    answer = caller.call(fetch)                  # fetch(attempt) -> answer, or it raises
    answer = await caller.acall(fetch_async)     # the same with asyncio

The function is given an ``Attempt``: its number, the key that all attempts of the call share, and how long anybody
waits for it. At work, take a well-kept library instead (``compared``); this one has the same objects as the simulator.
"""

from __future__ import annotations

import asyncio
import functools
import math
import queue
import random
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from distlib.core import require
from distlib.resilience.attempts import ANSWERED, Attempt, Call, Over, Policies, Random, Send, Step

Answer = TypeVar("Answer")


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
    as it is. ``fallback``, a function without arguments, stands in when the call is given up. ``clock`` and ``random``
    may be replaced, and ``sleep`` for calls without timeout and hedge.
    """

    def __init__(
        self, *args: Any, retry_on: tuple[type[Exception], ...] = (Exception,),
        fallback: Callable[[], Any] | None = None, clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep, random: Random = random.random, **policies: Any,
    ) -> None:  # fmt: skip
        super().__init__(*args, **policies)
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
        as on a server. Raises ``GaveUpError``, or ``RejectedError`` when nothing was sent, unless there is a
        fallback."""
        require.instance("function", function, Callable, "a function of an attempt")  # type: ignore[arg-type]
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
                call.abandon(self._clock())

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
                with self._lock:
                    call.succeeded(step.attempt.number, self._clock())
                if call.reason == ANSWERED:
                    return answer
        raise self._error(call, step) from last

    def _in_threads(self, call: Call, function: Callable[[Attempt], Answer]) -> Answer:
        ended: queue.SimpleQueue[tuple[Attempt, Any, Exception | None]] = queue.SimpleQueue()
        last: Exception | None = None

        def run(attempt: Attempt) -> None:
            try:
                ended.put((attempt, function(attempt), None))
            except Exception as error:
                ended.put((attempt, None, error))

        while not isinstance(step := self._poll(call), Over):
            if isinstance(step, Send):
                threading.Thread(target=run, args=(step.attempt,), name="attempt", daemon=True).start()
                continue
            left_s = step.until_s - self._clock()
            try:
                attempt, answer, error = ended.get(timeout=None if math.isinf(left_s) else max(0.0, left_s))
            except queue.Empty:
                continue
            if error is not None:
                last = self._heard(call, attempt, error)
                continue
            with self._lock:
                call.succeeded(attempt.number, self._clock())
            if call.reason == ANSWERED:
                return answer
        raise self._error(call, step) from last

    # --- coroutines -----------------------------------------------------------------------------------------

    async def acall(self, function: Callable[[Attempt], Awaitable[Answer]]) -> Answer:
        """The same for a coroutine function. Attempts that are given up are cancelled, and none is left running."""
        call = self._begin()
        tasks: dict[asyncio.Task[Answer], Attempt] = {}
        try:
            return await self._in_tasks(call, function, tasks)
        except GaveUpError:
            if self.fallback is None:
                raise
            return self.fallback()
        finally:
            call.abandon(self._clock())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _in_tasks(
        self, call: Call, function: Callable[[Attempt], Awaitable[Answer]], tasks: dict[asyncio.Task[Answer], Attempt]
    ) -> Answer:
        last: Exception | None = None
        while not isinstance(step := self._poll(call), Over):
            if isinstance(step, Send):
                tasks[asyncio.ensure_future(function(step.attempt))] = step.attempt
                continue
            for task, attempt in [*tasks.items()]:
                if attempt.number not in call.live:  # its time is over
                    task.cancel()
                    del tasks[task]
                    with suppress(asyncio.CancelledError, Exception):
                        await task
            left_s = None if math.isinf(step.until_s) else max(0.0, step.until_s - self._clock())
            if not tasks:
                await asyncio.sleep(left_s or 0.0)
                continue
            done, _ = await asyncio.wait(tasks, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                attempt = tasks.pop(task)
                if (error := task.exception()) is None:
                    call.succeeded(attempt.number, self._clock())
                    if call.reason == ANSWERED:
                        return task.result()
                elif isinstance(error, Exception):
                    last = self._heard(call, attempt, error)
                else:
                    raise error
        raise self._error(call, step) from last

    # --- what both share ------------------------------------------------------------------------------------

    def _begin(self) -> Call:
        return self.begin(self._clock(), self._random)

    def _poll(self, call: Call) -> Step:
        with self._lock:
            return call.poll(self._clock())

    def _heard(self, call: Call, attempt: Attempt, error: Exception) -> Exception:
        """Tell the call that an attempt raised; an exception that no other attempt helps against is raised at once."""
        retryable = isinstance(error, self.retry_on)
        with self._lock:
            call.failed(attempt.number, self._clock(), retryable=retryable, why=type(error).__name__)
        if not retryable:
            raise error
        return error

    def _error(self, call: Call, step: Over) -> GaveUpError:
        kind = GaveUpError if call.attempts else RejectedError
        return kind(step.reason, call.attempts, self._clock() - call.begun_s)
