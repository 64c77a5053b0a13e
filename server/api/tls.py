"""TLS before HTTP: a connection is counted, and has a bounded time, from before its handshake on.

uvicorn lets the event loop shake hands, which tells nobody of connections that are at it, and gives them a minute.

    TlsProtocol: counted -> handshake -> the HTTP protocol, which is counted in its place
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from collections.abc import Callable

from server.api.connections import Connections, Wait

log = logging.getLogger("kserve")


class TlsProtocol(asyncio.Protocol):
    """A connection until its handshake is done."""

    def __init__(
        self,
        context: Callable[[], ssl.SSLContext],
        connections: Connections,
        seconds: float,
        protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        """`context` tells how to encrypt now; `seconds`: for the handshake; `protocol` makes what talks then."""
        self._context = context
        self._connections = connections
        self._seconds = seconds
        self._make = protocol
        self._since = 0.0
        self._handshake: asyncio.Task[None] | None = None
        self._socket: socket.socket | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # of TCP
        """Take the connection over before a byte of it is read: the event loop begins TLS with nothing else.

        Of a Unix socket (`--uds`) nothing is encrypted: who may open it says its directory.
        """
        accepted = transport.get_extra_info("socket")
        if accepted.family == socket.AF_UNIX:
            protocol = self._make()
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
            return
        self._socket = socket.socket(fileno=os.dup(accepted.fileno()))
        self._socket.setblocking(False)
        transport.abort()  # closes its own descriptor alone
        self._since = asyncio.get_running_loop().time()
        if self._connections.add(self):
            self._handshake = asyncio.create_task(self._shake_hands(self._socket))
        else:
            self._socket.close()

    def waits(self, now: float) -> tuple[Wait, float] | None:
        return Wait.HEAD, self._since

    def expire(self, wait: Wait, seconds: float) -> None:
        self._abort()

    def make_room(self, wait: Wait) -> None:
        self._abort()

    def _abort(self) -> None:
        """The handshake ends with the connection."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    async def _shake_hands(self, accepted: socket.socket) -> None:
        context = self._context()
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._make, accepted, ssl=context, ssl_handshake_timeout=self._seconds
            )
        except (OSError, ValueError) as error:  # of TLS, too: no certificate, no TLS at all, no time left
            log.debug("a connection ended at its TLS handshake: %s", error)
            accepted.close()
        finally:
            self._connections.discard(self)
