"""Just enough HTTP/1.1 (RFC 9110, RFC 9112) for a proxy on loopback: whole messages, kept-alive connections.

Bodies come with a Content-Length; what this module does not speak (chunked bodies, endless heads) it refuses by name.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from http import HTTPStatus

LONGEST_HEAD = 65_536
LONGEST_BODY = 1 << 20
HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)
"""Headers that concern one connection only, so a proxy does not pass them on (RFC 9110, section 7.6.1)."""


class BadMessageError(ValueError):
    """Bytes that are no HTTP message, or one that is refused; ``status`` is the answer that fits."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


@dataclass(frozen=True, slots=True)
class Message:
    """A request or a response: first line, headers in order, body."""

    start: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=False)

    def get(self, name: str, default: str = "") -> str:
        """The first header of this (lower-case) name."""
        return next((value for key, value in self.headers if key.lower() == name), default)

    @property
    def status(self) -> int:
        """Of a response."""
        return int(self.start.split(" ", 2)[1])

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection may carry another message."""
        wish = self.get("connection").lower()
        old = "HTTP/1.0" in self.start
        return "keep-alive" in wish if old else "close" not in wish

    def passed_on(self, *more: tuple[str, str]) -> Message:
        """The message as a proxy sends it on, with ``more`` headers."""
        named = {one.strip().lower() for one in self.get("connection").split(",")}
        kept = [one for one in self.headers if one[0].lower() not in HOP_BY_HOP | named]
        return Message(self.start, (*kept, *more), self.body)

    def encode(self) -> bytes:
        """The bytes on the wire."""
        lines = [self.start, *(f"{key}: {value}" for key, value in self.headers), "", ""]
        return "\r\n".join(lines).encode("latin-1") + self.body


def response(status: HTTPStatus, text: str, *headers: tuple[str, str]) -> Message:
    """A response with a short plain text."""
    body = text.encode()
    length = ("Content-Length", str(len(body)))
    return Message(
        f"HTTP/1.1 {status.value} {status.phrase}",
        (("Content-Type", "text/plain; charset=utf-8"), length, *headers),
        body,
    )


async def read_message(reader: asyncio.StreamReader, *, answer_to: str = "") -> Message | None:
    """The next message, or None when the peer closed the connection in between.

    ``answer_to`` is the method of the request when a response is read: one to HEAD has no body. Raises
    ``BadMessageError``, and ``ConnectionError`` when the connection ends inside a message.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        why = f"the head is longer than {LONGEST_HEAD} bytes"
        raise BadMessageError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, why) from None
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise ConnectionResetError("the connection ended inside the head of a message") from None
        return None
    start, *lines = head[:-4].decode("latin-1").split("\r\n")
    message = Message(start, tuple(map(_header, lines)))
    _check_start(start, is_response=bool(answer_to))
    length = _body_length(message)
    if not length or answer_to == "HEAD":
        return message
    try:
        return Message(start, message.headers, await reader.readexactly(length))
    except asyncio.IncompleteReadError:
        raise ConnectionResetError("the connection ended inside a body") from None


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name or name != name.strip():
        raise BadMessageError(HTTPStatus.BAD_REQUEST, f"{line[:80]!r} is no header")
    return name, value.strip()


def _check_start(start: str, *, is_response: bool) -> None:
    words = start.split(" ", 2)
    version = words[0] if is_response else words[-1]
    if len(words) < (2 if is_response else 3) or not version.startswith("HTTP/1."):
        raise BadMessageError(HTTPStatus.BAD_REQUEST, f"{start[:80]!r} is no first line of HTTP/1.1")
    if is_response and not (words[1].isdigit() and len(words[1]) == 3):
        raise BadMessageError(HTTPStatus.BAD_REQUEST, f"{words[1][:20]!r} is no status")


def _body_length(message: Message) -> int:
    if message.get("transfer-encoding"):
        raise BadMessageError(HTTPStatus.NOT_IMPLEMENTED, "bodies need a Content-Length here, not chunks")
    lengths = {value for key, value in message.headers if key.lower() == "content-length"}
    if len(lengths) > 1 or not all(one.isascii() and one.isdigit() for one in lengths):
        raise BadMessageError(HTTPStatus.BAD_REQUEST, f"Content-Length is {sorted(lengths)!r}")
    length = int(lengths.pop()) if lengths else 0
    if length > LONGEST_BODY:
        why = f"the body has {length} bytes, the most is {LONGEST_BODY}"
        raise BadMessageError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, why)
    return length


class Connection:
    """Our end of a kept-alive connection to a server: one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.used = False  # carried a request before, so the server may have closed it meanwhile
        without_delay(writer)

    @classmethod
    async def open(cls, host: str, port: int) -> Connection:
        """Connect."""
        return cls(*await asyncio.open_connection(host, port, limit=LONGEST_HEAD))

    async def ask(self, request: Message) -> Message:
        """Send ``request``; wait for the response. ``ConnectionError`` when the server closes instead."""
        self.writer.write(request.encode())
        answer = await read_message(self.reader, answer_to=request.start.split(" ", 1)[0])
        if answer is None:
            raise ConnectionResetError("the server closed the connection without an answer")
        self.used = True
        return answer

    def close(self) -> None:
        """Close at once."""
        self.writer.transport.abort()


def without_delay(writer: asyncio.StreamWriter) -> None:
    """TCP_NODELAY: small messages leave at once, instead of waiting up to 40 ms for an acknowledgement (Nagle)."""
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
