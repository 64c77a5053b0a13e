"""Checks sizes and indices that native code takes on trust: of parts that do not fit each other it reads other memory.

That would be in answers, or the end of the process; some of it is written to. `damage` does the same for trees. By the
names of classes, which versions share.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from adapters.base import LoadError
from adapters.sklearn_.columns import is_a, lineage

__all__ = ["check_sizes"]

_BOOSTERS = ("xgboost", "lightgbm", "catboost")  #: whose constructors open files


def check_sizes(part: Any) -> None:
    """Check that what a part holds fits together.

    Raises:
        LoadError: it does not.
    """
    cls: Any = type(part)
    for check in _checks_of(cls):
        try:
            sound = check(part)
        except (AttributeError, KeyError, ValueError, TypeError, IndexError) as error:
            raise _misfit(part) from error
        if not sound:
            raise _misfit(part)


def _misfit(part: Any) -> LoadError:
    return LoadError(f"holds a damaged {type(part).__name__}: its parts do not fit each other")


@lru_cache(maxsize=1024)
def _checks_of(cls: Any) -> tuple[Callable[[Any], bool], ...]:
    return tuple(check for name, check in _CHECKS.items() if name in lineage(cls))


def _within(numbers: Any, end: int) -> bool:
    numbers = np.asarray(numbers)
    return not numbers.size or bool(numbers.dtype.kind in "iu" and numbers.min() >= 0 and numbers.max() < end)


def _compressed(matrix: Any) -> bool:
    starts, places = matrix.indptr, matrix.indices
    if starts.dtype.kind != "i" or places.dtype.kind != "i" or (np.diff(starts) < 0).any():
        return False
    matrix.check_format(full_check=True)
    return True


def _coordinates(matrix: Any) -> bool:
    axes = (matrix.row, matrix.col)
    fits = zip(axes, matrix.shape[-2:], strict=True)
    return all(len(axis) == len(matrix.data) and _within(axis, end) for axis, end in fits)


def _diagonals(matrix: Any) -> bool:
    return bool(matrix.data.ndim == 2 and matrix.offsets.shape == matrix.data.shape[:1])


def _lists(matrix: Any) -> bool:
    rows, width = matrix.rows, matrix.shape[1]
    pairs = zip(rows.tolist(), matrix.data.tolist(), strict=True)
    return len(rows) == matrix.shape[0] and all(len(at) == len(row) and _within(at, width) for at, row in pairs)


def _vocabulary(part: Any) -> bool:
    words = vars(part).get("vocabulary_", {})
    return not words or (min(words.values()) >= 0 and max(words.values()) < len(words))


def _hasher(part: Any) -> bool:
    return bool(part.n_features >= 1)


def _held_function(part: Any) -> bool:
    """A class that makes arrays of any memory, or opens files, is none that takes rows."""
    held = [vars(part).get(name) for name in ("func", "inverse_func")]
    classes = [each for each in held if isinstance(each, type)]
    return not any(issubclass(each, np.ndarray) or each.__module__.split(".")[0] in _BOOSTERS for each in classes)


def _encoder(part: Any) -> bool:
    """Of OneHotEncoder, which adds up where each category has its column."""
    own = vars(part)
    if "_n_features_outs" not in own:
        return True
    columns = range(len(part.categories_))
    enabled = own.get("_infrequent_enabled")
    mappings = own["_default_to_infrequent_mappings"] if enabled else [None for _ in columns]
    rare = own["_infrequent_indices"] if enabled else [None for _ in columns]
    dropped = own.get("_drop_idx_after_grouping", own.get("drop_idx_"))  # scikit-learn 1.1 has the latter alone
    dropped = [None for _ in columns] if dropped is None else dropped
    taken = zip(part.categories_, mappings, rare, dropped, part._n_features_outs, strict=True)
    return all(_category(*each) for each in taken)


def _category(categories: Any, mapping: Any, rare: Any, dropped: Any, width: int) -> bool:
    if (mapping is None) != (rare is None):
        return False
    count = len(categories)
    if mapping is not None:
        count = int(np.max(mapping)) + 1
        if len(mapping) != len(categories) or not _within(mapping, count):
            return False
    if dropped is not None and not 0 <= dropped < count:
        return False
    return width >= count - (dropped is not None)


def _support(part: Any) -> bool:
    """Of libsvm, whose model is made of these arrays anew in each call."""
    own = vars(part)
    if "_n_support" not in own:
        return True
    per, count = part._n_support, len(part.support_)
    pairs, weights = len(per) * (len(per) - 1) // 2, part._dual_coef_
    of_rows = is_a(part, "BaseSVC")
    if len(per) < 2 or per.min() < 0 or (per.sum() if of_rows else per[0]) != count:
        return False
    if weights.shape != (len(per) - 1, count) or (part._sparse and weights.data.size != weights.shape[0] * count):
        return False
    if len(part._intercept_) != pairs or {len(part._probA), len(part._probB)} not in ({0}, {pairs}):
        return False
    if callable(part.kernel) or part.kernel == "precomputed":
        return _within(part.support_, part.shape_fit_[0])
    return bool(part.support_vectors_.shape == (count, part.n_features_in_))


def _neighbours(part: Any) -> bool:
    own = vars(part)
    if "_fit_X" not in own:
        return True
    rows, by_rows = part._fit_X, own.get("_fit_method") == "brute" and own.get("metric") != "precomputed"
    if by_rows and rows.shape[1] != part.n_features_in_:  # trees look themselves
        return False
    labels = own.get("_y") if is_a(part, "ClassifierMixin") else None
    if not isinstance(labels, np.ndarray) or labels.ndim != 1:
        return True
    return len(labels) == rows.shape[0] and _within(labels, len(part.classes_))


def _centres(part: Any) -> bool:
    own = vars(part)
    if "cluster_centers_" not in own:
        return True
    waiting = [own.get("_bisecting_tree")]
    while waiting:
        if (node := waiting.pop()) is not None:
            waiting += [node.left, node.right]
            if len(node.center) != part.n_features_in_:
                return False
    return bool(part.cluster_centers_.ndim == 2 and part.cluster_centers_.shape[1] == part.n_features_in_)


def _spline(part: Any) -> bool:
    knots, degree = part.t, part.k
    count = len(knots) - degree - 1
    return bool(knots.ndim == 1 and 0 <= degree < count and part.c.shape[0] >= count and (np.diff(knots) >= 0).all())


#: by the name of a class, whether an object of it, or of one that derives from it, is sound
_CHECKS: dict[str, Callable[[Any], bool]] = {
    "_cs_matrix": _compressed,
    "_coo_base": _coordinates,
    "_dia_base": _diagonals,
    "_lil_base": _lists,
    "CountVectorizer": _vocabulary,
    "DictVectorizer": _vocabulary,
    "HashingVectorizer": _hasher,
    "FeatureHasher": _hasher,
    "FunctionTransformer": _held_function,
    "OneHotEncoder": _encoder,
    "BaseLibSVM": _support,
    "NeighborsBase": _neighbours,
    "_BaseKMeans": _centres,
    "BSpline": _spline,
}
