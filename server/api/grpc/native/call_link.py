"""What a call needs of its connection."""

from __future__ import annotations

from typing import Protocol

from server.api.http2.outbox import Stream


class CallLink(Protocol):
    """The connection, as far as its calls know it; what is sent goes out with the loop's turn."""

    peer: str  #: `ipv4:127.0.0.1:4711`, `ipv6:[::1]:4711` or `unix:`

    def answer(self, stream: Stream, head: bytes, body: bytes, trailers: bytes) -> None:
        """A whole answer, between its header blocks."""

    def begin_answer(self, stream: Stream, head: bytes) -> None:
        """The header block before an answer in parts."""

    def send(self, stream: Stream, data: bytes) -> None:
        """A part of the answer."""

    def end(self, stream: Stream, trailers: bytes) -> None:
        """The header block behind all parts, or instead of an answer."""

    def used(self, stream: Stream, size: int) -> None:
        """So many bytes more may come."""

    def unread(self) -> int:
        """Bytes of answers that the client has not read."""
