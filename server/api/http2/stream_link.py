"""What stands between the streams of a connection and who answers them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from server.api.http2.outbox import Stream
from server.api.http2.request_head import RequestHead


class StreamLink(Protocol):
    """The connection, as far as who answers a stream knows it; what is sent goes out with the loop's turn."""

    def answer(self, stream: Stream, head: bytes, body: bytes, trailers: bytes) -> None:
        """A whole answer, between its header blocks."""

    def begin_answer(self, stream: Stream, head: bytes) -> None:
        """The header block before an answer in parts."""

    def send(self, stream: Stream, data: bytes) -> None:
        """A part of the answer."""

    def end(self, stream: Stream, trailers: bytes) -> None:
        """The header block behind all parts, or instead of an answer; b"": there is none, only the end."""

    def used(self, stream: Stream, size: int) -> None:
        """So many bytes more may come."""

    def unread(self) -> int:
        """Bytes of answers that the client has not read."""

    def cut(self, stream: Stream) -> None:
        """There is no answer, or no end of it."""

    def extra(self, name: str) -> Any:
        """As `asyncio.BaseTransport.get_extra_info` has it."""


class StreamCall(Protocol):
    """Who answers a stream."""

    @property
    def began_at(self) -> float:
        """By the event loop's clock."""

    @property
    def waits(self) -> bool:
        """The client owes something without which nothing is done."""

    def begin(self) -> None:
        """The head is there."""

    def received(self, data: bytes) -> None:
        """Some of the body has come; the last of it where the stream is `remote_closed`."""

    def drained(self) -> None:
        """The client has read what was sent."""

    def cancelled(self) -> None:
        """Nobody waits for the answer."""

    def too_slow(self, seconds: float, setting: str) -> None:
        """The client has owed it for so long."""


class OtherRequests(Protocol):
    """What answers requests that are none of gRPC, on a port of both."""

    def read_head(self, head: RequestHead) -> Any:
        """What is kept of a head.

        Raises:
            MalformedHead
        """

    def call(self, link: StreamLink, stream: Stream) -> StreamCall:
        """Who answers a stream that has such a head."""


#: makes what talks to a client that speaks HTTP/2
MakeHttp2: TypeAlias = Callable[[OtherRequests], asyncio.Protocol]
