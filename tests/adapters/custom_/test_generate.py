"""Triton's generate extension: fields to tensors, items to flat documents; and items to messages of gRPC."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import orjson
import pydantic
import pytest
from kserve import InferOutput, InferRequest, InferResponse
from kserve.protocol.grpc.grpc_predict_v2_pb2 import ModelInferResponse

from adapters.base import InvalidInput, TensorSpec
from adapters.custom_.generate import Form

HEAD = {"model_name": "m", "model_version": "1"}
FREE = Form("m", "1")


def form(*inputs: TensorSpec, outputs: tuple[TensorSpec, ...] = ()) -> Form:
    return Form("m", "1", inputs, outputs)


def request(fields: Any, model: Form = FREE) -> InferRequest:
    made = model.request(fields if isinstance(fields, bytes) else orjson.dumps(fields))
    assert isinstance(made, InferRequest)
    return made


@pytest.mark.parametrize(
    ("value", "datatype", "shape", "data"),
    [
        ("a", "BYTES", [1], ["a"]),
        (True, "BOOL", [1], [True]),
        (3, "INT64", [1], [3]),
        (3.5, "FP64", [1], [3.5]),
        (["a", "b"], "BYTES", [2], ["a", "b"]),
        ([1, 2.5], "FP64", [2], [1, 2.5]),
        ([True, False], "BOOL", [2], [True, False]),
        ([[1, 2, 3], [4, 5, 6]], "INT64", [2, 3], [1, 2, 3, 4, 5, 6]),
    ],
)
def test_fields_become_tensors(value: Any, datatype: str, shape: list[int], data: list[Any]) -> None:
    made = request({"id": "7", "x": value, "parameters": {"temperature": 0.5}})
    (tensor,) = made.inputs
    assert (tensor.name, tensor.datatype, tensor.shape, tensor.data) == ("x", datatype, shape, data)
    assert (made.id, made.parameters, made.model_name) == ("7", {"temperature": 0.5}, "m")
    assert tensor.as_numpy().tolist() == np.reshape(np.array(data, object), shape).tolist()


@pytest.mark.parametrize(
    ("datatype", "declared", "value", "shape"),
    [
        ("INT32", (1,), 3, [1]),
        ("FP32", (-1, 1), 3, [1, 1]),
        ("FP32", (-1, 4), list(range(8)), [2, 4]),
        ("BYTES", (-1, -1), ["a", "b"], [1, 2]),
        ("BYTES", (1, 1), "a", [1, 1]),
        ("FP64", (2, -1), [[1, 2], [3, 4]], [2, 2]),
        ("UINT8", (-1,), [255, 0], [2]),
        ("FP64", (-1,), [], [0]),
    ],
)
def test_what_the_model_declares_wins(datatype: str, declared: tuple[int, ...], value: Any, shape: list[int]) -> None:
    (tensor,) = request({"x": value}, form(TensorSpec("x", datatype, declared))).inputs
    assert (tensor.datatype, tensor.shape) == (datatype, shape)
    assert tensor.as_numpy().shape == tuple(shape)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (b"{", "Unrecognized request format"),
        ([1], "must be a JSON object"),
        ({"id": 3}, "id must be text"),
        ({"parameters": 3}, "parameters must be an object"),
        ({"x": {"a": 1}}, "x must be a text"),
        ({"x": None}, "x must be a text"),
        ({"x": []}, "x must be a text"),
        ({"x": [1, "a"]}, "x must be a text"),
        ({"x": [[1], [2, 3]]}, "x: its lists are not of one length"),
        ({"x": [[1], 2]}, "x: its lists are not of one length"),
        ({"x": 2**63}, "x: a number is out of the range of INT64"),
        ({"n": 1.5}, "n: the model declares INT32"),
        ({"n": "a"}, "n: the model declares INT32"),
        ({"n": True}, "n: the model declares INT32"),
        ({"n": 2**31}, "n: a number is out of the range of INT32"),
        ({"n": [1, 2, 3]}, r"n: 3 values do not fit the shape \[2\]"),
    ],
    ids=str,
)
def test_what_is_no_request(fields: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        request(fields, form(TensorSpec("n", "INT32", (2,))))


class Point(pydantic.BaseModel):
    x: int
    y: float


def response(*outputs: InferOutput, **more: Any) -> InferResponse:
    return InferResponse(more.pop("id", None), "m", list(outputs), **more)


GRPC = InferResponse("3", "m", [InferOutput("y", [1], "BYTES", ["a"])])

ITEMS: list[tuple[Any, dict[str, Any]]] = [
    ("a", {"text_output": "a"}),
    (b"a", {"text_output": "a"}),
    (3, {"text_output": 3}),
    (None, {"text_output": None}),
    (np.float32(0.5), {"text_output": 0.5}),
    ([1, 2], {"text_output": [1, 2]}),
    (np.arange(3), {"text_output": [0, 1, 2]}),
    ({"token": "a", "p": np.float64(0.5)}, {"token": "a", "p": 0.5}),
    (Point(x=1, y=2), {"x": 1, "y": 2.0}),
    (response(InferOutput("y", [1], "FP32", [0.5])), {"y": 0.5}),
    (
        response(InferOutput("y", [1, 2], "INT64", [1, 2]), InferOutput("t", [1], "BYTES", ["a"])),
        {"y": [1, 2], "t": "a"},
    ),
    (response(InferOutput("y", [1], "BYTES", [b"a"]), model_version="4"), {"model_version": "4", "y": "a"}),
    (response(InferOutput("y", [1], "BOOL", [True]), parameters={"final": True}), {"final": True, "y": True}),
    ({"outputs": [{"name": "y", "shape": [2], "datatype": "FP32", "data": [1, 2]}]}, {"y": [1.0, 2.0]}),
    (
        {"outputs": [{"name": "y", "shape": [1], "datatype": "FP32", "contents": {"fp32_contents": [2]}}]},
        {"y": 2.0},
    ),
]


@pytest.mark.parametrize(("item", "fields"), ITEMS, ids=lambda value: str(value)[:30])
def test_an_item_is_a_flat_document(item: Any, fields: dict[str, Any]) -> None:
    assert orjson.loads(FREE.document(item, SimpleNamespace(id="9"))) == {"id": "9", **HEAD, **fields}
    assert "id" not in orjson.loads(FREE.document(item, SimpleNamespace(id=None)))


def test_a_raw_tensor_is_flat_as_well() -> None:
    output = InferOutput("y", [2], "FP32")
    output.set_data_from_numpy(np.array([1, 2], np.float32), binary_data=True)
    assert orjson.loads(FREE.document(response(output), SimpleNamespace(id=None)))["y"] == [1.0, 2.0]


def test_a_single_declared_output_names_a_value() -> None:
    model = form(outputs=(TensorSpec("words", "INT32", (1,)),))
    assert orjson.loads(model.document(3, SimpleNamespace(id=None))) == {**HEAD, "words": 3}
    message = ModelInferResponse.FromString(model.message(3, SimpleNamespace(id="9")))
    (output,) = message.outputs
    assert (output.name, output.datatype, output.shape) == ("words", "INT32", [1])
    assert output.contents.int_contents == [3]


@pytest.mark.parametrize(("item", "fields"), ITEMS, ids=lambda value: str(value)[:30])
def test_an_item_is_a_message(item: Any, fields: dict[str, Any]) -> None:
    message = ModelInferResponse.FromString(FREE.message(item, SimpleNamespace(id="9")))
    assert (message.id, message.model_name) == ("9", "m")
    found = {output.name: output.as_numpy() for output in InferResponse.from_grpc(message).outputs}
    tensors = {name: value for name, value in fields.items() if name not in ("model_version", "final")}
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        array = found[name].ravel()
        expected = ["null" if each is None else each for each in np.ravel(np.array(value, object))]
        assert [each.decode() if isinstance(each, bytes) else each for each in array.tolist()] == expected


def test_what_is_no_tensor_is_json_text() -> None:
    message = ModelInferResponse.FromString(FREE.message({"found": [{"label": "ORG"}, "a"]}, SimpleNamespace(id="")))
    assert message.outputs[0].contents.bytes_contents == [b'{"label":"ORG"}', b"a"]


def test_who_sends_raw_tensors_gets_raw_ones() -> None:
    message = ModelInferResponse.FromString(FREE.message("word", SimpleNamespace(id="9"), raw=True))
    assert message.raw_output_contents == [b"\x04\0\0\0word"]
    assert not message.outputs[0].HasField("contents")
