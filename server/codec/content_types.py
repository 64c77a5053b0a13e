"""MLServer's `content_type`: what the elements of a tensor stand for, beyond their datatype.

    np        the values as they are            str       UTF-8 texts
    base64    texts that are base64 of bytes    datetime  texts of dates (ISO 8601), which models take as texts
    pd        of a request: its inputs are the columns of a data frame (`binding`)

Source: MLServer's documentation, "Content Types (and Codecs)". Codecs of its runtimes (`hg_jpeg`, ...) are not known.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from adapters.base import Array
from server.codec.error_text import at, described, nearest
from server.errors import InvalidInput

_OF_TENSORS = ("base64", "datetime", "np", "str")
_OF_REQUESTS = ("np", "pd", "str")


def content_type(value: Any, field: str, known: tuple[str, ...] = _OF_TENSORS) -> str:
    """The content type of a tensor; "" where none is given.

    Raises:
        InvalidInput: it is none of those known.
    """
    if value is None:
        return ""
    if isinstance(value, str) and value in known:
        return value
    wrong = "is one of tensors, not of requests" if value in ("base64", "datetime") else "is unknown"
    hint = nearest(value if isinstance(value, str) else "", known)
    raise InvalidInput(f"{field}: content_type {described(value)} {wrong}; {hint}")


def of_request(value: Any) -> str:
    """The content type of a whole request; "" where none is given."""
    return content_type(value, "parameters", _OF_REQUESTS)


def decoded(array: Array, kind: str, field: str) -> Array:
    """A tensor's elements as its content type says; from base64 they become `bytes`.

    Raises:
        InvalidInput: they are no texts where the content type is one of texts, or no base64.
    """
    if kind not in ("base64", "datetime", "str"):
        return array
    if array.dtype.kind != "O":
        raise InvalidInput(f"{field}: content_type {kind!r} is one of texts: send them as BYTES")
    if kind != "base64":
        return array
    raw = np.empty(array.shape, dtype=np.object_)
    for where, value in np.ndenumerate(array):
        try:
            raw[where] = None if value is None else base64.b64decode(value, validate=True)
        except ValueError as error:
            raise InvalidInput(f"{at(field, where)} is not base64, as its content_type says: {error}") from error
    return raw
