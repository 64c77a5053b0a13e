"""REST over HTTP/1.1 and HTTP/2, and gRPC, on one port: in one process and in several, by TLS, and until it stops."""

from __future__ import annotations

import json
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import hpack
import httpx
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from server.api.http2 import frames
from server.api.http2.frames import END_HEADERS, END_STREAM, frame
from server.api.shutdown import LINGER
from tests import cases
from tests.certificates import Authority
from tests.e2e.process import READY_SECONDS, Server
from tests.e2e.test_fronts import _clients, _fronts
from tests.patience import wait_for
from tests.server.api.http2.client import HEAD, HELLO, block, headers, split

pytestmark = pytest.mark.slow

ROW = {"instances": [[5.1, 3.5, 1.4, 0.2]]}
WORDS = {"instances": ["a", "b"], "notes": "."}
MANY = {"instances": [[5.1, 3.5, 1.4, 0.2]] * 5000}
REQUESTS: list[tuple[str, str, Any]] = [
    ("GET", "/v2/health/live", None),
    ("GET", "/v2/models/iris", None),
    ("GET", "/v2/models/nobody", None),
    ("GET", "/v1/models", None),
    ("HEAD", "/v2/health/live", None),
    ("GET", "/docs", None),
    ("GET", "/nowhere", None),
    ("DELETE", "/v1/models/iris:predict", None),
    ("OPTIONS", "/v1/models/iris:predict", None),
    ("POST", "/v1/models/iris:predict", ROW),
    ("POST", "/v1/models/iris:predict", MANY),
    ("POST", "/v1/models/iris:predict", {"instances": [[1.0]]}),
    ("POST", "/v1/models/iris:predict", {}),
    ("POST", "/v1/models/nobody:predict", ROW),
    ("POST", "/v1/models/streaming:predict", WORDS),
    ("POST", "/v2/repository/index", None),
    ("POST", "/v2/repository/models/nobody/load", None),
]
#: about one connection, or about when
_OF_THE_MOMENT = {"date", "connection", "keep-alive", "transfer-encoding"}


def mount(root: Path) -> Path:
    (root / "iris").mkdir(parents=True)
    cases.sklearn_logistic(root / "iris")
    shutil.copytree(Path(__file__).parents[1] / "custom_models" / "streaming", root / "streaming")
    return root


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two processes"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("shared")
    flags = (f"--workers={request.param}", "--watch=false")
    server = Server(mount(base / "models"), base / "log", *flags, one_port=True).wait_ready()
    if request.param == 2:
        wait_for(lambda: "process 2 of the server listens" in server.log, "the second process")
    yield server
    assert server.stop() == 0, server.log


def clients(server: Server) -> list[httpx.Client]:
    """One of HTTP/1.1 and one of HTTP/2, at every process that listens."""
    pids = [server.process.pid, *_fronts(server)]
    return [_at(server, pid, http2) for pid in pids for http2 in (False, True)]


def _at(server: Server, pid: int, http2: bool) -> httpx.Client:
    """One whose connection this process has: the kernel deals them out, so some are made in vain."""
    for _ in range(200):
        client = httpx.Client(base_url=server.url, http1=not http2, http2=http2, timeout=60)
        answer = client.get("/v2/health/live")
        assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
        if answer.extensions["network_stream"].get_extra_info("client_addr")[1] in _clients(pid, server.http_port):
            return client
        client.close()
    raise AssertionError(f"process {pid} has got no connection")


def comparable(answer: httpx.Response) -> Any:
    kept = {name: value for name, value in answer.headers.items() if name not in _OF_THE_MOMENT}
    return answer.status_code, kept, answer.content


def test_both_versions_of_http_answer_the_same_in_every_process(server: Server) -> None:
    with ExitStack() as stack:
        first, *others = [stack.enter_context(closing(client)) for client in clients(server)]
        for method, path, body in REQUESTS:
            wanted = comparable(first.request(method, path, json=body))
            for other in others:
                assert comparable(other.request(method, path, json=body)) == wanted, (method, path)


def test_grpc_is_there_too(server: Server) -> None:
    for _ in range(20):  # either process may take one
        with grpc.insecure_channel(server.grpc, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            stub = GRPCInferenceServiceStub(channel)
            assert stub.ModelReady(pb.ModelReadyRequest(name="iris"), timeout=60).ready
            request = pb.ModelInferRequest(model_name="iris", id="7")
            request.inputs.add(name="x", datatype="FP64", shape=[1, 4]).contents.fp64_contents.extend(
                ROW["instances"][0]
            )
            assert stub.ModelInfer(request, timeout=60).id == "7"
            with pytest.raises(grpc.RpcError, match="nobody"):
                stub.ModelReady(pb.ModelReadyRequest(name="nobody"), timeout=60)


def test_the_log_says_where(server: Server) -> None:
    wait_for(lambda: "gRPC    " in server.log, "the address")
    lines = [line.split() for line in server.log.splitlines()]
    told = {words[0]: words[1] for words in lines if words and words[0] in ("REST", "gRPC")}
    assert told["REST"].endswith(f":{server.http_port}")
    assert told["gRPC"] == f"0.0.0.0:{server.http_port}"


def by_http1(server: Server) -> bool:
    """One request on a connection of its own; False: nobody listens any more."""
    try:
        answer = httpx.post(f"{server.url}/v1/models/iris:predict", json=ROW, timeout=60)
    except httpx.ConnectError:
        return False
    assert answer.status_code == 200, answer.text
    return True


def by_http2(server: Server) -> bool:
    """The same. Libraries for HTTP/2 take a GOAWAY for the end of what they have asked before it; this one does not."""
    body = json.dumps(ROW).encode()
    fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/v1/models/iris:predict"), HEAD[3]]
    asked = headers(1, END_HEADERS, block(base=fields)) + frame(frames.DATA, END_STREAM, 1, body)
    try:
        connection = socket.create_connection(("127.0.0.1", server.http_port), timeout=60)
    except ConnectionRefusedError:
        return False
    with connection:
        connection.sendall(HELLO + asked)
        heard, ended = b"", False
        while not ended:
            if not (received := connection.recv(65_536)):
                raise ConnectionError(f"it ended after {heard!r}")
            heard += received
            ended = any(number == 1 and flags & END_STREAM for _, flags, number, _ in _whole(heard))
    (head, *_) = (payload for kind, _, _, payload in _whole(heard) if kind == frames.HEADERS)
    assert dict(hpack.Decoder().decode(head, raw=True))[b":status"] == b"200", heard
    return True


def _whole(heard: bytes) -> list[tuple[int, int, int, bytes]]:
    """The frames that have come to their end."""
    end = 0
    while len(heard) >= end + 9 and len(heard) >= (after := end + 9 + int.from_bytes(heard[end : end + 3], "big")):
        end = after
    return split(heard[:end])


def by_grpc(server: Server) -> bool:
    with grpc.insecure_channel(server.grpc, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        try:
            return bool(GRPCInferenceServiceStub(channel).ServerLive(pb.ServerLiveRequest(), timeout=60).live)
        except grpc.RpcError as error:
            if "refused" not in str(error.details()):  # type: ignore[attr-defined]
                raise
            return False


ASKING = {"HTTP/1.1": by_http1, "HTTP/2": by_http2, "gRPC": by_grpc}


@pytest.mark.parametrize("workers", [1, 2])
def test_no_request_fails_while_it_stops(tmp_path: Path, workers: int) -> None:
    server = Server(mount(tmp_path / "models"), tmp_path / "log", f"--workers={workers}", one_port=True).wait_ready()
    if workers == 2:
        wait_for(lambda: "process 2 of the server listens" in server.log, "the second process")
    answered, failures = dict.fromkeys(ASKING, 0), list[str]()

    def ask(kind: str) -> None:
        began = time.monotonic()
        try:
            while ASKING[kind](server):
                answered[kind] += 1
                began = time.monotonic()
        except (httpx.TransportError, OSError) as error:
            took = time.monotonic() - began
            if took < LINGER:  # who stands still for longer than that before he asks may lose his connection
                failures.append(f"{kind}: {error!r} after {took:.3f} s")
        except Exception as error:
            failures.append(f"{kind}: {error!r}")

    threads = [threading.Thread(target=ask, args=(kind,)) for kind in ASKING]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: failures or min(answered.values()) > 10)
        assert server.stop() == 0, server.log
    finally:
        server.kill()
        for thread in threads:
            thread.join(240)
    assert not failures, (failures, server.log)


def test_by_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("server")
    flags = (f"--ssl_certfile={pair.chain}", f"--ssl_keyfile={pair.key}", "--watch=false")
    server = Server(mount(tmp_path / "models"), tmp_path / "log", *flags, one_port=True)
    try:
        wait_for(lambda: " listens" in server.log, "the server", READY_SECONDS)
        trusting = ssl.create_default_context(cafile=str(authority.file))
        base = f"https://localhost:{server.http_port}"
        for http2 in (False, True):
            with httpx.Client(base_url=base, http1=not http2, http2=http2, verify=trusting, timeout=60) as client:
                ready = partial(client.get, "/v2/health/ready")
                wait_for(lambda ready=ready: ready().status_code == 200, "the models", READY_SECONDS)
                assert client.post("/v1/models/iris:predict", json=ROW).status_code == 200
        credentials = grpc.ssl_channel_credentials(authority.file.read_bytes())
        with grpc.secure_channel(f"localhost:{server.grpc_port}", credentials) as channel:
            assert GRPCInferenceServiceStub(channel).ServerLive(pb.ServerLiveRequest(), timeout=60).live
    finally:
        assert server.stop() == 0, server.log
