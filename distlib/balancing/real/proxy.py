"""A reverse proxy: HTTP in front, kept-alive connections behind, and between them a policy of ``distlib.policies``.

The policy is the very object that the simulator runs. It is asked once a request and told every answer; it learns what
a balancer learns, no more: its own requests, the backends' answers, and the clock.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from http import HTTPStatus

from distlib.real.http_connection import (
    LONGEST_HEAD,
    BadMessageError,
    Connection,
    Message,
    read_message,
    response,
    without_delay,
)
from distlib.sim.service.balancer import Balancer, NoBackendError
from distlib.sim.service.policy import Policy

HOST = "127.0.0.1"
IDLE_CONNECTIONS = 32
"""Unused connections kept open to each backend (nginx's ``keepalive``)."""
START_S = 10.0


class Proxy:
    """The proxy itself, within an event loop.

    ``Client: 17`` in a request names the client, for key affinity (modulo ``clients``); without it all are client 0.
    """

    def __init__(self, balancer: Balancer, ports: Sequence[int], clients: int = 1) -> None:
        self.balancer = balancer
        self.ports = ports
        self.clients = clients
        self._idle: list[list[Connection]] = [[] for _ in ports]
        self._handlers: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._started_s = 0.0

    async def start(self, port: int) -> int:
        """Listen; return the port. ``OSError`` when it is taken."""
        self._started_s = asyncio.get_running_loop().time()
        self._server = await asyncio.start_server(self._accept, HOST, port, limit=LONGEST_HEAD, backlog=1024)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close every socket."""
        if self._server is not None:
            self._server.close()
        handlers = list(self._handlers)
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        for idle in self._idle:
            for connection in idle:
                connection.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.current_task()
        assert handler is not None
        self._handlers.add(handler)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the client went away, or we are to end: either way this connection is done
        finally:
            self._handlers.discard(handler)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        without_delay(writer)
        try:
            while (request := await read_message(reader)) is not None:
                answer = await self.forward(request)
                writer.write(answer.encode())
                await writer.drain()
                if not request.keeps_alive:
                    return
        except BadMessageError as bad:
            writer.write(response(bad.status, f"{bad}\n", ("Connection", "close")).encode())

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
            failed = answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR
            return answer.passed_on(("Via", "1.1 distlib"))
        except (OSError, BadMessageError) as broken:
            failed = True
            return response(HTTPStatus.BAD_GATEWAY, f"backend {backend}: {broken}\n")
        finally:  # also when the client's connection is cancelled: the policy must not count it for ever
            now = self._now()
            self.balancer.answer(backend, now - sent_s, now, failed=failed)

    async def _ask(self, backend: int, request: Message) -> Message:
        """Over an idle connection if there is one; anew over a fresh one if the backend had just closed it."""
        idle = self._idle[backend]
        connection = idle.pop() if idle else await Connection.open(HOST, self.ports[backend])
        safe = request.start.startswith(("GET ", "HEAD "))
        try:
            try:
                answer = await connection.ask(request)
            except ConnectionError:
                connection.close()
                if not (connection.used and safe):  # RFC 9110, section 9.2.2: only what may be done twice
                    raise
                connection = await Connection.open(HOST, self.ports[backend])
                answer = await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        if answer.keeps_alive and len(idle) < IDLE_CONNECTIONS:
            idle.append(connection)
        else:
            connection.close()
        return answer

    def _now(self) -> float:
        return asyncio.get_running_loop().time() - self._started_s


def client_of(request: Message) -> int:
    """The number in the ``Client`` header, 0 without one."""
    text = request.get("client", "0")
    if not (text.isascii() and text.isdigit()):
        raise BadMessageError(HTTPStatus.BAD_REQUEST, f"Client is {text[:40]!r}; it takes a whole number")
    return int(text)


class ProxyThread:
    """A ``Proxy`` in a thread with an event loop of its own, so it also runs where there is one already (Jupyter).

    ``port`` 0 takes a free one. It runs in this process and not in another, because a policy may be a class that the
    reader has just written in a notebook. Raises ``ValueError`` for a port that is taken or not allowed.
    """

    name = "own proxy"

    def __init__(self, policy: Policy, ports: Sequence[int], *, seed: int = 0, clients: int = 1, port: int = 0) -> None:
        if not isinstance(port, int) or not 0 <= port <= 65_535:
            raise ValueError(f"port is {port!r}; it takes a whole number from 0 (any free one) to 65535")
        _compile(policy, len(ports), clients)
        self.proxy = Proxy(Balancer(policy, len(ports), seed, clients=clients), ports, clients)
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()
        try:
            self.port = asyncio.run_coroutine_threadsafe(self.proxy.start(port), self._loop).result(START_S)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise ValueError(
                    f"port {port} cannot be used ({error.strerror or error}); take another, or 0 for any free one"
                ) from None
            raise

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def close(self) -> None:
        """Close all connections and end the thread."""
        if self._loop.is_closed():
            return
        try:
            asyncio.run_coroutine_threadsafe(self.proxy.stop(), self._loop).result(START_S)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(START_S)
            self._loop.close()

    def __enter__(self) -> ProxyThread:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _compile(policy: Policy, backends: int, clients: int) -> None:
    """Make a few choices in vain, so that no request waits for the compiler."""
    trial = Balancer(policy, backends, clients=clients)
    for now in range(2 * backends):
        trial.answer(trial.choose(float(now)), 0.0, float(now))
