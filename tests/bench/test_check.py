"""Requests are what a server reads, and answers are compared exactly, whatever they are written in."""

from __future__ import annotations

import struct

import numpy as np
import orjson
import pytest
from kserve import InferRequest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from bench.check import Answer, WrongAnswer, check
from bench.making import Sample
from bench.models import Array, rows
from bench.requests import INPUT, JSON_LENGTH, Protocol, request

NUMBERS: Array = np.array([[0.1, 2.5], [3.0, -4.0], [1e-9, 7.0]])
FLOATS = Sample(NUMBERS, np.array([0.1, 2.5, 1 / 3], dtype=np.float32).tolist(), "float32")
ENTITIES = Sample(np.array(["Ada"], np.object_), [{"entities": [{"text": "Ada", "label": "PERSON"}]}], "")


def v2(output: dict[str, object], raw: bytes = b"") -> Answer:
    head = orjson.dumps({"model_name": "m", "outputs": [{"name": "output-0", **output}]})
    return Answer(head + raw, {JSON_LENGTH.lower(): str(len(head))} if raw else {})


def message(**contents: object) -> Answer:
    raw = contents.pop("raw", None)
    output = pb.ModelInferResponse.InferOutputTensor(name="output-0", **contents)  # type: ignore[arg-type]
    answer = pb.ModelInferResponse(outputs=[output], raw_output_contents=[raw] if raw else [])
    return Answer(answer.SerializeToString(), {})


@pytest.mark.parametrize("inputs", [NUMBERS, NUMBERS.astype(np.float32)])
def test_kserve_reads_the_binary_request(inputs: Array) -> None:
    asked = request(Protocol.V2_BINARY, "m", inputs)
    read = InferRequest.from_bytes(asked.body, int(asked.headers[JSON_LENGTH]), "m")
    np.testing.assert_array_equal(read.inputs[0].as_numpy(), inputs)
    assert read.inputs[0].as_numpy().dtype == inputs.dtype


def test_kserve_reads_the_grpc_request() -> None:
    asked = request(Protocol.GRPC, "m", NUMBERS)
    read = InferRequest.from_grpc(pb.ModelInferRequest.FromString(asked.body))
    np.testing.assert_array_equal(read.inputs[0].as_numpy(), NUMBERS)


def test_texts_travel_behind_their_lengths() -> None:
    asked = request(Protocol.V2_BINARY, "m", np.array(["é", "ab"], np.object_))
    assert asked.body.endswith(struct.pack("<I", 2) + "é".encode() + struct.pack("<I", 2) + b"ab")


def test_json_requests() -> None:
    assert orjson.loads(request(Protocol.V1, "m", NUMBERS).body) == {"instances": NUMBERS.tolist()}
    (tensor,) = orjson.loads(request(Protocol.V2, "m", NUMBERS).body)["inputs"]
    assert tensor == {"name": INPUT, "shape": [3, 2], "datatype": "FP64", "data": NUMBERS.ravel().tolist()}


@pytest.mark.parametrize(
    ("protocol", "answer"),
    [
        (Protocol.V1, Answer(orjson.dumps({"predictions": [0.1, 2.5, 0.33333334]}), {})),
        (Protocol.V1, Answer(orjson.dumps({"predictions": FLOATS.predictions}), {})),
        (Protocol.V2, v2({"datatype": "FP32", "shape": [3], "data": [0.1, 2.5, 0.33333334]})),
        (Protocol.V2_BINARY, v2({"datatype": "FP32", "shape": [3]}, np.float32(FLOATS.predictions).tobytes())),
        (Protocol.GRPC, message(datatype="FP32", shape=[3], raw=np.float32(FLOATS.predictions).tobytes())),
        (Protocol.GRPC, message(datatype="FP32", shape=[3, 1], contents={"fp32_contents": FLOATS.predictions})),
    ],
)
def test_equal_numbers_pass(protocol: Protocol, answer: Answer) -> None:
    check(protocol, answer, FLOATS)


@pytest.mark.parametrize(
    "predictions",
    [[0.1, 2.5, 0.3333], [0.1, 2.5], [0.1, 2.5, 0.33333334, 0], [2.5, 0.1, 0.33333334], [0.1, 2.5, "x"], [], None],
)
def test_other_numbers_fail(predictions: object) -> None:
    with pytest.raises(WrongAnswer):
        check(Protocol.V1, Answer(orjson.dumps({"predictions": predictions}), {}), FLOATS)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"outputs": []}', b"\xff"])
@pytest.mark.parametrize("protocol", [Protocol.V1, Protocol.V2, Protocol.V2_BINARY, Protocol.GRPC])
def test_an_answer_that_is_none_fails(protocol: Protocol, body: bytes) -> None:
    with pytest.raises(WrongAnswer):
        check(protocol, Answer(body, {}), FLOATS)


def test_objects_are_compared_on_both_protocols() -> None:
    entities = orjson.dumps(ENTITIES.predictions[0]["entities"])
    check(Protocol.V1, Answer(orjson.dumps({"predictions": ENTITIES.predictions}), {}), ENTITIES)
    check(Protocol.V2, v2({"datatype": "BYTES", "shape": [1], "data": [entities.decode()]}), ENTITIES)
    raw = struct.pack("<I", len(entities)) + entities
    check(Protocol.GRPC, message(datatype="BYTES", shape=[1], raw=raw), ENTITIES)
    with pytest.raises(WrongAnswer):
        check(Protocol.V1, Answer(orjson.dumps({"predictions": [{"entities": []}]}), {}), ENTITIES)


def test_rows_repeat_the_data_in_one_order() -> None:
    data = np.arange(5)
    assert sorted(rows(data, 5).tolist()) == [0, 1, 2, 3, 4]
    assert rows(data, 12).tolist() == [*rows(data, 5), *rows(data, 5), *rows(data, 2)]
