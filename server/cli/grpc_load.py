"""Closed-loop clients against ModelInfer of gRPC, as `load_run` has them over REST: calls of one channel.

grpcio's client is part of what this measures, more than over REST: for numbers to publish take a load generator in C.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from server.cli.grpc_request import METHOD, TIMEOUT, credentials_of, message_of, metadata_of
from server.cli.load_run import LoadResult
from server.cli.tls_files import TlsFiles


def run_grpc_load(
    address: str,
    request: Mapping[str, Any],
    headers: Mapping[str, str],
    clients: int,
    seconds: float,
    tls: TlsFiles | None = None,
) -> LoadResult:
    """Let so many clients call for so long, over TLS where `tls` is given; a fifth of that before does not count."""
    body = message_of(request).SerializeToString()
    return asyncio.run(_measured(address, body, metadata_of(headers), clients, seconds, tls))


async def _measured(
    address: str, body: bytes, metadata: list[tuple[str, str]], clients: int, seconds: float, tls: TlsFiles | None
) -> LoadResult:
    import grpc

    channel = (
        grpc.aio.insecure_channel(address) if tls is None else grpc.aio.secure_channel(address, credentials_of(tls))
    )
    result = LoadResult(clients)
    start = time.perf_counter() + seconds / 5
    end = start + seconds
    async with channel:
        call = channel.unary_unary(METHOD)  # bytes in, bytes out

        async def client() -> None:
            counted = False
            while (sent := time.perf_counter()) < end or not counted:
                counted = sent >= start
                try:
                    await call(body, timeout=TIMEOUT, metadata=metadata)
                except grpc.RpcError as error:
                    result.errors[error.code().name] += 1
                    await asyncio.sleep(0.05)  # a server that is away is not asked as fast as can be
                    continue
                if sent >= start:
                    result.latencies.append(time.perf_counter() - sent)

        await asyncio.gather(*(client() for _ in range(clients)))
    result.seconds = max(time.perf_counter(), end) - start
    return result
