"""Trees whose numbers lead out of bounds or in a circle are refused; sound ones pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.neighbors import BallTree, KDTree
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from adapters.base import LoadError
from adapters.sklearn_.damage import check_damage, check_space
from tests.adapters.sklearn_.kit import FRAME, X, Y

NOWHERE, BACK = "leads nowhere", "leads back"
SPACES = {"KDTree": KDTree, "BallTree": BallTree}


def tree_with(node: int, field: str, value: int) -> Any:
    """A tree of five nodes, two of them inner ones, of which one number is another."""
    model = DecisionTreeClassifier(random_state=0).fit([[0, 0], [1, 1], [2, 2]], [0, 1, 2])
    state = model.tree_.__getstate__()
    assert len(state["nodes"]) == 5
    state["nodes"] = state["nodes"].copy()
    state["nodes"][field][node] = value
    model.tree_.__setstate__(state)
    return model


@pytest.mark.parametrize(
    ("field", "value", "how"),
    [
        ("left_child", 5, NOWHERE),
        ("left_child", -7, NOWHERE),
        ("left_child", 0, BACK),
        ("right_child", 5, NOWHERE),
        ("right_child", -1, NOWHERE),
        ("right_child", 0, BACK),
        ("feature", 2, NOWHERE),
        ("feature", -2, NOWHERE),
    ],
)
def test_damaged_trees_are_found_before_native_code_follows_them(field: str, value: int, how: str) -> None:
    with pytest.raises(LoadError, match=f"^holds a damaged tree: a branch {how}$"):
        check_damage(tree_with(0, field, value))


def test_a_tree_of_more_features_than_its_rows_have_is_damaged() -> None:
    model = tree_with(0, "feature", 1)
    check_damage(model)
    model.n_features_in_ = 1  # with which the rows are compared
    with pytest.raises(LoadError, match=NOWHERE):
        check_damage(model)
    del model.n_features_in_  # without which they are not
    with pytest.raises(LoadError, match=NOWHERE):
        check_damage(model)


def test_boosting_looks_at_its_trees_with_its_own_number_of_features() -> None:
    model = GradientBoostingRegressor(n_estimators=3).fit(X, X[:, 3])
    check_damage(model)
    model.n_features_in_ = 3  # of which the trees, that have four, are not told
    for tree in model.estimators_.ravel():
        check_damage(tree)
    with pytest.raises(LoadError, match=NOWHERE):
        check_damage(model)
    check_damage(GradientBoostingRegressor())


def test_histogram_boosting_has_the_rows_number_of_features() -> None:
    model = HistGradientBoostingRegressor(max_iter=1).fit(X, X[:, 3])
    check_damage(model)
    model.n_features_in_ = 3
    with pytest.raises(LoadError, match=NOWHERE):
        check_damage(model)


def test_the_last_node_and_the_last_feature_are_no_damage() -> None:
    check_damage(tree_with(0, "right_child", 4))
    check_damage(tree_with(0, "feature", 1))


def test_only_branches_are_followed() -> None:
    leaf = int(np.flatnonzero(tree_with(0, "feature", 0).tree_.children_left == -1)[0])
    check_damage(tree_with(leaf, "feature", 99))


def test_a_branch_further_down_must_not_lead_to_its_own_node() -> None:
    inner = np.flatnonzero(tree_with(0, "feature", 0).tree_.children_left != -1)
    with pytest.raises(LoadError, match=BACK):
        check_damage(tree_with(int(inner[1]), "left_child", int(inner[1])))


@pytest.mark.parametrize(
    ("field", "value", "how"),
    [("left", 10**6, NOWHERE), ("right", 0, BACK), ("feature_idx", 4, NOWHERE), ("feature_idx", -1, NOWHERE)],
)
def test_every_tree_of_histogram_boosting_is_looked_at(field: str, value: int, how: str) -> None:
    model = HistGradientBoostingClassifier(max_iter=2).fit(X, Y)
    check_damage(model)
    model._predictors[1][0].nodes[field][0] = value
    with pytest.raises(LoadError, match=how):
        check_damage(model)


def test_categories_lie_in_the_bits_that_the_tree_has() -> None:
    model = HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=2).fit(FRAME[["kind"]], FRAME["kind"] == "u")
    predictor = model._predictors[0][0]
    check_damage(model)
    (decides,) = np.flatnonzero(predictor.nodes["is_categorical"])
    predictor.nodes["bitset_idx"][decides] = len(predictor.raw_left_cat_bitsets)
    with pytest.raises(LoadError, match=NOWHERE):
        check_damage(model)
    predictor.nodes["is_categorical"][decides] = 0  # and so its bits are not asked for
    check_damage(model)


@pytest.mark.parametrize("kind", SPACES)
@pytest.mark.parametrize(
    ("part", "value"),
    [(1, 90), (1, -1), ("idx_start", 91), ("idx_start", -1), ("idx_end", 91), ("idx_end", -5), ("is_leaf", 0)],
)
def test_damaged_trees_of_neighbours(kind: str, part: int | str, value: int) -> None:
    space = SPACES[kind](X, leaf_size=5)
    state = [part.copy() if isinstance(part, np.ndarray) else part for part in space.__getstate__()]
    assert len(state[0]) == 90
    if isinstance(part, int):
        state[part][3] = value
    else:
        state[2][part][-1] = value
    space.__setstate__(tuple(state))
    with pytest.raises(LoadError, match=NOWHERE):
        check_space(space)


@pytest.mark.parametrize("field", ["idx_start", "idx_end"])
def test_a_range_of_neighbours_may_end_with_the_rows(field: str) -> None:
    space = KDTree(X, leaf_size=5)
    state = [part.copy() if isinstance(part, np.ndarray) else part for part in space.__getstate__()]
    state[2][field][-1] = 90
    space.__setstate__(tuple(state))
    check_space(space)


@pytest.mark.parametrize("part", ["order", "nodes", "bounds"])
def test_parts_of_a_tree_of_neighbours_have_one_size(part: str) -> None:
    space = KDTree(X, leaf_size=5)
    state = list(space.__getstate__())
    if part == "order":
        state[1] = state[1][:-1].copy()
    elif part == "nodes":
        state[2] = state[2][:-1].copy()
    else:
        state[3] = state[3][:, :, :-1].copy()
    space.__setstate__(tuple(state))
    with pytest.raises(LoadError, match=r"^holds a damaged tree: its parts differ in size$"):
        check_space(space)


def test_sound_parts_pass() -> None:
    for kind in SPACES.values():
        check_space(kind(X, leaf_size=5))
    for tree in RandomForestClassifier(3, random_state=0).fit(X, Y).estimators_:
        check_damage(tree)
    check_damage(DecisionTreeClassifier().fit(X, np.zeros(len(X))))  # a leaf is its root
    check_damage(HistGradientBoostingClassifier(max_iter=5).fit(FRAME[["age", "kind"]], Y))


def test_what_has_no_tree_has_no_damage() -> None:
    for part in (DecisionTreeClassifier(), HistGradientBoostingClassifier(), StandardScaler().fit(X)):
        check_damage(part)
        check_space(part)
    check_space(None)
