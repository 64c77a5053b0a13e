"""What a call needs of its connection."""

from __future__ import annotations

from typing import Protocol

from server.api.http2.stream_link import StreamLink


class CallLink(StreamLink, Protocol):
    """The connection, as far as its calls know it."""

    peer: str  #: `ipv4:127.0.0.1:4711`, `ipv6:[::1]:4711` or `unix:`
