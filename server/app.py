"""The server itself: `kserve.ModelServer` with our repository, routes and gRPC service, and an orderly start and stop.

Import this module only through `frame()`: `kserve.model_server` parses `sys.argv` when it is imported.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial

import kserve.model_server
import uvloop
from fastapi.exceptions import FastAPIDeprecationWarning
from kserve.protocol.rest.server import RESTServer
from kserve.utils import utils
from timing_asgi import TimingMiddleware

from server import __version__, grpc_service
from server.admin import Access
from server.catalog import Catalog
from server.dataplane import PolyDataPlane, PolyRepositoryExtension
from server.http import Routes
from server.jobs import Limits
from server.loader import Key, Loaded, Loader
from server.pages import add_pages
from server.protocol import HotProtocol, Shared
from server.repository import Repository
from server.settings import Settings
from server.signals import Signals
from server.stopping import Stopping
from server.storage.catalog import catalog_of
from server.threads import Threads

log = logging.getLogger("kserve")

#: threads for predictions; they start when needed, and a model uses one or as many as it has lanes
PREDICT_THREADS = 64

#: calls of one model at the same time, at most
MOST_LANES = 4

#: seconds between two looks of the interpreter at who may run: keeps the event loop punctual beside busy threads
SWITCH_INTERVAL = 0.001


class PolyServer(kserve.model_server.ModelServer):
    """One process, one event loop, REST and gRPC over one repository."""

    def __init__(self, settings: Settings, catalog: Catalog, loader: Loader) -> None:
        lanes = min(utils.cpu_count(), MOST_LANES)
        limits = Limits(settings.max_batch_rows, settings.max_queue, settings.request_timeout, lanes)
        self._predictors = Threads(PREDICT_THREADS, "predict", utils.cpu_count())
        rescan = partial(catalog_of, settings)
        self.repository = Repository(catalog, loader, self._predictors, limits, settings.ready, rescan)
        self.repository.log_latency = settings.enable_latency_logging
        super().__init__(registered_models=self.repository)
        self.repository.metrics.register()
        self.dataplane = PolyDataPlane(self.repository)
        self.model_repository_extension = PolyRepositoryExtension(self.repository)
        self._settings = settings
        self._access = Access.of(os.environ)
        self._shared = Shared(self.repository, settings.max_body_bytes)
        self._loader = loader

    def run(self, loading: Mapping[Key, Future[Loaded]], when_loaded: Callable[[], None], signals: Signals) -> None:
        """Serve until told to stop. Takes in what is being loaded; `when_loaded` is called when all were tried."""
        sys.setswitchinterval(SWITCH_INTERVAL)
        factory = asyncio.new_event_loop if self._settings.event_loop == "asyncio" else uvloop.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(self._main(partial(self.repository.first_scan, loading, when_loaded), signals))

    async def _main(self, first_scan: Callable[[], None], signals: Signals) -> None:
        self.setup_event_loop()
        self.repository.loop = asyncio.get_running_loop()
        self._loader.loop.set_result(self.repository.loop)
        rest = self._rest()
        first_scan()
        if self.enable_grpc:
            self._grpc_server = await self._serve_grpc()
        delay, grace = self._settings.stop_delay(os.environ), self._settings.grace_period
        stopping = Stopping(self.repository, rest._server, self._shared, delay, grace)
        stopping.listen_to(signals)
        ending = asyncio.create_task(stopping.run(self._grpc_server, self.grpc_port))
        await rest._server.serve()  # returns once told to stop and the requests in flight are answered
        await ending
        log.info("stopped")

    async def _serve_grpc(self) -> grpc_service.Server:
        service = grpc_service.InferenceService(self.repository, self.dataplane, self._access)
        limits = (self._settings.grpc_max_send_message_length, self._settings.grpc_max_receive_message_length)
        try:
            server = await grpc_service.serve(service, self.grpc_port, *limits)
        except RuntimeError as error:
            raise SystemExit(f"polyserve: --grpc_port={self.grpc_port} is taken: {error}") from error
        log.info("gRPC server listens on port %d", self.grpc_port)
        return server

    def _rest(self) -> RESTServer:
        """KServe's REST server with our routes in front of its application."""
        rest = RESTServer(
            Routes(kserve.model_server.app, self.repository, self._settings.max_body_bytes, self._access),
            self.dataplane,
            self.model_repository_extension,
            self.http_port,
            access_log_format=self.access_log_format,
            grace_period=math.ceil(self._settings.grace_period),
            event_loop=self.event_loop,
            timeout_keep_alive=self.timeout_keep_alive,
            ssl_certfile=self.ssl_certfile,
            ssl_keyfile=self.ssl_keyfile,
        )
        rest.config.http = partial(HotProtocol, self._shared)
        rest.config.proxy_headers = False  # `admin.is_local` looks for itself
        rest.create_application()
        add_pages(kserve.model_server.app, self.repository, __version__, self._settings.enable_docs_url)
        self._quieten()
        return rest

    def _quieten(self) -> None:
        """KServe logs three lines for every request; here each kind has to be asked for."""
        warnings.filterwarnings("ignore", category=FastAPIDeprecationWarning)  # KServe's, no operator can act on it
        if not self._settings.access_log:
            logging.getLogger("uvicorn.access").handlers.clear()
        if not self._settings.enable_latency_logging:
            app = kserve.model_server.app
            app.user_middleware = [each for each in app.user_middleware if each.cls is not TimingMiddleware]
