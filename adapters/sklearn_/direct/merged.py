"""Many trees made one, so that a single call passes a few rows through all of them.

The rows are repeated once a tree, with the tree's number in a column more. The merged tree first decides on that
column, by halves, and so comes to the root of the right tree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from adapters.base import Array

__all__ = ["kept", "merged_predictors", "merged_trees", "repeated", "rows_at_most"]

#: bytes that a merged tree may take beside the trees that it is made of
_BUDGET = 64 * 2**20
#: from more rows, or more repeated values, on, trees are faster one by one
_ROWS = 64
_VALUES = 2**20
#: of each estimator, what its methods share: trees, and what was made of them
_KEPT: WeakKeyDictionary[Any, tuple[list[Any], Any]] = WeakKeyDictionary()


def rows_at_most(trees: int, width: int, size: int) -> int:
    """Up to how many rows at once a merged tree is the faster way; 0 where it is not worth its `size` in bytes."""
    return min(_ROWS, _VALUES // (trees * (width + 1))) if trees > 1 and size <= _BUDGET else 0


def kept(estimator: Any, trees: list[Any], make: Callable[[], Any]) -> Any:
    """What `make` makes of the estimator's trees: once for all its methods, as long as it lives."""
    known = _KEPT.get(estimator)
    if known is None or len(known[0]) != len(trees) or any(a is not b for a, b in zip(known[0], trees, strict=True)):
        known = _KEPT[estimator] = (trees, make())
    return known[1]


def repeated(rows: Array, trees: int) -> Array:
    """[trees * n, width + 1]: all rows for the first tree, all rows for the second, ..."""
    n, width = rows.shape
    copies = np.empty((trees, n, width + 1), rows.dtype)
    copies[:, :, :width] = rows
    copies[:, :, width] = np.arange(trees).reshape(-1, 1)
    return copies.reshape(trees * n, width + 1)


def merged_trees(trees: Sequence[Any]) -> Any:
    """One `sklearn.tree._tree.Tree` of single-output trees that share a number of features and of classes."""
    first = trees[0]
    parts = [tree.__getstate__()["nodes"] for tree in trees]
    choice, starts = _choice([len(nodes) for nodes in parts])
    head = np.zeros(len(choice), parts[0].dtype)
    for index, (left, right, tree_below) in enumerate(choice):
        head[index]["left_child"], head[index]["right_child"] = left, right
        head[index]["feature"], head[index]["threshold"] = first.n_features, tree_below
    for index, (nodes, start) in enumerate(zip(parts, starts, strict=True)):
        parts[index] = nodes.copy()
        inner = nodes["left_child"] >= 0
        parts[index]["left_child"][inner] += start
        parts[index]["right_child"][inner] += start
    nodes = np.concatenate([head, *parts])
    values = np.concatenate([np.zeros((len(head), 1, first.max_n_classes)), *(tree.value for tree in trees)])
    merged = type(first)(first.n_features + 1, np.array([first.max_n_classes], dtype=np.intp), 1)
    merged.__setstate__({"max_depth": 0, "node_count": len(nodes), "nodes": nodes, "values": values})
    return merged


def merged_predictors(trees: Sequence[Array], width: int) -> Array:
    """The nodes of one histogram-boosting predictor, of the nodes of many that know no categories."""
    choice, starts = _choice([len(nodes) for nodes in trees])
    head = np.zeros(len(choice), trees[0].dtype)
    for index, (left, right, tree_below) in enumerate(choice):
        head[index]["left"], head[index]["right"] = left, right
        head[index]["feature_idx"], head[index]["num_threshold"] = width, tree_below
    parts = [nodes.copy() for nodes in trees]
    for nodes, start in zip(parts, starts, strict=True):
        nodes["left"] += start
        nodes["right"] += start
    return np.concatenate([head, *parts])


def _choice(sizes: Sequence[int]) -> tuple[list[tuple[int, int, float]], list[int]]:
    """The nodes that find the right tree: (left, right, threshold on its number); and where each tree's nodes start."""
    starts = (len(sizes) - 1 + np.concatenate([[0], np.cumsum(sizes)[:-1]])).astype(int).tolist()
    nodes: list[tuple[int, int, float]] = []

    def find(low: int, high: int) -> int:
        if high - low == 1:
            return int(starts[low])
        index, middle = len(nodes), (low + high) // 2
        nodes.append((0, 0, middle - 0.5))
        nodes[index] = (find(low, middle), find(middle, high), middle - 0.5)
        return index

    find(0, len(sizes))
    return nodes, starts
