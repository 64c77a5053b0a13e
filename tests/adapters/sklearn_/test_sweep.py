"""Every estimator of scikit-learn over every kind of table: its own answer, or a refusal with a reason.

`make conformance` tries all of it (`EVERY_CASE=1`); the tests try a sample.
"""

from __future__ import annotations

import os
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.utils import all_estimators

from adapters.base import LoadError, ModelDir
from adapters.sklearn_ import SklearnAdapter
from server.codec import v1
from server.codec.binding import WireTensor, bind

ROWS = 24
Y = np.arange(ROWS) % 2
STEP = 1 if os.environ.get("EVERY_CASE") else 6
NUMBERS = np.abs(np.random.default_rng(3).normal(size=(ROWS, 3))) + 0.1

#: kinds of frames: what pandas may hold in a column that a model learns from
FRAMES = {
    "float64": pd.DataFrame(NUMBERS, columns=["a", "b", "c"]),
    "float32": pd.DataFrame(NUMBERS.astype(np.float32), columns=["a", "b", "c"]),
    "int64": pd.DataFrame((NUMBERS * 10).astype(np.int64), columns=["a", "b", "c"]),
    "wide": pd.DataFrame({"a": np.array([2**53, 2**53 + 1] * (ROWS // 2))}),
    "Int64": pd.DataFrame({"a": pd.array([1, 2, 3, 4] * (ROWS // 4), "Int64")}),
    "bool": pd.DataFrame({"a": [True, False] * (ROWS // 2), "b": [True, True, False, False] * (ROWS // 4)}),
    "objects": pd.DataFrame({"a": pd.Series([1, 2] * (ROWS // 2), dtype=object)}),
    "texts": pd.DataFrame({"a": ["x", "y"] * (ROWS // 2), "b": ["u", "v", "w"] * (ROWS // 3)}),
    "string": pd.DataFrame({"a": pd.array(["x", "y"] * (ROWS // 2), "string")}),
    "category": pd.DataFrame({"a": pd.Categorical(["x", "y"] * (ROWS // 2))}),
    "numbers as category": pd.DataFrame({"a": pd.Categorical([10, 20] * (ROWS // 2))}),
    "missing": pd.DataFrame({"a": [1.0, np.nan] * (ROWS // 2), "b": NUMBERS[:, 0]}),
    "missing texts": pd.DataFrame({"a": ["x", None] * (ROWS // 2)}),
    "dates": pd.DataFrame({"a": pd.to_datetime(["2024-01-01", "2024-02-01"] * (ROWS // 2))}),
    "mixed": pd.DataFrame({"n": NUMBERS[:, 0], "t": ["x", "y"] * (ROWS // 2), "i": [1, 2, 3] * (ROWS // 3)}),
}
#: what stands before a classifier where a frame is not all numbers
PIPELINES = {
    "one-hot": lambda frame: make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()),
    "ordinal": lambda frame: make_pipeline(OrdinalEncoder(), LogisticRegression()),
    "strict": lambda frame: make_pipeline(OneHotEncoder(), LogisticRegression()),
    "columns": lambda frame: make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), [name for name in frame if frame[name].dtype.kind != "f"]),
            remainder=StandardScaler(),
        ),
        LogisticRegression(),
    ),
    "passed": lambda frame: make_pipeline(
        make_column_transformer(("passthrough", list(frame)), verbose_feature_names_out=False).set_output(
            transform="pandas"
        ),
        OneHotEncoder(handle_unknown="ignore"),
        LogisticRegression(),
    ),
}
#: estimators that the fast tests try
SAMPLE = (
    *("ARDRegression", "AdaBoostClassifier", "BaggingClassifier", "Binarizer", "CalibratedClassifierCV"),
    *("DummyClassifier", "GaussianMixture", "HistGradientBoostingClassifier", "IsolationForest", "KMeans"),
    *("KNeighborsRegressor", "LogisticRegression", "NearestNeighbors", "OneHotEncoder", "OrdinalEncoder", "PCA"),
    *("SimpleImputer", "TargetEncoder"),
)


@cache
def estimators() -> dict[str, Any]:
    """One of each that can be made without arguments, or with a classifier inside."""
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that go in a later version
        for name, kind in all_estimators():
            for arguments in ((), (LogisticRegression(),), ([("a", LogisticRegression())],)):
                try:
                    found[name] = _repeatable(kind(*arguments))
                    break
                except TypeError:
                    continue
    return found


def _repeatable(model: Any) -> Any:
    return model.set_params(random_state=0) if "random_state" in model.get_params(deep=False) else model


def fitted(model: Any, frame: Any) -> Any:
    """The model, or None where it does not learn from such a table."""
    try:
        return clone(model).fit(frame, Y)
    except Exception:
        try:
            return clone(model).fit(frame)
        except Exception:
            return None


def rows_of(table: Any) -> list[Any]:
    """The rows as JSON holds them: objects or lists, dates as texts, whatever is missing as null."""
    if isinstance(table, pd.DataFrame):
        return [{name: _plain(value) for name, value in row.items()} for row in table.to_dict("records")]
    if table.dtype.kind == "M":
        table = np.datetime_as_string(table)
    return [[_plain(value) for value in row] for row in table.tolist()]


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value.item() if isinstance(value, np.generic) else value


def outcome(model: Any, table: Any, folder: Path) -> str:
    """'same', or the refusal; asserts that there is nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "model.joblib")
    directory = ModelDir.of(folder)
    match = SklearnAdapter.match(directory)
    assert match is not None
    if match.problem:
        return f"unavailable: {match.problem}"
    try:
        adapter = SklearnAdapter.load(directory, match.file, {})
    except LoadError as error:
        return f"unavailable: {error}"
    some = table[:4]
    direct = joblib.load(folder / "model.joblib")
    try:
        right: Any = getattr(direct, adapter.method)(some)
    except Exception as error:
        return f"its own refusal: {type(error).__name__}"
    decoded = v1.decode({"instances": _sent(adapter, some)}, adapter.signature)
    got = adapter.predict(decoded.inputs, {})
    parts = right if isinstance(right, list | tuple) else [right]
    assert len(got) == len(parts)
    single = (some.to_numpy() if isinstance(some, pd.DataFrame) else some).dtype == np.float32
    for array, part in zip(got.values(), parts, strict=True):
        _assert_close(array, part, 1e-5 if single else 1e-9)
    if adapter.signature.table:  # over V2: a tensor a column, in its own datatype
        tensors = [WireTensor(name, array) for name, array in decoded.inputs.items()]
        again = adapter.predict(bind(tensors, adapter.signature), {})
        for one, other in zip(got.values(), again.values(), strict=True):
            _assert_close(one, other, 0)
    return "same"


def _sent(adapter: SklearnAdapter, some: Any) -> list[Any]:
    rows = rows_of(some)
    if adapter.signature.inputs[0].shape == (-1,) and not adapter.signature.table:
        return [next(iter(row.values() if isinstance(row, dict) else row)) for row in rows]
    if isinstance(some, pd.DataFrame) and not (adapter.signature.table or adapter.signature.columns):
        return [list(row.values()) for row in rows]
    return rows


def _assert_close(array: Any, part: Any, near: float) -> None:
    """`near` is larger where the estimator itself computes in single precision."""
    dense = part.toarray() if hasattr(part, "toarray") else part.to_numpy() if hasattr(part, "to_numpy") else part
    dense = np.asarray(dense)
    if dense.dtype.kind == "M":  # what only passes by is the text that was sent
        dense = part.astype(object).to_numpy() if hasattr(part, "to_numpy") else np.datetime_as_string(dense)
    assert array.shape == dense.shape
    if dense.dtype.kind in "biuf" and array.dtype.kind in "biuf":
        np.testing.assert_allclose(array.astype(float), dense.astype(float), rtol=1e-6, atol=near)
    else:
        assert [_plain(each) for each in array.ravel().tolist()] == [_plain(each) for each in dense.ravel().tolist()]


def swept(name: str, model: Any, kinds: list[str], folder: Path) -> dict[str, str]:
    """What became of each kind of table that the estimator learns from."""
    found = {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for kind in kinds:
            for named in (True, False):
                frame = FRAMES[kind]
                table = frame if named else frame.to_numpy()
                learned = fitted(model, table)
                if learned is None:
                    continue
                label = f"{name} of {kind}{'' if named else ' without names'}"
                try:
                    found[label] = outcome(learned, table, folder / kind / str(named))
                except AssertionError as error:
                    raise AssertionError(f"{label}: {error}") from error
                except ValueError as error:
                    found[label] = f"refused: {error}"
    return found


#: what a table cannot show, or the estimator's file does not hold: estimator -> kinds of tables, and why
APART = {
    "AdditiveChi2Sampler": (
        ["int64", "Int64", "objects", "bool", "numbers as category"],
        "it rounds what it makes of whole numbers, and keeps nothing that tells of them",
    ),
    "MissingIndicator": (["missing texts"], "None is a value to it, NaN is none; JSON has one null for both"),
    "MultiLabelBinarizer": (list(FRAMES), "it takes lists of labels, and reads the names of a frame's columns"),
}
#: of a kind of table that a model learned from, refusals that are right
ALLOWED = (
    "unavailable: ",  # with a reason
    "its own refusal",
)


def _is_number(label: str, what: str) -> bool:
    """A date for a model that counts its nanoseconds: those are what it takes, and says."""
    return " of dates" in label and what.startswith("refused: instances") and what.endswith("the model takes FP64")


def check(found: dict[str, str]) -> None:
    fine = ("same", *ALLOWED)
    wrong = {label: what for label, what in found.items() if not what.startswith(fine) and not _is_number(label, what)}
    assert not wrong, wrong


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLE)
def test_a_sample_of_estimators(name: str, tmp_path: Path) -> None:
    found = swept(name, estimators()[name], ["float64", "int64", "objects", "texts", "missing"], tmp_path)
    check(found)
    assert "same" in found.values()


@pytest.mark.slow
@pytest.mark.parametrize("kind", FRAMES)
@pytest.mark.parametrize("before", PIPELINES)
def test_encoders_over_every_kind_of_table(before: str, kind: str, tmp_path: Path) -> None:
    check(swept(before, PIPELINES[before](FRAMES[kind]), [kind], tmp_path))


@pytest.mark.slow
@pytest.mark.timeout(1800)  # each is a handful of models: minutes where other programs have the processors
@pytest.mark.parametrize("name", [name for name, _ in all_estimators() if not name.endswith("Vectorizer")][::STEP])
def test_every_estimator(name: str, tmp_path: Path) -> None:
    if name not in estimators():
        pytest.skip("it cannot be made without arguments")
    apart, _ = APART.get(name, ([], ""))
    check(swept(name, estimators()[name], [kind for kind in FRAMES if kind not in apart], tmp_path))
