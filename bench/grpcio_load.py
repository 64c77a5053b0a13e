"""A load of gRPC calls by grpcio's own client in Python, as most of a server's users write theirs: a closed loop.

    python -m bench.grpcio_load --port 8081 --path /package.Service/Method --body FILE --streams 64 --seconds 3

It is a process of its own, on uvloop, and prints one line of JSON. Streams are spread over as many connections as
h2load's are; each sends its next call when the last one is answered. Calls that are under way at the end are waited for
and not counted, so that no server meets a load that breaks off.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import uvloop

#: seconds that one call may take; also those that a server has to take the connections
TIMEOUT = 60.0


@dataclass
class Counts:
    """What has been answered within the time."""

    latencies: array[float] = field(default_factory=lambda: array("d"))  #: seconds, of calls that went well
    errors: int = 0
    first_error: str = ""

    def told(self, seconds: float) -> dict[str, Any]:
        """As `bench.load.parse_grpcio` reads it."""
        millis = np.asarray(self.latencies) * 1e3
        p50, p99 = np.percentile(millis, (50, 99)) if len(millis) else (None, None)
        return {
            "requests": len(millis) + self.errors,
            "seconds": seconds,
            "p50": p50,
            "p99": p99,
            "errors": self.errors,
            "first_error": self.first_error,
        }


async def load(target: str, path: str, body: bytes, channels: int, streams: int, seconds: float) -> Counts:
    """Call for so many seconds by `streams` loops on `channels` connections."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    opened = [grpc.aio.insecure_channel(target, options) for _ in range(channels)]
    counts = Counts()
    try:
        await asyncio.wait_for(asyncio.gather(*(each.channel_ready() for each in opened)), TIMEOUT)
        calls = [opened[number % channels].unary_unary(path) for number in range(streams)]
        end = time.perf_counter() + seconds
        await asyncio.gather(*(_stream(call, body, end, counts) for call in calls))
    finally:
        for each in opened:
            await each.close()
    return counts


async def _stream(call: Any, body: bytes, end: float, counts: Counts) -> None:
    begun = time.perf_counter()
    while begun < end:
        try:
            await call(body, timeout=TIMEOUT)
            error = ""
        except grpc.aio.AioRpcError as failure:
            error = f"{failure.code().name}: {failure.details()}"
        now = time.perf_counter()
        if now < end:
            if error:
                counts.errors += 1
                counts.first_error = counts.first_error or error
            else:
                counts.latencies.append(now - begun)
        begun = now


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.grpcio_load", description=__doc__)
    add = parser.add_argument
    add("--port", type=int, required=True)
    add("--path", required=True, help="of the method")
    add("--body", type=Path, required=True, help="a file of the message")
    add("--channels", type=int, default=1, help="connections")
    add("--streams", type=int, default=1, help="calls at once, over all connections")
    add("--seconds", type=float, default=3.0)
    options = parser.parse_args(arguments)
    work = load(
        f"127.0.0.1:{options.port}",
        options.path,
        options.body.read_bytes(),
        min(options.channels, options.streams),
        options.streams,
        options.seconds,
    )
    print(json.dumps(uvloop.run(work).told(options.seconds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
