"""What is handed on comes back as it comes: part by part, and no longer than the client is there."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import unquote

import pytest

from server.api.rest.manners import rooted
from server.frontends.forwarding import target_of
from tests.patience import becomes
from tests.server.frontends.main_process import GET, Inner, Main, before

PATIENCE = 60
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"


class Gated:
    """A main process that sends the next part of its answer when it is let."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = parts
        self.gate = asyncio.Semaphore(0)
        self.left = asyncio.Event()  #: whoever asked has hung up

    async def __call__(self, inner: Inner) -> None:
        await inner.head()
        watching = asyncio.create_task(self._watch(inner))
        inner.writer.write(STREAM)
        for part in self.parts:
            await self.gate.acquire()
            inner.writer.write(b"%x\r\n%b\r\n" % (len(part), part))
        await self.gate.acquire()
        inner.writer.write(b"0\r\n\r\n")
        await watching

    async def _watch(self, inner: Inner) -> None:
        while await inner.reader.read(1000):
            pass
        self.left.set()


async def chunk(reader: asyncio.StreamReader) -> bytes:
    """The next chunk of an answer, empty at its end."""
    async with asyncio.timeout(PATIENCE):
        size = int(await reader.readline(), 16)
        return (await reader.readexactly(size + 2))[:size]


@pytest.mark.parametrize("request_bytes", [GET, POST])
def test_each_part_comes_when_it_was_sent(tmp_path: Path, request_bytes: bytes) -> None:
    async def ask() -> None:
        parts = [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"]
        main = Gated(*parts)
        async with before(Main(main), tmp_path) as front:
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(request_bytes)
            async with asyncio.timeout(PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")  # before there is anything of the body
            assert b"text/event-stream" in head
            for part in parts:
                main.gate.release()
                assert await chunk(reader) == part  # while the next is not sent yet
            main.gate.release()
            assert await chunk(reader) == b""
            assert not main.left.is_set()
            writer.close()

    asyncio.run(ask())


@pytest.mark.parametrize("parts", [0, 1])
def test_the_main_process_hears_at_once_of_a_client_that_leaves_in_the_midst(tmp_path: Path, parts: int) -> None:
    """It sends nothing more, so that nobody could find out by writing."""

    async def ask() -> None:
        main = Gated(b"data: 1\n\n", b"data: 2\n\n")
        async with before(Main(main), tmp_path) as front:
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(POST)
            await reader.readuntil(b"\r\n\r\n")
            for _ in range(parts):
                main.gate.release()
                assert await chunk(reader) == b"data: 1\n\n"
            writer.transport.abort()
            await becomes(main.left.is_set)
            for _ in range(3):
                main.gate.release()
            await becomes(lambda: not front.server.server_state.tasks)

    asyncio.run(ask())


@pytest.mark.slow
def test_a_client_that_does_not_read_holds_the_main_process_back(tmp_path: Path) -> None:
    """What waits for a slow client is bounded: the main process's writes are not taken for ever."""
    written, part = 0, b"x" * 65536
    most = 64 * 1024 * 1024

    async def pour(inner: Inner) -> None:
        nonlocal written
        await inner.head()
        inner.writer.write(STREAM)
        while written < most:
            inner.writer.write(b"%x\r\n%b\r\n" % (len(part), part))
            await inner.writer.drain()
            written += len(part)

    async def ask() -> None:
        async with before(Main(pour), tmp_path) as front:
            _, writer = await asyncio.open_connection("127.0.0.1", front.port, limit=1024)
            writer.write(GET)
            await becomes(lambda: written)
            seen = -1
            while seen != written:
                seen = written
                await asyncio.sleep(0.5)  # nobody tells that nothing more will come
            assert written < most
            writer.transport.abort()

    asyncio.run(ask())


@pytest.mark.parametrize(
    ("raw", "root", "target"),
    [
        (b"/v2", "", b"/v2?a=1"),
        (b"/v2", "/ml", b"/v2?a=1"),
        (b"/ml/v2", "/ml", b"/ml/ml/v2?a=1"),
        (b"/ml", "/ml", b"/ml/ml?a=1"),
        (b"/mlx", "/ml", b"/mlx?a=1"),
        (b"/%6dl/v2", "/ml", b"/ml/%6dl/v2?a=1"),
        ("/ü/v2".encode(), "/ü", b"/%C3%BC" + "/ü/v2?a=1".encode()),
    ],
)
def test_what_stands_for_a_root_path_once_more_is_none_to_the_main_process_either(
    raw: bytes, root: str, target: bytes
) -> None:
    scope = {"path": unquote(raw.decode()), "raw_path": raw, "query_string": b"a=1", "root_path": root}
    assert target_of(scope) == target
    asked = target.removesuffix(b"?a=1")
    there = {"path": unquote(asked.decode()), "raw_path": asked}
    assert (rooted(there, root) if root else there)["path"] == scope["path"], "of which the main process makes the same"
