"""Inputs whose elements are JSON values: V1 and V2 give the model the same."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import orjson
import pytest

from adapters.base import Signature, TensorSpec
from server.codec import json_values, v1, v2
from server.codec.decoded_request import DecodedRequest
from server.errors import InvalidInput

SPEC = TensorSpec("data", "BYTES", (-1,), nullable=True, binary=True, json=True)
SIGNATURE = Signature((SPEC,), (TensorSpec("out", "BYTES", (-1,), json=True),), any_name=True)


def decoded(*instances: Any) -> list[Any]:
    call = v1.decode(orjson.dumps({"instances": instances}), SIGNATURE)
    assert call.rows == len(instances)
    elements: list[Any] = call.inputs["data"].tolist()
    return elements


@pytest.mark.parametrize("value", [1, 2.5, True, None, "text", [1, [2]], [], {}, {"a": {"b": [None]}}, {"data": 3}])
def test_any_value_is_an_instance(value: Any) -> None:
    assert decoded(value, value) == [value, value]


def test_instances_need_not_be_alike() -> None:
    values = [[1, 2], [3], "x", {"a": 1}]
    assert decoded(*values) == values


def test_base64_becomes_bytes_wherever_it_stands() -> None:
    b64 = {"b64": base64.b64encode(b"\xff\x00").decode()}
    assert decoded(b64, {"data": b64}, [[b64], 1]) == [b"\xff\x00", {"data": b"\xff\x00"}, [[b"\xff\x00"], 1]]
    assert decoded({"b64": 1}, {"b64": "AA==", "x": 1}) == [{"b64": 1}, {"b64": "AA==", "x": 1}]
    with pytest.raises(InvalidInput, match=r"instances\[1\]\.?.*b64 does not decode"):
        decoded(1, {"data": {"b64": "?"}})


def test_deep_nesting_is_not_looked_into() -> None:
    body = b'{"instances": [' + b"[" * 900 + b"]" * 900 + b"]}"
    assert v1.decode(body, SIGNATURE).rows == 1


def binary(*elements: bytes) -> DecodedRequest:
    raw = b"".join(len(element).to_bytes(4, "little") + element for element in elements)
    tensor = {
        "name": "x",
        "shape": [len(elements)],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": len(raw)},
    }
    head = orjson.dumps({"inputs": [tensor]})
    return v2.decode(head + raw, str(len(head)), SIGNATURE)


def test_v2_elements_are_json_text_or_bytes() -> None:
    assert binary(b'{"a": [1]}', b"[2]", b"plain", b"\xff", b"{no", b"7").inputs["data"].tolist() == [
        {"a": [1]}, [2], "plain", b"\xff", "{no", "7",
    ]  # fmt: skip


def test_v2_numbers_are_a_list_a_row() -> None:
    tensor = {"name": "x", "shape": [2, 2], "datatype": "INT64", "data": [1, 2, 3, 4]}
    call = v2.decode(orjson.dumps({"inputs": [tensor]}), None, SIGNATURE)
    assert call.inputs["data"].tolist() == [[1, 2], [3, 4]]


def test_merged_requests_keep_their_elements() -> None:
    one, two = (v1.decode(orjson.dumps({"instances": each}), SIGNATURE) for each in ([[1, 2]], [[3], "x"]))
    merged = np.concatenate([one.inputs["data"], two.inputs["data"]])
    assert merged.tolist() == [[1, 2], [3], "x"]


@pytest.mark.parametrize("value", [None, 3, "text", {"a": 1}])
def test_values_come_as_a_list(value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"^instances is .*, but must be a list with one entry an instance"):
        json_values.from_values(value, "instances")


def test_a_tensor_of_texts_is_read_where_it_looks_like_json() -> None:
    elements = np.array([b'{"a": 1}', "[1, 2]", "{no", b"\xff", b"text"], dtype=np.object_)
    assert json_values.from_tensor(elements).tolist() == [{"a": 1}, [1, 2], "{no", b"\xff", "text"]
    assert json_values.from_tensor(elements[:4].reshape(2, 2)).shape == (2, 2)


def test_of_a_tensor_of_numbers_each_row_is_a_list() -> None:
    assert json_values.from_tensor(np.array([[1, 2], [3, 4]])).tolist() == [[1, 2], [3, 4]]
    assert json_values.from_tensor(np.array([[1, 2], [3, 4]])).shape == (2,)
    assert json_values.from_tensor(np.array(3)).shape == ()


@pytest.mark.parametrize(
    ("value", "text"), [({"b64": "AA=="}, "AA=="), ({"b64": 1}, None), ({"b64": "AA==", "x": 1}, None), ("AA==", None)]
)
def test_what_stands_for_bytes(value: Any, text: str | None) -> None:
    assert json_values.base64_text(value) == text
