"""Models that are a formula of their own, against that formula in plain Python."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn import cluster, svm

from adapters.sklearn_.direct.models import BUILDERS
from adapters.sklearn_.direct.plan import Plan

RNG = np.random.default_rng(8)
X = RNG.normal(size=(40, 2))
Y = np.where(X[:, 0] > 0, "right", "left")


def maybe(name: str, method: str, model: Any) -> Plan | None:
    path = next(path for path in BUILDERS if path.endswith(f".{name}"))
    return BUILDERS[path](model, method)


def built(name: str, method: str, model: Any) -> Plan:
    plan = maybe(name, method, model)
    assert plan is not None
    return plan


BAYES = SimpleNamespace(
    classes_=np.array(["a", "b"]),
    theta_=np.array([[0.0, 0.0], [2.0, 1.0]]),
    var_=np.array([[1.0, 4.0], [0.25, 1.0]]),
    class_prior_=np.array([0.25, 0.75]),
)


def density(value: float, mean: float, variance: float) -> float:
    return math.exp(-((value - mean) ** 2) / (2 * variance)) / math.sqrt(2 * math.pi * variance)


def test_naive_bayes_multiplies_densities() -> None:
    rows = np.array([[0.5, 1.0], [2.0, 1.0], [-3.0, 0.0]])
    joint = [
        [
            prior * math.prod(density(value, *each) for value, *each in zip(row, mean, variance, strict=True))
            for prior, mean, variance in zip(BAYES.class_prior_, BAYES.theta_, BAYES.var_, strict=True)
        ]
        for row in rows
    ]
    np.testing.assert_allclose(built("GaussianNB", "predict_joint_log_proba", BAYES).kernel(rows), np.log(joint))
    shares = np.array(joint) / np.sum(joint, axis=1, keepdims=True)
    np.testing.assert_allclose(built("GaussianNB", "predict_proba", BAYES).kernel(rows), shares)
    np.testing.assert_allclose(built("GaussianNB", "predict_log_proba", BAYES).kernel(rows), np.log(shares))
    plan = built("GaussianNB", "predict", BAYES)
    assert plan.kernel(rows).tolist() == ["b" if b > a else "a" for a, b in joint] == ["a", "b", "a"]
    assert plan.landmarks is BAYES.theta_
    assert maybe("GaussianNB", "transform", BAYES) is None


@pytest.mark.parametrize("name", ["KMeans", "MiniBatchKMeans"])
def test_the_nearest_center_is_its_number(name: str) -> None:
    centers = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]])
    plan = built(name, "predict", SimpleNamespace(cluster_centers_=centers))
    found = plan.kernel(np.array([[1.0, 8.0], [1.0, 1.0], [6.0, 1.0]]))
    assert found.tolist() == [2, 0, 1]
    assert found.dtype == cluster.KMeans(1, n_init=1).fit(X).predict(X).dtype
    assert plan.landmarks is centers
    assert maybe(name, "transform", SimpleNamespace(cluster_centers_=centers)) is None
    assert maybe(name, "predict", SimpleNamespace(cluster_centers_=centers.astype(np.float32))) is None


def perceptron(outputs: int, activation: str = "relu", out: str = "identity", kind: str = "binary") -> Any:
    """One hidden layer of two: x - y and y - x; each output adds both up and its number."""
    return SimpleNamespace(
        coefs_=[np.array([[1.0, -1.0], [-1.0, 1.0]]), np.ones((2, outputs))],
        intercepts_=[np.zeros(2), np.arange(outputs, dtype=float)],
        activation=activation,
        out_activation_=out,
        n_outputs_=outputs,
        _label_binarizer=SimpleNamespace(y_type_=kind, classes_=np.array(["no", "yes", "maybe"])[: max(2, outputs)]),
    )


ROWS = np.array([[3.0, 1.0], [1.0, 1.5], [2.0, 2.0]])


def test_a_perceptron_passes_its_layers() -> None:
    assert built("MLPRegressor", "predict", perceptron(1)).kernel(ROWS).tolist() == [2.0, 0.5, 0.0]
    assert built("MLPRegressor", "predict", perceptron(2)).kernel(ROWS).tolist() == [[2.0, 3.0], [0.5, 1.5], [0.0, 1.0]]
    linear = built("MLPRegressor", "predict", perceptron(1, activation="identity"))
    assert linear.kernel(ROWS).tolist() == [0.0, 0.0, 0.0]
    assert maybe("MLPRegressor", "transform", perceptron(1)) is None


def test_a_perceptron_of_two_classes_has_one_output() -> None:
    model = perceptron(1, out="logistic")
    positive = [1 / (1 + math.exp(-score)) for score in (2.0, 0.5, 0.0)]
    found = built("MLPClassifier", "predict_proba", model).kernel(ROWS)
    np.testing.assert_allclose(found, [[1 - share, share] for share in positive])
    np.testing.assert_allclose(built("MLPClassifier", "predict_log_proba", model).kernel(ROWS), np.log(found))
    assert built("MLPClassifier", "predict", model).kernel(ROWS).tolist() == ["yes", "yes", "no"]  # a half is "no"


def test_a_perceptron_of_several_classes_has_an_output_each() -> None:
    model = perceptron(3, out="softmax", kind="multiclass")
    powers = np.exp([0.0, 1.0, 2.0])
    found = built("MLPClassifier", "predict_proba", model).kernel(ROWS)
    np.testing.assert_allclose(found, [powers / powers.sum()] * 3)
    assert built("MLPClassifier", "predict", model).kernel(ROWS).tolist() == ["maybe"] * 3


def test_a_perceptron_of_several_labels_has_no_plan() -> None:
    assert maybe("MLPClassifier", "predict", perceptron(3, kind="multilabel-indicator")) is None


def test_a_perceptron_leaves_its_input_alone() -> None:
    rows = ROWS.copy()
    built("MLPRegressor", "predict", perceptron(1)).kernel(rows)
    assert rows.tobytes() == ROWS.tobytes()


@pytest.mark.parametrize("name", ["SVC", "NuSVC"])
def test_support_vectors_vote_by_their_distance(name: str) -> None:
    model = getattr(svm, name)(gamma=0.5).fit(X, Y)
    weights, vectors = model.dual_coef_[0], model.support_vectors_
    scores = [
        sum(w * math.exp(-0.5 * ((row - v) ** 2).sum()) for w, v in zip(weights, vectors, strict=True))
        + model.intercept_[0]
        for row in X[:9]
    ]
    plan = built(name, "predict", model)
    assert plan.kernel(X[:9]).tolist() == ["right" if score > 0 else "left" for score in scores]
    assert plan.landmarks is not None
    assert plan.landmarks.tobytes() == vectors.tobytes()
    assert maybe(name, "decision_function", model) is None


@pytest.mark.parametrize("name", ["SVR", "NuSVR"])
def test_support_vectors_add_up_to_a_number(name: str) -> None:
    model = getattr(svm, name)(kernel="linear").fit(X, X[:, 0] * 3 + 1)
    expected = X[:9] @ (model.dual_coef_ @ model.support_vectors_)[0] + model.intercept_[0]
    np.testing.assert_allclose(built(name, "predict", model).kernel(X[:9]), expected)
    assert maybe(name, "predict_proba", model) is None


@pytest.mark.parametrize(
    ("make", "direct"),
    [
        (lambda: svm.SVC().fit(X, Y), True),
        (lambda: svm.SVC(break_ties=True, decision_function_shape="ovr").fit(X, Y), False),
        (lambda: svm.SVC(kernel="precomputed").fit(X @ X.T, Y), False),
        (lambda: svm.SVC(kernel=lambda a, b: a @ b.T).fit(X, Y), False),
        (lambda: svm.SVC().fit(sparse.csr_array(X), Y), False),
    ],
    ids=["plain", "ties are broken", "precomputed", "own kernel", "sparse"],
)
def test_which_support_vectors_have_a_plan(make: Any, direct: bool) -> None:
    assert (maybe("SVC", "predict", make()) is not None) is direct


def test_damaged_support_vectors_never_reach_native_code() -> None:
    model = svm.SVC().fit(X, Y)
    model._n_support = model._n_support + 1
    assert maybe("SVC", "predict", model) is None
    model = svm.SVC().fit(X, Y)
    model.support_vectors_ = model.support_vectors_.astype(np.float32)
    assert maybe("SVC", "predict", model) is None


@pytest.mark.filterwarnings("ignore:The `probability` parameter")
def test_probabilities_of_support_vectors_were_learned_in_training() -> None:
    assert maybe("SVC", "predict_proba", svm.SVC().fit(X, Y)) is None
    model = svm.SVC(probability=True, random_state=0).fit(X, Y)
    found = built("SVC", "predict_proba", model).kernel(X[:9])
    assert found.tobytes() == model.predict_proba(X[:9]).tobytes()
    assert built("SVC", "predict", model).kernel(X[:9]).tolist() == model.predict(X[:9]).tolist()
