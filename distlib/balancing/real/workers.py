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

import h11

from distlib.real.child import Tell, run_child
from distlib.real.http_connection import HOST, LONGEST_HEAD, Message, response, serve

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

    async def answer(self, request: Message) -> Message:
        """Wait for a server and for the work; say in ``Server-Timing`` (ms) how long each took."""
        now = asyncio.get_running_loop().time()
        begin, end = self.take(now, work_of(request))
        await asyncio.sleep(max(0.0, end - asyncio.get_running_loop().time()))
        timing = f"queue;dur={(begin - now) * 1e3:.4f}, work;dur={(end - begin) * 1e3:.4f}"
        return response(200, f"backend {self.number}\n", ("Backend", str(self.number)), ("Server-Timing", timing))


def work_of(request: Message) -> float:
    """Seconds of work in the ``Service-Time`` header, 0 without one; a request with anything else is refused."""
    text = request.get("service-time", "0")
    try:
        work_s = float(text)
    except ValueError:
        work_s = math.nan
    if not 0 <= work_s <= LONGEST_WORK_S:
        why = f"Service-Time is {text[:40]!r}; it takes seconds from 0 to {LONGEST_WORK_S:g}"
        raise h11.RemoteProtocolError(why, error_status_hint=HTTPStatus.BAD_REQUEST)
    return work_s


async def work(task: Mapping[str, Any], tell: Tell) -> None:
    """Start one server a speed in ``task``, tell their ports, serve until nobody wants us any more."""
    ports = []
    for number, speed in enumerate(task["speeds"]):
        answer = Worker(number, speed, task["servers"]).answer
        server = await asyncio.start_server(partial(serve, answer), HOST, 0, limit=LONGEST_HEAD, backlog=1024)
        ports.append(server.sockets[0].getsockname()[1])
    tell({"ports": ports})
    await asyncio.Event().wait()


if __name__ == "__main__":
    run_child(work)
