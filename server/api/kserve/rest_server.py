"""KServe's REST server over our HTTP protocol, as every process that takes requests runs it."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any

from kserve.protocol.rest.server import RESTServer

from server.api.rest.asgi import App
from server.config.settings import Settings

__all__ = ["RESTServer", "listening", "rest_server"]


def rest_server(
    settings: Settings,
    app: App,
    port: int,
    protocol: Callable[..., asyncio.Protocol],
    data_plane: Any = None,
    extension: Any = None,
) -> RESTServer:
    """KServe's REST server, without its application, over our HTTP protocol."""
    rest = RESTServer(
        app,
        data_plane,
        extension,
        port,
        access_log_format=settings.access_log_format,
        grace_period=math.ceil(settings.grace_period),
        event_loop=settings.event_loop,
        timeout_keep_alive=settings.timeout_keep_alive,
        ssl_certfile=settings.ssl_certfile,
        ssl_keyfile=settings.ssl_keyfile,
    )
    rest.config.http = protocol
    rest.config.proxy_headers = False  # `access.is_local` looks for itself
    if not settings.access_log:
        logging.getLogger("uvicorn.access").handlers.clear()
    return rest


async def listening(rest: RESTServer) -> None:
    """Wait until the REST server takes connections."""
    while not rest._server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
        await asyncio.sleep(0.01)
