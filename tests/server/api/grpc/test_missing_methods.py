"""A call of what nobody serves is told what is."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from tests.server.api.grpc.fronts import FRONTS, started


@pytest.mark.parametrize("front", FRONTS)
def test_both_fronts_tell_what_there_is(front: str) -> None:
    def ask(port: int) -> grpc.RpcError:
        with grpc.insecure_channel(f"localhost:{port}") as channel, pytest.raises(grpc.RpcError) as failure:
            channel.unary_unary("/no.Service/Predict")(b"", timeout=60)
        return failure.value

    async def run() -> grpc.RpcError:
        server, port = await started(front, [])
        try:
            return await asyncio.to_thread(ask, port)
        finally:
            await server.stop(None)

    error = asyncio.run(run())
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    ways_out = "/inference.GRPCInferenceService/ModelInfer predicts"
    assert error.details() == f"there is no method /no.Service/Predict here; {ways_out}"
