"""Explanations of XGBoost's and LightGBM's boosters: the libraries' own, bit for bit, and their sums the margin."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.base import Tensors
from tests.adapters.lightgbm_ import test_adapter as lightgbm_
from tests.adapters.xgboost_ import test_adapter as xgboost_

xgboost = pytest.importorskip("xgboost")

#: no exact contributions exist for these
XGBOOST_CANNOT = {"vector_leaf"}
LIGHTGBM_CANNOT = {"linear"}


def flat(explained: Tensors, outputs: int) -> Any:
    """As the libraries give it: [rows, outputs, columns + 1]."""
    contributions, base = explained["contributions"], explained["base_value"]
    if outputs == 1:
        contributions, base = contributions[:, :, None], base[:, None]
    return np.concatenate([contributions, base[:, None, :]], axis=1).transpose(0, 2, 1)


def gaps(rows: Any) -> Any:
    rows = rows.copy()
    rows[::5, 1] = np.nan
    return rows


@pytest.mark.parametrize("kind", xgboost_.KINDS)
def test_xgboost(kind: str, tmp_path: Path) -> None:
    train, rows = xgboost_.KINDS[kind]
    booster, rows = train(), gaps(rows[:40])
    adapter = xgboost_._served(booster, tmp_path)
    assert (adapter.signature.explanations == ()) is (kind in XGBOOST_CANNOT)
    if kind in XGBOOST_CANNOT:
        return
    matrix = xgboost.DMatrix(rows)
    margin = booster.predict(matrix, output_margin=True)
    outputs = 1 if margin.ndim == 1 else margin.shape[1]
    explained = adapter.explain({"input-0": rows.astype(np.float32)}, {})
    own = booster.predict(matrix, pred_contribs=True).reshape(len(rows), outputs, -1)
    np.testing.assert_array_equal(flat(explained, outputs), own)
    size = np.abs(own).sum(axis=2).max()
    np.testing.assert_allclose(own.sum(axis=2).reshape(margin.shape), margin, atol=1e-5 * size)
    one = adapter.explain({"input-0": rows[:1].astype(np.float32)}, {})
    np.testing.assert_array_equal(flat(one, outputs), own[:1])
    shapes = {spec.name: spec.shape[1:] for spec in adapter.signature.explanations}
    assert shapes == {name: array.shape[1:] for name, array in explained.items()}


@pytest.mark.parametrize("kind", lightgbm_.KINDS)
def test_lightgbm(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    train, rows = lightgbm_.KINDS[kind]
    rows = gaps(rows[:40])
    booster = train()
    capfd.readouterr()
    adapter = lightgbm_._served(booster, tmp_path)
    assert "Fatal" not in "".join(capfd.readouterr())
    assert (adapter.signature.explanations == ()) is (kind in LIGHTGBM_CANNOT)
    if kind in LIGHTGBM_CANNOT:
        return
    direct = lightgbm_._direct(tmp_path)
    margin = direct.predict(rows, raw_score=True)
    outputs = direct.num_model_per_iteration()
    explained = adapter.explain({"input-0": rows}, {})
    own = direct.predict(rows, pred_contrib=True).reshape(len(rows), outputs, -1)
    np.testing.assert_array_equal(flat(explained, outputs), own)
    np.testing.assert_allclose(own.sum(axis=2).reshape(margin.shape), margin, rtol=1e-9)
    one = adapter.explain({"input-0": rows[:1]}, {})
    np.testing.assert_array_equal(flat(one, outputs), own[:1])


@pytest.mark.parametrize("kind", ["dart", "gblinear", "softprob"])
def test_predictions_beside_explanations_stay_the_same(kind: str, tmp_path: Path) -> None:
    train, rows = xgboost_.KINDS[kind]
    adapter = xgboost_._served(train(), tmp_path)
    inputs = {"input-0": rows[:50].astype(np.float32)}
    predicted, explained = adapter.predict(inputs, {}), adapter.explain(inputs, {})
    with ThreadPoolExecutor(2) as pool:
        others = [pool.submit(adapter.explain, inputs, {}) for _ in range(20)]
        for _ in range(20):
            np.testing.assert_array_equal(adapter.predict(inputs, {})["output-0"], predicted["output-0"])
        for other in others:
            np.testing.assert_array_equal(other.result()["contributions"], explained["contributions"])
