"""Raw tensor data, as V2's binary extension and gRPC carry it: little-endian, row-major, BYTES behind their lengths."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import orjson

from adapters.base import Array
from adapters.datatypes import NUMPY_OF
from server.codec.tensors import nearest
from server.errors import InvalidInput


def texts(array: Array) -> list[bytes]:
    """The elements of a BYTES tensor, flat: text as UTF-8, JSON values (dict, list, ...) as JSON text."""
    return [_element(value) for value in array.ravel().tolist()]


def to_bytes(array: Array, datatype: str) -> bytes:
    """Raw tensor data: little-endian, row-major; BYTES elements behind their 4-byte lengths."""
    if datatype != "BYTES":
        return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return b"".join(struct.pack("<I", len(item)) + item for item in texts(array))


def from_bytes(data: bytes | memoryview, datatype: str, shape: list[int], field: str) -> Array:
    """Raw tensor data to an array; BYTES elements stay `bytes`."""
    dtype = dtype_of(datatype, field)
    if datatype == "BYTES":
        array: Array = _split(data, field)
    elif len(data) % dtype.itemsize:
        raise InvalidInput(f"{field}: {len(data)} bytes are no whole number of {datatype} values")
    else:
        array = np.frombuffer(data, dtype=dtype.newbyteorder("<")).astype(dtype, copy=False)
    return reshape(array, shape, field)


def dtype_of(datatype: Any, field: str) -> np.dtype[Any]:
    if not isinstance(datatype, str) or datatype not in NUMPY_OF:
        raise InvalidInput(f"{field}: datatype {datatype!r} is unknown; {nearest(str(datatype), NUMPY_OF)}")
    return NUMPY_OF[datatype]


def reshape(array: Array, shape: list[int], field: str) -> Array:
    if any(size < 0 for size in shape) or int(np.prod(shape, dtype=object)) != array.size:
        raise InvalidInput(f"{field}: shape {shape} does not fit {array.size} values")
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
    array = np.empty(len(items), dtype=np.object_)
    array[:] = items
    return array


def _element(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    if value is None or isinstance(value, (dict, list, tuple, bool, int, float)):
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS)
    return str(value).encode()
