"""Bodies of many numbers: from JSON to arrays without a Python object for every number (simdjson).

`v1_body` and `v2_body` give what `orjson.loads` gives, with an array in the place of each list of numbers. For
whatever is not that simple, every error included, they give None, and the general way says what is wrong.

An array stands for nested lists of equal lengths that hold nothing but numbers: each level's lengths are compared,
simdjson refuses elements of other types, and the brackets of the body are as many as those lists have.
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

#: bytes of a body for which it pays
LEAST = 1024
#: bytes of a body up to which a thread keeps its parser, whose memory is fourteen times as large
_KEPT = 4 * 2**20

#: kind of the numpy type that the model or the tensor has -> what the numbers are read as: simdjson's word, numpy's
_READ_AS: dict[str, tuple[Literal["d", "i"], type[Any]]] = {
    "f": ("d", np.float64),
    "i": ("i", np.int64),
    "u": ("i", np.int64),
}


_own = threading.local()


class _Odd(Exception):
    """The body is not that simple."""


def v1_body(raw: bytes, kind: str) -> dict[str, Any] | None:
    """`{"instances": [...]}`, with `parameters` or without; `kind` is that of the model's numpy type."""
    try:
        body = _members(_parse(raw))
        if not body.keys() <= {"instances", "parameters"}:
            return None
        instances, lists = _numbers(body["instances"], kind)
        return _plain(body | {"instances": instances}) if raw.count(b"[") == lists else None
    except (_Odd, ValueError, TypeError, LookupError, RuntimeError):
        return None


def v2_body(raw: bytes) -> dict[str, Any] | None:
    """`{"inputs": [{"name", "shape", "datatype", "data"}, ...]}`, and whatever else there is that holds no lists."""
    try:
        body = _members(_parse(raw))
        if not isinstance(body["inputs"], simdjson.Array):
            return None
        tensors, lists = [], 1
        for each in body["inputs"]:
            tensor = _members(each)
            data, more = _numbers(tensor["data"], NUMPY_OF[tensor["datatype"]].kind)
            tensors.append(_plain(tensor | {"data": data}))
            lists += more + 1  # and that of its shape
        return _plain(body | {"inputs": tensors}) if raw.count(b"[") == lists else None
    except (_Odd, ValueError, TypeError, LookupError, RuntimeError):
        return None


def _parse(raw: bytes) -> Any:
    if raw[:1] != b"{":  # a mark of the byte order, which simdjson would pass over, or nothing of ours
        raise _Odd
    if len(raw) > _KEPT:
        return simdjson.Parser().parse(raw)
    try:
        return _parser().parse(raw)
    except RuntimeError:  # it still holds another document, which nobody may change; or this one is too deep
        del _own.parser
        return _parser().parse(raw)


def _parser() -> simdjson.Parser:
    """The thread's own: to make one, and give its memory back, takes as long as a small body."""
    if not hasattr(_own, "parser"):
        _own.parser = simdjson.Parser()
    parser: simdjson.Parser = _own.parser
    return parser


def _members(document: Any) -> dict[str, Any]:
    """An object's members; of a key that is given twice, orjson takes the last, and simdjson the first."""
    names = list(document)
    if len(set(names)) != len(names):
        raise _Odd
    return {name: document[name] for name in names}  # its `items` would make lists


def _plain(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(value) for name, value in members.items()}


def _value(value: Any) -> Any:
    if isinstance(value, simdjson.Object):
        return value.as_dict()
    return value.as_list() if isinstance(value, simdjson.Array) else value


def _numbers(values: Any, kind: str) -> tuple[Array, int]:
    """Nested lists of numbers as an array, and how many lists they are."""
    if not isinstance(values, simdjson.Array):
        raise _Odd
    shape: list[int] = []
    lists: list[Any] = [values]
    count = 0
    while isinstance(lists[0], simdjson.Array):
        sizes = set(map(len, lists))
        if len(sizes) != 1 or len(shape) == MAX_RANK:
            raise _Odd
        shape.append(sizes.pop())
        count += len(lists)
        first = next(iter(lists[0]), None)
        lists = [each for level in lists for each in level] if isinstance(first, simdjson.Array) else [first]
    word, dtype = _READ_AS[kind]
    flat: Array = np.frombuffer(values.as_buffer(of_type=word), dtype)
    if not flat.size or flat.size != math.prod(shape):
        raise _Odd
    return flat.reshape(shape), count
