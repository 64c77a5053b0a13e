"""A flooded model answers 429 and 504 on every protocol, and takes nobody else with it."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import grpc
import httpx
import numpy as np
import orjson
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as pb_grpc

from tests.e2e.process import Server
from tests.patience import wait_for

WIDTH = 1  #: so that bodies are small, whatever the work
QUEUE = 4
WAIT = 0.3  #: seconds


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`slow` compares every row with a million others; `light` adds numbers."""
    from sklearn.linear_model import LinearRegression

    base = tmp_path_factory.mktemp("overload")
    save_slow(base / "models" / "slow")
    save(LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0]), base / "models" / "light")
    flags = [f"--max_queue={QUEUE}", f"--request_timeout={WAIT}", "--max_batch_rows=1"]
    server = Server(base / "models", base / "server.log", *flags).wait_ready()
    yield server
    assert server.stop() == 0, server.log


@pytest.fixture(scope="module")
def rows(server: Server) -> int:
    """With so many, a call takes several times as long as any request may wait, whatever the machine."""
    return rows_that_take(server, 5 * WAIT)


def v1(rows: int) -> bytes:
    return orjson.dumps({"instances": [[0] * WIDTH] * rows})


def v2(rows: int) -> bytes:
    tensor = {"name": "x", "shape": [rows, WIDTH], "datatype": "FP64", "data": [0] * (rows * WIDTH)}
    return orjson.dumps({"inputs": [tensor]})


def rows_that_take(server: Server, seconds: float) -> int:
    """How many rows keep `slow` busy for so long."""
    rows = 40
    while True:
        answer = server.client.post("/v1/models/slow:predict", content=v1(rows))
        assert answer.status_code == 200, answer.text
        if answer.elapsed.total_seconds() >= seconds:
            return rows
        rows *= 2


def save_slow(folder: Path) -> Path:
    from sklearn.neighbors import KNeighborsClassifier

    rows = np.random.default_rng(0).normal(size=(1_000_000, WIDTH))
    return save(KNeighborsClassifier(algorithm="brute").fit(rows, rows[:, 0] > 0), folder)


def save(model: object, folder: Path) -> Path:
    import joblib

    folder.mkdir(parents=True)
    joblib.dump(model, folder / "model.joblib")
    return folder


async def flood(server: Server, path: str, body: bytes, callers: int) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=callers)
    async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as client:
        return await asyncio.gather(*(client.post(path, content=body) for _ in range(callers)))


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/models/slow:predict", v1), ("/v2/models/slow/infer", v2)], ids=["v1", "v2"]
)
def test_a_full_queue_and_a_passed_deadline(server: Server, rows: int, path: str, body: Callable[[int], bytes]) -> None:
    answers = asyncio.run(flood(server, path, body(rows), 30))
    statuses = Counter(answer.status_code for answer in answers)
    assert statuses.keys() <= {200, 429, 504}
    assert statuses[200] >= 1
    assert statuses[429] >= 10
    for answer in answers:
        if answer.status_code == 429:
            assert answer.headers["retry-after"] == "1"
            assert f"slow has {QUEUE} requests waiting (limit max_queue)" in answer.json()["error"]
        if answer.status_code == 504:
            assert "waited 0.3 s for slow (limit request_timeout)" in answer.json()["error"]


def test_waiting_ends_at_the_deadline(server: Server, rows: int) -> None:
    """Five at once: few run at a time, and whoever has not begun in time is told."""
    answers = asyncio.run(flood(server, "/v1/models/slow:predict", v1(rows), QUEUE + 1))
    statuses = {answer.status_code for answer in answers}
    assert {200, 504} <= statuses <= {200, 429, 504}


def test_grpc(server: Server, rows: int) -> None:
    async def ask() -> Counter[grpc.StatusCode]:
        tensor = pb.ModelInferRequest.InferInputTensor(name="x", datatype="FP64", shape=[rows, WIDTH])
        tensor.contents.fp64_contents.extend([0.0] * (rows * WIDTH))
        request = pb.ModelInferRequest(model_name="slow", inputs=[tensor])
        async with grpc.aio.insecure_channel(server.grpc) as channel:
            stub = pb_grpc.GRPCInferenceServiceStub(channel)
            answers = await asyncio.gather(*(stub.ModelInfer(request) for _ in range(30)), return_exceptions=True)
        return Counter(
            answer.code() if isinstance(answer, grpc.aio.AioRpcError) else grpc.StatusCode.OK for answer in answers
        )

    codes = asyncio.run(ask())
    assert codes.keys() <= {
        grpc.StatusCode.OK,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
    assert codes[grpc.StatusCode.OK] >= 1
    assert codes[grpc.StatusCode.RESOURCE_EXHAUSTED] >= 10


def test_the_others_are_served_meanwhile(server: Server, rows: int) -> None:
    async def ask() -> list[httpx.Response]:
        flooding = asyncio.create_task(flood(server, "/v1/models/slow:predict", v1(rows), 30))
        answers = []
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            while not flooding.done():
                answers.append(await client.post("/v1/models/light:predict", json={"instances": [[2.0]]}))
        await flooding
        return answers

    answers = asyncio.run(ask())
    assert answers
    assert all(answer.json() == {"predictions": [pytest.approx(5.0)]} for answer in answers)


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Server]:
    """`slow` alone: one call at a time, and requests may wait for a minute."""
    folder = save_slow(tmp_path / "models" / "slow")
    (folder / "polyserve.yaml").write_text("lanes: 1")
    server = Server(tmp_path / "models", tmp_path / "server.log", "--max_batch_rows=1").wait_ready()
    yield server
    assert server.stop() == 0, server.log


def test_clients_that_hang_up_stop_costing_work(patient: Server) -> None:
    """One call runs for seconds while four requests wait; when their clients have gone, none of the four is begun."""
    server, rows = patient, rows_that_take(patient, 2)
    body = v1(rows)
    head = f"POST /v1/models/slow:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    before = counted(server, "polyserve_rows_total")
    with ExitStack() as clients:
        sent: list[socket.socket] = []
        while len(sent) <= QUEUE:
            sent.append(clients.enter_context(socket.create_connection(("127.0.0.1", server.http_port))))
            sent[-1].sendall(head.encode() + body)
            wait_for(lambda: counted(server, "polyserve_rows_total") == before + rows)
            wait_for(lambda: counted(server, "polyserve_queue_length") == len(sent) - 1)
    assert server.predict("slow", {"instances": [[0.0] * WIDTH]}).status_code == 200
    assert counted(server, "polyserve_rows_total") == before + rows + 1


def counted(server: Server, sample: str) -> float:
    """What `/metrics` says of the model `slow`."""
    lines = server.client.get("/metrics").text.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(f'{sample}{{model="slow"}}')), 0.0)


def test_every_outcome_is_counted(server: Server, rows: int) -> None:
    asyncio.run(flood(server, "/v1/models/slow:predict", v1(rows), 30))
    metrics = server.client.get("/metrics").text
    for protocol in ("v1", "v2", "grpc"):
        counted = [line for line in metrics.splitlines() if line.startswith("polyserve_requests_total{")]
        labels = ('model="slow"', f'protocol="{protocol}"', 'status="429"')
        assert any(all(label in line for label in labels) for line in counted), counted
