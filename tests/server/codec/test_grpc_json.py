"""Messages of gRPC as V2's JSON, for logs."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import kserve.protocol.grpc.grpc_predict_v2_pb2 as pb
import pytest

from server.codec.grpc_json import request_json, response_json


def message(datatype: str, *raw: bytes, shape: Any = (2,), **contents: Any) -> bytes:
    tensor = pb.ModelInferRequest.InferInputTensor(name="x", shape=shape, datatype=datatype)
    for name, values in contents.items():
        getattr(tensor.contents, name).extend(values)
    tensor.parameters["content_type"].string_param = "np"
    made = pb.ModelInferRequest(model_name="iris", id="7", inputs=[tensor], raw_input_contents=raw)
    serialized: bytes = made.SerializeToString()
    return serialized


@pytest.mark.parametrize(
    ("sent", "values"),
    [
        (message("FP64", fp64_contents=[0.5, 1.0]), [0.5, 1.0]),
        (message("FP64", struct.pack("<2d", 0.5, 1.0)), [0.5, 1.0]),
        (message("BYTES", bytes_contents=["é".encode(), b"x"]), ["é", "x"]),
        (message("BYTES", struct.pack("<I", 1) + b"a" + struct.pack("<I", 0)), ["a", ""]),
        (message("BOOL", bool_contents=[True, False]), [True, False]),
    ],
    ids=["typed", "raw", "typed texts", "raw texts", "bools"],
)
def test_a_request(sent: bytes, values: list[Any]) -> None:
    document = json.loads(request_json(sent))
    (tensor,) = document.pop("inputs")
    assert document == {"model_name": "iris", "id": "7"}
    assert tensor.pop("parameters") == {"content_type": "np"}
    assert tensor["data"] == values
    assert (tensor["name"], tensor["shape"]) == ("x", [2])


def test_an_answer() -> None:
    tensor = pb.ModelInferResponse.InferOutputTensor(name="y", shape=[1], datatype="INT64")
    tensor.contents.int64_contents.append(2**60)
    sent = pb.ModelInferResponse(model_name="iris", model_version="3", outputs=[tensor]).SerializeToString()
    assert json.loads(response_json(sent)) == {
        "model_name": "iris",
        "model_version": "3",
        "outputs": [{"name": "y", "shape": [1], "datatype": "INT64", "data": [2**60]}],
    }


@pytest.mark.parametrize(
    "sent",
    [
        message("BYTES", bytes_contents=[b"a", b"\xff"]),
        message("BYTES", struct.pack("<I", 1) + b"a" + struct.pack("<I", 1) + b"\xff"),
    ],
    ids=["typed", "raw"],
)
def test_what_is_no_text_is_in_base64_and_says_so(sent: bytes) -> None:
    (tensor,) = json.loads(request_json(sent))["inputs"]
    assert [base64.b64decode(each) for each in tensor["data"]] == [b"a", b"\xff"]
    assert tensor["parameters"] == {"content_type": "base64"}


def test_which_outputs_were_asked_for() -> None:
    made = pb.ModelInferRequest.FromString(message("FP64", fp64_contents=[0.5, 1.0]))
    made.outputs.add(name="y").parameters["classification"].int64_param = 2
    assert json.loads(request_json(made.SerializeToString()))["outputs"] == [
        {"name": "y", "parameters": {"classification": 2}}
    ]
