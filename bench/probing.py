"""A client beside the load: asks small things, one after the other, and times the answers."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from bench.load import LoadFailed, drive
from bench.requests import Request

PAUSE_SECONDS = 0.005
_TIMEOUT_SECONDS = 60


@dataclass
class Latencies:
    """What one probe saw, in milliseconds."""

    path: str
    milliseconds: list[float] = field(default_factory=list)
    failures: int = 0

    def percentile(self, percent: float) -> float:
        return float(np.percentile(self.milliseconds, percent)) if self.milliseconds else float("nan")


def probe(port: int, paths: Sequence[str], seconds: float) -> list[Latencies]:
    """GET each path over and over for `seconds`, each from a thread and on a connection of its own."""
    found = [Latencies(path) for path in paths]
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=_probe, args=(port, each, until)) for each in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@contextlib.contextmanager
def flooded(request: Request, port: int, connections: int, seconds: int) -> Iterator[None]:
    """The load of `connections` callers while the block runs; it lasts `seconds`, which must outlast the block.

    Raises:
        LoadFailed: requests of the flood failed, or it ended before the block did.
    """
    with ThreadPoolExecutor(1) as pool:
        flood = pool.submit(drive, request, port, connections, seconds)
        time.sleep(1)  # until the queue is as long as it gets
        yield
        outlasted = not flood.done()
        errors = flood.result().errors
    if errors or not outlasted:
        raise LoadFailed(f"{errors} requests of the flood failed" if errors else "the flood ended too early")


def _probe(port: int, found: Latencies, until: float) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    while time.monotonic() < until:
        start = time.monotonic()
        try:
            connection.request("GET", found.path)
            response = connection.getresponse()
            response.read()
            found.failures += response.status != 200
        except (OSError, http.client.HTTPException):
            connection.close()
            found.failures += 1
        found.milliseconds.append((time.monotonic() - start) * 1e3)
        time.sleep(PAUSE_SECONDS)
    connection.close()
