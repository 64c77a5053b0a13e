"""From tensors to what a `python_function` takes, and from what it gives to tensors."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from adapters.base import Array, InvalidInput, Tensors, TensorSpec
from adapters.mlflow_.schema import INPUT, OUTPUT, Schema
from adapters.shared.arrays import array_of

__all__ = ["argument_of", "tensors_of"]

#: how a date with a time ends that has a zone, too
_ZONE = re.compile(r":\d\d(\.\d+)?\s*(Z|UTC|GMT|[+-]\d\d(:?\d\d)?)$", re.IGNORECASE)


def argument_of(inputs: Tensors, schema: Schema) -> Any:
    """The data frame, array or arrays that the model takes.

    Raises:
        InvalidInput: a date is none.
    """
    if schema.form == "arrays":
        return dict(inputs)
    if schema.form == "array":
        return next(iter(inputs.values()))
    if schema.form == "anything":
        return _anything(inputs[INPUT].tolist())
    import pandas as pd

    given = [spec.name for spec in schema.signature.inputs if spec.name in inputs]
    columns = {name: _dates(name, inputs[name]) if name in schema.dates else inputs[name] for name in given}
    frame = pd.DataFrame({name: pd.Series(values) for name, values in columns.items()})
    if not schema.named:
        frame.columns = pd.RangeIndex(len(given))
    return frame


def _anything(values: list[Any]) -> Any:
    """As MLflow's own server takes them: objects are the rows of a data frame, all else is an array."""
    import pandas as pd

    if all(isinstance(value, dict) for value in values):
        return pd.DataFrame(values)
    try:
        return np.asarray(values)
    except ValueError:  # rows of different lengths
        return values


def _dates(name: str, values: Array) -> Any:
    import pandas as pd

    series = pd.Series(values)
    dates: Any = None
    for form in ("ISO8601", None):  # with a time and without, in one column; else whatever pandas reads
        with contextlib.suppress(ValueError, TypeError, OverflowError):
            dates = dates if dates is not None else pd.to_datetime(series, format=form, utc=True)
    if dates is None:
        raise InvalidInput(f"{name} holds what is no date: send ISO 8601, as in 2024-03-01T12:30:00")
    if any(isinstance(value, str) and _ZONE.search(value) for value in values):
        raise InvalidInput(f"{name} holds dates with a time zone, which MLflow's datetime lacks: send them without one")
    return dates.dt.tz_localize(None)


def tensors_of(answer: Any, specs: Sequence[TensorSpec]) -> Tensors:
    """An answer as tensors, under the names that the signature has for as many."""
    if hasattr(answer, "columns") and hasattr(answer, "dtypes"):  # a data frame
        found = {str(name): _array(answer[name]) for name in answer.columns}
    elif isinstance(answer, Mapping):
        found = {str(name): _array(values) for name, values in answer.items()}
    elif _are_records(answer, [spec.name for spec in specs]):
        found = {spec.name: _array([row[spec.name] for row in answer]) for spec in specs}
    else:
        found = {OUTPUT: _array(answer)}
    wanted = [spec.name for spec in specs] or ([OUTPUT] if list(found) == ["0"] else list(found))
    if len(wanted) == len(found) and found.keys() != set(wanted):
        return dict(zip(wanted, found.values(), strict=True))
    return found


def _are_records(answer: Any, names: Sequence[str]) -> bool:
    """Whether it is a list of objects that all have the signature's names, which are columns then."""
    is_list = isinstance(answer, list) and len(answer) > 0
    return is_list and all(isinstance(row, Mapping) and row.keys() == {*names} for row in answer)


def _array(values: Any) -> Array:
    """Numbers as they are; texts, dates and everything else as objects."""
    if hasattr(values, "toarray"):
        values = values.toarray()
    if hasattr(values, "to_numpy"):
        values = values.to_numpy()
    if isinstance(values, np.ndarray):
        array = values.reshape(1) if values.ndim == 0 else values
    elif isinstance(values, list | tuple):
        array = np.asarray(values) if _is_numeric(values) else array_of([_plain(value) for value in values])
    else:
        array = array_of([_plain(values)])
    if array.dtype.kind in "biuf" and array.dtype.itemsize <= 8:
        return np.ascontiguousarray(array)
    if array.dtype.kind == "f":
        return array.astype(np.float64)
    return array_of([_plain(value) for value in array.astype(np.object_).ravel()]).reshape(array.shape)


def _is_numeric(values: Sequence[Any]) -> bool:
    """Numbers, or rows of as many numbers each."""
    rows = values if values and all(isinstance(row, list | tuple) for row in values) else [values]
    one_width = len({len(row) for row in rows}) == 1
    return one_width and all(isinstance(value, bool | int | float | np.number) for row in rows for value in row)


def _plain(value: Any) -> Any:
    """A value of a data frame's cell, or of a list, as JSON has it."""
    if value is None or isinstance(value, str | bytes | bool | int | float):
        return value
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist()) if not isinstance(value, np.datetime64 | np.timedelta64) else str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if hasattr(value, "model_dump"):  # pydantic
        return _plain(value.model_dump())
    return float(value) if isinstance(value, decimal.Decimal) else str(value)
