"""Linear models, against sums made by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from adapters.base import Array
from adapters.sklearn_.direct.linear import BUILDERS
from adapters.sklearn_.direct.plan import OrdinaryRows, Plan

ROWS = np.array([[1.0, 2.0], [0.0, -1.0], [4.0, 0.5]])
#: scores [n] of coefficients 1 and 2, intercept 0.5
ONE = [5.5, -1.5, 5.5]
REGRESSORS = (
    "linear_model.Ridge",
    "linear_model.LinearRegression",
    "linear_model.LassoLarsIC",
    "svm.LinearSVR",
    "linear_model.SGDRegressor",
)


def maybe(name: str, method: str, **parts: Any) -> Plan | None:
    return BUILDERS[f"sklearn.{name}"](SimpleNamespace(**parts), method)


def built(name: str, method: str, **parts: Any) -> Plan:
    plan = maybe(name, method, **parts)
    assert plan is not None
    return plan


def two(**more: Any) -> dict[str, Any]:
    """A classifier of two classes whose scores are `ONE`."""
    return {
        "coef_": np.array([[1.0, 2.0]]),
        "intercept_": np.array([0.5]),
        "classes_": np.array(["no", "yes"]),
        **more,
    }


def three(**more: Any) -> dict[str, Any]:
    """A classifier whose scores are the first feature, the second, and 1."""
    return {
        "coef_": np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]),
        "intercept_": np.array([0.0, 0.0, 1.0]),
        "classes_": np.array([10, 20, 30]),
        **more,
    }


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


@pytest.mark.parametrize("name", REGRESSORS)
def test_a_regressor_adds_up(name: str) -> None:
    plan = built(name, "predict", coef_=np.array([1.0, 2.0]), intercept_=0.5)
    assert plan.kernel(ROWS).tolist() == ONE
    assert plan.landmarks is not None
    assert plan.landmarks.tolist() == [[1.0, 2.0]]


def test_several_numbers_have_a_column_each() -> None:
    coef = np.array([[1.0, 2.0], [0.0, 1.0]])
    found = built("linear_model.MultiTaskLasso", "predict", coef_=coef, intercept_=np.array([0.5, 0.0])).kernel(ROWS)
    assert found.tolist() == [[5.5, 2.0], [-1.5, -1.0], [5.5, 0.5]]


def test_what_stochastic_gradients_found_is_flat() -> None:
    found = built("linear_model.SGDRegressor", "predict", coef_=np.array([[1.0, 2.0]]), intercept_=np.array([0.5]))
    assert found.kernel(ROWS).tolist() == ONE
    other = built("linear_model.Ridge", "predict", coef_=np.array([[1.0, 2.0]]), intercept_=np.array([0.5]))
    assert other.kernel(ROWS).shape == (3, 1)


@pytest.mark.parametrize("name", ["PoissonRegressor", "GammaRegressor", "TweedieRegressor"])
def test_a_generalized_one_is_behind_its_link(name: str) -> None:
    loss = SimpleNamespace(link=SimpleNamespace(inverse=np.exp))
    plan = built(f"linear_model.{name}", "predict", coef_=np.array([1.0, 2.0]), intercept_=0.5, _base_loss=loss)
    assert plan.kernel(ROWS).tolist() == pytest.approx([math.exp(score) for score in ONE])
    assert plan.landmarks is not None


CLASSIFIERS = ("linear_model.Perceptron", "svm.LinearSVC", "linear_model.RidgeClassifier")
PROBABLE = ("linear_model.LogisticRegression", "discriminant_analysis.LinearDiscriminantAnalysis")
BINARY = SimpleNamespace(y_type_="binary")


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_takes_the_side_or_the_highest_score(name: str) -> None:
    single = two(_label_binarizer=BINARY)
    assert built(name, "decision_function", **single).kernel(ROWS).tolist() == ONE
    assert built(name, "predict", **single).kernel(ROWS).tolist() == ["yes", "no", "yes"]
    single["intercept_"] = np.array([-5.0])  # with which the first row lies on the border itself
    assert built(name, "predict", **single).kernel(ROWS).tolist() == ["no", "no", "no"]
    several = three(_label_binarizer=BINARY)
    assert built(name, "decision_function", **several).kernel(ROWS).tolist() == [[1, 2, 1], [0, -1, 1], [4, 0.5, 1]]
    assert built(name, "predict", **several).kernel(ROWS).tolist() == [20, 30, 10]
    assert maybe(name, "predict_proba", **several) is None


def test_a_ridge_classifier_of_several_labels_has_no_plan() -> None:
    several = SimpleNamespace(y_type_="multilabel-indicator")
    assert maybe("linear_model.RidgeClassifier", "predict", **three(_label_binarizer=several)) is None


@pytest.mark.parametrize(
    "name", ["linear_model.LogisticRegression", "discriminant_analysis.LinearDiscriminantAnalysis"]
)
def test_probabilities_of_two_classes_are_two_sides_of_a_sigmoid(name: str) -> None:
    found = built(name, "predict_proba", **two()).kernel(ROWS)
    assert found[:, 1].tolist() == pytest.approx([sigmoid(score) for score in ONE])
    assert found.sum(axis=1).tolist() == [1.0, 1.0, 1.0]
    assert built(name, "predict", **two()).kernel(ROWS).tolist() == ["yes", "no", "yes"]


@pytest.mark.parametrize(
    "name", ["linear_model.LogisticRegression", "discriminant_analysis.LinearDiscriminantAnalysis"]
)
def test_probabilities_of_several_classes_are_a_softmax(name: str) -> None:
    found = built(name, "predict_proba", **three()).kernel(ROWS)
    powers = np.exp([[1, 2, 1], [0, -1, 1], [4, 0.5, 1]])
    np.testing.assert_allclose(found, powers / powers.sum(axis=1, keepdims=True), rtol=1e-12)


def test_logarithms_are_those_of_the_probabilities() -> None:
    found = built("linear_model.LogisticRegression", "predict_log_proba", **two()).kernel(ROWS)
    assert found[:, 1].tolist() == pytest.approx([math.log(sigmoid(score)) for score in ONE])
    assert maybe("discriminant_analysis.LinearDiscriminantAnalysis", "predict_log_proba", **two()) is None


def test_stochastic_gradients_have_probabilities_with_one_loss_only() -> None:
    name = "linear_model.SGDClassifier"
    found = built(name, "predict_proba", **three(loss="log_loss")).kernel(ROWS)
    each = np.array([[sigmoid(score) for score in row] for row in [[1, 2, 1], [0, -1, 1], [4, 0.5, 1]]])
    np.testing.assert_allclose(found, each / each.sum(axis=1, keepdims=True), rtol=1e-12)
    assert maybe(name, "predict_proba", **three(loss="hinge")) is None
    assert built(name, "predict", **three(loss="hinge")).kernel(ROWS).tolist() == [20, 30, 10]


def test_rows_of_no_class_at_all_are_given_back() -> None:
    parts = three(loss="log_loss", intercept_=np.full(3, -1000.0))
    with np.errstate(all="ignore"), pytest.raises(OrdinaryRows):
        built("linear_model.SGDClassifier", "predict_proba", **parts).kernel(ROWS)


def test_inputs_are_left_as_they_are() -> None:
    for method in ("predict", "predict_proba", "decision_function"):
        rows = ROWS.copy()
        built("linear_model.LogisticRegression", method, **three()).kernel(rows)
        assert rows.tobytes() == ROWS.tobytes()


@pytest.mark.parametrize(
    "coef",
    [sparse.csr_array([[1.0, 2.0]]), np.array([[1, 2]]), np.zeros((1, 1, 2)), None],
    ids=["sparse", "whole numbers", "three axes", "none"],
)
def test_odd_coefficients_have_no_plan(coef: Any) -> None:
    parts = two(coef_=coef, _label_binarizer=BINARY, loss="log_loss")
    names = ("Ridge", "SGDRegressor", "PoissonRegressor", "LogisticRegression", "SGDClassifier", "RidgeClassifier")
    assert [maybe(f"linear_model.{name}", "predict", **parts) for name in names] == [None] * 6


@pytest.mark.parametrize("classes", [["no", "yes"], np.array([[0, 1]])], ids=["a list", "of several outputs"])
def test_odd_classes_have_no_plan(classes: Any) -> None:
    assert maybe("linear_model.LogisticRegression", "predict", **two(classes_=classes)) is None


def test_an_array_is_multiplied_as_it_lies() -> None:
    """Another layout rounds differently."""
    seen: list[Array] = []

    class Rows(np.ndarray[Any, Any]):
        def __matmul__(self, other: Array) -> Any:
            seen.append(other)
            return np.asarray(self) @ other

    coef = np.asfortranarray([[1.0, 2.0], [3.0, 4.0]])
    kernel = built("linear_model.Ridge", "predict", coef_=coef, intercept_=0.0).kernel
    assert kernel(ROWS.view(Rows)).tolist() == (ROWS @ coef.T).tolist()
    assert np.shares_memory(seen[0], coef)
