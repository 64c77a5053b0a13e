"""Whole servers, of one process and of two: keys that change under load, identifiers, a bomb, a Unix socket."""

from __future__ import annotations

import gzip
import http.client
import itertools
import json
import threading
from collections.abc import Iterator
from email.message import Message
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import grpc
import httpx
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc

from server.api.grpc.protos import message_type
from tests.e2e.process import Server
from tests.e2e.test_hot_reload import model, put, until

RELOADS = 100
STEADY, ADMIN = "steady-0123456789abcdef", "admin-0123456789abcdef"
ONES = {"instances": [[1.0, 1.0]]}
ECHO = """
from kserve import Model

class Echo(Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    def predict(self, payload, headers=None):
        return {"predictions": [dict(headers)]}
"""


class Keys:
    """A file of keys in a volume, as Kubernetes swaps its Secrets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "keys.yaml"
        self.numbers = itertools.count()
        self.write("first-0123456789abcdef")
        self.file.symlink_to("..data/keys.yaml")

    def write(self, *more: str) -> None:
        version = self.folder / f"..{next(self.numbers)}"
        version.mkdir(parents=True)
        entries = [f"{{key: {STEADY}, models: [m, echo, '*-*']}}", f"{{key: {ADMIN}, admin: true}}", *more]
        (version / "keys.yaml").write_text("\n".join(f"- {entry}" for entry in entries))
        link = self.folder / "..next"
        link.symlink_to(version.name)
        link.replace(self.folder / "..data")


class Place:
    def __init__(self, server: Server, keys: Keys, socket: Path, workers: int) -> None:
        self.server, self.keys, self.socket, self.workers = server, keys, socket, workers


@pytest.fixture(scope="module", params=[1, 2])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    base = tmp_path_factory.mktemp("manners")
    for name in ("m", "other"):
        put(base / "models" / name / "model.joblib", model(1.0))
    (base / "models" / "echo").mkdir()
    (base / "models" / "echo" / "model.py").write_text(ECHO)
    keys = Keys(base / "secret")
    with TemporaryDirectory(prefix="uds") as short:  # a socket's path may not be long
        socket = Path(short) / "s"
        flags = (f"--api_keys_file={keys.file}", f"--workers={request.param}", f"--uds={socket}", "--request_ids",
                 "--root_path=/ml", "--access_log")  # fmt: skip
        server = Server(base / "models", base / "log", *flags).wait_ready()
        until(lambda: server.log.count("listens, too") >= request.param - 1 and socket.exists(), server)
        yield Place(server, keys, socket, request.param)
        assert server.stop() == 0
        for key in (STEADY, ADMIN, "first-", "number-"):
            assert key not in server.log


class Answered(NamedTuple):
    """What has been answered."""

    status_code: int
    headers: Message
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


def ask(server: Server, key: str, name: str = "m", **headers: str) -> Answered:
    """Over a connection of its own: any of the processes takes it."""
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=60)
    try:
        connection.request("POST", f"/v1/models/{name}:predict", json.dumps(ONES), {"X-API-Key": key, **headers})
        answer = connection.getresponse()
        return Answered(answer.status, answer.headers, answer.read().decode())
    finally:
        connection.close()


def test_a_hundred_reloads_of_the_keys_under_load(place: Place) -> None:
    ended, wrong, answered = threading.Event(), [], itertools.count()

    def load() -> None:
        with httpx.Client(base_url=place.server.url, timeout=60) as client:
            while not ended.is_set():
                good = client.post("/v1/models/m:predict", json=ONES, headers={"Authorization": f"Bearer {STEADY}"})
                bad = client.post("/v1/models/m:predict", json=ONES, headers={"Authorization": "Bearer never"})
                next(answered)
                if (good.status_code, bad.status_code) != (200, 401):
                    wrong.append((good.text, bad.text))

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        before = "first-0123456789abcdef"
        for number in range(RELOADS):
            new = f"number-{number}-0123456789abcdef"
            place.keys.write(new)
            assert ask(place.server, new).status_code == 200
            assert ask(place.server, before).status_code == 401
            before = new
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert not wrong
    assert next(answered) > 1


def test_an_identifier_goes_everywhere_and_a_key_nowhere(place: Place) -> None:
    for number in range(4):  # whichever process takes it
        answer = ask(place.server, STEADY, "echo", **{"x-request-id": f"mine-{number}"})
        (shown,) = answer.json()["predictions"]
        assert answer.headers["x-request-id"] == shown["x-request-id"] == f"mine-{number}"
        assert not {"x-api-key", "authorization"} & shown.keys()
    made = [ask(place.server, STEADY, name).headers["x-request-id"] for name in ("m", "m", "echo")]
    assert len({*made}) == 3
    until(lambda: "[mine-3]" in place.server.log, place.server)


def test_who_may_not_know_of_a_model_is_not_told_its_name(place: Place) -> None:
    """Whichever process takes it: a key that is for `m`, `echo` and names with a dash, and one that is for all."""
    for _ in range(4):
        for key, said in ((STEADY, "model 'oth-er' does not exist"), (ADMIN, "did you mean 'other'?")):
            answer = ask(place.server, key, "oth-er")
            assert answer.status_code == 404
            assert said in answer.json()["error"]
            assert ("other" in answer.json()["error"].replace("oth-er", "")) == (key == ADMIN)
    assert "did you mean 'echo'?" in ask(place.server, STEADY, "ec-ho").json()["error"]


def test_keys_over_grpc(place: Place) -> None:
    with grpc.insecure_channel(place.server.grpc) as channel:
        stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
        tensor = {"name": "x", "datatype": "FP64", "shape": [1, 2], "contents": {"fp64_contents": [1.0, 1.0]}}

        def infer(name: str, *metadata: tuple[str, str]) -> Any:
            request = pb.ModelInferRequest(model_name=name, inputs=[tensor])
            return stub.ModelInfer.with_call(request, metadata=metadata, wait_for_ready=True)

        assert stub.ServerLive(pb.ServerLiveRequest()).live
        _, call = infer("m", ("x-api-key", STEADY), ("x-request-id", "of-grpc"))
        assert dict(call.initial_metadata())["x-request-id"] == "of-grpc"
        infer("m", ("authorization", f"Bearer {ADMIN}"))
        for name, key, code in (
            ("m", "never", grpc.StatusCode.UNAUTHENTICATED),
            ("nobody", STEADY, grpc.StatusCode.PERMISSION_DENIED),
            ("nobody", ADMIN, grpc.StatusCode.NOT_FOUND),
        ):
            with pytest.raises(grpc.RpcError) as caught:
                infer(name, ("x-api-key", key))
            assert caught.value.code() is code
        for key, meant in ((STEADY, False), (ADMIN, True)):
            with pytest.raises(grpc.RpcError) as caught:
                infer("oth-er", ("x-api-key", key))
            assert caught.value.details().endswith("did you mean 'other'?" if meant else "does not exist")
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelMetadata(pb.ModelMetadataRequest(name="m"))
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_lists_and_health(place: Place) -> None:
    client = place.server.client
    assert client.get("/v2/health/ready").status_code == 200
    statuses = [client.get("/metrics", headers={"X-API-Key": key}).status_code for key in ("", STEADY, ADMIN)]
    assert statuses == [401, 403, 200]
    assert client.get("/ml/docs", headers={"X-API-Key": STEADY}).text.count("/ml/openapi.json") == 1


def names_in(document: Any) -> set[str]:
    """The models that a list tells of, however it is made."""
    entries = document if isinstance(document, list) else next(iter(document.values()))
    return {each if isinstance(each, str) else each.get("name") or each["modelName"] for each in entries}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/repository/index"),
        ("GET", "/v1/models"),
        ("GET", "/ml/v2/models"),
        ("GET", "/v2/models/stats"),
        ("GET", "/models"),
    ],
)
def test_a_list_holds_the_models_of_the_key(place: Place, method: str, path: str) -> None:
    for _ in range(3):  # whichever process takes it
        for key, names in ((STEADY, {"m", "echo"}), (ADMIN, {"m", "echo", "other"})):
            headers = {"X-API-Key": key, "Accept-Encoding": "gzip"}
            with httpx.Client(base_url=place.server.url, timeout=60) as client:
                answer = client.request(method, path, headers=headers)
            assert answer.status_code == 200, answer.text
            assert names_in(answer.json()) == names


def test_nothing_else_tells_of_the_models_of_others(place: Place) -> None:
    paths = ("/models/other", "/models/other/all", "/console/overview", "/console/models/other", "/openapi.json")
    for path in (*paths, "/v2/models/other", "/v1/models/other", "/v2/models/other/stats"):
        statuses = [place.server.client.get(path, headers={"X-API-Key": key}).status_code for key in (STEADY, ADMIN)]
        assert statuses[0] == 403, path
        assert statuses[1] != 403, path


def test_what_the_root_path_is_left_out_of_is_nobodys_twice(place: Place) -> None:
    headers = {"X-API-Key": STEADY}
    for path in ("metrics", "console/overview", "console/models/other", "openapi.json", "v2/models"):
        for begun in ("/ml/ml", "/ml/ml/ml", "/ml/ml/ml/ml"):
            answer = place.server.client.get(f"{begun}/{path}", headers=headers)
            seen = answer.status_code == 200 and names_in(answer.json()) <= {"m", "echo"}
            assert seen or answer.status_code in (403, 404), (begun, path, answer.text)
    for verb in ("unload", "load"):
        for begun in ("/ml/ml", "/ml/ml/ml"):
            answer = place.server.client.post(f"{begun}/v2/repository/models/m/{verb}", headers={"Host": "elsewhere"})
            assert answer.status_code in (401, 403, 404), answer.text


def test_a_list_over_grpc_holds_the_models_of_the_key(place: Place) -> None:
    with grpc.insecure_channel(place.server.grpc) as channel:
        for method in ("RepositoryIndex", "ModelStatistics"):
            call = channel.unary_unary(
                f"/inference.GRPCInferenceService/{method}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=message_type(f"{method}Response").FromString,
            )
            for key, names in ((STEADY, {"m", "echo"}), (ADMIN, {"m", "echo", "other"})):
                answer = call(message_type(f"{method}Request")(), metadata=[("x-api-key", key)], wait_for_ready=True)
                assert {each.name for _, field in answer.ListFields() for each in field} == names


def test_a_key_of_an_admin_loads_from_elsewhere(place: Place) -> None:
    for key, status in ((STEADY, 403), (ADMIN, 200)):
        headers = {"X-API-Key": key, "Host": "elsewhere"}
        answer = place.server.client.post("/v2/repository/models/m/load", headers=headers)
        assert answer.status_code == status, answer.text


def test_a_bomb_is_refused_while_others_are_served(place: Place) -> None:
    bomb = gzip.compress(bytes(150 * 2**20), 1)
    found: list[httpx.Response] = []

    def throw() -> None:
        headers = {"X-API-Key": STEADY, "Content-Encoding": "gzip"}
        found.append(httpx.post(f"{place.server.url}/v1/models/m:predict", content=bomb, headers=headers, timeout=60))

    thread = threading.Thread(target=throw)
    thread.start()
    while thread.is_alive():
        assert ask(place.server, STEADY).status_code == 200
    assert found[0].status_code == 413
    assert "when it is inflated (max_body_bytes)" in found[0].json()["error"]


def test_the_unix_socket_answers_as_the_port_does(place: Place) -> None:
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(place.socket)), base_url="http://localhost") as client:
        assert client.post("/ml/v1/models/m:predict", json=ONES).status_code == 401
        for path in ("/ml/v1/models/m:predict", "/v1/models/m:predict", "/v1/models/echo:predict"):
            assert client.post(path, json=ONES, headers={"X-API-Key": STEADY}).status_code == 200
    if place.workers > 1:
        line = f"listens on {place.socket}, too: this process alone answers there"
        until(lambda: line in place.server.log, place.server)
    else:
        assert "this process alone answers there" not in place.server.log
