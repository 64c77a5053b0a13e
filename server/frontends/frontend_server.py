"""The servers of a front process: the same as the main process's, over copies and what is handed on."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import kserve.logging
from kserve.utils.utils import cpu_count

from server.api.grpc import service
from server.api.rest.fast_protocol import ServerContext
from server.api.rest.server import listening, rest_server
from server.api.shutdown import Shutdown
from server.config.settings import Settings
from server.frontends.follower import ControlServer
from server.frontends.grpc_proxy import GrpcProxy
from server.frontends.http_routes import FrontendProtocol, FrontendRoutes
from server.frontends.mirror import CopyRepository
from server.inference.batching.queue import limits_of
from server.inference.batching.threads import predictors
from server.runtime import memory
from server.runtime.event_loop import run
from server.runtime.sockets import shared_listener

log = logging.getLogger("kserve")


class FrontendServer:
    """REST and gRPC on the main process's ports."""

    def __init__(self, settings: Settings, number: int, start: Mapping[str, Any], end: socket.socket) -> None:
        """`start` is what the main process has told over `end`, in message `number`."""
        if settings.configure_logging:
            kserve.logging.configure_logging(settings.log_config_file)
        self._settings = settings
        self._number = number
        self._http_port: int = start["http_port"]
        self._grpc_port: int = start["grpc_port"]
        self._directory = Path(start["directory"])
        self._end = end
        cores = cpu_count()
        self._mirror = CopyRepository(predictors(cores), limits_of(settings, cores), settings.enable_latency_logging)
        self._shared = ServerContext(self._mirror, settings.max_body_bytes)

    def run(self) -> None:
        """Serve until told to stop."""
        run(self._settings.event_loop, self._main)

    async def _main(self) -> None:
        self._end.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=self._end)
        routes = FrontendRoutes(self._mirror, self._settings.max_body_bytes)
        protocol = partial(FrontendProtocol, self._directory / "http", self._mirror, self._shared)
        rest = rest_server(self._settings, routes, self._http_port, protocol)
        uvicorn = rest._server
        setattr(uvicorn, "handle_exit", lambda *_: None)  # noqa: B010  (a method: uvicorn takes the signals over)
        uvicorn.config.lifespan = "off"
        stopping = Shutdown(self._mirror, uvicorn, self._shared, self._settings.grace_period)
        talk = ControlServer(writer, self._mirror, stopping.begin)
        grpc = await self._serve_grpc()
        serving = asyncio.create_task(uvicorn.serve([shared_listener(self._http_port)]))
        ending = asyncio.create_task(stopping.run(grpc, self._grpc_port))
        await listening(rest)
        memory.settle()
        talk.answer(self._number)
        following = asyncio.create_task(talk.follow(reader))
        await serving
        await ending
        following.cancel()

    async def _serve_grpc(self) -> service.Server | None:
        if not self._settings.enable_grpc:
            return None
        handlers = GrpcProxy(self._mirror, self._directory)
        limits = (self._settings.grpc_max_send_message_length, self._settings.grpc_max_receive_message_length)
        server, _ = await service.serve(handlers, self._grpc_port, *limits, shared=True)
        return server
