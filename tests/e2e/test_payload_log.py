"""Payloads of a whole server, at a collector of CloudEvents and in a bucket; one that hangs holds nobody up."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import grpc
import httpx
import kserve.protocol.grpc.grpc_predict_v2_pb2 as pb
import pytest

from bench.ports import free_port
from tests.cases import CASES, Expected
from tests.e2e.process import Server
from tests.events import Events, taking_events
from tests.language_models import save_language_model
from tests.patience import wait_for
from tests.server.loading.storage.kit import running
from tests.shared import Shared

MODEL = "sklearn-logistic"


@dataclass(frozen=True)
class Site:
    server: Server
    events: Events
    expected: Expected

    def logged(self, identity: str) -> dict[str, tuple[dict[str, str], bytes]]:
        wait_for(lambda: len(self.events.of(identity)) == 2, f"the payloads of {identity}")
        return self.events.of(identity)


def models(root: Path, shared: Shared) -> Expected:
    return shared.copy(next(case for case in CASES if case.name == MODEL), root / MODEL)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, shared: Shared) -> Iterator[Site]:
    base = tmp_path_factory.mktemp("logged")
    expected = models(base / "models", shared)
    with taking_events() as events:
        flags = (f"--payload_log={events.url}", "--payload_log_headers=x-tenant")
        server = Server(base / "models", base / "log", *flags, POD_NAMESPACE="space").wait_ready()
        yield Site(server, events, expected)
        assert server.stop() == 0, server.log


def body(expected: Expected) -> dict[str, Any]:
    return {"instances": expected.instances}


@pytest.mark.parametrize("path", ["", "?general=way"], ids=["short", "general"])
def test_a_request_over_rest(site: Site, path: str) -> None:
    name = f"rest{len(path)}"
    headers = {"x-request-id": name, "x-tenant": "a", "authorization": "Bearer hunter2"}
    url = f"{site.server.url}/v1/models/{MODEL}:predict{path}"
    answer = httpx.post(url, json=body(site.expected), headers=headers)
    logged = site.logged(name)
    head, sent = logged["request"]
    assert json.loads(sent) == body(site.expected)
    assert (head["ce-namespace"], head["ce-inferenceservicename"], head["ce-endpoint"]) == ("space", MODEL, "default")
    assert head["ce-metadata"] == '{"X-Tenant":["a"]}'
    assert logged["response"][1] == answer.content
    assert "hunter2" not in repr(site.events.taken)


def asked_over_grpc(address: str, expected: Expected, identity: str) -> list[float]:
    """A call; its numbers."""
    ((name, array),) = expected.tensors.items()
    contents = pb.InferTensorContents(fp64_contents=array.reshape(-1).tolist())
    tensor = pb.ModelInferRequest.InferInputTensor(name=name, shape=array.shape, datatype="FP64", contents=contents)
    with grpc.insecure_channel(address) as channel:
        infer = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            pb.ModelInferRequest.SerializeToString,
            pb.ModelInferResponse.FromString,
        )
        infer(pb.ModelInferRequest(model_name=MODEL, inputs=[tensor]), metadata=[("x-request-id", identity)])
    numbers: list[float] = array.reshape(-1).tolist()
    return numbers


def test_a_call_over_grpc(site: Site) -> None:
    sent = asked_over_grpc(site.server.grpc, site.expected, "grpc")
    logged = site.logged("grpc")
    (told,) = json.loads(logged["request"][1])["inputs"]
    assert told["data"] == sent
    (told,) = json.loads(logged["response"][1])["outputs"]
    assert told["data"] == site.expected.predictions


def test_every_process_logs_and_grpcs_other_server_does(tmp_path: Path, shared: Shared) -> None:
    """Into one file; what waits is written before the end, by each process."""
    expected = models(tmp_path / "models", shared)
    save_language_model(tmp_path / "models" / "tiny")
    file = tmp_path / "payloads.jsonl"
    flags = (f"--payload_log={file}", "--workers=2", "--grpc_frontend=grpcio")
    server = Server(tmp_path / "models", tmp_path / "log", *flags).wait_ready()
    names = [f"rest{number}" for number in range(20)]
    for name in names:  # each over a connection of its own: any process may take it
        url, headers = f"{server.url}/v1/models/{MODEL}:predict", {"x-request-id": name}
        assert httpx.post(url, json=body(expected), headers=headers).status_code == 200
    for name in (calls := ["grpc0", "grpc1"]):
        asked_over_grpc(server.grpc, expected, name)
    chats = {name: chat(server, name, stream=name == "stream") for name in ("whole", "stream")}
    assert server.stop() == 0, server.log
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    found = {(line["id"], line["type"].rpartition(".")[2]): line for line in lines}
    assert len(lines) == len(found) == 2 * len([*names, *calls, *chats])
    for name in names:
        assert found[name, "request"]["body"] == body(expected)
        assert found[name, "response"]["body"]["predictions"] == expected.predictions
    for name in calls:
        assert found[name, "request"]["protocol"] == "grpc"
        (told,) = found[name, "response"]["body"]["outputs"]
        assert told["data"] == expected.predictions
    for name, (asked, told) in chats.items():  # what its client sent and was sent
        assert found[name, "request"]["body"] == asked
        assert found[name, "response"]["parts" if asked["stream"] else "body"] == told


def chat(server: Server, identity: str, *, stream: bool) -> tuple[dict[str, Any], Any]:
    """A request to the language model, and its answer, or that answer's parts."""
    asked = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 5, "stream": stream}
    url, headers = f"{server.url}/openai/v1/chat/completions", {"x-request-id": identity}
    answer = httpx.post(url, json=asked, headers=headers, timeout=60)
    if not stream:
        return asked, answer.json()
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: ")]
    return asked, [*map(json.loads, lines[:-1]), lines[-1]]


def test_it_is_counted(site: Site) -> None:
    def sent() -> bool:
        text = site.server.client.get("/metrics").text
        return any(
            line.startswith(f'polyserve_payloads_total{{model="{MODEL}",result="sent"}}') and not line.endswith(" 0.0")
            for line in text.splitlines()
        )

    httpx.post(f"{site.server.url}/v1/models/{MODEL}:predict", json=body(site.expected))
    wait_for(sent)


def test_a_collector_that_hangs_holds_nobody_up(site: Site) -> None:
    site.events.opened.clear()
    try:
        for _ in range(20):
            answer = httpx.post(f"{site.server.url}/v1/models/{MODEL}:predict", json=body(site.expected))
            assert answer.status_code == 200
    finally:
        site.events.opened.set()


def test_a_bucket(tmp_path: Path, shared: Shared) -> None:
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hunter2", "AWS_DEFAULT_REGION": "us-east-1"}
    endpoint = f"http://127.0.0.1:{port}"
    expected = models(tmp_path / "models", shared)
    with running(command, port, tmp_path / "moto.log"):
        s3: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id="key",
            aws_secret_access_key="hunter2",
            region_name="us-east-1",
        )
        s3.create_bucket(Bucket="logs")
        environ = {**keys, "AWS_ENDPOINT_URL": endpoint}
        server = Server(tmp_path / "models", tmp_path / "log", "--payload_log=s3://logs/mine", **environ).wait_ready()
        assert server.predict(MODEL, body(expected)).status_code == 200
        assert server.stop() == 0, server.log  # what waits is sent before the end
        listed = s3.list_objects_v2(Bucket="logs", Prefix="mine/")["Contents"]
        lines = [
            json.loads(line)
            for each in listed
            for line in s3.get_object(Bucket="logs", Key=each["Key"])["Body"].read().splitlines()
        ]
    assert sorted(line["type"].rpartition(".")[2] for line in lines) == ["request", "response"]
    assert "hunter2" not in server.log
