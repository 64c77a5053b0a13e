"""What a fitted estimator takes in each of its columns: numbers, text, or the categories that it was trained on.

The estimator itself tells, if one follows a column to the first transformer or model that looks at its values, through
pipelines, column transformers and models that hold other models.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adapters.base import LoadError

__all__ = ["Column", "columns_of", "first_to_look", "is_a", "is_missing"]


@dataclass
class Column:
    """One column of the data that a model was trained on."""

    name: str
    datatype: str = "FP64"
    seen: list[Any] = field(default_factory=list)  #: values that it held in training, up to two
    missing: Any = math.nan  #: what stood for a missing value in training: None or NaN
    categories: list[Any] | None = None  #: those of a pandas categorical column, in their order
    kind: str = ""  #: numpy's kind of the categories, where an encoder looks at it
    used: bool = False  #: something looks at it
    group: str = ""  #: columns of one group are treated alike
    nullable: bool = False
    finite: bool = False


def columns_of(model: Any, names: Sequence[str]) -> list[Column]:
    """The columns of a fitted model, in its order.

    Raises:
        LoadError: a column holds what no request can carry.
    """
    columns = [Column(str(name)) for name in names]
    _follow(model, columns)
    return columns


def first_to_look(model: Any) -> Iterator[Any]:
    """The parts of a model that see its input as it came: of a pipeline its first step, of a union every part."""
    inner = [step for step in _steps(model) if not _passes_on(step)][:1] or children(model)
    if not inner:
        yield model
    for part in inner:
        yield from first_to_look(part)


def children(model: Any) -> list[Any]:
    """The fitted models that a model hands its own input to; of many alike, the first."""
    own = _own(model)
    if "transformer_list" in own:
        return [part for _, part in own["transformer_list"] if not isinstance(part, str)]
    for name in ("best_estimator_", "estimator_", "regressor_"):
        if name in own:
            return [own[name]]
    if is_a(model, "FrozenEstimator"):
        return [own["estimator"]]
    if calibrated := own.get("calibrated_classifiers_"):
        return [calibrated[0].estimator]
    fitted = own.get("estimators_")
    if not isinstance(fitted, list | tuple) or is_a(model, "BaseBagging"):
        return []
    models = [child for child in fitted if not isinstance(child, str)]
    return models if "estimators" in own else models[:1]


def is_a(model: Any, *names: str) -> bool:
    """Whether the model's class, or one that it derives from, has one of these names."""
    return any(cls.__name__ in names for cls in type(model).__mro__)


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN or pandas' NA."""
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value))


def _follow(model: Any, columns: list[Column]) -> None:
    """Note what the model tells of columns that it gets as they came."""
    if isinstance(model, str) and model == "drop":
        return
    indices = _own(model).get("_transformer_to_input_indices")  # of a column transformer
    followers = [child for child in children(model) if getattr(child, "n_features_in_", None) == len(columns)]
    if indices is not None:
        _follow_groups(model, indices, columns)
    elif steps := _steps(model):
        _follow_steps(steps, columns)
    elif followers:
        for child in followers:
            _follow(child, columns)
    else:
        for column in columns:
            column.used = True
        _note(model, columns)


def _follow_steps(steps: list[Any], columns: list[Column]) -> None:
    """A pipeline's first step sees the columns, and the next one too where the first changes no more than values."""
    for step in steps:
        if not hasattr(step, "fit_resample"):
            _follow(step, columns)
        if not _passes_on(step):
            return


def _follow_groups(model: Any, indices: Mapping[str, Sequence[int]], columns: list[Column]) -> None:
    for name, transformer, _ in model.transformers_:
        chosen = [columns[index] for index in indices.get(name, ())]
        for column in chosen:
            column.group += f"/{name}"
        _follow(transformer, chosen)


def _note(model: Any, columns: list[Column]) -> None:
    """What this very model tells of its columns."""
    own = _own(model)
    if is_a(model, "CountVectorizer", "HashingVectorizer"):
        for column in columns:
            column.datatype, column.seen = "BYTES", ["some text", "another text"]
    elif len(own.get("categories_", ())) == len(columns):
        for column, values in zip(columns, own["categories_"], strict=True):
            _note_categories(column, values)
    elif is_a(model, "SimpleImputer"):
        _note_imputer(model, columns)
    elif own.get("_preprocessor") is not None:  # histogram boosting's, for its categories
        _follow(own["_preprocessor"], columns)
    elif is_a(model, "LGBMModel"):
        _note_lightgbm(model, columns)
    elif is_a(model, "XGBModel"):
        _note_xgboost(model, columns)
    else:
        _note_rows(own, columns)


def _note_categories(column: Column, values: Any) -> None:
    """An encoder's categories: their type is the column's, and the missing value among them stands for all."""
    known = [value for value in values.tolist() if not is_missing(value)]
    if len(known) < len(values):
        column.missing = None if any(value is None for value in values.tolist()) else math.nan
    kinds = {type(value) for value in known}
    if not kinds <= {str, bool, int, float}:
        strange = next(kind for kind in kinds if kind not in (str, bool, int, float)).__name__
        raise LoadError(f"has categories of type {strange} in the column {column.name!r}, which no request can carry")
    if str in kinds:
        column.datatype = "BYTES"
    elif kinds == {bool}:
        column.datatype = "BOOL"
    else:
        column.datatype = "INT64" if kinds == {int} else "FP64"
    column.seen = known[:2]
    column.kind = values.dtype.kind
    column.group += f"/{column.name}"


def _note_imputer(model: Any, columns: list[Column]) -> None:
    of_objects = model._fit_dtype.kind in "OUS"
    for column, value in zip(columns, model.statistics_.tolist(), strict=True):
        if of_objects and (isinstance(value, str) or is_missing(value)):
            column.datatype = "BYTES"
            column.missing = None if model.missing_values is None else math.nan
        column.seen = [] if is_missing(value) else [value]


def _note_lightgbm(model: Any, columns: list[Column]) -> None:
    categories = model.booster_.pandas_categorical or []
    indices = model.booster_.params.get("categorical_column") or []
    if len(categories) > len(indices):
        raise LoadError("holds pandas' categories, but not whose they are")
    for index, values in zip(indices, categories, strict=False):
        _note_frame_categories(columns[index], values)


def _note_xgboost(model: Any, columns: list[Column]) -> None:
    booster = model.get_booster()
    if "c" in (booster.feature_types or ()):
        from adapters.xgboost_ import format as model_format

        document = model_format.read(bytes(booster.save_raw("ubj")))
        for index, values in model_format.categories(document).items():
            _note_frame_categories(columns[index], values)


def _note_frame_categories(column: Column, values: Sequence[Any]) -> None:
    _note_categories(column, np.array(list(values), dtype=np.object_))
    column.categories = list(values)


def _note_rows(own: Mapping[str, Any], columns: list[Column]) -> None:
    """Rows of the training data, where a model keeps some."""
    for name in ("_fit_X", "X_train_", "X_fit_", "support_vectors_"):
        rows = own.get(name)
        if isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.shape[1] == len(columns) and rows.dtype.kind == "f":
            for column, values in zip(columns, rows[:2].T.tolist(), strict=True):
                column.seen = values


def _steps(model: Any) -> list[Any]:
    """A pipeline's steps."""
    steps = _own(model).get("steps")
    return [step for _, step in steps] if isinstance(steps, list) else []


def _passes_on(step: Any) -> bool:
    """Whether what follows a step sees its columns, the same ones in the same order."""
    if step is None or isinstance(step, str) or hasattr(step, "fit_resample"):  # a sampler works in training alone
        return True
    if is_a(step, "SimpleImputer"):
        dropped = any(is_missing(value) for value in step.statistics_.tolist()) and not step.keep_empty_features
        return not step.add_indicator and not dropped
    return is_a(step, "FunctionTransformer") and step.func is None


def _own(model: Any) -> Mapping[str, Any]:
    return getattr(model, "__dict__", {})
