"""Estimators made of others: pipelines, searches, votes. Their parts are direct where they can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np

from adapters.base import Array
from adapters.sklearn_.direct.plan import Kernel, Plan, classifier, is_finite

__all__ = ["BUILDERS", "CompositeBuilder", "Direct"]


class Direct(Protocol):
    """`build.direct`, for the parts."""

    def __call__(self, estimator: Any, method: str) -> Kernel | None: ...


CompositeBuilder: TypeAlias = Callable[[Any, str, Direct], Plan | None]


def _pipeline(pipeline: Any, method: str, direct: Direct) -> Plan | None:
    """One step after the other. A step that is not direct checks its input itself."""
    last = len(pipeline.steps) - 1
    calls = [
        (step, method if index == last else "transform")
        for index, (_, step) in enumerate(pipeline.steps)
        if step is not None and step != "passthrough"
    ]
    functions = [direct(step, name) for step, name in calls]
    if not any(functions):
        return None
    links = [
        _checking(getattr(step, name), function) if index else function or getattr(step, name)
        for index, ((step, name), function) in enumerate(zip(calls, functions, strict=True))
    ]

    def kernel(rows: Any) -> Any:
        for link in links:
            rows = link(rows)
        return rows

    return Plan(kernel, any_input=True, width=calls[0][0].n_features_in_)


def _checking(ordinary: Kernel, function: Kernel | None) -> Kernel:
    """A later step, which nobody has checked the input of: a scaler may overflow."""
    if function is None:
        return ordinary

    def link(rows: Any) -> Any:
        plain = type(rows) is np.ndarray and rows.dtype == np.float64 and is_finite(rows)
        return function(rows) if plain else ordinary(rows)

    return link


def _search(search: Any, method: str, direct: Direct) -> Plan | None:
    """A search answers with the best estimator that it found."""
    function = direct(search.best_estimator_, method)
    return Plan(function, any_input=True) if function else None


def _voting_classifier(voting: Any, method: str, direct: Direct) -> Plan | None:
    """Soft voting: the weighted mean of the probabilities."""
    parts = _parts(voting, "predict_proba", direct)
    if voting.voting != "soft" or parts is None or method == "transform":
        return None
    weights, classes = voting._weights_not_none, voting.classes_

    def probabilities(rows: Array) -> Array:
        mean: Array = np.average(np.asarray([part(rows) for part in parts]), axis=0, weights=weights)
        return mean

    kernels = classifier(probabilities, classes)
    return Plan(kernels[method]) if method in kernels else None


def _voting_regressor(voting: Any, method: str, direct: Direct) -> Plan | None:
    parts = _parts(voting, "predict", direct)
    if parts is None or method != "predict":
        return None
    weights = voting._weights_not_none

    def predict(rows: Array) -> Array:
        mean: Array = np.average(np.asarray([part(rows) for part in parts]).T, axis=1, weights=weights)
        return mean

    return Plan(predict)


def _parts(voting: Any, method: str, direct: Direct) -> list[Kernel] | None:
    """The voters, direct or not; None where none is."""
    functions = [direct(part, method) for part in voting.estimators_]
    if not any(functions):
        return None
    return [function or getattr(part, method) for part, function in zip(voting.estimators_, functions, strict=True)]


def _calibration(calibration: Any, method: str, direct: Direct) -> Plan | None:
    """`CalibratedClassifierCV`: the mean of what the calibrated classifiers say."""
    parts = [_calibrated(part, direct) for part in calibration.calibrated_classifiers_]
    known = [part for part in parts if part is not None]
    shape = len(calibration.classes_)
    if len(known) < len(parts):
        return None

    def probabilities(rows: Array) -> Array:
        mean = np.zeros((len(rows), shape))
        for part in known:
            mean += part(rows)
        mean /= len(known)
        return mean

    kernels = classifier(probabilities, calibration.classes_)
    return Plan(kernels[method]) if method in kernels else None


def _calibrated(part: Any, direct: Direct) -> Kernel | None:
    """One classifier and its calibrators, one for each class, or for the second of two."""
    classes, calibrators = part.classes, [_calibrator(calibrator) for calibrator in part.calibrators]
    if part.method not in ("sigmoid", "isotonic") or not np.array_equal(classes, part.estimator.classes_):
        return None
    name = "decision_function" if hasattr(part.estimator, "decision_function") else "predict_proba"
    response = direct(part.estimator, name) or getattr(part.estimator, name)

    def two(rows: Array) -> Array:
        scores = response(rows)
        positive = calibrators[0](scores if scores.ndim == 1 else scores[:, 1])
        return np.stack([1.0 - positive, positive], axis=1)

    def several(rows: Array) -> Array:
        found = np.stack(
            [calibrator(scores) for scores, calibrator in zip(response(rows).T, calibrators, strict=True)],
            axis=1,
        )
        total = np.sum(found, axis=1)[:, np.newaxis]
        shares: Array = np.divide(found, total, out=np.full_like(found, 1 / len(classes)), where=total != 0)
        return shares

    def probabilities(rows: Array) -> Array:
        found = two(rows) if len(classes) == 2 else several(rows)
        found[(found > 1.0) & (found <= 1.0 + 1e-5)] = 1.0
        return found

    return probabilities


def _calibrator(calibrator: Any) -> Kernel:
    if type(calibrator).__name__ != "_SigmoidCalibration":
        ordinary: Kernel = calibrator.predict
        return ordinary
    from scipy.special import expit

    slope, offset = calibrator.a_, calibrator.b_
    return lambda scores: expit(-(slope * scores + offset))


def _frozen(frozen: Any, method: str, direct: Direct) -> Plan | None:
    function = direct(frozen.estimator, method)
    return Plan(function, any_input=True) if function else None


BUILDERS: dict[str, CompositeBuilder] = {
    "sklearn.pipeline.Pipeline": _pipeline,
    "sklearn.model_selection.GridSearchCV": _search,
    "sklearn.model_selection.RandomizedSearchCV": _search,
    "sklearn.ensemble.VotingClassifier": _voting_classifier,
    "sklearn.ensemble.VotingRegressor": _voting_regressor,
    "sklearn.calibration.CalibratedClassifierCV": _calibration,
    "sklearn.frozen.FrozenEstimator": _frozen,
}
