"""Users' `model.py` files, unmodified, in one server; beside KServe's own ModelServer with the same files."""

from __future__ import annotations

import base64
import concurrent.futures
import io
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from kserve import InferInput, InferRequest, InferResponse
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from bench.ports import free_port
from tests import custom_models
from tests.e2e.process import Server
from tests.patience import wait_for

COMPARED = ("hooks", "replies", "failures", "declared", "image")
LENGTH = "inference-header-content-length"

CLASS = "import kserve\nclass Mine(kserve.Model):\n    def predict(self, payload, headers=None):\n        return {}\n"
#: model.py -> the reason that the index shows
BAD = {
    "crash_in_load": (
        CLASS + "    def load(self):\n        return open('weights.bin')\n",
        "model.py, line 6: FileNotFoundError: [Errno 2] No such file or directory: 'weights.bin'",
    ),
    "exits": (CLASS + "import sys\nsys.exit('bye')\n", "model.py, line 6: the code ended the process: sys.exit(bye)"),
    "recursion": (CLASS + "def f():\n    f()\nf()\n", "model.py, line 6: RecursionError: maximum recursion depth"),
    "absent_module": (
        f"import nowhere_to_be_found\n{CLASS}",
        "model.py, line 1: ModuleNotFoundError: No module named 'nowhere_to_be_found'; "
        "list what it needs in requirements.txt",
    ),
    "syntax": ("import kserve\nclass Mine(kserve.Model)\n    pass\n", "model.py, line 2: expected ':'"),
    "no_class": ("import os\n", "model.py defines no subclass of kserve.Model"),
    "segfault": (CLASS + "import os\nos.kill(os.getpid(), 11)\n", "SIGSEGV"),
}


class Reference:
    """KServe's ModelServer."""

    def __init__(self, folders: list[str], log: Path) -> None:
        self.http_port, self.grpc_port = free_port(), free_port()
        self.log = log
        script = Path(__file__).with_name("kserve_reference.py")
        ports = [f"--http_port={self.http_port}", f"--grpc_port={self.grpc_port}"]
        with log.open("w") as output:
            self.process = subprocess.Popen([sys.executable, script, *ports, *folders], stdout=output, stderr=output)
        self.url, self.grpc = f"http://127.0.0.1:{self.http_port}", f"127.0.0.1:{self.grpc_port}"

    def wait(self) -> None:
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                httpx.get(f"{self.url}/v2/health/ready").raise_for_status()
            except httpx.HTTPError:
                time.sleep(0.1)
            else:
                with grpc.insecure_channel(self.grpc) as channel:
                    grpc.channel_ready_future(channel).result(600)
                return
        raise AssertionError(self.log.read_text())


@dataclass(frozen=True)
class Site:
    ours: Server
    theirs: Reference
    root: Path
    iris: dict[str, Any]  #: rows, and what scikit-learn says of them

    def post(self, path: str, content: bytes, **headers: str) -> tuple[httpx.Response, httpx.Response]:
        """Our answer and KServe's."""
        sent = {"content-type": "application/json", **{key.replace("_", "-"): text for key, text in headers.items()}}
        with httpx.Client(timeout=60) as client:
            ours, theirs = (
                client.post(f"{url}{path}", content=content, headers=sent) for url in (self.ours.url, self.theirs.url)
            )
        return ours, theirs

    def infer(self, request: pb.ModelInferRequest, *metadata: tuple[str, str]) -> list[Any]:
        """Our gRPC answer and KServe's; errors as they come."""
        answers: list[Any] = []
        for address in (self.ours.grpc, self.theirs.grpc):
            with grpc.insecure_channel(address) as channel:
                try:
                    answers.append(GRPCInferenceServiceStub(channel).ModelInfer(request, metadata=metadata, timeout=60))
                except grpc.RpcError as error:
                    answers.append(error)
        return answers


def _make_iris(folder: Path) -> dict[str, Any]:
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    rows, labels = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=300).fit(rows, labels)
    joblib.dump(model, folder / "model.joblib")
    return {"rows": rows[:3].tolist(), "expected": model.predict_proba(rows[:3]).tolist()}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    base = tmp_path_factory.mktemp("custom")
    root = base / "models"
    for folder in custom_models.FOLDERS:
        shutil.copytree(folder, root / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
    theirs = Reference([f"{root}/{name}{'=forwarding' * (name == 'hooks')}" for name in COMPARED], base / "kserve.log")
    for name, (text, _) in BAD.items():
        (root / name).mkdir()
        (root / name / "model.py").write_text(text)
    iris = _make_iris(root / "iris")
    np.save(root / "mounted" / "weights.npy", np.arange(3.0))
    subprocess.run([sys.executable, "-B", "model.py"], cwd=root / "inherited", check=True)
    (root / "forwarding" / "polyserve.yaml").write_text(json.dumps({"options": {"predictor_protocol": "v1"}}))
    (root / "unguarded" / "polyserve.yaml").write_text(json.dumps({"options": {"args": "--greeting 'good day'"}}))
    to_theirs = (f"--predictor_host=127.0.0.1:{theirs.http_port}", "--predictor_request_retries=1")
    ours = Server(root, base / "server.log", *to_theirs)
    try:
        theirs.wait()
        yield Site(ours.wait_scanned(), theirs, root, iris)
    finally:
        theirs.process.kill()
        theirs.process.wait()
        code = ours.stop()
    assert code == 0, ours.log


def predictions(site: Site, model: str, instances: list[Any]) -> Any:
    answer = site.ours.predict(model, {"instances": instances})
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


# they run


def test_every_good_model_is_ready_and_every_bad_one_says_why(site: Site) -> None:
    index = site.ours.index()
    good = {folder.name for folder in custom_models.FOLDERS}
    assert {name: index[name]["reason"] for name in good if index[name]["state"] != "READY"} == {}
    for name, (_, reason) in BAD.items():
        assert index[name]["state"] == "UNAVAILABLE"
        assert reason in index[name]["reason"], name


def test_an_image_in_base64(site: Site) -> None:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (20, 10), (10, 200, 30)).save(buffer, "PNG")
    instance = {"image": {"b64": base64.b64encode(buffer.getvalue()).decode()}}
    assert predictions(site, "image", [instance, instance]) == [[10.0, 200.0, 30.0]] * 2


def test_scikit_learn_from_a_folder_on_the_command_line(site: Site) -> None:
    rows, expected = site.iris["rows"], site.iris["expected"]
    assert predictions(site, "iris", rows) == expected
    tensor = {"name": "rows", "shape": [3, 4], "datatype": "FP64", "data": np.ravel(rows).tolist()}
    answer = site.ours.client.post("/v2/models/iris/infer", json={"inputs": [tensor]}).json()
    assert answer["model_name"] == "iris"
    assert answer["outputs"][0]["data"] == np.ravel(expected).tolist()


def test_two_utils_do_not_meet(site: Site) -> None:
    assert (predictions(site, "twin_a", [1]), predictions(site, "twin_b", [1])) == ([2], [101])


def test_the_mount_path_is_the_models_folder_however_it_is_written(site: Site) -> None:
    assert predictions(site, "mounted", []) == [[0.0, 1.0, 2.0]] * 7


def test_a_class_of_another_file_and_a_pickle_made_by_the_script(site: Site) -> None:
    assert predictions(site, "inherited", [1, 2]) == [3, 6]


def test_a_server_started_without_a_guard(site: Site) -> None:
    assert predictions(site, "unguarded", ["you"]) == ["good day, you"]


def test_a_task_of_an_asynchronous_load_lives_on(site: Site) -> None:
    assert predictions(site, "asynchronous", [1, 2]) == [2, 3]


def test_coroutines_overlap(site: Site) -> None:
    def one(_: int) -> int:
        answer = site.ours.predict("asynchronous", {"instances": [1], "until": 5})
        return int(answer.json()["most"])

    with concurrent.futures.ThreadPoolExecutor(5) as threads:
        assert min(threads.map(one, range(5))) >= 5


def test_a_transformer_calls_its_predictor(site: Site) -> None:
    assert predictions(site, "forwarding", [1, 2]) == [21, 41]


def test_declared_tensors_are_in_the_metadata(site: Site) -> None:
    told = site.ours.client.get("/v2/models/declared").json()
    assert told.pop("parameters") == {"adapter": "custom"}
    assert told == {
        "name": "declared",
        "versions": ["1"],
        "platform": "kserve",
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": "words", "datatype": "INT64", "shape": [-1, 1]}],
    }


def test_what_a_model_prints_is_in_the_log(site: Site) -> None:
    site.ours.predict("declared", {"instances": ["a b", "c"]})
    wait_for(lambda: "counting 2 texts" in site.ours.log, "its line")
    assert any("declared" in line and "counting 2 texts" in line for line in site.ours.log.splitlines())
    assert "Registering model" not in site.ours.log, "KServe's line about what ours has told"


def test_the_folders_stay_as_they_were(site: Site) -> None:
    assert not list(site.root.rglob("__pycache__"))


# they answer what KServe answers

BINARY = InferRequest("replies", [InferInput("x", [2], "FP32")], request_id="9")
BINARY.inputs[0].set_data_from_numpy(np.array([1.5, -2.0], np.float32), binary_data=True)
BINARY_BODY, BINARY_LENGTH = BINARY.to_rest()
TENSOR = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1.5, -2.0]}


def _v1(kind: str) -> bytes:
    return json.dumps({"kind": kind, "instances": [kind]}).encode()


KINDS = ("numpy", "odd", "text", "raw", "array", "nothing", "tensors", "unserialisable")
FAILURES = ("invalid", "value", "http", "object", "missing", "unready", "inference", "unwritten")

GOOD: list[tuple[str, bytes, dict[str, str]]] = [
    ("/v1/models/hooks:predict", b'{"instances": [1, 2.5]}', {"x_tenant": "acme"}),
    ("/v1/models/hooks:explain", b'{"instances": [1, 2]}', {}),
    ("/v1/models/replies:predict", b"any bytes", {"content_type": "image/png", "x_request_id": "17"}),
    *(("/v1/models/replies:predict", _v1(kind), {}) for kind in KINDS if kind != "unserialisable"),
    ("/v2/models/replies/infer", json.dumps({"id": "4", "inputs": [TENSOR]}).encode(), {}),
    ("/v2/models/replies/infer", json.dumps({"id": "4", "inputs": [TENSOR], "parameters": {"a": 1}}).encode(), {}),
    (
        "/v2/models/replies/infer",
        json.dumps({"id": "4", "inputs": [TENSOR], "parameters": {"binary_data_output": True}}).encode(),
        {},
    ),
    (
        "/v2/models/replies/infer",
        bytes(BINARY_BODY),
        {LENGTH.replace("-", "_"): str(BINARY_LENGTH), "content_type": "application/octet-stream"},
    ),
]


@pytest.mark.parametrize(("path", "body", "headers"), GOOD)
def test_good_requests_are_answered_as_by_kserve(site: Site, path: str, body: bytes, headers: dict[str, str]) -> None:
    ours, theirs = site.post(path, body, **headers)
    assert theirs.status_code == 200
    assert (ours.status_code, ours.content) == (200, theirs.content)
    told = ("content-type", LENGTH, "x-answered-by", "x-request-id")
    if "/v2/" in path and LENGTH in theirs.headers:  # KServe leaves the type of binary tensors out
        assert ours.headers["content-type"] == "application/octet-stream"
        told = told[1:]
    assert {name: ours.headers.get(name) for name in told} == {name: theirs.headers.get(name) for name in told}


def test_what_is_yielded_is_an_event_each(site: Site) -> None:
    """KServe runs the texts together."""
    ours, theirs = site.post("/v1/models/declared:predict", b'{"instances": ["a b c", ""]}')
    assert theirs.text == "3\n0\n"
    assert ours.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(event.removeprefix("data: ")) for event in ours.text.split("\n\n") if event]
    assert events == ["3\n", "0\n"]


@pytest.mark.parametrize("kind", FAILURES)
def test_errors_keep_their_status_and_words(site: Site, kind: str) -> None:
    ours, theirs = site.post("/v1/models/failures:predict", json.dumps({"instances": [kind]}).encode())
    assert ours.status_code == theirs.status_code
    assert ours.headers.get("x-why") == theirs.headers.get("x-why")
    if kind in ("value", "inference"):  # KServe writes "ValueError : a value"
        assert str(theirs.json()["error"]).split(" : ")[-1] in ours.json()["error"]
    else:
        assert ours.json() == theirs.json()


def test_the_requests_headers_are_not_sent_back(site: Site) -> None:
    ours, _ = site.post("/v1/models/hooks:explain", b'{"instances": [1]}', authorization="secret")
    assert (ours.status_code, ours.headers.get("authorization"), ours.headers.get("host")) == (200, None, None)


@pytest.mark.parametrize(("kind", "words"), [("exit", "sys.exit(3)"), ("interrupt", "raised KeyboardInterrupt")])
def test_exit_fails_the_request_and_not_the_model(site: Site, kind: str, words: str) -> None:
    answer = site.ours.predict("failures", {"instances": [kind]})
    assert answer.status_code == 500
    assert words in answer.json()["error"]
    assert site.ours.predict("failures", {"instances": ["value"]}).status_code == 500


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/models/hooks:predict", b'{"instances"', 400),
        ("/v1/models/replies:predict", b'{"instances": 3}', 400),
        ("/v1/models/hooks:predict", b'{"rows": [1]}', 500),
        ("/v1/models/replies:predict", _v1("unserialisable"), 500),
        ("/v1/models/replies:explain", b'{"instances": [1]}', 501),
        ("/v1/models/nobody:predict", b"{}", 404),
    ],
)
def test_bad_requests_get_kserves_status(site: Site, path: str, body: bytes, status: int) -> None:
    ours, theirs = site.post(path, body)
    assert (ours.status_code, theirs.status_code) == (status, status)
    assert list(ours.json()) == ["error"]


@pytest.mark.parametrize(
    ("body", "headers", "theirs", "error"),
    [
        (b"{", {}, 422, "Unrecognized request format"),
        (b'{"inputs": 3}', {}, 422, "inputs: Input should be a valid list"),
        (b'{"inputs": [{"name": "x"}]}', {}, 422, "inputs.0.shape: Field required"),
        (bytes(BINARY_BODY), {"inference_header_content_length": "x"}, 500, "invalid literal for int()"),
        (
            b'{"inputs": [{"name": "x"}]}',
            {"inference_header_content_length": "27"},
            500,
            "the field 'shape' is missing",
        ),
    ],
)
def test_malformed_v2_is_the_clients_fault(
    site: Site, body: bytes, headers: dict[str, str], theirs: int, error: str
) -> None:
    sent = {**headers, "content_type": "application/octet-stream"} if headers else headers
    our_answer, their_answer = site.post("/v2/models/replies/infer", body, **sent)
    assert (our_answer.status_code, their_answer.status_code) == (400, theirs)
    assert error in our_answer.json()["error"]


def test_curl_may_leave_the_content_type_out(site: Site) -> None:
    for kind in ("application/x-www-form-urlencoded", "application/json; charset=utf-8"):
        ours, _ = site.post("/v1/models/hooks:predict", b'{"instances": [1]}', content_type=kind)
        assert ours.json()["predictions"] == [3]


def test_a_v1_answer_to_a_v2_request_says_what_is_missing(site: Site) -> None:
    answer = site.ours.client.post("/v2/models/declared/infer", json={"inputs": [TENSOR]})
    assert answer.status_code == 500
    answer = site.ours.client.post("/v2/models/twin_a/infer", json={"inputs": [TENSOR]})
    assert (answer.status_code, "error" in answer.json()) == (500, True)


@pytest.mark.parametrize("raw", [True, False])
def test_grpc_answers_as_by_kserve(site: Site, raw: bool) -> None:
    request = InferRequest("replies", [InferInput("x", [2], "FP32")], request_id="3")
    request.inputs[0].set_data_from_numpy(np.array([1.5, 4], np.float32), binary_data=raw)
    ours, theirs = site.infer(request.to_grpc())
    assert ours == theirs
    assert InferResponse.from_grpc(ours).outputs[0].as_numpy().tolist() == [3.0, 8.0]


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("invalid", "INVALID_ARGUMENT", "the age must be positive"),
        ("value", "INTERNAL", "ValueError: a value"),
        ("http", "INVALID_ARGUMENT", "unprocessable"),
        ("missing", "NOT_FOUND", "Model with name other does not exist."),
        ("unready", "UNAVAILABLE", "still warming up"),
        ("unwritten", "UNIMPLEMENTED", "not yet"),
    ],
)
def test_grpc_errors(site: Site, kind: str, code: str, words: str) -> None:
    request = InferRequest("failures", [InferInput("x", [1], "BYTES", [kind])])
    ours, _ = site.infer(request.to_grpc())
    assert (ours.code().name, words in ours.details()) == (code, True), ours


def test_events(site: Site) -> None:
    event = {
        "ce_id": "1",
        "ce_source": "test",
        "ce_type": "sample",
        "ce_specversion": "1.0",
        "ce_time": "2024-01-01T00:00:00Z",
    }
    ours, theirs = site.post("/v1/models/hooks:predict", b'{"instances": [4]}', **event)
    assert (ours.status_code, ours.json()) == (200, theirs.json())
    assert ours.headers["ce-type"] == theirs.headers["ce-type"] == "io.kserve.inference.response"


# its own process


def test_a_killed_worker_comes_back(site: Site) -> None:
    workers = [pid for pid in _children(site.ours.process.pid) if _folder(pid) == site.root / "twin_a"]
    assert len(workers) == 1
    os.kill(workers[0], 9)
    wait_for(lambda: site.ours.predict("twin_a", {"instances": [1]}).status_code == 200, "another worker")
    assert predictions(site, "twin_b", [1]) == [101]


def _children(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


def _folder(pid: int) -> Path:
    return Path(f"/proc/{pid}/cwd").resolve()
