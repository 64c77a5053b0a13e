"""Which trees of a booster answer: those that the class which saved the file would use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.lightgbm_.adapter import LightGBMAdapter
from adapters.xgboost_.adapter import XGBoostAdapter
from tests.adapters.boosters import claimed, same

xgboost = pytest.importorskip("xgboost")


def _stopped_early(folder: Path, kind: str = "gbtree") -> Any:
    """A classifier whose first rounds are its best: what follows is fitted to noise."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 3)), rng.integers(0, 2, 80)
    model = xgboost.XGBClassifier(n_estimators=50, max_depth=6, learning_rate=1.0, booster=kind, n_jobs=1)
    model.set_params(early_stopping_rounds=3).fit(x, y, eval_set=[(rng.normal(size=(80, 3)), y)], verbose=False)
    assert model.best_iteration + 1 < model.get_booster().num_boosted_rounds()
    model.save_model(folder / "model.json")
    return model


@pytest.mark.parametrize("kind", ["gbtree", "dart"])
def test_a_file_of_the_scikit_learn_class_is_used_up_to_its_best_round(tmp_path: Path, kind: str) -> None:
    model = _stopped_early(tmp_path, kind)
    adapter = claimed(XGBoostAdapter, LightGBMAdapter, tmp_path)
    rows = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)
    inputs = {"input-0": rows}

    again = xgboost.XGBClassifier()
    again.load_model(tmp_path / "model.json")
    assert same(adapter.predict(inputs, {})["output-0"], again.predict_proba(rows)[:, 1])
    margins = adapter.predict(inputs, {"method": "margin"})["output-0"]
    assert same(margins, again.predict(rows, output_margin=True))
    leaves = adapter.predict(inputs, {"method": "leaf"})["output-0"]
    assert leaves.tolist() == again.apply(rows).tolist()
    assert leaves.size == len(rows) * (model.best_iteration + 1)
    explained = adapter.explain(inputs, {})
    assert np.allclose(explained["contributions"].sum(1) + explained["base_value"], margins, atol=1e-4)


def test_which_trees_answer_can_be_chosen(tmp_path: Path) -> None:
    model = _stopped_early(tmp_path)
    matrix = xgboost.DMatrix(np.ones((2, 3), np.float32))
    everything = claimed(XGBoostAdapter, LightGBMAdapter, tmp_path, trees="all")
    inputs = {"input-0": np.ones((2, 3), np.float32)}
    assert same(everything.predict(inputs, {})["output-0"], model.get_booster().predict(matrix))

    native = model.get_booster()
    native.set_attr(scikit_learn=None)
    native.save_model(tmp_path / "model.json")
    booster = claimed(XGBoostAdapter, LightGBMAdapter, tmp_path)
    assert same(booster.predict(inputs, {})["output-0"], native.predict(matrix))
    best = claimed(XGBoostAdapter, LightGBMAdapter, tmp_path, trees="best")
    until = native.predict(matrix, iteration_range=(0, native.best_iteration + 1))
    assert same(best.predict(inputs, {})["output-0"], until)


@pytest.mark.parametrize("note", ["-1", "9" * 5000, "x", ""])
def test_a_best_round_that_there_is_not_changes_nothing(tmp_path: Path, note: str) -> None:
    rows = np.random.default_rng(2).normal(size=(40, 3)).astype(np.float32)
    booster = xgboost.train({"nthread": 1, "verbosity": 0}, xgboost.DMatrix(rows, rows[:, 0]), 4)
    booster.set_attr(best_iteration=note, scikit_learn="{}")
    booster.save_model(tmp_path / "model.json")
    adapter = claimed(XGBoostAdapter, LightGBMAdapter, tmp_path)
    assert same(adapter.predict({"input-0": rows}, {})["output-0"], booster.predict(xgboost.DMatrix(rows)))
