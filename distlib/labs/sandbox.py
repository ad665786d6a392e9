"""A reader's code in a forked process of its own, with limits of time and memory.

Whatever it does (loops without end, takes all memory, calls sys.exit) ends in a sentence and not in a hang; the
notebook's kernel is not touched. It needs an operating system with fork (Linux, macOS).
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Any

from distlib.core.node import Endless

MEMORY_BYTES = 2 * 2**30
"""What the code may take beside what the kernel has already."""

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
    """``work(tell)`` in a forked process: its result, which must be picklable. ``heard`` gets what it tells meanwhile.
    Raises ``SandboxError`` when ``work`` raises, takes more than ``seconds``, or ends the process; ``ValueError`` where
    processes cannot be forked."""
    if "fork" not in multiprocessing.get_all_start_methods():
        raise ValueError("this needs an operating system with fork (Linux, macOS), to survive what the code does")
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(theirs, work, memory_bytes), daemon=True)
    process.start()
    theirs.close()
    deadline = monotonic() + seconds
    try:
        while ours.poll(max(0.0, deadline - monotonic())):
            kind, content = ours.recv()
            if kind == "told":
                heard(content)
            elif kind == "failed":
                raise SandboxError(content)
            else:
                return content
        raise SandboxError(f"it did not come back within {seconds:g} s: a loop without end?")
    except EOFError:
        process.join(1.0)
        code = process.exitcode
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        raise SandboxError(f"the process ended ({how}): does it end the process, or take all memory?") from None
    finally:
        if process.is_alive():
            process.kill()
        process.join()
        ours.close()


def _serve(connection: Connection, work: Callable[[Tell], Any], memory_bytes: int) -> None:
    """In the other process: do the work, and tell what came of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the one who waits, who ends this process
    limit_memory(memory_bytes)
    try:
        try:
            answer = ("result", work(lambda message: connection.send(("told", message))))
        except Endless as error:
            answer = ("failed", str(error))
        except (Exception, SystemExit) as error:
            answer = ("failed", f"{type(error).__name__}: {error}")
        connection.send(answer)
    finally:
        connection.close()
        os._exit(0)  # whatever the code registered for the end of a process belongs to the kernel


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
