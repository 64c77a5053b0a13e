"""What the documents of peers tell their users to send: each works as they say, or is refused by its name.

TensorFlow Serving's api_rest.md, KServe's pages, MLServer's content types and runtimes, MLflow's inputs, the contracts
for containers of SageMaker and Vertex AI, TorchServe's inference and management APIs, Triton's extensions, the paths of
BentoML, Ray Serve, LitServe, Seldon and servers of texts. KServe's end-to-end inputs are `test_kserve_inputs`'s,
Triton's clients `test_triton_clients`'s. There is no third column.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from tests.adapters.tensorflow_ import models
from tests.e2e.process import Server

IRIS = [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]  #: KServe's, in every of its pages
FRAME = pd.DataFrame({"city": ["Rome", "Oslo"] * 10, "tier": ["x", "y"] * 10})
FRAME_ROWS = [{"city": "Rome", "tier": "x"}, {"city": "Oslo", "tier": "y"}]
HALF = "/v1/models/half_plus_two"
V1_IRIS, V2_IRIS = "/v1/models/iris:predict", "/v2/models/iris/infer"
V1_FRAME, V2_FRAME = "/v1/models/frame:predict", "/v2/models/frame/infer"


@dataclass(frozen=True)
class Documented:
    """One request, and what is in the answer: `works`, or the words of the refusal and its status."""

    peer: str
    method: str
    path: str
    body: Any = None
    works: Any = None
    refused: str = ""
    status: int = 200
    content: str = ""  #: the body where it is no JSON
    content_type: str = "application/json"


def tensor(name: str, shape: list[int], datatype: str, data: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data, **more}


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


CITIES = [
    tensor("city", [2], "BYTES", ["Rome", "Oslo"]),
    tensor("tier", [2], "BYTES", ["x", "y"]),
]
REQUESTS = [
    # TensorFlow Serving
    Documented("tf", "GET", HALF, works={"model_version_status": [{"version": "123", "state": "AVAILABLE"}]}),
    Documented("tf", "GET", f"{HALF}/versions/123", works={"model_version_status": [{"version": "123"}]}),
    Documented("tf", "GET", f"{HALF}/metadata", works={"model_spec": {"name": "half_plus_two", "version": "123"}}),
    Documented("tf", "GET", f"{HALF}/versions/123/metadata", works={"model_spec": {"version": "123"}}),
    Documented("tf", "GET", f"{HALF}/versions/9", refused="has no version '9'", status=404),
    Documented("tf", "GET", f"{HALF}/labels/canary", refused="'canary'", status=404),
    Documented("tf", "POST", f"{HALF}:predict", {"instances": [1.0, 2.0, 5.0]}, {"predictions": [2.5, 3.0, 4.5]}),
    Documented("tf", "POST", f"{HALF}:predict", {"inputs": [1.0, 2.0, 5.0]}, {"outputs": [2.5, 3.0, 4.5]}),
    Documented("tf", "POST", f"{HALF}:predict", {"inputs": {"x": [[1.0], [2.0]]}}, {"outputs": [[2.5], [3.0]]}),
    Documented("tf", "POST", f"{HALF}:predict", {"instances": [{"x": 1.0}]}, {"predictions": [2.5]}),
    Documented("tf", "POST", f"{HALF}/versions/123:predict", {"instances": [1.0]}, {"predictions": [2.5]}),
    Documented("tf", "POST", f"{HALF}/labels/canary:predict", {"instances": [1.0]}, refused="'canary'", status=404),
    Documented(
        "tf", "POST", f"{HALF}:predict", {"instances": [1.0], "inputs": [1.0]}, refused="the body has both", status=400
    ),
    Documented(
        "tf", "POST", f"{HALF}:predict", {"instances": [1.0], "signature_name": "no"}, refused="'no'", status=400
    ),
    Documented("tf", "POST", f"{HALF}:regress", {"examples": [{"x": 1.0}]}, refused="takes tf.Examples", status=501),
    Documented("tf", "POST", f"{HALF}:classify", {"examples": [{"x": 1.0}]}, refused="takes tf.Examples", status=501),
    Documented("tf", "POST", "/v1/models/half:predict", {"instances": [1.0]}, refused="'half'", status=404),
    # KServe
    Documented("kserve", "POST", V1_IRIS, {"instances": IRIS}, {"predictions": [1, 1]}),
    Documented("kserve", "POST", V1_IRIS, {"inputs": IRIS}, {"predictions": [1, 1]}),
    Documented("kserve", "POST", V1_FRAME, {"instances": FRAME_ROWS}, {"predictions": [0, 1]}),
    Documented(
        "kserve", "POST", V1_FRAME, {"inputs": [{"city": {"0": "Oslo"}, "tier": {"0": "y"}}]}, {"predictions": [1]}
    ),
    Documented(
        "kserve",
        "POST",
        V1_FRAME,
        {"inputs": [{"city": ["Rome", "Oslo"], "tier": ["x", "y"]}]},
        {"predictions": [0, 1]},
    ),
    Documented(
        "kserve",
        "POST",
        V2_IRIS,
        {"inputs": [tensor("input-0", [2, 4], "FP32", IRIS)]},
        {"outputs": [{"data": [1, 1]}]},
    ),
    Documented(
        "kserve",
        "POST",
        V2_FRAME,
        {"parameters": {"content_type": "pd"}, "inputs": CITIES},
        {"outputs": [{"data": [0, 1]}]},
    ),
    Documented("kserve", "GET", "/v2", works={"name": "polyserve"}),
    Documented("kserve", "GET", "/v2/models/iris", works={"name": "iris", "versions": ["1"]}),
    Documented("kserve", "GET", "/v2/models/iris/ready", works={"name": "iris", "ready": True}),
    Documented("kserve", "GET", "/v1/models", works={"models": ["frame", "half_plus_two", "iris"]}),
    Documented("kserve", "GET", "/v1/models/iris", works={"name": "iris", "ready": True}),
    # MLServer
    Documented(
        "mlserver",
        "POST",
        V2_IRIS,
        {"inputs": [tensor("predict", [2, 4], "FP32", [*IRIS[0], *IRIS[1]], parameters={"content_type": "np"})]},
        {"outputs": [{"data": [1, 1]}]},
    ),
    Documented(
        "mlserver",
        "POST",
        V2_IRIS,
        {"inputs": [tensor("x", [2, 4], "FP32", IRIS)], "outputs": [{"name": "predict_proba"}]},
        {"outputs": [{"name": "predict_proba", "shape": [2, 3]}]},
    ),
    Documented(
        "mlserver",
        "POST",
        V2_FRAME,
        {
            "inputs": [
                tensor("city", [1], "BYTES", [b64("Oslo")], parameters={"content_type": "base64"}),
                tensor("tier", [1], "BYTES", ["y"], parameters={"content_type": "str"}),
            ]
        },
        {"outputs": [{"data": [1]}]},
    ),
    Documented(
        "mlserver",
        "POST",
        V2_FRAME,
        {"inputs": [tensor("city", [1], "BYTES", ["Oslo"], parameters={"content_type": "mine"}), CITIES[1]]},
        refused="content_type the string 'mine' is unknown",
        status=400,
    ),
    Documented("mlserver", "POST", "/v2/repository/index", {}, works=[{"name": "frame", "state": "READY"}]),
    Documented(
        "mlserver",
        "POST",
        V2_IRIS,
        {
            "id": "7",
            "inputs": [tensor("predict", [2, 4], "FP32", IRIS)],
            "outputs": [{"name": "predict"}, {"name": "predict_proba"}],
        },
        {
            "id": "7",
            "outputs": [{"name": "predict", "data": [1, 1]}, {"name": "predict_proba", "shape": [2, 3]}],
        },
    ),
    Documented(
        "mlserver",
        "POST",
        V2_FRAME,
        {
            "inputs": [
                tensor("city", [2, 1], "BYTES", ["Rome", "Oslo"], parameters={"content_type": "str"}),
                tensor("tier", [2, 1], "BYTES", ["x", "y"], parameters={"content_type": "str"}),
            ],
            "parameters": {"content_type": "pd", "headers": {}},
        },
        {"outputs": [{"data": [0, 1]}]},
    ),
    Documented(
        "mlserver",
        "POST",
        "/v2/models/iris/versions/v0.1.0/infer",
        {"inputs": [tensor("predict", [1, 4], "FP32", IRIS[0])]},
        refused="has no version 'v0.1.0'; it has 1",
        status=404,
    ),
    Documented(
        "mlserver",
        "POST",
        "/v2/models/iris/infer_stream",
        {"inputs": [tensor("predict", [1, 4], "FP32", IRIS[0])]},
        refused="/infer, /generate, /generate_stream behind /v2/models/iris",
        status=404,
    ),
    Documented("mlserver", "GET", "/v2/docs", refused="GET /openapi.json lists all paths", status=404),
    # MLflow
    Documented(
        "mlflow",
        "POST",
        V1_FRAME,
        {"dataframe_split": {"columns": ["tier", "city"], "data": [["x", "Rome"], ["y", "Oslo"]]}},
        {"predictions": [0, 1]},
    ),
    Documented("mlflow", "POST", V1_FRAME, {"dataframe_records": FRAME_ROWS}, {"predictions": [0, 1]}),
    Documented("mlflow", "POST", V1_IRIS, {"instances": IRIS, "params": {}}, works={"predictions": [1, 1]}),
    Documented("mlflow", "POST", V1_IRIS, {"dataframe_split": {"data": IRIS}}, {"predictions": [1, 1]}),
    Documented("mlflow", "POST", "/invocations", {"inputs": IRIS}, refused="/v1/models/NAME:predict", status=404),
    Documented(
        "mlflow",
        "POST",
        V1_FRAME,
        {"dataframe_split": {"index": [0], "columns": ["city", "tier"], "data": [["Oslo", "y"]]}},
        {"predictions": [1]},
    ),
    Documented("mlflow", "POST", V1_FRAME, {"inputs": {"city": ["Rome"], "tier": ["x"]}}, {"predictions": [0]}),
    Documented(
        "mlflow", "POST", V1_IRIS, {"inputs": IRIS, "params": {"top_k": 3}}, refused="'top_k' is unknown", status=400
    ),
    Documented("mlflow", "POST", V1_IRIS, {"data": IRIS}, refused='the body has no "instances"', status=400),
    Documented(
        "mlflow",
        "POST",
        V1_IRIS,
        content="a,b\n1,2\n",
        content_type="text/csv",
        refused="not JSON, it begins with 'a,b",
        status=400,
    ),
    # SageMaker and Vertex AI
    Documented("sagemaker", "GET", "/ping", works={"status": "Healthy"}),
    Documented(
        "sagemaker",
        "POST",
        "/models/iris/invoke",
        {"instances": IRIS},
        refused="POST the same body to /v1/models/iris:predict",
        status=404,
    ),
    Documented("vertex", "POST", V1_IRIS, {"instances": IRIS, "parameters": {}}, {"predictions": [1, 1]}),
    Documented(
        "vertex",
        "POST",
        V1_IRIS,
        {"instances": IRIS, "parameters": {"confidenceThreshold": 0.5}},
        refused="'confidenceThreshold' is unknown",
        status=400,
    ),
    # Triton
    Documented(
        "triton",
        "POST",
        V2_IRIS,
        {
            "inputs": [tensor("x", [1, 4], "FP32", IRIS[0])],
            "outputs": [{"name": "predict_proba", "parameters": {"classification": 1}}],
        },
        {"outputs": [{"name": "predict_proba", "datatype": "BYTES", "shape": [1, 1]}]},
    ),
    Documented(
        "triton",
        "POST",
        V2_IRIS,
        {"inputs": [tensor("x", [1, 4], "FP32", IRIS[0])], "parameters": {"sequence_id": 1, "sequence_start": True}},
        refused="'sequence_id' is not served: ",
        status=400,
    ),
    Documented(
        "triton", "POST", "/v2/models/iris/generate", {"text_input": "a"}, refused="generates nothing: ", status=501
    ),
    Documented("triton", "GET", "/v2/systemsharedmemory/status", refused="shared memory is not served", status=501),
    Documented("triton", "POST", "/v2/cudasharedmemory/region/a/register", {}, refused="send tensors in", status=501),
    Documented("triton", "GET", "/v2/models/iris/config", works={"name": "iris"}),
    Documented("triton", "GET", "/v2/models/iris/versions/1/stats", works={"model_stats": [{"name": "iris"}]}),
    # TorchServe
    Documented("torchserve", "GET", "/ping", works={"status": "Healthy"}),
    Documented("torchserve", "POST", "/predictions/iris", IRIS[0], 1),
    Documented("torchserve", "PUT", "/predictions/iris", IRIS[0], 1),
    Documented("torchserve", "POST", "/predictions/iris/1", IRIS[0], 1),
    Documented("torchserve", "POST", "/predictions/iris/2.0", IRIS[0], refused="has no version '2.0'", status=404),
    Documented("torchserve", "POST", "/explanations/iris", IRIS[0], refused="is no model archive", status=501),
    Documented("torchserve", "OPTIONS", "/", works={"openapi": "3.1.0"}),
    Documented(
        "torchserve", "GET", "/models?limit=1", works={"models": [{"modelName": "frame"}], "nextPageToken": "1"}
    ),
    Documented("torchserve", "GET", "/models/iris", works=[{"modelName": "iris", "workers": [{"status": "READY"}]}]),
    Documented("torchserve", "GET", "/models/half_plus_two/all", works=[{"modelVersion": "123"}]),
    Documented("torchserve", "GET", "/models/iris?customized=true", refused="customized", status=501),
    Documented("torchserve", "POST", "/models?url=a.mar", refused="into the models directory", status=501),
    Documented("torchserve", "PUT", "/models/iris?min_worker=2", refused="to scale a model", status=501),
    Documented("torchserve", "DELETE", "/models/iris/1", refused="take its folder away", status=501),
    Documented("torchserve", "POST", "/wfpredict/flow", IRIS[0], refused="there is no path", status=404),
    # those whose paths are their users' own
    *(
        Documented(peer, "POST", path, {"data": IRIS}, refused="POST /v1/models/NAME:predict", status=404)
        for peer, path in (
            ("bentoml", "/classify"), ("ray", "/Classifier"), ("litserve", "/predict"),
            ("seldon", "/api/v1.0/predictions"), ("tei", "/embed"), ("tgi", "/generate"),
        )
    ),
    Documented(
        "vllm",
        "POST",
        "/v1/chat/completions",
        {"model": "iris", "messages": [{"role": "user", "content": "hi"}]},
        refused="is no language model: ask it by /v1/models/iris:predict",
        status=404,
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of one model, as MLflow's and SageMaker's are."""
    base = tmp_path_factory.mktemp("only")
    (base / "models" / "frame").mkdir(parents=True)
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(FRAME, [0, 1] * 10)
    joblib.dump(model, base / "models" / "frame" / "model.joblib")
    server = Server(base / "models", base / "server.log").wait_ready()
    yield server
    assert server.stop() == 0, server.log


@pytest.mark.parametrize(
    "body",
    [
        {"dataframe_split": {"columns": ["tier", "city"], "data": [["x", "Rome"], ["y", "Oslo"]]}},
        {"dataframe_records": FRAME_ROWS},
        {"instances": FRAME_ROWS},
        {"inputs": {"city": ["Rome", "Oslo"], "tier": ["x", "y"]}},
    ],
    ids=str,
)
def test_invocations_of_the_only_model(only: Server, body: Any) -> None:
    answer = only.client.post("/invocations", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"predictions": [0, 1]}


def test_what_else_comes_to_the_only_model(only: Server) -> None:
    assert only.client.get("/invocations").status_code == 405
    answer = only.client.post("/invocations", content=b"city,tier\nRome,x\n", headers={"Content-Type": "text/csv"})
    assert answer.status_code == 400
    assert "not JSON, it begins with 'city,tier" in answer.json()["error"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    base = tmp_path_factory.mktemp("documented")
    root: Path = base / "models"
    for name in ("iris", "frame"):
        (root / name).mkdir(parents=True)
    iris = LogisticRegression(max_iter=1000).fit(*load_iris(return_X_y=True))
    joblib.dump(iris, root / "iris" / "model.joblib")
    frame = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(FRAME, [0, 1] * 10)
    joblib.dump(frame, root / "frame" / "model.joblib")
    models.half_plus_two(root / "half_plus_two" / "00000123")
    server = Server(root, base / "server.log").wait_ready()
    yield server
    assert server.stop() == 0, server.log


def holds(answer: Any, part: Any) -> bool:
    """Whether an answer has all that is asked of it; of a list each of the parts, in their order."""
    if isinstance(part, dict):
        return isinstance(answer, dict) and all(name in answer and holds(answer[name], part[name]) for name in part)
    if isinstance(part, list):
        return (
            isinstance(answer, list)
            and all(holds(*pair) for pair in zip(answer, part, strict=False))
            and len(answer) >= len(part)
        )
    return bool(answer == part)


@pytest.mark.parametrize(
    "asked", [pytest.param(each, id=f"{i}-{each.peer}-{each.method}{each.path}") for i, each in enumerate(REQUESTS)]
)
def test_it_works_or_is_refused_by_name(server: Server, asked: Documented) -> None:
    sent: dict[str, Any] = {"json": asked.body}
    if asked.content:
        sent = {"content": asked.content.encode(), "headers": {"Content-Type": asked.content_type}}
    answer = server.client.request(asked.method, asked.path, **sent)
    assert answer.status_code == asked.status, answer.text
    if asked.refused:
        told = answer.json()["error"]
        assert asked.refused in (told["message"] if isinstance(told, dict) else told)  # OpenAI's has fields
    else:
        assert holds(answer.json(), asked.works), answer.text[:500]
