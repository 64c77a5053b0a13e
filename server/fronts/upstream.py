"""HTTP/1.1 to the main process, over a Unix socket: what a request costs more for being handed on.

The parser is uvicorn's; `httpx` takes ten times as long for a small request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import httptools

from server.errors import Header, NotReady

#: bytes of an answer that may wait for a slow client before the main process is no longer read
_MOST_WAITING = 1024 * 1024
LOST = "the server's main process broke the connection: try again"


class Upstream(asyncio.Protocol):
    """A connection; it takes one request after the other."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[Header] = []
        self.complete = True  #: the answer has come whole
        self.answered = False  #: the head of the answer has come
        self.came: asyncio.Future[None]  #: is done then, or when the connection is lost
        self.usable = True  #: for another request
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._writable = True
        self._bodyless = False
        self._waiter: asyncio.Future[None] | None = None

    # a request and its answer

    def begin(self, method: str, target: bytes, headers: Iterable[Header]) -> None:
        """Send the head of a request."""
        self._parser = httptools.HttpResponseParser(self)
        self.status, self.headers, self.complete, self.answered = 0, [], False, False
        self._bodyless = method == "HEAD"
        self._chunks.clear()
        self.came = self._loop.create_future()
        if self._transport.is_closing():
            self.came.set_result(None)
        lines = [b"%b: %b\r\n" % header for header in headers]
        self._transport.write(b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode("latin-1"), target, b"".join(lines)))

    async def send(self, body: bytes) -> None:
        """Send a part of the body; waits while the main process reads slower than it comes.

        Raises:
            NotReady: the connection broke.
        """
        self._transport.write(body)
        while not self._writable and not self.answered:
            await self._wait()

    async def head(self) -> int:
        """Wait for the head of the answer; its status.

        Raises:
            NotReady: the connection broke.
        """
        await self.came
        if not self.answered:
            raise NotReady(LOST)
        return self.status

    async def body(self) -> bytes:
        """The next part of the answer's body, empty when it is `complete`.

        Raises:
            NotReady: the connection broke.
        """
        while not self._chunks and not self.complete:
            await self._wait()
        body = b"".join(self._chunks)
        self._chunks.clear()
        if self._size > _MOST_WAITING:
            self._transport.resume_reading()
        self._size = 0
        return body

    def abort(self) -> None:
        """Nobody wants the answer any more: the main process sees its client hang up."""
        self.usable = False
        self._transport.abort()

    async def _wait(self) -> None:
        if self._transport.is_closing():
            raise NotReady(LOST)
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by its class

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:  # it is our own server; whatever it is, the answer is lost
            self.abort()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        self._head_came()
        self._wake()

    def _head_came(self) -> None:
        if not self.complete and not self.came.done():
            self.came.set_result(None)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._wake()

    # of the parser

    def on_status(self, status: bytes) -> None:
        self.status = self._parser.get_status_code()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.usable = self.usable and self._parser.should_keep_alive() and not self._bodyless
        self.answered = True
        self._head_came()
        self.complete = self._bodyless

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._size += len(body)
        if self._size > _MOST_WAITING:
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        self.complete = True


class Pool:
    """Connections to the socket at `path`: one for each request in flight."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._idle: list[Upstream] = []

    async def take(self) -> Upstream:
        """
        Raises:
            NotReady: the main process does not answer.
        """
        while self._idle:
            upstream = self._idle.pop()
            if upstream.usable:
                return upstream
        try:
            _, upstream = await asyncio.get_running_loop().create_unix_connection(Upstream, self._path)
        except OSError as error:
            raise NotReady(f"the server's main process does not answer: {error.strerror}") from error
        return upstream

    def give_back(self, upstream: Upstream) -> None:
        """After a request; a connection that is within one is closed."""
        if upstream.usable and upstream.complete:
            self._idle.append(upstream)
        else:
            upstream.abort()
