"""One TCP port for REST and gRPC (`--grpc_port` that is `--http_port`): what a client says first tells what it speaks.

    PRI * HTTP/2.0 --> HTTP/2: gRPC's calls to their methods, all other requests to REST (`rest.http2_requests`)
    anything else  --> HTTP/1.1: the protocol of the REST server

Behind TLS, ALPN may have told already; a client that was told HTTP/1.1 and says HTTP/2, as httpx can, is taken at its
word. Source: RFC 9113, 3.2 to 3.4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from server.api.connections import Connections, Wait
from server.api.http2.frames import PREFACE
from server.api.http2.stream_link import MakeHttp2
from server.api.rest.http2_requests import Http2Requests

#: bytes of the preface that no request of HTTP/1.1 begins with
_TELLING = 4


class SharedPort:
    """Of one process: the REST server listens, and gRPC's server hands over what makes its connections."""

    def __init__(self) -> None:
        self._http2: MakeHttp2 | None = None

    def hand_over(self, http2: MakeHttp2) -> None:
        """`http2` makes what talks to clients that speak it: from now on."""
        self._http2 = http2

    def protocol(self, connections: Connections, rest: Callable[..., Any], **uvicorns: Any) -> asyncio.Protocol:
        """What talks to a new client first; `rest` makes what talks HTTP/1.1, given what uvicorn gives."""
        make = partial(rest, **uvicorns)
        http2 = self._http2
        if http2 is None:
            return make()  # type: ignore[no-any-return]
        return FirstBytes(connections, make, lambda: http2(Http2Requests(make)), uvicorns["server_state"].connections)


class FirstBytes(asyncio.Protocol):
    """A connection until it is clear what its client speaks; it is counted, and its time is bounded."""

    def __init__(
        self,
        connections: Connections,
        rest: Callable[[], asyncio.Protocol],
        http2: Callable[[], asyncio.Protocol],
        stopping: set[Any],
    ) -> None:
        """`stopping`: whom the REST server tells, by `shutdown`, that it stops."""
        self._connections = connections
        self._rest = rest
        self._http2 = http2
        self._stopping = stopping
        self._begun = b""
        self._since = 0.0
        self._decided = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # of a socket
        self._transport = transport
        self._since = asyncio.get_running_loop().time()
        spoken = transport.get_extra_info("ssl_object")
        if spoken is not None and spoken.selected_alpn_protocol() == "h2":
            self._decide(self._http2)
        elif not isinstance(transport.get_extra_info("peername"), tuple):
            self._decide(self._rest)  # a Unix socket: gRPC takes who comes by one for a process of the server's own
        elif self._connections.add(self):
            self._stopping.add(self)
        else:
            self._decide(self._rest)  # which says that there is no room

    def data_received(self, data: bytes) -> None:
        self._begun += data
        if not PREFACE.startswith(self._begun[: len(PREFACE)]):
            self._decide(self._rest)
        elif len(self._begun) >= _TELLING:
            self._decide(self._http2)

    def _decide(self, make: Callable[[], asyncio.Protocol]) -> None:
        self._leave()
        self._decided = True
        protocol, begun = make(), self._begun
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        if begun:
            protocol.data_received(begun)

    def _leave(self) -> None:
        self._connections.discard(self)
        self._stopping.discard(self)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._decided:
            self._leave()

    def waits(self, now: float) -> tuple[Wait, float] | None:
        """As `connections.Client` has it."""
        return (Wait.HEAD if self._begun else Wait.FIRST_BYTE), self._since

    def expire(self, wait: Wait, seconds: float) -> None:
        """As `connections.Client` has it."""
        self._transport.abort()

    def make_room(self, wait: Wait) -> None:
        """As `connections.Client` has it."""
        self._transport.abort()

    def shutdown(self) -> None:
        """The server has waited long enough for its first byte."""
        self._transport.close()
