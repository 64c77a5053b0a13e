"""Data frames and tables: each column takes what it held in training, and the answers are those for such a frame."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, StackingRegressor, VotingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler, TargetEncoder
from sklearn.svm import LinearSVC

from adapters.base import InvalidInput
from tests.adapters.sklearn_.kit import FRAME, LABELS, ROWS, X, Y, assert_same, serve, tensors

NUMBERS = FRAME[["age", "size"]]
#: (one-hot categories, ignored where unknown), (a number that must not miss)
ENCODED = (OneHotEncoder(handle_unknown="ignore"), ["city", "size"])
SCALED = (StandardScaler(), ["age"])


def _everything() -> ColumnTransformer:
    return make_column_transformer(
        ENCODED,
        SCALED,
        (OneHotEncoder(), ["member"]),
        (TfidfVectorizer(), "note"),
        (make_pipeline(SimpleImputer(), StandardScaler()), ["gap"]),
        (make_pipeline(SimpleImputer(missing_values=None, strategy="most_frequent"), OneHotEncoder()), ["none"]),
        (make_pipeline(SimpleImputer(strategy="most_frequent"), OrdinalEncoder()), ["nan"]),
    )


def _classify(*parts: Any) -> Any:
    return make_pipeline(*parts, LogisticRegression())


#: name -> a model, and the frame that it was fitted on
FRAMES: dict[str, Callable[[], tuple[Any, pd.DataFrame]]] = {
    "numbers": lambda: (LogisticRegression().fit(NUMBERS, LABELS), NUMBERS),
    "everything": lambda: (_classify(_everything()).fit(FRAME, LABELS), FRAME),
    "search": lambda: (GridSearchCV(_classify(_everything()), {}, cv=2).fit(FRAME, Y), FRAME),
    "calibrated": lambda: (
        CalibratedClassifierCV(make_pipeline(_everything(), LinearSVC()), cv=2).fit(FRAME, Y),
        FRAME,
    ),
    "voting": lambda: (
        VotingClassifier(
            [
                ("a", _classify(make_column_transformer(ENCODED))),
                ("b", _classify(make_column_transformer(SCALED))),
            ]
        ).fit(FRAME, Y),
        FRAME,
    ),
    "stacking": lambda: (
        StackingRegressor([("a", make_pipeline(make_column_transformer(ENCODED), Ridge()))], cv=2).fit(FRAME, Y),
        FRAME,
    ),
    "union": lambda: (
        _classify(FeatureUnion([("a", make_column_transformer(ENCODED)), ("b", make_column_transformer(SCALED))])).fit(
            FRAME, Y
        ),
        FRAME,
    ),
    "nested": lambda: (
        _classify(
            ColumnTransformer([("outer", make_column_transformer(ENCODED, SCALED), ["age", "city", "size"])])
        ).fit(FRAME, Y),
        FRAME,
    ),
    "the rest as it is": lambda: (
        _classify(make_column_transformer((OrdinalEncoder(), ["city"]), remainder="passthrough")).fit(
            FRAME[["age", "city", "member"]], Y
        ),
        FRAME[["age", "city", "member"]],
    ),
    "encoder": lambda: (
        OneHotEncoder(sparse_output=False).set_output(transform="pandas").fit(FRAME[["city", "none"]]),
        FRAME[["city", "none"]],
    ),
    "sparse encoder": lambda: (OneHotEncoder().fit(FRAME[["city", "member"]]), FRAME[["city", "member"]]),
    "targets": lambda: (_classify(TargetEncoder(cv=2)).fit(FRAME[["city", "size"]], Y), FRAME[["city", "size"]]),
    "imputed texts": lambda: (
        _classify(SimpleImputer(strategy="most_frequent"), OneHotEncoder()).fit(FRAME[["city", "nan"]], Y),
        FRAME[["city", "nan"]],
    ),
    "histogram boosting": lambda: (
        HistGradientBoostingClassifier(max_iter=3).fit(FRAME[["age", "kind", "gap", "code"]], Y),
        FRAME[["age", "kind", "gap", "code"]],
    ),
    "xgboost": lambda: (
        xgboost.XGBClassifier(n_estimators=3, enable_categorical=True).fit(FRAME[["age", "kind", "gap", "code"]], Y),
        FRAME[["age", "kind", "gap", "code"]],
    ),
    "lightgbm": lambda: (
        lightgbm.LGBMClassifier(n_estimators=3, verbose=-1, min_child_samples=2).fit(
            FRAME[["age", "kind", "gap", "code"]], LABELS
        ),
        FRAME[["age", "kind", "gap", "code"]],
    ),
    "lightgbm of numbers": lambda: (lightgbm.LGBMRegressor(n_estimators=2, verbose=-1).fit(NUMBERS, Y), NUMBERS),
    "xgboost of numbers": lambda: (xgboost.XGBRegressor(n_estimators=2).fit(NUMBERS, Y), NUMBERS),
}


@cache
def fitted(name: str) -> tuple[Any, pd.DataFrame]:
    return FRAMES[name]()


@pytest.mark.slow
@pytest.mark.parametrize("name", FRAMES)
def test_frames(name: str, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    model, frame = fitted(name)
    adapter = serve(model, tmp_path)
    direct = joblib.load(tmp_path / "model.joblib")
    if not adapter.signature.table:  # by rows, as requests have it: BLAS may differ in the last bit by the layout
        frame = pd.DataFrame(np.ascontiguousarray(frame), columns=frame.columns)
    recwarn.clear()
    for method in adapter.methods:
        got = adapter.predict(tensors(adapter, frame), {"method": method})
        assert_same(got, _array(getattr(direct, method)(frame)))
        alone = adapter.predict(tensors(adapter, frame[:1]), {"method": method})
        assert_same(alone, _array(getattr(direct, method)(frame[:1])))
    assert not [warning for warning in recwarn if "feature names" in str(warning.message)]
    example = adapter.example()
    assert all(len(values) == 2 for values in adapter.predict(example, {}).values())
    for spec in adapter.signature.inputs:
        assert spec.optional or example[spec.name].dtype == spec.dtype


def _array(answer: Any) -> Any:
    return answer.to_numpy() if isinstance(answer, pd.DataFrame) else answer


def test_a_frame_of_numbers_is_one_matrix_with_names(tmp_path: Path) -> None:
    adapter = serve(fitted("numbers")[0], tmp_path)
    assert adapter.signature.columns == ("age", "size")
    assert not adapter.signature.table
    assert [(spec.name, spec.shape) for spec in adapter.signature.inputs] == [("input-0", (-1, 2))]


def test_what_each_column_takes(tmp_path: Path) -> None:
    adapter = serve(fitted("everything")[0], tmp_path)
    assert adapter.signature.table
    specs = {spec.name: spec for spec in adapter.signature.inputs}
    assert list(specs) == list(FRAME.columns)
    assert all(spec.shape == (-1,) for spec in specs.values())
    kinds = {name: (spec.datatype, spec.nullable, spec.optional) for name, spec in specs.items()}
    assert kinds == {
        "id": ("BYTES", True, True),
        "age": ("FP64", False, False),
        "city": ("BYTES", True, False),
        "size": ("FP64", True, False),  # unknown numbers are ignored, and so is a missing one
        "member": ("BOOL", False, False),
        "note": ("BYTES", False, False),
        "gap": ("FP64", True, False),
        "none": ("BYTES", True, False),
        "nan": ("BYTES", True, False),
        "kind": ("BYTES", True, True),
        "code": ("BYTES", True, True),
    }
    assert specs["age"].finite
    assert specs["gap"].finite


def test_columns_that_are_dropped_may_be_left_out(tmp_path: Path) -> None:
    model, frame = fitted("everything")
    adapter = serve(model, tmp_path)
    unused = [spec.name for spec in adapter.signature.inputs if spec.unused]
    assert unused == ["id", "kind", "code"]
    inputs = tensors(adapter, frame.drop(columns=unused))
    assert_same(adapter.predict(inputs, {}), model.predict(frame))
    inputs["id"] = np.arange(float(len(frame)))  # whatever it was in training
    assert_same(adapter.predict(inputs, {}), model.predict(frame))


@pytest.mark.parametrize(("column", "value"), [("none", None), ("nan", np.nan), ("city", None), ("gap", np.nan)])
def test_a_missing_value_is_what_it_was_in_training(column: str, value: Any, tmp_path: Path) -> None:
    model, frame = fitted("everything")
    adapter = serve(model, tmp_path, method="decision_function")
    rows = frame[:6].copy()
    rows[column] = pd.Series([value] * 6, dtype=FRAME[column].dtype, index=rows.index)
    inputs = tensors(adapter, rows)
    if column != "gap":
        assert inputs[column].tolist() == [None] * 6
    assert_same(adapter.predict(inputs, {}), joblib.load(tmp_path / "model.joblib").decision_function(rows))


@pytest.mark.parametrize("seen", [["a", "b", None], ["a", "b", np.nan], ["a", "b"]])
@pytest.mark.parametrize("unknown", ["error", "ignore"])
def test_encoders_take_missing_values_as_they_learned_them(seen: list[Any], unknown: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"c": pd.Series(seen, dtype=object), "n": 1.5})
    model = make_column_transformer((OneHotEncoder(handle_unknown=unknown), ["c"]), remainder="passthrough").fit(frame)
    adapter = serve(model, tmp_path)
    spec = adapter.signature.inputs[0]
    assert spec.nullable == (len(seen) == 3 or unknown == "ignore")
    if spec.nullable:
        rows = frame.iloc[[0, len(seen) - 1]] if len(seen) == 3 else frame.iloc[[0, 1]].assign(c=["a", None])
        assert_same(adapter.predict(tensors(adapter, rows), {}), model.transform(rows))


def test_an_unknown_category_is_the_clients_fault(tmp_path: Path) -> None:
    model = _classify(make_column_transformer((OneHotEncoder(), ["city"]), SCALED)).fit(FRAME, Y)
    adapter = serve(model, tmp_path)
    inputs = tensors(adapter, FRAME[:2])
    inputs["city"][0] = "Atlantis"
    with pytest.raises(InvalidInput, match=r"^city: 'Atlantis' is not one of its categories; known: "):
        adapter.predict(inputs, {})
    ignoring = serve(fitted("everything")[0], tmp_path)
    inputs = tensors(ignoring, FRAME[:2])
    inputs["city"][0] = "Atlantis"
    rows = FRAME[:2].copy()
    rows.loc[0, "city"] = "Atlantis"
    assert_same(ignoring.predict(inputs, {}), joblib.load(tmp_path / "model.joblib").predict(rows))


@pytest.mark.parametrize(("column", "value"), [("kind", "x"), ("code", 99.0)])
def test_unknown_categories_of_frames_are_the_frameworks_to_judge(column: str, value: Any, tmp_path: Path) -> None:
    for name in ("histogram boosting", "lightgbm", "xgboost"):
        model, frame = fitted(name)
        adapter = serve(model, tmp_path / name)
        inputs = tensors(adapter, frame[:3])
        inputs[column][0] = value
        rows = frame[:3].copy()
        rows[column] = pd.Categorical(inputs[column].tolist())
        if name == "xgboost":  # which refuses some, and takes others for one that it knows
            with pytest.raises(InvalidInput, match=f"^{column}: .* is not one of its categories; known: "):
                adapter.predict(inputs, {})
        else:
            direct = joblib.load(tmp_path / name / "model.joblib")
            assert_same(adapter.predict(inputs, {}), direct.predict(rows))


@pytest.mark.parametrize(
    ("values", "parts", "datatypes"),
    [
        (FRAME[["city", "note"]].to_numpy(), [OneHotEncoder()], ["BYTES"]),
        (FRAME[["city", "note"]].to_numpy().astype(str), [OrdinalEncoder()], ["BYTES"]),
        (FRAME[["city", "size", "member"]].to_numpy(), [OneHotEncoder()], ["BYTES", "INT64", "BOOL"]),
        (FRAME[["size", "size"]].to_numpy().astype(object), [OneHotEncoder()], ["INT64", "INT64"]),
        (
            FRAME[["city", "age"]].to_numpy(),
            [make_column_transformer((OneHotEncoder(), [0]), (StandardScaler(), [1]))],
            ["BYTES", "FP64"],
        ),
        (FRAME[["size", "size"]].to_numpy(), [OneHotEncoder()], ["FP64"]),
    ],
)
def test_arrays_without_names(values: Any, parts: list[Any], datatypes: list[str], tmp_path: Path) -> None:
    model = _classify(*parts).fit(values, Y)
    adapter = serve(model, tmp_path)
    specs = adapter.signature.inputs
    assert [spec.datatype for spec in specs] == datatypes
    assert [spec.name for spec in specs] == [f"input-{index}" for index in range(len(specs))]
    assert adapter.signature.table == (len(specs) > 1)
    if len(specs) == 1:
        assert specs[0].shape == (-1, 2)
    assert_same(adapter.predict(tensors(adapter, values), {}), model.predict(values))
    adapter.predict(adapter.example(), {})


def test_columns_by_name_that_only_pass_by(tmp_path: Path) -> None:
    """A model that asks for columns which it then drops gets them, and a request must send them."""
    model = _classify(make_column_transformer(SCALED)).fit(FRAME[["age", "city"]], Y)
    voting = VotingClassifier([("a", model)]).fit(FRAME[["age", "city"]], Y)
    adapter = serve(voting, tmp_path)
    assert [spec.optional for spec in adapter.signature.inputs] == [False, True]
    assert_same(adapter.predict({"age": X[:5, 0]}, {}), voting.predict(FRAME[["age", "city"]][:5]))
    assert len(FRAME) == ROWS
