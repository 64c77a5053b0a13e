"""JSON values to arrays, and arrays to what a signature asks for. Every refusal names the field.

Two steps. `from_json` turns nested lists into an array of what was sent and guesses nothing: a string is never a
number, a ragged list is an error, `null` is a missing value where the spec is nullable. `fit` checks an array against
its spec and casts only where no value changes (an integral 3.0 is an INT64; 3.5 is not).
"""

from __future__ import annotations

import base64
from array import array as NumberArray
from collections.abc import Iterator, Mapping, Sized
from dataclasses import replace
from itertools import chain
from types import NoneType
from typing import Any

import numpy as np

from adapters.base import Array, TensorSpec
from adapters.datatypes import datatype_of
from server.codec import any_values, json_values
from server.codec.error_text import at, described, shown
from server.errors import InvalidInput

#: dimensions of a tensor; numpy iterates over no more
MAX_RANK = 32

_NUMBERS = frozenset({int, float, bool})


def from_json(value: Any, spec: TensorSpec, field: str) -> Array:
    """The array that nested JSON lists hold; `field` is their name in the request, for messages.

    What `fast.json_arrays` has read is one already.

    Raises:
        InvalidInput: ragged lists, a value of another type, `null` where the spec takes none.
    """
    if isinstance(value, np.ndarray):
        return value
    if spec.json:
        return json_values.from_values(value, field)
    if spec.any_type:
        return any_values.from_json(value, len(spec.shape), field)
    if spec.dtype.kind == "f" and (floats := _floats(value, len(spec.shape))) is not None:
        return floats
    # Never without a dtype: one long string among numbers would make numpy reserve its length for every element.
    array: Array = np.array(value, dtype=np.object_)
    if array.ndim > MAX_RANK:
        raise InvalidInput(f"{field} is nested more than {MAX_RANK} lists deep")
    kinds = set(map(type, array.flat))
    if spec.datatype == "BYTES":
        return _strings(value, array, kinds, spec, field)
    allowed = _NUMBERS | {NoneType} if _takes_null(spec) else _NUMBERS
    if not kinds <= allowed:
        raise InvalidInput(_culprit(value, spec, field))
    try:
        return _numbers(array, kinds, spec)
    except OverflowError:
        raise InvalidInput(_out_of_range(array, spec, field)) from None


def fit(array: Array, spec: TensorSpec, field: str) -> Array:
    """The array as the model wants it: checked in type, shape and values, cast where no value changes.

    Raises:
        InvalidInput: it does not fit.
    """
    if spec.any_type:
        check_shape(array.shape, spec, field)
        return array
    if spec.category and array.dtype.kind in "iu":
        array = array.astype(np.str_).astype(np.object_)
    if (array.dtype.kind == "O") != (spec.datatype == "BYTES"):
        sent = datatype_of(array.dtype)
        raise InvalidInput(f"{field} takes {spec.datatype}, but {sent} was sent{_noted(spec)}")
    array = _as_rows(array, spec)
    check_shape(array.shape, spec, field)
    if spec.datatype == "BYTES":
        return array
    if array.dtype != spec.dtype:
        array = _cast(array, spec, field)
    if spec.finite:
        _check_finite(array, spec, field)
    if spec.whole:
        _check_whole(array, spec, field)
    return array


def _as_rows(array: Array, spec: TensorSpec) -> Array:
    """Rows of one column may come as a list of values, and values as rows of one column."""
    if spec.any_rank:
        return array
    if array.ndim == 1 and len(spec.shape) == 2 and spec.shape[1] == 1:
        return array.reshape(-1, 1)
    if array.ndim == 2 and array.shape[1] == 1 and len(spec.shape) == 1:
        return array.reshape(-1)
    return array


def column_of(matrix: TensorSpec, place: int | None = None) -> TensorSpec:
    """What one column of a matrix takes, where it comes by itself."""
    return replace(matrix, shape=(-1,), whole=(0,) if place in matrix.whole else ())


def check_shape(shape: tuple[int, ...], spec: TensorSpec, field: str) -> None:
    """Raise InvalidInput unless the shape agrees with the spec's (-1 is any size)."""
    want = spec.shape
    if spec.any_rank:
        if not shape:
            raise InvalidInput(f"{field} is a single value, the model takes a list")
        return
    if len(shape) == len(want) and all(w in (-1, s) for w, s in zip(want, shape, strict=True)):
        return
    if len(shape) == len(want) == 2 and want[0] == -1:
        raise InvalidInput(f"{field}: each row holds {shape[1]} values, the model takes {want[1]}")
    raise InvalidInput(f"{field} has shape {shown(shape)}, the model takes {list(want)}")


def common_rows(tensors: Mapping[str, Sized], what: str) -> int:
    """The number of rows that all tensors (at least one) hold; `what` names them together, for messages.

    Raises:
        InvalidInput: they disagree.
    """
    first, *others = tensors
    rows = len(tensors[first])
    for name in others:
        if len(tensors[name]) != rows:
            held = f"{first!r} holds {rows}, {name!r} holds {len(tensors[name])}"
            raise InvalidInput(f"the {what} hold different numbers of rows: {held}")
    return rows


def depth(value: Any) -> int:
    """How deep lists are nested along the first elements."""
    if isinstance(value, np.ndarray):
        return value.ndim
    found = 0
    while isinstance(value, list) and found <= MAX_RANK:
        found += 1
        value = value[0] if value else None
    return found


def _rank(spec: TensorSpec) -> int:
    """The most dimensions that the tensor may have."""
    return MAX_RANK if spec.any_rank else len(spec.shape)


def _takes_null(spec: TensorSpec) -> bool:
    return spec.nullable and spec.dtype.kind in "fO"


def _floats(value: Any, rank: int) -> Array | None:
    """A list of numbers, or of rows of as many numbers each, at half the cost; None for whatever else it is."""
    if rank not in (1, 2):
        return None
    try:
        widths = set(map(len, value)) if rank == 2 else {1}
        flat = NumberArray("d", chain.from_iterable(value) if rank == 2 else value)
    except (TypeError, OverflowError):  # something among them that is no number, or too large a one
        return None
    return np.frombuffer(flat).reshape((len(value), -1)[:rank]) if flat and len(widths) == 1 else None


def _numbers(array: Array, kinds: set[type], spec: TensorSpec) -> Array:
    """Python numbers (and None) as the numpy type that holds every one of them exactly, for this spec.

    Raises:
        OverflowError: there is none.
    """
    if kinds == {bool}:
        return array.astype(np.bool_)
    if spec.dtype.kind == "f" or int not in kinds:
        return array.astype(np.float64)
    if float in kinds:  # as floats, the integers among them would lose digits
        if not all(value.is_integer() for value in array.flat if type(value) is float):
            return array.astype(np.float64)
        array = np.array([int(value) for value in array.flat], dtype=np.object_).reshape(array.shape)
    try:
        return array.astype(np.int64)
    except OverflowError:
        return array.astype(np.uint64)


def _out_of_range(array: Array, spec: TensorSpec, field: str) -> str:
    if spec.dtype.kind == "f":
        low, high = -int(np.finfo(np.float64).max), int(np.finfo(np.float64).max)
    elif spec.dtype.kind == "b":
        low, high = 0, 1
    else:
        low, high = int(np.iinfo(spec.dtype).min), int(np.iinfo(spec.dtype).max)
    outside = (where for where, value in np.ndenumerate(array) if value is not None and not low <= value <= high)
    where = next(outside)
    return f"{at(field, where)} is {described(array[where])}, which is not a valid {spec.datatype}"


def _cast(array: Array, spec: TensorSpec, field: str) -> Array:
    with np.errstate(all="ignore"):  # the comparison finds what a warning would say
        cast: Array = array.astype(spec.dtype)
        if np.can_cast(array.dtype, spec.dtype):
            return cast
        lost = _lost(array, cast)
    if lost.any():
        where = tuple(int(i) for i in np.argwhere(lost)[0])
        raise InvalidInput(f"{at(field, where)} is {array[where]}, which is not a valid {spec.datatype}")
    return cast


def _lost(array: Array, cast: Array) -> Array:
    """Where a cast gave another value. Rounding to a smaller float is none; becoming infinite is."""
    if cast.dtype.kind == "f":
        return np.isfinite(array) & ~np.isfinite(cast)
    lost: Array = cast.astype(array.dtype) != array
    if array.dtype.kind == "f":  # the least whole number of 32 bits is an infinity in 16
        lost |= ~np.isfinite(array)
    if cast.dtype.kind in "iu" and array.dtype.kind in "iu":  # -1 and 2**64 - 1 share their bits
        lost |= (array < 0) != (cast < 0)
    elif cast.dtype.kind in "iu":  # where the processor makes 2**63 into 2**63 - 1, both are the same float
        lost |= array >= float(np.iinfo(cast.dtype).max + 1)
    return lost


def _check_finite(array: Array, spec: TensorSpec, field: str) -> None:
    if spec.dtype.kind != "f":
        return
    bad = np.isinf(array) if spec.nullable else ~np.isfinite(array)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        what = "a missing value (NaN)" if np.isnan(array[where]) else "infinite"
        raise InvalidInput(f"{at(field, where)} is {what}, which the model does not take")


def _check_whole(array: Array, spec: TensorSpec, field: str) -> None:
    rows = array.reshape(len(array), -1)
    for column in spec.whole:
        values = rows[:, column]
        if (broken := (values != np.trunc(values)) & ~np.isnan(values)).any():
            row = int(broken.argmax())
            where = (row,) if array.ndim == 1 else (row, column)
            raise InvalidInput(f"{at(field, where)} is {values[row]}, and the column holds whole numbers")


def _strings(value: Any, array: Array, kinds: set[type], spec: TensorSpec, field: str) -> Array:
    if list in kinds or _as_rows(array, spec).ndim > _rank(spec):
        raise InvalidInput(_culprit(value, spec, field))
    if kinds == {str} and not spec.binary:
        return array
    for where, leaf in np.ndenumerate(array):
        array[where] = _string(leaf, spec, field, where)
    return array


def _string(leaf: Any, spec: TensorSpec, field: str, where: tuple[int, ...]) -> str | bytes | None:
    if type(leaf) is str:
        return leaf.encode() if spec.binary else leaf
    if spec.category and type(leaf) is int:
        return str(leaf)
    if leaf is None and spec.nullable:
        return None
    if (text := json_values.base64_text(leaf)) is not None:
        try:
            raw = base64.b64decode(text, validate=True)
            return raw if spec.binary else raw.decode()
        except ValueError as error:  # no base64, or no UTF-8
            raise InvalidInput(f"{at(field, where)}: b64 does not decode: {error}") from error
    raise InvalidInput(_not_a_string(leaf, spec, field, where))


def _not_a_string(leaf: Any, spec: TensorSpec, field: str, where: tuple[int, ...]) -> str:
    if leaf is None:
        return _null(spec, field, where)
    wanted = "a string or a whole number" if spec.category else "a string"
    return f"{at(field, where)} is {described(leaf)}, the model takes {wanted}"


def _null(spec: TensorSpec, field: str, where: tuple[int, ...]) -> str:
    why = f"{spec.datatype} has no missing values" if spec.nullable else "the model takes no missing values"
    return f"{at(field, where)} is null, and {why}"


def _leaves(value: Any, where: tuple[int, ...], depth: int) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Every element below at most `depth` levels of lists, with its indexes."""
    if isinstance(value, list) and depth > 0:
        for i, item in enumerate(value):
            yield from _leaves(item, (*where, i), depth - 1)
    else:
        yield where, value


def _culprit(value: Any, spec: TensorSpec, field: str) -> str:
    """Why nested lists are not an array of the spec: the first value of another type, else the first ragged row."""
    text = spec.datatype == "BYTES"
    for where, leaf in _leaves(value, (), _rank(spec) if text else MAX_RANK):
        if (leaf is None and _takes_null(spec)) or (spec.category and type(leaf) is int):
            continue
        if text and type(leaf) is not str and not isinstance(leaf, dict):
            return _not_a_string(leaf, spec, field, where)
        if not text and leaf is None:
            return _null(spec, field, where)
        if not text and type(leaf) not in _NUMBERS:
            note = _noted(spec) if isinstance(leaf, str) else ""
            return f"{at(field, where)} is {described(leaf)}, the model takes {spec.datatype}{note}"
    return f"{field} is ragged: {_ragged(value)}"


def _noted(spec: TensorSpec) -> str:
    """What the model's adapter says of an input, behind a refusal of texts for it."""
    return f"; {spec.note}" if spec.note else ""


def _ragged(level: list[Any]) -> str:
    """Which rows differ, at the outermost level where they do."""
    while level:
        rows = [item for item in level if isinstance(item, list)]
        if len(rows) != len(level):
            return "lists and single values are mixed"
        for i, row in enumerate(rows):
            if len(row) != len(rows[0]):
                return f"row 0 holds {len(rows[0])} values but row {i} holds {len(row)}"
        level = [item for row in rows for item in row]
    return "its rows differ in length"
