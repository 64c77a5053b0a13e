"""Answers in parts, over HTTP and gRPC, in one process and through a front process: a custom model that yields.

The model waits for a file before the part called "gate", and says in files what it has made and that it was closed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import httpx
import joblib
import numpy as np
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from sklearn.linear_model import LinearRegression

from server.workers.streams import WINDOW_PARTS
from tests.e2e.process import Server
from tests.patience import wait_for

pytestmark = pytest.mark.e2e

MODELS = Path(__file__).parents[1] / "custom_models"
PREDICT, GENERATE = "/v1/models/streaming:predict", "/v2/models/streaming/generate_stream"
PATIENCE = 240


@pytest.fixture(scope="module", params=["--workers=1", "--workers=2"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    mount = tmp_path_factory.mktemp("models")
    shutil.copytree(MODELS / "streaming", mount / "streaming")
    (mount / "line").mkdir()
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), mount / "line" / "model.joblib")
    server = Server(mount, tmp_path_factory.mktemp("log") / "server.log", request.param).wait_ready()
    yield server
    server.stop()


def events(response: httpx.Response) -> Iterator[dict[str, object]]:
    for line in response.iter_lines():
        if line:
            assert line.startswith("data: ")
            yield json.loads(line.removeprefix("data: "))


@pytest.mark.parametrize("again", range(3))  # with two processes, either may take a connection
def test_each_part_comes_before_the_next_is_made(server: Server, tmp_path: Path, again: int) -> None:
    body = {"instances": ["a", "gate", "c"], "notes": str(tmp_path)}
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client, client.stream("POST", PREDICT, json=body) as it:
        assert it.headers["content-type"] == "text/event-stream; charset=utf-8"
        parts = events(it)
        assert next(parts) == {"number": 0, "prediction": "a"}
        assert (tmp_path / "made").read_text() == "1"
        (tmp_path / "open").touch()
        assert [part["prediction"] for part in parts] == ["gate", "c"]
    wait_for((tmp_path / "closed").exists)


def left_alone(server: Server) -> float:
    """Requests to the model whose clients have gone, as counted."""
    count = re.compile(r'polyserve_requests_total\{[^}]*model="streaming"[^}]*status="499"[^}]*\} (.+)')
    return sum(float(number) for number in count.findall(server.client.get("/metrics").text))


@pytest.mark.parametrize("again", range(3))
def test_a_client_that_leaves_ends_the_generator(server: Server, tmp_path: Path, again: int) -> None:
    body = {"instances": [*"abc", "gate", *range(1000)], "notes": str(tmp_path)}
    before = left_alone(server)
    with httpx.Client(base_url=server.url, timeout=PATIENCE) as client, client.stream("POST", PREDICT, json=body) as it:
        parts = events(it)
        assert [next(parts)["prediction"] for _ in "abc"] == ["a", "b", "c"]
    wait_for(lambda: left_alone(server) > before)
    (tmp_path / "open").touch()  # the part that is being made is the last
    wait_for((tmp_path / "closed").exists)
    assert int((tmp_path / "made").read_text()) <= WINDOW_PARTS  # those that a worker may make ahead of its reader


def test_an_error_before_the_first_part_has_its_status(server: Server) -> None:
    answer = server.client.post(PREDICT, json={"instances": ["fail"]})
    assert (answer.status_code, answer.json()) == (500, {"error": "ValueError: an unlucky item"})


def test_an_error_after_it_is_an_event(server: Server) -> None:
    answer = server.client.post(PREDICT, json={"instances": ["a", "fail"]})
    assert answer.status_code == 200
    assert list(events(answer))[-1] == {"error": "ValueError: an unlucky item"}


def test_tritons_generate_extension(server: Server) -> None:
    answer = server.client.post(GENERATE, json={"text_input": "one two", "id": "7"})
    assert [(part["text_output"], part["id"], part["model_name"]) for part in events(answer)] == [
        ("one ", "7", "streaming"),
        ("two ", "7", "streaming"),
    ]
    refused = server.client.post("/v2/models/streaming/generate", json={"text_input": "one two"})
    assert refused.status_code == 400
    assert "generate_stream" in refused.json()["error"]
    assert (
        server.client.post("/v2/models/streaming/generate", json={"text_input": "one"}).json()["text_output"] == "one "
    )


def test_what_is_asked_in_one_part_is_refused(server: Server) -> None:
    body = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["one two"]}]}
    answer = server.client.post("/v2/models/streaming/infer", json=body)
    assert answer.status_code == 501
    assert "generate_stream" in answer.json()["error"]


def test_a_model_of_tensors_generates_nothing(server: Server) -> None:
    answer = server.client.post("/v2/models/line/generate_stream", json={"text_input": "one"})
    assert answer.status_code == 501
    assert "/v2/models/line/infer" in answer.json()["error"]


def over_triton(server: Server, *requests: dict[str, object]) -> list[dict[str, object]]:
    """What Triton's client gets on one stream."""
    command = [sys.executable, "-m", "tests.e2e.triton_stream_client", server.grpc, json.dumps(requests)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def text(value: str, model: str = "streaming", answers: int = 1) -> dict[str, object]:
    return {"model": model, "name": "text", "datatype": "BYTES", "data": [value], "answers": answers}


def test_tritons_client_gets_parts_and_errors_on_one_stream(server: Server) -> None:
    answers = over_triton(server, text("one two", answers=2), text("x", "nobody"), text("three"))
    texts = [value for answer in answers if "outputs" in answer for value in answer["outputs"].values()]  # type: ignore[attr-defined]
    assert texts == [["one "], ["two "], ["three "]]
    assert ["nobody" in str(answer["error"]) for answer in answers if "error" in answer] == [True]


def test_tritons_client_streams_a_model_of_tensors(server: Server) -> None:
    asked = [{"model": "line", "name": "input-0", "datatype": "FP64", "data": [[x]], "answers": 1} for x in (1.0, 2.0)]
    values = [next(iter(answer["outputs"].values())) for answer in over_triton(server, *asked)]  # type: ignore[attr-defined]
    assert np.allclose(np.array(values).ravel(), [2.0, 4.0])


def test_a_grpc_caller_that_leaves_ends_the_generator(server: Server) -> None:
    before = left_alone(server)
    with grpc.insecure_channel(server.grpc) as channel:
        call = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        message = pb.ModelInferRequest(model_name="streaming")
        words = " ".join(["word"] * 10_000).encode()
        message.inputs.add(name="text", datatype="BYTES", shape=[1]).contents.bytes_contents.append(words)
        answers = call(iter([message.SerializeToString()]), timeout=PATIENCE)
        assert len([next(answers) for _ in range(3)]) == 3
        answers.cancel()
    wait_for(lambda: left_alone(server) > before)


def test_many_streams_at_once_and_another_model_between(server: Server, tmp_path: Path) -> None:
    """All are open before any may end; the other model answers meanwhile."""
    body = {"instances": ["a", "gate", "c"], "notes": str(tmp_path)}

    def one(_: int) -> list[object]:
        client = httpx.Client(base_url=server.url, timeout=PATIENCE)
        with client, client.stream("POST", PREDICT, json=body) as response:
            parts = events(response)
            first = next(parts)
            opened.release()
            return [first["prediction"], *(part["prediction"] for part in parts)]

    opened = threading.Semaphore(0)
    with ThreadPoolExecutor(16) as pool:
        streams = [pool.submit(one, number) for number in range(16)]
        for _ in streams:
            assert opened.acquire(timeout=PATIENCE)
        answer = server.client.post("/v1/models/line:predict", json={"instances": [[1.0]]})
        assert np.allclose(answer.json()["predictions"], [2.0])
        (tmp_path / "open").touch()
        assert [stream.result(PATIENCE) for stream in streams] == [["a", "gate", "c"]] * 16
