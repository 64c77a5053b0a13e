"""Values as arrays, and rows taken apart and joined."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from adapters.base import InvalidInput, TensorSpec
from adapters.shared.arrays import array_of, joined, one_by_one, specs_of


@pytest.mark.parametrize(
    "values", [[], [1], [[1, 2], [3, 4]], [{"a": 1}, None, "x", b"y", [1.5]], [np.zeros(2), np.zeros(2)]]
)
def test_one_element_a_value(values: list[Any]) -> None:
    array = array_of(values)
    assert (array.dtype, array.shape) == (np.object_, (len(values),))
    assert all(element is value for element, value in zip(array, values, strict=True))


def test_specs_have_any_number_of_rows() -> None:
    outputs = {"a": np.zeros((2, 3), np.float32), "b": np.array(["x", "y"], dtype=np.object_)}
    assert specs_of(outputs) == (TensorSpec("a", "FP32", (-1, 3)), TensorSpec("b", "BYTES", (-1,)))


def test_rows_apart_and_together_are_the_same() -> None:
    inputs = {"x": np.arange(6).reshape(3, 2), "y": np.array(["a", "b", "c"], dtype=np.object_)}
    rows = one_by_one(inputs)
    assert [row["x"].tolist() for row in rows] == [[[0, 1]], [[2, 3]], [[4, 5]]]
    assert [row["y"].tolist() for row in rows] == [["a"], ["b"], ["c"]]
    together = joined(rows)
    assert all(np.array_equal(together[name], array) for name, array in inputs.items())


def test_rows_of_different_shapes_are_not_joined() -> None:
    with pytest.raises(InvalidInput, match="output 'y' has another shape for every instance: send one instance"):
        joined([{"y": np.zeros((1, 2))}, {"y": np.zeros((1, 3))}])
