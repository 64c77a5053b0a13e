"""V2 over REST: JSON and binary requests, what the answer looks like, and bodies that lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import Signature, Tensors
from server.codec import v2
from server.codec.requested_outputs import RequestedOutput
from server.codec.v2 import DecodedV2Request
from server.errors import InvalidInput
from tests.server.codec import requests
from tests.server.codec.signatures import SIGNATURES, check, decoded, fitting, json_values, one, signatures

pytestmark = pytest.mark.filterwarnings("error")

MATRIX = SIGNATURES["matrix"]


def tensor(data: Any = (1, 2), shape: Any = (1, 2), datatype: Any = "FP64", name: Any = "x", **more: Any) -> Any:
    return {"name": name, "shape": shape, "datatype": datatype, "data": data, **more}


def decode(body: Any, signature: Signature = MATRIX, tail: bytes = b"", length: str | None = None) -> DecodedV2Request:
    head = body if isinstance(body, bytes) else orjson.dumps(body)
    return v2.decode(head + tail, length if length is not None or not tail else str(len(head)), signature)


def binary(size: Any, shape: Any = (1, 2), datatype: str = "FP64", **more: Any) -> Any:
    return {"name": "x", "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}, **more}


@pytest.mark.parametrize("data", [[1, 2, 3, 4], [[1, 2], [3, 4]], [[[1, 2]], [[3, 4]]]])
def test_values_come_flat_or_nested(data: Any) -> None:
    assert decode({"inputs": [tensor(data, [2, 2])]}).inputs["x"].tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_texts_come_flat_or_nested() -> None:
    for data in (["a", "b"], [["a"], ["b"]]):
        call = decode({"inputs": [tensor(data, [2], "BYTES")]}, one("BYTES", -1))
        assert call.inputs["x"].tolist() == ["a", "b"]
    call = decode({"inputs": [tensor([{"b64": "/w=="}], [1], "BYTES")]}, one("BYTES", -1, binary=True))
    assert call.inputs["x"].tolist() == [b"\xff"]


def test_a_tensor_alone_is_refused_by_its_name() -> None:
    with pytest.raises(InvalidInput, match="Inference-Header-Content-Length is 0: a tensor alone"):
        decode(b"\0" * 16, length="0")


def test_null_in_the_columns_of_a_table() -> None:
    inputs = [
        tensor([None], [1], "FP64", "age"),
        tensor([None], [1], "BYTES", "city"),
        tensor([1], [1], "INT8", "count"),
    ]
    call = decode({"inputs": inputs}, SIGNATURES["table"])
    assert np.isnan(call.inputs["age"]).all()
    assert call.inputs["city"].tolist() == [None]


ASKED = {"inputs": [tensor()]}

MISTAKES: list[tuple[Any, str]] = [
    ({"instances": [[1, 2]]}, "this is a body of V1: POST it to /v1/models/NAME:predict"),
    ({**ASKED, "output": []}, "the body: 'output' is unknown, did you mean 'outputs'?"),
    ({**ASKED, "method": "predict"}, "the body: 'method' is unknown"),
    ({**ASKED, "model_version": "2"}, "the body: 'model_version' is not served: the address names the version"),
    ({**ASKED, "parameters": {"binary_data_output": "yes"}}, "parameters.binary_data_output must be true or false"),
    ({**ASKED, "parameters": {"content_type": "base64"}}, "content_type the string 'base64' is one of tensors"),
    ({**ASKED, "parameters": {"sequence_id": 3}}, "parameters: 'sequence_id' is not served"),
    ({"inputs": [tensor(content_type="np")]}, "inputs[0] ('x'): 'content_type' is unknown"),
    (
        {"inputs": [tensor(data=None, parameters={"shared_memory_region": "r", "shared_memory_byte_size": 16})]},
        "inputs[0] ('x').parameters: 'shared_memory_region' is not served: shared memory is neither read nor written",
    ),
    (
        {**ASKED, "outputs": [{"name": "y", "parameters": {"shared_memory_region": "r"}}]},
        "outputs[0].parameters: 'shared_memory_region' is not served",
    ),
    ({**ASKED, "outputs": [{"name": "y"}, {"name": "y"}]}, "outputs: 'y' is asked for twice"),
    ({**ASKED, "outputs": [{"name": "y", "classification": 3}]}, "outputs[0]: 'classification' is unknown"),
    ({}, 'the body has no "inputs"'),
    ({"inputs": None}, '"inputs" must be a list'),
    ({"inputs": {}}, '"inputs" must be a list'),
    ({"inputs": []}, '"inputs" is empty'),
    ({"inputs": [3]}, "inputs[0] must be an object"),
    ({"inputs": [tensor(name=None)]}, "inputs[0] must be an object"),
    ({"inputs": [tensor(name=3)]}, "inputs[0] must be an object"),
    ({"inputs": [tensor(shape=None)]}, "inputs[0] ('x'): shape must be a list of whole numbers"),
    ({"inputs": [tensor(shape=[1.0, 2])]}, "shape must be a list of whole numbers"),
    ({"inputs": [tensor(shape=[True, 2])]}, "shape must be a list of whole numbers"),
    ({"inputs": [tensor(shape=["1", 2])]}, "shape must be a list of whole numbers"),
    ({"inputs": [tensor(shape=[[1], 2])]}, "shape must be a list of whole numbers"),
    ({"inputs": [tensor(shape=[1, 3])]}, "shape [1, 3] does not fit 2 values"),
    ({"inputs": [tensor(shape=[-1, 2])]}, "shape [-1, 2] does not fit 2 values"),
    ({"inputs": [tensor(shape=[2**63, 2**63])]}, "does not fit 2 values"),
    ({"inputs": [tensor([], [0, 2])]}, "'x' holds no rows"),
    ({"inputs": [tensor([], [0, 2**62])]}, "too large for a tensor without values"),
    ({"inputs": [tensor(shape=[1] * 65)]}, "65 dimensions, the limit is 32"),
    ({"inputs": [tensor(datatype="FP65")]}, "datatype the string 'FP65' is unknown; did you mean 'FP64'?"),
    ({"inputs": [tensor(datatype=None)]}, '"datatype" must be a string'),
    ({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64"}]}, "inputs[0] ('x') has no \"data\""),
    ({"inputs": [tensor(data=3)]}, '"data" must be a list'),
    ({"inputs": [tensor(data={"b64": ""})]}, '"data" must be a list'),
    ({"inputs": [tensor(["1", 2])]}, "inputs[0] ('x') data[0] is the string '1', the model takes FP64"),
    ({"inputs": [tensor([None, 2])]}, "inputs[0] ('x') data[0] is null, and the model takes no missing values"),
    ({"inputs": [tensor([[1, 2], [3]], [1, 3])]}, "inputs[0] ('x') data is ragged"),
    ({"inputs": [tensor([[1, 2], 3], [1, 3])]}, "inputs[0] ('x') data is ragged"),
    ({"inputs": [tensor([[1, 2, 3], [4, 5, 6]], [3, 2])]}, "data is nested as [2, 3], but shape says [3, 2]"),
    ({"inputs": [tensor([0.5, 1], datatype="INT32")]}, "inputs[0] ('x') data[0] is 0.5, which is not a valid INT32"),
    ({"inputs": [tensor([300, 1], datatype="UINT8")]}, "data[0] is 300, which is not a valid UINT8"),
    ({"inputs": [tensor([1e39, 1], datatype="FP32")]}, "data[0] is 1e+39, which is not a valid FP32"),
    ({"inputs": [tensor(["a", "b"], datatype="BYTES")]}, "input 'x' takes FP64, but BYTES was sent"),
    ({"inputs": [tensor([["a", "b"], ["c"]], datatype="BYTES", shape=[3])]}, "data is ragged"),
    ({"inputs": [tensor(), tensor()]}, "inputs: 'x' is sent twice"),
    ({"inputs": [tensor(name="y")]}, "input 'y' is unknown; known: 'x'"),
    ({"inputs": [tensor([1, 2, 3], [1, 3])]}, "input 'x': each row holds 3 values, the model takes 2"),
    ({"inputs": [tensor(parameters=3)]}, "parameters must be an object"),
    ({"inputs": [tensor()], "parameters": []}, "parameters must be an object"),
    ({"inputs": [tensor()], "parameters": {"methd": 1}}, "'methd' is unknown, did you mean 'method'?"),
    ({"inputs": [tensor()], "id": 3}, '"id" must be a string, not 3'),
    ({"inputs": [tensor()], "outputs": 3}, '"outputs" must be a list'),
    ({"inputs": [tensor()], "outputs": ["y"]}, 'outputs[0] must be an object with a "name"'),
    ({"inputs": [tensor()], "outputs": [{"name": "y", "parameters": 3}]}, "outputs[0]: parameters must be an object"),
    ({"inputs": [binary(8)]}, "binary_data_size is 8, which does not fit the 0 bytes that follow"),
    ({"inputs": [binary(None)]}, 'has no "data"'),
    ({"inputs": [tensor(name="x" * 100_000, shape=3)]}, "shape must be"),
]


@pytest.mark.parametrize(("body", "says"), MISTAKES, ids=lambda item: str(item)[:60])
def test_a_mistake_is_named(body: Any, says: str) -> None:
    with pytest.raises(InvalidInput) as error:
        decode(body)
    assert says in str(error.value)
    assert len(str(error.value)) < 300


ROW = np.array([1.5, -0.0]).tobytes()

BAD_TAILS: list[tuple[Any, bytes, str]] = [
    ({"inputs": [binary(16)]}, ROW + b"x", "1 bytes follow the last tensor"),
    ({"inputs": [binary(16)]}, ROW[:-1], "binary_data_size is 16, which does not fit the 15 bytes that follow"),
    ({"inputs": [binary(-16)]}, ROW, "binary_data_size is -16"),
    ({"inputs": [binary(2**63)]}, ROW, "binary_data_size is 9223372036854775808"),
    ({"inputs": [binary("16")]}, ROW, "binary_data_size is the string '16'"),
    ({"inputs": [binary(16.0)]}, ROW, "binary_data_size is 16.0"),
    ({"inputs": [binary(True)]}, ROW, "binary_data_size is true"),
    ({"inputs": [binary([[16]])]}, ROW, "binary_data_size is a list"),
    ({"inputs": [binary(15)]}, ROW[1:], "15 bytes are no whole number of FP64 values"),
    ({"inputs": [binary(16, [1, 3])]}, ROW, "shape [1, 3] does not fit 2 values"),
    ({"inputs": [binary(16, data=[1, 2])]}, ROW, 'is sent twice: as "data" and as binary data'),
    ({"inputs": [binary(16, datatype="BYTES")]}, ROW, "a raw BYTES element of"),
    ({"inputs": [tensor()]}, ROW, "16 bytes follow the last tensor"),
    ({"inputs": [binary(16)]}, np.array([np.inf, 1]).tobytes(), "input 'x'[0][0] is infinite"),
]


@pytest.mark.parametrize(("body", "tail", "says"), BAD_TAILS, ids=lambda item: str(item)[:60])
def test_binary_sizes_that_lie_are_told(body: Any, tail: bytes, says: str) -> None:
    with pytest.raises(InvalidInput) as error:
        decode(body, tail=tail)
    assert says in str(error.value)


def test_binary_rows_arrive_bit_for_bit() -> None:
    call = decode({"inputs": [binary(16)]}, tail=ROW)
    assert call.inputs["x"].tobytes() == ROW
    check(call, MATRIX)


@pytest.mark.parametrize("length", ["-1", "", "x", "1.0", "²", "9" * 5000, "9" * 18, " 3", "3\n", "0x10", "1_0"])
def test_a_json_length_that_is_none_is_refused(length: str) -> None:
    with pytest.raises(InvalidInput, match="Inference-Header-Content-Length is"):
        decode({"inputs": [tensor()]}, length=length)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(signatures, st.data())
def test_any_body_is_refused_or_fits(signature: Signature, data: st.DataObject) -> None:
    body = requests.v2_body(data.draw(fitting(signature).filter(bool)))
    for key in data.draw(st.sets(st.sampled_from(["parameters", "outputs", "id", "other"]), max_size=1)):
        body[key] = data.draw(json_values)
    for _ in range(data.draw(st.integers(1, 2))):
        body = data.draw(requests.mutated(body))
    if call := decoded(lambda: decode(body, signature)):
        check(call, signature)


@settings(max_examples=120, deadline=None)
@given(signatures, st.data())
def test_any_tail_is_refused_or_fits(signature: Signature, data: st.DataObject) -> None:
    """Tensors that fit, in a body cut, lengthened, or with other bytes at one place."""
    body, length = requests.v2_binary(data.draw(fitting(signature)))
    cut = data.draw(st.integers(0, len(body)))
    mutated = body[:cut] + data.draw(st.binary(max_size=4)) + body[cut + data.draw(st.integers(0, 8)) :]
    if call := decoded(lambda: v2.decode(mutated, str(length), signature)):
        check(call, signature)


@pytest.mark.parametrize("kind", sorted(SIGNATURES))
@pytest.mark.parametrize("depth", [1000, 100_000])
def test_a_body_nested_deeply_is_refused(kind: str, depth: int) -> None:
    name = SIGNATURES[kind].inputs[0].name.encode()
    nested = b"[" * depth + b"]" * depth
    fields = {b"shape": b"[1]", b"datatype": b'"FP32"', b"data": b"[1]", b"parameters": b"{}", b"name": b'"%s"' % name}
    for field in fields:
        entry = b",".join(b'"%s":%s' % (key, nested if key == field else value) for key, value in fields.items())
        with pytest.raises(InvalidInput):
            v2.decode(b'{"inputs":[{%s}]}' % entry, None, SIGNATURES[kind])
    with pytest.raises(InvalidInput):
        v2.decode(b'{"inputs":%s}' % nested, None, SIGNATURES[kind])


@pytest.mark.parametrize("field", ["id", "outputs", "parameters"])
def test_other_fields_nested_deeply_are_refused(field: str) -> None:
    good = orjson.dumps({"inputs": [tensor()]})
    nested = b"[" * 1000 + b"]" * 1000
    with pytest.raises(InvalidInput):
        decode(b'{"%s":%s,%s' % (field.encode(), nested, good[1:]))
    with pytest.raises(InvalidInput, match="parameters: content_type a list is unknown"):
        decode(b'{"parameters":{"content_type":%s},%s' % (nested, good[1:]))
    assert decode(b'{"parameters":{"headers":%s},%s' % (nested, good[1:])).rows == 1


# answers

OUTPUTS: Tensors = {
    "y": np.array([[0.1, np.nan], [np.inf, -0.0]], dtype=np.float32),
    "label": np.array(["é", "b"], dtype=np.object_),
    "flag": np.array([True, False]),
}


def call(binary: bool = False, **outputs: bool) -> DecodedV2Request:
    return DecodedV2Request({}, 2, {}, "", {name: RequestedOutput(raw) for name, raw in outputs.items()}, binary)


def test_an_answer_in_json() -> None:
    body, length = v2.encode(OUTPUTS, DecodedV2Request({}, 2, {}, "7", {}, binary=False), "m", "3")
    assert length is None
    assert orjson.loads(body) == {
        "model_name": "m",
        "model_version": "3",
        "id": "7",
        "outputs": [
            {"name": "y", "shape": [2, 2], "datatype": "FP32", "data": [float(np.float32(0.1)), None, None, -0.0]},
            {"name": "label", "shape": [2], "datatype": "BYTES", "data": ["é", "b"]},
            {"name": "flag", "shape": [2], "datatype": "BOOL", "data": [True, False]},
        ],
    }


def test_an_answer_without_an_id_gets_one() -> None:
    ids = {orjson.loads(v2.encode(OUTPUTS, call(), "m")[0])["id"] for _ in range(3)}
    assert len(ids) == 3


def test_a_binary_answer() -> None:
    body, length = v2.encode(OUTPUTS, call(binary=True), "m")
    assert length is not None
    outputs = orjson.loads(body[:length])["outputs"]
    assert [output["parameters"]["binary_data_size"] for output in outputs] == [16, 11, 2]
    assert body[length:] == OUTPUTS["y"].tobytes() + b"\2\0\0\0\xc3\xa9\1\0\0\0b" + b"\1\0"
    assert all("data" not in output for output in outputs)


def test_each_output_goes_as_it_was_asked_for() -> None:
    body, length = v2.encode(OUTPUTS, call(flag=True, y=False), "m")
    assert length is not None
    flag, y = orjson.loads(body[:length])["outputs"]
    assert (flag["name"], y["name"]) == ("flag", "y")
    assert len(y["data"]) == 4
    assert body[length:] == b"\1\0"


def test_an_unknown_output_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"outputs: 'lable' is unknown; did you mean 'label'\?"):
        v2.encode(OUTPUTS, call(lable=False), "m")


REQUESTED: list[tuple[dict[str, Any], dict[str, bool], bool]] = [
    ({}, {}, False),
    ({"parameters": {"binary_data_output": True}}, {}, True),
    ({"outputs": [{"name": "y"}]}, {"y": False}, False),
    ({"outputs": [{"name": "y"}], "parameters": {"binary_data_output": True}}, {"y": True}, True),
    ({"outputs": [{"name": "y", "parameters": {"binary_data": True}}, {"name": "z"}]}, {"y": True, "z": False}, False),
]


@pytest.mark.parametrize(("more", "outputs", "binary"), REQUESTED)
def test_requested_outputs(more: dict[str, Any], outputs: dict[str, bool], binary: bool) -> None:
    asked = decode({"inputs": [tensor()], **more})
    assert asked.outputs == {name: RequestedOutput(raw) for name, raw in outputs.items()}
    assert asked.binary is binary
