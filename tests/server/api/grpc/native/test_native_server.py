"""A server of gRPC over our own HTTP/2: TLS, renewed certificates, Unix sockets, many clients, an orderly end."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import grpc
import pytest

from server.api.grpc.native.native_server import GrpcConnectionLimits, NativeServer
from server.config.settings import Settings
from server.runtime.certificates import CertificateFiles
from tests.certificates import Authority, Pair
from tests.server.api.grpc.fronts import started
from tests.server.api.grpc.native.raw_calls import Obedient

OWN = [("grpc.use_local_subchannel_pool", 1)]


async def asked(target: str, credentials: grpc.ChannelCredentials | None = None) -> bytes:
    made = grpc.aio.insecure_channel if credentials is None else grpc.aio.secure_channel
    arguments = (target,) if credentials is None else (target, credentials)
    async with made(*arguments, options=OWN) as channel:
        answer: bytes = await channel.unary_unary("/s/echo")(b"hello", timeout=60)
        return answer


def test_a_renewed_certificate_is_shown_to_the_next_client(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    before, after = Authority(tmp_path / "a"), Authority(tmp_path / "b")
    first, second = before.sign("server"), after.sign("server")
    live = Pair(tmp_path / "live.pem", tmp_path / "live.key")
    shutil.copy(first.chain, live.chain)
    shutil.copy(first.key, live.key)

    async def run() -> None:
        files = CertificateFiles(str(live.chain), str(live.key))
        server, port = await started("http2", [Obedient()], certificates=files)
        trusting = [grpc.ssl_channel_credentials(each.file.read_bytes()) for each in (before, after)]
        assert await asked(f"localhost:{port}", trusting[0]) == b"hello"
        shutil.copy(second.chain, live.chain)
        shutil.copy(second.key, live.key)
        assert await asked(f"localhost:{port}", trusting[1]) == b"hello"
        with pytest.raises(grpc.aio.AioRpcError):
            await asyncio.wait_for(asked(f"localhost:{port}"), 60)  # in clear text
        await server.stop(None)

    asyncio.run(run())


def test_clients_show_theirs_where_they_have_to(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own, client = authority.sign("server"), authority.sign("client")

    async def run() -> None:
        files = CertificateFiles(str(own.chain), str(own.key), str(authority.file))
        server, port = await started("http2", [Obedient()], certificates=files)
        known = authority.file.read_bytes()
        shown = grpc.ssl_channel_credentials(known, client.key.read_bytes(), client.chain.read_bytes())
        assert await asked(f"localhost:{port}", shown) == b"hello"
        with pytest.raises(grpc.aio.AioRpcError):
            await asked(f"localhost:{port}", grpc.ssl_channel_credentials(known))
        await server.stop(None)

    asyncio.run(run())


def test_front_processes_are_served_until_the_end(tmp_path: Path) -> None:
    async def run() -> None:
        server, port = await started("http2", [Obedient()], socket=str(tmp_path / "grpc"))
        inner = f"unix:{tmp_path / 'grpc'}"
        assert await asked(inner) == b"hello"
        await server.leave(60)
        with pytest.raises(grpc.aio.AioRpcError):
            await asked(f"127.0.0.1:{port}")
        assert await asked(inner) == b"hello"
        await server.stop(1)
        with pytest.raises(grpc.aio.AioRpcError):
            await asked(inner)

    asyncio.run(run())


def test_many_clients_are_served_at_once() -> None:
    async def run() -> None:
        server, port = await started("http2", [Obedient()])
        assert set(await asyncio.gather(*(asked(f"127.0.0.1:{port}") for _ in range(100)))) == {b"hello"}
        await server.stop(1)

    asyncio.run(run())


def test_a_port_that_is_taken_is_said() -> None:
    async def run() -> None:
        server, port = await started("http2", [Obedient()])
        assert isinstance(server, NativeServer)
        with pytest.raises(OSError, match="in use"):
            await NativeServer(server._site, GrpcConnectionLimits()).start(port)
        await server.stop(None)

    asyncio.run(run())


def test_the_limits_are_the_settings() -> None:
    settings = Settings.parse(["--body_timeout=3", "--send_timeout=4"], {})
    limits = GrpcConnectionLimits.of(settings, 9)
    assert (limits.max_connections, limits.body_timeout, limits.send_timeout) == (9, 3.0, 4.0)
    assert GrpcConnectionLimits.of(Settings(), 10_000) == GrpcConnectionLimits()
