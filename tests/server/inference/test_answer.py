"""What goes over HTTP of an answer: headers and statuses that code of the model's may choose, and what it may not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from server.inference.answer import StreamedAnswer, sendable_headers, sendable_status, v2_headers


def test_headers_that_are_the_servers_to_say_are_left_out() -> None:
    given = {"X-A": "b", "Content-Length": "3", "Transfer-Encoding": "chunked", "CONNECTION": "close", "Date": "now"}
    assert sendable_headers({**given, "Server": "x", "Upgrade": "h2c", "Keep-Alive": "1"}) == [(b"x-a", b"b")]


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "ä", "a\0"])
def test_what_is_no_name_of_a_header_is_not_sent(name: str) -> None:
    assert sendable_headers({name: "value"}) == []


def test_a_value_is_one_line_of_bytes() -> None:
    assert sendable_headers({"x": "a\r\nset-cookie: b", "y": "é€"}) == [(b"x", b"a set-cookie: b"), (b"y", b"\xe9?")]


@pytest.mark.parametrize(("chosen", "sent"), [(200, 200), (404, 404), (599, 599), (100, 500), (600, 500), (-1, 500)])
def test_a_status_that_is_none_is_a_fault(chosen: int, sent: int) -> None:
    assert sendable_status(chosen) == sent


def test_raw_tensors_have_a_header_that_says_where_they_begin() -> None:
    assert v2_headers(None) == [(b"content-type", b"application/json")]
    assert dict(v2_headers(17)) == {
        b"content-type": b"application/octet-stream",
        b"inference-header-content-length": b"17",
    }


def test_to_close_a_stream_ends_the_work() -> None:
    ended = []

    async def parts() -> AsyncGenerator[bytes, None]:
        try:
            yield b"1"
            yield b"2"
        finally:
            ended.append(True)

    async def main() -> None:
        made = parts()
        assert await anext(made) == b"1"
        await StreamedAnswer([], made).close()

    asyncio.run(main())
    assert ended == [True]
