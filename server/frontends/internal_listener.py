"""Where the main process takes what front processes hand on: its own application, on a Unix socket."""

from __future__ import annotations

import asyncio
import copy
import logging
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from server.api.connections import Wait
from server.api.rest.bounded_protocol import Bounds
from server.api.rest.fast_protocol import FastProtocol, ServerContext
from server.api.rest.transport import LingeringTransport
from server.frontends.proxy_protocol import LONGEST, addresses

log = logging.getLogger("kserve")

#: seconds that a connection may be idle: front processes close theirs with the client's, and there is nobody else
_FOR_EVER = 10**7


class InternalTransport(LingeringTransport):
    """Front processes close their connections: an answer may come before its request has been sent to its end."""

    linger = 30.0


class InternalProtocol(FastProtocol):
    """A connection that a front process makes for one client: `preamble`'s line, then that client's requests.

    Front processes log their requests themselves, and keep to the time that clients have. Which host these name they
    have seen to, too: a client's of HTTP/1.0, which comes as HTTP/1.1 here, may name none.
    """

    transport_class = InternalTransport
    names_host = False

    def __init__(self, shared: ServerContext, **uvicorns: Any) -> None:
        super().__init__(shared, **uvicorns)
        self.access_log = self._logs = False
        self._known = False  #: the preamble has been read
        self._preamble = b""  #: what has come of it

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.transport.still_sending = lambda: True

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._known:
            super().data_received(data)
        else:
            self._preamble += data
            self._read_preamble()

    def _read_preamble(self) -> None:
        """Take the client's address from it once it is whole; the connection is closed where there is none."""
        line, end, _ = self._preamble[:LONGEST].partition(b"\r\n")
        if not end and len(self._preamble) < LONGEST:
            return
        try:
            found = addresses(line + end)
        except ValueError as error:
            log.warning("a connection to the main process is closed: %s", error)
            self.transport.close()
            return
        self.client, self.server = found or (None, None)
        rest = self._preamble[len(line + end) :]
        self._known, self._preamble = True, b""
        if rest:
            super().data_received(rest)


def bounds(others: Bounds) -> Bounds:
    """Of these connections: front processes keep to what clients may take, and all bodies are held together."""
    endless: dict[str, Any] = {wait.value: float(_FOR_EVER) for wait in Wait}
    limits = replace(others.limits, max_connections=sys.maxsize, **endless)
    return Bounds(limits, others.bodies)


async def listen(path: Path, config: uvicorn.Config, shared: ServerContext) -> asyncio.Server:
    """Serve the application of a server that runs on a Unix socket, too."""
    own = copy.copy(config)
    own.timeout_keep_alive = _FOR_EVER
    protocol = partial(InternalProtocol, shared, config=own, server_state=ServerState(), app_state={})
    return await asyncio.get_running_loop().create_unix_server(protocol, str(path), backlog=config.backlog)
