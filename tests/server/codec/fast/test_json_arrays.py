"""Bodies that simdjson reads give what they give when orjson reads them: the same arrays, the same errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import Parameter, Signature, TensorSpec
from server.codec.fast import json_arrays
from server.codec.fast.json_rows import v1_decoder, v2_decoder
from tests.server.codec.fast.test_json_rows import SIGNATURES, same_v1, same_v2, v1_bodies, v2_bodies, values

OUTPUT = (TensorSpec("y", "FP64", (-1,)),)
OTHERS = {
    "integers": Signature((TensorSpec("x", "INT64", (-1, 3)),), OUTPUT),
    "small integers": Signature((TensorSpec("x", "INT8", (-1, -1)),), OUTPUT),
    "unsigned": Signature((TensorSpec("x", "UINT64", (-1,)),), OUTPUT),
    "images": Signature((TensorSpec("x", "FP32", (-1, 2, 2, 1)),), OUTPUT),
    "any size": Signature((TensorSpec("x", "FP64", (-1, -1, -1)),), OUTPUT),
    "any rank": Signature((TensorSpec("x", "FP64", (-1,), any_rank=True),), OUTPUT),
    "half": Signature((TensorSpec("x", "FP16", (-1, 3)),), OUTPUT),
    "booleans": Signature((TensorSpec("x", "BOOL", (-1, 3)),), OUTPUT),
    "texts": Signature((TensorSpec("x", "BYTES", (-1,)),), OUTPUT),
    "JSON": Signature((TensorSpec("x", "BYTES", (-1,), json=True),), OUTPUT),
    "two inputs": Signature((TensorSpec("x", "FP64", (-1,)), TensorSpec("z", "INT64", (-1,))), OUTPUT),
    "an optional one": Signature((TensorSpec("x", "FP64", (-1, 3), optional=True),), OUTPUT),
    "a table": Signature((TensorSpec("x", "FP64", (-1,)),), OUTPUT, table=True),
    "no batch": Signature((TensorSpec("x", "FP64", (3,)),), OUTPUT, batched=False),
    "parameters": Signature(
        (TensorSpec("x", "FP64", (-1, 3)),), OUTPUT, parameters=(Parameter("method", str, ("a", "b")),)
    ),
}
ALL = SIGNATURES | OTHERS


@pytest.fixture(scope="module", autouse=True)
def of_any_length() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_arrays, "MIN_BODY", 0)
        yield


def nested(*shape: int) -> Any:
    return st.lists(values if len(shape) == 1 else nested(*shape[1:]), min_size=shape[0], max_size=shape[0])


plain = st.one_of(
    st.integers(-(2**63), 2**64 - 1), st.integers(-3, 3), st.floats(allow_nan=False, allow_infinity=False)
)
shapes = st.sampled_from([(2,), (1, 3), (2, 3), (3, 2), (1, 2, 2, 1), (2, 2, 2, 1), (2, 1, 2), (1, 1, 0)])
arrays = shapes.flatmap(
    lambda shape: st.lists(plain, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))).map(
        lambda flat: np.array(flat, object).reshape(shape).tolist()
    )
)
shaped = st.one_of(arrays, shapes.flatmap(lambda shape: nested(*shape)), st.recursive(values, st.lists, max_leaves=8))
parameters = st.sampled_from([{}, {"method": "a"}, {"method": "c"}, {"metod": "a"}, {"x": [1]}, None, 3])
bodies = st.fixed_dictionaries({"instances": shaped}, optional={"parameters": parameters, "more": st.just(1)})
tensor = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "x", "x", "z", "[", 3]),
        "shape": st.one_of(st.sampled_from([[2], [1, 3], [2, 3], [1, 2, 2, 1], [2, 1, 2], [6], [True], [[2]]])),
        "datatype": st.sampled_from(
            ["FP64", "FP32", "INT64", "INT8", "UINT64", "UINT8", "BOOL", "BYTES", "FP16", "no"]
        ),
        "data": shaped,
    },
    optional={"parameters": st.sampled_from([{}, {"binary_data_size": 3}, {"a": {"b": 1}}, 3])},
)
requests = st.fixed_dictionaries(
    {"inputs": st.lists(tensor, max_size=2)},
    optional={
        "id": st.sampled_from(["7", "[", 3, None]),
        "parameters": st.sampled_from([{}, {"content_type": "pd"}, {"method": "a"}, {"binary_data_output": True}]),
        "outputs": st.sampled_from([[], [{"name": "y"}], 3]),
    },
)


@pytest.mark.filterwarnings("ignore:overflow")
@settings(max_examples=200, deadline=None)
@given(body=st.one_of(bodies, bodies, v1_bodies))
def test_v1(body: Any) -> None:
    same_v1(orjson.dumps(body), ALL)


@pytest.mark.filterwarnings("ignore:overflow")
@settings(max_examples=200, deadline=None)
@given(body=st.one_of(requests, requests, v2_bodies))
def test_v2(body: Any) -> None:
    same_v2(orjson.dumps(body), None, ALL)


MARKS = rb'[]{},:"1-.0 \\'
WORDS = [
    b"e9",
    b"e400",
    b"null",
    b"NaN",
    b"true",
    b"18446744073709551616",
    b"/**/",
    b"\0",
    b"\n",
    b"\xff",
    b"\xef\xbb\xbf",
]
LISTS = [b'"instances":[[1,2,3]],', b"[1,2,3],"]
PIECES = st.sampled_from([bytes([mark]) for mark in MARKS] + WORDS + LISTS)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(body=st.one_of(bodies, requests), at=st.integers(0, 200), cut=st.integers(0, 3), piece=PIECES)
def test_damaged_bodies(body: Any, at: int, cut: int, piece: bytes) -> None:
    some = {name: ALL[name] for name in ("FP64-any", "images", "integers")}
    raw = orjson.dumps(body)
    raw = raw[:at] + piece + raw[at + cut :]
    same_v1(raw, some)
    same_v2(raw, None, some)


@pytest.mark.parametrize(
    "instances",
    [
        "[[1,2,3],[[4,5],[],6]]",
        "[[1,2,3],[4,5,[6]]]",
        "[1,[2,3]]",
        "[[[1]],[[2],[3]]]",
        "[[],[]]",
        "[]",
        "[[1,2,3],{}]",
    ],
)
def test_what_is_as_long_but_nested_otherwise(instances: str) -> None:
    same_v1(f'{{"instances": {instances}}}'.encode(), ALL)
    text = '{"inputs":[{"name":"x","shape":[2,3],"datatype":"FP64","data":%s}]}' % instances  # noqa: UP031
    same_v2(text.encode(), None, ALL)


def test_of_a_key_that_is_given_twice_the_last_counts() -> None:
    signature = OTHERS["any size"]
    raw = b'{"instances": [[[1.0]]], "instances": [[[2.0]]]}'
    assert v1_decoder(signature)(raw).inputs["x"].tolist() == [[[2.0]]]
    twice = b'{"inputs":[{"name":"x","shape":[1,1,1],"datatype":"FP64","data":[1],"data":[2]}]}'
    assert v2_decoder(signature)(twice, None).inputs["x"].tolist() == [[[2.0]]]


def test_arrays_are_the_models_own_to_write_to() -> None:
    decoded = v1_decoder(OTHERS["any size"])(b'{"instances": [[[1, 2.5]]]}').inputs["x"]
    decoded[0, 0, 0] = 7
    assert decoded.tolist() == [[[7, 2.5]]]


def test_a_parser_that_holds_another_document_is_left_alone() -> None:
    held = json_arrays._parse(b'{"instances": [1, 2]}')
    assert json_arrays.v1_body(b'{"instances": [3]}', "f") == {"instances": np.array([3.0])}
    assert list(held["instances"]) == [1, 2]
    assert json_arrays.v1_body(b'{"instances": %s}' % (b"[" * 2000 + b"]" * 2000), "f") is None
    assert json_arrays.v1_body(b'{"instances": [4]}', "f") == {"instances": np.array([4.0])}


@pytest.mark.parametrize("size", [10, 600_000])
def test_of_any_size(size: int) -> None:
    numbers = np.random.default_rng(0).normal(size=size)
    body = json_arrays.v1_body(orjson.dumps({"instances": numbers.tolist()}), "f")
    assert body is not None
    assert np.array_equal(body["instances"], numbers)


def test_many_numbers_go_this_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orjson, "loads", lambda *_: pytest.fail("every number became an object"))
    assert v1_decoder(OTHERS["images"])(b'{"instances": [[[[1], [2]], [[3], [4.5]]]]}').rows == 1
    assert v1_decoder(OTHERS["parameters"])(b'{"instances": [[1, 2, 3]], "parameters": {"method": "a"}}').parameters
    flat = b'{"id": "a", "inputs": [{"name": "x", "shape": [1, 3], "datatype": "INT64", "data": [1, 2, 3]}]}'
    assert v2_decoder(OTHERS["integers"])(flat, None).inputs["x"].tolist() == [[1, 2, 3]]


def test_a_fault_of_ours_is_no_slow_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_arrays, "_common_length", lambda lists: lists["no"])
    with pytest.raises(TypeError):
        json_arrays.v1_body(b'{"instances": [[1, 2]]}', "f")
    monkeypatch.setattr(json_arrays, "_plain", lambda members: members["no"])
    monkeypatch.setattr(json_arrays, "_numbers", lambda values, kind: (np.zeros(1), 1))
    with pytest.raises(KeyError):
        json_arrays.v1_body(b'{"instances": [1]}', "f")


def test_a_name_with_a_zero_character_is_another_name() -> None:
    raw = b'{"instances": [[[1]]], "parameters\\u0000": {"method": "c"}, "parameters": {}}'
    assert json_arrays.v1_body(raw, "f") is None
    same_v1(raw, {"any size": OTHERS["any size"]})


def test_a_body_of_more_tensors_than_models_have_is_left_to_the_general_decoder() -> None:
    entry = b'{"name": "x", "shape": [1], "datatype": "FP32", "data": [1]}'
    raw = b'{"inputs": [%b]}'
    assert json_arrays.v2_body(raw % b",".join([entry] * 1000)) is not None
    assert json_arrays.v2_body(raw % b",".join([entry] * 1001)) is None
