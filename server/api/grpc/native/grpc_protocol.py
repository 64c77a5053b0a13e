"""A connection of gRPC on asyncio: bytes of the socket to `Http2Connection`, its streams to calls, one write a turn.

What comes in one piece is read at once, and whatever is answered within a turn of the event loop goes out in one piece.
A client that does not read is not read from either.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

from server.api.connections import Connections, Wait
from server.api.grpc.native.call_head import CallHead, call_head, is_grpc, too_large
from server.api.grpc.native.call_site import CallSite
from server.api.grpc.native.grpc_call import GrpcCall
from server.api.http2.connection import Http2Connection
from server.api.http2.frame_reader import Http2Limits
from server.api.http2.frames import ErrorCode
from server.api.http2.header_blocks import KnownHead
from server.api.http2.hpack import Field
from server.api.http2.outbox import Stream
from server.api.http2.request_head import request_head
from server.api.http2.stream_link import OtherRequests

#: seconds in which a client that was sent away can read why
_LINGER = 1.0
_MAPPED = "::ffff:"  #: begins an address of IPv4 as a socket of IPv6 has it


class GrpcProtocol(asyncio.Protocol):
    """The `StreamHandler` of an `Http2Connection`, the `CallLink` of its calls, a `Client` of `Connections`."""

    peer = "unix:"

    def __init__(
        self, site: CallSite, connections: Connections, limits: Http2Limits, others: OtherRequests | None = None
    ) -> None:
        """`others`: what answers requests that are none of gRPC; None: they are taken for calls, as on gRPC's port."""
        self._site = site
        self._others = others
        self._connections = connections
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self.http = Http2Connection(self, limits, self._loop.time)
        self._is_busy = True  #: what is sent goes out in the end, or a write is due
        self._paused = False
        self._unsent = 0  #: bytes of answers, as they are counted by `CallSite`
        self._since = self._loop.time()  #: when it began to wait for what it waits for
        self._seen = -1  #: the youngest stream at the last look
        self._closing = False

    # the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self.peer = _peer(transport.get_extra_info("peername"))
        if not self._connections.add(self):
            transport.abort()  # type: ignore[attr-defined]  # every transport of a socket has it
            return
        self._flush()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._is_busy = True
        self.http.receive(data)
        self._flush()

    def eof_received(self) -> None:
        """The transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._connections.discard(self)
        for stream in list(self.http.streams.values()):
            self.http.out.drop(stream)
            self.cancelled(stream)
        self.http.streams.clear()
        self.http.out.frames, self.http.out.size = [], 0
        self._count_unsent()

    def pause_writing(self) -> None:
        self._paused = True
        self._since = self._loop.time()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        if not self._closing:
            self._transport.resume_reading()
            self._flush()

    def _flush(self) -> None:
        """Write what is to be sent, as far as the client reads."""
        out = self.http.out
        self._is_busy = True
        while not self._closing and not self._paused:
            if self.http.stalled:
                self.http.go_on()
            if out.has_room:
                self.http.pump()
            if not out.frames:
                break
            self._write()
            if not (out.has_room or self.http.stalled):
                break
        self._is_busy = False
        self._count_unsent()
        if self.http.left and not self._closing:
            self._close()

    def _write(self) -> None:
        out = self.http.out
        frames, out.frames, out.size = out.frames, [], 0
        self._transport.write(frames[0] if len(frames) == 1 else b"".join(frames))

    def _soon(self) -> None:
        """Something is to be sent; what no frame can take yet is counted at once, small answers once a turn."""
        if self.http.out.unsent:
            self._count_unsent()
        if not self._is_busy:
            self._is_busy = True
            self._loop.call_soon(self._flush)

    def _count_unsent(self) -> None:
        unsent = self.unread()
        self._site.unsent += unsent - self._unsent
        self._unsent = unsent

    def _close(self) -> None:
        """Nothing comes after what was written.

        A client that is still sending would lose it by a reset, with what it has begun since it was asked to leave and
        may do elsewhere: so it is the one that closes.
        """
        self._closing = True
        if self.http.out.frames:
            self._write()
        if not self._transport.can_write_eof():  # over TLS
            self._transport.close()
            return
        try:
            self._transport.write_eof()
        except OSError:  # the client has gone
            self._transport.abort()
        else:
            self._loop.call_later(_LINGER, self._linger)

    def _linger(self) -> None:
        """Close it though the client has not, once everything is on its way."""
        if self._transport.get_write_buffer_size():
            self._loop.call_later(_LINGER, self._linger)
        else:
            self._transport.abort()

    # streams

    def read_head(self, fields: Sequence[Field]) -> KnownHead:
        if self._others is None or is_grpc(fields):
            return call_head(fields)
        head = request_head(fields)
        return self._others.read_head(head), head.length

    def too_large(self) -> KnownHead:
        return too_large(self._limits.max_head)

    def began(self, stream: Stream) -> None:
        if self._others is None or isinstance(stream.head, CallHead):
            stream.call = GrpcCall(self._site, self, stream, self._loop)
        else:
            stream.call = self._others.call(self, stream)
        stream.call.begin()

    def received(self, stream: Stream, data: bytes) -> None:
        stream.call.received(data)

    def cancelled(self, stream: Stream) -> None:
        call, stream.call = stream.call, None  # which knows its stream, too
        if call is not None:
            call.cancelled()

    def drained(self, stream: Stream) -> None:
        stream.call.drained()

    # calls

    def answer(self, stream: Stream, head: bytes, body: bytes, trailers: bytes) -> None:
        self.http.answer(stream, head, body, trailers)
        self._soon()
        self._site.busy_poll.answered(self._loop)

    def begin_answer(self, stream: Stream, head: bytes) -> None:
        self.http.begin_answer(stream, head)
        self._soon()

    def send(self, stream: Stream, data: bytes) -> None:
        self.http.send(stream, data)
        self._soon()

    def end(self, stream: Stream, trailers: bytes) -> None:
        self.http.end(stream, trailers)
        self._soon()
        self._site.busy_poll.answered(self._loop)

    def used(self, stream: Stream, size: int) -> None:
        if stream.id in self.http.streams:
            self.http.used(stream, size)
            self._soon()

    def unread(self) -> int:
        return self.http.out.unsent + self.http.out.size

    def cut(self, stream: Stream) -> None:
        if stream.id in self.http.streams:
            self.http.reset(stream, ErrorCode.INTERNAL_ERROR)
            self._soon()

    def extra(self, name: str) -> Any:
        return self._transport.get_extra_info(name)

    # how long it takes, and its end

    def waits(self, now: float) -> tuple[Wait, float] | None:
        """As `connections.Client` has it."""
        if self._paused:
            return Wait.READING, self._since
        if not self.http.greeted or self.http.within_head:
            return (Wait.HEAD if self.http.greeted else Wait.FIRST_BYTE), self._since
        if not self.http.streams:
            if self._seen != self.http.last:
                self._seen, self._since = self.http.last, now
            return Wait.NEXT, self._since
        self._seen = -1
        self._since = now
        unread = min((each.moved_at for each in self.http.streams.values() if each.pending), default=math.inf)
        unsaid = min((each.call.began_at for each in self.http.streams.values() if each.call.waits), default=math.inf)
        if min(unread, unsaid) == math.inf:
            return None
        return (Wait.READING, unread) if unread < unsaid else (Wait.BODY, unsaid)

    def expire(self, wait: Wait, seconds: float) -> None:
        """As `connections.Client` has it."""
        before = self._loop.time() - seconds
        if wait is Wait.NEXT and not self._closing:
            if not self.leave():
                self._transport.abort()
        elif wait is Wait.READING and not self._paused:
            self._reset_unread(before)
        elif wait is Wait.BODY:
            for stream in [*self.http.streams.values()]:
                if stream.call.waits and stream.call.began_at <= before:
                    stream.call.too_slow(seconds, wait.value)
        else:
            self._transport.abort()

    def _reset_unread(self, before: float) -> None:
        for stream in [*self.http.streams.values()]:
            if stream.pending and stream.moved_at <= before:
                self.http.cancel(stream)
        self._flush()

    def make_room(self, wait: Wait) -> None:
        """As `connections.Client` has it."""
        if wait is Wait.NEXT and not self.http.failed:
            self.http.leave_now()
            self._flush()
        else:
            self._transport.abort()

    def leave(self) -> bool:
        """Ask the client to go; it is closed once it has nothing under way. False: it was asked before."""
        asked = self.http.leave()
        self._flush()
        return asked

    def leave_now(self) -> None:
        """The same, though what the client is sending now may be lost."""
        self.http.leave_now()
        self._flush()

    def abort(self) -> None:
        """It ends at once, with all that is under way."""
        self._transport.abort()


def _peer(name: Any) -> str:
    """A peer as gRPC names it."""
    if not isinstance(name, tuple):
        return "unix:"
    host, port = str(name[0]), name[1]
    if host.startswith(_MAPPED):
        host = host.removeprefix(_MAPPED)
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
