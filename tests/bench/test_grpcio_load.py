"""grpcio's client as a load: it counts what was answered, and every failure by its status."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from bench.grpcio_load import Counts, load


async def _echo(raw: bytes, context: Any) -> bytes:
    if raw == b"refuse":
        await context.abort(grpc.StatusCode.NOT_FOUND, "nobody")
    return raw


def driven(body: bytes, channels: int, streams: int) -> dict[str, Any]:
    """What is told of a load: of a longer one, where this machine stood still until the shorter one was over."""
    for seconds in (0.3, 3.0, 30.0):
        counts = _driven(body, channels, streams, seconds)
        assert counts.told(seconds)["requests"] == len(counts.latencies) + counts.errors
        if counts.latencies or counts.errors:
            break
    return counts.told(seconds)


def _driven(body: bytes, channels: int, streams: int, seconds: float) -> Counts:
    async def run() -> Counts:
        server = grpc.aio.server()
        methods = {"Echo": grpc.unary_unary_rpc_method_handler(_echo)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", methods),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            return await load(f"127.0.0.1:{port}", "/s/Echo", body, channels, streams, seconds)
        finally:
            await server.stop(None)

    return asyncio.run(run())


@pytest.mark.parametrize(("channels", "streams"), [(1, 1), (2, 8)])
def test_it_counts_what_is_answered(channels: int, streams: int) -> None:
    told = driven(b"hello", channels, streams)
    assert told["requests"] > told["errors"] == 0
    assert 0 < told["p50"] <= told["p99"]


def test_it_tells_what_failed() -> None:
    told = driven(b"refuse", 1, 2)
    assert told["requests"] == told["errors"] > 0
    assert (told["first_error"], told["p50"]) == ("NOT_FOUND: nobody", None)
