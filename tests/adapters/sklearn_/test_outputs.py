"""An estimator's answers as tensors."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from adapters.sklearn_.outputs import label_dtype, labels_of, tensors_of


@pytest.mark.parametrize(
    ("answer", "values", "dtype"),
    [
        (np.array([1, 2]), [1, 2], "int64"),
        (np.array(["a", "b"]), ["a", "b"], "object"),
        (np.array([b"a", None], object), ["a", None], "object"),
        (np.array([1.5], np.longdouble), [1.5], "float64"),
        (np.array(["2026-01-02"], "M8[D]"), ["2026-01-02"], "object"),
        (scipy.sparse.csr_matrix([[0, 1.5]]), [[0, 1.5]], "float64"),
        (pd.DataFrame({"a": [1.5]}), [[1.5]], "float64"),
        (np.asfortranarray([[1, 2], [3, 4]]), [[1, 2], [3, 4]], "int64"),
    ],
)
def test_one_output(answer: Any, values: Any, dtype: str) -> None:
    (array,) = tensors_of(answer).values()
    assert (array.tolist(), array.dtype) == (values, np.dtype(dtype))
    assert array.flags.c_contiguous


def test_several_outputs_are_numbered() -> None:
    assert list(tensors_of([np.zeros(1), np.zeros(1)])) == ["output-0", "output-1"]


@pytest.mark.parametrize(
    ("classes", "dtype"),
    [([1, 2], "int64"), ([1.5, 2], "float64"), ([True, False], "bool"), (["a", "b"], None), ([1, "a"], None)],
)
def test_labels_that_were_objects_are_numbers_again(classes: list[Any], dtype: str | None) -> None:
    found = label_dtype(SimpleNamespace(classes_=np.array(classes, object)))
    assert found == (None if dtype is None else np.dtype(dtype))
    if found is not None:
        assert tensors_of(np.array(classes, object), found)["output-0"].dtype == found
    assert label_dtype(SimpleNamespace(classes_=np.array([1, 2]))) is None
    assert label_dtype(object()) is None


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        (np.array([0, 1]), ("0", "1")),
        (np.array(["no", "yes"], object), ("no", "yes")),
        ([np.array([0, 1]), np.array([0, 1])], ()),
        (np.zeros((2, 2)), ()),
        (np.arange(5000), ()),
        (None, ()),
    ],
)
def test_what_the_classes_are_called(classes: Any, labels: tuple[str, ...]) -> None:
    assert labels_of(SimpleNamespace(classes_=classes)) == labels
    assert labels_of(object()) == ()
