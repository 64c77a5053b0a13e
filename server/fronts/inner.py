"""Where the main process takes what front processes hand on: its own application, on a Unix socket."""

from __future__ import annotations

import asyncio
import copy
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from server.asgi import App, Receive, Scope, Send
from server.fronts.forward import CLIENT
from server.protocol import HotProtocol, Shared

#: seconds that a connection may be idle: front processes keep theirs, and there is nobody else
_FOR_EVER = 10**7


class Handed:
    """ASGI: says where a request comes from that a front process has handed on."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["headers"] and scope["headers"][-1][0] == CLIENT:
            host, _, port = str(scope["headers"][-1][1], "latin-1").partition(" ")
            scope["client"] = (host, int(port))
            scope["headers"] = scope["headers"][:-1]
        await self._app(scope, receive, send)


class InnerProtocol(HotProtocol):
    """Front processes log their requests themselves."""

    def __init__(self, shared: Shared, **uvicorns: Any) -> None:
        super().__init__(shared, **uvicorns)
        self.access_log = self._general = False


async def listen(path: Path, config: uvicorn.Config, shared: Shared) -> asyncio.Server:
    """Serve the application of a server that runs on a Unix socket, too."""
    own = copy.copy(config)
    own.timeout_keep_alive = _FOR_EVER
    own.loaded_app = Handed(config.loaded_app)
    protocol = partial(InnerProtocol, shared, config=own, server_state=ServerState(), app_state={})
    return await asyncio.get_running_loop().create_unix_server(protocol, str(path), backlog=config.backlog)
