"""KServe's REST server over our HTTP protocol, as every process that takes requests runs it."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from functools import partial
from typing import Any

from kserve.protocol.rest.server import RESTServer

from server.api.rest.asgi import App
from server.api.rest.bounded_protocol import Bounds
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
) -> RESTServer:
    """KServe's REST server, without its application, over our HTTP protocol, and TLS with `certificates`."""
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
    rest.config.http = protocol if certificates is None else partial(_behind_tls, certificates, bounds, protocol)
    rest.config.proxy_headers = False  # `access.is_local` looks for itself
    if not settings.access_log:
        logging.getLogger("uvicorn.access").handlers.clear()
    return rest


def _behind_tls(
    certificates: CertificateFiles, bounds: Bounds, protocol: Callable[..., asyncio.Protocol], **uvicorns: Any
) -> TlsProtocol:
    context = lambda: certificates.current().context  # noqa: E731
    return TlsProtocol(context, bounds.connections, bounds.limits.head_timeout, partial(protocol, **uvicorns))


def certificates_of(settings: Settings) -> CertificateFiles | None:
    """What the settings name for both protocols; None: they are served without TLS.

    Raises:
        SystemExit: it cannot be served with.
    """
    if not settings.ssl_certfile or not settings.ssl_keyfile:
        return None
    try:
        return CertificateFiles(settings.ssl_certfile, settings.ssl_keyfile, settings.ssl_ca_certs)
    except CertificateError as error:
        raise SystemExit(f"polyserve: --ssl_certfile, --ssl_keyfile, --ssl_ca_certs: {error}") from error


async def listening(rest: RESTServer) -> None:
    """Wait until the REST server takes connections."""
    while not rest._server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
        await asyncio.sleep(0.01)
