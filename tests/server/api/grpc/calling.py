"""A server of gRPC over a repository, called with raw messages."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from server.api.grpc.channel_limits import GrpcLimits
from server.api.grpc.service import InferenceService, handlers
from tests.server.api.grpc.fronts import started

PATIENCE = 60
#: which server is asked: the fixture `front` sets it
FRONT = "http2"


def call_with(service: InferenceService, talk: Callable[[grpc.aio.Channel], Awaitable[Any]]) -> Any:
    """What the talk over a channel to the service comes to."""

    async def run() -> Any:
        server, port = await started(FRONT, handlers(service), service.inference, GrpcLimits(2**20, 2**20))
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                return await asyncio.wait_for(talk(channel), PATIENCE)
        finally:
            await server.stop(None)

    try:
        return asyncio.run(run())
    finally:
        gc.collect()  # grpcio's leftovers join a thread when they go: not in the thread that cleans up after a model


def call(service: InferenceService, method: str, message: Any, answer: Any = None) -> Any:
    """One call of a method, by its full name; a status is (its name, its text)."""

    async def talk(channel: grpc.aio.Channel) -> Any:
        try:
            raw = await channel.unary_unary(f"/{method}")(message.SerializeToString())
        except grpc.aio.AioRpcError as error:
            return error.code().name, error.details()
        return answer.FromString(raw) if answer is not None else raw

    return call_with(service, talk)
