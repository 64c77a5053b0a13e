"""Programs of others that ask a server, started as their users start them.

| client                                 | asks                                        | test                       |
|----------------------------------------|---------------------------------------------|----------------------------|
| KServe's transformer, a server itself  | V1, V2 and gRPC of us as its predictor      | here                       |
| `perf_analyzer`                        | V2 and gRPC, with the model's configuration | here                       |
| `grpc_reflection`'s client             | messages by their description alone         | here                       |
| kserve's and tritonclient's            | every protocol, tensors in JSON and raw     | `test_protocols`           |
| `mlserver infer`, MLServer's codecs    | V2 and gRPC, a file of requests             | `test_mlserver`            |
| tritonclient http, grpc, and their aio | every call that they have, compressed, too  | `test_triton_clients`      |
| what peers' documents say to send      | TF Serving, KServe, MLServer, TorchServe, … | `test_documented_requests` |
| schemathesis                           | our description, Open Inference Protocol's  | `test_schemathesis`        |
| openai, litellm, lm-eval               | chats, completions, embeddings              | tests of their names       |
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile

import grpc
import httpx
import pytest

from bench.ports import free_port
from tests.cases import CASES, Expected
from tests.e2e.process import Server
from tests.outside import wheels
from tests.patience import wait_for
from tests.shared import Shared

MODEL = "sklearn-logistic"
#: newer ones need glibc 2.38; the CUDA runtime is linked, and not used; libb64 has to be there
PERF_ANALYZER = ("tritonclient==2.51.0", "nvidia-cuda-runtime-cu12==12.6.77")


class House(NamedTuple):
    server: Server
    expected: Expected  #: of its one model


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, shared: Shared) -> Iterator[House]:
    base = tmp_path_factory.mktemp("clients")
    case = next(case for case in CASES if case.name == MODEL)
    expected = shared.copy(case, base / "models" / MODEL)
    server = Server(base / "models", base / "log").wait_ready()
    yield House(server, expected)
    assert server.stop() == 0, server.log


def tensor(house: House) -> dict[str, Any]:
    """The example's input, as V2 has it."""
    ((name, array),) = house.expected.tensors.items()
    return {"name": name, "shape": list(array.shape), "datatype": "FP64", "data": array.reshape(-1).tolist()}


@contextmanager
def transforming(log: Path, predictor: str, protocol: str) -> Iterator[str]:
    """The address of KServe's transformer in front of a predictor."""
    port, script = free_port(), Path(__file__).with_name("kserve_transformer.py")
    asked = (f"--predictor_host={predictor}", f"--predictor_protocol={protocol}", f"--model_name={MODEL}")
    line = [sys.executable, str(script), f"--http_port={port}", f"--grpc_port={free_port()}", *asked]
    with log.open("w") as output:
        process = subprocess.Popen(line, stdout=output, stderr=subprocess.STDOUT)

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{port}/v2/health/ready").is_success
        except httpx.HTTPError:
            return False

    try:
        wait_for(ready, "KServe's transformer", 600)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("protocol", ["v1", "v2", "grpc-v2"])
def test_kserves_transformer_has_us_as_its_predictor(house: House, tmp_path: Path, protocol: str) -> None:
    expected = house.expected
    predictor = house.server.grpc if protocol == "grpc-v2" else house.server.url.removeprefix("http://")
    with transforming(tmp_path / "log", predictor, protocol) as url:
        if protocol == "v1":
            answer = httpx.post(f"{url}/v1/models/{MODEL}:predict", json={"instances": expected.instances}, timeout=60)
            assert answer.json() == {"predictions": expected.predictions}
        else:
            answer = httpx.post(f"{url}/v2/models/{MODEL}/infer", json={"inputs": [tensor(house)]}, timeout=60)
            assert answer.json()["outputs"][0]["data"] == expected.predictions


@pytest.fixture(scope="module")
def perf_analyzer(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """The program, and the variables it needs: one that is here, or Triton's last for systems of before 2024."""
    if found := os.environ.get("PERF_ANALYZER") or shutil.which("perf_analyzer"):
        return found, {}
    folder = tmp_path_factory.mktemp("perf_analyzer")
    for wheel in wheels(folder, *PERF_ANALYZER):
        with ZipFile(wheel) as file:
            file.extractall(folder)
    (program,), (library,) = folder.glob("*.data/data/bin/perf_analyzer"), folder.glob("nvidia/cuda_runtime/lib")
    program.chmod(0o755)
    variables = {"LD_LIBRARY_PATH": f"{library}:{os.environ.get('LD_LIBRARY_PATH', '')}"}
    started = subprocess.run([program, "--version"], capture_output=True, text=True, env={**os.environ, **variables})
    if "cannot open shared object file" in started.stderr:  # Debian has libb64 in libb64-0d
        pytest.skip(started.stderr.strip().rpartition("perf_analyzer: ")[2])
    return str(program), variables


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_perf_analyzer_measures(
    house: House, perf_analyzer: tuple[str, dict[str, str]], tmp_path: Path, protocol: str
) -> None:
    program, variables = perf_analyzer
    address = house.server.grpc if protocol == "grpc" else house.server.url.removeprefix("http://")
    line = [program, "-m", MODEL, "-u", address, "-i", protocol, "--request-count=50", "--concurrency-range=2"]
    environ = {**os.environ, **variables}
    done = subprocess.run(line, capture_output=True, text=True, timeout=300, cwd=tmp_path, env=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Throughput" in done.stdout


def test_a_client_that_knows_nothing_but_reflection(house: House) -> None:
    """As grpcurl does: it lists the services, has the messages described, and calls by that."""
    client = pytest.importorskip(
        "grpc_reflection.v1alpha.proto_reflection_descriptor_database", reason="grpcio-reflection is not installed"
    )
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message_factory import GetMessageClass

    with grpc.insecure_channel(house.server.grpc) as channel:
        database = client.ProtoReflectionDescriptorDatabase(channel)
        assert "inference.GRPCInferenceService" in database.get_services()
        service = DescriptorPool(database).FindServiceByName("inference.GRPCInferenceService")
        method = service.methods_by_name["ModelInfer"]
        request, response = (GetMessageClass(each) for each in (method.input_type, method.output_type))
        sent = tensor(house)
        made = request(model_name=MODEL)
        made.inputs.add(
            name=sent["name"], shape=sent["shape"], datatype="FP64", contents={"fp64_contents": sent["data"]}
        )
        infer = channel.unary_unary(f"/{service.full_name}/ModelInfer", request.SerializeToString, response.FromString)
        (output,) = infer(made).outputs
        assert output.name
