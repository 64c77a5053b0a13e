"""`--busy_poll`: between requests that come one after another the event loop does not sleep."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import httpx
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from tests import cases
from tests.e2e.process import Server
from tests.patience import wait_for

pytestmark = pytest.mark.slow

ROW = [5.1, 3.5, 1.4, 0.2]
REQUESTS = 50


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("polling")
    (base / "models" / "iris").mkdir(parents=True)
    cases.sklearn_logistic(base / "models" / "iris")
    server = Server(base / "models", base / "log", "--busy_poll=10000").wait_ready()
    yield server
    assert server.stop() == 0, server.log


def _sleeps(server: Server) -> int:
    """How often the event loop's thread has gone to sleep."""
    status = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/status").read_text()
    found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)$", status, re.MULTILINE)
    assert found, status
    return int(found[1])


def _stays_awake(server: Server, ask: Callable[[], None]) -> None:
    """On a busy machine a client may take longer than the loop waits for it, now and then."""

    def sleeps_less_than_half_of_the_times() -> bool:
        before = _sleeps(server)
        for _ in range(REQUESTS):
            ask()
        return _sleeps(server) - before < REQUESTS // 2

    wait_for(sleeps_less_than_half_of_the_times, "an event loop that does not sleep")


def test_between_requests_of_rest(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as client:

        def ask() -> None:
            assert client.post("/v1/models/iris:predict", json={"instances": [ROW]}).status_code == 200

        _stays_awake(server, ask)


def test_between_calls_of_grpc(server: Server) -> None:
    request = pb.ModelInferRequest(model_name="iris")
    request.inputs.add(name="x", datatype="FP64", shape=[1, 4]).contents.fp64_contents.extend(ROW)
    with grpc.insecure_channel(server.grpc) as channel:
        stub = GRPCInferenceServiceStub(channel)

        def ask() -> None:
            assert stub.ModelInfer(request, timeout=60).model_name == "iris"

        _stays_awake(server, ask)
