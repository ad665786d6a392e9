"""Sweeps: one function over many arguments, on any executor, with progress, in order, and stoppable."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from distlib.core import stopping

Argument = TypeVar("Argument")
Result = TypeVar("Result")

ProgressCallback = Callable[[int, int], Any]
"""Called with (done, total), now and then with the same numbers again; may raise to stop the sweep."""

WAIT_S = 0.25
"""How soon, in seconds, a sweep hears that it shall stop, however long its groups take."""


@contextmanager
def processes() -> Iterator[ProcessPoolExecutor]:
    """A pool of processes, one a core. An exception in the block ends them at once: whoever stops waits for nothing
    that has begun, and nothing goes on working unseen."""
    pool = ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("forkserver"))
    try:
        yield pool
    except BaseException:
        begun = [*pool._processes.values()]  # Python 3.14 has ``terminate_workers`` for this
        pool.shutdown(wait=False, cancel_futures=True)
        for _ in range(100):  # the pool's thread shall have let go of what is cancelled: told of the end, that raises
            if not pool._cancel_pending_futures:
                break
            time.sleep(0.01)
        for process in begun:
            process.terminate()
        raise
    pool.shutdown()


def sweep(
    function: Callable[[Argument], Result], arguments: Sequence[Argument], *, executor: Executor | None = None,
    batch: int | None = None, progress: ProgressCallback | None = None, found: dict[int, Result] | None = None,
) -> list[Result]:  # fmt: skip
    """``[function(argument) for argument in arguments]``, computed by ``executor``, results in order.

    ``executor`` is anything with ``submit`` that returns futures with ``add_done_callback``: a ``concurrent.futures``
    pool, Dask's ``client.get_executor()``, ipyparallel's ``client.executor()``. Without one, a pool of processes, one a
    core, lives as long as the call (``function`` must then be importable). Arguments travel in groups of ``batch``. An
    exception of ``function``, or one that ``progress`` raises to stop, cancels what has not begun and is raised here;
    what was computed by then stands in ``found``, by position, if it was given.
    """
    if executor is None:
        with processes() as pool:
            return sweep(function, arguments, executor=pool, batch=batch, progress=progress, found=found)
    total = len(arguments)
    known: dict[int, Result] = {} if found is None else found
    size = batch or max(1, total // 200)
    finished: SimpleQueue[Future[list[Result]]] = SimpleQueue()
    futures: dict[Future[list[Result]], int] = {}
    try:
        for start in range(0, total, size):
            future = executor.submit(_all_of, function, arguments[start : start + size])
            futures[future] = start
            future.add_done_callback(finished.put)
        for _ in futures:
            future = _next(finished, progress, len(known), total)
            known.update(enumerate(future.result(), futures[future]))
            if progress is not None:
                progress(len(known), total)
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    return [known[position] for position in range(total)]


def in_threads(
    function: Callable[[Argument], Result], arguments: Sequence[Argument], progress: ProgressCallback | None = None
) -> list[Result]:
    """``sweep`` on threads, one a core: for functions that do not hold the interpreter, as compiled engines do not. It
    asks ``core.stopping``, too, and what is under way then goes on unheard to its end: compiling can't be ended."""

    def ask(done: int, total: int) -> None:
        stopping.check()
        if progress is not None:
            progress(done, total)

    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        return sweep(function, arguments, executor=pool, batch=1, progress=ask)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _next(
    finished: SimpleQueue[Future[list[Result]]], progress: ProgressCallback | None, done: int, total: int
) -> Future[list[Result]]:
    """The next group that is ready. ``progress`` is called while we wait, too: it may want to stop."""
    while True:
        try:
            return finished.get(timeout=WAIT_S)
        except Empty:
            if progress is not None:
                progress(done, total)


def _all_of(function: Callable[[Any], Any], group: Sequence[Any]) -> list[Any]:
    return [function(argument) for argument in group]
