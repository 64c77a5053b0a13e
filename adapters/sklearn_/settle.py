"""Makes a loaded estimator fit to be served: one thread, no progress messages, no file names in requests, no cycles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from adapters.base import Array, LoadError
from adapters.sklearn_.columns import is_a

__all__ = ["parts_of", "rows_depend", "settle", "shares_state", "writes_inputs"]

_PLAIN = (str, bytes, int, float, bool, complex, type(None), type)
#: functions that may stand in a FunctionTransformer, each row's result of which depends on that row alone
_ROWWISE = frozenset({"abs", "absolute", "around", "array", "asarray", "clip", "fix", "nan_to_num", "real", "round"})


def parts_of(model: Any) -> list[Any]:
    """The model and every object with attributes that it holds, at any depth, each once."""
    found: dict[int, Any] = {}
    waiting = [model]
    while waiting:
        part = waiting.pop()
        if isinstance(part, _PLAIN) or id(part) in found:
            continue
        found[id(part)] = part
        waiting.extend(_held(part))
    return [part for part in found.values() if hasattr(part, "__dict__")]


def _held(part: Any) -> Iterator[Any]:
    if isinstance(part, dict):
        yield from part.values()
    elif isinstance(part, list | tuple | set):
        yield from part
    elif isinstance(part, np.ndarray):
        if part.dtype.kind == "O":
            yield from part.ravel()
    elif hasattr(part, "__dict__"):
        yield from vars(part).values()


def settle(model: Any) -> None:
    """Set every part to one thread and to silence, and check what native code would take on trust.

    Raises:
        LoadError: a part opens files that requests name, or its trees are damaged.
    """
    for part in parts_of(model):
        own = vars(part)
        if own.get("input") in ("filename", "file") and is_a(part, "CountVectorizer", "HashingVectorizer"):
            raise LoadError(
                f"holds a {type(part).__name__}(input={own['input']!r}), which would open files that requests name"
            )
        if "n_jobs" in own:
            part.n_jobs = 1
        if own.get("verbose") and type(part).__module__.startswith("sklearn."):
            part.verbose = 0
        if is_a(part, "XGBModel") and own.get("_Booster") is not None:
            own["_Booster"].set_param({"nthread": 1})
        _check_trees(part)


def rows_depend(model: Any) -> bool:
    """Whether a row's answer may depend on the other rows of its call."""
    for part in parts_of(model):
        if is_a(part, "NMF", "MiniBatchNMF", "BernoulliRBM"):  # one iterative solution for all rows; random draws
            return True
        function = vars(part).get("func") if is_a(part, "FunctionTransformer") else None
        if function is not None and not isinstance(function, np.ufunc) and not _is_rowwise(function):
            return True
    return False


def _is_rowwise(function: Any) -> bool:
    checks = is_a(function, "partial")  # of check_array, the one function that pickles may wrap
    return checks or getattr(function, "__name__", "") in _ROWWISE


def writes_inputs(model: Any) -> bool:
    """Whether a part was told not to copy what it is given."""
    return any(vars(part).get("copy") is False or vars(part).get("copy_X") is False for part in parts_of(model))


def shares_state(model: Any) -> bool:
    """Whether calls of several threads may disturb each other: XGBoost promises otherwise for its trees alone."""
    return any(is_a(part, "XGBModel") and vars(part).get("booster") in ("gblinear", "dart") for part in parts_of(model))


def _check_trees(part: Any) -> None:
    """Native code follows a tree's numbers unchecked: out of bounds they crash it, in a circle they never end."""
    own = vars(part)
    if is_a(part, "BaseDecisionTree") and "tree_" in own:
        tree = own["tree_"]
        _check_tree(tree.children_left != -1, tree.children_left, tree.children_right, tree.feature, tree.n_features)
    for predictors in own.get("_predictors", ()) if is_a(part, "BaseHistGradientBoosting") else ():
        for predictor in predictors:
            nodes = predictor.nodes
            inner = nodes["is_leaf"] == 0
            _check_tree(inner, nodes["left"], nodes["right"], nodes["feature_idx"], own["_n_features"])
            _check_range(
                nodes["bitset_idx"][inner & (nodes["is_categorical"] != 0)], len(predictor.raw_left_cat_bitsets)
            )


def _check_tree(inner: Array, left: Array, right: Array, feature: Array, width: int) -> None:
    """Every branch leads to two nodes further on, by a feature that there is."""
    at = np.flatnonzero(inner)
    for side in (left, right):
        _check_range(side[at], len(inner))
        if (side[at] <= at).any():
            raise LoadError("holds a damaged tree: a branch leads back")
    _check_range(feature[at], width)


def _check_range(numbers: Array, end: int) -> None:
    if len(numbers) and (numbers.min() < 0 or numbers.max() >= end):
        raise LoadError("holds a damaged tree: a branch leads nowhere")
