"""Connections are counted and timed from before their handshake on."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import uvloop

from server.api.connections import Connections
from server.api.rest.limits import HttpLimits
from server.api.tls import TlsProtocol
from server.runtime.certificates import CertificateFiles
from tests.certificates import Authority
from tests.patience import becomes

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


class Echo(asyncio.Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


class Site:
    def __init__(self, folder: Path, limits: HttpLimits, seconds: float) -> None:
        self.authority = Authority(folder)
        pair = self.authority.sign("server")
        self.connections = Connections(limits)
        self._files = CertificateFiles(str(pair.chain), str(pair.key))
        self._seconds = seconds
        self.port = 0

    def _context(self) -> ssl.SSLContext:
        return self._files.current().context

    def protocol(self) -> TlsProtocol:
        return TlsProtocol(self._context, self.connections, self._seconds, Echo)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        server = await asyncio.get_running_loop().create_server(self.protocol, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        yield
        server.close()

    async def echo(self, text: bytes) -> bytes:
        context = ssl.create_default_context(cafile=str(self.authority.file))
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        writer.write(text)
        try:
            return await reader.readexactly(len(text))
        finally:
            writer.close()

    async def silent(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)


def _run(loop: Callable[[], asyncio.AbstractEventLoop], main: Callable[[], object]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())  # type: ignore[arg-type]


@pytest.mark.parametrize("loop", LOOPS)
def test_a_unix_socket_is_in_the_clear(loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path) -> None:
    """A sidecar has no certificate, and the kernel no network in between."""
    site = Site(tmp_path, HttpLimits(), 60)

    async def main() -> None:
        with TemporaryDirectory(prefix="uds") as short:  # a socket's path may not be long
            server = await asyncio.get_running_loop().create_unix_server(site.protocol, f"{short}/s")
            reader, writer = await asyncio.open_unix_connection(f"{short}/s")
            writer.write(b"clear")
            assert await reader.readexactly(5) == b"clear"
            writer.close()
            server.close()

    _run(loop, main)


@pytest.mark.parametrize("loop", LOOPS)
def test_the_protocol_talks_behind_the_handshake(loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path) -> None:
    site = Site(tmp_path, HttpLimits(), 60)

    async def main() -> None:
        async with site.serving():
            assert await asyncio.gather(*(site.echo(b"%d" % n) for n in range(20))) == [b"%d" % n for n in range(20)]
            await becomes(lambda: len(site.connections) == 0)

    _run(loop, main)


@pytest.mark.parametrize("loop", LOOPS)
def test_who_says_nothing_is_closed_in_time(loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path) -> None:
    site = Site(tmp_path, HttpLimits(), 0.2)

    async def main() -> None:
        async with site.serving():
            reader, writer = await site.silent()
            assert await reader.read() == b""
            writer.close()
            await becomes(lambda: len(site.connections) == 0)

    _run(loop, main)


@pytest.mark.parametrize("loop", LOOPS)
def test_those_at_the_handshake_make_room_for_others(
    loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    site = Site(tmp_path, HttpLimits(max_connections=4), 3600)

    async def main() -> None:
        async with site.serving():
            silent = [await site.silent() for _ in range(12)]
            await becomes(lambda: len(site.connections) == 4)
            assert await site.echo(b"still there") == b"still there"
            closed = [reader.read() for reader, _ in silent[:8]]
            assert await asyncio.gather(*closed) == [b""] * 8
            for _, writer in silent:
                writer.close()

    _run(loop, main)


def test_what_is_no_tls_is_closed(tmp_path: Path) -> None:
    site = Site(tmp_path, HttpLimits(), 3600)

    async def main() -> None:
        async with site.serving():
            reader, writer = await site.silent()
            writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            assert b"HTTP" not in await reader.read()
            writer.close()

    _run(asyncio.new_event_loop, main)
