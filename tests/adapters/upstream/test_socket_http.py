"""HTTP over a socket file: what a program may send, and what becomes of the request that it answers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from adapters.upstream.socket_http import BrokenAnswer, Exchange

HEAD = b"HTTP/1.1 200 OK\r\n"


def lines_of(folder: Path, *sent: bytes, longest: int = 100) -> list[bytes]:
    """The lines of an answer that is sent piece by piece, behind which the program hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in sent:
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def run() -> list[bytes]:
        async with await asyncio.start_unix_server(answer, folder / "s"):
            exchange = await Exchange.begin(folder / "s", "GET", "/")
            try:
                assert exchange.status == 200
                return [line async for line in exchange.lines(longest)]
            finally:
                exchange.close()

    return asyncio.run(run())


def test_lines_are_joined_over_pieces(tmp_path: Path) -> None:
    chunked = HEAD + b"transfer-encoding: chunked\r\n\r\n"
    found = lines_of(tmp_path, chunked, b"5\r\none\nt\r\n", b"5\r\nwo\r\nx\r\n", b"0\r\n\r\n")
    assert found == [b"one", b"two", b"x"]


def test_what_comes_before_the_answer_is_passed_over(tmp_path: Path) -> None:
    assert lines_of(tmp_path, b"HTTP/1.1 103 Early\r\n\r\n" + HEAD + b"content-length: 2\r\n\r\nab") == [b"ab"]


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        (b"", "was cut"),
        (b"hello\r\n\r\n", "no HTTP"),
        (HEAD + b"content-length: 9\r\n\r\nab", "was cut"),
        (HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n", "no HTTP"),
        (HEAD + b"content-length: 200\r\n\r\n" + b"a" * 200, "a line of more than 100 bytes"),
        (HEAD + b"x: " + b"a" * 100_000, "no HTTP"),
    ],
    ids=["nothing", "no HTTP", "cut", "no chunk", "long line", "long head"],
)
def test_what_is_no_answer(tmp_path: Path, sent: bytes, told: str) -> None:
    with pytest.raises(BrokenAnswer, match=told):
        lines_of(tmp_path, sent)


def test_nobody_is_there(tmp_path: Path) -> None:
    with pytest.raises(BrokenAnswer, match="cannot be reached: No such file"):
        asyncio.run(Exchange.begin(tmp_path / "s", "GET", "/"))


def test_a_body_has_a_limit(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + b"content-length: 5\r\n\r\nabcde")
        writer.close()

    async def run(most: int) -> bytes:
        async with await asyncio.start_unix_server(answer, tmp_path / "s"):
            exchange = await Exchange.begin(tmp_path / "s", "GET", "/")
            try:
                return await exchange.body(most)
            finally:
                exchange.close()

    assert asyncio.run(run(5)) == b"abcde"
    with pytest.raises(BrokenAnswer, match="more than 4 bytes"):
        asyncio.run(run(4))
