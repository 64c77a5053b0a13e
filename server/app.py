"""The server itself: `kserve.ModelServer` with our repository, routes and gRPC service, and an orderly start and stop.

Import this module only within `api.kserve.argv.arguments`: `kserve.model_server` parses `sys.argv` when it is imported.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, MutableMapping
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

from prometheus_client import REGISTRY

from server import __version__
from server.api.access import Access
from server.api.grpc import service
from server.api.grpc.grpc_server import GrpcServer
from server.api.grpc.start_server import start_grpc
from server.api.kserve import frame
from server.api.kserve.dataplane import PolyDataPlane, PolyRepositoryExtension
from server.api.kserve.host import configure_logging, cpu_count, register
from server.api.kserve.models import KServeRegistry
from server.api.kserve.pages import add_pages
from server.api.kserve.rest_server import RESTServer, certificates_of, listening, rest_server
from server.api.lookup import Refresh, nothing_new
from server.api.openai.endpoints import OpenAIPaths
from server.api.rest.bounded_protocol import Bounds
from server.api.rest.cors import Cors
from server.api.rest.fast_protocol import FastProtocol, ServerContext, head_rules
from server.api.rest.keyed_routes import KeyedRoutes
from server.api.rest.limits import HttpLimits
from server.api.rest.manners import Manners
from server.api.rest.methods import Methods
from server.api.rest.routes import Routes
from server.api.rest.unix_socket import SocketTaken, listening_on, make_room
from server.api.shared_port import SharedPort
from server.api.shutdown import Shutdown
from server.api.start_banner import banner
from server.api.triton.server_settings import ChangeLevel
from server.config.api_keys import KeysError
from server.config.settings import Settings
from server.frontends import internal_listener
from server.frontends.manager import FrontendManager
from server.inference import decoded_room
from server.inference.batching.queue import limits_of
from server.inference.batching.threads import predictors
from server.loading.catalog import Catalog, Found
from server.loading.loader import Loaded, Loader
from server.loading.memory_budget import Budget, Demand, ModelKey
from server.repository.observation import Observation
from server.repository.repository import Repository
from server.repository.store import ModelStore
from server.runtime import logs
from server.runtime.busy_poll import BusyPoll
from server.runtime.certificates import CertificateFiles
from server.runtime.descriptors import Shares
from server.runtime.event_loop import run
from server.runtime.log_rings import LogRings
from server.runtime.signals import Signals
from server.runtime.sockets import PortTaken, check_free, shared_listener
from server.telemetry.certificate_metric import CertificateMetric

log = logging.getLogger("kserve")

_OTHER_PORT = "end what listens there, or name another port"


class PolyServer(frame.ModelServer):
    """The main process: one event loop, REST and gRPC over one repository."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        loader: Loader,
        rescan: Callable[[], Catalog] | None = None,
        before_load: Callable[[Found], None] = lambda found: None,
        unrequested: Demand = Demand.TRY,
    ) -> None:
        """`rescan`, `before_load`, `unrequested`: as `Repository` has them."""
        logs.identify()
        decoded_room.allow(settings.bodies_bytes)
        self._log_rings = LogRings()
        cores = cpu_count()
        store = ModelStore()
        self._settings = settings
        self._frontends = _frontends(settings, loader.budget, store)
        self._observation = Observation(settings, os.environ, store.metrics)
        self.repository = Repository(
            catalog,
            loader,
            predictors(cores),
            limits_of(settings, cores),
            settings.ready,
            rescan,
            store=store,
            replicas=self._frontends,
            before_load=before_load,
            unrequested=unrequested,
            log_latency=settings.enable_latency_logging,
            taps=self._observation.taps,
            keyed=bool(settings.api_keys_file),
        )
        configure_logging(settings)
        logging.getLogger("kserve").addHandler(self._log_rings)
        super().__init__(registered_models=KServeRegistry(self.repository))
        register(self.repository.metrics)
        self.dataplane = PolyDataPlane(self.repository)
        self.model_repository_extension = PolyRepositoryExtension(self.repository)
        self._access = _access(settings)
        self._shares = Shares.of(settings.max_connections, settings.workers if self._frontends else 1)
        self._bounds = Bounds(HttpLimits.of(settings, self._shares.http))
        self._shared = ServerContext(
            self.repository,
            settings.max_body_bytes,
            bounds=self._bounds,
            rules=head_rules(settings),
            guard=self._access.keys,
            busy_poll=BusyPoll(settings.busy_poll / 1e6),
        )
        self._certificates = _certificates(settings)
        self._loader = loader
        self._grpc_port = 0
        self._shared_port = SharedPort() if settings.one_port else None

    def run(
        self, loading: MutableMapping[ModelKey, Future[Loaded]], when_loaded: Callable[[], None], signals: Signals
    ) -> None:
        """Serve until told to stop. Takes in what is being loaded; `when_loaded` is called when all were tried."""
        try:
            run(
                self._settings.event_loop,
                lambda: self._main(partial(self.repository.first_scan, loading, when_loaded), signals),
            )
        finally:
            self._observation.close()
            if self._frontends:
                self._frontends.remove_directory()

    async def _main(self, first_scan: Callable[[], None], signals: Signals) -> None:
        self.setup_event_loop()
        self.repository.attach_loop(asyncio.get_running_loop())
        self._loader.attach_loop(asyncio.get_running_loop())
        self._check_port()
        rest = self._rest()
        listener = self._listener()
        first_scan()
        if self.enable_grpc:
            self._grpc_server = await self._serve_grpc()
        delay, grace = self._settings.stop_delay(os.environ), self._settings.grace_period
        end_others = self._frontends.stop if self._frontends else lambda grace: None
        stopping = Shutdown(self.repository, rest._server, self._shared, grace, delay, end_others)
        stopping.listen_to(signals)
        ending = asyncio.create_task(stopping.run(self._grpc_server))
        # `serve` returns once told to stop and the requests in flight are answered
        await asyncio.gather(
            rest._server.serve([listener] if listener else None),
            self._start_frontends(rest, listener),
            self._serve_unix_socket(rest, ending),
            self._tell_addresses(rest),
        )
        await ending
        log.info("stopped")

    async def _tell_addresses(self, rest: RESTServer) -> None:
        """Log where the server listens, once it does."""
        await listening(rest)
        port = rest._server.servers[0].sockets[0].getsockname()[1]
        log.info("%s", banner(self._settings, port, self._grpc_port, self._access.rule))

    async def _serve_unix_socket(self, rest: RESTServer, ending: asyncio.Task[None]) -> None:
        """REST on `--uds` as well, until no new connections are taken."""
        if (path := self._settings.uds) is None:
            return
        await listening(rest)
        try:
            async with listening_on(path, rest._server):
                if self._frontends:
                    log.info("the REST server listens on %s, too: this process alone answers there (--workers)", path)
                else:
                    log.debug("the REST server listens on %s, too", path)
                await asyncio.wait([ending])
        except SocketTaken as error:
            raise SystemExit(f"polyserve: --uds={path} cannot be listened on: {error}") from error

    def _check_port(self) -> None:
        """Say in one line that the REST port or socket is somebody's, before models are loaded for nobody.

        Raises:
            SystemExit
        """
        try:
            check_free(self._settings.rest_port)
        except PortTaken as error:
            port = self._settings.rest_port
            raise SystemExit(f"polyserve: --http_port={port} is taken: {error}; {_OTHER_PORT}") from error
        if (path := self._settings.uds) is not None:
            try:
                make_room(path)
            except SocketTaken as error:
                raise SystemExit(f"polyserve: --uds={path} cannot be listened on: {error}") from error

    def _listener(self) -> socket.socket | None:
        """The socket of the REST port, where others share it."""
        if self._frontends is None:
            return None
        try:
            check_free(self._settings.rest_port)
            return shared_listener(self._settings.rest_port)
        except PortTaken as error:
            port = self._settings.rest_port
            raise SystemExit(f"polyserve: --http_port={port} is taken: {error}; {_OTHER_PORT}") from error

    async def _start_frontends(self, rest: RESTServer, listener: socket.socket | None) -> None:
        if self._frontends is None or listener is None:
            return
        await listening(rest)
        shared = replace(self._shared, bounds=internal_listener.bounds(self._bounds))
        self._inner = await internal_listener.listen(self._frontends.directory / "http", rest.config, shared)
        self._frontends.start(
            {
                "settings": self._settings.plain(),
                "http_port": listener.getsockname()[1],
                "grpc_port": self._grpc_port,
            }
        )

    async def _serve_grpc(self) -> GrpcServer:
        wanted_ids = self._settings.request_ids
        asked = (self.repository, self._access, self._refresh())
        inference = service.InferenceService(*asked, make_ids=wanted_ids, change_level=self._change_level())
        handlers = service.handlers(inference)
        wanted = self._settings.grpc_port
        inner_socket = str(self._frontends.directory / "grpc") if self._frontends else ""
        try:
            if self._shared_port is None:
                check_free(wanted)  # gRPC's own words for it are many
            server, self._grpc_port = await start_grpc(
                self._settings,
                handlers,
                inference.inference,
                wanted,
                self._shares.grpc,
                self._bounds.bodies,
                inner_socket,
                shared=bool(self._frontends),
                certificates=self._certificates,
                hand_over=self._shared_port.hand_over if self._shared_port else None,
            )
        except (RuntimeError, OSError, PortTaken) as error:
            raise SystemExit(f"polyserve: --grpc_port={wanted} is taken: {error}; {_OTHER_PORT}") from error
        return server

    def _change_level(self) -> ChangeLevel:
        return self._frontends.log_from if self._frontends else logs.set_level

    def _refresh(self) -> Refresh:
        return self._frontends.refresh if self._frontends else nothing_new

    def _rest(self) -> RESTServer:
        """KServe's REST server with our routes in front of its application."""
        theirs = frame.application()
        limits = (self._settings.max_body_bytes, self._access, self._refresh(), self._bounds.bodies)
        openai = OpenAIPaths(self._settings.openai_route_prefix)
        routes = Routes(theirs, self.repository, *limits, openai, self._change_level())
        guarded = KeyedRoutes(routes, self._access.keys, openai) if self._access.keys else routes
        cors = Cors(self._settings.allowed_origins, credentials=self._settings.allow_credentials)
        methods = Methods(guarded, theirs.router.routes, cors, openai)
        app = Manners(methods, self._settings.root_path, make_ids=self._settings.request_ids)
        protocol = partial(FastProtocol, self._shared)
        planes = (self.dataplane, self.model_repository_extension)
        transport = (self._bounds, self._certificates)
        port = self.http_port
        rest = rest_server(self._settings, app, port, protocol, *transport, *planes, self._shared_port)
        rest.create_application()
        pages = (self._settings.enable_docs_url, self._settings.enable_console)
        grpc_port = self._settings.grpc_port if self._settings.enable_grpc else None
        add_pages(
            theirs,
            self.repository,
            __version__,
            *pages,
            grpc_port,
            self._refresh(),
            self._log_rings.lines,
            keyed=self._access.keys is not None,
        )
        if not self._settings.enable_latency_logging:
            frame.without_timing(theirs)
        return rest


def _access(settings: Settings) -> Access:
    try:
        return Access.of(os.environ, settings.api_keys_file, shared_machine=settings.sandbox_network)
    except KeysError as error:
        raise SystemExit(f"polyserve: --api_keys_file={settings.api_keys_file}: {error}") from error


def _certificates(settings: Settings) -> CertificateFiles | None:
    """What is shown over TLS, whose end is told at `/metrics`; None: there is no TLS."""
    if (files := certificates_of(settings)) is not None:
        REGISTRY.register(CertificateMetric(lambda: files.current().expires_at))
    return files


def _frontends(settings: Settings, budget: Budget, store: ModelStore) -> FrontendManager | None:
    """The processes of `--workers` beside this one, which are not started yet."""
    if settings.workers == 1:
        return None
    if budget.limit is not None:
        log.warning("--workers=%d: with --memory_budget one process takes all requests", settings.workers)
        return None
    timeouts = (settings.load_timeout, settings.request_timeout)
    try:
        return FrontendManager(settings.workers - 1, store.names, store.load_specs, *timeouts)
    except OSError as error:
        raise SystemExit(f"polyserve: --workers needs a directory for temporary files (TMPDIR): {error}") from error
