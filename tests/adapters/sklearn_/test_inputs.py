"""From an estimator to the tensors that it takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction import DictVectorizer, FeatureHasher
from sklearn.feature_extraction.image import PatchExtractor
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    LabelBinarizer,
    LabelEncoder,
    MultiLabelBinarizer,
    OneHotEncoder,
    OrdinalEncoder,
)

from adapters.base import LoadError
from adapters.sklearn_.arguments import Matrix, Table, Values
from adapters.sklearn_.inputs import inputs_of
from tests.adapters.sklearn_.kit import FRAME, X, Y

NAMES = ["age", "size"]


def test_numbers_of_any_kind_are_a_matrix() -> None:
    inputs = inputs_of(LinearRegression().fit(X, Y))
    assert isinstance(inputs, Matrix)
    assert [each.name for each in inputs.columns] == ["input-0", "input-1", "input-2", "input-3"]
    assert (inputs.named, inputs.specs()[0].shape) == (False, (-1, 4))
    named = inputs_of(make_pipeline(LinearRegression()).fit(FRAME[NAMES], Y))
    assert isinstance(named, Matrix)
    assert named.names == ("age", "size")


def test_lightgbms_own_names_are_none() -> None:
    frame = pd.DataFrame(X, columns=[f"Column_{index}" for index in range(4)])
    inputs = inputs_of(LinearRegression().fit(frame, Y))
    assert isinstance(inputs, Matrix)
    assert inputs.names == ()


def test_columns_of_several_types_are_a_table() -> None:
    columns = make_column_transformer((OneHotEncoder(), ["city"]), ("passthrough", ["age"]))
    inputs = inputs_of(columns.fit(FRAME[["age", "city", "id"]]))
    assert isinstance(inputs, Table)
    assert [(spec.name, spec.datatype, spec.optional) for spec in inputs.specs()] == [
        ("age", "FP64", False),
        ("city", "BYTES", False),
        ("id", "BYTES", True),
    ]


def test_whole_numbers_that_share_a_float_stay_whole_in_a_matrix() -> None:
    large, small = np.array([[2**53 + 1], [5]]), np.array([[1], [2]])
    inputs = inputs_of(OrdinalEncoder().fit(np.hstack([large, small])))
    assert isinstance(inputs, Matrix)
    assert inputs.specs()[0].datatype == "INT64"
    plain = inputs_of(OrdinalEncoder().fit(small))
    assert plain.specs()[0].datatype == "FP64"
    frame = pd.DataFrame({"large": large.ravel(), "small": small.ravel()})
    assert isinstance(inputs_of(OrdinalEncoder().fit(frame)), Table)  # where each column has a type of its own


def test_the_folders_word_makes_columns_of_a_model_that_says_nothing() -> None:
    inputs = inputs_of(PatchExtractor(), {"when": "BYTES", "v": "FP64"})
    assert isinstance(inputs, Table)
    assert [(spec.name, spec.datatype) for spec in inputs.specs()] == [("when", "BYTES"), ("v", "FP64")]
    with pytest.raises(LoadError, match="the model has no column 'vv'; it has age, size"):
        inputs_of(LinearRegression().fit(FRAME[NAMES], Y), {"vv": "FP64"})
    with pytest.raises(LoadError, match=r"^holds a PatchExtractor, which does not say what it takes: polyserve\.yaml"):
        inputs_of(PatchExtractor())


def lengths(frame: Any) -> Any:
    """A function of one's own, of which nobody knows what it takes."""
    return frame.map(len)


def test_recorded_rows_teach_columns_of_any_type() -> None:
    model = make_pipeline(FunctionTransformer(lengths), LinearRegression()).fit(FRAME[["id"]], Y)
    untaught = inputs_of(model)
    assert [spec.any_type for spec in untaught.specs()] == [True]
    taught = inputs_of(model, recorded=[{"id": "a long one"}, {"id": "b"}])
    assert [(spec.any_type, spec.datatype) for spec in taught.specs()] == [(False, "BYTES")]
    assert [array.tolist() for array in taught.example((0.5, 1.0)).values()] == [["a long one", "b"]]


#: a fitted model of one value a row -> its datatype, an example, whether it comes as a list, JSON's type
ONE_VALUE: dict[str, tuple[Any, str, list[Any], bool, type | None]] = {
    "texts": (HashingVectorizer(), "BYTES", ["some text", "another text"], True, None),
    "objects": (DictVectorizer().fit([{"a": 1.0, "b": "x"}]), "BYTES", [{"a": 1.0}, {"b": "x"}], True, dict),
    "an object's text": (DictVectorizer().fit([{"b": "x"}]), "BYTES", [{"b": "x"}, {"b": "x"}], True, dict),
    "no object": (DictVectorizer().fit([{}]), "BYTES", [{}, {}], True, dict),
    "hashed objects": (FeatureHasher(), "BYTES", [{"a": 1}, {"b": 2}], True, dict),
    "pairs": (FeatureHasher(input_type="pair"), "BYTES", [[["a", 1]], [["b", 2]]], True, list),
    "strings": (FeatureHasher(input_type="string"), "BYTES", [["a"], ["b"]], True, list),
    "sets of labels": (MultiLabelBinarizer().fit([["x", "y"], ["z"]]), "BYTES", [["x"], ["y"]], True, list),
    "names": (LabelEncoder().fit(["b", "a"]), "BYTES", ["a", "b"], False, None),
    "whole numbers": (LabelEncoder().fit([5, 3]), "INT64", [3, 5], False, None),
    "whole numbers as objects": (LabelEncoder().fit(np.array([5, 3], object)), "INT64", [3, 5], False, None),
    "no negative ones": (LabelBinarizer().fit(np.array([5, 3], np.uint8)), "UINT64", [3, 5], False, None),
    "fewer digits": (LabelEncoder().fit(np.array([0.5, 1.5], np.float32)), "FP32", [0.5, 1.5], False, None),
    "truths": (LabelBinarizer().fit([True, False]), "BOOL", [False, True], False, None),
    "a curve": (IsotonicRegression().fit([1.0, 2.0, 4.0], [0.0, 1.0, 2.0]), "FP64", [1.0, 2.0], False, None),
}


@pytest.mark.parametrize("name", ONE_VALUE)
def test_a_model_of_one_value_a_row(name: str) -> None:
    model, datatype, example, as_list, kind = ONE_VALUE[name]
    inputs = inputs_of(model)
    assert isinstance(inputs, Values)
    assert (inputs.datatype, inputs.as_list, inputs.kind, inputs.nullable) == (datatype, as_list, kind, False)
    assert inputs.example((0.5, 1.0))["input-0"].tolist() == example


def test_a_missing_label_may_be_sent_again() -> None:
    inputs = inputs_of(LabelEncoder().fit(np.array(["a", None], object)))
    assert (inputs.specs()[0].datatype, inputs.specs()[0].nullable) == ("BYTES", True)


def test_what_was_never_fitted_says_nothing_of_what_it_takes() -> None:
    models = {"LabelEncoder": LabelEncoder(), "DictVectorizer": make_pipeline(DictVectorizer(), LinearRegression())}
    for kind, model in (*models.items(), ("LinearRegression", LinearRegression())):
        with pytest.raises(LoadError, match=f"holds a {kind} that was never fitted: dump it after fit"):
            inputs_of(model)


def test_an_indicator_matrix_is_refused() -> None:
    with pytest.raises(LoadError, match="fitted on an indicator matrix, which it gives back as it is"):
        inputs_of(LabelBinarizer().fit(np.array([[1, 0], [1, 1]])))
