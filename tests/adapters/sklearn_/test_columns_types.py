"""Types of columns: what an estimator was trained on is what it gets, to the last digit, and what is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import BaggingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, LabelEncoder, OneHotEncoder, OrdinalEncoder, StandardScaler

from adapters.base import LoadError, ModelDir
from adapters.sklearn_ import SklearnAdapter
from server.codec import v1
from server.errors import InvalidInput, as_serving_error
from tests.adapters.sklearn_.kit import serve

WIDE = [2**53, 2**53 + 1]
Y = [0, 1] * 20


def serve_own(model: Any, folder: Path, **options: Any) -> SklearnAdapter:
    """The same for code of the user's own, which `trust: full` allows."""
    (folder / "model.pkl").write_bytes(cloudpickle.dumps(model))
    directory = ModelDir(folder, folder, trusted=True)
    match = SklearnAdapter.match(directory)
    assert match is not None
    return SklearnAdapter.load(directory, match.file, {"trust": "full", **options})


def ask(adapter: SklearnAdapter, *instances: Any) -> Any:
    """Predictions over V1's codec."""
    decoded = v1.decode({"instances": list(instances)}, adapter.signature)
    return adapter.predict(decoded.inputs, {})["output-0"].tolist()


def classify(*parts: Any) -> Any:
    return make_pipeline(*parts, LogisticRegression(C=1e3))


@pytest.mark.parametrize("unknown", ["error", "ignore"])
@pytest.mark.parametrize("beside", [{}, {"size": 1.5}, {"size": 1.5, "city": "Rome"}])
@pytest.mark.parametrize("categories", [WIDE, [2**63, 2**63 + 1]])
def test_ids_that_share_a_float(unknown: str, beside: dict[str, Any], categories: list[int], tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": categories * 20}).assign(**beside)
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown=unknown), [name for name in frame if name != "size"]), remainder="passthrough"
    )
    adapter = serve(classify(encode).fit(frame, Y), tmp_path)
    assert ask(adapter, *({"id": each, **beside} for each in categories)) == [0, 1]
    if unknown == "ignore":
        assert len(ask(adapter, {"id": categories[1], **beside}, {"id": None, **beside})) == 2
        assert ask(adapter, {"id": categories[1], **beside}, {"id": None, **beside})[0] == 1


def test_ids_without_names(tmp_path: Path) -> None:
    rows = np.array(WIDE * 20).reshape(-1, 1)
    adapter = serve(classify(OneHotEncoder()).fit(rows, Y), tmp_path)
    assert ask(adapter, [WIDE[0]], [WIDE[1]]) == [0, 1]
    (spec,) = adapter.signature.inputs
    assert (spec.datatype, spec.shape) == ("INT64", (-1, 1))


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("named", [True, False])
def test_categories_of_fewer_digits(dtype: Any, named: bool, tmp_path: Path) -> None:
    frame = pd.DataFrame({"c": np.array([0.1, 0.2] * 20, dtype)})
    model = classify(OneHotEncoder()).fit(frame if named else frame.to_numpy(), Y)
    adapter = serve(model, tmp_path)
    assert ask(adapter, [0.1], [0.2]) == [0, 1]


def test_labels_of_other_types(tmp_path: Path) -> None:
    for index, labels in enumerate((WIDE, [2**63, 2**63 + 1], np.array([0.1, 0.2], np.float32))):
        adapter = serve(LabelEncoder().fit(labels), tmp_path / str(index))
        assert ask(adapter, *np.asarray(labels).tolist()) == [0, 1]


OBJECTS = {
    "whole numbers": [1, 2],
    "missing": [1, None],
    "numbers": [1, 2.5],
    "truths": [True, False],
    "missing truths": [True, None],
    "wide": WIDE,
    "not a number": [2.5, np.nan],
}


@pytest.mark.parametrize("encoder", [OneHotEncoder(), OrdinalEncoder()])
@pytest.mark.parametrize("name", OBJECTS)
def test_columns_of_objects(encoder: Any, name: str, tmp_path: Path) -> None:
    values = OBJECTS[name]
    frame = pd.DataFrame({"a": pd.Series(values * 20, dtype=object)})
    encode = make_pipeline(encoder).fit(frame)
    adapter = serve(encode, tmp_path)
    sent = [None if value is None or value != value else value for value in values]
    right = encode.transform(frame[:2])
    right = right.toarray() if hasattr(right, "toarray") else right
    np.testing.assert_array_equal(ask(adapter, {"a": sent[0]}, {"a": sent[1]}), right)
    assert len(adapter.predict(adapter.example(), {})["output-0"]) == 2


def month(frame: pd.DataFrame) -> Any:
    return np.stack([pd.to_datetime(frame["when"]).dt.month, frame["v"]], axis=1)


WHEN = pd.DataFrame({"when": ["2024-01-05", "2024-07-05"] * 20, "v": [1.0, 2.0] * 20})


@pytest.mark.parametrize("options", [{}, {"inputs": "when: BYTES, v: FP64"}])
def test_a_function_of_ones_own(options: dict[str, str], tmp_path: Path) -> None:
    adapter = serve_own(classify(FunctionTransformer(month)).fit(WHEN, Y), tmp_path, **options)
    assert ask(adapter, {"when": "2024-01-05", "v": 1.0}, {"when": "2024-07-05", "v": 2}) == [0, 1]
    specs = {spec.name: (spec.datatype, spec.any_type) for spec in adapter.signature.inputs}
    if options:
        assert specs == {"when": ("BYTES", False), "v": ("FP64", False)}
        with pytest.raises(InvalidInput, match=r"instances.when\[0\] is 0.5, the model takes a string"):
            ask(adapter, {"when": 0.5, "v": 1.0})
    else:
        assert all(any_type for _, any_type in specs.values())


def test_an_option_that_names_no_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="the model has no column 'wen'; did you mean 'when'"):
        serve_own(classify(FunctionTransformer(month)).fit(WHEN, Y), tmp_path, inputs="wen: BYTES")


class Lower(TransformerMixin, BaseEstimator):
    """Code of the user's own that works on texts alone, and says nothing of it."""

    def fit(self, X: Any, y: Any = None) -> Any:
        self.seen_ = sorted(set(X.iloc[:, 0].str.lower()))
        return self

    def transform(self, X: Any) -> Any:
        return np.array([[self.seen_.index(text)] for text in X.iloc[:, 0].str.lower()])


@pytest.mark.parametrize("inside", [False, True])
def test_an_encoder_of_another_library(inside: bool, tmp_path: Path) -> None:
    frame = pd.DataFrame({"city": ["Rome", "Oslo"] * 20, "age": [1.0, 1.0] * 20})
    encode = ColumnTransformer([("c", Lower(), ["city"]), ("a", StandardScaler(), ["age"])])
    model = classify(encode if inside else Lower()).fit(frame if inside else frame[["city"]], Y)
    if inside:
        adapter = serve_own(model, tmp_path)
        rows = [{"city": "ROME", "age": 1}, {"city": "oslo", "age": 1}]
        assert ask(adapter, *rows) == [0, 1]
        assert [(spec.name, spec.any_type) for spec in adapter.signature.inputs] == [("city", True), ("age", False)]
    else:  # it knows not even the names of its columns: the folder says them
        with pytest.raises(LoadError, match=r"does not say what it takes: .*options\.inputs"):
            serve_own(model, tmp_path)
        adapter = serve_own(model, tmp_path, inputs="city: BYTES")
        assert ask(adapter, {"city": "ROME"}, {"city": "oslo"}) == [0, 1]


PEOPLE = pd.DataFrame({"age": [20.0, 30, 40] * 10, "sex": ["m", "f", "m"] * 10, "fare": [1.0] * 30})
KEEP = ColumnTransformer([("keep", "passthrough", ["age", "sex"])], verbose_feature_names_out=False)
ENCODE = make_column_transformer((OneHotEncoder(), ["sex"]), remainder="passthrough")


def test_columns_that_pass_through_are_followed(tmp_path: Path) -> None:
    model = make_pipeline(KEEP.set_output(transform="pandas"), ENCODE, LogisticRegression()).fit(PEOPLE, [0, 1, 1] * 10)
    adapter = serve(model, tmp_path)
    specs = {spec.name: (spec.datatype, spec.any_type, spec.unused) for spec in adapter.signature.inputs}
    assert specs == {"age": ("FP64", False, False), "sex": ("BYTES", False, False), "fare": ("BYTES", False, True)}
    assert ask(adapter, {"age": 20.0, "sex": "m"}, {"age": 30, "sex": "f", "fare": 73.7}) == [0, 1]
    numbers = make_pipeline(ColumnTransformer([("k", "passthrough", [0])]), LogisticRegression())
    plain = serve(numbers.fit(PEOPLE[["age"]], [0, 1, 1] * 10), tmp_path / "numbers")
    assert not plain.signature.inputs[0].any_type


def test_a_transformer_that_ends_in_what_passes_through(tmp_path: Path) -> None:
    model = ColumnTransformer([("t", "passthrough", ["sex"]), ("n", "passthrough", ["age"])]).fit(PEOPLE)
    adapter = serve(model, tmp_path)
    assert ask(adapter, {"age": 20.5, "sex": "m"}, {"age": 3, "sex": "f"}) == [["m", 20.5], ["f", 3.0]]


def test_models_that_ignore_what_they_get(tmp_path: Path) -> None:
    adapter = serve(DummyClassifier().fit(PEOPLE, [0, 1, 1] * 10), tmp_path)
    assert ask(adapter, {"age": 20.5, "sex": "m", "fare": None}) == [1]


def test_bagged_encoders_are_followed(tmp_path: Path) -> None:
    encode = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), [1]), remainder="drop")
    model = BaggingClassifier(make_pipeline(encode, LogisticRegression()), 3, random_state=0)
    model.fit(PEOPLE, [0, 1, 1] * 10)
    adapter = serve(model, tmp_path)
    assert ask(adapter, {"age": 20.0, "sex": "m", "fare": 1}) == model.predict(PEOPLE[:1]).tolist()


@pytest.mark.parametrize("dtype", ["datetime64[ns]", "datetime64[us]", "datetime64[s]"])
def test_dates_are_sent_as_texts(dtype: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"d": np.array(["2024-01-01", "2024-02-01T12:30:01"] * 20, dtype)})
    model = classify(make_column_transformer((OneHotEncoder(), ["d"]))).fit(frame, Y)
    adapter = serve(model, tmp_path)
    assert ask(adapter, {"d": "2024-01-01"}, {"d": "2024-02-01T12:30:01"}) == [0, 1]
    assert adapter.signature.inputs[0].datatype == "BYTES"
    with pytest.raises(ValueError, match="d: 'x' is no date: send it as") as caught:
        ask(adapter, {"d": "x"})
    assert as_serving_error(caught.value).status == 400


def test_durations_are_refused_by_name(tmp_path: Path) -> None:
    frame = pd.DataFrame({"d": pd.to_timedelta([1, 2] * 20, "s")})
    with pytest.raises(LoadError, match="categories of type timedelta in the column 'd'"):
        serve(classify(make_column_transformer((OneHotEncoder(), ["d"]))).fit(frame, Y), tmp_path)


def test_a_table_may_come_as_one_tensor(tmp_path: Path) -> None:
    from server.codec.binding import WireTensor, bind

    model = classify(FunctionTransformer(np.asarray)).fit(PEOPLE[["age", "fare"]], [0, 1, 1] * 10)
    adapter = serve_own(model, tmp_path)
    rows = PEOPLE[["age", "fare"]].to_numpy()[:3]
    inputs = bind([WireTensor("whatever", rows)], adapter.signature)
    assert adapter.predict(inputs, {})["output-0"].tolist() == model.predict(PEOPLE[["age", "fare"]][:3]).tolist()


def test_numbers_beside_texts_stay_numbers(tmp_path: Path) -> None:
    fill = SimpleImputer(strategy="constant", fill_value="?")
    model = ColumnTransformer([("n", OrdinalEncoder(), ["sex"]), ("t", fill, ["sex"])]).fit(PEOPLE)
    adapter = serve(model, tmp_path)
    assert ask(adapter, {"age": 1, "sex": "f", "fare": 1}) == [[0.0, "f"]]
    frames = ColumnTransformer([("n", OrdinalEncoder(), ["sex"]), ("t", "passthrough", ["sex"])])
    adapter = serve(frames.set_output(transform="pandas").fit(PEOPLE), tmp_path / "frames")
    assert ask(adapter, {"age": 1, "sex": "f", "fare": 1}) == [[0.0, "f"]]
