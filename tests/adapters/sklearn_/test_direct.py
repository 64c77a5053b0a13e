"""Direct answers equal the estimator's own to the bit, for every estimator claimed and whatever rows come."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import (
    calibration,
    cluster,
    decomposition,
    discriminant_analysis,
    ensemble,
    impute,
    linear_model,
    model_selection,
    naive_bayes,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)
from threadpoolctl import threadpool_limits

from adapters.base import Array
from adapters.sklearn_.direct import direct

METHODS = ("predict", "predict_proba", "predict_log_proba", "decision_function", "transform")
#: what is claimed of each estimator is in the builders; these have no direct path, by design
UNCLAIMED = {
    ("LinearDiscriminantAnalysis", "transform"),
    ("LinearDiscriminantAnalysis", "predict_log_proba"),
    ("SGDClassifier-huber", "predict_proba"),
    ("SGDClassifier-huber", "predict_log_proba"),
    ("KMeans", "transform"),
    ("MiniBatchKMeans", "transform"),
    ("SVC", "decision_function"),
    ("SVC-probability", "decision_function"),
    ("SVC-probability", "predict_log_proba"),
    ("NuSVC", "decision_function"),
    ("VotingClassifier", "transform"),
    ("VotingRegressor", "transform"),
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    name: str
    make: Callable[[], Any]
    target: str = "classes"  #: classes, two classes, number, count, or two numbers
    nan: bool = False


def regressors() -> Iterator[Case]:
    for name in ("ElasticNet", "Lasso", "LinearRegression", "Ridge", "BayesianRidge", "HuberRegressor", "LassoCV"):
        yield Case(name, getattr(linear_model, name), "number")
    for name in ("MultiTaskLasso", "RidgeCV"):
        yield Case(name, getattr(linear_model, name), "two numbers")
    for name in ("PoissonRegressor", "GammaRegressor", "TweedieRegressor"):
        yield Case(name, getattr(linear_model, name), "count")
    yield Case("SGDRegressor", linear_model.SGDRegressor, "number")
    yield Case("LinearSVR", svm.LinearSVR, "number")
    yield Case("SVR", svm.SVR, "number")
    yield Case("MLPRegressor", lambda: neural_network.MLPRegressor(hidden_layer_sizes=(9,), max_iter=20), "two numbers")
    yield Case("DecisionTreeRegressor", tree.DecisionTreeRegressor, "number", nan=True)
    yield Case("ExtraTreeRegressor", tree.ExtraTreeRegressor, "number", nan=True)
    yield Case("RandomForestRegressor", lambda: ensemble.RandomForestRegressor(20), "number", nan=True)
    yield Case("ExtraTreesRegressor", lambda: ensemble.ExtraTreesRegressor(20), "number", nan=True)
    yield Case("GradientBoostingRegressor", lambda: ensemble.GradientBoostingRegressor(n_estimators=9), "number")
    yield Case("Huber", lambda: ensemble.GradientBoostingRegressor(loss="huber", init="zero", n_estimators=9), "number")
    for loss in ("squared_error", "poisson"):
        make = lambda loss=loss: ensemble.HistGradientBoostingRegressor(loss=loss, max_iter=9, min_samples_leaf=3)  # noqa: E731
        yield Case(f"HistGradientBoostingRegressor-{loss}", make, "count", nan=True)
    parts = [("a", linear_model.LinearRegression()), ("b", ensemble.RandomForestRegressor(5))]
    yield Case("VotingRegressor", lambda: ensemble.VotingRegressor(parts, weights=[1, 2]), "number")


def classifiers() -> Iterator[Case]:
    yield Case("LogisticRegression", lambda: linear_model.LogisticRegression(max_iter=50))
    yield Case("LogisticRegression-two", lambda: linear_model.LogisticRegression(solver="liblinear"), "two classes")
    yield Case("RidgeClassifier", linear_model.RidgeClassifier)
    yield Case("RidgeClassifier-two", linear_model.RidgeClassifier, "two classes")
    yield Case("Perceptron", linear_model.Perceptron)
    yield Case("SGDClassifier", linear_model.SGDClassifier)
    yield Case("SGDClassifier-log", lambda: linear_model.SGDClassifier(loss="log_loss"))
    yield Case("SGDClassifier-log-two", lambda: linear_model.SGDClassifier(loss="log_loss"), "two classes")
    yield Case("SGDClassifier-huber", lambda: linear_model.SGDClassifier(loss="modified_huber"))
    yield Case("LinearSVC", svm.LinearSVC)
    yield Case("SVC", svm.SVC)
    yield Case("SVC-probability", lambda: svm.SVC(probability=True), "two classes")
    yield Case("LinearDiscriminantAnalysis", discriminant_analysis.LinearDiscriminantAnalysis)
    yield Case("GaussianNB", naive_bayes.GaussianNB)
    yield Case("MLPClassifier", lambda: neural_network.MLPClassifier(hidden_layer_sizes=(9,), max_iter=20))
    yield Case(
        "MLPClassifier-two", lambda: neural_network.MLPClassifier(hidden_layer_sizes=(9,), max_iter=20), "two classes"
    )
    yield Case("DecisionTreeClassifier", tree.DecisionTreeClassifier, nan=True)
    yield Case("ExtraTreeClassifier", tree.ExtraTreeClassifier, nan=True)
    yield Case("RandomForestClassifier", lambda: ensemble.RandomForestClassifier(20), nan=True)
    yield Case("RandomForestClassifier-one", lambda: ensemble.RandomForestClassifier(1), nan=True)
    yield Case("ExtraTreesClassifier", lambda: ensemble.ExtraTreesClassifier(20, class_weight="balanced"), nan=True)
    yield Case("GradientBoostingClassifier", lambda: ensemble.GradientBoostingClassifier(n_estimators=5))
    yield Case("Exponential", lambda: ensemble.GradientBoostingClassifier(loss="exponential"), "two classes")
    histograms = lambda: ensemble.HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=3)  # noqa: E731
    yield Case("HistGradientBoostingClassifier", histograms, nan=True)
    yield Case("HistGradientBoostingClassifier-two", histograms, "two classes", nan=True)
    grid = {"C": [0.1, 1.0]}
    yield Case("GridSearchCV", lambda: model_selection.GridSearchCV(linear_model.LogisticRegression(), grid, cv=2))
    parts = [("a", linear_model.LogisticRegression()), ("b", ensemble.RandomForestClassifier(5))]
    yield Case("VotingClassifier", lambda: ensemble.VotingClassifier(parts, voting="soft"))
    yield Case("Calibrated-sigmoid", lambda: calibration.CalibratedClassifierCV(svm.LinearSVC(), cv=2))
    forest = lambda: ensemble.RandomForestClassifier(5)  # noqa: E731
    isotonic = lambda: calibration.CalibratedClassifierCV(forest(), method="isotonic", cv=2)  # noqa: E731
    yield Case("Calibrated-isotonic", isotonic)
    yield Case("Calibrated-two", isotonic, "two classes")


def transformers() -> Iterator[Case]:
    yield Case("StandardScaler", preprocessing.StandardScaler, nan=True)
    yield Case("StandardScaler-mean", lambda: preprocessing.StandardScaler(with_std=False), nan=True)
    yield Case("StandardScaler-std", lambda: preprocessing.StandardScaler(with_mean=False), nan=True)
    yield Case("RobustScaler", preprocessing.RobustScaler, nan=True)
    yield Case("MinMaxScaler", lambda: preprocessing.MinMaxScaler(feature_range=(-2, 3)), nan=True)
    yield Case("MinMaxScaler-clip", lambda: preprocessing.MinMaxScaler(clip=True), nan=True)
    yield Case("MaxAbsScaler", preprocessing.MaxAbsScaler, nan=True)
    for norm in ("l1", "l2", "max"):
        yield Case(f"Normalizer-{norm}", lambda norm=norm: preprocessing.Normalizer(norm=norm))
    for strategy in ("mean", "median", "most_frequent"):
        yield Case(f"SimpleImputer-{strategy}", lambda s=strategy: impute.SimpleImputer(strategy=s), nan=True)
    yield Case("PCA", decomposition.PCA)
    yield Case("PCA-whiten", lambda: decomposition.PCA(1, whiten=True))
    yield Case("KMeans", lambda: cluster.KMeans(3, n_init=1))
    yield Case("MiniBatchKMeans", lambda: cluster.MiniBatchKMeans(3, n_init=1))


def pipelines() -> Iterator[Case]:
    make, scaler = pipeline.make_pipeline, preprocessing.StandardScaler
    yield Case("scaled", lambda: make(scaler(), linear_model.LogisticRegression()))
    yield Case("imputed", lambda: make(impute.SimpleImputer(), scaler(), ensemble.RandomForestClassifier(5)), nan=True)
    yield Case("gaps", lambda: make(scaler(), ensemble.HistGradientBoostingClassifier(max_iter=3)), nan=True)
    yield Case("mixed", lambda: make(preprocessing.PolynomialFeatures(2), ensemble.ExtraTreesClassifier(5)))
    yield Case("passed", lambda: make("passthrough", scaler(), decomposition.PCA(1)))
    yield Case("nested", lambda: make(make(scaler(), decomposition.PCA()), svm.LinearSVC()))


CASES = [*regressors(), *classifiers(), *transformers(), *pipelines()]
LABELS: tuple[Callable[[int], Any], ...] = (int, lambda k: f"class {k}", float, lambda k: 2**40 + k, lambda k: k - 3)


def target_of(case: Case, rng: np.random.Generator, signal: Array) -> Array:
    """What to learn from [n] of a signal: nothing is learned well, but everything is learned."""
    if case.target == "number":
        return signal * 10.0 ** rng.integers(-3, 4)
    if case.target == "count":
        return np.floor(np.abs(signal) * 3) + 1
    if case.target == "two numbers":
        return np.stack([signal, signal**2], axis=1)
    n_classes = 2 if case.target == "two classes" else int(rng.choice([2, 3, 10]))
    codes = np.argsort(np.argsort(signal)) * n_classes // len(signal)
    if n_classes == 2 and rng.random() < 0.3:
        return codes.astype(bool)
    label = LABELS[rng.integers(len(LABELS))]
    labels = np.array([label(int(code)) for code in codes])
    return labels.astype(object) if labels.dtype.kind == "U" and rng.random() < 0.5 else labels


def fitted(case: Case, seed: int) -> tuple[Any, Array]:
    """The case's estimator, fitted to random data with ties and constants; and the data."""
    rng = np.random.default_rng(seed)
    n, width = int(rng.integers(60, 120)), int(rng.choice([1, 2, 3, 7, 40]))
    rows = np.round(rng.normal(size=(n, width)), int(rng.integers(0, 6))) * 10.0 ** rng.integers(-2, 3, width)
    target = target_of(case, rng, rows[:, 0] + rng.normal(size=n))
    if case.nan and width > 1:
        rows[rng.random(rows.shape) < 0.1] = np.nan
        rows[:3] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return case.make().fit(rows, target), rows


def some_rows(rng: np.random.Generator, known: Array, n: int, *, nan: bool) -> Array:
    """Rows of values seen in training, near them, between them, -0.0, huge and tiny ones, and NaN."""
    seen = np.nan_to_num(known[rng.integers(0, len(known), (n, known.shape[1])), np.arange(known.shape[1])])
    other = np.roll(seen, 1, axis=0)
    special = rng.choice([0.0, -0.0, 1e-300, -1e-300, 5e-324, 1e30, -1e30, 3.5e38], seen.shape)
    ways = [seen, np.nextafter(seen, np.inf), (seen + other) / 2, seen + rng.normal(size=seen.shape), special]
    rows = np.choose(rng.choice(len(ways), seen.shape, p=[0.3, 0.1, 0.2, 0.39, 0.01]), ways)
    if rng.random() < 0.1:
        rows = rows * 10.0 ** rng.integers(-300, 270)
    if nan:
        rows[rng.random(rows.shape) < 0.1] = np.nan
    return np.ascontiguousarray(rows)


def outcome(function: Callable[[Any], Any], rows: Any) -> tuple[Any, ...]:
    """Every bit of an answer; or the type and the text of what was raised."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            answer = function(rows)
        except Exception as error:
            return type(error), str(error)
    bits = answer.tolist() if answer.dtype.hasobject else answer.tobytes()
    return answer.dtype, answer.shape, answer.flags.c_contiguous, answer.flags.f_contiguous, bits


@dataclass(frozen=True)
class Model:
    case: Case
    estimator: Any
    known: Array  #: what it was trained on
    functions: dict[str, Any]  #: the direct function of each method claimed

    def ordinary(self, method: str) -> Callable[[Any], Any]:
        function: Callable[[Any], Any] = getattr(self.estimator, method)
        return function


@pytest.fixture(scope="module", autouse=True)
def one_native_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module", params=enumerate(CASES), ids=lambda param: param[1].name)
def model(request: pytest.FixtureRequest, one_native_thread: None) -> Model:
    seed, case = request.param
    estimator, known = fitted(case, seed)
    offered = [method for method in METHODS if hasattr(estimator, method) and (case.name, method) not in UNCLAIMED]
    return Model(case, estimator, known, {method: direct(estimator, method) for method in offered})


@pytest.mark.slow
def test_every_claimed_method_is_direct(model: Model) -> None:
    assert model.functions
    assert [method for method, function in model.functions.items() if function is None] == []


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.sampled_from([1, 2, 63, 64, 65, 66]) | st.integers(1, 300))
def test_answers_are_the_estimators_own_to_the_bit(model: Model, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    rows = some_rows(rng, model.known, n, nan=model.case.nan and bool(rng.integers(2)))
    for method, function in model.functions.items():
        before = rows.tobytes()
        assert outcome(function, rows) == outcome(model.ordinary(method), rows.copy()), method
        assert rows.tobytes() == before


@pytest.mark.slow
def test_threads_do_not_disturb_each_other(model: Model) -> None:
    rng = np.random.default_rng(3)
    batches = [np.nan_to_num(some_rows(rng, model.known, n, nan=False)) for n in (1, 2, 5, 30, 64, 70)]
    for method, function in model.functions.items():
        expected = [outcome(model.ordinary(method), rows) for rows in batches]
        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(lambda rows, call=function: outcome(call, rows), batches * 3)) == expected * 3


@pytest.mark.slow
def test_other_inputs_take_the_ordinary_path(model: Model) -> None:
    rows = np.nan_to_num(model.known[:5])
    odd: list[Any] = [rows.astype(np.float32), np.asfortranarray(rows), rows[::2], rows[:, :0], rows[:0], rows[0]]
    odd += [np.hstack([rows, rows]), rows.astype(object), pd.DataFrame(rows), rows.tolist(), [["a"]], None]
    for method, function in model.functions.items():
        for other in odd:
            assert outcome(function, other) == outcome(model.ordinary(method), other)
