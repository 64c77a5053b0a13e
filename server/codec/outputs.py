"""Output arrays to JSON values and texts: what V1, V2 and gRPC write of them agrees.

Numbers are exact: an FP32 is written as the FP64 of the same value, since its own shortest text stands for another
FP64. NaN and the infinities have no JSON and become null. Dates and complex numbers go as text.

KServe V1's `:explain`: the body of a prediction -> `{"explanations": [...]}`, one explanation an instance, in order.

    {"contributions": {"age": 0.4, "size": -1.2}, "base_value": 0.1}

`contributions` is an object by column name where the columns have names, else a list in the columns' order. Where the
model has several outputs (classes, targets), each contribution, and the base value, is a list with one number each.
"""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import orjson

from adapters.base import Array, Signature, Tensors

#: keys of objects may be numbers (the classes of a converted classifier)
_OPTION = orjson.OPT_NON_STR_KEYS
#: numpy's own objects for the two: to compare by identity is all that a small answer has time for
_FLOAT, _INTEGER = np.dtype(np.float64), np.dtype(np.int64)
#: the explanation that is one value a column
_CONTRIBUTIONS = "contributions"


def dumps(value: Any) -> bytes:
    """JSON of Python values, with numpy values, bytes and others anywhere inside."""
    return orjson.dumps(value, default=native, option=_OPTION)


def dumps_arrays(value: Any) -> bytes:
    """JSON of Python values with whole arrays among them, as `numbers` makes them."""
    return orjson.dumps(value, default=native, option=orjson.OPT_SERIALIZE_NUMPY)


def numbers(array: Array) -> Array | None:
    """A numeric array as orjson writes it exactly: native, contiguous. None for other arrays, and for 0 dimensions."""
    dtype = array.dtype
    if (dtype is _FLOAT or dtype is _INTEGER) and array.ndim and array.flags.c_contiguous:  # most are
        return array
    if dtype.kind not in "fiub" or not array.ndim:
        return None
    dtype = _FLOAT if dtype.kind == "f" else dtype.newbyteorder("=")
    return np.ascontiguousarray(array, dtype=dtype)


def listed(array: Array) -> Any:
    """Nested lists of Python values (one value for an array of no dimensions)."""
    return array.astype(np.str_).tolist() if array.dtype.kind in "mMc" else array.tolist()


def texts(array: Array) -> list[bytes]:
    """The elements of a BYTES tensor, flat: text as UTF-8, JSON values (dict, list, ...) as JSON text."""
    return [_text(value) for value in listed(array.reshape(-1))]


def _text(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    written = dumps(value)
    if written.startswith(b'"'):  # a date or the like: its text, as V1 shows it
        return str(orjson.loads(written)).encode()
    return written


def native(value: Any) -> Any:
    """What is written of a value that JSON does not know."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:  # TensorFlow Serving's form
            return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, np.ndarray):
        return listed(value)
    if isinstance(value, np.generic) and value.dtype.kind in "fiub":
        return float(value) if value.dtype.kind == "f" else value.item()
    return str(value)


def encode_explanations(explained: Tensors, signature: Signature) -> bytes:
    """The body of a response to `:explain`."""
    names = _column_names(signature)
    columns = {name: listed(array) for name, array in explained.items()}
    if names and _CONTRIBUTIONS in columns:
        columns[_CONTRIBUTIONS] = [dict(zip(names, row, strict=True)) for row in columns[_CONTRIBUTIONS]]
    rows: Any = zip(*columns.values(), strict=True) if signature.batched else [columns.values()]
    return dumps({"explanations": [dict(zip(columns, row, strict=True)) for row in rows]})


def _column_names(signature: Signature) -> tuple[str, ...]:
    """The columns' names, if they have any."""
    return tuple(spec.name for spec in signature.inputs) if signature.table else signature.columns
