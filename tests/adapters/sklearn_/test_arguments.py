"""From tensors to what an estimator was trained on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from adapters.base import InvalidInput, TensorSpec
from adapters.sklearn_.arguments import Matrix, Table, Values, as_trained
from adapters.sklearn_.columns import Column


def objects(*values: Any) -> Any:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def column(name: str = "a", datatype: str = "FP64", **more: Any) -> Column:
    return Column(name, datatype, used=True, **more)


def test_texts_reach_a_vectorizer_as_a_list() -> None:
    inputs = Values("BYTES", ["some text", "another text"], as_list=True)
    assert inputs.rows({"input-0": objects("a", "b", "c")}) == ["a", "b", "c"]
    assert inputs.example((0.5, 1.0))["input-0"].tolist() == ["some text", "another text"]
    assert inputs.specs() == (TensorSpec("input-0", "BYTES", (-1,)),)


def test_one_number_a_row_stays_an_array() -> None:
    inputs = Values("FP64")
    rows = np.array([1.0, 2.0])
    assert inputs.rows({"input-0": rows}) is rows
    assert inputs.example((0.5, 1.0))["input-0"].tolist() == [0.5, 1.0]
    assert inputs.specs() == (TensorSpec("input-0", "FP64", (-1,), finite=True),)
    with pytest.raises(NotImplementedError):
        inputs.with_value({"input-0": rows}, [], None)


@pytest.mark.parametrize(
    ("kind", "wrong", "message"),
    [
        (dict, "x" * 100, rf"^input-0\[1\] is str '{'x' * 60}': send an object of features by name$"),
        (list, {"a": 1}, r"^input-0\[1\] is dict \"\{'a': 1\}\": send a list$"),
    ],
)
def test_a_value_of_json_of_another_kind_is_named(kind: type, wrong: Any, message: str) -> None:
    inputs = Values("BYTES", as_list=True, kind=kind)
    assert inputs.specs()[0].json
    assert inputs.rows({"input-0": objects(kind(), kind())}) == [kind(), kind()]
    with pytest.raises(InvalidInput, match=message):
        inputs.rows({"input-0": objects(kind(), wrong)})


def test_a_matrix_is_passed_on_as_it_is_or_as_a_copy() -> None:
    rows = np.array([[1.0, 2.0]])
    inputs = Matrix([column("a"), column("b")], named=False)
    assert inputs.rows({"input-0": rows}) is rows
    inputs.copies = True
    copied = inputs.rows({"input-0": rows})
    assert copied is not rows
    assert copied.tolist() == [[1.0, 2.0]]


def test_a_matrix_with_names_is_a_frame() -> None:
    inputs = Matrix([column("a"), column("b", dtype=np.dtype(np.float32))], named=True)
    frame = inputs.rows({"input-0": np.array([[0.1, 0.1]])})
    assert list(frame.columns) == ["a", "b"]
    assert frame.dtypes.tolist() == [np.float64, np.float32]
    assert (frame["a"].item(), frame["b"].item()) == (0.1, float(np.float32(0.1)))
    assert inputs.names == ("a", "b")
    assert Matrix(inputs.columns, named=False).names == ()


def test_numbers_of_fewer_digits_are_as_in_training() -> None:
    inputs = Matrix([column(dtype=np.dtype(np.float32))], named=False)
    rows = inputs.rows({"input-0": np.array([[0.1], [1e300]])})
    assert rows.dtype == np.float32
    assert rows.tolist() == [[float(np.float32(0.1))], [math.inf]]


def test_a_matrix_of_texts_has_numpys_own() -> None:
    inputs = Matrix([column("a", "BYTES", dtype=np.dtype("U3")), column("b", "BYTES", dtype=np.dtype("U1"))], False)
    rows = inputs.rows({"input-0": np.array([["red", "x"]], object)})
    assert (rows.dtype.kind, rows.tolist()) == ("U", [["red", "x"]])


def test_what_a_matrix_says_of_itself_is_what_all_its_columns_take() -> None:
    columns = [column("a", finite=True), column("b", finite=True, nullable=True)]
    inputs = Matrix(columns, named=False)
    assert inputs.specs() == (TensorSpec("input-0", "FP64", (-1, 2), nullable=True, finite=True),)
    columns[0].finite = False
    assert inputs.specs() == (TensorSpec("input-0", "FP64", (-1, 2), nullable=True, finite=False),)
    columns[1].any_type, columns[1].datatype = True, "INT64"
    (spec,) = inputs.specs()
    assert (spec.datatype, spec.any_type) == ("BYTES", True)


@pytest.mark.parametrize(
    ("columns", "uniform"),
    [
        ([column(), column("b")], True),
        ([column(nullable=True), column("b", nullable=True)], True),
        ([column(nullable=True), column("b")], False),
        ([column(finite=True), column("b")], False),
        ([column(any_type=True), column("b", any_type=True)], False),
        ([column(dtype=np.dtype(np.float32)), column("b")], False),
        ([column(datatype="INT64"), column("b", "INT64")], False),
    ],
    ids=["alike", "both nullable", "one nullable", "one finite", "of any type", "fewer digits", "whole numbers"],
)
def test_a_matrix_is_uniform_where_its_signature_says_it_all(columns: list[Column], uniform: bool) -> None:
    assert Matrix(columns, named=False).uniform is uniform


def test_an_example_holds_what_is_known_of_each_column() -> None:
    columns = [column("a", seen=[7.0]), column("b", tried=(8.0, 9.0)), column("c")]
    expected = [[7.0, 8.0, 0.5], [7.0, 9.0, 1.0]]
    assert Matrix(columns, named=False).example((0.5, 1.0))["input-0"].tolist() == expected
    parts = Table(columns, named=False).example((0.5, 1.0))
    assert np.stack(list(parts.values()), axis=1).tolist() == expected


def test_a_value_is_set_in_the_first_row_of_a_copy() -> None:
    a, b = column("a", "INT64"), column("b", "INT64")
    rows = np.array([[1, 2], [3, 4]])
    changed = Matrix([a, b], named=False).with_value({"input-0": rows}, [b], math.inf)["input-0"]
    assert (changed.tolist(), changed.dtype) == ([[1.0, math.inf], [3.0, 4.0]], np.float64)
    tensors = {"a": np.array([1, 2]), "b": np.array([3.0, 4.0], np.float32)}
    none = Table([a, b], named=False).with_value(tensors, [a], None)
    assert (none["a"].tolist(), none["b"] is tensors["b"]) == ([None, 2], True)
    narrow = Table([a, b], named=False).with_value(tensors, [b], 9.0)["b"]
    assert (narrow.tolist(), narrow.dtype) == ([9.0, 4.0], np.float32)
    assert (rows.tolist(), tensors["b"].tolist()) == ([[1, 2], [3, 4]], [3.0, 4.0])


def test_a_value_is_set_in_the_very_column_that_is_meant() -> None:
    first, second = Column("a", "FP64"), Column("a", "FP64")
    rows = np.array([[1.0, 2.0], [3.0, 4.0]])
    changed = Matrix([first, second], named=False).with_value({"input-0": rows}, [second], 9.0)["input-0"]
    assert changed.tolist() == [[1.0, 9.0], [3.0, 4.0]]


def test_tensors_are_brought_into_the_datatypes_of_today() -> None:
    columns = [column("a"), column("b", "BYTES", any_type=True), column("c")]
    tensors = {"a": np.array([1, 2]), "b": np.array([3, 4])}
    found = Table(columns, named=False).with_datatypes(tensors)
    assert [(name, array.dtype.name) for name, array in found.items()] == [("a", "float64"), ("b", "int64")]
    assert found["b"] is tensors["b"]


def test_a_table_with_names_is_a_frame_of_what_was_given() -> None:
    inputs = Table([column("a"), column("b", "BYTES"), Column("c")], named=True)
    values = np.array([1.0, 2.0])
    frame = inputs.rows({"b": objects("x", None), "a": values})
    assert list(frame.columns) == ["a", "b"]
    assert frame["a"].tolist() == [1.0, 2.0]
    assert frame["b"].iloc[0] == "x"
    assert math.isnan(frame["b"].iloc[1])


def test_a_table_without_names_has_none_where_nothing_was_given() -> None:
    inputs = Table([column("input-0"), Column("input-1"), column("input-2", "BYTES")], named=False)
    rows = inputs.rows({"input-0": np.array([1.0, 2.0]), "input-2": objects("x", "y")})
    assert rows.dtype == object
    assert rows.tolist() == [[1.0, None, "x"], [2.0, None, "y"]]


def test_columns_that_nothing_looks_at_are_optional() -> None:
    used, unused, declared = column("a", finite=True), Column("b", "FP64"), Column("c", "INT64", declared=True)
    inputs = Table([used, unused, declared], named=True)
    assert inputs.specs() == (
        TensorSpec("a", "FP64", (-1,), finite=True),
        TensorSpec("b", "BYTES", (-1,), nullable=True, optional=True, unused=True),
        TensorSpec("c", "INT64", (-1,)),
    )
    assert list(inputs.example((0.5, 1.0))) == ["a", "c"]


def test_categories_keep_their_order_and_strange_ones_follow() -> None:
    inputs = Table([column("kind", "BYTES", categories=["v", "u"])], named=True)
    values = inputs.rows({"kind": objects("u", "z", None, "v")})["kind"]
    assert values.cat.categories.tolist() == ["v", "u", "z"]
    assert values.cat.codes.tolist() == [1, 2, -1, 0]


def test_whole_numbers_of_categories_may_come_as_floats() -> None:
    inputs = Table([column("code", categories=[20, 10])], named=True)
    values = inputs.rows({"code": np.array([10.0, math.nan, 10.5])})["code"]
    assert values.cat.categories.tolist() == [20, 10, 10.5]
    assert values.cat.codes.tolist() == [1, -1, 2]


def test_a_column_is_copied_where_the_model_writes() -> None:
    values = np.array([1.0, 2.0])
    for copies in (False, True):
        inputs = Table([column()], named=False, copies=copies)
        assert (inputs._column(inputs.columns[0], values) is values) is not copies


@pytest.mark.parametrize(
    ("known", "values", "trained"),
    [
        (column(dtype=np.dtype(object), missing=None), np.array([1.0, math.nan]), [1.0, None]),
        (column(dtype=np.dtype(object)), np.array([1, 2]), [1, 2]),
        (column("a", "BYTES", missing=None), objects("x", None), ["x", None]),
        (column(dtype=np.dtype(np.float16)), np.array([0.1, 1e9]), [float(np.float16(0.1)), math.inf]),
        (column(), np.array([0.1, 1e300]), [0.1, 1e300]),
    ],
    ids=["none among numbers", "numbers as objects", "none among texts", "fewer digits", "as it came"],
)
def test_values_are_as_they_were_in_training(known: Column, values: Any, trained: list[Any]) -> None:
    found = as_trained(known, values)
    assert found.tolist() == trained
    assert known.dtype is None or found.dtype == known.dtype


def test_a_missing_text_is_what_stood_for_it() -> None:
    found = as_trained(column("a", "BYTES"), objects("x", None))
    assert found[0] == "x"
    assert math.isnan(found[1])


def test_dates_are_sent_as_texts() -> None:
    when = column("when", "BYTES", dtype=np.dtype("M8[D]"))
    found = as_trained(when, objects("2024-01-31", None, "2024-02"))
    assert found.dtype == np.dtype("M8[D]")
    assert found.astype(str).tolist() == ["2024-01-31", "NaT", "2024-02-01"]
    with pytest.raises(InvalidInput, match=r"^when: 'x{60}' is no date: send it as 2024-01-31T12:00:00$"):
        as_trained(when, objects("x" * 99))
