"""gRPC's own limits are set, and what is beyond them is refused while others are answered."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from bench.ports import free_port
from server.api.grpc.channel_limits import GrpcLimits
from server.api.grpc.service import serve
from server.config.settings import Settings
from tests.patience import becomes


class Held(grpc.GenericRpcHandler):
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.entered = 0
        self.go_on = asyncio.Event()

    def service(self, handler_call_details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._answer)

    async def _answer(self, raw: bytes, context: Any) -> bytes:
        self.entered += 1
        await self.go_on.wait()
        return raw


def test_calls_beyond_the_limit_are_refused_by_name() -> None:
    async def run() -> None:
        held = Held()
        server, port = await serve([held], free_port(), GrpcLimits(max_calls=2))
        async with (
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as one,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.use_local_subchannel_pool", 1)]) as other,
        ):
            calls = [asyncio.ensure_future(_ask(one)) for _ in range(2)]
            await becomes(lambda: held.entered == 2)
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await _ask(other)
            assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            held.go_on.set()
            assert await asyncio.gather(*calls) == [b"x", b"x"]
            assert await _ask(other) == b"x"
        await server.stop(None)

    asyncio.run(run())


async def _ask(channel: grpc.aio.Channel) -> bytes:
    answer: bytes = await channel.unary_unary("/a/b")(b"x", timeout=60)
    return answer


def test_the_limits_are_the_settings() -> None:
    flags = ["--grpc_max_calls=7", "--grpc_max_send_message_length=8", "--grpc_max_receive_message_length=9"]
    limits = GrpcLimits.of(Settings.parse(flags, {}), 10)
    assert limits == GrpcLimits(8, 9, 7, 10)
    options = dict(limits.options())
    assert options["grpc.max_concurrent_streams"] == 7
    assert options["grpc.max_allowed_incoming_connections"] == 10
    assert GrpcLimits.of(Settings(), GrpcLimits.max_connections) == GrpcLimits()
