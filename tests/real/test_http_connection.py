"""HTTP/1.1 messages: what is read, passed on and refused."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import h11
import pytest

from distlib.real.http_connection import LONGEST_BODY, LONGEST_HEAD, Connection, Message, request, response, serve


def stream(data: bytes) -> tuple[asyncio.StreamReader, Any, bytearray]:
    """A stream that holds ``data`` and then ends, one to write into, and what is written."""
    reader, written = asyncio.StreamReader(limit=LONGEST_HEAD), bytearray()
    reader.feed_data(data)
    reader.feed_eof()
    return reader, MagicMock(write=written.extend, drain=AsyncMock()), written


def served(data: bytes, text: str = "ok\n") -> tuple[list[Message], bytes]:
    """What a server takes out of ``data``, and all that it answers."""
    asked: list[Message] = []

    async def answer(one: Message) -> Message:
        asked.append(one)
        return response(200, text)

    async def run() -> bytearray:
        reader, writer, written = stream(data)
        await serve(answer, reader, writer)
        assert writer.close.called
        return written

    said = bytes(asyncio.run(run()))
    return asked, said


def answered(data: bytes, method: str = "GET") -> tuple[Message, bool]:
    """What a client takes ``data`` for, and whether it would use the connection again."""

    async def run() -> tuple[Message, bool]:
        reader, writer, _ = stream(data)
        connection = Connection(h11.CLIENT, reader, writer)
        ask = Message(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        return await connection.ask(ask), connection.usable

    return asyncio.run(run())


def test_messages_follow_each_other_on_one_connection() -> None:
    first = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    second = b"GET /b HTTP/1.1\r\nHost:  x \r\n\r\n"
    (one, two), said = served(first + second)
    assert (one.head.method, one.head.target, one.body) == (b"POST", b"/a", b"hello")
    assert two.get("host") == "x" and two.get("nothing", "-") == "-"
    assert said.count(b"HTTP/1.1 200 OK") == 2


def test_a_body_in_chunks_is_whole_and_is_passed_on_with_a_length() -> None:
    chunks = b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    (one,), _ = served(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    assert one.body == b"hello world"
    assert (b"content-length", b"11") in list(one.passed_on().head.headers)
    assert not one.passed_on().get("transfer-encoding")


def test_an_answer_may_end_with_the_connection() -> None:
    one, usable = answered(b"HTTP/1.0 200 OK\r\n\r\nhello")
    assert one.body == b"hello" and not usable


def test_a_response_to_head_has_a_length_and_no_body() -> None:
    one, usable = answered(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD")
    assert (one.head.status_code, one.body, usable) == (200, b"", True)
    _, said = served(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"Content-Length: 3" in said and said.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("version", "more", "keeps"), [("1.1", "", True), ("1.1", "Connection: Close\r\n", False), ("1.0", "", False)]
)
def test_connections_are_kept_as_the_version_says(version: str, more: str, keeps: bool) -> None:
    asked, _ = served(f"GET / HTTP/{version}\r\nHost: x\r\n{more}\r\n".encode() * 2)
    assert len(asked) == (2 if keeps else 1)
    _, usable = answered(f"HTTP/{version} 200 OK\r\nContent-Length: 0\r\n{more}\r\n".encode())
    assert usable is keeps


def test_a_proxy_passes_on_what_is_meant_for_the_end() -> None:
    """RFC 9110, section 7.6.1: neither hop-by-hop headers nor those that ``Connection`` names."""
    message = request("/", "x", ("Connection", "Keep-Alive, Secret"), ("Secret", "1"), ("TE", "gzip"))
    kept = list(message.passed_on(("Via", "1.1 me")).head.headers.raw_items())
    assert kept == [(b"Host", b"x"), (b"Via", b"1.1 me")]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n110000\r\n" + b"x" * (LONGEST_BODY + 1), 413),
        (b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 2 * LONGEST_HEAD + b"\r\n\r\n", 431),
    ],
)
def test_what_is_no_message_is_refused_with_a_status(data: bytes, status: int) -> None:
    asked, said = served(data)
    assert not asked and said.startswith(f"HTTP/1.1 {status} ".encode()) and b"Connection: close" in said


@pytest.mark.parametrize("data", [b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel"])
def test_a_connection_that_ends_inside_a_message_is_an_error(data: bytes) -> None:
    async def receive() -> Message | None:
        reader, writer, _ = stream(data)
        return await Connection(h11.SERVER, reader, writer).receive()

    with pytest.raises(ConnectionError, match="ended inside"):
        asyncio.run(receive())


def test_a_server_that_closes_instead_of_answering_is_an_error() -> None:
    with pytest.raises(ConnectionError, match="closed the connection without an answer"):
        answered(b"")


@pytest.mark.parametrize("start", ["HTTP/1.1", "GET / HTTP/1.1", "HTTP/1.1 abc Odd"])
def test_an_answer_starts_with_a_status(start: str) -> None:
    with pytest.raises(h11.RemoteProtocolError):
        answered(f"{start}\r\n\r\n".encode())


def test_a_response_says_how_long_it_is() -> None:
    _, said = served(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "größe\n")
    one, _ = answered(said)
    assert one.body.decode() == "größe\n"
