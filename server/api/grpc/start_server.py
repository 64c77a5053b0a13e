"""The server of gRPC that the settings ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc

from server.api.bodies import Bodies
from server.api.grpc.aio_server import AioServer
from server.api.grpc.channel_limits import GrpcLimits
from server.api.grpc.grpc_server import GrpcServer
from server.api.grpc.infer_calls import Inference
from server.api.grpc.native.call_site import CallSite
from server.api.grpc.native.native_server import GrpcConnectionLimits, NativeServer
from server.api.grpc.service import serve
from server.api.http2.stream_link import MakeHttp2
from server.config.settings import Settings
from server.runtime.busy_poll import BusyPoll
from server.runtime.certificates import CertificateFiles


async def start_grpc(
    settings: Settings,
    handlers: Sequence[grpc.GenericRpcHandler[Any, Any]],
    inference: Inference,
    port: int,
    max_connections: int,
    bodies: Bodies,
    socket: str = "",
    *,
    shared: bool = False,
    certificates: CertificateFiles | None = None,
    hand_over: Callable[[MakeHttp2], None] | None = None,
) -> tuple[GrpcServer, int]:
    """Start it; and the port that it has got. `inference` is whose methods `handlers` have for `ModelInfer`.

    `max_connections` and `bodies` are this process's; `socket`, `shared`, `certificates`: as `service.serve` has them.
    `hand_over`: the REST server listens on the port, and is told by it what makes a connection of HTTP/2's protocol.

    Raises:
        RuntimeError, OSError: the port is taken.
    """
    limits = GrpcLimits.of(settings, max_connections)
    if settings.grpc_frontend == "grpcio":
        server, bound = await serve(handlers, port, limits, socket, shared=shared, certificates=certificates)
        return AioServer(server, bound), bound
    site = CallSite(handlers, limits, bodies, inference, BusyPoll(settings.busy_poll / 1e6))
    native = NativeServer(site, GrpcConnectionLimits.of(settings, max_connections), certificates)
    if hand_over is None:
        port = await native.start(port, shared=shared)
    else:
        hand_over(native.protocol)
    if socket:
        await native.listen_inside(socket)
    return native, port
