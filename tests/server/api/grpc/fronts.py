"""Servers of gRPC, by either front: what is asked of one is to be asked of the other."""

from __future__ import annotations

from collections.abc import Sequence
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
from server.runtime.certificates import CertificateFiles

FRONTS = ("http2", "grpcio")


async def started(
    front: str,
    handlers: Sequence[grpc.GenericRpcHandler[Any, Any]],
    inference: Inference | None = None,
    limits: GrpcLimits | None = None,
    socket: str = "",
    certificates: CertificateFiles | None = None,
) -> tuple[GrpcServer, int]:
    """One on any free port."""
    limits = limits or GrpcLimits()
    if front == "grpcio":
        server, port = await serve(handlers, 0, limits, socket, certificates=certificates)
        return AioServer(server, port), port
    native = NativeServer(CallSite(handlers, limits, Bodies(), inference), GrpcConnectionLimits(), certificates)
    if socket:
        await native.listen_inside(socket)
    return native, await native.start(0)
