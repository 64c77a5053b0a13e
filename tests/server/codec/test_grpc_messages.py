"""V2 over gRPC: typed and raw tensors, and messages that contradict themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from adapters.base import Signature, Tensors
from adapters.datatypes import NUMPY_OF
from server.codec import grpc_messages
from server.codec.grpc_messages import CONTENTS, check_fields
from server.codec.raw_tensors import to_bytes
from server.errors import InvalidInput
from tests.server.codec import requests
from tests.server.codec.signatures import SIGNATURES, check, decoded, fitting, one, signatures

pytestmark = pytest.mark.filterwarnings("error")

MATRIX = SIGNATURES["matrix"]


def tensor(values: Any = (), shape: Any = (), datatype: str = "FP64", name: str = "x", contents: str = "") -> Any:
    entry = pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)
    if contents or datatype in CONTENTS:
        getattr(entry.contents, contents or CONTENTS[datatype]).extend(values)
    return entry


def request(*inputs: Any, raw: Any = (), **more: Any) -> Any:
    return pb.ModelInferRequest(inputs=inputs, raw_input_contents=raw, **more)


def bare(shape: Any, datatype: str = "FP64", name: str = "x") -> Any:
    return pb.ModelInferRequest.InferInputTensor(name=name, datatype=datatype, shape=shape)


EXTREMES: dict[str, list[Any]] = {
    "BOOL": [True, False],
    "INT8": [-128, 127],
    "INT16": [-(2**15), 2**15 - 1],
    "INT32": [-(2**31), 2**31 - 1],
    "INT64": [-(2**63), 2**63 - 1],
    "UINT8": [0, 255],
    "UINT16": [0, 65535],
    "UINT32": [0, 2**32 - 1],
    "UINT64": [0, 2**64 - 1],
    "FP32": [-0.0, 3.4028234663852886e38],
    "FP64": [-0.0, 1.7976931348623157e308],
    "BYTES": [b"", b"\0a\0"],
}


@pytest.mark.parametrize("datatype", CONTENTS)
def test_typed_values_arrive_exactly(datatype: str) -> None:
    call = grpc_messages.decode(request(tensor(EXTREMES[datatype], [2], datatype)), one(datatype, -1, binary=True))
    check(call, one(datatype, -1, binary=True))
    assert str(call.inputs["x"].tolist()) == str(EXTREMES[datatype])
    assert not call.binary


@pytest.mark.parametrize("datatype", NUMPY_OF)
def test_raw_values_arrive_exactly(datatype: str) -> None:
    values = np.array(EXTREMES.get(datatype, [-0.0, 65504]), dtype=NUMPY_OF[datatype])
    call = grpc_messages.decode(
        request(bare([2], datatype), raw=[to_bytes(values, datatype)]), one(datatype, -1, binary=True)
    )
    check(call, one(datatype, -1, binary=True))
    assert str(call.inputs["x"].tolist()) == str(values.tolist())
    assert call.binary


MISTAKES: list[tuple[Any, str]] = [
    (request(), '"inputs" is empty'),
    (request(raw=[b""]), "0 inputs, but 1 raw_input_contents"),
    (request(bare([1, 2]), bare([1, 2], name="y"), raw=[b""]), "2 inputs, but 1 raw_input_contents"),
    (request(tensor([1, 2], [1, 2]), raw=[b"\0" * 16]), "inputs[0] ('x') is sent twice"),
    (request(bare([1, 2]), raw=[b"\0" * 15]), "15 bytes are no whole number of FP64 values"),
    (request(bare([2, 2]), raw=[b"\0" * 16]), "shape [2, 2] does not fit 2 values"),
    (request(bare([-1, -2]), raw=[b"\0" * 16]), "shape [-1, -2] does not fit 2 values"),
    (request(bare([2**62, 0]), raw=[b""]), "too large for a tensor without values"),
    (request(bare([1, 2])), "shape [1, 2] does not fit 0 values"),
    (request(bare([0, 2])), "'x' holds no rows"),
    (request(bare([1] * 40), raw=[b"\0" * 8]), "40 dimensions, the limit is 32"),
    (request(tensor([1, 2], [1, 2], "FP16", contents="fp32_contents")), "FP16 has no typed contents, send raw"),
    (request(tensor([1, 2], [1, 2], contents="fp32_contents")), "FP64 goes in fp64_contents, not fp32_contents"),
    (request(tensor([300, 2], [1, 2], "INT8")), "inputs[0] ('x'): a value is not a valid INT8"),
    (request(tensor([256, 2], [1, 2], "UINT8")), "inputs[0] ('x'): a value is not a valid UINT8"),
    (request(tensor([1, 2], [1, 2], "FP65", contents="fp64_contents")), "datatype the string 'FP65' is unknown"),
    (request(tensor([1, 2], [1, 2], "", contents="fp64_contents")), "datatype the string '' is unknown"),
    (request(tensor([1, np.nan], [1, 2])), "input 'x'[0][1] is a missing value (NaN)"),
    (request(tensor([1, 2, 3], [1, 3])), "input 'x': each row holds 3 values, the model takes 2"),
    (request(tensor([b"a", b"b"], [1, 2], "BYTES")), "input 'x' takes FP64, but BYTES was sent"),
    (request(tensor([1, 2], [1, 2]), tensor([1, 2], [1, 2])), "inputs: 'x' is sent twice"),
    (request(tensor([1, 2], [1, 2], name="n" * 10_000)), "is unknown; known: 'x'"),
    (
        request(tensor([1, 2], [1, 2]), parameters={"threshold": pb.InferParameter()}),
        "parameters.threshold has no value: send bool_param, int64_param or string_param",
    ),
    (
        request(tensor([1, 2], [1, 2]), parameters={"method": pb.InferParameter(int64_param=1)}),
        "parameters.method must be a string, not 1",
    ),
]


@pytest.mark.parametrize(("message", "says"), MISTAKES, ids=lambda item: str(item)[:40])
def test_a_mistake_is_named(message: Any, says: str) -> None:
    with pytest.raises(InvalidInput) as error:
        grpc_messages.decode(message, MATRIX)
    assert says in str(error.value)
    assert len(str(error.value)) < 300


def test_parameters_of_every_kind() -> None:
    parameters = {
        "method": pb.InferParameter(string_param="predict"),
        "threshold": pb.InferParameter(int64_param=2),
        "top_k": pb.InferParameter(int64_param=3),
        "offsets": pb.InferParameter(bool_param=False),
        "trace_id": pb.InferParameter(),
    }
    call = grpc_messages.decode(request(tensor([1, 2], [1, 2]), parameters=parameters, id="7"), MATRIX)
    assert call.parameters == {"method": "predict", "threshold": 2.0, "top_k": 3, "offsets": False}
    assert call.id == "7"


@settings(max_examples=200, deadline=None)
@given(signatures, st.data())
def test_any_message_is_refused_or_fits(signature: Signature, data: st.DataObject) -> None:
    """Messages that fit but for a field or two."""
    tensors = data.draw(fitting(signature))
    message = (requests.grpc_raw if any_half(tensors) or data.draw(st.booleans()) else requests.grpc_typed)(tensors)
    for entry in message.inputs:
        for change in data.draw(st.sets(st.sampled_from(["name", "shape", "datatype", "contents"]), max_size=1)):
            entry.ClearField(change)
            other = bare([data.draw(st.integers(-1, 4))], data.draw(st.sampled_from(sorted(NUMPY_OF))), "a")
            if change == "contents":
                entry.contents.int64_contents.append(data.draw(st.integers(-3, 300)))
            elif data.draw(st.booleans()):
                entry.MergeFrom(other)
    if message.raw_input_contents and data.draw(st.booleans()):
        message.raw_input_contents[-1] += data.draw(st.binary(max_size=8))
    if call := decoded(lambda: grpc_messages.decode(message, signature)):
        check(call, signature)


def any_half(tensors: Tensors) -> bool:
    return any(array.dtype == np.float16 for array in tensors.values())


OUTPUTS: Tensors = {
    "y": np.asfortranarray([[0.1, np.nan], [np.inf, -0.0]], dtype=np.float32),
    "label": np.array(["é", {"a": 1}], dtype=np.object_),
    "small": np.array([-1, 2], dtype=np.int8),
}


def answer(outputs: Tensors, raw: bool, *requested: str) -> Any:
    asked = [pb.ModelInferRequest.InferRequestedOutputTensor(name=name) for name in requested]
    sent = (
        request(bare([1, 2]), raw=[b"\0" * 16], outputs=asked)
        if raw
        else request(tensor([1, 2], [1, 2]), outputs=asked)
    )
    return grpc_messages.encode(outputs, grpc_messages.decode(sent, MATRIX), "m", "3")


def test_a_typed_answer() -> None:
    response = answer(OUTPUTS, raw=False)
    assert (response.model_name, response.model_version) == ("m", "3")
    y, label, small = response.outputs
    assert (y.datatype, list(y.shape)) == ("FP32", [2, 2])
    np.testing.assert_array_equal(list(y.contents.fp32_contents), OUTPUTS["y"].ravel().tolist())
    assert list(label.contents.bytes_contents) == ["é".encode(), b'{"a":1}']
    assert list(small.contents.int_contents) == [-1, 2]
    assert not response.raw_output_contents


def test_a_raw_answer() -> None:
    response = answer(OUTPUTS, raw=True)
    y, label, small = response.raw_output_contents
    assert y == np.ascontiguousarray(OUTPUTS["y"]).tobytes()
    assert label == b'\2\0\0\0\xc3\xa9\7\0\0\0{"a":1}'
    assert small == b"\xff\2"


def test_half_precision_answers_are_raw() -> None:
    response = answer({"y": np.array([0.5], dtype=np.float16)}, raw=False)
    assert response.raw_output_contents[0] == np.array([0.5], dtype="<f2").tobytes()


def test_requested_outputs_come_alone_and_in_order() -> None:
    response = answer(OUTPUTS, False, "small", "y")
    assert [output.name for output in response.outputs] == ["small", "y"]
    with pytest.raises(InvalidInput, match="outputs: 'z' is unknown"):
        answer(OUTPUTS, False, "z")


#: two bytes each: an input, an output, a parameter, raw contents; parameters within an input
FIELDS = {"inputs": b"\x2a\0", "outputs": b"\x32\0", "parameters": b"\x22\0", "raw_input_contents": b"\x3a\0"}


@pytest.mark.slow
@pytest.mark.parametrize("name", FIELDS)
def test_a_message_of_more_fields_than_anybody_needs_is_refused_before_it_is_read(name: str) -> None:
    assert name in pb.ModelInferRequest.DESCRIPTOR.fields_by_name
    assert pb.ModelInferRequest.DESCRIPTOR.fields_by_name[name].number == FIELDS[name][0] >> 3
    with pytest.raises(InvalidInput, match="the message has more than 100000 tensors, parameters and other fields"):
        check_fields(FIELDS[name] * 100_001)
    check_fields(FIELDS[name] * 100_000)


def test_fields_within_a_tensor_count_and_elements_do_not() -> None:
    within = b"\x22\0" * 100_000
    length = len(within)
    varint = bytes([(length & 127) | 128, (length >> 7 & 127) | 128, length >> 14])
    with pytest.raises(InvalidInput, match="more than 100000"):
        check_fields(b"\x2a" + varint + within)
    sound = request(tensor([b""] * 300_000, [300_000], "BYTES"))
    check_fields(sound.SerializeToString())
    check_fields(b"\xff" * 100_000)  # no message at all: protobuf says so
