"""Many trees made one, so that a single call passes a few rows through all of them.

The rows are repeated once a tree, with the tree's number in a column more. The merged tree first decides on that
column, by halves, and so comes to the root of the right tree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
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
    first, states = trees[0], [tree.__getstate__() for tree in trees]
    nodes, head, shift = _one_array([state["nodes"] for state in states], "left_child", "right_child")
    nodes["feature"][: len(head)] = first.n_features
    nodes["threshold"][: len(head)] = head
    inner = nodes["left_child"] >= 0
    for side in ("left_child", "right_child"):
        nodes[side] += np.where(inner, shift, 0)
    values = np.concatenate([np.zeros((len(head), 1, first.max_n_classes)), *(state["values"] for state in states)])
    merged = type(first)(first.n_features + 1, np.array([first.max_n_classes], dtype=np.intp), 1)
    merged.__setstate__({"max_depth": 0, "node_count": len(nodes), "nodes": nodes, "values": values})
    return merged


def merged_predictors(trees: Sequence[Array], width: int) -> Array:
    """The nodes of one histogram-boosting predictor, of the nodes of many that know no categories."""
    nodes, head, shift = _one_array(trees, "left", "right")
    nodes["feature_idx"][: len(head)] = width
    nodes["num_threshold"][: len(head)] = head
    for side in ("left", "right"):
        nodes[side] += shift.astype(nodes[side].dtype)
    return nodes


def _one_array(trees: Sequence[Array], left: str, right: str) -> tuple[Array, list[float], Array]:
    """The nodes that find the right tree, and behind them those of all trees as they are; the thresholds of the first;
    and by how much the children of each node have to move.
    """
    sizes = [len(nodes) for nodes in trees]
    choice, starts = _choice(sizes)
    # to concatenate structured arrays takes numpy several times as long as to fill one
    together = np.zeros(len(choice) + sum(sizes), trees[0].dtype)
    for nodes, start in zip(trees, starts, strict=True):
        together[start : start + len(nodes)] = nodes
    together[left][: len(choice)] = [node[0] for node in choice]
    together[right][: len(choice)] = [node[1] for node in choice]
    shift = np.repeat([0, *starts], [len(choice), *sizes])
    return together, [node[2] for node in choice], shift


def _choice(sizes: Sequence[int]) -> tuple[list[tuple[int, int, float]], list[int]]:
    """The nodes that find the right tree: (left, right, threshold on its number); and where each tree's nodes start."""
    starts = list(accumulate(sizes[:-1], initial=len(sizes) - 1))
    nodes: list[tuple[int, int, float]] = []
    _find(nodes, starts, 0, len(sizes))
    return nodes, starts


def _find(nodes: list[tuple[int, int, float]], starts: Sequence[int], low: int, high: int) -> int:
    """Add the nodes that find one of the trees from `low` on, before `high`; where the first of them is."""
    if high - low == 1:
        return starts[low]
    index, middle = len(nodes), (low + high) // 2
    nodes.append((0, 0, middle - 0.5))
    left, right = _find(nodes, starts, low, middle), _find(nodes, starts, middle, high)
    nodes[index] = (left, right, middle - 0.5)
    return index
