"""The servers of a front process: the same as the main process's, over copies and what is handed on."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from server.api.access import Access
from server.api.grpc.callers import Callers
from server.api.grpc.grpc_server import GrpcServer
from server.api.grpc.reflection import reflection_handlers
from server.api.grpc.start_server import start_grpc
from server.api.kserve.host import configure_logging, cpu_count
from server.api.kserve.rest_server import certificates_of, listening, rest_server
from server.api.rest.bounded_protocol import Bounds
from server.api.rest.fast_protocol import ServerContext, head_rules
from server.api.rest.limits import HttpLimits
from server.api.rest.manners import Manners
from server.api.shared_port import SharedPort
from server.api.shutdown import Shutdown
from server.config.settings import Settings
from server.frontends.control_server import ControlServer
from server.frontends.copy_repository import CopyRepository
from server.frontends.grpc_proxy import GrpcProxy
from server.frontends.http_proxy import FrontendProtocol, FrontendRoutes
from server.inference.batching.queue import limits_of
from server.inference.batching.threads import predictors
from server.repository.observation import Observation
from server.runtime import logs, memory
from server.runtime.busy_poll import BusyPoll
from server.runtime.descriptors import Shares
from server.runtime.event_loop import run
from server.runtime.sockets import shared_listener
from server.telemetry.metrics import MetricsByModel

log = logging.getLogger("kserve")


class FrontendServer:
    """REST and gRPC on the main process's ports."""

    def __init__(self, settings: Settings, number: int, start: Mapping[str, Any], control: socket.socket) -> None:
        """`start` is what the main process has sent over `control`, in message `number`."""
        configure_logging(settings)
        logs.identify()
        self._settings = settings
        self._number = number
        self._http_port: int = start["http_port"]
        self._grpc_port: int = start["grpc_port"]
        self._directory = Path(start["directory"])
        self._control = control
        self._shared_port = SharedPort() if settings.one_port else None
        cores = cpu_count()
        counts = MetricsByModel()
        self._observation = Observation(settings, os.environ, counts)
        how = (settings.enable_latency_logging, self._observation.taps, counts)
        self._copies = CopyRepository(predictors(cores), limits_of(settings, cores), *how)
        self._shares = Shares.of(settings.max_connections, settings.workers)
        self._bounds = Bounds(HttpLimits.of(settings, self._shares.http))
        self._certificates = certificates_of(settings, tells=False)  # the main process does
        self._keys = Access.of(os.environ, settings.api_keys_file, lenient=True).keys
        self._shared = ServerContext(
            *(self._copies, settings.max_body_bytes),
            bounds=self._bounds,
            rules=head_rules(settings),
            guard=self._keys,
            busy_poll=BusyPoll(settings.busy_poll / 1e6),
        )

    def run(self) -> None:
        """Serve until the main process says stop."""
        try:
            run(self._settings.event_loop, self._main)
        finally:
            self._observation.close()

    async def _main(self) -> None:
        self._control.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=self._control)
        here = FrontendRoutes(self._copies, self._settings.max_body_bytes, self._bounds.bodies, self._keys)
        root, makes_ids = self._settings.root_path, self._settings.request_ids
        routes = Manners(here, root, make_ids=makes_ids, hands_on_admin=True)
        protocol = partial(FrontendProtocol, self._directory / "http", self._copies, self._shared)
        transport = (self._bounds, self._certificates)
        rest = rest_server(self._settings, routes, self._http_port, protocol, *transport, shared_port=self._shared_port)
        uvicorn = rest._server
        setattr(uvicorn, "handle_exit", lambda *_: None)  # noqa: B010  (a method: uvicorn takes the signals over)
        uvicorn.config.lifespan = "off"
        shutdown = Shutdown(self._copies, uvicorn, self._shared, self._settings.grace_period)
        control = ControlServer(writer, self._copies, shutdown.begin)
        grpc = await self._serve_grpc()
        serving = asyncio.create_task(uvicorn.serve([shared_listener(self._http_port)]))
        ending = asyncio.create_task(shutdown.run(grpc))
        await listening(rest)
        memory.settle()
        control.answer(self._number)
        controlling = asyncio.create_task(control.serve(reader))
        await serving
        await ending
        controlling.cancel()

    async def _serve_grpc(self) -> GrpcServer | None:
        if not self._settings.enable_grpc:
            return None
        callers = Callers(self._keys, make_ids=self._settings.request_ids)
        proxy = GrpcProxy(self._copies, self._directory, callers)
        server, _ = await start_grpc(
            self._settings,
            [proxy, *reflection_handlers()],
            proxy.inference,
            self._grpc_port,
            self._shares.grpc,
            self._bounds.bodies,
            shared=True,
            certificates=self._certificates,
            hand_over=self._shared_port.hand_over if self._shared_port else None,
        )
        return server
