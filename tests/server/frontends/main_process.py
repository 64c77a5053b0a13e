"""A main process that a test writes the answers of, and a front process before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

from server.api.rest.fast_protocol import ServerContext
from server.api.rest.manners import Manners
from server.frontends.copy_repository import CopyRepository
from server.frontends.http_proxy import FrontendProtocol, FrontendRoutes
from server.inference.batching.queue import Limits
from tests.server.api.rest.test_fast_protocol import MAX_BODY, Answer, Site, read, serving

OK = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"
GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"

#: answers on one connection to the main process: reads what it wants to, and writes
Script: TypeAlias = Callable[["Inner"], Awaitable[None]]


class Inner:
    """A connection as the main process sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.preamble = b""
        self.heads: list[bytes] = []
        self.ended = False  #: the front process has hung up

    async def head(self) -> bytes:
        self.heads.append(await self.reader.readuntil(b"\r\n\r\n"))
        return self.heads[-1]

    async def answer(self, answer: bytes = OK) -> None:
        """Answer a request without a body."""
        await self.head()
        self.writer.write(answer)

    async def end(self) -> None:
        await self.reader.read()


class Main:
    """A main process that does as it is told, connection by connection; then it answers requests without bodies."""

    def __init__(self, *scripts: Script) -> None:
        self.inner: list[Inner] = []
        self._scripts = iter(scripts)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner = Inner(reader, writer)
        self.inner.append(inner)
        try:
            inner.preamble = await reader.readuntil(b"\r\n")
            await next(self._scripts, always)(inner)
        except (asyncio.IncompleteReadError, ConnectionError):
            inner.ended = True
        finally:
            writer.close()


async def always(inner: Inner) -> None:
    while True:
        await inner.answer()


@asynccontextmanager
async def before(main: Main, path: Path) -> AsyncIterator[Site]:
    """A front process's server without copies, in front of it."""
    with ThreadPoolExecutor(1) as pool:
        copies = CopyRepository(pool, Limits(), log_latency=False)
        shared = ServerContext(copies, MAX_BODY)
        listener = await asyncio.start_unix_server(main, path / "http")
        protocol = partial(FrontendProtocol, path / "http", copies, shared)
        async with serving(Manners(FrontendRoutes(copies, MAX_BODY)), protocol, shared) as front:
            yield front
        listener.close()


async def answers(port: int, *requests: bytes) -> list[Answer]:
    """To requests of one client, each of which waits for the answer before."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    for request in requests:
        writer.write(request)
        found.append(await read(reader))
    writer.close()
    return found
