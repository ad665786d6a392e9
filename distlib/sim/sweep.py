"""Sweeps: one function over many arguments, on any executor, with progress, in order, and stoppable."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from multiprocessing import get_context
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

Argument = TypeVar("Argument")
Result = TypeVar("Result")

ProgressCallback = Callable[[int, int], Any]
"""Called with (done, total), now and then with the same numbers again; may raise to stop the sweep."""

WAIT_S = 0.25
"""How soon, in seconds, a sweep hears that it shall stop, however long its groups take."""


def sweep(
    function: Callable[[Argument], Result],
    arguments: Sequence[Argument],
    *,
    executor: Executor | None = None,
    batch: int | None = None,
    progress: ProgressCallback | None = None,
) -> list[Result]:
    """``[function(argument) for argument in arguments]``, computed by ``executor``, results in order.

    ``executor`` is anything with ``submit`` that returns futures with ``add_done_callback``: a
    ``concurrent.futures`` pool, Dask's ``client.get_executor()``, ipyparallel's ``client.executor()``.
    Without one, a pool of processes, one a core, lives as long as the call (``function`` must then be
    importable). Arguments travel in groups of ``batch``. An exception of ``function``, or one that
    ``progress`` raises to stop, cancels what has not begun and is raised here.
    """
    if executor is None:
        pool = ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("forkserver"))
        try:
            found = sweep(function, arguments, executor=pool, batch=batch, progress=progress)
        except BaseException:  # whoever stops it shall not wait for the groups that have begun
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        pool.shutdown()
        return found
    total = len(arguments)
    size = batch or max(1, total // 200)
    groups = [arguments[start : start + size] for start in range(0, total, size)]
    finished: SimpleQueue[Future[list[Result]]] = SimpleQueue()
    futures = []
    try:
        for group in groups:
            future = executor.submit(_all_of, function, group)
            future.add_done_callback(finished.put)
            futures.append(future)
        done = 0
        for _ in futures:
            done += len(_next(finished, progress, done, total).result())
            if progress is not None:
                progress(done, total)
    except BaseException:
        for future in futures:
            future.cancel()
        raise
    return [result for future in futures for result in future.result()]


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
