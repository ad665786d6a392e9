"""Sweeps: results in order on any executor, progress to the end, errors and stops come out."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from distlib.core import stopping
from distlib.sim.sweep import in_threads, sweep


def square(number: int) -> int:
    if number == 13:
        raise ValueError("thirteen")
    return number * number


def where(_number: int) -> int:
    return os.getpid()


class Later(Executor):
    """An executor of somebody else's making: computes in a thread of its own, newest first."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[[], Any]]] = []
        threading.Timer(0.05, self.work).start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: fn(*args, **kwargs)))
        return future

    def work(self) -> None:
        for future, job in reversed(self.waiting):
            future.set_result(job())


@pytest.mark.parametrize("batch", [None, 1, 7, 1000])
def test_results_come_in_order_with_progress_to_the_end(batch: int | None) -> None:
    seen: list[tuple[int, int]] = []
    with ThreadPoolExecutor(4) as pool:
        found = sweep(
            square, range(20, 60), executor=pool, batch=batch, progress=lambda done, total: seen.append((done, total))
        )
    assert found == [number * number for number in range(20, 60)]
    assert seen[-1] == (40, 40) and seen == sorted(seen)


def test_any_executor_will_do() -> None:
    assert sweep(square, range(5), executor=Later(), batch=1) == [0, 1, 4, 9, 16]


def test_without_an_executor_it_uses_processes_and_ends_them() -> None:
    found = set(sweep(where, range(20), batch=1))
    assert os.getpid() not in found
    for process in found:
        with pytest.raises(ProcessLookupError):
            os.kill(process, 0)


def test_nothing_to_do_is_done() -> None:
    assert sweep(square, [], executor=Later()) == []


def test_an_error_comes_out_and_what_has_not_begun_is_cancelled() -> None:
    begun: list[int] = []
    released = Event()

    def slow(number: int) -> int:
        begun.append(number)
        return square(number) if number == 13 or released.wait(60) else 0

    with ThreadPoolExecutor(1) as pool:
        with pytest.raises(ValueError, match="thirteen"):
            sweep(slow, [13, *range(20, 3000)], executor=pool, batch=1)
        released.set()
    assert begun in ([13], [13, 20])


def test_progress_may_stop_the_sweep() -> None:
    def stop(done: int, total: int) -> None:
        if done >= 3:
            raise KeyboardInterrupt

    with ThreadPoolExecutor(1) as pool, pytest.raises(KeyboardInterrupt):
        sweep(square, range(14, 5000), executor=pool, batch=1, progress=stop)


def test_a_sweep_hears_that_it_shall_stop_while_a_group_is_still_at_work() -> None:
    release = Event()

    def stop(done: int, total: int) -> None:
        release.set()
        raise KeyboardInterrupt

    def wait(number: int) -> int:
        assert release.wait(60)
        return number

    with ThreadPoolExecutor(1) as pool, pytest.raises(KeyboardInterrupt):
        sweep(wait, [1], executor=pool, batch=1, progress=stop)


def work_long(folder: Path) -> None:
    (folder / "process").write_text(str(os.getpid()), encoding="utf-8")
    (folder / "begun").touch()
    time.sleep(15)
    (folder / "finished").touch()


def test_who_stops_ends_the_processes_at_work_too(tmp_path: Path) -> None:
    """Before, what had begun went on unseen to its own end: a search of the kill matrix for up to a minute."""

    def stop(_done: int, _total: int) -> None:
        if (tmp_path / "begun").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(work_long, [tmp_path], batch=1, progress=stop)
    process = int((tmp_path / "process").read_text(encoding="utf-8"))
    with pytest.raises(ProcessLookupError):
        while not (tmp_path / "finished").exists():
            os.kill(process, 0)
            time.sleep(0.01)


def test_threads_find_the_same_and_share_this_process() -> None:
    assert in_threads(square, range(12)) == [number * number for number in range(12)]
    assert set(in_threads(where, range(4))) == {os.getpid()}
    with pytest.raises(ValueError, match="thirteen"):
        in_threads(square, range(20))


def test_threads_hear_within_a_second_that_they_shall_stop_and_begin_nothing_more() -> None:
    begun: list[int] = []
    release, deadline = Event(), time.monotonic() + 0.2

    def wait(number: int) -> None:
        begun.append(number)
        release.wait(20)

    def ask() -> None:
        if time.monotonic() > deadline:
            raise InterruptedError

    with stopping.asking(ask), pytest.raises(InterruptedError):
        in_threads(wait, range(50))
    assert time.monotonic() < deadline + 1.0
    at_work = len(begun)
    release.set()
    time.sleep(0.1)
    assert len(begun) == at_work <= (os.cpu_count() or 1)
