"""The fast decoders give what the general ones give: the same arrays, the same errors, for whatever comes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import Signature, TensorSpec
from server.codec import v1, v2
from server.codec.decoded_request import DecodedRequest
from server.codec.fast.json_rows import cast, is_finite, v1_decoder, v2_decoder
from server.errors import InvalidInput

SIGNATURES = {
    f"{datatype}{'-named' if columns else ''}{'-any' if any_name else ''}{'-nullable' if nullable else ''}": Signature(
        (TensorSpec("x", datatype, (-1, 3), nullable=nullable, finite=True),),
        (TensorSpec("y", "FP64", (-1,)),),
        columns=columns,
        any_name=any_name,
    )
    for datatype in ("FP64", "FP32")
    for columns in ((), ("a", "b", "c"))
    for any_name in (True, False)
    for nullable in (True, False)
}

numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**64 - 1),
    st.sampled_from([1e308, -1e308, 3.5e38, 1e-300, -0.0, 0]),
)
odd = st.one_of(st.none(), st.booleans(), st.text(max_size=3), st.just([]), st.just({}), st.just([1.0]))
values = st.one_of(numbers, numbers, numbers, odd)
rows = st.one_of(st.lists(values, min_size=3, max_size=3), st.lists(values, max_size=4), odd)
v1_bodies = st.one_of(
    st.builds(lambda instances: {"instances": instances}, st.lists(rows, max_size=4)),
    st.builds(lambda row: {"instances": [dict(zip("abc", row, strict=False))]}, st.lists(values, max_size=4)),
    st.builds(lambda instances: {"instances": instances, "parameters": {}}, st.lists(rows, max_size=2)),
    st.builds(lambda instances: {"instances": instances}, odd),
)
tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "a", "other", 3]),
        "shape": st.one_of(st.sampled_from([[1, 3], [2, 3], [3, 1], [3], [0, 3], [True, 3], [1.0, 3], "13"]), odd),
        "datatype": st.sampled_from(["FP64", "FP32", "INT64", "BYTES", "FP16", None]),
        "data": st.one_of(st.lists(values, min_size=3, max_size=3), st.lists(values, max_size=6), st.lists(rows), odd),
    },
    optional={"parameters": odd},
)
v2_bodies = st.fixed_dictionaries(
    {"inputs": st.one_of(st.lists(tensors, min_size=1, max_size=1), st.lists(tensors, max_size=2), odd)},
    optional={"id": st.one_of(st.just("7"), odd), "outputs": odd, "parameters": odd},
)


def outcome(decode: Callable[[], DecodedRequest]) -> Any:
    """What a decoder gives, in a form that can be compared; bits and types included."""
    try:
        call = decode()
    except InvalidInput as error:
        return str(error)
    arrays = {
        name: (array.dtype.str, array.shape, array.tolist() if array.dtype.kind == "O" else array.tobytes())
        for name, array in call.inputs.items()
    }
    extra = (call.id, dict(call.outputs), call.binary) if isinstance(call, v2.DecodedV2Request) else ()
    return type(call), arrays, call.rows, call.parameters, extra


def same_v1(raw: bytes, signatures: Mapping[str, Signature]) -> None:
    """Every body is read for every signature: making one costs more than reading it."""
    for name, signature in signatures.items():
        fast = outcome(lambda: v1_decoder(signature)(raw))  # noqa: B023
        assert fast == outcome(lambda: v1.decode(raw, signature)), name  # noqa: B023


def same_v2(raw: bytes, length: str | None, signatures: Mapping[str, Signature]) -> None:
    for name, signature in signatures.items():
        fast = outcome(lambda: v2_decoder(signature)(raw, length))  # noqa: B023
        assert fast == outcome(lambda: v2.decode(raw, length, signature)), name  # noqa: B023


@settings(max_examples=150, deadline=None)
@given(body=v1_bodies)
def test_v1(body: Any) -> None:
    same_v1(orjson.dumps(body), SIGNATURES)


@settings(max_examples=150, deadline=None)
@given(body=v2_bodies)
def test_v2(body: Any) -> None:
    raw = orjson.dumps(body)
    same_v2(raw, None, SIGNATURES)
    same_v2(raw, str(len(raw)), SIGNATURES)


raw_tensors = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "a", "other", 3]),
        "shape": st.one_of(st.sampled_from([[1, 3], [2, 3], [3, 1], [3], [0, 3], [True, 3], [1.0, 3]]), odd),
        "datatype": st.sampled_from(["FP64", "FP32", "FP32", "INT64", "BYTES", None]),
        "parameters": st.one_of(
            st.sampled_from([12, 24, 48, 0, True, -12, "24"]).map(lambda size: {"binary_data_size": size}),
            st.sampled_from([{"binary_data_size": 24, "more": 1}, {"binary_data": True}]),
            odd,
        ),
    },
    optional={"data": st.just([1.0, 2.0, 3.0])},
)
raw_bodies = st.fixed_dictionaries(
    {"inputs": st.one_of(st.lists(raw_tensors, min_size=1, max_size=1), st.lists(raw_tensors, max_size=2), odd)},
    optional={
        "id": st.one_of(st.just("7"), odd),
        "outputs": st.one_of(odd, st.just([{"name": "y", "parameters": {"binary_data": True}}])),
        "parameters": st.one_of(odd, st.sampled_from([True, False, 1, None]).map(lambda b: {"binary_data_output": b})),
    },
)
raw_values = st.lists(st.floats(width=32), max_size=6).flatmap(
    lambda values: st.sampled_from([np.array(values, dtype).tobytes() for dtype in (np.float32, np.float64)])
)


@settings(max_examples=200, deadline=None)
@given(body=raw_bodies, tail=st.one_of(raw_values, st.binary(max_size=30)), shift=st.sampled_from([0, 0, 0, 1, -1, 99]))
def test_raw(body: Any, tail: bytes, shift: int) -> None:
    head = orjson.dumps(body)
    same_v2(head + tail, str(len(head) + shift), SIGNATURES)


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"3", b"{}", b'{"instances"', b'{"inputs":null}', b"\xff"])
def test_bodies_that_are_no_request(raw: bytes) -> None:
    same_v1(raw, SIGNATURES)
    same_v2(raw, None, SIGNATURES)


def test_the_usual_request_takes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    signature = SIGNATURES["FP32-any"]
    monkeypatch.setattr(v1, "decode", lambda *_: pytest.fail("the general decoder was asked"))
    monkeypatch.setattr(v2, "decode", lambda *_: pytest.fail("the general decoder was asked"))
    matrix = v1_decoder(signature)(b'{"instances": [[1, 2.5, -0.0], [3, 4, 1e-3]]}').inputs["x"]
    assert matrix.dtype == np.float32
    assert math.copysign(1, matrix[0, 2]) == -1
    body = {"id": "7", "inputs": [{"name": "n", "shape": [1, 3], "datatype": "FP32", "data": [1, 2, 0.1]}]}
    assert v2_decoder(signature)(orjson.dumps(body), None).inputs["x"].tolist() == [[1, 2, np.float32(0.1)]]
    tensor = {"name": "n", "shape": [1, 3], "datatype": "FP64", "parameters": {"binary_data_size": 24}}
    head = orjson.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}})
    call = v2_decoder(signature)(head + np.array([1, 2, 0.1]).tobytes(), str(len(head)))
    assert call.binary
    assert call.inputs["x"].tolist() == [[1, 2, np.float32(0.1)]]
    assert call.inputs["x"].flags.owndata


def test_other_signatures_have_only_the_general_way() -> None:
    signature = Signature((TensorSpec("t", "BYTES", (-1,)),), ())
    assert v1_decoder(signature)(b'{"instances": ["a"]}').inputs["t"].tolist() == ["a"]


@pytest.mark.parametrize("size", [1, 64, 65, 1000])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_is_not_finite_is_seen_wherever_it_stands(size: int, dtype: type[np.floating[Any]]) -> None:
    large = np.finfo(dtype).max
    assert is_finite(np.full((1, size), large, dtype))  # though their sum is not
    for odd_one in (np.nan, np.inf, -np.inf):
        for at in {0, size // 2, size - 1}:
            matrix = np.full((size, 1), -large, dtype)
            matrix[at] = odd_one
            assert not is_finite(matrix)
    assert size < 2 or not is_finite(np.array([[np.inf, -np.inf] * (size // 2)], dtype))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("size", [1, 64, 65, 1000])
def test_doubles_are_narrowed_as_numpy_does_or_not_at_all(size: int) -> None:
    random = np.random.default_rng(3)
    matrix = (random.normal(size=(1, size)) * 10.0 ** random.integers(-46, 38, size)).T[::-1]
    narrowed = cast(matrix, np.dtype(np.float32))
    assert narrowed is not None
    assert narrowed.tobytes() == matrix.astype(np.float32).tobytes()
    assert narrowed.shape == matrix.shape
    for too_large in (3.4028236e38, -1e300, np.inf, np.nan):
        matrix[size // 2] = too_large
        assert cast(matrix, np.dtype(np.float32)) is None
    matrix[size // 2] = 3.40282356e38  # which is nearer to the largest than to what would come after it
    assert cast(matrix, np.dtype(np.float32)) is not None
