"""Models that are a formula of their own: naive Bayes, k-means, perceptrons of several layers, support vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from adapters.base import Array
from adapters.sklearn_.direct.plan import Builder, Kernel, Plan, chosen

__all__ = ["BUILDERS"]


def _gaussian_bayes(estimator: Any, method: str) -> Plan | None:
    """`GaussianNB`: [n, n_classes] of joint log likelihoods, a class after the other in memory."""
    from sklearn.utils._array_api import _logsumexp

    classes, theta = estimator.classes_, estimator.theta_
    parts = [
        (np.log(prior), -0.5 * np.sum(np.log(2.0 * np.pi * variance)), mean, variance)
        for prior, mean, variance in zip(estimator.class_prior_, theta, estimator.var_, strict=True)
    ]

    def joint(rows: Array) -> Array:
        return np.stack(
            [
                prior + (constant - 0.5 * np.sum(((rows - mean) ** 2) / variance, axis=1))
                for prior, constant, mean, variance in parts
            ]
        ).T

    def log_proba(rows: Array) -> Array:
        likelihoods = joint(rows)
        answer: Array = likelihoods - np.atleast_2d(_logsumexp(likelihoods, axis=1)).T
        return answer

    kernels: dict[str, Kernel] = {
        "predict": lambda rows: classes[np.argmax(joint(rows), axis=1)],
        "predict_proba": lambda rows: np.exp(log_proba(rows)),
        "predict_log_proba": log_proba,
        "predict_joint_log_proba": joint,
    }
    return chosen(kernels, method, theta)


def _kmeans(estimator: Any, method: str) -> Plan | None:
    """The nearest center, without the search for BLAS libraries whose threads scikit-learn limits in every call."""
    from sklearn.cluster._kmeans import _labels_inertia

    centers = estimator.cluster_centers_

    def predict(rows: Array) -> Array:
        labels: Array = _labels_inertia(rows, np.ones(len(rows)), centers, n_threads=1, return_inertia=False)
        return labels

    return chosen({"predict": predict}, method, centers) if centers.dtype == np.float64 else None


def _perceptron(estimator: Any) -> Kernel:
    """`_forward_pass_fast`: the output layer [n, n_outputs]."""
    from sklearn.neural_network._base import ACTIVATIONS

    layers = list(zip(estimator.coefs_, estimator.intercepts_, strict=True))
    hidden, output = ACTIVATIONS[estimator.activation], ACTIVATIONS[estimator.out_activation_]

    def forward(rows: Array) -> Array:
        for index, (coefs, intercepts) in enumerate(layers):
            rows = rows @ coefs
            rows += intercepts
            (hidden if index < len(layers) - 1 else output)(rows)
        return rows

    return forward


def _perceptron_classifier(estimator: Any, method: str) -> Plan | None:
    forward, classes = _perceptron(estimator), estimator._label_binarizer.classes_
    if estimator._label_binarizer.y_type_ not in ("binary", "multiclass"):
        return None
    two = estimator.n_outputs_ == 1

    def predict(rows: Array) -> Array:
        found = forward(rows)
        labels: Array = classes[(found.ravel() > 0.5).astype(np.int64) if two else found.argmax(axis=1)]
        return labels

    def predict_proba(rows: Array) -> Array:
        found = forward(rows)
        return np.vstack([1 - found.ravel(), found.ravel()]).T if two else found

    kernels = {"predict": predict, "predict_proba": predict_proba}
    kernels["predict_log_proba"] = lambda rows: np.log(predict_proba(rows))
    return chosen(kernels, method)


def _perceptron_regressor(estimator: Any, method: str) -> Plan | None:
    forward = _perceptron(estimator)
    single = estimator.n_outputs_ == 1

    def predict(rows: Array) -> Array:
        return forward(rows).ravel() if single else forward(rows)

    return chosen({"predict": predict}, method)


def _support_vectors(estimator: Any, method: str) -> Plan | None:
    """The call of libsvm, without what leads to it. Ties that are to be broken need the decision function as well."""
    kernel, vectors = estimator.kernel, estimator.support_vectors_
    if estimator._sparse or callable(kernel) or kernel == "precomputed" or getattr(estimator, "break_ties", False):
        return None
    if vectors.dtype != np.float64 or estimator.n_support_.sum() != len(vectors):
        return None  # libsvm takes the numbers on trust
    classes, dense, proba = getattr(estimator, "classes_", None), estimator._dense_predict, None
    if hasattr(estimator, "predict_proba") and estimator._probA.size and estimator._probB.size:
        proba = estimator._dense_predict_proba
    kernels: dict[str, Kernel] = {"predict": dense}
    if classes is not None:
        kernels["predict"] = lambda rows: classes.take(np.asarray(dense(rows), dtype=np.intp))
    if proba is not None:
        kernels["predict_proba"] = proba
    return chosen(kernels, method, vectors)


BUILDERS: dict[str, Builder] = {
    "sklearn.naive_bayes.GaussianNB": _gaussian_bayes,
    "sklearn.cluster.KMeans": _kmeans,
    "sklearn.cluster.MiniBatchKMeans": _kmeans,
    "sklearn.neural_network.MLPClassifier": _perceptron_classifier,
    "sklearn.neural_network.MLPRegressor": _perceptron_regressor,
    **{f"sklearn.svm.{name}": _support_vectors for name in ("SVC", "NuSVC", "SVR", "NuSVR")},
}
