"""Runs in the background: progress, Stop, and of several waiting runs only the last one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any

from distlib.core import stopping


class Stopped(Exception):
    """Raised inside a run by ``Progress`` after Stop was pressed; catch it to return what is done so far."""


class Progress:
    """What a run calls now and then: ``progress(done, total, note)``. It raises ``Stopped`` once the reader has pressed
    Stop; a run that works in batches and wants no exception reads ``stopping``. Calls are cheap: the screen is told at
    most ten times a second."""

    def __init__(self, tell: Callable[[float, float, str], None] = lambda done, total, note: None) -> None:
        self.stopping = False
        self._tell = tell
        self._told_s = 0.0
        self._last = (0.0, 0.0, "")

    def __call__(self, done: float, total: float, note: str = "") -> None:
        """Say that ``done`` of ``total`` is finished; raise ``Stopped`` as ``check`` does."""
        self.check()
        self._last = (done, total, note)
        if done >= total or time.monotonic() - self._told_s >= 0.1:
            self.tell()

    def check(self) -> None:
        """Raise ``Stopped`` if the reader wants no more."""
        if self.stopping:
            raise Stopped

    def tell(self) -> None:
        """Show the latest state on the screen."""
        self._told_s = time.monotonic()
        self._tell(*self._last)

    def stop(self) -> None:
        """Make the next call raise ``Stopped``."""
        self.stopping = True


class Job:
    """One run in a thread of its own, and what became of it: a ``result`` or an ``error`` (``Stopped`` if neither). It
    stops the run ``before`` it and begins when that has ended, unless a later one has taken its place by then.
    ``tell(job, done, total, note)`` hears of its progress. ``published`` is set once somebody has taken what came
    out."""

    def __init__(
        self, work: Callable[[Any, Progress], Any], params: Any, tell: Callable[..., None], before: Job | None = None
    ) -> None:
        self.params = params
        self.progress = Progress(lambda *state: tell(self, *state))
        self.result: Any = None
        self.error: BaseException | None = None
        self.in_background = False
        self.wanted = True
        self.published = threading.Event()
        self._end: Future[None] = Future()
        if before is not None:
            before.progress.stop()
        threading.Thread(target=self._run, args=(work, before and before._end), name="lab", daemon=True).start()

    def _run(self, work: Callable[[Any, Progress], Any], before: Future[None] | None) -> None:
        try:
            if before is not None:
                before.result()
                self.progress.check()
            with stopping.asking(self.progress.check):
                self.result = work(self.params, self.progress)
        except BaseException as error:  # the lab shows it; nothing may be lost in a thread
            self.error = error
        self._end.set_result(None)

    def abandon(self) -> None:
        """Stop it, and let nobody show what comes out."""
        self.wanted = False
        self.progress.stop()

    def hand_to(self, publish: Callable[[Job], None], patience_s: float = 0.0) -> None:
        """Let ``publish`` take the job at its end: in this thread if that comes within ``patience_s``, else in the
        job's, and the progress is told meanwhile."""
        try:
            if wait([self._end], patience_s).not_done:
                self.in_background = True
                self.progress.tell()
        except KeyboardInterrupt:  # the kernel's own stop button
            self.progress.stop()
            raise
        finally:
            self._end.add_done_callback(lambda _end: self._publish(publish))

    def _publish(self, publish: Callable[[Job], None]) -> None:
        try:
            publish(self)
        finally:
            self.published.set()
