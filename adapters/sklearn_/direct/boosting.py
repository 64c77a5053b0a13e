"""Gradient boosting, of both kinds: raw scores summed stage by stage, then the loss's link."""

from __future__ import annotations

from typing import Any

import numpy as np

from adapters.base import Array
from adapters.sklearn_.direct import merged
from adapters.sklearn_.direct.plan import Builder, Kernel, Plan, sequential_sum
from adapters.sklearn_.direct.trees import Stages, float32, landmarks

__all__ = ["BUILDERS"]


def _classifier(estimator: Any, method: str, raw: Kernel) -> Kernel | None:
    """`raw` gives [n, 1] for two classes and [n, n_classes] for more."""
    proba = estimator._loss.predict_proba

    def decision(rows: Array) -> Array:
        scores = raw(rows)
        return scores.ravel() if scores.shape[1] == 1 else scores

    def probabilities(rows: Array) -> Array:
        found: Array = proba(decision(rows))
        return found

    def logarithms(rows: Array) -> Array:
        found: Array = np.log(probabilities(rows))
        return found

    kernels = {"decision_function": decision, "predict_proba": probabilities}
    if hasattr(estimator, "predict_log_proba"):
        kernels["predict_log_proba"] = logarithms
    return kernels.get(method)


def _labels(raw: Kernel, classes: Array, positive: np.ufunc) -> Kernel:
    """`positive` compares with zero: at zero itself, the two families differ."""

    def predict(rows: Array) -> Array:
        scores = raw(rows)
        indices = positive(scores.ravel(), 0).astype(int) if scores.shape[1] == 1 else np.argmax(scores, axis=1)
        labels: Array = classes[indices]
        return labels

    return predict


def _boosted_classifier(estimator: Any, method: str) -> Plan | None:
    raw = _raw_boosted(estimator)
    if raw is None:
        return None
    predict = _labels(raw, estimator.classes_, np.greater_equal)
    kernel = predict if method == "predict" else _classifier(estimator, method, raw)
    return Plan(kernel, lambda: _boosted_landmarks(estimator)) if kernel else None


def _boosted_regressor(estimator: Any, method: str) -> Plan | None:
    raw = _raw_boosted(estimator)
    if raw is None or method != "predict":
        return None
    return Plan(lambda rows: raw(rows).ravel(), lambda: _boosted_landmarks(estimator))


def _raw_boosted(estimator: Any) -> Kernel | None:
    """`BaseGradientBoosting._raw_predict`, where every row starts from the same score."""
    from sklearn.tree import DecisionTreeRegressor

    trees, width = estimator.estimators_, estimator.n_features_in_
    plain = all(type(tree) is DecisionTreeRegressor and tree.tree_.n_features == width for tree in trees.flat)
    if not plain or not (estimator.init is None or estimator.init == "zero"):
        return None
    start = estimator._raw_predict_init(np.zeros((1, width), dtype=np.float32))
    stages = Stages(trees.copy(), estimator.learning_rate)

    def raw(rows: Array) -> Array:
        small = float32(rows, nan=False)
        return stages.add(small, np.repeat(start, len(rows), axis=0))

    return raw


def _boosted_landmarks(estimator: Any) -> Array:
    trees = [tree.tree_ for tree in estimator.estimators_.flat]
    features = np.concatenate([tree.feature for tree in trees])
    return landmarks(estimator.n_features_in_, features, np.concatenate([tree.threshold for tree in trees]))


class _Histograms:
    """`BaseHistGradientBoosting._raw_predict` without categories."""

    def __init__(self, trees: list[list[Array]], width: int, baseline: Array) -> None:
        from sklearn.ensemble._hist_gradient_boosting._predictor import _predict_from_raw_data

        self._predict, self._trees, self._baseline = _predict_from_raw_data, trees, baseline.reshape(-1, 1)
        self._flat = [nodes for stage in trees for nodes in stage]
        self._no_categories = np.zeros((0, 8), dtype=np.uint32)
        self._no_indices = np.zeros(width + 1, dtype=np.uint32)
        self.limit = merged.rows_at_most(len(self._flat), width, sum(nodes.nbytes for nodes in self._flat))
        self._merged = merged.merged_predictors(self._flat, width) if self.limit else None

    def __call__(self, rows: Array) -> Array:
        """[n, trees a stage], a column after the other in memory."""
        n, (stages, a_stage) = len(rows), (len(self._trees), len(self._baseline))
        if self._merged is not None and n <= self.limit:
            terms = np.empty((stages + 1, a_stage, n))
            terms[0] = self._baseline
            self._into(self._merged, merged.repeated(rows, len(self._flat)), terms[1:].reshape(-1))
            return sequential_sum(terms).T
        total, answer = np.zeros((a_stage, n)), np.empty(n)
        total += self._baseline
        for stage in self._trees:
            for column, nodes in zip(total, stage, strict=True):
                self._into(nodes, rows, answer)
                column += answer
        return total.T

    def _into(self, nodes: Array, rows: Array, answer: Array) -> None:
        self._predict(nodes, rows, self._no_categories, self._no_categories, self._no_indices, 1, answer)

    def landmarks(self) -> Array:
        nodes = np.concatenate(self._flat)
        nodes = nodes[nodes["is_leaf"] == 0]
        return landmarks(len(self._no_indices) - 1, nodes["feature_idx"], nodes["num_threshold"])


def _histograms(estimator: Any) -> _Histograms | None:
    trees = [[predictor.nodes for predictor in stage] for stage in estimator._predictors]
    a_stage, width, baseline = (
        estimator.n_trees_per_iteration_,
        estimator.n_features_in_,
        estimator._baseline_prediction,
    )
    plain = all(len(stage) == a_stage and not any(nodes["is_categorical"].any() for nodes in stage) for stage in trees)
    if not trees or not plain or estimator._preprocessor is not None or baseline.size != a_stage:
        return None
    if baseline.dtype != np.float64:
        return None
    flat = [nodes for stage in trees for nodes in stage]
    made: _Histograms = merged.kept(estimator, flat, lambda: _Histograms(trees, width, baseline))
    return made


def _histogram_classifier(estimator: Any, method: str) -> Plan | None:
    raw = _histograms(estimator)
    if raw is None:
        return None
    kernel = (
        _labels(raw, estimator.classes_, np.greater) if method == "predict" else _classifier(estimator, method, raw)
    )
    return Plan(kernel, raw.landmarks, (raw.limit, raw.limit + 1)) if kernel else None


def _histogram_regressor(estimator: Any, method: str) -> Plan | None:
    raw = _histograms(estimator)
    if raw is None or method != "predict":
        return None
    inverse = estimator._loss.link.inverse

    def predict(rows: Array) -> Array:
        answer: Array = inverse(raw(rows).ravel())
        return answer

    return Plan(predict, raw.landmarks, (raw.limit, raw.limit + 1))


BUILDERS: dict[str, Builder] = {
    "sklearn.ensemble.GradientBoostingClassifier": _boosted_classifier,
    "sklearn.ensemble.GradientBoostingRegressor": _boosted_regressor,
    "sklearn.ensemble.HistGradientBoostingClassifier": _histogram_classifier,
    "sklearn.ensemble.HistGradientBoostingRegressor": _histogram_regressor,
}
