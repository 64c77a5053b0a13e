"""Checks numbers that native code follows without looking: out of bounds they crash it, in a circle they never end."""

from __future__ import annotations

from typing import Any

import numpy as np

from adapters.base import Array, LoadError
from adapters.sklearn_.columns import is_a

__all__ = ["check_damage", "check_space"]

_WITH_TREES = ("BaseDecisionTree", "BaseGradientBoosting", "BaseHistGradientBoosting")


def check_damage(part: Any) -> None:
    """Check the trees of decisions that a part of a model holds.

    Raises:
        LoadError: one is damaged.
    """
    if not is_a(part, *_WITH_TREES):
        return
    own = vars(part)
    width = own.get("n_features_in_", 0)  # scikit-learn compares the rows with this number, and a tree with its own
    if is_a(part, "BaseDecisionTree") and "tree_" in own:
        _check_decisions(own["tree_"], width)
    if is_a(part, "BaseGradientBoosting"):
        for each in np.ravel(own.get("estimators_", ())):  # past what these would compare
            _check_decisions(each.tree_, width)
    if is_a(part, "BaseHistGradientBoosting"):
        for predictors in own.get("_predictors", ()):
            for predictor in predictors:
                _check_predictor(predictor, width)


def check_space(value: Any) -> None:
    """Check a tree that finds neighbours, wherever a model holds it.

    Raises:
        LoadError: it is damaged.
    """
    if type(value).__name__ in ("KDTree", "BallTree"):
        _check_space(*value.__getstate__()[:7])


def _check_decisions(tree: Any, width: int) -> None:
    """A tree of scikit-learn's own kind, whose `n_features` the file says and nothing compares."""
    _check_tree(tree.children_left != -1, tree.children_left, tree.children_right, tree.feature, width)


def _check_tree(inner: Array, left: Array, right: Array, feature: Array, width: int) -> None:
    """Every branch leads to two nodes further on, by a feature that there is."""
    at = np.flatnonzero(inner)
    if _is_sound(at, left[at], right[at], feature[at], len(inner), width):
        return
    for side in (left, right):
        _check_range(side[at], len(inner))
        if (side[at] <= at).any():
            raise LoadError("holds a damaged tree: a branch leads back")
    _check_range(feature[at], width)


def _is_sound(at: Array, left: Array, right: Array, feature: Array, nodes: int, width: int) -> bool:
    """All of it in a few calls, for most trees are small, and sound: what is wrong is found out for the others."""
    if not len(at):
        return True
    leads_on = np.minimum(left, right) > at
    within = np.maximum.reduce(np.maximum(left, right)) < nodes
    return bool(leads_on.all() and within and np.minimum.reduce(feature) >= 0 and np.maximum.reduce(feature) < width)


def _check_predictor(predictor: Any, width: int) -> None:
    """A tree of histogram boosting."""
    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    _check_tree(inner, nodes["left"], nodes["right"], nodes["feature_idx"], width)
    _check_range(nodes["bitset_idx"][inner & (nodes["is_categorical"] != 0)], len(predictor.raw_left_cat_bitsets))


def _check_space(
    data: Array, order: Array, nodes: Array, bounds: Array, _leaf_size: int, _n_levels: int, n_nodes: int
) -> None:
    """A tree of neighbours: node i has the children 2i + 1 and 2i + 2, and a range of rows."""
    rows, width = data.shape
    _check_range(order, rows)
    _check_range(nodes["idx_start"], rows + 1)
    _check_range(nodes["idx_end"], rows + 1)
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    _check_range(2 * inner + 2, n_nodes)
    if len(order) != rows or len(nodes) != n_nodes or bounds.shape[1:] != (n_nodes, width):
        raise LoadError("holds a damaged tree: its parts differ in size")


def _check_range(numbers: Array, end: int) -> None:
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= end):
        raise LoadError("holds a damaged tree: a branch leads nowhere")
