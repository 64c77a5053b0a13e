"""Boosting, against sums of what each stage's tree answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from sklearn import ensemble, linear_model
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.ensemble._hist_gradient_boosting import _predictor
from sklearn.preprocessing import OrdinalEncoder

from adapters.base import Array
from adapters.sklearn_.direct import merged
from adapters.sklearn_.direct.boosting import BUILDERS
from adapters.sklearn_.direct.plan import OrdinaryRows, Plan

RNG = np.random.default_rng(6)
X = RNG.normal(size=(90, 3))
TWO = np.where(X[:, 0] > 0, "yes", "no")
THREE = np.arange(90) % 3


def maybe(model: Any, method: str) -> Plan | None:
    return BUILDERS[f"sklearn.ensemble.{type(model).__name__}"](model, method)


def built(model: Any, method: str) -> Plan:
    plan = maybe(model, method)
    assert plan is not None
    return plan


def boosted(target: Any = TWO, **settings: Any) -> Any:
    return ensemble.GradientBoostingClassifier(n_estimators=4, random_state=0, **settings).fit(X, target)


def stages_of(model: Any, rows: Array) -> Array:
    """[n, trees a stage]: the learning rate's shares of all stages, from zero."""
    return np.stack(
        [
            sum(model.learning_rate * tree.tree_.predict(rows.astype(np.float32))[:, 0] for tree in column)
            for column in model.estimators_.T
        ],
        axis=1,
    )


def test_two_classes_start_from_their_odds() -> None:
    model, rows = boosted(), X[:9]
    share = (TWO == "yes").mean()
    scores = np.log(share / (1 - share)) + stages_of(model, rows)[:, 0]
    np.testing.assert_allclose(built(model, "decision_function").kernel(rows), scores, rtol=1e-12)
    proba = built(model, "predict_proba").kernel(rows)
    np.testing.assert_allclose(proba[:, 1], expit(scores), rtol=1e-12)
    np.testing.assert_allclose(built(model, "predict_log_proba").kernel(rows), np.log(proba), rtol=1e-12)
    assert built(model, "predict").kernel(rows).tolist() == np.where(scores >= 0, "yes", "no").tolist()


def test_several_classes_have_a_column_of_scores_each() -> None:
    model, rows = boosted(THREE, init="zero"), X[:9]
    scores = stages_of(model, rows)
    np.testing.assert_allclose(built(model, "decision_function").kernel(rows), scores, rtol=1e-12)
    powers = np.exp(scores)
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(built(model, "predict_proba").kernel(rows), expected, rtol=1e-12)
    assert built(model, "predict").kernel(rows).tolist() == scores.argmax(axis=1).tolist()


def test_at_zero_the_two_families_differ() -> None:
    model = boosted(init="zero")
    model.learning_rate = 0.0
    assert built(model, "decision_function").kernel(X[:1]).tolist() == [0.0]
    assert built(model, "predict").kernel(X[:1]).tolist() == ["yes"]
    histogram = HistGradientBoostingClassifier(max_iter=1).fit(X, TWO)
    histogram._baseline_prediction[:] = 0.0
    histogram._predictors[0][0].nodes["value"] = 0.0
    assert built(histogram, "decision_function").kernel(X[:1]).tolist() == [0.0]
    assert built(histogram, "predict").kernel(X[:1]).tolist() == ["no"]


def test_numbers_start_from_their_mean() -> None:
    model = ensemble.GradientBoostingRegressor(n_estimators=3, random_state=0).fit(X, X[:, 0])
    found = built(model, "predict").kernel(X[:9])
    np.testing.assert_allclose(found, X[:, 0].mean() + stages_of(model, X[:9])[:, 0], rtol=1e-12)
    assert maybe(model, "apply") is None


def test_missing_values_are_given_back() -> None:
    with pytest.raises(OrdinaryRows):
        built(boosted(), "predict").kernel(np.full((1, 3), np.nan))


def test_what_starts_from_another_model_has_no_plan() -> None:
    assert maybe(boosted(init=linear_model.LogisticRegression()), "predict") is None
    model = boosted()
    model.n_features_in_ = 2
    assert maybe(model, "predict") is None
    assert maybe(boosted(), "apply") is None


def test_thresholds_are_landmarks() -> None:
    model = boosted()
    known = {value for tree in model.estimators_.ravel() for value in tree.tree_.threshold}
    marks = built(model, "predict").landmarks
    assert marks is not None
    assert set(marks.ravel()) <= known | {0.0}
    assert set(marks.ravel()) - {0.0}
    histogram = HistGradientBoostingRegressor(max_iter=2).fit(X, X[:, 0])
    nodes = np.concatenate([stage[0].nodes for stage in histogram._predictors])
    inner = nodes[nodes["is_leaf"] == 0]
    marks = built(histogram, "predict").landmarks
    assert marks is not None
    assert marks.shape[1] == 3
    for feature in range(3):
        assert set(marks[:, feature]) == ({*inner["num_threshold"][inner["feature_idx"] == feature]} or {0.0})


def leaves(nodes: Array, row: Array) -> float:
    """What one tree of a histogram booster answers, followed by hand."""
    at = 0
    while not nodes[at]["is_leaf"]:
        value = row[nodes[at]["feature_idx"]]
        left = nodes[at]["missing_go_to_left"] if np.isnan(value) else value <= nodes[at]["num_threshold"]
        at = nodes[at]["left"] if left else nodes[at]["right"]
    return float(nodes[at]["value"])


def raw(model: Any, rows: Array) -> Array:
    """[n, trees a stage]."""
    return np.array(
        [
            [
                base + sum(leaves(stage[column].nodes, row) for stage in model._predictors)
                for column, base in enumerate(model._baseline_prediction.ravel())
            ]
            for row in rows
        ]
    )


@pytest.mark.parametrize("n", [1, 64, 65], ids=str)
def test_histograms_are_summed_stage_by_stage(n: int) -> None:
    model = HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=3).fit(X, THREE)
    rows = X[:n].copy()
    rows[0, 1] = np.nan
    plan = built(model, "decision_function")
    np.testing.assert_allclose(plan.kernel(rows), raw(model, rows), rtol=1e-12)
    assert plan.turns == (64, 65)
    assert built(model, "predict").kernel(rows).tolist() == raw(model, rows).argmax(axis=1).tolist()


def test_a_few_rows_pass_through_all_histograms_in_one_call_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    model = HistGradientBoostingRegressor(max_iter=10, min_samples_leaf=3).fit(X, X[:, 0])
    calls: list[tuple[int, int]] = []
    predict = _predictor._predict_from_raw_data

    def counted(nodes: Any, rows: Array, *rest: Any) -> None:
        calls.append((len(rows), rest[3]))
        predict(nodes, rows, *rest)

    monkeypatch.setattr(_predictor, "_predict_from_raw_data", counted)
    kernel = built(model, "predict").kernel
    for n, expected in ((1, [(10, 1)]), (64, [(640, 1)]), (65, [(65, 1)] * 10)):
        calls.clear()
        np.testing.assert_allclose(kernel(X[:n]), raw(model, X[:n])[:, 0], rtol=1e-12)
        assert calls == expected


def test_a_histogram_of_counts_is_behind_its_link() -> None:
    model = HistGradientBoostingRegressor(max_iter=3, loss="poisson", min_samples_leaf=3).fit(X, np.abs(X[:, 0]))
    found = built(model, "predict").kernel(X[:5])
    np.testing.assert_allclose(found, np.exp(raw(model, X[:5])[:, 0]), rtol=1e-12)
    assert maybe(model, "decision_function") is None


def test_histograms_of_two_classes_have_one_score() -> None:
    model = HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=3).fit(X, TWO)
    scores = raw(model, X[:9])[:, 0]
    np.testing.assert_allclose(built(model, "decision_function").kernel(X[:9]), scores, rtol=1e-12)
    np.testing.assert_allclose(built(model, "predict_proba").kernel(X[:9])[:, 1], expit(scores), rtol=1e-12)
    assert built(model, "predict").kernel(X[:9]).tolist() == np.where(scores > 0, "yes", "no").tolist()


def test_histograms_too_large_to_merge_are_asked_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merged, "_BUDGET", 10)
    monkeypatch.setattr(merged, "merged_predictors", lambda *_: pytest.fail("merged"))
    model = HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=3).fit(X, X[:, 0])
    plan = built(model, "predict")
    assert plan.turns == (0, 1)
    np.testing.assert_allclose(plan.kernel(X[:1]), raw(model, X[:1])[:, 0], rtol=1e-12)


def test_histograms_with_categories_or_of_odd_parts_have_no_plan() -> None:
    rows = np.hstack([OrdinalEncoder().fit_transform(TWO.reshape(-1, 1)), X])
    assert (
        maybe(HistGradientBoostingRegressor(categorical_features=[0], max_iter=2).fit(rows, TWO == "yes"), "predict")
        is None
    )
    model = HistGradientBoostingRegressor(max_iter=2).fit(X, X[:, 0])
    assert maybe(model, "predict") is not None
    model._baseline_prediction = model._baseline_prediction.astype(np.float32)
    assert maybe(model, "predict") is None
    model = HistGradientBoostingRegressor(max_iter=2).fit(X, X[:, 0])
    model._predictors[1] = model._predictors[1] * 2
    assert maybe(model, "predict") is None
    model._predictors = []
    assert maybe(model, "predict") is None
