"""Where there is no direct path, and what keeps a wrong one from being taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn import (
    compose,
    ensemble,
    impute,
    linear_model,
    model_selection,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)
from sklearn.datasets import load_iris
from sklearn.utils.discovery import all_estimators
from threadpoolctl import threadpool_limits

from adapters.base import Array
from adapters.sklearn_.direct import build, direct
from adapters.sklearn_.direct.plan import Builder, OrdinaryRows, Plan

X, Y = load_iris(return_X_y=True)
X = np.ascontiguousarray(X, dtype=np.float64)


@pytest.fixture(scope="module", autouse=True)
def one_native_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


class Subclass(linear_model.LogisticRegression):
    """Might do anything."""


class Namesake(linear_model.LogisticRegression):
    """Might do anything, too."""


Namesake.__name__ = Namesake.__qualname__ = "LogisticRegression"


class OddTree(tree.DecisionTreeClassifier):
    """A tree that a forest may have been given."""


def forest(**parameters: Any) -> Any:
    return ensemble.RandomForestClassifier(5, random_state=0, **parameters).fit(X, Y)


def with_odd_tree() -> Any:
    model = forest()
    model.estimators_[2] = OddTree().fit(X, Y)
    return model


def with_narrow_tree() -> Any:
    model = forest()
    model.estimators_[2] = tree.DecisionTreeClassifier().fit(X[:, :3], Y)
    return model


def overridden() -> Any:
    model = linear_model.LogisticRegression().fit(X, Y)
    model.decision_function = lambda rows: np.zeros(len(rows))
    return model


def damaged() -> Any:
    model = svm.SVC().fit(X, Y)
    model._n_support = model._n_support + 100
    return model


def fit(estimator: Any, rows: Any = X, target: Any = Y) -> Any:
    return estimator.fit(rows, target)


PAIRS = np.stack([Y, Y == 1], axis=1)
ENCODED = [("encoder", preprocessing.OneHotEncoder(), ["colour"])]
NOT_DIRECT: dict[str, tuple[Callable[[], Any], str]] = {
    "subclass": (lambda: fit(Subclass()), "predict"),
    "class of the same name": (lambda: fit(Namesake()), "predict"),
    "overridden on the object": (overridden, "predict"),
    "not fitted": (linear_model.LogisticRegression, "predict"),
    "without the method": (lambda: fit(svm.LinearSVC()), "predict_proba"),
    "no answer": (lambda: fit(linear_model.LogisticRegression()), "fit"),
    "no method at all": (lambda: fit(linear_model.LogisticRegression()), "coef_"),
    "sparse coefficients": (lambda: fit(linear_model.LogisticRegression()).sparsify(), "predict"),
    "several jobs": (lambda: forest(n_jobs=2), "predict"),
    "another kind of tree": (with_odd_tree, "predict"),
    "a tree of fewer features": (with_narrow_tree, "predict_proba"),
    "several outputs": (lambda: fit(ensemble.RandomForestClassifier(3), X, PAIRS), "predict"),
    "several outputs, regression": (lambda: fit(ensemble.ExtraTreesRegressor(3), X, PAIRS), "predict"),
    "tree of several outputs": (lambda: fit(tree.DecisionTreeClassifier(), X, PAIRS), "predict_proba"),
    "several labels": (lambda: fit(linear_model.RidgeClassifier(), X, PAIRS > 0), "predict"),
    "several labels, perceptron": (lambda: fit(neural_network.MLPClassifier(max_iter=2), X, PAIRS > 0), "predict"),
    "writes its input": (lambda: fit(preprocessing.StandardScaler(copy=False)), "transform"),
    "a part writes its input": (
        lambda: fit(pipeline.make_pipeline(preprocessing.MinMaxScaler(copy=False), linear_model.Ridge())),
        "predict",
    ),
    "a part of a part writes its input": (
        lambda: fit(
            pipeline.make_pipeline(
                pipeline.make_union(pipeline.make_pipeline(preprocessing.MinMaxScaler(copy=False))),
                linear_model.Ridge(),
            )
        ),
        "predict",
    ),
    "a search's writes its input": (
        lambda: fit(
            model_selection.GridSearchCV(
                pipeline.make_pipeline(preprocessing.MinMaxScaler(copy=False), linear_model.Ridge()), {}
            )
        ),
        "predict",
    ),
    "a column transformer's writes its input": (
        lambda: fit(
            pipeline.make_pipeline(
                compose.ColumnTransformer([("a", preprocessing.MinMaxScaler(copy=False), [0, 1])]), linear_model.Ridge()
            )
        ),
        "predict",
    ),
    "data frames out": (lambda: fit(preprocessing.StandardScaler()).set_output(transform="pandas"), "transform"),
    "indicator": (lambda: fit(impute.SimpleImputer(add_indicator=True)), "transform"),
    "other missing value": (lambda: fit(impute.SimpleImputer(missing_values=0.0)), "transform"),
    "empty column": (lambda: fit(impute.SimpleImputer(), X * [1, np.nan, 1, 1]), "transform"),
    "own kernel": (lambda: fit(svm.SVC(kernel=lambda a, b: a @ b.T)), "predict"),
    "precomputed kernel": (lambda: fit(svm.SVC(kernel="precomputed"), X @ X.T), "predict"),
    "broken ties": (lambda: fit(svm.SVC(break_ties=True)), "predict"),
    "sparse training": (lambda: fit(svm.SVC(), sparse.csr_array(X)), "predict"),
    "damaged support": (damaged, "predict"),
    "own start": (lambda: fit(ensemble.GradientBoostingClassifier(init=linear_model.LogisticRegression())), "predict"),
    "categories": (lambda: fit(ensemble.HistGradientBoostingRegressor(categorical_features=[0])), "predict"),
    "hard votes": (lambda: fit(ensemble.VotingClassifier([("a", linear_model.LogisticRegression())])), "predict"),
    "nothing direct in it": (lambda: fit(pipeline.make_pipeline(preprocessing.Binarizer(), Subclass())), "predict"),
    "no numbers first": (
        lambda: fit(
            pipeline.make_pipeline(compose.ColumnTransformer(ENCODED, sparse_threshold=0.0), forest()),
            pd.DataFrame({"colour": ["red", "green", "blue"] * 50}),
        ),
        "predict",
    ),
    "no estimator": (lambda: None, "predict"),
    "a text": (lambda: "LogisticRegression", "title"),
    "a class": (lambda: linear_model.LogisticRegression, "predict"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NOT_DIRECT)
def test_what_is_out_of_the_ordinary_takes_the_ordinary_path(name: str) -> None:
    make, method = NOT_DIRECT[name]
    assert direct(make(), method) is None


def test_what_needs_no_fitting_is_direct() -> None:
    assert direct(pipeline.make_pipeline(preprocessing.Normalizer(), linear_model.Ridge()).fit(X, Y), "predict")
    normalizer = preprocessing.Normalizer().fit(X)
    del normalizer.n_features_in_
    scaler = preprocessing.StandardScaler()
    assert [build._is_plain(each) for each in (normalizer, scaler)] == [True, False]


def test_parts_are_looked_into_as_deep_as_parameters_are_named() -> None:
    """Who tells of an estimator among its parameters under another name is known here."""
    held: set[str] = set()
    for _, cls in all_estimators():
        names = (name for name in cls._get_param_names() if any(word in name for word in ("estimator", "transformer")))
        held |= {name for name in names if not name.startswith("n_") and not name.endswith("_weights")}
    assert held - {"covariance_estimator"} <= build._NESTED


@pytest.mark.parametrize(
    "config", [{"transform_output": "pandas"}, {"array_api_dispatch": True}, {"enable_metadata_routing": True}], ids=str
)
def test_a_configured_scikit_learn_takes_the_ordinary_path(
    config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    scaler = preprocessing.StandardScaler().fit(X)
    settings = {**sklearn.get_config(), **config}
    monkeypatch.setattr(sklearn, "get_config", lambda: settings)
    assert direct(scaler, "transform") is None


def shifted(rows: Array) -> Array:
    """The next numbers that a tree can tell from these."""
    return np.nextafter(rows.astype(np.float32), np.float32(np.inf))


WRONG: dict[str, Callable[[Any], Callable[[Array], Any]]] = {
    "one bit": lambda model: lambda rows: np.nextafter(model.predict_proba(rows), 2.0),
    "another type": lambda model: lambda rows: model.predict_proba(rows).astype(np.float32),
    "another shape": lambda model: lambda rows: model.predict_proba(rows)[:, :1],
    "another order": lambda model: lambda rows: np.asfortranarray(model.predict_proba(rows)),
    "the sign of zero": lambda model: lambda rows: np.copysign(model.predict_proba(rows), -1.0),
    "beside the thresholds": lambda model: lambda rows: model.tree_.predict(shifted(rows)),
    "many rows only": lambda model: lambda rows: model.predict_proba(rows) * (1.0 if len(rows) < 64 else 0.5),
    "refuses": lambda model: lambda rows: [][0],
}


@pytest.mark.parametrize("name", WRONG)
def test_a_plan_that_differs_is_not_taken(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = tree.DecisionTreeClassifier(random_state=0).fit(X, Y)
    path = "sklearn.tree.DecisionTreeClassifier"
    right = build._BUILDERS[path]

    def wrong(estimator: Any, method: str) -> Plan | None:
        plan = right(estimator, method)
        return plan and Plan(WRONG[name](estimator), plan.landmarks, plan.turns)

    assert direct(model, "predict_proba") is not None
    monkeypatch.setitem(build._BUILDERS, path, wrong)
    caplog.set_level("DEBUG")
    assert direct(model, "predict_proba") is None
    assert "DecisionTreeClassifier.predict_proba takes its ordinary path" in caplog.text


def test_a_scikit_learn_of_another_arithmetic_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = linear_model.LogisticRegression(max_iter=500).fit(X, Y)
    proba = linear_model.LogisticRegression.predict_proba
    monkeypatch.setattr(
        linear_model.LogisticRegression, "predict_proba", lambda self, rows: np.nextafter(proba(self, rows), 1.0)
    )
    assert direct(model, "predict_proba") is None
    assert direct(model, "decision_function") is not None


def test_a_plan_that_stumbles_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumbling(estimator: Any, method: str) -> Plan | None:
        raise KeyError(method)

    builders: dict[str, Builder] = {**build._BUILDERS, "sklearn.linear_model.Ridge": stumbling}
    monkeypatch.setattr(build, "_BUILDERS", builders)
    assert direct(linear_model.Ridge().fit(X, Y), "predict") is None


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize(
    "make",
    [
        forest,
        lambda: fit(ensemble.RandomForestRegressor(5)),
        lambda: fit(tree.DecisionTreeClassifier()),
        lambda: fit(ensemble.GradientBoostingClassifier(n_estimators=3)),
        lambda: fit(
            pipeline.make_pipeline(preprocessing.StandardScaler(), linear_model.LogisticRegression()), X * 1e-9
        ),
    ],
)
def test_what_overflows_is_refused_in_scikit_learns_words(make: Callable[[], Any]) -> None:
    model = make()
    function, rows = direct(model, "predict"), X[:3] * 1e305
    assert function is not None
    with pytest.raises(ValueError, match="infinity or a value too large") as expected:
        model.predict(rows)
    with pytest.raises(ValueError) as found:
        function(rows)
    assert str(found.value) == str(expected.value)


def test_a_model_that_is_fitted_again_is_read_again() -> None:
    model = forest()
    before = direct(model, "predict_proba")
    old = model.predict_proba(X)
    model.fit(X[::-1], (Y[::-1] + 1) % 3)
    after = direct(model, "predict_proba")
    assert before is not None
    assert after is not None
    assert before(X).tobytes() == old.tobytes()
    assert after(X).tobytes() == model.predict_proba(X).tobytes() != old.tobytes()


def test_a_pipeline_of_columns_is_direct_where_it_can_be() -> None:
    frame = pd.DataFrame({"colour": ["red", "green", "blue"] * 50, "size": X[:, 0], "weight": X[:, 1]})
    columns = compose.ColumnTransformer([*ENCODED, ("scaler", preprocessing.StandardScaler(), ["size", "weight"])])
    model = pipeline.make_pipeline(columns.set_params(sparse_threshold=0.0), ensemble.RandomForestClassifier(9))
    model.fit(frame, Y)
    function = direct(model, "predict_proba", example=frame[:2])
    assert function is not None
    for rows in (frame[:1], frame, frame[["weight", "colour", "size"]]):
        assert function(rows).tobytes() == model.predict_proba(rows).tobytes()
    strange = frame[:1].assign(colour="mauve")
    with pytest.raises(ValueError, match="mauve"):
        function(strange)


def test_rows_that_a_plan_gives_back_go_the_estimators_way(monkeypatch: pytest.MonkeyPatch) -> None:
    model = linear_model.Ridge().fit(X, Y)
    asked: list[int] = []

    def kernel(rows: Array) -> Array:
        asked.append(len(rows))
        raise OrdinaryRows

    monkeypatch.setitem(build._BUILDERS, "sklearn.linear_model.Ridge", lambda estimator, method: Plan(kernel))
    function = direct(model, "predict")
    assert function is not None
    asked.clear()
    assert function(X[:5]).tobytes() == model.predict(X[:5]).tobytes()
    assert asked == [5]
    for other in (X[:5].astype(np.float32), X[::2], np.asfortranarray(X)):
        assert function(other).tobytes() == model.predict(other).tobytes()
    with pytest.raises(ValueError, match="3 features"):
        function(np.ascontiguousarray(X[:5, :3]))
    assert asked == [5]  # for none of these was the plan made


def test_a_path_reads_the_model_once() -> None:
    model = linear_model.Ridge().fit(X, Y)
    function, before = direct(model, "predict"), model.predict(X)
    model.coef_ = model.coef_ * 2
    assert function is not None
    assert function(X).tobytes() == before.tobytes() != model.predict(X).tobytes()
