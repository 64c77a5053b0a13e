"""Raw tensor data: what goes out comes back, and no bytes from a stranger do harm."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from adapters.base import Array
from adapters.datatypes import NUMPY_OF
from server.codec.raw_tensors import dtype_of, from_bytes, reshape, to_bytes
from server.errors import InvalidInput
from tests.server.codec.signatures import NUMBERS, decoded, same

pytestmark = pytest.mark.filterwarnings("error")

SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, max_side=3)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(NUMBERS), SHAPES, st.sampled_from("<>"), st.sampled_from("CF"), st.data())
def test_numbers_come_back_bit_for_bit(
    datatype: str, shape: tuple[int, ...], endian: Any, order: Any, data: st.DataObject
) -> None:
    """NaN and the infinities too; whatever the array's byte order and memory layout were."""
    array = data.draw(arrays.arrays(NUMPY_OF[datatype], shape))
    laid_out = np.asarray(array, dtype=array.dtype.newbyteorder(endian), order=order)
    assert same(from_bytes(to_bytes(laid_out, datatype), datatype, shape, "x"), array)


@settings(max_examples=50, deadline=None)
@given(arrays.arrays(np.object_, SHAPES, elements=st.binary(max_size=5)))
def test_bytes_come_back(array: Array) -> None:
    assert same(from_bytes(to_bytes(array, "BYTES"), "BYTES", array.shape, "x"), array)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(NUMPY_OF)), st.binary(max_size=24), st.lists(st.sampled_from([-1, 0, 1, 2, 3]), max_size=2)
)
def test_any_bytes_are_a_tensor_or_refused(datatype: str, data: bytes, shape: list[int]) -> None:
    array = decoded(lambda: from_bytes(data, datatype, shape, "x"))
    if array is None:
        return
    assert array.dtype == NUMPY_OF[datatype]
    assert list(array.shape) == shape
    assert to_bytes(array, datatype) == data


@pytest.mark.parametrize("datatype", ["FP64", "INT16", "BOOL"])
def test_tensors_own_aligned_writable_memory(datatype: str) -> None:
    """Native code may refuse, or misread, an array at an odd address inside a request's body."""
    body = memoryview(b"\0" + np.ones(3, dtype=NUMPY_OF[datatype]).tobytes())
    array = from_bytes(body[1:], datatype, [3], "x")
    assert array.flags.aligned
    assert array.flags.writeable


BAD_BYTES = [
    (b"\1", "ends within a length"),
    (b"\1\0\0\0", "an element of 1 bytes runs past"),
    (struct.pack("<I", 2**32 - 1) + b"abc", "4294967295 bytes runs past the end"),
    (struct.pack("<I", 1) + b"ab", "ends within a length"),
]


@pytest.mark.parametrize(("data", "says"), BAD_BYTES)
def test_lengths_that_lie_are_refused(data: bytes, says: str) -> None:
    with pytest.raises(InvalidInput, match=says.replace("an element", "element")):
        from_bytes(data, "BYTES", [1], "x")


def test_a_raw_bool_is_0_or_1() -> None:
    assert from_bytes(b"\0\1", "BOOL", [2], "x").tolist() == [False, True]
    with pytest.raises(InvalidInput, match="must be 0 or 1"):
        from_bytes(b"\0\2", "BOOL", [2], "x")


BAD_SHAPES: list[tuple[list[int], str]] = [
    ([3], "shape [3] does not fit 4 values"),
    ([-1, 4], "does not fit 4 values"),
    ([-2, -2], "does not fit 4 values"),
    ([2**62, 4, 2**62], "does not fit 4 values"),
    ([2**64, 2**64], "does not fit 4 values"),
    ([1] * 33 + [4], "34 dimensions, the limit is 32"),
    ([2**63] * 3_000_000, "3000000 dimensions, the limit is 32"),  # their product would take hours
]


@pytest.mark.parametrize(("shape", "says"), BAD_SHAPES, ids=lambda item: str(item)[:20])
def test_shapes_that_do_not_fit_are_refused(shape: list[int], says: str) -> None:
    with pytest.raises(InvalidInput) as error:
        reshape(np.zeros(4), shape, "x")
    assert says in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("shape", [[0, 2**62], [2**62, 0], [2**40, 0], [0, 2**63], [0, 2**32, 2**32]])
def test_a_tensor_without_values_cannot_claim_a_size(shape: list[int]) -> None:
    with pytest.raises(InvalidInput, match="too large for a tensor without values"):
        reshape(np.zeros(0), shape, "x")


def test_a_tensor_may_be_empty() -> None:
    assert reshape(np.zeros(0), [1, 8, 0, 64], "x").shape == (1, 8, 0, 64)


@pytest.mark.parametrize(
    ("datatype", "says"),
    [
        ("FP31", "datatype the string 'FP31' is unknown; did you mean 'FP32'"),
        ("fp32", "known: "),
        ("", "known: 'BOOL'"),
        (None, "must be a string"),
        (3, "must be a string"),
        ([["FP32"]], "must be a string"),
        ({}, "must be a string"),
    ],
)
def test_an_unknown_datatype_is_told(datatype: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        dtype_of(datatype, "x")
