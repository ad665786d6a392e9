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
from collections.abc import Mapping
from typing import Any

import h11

from distlib.real.child import Tell, run_child
from distlib.real.http_connection import HOST, Connection, Message, request

LEAD_S = 0.1
"""Time between the order and the first request."""
PATIENCE_S = 30.0
"""How long to wait for answers after the last request has left; what is missing then is lost."""
TELL_EVERY_S = 0.1
TIMING = re.compile(r"queue;dur=([\d.]+), work;dur=([\d.]+)")


class Generator:
    """One run: what to send when, and what came back, in seconds since the begin of the run, None for what never was.
    At most ``connections`` are open; a request that finds none waits its turn."""

    def __init__(self, task: Mapping[str, Any], tell: Tell) -> None:
        self.task, self.tell, self.told_s = task, tell, 0.0
        self.turn = asyncio.Semaphore(task["connections"])
        self.idle: list[Connection] = []
        count, times = len(task["arrival_s"]), {"sent_s": None, "answered_s": None, "queue_s": 0.0, "work_s": 0.0}
        blank: dict[str, Any] = {**times, "status": 0, "answers": 0, "backend": -1}
        self.outcome = {name: [one] * count for name, one in blank.items()}
        self.start_s = asyncio.get_running_loop().time() + LEAD_S

    def now(self) -> float:
        """Seconds since the begin of the run."""
        return asyncio.get_running_loop().time() - self.start_s

    async def run(self) -> None:
        """Send everything on time, wait for the answers, tell how far it is."""
        under_way: set[asyncio.Task[None]] = set()
        for number, arrival in enumerate(self.task["arrival_s"]):
            while (left := arrival - self.now()) > 0:
                await asyncio.sleep(min(left, TELL_EVERY_S))
                self._tell_now_and_then()
            under_way.add(task := asyncio.create_task(self.send(number)))
            task.add_done_callback(under_way.discard)
        last_s = self.now()
        while under_way and self.now() < last_s + PATIENCE_S:
            await asyncio.wait(under_way, timeout=TELL_EVERY_S)
            self._tell_now_and_then()
        for task in under_way:
            task.cancel()

    def _tell_now_and_then(self) -> None:
        if (now := self.now()) >= self.told_s + TELL_EVERY_S:
            self.tell({"done": sum(self.outcome["answers"])})
            self.told_s = now

    async def send(self, number: int) -> None:
        """One request, from its turn to its answer; without an answer the status stays 0."""
        async with self.turn:
            try:
                connection = self.idle.pop() if self.idle else await Connection.open(HOST, self.task["port"])
            except OSError:
                return
            try:
                self.outcome["sent_s"][number] = self.now()
                answer = await connection.ask(self.request(number))
                self.outcome["answered_s"][number] = self.now()
                self.record(number, answer)
            except (OSError, h11.RemoteProtocolError):
                connection.close()
                return
            if connection.usable:
                self.idle.append(connection)
            else:
                connection.close()

    def request(self, number: int) -> Message:
        """What is sent: the work that it brings, and whose it is."""
        work, client = repr(self.task["service_s"][number]), str(self.task["client"][number])
        return request("/", f"{HOST}:{self.task['port']}", ("Service-Time", work), ("Client", client))

    def record(self, number: int, answer: Message) -> None:
        """What the answer says about who served it and how long that took."""
        outcome = self.outcome
        outcome["status"][number] = answer.head.status_code
        outcome["answers"][number] += 1
        outcome["backend"][number] = int(answer.get("backend", "-1"))
        if timing := TIMING.search(answer.get("server-timing")):
            outcome["queue_s"][number], outcome["work_s"][number] = (float(ms) / 1e3 for ms in timing.groups())


async def work(task: dict[str, Any], tell: Tell) -> None:
    """Run the load of ``task`` and tell the outcome."""
    generator = Generator(task, tell)
    await generator.run()
    tell({"outcome": generator.outcome})


if __name__ == "__main__":
    run_child(work)
