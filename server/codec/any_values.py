"""Inputs of which the model does not say what they hold (`TensorSpec.any_type`): values keep the type they are sent in.

| JSON                         | array                                                                           |
|------------------------------|---------------------------------------------------------------------------------|
| whole numbers                | int64; of Python integers where one is too large                                |
| other numbers, with null     | float64, null as NaN; of Python numbers where a float64 would lose their digits |
| true, false                  | bool                                                                            |
| texts, mixtures of the above | of Python values, null as None                                                  |

A tensor of V2 has a datatype of its own, and keeps it; BYTES are texts.
"""

from __future__ import annotations

from types import NoneType
from typing import Any

import numpy as np

from adapters.base import Array
from server.codec.error_text import at, described
from server.errors import InvalidInput

_SCALARS = frozenset({int, float, bool, str, NoneType})


def from_json(value: Any, rank: int, field: str) -> Array:
    """The array that nested lists hold, which are `rank` lists deep.

    Raises:
        InvalidInput: something else than a scalar is in them, or they are ragged.
    """
    array: Array = np.array(value, dtype=np.object_)
    kinds = set(map(type, array.flat)) if array.ndim <= rank else {list}
    if not kinds <= _SCALARS:
        raise InvalidInput(_culprit(value, (), rank, field) or f"{field} is ragged: its rows differ in length")
    if kinds == {bool}:
        return array.astype(np.bool_)
    if kinds == {int}:
        return _integers(array)
    return _floats(array) if kinds <= {int, float, NoneType} and kinds != {NoneType} else array


def texts_of(array: Array, field: str) -> Array:
    """A BYTES tensor's elements as texts.

    Raises:
        InvalidInput: one is not UTF-8.
    """
    texts = np.empty(array.shape, dtype=np.object_)
    for where, value in np.ndenumerate(array):
        try:
            texts[where] = value.decode() if isinstance(value, bytes) else value
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{at(field, where)} is not UTF-8 text: {error.reason}") from error
    return texts


def _integers(array: Array) -> Array:
    try:
        return array.astype(np.int64)
    except OverflowError:
        return array


def _floats(array: Array) -> Array:
    try:
        floats: Array = array.astype(np.float64)  # None becomes NaN
    except OverflowError:
        return array
    pairs = zip(floats.flat, array.flat, strict=True)
    exact = all(int(number) == value for number, value in pairs if type(value) is int)
    return floats if exact else array


def _culprit(value: Any, where: tuple[int, ...], rank: int, field: str) -> str:
    """What the first value is that is no scalar; "" where there is none."""
    if isinstance(value, list) and len(where) < rank:
        return next((found for i, item in enumerate(value) if (found := _culprit(item, (*where, i), rank, field))), "")
    if type(value) in _SCALARS:
        return ""
    return f"{at(field, where)} is {described(value)}, the model takes numbers, strings or null"
