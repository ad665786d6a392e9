"""A foreign program that must not outlive us: started, watched and ended by a child of ours.

nginx knows nothing of its parent; this process does, and ends nginx by its process id when nobody wants it any more.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from typing import Any

from distlib.real.child import Tell, run_child

HOST = "127.0.0.1"
READY_S = 10.0
END_S = 2.0


async def work(task: Mapping[str, Any], tell: Tell) -> None:
    """Run the command of ``task``, tell its process id once it listens, end it when nobody wants it any more."""
    nothing = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*task["command"], stdin=nothing, stdout=nothing)
    try:
        async with asyncio.timeout(READY_S):
            while process.returncode is None and not await _listens(task["port"]):
                await asyncio.sleep(0.02)
        if process.returncode is not None:
            raise SystemExit(process.returncode or 1)  # its own words are on standard error
        tell({"pid": process.pid})
        await process.wait()
    finally:
        await _end(process)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except ConnectionError:
        return False
    writer.close()
    return True


async def _end(process: asyncio.subprocess.Process) -> None:
    for harder in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is None:
            process.send_signal(harder)
        try:
            await asyncio.wait_for(process.wait(), END_S)
            return
        except TimeoutError:
            continue


if __name__ == "__main__":
    run_child(work)
