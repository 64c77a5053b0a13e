"""XGBoost's and LightGBM's scikit-learn classes: their boosters' C functions, and what the classes do to the answer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from adapters.base import Array
from adapters.lightgbm_.single_rows import SingleRows
from adapters.sklearn_.direct.plan import Builder, Kernel, Plan, chosen
from adapters.xgboost_.dense_rows import DenseRows

__all__ = ["BUILDERS"]


def _xgboost_raw(model: Any) -> Kernel | None:
    """`XGBModel.predict` of trees, where a missing value is NaN."""
    missing = model.missing
    nan = isinstance(missing, float) and math.isnan(missing)
    if not nan or model.booster not in (None, "gbtree") or callable(model.objective):
        return None
    booster, rounds = model.get_booster(), model._get_iteration_range(None)
    return DenseRows(
        booster,
        rounds[1],
        margin=False,
        ordinary=lambda rows: booster.inplace_predict(rows, iteration_range=rounds, validate_features=False),
    )


def _xgboost_regressor(model: Any, method: str) -> Plan | None:
    raw = _xgboost_raw(model)
    return chosen({"predict": raw}, method) if raw else None


def _xgboost_classifier(model: Any, method: str) -> Plan | None:
    """One probability of two classes, or one of each: where there are more outputs, or labels, it is out of the
    ordinary."""
    raw, count = _xgboost_raw(model), int(model.n_classes_)
    if raw is None or model.objective not in ("binary:logistic", "multi:softprob"):
        return None

    def predict(rows: Array) -> Array:
        found = raw(rows)
        labels: Array = np.argmax(found, axis=1) if found.ndim > 1 else (found > 0.5).astype(np.int64)
        return labels

    def predict_proba(rows: Array) -> Array:
        found = raw(rows)
        return found if found.ndim > 1 else np.vstack((1.0 - found, found)).transpose()

    return chosen({"predict": predict, "predict_proba": predict_proba}, method) if count > 1 else None


def _lightgbm_raw(model: Any) -> Kernel | None:
    """`LGBMModel.predict`, where no setting changes how a fitted model predicts (`pred_early_stop` and its like do)."""
    if any("pred" in name for name in model.get_params()) or callable(model.objective):
        return None
    booster = model.booster_
    return SingleRows(booster, raw_score=False, ordinary=lambda rows: booster.predict(rows, num_threads=1))


def _lightgbm_regressor(model: Any, method: str) -> Plan | None:
    raw = _lightgbm_raw(model)
    return chosen({"predict": raw}, method) if raw else None


def _lightgbm_classifier(model: Any, method: str) -> Plan | None:
    raw, classes = _lightgbm_raw(model), model.classes_
    if raw is None:
        return None

    def predict_proba(rows: Array) -> Array:
        found = raw(rows)
        return found if found.ndim > 1 else np.vstack((1.0 - found, found)).transpose()

    def predict(rows: Array) -> Array:
        labels: Array = classes.take(np.argmax(predict_proba(rows), axis=1))
        return labels

    return chosen({"predict": predict, "predict_proba": predict_proba}, method)


BUILDERS: dict[str, Builder] = {
    "xgboost.XGBClassifier": _xgboost_classifier,
    "xgboost.XGBRegressor": _xgboost_regressor,
    "xgboost.XGBRFClassifier": _xgboost_classifier,
    "xgboost.XGBRFRegressor": _xgboost_regressor,
    "lightgbm.LGBMClassifier": _lightgbm_classifier,
    "lightgbm.LGBMRegressor": _lightgbm_regressor,
    "lightgbm.LGBMRanker": _lightgbm_regressor,
}
