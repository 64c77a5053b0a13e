"""Asking a server that is there, another one, or none: each failure says what to do."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from server.cli.main import Failure
from server.cli.server_client import RunningServer
from server.cli.tls_files import TlsFiles
from tests.certificates import Authority

METADATA = {"name": "iris", "versions": ["1"], "platform": "x", "inputs": [], "outputs": []}
ANSWERS = {
    "/v2/models": (200, {"models": ["iris", "mine"]}),
    "/v2/models/iris": (200, METADATA),
    "/v2/models/iris/versions/2": (200, {**METADATA, "versions": ["2"]}),
    "/v2/models/mine": (503, {"error": "model 'mine' is not ready: it is\nbroken"}),
    "/v2/models/a%2Fb": (200, METADATA),
    "/v2/models/keyed": (401, {"error": "this server asks for an API key: send `X-API-Key: <key>`"}),
    "/v2/models/theirs": (403, {"error": "this API key (me) is not for model 'theirs'"}),
    "/v2/models/wyne": (404, {"error": "model 'wyne' does not exist; did you mean 'wine'?"}),
    "/echo": (400, {"error": {"message": "no good"}}),
}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status, document = ANSWERS.get(self.path, (404, {"error": "model 'x' does not exist"}))
        self.answer(status, json.dumps(document).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.answer(201, json.dumps({"x": self.headers["x-test"], "type": self.headers["content-type"]}).encode())

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_what_it_answers(url: str) -> None:
    server = RunningServer.at(f"{url}/", ["X-Test: a: b"])
    assert server.model("iris") == METADATA
    assert server.model("iris", "2")["versions"] == ["2"]
    assert server.model("a/b") == METADATA, "a name is one segment"
    assert server.names() == ["iris", "mine"]
    answer = server.post("/x", b"{}")
    assert (answer.status, answer.document) == (201, {"x": "a: b", "type": "application/json"})
    assert server.get("/echo").error == "no good"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("irsi", "does not exist: did you mean iris?"),
        ("wyne", "model 'wyne' does not exist; did you mean 'wine'?$"),
        ("xyz", "there are iris, mine"),
        ("mine", "the server answers 503: model 'mine' is not ready: it is broken"),
        ("keyed", "the server answers 401: this server asks for an API key.*here by -H 'Authorization: Bearer KEY'$"),
        ("theirs", r"the server answers 403: this API key \(me\) is not for model 'theirs'$"),
    ],
)
def test_models_that_do_not_answer(url: str, name: str, said: str) -> None:
    with pytest.raises(Failure, match=said.replace("?", r"\?")):
        RunningServer.at(url).model(name)


def test_nobody_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = RunningServer.at(f"127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(Failure, match=r"nothing answers at http://127.0.0.1:.*polyserve serve DIR"):
            server.names()


@pytest.mark.parametrize("reply", [b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", b""])
def test_a_port_that_speaks_something_else(reply: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            connection, _ = other.accept()
            connection.recv(65536)
            connection.sendall(reply)
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Failure, match=r"does not speak HTTP: gRPC's port is another \(8081\)"):
            RunningServer.at(f"http://127.0.0.1:{other.getsockname()[1]}").names()
        thread.join()


def test_a_server_that_ends_the_handshake(tmp_path: Path) -> None:
    """What a server's alert comes to where its end is seen first."""
    with socket.create_server(("127.0.0.1", 0)) as other:

        def leave() -> None:
            connection, _ = other.accept()
            connection.recv(65536)
            connection.close()

        thread = threading.Thread(target=leave)
        thread.start()
        server = RunningServer.at(f"https://127.0.0.1:{other.getsockname()[1]}", tls=TlsFiles(Authority(tmp_path).file))
        with pytest.raises(
            Failure, match="ends the connection: perhaps it asks for a certificate of yours: name it by"
        ):
            server.names()
        thread.join()


class Quiet(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Handshakes fail here, as they are meant to."""


@contextmanager
def over_tls(authority: Authority, *, asks: bool) -> Iterator[str]:
    """The same server over TLS; `asks`: it wants a certificate of its clients."""
    pair = authority.sign("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.chain, pair.key)
    if asks:
        context.load_verify_locations(authority.file)
        context.verify_mode = ssl.CERT_REQUIRED
    with Quiet(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def test_tls(tmp_path: Path, url: str) -> None:
    authority = Authority(tmp_path)
    trusting = TlsFiles(authority.file)
    with over_tls(authority, asks=False) as place:
        assert RunningServer.at(f"https://{place}", tls=trusting).model("iris") == METADATA
        with pytest.raises(Failure, match=r"is not trusted here \(.*\): name whom to trust by --cacert FILE"):
            RunningServer.at(f"https://{place}").names()
        with pytest.raises(Failure, match=r"does not speak HTTP.* and TLS by https://"):
            RunningServer.at(f"http://{place}").names()
    with pytest.raises(Failure, match="does not speak TLS: write it as http://"):
        RunningServer.at(url.replace("http:", "https:"), tls=trusting).names()


def test_a_server_that_asks_for_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    mine = authority.sign("mine")
    with over_tls(authority, asks=True) as place:
        server = RunningServer.at(f"https://{place}", tls=TlsFiles(authority.file, mine.chain, mine.key))
        assert server.model("iris") == METADATA
        with pytest.raises(Failure, match="a certificate of yours: name it by --cert FILE and --key FILE"):
            RunningServer.at(f"https://{place}", tls=TlsFiles(authority.file)).names()


def test_another_server(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANSWERS, "/v2/models", (404, {}))
    with pytest.raises(Failure, match="not as PolyServe does"):
        RunningServer.at(url).model("nobody")
    with pytest.raises(Failure, match=f"answers 404: write the server's address without a path, --url={url}$"):
        RunningServer.at(f"{url}/v1/models/iris:predict").model("iris")


def test_a_host_that_is_none() -> None:
    with pytest.raises(Failure, match="name another address by --url"):
        RunningServer.at("http://no-such-host.invalid").names()


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://x:99999", "http://[x"])
def test_no_address(url: str) -> None:
    with pytest.raises(click.UsageError, match="is no address: write it as http://localhost:8080"):
        RunningServer.at(url)


@pytest.mark.parametrize("header", ["nothing", ": x", "A: b\r\nC: d"])
def test_no_header(header: str) -> None:
    with pytest.raises(click.UsageError, match="write it as 'Name: value'"):
        RunningServer.at("x", [header])
