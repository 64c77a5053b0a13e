"""Requests over HTTP/2 that are none of gRPC: each is a connection of HTTP/1.1 by itself, in memory.

    header block, DATA --> `Http1Head` and body --> the REST protocol that every connection has (`FastProtocol`)
    header block, DATA <-- httptools' parser    <-- its answer

So all of REST is there, and in one way: the short way and the general one, limits, time-outs, front processes, the log.
A request counts as a connection for as long as it lasts. It costs 0.1 ms of processor time, over HTTP/1.1 a third of
that (one row to a scikit-learn model, 64 at once, by h2load with and without `--h1`).
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

import httptools

from server.api.http2.hpack import Field
from server.api.http2.outbox import Stream
from server.api.http2.request_head import RequestHead
from server.api.http2.stream_link import StreamLink
from server.api.rest.http1_form import Http1Head, answer_block, http1_head

log = logging.getLogger("kserve")

#: bytes of an answer that may wait for the client before its maker is asked to wait, too
_AHEAD = 64 * 1024
_LARGEST_BLOCK = 16_384  #: every client takes a frame of that size
_TOO_LARGE = answer_block(502, [(b"content-length", b"0")])


class Http2Requests:
    """The `OtherRequests` of one connection."""

    def __init__(self, make: Callable[[], Any]) -> None:
        """`make` gives a new REST protocol."""
        self._make = make

    def read_head(self, head: RequestHead) -> Http1Head:
        return http1_head(head)

    def call(self, link: StreamLink, stream: Stream) -> Http2Request:
        return Http2Request(self._make(), link, stream)


class Http2Request(asyncio.Transport):
    """One request: the `StreamCall` of its stream, and the transport of its REST protocol, whose answer it parses."""

    waits = False  #: the REST protocol looks after that itself
    began_at = math.inf

    def __init__(self, protocol: Any, link: StreamLink, stream: Stream) -> None:
        super().__init__()
        self._protocol = protocol
        self._link = link
        self._stream = stream
        self._head: Http1Head = stream.head
        self._parser = httptools.HttpResponseParser(self)
        self._fields: list[Field] = []
        self._chunked = False  #: the request's body is sent so
        self._held = b""  #: what makes the request whole, until the client has ended it: only then it is answered
        self._over = False  #: nothing is answered any more
        self._lost = False  #: and the protocol knows
        self._paused = False  #: the protocol reads nothing now
        self._deferred = 0  #: bytes that came meanwhile
        self._full = False  #: the protocol was asked to wait with its answer

    # what comes in, of the stream

    def begin(self) -> None:
        self._protocol.connection_made(self)
        ended = self._stream.remote_closed
        self._chunked = self._head.length is None and not ended
        self._feed_unless_last(self._head.bytes(ended))

    def received(self, data: bytes) -> None:
        size, ended = len(data), self._stream.remote_closed
        if self._chunked:
            data = b"%b%b" % (b"%x\r\n%b\r\n" % (size, data) if size else b"", b"0\r\n\r\n" if ended else b"")
        self._feed_unless_last(data)
        if self._paused:
            self._deferred += size
        elif size:
            self._link.used(self._stream, size)

    def _feed_unless_last(self, data: bytes) -> None:
        stream = self._stream
        if not stream.remote_closed and stream.left == 0:
            self._held += data
        elif not self._over and (self._held or data):
            data, self._held = self._held + data, b""
            self._protocol.data_received(data)

    def drained(self) -> None:
        if self._full and not self._over:
            self._full = False
            self._protocol.resume_writing()

    def cancelled(self) -> None:
        self._over = True
        self._lose(ConnectionResetError("the client has reset the stream"))

    def too_slow(self, seconds: float, setting: str) -> None:
        """Never: see `waits`."""

    # the transport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        found = self._link.extra(name)
        return default if found is None else found

    def is_closing(self) -> bool:
        return self._over

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return self._stream.unsent

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        if self._deferred and not self._over:
            self._link.used(self._stream, self._deferred)
        self._deferred = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._over:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            log.exception("an answer over HTTP/2 is none of HTTP's")
            self.abort()
            return
        if self._stream.unsent > _AHEAD and not self._over and not self._full:
            self._full = True
            self._protocol.pause_writing()

    def close(self) -> None:
        """Before an answer is whole there is none; after it, that is how it ends."""
        self.abort()

    def abort(self) -> None:
        if not self._over:
            self._over = True
            self._link.cut(self._stream)
        self._lose_soon()

    def _lose_soon(self) -> None:
        """The protocol is within its own code now."""
        asyncio.get_running_loop().call_soon(self._lose, None)

    def _lose(self, why: Exception | None) -> None:
        if not self._lost:
            self._lost = True
            self._protocol.connection_lost(why)

    # the answer's parser

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        fields, self._fields = self._fields, []
        block = answer_block(self._parser.get_status_code(), fields)
        if len(block) > _LARGEST_BLOCK:
            log.error("the head of an answer has %d bytes, and HTTP/2 takes %d", len(block), _LARGEST_BLOCK)
            self._link.begin_answer(self._stream, _TOO_LARGE)
            self._finish()
            return
        self._link.begin_answer(self._stream, block)
        if self._head.is_head:
            self._finish()

    def on_body(self, body: bytes) -> None:
        if not self._over:
            self._link.send(self._stream, bytes(body))

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() >= 200 and not self._over:
            self._finish()

    def _finish(self) -> None:
        self._over = True
        self._link.end(self._stream, b"")
        self._lose_soon()
