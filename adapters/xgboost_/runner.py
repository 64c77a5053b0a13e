"""How a booster is asked: in the quickest way that gives its own bits, and with the trees that its class would use."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from functools import partial
from typing import Any

from adapters.base import Array, Tensors
from adapters.shared import explanations
from adapters.shared.native_calls import Predict
from adapters.xgboost_ import dense_rows

logger = logging.getLogger(__name__)

_DIGITS = 10  #: of a count of rounds; Python reads no number of thousands of digits


class Runner:
    """Calls the booster in the quickest way that gives the same bits as `Booster.predict` on a DMatrix.

    Rows are [n, features] of FP32.
    """

    def __init__(self, booster: Any, rounds: int, categories: Mapping[int, int] | None = None) -> None:
        """`rounds`: only the trees of so many rounds are used; 0: all. `categories`: column -> how many it knows."""
        self._booster = booster
        self._range = (0, rounds)
        learner = json.loads(booster.save_config())["learner"]
        self.kind: str = learner["gradient_booster"]["name"]
        self.objective: str = learner["objective"]["name"]
        # dart's in-place predictions differ in their last bits, and gblinear has none
        self._in_place = self.kind == "gbtree"
        #: XGBoost's documentation promises lock-free prediction for trees, not for gblinear; dart's history is mixed
        self.thread_safe = self._in_place
        self._explainer = booster if self.thread_safe else booster.copy()  # explains beside predictions
        self.methods = ("predict", "margin") if self.kind == "gblinear" else ("predict", "margin", "leaf")
        #: methods that go past XGBoost's Python
        self.quick: dict[str, Predict] = {}
        if self._in_place:
            self.quick = {
                method: dense_rows.proved(
                    booster,
                    rounds,
                    margin=method == "margin",
                    ordinary=partial(self._ordinary, method=method),
                    categories=categories,
                )
                for method in ("predict", "margin")
            }

    def __call__(self, rows: Array, method: str) -> Array:
        """What the method, one of `methods`, answers."""
        quick = self.quick.get(method)
        return quick(rows) if quick else self._ordinary(rows, method)

    def _ordinary(self, rows: Array, method: str) -> Array:
        answer: Array
        if self._in_place and method != "leaf":
            kind = "margin" if method == "margin" else "value"
            answer = self._booster.inplace_predict(
                rows, iteration_range=self._range, predict_type=kind, validate_features=False
            )
        else:
            import xgboost

            matrix = xgboost.DMatrix(rows, nthread=1)
            flags = {"output_margin": method == "margin", "pred_leaf": method == "leaf"}
            answer = self._booster.predict(matrix, iteration_range=self._range, validate_features=False, **flags)
        return answer

    def explain(self, rows: Array) -> Tensors:
        """XGBoost's exact SHAP contributions to the margin."""
        import xgboost

        matrix = xgboost.DMatrix(rows, nthread=1)
        flat = self._explainer.predict(matrix, pred_contribs=True, iteration_range=self._range, validate_features=False)
        return explanations.by_column(flat, flat.shape[1] if flat.ndim == 3 else 1)


def used_rounds(booster: Any, file: str, wanted: str | None) -> int:
    """The rounds whose trees answer, 0 for all: those that the class which saved the file would use.

    XGBoost's scikit-learn classes leave an attribute of that name, and follow `best_iteration`; a `Booster` keeps it
    as a note.
    """
    best, rounds = _attribute(booster, "best_iteration"), booster.num_boosted_rounds()
    kind = json.loads(booster.save_config())["learner"]["gradient_booster"]["name"]
    if kind == "gblinear" or best is None or not best.isdecimal() or len(best) > _DIGITS or int(best) + 1 >= rounds:
        return 0
    by_class = _attribute(booster, "scikit_learn") is not None
    follows = wanted == "best" or (wanted is None and by_class)
    used = "the trees after it are not used" if follows else "all trees are used, as Booster.predict does"
    told = "%s: early stopping found round %s of %d the best: %s; options.trees (best, all) chooses"
    logger.info(told, file, best, rounds, used)
    return int(best) + 1 if follows else 0


def _attribute(booster: Any, name: str) -> str | None:
    try:
        value: str | None = booster.attr(name)
    except AssertionError:  # XGBoost's reader does not expect an empty one
        return None
    return value
