"""Runs in the background: progress, Stop, and of several waiting runs only the last one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


class Stopped(Exception):
    """Raised inside a run by ``Progress`` after Stop was pressed; catch it to return what is done so far."""


class Progress:
    """What a run calls now and then: ``progress(done, total, note)``.

    Raises ``Stopped`` once the reader has pressed Stop. A run that works in batches and wants no
    exception reads ``stopping``. Calls are cheap; the screen is told at most ten times a second.
    """

    def __init__(self, tell: Callable[[float, float, str], None] = lambda done, total, note: None) -> None:
        self.stopping = False
        self._tell = tell
        self._told_s = 0.0
        self._last = (0.0, 0.0, "")

    def __call__(self, done: float, total: float, note: str = "") -> None:
        """Say that ``done`` of ``total`` is finished; raise ``Stopped`` if the reader wants no more."""
        if self.stopping:
            raise Stopped
        self._last = (done, total, note)
        if done >= total or time.monotonic() - self._told_s >= 0.1:
            self.tell()

    def tell(self) -> None:
        """Show the latest state on the screen."""
        self._told_s = time.monotonic()
        self._tell(*self._last)

    def stop(self) -> None:
        """Make the next call raise ``Stopped``."""
        self.stopping = True


class Job:
    """One run and what became of it: a ``result`` or an ``error`` (``Stopped`` if it gave nothing back)."""

    def __init__(self, work: Callable[[Any, Progress], Any], params: Any, tell: Callable[..., None]) -> None:
        self.params = params
        self.progress = Progress(lambda *state: tell(self, *state))
        self.result: Any = None
        self.error: BaseException | None = None
        self.seconds = 0.0
        self.finished = threading.Event()
        self.published = threading.Event()
        self.then: Callable[[Job], None] | None = None
        self._work = work
        self._lock = threading.Lock()

    def run(self) -> None:
        """Do the work in this thread; call ``then`` at the end if somebody left it there."""
        started_s = time.monotonic()
        try:
            self.result = self._work(self.params, self.progress)
        except BaseException as error:  # the lab shows it; nothing may end the worker
            self.error = error
        self.seconds = time.monotonic() - started_s
        with self._lock:
            self.finished.set()
            then = self.then
        if then is not None:
            then(self)

    def wait(self, timeout_s: float, then: Callable[[Job], None]) -> bool:
        """Wait for the end; if it takes longer than ``timeout_s``, return False and let ``then`` be called at the
        end."""
        try:
            if self.finished.wait(timeout_s):
                return True
        except KeyboardInterrupt:  # the kernel's own stop button
            self.progress.stop()
            self.then = then
            raise
        with self._lock:
            if self.finished.is_set():
                return True
            self.then = then
        return False

    def drop(self) -> None:
        """End a job that has not begun and never will."""
        self.error = Stopped()
        self.finished.set()
        self.published.set()


class JobRunner:
    """Runs one job at a time in a thread. A new job stops the one before it and takes the place of a waiting one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: Job | None = None
        self._waiting: Job | None = None

    def submit(self, job: Job) -> None:
        """Run ``job`` as soon as the one under way has stopped."""
        with self._lock:
            if self._running is None:
                self._running = job
                threading.Thread(target=self._loop, name="lab", daemon=True).start()
                return
            self._running.progress.stop()
            if self._waiting is not None:
                self._waiting.drop()
            self._waiting = job

    def _loop(self) -> None:
        while self._running is not None:
            self._running.run()
            with self._lock:
                self._running, self._waiting = self._waiting, None
