"""Trees and forests, against sums of what each tree answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import ensemble, tree

from adapters.base import Array
from adapters.sklearn_.direct import merged, trees
from adapters.sklearn_.direct.plan import OrdinaryRows, Plan
from adapters.sklearn_.direct.trees import BUILDERS, Stages, float32, landmarks

RNG = np.random.default_rng(5)
X = RNG.normal(size=(80, 3))
Y = np.array(["a", "b", "c"])[np.arange(80) % 3]


def built(model: Any, method: str) -> Plan:
    plan = BUILDERS[f"sklearn.{type(model).__module__.split('.')[1]}.{type(model).__name__}"](model, method)
    assert plan is not None
    return plan


def test_rows_become_float32_or_are_given_back() -> None:
    assert float32(np.array([[0.1]]), nan=False).dtype == np.float32
    assert np.isnan(float32(np.array([[np.nan]]), nan=True)).all()
    for rows, nan in (([[np.nan]], False), ([[np.inf]], True)):
        with pytest.raises(OrdinaryRows):
            float32(np.array(rows), nan=nan)


@pytest.mark.filterwarnings("ignore:overflow")
def test_what_is_too_large_for_float32_is_given_back() -> None:
    with pytest.raises(OrdinaryRows):
        float32(np.array([[1e39]]), nan=True)


def test_landmarks_are_thresholds_of_their_own_feature() -> None:
    features, thresholds = np.array([0, 2, -2, 0, -2]), np.array([0.5, 7.0, -2.0, 1.5, -2.0])
    found = landmarks(3, features, thresholds)
    assert found.shape == (256, 3)
    assert set(found[:, 0]) == {0.5, 1.5}
    assert set(found[:, 1]) == {0.0}  # it decides nothing
    assert set(found[:, 2]) == {7.0}
    assert not landmarks(2, np.array([-2]), np.array([-2.0])).any()
    assert landmarks(2**19, features, thresholds).shape == (2, 2**19)
    assert landmarks(3, features, thresholds).tobytes() == found.tobytes()


def test_one_tree_gives_the_shares_of_its_leaf() -> None:
    rows, labels = np.array([[0.0], [1.0], [1.0], [1.0]]), np.array(["x", "x", "y", "y"])
    model = tree.DecisionTreeClassifier().fit(rows, labels)
    assert built(model, "predict_proba").kernel(np.array([[0.4], [0.6]])).tolist() == [[1.0, 0.0], [1 / 3, 2 / 3]]
    assert built(model, "predict").kernel(np.array([[0.4], [0.6]])).tolist() == ["x", "y"]
    plan = built(model, "predict_proba")
    assert plan.landmarks is not None
    assert set(plan.landmarks.ravel()) == {0.5}


def test_one_tree_gives_the_mean_of_its_leaf() -> None:
    model = tree.DecisionTreeRegressor().fit([[0.0], [1.0], [1.0]], [5.0, 1.0, 2.0])
    assert built(model, "predict").kernel(np.array([[0.0], [9.0], [np.nan]])).tolist() == [5.0, 1.5, 1.5]
    assert BUILDERS["sklearn.tree.DecisionTreeRegressor"](model, "apply") is None


@pytest.mark.parametrize("rows", [1, 64, 65], ids=str)
def test_a_forest_is_the_mean_of_its_trees_in_their_order(rows: int) -> None:
    model = ensemble.RandomForestClassifier(7, random_state=0).fit(X, Y)
    plan, some = built(model, "predict_proba"), X[:rows]
    total = np.zeros((len(some), 3))
    for each in model.estimators_:
        total += each.tree_.predict(some.astype(np.float32))
    assert plan.kernel(some).tobytes() == (total / 7).tobytes()
    assert plan.turns == (64,)
    assert built(model, "predict").kernel(some).tolist() == model.classes_[(total / 7).argmax(axis=1)].tolist()


@pytest.mark.parametrize("missing", [False, True])
def test_a_forest_of_numbers_is_the_mean_of_its_trees(missing: bool) -> None:
    model = ensemble.RandomForestRegressor(6, random_state=0).fit(X, X[:, 0])
    rows = X[:9].copy()
    if missing:
        rows[3, 1] = np.nan
    total = np.zeros(9)
    for each in model.estimators_:
        total += each.tree_.predict(rows.astype(np.float32))[:, 0]
    assert built(model, "predict").kernel(rows).tobytes() == (total / 6).tobytes()


def test_a_few_rows_pass_through_all_trees_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ensemble.ExtraTreesClassifier(100, random_state=0).fit(X, Y)
    expected, calls, merge = model.predict_proba(X), [], merged.merged_trees

    class Counted:
        def __init__(self, parts: Any) -> None:
            self.whole = merge(parts)

        def predict(self, rows: Array) -> Any:
            calls.append(len(rows))
            return self.whole.predict(rows)

    monkeypatch.setattr(merged, "merged_trees", Counted)
    kernel = built(model, "predict_proba").kernel
    with monkeypatch.context() as few:
        few.setattr(trees, "_one_by_one", lambda *_: pytest.fail("one by one"))
        assert kernel(X[:1]).tobytes() == expected[:1].tobytes()
        assert kernel(X[:64]).tobytes() == expected[:64].tobytes()
    assert calls == [100, 6400]
    assert kernel(X[:65]).tobytes() == expected[:65].tobytes()
    assert calls == [100, 6400]


def test_forests_too_large_to_merge_are_summed_tree_by_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged, "_BUDGET", 1000)
    monkeypatch.setattr(merged, "merged_trees", lambda trees: pytest.fail("merged"))
    model = ensemble.RandomForestClassifier(5, random_state=0).fit(X, Y)
    plan = built(model, "predict_proba")
    assert plan.turns == (0,)
    assert plan.kernel(X[:1]).tobytes() == model.predict_proba(X[:1]).tobytes()


def test_a_forest_that_adds_as_threads_come_has_no_plan() -> None:
    model = ensemble.RandomForestClassifier(3, random_state=0).fit(X, Y)
    build = BUILDERS["sklearn.ensemble.RandomForestClassifier"]
    for n_jobs, direct in ((None, True), (1, True), (2, False), (-1, False)):
        model.n_jobs = n_jobs
        assert (build(model, "predict") is not None) is direct
    assert build(model.set_params(n_jobs=1), "apply") is None


class OddTree(tree.DecisionTreeClassifier):
    """Might do anything."""


def test_a_forest_of_other_trees_has_no_plan() -> None:
    build = BUILDERS["sklearn.ensemble.RandomForestClassifier"]
    model = ensemble.RandomForestClassifier(3, random_state=0).fit(X, Y)
    model.estimators_[1] = OddTree().fit(X, Y)
    assert build(model, "predict") is None
    model.estimator = OddTree()
    model.estimators_ = [OddTree().fit(X, Y)] * 3
    assert build(model, "predict") is None


def test_a_merged_tree_takes_its_nodes_and_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ensemble.RandomForestClassifier(3, random_state=0).fit(X, Y)
    nodes = sum(each.tree_.node_count for each in model.estimators_)
    asked: list[Any] = []
    monkeypatch.setattr(merged, "rows_at_most", lambda *of: (asked.append(of), 0)[1])
    built(model, "predict")
    a_node = model.estimators_[0].tree_.__getstate__()["nodes"].dtype.itemsize
    assert asked == [(3, 3, nodes * (a_node + 3 * 8))]


def test_trees_that_do_not_fit_the_model_have_no_plan() -> None:
    model = tree.DecisionTreeClassifier().fit(X, Y)
    build = BUILDERS["sklearn.tree.DecisionTreeClassifier"]
    model.n_features_in_ = 2
    assert build(model, "predict") is None
    model.n_features_in_, model.n_classes_ = 3, 2
    assert build(model, "predict") is None
    forest = ensemble.RandomForestRegressor(2, random_state=0).fit(X, X[:, 0])
    forest.estimators_ = []
    assert BUILDERS["sklearn.ensemble.RandomForestRegressor"](forest, "predict") is None


def test_stages_are_added_in_steps_that_let_others_run() -> None:
    model = ensemble.GradientBoostingRegressor(n_estimators=4, random_state=0).fit(X, X[:, 0])
    stages = Stages(model.estimators_, 0.5)
    assert stages._step == 2**16 // 4
    rows = X.astype(np.float32)
    expected = np.ones((80, 1))
    for each in model.estimators_.ravel():
        expected += 0.5 * each.tree_.predict(rows)
    stages._step = 7
    total = np.ones((80, 1))
    assert stages.add(rows, total) is total
    np.testing.assert_array_equal(total, expected)
