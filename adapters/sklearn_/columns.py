"""What a fitted estimator takes in each of its columns: numbers, text, or the categories that it was trained on.

The estimator itself tells, if one follows a column to the first transformer or model that looks at its values, through
pipelines, column transformers and models that hold other models.
"""

from __future__ import annotations

import datetime
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from adapters.base import LoadError

__all__ = ["Column", "columns_of", "first_to_look", "is_a", "is_missing", "lineage"]

log = logging.getLogger(__name__)

#: from here on, neighbouring whole numbers share a float64
_EXACT = 2**53
#: libraries whose estimators take numbers, but for those that say otherwise
_NUMERIC = ("sklearn", "imblearn", "xgboost", "lightgbm", "catboost")
#: scikit-learn's estimators that take whatever comes: they ignore it, or only ask whether it is missing
_INDIFFERENT = ("DummyClassifier", "DummyRegressor", "MissingIndicator")


@dataclass
class Column:
    """One column of the data that a model was trained on."""

    name: str
    datatype: str = ""  #: "": nothing that looks at it says what it takes
    seen: list[Any] = field(default_factory=list)  #: values that it held in training, up to two
    missing: Any = math.nan  #: what stood for a missing value in training: None or NaN
    categories: list[Any] | None = None  #: those of a pandas categorical column, in their order
    dtype: np.dtype[Any] | None = None  #: numpy's type of the categories, where an encoder looks at it
    used: bool = False  #: something looks at it
    group: str = ""  #: columns of one group are treated alike
    nullable: bool = False
    finite: bool = False
    wide: bool = False  #: it held whole numbers that no float64 tells from their neighbours
    any_type: bool = False  #: values come as they are sent
    tried: Sequence[Any] = ()  #: two values made up for it, where nothing says what it takes
    strict: bool = False  #: of the categories: another one is refused, for the model would take it for one of them
    declared: bool = False  #: its datatype is what the model's folder says
    note: str = ""  #: what to know of what it takes, for refusals

    @property
    def kind(self) -> str:
        """numpy's kind of the categories; "" where no encoder looks at it."""
        return self.dtype.kind if self.dtype is not None else ""

    @property
    def narrow(self) -> bool:
        """Whether it held floats of fewer digits than a request's: 0.1 is another number there."""
        return self.dtype is not None and self.dtype.kind == "f" and self.dtype.itemsize < 8


def columns_of(model: Any, names: Sequence[str]) -> list[Column]:
    """The columns of a fitted model, in its order.

    Raises:
        LoadError: a column holds what no request can carry.
    """
    columns = [Column(str(name)) for name in names]
    _follow(model, columns)
    for column in columns:
        column.any_type |= column.used and not column.datatype
        column.datatype = column.datatype or "FP64"
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
    cls: Any = type(model)
    return not lineage(cls).isdisjoint(names)


@lru_cache(maxsize=1024)  # every part of every model is asked about several times
def lineage(cls: type) -> frozenset[str]:
    """The names of a class and of those that it derives from."""
    return frozenset(base.__name__ for base in cls.__mro__)


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN or pandas' NA."""
    return value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and math.isnan(value))


def _follow(model: Any, columns: list[Column]) -> list[Column] | None:
    """Note what the model tells of columns that it gets as they came.

    Returns its answer's columns, as far as they are the same ones (others are new); None where that is not known.
    """
    if isinstance(model, str) or model is None:  # a part of a column transformer, or of a pipeline
        for column in columns if model != "drop" else ():
            column.used = True
        return [] if model == "drop" else columns
    indices = _own(model).get("_transformer_to_input_indices")  # of a column transformer
    followers = [child for child in children(model) if getattr(child, "n_features_in_", None) == len(columns)]
    if indices is not None:
        return _follow_groups(model, indices, columns)
    if steps := _steps(model):
        return _follow_steps(steps, columns)
    if "estimators_features_" in _own(model):  # bagging's, each with columns of its own
        for child, features in zip(model.estimators_, model.estimators_features_, strict=True):
            _follow(child, [columns[index] for index in features])
    elif followers:
        for child in followers:
            _follow(child, columns)
    else:
        for column in columns:
            column.used = True
        _note(model, columns)
    return columns if _passes_on(model) else None


def _follow_steps(steps: list[Any], columns: list[Column]) -> list[Column] | None:
    """A pipeline's first step sees the columns, and each next one those that came through it."""
    for step in steps:
        passed = columns if hasattr(step, "fit_resample") else _follow(step, columns)
        if passed is None:
            return None
        columns = passed
    return columns


def _follow_groups(model: Any, indices: Mapping[str, Sequence[int]], columns: list[Column]) -> list[Column] | None:
    passed: list[Column] | None = []
    for name, transformer, _ in model.transformers_:
        chosen = [columns[index] for index in indices.get(name, ())]
        for column in chosen:
            column.group += f"/{name}"
        through = _follow(transformer, chosen) if chosen else []
        if through is None:
            place = _own(model).get("output_indices_", {}).get(name)
            through = None if place is None else [Column("") for _ in range(place.stop - place.start)]
        passed = None if passed is None or through is None else [*passed, *through]
    return passed


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
    elif _takes_numbers(model):
        for column in columns:
            column.datatype = column.datatype or "FP64"
        if is_a(model, "LGBMModel"):
            _note_lightgbm(model, columns)
        elif is_a(model, "XGBModel"):
            _note_xgboost(model, columns)
        else:
            _note_rows(own, columns)


def _takes_numbers(model: Any) -> bool:
    """Whether it is known to: what a function, or another library's class, makes of its input nobody can say."""
    if is_a(model, "FunctionTransformer"):
        function, validates = model.func, model.validate
        ours = type(function).__name__ in ("ufunc", "partial")  # a partial of check_array: the policy allows no other
        return validates or ours or str(getattr(function, "__module__", "")).startswith("numpy")
    return type(model).__module__.split(".")[0] in _NUMERIC and not is_a(model, *_INDIFFERENT)


def _note_categories(column: Column, values: Any) -> None:
    """An encoder's categories: their type is the column's, and the missing value among them stands for all."""
    if not column.name:  # made on the way: no request holds it
        return
    known = [value for value in values.tolist() if not is_missing(value)]
    if len(known) < len(values):
        column.missing = None if any(value is None for value in values.tolist()) else math.nan
    kinds = {type(value) for value in known}
    column.dtype = values.dtype
    column.group += f"/{column.name}"
    if values.dtype.kind == "M":
        column.datatype, column.seen = "BYTES", np.datetime_as_string(values[~np.isnat(values)][:2]).tolist()
        return
    if not kinds <= {str, bool, int, float} or values.dtype.kind == "m":
        strange = next((kind for kind in kinds if kind not in (str, bool, int, float)), datetime.timedelta).__name__
        raise LoadError(f"has categories of type {strange} in the column {column.name!r}, which no request can carry")
    if str in kinds:
        column.datatype = "BYTES"
    elif kinds == {bool}:
        column.datatype = "BOOL"
    else:
        unsigned = max(known, default=0) > np.iinfo(np.int64).max
        column.datatype = ("UINT64" if unsigned else "INT64") if kinds == {int} else "FP64"
        column.wide = any(type(value) is int and abs(value) >= _EXACT for value in known)
    # an object column may hold numbers of several types, and missing ones that no number stands for
    column.any_type = values.dtype.kind == "O" and str not in kinds
    column.seen = known[:2]


def _note_imputer(model: Any, columns: list[Column]) -> None:
    of_objects = model._fit_dtype.kind in "OUS"
    for column, value in zip(columns, model.statistics_.tolist(), strict=True):
        if of_objects:  # numbers among objects, or nothing but missing values: whatever is sent
            column.missing = None if model.missing_values is None else math.nan
            column.datatype = "BYTES" if isinstance(value, str) else column.datatype
        else:
            column.datatype = column.datatype or "FP64"
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

        known = model_format.categories(model_format.read(bytes(booster.save_raw("ubj"))))
        if not known:
            note = model_format.no_names(booster.feature_types, booster.feature_names)
            log.warning("%s: %s", type(model).__name__, note)
            for column in columns:
                column.note = note
        for index, values in known.items():
            _note_frame_categories(columns[index], values)
            columns[index].strict = True  # XGBoost's search does not compare what it finds


def _note_frame_categories(column: Column, values: Sequence[Any]) -> None:
    _note_categories(column, np.array(list(values), dtype=np.object_))
    column.categories, column.any_type, column.dtype = list(values), column.wide, None


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
