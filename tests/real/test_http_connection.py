"""HTTP/1.1 messages: what is read, passed on and refused."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import pytest

from distlib.real.http_connection import LONGEST_HEAD, BadMessageError, Message, read_message, response


def read(data: bytes, answer_to: str = "") -> list[Message]:
    async def all_messages() -> list[Message]:
        reader = asyncio.StreamReader(limit=LONGEST_HEAD)
        reader.feed_data(data)
        reader.feed_eof()
        found = []
        while (one := await read_message(reader, answer_to=answer_to)) is not None:
            found.append(one)
        return found

    return asyncio.run(all_messages())


def test_messages_follow_each_other_on_one_connection() -> None:
    first = b"POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
    second = b"GET /b HTTP/1.1\r\nHost:  x \r\n\r\n"
    one, two = read(first + second)
    assert (one.start, one.body) == ("POST /a HTTP/1.1", b"hello")
    assert two.get("host") == "x" and two.keeps_alive
    assert one.encode() == first


def test_a_response_to_head_has_a_length_and_no_body() -> None:
    (one,) = read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", answer_to="HEAD")
    assert (one.status, one.body) == (200, b"")


@pytest.mark.parametrize(
    ("head", "keeps"),
    [("HTTP/1.1", True), ("HTTP/1.1\r\nConnection: Close", False), ("HTTP/1.0", False),
     ("HTTP/1.0\r\nConnection: keep-alive", True)],
)  # fmt: skip
def test_connections_are_kept_as_the_version_says(head: str, keeps: bool) -> None:
    (one,) = read(f"GET / {head}\r\n\r\n".encode())
    assert one.keeps_alive is keeps


def test_a_proxy_passes_on_what_is_meant_for_the_end() -> None:
    """RFC 9110, section 7.6.1: neither hop-by-hop headers nor those that ``Connection`` names."""
    message = Message(
        "GET / HTTP/1.1", (("Host", "x"), ("Connection", "Keep-Alive, Secret"), ("Secret", "1"), ("TE", "gzip"))
    )
    assert message.passed_on(("Via", "1.1 me")).headers == (("Host", "x"), ("Via", "1.1 me"))


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno header\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 2 * LONGEST_HEAD + b"\r\n\r\n", 431),
    ],
)
def test_what_is_no_message_is_refused_with_a_status(data: bytes, status: int) -> None:
    with pytest.raises(BadMessageError) as refused:
        read(data)
    assert refused.value.status == status


@pytest.mark.parametrize("data", [b"GET / HT", b"GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel"])
def test_a_connection_that_ends_inside_a_message_is_an_error(data: bytes) -> None:
    with pytest.raises(ConnectionError, match="ended inside"):
        read(data)


@pytest.mark.parametrize("start", ["HTTP/1.1", "GET / HTTP/1.1", "HTTP/1.1 abc Odd"])
def test_an_answer_starts_with_a_status(start: str) -> None:
    with pytest.raises(BadMessageError):
        read(f"{start}\r\n\r\n".encode(), answer_to="GET")


def test_a_response_says_how_long_it_is() -> None:
    (one,) = read(response(HTTPStatus.OK, "größe\n").encode(), answer_to="GET")
    assert one.body.decode() == "größe\n"
