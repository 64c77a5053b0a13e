"""What a client says first tells what it speaks, however slowly it says it; who says nothing waits in bounds."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import httpx
import pytest
import uvloop

from server.api.connections import Connections, Wait
from server.api.grpc.channel_limits import GrpcLimits
from server.api.grpc.native.call_site import CallSite
from server.api.grpc.native.native_server import GrpcConnectionLimits, NativeServer
from server.api.rest.bounded_protocol import Bounds
from server.api.rest.fast_protocol import FastProtocol, ServerContext
from server.api.rest.limits import HttpLimits
from server.api.shared_port import SharedPort
from server.api.tls import TlsProtocol
from server.runtime.certificates import CertificateFiles
from tests.certificates import Authority
from tests.patience import becomes
from tests.server.api.grpc.native.raw_calls import Obedient
from tests.server.api.rest.test_fast_protocol import Site, serving

LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
OWN = [("grpc.use_local_subchannel_pool", 1)]


@dataclass
class SharedSite:
    """A REST server over an ASGI application, and gRPC's `Obedient`, on one port."""

    rest: Site
    native: NativeServer
    bounds: Bounds

    @property
    def port(self) -> int:
        return self.rest.port

    def http(self, version: int, **options: Any) -> httpx.AsyncClient:
        base = f"{'https' if 'verify' in options else 'http'}://localhost:{self.port}"
        return httpx.AsyncClient(base_url=base, http1=version == 1, http2=version == 2, timeout=60, **options)

    async def echo(self, message: bytes, credentials: grpc.ChannelCredentials | None = None) -> bytes:
        target = f"localhost:{self.port}"
        channel = grpc.aio.insecure_channel(target, options=OWN)
        if credentials is not None:
            channel = grpc.aio.secure_channel(target, credentials, options=OWN)
        async with channel:
            answer: bytes = await channel.unary_unary("/s/echo")(message, timeout=60)
            return answer


@asynccontextmanager
async def shared_site(
    app: Any, models: Any = None, limits: HttpLimits | None = None, certificates: CertificateFiles | None = None
) -> AsyncIterator[SharedSite]:
    bounds = Bounds(limits)
    context = ServerContext(models or SimpleNamespace(answers_whole=lambda *_: False), 10**7, bounds=bounds)
    native = NativeServer(CallSite([Obedient()], GrpcLimits()), GrpcConnectionLimits())
    port = SharedPort()
    port.hand_over(native.protocol)
    protocol: Any = partial(port.protocol, bounds.connections, partial(FastProtocol, context))
    if certificates is not None:
        protocol = partial(_encrypted, certificates, bounds, protocol)
    async with serving(app, protocol, context) as rest:
        yield SharedSite(rest, native, bounds)
        await native.stop(None)


def _encrypted(files: CertificateFiles, bounds: Bounds, protocol: Any, **uvicorns: Any) -> TlsProtocol:
    context = lambda: files.current().shared_context  # noqa: E731
    return TlsProtocol(context, bounds.connections, 60, partial(protocol, **uvicorns))


async def who(scope: Any, receive: Any, send: Any) -> None:
    """Answers how it was asked."""
    said = f"{scope['method']} {scope['path']} {scope['scheme']}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(said))]})
    await send({"type": "http.response.body", "body": said})


def run(loop: Callable[[], asyncio.AbstractEventLoop], main: Callable[[], Any]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


@LOOPS
def test_three_protocols_on_one_port(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def main() -> None:
        async with shared_site(who) as site:
            for version in (1, 2):
                async with site.http(version) as client:
                    for method in ("POST", "PUT", "PATCH", "GET"):
                        answer = await client.request(method, "/x")
                        assert answer.text == f"{method} /x http"
                        assert answer.http_version == {1: "HTTP/1.1", 2: "HTTP/2"}[version]
            assert await site.echo(b"hello") == b"hello"
            await becomes(lambda: len(site.bounds.connections) == 0)

    run(loop, main)


@LOOPS
def test_alpn_tells_and_without_it_the_first_bytes(
    loop: Callable[[], asyncio.AbstractEventLoop], tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    own = authority.sign("server")

    async def main() -> None:
        async with shared_site(who, certificates=CertificateFiles(str(own.chain), str(own.key))) as site:
            trusting = ssl.create_default_context(cafile=str(authority.file))
            for version in (1, 2):
                async with site.http(version, verify=trusting) as client:
                    assert (await client.get("/x")).text == "GET /x https"
            async with httpx.AsyncClient(verify=trusting, http2=True) as client:  # takes both, as browsers do
                assert (await client.get(f"https://localhost:{site.port}/x")).http_version == "HTTP/1.1"
            assert await site.echo(b"hello", grpc.ssl_channel_credentials(authority.file.read_bytes())) == b"hello"
            silent = ssl.create_default_context(cafile=str(authority.file))  # without ALPN
            reader, writer = await asyncio.open_connection("localhost", site.port, ssl=silent)
            writer.write(b"GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert b"GET /x https" in await reader.read()
            writer.close()

    run(loop, main)


async def said(port: int, *pieces: bytes) -> bytes:
    """The first of what is answered to pieces that come one by one."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    answer = await asyncio.wait_for(reader.read(9), 60)
    writer.close()
    return answer


def test_it_may_come_byte_by_byte() -> None:
    async def main() -> None:
        async with shared_site(who) as site:
            preface = [bytes((byte,)) for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
            assert (await said(site.port, *preface))[3:4] == b"\x04"  # SETTINGS
            request = [bytes((byte,)) for byte in b"PROPFIND / HTTP/1.1\r\nhost: x\r\n\r\n"]
            assert await said(site.port, *request) == b"HTTP/1.1 "
            assert await said(site.port, b"P", b"X\r\n\r\n") == b"HTTP/1.1 "  # refused, as what is no HTTP

    asyncio.run(main())


class Transport(asyncio.Transport):
    def __init__(self, peer: Any = ("127.0.0.1", 7)) -> None:
        super().__init__({"peername": peer})
        self.protocol: Any = None
        self.ended = ""

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"


class Spoken(asyncio.Protocol):
    def __init__(self, name: str) -> None:
        self.name = name
        self.heard: list[Any] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.heard.append("made")

    def data_received(self, data: bytes) -> None:
        self.heard.append(data)


def connected(connections: Connections, stopping: set[Any], peer: Any = ("127.0.0.1", 7)) -> tuple[Any, Transport]:
    port, state = SharedPort(), SimpleNamespace(connections=stopping)
    port.hand_over(lambda others: Spoken("HTTP/2"))
    protocol, transport = port.protocol(connections, lambda **_: Spoken("REST"), server_state=state), Transport(peer)
    protocol.connection_made(transport)
    return protocol, transport


def test_who_says_nothing_waits_in_bounds() -> None:
    async def main() -> None:
        connections, stopping = Connections(HttpLimits(max_connections=2)), set[Any]()
        first, transport = connected(connections, stopping)
        assert first.waits(0.0)[0] is Wait.FIRST_BYTE
        assert len(connections) == len(stopping) == 1
        first.data_received(b"PR")
        assert first.waits(0.0)[0] is Wait.HEAD
        first.expire(Wait.HEAD, 1.0)
        assert transport.ended == "aborted"
        first.connection_lost(None)
        assert len(connections) == len(stopping) == 0
        second, transport = connected(connections, stopping)
        second.shutdown()
        assert transport.ended == "closed"

    asyncio.run(main())


def test_who_finds_no_room_is_told_by_rest() -> None:
    class Full(Connections):
        def add(self, client: Any) -> bool:
            return False

    async def main() -> None:
        _, transport = connected(Full(HttpLimits()), set())
        assert (transport.protocol.name, transport.protocol.heard) == ("REST", ["made"])

    asyncio.run(main())


def test_on_a_unix_socket_there_is_rest_alone() -> None:
    """A call that comes by one would be taken for one of the server's own processes."""

    async def main() -> None:
        protocol, transport = connected(Connections(HttpLimits()), set(), peer="")
        assert transport.protocol.name == "REST"
        del protocol

    asyncio.run(main())


def test_the_bytes_that_told_are_not_lost() -> None:
    async def main() -> None:
        for begun, name in ((b"PRI * HT", "HTTP/2"), (b"PRO", "REST"), (b"\x16\x03\x01", "REST")):
            protocol, transport = connected(Connections(HttpLimits()), set())
            protocol.data_received(begun[:2])
            protocol.data_received(begun[2:])
            assert (transport.protocol.name, transport.protocol.heard) == (name, ["made", begun])

    asyncio.run(main())


def test_without_grpc_it_is_the_rest_servers_port() -> None:
    made = SharedPort().protocol(Connections(HttpLimits()), lambda **_: Spoken("REST"), server_state=None)
    assert isinstance(made, Spoken)
