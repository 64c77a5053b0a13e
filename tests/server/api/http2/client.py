"""A client that says exactly what a test wants, and a server's application that remembers what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import hpack

from server.api.http2 import frames
from server.api.http2.connection import Http2Connection
from server.api.http2.frame_reader import Http2Limits
from server.api.http2.frames import END_HEADERS, END_STREAM, HEADERS, PREFACE, ErrorCode, frame
from server.api.http2.hpack import Field
from server.api.http2.outbox import Stream
from server.api.http2.request_head import request_head

HEAD = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"localhost")]
#: what a client begins with
HELLO = PREFACE + frames.settings({})


def block(*fields: Field, base: Sequence[Field] = HEAD) -> bytes:
    """A header block without any state."""
    encoder = hpack.Encoder()
    return b"".join(encoder.encode([hpack.NeverIndexedHeaderTuple(*each)]) for each in (*base, *fields))


def headers(stream: int, flags: int = END_HEADERS | END_STREAM, payload: bytes | None = None) -> bytes:
    return frame(HEADERS, flags, stream, block() if payload is None else payload)


class Application:
    """A `StreamHandler`: keeps the streams, and answers when it is told to."""

    def __init__(self) -> None:
        self.begun: list[Stream] = []
        self.bodies: dict[int, bytes] = {}
        self.gone: list[int] = []
        self.idle: list[int] = []
        self.when_whole: Callable[[Stream], None] = lambda stream: None

    def read_head(self, fields: Sequence[Field]) -> tuple[Any, int | None]:
        head = request_head(fields)
        return head, head.length

    def too_large(self) -> tuple[Any, int | None]:
        return "too large", None

    def began(self, stream: Stream) -> None:
        self.begun.append(stream)
        self.bodies[stream.id] = b""
        if stream.remote_closed:
            self.when_whole(stream)

    def received(self, stream: Stream, data: bytes) -> None:
        self.bodies[stream.id] += data
        if stream.remote_closed:
            self.when_whole(stream)

    def cancelled(self, stream: Stream) -> None:
        self.gone.append(stream.id)

    def drained(self, stream: Stream) -> None:
        self.idle.append(stream.id)


class Talk:
    """One connection, told by what is said on it."""

    def __init__(self, limits: Http2Limits | None = None, hello: bytes = HELLO) -> None:
        self.now = 0.0
        self.app = Application()
        self.http = Http2Connection(self.app, limits or Http2Limits(), lambda: self.now)
        self.said(hello)
        self.heard()

    def said(self, data: bytes) -> None:
        self.http.receive(data)

    def heard(self) -> list[tuple[int, int, int, bytes]]:
        """(type, flags, stream, payload) of the frames since the last time."""
        self.http.pump()
        while self.http.out.has_room and self.http.out.size < 2**20:
            self.http.out.size, size = 0, self.http.out.size
            self.http.pump()
            self.http.out.size += size
        data, self.http.out.frames, self.http.out.size = b"".join(self.http.out.frames), [], 0
        return list(split(data))

    def ends(self, data: bytes) -> tuple[str, str]:
        """What is said is answered by: ("connection" or "stream", the code), or ("nothing", "")."""
        self.said(data)
        for kind, _, _, payload in self.heard():
            if kind == frames.GOAWAY:
                assert self.http.failed
                return "connection", ErrorCode(int.from_bytes(payload[4:8], "big")).name
            if kind == frames.RST_STREAM:
                return "stream", ErrorCode(int.from_bytes(payload, "big")).name
        return "nothing", ""


def split(data: bytes) -> list[tuple[int, int, int, bytes]]:
    found, at = [], 0
    while at < len(data):
        high, low, kind, flags, number = frames.read_head(data, at)
        end = at + 9 + (high << 8 | low)
        found.append((kind, flags, number, data[at + 9 : end]))
        at = end
    return found
