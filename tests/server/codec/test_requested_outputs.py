"""What becomes of the outputs that a request names: classification, content types, raw or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from adapters.base import Tensors
from adapters.shared.arrays import array_of
from server.codec import grpc_messages, v1, v2
from server.codec.requested_outputs import RequestedOutput, read_output, select
from server.errors import InvalidInput
from tests.server.codec.signatures import SIGNATURES, one

OUTPUTS: Tensors = {
    "y": np.array([[0.25, 0.5, 0.25], [-1.5, np.nan, np.inf]], dtype=np.float32),
    "count": np.array([[1, 5, 10, 4], [2**53 + 1, 2**53, 0, -1]]),
    "one": np.array([0.5, 2.0]),
    "text": np.array(["a", "b"], dtype=np.object_),
}


def over_rest(name: str, **parameters: Any) -> dict[str, Any]:
    """The answer's only output."""
    tensor = {"name": "x", "shape": [2, 2], "datatype": "FP64", "data": [1, 2, 3, 4]}
    body = {"inputs": [tensor], "outputs": [{"name": name, "parameters": parameters}]}
    call = v2.decode(orjson.dumps(body), None, SIGNATURES["matrix"])
    (output,) = orjson.loads(v2.encode(OUTPUTS, call, "m")[0])["outputs"]
    return {key: output[key] for key in ("datatype", "shape", "data")}


def over_grpc(name: str, **parameters: Any) -> dict[str, Any]:
    message = pb.ModelInferRequest()
    message.inputs.add(name="x", shape=[2, 2], datatype="FP64").contents.fp64_contents.extend([1, 2, 3, 4])
    asked = message.outputs.add(name=name)
    for key, value in parameters.items():
        field = {bool: "bool_param", int: "int64_param", str: "string_param"}[type(value)]
        setattr(asked.parameters[key], field, value)
    call = grpc_messages.decode(message, SIGNATURES["matrix"])
    (output,) = grpc_messages.encode(OUTPUTS, call, "m").outputs
    data = [each.decode() for each in output.contents.bytes_contents]
    return {"datatype": output.datatype, "shape": list(output.shape), "data": data}


ways = pytest.mark.parametrize("ask", [over_rest, over_grpc])


@ways
def test_classification_gives_the_largest_values_and_where_they_are(ask: Any) -> None:
    two = {"datatype": "BYTES", "shape": [2, 2]}
    assert ask("y", classification=2) == {**two, "data": ["0.500000:1", "0.250000:0", "inf:2", "-1.500000:0"]}
    assert ask("count", classification=2) == {**two, "data": ["10:2", "5:1", f"{2**53 + 1}:0", f"{2**53}:1"]}
    assert ask("one", classification=2) == {"datatype": "BYTES", "shape": [2, 1], "data": ["0.500000:0", "2.000000:0"]}
    assert ask("y", classification=100)["shape"] == [2, 3]


def test_an_output_without_rows_is_classified_as_a_whole() -> None:
    (answer,) = select({"y": np.array([[1, 3], [2, 0]])}, {"y": RequestedOutput(False, 3)}, batched=False).values()
    assert answer.tolist() == ["3:1", "2:2", "1:0"]


def test_classes_are_told_by_name_as_far_as_they_have_names() -> None:
    asked = RequestedOutput(False, 3, labels=("cat", "dog"))
    (answer,) = select({"y": np.array([[1, 3, 2], [3, 0, 1]])}, {"y": asked}, batched=True).values()
    assert answer.tolist() == [["3:1:dog", "2:2", "1:0:cat"], ["3:0:cat", "1:2", "0:1:dog"]]


@given(arrays.arrays(st.sampled_from([np.float32, np.int8, np.uint64]), (3, 5)), st.integers(1, 6))
def test_classes_are_sorted_and_the_first_of_equals_comes_first(values: Any, count: int) -> None:
    (answer,) = select({"y": values}, {"y": RequestedOutput(False, count)}, batched=True).values()
    plain = np.where(np.isnan(values), -np.inf, values).tolist() if values.dtype.kind == "f" else values.tolist()
    for row, texts in zip(plain, answer.tolist(), strict=True):
        order = sorted(range(5), key=lambda index: (-row[index], index))[:count]
        assert [int(text.split(":")[1]) for text in texts] == order


def test_classification_goes_raw_where_it_is_asked_for_raw() -> None:
    call = v2.DecodedV2Request({}, 2, {}, "", {"one": RequestedOutput(True, 1)}, binary=False)
    body, length = v2.encode(OUTPUTS, call, "m")
    assert body[length:] == b"\x0a\0\0\x000.500000:0\x0a\0\0\x002.000000:0"


@ways
def test_the_content_type_of_an_output(ask: Any) -> None:
    assert ask("text", content_type="base64")["data"] == ["YQ==", "Yg=="]
    assert ask("text", content_type="str")["data"] == ["a", "b"]
    assert ask("one", content_type="np")["datatype"] == "FP64"
    with pytest.raises(InvalidInput, match="output 'one' holds numbers, and content_type 'str' is one of texts"):
        ask("one", content_type="str")
    with pytest.raises(InvalidInput, match=r"outputs\[0\]: content_type the string 'hg_jpeg' is unknown"):
        ask("text", content_type="hg_jpeg")


@ways
def test_what_cannot_be_classified_is_refused(ask: Any) -> None:
    with pytest.raises(InvalidInput, match="output 'text' holds no numbers to classify"):
        ask("text", classification=1)
    for wrong in (-1, "3", True):
        with pytest.raises(InvalidInput, match=r"outputs\[0\].parameters.classification must be how many classes"):
            ask("y", classification=wrong)


@ways
@pytest.mark.parametrize("name", ["shared_memory_region", "shared_memory_byte_size", "shared_memory_offset"])
def test_shared_memory_is_refused_by_its_name(ask: Any, name: str) -> None:
    with pytest.raises(InvalidInput, match=rf"outputs\[0\].parameters: '{name}' is not served: shared memory"):
        ask("y", **{name: 1})


def test_shared_memory_of_an_input_over_grpc() -> None:
    message = pb.ModelInferRequest()
    for name in ("x", "z"):
        message.inputs.add(name=name, shape=[1], datatype="FP64")
    message.inputs[1].parameters["shared_memory_region"].string_param = "region"
    message.raw_input_contents.append(b"\0" * 8)
    with pytest.raises(InvalidInput, match=r"inputs\[1\] \('z'\).parameters: 'shared_memory_region' is not served"):
        grpc_messages.decode(message, one("FP64", -1))


def test_outputs_over_grpc_go_all_alike() -> None:
    message = pb.ModelInferRequest()
    message.inputs.add(name="x", shape=[1, 2], datatype="FP64").contents.fp64_contents.extend([1, 2])
    message.outputs.add(name="y").parameters["binary_data"].bool_param = True
    assert grpc_messages.decode(message, SIGNATURES["matrix"]).binary
    message.outputs.add(name="z").parameters["binary_data"].bool_param = False
    with pytest.raises(InvalidInput, match="over gRPC outputs go raw or typed, all alike"):
        grpc_messages.decode(message, SIGNATURES["matrix"])


def test_binary_data_is_true_or_false() -> None:
    assert read_output({"binary_data": True}, False, "outputs[0]") == RequestedOutput(True)
    with pytest.raises(InvalidInput, match=r"outputs\[0\].parameters.binary_data must be true or false, not 1"):
        read_output({"binary_data": 1}, False, "outputs[0]")


ROWS = array_of([np.array([[0, 3]]), np.array([[1, 2]]), np.array([[4, 5, 6]])])


def test_rows_of_one_shape_are_one_tensor_and_others_a_text_each() -> None:
    """Whoever shared a model's call with the request: only its own rows count."""
    alike = select({"y": ROWS[:2]}, {}, True)["y"]
    assert (alike.dtype, alike.tolist()) == (np.int64, [[[0, 3]], [[1, 2]]])
    assert select({"y": ROWS[2:]}, {"y": RequestedOutput(False)}, True)["y"].tolist() == [[[4, 5, 6]]]
    tensor = {"name": "x", "shape": [3, 2], "datatype": "FP64", "data": [1, 2, 3, 4, 5, 6]}
    call = v2.decode(orjson.dumps({"inputs": [tensor]}), None, SIGNATURES["matrix"])
    (output,) = orjson.loads(v2.encode({"y": ROWS}, call, "m")[0])["outputs"]
    assert output == {"name": "y", "shape": [3], "datatype": "BYTES", "data": ["[[0,3]]", "[[1,2]]", "[[4,5,6]]"]}
    assert orjson.loads(v1.encode({"y": ROWS}, SIGNATURES["matrix"])) == {
        "predictions": [[[0, 3]], [[1, 2]], [[4, 5, 6]]]
    }
