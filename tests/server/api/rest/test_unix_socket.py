"""A Unix socket beside the port: whose it is, and that it goes when the server does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
import uvicorn

from server.api.rest.unix_socket import LONGEST, SocketTaken, listening_on, make_room


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="uds") as short:  # a socket's path may not be long
        yield Path(short)


async def hello(scope: object, receive: object, send: object) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})  # type: ignore[operator]
    await send({"type": "http.response.body", "body": b"hi"})  # type: ignore[operator]


def server() -> uvicorn.Server:
    config = uvicorn.Config(hello, lifespan="off", log_config=None)  # type: ignore[arg-type]
    config.load()
    found = uvicorn.Server(config)
    found.lifespan = config.lifespan_class(config)
    return found


async def ask(path: Path) -> str:
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=str(path))) as client:
        return (await client.get("http://localhost/")).text


def test_it_answers_and_goes(folder: Path) -> None:
    path = folder / "s"

    async def run() -> None:
        async with listening_on(path, server()):
            assert await ask(path) == "hi"
            with pytest.raises(SocketTaken, match="another server listens there"):
                make_room(path)
        assert not path.exists()
        async with listening_on(None, server()):
            assert not path.exists()

    asyncio.run(run())


def test_what_an_earlier_server_left_is_taken_away(folder: Path) -> None:
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    make_room(path)
    assert not path.exists()
    make_room(path)


def test_what_is_no_socket_stays(folder: Path) -> None:
    path = folder / "s"
    path.write_text("mine")
    with pytest.raises(SocketTaken, match="something that is no socket"):
        make_room(path)
    assert path.read_text() == "mine"
    with pytest.raises(SocketTaken, match=f"more than {LONGEST} bytes"):
        make_room(folder / ("x" * LONGEST))
    with pytest.raises(SocketTaken, match="No such file or directory"):
        asyncio.run(_enter(folder / "none" / "s"))


async def _enter(path: Path) -> None:
    async with listening_on(path, server()):
        raise AssertionError("it listens")


def test_a_socket_of_another_that_took_the_name_stays(folder: Path) -> None:
    path = folder / "s"

    async def run() -> None:
        async with listening_on(path, server()):
            path.rename(folder / "old")
            path.write_text("another's")

    asyncio.run(run())
    assert path.read_text() == "another's"
