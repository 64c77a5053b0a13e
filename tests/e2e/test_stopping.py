"""The end: nobody who is being served fails, and then it is quick."""

from __future__ import annotations

import contextlib
import errno
import re
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import httpx
import joblib
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from tests.e2e.leaving_load import KINDS, ROW, LeavingLoad
from tests.e2e.process import Server
from tests.e2e.test_fronts import Site
from tests.patience import wait_for

#: says in one file that it is asked, and answers when there is another
GATED = """
import asyncio
from pathlib import Path
import kserve

class Gated(kserve.Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    async def predict(self, payload, headers=None):
        notes = Path(payload["notes"])
        (notes / "asked").touch()
        while not (notes / "open").exists():
            await asyncio.sleep(0.01)
        return {"predictions": ["waited"]}
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    (root / "iris").mkdir()
    (root / "gated").mkdir()
    joblib.dump(LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True)), root / "iris" / "model.joblib")
    (root / "gated" / "model.py").write_text(GATED)
    return root


@pytest.fixture
def start(models: Path, tmp_path: Path) -> Iterator[list[Server]]:
    servers: list[Server] = []
    yield servers
    for server in servers:
        server.kill()


def _started(servers: list[Server], models: Path, log: Path, *flags: str) -> Server:
    servers.append(Server(models, log / "log", *flags))
    return servers[-1].wait_ready()


def _copied(servers: list[Server], models: Path, log: Path) -> Server:
    """One of three processes, of which two have copies of the model."""
    site = Site(models, log / "log")
    servers.append(site.server)
    tensor = {"name": "x", "datatype": "FP64", "shape": [1, 4], "data": ROW}
    wait_for(lambda: site.copied("iris", body={"inputs": [tensor]}), "the copies")
    site.leave()
    return site.server


@pytest.mark.parametrize(
    "flags",
    [(), ("--isolation=process",), ("--event-loop=asyncio",), ("--shutdown_delay=1",), ("--workers=3",)],
)
def test_no_request_fails_while_the_server_stops(
    start: list[Server], models: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    server = (
        _copied(start, models, tmp_path) if flags == ("--workers=3",) else _started(start, models, tmp_path, *flags)
    )
    load = LeavingLoad(server.http_port, server.grpc_port, "iris")
    wait_for(lambda: load.failed or min(load.answered[kind] for kind in KINDS) > 5)
    assert server.stop() == 0, server.log
    load.wait(240)
    assert not load.failed, (load.failed, server.log)


def test_requests_in_flight_are_answered(start: list[Server], models: Path, tmp_path: Path) -> None:
    server = _started(start, models, tmp_path, "--grace_period=600")
    answers: list[httpx.Response] = []
    asking = threading.Thread(target=lambda: answers.append(_ask_gated(server, tmp_path)))
    asking.start()
    wait_for((tmp_path / "asked").exists, "the request")
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: _refuses(server.http_port), "the port to be closed")
    (tmp_path / "open").touch()
    assert server.process.wait(240) == 0, server.log
    asking.join(240)
    assert answers[0].json() == {"predictions": ["waited"]}


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("flags", [(), ("--workers=2",)])
def test_it_says_that_it_goes_and_a_second_signal_ends_it_at_once(
    start: list[Server], models: Path, tmp_path: Path, second: signal.Signals, flags: tuple[str, ...]
) -> None:
    server = _started(start, models, tmp_path, "--shutdown_delay=2000", *flags)
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: "stopping" in server.client.get("/v2/health/ready").text)  # two at once would count as one
    if not flags:  # of several processes each learns it by itself
        assert server.client.get("/v2/health/ready").status_code == 503
        assert server.client.get("/v2/health/live").status_code == 200
        with grpc.insecure_channel(server.grpc) as channel:
            stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
            assert not stub.ServerReady(pb.ServerReadyRequest(), timeout=60).ready
            assert stub.ServerLive(pb.ServerLiveRequest(), timeout=60).live
        assert server.predict("iris", {"instances": [ROW]}).status_code == 200
    server.process.send_signal(second)
    assert server.process.wait(240) == 128 + second  # without it 2000 s from now


@pytest.mark.parametrize("flags", [(), ("--workers=3",)])
def test_what_takes_longer_than_the_grace_period_is_given_up(
    start: list[Server], models: Path, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    server = _started(start, models, tmp_path, "--grace_period=1", *flags)
    asking = threading.Thread(target=lambda: _swallowed(server, tmp_path))
    asking.start()
    wait_for((tmp_path / "asked").exists, "the request")
    assert server.stop() == 0, server.log  # that request is in no hurry, nor would `stop` wait for it
    asking.join(240)


def test_it_can_be_stopped_before_it_serves(models: Path, start: list[Server], tmp_path: Path) -> None:
    start.append(Server(models, tmp_path / "log"))
    wait_for(lambda: _catches(start[0].process.pid, signal.SIGTERM), "handlers")
    start[0].process.send_signal(signal.SIGTERM)
    assert start[0].process.wait(240) == 0


def test_what_cannot_start_ends_though_models_are_being_loaded(
    models: Path, start: list[Server], tmp_path: Path
) -> None:
    (tmp_path / "kserve").mkdir()
    (tmp_path / "kserve" / "__init__.py").write_text("import time\ntime.sleep(5)\nraise OSError('a damaged KServe')")
    start.append(Server(models, tmp_path / "log", PYTHONPATH=str(tmp_path)))
    assert start[0].process.wait(240) == 1
    assert "OSError: a damaged KServe" in start[0].log


def _ask_gated(server: Server, notes: Path) -> httpx.Response:
    """It is answered once there is a file `open` in the folder."""
    body = {"instances": [], "notes": str(notes)}
    return httpx.post(f"{server.url}/v1/models/gated:predict", json=body, timeout=900)


def _swallowed(server: Server, notes: Path) -> None:
    with contextlib.suppress(httpx.TransportError):
        assert _ask_gated(server, notes).status_code >= 500


def _refuses(port: int) -> bool:
    with socket.socket() as end:
        end.settimeout(60)
        return end.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def _catches(pid: int, number: signal.Signals) -> bool:
    (caught,) = re.findall(r"^SigCgt:\t(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(int(caught, 16) >> (number - 1) & 1)
