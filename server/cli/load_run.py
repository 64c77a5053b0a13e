"""Closed-loop clients against one route: each sends a request, waits for its answer, and sends the next.

The clients share one thread of this program, whose own work is part of what it measures: some 0.1 ms a request. For
numbers to publish take a load generator in C (wrk, h2load).
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult

_TIMEOUT = 120.0  #: seconds for an answer
_LONGEST_HEAD = 2**20
_TOKENS = re.compile(rb'"completion_tokens":\s*(\d+)')
_STATUS = re.compile(r"HTTP/1\.\d \d{3}")


@dataclass
class LoadResult:
    """What so many clients saw."""

    clients: int
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)  #: seconds, of answers below 400
    tokens: int = 0  #: that language models say they made, in those answers
    errors: Counter[str] = field(default_factory=Counter)  #: by what was answered instead

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def quantile(self, share: float) -> float:
        """Seconds within which this share of the good answers came (nearest rank)."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@dataclass(frozen=True)
class Site:
    """Where clients connect to, and by which certificates."""

    url: SplitResult
    tls: ssl.SSLContext | None


def run_load(
    server: SplitResult,
    path: str,
    body: bytes,
    headers: Mapping[str, str],
    clients: int,
    seconds: float,
    tls: ssl.SSLContext | None = None,
) -> LoadResult:
    """Let so many clients ask for so long, over TLS where `tls` is given; a fifth of that before does not count.

    Each client waits for one answer that counts, however long a model takes: a row of zeros would be nobody's time.
    """
    request = _request(server, path, body, headers)
    return asyncio.run(_measured(Site(server, tls), request, clients, seconds))


async def _measured(server: Site, request: bytes, clients: int, seconds: float) -> LoadResult:
    result = LoadResult(clients)
    start = time.perf_counter() + seconds / 5
    end = start + seconds
    await asyncio.gather(*(_client(server, request, start, end, result) for _ in range(clients)))
    result.seconds = max(time.perf_counter(), end) - start
    return result


async def _client(server: Site, request: bytes, start: float, end: float, result: LoadResult) -> None:
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    counted = False
    while (sent := time.perf_counter()) < end or not counted:
        counted = sent >= start
        try:
            connection = connection or await _connected(server)
            reader, writer = connection
            writer.write(request)
            status, keep, answer = await asyncio.wait_for(_answer(reader), _TIMEOUT)
        except (TimeoutError, OSError, EOFError, ValueError) as error:
            result.errors[type(error).__name__] += 1
            _close(connection)
            connection = None
            await asyncio.sleep(0.05)  # a server that is away is not asked as fast as can be
            continue
        took = time.perf_counter() - sent
        if status >= 400:
            result.errors[f"status {status}"] += 1
        elif sent >= start:
            result.latencies.append(took)
            result.tokens += sum(map(int, _TOKENS.findall(answer)))
        if not keep:
            _close(connection)
            connection = None
    _close(connection)


async def _connected(server: Site) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    port = server.url.port or (443 if server.tls else 80)
    return await asyncio.open_connection(server.url.hostname, port, ssl=server.tls, limit=_LONGEST_HEAD)


def _close(connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None) -> None:
    if connection is not None:
        connection[1].close()


def _request(server: SplitResult, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    named = {"Host": server.netloc.rpartition("@")[2], "Content-Type": "application/json", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"POST {server.path.rstrip('/')}{path} HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool, bytes]:
    """The status, whether the connection may be used again, and the body.

    Raises:
        EOFError, ValueError: it is none of HTTP/1.1.
    """
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.LimitOverrunError as error:
        raise ValueError(str(error)) from error
    first, *lines = head.split("\r\n")
    if not _STATUS.match(first):
        raise ValueError(f"{first[:80]!r} is no status")
    named = {name.strip().lower(): value.strip().lower() for name, _, value in (line.partition(":") for line in lines)}
    body = b""
    if named.get("transfer-encoding") == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    else:
        body = await reader.readexactly(int(named.get("content-length", "0")))
    return int(first.split()[1]), named.get("connection") != "close", body
