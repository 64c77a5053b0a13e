"""Estimators of numbers and of texts: what the adapter answers is what the estimator answers when called directly."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import lightgbm
import numpy as np
import pytest
import scipy.stats
import xgboost
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.cross_decomposition import PLSRegression
from sklearn.decomposition import NMF, PCA, TruncatedSVD
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.naive_bayes import ComplementNB, GaussianNB
from sklearn.neighbors import KNeighborsClassifier, RadiusNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    LabelEncoder,
    MinMaxScaler,
    PowerTransformer,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from adapters.base import InvalidInput, LoadError
from tests.adapters.sklearn_.kit import LABELS, TEXTS, THREE, X, Y, assert_same, serve, tensors

BOTH = np.stack([Y, 1 - THREE], axis=1)
GAPS = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)

#: name -> a fitted model of numbers
NUMBERS: dict[str, Callable[[], Any]] = {
    "logistic regression": lambda: LogisticRegression().fit(X, Y),
    "three classes": lambda: LogisticRegression().fit(X, THREE),
    "string labels": lambda: LogisticRegression().fit(X, LABELS),
    "labels that are objects": lambda: DecisionTreeClassifier(max_depth=3).fit(X, LABELS.astype(object)),
    "true and false": lambda: RandomForestClassifier(3).fit(X, Y == 1),
    "forest": lambda: RandomForestClassifier(5).fit(X, Y),
    "forest regressor": lambda: RandomForestRegressor(5, n_jobs=-1).fit(X, X[:, 0]),
    "pipeline": lambda: make_pipeline(StandardScaler(), PCA(2), SVC()).fit(X, Y),
    "linear svm": lambda: LinearSVC().fit(X, THREE),
    "several numbers": lambda: LinearRegression().fit(X, X[:, :2]),
    "several numbers by wrapper": lambda: MultiOutputRegressor(Ridge()).fit(X, X[:, :2]),
    "several classes": lambda: RandomForestClassifier(3).fit(X, BOTH),
    "several classes by wrapper": lambda: MultiOutputClassifier(LogisticRegression()).fit(X, BOTH),
    "chain": lambda: ClassifierChain(LogisticRegression()).fit(X, np.stack([Y, 1 - Y], axis=1)),
    "boosting": lambda: GradientBoostingClassifier(n_estimators=3).fit(X, THREE),
    "histogram boosting": lambda: HistGradientBoostingClassifier(max_iter=3).fit(GAPS, Y),
    "histogram boosting of counts": lambda: HistGradientBoostingRegressor(max_iter=3, loss="poisson").fit(X, Y),
    "xgboost": lambda: xgboost.XGBClassifier(n_estimators=3).fit(GAPS, THREE),
    "xgboost regressor": lambda: xgboost.XGBRegressor(n_estimators=3, n_jobs=2).fit(X, X[:, 0]),
    "xgboost ranker": lambda: xgboost.XGBRanker(n_estimators=3).fit(X, Y, qid=np.zeros(len(X))),
    "lightgbm": lambda: lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(GAPS, LABELS),
    "lightgbm regressor": lambda: lightgbm.LGBMRegressor(n_estimators=3, verbose=-1).fit(X, X[:, 0]),
    "xgboost in a pipeline": lambda: make_pipeline(StandardScaler(), xgboost.XGBClassifier(n_estimators=2)).fit(X, Y),
    "grid search": lambda: GridSearchCV(SVC(), {"C": [1, 2]}, scoring="f1", cv=2).fit(X, Y),
    "random search": lambda: RandomizedSearchCV(
        RandomForestClassifier(2), {"max_depth": scipy.stats.randint(1, 5)}, n_iter=2, cv=2
    ).fit(X, Y),
    "voting": lambda: VotingClassifier([("a", GaussianNB()), ("b", LogisticRegression())], voting="soft").fit(X, Y),
    "stacking": lambda: StackingClassifier([("a", GaussianNB()), ("b", SVC())], cv=2).fit(X, LABELS),
    "calibrated": lambda: CalibratedClassifierCV(LinearSVC(), method="isotonic", cv=2).fit(X, Y),
    "isolation forest": lambda: IsolationForest(n_estimators=5).fit(X),
    "neighbours": lambda: KNeighborsClassifier(3, n_jobs=-1).fit(X, LABELS),
    "neighbours within a radius": lambda: RadiusNeighborsClassifier(0.001).fit(X + 100, Y),
    "k-means": lambda: KMeans(3, n_init=1).fit(X),
    "mixture": lambda: GaussianMixture(2).fit(X),
    "gaussian process": lambda: GaussianProcessRegressor(alpha=0.1).fit(X, X[:, 0]),
    "perceptron": lambda: MLPClassifier(3, max_iter=3).fit(X, Y),
    "principal components": lambda: PCA(2).fit(X),
    "scaler": lambda: StandardScaler().fit(X),
    "partial least squares": lambda: PLSRegression(2).fit(X, X[:, :2]),
    "logarithm": lambda: make_pipeline(FunctionTransformer(np.log1p), LinearRegression()).fit(np.abs(X), Y),
    "positive numbers": lambda: make_pipeline(PowerTransformer("box-cox"), GaussianNB()).fit(np.abs(X), Y),
    "not negative": lambda: ComplementNB().fit(np.abs(X), Y),
    "imputer": lambda: make_pipeline(SimpleImputer(), LogisticRegression()).fit(GAPS, Y),
    "imputer by neighbours": lambda: make_pipeline(KNNImputer(), LogisticRegression()).fit(GAPS, Y),
    "float32": lambda: DecisionTreeRegressor(max_depth=2).fit(X.astype(np.float32), X[:, 0]),
    "union": lambda: make_pipeline(FeatureUnion([("a", PCA(1)), ("b", MinMaxScaler())]), Ridge()).fit(X, Y),
}  # fmt: skip

TEXT_MODELS: dict[str, Callable[[], Any]] = {
    "tf-idf": lambda: make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, LABELS),
    "counts": lambda: make_pipeline(CountVectorizer(ngram_range=(1, 2)), ComplementNB()).fit(TEXTS, Y),
    "hashes": lambda: make_pipeline(HashingVectorizer(n_features=32), SGDClassifier()).fit(TEXTS, Y),
    "search": lambda: GridSearchCV(
        make_pipeline(TfidfVectorizer(), Ridge()), {"ridge__alpha": [1.0]}, cv=2
    ).fit(TEXTS, Y),
    "union": lambda: make_pipeline(
        FeatureUnion([("a", TfidfVectorizer()), ("b", CountVectorizer(analyzer="char"))]), LogisticRegression()
    ).fit(TEXTS, Y),
    "vectors": lambda: TfidfVectorizer().fit(TEXTS),
    "topics": lambda: make_pipeline(TfidfVectorizer(), TruncatedSVD(2)).fit(TEXTS),
}  # fmt: skip


def _rows(name: str) -> Any:
    if name in ("logarithm", "positive numbers", "not negative"):
        return np.abs(X[:20])
    return (X + 100)[:20] if name == "neighbours within a radius" else X[:20]


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(name: str, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    model = NUMBERS[name]()
    adapter = serve(model, tmp_path)
    direct, rows = joblib.load(tmp_path / "model.joblib"), _rows(name)
    if name == "forest regressor":
        direct.set_params(n_jobs=1)  # several threads add the trees up in any order
    (spec,) = adapter.signature.inputs
    assert (spec.name, spec.datatype, spec.shape) == ("input-0", "FP64", (-1, 4))
    assert adapter.signature.any_name
    assert adapter.signature.columns == ()
    recwarn.clear()
    for method in adapter.methods:
        got = adapter.predict({"input-0": rows}, {"method": method})
        assert_same(got, getattr(direct, method)(rows))
        for index in range(3):
            alone = adapter.predict({"input-0": rows[index : index + 1]}, {"method": method})
            assert_same(alone, getattr(direct, method)(rows[index : index + 1]))
    assert not [warning for warning in recwarn if "feature names" in str(warning.message)]
    assert_same(adapter.predict({"input-0": rows}, {}), getattr(direct, adapter.methods[0])(rows))
    _check_outputs(adapter, {"input-0": rows})
    _check_outputs(adapter, adapter.example())


@pytest.mark.parametrize("name", TEXT_MODELS)
def test_texts(name: str, tmp_path: Path) -> None:
    adapter = serve(TEXT_MODELS[name](), tmp_path)
    direct = joblib.load(tmp_path / "model.joblib")
    rows = ["good film", "", "nothing known", "FINE thing"]
    (spec,) = adapter.signature.inputs
    assert (spec.datatype, spec.shape, spec.nullable) == ("BYTES", (-1,), False)
    for method in adapter.methods:
        assert_same(adapter.predict(tensors(adapter, rows), {"method": method}), getattr(direct, method)(rows))
    _check_outputs(adapter, adapter.example())


def _check_outputs(adapter: Any, inputs: Any) -> None:
    answer = adapter.predict(inputs, {})
    assert [spec.name for spec in adapter.signature.outputs] == list(answer)
    for spec, array in zip(adapter.signature.outputs, answer.values(), strict=True):
        assert array.dtype == spec.dtype
        assert array.shape[1:] == spec.shape[1:]
        assert len(array) == len(next(iter(inputs.values())))


def test_probabilities_of_several_outputs_are_several_tensors(tmp_path: Path) -> None:
    adapter = serve(NUMBERS["several classes"](), tmp_path, method="predict_proba")
    assert [(spec.name, spec.datatype, spec.shape) for spec in adapter.signature.outputs] == [
        ("output-0", "FP64", (-1, 2)),
        ("output-1", "FP64", (-1, 3)),
    ]


@pytest.mark.parametrize(
    ("name", "nullable", "finite"),
    [
        ("logistic regression", False, True),
        ("histogram boosting", True, False),
        ("xgboost", True, False),
        ("lightgbm", True, False),
        ("forest", True, True),  # scikit-learn's trees send a missing value on, even where training had none
        ("boosting", False, True),
        ("neighbours", False, True),
        ("imputer", True, True),
        ("imputer by neighbours", True, True),
        ("scaler", True, True),
        ("pipeline", False, True),
        ("random search", True, True),
    ],
)
def test_missing_values_and_infinities(name: str, nullable: bool, finite: bool, tmp_path: Path) -> None:
    adapter = serve(NUMBERS[name](), tmp_path)
    direct = joblib.load(tmp_path / "model.joblib")
    (spec,) = adapter.signature.inputs
    assert (spec.nullable, spec.finite) == (nullable, finite)
    rows = X[:3].copy()
    rows[0, 1] = np.nan
    method = getattr(direct, adapter.methods[0])
    if nullable:
        assert_same(adapter.predict({"input-0": rows}, {}), method(rows))
    else:  # what the signature does not take never reaches the adapter; it says so because the estimator refuses it
        with pytest.raises(ValueError, match="contains NaN"):
            method(rows)


def test_label_encoders(tmp_path: Path) -> None:
    adapter = serve(LabelEncoder().fit(LABELS), tmp_path)
    assert adapter.signature.inputs[0].datatype == "BYTES"
    assert adapter.predict({"input-0": np.array(["yes", "no"], dtype=object)}, {})["output-0"].tolist() == [1, 0]


def test_one_number_a_row(tmp_path: Path) -> None:
    model = IsotonicRegression().fit(X[:, 0], Y)
    adapter = serve(model, tmp_path)
    assert adapter.signature.inputs[0].shape == (-1,)
    assert_same(adapter.predict({"input-0": X[:9, 0]}, {}), model.predict(X[:9, 0]))


def test_methods(tmp_path: Path) -> None:
    model = LogisticRegression().fit(X, Y)
    adapter = serve(model, tmp_path)
    (parameter,) = adapter.signature.parameters
    assert parameter.choices == ("predict", "predict_proba", "predict_log_proba", "decision_function")
    with pytest.raises(InvalidInput, match=r"has no 'transform'; it has predict, predict_proba, "):
        adapter.predict({"input-0": X[:2]}, {"method": "transform"})
    with pytest.raises(InvalidInput, match="has no 'fit'"):
        adapter.predict({"input-0": X[:2]}, {"method": "fit"})
    for options in ({"method": "predict_proba"}, {"predict_proba": True}):
        proba = serve(model, tmp_path, **options)
        assert proba.signature.outputs[0].shape == (-1, 2)
        assert_same(proba.predict({"input-0": X[:5]}, {}), model.predict_proba(X[:5]))
        assert_same(proba.predict({"input-0": X[:5]}, {"method": "predict"}), model.predict(X[:5]))
    assert serve(SVC().fit(X, Y), tmp_path, predict_proba=True).method == "predict"
    with pytest.raises(LoadError, match=r"holds a LogisticRegression, which has no method 'score': options.method may"):
        serve(model, tmp_path, method="score")


def test_what_a_model_refuses_is_the_clients_fault(tmp_path: Path) -> None:
    radius = serve(NUMBERS["neighbours within a radius"](), tmp_path)
    with pytest.raises(InvalidInput, match="No neighbors found"):
        radius.predict({"input-0": X[:1]}, {})


def test_rows_that_depend_on_each_other_are_not_merged(tmp_path: Path) -> None:
    for model in (
        NMF(2, max_iter=500).fit(np.abs(X)),
        make_pipeline(FunctionTransformer(np.cumsum, kw_args={"axis": 0}), LinearRegression()).fit(X, Y),
    ):
        assert not serve(model, tmp_path).traits.batchable
    for model in (LogisticRegression().fit(X, Y), NUMBERS["logarithm"](), NUMBERS["imputer"]()):
        assert serve(model, tmp_path).traits.batchable


def test_inputs_are_left_as_they_are(tmp_path: Path) -> None:
    model = make_pipeline(SimpleImputer(copy=False), StandardScaler(copy=False), LogisticRegression()).fit(
        GAPS.copy(), Y
    )
    adapter = serve(model, tmp_path)
    rows = GAPS[:9].copy()
    adapter.predict({"input-0": rows}, {})
    np.testing.assert_array_equal(rows, GAPS[:9])


@pytest.mark.parametrize("name", ["forest", "lightgbm", "xgboost", "pipeline", "gaussian process"])
def test_threads_do_not_disturb_each_other(name: str, tmp_path: Path) -> None:
    adapter = serve(NUMBERS[name](), tmp_path)
    assert adapter.traits.thread_safe
    rows = [X[i : i + 1 + i % 5] for i in range(20)]
    alone = [adapter.predict({"input-0": row}, {})["output-0"] for row in rows]
    wrong: list[int] = []

    def ask() -> None:
        for index, row in enumerate(rows * 3):
            got = adapter.predict({"input-0": row}, {})["output-0"]
            if not np.array_equal(got, alone[index % len(rows)]):
                wrong.append(index)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_xgboosts_linear_booster_is_called_by_one_thread(tmp_path: Path) -> None:
    assert not serve(xgboost.XGBRegressor(booster="gblinear", n_estimators=2).fit(X, Y), tmp_path).traits.thread_safe
