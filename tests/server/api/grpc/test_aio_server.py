"""grpc.aio's server ends as ours does: its clients go first. (`tests/server/api/test_shutdown.py` has the rest.)"""

from __future__ import annotations

import asyncio

import grpc
import pytest

from server.api.grpc.native.native_server import NativeServer
from tests.server.api.grpc.fronts import FRONTS, started
from tests.server.api.grpc.native.raw_calls import Obedient


@pytest.mark.parametrize("front", FRONTS)
def test_nobody_connects_any_more(front: str) -> None:
    async def run() -> None:
        server, port = await started(front, [Obedient()])
        await server.leave(60)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_unary("/s/echo")(b"hello", timeout=60)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        await server.stop(None)
        assert isinstance(server, NativeServer) is (front == "http2")

    asyncio.run(run())
