"""What the processes of a server that take requests have in common: limits, threads, the REST server, the loop."""

from __future__ import annotations

import asyncio
import logging
import math
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop
from kserve.protocol.rest.server import RESTServer
from kserve.utils import utils

from server.asgi import App
from server.jobs import Limits
from server.settings import Settings
from server.threads import Threads

#: threads for predictions; they start when needed, and a model uses one or as many as it has lanes
PREDICT_THREADS = 64

#: calls of one model at the same time, at most
MOST_LANES = 4

#: seconds between two looks of the interpreter at who may run: keeps the event loop punctual beside busy threads
SWITCH_INTERVAL = 0.001


def limits_of(settings: Settings) -> Limits:
    """What bounds the queue of a model that does not say otherwise."""
    lanes = min(utils.cpu_count(), MOST_LANES)
    return Limits(settings.max_batch_rows, settings.max_queue, settings.request_timeout, lanes)


def predictors() -> Threads:
    """The threads that models run on."""
    return Threads(PREDICT_THREADS, "predict", utils.cpu_count())


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
    rest.config.proxy_headers = False  # `admin.is_local` looks for itself
    if not settings.access_log:
        logging.getLogger("uvicorn.access").handlers.clear()
    return rest


async def listening(rest: RESTServer) -> None:
    """Wait until the REST server takes connections."""
    while not rest._server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
        await asyncio.sleep(0.01)


def run(settings: Settings, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run an event loop until `main` returns."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    factory = asyncio.new_event_loop if settings.event_loop == "asyncio" else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
