"""A server program that is kept running: started again whenever it dies (``kill -9`` is how an experiment kills it),
and ended, with its directory removed, when nobody wants it any more.

The program says that it is ready as PostgreSQL does: a file whose first line is its process id and that has a line
``ready``. Its standard error stays open as long as it or a child of it lives, so end of file says that all are gone.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from distlib.real.child import Child, ChildError, Tell, run_child

READY_S = 30.0
END_S = 3.0
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)
"""Windows knows SIGTERM alone, and it is as merciless there."""


@contextmanager
def new_home(prefix: str) -> Iterator[Path]:
    """A new temporary directory for a program; removed if something fails before a keeper has it."""
    home = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield home
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise


class Kept(Child):
    """A running program, seen from who wants it. ``task``: its ``command``, its directory ``home``, the file ``ready``,
    commands to run ``first``, a line of ``input``, the ``user`` and ``group`` it runs as (None: the same), the signal
    ``end`` that ends it, and ``pause_s``, how long it stays down after its death."""

    def __init__(self, task: Mapping[str, Any]) -> None:
        self.home, self._ready, self._end = Path(task["home"]), Path(task["ready"]), int(task["end"])
        super().__init__("distlib.real.keeper", task)
        try:
            self.program: int = self.hear()["pid"]
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the program and its keeper; where the keeper was killed itself, do what it would have done."""
        try:
            super().close()
        finally:  # an impatient second Ctrl-C kills the keeper
            if self.home.exists():
                for harder in (self._end, KILL):
                    _end(self._ready, harder)
                _remove(self.home)

    def kill(self) -> None:
        """SIGKILL to the program: nothing of it runs any more, not even its clean-up."""
        os.kill(self.program, KILL)

    def wait_until_back(self) -> tuple[float, float]:
        """After its death: when (seconds since the epoch) it was dead, and ready again. Raises ``ChildError`` if it
        would not start."""
        died = self.hear()
        back = self.hear()
        if "died_s" not in died or "pid" not in back:
            raise ChildError(f"the keeper told {died} and {back} where a death and a start were due")
        self.program = back["pid"]
        return died["died_s"], back["ready_s"]


def _end(ready: Path, harder: int) -> None:
    """End the program that its file ``ready`` names, if it still runs: it leads a session of its own."""
    end = time.monotonic() + END_S
    with suppress(OSError, ValueError, IndexError):  # no such file, or no such process any more
        pid = int(ready.read_text().split()[0])
        while os.getsid(pid) == pid and time.monotonic() < end:
            os.kill(pid, harder)
            time.sleep(0.02)


def _remove(home: Path) -> None:
    end = time.monotonic() + END_S
    while home.exists() and time.monotonic() < end:  # another child may write there until it ends, too
        shutil.rmtree(home, ignore_errors=True)


class _Program:
    """One run of the program."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: deque[str] = deque(maxlen=12)
        self.all_gone = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.said.append(line.decode(errors="replace").rstrip())
        await self.process.wait()

    async def is_ready(self, file: Path) -> bool:
        """Wait until it is; False if it ends instead."""
        async with asyncio.timeout(READY_S):
            while not self.all_gone.done():
                with suppress(OSError):
                    first, *lines = file.read_text().split("\n")
                    if first == str(self.process.pid) and "ready" in map(str.strip, lines):
                        return True
                await asyncio.sleep(0.01)
        return False

    async def end(self, first: int) -> None:
        """By its process id, first by the signal that it is used to, and whatever is left of it."""
        for harder in (first, KILL):
            with suppress(ProcessLookupError):
                self.process.send_signal(harder)
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self.all_gone), END_S)
                _reap_orphans()
                return


def _adopt_orphans() -> None:
    """Where the kernel can (Linux), children of a killed program become ours: no zombie of theirs stays."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


def _reap_orphans() -> None:
    end = time.monotonic() + END_S
    with suppress(ChildProcessError, AttributeError):
        while time.monotonic() < end:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.005)


async def _start(command: list[str], task: Mapping[str, Any]) -> _Program:
    pipe = asyncio.subprocess.PIPE
    who = {} if task["user"] is None else {**task["user"], "extra_groups": []}
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=asyncio.subprocess.DEVNULL, stderr=pipe, start_new_session=True,
        cwd=task["home"], **who,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(task["input"].encode() + b"\n")
    return _Program(process)


async def _prepare(task: Mapping[str, Any]) -> None:
    for command in task["first"]:
        program = await _start(command, task)
        try:
            await asyncio.shield(program.all_gone)
        finally:
            await program.end(KILL)
        if program.process.returncode:
            raise SystemExit("\n".join(program.said))


async def work(task: Mapping[str, Any], tell: Tell) -> None:
    """Start the program, tell its process id once it is ready, and do so again whenever it has died."""
    _adopt_orphans()
    try:
        await _prepare(task)
        while True:
            program = await _start(task["command"], task)
            try:
                if not await program.is_ready(Path(task["ready"])):
                    raise SystemExit("\n".join(program.said) or f"it ended with {program.process.returncode}")
                tell({"pid": program.process.pid, "ready_s": time.time()})
                await asyncio.shield(program.all_gone)
                tell({"died_s": time.time()})
            finally:
                await program.end(task["end"])
            await asyncio.sleep(task["pause_s"])
    finally:
        _remove(Path(task["home"]))


if __name__ == "__main__":
    run_child(work)
