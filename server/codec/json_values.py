"""Inputs whose elements are JSON values (`TensorSpec.json`): an element may be anything, and is not looked into.

Bytes come as `{"b64": ...}`, at the top of an element or a few levels inside it. Over V2, elements are texts: those
that hold a JSON object or list are read, others stay text, and what is not UTF-8 stays bytes.
"""

from __future__ import annotations

import base64
from typing import Any

import orjson

from adapters.base import Array
from adapters.shared.arrays import array_of
from server.codec.error_text import described
from server.codec.json_bodies import check_size
from server.errors import InvalidInput

#: levels of an element in which {"b64": ...} means bytes
_LEVELS = 8


def from_values(values: Any, field: str) -> Array:
    """One element a value of the list.

    Raises:
        InvalidInput: it is no list, or a b64 does not decode.
    """
    if not isinstance(values, list):
        raise InvalidInput(f"{field} is {described(values)}, but must be a list with one entry an instance")
    return array_of([_decoded(value, f"{field}[{i}]", _LEVELS) for i, value in enumerate(values)])


def from_tensor(array: Array) -> Array:
    """A V2 tensor's elements as the values that they stand for; of numbers, each row is a list."""
    if array.dtype.kind != "O":
        return array_of(array.tolist()) if array.ndim else array
    return array_of([_read(item) for item in array.reshape(-1).tolist()]).reshape(array.shape)


def base64_text(value: Any) -> str | None:
    """The text in `{"b64": "..."}`; None for any other value."""
    if isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
        return value["b64"]
    return None


def _decoded(value: Any, field: str, levels: int) -> Any:
    if levels and isinstance(value, list):
        return [_decoded(item, field, levels - 1) for item in value] if _may_hold_bytes(value) else value
    if not levels or not isinstance(value, dict):
        return value
    if (text := base64_text(value)) is not None:
        try:
            return base64.b64decode(text, validate=True)
        except ValueError as error:
            raise InvalidInput(f"{field}: b64 does not decode: {error}") from error
    return {key: _decoded(item, field, levels - 1) for key, item in value.items()}


def _may_hold_bytes(values: list[Any]) -> bool:
    """Long lists of numbers are common."""
    return any(isinstance(item, dict | list) for item in values)


def _read(item: Any) -> Any:
    if isinstance(item, str | bytes) and item[:1] in ("{", "[", b"{", b"["):
        check_size(item)
        try:
            return orjson.loads(item)
        except orjson.JSONDecodeError:
            pass  # it only looks like JSON
    if not isinstance(item, bytes):
        return item
    try:
        return item.decode()
    except UnicodeDecodeError:
        return item
