"""Trees whose parts differ in size are refused: native code would read, or write, what lies behind them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from sklearn.metrics import DistanceMetric
from sklearn.neighbors import BallTree, KDTree
from sklearn.neighbors._ball_tree import BallTree32, BallTree64
from sklearn.neighbors._kd_tree import KDTree32, KDTree64
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import Tree

from adapters.base import LoadError
from adapters.sklearn_.damage import check_damage, check_estimate, check_space
from adapters.sklearn_.settle import settle
from tests.adapters.sklearn_.kit import FRAME, THREE, X, Y

NOWHERE = "leads nowhere"


def _emptied(model: Any) -> Any:
    model.tree_ = Tree(2, np.array([3]), 1)
    return model


def test_a_tree_has_a_node_and_its_nodes_have_values() -> None:
    model = DecisionTreeClassifier(random_state=0).fit([[0, 0], [1, 1], [2, 2]], [0, 1, 2])
    state = model.tree_.__getstate__()
    with pytest.raises(LoadError, match=r"^holds a tree without a node$"):
        check_damage(_emptied(model))
    for classes, outputs in ((0, 1), (1, 0)):  # a leaf would answer with what lies behind
        model.tree_ = Tree(2, np.array([classes]), outputs)
        model.tree_.__setstate__({**state, "values": np.zeros((5, outputs, classes))})
        with pytest.raises(LoadError, match="differ in size"):
            check_damage(model)


def test_boosting_has_a_column_for_each_tree_of_a_stage() -> None:
    model = GradientBoostingClassifier(n_estimators=2).fit(X, Y)
    model.estimators_ = np.tile(model.estimators_, (1, 500))
    with pytest.raises(LoadError, match="differ in size"):
        check_damage(model)
    model.n_trees_per_iteration_ = 500
    check_damage(model)
    with pytest.raises(LoadError, match="differ in size"):
        check_estimate(model)
    model.init_ = StandardScaler()
    with pytest.raises(LoadError, match="its first estimate fails"):
        settle(model)
    for sound in (GradientBoostingClassifier(n_estimators=2), GradientBoostingClassifier(n_estimators=2, init="zero")):
        settle(sound.fit(X, THREE))


def test_boosting_of_versions_that_do_not_count_a_stages_trees_is_asked() -> None:
    model = GradientBoostingClassifier(n_estimators=2).fit(X, THREE)
    del model.n_trees_per_iteration_
    settle(model)
    model.estimators_ = np.tile(model.estimators_, (1, 500))
    with pytest.raises(LoadError, match="differ in size"):
        settle(model)


def test_histogram_boosting_has_bits_for_every_category_and_encodes_every_column() -> None:
    def fitted() -> Any:
        return HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=2).fit(FRAME[["age", "kind"]], Y)

    model = fitted()
    model._predictors[0][0].raw_left_cat_bitsets = np.zeros((9, 0), np.uint32)
    with pytest.raises(LoadError, match="differ in size"):
        check_damage(model)
    model = fitted()
    model._bin_mapper.is_categorical_ = model._bin_mapper.is_categorical_[:0]
    with pytest.raises(LoadError, match=NOWHERE):
        check_damage(model)
    model = fitted()
    check_damage(model)
    (name, encoder, chosen), *rest = model._preprocessor.transformers_
    model._preprocessor.transformers_ = [(name, encoder, chosen)]  # the other column is lost
    model._predictors[0][0].nodes["feature_idx"][0] = 1
    with pytest.raises(LoadError, match=NOWHERE):
        check_damage(model)
    model._preprocessor.transformers_ = [(name, StandardScaler(), chosen), *rest]
    with pytest.raises(LoadError, match=r"^holds a StandardScaler where histogram boosting encodes its categories$"):
        check_damage(model)


@pytest.mark.parametrize("kind", [BallTree32, BallTree64, KDTree32, KDTree64])
def test_trees_of_neighbours_of_every_width(kind: Any) -> None:
    space = kind(X, leaf_size=5)
    check_space(space)
    state = list(space.__getstate__())
    space.__setstate__((state[0], np.full(90, 10**9), *state[2:]))
    with pytest.raises(LoadError, match=NOWHERE):
        check_space(space)


def test_distances_are_of_the_features_that_there_are() -> None:
    """Mahalanobis' writes the differences of all features into room for those of its matrix."""
    metrics = [DistanceMetric.get_metric("mahalanobis", VI=np.eye(2)), DistanceMetric.get_metric("seuclidean", V=[1.0])]
    for metric in metrics:
        space = BallTree(X, leaf_size=5)
        state = list(space.__getstate__())
        space.__setstate__((*state[:11], metric, None))
        with pytest.raises(LoadError, match=r"^holds a damaged tree: it measures distances of other features"):
            check_space(space)
    check_space(BallTree(X, metric="mahalanobis", VI=np.eye(4)))
    check_space(BallTree(X, metric="minkowski", p=3, w=np.ones(4)))


@pytest.mark.parametrize(("part", "value"), [(11, None), (12, np.ones(3)), (3, np.zeros((1, 31, 4)))])
def test_every_row_has_its_weight_every_node_its_bounds_and_all_a_distance(part: int, value: Any) -> None:
    space = KDTree(X, leaf_size=5)
    state = list(space.__getstate__())
    assert state[3].shape == (2, 31, 4)
    state[part] = value
    space.__setstate__(tuple(state))
    with pytest.raises(LoadError, match="differ in size"):
        check_space(space)
    check_space(KDTree(X, sample_weight=np.ones(90)))
