"""Bodies of many numbers: from JSON to arrays without a Python object for every number (simdjson).

`v1_body` and `v2_body` give what `orjson.loads` gives, with an array in the place of each list of numbers. For
whatever is not that simple, every error included, they give None, and the general decoder says what is wrong.

An array stands for nested lists of equal lengths that hold nothing but numbers: each level's lengths are compared,
simdjson refuses elements of other types, and the brackets of the body are as many as those lists have.

It stays as long as it decodes V1 bodies of 1,024 x 100 floats 1.5 times as fast as orjson. Measured on two busy cores,
milliseconds of processor time (`python -m bench.decoding`; the memory that a body takes meanwhile is about the same):

                               simdjson   orjson   orjson and `array`, nothing checked
    V1, 1,024 x 100 floats         7.2     12.9    12.4
    V1, 1,024 x 100 integers       2.6     13.4     9.1
    V1, 64 x 100 floats            0.43     0.87    0.65
    V2, 1,024 x 100 floats         5.9     10.3    10.3
    V2, 1,024 x 4 floats           0.34     0.42    0.40

A whole server answers 1.7 to 2.0 times as many V1 requests of 1,024 x 100 floats, and 1.4 to 1.9 times as many of V2
(`python -m bench.decoding --server`).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import simdjson

from adapters.base import Array
from adapters.datatypes import NUMPY_OF
from server.codec.json_tensors import MAX_RANK

#: bytes of a body from which on it pays
MIN_BODY = 1024
#: bytes of a body up to which a thread keeps its parser, whose memory is fourteen times as large
_MAX_KEPT = 4 * 2**20

#: kind of the numpy type that the model or the tensor has -> what the numbers are read as: simdjson's word, numpy's
_READ_AS: dict[str, tuple[Literal["d", "i"], type[Any]]] = {
    "f": ("d", np.float64),
    "i": ("i", np.int64),
    "u": ("i", np.int64),
}


_BRACKET = ord("[")
_BLOCK = 2**17  #: bytes
_MOST_TENSORS = 1000  #: of a body: of more there is little to win, and each takes some 30 us

_thread = threading.local()


class _NotSimple(Exception):
    """The body is none that is read here; the general decoder takes it."""


def v1_body(raw: bytes, kind: str) -> dict[str, Any] | None:
    """`{"instances": [...]}`, with `parameters` or without; `kind` is that of the model's numpy type."""
    try:
        body = _members(_parse(raw))
        if not body.keys() <= {"instances", "parameters"}:
            return None
        instances, lists = _numbers(body.get("instances"), kind)
    except _NotSimple:
        return None
    return _plain(body | {"instances": instances}) if _brackets(raw) == lists else None


def v2_body(raw: bytes) -> dict[str, Any] | None:
    """`{"inputs": [{"name", "shape", "datatype", "data"}, ...]}`, and whatever else there is that holds no lists."""
    try:
        body = _members(_parse(raw))
        inputs = body.get("inputs")
        if not isinstance(inputs, simdjson.Array) or len(inputs) > _MOST_TENSORS:
            return None
        tensors, lists = [], 1
        for entry in inputs:
            tensor = _members(entry)
            data, nested = _numbers(tensor.get("data"), _kind(tensor.get("datatype")))
            tensors.append(_plain(tensor | {"data": data}))
            lists += nested + 1  # and that of its shape
    except _NotSimple:
        return None
    return _plain(body | {"inputs": tensors}) if _brackets(raw) == lists else None


def _brackets(raw: bytes) -> int:
    """`raw.count(b"[")`, at a third of its time: in blocks that stay in the processor's cache."""
    view = np.frombuffer(raw, np.uint8)
    blocks = (view[at : at + _BLOCK] for at in range(0, len(view), _BLOCK))
    return sum(int(np.count_nonzero(block == _BRACKET)) for block in blocks)


def _parse(raw: bytes) -> Any:
    if raw[:1] != b"{":  # a mark of the byte order, which simdjson would pass over, or nothing of ours
        raise _NotSimple
    try:
        if len(raw) > _MAX_KEPT:
            return simdjson.Parser().parse(raw)
        try:
            return _parser().parse(raw)
        except RuntimeError:  # it still holds another document, which nobody may change; or this one is too deep
            del _thread.parser
            return _parser().parse(raw)
    except (ValueError, RuntimeError) as error:  # it is not JSON; or too deep, or has integers of more than 64 bits
        raise _NotSimple from error


def _parser() -> simdjson.Parser:
    """The thread's own: to make one, and give its memory back, takes as long as a small body."""
    if not hasattr(_thread, "parser"):
        _thread.parser = simdjson.Parser()
    parser: simdjson.Parser = _thread.parser
    return parser


def _members(document: Any) -> dict[str, Any]:
    """An object's members; of a key that is given twice, orjson takes the last, and simdjson the first.

    simdjson compares a key up to its first zero character.
    """
    if not isinstance(document, simdjson.Object):
        raise _NotSimple
    names = list(document)
    if len(set(names)) != len(names) or any("\0" in name for name in names):
        raise _NotSimple
    return {name: document[name] for name in names}  # its `items` would make lists


def _plain(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(value) for name, value in members.items()}


def _value(value: Any) -> Any:
    if isinstance(value, simdjson.Object):
        return value.as_dict()
    return value.as_list() if isinstance(value, simdjson.Array) else value


def _kind(datatype: Any) -> str:
    """The kind of a V2 datatype's numpy type; none of ours where there is no such datatype."""
    return NUMPY_OF[datatype].kind if isinstance(datatype, str) and datatype in NUMPY_OF else ""


def _numbers(values: Any, kind: str) -> tuple[Array, int]:
    """Nested lists of numbers as an array, and how many lists they are."""
    if not isinstance(values, simdjson.Array) or kind not in _READ_AS:
        raise _NotSimple
    shape: list[int] = []
    lists: list[Any] = [values]
    count = 0
    while isinstance(lists[0], simdjson.Array):
        shape.append(_common_length(lists))
        count += len(lists)
        first = next(iter(lists[0]), None)
        lists = [item for level in lists for item in level] if isinstance(first, simdjson.Array) else [first]
    word, dtype = _READ_AS[kind]
    try:
        flat: Array = np.frombuffer(values.as_buffer(of_type=word), dtype)
    except (TypeError, ValueError) as error:  # one is no number, or too large for that type
        raise _NotSimple from error
    if not flat.size or flat.size != math.prod(shape) or len(shape) > MAX_RANK:
        raise _NotSimple
    return flat.reshape(shape), count


def _common_length(lists: list[Any]) -> int:
    try:
        lengths = set(map(len, lists))
    except TypeError as error:  # a number among lists
        raise _NotSimple from error
    if len(lengths) != 1:
        raise _NotSimple
    return lengths.pop()
