"""A reader's code in a forked process of its own, with limits of time and memory.

Whatever it does (loops without end, takes all memory, calls sys.exit) ends in a sentence and not in a hang; the
notebook's kernel is not touched. It needs an operating system with fork (Linux, macOS).
"""

from __future__ import annotations

import io
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any

from distlib.core.node import Endless

MEMORY_BYTES = 2 * 2**30
"""What the code may take beside what the kernel has already."""

PATIENCE = 4.0
"""How many times as long as it may compute the code may take by the clock: it shares the machine, or waits."""

PRINTED_CHARACTERS = 50_000
"""What the code may print; the rest is dropped, and said to be."""

Tell = Callable[[Any], None]
"""Sends something picklable to the process that waits."""


class SandboxError(Exception):
    """The code gave no result; the text says why, in words."""


def run_apart(
    work: Callable[[Tell], Any],
    *,
    seconds: float,
    memory_bytes: int = MEMORY_BYTES,
    heard: Callable[[Any], None] = lambda message: None,
) -> Any:
    """``work(tell)`` in a forked process: its result, which must be picklable. ``heard`` gets what it tells meanwhile;
    what it prints is printed here, up to ``PRINTED_CHARACTERS``. Raises ``SandboxError`` when ``work`` raises, computes
    for more than ``seconds`` (processor time: on a busy machine nobody is called endless), is not back after
    ``PATIENCE`` times that by the clock, or ends the process; ``ValueError`` where processes cannot be forked."""
    if "fork" not in multiprocessing.get_all_start_methods():
        raise ValueError("this needs an operating system with fork (Linux, macOS), to survive what the code does")
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(theirs, work, seconds, memory_bytes), daemon=True)
    process.start()
    theirs.close()
    # Killed by a clock, not by this loop: it may wait for the rest of a message, or be told something without end.
    late = threading.Event()

    def end_it() -> None:
        late.set()
        _kill(process)

    alarm = threading.Timer(PATIENCE * seconds, end_it)
    alarm.start()
    try:
        while True:
            what, content = _received(ours, process, late, seconds)
            if what == "told":
                heard(content)
            elif what == "printed":
                print(content, end="")
            elif what == "failed":
                raise SandboxError(content)
            else:
                return content
    finally:
        alarm.cancel()
        _kill(process)
        process.join()
        ours.close()


def _received(connection: Connection, process: BaseProcess, late: threading.Event, seconds: float) -> tuple[str, Any]:
    """The next message. Raises ``SandboxError`` when there is none, or none that can be read."""
    try:
        while not connection.poll(0.5):
            if late.is_set() or not (process.is_alive() or connection.poll()):
                raise EOFError  # though a process that it has started may hold the other end open
        if not late.is_set():
            message: tuple[str, Any] = connection.recv()
            return message
    except (EOFError, OSError):
        process.join(1.0)
    except Exception as error:  # an object whose class is not the same on both sides
        raise SandboxError(f"its answer cannot be read back: {_described(error)}") from None
    if late.is_set():
        waits = "a loop without end, or does it wait for something?"
        raise SandboxError(f"it did not come back within {PATIENCE * seconds:g} s by the clock: {waits}")
    code = process.exitcode
    if code == -signal.SIGPROF:
        raise SandboxError(f"it did not come back within {seconds:g} s of computing: a loop without end?")
    how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    raise SandboxError(f"the process ended ({how}): does it end the process, or take all memory?")


def _kill(process: BaseProcess) -> None:
    """End it, and what it has started and left behind: it leads a group of its own."""
    assert process.pid is not None
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()  # before it has made its group, there is only itself


def _serve(connection: Connection, work: Callable[[Tell], Any], seconds: float, memory_bytes: int) -> None:
    """In the other process: do the work, and tell what came of it."""
    os.setsid()  # Ctrl-C ends the one who waits, who ends this process and all that it starts
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    printed = sys.stdout = sys.stderr = _Printed(connection)
    limit_memory(memory_bytes)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, seconds)  # the system ends it, whatever it does: it counts processor time
    try:
        try:
            answer = ("result", work(lambda message: connection.send(("told", message))))
        except Endless as error:
            answer = ("failed", str(error))
        except BaseException as error:
            answer = ("failed", _described(error))
        printed.flush()
        try:
            connection.send(answer)
        except OSError:
            raise
        except Exception as error:  # pickle raises whatever the classes of the result raise
            connection.send(("failed", f"its result cannot be handed over: {_described(error)}"))
    finally:
        connection.close()
        os._exit(0)  # whatever the code registered for the end of a process belongs to the kernel


def _described(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # a reader's own exception may fail to say what it is
        return type(error).__name__


class _Printed(io.TextIOBase):
    """Sends what is printed in pieces: each write by itself would cost more than most code between two of them."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.left, self.sent_at = connection, PRINTED_CHARACTERS, 0.0
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        """Keep ``text`` until a fifth of a second has passed; ``PRINTED_CHARACTERS`` in all, and no more."""
        if self.left > 0:
            self.pieces.append(text[: self.left] + ("" if len(text) <= self.left else "\n… and more.\n"))
            self.left -= len(text)
            if monotonic() > self.sent_at + 0.2:
                self.flush()
        return len(text)

    def flush(self) -> None:
        """Send what is kept."""
        if self.pieces:
            self.connection.send(("printed", "".join(self.pieces)))
            self.pieces, self.sent_at = [], monotonic()


def limit_memory(more_bytes: int) -> None:
    """From now on, who takes ``more_bytes`` beside what this process has gets a MemoryError, where the system can."""
    import resource

    try:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used + more_bytes, hard))
    except (OSError, ValueError):  # no /proc (macOS), or a stricter limit already: the time limit remains
        return


def watch_calls(
    seconds: float, is_watched: Callable[[FrameType], bool], said: Callable[[FrameType, FrameType], str]
) -> None:
    """From now on, a call that does not come back within ``seconds`` to twice that is ended by ``Endless``.

    ``is_watched`` says which frames are calls to watch; of those that called each other, the outermost counts.
    ``said(outermost, now)`` are the words for it, where ``now`` is the frame that runs. Works in the main thread of a
    process, by its alarm signal.
    """
    last: list[FrameType | None] = [None]

    def look(_signal: int, frame: FrameType | None) -> None:
        watched = [one for one in frames_of(frame) if is_watched(one)]
        outermost = watched[-1] if watched else None
        if frame is not None and outermost is not None and outermost is last[0]:
            last[0] = None
            raise Endless(said(outermost, frame))
        last[0] = outermost

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)


def frames_of(frame: FrameType | None) -> Iterator[FrameType]:
    """``frame`` and those that called it, the innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back
