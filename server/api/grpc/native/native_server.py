"""A server of gRPC over our own HTTP/2: its ports, who is connected, and how it stops.

    listener --> (TlsProtocol) --> GrpcProtocol, counted by Connections, bounded by ConnectionLimits

At the end clients are asked to go by GOAWAY. Each says by a PING's answer that it has read that, and what it began
before is answered. So no call is lost, and nobody waits for a connection's age. Front processes, which come by the Unix
socket, go last.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

from server.api.connections import Connections
from server.api.grpc.channel_limits import HANDSHAKE_MS, IDLE_MS, MAX_STREAMS
from server.api.grpc.native.call_site import CallSite
from server.api.grpc.native.grpc_protocol import GrpcProtocol
from server.api.http2.frame_reader import Http2Limits
from server.api.http2.stream_link import OtherRequests
from server.api.tls import TlsProtocol
from server.config.settings import Settings
from server.runtime import drain
from server.runtime.certificates import CertificateFiles

_BACKLOG = 2048
_NO_IPV6 = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
#: seconds between two looks at who is still connected
_POLL = 0.02
#: seconds that clients have to say that they have read that the server goes
_TOLD = 1.0


@dataclass(frozen=True)
class GrpcConnectionLimits:
    """How many connections there may be, and for how many seconds each may have the server wait for what."""

    max_connections: int = 10_000
    first_byte_timeout: float = HANDSHAKE_MS / 1000  #: for the client's settings
    head_timeout: float = 20.0
    body_timeout: float = 120.0
    send_timeout: float = 60.0
    timeout_keep_alive: float = IDLE_MS / 1000

    @classmethod
    def of(cls, settings: Settings, max_connections: int) -> Self:
        """`max_connections` is this process's share."""
        return cls(max_connections, body_timeout=settings.body_timeout, send_timeout=settings.send_timeout)


class NativeServer:
    """Lives on the event loop."""

    def __init__(
        self, site: CallSite, limits: GrpcConnectionLimits, certificates: CertificateFiles | None = None
    ) -> None:
        """With `certificates` the port is served over TLS alone."""
        self._site = site
        self._limits = limits
        self._connections = Connections(limits)
        self._inner_connections = Connections(replace(limits, max_connections=sys.maxsize))
        self._certificates = certificates
        self._clients: set[GrpcProtocol] = set()  #: of the port
        self._inner: set[GrpcProtocol] = set()  #: of the Unix socket: front processes
        self._http2 = Http2Limits(max_streams=min(MAX_STREAMS, site.limits.max_calls))
        self._tcp: asyncio.Server | None = None
        self._unix: asyncio.Server | None = None
        self._leaving = self._ended = False

    async def start(self, port: int, *, shared: bool = False) -> int:
        """Listen on a TCP port; the port that it has got.

        Raises:
            OSError: the port is taken.
        """
        listener = _listener(port, shared)
        self._tcp = await asyncio.get_running_loop().create_server(self._accepted, sock=listener, backlog=_BACKLOG)
        bound: int = listener.getsockname()[1]
        return bound

    async def listen_inside(self, path: str) -> None:
        """Listen on the path of a Unix socket, too, for front processes."""
        loop = asyncio.get_running_loop()
        self._unix = await loop.create_unix_server(self._inner_protocol, path, backlog=_BACKLOG)

    def _accepted(self) -> asyncio.Protocol:
        """What talks to a client of the port."""
        if self._certificates is None:
            return self._protocol()
        seconds = self._limits.first_byte_timeout
        return TlsProtocol(self._context(self._certificates), self._connections, seconds, self._protocol)

    @staticmethod
    def _context(certificates: CertificateFiles) -> Callable[[], ssl.SSLContext]:
        return lambda: certificates.current().grpc_context

    def _protocol(self) -> asyncio.Protocol:
        return _Client(lambda: self._leaving, self._clients, self._site, self._connections, self._http2)

    def protocol(self, others: OtherRequests) -> asyncio.Protocol:
        """What talks to a client of a port that is not this server's own, encrypted already where it is."""
        return _Client(lambda: self._leaving, self._clients, self._site, self._connections, self._http2, others)

    def _inner_protocol(self) -> asyncio.Protocol:
        return _Client(lambda: self._ended, self._inner, self._site, self._inner_connections, self._http2)

    async def leave(self, seconds: float) -> None:
        """As `GrpcServer` has it."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        await self._close_port()
        self._leaving = True
        for client in [*self._clients]:
            client.leave()
        await drain.until_gone(lambda: self._clients, min(seconds, _TOLD), _POLL)
        for client in [*self._clients]:
            client.leave_now()
        await self._until_gone(self._clients, end)

    async def _until_gone(self, clients: set[GrpcProtocol], end: float) -> None:
        loop = asyncio.get_running_loop()
        while clients and loop.time() < end:  # noqa: ASYNC110  (each tells by its own end)
            await asyncio.sleep(_POLL)

    async def _close_port(self) -> None:
        """Lose nobody who is connecting: closing a listener resets those who wait in its queue."""
        if self._tcp is None:  # who has the port closes it, in the same time
            await asyncio.sleep(drain.HANDSHAKE)
            return
        listeners = [_double(each) for each in self._tcp.sockets]
        for listener in listeners:
            drain.shut(listener)
        await asyncio.sleep(drain.HANDSHAKE)
        self._tcp.close()
        for listener in listeners:
            with listener:
                await self._take_waiting(listener)

    async def stop(self, grace: float | None) -> None:
        """As `GrpcServer` has it."""
        end = asyncio.get_running_loop().time() + (grace or 0)
        for server in (self._tcp, self._unix):
            if server is not None:
                server.close()
        self._leaving = self._ended = True
        for clients in (self._clients, self._inner):
            for client in [*clients]:
                client.leave_now()
            await self._until_gone(clients, end)
            for client in [*clients]:
                client.abort()
        for task in self._site.tasks:
            task.cancel()

    async def _take_waiting(self, listener: socket.socket) -> None:
        """Those who are connected by now: closing the listener would reset them."""
        listener.setblocking(False)
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:  # nobody waits any more
                return
            accepted.setblocking(False)
            await asyncio.get_running_loop().connect_accepted_socket(self._accepted, accepted)


class _Client(GrpcProtocol):
    """A connection that its server knows of."""

    def __init__(self, is_leaving: Callable[[], bool], clients: set[GrpcProtocol], *bounds: Any) -> None:
        """`is_leaving`: whether new ones, too, are asked to go."""
        super().__init__(*bounds)
        self._is_leaving = is_leaving
        self._clients = clients

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._clients.add(self)
        super().connection_made(transport)
        if self._is_leaving():
            self.leave()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clients.discard(self)
        super().connection_lost(exc)


def _double(each: socket.socket) -> socket.socket:
    return socket.socket(fileno=os.dup(each.fileno()))


def _listener(port: int, shared: bool) -> socket.socket:
    """A socket on a port of all addresses, of IPv4 and IPv6 where the machine has that."""
    families = (socket.AF_INET6, socket.AF_INET) if socket.has_ipv6 else (socket.AF_INET,)
    for family in families:
        try:
            listener = socket.socket(family, socket.SOCK_STREAM)
        except OSError:
            continue
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
        except OSError as error:
            listener.close()
            if family == families[-1] or error.errno not in _NO_IPV6:
                raise
        else:
            return listener
    raise OSError("there is no TCP")
