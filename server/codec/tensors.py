"""JSON values to arrays, and arrays to what a signature asks for. Every refusal names the field.

Two steps. `from_json` turns nested lists into an array of what was sent and guesses nothing: a string is never a
number, a ragged list is an error, `null` is a missing value where the spec is nullable. `fit` checks an array against
its spec and casts only where no value changes (an integral 3.0 is an INT64; 3.5 is not).
"""

from __future__ import annotations

import base64
import binascii
import difflib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from adapters.base import Array, TensorSpec
from server.errors import InvalidInput

_NUMERIC = frozenset("fiub")
_JSON_NUMBERS = (int, float)


def from_json(value: Any, spec: TensorSpec, field: str) -> Array:
    """The array that nested JSON lists hold; `field` is their name in the request, for messages.

    Raises:
        InvalidInput: ragged lists, a value of another type, `null` where the spec takes none.
    """
    if spec.datatype == "BYTES":
        return _strings(value, spec, field)
    try:
        array = np.array(value)
    except (ValueError, OverflowError):  # ragged, or an integer beyond 64 bits
        raise InvalidInput(_culprit(value, spec, field)) from None
    if array.dtype.kind in _NUMERIC:
        return array
    return _with_nulls(value, array, spec, field)


def fit(array: Array, spec: TensorSpec, field: str) -> Array:
    """The array as the model wants it: checked in type, shape and values, cast where no value changes.

    Raises:
        InvalidInput: it does not fit.
    """
    if (array.dtype.kind == "O") != (spec.datatype == "BYTES"):
        sent = "BYTES" if array.dtype.kind == "O" else f"numbers ({array.dtype})"
        raise InvalidInput(f"{field} takes {spec.datatype}, but {sent} was sent")
    if spec.shape == (-1, 1) and array.ndim == 1:
        array = array.reshape(-1, 1)  # a column of single values may come flat
    check_shape(array.shape, spec, field)
    if spec.datatype == "BYTES":
        return array
    if array.dtype != spec.dtype:
        array = _cast(array, spec, field)
    if spec.finite:
        _check_finite(array, spec, field)
    return array


def check_shape(shape: tuple[int, ...], spec: TensorSpec, field: str) -> None:
    """Raise InvalidInput unless the shape agrees with the spec's (-1 is any size)."""
    want = spec.shape
    if len(shape) == len(want) and all(w in (-1, s) for w, s in zip(want, shape, strict=True)):
        return
    if len(shape) == len(want) == 2 and want[0] == -1:
        raise InvalidInput(f"{field}: each row holds {shape[1]} values, the model takes {want[1]}")
    raise InvalidInput(f"{field} has shape {list(shape)}, the model takes {list(want)}")


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: the nearest known one, or all of them (the first ten)."""
    names = list(known)
    if near := difflib.get_close_matches(name, names, n=1):
        return f"did you mean {near[0]!r}?"
    shown = ", ".join(repr(n) for n in names[:10])
    return f"known: {shown}{f' and {len(names) - 10} more' if len(names) > 10 else ''}"


def _cast(array: Array, spec: TensorSpec, field: str) -> Array:
    with np.errstate(all="ignore"):  # the comparison below finds what a warning would tell
        cast = array.astype(spec.dtype)
        if spec.dtype.kind == "f":
            lost = ~np.isfinite(cast) & np.isfinite(array) if cast.dtype.itemsize < array.dtype.itemsize else None
        else:
            lost = cast.astype(array.dtype) != array
            if array.dtype.kind in "iu" and spec.dtype.kind in "iu":  # -1 and 2**64-1 share their bits
                lost |= (array < 0) != (cast < 0)
    if lost is not None and lost.any():
        where = tuple(int(i) for i in np.argwhere(lost)[0])
        raise InvalidInput(f"{_at(field, where)} is {array[where]}, which is not a valid {spec.datatype}")
    return cast


def _check_finite(array: Array, spec: TensorSpec, field: str) -> None:
    if spec.dtype.kind != "f":
        return
    bad = np.isinf(array) if spec.nullable else ~np.isfinite(array)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        what = "a missing value (NaN)" if np.isnan(array[where]) else "infinite"
        raise InvalidInput(f"{_at(field, where)} is {what}, which the model does not take")


def _with_nulls(value: Any, array: Array, spec: TensorSpec, field: str) -> Array:
    """Numbers mixed with null, or something that is no number: decided by each value's own type."""
    nullable = spec.nullable and spec.dtype.kind == "f"
    if array.dtype.kind == "O" and all(isinstance(v, _JSON_NUMBERS) or (v is None and nullable) for v in array.flat):
        return array.astype(np.float64)
    raise InvalidInput(_culprit(value, spec, field))


def _strings(value: Any, spec: TensorSpec, field: str) -> Array:
    shape = _shape_of(value, len(spec.shape))
    leaves = list(_leaves(value, (), len(shape)))
    flat = np.empty(len(leaves), dtype=np.object_)
    for i, (where, leaf) in enumerate(leaves):
        flat[i] = _string(leaf, spec, field, where)
    try:
        return flat.reshape(shape)
    except ValueError:
        raise InvalidInput(_culprit(value, spec, field)) from None


def _string(leaf: Any, spec: TensorSpec, field: str, where: tuple[int, ...]) -> str | bytes | None:
    if type(leaf) is str:
        return leaf.encode() if spec.binary else leaf
    if leaf is None and spec.nullable:
        return None
    if isinstance(leaf, dict) and leaf.keys() == {"b64"} and isinstance(leaf["b64"], str):
        try:
            raw = base64.b64decode(leaf["b64"], validate=True)
            return raw if spec.binary else raw.decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise InvalidInput(f"{_at(field, where)}: b64 does not decode: {error}") from error
    raise InvalidInput(f"{_at(field, where)} is {_name(leaf)}, the model takes a string")


def _shape_of(value: Any, rank: int) -> tuple[int, ...]:
    """The shape along the first elements, at most `rank` deep."""
    shape: list[int] = []
    while isinstance(value, list) and len(shape) < rank:
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(shape)


def _leaves(value: Any, where: tuple[int, ...], depth: int) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Every element below `depth` levels of lists (all levels when negative), with its indexes."""
    if isinstance(value, list) and depth != 0:
        for i, item in enumerate(value):
            yield from _leaves(item, (*where, i), depth - 1)
    else:
        yield where, value


def _culprit(value: Any, spec: TensorSpec, field: str) -> str:
    """Why nested lists are not an array of the spec: the first value of another type, else the first ragged row."""
    for where, leaf in _leaves(value, (), -1):
        if spec.datatype == "BYTES":
            wrong = not isinstance(leaf, str)
        else:
            wrong = not isinstance(leaf, _JSON_NUMBERS) and not (leaf is None and spec.nullable)
        if leaf is None and wrong:
            return f"{_at(field, where)} is null, and the model takes no missing values"
        if wrong:
            return f"{_at(field, where)} is {_name(leaf)}, the model takes {spec.datatype}"
        if isinstance(leaf, int) and not -(2**63) <= leaf < 2**64:
            return f"{_at(field, where)} is {leaf}, which is not a valid {spec.datatype}"
    return f"{field} is ragged: {_ragged(value)}"


def _ragged(value: Any) -> str:
    """Which rows differ, at the outermost level where they do."""
    level = [item for item in value if isinstance(item, list)] if isinstance(value, list) else []
    if isinstance(value, list) and len(level) != len(value):
        return "lists and single values are mixed"
    for i, row in enumerate(level):
        if len(row) != len(level[0]):
            return f"row 0 holds {len(level[0])} values but row {i} holds {len(row)}"
    return _ragged([item for row in level for item in row]) if level else "its rows differ in length"


def _at(field: str, where: tuple[int, ...]) -> str:
    return field + "".join(f"[{i}]" for i in where)


def _name(value: Any) -> str:
    """A JSON value in a message: short, with its type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the string {value[:40]!r}{'…' if len(value) > 40 else ''}"
    if isinstance(value, dict):
        return "an object"
    return "a list" if isinstance(value, list) else repr(value)
