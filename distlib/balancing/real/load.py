"""An open-loop load generator: requests leave at their time, whatever became of those before.

A closed-loop tool (ten connections, each sends the next request when the last one is answered) slows down with the
server: while one request stalls, the ones that would have met the stall are never sent, and the percentiles look fine.
That is *coordinated omission* (G. Tene, *How NOT to measure latency*, 2013). Here the arrival times are fixed before
the run, and latency counts from the *intended* time, even when a request had to wait for a connection.

A child process of its own (``python -m distlib.balancing.real.load``), so that nobody else's work delays its clock.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Mapping
from typing import Any

from distlib.real.child import Tell, run_child
from distlib.real.http_connection import BadMessageError, Connection, Message

LEAD_S = 0.1
"""Time between the order and the first request."""
PATIENCE_S = 30.0
"""How long to wait for answers after the last request has left; what is missing then is lost."""
TELL_EVERY_S = 0.1
TIMING = re.compile(r"queue;dur=([\d.]+), work;dur=([\d.]+)")


class Connections:
    """At most ``limit`` connections to one server; a request that finds none waits its turn."""

    def __init__(self, host: str, port: int, limit: int) -> None:
        self.host, self.port, self.limit = host, port, limit
        self.opened = 0
        self.idle: list[Connection] = []
        self.waiting: deque[asyncio.Future[None]] = deque()

    async def take(self) -> Connection:
        """An idle connection, a new one, or the next that comes free. ``OSError`` when the server refuses."""
        while not self.idle and self.opened >= self.limit:
            turn = asyncio.get_running_loop().create_future()
            self.waiting.append(turn)
            await turn
        if self.idle:
            return self.idle.pop()
        self.opened += 1
        try:
            return await Connection.open(self.host, self.port)
        except BaseException:
            self.opened -= 1
            self._wake()
            raise

    def give(self, connection: Connection, *, usable: bool) -> None:
        """Hand a connection back."""
        if usable:
            self.idle.append(connection)
        else:
            connection.close()
            self.opened -= 1
        self._wake()

    def _wake(self) -> None:
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return


class Generator:
    """One run: what to send when, and what came back."""

    def __init__(self, task: Mapping[str, Any]) -> None:
        self.arrival_s: list[float] = task["arrival_s"]
        self.service_s: list[float] = task["service_s"]
        self.client: list[int] = task["client"]
        count = len(self.arrival_s)
        self.connections = Connections(task["host"], task["port"], task["connections"])
        self.sent_s: list[float | None] = [None] * count
        self.answered_s: list[float | None] = [None] * count
        self.status = [0] * count
        self.answers = [0] * count
        self.backend = [-1] * count
        self.queue_s = [0.0] * count
        self.work_s = [0.0] * count
        self.start_s = 0.0

    def now(self) -> float:
        """Seconds since the begin of the run."""
        return asyncio.get_running_loop().time() - self.start_s

    async def run(self, tell: Tell) -> None:
        """Send everything on time, wait for the answers, tell how far it is."""
        loop = asyncio.get_running_loop()
        self.start_s = loop.time() + LEAD_S
        under_way: set[asyncio.Task[None]] = set()
        told_s = 0.0
        for number, arrival in enumerate(self.arrival_s):
            while (left := arrival - self.now()) > 0:
                await asyncio.sleep(min(left, TELL_EVERY_S))
                told_s = self._tell_now_and_then(tell, told_s)
            under_way.add(task := asyncio.create_task(self.send(number)))
            task.add_done_callback(under_way.discard)
        last_s = self.now()
        while under_way and self.now() < last_s + PATIENCE_S:
            await asyncio.wait(under_way, timeout=TELL_EVERY_S)
            told_s = self._tell_now_and_then(tell, told_s)
        for task in under_way:
            task.cancel()

    def _tell_now_and_then(self, tell: Tell, told_s: float) -> float:
        if (now := self.now()) < told_s + TELL_EVERY_S:
            return told_s
        tell({"done": sum(self.answers)})
        return now

    async def send(self, number: int) -> None:
        """One request, from its turn to its answer."""
        request = Message(
            "GET / HTTP/1.1",
            (
                ("Host", f"{self.connections.host}:{self.connections.port}"),
                ("Service-Time", repr(self.service_s[number])),
                ("Client", str(self.client[number])),
            ),
        )
        try:
            connection = await self.connections.take()
        except OSError:
            return
        usable = False
        try:
            self.sent_s[number] = self.now()
            answer = await connection.ask(request)
            self.answered_s[number] = self.now()
            usable = answer.keeps_alive
            self.record(number, answer)
        except (OSError, BadMessageError):
            pass  # status 0 says it
        finally:
            self.connections.give(connection, usable=usable)

    def record(self, number: int, answer: Message) -> None:
        """What the answer says about who served it and how long that took."""
        self.status[number] = answer.status
        self.answers[number] += 1
        self.backend[number] = int(answer.get("backend", "-1"))
        if timing := TIMING.search(answer.get("server-timing")):
            self.queue_s[number], self.work_s[number] = (float(ms) / 1e3 for ms in timing.groups())

    def outcome(self) -> dict[str, Any]:
        """Everything, one entry a request; times in seconds since the begin of the run, None for what never was."""
        names = ("sent_s", "answered_s", "status", "answers", "backend", "queue_s", "work_s")
        return {name: getattr(self, name) for name in names}


async def work(task: dict[str, Any], tell: Tell) -> None:
    """Run the load of ``task`` and tell the outcome."""
    generator = Generator(task)
    await generator.run(tell)
    tell({"outcome": generator.outcome()})


if __name__ == "__main__":
    run_child(work)
