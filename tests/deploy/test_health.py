"""The image's health check, as a program of its own: asked are servers in the clear, over TLS, and of a Unix socket."""

from __future__ import annotations

import os
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.certificates import Authority
from tests.deploy.manifests import DEPLOY
from tests.patience import wait_for


class Handler(BaseHTTPRequestHandler):
    """Alive, and not ready."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/v2/health/live" else 503)
        self.end_headers()

    def address_string(self) -> str:
        return "a client"  # one of a Unix socket has no address

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(socketserver.TCPServer):
    """`HTTPServer` without the look-up of this machine's name; what is no TLS ends its own connection alone."""

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def check(*argv: str, **environ: str) -> tuple[int, str]:
    """The program's status, and what it says."""
    line = [sys.executable, "-IS", str(DEPLOY / "image" / "health.py"), *argv]
    given = {name: value for name, value in os.environ.items() if not name.startswith("POLYSERVE_")} | environ
    done = subprocess.run(line, env=given, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr.strip()


def comes(expected: tuple[int, str], *argv: str, **environ: str) -> None:
    """It says so; not at once, where the server here takes longer than the few seconds that it has."""
    wait_for(lambda: check(*argv, **environ) == expected, f"{expected}")


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_port_is_asked_in_the_clear_and_over_tls(tmp_path: Path, encrypted: bool) -> None:
    server = Server(("127.0.0.1", 0), Handler)
    if encrypted:
        pair = Authority(tmp_path).sign("server")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.chain, pair.key)
        # The handshake is the first read's, so that one that fails is an error of its connection, not of `accept`.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    with serving(server):
        port = str(server.server_address[1])
        comes((0, ""), POLYSERVE_HTTP_PORT=port)
        comes((1, "/v2/health/ready: 503"), "/v2/health/ready", POLYSERVE_HTTP_PORT=port)


def test_a_socket_is_asked_before_the_port() -> None:
    with TemporaryDirectory(prefix="uds") as short:  # a socket's path may not be long
        path = f"{short}/s"
        with serving(socketserver.UnixStreamServer(path, Handler)):
            comes((0, ""), POLYSERVE_UDS=path, POLYSERVE_HTTP_PORT="1")
            comes((1, "/v2/health/ready: 503"), "/v2/health/ready", POLYSERVE_UDS=path)
        status, said = check(POLYSERVE_UDS=f"{short}/none")
        assert status == 1
        assert said.startswith("no answer: FileNotFoundError")


def test_nobody_there_is_no_answer() -> None:
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        status, said = check(POLYSERVE_HTTP_PORT=str(bound.getsockname()[1]))
    assert status == 1
    assert said.endswith("asked by its socket: POLYSERVE_UDS")
