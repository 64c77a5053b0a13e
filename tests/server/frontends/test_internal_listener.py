"""Where the main process takes what is handed on: whom a connection is for is its first line; another is closed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.api.rest.fast_protocol import ServerContext
from server.frontends import internal_listener
from server.frontends.proxy_protocol import LONGEST, preamble
from tests.server.api.rest.test_fast_protocol import PATIENCE, serving
from tests.server.frontends.test_proxy_protocol import GET, LINE, MALFORMED

HOST = "203.0.113.7"


async def who(scope: Any, receive: Any, send: Any) -> None:
    body = orjson.dumps({"client": scope["client"], "path": scope["path"]})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def inner_socket(path: Path, app: Any = who) -> AsyncIterator[str]:
    """Where the main process, which runs this application, listens for its front processes."""
    shared = ServerContext(None, 1000)  # type: ignore[arg-type]  # no model is asked for
    async with serving(app, HttpToolsProtocol, shared) as main:
        listener = await internal_listener.listen(path / "http", main.server.config, shared)
        yield str(path / "http")
        listener.close()


async def said(path: str, *pieces: bytes) -> bytes:
    """What comes back until the answer to one request is there, or the connection is closed."""
    reader, writer = await asyncio.open_unix_connection(path)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    answer = b""
    async with asyncio.timeout(PATIENCE):
        while not answer.endswith(b"}") and (got := await reader.read(1000)):
            answer += got
    writer.close()
    return answer


def test_the_line_is_read_in_whatever_pieces_it_comes(tmp_path: Path) -> None:
    async def ask() -> None:
        async with inner_socket(tmp_path) as path:
            sent = LINE + GET
            ways = [[sent[:cut], sent[cut:]] for cut in range(1, len(sent))]
            for pieces in [[sent], *ways, [sent[at : at + 1] for at in range(len(sent))]]:
                assert orjson.loads((await said(path, *pieces)).split(b"\r\n")[-1])["client"] == [HOST, 51234], pieces

    asyncio.run(ask())


def test_the_line_is_read_once(tmp_path: Path) -> None:
    """One that follows is the client's, and no request."""

    async def ask() -> None:
        async with inner_socket(tmp_path) as path:
            assert (await said(path, LINE + LINE + GET)).startswith(b"HTTP/1.1 400 ")
            nobody = await said(path, preamble(None, None) + GET)
            assert orjson.loads(nobody.split(b"\r\n")[-1])["client"] is None

    asyncio.run(ask())


@pytest.mark.parametrize("line", [line for line in MALFORMED if b"\r\n" in line])
def test_a_connection_that_begins_otherwise_is_closed(tmp_path: Path, line: bytes) -> None:
    async def ask() -> None:
        async with inner_socket(tmp_path) as path:
            assert await said(path, line + GET) == b""
            assert await said(path, line, GET) == b""
            assert await said(path, LINE + GET)

    asyncio.run(ask())


@pytest.mark.parametrize("begun", [b"PROXY TCP4 " + b"1" * LONGEST, b"x" * 10_000_000, LINE[:-2] + b" " * LONGEST])
def test_a_line_without_an_end_is_not_waited_for(tmp_path: Path, begun: bytes) -> None:
    async def ask() -> None:
        async with inner_socket(tmp_path) as path:
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(begun)
            async with asyncio.timeout(PATIENCE):
                with contextlib.suppress(ConnectionError):  # it was closed with bytes on it
                    assert await reader.read() == b""
            writer.close()

    asyncio.run(ask())


def test_an_answer_before_the_end_of_its_request_is_read_whole(tmp_path: Path) -> None:
    """Who still sends must not be told that the connection is broken: the answer says why nobody reads."""

    async def refuse(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"7"), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": b"too big"})

    async def ask() -> None:
        async with inner_socket(tmp_path, refuse) as path:
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"PROXY UNKNOWN\r\nPOST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert b" 413 " in head
            for _ in range(8):
                writer.write(bytes(1 << 19))
                await writer.drain()
            assert await reader.read() == b"too big"
            writer.close()

    asyncio.run(ask())
