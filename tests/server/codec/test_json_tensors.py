"""JSON values to arrays, and arrays to a spec: exact, or refused with the field's name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from adapters.base import Array, TensorSpec
from adapters.datatypes import NUMPY_OF
from server.codec.json_tensors import common_rows, fit, from_json
from server.errors import InvalidInput
from tests.server.codec.requests import mutated, nested
from tests.server.codec.signatures import NUMBERS, decoded, same, values_of

pytestmark = pytest.mark.filterwarnings("error")

SHAPES = arrays.array_shapes(min_dims=1, max_dims=4, max_side=3)


def spec(datatype: str, *shape: int, **flags: bool) -> TensorSpec:
    return TensorSpec("x", datatype, shape, **flags)


def decode(value: Any, want: TensorSpec) -> Array:
    return fit(from_json(value, want, "x"), want, "x")


def deep(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(NUMBERS), SHAPES, st.data())
def test_numbers_arrive_bit_for_bit(datatype: str, shape: tuple[int, ...], data: st.DataObject) -> None:
    finite = {"allow_nan": False, "allow_infinity": False} if datatype.startswith("FP") else None
    array = data.draw(arrays.arrays(NUMPY_OF[datatype], shape, elements=finite))
    assert same(decode(array.tolist(), spec(datatype, *shape)), array)


@settings(max_examples=30, deadline=None)
@given(arrays.arrays(np.object_, SHAPES, elements=st.text(max_size=4)))
def test_texts_arrive_as_sent(array: Array) -> None:
    assert same(decode(array.tolist(), spec("BYTES", *array.shape)), array)


def as_number(value: Array) -> int | float:
    number: int | float = value.item()
    return number


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_cast_never_changes_a_value(data: st.DataObject) -> None:
    """Between any two types: the same number, its nearest float, or a refusal."""
    source, target = data.draw(st.sampled_from(NUMBERS)), data.draw(st.sampled_from(NUMBERS))
    array = data.draw(arrays.arrays(NUMPY_OF[source], (2,)))
    cast = decoded(lambda: fit(array, spec(target, 2), "x"))
    if cast is None:
        assert not np.can_cast(array.dtype, NUMPY_OF[target])
        return
    assert cast.dtype == NUMPY_OF[target]
    for before, after in zip(array, cast, strict=True):
        if cast.dtype.kind != "f":
            assert as_number(after) == as_number(before)
        elif np.isfinite(before):
            assert np.isfinite(after)
            with np.errstate(all="ignore"):
                assert after == cast.dtype.type(as_number(before))
        else:
            assert np.isnan(after) == np.isnan(before)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(NUMPY_OF)), st.lists(st.sampled_from([-1, 2]), max_size=3), st.booleans(), st.data())
def test_any_json_is_an_array_of_the_spec_or_refused(
    datatype: str, shape: list[int], nullable: bool, data: st.DataObject
) -> None:
    want = spec(datatype, *shape, nullable=nullable)
    value = nested(data.draw(values_of(want, tuple(max(size, 1) for size in shape))))
    for _ in range(data.draw(st.integers(1, 2))):
        value = data.draw(mutated(value))
    array = decoded(lambda: decode(value, want))
    if array is None:
        return
    assert array.dtype == want.dtype
    assert [got for got, size in zip(array.shape, shape, strict=True) if size not in (-1, got)] == []
    for sent, got in zip(flat(value), array.ravel().tolist(), strict=True):
        assert told_alike(sent, got, want.dtype)


def flat(value: Any) -> list[Any]:
    return [leaf for item in value for leaf in flat(item)] if isinstance(value, list) else [value]


def told_alike(sent: Any, got: Any, dtype: np.dtype[Any]) -> bool:
    """Whether an array's element is what the client wrote."""
    if sent is None:
        return got is None or got != got
    if dtype.kind == "O":
        return got == sent or isinstance(sent, dict)
    if isinstance(sent, str):
        return False
    return got == sent or (dtype.kind == "f" and got == dtype.type(sent))


MIXED_INTEGERS = [
    ([9007199254740993, 1.0], [9007199254740993, 1]),
    ([9223372036854775807, 2.0], [9223372036854775807, 2]),
    ([-9223372036854775808, -0.0], [-9223372036854775808, 0]),
    ([True, 3, 4.0], [1, 3, 4]),
]


@pytest.mark.parametrize(("sent", "want"), MIXED_INTEGERS)
def test_integers_among_floats_keep_every_digit(sent: list[Any], want: list[int]) -> None:
    assert decode(sent, spec("INT64", -1)).tolist() == want


def test_integers_beyond_int64_are_exact_where_they_fit() -> None:
    assert decode([2**64 - 1, 0], spec("UINT64", -1)).tolist() == [2**64 - 1, 0]
    assert decode([2**63, -1], spec("FP64", -1)).tolist() == [2.0**63, -1.0]


def test_negative_zero_stays_negative() -> None:
    assert np.signbit(decode([-0.0], spec("FP32", -1)))[0]
    assert np.signbit(decode([-0.0], spec("FP16", -1)))[0]


NOT_NUMBERS = [
    ("FP64", ["1.5"], "x[0] is the string '1.5', the model takes FP64"),
    ("FP64", [1.0, None], "x[1] is null, and the model takes no missing values"),
    ("FP64", [[1.0], [{}]], "x[1][0] is an object"),
    ("FP64", [{"b64": "YQ=="}], "x[0] is an object"),
    ("FP64", [[1, 2], [3]], "x is ragged: row 0 holds 2 values but row 1 holds 1"),
    ("FP64", [[[1, 2], [3, 4]], [[5, 6], [7]]], "x is ragged: row 0 holds 2 values but row 3 holds 1"),
    ("FP64", [1, [2]], "x is ragged: lists and single values are mixed"),
    ("FP64", [[1], 2], "x is ragged: lists and single values are mixed"),
    ("FP64", ["a" * 1000], "x[0] is the string 'aaaa"),
    ("FP64", [10**400], "x[0] is an integer of 1329 bits, which is not a valid FP64"),
    ("FP32", [1e308], "x[0] is 1e+308, which is not a valid FP32"),
    ("FP32", [0.0, -3.5e38], "x[1] is -3.5e+38, which is not a valid FP32"),
    ("FP16", [65520], "x[0] is 65520.0, which is not a valid FP16"),
    ("FP16", [70000.0], "x[0] is 70000.0, which is not a valid FP16"),
    ("INT64", [3.5], "x[0] is 3.5, which is not a valid INT64"),
    ("INT64", [9007199254740993, 0.5], "x[1] is 0.5, which is not a valid INT64"),
    ("INT64", [2**63], "x[0] is 9223372036854775808, which is not a valid INT64"),
    ("INT64", [1e300], "x[0] is 1e+300, which is not a valid INT64"),
    ("INT64", [2.0**63], "which is not a valid INT64"),
    ("UINT64", [2.0**64], "which is not a valid UINT64"),
    ("UINT64", [2**64 - 1, -1], "x[1] is -1, which is not a valid UINT64"),
    ("UINT64", [2**70, 1], f"x[0] is {2**70}, which is not a valid UINT64"),
    ("UINT8", [0, 256], "x[1] is 256, which is not a valid UINT8"),
    ("UINT8", [-1], "x[0] is -1, which is not a valid UINT8"),
    ("INT8", [[1], [128]], "x[1][0] is 128, which is not a valid INT8"),
    ("BOOL", [0, 2], "x[1] is 2, which is not a valid BOOL"),
    ("BOOL", [0.5], "x[0] is 0.5, which is not a valid BOOL"),
    ("BOOL", [2**70], "not a valid BOOL"),
    ("INT32", [None], "x[0] is null"),
]


@pytest.mark.parametrize(("datatype", "value", "says"), NOT_NUMBERS, ids=lambda item: str(item)[:30])
def test_what_is_no_number_is_refused_by_its_place(datatype: str, value: Any, says: str) -> None:
    rank = 2 if isinstance(value[0], list) else 1
    with pytest.raises(InvalidInput) as error:
        decode(value, spec(datatype, *[-1] * rank))
    assert says in str(error.value)
    assert len(str(error.value)) < 200


NOT_TEXTS = [
    ([1.5], "x[0] is 1.5, the model takes a string"),
    ([True], "x[0] is true, the model takes a string"),
    (["a", None], "x[1] is null, and the model takes no missing values"),
    ([["a", "b"]], "x[0] is a list, the model takes a string"),
    (["a", ["b"]], "x[1] is a list, the model takes a string"),
    ([{"text": "a"}], "x[0] is an object, the model takes a string"),
    ([{"b64": "!"}], "x[0]: b64 does not decode"),
    ([{"b64": "é"}], "x[0]: b64 does not decode"),
    ([{"b64": "/w=="}], "x[0]: b64 does not decode"),
    ([{"b64": 3}], "x[0] is an object"),
    ([{"b64": "YQ==", "x": 1}], "x[0] is an object"),
]


@pytest.mark.parametrize(("value", "says"), NOT_TEXTS)
def test_what_is_no_text_is_refused_by_its_place(value: Any, says: str) -> None:
    with pytest.raises(InvalidInput) as error:
        decode(value, spec("BYTES", -1))
    assert says in str(error.value)


def test_ragged_texts_whose_count_happens_to_fit_are_refused() -> None:
    with pytest.raises(InvalidInput, match="row 0 holds 2 values but row 1 holds 3"):
        decode([["a", "b"], ["c", "d", "e"], ["f"]], spec("BYTES", -1, 2))
    with pytest.raises(InvalidInput, match="mixed"):
        decode([["a"], "b"], spec("BYTES", -1, 1))


def test_binary_texts_are_bytes() -> None:
    assert decode(["é", {"b64": "/wA="}], spec("BYTES", -1, binary=True)).tolist() == ["é".encode(), b"\xff\x00"]


def test_null_is_a_missing_value_where_the_model_takes_one() -> None:
    numbers = decode([[1, None], [None, 2.5]], spec("FP32", -1, 2, nullable=True, finite=True))
    np.testing.assert_array_equal(numbers, np.array([[1, np.nan], [np.nan, 2.5]], dtype=np.float32))
    assert np.isnan(decode([None], spec("FP64", -1, nullable=True)))[0]
    assert decode(["a", None], spec("BYTES", -1, nullable=True)).tolist() == ["a", None]
    with pytest.raises(InvalidInput, match="INT64 has no missing values"):
        decode([1, None], spec("INT64", -1, nullable=True))


def test_not_a_number_and_infinities_are_refused_where_the_model_wants_finite() -> None:
    array = np.array([[1.0, np.nan], [np.inf, 0]])
    with pytest.raises(InvalidInput, match=r"x\[0\]\[1\] is a missing value \(NaN\)"):
        fit(array, spec("FP32", -1, 2, finite=True), "x")
    with pytest.raises(InvalidInput, match=r"x\[1\]\[0\] is infinite"):
        fit(array, spec("FP32", -1, 2, finite=True, nullable=True), "x")
    assert np.isinf(fit(array, spec("FP32", -1, 2), "x")[1, 0])


@pytest.mark.parametrize(
    ("shape", "want", "says"),
    [
        ((2, 3), (-1, 4), "each row holds 3 values, the model takes 4"),
        ((2,), (-1, 4), "has shape [2], the model takes [-1, 4]"),
        ((2, 3, 1), (-1, 3), "has shape [2, 3, 1], the model takes [-1, 3]"),
        ((), (1,), "has shape [], the model takes [1]"),
        ((1,) * 20, (-1,), "has shape [1, 1, 1, 1, 1, 1, 1, 1, …], the model takes [-1]"),
    ],
)
def test_shapes_are_compared(shape: tuple[int, ...], want: tuple[int, ...], says: str) -> None:
    with pytest.raises(InvalidInput) as error:
        fit(np.zeros(shape), spec("FP64", *want), "x")
    assert says in str(error.value)


def test_numbers_and_bytes_are_not_taken_for_each_other() -> None:
    with pytest.raises(InvalidInput, match="takes BYTES, but FP64 was sent"):
        fit(np.zeros(1), spec("BYTES", -1), "x")
    with pytest.raises(InvalidInput, match="takes FP64, but BYTES was sent"):
        fit(np.array(["1"], dtype=np.object_), spec("FP64", -1), "x")


@pytest.mark.parametrize("datatype", ["FP64", "INT8", "BYTES"])
@pytest.mark.parametrize("depth", [1, 31, 32, 63, 64, 100, 1023])
def test_lists_nested_deeply_are_refused(datatype: str, depth: int) -> None:
    with pytest.raises(InvalidInput) as error:
        decode(deep(depth), spec(datatype, -1, 2))
    assert len(str(error.value)) < 200


def test_one_long_text_among_numbers_costs_no_memory() -> None:
    """numpy alone would reserve 120 GB here, the text's length for each number."""
    with pytest.raises(InvalidInput, match=r"x\[0\]\[0\] is the string"):
        decode([["x" * 1_000_000, *[1] * 30_000]], spec("FP64", -1, -1))


def test_common_rows_names_those_that_differ() -> None:
    assert common_rows({"a": [1, 2], "b": [3, 4]}, "inputs") == 2
    with pytest.raises(InvalidInput, match="the inputs hold different numbers of rows: 'a' holds 1, 'c' holds 2"):
        common_rows({"a": [1], "b": [1], "c": [1, 2]}, "inputs")


@pytest.mark.parametrize(
    ("shape", "value", "want"),
    [
        ((-1, 1), [1, 2], [[1.0], [2.0]]),
        ((-1, 1), [[1], [2]], [[1.0], [2.0]]),
        ((-1,), [[1], [2]], [1.0, 2.0]),
        ((-1,), [1, 2], [1.0, 2.0]),
    ],
)
def test_a_column_comes_as_values_or_as_rows_of_one(shape: Any, value: Any, want: Any) -> None:
    spec = TensorSpec("x", "FP64", shape)
    assert fit(from_json(value, spec, "x"), spec, "x").tolist() == want
    texts = TensorSpec("x", "BYTES", shape)
    as_texts = fit(from_json(_texts(value), texts, "x"), texts, "x")
    assert as_texts.tolist() == _texts(want)


def _texts(value: Any) -> Any:
    return [_texts(each) for each in value] if isinstance(value, list) else f"text {int(value)}"


@pytest.mark.parametrize(("shape", "value"), [((-1, 2), [1, 2]), ((-1, 1, 1), [1, 2]), ((), [1]), ((-1,), [[1, 2]])])
def test_other_dimensions_are_not_made_up(shape: Any, value: Any) -> None:
    spec = TensorSpec("x", "FP64", shape)
    with pytest.raises(InvalidInput):
        fit(from_json(value, spec, "x"), spec, "x")
