"""A foreign program that must not outlive us (nginx knows nothing of its parent): started, watched and, when nobody
wants it any more, ended by its process id by a child of ours."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import h11

from distlib.real.child import Tell, run_child
from distlib.real.http_connection import HOST, Connection, request

READY_S = 10.0
ANSWER_S = 1.0
END_S = 2.0


async def work(task: Mapping[str, Any], tell: Tell) -> None:
    """Run the command of ``task`` and tell its process id once it is ready; when nobody wants it any more, end it and
    remove its directory ``home``."""
    nothing = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*task["command"], stdin=nothing, stdout=nothing)
    try:
        async with asyncio.timeout(READY_S):
            while process.returncode is None and not await _is_ready(task["port"], task["token"]):
                await asyncio.sleep(0.02)
        if process.returncode is not None:
            raise SystemExit(process.returncode or 1)  # its own words are on standard error
        tell({"pid": process.pid})
        await process.wait()
    finally:
        await _end(process)
        shutil.rmtree(task["home"], ignore_errors=True)


async def _is_ready(port: int, token: str) -> bool:
    """Whether what listens there is our program and no other: its configuration makes it repeat the token."""
    try:
        async with asyncio.timeout(ANSWER_S):
            connection = await Connection.open(HOST, port)
            try:
                return token.encode() in (await connection.ask(request(f"/ready/{token}", HOST))).body
            finally:
                connection.close()
    except (OSError, h11.RemoteProtocolError):  # a timeout is an OSError too
        return False


async def _end(process: asyncio.subprocess.Process) -> None:
    for harder in (process.terminate, process.kill):
        with suppress(ProcessLookupError):
            harder()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), END_S)
            return


if __name__ == "__main__":
    run_child(work)
