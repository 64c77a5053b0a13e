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


def driven(body: bytes, channels: int, streams: int) -> Counts:
    async def run() -> Counts:
        server = grpc.aio.server()
        methods = {"Echo": grpc.unary_unary_rpc_method_handler(_echo)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("s", methods),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            return await load(f"127.0.0.1:{port}", "/s/Echo", body, channels, streams, 0.3)
        finally:
            await server.stop(None)

    return asyncio.run(run())


@pytest.mark.parametrize(("channels", "streams"), [(1, 1), (2, 8)])
def test_it_counts_what_is_answered(channels: int, streams: int) -> None:
    counts = driven(b"hello", channels, streams)
    told = counts.told(0.3)
    assert told["requests"] == len(counts.latencies) > 0
    assert told["errors"] == 0
    assert 0 < told["p50"] <= told["p99"]


def test_it_tells_what_failed() -> None:
    told = driven(b"refuse", 1, 2).told(0.3)
    assert told["requests"] == told["errors"] > 0
    assert (told["first_error"], told["p50"]) == ("NOT_FOUND: nobody", None)
