"""KServe's REST server over our HTTP protocol, as every process that takes requests runs it."""

from __future__ import annotations

import asyncio
import logging
import math
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

from kserve.protocol.rest.server import RESTServer

from server.api.rest.asgi import App
from server.api.rest.bounded_protocol import Bounds
from server.api.shared_port import SharedPort
from server.api.tls import TlsProtocol
from server.config.settings import Settings
from server.runtime.certificates import CertificateError, CertificateFiles

__all__ = ["RESTServer", "certificates_of", "listening", "rest_server"]


def rest_server(
    settings: Settings,
    app: App,
    port: int,
    protocol: Callable[..., asyncio.Protocol],
    bounds: Bounds,
    certificates: CertificateFiles | None = None,
    data_plane: Any = None,
    extension: Any = None,
    shared_port: SharedPort | None = None,
) -> RESTServer:
    """KServe's REST server, without its application, over our HTTP protocol, and TLS with `certificates`."""
    if shared_port is not None:
        protocol = partial(shared_port.protocol, bounds.connections, protocol)
    rest = RESTServer(
        app,
        data_plane,
        extension,
        port,
        access_log_format=settings.access_log_format,
        grace_period=math.ceil(settings.grace_period),
        event_loop=settings.event_loop,
        timeout_keep_alive=settings.timeout_keep_alive,
    )
    if certificates is not None:
        context = _context_of(certificates, shared=shared_port is not None)
        protocol = partial(_behind_tls, context, bounds, protocol)
    rest.config.http = protocol
    rest.config.proxy_headers = False  # `access.is_local` looks for itself
    if not settings.access_log:
        logging.getLogger("uvicorn.access").handlers.clear()
    return rest


def _context_of(certificates: CertificateFiles, *, shared: bool) -> Callable[[], ssl.SSLContext]:
    return lambda: certificates.current().shared_context if shared else certificates.current().context


def _behind_tls(
    context: Callable[[], ssl.SSLContext], bounds: Bounds, protocol: Callable[..., asyncio.Protocol], **uvicorns: Any
) -> TlsProtocol:
    return TlsProtocol(context, bounds.connections, bounds.limits.head_timeout, partial(protocol, **uvicorns))


def certificates_of(settings: Settings, *, tells: bool = True) -> CertificateFiles | None:
    """What the settings name for both protocols; None: they are served without TLS. `tells`: as `CertificateFiles`.

    Raises:
        SystemExit: it cannot be served with.
    """
    if not settings.ssl_certfile or not settings.ssl_keyfile:
        return None
    try:
        return CertificateFiles(settings.ssl_certfile, settings.ssl_keyfile, settings.ssl_ca_certs, tells=tells)
    except CertificateError as error:
        raise SystemExit(f"polyserve: --ssl_certfile, --ssl_keyfile, --ssl_ca_certs: {error}") from error


async def listening(rest: RESTServer) -> None:
    """Wait until the REST server takes connections."""
    while not rest._server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
        await asyncio.sleep(0.01)
