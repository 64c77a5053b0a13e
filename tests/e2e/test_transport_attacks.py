"""A whole server, alone and with front processes, beside clients that are silent, slow, or send more than they may."""

from __future__ import annotations

import contextlib
import http.client
import json
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import psutil
import pytest
import tritonclient.http as triton

from tests.e2e.process import Server
from tests.e2e.test_hot_reload import model, put, until
from tests.patience import wait_for
from tests.processes import command, descendants

CONNECTIONS = 100
ROW = b'{"instances": [[1.0, 1.0]]}'
PREDICT = b"POST /v1/models/a:predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%b\r\n%b"
#: what each attacker sends, and then nothing more
BEGUN = [
    b"",
    b"POST /v1/models/a:predict HTTP/1.1\r\nHost: x\r\nX: ",
    PREDICT % (100, b"", b"{"),
    b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /v1/models/nobody:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99000000\r\n\r\n[1,",
]


@pytest.fixture(scope="module", params=[1, 2])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("attacked")
    put(base / "models" / "a" / "model.joblib", model(1))
    flags = (f"--max_connections={CONNECTIONS}", f"--workers={request.param}", "--watch=false")
    server = Server(base / "models", base / "log", *flags).wait_ready()
    until(lambda: server.log.count("listens, too") == request.param - 1, server)
    yield server
    assert server.stop() == 0, server.log
    assert "Traceback" not in server.log


def processes(server: Server) -> list[int]:
    """Those that take requests."""
    fronts = [each.pid for each in descendants(server.process.pid) if _is_front(each)]
    return [server.process.pid, *fronts]


def _is_front(process: psutil.Process) -> bool:
    return any("polyserve_front=" in word for word in command(process))


def ask(server: Server) -> None:
    """A new client, who is answered."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
    connection.request("POST", "/v1/models/a:predict", ROW)
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())) == (200, {"predictions": [1.0]})
    connection.request("GET", "/v2/health/live")
    assert connection.getresponse().status == 200
    connection.close()


def test_a_flood_of_silent_and_slow_clients_keeps_nobody_out(server: Server) -> None:
    """With far fewer descriptors than there are attackers: no more than as many as may be connected need."""
    pids = processes(server)
    most = max(psutil.Process(pid).num_fds() for pid in pids) + 2 * CONNECTIONS + 100
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
    with ExitStack() as stack:
        for number in range(6 * CONNECTIONS):
            end = stack.enter_context(socket.create_connection(("127.0.0.1", server.http_port), timeout=60))
            with contextlib.suppress(ConnectionError):  # there is no room for it already
                end.sendall(BEGUN[number % len(BEGUN)])
            if number % 20 == 0:
                ask(server)
        ask(server)
        most = CONNECTIONS + 64 * len(pids) + 20
        wait_for(
            lambda: sum(len(psutil.Process(pid).connections("tcp")) for pid in pids) <= most, "those too many to go"
        )
    assert "Too many open files" not in server.log


def test_bodies_for_a_model_that_is_not_there_are_not_held(server: Server) -> None:
    before = sum(psutil.Process(pid).memory_info().rss for pid in processes(server))
    with ExitStack() as stack:
        ends = [stack.enter_context(socket.create_connection(("127.0.0.1", server.http_port), 60)) for _ in range(12)]
        for end in ends:
            end.sendall(b"POST /v1/models/nobody:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99000000\r\n\r\n")
            answer = http.client.HTTPResponse(end)
            answer.begin()  # before the body has come
            assert answer.status == 404
            assert answer.getheader("connection") == "close"
            with contextlib.suppress(OSError):
                for _ in range(20):
                    end.sendall(bytes(1 << 20))
        after = sum(psutil.Process(pid).memory_info().rss for pid in processes(server))
    assert after - before < 100 << 20


@pytest.mark.parametrize(
    "offer",
    [b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAA\r\n",
     b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n"],
    ids=["h2c", "websocket"],
)  # fmt: skip
def test_an_offer_of_another_protocol_is_ignored(server: Server, offer: bytes) -> None:
    for _ in range(4):  # the kernel deals connections out to all processes
        with socket.create_connection(("127.0.0.1", server.http_port), timeout=60) as end:
            for _ in range(2):
                end.sendall(PREDICT % (len(ROW), offer, ROW))
                answer = http.client.HTTPResponse(end)
                answer.begin()
                assert (answer.status, answer.read()) == (200, b'{"predictions":[1.0]}')


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("rows", [1, 20_000])
def test_tritons_client_compresses_both_ways(server: Server, coding: str, binary: bool, rows: int) -> None:
    with triton.InferenceServerClient(f"127.0.0.1:{server.http_port}", network_timeout=60) as client:
        tensor = triton.InferInput("x", [rows, 2], "FP64")
        tensor.set_data_from_numpy(np.ones((rows, 2)), binary_data=binary)
        answer = client.infer(
            "a",
            [tensor],
            request_compression_algorithm=coding,
            response_compression_algorithm=coding,
        )
        name = answer.get_response()["outputs"][0]["name"]
        assert np.array_equal(np.ravel(answer.as_numpy(name)), np.ones(rows))
