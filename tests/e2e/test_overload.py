"""A flooded model answers 429 and 504 on every protocol, and takes nobody else with it.

What holds of every flood is asserted of every flood. What comes of one also depends on how close together its requests
come and when the model begins: where this machine stood still in between, there is another flood.
"""

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
PATIENCE = 600  #: seconds in which one flood is as it should be


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
    """How many rows keep `slow` busy for so long, at its quickest."""
    rows = 40
    while not all(took(server, rows) >= seconds for _ in range(2)):
        rows *= 2
    return rows


def took(server: Server, rows: int) -> float:
    """Seconds of one call; none of one that had to wait for longer than it may, though nobody was before it."""
    answer = server.client.post("/v1/models/slow:predict", content=v1(rows))
    assert answer.status_code in (200, 504), answer.text
    return answer.elapsed.total_seconds() if answer.status_code == 200 else 0.0


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
    async with httpx.AsyncClient(base_url=server.url, timeout=240, limits=limits) as client:
        return await asyncio.gather(*(client.post(path, content=body) for _ in range(callers)))


@pytest.mark.parametrize(
    ("path", "body"), [("/v1/models/slow:predict", v1), ("/v2/models/slow/infer", v2)], ids=["v1", "v2"]
)
def test_a_full_queue_and_a_passed_deadline(server: Server, rows: int, path: str, body: Callable[[int], bytes]) -> None:
    def once() -> bool:
        answers = asyncio.run(flood(server, path, body(rows), 30))
        for answer in answers:
            if answer.status_code == 429:
                assert answer.headers["retry-after"] == "1"
                assert f"slow has {QUEUE} requests waiting (limit max_queue)" in answer.json()["error"]
            if answer.status_code == 504:
                assert "waited 0.3 s for slow (limit request_timeout)" in answer.json()["error"]
        statuses = Counter(answer.status_code for answer in answers)
        assert statuses.keys() <= {200, 429, 504}
        return statuses[200] >= 1 and statuses[429] >= 10

    wait_for(once, "answers and refusals", PATIENCE)


def test_waiting_ends_at_the_deadline(server: Server, rows: int) -> None:
    """Five at once: few run at a time, and whoever has not begun in time is told."""

    def once() -> bool:
        answers = asyncio.run(flood(server, "/v1/models/slow:predict", v1(rows), QUEUE + 1))
        statuses = {answer.status_code for answer in answers}
        assert statuses <= {200, 429, 504}
        return {200, 504} <= statuses

    wait_for(once, "one that is answered, and one that waited too long", PATIENCE)


async def flood_grpc(server: Server, rows: int, callers: int) -> Counter[grpc.StatusCode]:
    tensor = pb.ModelInferRequest.InferInputTensor(name="x", datatype="FP64", shape=[rows, WIDTH])
    tensor.contents.fp64_contents.extend([0.0] * (rows * WIDTH))
    request = pb.ModelInferRequest(model_name="slow", inputs=[tensor])
    async with grpc.aio.insecure_channel(server.grpc) as channel:
        stub = pb_grpc.GRPCInferenceServiceStub(channel)
        answers = await asyncio.gather(*(stub.ModelInfer(request) for _ in range(callers)), return_exceptions=True)
    return Counter(
        answer.code() if isinstance(answer, grpc.aio.AioRpcError) else grpc.StatusCode.OK for answer in answers
    )


def test_grpc(server: Server, rows: int) -> None:
    def once() -> bool:
        codes = asyncio.run(flood_grpc(server, rows, 30))
        assert codes.keys() <= {
            grpc.StatusCode.OK,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            grpc.StatusCode.DEADLINE_EXCEEDED,
        }
        return codes[grpc.StatusCode.OK] >= 1 and codes[grpc.StatusCode.RESOURCE_EXHAUSTED] >= 10

    wait_for(once, "answers and refusals", PATIENCE)


def test_the_others_are_served_meanwhile(server: Server, rows: int) -> None:
    async def ask() -> list[httpx.Response]:
        flooding = asyncio.create_task(flood(server, "/v1/models/slow:predict", v1(rows), 30))
        answers = []
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            while not flooding.done():
                answers.append(await client.post("/v1/models/light:predict", json={"instances": [[2.0]]}))
        await flooding
        return answers

    def once() -> bool:
        answers = asyncio.run(ask())
        for answer in answers:  # they may wait no longer than those of the slow one
            assert answer.status_code in (200, 504), answer.text
            if answer.status_code == 200:
                assert answer.json() == {"predictions": [pytest.approx(5.0)]}
        return {answer.status_code for answer in answers} == {200}

    wait_for(once, "a flood during which all others are answered", PATIENCE)


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Server]:
    """`slow` alone: one call at a time, and requests may wait for long."""
    folder = save_slow(tmp_path / "models" / "slow")
    (folder / "polyserve.yaml").write_text("lanes: 1")
    flags = ("--max_batch_rows=1", "--request_timeout=900")
    server = Server(tmp_path / "models", tmp_path / "server.log", *flags).wait_ready()
    yield server
    assert server.stop() == 0, server.log


def test_clients_that_hang_up_stop_costing_work(patient: Server) -> None:
    """One call runs for seconds while four requests wait; when their clients have gone, none of the four is begun."""
    rows = rows_that_take(patient, 2)
    for doubled in range(4):  # where this test stood still until that call had ended, there is one that takes longer
        if begun_of_five(patient, rows * 2**doubled) == 1:
            return
    raise AssertionError("those who had left were served")


def begun_of_five(server: Server, rows: int) -> int:
    """How many of five requests were begun, of which four wait for the first when all their clients leave."""
    body = v1(rows)
    head = f"POST /v1/models/slow:predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    before = counted(server, "polyserve_rows_total")

    def begun() -> float:
        return (counted(server, "polyserve_rows_total") - before) / rows

    with ExitStack() as clients:
        for sent in range(QUEUE + 1):
            end = clients.enter_context(socket.create_connection(("127.0.0.1", server.http_port)))
            end.sendall(head.encode() + body)
            wait_for(lambda: begun() >= 1)
            wait_for(lambda sent=sent: counted(server, "polyserve_queue_length") == sent or begun() > 1)  # type: ignore[misc]
    last = httpx.post(f"{server.url}/v1/models/slow:predict", content=v1(1), timeout=900)  # when all those are done
    assert last.status_code == 200, last.text
    return int(counted(server, "polyserve_rows_total") - before - 1) // rows


def counted(server: Server, sample: str) -> float:
    """What `/metrics` says of the model `slow`."""
    lines = server.client.get("/metrics").text.splitlines()
    return next((float(line.split()[-1]) for line in lines if line.startswith(f'{sample}{{model="slow"}}')), 0.0)


def test_every_outcome_is_counted(server: Server, rows: int) -> None:
    def refused(protocol: str) -> float:
        lines = server.client.get("/metrics").text.splitlines()
        labels = ("polyserve_requests_total{", 'model="slow"', f'protocol="{protocol}"', 'status="429"')
        return sum(float(line.split()[-1]) for line in lines if all(label in line for label in labels))

    def flooded(path: str, body: bytes) -> int:
        return sum(answer.status_code == 429 for answer in asyncio.run(flood(server, path, body, 30)))

    for protocol, once in {
        "v1": lambda: flooded("/v1/models/slow:predict", v1(rows)),
        "v2": lambda: flooded("/v2/models/slow/infer", v2(rows)),
        "grpc": lambda: asyncio.run(flood_grpc(server, rows, 30))[grpc.StatusCode.RESOURCE_EXHAUSTED],
    }.items():
        told = 0
        while not told:  # nobody is refused where they come one after the other
            before, told = refused(protocol), once()
            assert refused(protocol) - before == told
