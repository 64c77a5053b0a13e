"""What made an estimator's raw output: a linear model's terms, XGBoost's and LightGBM's own exact contributions.

A pipeline that ends in such an estimator explains too where each column that the last step sees was made of one column
of the model's input: the contributions of what a column was made into are added up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from adapters.base import Array, Tensors, TensorSpec
from adapters.shared import explanations
from adapters.shared.arrays import specs_of
from adapters.sklearn_.asked import reason
from adapters.sklearn_.columns import is_a
from adapters.sklearn_.origins import origins

__all__ = ["Alike", "Explainer", "explainer_of", "proved"]

logger = logging.getLogger(__name__)

_LINEAR = ("LinearModel", "LinearClassifierMixin", "BaseSGDRegressor", "_GeneralizedLinearRegressor")

#: what the last step of a model takes -> contributions and base values, and -> the output that they add up to
Explain: TypeAlias = Callable[[Any], Tensors]
Raw: TypeAlias = Callable[[Any], Array]
#: a transformer and its method -> what gives the same answers in less time, if something does
Path: TypeAlias = Callable[[Any, str], Callable[[Any], Any] | None]


class Alike(NamedTuple):
    """What explaining another model of the same kind has shown."""

    specs: tuple[TensorSpec, ...]
    path: Path  #: of this one's own transformers


@dataclass(frozen=True)
class Explainer:
    """How one model is explained."""

    explain_last: Explain
    raw_of_last: Raw
    before: tuple[Any, ...] = ()  #: the transformers that come before the last step
    origins: tuple[int, ...] = ()  #: the input column of each column that the last step sees
    width: int = 0  #: columns of the model's input
    specs: tuple[TensorSpec, ...] = ()
    one_formula: bool = False  #: it adds up for every estimator of one kind (`direct.kinds`), whatever its numbers

    def explain(self, rows: Any) -> Tensors:
        """Contributions and base values for what the estimator's `predict` takes."""
        return self._explained(self._last(rows))

    def proved(self, rows: Callable[[], Any], alike: Alike | None = None) -> Explainer | None:
        """With its specs, once it has explained these rows and its terms add up: its own, or those of one alike."""
        if alike and self.one_formula:
            explained = self._explained(self._last(rows(), alike.path))
            if specs_of(explained) == alike.specs and all(np.isfinite(array).all() for array in explained.values()):
                return replace(self, specs=alike.specs)
        last = cache(lambda: self._last(rows()))
        specs = explanations.proved(lambda: self._explained(last()), lambda: self.raw_of_last(last()))
        return replace(self, specs=specs) if specs else None

    def _explained(self, last: Any) -> Tensors:
        explained = self.explain_last(last)
        if not self.before:
            return explained
        return {**explained, "contributions": self._by_input(explained["contributions"])}

    def _last(self, rows: Any, path: Path | None = None) -> Any:
        for transformer in self.before:
            transform = (path and path(transformer, "transform")) or transformer.transform
            rows = transform(rows)
        return rows

    def _by_input(self, contributions: Array) -> Array:
        """The sums over the columns that each column of the input was made into; 0 where there are none."""
        by_origin = np.argsort(self.origins, kind="stable")
        columns, starts = np.unique(np.take(self.origins, by_origin), return_index=True)
        added = np.zeros((len(contributions), self.width, *contributions.shape[2:]), contributions.dtype)
        if len(columns):
            added[:, columns] = np.add.reduceat(contributions[:, by_origin], starts, axis=1)
        return added


def proved(
    model: Any,
    width: int,
    rows: Callable[[], Any],
    known: tuple[TensorSpec, ...] | None = None,
    alike: Alike | None = None,
) -> Explainer | None:
    """What explains a fitted model that takes `width` columns, and answers `rows`, if something does.

    A model that cannot be explained is served without. `known`: the specs, as they were proved elsewhere; `alike`:
    what was proved of another model of its kind.
    """
    if known == ():
        return None
    try:
        explainer = explainer_of(model, width, known or ())
        return explainer and (explainer if known else explainer.proved(rows, alike))
    except Exception as error:  # the parts of a model are not always what their class says
        logger.debug("a %s does not explain its predictions: %s", type(model).__name__, reason(error))
        return None


def explainer_of(model: Any, width: int, specs: tuple[TensorSpec, ...] = ()) -> Explainer | None:
    """The explainer of a fitted model that takes `width` columns, still to be proved where it has no specs, or None."""
    before: list[Any] = []
    made = list(range(width))
    while (inner := _inner(model)) is not None:
        for step in _transformers(model) if is_a(model, "Pipeline") else ():
            own = origins(step, len(made))
            if own is None:
                return None
            made = [made[column] for column in own]
            before.append(step)
        model = inner
    explainer = _own(model)
    return explainer and replace(explainer, before=tuple(before), origins=tuple(made), width=width, specs=specs)


def _transformers(pipeline: Any) -> list[Any]:
    """The steps before the last that rows pass; a sampler works in training alone."""
    return [
        step
        for _, step in pipeline.steps[:-1]
        if step is not None and not isinstance(step, str) and not hasattr(step, "fit_resample")
    ]


def _inner(model: Any) -> Any:
    """The estimator that answers in the model's place: a pipeline's last step, what a search has found."""
    if is_a(model, "Pipeline"):
        return model.steps[-1][1]
    if is_a(model, "FrozenEstimator"):
        return model.estimator
    return getattr(model, "best_estimator_", None)


def _own(estimator: Any) -> Explainer | None:
    """The explainer of an estimator that is no pipeline."""
    if is_a(estimator, "LGBMModel"):
        return _lightgbm(estimator)
    if is_a(estimator, "XGBModel"):
        return _xgboost(estimator)
    if is_a(estimator, "BaseLibSVM"):  # several classes are decided by votes, which are no sum
        linear = estimator.kernel == "linear" and estimator.coef_.shape[0] == 1
    else:
        linear = is_a(estimator, *_LINEAR) and hasattr(estimator, "coef_")
    return _linear(estimator) if linear else None


def _linear(estimator: Any) -> Explainer | None:
    weights = np.atleast_2d(_dense(estimator.coef_))
    base = np.full(len(weights), np.ravel(estimator.intercept_))

    def explain(rows: Any) -> Tensors:
        values = np.asarray(_dense(rows))
        if len(weights) == 1:
            return {"contributions": values * weights[0], "base_value": np.full(len(values), base[0])}
        return {"contributions": values[:, :, None] * weights.T, "base_value": np.tile(base, (len(values), 1))}

    def raw(rows: Any) -> Array:
        for name in ("decision_function", "_linear_predictor"):
            if hasattr(estimator, name):
                return _single(getattr(estimator, name)(rows))
        return _single(estimator.predict(rows))

    return Explainer(explain, raw, one_formula=type(estimator).__module__.startswith("sklearn."))


def _lightgbm(estimator: Any) -> Explainer:
    outputs = estimator.booster_.num_model_per_iteration()

    def explain(rows: Any) -> Tensors:
        return explanations.by_column(estimator.predict(_dense(rows), pred_contrib=True), outputs)

    return Explainer(explain, lambda rows: estimator.predict(rows, raw_score=True))


def _xgboost(estimator: Any) -> Explainer:
    import xgboost

    booster = estimator.get_booster()
    if estimator.booster in ("gblinear", "dart"):
        booster = booster.copy()  # explains beside predictions, which may not share these
    iterations = estimator._get_iteration_range(None)

    def explain(rows: Any) -> Tensors:
        matrix = xgboost.DMatrix(
            rows,
            missing=estimator.missing,
            nthread=1,
            feature_types=estimator.feature_types,
            enable_categorical=estimator.enable_categorical,
        )
        flat = booster.predict(matrix, pred_contribs=True, iteration_range=iterations)
        return explanations.by_column(flat, flat.shape[1] if flat.ndim == 3 else 1)

    return Explainer(explain, lambda rows: estimator.predict(rows, output_margin=True))


def _dense(values: Any) -> Any:
    """A sparse matrix as an array; a data frame of numbers stays one for LightGBM, which reads its categories."""
    return values.toarray() if hasattr(values, "toarray") else values


def _single(raw: Array) -> Array:
    """[rows, 1] as [rows]."""
    return raw[:, 0] if raw.ndim == 2 and raw.shape[1] == 1 else raw
