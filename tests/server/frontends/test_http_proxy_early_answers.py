"""A client that leaves the main process waiting for bytes harms nobody but himself, whatever it answers meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from server.repository.repository import Repository
from tests.server.api.rest.test_fast_protocol import ONE, PATIENCE, V1, post, read, repository, the_long_way
from tests.server.frontends.test_http_proxy import ANOTHER, Two, two

__all__ = ["repository"]  # a fixture

OWED = 200_000  #: bytes
SOUND = [post(ANOTHER, ONE), the_long_way(ANOTHER, ONE), post(V1, ONE), post("/elsewhere", b"x" * 3000)]
SOUND.append(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")

WEBSOCKET = "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13"

#: requests that are never whole: name, first line, headers, what comes of the body, whether there is an answer
CUT = {
    "method": ("PUT " + ANOTHER, f"Content-Length: {OWED}", b"", True),
    "method-short": ("PUT " + ANOTHER, "Content-Length: 9", b"", True),
    "method-begun": ("PUT " + ANOTHER, f"Content-Length: {OWED}", b"x" * 1000, True),
    "method-chunked": ("PUT " + ANOTHER, "Transfer-Encoding: chunked", b"", True),
    "method-chunk-begun": ("PUT " + ANOTHER, "Transfer-Encoding: chunked", b"ff\r\nxyz", True),
    "too-large": ("POST " + ANOTHER, f"Content-Length: {OWED}", b"x" * 9000, True),
    "nowhere": ("POST /nowhere", "Transfer-Encoding: chunked", b"3\r\nabc\r\n", True),
    "head": ("HEAD " + ANOTHER, f"Content-Length: {OWED}", b"", True),
    "connect": ("CONNECT /nowhere", f"Content-Length: {OWED}", b"", True),
    "upgrade": ("POST " + ANOTHER, "Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 50", b"", True),
    "upgrade-chunked": (
        "PUT " + ANOTHER,
        "Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked",
        b"",
        True,
    ),
    "websocket": ("GET /nowhere", f"Connection: Upgrade\r\n{WEBSOCKET}", b"", True),
    "websocket-body": ("GET /nowhere", f"Connection: Upgrade\r\n{WEBSOCKET}\r\nContent-Length: 50", b"", True),
    "bad-chunk": ("PUT " + ANOTHER, "Transfer-Encoding: chunked", b"zz\r\n", True),
    "preface": ("", "", b"", True),
    "cut": ("POST " + ANOTHER, "Content-Length: 500", b"x" * 9, False),
    "cut-chunked": ("POST " + ANOTHER, "Transfer-Encoding: chunked", b"9\r\nx", False),
    "cut-head": ("POST " + ANOTHER, "Content-Le", b"", False),
}


def raw(name: str) -> tuple[bytes, bool]:
    """The request, and whether there is an answer."""
    line, headers, body, answered = CUT[name]
    if name == "preface":
        return b"PRI /nowhere\r\n\r\n", answered  # HTTP/0.9: it has no version
    end = "" if name == "cut-head" else "\r\n\r\n"
    return f"{line} HTTP/1.1\r\nHost: x\r\n{headers}{end}".encode() + body, answered


async def alone(here: Two) -> list[object]:
    """What the main process answers to sound requests."""
    return [(await here.main.ask(request))[0] for request in SOUND]


@pytest.mark.slow
@pytest.mark.parametrize("stays", [True, False])
@pytest.mark.parametrize("name", CUT)
def test_other_clients_are_answered(repository: Repository, tmp_path: Path, name: str, stays: bool) -> None:
    """Whether he who has sent half of a request keeps his connection or hangs up."""
    sent, answered = raw(name)

    async def ask() -> None:
        async with two(repository, tmp_path) as here:
            expected = await alone(here)
            for request, answer in zip(SOUND, expected, strict=True):
                reader, writer = await asyncio.open_connection("127.0.0.1", here.front.port)
                writer.write(sent)
                if answered:
                    async with asyncio.timeout(PATIENCE):
                        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 ")
                if not stays:
                    writer.close()
                for _ in range(2):
                    assert await here.front.ask(request) == [answer], request
                writer.close()

    asyncio.run(ask())


@pytest.mark.parametrize("form", ["length", "chunked"])
def test_the_same_client_is_answered(repository: Repository, tmp_path: Path, form: str) -> None:
    """The body comes after its answer; what follows it is the next request, and goes to the main process as that."""
    body = b"GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n" * (OWED // 36)
    length = f"Content-Length: {len(body)}" if form == "length" else "Transfer-Encoding: chunked"
    rest = body if form == "length" else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)

    async def ask() -> None:
        async with two(repository, tmp_path) as here:
            expected = await alone(here)
            reader, writer = await asyncio.open_connection("127.0.0.1", here.front.port)
            for _ in range(3):
                writer.write(f"PUT {ANOTHER} HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n".encode())
                assert (await read(reader)).status.startswith("HTTP/1.1 404")
                writer.write(rest + b"".join(SOUND))
                assert [await read(reader) for _ in SOUND] == expected
            writer.close()

    asyncio.run(ask())


@pytest.mark.parametrize("body", [f"Content-Length: {OWED}", "Transfer-Encoding: chunked"])
def test_what_follows_a_tunnel_is_no_request(repository: Repository, tmp_path: Path, body: str) -> None:
    """The parser leaves it to the other protocol: the connection ends with the answer, to the main process, too."""

    async def ask() -> None:
        async with two(repository, tmp_path) as here:
            answers = []
            for port in (here.front.port, here.main.port):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(f"CONNECT /elsewhere HTTP/1.1\r\nHost: x\r\n{body}\r\n\r\n".encode())
                answers.append(await read(reader))
                assert answers[-1].headers["connection"] == "close"
                with contextlib.suppress(ConnectionError):
                    writer.write(post("/elsewhere", b"x"))
                    assert await reader.read() == b""
                writer.close()
            assert answers[0] == answers[1]

    asyncio.run(ask())


@pytest.mark.parametrize("form", ["length", "chunked"])
@pytest.mark.parametrize("offer", ["Upgrade: h2c", WEBSOCKET])
def test_a_body_behind_an_offer_is_that_requests(repository: Repository, tmp_path: Path, offer: str, form: str) -> None:
    """The offer is ignored: requests within the body are none, and what follows it is the next request."""
    body = b"GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n" * 100
    length = f"Content-Length: {len(body)}" if form == "length" else "Transfer-Encoding: chunked"
    rest = body if form == "length" else b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)

    async def ask() -> None:
        async with two(repository, tmp_path) as here:
            expected = await alone(here)
            for port in (here.front.port, here.main.port):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                head = f"POST /elsewhere HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n{offer}\r\n{length}\r\n\r\n"
                writer.write(head.encode())
                assert (await read(reader)).status.startswith("HTTP/1.1 404")
                writer.write(rest + b"".join(SOUND))
                assert [await read(reader) for _ in SOUND] == expected
                writer.close()

    asyncio.run(ask())


def test_a_large_body_that_is_refused_is_answered_while_it_comes(repository: Repository, tmp_path: Path) -> None:
    """Parts that come between the answer's head and its end are not taken for the client's end."""

    async def ask() -> None:
        async with two(repository, tmp_path) as here:
            for _ in range(20):
                reader, writer = await asyncio.open_connection("127.0.0.1", here.front.port)
                writer.write(f"PUT {ANOTHER} HTTP/1.1\r\nHost: x\r\nContent-Length: {10**9}\r\n\r\n".encode())

                async def send(writer: asyncio.StreamWriter = writer) -> None:
                    with contextlib.suppress(ConnectionError):
                        while True:
                            writer.write(b"x" * 1000)
                            await writer.drain()
                            await asyncio.sleep(0)

                sending = asyncio.create_task(send())
                assert (await read(reader)).status.startswith("HTTP/1.1 404")
                sending.cancel()
                writer.close()

    asyncio.run(ask())
