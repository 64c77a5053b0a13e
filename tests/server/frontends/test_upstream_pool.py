"""A client's connections to the main process: whose they are, and that they end with it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest

from server.frontends.forwarding import UPSTREAMS, forward
from server.frontends.upstream_pool import PAUSE, UpstreamPool
from tests.patience import becomes
from tests.server.api.rest.test_fast_protocol import Site, read
from tests.server.frontends.main_process import GET, OK, Inner, Main, before


def test_each_client_has_one_of_its_own_until_it_hangs_up(tmp_path: Path) -> None:
    async def ask() -> None:
        main = Main()
        async with before(main, tmp_path) as front:
            clients = [await asyncio.open_connection("127.0.0.1", front.port) for _ in range(3)]
            for _ in range(4):
                for reader, writer in clients:
                    writer.write(GET)
                    await read(reader)
            assert [len(inner.heads) for inner in main.inner] == [4] * 3
            assert [inner.preamble.split()[4] for inner in main.inner] == [
                b"%d" % writer.get_extra_info("sockname")[1] for _, writer in clients
            ]
            clients[1][1].close()
            await becomes(lambda: main.inner[1].ended)
            assert [inner.ended for inner in main.inner] == [False, True, False]
            for _, writer in clients:
                writer.close()
            await becomes(lambda: all(inner.ended for inner in main.inner))

    asyncio.run(ask())


def test_a_pipeline_goes_over_one_or_two_and_none_stays(tmp_path: Path) -> None:
    async def ask() -> None:
        main = Main()
        async with before(main, tmp_path) as front:
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(GET * 50)
            for _ in range(50):
                assert (await read(reader)).body == b"ok"
            assert sum(len(inner.heads) for inner in main.inner) == 50
            assert len(main.inner) < 50
            assert sum(not inner.ended for inner in main.inner) <= 2
            writer.close()
            await becomes(lambda: all(inner.ended for inner in main.inner))

    asyncio.run(ask())


def test_one_that_was_lost_while_idle_is_replaced(tmp_path: Path) -> None:
    async def once(inner: Inner) -> None:
        await inner.answer()

    async def ask() -> None:
        main = Main(once)
        async with before(main, tmp_path) as front:
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            (connection,) = await _connections(front)
            writer.write(GET)
            assert (await read(reader)).body == b"ok"
            await becomes(lambda: not (connection._upstreams._idle and connection._upstreams._idle.reusable))
            writer.write(GET)
            assert (await read(reader)).body == b"ok"
            writer.close()

    asyncio.run(ask())


async def _connections(front: Site) -> list[Any]:
    await becomes(lambda: front.server.server_state.connections)
    return list(front.server.server_state.connections)


@pytest.mark.parametrize("length", [b"-1", b"+3", b"3,3", b"\xb2", b"", b"9" * 19, b"3\x0b"])
def test_a_length_that_uvicorn_would_let_through_is_refused(tmp_path: Path, length: bytes) -> None:
    """Two parsers need not agree about it: the main process's is never asked."""
    told = asyncio.run(_handed_on(tmp_path, [(b"content-length", length)]))
    assert told[0]["status"] == 400
    told = asyncio.run(_handed_on(tmp_path, [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")]))
    assert told[0]["status"] == 400


async def _handed_on(path: Path, headers: list[tuple[bytes, bytes]]) -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"abc"}

    main = Main()
    async with await asyncio.start_unix_server(main, path / "http"):
        scope = _scope(path, headers)
        await forward(scope, receive, send)
        assert not any(inner.heads for inner in main.inner)
        scope["state"][UPSTREAMS].close()
        await becomes(lambda: main.inner and all(inner.ended for inner in main.inner))
    (path / "http").unlink(missing_ok=True)  # Python 3.13 takes it away itself
    return sent


def _scope(path: Path, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    state = {UPSTREAMS: UpstreamPool(path / "http", ("10.0.0.1", 1), ("10.0.0.1", 2))}
    return {
        "type": "http", "method": "POST", "raw_path": b"/a", "query_string": b"", "headers": headers, "state": state,
    }  # fmt: skip


@pytest.mark.parametrize("when", ["body", "answer", "midst"])
def test_a_request_that_is_cancelled_takes_its_connection_with_it(tmp_path: Path, when: str) -> None:
    async def slow(inner: Inner) -> None:
        await inner.head()
        if when == "midst":
            inner.writer.write(OK[:-1])
        await inner.end()
        inner.ended = True

    async def ask() -> None:
        main, begun = Main(slow), asyncio.Event()
        parts = iter([{"type": "http.request", "body": b"ab", "more_body": when == "body"}])

        async def receive() -> Any:
            if (part := next(parts, None)) is not None:
                return part
            return await asyncio.Future()

        async def send(message: Any) -> None:
            begun.set()

        async with await asyncio.start_unix_server(main, tmp_path / "http"):
            scope = _scope(tmp_path, [(b"content-length", b"3" if when == "body" else b"2")])
            asking = asyncio.create_task(forward(scope, receive, send))
            await becomes(lambda: main.inner and main.inner[0].heads)
            if when == "midst":
                await begun.wait()
            asking.cancel()
            await becomes(lambda: main.inner[0].ended)
            upstreams: UpstreamPool = scope["state"][UPSTREAMS]
            assert upstreams._idle is None
            assert not upstreams._taken

    asyncio.run(ask())


@pytest.mark.parametrize("sent", [GET, GET * 3, b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\nx"])
@pytest.mark.parametrize("answer", [b"", OK[:-1]])
def test_a_client_that_hangs_up_is_heard_and_not_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sent: bytes, answer: bytes
) -> None:
    """Also when it has sent more requests behind the one that is being answered."""

    async def slow(inner: Inner) -> None:
        await inner.answer(answer)
        await inner.end()
        inner.ended = True

    async def ask() -> None:
        main = Main(slow)
        async with before(main, tmp_path) as front:
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(sent)
            await becomes(lambda: main.inner and main.inner[0].heads)
            if answer:
                await reader.readuntil(b"\r\n\r\n")
            writer.close()
            await becomes(lambda: main.inner[0].ended)
            await becomes(lambda: not front.server.server_state.tasks)
            assert len(main.inner) == 1

    with caplog.at_level("INFO"):
        asyncio.run(ask())
    assert not [record for record in caplog.records if record.name.startswith("uvicorn")]


def test_one_waits_while_too_many_want_to_be_accepted(tmp_path: Path) -> None:
    """The kernel refuses a connection at once where its queue is full; that is no reason to refuse a request."""

    async def ask() -> None:
        listener, waiting = socket.socket(socket.AF_UNIX), list[socket.socket]()
        listener.bind(str(tmp_path / "http"))
        listener.listen(1)
        with contextlib.suppress(BlockingIOError):
            while True:
                waiting.append(socket.socket(socket.AF_UNIX))
                waiting[-1].setblocking(False)
                waiting[-1].connect(str(tmp_path / "http"))
        taking = asyncio.create_task(UpstreamPool(tmp_path / "http", None, None).take())
        await asyncio.sleep(5 * PAUSE)
        assert not taking.done()
        accepted = [listener.accept()[0]]
        upstream = await taking
        assert upstream.reusable
        upstream.abort()
        for each in (listener, *waiting, *accepted):
            each.close()

    asyncio.run(ask())
