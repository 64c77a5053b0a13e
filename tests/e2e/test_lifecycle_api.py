"""Models come and go by request: the repository extension on REST and gRPC, versions, and who may ask for it."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import joblib
import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferInput, InferRequest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import KNeighborsRegressor

from tests import processes
from tests.e2e.process import Server
from tests.patience import wait_for

TOKEN = "let-me-in"
BIG = 200 * 2**20  #: bytes of the big models' arrays
MARGIN = BIG // 4
X = np.arange(8.0).reshape(4, 2)


def linear(folder: Path, factor: float, config: str = "") -> None:
    """A model that answers `factor` for [1, 0]."""
    folder.mkdir(parents=True)
    joblib.dump(LinearRegression(fit_intercept=False).fit(X, X[:, 0] * factor), folder / "model.joblib")
    if config:
        (folder / "polyserve.yaml").write_text(config)


def v2(row: list[float]) -> dict[str, Any]:
    return {"inputs": [{"name": "input", "shape": [1, 2], "datatype": "FP64", "data": row}]}


def other_address() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("there is no network interface but loopback")
        return str(probe.getsockname()[0])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("lifecycle") / "models"
    linear(root / "plain", 2.0)
    for version in (1, 2, 3):
        linear(root / "many" / str(version), float(version))
    (root / "many" / "polyserve.yaml").write_text("versions: {latest: 2}\nlabels: {stable: 2, canary: 3}\n")
    return root


@pytest.fixture(scope="module")
def server(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("log") / "server.log"
    server = Server(root, log, "--watch=false", ADMIN_TOKEN=TOKEN).wait_ready()
    server.client.headers["authorization"] = f"Bearer {TOKEN}"
    yield server
    assert server.stop() == 0, server.log


@pytest.fixture(scope="module")
def stub(server: Server) -> Iterator[Any]:
    with grpc.insecure_channel(server.grpc) as channel:
        yield grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)


def first(server: Server, path: str) -> float:
    answer = server.client.post(path, json=v2([1, 0]) if path.startswith("/v2") else {"instances": [[1, 0]]})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return float(round(body["outputs"][0]["data"][0] if "outputs" in body else body["predictions"][0], 9))


def post(server: Server, name: str, verb: str) -> httpx.Response:
    return server.client.post(f"/v2/repository/models/{name}/{verb}")


# versions


def test_versions_are_reached_by_number_and_label(server: Server) -> None:
    assert first(server, "/v2/models/many/infer") == 3
    for version, wanted in {"2": 2, "3": 3, "stable": 2, "canary": 3}.items():
        assert first(server, f"/v2/models/many/versions/{version}/infer") == wanted
        kind = "versions" if version.isdecimal() else "labels"
        assert first(server, f"/v1/models/many/{kind}/{version}:predict") == wanted
        assert server.client.get(f"/v2/models/many/versions/{version}/ready").json() == {"name": "many", "ready": True}
        assert server.client.get(f"/v2/models/many/versions/{version}").json()["versions"] == ["2", "3"]
    answer = server.client.post("/v2/models/many/versions/stable/infer", json=v2([1, 0])).json()
    assert answer["model_version"] == "2"
    assert server.client.get("/v2/models/many").json()["versions"] == ["2", "3"]


@pytest.mark.parametrize("version", ["1", "4", "nobody", "%20"])
def test_a_version_that_is_not_served_is_not_found(server: Server, stub: Any, version: str) -> None:
    answers = [
        server.client.post(f"/v2/models/many/versions/{version}/infer", json=v2([1, 0])),
        server.client.post(f"/v1/models/many/versions/{version}:predict", json={"instances": [[1, 0]]}),
        server.client.get(f"/v2/models/many/versions/{version}"),
        server.client.get(f"/v2/models/many/versions/{version}/ready"),
    ]
    for answer in answers:
        assert answer.status_code == 404
        assert "it has 2, 3, stable, canary" in answer.json()["error"]
    for call, request in (
        (stub.ModelReady, pb.ModelReadyRequest(name="many", version=version)),
        (stub.ModelMetadata, pb.ModelMetadataRequest(name="many", version=version)),
        (stub.ModelInfer, pb.ModelInferRequest(model_name="many", model_version=version)),
    ):
        with pytest.raises(grpc.RpcError) as error:
            call(request)
        assert error.value.code() is grpc.StatusCode.NOT_FOUND


def test_versions_on_grpc(stub: Any) -> None:
    def ask(version: str) -> tuple[str, float]:
        values = pb.InferTensorContents(fp64_contents=[1, 0])
        tensor = pb.ModelInferRequest.InferInputTensor(name="input", datatype="FP64", shape=[1, 2], contents=values)
        answer = stub.ModelInfer(pb.ModelInferRequest(model_name="many", model_version=version, inputs=[tensor]))
        output = answer.outputs[0]
        held = output.contents.fp64_contents or np.frombuffer(answer.raw_output_contents[0])
        return answer.model_version, round(float(held[0]), 9)

    assert [ask(version) for version in ("", "2", "stable", "canary")] == [("3", 3), ("2", 2), ("2", 2), ("3", 3)]
    assert stub.ModelReady(pb.ModelReadyRequest(name="many", version="stable")).ready
    assert list(stub.ModelMetadata(pb.ModelMetadataRequest(name="many")).versions) == ["2", "3"]


# load and unload


def test_kserves_agent_adds_and_removes_a_model(server: Server, root: Path) -> None:
    assert post(server, "late", "load").status_code == 404
    linear(root / "late", 5.0)
    answer = post(server, "late", "load")
    assert (answer.status_code, answer.json()) == (200, {"name": "late", "load": True})
    assert first(server, "/v1/models/late:predict") == 5
    answer = post(server, "late", "unload")
    assert (answer.status_code, answer.json()) == (200, {"name": "late", "unload": True})
    assert server.index()["late"]["state"] == "UNAVAILABLE"
    refused = server.predict("late", {"instances": [[1, 0]]})
    assert (refused.status_code, refused.json()["error"]) == (503, "model 'late' is not ready: unloaded")
    shutil.rmtree(root / "late")
    assert post(server, "late", "load").status_code == 404
    assert "late" not in server.index()
    assert post(server, "late", "unload").status_code == 404


def test_a_model_is_loaded_into_an_empty_mount(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    server = Server(mount, tmp_path / "log", "--watch=false").wait_ready()
    try:
        linear(mount / "first", 7.0)
        assert post(server, "first", "load").status_code == 200
        assert first(server, "/v1/models/first:predict") == 7
    finally:
        assert server.stop() == 0, server.log


def test_many_loads_of_one_model_at_once_all_succeed(server: Server) -> None:
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: post(server, "plain", "load"), range(12)))
    assert {answer.status_code for answer in answers} == {200}
    assert first(server, "/v1/models/plain:predict") == 2


def test_loading_again_under_load_fails_nobody(server: Server) -> None:
    statuses: list[int] = []
    done = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=server.url, timeout=60) as client:
            while not done.is_set():
                statuses.append(client.post("/v1/models/plain:predict", json={"instances": [[1, 0]]}).status_code)

    with ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(ask) for _ in range(3)]
        try:
            for number in range(5):
                wait_for(lambda number=number: len(statuses) > 5 * number)  # type: ignore[misc]
                assert post(server, "plain", "load").status_code == 200
        finally:
            done.set()
        for client in clients:
            client.result()
    assert set(statuses) == {200}


def test_grpc_loads_and_unloads_as_kserve_says_it(server: Server, stub: Any) -> None:
    mine = [("authorization", f"Bearer {TOKEN}")]
    answer = stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="plain"), metadata=mine)
    assert (answer.model_name, answer.isUnloaded) == ("plain", True)
    assert server.index()["plain"]["state"] == "UNAVAILABLE"
    answer = stub.RepositoryModelLoad(pb.RepositoryModelLoadRequest(model_name="plain"), metadata=mine)
    assert (answer.model_name, answer.isLoaded) == ("plain", True)
    assert first(server, "/v1/models/plain:predict") == 2
    for name in ("nobody", ""):
        for call, kind in (
            (stub.RepositoryModelLoad, pb.RepositoryModelLoadRequest),
            (stub.RepositoryModelUnload, pb.RepositoryModelUnloadRequest),
        ):
            with pytest.raises(grpc.RpcError) as error:
                call(kind(model_name=name), metadata=mine)
            assert error.value.code() is grpc.StatusCode.NOT_FOUND


def test_kserves_own_grpc_client_reaches_a_model_that_was_loaded(server: Server) -> None:
    async def ask() -> list[float]:
        async with InferenceGRPCClient(server.grpc) as client:
            tensor = InferInput("input", [1, 2], "FP64", [1.0, 0.0])
            answer = await client.infer(InferRequest("plain", [tensor]))
            return list(answer.outputs[0].as_numpy())

    assert np.allclose(asyncio.run(ask()), [2.0])


# who may


def test_from_elsewhere_the_token_is_needed(server: Server) -> None:
    url = f"http://{other_address()}:{server.http_port}/v2/repository/models/plain/load"
    missing, wrong = httpx.post(url), httpx.post(url, headers={"authorization": "Bearer no"})
    assert (missing.status_code, wrong.status_code) == (401, 401)
    assert "ADMIN_TOKEN" in missing.json()["error"]
    assert missing.headers["www-authenticate"] == "Bearer"
    assert httpx.post(url, headers={"authorization": f"Bearer {TOKEN}"}, timeout=60).status_code == 200
    assert TOKEN not in server.log


def test_where_there_is_a_token_this_machine_needs_it_too(server: Server, stub: Any) -> None:
    """Code of a model, in a worker process, is on this machine."""
    wait_for(lambda: "needs ADMIN_TOKEN, from this machine as well" in server.log, "its line")
    assert ("the server runs as root: model code" in server.log) is (os.geteuid() == 0)
    assert httpx.post(f"{server.url}/v2/repository/models/plain/unload").status_code == 401
    with pytest.raises(grpc.RpcError) as error:
        stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="plain"))
    assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert server.index()["plain"]["state"] == "READY"


def test_what_a_proxy_passes_on_needs_the_token(server: Server, stub: Any) -> None:
    url = f"{server.url}/v2/repository/models/plain/unload"
    assert httpx.post(url, headers={"x-forwarded-for": "203.0.113.9"}).status_code == 401
    load = pb.RepositoryModelLoadRequest(model_name="plain")
    with pytest.raises(grpc.RpcError) as error:
        stub.RepositoryModelLoad(load, metadata=[("x-forwarded-for", "203.0.113.9")])
    assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
    passed = [("x-forwarded-for", "203.0.113.9"), ("authorization", f"Bearer {TOKEN}")]
    assert stub.RepositoryModelLoad(load, metadata=passed).isLoaded


def test_on_grpc_from_elsewhere_the_token_is_needed(server: Server) -> None:
    load = pb.RepositoryModelLoadRequest(model_name="plain")
    with grpc.insecure_channel(f"{other_address()}:{server.grpc_port}") as channel:
        stub = grpc_predict_v2_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as error:
            stub.RepositoryModelLoad(load)
        assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert stub.RepositoryModelLoad(load, metadata=[("authorization", f"Bearer {TOKEN}")]).isLoaded


# memory


@pytest.mark.parametrize("config", ["", "isolation: process\n"], ids=["in the server", "in a worker"])
def test_unloading_gives_the_memory_back(server: Server, root: Path, config: str) -> None:
    folder = root / "big"
    folder.mkdir(exist_ok=True)
    rows = np.random.default_rng(1).random((BIG // 64, 8))
    joblib.dump(KNeighborsRegressor(algorithm="brute").fit(rows, rows[:, 0]), folder / "model.joblib")
    (folder / "polyserve.yaml").write_text(config)
    del rows
    before = resident(server)
    assert post(server, "big", "load").status_code == 200, server.log
    loaded = resident(server)
    assert post(server, "big", "unload").status_code == 200
    wait_for(lambda: resident(server) < min(before + MARGIN, loaded - BIG * 0.7), "the memory")


def resident(server: Server) -> int:
    """Bytes that the server and its workers take, all together; the process that tries models is neither."""
    return processes.resident(server.process.pid, without="server.loading.trial.trial_main")
