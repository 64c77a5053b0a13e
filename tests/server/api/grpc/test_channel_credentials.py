"""gRPC shows the certificate that the files hold when a connection begins."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from server.api.grpc.channel_credentials import server_credentials
from server.runtime.certificates import CertificateFiles
from tests.certificates import Authority, Pair

METHOD = "/test.Test/Echo"


class Echo(grpc.GenericRpcHandler):
    def service(self, handler_call_details: object) -> grpc.RpcMethodHandler[bytes, bytes]:
        return grpc.unary_unary_rpc_method_handler(lambda raw, context: raw)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def _asked(port: int, credentials: grpc.ChannelCredentials) -> bytes:
    with grpc.secure_channel(f"localhost:{port}", credentials, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        answer: bytes = channel.unary_unary(METHOD)(b"text", timeout=30)
        return answer


def test_a_renewed_certificate_is_shown_to_the_next_client(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    before, after = Authority(tmp_path / "a"), Authority(tmp_path / "b")
    first, second = before.sign("server"), after.sign("server")
    live = Pair(tmp_path / "live.pem", tmp_path / "live.key")
    shutil.copy(first.chain, live.chain)
    shutil.copy(first.key, live.key)
    server = grpc.server(pool, [Echo()])
    port = server.add_secure_port("localhost:0", server_credentials(CertificateFiles(str(live.chain), str(live.key))))
    server.start()
    try:
        assert _asked(port, grpc.ssl_channel_credentials(before.file.read_bytes())) == b"text"
        shutil.copy(second.chain, live.chain)
        shutil.copy(second.key, live.key)
        assert _asked(port, grpc.ssl_channel_credentials(after.file.read_bytes())) == b"text"
    finally:
        server.stop(0).wait()


def test_clients_show_theirs_where_they_have_to(tmp_path: Path, pool: ThreadPoolExecutor) -> None:
    authority = Authority(tmp_path)
    own, client = authority.sign("server"), authority.sign("client")
    files = CertificateFiles(str(own.chain), str(own.key), str(authority.file))
    server = grpc.server(pool, [Echo()])
    port = server.add_secure_port("localhost:0", server_credentials(files))
    server.start()
    roots = authority.file.read_bytes()
    try:
        shown = grpc.ssl_channel_credentials(roots, client.key.read_bytes(), client.chain.read_bytes())
        assert _asked(port, shown) == b"text"
        with pytest.raises(grpc.RpcError) as refused:
            _asked(port, grpc.ssl_channel_credentials(roots))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    finally:
        server.stop(0).wait()
