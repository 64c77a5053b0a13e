"""What a `python_function` takes and gives, from and to tensors."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from adapters.base import InvalidInput, Signature, TensorSpec
from adapters.mlflow_.schema import Schema
from adapters.mlflow_.values import argument_of, tensors_of


def frame(named: bool = True, dates: frozenset[str] = frozenset()) -> Schema:
    return Schema(
        "frame", Signature((TensorSpec("a", "FP64", (-1,)), TensorSpec("b", "BYTES", (-1,))), ()), named, dates
    )


def test_a_frame_has_its_columns_in_the_signatures_order() -> None:
    inputs = {"b": np.array(["x", None], object), "a": np.array([1.0, 2.0])}
    made = argument_of(inputs, frame())
    assert list(made.columns) == ["a", "b"]
    assert made["a"].tolist() == [1.0, 2.0]
    assert list(argument_of({"a": inputs["a"]}, frame()).columns) == ["a"]  # an optional one is left out
    assert list(argument_of(inputs, frame(named=False)).columns) == [0, 1]


def test_dates_become_dates_or_the_clients_fault() -> None:
    schema = frame(dates=frozenset("b"))
    made = argument_of({"b": np.array(["2026-01-02"], object)}, schema)
    assert made["b"][0] == pd.Timestamp(2026, 1, 2)
    with pytest.raises(InvalidInput, match="b holds what is no date"):
        argument_of({"b": np.array(["soon"], object)}, schema)
    for zoned in (["2026-01-02T10:00:00+02:00"], ["2026-01-02T10:00:00Z", "2026-01-02T10:00:00-05:00"]):
        with pytest.raises(InvalidInput, match="b holds dates with a time zone"):
            argument_of({"b": np.array(zoned, object)}, schema)


def test_arrays_and_anything() -> None:
    array = np.array([[1.0]])
    assert argument_of({"x": array}, Schema("array", Signature((), ()))) is array
    assert argument_of({"x": array}, Schema("arrays", Signature((), ()))) == {"x": array}
    anything = Schema("anything", Signature((), ()))

    def sent(*values: Any) -> Any:
        held = np.empty(len(values), object)
        held[:] = values
        return argument_of({"input-0": held}, anything)

    assert isinstance(sent({"a": 1}, {"a": 2}), pd.DataFrame)
    assert sent(1, 2).tolist() == [1, 2]
    assert sent([1], [2, 3]) == [[1], [2, 3]]


@pytest.mark.parametrize(
    ("answer", "values"),
    [
        ([1, 2], [1, 2]),
        ([[1.5], [2]], [[1.5], [2.0]]),
        (["a", None], ["a", None]),
        ([{"a": np.int64(1)}], [{"a": 1}]),
        (np.float32(2.5), [2.5]),
        (pd.Series([1, 2]), [1, 2]),
        (pd.DataFrame({"0": [1.5]}), [1.5]),
        (pd.Series(["a", pd.NA]), ["a", None]),
        ([datetime.date(2026, 1, 2)], ["2026-01-02"]),
        ([decimal.Decimal("1.5")], [1.5]),
        ([[1], [2, 3]], [[1], [2, 3]]),
        ("text", ["text"]),
        (np.array([1], np.longdouble), [1.0]),
    ],
)
def test_an_answer_of_one_output(answer: Any, values: Any) -> None:
    (array,) = tensors_of(answer, ()).values()
    assert array.tolist() == values
    assert array.dtype.kind != "M"


def test_names_are_the_signatures_where_there_are_as_many() -> None:
    answer = pd.DataFrame({"0": [1], "1": [2]})
    specs = [TensorSpec("y", "INT64", (-1,)), TensorSpec("z", "INT64", (-1,))]
    assert list(tensors_of(answer, specs)) == ["y", "z"]
    assert list(tensors_of(answer, specs[:1])) == ["0", "1"]
    assert list(tensors_of({"z": [1], "y": [2]}, specs)) == ["z", "y"]


def test_a_list_of_objects_is_columns_where_they_are_the_signatures() -> None:
    specs = (TensorSpec("n", "FP64", (-1,)), TensorSpec("t", "BYTES", (-1,)))
    found = tensors_of([{"t": "a", "n": 1.5}, {"n": 2.5, "t": None}], specs)
    assert {name: array.tolist() for name, array in found.items()} == {"n": [1.5, 2.5], "t": ["a", None]}
    for answer in ([{"n": 1.0}], [{"n": 1.0, "t": "a", "more": 1}], [], [1.0]):
        assert list(tensors_of(answer, specs)) == ["output-0"]
