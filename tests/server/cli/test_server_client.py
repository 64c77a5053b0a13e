"""Asking a server that is there, another one, or none: each failure says what to do."""

from __future__ import annotations

import http.server
import json
import socket
import threading
from collections.abc import Iterator

import click
import pytest

from server.cli.main import Failure
from server.cli.server_client import RunningServer

METADATA = {"name": "iris", "versions": ["1"], "platform": "x", "inputs": [], "outputs": []}
ANSWERS = {
    "/v2/models": (200, {"models": ["iris", "mine"]}),
    "/v2/models/iris": (200, METADATA),
    "/v2/models/iris/versions/2": (200, {**METADATA, "versions": ["2"]}),
    "/v2/models/mine": (503, {"error": "model 'mine' is not ready: it is\nbroken"}),
    "/v2/models/a%2Fb": (200, METADATA),
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


def test_another_server(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ANSWERS, "/v2/models", (404, {}))
    with pytest.raises(Failure, match="not as PolyServe does"):
        RunningServer.at(url).model("nobody")


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
