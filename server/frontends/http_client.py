"""HTTP/1.1 to the main process, over a Unix socket: what a request costs more for being handed on.

The parser is uvicorn's; `httpx` takes ten times as long for a small request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import cast

import httptools

from server.errors import Header, InvalidInput, NotReady

#: bytes of an answer that may wait for a slow client before the main process is no longer read
_MOST_WAITING = 1024 * 1024
LOST = "the server's main process broke the connection: try again"
_FIRST_FINAL = 200  #: of the statuses; those below announce another

#: methods after whose answer a connection is not used again: its end is told by the method (RFC 9112, 6.3)
_LAST = ("HEAD", "CONNECT")


class _Unasked(Exception):
    """The main process says what nobody has asked it for."""


class UpstreamConnection(asyncio.Protocol):
    """A connection; it takes one request after the other, as long as both it and its answer were whole."""

    def __init__(self, preamble: bytes) -> None:
        """`preamble` is sent first."""
        self.status = 0
        self.headers: list[Header] = []
        self.complete = True  #: the answer has come whole
        self.answered = False  #: the head of the answer has come
        self.came: asyncio.Future[None]  #: is done then, or when the connection is lost
        self._preamble = preamble
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        self._usable = True
        self._owed: int | None = 0  #: bytes of the request's body that were announced and not sent; None: in chunks
        self._sent = True  #: the last part of the request was sent
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._writable = True
        self._bodyless = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def reusable(self) -> bool:
        """For another request: nothing of this one and of its answer is still to come, or to be read."""
        whole = self._sent and self.complete and not self._chunks
        return whole and self._usable and not self._transport.is_closing()

    # a request and its answer

    def begin(self, method: str, target: bytes, headers: Iterable[Header], length: int | None) -> None:
        """Send the head of a request whose body has `length` bytes; None: it comes in chunks.

        What `headers` say must not be about that.
        """
        self._parser = httptools.HttpResponseParser(self)
        self.status, self.headers, self.complete, self.answered = 0, [], False, False
        self._owed, self._sent = length, False
        self._bodyless = method == "HEAD"
        self._usable = self._usable and method not in _LAST
        self.came = self._loop.create_future()
        if self._transport.is_closing():
            self.came.set_result(None)
        lines = [b"%b: %b\r\n" % header for header in headers]
        if length != 0:
            lines.append(b"transfer-encoding: chunked\r\n" if length is None else b"content-length: %d\r\n" % length)
        self._transport.write(b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode("latin-1"), target, b"".join(lines)))

    async def send(self, body: bytes, *, last: bool) -> None:
        """Send a part of the body; waits while the main process reads slower than it comes.

        Raises:
            NotReady: the connection broke.
            InvalidInput: the body is not as long as it was said to be.
        """
        if self._owed is None:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"0\r\n\r\n" if last else b"")
        else:
            self._owed -= len(body)
            if self._owed < 0 or (last and self._owed):
                self.abort()
                raise InvalidInput("the body is not as long as its Content-Length")
        self._sent = last
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
        self._usable = False
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
        self._transport.write(self._preamble)

    def data_received(self, data: bytes) -> None:
        if self.complete:
            self.abort()  # nobody has asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:  # or what `_Unasked` became; an answer that is not complete is lost
            self.abort()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._usable = False
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

    def on_message_begin(self) -> None:
        if self.complete:  # something follows the answer
            raise _Unasked

    def on_status(self, status: bytes) -> None:
        self.status = self._parser.get_status_code()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < _FIRST_FINAL:
            raise _Unasked
        self._usable = self._usable and self._parser.should_keep_alive()
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
