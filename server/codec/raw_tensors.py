"""Raw tensor data, as V2's binary extension and gRPC carry it: little-endian, row-major, BYTES behind their lengths."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from adapters.base import Array
from adapters.datatypes import NUMPY_OF
from adapters.shared.arrays import array_of
from server.codec.error_text import described, nearest, shown
from server.codec.json_tensors import MAX_RANK
from server.codec.outputs import texts
from server.errors import InvalidInput

#: what the other dimensions of a tensor without values may come to: a model may reserve memory by them
_MAX_EMPTY = 1 << 20


def to_bytes(array: Array, datatype: str) -> bytes:
    """Raw tensor data: little-endian, row-major; BYTES elements behind their 4-byte lengths."""
    if datatype != "BYTES":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return b"".join(struct.pack("<I", len(item)) + item for item in texts(array))


def from_bytes(data: bytes | memoryview, datatype: str, shape: Sequence[int], field: str) -> Array:
    """Raw tensor data to an array of its own memory, aligned as native code wants it; BYTES elements stay `bytes`."""
    dtype = dtype_of(datatype, field)
    if datatype == "BYTES":
        array: Array = _split(data, field)
    elif len(data) % dtype.itemsize:
        raise InvalidInput(f"{field}: {len(data)} bytes are no whole number of {datatype} values")
    elif datatype == "BOOL" and (np.frombuffer(data, dtype=np.uint8) > 1).any():
        raise InvalidInput(f"{field}: a byte of raw BOOL data must be 0 or 1")
    else:
        array = np.frombuffer(data, dtype=dtype.newbyteorder("<")).astype(dtype)
    return reshape(array, shape, field)


def dtype_of(datatype: Any, field: str) -> np.dtype[Any]:
    """The numpy type of a V2 datatype.

    Raises:
        InvalidInput: there is none of that name.
    """
    if not isinstance(datatype, str):
        raise InvalidInput(f'{field}: "datatype" must be a string like "FP32", not {described(datatype)}')
    if datatype not in NUMPY_OF:
        raise InvalidInput(f"{field}: datatype {described(datatype)} is unknown; {nearest(datatype, NUMPY_OF)}")
    return NUMPY_OF[datatype]


def reshape(array: Array, shape: Sequence[int], field: str) -> Array:
    """The array in the shape that the client declared.

    Raises:
        InvalidInput: the shape is of another number of values, or beyond what an array can have.
    """
    if len(shape) > MAX_RANK:
        raise InvalidInput(f"{field}: the shape has {len(shape)} dimensions, the limit is {MAX_RANK}")
    if any(size < 0 for size in shape) or math.prod(shape) != array.size:
        raise InvalidInput(f"{field}: shape {shown(shape)} does not fit {array.size} values")
    if not array.size and math.prod(size or 1 for size in shape) > _MAX_EMPTY:
        raise InvalidInput(f"{field}: shape {shown(shape)} is too large for a tensor without values")
    return array.reshape(shape)


def _split(data: bytes | memoryview, field: str) -> Array:
    items, offset = [], 0
    while offset < len(data):
        if offset + 4 > len(data):
            raise InvalidInput(f"{field}: the raw BYTES data ends within a length")
        (size,) = struct.unpack_from("<I", data, offset)
        offset += 4
        if offset + size > len(data):
            raise InvalidInput(f"{field}: a raw BYTES element of {size} bytes runs past the end of the data")
        items.append(bytes(data[offset : offset + size]))
        offset += size
    return array_of(items)
