"""A reverse proxy: HTTP in front, kept-alive connections behind, and between them a load-balancing policy.

The policy is the very object that the simulator runs. It is asked once a request and told every answer; it learns what
a balancer learns, no more: its own requests, the backends' answers, and the clock.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

import h11

from distlib.core import require
from distlib.real.child import Closed
from distlib.real.http_connection import HOST, LONGEST_HEAD, Connection, Message, response, serve
from distlib.sim.service.balancer import Balancer, NoBackendError
from distlib.sim.service.policy import Policy

Result = TypeVar("Result")
IDLE_CONNECTIONS = 32
"""Unused connections kept open to each backend (nginx's ``keepalive``)."""
START_S = 10.0


class ProxyThread(Closed):
    """A proxy in a thread with an event loop of its own, so it also runs where there is one already (Jupyter).

    ``Client: 17`` in a request names the client, for key affinity (modulo ``clients``); without it all are client 0.
    ``port`` 0 takes a free one. It runs in this process and not in another, because a policy may be a class that the
    reader has just written in a notebook. Raises ``ValueError`` for a port that is taken or not allowed.
    """

    name = "own proxy"

    def __init__(self, policy: Policy, ports: Sequence[int], *, seed: int = 0, clients: int = 1, port: int = 0) -> None:
        require.whole("port", port, 0, 65_535)
        _compile(policy, len(ports), clients)
        self.balancer = Balancer(policy, len(ports), seed, clients=clients)
        self.ports, self.clients = ports, clients
        self._idle: list[list[Connection]] = [[] for _ in ports]
        self._handlers: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._started_s = self._loop.time()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        try:
            self.port = self._in_loop(self._listen(port))
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise ValueError(
                    f"port {port} cannot be used ({error.strerror or error}); take another, or 0 for any free one"
                ) from None
            raise

    def _in_loop(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_S)

    async def _listen(self, port: int) -> int:
        self._server = await asyncio.start_server(self._accept, HOST, port, limit=LONGEST_HEAD, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        handler.add_done_callback(self._handlers.discard)
        await serve(self.forward, reader, writer)

    async def forward(self, request: Message) -> Message:
        """Ask the policy, pass the request on, tell the policy the outcome."""
        sent_s = self._now()
        try:
            backend = self.balancer.choose(sent_s, client_of(request) % self.clients)
        except NoBackendError as none:
            return response(HTTPStatus.SERVICE_UNAVAILABLE, f"{none}\n")
        failed = False
        try:
            answer = await self._ask(backend, request.passed_on(("Via", "1.1 distlib")))
            failed = answer.head.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
            return answer.passed_on(("Via", "1.1 distlib"))
        except (OSError, h11.RemoteProtocolError) as broken:
            failed = True
            return response(HTTPStatus.BAD_GATEWAY, f"backend {backend}: {broken}\n")
        finally:  # also when the client's connection is cancelled: the policy must not count it for ever
            now = self._now()
            self.balancer.answer(backend, now - sent_s, now, failed=failed)

    async def _ask(self, backend: int, request: Message) -> Message:
        """Over an idle connection if there is one; anew over a fresh one if the backend had just closed it."""
        idle = self._idle[backend]
        connection = idle.pop() if idle else await Connection.open(HOST, self.ports[backend])
        try:
            try:
                answer = await connection.ask(request)
            except ConnectionError:
                connection.close()
                if not connection.used or request.head.method not in (b"GET", b"HEAD"):
                    raise  # RFC 9110, section 9.2.2: only what may be done twice is sent again
                connection = await Connection.open(HOST, self.ports[backend])
                answer = await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        if connection.usable and len(idle) < IDLE_CONNECTIONS:
            idle.append(connection)
        else:
            connection.close()
        return answer

    def _now(self) -> float:
        return self._loop.time() - self._started_s

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()
        handlers = list(self._handlers)
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        for connection in (one for idle in self._idle for one in idle):
            connection.close()

    def close(self) -> None:
        """Close all connections and end the thread."""
        if self._loop.is_closed():
            return
        try:
            self._in_loop(self._stop())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(START_S)
            self._loop.close()


def client_of(request: Message) -> int:
    """The number in the ``Client`` header, 0 without one."""
    text = request.get("client", "0")
    if not (text.isascii() and text.isdigit()):
        why = f"Client is {text[:40]!r}; it takes a whole number"
        raise h11.RemoteProtocolError(why, error_status_hint=HTTPStatus.BAD_REQUEST)
    return int(text)


def _compile(policy: Policy, backends: int, clients: int) -> None:
    """Make a few choices in vain, so that no request waits for the compiler."""
    trial = Balancer(policy, backends, clients=clients)
    for now in range(2 * backends):
        trial.answer(trial.choose(float(now)), 0.0, float(now))
