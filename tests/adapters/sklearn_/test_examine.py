"""What a model answers and refuses is found by asking it, with values that it may have seen in training."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

from adapters.base import Array, LoadError, Tensors
from adapters.sklearn_.arguments import Matrix, Table
from adapters.sklearn_.asked import reason
from adapters.sklearn_.columns import Column
from adapters.sklearn_.examine import examine


def numbers(*names: str, **more: Any) -> list[Column]:
    return [Column(name, "FP64", used=True, **more) for name in names]


def refusing(wrong: Callable[[Array], Any], message: str = "not these") -> Callable[[Tensors], Any]:
    """A model of one tensor that gives back what it takes, and refuses some values."""

    def ask(tensors: Tensors) -> Any:
        (rows,) = tensors.values()
        if np.any(wrong(rows)):
            raise ValueError(message)
        return rows

    return ask


def limits(columns: list[Column]) -> list[tuple[bool, bool]]:
    return [(column.nullable, column.finite) for column in columns]


def test_the_answer_is_to_the_example() -> None:
    columns = numbers("a", "b")
    found = examine(Matrix(columns, named=False), lambda tensors: tensors["input-0"].sum(axis=1))
    assert found.example["input-0"].tolist() == [[0.5, 0.5], [1.0, 1.0]]
    assert found.answer.tolist() == [1.0, 2.0]
    assert (found.answered, found.refusal) == (True, "")


def test_values_seen_in_training_come_first() -> None:
    columns = [Column("a", "FP64", seen=[7.0, 8.0], used=True), *numbers("b")]
    found = examine(Matrix(columns, named=False), lambda tensors: 0)
    assert found.example["input-0"].tolist() == [[7.0, 0.5], [8.0, 1.0]]


@pytest.mark.parametrize(
    ("wrong", "taken"),
    [
        (lambda rows: rows == 0.5, [0.0, 1.0]),
        (lambda rows: (rows == 0.5) | (rows == 0), [0.25, 0.75]),
        (lambda rows: rows < 1, [1.0, 2.0]),
    ],
    ids=["no half", "nothing below a quarter", "nothing below one"],
)
def test_others_are_tried_in_turn(wrong: Callable[[Array], Any], taken: list[float]) -> None:
    found = examine(Matrix(numbers("a"), named=False), refusing(wrong))
    assert found.answered
    assert found.example["input-0"].ravel().tolist() == taken


def test_a_model_that_takes_nothing_is_told_in_the_log_with_its_first_reason(caplog: pytest.LogCaptureFixture) -> None:
    def ask(tensors: Tensors) -> Any:
        raise ValueError(f"no {tensors['input-0'][0, 0]}\nand more")

    columns = numbers("a")
    found = examine(Matrix(columns, named=False), ask)
    assert (found.answered, found.answer) == (False, None)
    assert found.example["input-0"].ravel().tolist() == [0.5, 1.0]
    assert caplog.messages == ["the model takes none of the examples made up for it: no 0.5"]
    assert limits(columns) == [(False, False)]


@pytest.mark.parametrize(
    ("wrong", "nullable", "finite"),
    [
        (lambda rows: False, True, False),
        (np.isnan, False, False),
        (np.isinf, True, True),
        (lambda rows: ~np.isfinite(rows), False, True),
    ],
    ids=["takes all", "no NaN", "no infinity", "neither"],
)
def test_missing_values_and_infinities(wrong: Callable[[Array], Any], nullable: bool, finite: bool) -> None:
    columns = numbers("a", "b")
    examine(Matrix(columns, named=False), refusing(wrong))
    assert limits(columns) == [(nullable, finite)] * 2


def test_each_group_of_columns_has_limits_of_its_own() -> None:
    columns = [*numbers("a", group="/x"), *numbers("b", group="/y"), *numbers("c", group="/x")]
    examine(Matrix(columns, named=False), refusing(lambda rows: ~np.isfinite(rows[:, 1])))
    assert limits(columns) == [(True, False), (False, True), (True, False)]


def test_whole_numbers_with_missing_ones_among_them_come_as_floats() -> None:
    columns = [Column("a", "INT64", seen=[3, 4], used=True), Column("b", "INT64", seen=[5, 6], used=True, group="/b")]

    def ask(tensors: Tensors) -> int:
        if np.isnan(tensors["b"]).any():
            raise ValueError("b")
        return 0

    found = examine(Table(columns, named=False), ask)
    assert [(column.datatype, column.nullable) for column in columns] == [("FP64", True), ("INT64", False)]
    assert [(name, array.dtype.name) for name, array in found.example.items()] == [("a", "float64"), ("b", "int64")]


def test_a_missing_one_among_large_whole_numbers_is_none() -> None:
    asked: list[Any] = []
    column = Column("a", "INT64", seen=[2**53 + 1, 4], used=True, wide=True)
    examine(Table([column], named=False), lambda tensors: asked.append(tensors["a"].tolist()))
    assert asked == [[2**53 + 1, 4], [None, 4]]
    assert (column.nullable, column.any_type, column.datatype) == (True, True, "INT64")


def test_of_texts_none_is_the_missing_one_and_of_truths_there_is_none() -> None:
    asked: list[Tensors] = []
    text, truth = Column("t", "BYTES", seen=["x", "y"], used=True), Column("b", "BOOL", seen=[True, False], used=True)
    examine(Table([text, truth], named=False), asked.append)
    assert [tensors["t"].tolist() for tensors in asked] == [["x", "y"], [None, "y"]]
    assert limits([text, truth]) == [(True, False), (False, False)]


def test_columns_of_which_nothing_is_known_are_tried_with_what_people_have() -> None:
    columns = [Column(name, "FP64", used=True, any_type=True) for name in ("when", "v", "kind")]

    def ask(tensors: Tensors) -> str:
        np.array(tensors["when"], "M8[D]") + np.timedelta64(1, "D")
        if tensors["when"].dtype != object or tensors["v"].dtype != np.float64 or tensors["kind"][0] != "a":
            raise TypeError
        return "taken"

    found = examine(Table(columns, named=False), ask)
    assert found.answer == "taken"
    assert {name: array.tolist() for name, array in found.example.items()} == {
        "when": ["2024-01-31", "2024-07-01"],
        "v": [1.0, 2.0],
        "kind": ["a", "b"],
    }
    assert [column.datatype for column in columns] == ["BYTES", "FP64", "BYTES"]
    assert limits(columns) == [(True, False)] * 3


def test_a_wide_table_of_unknown_columns_is_given_up_after_a_hundred_combinations() -> None:
    asked: list[Tensors] = []

    def ask(tensors: Tensors) -> Any:
        asked.append(tensors)
        raise TypeError("never")

    columns = [Column(str(index), "FP64", used=True, any_type=True) for index in range(5)]
    found = examine(Table(columns, named=False), ask)
    assert not found.answered
    assert len(asked) == 4 + 3 + 100
    assert {(column.datatype, tuple(column.tried)) for column in columns} == {("BYTES", ())}


def test_a_column_that_nothing_looks_at_is_sent_where_its_absence_is_refused() -> None:
    columns = [*numbers("a"), Column("dropped", "FP64"), Column("id", "FP64")]
    found = examine(Table(columns, named=False), lambda tensors: sorted([tensors["dropped"].dtype.name, *tensors]))
    assert found.answer == ["a", "dropped", "float64", "id"]
    assert [column.used for column in columns] == [True, True, True]
    kept = [*numbers("a"), Column("dropped", "FP64")]
    assert examine(Table(kept, named=False), list).answer == ["a"]
    assert [column.used for column in kept] == [True, False]


@pytest.mark.parametrize("message", ["Buffer dtype mismatch, expected 'float'", "H should have the same dtype as X."])
def test_one_that_was_trained_on_fewer_digits_gets_them(message: str) -> None:
    columns = numbers("a")
    inputs = Matrix(columns, named=False)

    def ask(tensors: Tensors) -> Any:
        rows = inputs.rows(tensors)
        if rows.dtype != np.float32:
            raise ValueError(message)
        return rows

    found = examine(inputs, ask)
    assert found.answered
    assert (found.answer.dtype, columns[0].dtype) == (np.float32, np.float32)
    assert found.example["input-0"].dtype == np.float64


def test_a_model_that_was_never_fitted_is_refused() -> None:
    def ask(tensors: Tensors) -> Any:
        raise NotFittedError("this one is not fitted")

    with pytest.raises(LoadError, match=r"^holds a model that was never fitted$"):
        examine(Matrix(numbers("a"), named=False), ask)


def test_what_an_estimator_lacks_no_value_gives_it() -> None:
    with pytest.raises(
        LoadError, match=r"^does not work: AttributeError: 'StandardScaler' object has no attribute 'new_'"
    ):
        examine(Matrix(numbers("a"), named=False), lambda tensors: StandardScaler().new_)
    found = examine(Matrix(numbers("a"), named=False), lambda tensors: tensors["input-0"].nothing)  # a value may
    assert not found.answered


def test_what_the_model_says_of_made_up_values_is_nobodys_business(recwarn: pytest.WarningsRecorder) -> None:
    def ask(tensors: Tensors) -> Any:
        warnings.warn("strange values", stacklevel=1)
        return np.log(tensors["input-0"] - 0.5) / 0.0

    with np.errstate(all="raise"):
        assert examine(Matrix(numbers("a"), named=False), ask).answer[0, 0] == -math.inf
    assert not recwarn.list


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError("[12:30:01] /workspace/src/learner.cc:12: Check failed\nStack trace:"), "Check failed"),
        (KeyError(), "KeyError"),
        (ValueError("  "), "ValueError"),
    ],
    ids=["the first line", "without XGBoost's place", "no words", "blank"],
)
def test_a_reason_is_one_line(error: Exception, words: str) -> None:
    assert reason(error) == words
