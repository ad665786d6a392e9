"""Backends: HTTP servers on loopback that take exactly as long as each request says.

A worker serves ``servers`` requests at a time, first come first served; a request brings ``Service-Time`` seconds of
work and keeps a server for that time over the worker's speed. Workers sleep instead of computing, so that many fit on
two cores, and all live in one process: waiting costs nothing, and no worker slows another one down.

A server is free again when its work *should* have ended, not when the process woke up to say so. The delay of a timer
thus falls on one answer and does not pile up in the queue, as it would with one sleep after the other.

Run as ``python -m distlib.balancing.real.workers``.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

from distlib.real.child import Tell, run_child
from distlib.real.http_connection import LONGEST_HEAD, BadMessageError, Message, read_message, response, without_delay

LONGEST_WORK_S = 60.0


class Worker:
    """One backend: a queue before some servers of one speed."""

    def __init__(self, number: int, speed: float, servers: int) -> None:
        self.number, self.speed = number, speed
        self.free_at = [0.0] * servers  # when each server will be free, as a heap

    def take(self, now: float, work_s: float) -> tuple[float, float]:
        """(begin, end) of the service of a request that arrives ``now``: Lindley's recursion, on the wall clock."""
        begin = max(now, self.free_at[0])
        end = begin + work_s / self.speed
        heapq.heapreplace(self.free_at, end)
        return begin, end

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """All requests of one connection, one after the other."""
        without_delay(writer)
        try:
            while (request := await read_message(reader)) is not None:
                writer.write((await self.answer(request)).encode())
                if not request.keeps_alive:
                    break
        except BadMessageError as bad:
            writer.write(response(bad.status, f"{bad}\n", ("Connection", "close")).encode())
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def answer(self, request: Message) -> Message:
        """Wait for a server and for the work; say in ``Server-Timing`` (ms) how long each took."""
        now = asyncio.get_running_loop().time()
        begin, end = self.take(now, work_of(request))
        if (left := end - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(left)
        timing = f"queue;dur={(begin - now) * 1e3:.4f}, work;dur={(end - begin) * 1e3:.4f}"
        return response(
            HTTPStatus.OK, f"backend {self.number}\n", ("Backend", str(self.number)), ("Server-Timing", timing)
        )


def work_of(request: Message) -> float:
    """Seconds of work in the ``Service-Time`` header, 0 without one; ``BadMessageError`` for anything else."""
    text = request.get("service-time", "0")
    try:
        work_s = float(text)
    except ValueError:
        work_s = math.nan
    if not 0 <= work_s <= LONGEST_WORK_S:
        raise BadMessageError(
            HTTPStatus.BAD_REQUEST, f"Service-Time is {text[:40]!r}; it takes seconds from 0 to {LONGEST_WORK_S:g}"
        )
    return work_s


async def work(task: Mapping[str, Any], tell: Tell) -> None:
    """Start one server a speed in ``task``, tell their ports, serve until nobody wants us any more."""
    servers = []
    for number, speed in enumerate(task["speeds"]):
        worker = Worker(number, speed, task["servers"])
        servers.append(
            await asyncio.start_server(partial(_guarded, worker), "127.0.0.1", 0, limit=LONGEST_HEAD, backlog=1024)
        )
    tell({"ports": [server.sockets[0].getsockname()[1] for server in servers]})
    await asyncio.Event().wait()


async def _guarded(worker: Worker, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await worker.serve(reader, writer)
    except asyncio.CancelledError:  # the process ends; nothing to report
        writer.transport.abort()


if __name__ == "__main__":
    run_child(work)
