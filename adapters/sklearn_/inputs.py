"""From a request's tensors to what an estimator was trained on: an array, a data frame, a list of texts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adapters.base import Array, LoadError, Tensors, TensorSpec
from adapters.datatypes import NUMPY_OF
from adapters.sklearn_.columns import Column, columns_of, first_to_look, is_a, is_missing

__all__ = ["Inputs", "Matrix", "Table", "Values", "inputs_of"]

_NAME = "input-0"  #: KServe's name for an input that has none


class Inputs(ABC):
    """What a model takes, as tensors and as it was trained on."""

    columns: list[Column]
    copies: bool  #: the model writes into what it is given

    @abstractmethod
    def specs(self) -> tuple[TensorSpec, ...]: ...

    @abstractmethod
    def rows(self, tensors: Tensors) -> Any:
        """The estimator's argument, of tensors that fit the specs."""

    @abstractmethod
    def example(self, fill: Sequence[float]) -> Tensors:
        """Two rows of values seen in training; `fill` where no number is known."""

    @abstractmethod
    def with_value(self, tensors: Tensors, columns: Sequence[Column], value: float | None) -> Tensors:
        """A copy in which the first row holds `value` in some columns."""

    def with_datatypes(self, tensors: Tensors) -> Tensors:
        """The tensors in the specs' datatypes, which may have changed since."""
        return {
            spec.name: tensors[spec.name].astype(spec.dtype, copy=False)
            for spec in self.specs()
            if spec.name in tensors
        }


@dataclass
class Values(Inputs):
    """One value a row: a text, a label."""

    datatype: str
    seen: Sequence[Any] = ()
    as_list: bool = False
    copies: bool = False
    columns: list[Column] = field(default_factory=list)

    def specs(self) -> tuple[TensorSpec, ...]:
        return (TensorSpec(_NAME, self.datatype, (-1,), finite=self.datatype == "FP64"),)

    def rows(self, tensors: Tensors) -> Any:
        return tensors[_NAME].tolist() if self.as_list else tensors[_NAME]

    def example(self, fill: Sequence[float]) -> Tensors:
        return {_NAME: _two(self.seen or fill, self.datatype)}

    def with_value(self, tensors: Tensors, columns: Sequence[Column], value: float | None) -> Tensors:
        raise NotImplementedError("it has no columns")


@dataclass
class Matrix(Inputs):
    """Rows of numbers, or all of texts; a data frame where the model knows its columns by name."""

    columns: list[Column]
    named: bool
    copies: bool = False

    def __post_init__(self) -> None:
        self._names = None
        if self.named:
            import pandas as pd

            self._frame, self._names = pd.DataFrame, pd.Index([column.name for column in self.columns])
        self._datatype = self.columns[0].datatype
        self._text = all(column.kind == "U" for column in self.columns)
        self._missing = self.columns[0].missing

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns) if self.named else ()

    def specs(self) -> tuple[TensorSpec, ...]:
        nullable = any(column.nullable for column in self.columns)
        finite = all(column.finite for column in self.columns)
        return (TensorSpec(_NAME, self._datatype, (-1, len(self.columns)), nullable, finite),)

    @property
    def uniform(self) -> bool:
        """Numbers, of which every column takes the same: what the signature checks is all there is to check."""
        return self._datatype == "FP64" and len({(column.nullable, column.finite) for column in self.columns}) == 1

    def rows(self, tensors: Tensors) -> Any:
        rows = tensors[_NAME]
        if rows.dtype.kind == "O":
            rows = rows.astype(np.str_) if self._text else _with_missing(rows, self._missing)
        elif self.copies:
            rows = rows.copy()
        return rows if self._names is None else self._frame(rows, columns=self._names)

    def example(self, fill: Sequence[float]) -> Tensors:
        return {_NAME: np.stack([_two(column.seen or fill, self._datatype) for column in self.columns], axis=1)}

    def with_value(self, tensors: Tensors, columns: Sequence[Column], value: float | None) -> Tensors:
        rows = tensors[_NAME].copy()
        rows[0, [self.columns.index(column) for column in columns]] = value
        return {_NAME: rows}


@dataclass
class Table(Inputs):
    """A tensor a column: a data frame, or an array of objects where the model knows no names."""

    columns: list[Column]
    named: bool
    copies: bool = False

    def __post_init__(self) -> None:
        if self.named:
            import pandas as pd

            self._pandas = pd

    def specs(self) -> tuple[TensorSpec, ...]:
        return tuple(_spec(column) for column in self.columns)

    def rows(self, tensors: Tensors) -> Any:
        if self.named:
            return self._pandas.DataFrame({c.name: self._column(c, tensors[c.name]) for c in self._given(tensors)})
        rows = np.full((len(next(iter(tensors.values()))), len(self.columns)), None, dtype=np.object_)
        for index, column in enumerate(self.columns):
            if column.name in tensors:
                rows[:, index] = self._column(column, tensors[column.name])
        return rows

    def _given(self, tensors: Tensors) -> list[Column]:
        return [column for column in self.columns if column.name in tensors]

    def _column(self, column: Column, values: Array) -> Any:
        if column.categories is not None:
            return self._categorical(column.categories, values.tolist())
        if values.dtype.kind == "O":
            return _with_missing(values, column.missing)
        return values.copy() if self.copies else values

    def _categorical(self, known: list[Any], values: list[Any]) -> Any:
        """A category that training lacked stays one, for the model to refuse or to take as missing."""
        if all(isinstance(value, int) for value in known):  # whole numbers, sent as floats for the missing among them
            values = [value if is_missing(value) or value % 1 else int(value) for value in values]
        unseen = dict.fromkeys(value for value in values if value not in known and not is_missing(value))
        return self._pandas.Categorical(values, categories=[*known, *unseen])

    def example(self, fill: Sequence[float]) -> Tensors:
        return {column.name: _two(column.seen or fill, column.datatype) for column in self.columns if column.used}

    def with_value(self, tensors: Tensors, columns: Sequence[Column], value: float | None) -> Tensors:
        changed = dict(tensors)
        for column in columns:
            values = changed[column.name]
            values = values.astype(np.float64 if values.dtype.kind in "iu" else values.dtype)
            values[0] = value
            changed[column.name] = values
        return changed


def inputs_of(model: Any) -> Inputs:
    """What a fitted estimator takes.

    Raises:
        LoadError: it does not say, or takes what no request can carry.
    """
    width = _fitted(model, "n_features_in_")
    if width is None:
        return _values_of(model)
    names = _fitted(model, "feature_names_in_")
    named = names is not None and list(names) != [f"Column_{index}" for index in range(width)]  # LightGBM's own
    columns = columns_of(model, list(names) if named else [f"input-{index}" for index in range(width)])
    used = [column for column in columns if column.used]
    kinds = {column.datatype for column in used}
    whole = len(used) == len(columns)
    if any(column.categories is not None for column in columns):
        return Table(columns, named=True)
    if kinds <= {"FP64", "INT64"} and (whole if named else not any(column.kind == "O" for column in columns)):
        for column in columns:
            column.datatype = "FP64"
        return Matrix(columns, named)
    if not named and kinds == {"BYTES"} and whole:
        return Matrix(columns, named)
    return Table(columns, named)


def _values_of(model: Any) -> Values:
    """The input of a model that takes one value a row."""
    first = list(first_to_look(model))
    if all(is_a(part, "CountVectorizer", "HashingVectorizer") for part in first):
        return Values("BYTES", ["some text", "another text"], as_list=True)
    if is_a(model, "LabelEncoder", "LabelBinarizer") and model.classes_.dtype.kind in "OUbiuf":
        datatypes = {"b": "BOOL", "f": "FP64", "i": "INT64", "u": "INT64"}
        return Values(datatypes.get(model.classes_.dtype.kind, "BYTES"), model.classes_.tolist())
    if is_a(model, "IsotonicRegression"):
        return Values("FP64", model.X_thresholds_.tolist())
    raise LoadError(f"holds a {type(first[0]).__name__}, which does not say what it takes")


def _fitted(model: Any, name: str) -> Any:
    """An attribute of a fitted model, or else of the part that sees its input first."""
    for part in (model, *first_to_look(model)):
        if (value := getattr(part, name, None)) is not None:
            return value
    return None


def _spec(column: Column) -> TensorSpec:
    if not column.used:  # what it held in training is not known
        return TensorSpec(column.name, "BYTES", (-1,), nullable=True, optional=True, unused=True)
    return TensorSpec(column.name, column.datatype, (-1,), column.nullable, column.finite)


def _two(values: Sequence[Any], datatype: str) -> Array:
    two = np.empty(2, dtype=NUMPY_OF[datatype])
    two[:] = [*values, *values][:2]
    return two


def _with_missing(values: Array, missing: Any) -> Array:
    """Texts in which None has become what stood for a missing value in training."""
    absent = np.array([value is None for value in values.ravel()], dtype=np.bool_).reshape(values.shape)
    return np.where(absent, missing, values) if missing is not None and absent.any() else values
