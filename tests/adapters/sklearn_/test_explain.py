"""Explanations equal what the library itself computes, to the bit, and add up to the model's raw output."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import (
    compose,
    decomposition,
    discriminant_analysis,
    ensemble,
    feature_selection,
    impute,
    linear_model,
    model_selection,
    naive_bayes,
    pipeline,
    preprocessing,
    svm,
)
from sklearn.feature_extraction import text

from adapters.base import Tensors
from adapters.sklearn_ import SklearnAdapter
from tests.adapters.sklearn_.kit import FRAME, LABELS, TEXTS, THREE, X, Y, serve, tensors

COUNTS = np.abs(X[:, 0]).round()
TWO_NUMBERS = np.stack([X[:, 0], X[:, 1] - X[:, 2]], axis=1)
MIXED = FRAME[["age", "city", "size", "gap"]]


def lightgbm(**parameters: Any) -> Any:
    import lightgbm

    return lightgbm.LGBMClassifier(n_estimators=5, min_child_samples=2, verbose=-1, n_jobs=1, **parameters)


def xgboost(**parameters: Any) -> Any:
    import xgboost

    return xgboost.XGBClassifier(n_estimators=5, max_depth=3, n_jobs=1, **parameters)


def mixed(last: Any) -> Any:
    """The pipeline that everybody writes: encoded categories, scaled and imputed numbers, a column left out."""
    numbers = pipeline.make_pipeline(impute.SimpleImputer(), preprocessing.StandardScaler())
    columns = compose.make_column_transformer(
        (preprocessing.OneHotEncoder(drop="first"), ["city"]), (numbers, ["gap", "age"]), ("drop", ["size"])
    )
    return pipeline.make_pipeline(columns, feature_selection.VarianceThreshold(), last)


@dataclass(frozen=True)
class Case:
    name: str
    model: Any
    target: Any
    data: Any = None
    raw: str = "predict"


def linear(model: Any, target: Any, raw: str = "predict", name: str = "") -> Case:
    return Case(name or type(model).__name__, model, target, None, raw)


SCALED = pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression())

LINEAR = [
    linear(linear_model.LinearRegression(), X[:, 0]),
    linear(linear_model.LinearRegression(fit_intercept=False), X[:, 0], name="no intercept"),
    linear(linear_model.LinearRegression(), TWO_NUMBERS, name="two targets"),
    linear(linear_model.LinearRegression(), X[:, :1], name="one target in two dimensions"),
    linear(linear_model.Lasso(alpha=0.1), X[:, 0]),
    linear(linear_model.RidgeCV(), X[:, 0]),
    linear(linear_model.SGDRegressor(random_state=0), X[:, 0]),
    linear(linear_model.PoissonRegressor(), COUNTS, "_linear_predictor"),
    linear(linear_model.LogisticRegression(), LABELS, "decision_function", "LogisticRegression, two classes"),
    linear(linear_model.LogisticRegression(), THREE, "decision_function", "LogisticRegression, three classes"),
    linear(linear_model.SGDClassifier(random_state=0), THREE, "decision_function"),
    linear(linear_model.RidgeClassifier(), Y, "decision_function"),
    linear(discriminant_analysis.LinearDiscriminantAnalysis(), THREE, "decision_function"),
    linear(svm.LinearSVC(), THREE, "decision_function"),
    linear(svm.SVC(kernel="linear"), Y, "decision_function"),
    linear(model_selection.GridSearchCV(linear_model.Ridge(), {"alpha": [1, 2]}), X[:, 0]),
    linear(SCALED, THREE, "decision_function", "scaled"),
    linear(pipeline.make_pipeline(preprocessing.RobustScaler(), SCALED), Y, "decision_function", "nested pipelines"),
    Case("frame", linear_model.LogisticRegression(), Y, pd.DataFrame(X, columns=list("abcd")), "decision_function"),
    Case("mixed columns", mixed(linear_model.LogisticRegression()), THREE, MIXED, "decision_function"),
]


def served(case: Case, folder: Path) -> tuple[Any, SklearnAdapter, Tensors, Any]:
    data = X if case.data is None else case.data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = case.model.fit(data, case.target)
    adapter = serve(model, folder)
    return model, adapter, tensors(adapter, data), data


def total(explained: Tensors) -> Any:
    return explained["contributions"].sum(axis=1) + explained["base_value"]


@pytest.mark.parametrize("case", LINEAR, ids=lambda case: case.name)
def test_terms_of_linear_models_add_up_to_the_raw_output(case: Case, tmp_path: Path) -> None:
    model, adapter, inputs, data = served(case, tmp_path)
    explained = adapter.explain(inputs, {})
    raw = getattr(model, case.raw)(data)
    np.testing.assert_allclose(total(explained).reshape(raw.shape), raw, rtol=1e-9, atol=1e-9)
    assert explained["contributions"].shape[:2] == (len(data), len(data.columns) if hasattr(data, "columns") else 4)
    specs = {spec.name: (spec.dtype, spec.shape[1:]) for spec in adapter.signature.explanations}
    assert specs == {name: (array.dtype, array.shape[1:]) for name, array in explained.items()}


def test_a_linear_models_terms_are_coefficient_times_value(tmp_path: Path) -> None:
    model, adapter, inputs, _ = served(LINEAR[9], tmp_path)
    explained = adapter.explain(inputs, {})
    np.testing.assert_array_equal(explained["contributions"], X[:, :, None] * model.coef_.T)
    np.testing.assert_array_equal(explained["base_value"], np.tile(model.intercept_, (len(X), 1)))


def test_a_scaled_models_terms_start_from_the_mean(tmp_path: Path) -> None:
    model, adapter, _, _ = served(linear(SCALED, Y), tmp_path)
    explained = adapter.explain({"input-0": X.mean(axis=0, keepdims=True)}, {})
    np.testing.assert_allclose(explained["contributions"], 0, atol=1e-12)
    np.testing.assert_array_equal(explained["base_value"], model[-1].intercept_)


def test_what_a_column_was_made_into_is_added_up(tmp_path: Path) -> None:
    """Of a category its own column's coefficient; of a column that is dropped nothing."""
    model, adapter, inputs, data = served(LINEAR[-1], tmp_path)
    explained = adapter.explain(inputs, {})["contributions"]
    names = [spec.name for spec in adapter.signature.inputs]
    assert names == ["age", "city", "size", "gap"]
    assert not explained[:, names.index("size")].any()
    encoded = model[:-1].transform(data)
    cities = encoded[:, :2] @ model[-1].coef_[:, :2].T
    np.testing.assert_allclose(explained[:, names.index("city")], cities, atol=1e-12)


@pytest.mark.parametrize("target", [Y, THREE, LABELS], ids=["two", "three", "labels"])
@pytest.mark.parametrize("frame", [False, True], ids=["array", "frame"])
def test_lightgbms_own_contributions(target: Any, frame: bool, tmp_path: Path) -> None:
    data = pd.DataFrame(X, columns=list("abcd")) if frame else X
    model, adapter, inputs, _ = served(Case("", lightgbm(), target, data), tmp_path)
    own = model.predict(data, pred_contrib=True).reshape(len(X), -1, 5)
    explained = adapter.explain(inputs, {})
    np.testing.assert_array_equal(flat(explained), own)
    np.testing.assert_allclose(total(explained), model.predict(data, raw_score=True), atol=1e-9)


@pytest.mark.parametrize("target", [Y, THREE], ids=["two", "three"])
@pytest.mark.parametrize("booster", ["gbtree", "dart", "gblinear"])
def test_xgboosts_own_contributions(target: Any, booster: str, tmp_path: Path) -> None:
    from xgboost import DMatrix

    gaps = np.where(X > 1.5, np.nan, X) if booster != "gblinear" else X
    parameters = {} if booster == "gblinear" else {"missing": -1.0}
    model, adapter, inputs, _ = served(Case("", xgboost(booster=booster, **parameters), target, gaps), tmp_path)
    own = model.get_booster().predict(DMatrix(gaps, missing=model.missing), pred_contribs=True)
    explained = adapter.explain(inputs, {})
    np.testing.assert_array_equal(flat(explained), own.reshape(len(X), -1, 5))
    np.testing.assert_allclose(total(explained), model.predict(gaps, output_margin=True), atol=1e-5)


def flat(explained: Tensors) -> Any:
    """As the libraries give it: [rows, outputs, columns + 1]."""
    contributions, base = explained["contributions"], explained["base_value"]
    if base.ndim == 1:
        contributions, base = contributions[:, :, None], base[:, None]
    return np.concatenate([contributions, base[:, None, :]], axis=1).transpose(0, 2, 1)


def test_early_stopping_counts(tmp_path: Path) -> None:
    model = xgboost(early_stopping_rounds=2).set_params(n_estimators=50)
    model.fit(X, Y, eval_set=[(X[::-1], Y)], verbose=False)
    assert model.best_iteration < 40
    adapter = serve(model, tmp_path)
    explained = adapter.explain({"input-0": X}, {})
    np.testing.assert_allclose(total(explained), model.predict(X, output_margin=True), atol=1e-5)


@pytest.mark.parametrize("make", [lightgbm, lambda: xgboost(enable_categorical=True)], ids=["lightgbm", "xgboost"])
def test_categories_are_explained_by_column(make: Callable[[], Any], tmp_path: Path) -> None:
    data = FRAME[["age", "kind", "gap"]]
    model, adapter, inputs, _ = served(Case("", make(), Y, data), tmp_path)
    explained = adapter.explain(inputs, {})
    raw = {"raw_score": True} if "LGBM" in type(model).__name__ else {"output_margin": True}
    np.testing.assert_allclose(total(explained), model.predict(data, **raw), atol=1e-5)
    assert explained["contributions"].shape == (len(data), 3)


@pytest.mark.parametrize("make", [lightgbm, xgboost], ids=["lightgbm", "xgboost"])
def test_trees_at_the_end_of_a_pipeline(make: Callable[[], Any], tmp_path: Path) -> None:
    """The one-hot columns come as a sparse matrix, in which XGBoost takes what is absent for missing."""
    encode = compose.make_column_transformer((preprocessing.OneHotEncoder(), ["city", "size"]), sparse_threshold=1)
    model, adapter, inputs, _ = served(Case("", pipeline.make_pipeline(encode, make()), Y, FRAME), tmp_path)
    explained = adapter.explain(inputs, {})
    raw = {"raw_score": True} if make is lightgbm else {"output_margin": True}
    np.testing.assert_allclose(total(explained), model.predict(FRAME, **raw), atol=1e-5)
    named = dict(zip((spec.name for spec in adapter.signature.inputs), explained["contributions"].T, strict=True))
    assert {name for name, column in named.items() if column.any()} == {"city", "size"}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4), min_size=1, max_size=9))
def test_merged_rows_are_explained_as_single_ones(
    explained_models: list[tuple[Any, SklearnAdapter]], rows: list[list[float]]
) -> None:
    array = np.array(rows)
    for _, adapter in explained_models:
        together = adapter.explain({"input-0": array}, {})
        alone = [adapter.explain({"input-0": array[n : n + 1]}, {}) for n in range(len(array))]
        for name, values in together.items():
            np.testing.assert_array_equal(values, np.concatenate([each[name] for each in alone]))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4), min_size=1, max_size=9))
def test_any_rows_explanations_add_up(
    explained_models: list[tuple[Callable[[Any], Any], SklearnAdapter]], rows: list[list[float]]
) -> None:
    array = np.array(rows)
    for raw, adapter in explained_models:
        explained = adapter.explain({"input-0": array}, {})
        size = np.abs(explained["contributions"]).sum() + np.abs(explained["base_value"]).sum()
        np.testing.assert_allclose(total(explained), raw(array), atol=1e-5 * (1 + size))


@pytest.fixture(scope="module")
def explained_models(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, SklearnAdapter]]:
    """Each with the function that gives its raw output."""
    models: list[tuple[Any, Callable[[Any], Any]]] = []
    for make in (lambda: SCALED, linear_model.LogisticRegression):
        model: Any = make().fit(X, THREE)
        models.append((model, model.decision_function))
    trees = lightgbm().fit(X, THREE)
    models.append((trees, lambda rows: trees.predict(rows, raw_score=True)))
    boosted = xgboost().fit(X, THREE)
    models.append((boosted, lambda rows: boosted.predict(rows, output_margin=True)))
    return [(raw, serve(model, tmp_path_factory.mktemp("model"))) for model, raw in models]


UNEXPLAINED = [
    (ensemble.RandomForestClassifier(n_estimators=2), X, Y),
    (naive_bayes.GaussianNB(), X, Y),
    (svm.SVC(kernel="linear"), X, THREE),
    (svm.SVC(), X, Y),
    (pipeline.make_pipeline(decomposition.PCA(2), linear_model.LogisticRegression()), X, Y),
    (pipeline.make_pipeline(preprocessing.PolynomialFeatures(), linear_model.Ridge()), X, Y),
    (pipeline.make_pipeline(impute.SimpleImputer(add_indicator=True), linear_model.Ridge()), X, Y),
    (pipeline.make_pipeline(preprocessing.Normalizer(), linear_model.Ridge()), X, Y),
    (pipeline.make_pipeline(preprocessing.StandardScaler(), ensemble.RandomForestClassifier(n_estimators=2)), X, Y),
    (compose.TransformedTargetRegressor(linear_model.Ridge(), func=np.exp, inverse_func=np.log), X, Y),
    (preprocessing.StandardScaler(), X, None),
    (pipeline.make_pipeline(text.TfidfVectorizer(), linear_model.LogisticRegression()), TEXTS, Y),
]


@pytest.mark.parametrize(("model", "data", "target"), UNEXPLAINED, ids=lambda value: type(value).__name__)
def test_what_has_no_exact_terms_does_not_explain(model: Any, data: Any, target: Any, tmp_path: Path) -> None:
    adapter = serve(model.fit(data, target), tmp_path)
    assert adapter.signature.explanations == ()
    with pytest.raises(NotImplementedError, match="sklearn declares no explanations"):
        adapter.explain(adapter.example(), {})
