"""Values of any type, as they are sent: V1, V2 and what the array holds."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from adapters.base import Array
from server.codec import v1, v2
from server.codec.any_values import from_json, texts_of
from server.codec.fast.json_rows import v1_decoder, v2_decoder
from server.errors import InvalidInput
from tests.server.codec.signatures import SIGNATURES

TABLE, MATRIX = SIGNATURES["any type"], SIGNATURES["matrix of any type"]
WIDE = 2**53 + 1


@pytest.mark.parametrize(
    ("values", "dtype", "held"),
    [
        ([1, 2], "int64", [1, 2]),
        ([WIDE, -WIDE], "int64", [WIDE, -WIDE]),
        ([2**64 - 1, 1], "object", [2**64 - 1, 1]),
        ([1, 2.5], "float64", [1.0, 2.5]),
        ([1, None], "float64", [1.0, math.nan]),
        ([WIDE, 2.5], "object", [WIDE, 2.5]),
        ([WIDE, None], "object", [WIDE, None]),
        ([True, False], "bool", [True, False]),
        ([True, None], "object", [True, None]),
        ([True, 1], "object", [True, 1]),
        (["a", "b"], "object", ["a", "b"]),
        (["a", None], "object", ["a", None]),
        (["a", 1, 2.5], "object", ["a", 1, 2.5]),
        ([None, None], "object", [None, None]),
    ],
)
def test_values_keep_their_type(values: list[Any], dtype: str, held: list[Any]) -> None:
    array = from_json(values, 1, "x")
    assert array.dtype == dtype
    assert [str(value) for value in array.tolist()] == [str(value) for value in held]
    assert [*map(type, array.tolist())] == [*map(type, held)]


@pytest.mark.parametrize(
    ("values", "rank", "message"),
    [
        ([[1], [2]], 1, r"x\[0\] is a list, the model takes numbers, strings or null"),
        ([1, {"a": 1}], 1, r"x\[1\] is an object"),
        ([[1, 2], [3, [4]]], 2, r"x\[1\]\[1\] is a list"),
        ([[1, 2], [3]], 2, "x is ragged"),
    ],
)
def test_what_is_no_scalar_is_named(values: Any, rank: int, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        from_json(values, rank, "x")


def test_texts_are_decoded() -> None:
    texts = texts_of(np.array([b"\xc3\xa9", "a", None], dtype=object), "x")
    assert texts.tolist() == ["é", "a", None]
    with pytest.raises(InvalidInput, match=r"x\[1\] is not UTF-8 text"):
        texts_of(np.array([b"a", b"\xff"], dtype=object), "x")


def sent_v1(instances: list[Any]) -> dict[str, Array]:
    raw = json.dumps({"instances": instances}).encode()
    fast, general = v1_decoder(TABLE)(raw).inputs, v1.decode(raw, TABLE).inputs
    assert {name: array.tolist() for name, array in fast.items()} == {n: array.tolist() for n, array in general.items()}
    return general


def test_a_table_over_v1() -> None:
    inputs = sent_v1([{"a": WIDE, "b": "x"}, {"a": 2, "b": None}])
    assert inputs["a"].dtype == np.int64
    assert inputs["a"].tolist() == [WIDE, 2]
    assert inputs["b"].tolist() == ["x", None]


@pytest.mark.parametrize("datatype", ["INT64", "FP32", "FP64", "BOOL", "UINT8"])
def test_a_tensor_of_v2_keeps_its_datatype(datatype: str) -> None:
    tensors = [
        {"name": "a", "datatype": datatype, "shape": [2], "data": [1, 0] if datatype != "BOOL" else [True, False]}
    ]
    tensors.append({"name": "b", "datatype": "BYTES", "shape": [2], "data": ["x", "y"]})
    raw = json.dumps({"inputs": tensors}).encode()
    for inputs in (v2.decode(raw, None, TABLE).inputs, v2_decoder(TABLE)(raw, None).inputs):
        assert str(inputs["a"].dtype) == {"FP32": "float32", "FP64": "float64"}.get(datatype, datatype.lower())
        assert inputs["b"].tolist() == ["x", "y"]


@pytest.mark.parametrize("rows", [[[1, WIDE]], [[1.5, 2]], [["a", 2]], [[1, 2]] * 400])
def test_a_matrix_never_takes_the_way_of_floats(rows: list[Any]) -> None:
    raw = json.dumps({"instances": rows}).encode()
    got = v1_decoder(MATRIX)(raw).inputs["x"]
    assert got.tolist() == rows
    assert (got.dtype == np.int64) == all(type(value) is int for row in rows for value in row)
