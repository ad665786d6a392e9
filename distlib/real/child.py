"""Child processes that cannot be left behind, and their half of the conversation.

A child is told its task in one line of JSON and answers in lines of JSON. It ends when its standard input does: when
``Child.close`` is called, or when its parent is gone, in whatever way (an exception, a restarted kernel, ``kill -9``).
It lives in a session of its own, so Ctrl-C and the notebook's *Interrupt* reach the parent alone, which then closes it.
"""

from __future__ import annotations

import asyncio
import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

Tell = Callable[[Mapping[str, Any]], None]
PATIENCE_S = 3.0
"""How long a child may take to end by itself before it is ended."""


class ChildError(RuntimeError):
    """A child process ended before its work was done; the message holds the last thing it said."""


class Closed:
    """Something that leaving the ``with`` block closes."""

    def close(self) -> None:
        """End it, and what belongs to it."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Child(Closed):
    """A running ``python -m module``."""

    def __init__(self, module: str, task: Mapping[str, Any]) -> None:
        self.name = module.rpartition(".")[2]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the child)
        search = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH"))))
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._errors}
        command, env = [sys.executable, "-P", "-m", module], {**os.environ, "PYTHONPATH": search}
        self._process = subprocess.Popen(command, env=env, start_new_session=True, **pipes)
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(task).encode() + b"\n")
            self._process.stdin.flush()
        except BaseException as error:
            self.close()
            if isinstance(error, BrokenPipeError):
                raise ChildError(f"{self.name} ended before it began") from None
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def hear(self) -> dict[str, Any]:
        """The next line that the child tells; waits for it. ``ChildError`` if the child has ended instead."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip()[-800:]
            how = f"ended with code {code}" if code >= 0 else f"was killed by signal {-code}"
            raise ChildError(f"{self.name} {how}: {said or 'no word'}")
        told: dict[str, Any] = json.loads(line)
        return told

    def close(self) -> None:
        """End the child and wait until it is gone: politely, then by signal to this one process id."""
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        try:
            with suppress(BrokenPipeError):
                process.stdin.close()
            for harder in (process.terminate, process.kill):
                try:
                    process.wait(PATIENCE_S)
                    break
                except subprocess.TimeoutExpired:
                    harder()
        finally:  # an impatient second Ctrl-C lands here
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stdout.close()
            self._errors.close()


def run_child(work: Callable[[dict[str, Any], Tell], Awaitable[None]]) -> None:
    """The main program of a child: read the task, do ``work(task, tell)`` until it is done or the parent is gone."""
    task = json.loads(sys.stdin.buffer.readline())
    not_wanted_any_more = suppress(asyncio.CancelledError, BrokenPipeError)
    with not_wanted_any_more, asyncio.Runner(loop_factory=precise_loop) as runner:
        runner.run(_while_wanted(work(task, _tell)))


def precise_loop() -> asyncio.AbstractEventLoop:
    """An event loop whose timers are exact to some microseconds. The usual one waits with epoll, in whole milliseconds,
    so a sleep of 4.1 ms lasts 5: too coarse to serve or to send by. ``select`` takes microseconds, and its limit of
    1,024 descriptors is well above what a child opens."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


async def _while_wanted(work: Awaitable[None]) -> None:
    """Do ``work``; give it up, but not its clean-up, when standard input ends or SIGTERM comes."""
    loop, doing = asyncio.get_running_loop(), asyncio.ensure_future(work)

    def watch() -> None:
        while os.read(0, 4096):
            pass
        loop.call_soon_threadsafe(doing.cancel)

    threading.Thread(target=watch, daemon=True).start()
    with suppress(NotImplementedError):  # Windows has no such handlers, nor such signals
        loop.add_signal_handler(signal.SIGTERM, doing.cancel)
    await doing


def _tell(message: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
