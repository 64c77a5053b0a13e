"""V1 bodies to inputs: every form of an instance, and every way to get it wrong."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import Signature, Tensors, TensorSpec
from server.codec import v1
from server.codec.decoded_request import DecodedRequest
from server.errors import InvalidInput
from tests.server.codec import requests
from tests.server.codec.signatures import (
    OUTPUT,
    SIGNATURES,
    check,
    decoded,
    fitting,
    json_values,
    keys,
    one,
    same,
    signatures,
)

pytestmark = pytest.mark.filterwarnings("error")

MATRIX, COLUMNS, TABLE = SIGNATURES["matrix"], SIGNATURES["matrix with columns"], SIGNATURES["table"]


def decode(body: Any, signature: Signature) -> DecodedRequest:
    return v1.decode(body if isinstance(body, bytes) else orjson.dumps(body), signature)


def rows(signature: Signature, *instances: Any) -> Tensors:
    return decode({"instances": instances}, signature).inputs


def equal(left: Tensors, right: Tensors) -> bool:
    return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)


@settings(max_examples=100, deadline=None)
@given(signatures, st.data())
def test_rows_arrive_bit_for_bit(signature: Signature, data: st.DataObject) -> None:
    tensors = data.draw(fitting(signature))
    columns = {name: requests.nested(array) for name, array in tensors.items()}
    if not signature.batched:
        assert equal(decode({"instances": [columns]}, signature).inputs, tensors)
        return
    named = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if not columns:
        return
    if not signature.columns:
        assert equal(decode({"instances": named}, signature).inputs, tensors)
        assert equal(decode({"inputs": columns}, signature).inputs, tensors)
    if len(signature.inputs) == 1:
        (values,) = columns.values()
        assert equal(decode({"instances": values}, signature).inputs, tensors)
        assert equal(decode({"inputs": values}, signature).inputs, tensors)


@settings(max_examples=50, deadline=None)
@given(fitting(COLUMNS), st.data())
def test_columns_may_come_by_name_in_any_order(tensors: Tensors, data: st.DataObject) -> None:
    matrix = tensors["x"]
    instances = []
    for a, b in matrix.tolist():
        instances.append(dict(data.draw(st.permutations([("a", a), ("b", b)]))))
    assert equal(rows(COLUMNS, *instances), tensors)
    a, b = matrix.T.tolist()
    assert equal(decode({"inputs": {"b": b, "a": a}}, COLUMNS).inputs, tensors)


def test_a_table_takes_objects_lists_and_columns() -> None:
    want = rows(TABLE, {"city": "Rome", "age": None, "count": 1}, {"count": 2.0, "age": 3, "city": None})
    assert np.isnan(want["age"][0])
    assert want["city"].tolist() == ["Rome", None]
    assert want["count"].tolist() == [1, 2]
    columns = {"age": [None, 3], "city": ["Rome", None], "count": [1, 2]}
    assert equal(decode({"inputs": columns}, TABLE).inputs, want)
    listed = rows(TABLE, [None, "Rome", 1, "n"], [3, None, 2, "m"])
    assert equal(listed, {**want, "note": np.array(["n", "m"], dtype=np.object_)})


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(signatures, st.data())
def test_any_body_is_refused_or_fits(signature: Signature, data: st.DataObject) -> None:
    """Bodies that fit but for one place or two, and bodies that are anything."""
    body = requests.v1_body(data.draw(fitting(signature).filter(bool)), signature)
    for _ in range(data.draw(st.integers(1, 2))):
        body = data.draw(requests.mutated(body))
    for sent in (body, {"inputs": data.draw(st.dictionaries(keys, json_values, max_size=2) | st.just(body))}):
        if call := decoded(partial(decode, sent, signature)):
            check(call, signature)


@settings(max_examples=100, deadline=None)
@given(signatures, st.binary(max_size=30))
def test_any_bytes_are_refused(signature: Signature, body: bytes) -> None:
    with pytest.raises(InvalidInput):
        v1.decode(body, signature)


NEVER: list[tuple[str, Any, str]] = [
    ("matrix", {}, 'the body has no "instances": send {"instances": [...]}'),
    ("matrix", {"instance": [[1, 2]]}, "did you mean 'instances'"),
    ("matrix", {"x" * 100_000: 1}, "known: 'instances', 'inputs'"),
    ("matrix", {"instances": {"x": 1}}, '"instances" must be a list'),
    ("matrix", {"instances": "text"}, '"instances" must be a list'),
    ("matrix", {"instances": []}, '"instances" is empty'),
    ("matrix", {"inputs": []}, '"inputs" is empty'),
    ("matrix", {"instances": [[1, 2], [3]]}, "instances is ragged: row 0 holds 2 values but row 1 holds 1"),
    ("matrix", {"instances": [[1, 2, 3]]}, "instances: each row holds 3 values, the model takes 2"),
    ("matrix", {"instances": [1, 2]}, "instances has shape [2], the model takes [-1, 2]"),
    ("matrix", {"instances": [[]]}, "each row holds 0 values"),
    ("matrix", {"instances": [[1, None]]}, "instances[0][1] is null"),
    ("matrix", {"instances": [[1, "2"]]}, "instances[0][1] is the string '2', the model takes FP64"),
    ("matrix", {"instances": [{"x": [1, 2], "y": 3}]}, "instances[0] has the unknown name 'y'; known: 'x'"),
    ("matrix", {"instances": [{}]}, "instances[0] lacks 'x'"),
    ("matrix", {"instances": [{"x": [1, 2]}, [1, 2]]}, "instances[1] must be an object like the first instance"),
    ("matrix", {"instances": [[1, 2], {"x": [1, 2]}]}, "instances[1] is an object, the model takes FP64"),
    ("matrix", {"instances": [[1, 2]], "parameters": 3}, '"parameters" must be an object'),
    ("matrix", {"inputs": {}}, "inputs lacks 'x'"),
    ("matrix", {"inputs": {"y": [[1, 2]]}}, "inputs has the unknown name 'y'; known: 'x'"),
    ("matrix", {"inputs": {"x": 3}}, "inputs.x has shape []"),
    ("matrix of any width", {"instances": [[], []]}, "'x' holds no values"),
    ("matrix with columns", {"instances": [{"a": 1}]}, "instances[0] lacks 'b'"),
    ("matrix with columns", {"instances": [{"a": 1, "B": 2}]}, "lacks 'b' and has the unknown name 'B'"),
    ("matrix with columns", {"instances": [{"a": 1, "b": 2, "c": 3}]}, "has the unknown name 'c'; known: 'a', 'b'"),
    (
        "matrix with columns",
        {"instances": [{"a": 1, "b": 2}, {"a": 1, "b": [2]}]},
        "instances.b[1] is a list, the model takes FP",
    ),
    ("matrix with columns", {"inputs": {}}, '"inputs" holds no rows'),
    ("matrix with columns", {"inputs": {"a": [], "b": []}}, '"inputs" holds no rows'),
    ("matrix with columns", {"inputs": {"a": [1], "b": []}}, "'a' holds 1, 'b' holds 0"),
    ("matrix with columns", {"inputs": {"a": [1], "b": 2}}, "inputs.'b' is 2, a column must be a list"),
    ("matrix with columns", {"inputs": {"a": [1], "c": [2]}}, "inputs[0] lacks 'b'"),
    ("table", {"instances": [{"age": 1, "city": "a"}]}, "instances[0] lacks 'count'"),
    ("table", {"instances": [{"city": "a", "count": 1}]}, "instances[0] lacks 'age'; send null for a missing value"),
    ("table", {"instances": [[1, "a", 1]]}, "instances[0] holds 3 values, the model takes 4"),
    ("table", {"instances": [[1, "a", 1, "n"], 3]}, "instances[1] holds no list, the model takes 4"),
    ("table", {"instances": [{"age": 1, "city": "a", "count": 1.5}]}, "instances.count[0] is 1.5"),
    ("table", {"instances": [{"age": 1, "city": 2, "count": 1}]}, "instances.city[0] is 2, the model takes a string"),
    (
        "table",
        {"instances": [{"age": 1, "city": "a", "count": 1, "Age": 2}]},
        "unknown name 'Age'; did you mean 'age'?",
    ),
    ("table", {"instances": [{"age": 1, "city": "a", "count": None}]}, "instances.count[0] is null"),
    ("table", {"inputs": {"age": [1], "city": ["a", "b"], "count": [1]}}, "'age' holds 1, 'city' holds 2"),
    ("table of optional columns", {"instances": [{}]}, "no input was sent"),
    ("table of optional columns", {"instances": [{"a": 1}, {}]}, "instances[1] lacks 'a'"),
    ("table of optional columns", {"inputs": {}}, "no input was sent"),
    ("several inputs", {"instances": [[1, 2]]}, "instances[0] must be an object with 'a', 'b'"),
    ("several inputs", {"instances": [{"a": [1, 2]}]}, "instances[0] lacks 'b'"),
    ("several inputs", {"instances": [{"a": [1, 2], "b": 2**31}]}, "instances.b[0] is 2147483648"),
    ("several inputs", {"inputs": {"a": [[1, 2]], "b": [1, 2]}}, "'a' holds 1, 'b' holds 2"),
    ("an optional input", {"instances": [{"x": [1, 2], "b": 1}, {"x": [1, 2]}]}, "instances[1] lacks 'b'"),
    ("unbatched", {"instances": [{"a": [[1, 2]], "b": "t"}] * 2}, "holds 2 instances, but this model has no batch"),
    ("unbatched", {"instances": [{"a": [[1, 2]]}]}, "instances[0] lacks 'b'"),
    ("unbatched", {"instances": [{"a": [[1, 2]], "b": "t", "c": [1, 2]}]}, "instances[0].c has shape [2]"),
    ("unbatched", {"instances": [{"a": [[1, 2]], "b": "t", "d": 1}]}, "unknown name 'd'"),
    ("unbatched scalar", {"instances": [[1]]}, "has shape [1], the model takes []"),
    ("BYTES vector", {"instances": [["a", "b"]]}, "instances[0] is a list, the model takes a string"),
    ("BYTES vector", {"instances": [None]}, "instances[0] is null"),
    ("BYTES vector", {"instances": [{"x": "a", "b64": "YQ=="}]}, "unknown name 'b64'"),
    ("BOOL vector", {"instances": [2]}, "instances[0] is 2, which is not a valid BOOL"),
    ("FP32 vector", {"instances": [1e308]}, "instances[0] is 1e+308, which is not a valid FP32"),
    ("FP16 vector", {"instances": [70000]}, "instances[0] is 70000.0, which is not a valid FP16"),
    ("UINT8 vector", {"instances": [-1]}, "instances[0] is -1, which is not a valid UINT8"),
    ("INT64 vector", {"instances": [2**64 - 1]}, "instances[0] is 18446744073709551615, which is not a valid INT64"),
    ("INT64 vector", b'{"instances": [123456789012345678901234567890]}', "which is not a valid INT64"),
]


@pytest.mark.parametrize(("kind", "body", "says"), NEVER, ids=lambda item: str(item)[:40])
def test_a_mistake_is_named(kind: str, body: Any, says: str) -> None:
    with pytest.raises(InvalidInput) as error:
        decode(body, SIGNATURES[kind])
    assert says in str(error.value)
    assert len(str(error.value)) < 250


@pytest.mark.parametrize("kind", sorted(SIGNATURES))
@pytest.mark.parametrize("depth", [1000, 100_000])
def test_a_body_nested_deeply_is_refused(kind: str, depth: int) -> None:
    lists = b"[" * depth + b"]" * depth
    objects = b'{"x":' * depth + b"1" + b"}" * depth
    for nested in (lists, objects):
        for key in (b'{"instances":[%s]}', b'{"instances":%s}', b'{"inputs":%s}', b'{"inputs":{"x":%s}}'):
            with pytest.raises(InvalidInput):
                v1.decode(key % nested, SIGNATURES[kind])


def test_bytes_come_as_base64() -> None:
    got = rows(SIGNATURES["binary texts"], {"b64": "/wA="}, "é", {"b64": ""})
    assert got["x"].tolist() == [b"\xff\x00", "é".encode(), b""]
    assert rows(one("BYTES", -1), {"x": {"b64": "YQ=="}})["x"].tolist() == ["a"]


def test_whole_tensors_are_one_instance_of_a_model_without_a_batch() -> None:
    call = decode({"instances": [{"b": "t", "a": [[1, 2], [3, 4]]}]}, SIGNATURES["unbatched"])
    assert call.rows == 1
    assert call.inputs["a"].shape == (2, 2)
    assert call.inputs["b"].shape == ()
    assert call.inputs["b"].item() == "t"
    assert decode({"instances": [2]}, SIGNATURES["unbatched scalar"]).inputs["x"] == 2.0


def test_the_first_instance_alone_may_leave_an_optional_input_out() -> None:
    signature = SIGNATURES["an optional input"]
    assert list(rows(signature, [1, 2], [3, 4])) == ["x"]
    assert list(rows(signature, {"x": [1, 2]})) == ["x"]
    assert list(rows(signature, {"b": 3, "x": [1, 2]})) == ["x", "b"]


def test_a_wide_model_tells_an_unknown_column_quickly() -> None:
    """Only so many names are compared: a tiny request must not hold the event loop for long."""
    names = tuple(f"feature_{i}" for i in range(20_000))
    signature = Signature(one("FP64", -1, 20_000).inputs, (), columns=names)
    with pytest.raises(InvalidInput, match="lacks 'feature_0' and has the unknown name 'feature_x'; did you mean"):
        decode({"instances": [{"feature_x": 1}]}, signature)
    everything = dict.fromkeys([*names[1:], "zip"], 1)
    with pytest.raises(InvalidInput, match="lacks 'feature_0' and has the unknown name 'zip'"):
        decode({"instances": [everything]}, signature)


FIXED = Signature((TensorSpec("x", "FP64", (3, 2)),), (TensorSpec("y", "FP64", (3,)),), batched=False)
PAIR = replace(FIXED, inputs=(TensorSpec("x", "FP64", (3, 2)), TensorSpec("n", "INT64", (3,))))


def asked(body: Any, signature: Signature, *names: str) -> Any:
    """What a model gives that adds up each row."""
    call = v1.decode(orjson.dumps(body), signature)
    sums = call.inputs["x"].sum(axis=1)
    return orjson.loads(v1.encode(dict.fromkeys(names, sums), signature, call))["predictions"]


def test_a_fixed_number_of_rows_is_as_many_instances() -> None:
    rows = [[1, 2], [3, 4], [5, 6]]
    assert asked({"instances": rows}, FIXED, "y") == [3.0, 7.0, 11.0]
    assert asked({"instances": [{"x": row} for row in rows]}, FIXED, "y", "z")[1] == {"y": 7.0, "z": 7.0}
    assert asked({"instances": [{"x": row, "n": 1} for row in rows]}, PAIR, "y") == [3.0, 7.0, 11.0]
    assert asked({"instances": [rows]}, FIXED, "y") == [[3.0, 7.0, 11.0]]
    for wrong in (2, 4):
        with pytest.raises(InvalidInput, match=f"holds {wrong} instances, but this model takes 3 rows at a time"):
            asked({"instances": rows[:1] * wrong}, FIXED, "y")


def test_an_output_without_as_many_rows_goes_whole() -> None:
    call = v1.decode(b'{"instances": [[1, 2], [3, 4], [5, 6]]}', FIXED)
    assert orjson.loads(v1.encode({"y": np.array([9.0])}, FIXED, call)) == {"predictions": [[9.0]]}


def test_a_body_of_v2_is_told_where_it_goes() -> None:
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}
    for signature in (SIGNATURES["matrix"], SIGNATURES["table"], replace(SIGNATURES["matrix"], tf_serving=True)):
        with pytest.raises(InvalidInput, match="this is a body of V2: POST it to /v2/models/NAME/infer"):
            v1.decode(orjson.dumps({"id": "7", "inputs": [tensor]}), signature)
    odd = Signature(
        tuple(TensorSpec(name, "FP64", (-1,)) for name in ("name", "shape", "datatype")), OUTPUT, table=True
    )
    assert v1.decode(b'{"instances": [{"name": 1, "shape": 2, "datatype": 3}]}', odd).rows == 1


@pytest.mark.parametrize(
    "body", [{"method": "predict"}, {"parameter": {}}, {"inputs": [[1, 2]]}, {"signature_name": "a"}]
)
def test_what_nobody_reads_in_a_body_is_refused(body: Any) -> None:
    with pytest.raises(InvalidInput, match=f"'{next(iter(body))}' is unknown|the body has both"):
        v1.decode(orjson.dumps({"instances": [[1, 2]], **body}), SIGNATURES["matrix"])
    assert v1.decode(b'{"instances": [[1, 2]], "request_id": "7"}', SIGNATURES["matrix"]).rows == 1
