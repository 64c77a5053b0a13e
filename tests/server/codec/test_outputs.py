"""Outputs in JSON and as text: exact numbers, and whatever numpy objects a model leaves in its answers."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from adapters.base import Array, Signature, TensorSpec
from adapters.datatypes import NUMPY_OF, datatype_of
from server.codec import v1, v2
from server.codec.outputs import texts
from server.codec.requested_outputs import RequestedOutput
from server.codec.v2 import DecodedV2Request
from server.errors import InvalidInput
from tests.server.codec.signatures import NUMBERS

pytestmark = pytest.mark.filterwarnings("error")

SPEC = TensorSpec("y", "FP64", (-1,))
BATCHED = Signature((), (SPEC,))
KEYED = Signature((), (SPEC,), keyed=True)
WHOLE = Signature((), (SPEC,), batched=False)


def predictions(array: Array, signature: Signature = BATCHED) -> Any:
    return orjson.loads(v1.encode({"y": array}, signature))["predictions"]


def data(array: Array) -> Any:
    call = DecodedV2Request({}, 1, {}, "", {}, binary=False)
    body, length = v2.encode({"y": array}, call, "m")
    assert length is None
    (output,) = orjson.loads(body)["outputs"]
    assert output["shape"] == list(array.shape)
    assert output["datatype"] == datatype_of(array.dtype)
    return output["data"]


def equal(written: Any, value: Any) -> bool:
    """A JSON value and the number that it stands for."""
    if isinstance(value, (float, np.floating)) and not np.isfinite(value):
        return written is None
    return bool(written == value.item()) and np.signbit(written) == np.signbit(value.item())


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(NUMBERS), st.sampled_from("<>"), st.sampled_from("CF"), st.data())
def test_every_number_is_exact_in_v1_and_v2(datatype: str, endian: Any, order: Any, source: st.DataObject) -> None:
    """NaN and infinities are null; byte order and memory layout do not matter."""
    array = source.draw(arrays.arrays(NUMPY_OF[datatype], arrays.array_shapes(min_dims=1, max_dims=3, max_side=3)))
    laid_out = np.asarray(array, dtype=array.dtype.newbyteorder(endian), order=order)
    rows = _flat(predictions(laid_out))
    keyed = [leaf for row in predictions(laid_out, KEYED) for leaf in _flat(row["y"])]
    (whole,) = predictions(laid_out, WHOLE)
    for written in (rows, keyed, _flat(whole), data(laid_out)):
        assert all(equal(w, v) for w, v in zip(written, array.ravel(), strict=True))


def _flat(value: Any) -> list[Any]:
    return [leaf for item in value for leaf in _flat(item)] if isinstance(value, list) else [value]


def test_slices_and_transposed_arrays_are_written_row_by_row() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert predictions(array.T) == array.T.tolist()
    assert predictions(array[::2, ::-1]) == array[::2, ::-1].tolist()
    assert data(array.T) == array.T.ravel().tolist()


def test_a_float32_is_written_as_the_float64_of_the_same_value() -> None:
    tenth = np.float32(0.1)
    (row,) = predictions(np.array([{"score": tenth, "more": [tenth]}], dtype=np.object_))
    assert row == {"score": float(tenth), "more": [float(tenth)]}
    assert predictions(np.array([tenth])) == [float(tenth)]
    assert predictions(np.array([np.longdouble(0.5)])) == [0.5]


@pytest.mark.parametrize("dtype", NUMPY_OF.values(), ids=str)
def test_outputs_without_dimensions(dtype: np.dtype[Any]) -> None:
    array = np.array(1, dtype=dtype)
    assert predictions(array, WHOLE) == [1]
    assert data(array) == ["1" if dtype.kind == "O" else 1]


TEXTS: list[tuple[Any, list[str]]] = [
    (np.array(["a", "é"]), ["a", "é"]),
    (np.array([b"a", b"bc"]), ["a", "bc"]),
    (np.array([np.str_("a"), np.bytes_(b"b")], dtype=np.object_), ["a", "b"]),
    (np.array(["2024-01-02T03:04:05"], dtype="datetime64[s]"), ["2024-01-02T03:04:05"]),
    (np.array(["2024-01-02T03:04:05"], dtype="datetime64[ns]"), ["2024-01-02T03:04:05.000000000"]),
    (np.array([1 + 2j]), ["(1+2j)"]),
    (np.array([datetime.date(2024, 1, 2)], dtype=np.object_), ["2024-01-02"]),
    (np.array(["", '"quoted"'], dtype=np.object_), ["", '"quoted"']),
]


@pytest.mark.parametrize(("array", "want"), TEXTS, ids=str)
def test_texts_are_the_same_in_v1_and_v2(array: Array, want: list[str]) -> None:
    assert predictions(array) == want
    assert data(array) == want
    assert texts(array) == [text.encode() for text in want]


VALUES: list[Any] = [
    {"entities": [{"text": "é", "label": "ORG"}]},
    [1, 2.5, None, True],
    {"scores": np.arange(3, dtype=np.float32), "n": np.int64(3), "yes": np.bool_(True)},
    {1: 0.25, 2: 0.75},
    {"raw": b"text", "nan": float("nan"), "inf": np.float64("inf")},
    None,
    True,
    3,
    np.int32(3),
    (1, 2),
]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_json_values_are_values_in_v1_and_json_text_in_v2(value: Any) -> None:
    array = np.empty(1, dtype=np.object_)
    array[0] = value
    (in_v1,) = predictions(array)
    (in_v2,) = data(array)
    assert orjson.loads(in_v2) == in_v1
    assert in_v1 == orjson.loads(orjson.dumps(in_v1))
    if isinstance(value, dict) and "scores" in value:
        assert in_v1 == {"scores": [0.0, 1.0, 2.0], "n": 3, "yes": True}
    if isinstance(value, dict) and "raw" in value:
        assert in_v1 == {"raw": "text", "nan": None, "inf": None}
    if isinstance(value, dict) and 1 in value:
        assert in_v1 == {"1": 0.25, "2": 0.75}


def test_bytes_that_are_no_text() -> None:
    """V1 has TensorFlow Serving's form for them; V2's JSON has none, and says what to ask for."""
    array = np.array([b"\xff\x00"], dtype=np.object_)
    assert predictions(array) == [{"b64": "/wA="}]
    with pytest.raises(InvalidInput, match="output 'y' is not UTF-8 text: ask for it with \"binary_data\": true"):
        data(array)
    body, length = v2.encode(
        {"y": array}, DecodedV2Request({}, 1, {}, "", {"y": RequestedOutput(True)}, binary=False), "m"
    )
    assert body[length:] == b"\x02\0\0\0\xff\x00"


def test_several_outputs_are_an_object_an_instance() -> None:
    outputs = {"label": np.array(["a", "b"]), "scores": np.array([[0.5, 0.25], [1, np.nan]], dtype=np.float32)}
    want = [{"label": "a", "scores": [0.5, 0.25]}, {"label": "b", "scores": [1.0, None]}]
    assert orjson.loads(v1.encode(outputs, BATCHED))["predictions"] == want
    whole = orjson.loads(v1.encode(outputs, WHOLE))["predictions"]
    assert whole == [{"label": ["a", "b"], "scores": [[0.5, 0.25], [1.0, None]]}]
