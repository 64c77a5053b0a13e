"""One tree made of many answers for each row and each tree what that tree answers."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.ensemble._hist_gradient_boosting._predictor import _predict_from_raw_data
from sklearn.tree import DecisionTreeClassifier

from adapters.base import Array
from adapters.sklearn_.direct import direct, merged
from adapters.sklearn_.direct.merged import kept, merged_predictors, merged_trees, repeated, rows_at_most

RNG = np.random.default_rng(3)
X = RNG.normal(size=(60, 3))
Y = np.arange(60) % 3


def forest(trees: int = 5) -> Any:
    return RandomForestClassifier(trees, random_state=0, max_depth=4).fit(X, Y)


def test_wide_models_are_not_repeated_without_bounds() -> None:
    assert rows_at_most(200, 4, 1) == 64
    assert rows_at_most(200, 1000, 1) == 5
    assert rows_at_most(2**10, 31, 1) == 32  # with the trees' number, 32 values a row
    assert rows_at_most(1, 4, 1) == rows_at_most(10**7, 4, 1) == rows_at_most(2, 4, 2**40) == 0
    assert rows_at_most(2, 4, 64 * 2**20) == 64
    assert rows_at_most(2, 4, 64 * 2**20 + 1) == 0


def test_rows_are_repeated_with_the_trees_number_behind_them() -> None:
    rows = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    found = repeated(rows, 3)
    assert found.dtype == np.float32
    assert found.tolist() == [[1, 2, 0], [3, 4, 0], [1, 2, 1], [3, 4, 1], [1, 2, 2], [3, 4, 2]]
    assert repeated(rows[:0], 3).shape == (0, 3)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_a_merged_tree_answers_what_its_trees_answer(count: int) -> None:
    trees = [tree.tree_ for tree in forest(count).estimators_]
    rows = X[:7].astype(np.float32)
    rows[0, 1] = np.nan  # which trees send their own way
    found = merged_trees(trees).predict(repeated(rows, count)).reshape(count, 7, 3)
    for tree, votes in zip(trees, found, strict=True):
        assert votes.tobytes() == tree.predict(rows).tobytes()


def test_trees_of_a_single_leaf_are_merged_too() -> None:
    grown = DecisionTreeClassifier(max_depth=2).fit(X, Y).tree_
    leaf = DecisionTreeClassifier(max_depth=2, min_samples_leaf=50).fit(X, Y).tree_
    assert leaf.node_count == 1
    rows = X[:4].astype(np.float32)
    found = merged_trees([leaf, grown, leaf]).predict(repeated(rows, 3)).reshape(3, 4, 3)
    for tree, votes in zip([leaf, grown, leaf], found, strict=True):
        assert votes.tobytes() == tree.predict(rows).tobytes()


def test_merging_leaves_the_trees_as_they_were() -> None:
    trees = [tree.tree_ for tree in forest(3).estimators_]
    before = [tree.__getstate__()["nodes"].tobytes() for tree in trees]
    merged_trees(trees)
    assert [tree.__getstate__()["nodes"].tobytes() for tree in trees] == before


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_merged_predictors_answer_what_each_of_them_answers(count: int) -> None:
    model = HistGradientBoostingRegressor(max_iter=count, min_samples_leaf=3).fit(X, X[:, 0])
    trees = [stage[0].nodes for stage in model._predictors]
    before = [nodes.tobytes() for nodes in trees]

    def answers(nodes: Array, rows: Array) -> Array:
        found, none = np.empty(len(rows)), np.zeros((0, 8), np.uint32)
        _predict_from_raw_data(nodes, rows, none, none, np.zeros(rows.shape[1], np.uint32), 1, found)
        return found

    rows = X[:6].copy()
    rows[0, 0] = np.nan
    found = answers(merged_predictors(trees, 3), repeated(rows, count)).reshape(count, 6)
    for nodes, values in zip(trees, found, strict=True):
        assert values.tobytes() == answers(nodes, rows).tobytes()
    assert [nodes.tobytes() for nodes in trees] == before


def test_what_was_made_is_kept_for_as_long_as_the_trees_are_the_same() -> None:
    model, trees = forest(2), [object(), object()]
    made: list[int] = []

    def make() -> Any:
        made.append(len(made))
        return len(made)

    assert [kept(model, trees, make), kept(model, list(trees), make)] == [1, 1]
    assert kept(model, trees[:1], make) == 2
    assert kept(model, [trees[0], object()], make) == 3
    assert kept(forest(2), trees, make) == 4
    assert made == [0, 1, 2, 3]


def test_methods_share_one_merged_tree_for_as_long_as_the_model_lives() -> None:
    model = forest()
    functions = [direct(model, method) for method in ("predict", "predict_proba")]
    shared = merged._KEPT[model][1]
    assert direct(model, "predict_log_proba") is not None
    assert merged._KEPT[model][1] is shared
    watched = weakref.ref(model)
    del model, functions
    gc.collect()
    assert watched() is None
