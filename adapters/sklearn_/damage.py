"""Checks numbers that native code follows without looking: out of bounds they crash it, in a circle they never end."""

from __future__ import annotations

from typing import Any

import numpy as np

from adapters.base import Array, LoadError
from adapters.sklearn_.columns import is_a

__all__ = ["check_damage", "check_estimate", "check_space"]

_WITH_TREES = ("BaseDecisionTree", "BaseGradientBoosting", "BaseHistGradientBoosting")

_SPACES = frozenset(f"{kind}Tree{width}" for kind in ("KD", "Ball") for width in ("", "32", "64"))
_WORDS = 8  #: of 32 bits, one for each of 256 categories
_SIZES = "holds a damaged tree: its parts differ in size"


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
        _check_columns(own)
        for each in np.ravel(own.get("estimators_", ())):  # past what these would compare
            _check_decisions(each.tree_, width)
    if is_a(part, "BaseHistGradientBoosting") and "_predictors" in own:
        width = min(width, len(own["_bin_mapper"].is_categorical_), _binned(own.get("_preprocessor"), width))
        for predictors in own["_predictors"]:
            for predictor in predictors:
                _check_predictor(predictor, width)


def check_space(value: Any) -> None:
    """Check a tree that finds neighbours, wherever a model holds it.

    Raises:
        LoadError: it is damaged.
    """
    if type(value).__name__ in _SPACES:
        state = value.__getstate__()
        _check_space(*state[:7])
        _check_distances(state, 2 if type(value).__name__.startswith("KD") else 1)


def check_estimate(part: Any) -> None:
    """Check that boosting has a column for each of a stage's trees, which native code writes into without a look.

    Its first estimate makes them, by a model that the file chooses: of sound parts, so it is asked when they are known.

    Raises:
        LoadError: it has fewer.
    """
    own = vars(part)
    if not is_a(part, "BaseGradientBoosting") or "estimators_" not in own or own["estimators_"].shape[1] == 1:
        return
    try:
        columns = part._raw_predict_init(np.zeros((1, own.get("n_features_in_", 0)), np.float32)).shape[1]
    except Exception as error:  # whatever the model in it raises
        raise LoadError(f"does not work: its first estimate fails: {type(error).__name__}: {error}") from error
    if columns < own["estimators_"].shape[1]:
        raise LoadError(_SIZES)


def _check_columns(own: dict[str, Any]) -> None:
    stages = own.get("estimators_")
    if stages is None:
        return
    # scikit-learn before 1.4 does not say how many trees a stage has: `check_estimate` asks it
    if stages.ndim != 2 or stages.shape[1] != own.get("n_trees_per_iteration_", stages.shape[1]):
        raise LoadError(_SIZES)


def _binned(preprocessor: Any, width: int) -> int:
    """How many columns histogram boosting's own encoder of categories makes of its rows."""
    if preprocessor is None:
        return width
    columns = 0
    for _, transformer, chosen in preprocessor.transformers_:
        if isinstance(transformer, str) and transformer == "drop":
            continue
        function = vars(transformer).get("func")
        own = is_a(transformer, "FunctionTransformer") and (function is None or is_a(function, "partial"))
        if not own and not is_a(transformer, "OrdinalEncoder"):
            raise LoadError(f"holds a {type(transformer).__name__} where histogram boosting encodes its categories")
        mask = np.asarray(chosen)
        columns += int(mask.sum()) if mask.dtype == bool else len(mask)
    return columns


def _check_decisions(tree: Any, width: int) -> None:
    """A tree of scikit-learn's own kind, whose `n_features` the file says and nothing compares."""
    if tree.max_n_classes < 1 or tree.n_outputs < 1:  # a leaf without a value has that of whatever follows
        raise LoadError(_SIZES)
    _check_tree(tree.children_left != -1, tree.children_left, tree.children_right, tree.feature, width)


def _check_tree(inner: Array, left: Array, right: Array, feature: Array, width: int) -> None:
    """Every branch leads to two nodes further on, by a feature that there is; and there is a first one."""
    if not len(inner):
        raise LoadError("holds a tree without a node")
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
    if predictor.raw_left_cat_bitsets.shape[1:] != (_WORDS,):
        raise LoadError(_SIZES)
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
        raise LoadError(_SIZES)


def _check_distances(state: tuple[Any, ...], sides: int) -> None:
    """What measures distances knows as many features as there are, and every row has its weight."""
    data, bounds, metric, weights = state[0], state[3], state[11], state[12]
    if len(bounds) != sides or metric is None or (weights is not None and len(weights) != len(data)):
        raise LoadError(_SIZES)
    try:
        metric._validate_data(data)
    except ValueError as error:
        raise LoadError("holds a damaged tree: it measures distances of other features than it has") from error


def _check_range(numbers: Array, end: int) -> None:
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= end):
        raise LoadError("holds a damaged tree: a branch leads nowhere")
