"""HTTP/1.1 over asyncio's streams: h11 knows the protocol, this module moves the bytes of whole messages (a body with a
length, in chunks, or up to the end of the connection) on kept-alive connections. ``h11.RemoteProtocolError`` stands for
bytes that are no HTTP message and for a message that is refused; its ``error_status_hint`` is the status that fits."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

import h11

HOST = "127.0.0.1"
"""Where every server of the course listens: no other machine can reach it."""
LONGEST_HEAD = 65_536
LONGEST_BODY = 1 << 20
HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)
"""Headers that concern one connection only, so a proxy does not pass them on (RFC 9110, section 7.6.1)."""


@dataclass(frozen=True, slots=True)
class Message:
    """A request or a response: first line and headers, and the body."""

    head: Any  # h11.Request or h11.Response
    body: bytes = field(default=b"", repr=False)

    def get(self, name: str, default: str = "") -> str:
        """The first header of this (lower-case) name."""
        return next((value.decode("latin-1") for key, value in self.head.headers if key == name.encode()), default)

    def passed_on(self, *more: tuple[str, str]) -> Message:
        """The message as a proxy sends it on, with ``more`` headers."""
        dropped = HOP_BY_HOP | {one.strip().lower() for one in self.get("connection").split(",")}
        kept = [(name, value) for name, value in self.head.headers.raw_items() if name.lower().decode() not in dropped]
        if self.get("transfer-encoding"):  # we have the whole body by now
            kept.append((b"Content-Length", str(len(self.body)).encode()))
        added = [(name.encode(), value.encode()) for name, value in more]
        return Message(replace(self.head, headers=[*kept, *added]), self.body)


def request(target: str, host: str, *headers: tuple[str, str]) -> Message:
    """A GET request."""
    return Message(h11.Request(method="GET", target=target, headers=[("Host", host), *headers]))


def response(status: int, text: str, *headers: tuple[str, str]) -> Message:
    """A response with a short plain text."""
    body = text.encode()
    own = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
    return Message(h11.Response(status_code=status, reason=HTTPStatus(status).phrase, headers=[*own, *headers]), body)


class Connection:
    """One end of a kept-alive connection: a server receives and sends, a client asks, one request at a time."""

    def __init__(self, role: type[Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.used = False  # carried a request before, so the server may have closed it meanwhile
        self._protocol = h11.Connection(role, max_incomplete_event_size=LONGEST_HEAD)
        self._method = b""
        # Small messages leave at once, instead of waiting up to 40 ms for an acknowledgement (Nagle's algorithm).
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @classmethod
    async def open(cls, host: str, port: int) -> Connection:
        """Connect to a server."""
        return cls(h11.CLIENT, *await asyncio.open_connection(host, port, limit=LONGEST_HEAD))

    @property
    def usable(self) -> bool:
        """Whether the connection may carry another request."""
        return self._protocol.our_state is h11.IDLE

    async def ask(self, message: Message) -> Message:
        """Send a request; wait for the response. ``ConnectionError`` when the server closes instead."""
        await self.send(message)
        answer = await self.receive()
        if answer is None:
            raise ConnectionResetError("the server closed the connection without an answer")
        self.used = True
        return answer

    async def send(self, message: Message) -> None:
        """Send a whole message. A response to HEAD has a length, but no body."""
        if isinstance(message.head, h11.Request):
            self._method = message.head.method
        parts: list[h11.Event] = [message.head]
        if message.body and self._method != b"HEAD":
            parts.append(h11.Data(data=message.body))
        sent = [self._protocol.send(part) or b"" for part in (*parts, h11.EndOfMessage())]
        self.writer.write(b"".join(sent))
        self._finish_exchange()
        await self.writer.drain()

    async def receive(self) -> Message | None:
        """The next whole message, or None when the peer closed the connection in between. Raises
        ``h11.RemoteProtocolError``, and ``ConnectionError`` when the connection ends inside a message."""
        head, body, ended = None, bytearray(), False
        while True:
            try:
                event = self._protocol.next_event()
            except h11.RemoteProtocolError:
                if ended:
                    raise ConnectionResetError("the connection ended inside a body") from None
                raise
            if event is h11.NEED_DATA:
                data = await self.reader.read(LONGEST_HEAD)
                ended = not data
                if ended and head is None:
                    if self._protocol.trailing_data[0]:
                        raise ConnectionResetError("the connection ended inside the head of a message")
                    return None
                self._protocol.receive_data(data)
            elif isinstance(event, (h11.Request, h11.Response)):
                head = event
                self._method = getattr(head, "method", self._method)
                _check_size(int(Message(head).get("content-length", "0")))
            elif isinstance(event, h11.Data):
                body += event.data
                _check_size(len(body))
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                self._finish_exchange()
                return Message(head, bytes(body))

    def _finish_exchange(self) -> None:
        if self._protocol.our_state is self._protocol.their_state is h11.DONE:
            self._protocol.start_next_cycle()

    def close(self) -> None:
        """Close at once."""
        self.writer.transport.abort()


def _check_size(size: int) -> None:
    if size > LONGEST_BODY:
        why = f"the body has {size} bytes or more, the most is {LONGEST_BODY}"
        raise h11.RemoteProtocolError(why, error_status_hint=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)


async def serve(
    answer: Callable[[Message], Awaitable[Message]], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer the requests of one connection, one after the other, until one side ends it."""
    connection = Connection(h11.SERVER, reader, writer)
    try:
        while connection.usable and (asked := await connection.receive()) is not None:
            await connection.send(await answer(asked))
    except h11.RemoteProtocolError as bad:
        with suppress(ConnectionError):
            await connection.send(response(bad.error_status_hint, f"{bad}\n", ("Connection", "close")))
    except (ConnectionError, asyncio.CancelledError):
        pass  # the client went away, or this process ends: either way the connection is done
    finally:
        writer.close()
