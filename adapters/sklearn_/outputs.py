"""From an estimator's answers to tensors: labels, numbers, several outputs, sparse and data-frame answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from adapters.base import Array, Tensors

__all__ = ["label_dtype", "tensors_of"]


_MOST_LABELS = 1000


def tensors_of(answer: Any, labels: np.dtype[Any] | None = None, names: Sequence[str] = ()) -> Tensors:
    """An answer as `output-0`, `output-1`, ... (several where a model of several outputs gives a list of arrays).

    `names` are those of its parts, where they mean different things; `labels` is the type of labels that were trained
    on as objects; None for texts.
    """
    parts = answer if isinstance(answer, list | tuple) else [answer]
    if len(names) == len(parts):
        return {name: _array(part, labels) for name, part in zip(names, parts, strict=True)}
    return {f"output-{index}": _array(part, labels) for index, part in enumerate(parts)}


def label_dtype(model: Any) -> np.dtype[Any] | None:
    """The type of labels that were objects in training, where all are numbers; None for any other model."""
    classes = getattr(model, "classes_", None)
    if not isinstance(classes, np.ndarray) or classes.dtype.kind != "O":
        return None
    dtype = np.array(classes.tolist()).dtype
    return dtype if dtype.kind in "biuf" else None


def labels_of(model: Any) -> tuple[str, ...]:
    """What a classifier of one target calls its classes, as texts; () where there are none, or too many."""
    classes = getattr(model, "classes_", None)
    if not isinstance(classes, np.ndarray) or classes.ndim != 1 or len(classes) > _MOST_LABELS:
        return ()
    return tuple(str(label) for label in classes.tolist())


def _array(part: Any, labels: np.dtype[Any] | None) -> Array:
    if hasattr(part, "toarray"):
        part = part.toarray()
    elif hasattr(part, "to_numpy"):
        part = part.to_numpy()
    array = np.asarray(part)
    kind = array.dtype.kind
    if kind == "O" and labels is not None:
        return array.astype(labels)
    if kind in "OUSMm":
        return _values(array)
    if kind == "f" and array.dtype.itemsize > 8:
        return array.astype(np.float64)
    return np.ascontiguousarray(array)


def _values(array: Array) -> Array:
    """Texts, and beside them in the same array numbers as they are: V1 shows them so, V2 as JSON has them."""
    values = np.empty(array.shape, dtype=np.object_)
    values[...] = np.array([*map(_value, array.ravel()), None], dtype=np.object_)[:-1].reshape(array.shape)
    return values


def _value(value: Any) -> Any:
    if isinstance(value, np.generic) and value.dtype.kind in "biufSU":
        value = value.item()
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
