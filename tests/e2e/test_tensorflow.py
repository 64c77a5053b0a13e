"""TensorFlow's protobuf and KServe's in one process: a SavedModel behind V1, V2 and gRPC, and a graph that writes."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as pb_grpc

from tests.adapters.tensorflow_ import models
from tests.e2e.process import Server

X = np.array([[1.5, -2], [0.25, 4]], np.float32)
TEXT = np.array([b"a\xff", b"abc"], np.object_)


def reads_a_file(folder: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    spec = tf.TensorSpec([None], tf.string)
    module.read = tf.function(lambda name: {"data": tf.map_fn(tf.io.read_file, name)}, input_signature=[spec])
    models.save(folder, module, serving_default=module.read)


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tensorflow")
    models.everything(root / "everything" / "1")
    models.half_plus_two(root / "half_plus_two" / "00000123")
    reads_a_file(root / "reader")
    return root


@pytest.fixture(scope="module")
def server(mount: Path) -> Iterator[Server]:
    server = Server(mount, mount / "server.log").wait_scanned()
    yield server
    assert server.stop() == 0, server.log


def test_v1_in_both_forms(server: Server, mount: Path) -> None:
    wanted = models.direct(mount / "everything" / "1", {"x": X})["y"].tolist()
    assert server.predict("everything", {"instances": X.tolist()}).json() == {"predictions": wanted}
    assert server.predict("everything", {"inputs": {"x": X.tolist()}}).json() == {"outputs": wanted}
    body = {"signature_name": "texts", "inputs": [{"b64": base64.b64encode(text).decode()} for text in TEXT]}
    outputs = server.predict("everything", body).json()["outputs"]
    assert outputs["length"] == [2, 3]
    assert outputs["raw_bytes"] == body["inputs"]
    answer = server.predict("everything", {"instances": [1], "signature_name": "text"})
    assert answer.status_code == 400
    assert "did you mean 'texts'" in answer.json()["error"]


def test_the_example_of_tensorflow_serving(server: Server) -> None:
    """The request of its documentation, unchanged."""
    assert server.predict("half_plus_two", {"instances": [1.0, 2.0, 5.0]}).json() == {"predictions": [2.5, 3.0, 4.5]}


def test_v2(server: Server) -> None:
    tensor: dict[str, Any] = {"name": "x", "shape": [2, 2], "datatype": "FP32", "data": X.ravel().tolist()}
    answer = server.client.post("/v2/models/everything/infer", json={"inputs": [tensor]}).json()
    assert answer["outputs"][0]["data"] == (X + np.array([1, -1], np.float32)).ravel().tolist()
    tensor |= {"shape": [2], "data": [1, 0.5]}
    body = {"inputs": [tensor], "parameters": {"signature_name": "logs"}}
    outputs = server.client.post("/v2/models/everything/infer", json=body).json()["outputs"]
    assert [output["name"] for output in outputs] == ["log"]


def test_grpc(server: Server) -> None:
    request = pb.ModelInferRequest(model_name="everything")
    request.inputs.add(name="text", datatype="BYTES", shape=[2]).contents.bytes_contents.extend(TEXT)
    request.parameters["signature_name"].string_param = "texts"
    with grpc.insecure_channel(server.grpc) as channel:
        response = pb_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request)
    outputs = {output.name: output.contents for output in response.outputs}
    assert list(outputs["length"].int_contents) == [2, 3]
    assert list(outputs["raw_bytes"].bytes_contents) == TEXT.tolist()


def test_a_graph_that_reads_files_is_served_by_a_worker(server: Server, mount: Path) -> None:
    (mount / "note.txt").write_text("hello")
    answer = server.predict("reader", {"instances": [str(mount / "note.txt")]})
    assert answer.json() == {"predictions": ["hello"]}


def test_a_graph_that_reads_files_is_refused_under_safe_trust(mount: Path, tmp_path: Path) -> None:
    server = Server(mount, tmp_path / "server.log", "--trust=safe").wait_scanned()
    try:
        index = server.index()
        assert index["everything"]["state"] == "READY"
        assert index["reader"]["state"] == "UNAVAILABLE"
        assert "ReadFile" in index["reader"]["reason"]
    finally:
        assert server.stop() == 0
