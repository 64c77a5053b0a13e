"""What goes over a connection to the main process, and when it is used again."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest

from tests.patience import becomes
from tests.server.api.rest.test_fast_protocol import PATIENCE, read
from tests.server.frontends.main_process import GET, OK, Inner, Main, Script, always, answers, before


async def _more(inner: Inner) -> None:
    await inner.answer(OK + b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong")
    await inner.end()


async def _junk(inner: Inner) -> None:
    await inner.answer(OK + b"junk")
    await inner.end()


async def _closes(inner: Inner) -> None:
    await inner.answer(OK.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
    await inner.end()


@pytest.mark.parametrize("script", [_more, _junk, _closes])
def test_it_is_not_used_again_when_anything_but_the_answer_comes(tmp_path: Path, script: Script) -> None:
    async def ask() -> None:
        main = Main(script)
        async with before(main, tmp_path) as front:
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(GET)
            answer = await read(reader)
            assert answer.body == b"ok"
            if answer.headers.get("connection") == "close":
                assert await reader.read() == b""
            else:
                writer.write(GET)
                assert (await read(reader)).body == b"ok"
            assert len(main.inner[0].heads) == 1
            writer.close()

    asyncio.run(ask())


def test_what_comes_unasked_while_it_is_idle_ends_it(tmp_path: Path) -> None:
    said = asyncio.Event()

    async def late(inner: Inner) -> None:
        await inner.answer()
        await said.wait()
        inner.writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong")
        await inner.head()

    async def ask() -> None:
        main = Main(late)
        async with before(main, tmp_path) as front:
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            for _ in range(2):
                writer.write(GET)
                assert (await read(reader)).body == b"ok"
                said.set()
                await becomes(lambda: main.inner[0].ended)
            assert len(main.inner) == 2
            writer.close()

    asyncio.run(ask())


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 100 Continue\r\n\r\n" + OK, b"HTTP/1.1 101 Switching Protocols\r\n\r\n", b"?"]
)
def test_what_is_no_answer_is_told(tmp_path: Path, answer: bytes) -> None:
    async def odd(inner: Inner) -> None:
        await inner.answer(answer)
        await inner.end()

    async def ask() -> None:
        async with before(Main(odd), tmp_path) as front:
            (found,) = await answers(front.port, GET)
            assert found.status.startswith("HTTP/1.1 503")
            assert [each.body for each in await answers(front.port, GET, GET)] == [b"ok", b"ok"]

    asyncio.run(ask())


async def _without_an_answer(inner: Inner) -> None:
    await inner.head()


async def _in_the_head(inner: Inner) -> None:
    await inner.answer(OK[:20])


async def _in_the_midst(inner: Inner) -> None:
    await inner.answer(OK[:-1])


@pytest.mark.parametrize(
    ("script", "status"), [(_without_an_answer, b"503"), (_in_the_head, b"503"), (_in_the_midst, b"200")]
)
def test_a_main_process_that_breaks_off(tmp_path: Path, script: Script, status: bytes) -> None:
    """The client is told, or sees that its answer is not whole."""

    async def ask() -> None:
        async with before(Main(script), tmp_path) as front:
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(GET)
            async with asyncio.timeout(PATIENCE):
                assert status in (await reader.readline())
                rest = await reader.read()
            assert rest.endswith(b"\r\no" if status == b"200" else b'try again"}')
            writer.close()
            assert [each.body for each in await answers(front.port, GET)] == [b"ok"]

    asyncio.run(ask())


def test_after_head_another_is_used(tmp_path: Path) -> None:
    async def ask() -> None:
        main = Main(partial(Inner.answer, answer=OK[:-2]), always)
        async with before(main, tmp_path) as front:
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(GET.replace(b"GET", b"HEAD"))
            assert b"content-length: 2" in await reader.readuntil(b"\r\n\r\n")
            writer.write(GET)
            assert (await read(reader)).body == b"ok"
            assert [len(inner.heads) for inner in main.inner] == [1, 1]
            writer.close()

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (b"Content-Length: 003 \r\n\r\nabc", b"content-length: 3\r\n\r\nabc"),
        (b"content-length:\t3\r\n\r\nabc", b"content-length: 3\r\n\r\nabc"),
        (b"Content-Length: 0\r\n\r\n", b"\r\n\r\n"),
        (b"\r\n", b"\r\n\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        (
            b"Transfer-Encoding: CHUNKED\r\n\r\n003;a=b\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
            b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ),
        (
            b"Connection: Content-Length\r\nTE: trailers\r\nTrailer: x\r\nContent-Length: 1\r\n\r\na",
            b"content-length: 1\r\n\r\na",
        ),
    ],
)
def test_the_framing_is_its_own(tmp_path: Path, sent: bytes, body: bytes) -> None:
    """The client's words about the length go no further."""
    came: list[bytes] = []

    async def whole(inner: Inner) -> None:
        came.append(await inner.head())
        rest = body.partition(b"\r\n\r\n")[2]
        came.append(await inner.reader.readexactly(len(rest)))
        inner.writer.write(OK)
        await inner.answer()  # and nothing is between the two

    async def ask() -> None:
        main = Main(whole)
        async with before(main, tmp_path) as front:
            request = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-Odd: \xe9\r\n" + sent
            assert [each.body for each in await answers(front.port, request, GET)] == [b"ok", b"ok"]
            assert b"".join(came) == b"POST /a?b=c HTTP/1.1\r\nhost: x\r\nx-odd: \xe9\r\n" + body.removeprefix(b"\r\n")
            assert len(main.inner) == 1

    asyncio.run(ask())
