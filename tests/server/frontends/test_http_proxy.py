"""A front process's REST: whatever has a copy and whatever has none is answered as the main process answers it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.api.rest.fast_protocol import ServerContext
from server.api.rest.manners import Manners
from server.frontends import internal_listener
from server.frontends.copy_repository import CopyRepository
from server.frontends.http_proxy import FrontendProtocol, FrontendRoutes
from server.inference.batching.queue import Limits
from server.inference.tensor_model import TensorModel
from server.repository.repository import Repository
from tests.server.api.rest.test_fast_protocol import (
    CORPUS,
    MAX_BODY,
    ONE,
    REQUESTS,
    V1,
    Answer,
    Site,
    post,
    read,
    repository,
    serving,
    site,
    the_long_way,
)

__all__ = ["repository"]  # a fixture

ANOTHER = "/v1/models/bad:predict"


class Two:
    """The main process's server and a front process's, on one event loop."""

    def __init__(self, main: Site, front: Site, copies: CopyRepository) -> None:
        self.main, self.front, self.copies = main, front, copies

    async def agree(self, *requests: bytes) -> list[Answer]:
        """What both answer to requests that come behind each other; the same."""
        ours = await self.front.ask(*requests, answers=len(requests))
        assert ours == await self.main.ask(*requests, answers=len(requests)), requests
        return ours


@asynccontextmanager
async def two(repository: Repository, path: Path) -> AsyncIterator[Two]:
    """`good` has a copy (it is the very same model), `bad` has none."""
    with ThreadPoolExecutor(1) as pool:
        copies = CopyRepository(pool, Limits(), log_latency=False)
        copies.put(1, cast(TensorModel, repository.ready_model("good")))
        copies.route("good", [(None, 1)])
        async with site(repository) as main:
            shared = ServerContext(repository, MAX_BODY)
            listener = await internal_listener.listen(path / "http", main.server.config, shared)
            shared = ServerContext(copies, MAX_BODY)
            protocol = partial(FrontendProtocol, path / "http", copies, shared)
            async with serving(Manners(FrontendRoutes(copies, MAX_BODY)), protocol, shared) as front:
                yield Two(main, front, copies)
            listener.close()


@asynccontextmanager
async def before(app: Any, path: Path) -> AsyncIterator[Site]:
    """A front process's server without copies; the main process runs this application."""
    with ThreadPoolExecutor(1) as pool:
        copies = CopyRepository(pool, Limits(), log_latency=False)
        shared = ServerContext(copies, MAX_BODY)
        async with serving(app, HttpToolsProtocol, shared) as main:
            listener = await internal_listener.listen(path / "http", main.server.config, shared)
            protocol = partial(FrontendProtocol, path / "http", copies, shared)
            async with serving(Manners(FrontendRoutes(copies, MAX_BODY)), protocol, shared) as front:
                yield front
            listener.close()


@pytest.mark.slow
def test_every_request_is_answered_as_the_main_process_answers_it(repository: Repository, tmp_path: Path) -> None:
    async def ask() -> None:
        async with two(repository, tmp_path) as here:
            for request in CORPUS * 2:
                for form in (post, the_long_way):
                    await here.agree(form(*request))
            for raw in REQUESTS:
                await here.agree(raw, raw, raw)

    asyncio.run(ask())


@pytest.mark.parametrize("form", [post, the_long_way])
def test_a_copy_that_is_withdrawn_while_the_body_comes(repository: Repository, tmp_path: Path, form: Any) -> None:
    """Nothing is lost, and the copy is not asked any more."""

    async def ask() -> None:
        async with two(repository, tmp_path) as here:
            raw = form(V1, ONE)
            reader, writer = await asyncio.open_connection("127.0.0.1", here.front.port)
            writer.write(raw[:-4])
            await asyncio.sleep(0.05)
            here.copies.route("good", [])
            writer.write(raw[-4:] + form(V1, ONE))
            assert [(await read(reader)).body for _ in range(2)] == [b'{"predictions":[[2.0,4.0]]}'] * 2
            writer.close()

    asyncio.run(ask())


def test_large_bodies_are_handed_on_in_pieces(tmp_path: Path) -> None:
    sizes: list[int] = []

    async def count(scope: Any, receive: Any, send: Any) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message["body"]), message["more_body"]
        sizes.append(size)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(50):
            await send({"type": "http.response.body", "body": b"y" * 100_000, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def ask() -> int:
        async with before(count, tmp_path) as front:
            reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(b"POST /elsewhere HTTP/1.1\r\nhost: x\r\ncontent-length: 5000000\r\n\r\n")
            for _ in range(50):
                writer.write(b"x" * 100_000)
                await writer.drain()
            answer = b""
            while not answer.endswith(b"\r\n0\r\n\r\n"):
                answer += await reader.read(100_000)
            writer.close()
            return answer.count(b"y")

    assert asyncio.run(ask()) == 5_000_000
    assert sizes == [5_000_000]


def test_a_body_that_the_main_process_refuses_is_not_read_to_its_end(repository: Repository, tmp_path: Path) -> None:
    async def ask() -> Answer:
        async with two(repository, tmp_path) as here:
            reader, writer = await asyncio.open_connection("127.0.0.1", here.front.port)
            writer.write(
                f"POST {ANOTHER} HTTP/1.1\r\nhost: x\r\ncontent-length: {10**9}\r\n\r\n".encode() + b"x" * 9000
            )
            answer = await read(reader)
            assert await reader.read() == b""  # it was closed
            writer.close()
            return answer

    answer = asyncio.run(ask())
    assert answer.status.startswith("HTTP/1.1 503")
    assert "is not ready" in orjson.loads(answer.body)["error"]  # known before there is a body


def test_the_main_process_hears_of_a_client_that_hangs_up(tmp_path: Path) -> None:
    begun, gone = threading.Event(), threading.Event()

    async def wait(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    async def ask() -> None:
        async with before(wait, tmp_path) as front:
            _, writer = await asyncio.open_connection("127.0.0.1", front.port)
            writer.write(post("/elsewhere", b"x"))
            assert await asyncio.to_thread(begun.wait, 30)
            await asyncio.sleep(0.1)
            assert not gone.is_set()
            writer.close()
            await asyncio.to_thread(gone.wait, 30)

    asyncio.run(ask())
    assert gone.is_set()


def test_without_a_main_process_it_says_so(repository: Repository, tmp_path: Path) -> None:
    async def ask() -> list[Answer]:
        async with two(repository, tmp_path) as here:
            (tmp_path / "http").unlink()
            return [*await here.front.ask(post(ANOTHER, ONE)), *await here.front.ask(post(V1, ONE))]

    without, copy = asyncio.run(ask())
    assert without.status.startswith("HTTP/1.1 503")
    assert "main process" in orjson.loads(without.body)["error"]
    assert copy.body == b'{"predictions":[[2.0,4.0]]}'


def test_where_a_request_comes_from_is_told_and_cannot_be_forged(tmp_path: Path) -> None:
    """What a client says of itself is a header like any other."""
    forged = "x-polyserve-client: 9.9.9.9 99"

    async def who(scope: Any, receive: Any, send: Any) -> None:
        said = [value.decode() for name, value in scope["headers"] if name == b"x-polyserve-client"]
        body = orjson.dumps({"client": scope["client"], "server": scope["server"], "said": said})
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    async def ask() -> None:
        async with before(who, tmp_path) as front:
            for host in ("127.0.0.1", "127.0.0.2"):
                reader, writer = await asyncio.open_connection("127.0.0.1", front.port, local_addr=(host, 0))
                for path in ("/elsewhere", "/v1/models/a:predict", "/v2/repository/models/a/load"):
                    writer.write(post(path, b"x", forged, "PROXY: TCP4"))
                    told = orjson.loads((await reader.readuntil(b"}")).partition(b"\r\n\r\n")[2])
                    assert told["client"] == list(writer.get_extra_info("sockname"))
                    assert told["server"] == ["127.0.0.1", front.port]
                    assert told["said"] == ["9.9.9.9 99"]
                writer.close()

    asyncio.run(ask())
