"""Head and body leave in one piece, in order, and nothing is lost when the connection ends at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from server.api.bodies import Bodies
from server.api.rest.asgi import BodyLimits, Receive, Scope, Send, answered
from server.api.rest.routes import send_answer
from server.api.rest.transport import LingeringTransport, OneWriteProtocol, OneWriteTransport
from server.inference.answer import Answer
from server.inference.request import IsDisconnected


class Recorder:
    """A transport that notes what is asked of it."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def write(self, data: bytes) -> None:
        self.calls.append(data)

    def close(self) -> None:
        self.calls.append("close")

    def is_closing(self) -> bool:
        return "close" in self.calls


def test_the_writes_of_one_turn_are_one_write() -> None:
    async def answer() -> list[Any]:
        real = Recorder()
        transport = OneWriteTransport(real, asyncio.get_running_loop())  # type: ignore[arg-type]
        transport.write(b"head ")
        transport.write(b"body")
        assert real.calls == []
        await asyncio.sleep(0)
        transport.write(b"next")
        await asyncio.sleep(0)
        return real.calls

    assert asyncio.run(answer()) == [b"head body", b"next"]


def test_what_was_gathered_for_a_client_who_has_hung_up_is_dropped() -> None:
    async def answer() -> list[Any]:
        real = Recorder()
        transport = OneWriteTransport(real, asyncio.get_running_loop())  # type: ignore[arg-type]
        transport.write(b"to nobody")
        real.close()
        await asyncio.sleep(0)
        return real.calls

    assert asyncio.run(answer()) == ["close"]


def test_nothing_is_written_after_the_end_was_said() -> None:
    """An answer that is late, to a client who was sent away while it still sends: uvloop would raise."""

    class Real(Recorder):
        def can_write_eof(self) -> bool:
            return True

        def write_eof(self) -> None:
            self.calls.append("eof")

        def resume_reading(self) -> None:
            self.calls.append("reads")

        def abort(self) -> None:
            self.calls.append("abort")

    async def answer() -> list[Any]:
        real = Real()
        transport = LingeringTransport(real, asyncio.get_running_loop())  # type: ignore[arg-type]
        transport.still_sending = lambda: True
        transport.write(b"before")
        transport.close()
        transport.write(b"after")
        transport.write_now(b"now")
        await asyncio.sleep(0)
        return real.calls

    assert asyncio.run(answer()) == [b"before", "eof", "reads"]


def test_closing_writes_first() -> None:
    async def answer() -> list[Any]:
        real = Recorder()
        transport = OneWriteTransport(real, asyncio.get_running_loop())  # type: ignore[arg-type]
        transport.write(b"last words")
        transport.close()
        await asyncio.sleep(0)
        assert transport.is_closing()
        return real.calls

    assert asyncio.run(answer()) == [b"last words", "close"]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Echoes the body in chunks of 1 MB, with or without a length."""
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    length = [(b"content-length", b"%d" % len(body))] if scope["path"] == "/length" else []
    await send({"type": "http.response.start", "status": 200, "headers": length})
    for start in range(0, len(body), 1 << 20):
        await send({"type": "http.response.body", "body": body[start : start + (1 << 20)], "more_body": True})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    """The port of the application, served by this protocol."""
    config = uvicorn.Config(app, port=0, http=OneWriteProtocol, lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await running


def test_whole_answers_over_a_real_socket() -> None:
    async def ask() -> None:
        async with serving(app) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for path in ("/length", "/chunked"):
                for size in (0, 1, 10, 5_000_000):
                    for close in ({}, {"connection": "close"}):
                        answer = await client.post(path, content=b"x" * size, headers=close)
                        assert answer.content == b"x" * size

    asyncio.run(ask())


@pytest.mark.parametrize("size", [1, 70_000, 300_000, 5_000_000])
def test_a_client_that_hangs_up_is_heard_whatever_it_sent(size: int) -> None:
    async def ask() -> None:
        read, heard = asyncio.Event(), asyncio.Event()

        async def handler(scope: Scope, body: bytes, gone: IsDisconnected) -> Answer:
            read.set()
            async with asyncio.timeout(5):
                while not gone():  # noqa: ASYNC110  (nothing else tells)
                    await asyncio.sleep(0.001)
            heard.set()
            return 200, [], b""

        async def wait(scope: Scope, receive: Receive, send: Send) -> None:
            await send_answer(receive, send, await answered(handler, scope, receive, BodyLimits(size, Bodies())))

        async with serving(wait) as port, asyncio.timeout(10):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
            await read.wait()
            writer.close()
            await heard.wait()

    asyncio.run(ask())


def test_what_comes_early_waits_for_a_large_body_before_it() -> None:
    """Requests sent without waiting for answers: they are no reason to read on and on."""

    async def ask() -> None:
        async with serving(app) as port, asyncio.timeout(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            bodies = [bytes([letter]) * 300_000 for letter in b"abc"]
            for body in bodies:
                writer.write(b"POST /length HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            for body in bodies:
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
                assert await reader.readexactly(len(body)) == body
            writer.close()

    asyncio.run(ask())
