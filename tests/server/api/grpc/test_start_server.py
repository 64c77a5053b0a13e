"""The settings say what talks to clients of gRPC."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from server.api.bodies import Bodies
from server.api.grpc.aio_server import AioServer
from server.api.grpc.grpc_server import GrpcServer
from server.api.grpc.native.native_server import NativeServer
from server.api.grpc.service import InferenceService, handlers
from server.api.grpc.start_server import start_grpc
from server.config.settings import Settings
from server.repository.repository import Repository


@pytest.mark.parametrize(("flags", "kind"), [([], NativeServer), (["--grpc_frontend=grpcio"], AioServer)])
def test_either_is_started(models: Repository, flags: list[str], kind: type[GrpcServer]) -> None:
    async def run() -> None:
        service = InferenceService(models)
        settings = Settings.parse(flags, {})
        server, port = await start_grpc(settings, handlers(service), service.inference, 0, 10, Bodies())
        assert isinstance(server, kind)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            assert await channel.unary_unary("/inference.GRPCInferenceService/ServerLive")(b"") == b"\x08\x01"
        await server.stop(None)

    asyncio.run(run())
