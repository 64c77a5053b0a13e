"""Decision trees and forests of them: `tree_.predict` on float32, summed in the order of the trees."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from adapters.base import Array
from adapters.sklearn_.direct import merged
from adapters.sklearn_.direct.plan import (
    Builder,
    Kernel,
    OrdinaryRows,
    Plan,
    classifier,
    is_finite,
    sequential_sum,
)

__all__ = ["BUILDERS", "Stages", "float32", "landmarks"]

_KEPT_WIDTH = 32  #: features for which draws are kept: 64 KiB


def float32(rows: Array, *, nan: bool) -> Array:
    """The rows as trees take them. What is too large for float32 is left to scikit-learn to refuse."""
    small = rows.astype(np.float32)
    if not is_finite(small, nan=nan):
        raise OrdinaryRows
    return small


class Stages:
    """Single-output regression trees [n_stages, n_outputs], whose scaled answers are added up in C."""

    def __init__(self, estimators: Array, scale: float) -> None:
        from sklearn.ensemble._gradient_boosting import predict_stages

        self._predict, self._estimators, self._scale = predict_stages, estimators, scale
        self._step = max(1, 2**16 // estimators.size)

    def add(self, rows: Array, total: Array) -> Array:
        """`total` [n, n_outputs], added to in place. In parts, for the call lets no other thread run."""
        for start in range(0, len(rows), self._step):
            part = slice(start, start + self._step)
            self._predict(self._estimators, rows[part], self._scale, total[part])
        return total


def landmarks(width: int, features: Array, thresholds: Array) -> Array:
    """[k, width]: thresholds of each feature, drawn at random; zeros for features that decide nothing."""
    inner = features >= 0
    features, thresholds = features[inner], thresholds[inner]
    counts = np.bincount(features, minlength=width)
    starts = np.cumsum(counts) - counts
    draw = _kept_draws if width <= _KEPT_WIDTH else _draws
    chosen = starts + (draw(width) * counts).astype(np.intp)
    own = np.append(thresholds[np.argsort(features, kind="stable")], 0.0)
    return np.where(counts > 0, own[np.where(counts > 0, chosen, 0)], 0.0)


def _draws(width: int) -> Array:
    return np.random.default_rng(0).random((max(1, min(256, 2**20 // width)), width))


_kept_draws = lru_cache(maxsize=16)(_draws)  # to draw them takes longer than to look up the thresholds of a small tree


def _tree_classifier(estimator: Any, method: str) -> Plan | None:
    tree, n_classes = _sound([estimator], estimator.n_features_in_), estimator.n_classes_
    if tree is None or tree[0].max_n_classes != n_classes:
        return None
    predict, nan = tree[0].predict, _takes_nan(estimator)
    kernels = classifier(lambda rows: predict(float32(rows, nan=nan))[:, :n_classes], estimator.classes_)
    return Plan(kernels[method], lambda: _landmarks(tree)) if method in kernels else None


def _tree_regressor(estimator: Any, method: str) -> Plan | None:
    tree = _sound([estimator], estimator.n_features_in_)
    if tree is None or method != "predict":
        return None
    predict, nan = tree[0].predict, _takes_nan(estimator)
    return Plan(lambda rows: predict(float32(rows, nan=nan))[:, 0], lambda: _landmarks(tree))


def _forest_classifier(estimator: Any, method: str) -> Plan | None:
    trees = _trees_of_forest(estimator)
    if trees is None or any(tree.max_n_classes != estimator.n_classes_ for tree in trees):
        return None
    kernels, limit = merged.kept(
        estimator, trees, lambda: _forest_kernels(trees, estimator.classes_, nan=_takes_nan(estimator))
    )
    return Plan(kernels[method], lambda: _landmarks(trees), (limit,)) if method in kernels else None


def _forest_kernels(trees: list[Any], classes: Array, *, nan: bool) -> tuple[dict[str, Kernel], int]:
    """The methods, and up to how many rows they pass through the merged tree. They know nothing of the forest itself,
    as long as which they are kept.
    """
    count = len(trees)
    size = sum(tree.node_count for tree in trees) * (64 + 8 * trees[0].max_n_classes)
    limit = merged.rows_at_most(count, trees[0].n_features, size)
    together = merged.merged_trees(trees).predict if limit else None

    def probabilities(rows: Array) -> Array:
        rows = float32(rows, nan=nan)
        if together is not None and len(rows) <= limit:
            votes = together(merged.repeated(rows, count)).reshape(count, len(rows), -1)
            total = sequential_sum(votes)
        else:
            total = _one_by_one(trees, rows)
        total /= count
        return total

    return classifier(probabilities, classes), limit


def _forest_regressor(estimator: Any, method: str) -> Plan | None:
    trees, nan = _trees_of_forest(estimator), _takes_nan(estimator)
    if trees is None or method != "predict":
        return None
    column = np.empty((len(trees), 1), dtype=np.object_)
    column[:, 0] = estimator.estimators_
    stages, count = Stages(column, 1.0), len(trees)

    def predict(rows: Array) -> Array:
        small = float32(rows, nan=nan)
        missing = nan and bool(np.isnan(small).any())  # which the stages know nothing of
        total = _one_by_one(trees, small) if missing else stages.add(small, np.zeros((len(rows), 1)))
        total /= count
        return total[:, 0]

    return Plan(predict, lambda: _landmarks(trees))


def _one_by_one(trees: list[Any], rows: Array) -> Array:
    """[n, n_classes]: the sum of the trees' values."""
    total = np.zeros((len(rows), trees[0].max_n_classes))
    for tree in trees:
        total += tree.predict(rows)
    return total


def _trees_of_forest(forest: Any) -> list[Any] | None:
    """The trees, where their order is known: several jobs add them as they come."""
    from sklearn import tree

    kind = type(forest.estimator)
    known = getattr(tree, kind.__name__, None) is kind and all(type(part) is kind for part in forest.estimators_)
    plain = known and forest.n_jobs in (None, 1)
    return _sound(forest.estimators_, forest.n_features_in_) if plain and forest.n_outputs_ == 1 else None


def _sound(estimators: list[Any], width: int) -> list[Any] | None:
    """The estimators' trees, where all have one output and the right number of features."""
    trees = [estimator.tree_ for estimator in estimators]
    return trees if trees and all(tree.n_outputs == 1 and tree.n_features == width for tree in trees) else None


def _takes_nan(estimator: Any) -> bool:
    from sklearn.utils import get_tags

    return bool(get_tags(estimator).input_tags.allow_nan)


def _landmarks(trees: list[Any]) -> Array:
    features = np.concatenate([tree.feature for tree in trees])
    return landmarks(trees[0].n_features, features, np.concatenate([tree.threshold for tree in trees]))


BUILDERS: dict[str, Builder] = {
    "sklearn.tree.DecisionTreeClassifier": _tree_classifier,
    "sklearn.tree.DecisionTreeRegressor": _tree_regressor,
    "sklearn.tree.ExtraTreeClassifier": _tree_classifier,
    "sklearn.tree.ExtraTreeRegressor": _tree_regressor,
    "sklearn.ensemble.RandomForestClassifier": _forest_classifier,
    "sklearn.ensemble.RandomForestRegressor": _forest_regressor,
    "sklearn.ensemble.ExtraTreesClassifier": _forest_classifier,
    "sklearn.ensemble.ExtraTreesRegressor": _forest_regressor,
}
