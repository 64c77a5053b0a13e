"""All frameworks and a dozen broken directories in one process: states, reasons, readiness, errors, isolation."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import orjson
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as pb_grpc

from tests.cases import CASES, Expected
from tests.e2e.broken import BROKEN
from tests.e2e.conftest import House
from tests.e2e.process import Server
from tests.patience import wait_for
from tests.shared import Shared


def test_every_directory_is_listed_with_its_state(house: House) -> None:
    index = house.server.index()
    assert index.keys() == {case.name for case in CASES} | BROKEN.keys()
    for case in CASES:
        assert index[case.name]["state"] == "READY"
        assert index[case.name]["reason"] == ""
    form = {"content-type": "application/x-www-form-urlencoded"}  # what curl -d sends
    ready = house.server.client.post("/v2/repository/index", content=b'{"ready": true}', headers=form).json()
    assert {entry["name"] for entry in ready} == {case.name for case in CASES}
    for wrong in (b"{", b"[]", b'{"ready": 3}'):
        assert house.server.client.post("/v2/repository/index", content=wrong).status_code == 400


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_directory_says_why(house: House, name: str) -> None:
    entry = house.server.index()[name]
    assert entry["state"] == "UNAVAILABLE"
    assert house.reasons[name] in entry["reason"]
    for answer in (
        house.server.predict(name, {"instances": [1]}),
        house.server.client.post(f"/v2/models/{name}/infer", json={"inputs": []}),
        house.server.client.get(f"/v1/models/{name}"),
        house.server.client.get(f"/v2/models/{name}"),
        house.server.client.get(f"/v2/models/{name}/ready"),
    ):
        assert answer.status_code == 503
        assert house.reasons[name] in answer.json()["error"]


def test_a_hostile_pickle_was_not_loaded(house: House) -> None:
    assert not (house.root / "hostile-pickle" / "mark").exists()


def test_an_unknown_model_is_a_404(house: House) -> None:
    client = house.server.client
    for answer in (
        house.server.predict("nobody", {"instances": [1]}),
        client.post("/v2/models/nobody/infer", json={"inputs": []}),
        client.get("/v1/models/nobody"),
        client.get("/v2/models/nobody"),
        client.get("/v2/models/nobody/ready"),
        client.post("/v2/models/sklearn-logistic/versions/7/infer", json={"inputs": []}),
        client.get("/nowhere"),
    ):
        assert answer.status_code == 404
        assert answer.json().keys() == {"error"}


@pytest.mark.parametrize(("model", "code"), [("nobody", "NOT_FOUND"), ("empty", "UNAVAILABLE")])
def test_grpc_statuses(house: House, model: str, code: str) -> None:
    with grpc.insecure_channel(house.server.grpc) as channel:
        stub = pb_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as error:
            stub.ModelInfer(pb.ModelInferRequest(model_name=model))
    assert error.value.code() == grpc.StatusCode[code]
    assert model in error.value.details()


def test_grpc_names_the_field(house: House) -> None:
    tensor = pb.ModelInferRequest.InferInputTensor(name="x", datatype="FP64", shape=[1, 3])
    tensor.contents.fp64_contents.extend([1, 2, 3])
    with grpc.insecure_channel(house.server.grpc) as channel:
        stub = pb_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError, match="each row holds 3 values, the model takes 4") as error:
            stub.ModelInfer(pb.ModelInferRequest(model_name="sklearn-logistic", inputs=[tensor]))
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


MALFORMED = [b"", b"{", b"[1]", b"\xff\xfe", b'{"instances": [NaN]}', b"null", b'"text"', b"{}" * 1000, b"{" * 100_000]


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:12]))
@pytest.mark.parametrize("path", ["/v1/models/sklearn-logistic:predict", "/v2/models/sklearn-logistic/infer"])
def test_a_malformed_body_is_a_400(house: House, path: str, body: bytes) -> None:
    answer = house.server.client.post(path, content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_requested_outputs_are_honoured(house: House) -> None:
    inputs = [{"name": name, "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 3]} for name in ("left", "right")]
    url = "/v2/models/onnx-two-inputs/infer"
    answer = house.server.client.post(url, json={"inputs": inputs, "outputs": [{"name": "product"}]}).json()
    assert [(output["name"], output["data"]) for output in answer["outputs"]] == [("product", [1.0, 4.0, 9.0])]
    unknown = house.server.client.post(url, json={"inputs": inputs, "outputs": [{"name": "difference"}]})
    assert unknown.status_code == 400
    assert "difference" in unknown.json()["error"]


@dataclass(frozen=True)
class Pickles:
    """A server of scikit-learn's models: of named columns, and of a function that is no estimator's, twice."""

    server: Server
    columns: Any
    negated: Any
    frame: Any


@pytest.fixture(scope="module")
def pickles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pickles]:
    import operator

    import joblib
    import pandas as pd
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer

    base = tmp_path_factory.mktemp("pickles")
    frame = pd.DataFrame({"b": [1.0, 2, 3, 5], "a": [0.0, 1, 0, 2]})
    columns = LinearRegression().fit(frame, [1.0, 5, 3, 9])
    negated = make_pipeline(FunctionTransformer(operator.neg), LinearRegression()).fit(np.array([[0.0], [1]]), [1.0, 3])
    for name, model in {"m": columns, "refused": negated, "trusted": negated}.items():
        (base / "models" / name).mkdir(parents=True)
        joblib.dump(model, base / "models" / name / "model.joblib")
    (base / "models" / "trusted" / "polyserve.yaml").write_text("trust: full\n")
    server = Server(base / "models", base / "log").wait_ready()
    yield Pickles(server, columns, negated, frame)
    assert server.stop() == 0


def test_named_columns_are_inputs_and_come_in_any_order_or_as_one_matrix(pickles: Pickles) -> None:
    server, frame = pickles.server, pickles.frame
    expected = pickles.columns.predict(frame).tolist()
    inputs = server.client.get("/v2/models/m").json()["inputs"]
    assert inputs == [{"name": name, "datatype": "FP64", "shape": [-1]} for name in ("b", "a")]
    columns = [{"name": name, "shape": [4], "datatype": "FP64", "data": frame[name].tolist()} for name in ("a", "b")]
    matrix = [{"name": "x", "shape": [4, 2], "datatype": "FP64", "data": frame.to_numpy().ravel().tolist()}]
    for body in (
        {"inputs": columns, "parameters": {"content_type": "pd"}},
        {"inputs": columns},
        {"inputs": matrix},
    ):
        answer = server.client.post("/v2/models/m/infer", json=body)
        assert answer.json()["outputs"][0]["data"] == expected
    rows = frame[["a", "b"]].to_dict("records")
    assert server.predict("m", {"instances": rows}).json()["predictions"] == expected


def test_a_pickle_that_names_more_is_loaded_where_its_folder_says_so(pickles: Pickles) -> None:
    index = pickles.server.index()
    assert (index["trusted"]["state"], index["refused"]["state"]) == ("READY", "UNAVAILABLE")
    assert "operator.neg" in index["refused"]["reason"].replace("_operator", "operator")
    answer = pickles.server.predict("trusted", {"instances": [[2.0]]}).json()
    assert answer["predictions"] == pickles.negated.predict(np.array([[2.0]])).tolist()


def test_an_output_that_the_model_gives_only_when_asked(house: House) -> None:
    body = {
        "inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["Apple grows"]}],
        "outputs": [{"name": "tokens"}],
    }
    answer = house.server.client.post("/v2/models/spacy-rules/infer", json=body).json()
    (tokens,) = answer["outputs"]
    assert tokens["name"] == "tokens"
    assert [token["text"] for token in orjson.loads(tokens["data"][0])] == ["Apple", "grows"]


def test_lists_metadata_and_swagger(house: House) -> None:
    client = house.server.client
    everything = {case.name for case in CASES} | BROKEN.keys()
    assert set(client.get("/v1/models").json()["models"]) == everything
    assert set(client.get("/v2/models").json()["models"]) == everything
    assert client.get("/v2").json()["name"] == "polyserve"
    page = client.get("/docs")
    assert page.status_code == 200
    assert "//" not in page.text.replace("http://127.0.0.1", "").replace("<!-- ", "").split("<script>")[0]
    assert client.get("/docs/static/swagger-ui-bundle.js").status_code == 200
    predict = client.get("/openapi.json").json()["paths"]["/v1/models/{model_name}:predict"]["post"]
    assert set(predict["parameters"][0]["schema"]["enum"]) == everything
    assert "request_predict_seconds" in client.get("/metrics").text


def test_health_answers_while_a_model_is_busy(house: House, tmp_path: Path) -> None:
    """Not a matter of time: the answers come while predictions that began earlier are still running."""
    rows = np.tile(house.expected["sklearn-logistic"].tensors["input-0"], (20_000, 1)).tolist()
    body = orjson.dumps({"instances": rows})

    def answers_beside() -> int:
        """How often health was told while one such request was on its way."""
        done = threading.Event()

        def flood() -> None:
            try:
                httpx.post(f"{house.server.url}/v1/models/sklearn-logistic:predict", content=body, timeout=240)
            finally:
                done.set()

        thread = threading.Thread(target=flood)
        thread.start()
        answers = 0
        while not done.is_set():
            assert house.server.client.get("/v2/health/live").status_code == 200
            answers += not done.is_set()
        thread.join()
        return answers

    # On a busy machine one may be over before this thread has had its turn; a server that is held answers in none.
    assert any(answers_beside() > 2 for _ in range(20))


def test_many_callers_get_their_own_answers(house: House) -> None:
    """Requests of all models mixed, merged by the server as it likes: every caller gets its own rows back."""

    async def ask() -> None:
        limits, patience = httpx.Limits(max_connections=64), httpx.Timeout(240, pool=None)
        async with httpx.AsyncClient(base_url=house.server.url, timeout=patience, limits=limits) as client:
            await asyncio.gather(*(one(client, n) for n in range(400)))

    async def one(client: httpx.AsyncClient, n: int) -> None:
        case = CASES[n % len(CASES)]
        expected = house.expected[case.name]
        row = (n // len(CASES)) % len(expected.instances)
        wrong = n % 5 == 0
        instances = expected.bad[n % len(expected.bad)] if wrong else [expected.instances[row]]
        answer = await client.post(f"/v1/models/{case.name}:predict", json={"instances": instances})
        if wrong:
            assert answer.status_code == 400
        else:
            assert answer.json() == {"predictions": orjson.loads(orjson.dumps([expected.predictions[row]]))}

    asyncio.run(ask())


def test_the_log_holds_no_stack_traces(house: House) -> None:
    assert "Traceback" not in house.server.log
    wait_for(lambda: re.search(rf"\b{len(CASES)} ready\b", house.server.log), "the sum of all")


def test_loading_needs_loopback_and_reloads(house: House) -> None:
    answer = house.server.client.post("/v2/repository/models/sklearn-logistic/load")
    assert answer.status_code == 200
    expected = house.expected["sklearn-logistic"]
    answer = house.server.predict("sklearn-logistic", {"instances": expected.instances})
    assert answer.json()["predictions"] == expected.predictions
    failed = house.server.client.post("/v2/repository/models/empty/load")
    assert failed.status_code == 503


def test_readiness_is_false_for_a_single_broken_model_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "mount").mkdir()
    (tmp_path / "mount" / "model.onnx").write_bytes(b"broken")
    server = Server(tmp_path / "mount", tmp_path / "log").wait_scanned()
    try:
        answer = server.client.get("/v2/health/ready")
        assert answer.status_code == 503
        assert "model.onnx" in answer.json()["error"]
        assert server.client.get("/v2/health/live").status_code == 200
    finally:
        assert server.stop() == 0


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--model_dir=/nonexistent"], "does not exist"),
        (["--modeldir=/tmp"], "did you mean --model_dir"),
        (["--http_port=huge"], "--http_port=huge"),
    ],
)
def test_mistakes_end_the_start_with_one_line(tmp_path: Path, flags: list[str], says: str) -> None:
    server = Server(tmp_path, tmp_path / "log", *flags)
    assert server.wait() == 2
    assert says in server.log
    assert "Traceback" not in server.log


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of nothing."""
    base = tmp_path_factory.mktemp("empty")
    (base / "models").mkdir()
    server = Server(base / "models", base / "log").wait_ready()
    yield server
    assert server.stop() == 0


def test_an_empty_directory_is_told(empty: Server) -> None:
    wait_for(lambda: "is empty: put each model into a folder of its own" in empty.log, "its line")


def test_a_taken_port_is_told(empty: Server, tmp_path: Path) -> None:
    second = Server(tmp_path, tmp_path / "log", f"--grpc_port={empty.grpc_port}")
    assert second.wait() != 0
    assert f"--grpc_port={empty.grpc_port}" in second.log
    assert "Traceback" not in second.log


@dataclass(frozen=True)
class Lone:
    """One model in the mount itself."""

    server: Server
    expected: Expected


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory, shared: Shared) -> Iterator[Lone]:
    base = tmp_path_factory.mktemp("lone")
    expected = shared.copy(CASES[0], base / "mount")
    flags = ("--model_name=iris", "--enable_latency_logging=true", "--access_log=true", "--max_body_bytes=1000")
    environ = {"PREDICT_PROBA": "true", "PYTHONPROFILEIMPORTTIME": "1"}
    server = Server(base / "mount", base / "log", *flags, **environ)
    server.wait_listening()  # before the model is loaded
    yield Lone(server.wait_ready(), expected)
    assert server.stop() == 0


def test_one_model_in_the_mount_itself(lone: Lone) -> None:
    assert lone.server.index().keys() == {"iris"}
    assert lone.server.predict("iris", {"instances": lone.expected.instances}).status_code == 200
    for line in ("v1 iris: preprocess_ms: ", "POST /v1/models/iris"):
        wait_for(lambda line=line: line in lone.server.log, line)  # type: ignore[misc]


def test_predict_proba_as_in_kserves_server(lone: Lone, house: House) -> None:
    body = {"instances": lone.expected.instances}
    for row, label in zip(
        lone.server.predict("iris", body).json()["predictions"],
        house.server.predict(CASES[0].name, body).json()["predictions"],
        strict=True,
    ):
        assert sum(row) == pytest.approx(1)
        assert int(np.argmax(row)) == label


def test_only_what_a_model_needs_is_imported(lone: Lone) -> None:
    lines = lone.server.log.splitlines()
    modules = {line.rsplit("|", 1)[1].strip() for line in lines if line.startswith("import time:")}
    imported = {module.partition(".")[0] for module in modules}  # what importlib is asked for has no line of its own
    assert "sklearn" in imported
    assert imported.isdisjoint({"torch", "spacy", "transformers", "tensorflow", "xgboost", "lightgbm", "onnxruntime"})


def test_a_body_over_the_limit_is_a_413(lone: Lone) -> None:
    client, path = lone.server.client, "/v1/models/iris:predict"
    assert client.post(path, content=b"x" * 2000).status_code == 413
    assert client.post(path, content=(b"x" * 500 for _ in range(10))).status_code == 413
    assert client.get("/v2/health/live").status_code == 200
