"""From a request's tensors to an estimator's argument: an array, a data frame, a list of texts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from adapters.base import Array, InvalidInput, Tensors, TensorSpec
from adapters.datatypes import NUMPY_OF
from adapters.shared.categories import known as listing
from adapters.sklearn_.columns import Column, is_missing
from adapters.sklearn_.text_bounds import of_one_width

__all__ = ["Inputs", "Matrix", "Table", "Values", "as_trained"]

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
            spec.name: tensors[spec.name] if spec.any_type else tensors[spec.name].astype(spec.dtype, copy=False)
            for spec in self.specs()
            if spec.name in tensors
        }


@dataclass
class Values(Inputs):
    """One value a row: a text, a label; or an object or a list of JSON."""

    datatype: str
    seen: Sequence[Any] = ()
    as_list: bool = False
    kind: type | None = None  #: of JSON values: dict or list
    copies: bool = False
    nullable: bool = False
    columns: list[Column] = field(default_factory=list)

    def specs(self) -> tuple[TensorSpec, ...]:
        finite, json = self.datatype == "FP64", self.kind is not None
        return (TensorSpec(_NAME, self.datatype, (-1,), self.nullable, finite, json=json),)

    def rows(self, tensors: Tensors) -> Any:
        for index, value in enumerate(tensors[_NAME] if self.kind else ()):
            if not isinstance(value, self.kind or object):
                wanted = "an object of features by name" if self.kind is dict else "a list"
                raise InvalidInput(f"{_NAME}[{index}] is {type(value).__name__} {str(value)[:60]!r}: send {wanted}")
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
        self._text = all(column.kind == "U" for column in self.columns)

    @property
    def _retyped(self) -> list[Column]:
        """Columns that held another type in training than they come in."""
        return [column for column in self.columns if column.narrow]

    @property
    def _any_type(self) -> bool:
        return any(column.any_type for column in self.columns)

    @property
    def _datatype(self) -> str:
        """Of all columns; of any type, that of their example."""
        datatypes = {column.datatype for column in self.columns}
        return datatypes.pop() if len(datatypes) == 1 else "BYTES"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns) if self.named else ()

    def specs(self) -> tuple[TensorSpec, ...]:
        nullable = any(column.nullable for column in self.columns)
        finite = all(column.finite for column in self.columns)
        shape = (-1, len(self.columns))
        note = next((column.note for column in self.columns if column.note), "")
        return (TensorSpec(_NAME, self._datatype, shape, nullable, finite, any_type=self._any_type, note=note),)

    @property
    def uniform(self) -> bool:
        """Numbers, of which every column takes the same: what the signature checks is all there is to check."""
        alike = len({(column.nullable, column.finite) for column in self.columns}) == 1
        return self._datatype == "FP64" and alike and not self._any_type and not self._retyped

    def rows(self, tensors: Tensors) -> Any:
        rows = tensors[_NAME]
        if rows.dtype.kind == "O" and self._text:
            rows = of_one_width(rows)
        elif rows.dtype.kind == "O" or (self._retyped and not self.named):
            rows = as_trained(self.columns[0], rows)
        elif self.copies:
            rows = rows.copy()
        if self._names is None:
            return rows
        frame = self._frame(rows, columns=self._names)
        for column in self._retyped:
            frame[column.name] = as_trained(column, frame[column.name].to_numpy())
        return frame

    def example(self, fill: Sequence[float]) -> Tensors:
        values = [_two(column.seen or column.tried or fill, column.datatype) for column in self.columns]
        return {_NAME: np.stack(values, axis=1)}

    def with_value(self, tensors: Tensors, columns: Sequence[Column], value: float | None) -> Tensors:
        rows = _able_to_hold(tensors[_NAME], value)
        chosen = {id(column) for column in columns}
        rows[0, [id(column) in chosen for column in self.columns]] = value
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
            return self._categorical(column, column.categories, values.tolist())
        if values.dtype.kind == "O" or column.kind == "O" or column.narrow:
            return as_trained(column, values)
        return values.copy() if self.copies else values

    def _categorical(self, column: Column, known: list[Any], values: list[Any]) -> Any:
        """A category that training lacked stays one, for the model to refuse or to take as missing.

        Raises:
            InvalidInput: the model would do neither.
        """
        if all(isinstance(value, int) for value in known):  # whole numbers, sent as floats for the missing among them
            values = [int(value) if isinstance(value, float) and value.is_integer() else value for value in values]
        among = set(known)  # a list would be looked through for each of millions of values
        unseen = dict.fromkeys(value for value in values if value not in among and not is_missing(value))
        if unseen and column.strict:
            raise InvalidInput(f"{column.name}: {next(iter(unseen))!r} is not one of its categories; {listing(known)}")
        return self._pandas.Categorical(values, categories=[*known, *unseen])

    def example(self, fill: Sequence[float]) -> Tensors:
        return {
            column.name: _two(column.seen or column.tried or fill, column.datatype)
            for column in self.columns
            if column.used or column.declared
        }

    def with_value(self, tensors: Tensors, columns: Sequence[Column], value: float | None) -> Tensors:
        changed = dict(tensors)
        for column in columns:
            values = _able_to_hold(changed[column.name], value)
            values[0] = value
            changed[column.name] = values
        return changed


def _spec(column: Column) -> TensorSpec:
    if not column.used and not column.declared:  # what it held in training is not known
        return TensorSpec(column.name, "BYTES", (-1,), nullable=True, optional=True, unused=True)
    free = column.any_type
    return TensorSpec(
        column.name, column.datatype, (-1,), column.nullable, column.finite, any_type=free, note=column.note
    )


def _two(values: Sequence[Any], datatype: str) -> Array:
    two = np.empty(2, dtype=NUMPY_OF[datatype])
    two[:] = [*values, *values][:2]
    return two


def as_trained(column: Column, values: Array) -> Array:
    """Values of a column (or of an array of such columns) in the type that they had in training.

    Raises:
        InvalidInput: a text is no date.
    """
    if column.kind == "M":
        return _dates(column, values)
    if column.narrow and values.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what is too large is infinite, for the model to judge
            return values.astype(column.dtype)
    if column.kind == "O" and values.dtype.kind != "O":
        absent = np.isnan(values) if values.dtype.kind == "f" else np.zeros(values.shape, np.bool_)
        values = values.astype(np.object_)
        return np.where(absent, column.missing, values) if absent.any() else values
    absent = np.array([value is None for value in values.ravel()], dtype=np.bool_).reshape(values.shape)
    return np.where(absent, column.missing, values) if column.missing is not None and absent.any() else values


def _dates(column: Column, values: Array) -> Array:
    dates = np.empty(values.shape, column.dtype)
    for where, value in np.ndenumerate(values):
        try:
            dates[where] = np.datetime64("NaT" if value is None else value)
        except ValueError as error:
            raise InvalidInput(f"{column.name}: {value[:60]!r} is no date: send it as 2024-01-31T12:00:00") from error
    return dates


def _able_to_hold(values: Array, value: float | None) -> Array:
    """A copy that may hold the value, too."""
    if value is None:
        return values.astype(np.object_)
    return values.astype(np.float64 if values.dtype.kind in "iu" else values.dtype)
