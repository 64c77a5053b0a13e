"""Clients in a closed loop: what they count, over connections that stay, close, break, or carry chunks."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

from server.cli.load_run import LoadResult, run_load

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
ANSWERS = {
    "kept": OK,
    "closed": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "tokens": b'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{"usage":{"completion_tokens": 7,"a":1}}',
    "refused": b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 2\r\n\r\n{}",
    "nonsense": b"nonsense\r\n\r\n",
}


@contextmanager
def answering(answer: bytes, heads: list[bytes], connections: list[int]) -> Iterator[str]:
    """A server that answers every request of one line and a body of 2 bytes with these bytes."""
    loop = asyncio.new_event_loop()
    started: list[str] = []
    ready = threading.Event()
    open_ones: set[asyncio.StreamWriter] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        open_ones.add(writer)
        while True:
            try:
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                await reader.readexactly(2)
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            writer.write(answer)
            if b"close" in answer or b"nonsense" in answer:
                break
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        open_ones.discard(writer)

    async def serve() -> None:
        async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
            started.append(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/prefix")
            ready.set()
            await over.wait()
        while open_ones:  # noqa: ASYNC110  (the clients have closed them: their handlers only have to see it)
            await asyncio.sleep(0.01)

    over = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    ready.wait(60)
    try:
        yield started[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(60)
        loop.close()


def measured(answer: str, clients: int = 3, seconds: float = 0.3) -> tuple[LoadResult, list[bytes], list[int]]:
    """A run."""
    heads: list[bytes] = []
    connections: list[int] = []
    with answering(ANSWERS[answer], heads, connections) as url:
        result = run_load(urlsplit(url), "/x", b"{}", {"X-Key": "v"}, clients, seconds)
    return result, heads, connections


@pytest.mark.parametrize("answer", ["kept", "closed", "chunked"])
def test_good_answers_are_counted(answer: str) -> None:
    result, heads, connections = measured(answer)
    assert result.latencies
    assert not result.errors
    assert result.seconds >= 0.3
    assert result.rate == len(result.latencies) / result.seconds
    assert len(heads) >= len(result.latencies)
    assert (len(connections) == 3) is (answer != "closed")
    assert heads[0].startswith(b"POST /prefix/x HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"X-Key: v\r\nContent-Length: 2\r\n" in heads[0]


def test_a_run_that_is_over_at_once_has_an_answer_of_each_client() -> None:
    """As one of a model that takes longer than the run."""
    result, _, _ = measured("kept", seconds=1e-6)
    assert len(result.latencies) >= 3
    assert result.rate > 0


def test_errors_are_counted_by_what_they_are() -> None:
    result, _, _ = measured("refused")
    assert not result.latencies
    assert set(result.errors) == {"status 429"}
    assert (result.rate, result.quantile(0.5)) == (0.0, 0.0)
    broken, _, _ = measured("nonsense")
    assert broken.errors
    assert not broken.latencies


def test_tokens_are_counted() -> None:
    result, _, _ = measured("tokens")
    assert result.tokens == 7 * len(result.latencies)


def test_nobody_there() -> None:
    result = run_load(urlsplit("http://127.0.0.1:1"), "/x", b"{}", {}, 1, 0.2)
    assert set(result.errors) == {"ConnectionRefusedError"}


def test_quantiles() -> None:
    result = LoadResult(1, 1.0, [float(number) for number in range(100, 0, -1)])
    assert [result.quantile(share) for share in (0.0, 0.5, 0.99, 1.0)] == [1.0, 51.0, 100.0, 100.0]
