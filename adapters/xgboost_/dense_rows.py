"""XGBoost's C function for rows of a dense array, without the Python around it.

`Booster.inplace_predict` spends 200 of its 210 µs for a row on Python: it writes two JSON documents, defines a class
and asks a dozen libraries whether the rows are theirs. `XGBoosterPredictFromDense`, which it ends in, is public; its
configuration never changes, and a proxy matrix of our own spares it making one. One row of 4 numbers through 300 trees:
49 µs, of which 43 are XGBoost's.
"""

from __future__ import annotations

import ctypes
import json
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np

from adapters.base import Array
from adapters.shared import native_calls
from adapters.shared.native_calls import Pool, Predict, address, freed, rows_like

__all__ = ["DenseRows", "proved"]


_FUNCTION = "XGBoosterPredictFromDense"
_POINTER, _TEXT = ctypes.c_void_p, ctypes.c_char_p
_TYPES: dict[np.dtype[Any], bytes] = {np.dtype(np.float32): b"<f4", np.dtype(np.float64): b"<f8"}
#: numpy's array interface, version 3, of C-contiguous rows
_INTERFACE = b'{"data":[%d,true],"shape":[%d,%d],"strides":null,"typestr":"%s","version":3}'
_FEW = 64  #: values that are read one by one in less time than their memory is copied


class DenseRows:
    """Calls the booster's C function for rows that it can read, and `ordinary` for all others. Threads may share it."""

    def __init__(self, booster: Any, rounds: int, *, margin: bool, ordinary: Predict) -> None:
        """`rounds`: only the trees of so many rounds are used; 0: all.

        Raises:
            AttributeError: this XGBoost has no such function.
        """
        from xgboost import core

        library = core._LIB
        # by its number, as the function has no types of ours then where XGBoost itself calls it
        self._call = library[_FUNCTION]
        self._call.argtypes = [_POINTER, _TEXT, _TEXT, _POINTER, _POINTER, _POINTER, _POINTER]
        self._create, self._free = library["XGProxyDMatrixCreate"], library["XGDMatrixFree"]
        self._create.argtypes, self._free.argtypes = [_POINTER], [_POINTER]
        self._booster = booster  # which owns the handle
        self._handle = booster.handle
        self._features = int(booster.num_features())
        self._ordinary = ordinary
        self._configuration = _configuration(rounds, margin=margin)
        self._slots = Pool(self._slot)

    def __call__(self, rows: Array) -> Array:
        """What `ordinary` answers, to the bit."""
        if not self._readable(rows):
            return self._ordinary(rows)
        slot = self._slots.take()
        try:
            interface = slot.row(rows) if len(rows) == 1 else _interface(rows)
            if self._call(self._handle, interface, self._configuration, slot.matrix, *slot.results):
                return self._ordinary(rows)  # which says why not
            return slot.answer()
        finally:
            self._slots.put(slot)

    def _readable(self, rows: Array) -> bool:
        return (
            type(rows) is np.ndarray
            and rows.dtype in _TYPES
            and rows.ndim == 2
            and rows.shape[1] == self._features
            and len(rows) > 0
            and rows.flags.c_contiguous
        )

    def _slot(self) -> _Slot:
        matrix = _POINTER()
        if self._create(ctypes.byref(matrix)):
            raise MemoryError("XGBoost makes no proxy matrix")
        slot = _Slot(matrix, self._features)
        freed(slot, self._free, matrix)
        return slot


class _Slot:
    """A proxy matrix, a row to read from, and where the function leaves its answer: in XGBoost's memory of this thread.

    One row is copied to where its interface is known already, and few values are read by a pointer that has a type:
    each takes a fifth of the time of asking numpy for an address.
    """

    def __init__(self, matrix: ctypes.c_void_p, features: int) -> None:
        self.matrix = matrix
        self._rows = {dtype: _row(features, dtype) for dtype in _TYPES}
        self._shape, self._values = ctypes.POINTER(ctypes.c_uint64)(), ctypes.POINTER(ctypes.c_float)()
        self._dimensions = ctypes.c_uint64()
        self.results = tuple(ctypes.addressof(each) for each in (self._shape, self._dimensions, self._values))

    def row(self, row: Array) -> bytes:
        """The interface of a copy of this row."""
        copy, interface = self._rows[row.dtype]
        copy[:] = row
        return interface

    def answer(self) -> Array:
        """A copy of it; in the thread that made the call, before it makes another one."""
        shape = self._shape[: self._dimensions.value]
        if (size := prod(shape)) <= _FEW:
            return np.array(self._values[:size], np.float32).reshape(shape)
        answer = np.empty(shape, np.float32)
        ctypes.memmove(address(answer), self._values, answer.nbytes)
        return answer


def _row(features: int, dtype: np.dtype[Any]) -> tuple[Array, bytes]:
    """Memory for one row, and its interface."""
    row: Array = np.empty((1, features), dtype)
    return row, _interface(row)


def _interface(rows: Array) -> bytes:
    return _INTERFACE % (address(rows), *rows.shape, _TYPES[rows.dtype])


def proved(
    booster: Any,
    rounds: int,
    *,
    margin: bool,
    ordinary: Predict,
    dtype: type[np.floating[Any]] = np.float32,
    categories: Mapping[int, int] | None = None,
) -> Predict:
    """The quick way, if it gives the same bits as `ordinary` on rows made up for it, else `ordinary`.

    `categories` are the columns of codes, and how many codes there are.
    """

    def quick() -> Predict:
        return DenseRows(booster, rounds, margin=margin, ordinary=ordinary)

    def batches() -> Iterator[Array]:
        return rows_like(booster.num_features(), dtype, categories)

    return native_calls.proved("XGBoost's C function", quick, ordinary, batches)


def _configuration(rounds: int, *, margin: bool) -> bytes:
    fields = {"type": int(margin), "training": False, "iteration_begin": 0, "iteration_end": rounds}
    return json.dumps({**fields, "missing": float("nan"), "strict_shape": False, "cache_id": 0}).encode()
