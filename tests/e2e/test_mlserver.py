"""MLServer's own programs as clients: `mlserver infer`, and its codecs over REST and gRPC."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bench import mlserver_env
from tests.cases import CASES, Expected
from tests.e2e.process import Server
from tests.outside import environment, run
from tests.shared import Shared

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.version_info >= (3, 13), reason=f"MLServer {mlserver_env.VERSION} knows no Python 3.13"),
]

#: models by the codec that makes their requests
MODELS = {"np": "sklearn-logistic", "pd": "sklearn-frame", "str": "sklearn-text"}
#: asks each model with what the codecs make of rows, and decodes what comes by the codecs
CODE = """
import json, sys, urllib.request
import grpc, numpy as np, pandas as pd
from mlserver.codecs import NumpyCodec, NumpyRequestCodec, PandasCodec, StringCodec, StringRequestCodec
from mlserver.grpc.converters import ModelInferRequestConverter, ModelInferResponseConverter
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from mlserver.types import InferenceResponse
url, address, rows = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])

def requests(use_bytes):
    yield "np", NumpyRequestCodec.encode_request(np.array(rows["np"])), NumpyCodec
    yield "pd", PandasCodec.encode_request(pd.DataFrame(rows["pd"]), use_bytes=use_bytes), StringCodec
    yield "str", StringRequestCodec.encode_request(rows["str"], use_bytes=use_bytes), StringCodec

def over_rest(model, asked):
    body = asked.model_dump_json(exclude_none=True).encode()
    sent = urllib.request.Request(f"{url}/v2/models/{model}/infer", body, {"content-type": "application/json"})
    return InferenceResponse.model_validate_json(urllib.request.urlopen(sent, timeout=120).read())

def over_grpc(model, asked):
    with grpc.insecure_channel(address) as channel:
        sent = ModelInferRequestConverter.from_types(asked, model)
        return ModelInferResponseConverter.to_types(GRPCInferenceServiceStub(channel).ModelInfer(sent, timeout=120))

found = {}
for way, ask, use_bytes in (("rest", over_rest, False), ("grpc", over_grpc, True)):
    for kind, asked, codec in requests(use_bytes):
        answer = ask(json.loads(sys.argv[4])[kind], asked)
        found[f"{way} {kind}"] = np.ravel(codec.decode_output(answer.outputs[0])).tolist()
        found[f"{way} {kind} frame"] = len(PandasCodec.decode_response(answer))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def expected(shared: Shared) -> dict[str, Expected]:
    return {case.name: shared.case(case)[1] for case in CASES if case.name in MODELS.values()}


@pytest.fixture(scope="module")
def mlserver() -> Path:
    """The folder of its programs."""
    # its codec of frames knows no column of texts as pandas 3 has them
    return environment(f"mlserver=={mlserver_env.VERSION}", *mlserver_env.PINNED, "pandas==2.3.3") / "bin"


@pytest.fixture(scope="module")
def server(mlserver: Path, tmp_path_factory: pytest.TempPathFactory, shared: Shared) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("mlserver")
    for case in CASES:
        if case.name in MODELS.values():
            shared.copy(case, base / "models" / case.name)
    server = Server(base / "models", base / "log").wait_ready()
    yield server
    assert server.stop() == 0, server.log


def test_its_own_command_infers(server: Server, expected: dict[str, Expected], mlserver: Path, tmp_path: Path) -> None:
    asked, told, model = tmp_path / "in.jsonl", tmp_path / "out.jsonl", expected[MODELS["np"]]
    ((name, array),) = model.tensors.items()
    tensor = {"name": name, "shape": array.shape, "datatype": "FP64", "data": array.reshape(-1).tolist()}
    asked.write_text("\n".join(json.dumps({"inputs": [tensor]}) for _ in range(20)) + "\n")
    address = server.url.removeprefix("http://")
    line = [str(mlserver / "mlserver"), "infer", "-u", address, "-m", MODELS["np"], "-i", str(asked), "-o", str(told)]
    done = subprocess.run([*line, "-w", "2"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    answers = [json.loads(each) for each in told.read_text().splitlines()]
    assert [each["outputs"][0]["data"] for each in answers] == [model.predictions] * 20


def test_its_codecs_make_the_requests_and_read_the_answers(
    server: Server, expected: dict[str, Expected], mlserver: Path
) -> None:
    rows = {kind: expected[name].instances for kind, name in MODELS.items()}
    arguments = (server.url, server.grpc, json.dumps(rows), json.dumps(MODELS))
    found = run(str(mlserver / "python"), CODE, *arguments)
    for way in ("rest", "grpc"):
        for kind, name in MODELS.items():
            wanted = expected[name].predictions
            assert found[f"{way} {kind}"] == np.ravel(wanted).tolist(), (way, kind)
            assert found[f"{way} {kind} frame"] == len(wanted), (way, kind)
