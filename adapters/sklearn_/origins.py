"""Which column of a model's input each column of a transformer's output was made of.

Only where every output column depends on a single input column: scalers, encoders, selectors, and whatever pipelines,
unions and column transformers make of those. What a final step says of its columns then holds for the model's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from adapters.sklearn_.columns import is_a, is_missing

__all__ = ["origins"]

#: input column of each output column
Origins = list[int]

_SAME = (
    "Binarizer", "MaxAbsScaler", "MinMaxScaler", "OrdinalEncoder", "PowerTransformer", "QuantileTransformer",
    "RobustScaler", "StandardScaler",
)  # fmt: skip


def origins(transformer: Any, width: int) -> Origins | None:
    """For each output column of a fitted transformer the one input column (of `width`) that it depends on, or None."""
    if (
        transformer is None
        or (isinstance(transformer, str) and transformer == "passthrough")
        or is_a(transformer, *_SAME)
    ):
        return list(range(width))
    for name, find in _FINDERS.items():
        if is_a(transformer, name):
            return find(transformer, width)
    return None


def _function(transformer: Any, width: int) -> Origins | None:
    """A NumPy function of one argument looks at each value by itself."""
    function = transformer.func
    elementwise = function is None or (isinstance(function, np.ufunc) and function.nin == 1)
    return list(range(width)) if elementwise else None


def _one_hot(transformer: Any, width: int) -> Origins | None:
    return [column for column, size in enumerate(transformer._n_features_outs) for _ in range(size)]


def _imputer(transformer: Any, width: int) -> Origins | None:
    """A column without a value in training is dropped; indicators of missing values are columns of their own."""
    if transformer.add_indicator:
        return None
    kept = [not is_missing(value) or transformer.keep_empty_features for value in transformer.statistics_.tolist()]
    return [column for column in range(width) if kept[column]]


def _selector(transformer: Any, width: int) -> Origins | None:
    selected: Origins = transformer.get_support(indices=True).tolist()
    return selected


def _pipeline(transformer: Any, width: int) -> Origins | None:
    found = list(range(width))
    for _, step in transformer.steps:
        if hasattr(step, "fit_resample"):  # a sampler works in training alone
            continue
        own = origins(step, len(found))
        if own is None:
            return None
        found = [found[column] for column in own]
    return found


def _union(transformer: Any, width: int) -> Origins | None:
    found: Origins = []
    for _, part in transformer.transformer_list:
        own = [] if isinstance(part, str) and part == "drop" else origins(part, width)
        if own is None:
            return None
        found += own
    return found


def _column_transformer(transformer: Any, width: int) -> Origins | None:
    found: dict[int, int] = {}
    for name, part, _ in transformer.transformers_:
        place = transformer.output_indices_[name]
        chosen = list(transformer._transformer_to_input_indices[name])
        own = [] if place.start == place.stop else origins(part, len(chosen))
        if own is None or len(own) != place.stop - place.start:
            return None
        found.update(zip(range(place.start, place.stop), (chosen[column] for column in own), strict=True))
    return [found[column] for column in range(len(found))]


_FINDERS: dict[str, Callable[[Any, int], Origins | None]] = {
    "FunctionTransformer": _function,
    "OneHotEncoder": _one_hot,
    "SimpleImputer": _imputer,
    "SelectorMixin": _selector,
    "Pipeline": _pipeline,
    "FeatureUnion": _union,
    "ColumnTransformer": _column_transformer,
}
