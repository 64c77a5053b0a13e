"""Linear models: `X @ coef_ + intercept_`, on the very arrays that scikit-learn multiplies.

BLAS rounds differently for other shapes and strides, so nothing is rearranged, not even a transposition.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from adapters.base import Array
from adapters.sklearn_.direct.plan import Builder, Kernel, OrdinaryRows, Plan, chosen, classifier, softmax, two_classes

__all__ = ["BUILDERS"]


def _regressor(estimator: Any, method: str) -> Plan | None:
    """`LinearModel.predict`."""
    coef = _dense(estimator.coef_)
    if coef is None or coef.ndim > 2:
        return None
    weights, intercept = coef.T, estimator.intercept_

    def predict(rows: Array) -> Array:
        answer: Array = rows @ weights + intercept
        return answer

    return chosen({"predict": predict}, method, np.atleast_2d(coef))


def _sgd_regressor(estimator: Any, method: str) -> Plan | None:
    plan = _regressor(estimator, method)
    if plan is None:
        return None
    scores = plan.kernel

    def predict(rows: Array) -> Array:
        return scores(rows).ravel()

    return Plan(predict, plan.marks)


def _generalized(estimator: Any, method: str) -> Plan | None:
    """`PoissonRegressor` and its like: a linear model behind a link function."""
    plan = _regressor(estimator, method)
    if plan is None:
        return None
    scores, inverse = plan.kernel, estimator._base_loss.link.inverse

    def predict(rows: Array) -> Array:
        answer: Array = inverse(scores(rows))
        return answer

    return Plan(predict, plan.marks)


def _scores(estimator: Any) -> Kernel | None:
    """`LinearClassifierMixin.decision_function`: [n] for two classes, else [n, n_classes]."""
    coef, classes = _dense(estimator.coef_), estimator.classes_
    if coef is None or coef.ndim > 2 or not isinstance(classes, np.ndarray) or classes.ndim != 1:
        return None
    weights, intercept, single = coef.T, estimator.intercept_, coef.ndim == 2 and coef.shape[0] == 1

    def scores(rows: Array) -> Array:
        found: Array = rows @ weights + intercept
        return found.reshape(-1) if single else found

    return scores


def _labels(scores: Kernel, classes: Array) -> Kernel:
    """`LinearClassifierMixin.predict`."""

    def predict(rows: Array) -> Array:
        found = scores(rows)
        indices = (found > 0).astype(np.int64) if found.ndim == 1 else np.argmax(found, axis=1)
        return classes.take(indices, axis=0)

    return predict


def _classifier(estimator: Any, method: str) -> Plan | None:
    """A linear classifier without probabilities."""
    scores = _scores(estimator)
    if scores is None:
        return None
    kernels = {"decision_function": scores, "predict": _labels(scores, estimator.classes_)}
    return chosen(kernels, method, np.atleast_2d(estimator.coef_))


def _ridge_classifier(estimator: Any, method: str) -> Plan | None:
    return None if estimator._label_binarizer.y_type_.startswith("multilabel") else _classifier(estimator, method)


def _logistic(estimator: Any, method: str) -> Plan | None:
    """`LogisticRegression`: the softmax of the scores, or two sides of a sigmoid."""
    return _with_probabilities(estimator, method, one_against_rest=len(estimator.classes_) <= 2)


def _sgd_classifier(estimator: Any, method: str) -> Plan | None:
    if estimator.loss == "log_loss":
        return _with_probabilities(estimator, method, one_against_rest=True)
    return _classifier(estimator, method)


def _discriminant(estimator: Any, method: str) -> Plan | None:
    """`LinearDiscriminantAnalysis`, but for what it does to the probabilities before their logarithm."""
    if method == "predict_log_proba":
        return None
    return _with_probabilities(estimator, method, one_against_rest=len(estimator.classes_) <= 2)


def _with_probabilities(estimator: Any, method: str, *, one_against_rest: bool) -> Plan | None:
    scores = _scores(estimator)
    if scores is None:
        return None
    kernels = classifier(_one_against_rest(scores) if one_against_rest else _multinomial(scores), estimator.classes_)
    kernels |= {"decision_function": scores, "predict": _labels(scores, estimator.classes_)}
    return chosen(kernels, method, np.atleast_2d(estimator.coef_))


def _multinomial(scores: Kernel) -> Kernel:
    return lambda rows: softmax(scores(rows))


def _one_against_rest(scores: Kernel) -> Kernel:
    """`LinearClassifierMixin._predict_proba_lr`."""
    from scipy.special import expit

    def predict_proba(rows: Array) -> Array:
        found = scores(rows)
        expit(found, out=found)
        if found.ndim == 1:
            return two_classes(found)
        total = found.sum(axis=1)
        if not total.all():
            raise OrdinaryRows  # every class at zero, for which scikit-learn has a rule of its own
        found /= total.reshape(len(found), -1)
        return found

    return predict_proba


def _dense(coef: Any) -> Array | None:
    """Coefficients as floats; `sparsify()` leaves a sparse matrix."""
    return coef if isinstance(coef, np.ndarray) and coef.dtype.kind == "f" else None


_REGRESSORS = (
    "ARDRegression", "BayesianRidge", "ElasticNet", "ElasticNetCV", "HuberRegressor", "Lars", "LarsCV", "Lasso",
    "LassoCV", "LassoLars", "LassoLarsCV", "LassoLarsIC", "LinearRegression", "MultiTaskElasticNet",
    "MultiTaskElasticNetCV", "MultiTaskLasso", "MultiTaskLassoCV", "OrthogonalMatchingPursuit",
    "OrthogonalMatchingPursuitCV", "QuantileRegressor", "Ridge", "RidgeCV", "TheilSenRegressor",
)  # fmt: skip

BUILDERS: dict[str, Builder] = {
    **{f"sklearn.linear_model.{name}": _regressor for name in _REGRESSORS},
    "sklearn.svm.LinearSVR": _regressor,
    "sklearn.linear_model.SGDRegressor": _sgd_regressor,
    "sklearn.linear_model.PoissonRegressor": _generalized,
    "sklearn.linear_model.GammaRegressor": _generalized,
    "sklearn.linear_model.TweedieRegressor": _generalized,
    "sklearn.linear_model.LogisticRegression": _logistic,
    "sklearn.linear_model.LogisticRegressionCV": _logistic,
    "sklearn.linear_model.RidgeClassifier": _ridge_classifier,
    "sklearn.linear_model.RidgeClassifierCV": _ridge_classifier,
    "sklearn.linear_model.SGDClassifier": _sgd_classifier,
    "sklearn.linear_model.Perceptron": _classifier,
    "sklearn.svm.LinearSVC": _classifier,
    "sklearn.discriminant_analysis.LinearDiscriminantAnalysis": _discriminant,
}
