"""XGBoost's and LightGBM's scikit-learn classes, alone and at the end of a pipeline: their own bits, and whose way."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from adapters.shared.native_calls import rows_like
from adapters.sklearn_.direct import build, direct
from adapters.sklearn_.direct.boosters import BUILDERS
from adapters.sklearn_.settle import settle
from tests.adapters.boosters import same

xgboost = pytest.importorskip("xgboost")
lightgbm = pytest.importorskip("lightgbm")

RNG = np.random.default_rng(3)
X = RNG.normal(size=(200, 4))
TWO = (X[:, 0] > 0).astype(int)
THREE = np.digitize(X[:, 0], [-0.4, 0.4])
NAMES = np.array(["low", "middle", "high"])[THREE]


def _xgb(name: str, **settings: Any) -> Any:
    return getattr(xgboost, name)(n_estimators=6, n_jobs=1, **settings)


def _lgbm(name: str, **settings: Any) -> Any:
    return getattr(lightgbm, name)(n_estimators=6, n_jobs=1, verbose=-1, **settings)


MODELS: dict[str, Callable[[], Any]] = {
    "xgboost-two": lambda: _xgb("XGBClassifier").fit(X, TWO),
    "xgboost-three": lambda: _xgb("XGBClassifier").fit(X, THREE),
    "xgboost-regressor": lambda: _xgb("XGBRegressor").fit(X, X[:, 0]),
    "xgboost-targets": lambda: _xgb("XGBRegressor").fit(X, X[:, :2]),
    "xgboost-forest": lambda: _xgb("XGBRFClassifier").fit(X, TWO),
    "xgboost-stopped": lambda: _xgb("XGBClassifier", early_stopping_rounds=1).fit(
        X, TWO, eval_set=[(X, 1 - TWO)], verbose=False
    ),
    "xgboost-pipeline": lambda: make_pipeline(StandardScaler(), _xgb("XGBClassifier")).fit(X, THREE),
    "lightgbm-two": lambda: _lgbm("LGBMClassifier").fit(X, TWO),
    "lightgbm-names": lambda: _lgbm("LGBMClassifier").fit(X, NAMES),
    "lightgbm-regressor": lambda: _lgbm("LGBMRegressor").fit(X, X[:, 0]),
    "lightgbm-ranker": lambda: _lgbm("LGBMRanker").fit(X, TWO, group=[20] * 10),
    "lightgbm-pipeline": lambda: make_pipeline(StandardScaler(), _lgbm("LGBMClassifier")).fit(X, NAMES),
}


def _loaded(model: Any) -> Any:
    again = pickle.loads(pickle.dumps(model))
    settle(again)
    return again


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("name", MODELS)
def test_answers_are_the_models_own_to_the_bit(name: str) -> None:
    model = _loaded(MODELS[name]())
    for method in ("predict", "predict_proba"):
        if not hasattr(model, method):
            continue
        function = direct(model, method)
        assert function is not None
        ordinary = getattr(model, method)
        plain = "pipeline" not in name  # of which the scaler takes NaN, and the booster too
        for rows in rows_like(4, np.float64) if plain else [X, X[:1]]:
            found, expected = function(rows), ordinary(rows)
            if expected.dtype.hasobject or expected.dtype.kind == "U":
                assert found.tolist() == expected.tolist()
            else:
                assert same(found, expected)


def _with(model: Any, **attributes: Any) -> Any:
    for name, value in attributes.items():
        setattr(model, name, value)
    return model


UNUSUAL: dict[str, Callable[[], Any]] = {
    "zero is missing": lambda: _xgb("XGBClassifier", missing=0.0).fit(X, TWO),
    "dart": lambda: _xgb("XGBClassifier", booster="dart").fit(X, TWO),
    "linear": lambda: _xgb("XGBRegressor", booster="gblinear").fit(X, X[:, 0]),
    "labels": lambda: _xgb("XGBClassifier", objective="multi:softmax").fit(X, THREE),
    "several labels": lambda: _xgb("XGBClassifier").fit(X, np.stack([TWO, 1 - TWO], axis=1)),
    "own objective": lambda: _xgb("XGBRegressor", objective=lambda y, p: (p - y, np.ones_like(y))).fit(X, X[:, 0]),
    "ends early": lambda: _lgbm("LGBMClassifier", pred_early_stop=True).fit(X, TWO),
    "own objective of LightGBM": lambda: _lgbm("LGBMRegressor", objective=lambda y, p: (p - y, np.ones_like(y))).fit(
        X, X[:, 0]
    ),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_what_is_out_of_the_ordinary_goes_its_own_way(name: str) -> None:
    assert direct(UNUSUAL[name](), "predict") is None


def test_nothing_is_imported_for_other_estimators() -> None:
    assert {path.partition(".")[0] for path in BUILDERS} == {"xgboost", "lightgbm"}
    assert all(build._PATHS[path.rpartition(".")[2]] == path for path in BUILDERS)
